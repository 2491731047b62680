package main

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/hashslot/hashslot/internal/impl"
)

// A contender is one way to do the work of a workload.
type contender struct {
	name   string
	kernel string // of hashslot, forced before each run; or empty
	peer   string // the module, if it is not hashslot
	base   string // the contender that its time is also compared with, or empty
	run    func() uint64
}

// A workload is work in which contenders are compared. A run of any contender does the same
// amount of it: a number of units, which are keys, or a number of bytes.
type workload struct {
	name       string
	group      string  // the table that it is in; empty if it is in no report
	at         string  // its place in the table
	x          float64 // its place in a chart
	units      int
	unit       string // if empty, "ns a key"
	bytes      int
	contenders func() []contender
}

// perRun returns the divisor for the time of a run: the number of keys, or 1 for buffers.
func (w workload) perRun() float64 {
	if w.bytes > 0 {
		return 1
	}
	return float64(w.units)
}

var sink uint64

// timed returns the nanoseconds of n runs of c.
func timed(c contender, n int) float64 {
	if c.kernel != "" {
		restore, err := impl.Force(c.kernel)
		if err != nil {
			fatal(err)
		}
		defer restore()
	}
	start := time.Now()
	for range n {
		sink += c.run()
	}
	return float64(time.Since(start).Nanoseconds())
}

// measure returns the sorted times of the runs of each contender. The contenders take turns,
// in an order that rotates.
func measure(all []contender, reps int, least time.Duration) [][]float64 {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	loops := make([]int, len(all))
	for i, c := range all {
		timed(c, 1)
		for loops[i] = 1; timed(c, loops[i]) < float64(least.Nanoseconds()); {
			loops[i] *= 2
		}
	}
	times := make([][]float64, len(all))
	for r := range reps {
		for k := range all {
			i := (k + r) % len(all)
			times[i] = append(times[i], timed(all[i], loops[i])/float64(loops[i]))
		}
	}
	for _, t := range times {
		slices.Sort(t)
	}
	return times
}

// pass measures each workload once and appends the medians to r.
func pass(r *result, list []workload, keep func(contender) bool, reps int, least time.Duration, show func(workload, []contender, [][]float64)) {
	for _, w := range list {
		all := slices.DeleteFunc(w.contenders(), func(c contender) bool { return !keep(c) })
		times := measure(all, reps, least)
		into := r.find(w.name)
		if into == nil {
			r.Work = append(r.Work, work{Name: w.name, Group: w.group, At: w.at, X: w.x, Unit: cmp.Or(w.unit, "ns a key"), Bytes: w.bytes})
			into = &r.Work[len(r.Work)-1]
		}
		for i, c := range all {
			ns := rounded(median(times[i]) / w.perRun())
			if t := into.find(c.name); t != nil {
				t.NS = append(t.NS, ns)
			} else {
				into.Cases = append(into.Cases, timing{Name: c.name, Kernel: c.kernel, Peer: c.peer, NS: []float64{ns}})
			}
		}
		show(w, all, times)
		runtime.GC()
	}
}

// report prints a workload.
func report(w workload, all []contender, times [][]float64) {
	find := func(name string) []float64 {
		if i := slices.IndexFunc(all, func(c contender) bool { return c.name == name }); i >= 0 {
			return times[i]
		}
		return nil
	}
	ratio := func(a, b []float64, at func([]float64) float64) string {
		if a == nil || b == nil {
			return ""
		}
		return fmt.Sprintf("%.2f", at(a)/at(b))
	}
	fmt.Printf("\n%s\n", w.name)
	out := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	unit := cmp.Or(w.unit, "ns a key")
	if w.bytes > 0 {
		unit = "GB/s"
	}
	fmt.Fprintf(out, "\tbest, %s\tmedian\tredisc/it\tit/xxh3\t(best)\tit/base\t\n", unit)
	rows := make([]int, len(all))
	for i := range rows {
		rows[i] = i
	}
	slices.SortStableFunc(rows, func(i, j int) int { return cmp.Compare(median(times[i]), median(times[j])) })
	for _, i := range rows {
		figure := func(ns float64) float64 {
			if w.bytes > 0 {
				return float64(w.bytes) / ns
			}
			return ns / w.perRun()
		}
		t := times[i]
		fmt.Fprintf(out, "%s\t%.2f\t%.2f\t%s\t%s\t%s\t%s\t\n", all[i].name, figure(t[0]), figure(median(t)),
			ratio(find(redis), t, median), ratio(t, find(xxh), median), ratio(t, find(xxh), least), ratio(t, find(all[i].base), median))
	}
	out.Flush()
}

// median and least take sorted times.
func median(t []float64) float64 { return t[len(t)/2] }

func least(t []float64) float64 { return t[0] }
