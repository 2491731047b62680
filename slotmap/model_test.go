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

// model is a table and a builder in the simplest form: an owner for each slot, or "" for
// none.
type model [hashslot.Count]string

func (m *model) set(r Range, owner string) {
	for s := int(r.First); s <= int(r.Last); s++ {
		m[s] = owner
	}
}

// ranges returns all ranges, including those without an owner.
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
			set.Add(hashslot.Slot(s))
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

// check compares all results of the table with m.
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
	known := map[string]bool{}
	for i, o := range rangeOwners {
		if o == "" {
			continue
		}
		owned, ownedBy = append(owned, ranges[i]), append(ownedBy, o)
		if !known[o] {
			known[o] = true
			owners = append(owners, o)
		}
	}
	var gotRanges []Range
	var gotOwners []string
	for r, o := range table.Ranges() {
		gotRanges = append(gotRanges, r)
		gotOwners = append(gotOwners, o)
	}
	if !slices.Equal(owned, gotRanges) || !slices.Equal(ownedBy, gotOwners) {
		require.Equal(t, owned, gotRanges)
		require.Equal(t, ownedBy, gotOwners)
	}
	require.Equal(t, len(owned), table.RangeCount())
	if got := slices.Collect(table.Owners()); !slices.Equal(owners, got) {
		require.Equal(t, owners, got)
	}
	require.True(t, m.slotsOf("") == table.Unassigned(), "the unassigned")
	for _, o := range owners[:min(len(owners), 3)] {
		require.True(t, m.slotsOf(o) == table.SlotsOf(o), "the slots of %s", o)
	}
	require.Equal(t, Set{}, table.SlotsOf("somebody else"))
}

// shapes are ways to choose the next edit. Together they lead to tables of all forms.
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

// form names the way in which a table looks up slots.
func form[N comparable](t *Table[N]) string {
	switch {
	case t.flat != nil:
		return "flat"
	case len(t.leaf) > 0 && t.codes > 256:
		return "leaves, many owners"
	case len(t.leaf) > 0:
		return "leaves"
	case len(t.own) > t.codes:
		return "pairs"
	}
	return "index alone"
}

func TestForms(t *testing.T) {
	even := func(owners int) *Builder[int] {
		b := new(Builder[int])
		for i := range owners {
			r := Range{hashslot.Slot(i * hashslot.Count / owners), hashslot.Slot((i+1)*hashslot.Count/owners - 1)}
			b.Assign(r, i)
		}
		return b
	}
	// A moved slot in each of as many blocks as slots says.
	moved := func(owners, slots int) *Builder[int] {
		b := even(owners)
		for i := range slots {
			s := hashslot.Slot(i*32 + 5)
			b.Assign(Range{s, s}, owners-1)
		}
		return b
	}
	again := even(3)
	again.Assign(Range{16001, hashslot.Count - 1}, 0)
	eights := new(Builder[int])
	for i := range hashslot.Count / 8 {
		eights.Assign(Range{hashslot.Slot(i * 8), hashslot.Slot(i*8 + 7)}, i%2)
	}
	for name, c := range map[string]struct {
		builder *Builder[int]
		want    string
	}{
		"nobody":                   {new(Builder[int]), "index alone"},
		"16 owners":                {even(16), "index alone"},
		"1000 owners":              {even(1000), "index alone"},
		"2046 owners":              {even(2046), "leaves, many owners"},
		"an owner twice":           {again, "pairs"},
		"two owners in each block": {eights, "index alone"},
		"a few slots moved":        {moved(16, maxLeaves), "leaves"},
		"more slots moved":         {moved(16, maxLeaves+1), "flat"},
		"255 owners, the same":     {moved(255, maxLeaves+1), "flat"},
		"256 owners, one too many": {moved(256, maxLeaves+1), "leaves, many owners"},
	} {
		require.Equal(t, c.want, form(c.builder.Build()), name)
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
					b.Unassign(r)
				} else {
					b.Assign(r, owner)
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
					if got != m[s] || ok != (m[s] != "") {
						t.Fatalf("slot %d: %q, %v, want %q", s, got, ok, m[s])
					}
				}
				after := b.Build()
				forms[form(after)]++
				m.check(t, after)
				require.Equal(t, beforeModel.diff(&m), slices.Collect(before.Diff(after)))
				require.Equal(t, m.diff(&beforeModel), slices.Collect(after.Diff(before)))
				require.Equal(t, beforeModel == m, before.Equal(after))
				if step%3 == 0 { // go on with a new builder, from the table
					b = after.Builder()
					again := b.Build()
					m.check(t, again)
					require.True(t, after.Equal(again))
				}
				before, beforeModel = after, m
			}
		})
	}
	require.Len(t, forms, 5, "%v: not all forms of a table came about", forms)
}

