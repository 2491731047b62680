package plan

import (
	"container/heap"
	"math/rand/v2"
	"slices"

	"github.com/hashslot/hashslot"
)

// The search for few ranges.
//
// The shares and the least number of moved slots determine how many slots each donor
// gives and each receiver gets, but not which slots, and not to whom. That choice
// determines how many ranges the cluster has afterwards. To find the fewest is at least
// as hard as bin packing. So a greedy construction (type greedy) is improved by
// exchanges:
//
//	donor d gives slots x to receiver r, and in return
//	takes back as many slots y, which it had given to receiver q, and
//	q gets as many slots z of what r had been given, unless q is r;
//
//	or receivers r and q exchange slots x and z that they had been given.
//
// An exchange changes none of these numbers. It stays if it adds no range. Most
// exchanges do not change the number of ranges: they shift borders, until a whole range
// fits elsewhere and disappears.
//
// Then half of the moves, at random, count as done, and the rest is planned again, many
// times over. So those who plan again after each batch find nothing better.
//
// Random numbers come from a fixed seed and all orders from the ids: the same
// cluster gives the same plan.
//
// Ranges of random clusters that are evened out, the sums of 6 clusters, or of 2
// from 60 nodes on (TestSearchPays):
//
//	nodes  ranges of each  further nodes    before  greedy  search
//	   10               3              2       170     180     168   -6.7 %
//	   20               4              0       464     435     413   -5.1 %
//	   20               4              5       464     439     401   -8.7 %
//	   60              20              0      2362    2001    1994   -0.3 %
//	   60              20              6      2362    2001    1943   -2.9 %
//	  100               3             10       595     596     569   -4.5 %

// These bound the search. A round of planning again takes time in proportion to the
// pieces, and at worst to pieces times receivers.
const (
	maxExchanges      = 100_000 // before the rounds, and as many in all of them
	exchangesPerPiece = 2000    // of small clusters
	maxRounds         = 64
	maxRoundsCost     = 2_000_000
)

// A piece is a maximal run of slots with one owner before and one after.
type piece struct {
	first, len int32
	was, now   int32 // owners by index; was == now: the slots stay
}

// A handout is a problem: the number of slots that each donor gives and each receiver
// gets. The sums of surplus and deficit are equal, and no owner has both.
type handout struct {
	pieces           []piece
	surplus, deficit []int32 // per owner
}

func (h handout) receivers() (list []int32) {
	for i, d := range h.deficit {
		if d > 0 {
			list = append(list, int32(i))
		}
	}
	return list
}

// fewRanges returns the pieces after the handout: every surplus given, every
// deficit filled.
func fewRanges(h handout) []piece {
	receivers := len(h.receivers())
	if receivers == 0 {
		return h.pieces
	}
	tries, rounds := effort(len(h.pieces), receivers)
	best := search(h, tries)
	rng := rand.New(rand.NewPCG(hashslot.Count, 1))
	half := handout{surplus: make([]int32, len(h.surplus)), deficit: make([]int32, len(h.deficit))}
	for range rounds {
		half.pieces = slices.Grow(half.pieces[:0], len(best))
		copy(half.surplus, h.surplus)
		copy(half.deficit, h.deficit)
		for _, p := range best {
			if p.was != p.now && rng.IntN(2) == 0 {
				half.surplus[p.was] -= p.len
				half.deficit[p.now] -= p.len
				p.was = p.now // done
			}
			p.now = p.was
			half.pieces = appendPiece(half.pieces, p)
		}
		if got := search(half, tries/maxRounds); countRanges(got) <= countRanges(best) {
			best = over(h.pieces, got)
		}
	}
	return best
}

// effort returns how many exchanges to try at first, and how often to plan again.
func effort(pieces, receivers int) (exchanges, rounds int) {
	return min(maxExchanges, exchangesPerPiece*pieces), min(maxRounds, 1+maxRoundsCost/(pieces*(32+receivers)))
}

// search returns the pieces after the handout, found by the greedy construction and a
// number of exchanges.
func search(h handout, exchanges int) []piece {
	s := newSolution(h)
	s.handOut(h)
	if len(s.receivers) == 0 {
		return h.pieces
	}
	s.countPairs()
	first, ranges, pairs := s.result(), s.ranges, len(s.pairs)
	s.pairs = nil // pairs count only at the end
	s.exchange(exchanges - exchanges/5)
	s.countPairs()
	s.exchange(exchanges / 5)
	if s.ranges == ranges && len(s.pairs) >= pairs {
		return first
	}
	return s.result()
}

