package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/bench/internal/owners"
	"github.com/hashslot/hashslot/slotmap"
)

// The names of the ways to keep who owns a slot.
const (
	array  = "array"
	sorted = "sorted ranges"
	locked = "locked interfaces"
)

// fromSlots compares lookups of random slots, each of which waits for the one
// before: the slot comes from the owner that was found. it/base is how many
// times longer they take than those in a bare array.
func fromSlots(l owners.Layout) workload {
	return workload{name: "slot to owner, " + l.Name, keys: dependent, contenders: func() []contender { return lookups(l) }}
}

const dependent = 4096 // lookups of a run

// lookups is a function of its own because the compiler does not inline what is
// called in a function as large as workloads would be with it.
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
		{name: array, run: func() uint64 {
			x := last
			for range n {
				if owner, ok := c.Array.Lookup(hashslot.Slot(x >> 18)); ok {
					x = owners.Step(x, owner.ID)
				}
			}
			last = x
			return uint64(x)
		}},
		{name: sorted, base: array, run: func() uint64 {
			x := last
			for range n {
				if owner, ok := c.Sorted.Lookup(hashslot.Slot(x >> 18)); ok {
					x = owners.Step(x, owner.ID)
				}
			}
			last = x
			return uint64(x)
		}},
		{name: locked, base: array, run: func() uint64 {
			x := last
			for range n {
				if owner, ok := c.Locked.Lookup(hashslot.Slot(x >> 18)); ok {
					x = owners.Step(x, owner.Number())
				}
			}
			last = x
			return uint64(x)
		}},
	}
}

// fromKeys compares hashing and lookup. it/base is their time as a part of what
// clients take that keep sorted ranges.
func fromKeys(l owners.Layout, bytes int) workload {
	name := fmt.Sprintf("key to owner, %d bytes, %s", bytes, l.Name)
	keys := keysOf(1024, func(rng *rand.Rand) string { return word(rng, bytes) })
	return workload{name: name, keys: len(keys), contenders: func() []contender { return keyLookups(l, keys) }}
}

func keyLookups(l owners.Layout, keys []string) []contender {
	c := owners.New(l)
	return []contender{
		{name: "Map.LookupKey", base: sorted, run: func() (s uint64) {
			for _, k := range keys {
				_, owner, _ := c.Map.LookupKey(k)
				s += uint64(owner.ID)
			}
			return s
		}},
		{name: sorted, run: func() (s uint64) {
			for _, k := range keys {
				owner, _ := c.Sorted.Lookup(hashslot.Slot(bytewise(k)))
				s += uint64(owner.ID)
			}
			return s
		}},
		{name: locked, base: sorted, run: func() (s uint64) {
			for _, k := range keys {
				owner, _ := c.Locked.Lookup(hashslot.Slot(bytewise(k)))
				s += uint64(owner.Number())
			}
			return s
		}},
	}
}

// split compares the division of keys of 16 bytes by owner. it/base is the time
// as a part of what the usual map of slices takes.
func split(l owners.Layout, n int) workload {
	name := fmt.Sprintf("%d keys by owner, %s", n, l.Name)
	keys := keysOf(n, func(rng *rand.Rand) string { return word(rng, 16) })
	return workload{name: name, keys: n, contenders: func() []contender { return splitters(l, keys) }}
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
		{name: maps, run: func() uint64 {
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
