package plan

import (
	"math/rand/v2"
	"slices"
)

// The search for few ranges.
//
// When every node's number of slots is settled, the minimum number of moved
// slots fixes how many slots each donor gives and each receiver gets, but not
// which slots, nor from whom to whom. That choice decides how many ranges the
// cluster has afterwards. To minimise it exactly contains bin packing, so it is
// a greedy construction, improved by taking the slots of a few receivers back
// and handing them out again in another order (ruin and recreate). Random
// numbers come from a fixed seed and all orders from the ids: the same cluster
// gives the same plan.
//
// The greedy steps, cheapest first, with what each adds to the number of ranges:
//
//	whole range of a donor between two ranges of one receiver     -2
//	whole range of a donor beside a range of a receiver           -1
//	part of a donor's range beside a range of a receiver           0
//	whole range of a donor elsewhere                               0
//	ends of one or of two neighbouring donors' ranges elsewhere   +1

// A piece is a maximal run of slots with one owner before and one after.
type piece struct {
	first, len int32
	was, now   int32 // owners by index; was == now: the slots stay
}

// A handout is one settled problem: who gives how many slots and who gets how
// many. The sums of surplus and deficit are equal.
type handout struct {
	pieces           []piece
	surplus, deficit []int32 // per owner
}

// effort bounds the search, in visits of pieces (about 10 ns each).
var effort = 500_000

// fewRanges returns the pieces after the handout: every surplus given, every
// deficit filled.
func fewRanges(h handout) []piece {
	w := newWork(h)
	w.load(h.pieces)
	w.fill()
	best := w.pieces()
	bestScore := scoreOf(best)

	var receivers []int32
	for i, d := range h.deficit {
		if d > 0 {
			receivers = append(receivers, int32(i))
		}
	}
	if len(receivers) == 0 {
		return best
	}
	w.rng = rand.New(rand.NewPCG(16384, 1))
	cur, curScore := best, bestScore
	var ruined []piece
	chosen := make([]bool, len(h.deficit))
	for w.visits < effort {
		before := w.visits
		// Take back the slots of one to four receivers, now and then of all.
		k := 1 + w.rng.IntN(4)
		if w.rng.IntN(16) == 0 {
			k = len(receivers)
		}
		clear(chosen)
		if k >= len(receivers) {
			for _, r := range receivers {
				chosen[r] = true
			}
		} else {
			for range k {
				chosen[receivers[w.rng.IntN(len(receivers))]] = true
			}
		}
		ruined = ruined[:0]
		for _, p := range cur {
			if p.was != p.now && chosen[p.now] {
				p.now = p.was
			}
			ruined = appendPiece(ruined, p)
		}
		w.load(ruined)
		w.noise = float64(int(1)<<w.rng.IntN(6)) / 4
		w.skip = float64(w.rng.IntN(4)) / 8
		w.fill()
		next := w.pieces()
		s := scoreOf(next)
		if s.cmp(curScore) <= 0 {
			cur, curScore = next, s
			if s.cmp(bestScore) < 0 {
				best, bestScore = next, s
			}
		}
		w.visits = max(w.visits, before+len(ruined))
	}
	return best
}

// appendPiece appends p, joined to the last piece when both their owners agree.
func appendPiece(to []piece, p piece) []piece {
	if n := len(to); n > 0 {
		l := &to[n-1]
		if l.was == p.was && l.now == p.now && l.first+l.len == p.first {
			l.len += p.len
			return to
		}
	}
	return append(to, p)
}

// A score orders results: fewer ranges first, then fewer source-target pairs.
type score struct{ ranges, pairs int }

func (s score) cmp(t score) int {
	if s.ranges != t.ranges {
		return s.ranges - t.ranges
	}
	return s.pairs - t.pairs
}