// With ranges of 16 slots and more, a block has at most two owners. The second may be any
// owner.
func TestPairs(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 12 // each number of owners with each length, and gaps
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 1))
		owners := []int{2, 3, 20, 100, 300, 1000}[seed%6]
		longest := []int{16, 17, 40}[seed%3]
		var m model
		var b Builder[string]
		for first := 0; first < hashslot.Count; {
			last := min(first+15+rng.IntN(longest-15), hashslot.Count-1)
			owner := fmt.Sprint("n", rng.IntN(owners))
			if seed%4 == 3 && rng.IntN(50) == 0 {
				owner = ""
			} else {
				b.Assign(Range{hashslot.Slot(first), hashslot.Slot(last)}, owner)
			}
			m.set(Range{hashslot.Slot(first), hashslot.Slot(last)}, owner)
			first = last + 1
		}
		table := b.Build()
		m.check(t, table)
		require.True(t, seed%4 == 3 || table.flat == nil, "seed %d", seed)
		// The same ranges, one of them with another owner.
		for r, before := range table.Ranges() {
			after := fmt.Sprint("n", rng.IntN(owners))
			other := table.Builder()
			other.Assign(r, after)
			require.Equal(t, before == after, other.Build().Equal(table), "seed %d: %v to %s", seed, r, after)
			if rng.IntN(20) == 0 {
				break
			}
		}
	}
}

// Blocks of two owners whose places in a table are easily confused.
func TestOddPairs(t *testing.T) {
	check := func(owners []string, lengths ...int) { // in the order of the slots, "" for nobody
		var m model
		var b Builder[string]
		first := 0
		for i, owner := range owners {
			last := min(first+lengths[min(i, len(lengths)-1)], hashslot.Count) - 1
			if i == len(owners)-1 {
				last = hashslot.Count - 1
			}
			r := Range{hashslot.Slot(first), hashslot.Slot(last)}
			m.set(r, owner)
			if owner != "" {
				b.Assign(r, owner)
			}
			first = last + 1
		}
		m.check(t, b.Build())
	}
	name := func(i int) string { return fmt.Sprint("n", i) }
	// Pairs with the same first owner and with second owners that hash alike, after a pair
	// that ends with the later of these.
	var owners []string
	var lengths []int
	for i := range 70 {
		owners, lengths = append(owners, name(i)), append(lengths, 16)
	}
	for _, pair := range [][2]int{{1, 66}, {0, 2}, {0, 66}, {0, 66}, {5, 66}} {
		owners, lengths = append(owners, name(pair[0]), name(pair[1])), append(lengths, 8, 8)
	}
	check(append(owners, "end"), append(lengths, 1)...)
	// No owner before the second, and none after the third.
	check([]string{"a", "b", "", "b", "", "b", "a", ""}, 16, 16, 8, 8, 8, 8, 16, 1)
	check([]string{"a", "b", "c", "", "a", ""}, 16, 16, 8, 8, 16, 1)
	// A pair before a block that the first owner has, or of which it has one slot.
	check([]string{"a", "b", "a", ""}, 8, 8, 16, 1)
	check([]string{"a", "b", "a", "b", ""}, 8, 8, 1, 15, 1)
	// More owners than whole blocks can name, and the last owner has the whole last block.
	for _, rest := range []int{16, 32, 40} {
		owners = owners[:0]
		for i := range (hashslot.Count - rest) / 4 {
			owners = append(owners, name(i))
		}
		check(append(owners, "last"), 4)
	}
}

// Two owners take turns, so blocks are alike. Blocks that are equal are not therefore one
// range.
func TestTurns(t *testing.T) {
	for _, length := range []int{1, 2, 4, 8, 16, 32} {
		for offset := range length {
			var m model
			b := new(Builder[string])
			for first := offset - length; first < hashslot.Count; first += length {
				r := Range{hashslot.Slot(max(first, 0)), hashslot.Slot(min(first+length, hashslot.Count) - 1)}
				if first+length <= 0 {
					continue
				}
				owner := []string{"a", "b"}[(first+length)/length%2]
				b.Assign(r, owner)
				m.set(r, owner)
			}
			m.check(t, b.Build())
		}
	}
}

