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

// KeyCounts holds the number of keys of a slot at a node, in all its databases, by node id
// and slot. The count of a slot that is missing is unknown, not 0.
type KeyCounts map[string]map[hashslot.Slot]int

// Put sets the number of keys of a slot at a node, the reply to CLUSTER COUNTKEYSINSLOT. k
// must not be nil.
func (k KeyCounts) Put(node string, slot hashslot.Slot, keys int) {
	if k[node] == nil {
		k[node] = map[hashslot.Slot]int{}
	}
	k[node][slot] = keys
}

// A CountsError lists the counts that [Fix] needs.
type CountsError struct {
	Ask []CountsQuestion // one for each node, in the order of ids
}

// A CountsQuestion asks for the number of keys of each slot at a node.
type CountsQuestion struct {
	Node, Addr string
	Slots      slotmap.Set
}

func (e *CountsError) Error() string {
	if len(e.Ask) == 0 {
		return "plan: the repair depends on key counts that are not known"
	}
	return fmt.Sprintf("plan: the repair depends on key counts that are not known: ask %s with CLUSTER COUNTKEYSINSLOT, first %s for slots %s",
		count(len(e.Ask), "node"), cmp.Or(e.Ask[0].Addr, e.Ask[0].Node), e.Ask[0].Slots)
}

// FixOptions are the options of [Fix]. The zero value means: no repair while a primary
// cannot be reached; only slots that need a repair according to the views; and if both ends
// of a move have the same key, the step that moves it fails, and the caller decides.
type FixOptions struct {
	// Unreachable allows a repair while primaries cannot be asked. Their slots go
	// to others, and their keys are lost unless others have them. It is
	// --cluster-fix-with-unreachable-primaries of the tool.
	Unreachable bool

	// StrayKeys looks for keys at primaries that do not own their slot, which no view
	// shows. It needs the counts of all slots at all primaries. It is
	// --cluster-search-multiple-owners of the tool.
	StrayKeys bool

	// SetSlots says how keys are moved. If its Databases is above 1, the counts must be
	// sums over all databases. With Replace, if two nodes have the same key, the value at
	// the node that loses the slot overwrites the other.
	SetSlots SetSlotOptions
}

// A FixCase is the way in which a slot is repaired, in words: "finish the move". The
// cases are those of valkey-cli --cluster fix.
type FixCase string

// Each case names the function of valkey-cli.c that decides on it.
const (
	caseFinishMove   FixCase = "finish the move"           // one migrates and one imports (clusterManagerFixOpenSlot, case 1)
	caseGatherKeys   FixCase = "gather the keys"           // others import or have keys: these go to the owner (case 2)
	caseMoveAndClose FixCase = "finish and close"          // one migrates, several import without keys, its target among them (case 3)
	caseCloseAll     FixCase = "close at all ends"         // one migrates, several import without keys, its target not among them (case 3)
	caseCloseSlot    FixCase = "close"                     // the owner migrates and nobody imports (case 4), or has it open without need
	caseCoverEmpty   FixCase = "cover without keys"        // nobody owns it, nobody has keys (clusterManagerFixSlotsCoverage, none)
	caseCoverHolder  FixCase = "cover where its keys are"  // nobody owns it, one has keys (single)
	caseCoverMost    FixCase = "cover where most keys are" // nobody owns it, several have keys (multi)
	caseSettleOwner  FixCase = "settle who owns it"        // several own it or have keys (clusterManagerFixMultipleSlotOwners)
	caseSpreadOwner  FixCase = "spread who owns it"        // one owns it, and others never hear of that; the tool leaves it so
)

// A Repair is the plan of [Fix].
type Repair struct {
	Slots    []SlotRepair `json:"slots"` // the slots by case, in the order of their first slots
	Steps    []Step       `json:"steps"` // to be done one after the other
	Warnings []string     `json:"warnings"`
}

// A SlotRepair is the repair of some slots.
type SlotRepair struct {
	Slots slotmap.Set `json:"slots"`
	Case  FixCase     `json:"case"`
	Owner string      `json:"owner"` // id of the primary that owns them afterwards
}

