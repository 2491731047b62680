package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/hashtag"
)

func TestStat(t *testing.T) {
	var in strings.Builder
	var slots [hashslot.Count]uint64
	tags := make(map[string]uint64)
	rnd := rand.New(rand.NewPCG(3, 4))
	const keys = 50_000
	tagged := uint64(0)
	for i := range keys {
		key := fmt.Sprint("key:", i)
		if i%2 == 0 {
			tag := strconv.Itoa(int(1000 * rnd.ExpFloat64()))
			key = "{" + tag + "}:" + key
			tags[tag]++
			tagged++
		}
		slots[hashslot.Of(key)]++
		in.WriteString(key + "\n")
	}
	r := runOn(in.String(), "stat", "-format", "json", "-top", "20")
	require.Equal(t, result{out: r.out}, r)
	var got report
	require.NoError(t, json.Unmarshal([]byte(r.out), &got))
	want := report{Keys: keys, Tagged: tagged, Mean: keys / 16384., Min: slots[0], Max: slots[0]}
	squares := 0.
	for _, n := range slots {
		if n > 0 {
			want.Slots++
		}
		want.Min, want.Max = min(want.Min, n), max(want.Max, n)
		squares += float64(n) * float64(n)
	}
	assert.InDelta(t, squares/16384-want.Mean*want.Mean, got.Deviation*got.Deviation, 1e-6)
	assert.InDelta(t, want.Mean, got.ByChance*got.ByChance, 1e-3, "a slot gets few of the keys: as good as Poisson")
	assert.InEpsilon(t, math.Sqrt(keys/16384.*(1-1/16384.)), got.ByChance, 1e-12)
	assert.Len(t, got.HotSlots, 20)
	for i, s := range got.HotSlots {
		assert.Equal(t, slots[s.Slot], s.Keys)
		if i > 0 {
			assert.LessOrEqual(t, s.Keys, got.HotSlots[i-1].Keys)
		}
		slots[s.Slot] = 0
	}
	for _, n := range slots {
		assert.LessOrEqual(t, n, got.HotSlots[19].Keys)
	}
	assert.Len(t, got.HotTags, 20)
	for i, tag := range got.HotTags {
		assert.Equal(t, tags[tag.Tag], tag.Keys)
		assert.Equal(t, int(hashslot.Of(tag.Tag)), tag.Slot)
		if i > 0 {
			assert.LessOrEqual(t, tag.Keys, got.HotTags[i-1].Keys)
		}
		delete(tags, tag.Tag)
	}
	for _, n := range tags {
		assert.LessOrEqual(t, n, got.HotTags[19].Keys)
	}
	got.HotSlots, got.HotTags, got.Deviation, got.ByChance = nil, nil, 0, 0
	assert.Equal(t, want, got)
}

// Long and short lines give the same counts, in order.
func TestStatLong(t *testing.T) {
	var in strings.Builder
	long := strings.Repeat("x", 3*blockSize) + "\n"
	n := 15
	if testing.Short() {
		n = 3
	}
	for i := range n {
		in.WriteString(long)
		for j := range 10_000 {
			fmt.Fprintf(&in, "{%d}\n", 10_000*i+j)
		}
	}
	want := runOn(in.String(), "stat")
	assert.Contains(t, want.out, fmt.Sprintf("keys             %d\n  with a tag     %d\n", 10_001*n, 10_000*n))
	assert.Equal(t, want, runOn(in.String(), "stat"))
}

