package plan

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// SetSlotOptions are the options of [Plan.SetSlots]. The zero value means database 0, 100
// keys at a time, a timeout of a minute, and no REPLACE.
type SetSlotOptions struct {
	// Keys is the most keys that one MIGRATE sends; 0 means 100. Timeout is its timeout,
	// from a millisecond to 24 days; 0 means a minute.
	Keys    int
	Timeout time.Duration

	// Replace lets MIGRATE overwrite keys of the target. If both ends have a key while
	// its slot moves, a MIGRATE of it was interrupted. Clients see the key of the
	// source, so it is right to overwrite the other.
	Replace bool

	// Databases is the number of databases, cluster-databases of Valkey 9.0 and
	// later; 0 means 1.
	Databases int

	// AddSlots assigns unassigned slots by ADDSLOTS and not ADDSLOTSRANGE, which servers
	// before 7.0 do not have.
	AddSlots bool
}

func (o *SetSlotOptions) check() error {
	switch {
	case o.Keys < 0:
		return &InputError{Field: "Keys", Value: strconv.Itoa(o.Keys), Reason: "must be at least 1, or 0 for the default, 100"}
	case o.Timeout != 0 && (o.Timeout < time.Millisecond || o.Timeout > math.MaxInt32*time.Millisecond):
		return &InputError{Field: "Timeout", Value: o.Timeout.String(), Reason: "must be from 1ms to 24 days, or 0 for the default, 1m"}
	case o.Databases < 0:
		return &InputError{Field: "Databases", Value: strconv.Itoa(o.Databases), Reason: "must be at least 1, or 0 for the default, 1"}
	}
	return nil
}

// SetSlots renders the plan for servers of all versions, slot by slot. First the target
// opens the slot as importing, then the source as migrating. Then the keys move. Then
// SETSLOT NODE makes the target the owner: it is sent to the target, then to the source,
// then to the other primaries. The target comes first so that it takes a new config
// epoch, and answers for the slot when others send clients to it. Replicas learn from
// their primaries. A primary that has given its last slot can be a replica by then, and
// gets no more commands.
//
// If a source gives its last slot, the steps wait until it is in sync. If it were still
// syncing as a replica while its new primary imports the next slot, Valkey 9.1 could
// leave it with that slot open, until another sync.
//
// Before the first step, all nodes should agree on the config epochs, which can take a
// moment after an earlier plan. A target that does not know the highest epoch takes one
// that another node already has, and can lose its new slots.
//
// The error is an [*InputError] for bad options, or if MIGRATE needs an address that the
// view does not have.
func (p *Plan) SetSlots(o SetSlotOptions) (iter.Seq[Step], error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	had := map[string]int{}
	for r, id := range p.Before.Ranges() {
		had[id] += r.Len()
	}
	at := p.byID()
	for _, m := range p.Moves {
		if _, _, err := net.SplitHostPort(at[m.To].Addr); err != nil && m.From != "" {
			return nil, &InputError{Field: "Plan", Value: m.To, Reason: "the view has no address of this node, and MIGRATE needs it"}
		}
	}
	return func(yield func(Step) bool) {
		left := maps.Clone(had)
		for _, m := range p.Moves {
			if m.From == "" {
				left[m.To] += m.Slots.Len()
				if !yield(assigned(at[m.To], rangesOf(m.Slots), o.AddSlots)) {
					return
				}
				continue
			}
			for slot := range m.Slots.Slots() {
				left[m.From]--
				left[m.To]++
				for _, s := range p.setSlot(at[m.From], at[m.To], slot, &o, had, left) {
					if !yield(s) {
						return
					}
				}
			}
		}
	}, nil
}

// setSlot returns the steps that move one slot. had and left are how many slots each node
// has before all moves and after this one.
func (p *Plan) setSlot(from, to Node, slot hashslot.Slot, o *SetSlotOptions, had, left map[string]int) []Step {
	steps := []Step{importing(to, from, slot), migrating(from, to, slot)}
	for database := range max(o.Databases, 1) {
		steps = append(steps, keysOf(from, to, slot, o, database))
	}
	steps = append(steps, owned(to, to, slot), owned(from, to, slot))
	if left[from.ID] == 0 {
		steps = append(steps, synced(from))
	}
	for _, n := range p.Nodes {
		gone := left[n.ID] == 0 && had[n.ID] > 0
		if n.ID != from.ID && n.ID != to.ID && !gone {
			steps = append(steps, owned(n, to, slot))
		}
	}
	return steps
}

