package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gonum.org/v1/plot/vg"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/impl"
)

// A comparison of speed is fair only between functions with equal answers. Known
// differences are listed here.
func TestPeersAgree(t *testing.T) {
	wrong := map[string]string{
		"go-redis": `wrong for 1 of 20020 keys, "" among them`, // a random slot
	}
	for _, p := range checkedPeers() {
		want, known := wrong[p.Name]
		assert.Equal(t, known, p.Wrong, "%s: %s", p.Name, p.Answers)
		if known {
			assert.Equal(t, want, p.Answers, p.Name)
		}
		assert.NotEmpty(t, p.Module)
	}
}

// The check notices mistakes that other implementations have made.
func TestWrongPeersAreMarked(t *testing.T) {
	right := func(key string) uint16 { return uint16(hashslot.Of(key)) }
	for name, p := range map[string]slotPeer{
		"no tags":          {str: func(k string) uint16 { return bytewiseSum(k) % 16384 }},
		"the last brace":   {str: func(k string) uint16 { return lastBrace(k) }},
		"another checksum": {str: func(k string) uint16 { return right(k) ^ 1 }},
		"empty at random": {str: func() func(string) uint16 {
			n := uint16(0)
			return func(k string) uint16 { n++; return right(k) + n*uint16(1-min(1, len(k))) }
		}()},
		"tags, unasked": {str: right, noTags: true},
	} {
		p.module = here
		assert.True(t, p.checked().Wrong, name)
	}
	assert.False(t, slotPeer{str: right, module: here}.checked().Wrong)
}

func lastBrace(key string) uint16 {
	if i, j := strings.IndexByte(key, '{'), strings.LastIndexByte(key, '}'); i >= 0 && j > i+1 {
		key = key[i+1 : j]
	}
	return bytewiseSum(key) % 16384
}

func TestEveryWorkloadRuns(t *testing.T) {
	allowed = cpus()
	yours = []string{"one", "two", ""}
	defer func() { yours = nil }()
	names, in := map[string]bool{}, map[string]bool{}
	for _, w := range workloads("FILE") {
		assert.False(t, names[w.name], "two workloads %q", w.name)
		names[w.name] = true
		assert.Equal(t, w.group != "", w.at != "" && slices.Contains(groups, w.group), w.name)
		assert.False(t, w.group != "" && in[w.group+w.at], "two workloads at %s of %q", w.at, w.group)
		in[w.group+w.at] = true
		assert.True(t, w.units > 0 != (w.bytes > 0), w.name)
		all := w.contenders()
		contenders := map[string]bool{}
		for _, c := range all {
			assert.False(t, contenders[c.name], "%s: two contenders %q", w.name, c.name)
			contenders[c.name] = true
			if !testing.Short() || w.units <= 4096 {
				assert.Positive(t, timed(c, 1), "%s, %s", w.name, c.name)
			}
		}
	}
	for _, group := range groups {
		assert.True(t, slices.ContainsFunc(workloads(""), func(w workload) bool { return w.group == group }), group)
	}
	for _, c := range charts {
		for _, p := range c.pairs {
			assert.True(t, names[p[0]] && names[p[1]], "chart %s: %v", c.name, p)
		}
	}
}

// All contenders take the same number of turns, and their times are sorted.
func TestMeasure(t *testing.T) {
	var order []int
	var all []contender
	for i := range 3 {
		all = append(all, contender{name: fmt.Sprint(i), run: func() uint64 { order = append(order, i); return 0 }})
	}
	for _, times := range measure(all, 5, 0) {
		assert.Len(t, times, 5)
		assert.True(t, slices.IsSorted(times))
	}
	assert.Equal(t, []int{0, 1, 2, 1, 2, 0, 2, 0, 1, 0, 1, 2, 1, 2, 0}, order[len(order)-15:], "by turns, in an order that rotates")
}

