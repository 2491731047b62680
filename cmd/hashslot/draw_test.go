package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
)

func readOwners(t *testing.T, svg string) *picture {
	return readPicture(t, svg, "#", "id", "address", "slots", "ranges")
}

// TestDraw checks that the slots, the legend and "hashslot check" agree.
func TestDraw(t *testing.T) {
	captured := captures(t)
	var many strings.Builder // shards that have two ranges each
	for i := range 35 {
		fmt.Fprintf(&many, "%040x h%d:1@2 master - 0 0 %d connected %d-%d %d\n", i, i, i+1, 100*i, 100*i+98, 16000-i)
	}
	for name, nodes := range map[string]string{
		"three":       "testdata/nodes.txt",
		"single":      captured + "redis-7.0.15/single_node/17231.nodes.txt",
		"gaps":        captured + "redis-7.0.15/gaps_partial_coverage/17261.nodes.txt",
		"alternating": captured + "redis-7.0.15/alternating_all_single_slots/17265.nodes.txt",
		"nothing":     captured + "redis-7.0.15/empty_cluster_node/17282.nodes.txt",
		"migrating":   captured + "redis-7.0.15/migrating/17101.nodes.txt",
		"IPv6":        captured + "valkey-8.0.1/ipv6/17241.nodes.txt",
		"many":        "-",
	} {
		t.Run(name, func(t *testing.T) {
			var want clusterJSON
			require.NoError(t, json.Unmarshal([]byte(runOn(many.String(), "check", "-format", "json", "-nodes", nodes, "-host", "127.0.0.1").out), &want))
			r := runOn(many.String(), "draw", "-nodes", nodes, "-host", "127.0.0.1")
			require.Equal(t, result{out: r.out}, r)
			got := readOwners(t, r.out)
			rows := len(want.Shards)
			rest := slotmap.MustParseSet("0-16383")
			require.GreaterOrEqual(t, len(got.legend), rows)
			colours := map[string]int{}
			for i, s := range want.Shards {
				l := got.legend[i]
				require.Regexp(t, "^#[0-9a-f]{6}$", l[0])
				assert.Equal(t, strconv.Itoa(i+1), l[1])
				assert.True(t, strings.HasPrefix(s.ID, l[2]) && len(l[2]) >= 8 || s.ID == l[2], l[2])
				assert.Equal(t, plain(s.Addr), l[3])
				assert.Equal(t, strconv.Itoa(s.Slots.Len()), l[4])
				assert.Equal(t, firstRanges(s.Slots), l[5])
				title := l[1] + " " + l[2] + " " + l[3]
				for slot := range s.Slots.Slots() {
					if got.colours[slot] != l[0] || got.titles[slot] != title {
						t.Fatalf("slot %d: %s %q, want %s %q", slot, got.colours[slot], got.titles[slot], l[0], title)
					}
				}
				rest = rest.Subtract(s.Slots)
				if before, ok := colours[l[0]]; ok {
					assert.Equal(t, i-len(palette), before, "a colour repeats too early")
				}
				colours[l[0]] = i
			}
			assert.Len(t, colours, min(rows, len(palette)))
			assert.Equal(t, rows > len(palette), strings.Contains(r.out, ">Colours repeat after 10 shards<"))
			for slot := range rest.Slots() {
				require.Equal(t, hatched, got.colours[slot], "slot %d", slot)
			}
			if !rest.IsEmpty() {
				rows++
				assert.Equal(t, []string{hatched, "-", "-", "unassigned", strconv.Itoa(rest.Len()), firstRanges(rest)}, got.legend[rows-1])
			}
			assert.Len(t, got.legend, rows)
			assert.Equal(t, !rest.IsEmpty(), strings.Contains(r.out, `<pattern id="hatched"`))
			open := map[int]bool{}
			for _, o := range want.Migrating {
				open[int(o.Slot)] = true
			}
			assert.Equal(t, open, got.open)
			assert.Equal(t, len(open) > 0, strings.Contains(r.out, ">Open slots<"))
		})
	}
}

