// Command compare measures hashslot beside other libraries, in one process
// and by turns, so that a change of the machine's clock or of its load hits all
// of them alike.
//
//	go run . -list
//	go run . -work 'one key' -who 'Of|xxh3'
//
// Per workload and contender it prints the minimum and the median of many
// short runs, and ratios of the medians: how many times faster than redisc, and
// the time as a multiple of that of xxh3 on the same bytes.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/klauspost/cpuid/v2"

	"github.com/hashslot/hashslot/internal/impl"
)

// A contender is one way to do the work of a workload.
type contender struct {
	name   string
	kernel string // of hashslot, forced in front of each run; or none
	base   string // the contender its time is also compared with, or none
	run    func() uint64
}

// A workload is what contenders are compared in. One run of any of them does
// the same amount of work: that many keys, or that many bytes.
type workload struct {
	name       string
	keys       int
	bytes      int
	contenders func() []contender
}

func main() {
	var (
		work = flag.String("work", "", "only workloads that match this regular `expression`")
		who  = flag.String("who", "", "only contenders that match this regular `expression`, and the peers")
		reps = flag.Int("reps", 101, "`runs` of each contender")
		cpu  = flag.Int("cpu", 1, "the CPU to run on, -1 for any")
		time = flag.Duration("run", 60*time.Microsecond, "least `time` of one run")
		list = flag.Bool("list", false, "list the workloads and stop")
	)
	flag.Parse()
	only, err := regexp.Compile(*work)
	if err != nil {
		fatal(err)
	}
	names, err := regexp.Compile(*who)
	if err != nil {
		fatal(err)
	}
	if *list {
		for _, w := range workloads() {
			fmt.Println(w.name)
		}
		return
	}
	runtime.LockOSThread()
	pinned := "not pinned"
	if *cpu >= 0 {
		if err := pin(*cpu); err != nil {
			pinned += ": " + err.Error()
		} else {
			pinned = fmt.Sprintf("pinned to CPU %d", *cpu)
		}
	}
	fmt.Printf("%s, %s, %s/%s, commit %s, kernel %s, %s, %d runs\n", cpuid.CPU.BrandName, runtime.Version(),
		runtime.GOOS, runtime.GOARCH, commit(), impl.Current(), pinned, *reps)
	for _, w := range workloads() {
		if !only.MatchString(w.name) {
			continue
		}
		all := w.contenders()
		all = slices.DeleteFunc(all, func(c contender) bool {
			peer := c.name == redis || c.name == xxh
			return !peer && !names.MatchString(c.name)
		})
		report(w, all, measure(all, *reps, *time))
		runtime.GC()
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "compare:", err)
	os.Exit(2)
}

func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	name := strings.TrimSpace(string(out))
	if exec.Command("git", "diff", "--quiet", "HEAD").Run() != nil {
		name += " with changes"
	}
	return name
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

// measure returns the times of one run of each contender, sorted. All take
// turns, in an order that rotates.
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
	unit := "ns/key"
	if w.bytes > 0 {
		unit = "GB/s"
	}
	fmt.Fprintf(out, "\tbest %s\tmedian\tredisc/it\tit/xxh3\t(best)\tit/base\t\n", unit)
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
			return ns / float64(w.keys)
		}
		t := times[i]
		fmt.Fprintf(out, "%s\t%.2f\t%.2f\t%s\t%s\t%s\t%s\t\n", all[i].name, figure(t[0]), figure(median(t)),
			ratio(find(redis), t, median), ratio(t, find(xxh), median), ratio(t, find(xxh), least), ratio(t, find(all[i].base), median))
	}
	out.Flush()
}

func median(t []float64) float64 { return t[len(t)/2] }

func least(t []float64) float64 { return t[0] }
