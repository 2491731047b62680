package topology

import (
	"cmp"
	"slices"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// viewed is the event of [Router.Apply] and, with force, of [Router.Replace].
type viewed struct {
	view  *Cluster
	seen  Generation
	force bool
}

func (e viewed) step(s *state) (*state, Result) {
	if e.view == nil {
		return s, Result{}
	}
	a := &applying{s: s, viewed: e, myself: e.view.source()}
	if m, ok := s.members.same(a.myself); ok {
		a.myself = m.node
	}
	outcome := OutcomeApplied
	if s.viewed && !a.force && !a.related() {
		if !a.covers() {
			return s, Result{Outcome: OutcomeStale, Refresh: s.pending}
		}
		outcome, a.force = OutcomeRecreated, true
	}
	if !a.force && isEmpty(e.view.Table()) && !isEmpty(&s.table) {
		return s, Result{Outcome: OutcomeStale, Refresh: s.pending}
	}
	a.first = &ground{gen: s.gen + 1}
	a.decide()
	next := *s
	next.grounds = a.grounds.Build()
	if a.force {
		next.pushes = nil
	}
	switch {
	case a.refused && !a.taken:
		return &next, Result{Outcome: OutcomeStale, Refresh: s.pending}
	case a.refused:
		outcome = OutcomePartly
	default:
		next.pending = false
	}
	a.compose()
	next.viewed = true
	next.suspects = a.suspects
	if len(e.view.nodes) > 0 && e.view.nodes[0].told == endpointIP {
		next.pongs = e.view
	}
	result := Result{Outcome: outcome, Refresh: next.pending}
	result.Change = s.become(&next, a.table(), a.shards, a.moved)
	if result.Change == nil {
		result.Outcome = OutcomeUnchanged
	}
	return &next, result
}

// applying is a view that is being applied.
type applying struct {
	s *state
	viewed
	myself *Node // the source of the view; a Node without a key if it is not known
	pong   int64 // the latest pong in the view

	byAddr    map[string]*Node   // the nodes of the view; made on first use
	byShardID map[string][]*Node // the primaries of the view that are not down; made on first use

	// What decide decides.
	runs    []run
	grounds slotmap.Builder[*ground]
	first   *ground // the ground of slots that get their first owner
	moved   slotmap.Set
	refused bool // some slots keep their owner, because the map knows better
	taken   bool // some slots change their owner
	unsaid  bool // the view says nothing of some slots that have an owner

	// What the map will have.
	suspects map[string]*suspicion
	shards   []*Shard
	parts    []*part
	byShard  map[*Shard]*part // by the shard of the map or of the view
	in       map[string]*part // where a node was put, by its key
}

// A run is a range of slots that have one owner in the new map.
type run struct {
	slots slotmap.Range
	owner *Shard // a shard of the map if it stays against the view, else of the view
}

// related reports whether the view has a node of the map.
func (a *applying) related() bool {
	return slices.ContainsFunc(a.view.nodes, func(n *Node) bool {
		_, ok := a.s.members.same(n)
		return ok
	})
}

// covers reports whether the view has an owner for every slot that has one in the
// map.
func (a *applying) covers() bool {
	for c := range a.s.table.Diff(a.view.Table()) {
		if !c.Assigns {
			return false
		}
	}
	return true
}

// isNode reports whether n, a node of the view, is m, a node of the map, by the rule of
// [Node.same]. An address that the map knows to be older does not count.
func (a *applying) isNode(n, m *Node) bool {
	return n.key == m.key || n.same(m) && a.addrOf(n) == m.addr
}

// addrOf returns the address that the new map has for n, a node of the view.
func (a *applying) addrOf(n *Node) string {
	m, _ := a.s.members.same(n)
	return a.located(n, m.node).addr
}

// isSource reports whether n is the source of the view.
func (a *applying) isSource(n *Node) bool { return a.myself.same(n) }

// line returns the view's node that is the same as n, a node of the map, or nil.
func (a *applying) line(n *Node) *Node {
	if i, ok := a.view.byKey[n.key]; ok {
		return a.view.nodes[i]
	}
	if n.addr == "" {
		return nil
	}
	if a.byAddr == nil {
		a.byAddr = make(map[string]*Node, len(a.view.nodes))
		for _, m := range a.view.nodes {
			// If several have the address, the one without an id goes first: it may
			// be any node with that address.
			if o := a.byAddr[m.addr]; o == nil || m.ID == "" {
				a.byAddr[m.addr] = m
			}
		}
	}
	if m := a.byAddr[n.addr]; m != nil && a.isNode(m, n) {
		return m
	}
	return nil
}

// member returns the member of the map with the key, or the zero member.
func (a *applying) member(key string) member {
	m, _ := a.s.members.byKey.get(key)
	return m
}

// isDown reports whether the map or the view says that n, of the map, is down.
func (a *applying) isDown(n *Node) bool {
	line := a.line(n)
	return n.down() || line != nil && line.down()
}

// decide chooses the owner of each slot: the map's or the view's.
func (a *applying) decide() {
	table := a.view.Table()
	for r := range a.s.runs(table) {
		old, g := a.s.owner(r.First)
		next, _ := table.Lookup(r.First)
		verdict, g := a.judge(old, g, next)
		owner := old
		switch verdict {
		case agreed:
			owner = next
			// The client cannot reach the owner where the map has it.
			a.taken = a.taken || a.s.suspects[old.Primary.key] != nil && next.Primary.routable() && a.addrOf(next.Primary) != old.Primary.addr
		case taken:
			owner = next
			a.taken = true
			a.moved.AddRange(r)
			switch {
			case owner == nil:
			case old == nil:
				g = a.first
			default:
				g = g.next(a.s.gen+1, old, owner.Primary)
				g.rival = a.rival(owner)
			}
		case refused:
			a.refused = true
		case unsaid:
			a.unsaid = a.unsaid || owner != nil
		}
		if owner != nil {
			a.runs = append(a.runs, run{r, owner})
			a.grounds.Assign(r, g)
		}
	}
}

// A part is a shard of the new map in the making.
type part struct {
	base     *Shard // the shard that it is made from, of the map or of the view
	stays    bool   // base is the map's
	owns     bool   // it owns slots
	primary  *Node
	replicas []*Node
	shard    *Shard // the result
	kept     bool   // by keep: the result is the map's shard, unchanged
}

// compose makes the shards of the new map: those of the view, and those of the map
// that stay. It puts each node into exactly one of them.
func (a *applying) compose() {
	a.judgeSuspects()
	a.byShard = make(map[*Shard]*part, len(a.view.shards))
	a.keep()
	a.makeParts()

	a.in = make(map[string]*part)
	for _, p := range a.parts {
		if p.owns { // so its primary is no replica
			a.in[p.primary.key] = p
		}
	}
	a.keepReplicas()
	a.takeReplicas()
	for _, p := range a.parts {
		if a.home(p) == p {
			a.shards = append(a.shards, a.finish(p))
		}
	}
}

// makeParts makes the parts that keep has not made. The owners of slots come first.
func (a *applying) makeParts() {
	ofView := make(map[*Node]*Shard) // by primary
	if a.refused || a.unsaid {
		for _, v := range a.view.shards {
			ofView[v.Primary] = v
		}
	}
	for i := range a.runs {
		r := &a.runs[i]
		if a.byShard[r.owner] == nil {
			// An owner that stays is described by the view if it is a primary there.
			if v := ofView[a.line(r.owner.Primary)]; v != nil {
				a.byShard[r.owner] = a.part(v)
			}
		}
		a.part(r.owner).owns = true
	}
	for _, v := range a.view.shards {
		a.part(v)
	}
}

// keepReplicas applies rule 10: a shard that stays keeps its replicas. The number of
// nodes that the view lacks is bounded: otherwise wrong views could make the map grow
// without end.
func (a *applying) keepReplicas() {
	absent := 0
	for _, p := range a.parts {
		if a.line(p.primary) == nil {
			absent++
		}
	}
	for _, p := range a.parts {
		if !p.stays {
			continue
		}
		for _, n := range p.base.Replicas {
			if a.line(n) == nil {
				if absent++; absent > hashslot.Count {
					continue
				}
			}
			a.place(n, p)
		}
	}
}

// takeReplicas places the replicas of the view's shards.
func (a *applying) takeReplicas() {
	for _, v := range a.view.shards {
		p := a.byShard[v]
		if p.kept {
			continue
		}
		for _, n := range v.Replicas {
			a.place(n, a.home(p))
		}
	}
}

// place makes n a replica of the part, unless it has a place already.
func (a *applying) place(n *Node, p *part) {
	if a.in[n.key] == nil {
		a.in[n.key] = p
		p.replicas = append(p.replicas, n)
	}
}

// home returns the part that the replicas of p go to. A primary of the view that owns
// no slots may be a replica in a shard that stays. Then its replicas go to that shard
// too.
func (a *applying) home(p *part) *part { return cmp.Or(a.in[p.primary.key], p) }

// keep makes the parts of the shards that are the same in the view and in the map,
// with the same nodes, so no other part can have a node of theirs. In most views
// these are nearly all shards, and keep saves the work of composing them.
func (a *applying) keep() {
	for _, r := range a.runs {
		if r.owner.Primary.ID == "" {
			return // part may put a node of the view in its place
		}
	}
	parts := make([]part, len(a.view.shards))
	for i, v := range a.view.shards {
		if m := a.member(v.Primary.key); m.shard != nil && a.same(v, m.shard) {
			p := &parts[i]
			p.shard, p.kept = m.shard, true
			a.byShard[v], a.byShard[m.shard] = p, p
			a.shards = append(a.shards, m.shard)
		}
	}
}

// same reports whether v, a shard of the view, leaves the map's shard as it is.
func (a *applying) same(v, shard *Shard) bool {
	if len(v.Replicas) != len(shard.Replicas) || a.describe(v.Primary.as(RolePrimary, ""), false) != shard.Primary {
		return false
	}
	for i, n := range v.Replicas {
		if a.describe(n.as(RoleReplica, v.Primary.ID), false) != shard.Replicas[i] {
			return false
		}
	}
	return true
}

// part returns the part made from base, and creates it if there is none. If base is
// the view's description of a shard by an older epoch, it is the part made from the
// map's shard (rule 9).
func (a *applying) part(base *Shard) *part {
	if p := a.byShard[base]; p != nil {
		return p
	}
	m, known := a.s.members.same(base.Primary)
	stays := m.shard == base
	if known && m.node == m.shard.Primary && !a.force && older(base.Primary, m.node) {
		p := a.part(m.shard)
		a.byShard[base] = p
		return p
	}
	p := &part{base: base, stays: stays, primary: base.Primary}
	if line := a.line(base.Primary); stays && base.Primary.ID == "" && line != nil {
		// The map knew only the address of the node. The view has it as a replica, or
		// with an older epoch.
		p.primary = line.promoted()
	}
	a.byShard[base] = p
	a.parts = append(a.parts, p)
	return p
}

// finish makes the shard of the part. Nodes and shards that do not change keep
// their pointers.
func (a *applying) finish(p *part) *Shard {
	t := &Shard{ID: p.base.ID, Primary: a.describe(p.primary.as(RolePrimary, ""), p.stays)}
	for _, n := range p.replicas {
		t.Replicas = append(t.Replicas, a.describe(n.as(RoleReplica, t.Primary.ID), a.line(n) != n))
	}
	p.shard = t
	if m := a.member(t.Primary.key); m.node == t.Primary && sameNodes(m.shard.Replicas, t.Replicas) {
		p.shard = m.shard
	}
	return p.shard
}

// sameNodes reports whether a and b are the same nodes, in any order.
func sameNodes(a, b []*Node) bool {
	if len(a) != len(b) {
		return false
	}
	if slices.Equal(a, b) {
		return true
	}
	in := make(map[*Node]bool, len(a))
	for _, n := range a {
		in[n] = true
	}
	return !slices.ContainsFunc(b, func(n *Node) bool { return !in[n] })
}

// describe returns the node that the new map has for n, which is a node of the map
// if stays, else of the view.
func (a *applying) describe(n *Node, stays bool) *Node {
	m, known := a.s.members.same(n)
	d := n
	if known && !a.force {
		if d.Role == RolePrimary && m.node.Role == RolePrimary && m.node.versioned && !d.versioned {
			// A view without epochs does not erase the one that the map knows, nor does
			// the node that part puts in the place of one without an id.
			o := *d
			o.ConfigEpoch, o.versioned = m.node.ConfigEpoch, true
			d = &o
		}
		d = a.located(d, m.node)
	}
	switch {
	case a.suspects[n.key] != nil:
		d = d.flagged(true)
	case stays && a.s.suspects[n.key] != nil:
		d = d.flagged(false)
	}
	if known && !d.replaces(m.node) {
		return m.node
	}
	return d.detached()
}

// located applies rule 11: it returns n, a node of the view, with the address of m,
// the same node in the map or nil, if that address is known to be newer. Else it
// returns n.
func (a *applying) located(n, m *Node) *Node {
	lost := n.down() || n.LinkState == "disconnected"
	if m == nil || !m.routable() || !lost || a.isSource(n) {
		return n
	}
	pong := m.PongReceived
	if a.s.pongs != nil {
		if i, ok := a.s.pongs.byKey[m.key]; ok {
			pong = max(pong, a.s.pongs.nodes[i].PongReceived)
		}
	}
	if n.PongReceived >= pong {
		return n
	}
	o := *n
	o.PongReceived = pong
	o.relocate(m)
	return &o
}

// judgeSuspects applies rules 12 and 13: it finds the suspicions of the new map.
func (a *applying) judgeSuspects() {
	if len(a.s.suspects) == 0 || a.force {
		return
	}
	shardOf := make(map[*Node]*Node, len(a.view.nodes)) // for a node of the view, the primary of its shard
	for _, v := range a.view.shards {
		shardOf[v.Primary] = v.Primary
		for _, n := range v.Replicas {
			shardOf[n] = v.Primary
		}
	}
	for _, n := range a.view.nodes {
		a.pong = max(a.pong, n.PongReceived)
	}
	a.suspects = make(map[string]*suspicion, len(a.s.suspects))
	for key, u := range a.s.suspects {
		n := a.line(a.member(key).node)
		if shardOf[n] != nil {
			key, u = n.key, u.after(a, n, shardOf[n])
		}
		if u != nil {
			a.suspects[key] = u
		}
	}
}

// table returns the owners of the new map.
func (a *applying) table() *slotmap.Table[*Shard] {
	var b slotmap.Builder[*Shard]
	for _, r := range a.runs {
		b.Assign(r.slots, a.byShard[r.owner].shard)
	}
	return b.Build()
}

func isEmpty(t *slotmap.Table[*Shard]) bool {
	for range t.Owners() {
		return false
	}
	return true
}