func TestDrawOpen(t *testing.T) {
	const a = "a h:1@2 myself,master - 0 0 1 connected 0-9 [3->-b] [5->-b] [7->-c] [12-<-b]\n"
	const b = "b h:2@2 master - 0 0 2 connected 10-16382\nc h:3@2 master - 0 0 3 connected\n"
	p := readOwners(t, runOn(a+b, "draw", "-nodes", "-").out)
	assert.Equal(t, map[int]bool{3: true, 5: true, 7: true, 12: true}, p.open)
	assert.Equal(t, p.colours[0], p.colours[3], "an open slot keeps the colour of its owner")
	assert.Equal(t, hatched, p.colours[16383])
	assert.Equal(t, []string{"open, on top of the colour", "4", "No shard has a replica", "Open slots",
		"3 5: from a to b, migrating", "7: from a to c, migrating", "12: from b to a, importing"}, p.notes)

	// Both ends of a move, and a slot that two nodes import.
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a": "a h:1@2 myself,master - 0 0 1 connected 0-16383 [3->-b]\nb h:2@2 master - 0 0 2 connected\nc h:3@2 master - 0 0 3 connected\n",
		"b": "a h:1@2 master - 0 0 1 connected 0-16383\nb h:2@2 myself,master - 0 0 2 connected [3-<-a]\nc h:3@2 master - 0 0 3 connected\n",
		"c": "a h:1@2 master - 0 0 1 connected 0-16383\nb h:2@2 master - 0 0 2 connected\nc h:3@2 myself,master - 0 0 3 connected [3-<-a]\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	p = readOwners(t, runOn("", "draw", "-nodes", filepath.Join(dir, "a"), "-nodes", filepath.Join(dir, "b"), "-nodes", filepath.Join(dir, "c")).out)
	assert.Equal(t, map[int]bool{3: true}, p.open)
	assert.Equal(t, []string{"open, on top of the colour", "1", "Open slots",
		"3: from a to b, migrating and importing", "3: from a to c, importing"}, p.notes)

	// Many moves.
	var line strings.Builder
	line.WriteString("a h:1@2 myself,master - 0 0 1 connected 0-16383")
	for i := range 13 {
		fmt.Fprintf(&line, " [%d->-n%d]", i, i)
	}
	p = readOwners(t, runOn(line.String()+"\n", "draw", "-nodes", "-").out)
	assert.Len(t, p.open, 13)
	require.Len(t, p.notes, 14)
	assert.Equal(t, "and 3 more moves", p.notes[13])
}

// The content of a file cannot become markup, and ids are shown long enough to differ.
func TestDrawText(t *testing.T) {
	long := strings.Repeat("0", 20)
	r := runOn("<b>&\"'\x1b\xff h<1>:1@2 myself,master - 0 0 1 connected 0-9\n"+
		long+"1 "+strings.Repeat("x", 60)+":65535@2 master - 0 0 2 connected 10-19 21 23 25\n"+
		long+"2 h:2@2 master - 0 0 3 connected 30 32 34 36 38\n", "draw", "-nodes", "-", "-host", "h")
	require.Equal(t, exitOK, r.code, r.errOut)
	p := readOwners(t, r.out)
	require.Len(t, p.legend, 4)
	assert.Equal(t, `<b>&"'\x1b\xff h<1>:1 10 0-9`, strings.Join(p.legend[0][2:], " "))
	assert.Equal(t, long+"1 "+strings.Repeat("x", 20)+"…"+strings.Repeat("x", 13)+":65535 13 10-19 21 23 25", strings.Join(p.legend[1][2:], " "))
	assert.Equal(t, long+"2 h:2 5 30 32 34 and 2 more", strings.Join(p.legend[2][2:], " "))
}

func TestDrawFile(t *testing.T) {
	const nodes = "testdata/nodes.txt"
	file := filepath.Join(t.TempDir(), "slots.svg")
	assert.Equal(t, result{}, runOn("", "draw", "-nodes", nodes, "-o", file))
	svg, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, result{out: string(svg)}, runOn("", "draw", "-nodes", nodes))
	assert.Equal(t, result{out: string(svg)}, runOn("", "draw", "-nodes", nodes, "-o", "-"))

	r := runOn("", "draw", "-nodes", nodes, "-o", t.TempDir())
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.errOut, "hashslot draw: open ")
	for _, c := range []struct {
		args string
		want result
	}{
		{"draw", result{2, "", "hashslot draw: name a FILE with a view of the cluster, or - for standard input (hashslot draw -h for help)\n"}},
		{"draw - -", result{2, "", "hashslot draw: standard input (-) can be read only once (hashslot draw -h for help)\n"}},
		{"draw -nodes -", result{1, "", "hashslot draw: standard input: the input is empty; expected " + viewFormats + "\n"}},
	} {
		assert.Equal(t, c.want, runOn("", strings.Fields(c.args)...), c.args)
	}
}

// Problems of a shard can be seen without colours.
func TestDrawStates(t *testing.T) {
	const nodes = "a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-5\nb 10.0.0.2:1@2 master,fail - 0 0 2 connected 6-99\n" +
		"c 10.0.0.3:1@2 master,fail? - 0 0 3 connected 100-999\nd 10.0.0.2:2@2 slave a 0 0 1 connected\ng 10.0.0.5:1@2 master - 0 0 5 connected 1000-16383\ne 10.0.0.3:2@2 slave,fail g 0 0 2 connected\n"
	p := readPicture(t, runOn(nodes, "draw", "-").out, "#", "id", "address", "state", "slots", "ranges")
	for slot, want := range map[int]string{0: "", 5: "", 6: "failed", 99: "failed", 100: "suspected", 1000: "bare", 16383: "bare"} {
		if want != "" {
			want = "url(#" + want + ")"
		}
		assert.Equal(t, want, p.marks[slot], slot)
	}
	var states []string
	for _, l := range p.legend {
		states = append(states, l[4])
	}
	assert.Equal(t, []string{"", "failed", "suspected", "no replica"}, states)
	assert.Empty(t, p.notes)
	const loading = `[{"slots":[0,16383],"nodes":[{"id":"a","port":1,"ip":"h","endpoint":"h","role":"master","replication-offset":1,"health":"loading"}]}]`
	p = readPicture(t, runOn(loading, "draw", "-").out, "#", "id", "address", "state", "slots", "ranges")
	assert.Equal(t, "url(#loading)", p.marks[77])
	// If no shard has a replica, no shard is marked for that.
	p = readOwners(t, runOn("a h:1@2 myself,master - 0 0 1 connected 0-5\nb h:2@2 master - 0 0 2 connected 6-16383\n", "draw", "-").out)
	assert.Empty(t, p.marks[0])
	assert.Equal(t, []string{"No shard has a replica"}, p.notes)
}

