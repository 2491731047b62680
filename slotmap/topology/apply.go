package topology

import (
	"cmp"
	"slices"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// An ApplyOption is what a caller of [Router.Apply] knows about the view.
type ApplyOption func(*applying)

// AskedAt says that the map had the generation seen when the view was asked
// for. Of slots whose owner changed later, the view may know less than the map,
// and they keep their owner unless the view has a higher config epoch. Without
// AskedAt a view is taken to be asked for now.
func AskedAt(seen Generation) ApplyOption { return func(a *applying) { a.asked = seen } }

// Force says that the view replaces the map whatever is older: for a cluster
// that was made anew with some of the nodes of before.
func Force() ApplyOption { return func(a *applying) { a.force = true } }

// Apply gives the Router a newer view. The view is taken slot by slot, and a slot
// keeps its owner where the view knows less than the map does:
//
//   - If the view has config epochs (CLUSTER NODES, or [Merge] of them), a claim
//     with a lower epoch than that of the owner is stale, unless the view shows
//     the owner itself with its epoch and without the slot. If the view does not
//     know the owner, it must at least know of an epoch as high. The claim of a
//     node whose shard has a higher epoch in the map, and not the slot, is stale
//     too.
//   - Where a redirect has corrected the map, the claim that it contradicted is
//     stale, unless the view is of the very node that claims the slot, or of the
//     one that was redirected to, or the third one in a row that says so.
//   - Where the map changed after [AskedAt], a claim is stale if its epoch is not
//     higher, or if it has none.
//   - A view in which nobody owns a slot is stale as a whole.
//
// If all that the view would change is stale, nothing of it is taken.
//
// A view that has no node in common with the one before is of a re-created
// cluster, whose epochs start anew. It replaces the map if it has an owner for
// every slot that the map has one for, else it is stale. [Force] overrides all
// of this.
//
// Apply takes time linear in the number of nodes and ranges, and allocates in
// proportion to what changes. It keeps c.
func (r *Router) Apply(c *Cluster, options ...ApplyOption) Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := applying{r: r, view: c, asked: Generation(r.gen.Load()), before: r.table.Load(), myself: c.Myself(), top: c.CurrentEpoch()}
	for _, o := range options {
		o(&a)
	}
	outcome := Applied
	if r.view != nil && !a.force && !a.related() {
		if !a.covers() {
			return Result{Outcome: Stale, Refresh: r.pending}
		}
		outcome, a.force = Recreated, true
	}
	if !a.force && c.table.Len() == 0 && a.before.Len() > 0 {
		return Result{Outcome: Stale, Refresh: r.pending}
	}
	a.choose()
	w := r.write()
	w.reshape = true
	a.decide(w)
	switch {
	case a.kept && !a.taken:
		a.count()
		return Result{Outcome: Stale, Refresh: r.pending}
	case a.kept:
		outcome = Partly
		a.tidy(w)
	default:
		r.pending = false
	}
	a.count()
	for _, slot := range a.confirmed {
		delete(r.told, slot)
	}
	r.view = c
	w.idle = w.idle[:0]
	for _, s := range c.shards {
		w.idle = append(w.idle, a.shards[s.Primary.key])
	}
	result := Result{Outcome: outcome, Refresh: r.pending}
	if result.Change = w.done(); result.Change == nil && outcome == Applied {
		result.Outcome = Unchanged
	}
	return result
}

// applying is a view that is being applied.
type applying struct {
	r      *Router
	view   *Cluster
	asked  Generation
	force  bool
	before *slotmap.Table[*Shard]
	myself *Node
	top    uint64 // the highest epoch that the view knows

	shards    map[string]*Shard // of the view, by the key of the primary; or what the map has of them, if that is as good
	kept      bool              // some slots keep their owner, because the view is stale for them
	taken     bool              // some slots get another owner
	refused   map[*told]bool
	confirmed []hashslot.Slot // of those that redirects gave an owner
}

// related reports whether the view has a node of the map.
func (a *applying) related() bool {
	for _, n := range a.view.nodes {
		if _, ok := a.r.nodes().byKey[n.key]; ok {
			return true
		}
		if m, ok := a.r.nodes().byAddr[n.addr]; ok && m.node.same(n) {
			return true
		}
	}
	return false
}

// covers reports whether the view has an owner for every slot that the map has
// one for.
func (a *applying) covers() bool {
	for c := range a.before.Diff(a.view.table) {
		if c.Assigned && !c.Assigns {
			return false
		}
	}
	return true
}

// choose decides what the map will have of each shard of the view.
func (a *applying) choose() {
	a.shards = make(map[string]*Shard, len(a.view.shards))
	for _, s := range a.view.shards {
		key := s.Primary.key
		a.shards[key] = s
		m, ok := a.r.nodes().byKey[key]
		if !ok || m.shard.Primary != m.node {
			continue
		}
		if !a.force && !s.Primary.versioned && m.node.versioned {
			// A view without epochs does not make the map forget them.
			p, t := *s.Primary, *s
			p.ConfigEpoch, p.versioned = m.node.ConfigEpoch, true
			t.Primary = &p
			s = &t
			a.shards[key] = s
		}
		if !a.force && older(s.Primary, m.node) || s.routesAs(m.shard) {
			a.shards[key] = m.shard
		}
	}
}

// older reports whether n has a lower epoch than m.
func older(n, m *Node) bool {
	return n.versioned && m.versioned && n.ConfigEpoch < m.ConfigEpoch
}

