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
	free  int // the units of the slots that nobody owns
}

// loadUnits is the whole load in units: large enough that rounding does not matter, and
// small enough for 32 bits.
const loadUnits = 1 << 29

// checkLoad checks the load of that name.
func checkLoad(name string, load []float64) error {
	if len(load) != hashslot.Count {
		return &InputError{Field: name, Reason: fmt.Sprintf("must have one number for each slot, %[2]d, not %[1]d", len(load), hashslot.Count)}
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
// counted, and within the heaviest slot if load is.
func (u *units) spread(want []int) *owners {
	var h handout
	for i, n := range u.have() {
		h.surplus = append(h.surplus, int32(max(0, n-want[i])))
		h.deficit = append(h.deficit, int32(max(0, want[i]-n)))
	}
	none := int32(len(want)) // the owner of unassigned slots
	h.surplus, h.deficit = append(h.surplus, int32(u.free)), append(h.deficit, 0)
	at := int32(0)
	for slot, o := range u.s.owner {
		if o == nobody {
			o = none
		}
		h.pieces = appendPiece(h.pieces, piece{at, u.size[slot], o, o})
		at += u.size[slot]
	}
	after := new(owners)
	ps := fewRanges(h)
	at = 0
	for slot, n := range u.size {
		// The piece that has the middle of the slot. No slot stays unassigned, because
		// the whole surplus of none is handed out.
		for ps[0].first+ps[0].len <= at+n/2 {
			ps = ps[1:]
		}
		after[slot] = ps[0].now
		at += n
	}
	if u.load != nil {
		u.correct(after, want)
	}
	return after
}

// correct moves single slots from the node that is most above its load to the one
// that is most below, until both together are off by no more than the heaviest
// slot. Every correction reduces the sum of the squares of the differences. These add up
// to 0, so the one node is above its load and has slots, and the other is due some.
func (u *units) correct(after *owners, want []int) {
	off := u.held(after)
	for i := range off {
		off[i] -= want[i]
	}
	heaviest := int(slices.Max(u.size[:]))
	for range hashslot.Count {
		over, under := 0, 0
		for i, d := range off {
			if d > off[over] {
				over = i
			}
			if d < off[under] {
				under = i
			}
		}
		if off[over]-off[under] <= heaviest {
			return
		}
		slot := u.nearest(after, int32(over), int32(under), min(off[over], -off[under]), heaviest)
		after[slot] = int32(under)
		off[over] -= int(u.size[slot])
		off[under] += int(u.size[slot])
	}
}

// nearest returns the slot of the node over, which has slots, whose size comes nearest to
// goal and, among about equals, that adds the fewest ranges if the node under gets it.
func (u *units) nearest(after *owners, over, under int32, goal, heaviest int) (best int) {
	least := math.MaxInt
	for slot, o := range after {
		if o != over {
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