// Many shards fill several columns, and still more are shown in groups.
func TestDrawMany(t *testing.T) {
	cluster := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%08x h%d:1@2 master - 0 0 %d connected %d-%d\n", i, i, i+1, 16384*i/n, 16384*(i+1)/n-1)
		}
		return b.String()
	}
	svg := runOn(cluster(100), "draw", "-").out
	assert.Equal(t, 3, strings.Count(svg, ">address<"))
	for i := range 100 {
		assert.Equal(t, 1, strings.Count(svg, fmt.Sprintf(">h%d:1<", i)))
	}
	svg = runOn(cluster(1000), "draw", "-", "-theme", "dark").out
	p := readOwners(t, svg)
	require.Len(t, p.legend, 39)
	total := 0
	for _, l := range p.legend {
		n, err := strconv.Atoi(l[4])
		require.NoError(t, err)
		total += n
	}
	assert.Equal(t, 16384, total)
	assert.Equal(t, []string{"1-26", "00000000", "h0:1 and 25 more", "425", "0-424"}, p.legend[0][1:])
	for slot, title := range p.titles {
		if slot > 0 && p.titles[slot-1] != title {
			require.NotEqual(t, p.colours[slot-1], p.colours[slot], "slot %d has no border", slot)
		}
	}
	assert.NotContains(t, svg, "prefers-color-scheme")
	assert.Contains(t, runOn(cluster(1), "draw", "-").out, "@media (prefers-color-scheme:dark)")
	assert.Equal(t, result{2, "", "hashslot draw: -theme must be auto, light or dark, not \"x\" (hashslot draw -h for help)\n"}, runOn("", "draw", "-", "-theme", "x"))
}

func TestDrawChange(t *testing.T) {
	file := filepath.Join(t.TempDir(), "before")
	require.NoError(t, os.WriteFile(file, []byte("a h:1@2 myself,master - 0 0 1 connected 0-99\nb h:2@2 master - 0 0 2 connected 100-16382\n"), 0o600))
	r := runOn("a h:1@2 myself,master - 0 0 1 connected 0-49\nb h:3@2 master - 0 0 2 connected 50-16000\nc h:4@2 master - 0 0 3 connected 16002-16383\n", "draw", "-before", file, "-")
	require.Empty(t, r.errOut)
	p := readPicture(t, r.out, "#", "from", "to", "slots", "ranges")
	require.Len(t, p.legend, 5)
	assert.Equal(t, []string{"", "", "unchanged", "", "15951", "0-49 100-16000"}, p.legend[0])
	assert.Equal(t, []string{"1", "a h:1", "b h:3", "50", "50-99"}, p.legend[1][1:])
	assert.Equal(t, []string{hatched, "2", "b h:2", "nobody", "1", "16001"}, p.legend[2])
	assert.Equal(t, []string{"3", "b h:2", "c h:4", "381", "16002-16382"}, p.legend[3][1:])
	assert.Equal(t, []string{"4", "nobody", "c h:4", "1", "16383"}, p.legend[4][1:])
	for slot, row := range map[int]int{0: 0, 49: 0, 50: 1, 99: 1, 100: 0, 16001: 2, 16002: 3, 16383: 4} {
		assert.Equal(t, p.legend[row][0], p.colours[slot], slot)
	}
	assert.Contains(t, r.out, ">433 of 16384 slots change their owner<")
	assert.Equal(t, exitUsage, runOn("", "draw", "-before", "-", "-").code)
	assert.Equal(t, exitFailed, runOn("", "draw", "-before", "-", file).code)
}

var paths = regexp.MustCompile(` d="M\d+ \d+h\d+v\d+h-\d+z[^"]*"`)

// withoutPaths is an SVG without the places of the slots, which readPicture reads.
func withoutPaths(svg []byte) string { return paths.ReplaceAllString(string(svg), "") }