// More owners, and more pairs of owners, than index can number.
func TestManyOwners(t *testing.T) {
	for _, singles := range []int{1500, 2040, 2046, 2047, 2048, 2100} {
		var m model
		b := new(Builder[string])
		assign := func(first, last int, owner string) {
			r := Range{hashslot.Slot(first), hashslot.Slot(min(last, hashslot.Count-1))}
			b.Assign(r, owner)
			m.set(r, owner)
		}
		for s := range singles {
			assign(s, s, fmt.Sprint("n", s))
		}
		// Neighbours have codes that are not next to each other.
		for i, s := 0, singles; s < hashslot.Count; i, s = i+1, s+17 {
			assign(s, s+16, fmt.Sprint("n", i*7%singles))
		}
		m.check(t, b.Build())
		assign(12_000, 12_100, "a range of many blocks")
		m.check(t, b.Build())
	}
}

// Tables that differ in one slot or in two are not equal, whatever their forms.
func TestOneSlotDiffers(t *testing.T) {
	for _, shape := range shapes {
		rng := rand.New(rand.NewPCG(1, 2))
		b := new(Builder[string])
		for i := range 20 {
			b.Assign(Range{hashslot.Slot(i * 819), hashslot.Slot(i*819 + 818)}, fmt.Sprint("n", i%shape.owners))
		}
		edits := 300
		if testing.Short() {
			edits = 100
		}
		for edits := range edits {
			first := rng.IntN(hashslot.Count)
			last := min(first+rng.IntN(shape.length), hashslot.Count-1)
			b.Assign(Range{hashslot.Slot(first), hashslot.Slot(last)}, fmt.Sprint("n", rng.IntN(shape.owners)))
			if edits%10 != 0 {
				continue
			}
			table := b.Build()
			var starts []hashslot.Slot
			for r := range table.Ranges() {
				starts = append(starts, r.First)
			}
			for range 30 {
				s := max(1, starts[rng.IntN(len(starts))])
				other := table.Builder()
				one, _ := other.Lookup(s - 1)
				two, _ := other.Lookup(s)
				other.Assign(Range{s - 1, s - 1}, two)
				require.Equal(t, one == two, table.Equal(other.Build()), "%s: %s gets slot %d", shape.name, two, s-1)
				other.Assign(Range{s, s}, one)
				require.Equal(t, one == two, table.Equal(other.Build()), "%s: %s gets slot %d for it", shape.name, one, s)
			}
		}
	}
}

// A table with flat can have the index of one with leaves.
func TestEqualFormsDiffer(t *testing.T) {
	build := func(slots int) *Table[int] {
		b := new(Builder[int])
		for i := range slots {
			s := hashslot.Slot(i)
			b.Assign(Range{s, s}, i%2)
		}
		return b.Build()
	}
	leaves, flat := build(maxLeaves*16), build(maxLeaves*16+16)
	require.Equal(t, "leaves, flat", form(leaves)+", "+form(flat))
	require.Equal(t, leaves.index, flat.index)
	require.False(t, leaves.Equal(flat) || flat.Equal(leaves))
}

// Wherever a range starts, and however its block is looked up, the slots next to the
// start and those at the ends of the blocks have the right owners.
func TestEveryStart(t *testing.T) {
	type edit struct {
		first, last int
		owner       string
	}
	step := 1
	if testing.Short() {
		step = 7 // every place in a block still has its turn
	}
	for s := 0; s < hashslot.Count; s += step {
		first, next := s&^15, s&^15+16
		for _, edits := range [][]edit{
			{{0, hashslot.Count - 1, "a"}, {s, hashslot.Count - 1, "b"}},                         // a split
			{{0, hashslot.Count - 1, "a"}, {s, hashslot.Count - 1, "b"}, {next, next + 39, "a"}}, // and one back to the first owner
			{{s, hashslot.Count - 1, "a"}},                                                       // no owner before
			{{0, s, "a"}},                                                                        // no owner after
			{{0, hashslot.Count - 1, "a"}, {s, s, "b"}, {next, next + 6, "c"}},                   // leaves
		} {
			var b Builder[string]
			for _, e := range edits {
				if e.first < hashslot.Count {
					b.Assign(Range{hashslot.Slot(e.first), hashslot.Slot(min(e.last, hashslot.Count-1))}, e.owner)
				}
			}
			table := b.Build()
			for _, x := range []int{0, s - 1, s, s + 1, first - 1, first, next - 1, next, next + 6, next + 7, next + 39, next + 40, hashslot.Count - 1} {
				if x < 0 || x >= hashslot.Count {
					continue
				}
				want := ""
				for _, e := range edits {
					if e.first <= x && x <= e.last {
						want = e.owner
					}
				}
				owner, ok := table.Lookup(hashslot.Slot(x))
				if ok != (want != "") || owner != want {
					require.Failf(t, "Lookup", "%v, slot %d: %q, want %q", edits, x, owner, want)
				}
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
