package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/bench/internal/owners"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// The names of the structures that keep the owners of slots.
const (
	array     = "array"
	sorted    = "sorted ranges"
	locked    = "locked interfaces"
	addresses = "locked addresses"
)

// fromSlots compares dependent lookups of random slots: each slot comes from the owner
// found before it. it/base is their time as a multiple of the time in a bare array.
func fromSlots(l owners.Layout) workload {
	return workload{name: "slot to owner, " + l.Name, group: groupOwners, at: l.Name, units: dependent, unit: "ns a lookup",
		contenders: func() []contender { return lookups(l) }}
}

const dependent = 4096 // lookups of a run

// lookups is a function of its own: in a function as large as workloads would be with it,
// the compiler does not inline calls.
func lookups(l owners.Layout) []contender {
	const n = dependent
	c := owners.New(l)
	last := uint32(1)
	return []contender{
		{name: "slotmap.Map", base: array, run: func() uint64 {
			x := last
			for range n {
				if owner, ok := c.Map.Lookup(hashslot.Slot(x >> 18)); ok {
					x = owners.Step(x, owner.ID)
				}
			}
			last = x
			return uint64(x)
		}},
		{name: array, peer: here, run: func() uint64 {
			x := last
			for range n {
				if owner, ok := c.Array.Lookup(hashslot.Slot(x >> 18)); ok {
					x = owners.Step(x, owner.ID)
				}
			}
			last = x
			return uint64(x)
		}},
		{name: sorted, peer: here, base: array, run: func() uint64 {
			x := last
			for range n {
				if owner, ok := c.Sorted.Lookup(hashslot.Slot(x >> 18)); ok {
					x = owners.Step(x, owner.ID)
				}
			}
			last = x
			return uint64(x)
		}},
		{name: locked, peer: here, base: array, run: func() uint64 {
			x := last
			for range n {
				if owner, ok := c.Locked.Lookup(hashslot.Slot(x >> 18)); ok {
					x = owners.Step(x, owner.Number())
				}
			}
			last = x
			return uint64(x)
		}},
		{name: addresses, peer: here, base: array, run: func() uint64 {
			x := last
			for range n {
				if owner, ok := c.Addresses.Lookup(hashslot.Slot(x >> 18)); ok {
					x = owners.Step(x, owner.ID)
				}
			}
			last = x
			return uint64(x)
		}},
	}
}

// A keyRouter finds the owners of keys.
type keyRouter struct {
	name   string
	module string // empty for hashslot
	loop   func(keys []string) uint64
	owner  func(key string) int // its number in the layout
}

// keyRouters returns all routers, with the same owners: the library's, the structures of
// clients with the byte-wise table in front, and a whole client.
func keyRouters(l owners.Layout) []keyRouter {
	c := owners.New(l)
	number := map[*owners.Node]int{}
	for i, n := range c.Nodes {
		number[n] = i
	}
	byAddr := map[string]int{}
	for i := range l.Owners {
		byAddr[owners.Addr(i)] = i
	}
	of := func(n *owners.Node, ok bool) int {
		if !ok {
			return -1
		}
		return number[n]
	}
	r := clusterRouter(l)
	client := goRedis(l)
	ctx := context.Background()
	return []keyRouter{
		{"Map.LookupKey", "", func(keys []string) (s uint64) {
			for _, k := range keys {
				_, owner, _ := c.Map.LookupKey(k)
				s += uint64(owner.ID)
			}
			return s
		}, func(k string) int { _, n, ok := c.Map.LookupKey(k); return of(n, ok) }},
		{"Router.ForKey", "", func(keys []string) (s uint64) {
			for _, k := range keys {
				shard, seen := r.ForKey(k)
				s += uint64(shard.Primary.Port) + uint64(seen)
			}
			return s
		}, func(k string) int { shard, _ := r.ForKey(k); return byAddr[shard.Primary.Addr()] }},
		{sorted, here, func(keys []string) (s uint64) {
			for _, k := range keys {
				owner, _ := c.Sorted.Lookup(hashslot.Slot(bytewise(k)))
				s += uint64(owner.ID)
			}
			return s
		}, func(k string) int { return of(c.Sorted.Lookup(hashslot.Slot(bytewise(k)))) }},
		{locked, here, func(keys []string) (s uint64) {
			for _, k := range keys {
				owner, _ := c.Locked.Lookup(hashslot.Slot(bytewise(k)))
				s += uint64(owner.Number())
			}
			return s
		}, func(k string) int {
			n, ok := c.Locked.Lookup(hashslot.Slot(bytewise(k)))
			if !ok {
				return -1
			}
			return number[n.(*owners.Node)]
		}},
		{addresses, here, func(keys []string) (s uint64) {
			for _, k := range keys {
				owner, _ := c.Addresses.Lookup(hashslot.Slot(bytewise(k)))
				s += uint64(owner.ID)
			}
			return s
		}, func(k string) int { return of(c.Addresses.Lookup(hashslot.Slot(bytewise(k)))) }},
		{"go-redis MasterForKey", "github.com/redis/go-redis/v9", func(keys []string) (s uint64) {
			for _, k := range keys {
				node, err := client.MasterForKey(ctx, k)
				if err != nil {
					fatal(err)
				}
				s += uint64(len(node.Options().Addr))
			}
			return s
		}, func(k string) int {
			node, err := client.MasterForKey(ctx, k)
			if err != nil {
				return -1
			}
			return byAddr[node.Options().Addr]
		}},
	}
}

