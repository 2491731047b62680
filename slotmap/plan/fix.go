package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// KeyCounts says how many keys of a slot a node has, in all its databases: by node
// id and slot. A slot that is not there is not known, which is not the same as 0.
type KeyCounts map[string]map[hashslot.Slot]int

// Put says that a node has so many keys of a slot, as CLUSTER COUNTKEYSINSLOT says.
func (k KeyCounts) Put(node string, slot hashslot.Slot, keys int) {
	if k[node] == nil {
		k[node] = map[hashslot.Slot]int{}
	}
	k[node][slot] = keys
}

// A CountsError lists what [Fix] has to know.
type CountsError struct {
	Ask []CountsQuestion // by node id
}

// A CountsQuestion is for how many keys of each slot a node has.
type CountsQuestion struct {
	Node, Addr string
	Slots      slotmap.Set
}

func (e *CountsError) Error() string {
	return fmt.Sprintf("plan: what to do depends on the keys: %s must be asked by CLUSTER COUNTKEYSINSLOT, %s for slots %s",
		count(len(e.Ask), "node"), cmp.Or(e.Ask[0].Addr, e.Ask[0].Node), e.Ask[0].Slots)
}

// FixOptions say how to repair. Zero means: not while a primary cannot be reached,
// only slots of which the views show that they need it, and keys of which both ends
// have one are left to the caller: the step that moves them fails.
type FixOptions struct {
	// Unreachable goes on although primaries cannot be asked. What they have is
	// lost then, if it is not at others, and their slots go to others. It is
	// --cluster-fix-with-unreachable-primaries of the tool.
	Unreachable bool

	// StrayKeys looks for keys at primaries that do not own their slot, which no
	// view shows: it takes the counts of all slots at all primaries. It is
	// --cluster-search-multiple-owners of the tool.
	StrayKeys bool

	// SetSlots says how keys are moved. With Databases, counts are for all of
	// them. With Replace, a key that two nodes have is overwritten by that of the
	// node which loses the slot.
	SetSlots SetSlotOptions
}

// A FixCase is what is done about a slot. The cases are those of valkey-cli
// --cluster fix; each names the function of valkey-cli.c that decides on it.
type FixCase string

// The cases of repairs.
const (
	FinishMove   FixCase = "finish the move"           // one migrates and one imports (clusterManagerFixOpenSlot, case 1)
	GatherKeys   FixCase = "gather the keys"           // others import or have keys: these go to the owner (case 2)
	MoveAndClose FixCase = "finish and close"          // one migrates, several import without keys, its target among them (case 3)
	CloseAll     FixCase = "close at all ends"         // one migrates, several import without keys, its target not among them (case 3)
	CloseSlot    FixCase = "close"                     // the owner migrates and nobody imports (case 4), or has it open without need
	CoverEmpty   FixCase = "cover without keys"        // nobody owns it, nobody has keys (clusterManagerFixSlotsCoverage, none)
	CoverHolder  FixCase = "cover where its keys are"  // nobody owns it, one has keys (single)
	CoverMost    FixCase = "cover where most keys are" // nobody owns it, several have keys (multi)
	SettleOwner  FixCase = "settle who owns it"        // several own it or have keys (clusterManagerFixMultipleSlotOwners)
)

// A Repair is what [Fix] plans.
type Repair struct {
	Slots    []SlotRepair `json:"slots"` // what is done about which slots, by the first slot
	Steps    []Step       `json:"steps"` // how, to be done one after the other
	Warnings []string     `json:"warnings"`
}

// A SlotRepair is what is done about some slots.
type SlotRepair struct {
	Slots slotmap.Set `json:"slots"`
	Case  FixCase     `json:"case"`
	Owner string      `json:"owner"` // id of the primary that owns them afterwards
}

