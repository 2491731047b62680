package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// A world is a cluster, its clients, and their time.
type world struct {
	now    time.Duration // since the beginning
	events []event       // a heap
	seq    uint64
	rng    *rand.Rand

	nodeTimeout time.Duration // cluster-node-timeout
	loss        int           // one of loss messages of a broadcast is lost
	keep        time.Duration // the greatest age of the times in a view
	servers     []*server
	byAddr      map[string]int32             // the server that has the address now
	units       int                          // the number of units: pieces of equal size in which slots move
	views       map[digest]*topology.Cluster // views of CLUSTER SLOTS that servers share
	snaps       map[digest]*snapshot         // snapshots that servers share
	truth       []int32                      // by unit: the true owner, which is the last server that took it
	moves       []time.Duration              // by unit: when its true owner changed last
}

const (
	ms = time.Millisecond

	heartbeat = 500 * ms // between two rounds of pings

	refused  = 1 * ms   // the time until a client knows that its connection is refused
	noAnswer = 200 * ms // the time after which a client stops waiting for an answer
)

// nobody is the index of no server.
const nobody int32 = -1

// epoch is the time at which all runs begin.
var epoch = time.Unix(1_700_000_000, 0)

func (w *world) clock() time.Time { return epoch.Add(w.now) }

// An event is a call at a time. Events of the same time happen in the order in which
// they were made.
type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

func (e *event) before(f *event) bool {
	return e.at < f.at || e.at == f.at && e.seq < f.seq
}

// after calls do when d has passed.
func (w *world) after(d time.Duration, do func()) {
	w.seq++
	w.events = append(w.events, event{w.now + d, w.seq, do})
	for i := len(w.events) - 1; i > 0; {
		up := (i - 1) / 4
		if !w.events[i].before(&w.events[up]) {
			break
		}
		w.events[i], w.events[up] = w.events[up], w.events[i]
		i = up
	}
}

// run lets the time pass until end.
func (w *world) run(end time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= end {
		e := w.events[0]
		n := len(w.events) - 1
		w.events[0] = w.events[n]
		w.events[n] = event{}
		w.events = w.events[:n]
		for i := 0; ; {
			least := i
			for c := 4*i + 1; c <= 4*i+4 && c < n; c++ {
				if w.events[c].before(&w.events[least]) {
					least = c
				}
			}
			if least == i {
				break
			}
			w.events[i], w.events[least] = w.events[least], w.events[i]
			i = least
		}
		w.now = e.at
		e.do()
	}
	w.now = end
}

// between returns a random duration from least to most.
func (w *world) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.rng.Int64N(int64(most-least)+1))
}

// latency returns how long a message between servers takes: some milliseconds, and much
// longer for one in ten.
func (w *world) latency() time.Duration {
	if w.rng.IntN(10) == 0 {
		return w.between(20*ms, 400*ms)
	}
	return w.between(1*ms, 20*ms)
}

// newWorld makes a cluster with the numbers of shards, of replicas of each shard, and
// of units. All servers know each other.
func newWorld(seed uint64, shards, replicas, units int) *world {
	w := &world{
		nodeTimeout: 2 * time.Second, loss: 20, keep: time.Second, rng: rand.New(rand.NewPCG(seed, 1)), units: units, byAddr: make(map[string]int32),
		views: make(map[digest]*topology.Cluster), snaps: make(map[digest]*snapshot),
		truth: make([]int32, units), moves: make([]time.Duration, units),
	}
	size := shards * (1 + replicas)
	for i := range size {
		w.add(i)
	}
	for u := range units {
		w.truth[u] = int32(u * shards / units)
	}
	for i, s := range w.servers {
		s.shard = w.servers[i%shards].shard
		s.peers = make([]peer, size)
		for j := range s.peers {
			p := &s.peers[j]
			p.known, p.primary = true, nobody
			if j >= shards {
				p.primary = int32(j % shards)
			} else {
				p.epoch = uint64(j + 1)
			}
		}
		s.owner, s.unclaimed = append([]int32(nil), w.truth...), make([]bool, units)
		s.owns = make([]int32, size)
		for _, o := range s.owner {
			s.owns[o]++
		}
		s.currentEpoch = uint64(shards)
		s.listen()
	}
	return w
}

// add makes a server that knows no other. Its address follows from host.
func (w *world) add(host int) *server {
	index := int32(len(w.servers))
	s := &server{
		w: w, index: index, up: true,
		id:    fmt.Sprintf("%040x", w.rng.Uint64()),
		host:  fmt.Sprintf("10.0.%d.%d", host>>8, host&255),
		place: host,
	}
	s.addr = s.host + ":6379"
	s.shard = fmt.Sprintf("%040x", w.rng.Uint64())
	w.servers = append(w.servers, s)
	w.byAddr[s.addr] = index
	return s
}

// slots returns the slots of a unit.
func (w *world) slots(unit int) slotmap.Range {
	return slotmap.Range{
		First: hashslot.Slot(unit * hashslot.Count / w.units),
		Last:  hashslot.Slot((unit+1)*hashslot.Count/w.units - 1),
	}
}

// unit returns the unit that has the slot.
func (w *world) unit(slot hashslot.Slot) int {
	return ((int(slot)+1)*w.units - 1) / hashslot.Count
}

// give makes the server the true owner of the unit.
func (w *world) give(unit int, to int32) {
	if w.truth[unit] != to {
		w.truth[unit], w.moves[unit] = to, w.now
	}
}

// primaries returns the true owners of units.
func (w *world) primaries() []*server {
	var list []*server
	seen := make([]bool, len(w.servers))
	for _, s := range w.truth {
		if !seen[s] {
			seen[s] = true
			list = append(list, w.servers[s])
		}
	}
	return list
}