func scoreOf(ps []piece) score {
	var s score
	var pairs []int64
	for i, p := range ps {
		if i == 0 || ps[i-1].now != p.now {
			s.ranges++
		}
		if p.was != p.now {
			pairs = append(pairs, int64(p.was)<<32|int64(p.now))
		}
	}
	slices.Sort(pairs)
	s.pairs = len(slices.Compact(pairs))
	return s
}

// work is one construction in progress: the pieces as a linked list, so that
// they can be split in place.
type work struct {
	h                handout
	surplus, deficit []int32
	first, len       []int32
	was, now         []int32
	prev, next       []int32 // -1 at the ends
	heap             []candidate
	order            []int32
	rng              *rand.Rand // nil in the first construction
	noise            float64    // how freely chance disturbs the order of merges
	skip             float64    // how often chance leaves out a merge or a shift
	visits           int
}

// A candidate is a whole donor piece beside a receiver's range, keyed by its
// length per range saved.
type candidate struct {
	key int64
	x   int32
}

func newWork(h handout) *work {
	return &work{h: h, surplus: make([]int32, len(h.surplus)), deficit: make([]int32, len(h.deficit))}
}

// load starts a construction from pieces of which some may be handed out already.
func (w *work) load(ps []piece) {
	copy(w.surplus, w.h.surplus)
	copy(w.deficit, w.h.deficit)
	w.first, w.len = w.first[:0], w.len[:0]
	w.was, w.now = w.was[:0], w.now[:0]
	w.prev, w.next = w.prev[:0], w.next[:0]
	for i, p := range ps {
		w.first = append(w.first, p.first)
		w.len = append(w.len, p.len)
		w.was = append(w.was, p.was)
		w.now = append(w.now, p.now)
		w.prev = append(w.prev, int32(i-1))
		w.next = append(w.next, int32(i+1))
		if p.was != p.now {
			w.surplus[p.was] -= p.len
			w.deficit[p.now] -= p.len
		}
	}
	w.next[len(ps)-1] = -1
	w.visits += len(ps)
}

func (w *work) pieces() []piece {
	ps := make([]piece, 0, len(w.first))
	for x := int32(0); x >= 0; x = w.next[x] {
		ps = appendPiece(ps, piece{w.first[x], w.len[x], w.was[x], w.now[x]})
	}
	return ps
}

// gives tells whether piece x is a donor's and how many of its slots can go.
func (w *work) gives(x int32) int32 {
	if x < 0 || w.now[x] != w.was[x] {
		return 0
	}
	return min(w.surplus[w.was[x]], w.len[x])
}

// wants is the deficit of the owner of piece x, 0 beyond the ends.
func (w *work) wants(x int32) int32 {
	if x < 0 {
		return 0
	}
	return w.deficit[w.now[x]]
}

// hand gives n slots of donor piece x to receiver r, from its left or right end,
// and returns the piece that holds them.
func (w *work) hand(x, n, r int32, left bool) int32 {
	w.surplus[w.was[x]] -= n
	w.deficit[r] -= n
	if n == w.len[x] {
		w.now[x] = r
		return x
	}
	// The first piece of the list keeps index 0: a split always adds the right part.
	y := int32(len(w.first))
	rightLen, rightNow, leftLen, leftNow := n, r, w.len[x]-n, w.now[x]
	if left {
		rightLen, rightNow, leftLen, leftNow = leftLen, leftNow, rightLen, rightNow
	}
	w.first = append(w.first, w.first[x]+leftLen)
	w.len = append(w.len, rightLen)
	w.was = append(w.was, w.was[x])
	w.now = append(w.now, rightNow)
	w.prev = append(w.prev, x)
	w.next = append(w.next, w.next[x])
	if w.next[x] >= 0 {
		w.prev[w.next[x]] = y
	}
	w.len[x], w.now[x], w.next[x] = leftLen, leftNow, y
	if left {
		return x
	}
	return y
}

func (w *work) fill() {
	w.heap = w.heap[:0]
	for x := int32(0); x >= 0; x = w.next[x] {
		w.consider(x)
	}
	w.merge()
	w.shift()
	for w.seed() {
		w.merge()
	}
}

