package slotmap_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// splitSlowly divides places by label: groups in the order of their first
// places.
func splitSlowly[L comparable](labels []L) (order []L, places map[L][]int) {
	places = map[L][]int{}
	for i, l := range labels {
		if places[l] == nil {
			order = append(order, l)
		}
		places[l] = append(places[l], i)
	}
	return order, places
}

func splitKeys(rng *rand.Rand, n int) (keys []string, raw [][]byte) {
	for range n {
		key := fmt.Sprint("key:", rng.IntN(max(n, 1)))
		if rng.IntN(4) == 0 {
			key = fmt.Sprintf("{tag%d}:%s", rng.IntN(5), key)
		}
		keys, raw = append(keys, key), append(raw, []byte(key))
	}
	return keys, raw
}

func TestSplit(t *testing.T) {
	const seed = 1
	rng := rand.New(rand.NewPCG(seed, 0))
	// The same splitters serve all sizes and tables, so nothing of one call may
	// show in the next.
	var bySlot slotmap.SlotSplitter
	var byOwner slotmap.OwnerSplitter[string]
	var tables []*slotmap.Table[string]
	for _, owners := range []int{0, 1, 3, 100, 5000} {
		var b slotmap.Builder[string]
		for i := range owners * 3 {
			s := rng.IntN(hashslot.Count)
			r := slotmap.Range{First: hashslot.Slot(s), Last: hashslot.Slot(min(s+20_000/owners, hashslot.Count-1))}
			b.Assign(r, fmt.Sprint("n", i%owners))
		}
		b.Unassign(slotmap.MustParseRange("1000-3000"))
		tables = append(tables, b.Build())
	}
	others := []string{"some", "other", "keys"}
	for _, n := range []int{0, 1, 2, 3, 17, 1000, 20_000, 5, 0, 1000} {
		keys, raw := splitKeys(rng, n)
		slots := hashslot.AppendOf(nil, keys)
		slotOrder, slotPlaces := splitSlowly(slots)

		check := func(groups []slotmap.SlotGroup) {
			t.Helper()
			require.Len(t, groups, len(slotOrder))
			for i, g := range groups {
				if g.Slot != slotOrder[i] || !slices.Equal(g.Keys, slotPlaces[g.Slot]) {
					t.Fatalf("group %d: slot %d of keys %d, want slot %d of %d", i, g.Slot, g.Keys, slotOrder[i], slotPlaces[slotOrder[i]])
				}
			}
		}
		check(bySlot.Split(keys))
		bySlot.Split(others) // the next call must not see the keys of this one
		check(bySlot.SplitBytes(raw))

		for _, table := range tables {
			owners := make([]string, n)
			for i, s := range slots {
				owners[i], _ = table.Lookup(s)
			}
			order, places := splitSlowly(owners)
			nobodys := places[""]
			order = slices.DeleteFunc(order, func(o string) bool { return o == "" })
			check := func(groups []slotmap.OwnerGroup[string], unassigned []int) {
				t.Helper()
				require.Len(t, groups, len(order))
				for i, g := range groups {
					if g.Owner != order[i] || !slices.Equal(g.Keys, places[g.Owner]) {
						t.Fatalf("group %d: keys %d of %s, want %d of %s", i, g.Keys, g.Owner, places[order[i]], order[i])
					}
				}
				require.Equal(t, len(nobodys), len(unassigned))
				require.True(t, slices.Equal(nobodys, unassigned))
			}
			check(byOwner.Split(table, keys))
			byOwner.Split(table, others)
			check(byOwner.SplitBytes(table, raw))

			slotsOf := map[string][]hashslot.Slot{} // in the order of their first keys
			for _, s := range slotOrder {
				owner, _ := table.Lookup(s)
				slotsOf[owner] = append(slotsOf[owner], s)
			}
			same := func(want []hashslot.Slot, got []slotmap.SlotGroup) {
				t.Helper()
				require.Len(t, got, len(want))
				for i, g := range got {
					if g.Slot != want[i] || !slices.Equal(g.Keys, slotPlaces[g.Slot]) {
						t.Fatalf("group %d: slot %d of keys %d, want slot %d of %d", i, g.Slot, g.Keys, want[i], slotPlaces[want[i]])
					}
				}
			}
			checkBySlot := func(groups []slotmap.OwnerSlots[string], unassigned []slotmap.SlotGroup) {
				t.Helper()
				require.Len(t, groups, len(order))
				for i, g := range groups {
					require.Equal(t, order[i], g.Owner)
					same(slotsOf[g.Owner], g.Slots)
				}
				same(slotsOf[""], unassigned)
			}
			checkBySlot(byOwner.SplitBySlot(table, keys))
			byOwner.SplitBySlot(table, others)
			checkBySlot(byOwner.SplitBySlotBytes(table, raw))
		}
	}
}