// The committed results are what this code makes of their figures: names and charts of an
// older version would contradict the pages that explain them.
func TestCommittedResults(t *testing.T) {
	files, err := filepath.Glob("../results/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		r, err := readResult(file)
		require.NoError(t, err)
		dir := t.TempDir()
		require.NoError(t, r.write(dir))
		made, err := filepath.Glob(filepath.Join(dir, "*"))
		require.NoError(t, err)
		for _, name := range made {
			if filepath.Ext(name) == ".svg" && runtime.GOARCH != "amd64" {
				continue // other CPUs round differently
			}
			got, err := os.ReadFile(name)
			require.NoError(t, err)
			want, err := os.ReadFile(filepath.Join("../results", filepath.Base(name)))
			require.NoError(t, err)
			assert.True(t, bytes.Equal(want, got), "%s is out of date: go run . -passes 0 -o ../results -add", filepath.Base(name))
		}
	}
}

// A pass appends its times to the result: per key, or per run for buffers.
func TestPass(t *testing.T) {
	work := func(w workload) workload {
		w.contenders = func() []contender {
			return []contender{{name: "a", run: func() uint64 { time.Sleep(time.Millisecond); return 0 }}, {name: "b", peer: here, run: func() uint64 { return 0 }}}
		}
		return w
	}
	list := []workload{work(workload{name: "keys", units: 1000}), work(workload{name: "buffer", bytes: 1000})}
	r, shown := new(result), 0
	for range 2 {
		pass(r, list, func(c contender) bool { return c.name == "a" }, 1, 0, func(workload, []contender, [][]float64) { shown++ })
	}
	assert.Equal(t, 4, shown)
	for i, least := range []float64{1e3, 1e6} {
		assert.Len(t, r.Work[i].Cases, 1)
		assert.Len(t, r.Work[i].Cases[0].NS, 2)
		for _, ns := range r.Work[i].Cases[0].NS {
			assert.GreaterOrEqual(t, ns, least*0.999, "a sleep lasts at least its duration")
		}
	}
	assert.Equal(t, "ns a key", r.Work[0].Unit)
}

func TestReadKeys(t *testing.T) {
	name := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(name, []byte("a\n\n{b}c"), 0o666))
	keys, err := readKeys(name)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "", "{b}c"}, keys)
	require.NoError(t, os.WriteFile(name, nil, 0o666))
	_, err = readKeys(name)
	assert.ErrorContains(t, err, "no keys")
	require.NoError(t, os.WriteFile(name, []byte("a\n"+strings.Repeat("x", 1<<21)), 0o666))
	_, err = readKeys(name)
	assert.ErrorContains(t, err, "line 2")
	_, err = readKeys(name + "not")
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestCPUNames(t *testing.T) {
	for _, test := range []struct {
		brand         string
		family, model int
		want, slug    string
	}{
		{"Intel(R) Xeon(R) Processor", 6, 207, "Intel Xeon Processor (family 6 model 207)", "intel-xeon-processor-family-6-model-207"},
		{"AMD EPYC 9R14  ", 25, 17, "AMD EPYC 9R14", "amd-epyc-9r14"},
		{"Apple M1 (Virtual)", 0, 0, "Apple M1 (Virtual)", "apple-m1-virtual"},
		{"", 0, 0, "unknown CPU", "unknown-cpu"},
	} {
		got := named(test.brand, test.family, test.model)
		assert.Equal(t, test.want, got)
		assert.Equal(t, test.slug, slug(got))
	}
	for text, want := range map[string]string{
		"processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd49\n": "Neoverse N2",
		"CPU implementer\t: 0x41\nCPU part\t: 0xfff\n":                 "implementer 0x41 part 0xfff",
		"CPU implementer\t: 0x61\nCPU part\t: 0xd49\n":                 "implementer 0x61 part 0xd49",
		"model name\t: x\n": "",
	} {
		assert.Equal(t, want, armName(bufio.NewScanner(strings.NewReader(text))), text)
	}
	assert.NotEmpty(t, cpuName())
}

