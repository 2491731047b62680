package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/slotmap"
)

func readOwners(t *testing.T, svg string) *picture {
	return readPicture(t, svg, "id", "address", "slots", "ranges")
}

// The slots, the legend and "hashslot check" tell the same.
func TestDraw(t *testing.T) {
	captured := captures(t)
	var many strings.Builder // shards that have two ranges each
	for i := range 40 {
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
				assert.True(t, strings.HasPrefix(s.ID, l[1]) && len(l[1]) >= 8 || s.ID == l[1], l[1])
				assert.Equal(t, plain(s.Addr), l[2])
				assert.Equal(t, strconv.Itoa(s.Slots.Len()), l[3])
				assert.Equal(t, firstRanges(s.Slots), l[4])
				title := l[1] + " " + l[2]
				for slot := range s.Slots.Slots() {
					if got.colours[slot] != l[0] || got.titles[slot] != title {
						t.Fatalf("slot %d: %s %q, want %s %q", slot, got.colours[slot], got.titles[slot], l[0], title)
					}
				}
				rest = rest.Subtract(s.Slots)
				if before, ok := colours[l[0]]; ok {
					assert.Equal(t, i-shardColours, before, "a colour repeats too early")
				}
				colours[l[0]] = i
			}
			assert.Len(t, colours, min(rows, shardColours))
			assert.Equal(t, rows > shardColours, strings.Contains(r.out, ">Colours repeat after 36 shards<"))
			for slot := range rest.Slots() {
				require.Equal(t, hatched, got.colours[slot], "slot %d", slot)
			}
			if !rest.IsEmpty() {
				rows++
				assert.Equal(t, []string{hatched, "-", "unassigned", strconv.Itoa(rest.Len()), firstRanges(rest)}, got.legend[rows-1])
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
	assert.Equal(t, []string{"open, on top of the colour", "4", "Open slots",
		"3 5: from a to b, migrating", "7: from a to c, migrating", "12: from b to a, importing"}, p.notes)

	// Both ends, and a slot that two nodes take in.
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

// Nothing of a file is markup, and nothing is told that is not told apart.
func TestDrawText(t *testing.T) {
	long := strings.Repeat("0", 20)
	r := runOn("<b>&\"'\x1b\xff h<1>:1@2 myself,master - 0 0 1 connected 0-9\n"+
		long+"1 "+strings.Repeat("x", 60)+":65535@2 master - 0 0 2 connected 10-19 21 23 25\n"+
		long+"2 h:2@2 master - 0 0 3 connected 30 32 34 36 38\n", "draw", "-nodes", "-", "-host", "h")
	require.Equal(t, exitOK, r.code, r.errOut)
	p := readOwners(t, r.out)
	require.Len(t, p.legend, 4)
	assert.Equal(t, `<b>&"'\x1b\xff h<1>:1 10 0-9`, strings.Join(p.legend[0][1:], " "))
	assert.Equal(t, long+"1 "+strings.Repeat("x", 20)+"…"+strings.Repeat("x", 13)+":65535 13 10-19 21 23 25", strings.Join(p.legend[1][1:], " "))
	assert.Equal(t, long+"2 h:2 5 30 32 34 and 2 more", strings.Join(p.legend[2][1:], " "))
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
		{"draw", result{2, "", "hashslot draw: no FILE: what is the cluster? (hashslot draw -h for help)\n"}},
		{"draw - -", result{2, "", "hashslot draw: standard input, -, is there twice (hashslot draw -h for help)\n"}},
		{"draw -nodes -", result{1, "", "hashslot draw: standard input: nothing in it: " + viewFormats + " is expected\n"}},
	} {
		assert.Equal(t, c.want, runOn("", strings.Fields(c.args)...), c.args)
	}
}
