package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hashslot/hashslot"
)

// A kind is how a client keeps its map.
type kind uint8

const (
	// routed: a Router, and a Refresher that says when to ask.
	routed kind = iota
	// eager: a Router, and a view is asked for whenever a Result says Refresh.
	eager
	// naive: each MOVED corrects one slot, and has the whole map loaded again.
	naive
	// reloading: a MOVED has the whole map loaded again, at most once in 200 ms, and
	// corrects nothing, as go-redis does (clusterStateHolder.LazyReload).
	reloading
	// aging: reloading, and a map that is 10 s old is loaded again, which go-redis
	// does as well (clusterStateHolder.Get).
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
	reads int           // of 100 commands

	// What is counted. From calm on, redirects are counted apart.
	views     int
	asked     []time.Duration // when, for the most in ten seconds
	spoiled   int             // units that were right before a view and wrong after it
	commands  int
	redirects int
	failures  int
	calm      bool
	calmed    calmed
	seen      []bool // units that were redirected since calm

	onAsk func(s int32) // if a view is asked for
}

// calmed is what is counted from calm on. A client that has not used a slot since
// it moved may learn of it only then; but it learns of it once.
type calmed struct{ commands, redirects, again int }

// A mapper is how a client keeps its map.
type mapper interface {
	// target returns the server for a command: nobody if it is not known.
	target(l *loop) int32
	// moved learns that the server from, asked by l, redirects to another.
	moved(l *loop, from, to int32)
	// failed learns that the server did not answer, and returns whom to try next.
	failed(l *loop, s int32) int32
	// down learns of a CLUSTERDOWN, and returns whom to try next.
	down(l *loop, s int32) int32
	// succeeded learns that the server answered.
	succeeded(l *loop, s int32)
	// poll is called after each attempt.
	poll()
	// owner returns whom the map has for the unit.
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
	probe   bool // the target was not chosen by the map: it may redirect to whom it likes
	tick    func()
	retry   func()

	mark any // what the mapper remembers of the target
}

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

// end ends the command, after some time.
func (l *loop) end() {
	l.c.w.after(l.c.pause/2+time.Duration(l.c.rng.Int64N(int64(l.c.pause))), l.tick)
}

// try sends the command.
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

func (l *loop) backOff() time.Duration {
	return 8 * ms << l.attempt
}

// ask asks the server for a view: got is called when the answer is there, or,
// with false, when there is none. It returns the time that the question is on its
// way.
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

// most is the largest number of views that were asked for within d.
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
	own     []int32 // the owners, if redirects have corrected some
	open    int     // views on their way
	until   time.Duration
}

// A snapshot is what such a client keeps of a view.
type snapshot struct {
	owner    []int32
	replicas [][]int32
	nodes    []int32
}

// snapshot returns what s shows.
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

// load loads the map. A client that reloads has one view on its way, and waits
// for 200 ms after it.
func (m *loading) load() {
	if (!m.patches || m.snap == nil) && (m.open > 0 || m.c.w.now < m.until) {
		return
	}
	m.open++
	m.loadFrom(m.any(), 5)
}

// loadFrom asks one server after the other, until one answers.
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
