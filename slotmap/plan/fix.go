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

// Put sets how many keys of a slot a node has, as CLUSTER COUNTKEYSINSLOT says.
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
	if len(e.Ask) == 0 {
		return "plan: what to do depends on the keys"
	}
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
	SpreadOwner  FixCase = "spread who owns it"        // one owns it, others will never hear so; the tool leaves that
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
// Servers delete the keys of a slot that they lose to a claim with a higher config
// epoch. The order of the steps, and the waits among them, keep a repair from causing
// that, in whatever order the nodes hear of one another, if the cluster is at rest: no
// slot has two owners that hear of each other, and nobody else moves slots. While a
// slot has two owners, clients write to both, and a key that both have stops the repair,
// unless FixOptions.SetSlots.Replace is set.
//
// A step that may be done already can be repeated. If it is not known how far the steps
// have come, plan anew with FixOptions.StrayKeys: keys may be at a node that has closed
// their slot.
//
// The nodes that were asked are waited for. Without replicas among them, the repair
// relies on it that they hear as soon as the primaries do.
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
//
// The order of its steps keeps keys from servers, which delete the keys of a slot when
// they lose it to a claim with a higher config epoch that they hear of
// (clusterUpdateSlotsConfigWith of Valkey's cluster_legacy.c):
//
//  1. What is open without need is closed, and nodes give up what is to be another's,
//     before any epoch changes. Valkey 8.0 and later take a slot as their own that
//     they import from a node which does not claim it, so it is closed first. Only a
//     slot that two claim is given up before that: its keys are in danger already.
//  2. One node after the other gets the highest epoch and takes its slots, and the next
//     one waits until all others have heard of that. So no node believes in an owner
//     whose epoch has overtaken that of the true one: its word would take the slot
//     from that one.
//  3. Keys that are not at the owner go there when their node has heard of its claim,
//     for to send them it has to import the slot from the owner.
//  4. Slots are moved, target by target, with the same wait, as targets get the highest
//     epoch, too.
type fixer struct {
	Repair
	nodes   []*fixNode // primaries that can be reached, by id
	asked   []*fixNode // these and the replicas that were asked, by id
	o       FixOptions
	missing map[*fixNode]*slotmap.Set

	urgent    []Step
	closing   []Step
	giving    []Step
	given     slotmap.Set // by giving and urgent
	twice     slotmap.Set // slots that several claim
	spreading []Step
	taking    map[*fixNode]*taking
	gathering []Step
	moving    map[*fixNode]*moving
	receivers map[*fixNode]bool // of keys
	unheard   []Step            // waits of nodes with keys to gather
}

// A taking is what a node takes as its own.
type taking struct {
	bump    bool        // others may believe in another owner
	kept    slotmap.Set // what it owns, and others have given up
	taken   slotmap.Set // what others have given up
	covered slotmap.Set // what nobody owned
}

// A moving is which slots come to a node with their keys.
type moving struct {
	slots slotmap.Set
	from  map[*fixNode][]hashslot.Slot
}

// A fixNode is a node as it says itself.
type fixNode struct {
	Node
	epoch                uint64
	keys                 map[hashslot.Slot]int
	had, owns            slotmap.Set // as it says, and when the repair is done
	view                 *topology.Cluster
	migrating, importing map[hashslot.Slot]string
}

func newFixer(views []*topology.Cluster, keys KeyCounts, o FixOptions) (*fixer, error) {
	if err := o.SetSlots.check(); err != nil {
		return nil, err
	}
	f := &fixer{o: o, missing: map[*fixNode]*slotmap.Set{}, taking: map[*fixNode]*taking{}, moving: map[*fixNode]*moving{}, receivers: map[*fixNode]bool{}}
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
		n := &fixNode{Node: Node{ID: me.ID, Addr: me.Addr(), Weight: 1}, epoch: me.ConfigEpoch, keys: keys[me.ID], view: v, migrating: map[hashslot.Slot]string{}, importing: map[hashslot.Slot]string{}}
		f.asked = append(f.asked, n)
		if me.Role != topology.RolePrimary {
			continue
		}
		for _, r := range me.Slots {
			n.owns.AddRange(r)
		}
		n.had = n.owns
		for _, p := range me.Migrating {
			n.migrating[p.Slot] = p.Node
		}
		for _, p := range me.Importing {
			n.importing[p.Slot] = p.Node
		}
		f.nodes = append(f.nodes, n)
	}
	for _, list := range [][]*fixNode{f.nodes, f.asked} {
		slices.SortFunc(list, func(a, b *fixNode) int { return cmp.Compare(a.ID, b.ID) })
	}
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
	var open, owned slotmap.Set
	for _, n := range f.nodes {
		for slot := range n.migrating {
			open.Add(slot)
		}
		for slot := range n.importing {
			open.Add(slot)
		}
		f.twice = f.twice.Union(owned.Intersect(n.owns))
		owned = owned.Union(n.owns)
	}
	for slot := range open.Slots() {
		f.open(slot)
	}
	f.cover(allSlots().Subtract(owned).Subtract(open))
	settled, several := owned.Subtract(f.twice), f.twice
	if f.o.StrayKeys {
		several = allSlots()
	}
	several = several.Subtract(open)
	for slot := range several.Slots() {
		f.settle(slot)
	}
	f.disagreed(settled.Subtract(f.given), open)
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

