package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// Replies of clusters with a replica for each primary, in the form in which clients decode
// what servers send. In "single", two primaries own the slots alternately: 16384 ranges,
// the worst case.

type shardReply struct {
	primary, replica string // ids
	slots            []slotmap.Range
	number           int
}

func shardReplies(primaries int) []shardReply {
	rng := rand.New(rand.NewPCG(3, uint64(primaries)))
	id := func() string { return fmt.Sprintf("%016x%016x%08x", rng.Uint64(), rng.Uint64(), rng.Uint32()) }
	shards := make([]shardReply, primaries)
	for i := range shards {
		first, end := i*hashslot.Count/primaries, (i+1)*hashslot.Count/primaries
		shards[i] = shardReply{id(), id(), []slotmap.Range{{First: hashslot.Slot(first), Last: hashslot.Slot(end - 1)}}, i}
	}
	rng.Shuffle(primaries, func(i, j int) { shards[i], shards[j] = shards[j], shards[i] })
	return shards
}

func singleReplies() []shardReply {
	shards := shardReplies(2)
	for i := range shards {
		shards[i].slots = nil
		for s := i; s < hashslot.Count; s += 2 {
			shards[i].slots = append(shards[i].slots, slotmap.Range{First: hashslot.Slot(s), Last: hashslot.Slot(s)})
		}
	}
	return shards
}

func (s shardReply) host(node int) string {
	return fmt.Sprintf("10.%d.%d.%d", node, s.number/256, s.number%256)
}

func nodesReply(shards []shardReply) string {
	var b strings.Builder
	for i, s := range shards {
		flags := "master"
		if i == 0 {
			flags = "myself,master"
		}
		fmt.Fprintf(&b, "%s %s:6379@16379 %s - 0 1795344121748 %d connected", s.primary, s.host(0), flags, i+1)
		for _, r := range s.slots {
			fmt.Fprintf(&b, " %v", r)
		}
		fmt.Fprintf(&b, "\n%s %s:6379@16379 slave %s 0 1795344121748 %d connected\n", s.replica, s.host(1), s.primary, i+1)
	}
	return b.String()
}

func slotsReply(shards []shardReply) any {
	var reply []any
	for _, s := range shards {
		for _, r := range s.slots {
			reply = append(reply, []any{int64(r.First), int64(r.Last),
				[]any{s.host(0), int64(6379), s.primary, []any{}},
				[]any{s.host(1), int64(6379), s.replica, []any{}}})
		}
	}
	return reply
}

func shardsReply(shards []shardReply) any {
	var reply []any
	for _, s := range shards {
		var slots []any
		for _, r := range s.slots {
			slots = append(slots, int64(r.First), int64(r.Last))
		}
		node := func(id, host, role string) any {
			return map[any]any{"id": id, "port": int64(6379), "ip": host, "endpoint": host, "role": role, "replication-offset": int64(72156), "health": "online"}
		}
		reply = append(reply, map[any]any{"slots": slots, "nodes": []any{node(s.primary, s.host(0), "master"), node(s.replica, s.host(1), "replica")}})
	}
	return reply
}

// wireSize is the size of a decoded reply in RESP2, for the throughput.
func wireSize(v any) int {
	bulk := func(s string) int { return len(fmt.Sprintf("$%d\r\n%s\r\n", len(s), s)) }
	switch v := v.(type) {
	case string:
		return bulk(v)
	case int64:
		return len(fmt.Sprintf(":%d\r\n", v))
	case []any:
		n := len(fmt.Sprintf("*%d\r\n", len(v)))
		for _, e := range v {
			n += wireSize(e)
		}
		return n
	case map[any]any:
		n := len(fmt.Sprintf("*%d\r\n", 2*len(v)))
		for name, e := range v {
			n += wireSize(name) + wireSize(e)
		}
		return n
	}
	panic(fmt.Sprintf("%T", v))
}

var clusterSink *topology.Cluster

func BenchmarkParse(b *testing.B) {
	type shape struct {
		name   string
		shards []shardReply
	}
	var shapes []shape
	for _, n := range []int{3, 100, 1000} {
		shapes = append(shapes, shape{fmt.Sprintf("primaries=%d", n), shardReplies(n)})
	}
	shapes = append(shapes, shape{"ranges=16384", singleReplies()})
	for _, s := range shapes {
		text, slots, shards := nodesReply(s.shards), slotsReply(s.shards), shardsReply(s.shards)
		for _, c := range []struct {
			name  string
			size  int
			parse func() (*topology.Cluster, error)
		}{
			{"nodes", len(text), func() (*topology.Cluster, error) { return topology.ParseNodes(text, topology.Origin{}) }},
			{"slots", wireSize(slots), func() (*topology.Cluster, error) { return topology.ParseSlots(slots, topology.Origin{}) }},
			{"shards", wireSize(shards), func() (*topology.Cluster, error) { return topology.ParseShards(shards, topology.Origin{}) }},
		} {
			b.Run("reply="+c.name+"/"+s.name, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(c.size))
				for b.Loop() {
					cluster, err := c.parse()
					if err != nil {
						b.Fatal(err)
					}
					clusterSink = cluster
				}
				if left := clusterSink.Unassigned(); !left.IsEmpty() || len(clusterSink.Nodes()) != 2*len(s.shards) {
					b.Fatal("not the whole cluster")
				}
			})
		}
	}
}

