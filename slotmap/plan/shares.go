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
			up = append(up, fraction{i, q - whole})
		}
		want[i] = int(whole)
		left -= want[i]
	}
	saves := func(f fraction) int {
		if have[f.i] > want[f.i] {
			return 0 // a slot less to move
		}
		return 1
	}
	// A node one slot above its lower share need not take part at all when it may
	// keep it. A node exactly at its lower share should not be drawn in.
	disturbs := func(f fraction) int {
		switch have[f.i] - want[f.i] {
		case 1:
			return 0
		case 0:
			return 2
		}
		return 1
	}
	slices.SortFunc(up, func(a, b fraction) int {
		if c := cmp.Compare(saves(a), saves(b)); c != 0 {
			return c
		}
		if math.Abs(a.rest-b.rest) > 1e-6 {
			return cmp.Compare(b.rest, a.rest)
		}
		if c := cmp.Compare(disturbs(a), disturbs(b)); c != 0 {
			return c
		}
		return cmp.Compare(a.i, b.i)
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

func abs(n int) int { return max(n, -n) }
