package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/hashtag"
	"github.com/hashslot/hashslot/slotmap"
)

var statCommand = command{
	name:    "stat",
	args:    "[KEY...]",
	short:   "how keys spread over the slots, and over the shards",
	run:     runStat,
	rawKeys: true,
	doc: `Keys are read as by "hashslot slot". The report gives the number of keys, the number of
slots with keys and the keys per slot, and lists the slots and the hash tags with the
most keys. -top 0 leaves out the lists, which is faster if there are many tags.

The deviation is the standard deviation of the keys per slot. The number beside it is
the deviation that keys without hash tags have by chance. Many keys with few different
tags give a larger deviation.

Up to 16384 different tags are counted exactly. With more, only the most frequent are
counted, and the report says by how much these counts may be too low. Tags with no
more keys than that are not listed. Tags longer than 256 bytes are not listed either.

With -nodes (see "hashslot help check"), the report also lists the shards in the order
of their first slots, each with its keys, their share of all keys, its slots and the
keys per slot. If slots have no owner, a line gives the number of keys in them.

JSON is one object; -nodes adds "owners" and "unowned". A share in JSON is a number from
0 to 1. A tag that is not UTF-8 is in "tag_hex" instead of "tag".

A line that is too long, or is not hex, is left out. The first ten such lines are named,
the others only counted, and the exit status is 1. Ctrl-C or SIGTERM ends the reading:
the report covers what has been read, and the exit status is 1.

With -commands, stat reads commands instead of keys, like "hashslot route -commands",
and counts the keys of all commands. The report begins with the number of commands, and
says how many of them are

    without keys
    divided         their keys are in several slots, and clients can divide them by slot
                    (MGET, DEL and others)
    refused         a cluster answers CROSSSLOT to them, alone, in a MULTI block or in a
                    script
    not understood

It ends with the names of the refused and of the not understood commands, each with the
reason for the first one. Commands in scripts, which MONITOR shows, are counted apart,
without their keys. JSON has all this in "commands".

-svg draws a map of the 16384 slots, 128 in a row. The colour of a slot shows its number
of keys. "-svg -" writes the map instead of the report.
`,
	example: `$ hashslot stat {42}:name {42}:mail {7}:name queue
keys             4
  with a tag     3
slots with keys  3 of 16384
keys per slot    min 0, mean 0.00024414, max 2
deviation        0.019135, by chance 0.015625

 slot  keys    share
 8000     2   50.00%
 1716     1   25.00%
13011     1   25.00%

 slot  keys    share  tag
 8000     2   50.00%  42
 1716     1   25.00%  7
$ hashslot stat -nodes testdata/nodes.txt -top 0 {42}:name {42}:mail {7}:name queue
keys             4
  with a tag     3
slots with keys  3 of 16384
keys per slot    min 0, mean 0.00024414, max 2
deviation        0.019135, by chance 0.015625

keys    share  slots   keys/slot  id    address
   1   25.00%   5461  0.00018312  e7d1  10.0.0.1:30001
   2   50.00%   5462  0.00036617  67ed  10.0.0.2:30002
   1   25.00%   5461  0.00018312  292f  10.0.0.3:30003
`,
}

