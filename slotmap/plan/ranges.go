package plan

import (
	"math/rand/v2"
	"slices"

	"github.com/hashslot/hashslot"
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

// The search ends after so many rounds, or when the next might bring it over so
// many visits of pieces (some 10 ns each).
const (
	maxRounds = 4000
	maxVisits = 600_000
)

// fewRanges returns the pieces after the handout: every surplus given, every
// deficit filled.
func fewRanges(h handout) []piece {
	w := newWork(h)
	w.load(h.pieces)
	w.fill()
	best := w.appendPieces(nil)
	bestScore := w.score(best)
	round := w.visits // the most that a round may take

	var receivers []int32
	for i, d := range h.deficit {
		if d > 0 {
			receivers = append(receivers, int32(i))
		}
	}
	if len(receivers) == 0 {
		return best
	}
	w.rng = rand.New(rand.NewPCG(hashslot.Count, 1))
	cur, curScore := slices.Clone(best), bestScore
	var ruined, next []piece
	chosen := make([]bool, len(h.deficit))
	for i := 0; i < maxRounds && w.visits+round <= maxVisits; i++ {
		// Take back the slots of one to four receivers, now and then of all.
		clear(chosen)
		k := 1 + w.rng.IntN(4)
		if all := w.rng.IntN(16) == 0; all || k >= len(receivers) {
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
		next = w.appendPieces(next[:0])
		if s := w.score(next); s.cmp(curScore) <= 0 {
			cur, next, curScore = next, cur, s
			if s.cmp(bestScore) < 0 {
				best, bestScore = append(best[:0], cur...), s
			}
		}
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

func (w *work) score(ps []piece) score {
	var s score
	pairs := w.pairs[:0]
	for i, p := range ps {
		if i == 0 || ps[i-1].now != p.now {
			s.ranges++
		}
		if p.was != p.now {
			pairs = append(pairs, int64(p.was)<<32|int64(p.now))
		}
	}
	w.pairs = pairs
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
	head             int32
	live             []int32 // pieces that may have slots to give
	cursor           int     // where in live the next search begins
	seeds            int     // how many searches there were
	needy            []int32 // owners that may want slots
	heap             []candidate
	order            []int32
	pairs            []int64
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
	w.live, w.needy = w.live[:0], w.needy[:0]
	w.head, w.cursor, w.seeds = 0, 0, 0
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
		} else if w.surplus[p.was] > 0 {
			w.live = append(w.live, int32(i))
		}
	}
	for i, d := range w.deficit {
		if d > 0 {
			w.needy = append(w.needy, int32(i))
		}
	}
	w.next[len(ps)-1] = -1
	w.visits += len(ps)
}

func (w *work) appendPieces(ps []piece) []piece {
	for x := w.head; x >= 0; x = w.next[x] {
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

// hand gives n slots of donor piece x to receiver r, from its left or right end.
// What the donor keeps of the piece stays x. It returns the piece given.
func (w *work) hand(x, n, r int32, left bool) int32 {
	w.surplus[w.was[x]] -= n
	w.deficit[r] -= n
	if n == w.len[x] {
		w.now[x] = r
		return x
	}
	y := int32(len(w.first))
	p, q, first := x, w.next[x], w.first[x]+w.len[x]-n
	if left {
		p, q, first = w.prev[x], x, w.first[x]
		w.first[x] += n
	}
	w.len[x] -= n
	w.first = append(w.first, first)
	w.len = append(w.len, n)
	w.was = append(w.was, w.was[x])
	w.now = append(w.now, r)
	w.prev = append(w.prev, p)
	w.next = append(w.next, q)
	if p >= 0 {
		w.next[p] = y
	} else {
		w.head = y
	}
	if q >= 0 {
		w.prev[q] = y
	}
	return y
}

func (w *work) fill() {
	w.heap = w.heap[:0]
	for _, x := range w.live {
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
	for _, x := range w.live {
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
			left := w.rng == nil || w.rng.IntN(2) == 0
			w.shiftTo(x, left, exact)
			w.shiftTo(x, !left, exact)
		}
	}
}

// shiftTo moves the left or right border of donor piece x, if the owner beyond it
// wants slots; if exact, only if it wants just what the donor has to give.
func (w *work) shiftTo(x int32, left, exact bool) {
	nb := w.next[x]
	if left {
		nb = w.prev[x]
	}
	n := min(w.gives(x), w.wants(nb))
	if n > 0 && (!exact || w.surplus[w.was[x]] == w.wants(nb)) {
		w.hand(x, n, w.now[nb], left)
	}
}

// seed finds the best place for a new range of a receiver that still wants slots,
// puts it there and lets it grow into both neighbours. It reports whether any
// receiver wanted slots.
func (w *work) seed() bool {
	// The neediest receiver first: it is the hardest to place.
	w.needy = slices.DeleteFunc(w.needy, func(i int32) bool { return w.deficit[i] == 0 })
	if len(w.needy) == 0 {
		return false
	}
	r := w.needy[0]
	for _, i := range w.needy {
		if w.deficit[i] > w.deficit[r] || w.rng != nil && w.rng.IntN(3) == 0 {
			r = i
		}
	}
	w.visits += len(w.needy) / 8
	want := w.deficit[r]

	// A place is a border of a donor's piece, or all of it, which costs no range.
	type place struct {
		x, other       int32 // the piece, and the one beyond the border
		whole, left    bool
		capacity, cost int32
	}
	var best place
	found := false
	try := func(p place) {
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
	border := func(x, other, a int32, left bool) {
		p := place{x: x, other: other, left: left, capacity: a + w.gives(other), cost: 1}
		if other >= 0 && w.now[other] == r {
			p.cost = 0
		}
		try(p)
	}
	if w.seeds++; w.seeds%16 == 1 || len(w.live) <= maxLook {
		w.live = slices.DeleteFunc(w.live, func(x int32) bool { return w.gives(x) == 0 })
		w.visits += len(w.live) / 8
	}
	// In later rounds chance leaves out some places, so that others get their turn.
	for skip := w.rng != nil; !found; skip = false {
		for i := range w.live {
			if i >= maxLook && found {
				break
			}
			if w.cursor >= len(w.live) {
				w.cursor = 0
			}
			x := w.live[w.cursor]
			w.cursor++
			w.visits++
			if skip && w.rng.IntN(4) == 0 {
				continue
			}
			a, p, q := w.gives(x), w.prev[x], w.next[x]
			if a == 0 {
				continue
			}
			if a == w.len[x] && a <= want {
				// Whole: it reaches on to both neighbours.
				try(place{x: x, whole: true, capacity: a + w.gives(p) + w.gives(q)})
			}
			border(x, p, a, true)
			border(x, q, a, false)
		}
		if len(w.live) <= maxLook {
			w.cursor = 0
		}
	}
	switch {
	case best.whole:
		w.hand(best.x, w.len[best.x], r, true)
		w.plant(w.prev[best.x], w.next[best.x], r)
		w.around(best.x)
	case best.left:
		w.plant(best.other, best.x, r)
	default:
		w.plant(best.x, best.other, r)
	}
	return true
}

// maxLook bounds how many pieces are looked at to place one range.
const maxLook = 1024

// plant gives r slots from the right end of piece l and the left end of piece q.
func (w *work) plant(l, q, r int32) {
	// When not all of both sides is wanted, empty the side with the poorer
	// neighbourhood, so that the rest stays where another range can use it.
	leftFirst := true
	if w.gives(l) > 0 && w.gives(q) > 0 {
		leftFirst = w.gives(w.prev[l]) <= w.gives(w.next[q])
		if w.rng != nil && w.rng.IntN(4) == 0 {
			leftFirst = !leftFirst
		}
	}
	for _, left := range [2]bool{leftFirst, !leftFirst} {
		x := q
		if left {
			x = l
		}
		if n := min(w.gives(x), w.deficit[r]); n > 0 {
			w.around(w.hand(x, n, r, !left))
		}
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