// Fix plans the repair of a cluster with open slots, with unassigned slots, and with
// slots that several nodes own, by the rules of valkey-cli --cluster fix. views are the
// replies to CLUSTER NODES of all primaries. Views of replicas may be among them.
//
// If a repair depends on which node has keys, Fix needs the counts. If keys lacks one,
// the error is a [*CountsError] that lists the missing counts. A second call, with these,
// returns the repair. A healthy cluster needs no counts, and its repair has no steps.
//
// Redis 8.4 and later count no keys of slots that a node neither owns nor imports. There,
// neither Fix nor the tool finds the keys of an unassigned slot.
//
// Where the tool chooses at random, or by the order of its list, Fix chooses by rules, so
// that the same views and counts give the same repair. Among nodes with equally many
// keys, an owner of the slot comes first, then the node with the highest config epoch,
// then the smallest id. Slots without keys go to primaries with few slots, in few ranges.
//
// Servers delete the keys of a slot that they lose to a claim with a higher config epoch.
// The order of the steps, and the waits between them, keep a repair from causing that, in
// whatever order the nodes hear of each other. This holds if the cluster is at rest: no
// slot has two owners that hear of each other, and nobody else moves slots. While a slot
// has two owners, clients write to both. A key that both have stops the repair unless
// FixOptions.SetSlots.Replace is set.
//
// Valkey 8.0 and later make a slot their own if they import it from a node that gives it up.
// If a node has done so after its view was taken, and the repair gives the slot to another
// one, a step fails before anything is lost: plan again.
//
// After a crash, begin again with the last step that was begun. If it is not known, plan
// again with FixOptions.StrayKeys: keys may be at a node that has closed their slot.
//
// The steps wait for the nodes whose views were given. If replicas are not among them, the
// repair relies on replicas to hear of changes as soon as primaries do.
//
// Other errors are a [*StateError], if the view of a primary is missing, and an
// [*InputError].
func Fix(views []*topology.Cluster, keys KeyCounts, o FixOptions) (Repair, error) {
	f, err := newFixer(views, keys, o)
	if err != nil {
		return Repair{}, err
	}
	if err := f.repair(); err != nil {
		return Repair{}, err
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

// A fixer makes a repair.
//
// Servers delete the keys of a slot when they lose it to a claim with a higher config
// epoch (clusterUpdateSlotsConfigWith of Valkey's cluster_legacy.c). The order of the
// steps prevents that:
//
//  1. Before any epoch changes, slots that are open without need are closed, and nodes
//     give up the slots that go to others. A slot is closed before it is given up:
//     Valkey 8.0 and later make a slot their own if they import it from a node that
//     does not claim it. Only a slot that two nodes claim is given up first: its keys
//     are in danger already.
//  2. One node after the other gets the highest epoch and takes its slots. The next one
//     waits until all others have heard of that. Otherwise a node could believe in an
//     owner whose epoch has overtaken that of the true one, and its word would take the
//     slot from the true one. Once all have heard of it, no epoch of others matters: all
//     other claims of these slots were made before, with lower epochs.
//  3. Keys at other nodes go to the owner after their node has heard of its claim: to
//     send them, the node has to import the slot from the owner.
//  4. Slots move, target by target, with the same wait, because targets get the highest
//     epoch, too.
type fixer struct {
	Repair
	nodes []*fixNode // primaries that can be reached, by id
	asked []*fixNode // these and the replicas that were asked, by id
	o     FixOptions

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

	// What the steps that were made until now see to: latest has the highest epoch of all
	// primaries, at least least. latest is nil if several have the highest.
	latest *fixNode
	least  uint64
}

// A taking is the slots that a node makes its own.
type taking struct {
	bump    bool        // others may believe in another owner
	kept    slotmap.Set // slots that it owns, and others have given up
	taken   slotmap.Set // slots that others have given up
	covered slotmap.Set // slots that were unassigned
}

// A moving is the slots that come to a node with their keys.
type moving struct {
	slots slotmap.Set
	from  map[*fixNode][]hashslot.Slot
}

// A fixNode is a node as its own view shows it.
type fixNode struct {
	Node
	epoch                uint64
	keys                 map[hashslot.Slot]int
	holds                slotmap.Set // the slots in question of which it has keys
	had, owns            slotmap.Set // its slots by its view, and after the repair
	view                 *topology.Cluster
	migrating, importing map[hashslot.Slot]string
}

func newFixer(views []*topology.Cluster, keys KeyCounts, o FixOptions) (*fixer, error) {
	if err := o.SetSlots.check(); err != nil {
		return nil, err
	}
	f := &fixer{o: o, taking: map[*fixNode]*taking{}, moving: map[*fixNode]*moving{}, receivers: map[*fixNode]bool{}}
	f.Slots, f.Steps, f.Warnings = []SlotRepair{}, []Step{}, []string{}
	asked := map[string]bool{}
	for i, v := range views {
		field := fmt.Sprintf("views[%d]", i)
		if v == nil {
			return nil, &InputError{Field: field, Reason: "is nil"}
		}
		me := v.Myself()
		if me == nil {
			return nil, &InputError{Field: field, Reason: "must be the reply of one node to CLUSTER NODES: no node is marked as myself"}
		}
		if asked[me.ID] {
			return nil, &InputError{Field: field, Value: me.ID, Reason: "is a second view of the same node"}
		}
		asked[me.ID] = true
		n := &fixNode{Node: Node{ID: me.ID, Addr: me.Addr()}, epoch: me.ConfigEpoch, keys: keys[me.ID], view: v, migrating: map[hashslot.Slot]string{}, importing: map[hashslot.Slot]string{}}
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
		return nil, &InputError{Field: "views", Reason: "none of the nodes that were asked is a primary"}
	}
	f.latest = f.highest()
	f.least = f.latest.epoch
	for _, n := range f.nodes {
		if n != f.latest && n.epoch == f.least {
			f.latest = nil
		}
	}
	return f, f.checkAsked(views, asked)
}

// checkAsked returns an error if the view of a primary is missing.
func (f *fixer) checkAsked(views []*topology.Cluster, asked map[string]bool) error {
	e := &StateError{Problem: ProblemUnreachable, Advice: "their slots and keys are unknown; ask these nodes as well, or let replicas take over first"}
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
		f.Warnings = append(f.Warnings, "primary "+printable(id)+" was not asked: keys that only it has are lost")
	}
	return nil
}

// count finds out which nodes have keys of the slots in question. The error is a
// [*CountsError] if counts of them are missing.
func (f *fixer) count(slots slotmap.Set) error {
	e := &CountsError{}
	for _, n := range f.nodes {
		missing := slots
		known := func(slot hashslot.Slot, keys int) {
			missing.Remove(slot)
			if keys > 0 {
				n.holds.Add(slot)
			}
		}
		if len(n.keys) <= slots.Len() { // a walk over a map is faster than look-ups
			for slot, keys := range n.keys {
				if slots.Contains(slot) {
					known(slot, keys)
				}
			}
		} else {
			for slot := range slots.Slots() {
				if keys, ok := n.keys[slot]; ok {
					known(slot, keys)
				}
			}
		}
		if !missing.IsEmpty() {
			e.Ask = append(e.Ask, CountsQuestion{n.ID, n.Addr, missing})
		}
	}
	if len(e.Ask) > 0 {
		return e
	}
	return nil
}

// repair goes through the slots in the order of the tool: first the open ones, then the
// unassigned ones, then those with several owners.
func (f *fixer) repair() error {
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
	free, settled, several := allSlots().Subtract(owned).Subtract(open), owned.Subtract(f.twice), f.twice
	if f.o.StrayKeys {
		several = allSlots()
	}
	several = several.Subtract(open)
	if err := f.count(open.Union(free).Union(several)); err != nil {
		return err
	}
	for slot := range open.Slots() {
		f.open(slot)
	}
	f.cover(free)
	several = several.Intersect(f.claimedTwice())
	for slot := range several.Slots() {
		f.settle(slot)
	}
	f.disagreed(settled.Subtract(f.given), open)
	return nil
}

func allSlots() slotmap.Set { return slotmap.SetOf(slotmap.Range{Last: hashslot.Count - 1}) }

// done records the case of a slot.
func (f *fixer) done(slot hashslot.Slot, what FixCase, owner *fixNode) {
	for i := range f.Slots {
		if r := &f.Slots[i]; r.Case == what && r.Owner == owner.ID {
			r.Slots.Add(slot)
			return
		}
	}
	f.Slots = append(f.Slots, SlotRepair{Slots: slotmap.SetOf(one(slot)...), Case: what, Owner: owner.ID})
}

// together orders the steps.
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
			add(waiting(n.Node, untilClusterOK, "CLUSTER", "INFO"))
		}
	}
	add(f.gathering...)
	add(f.moves()...)
	round := 0
	for i := range f.Steps {
		if s := &f.Steps[i]; s.Until.Condition == untilFollows {
			if i == 0 || f.Steps[i-1].Round == 0 { // those after it have the same peer
				round++
			}
			s.Round = round
		}
	}
}

