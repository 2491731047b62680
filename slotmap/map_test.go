package slotmap_test

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

func tableOf(t testing.TB, owner string, set string) *slotmap.Table[string] {
	var b slotmap.Builder[string]
	assign(t, &b, set, owner)
	return b.Build()
}

func TestMapHoldsTables(t *testing.T) {
	var m slotmap.Map[string]
	owner, ok := m.Lookup(0)
	assert.Equal(t, "", owner)
	assert.False(t, ok)
	slot, _, ok := m.LookupKey("foo")
	assert.Equal(t, hashslot.Slot(12182), slot)
	assert.False(t, ok)

	empty := m.Load()
	require.NotNil(t, empty)
	assert.Same(t, empty, m.Load())
	a, b := tableOf(t, "a", "0-16383"), tableOf(t, "b", "0-16383")
	assert.False(t, m.CompareAndSwap(a, b))
	assert.True(t, m.CompareAndSwap(empty, a))
	assert.Same(t, a, m.Load())
	assert.False(t, m.CompareAndSwap(empty, b))
	assert.False(t, m.CompareAndSwap(tableOf(t, "a", "0-16383"), b), "equal is not the same")
	m.Store(b)
	assert.Same(t, b, m.Load())
	slot, owner, ok = m.LookupKey("{foo}bar")
	assert.Equal(t, hashslot.Slot(12182), slot)
	assert.Equal(t, "b", owner)
	assert.True(t, ok)
	slot, owner, ok = m.LookupKeyBytes([]byte("{foo}baz"))
	assert.Equal(t, hashslot.Slot(12182), slot)
	assert.Equal(t, "b", owner)
	assert.True(t, ok)
	slot, _, ok = m.LookupKeyBytes(nil)
	assert.Zero(t, slot)
	assert.True(t, ok)

	for _, nobodys := range []*slotmap.Table[string]{nil, {}} {
		m.Store(nobodys)
		_, ok = m.Lookup(16383)
		assert.False(t, ok)
		assert.Zero(t, m.Load().RangeCount())
		m.Store(b)
		assert.True(t, m.CompareAndSwap(b, nobodys))
		_, ok = m.Lookup(16383)
		assert.False(t, ok)
	}
}

func TestUpdate(t *testing.T) {
	var m slotmap.Map[string]
	m.Update(func(b *slotmap.Builder[string]) { assign(t, b, "0-9", "a") })
	assert.Equal(t, "0-9", m.Load().SlotsOf("a").String())

	before := m.Load()
	m.Update(func(b *slotmap.Builder[string]) {
		assign(t, b, "5", "b")
		assign(t, b, "5", "a")
	})
	assert.Same(t, before, m.Load(), "the same table, because nothing differs")

	// A table that others store during an update is neither lost nor overwritten.
	calls := 0
	m.Update(func(b *slotmap.Builder[string]) {
		calls++
		owner, _ := b.Lookup(0)
		if calls == 1 {
			assert.Equal(t, "a", owner)
			m.Store(tableOf(t, "c", "0-99"))
		} else {
			assert.Equal(t, "c", owner)
		}
		assign(t, b, "7", "b")
	})
	assert.Equal(t, 2, calls)
	assert.Equal(t, "c 0-6 8-99\nb 7\n(unassigned) 100-16383\n", m.Load().String())

	assert.Panics(t, func() {
		m.Update(func(b *slotmap.Builder[string]) {
			assign(t, b, "0-16383", "d")
			panic("in the middle")
		})
	})
	assert.Equal(t, "7", m.Load().SlotsOf("b").String())
	assert.True(t, m.Load().SlotsOf("d").IsEmpty())
}

// Many goroutines give slots to themselves, each one slot after the other.
func TestNoUpdateIsLost(t *testing.T) {
	const writers, each = 8, 200
	var m slotmap.Map[int]
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				s := hashslot.Slot(i*writers + w)
				m.Update(func(b *slotmap.Builder[int]) {
					b.Assign(slotmap.Range{First: s, Last: s}, w)
				})
				if owner, ok := m.Lookup(s); !ok || owner != w {
					t.Errorf("slot %d: %d, %v after it was given to %d", s, owner, ok, w)
				}
			}
		})
	}
	wg.Wait()
	table := m.Load()
	for s := range hashslot.Slot(writers * each) {
		owner, ok := table.Lookup(s)
		require.True(t, ok)
		require.Equal(t, int(s)%writers, owner)
	}
	assert.Equal(t, fmt.Sprintf("%d-16383", writers*each), table.Unassigned().String())
}

// Readers, Update, Store and CompareAndSwap run at once. All writers keep one invariant
// in each table: all slots of a group have the same owner, and each owner has the tag
// of its group. Tables of all forms are stored.
func TestMapUnderLoad(t *testing.T) {
	type owner struct{ group, version int }
	groups := func(size int) int { return hashslot.Count / size }
	var m slotmap.Map[*owner]
	const size = 4 // slots of a group
	rangeOf := func(group int) slotmap.Range {
		return slotmap.Range{First: hashslot.Slot(group * size), Last: hashslot.Slot(group*size + size - 1)}
	}
	build := func(n int) *slotmap.Table[*owner] { // gives the first n groups an owner each
		var b slotmap.Builder[*owner]
		for g := range n {
			b.Assign(rangeOf(g), &owner{g, 0})
		}
		return b.Build()
	}
	tables := []*slotmap.Table[*owner]{build(0), build(3), build(300), build(3000), build(groups(size))}

	var stop atomic.Bool
	var wg, readers sync.WaitGroup
	var lookups atomic.Int64
	for r := range 3 {
		readers.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(r)))
			for !stop.Load() {
				g := rng.IntN(groups(size))
				for i := range size {
					if o, ok := m.Lookup(hashslot.Slot(g*size + i)); ok != (o != nil) || ok && o.group != g {
						t.Errorf("group %d: %v, %v", g, o, ok)
					}
				}
				table := m.Load()
				first, _ := table.Lookup(hashslot.Slot(g * size))
				for i := range size {
					if o, _ := table.Lookup(hashslot.Slot(g*size + i)); o != first {
						t.Errorf("group %d: %v and %v in one table", g, first, o)
					}
				}
				lookups.Add(1)
			}
		})
	}
	rounds := 120
	if testing.Short() {
		rounds = 40
	}
	for w := range 3 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(2, uint64(w)))
			for i := range rounds {
				g := rng.IntN(groups(size))
				switch {
				case i%20 == 0:
					m.Store(tables[rng.IntN(len(tables))])
				case i%20 == 1:
					old := m.Load()
					m.CompareAndSwap(old, tables[rng.IntN(len(tables))])
				default:
					m.Update(func(b *slotmap.Builder[*owner]) {
						b.Assign(rangeOf(g), &owner{g, i})
						if i%3 == 0 {
							b.Unassign(rangeOf(g))
						}
					})
				}
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	readers.Wait()
	assert.NotZero(t, lookups.Load())
}

func TestVetFindsCopies(t *testing.T) {
	if testing.Short() {
		t.Skip("go vet takes long")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command is not here")
	}
	out, err := exec.Command("go", "vet", "-copylocks", "./testdata/copies").CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, 1, strings.Count(string(out), "copies lock value"), "%s", out)
}