// consider puts x on the heap when it can go whole to a neighbour.
func (w *work) consider(x int32) {
	w.visits++
	if key := w.mergeKey(x); key > 0 {
		if w.rng != nil {
			if w.rng.Float64() < w.skip {
				return // seed can still do it
			}
			key += int64(float64(key) * w.noise * w.rng.Float64())
		}
		w.push(candidate{key, x})
	}
}

// mergeKey is twice the length of x per range saved by handing it whole to a
// neighbour, 0 when that is impossible.
func (w *work) mergeKey(x int32) int64 {
	n := w.gives(x)
	if n == 0 || n < w.len[x] {
		return 0
	}
	p, q := w.prev[x], w.next[x]
	pw, qw := w.wants(p) >= n, w.wants(q) >= n
	switch {
	case pw && qw && w.now[p] == w.now[q]:
		return int64(n)
	case pw || qw:
		return 2 * int64(n)
	}
	return 0
}

// merge hands whole pieces to neighbours, shortest per saved range first.
func (w *work) merge() {
	for len(w.heap) > 0 {
		c := w.pop()
		w.visits++
		key := w.mergeKey(c.x)
		if key == 0 {
			continue
		}
		if key > c.key && w.rng == nil {
			w.push(candidate{key, c.x})
			continue
		}
		n, p, q := w.len[c.x], w.prev[c.x], w.next[c.x]
		left := w.wants(p) >= n
		if left && w.wants(q) >= n && w.now[p] != w.now[q] {
			// Either neighbour can have it: the one it fills exactly, else the needier.
			a, b := w.wants(p), w.wants(q)
			left = a == n || b != n && a >= b
			if w.rng != nil {
				left = w.rng.IntN(2) == 0
			}
		}
		r := q
		if left {
			r = p
		}
		w.hand(c.x, n, w.now[r], true)
		if p >= 0 {
			w.consider(p)
		}
		if q >= 0 {
			w.consider(q)
		}
	}
}

// shift moves the border between a donor's piece and a receiver's range beside it,
// exact fits first.
func (w *work) shift() {
	w.order = w.order[:0]
	for x := int32(0); x >= 0; x = w.next[x] {
		w.visits++
		if w.gives(x) > 0 && (w.wants(w.prev[x]) > 0 || w.wants(w.next[x]) > 0) {
			w.order = append(w.order, x)
		}
	}
	if w.rng != nil {
		w.rng.Shuffle(len(w.order), func(i, j int) { w.order[i], w.order[j] = w.order[j], w.order[i] })
	}
	for _, exact := range [2]bool{true, false} {
		for _, x := range w.order {
			if w.rng != nil && w.rng.Float64() < w.skip {
				continue
			}
			w.shiftPiece(x, exact)
		}
	}
}

// shiftPiece moves the borders of donor piece x. Piece x may be split by it; what
// stays of it on the right is then another piece, reached over next.
func (w *work) shiftPiece(x int32, exact bool) {
	rightFirst := w.rng != nil && w.rng.IntN(2) == 0
	for side := range 2 {
		right := (side == 1) != rightFirst
		// After a hand to the left neighbour the rest of x is its next piece.
		y := x
		if w.now[y] != w.was[y] {
			y = w.next[y]
			if y < 0 || w.was[y] != w.was[x] {
				return
			}
		}
		nb := w.prev[y]
		if right {
			nb = w.next[y]
		}
		n := min(w.gives(y), w.wants(nb))
		if n == 0 || exact && w.surplus[w.was[y]] != w.wants(nb) {
			continue
		}
		w.hand(y, n, w.now[nb], !right)
	}
}

