package bench

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/bench/internal/owners"
	"github.com/hashslot/hashslot/slotmap"
)

// The owner of a slot: slotmap beside the structures of clients, each in its simplest
// form.
//
//	map      slotmap.Map
//	array    a bare [16384]uint16 with the owners beside it, behind an atomic pointer
//	sorted   a binary search over sorted ranges behind an atomic pointer, and a read
//	         of the clock: go-redis
//	locked   [16384]interface under an RWMutex: rueidis and valkey-go
//	none     no lookup: the time of the loop itself

var mapSink uint32

const randomSlots = 4096

func someSlots() (slots [randomSlots]hashslot.Slot) {
	rng := rand.New(rand.NewPCG(2, 2))
	for i := range slots {
		slots[i] = hashslot.Slot(rng.IntN(hashslot.Count))
	}
	return slots
}

// BenchmarkLookup does random lookups that do not depend on each other.
func BenchmarkLookup(b *testing.B) {
	slots := someSlots()
	for _, l := range owners.Layouts() {
		c := owners.New(l)
		b.Run(l.Name+"/by=map", func(b *testing.B) {
			sum := uint32(0)
			for i := range b.N {
				if n, ok := c.Map.Lookup(slots[i%randomSlots]); ok {
					sum += n.ID
				}
			}
			mapSink += sum
		})
		b.Run(l.Name+"/by=array", func(b *testing.B) {
			sum := uint32(0)
			for i := range b.N {
				if n, ok := c.Array.Lookup(slots[i%randomSlots]); ok {
					sum += n.ID
				}
			}
			mapSink += sum
		})
		b.Run(l.Name+"/by=sorted", func(b *testing.B) {
			sum := uint32(0)
			for i := range b.N {
				if n, ok := c.Sorted.Lookup(slots[i%randomSlots]); ok {
					sum += n.ID
				}
			}
			mapSink += sum
		})
		b.Run(l.Name+"/by=locked", func(b *testing.B) {
			sum := uint32(0)
			for i := range b.N {
				if n, ok := c.Locked.Lookup(slots[i%randomSlots]); ok {
					sum += n.Number()
				}
			}
			mapSink += sum
		})
	}
}

// BenchmarkLookupDependent does random, dependent lookups: each slot comes from the owner
// found before it.
func BenchmarkLookupDependent(b *testing.B) {
	for _, l := range owners.Layouts() {
		c := owners.New(l)
		b.Run(l.Name+"/by=map", func(b *testing.B) {
			x := uint32(1)
			for range b.N {
				if n, ok := c.Map.Lookup(hashslot.Slot(x >> 18)); ok {
					x = owners.Step(x, n.ID)
				}
			}
			mapSink += x
		})
		b.Run(l.Name+"/by=array", func(b *testing.B) {
			x := uint32(1)
			for range b.N {
				if n, ok := c.Array.Lookup(hashslot.Slot(x >> 18)); ok {
					x = owners.Step(x, n.ID)
				}
			}
			mapSink += x
		})
		b.Run(l.Name+"/by=sorted", func(b *testing.B) {
			x := uint32(1)
			for range b.N {
				if n, ok := c.Sorted.Lookup(hashslot.Slot(x >> 18)); ok {
					x = owners.Step(x, n.ID)
				}
			}
			mapSink += x
		})
		b.Run(l.Name+"/by=locked", func(b *testing.B) {
			x := uint32(1)
			for range b.N {
				if n, ok := c.Locked.Lookup(hashslot.Slot(x >> 18)); ok {
					x = owners.Step(x, n.Number())
				}
			}
			mapSink += x
		})
	}
}

// A working set of 256 KiB. A few of its cache lines are read between lookups, in place of
// a client's other work.
type workingSet [256 << 10 / 64][8]uint64

// touch reads random lines of w and returns 0. The compiler does not know that it is 0, so
// code that adds the result waits for the lines.
func (w *workingSet) touch(x uint32, lines int) uint32 {
	sum := uint64(0)
	for range lines {
		x = x*1664525 + 1013904223
		sum += w[x>>20&(1<<12-1)][x>>17&7]
	}
	return uint32(sum)
}

