package plan

import (
	"cmp"
	"math"
	"slices"
)

// shares returns the slots that each node is to have: its exact share
// total*weight/sum(weights), rounded down or up. Shares are rounded up so that the
// fewest slots move; among equals the largest remainder comes first, then the node that
// is spared a move, then the lower index. The weights are not negative and not all zero.
func shares(have []int, weights []float64, total int) []int {
	heaviest := slices.Max(weights)
	sum := 0.0
	for _, w := range weights {
		sum += w / heaviest
	}
	want := make([]int, len(have))
	type fraction struct {
		i    int
		over int // the slots that the node has above its lower share, from -1 to 2
		rest float64
	}
	var up []fraction // the shares that are not whole numbers
	left := total
	for i, w := range weights {
		q := float64(total) * (w / heaviest) / sum
		// Weights like 0.1 are no exact binary fractions: a share this near to a
		// whole number is one.
		whole := math.Round(q)
		if math.Abs(q-whole) > 1e-6 {
			whole = math.Floor(q)
			up = append(up, fraction{i, max(-1, min(have[i]-int(whole), 2)), q - whole})
		}
		want[i] = int(whole)
		left -= want[i]
	}
	slices.SortStableFunc(up, func(a, b fraction) int {
		// Rounded up, a node that has more than its lower share gives a slot less away.
		if saves := a.over > 0; saves != (b.over > 0) {
			return b.over - a.over
		}
		if math.Abs(a.rest-b.rest) > 1e-6 {
			return cmp.Compare(b.rest, a.rest)
		}
		// A node one slot above its lower share need not take part at all if it keeps
		// that slot. A node exactly at its lower share should not be drawn in.
		return a.over - b.over
	})
	for _, f := range up {
		if left <= 0 {
			break
		}
		want[f.i]++
		left--
	}
	return want
}