// informed returns steps that wait until all know the highest config epoch, as they do
// in a cluster at rest.
func (f *fixer) informed() (steps []Step) {
	highest := f.highest()
	for _, n := range f.asked {
		if n.epochOf(highest.ID) < highest.epoch {
			steps = append(steps, following(n.Node, highest.Node, nil, highest.epoch))
		}
	}
	return steps
}

// highest returns the primary with the highest epoch before the repair.
func (f *fixer) highest() *fixNode {
	return slices.MaxFunc(f.nodes, func(a, b *fixNode) int {
		return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(b.ID, a.ID))
	})
}

// bump returns a step that gives n the highest epoch. n has heard of the highest before.
// Steps that are to be done earlier must have been made before.
func (f *fixer) bump(n *fixNode) Step {
	if f.latest != n {
		f.latest = n
		f.least++
	}
	return bumped(n.Node)
}

// epochOf returns the config epoch of another node as n knows it.
func (n *fixNode) epochOf(id string) uint64 {
	if m := n.view.Node(id); m != nil {
		return m.ConfigEpoch
	}
	return 0
}

// imports returns the slots that n imports.
func (n *fixNode) imports() (slots slotmap.Set) {
	for slot := range n.importing {
		slots.Add(slot)
	}
	return slots
}

// heard returns steps that wait until all others know that n owns the slots, by the epoch
// of the last [fixer.bump], which was for n.
func (f *fixer) heard(n *fixNode, slots slotmap.Set) (steps []Step) {
	for _, m := range f.asked {
		if m != n {
			steps = append(steps, following(m.Node, n.Node, rangesOf(slots), f.least))
		}
	}
	return steps
}

