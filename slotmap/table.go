package slotmap

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"github.com/hashslot/hashslot"
)

// A Table maps each slot to its owner. It never changes, so it is safe for
// concurrent use. [Builder.Build] makes tables. A nil *Table and the zero Table assign
// no slot.
//
// Adjacent slots of one owner form one range, however the table was built.
type Table[N comparable] struct {
	// A slot has a number, the index of its owner in own. It is found in one of
	// two ways. In tables that are not much fragmented, index says for each block
	// of 16 slots:
	//
	//   - that all of them have the number n: it is n<<4;
	//   - that the first k of them have the number n and the others n+1: it is
	//     n<<4 + 16-k, so that the sum with s&15 carries into the number from the
	//     k-th slot on;
	//   - that it is neither: it is leaves + i, and leaf[i:i+16] are the numbers.
	//
	// Lookup treats the first two alike. Only the third costs a branch, which is well
	// predicted as long as few blocks have leaves. If many would have leaves, and
	// there are at most 255 owners, flat is not nil and has the numbers of all slots.
	//
	// Owners get the codes from 1 on, in the order of their first slots. The first
	// numbers are these codes. If an owner is followed by one whose code is not the next,
	// own has both again at its end: the pair that the second kind of block needs. Only
	// number 0 means unassigned.
	//
	// The fields with pointers come first, so that the garbage collector need not scan
	// the others.
	own    []N      // by number; own[0] stands for unassigned
	code   []uint16 // by number: the code of the owner
	leaf   []uint16
	flat   *[hashslot.Count]uint8
	codes  int // the number of codes, 0 included; 0 in the zero Table
	ranges int // the number of ranges that have an owner
	index  [hashslot.Count / 16]uint16
}

// leaves and more, in an index, is a place in leaf.
const leaves = 1 << 15

// Lookup returns the owner of slot. ok is false if slot is unassigned or not valid.
// Lookup takes constant time, whatever the number of owners and ranges.
func (t *Table[N]) Lookup(slot hashslot.Slot) (owner N, ok bool) {
	// Map.Lookup repeats this code.
	if slot >= hashslot.Count || t == nil || t.codes == 0 {
		return
	}
	i := t.number(slot)
	return t.own[i], i != 0
}

// number returns the index, in own and code, of the owner of slot. slot is valid and
// the table is not the zero one.
func (t *Table[N]) number(slot hashslot.Slot) uint32 {
	i := uint32(slot)
	if t.flat != nil {
		return uint32(t.flat[i])
	}
	i = uint32(t.index[i>>4]) + i&15
	if i < leaves {
		return i >> 4
	}
	return uint32(t.leaf[i-leaves])
}

// RangeCount returns the number of ranges that [Table.Ranges] yields. It takes
// constant time.
func (t *Table[N]) RangeCount() int {
	if t == nil {
		return 0
	}
	return t.ranges
}

// Ranges iterates over the ranges that have an owner, and their owners, in slot
// order.
func (t *Table[N]) Ranges() iter.Seq2[Range, N] {
	return func(yield func(Range, N) bool) {
		for r, code := range t.all() {
			if code != 0 && !yield(r, t.own[code]) {
				return
			}
		}
	}
}

// all iterates over all ranges, unassigned ones included, and the codes of their
// owners.
func (t *Table[N]) all() iter.Seq2[Range, uint16] {
	return func(yield func(Range, uint16) bool) {
		for first := 0; first < hashslot.Count; {
			code, end := t.rangeAt(first)
			if !yield(Range{hashslot.Slot(first), hashslot.Slot(end - 1)}, code) {
				return
			}
			first = end
		}
	}
}

// rangeAt returns the code of the owner of slot first, or 0, and the next slot that
// has another owner, or [hashslot.Count].
func (t *Table[N]) rangeAt(first int) (code uint16, end int) {
	if t == nil || t.codes == 0 {
		return 0, hashslot.Count
	}
	code = t.codeOf(first)
	for end = first; end < hashslot.Count && t.codeOf(end) == code; {
		end = t.skip(end)
	}
	return code, end
}

// codeOf returns the code of the owner of slot. slot is valid and the table is
// not the zero one.
func (t *Table[N]) codeOf(slot int) uint16 { return t.code[t.number(hashslot.Slot(slot))] }

