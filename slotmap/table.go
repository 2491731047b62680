package slotmap

import (
	"fmt"
	"iter"
	"math/bits"

	"github.com/hashslot/hashslot"
)

// A Table says who owns each slot. It never changes, so any number of
// goroutines may use it at once. Tables are made by [Builder.Build]; the zero
// Table, and that of a [Map] in which nothing was stored, assigns no slot.
//
// Adjacent slots of the same owner form one range, and the methods report the
// same whichever way the table was built.
type Table[N comparable] struct {
	// The ranges, with those that nobody owns among them, are numbered from 1 in
	// the order of their slots. The number of the range in which a slot is, is 1
	// and the count of the ranges that start after slot 0 and not after the slot.
	// It is found in one of three ways, each for the tables in which it is the
	// fastest:
	//
	//   - rank[s/64] is positive: it is the number for the whole block of 64 slots;
	//   - it is negative: it is minus the number in front of the block, and the
	//     starts in the block are counted. If only a few blocks have a start within
	//     them, only those are marked so, and the processor foresees which way a
	//     lookup goes; if there are many, it could not, and all blocks are;
	//   - flat is not nil: there are too many ranges to be worth a word for each
	//     of them, and flat[s] is used in the place of a number: it is the code
	//     of the owner.
	//
	// own has the owner for each number, and code its code: 1 and up for the
	// owners in the order of their first slots, 0 for nobody. Thus own[0] and
	// owners[0] are never anybody's.
	//
	// The fields with pointers come first, so that the garbage collector need not
	// look at the others.
	own    []N      // is owners, if flat is used or each owner has one range
	code   []uint16 // is part of identity, if it can be
	flat   *[hashslot.Count]int16
	owners []N // by code
	ranges int // how many of the ranges are somebody's
	rank   [hashslot.Count / 64]int16
	starts [hashslot.Count / 64]uint64 // bit s%64 of word s/64: a range starts at slot s. Not set for slot 0
}

// Which way to look slots up was measured: BenchmarkLookup in package bench.
const (
	maxCompact = 2048 // with more ranges, flat is used
	maxMixed   = 32   // with more blocks that have a start within, all of them are counted
)

// identity is the code of tables in which number and code are the same.
var identity = func() (id [1025]uint16) {
	for i := range id {
		id[i] = uint16(i)
	}
	return id
}()

// Lookup returns the owner of slot. If nobody owns it, or if it is not one of
// the 16384 slots, ok is false. Lookup takes the same time however many owners
// and ranges there are.
func (t *Table[N]) Lookup(slot hashslot.Slot) (owner N, ok bool) {
	// Map.Lookup says the same again, in full.
	if slot >= hashslot.Count || t.own == nil {
		return
	}
	i := t.number(slot)
	return t.own[i], t.code[i] != 0
}

// number returns the index of slot in own and code. Slot is valid and the table
// is not the zero one.
func (t *Table[N]) number(slot hashslot.Slot) int16 {
	i := t.rank[slot>>6]
	if i < 0 {
		i = int16(bits.OnesCount64(t.starts[slot>>6]<<(^slot&63))) - i
	}
	if t.flat != nil {
		i = t.flat[slot]
	}
	return i
}

// Len returns the number of ranges that [Table.Ranges] yields.
func (t *Table[N]) Len() int { return t.ranges }

// Ranges yields the ranges that have an owner and their owners, in slot order.
func (t *Table[N]) Ranges() iter.Seq2[Range, N] {
	return func(yield func(Range, N) bool) {
		for r, code := range t.all() {
			if code != 0 && !yield(r, t.owners[code]) {
				return
			}
		}
	}
}

// all yields all ranges, with those that nobody owns, and the codes of their
// owners.
func (t *Table[N]) all() iter.Seq2[Range, uint16] {
	return func(yield func(Range, uint16) bool) {
		first := hashslot.Slot(0)
		for i, w := range t.starts {
			for ; w != 0; w &= w - 1 {
				next := hashslot.Slot(i<<6 + bits.TrailingZeros64(w))
				if !yield(Range{first, next - 1}, t.codeOf(first)) {
					return
				}
				first = next
			}
		}
		yield(Range{first, hashslot.Count - 1}, t.codeOf(first))
	}
}