// together puts the steps into their order.
func (f *fixer) together() {
	add := func(steps ...Step) { f.Steps = append(f.Steps, steps...) }
	add(f.urgent...)
	add(f.closing...)
	add(f.giving...)
	if len(f.Slots) > 0 {
		add(f.informed()...)
	}
	add(f.spreading...)
	for _, n := range f.nodes {
		if t := f.taking[n]; t != nil {
			add(f.take(n, t)...)
		}
	}
	add(f.unheard...)
	for _, n := range f.nodes {
		if f.receivers[n] && len(f.taking) > 0 {
			add(waiting(n.Node, ClusterOK, "CLUSTER", "INFO"))
		}
	}
	add(f.gathering...)
	add(f.moves()...)
	round := 0
	for i := range f.Steps {
		if s := &f.Steps[i]; s.Until.Condition == Follows {
			if i == 0 || f.Steps[i-1].Round == 0 || f.Steps[i-1].Peer != s.Peer {
				round++
			}
			s.Round = round
		}
	}
}

// informed waits until all know of the highest config epoch, which they do at rest.
func (f *fixer) informed() (steps []Step) {
	highest := slices.MaxFunc(f.nodes, func(a, b *fixNode) int {
		return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(b.ID, a.ID))
	})
	for _, n := range f.asked {
		if n.epochOf(highest.ID) < highest.epoch {
			steps = append(steps, following(n.Node, highest.Node, nil))
		}
	}
	return steps
}

// epochOf returns the config epoch of another node as n knows it.
func (n *fixNode) epochOf(id string) uint64 {
	if m := n.view.Node(id); m != nil {
		return m.ConfigEpoch
	}
	return 0
}

// imports are the slots that n imports.
func (n *fixNode) imports() (slots slotmap.Set) {
	for slot := range n.importing {
		slots.Add(slot)
	}
	return slots
}

// heard waits until all others know that n owns the slots, by the highest epoch.
func (f *fixer) heard(n *fixNode, slots slotmap.Set) (steps []Step) {
	for _, m := range f.asked {
		if m != n {
			steps = append(steps, following(m.Node, n.Node, rangesOf(slots)))
		}
	}
	return steps
}

// take has n get the highest epoch, if others believe in another owner, and then its
// slots. SETSLOT takes a slot whoever is believed to own it: it may be that n has
// just heard from the node that has given the slot up.
func (f *fixer) take(n *fixNode, t *taking) (steps []Step) {
	if t.bump {
		steps = append(steps, bumped(n.Node))
	}
	for slot := range t.taken.Slots() {
		steps = append(steps, owned(n.Node, n.Node, slot))
	}
	if !t.covered.IsEmpty() {
		if known := t.covered.Subtract(n.view.Unassigned()); !known.IsEmpty() {
			steps = append(steps, unassigned(n.Node, rangesOf(known), f.o.SetSlots.AddSlots))
		}
		steps = append(steps, assigned(n.Node, rangesOf(t.covered), f.o.SetSlots.AddSlots))
	}
	if t.bump {
		steps = append(steps, f.heard(n, t.kept.Union(t.taken).Union(t.covered))...)
	}
	return steps
}

