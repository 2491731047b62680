package topology

import (
	"maps"
	"slices"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// The events that a client sees itself: redirects, failures and successes.

// target returns the node that the redirect names: the map's node with the address,
// else a new one. It is nil if the redirect has no address.
func (s *state) target(rd Redirect) *Node {
	if !rd.routable() {
		return nil
	}
	shard, _ := s.table.Lookup(rd.Slot)
	if m, ok := s.find(rd.Addr(), shard); ok {
		return m.node
	}
	return stranger(rd)
}

// asks returns s with pending set, and whether it was not set before.
func (s *state) asks() (*state, bool) {
	if s.pending {
		return s, false
	}
	next := *s
	next.pending = true
	return &next, true
}

// result returns what a step returns that made next and asks for a view.
func (next *state) result(o Outcome, n *Node, c *Change) (*state, Result) {
	next, ask := next.asks()
	return next, Result{Outcome: o, Refresh: ask, Node: n, Change: c}
}

// refreshFailed is the event of [Router.RefreshFailed].
type refreshFailed struct{}

func (refreshFailed) step(s *state) (*state, Result) {
	if !s.pending {
		return s, Result{}
	}
	next := *s
	next.pending = false
	return &next, Result{}
}

// redirected is the event of [Router.Moved].
type redirected struct {
	rd   Redirect
	from *Node
	seen Generation
}

func (e redirected) step(s *state) (*state, Result) {
	slot := e.rd.Slot
	if e.rd.Ask || !slot.Valid() {
		return s, Result{Node: s.target(e.rd)}
	}
	if !e.rd.routable() {
		return s.result(OutcomeUnroutable, nil, nil)
	}
	shard, g := s.owner(slot)
	m, known := s.find(e.rd.Addr(), shard)
	if !known {
		m.node = stranger(e.rd)
	}
	switch {
	case known && m.shard == shard && m.node == shard.Primary:
		return e.confirms(s, m, g)
	case g != nil && g.gen > e.seen:
		return s, Result{Outcome: OutcomeStale, Node: m.node}
	case known && m.shard == shard:
		return s.promote(m, e.source(s))
	}
	outcome := OutcomePatched
	next := *s
	table := s.table.Builder()
	shards := slices.Clone(s.shards)
	switch {
	case !known:
		outcome = OutcomeUnknownNode
		m.shard = &Shard{Primary: m.node}
	case m.node != m.shard.Primary:
		// The replica leaves its old shard, which keeps its slots.
		rest := *m.shard
		rest.Replicas = slices.DeleteFunc(slices.Clone(rest.Replicas), func(n *Node) bool { return n == m.node })
		for r, o := range s.table.Ranges() {
			if o == m.shard {
				table.Assign(r, &rest)
			}
		}
		shards[slices.Index(shards, m.shard)] = &rest
		next.suspects = without(s.suspects, m.node.key)
		m.node = m.node.promoted()
		m.shard = &Shard{ID: m.node.ShardID, Primary: m.node}
	}
	why := g.next(s.gen+1, shard, m.node)
	why.told, why.from = true, e.source(s)
	moved := s.guessed(slot, m.node)
	grounds := s.grounds.Builder()
	for r := range moved.Ranges() {
		table.Assign(r, m.shard)
		grounds.Assign(r, why)
	}
	next.grounds = grounds.Build()
	change := s.become(&next, table.Build(), append(shards, m.shard), moved)
	return next.result(outcome, m.node, change)
}

// guessed returns the slots that a redirect of slot to n moves. If the owner is a
// guess and n is its rival, these are all slots of the same guess (rule 3); else it
// is the slot alone.
func (s *state) guessed(slot hashslot.Slot, n *Node) (slots slotmap.Set) {
	slots.Add(slot)
	owner, g := s.owner(slot)
	if g == nil || !g.rival.is(n) {
		return slots
	}
	for r := range s.runs(nil) {
		if o, h := s.owner(r.First); o == owner && g.alike(h) {
			slots.AddRange(r)
		}
	}
	return slots
}

// source returns the name of the node that sent the redirect, or the zero name if it
// is not known.
func (e redirected) source(s *state) name {
	if e.from == nil {
		return name{}
	}
	if m, ok := s.members.same(e.from); ok {
		return m.node.name()
	}
	return e.from.name()
}

// confirms is the step of a redirect to the owner that the map has. If a replica of
// the owner sent it, the replica has left the shard (rule 13).
func (e redirected) confirms(s *state, owner member, g *ground) (*state, Result) {
	if e.from == nil || g.gen > e.seen {
		return s, Result{Node: owner.node}
	}
	m, _ := s.members.same(e.from)
	if m.shard != owner.shard || m.node == owner.node {
		return s, Result{Node: owner.node}
	}
	u := s.suspects[m.node.key]
	if u != nil && u.left.key != "" {
		return s, Result{Node: owner.node}
	}
	next, change := s.suspect(m, &suspicion{left: owner.node.name()})
	return next.result(OutcomeSuspected, owner.node, change)
}

// promoted is the event of [Router.Promote].
type promoted struct{ node *Node }

func (e promoted) step(s *state) (*state, Result) {
	m, ok := s.member(e.node)
	if !ok || m.node == m.shard.Primary {
		return s, Result{Node: e.node}
	}
	return s.promote(m, name{})
}

// member returns the member of the map for n, which is from a caller: it may be nil, or
// from an earlier map, in which only its address was known.
func (s *state) member(n *Node) (member, bool) {
	if n == nil {
		return member{}, false
	}
	return s.members.same(n)
}

// promote makes the replica m the primary of its shard. source is the node that said
// so, or the zero name if it is not known.
func (s *state) promote(m member, source name) (*state, Result) {
	old := m.shard
	shard := &Shard{ID: old.ID, Primary: m.node.promoted()}
	shard.Primary.ConfigEpoch, shard.Primary.versioned = old.Primary.ConfigEpoch, old.Primary.versioned
	for _, n := range old.Replicas {
		if n == m.node {
			// The old primary takes its place: if it comes back, it is a replica.
			n = old.Primary
		}
		shard.Replicas = append(shard.Replicas, n.as(RoleReplica, shard.Primary.ID))
	}
	next := *s
	next.suspects = without(s.suspects, m.node.key)
	table, grounds := s.table.Builder(), s.grounds.Builder()
	whys := make(map[*ground]*ground)
	var moved slotmap.Set
	for r := range s.runs(nil) {
		owner, g := s.owner(r.First)
		if owner != old {
			continue
		}
		if whys[g] == nil {
			whys[g] = g.next(s.gen+1, old, shard.Primary)
			whys[g].told, whys[g].from = true, source
		}
		table.Assign(r, shard)
		grounds.Assign(r, whys[g])
		moved.AddRange(r)
	}
	next.grounds = grounds.Build()
	shards := slices.Clone(s.shards)
	shards[slices.Index(shards, old)] = shard
	change := s.become(&next, table.Build(), shards, moved)
	return next.result(OutcomeFailedOver, shard.Primary, change)
}

// failed is the event of [Router.Failed].
type failed struct{ node *Node }

func (e failed) step(s *state) (*state, Result) {
	m, ok := s.member(e.node)
	if !ok {
		return s, Result{Node: e.node}
	}
	u := s.suspects[m.node.key]
	if u == nil || u.left.key != "" {
		next, change := s.suspect(m, &suspicion{failures: 1})
		m, _ = next.members.byKey.get(m.node.key)
		if change == nil {
			return next.result(OutcomeUnchanged, m.node, nil) // a view has set the flag already
		}
		return next.result(OutcomeSuspected, m.node, change)
	}
	u, ask := u.failedAgain()
	next := *s
	if ask = ask && !s.pending; ask {
		u = u.asked()
		next.pending = true
	}
	next.suspects = maps.Clone(s.suspects)
	next.suspects[m.node.key] = u
	return &next, Result{Refresh: ask, Node: m.node}
}

// suspect returns s with the suspicion u of m, and the Change.
func (s *state) suspect(m member, u *suspicion) (*state, *Change) {
	suspects := make(map[string]*suspicion)
	maps.Copy(suspects, s.suspects)
	suspects[m.node.key] = u
	next, change := s.replace(m.shard, m.shard.with(m.node, m.node.flagged(true)))
	next.suspects = suspects
	return next, change
}

// succeeded is the event of [Router.Succeeded].
type succeeded struct{ node *Node }

func (e succeeded) step(s *state) (*state, Result) {
	m, ok := s.member(e.node)
	if !ok || s.suspects[m.node.key] == nil {
		return s, Result{Node: e.node}
	}
	next, change := s.replace(m.shard, m.shard.with(m.node, m.node.flagged(false)))
	next.suspects = without(s.suspects, m.node.key)
	m, _ = next.members.byKey.get(m.node.key)
	return next, Result{Outcome: OutcomeRecovered, Node: m.node, Change: change}
}

// without returns suspects without the key. It does not modify the map.
func without(suspects map[string]*suspicion, key string) map[string]*suspicion {
	if suspects[key] == nil {
		return suspects
	}
	rest := maps.Clone(suspects)
	delete(rest, key)
	return rest
}