func TestStatForms(t *testing.T) {
	head := func(keys, tagged, slots int) string {
		return fmt.Sprintf("keys             %d\n  with a tag     %d\nslots with keys  %d of 16384\n", keys, tagged, slots)
	}
	r := runOn("", "stat")
	assert.Equal(t, exitOK, r.code)
	assert.Equal(t, head(0, 0, 0)+"keys per slot    min 0, mean 0, max 0\ndeviation        0, by chance 0\n", r.out)
	r = runOn("", "stat", "-format", "json")
	assert.Contains(t, r.out, `"hot_slots":[],"hot_tags":[],`)

	r = runOn("{a\tb}\n\n{\xff}\n{\xff}\n", "stat")
	assert.Contains(t, r.out, head(4, 3, 3))
	assert.Contains(t, r.out, "%  a\\tb\n")
	assert.Contains(t, r.out, "%  \\xff\n")
	r = runOn("7bff7d\n7bff7d31\n", "stat", "-unhex", "-hex", "-format", "json")
	assert.Contains(t, r.out, fmt.Sprintf(`"hot_tags":[{"tag":"ff","slot":%d,"keys":2}]`, hashslot.Of("\xff")))
	r = runOn("{\xff}\n", "stat", "-format", "json")
	assert.Equal(t, exitOK, r.code)
	assert.Contains(t, r.out, fmt.Sprintf(`"hot_tags":[{"tag_hex":"ff","slot":%d,"keys":1}]`, hashslot.Of("\xff")))
	r = runOn("00\r\nx\n000\n01\n", "stat", "-unhex")
	assert.Equal(t, exitFailed, r.code)
	assert.Equal(t,
		"hashslot stat: line 2 is left out: byte 1, \"x\", is not a hex digit\n"+
			"hashslot stat: line 3 is left out: 3 is an odd number of hex digits\n", r.errOut)
	assert.Contains(t, r.out, head(2, 0, 2))
	assert.Contains(t, r.out, "\nLines that were left out: 2\n")
	r = runOn("", "stat", "-unhex", "6", "a\nb", "")
	assert.Equal(t, "hashslot stat: argument 1 is left out: 1 is an odd number of hex digits\nhashslot stat: argument 2 is left out: byte 2, \"\\n\", is not a hex digit\n", r.errOut)
	assert.Contains(t, r.out, head(1, 0, 1))
	assert.Contains(t, runOn("", "stat", "{a\nb}", "", "{}").out, head(3, 1, 3))
	for _, top := range []string{"-1", "1001"} {
		assert.Equal(t, result{2, "", "hashslot stat: -top must be from 0 to 1000, not " + top + " (hashslot stat -h for help)\n"}, runOn("", "stat", "-top", top))
	}
	assert.Equal(t, exitOK, runOn("", "stat", "-top", "1000").code)
	assert.Contains(t, runOn("", "stat", "a").out, "\n slot  keys    share\n15495     1  100.00%\n")
	assert.Contains(t, runOn("", "stat", "-hex", "{a}").out, "\n slot  keys    share  tag\n15495     1  100.00%  61\n")
	r = runOn("a h:1@2 myself,master - 0 0 1 connected 0-16382\n", "stat", "-nodes", "-", "{a}")
	assert.Contains(t, r.out, "\nkeys    share  slots   keys/slot  id  address\n   1  100.00%  16383  6.1039e-05  a   h:1\n")
	assert.Contains(t, r.out, "\n1 slot has no owner: it holds 0 keys, 0.00% of all.\n")
	var del strings.Builder
	for i := range 2*batchSize + 1 {
		fmt.Fprintf(&del, " {a}%d", i)
	}
	assert.Contains(t, runOn("del"+del.String()+"\nget b\n", "stat", "-commands").out, head(2*batchSize+2, 2*batchSize+1, 2))
	twelve := runOn("", "stat", "-format", "json", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l").out
	assert.Equal(t, 10, strings.Count(twelve, `{"slot":`))
	assert.Equal(t, "hashslot stat: argument 1 is left out: 1 is an odd number of hex digits\n", runOn("", "stat", "-unhex", "6").errOut)
	assert.Equal(t, "hashslot stat: NUL-ended line 2 is left out: longer than 1 bytes, the limit that -max sets\n", runOn("a\x00aa\x00", "stat", "-0", "-max", "1").errOut)
	assert.Contains(t, runOn("", "stat", "-commands", "GET a").out, "  not understood 1\n")
	assert.Equal(t, exitFailed, runOn("x\n", "stat", "-unhex", "-svg", "-").code)
	var errOut bytes.Buffer
	assert.Equal(t, exitFailed, run([]string{"stat", "foo", "-svg", "-"}, nil, &failingWriter{3, errors.New("full")}, &errOut))
	assert.Equal(t, "hashslot stat: full\n", errOut.String())
	assert.NotContains(t, runOn("{a}\n", "stat", "-top", "0").out, "share")

	long := strings.Repeat("x", 256)
	r = runOn("{"+long+"}\n{"+long+"y}\n", "stat")
	assert.Contains(t, r.out, head(2, 2, 2))
	assert.Equal(t, 1, strings.Count(r.out, "%  "+long), "the longer tag is not listed")
}

// No count is too high, none is too low by more than lost, and memory is bounded.
func TestTopTags(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for n, draw := range []func(i int) int{
		func(i int) int { return i },
		func(i int) int { return i % 30 },
		func(i int) int { return rnd.IntN(100) * rnd.IntN(100) },
		func(i int) int { return int(40 * rnd.ExpFloat64()) },
		func(i int) int { return int(40 * rnd.ExpFloat64()) },
	} {
		hash := newTagHash()
		if n == 4 {
			hash.keys = [3]uint64{} // then the hash of all short tags is 0
		}
		top := newTopTags(20, hash)
		exact := make(map[string]uint64)
		const n = 20_000
		for i := range n {
			tag := strconv.Itoa(draw(i))
			exact[tag]++
			top.add([][]byte{[]byte(tag)}, []uint16{0})
			singles := 0
			for _, e := range top.entries {
				if e.count == 1 {
					singles++
				}
			}
			if len(top.entries) > 31 || singles != top.singles {
				t.Fatalf("%d entries, %d with one key, not %d", len(top.entries), top.singles, singles)
			}
		}
		assert.LessOrEqual(t, top.lost, uint64(n/20))
		if len(exact) <= 30 {
			assert.Zero(t, top.lost)
		}
		counts := countsOf(top)
		assert.Len(t, counts, len(top.entries)-1)
		for tag, want := range exact {
			if got := counts[tag]; got > want || want > got+top.lost {
				t.Fatalf("tag %s: %d, want %d, %d are lost", tag, got, want, top.lost)
			}
		}
	}
	var in strings.Builder
	for i := range 3 * statTags {
		fmt.Fprintf(&in, "{%d}\n{hot}\n", i)
	}
	r := runOn(in.String(), "stat", "-top", "1")
	assert.Regexp(t, `(?m)^ 6093  491\d\d   50.00%  hot$`, r.out)
	assert.Contains(t, r.out, "\nThere are too many tags to count exactly: each count may be too low by up to 1, and a\ntag that is not counted has at most 1 keys.\n")
	cold := strings.ReplaceAll(in.String(), "{hot}\n", "")
	r = runOn(cold, "stat")
	assert.NotContains(t, r.out, "share  tag\n", "no tag has more than another for certain")
	assert.Contains(t, r.out, "\nThere are too many tags to count exactly: none has more than 1 keys for certain, so\nnone is listed.\n")
	r = runOn(cold, "stat", "-format", "json")
	assert.Contains(t, r.out, `"hot_tags":[],"hot_tags_error":1,`)
	assert.Contains(t, runOn(cold, "stat", "-top", "0", "-format", "json").out, `"hot_tags":[],"hot_tags_error":0,`)
}

// Lines of all lengths, sparse and dense, with and without an end, up to a full batch.
func TestSplit(t *testing.T) {
	rnd := rand.New(rand.NewPCG(13, 14))
	var lines [batchSize][]byte
	for size := range 400 {
		data := make([]byte, size)
		for i := range data {
			if data[i] = '\n' ^ byte(1<<rnd.IntN(8)); rnd.IntN(1+size%5*8) == 0 {
				data[i] = '\n'
			}
		}
		if size == 399 {
			data = bytes.Repeat([]byte("\n"), batchSize+200)
		}
		var got [][]byte
		for rest := data; len(rest) > 0; {
			n, size := split(&lines, rest, '\n')
			require.Positive(t, size)
			for _, line := range lines[:n] {
				got = append(got, slices.Clone(line))
			}
			rest = rest[size:]
		}
		want := bytes.Split(data, []byte("\n"))
		if len(want[len(want)-1]) == 0 {
			want = want[:len(want)-1]
		}
		require.Len(t, got, len(want))
		for i, line := range want {
			require.Equal(t, string(line), string(got[i]), "%d", size)
		}
	}
}

func TestFindTag(t *testing.T) {
	for _, key := range []string{"", "{a}", "{a}bcdef", "{a}bcdefg", "{}bcdefgh", "{\u00e9bcdefgh}", "{bcdefgh}", "{bcdefghi}", "{bcdefgh", "a{bcdefgh}", "{{a}bcdef}", "}{a}bcdefg", "\x00a}bcdefgh", "{a\x00bcdefg}"} {
		start, end, ok := hashtag.Find([]byte(key))
		start2, end2, ok2 := findTag([]byte(key))
		assert.Equal(t, ok, ok2, key)
		if ok {
			assert.Equal(t, key[start:end], key[start2:end2], key)
		}
	}
}

func countsOf(t *topTags) map[string]uint64 {
	counts := map[string]uint64{}
	for place := 1; place < len(t.entries); place++ {
		counts[string(t.tag(place))] = t.entries[place].count
	}
	return counts
}

// All tags that fit are counted, and so is the one that others make room for.
// Later, each is found again.
func TestTopTagsRoom(t *testing.T) {
	assert.Equal(t, 2, newTopTags(1, newTagHash()).room())
	for _, keys := range [][3]uint64{{}, {1, 3, 5}, {0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb}} {
		hash := newTagHash()
		hash.keys = keys
		top := newTopTags(4, hash)
		for _, tag := range strings.Fields("a a a b b b c c c d d d e f") {
			top.add([][]byte{[]byte(tag)}, []uint16{0})
		}
		assert.Equal(t, map[string]uint64{"a": 3, "b": 3, "c": 3, "d": 3, "e": 1, "f": 1}, countsOf(top))
		top.add([][]byte{nil, []byte("g")}, []uint16{1})
		assert.Equal(t, map[string]uint64{"a": 2, "b": 2, "c": 2, "d": 2, "g": 1}, countsOf(top))
		assert.Equal(t, uint64(1), top.lost)
		for _, tag := range strings.Fields("a b c d g") {
			top.add([][]byte{[]byte(tag)}, []uint16{0})
		}
		assert.Equal(t, map[string]uint64{"a": 3, "b": 3, "c": 3, "d": 3, "g": 2}, countsOf(top))
		assert.Len(t, top.entries, 6)
	}
}

func TestExcess(t *testing.T) {
	rnd := rand.New(rand.NewPCG(11, 12))
	top := newTopTags(0, newTagHash())
	for range 2000 {
		top.entries, top.singles = make([]tagEntry, 1, 12), 0
		var counts []uint64
		most := 1 + rnd.Uint64N(1<<rnd.IntN(11))
		for range 1 + rnd.IntN(11) {
			count := max(1, most-min(most, rnd.Uint64N(10)))
			counts = append(counts, count)
			top.entries = append(top.entries, tagEntry{count: count})
			if count == 1 {
				top.singles++
			}
		}
		slices.Sort(counts)
		top.keep = rnd.IntN(len(counts))
		require.Equal(t, counts[len(counts)-top.keep-1], top.excess(), "%d of %v", top.keep, counts)
	}
}

// Tags are the same only if all of their bytes are. Tags that are not have different hashes.
func TestSameTags(t *testing.T) {
	var hash tagHash
	for range 20 {
		hash = newTagHash()
		for i, key := range hash.keys {
			assert.Equal(t, uint64(1), key&1)
			assert.NotEqual(t, key, hash.keys[(i+1)%3])
		}
	}
	hash.keys = [3]uint64{0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb}
	hashes := map[uint32]string{}
	add := func(tag string) {
		var h [1]uint32
		hash.of(h[:], [][]byte{nil, []byte(tag)}, []uint16{1})
		if other, ok := hashes[h[0]]; ok {
			t.Errorf("%q and %q have one hash", tag, other)
		}
		hashes[h[0]] = tag
	}
	for n := range 20 {
		tag := strings.Repeat("x", n)
		add(tag)
		require.True(t, same([]byte(tag), []byte(tag)))
		require.False(t, same([]byte(tag), []byte(tag+"x")))
		for at := range n {
			for bit := range 8 {
				other := []byte(tag)
				other[at] ^= 1 << bit
				require.False(t, same([]byte(tag), other), "%q", other)
				add(string(other))
			}
		}
	}
}

// The sums over workers are as accurate as one counter of all keys.
func TestMostTags(t *testing.T) {
	hash := newTagHash()
	rnd := rand.New(rand.NewPCG(9, 10))
	for _, keep := range []int{30, 4000} {
		exact := map[string]uint64{}
		var parts []*topTags
		for range 3 {
			parts = append(parts, newTopTags(keep, hash))
		}
		for i := range 20_000 {
			tag := strings.Repeat("tag", rnd.IntN(8)) + strconv.Itoa(int(100*rnd.ExpFloat64()))
			exact[tag]++
			parts[i%3].add([][]byte{[]byte(tag)}, []uint16{0})
		}
		lost := uint64(0)
		for _, p := range parts {
			lost += p.lost
		}
		assert.Equal(t, keep == 30, lost > 0)
		best := mostTags(parts, 50, lost)
		require.Len(t, best, min(50, len(best)))
		for i, b := range best {
			assert.Greater(t, b.count, lost)
			assert.LessOrEqual(t, b.count, exact[b.tag])
			assert.LessOrEqual(t, exact[b.tag], b.count+lost)
			if i > 0 {
				assert.LessOrEqual(t, b.count, best[i-1].count)
			}
			if lost == 0 {
				delete(exact, b.tag)
			}
		}
		if lost == 0 {
			require.Len(t, best, 50)
			for _, n := range exact {
				assert.LessOrEqual(t, n, best[49].count)
			}
		}
	}
}

// A tag is listed if its sum is above lost, even if no part of it is.
func TestMostTagsOfParts(t *testing.T) {
	hash := newTagHash()
	parts := []*topTags{newTopTags(9, hash), newTopTags(9, hash), newTopTags(9, hash)}
	for i, p := range parts {
		for range 5 {
			p.add([][]byte{[]byte("a"), []byte("b"), []byte(strconv.Itoa(i))}, []uint16{0, 1, 2})
		}
		p.add([][]byte{[]byte("b")}, []uint16{0})
	}
	assert.Equal(t, []tagSum{{"b", 18}, {"a", 15}}, mostTags(parts, 9, 14))
	assert.Equal(t, []tagSum{{"b", 18}}, mostTags(parts, 9, 15))
	assert.Empty(t, mostTags(nil, 9, 0))
}

// A picture has the content of an SVG.
type picture struct {
	colours [hashslot.Count]string
	titles  [hashslot.Count]string // what a viewer shows under the pointer
	open    map[int]bool           // the slots with a mark
	marks   [hashslot.Count]string // the patterns on top of the colours
	legend  [][]string             // colour and texts of each line
	notes   []string               // the texts after the legend
}

// readPicture reads the SVG of a slotMap that has these titles over its legend.
func readPicture(t *testing.T, svg string, titles ...string) *picture {
	dec := xml.NewDecoder(strings.NewReader(svg))
	dec.Strict = true
	p := &picture{open: map[int]bool{}}
	var texts, fills []string
	var path []int // slots
	element, pattern := "", false
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	slotAt := func(x, y int) int {
		if x < mapLeft || x >= mapLeft+mapSide || y < mapTop || y >= mapTop+mapSide {
			t.Fatalf("%d, %d is not on the map", x, y)
		}
		return (y-mapTop)/mapCell*mapRow + (x-mapLeft)/mapCell
	}
	for {
		token, err := dec.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.EndElement:
			element = ""
			switch token.Name.Local {
			case "path":
				path = nil
			case "pattern":
				pattern = false
			}
		case xml.CharData:
			switch {
			case element == "text":
				texts[len(texts)-1] += string(token)
			case element == "title" && path != nil:
				for _, slot := range path {
					p.titles[slot] += string(token)
				}
			}
		case xml.StartElement:
			element = token.Name.Local
			attr := make(map[string]string)
			for _, a := range token.Attr {
				attr[a.Name.Local] = a.Value
			}
			switch {
			case element == "text":
				texts = append(texts, "")
			case element == "rect" && attr["width"] == "14":
				fills = append(fills, attr["fill"])
			case element == "rect" && attr["class"] == "open":
				slot := slotAt(number(attr["x"]), number(attr["y"]))
				require.False(t, p.open[slot], "slot %d is marked twice", slot)
				p.open[slot] = true
			case element == "pattern":
				pattern = true
			case element == "path" && !pattern:
				mark := attr["class"] == "mark"
				for d := attr["d"]; d != ""; {
					bar, rest, ok := strings.Cut(d, "z")
					left, bar, ok1 := strings.Cut(bar, " ")
					top, bar, ok2 := strings.Cut(bar, "h")
					width, back, ok3 := strings.Cut(bar, "v6h-")
					if !ok || !ok1 || !ok2 || !ok3 || !strings.HasPrefix(left, "M") || width != back {
						t.Fatalf("not a bar: %.30s", d)
					}
					d = rest
					for x := 0; x < number(width); x += mapCell {
						slot := slotAt(number(left[1:])+x, number(top))
						if mark {
							p.marks[slot] = attr["fill"]
							continue
						}
						if p.colours[slot] != "" {
							t.Fatalf("slot %d is drawn twice", slot)
						}
						p.colours[slot] = attr["fill"]
						path = append(path, slot)
					}
				}
			}
		}
	}
	head := "\x00" + strings.Join(titles, "\x00") + "\x00"
	_, rest, ok := strings.Cut(strings.Join(texts, "\x00")+"\x00", head)
	require.True(t, ok)
	words := strings.Split(strings.TrimSuffix(rest, "\x00"), "\x00")
	for _, fill := range fills {
		p.legend = append(p.legend, append([]string{fill}, words[:len(titles)]...))
		words = words[len(titles):]
	}
	p.notes = words
	return p
}