// over returns pieces with the owners of was before and those of now after.
func over(was, now []piece) (ps []piece) {
	for _, p := range was {
		for end := p.first + p.len; p.first < end; {
			q := now[0]
			n := min(end, q.first+q.len) - p.first
			ps = appendPiece(ps, piece{p.first, n, p.was, q.now})
			p.first += n
			if p.first == q.first+q.len {
				now = now[1:]
			}
		}
	}
	return ps
}

// countRanges returns the number of ranges afterwards.
func countRanges(ps []piece) (n int) {
	for i, p := range ps {
		if i == 0 || ps[i-1].now != p.now {
			n++
		}
	}
	return n
}

// appendPiece appends p, which begins where the last piece ends. It is joined to that one
// when both their owners agree.
func appendPiece(to []piece, p piece) []piece {
	if n := len(to); n > 0 {
		l := &to[n-1]
		if l.was == p.was && l.now == p.now {
			l.len += p.len
			return to
		}
	}
	return append(to, p)
}

// A solution has the pieces as a linked list, so that they can be cut and joined in
// place.
type solution struct {
	runs  []run
	free  []int32   // unused runs
	given [][]int32 // by owner: the runs that a donor has given, or that a receiver got

	receivers []int32
	ranges    int              // how many more than before the handout
	pairs     map[[2]int32]int // the number of runs by source and target; nil while not counted
}

// A run is a piece of the list. Its place in given[was] and given[now] is at[0] and
// at[1] if these are not the same.
type run struct {
	piece
	prev, next int32 // -1 at the ends
	at         [2]int32
	dead       bool
}

func newSolution(h handout) *solution {
	s := &solution{given: make([][]int32, len(h.deficit)), receivers: h.receivers()}
	s.runs = make([]run, len(h.pieces))
	for i, p := range h.pieces {
		s.runs[i] = run{piece: p, prev: int32(i) - 1, next: int32(i) + 1}
	}
	s.runs[len(h.pieces)-1].next = -1
	return s
}

func (s *solution) result() []piece {
	ps := make([]piece, 0, len(s.runs))
	x := int32(0)
	for s.runs[x].prev >= 0 { // as of dead runs
		x++
	}
	for ; x >= 0; x = s.runs[x].next {
		ps = appendPiece(ps, s.runs[x].piece)
	}
	return ps
}

// exchange tries exchanges, as above. None of them adds a range, or a source-target
// pair if these are counted.
func (s *solution) exchange(tries int) {
	rng := rand.New(rand.NewPCG(hashslot.Count, uint64(tries)))
	any := func(list []int32) int32 { return list[rng.IntN(len(list))] }
	for range tries {
		x, left := rng.Int32N(int32(len(s.runs))), rng.IntN(2) == 0
		d, beside := s.runs[x].now, s.runs[x].next
		if left {
			beside = s.runs[x].prev
		}
		// The owner beside x gets it, so that no range is added; one time in ten it is any
		// receiver.
		var r int32
		switch {
		case rng.IntN(10) == 0:
			r = any(s.receivers)
		case beside >= 0:
			r = s.runs[beside].now
		}
		kept := s.runs[x].was == d
		if s.runs[x].dead || r == d || !s.receives(r) || len(s.given[d]) == 0 || kept && s.receives(d) {
			continue
		}
		// Each part goes to the owner of the part before it, and the first part to the
		// owner of the last.
		parts := [3]int32{x}
		n, k := s.runs[x].len, 1
		add := func(y int32) {
			parts[k], n = y, min(n, s.runs[y].len)
			k++
		}
		to := [3]int32{r, d}
		if kept {
			y := any(s.given[d])
			add(y)
			if q := s.runs[y].now; q != r {
				add(any(s.given[r]))
				to[2] = q
			}
		} else {
			add(any(s.given[r]))
		}
		ranges, pairs := s.ranges, len(s.pairs)
		var from [3]int32
		for i, y := range parts[:k] {
			parts[i] = s.cut(y, n, left)
			from[i] = s.runs[parts[i]].now
			s.give(parts[i], to[i])
			left = rng.IntN(2) == 0
		}
		if s.ranges > ranges || s.ranges == ranges && len(s.pairs) > pairs {
			for i, y := range parts[:k] {
				s.give(y, from[i])
			}
		}
		for _, y := range parts[:k] {
			s.join(y)
		}
	}
}

// receives reports whether owner i has been given slots.
func (s *solution) receives(i int32) bool {
	list := s.given[i]
	return len(list) > 0 && s.runs[list[0]].now == i
}