// sample is an invented result of all workloads: each contender takes its number in ns,
// and less in a pass with a faster clock.
func sample(passes int) *result {
	r := &result{CPU: "CPU 1", OS: "linux", Arch: "amd64", Go: "go1.26.8", Kernel: impl.Current(), Commit: "abcdef1", Date: "2026-11-27", Reps: 3, Run: "60µs",
		Pinned: "pinned to CPU 1", Peers: []peerInfo{{"go-redis", "github.com/redis/go-redis/v9 v9.23.0", `wrong for "|"`, true}}}
	for _, w := range sampleWork() {
		w.Cases = slices.Clone(w.Cases)
		for i := range w.Cases {
			for p := range passes {
				w.Cases[i].NS = append(w.Cases[i].NS, float64(i+2)*(1+0.5*float64(p%2)))
			}
		}
		r.Work = append(r.Work, w)
	}
	return r
}

// sampleWork has no times yet.
var sampleWork = sync.OnceValue(func() []work {
	allowed = []int{0, 1, 2, 3}
	var all []work
	for _, w := range workloads("") {
		if w.group == "" {
			continue
		}
		into := work{Name: w.name, Group: w.group, At: w.at, X: w.x, Unit: "ns a key", Bytes: w.bytes}
		for _, c := range w.contenders() {
			into.Cases = append(into.Cases, timing{Name: c.name, Kernel: c.kernel, Peer: c.peer})
		}
		all = append(all, into)
	}
	return all
})