// slotsOf returns the colour of every slot, and the text of the legend for a colour.
func slotsOf(t *testing.T, svg string) (colours *[hashslot.Count]string, legend map[string][2]string) {
	p := readPicture(t, svg, "keys in a slot", "slots")
	legend = make(map[string][2]string)
	for _, l := range p.legend {
		legend[l[0]] = [2]string{l[1], l[2]}
	}
	require.Len(t, legend, len(p.legend), "each line has its own colour")
	return &p.colours, legend
}

func TestPicture(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for name, draw := range map[string]func(slot int) uint64{
		"none":      func(int) uint64 { return 0 },
		"one":       func(slot int) uint64 { return uint64(slot / 16383) },
		"all":       func(int) uint64 { return 7 },
		"few":       func(int) uint64 { return rnd.Uint64N(3) },
		"even":      func(int) uint64 { return 1000 + rnd.Uint64N(300) },
		"most even": func(int) uint64 { return 1000 + rnd.Uint64N(10) },
		"uneven":    func(int) uint64 { return 1 << rnd.Uint64N(20) },
		"very":      func(int) uint64 { return rnd.Uint64() >> (10 + rnd.Uint64N(54)) },
	} {
		t.Run(name, func(t *testing.T) {
			var s spread
			s.tags = newTopTags(1, newTagHash())
			for slot := range s.keys {
				s.keys[slot] = draw(slot)
			}
			svg := s.report(10).draw(s.keys[:], "auto")
			colours, legend := slotsOf(t, string(svg))
			require.LessOrEqual(t, len(legend), 10)
			type class struct {
				low, high uint64
				slots     int
			}
			classes := make(map[string]*class)
			for colour, label := range legend {
				from, to, two := strings.Cut(label[0], " to ")
				if !two {
					to = from
				}
				low, err := strconv.ParseUint(from, 10, 64)
				require.NoError(t, err)
				high, err := strconv.ParseUint(to, 10, 64)
				require.NoError(t, err)
				classes[colour] = &class{low: low, high: high}
			}
			for slot, n := range s.keys {
				c := classes[colours[slot]]
				if c == nil || n < c.low || n > c.high {
					t.Fatalf("slot %d: %d keys, legend %q", slot, n, legend[colours[slot]])
				}
				c.slots++
			}
			for colour, label := range legend {
				assert.Equal(t, strconv.Itoa(classes[colour].slots), label[1])
			}
		})
	}
}