func runStat(e *env) int {
	var (
		fs         flag.FlagSet
		nodes      nodesFlags
		in         inputFlags
		form       outputFlag
		hex, unhex bool
		top        int
		svg        string
		cf         commandFlags
		theme      themeFlag
	)
	nodes.add(&fs)
	in.add(&fs)
	form.add(&fs)
	fs.BoolVar(&hex, "hex", false, "write tags in hex")
	fs.BoolVar(&unhex, "unhex", false, "read keys in hex")
	fs.IntVar(&top, "top", 10, "list the `n` slots and tags with the most keys, at most 1000")
	fs.StringVar(&svg, "svg", "", "write a map of the slots to `file`; - writes the map instead of the report")
	theme.add(&fs)
	cf.addOption(&fs)
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	err := first(in.check(), form.check(), cf.check(), theme.check())
	if cf.commands && unhex {
		err = first(err, errUnhexCommands)
	}
	if top < 0 || top > 1000 {
		err = first(err, fmt.Errorf("-top must be from 0 to 1000, not %d", top))
	}
	if nodes.given() {
		err = first(err, nodes.check())
		if nodes.stdin() > 0 && len(e.args) == 0 {
			err = first(err, errNodesAndKeys)
		}
	}
	if err != nil {
		return e.badUse(err)
	}
	var picture io.Writer
	if svg != "" {
		if picture, err = e.create(svg); err != nil {
			return e.fail(err)
		}
	}
	var cluster *clusterView
	if nodes.given() {
		if cluster, err = nodes.load(e); err != nil {
			return e.fail(err)
		}
	}
	e.trims = cf.commands || unhex
	unit := "line"
	switch {
	case len(e.args) > 0:
		unit = "argument"
		in.nul, in.max = true, maxMax // an argument has no NUL and is never that long
	case in.nul:
		unit = "NUL-ended line"
	}
	var spreads []*spread // of the workers
	hash := newTagHash()
	newSpread := func() *spread {
		s := &spread{tags: newTopTags(statTags, hash), noTags: top == 0}
		spreads = append(spreads, s)
		return s
	}
	var counter commandCounter
	var got scanned
	switch {
	case cf.commands && len(e.args) > 0:
		cf.answer(e, in, 1, func() func(*output, commandLine, error) {
			s := newSpread()
			return func(_ *output, c commandLine, err error) { counter.add(s, c, err) }
		})
	case cf.commands: // one worker, because the commands of a client must stay in order
		split := statSplit
		split.workers = 1
		got = e.scan(in, split, func() lineWorker { return counter.worker(newSpread(), cf, in) })
	default:
		got = e.scan(in, statSplit, func() lineWorker { return newSpread().worker(in, unhex) })
	}
	s := merge(spreads)
	r := s.report(top)
	r.BadLines, r.Interrupted = got.bad.n, got.interrupted
	if cf.commands {
		r.Commands = counter.count(top)
	}
	if cluster != nil {
		r.own(cluster, s.keys[:])
	}
	code := got.report(e, unit)
	if picture != nil {
		drawing := r.draw(s.keys[:], theme.theme)
		if _, err := picture.Write(drawing); err != nil {
			return e.fail(err)
		}
		if picture == e.stdout {
			return code
		}
	}
	out := r.text(hex)
	if form.json() {
		out = r.json(hex)
	}
	if e.print(string(out)) != exitOK {
		return exitFailed
	}
	return code
}

const (
	statTags   = hashslot.Count // this many different tags are counted exactly
	statTagLen = 256            // the length of the longest tag that is counted
)

// A spread counts keys.
type spread struct {
	keys   [hashslot.Count]uint64
	tagged uint64
	tags   *topTags
	noTags bool     // tags are not listed, so they are not counted
	found  []uint16 // which keys of a batch have tags

	// These are set in a sum only.
	parts []*topTags
	lost  uint64 // the sum of their counts is too low by at most this
}

// worker returns a worker that counts keys, one on each line.
func (s *spread) worker(in inputFlags, hex bool) lineWorker {
	var keys [batchSize][]byte
	var slots []hashslot.Slot
	sep := in.sep()
	return func(data []byte) (lines int64, bad badLines) {
		check := hex || len(data) > in.max // a line may be bad
		tagged := hex || bytes.IndexByte(data, '{') >= 0
		for len(data) > 0 {
			n, size := split(&keys, data, sep)
			data = data[size:]
			kept := keys[:n]
			if check {
				kept = checkLines(kept, in.max, hex, lines, &bad)
			}
			lines += int64(n)
			if tagged {
				s.addTags(kept)
			}
			slots = hashslot.AppendOfBytes(slots[:0], kept)
			for _, slot := range slots {
				s.keys[slot%hashslot.Count]++
			}
		}
		return lines, bad
	}
}

