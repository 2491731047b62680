package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// A result has the figures of one CPU. The tables, the charts and the text for benchstat
// are made from it alone.
type result struct {
	CPU    string
	OS     string
	Arch   string
	Go     string
	Kernel string // in use
	Commit string
	Date   string
	Reps   int    // runs of each contender in a pass
	Run    string // least time of a run
	Pinned string
	Note   string `json:",omitempty"` // a remark on the machine, such as that it is shared
	Peers  []peerInfo
	Work   []work
}

// peerInfo is a peer's module and the result of the check of its answers.
type peerInfo struct {
	Name    string
	Module  string `json:",omitempty"` // with its version; empty for methods implemented here
	Answers string
	Wrong   bool `json:",omitempty"`
}

// A work is a workload with the times of its contenders.
type work struct {
	Name  string
	Group string  // workloads of a group are in one table, and perhaps in a chart
	At    string  // its place in the group
	X     float64 `json:",omitempty"` // At as a number
	Unit  string
	Bytes int `json:",omitempty"` // of a buffer
	Cases []timing
}

// A timing has the median of each pass, in nanoseconds per unit of work.
type timing struct {
	Name   string
	Kernel string    `json:",omitempty"` // of hashslot
	Peer   string    `json:",omitempty"` // the module; empty for hashslot itself
	NS     []float64 `json:"ns"`
}

func (t timing) median() float64 { return medianOf(t.NS) }

// figure returns the figure of t, one of w's cases, for a table, and half of the range of
// the passes as a fraction of it. Changes of the clock are removed: times are computed as
// multiples of the peers' times in the same pass, and their median is multiplied by the
// peers' median time.
func (w *work) figure(t *timing) (ns, spread float64) {
	level, _ := levels(w, w)
	if len(level) != len(t.NS) {
		return medianOf(t.NS), spreadOf(t.NS)
	}
	times := relative(t.NS, level)
	return medianOf(times) * medianOf(level), spreadOf(times)
}

// spreadOf returns half of the range as a fraction of the median.
func spreadOf(v []float64) float64 {
	return (slices.Max(v) - slices.Min(v)) / 2 / medianOf(v)
}

func medianOf(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// rounded keeps four digits, which is more than the precision of any timing.
func rounded(x float64) float64 {
	if x == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(x))-3)
	if unit < 1 {
		inverse := math.Round(1 / unit)
		return math.Round(x*inverse) / inverse
	}
	return math.Round(x/unit) * unit
}

// find returns the case of a contender, or nil.
func (w *work) find(name string) *timing {
	for i := range w.Cases {
		if w.Cases[i].Name == name {
			return &w.Cases[i]
		}
	}
	return nil
}

func (r *result) find(name string) *work {
	for i := range r.Work {
		if r.Work[i].Name == name {
			return &r.Work[i]
		}
	}
	return nil
}

// group returns the workloads of one group.
func (r *result) group(name string) []work {
	var all []work
	for _, w := range r.Work {
		if w.Group == name {
			all = append(all, w)
		}
	}
	return all
}

// add appends the passes of other to those of r.
func (r *result) add(other *result) error {
	for _, f := range [][3]string{{"CPU", r.CPU, other.CPU}, {"commit", r.Commit, other.Commit}, {"kernel", r.Kernel, other.Kernel},
		{"Go version", r.Go, other.Go}, {"system", r.OS + "/" + r.Arch, other.OS + "/" + other.Arch}} {
		if f[1] != f[2] {
			return fmt.Errorf("the %s is %q, but %q in the result so far", f[0], f[2], f[1])
		}
	}
	r.Date, r.Reps, r.Run, r.Pinned, r.Note, r.Peers = other.Date, other.Reps, other.Run, other.Pinned, other.Note, other.Peers
	for _, w := range other.Work {
		have := r.find(w.Name)
		if have == nil {
			r.Work = append(r.Work, w)
			continue
		}
		for _, c := range w.Cases {
			if old := have.find(c.Name); old != nil {
				old.NS = append(old.NS, c.NS...)
			} else {
				have.Cases = append(have.Cases, c)
			}
		}
	}
	order := map[string]int{}
	for i, w := range workloads("") {
		order[w.name] = i + 1
	}
	slices.SortStableFunc(r.Work, func(a, b work) int { return cmp.Compare(order[a.Name], order[b.Name]) })
	return nil
}

// passes returns how many times the workloads were measured.
func (r *result) passes() int {
	n := 0
	for _, w := range r.Work {
		for _, c := range w.Cases {
			n = max(n, len(c.NS))
		}
	}
	return n
}

// head returns a line that says where the figures come from.
func (r *result) head() string {
	s := fmt.Sprintf("%s, %s/%s, %s, kernel %s, commit %s, %s, %s", r.CPU, r.OS, r.Arch, r.Go, r.Kernel, r.Commit, r.Date, r.Pinned)
	if r.Note != "" {
		s += ", " + r.Note
	}
	return s
}

// command returns the command that makes a result like r.
func (r *result) command() string {
	return fmt.Sprintf("go run . -passes %d -reps %d -run %s -o ../results", r.passes(), r.Reps, r.Run)
}

// name returns the name of r's files, without their endings.
func (r *result) name() string {
	return fmt.Sprintf("%s-%s-%s-%s", slug(r.CPU), r.OS, r.Arch, slug(r.Go))
}

// slug keeps letters, digits and dots, in lower case. Anything between them becomes one
// hyphen.
func slug(s string) string {
	var out []byte
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.':
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		default:
			if len(out) > 0 && out[len(out)-1] != '-' {
				out = append(out, '-')
			}
			continue
		}
		out = append(out, c)
	}
	if n := len(out); n > 0 && out[n-1] == '-' {
		out = out[:n-1]
	}
	return string(out)
}

func readResult(name string) (*result, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := new(result)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, r.check(name)
}

func (r *result) check(name string) error {
	if r.CPU == "" || len(r.Work) == 0 {
		return fmt.Errorf("%s: no CPU or no workloads in it", name)
	}
	for _, w := range r.Work {
		for _, c := range w.Cases {
			if len(c.NS) == 0 || slices.Min(c.NS) <= 0 {
				return fmt.Errorf("%s: %s, %s: no times, or one that is not positive", name, w.Name, c.Name)
			}
		}
	}
	return nil
}

// write makes all files of r in the folder dir.
func (r *result) write(dir string) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	data = append(onLines(data), '\n')
	base := filepath.Join(dir, r.name())
	charts, err := drawCharts(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	all := map[string][]byte{".json": data, ".txt": benchmarkText(r), ".md": markdown(r)}
	for name, svg := range charts {
		all["-"+name+".svg"] = svg
	}
	for ending, text := range all {
		err = errors.Join(err, os.WriteFile(base+ending, text, 0o666))
	}
	return err
}

// onLines puts each list of numbers onto one line.
func onLines(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); i++ {
		out = append(out, data[i])
		if data[i] != '[' {
			continue
		}
		j := i + 1
		for j < len(data) && (data[j] == ' ' || data[j] == '\n' || data[j] == ',' || data[j] == '.' || data[j] == 'e' || data[j] == '+' || data[j] == '-' || data[j] >= '0' && data[j] <= '9') {
			j++
		}
		if j < len(data) && data[j] == ']' {
			for _, c := range data[i+1 : j] {
				if c != ' ' && c != '\n' {
					out = append(out, c)
				}
			}
			i = j - 1
		}
	}
	return out
}