// BenchmarkApply applies views in which nothing, one shard or everything changes.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{3, 100, 1000} {
		shards := shardReplies(n)
		parse := func(change func(i int, s shardReply) shardReply) *topology.Cluster {
			changed := make([]shardReply, n)
			for i, s := range shards {
				changed[i] = change(i, s)
			}
			c, err := topology.ParseSlots(slotsReply(changed), topology.Origin{})
			if err != nil {
				b.Fatal(err)
			}
			return c
		}
		same := func(_ int, s shardReply) shardReply { return s }
		failover := func(s shardReply) shardReply { s.primary, s.replica = s.replica, s.primary; return s }
		for _, c := range []struct {
			name  string
			views [2]*topology.Cluster
		}{
			{"nothing", [2]*topology.Cluster{parse(same), parse(same)}},
			{"shard", [2]*topology.Cluster{parse(same), parse(func(i int, s shardReply) shardReply {
				if i == 0 {
					return failover(s)
				}
				return s
			})}},
			{"all", [2]*topology.Cluster{parse(same), parse(func(_ int, s shardReply) shardReply { return failover(s) })}},
		} {
			b.Run(fmt.Sprintf("changes=%s/primaries=%d", c.name, n), func(b *testing.B) {
				b.ReportAllocs()
				var r topology.Router
				r.Apply(c.views[0], r.Generation())
				i := 0
				for b.Loop() {
					i++
					sink += uint64(r.Apply(c.views[i&1], r.Generation()).Outcome)
				}
			})
		}
	}
}

// BenchmarkMoved learns from redirects: slots go back and forth between two shards, a
// shard fails over and back, and some redirects bring nothing new.
func BenchmarkMoved(b *testing.B) {
	for _, n := range []int{3, 100, 1000} {
		shards := shardReplies(n)
		c, err := topology.ParseSlots(slotsReply(shards), topology.Origin{})
		if err != nil {
			b.Fatal(err)
		}
		redirect := func(slot hashslot.Slot, host string) topology.Redirect {
			return topology.Redirect{Slot: slot, Host: host, Port: 6379}
		}
		slot := shards[0].slots[0].First
		for _, m := range []struct {
			name  string
			hosts [2]string
		}{
			{"known", [2]string{shards[0].host(0), shards[0].host(0)}},
			{"slot", [2]string{shards[0].host(0), shards[1].host(0)}},
			{"failover", [2]string{shards[0].host(0), shards[0].host(1)}},
		} {
			b.Run(fmt.Sprintf("what=%s/primaries=%d", m.name, n), func(b *testing.B) {
				b.ReportAllocs()
				var r topology.Router
				r.Apply(c, r.Generation())
				i := 0
				for b.Loop() {
					i++
					sink += uint64(r.Moved(redirect(slot, m.hosts[i&1]), nil, r.Generation()).Outcome)
				}
			})
		}
	}
}

// BenchmarkRoute goes from a key to its owner, by a Router and by the Map that it embeds.
func BenchmarkRoute(b *testing.B) {
	keys := keysOf(few, plain(8, 32))
	for _, n := range []int{3, 100, 1000} {
		c, err := topology.ParseNodes(nodesReply(shardReplies(n)), topology.Origin{})
		if err != nil {
			b.Fatal(err)
		}
		var r topology.Router
		r.Apply(c, r.Generation())
		var m slotmap.Map[*topology.Shard]
		m.Store(c.Table())
		name := fmt.Sprintf("primaries=%d", n)
		b.Run("by=map/"+name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				_, s, _ := m.LookupKey(keys[i&(few-1)])
				sink += uint64(len(s.Replicas))
				i++
			}
		})
		b.Run("by=router/"+name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				s, seen := r.ForKey(keys[i&(few-1)])
				sink += uint64(len(s.Replicas)) + uint64(seen)
				i++
			}
		})
		raw := make([][]byte, len(keys))
		for i, key := range keys {
			raw[i] = []byte(key)
		}
		b.Run("by=router-bytes/"+name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				s, seen := r.ForKeyBytes(raw[i&(few-1)])
				sink += uint64(len(s.Replicas)) + uint64(seen)
				i++
			}
		})
		b.Run("by=router-weighted/"+name, func(b *testing.B) {
			// A client has a weight for each node and finds it by the node's id.
			weights := map[string]*atomic.Uint32{}
			for _, n := range c.Nodes() {
				weights[n.ID] = new(atomic.Uint32)
				weights[n.ID].Store(uint32(len(weights)))
			}
			w := topology.Router{Weight: func(n *topology.Node) uint32 { return weights[n.ID].Load() }}
			w.Apply(c, 0)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				n, _ := w.ReadKey(keys[i&(few-1)], topology.ReadAny)
				sink += uint64(n.Port)
				i++
			}
		})
		b.Run("by=router-read/"+name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				n, _ := r.ReadKey(keys[i&(few-1)], topology.ReadAny)
				sink += uint64(n.Port)
				i++
			}
		})
	}
}