// checkLines returns the keys on lines, in the memory of lines, and adds the lines that
// it leaves out to bad. The number of the first line is first.
func checkLines(lines [][]byte, max int, hex bool, first int64, bad *badLines) (keys [][]byte) {
	keys = lines[:0]
	for i, key := range lines {
		err := error(nil)
		if len(key) > max {
			err = tooLong(max)
		} else if hex {
			key, err = unhex(bytes.TrimSuffix(key, []byte{'\r'}))
		}
		if err != nil {
			bad.add(first+int64(i), err)
			continue
		}
		keys = append(keys, key)
	}
	return keys
}

// split divides the beginning of data into lines, and returns their number and their
// total size. The last line of data may have no end.
//
// It reads the ends of lines in 64 bytes from a bit mask, four at a time. So no branch
// depends on the lengths of lines, unless lines are very short. A call of
// bytes.IndexByte for each line takes three times as long.
func split(lines *[batchSize][]byte, data []byte, sep byte) (n, size int) {
	const block = 64
	var ends [batchSize + block]uint32 // up to 3 entries are written after the last end
	pattern := ones * uint64(sep)
	for at := 0; at+block <= len(data) && n <= batchSize-block; at += block {
		mask := matches((*[block]byte)(data[at:]), pattern)
		next := n + bits.OnesCount64(mask)
		for ; mask != 0; n += 4 {
			four := (*[4]uint32)(ends[n:])
			four[0] = uint32(at + bits.TrailingZeros64(mask))
			mask &= mask - 1
			four[1] = uint32(at + bits.TrailingZeros64(mask))
			mask &= mask - 1
			four[2] = uint32(at + bits.TrailingZeros64(mask))
			mask &= mask - 1
			four[3] = uint32(at + bits.TrailingZeros64(mask))
			mask &= mask - 1
		}
		n = next
	}
	start := uint(0) // unsigned, for fewer bounds checks
	for i, end := range ends[:min(n, batchSize)] {
		lines[i] = data[start:end:end]
		start = uint(end) + 1
	}
	if n == 0 { // near the end of data
		line, _, _ := bytes.Cut(data, []byte{sep})
		lines[0] = line
		return 1, min(len(line)+1, len(data))
	}
	return n, int(start)
}

// matches returns a mask of the bytes of p that equal the byte repeated in pattern.
func matches(p *[64]byte, pattern uint64) (mask uint64) {
	return zeros(le64(p, 0)^pattern) | zeros(le64(p, 1)^pattern)<<8 |
		zeros(le64(p, 2)^pattern)<<16 | zeros(le64(p, 3)^pattern)<<24 |
		zeros(le64(p, 4)^pattern)<<32 | zeros(le64(p, 5)^pattern)<<40 |
		zeros(le64(p, 6)^pattern)<<48 | zeros(le64(p, 7)^pattern)<<56
}

// zeros returns a mask of the bytes of x that are 0. It sets the high bit of each such
// byte, without borrows between bytes, and then gathers these eight bits.
func zeros(x uint64) uint64 {
	return ^((x&^highs + ^uint64(highs)) | x | ^uint64(highs)) * 0x0002040810204081 >> 56
}

// le64 returns word i of p.
func le64(p *[64]byte, i int) uint64 { return binary.LittleEndian.Uint64(p[8*i%64:]) }

// add counts keys in their slots, and overwrites the list of keys.
func (s *spread) add(keys [][]byte, slots []hashslot.Slot) {
	for _, slot := range slots {
		s.keys[slot]++
	}
	for ; len(keys) > batchSize; keys = keys[batchSize:] {
		s.addTags(keys[:batchSize])
	}
	s.addTags(keys)
}

// addTags counts the tags of at most batchSize keys, and replaces each key by its hashed
// part. Hashing that part gives the same slot: a tag has no "}", so it has no tag in it.
func (s *spread) addTags(keys [][]byte) {
	found, tagged := s.found[:0], 0
	for i, key := range keys {
		if start, end, ok := findTag(key); ok {
			tagged++
			keys[i] = key[start:end]
			if end-start <= statTagLen {
				found = append(found, uint16(i))
			}
		}
	}
	s.found = found
	s.tagged += uint64(tagged)
	if !s.noTags {
		s.tags.add(keys, found)
	}
}

