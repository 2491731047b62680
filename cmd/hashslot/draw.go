package main

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
)

var drawCommand = command{
	name:  "draw",
	args:  "[FILE...]",
	short: "a picture of which shard owns which slots",
	run:   runDraw,
	doc: nodesDoc + `
The picture is an SVG of the 16384 slots, 128 in a row, and goes to standard
output or to the file of -o:

    valkey-cli cluster nodes | hashslot draw - > slots.svg

Each shard has a colour, a number, and a line in the legend: the id and address of
its primary, the number of its slots and its first ranges. The number is also on the
map where there is room. Shards are in the order of their first slots. There are 10
colours, which colour-blind readers can tell apart; with more shards they repeat in
that order. With more than 120 shards the legend shows groups; a viewer that shows SVG
titles names the shard under the pointer.

Patterns show states, so that the picture can be read without colours. Slots of a
failed primary are crossed out, slots of a primary that does not answer are striped, and
slots of a primary that is loading its data are dotted. Slots of a shard without a
working replica are underlined, unless no shard has a replica. Unassigned slots are
hatched in red. Open slots, which CLUSTER SETSLOT is moving or has left half moved,
have a black square. Lines below the legend give the source and target of open slots,
and whether the source (migrating), the target (importing) or both report the move.

With -before, the picture shows changes: a slot that has a new owner has the colour of
that owner, all other slots have none.

-theme auto follows the viewer's light or dark theme.
`,
	example: `$ hashslot draw testdata/nodes.txt -o slots.svg
$ hashslot draw -before testdata/three.nodes testdata/nodes.txt -o changes.svg
`,
}

// themeFlag is the option -theme.
type themeFlag struct{ theme string }

func (f *themeFlag) add(fs *flag.FlagSet) {
	fs.StringVar(&f.theme, "theme", "auto", "the `theme` of the picture: auto, light or dark")
}

func (f *themeFlag) check() error {
	if !slices.Contains(themes, f.theme) {
		return fmt.Errorf("-theme must be auto, light or dark, not %q", f.theme)
	}
	return nil
}

// pictureFlags are the options of a picture beside the report of a command.
type pictureFlags struct {
	file  string
	theme themeFlag
}

func (f *pictureFlags) add(fs *flag.FlagSet) {
	fs.StringVar(&f.file, "draw", "", "write a picture of the slots that change their owner to `file`; - writes the picture\ninstead of the plan")
	f.theme.add(fs)
}

func (f *pictureFlags) check() error { return f.theme.check() }

// picture draws m if the options ask for it. If done is true, the command ends with
// code.
func (f *pictureFlags) picture(e *env, m *slotMap) (code int, done bool) {
	if f.file == "" {
		return exitOK, false
	}
	m.theme = f.theme.theme
	out, err := e.create(f.file)
	if err == nil {
		_, err = out.Write(m.svg())
	}
	if err != nil {
		return e.fail(err), true
	}
	return exitOK, f.file == "-"
}

func runDraw(e *env) int {
	var (
		fs     flag.FlagSet
		nodes  nodesFlags
		before nodesFlags
		theme  themeFlag
	)
	nodes.add(&fs)
	theme.add(&fs)
	fs.Func("before", "draw what changed since the earlier view in `file`; may be repeated, for the views\nof several nodes", func(name string) error {
		before.files = append(before.files, name)
		return nil
	})
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	nodes.take(e.args)
	before.from = nodes.from
	err := first(nodes.check(), theme.check())
	if nodes.stdin()+before.stdin() > 1 {
		err = first(err, errTwice)
	}
	if err != nil {
		return e.badUse(err)
	}
	c, err := nodes.load(e)
	if err != nil {
		return e.fail(err)
	}
	m := drawOwners(c)
	if len(before.files) > 0 {
		b, err := before.load(e)
		if err != nil {
			return e.fail(err)
		}
		m = drawChange(ownersOf(b), ownersOf(c))
	}
	m.theme = theme.theme
	return e.print(string(m.svg()))
}