// clusterRouter returns a Router that has applied a view with the owners of l.
func clusterRouter(l owners.Layout) *topology.Router {
	nodes := make([]topology.Node, l.Owners)
	sets := make([]slotmap.Set, l.Owners)
	for s := range hashslot.Count {
		sets[l.Of(s)].Add(hashslot.Slot(s))
	}
	for i := range nodes {
		nodes[i] = topology.Node{ID: fmt.Sprintf("%040x", i+1), Host: fmt.Sprintf("10.0.%d.%d", i/256, i%256), Port: 6379,
			Role: topology.RolePrimary, Slots: slices.Collect(sets[i].Ranges())}
	}
	cluster, err := topology.NewCluster(nodes)
	if err != nil {
		fatal(err)
	}
	r := new(topology.Router)
	r.Apply(cluster, r.Generation())
	return r
}

// fromKeys compares hashing and lookup together. it/base is their time as a fraction of
// the time of clients with sorted ranges.
func fromKeys(l owners.Layout, bytes int) workload {
	w := workload{name: fmt.Sprintf("key to owner, %d bytes, %s", bytes, l.Name), group: groupKeys, at: fmt.Sprintf("%d bytes", bytes), x: float64(bytes), units: 1024}
	w.contenders = func() []contender {
		keys := keysOf(w.units, func(rng *rand.Rand) string { return word(rng, bytes) })
		var all []contender
		for _, r := range keyRouters(l) {
			all = append(all, contender{name: r.name, peer: versionOf(r.module), base: sorted, run: func() uint64 { return r.loop(keys) }})
		}
		return all
	}
	return w
}

// split compares ways to divide keys of 16 bytes by owner. it/base is the time as a
// fraction of the time with the usual map of slices.
func split(l owners.Layout, n int) workload {
	return workload{name: fmt.Sprintf("divided by owner, %d keys, %s", n, l.Name), group: groupSplit, at: fmt.Sprintf("%d keys", n), units: n,
		contenders: func() []contender {
			return splitters(l, keysOf(n, func(rng *rand.Rand) string { return word(rng, 16) }))
		}}
}

func splitters(l owners.Layout, keys []string) []contender {
	const maps = "maps"
	c := owners.New(l)
	var sp slotmap.OwnerSplitter[*owners.Node]
	var slots []hashslot.Slot
	return []contender{
		{name: "OwnerSplitter", base: maps, run: func() uint64 {
			groups, _ := sp.Split(c.Map.Load(), keys)
			return uint64(len(groups))
		}},
		{name: maps, peer: here, run: func() uint64 {
			groups := map[*owners.Node][]int{}
			for i, k := range keys {
				owner, _ := c.Sorted.Lookup(hashslot.Slot(bytewise(k)))
				groups[owner] = append(groups[owner], i)
			}
			return uint64(len(groups))
		}},
		{name: "maps, slots by AppendOf, Map.Lookup", base: maps, run: func() uint64 {
			slots = hashslot.AppendOf(slots[:0], keys)
			groups := map[*owners.Node][]int{}
			for i, slot := range slots {
				owner, _ := c.Map.Lookup(slot)
				groups[owner] = append(groups[owner], i)
			}
			return uint64(len(groups))
		}},
	}
}

// few is the layout for workloads with keys: 16 owners.
func few() owners.Layout { return owners.Layouts()[1] }
