package sim

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"time"
)

// A storm is a scenario for a large cluster with many clients. The measures are how
// many views the busiest node has to answer, and how long clients stay wrong.
type storm struct {
	name   string
	length time.Duration // how long owners keep changing
	plan   func(w *world)
}

var storms = []storm{
	{"failover", 0, func(w *world) {
		s := w.servers[0]
		s.kill()
		w.after(time.Minute, s.start)
	}},
	{"rolling restart", 60 * time.Second, func(w *world) {
		w.every(500*ms, 60*time.Second, func(i int) {
			s := w.servers[i%(len(w.servers)/2)]
			if !s.isPrimary() {
				return
			}
			if r := w.replicaOf(s); r != nil {
				r.failover()
			}
			w.after(300*ms, func() {
				s.kill()
				w.after(time.Second, s.start)
			})
		})
	}},
	{"reshard", 60 * time.Second, func(w *world) {
		// Half of the slots of some shards goes to other shards.
		moved := 0
		w.every(60*ms, 60*time.Second, func(i int) {
			if 2*moved < w.units && w.move(2*moved, w.servers[(moved+len(w.servers)/4)%(len(w.servers)/2)]) {
				moved++
			}
		})
	}},
}

// stormKinds are the clients of a storm.
var stormKinds = []kind{routed, naive, reloading, aging}

// A load counts the views that servers are asked for.
type load struct {
	w      *world
	counts [][]int32 // by second and server
}

func (l *load) add(s int32) { *l.at(int(l.w.now/time.Second), int(s))++ }

// at returns the counter of a second and a server.
func (l *load) at(second, server int) *int32 {
	for second >= len(l.counts) {
		l.counts = append(l.counts, nil)
	}
	for server >= len(l.counts[second]) {
		l.counts[second] = append(l.counts[second], 0)
	}
	return &l.counts[second][server]
}

// merge adds the counts of another load.
func (l *load) merge(other *load) {
	for second, counts := range other.counts {
		for server, n := range counts {
			*l.at(second, server) += n
		}
	}
}

// A weather is the result of a storm for the clients of one kind.
type weather struct {
	clients   int
	load      load
	redirects int
	reached   []time.Duration // by client: the time until it was right; without those that never were
}

// peak returns the most views that one node was asked for in a second.
func (r *weather) peak() (peak int32) {
	for _, counts := range r.load.counts {
		for _, n := range counts {
			peak = max(peak, n)
		}
	}
	return peak
}

// views returns how many views a client asked for, in the mean.
func (r *weather) views() float64 {
	total := 0
	for _, counts := range r.load.counts {
		for _, n := range counts {
			total += int(n)
		}
	}
	return float64(total) / float64(r.clients)
}

// right returns the time until percent of the clients are right, or waits if they never
// are.
func (r *weather) right(percent int) time.Duration {
	n := (r.clients*percent + 99) / 100
	if n > len(r.reached) {
		return waits
	}
	return slices.Sorted(slices.Values(r.reached))[n-1]
}

// The parts of a run, besides the storm.
const (
	calm  = 15 * time.Second // before the storm: all clients have loaded a map by then
	waits = 90 * time.Second // after the last change of an owner
)

// blow plays the storm with the number of clients of each kind. Clients do not change
// what servers do. So many clients can be played in batches, each in a copy of the
// cluster, which saves memory. The counts of the batches are added up by second.
func (s storm) blow(seed uint64, shards, clients, batch int, f format) map[kind]*weather {
	var batches sync.WaitGroup
	var mu sync.Mutex
	sum := make(map[kind]*weather)
	for _, k := range stormKinds {
		sum[k] = &weather{clients: clients}
	}
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	for first := 0; first < clients; first += batch {
		free <- struct{}{}
		batches.Go(func() {
			part := s.play(seed, shards, first, min(first+batch, clients), f)
			mu.Lock()
			defer mu.Unlock()
			for k, r := range part {
				sum[k].load.merge(&r.load)
				sum[k].redirects += r.redirects
				sum[k].reached = append(sum[k].reached, r.reached...)
			}
			<-free
		})
	}
	batches.Wait()
	return sum
}

// play plays the storm with the clients from first to end-1 of each kind.
func (s storm) play(seed uint64, shards, first, end int, f format) map[kind]*weather {
	const step = 250 * ms
	w := newWorld(seed, shards, 1, 4*shards)
	w.keep, w.nodeTimeout = time.Minute, 15*time.Second // the servers' default
	w.loss = 1000                                       // links seldom break
	of := make(map[kind][]*client)
	result := make(map[kind]*weather)
	for _, k := range stormKinds {
		r := &weather{load: load{w: w}}
		result[k] = r
		for i := first; i < end; i++ {
			c := w.newClient(seed+uint64(i)*100+uint64(k), k, f, 1)
			c.pause = 100 * ms
			c.onAsk = r.load.add
			of[k] = append(of[k], c)
		}
	}
	w.run(calm)
	for _, k := range stormKinds {
		result[k].load.counts = nil
		for _, c := range of[k] {
			c.redirects = 0
		}
	}
	s.plan(w)
	var last time.Duration // when an owner changed
	var changed []int      // by then
	wrong := make(map[kind][]*client)
	for w.run(w.now + step); w.now < max(last, calm+30*time.Second)+waits; w.run(w.now + step) {
		if latest := slices.Max(w.moves); latest > last {
			last, changed = latest, w.changed()
			for _, k := range stormKinds {
				wrong[k], result[k].reached = of[k], nil
			}
		}
		if w.now-last < 2*step {
			continue // more is to come
		}
		for _, k := range stormKinds {
			wrong[k] = slices.DeleteFunc(slices.Clone(wrong[k]), func(c *client) bool {
				right := c.isRight(changed)
				if right {
					result[k].reached = append(result[k].reached, w.now-last)
				}
				return right
			})
		}
	}
	for _, k := range stormKinds {
		for _, c := range of[k] {
			result[k].redirects += c.redirects
		}
	}
	return result
}

// changed returns the units whose owner changed, the last ones first.
func (w *world) changed() (units []int) {
	for u, at := range w.moves {
		if at > 0 {
			units = append(units, u)
		}
	}
	slices.SortFunc(units, func(a, b int) int { return cmp.Compare(w.moves[b], w.moves[a]) })
	return units
}

// isRight reports whether the client knows the owners of the units.
func (c *client) isRight(units []int) bool {
	return !slices.ContainsFunc(units, func(u int) bool { return c.owner(u) != c.w.truth[u] })
}
