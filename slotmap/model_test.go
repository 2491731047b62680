package slotmap

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/cpu"

	"github.com/hashslot/hashslot"
)

// model is a table and a builder in the plainest form: an owner for each slot,
// "" for nobody.
type model [hashslot.Count]string

func (m *model) set(r Range, owner string) {
	for s := int(r.First); s <= int(r.Last); s++ {
		m[s] = owner
	}
}

// ranges returns all ranges, those that nobody owns too.
func (m *model) ranges() (ranges []Range, owners []string) {
	for s, owner := range m {
		if n := len(ranges); n > 0 && owners[n-1] == owner {
			ranges[n-1].Last = hashslot.Slot(s)
			continue
		}
		ranges = append(ranges, Range{hashslot.Slot(s), hashslot.Slot(s)})
		owners = append(owners, owner)
	}
	return ranges, owners
}

func (m *model) slotsOf(owner string) Set {
	var set Set
	for s, o := range m {
		if o == owner {
			_ = set.Add(hashslot.Slot(s))
		}
	}
	return set
}

// diff returns the changes from m to next, slot by slot and then joined.
func (m *model) diff(next *model) (changes []Change[string]) {
	for s := range m {
		if m[s] == next[s] {
			continue
		}
		slot := hashslot.Slot(s)
		c := Change[string]{Range{slot, slot}, m[s], next[s], m[s] != "", next[s] != ""}
		if n := len(changes); n > 0 {
			last := &changes[n-1]
			joined := *last
			joined.Range = c.Range
			if last.Range.Last+1 == slot && joined == c {
				last.Range.Last = slot
				continue
			}
		}
		changes = append(changes, c)
	}
	return changes
}

// check holds all that t says against m.
func (m *model) check(t *testing.T, table *Table[string]) {
	t.Helper()
	for s, want := range m {
		owner, ok := table.Lookup(hashslot.Slot(s))
		if owner != want || ok != (want != "") {
			require.Failf(t, "Lookup", "slot %d: %q, %v, want %q", s, owner, ok, want)
		}
	}
	ranges, rangeOwners := m.ranges()
	var owners []string
	var owned []Range
	var ownedBy []string
	for i, o := range rangeOwners {
		if o == "" {
			continue
		}
		owned, ownedBy = append(owned, ranges[i]), append(ownedBy, o)
		if !slices.Contains(owners, o) {
			owners = append(owners, o)
		}
	}
	var gotRanges []Range
	var gotOwners []string
	for r, o := range table.Ranges() {
		gotRanges = append(gotRanges, r)
		gotOwners = append(gotOwners, o)
	}
	require.Equal(t, owned, gotRanges)
	require.Equal(t, ownedBy, gotOwners)
	require.Equal(t, len(owned), table.Len())
	require.Equal(t, owners, slices.Collect(table.Owners()))
	require.Equal(t, m.slotsOf(""), table.Unassigned())
	for _, o := range owners[:min(len(owners), 3)] {
		require.Equal(t, m.slotsOf(o), table.SlotsOf(o))
	}
	require.Equal(t, Set{}, table.SlotsOf("somebody else"))
}

// shapes are ways to choose the next edit, so that tables of all forms come
// about.
var shapes = []struct {
	name   string
	owners int
	length int // of a range, at most
	start  bool
	gaps   bool
}{
	{"few owners, long ranges", 3, 8000, true, false},
	{"a few moved slots", 16, 1, true, false},
	{"many owners", 3000, 40, true, false},
	{"gaps", 16, 2000, false, true},
	{"single slots", 4, 3, true, true},
	{"single slots, no gaps, many owners", 5000, 3, true, false},
}

// form names the way in which slots of a table are looked up.
func form[N comparable](t *Table[N]) string {
	switch {
	case t.flat != nil:
		return "flat"
	case !slices.ContainsFunc(t.rank[:], func(k int16) bool { return k > 0 }):
		return "all blocks counted"
	case &t.own[0] == &t.owners[0]:
		return "few blocks counted, a range for each owner"
	}
	return "few blocks counted"
}

