package slotmap_test

import (
	"math"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

func assign[N comparable](t testing.TB, b *slotmap.Builder[N], set string, owner N) {
	t.Helper()
	for r := range slotmap.MustParseSet(set).Ranges() {
		b.Assign(r, owner)
	}
}

var someOwners [hashslot.Count]int

// even returns a table in which owners have one range each.
func even(t testing.TB, owners int) *slotmap.Table[*int] {
	var b slotmap.Builder[*int]
	for i := range owners {
		r := slotmap.Range{
			First: hashslot.Slot(i * hashslot.Count / owners),
			Last:  hashslot.Slot((i+1)*hashslot.Count/owners - 1),
		}
		b.Assign(r, &someOwners[i])
	}
	return b.Build()
}

// alternating returns a table in which each slot is a range.
func alternating(t testing.TB, owners int) *slotmap.Table[*int] {
	var b slotmap.Builder[*int]
	for s := range hashslot.Slot(hashslot.Count) {
		b.Assign(slotmap.Range{First: s, Last: s}, &someOwners[int(s)%owners])
	}
	return b.Build()
}

func TestTableWithoutOwners(t *testing.T) {
	all := slotmap.MustParseSet("0-16383")
	built := new(slotmap.Builder[string]).Build()
	loaded := new(slotmap.Map[string]).Load()
	for _, table := range []*slotmap.Table[string]{new(slotmap.Table[string]), built, loaded} {
		for s := range 65536 {
			if owner, ok := table.Lookup(hashslot.Slot(s)); ok || owner != "" {
				t.Fatalf("slot %d: %q, %v", s, owner, ok)
			}
		}
		assert.Equal(t, all, table.Unassigned())
		assert.Equal(t, slotmap.Set{}, table.SlotsOf(""))
		assert.Zero(t, table.RangeCount())
		assert.Empty(t, slices.Collect(table.Owners()))
		for range table.Ranges() {
			t.Error("a range")
		}
		assert.Equal(t, "(unassigned) 0-16383\n", table.String())
		for _, other := range []*slotmap.Table[string]{new(slotmap.Table[string]), built, loaded} {
			assert.True(t, table.Equal(other))
			assert.Empty(t, slices.Collect(table.Diff(other)))
		}
		b := table.Builder()
		assign(t, b, "5", "a")
		next := b.Build()
		assert.False(t, table.Equal(next))
		assert.False(t, next.Equal(table))
		five := slotmap.MustParseRange("5")
		assert.Equal(t, []slotmap.Change[string]{{Range: five, To: "a", Assigns: true}}, slices.Collect(table.Diff(next)))
		assert.Equal(t, []slotmap.Change[string]{{Range: five, From: "a", Assigned: true}}, slices.Collect(next.Diff(table)))
		var sp slotmap.OwnerSplitter[string]
		groups, unassigned := sp.Split(table, []string{"a", "b"})
		assert.Empty(t, groups)
		assert.Equal(t, []int{0, 1}, unassigned)
	}
}

// The zero value of the owner type is an owner like any other.
func TestZeroValueIsAnOwner(t *testing.T) {
	var b slotmap.Builder[int]
	assign(t, &b, "0-99 16383", 0)
	assign(t, &b, "200", 7)
	table := b.Build()
	owner, ok := table.Lookup(16383)
	assert.Equal(t, 0, owner)
	assert.True(t, ok)
	_, ok = table.Lookup(100)
	assert.False(t, ok)
	assert.Equal(t, []int{0, 7}, slices.Collect(table.Owners()))
	assert.Equal(t, "0-99 16383", table.SlotsOf(0).String())
	next := table.Builder()
	next.Unassign(slotmap.MustParseRange("16383"))
	assert.Equal(t, []slotmap.Change[int]{{Range: slotmap.MustParseRange("16383"), Assigned: true}},
		slices.Collect(table.Diff(next.Build())))
}

func TestNoSlotHasNoOwner(t *testing.T) {
	for _, table := range []*slotmap.Table[*int]{even(t, 1), even(t, 3), even(t, 1000), even(t, 16384), alternating(t, 2), alternating(t, 1000)} {
		var m slotmap.Map[*int]
		m.Store(table)
		for s := range 65536 {
			a, okA := table.Lookup(hashslot.Slot(s))
			b, okB := m.Lookup(hashslot.Slot(s))
			if is := s < hashslot.Count; okA != is || okB != is || (a != nil) != is || a != b {
				t.Fatalf("slot %d: %p, %v of the table and %p, %v of the map", s, a, okA, b, okB)
			}
		}
	}
}

func TestTableText(t *testing.T) {
	var b slotmap.Builder[string]
	assign(t, &b, "5461-10922", "b")
	assign(t, &b, "0-5460 16383", "a")
	assert.Equal(t, "a 0-5460 16383\nb 5461-10922\n(unassigned) 10923-16382\n", b.Build().String())
	assign(t, &b, "10923-16382", "a")
	assert.Equal(t, "a 0-5460 10923-16383\nb 5461-10922\n", b.Build().String())
	assert.Equal(t, "(unassigned) 0-16383\n", (*slotmap.Table[string])(nil).String())
}

func TestEqual(t *testing.T) {
	build := func(lines ...string) *slotmap.Table[string] {
		var b slotmap.Builder[string]
		for _, line := range lines {
			owner, set, _ := strings.Cut(line, " ")
			assign(t, &b, set, owner)
		}
		return b.Build()
	}
	table := build("a 0-99 300-399", "b 100-199", "c 200-299")
	assert.True(t, table.Equal(build("c 200-299", "b 50-250", "c 200-299", "b 100-199", "a 0-99 300-399")))
	for name, other := range map[string]*slotmap.Table[string]{
		"another place":          build("a 0-98 300-399", "b 99-199", "c 200-299"),
		"another owner":          build("a 0-99 300-399", "x 100-199", "c 200-299"),
		"another of the owners":  build("a 0-99", "b 100-199 300-399", "c 200-299"),
		"owners exchanged":       build("b 0-99 300-399", "a 100-199", "c 200-299"),
		"one more":               build("a 0-99 300-399", "b 100-199", "c 200-299", "d 400"),
		"a gap":                  build("a 0-99 300-399", "b 100-198", "c 200-299"),
		"a gap in another place": build("a 0-99 301-400", "b 100-199", "c 200-299"),
	} {
		assert.False(t, table.Equal(other), name)
		assert.False(t, other.Equal(table), name)
	}
}

func TestClaim(t *testing.T) {
	var b slotmap.Builder[string]
	claim := func(r, owner string) error {
		before := b.Build().Builder() // without an earlier error
		b = *before
		b.Claim(slotmap.MustParseRange(r), owner)
		return b.Err()
	}
	require.NoError(t, claim("100-200", "a"))
	require.NoError(t, claim("150-300", "a"), "an owner may claim its own slots again")
	require.NoError(t, claim("400-500", "b"))
	before := b.Build()

	err := claim("0-16383", "b")
	assert.Equal(t, &slotmap.ConflictError[string]{Range: slotmap.MustParseRange("100-300"), Owner: "a", Claimed: "b"}, err)
	assert.EqualError(t, err, "slotmap: range 100-300 is claimed for b, but is owned by a")
	err = claim("299-400", "c")
	assert.Equal(t, &slotmap.ConflictError[string]{Range: slotmap.MustParseRange("299-300"), Owner: "a", Claimed: "c"}, err)
	err = claim("301-400", "a")
	assert.Equal(t, &slotmap.ConflictError[string]{Range: slotmap.MustParseRange("400"), Owner: "b", Claimed: "a"}, err)
	assert.True(t, before.Equal(b.Build()), "a claim that fails changes nothing")

	require.NoError(t, claim("0-99", "c"))
	require.NoError(t, claim("501-16383", "b"))
	require.NoError(t, claim("301-399", "a"))
	assert.Equal(t, "c 0-99\na 100-399\nb 400-16383\n", b.Build().String())
}

// A table does not change when its builder is used further, nor when a builder that was
// made from it is used.
func TestTablesAreApart(t *testing.T) {
	for _, step := range []hashslot.Slot{1, 2, 100} { // in each form of a table
		var b slotmap.Builder[string]
		for s := hashslot.Slot(0); s < hashslot.Count; s += step {
			b.Assign(slotmap.Range{First: s, Last: s}, []string{"a", "b"}[s/step%2])
		}
		assign(t, &b, "0", "an owner that is soon forgotten") // so that the list of owners has room at its end
		assign(t, &b, "0", "a")
		table := b.Build()
		text := table.String()
		one, two := table.Builder(), table.Builder()
		assign(t, one, "0-100", "x")
		assign(t, two, "50-16383", "y")
		b.Unassign(slotmap.MustParseRange("0-16383"))
		assign(t, &b, "3", "z")
		assert.Equal(t, text, table.String())
		owner, _ := one.Build().Lookup(0)
		assert.Equal(t, "x", owner)
		owner, _ = two.Build().Lookup(16383)
		assert.Equal(t, "y", owner)
		assert.Equal(t, "z 3\n(unassigned) 0-2 4-16383\n", b.Build().String())
	}
}

// More owners come and go than there are codes.
func TestBuilderForgetsOwners(t *testing.T) {
	var b slotmap.Builder[int]
	want := make([]int, hashslot.Count)
	const seed = 1
	rng := rand.New(rand.NewPCG(seed, 0))
	assign := func(s, owner int) {
		b.Assign(slotmap.Range{First: hashslot.Slot(s), Last: hashslot.Slot(s)}, owner)
		want[s] = owner
	}
	assign(hashslot.Count-1, 1) // the first owner stays, with the last slot
	for i := range 75_000 {
		owner := i + 2
		if i%8 == 0 { // an owner that may be forgotten already
			owner = rng.IntN(i+1) + 1
		}
		assign(rng.IntN(hashslot.Count-1), owner)
	}
	table := b.Build()
	for s, owner := range want {
		if got, ok := table.Lookup(hashslot.Slot(s)); got != owner || ok != (owner != 0) {
			t.Fatalf("slot %d: %d, %v, want %d", s, got, ok, owner)
		}
	}
}

// Owners that are not equal to themselves are useless, but do no harm.
func TestNaN(t *testing.T) {
	var b slotmap.Builder[float64]
	for range 100_000 {
		b.Assign(slotmap.Range{First: 1, Last: 2}, math.NaN())
	}
	owner, ok := b.Build().Lookup(1)
	assert.True(t, ok)
	assert.True(t, math.IsNaN(owner))
	assert.True(t, b.Build().SlotsOf(math.NaN()).IsEmpty())
}

func TestRangesStop(t *testing.T) {
	var b slotmap.Builder[int]
	for s := range hashslot.Slot(10) {
		b.Assign(slotmap.Range{First: s, Last: s}, int(s))
	}
	table, empty := b.Build(), new(slotmap.Table[int])
	for n := range 10 {
		counts := [3]int{}
		for range table.Ranges() {
			if counts[0] == n {
				break
			}
			counts[0]++
		}
		for range table.Owners() {
			if counts[1] == n {
				break
			}
			counts[1]++
		}
		for range empty.Diff(table) {
			if counts[2] == n {
				break
			}
			counts[2]++
		}
		assert.Equal(t, [3]int{n, n, n}, counts)
	}
}

// TestSizes checks the sizes that the documentation gives.
func TestSizes(t *testing.T) {
	assert.EqualValues(t, max(2052, 2048+unsafe.Sizeof(uintptr(0))), unsafe.Sizeof(slotmap.Set{})) // a Range follows the words
	assert.EqualValues(t, 4, unsafe.Sizeof(slotmap.Range{}))
	assert.LessOrEqual(t, float64(unsafe.Sizeof(slotmap.Table[*int]{})), 2.2*1024)
	// No other variable shares the cache lines of the pointer.
	var m slotmap.Map[*int]
	assert.GreaterOrEqual(t, unsafe.Sizeof(m), unsafe.Sizeof(uintptr(0))+2*32)

	// The allocator rounds sizes up: that of a table to 2304 bytes, and words by
	// an eighth.
	word := float64(unsafe.Sizeof(uintptr(0)))
	for _, n := range []int{1, 3, 16, 100, 1000} {
		if testing.Short() && n != 100 {
			continue
		}
		size := grown(func() any { return even(t, n) })
		assert.LessOrEqual(t, size, 2304+word*float64(n+1)*9/8+word, "%d owners", n)
	}
	if !testing.Short() {
		assert.LessOrEqual(t, grown(func() any { return alternating(t, 2) }), 18.3*1024)
		assert.LessOrEqual(t, grown(func() any { return alternating(t, 255) }), 18.3*1024+word*256*9/8)
		assert.LessOrEqual(t, grown(func() any { return alternating(t, 256) }), 34.3*1024+word*257*9/8)
	}
}

// grown returns how many bytes the heap grows for each of many values. It is the median
// of three tries, because memory of earlier tests may be freed meanwhile.
func grown(make func() any) float64 {
	tries := []float64{grownOnce(make), grownOnce(make), grownOnce(make)}
	slices.Sort(tries)
	return tries[1]
}

func grownOnce(make func() any) float64 {
	values := [20]any{}
	heap := func() int64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	before := heap()
	for i := range values {
		values[i] = make()
	}
	after := heap()
	runtime.KeepAlive(values)
	return float64(after-before) / float64(len(values))
}

func TestAllocations(t *testing.T) {
	var (
		table = even(t, 16)
		m     slotmap.Map[*int]
		set   = slotmap.MustParseSet("0-5460 5462 16383")
		other = slotmap.MustParseSet("100 200-300")
		sink  int
		key   = []byte("user:{42}:name")
	)
	m.Store(table)
	for name, f := range map[string]func(){
		"Table.Lookup":       func() { _, _ = table.Lookup(hashslot.Slot(sink)) },
		"Map.Lookup":         func() { _, _ = m.Lookup(hashslot.Slot(sink)) },
		"Map.LookupKey":      func() { _, _, _ = m.LookupKey("user:{42}:name") },
		"Map.LookupKeyBytes": func() { _, _, _ = m.LookupKeyBytes(key) },
		"Map.Load":           func() { sink += m.Load().RangeCount() },
		"Table.SlotsOf":      func() { sink += table.SlotsOf(nil).Len() + table.Unassigned().Len() },
		"Table.Equal":        func() { table.Equal(table) },
		"Set algebra":        func() { sink += set.Union(other).Intersect(set).Subtract(other).Len() },
		"Set.Err":            func() { _ = set.Err() },
		"ParseSet":           func() { s, _ := slotmap.ParseSet("1 2-3 4"); sink += s.Len() },
		"loops": func() {
			for r := range set.Ranges() {
				sink += r.Len()
			}
			for range set.Slots() {
				sink++
			}
			for r := range table.Ranges() {
				sink += r.Len()
			}
			for range table.Owners() {
				sink++
			}
			for range table.Diff(table) {
				sink++
			}
		},
		"Set changes": func() {
			set.Add(9)
			set.AddRange(slotmap.Range{First: 3, Last: 4})
			set.Remove(9)
			set.RemoveRange(slotmap.Range{First: 3, Last: 4})
		},
	} {
		assert.Zero(t, testing.AllocsPerRun(100, f), name)
	}
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		m.Update(func(b *slotmap.Builder[*int]) {
			owner, _ := b.Lookup(hashslot.Slot(sink % 16384))
			b.Assign(slotmap.Range{First: 1, Last: 2}, owner)
			sink += 1024
		})
	}), 7.0, "Map.Update")
}

