package plan

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// A Model is a cluster on paper, to try a plan on: it does [Step]s with the checks
// that servers make, and tells at any time who owns a slot and where a key's
// command ends. Each node knows of others' slots only what it was told, until
// [Model.Gossip]. A Model is not safe for concurrent use.
type Model struct {
	owner map[hashslot.Slot]string // not set: unassigned
	slots map[string]int           // how many each node owns; has all nodes
	open  map[hashslot.Slot]*openSlot
}

// openSlot is a slot on its way, or one that some nodes have not heard of.
type openSlot struct {
	from, to             string
	importing, migrating bool            // the ends were told
	moved                bool            // the keys are at the target
	told                 map[string]bool // who knows that the slot is the target's
}

// A ModelError says why a step cannot be done, in the servers' words where they
// have some, or why a key does not arrive.
type ModelError struct {
	Step   Step
	Reason string
}

func (e *ModelError) Error() string {
	if e.Step.Command == nil {
		return "plan: model: " + e.Reason
	}
	return fmt.Sprintf("plan: model: %s: %s", e.Step, e.Reason)
}

// NewModel returns a model of a cluster whose slots are owned as in t, with
// further nodes that own none.
func NewModel(t *slotmap.Table[string], empty ...string) *Model {
	m := &Model{owner: map[hashslot.Slot]string{}, slots: map[string]int{}, open: map[hashslot.Slot]*openSlot{}}
	for _, id := range empty {
		m.slots[id] = 0
	}
	for r, id := range t.Ranges() {
		m.slots[id] += r.Len()
		for slot := r.First; slot <= r.Last; slot++ {
			m.owner[slot] = id
		}
	}
	return m
}

// Table returns who owns what.
func (m *Model) Table() *slotmap.Table[string] {
	var b slotmap.Builder[string]
	for slot := range hashslot.Slot(hashslot.Count) {
		if id, ok := m.owner[slot]; ok {
			b.Assign(slotmap.Range{First: slot, Last: slot}, id)
		}
	}
	return b.Build()
}

// Gossip lets every node hear of every change that is done.
func (m *Model) Gossip() {
	for slot, o := range m.open {
		if m.owner[slot] == o.to {
			delete(m.open, slot)
		}
	}
}

// Do does a step of [Plan.SetSlots], [Plan.MigrateSlots] or
// [Plan.MigrationImport]. The error is a [*ModelError], and then nothing has
// changed. The migrations that servers do in the background are done at once.
func (m *Model) Do(s Step) error {
	fail := func(reason string) error { return &ModelError{s, reason} }
	if _, ok := m.slots[s.Node]; !ok {
		return fail("unknown node " + s.Node)
	}
	c := s.Command
	switch {
	case len(c) == 5 && c[0] == "CLUSTER" && c[1] == "SETSLOT":
		slot, err := strconv.ParseUint(c[2], 10, 14)
		if err != nil {
			return fail("Invalid or out of range slot")
		}
		if reason := m.setSlot(s.Node, hashslot.Slot(slot), c[3], c[4]); reason != "" {
			return fail(reason)
		}
		return nil
	case s.Kind == KindWait:
		return nil
	case len(c) > 0 && c[0] == "MIGRATE" && len(s.Slots) == 1:
		o := m.open[s.Slots[0].First]
		if o == nil || o.from != s.Node || !o.importing || !o.migrating {
			return fail("the slot is not open at both ends")
		}
		o.moved = true
		return nil
	case len(c) > 2 && c[0] == "CLUSTER" && c[1] == "ADDSLOTSRANGE":
		set, reason := parseEnds(c[2:])
		if reason != "" {
			return fail(reason)
		}
		for slot := range set.Slots() {
			if _, busy := m.owner[slot]; busy {
				return fail(fmt.Sprintf("Slot %d is already busy", slot))
			}
		}
		for slot := range set.Slots() {
			m.owner[slot] = s.Node
			m.slots[s.Node]++
		}
		return nil
	case len(c) > 2 && c[0] == "CLUSTER" && c[1] == "MIGRATESLOTS":
		type job struct {
			set slotmap.Set
			to  string
		}
		var jobs []job
		var seen slotmap.Set
		for args := c[2:]; len(args) > 0; {
			at := slices.Index(args, "NODE")
			if args[0] != "SLOTSRANGE" || at < 0 || at+1 == len(args) {
				return fail("syntax error")
			}
			set, reason := parseEnds(args[1:at])
			if reason != "" {
				return fail(reason)
			}
			if x := set.Intersect(seen); !x.IsEmpty() {
				return fail("Slot ranges in migrations overlap")
			}
			seen = seen.Union(set)
			jobs = append(jobs, job{set, args[at+1]})
			args = args[at+2:]
		}
		for _, j := range jobs {
			if reason := m.checkMigrate(j.set, s.Node, j.to); reason != "" {
				return fail(reason)
			}
		}
		for _, j := range jobs {
			m.migrate(j.set, j.to)
		}
		return nil
	case len(c) > 3 && c[0] == "CLUSTER" && c[1] == "MIGRATION" && c[2] == "IMPORT":
		set, reason := parseEnds(c[3:])
		if reason != "" {
			return fail(reason)
		}
		source := ""
		for slot := range set.Slots() {
			source = m.owner[slot]
			break
		}
		if reason := m.checkMigrate(set, source, s.Node); reason != "" {
			return fail(reason)
		}
		m.migrate(set, s.Node)
		return nil
	}
	return fail("unknown command")
}