// seed finds the best place for a new range of a receiver that still wants slots,
// puts it there and lets it grow into both neighbours. It reports whether any
// receiver wanted slots.
func (w *work) seed() bool {
	// The neediest receiver first: it is the hardest to place.
	r := int32(-1)
	for i, d := range w.deficit {
		if d > 0 && (r < 0 || d > w.deficit[r] || w.rng != nil && w.rng.IntN(3) == 0) {
			r = int32(i)
		}
	}
	if r < 0 {
		return false
	}
	want := w.deficit[r]

	// A place is a border: the right end of x and the left end of the piece after
	// it. A whole piece that can go is a place as well, and costs no range.
	type place struct {
		x              int32
		whole          bool
		capacity, cost int32
	}
	var best place
	found := false
	try := func(p place) {
		w.visits++
		switch {
		case !found:
		case p.cost != best.cost:
			if p.cost > best.cost {
				return
			}
		case p.capacity >= want && best.capacity >= want:
			if p.capacity >= best.capacity {
				return // the tighter fit leaves more for others
			}
		case p.capacity <= best.capacity:
			return
		}
		best, found = p, true
	}
	// In later rounds chance leaves out some places, so that others get their turn.
	for skip := w.rng != nil; ; skip = false {
		for x := int32(0); x >= 0; x = w.next[x] {
			a, b := w.gives(x), w.gives(w.next[x])
			if a+b == 0 || skip && w.rng.IntN(4) == 0 {
				continue
			}
			if a > 0 && a == w.len[x] && a <= want {
				// Whole: it reaches on to both neighbours.
				try(place{x, true, a + b + w.gives(w.prev[x]), 0})
			}
			if a > 0 && x == 0 {
				try(place{-1, false, a, 1})
			}
			cost := int32(1)
			if w.now[x] == r || w.next[x] >= 0 && w.now[w.next[x]] == r {
				cost = 0
			}
			try(place{x, false, a + b, cost})
		}
		if found {
			break
		}
	}
	w.plant(best.x, best.whole, r)
	return true
}

// plant starts or continues a range of r at the border after x (-1: before the
// first piece), or at the whole piece x.
func (w *work) plant(x int32, whole bool, r int32) {
	var l, q int32 // the pieces left and right of the range
	if whole {
		w.hand(x, w.len[x], r, true)
		l, q = w.prev[x], w.next[x]
	} else {
		l = x
		q = 0
		if x >= 0 {
			q = w.next[x]
		}
	}
	// When not all of both sides is wanted, empty the side with the poorer
	// neighbourhood, so that the rest stays where another range can use it.
	a, b := w.gives(l), w.gives(q)
	leftFirst := true
	if a > 0 && b > 0 {
		leftFirst = w.gives(w.prev[l]) <= w.gives(w.next[q])
	}
	if w.rng != nil && w.rng.IntN(4) == 0 {
		leftFirst = !leftFirst
	}
	for side := range 2 {
		if (side == 0) == leftFirst {
			if n := min(w.gives(l), w.deficit[r]); n > 0 {
				y := w.hand(l, n, r, false)
				w.around(y)
			}
		} else {
			if n := min(w.gives(q), w.deficit[r]); n > 0 {
				y := w.hand(q, n, r, true)
				w.around(y)
			}
		}
	}
	if whole {
		w.around(x)
	}
}

// around reconsiders the neighbours of x.
func (w *work) around(x int32) {
	if p := w.prev[x]; p >= 0 {
		w.consider(p)
	}
	if q := w.next[x]; q >= 0 {
		w.consider(q)
	}
}

func (a candidate) less(b candidate) bool {
	return a.key < b.key || a.key == b.key && a.x < b.x
}

func (w *work) push(c candidate) {
	h := append(w.heap, c)
	i := len(h) - 1
	for i > 0 {
		p := (i - 1) / 2
		if !h[i].less(h[p]) {
			break
		}
		h[i], h[p] = h[p], h[i]
		i = p
	}
	w.heap = h
}

func (w *work) pop() candidate {
	h := w.heap
	top := h[0]
	n := len(h) - 1
	h[0] = h[n]
	h = h[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && h[c+1].less(h[c]) {
			c++
		}
		if !h[c].less(h[i]) {
			break
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
	w.heap = h
	return top
}