// The classes of a map, its colours and its notes.
func TestStatLegend(t *testing.T) {
	draw := func(top int, keys ...uint64) *picture {
		var s spread
		copy(s.keys[5:], keys)
		svg := string(s.report(top).draw(s.keys[:], "auto"))
		sum := uint64(0)
		for _, n := range keys {
			sum += n
		}
		assert.Contains(t, svg, fmt.Sprintf(">%d keys in %d of 16384 slots</text>", sum, len(keys)))
		return readPicture(t, svg, "keys in a slot", "slots")
	}
	for _, c := range []struct {
		low, high uint64
		want      string
	}{
		{7, 7, "7"}, {5, 7, "5, 6, 7"}, {5, 6, "5, 6"},
		{1000, 1015, "1000 to 1001, 1002 to 1003, 1004 to 1005, 1006 to 1007, 1008 to 1009, 1010 to 1011, 1012 to 1013, 1014 to 1015"},
		{1000, 1018, "1000 to 1001, 1002 to 1003, 1004 to 1006, 1007 to 1008, 1009 to 1010, 1011 to 1013, 1014 to 1015, 1016 to 1018"},
		{10, 39, "10 to 12, 13 to 16, 17 to 20, 21 to 24, 25 to 27, 28 to 31, 32 to 35, 36 to 39"}, {10, 40, "10 to 19, 20 to 39, 40"},
		{1, 255, "1, 2 to 3, 4 to 7, 8 to 15, 16 to 31, 32 to 63, 64 to 127, 128 to 255"}, {1, 256, "1 to 2, 3 to 8, 9 to 26, 27 to 80, 81 to 242, 243 to 256"},
		{3, 765, "3 to 5, 6 to 11, 12 to 23, 24 to 47, 48 to 95, 96 to 191, 192 to 383, 384 to 765"},
	} {
		p := draw(0, c.low, c.high)
		var labels, colours []string
		for _, l := range p.legend[1:] {
			labels, colours = append(labels, l[1]), append(colours, l[0])
		}
		assert.Equal(t, c.want, strings.Join(labels, ", "))
		if want := map[int]string{1: "#f07828", 2: "#fad769 #b90f69", 3: "#fad769 #f07828 #b90f69", 8: "#fad769 #f7bc56 #f4a144 #f18631 #e86931 #d84b44 #c92d56 #b90f69"}[len(colours)]; want != "" {
			assert.Equal(t, want, strings.Join(colours, " "))
		}
	}
	assert.Equal(t, []string{"min 0, mean 0.00012207, max 2", "deviation 0.015625, by chance 0.011048", "", "Slots with the most keys", "5: 2 keys"}, draw(9, 2).notes)
	assert.Len(t, draw(0, 2).notes, 2)
	assert.Len(t, draw(99, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1).notes, 4+10)
}

