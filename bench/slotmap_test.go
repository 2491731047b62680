package bench

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// Who owns a slot: slotmap beside the ways in which clients keep the same, each
// in its simplest form.
//
//	map      slotmap.Map
//	array    a bare [16384]uint16 with the owners beside it, behind an atomic pointer
//	sorted   ranges in order and a binary search, behind an atomic pointer and with
//	         a look at the clock: go-redis
//	locked   [16384]interface under a RWMutex: rueidis and valkey-go
//	none     no lookup: what the loop itself takes

type node struct{ id uint32 }

func (n *node) number() uint32 { return n.id }

type numbered interface{ number() uint32 }

type arrayMap struct{ p atomic.Pointer[arrayTable] }

type arrayTable struct {
	index  [hashslot.Count]uint16 // 1 and up; owners[0] is nobody
	owners []*node
}

func (m *arrayMap) Lookup(s hashslot.Slot) (*node, bool) {
	t := m.p.Load()
	if s >= hashslot.Count {
		return nil, false
	}
	i := t.index[s]
	return t.owners[i], i != 0
}

type sortedMap struct{ p atomic.Pointer[sortedTable] }

type sortedTable struct {
	made   time.Time
	ranges []ownedRange
}

type ownedRange struct {
	slotmap.Range
	owner *node
}

var reloads int // how often sortedMap would have asked the servers again

func (m *sortedMap) Lookup(s hashslot.Slot) (*node, bool) {
	t := m.p.Load()
	if time.Since(t.made) > time.Hour {
		reloads++
	}
	i := sort.Search(len(t.ranges), func(i int) bool { return t.ranges[i].Last >= s })
	if i == len(t.ranges) || t.ranges[i].First > s {
		return nil, false
	}
	return t.ranges[i].owner, true
}

type lockedMap struct {
	mu     sync.RWMutex
	owners [hashslot.Count]numbered
}

func (m *lockedMap) Lookup(s hashslot.Slot) (numbered, bool) {
	m.mu.RLock()
	n := m.owners[s]
	m.mu.RUnlock()
	return n, n != nil
}

// A layout is a way to spread the slots over owners.
type layout struct {
	name   string
	owners int
	of     func(slot int) int // 0 and up
}

func layouts() []layout {
	var all []layout
	for _, n := range []int{3, 16, 100, 1000} {
		all = append(all, layout{fmt.Sprintf("owners=%d", n), n, func(s int) int { return s * n / hashslot.Count }})
	}
	moved := map[int]int{}
	rng := rand.New(rand.NewPCG(1, 1))
	for len(moved) < 100 {
		moved[rng.IntN(hashslot.Count)] = rng.IntN(16)
	}
	return append(all,
		layout{"owners=16/moved=100", 16, func(s int) int {
			if to, ok := moved[s]; ok {
				return to
			}
			return s * 16 / hashslot.Count
		}},
		layout{"owners=2/alternating", 2, func(s int) int { return s & 1 }},
	)
}

type contenders struct {
	nodes   []*node
	builder slotmap.Builder[*node]
	mapped  slotmap.Map[*node]
	array   arrayMap
	sorted  sortedMap
	locked  lockedMap
}

func newContenders(l layout) *contenders {
	c := new(contenders)
	for i := range l.owners {
		c.nodes = append(c.nodes, &node{uint32(i)*2654435761 + 1})
	}
	at := &arrayTable{owners: append([]*node{nil}, c.nodes...)}
	st := &sortedTable{made: time.Now()}
	for s := range hashslot.Count {
		slot, owner := hashslot.Slot(s), l.of(s)
		r := slotmap.Range{First: slot, Last: slot}
		if err := c.builder.Assign(r, c.nodes[owner]); err != nil {
			panic(err)
		}
		at.index[s] = uint16(owner + 1)
		if s > 0 && l.of(s-1) == owner {
			st.ranges[len(st.ranges)-1].Last = slot
		} else {
			st.ranges = append(st.ranges, ownedRange{r, c.nodes[owner]})
		}
		c.locked.owners[s] = c.nodes[owner]
	}
	c.mapped.Store(c.builder.Build())
	c.array.p.Store(at)
	c.sorted.p.Store(st)
	return c
}

var mapSink uint32

const randomSlots = 4096

func someSlots() (slots [randomSlots]hashslot.Slot) {
	rng := rand.New(rand.NewPCG(2, 2))
	for i := range slots {
		slots[i] = hashslot.Slot(rng.IntN(hashslot.Count))
	}
	return slots
}