// golden1 has kinds with all marks, labels, open slots and notes.
func golden1() *slotMap {
	m := &slotMap{title: "A & B", theme: "light", columns: []string{"#", "id"}, detail: "ranges", labels: true, open: []hashslot.Slot{0, 130, 16383}, notes: []string{"a note", "<b>"}}
	for i, mark := range []string{"failed", "suspected", "loading", "bare", "", "", ""} {
		m.kinds = append(m.kinds, slotKind{colour: shardColour(i), mark: mark, cells: []string{fmt.Sprint(i + 1), mark}, detail: "0-9"})
	}
	m.kinds[4].colour, m.kinds[5].colour, m.kinds[6].cells[0] = hatched, "", ""
	for slot := range m.kind {
		switch { // 384 slots are enough for a label, and a short range before a long one is, too
		case slot < 384:
			m.kind[slot] = 0
		case slot < 767, slot >= 16300:
			m.kind[slot] = 1
		case slot < 780, slot >= 800 && slot < 1300:
			m.kind[slot] = 2
		case slot < 1900:
			m.kind[slot] = 4
		case slot < 9000:
			m.kind[slot] = 3
		default:
			m.kind[slot] = 6
		}
	}
	return m
}

// golden2 has two columns of a legend and no detail.
func golden2() *slotMap {
	m := &slotMap{title: "two", columns: []string{"a column"}, detail: "none", notes: []string{strings.Repeat("long ", 60)}}
	for i := range mapLegend + 1 {
		m.kinds = append(m.kinds, slotKind{cells: []string{fmt.Sprint("cell ", i)}, detail: "not shown"})
	}
	return m
}