// skip returns a slot after slot. All slots in front of it, from slot on, have the same
// owner. It takes few steps for a long range. slot is as for codeOf.
func (t *Table[N]) skip(slot int) int {
	if t.flat != nil {
		eight := repeated(t.flat[slot])
		for slot++; slot+8 <= hashslot.Count && binary.LittleEndian.Uint64(t.flat[slot:]) == eight; {
			slot += 8
		}
		return slot
	}
	block := slot >> 4
	e := t.index[block]
	if e >= leaves {
		return slot + 1
	}
	if carry := e & 15; carry != 0 {
		if k := block<<4 + 16 - int(carry); slot < k {
			return k
		}
		e += 16 - carry // as if the rest were a whole block
	}
	// Eight at a time halve the time of a Builder.
	for eight := eightOf(e); block+8 < len(t.index) && [8]uint16(t.index[block+1:]) == eight; {
		block += 8
	}
	for block++; block < len(t.index) && t.index[block] == e; {
		block++
	}
	return block << 4
}

func eightOf(e uint16) [8]uint16 { return [8]uint16{e, e, e, e, e, e, e, e} }

// repeated returns eight slots with the same number, as flat has them.
func repeated(number uint8) uint64 { return uint64(number) * 0x01_01_01_01_01_01_01_01 }

// Owners iterates over the owners, in the order of their first slots. Each comes once.
func (t *Table[N]) Owners() iter.Seq[N] {
	return func(yield func(N) bool) {
		for _, owner := range t.owners() {
			if !yield(owner) {
				return
			}
		}
	}
}

// owners returns the owners in the order of their codes, of which the first is 1.
func (t *Table[N]) owners() []N {
	if t == nil {
		return nil
	}
	return t.own[min(1, t.codes):t.codes]
}

// SlotsOf returns the slots of owner, the empty set if it owns none. It takes time linear
// in the number of owners and ranges: for the slots of all owners, use [Table.Ranges].
func (t *Table[N]) SlotsOf(owner N) Set {
	if i := slices.Index(t.owners(), owner); i >= 0 {
		return t.slotsOf(uint16(i + 1))
	}
	return Set{}
}

// Unassigned returns the slots that have no owner.
func (t *Table[N]) Unassigned() Set { return t.slotsOf(0) }

func (t *Table[N]) slotsOf(code uint16) (s Set) {
	for r, c := range t.all() {
		if c == code {
			s.fill(r)
		}
	}
	return s
}

// Equal reports whether each slot has the same owner in t and other, or is
// unassigned in both.
func (t *Table[N]) Equal(other *Table[N]) bool {
	if t == nil || other == nil {
		return t.RangeCount() == other.RangeCount()
	}
	// The fields of a table depend only on the owners of the slots.
	if t.index != other.index || !slices.Equal(t.owners(), other.owners()) {
		return false
	}
	if t.flat != nil && other.flat != nil {
		return *t.flat == *other.flat
	}
	// If only one has flat, the other one has leaf: their index is the same.
	return slices.Equal(t.leaf, other.leaf) && (t.ranges == 0 || slices.Equal(t.code, other.code))
}

// A Change is a range of slots whose owner changes.
type Change[N comparable] struct {
	Range    Range
	From     N    // the owner before
	To       N    // the owner after
	Assigned bool // the range had an owner before; if not, From is the zero N
	Assigns  bool // the range has an owner after; if not, To is the zero N
}

// Diff iterates over the changes from t to next, in slot order: the fewest ranges
// whose slots have one owner in t and one other owner in next. To lose an owner, or to
// get one, is a change too.
func (t *Table[N]) Diff(next *Table[N]) iter.Seq[Change[N]] {
	return func(yield func(Change[N]) bool) {
		var (
			slot           int
			from, to       uint16 // codes
			fromEnd, toEnd int    // behind the ranges with them
		)
		for slot < hashslot.Count {
			if slot == fromEnd {
				from, fromEnd = t.rangeAt(slot)
			}
			if slot == toEnd {
				to, toEnd = next.rangeAt(slot)
			}
			end := min(fromEnd, toEnd)
			c := Change[N]{Range: Range{hashslot.Slot(slot), hashslot.Slot(end - 1)}, Assigned: from != 0, Assigns: to != 0}
			if c.Assigned {
				c.From = t.own[from]
			}
			if c.Assigns {
				c.To = next.own[to]
			}
			if same := c.Assigned == c.Assigns && c.From == c.To; !same && !yield(c) {
				return
			}
			slot = end
		}
	}
}

// String returns a listing for people: one line for each owner, in the order of their
// first slots, with the owner as fmt prints it and its slots, and one line for the
// unassigned slots if there are any.
func (t *Table[N]) String() string {
	var text []byte
	for i, owner := range t.owners() {
		s := t.slotsOf(uint16(i + 1))
		text = append(s.append(fmt.Appendf(text, "%v ", owner)), '\n')
	}
	if s := t.Unassigned(); !s.IsEmpty() {
		text = append(s.append(append(text, "(unassigned) "...)), '\n')
	}
	return string(text)
}