func TestForms(t *testing.T) {
	for owners, want := range map[int]string{
		16: "few blocks counted, a range for each owner", 100: "all blocks counted", 2048: "all blocks counted", 2049: "flat",
	} {
		var b Builder[int]
		for i := range owners {
			r := Range{hashslot.Slot(i * hashslot.Count / owners), hashslot.Slot((i+1)*hashslot.Count/owners - 1)}
			require.NoError(t, b.Assign(r, i))
		}
		require.Equal(t, want, form(b.Build()), "%d owners", owners)
	}
}

func TestTableIsTheModel(t *testing.T) {
	forms := map[string]int{}
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			const seed = 1
			rng := rand.New(rand.NewPCG(seed, 0))
			var m, beforeModel model
			b := new(Builder[string])
			edit := func(r Range, owner string) {
				m.set(r, owner)
				if owner == "" {
					require.NoError(t, b.Unassign(r))
				} else {
					require.NoError(t, b.Assign(r, owner))
				}
			}
			before := b.Build()
			m.check(t, before)
			if shape.start {
				for i := range min(shape.owners, 1000) {
					n := min(shape.owners, 1000)
					edit(Range{hashslot.Slot(i * hashslot.Count / n), hashslot.Slot((i+1)*hashslot.Count/n - 1)}, fmt.Sprint("n", i))
				}
			}
			for step := range 12 {
				for range 1 << step {
					first := rng.IntN(hashslot.Count)
					last := min(first+rng.IntN(shape.length), hashslot.Count-1)
					owner := fmt.Sprint("n", rng.IntN(shape.owners))
					if shape.gaps && rng.IntN(4) == 0 {
						owner = ""
					}
					edit(Range{hashslot.Slot(first), hashslot.Slot(last)}, owner)
					s := rng.IntN(hashslot.Count)
					got, ok := b.Lookup(hashslot.Slot(s))
					require.Equal(t, m[s], got)
					require.Equal(t, m[s] != "", ok)
				}
				after := b.Build()
				forms[form(after)]++
				m.check(t, after)
				require.Equal(t, beforeModel.diff(&m), slices.Collect(before.Diff(after)))
				require.Equal(t, m.diff(&beforeModel), slices.Collect(after.Diff(before)))
				require.Equal(t, beforeModel == m, before.Equal(after))
				if step%3 == 0 { // the same again, from the table
					b = after.Builder()
					again := b.Build()
					m.check(t, again)
					require.True(t, after.Equal(again))
				}
				before, beforeModel = after, m
			}
		})
	}
	require.Len(t, forms, 4, "%v: not all forms of a table came about", forms)
}

// In all tables of few ranges, a lookup counts the starts of ranges at the right
// places: at every slot, beside it, and at the ends of the blocks.
func TestEveryStart(t *testing.T) {
	for s := range hashslot.Count {
		first, next := s&^63, s&^63+64
		var b Builder[string]
		edit := func(first, last int, owner string) {
			if first < hashslot.Count {
				require.NoError(t, b.Assign(Range{hashslot.Slot(first), hashslot.Slot(min(last, hashslot.Count-1))}, owner))
			}
		}
		edit(0, hashslot.Count-1, "a")
		edit(s, s, "b")
		edit(next, next+6, "c")
		table := b.Build()
		for _, x := range []int{0, s - 1, s, s + 1, first, next - 1, first - 1, next, next + 6, next + 7, hashslot.Count - 1} {
			if x < 0 || x >= hashslot.Count {
				continue
			}
			want := "a"
			switch {
			case x == s:
				want = "b"
			case next <= x && x <= next+6:
				want = "c"
			}
			owner, ok := table.Lookup(hashslot.Slot(x))
			if !ok || owner != want {
				require.Failf(t, "Lookup", "start %d, slot %d: %q, want %q", s, x, owner, want)
			}
		}
	}
}

func TestMapIsPadded(t *testing.T) {
	var m Map[*int]
	pad := unsafe.Sizeof(cpu.CacheLinePad{})
	require.GreaterOrEqual(t, unsafe.Offsetof(m.table), pad)
	require.GreaterOrEqual(t, unsafe.Sizeof(m)-unsafe.Offsetof(m.table)-unsafe.Sizeof(m.table), pad)
}
