package main

import (
	"flag"
	"fmt"
	"math"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

var drawCommand = command{
	name:  "draw",
	args:  "",
	short: "a picture of who owns which slots",
	run:   runDraw,
	doc: `The picture is an SVG of the 16384 slots, 128 in a row, and goes to standard
output or to the file of -o. -nodes is as in "hashslot check":

    valkey-cli cluster nodes | hashslot draw -nodes - > slots.svg

Each shard has a colour, and a line of the legend: the beginning of its primary's
id, the address, the number of slots and the first of the ranges. Shards are in
the order of their first slots. There are 36 colours: 12, the same darker, and
the same lighter. After 36 shards they repeat in that order; a viewer that shows
titles tells the shard of a slot under the pointer.

Unassigned slots are hatched in red. Open slots, which are being moved by CLUSTER
SETSLOT or were left so, have a black square on the colour of their owner. Lines
below the legend tell from where to where they go, and whether the source says so
(migrating), the target (importing) or both.
`,
	example: `$ hashslot draw -nodes testdata/nodes.txt -o slots.svg
`,
}

func runDraw(e *env) int {
	var (
		fs    flag.FlagSet
		nodes nodesFlags
	)
	nodes.add(&fs)
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	nodes.take(e.args)
	if err := nodes.check(); err != nil {
		return e.badUse(err)
	}
	c, err := nodes.load(e)
	if err != nil {
		return e.fail(err)
	}
	return e.print(string(drawOwners(c)))
}

// drawOwners returns the map of the slots as SVG.
func drawOwners(c *clusterView) []byte {
	d := describe(c)
	m := slotMap{
		title:   fmt.Sprintf("%d of %d slots in %d shards", d.Assigned, hashslot.Count, len(d.Shards)),
		columns: []string{"id", "address"},
		detail:  "ranges",
	}
	if len(d.Shards) == 1 {
		m.title = strings.TrimSuffix(m.title, "s")
	}
	add := func(k slotKind, slots slotmap.Set) {
		for slot := range slots.Slots() {
			m.kind[slot] = len(m.kinds)
		}
		k.detail = firstRanges(slots)
		m.kinds = append(m.kinds, k)
	}
	id := shortIDs(d)
	for i, s := range d.Shards {
		add(slotKind{colour: shardColour(i), cells: []string{id(s.ID), shorten(plain(s.Addr), 40)}}, s.Slots)
	}
	if none := c.Unassigned(); !none.IsEmpty() {
		add(slotKind{colour: hatched, cells: []string{"-", "unassigned"}}, none)
	}
	if len(d.Shards) > shardColours {
		m.notes = append(m.notes, fmt.Sprintf("Colours repeat after %d shards", shardColours))
	}
	if n := len(c.Disagreements()); n > 0 {
		m.notes = append(m.notes, `Nodes disagree: see "hashslot check"`)
	}
	m.addOpen(c.Open(), id)
	return m.svg()
}

// addOpen marks the open slots, and tells of the first moves.
func (m *slotMap) addOpen(open []topology.OpenSlot, id func(string) string) {
	type move struct{ from, to, state string }
	var moves []move
	slots := map[move]*slotmap.Set{}
	last := -1
	for _, o := range open {
		k := move{id(o.From), id(o.To), "migrating and importing"}
		switch {
		case !o.Importing:
			k.state = "migrating"
		case !o.Migrating:
			k.state = "importing"
		}
		if slots[k] == nil {
			slots[k] = new(slotmap.Set)
			moves = append(moves, k)
		}
		slots[k].Add(o.Slot)     // a slot of a Cluster is valid
		if int(o.Slot) != last { // two nodes may import it
			m.open = append(m.open, o.Slot)
			last = int(o.Slot)
		}
	}
	if len(moves) == 0 {
		return
	}
	const most = 10
	m.notes = append(m.notes, "Open slots")
	for _, k := range moves[:min(most, len(moves))] {
		m.notes = append(m.notes, fmt.Sprintf("%s: from %s to %s, %s", firstRanges(*slots[k]), k.from, k.to, k.state))
	}
	if n := len(moves) - most; n > 0 {
		m.notes = append(m.notes, fmt.Sprintf("and %d more moves", n))
	}
}

// firstRanges is the text of s, of the first ranges if there are many.
func firstRanges(s slotmap.Set) string {
	const most = 4
	ranges := strings.Fields(s.String())
	if len(ranges) <= most {
		return strings.Join(ranges, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(ranges[:most-1], " "), len(ranges)-most+1)
}

// shortIDs returns what cuts ids so that those of the shards and of open slots
// can be told apart: eight characters, or more if it takes them.
func shortIDs(d clusterJSON) func(string) string {
	ids := map[string]bool{}
	for _, s := range d.Shards {
		ids[s.ID] = true
	}
	for _, o := range d.Migrating {
		ids[o.From], ids[o.To] = true, true
	}
	cut := func(id string, n int) string {
		if r := []rune(id); len(r) > n {
			return string(r[:n])
		}
		return id
	}
	n := 8
	for ; n < 40; n++ {
		short := map[string]bool{}
		for id := range ids {
			short[cut(id, n)] = true
		}
		if len(short) == len(ids) {
			break
		}
	}
	return func(id string) string { return plain(cut(id, n)) }
}

// shorten takes out the middle of s if it is longer than most characters.
func shorten(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most/2]) + "…" + string(r[len(r)-most/2+1:])
}

// hues are far from each other, and further from the ones beside them.
var hues = [...][3]float64{
	{59, 120, 196}, {240, 138, 36}, {63, 158, 77}, {206, 120, 190}, {232, 200, 50}, {122, 80, 180},
	{42, 172, 170}, {200, 62, 70}, {166, 205, 60}, {140, 96, 62}, {120, 190, 240}, {240, 150, 140},
}

const shardColours = 3 * len(hues)

// shardColour returns the colour of shard i: a hue, after those a darker one,
// then a lighter one, and then from the start.
func shardColour(i int) string {
	hue := hues[i%len(hues)]
	for c := range hue {
		switch i / len(hues) % 3 {
		case 1:
			hue[c] *= 0.55
		case 2:
			hue[c] = 255 - (255-hue[c])*0.45
		}
	}
	return fmt.Sprintf("#%02x%02x%02x", int(math.Round(hue[0])), int(math.Round(hue[1])), int(math.Round(hue[2])))
}
