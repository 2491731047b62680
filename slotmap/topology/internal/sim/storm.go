package sim

import (
	"cmp"
	"slices"
	"time"
)

// A storm is a scenario for a large cluster with many clients. What counts is
// how many views the busiest node has to answer, and how long clients stay wrong.
type storm struct {
	name   string
	length time.Duration // in which owners change all the time
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
		// Of each of some shards, half goes to another one.
		moved := 0
		w.every(60*ms, 60*time.Second, func(i int) {
			if 2*moved < w.units && w.move(2*moved, w.servers[(moved+len(w.servers)/4)%(len(w.servers)/2)]) {
				moved++
			}
		})
	}},
}

// stormKinds are the clients of a storm.
var stormKinds = []kind{routed, naive, reloading}

// A load is the views that servers are asked for.
type load struct {
	w      *world
	second time.Duration
	counts []int32 // in this second, by server
	peak   int32   // the most in a second
	total  int
}

func (l *load) add(s int32) {
	if now := l.w.now / time.Second; now != l.second {
		l.second = now
		clear(l.counts)
	}
	l.total++
	l.counts[s]++
	l.peak = max(l.peak, l.counts[s])
}

// A weather is what a storm was for the clients of one kind.
type weather struct {
	peak     int32         // views asked for at one node in a second
	views    float64       // a client
	most     time.Duration // until 99 of 100 clients are right
	all      time.Duration // until all are
	redirect float64       // redirects a client
}

// waits is how long a storm is watched after the last change: longer than a
// Refresher leaves a view as it is.
const waits = 90 * time.Second

// blow plays the storm with so many clients of each kind. Times are since the
// last slot got another owner; one that is as long as waits was not reached.
func (s storm) blow(seed uint64, shards, clients int, f format) map[kind]weather {
	const step = 250 * ms
	const calm = 15 * time.Second // all have a map, and the first storm of loading it is over
	w := newWorld(seed, shards, 1, 4*shards)
	w.keep, w.nodeTimeout = time.Minute, 15*time.Second // the servers' default
	w.loss = 1000                                       // links break, but seldom
	of := make(map[kind][]*client)
	loads := make(map[kind]*load)
	for _, k := range stormKinds {
		l := &load{w: w, counts: make([]int32, len(w.servers))}
		loads[k] = l
		for i := range clients {
			c := w.newClient(seed+uint64(i)*100+uint64(k), k, f, 1)
			c.pause = 100 * ms
			c.onAsk = l.add
			of[k] = append(of[k], c)
		}
	}
	w.run(calm)
	for _, k := range stormKinds {
		loads[k].peak, loads[k].total = 0, 0
		for _, c := range of[k] {
			c.redirects = 0
		}
	}
	s.plan(w)
	var last time.Duration // when an owner changed
	var changed []int      // the units that did, the last ones first
	reached := make(map[kind][]time.Duration)
	wrong := make(map[kind][]*client)
	for w.run(w.now + step); w.now < max(last, calm+30*time.Second)+waits; w.run(w.now + step) {
		if latest := slices.Max(w.moves); latest > last {
			last, changed = latest, nil
			for u, at := range w.moves {
				if at > 0 {
					changed = append(changed, u)
				}
			}
			slices.SortFunc(changed, func(a, b int) int { return cmp.Compare(w.moves[b], w.moves[a]) })
			for _, k := range stormKinds {
				wrong[k], reached[k] = of[k], nil
			}
		}
		if w.now-last < 2*step {
			continue // more is to come
		}
		for _, k := range stormKinds {
			wrong[k] = slices.DeleteFunc(slices.Clone(wrong[k]), func(c *client) bool {
				for _, u := range changed {
					if c.owner(u) != w.truth[u] {
						return false
					}
				}
				reached[k] = append(reached[k], w.now-last)
				return true
			})
		}
	}
	result := make(map[kind]weather)
	for _, k := range stormKinds {
		r := weather{peak: loads[k].peak, views: float64(loads[k].total) / float64(clients), most: waits, all: waits}
		for _, c := range of[k] {
			r.redirect += float64(c.redirects) / float64(clients)
		}
		times := reached[k]
		slices.Sort(times)
		if n := (clients*99 + 99) / 100; len(times) >= n {
			r.most = times[n-1]
		}
		if len(times) == clients {
			r.all = times[clients-1]
		}
		result[k] = r
	}
	return result
}