// take returns steps that give n the highest epoch, if others believe in another owner,
// and then its slots. It uses SETSLOT, which takes a slot from any owner: n may just have
// heard from the node that has given the slot up.
func (f *fixer) take(n *fixNode, t *taking) (steps []Step) {
	if t.bump {
		steps = append(steps, f.bump(n))
	}
	for slot := range t.taken.Slots() {
		steps = append(steps, owned(n.Node, n.Node, slot))
	}
	// Slots that n believes to have an owner get commands of their own. If these are
	// repeated, n gives up and takes the same slots.
	free := t.covered.Intersect(n.view.Unassigned())
	if known := t.covered.Subtract(free); !known.IsEmpty() {
		steps = append(steps,
			unassigned(n.Node, rangesOf(known), f.o.SetSlots.AddSlots),
			assigned(n.Node, rangesOf(known), f.o.SetSlots.AddSlots))
	}
	if !free.IsEmpty() {
		steps = append(steps, assigned(n.Node, rangesOf(free), f.o.SetSlots.AddSlots))
	}
	if t.bump {
		steps = append(steps, f.heard(n, t.kept.Union(t.taken).Union(t.covered))...)
	}
	return steps
}

// disagreed handles slots that one node owns, while others believe in an owner whose epoch
// is at least as high, and so never hear of the true one. If the believed owner got a
// higher epoch, their word would take the slots from the true one. So the true one gets
// it first. The owner with the lowest epoch begins: nobody believes that its slots belong
// to an earlier one.
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
		f.spreading = append(f.spreading, f.bump(n))
		for _, m := range f.asked {
			if m != n { // m may not hear of slots that it still imports
				f.spreading = append(f.spreading, following(m.Node, n.Node, rangesOf(slots.Subtract(m.imports())), f.least))
			}
		}
		if slots = slots.Subtract(open); !slots.IsEmpty() {
			f.Slots = append(f.Slots, SlotRepair{Slots: slots, Case: caseSpreadOwner, Owner: n.ID})
		}
	}
}

// claimants returns the nodes that own the slot or have keys of it.
func (f *fixer) claimants(slot hashslot.Slot) []*fixNode {
	var all []*fixNode
	for _, n := range f.nodes {
		if n.holds.Contains(slot) || n.owns.Contains(slot) {
			all = append(all, n)
		}
	}
	return all
}

// claimedTwice returns the slots that have several claimants.
func (f *fixer) claimedTwice() (twice slotmap.Set) {
	var once slotmap.Set
	for _, n := range f.nodes {
		claimed := n.owns.Union(n.holds)
		twice = twice.Union(once.Intersect(claimed))
		once = once.Union(claimed)
	}
	return twice
}

