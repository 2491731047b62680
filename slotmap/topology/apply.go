package topology

import (
	"slices"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// viewed is [Router.Apply].
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
	if m, ok := s.members.same(a.myself); ok && a.myself.ID == "" {
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
	if result.Change == nil && outcome == OutcomeApplied {
		result.Outcome = OutcomeUnchanged
	}
	return &next, result
}

// applying is a view that is being applied.
type applying struct {
	s *state
	viewed
	myself *Node // the node that the view is of, or one without a name
	pong   int64 // the latest of the view

	byAddr    map[string]*Node   // the nodes of the view, once asked for
	byShardID map[string][]*Node // the primaries of the view that are well, once asked for

	// Of each run of slots, what was decided.
	runs    []run
	grounds slotmap.Builder[*ground]
	first   *ground // of slots that get their first owner
	moved   slotmap.Set
	refused bool // some slots keep their owner, because the map knows better
	taken   bool // some slots get another owner
	unsaid  bool // of some slots, the view says nothing

	// What the map will have.
	suspects map[string]*suspicion
	shards   []*Shard
	parts    []*part
	byShard  map[*Shard]*part // by the shard of the map or of the view
}

// A run is slots that have one owner.
type run struct {
	slots slotmap.Range
	owner *Shard // of the map, if it stays against the view, or of the view
	stays bool
}

// related reports whether the view has a node of the map.
func (a *applying) related() bool {
	return slices.ContainsFunc(a.view.nodes, func(n *Node) bool {
		_, ok := a.s.members.same(n)
		return ok
	})
}

// covers reports whether the view has an owner for every slot that the map has
// one for.
func (a *applying) covers() bool {
	for c := range a.s.table.Diff(a.view.Table()) {
		if c.Assigned && !c.Assigns {
			return false
		}
	}
	return true
}

// isSource reports whether the view is of the node n.
func (a *applying) isSource(n *Node) bool { return a.myself.key != "" && a.myself.same(n) }

// line returns what the view has of the node n of the map, or nil.
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
			// Where several have the address, one without an id is any of them.
			if o := a.byAddr[m.addr]; o == nil || m.ID == "" {
				a.byAddr[m.addr] = m
			}
		}
	}
	if m := a.byAddr[n.addr]; m != nil && m.same(n) {
		return m
	}
	return nil
}

// member returns what the map has of the node with the key.
func (a *applying) member(key string) member {
	m, _ := a.s.members.byKey.get(key)
	return m
}

// isDown reports whether the map or the view says that n, of the map, is down.
func (a *applying) isDown(n *Node) bool {
	line := a.line(n)
	return n.down() || line != nil && line.down()
}

// decide gives each slot an owner, of the map or of the view.
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
			a.runs = append(a.runs, run{r, owner, verdict == refused || verdict == unsaid})
			a.grounds.Assign(r, g)
		}
	}
}

// A part is a shard that the map will have.
type part struct {
	base     *Shard // what it is made of: a shard of the map or of the view
	stays    bool   // base is the map's
	owns     bool   // slots
	primary  *Node
	replicas []*Node
	shard    *Shard // the result
	kept     bool   // the result is a shard of the map, as it is
}

// compose makes the shards of the map: those of the view, and those of the map
// that stay. Each node gets into one of them.
func (a *applying) compose() {
	ofView := make(map[*Node]*Shard) // by primary
	if a.refused || a.unsaid {
		for _, v := range a.view.shards {
			ofView[v.Primary] = v
		}
	}
	a.judgeSuspects()
	a.byShard = make(map[*Shard]*part, len(a.view.shards))
	a.keep()

	// First those of the owners of slots.
	for i := range a.runs {
		r := &a.runs[i]
		if r.stays && a.byShard[r.owner] == nil {
			if v := ofView[a.line(r.owner.Primary)]; v != nil {
				a.byShard[r.owner] = a.part(v)
			}
		}
		a.part(r.owner).owns = true
	}
	for _, v := range a.view.shards {
		a.part(v)
	}

	// Owners of slots are primaries. A shard that stays keeps its replicas: rule 10.
	// Of nodes that the view does not have, there is a limit.
	in := make(map[string]*part)
	for _, p := range a.parts {
		if p.owns {
			in[p.primary.key] = p
		}
	}
	place := func(n *Node, p *part) {
		if in[n.key] == nil {
			in[n.key] = p
			p.replicas = append(p.replicas, n)
		}
	}
	absent := 0
	for _, p := range a.parts {
		if p.stays && a.line(p.primary) == nil {
			absent++
		}
	}
	for _, p := range a.parts {
		if !p.stays {
			continue
		}
		if !p.owns {
			in[p.primary.key] = p
		}
		for _, n := range p.base.Replicas {
			if a.line(n) == nil {
				if absent++; absent > hashslot.Count {
					continue
				}
			}
			place(n, p)
		}
	}
	// A primary of the view without slots may be a replica in a shard that stays,
	// and its replicas go with it.
	home := func(p *part) *part {
		if o := in[p.primary.key]; o != nil && o != p {
			return o
		}
		in[p.primary.key] = p
		return p
	}
	for _, p := range a.parts {
		if !p.stays {
			home(p)
		}
	}
	for _, v := range a.view.shards {
		p := a.byShard[v]
		if p.kept {
			continue
		}
		p = home(p)
		for _, n := range v.Replicas {
			place(n, p)
		}
	}
	for _, p := range a.parts {
		if home(p) == p {
			a.shards = append(a.shards, a.finish(p))
		}
	}
}