// MigrateSlots renders the plan for the atomic slot migration of Valkey 9.0 and later:
// one CLUSTER MIGRATESLOTS for each move, sent to the source. All ranges of a command are
// one job and change their owner together. These steps are one round: a source runs its
// jobs one after the other, and sources run in parallel. Unassigned slots get their owners
// before, by CLUSTER ADDSLOTSRANGE.
func (p *Plan) MigrateSlots() []Step {
	at := p.byID()
	var steps []Step
	for _, m := range p.moves() {
		if m.From == "" {
			steps = append(steps, assigned(at[m.To], rangesOf(m.Slots), false))
			continue
		}
		from, to := at[m.From], at[m.To]
		ranges := rangesOf(m.Slots)
		s := Step{Kind: KindExport, Node: from.ID, Addr: from.Addr, Peer: to.ID, PeerAddr: to.Addr, Slots: ranges, Round: 1,
			Command: append([]string{"CLUSTER", "MIGRATESLOTS", "SLOTSRANGE"}, ends(ranges)...),
			Until:   Until{untilPeerOwns, [][]string{{"CLUSTER", "GETSLOTMIGRATIONS"}, askNodes}}}
		s.Command = append(s.Command, "NODE", to.ID)
		steps = append(steps, s)
	}
	return steps
}

// MigrationImport renders the plan for the atomic slot migration of Redis 8.4 and later:
// one CLUSTER MIGRATION IMPORT for each move, sent to the target. A node takes part in one
// migration at a time, so these steps are in rounds, and no node is in two steps of a
// round. Unassigned slots get their owners before, by CLUSTER ADDSLOTSRANGE.
func (p *Plan) MigrationImport() []Step {
	at := p.byID()
	var steps []Step
	for _, m := range p.moves() {
		if m.From == "" {
			steps = append(steps, assigned(at[m.To], rangesOf(m.Slots), false))
			continue
		}
		from, to := at[m.From], at[m.To]
		ranges := rangesOf(m.Slots)
		steps = append(steps, Step{Kind: KindImport, Node: to.ID, Addr: to.Addr, Peer: from.ID, PeerAddr: from.Addr, Slots: ranges,
			Command: append([]string{"CLUSTER", "MIGRATION", "IMPORT"}, ends(ranges)...),
			Until:   Until{untilNodeOwns, [][]string{{"CLUSTER", "MIGRATION", "STATUS", "ALL"}, askNodes}}})
	}
	inRounds(steps)
	return steps
}

// moves returns the moves, those of unassigned slots first.
func (p *Plan) moves() []Move {
	var first, then []Move
	for _, m := range p.Moves {
		if m.From == "" {
			first = append(first, m)
		} else {
			then = append(then, m)
		}
	}
	return append(first, then...)
}

// byID returns the nodes of the plan, and those of its moves that Nodes lacks.
func (p *Plan) byID() map[string]Node {
	at := make(map[string]Node, len(p.Nodes))
	for _, m := range p.Moves {
		at[m.From], at[m.To] = Node{ID: m.From}, Node{ID: m.To}
	}
	for _, n := range p.Nodes {
		at[n.ID] = n
	}
	return at
}

// Batches divides the plan into a sequence of plans, each of which begins where the one
// before it ends. In each, no node gives and takes more than most slots, counted together.
// Nodes with many slots to move go first, so that there are few batches.
//
// A node that has given its last slot in an earlier batch, and gets none again, is not
// among the Nodes of later batches: it can be a replica by then.
//
// Each batch is made when the iteration comes to it. It takes time in proportion to the
// moves that are left and to the ranges, and it is all that is held in memory.
//
// The error is an [*InputError] if most is less than 1.
func (p *Plan) Batches(most int) (iter.Seq[Plan], error) {
	if most < 1 {
		return nil, &InputError{Field: "most", Value: strconv.Itoa(most), Reason: "must be at least 1"}
	}
	return func(yield func(Plan) bool) {
		var b slotmap.Builder[string]
		has := map[string]int{} // slots that a node has, or will get
		for r, id := range p.Before.Ranges() {
			b.Assign(r, id)
			has[id] += r.Len()
		}
		for _, m := range p.Moves {
			has[m.To] += m.Slots.Len()
		}
		d := newDivision(p.Moves, most)
		batch := Plan{After: p.Before, Warnings: p.Warnings, Nodes: p.Nodes, Load: p.Load}
		for moves := d.next(); len(moves) > 0; moves = d.next() {
			batch.Moves, batch.Before = moves, batch.After
			var emptied []string
			for _, m := range moves {
				for r := range m.Slots.Ranges() {
					b.Assign(r, m.To)
				}
				if has[m.From] -= m.Slots.Len(); has[m.From] == 0 { // never of unassigned slots
					emptied = append(emptied, m.From)
				}
			}
			batch.After = b.Build()
			if !yield(batch) {
				return
			}
			batch.Nodes = slices.DeleteFunc(slices.Clone(batch.Nodes), func(n Node) bool { return slices.Contains(emptied, n.ID) })
		}
	}, nil
}

// A division is what is left of a plan's moves while they are divided into batches.
type division struct {
	most  int
	moves []Move // each with the slots that are left
	todo  []part
	work  []int // by node: the slots that it has to give and to take
	used  []int // by node: those of this batch
}