// codeOf returns the code of the owner of slot, 0 for nobody. Slot is valid.
func (t *Table[N]) codeOf(slot hashslot.Slot) uint16 {
	if t.own == nil {
		return 0
	}
	return t.code[t.number(slot)]
}

// Owners yields each owner once, in the order of their first slots.
func (t *Table[N]) Owners() iter.Seq[N] {
	return func(yield func(N) bool) {
		for code := 1; code < len(t.owners); code++ {
			if !yield(t.owners[code]) {
				return
			}
		}
	}
}

// SlotsOf returns the slots of owner; none, if it owns nothing.
func (t *Table[N]) SlotsOf(owner N) Set {
	for code := 1; code < len(t.owners); code++ {
		if t.owners[code] == owner {
			return t.slotsOf(uint16(code))
		}
	}
	return Set{}
}

// Unassigned returns the slots that nobody owns.
func (t *Table[N]) Unassigned() Set { return t.slotsOf(0) }

func (t *Table[N]) slotsOf(code uint16) (s Set) {
	for r, c := range t.all() {
		if c == code {
			s.fill(r)
		}
	}
	return s
}

// Equal reports whether each slot has the same owner in t and in other, or none
// in either.
func (t *Table[N]) Equal(other *Table[N]) bool {
	if t.starts != other.starts || t.ranges != other.ranges {
		return false
	}
	if t.ranges == 0 {
		return true
	}
	if len(t.owners) != len(other.owners) {
		return false
	}
	// Codes are given in the order of the slots, so those of equal tables are
	// the same.
	for code := 1; code < len(t.owners); code++ {
		if t.owners[code] != other.owners[code] {
			return false
		}
	}
	for r, code := range t.all() {
		if other.codeOf(r.First) != code {
			return false
		}
	}
	return true
}

// A Change is a range of slots that go from one owner to another.
type Change[N comparable] struct {
	Range    Range
	From     N    // the owner before
	To       N    // the owner after
	Assigned bool // somebody owned the range before; if not, From is the zero N
	Assigns  bool // somebody owns the range after; if not, To is the zero N
}

// Diff yields, in slot order, what must change to make next of t: the fewest
// ranges whose slots all have the same owner before and the same other owner
// after. To lose the owner, or to get one, is a change too.
func (t *Table[N]) Diff(next *Table[N]) iter.Seq[Change[N]] {
	return func(yield func(Change[N]) bool) {
		// Between two starts, of either table, nothing changes in either.
		first := hashslot.Slot(0)
		part := func(end int) bool {
			c := Change[N]{Range: Range{first, hashslot.Slot(end - 1)}}
			c.From, c.Assigned = t.Lookup(first)
			c.To, c.Assigns = next.Lookup(first)
			first = hashslot.Slot(end)
			same := c.Assigned == c.Assigns && c.From == c.To
			return same || yield(c)
		}
		for i := range t.starts {
			for w := t.starts[i] | next.starts[i]; w != 0; w &= w - 1 {
				if !part(i<<6 + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
		part(hashslot.Count)
	}
}

// MarshalText returns a listing for people to read: a line for each owner, in
// the order of their first slots, with the owner as fmt prints it and its
// slots, and one for the slots that nobody owns if there are such. The error is
// always nil.
func (t *Table[N]) MarshalText() ([]byte, error) {
	var text []byte
	for code := 1; code < len(t.owners); code++ {
		s := t.slotsOf(uint16(code))
		text = append(s.append(fmt.Appendf(text, "%v ", t.owners[code])), '\n')
	}
	if s := t.Unassigned(); !s.IsEmpty() {
		text = append(s.append(append(text, "(unassigned) "...)), '\n')
	}
	return text, nil
}

// String returns the text of [Table.MarshalText].
func (t *Table[N]) String() string {
	text, _ := t.MarshalText()
	return string(text)
}