func parseEnds(args []string) (set slotmap.Set, reason string) {
	if len(args) == 0 || len(args)%2 != 0 {
		return set, "No end slot for final slot range"
	}
	for i := 0; i < len(args); i += 2 {
		r, err := slotmap.ParseRange(args[i] + "-" + args[i+1])
		if err != nil {
			return set, err.Error()
		}
		if !set.Intersect(slotmap.SetOf(r)).IsEmpty() {
			return set, "Slot range " + r.String() + " overlaps with previous range"
		}
		set.AddRange(r)
	}
	return set, ""
}

func (m *Model) setSlot(node string, slot hashslot.Slot, what, other string) (reason string) {
	if _, ok := m.slots[other]; !ok {
		return "I don't know about node " + other
	}
	o := m.open[slot]
	if o != nil && m.owner[slot] == o.to && what != "NODE" {
		return "the last move of the slot is not known to all nodes"
	}
	switch what {
	case "IMPORTING":
		if m.owner[slot] == node {
			return "I'm already the owner of hash slot " + strconv.Itoa(int(slot))
		}
		if o == nil {
			o = &openSlot{from: other, to: node, told: map[string]bool{}}
			m.open[slot] = o
		}
		if o.from != other || o.to != node {
			return "the slot is open for another move"
		}
		o.importing = true
	case "MIGRATING":
		if m.owner[slot] != node {
			return "I'm not the owner of hash slot " + strconv.Itoa(int(slot))
		}
		if o == nil || o.from != node || o.to != other || !o.importing {
			return "the target does not import the slot yet: clients would be sent there in vain"
		}
		o.migrating = true
	case "NODE":
		if o == nil || o.to != other {
			return "the slot is not being moved to " + other
		}
		if node == o.to {
			if !o.moved {
				return "the keys are not moved yet"
			}
			m.slots[m.owner[slot]]--
			m.slots[node]++
			m.owner[slot] = node
		} else if m.owner[slot] != o.to {
			return "the target must be told first: it alone bumps its config epoch"
		}
		o.told[node] = true
	default:
		return "Invalid CLUSTER SETSLOT action or number of arguments"
	}
	return ""
}

func (m *Model) checkMigrate(set slotmap.Set, from, to string) (reason string) {
	if _, ok := m.slots[to]; !ok {
		return "Unknown node name"
	}
	if from == to {
		return "Target node can not be this node"
	}
	for slot := range set.Slots() {
		switch owner, ok := m.owner[slot]; {
		case !ok:
			return fmt.Sprintf("Slot %d has no node served", slot)
		case owner != from:
			return "Slots are not served by this node"
		case m.open[slot] != nil:
			return "Slots are being manually migrated"
		}
	}
	return ""
}

func (m *Model) migrate(set slotmap.Set, to string) {
	for slot := range set.Slots() {
		m.slots[m.owner[slot]]--
		m.owner[slot] = to
		m.slots[to]++
	}
}

// Route follows a command for a key of slot that is first sent to node, by the
// redirects that the nodes give, and returns the node that serves it. The key is
// taken to be where the keys of its slot are. The error is a [*ModelError]:
// nobody owns the slot, or the redirects go round.
func (m *Model) Route(slot hashslot.Slot, node string) (served string, err error) {
	if _, ok := m.slots[node]; !ok {
		return "", &ModelError{Reason: "unknown node " + node}
	}
	owner, ok := m.owner[slot]
	if !ok {
		return "", &ModelError{Reason: fmt.Sprintf("slot %d has no owner", slot)}
	}
	o := m.open[slot]
	if o == nil {
		return owner, nil // at once, or by one MOVED
	}
	asking := false
	for range 4 {
		thinks := o.from
		if o.told[node] {
			thinks = o.to
		}
		switch {
		case node == o.to && asking && o.importing:
			return node, nil
		case thinks == node && node == o.from && o.moved && o.migrating:
			node, asking = o.to, true // ASK
		case thinks == node:
			return node, nil
		default:
			node, asking = thinks, false // MOVED
		}
	}
	return "", &ModelError{Reason: fmt.Sprintf("a command for slot %d finds no end", slot)}
}

// Check is an error unless every slot has an owner and a command for any key that
// is sent to any node ends where the key is. The error is a [*ModelError].
func (m *Model) Check() error {
	for slot := range hashslot.Slot(hashslot.Count) {
		if _, ok := m.owner[slot]; !ok {
			return &ModelError{Reason: fmt.Sprintf("slot %d has no owner", slot)}
		}
	}
	total := 0
	for _, n := range m.slots {
		total += n
	}
	if total != hashslot.Count {
		return &ModelError{Reason: fmt.Sprintf("the nodes own %d slots together", total)}
	}
	for slot := range m.open {
		if err := m.checkOpen(slot); err != nil {
			return err
		}
	}
	return nil
}

// checkOpen is Check for one slot.
func (m *Model) checkOpen(slot hashslot.Slot) error {
	o := m.open[slot]
	if o == nil {
		return nil
	}
	for node := range m.slots {
		served, err := m.Route(slot, node)
		if err != nil {
			return err
		}
		where := o.from
		if o.moved {
			where = o.to
		}
		if served != where {
			return &ModelError{Reason: fmt.Sprintf("a command for slot %d sent to %s ends at %s, its keys are at %s", slot, node, served, where)}
		}
	}
	return nil
}