// What is said of few shards and of many: the title, the state, the groups and the notes.
func TestDrawParts(t *testing.T) {
	draw := func(view string, args ...string) (string, *picture) {
		r := runOn(view, append([]string{"draw", "-"}, args...)...)
		require.Equal(t, result{out: r.out}, r)
		titles := []string{"#", "id", "address", "slots"}
		if strings.Contains(r.out, ">state<") {
			titles = []string{"#", "id", "address", "state", "slots"}
		}
		if strings.Contains(r.out, ">ranges<") {
			titles = append(titles, "ranges")
		}
		return r.out, readPicture(t, r.out, titles...)
	}
	// shards: the first has the most slots, the last is not assigned, and some have a flag.
	shards := func(n int, flags map[int]string) string {
		var b strings.Builder
		for i := range n {
			first, last := 8000+5*i, 8004+5*i
			if i == 0 {
				first = 0
			}
			fmt.Fprintf(&b, "%08x h%d:1@2 master%s - 0 0 %d connected %d-%d\n", i, i, flags[i], i+1, first, last)
		}
		return b.String()
	}
	svg, p := draw("a h:1@2 myself,master - 0 0 1 connected 0-8191\nb " + strings.Repeat("x", 38) + ":1@2 master - 0 0 2 connected 8192-12287\nc " + strings.Repeat("x", 39) + ":1@2 master - 0 0 3 connected 12288-16383\nd h:2@2 slave a 0 0 1 connected\n")
	assert.Contains(t, svg, ">16384 of 16384 slots in 3 shards</text>")
	assert.Equal(t, 3, strings.Count(svg, `class="label"`))
	assert.Equal(t, [][]string{{"1", "a", "h:1", "", "8192", "0-8191"}, {"2", "b", strings.Repeat("x", 38) + ":1", "no replica", "4096", "8192-12287"}, {"3", "c", strings.Repeat("x", 20) + "\u2026" + strings.Repeat("x", 17) + ":1", "no replica", "4096", "12288-16383"}},
		[][]string{p.legend[0][1:], p.legend[1][1:], p.legend[2][1:]})
	assert.Empty(t, p.notes)
	svg, p = draw("a h:1@2 myself,master - 0 0 1 connected 0-16383\nb h:2@2 slave a 0 0 1 connected\n")
	assert.Contains(t, svg, ">16384 of 16384 slots in 1 shard</text>")
	assert.Empty(t, p.notes)
	_, p = draw("a h:1@2 myself,master,fail - 0 0 1 connected 0-8191\nb h:2@2 master - 0 0 2 connected 8192-16383\nc h:3@2 slave b 0 0 2 connected\n")
	assert.Equal(t, []string{"failed", ""}, []string{p.legend[0][4], p.legend[1][4]})
	_, p = draw(`[{"slots":[0,16383],"nodes":[{"id":"a","port":1,"endpoint":"h","role":"master","replication-offset":1,"health":"loading"}]}]`)
	assert.Equal(t, "loading", p.legend[0][4])
	other := filepath.Join(t.TempDir(), "other")
	require.NoError(t, os.WriteFile(other, []byte("a h:1@2 master - 0 0 1 connected 0-4 6-16383\nb h:2@2 myself,master - 0 0 2 connected 5\n"), 0o600))
	_, p = draw("a h:1@2 myself,master - 0 0 1 connected 0-16383\nb h:2@2 master - 0 0 2 connected\n", other)
	assert.Contains(t, p.notes, `Nodes disagree: see "hashslot check"`)

	_, p = draw(shards(10, nil))
	assert.Equal(t, []string{"No shard has a replica"}, p.notes)
	_, p = draw(shards(11, nil))
	assert.Equal(t, []string{"Colours repeat after 10 shards", "No shard has a replica"}, p.notes)
	svg, p = draw(shards(120, nil))
	assert.Contains(t, svg, ">h119:1<")
	assert.Len(t, p.legend, 121)
	for n, size := range map[int]int{121: 4, 156: 4, 157: 5} {
		svg, p := draw(shards(n, map[int]string{1: ",fail", size: ",fail", size + 1: ",fail?"}))
		assert.NotContains(t, svg, `class="label"`)
		assert.Equal(t, []string{"No shard has a replica"}, p.notes)
		rows := (n + size - 1) / size
		require.Len(t, p.legend, rows+1)
		assert.Equal(t, []string{hatched, "-", "-", "unassigned", "", fmt.Sprint(16384 - 8000 - 5*n)}, p.legend[rows][:6])
		for i, marked := range []string{"1 marked", "2 marked", ""} {
			from := i * size
			row := p.legend[i]
			assert.Equal(t, []string{shardColour(i), fmt.Sprintf("%d-%d", from+1, from+size), fmt.Sprintf("%08x", from), fmt.Sprintf("h%d:1 and %d more", from, size-1), marked}, row[:5])
			for k, colour := range []string{row[0], lighter(row[0]), row[0]} {
				assert.Equal(t, colour, p.colours[8000+5*(from+k)])
			}
		}
	}

	// A change: its names have what tells ids apart, and the addresses of both views.
	require.NoError(t, os.WriteFile(other, []byte("000000001 :1@2 myself,master - 0 0 1 connected 0-16383\n"), 0o600))
	p = readPicture(t, runOn("000000002 :2@2 myself,master - 0 0 1 connected 0-16383\n", "draw", "-", "-before", other, "-host", "h").out, "#", "from", "to", "slots", "ranges")
	assert.Equal(t, []string{shardColour(0), "1", "000000001 h:1", "000000002 h:2", "16384", "0-16383"}, p.legend[1])
	assert.Contains(t, runOn("", "draw", "-", "-before", "-", "-theme", "x").errOut, "-theme must be", "the first error")
	owners := func(n, long int) (list []owned) {
		for i := range n {
			list = append(list, owned{fmt.Sprint(i), strings.Repeat("x", long), slotmap.SetOf(slotmap.Range{First: hashslot.Slot(i), Last: hashslot.Slot(i)})})
		}
		return list
	}
	m := drawChange(nil, owners(120, 40))
	assert.True(t, m.labels)
	assert.Equal(t, []string{"and 82 more moves"}, m.notes)
	require.Len(t, m.legend, 39)
	assert.Equal(t, legendRow{m.kinds[38], 1}, m.legend[38])
	assert.Equal(t, 16384-120, m.legend[0].slots)
	assert.Equal(t, "37 "+strings.Repeat("x", 40), m.kinds[38].cells[2])
	m = drawChange(nil, owners(119, 41))
	assert.Nil(t, m.legend)
	assert.Empty(t, m.notes)
	assert.Equal(t, "37 "+strings.Repeat("x", 20)+"\u2026"+strings.Repeat("x", 19), m.kinds[38].cells[2])

	view, _, err := readView([]byte("a h:1@2 myself,master - 0 0 1 connected 0-8191\nb h:2@2 master - 0 0 2 connected 8192-16383\nr h:3@2 slave a 0 0 1 connected\n"), topology.Origin{})
	require.NoError(t, err)
	c := &clusterView{Cluster: view}
	m = drawChanges(c, []change{{slotmap.MustParseSet("0-5"), "b"}, {slotmap.MustParseSet("6-7"), "r"}, {slotmap.MustParseSet("8-9"), "r"}, {slotmap.MustParseSet("0"), ""}})
	require.Len(t, m.kinds, 4)
	assert.Equal(t, []string{hatched, shardColour(1), shardColour(2)}, []string{m.kinds[1].colour, m.kinds[2].colour, m.kinds[3].colour})
	assert.Equal(t, []string{"0", "1-5", "6-9"}, []string{m.kinds[1].detail, m.kinds[2].detail, m.kinds[3].detail})
	for n, want := range map[int]int{0: 0, 1: 2, 20: 21, 21: 22} {
		m = drawBalance(c, plan.Spread{Moves: slices.Repeat([]plan.ReplicaMove{{Replica: "r", From: "a", To: "b"}}, n)})
		assert.Len(t, m.notes, want)
	}
	assert.Equal(t, "and 1 more", drawBalance(c, plan.Spread{Moves: slices.Repeat([]plan.ReplicaMove{{Replica: "r", From: "a", To: "b"}}, 21)}).notes[21])
	for n, want := range map[int]int{0: 0, 1: 2, 10: 11, 11: 12} {
		m, open := slotMap{}, []topology.OpenSlot{}
		for i := range n {
			open = append(open, topology.OpenSlot{Slot: hashslot.Slot(i), From: "a", To: fmt.Sprint(i)})
		}
		m.addOpen(open, func(id string) string { return id })
		assert.Len(t, m.notes, want)
	}
	host := strings.Repeat("x", 59) + ":1"
	svg = runOn("", "plan", "create", "a:1", host[1:], host, "-draw", "-", "-theme", "dark").out
	p = readPicture(t, svg, "#", "from", "to", "slots", "ranges")
	assert.Equal(t, []string{"a:1", host[1:], strings.Repeat("x", 30) + "\u2026" + host[61-29:]}, []string{p.legend[1][3], p.legend[2][3], p.legend[3][3]})
	assert.NotContains(t, svg, "prefers-color-scheme")
	assert.Contains(t, runOn("", "plan", "create", "a:1", "-draw", "-", "-theme", "light").out, style("light"))
}

