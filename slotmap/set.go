package slotmap

import (
	"iter"
	"math/bits"

	"github.com/hashslot/hashslot"
)

// A Set is a set of slots. The zero Set is empty and ready to use. A Set is a plain
// value of a little more than 2 KiB: assignment copies it, and == reports whether two
// sets have the same slots and the same error.
//
// Add, AddRange, Remove and RemoveRange ignore slots and ranges that are not valid.
// The set keeps the first of these for [Set.Err], so a caller checks once, at the
// end.
//
// The methods that read a set copy it, which takes some 20 ns. The methods that
// change a set take a pointer. Only returned texts and errors are allocated. A Set is
// safe for concurrent reads; a write must not run beside anything else.
//
// The text form of a set is its ranges in ascending order, merged where they touch,
// with one space between them, as in CLUSTER NODES: "0-5460 5462". That of the empty
// set is "".
type Set struct {
	words [hashslot.Count / 64]uint64 // slot s is bit s%64 of word s/64

	// The first range that was not valid. The zero Range is valid, so it stands for
	// none. On s390x, a field after words also works around a fault in how Go copies
	// sets: see docs/s390x.md.
	wrong Range
}

// SetOf returns the set of all slots in ranges.
func SetOf(ranges ...Range) Set {
	var s Set
	for _, r := range ranges {
		s.AddRange(r)
	}
	return s
}

// Err returns a [*RangeError] for the first range that was added or removed and is
// not valid, or nil. Sets that are made of others keep the error: that of s, or else
// that of the other set.
func (s Set) Err() error { return s.wrong.check() }

// Add adds slot to s. If slot is not valid, s gets the error for [Set.Err].
func (s *Set) Add(slot hashslot.Slot) { s.AddRange(Range{slot, slot}) }

// AddRange adds all slots of r to s. If r is not valid, s gets no slot, and the error
// for [Set.Err].
func (s *Set) AddRange(r Range) {
	if s.takes(r) {
		s.fill(r)
	}
}

// takes reports whether r is valid, and keeps the first range that is not.
func (s *Set) takes(r Range) bool {
	if r.Valid() {
		return true
	}
	if s.wrong == (Range{}) {
		s.wrong = r
	}
	return false
}

// fill adds the slots of r, which is valid.
func (s *Set) fill(r Range) {
	for w := r.First >> 6; w <= r.Last>>6; w++ {
		s.words[w] |= r.mask(int(w))
	}
}

// Remove removes slot from s. If slot is not valid, s gets the error for [Set.Err].
func (s *Set) Remove(slot hashslot.Slot) { s.RemoveRange(Range{slot, slot}) }

// RemoveRange removes all slots of r from s. If r is not valid, s keeps its slots,
// and gets the error for [Set.Err].
func (s *Set) RemoveRange(r Range) {
	if !s.takes(r) {
		return
	}
	for w := r.First >> 6; w <= r.Last>>6; w++ {
		s.words[w] &^= r.mask(int(w))
	}
}

// mask returns the bits of the slots of r in a word in which r has some. r is
// valid.
func (r Range) mask(word int) uint64 {
	mask := ^uint64(0)
	if word == int(r.First>>6) {
		mask <<= r.First & 63
	}
	if word == int(r.Last>>6) {
		mask &= ^uint64(0) >> (^r.Last & 63)
	}
	return mask
}

// Contains reports whether slot is in s. For many slots, range over [Set.Slots],
// which copies s once, or use a [Table].
func (s Set) Contains(slot hashslot.Slot) bool {
	return slot < hashslot.Count && s.words[slot>>6]>>(slot&63)&1 != 0
}

// Len returns the number of slots in s.
func (s Set) Len() int {
	n := 0
	for _, w := range s.words {
		n += bits.OnesCount64(w)
	}
	return n
}

// IsEmpty reports whether s has no slots.
func (s Set) IsEmpty() bool { return s.words == Set{}.words }

