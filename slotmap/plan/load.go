package plan

import (
	"fmt"
	"math"
	"slices"

	"github.com/hashslot/hashslot"
)

// units measures slots. Each slot counts 1 or, to balance by load, its load as a whole
// number. All arithmetic of shares and ranges is in units, so that both kinds of balance
// share it.
type units struct {
	s     *state
	load  []float64 // nil: by the number of slots
	size  [hashslot.Count]int32
	total int
	free  int // the units of the unassigned slots
}

// loadUnits is the whole load in units: large enough that rounding does not matter, and
// small enough for 32 bits.
const loadUnits = 1 << 29

// checkLoad checks a load. name is the field for errors.
func checkLoad(name string, load []float64) error {
	if len(load) != hashslot.Count {
		return &InputError{Field: name, Reason: fmt.Sprintf("must have %d numbers, one for each slot, not %d", hashslot.Count, len(load))}
	}
	for slot, l := range load {
		if !finite(l) {
			return &InputError{Field: fmt.Sprintf("%s[%d]", name, slot), Value: fmt.Sprint(l), Reason: "must be a number of at least 0"}
		}
	}
	if total := sum(load); total == 0 || !finite(total) {
		return &InputError{Field: name, Value: fmt.Sprint(total), Reason: "the sum of the loads must be above 0 and finite"}
	}
	return nil
}

func (s *state) units(load []float64) *units {
	u := &units{s: s, load: load}
	total := sum(load)
	for slot := range u.size {
		u.size[slot] = 1
		if load != nil {
			// A slot without load still must have an owner: it counts a little.
			u.size[slot] = max(1, int32(math.Round(load[slot]/total*loadUnits)))
		}
		u.total += int(u.size[slot])
		if s.owner[slot] == nobody {
			u.free += int(u.size[slot])
		}
	}
	return u
}

// have returns the units that each node has.
func (u *units) have() []int { return u.held(&u.s.owner) }

func (u *units) held(o *owners) []int {
	have := make([]int, len(u.s.nodes))
	for slot, i := range o {
		if i != nobody {
			have[i] += int(u.size[slot])
		}
	}
	return have
}

func (u *units) of(nodes []int) []int {
	all := u.have()
	have := make([]int, len(nodes))
	for k, i := range nodes {
		have[k] = all[i]
	}
	return have
}

// spread returns owners by which every node has the wanted units: exactly if slots are
// counted, and within the heaviest slot if load is. The slots of running jobs stay. The
// error is a [*StateError] if they cannot.
func (u *units) spread(want []int) (*owners, error) {
	none := int32(len(want)) // the owner of unassigned slots
	stays := none + 1        // the owner of slots of running jobs whose node gives others
	h := handout{surplus: make([]int32, stays+1), deficit: make([]int32, stays+1)}
	stuck := 0 // units above a share, all in slots of running jobs
	busy := u.busy()
	for i, have := range u.have() {
		if u.keepsTooMuch(busy[i], want[i]) {
			return nil, u.s.running()
		}
		stuck += max(0, busy[i]-want[i])
		h.surplus[i] = int32(max(0, have-max(want[i], busy[i])))
		h.deficit[i] = int32(max(0, want[i]-have))
	}
	for i := range want {
		less := min(stuck, int(h.deficit[i]))
		h.deficit[i] -= int32(less)
		stuck -= less
	}
	h.surplus[none] = int32(u.free)
	at := int32(0)
	for slot, o := range u.s.owner {
		switch {
		case o == nobody:
			o = none
		case u.s.busy[slot] && h.surplus[o] > 0:
			o = stays
		}
		h.pieces = appendPiece(h.pieces, piece{at, u.size[slot], o, o})
		at += u.size[slot]
	}
	after := new(owners)
	ps := fewRanges(h)
	at = 0
	for slot, size := range u.size {
		// The piece that has the middle of the slot. No slot stays unassigned, because
		// the whole surplus of none is handed out.
		for ps[0].first+ps[0].len <= at+size/2 {
			ps = ps[1:]
		}
		if after[slot] = ps[0].now; after[slot] == stays {
			after[slot] = u.s.owner[slot]
		}
		at += size
	}
	if u.load != nil {
		u.correct(after, want)
	}
	return after, nil
}

// busy returns the units that each node has in slots of running jobs.
func (u *units) busy() []int {
	busy := u.s.owner
	for slot, moves := range u.s.busy {
		if !moves {
			busy[slot] = nobody
		}
	}
	return u.held(&busy)
}

// keepsTooMuch reports whether a node would have to give away some of its busy units, those
// in slots of running jobs. With a load, it may be above its share by the heaviest slot.
func (u *units) keepsTooMuch(busy, want int) bool {
	return busy > want && (u.load == nil || want == 0 || busy-want > u.heaviest())
}

func (u *units) heaviest() int { return int(slices.Max(u.size[:])) }

// correct moves single slots from the node that is most above its load to the one
// that is most below, until both together are off by no more than the heaviest
// slot. Every correction reduces the sum of the squares of the differences. Nodes that are
// above their load and have only slots of running jobs stay as they are.
func (u *units) correct(after *owners, want []int) {
	off := u.held(after)
	for i := range off {
		off[i] -= want[i]
	}
	heaviest := u.heaviest()
	stuck := make([]bool, len(off))
	for range hashslot.Count {
		over, under := nobody, 0
		for i, d := range off {
			if d > 0 && !stuck[i] && (over == nobody || d > off[over]) {
				over = i
			}
			if d < off[under] {
				under = i
			}
		}
		if over == nobody || off[over]-off[under] <= heaviest {
			return
		}
		slot := u.nearest(after, int32(over), int32(under), min(off[over], -off[under]), heaviest)
		if slot == nobody {
			stuck[over] = true
			continue
		}
		after[slot] = int32(under)
		off[over] -= int(u.size[slot])
		off[under] += int(u.size[slot])
	}
}

// nearest returns the slot of node over whose size is nearest to goal. Among sizes that are
// about equally near, it prefers a slot that adds few ranges when node under gets it. It
// returns nobody if running jobs move all slots of the node.
func (u *units) nearest(after *owners, over, under int32, goal, heaviest int) int {
	best, least := nobody, math.MaxInt
	for slot, o := range after {
		if o != over || u.s.busy[slot] {
			continue
		}
		off := goal - int(u.size[slot])
		cost := 4 * max(off, -off) / (heaviest + 1) * 4
		for _, y := range [2]int{slot - 1, slot + 1} {
			beside := int32(nobody)
			if uint(y) < hashslot.Count {
				beside = after[y]
			}
			switch beside {
			case under:
				cost -= 2
			case over:
			default:
				cost--
			}
		}
		if cost < least {
			best, least = slot, cost
		}
	}
	return best
}
