package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A table has the predictions of all paths on all CPUs.
type table struct {
	version  string // of LLVM
	compiler string // of Go, on which whole calls depend
	rows     []row
	cycles   map[string]map[string]float64 // row, CPU
	reached  map[string]float64            // whole calls beside xxh3, measured on Zen 4
}

type row struct{ tier, name, unit string }

func (r row) id() string { return r.tier + ": " + r.name }

const (
	versionLine  = "Predicted by llvm-mca of LLVM "
	compilerLine = "Go code is built by "
)

//go:embed go.mod
var goMod string

var xxh3Version = regexp.MustCompile(`zeebo/xxh3 (v\S+)`).FindStringSubmatch(goMod)[1]

var archs = []string{"amd64", "arm64"}

// markdown returns the table as it is committed.
func (t *table) markdown(measured []measurement) string {
	var b strings.Builder
	b.WriteString(`# Predicted cycles

What the kernels take on CPUs that are not at hand, by the models that LLVM has
of them: cycles per key, or per 64 bytes, and beside xxh3. **These are predictions, not
measurements.** They hold for code that runs repeatedly with all data in
the first cache and all branches predicted, without the Go call in front of it.
On amd64, a comparison and the jump behind it count as one operation, as they are for these
CPUs.

` + versionLine + t.version + `. To make this file again:

    cd bench/mca && go run .

`)
	for _, arch := range archs {
		b.WriteString("## " + arch + "\n\n")
		t.rowsOf(&b, arch, func(r row) bool { return r.unit != unitCall })
	}
	b.WriteString(`avx2g is avx2 on a CPU with GFNI, avx2v on one with VPCLMULQDQ.

## Beside xxh3

Whole calls of hashslot.Of and hashslot.Checksum, and of zeebo/xxh3 ` + xxh3Version + ` on the same
bytes: a loop over keys or buffers of one length, with the call in it, all that it does in
Go and in assembly, and its return. ` + compilerLine + t.compiler + `. Each CPU takes the
form that it would choose. The models leave out, on both sides: what the CALL itself takes,
mispredicted branches, waiting for a value that was stored just before (the kernels take
arguments and results through memory, xxh3 its state), and all but the first cache, which
decides from 48 KiB on. They compare the work; they are not times.

For keys: how many times as long as xxh3 hashslot takes. For buffers: how many times as fast
it is. "asked" is what Zen 4 is to reach: at most that for keys, at least that for buffers.
"measured" is what bench/compare measured on a Zen 4 (family 25, model 17), both in one
process: compare it with the last column. The model shows hashslot too fast for keys from
16 bytes on and for buffers from 4 KiB on.

`)
	t.beside(&b)
	b.WriteString(`
The cycles of each call:

`)
	t.rowsOf(&b, "amd64", func(r row) bool { return r.unit == unitCall })
	b.WriteString(`## Measured beside predicted

How far the models are from the truth, where that is known. What is measured has
the Go call, the loop around it and the branches in it; only batches and long
buffers are nearly free of those. An empty call and its loop take 7 cycles on this CPU
(family 25, model 17). Batches and buffers take 1.0 to 1.5 times what is predicted, tags
in batches up to 1.7, and 1.8 to 2.7 where the work is little but XORs of 512 bits. No
arm64 CPU was at hand.

`)
	b.WriteString(t.calibration(measured))
	return b.String()
}

