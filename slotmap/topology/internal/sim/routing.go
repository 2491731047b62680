package sim

import (
	"fmt"

	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// routing is the mapper of a client that has a Router.
type routing struct {
	c       *client
	format  format
	router  topology.Router
	eager   bool
	refresh topology.Refresher
}

// A mark is what a loop remembers of the node that it sends a command to.
type mark struct {
	node  *topology.Node
	shard *topology.Shard
	seen  topology.Generation
}

func newRouting(c *client, f format, eager bool) *routing {
	m := &routing{c: c, format: f, eager: eager}
	for i := range min(3, len(c.w.servers)) {
		m.refresh.Seeds = append(m.refresh.Seeds, c.w.servers[i].addr)
	}
	m.refresh.Seed = c.rng.Uint64() | 1
	return m
}

func (m *routing) owner(unit int) int32 {
	shard, _ := m.router.For(m.c.w.slots(unit).First)
	if shard == nil {
		return nobody
	}
	return m.server(shard.Primary)
}

func (m *routing) server(n *topology.Node) int32 {
	if i, ok := m.c.w.byAddr[n.Addr()]; ok {
		return i
	}
	return nobody
}

func (m *routing) target(l *loop) int32 {
	shard, seen := m.router.For(l.slot)
	if shard == nil {
		m.want()
		return nobody
	}
	node := shard.Primary
	if l.read {
		node = m.replica(shard)
	}
	l.mark = mark{node, shard, seen}
	return m.server(node)
}

// replica picks a node for a read by ReadReplica, like Router.Read, but with the
// client's random numbers, so that a seed determines the run.
func (m *routing) replica(shard *topology.Shard) *topology.Node {
	picked, count := shard.Primary, 0
	for _, n := range shard.Replicas {
		if n.Serves() {
			if count++; m.c.rng.IntN(count) == 0 {
				picked = n
			}
		}
	}
	return picked
}

func (m *routing) want() {
	if m.eager {
		m.load(topology.Result{Refresh: m.router.Generation() == 0})
		return
	}
	m.refresh.Want(m.c.w.clock())
}

func (m *routing) note(res topology.Result) {
	if m.eager {
		m.load(res)
		return
	}
	m.refresh.Note(res, m.c.w.clock())
}

func (m *routing) moved(l *loop, from, to int32) {
	k := l.mark.(mark)
	rd, err := topology.ParseRedirect(
		fmt.Sprintf("MOVED %d %s", l.slot, m.c.w.servers[to].addr),
		topology.Origin{Addr: m.c.w.servers[from].addr})
	if err != nil {
		panic(err)
	}
	node := k.node
	if l.probe {
		node = nil
	}
	res := m.router.Moved(rd, node, k.seen)
	m.note(res)
	l.mark = mark{res.Node, k.shard, k.seen}
}

func (m *routing) failed(l *loop, s int32) int32 {
	k := l.mark.(mark)
	m.note(m.router.Failed(k.node))
	if l.read || k.shard == nil {
		return nobody // the map may have another node now
	}
	// A replica of the shard may have taken over.
	shard, seen := m.router.For(l.slot)
	if shard == nil || len(shard.Replicas) == 0 || l.probe {
		return nobody
	}
	node := shard.Replicas[m.c.rng.IntN(len(shard.Replicas))]
	if !node.Serves() {
		return nobody
	}
	l.probe = true
	l.mark = mark{node, shard, seen}
	return m.server(node)
}

func (m *routing) down(l *loop, s int32) int32 {
	m.want()
	return nobody
}

func (m *routing) succeeded(l *loop, s int32) {
	k := l.mark.(mark)
	if k.node == nil {
		return
	}
	m.note(m.router.Succeeded(k.node))
	if l.probe && !l.read {
		shard, _ := m.router.For(l.slot)
		if shard != nil && shard.Primary != k.node {
			m.note(m.router.Promote(k.node))
		}
	}
}

func (m *routing) poll() {
	if m.eager {
		return
	}
	due := m.refresh.Next(&m.router, m.c.w.clock())
	if len(due.Addrs) == 0 {
		return
	}
	views := make([]*topology.Cluster, len(due.Addrs))
	left := len(views)
	for i, addr := range due.Addrs {
		m.c.ask(m.c.w.byAddr[addr], func(s *server) { views[i] = s.view(m.format) }, func(bool) {
			if left--; left == 0 {
				m.apply(func() topology.Result { return m.refresh.Apply(&m.router, due, views, m.c.w.clock()) })
			}
		})
	}
}

// load asks a random node for a view if the Result has Refresh set.
func (m *routing) load(res topology.Result) {
	if !res.Refresh {
		return
	}
	seen := m.router.Generation()
	to := int32(m.c.rng.IntN(len(m.c.w.servers)))
	var view *topology.Cluster
	m.c.ask(to, func(s *server) { view = s.view(m.format) }, func(answered bool) {
		if !answered {
			m.router.RefreshFailed()
			m.load(topology.Result{Refresh: m.router.Generation() == 0})
			return
		}
		m.apply(func() topology.Result { return m.router.Apply(view, seen) })
	})
}

// apply calls do, which applies views, and counts the units that it makes wrong.
func (m *routing) apply(do func() topology.Result) {
	before, _ := m.router.Table()
	res := do()
	if res.Change != nil {
		after, _ := m.router.Table()
		is := func(t *slotmap.Table[*topology.Shard], unit int) bool {
			shard, ok := t.Lookup(m.c.w.slots(unit).First)
			return ok && m.server(shard.Primary) == m.c.w.truth[unit]
		}
		for u := range m.c.w.truth {
			if is(before, u) && !is(after, u) {
				m.c.spoiled++
			}
		}
	}
	if m.eager {
		m.load(res)
	}
}