// drawOwners returns the map of the slots.
func drawOwners(c *clusterView) *slotMap {
	d := describe(c)
	m := &slotMap{
		title:   fmt.Sprintf("%d of %d slots in %s", d.Assigned, hashslot.Count, count(len(d.Shards), "shard", "shards")),
		columns: []string{"#", "id", "address"},
		detail:  "ranges",
		labels:  true,
	}
	states := make([]string, len(d.Shards))
	var replicas, stated bool
	for i := range d.Shards {
		replicas = replicas || len(d.Shards[i].Replicas) > 0
	}
	for i := range d.Shards {
		states[i] = state(c.Shards()[i], replicas)
		stated = stated || states[i] != ""
	}
	if stated {
		m.columns = append(m.columns, "state")
	}
	add := func(k slotKind, slots slotmap.Set, state string) {
		if stated {
			k.cells = append(k.cells, stateNames[state])
		}
		k.mark = state
		for slot := range slots.Slots() {
			m.kind[slot] = len(m.kinds)
		}
		k.detail = firstRanges(slots)
		m.kinds = append(m.kinds, k)
	}
	id := shortIDs(d)
	for i, s := range d.Shards {
		add(slotKind{colour: shardColour(i), cells: []string{fmt.Sprint(i + 1), id(s.ID), shorten(plain(s.Addr), 40)}}, s.Slots, states[i])
	}
	if len(d.Shards) > mapLegend*3 {
		m.group(d.Shards)
	}
	if none := c.Unassigned(); !none.IsEmpty() {
		add(slotKind{colour: hatched, cells: []string{"-", "-", "unassigned"}}, none, "")
		if m.legend != nil {
			m.legend = append(m.legend, legendRow{m.kinds[len(m.kinds)-1], none.Len()})
		}
	}
	if m.legend == nil && len(d.Shards) > len(palette) {
		m.notes = append(m.notes, fmt.Sprintf("Colours repeat after %d shards", len(palette)))
	}
	if len(d.Shards) > 1 && !replicas {
		m.notes = append(m.notes, "No shard has a replica")
	}
	if n := len(c.Disagreements()); n > 0 {
		m.notes = append(m.notes, `Nodes disagree: see "hashslot check"`)
	}
	m.addOpen(c.Open(), id)
	return m
}

// stateNames are the marks, for the legend.
var stateNames = map[string]string{"": "", "failed": "failed", "suspected": "suspected", "loading": "loading", "bare": "no replica"}

// state returns the mark of a shard. replicas reports whether any shard has a replica.
func state(s *topology.Shard, replicas bool) string {
	switch p := s.Primary; {
	case p.Flags.Has(topology.FlagFail):
		return "failed"
	case p.Flags.Has(topology.FlagPFail):
		return "suspected"
	case p.Health == topology.HealthLoading:
		return "loading"
	case replicas && working(s) == 0:
		return "bare"
	}
	return ""
}

// group puts the shards, which are the first kinds, into groups with one line of the
// legend each. The shards of a group alternate between two shades of one colour.
func (m *slotMap) group(shards []shardJSON) {
	n := len(shards)
	size := (n + mapLegend - 2) / (mapLegend - 1) // one line is for unassigned slots
	m.labels = false
	for from := 0; from < n; from += size {
		to := min(from+size, n)
		row := legendRow{slotKind: slotKind{colour: shardColour(from / size), cells: make([]string, len(m.columns))}}
		row.cells[0] = fmt.Sprintf("%d-%d", from+1, to)
		row.cells[1] = m.kinds[from].cells[1]
		row.cells[2] = m.kinds[from].cells[2] + " and " + fmt.Sprint(to-from-1) + " more"
		marked := 0
		var slots slotmap.Set
		for i := from; i < to; i++ {
			slots = slots.Union(shards[i].Slots)
			m.kinds[i].colour = row.colour
			if (i-from)%2 == 1 {
				m.kinds[i].colour = lighter(row.colour)
			}
			if m.kinds[i].mark != "" {
				marked++
			}
		}
		if marked > 0 {
			row.cells[3] = fmt.Sprintf("%d marked", marked)
		}
		row.slots, row.detail = slots.Len(), firstRanges(slots)
		m.legend = append(m.legend, row)
	}
}

