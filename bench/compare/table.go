package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// digits formats x with about three digits.
func digits(x float64) string {
	switch {
	case x < 10:
		return fmt.Sprintf("%.2f", x)
	case x < 100:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

// markdown returns the tables, each after its chart.
func markdown(r *result) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s, %s/%s, %s\n\n", r.CPU, r.OS, r.Arch, r.Go)
	fmt.Fprintf(&b, "Commit %s, %s, kernel in use %s, %s", r.Commit, r.Date, r.Kernel, r.Pinned)
	if r.Note != "" {
		fmt.Fprintf(&b, ", %s", r.Note)
	}
	fmt.Fprintf(&b, ". Made in bench/compare by\n\n    %s\n\n", r.command())
	fmt.Fprintf(&b, "All contenders of a column take turns in one process, so they can be compared with each other; columns only roughly. "+
		"Passes: %d, of %d runs each. A figure is the median over the passes of the median of the runs, ± half of the range of the passes; "+
		"as the clock of a machine changes, times are computed as multiples of the peers' times in the same pass, and multiplied by the peers' median time. "+
		"`Of`, `AppendOf` and `Checksum` are hashslot with the kernel in use, %s; other kernels are named. "+
		"An asterisk marks peers whose answers differ, see [the peers](#peers).\n", r.passes(), r.Reps, r.Kernel)
	wrong := map[string]bool{}
	for _, p := range r.Peers {
		wrong[p.Name] = p.Wrong
	}
	shown := map[string]bool{}
	for _, c := range charts {
		if c.has(r) {
			fmt.Fprintf(&b, "\n%s", picture(r, c))
			shown[c.name] = true
		}
	}
	for _, group := range groups {
		list := r.group(group)
		if len(list) == 0 {
			continue
		}
		unit := list[0].Unit
		if list[0].Bytes > 0 {
			unit = "GB/s"
		}
		fmt.Fprintf(&b, "\n## %s\n\n", group)
		if remark := remarks[group]; remark != "" {
			fmt.Fprintf(&b, "%s\n\n", remark)
		}
		fmt.Fprintf(&b, "| %s |", unit)
		for _, w := range list {
			fmt.Fprintf(&b, " %s |", strings.ReplaceAll(w.At, "|", "\\|"))
		}
		fmt.Fprintf(&b, "\n|---|%s\n", strings.Repeat("---:|", len(list)))
		for _, name := range caseNames(list) {
			label := name
			if wrong[name] {
				label += "*"
			}
			fmt.Fprintf(&b, "| %s |", label)
			for _, w := range list {
				fmt.Fprintf(&b, " %s |", cell(&w, w.find(name)))
			}
			b.WriteByte('\n')
		}
	}
	fmt.Fprintf(&b, "\n## Peers\n\nEach was asked for the answers before it was measured.\n\n| peer | module | answers |\n|---|---|---|\n")
	for _, p := range r.Peers {
		answers := strings.ReplaceAll(p.Answers, "|", "\\|")
		if p.Wrong {
			answers = "**" + answers + "**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", p.Name, p.Module, answers)
	}
	return b.Bytes()
}

// picture shows a chart in the theme of the reader's page.
func picture(r *result, c chart) string {
	name := r.name() + "-" + c.name
	return fmt.Sprintf("<picture><source media=\"(prefers-color-scheme: dark)\" srcset=\"%s-dark.svg\"><img alt=\"%s\" src=\"%s-light.svg\"></picture>\n",
		name, c.title, name)
}

// caseNames returns the contenders of a group in the order of their appearance.
func caseNames(list []work) []string {
	var names []string
	for _, w := range list {
		for _, c := range w.Cases {
			if !slices.Contains(names, c.Name) {
				names = append(names, c.Name)
			}
		}
	}
	return names
}

func cell(w *work, t *timing) string {
	if t == nil {
		return ""
	}
	x, spread := w.figure(t)
	if w.Bytes > 0 {
		x = float64(w.Bytes) / x
	}
	if len(t.NS) == 1 {
		return digits(x)
	}
	return fmt.Sprintf("%s ±%.0f%%", digits(x), 100*spread)
}

// benchmarkText returns the passes in Go's benchmark format, as benchstat reads it.
func benchmarkText(r *result) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\ncpu: %s\npkg: github.com/hashslot/hashslot/bench/compare\ncommit: %s\ntoolchain: %s\nkernel: %s\n",
		r.OS, r.Arch, r.CPU, r.Commit, r.Go, r.Kernel)
	for _, w := range r.Work {
		for _, c := range w.Cases {
			for _, ns := range c.NS {
				// The 1 stands for GOMAXPROCS. Without it, a name would lose a number at its end.
				fmt.Fprintf(&b, "Benchmark%s/by=%s-1\t1\t%.4g ns/op", benchName(w.Name), benchName(c.Name), ns)
				if w.Bytes > 0 {
					fmt.Fprintf(&b, "\t%.4g MB/s", float64(w.Bytes)/ns*1e3)
				}
				b.WriteByte('\n')
			}
		}
	}
	return b.Bytes()
}

// benchName makes one word of a name, with a capital in front.
func benchName(name string) string {
	name = strings.NewReplacer(", ", ",", " ", "_", "/", "_").Replace(name)
	return strings.ToUpper(name[:1]) + name[1:]
}