// All of a picture but the places of the slots, and the ends of one with two columns.
func TestGoldenSVG(t *testing.T) {
	assert.Equal(t, goldenSVG, withoutPaths(golden1().svg()))
	m := golden2()
	svg := string(m.svg())
	assert.True(t, strings.HasPrefix(svg, goldenHead+"\n"), "%.999s", svg)
	assert.Contains(t, svg, goldenTail+"\n<text x=\"882\" y=\"940\">long ")
	assert.Equal(t, goldenHead[strings.Index(goldenHead, "text,"):strings.Index(goldenHead, "@")]+style("")[strings.Index(style(""), ".label"):], style("light"))
	assert.Equal(t, style("")[strings.Index(style(""), "{text")+1:strings.Index(style(""), "}.label")]+style("")[strings.Index(style(""), ".label"):], style("dark"))
	ranges := slotMap{kinds: make([]slotKind, 2)} // of two, the first has the label
	for slot := range ranges.kind {
		if slot/500%2 == 1 || slot > 1500 {
			ranges.kind[slot] = 1
		}
	}
	assert.Equal(t, slotmap.Range{First: 0, Last: 499}, ranges.bars()[0].longest)
	assert.Equal(t, "#aad4c4", lighter("#55a989"))
	assert.Equal(t, "#a5adb9", lighter("#4b5b72"))
	rows := slices.Repeat([]legendRow{{slotKind{cells: []string{"xxxxx", "y"}, detail: strings.Repeat("x", 100)}, 1}}, mapLegend)
	parts := slotMap{columns: []string{"a", "b"}, detail: "d"}
	l := parts.layout(rows)
	assert.Equal(t, legendLayout{at: []int{24, 81}, number: 230, detail: 250, column: 250 + 100*mapChar + 30, width: mapText + 1180, height: 990}, l)
	assert.Zero(t, parts.layout(append(rows, rows[0])).detail, "two columns have none")
	assert.Equal(t, mapText+289, parts.layout(nil).width)
	a, b := strings.Repeat("0", 45), strings.Repeat("0", 44)+"1"
	assert.Equal(t, a[:40], shortIDs(clusterJSON{Migrating: []openJSON{{From: a, To: b}}})(a))
	assert.Equal(t, "000000001", shortIDs(clusterJSON{Migrating: []openJSON{{From: "000000001", To: "000000002"}}})("000000001"))
	m.notes, m.theme = slices.Repeat([]string{"x"}, 9), "dark"
	assert.Contains(t, string(m.svg()), `width="1274" height="1170" `)
}

