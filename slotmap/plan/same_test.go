package plan

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
)

// A record is a sum of results. The same cluster gives the same plan, on every processor
// and in every version: tests compare what they have found with the sum of what was found
// before. Whoever means to change plans looks at all that TestSearchPays prints, and then
// writes the new sums into the tests.
type record struct{ hash.Hash }

func newRecord() record { return record{sha256.New()} }

func (r record) add(results ...any) { fmt.Fprintln(r, results...) }

func (r record) requireSame(t *testing.T, want string) {
	t.Helper()
	require.Equal(t, want, fmt.Sprintf("%x", r.Sum(nil)[:6]), "other results than before")
}

// A slot's units are in proportion to its load. A slot without load has one.
func TestUnits(t *testing.T) {
	s := &state{}
	load := slices.Repeat([]float64{7}, hashslot.Count)
	u := s.units(load)
	require.Equal(t, loadUnits, u.total)
	require.EqualValues(t, loadUnits/hashslot.Count, slices.Min(u.size[:]))
	require.EqualValues(t, loadUnits/hashslot.Count, slices.Max(u.size[:]))
	load = make([]float64, hashslot.Count)
	load[5], load[6], load[7] = 0.75, 0.25-1e-9, 1e-9
	u = s.units(load)
	require.Equal(t, []int32{1, 402653184, 134217727, 1, 1}, u.size[4:9])
}

// By single slots, correct brings nodes near to their loads.
func TestCorrect(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 1))
	r := newRecord()
	corrected := 0
	for range 40 {
		nodes := 1 + rng.IntN(5)
		u := &units{s: &state{nodes: make([]node, nodes)}}
		after, want := new(owners), make([]int, nodes)
		heavy, often := 1+rng.Int32N(30), 1+rng.IntN(500)
		run, owner := 0, 0
		for slot := range u.size {
			if u.size[slot] = 1; rng.IntN(often) == 0 {
				u.size[slot] += rng.Int32N(heavy)
			}
			if run--; run < 0 {
				run, owner = rng.IntN([2]int{2, 1000}[rng.IntN(2)]), rng.IntN(nodes)
			}
			after[slot] = int32(owner)
		}
		copy(want, u.held(after))
		for range rng.IntN(8) {
			from, to, n := rng.IntN(nodes), rng.IntN(nodes), 1+rng.IntN(60)
			if from != to && want[from] >= n {
				want[from], want[to] = want[from]-n, want[to]+n
			}
		}
		was := *after
		u.correct(after, want)
		off := u.held(after)
		for i := range off {
			off[i] -= want[i]
		}
		require.LessOrEqual(t, slices.Max(off)-slices.Min(off), int(slices.Max(u.size[:])))
		for slot := range after {
			if after[slot] != was[slot] {
				corrected++
				r.add(slot, after[slot])
			}
		}
	}
	require.Greater(t, corrected, 100)
	r.requireSame(t, "5edfc789dbd4")
}

// Two ranges fewer are worth as much as a quarter of the heaviest slot. The first of equal
// slots is taken.
func TestNearest(t *testing.T) {
	u := &units{s: &state{}}
	after := new(owners) // slots 0 and 2 of node 1, the others of node 0
	after[0], after[2] = 1, 1
	for slot := range u.size {
		u.size[slot] = 1
	}
	u.size[1], u.size[5] = 4, 7
	for goal, want := range map[int]int{6: 1, 7: 1, 8: 5, 9: 1} {
		require.Equal(t, want, u.nearest(after, 0, 1, goal, 7), goal)
	}
}

// The slots of jobs stay where they are, and so does what is level.
func TestCorrectAroundJobs(t *testing.T) {
	s := &state{nodes: make([]node, 4)}
	u, after := s.units(nil), new(owners)
	for slot := range after {
		after[slot] = int32(min(slot/100, 3))
		s.busy[slot] = slot < 100
	}
	want := u.held(after)
	for i, n := range []int{-5, -2, +7} {
		want[i] += n
	}
	u.correct(after, want)
	require.Equal(t, []int{100, 98, 102, hashslot.Count - 300}, u.held(after))
	require.Equal(t, []int32{0, 0}, []int32{after[0], after[99]})
}

// A plan by load is the same as before.
func TestLoadPlansStay(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 2))
	r := newRecord()
	for range 6 {
		s := &state{nodes: make([]node, 2+rng.IntN(4))}
		load := make([]float64, hashslot.Count)
		kinds := 1 + rng.IntN(9)
		run, owner := 0, 0
		for slot := range load {
			load[slot] = float64(rng.IntN(kinds) + rng.IntN(2))
			if run--; run < 0 {
				run, owner = rng.IntN(5000), rng.IntN(len(s.nodes)+1)
			}
			if s.owner[slot] = int32(owner); owner == len(s.nodes) {
				s.owner[slot] = nobody
			}
		}
		u := s.units(load)
		want := make([]int, len(s.nodes))
		for range 100 {
			want[rng.IntN(len(want))] += u.total / 100
		}
		want[0] += u.total % 100
		after, err := u.spread(want)
		require.NoError(t, err)
		r.add(*after)
	}
	r.requireSame(t, "380e03a9b719")
}
