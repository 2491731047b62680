package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A table has the predictions of all paths on all CPUs.
type table struct {
	version string // of LLVM
	rows    []row
	cycles  map[string]map[string]float64 // row, CPU
}

type row struct{ tier, name, unit string }

func (r row) id() string { return r.tier + ": " + r.name }

const versionLine = "Predicted by llvm-mca of LLVM "

var archs = []string{"amd64", "arm64"}

// markdown returns the table as it is committed.
func (t *table) markdown(measured []measurement) string {
	var b strings.Builder
	b.WriteString(`# Predicted cycles

What the kernels take on CPUs that are not at hand, by the models that LLVM has
of them: cycles per key, or per 64 bytes. **These are predictions, not
measurements.** They hold for code that runs repeatedly with all data in
the first cache and all branches predicted, without the Go call in front of it.

` + versionLine + t.version + `. To make this file again:

    cd bench/mca && go run .

`)
	for _, arch := range archs {
		fmt.Fprintf(&b, "## %s\n\n| kernel | path | per |", arch)
		names := cpusOf(arch)
		for _, name := range names {
			fmt.Fprintf(&b, " %s |", name)
		}
		b.WriteString("\n|---|---|---|" + strings.Repeat("---:|", len(names)) + "\n")
		for _, r := range t.rows {
			if tiers[r.tier].arch != arch {
				continue
			}
			fmt.Fprintf(&b, "| %s | %s | %s |", r.tier, r.name, r.unit)
			for _, name := range names {
				if v, ok := t.cycles[r.id()][name]; ok {
					fmt.Fprintf(&b, " %.2f |", v)
				} else {
					b.WriteString(" |")
				}
			}
			b.WriteByte('\n')
		}
		b.WriteByte('\n')
	}
	b.WriteString(`avx2g is avx2 on a CPU with GFNI.

## Measured beside predicted

How far the models are from the truth, where that is known. What is measured has
the Go call, the loop around it and the branches in it; only batches and long
buffers are nearly free of those. For Zen 4 (family 25, model 17), prototypes
took 1.05 to 1.2 times what is predicted where code is of xmm registers, 1.1 to
1.35 times with ymm and zmm, and 1.7 to 2 times where it is nothing but XOR of
zmm registers. No arm64 CPU was at hand.

`)
	b.WriteString(t.calibration(measured))
	return b.String()
}

// calibration returns the measured cycles beside today's predictions.
func (t *table) calibration(measured []measurement) string {
	var b strings.Builder
	b.WriteString("| kernel | path | measured on | model | measured | predicted | ratio |\n|---|---|---|---|---:|---:|---:|\n")
	for _, m := range measured {
		tier, name, _ := strings.Cut(m.id, ": ")
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %.2f |", tier, name, m.on, m.cpu, m.cycles)
		if v, ok := t.cycles[m.id][m.cpu]; ok {
			fmt.Fprintf(&b, " %.2f | %.2f |\n", v, m.cycles/v)
		} else {
			b.WriteString(" | |\n")
		}
	}
	return b.String()
}

func cpusOf(arch string) (names []string) {
	for _, c := range cpus {
		if c.arch == arch {
			names = append(names, c.name)
		}
	}
	return names
}

// parseTable reads the output of markdown.
func parseTable(text string) (*table, error) {
	t := &table{cycles: map[string]map[string]float64{}}
	var columns []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if v, ok := strings.CutPrefix(line, versionLine); ok {
			t.version, _, _ = strings.Cut(v, ". ")
		}
		if strings.HasPrefix(line, "## Measured") {
			break
		}
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|-") {
			continue
		}
		fields := strings.Split(strings.Trim(line, "|"), "|")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if fields[0] == "kernel" {
			columns = fields
			continue
		}
		if len(fields) > len(columns) {
			return nil, fmt.Errorf("a row with more fields than the heading: %s", line)
		}
		r := row{fields[0], fields[1], fields[2]}
		t.rows = append(t.rows, r)
		t.cycles[r.id()] = map[string]float64{}
		for i, field := range fields[3:] {
			if field == "" {
				continue
			}
			v, err := strconv.ParseFloat(field, 64)
			if err != nil {
				return nil, fmt.Errorf("%w in: %s", err, line)
			}
			t.cycles[r.id()][columns[i+3]] = v
		}
	}
	if t.version == "" || len(t.rows) == 0 {
		return nil, fmt.Errorf("the table is empty, or does not name the version of LLVM")
	}
	return t, nil
}

// A prediction may exceed the committed one by this factor without being called worse.
const tolerance = 1.03

// compare returns the predictions of now that are worse than the committed ones, and those
// that differ without being worse.
func (t *table) compare(committed *table) (worse, other []string) {
	for _, r := range t.rows {
		old, known := committed.cycles[r.id()]
		if !known {
			worse = append(worse, r.id()+": not in the committed table")
			continue
		}
		for _, c := range cpus {
			now, predicted := t.cycles[r.id()][c.name]
			before, had := old[c.name]
			switch {
			case !predicted && !had:
			case !predicted:
				worse = append(worse, fmt.Sprintf("%s, %s: no prediction any more", r.id(), c.name))
			case !had:
				worse = append(worse, fmt.Sprintf("%s, %s: not in the committed table", r.id(), c.name))
			case round(now) > before*tolerance:
				worse = append(worse, fmt.Sprintf("%s, %s: %.2f, was %.2f", r.id(), c.name, now, before))
			case round(now) != before:
				other = append(other, fmt.Sprintf("%s, %s: %.2f, was %.2f", r.id(), c.name, now, before))
			}
		}
	}
	for _, r := range committed.rows {
		if !slices.Contains(t.rows, r) {
			worse = append(worse, r.id()+": in the committed table alone")
		}
	}
	return worse, other
}

// round rounds v as markdown does.
func round(v float64) float64 {
	v, _ = strconv.ParseFloat(fmt.Sprintf("%.2f", v), 64)
	return v
}
