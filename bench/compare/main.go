// Command compare measures hashslot beside other libraries. They take turns in one
// process, so that a change of the machine's clock or load affects all of them alike.
//
//	go run . -list
//	go run . -work 'one key' -who 'Of|xxh3'
//	go run . -keys FILE -work yours
//
// For each workload and contender it prints the minimum and the median of many short runs,
// and two ratios of medians: how many times faster than redisc it is, and its time as a
// multiple of the time of xxh3 on the same bytes. Of is hashslot with the kernel in use;
// "Of, clmul" and so on are other kernels.
//
// To keep a result, with tables, charts and text for benchstat:
//
//	go run . -passes 9 -reps 9 -o ../results
//	go run . -passes 1 -reps 9 -o ../results -add   (one pass more)
//	go run . -passes 0 -o ../results -add            (the same figures, drawn anew)
//
// To compare with an earlier result of the same CPU (the exit status is 1 if a case is
// slower by more than the noise of both explains, and 2 after an error; go run prints the
// status, and exits with 1 itself):
//
//	go run . -passes 9 -reps 9 -baseline ../results/FILE.json
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/hashslot/hashslot/internal/impl"
)

func main() {
	allowed = cpus()
	last := -1
	if len(allowed) > 0 {
		last = allowed[len(allowed)-1]
	}
	var (
		work     = flag.String("work", "", "only workloads that match this regular `expression`")
		who      = flag.String("who", "", "only contenders that match this regular `expression`, and redisc and xxh3")
		reps     = flag.Int("reps", 101, "`number` of runs of each contender in a pass")
		passes   = flag.Int("passes", 1, "`number` of times that everything is measured")
		cpu      = flag.Int("cpu", last, "the `number` of the CPU to run on, -1 for any")
		least    = flag.Duration("run", 60*time.Microsecond, "least `time` of one run")
		list     = flag.Bool("list", false, "list the workloads and stop")
		keys     = flag.String("keys", "", "measure the keys in this `file` too, one on each line")
		dir      = flag.String("o", "", "write the result, tables and charts to this `folder`")
		add      = flag.Bool("add", false, "with -o: add the passes to the result there")
		baseline = flag.String("baseline", "", "compare with the result in this `file`")
		note     = flag.String("note", "", "a `remark` on the machine, for the result")
	)
	flag.Parse()
	if flag.NArg() > 0 || *passes < 0 || *reps < 1 || *add && *dir == "" || *passes == 0 && !*add {
		fatal(errors.New("see -help: no arguments, -reps of at least 1, -add with -o, -passes 0 with -add"))
	}
	only, err := regexp.Compile(*work)
	if err != nil {
		fatal(err)
	}
	names, err := regexp.Compile(*who)
	if err != nil {
		fatal(err)
	}
	if *keys != "" {
		if yours, err = readKeys(*keys); err != nil {
			fatal(err)
		}
	}
	all := slices.DeleteFunc(workloads(*keys), func(w workload) bool {
		return !only.MatchString(w.name) || *dir+*baseline != "" && w.group == ""
	})
	if *list {
		for _, w := range all {
			fmt.Println(w.name)
		}
		return
	}
	if len(all) == 0 {
		fatal(fmt.Errorf("no workload matches %q", *work))
	}
	r := &result{CPU: cpuName(), OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version(), Kernel: impl.Current(), Commit: commit(),
		Date: time.Now().UTC().Format(time.DateOnly), Reps: *reps, Run: least.String(), Pinned: "not pinned", Note: *note}
	if *cpu >= 0 {
		if err := pin(*cpu); err != nil {
			r.Pinned += ": " + err.Error()
		} else {
			r.Pinned = fmt.Sprintf("pinned to CPU %d", *cpu)
		}
	}
	fmt.Fprintln(os.Stderr, r.head())
	if *passes > 0 {
		r.Peers = checkedPeers()
	}
	keep := func(c contender) bool { return c.name == redis || c.name == xxh || names.MatchString(c.name) }
	for i := range *passes {
		pass(r, all, keep, *reps, *least, func(w workload, all []contender, times [][]float64) {
			if *dir+*baseline == "" {
				report(w, all, times)
			} else {
				fmt.Fprintf(os.Stderr, "pass %d of %d: %s\n", i+1, *passes, w.name)
			}
		})
	}
	if *dir != "" {
		if *add {
			old, err := readResult(filepath.Join(*dir, r.name()+".json"))
			switch {
			case errors.Is(err, fs.ErrNotExist) && *passes > 0: // the first pass
			case err != nil:
				fatal(err)
			case *passes == 0:
				r = old
			default:
				if err := old.add(r); err != nil {
					fatal(err)
				}
				r = old
			}
		}
		if err := r.write(*dir); err != nil {
			fatal(err)
		}
	}
	if *baseline != "" {
		old, err := readResult(*baseline)
		if err != nil {
			fatal(err)
		}
		c, err := r.against(old)
		if err != nil {
			fatal(err)
		}
		if c.write(os.Stdout) {
			os.Exit(1)
		}
	}
}

// allowed are the CPUs that the process could use at its start.
var allowed []int

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "compare:", err)
	os.Exit(2)
}

// commit returns the commit of the build. A build by go run does not know it; then it is
// the commit of the checkout.
func commit() string {
	revision, modified := "", false
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				revision = s.Value
			case "vcs.modified":
				modified = s.Value == "true"
			}
		}
	}
	if revision == "" {
		out, err := exec.Command("git", "rev-parse", "HEAD").Output()
		if err != nil {
			return "unknown"
		}
		revision = strings.TrimSpace(string(out))
		modified = exec.Command("git", "diff", "--quiet", "HEAD").Run() != nil
	}
	revision = revision[:min(7, len(revision))]
	if modified {
		revision += " with changes"
	}
	return revision
}
