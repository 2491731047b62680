// Package owners has the structures in which clients keep the owners of slots, each in
// its simplest form, and the layouts of owners in which they are compared with slotmap.
package owners

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// A Node is an owner.
type Node struct{ ID uint32 }

// Number returns the ID.
func (n *Node) Number() uint32 { return n.ID }

// A Numbered is a node as rueidis and valkey-go keep it, behind an interface.
type Numbered interface{ Number() uint32 }

// Array is a bare array of numbers, with the owners beside it, behind an atomic pointer.
type Array struct{ Table atomic.Pointer[ArrayTable] }

// An ArrayTable is the contents of an Array.
type ArrayTable struct {
	Index  [hashslot.Count]uint16 // indexes into Owners; Owners[0] means unassigned
	Owners []*Node
}

// Lookup returns the owner of s.
func (m *Array) Lookup(s hashslot.Slot) (*Node, bool) {
	t := m.Table.Load()
	if s >= hashslot.Count {
		return nil, false
	}
	i := t.Index[s]
	return t.Owners[i], i != 0
}

// Sorted is a binary search over sorted ranges behind an atomic pointer, and a read of the
// clock: go-redis.
type Sorted struct {
	p       atomic.Pointer[sortedTable]
	Reloads int // how often a client would have asked the servers again
}

type sortedTable struct {
	made   time.Time
	ranges []Owned
}

// Owned is a range and its owner.
type Owned struct {
	slotmap.Range
	Owner *Node
}

// Ranges returns all ranges.
func (m *Sorted) Ranges() []Owned { return m.p.Load().ranges }

// Lookup returns the owner of s.
func (m *Sorted) Lookup(s hashslot.Slot) (*Node, bool) {
	t := m.p.Load()
	if time.Since(t.made) > time.Hour {
		m.Reloads++
	}
	i := sort.Search(len(t.ranges), func(i int) bool { return t.ranges[i].Last >= s })
	if i == len(t.ranges) || t.ranges[i].First > s {
		return nil, false
	}
	return t.ranges[i].Owner, true
}

// Locked is [16384]interface under an RWMutex: rueidis and valkey-go.
type Locked struct {
	mu     sync.RWMutex
	owners [hashslot.Count]Numbered
}

// Lookup returns the owner of s.
func (m *Locked) Lookup(s hashslot.Slot) (Numbered, bool) {
	m.mu.RLock()
	n := m.owners[s]
	m.mu.RUnlock()
	return n, n != nil
}

// Set gives s to n.
func (m *Locked) Set(s hashslot.Slot, n Numbered) {
	m.mu.Lock()
	m.owners[s] = n
	m.mu.Unlock()
}

// Addresses is [16384][]string and a map from addresses to pools, both under one Mutex:
// redisc.
type Addresses struct {
	mu     sync.Mutex
	owners [hashslot.Count][]string
	pools  map[string]*Node
}

// Lookup returns the owner of s.
func (m *Addresses) Lookup(s hashslot.Slot) (*Node, bool) {
	m.mu.Lock()
	addrs := m.owners[s]
	m.mu.Unlock()
	if len(addrs) == 0 {
		return nil, false
	}
	m.mu.Lock()
	n := m.pools[addrs[0]]
	m.mu.Unlock()
	return n, n != nil
}

// Addr returns the address of an owner.
func Addr(owner int) string { return fmt.Sprintf("10.0.%d.%d:6379", owner/256, owner%256) }

// A Layout is a way to spread the slots over owners.
type Layout struct {
	Name   string
	Owners int
	Of     func(slot int) int // a number from 0
}

// Layouts returns the layouts that are compared.
func Layouts() []Layout {
	var all []Layout
	for _, n := range []int{3, 16, 100, 1000} {
		all = append(all, Layout{fmt.Sprintf("owners=%d", n), n, func(s int) int { return s * n / hashslot.Count }})
	}
	moved := func(n int) Layout {
		to := map[int]int{}
		rng := rand.New(rand.NewPCG(1, 1))
		for len(to) < 100 {
			to[rng.IntN(hashslot.Count)] = rng.IntN(n)
		}
		return Layout{fmt.Sprintf("owners=%d/moved=100", n), n, func(s int) int {
			if owner, ok := to[s]; ok {
				return owner
			}
			return s * n / hashslot.Count
		}}
	}
	return append(all,
		moved(16),
		moved(1000),
		Layout{"owners=2/alternating", 2, func(s int) int { return s & 1 }},
	)
}

// Contenders hold the same owners, each in its own structure.
type Contenders struct {
	Nodes     []*Node
	Map       slotmap.Map[*Node]
	Array     Array
	Sorted    Sorted
	Locked    Locked
	Addresses Addresses
}

// New returns contenders that hold l.
func New(l Layout) *Contenders {
	c := new(Contenders)
	var b slotmap.Builder[*Node]
	c.Addresses.pools = map[string]*Node{}
	for i := range l.Owners {
		c.Nodes = append(c.Nodes, &Node{uint32(i)*2654435761 + 1})
		c.Addresses.pools[Addr(i)] = c.Nodes[i]
	}
	at := &ArrayTable{Owners: append([]*Node{nil}, c.Nodes...)}
	st := &sortedTable{made: time.Now()}
	for s := range hashslot.Count {
		slot, owner := hashslot.Slot(s), l.Of(s)
		r := slotmap.Range{First: slot, Last: slot}
		b.Assign(r, c.Nodes[owner])
		at.Index[s] = uint16(owner + 1)
		if s > 0 && l.Of(s-1) == owner {
			st.ranges[len(st.ranges)-1].Last = slot
		} else {
			st.ranges = append(st.ranges, Owned{r, c.Nodes[owner]})
		}
		c.Locked.owners[s] = c.Nodes[owner]
		c.Addresses.owners[s] = []string{Addr(owner)}
	}
	c.Map.Store(b.Build())
	c.Array.Table.Store(at)
	c.Sorted.p.Store(st)
	return c
}

// Step computes the next random slot, in the 14 highest bits, from the last one and a
// number of its owner.
func Step(x, id uint32) uint32 { return x*1664525 + id }