const goldenSVG = `<svg xmlns="http://www.w3.org/2000/svg" role="img" width="1216" height="888" viewBox="0 0 1216 888" font-family="sans-serif" font-size="13">
<title>A &amp; B</title>
<style>text,.ink{fill:#222}.soft{fill:#666}.paper{fill:#fff}.none{fill:#efefef}.frame{stroke:#888}.label{fill:#000;stroke:#fff;stroke-width:3px;paint-order:stroke}</style>
<defs><pattern id="hatched" width="6" height="6" patternUnits="userSpaceOnUse"><rect width="6" height="6" fill="#fff"/><line x1="0" y1="6" x2="6" y2="0" stroke="#d00"/></pattern><pattern id="failed" width="12" height="12" patternUnits="userSpaceOnUse"><path d="M0 0L12 12M12 0L0 12" stroke="#fff" stroke-width="4"/><path d="M0 0L12 12M12 0L0 12" stroke="#000" stroke-width="2"/></pattern><pattern id="suspected" width="12" height="12" patternUnits="userSpaceOnUse"><path d="M-3 3L3 -3M0 12L12 0M9 15L15 9" stroke="#fff" stroke-width="4"/><path d="M-3 3L3 -3M0 12L12 0M9 15L15 9" stroke="#000" stroke-width="2"/></pattern><pattern id="loading" width="12" height="12" patternUnits="userSpaceOnUse"><circle cx="6" cy="6" r="3.5" fill="#fff"/><circle cx="6" cy="6" r="2.5"/></pattern><pattern id="bare" width="12" height="12" patternUnits="userSpaceOnUse"><path d="M0 9H12" stroke="#fff" stroke-width="3"/><path d="M0 9H12" stroke="#000" stroke-width="1.5"/></pattern></defs>
<rect width="100%" height="100%" class="paper"/>
<text x="84" y="32" font-size="18" font-weight="bold">A &amp; B</text>
<text x="468" y="62" class="soft" text-anchor="middle">slot, counted from the first of its row</text>
<text x="84" y="82" class="soft">+0</text>
<text x="180" y="82" class="soft">+16</text>
<text x="276" y="82" class="soft">+32</text>
<text x="372" y="82" class="soft">+48</text>
<text x="468" y="82" class="soft">+64</text>
<text x="564" y="82" class="soft">+80</text>
<text x="660" y="82" class="soft">+96</text>
<text x="756" y="82" class="soft">+112</text>
<text x="0" y="0" class="soft" text-anchor="middle" transform="translate(20 474) rotate(-90)">first slot of the row</text>
<text x="76" y="99" class="soft" text-anchor="end">0</text>
<text x="76" y="147" class="soft" text-anchor="end">1024</text>
<text x="76" y="195" class="soft" text-anchor="end">2048</text>
<text x="76" y="243" class="soft" text-anchor="end">3072</text>
<text x="76" y="291" class="soft" text-anchor="end">4096</text>
<text x="76" y="339" class="soft" text-anchor="end">5120</text>
<text x="76" y="387" class="soft" text-anchor="end">6144</text>
<text x="76" y="435" class="soft" text-anchor="end">7168</text>
<text x="76" y="483" class="soft" text-anchor="end">8192</text>
<text x="76" y="531" class="soft" text-anchor="end">9216</text>
<text x="76" y="579" class="soft" text-anchor="end">10240</text>
<text x="76" y="627" class="soft" text-anchor="end">11264</text>
<text x="76" y="675" class="soft" text-anchor="end">12288</text>
<text x="76" y="723" class="soft" text-anchor="end">13312</text>
<text x="76" y="771" class="soft" text-anchor="end">14336</text>
<text x="76" y="819" class="soft" text-anchor="end">15360</text>
<path fill="#55a989" shape-rendering="crispEdges"><title>1 failed</title></path>
<path class="mark" fill="url(#failed)" pointer-events="none"/>
<path fill="#a13431" shape-rendering="crispEdges"><title>2 suspected</title></path>
<path class="mark" fill="url(#suspected)" pointer-events="none"/>
<path fill="#beed87" shape-rendering="crispEdges"><title>3 loading</title></path>
<path class="mark" fill="url(#loading)" pointer-events="none"/>
<path fill="#4b5b72" shape-rendering="crispEdges"><title>4 bare</title></path>
<path class="mark" fill="url(#bare)" pointer-events="none"/>
<path fill="url(#hatched)" shape-rendering="crispEdges"><title>5 </title></path>
<path fill="#8806f9" shape-rendering="crispEdges"><title> </title></path>
<rect class="open" x="85" y="91" width="4" height="4" fill="#000" stroke="#fff"/>
<rect class="open" x="97" y="97" width="4" height="4" fill="#000" stroke="#fff"/>
<rect class="open" x="847" y="853" width="4" height="4" fill="#000" stroke="#fff"/>
<text x="468" y="105" class="label" text-anchor="middle" font-weight="bold" pointer-events="none">1</text>
<text x="468" y="147" class="label" text-anchor="middle" font-weight="bold" pointer-events="none">3</text>
<text x="468" y="351" class="label" text-anchor="middle" font-weight="bold" pointer-events="none">4</text>
<text x="468" y="171" class="label" text-anchor="middle" font-weight="bold" pointer-events="none">5</text>
<rect x="84" y="90" width="768" height="768" fill="none" class="frame"/>
<text x="906" y="100" font-weight="bold">#</text>
<text x="927" y="100" font-weight="bold">id</text>
<text x="1112" y="100" font-weight="bold" text-anchor="end">slots</text>
<text x="1132" y="100" font-weight="bold">ranges</text>
<rect x="882" y="108" width="14" height="14" fill="#55a989" />
<g transform="translate(883 109)"><rect class="mark" width="12" height="12" fill="url(#failed)"/></g>
<text x="906" y="120">1</text>
<text x="927" y="120">failed</text>
<text x="1112" y="120" text-anchor="end">384</text>
<text x="1132" y="120">0-9</text>
<rect x="882" y="128" width="14" height="14" fill="#a13431" />
<g transform="translate(883 129)"><rect class="mark" width="12" height="12" fill="url(#suspected)"/></g>
<text x="906" y="140">2</text>
<text x="927" y="140">suspected</text>
<text x="1112" y="140" text-anchor="end">467</text>
<text x="1132" y="140">0-9</text>
<rect x="882" y="148" width="14" height="14" fill="#beed87" />
<g transform="translate(883 149)"><rect class="mark" width="12" height="12" fill="url(#loading)"/></g>
<text x="906" y="160">3</text>
<text x="927" y="160">loading</text>
<text x="1112" y="160" text-anchor="end">513</text>
<text x="1132" y="160">0-9</text>
<rect x="882" y="168" width="14" height="14" fill="#4b5b72" />
<g transform="translate(883 169)"><rect class="mark" width="12" height="12" fill="url(#bare)"/></g>
<text x="906" y="180">4</text>
<text x="927" y="180">bare</text>
<text x="1112" y="180" text-anchor="end">7100</text>
<text x="1132" y="180">0-9</text>
<rect x="882" y="188" width="14" height="14" fill="url(#hatched)" />
<text x="906" y="200">5</text>
<text x="927" y="200"></text>
<text x="1112" y="200" text-anchor="end">620</text>
<text x="1132" y="200">0-9</text>
<rect x="882" y="208" width="14" height="14" class="none" />
<text x="906" y="220">6</text>
<text x="927" y="220"></text>
<text x="1112" y="220" text-anchor="end">0</text>
<text x="1132" y="220">0-9</text>
<rect x="882" y="228" width="14" height="14" fill="#8806f9" />
<text x="906" y="240"></text>
<text x="927" y="240"></text>
<text x="1112" y="240" text-anchor="end">7300</text>
<text x="1132" y="240">0-9</text>
<rect x="887" y="253" width="4" height="4" class="ink"/>
<text x="906" y="260">open, on top of the colour</text>
<text x="1112" y="260" text-anchor="end">3</text>
<text x="882" y="300">a note</text>
<text x="882" y="320">&lt;b&gt;</text>
</svg>
`