// BenchmarkLookup is random lookups that do not wait for each other.
func BenchmarkLookup(b *testing.B) {
	slots := someSlots()
	for _, l := range layouts() {
		c := newContenders(l)
		b.Run(l.name+"/by=map", func(b *testing.B) {
			sum := uint32(0)
			for i := range b.N {
				if n, ok := c.mapped.Lookup(slots[i%randomSlots]); ok {
					sum += n.id
				}
			}
			mapSink += sum
		})
		b.Run(l.name+"/by=array", func(b *testing.B) {
			sum := uint32(0)
			for i := range b.N {
				if n, ok := c.array.Lookup(slots[i%randomSlots]); ok {
					sum += n.id
				}
			}
			mapSink += sum
		})
		b.Run(l.name+"/by=sorted", func(b *testing.B) {
			sum := uint32(0)
			for i := range b.N {
				if n, ok := c.sorted.Lookup(slots[i%randomSlots]); ok {
					sum += n.id
				}
			}
			mapSink += sum
		})
		b.Run(l.name+"/by=locked", func(b *testing.B) {
			sum := uint32(0)
			for i := range b.N {
				if n, ok := c.locked.Lookup(slots[i%randomSlots]); ok {
					sum += n.number()
				}
			}
			mapSink += sum
		})
	}
}

// step takes the last slot and what its owner says to the next random slot.
func step(x, id uint32) uint32 { return x*1664525 + id }

// BenchmarkLookupDependent is random lookups of which each waits for the one
// before: the slot comes from the owner that was found.
func BenchmarkLookupDependent(b *testing.B) {
	for _, l := range layouts() {
		c := newContenders(l)
		b.Run(l.name+"/by=map", func(b *testing.B) {
			x := uint32(1)
			for range b.N {
				if n, ok := c.mapped.Lookup(hashslot.Slot(x >> 18)); ok {
					x = step(x, n.id)
				}
			}
			mapSink += x
		})
		b.Run(l.name+"/by=array", func(b *testing.B) {
			x := uint32(1)
			for range b.N {
				if n, ok := c.array.Lookup(hashslot.Slot(x >> 18)); ok {
					x = step(x, n.id)
				}
			}
			mapSink += x
		})
		b.Run(l.name+"/by=sorted", func(b *testing.B) {
			x := uint32(1)
			for range b.N {
				if n, ok := c.sorted.Lookup(hashslot.Slot(x >> 18)); ok {
					x = step(x, n.id)
				}
			}
			mapSink += x
		})
		b.Run(l.name+"/by=locked", func(b *testing.B) {
			x := uint32(1)
			for range b.N {
				if n, ok := c.locked.Lookup(hashslot.Slot(x >> 18)); ok {
					x = step(x, n.number())
				}
			}
			mapSink += x
		})
	}
}

// A working set of 256 KiB, of which a few cache lines are read between lookups
// as a client's other work would.
type workingSet [256 << 10 / 64][8]uint64

// touch reads lines of w at random. What it returns is 0, which the compiler
// does not know: whoever adds it waits for the lines.
func (w *workingSet) touch(x uint32, lines int) uint32 {
	sum := uint64(0)
	for range lines {
		x = x*1664525 + 1013904223
		sum += w[x>>20&(1<<12-1)][x>>17&7]
	}
	return uint32(sum)
}

// BenchmarkLookupPressure is dependent lookups between which other memory is
// read, so that what is large does not stay in the first-level cache. Subtract
// by=none.
func BenchmarkLookupPressure(b *testing.B) {
	w := new(workingSet)
	for _, l := range layouts() {
		c := newContenders(l)
		for _, lines := range []int{16, 64, len(w)} {
			name := fmt.Sprintf("%s/lines=%d", l.name, lines)
			b.Run(name+"/by=none", func(b *testing.B) {
				x := uint32(1)
				for range b.N {
					x = step(x, x>>18|1)
					x += w.touch(x, lines)
				}
				mapSink += x
			})
			b.Run(name+"/by=map", func(b *testing.B) {
				x := uint32(1)
				for range b.N {
					if n, ok := c.mapped.Lookup(hashslot.Slot(x >> 18)); ok {
						x = step(x, n.id)
					}
					x += w.touch(x, lines)
				}
				mapSink += x
			})
			b.Run(name+"/by=array", func(b *testing.B) {
				x := uint32(1)
				for range b.N {
					if n, ok := c.array.Lookup(hashslot.Slot(x >> 18)); ok {
						x = step(x, n.id)
					}
					x += w.touch(x, lines)
				}
				mapSink += x
			})
			b.Run(name+"/by=sorted", func(b *testing.B) {
				x := uint32(1)
				for range b.N {
					if n, ok := c.sorted.Lookup(hashslot.Slot(x >> 18)); ok {
						x = step(x, n.id)
					}
					x += w.touch(x, lines)
				}
				mapSink += x
			})
		}
	}
}

