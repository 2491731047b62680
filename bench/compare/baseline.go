package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// floor is the difference that never counts, whatever the noise: the place of code in the
// program alone can cause it.
const floor = 0.05

// leastPasses is the number of passes that it takes to estimate the noise.
const leastPasses = 3

// A change compares a case of two results.
type change struct {
	work, name string
	old, now   float64 // ns
	ratio      float64 // now to old, both as multiples of the peers' times in the same pass
	noise      float64
}

func (c change) slower() bool { return c.ratio > 1+c.noise }
func (c change) faster() bool { return c.ratio < 1/(1+c.noise) }

// A comparison compares the cases of two results.
type comparison struct {
	old, now *result
	changes  []change
	missing  []string // only in the earlier result
	added    int      // only in the later one
}

// against compares hashslot's own cases in now with those in old.
//
// A machine's clock changes from minute to minute, so times are divided by those of the
// peers in the same pass and workload. Peers whose versions differ do not count. The noise
// is the range of these quotients over the passes. A case is slower or faster if the
// medians differ by more than floor plus the ranges of both, added like independent errors
// (the root of the sum of squares).
func (now *result) against(old *result) (*comparison, error) {
	if old.CPU != now.CPU || old.OS != now.OS || old.Arch != now.Arch {
		return nil, fmt.Errorf("the baseline is of %s, %s/%s, and this result of %s, %s/%s",
			old.CPU, old.OS, old.Arch, now.CPU, now.OS, now.Arch)
	}
	c := &comparison{old: old, now: now}
	for i := range now.Work {
		w := &now.Work[i]
		before := old.find(w.Name)
		for _, t := range w.Cases {
			if t.Peer == "" && (before == nil || before.find(t.Name) == nil) {
				c.added++
			}
		}
		if before == nil {
			continue
		}
		oldLevel, nowLevel := levels(before, w)
		for _, t := range w.Cases {
			b := before.find(t.Name)
			if t.Peer != "" || b == nil {
				continue
			}
			if min(len(t.NS), len(b.NS)) < leastPasses {
				return nil, fmt.Errorf("%s, %s: %d and %d passes: at least %d are needed to estimate the noise",
					w.Name, t.Name, len(b.NS), len(t.NS), leastPasses)
			}
			was, is := relative(b.NS, oldLevel), relative(t.NS, nowLevel)
			c.changes = append(c.changes, change{
				work: w.Name, name: t.Name, old: b.median(), now: t.median(),
				ratio: medianOf(is) / medianOf(was),
				noise: floor + 2*math.Hypot(spreadOf(was), spreadOf(is)),
			})
		}
	}
	for i := range old.Work {
		w := &old.Work[i]
		after := now.find(w.Name)
		for _, t := range w.Cases {
			if t.Peer == "" && (after == nil || after.find(t.Name) == nil) {
				c.missing = append(c.missing, w.Name+": "+t.Name)
			}
		}
	}
	if len(c.changes) == 0 {
		return nil, fmt.Errorf("no case is in both results")
	}
	return c, nil
}

// levels returns, for each pass, the geometric mean of the peers that both workloads have
// in the same version. If there are none, it returns nil.
func levels(a, b *work) (la, lb []float64) {
	n := 0
	for _, t := range a.Cases {
		o := b.find(t.Name)
		if t.Peer == "" || o == nil || o.Peer != t.Peer {
			continue
		}
		if n == 0 {
			la, lb = make([]float64, len(t.NS)), make([]float64, len(o.NS))
		}
		if len(la) != len(t.NS) || len(lb) != len(o.NS) {
			continue // was not in all passes
		}
		n++
		for i, ns := range t.NS {
			la[i] += math.Log(ns)
		}
		for i, ns := range o.NS {
			lb[i] += math.Log(ns)
		}
	}
	for _, l := range [][]float64{la, lb} {
		for i := range l {
			l[i] = math.Exp(l[i] / float64(n))
		}
	}
	return la, lb
}

func relative(ns, level []float64) []float64 {
	if len(level) != len(ns) {
		return ns
	}
	out := make([]float64, len(ns))
	for i := range ns {
		out[i] = ns[i] / level[i]
	}
	return out
}

// write prints the comparison as Markdown and reports whether a case is slower.
func (c *comparison) write(out io.Writer) (slower bool) {
	var worse, better []change
	for _, ch := range c.changes {
		switch {
		case ch.slower():
			worse = append(worse, ch)
		case ch.faster():
			better = append(better, ch)
		}
	}
	byRatio := func(a, b change) int { return int(math.Copysign(1, b.ratio-a.ratio)) }
	slices.SortFunc(worse, byRatio)
	slices.SortFunc(better, byRatio)
	slices.Reverse(better)
	fmt.Fprintf(out, "Commit %s (%s, kernel %s) against %s (%s, kernel %s), %s, %s/%s.\n\n", c.now.Commit, c.now.Go, c.now.Kernel,
		c.old.Commit, c.old.Go, c.old.Kernel, c.now.CPU, c.now.OS, c.now.Arch)
	fmt.Fprintf(out, "**%d of %d cases slower, %d faster.** The others differ by less than the noise of both results.\n",
		len(worse), len(c.changes), len(better))
	if len(worse)+len(better) > 0 {
		fmt.Fprintf(out, "\n| case | before, ns | now, ns | time, peers taken as fixed | noise |  |\n|---|---:|---:|---:|---:|---|\n")
	}
	for _, ch := range append(worse, better...) {
		word := "faster"
		if ch.slower() {
			word = "**slower**"
		}
		fmt.Fprintf(out, "| %s: %s | %s | %s | %+.0f%% | ±%.0f%% | %s |\n", ch.work, ch.name, digits(ch.old), digits(ch.now),
			100*(ch.ratio-1), 100*ch.noise, word)
	}
	if c.added > 0 {
		fmt.Fprintf(out, "\n%d cases are new.\n", c.added)
	}
	if len(c.missing) > 0 {
		fmt.Fprintf(out, "\n%d cases are gone, among them %s.\n", len(c.missing), strings.Join(c.missing[:min(3, len(c.missing))], "; "))
	}
	return len(worse) > 0
}