// disagreed are slots that one node owns, while others believe that they are those of
// one with an epoch as high, and will never hear. If that one got a higher epoch, their
// word would take the slots from the owner. So the owner gets it before. The owner with
// the lowest epoch goes first: nobody takes its slots for those of one before.
func (f *fixer) disagreed(settled, open slotmap.Set) {
	var owner [hashslot.Count]*fixNode
	for _, n := range f.nodes {
		for slot := range n.had.Intersect(settled).Slots() {
			owner[slot] = n
		}
	}
	disputed := map[*fixNode]slotmap.Set{}
	for _, m := range f.asked {
		for r, shard := range m.view.Table().Ranges() {
			for slot := r.First; slot <= r.Last; slot++ {
				n := owner[slot]
				if n == nil || shard.Primary.ID == n.ID || shard.Primary.ConfigEpoch < n.epoch {
					continue
				}
				if _, importing := m.importing[slot]; !importing {
					slots := disputed[n]
					slots.Add(slot)
					disputed[n] = slots
				}
			}
		}
	}
	owners := slices.DeleteFunc(slices.Clone(f.nodes), func(n *fixNode) bool { return disputed[n].IsEmpty() })
	slices.SortFunc(owners, func(a, b *fixNode) int { return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.ID, b.ID)) })
	for _, n := range owners {
		slots := disputed[n]
		f.spreading = append(f.spreading, bumped(n.Node))
		for _, m := range f.asked {
			if m != n { // what m imports still, it may not hear of
				f.spreading = append(f.spreading, following(m.Node, n.Node, rangesOf(slots.Subtract(m.imports()))))
			}
		}
		if slots = slots.Subtract(open); !slots.IsEmpty() {
			f.Slots = append(f.Slots, SlotRepair{Slots: slots, Case: SpreadOwner, Owner: n.ID})
		}
	}
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

// claim makes n the owner of slots that nobody else owns, after some have given them up
// if they are contested.
func (f *fixer) claim(n *fixNode, slots slotmap.Set, contested bool) {
	t := f.taking[n]
	if t == nil {
		t = &taking{}
		f.taking[n] = t
	}
	mine := slots.Intersect(n.owns)
	t.kept = t.kept.Union(mine)
	if rest := slots.Subtract(mine); contested {
		t.taken = t.taken.Union(rest)
	} else {
		t.covered = t.covered.Union(rest)
	}
	t.bump = t.bump || contested
	for _, m := range f.asked {
		t.bump = t.bump || m.believes(slots, n.ID)
	}
	n.owns = n.owns.Union(slots)
}

// believes reports whether the node takes another than the one with the id for the
// owner of some of the slots.
func (n *fixNode) believes(slots slotmap.Set, not string) bool {
	for r, s := range n.view.Table().Ranges() {
		if s.Primary.ID != not && !slots.Intersect(slotmap.SetOf(r)).IsEmpty() {
			return true
		}
	}
	return false
}

// giveUp has n give up the slot, if it owns it, and keep its keys.
func (f *fixer) giveUp(n *fixNode, slot hashslot.Slot) {
	if n.owns.Contains(slot) {
		n.owns.Remove(slot)
		f.given.Add(slot)
		steps := &f.giving
		if f.twice.Contains(slot) {
			steps = &f.urgent
		}
		*steps = append(*steps, unassigned(n.Node, one(slot), f.o.SetSlots.AddSlots))
	}
}

// closeAt has n neither import nor migrate the slot.
func (f *fixer) closeAt(n *fixNode, slot hashslot.Slot) {
	_, importing := n.importing[slot]
	_, migrating := n.migrating[slot]
	if importing || migrating {
		f.closing = append(f.closing, stable(n.Node, slot))
	}
}

// tell has n know that the slot is the owner's, if it does not. It may have missed that
// while it imported the slot.
func (f *fixer) tell(n, owner *fixNode, slot hashslot.Slot) {
	if ownerOf(n.view, slot) != owner.ID {
		f.closing = append(f.closing, owned(n.Node, owner.Node, slot))
	}
}