// Fix plans the repair of a cluster with open slots, with slots that nobody owns,
// and with slots that several nodes own, by the rules of valkey-cli --cluster fix.
// views are what all its primaries say, each about itself: the replies of CLUSTER
// NODES of each. Replicas may be among them.
//
// Where it matters which node has keys, Fix does not guess: if keys does not say,
// the error is a [*CountsError] that lists what to ask. The second call, with the
// answers, gives the repair. A cluster in order needs none, and no counts.
//
// Redis 8.4 and later count no keys of slots that a node neither owns nor imports, so
// that there neither Fix nor the tool sees keys of a slot that nobody owns.
//
// Where the tool chooses at random, or by the order of its list, Fix chooses so that
// the same views and counts give the same repair: of nodes that have equally many
// keys, one that owns the slot goes first, then the one with the highest config
// epoch, then the smallest id. Slots without keys go to primaries with few slots,
// in few ranges.
//
// Every step can be repeated, as those of a plan, but the cluster should be at rest:
// while a slot has two owners, clients write to both, and a key that both have
// stops the repair, unless FixOptions.SetSlots.Replace is set.
//
// Other errors are a [*StateError], if a primary was not asked, and an
// [*InputError].
func Fix(views []*topology.Cluster, keys KeyCounts, o FixOptions) (Repair, error) {
	f, err := newFixer(views, keys, o)
	if err != nil {
		return Repair{}, err
	}
	f.repair()
	if len(f.missing) > 0 {
		e := &CountsError{}
		for _, n := range f.nodes {
			if slots := f.missing[n]; slots != nil {
				e.Ask = append(e.Ask, CountsQuestion{n.ID, n.Addr, *slots})
			}
		}
		return Repair{}, e
	}
	f.together()
	slices.SortFunc(f.Slots, func(a, b SlotRepair) int { return cmp.Compare(first(a.Slots), first(b.Slots)) })
	return f.Repair, nil
}

func first(s slotmap.Set) hashslot.Slot {
	for slot := range s.Slots() {
		return slot
	}
	return hashslot.Count
}

// A fixer is a repair in the making.
type fixer struct {
	Repair
	nodes   []*fixNode // primaries that can be reached, by id
	o       FixOptions
	missing map[*fixNode]*slotmap.Set

	// A node that hears of a claim with a higher epoch for a slot that it owns deletes
	// the slot's keys. So all slots that are to be given up are, before any node gets
	// another epoch. And keys can only be moved to nodes for which the cluster is
	// well, so what gives slots owners comes before what moves keys.
	giving, owning, moving []Step
	receivers              map[*fixNode]bool // of keys
}

// A fixNode is a primary as it says itself.
type fixNode struct {
	Node
	epoch                uint64
	keys                 map[hashslot.Slot]int
	owns                 slotmap.Set
	assigned             slotmap.Set // slots that some node owns, as it says
	view                 *topology.Cluster
	migrating, importing map[hashslot.Slot]string
}

func newFixer(views []*topology.Cluster, keys KeyCounts, o FixOptions) (*fixer, error) {
	if err := o.SetSlots.check(); err != nil {
		return nil, err
	}
	f := &fixer{o: o, missing: map[*fixNode]*slotmap.Set{}, receivers: map[*fixNode]bool{}}
	f.Slots, f.Steps, f.Warnings = []SlotRepair{}, []Step{}, []string{}
	asked := map[string]bool{}
	for i, v := range views {
		field := fmt.Sprintf("views[%d]", i)
		if v == nil {
			return nil, &InputError{Field: field, Reason: "is nil"}
		}
		me := v.Myself()
		if me == nil {
			return nil, &InputError{Field: field, Reason: "does not say which node was asked: it must be the reply of one node to CLUSTER NODES"}
		}
		if asked[me.ID] {
			return nil, &InputError{Field: field, Value: me.ID, Reason: "is the second view of this node"}
		}
		asked[me.ID] = true
		if me.Role != topology.RolePrimary {
			continue
		}
		n := &fixNode{Node: Node{ID: me.ID, Addr: me.Addr(), Weight: 1}, epoch: me.ConfigEpoch, keys: keys[me.ID], view: v, migrating: map[hashslot.Slot]string{}, importing: map[hashslot.Slot]string{}}
		for _, r := range me.Slots {
			n.owns.AddRange(r)
		}
		n.assigned = allSlots().Subtract(v.Unassigned())
		for _, p := range me.Migrating {
			n.migrating[p.Slot] = p.Node
		}
		for _, p := range me.Importing {
			n.importing[p.Slot] = p.Node
		}
		f.nodes = append(f.nodes, n)
	}
	slices.SortFunc(f.nodes, func(a, b *fixNode) int { return cmp.Compare(a.ID, b.ID) })
	if len(f.nodes) == 0 {
		return nil, &InputError{Field: "views", Reason: "no primary is among the nodes that were asked"}
	}
	return f, f.checkAsked(views, asked)
}

// checkAsked is an error if a primary was not asked.
func (f *fixer) checkAsked(views []*topology.Cluster, asked map[string]bool) error {
	e := &StateError{Problem: Unreachable, Advice: "their slots and keys are not known; ask them as well, or let replicas take over first"}
	for _, v := range views {
		for _, n := range v.Nodes() {
			if n.Role == topology.RolePrimary && !asked[n.ID] {
				e.Nodes = append(e.Nodes, n.ID)
				for _, r := range n.Slots {
					e.Slots.AddRange(r)
				}
			}
		}
	}
	e = e.compact()
	for _, n := range f.nodes {
		e.Slots = e.Slots.Subtract(n.owns)
	}
	switch {
	case len(e.Nodes) == 0:
		return nil
	case !f.o.Unreachable:
		return e
	}
	for _, id := range e.Nodes {
		f.Warnings = append(f.Warnings, "primary "+id+" was not asked: what it has is lost, if no other node has it")
	}
	return nil
}