// BenchmarkLookupBesideWriter is lookups of two readers, while a third goroutine
// gives single slots to other owners, in bursts as its clock is too coarse for
// less. With less than three CPUs they share them, and the writer falls behind:
// writes/s is what it did.
func BenchmarkLookupBesideWriter(b *testing.B) {
	const readers = 2
	slots := someSlots()
	l := layouts()[1]
	for _, perSecond := range []int{0, 1_000, 100_000} {
		beside := func(b *testing.B, write func(i int), read func(i int) uint32) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(readers + 1))
			var writes atomic.Int64
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				start := time.Now()
				for perSecond > 0 {
					select {
					case <-stop:
						return
					default:
					}
					due := int64(time.Since(start).Seconds() * float64(perSecond))
					for i := writes.Load(); i < due; i++ {
						write(int(i))
						writes.Store(i + 1)
					}
					time.Sleep(50 * time.Microsecond)
				}
			}()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range readers {
				wg.Go(func() {
					sum := uint32(0)
					for i := range b.N / readers {
						sum += read(i % randomSlots)
					}
					atomic.AddUint32(&mapSink, sum)
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(writes.Load())/b.Elapsed().Seconds(), "writes/s")
			close(stop)
			<-stopped
		}
		c := newContenders(l)
		name := fmt.Sprintf("%s/writes=%d", l.name, perSecond)
		b.Run(name+"/by=map", func(b *testing.B) {
			beside(b, func(i int) { patchMap(c, i) }, func(i int) uint32 {
				n, _ := c.mapped.Lookup(slots[i])
				return n.id
			})
		})
		b.Run(name+"/by=array", func(b *testing.B) {
			beside(b, func(i int) { patchArray(c, i) }, func(i int) uint32 {
				n, _ := c.array.Lookup(slots[i])
				return n.id
			})
		})
		b.Run(name+"/by=locked", func(b *testing.B) {
			beside(b, func(i int) { patchLocked(c, i) }, func(i int) uint32 {
				n, _ := c.locked.Lookup(slots[i])
				return n.number()
			})
		})
	}
}

// The i-th patch gives a slot to another owner; after two patches it is where
// it was, so that the table does not grow with the number of patches.
func patch(c *contenders, i int) (hashslot.Slot, *node) {
	s := i / 2 * 7919 % hashslot.Count
	owner := s * len(c.nodes) / hashslot.Count
	if i%2 == 0 {
		owner = (owner + 1) % len(c.nodes)
	}
	return hashslot.Slot(s), c.nodes[owner]
}

func patchMap(c *contenders, i int) {
	s, n := patch(c, i)
	c.mapped.Update(func(b *slotmap.Builder[*node]) {
		if err := b.Assign(slotmap.Range{First: s, Last: s}, n); err != nil {
			panic(err)
		}
	})
}

func patchArray(c *contenders, i int) {
	s, n := patch(c, i)
	next := new(arrayTable)
	*next = *c.array.p.Load()
	for k, o := range next.owners {
		if o == n {
			next.index[s] = uint16(k)
		}
	}
	c.array.p.Store(next)
}

func patchLocked(c *contenders, i int) {
	s, n := patch(c, i)
	c.locked.mu.Lock()
	c.locked.owners[s] = n
	c.locked.mu.Unlock()
}

// BenchmarkPatch gives one slot to another owner.
func BenchmarkPatch(b *testing.B) {
	for _, l := range layouts()[:4] {
		c := newContenders(l)
		for _, by := range []struct {
			name  string
			patch func(*contenders, int)
		}{{"map", patchMap}, {"array", patchArray}, {"locked", patchLocked}} {
			b.Run(l.name+"/by="+by.name, func(b *testing.B) {
				b.ReportAllocs()
				for i := range b.N {
					by.patch(c, i)
				}
			})
		}
	}
}

// BenchmarkBuild makes a table of all ranges.
func BenchmarkBuild(b *testing.B) {
	for _, l := range layouts() {
		c := newContenders(l)
		ranges := c.sorted.p.Load().ranges
		b.Run(l.name+"/by=map", func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				var builder slotmap.Builder[*node]
				for _, r := range ranges {
					if err := builder.Assign(r.Range, r.owner); err != nil {
						b.Fatal(err)
					}
				}
				c.mapped.Store(builder.Build())
			}
		})
		b.Run(l.name+"/by=array", func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				t := new(arrayTable)
				t.owners = append(t.owners, nil)
				index := map[*node]uint16{}
				for _, r := range ranges {
					i, ok := index[r.owner]
					if !ok {
						i = uint16(len(t.owners))
						t.owners = append(t.owners, r.owner)
						index[r.owner] = i
					}
					for s := r.First; s <= r.Last; s++ {
						t.index[s] = i
					}
				}
				c.array.p.Store(t)
			}
		})
	}
}