// most decides like clusterManagerGetNodeWithMostKeysInSlot, and breaks ties by rules.
func (f *fixer) most(nodes []*fixNode, slot hashslot.Slot) *fixNode {
	return slices.MinFunc(nodes, func(a, b *fixNode) int {
		return cmp.Or(
			cmp.Compare(b.keys[slot], a.keys[slot]),
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
	for _, m := range f.asked {
		t.bump = t.bump || m.believes(slots, n.ID)
	}
	n.owns = n.owns.Union(slots)
}

// believes reports whether the node believes that some of the slots belong to another
// node than the one with the id.
func (n *fixNode) believes(slots slotmap.Set, not string) bool {
	for slot := range slots.Slots() {
		if id := ownerOf(n.view, slot); id != "" && id != not {
			return true
		}
	}
	return false
}

// giveUp makes n give up the slot, if it owns it, and keep its keys.
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

// closeAt makes n neither import nor migrate the slot, which the owner has after the
// repair. The step fails if another node that imported the slot has made it its own by then:
// what the views say no longer holds.
func (f *fixer) closeAt(n, owner *fixNode, slot hashslot.Slot) {
	_, importing := n.importing[slot]
	_, migrating := n.migrating[slot]
	switch {
	case importing && n != owner:
		f.closing = append(f.closing, untaken(n.Node, slot))
	case importing, migrating:
		f.closing = append(f.closing, stable(n.Node, slot))
	}
}

// tell makes the owner of the slot known to n, if it is not. n may have missed it while
// it imported the slot.
func (f *fixer) tell(n, owner *fixNode, slot hashslot.Slot) {
	if ownerOf(n.view, slot) != owner.ID {
		f.closing = append(f.closing, owned(n.Node, owner.Node, slot))
	}
}

// keysTo moves the keys of the slot from n, which does not own it, to the owner. n must
// import the slot meanwhile: otherwise it would redirect MIGRATE.
func (f *fixer) keysTo(n, owner *fixNode, slot hashslot.Slot) {
	f.receivers[owner] = true
	known := ownerOf(n.view, slot) == owner.ID
	if known && !owner.had.Contains(slot) {
		// If n knows it later, that must be because it has heard of it.
		f.giving = append(f.giving, unassigned(n.Node, one(slot), f.o.SetSlots.AddSlots))
		known = false
	}
	if !known {
		f.unheard = append(f.unheard, hearing(n.Node, owner.Node, one(slot)))
	}
	f.gathering = append(f.gathering, importing(n.Node, owner.Node, slot))
	for database := range max(f.o.SetSlots.Databases, 1) {
		f.gathering = append(f.gathering, keysOf(n.Node, owner.Node, slot, &f.o.SetSlots, database))
	}
	f.gathering = append(f.gathering, stable(n.Node, slot))
}

// move moves the slot to another node with its keys.
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
// slot can become a replica and then gets no slots. So it gets its slots before, unless
// two nodes wait for each other.
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
		steps = append(steps, f.bump(to)) // SETSLOT NODE does that too, but not if another has the same epoch
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

// open repairs an open slot like clusterManagerFixOpenSlot.
func (f *fixer) open(slot hashslot.Slot) {
	claimants := f.claimants(slot)
	var owner *fixNode
	if len(claimants) == 1 {
		owner = claimants[0]
	}
	source, importers := f.ends(owner, slot)
	taken := false
	if owner == nil || !owner.owns.Contains(slot) {
		// No node owns the slot, or several claim it. Only an owner migrates, so several
		// sources are several owners, and all but one of them import the slot then.
		if owner == nil {
			owner = f.most(f.nodes, slot)
		}
		source = nil
		importers, taken = f.choose(owner, claimants, importers, slot)
	}
	target := f.targetOf(source, importers, slot)
	for _, n := range f.nodes {
		if n != owner && n != target {
			f.closeAt(n, owner, slot)
		}
	}
	if !taken {
		for _, n := range importers {
			f.tell(n, owner, slot)
		}
	}
	switch {
	case source == nil && len(importers) > 0:
		for _, n := range importers {
			f.keysTo(n, owner, slot)
		}
		f.done(slot, caseGatherKeys, owner)
	case target != nil:
		f.move(source, target, slot)
		what := caseFinishMove
		if len(importers) > 1 {
			what = caseMoveAndClose
		}
		f.done(slot, what, target)
	case len(importers) > 0:
		f.closeAt(owner, owner, slot)
		f.done(slot, caseCloseAll, owner)
	default:
		f.closeAt(owner, owner, slot)
		f.done(slot, caseCloseSlot, owner)
	}
}

// ends returns the node that migrates the slot, and those that import it: they say so, or
// have keys of it and are not the owner. owner may be nil.
func (f *fixer) ends(owner *fixNode, slot hashslot.Slot) (source *fixNode, importers []*fixNode) {
	for _, n := range f.nodes {
		if _, ok := n.migrating[slot]; ok {
			source = n
		} else if _, ok := n.importing[slot]; ok || n != owner && n.holds.Contains(slot) {
			importers = append(importers, n)
		}
	}
	if source != nil && source != owner && owner != nil { // it says that it migrates a slot of another
		return nil, append(importers, source)
	}
	return source, importers
}

// choose makes owner the only claimant of the slot. It returns the nodes that import the
// slot then, the other claimants among them, and whether owner has to take it.
func (f *fixer) choose(owner *fixNode, claimants, importers []*fixNode, slot hashslot.Slot) (left []*fixNode, taken bool) {
	left = slices.DeleteFunc(importers, func(n *fixNode) bool { return n == owner })
	contested := false
	for _, n := range claimants {
		if n == owner {
			continue
		}
		contested = contested || n.owns.Contains(slot)
		f.giveUp(n, slot)
		if !slices.Contains(left, n) {
			left = append(left, n)
		}
	}
	f.closeAt(owner, owner, slot)
	taken = contested || !owner.owns.Contains(slot)
	if taken {
		f.claim(owner, slotmap.SetOf(one(slot)...), contested)
	}
	return left, taken
}

// targetOf returns the target of a move that is to be finished: the only node that
// imports the slot or, of several, the one that the source names.
func (f *fixer) targetOf(source *fixNode, importers []*fixNode, slot hashslot.Slot) *fixNode {
	if source == nil {
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

// cover gives unassigned slots owners like clusterManagerFixSlotsCoverage.
func (f *fixer) cover(slots slotmap.Set) {
	empty := slots
	for _, n := range f.nodes {
		empty = empty.Subtract(n.holds)
	}
	held := slots.Subtract(empty)
	single := map[*fixNode]slotmap.Set{}
	for slot := range held.Slots() {
		holders := f.claimants(slot)
		if len(holders) == 1 {
			single[holders[0]] = single[holders[0]].Union(slotmap.SetOf(one(slot)...))
			f.done(slot, caseCoverHolder, holders[0])
			continue
		}
		owner := f.most(holders, slot)
		f.claim(owner, slotmap.SetOf(one(slot)...), false)
		for _, n := range holders {
			if n != owner {
				f.keysTo(n, owner, slot)
			}
		}
		f.done(slot, caseCoverMost, owner)
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
		left := want - have[i]
		for slot := range empty.Slots() {
			if left == 0 {
				break
			}
			left--
			set.Add(slot)
			f.done(slot, caseCoverEmpty, f.nodes[i])
		}
		if !set.IsEmpty() {
			empty = empty.Subtract(set)
			f.claim(f.nodes[i], set, false)
		}
	}
}

// settle repairs a slot that has several claimants like
// clusterManagerFixMultipleSlotOwners.
func (f *fixer) settle(slot hashslot.Slot) {
	claimants := f.claimants(slot)
	owner := f.most(claimants, slot)
	contested := false
	for _, n := range claimants {
		if n != owner {
			contested = contested || n.owns.Contains(slot)
			f.giveUp(n, slot)
		}
	}
	if contested { // otherwise the owner owns it: all slots are covered
		f.claim(owner, slotmap.SetOf(one(slot)...), true)
	}
	for _, n := range claimants {
		if n != owner && n.holds.Contains(slot) {
			f.keysTo(n, owner, slot)
		}
	}
	f.done(slot, caseSettleOwner, owner)
}

// Summary returns the repair as text for people.
func (r *Repair) Summary() string {
	var b strings.Builder
	if len(r.Slots) == 0 {
		b.WriteString("nothing to repair\n")
	}
	for _, s := range r.Slots {
		fmt.Fprintf(&b, "%s: slots %s, then owned by %s\n", s.Case, s.Slots, printable(s.Owner))
	}
	writeWarnings(&b, r.Warnings)
	return b.String()
}