// findTag returns the same as hashtag.Find. It has a fast path for short tags at the
// beginning of the key, which most tags are.
func findTag(key []byte) (start, end int, ok bool) {
	if len(key) > 8 && key[0] == '{' {
		if ends := hasByte(binary.LittleEndian.Uint64(key[1:]), '}'); ends != 0 {
			end = 1 + bits.TrailingZeros64(ends)/8
			return 1, end, end > 1
		}
	}
	return hashtag.Find(key)
}

// merge returns the sum of spreads.
func merge(spreads []*spread) *spread {
	sum := new(spread)
	for _, s := range spreads {
		for slot, n := range s.keys {
			sum.keys[slot] += n
		}
		sum.tagged += s.tagged
		sum.lost += s.tags.lost
		sum.parts = append(sum.parts, s.tags)
	}
	return sum
}

// A report has what the command prints.
type report struct {
	Keys      uint64      `json:"keys"`
	Tagged    uint64      `json:"tagged"`
	Slots     int         `json:"slots"`
	Min       uint64      `json:"min"`
	Mean      float64     `json:"mean"`
	Max       uint64      `json:"max"`
	Deviation float64     `json:"deviation"`
	ByChance  float64     `json:"deviation_by_chance"`
	HotSlots  []slotCount `json:"hot_slots"`
	HotTags   []tagCount  `json:"hot_tags"`
	TagsLost  uint64      `json:"hot_tags_error"`

	BadLines    int64 `json:"bad_lines"` // that were left out
	Interrupted bool  `json:"interrupted"`

	// With -commands.
	Commands *commandCount `json:"commands,omitzero"`

	// With -nodes.
	Owners  []ownerCount  `json:"owners,omitzero"`
	Unowned *unownedCount `json:"unowned,omitzero"`
}

type ownerCount struct {
	ID          string  `json:"id"`
	Addr        string  `json:"addr"`
	Keys        uint64  `json:"keys"`
	Share       float64 `json:"share"`
	Slots       int     `json:"slots"`
	KeysPerSlot float64 `json:"keys_per_slot"`
}

type unownedCount struct {
	Keys  uint64  `json:"keys"`
	Share float64 `json:"share"`
	Slots int     `json:"slots"`
}

type slotCount struct {
	Slot int    `json:"slot"`
	Keys uint64 `json:"keys"`
}

type tagCount struct {
	Tag    string `json:"tag,omitempty"`
	TagHex string `json:"tag_hex,omitempty"` // of a tag that is not UTF-8
	Slot   int    `json:"slot"`
	Keys   uint64 `json:"keys"`
}

func (s *spread) report(top int) report {
	r := report{Tagged: s.tagged, Min: slices.Min(s.keys[:]), Max: slices.Max(s.keys[:]), TagsLost: s.lost}
	r.HotSlots, r.HotTags = []slotCount{}, []tagCount{}
	for slot, n := range s.keys {
		r.Keys += n
		if n > 0 {
			r.Slots++
			r.HotSlots = append(r.HotSlots, slotCount{slot, n})
		}
	}
	const p = 1.0 / hashslot.Count
	r.Mean = float64(r.Keys) * p
	for _, n := range s.keys {
		r.Deviation += (float64(n) - r.Mean) * (float64(n) - r.Mean) * p
	}
	r.Deviation = math.Sqrt(r.Deviation)
	r.ByChance = math.Sqrt(float64(r.Keys) * p * (1 - p)) // binomial
	slices.SortStableFunc(r.HotSlots, func(a, b slotCount) int { return cmp.Compare(b.Keys, a.Keys) })
	r.HotSlots = r.HotSlots[:min(top, len(r.HotSlots))]
	for _, t := range mostTags(s.parts, top, s.lost) {
		r.HotTags = append(r.HotTags, tagCount{Tag: t.tag, Keys: t.count})
	}
	for i := range r.HotTags {
		sum := hashslot.ChecksumString(r.HotTags[i].Tag)
		r.HotTags[i].Slot = int(sum % hashslot.Count)
	}
	return r
}