// The hashing that go-redis, rueidis and valkey-go share: a search for the tag
// and a table of 256 words, a step for each byte.

var crcTable = func() (t [256]uint16) {
	for i := range t {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		t[i] = crc
	}
	return t
}()

func slotByByte(key string) hashslot.Slot {
	if open := strings.IndexByte(key, '{'); open >= 0 {
		if n := strings.IndexByte(key[open+1:], '}'); n > 0 {
			key = key[open+1 : open+1+n]
		}
	}
	crc := uint16(0)
	for i := range len(key) {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^key[i]]
	}
	return hashslot.Slot(crc % hashslot.Count)
}

func someKeys(n, length int) []string {
	rng := rand.New(rand.NewPCG(3, 3))
	keys := make([]string, n)
	for i := range keys {
		key := make([]byte, length)
		for j := range key {
			key[j] = 'a' + byte(rng.IntN(26))
		}
		keys[i] = string(key)
	}
	return keys
}

// BenchmarkLookupKey is keys to owners.
func BenchmarkLookupKey(b *testing.B) {
	for _, l := range []layout{layouts()[0], layouts()[1], layouts()[3]} {
		c := newContenders(l)
		for _, length := range []int{8, 16, 32, 64} {
			keys := someKeys(1024, length)
			name := fmt.Sprintf("%s/bytes=%d", l.name, length)
			b.Run(name+"/by=map", func(b *testing.B) {
				sum := uint32(0)
				for i := range b.N {
					if _, n, ok := c.mapped.LookupKey(keys[i%1024]); ok {
						sum += n.id
					}
				}
				mapSink += sum
			})
			b.Run(name+"/by=sorted", func(b *testing.B) {
				sum := uint32(0)
				for i := range b.N {
					if n, ok := c.sorted.Lookup(slotByByte(keys[i%1024])); ok {
						sum += n.id
					}
				}
				mapSink += sum
			})
			b.Run(name+"/by=locked", func(b *testing.B) {
				sum := uint32(0)
				for i := range b.N {
					if n, ok := c.locked.Lookup(slotByByte(keys[i%1024])); ok {
						sum += n.number()
					}
				}
				mapSink += sum
			})
		}
	}
}

// BenchmarkSplit divides keys of 16 bytes by owner and by slot. The times are
// those of all keys.
//
//	splitter   slotmap.OwnerSplitter, slotmap.SlotSplitter
//	maps       what clients write: a hash for each key, and appends to a map of slices
//	maps+hash  the same with the slots from hashslot.AppendOf
func BenchmarkSplit(b *testing.B) {
	for _, l := range layouts()[:4] {
		c := newContenders(l)
		t := c.mapped.Load()
		for _, n := range []int{16, 100, 1000, 10_000} {
			keys := someKeys(n, 16)
			name := fmt.Sprintf("%s/keys=%d", l.name, n)
			b.Run(name+"/of=owner/by=splitter", func(b *testing.B) {
				var sp slotmap.OwnerSplitter[*node]
				sp.Split(t, keys)
				b.ReportAllocs()
				for b.Loop() {
					groups, _ := sp.Split(t, keys)
					mapSink += uint32(len(groups))
				}
			})
			b.Run(name+"/of=owner/by=maps", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					groups := map[*node][]int{}
					for i, key := range keys {
						n, _ := c.sorted.Lookup(slotByByte(key))
						groups[n] = append(groups[n], i)
					}
					mapSink += uint32(len(groups))
				}
			})
			b.Run(name+"/of=owner/by=maps+hash", func(b *testing.B) {
				var slots []hashslot.Slot
				b.ReportAllocs()
				for b.Loop() {
					slots = hashslot.AppendOf(slots[:0], keys)
					groups := map[*node][]int{}
					for i, slot := range slots {
						n, _ := c.mapped.Lookup(slot)
						groups[n] = append(groups[n], i)
					}
					mapSink += uint32(len(groups))
				}
			})
			if l.owners != 16 {
				continue
			}
			b.Run(name+"/of=slot/by=splitter", func(b *testing.B) {
				var sp slotmap.SlotSplitter
				sp.Split(keys)
				b.ReportAllocs()
				for b.Loop() {
					mapSink += uint32(len(sp.Split(keys)))
				}
			})
			b.Run(name+"/of=slot/by=maps", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					groups := map[hashslot.Slot][]int{}
					for i, key := range keys {
						s := slotByByte(key)
						groups[s] = append(groups[s], i)
					}
					mapSink += uint32(len(groups))
				}
			})
		}
	}
}