// cut returns a run of n slots at the left or right end of run x. The rest stays x.
func (s *solution) cut(x, n int32, left bool) int32 {
	if n == s.runs[x].len {
		return x
	}
	var y int32
	if last := len(s.free) - 1; last >= 0 {
		y, s.free = s.free[last], s.free[:last]
	} else {
		y = int32(len(s.runs))
		s.runs = append(s.runs, run{})
	}
	from, part := &s.runs[x], &s.runs[y]
	*part = run{piece: from.piece, prev: x, next: from.next}
	part.len = n
	from.len -= n
	if left {
		part.prev, part.next = from.prev, x
		from.first += n
	} else {
		part.first += from.len
	}
	if part.prev >= 0 {
		s.runs[part.prev].next = y
	}
	if part.next >= 0 {
		s.runs[part.next].prev = y
	}
	s.list(y)
	return y
}

// join makes one run of x and its neighbours with the same owners.
func (s *solution) join(x int32) {
	if s.runs[x].dead {
		return
	}
	same := func(x, y int32) bool {
		return x >= 0 && y >= 0 && s.runs[x].was == s.runs[y].was && s.runs[x].now == s.runs[y].now
	}
	if p := s.runs[x].prev; same(p, x) {
		x = p
	}
	for q := s.runs[x].next; same(x, q); q = s.runs[x].next {
		s.unlist(q)
		s.runs[x].len += s.runs[q].len
		s.runs[x].next = s.runs[q].next
		if next := s.runs[q].next; next >= 0 {
			s.runs[next].prev = x
		}
		s.runs[q].dead = true
		s.free = append(s.free, q)
	}
}

// give gives the slots of run x to an owner.
func (s *solution) give(x, to int32) {
	s.ranges -= s.borders(x)
	s.unlist(x)
	s.runs[x].now = to
	s.list(x)
	s.ranges += s.borders(x)
}

// borders returns the number of ends of run x that are ends of a range.
func (s *solution) borders(x int32) (n int) {
	for _, y := range [2]int32{s.runs[x].prev, s.runs[x].next} {
		if y >= 0 && s.runs[y].now != s.runs[x].now {
			n++
		}
	}
	return n
}

// list puts run x into the lists of its owners, if its slots were given.
func (s *solution) list(x int32) {
	v := &s.runs[x]
	if v.was == v.now {
		return
	}
	for i, owner := range [2]int32{v.was, v.now} {
		v.at[i] = int32(len(s.given[owner]))
		s.given[owner] = append(s.given[owner], x)
	}
	if s.pairs != nil {
		s.pairs[[2]int32{v.was, v.now}]++
	}
}

// unlist undoes list.
func (s *solution) unlist(x int32) {
	v := &s.runs[x]
	if v.was == v.now {
		return
	}
	for i, owner := range [2]int32{v.was, v.now} {
		list := s.given[owner]
		last := list[len(list)-1]
		list[v.at[i]] = last
		s.runs[last].at[i] = v.at[i]
		s.given[owner] = list[:len(list)-1]
	}
	if s.pairs != nil {
		pair := [2]int32{v.was, v.now}
		if s.pairs[pair]--; s.pairs[pair] == 0 {
			delete(s.pairs, pair)
		}
	}
}

// countPairs begins to count the pairs.
func (s *solution) countPairs() {
	s.pairs = map[[2]int32]int{}
	for _, v := range s.runs {
		if !v.dead && v.was != v.now {
			s.pairs[[2]int32{v.was, v.now}]++
		}
	}
}

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
	merges           entries // whole ranges that could go to a neighbour, by mergeKey
	live             []int32 // runs that may have slots to give
	cursor           int     // where in live the next seed begins to look
	seeds            int     // how many there were
	needy            entries // receivers, by minus their deficit; it may have become less since
}

// greedy returns h as nothing is given yet.
func (s *solution) greedy(h handout) *greedy {
	g := &greedy{solution: s, surplus: slices.Clone(h.surplus), deficit: slices.Clone(h.deficit)}
	for _, r := range s.receivers {
		g.needy = append(g.needy, entry{-int64(g.deficit[r]), r})
	}
	heap.Init(&g.needy)
	for i, p := range h.pieces {
		if g.surplus[p.was] > 0 {
			g.live = append(g.live, int32(i))
		}
	}
	return g
}

// handOut gives every surplus and fills every deficit.
func (s *solution) handOut(h handout) {
	g := s.greedy(h)
	for _, x := range g.live {
		g.consider(x)
	}
	g.merge()
	g.shift()
	for g.seed() {
		g.merge()
	}
}

// gives returns how many slots of run x can go: none if its owner is not a donor.
func (g *greedy) gives(x int32) int32 {
	if x < 0 || g.runs[x].now != g.runs[x].was {
		return 0
	}
	return min(g.surplus[g.runs[x].was], g.runs[x].len)
}

// owner returns the owner of run x, and nobody beyond the ends.
func (g *greedy) owner(x int32) int32 {
	if x < 0 {
		return nobody
	}
	return g.runs[x].now
}

// wants returns the deficit of the owner of run x, and 0 beyond the ends.
func (g *greedy) wants(x int32) int32 {
	if i := g.owner(x); i != nobody {
		return g.deficit[i]
	}
	return 0
}