const goldenHead = `<svg xmlns="http://www.w3.org/2000/svg" role="img" width="3602" height="1010" viewBox="0 0 3602 1010" font-family="sans-serif" font-size="13">
<title>two</title>
<style>text,.ink{fill:#222}.soft{fill:#666}.paper{fill:#fff}.none{fill:#efefef}.frame{stroke:#888}@media (prefers-color-scheme:dark){text,.ink{fill:#e6e6e6}.soft{fill:#a5a5a5}.paper{fill:#14161a}.none{fill:#2b2f36}.frame{stroke:#999}}.label{fill:#000;stroke:#fff;stroke-width:3px;paint-order:stroke}</style>
<defs></defs>
<rect width="100%" height="100%" class="paper"/>`

const goldenTail = `<text x="906" y="880">cell 38</text>
<text x="1038" y="880" text-anchor="end">0</text>
<rect x="882" y="888" width="14" height="14" class="none" />
<text x="906" y="900">cell 39</text>
<text x="1038" y="900" text-anchor="end">0</text>
<text x="1102" y="100" font-weight="bold">a column</text>
<text x="1234" y="100" font-weight="bold" text-anchor="end">slots</text>
<rect x="1078" y="108" width="14" height="14" class="none" />
<text x="1102" y="120">cell 40</text>
<text x="1234" y="120" text-anchor="end">0</text>`

// Readers with any kind of colour vision can tell the colours apart. The matrices
// are those of Machado, Oliveira and Fernandes (2009) for vision without one of the
// three kinds of cones. The distances are those of CIE 1976.
func TestPalette(t *testing.T) {
	type colour [3]float64
	linear := func(hex string) (c colour) {
		n, err := strconv.ParseUint(hex[1:], 16, 32)
		require.NoError(t, err)
		for i := range c {
			x := float64(n>>(16-8*i)&255) / 255
			if c[i] = x / 12.92; x > 0.04045 {
				c[i] = math.Pow((x+0.055)/1.055, 2.4)
			}
		}
		return c
	}
	times := func(m [9]float64, c colour) (out colour) {
		for i := range out {
			out[i] = m[3*i]*c[0] + m[3*i+1]*c[1] + m[3*i+2]*c[2]
		}
		return out
	}
	lab := func(c colour) colour {
		for i := range c {
			c[i] = max(0, min(1, c[i]))
		}
		xyz := times([9]float64{0.4124 / 0.9505, 0.3576 / 0.9505, 0.1805 / 0.9505, 0.2126, 0.7152, 0.0722, 0.0193 / 1.089, 0.1192 / 1.089, 0.9505 / 1.089}, c)
		for i, v := range xyz {
			if xyz[i] = 7.787*v + 16.0/116; v > 0.008856 {
				xyz[i] = math.Cbrt(v)
			}
		}
		return colour{116*xyz[1] - 16, 500 * (xyz[0] - xyz[1]), 200 * (xyz[1] - xyz[2])}
	}
	distance := func(a, b colour) float64 { return math.Hypot(math.Hypot(a[0]-b[0], a[1]-b[1]), a[2]-b[2]) }
	eyes := map[string][9]float64{
		"all":    {1, 0, 0, 0, 1, 0, 0, 0, 1},
		"protan": {0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998},
		"deutan": {0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881},
		"tritan": {1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900},
	}
	for name, eye := range eyes {
		for i, a := range palette {
			for _, b := range palette[:i] {
				assert.Greater(t, distance(lab(times(eye, linear(a))), lab(times(eye, linear(b)))), 30.0, "%s: %s and %s", name, a, b)
			}
			assert.Greater(t, distance(lab(times(eye, linear(a))), lab(times(eye, linear(lighter(a))))), 5.0, "%s: %s and lighter", name, a)
		}
		// Colours for more keys are darker, for any kind of colour vision.
		for i := range 7 {
			assert.Greater(t, lab(times(eye, linear(heat(i, 8))))[0], lab(times(eye, linear(heat(i+1, 8))))[0]+2, name)
		}
	}
}
