package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hashslot/hashslot"
)

// A kind says how a client keeps its map.
type kind uint8

const (
	// routed: a Router, and a Refresher that says when to ask for a view.
	routed kind = iota
	// eager: a Router. A view is asked for whenever a Result has Refresh set.
	eager
	// naive: after each MOVED, the client corrects one slot and loads the whole map.
	naive
	// reloading: after a MOVED, the client loads the whole map, at most once in 200 ms,
	// and corrects nothing. go-redis does the same (clusterStateHolder.LazyReload).
	reloading
	// aging: like reloading, but a map that is 10 s old is loaded again. go-redis does
	// this too (clusterStateHolder.Get).
	aging
)

func (k kind) String() string {
	return [...]string{"Router", "eager Router", "naive", "reload", "reload, and after 10 s"}[k]
}

// A client sends commands, in one or several loops.
type client struct {
	w   *world
	rng *rand.Rand
	mapper
	kind  kind
	pause time.Duration // mean time between two commands of a loop
	reads int           // how many of 100 commands are reads

	// The counts. Once calm is set, commands and redirects are also counted in calmed.
	views     int
	asked     []time.Duration // when each view was asked for
	spoiled   int             // units that were right before a view and wrong after it
	commands  int
	redirects int
	failures  int
	calm      bool
	calmed    calmed
	seen      []bool // units that were redirected since calm was set

	onAsk func(s int32) // called when the server s is asked for a view; may be nil
}

// calmed has the counts since calm was set. again counts redirects of a unit that was
// redirected in that time already. A client that has not used a slot since it moved may
// get its first redirect only then; it should not get a second one.
type calmed struct{ commands, redirects, again int }

// A mapper keeps the map of a client. The servers that its methods return may be
// nobody: then the next attempt asks target.
type mapper interface {
	// target returns the server for a command.
	target(l *loop) int32
	// moved is called when the server from redirects a command to another.
	moved(l *loop, from, to int32)
	// failed is called when the server did not answer. It returns the server to try next.
	failed(l *loop, s int32) int32
	// down is called after a CLUSTERDOWN. It returns the server to try next.
	down(l *loop, s int32) int32
	// succeeded is called when the server answered.
	succeeded(l *loop, s int32)
	// poll is called after each attempt.
	poll()
	// owner returns the server that owns the unit by the map.
	owner(unit int) int32
}

// A loop sends one command after the other.
type loop struct {
	c       *client
	slot    hashslot.Slot
	unit    int
	read    bool
	attempt int
	target  int32
	probe   bool   // the map did not choose the target, so its redirect is no surprise
	tick    func() // begin
	retry   func() // try

	mark any // what the mapper remembers of the target
}

// attempts is how often a command is tried at most.
const attempts = 4

// newClient makes a client that begins at a random time within a second.
func (w *world) newClient(seed uint64, k kind, f format, loops int) *client {
	c := &client{w: w, kind: k, pause: 50 * ms, reads: 30, rng: rand.New(rand.NewPCG(seed, 2))}
	switch k {
	case routed, eager:
		c.mapper = newRouting(c, f, k == eager)
	default:
		c.mapper = &loading{c: c, patches: k == naive, ages: k == aging}
	}
	for range loops {
		l := &loop{c: c}
		l.tick, l.retry = l.begin, l.try
		w.after(time.Duration(c.rng.Int64N(int64(time.Second))), l.tick)
	}
	return c
}

// begin begins a command.
func (l *loop) begin() {
	c := l.c
	l.slot = hashslot.Slot(c.rng.IntN(hashslot.Count))
	l.unit = c.w.unit(l.slot)
	l.read = c.rng.IntN(100) < c.reads
	l.attempt, l.target, l.probe = 0, nobody, false
	c.commands++
	if c.calm {
		c.calmed.commands++
	}
	l.try()
}

// end ends the command. The next one begins after a pause.
func (l *loop) end() {
	l.c.w.after(l.c.pause/2+time.Duration(l.c.rng.Int64N(int64(l.c.pause))), l.tick)
}

// try sends the command, and follows redirects.
func (l *loop) try() {
	c := l.c
	for {
		if l.target == nobody {
			l.probe = false
			l.target = c.target(l)
		}
		if l.attempt++; l.attempt > attempts {
			c.failures++
			c.poll()
			l.end()
			return
		}
		if l.target == nobody {
			c.poll()
			c.w.after(l.backOff(), l.retry)
			return
		}
		s := l.target
		got, to := c.w.servers[s].command(l.unit, l.read)
		switch got {
		case ok:
			c.succeeded(l, s)
			c.poll()
			l.end()
			return
		case moved:
			c.redirects++
			if c.calm {
				c.calmed.redirects++
				if c.seen[l.unit] {
					c.calmed.again++
				}
				c.seen[l.unit] = true
			}
			l.target = c.w.byAddr[c.w.servers[to].addr]
			c.moved(l, s, l.target)
			c.poll()
			l.probe = true
			continue
		case clusterDown:
			l.target = c.down(l, s)
			c.poll()
			c.w.after(l.backOff(), l.retry)
		case connectionRefused:
			l.target = c.failed(l, s)
			c.poll()
			c.w.after(refused+l.backOff(), l.retry)
		case timeout:
			c.w.after(noAnswer, func() {
				l.target = c.failed(l, s)
				c.poll()
				l.try()
			})
		}
		return
	}
}

// backOff returns the time to wait before the next attempt.
func (l *loop) backOff() time.Duration {
	return 8 * ms << l.attempt
}

