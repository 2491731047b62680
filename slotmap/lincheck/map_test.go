package lincheck

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// slots are the slots that operations use: the ends of the table, the two sides of a
// border between blocks of 64, and neighbours within a block. The other slots keep the
// owners of the base that the tables are built on.
var slots = [...]hashslot.Slot{0, 63, 64, 5000, 5001, 16383}

// contents are the owners of the slots; 0 means unassigned. Each write gives slot 0 to an
// owner that is used only once. So no two writes leave the same contents, and the model
// can identify the table that CompareAndSwap expects without pointers.
type contents [len(slots)]int

type kind string

const (
	lookup         kind = "Lookup"
	load           kind = "Load"
	store          kind = "Store"
	compareAndSwap kind = "CompareAndSwap"
	update         kind = "Update"
	updateNothing  kind = "Update to the same"
)

type input struct {
	kind  kind
	slot  int      // lookup, update: an index in slots
	owner int      // update: the new owner of slot
	stamp int      // update: the new owner of slot 0. compareAndSwap: that of the old table
	next  contents // store, compareAndSwap
}

type output struct {
	owner   int      // lookup
	seen    contents // load, and the updates: what the builder had at first
	swapped bool     // compareAndSwap
}

var model = porcupine.Model{
	Init: func() any { return contents{} },
	Step: func(state, in, out any) (bool, any) {
		s, i, o := state.(contents), in.(input), out.(output)
		switch i.kind {
		case lookup:
			return o.owner == s[i.slot], s
		case load, updateNothing:
			return o.seen == s, s
		case store:
			return true, i.next
		case compareAndSwap:
			if o.swapped != (s[0] == i.stamp) {
				return false, s
			}
			if o.swapped {
				return true, i.next
			}
			return true, s
		case update:
			next := s
			next[i.slot] = i.owner
			next[0] = i.stamp
			return o.seen == s, next
		}
		panic(i.kind)
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
	DescribeState:     func(state any) string { return fmt.Sprint(state) },
}

// recorder keeps the operations of one goroutine.
type recorder struct {
	client     int
	start      time.Time
	operations []porcupine.Operation
}

func (r *recorder) record(in input, do func() output) {
	call := time.Since(r.start)
	out := do()
	r.operations = append(r.operations, porcupine.Operation{
		ClientId: r.client, Input: in, Call: int64(call), Output: out, Return: int64(time.Since(r.start)),
	})
}

func set(b *slotmap.Builder[int], slot hashslot.Slot, owner int) {
	r := slotmap.Range{First: slot, Last: slot}
	b.Assign(r, owner)
	if owner == 0 {
		b.Unassign(r)
	}
}

func (c contents) build(base *slotmap.Table[int]) *slotmap.Table[int] {
	b := base.Builder()
	for i, slot := range slots {
		set(b, slot, c[i])
	}
	return b.Build()
}

func contentsOf(lookup func(hashslot.Slot) (int, bool)) (c contents) {
	for i, slot := range slots {
		c[i], _ = lookup(slot)
	}
	return c
}

// bases are tables of each form: empty, one range, single slots.
func bases() map[string]*slotmap.Table[int] {
	var whole, single slotmap.Builder[int]
	whole.Assign(slotmap.MustParseRange("0-16383"), -1)
	for s := range hashslot.Slot(hashslot.Count) {
		set(&single, s, -1-int(s%2))
	}
	return map[string]*slotmap.Table[int]{
		"nothing": new(slotmap.Table[int]), "one range": whole.Build(), "single slots": single.Build(),
	}
}

// history lets goroutines do n operations each, concurrently, and returns all operations.
func history(base *slotmap.Table[int], goroutines, n int, seed uint64) []porcupine.Operation {
	var m slotmap.Map[int]
	m.Store(contents{}.build(base))
	start := time.Now()
	recorders := make([]*recorder, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		r := &recorder{client: g, start: start}
		recorders[g] = r
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(g)))
			stamps := 1 + g*10*n
			next := func() (c contents) {
				for i := range c {
					c[i] = rng.IntN(4)
				}
				stamps++
				c[0] = stamps
				return c
			}
			var old *slotmap.Table[int]
			for range n {
				if rng.IntN(4) == 0 {
					runtime.Gosched()
				}
				switch k := rng.IntN(10); k {
				case 0, 1, 2, 3:
					slot := rng.IntN(len(slots))
					r.record(input{kind: lookup, slot: slot}, func() output {
						owner, _ := m.Lookup(slots[slot])
						return output{owner: owner}
					})
				case 4:
					r.record(input{kind: load}, func() output {
						old = m.Load()
						return output{seen: contentsOf(old.Lookup)}
					})
				case 5:
					c := next()
					t := c.build(base)
					r.record(input{kind: store, next: c}, func() output {
						m.Store(t)
						return output{}
					})
				case 6:
					if old == nil || rng.IntN(2) == 0 {
						old = m.Load()
					}
					stamp, _ := old.Lookup(slots[0])
					c := next()
					t := c.build(base)
					r.record(input{kind: compareAndSwap, stamp: stamp, next: c}, func() output {
						return output{swapped: m.CompareAndSwap(old, t)}
					})
				default:
					in := input{kind: update, slot: 1 + rng.IntN(len(slots)-1), owner: rng.IntN(4), stamp: next()[0]}
					if k == 7 {
						in = input{kind: updateNothing}
					}
					yields := rng.IntN(3)
					r.record(in, func() (out output) {
						m.Update(func(b *slotmap.Builder[int]) {
							out.seen = contentsOf(b.Lookup)
							for range yields {
								runtime.Gosched()
							}
							if in.kind == update {
								set(b, slots[in.slot], in.owner)
								set(b, slots[0], in.stamp)
							}
						})
						return out
					})
				}
			}
		})
	}
	wg.Wait()
	var all []porcupine.Operation
	for _, r := range recorders {
		all = append(all, r.operations...)
	}
	return all
}