// Union returns the slots that are in s or in other.
func (s Set) Union(other Set) Set {
	for i := range s.words {
		s.words[i] |= other.words[i]
	}
	return s.or(other)
}

// Intersect returns the slots that are in s and in other.
func (s Set) Intersect(other Set) Set {
	for i := range s.words {
		s.words[i] &= other.words[i]
	}
	return s.or(other)
}

// Subtract returns the slots that are in s and not in other.
func (s Set) Subtract(other Set) Set {
	for i := range s.words {
		s.words[i] &^= other.words[i]
	}
	return s.or(other)
}

// or gives s the error of other if it has none.
func (s Set) or(other Set) Set {
	if s.wrong == (Range{}) {
		s.wrong = other.wrong
	}
	return s
}

// Slots iterates over the slots of s in ascending order. It iterates over a copy;
// later changes to the set are not seen.
func (s Set) Slots() iter.Seq[hashslot.Slot] {
	return func(yield func(hashslot.Slot) bool) {
		for i, w := range s.words {
			for ; w != 0; w &= w - 1 {
				if !yield(hashslot.Slot(i<<6 + bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}

// Ranges iterates over the fewest ranges that make up s, in ascending order. It
// iterates over a copy; later changes to the set are not seen.
func (s Set) Ranges() iter.Seq[Range] {
	return func(yield func(Range) bool) {
		for first, ok := nextBit(&s.words, 0, 0); ok; {
			// The slots from next on are searched for the first that is not in s.
			next, more := nextBit(&s.words, first+1, ^uint64(0))
			if !more {
				next = hashslot.Count
			}
			if !yield(Range{hashslot.Slot(first), hashslot.Slot(next - 1)}) {
				return
			}
			first, ok = nextBit(&s.words, next+1, 0)
		}
	}
}

// nextBit returns the first bit from bit on that is set after all words are
// xored with flip.
func nextBit(words *[hashslot.Count / 64]uint64, bit int, flip uint64) (int, bool) {
	if bit >= hashslot.Count {
		return 0, false
	}
	i := bit >> 6
	w := (words[i] ^ flip) &^ (1<<(bit&63) - 1)
	for w == 0 {
		if i++; i == len(words) {
			return 0, false
		}
		w = words[i] ^ flip
	}
	return i<<6 + bits.TrailingZeros64(w), true
}

// String returns the text form of s.
func (s Set) String() string { return string(s.append(nil)) }

func (s *Set) append(b []byte) []byte {
	n := len(b)
	for r := range s.Ranges() {
		if len(b) > n {
			b = append(b, ' ')
		}
		b = r.append(b)
	}
	return b
}

// MarshalText returns the text form of s. The error is that of [Set.Err].
func (s Set) MarshalText() ([]byte, error) { return s.append([]byte{}), s.Err() }

// UnmarshalText sets s to the result of [ParseSet]. On an error, s is unchanged.
func (s *Set) UnmarshalText(text []byte) error {
	parsed, err := ParseSet(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// ParseSet reads ranges as [ParseRange] does, with one or more spaces between them.
// Leading and trailing spaces are allowed. The ranges may be in any order, touch and
// overlap. The text "" is the empty set. The error is a [*ParseError].
//
// ParseSet takes time linear in len(s).
func ParseSet(s string) (Set, error) {
	var set Set
	for at := 0; ; {
		for at < len(s) && s[at] == ' ' {
			at++
		}
		if at == len(s) {
			return set, nil
		}
		r, end, err := parseRange(s, at)
		if err != nil {
			return Set{}, err
		}
		if end < len(s) && s[end] != ' ' {
			return Set{}, unreadable(s, end, "expected a space")
		}
		set.fill(r)
		at = end
	}
}

// MustParseSet is [ParseSet] for hard-coded texts, in tests for example. It panics on
// an error.
func MustParseSet(s string) Set {
	set, err := ParseSet(s)
	if err != nil {
		panic(err)
	}
	return set
}