// keep makes the parts of shards that are in the view as they are in the map, with
// the same nodes. No other part can have a node of theirs. In most views these are
// all, or nearly all.
func (a *applying) keep() {
	if a.force {
		return
	}
	for _, n := range a.view.nodes {
		if n.ID == "" {
			return // nodes are known by their addresses, which say less
		}
	}
	for _, r := range a.runs {
		if r.stays && r.owner.Primary.ID == "" {
			return // a node of the view may take its place
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

// same reports whether the map's shard is what comes of v.
func (a *applying) same(v, shard *Shard) bool {
	if v.ID != shard.ID || len(v.Replicas) != len(shard.Replicas) || a.describe(v.Primary.as(RolePrimary, ""), false) != shard.Primary {
		return false
	}
	for i, n := range v.Replicas {
		if a.describe(n.as(RoleReplica, v.Primary.ID), false) != shard.Replicas[i] {
			return false
		}
	}
	return true
}

// part returns the part of which base is the base, and makes it if there is
// none. What the view says of a shard by an older epoch is not taken: rule 9.
func (a *applying) part(base *Shard) *part {
	if p := a.byShard[base]; p != nil {
		return p
	}
	m, known := a.s.members.same(base.Primary)
	stays := known && m.shard == base
	if !stays && known && m.node == m.shard.Primary && !a.force && older(base.Primary, m.node) {
		p := a.part(m.shard)
		a.byShard[base] = p
		return p
	}
	p := &part{base: base, stays: stays, primary: base.Primary}
	if line := a.line(base.Primary); stays && base.Primary.ID == "" && line != nil {
		// A redirect told of a node that the view has as a replica.
		p.primary = line.promoted()
	}
	a.byShard[base] = p
	a.parts = append(a.parts, p)
	return p
}

// finish makes the shard of the part. Nodes and shards for which nothing changes
// stay the ones they are.
func (a *applying) finish(p *part) *Shard {
	t := &Shard{ID: p.base.ID, Primary: a.describe(p.primary.as(RolePrimary, ""), p.stays)}
	for _, n := range p.replicas {
		t.Replicas = append(t.Replicas, a.describe(n.as(RoleReplica, t.Primary.ID), a.line(n) != n))
	}
	p.shard = t
	if m := a.member(t.Primary.key); m.node == t.Primary && m.shard.Primary == t.Primary && m.shard.ID == t.ID && sameNodes(m.shard.Replicas, t.Replicas) {
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

// describe returns the node that the map will have for n: a node of the view, or
// one of the map if it stays.
func (a *applying) describe(n *Node, stays bool) *Node {
	m, known := a.s.members.same(n)
	d := n
	if known && !stays && !a.force {
		if d.Role == RolePrimary && m.node.Role == RolePrimary && m.node.versioned && !d.versioned {
			// A view without epochs does not make the map forget them.
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

// located applies rule 11: it returns the node n of the view with the address of
// m, which is the same node in the map, if that is known to be newer.
func (a *applying) located(n, m *Node) *Node {
	lost := n.down() || n.LinkState == "disconnected"
	if n.addr == m.addr || !m.routable() || !lost || a.isSource(n) {
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

// judgeSuspects says what is left of the suspicions.
func (a *applying) judgeSuspects() {
	if len(a.s.suspects) == 0 || a.force {
		return
	}
	shardOf := make(map[*Node]*Node, len(a.view.nodes)) // the primary of its shard
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
		if n != nil && shardOf[n] != nil {
			key, u = n.key, u.after(a, n, shardOf[n])
		}
		if u != nil {
			a.suspects[key] = u
		}
	}
}

// table returns who owns which slot.
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