// rowsOf writes those rows of an architecture that are wanted.
func (t *table) rowsOf(b *strings.Builder, arch string, want func(row) bool) {
	names := cpusOf(arch)
	b.WriteString("| kernel | path | per |")
	for _, name := range names {
		fmt.Fprintf(b, " %s |", name)
	}
	b.WriteString("\n|---|---|---|" + strings.Repeat("---:|", len(names)) + "\n")
	for _, r := range t.rows {
		if tiers[r.tier].arch != arch || !want(r) {
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %s |", r.tier, r.name, r.unit)
		for _, name := range names {
			if v, ok := t.cycles[r.id()][name]; ok {
				fmt.Fprintf(b, " %.2f |", v)
			} else {
				b.WriteString(" |")
			}
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
}

// askedOnZen4 is what a call is to reach beside xxh3 on Zen 4: how many times as long a key
// may take, and how many times as fast a buffer is to be.
var askedOnZen4 = map[string]float64{
	"key of 8 B": 1.15, "key of 16 B": 1.25, "key of 32 B": 1.08, "key of 64 B": 1.00,
	"buffer of 512 B": 1.50, "buffer of 1 KiB": 1.50, "buffer of 2 KiB": 1.40,
	"buffer of 4 KiB": 1.70, "buffer of 16 KiB": 1.65, "buffer of 64 KiB": 1.45,
}

// zen4File is the result of bench/compare that says what was reached.
const zen4File = "../results/amd-epyc-family-25-model-17-linux-amd64-go1.26.8.json"

// reached returns the same ratios as a result of bench/compare has them.
func reached(result []byte) (ratios map[string]float64, err error) {
	var r struct {
		Work []struct {
			Group, At string
			Cases     []struct {
				Name string
				NS   []float64 `json:"ns"`
			}
		}
	}
	if err := json.Unmarshal(result, &r); err != nil {
		return nil, err
	}
	ratios = map[string]float64{}
	for _, w := range r.Work {
		median := map[string]float64{}
		for _, c := range w.Cases {
			if n := len(c.NS); n > 0 {
				slices.Sort(c.NS)
				median[c.Name] = (c.NS[(n-1)/2] + c.NS[n/2]) / 2
			}
		}
		switch w.Group {
		case "One key of a fixed length":
			ratios["key of "+w.At] = median["Of"] / median["xxh3"]
		case "Checksum of a buffer at the start of a cache line":
			ratios["buffer of "+w.At] = median["xxh3"] / median["Checksum"]
		}
	}
	for call := range askedOnZen4 {
		if v := ratios[call]; !(v > 0) {
			return nil, fmt.Errorf("no %s by us and by xxh3", call)
		}
	}
	return ratios, nil
}

// beside writes the ratios of whole calls.
func (t *table) beside(b *strings.Builder) {
	names := cpusOf("amd64")
	b.WriteString("| call | asked | measured |")
	for _, name := range names {
		fmt.Fprintf(b, " %s |", name)
	}
	b.WriteString("\n|---|---:|---:|" + strings.Repeat("---:|", len(names)) + "\n")
	seen := map[string]bool{}
	for _, r := range t.rows {
		if r.unit != unitCall || seen[r.name] {
			continue
		}
		seen[r.name] = true
		fmt.Fprintf(b, "| %s | %.2f | %.2f |", r.name, askedOnZen4[r.name], t.reached[r.name])
		for _, name := range names {
			ours, theirs := t.call(r.name, name, false), t.call(r.name, name, true)
			ratio := ours / theirs
			if strings.HasPrefix(r.name, "buffer") {
				ratio = 1 / ratio
			}
			if math.IsNaN(ratio) {
				b.WriteString(" |")
			} else {
				fmt.Fprintf(b, " %.2f |", ratio)
			}
		}
		b.WriteByte('\n')
	}
}

// call returns the cycles of a call on a CPU: of the peer, or of ours.
func (t *table) call(name, cpu string, ofPeer bool) float64 {
	for _, r := range t.rows {
		if v, ok := t.cycles[r.id()][cpu]; ok && r.unit == unitCall && r.name == name && peer(r.tier) == ofPeer {
			return v
		}
	}
	return math.NaN()
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
		if _, v, ok := strings.Cut(line, compilerLine); ok {
			t.compiler, _, _ = strings.Cut(v, ". ")
		}
		if strings.HasPrefix(line, "## Measured") {
			break
		}
		if !strings.HasPrefix(line, "|") {
			columns = nil
			continue
		}
		if strings.HasPrefix(line, "|-") {
			continue
		}
		fields := strings.Split(strings.Trim(line, "|"), "|")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if columns == nil {
			columns = fields
			continue
		}
		if columns[0] != "kernel" { // what follows from the other rows
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
// that differ without being worse. Whole calls by another compiler do not compare.
func (t *table) compare(committed *table) (worse, other []string) {
	sameCode := func(r row) bool { return r.unit != unitCall || t.compiler == committed.compiler }
	for _, r := range t.rows {
		old, known := committed.cycles[r.id()]
		if !sameCode(r) {
			continue
		}
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
		if sameCode(r) && !slices.Contains(t.rows, r) {
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