// routesAs reports whether s and t mean the same to a Router.
func (s *Shard) routesAs(t *Shard) bool {
	if s == t {
		return true
	}
	if s.ID != t.ID || !s.Primary.routesAs(t.Primary) || len(s.Replicas) != len(t.Replicas) ||
		s.Primary.versioned != t.Primary.versioned || s.Primary.ConfigEpoch != t.Primary.ConfigEpoch {
		return false
	}
	if slices.EqualFunc(s.Replicas, t.Replicas, (*Node).routesAs) {
		return true
	}
	// Each view has the replicas in an order of its own.
	byKey := func(a, b *Node) int { return cmp.Compare(a.key, b.key) }
	return slices.EqualFunc(slices.SortedFunc(slices.Values(s.Replicas), byKey), slices.SortedFunc(slices.Values(t.Replicas), byKey), (*Node).routesAs)
}

// decide gives the slots to their new owners.
func (a *applying) decide(w *write) {
	for c := range a.before.Diff(a.view.table) {
		if len(a.r.told) == 0 && a.asked >= Generation(a.r.gen.Load()) {
			a.decideRange(w, c.Range, c.From, c.To)
			continue
		}
		for slot := int(c.Range.First); slot <= int(c.Range.Last); slot++ {
			s := hashslot.Slot(slot)
			a.decideRange(w, slotmap.Range{First: s, Last: s}, c.From, c.To)
		}
	}
}

// decideRange gives the slots of rg, of which old is the owner and next the
// owner in the view, to one of them. Either may be nil.
func (a *applying) decideRange(w *write, rg slotmap.Range, old, next *Shard) {
	same := old != nil && next != nil && old.Primary.same(next.Primary)
	owner := old
	switch {
	case same:
		owner = a.shards[next.Primary.key]
		a.kept = a.kept || !a.force && older(next.Primary, old.Primary)
	case old == nil || a.force || !a.stale(old, next, rg.First):
		owner = nil
		if next != nil {
			owner = a.shards[next.Primary.key]
		}
		a.taken = true
		w.moved.AddRange(rg)
	default:
		a.kept = true
		if n := a.find(old.Primary); n != nil && n.Role == RolePrimary {
			owner = a.shards[n.key]
		}
		if owner != old {
			w.builder.Assign(rg, owner)
		}
		return
	}
	if _, ok := a.r.told[rg.First]; ok {
		a.confirmed = append(a.confirmed, rg.First)
	}
	switch {
	case owner == nil:
		w.builder.Unassign(rg)
	case owner != old:
		w.builder.Assign(rg, owner)
	}
}

// stale reports whether the view knows less of the slot than the map does, which
// has another owner for it: old. next may be nil.
func (a *applying) stale(old, next *Shard, slot hashslot.Slot) bool {
	owner := old.Primary
	epoch, known := owner.ConfigEpoch, owner.versioned
	t := a.r.told[slot]
	if t != nil {
		epoch, known = t.epoch, t.known
	}
	claims := next != nil && next.Primary.versioned // and the claim has an epoch
	if claims {
		if m, ok := a.r.nodes().byKey[next.Primary.key]; ok && older(next.Primary, m.shard.Primary) {
			return true // the claimant has given the slot up since, or is a replica now
		}
	}
	if known && claims && next.Primary.ConfigEpoch > epoch {
		return false
	}
	if a.r.changed[slot] > a.asked {
		return true
	}
	if !known || !claims && !a.hasEpochs() {
		return false
	}
	if t != nil {
		own := a.myself != nil && (a.myself.same(owner) || next != nil && a.myself.same(next.Primary))
		if own || t.refused >= believe-1 {
			return false
		}
		if a.refused == nil {
			a.refused = make(map[*told]bool)
		}
		a.refused[t] = true
		return true
	}
	if claims && next.Primary.ConfigEpoch == epoch {
		return false
	}
	switch n := a.find(owner); {
	case n == nil:
		return a.top < epoch
	case n.Role == RolePrimary:
		return n.ConfigEpoch < epoch // else it has given the slot up
	}
	return true
}

func (a *applying) hasEpochs() bool {
	return len(a.view.nodes) > 0 && a.view.nodes[0].versioned
}

// find returns what the view has of the node n of the map, or nil.
func (a *applying) find(n *Node) *Node {
	if i, ok := a.view.byKey[n.key]; ok {
		return a.view.nodes[i]
	}
	if n.ID == "" {
		for _, m := range a.view.nodes {
			if m.same(n) {
				return m
			}
		}
	}
	return nil
}

// count counts the view against the redirects that it contradicts.
func (a *applying) count() {
	for t := range a.refused {
		t.refused++
	}
}

// tidy takes nodes that own slots out of the replicas: the view may show them as
// such, and be stale in that.
func (a *applying) tidy(w *write) {
	primary := make(map[string]bool)
	table := w.builder.Build()
	for s := range table.Owners() {
		primary[s.Primary.key] = true
	}
	for key, s := range a.shards {
		owns := func(n *Node) bool { return primary[n.key] }
		if !slices.ContainsFunc(s.Replicas, owns) {
			continue
		}
		t := *s
		t.Replicas = slices.DeleteFunc(slices.Clone(s.Replicas), owns)
		a.shards[key] = &t
		slots := table.SlotsOf(s)
		for r := range slots.Ranges() {
			w.builder.Assign(r, &t)
		}
	}
}