// checkTimeout is far longer than a check takes. A check that times out shows nothing.
const checkTimeout = 5 * time.Minute

func TestMapIsLinearizable(t *testing.T) {
	for name, base := range bases() {
		t.Run(name, func(t *testing.T) {
			overlaps := 0
			seeds := uint64(30)
			if testing.Short() {
				seeds = 6
			}
			for seed := range seeds {
				h := history(base, 6, 40, seed)
				overlaps += overlapping(h)
				if got := porcupine.CheckOperationsTimeout(model, h, checkTimeout); got != porcupine.Ok {
					t.Fatalf("seed %d: %v", seed, got)
				}
			}
			if overlaps == 0 {
				t.Error("no two operations overlapped: nothing was shown")
			}
			t.Logf("%d operations overlapped the next", overlaps)
		})
	}
}

// overlapping returns the number of operations that overlap an operation of another client.
func overlapping(h []porcupine.Operation) (n int) {
	for i, a := range h {
		for _, b := range h[:i] {
			if a.ClientId != b.ClientId && a.Call <= b.Return && b.Call <= a.Return {
				n++
				break
			}
		}
	}
	return n
}

// The check works: it refuses histories of maps that are not linearizable.
func TestViolationsAreFound(t *testing.T) {
	operation := func(client int, call, ret int64, in input, out output) porcupine.Operation {
		return porcupine.Operation{ClientId: client, Call: call, Return: ret, Input: in, Output: out}
	}
	first := contents{1, 0, 0, 0, 0, 0}
	for name, h := range map[string][]porcupine.Operation{
		"a lost update: two saw the same table": {
			operation(0, 0, 10, input{kind: update, slot: 1, owner: 1, stamp: 1}, output{}),
			operation(1, 0, 10, input{kind: update, slot: 2, owner: 1, stamp: 2}, output{}),
		},
		"an old table after a new one": {
			operation(0, 0, 20, input{kind: store, next: first}, output{}),
			operation(1, 5, 6, input{kind: lookup, slot: 0}, output{owner: 1}),
			operation(2, 7, 8, input{kind: lookup, slot: 0}, output{owner: 0}),
		},
		"half a table": {
			operation(0, 0, 20, input{kind: store, next: contents{1, 1, 1, 1, 1, 1}}, output{}),
			operation(1, 0, 20, input{kind: load}, output{seen: contents{1, 1, 0, 0, 0, 0}}),
		},
		"two swaps of one table": {
			operation(0, 0, 10, input{kind: compareAndSwap, stamp: 0, next: contents{1}}, output{swapped: true}),
			operation(1, 0, 10, input{kind: compareAndSwap, stamp: 0, next: contents{2}}, output{swapped: true}),
		},
	} {
		if porcupine.CheckOperations(model, h) {
			t.Errorf("%s: found linearizable", name)
		}
	}
}