// BenchmarkLookupPressure does dependent lookups and reads other memory in between, so
// that large structures do not stay in the first-level cache. It reads a few lines between
// any two lookups, or many between bursts of lookups, like requests with many keys. For
// the time of a lookup, subtract by=none and divide by the number of lookups.
func BenchmarkLookupPressure(b *testing.B) {
	w := new(workingSet)
	clear(w[:]) // otherwise all its pages could be one shared page of zeros
	for _, l := range owners.Layouts() {
		c := owners.New(l)
		for _, p := range []struct{ lines, lookups int }{{4, 1}, {16, 1}, {64, 1}, {len(w), 64}} {
			run := func(by string, lookup func(x uint32) uint32) {
				b.Run(fmt.Sprintf("%s/lines=%d/lookups=%d/by=%s", l.Name, p.lines, p.lookups, by), func(b *testing.B) {
					x := uint32(1)
					for range b.N {
						x = lookup(x)
						x += w.touch(x, p.lines)
					}
					mapSink += x
				})
			}
			run("none", func(x uint32) uint32 {
				for range p.lookups {
					x = owners.Step(x, x>>18|1)
				}
				return x
			})
			run("map", func(x uint32) uint32 {
				for range p.lookups {
					if n, ok := c.Map.Lookup(hashslot.Slot(x >> 18)); ok {
						x = owners.Step(x, n.ID)
					}
				}
				return x
			})
			run("array", func(x uint32) uint32 {
				for range p.lookups {
					if n, ok := c.Array.Lookup(hashslot.Slot(x >> 18)); ok {
						x = owners.Step(x, n.ID)
					}
				}
				return x
			})
			run("sorted", func(x uint32) uint32 {
				for range p.lookups {
					if n, ok := c.Sorted.Lookup(hashslot.Slot(x >> 18)); ok {
						x = owners.Step(x, n.ID)
					}
				}
				return x
			})
		}
	}
}

// BenchmarkLookupBesideWriter has two readers that look slots up while a third goroutine
// gives single slots to other owners. It writes in bursts, because its clock is too coarse
// for single writes. On fewer than three CPUs the writer falls behind: writes/s is the
// number of writes that it achieved.
func BenchmarkLookupBesideWriter(b *testing.B) {
	const readers = 2
	slots := someSlots()
	l := owners.Layouts()[1]
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
		c := owners.New(l)
		name := fmt.Sprintf("%s/writes=%d", l.Name, perSecond)
		b.Run(name+"/by=map", func(b *testing.B) {
			beside(b, func(i int) { patchMap(c, i) }, func(i int) uint32 {
				n, _ := c.Map.Lookup(slots[i])
				return n.ID
			})
		})
		b.Run(name+"/by=array", func(b *testing.B) {
			beside(b, func(i int) { patchArray(c, i) }, func(i int) uint32 {
				n, _ := c.Array.Lookup(slots[i])
				return n.ID
			})
		})
		b.Run(name+"/by=locked", func(b *testing.B) {
			beside(b, func(i int) { patchLocked(c, i) }, func(i int) uint32 {
				n, _ := c.Locked.Lookup(slots[i])
				return n.Number()
			})
		})
	}
}

// The i-th patch gives a slot to another owner. The patch after it gives the slot back, so
// the table does not grow with the number of patches.
func patch(c *owners.Contenders, i int) (hashslot.Slot, *owners.Node) {
	s := i / 2 * 7919 % hashslot.Count
	owner := s * len(c.Nodes) / hashslot.Count
	if i%2 == 0 {
		owner = (owner + 1) % len(c.Nodes)
	}
	return hashslot.Slot(s), c.Nodes[owner]
}

func patchMap(c *owners.Contenders, i int) {
	s, n := patch(c, i)
	c.Map.Update(func(b *slotmap.Builder[*owners.Node]) {
		b.Assign(slotmap.Range{First: s, Last: s}, n)
	})
}

func patchArray(c *owners.Contenders, i int) {
	s, n := patch(c, i)
	next := new(owners.ArrayTable)
	*next = *c.Array.Table.Load()
	for k, o := range next.Owners {
		if o == n {
			next.Index[s] = uint16(k)
		}
	}
	c.Array.Table.Store(next)
}

func patchLocked(c *owners.Contenders, i int) {
	s, n := patch(c, i)
	c.Locked.Set(s, n)
}

// BenchmarkPatch gives one slot to another owner.
func BenchmarkPatch(b *testing.B) {
	for _, l := range owners.Layouts()[:4] {
		c := owners.New(l)
		for _, by := range []struct {
			name  string
			patch func(*owners.Contenders, int)
		}{{"map", patchMap}, {"array", patchArray}, {"locked", patchLocked}} {
			b.Run(l.Name+"/by="+by.name, func(b *testing.B) {
				b.ReportAllocs()
				for i := range b.N {
					by.patch(c, i)
				}
			})
		}
	}
}