// TestInlining checks that lookups cost no call, whatever the type of the owners.
func TestInlining(t *testing.T) {
	if !slices.Contains([]string{"amd64", "arm64", "ppc64le", "riscv64", "s390x"}, runtime.GOARCH) {
		t.Skip("for the compiler an atomic load is a call on", runtime.GOARCH)
	}
	if testing.Short() {
		t.Skip("the compiler takes long")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command is not here")
	}
	cmd := exec.Command("go", "build", "-gcflags=-m", "./testdata/inline")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", cmd, out)
	inlined := regexp.MustCompile(`(?m)^\S*testdata.inline.inline\.go.*inlining call to slotmap\.\(?\*?(\w+)(?:\[.*\])?\)?\.(Lookup|Contains)$`)
	var calls []string
	for _, match := range inlined.FindAllStringSubmatch(string(out), -1) {
		calls = append(calls, match[1]+"."+match[2])
	}
	assert.Equal(t, "Map.Lookup Map.Lookup Map.Lookup Table.Lookup Set.Contains", strings.Join(calls, " "))
}

// A nil table and the zero Table behave like a table in which no slot has an owner.
func TestNoTable(t *testing.T) {
	empty := new(slotmap.Builder[string]).Build()
	var b slotmap.Builder[string]
	assign(t, &b, "0-9", "a")
	some := b.Build()
	for name, none := range map[string]*slotmap.Table[string]{"nil": nil, "zero": new(slotmap.Table[string]), "empty": empty} {
		owner, ok := none.Lookup(5)
		assert.False(t, ok, name)
		assert.Empty(t, owner, name)
		assert.Zero(t, none.RangeCount(), name)
		assert.Equal(t, 16384, none.Unassigned().Len(), name)
		assert.True(t, none.SlotsOf("a").IsEmpty(), name)
		assert.Equal(t, empty.String(), none.String(), name)
		for range none.Ranges() {
			assert.Fail(t, "a range", name)
		}
		for range none.Owners() {
			assert.Fail(t, "an owner", name)
		}
		for other, table := range map[string]*slotmap.Table[string]{"nil": nil, "zero": new(slotmap.Table[string]), "empty": empty} {
			assert.True(t, none.Equal(table), "%s, %s", name, other)
		}
		assert.False(t, none.Equal(some), name)
		assert.False(t, some.Equal(none), name)
		n := 0
		for c := range none.Diff(some) {
			assert.Equal(t, slotmap.Change[string]{Range: slotmap.MustParseRange("0-9"), To: "a", Assigns: true}, c)
			n++
		}
		for c := range some.Diff(none) {
			assert.Equal(t, slotmap.Change[string]{Range: slotmap.MustParseRange("0-9"), From: "a", Assigned: true}, c)
			n++
		}
		assert.Equal(t, 2, n, name)
		assert.True(t, none.Builder().Build().Equal(empty), name)
		groups, unassigned := new(slotmap.OwnerSplitter[string]).Split(none, []string{"x"})
		assert.Empty(t, groups, name)
		assert.Equal(t, []int{0}, unassigned, name)
		bySlot, alone := new(slotmap.OwnerSplitter[string]).SplitBySlot(none, []string{"x"})
		assert.Empty(t, bySlot, name)
		assert.Equal(t, []slotmap.SlotGroup{{Slot: hashslot.Of("x"), Keys: []int{0}}}, alone, name)
	}
}