// count returns how many keys of the slot a node has. If that is not known it is a
// question, and 0.
func (f *fixer) count(n *fixNode, slot hashslot.Slot) int {
	keys, ok := n.keys[slot]
	if !ok {
		if f.missing[n] == nil {
			f.missing[n] = new(slotmap.Set)
		}
		f.missing[n].Add(slot)
	}
	return keys
}

// repair goes through the slots as the tool does: first those that are open, then
// those that nobody owns, then those that several own.
func (f *fixer) repair() {
	var open, owned, twice slotmap.Set
	for _, n := range f.nodes {
		for slot := range n.migrating {
			open.Add(slot)
		}
		for slot := range n.importing {
			open.Add(slot)
		}
		twice = twice.Union(owned.Intersect(n.owns))
		owned = owned.Union(n.owns)
	}
	for slot := range open.Slots() {
		f.open(slot)
	}
	f.cover(allSlots().Subtract(owned).Subtract(open))
	if f.o.StrayKeys {
		twice = allSlots()
	}
	twice = twice.Subtract(open)
	for slot := range twice.Slots() {
		f.settle(slot)
	}
}

func allSlots() slotmap.Set { return slotmap.SetOf(slotmap.Range{Last: hashslot.Count - 1}) }

// done notes what is done about a slot.
func (f *fixer) done(slot hashslot.Slot, what FixCase, owner *fixNode) {
	i := slices.IndexFunc(f.Slots, func(r SlotRepair) bool { return r.Case == what && r.Owner == owner.ID })
	if i < 0 {
		i = len(f.Slots)
		f.Slots = append(f.Slots, SlotRepair{Case: what, Owner: owner.ID})
	}
	f.Slots[i].Slots.Add(slot)
}

func (f *fixer) own(steps ...Step)  { f.owning = append(f.owning, steps...) }
func (f *fixer) then(steps ...Step) { f.moving = append(f.moving, steps...) }

// together puts the steps into their order.
func (f *fixer) together() {
	f.Steps = append(append(f.Steps, f.giving...), f.owning...)
	for _, n := range f.nodes {
		if f.receivers[n] && len(f.owning) > 0 {
			f.Steps = append(f.Steps, waiting(n.Node, ClusterOK, "CLUSTER", "INFO"))
		}
	}
	f.Steps = append(f.Steps, f.moving...)
}

// claimants are the nodes that own the slot or have keys of it.
func (f *fixer) claimants(slot hashslot.Slot) []*fixNode {
	var all []*fixNode
	for _, n := range f.nodes {
		if keys := f.count(n, slot); keys > 0 || n.owns.Contains(slot) {
			all = append(all, n)
		}
	}
	return all
}