func TestStatSVG(t *testing.T) {
	file := filepath.Join(t.TempDir(), "slots.svg")
	r := runOn("foo\nbar\n", "stat", "-svg", file)
	assert.Equal(t, runOn("foo\nbar\n", "stat"), r)
	svg, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, result{out: string(svg)}, runOn("foo\nbar\n", "stat", "-svg", "-"))
	colours, legend := slotsOf(t, string(svg))
	assert.Equal(t, [2]string{"1", "2"}, legend[colours[hashslot.Of("foo")]])
	assert.Equal(t, [2]string{"0", "16382"}, legend[colours[0]])

	r = runOn("foo\n", "stat", "-svg", t.TempDir())
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.errOut, "hashslot stat: open ")
	var errOut bytes.Buffer
	assert.Equal(t, exitFailed, run([]string{"stat", "foo"}, nil, &failingWriter{3, errors.New("full")}, &errOut))
	assert.Equal(t, "hashslot stat: full\n", errOut.String())
}

// A report and a picture in one file would destroy each other.
func TestTwoOutputsToOneFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out")
	for _, args := range [][]string{
		{"stat", "foo", "-o", file, "-svg", file},
		{"plan", "create", "a:1", "b:1", "c:1", "-o", file, "-draw", file},
	} {
		r := runOn("", args...)
		assert.Equal(t, exitFailed, r.code, args)
		assert.Contains(t, r.errOut, file+": two outputs have this file\n")
		assert.NoFileExists(t, file)
	}
	require.NoError(t, os.Mkdir(filepath.Join(filepath.Dir(file), "x"), 0o777))
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o666))
	r := runOn("", "stat", "foo", "-o", file, "-svg", filepath.Dir(file)+"/x/../out")
	assert.Contains(t, r.errOut, "two outputs have this file\n")
	old, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "old", string(old))
	assert.Equal(t, exitOK, runOn("", "stat", "foo", "-o", os.DevNull, "-svg", os.DevNull).code)
}

