package sim

import "time"

// A scenario is a plan of events in a cluster.
type scenario struct {
	name   string
	length time.Duration
	plan   func(w *world)
}

// every calls do(0) now, and do(1), do(2)... each time that d has passed, until end has
// passed.
func (w *world) every(d, end time.Duration, do func(i int)) {
	for i := 0; time.Duration(i)*d < end; i++ {
		w.after(time.Duration(i)*d, func() { do(i) })
	}
}

// pick returns a random server that answers, a primary or a replica as asked, or nil.
func (w *world) pick(primary bool) *server {
	var list []*server
	for _, s := range w.servers {
		if s.responsive() && s.isPrimary() == primary {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[w.rng.IntN(len(list))]
}

// replicaOf returns a random replica of s that answers, or nil.
func (w *world) replicaOf(s *server) *server {
	var list []*server
	for _, r := range w.servers {
		if r.responsive() && r.self().primary == s.index {
			list = append(list, r)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[w.rng.IntN(len(list))]
}

// killPrimary kills a primary. It is replaced, and comes back as a replica.
func (w *world) killPrimary() {
	if s := w.pick(true); s != nil && w.replicaOf(s) != nil {
		s.kill()
		w.after(w.between(6*time.Second, 9*time.Second), s.start)
	}
}

// pausePrimary pauses a primary, for less or for more time than it takes to replace it.
func (w *world) pausePrimary() {
	if s := w.pick(true); s != nil {
		s.pause()
		w.after(w.between(1*time.Second, 8*time.Second), s.start)
	}
}

// restart restarts a server. Every other primary is failed over before, at random.
func (w *world) restart(s *server) {
	if s.gone || !s.responsive() {
		return
	}
	planned := w.rng.IntN(2) == 0
	if s.isPrimary() && planned {
		if r := w.replicaOf(s); r != nil {
			r.failover()
		}
	}
	w.after(500*ms, func() {
		s.kill()
		d := w.between(500*ms, 1500*ms)
		if !planned {
			d = w.between(time.Second, 5*time.Second)
		}
		w.after(d, s.start)
	})
}

// changeShard moves a replica to another shard.
func (w *world) changeShard() {
	s, to := w.pick(false), w.pick(true)
	if s != nil && to != nil && s.self().primary != to.index {
		s.replicate(to)
	}
}

// moveUnit moves a unit to another primary.
func (w *world) moveUnit() {
	list := w.primaries()
	w.move(w.rng.IntN(w.units), list[w.rng.IntN(len(list))])
}

// reshard moves units from each primary to the next: 20 from one primary, then 20 from
// the next. Each unit moves only once.
func (w *world) reshard(d, end time.Duration) {
	at, next := 0, 0
	w.every(d, end, func(int) {
		list := w.primaries()
		from, to := list[at%len(list)].index, list[(at+1)%len(list)]
		for u := w.units - 1; u >= 0; u-- {
			if w.truth[u] == from && w.moves[u] == 0 {
				w.move(u, to)
				break
			}
		}
		if next++; next%20 == 0 {
			at++
		}
	})
}

// scenarios are the scenarios of the tables in docs/router.md.
var scenarios = []scenario{
	{"failover", 40 * time.Second, func(w *world) {
		w.every(14*time.Second, 40*time.Second, func(int) { w.killPrimary() })
	}},
	{"paused primary that returns", 40 * time.Second, func(w *world) {
		w.every(10*time.Second, 40*time.Second, func(int) { w.pausePrimary() })
	}},
	{"rolling restart", 45 * time.Second, func(w *world) {
		all := w.servers
		w.every(5*time.Second, 45*time.Second, func(i int) { w.restart(all[i%len(all)]) })
	}},
	{"replicas change shards", 40 * time.Second, func(w *world) {
		w.every(4*time.Second, 40*time.Second, func(i int) {
			if s := w.pick(false); s != nil && i%5 == 4 {
				s.forget()
				return
			}
			w.changeShard()
		})
	}},
	{"reshard", 40 * time.Second, func(w *world) {
		w.reshard(300*ms, 30*time.Second)
	}},
	{"all mixed", 60 * time.Second, func(w *world) {
		w.every(2*time.Second, 60*time.Second, func(int) {
			switch w.rng.IntN(8) {
			case 0:
				w.killPrimary()
			case 1:
				w.pausePrimary()
			case 2:
				w.restart(w.servers[w.rng.IntN(len(w.servers))])
			case 3:
				w.changeShard()
			case 4:
				if s := w.pick(false); s != nil {
					s.forget()
				}
			case 5:
				if s := w.pick(false); s != nil {
					s.failover()
				}
			default:
				w.every(200*ms, time.Second, func(int) { w.moveUnit() })
			}
		})
	}},
}

// The parts of a run, besides the scenario.
const (
	begins  = 5 * time.Second  // before the first event: clients have a map by then
	settles = 15 * time.Second // after the last event: the cluster becomes calm
	quiet   = 20 * time.Second // after that: redirects are counted apart
)

// play runs the scenario, and lets the cluster become calm.
func (s scenario) play(w *world) {
	w.run(begins)
	s.plan(w)
	w.run(begins + s.length)
	for _, s := range w.servers {
		s.start()
	}
	w.run(begins + s.length + settles/3)
	w.fix()
	w.run(begins + s.length + settles)
}

// A cell has the counts of some clients in a scenario.
type cell struct {
	clients   int
	views     int
	most      int // the most views that one client asked for in 10 s
	spoiled   int
	redirects int
	failures  int
	commands  int
	calmed    calmed
	wrong     int // units that are wrong in the maps of the clients in the end
}

// add adds the counts of a client.
func (c *cell) add(of *client) {
	c.clients++
	c.views += of.views
	c.most = max(c.most, of.most(10*time.Second))
	c.spoiled += of.spoiled
	c.redirects += of.redirects
	c.failures += of.failures
	c.commands += of.commands
	c.calmed.commands += of.calmed.commands
	c.calmed.redirects += of.calmed.redirects
	c.calmed.again += of.calmed.again
	for u, s := range of.w.truth {
		if of.owner(u) != s {
			c.wrong++
		}
	}
}

// A column is a kind of client, and the format in which it asks for views.
type column struct {
	kind   kind
	format format
}

// columns are the rows of each table. Without a Router the format makes no difference.
var columns = []column{
	{routed, nodes}, {routed, slots}, {routed, shards},
	{eager, nodes}, {eager, slots}, {eager, shards},
	{naive, slots}, {reloading, slots},
}

// table plays the scenario once for each seed, in a cluster of three shards, with three
// clients of each column, all in the same cluster.
func (s scenario) table(seeds []uint64) map[column]*cell {
	cells := make(map[column]*cell)
	for _, col := range columns {
		cells[col] = &cell{}
	}
	for _, seed := range seeds {
		w := newWorld(seed, 3, 2, 128)
		var clients []*client
		var of []column
		for i := range 3 {
			for _, col := range columns {
				clients = append(clients, w.newClient(seed*100+uint64(i), col.kind, col.format, 1))
				of = append(of, col)
			}
		}
		s.play(w)
		for _, c := range clients {
			c.calm, c.seen = true, make([]bool, w.units)
		}
		w.run(begins + s.length + settles + quiet)
		for i, c := range clients {
			cells[of[i]].add(c)
		}
	}
	return cells
}