// keysTo moves the keys of the slot from n, which does not own it, to the owner. n
// has to import the slot meanwhile: otherwise it would redirect MIGRATE.
func (f *fixer) keysTo(n, owner *fixNode, slot hashslot.Slot) {
	f.receivers[owner] = true
	if t := f.taking[owner]; t != nil && (t.covered.Contains(slot) || t.taken.Contains(slot)) {
		if ownerOf(n.view, slot) == owner.ID {
			// To know it later has to mean that n has heard of it.
			f.giving = append(f.giving, unassigned(n.Node, one(slot), f.o.SetSlots.AddSlots))
		}
		wait := following(n.Node, owner.Node, one(slot))
		wait.Until.Condition = PeerOwns
		f.unheard = append(f.unheard, wait)
	}
	f.gathering = append(f.gathering, importing(n.Node, owner.Node, slot))
	for database := range max(f.o.SetSlots.Databases, 1) {
		f.gathering = append(f.gathering, keysOf(n.Node, owner.Node, slot, &f.o.SetSlots, database))
	}
	f.gathering = append(f.gathering, stable(n.Node, slot))
}

// move has the slot go to another node with its keys.
func (f *fixer) move(from, to *fixNode, slot hashslot.Slot) {
	m := f.moving[to]
	if m == nil {
		m = &moving{from: map[*fixNode][]hashslot.Slot{}}
		f.moving[to] = m
	}
	f.receivers[to] = true
	m.slots.Add(slot)
	m.from[from] = append(m.from[from], slot)
	to.owns.Add(slot)
	from.owns.Remove(slot)
}

// moves moves slots with their keys, as [Plan.SetSlots] does. A node that gives its last
// slot may be a replica then and get none, so it gets its own before, unless two wait
// for each other.
func (f *fixer) moves() (steps []Step) {
	left := map[*fixNode]int{} // slots that the node has
	var targets []*fixNode
	for _, n := range f.nodes {
		left[n] += n.owns.Len()
		if m := f.moving[n]; m != nil {
			targets = append(targets, n)
			left[n] -= m.slots.Len()
			for from, slots := range m.from {
				left[from] += len(slots)
			}
		}
	}
	for len(targets) > 0 {
		next := max(0, slices.IndexFunc(targets, func(to *fixNode) bool {
			for from, slots := range f.moving[to].from {
				if left[from] == len(slots) && slices.Contains(targets, from) {
					return false
				}
			}
			return true
		}))
		to := targets[next]
		targets = slices.Delete(targets, next, next+1)
		m := f.moving[to]
		left[to] += m.slots.Len()
		for _, from := range f.nodes {
			for _, slot := range m.from[from] {
				steps = append(steps, importing(to.Node, from.Node, slot), migrating(from.Node, to.Node, slot))
				for database := range max(f.o.SetSlots.Databases, 1) {
					steps = append(steps, keysOf(from.Node, to.Node, slot, &f.o.SetSlots, database))
				}
				steps = append(steps, owned(to.Node, to.Node, slot), owned(from.Node, to.Node, slot))
				if left[from]--; left[from] == 0 {
					steps = append(steps, synced(from.Node))
				}
			}
		}
		steps = append(steps, f.heard(to, m.slots)...)
	}
	return steps
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
	taken := false
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
			f.giveUp(n, slot)
			if !slices.Contains(importers, n) {
				importers = append(importers, n)
			}
		}
		f.closeAt(owner, slot)
		if contested || !owner.owns.Contains(slot) {
			f.claim(owner, slotmap.SetOf(one(slot)...), contested)
			taken = true
		}
		source = nil
	}
	target := f.targetOf(source, importers, slot)
	for _, n := range f.nodes {
		if n == owner || n == target {
			continue
		}
		f.closeAt(n, slot)
	}
	for _, n := range importers {
		if !taken {
			f.tell(n, owner, slot)
		}
	}
	switch {
	case source == nil && len(importers) > 0:
		for _, n := range importers {
			f.keysTo(n, owner, slot)
		}
		f.done(slot, GatherKeys, owner)
	case target != nil:
		f.move(source, target, slot)
		what := FinishMove
		if len(importers) > 1 {
			what = MoveAndClose
		}
		f.done(slot, what, target)
	case len(importers) > 0:
		f.closeAt(owner, slot)
		f.done(slot, CloseAll, owner)
	default:
		f.closeAt(owner, slot)
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
			f.claim(owner, slotmap.SetOf(one(slot)...), false)
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
			f.claim(n, set, false)
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
			f.claim(f.nodes[i], set, false)
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
			f.giveUp(n, slot)
		}
	}
	if contested || !owner.owns.Contains(slot) {
		f.claim(owner, slotmap.SetOf(one(slot)...), contested)
	}
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