// hand gives n slots at an end of a donor's run x to receiver r, and returns the run of
// these. The rest of the run stays x.
func (g *greedy) hand(x, n, r int32, left bool) int32 {
	g.surplus[g.runs[x].was] -= n
	g.deficit[r] -= n
	x = g.cut(x, n, left)
	g.give(x, r)
	return x
}

// An entry is a run or an owner, x, and the key that it had when it was last looked at.
type entry struct {
	key int64
	x   int32
}

// entries is a heap: the smallest key first, then the smallest x.
type entries []entry

func (e entries) Len() int { return len(e) }
func (e entries) Less(i, j int) bool {
	return e[i].key < e[j].key || e[i].key == e[j].key && e[i].x < e[j].x
}
func (e entries) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *entries) Push(x any)   { *e = append(*e, x.(entry)) }
func (e *entries) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}

// consider adds x to the merges if it can go whole to a neighbour.
func (g *greedy) consider(x int32) {
	if key := g.mergeKey(x); key > 0 {
		heap.Push(&g.merges, entry{key, x})
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
		c := heap.Pop(&g.merges).(entry)
		if g.mergeKey(c.x) != c.key {
			continue // what changed it has considered it again
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

// neediest returns the receiver that wants the most slots, the first of equals. If ok is
// false, none wants any.
func (g *greedy) neediest() (r int32, ok bool) {
	for len(g.needy) > 0 {
		top := &g.needy[0]
		switch key := -int64(g.deficit[top.x]); key {
		case top.key:
			return top.x, true
		case 0:
			heap.Pop(&g.needy)
		default:
			top.key = key
			heap.Fix(&g.needy, 0)
		}
	}
	return 0, false
}

// A place is a start for a new range of a receiver: a border of a donor's run, or all of
// the run, which costs no range.
type place struct {
	x, other       int32 // the run, and the one beyond the border
	whole, left    bool
	capacity, cost int32
}

// noPlace is the cost while no place is found: more than that of any.
const noPlace = 2

// worse reports whether p is a worse place for want slots than one of that capacity and
// cost. Among places that are large enough, a smaller one leaves more for others.
func (p *place) worse(capacity, cost, want int32) bool {
	switch {
	case p.cost != cost:
		return p.cost > cost
	case p.capacity >= want && capacity >= want:
		return p.capacity > capacity
	}
	return p.capacity < capacity
}

// maxLook is the most runs that are looked at to place one range.
const maxLook = 1024

// seed finds the best place for a new range of the receiver that wants the most slots,
// which is the hardest to place, and lets it grow into both neighbours. It reports
// whether any receiver wanted slots.
func (g *greedy) seed() bool {
	r, ok := g.neediest()
	if !ok {
		return false
	}
	want := g.deficit[r]
	if g.seeds++; g.seeds%16 == 1 {
		g.live = slices.DeleteFunc(g.live, func(x int32) bool { return g.gives(x) == 0 })
	}
	best := place{cost: noPlace}
	for i := 0; i < len(g.live) && (i < maxLook || best.cost == noPlace); i++ {
		if g.cursor >= len(g.live) {
			g.cursor = 0
		}
		x := g.live[g.cursor]
		g.cursor++
		a, p, q := g.gives(x), g.runs[x].prev, g.runs[x].next
		if a == 0 {
			continue
		}
		left, right := a+g.gives(p), a+g.gives(q)
		if capacity := left + right - a; a == g.runs[x].len && a <= want && best.worse(capacity, 0, want) {
			best = place{x: x, whole: true, capacity: capacity}
		}
		if cost := g.costBeside(p, r); best.worse(left, cost, want) {
			best = place{x: x, other: p, left: true, capacity: left, cost: cost}
		}
		if cost := g.costBeside(q, r); best.worse(right, cost, want) {
			best = place{x: x, other: q, capacity: right, cost: cost}
		}
	}
	switch x := best.x; {
	case best.whole:
		g.hand(x, g.runs[x].len, r, true)
		g.plant(g.runs[x].prev, g.runs[x].next, r)
	case best.left:
		g.plant(best.other, x, r)
	default:
		g.plant(x, best.other, r)
	}
	return true
}

// costBeside returns the cost of a range of r beside run x: none if r owns it.
func (g *greedy) costBeside(x, r int32) int32 {
	if g.owner(x) == r {
		return 0
	}
	return 1
}

// plant gives r slots from the right end of run p and the left end of run q.
func (g *greedy) plant(p, q, r int32) {
	for i, x := range [2]int32{p, q} {
		if n := min(g.gives(x), g.deficit[r]); n > 0 {
			g.around(g.hand(x, n, r, i == 1))
		}
	}
}