// The keys of each shard are those of its slots.
func TestStatNodes(t *testing.T) {
	captured := captures(t)
	var keys strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&keys, "key:%d\n", i)
	}
	for _, nodes := range []string{
		"testdata/nodes.txt",
		captured + "redis-7.0.15/gaps_partial_coverage/17261.nodes.txt",
		captured + "redis-7.0.15/alternating_all_single_slots/17265.nodes.txt",
		captured + "redis-7.0.15/empty_cluster_node/17282.nodes.txt",
	} {
		want := map[string]uint64{} // by id, from "hashslot route"
		routed := runOn(keys.String(), "route", "-nodes", nodes)
		for _, l := range strings.Split(strings.TrimSuffix(routed.out, "\n"), "\n") {
			want[strings.Split(l, "\t")[1]]++
		}
		var whole clusterJSON
		require.NoError(t, json.Unmarshal([]byte(runOn("", "check", "-format", "json", "-nodes", nodes, "-host", "127.0.0.1").out), &whole))

		r := runOn(keys.String(), "stat", "-nodes", nodes, "-host", "127.0.0.1", "-format", "json")
		require.Equal(t, result{out: r.out}, r)
		var got report
		require.NoError(t, json.Unmarshal([]byte(r.out), &got))
		require.Len(t, got.Owners, len(whole.Shards))
		text := runOn(keys.String(), "stat", "-nodes", nodes, "-host", "127.0.0.1").out
		for i, s := range whole.Shards {
			n := want[s.ID]
			size := s.Slots.Len()
			assert.Equal(t, ownerCount{s.ID, s.Addr, n, float64(n) / 3000, size, float64(n) / float64(size)}, got.Owners[i])
			assert.Contains(t, text, fmt.Sprintf("\n%4d  %6.2f%%  %5d  %10.5g  %s  %s\n", n, float64(n)/30, size, float64(n)/float64(size), s.ID, s.Addr))
		}
		none := want["-"]
		assert.Equal(t, &unownedCount{none, float64(none) / 3000, 16384 - whole.Assigned}, got.Unowned)
		unowned := fmt.Sprintf("\n%d slots have no owner: they hold %d keys, %.2f%% of all.\n", 16384-whole.Assigned, none, float64(none)/30)
		assert.Equal(t, whole.Assigned < 16384, strings.Contains(text, unowned), text)
		assert.Equal(t, whole.Assigned < 16384, strings.Contains(text, "have no owner"), text)

		// Everything else is the same as without -nodes.
		got.Owners, got.Unowned = nil, nil
		assert.Equal(t, runOn(keys.String(), "stat", "-format", "json").out, string(line(got)))
		assert.NotContains(t, string(line(got)), "owne")
	}
	r := runOn("", "stat", "-format", "json", "-nodes", "testdata/nodes.txt")
	assert.Contains(t, r.out, `"addr":"10.0.0.1:30001","keys":0,"share":0,"slots":5461,"keys_per_slot":0}`)
	assert.Contains(t, r.out, `"unowned":{"keys":0,"share":0,"slots":0}}`)
	r = runOn("a h:1@2 myself,master - 0 0 1 connected\n", "stat", "-format", "json", "-nodes", "-", "foo")
	assert.Contains(t, r.out, `"owners":[],"unowned":{"keys":1,"share":1,"slots":16384}}`)

	for _, c := range []struct {
		args, in string
		want     result
	}{
		{"stat -nodes -", "", result{2, "", "hashslot stat: standard input cannot hold both the view of -nodes and the keys: name a file for one of them (hashslot stat -h for help)\n"}},
		{"stat -nodes - -nodes - foo", "", result{2, "", "hashslot stat: standard input (-) can be read only once (hashslot stat -h for help)\n"}},
		{"stat -host h foo", "", result{2, "", "hashslot stat: -nodes is missing: name a file with a view of the cluster (hashslot stat -h for help)\n"}},
		{"stat -nodes - foo", "", result{1, "", "hashslot stat: standard input: the input is empty; expected " + viewFormats + "\n"}},
	} {
		assert.Equal(t, c.want, runOn(c.in, strings.Fields(c.args)...), c.args)
	}
}