// BenchmarkBuild builds a table from all ranges.
func BenchmarkBuild(b *testing.B) {
	for _, l := range owners.Layouts() {
		c := owners.New(l)
		ranges := c.Sorted.Ranges()
		b.Run(l.Name+"/by=map", func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				var builder slotmap.Builder[*owners.Node]
				for _, r := range ranges {
					builder.Assign(r.Range, r.Owner)
				}
				c.Map.Store(builder.Build())
			}
		})
		b.Run(l.Name+"/by=array", func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				t := new(owners.ArrayTable)
				t.Owners = append(t.Owners, nil)
				index := map[*owners.Node]uint16{}
				for _, r := range ranges {
					i, ok := index[r.Owner]
					if !ok {
						i = uint16(len(t.Owners))
						t.Owners = append(t.Owners, r.Owner)
						index[r.Owner] = i
					}
					for s := r.First; s <= r.Last; s++ {
						t.Index[s] = i
					}
				}
				c.Array.Table.Store(t)
			}
		})
	}
}

// The hashing that go-redis, rueidis and valkey-go share: a search for the tag, then one
// lookup in a table of 256 words for each byte.

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

// BenchmarkLookupKey goes from keys to owners.
func BenchmarkLookupKey(b *testing.B) {
	for _, l := range []owners.Layout{owners.Layouts()[0], owners.Layouts()[1], owners.Layouts()[3]} {
		c := owners.New(l)
		for _, length := range []int{8, 16, 32, 64} {
			keys := someKeys(1024, length)
			name := fmt.Sprintf("%s/bytes=%d", l.Name, length)
			b.Run(name+"/by=map", func(b *testing.B) {
				sum := uint32(0)
				for i := range b.N {
					if _, n, ok := c.Map.LookupKey(keys[i%1024]); ok {
						sum += n.ID
					}
				}
				mapSink += sum
			})
			raw := make([][]byte, len(keys))
			for i, key := range keys {
				raw[i] = []byte(key)
			}
			b.Run(name+"/by=map-bytes", func(b *testing.B) {
				sum := uint32(0)
				for i := range b.N {
					if _, n, ok := c.Map.LookupKeyBytes(raw[i%1024]); ok {
						sum += n.ID
					}
				}
				mapSink += sum
			})
			b.Run(name+"/by=sorted", func(b *testing.B) {
				sum := uint32(0)
				for i := range b.N {
					if n, ok := c.Sorted.Lookup(slotByByte(keys[i%1024])); ok {
						sum += n.ID
					}
				}
				mapSink += sum
			})
			b.Run(name+"/by=locked", func(b *testing.B) {
				sum := uint32(0)
				for i := range b.N {
					if n, ok := c.Locked.Lookup(slotByByte(keys[i%1024])); ok {
						sum += n.Number()
					}
				}
				mapSink += sum
			})
		}
	}
}

// BenchmarkSplit divides keys of 16 bytes by owner, by slot, and by both. The times are
// those of all keys.
//
//	splitter   slotmap.OwnerSplitter, slotmap.SlotSplitter
//	maps       what clients write: a hash for each key, and appends to a map of slices
//	maps+hash  the same with the slots from hashslot.AppendOf
func BenchmarkSplit(b *testing.B) {
	for _, l := range owners.Layouts()[:4] {
		c := owners.New(l)
		t := c.Map.Load()
		for _, n := range []int{16, 100, 1000, 10_000} {
			keys := someKeys(n, 16)
			name := fmt.Sprintf("%s/keys=%d", l.Name, n)
			b.Run(name+"/of=owner/by=splitter", func(b *testing.B) {
				var sp slotmap.OwnerSplitter[*owners.Node]
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
					groups := map[*owners.Node][]int{}
					for i, key := range keys {
						n, _ := c.Sorted.Lookup(slotByByte(key))
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
					groups := map[*owners.Node][]int{}
					for i, slot := range slots {
						n, _ := c.Map.Lookup(slot)
						groups[n] = append(groups[n], i)
					}
					mapSink += uint32(len(groups))
				}
			})
			b.Run(name+"/of=owner-and-slot/by=splitter", func(b *testing.B) {
				var sp slotmap.OwnerSplitter[*owners.Node]
				sp.SplitBySlot(t, keys)
				b.ReportAllocs()
				for b.Loop() {
					groups, _ := sp.SplitBySlot(t, keys)
					mapSink += uint32(len(groups))
				}
			})
			b.Run(name+"/of=owner-and-slot/by=maps", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					groups := map[*owners.Node]map[hashslot.Slot][]int{}
					for i, key := range keys {
						s := slotByByte(key)
						n, _ := c.Sorted.Lookup(s)
						if groups[n] == nil {
							groups[n] = map[hashslot.Slot][]int{}
						}
						groups[n][s] = append(groups[n][s], i)
					}
					mapSink += uint32(len(groups))
				}
			})
			if l.Owners != 16 {
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