// ask asks the server for a view. look is called when the question arrives, and got
// when the answer does, or, with false, when it is clear that there is none.
func (c *client) ask(s int32, look func(*server), got func(answered bool)) {
	c.views++
	c.asked = append(c.asked, c.w.now)
	if c.onAsk != nil {
		c.onAsk(s)
	}
	trip := time.Duration(1+c.rng.Int64N(4)) * ms / 2
	if c.rng.IntN(10) == 0 {
		trip *= 10
	}
	c.w.after(trip, func() {
		switch to := c.w.servers[s]; {
		case !to.up || to.gone:
			c.w.after(trip, func() { got(false) })
		case to.paused:
			c.w.after(noAnswer, func() { got(false) })
		default:
			look(to)
			c.w.after(trip, func() { got(true) })
		}
	})
}

// most returns the largest number of views that c asked for within d.
func (c *client) most(d time.Duration) int {
	most, first := 0, 0
	for i, at := range c.asked {
		for c.asked[first] <= at-d {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// right reports whether the map of c is right for all units.
func (c *client) right() bool {
	for u, s := range c.w.truth {
		if c.owner(u) != s {
			return false
		}
	}
	return true
}

// loading is the mapper of the clients without a Router.
type loading struct {
	c       *client
	patches bool
	ages    bool
	loaded  time.Duration
	snap    *snapshot
	own     []int32       // a copy of the owners, if redirects have corrected some
	open    int           // how many views are on their way
	until   time.Duration // no view is asked for before, unless patches
}

// A snapshot is what such a client keeps of a view.
type snapshot struct {
	owner    []int32
	replicas [][]int32
	nodes    []int32
}

// snapshot returns the view of s. Servers with the same view share a snapshot.
func (s *server) snapshot() *snapshot {
	about := s.digest()
	if s.w.snaps[about] == nil {
		snap := &snapshot{owner: s.owner, replicas: s.replicas()}
		s.shared = true
		for i := range s.peers {
			if s.peers[i].known && !s.peers[i].fail {
				snap.nodes = append(snap.nodes, int32(i))
			}
		}
		for i, list := range snap.replicas {
			snap.replicas[i] = slices.DeleteFunc(list, func(r int32) bool { return s.peers[r].fail })
		}
		if len(s.w.snaps) >= 1000 {
			clear(s.w.snaps)
		}
		s.w.snaps[about] = snap
	}
	return s.w.snaps[about]
}

func (m *loading) owners() []int32 {
	if m.own != nil {
		return m.own
	}
	if m.snap == nil {
		return nil
	}
	return m.snap.owner
}

func (m *loading) owner(unit int) int32 {
	if o := m.owners(); o != nil && o[unit] != nobody {
		return m.c.at(o[unit])
	}
	return nobody
}

// at returns the server that has the address of s now.
func (c *client) at(s int32) int32 {
	if o := c.w.servers[s]; o.gone {
		return c.w.byAddr[o.addr]
	}
	return s
}

func (m *loading) target(l *loop) int32 {
	if m.snap == nil {
		m.load()
		return nobody
	}
	if m.ages && m.c.w.now-m.loaded > 10*time.Second {
		m.load()
	}
	o := m.owners()[l.unit]
	if o == nobody {
		return m.any()
	}
	if l.read && int(o) < len(m.snap.replicas) {
		if list := m.snap.replicas[o]; len(list) > 0 {
			o = list[m.c.rng.IntN(len(list))]
		}
	}
	return m.c.at(o)
}

// any returns a server that the client knows.
func (m *loading) any() int32 {
	if m.snap == nil {
		return int32(m.c.rng.IntN(len(m.c.w.servers)))
	}
	return m.c.at(m.snap.nodes[m.c.rng.IntN(len(m.snap.nodes))])
}

func (m *loading) moved(l *loop, from, to int32) {
	if m.patches && !l.read {
		if m.own == nil {
			m.own = slices.Clone(m.snap.owner)
		}
		m.own[l.unit] = to
	}
	m.load()
}

func (m *loading) failed(l *loop, s int32) int32 {
	if l.attempt == 1 {
		return s // the same node first
	}
	l.probe = true
	return m.any()
}

func (m *loading) down(l *loop, s int32) int32 { return m.failed(l, s) }

func (m *loading) succeeded(*loop, int32) {}
func (m *loading) poll()                  {}

// load loads the map. A client that corrects nothing asks for one view at a time, and
// waits for 200 ms after each.
func (m *loading) load() {
	if (!m.patches || m.snap == nil) && (m.open > 0 || m.c.w.now < m.until) {
		return
	}
	m.open++
	m.loadFrom(m.any(), 5)
}

// loadFrom asks servers for a view, s first, until one answers or tries are used up.
func (m *loading) loadFrom(s int32, tries int) {
	var snap *snapshot
	m.c.ask(s, func(s *server) { snap = s.snapshot() }, func(answered bool) {
		if !answered && tries > 1 {
			m.loadFrom(m.any(), tries-1)
			return
		}
		m.open--
		m.until = m.c.w.now + 200*ms
		if answered {
			m.use(snap)
		}
	})
}

// use makes snap the map, and counts the units that it makes wrong.
func (m *loading) use(snap *snapshot) {
	if old := m.owners(); old != nil {
		for u, s := range m.c.w.truth {
			if old[u] == s && snap.owner[u] != s {
				m.c.spoiled++
			}
		}
	}
	m.snap, m.own, m.loaded = snap, nil, m.c.w.now
}
