package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// A Step is one command for one node.
type Step struct {
	Node    string        // id of the node to send it to
	Addr    string        // its address; "" if the cluster's view does not tell
	Slot    hashslot.Slot // of SetSlots: the slot in question
	Command []string      // the command and its arguments
	Note    string        // what else there is to do or to know; "" for nothing
}

// String returns the step as a line: the address, or the id, the command, and the
// note behind a #.
func (s Step) String() string {
	var b strings.Builder
	b.WriteString(cmp.Or(s.Addr, s.Node))
	b.WriteByte('>')
	for _, a := range s.Command {
		if a == "" {
			a = `""`
		}
		b.WriteByte(' ')
		b.WriteString(a)
	}
	if s.Note != "" {
		b.WriteString("  # " + s.Note)
	}
	return b.String()
}

// keysAtOnce and migrateTimeout are the tool's --cluster-pipeline and
// --cluster-timeout, raised from 10 keys to 100.
const (
	keysAtOnce     = "100"
	migrateTimeout = "60000" // ms
)

// SetSlots renders the plan for servers of all versions, slot by slot: the target
// is told first that it imports the slot, then the source that it migrates it;
// then come the keys; then the target is told that the slot is its own, then
// the source, then the other primaries. Told first, the target can bump its
// config epoch and answer for the slot when others send clients to it. Replicas
// learn from their primaries, and a primary that has given its last slot may
// be a replica by then and is told no more.
//
// Between GETKEYSINSLOT and MIGRATE, Note says what to repeat. It is for
// database 0; with more databases the keys of each are to be moved. Where a
// source gives its last slot, Note says to wait: if it is still syncing as a
// replica while its new primary imports the next slot, Valkey 9.1 may leave it
// with that slot open, which nothing but another sync cures.
//
// Before a plan, all nodes should agree on the config epochs, as those after an
// earlier plan may not do at once: a target that does not know the highest epoch
// takes one that another node has already, and may lose what it was given.
//
// The error is an [*InputError] if MIGRATE would need an address that the
// cluster's view does not have.
func (p *Plan) SetSlots() (iter.Seq[Step], error) {
	had := map[string]int{}
	for r, id := range p.Before.Ranges() {
		had[id] += r.Len()
	}
	at := map[string]Node{}
	for _, n := range p.Nodes {
		at[n.ID] = n
	}
	for _, m := range p.Moves {
		if _, _, err := net.SplitHostPort(at[m.To].Addr); err != nil && m.From != "" {
			return nil, &InputError{Field: "Plan", Value: m.To, Reason: "the view has no address of this node, which MIGRATE needs"}
		}
	}
	return func(yield func(Step) bool) {
		left, ok := maps.Clone(had), true
		for _, m := range p.Moves {
			if m.From == "" {
				if ok = yield(p.addSlots(at[m.To], m.Slots)); !ok {
					return
				}
				left[m.To] += m.Slots.Len()
				continue
			}
			host, port, _ := net.SplitHostPort(at[m.To].Addr)
			for slot := range m.Slots.Slots() {
				send := func(n Node, note string, command ...string) {
					ok = ok && yield(Step{Node: n.ID, Addr: n.Addr, Slot: slot, Command: command, Note: note})
				}
				name := strconv.Itoa(int(slot))
				own := []string{"CLUSTER", "SETSLOT", name, "NODE", m.To}
				left[m.From]--
				left[m.To]++
				send(at[m.To], "", "CLUSTER", "SETSLOT", name, "IMPORTING", m.From)
				send(at[m.From], "", "CLUSTER", "SETSLOT", name, "MIGRATING", m.To)
				send(at[m.From], "until there are none: the next step with these keys", "CLUSTER", "GETKEYSINSLOT", name, keysAtOnce)
				send(at[m.From], "", "MIGRATE", host, port, "", "0", migrateTimeout, "KEYS", "<keys>")
				send(at[m.To], "", own...)
				note := ""
				if left[m.From] == 0 {
					note = "its last slot: it may answer that it is a replica by now, which is all right; then wait until it has synced"
				}
				send(at[m.From], note, own...)
				for _, n := range p.Nodes {
					gone := left[n.ID] == 0 && had[n.ID] > 0
					if n.ID != m.From && n.ID != m.To && !gone {
						send(n, "", own...)
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
// later: one CLUSTER MIGRATESLOTS for each source, with all its targets. The
// command returns at once; the note says how to see the end. The server shows
// the ranges of a job as they were sent, so keep them to find it again. A source
// that has given its last slot turns into a replica and forgets its jobs; the
// targets still show them.
func (p *Plan) MigrateSlots() []Step {
	var steps []Step
	left := p.bySlots(p.Before)
	at := map[string]int{} // by source
	for _, m := range p.Moves {
		if m.From == "" {
			steps = append(steps, p.addSlots(p.node(m.To), m.Slots))
			continue
		}
		i, ok := at[m.From]
		if !ok {
			i = len(steps)
			at[m.From] = i
			n := p.node(m.From)
			steps = append(steps, Step{Node: n.ID, Addr: n.Addr, Command: []string{"CLUSTER", "MIGRATESLOTS"},
				Note: "then CLUSTER GETSLOTMIGRATIONS until each state is success"})
		}
		steps[i].Command = append(append(append(steps[i].Command, "SLOTSRANGE"), ends(m.Slots)...), "NODE", m.To)
		h := left[m.From]
		h.slots -= m.Slots.Len()
		if left[m.From] = h; h.slots == 0 {
			steps[i].Note += ", or there are none because it is a replica"
		}
	}
	return steps
}

// MigrationImport renders the plan for the atomic slot migration of Redis 8.4 and
// later: one CLUSTER MIGRATION IMPORT for each source and target, sent to the
// target, which replies with the id of a task at once; the note says how to see
// the end. A source serves one import at a time. Others that are sent meanwhile
// show the state failed, and are tried again by their targets until they are
// completed or canceled.
func (p *Plan) MigrationImport() []Step {
	var steps []Step
	for _, m := range p.Moves {
		n := p.node(m.To)
		if m.From == "" {
			steps = append(steps, p.addSlots(n, m.Slots))
			continue
		}
		steps = append(steps, Step{Node: n.ID, Addr: n.Addr, Command: append([]string{"CLUSTER", "MIGRATION", "IMPORT"}, ends(m.Slots)...),
			Note: "then CLUSTER MIGRATION STATUS ALL until its state is completed; failed is tried again"})
	}
	return steps
}

// addSlots is the step for slots that nobody owns.
func (p *Plan) addSlots(n Node, slots slotmap.Set) Step {
	return Step{Node: n.ID, Addr: n.Addr, Command: append([]string{"CLUSTER", "ADDSLOTSRANGE"}, ends(slots)...)}
}

// ends lists the first and the last slot of each range.
func ends(slots slotmap.Set) []string {
	var list []string
	for r := range slots.Ranges() {
		list = append(list, strconv.Itoa(int(r.First)), strconv.Itoa(int(r.Last)))
	}
	return list
}

func (p *Plan) node(id string) Node {
	i := slices.IndexFunc(p.Nodes, func(n Node) bool { return n.ID == id })
	if i < 0 {
		return Node{ID: id}
	}
	return p.Nodes[i]
}

// Batches splits the plan into plans that follow one another, each from where the
// one before ends. In none of them does a node give and get more than most slots,
// taken together. Nodes with much to do go first, so that there are few batches.
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

// MarshalJSON returns the plan as
//
//	{"moves":[{"from":"id","to":"id","slots":"0-5 7"}],
//	 "before":[{"id":"...","slots":"..."}],"after":[...],"warnings":["..."]}
//
// Before and after have all primaries that can take part, those that own slots by
// their first slot, then the others.
func (p Plan) MarshalJSON() ([]byte, error) {
	type move struct {
		From  string      `json:"from"`
		To    string      `json:"to"`
		Slots slotmap.Set `json:"slots"`
	}
	out := struct {
		Moves    []move     `json:"moves"`
		Before   []nodeSlot `json:"before"`
		After    []nodeSlot `json:"after"`
		Warnings []string   `json:"warnings"`
	}{[]move{}, p.list(p.Before), p.list(p.After), append([]string{}, p.Warnings...)}
	for _, m := range p.Moves {
		out.Moves = append(out.Moves, move{m.From, m.To, m.Slots})
	}
	return json.Marshal(out)
}

type nodeSlot struct {
	ID    string      `json:"id"`
	Slots slotmap.Set `json:"slots"`
}

func (p *Plan) list(t *slotmap.Table[string]) []nodeSlot {
	list := []nodeSlot{}
	at := map[string]int{}
	for r, id := range t.Ranges() {
		i, ok := at[id]
		if !ok {
			i = len(list)
			at[id] = i
			list = append(list, nodeSlot{ID: id})
		}
		list[i].Slots.AddRange(r)
	}
	for _, n := range p.Nodes {
		if _, ok := at[n.ID]; !ok {
			list = append(list, nodeSlot{ID: n.ID})
		}
	}
	return list
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
		addr = max(addr, len(n.Addr))
	}
	fmt.Fprintf(&b, "%-40s  %-*s  %6s  %6s  %6s  %6s  %6s", "node", addr, "addr", "weight", "before", "after", "change", "ranges")
	if p.Load != nil {
		fmt.Fprintf(&b, "  %s", "load before and after")
	}
	b.WriteByte('\n')
	for _, n := range p.Nodes {
		was, will := before[n.ID], after[n.ID]
		fmt.Fprintf(&b, "%-40s  %-*s  %6g  %6d  %6d  %+6d  %6d", n.ID, addr, n.Addr, n.Weight, was.slots, will.slots, will.slots-was.slots, will.ranges)
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
			from = cmp.Or(p.node(m.From).Addr, m.From)
		}
		fmt.Fprintf(&b, "%5d from %s to %s: %s\n", m.Slots.Len(), from, cmp.Or(p.node(m.To).Addr, m.To), m.Slots)
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