// An owned has slots and their owner, for drawChange.
type owned struct {
	id, addr string
	slots    slotmap.Set
}

// ownersOf returns the owners of a cluster.
func ownersOf(c *clusterView) (list []owned) {
	for _, s := range describe(c).Shards {
		list = append(list, owned{s.ID, s.Addr, s.Slots})
	}
	return list
}

// drawChange returns a map of the slots whose owner changes.
func drawChange(before, after []owned) *slotMap {
	type pair struct{ from, to int } // -1: nobody
	var from, to [hashslot.Count]int
	for _, side := range []struct {
		list  []owned
		owner *[hashslot.Count]int
	}{{before, &from}, {after, &to}} {
		for slot := range side.owner {
			side.owner[slot] = -1
		}
		for i, o := range side.list {
			for slot := range o.slots.Slots() {
				side.owner[slot] = i
			}
		}
	}
	d := clusterJSON{}
	for _, o := range slices.Concat(before, after) {
		d.Shards = append(d.Shards, shardJSON{ID: o.id})
	}
	short := shortIDs(d)
	name := func(list []owned, i int) string {
		if i < 0 {
			return "nobody"
		}
		if list[i].id == list[i].addr { // a node of a new cluster, which has no id yet
			return shorten(plain(list[i].addr), 60)
		}
		return short(list[i].id) + " " + shorten(plain(list[i].addr), 40)
	}
	id := func(list []owned, i int) string {
		if i < 0 {
			return ""
		}
		return list[i].id
	}
	m := &slotMap{columns: []string{"#", "from", "to"}, detail: "ranges", labels: true, kinds: []slotKind{{cells: []string{"", "unchanged", ""}}}}
	kinds := map[pair]int{}
	slots := []slotmap.Set{{}}
	changed := 0
	for slot := range hashslot.Slot(hashslot.Count) {
		p := pair{from[slot], to[slot]}
		if id(before, p.from) == id(after, p.to) {
			slots[0].Add(slot)
			continue
		}
		changed++
		kind, ok := kinds[p]
		if !ok {
			kind = len(m.kinds)
			kinds[p] = kind
			k := slotKind{colour: hatched, cells: []string{fmt.Sprint(kind), name(before, p.from), name(after, p.to)}}
			if p.to >= 0 {
				k.colour = shardColour(p.to)
			}
			m.kinds = append(m.kinds, k)
			slots = append(slots, slotmap.Set{})
		}
		m.kind[slot] = kind
		slots[kind].Add(slot)
	}
	m.title = fmt.Sprintf("%d of %d slots change their owner", changed, hashslot.Count)
	if len(before) == 0 {
		m.title = fmt.Sprintf("%d of %d slots get an owner", changed, hashslot.Count)
	}
	for kind := range m.kinds {
		m.kinds[kind].detail = firstRanges(slots[kind])
	}
	if n := len(m.kinds); n > mapLegend*3 {
		for i, k := range m.kinds[:mapLegend-1] {
			m.legend = append(m.legend, legendRow{k, slots[i].Len()})
		}
		m.notes = append(m.notes, fmt.Sprintf("and %d more moves", n-mapLegend+1))
	}
	return m
}

// A change has slots and the id of their next owner, "" for none.
type change struct {
	slots slotmap.Set
	to    string
}

