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

	"github.com/hashslot/hashslot/slotmap"
)

// SetSlotOptions say how to move slots by SETSLOT. Zero means: database 0, 100
// keys at a time, a minute for them, and no REPLACE.
type SetSlotOptions struct {
	// Keys is how many keys MIGRATE takes at a time, Timeout how long it may take.
	Keys    int
	Timeout time.Duration

	// Replace lets MIGRATE overwrite keys that the target has. While a slot is on
	// its way, a key that both ends have is one whose MIGRATE broke off: clients
	// see that of the source, so to overwrite the other is right.
	Replace bool

	// Databases is how many databases the nodes have, cluster-databases of Valkey
	// 9.0 and later; 0 is 1.
	Databases int

	// AddSlots gives slots that nobody owns by ADDSLOTS, not by ADDSLOTSRANGE, which
	// servers before 7.0 do not have.
	AddSlots bool
}

func (o *SetSlotOptions) check() error {
	switch {
	case o.Keys < 0:
		return &InputError{Field: "Keys", Value: strconv.Itoa(o.Keys), Reason: "must be from 1, or 0 for 100"}
	case o.Timeout != 0 && (o.Timeout < time.Millisecond || o.Timeout > math.MaxInt32*time.Millisecond):
		return &InputError{Field: "Timeout", Value: o.Timeout.String(), Reason: "must be from a millisecond to 24 days, or 0 for a minute"}
	case o.Databases < 0:
		return &InputError{Field: "Databases", Value: strconv.Itoa(o.Databases), Reason: "must be from 1, or 0 for 1"}
	}
	return nil
}

// SetSlots renders the plan for servers of all versions, slot by slot: the target
// learns first that it imports the slot, then the source that it migrates it;
// then come the keys; then the target learns that the slot is its own, then
// the source, then the other primaries. As the first, the target can bump its
// config epoch and answer for the slot when others send clients to it. Replicas
// learn from their primaries, and a primary that has given its last slot may
// be a replica by then and gets no more commands.
//
// Where a source gives its last slot, the plan waits until it is in sync: if it
// is still syncing as a replica while its new primary imports the next slot,
// Valkey 9.1 may leave it with that slot open, which nothing but another sync
// cures.
//
// Before a plan, all nodes should agree on the config epochs, as those after an
// earlier plan may not do at once: a target that does not know the highest epoch
// takes one that another node has already, and may lose what it was given.
//
// The error is an [*InputError]: for bad options, or if MIGRATE would need an
// address that the cluster's view does not have.
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
			return nil, &InputError{Field: "Plan", Value: m.To, Reason: "the view has no address of this node, which MIGRATE needs"}
		}
	}
	return func(yield func(Step) bool) {
		left, ok := maps.Clone(had), true
		send := func(s Step) { ok = ok && yield(s) }
		for _, m := range p.Moves {
			if m.From == "" {
				send(assigned(at[m.To], rangesOf(m.Slots), o.AddSlots))
				left[m.To] += m.Slots.Len()
				continue
			}
			from, to := at[m.From], at[m.To]
			for slot := range m.Slots.Slots() {
				left[m.From]--
				left[m.To]++
				send(importing(to, from, slot))
				send(migrating(from, to, slot))
				for database := range max(o.Databases, 1) {
					send(keysOf(from, to, slot, &o, database))
				}
				send(owned(to, to, slot))
				send(owned(from, to, slot))
				if left[m.From] == 0 {
					send(synced(from))
				}
				for _, n := range p.Nodes {
					gone := left[n.ID] == 0 && had[n.ID] > 0
					if n.ID != m.From && n.ID != m.To && !gone {
						send(owned(n, to, slot))
					}
				}
				if !ok {
					return
				}
			}
		}
	}, nil
}