func TestFiles(t *testing.T) {
	r := sample(3)
	dir := filepath.Join(t.TempDir(), "new")
	require.NoError(t, r.write(dir))
	base := filepath.Join(dir, "cpu-1-linux-amd64-go1.26.8")

	again, err := readResult(base + ".json")
	require.NoError(t, err)
	assert.Equal(t, r, again)

	md, err := os.ReadFile(base + ".md")
	require.NoError(t, err)
	for _, group := range groups {
		assert.Contains(t, string(md), "\n## "+group+"\n")
	}
	assert.Contains(t, string(md), "| go-redis* |")
	assert.Contains(t, string(md), `**wrong for "\|"**`)
	for _, m := range regexp.MustCompile(`(?:src|srcset)="([^"]*)"`).FindAllStringSubmatch(string(md), -1) {
		svg, err := os.ReadFile(filepath.Join(dir, m[1]))
		require.NoError(t, err)
		assertXML(t, svg)
	}
	lines := strings.Split(string(md), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "|") && i > 0 && strings.HasPrefix(lines[i-1], "|") {
			columns := func(s string) int { return strings.Count(strings.ReplaceAll(s, `\|`, ""), "|") }
			assert.Equal(t, columns(lines[i-1]), columns(line), line)
		}
	}
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, 3+2*len(charts))

	text, err := os.ReadFile(base + ".txt")
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^BenchmarkOne_key,16_bytes/by=Of-1\t1\t2 ns/op$`, string(text))
	assert.Regexp(t, `(?m)^BenchmarkChecksum,1024_bytes,offset_0/by=Checksum-1\t1\t2 ns/op\t5.12e\+05 MB/s$`, string(text))
	for line := range strings.Lines(string(text)) {
		assert.Regexp(t, `^(Benchmark[A-Z][^ \t]*-1\t1\t[^ ]+ ns/op(\t[^ ]+ MB/s)?|[a-z]+: .*)\n$`, line)
	}
}

func assertXML(t *testing.T, data []byte) {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(data)); ; {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if !assert.NoError(t, err) {
			return
		}
	}
}

// Each line of a chart has a look and a label of its own, also without colour.
func TestChartsWithoutColour(t *testing.T) {
	r := sample(1)
	for _, c := range charts {
		seen, labels := map[string]string{}, map[string]bool{}
		for _, s := range c.series(r) {
			l := lookOf(s.name)
			key := fmt.Sprintf("%T %v", l.mark, l.dash)
			assert.Empty(t, seen[key], "chart %s: %s looks like", c.name, s.name)
			seen[key] = s.name
			assert.False(t, labels[labelOf(r, s.name)], "chart %s: two labels %s", c.name, labelOf(r, s.name))
			labels[labelOf(r, s.name)] = true
			for _, theme := range themes {
				assert.Contains(t, theme.palette, l.colour)
			}
		}
		assert.True(t, c.has(r), c.name)
	}
	assert.Empty(t, must(drawCharts(&result{})), "charts of nothing")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestLabelsDoNotTouch(t *testing.T) {
	for _, ys := range [][]float64{{1}, {10, 10, 10}, {0, 5, 100, 104, 109}, {300, 299, 298, 0}, {7, 6, 5, 4, 3, 2, 1}} {
		var all []endLabel
		for _, y := range ys {
			all = append(all, endLabel{from: vg.Point{Y: vg.Length(y)}})
		}
		spread(all, 0, 300)
		for i, e := range all {
			assert.True(t, e.y >= 0 && e.y <= 300, ys)
			if i > 0 {
				assert.GreaterOrEqual(t, float64(e.y-all[i-1].y), float64(lineHeight)-1e-9, ys)
				assert.GreaterOrEqual(t, e.from.Y, all[i-1].from.Y, "in the order of the lines")
			}
		}
	}
}

func TestAdd(t *testing.T) {
	r := sample(2)
	one := sample(1)
	one.Work[0].Cases = append(one.Work[0].Cases, timing{Name: "new", NS: []float64{1}})
	r.Work = r.Work[1:]
	require.NoError(t, r.add(one))
	assert.Equal(t, one.Work[0].Name, r.Work[0].Name, "in the order of the workloads")
	assert.Len(t, r.Work[0].find("new").NS, 1)
	assert.Len(t, r.Work[1].Cases[0].NS, 3)
	assert.Equal(t, 3, r.passes())
	for _, change := range []func(*result){
		func(r *result) { r.CPU = "CPU 2" }, func(r *result) { r.Commit = "x" }, func(r *result) { r.Kernel = "x" },
		func(r *result) { r.Go = "go1" }, func(r *result) { r.Arch = "arm64" },
	} {
		other := sample(1)
		change(other)
		assert.Error(t, r.add(other))
	}
}

func TestResultsThatAreNone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.json")
	for _, text := range []string{"", "{}", "[]", `{"CPU":"x","Work":[]}`, `{"CPU":"x","Work":[{"Cases":[{"Name":"y","ns":[]}]}]}`,
		`{"CPU":"x","Work":[{"Cases":[{"Name":"y","ns":[0]}]}]}`} {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o666))
		_, err := readResult(name)
		assert.Error(t, err, text)
	}
	for _, r := range []*result{sample(1)} {
		data, err := json.Marshal(r)
		require.NoError(t, err)
		assert.JSONEq(t, string(data), string(onLines(data)))
	}
}

// The noise is the spread of the passes without the effect of the clock.
func TestBaseline(t *testing.T) {
	const name = "one key, 16 bytes"
	compare := func(old, now *result) *comparison {
		t.Helper()
		c, err := now.against(old)
		require.NoError(t, err)
		return c
	}
	slower := func(c *comparison) (names []string) {
		for _, ch := range c.changes {
			if ch.slower() {
				names = append(names, ch.work+": "+ch.name)
			}
		}
		return names
	}
	scale := func(r *result, by float64, name string) {
		for _, w := range r.Work {
			for i := range w.Cases {
				if name == "" || w.Name == name && w.Cases[i].Name == "Of" {
					for p := range w.Cases[i].NS {
						w.Cases[i].NS[p] *= by
					}
				}
			}
		}
	}
	old := sample(5)
	c := compare(old, sample(5))
	assert.Empty(t, slower(c))
	assert.False(t, c.write(io.Discard))
	for _, ch := range c.changes {
		assert.False(t, ch.faster())
		if !strings.Contains(ch.work, "divided by owner") {
			assert.InDelta(t, floor, ch.noise, 1e-9, "%s, %s: the clock is not noise", ch.work, ch.name)
		}
	}

	now := sample(4)
	scale(now, 1.7, "") // a slower clock
	assert.Empty(t, slower(compare(old, now)))

	now = sample(5)
	scale(now, 1.07, name)
	c = compare(old, now)
	assert.Equal(t, []string{name + ": Of"}, slower(c))
	var out bytes.Buffer
	assert.True(t, c.write(&out))
	assert.Contains(t, out.String(), "**1 of "+fmt.Sprint(len(c.changes))+" cases slower, 0 faster.**")
	assert.Regexp(t, `(?m)^\| one key, 16 bytes: Of \| 2.00 \| 2.14 \| \+7% \| ±5% \| \*\*slower\*\* \|$`, out.String())
	out.Reset()
	assert.False(t, compare(now, old).write(&out), "faster is not slower")
	assert.Contains(t, out.String(), "| -7% | ±5% | faster |")

	// The noise of either result explains a difference of its size.
	noisy := sample(5)
	noisy.find(name).find("Of").NS[0] *= 1.1
	c = compare(old, noisy)
	assert.Empty(t, slower(c))
	i := slices.IndexFunc(c.changes, func(ch change) bool { return ch.work == name && ch.name == "Of" })
	assert.InDelta(t, floor+0.1, c.changes[i].noise, 1e-9, "one pass of five took a tenth more")
	scaled := sample(5)
	scale(scaled, 1.07, name)
	assert.Empty(t, slower(compare(noisy, scaled)))

	// A peer of another version is not a yardstick.
	moved := sample(5)
	for i, c := range moved.find(name).Cases {
		if c.Peer != "" {
			moved.find(name).Cases[i].Peer += "1"
			moved.find(name).Cases[i].NS = []float64{1, 1, 1, 1, 1}
		}
	}
	for _, n := range slower(compare(old, moved)) {
		assert.False(t, strings.HasPrefix(n, name))
	}

	fewer := sample(5)
	fewer.Work = fewer.Work[1:]
	c = compare(old, fewer)
	assert.NotEmpty(t, c.missing)
	assert.Zero(t, c.added)
	assert.Equal(t, len(c.missing), compare(fewer, old).added)

	for what, bad := range map[string]func(r *result){
		"CPU":     func(r *result) { r.CPU = "CPU 2" },
		"passes":  func(r *result) { *r = *sample(2) },
		"in both": func(r *result) { r.Work = []work{{Name: "x", Cases: []timing{{Name: "Of", NS: []float64{1, 1, 1}}}}} },
		"linux":   func(r *result) { r.OS = "darwin" },
	} {
		r := sample(3)
		bad(r)
		_, err := r.against(old)
		assert.ErrorContains(t, err, what)
	}
}

// A clock that changes has no effect: only differences between contenders remain.
func TestFigure(t *testing.T) {
	w := &work{Cases: []timing{
		{Name: "ours", NS: []float64{30, 20, 48}},
		{Name: "peer", Peer: here, NS: []float64{40, 50, 60}},
	}}
	ns, spread := w.figure(&w.Cases[0])
	assert.InDelta(t, 0.75*50, ns, 1e-9, "of 0.75, 0.4 and 0.8 of the peer's time")
	assert.InDelta(t, 0.4/2/0.75, spread, 1e-9)
	w.Cases[1].Peer = ""
	ns, spread = w.figure(&w.Cases[0])
	assert.InDelta(t, 30, ns, 1e-9, "without peers")
	assert.InDelta(t, 14./30, spread, 1e-9)
}

func TestCoreCounts(t *testing.T) {
	assert.Equal(t, []int{1}, coreCounts(0))
	assert.Equal(t, []int{1}, coreCounts(1))
	assert.Equal(t, []int{1, 2}, coreCounts(2))
	assert.Equal(t, []int{1, 2, 4, 6}, coreCounts(6))
}

// Work for many cores is done completely on machines with fewer, too.
func TestTogether(t *testing.T) {
	allowed = cpus()
	assert.EqualValues(t, coreRounds*(0+1+2+3+4), together(5, func(core int) uint64 { return uint64(core) }))
}
