package plan

import (
	"container/heap"
	"slices"
)

// A greedy is the construction from which the search for few ranges begins. Its
// steps, cheapest first, with what each adds to the number of ranges:
//
//	whole range of a donor between two ranges of one receiver     -2
//	whole range of a donor beside a range of a receiver           -1
//	part of a donor's range beside a range of a receiver           0
//	whole range of a donor elsewhere                               0
//	ends of one or of two neighbouring donors' ranges elsewhere   +1
type greedy struct {
	*solution
	surplus, deficit []int32 // what is left of them
	merges           merges  // whole ranges that could go to a neighbour
	live             []int32 // runs that may have slots to give
	cursor           int     // where in live the next seed begins to look
	seeds            int     // how many there were
	needy            []int32 // owners that may want slots
}

// handOut gives every surplus and fills every deficit.
func (s *solution) handOut(h handout) {
	g := greedy{solution: s, surplus: slices.Clone(h.surplus), deficit: slices.Clone(h.deficit), needy: slices.Clone(s.receivers)}
	for i, p := range h.pieces {
		if g.surplus[p.was] > 0 {
			g.live = append(g.live, int32(i))
		}
	}
	for _, x := range g.live {
		g.consider(x)
	}
	g.merge()
	g.shift()
	for g.seed() {
		g.merge()
	}
}

// gives is how many slots of run x can go: none if it is no donor's.
func (g *greedy) gives(x int32) int32 {
	if x < 0 || g.runs[x].now != g.runs[x].was {
		return 0
	}
	return min(g.surplus[g.runs[x].was], g.runs[x].len)
}

// wants is the deficit of the owner of run x, 0 beyond the ends.
func (g *greedy) wants(x int32) int32 {
	if x < 0 {
		return 0
	}
	return g.deficit[g.runs[x].now]
}

// hand gives n slots at an end of a donor's run x to receiver r. What the donor
// keeps of the run stays x. It returns the run given.
func (g *greedy) hand(x, n, r int32, left bool) int32 {
	g.surplus[g.runs[x].was] -= n
	g.deficit[r] -= n
	x = g.cut(x, n, left)
	g.give(x, r)
	return x
}

// A merge is a whole run of a donor that can go to a neighbour.
type merge struct {
	key int64 // twice its length per range saved
	x   int32
}

// merges is a heap, the smallest key first.
type merges []merge

func (m merges) Len() int { return len(m) }
func (m merges) Less(i, j int) bool {
	return m[i].key < m[j].key || m[i].key == m[j].key && m[i].x < m[j].x
}
func (m merges) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *merges) Push(x any)   { *m = append(*m, x.(merge)) }
func (m *merges) Pop() any {
	last := len(*m) - 1
	x := (*m)[last]
	*m = (*m)[:last]
	return x
}

// consider adds x to the merges if it can go whole to a neighbour.
func (g *greedy) consider(x int32) {
	if key := g.mergeKey(x); key > 0 {
		heap.Push(&g.merges, merge{key, x})
	}
}

// around considers the neighbours of x.
func (g *greedy) around(x int32) {
	g.consider(g.runs[x].prev)
	g.consider(g.runs[x].next)
}

// mergeKey is twice the length of x per range saved by handing it whole to a
// neighbour, 0 when that is impossible.
func (g *greedy) mergeKey(x int32) int64 {
	n := g.gives(x)
	if n == 0 || n < g.runs[x].len {
		return 0
	}
	p, q := g.runs[x].prev, g.runs[x].next
	pw, qw := g.wants(p) >= n, g.wants(q) >= n
	switch {
	case pw && qw && g.runs[p].now == g.runs[q].now:
		return int64(n)
	case pw || qw:
		return 2 * int64(n)
	}
	return 0
}

// merge hands whole runs to neighbours, shortest per saved range first.
func (g *greedy) merge() {
	for len(g.merges) > 0 {
		c := heap.Pop(&g.merges).(merge)
		key := g.mergeKey(c.x)
		if key != c.key {
			g.consider(c.x) // as it is now
			continue
		}
		v := g.runs[c.x]
		to := v.next // or the needier, if it is the other
		if g.wants(v.prev) >= g.wants(to) {
			to = v.prev
		}
		g.hand(c.x, v.len, g.runs[to].now, true)
		g.around(c.x)
	}
}

// shift moves the borders between donors' runs and receivers' ranges beside them.
func (g *greedy) shift() {
	for _, x := range g.live {
		for _, left := range [2]bool{true, false} {
			y := g.runs[x].next
			if left {
				y = g.runs[x].prev
			}
			if n := min(g.gives(x), g.wants(y)); n > 0 {
				g.hand(x, n, g.runs[y].now, left)
			}
		}
	}
}

// A place is where a new range of a receiver can begin: a border of a donor's run,
// or all of it, which costs no range.
type place struct {
	x, other       int32 // the run, and the one beyond the border
	whole, left    bool
	capacity, cost int32
}

// better reports whether p is a better place than q for so many slots. Of places that
// are large enough the tighter leaves more for others.
func (p place) better(q place, want int32) bool {
	switch {
	case p.cost != q.cost:
		return p.cost < q.cost
	case p.capacity >= want && q.capacity >= want:
		return p.capacity < q.capacity
	}
	return p.capacity > q.capacity
}

// maxLook bounds how many runs are looked at to place one range.
const maxLook = 1024

// seed finds the best place for a new range of the receiver that wants the most slots,
// which is the hardest to place, and lets it grow into both neighbours. It reports
// whether any receiver wanted slots.
func (g *greedy) seed() bool {
	g.needy = slices.DeleteFunc(g.needy, func(i int32) bool { return g.deficit[i] == 0 })
	if len(g.needy) == 0 {
		return false
	}
	r := slices.MaxFunc(g.needy, func(a, b int32) int { return int(g.deficit[a]) - int(g.deficit[b]) })
	want := g.deficit[r]
	if g.seeds++; g.seeds%16 == 1 || len(g.live) <= maxLook {
		g.live = slices.DeleteFunc(g.live, func(x int32) bool { return g.gives(x) == 0 })
	}
	if len(g.live) <= maxLook {
		g.cursor = 0
	}
	best, found := place{}, false
	try := func(p place) {
		if !found || p.better(best, want) {
			best, found = p, true
		}
	}
	for i := 0; i < len(g.live) && (i < maxLook || !found); i++ {
		x := g.live[g.cursor%len(g.live)]
		g.cursor++
		a, p, q := g.gives(x), g.runs[x].prev, g.runs[x].next
		if a == 0 {
			continue
		}
		if a == g.runs[x].len && a <= want {
			try(place{x: x, whole: true, capacity: a + g.gives(p) + g.gives(q)})
		}
		for _, left := range [2]bool{true, false} {
			other := q
			if left {
				other = p
			}
			at := place{x: x, other: other, left: left, capacity: a + g.gives(other), cost: 1}
			if other >= 0 && g.runs[other].now == r {
				at.cost = 0
			}
			try(at)
		}
	}
	switch x := best.x; {
	case best.whole:
		g.hand(x, g.runs[x].len, r, true)
		g.plant(g.runs[x].prev, g.runs[x].next, r)
		g.around(x)
	case best.left:
		g.plant(best.other, x, r)
	default:
		g.plant(x, best.other, r)
	}
	return true
}

// plant gives r slots from the right end of run p and the left end of run q.
func (g *greedy) plant(p, q, r int32) {
	for i, x := range [2]int32{p, q} {
		if n := min(g.gives(x), g.deficit[r]); n > 0 {
			g.around(g.hand(x, n, r, i == 1))
		}
	}
}