// own adds the number of keys of each shard of c, and of keys in slots without an owner.
func (r *report) own(c *clusterView, keys []uint64) {
	count := func(slots slotmap.Set) (n uint64, share float64, size int) {
		for slot := range slots.Slots() {
			n += keys[slot]
		}
		return n, float64(n) / float64(max(r.Keys, 1)), slots.Len()
	}
	r.Owners = []ownerCount{}
	for _, s := range describe(c).Shards {
		o := ownerCount{ID: s.ID, Addr: s.Addr}
		o.Keys, o.Share, o.Slots = count(s.Slots)
		o.KeysPerSlot = float64(o.Keys) / float64(o.Slots) // not 0: only shards with slots are listed
		r.Owners = append(r.Owners, o)
	}
	r.Unowned = new(unownedCount)
	r.Unowned.Keys, r.Unowned.Share, r.Unowned.Slots = count(c.Unassigned())
}

func (r report) ownersText(b *bytes.Buffer) {
	if len(r.Owners) > 0 {
		width := max(len("keys"), len(fmt.Sprint(r.Keys)))
		rows := [][]string{{fmt.Sprintf("%*s  %7s  %5s  %10s", width, "keys", "share", "slots", "keys/slot"), "id", "address"}}
		for _, o := range r.Owners {
			rows = append(rows, []string{fmt.Sprintf("%*d  %6.2f%%  %5d  %10.5g", width, o.Keys, 100*o.Share, o.Slots, o.KeysPerSlot), plain(o.ID), plain(o.Addr)})
		}
		var table strings.Builder
		columns(&table, rows)
		b.WriteString("\n" + table.String())
	}
	if u := r.Unowned; u != nil && u.Slots > 0 {
		fmt.Fprintf(b, "\n%s %d keys, %.2f%% of all.\n", count(u.Slots, "slot has no owner: it holds", "slots have no owner: they hold"), u.Keys, 100*u.Share)
	}
}

func (r report) text(hex bool) []byte {
	var b bytes.Buffer
	if r.Commands != nil {
		r.Commands.text(&b)
	}
	fmt.Fprintf(&b, "keys             %d\n", r.Keys)
	fmt.Fprintf(&b, "  with a tag     %d\n", r.Tagged)
	fmt.Fprintf(&b, "slots with keys  %d of %d\n", r.Slots, hashslot.Count)
	fmt.Fprintf(&b, "keys per slot    min %d, mean %.5g, max %d\n", r.Min, r.Mean, r.Max)
	fmt.Fprintf(&b, "deviation        %.5g, by chance %.5g\n", r.Deviation, r.ByChance)
	r.ownersText(&b)
	width := max(len("keys"), len(fmt.Sprint(r.Max)))
	line := func(slot int, keys uint64) {
		fmt.Fprintf(&b, "%5d  %*d  %6.2f%%", slot, width, keys, 100*float64(keys)/float64(r.Keys))
	}
	if len(r.HotSlots) > 0 {
		fmt.Fprintf(&b, "\n%5s  %*s  %7s\n", "slot", width, "keys", "share")
		for _, s := range r.HotSlots {
			line(s.Slot, s.Keys)
			b.WriteString("\n")
		}
	}
	if len(r.HotTags) > 0 {
		enc := appendText
		if hex {
			enc = appendHex
		}
		fmt.Fprintf(&b, "\n%5s  %*s  %7s  tag\n", "slot", width, "keys", "share")
		for _, t := range r.HotTags {
			line(t.Slot, t.Keys)
			fmt.Fprintf(&b, "  %s\n", enc(nil, []byte(t.Tag)))
		}
	}
	switch {
	case r.TagsLost > 0 && len(r.HotTags) > 0:
		fmt.Fprintf(&b, "\nThere are too many tags to count exactly: each count may be too low by up to %d, and a\ntag that is not counted has at most %[1]d keys.\n", r.TagsLost)
	case r.TagsLost > 0:
		fmt.Fprintf(&b, "\nThere are too many tags to count exactly: none has more than %d keys for certain, so\nnone is listed.\n", r.TagsLost)
	}
	if r.Commands != nil {
		r.Commands.troubles(&b)
	}
	if r.BadLines > 0 {
		fmt.Fprintf(&b, "\nLines that were left out: %d\n", r.BadLines)
	}
	if r.Interrupted {
		b.WriteString("\nInterrupted: the input was not read to its end.\n")
	}
	return b.Bytes()
}