// most is clusterManagerGetNodeWithMostKeysInSlot.
func (f *fixer) most(nodes []*fixNode, slot hashslot.Slot) *fixNode {
	return slices.MinFunc(nodes, func(a, b *fixNode) int {
		return cmp.Or(
			cmp.Compare(f.count(b, slot), f.count(a, slot)),
			compareBool(b.owns.Contains(slot), a.owns.Contains(slot)),
			cmp.Compare(b.epoch, a.epoch),
			cmp.Compare(a.ID, b.ID))
	})
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// claim makes n the owner of a slot: clusterManagerSetSlotOwner. If others own it, or
// may be taken for its owner, n needs the highest config epoch, so that all believe
// it. A node that owns the slot gets that by BUMPEPOCH. Another gets both by taking
// the slot as the target of a move does, in one step: between DELSLOTS and ADDSLOTS
// it might hear from another owner. No epoch changes without need, as nodes hear of
// them one after the other.
func (f *fixer) claim(n *fixNode, slot hashslot.Slot, contested bool) {
	other := slices.IndexFunc(f.nodes, func(m *fixNode) bool { return m != n })
	switch {
	case n.owns.Contains(slot) && contested:
		f.own(owned(n.Node, n.Node, slot), bumped(n.Node))
	case n.owns.Contains(slot):
	case other < 0:
		f.assign(n, slotmap.SetOf(one(slot)...))
	default:
		f.own(importing(n.Node, f.nodes[other].Node, slot), owned(n.Node, n.Node, slot))
	}
	n.owns.Add(slot)
	n.assigned.Add(slot)
}

// assign makes n the owner of slots that no node claims.
func (f *fixer) assign(n *fixNode, slots slotmap.Set) {
	if known := n.assigned.Intersect(slots); !known.IsEmpty() {
		f.own(unassigned(n.Node, rangesOf(known), f.o.SetSlots.AddSlots))
	}
	f.own(assigned(n.Node, rangesOf(slots), f.o.SetSlots.AddSlots))
	for _, m := range f.nodes {
		if m.believes(slots, n.ID) {
			f.own(bumped(n.Node))
			break
		}
	}
	n.owns = n.owns.Union(slots)
	n.assigned = n.assigned.Union(slots)
}

// believes reports whether the node takes another than the one with the id for the
// owner of some of the slots.
func (n *fixNode) believes(slots slotmap.Set, not string) bool {
	for slot := range slots.Slots() {
		if s, ok := n.view.Table().Lookup(slot); ok && s.Primary.ID != not {
			return true
		}
	}
	return false
}

// giveUp has n give up the slot, if it owns it, and keep its keys.
func (f *fixer) giveUp(n, owner *fixNode, slot hashslot.Slot) {
	if n.owns.Contains(slot) {
		n.owns.Remove(slot)
		n.assigned.Remove(slot)
		f.giving = append(f.giving, unassigned(n.Node, one(slot), f.o.SetSlots.AddSlots))
	}
	if f.count(n, slot) > 0 {
		f.giving = append(f.giving, importing(n.Node, owner.Node, slot))
	}
}

// tell has n know that the slot is the owner's. While n imports it, it does not hear
// so from the cluster.
func (f *fixer) tell(n, owner *fixNode, slot hashslot.Slot) {
	n.assigned.Add(slot)
	f.own(owned(n.Node, owner.Node, slot))
}

// tellAll is tell for all but the owner.
func (f *fixer) tellAll(owner *fixNode, slot hashslot.Slot) {
	for _, n := range f.nodes {
		if n != owner {
			f.tell(n, owner, slot)
		}
	}
}

// keysTo moves the keys of the slot from n, which does not own it, to the owner. n
// has to import the slot meanwhile: otherwise it would redirect MIGRATE.
func (f *fixer) keysTo(n, owner *fixNode, slot hashslot.Slot) {
	f.receivers[owner] = true
	f.then(importing(n.Node, owner.Node, slot))
	for database := range max(f.o.SetSlots.Databases, 1) {
		f.then(keysOf(n.Node, owner.Node, slot, &f.o.SetSlots, database))
	}
	f.then(stable(n.Node, slot))
}

// move moves the slot with its keys, as [Plan.SetSlots] does.
func (f *fixer) move(from, to *fixNode, slot hashslot.Slot) {
	f.receivers[to] = true
	f.then(importing(to.Node, from.Node, slot), migrating(from.Node, to.Node, slot))
	for database := range max(f.o.SetSlots.Databases, 1) {
		f.then(keysOf(from.Node, to.Node, slot, &f.o.SetSlots, database))
	}
	f.then(owned(to.Node, to.Node, slot), owned(from.Node, to.Node, slot))
	to.owns.Add(slot)
	from.owns.Remove(slot)
	if from.owns.IsEmpty() {
		f.then(synced(from.Node))
	}
	for _, n := range f.nodes {
		if n != from && n != to {
			n.assigned.Add(slot)
			f.then(owned(n.Node, to.Node, slot))
		}
	}
}

// open is clusterManagerFixOpenSlot.
func (f *fixer) open(slot hashslot.Slot) {
	claimants := f.claimants(slot)
	var owner, source *fixNode
	if len(claimants) == 1 {
		owner = claimants[0]
	}
	var importers []*fixNode // that say so, or have keys and are not the owner
	for _, n := range f.nodes {
		if _, ok := n.migrating[slot]; ok {
			source = n
		} else if _, ok := n.importing[slot]; ok || n != owner && f.count(n, slot) > 0 {
			importers = append(importers, n)
		}
	}
	if source != nil && source != owner && owner != nil { // it says that it migrates a slot of another
		importers, source = append(importers, source), nil
	}
	if owner == nil || !owner.owns.Contains(slot) {
		// Nobody, or several. Only an owner migrates, so if there are several
		// sources, there are several owners as well, and all but one import then.
		if owner == nil {
			owner = f.most(f.nodes, slot)
		}
		importers = slices.DeleteFunc(importers, func(n *fixNode) bool { return n == owner })
		contested := false
		for _, n := range claimants {
			if n == owner {
				continue
			}
			contested = contested || n.owns.Contains(slot)
			f.giveUp(n, owner, slot)
			if !slices.Contains(importers, n) {
				importers = append(importers, n)
			}
		}
		if owner.owns.Contains(slot) {
			f.own(stable(owner.Node, slot))
		}
		f.claim(owner, slot, contested)
		source = nil
	}
	for _, n := range f.nodes {
		if n != owner && (source == nil || !n.assigned.Contains(slot)) {
			f.tell(n, owner, slot)
		}
	}
	switch target := f.targetOf(source, importers, slot); {
	case source == nil && len(importers) > 0:
		for _, n := range importers {
			f.keysTo(n, owner, slot)
		}
		f.done(slot, GatherKeys, owner)
	case target != nil:
		f.move(source, target, slot)
		what := FinishMove
		for _, n := range importers {
			if n != target {
				f.then(stable(n.Node, slot))
				what = MoveAndClose
			}
		}
		f.done(slot, what, target)
	case len(importers) > 0:
		for _, n := range append([]*fixNode{source}, importers...) {
			f.then(stable(n.Node, slot))
		}
		f.done(slot, CloseAll, owner)
	default:
		if source != nil {
			f.then(stable(source.Node, slot))
		}
		f.done(slot, CloseSlot, owner)
	}
}

// targetOf returns to whom a move is to be finished: the only node that imports the
// slot, or of several the one to which the source says that it goes.
func (f *fixer) targetOf(source *fixNode, importers []*fixNode, slot hashslot.Slot) *fixNode {
	if source == nil || len(importers) == 0 {
		return nil
	}
	if len(importers) == 1 {
		return importers[0]
	}
	if i := slices.IndexFunc(importers, func(n *fixNode) bool { return n.ID == source.migrating[slot] }); i >= 0 {
		return importers[i]
	}
	return nil
}

// cover is clusterManagerFixSlotsCoverage.
func (f *fixer) cover(slots slotmap.Set) {
	var empty slotmap.Set
	single := map[*fixNode]slotmap.Set{}
	for slot := range slots.Slots() {
		holders := f.claimants(slot)
		switch len(holders) {
		case 0:
			empty.Add(slot)
		case 1:
			single[holders[0]] = single[holders[0]].Union(slotmap.SetOf(one(slot)...))
			f.done(slot, CoverHolder, holders[0])
		default:
			owner := f.most(holders, slot)
			f.claim(owner, slot, false)
			f.tellAll(owner, slot)
			for _, n := range holders {
				if n != owner {
					f.keysTo(n, owner, slot)
				}
			}
			f.done(slot, CoverMost, owner)
		}
	}
	have, weights := make([]int, len(f.nodes)), make([]float64, len(f.nodes))
	for i, n := range f.nodes {
		if set := single[n]; !set.IsEmpty() {
			f.assign(n, set)
		}
		have[i], weights[i] = n.owns.Len(), 1
	}
	for i, want := range level(have, weights, empty.Len()) {
		var set slotmap.Set
		for slot := range empty.Slots() {
			if set.Len() == want-have[i] {
				break
			}
			set.Add(slot)
			f.done(slot, CoverEmpty, f.nodes[i])
		}
		if !set.IsEmpty() {
			empty = empty.Subtract(set)
			f.assign(f.nodes[i], set)
		}
	}
}

// settle is clusterManagerFixMultipleSlotOwners, for one slot that has several
// owners. Otherwise it does nothing.
func (f *fixer) settle(slot hashslot.Slot) {
	claimants := f.claimants(slot)
	if len(claimants) < 2 {
		return
	}
	owner := f.most(claimants, slot)
	contested := false
	for _, n := range claimants {
		if n != owner {
			contested = contested || n.owns.Contains(slot)
			f.giveUp(n, owner, slot)
		}
	}
	f.claim(owner, slot, contested)
	f.tellAll(owner, slot)
	for _, n := range claimants {
		if n != owner && f.count(n, slot) > 0 {
			f.keysTo(n, owner, slot)
		}
	}
	f.done(slot, SettleOwner, owner)
}

// Summary returns the repair as text for a person to check.
func (r *Repair) Summary() string {
	var b strings.Builder
	if len(r.Slots) == 0 {
		b.WriteString("nothing to repair\n")
	}
	for _, s := range r.Slots {
		fmt.Fprintf(&b, "%s: slots %s, then of %s\n", s.Case, s.Slots, printable(s.Owner))
	}
	writeWarnings(&b, r.Warnings)
	return b.String()
}
