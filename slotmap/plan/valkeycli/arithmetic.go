package valkeycli

import (
	"math"
	"slices"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/plan"
)

// The arithmetic of the tools: 32-bit floats, truncated, rounded up and down in the same
// places. The conversions to float32 keep compilers from fusing operations.

// allot is the slot allotment of clusterManagerCommandCreate: the last slot of each of n
// primaries, from 1 to 16384. The tool also corrects a last slot that is too large, or is
// before the first slot. Both happen only with more primaries than [Create] accepts.
func allot(n int) []hashslot.Slot {
	perNode := float32(hashslot.Count) / float32(n)
	cursor := float32(0)
	lasts := make([]hashslot.Slot, n)
	for i := range lasts {
		lasts[i] = hashslot.Slot(math.Round(float64(float32(float32(cursor+perNode) - 1))))
		cursor = float32(cursor + perNode)
	}
	lasts[n-1] = hashslot.Count - 1
	return lasts
}

// placeReplicas is the replica placement of clusterManagerCommandCreate up to
// its random anti-affinity step. hosts has the host of each node in the order of
// the arguments. It returns the primaries and, for each, its replicas, as
// indexes, and the nodes that are left without a role.
func placeReplicas(hosts []string, replicas int) (primaries []int, placed [][]int, unused []int) {
	// Interleave: one node of each host in turn, hosts by first appearance.
	byHost := map[string][]int{}
	var order []string
	for i, h := range hosts {
		if byHost[h] == nil {
			order = append(order, h)
		}
		byHost[h] = append(byHost[h], i)
	}
	var nodes []int
	for len(nodes) < len(hosts) {
		for _, h := range order {
			if left := byHost[h]; len(left) > 0 {
				nodes = append(nodes, left[0])
				byHost[h] = left[1:]
			}
		}
	}
	n := len(hosts) / (replicas + 1)
	primaries, unused = nodes[:n:n], slices.Clone(nodes[n:])
	if len(unused) != 0 {
		unused = append(unused[1:], unused[0])
	}
	placed = make([][]int, n)
	place := func(p int) {
		if len(unused) == 0 {
			return
		}
		// The first node of another host, or else the first.
		at := max(0, slices.IndexFunc(unused, func(i int) bool { return hosts[i] != hosts[primaries[p]] }))
		placed[p] = append(placed[p], unused[at])
		unused = slices.Delete(unused, at, at+1)
	}
	for p := range primaries {
		for range replicas {
			place(p)
		}
	}
	for p := range primaries { // "Adding extra replicas..."
		place(p)
	}
	return primaries, placed, unused
}

// sharesHost reports whether clusterManagerGetAntiAffinityScore is above 0: a replica is on
// the host of its primary, or of another replica of that primary.
func sharesHost(hosts []string, primaries []int, placed [][]int) bool {
	for i, p := range primaries {
		taken := map[string]bool{hosts[p]: true}
		for _, r := range placed[i] {
			if taken[hosts[r]] {
				return true
			}
			taken[hosts[r]] = true
		}
	}
	return false
}

// A node is a primary as the tool keeps it.
type node struct {
	id      string
	slots   slotmap.Set
	count   int // at the start: the tool does not update it while it moves slots
	weight  float32
	balance int
}

// A move is one "Moving n slots from a to b".
type move struct {
	from, to  string
	announced int
	slots     []hashslot.Slot // the actual number: at times one more than announced
}

// reshardTable is clusterManagerComputeReshardTable: the slots to take from each source so
// that about n are taken in all. It removes them from the sources, and sorts these. If
// capped, it takes no more than n.
func reshardTable(sources []*node, n int, capped bool, take func(src *node, slots []hashslot.Slot)) {
	slices.SortStableFunc(sources, func(a, b *node) int { return b.count - a.count })
	total := 0
	for _, s := range sources {
		total += s.count
	}
	if total == 0 {
		return
	}
	taken := 0
	for i, s := range sources {
		part := float64(float32(float32(float32(n)/float32(total)) * float32(s.count)))
		if i == 0 {
			part = math.Ceil(part) // others are rounded down
		}
		most := int(part)
		if capped {
			most = min(most, n-taken)
		}
		var slots []hashslot.Slot
		for slot := range s.slots.Slots() {
			if len(slots) >= most {
				break
			}
			s.slots.Remove(slot)
			slots = append(slots, slot)
		}
		take(s, slots)
		taken += len(slots)
	}
}

// rebalance is clusterManagerCommandRebalance for the involved primaries
// in the tool's order.
func rebalance(involved []*node, threshold float32, capped bool) ([]move, error) {
	expected, err := shares(involved)
	if err != nil {
		return nil, err
	}
	sum, over := 0, false
	for i, n := range involved {
		n.balance = n.count - expected[i]
		sum += n.balance
		over = over || exceeds(n.count, expected[i], threshold)
	}
	if !over {
		return nil, nil
	}
	if err := level(involved, sum); err != nil {
		return nil, err
	}
	return movesOf(involved, capped), nil
}

// shares returns the number of slots that each node should have, rounded down.
func shares(involved []*node) ([]int, error) {
	total := float32(0)
	for _, n := range involved {
		total = float32(total + n.weight)
	}
	var list []int
	for _, n := range involved {
		share := float32(float32(float32(hashslot.Count)/total) * n.weight)
		if !(share < math.MaxInt32) { // also NaN
			return nil, &plan.InputError{Field: "Weights", Reason: "the weights exceed the tool's 32-bit arithmetic"}
		}
		list = append(list, int(share))
	}
	return list, nil
}

// exceeds reports whether a node with count slots, of which it should have expected, is off by
// more than the threshold.
func exceeds(count, expected int, threshold float32) bool {
	switch {
	case !(threshold > 0):
		return false
	case count > 0:
		return float32(math.Abs(100-100.0*float64(expected)/float64(count))) > threshold
	}
	return expected > 1
}

// level lowers balances, a slot in turn, of the nodes that have none above their share,
// until the sum is 0: shares are rounded down.
func level(involved []*node, sum int) error {
	for sum > 0 {
		before := sum
		for _, n := range involved {
			if n.balance <= 0 && sum > 0 {
				n.balance--
				sum--
			}
		}
		if sum == before {
			return ErrEndless
		}
	}
	return nil
}

// movesOf moves slots from the nodes with the highest balances to those with the lowest.
func movesOf(involved []*node, capped bool) (moves []move) {
	sorted := slices.Clone(involved)
	slices.SortStableFunc(sorted, func(a, b *node) int { return a.balance - b.balance })
	for d, s := 0, len(sorted)-1; d < s; {
		dst, src := sorted[d], sorted[s]
		n := min(abs(dst.balance), abs(src.balance))
		move := move{from: src.id, to: dst.id, announced: n}
		reshardTable([]*node{src}, n, capped, func(_ *node, slots []hashslot.Slot) { move.slots = slots })
		moves = append(moves, move) // a node that gets slots gives none
		dst.balance += n
		src.balance -= n
		if dst.balance == 0 {
			d++
		}
		if src.balance == 0 {
			s--
		}
	}
	return moves
}

func abs(n int) int { return max(n, -n) }