// Appending to a group does not write into the next group.
func TestGroupsAreApart(t *testing.T) {
	var sp slotmap.SlotSplitter
	groups := sp.Split([]string{"a", "b", "c", "{a}"})
	require.Len(t, groups, 3)
	_ = append(groups[0].Keys, 99)
	assert.Equal(t, []int{1}, groups[1].Keys)
	assert.Equal(t, []int{0, 3}, groups[0].Keys)

	var byOwner slotmap.OwnerSplitter[string]
	owned, unassigned := byOwner.Split(tableOf(t, "a", "0-10000"), []string{"foo", "bar"}) // 12182, 5061
	require.Len(t, owned, 1)
	_ = append(unassigned, 99)
	assert.Equal(t, []int{1}, owned[0].Keys)
	assert.Equal(t, []int{0}, unassigned)

	both, none := byOwner.SplitBySlot(tableOf(t, "a", "0-13000"), []string{"foo", "bar", "{foo}2", "mykey", "x"}) // 12182, 5061, 14687, 16287
	require.Len(t, both, 1)
	require.Len(t, both[0].Slots, 2)
	_ = append(both[0].Slots, slotmap.SlotGroup{})
	_ = append(both[0].Slots[1].Keys, 99)
	assert.Equal(t, []int{0, 2}, both[0].Slots[0].Keys)
	assert.Equal(t, []slotmap.SlotGroup{{Slot: 14687, Keys: []int{3}}, {Slot: 16287, Keys: []int{4}}}, none)
}

// A splitter does not keep alive the owners of the call before the last.
func TestSplitForgetsOwners(t *testing.T) {
	type node struct{ _ [100]byte }
	var sp slotmap.OwnerSplitter[*node]
	split := func(set string, bySlot bool) weak.Pointer[node] {
		owner := new(node)
		var b slotmap.Builder[*node]
		assign(t, &b, set, owner)
		if bySlot {
			sp.SplitBySlot(b.Build(), []string{"foo"})
		} else {
			sp.Split(b.Build(), []string{"foo"})
		}
		return weak.Make(owner)
	}
	for i := range 4 {
		owner := split("0-16383", i&1 != 0)
		runtime.GC()
		assert.NotNil(t, owner.Value())
		split("0", i&2 != 0)
		runtime.GC()
		assert.Nil(t, owner.Value())
	}
	runtime.KeepAlive(&sp)
}

func TestSplitAllocatesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	keys, raw := splitKeys(rng, 1000)
	var bySlot slotmap.SlotSplitter
	var byOwner, byBoth slotmap.OwnerSplitter[*int] // neither has what the other made
	for _, table := range []*slotmap.Table[*int]{even(t, 3), even(t, 1000), alternating(t, 2)} {
		all := func(n int) {
			bySlot.Split(keys[:n])
			bySlot.SplitBytes(raw[:n])
			byOwner.Split(table, keys[:n])
			byOwner.SplitBytes(table, raw[:n])
			byBoth.SplitBySlot(table, keys[:n])
			byBoth.SplitBySlotBytes(table, raw[:n])
		}
		all(len(keys))
		n := 0
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			all(n)
			n += 10
		}))
	}
}