// A builder answers lookups at any time, the first and the last included.
func TestBuilderLookup(t *testing.T) {
	for slot, want := range map[hashslot.Slot]bool{0: true, 16383: true, 16384: false, 65535: false} {
		var b slotmap.Builder[string]
		_, ok := b.Lookup(slot)
		assert.False(t, ok, "slot %d of nothing", slot)
		b.Assign(slotmap.MustParseRange("0-16383"), "a") // one range
		owner, ok := b.Lookup(slot)
		assert.Equal(t, want, ok, "slot %d", slot)
		assert.Equal(t, want, owner == "a", "slot %d: %q", slot, owner)
	}
}

// The very first claim counts, and a claim fails if any of its slots is taken.
func TestClaimAtTheEdges(t *testing.T) {
	var b slotmap.Builder[string]
	b.Claim(slotmap.MustParseRange("7"), "a")
	require.NoError(t, b.Err())
	for _, claimed := range []string{"7-8", "6-7", "6-8", "7"} {
		next := b.Build().Builder()
		next.Claim(slotmap.MustParseRange(claimed), "b")
		assert.Equal(t, &slotmap.ConflictError[string]{Range: slotmap.MustParseRange("7"), Owner: "a", Claimed: "b"}, next.Err(), claimed)
	}
}