// drawChanges returns a map of the slots of c that changes give to another owner.
func drawChanges(c *clusterView, changes []change) *slotMap {
	before := ownersOf(c)
	after := slices.Clone(before)
	// A later change of a slot counts. Each owner loses what changes only once.
	var changed slotmap.Set
	last := make([]slotmap.Set, len(changes))
	for i := len(changes) - 1; i >= 0; i-- {
		last[i] = changes[i].slots.Subtract(changed)
		changed = changed.Union(changes[i].slots)
	}
	index := map[string]int{}
	for i := range after {
		after[i].slots = after[i].slots.Subtract(changed)
		index[after[i].id] = i
	}
	for i, ch := range changes {
		if at, ok := index[ch.to]; ok {
			after[at].slots = after[at].slots.Union(last[i])
		} else if n := c.Node(ch.to); n != nil {
			index[ch.to] = len(after)
			after = append(after, owned{n.ID, n.Addr(), last[i]})
		}
	}
	return drawChange(before, after)
}

// drawBalance returns a map of the slots that get another primary. The notes list the
// replicas that get another primary.
func drawBalance(c *clusterView, p plan.Spread) *slotMap {
	var changes []change
	slots := map[string]slotmap.Set{}
	for _, o := range ownersOf(c) {
		slots[o.id] = o.slots
	}
	for _, f := range p.Failovers {
		if s, ok := slots[f.Primary]; ok {
			changes = append(changes, change{s, f.Replica})
		}
	}
	m := drawChanges(c, changes)
	const most = 20
	if len(p.Moves) > 0 {
		m.notes = append(m.notes, "Replicas that get another primary")
	}
	for _, r := range p.Moves[:min(most, len(p.Moves))] {
		m.notes = append(m.notes, fmt.Sprintf("%s: from %s to %s", plain(c.Node(r.Replica).String()), plain(c.Node(r.From).String()), plain(c.Node(r.To).String())))
	}
	if n := len(p.Moves) - most; n > 0 {
		m.notes = append(m.notes, fmt.Sprintf("and %d more", n))
	}
	return m
}

// addOpen marks the open slots, and lists the first moves in the notes.
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

// firstRanges returns s as text, with only its first ranges if there are many.
func firstRanges(s slotmap.Set) string {
	const most = 4
	ranges := strings.Fields(s.String())
	if len(ranges) <= most {
		return strings.Join(ranges, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(ranges[:most-1], " "), len(ranges)-most+1)
}

// shortIDs returns a function that shortens ids to eight characters, or to more if the
// ids of shards and open slots need more to differ.
func shortIDs(d clusterJSON) func(string) string {
	ids := map[string]struct{}{}
	for _, s := range d.Shards {
		ids[s.ID] = struct{}{}
	}
	for _, o := range d.Migrating {
		ids[o.From], ids[o.To] = struct{}{}, struct{}{}
	}
	cut := func(id string, n int) string {
		if r := []rune(id); len(r) > n {
			return string(r[:n])
		}
		return id
	}
	n := 8
	for ; n < 40; n++ {
		short := map[string]struct{}{}
		for id := range ids {
			short[cut(id, n)] = struct{}{}
		}
		if len(short) == len(ids) {
			break
		}
	}
	return func(id string) string { return plain(cut(id, n)) }
}

// shorten replaces the middle of s if s is longer than most characters.
func shorten(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most/2]) + "…" + string(r[len(r)-most/2+1:])
}

// palette has colours that readers with any kind of colour vision can tell apart; a
// test checks that. lighter works on each of them.
var palette = [...]string{
	"#55a989", "#a13431", "#beed87", "#4b5b72", "#f77dff", "#a38806", "#8806f9", "#ffcff8", "#980fb0", "#4aff00",
}

// shardColour returns the colour of shard i.
func shardColour(i int) string { return palette[i%len(palette)] }

// lighter returns the colour halfway to white.
func lighter(colour string) string {
	rgb, _ := strconv.ParseUint(colour[1:], 16, 32) // a colour of palette
	return fmt.Sprintf("#%06x", 0xffffff-(0xffffff-rgb)>>1&0x7f7f7f)
}