func (r report) json(hex bool) []byte {
	for i := range r.HotTags {
		t := &r.HotTags[i]
		if hex {
			t.Tag = string(appendHex(nil, []byte(t.Tag)))
		} else if !utf8.ValidString(t.Tag) {
			t.Tag, t.TagHex = "", string(appendHex(nil, []byte(t.Tag)))
		}
	}
	return line(r)
}

// draw returns the map of the slots as SVG. The colours stand for equal steps if the
// numbers of keys are within a factor of 4, and for growing factors if they are not.
func (r report) draw(keys []uint64, theme string) []byte {
	var limits []uint64 // for each colour, the most keys of a slot that has it
	const colours = 8
	low := r.Max
	for _, n := range keys {
		if n > 0 {
			low = min(low, n)
		}
	}
	if low > 0 {
		if span := r.Max - low + 1; r.Max/4 < low {
			steps := min(span, colours)
			for i := uint64(1); i <= steps; i++ {
				limits = append(limits, low-1+span/steps*i+span%steps*i/steps)
			}
		} else {
			factor := uint64(2)
			for math.Pow(float64(factor), colours)*float64(low) <= float64(r.Max) {
				factor++
			}
			for next := low; next <= r.Max; {
				next *= factor
				limits = append(limits, min(next-1, r.Max))
			}
		}
	}
	m := slotMap{
		title:   fmt.Sprintf("%d keys in %d of %d slots", r.Keys, r.Slots, hashslot.Count),
		columns: []string{"keys in a slot"},
		theme:   theme,
		kinds:   []slotKind{{cells: []string{"0"}}},
	}
	for i, limit := range limits {
		from := low
		if i > 0 {
			from = limits[i-1] + 1
		}
		label := fmt.Sprint(limit)
		if from < limit {
			label = fmt.Sprintf("%d to %d", from, limit)
		}
		m.kinds = append(m.kinds, slotKind{colour: heat(i, len(limits)), cells: []string{label}})
	}
	for slot, n := range keys {
		kind, _ := slices.BinarySearch(limits, n)
		if n > 0 {
			kind++
		}
		m.kind[slot] = kind
	}
	m.notes = []string{
		fmt.Sprintf("min %d, mean %.5g, max %d", r.Min, r.Mean, r.Max),
		fmt.Sprintf("deviation %.5g, by chance %.5g", r.Deviation, r.ByChance),
	}
	if len(r.HotSlots) > 0 {
		m.notes = append(m.notes, "", "Slots with the most keys")
		for _, s := range r.HotSlots[:min(10, len(r.HotSlots))] {
			m.notes = append(m.notes, fmt.Sprintf("%d: %d keys", s.Slot, s.Keys))
		}
	}
	return m.svg()
}

// heat returns colour i of n, from light to dark.
func heat(i, n int) string {
	anchors := [][3]float64{{250, 215, 105}, {240, 120, 40}, {185, 15, 105}}
	x := 0.5
	if n > 1 {
		x = float64(i) / float64(n-1)
	}
	x *= float64(len(anchors) - 1)
	at := min(int(x), len(anchors)-2)
	x -= float64(at)
	var rgb [3]int
	for c := range rgb {
		rgb[c] = int(math.Round(anchors[at][c]*(1-x) + anchors[at+1][c]*x))
	}
	return fmt.Sprintf("#%02x%02x%02x", rgb[0], rgb[1], rgb[2])
}