// MigrateSlots renders the plan for the atomic slot migration of Valkey 9.0 and
// later: one CLUSTER MIGRATESLOTS for each source and target, sent to the source.
// All ranges are one job, in which they change hands together. The steps are one
// round: a source does its jobs one after the other, and several sources go on
// side by side.
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
			Until:   Until{PeerOwns, [][]string{{"CLUSTER", "GETSLOTMIGRATIONS"}, askNodes}}}
		s.Command = append(s.Command, "NODE", to.ID)
		steps = append(steps, s)
	}
	return steps
}

// MigrationImport renders the plan for the atomic slot migration of Redis 8.4 and
// later: one CLUSTER MIGRATION IMPORT for each source and target, sent to the
// target. A node takes part in one such migration at a time, so the steps come in
// rounds: in none is a node the source or the target of two.
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
			Until:   Until{NodeOwns, [][]string{{"CLUSTER", "MIGRATION", "STATUS", "ALL"}, askNodes}}})
	}
	inRounds(steps)
	return steps
}

// moves returns the moves, those of slots that nobody owns first.
func (p *Plan) moves() []Move {
	moves := slices.Clone(p.Moves)
	slices.SortStableFunc(moves, func(a, b Move) int {
		return min(len(a.From), 1) - min(len(b.From), 1)
	})
	return moves
}

// byID returns the nodes of the plan, and those of its moves that it has not.
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

func (p *Plan) node(id string) Node {
	i := slices.IndexFunc(p.Nodes, func(n Node) bool { return n.ID == id })
	if i < 0 {
		return Node{ID: id}
	}
	return p.Nodes[i]
}

// Batches splits the plan into plans that follow one another, each from where the
// one before ends. In each of them, a node gives and gets at most most slots,
// both counted together. Nodes with much to do go first, so that there are few batches.
//
// The error is an [*InputError] if most is less than 1.
func (p *Plan) Batches(most int) ([]Plan, error) {
	if most < 1 {
		return nil, &InputError{Field: "most", Value: strconv.Itoa(most), Reason: "must be from 1"}
	}
	var b slotmap.Builder[string]
	for r, id := range p.Before.Ranges() {
		b.Assign(r, id)
	}
	todo := slices.Clone(p.Moves)
	var batches []Plan
	before := p.Before
	for len(todo) > 0 {
		work := map[string]int{}
		for _, m := range todo {
			n := m.Slots.Len()
			work[m.To] += n
			if m.From != "" {
				work[m.From] += n
			}
		}
		slices.SortStableFunc(todo, func(a, b Move) int {
			return max(work[b.From], work[b.To]) - max(work[a.From], work[a.To])
		})
		batch := Plan{Before: before, Warnings: p.Warnings, Nodes: p.Nodes, Load: p.Load}
		used := map[string]int{}
		for i := range todo {
			m := &todo[i]
			n := most - used[m.To]
			if m.From != "" {
				n = min(n, most-used[m.From])
			}
			now := Move{From: m.From, To: m.To}
			for slot := range m.Slots.Slots() {
				if n == 0 {
					break
				}
				n--
				now.Slots.Add(slot)
				m.Slots.Remove(slot)
				b.Assign(slotmap.Range{First: slot, Last: slot}, m.To)
			}
			if now.Slots.IsEmpty() {
				continue
			}
			used[m.To] += now.Slots.Len()
			if m.From != "" {
				used[m.From] += now.Slots.Len()
			}
			batch.Moves = append(batch.Moves, now)
		}
		todo = slices.DeleteFunc(todo, func(m Move) bool { return m.Slots.IsEmpty() })
		batch.After = b.Build()
		before = batch.After
		batches = append(batches, batch)
	}
	return batches, nil
}

// Summary returns the plan as text for a person to check: what every node has and
// will have, and the moves.
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
	for _, m := range p.Moves {
		from := "(nobody)"
		if m.From != "" {
			from = printable(cmp.Or(p.node(m.From).Addr, m.From))
		}
		fmt.Fprintf(&b, "%5d from %s to %s: %s\n", m.Slots.Len(), from, printable(cmp.Or(p.node(m.To).Addr, m.To)), m.Slots)
	}
	writeWarnings(&b, p.Warnings)
	return b.String()
}

// holding is what a node has.
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