// A part stands for a move, so that moves can be sorted without copies of their sets.
type part struct {
	move     int // its index
	from, to int // nodes by number
	left     int // the number of slots
}

// noNode is the number that unassigned slots come from.
const noNode = 0

func newDivision(moves []Move, most int) *division {
	d := &division{most: most, moves: slices.Clone(moves)}
	numbers := map[string]int{"": noNode}
	for i := range d.moves {
		m := &d.moves[i]
		d.todo = append(d.todo, part{i, number(numbers, m.From), number(numbers, m.To), m.Slots.Len()})
	}
	d.work, d.used = make([]int, len(numbers)), make([]int, len(numbers))
	for _, x := range d.todo {
		d.work[x.from] += x.left
		d.work[x.to] += x.left
	}
	d.work[noNode] = 0
	return d
}

// next returns the moves of the next batch, or none if nothing is left.
func (d *division) next() (moves []Move) {
	byWork := func(a, b part) int {
		return max(d.work[b.from], d.work[b.to]) - max(d.work[a.from], d.work[a.to])
	}
	if !slices.IsSortedFunc(d.todo, byWork) { // there can be many batches, and few of them change the order
		slices.SortStableFunc(d.todo, byWork)
	}
	clear(d.used)
	for i := range d.todo {
		x := &d.todo[i]
		n := min(x.left, d.most-d.used[x.to], d.most-d.used[x.from])
		if n == 0 {
			continue
		}
		m := &d.moves[x.move]
		moves = append(moves, Move{From: m.From, To: m.To, Slots: firstOf(m.Slots, n)})
		m.Slots = m.Slots.Subtract(moves[len(moves)-1].Slots)
		x.left -= n
		for _, node := range [2]int{x.from, x.to} {
			if node != noNode {
				d.used[node] += n
				d.work[node] -= n
			}
		}
	}
	d.todo = slices.DeleteFunc(d.todo, func(x part) bool { return x.left == 0 })
	return moves
}

// firstOf returns the first n slots of a set.
func firstOf(set slotmap.Set, n int) (first slotmap.Set) {
	for slot := range set.Slots() {
		if n == 0 {
			break
		}
		n--
		first.Add(slot)
	}
	return first
}

// Summary returns the plan as text for people: the slots of every node before and after,
// and the moves.
func (p *Plan) Summary() string {
	var b strings.Builder
	if len(p.Moves) == 0 {
		fmt.Fprintf(&b, "nothing to move, %s\n\n", count(p.Before.RangeCount(), "range"))
	} else {
		fmt.Fprintf(&b, "%s in %s, %s before, %d after\n\n", count(p.SlotCount(), "slot"), count(len(p.Moves), "move"), count(p.Before.RangeCount(), "range"), p.After.RangeCount())
	}
	before, after := p.bySlots(p.Before), p.bySlots(p.After)
	addr := 4
	for _, n := range p.Nodes {
		addr = max(addr, len(printableAddr(n.Addr)))
	}
	fmt.Fprintf(&b, "%-40s  %-*s  %6s  %6s  %6s  %6s  %6s", "node", addr, "addr", "weight", "before", "after", "change", "ranges")
	if p.Load != nil {
		fmt.Fprintf(&b, "  %s", "load before and after")
	}
	b.WriteByte('\n')
	for _, n := range p.Nodes {
		was, will := before[n.ID], after[n.ID]
		fmt.Fprintf(&b, "%-40s  %-*s  %6g  %6d  %6d  %+6d  %6d", printable(n.ID), addr, printableAddr(n.Addr), n.Weight, was.slots, will.slots, will.slots-was.slots, will.ranges)
		if p.Load != nil {
			fmt.Fprintf(&b, "  %.2f%% %.2f%%", was.load, will.load)
		}
		b.WriteByte('\n')
	}
	if len(p.Moves) > 0 {
		b.WriteByte('\n')
	}
	at := p.byID()
	for _, m := range p.Moves {
		from := "(nobody)"
		if m.From != "" {
			from = printable(cmp.Or(at[m.From].Addr, m.From))
		}
		fmt.Fprintf(&b, "%5d from %s to %s: %s\n", m.Slots.Len(), from, printable(cmp.Or(at[m.To].Addr, m.To)), m.Slots)
	}
	writeWarnings(&b, p.Warnings)
	return b.String()
}

// A holding is the slots of a node.
type holding struct {
	slots, ranges int
	load          float64 // percent
}

func (p *Plan) bySlots(t *slotmap.Table[string]) map[string]holding {
	total := 0.0
	for _, l := range p.Load {
		total += l
	}
	has := map[string]holding{}
	for r, id := range t.Ranges() {
		h := has[id]
		h.slots += r.Len()
		h.ranges++
		if p.Load != nil {
			for slot := r.First; slot <= r.Last; slot++ {
				h.load += 100 * p.Load[slot] / total
			}
		}
		has[id] = h
	}
	return has
}
