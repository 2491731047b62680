package slotmap

import (
	"iter"
	"math/bits"

	"github.com/hashslot/hashslot"
)

// A Set is a set of slots. The zero Set is empty and ready to use. Sets are
// plain values of 2 KiB: assignment copies, and == tells whether two sets have
// the same slots.
//
// The methods that read a set copy it, which takes some 20 ns; only
// [Set.Contains] and the methods that change a set take a pointer. The methods
// allocate nothing but the texts they return.
//
// The text form of a set is its ranges in ascending order, none of them
// touching the next, with one space between them, as CLUSTER NODES lists them:
// "0-5460 5462". That of the empty set is "".
//
// On s390x, a fault of Go's compiler concerns sets: see docs/s390x.md.
type Set struct {
	words [hashslot.Count / 64]uint64 // slot s is bit s%64 of word s/64
}

// SetOf returns the set of all slots in ranges. The error is a [*RangeError]
// for the first range that is not valid.
func SetOf(ranges ...Range) (Set, error) {
	var s Set
	for _, r := range ranges {
		if err := s.AddRange(r); err != nil {
			return Set{}, err
		}
	}
	return s, nil
}

// Add puts slot into s. The error is a [*RangeError] if slot is not valid.
func (s *Set) Add(slot hashslot.Slot) error { return s.AddRange(Range{slot, slot}) }

// AddRange puts all slots of r into s. If r is not valid, the error is a
// [*RangeError] and s stays as it was.
func (s *Set) AddRange(r Range) error {
	if err := r.check(); err != nil {
		return err
	}
	s.fill(r)
	return nil
}

// fill adds the slots of r, which is valid.
func (s *Set) fill(r Range) {
	for w := r.First >> 6; w <= r.Last>>6; w++ {
		s.words[w] |= r.mask(int(w))
	}
}

// Remove takes slot out of s. The error is a [*RangeError] if slot is not
// valid.
func (s *Set) Remove(slot hashslot.Slot) error { return s.RemoveRange(Range{slot, slot}) }

// RemoveRange takes all slots of r out of s. If r is not valid, the error is a
// [*RangeError] and s stays as it was.
func (s *Set) RemoveRange(r Range) error {
	if err := r.check(); err != nil {
		return err
	}
	for w := r.First >> 6; w <= r.Last>>6; w++ {
		s.words[w] &^= r.mask(int(w))
	}
	return nil
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

// Contains reports whether slot is in s.
func (s *Set) Contains(slot hashslot.Slot) bool {
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
func (s Set) IsEmpty() bool { return s == Set{} }

// Union returns the slots that are in s or in other.
func (s Set) Union(other Set) Set {
	for i := range s.words {
		s.words[i] |= other.words[i]
	}
	return s
}

// Intersect returns the slots that are in s and in other.
func (s Set) Intersect(other Set) Set {
	for i := range s.words {
		s.words[i] &= other.words[i]
	}
	return s
}

// Subtract returns the slots that are in s and not in other.
func (s Set) Subtract(other Set) Set {
	for i := range s.words {
		s.words[i] &^= other.words[i]
	}
	return s
}

// Slots yields the slots of s in ascending order. Changes to the set in the
// meantime do not show.
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

// Ranges yields the fewest ranges that together are s, in ascending order.
// Changes to the set in the meantime do not show.
func (s Set) Ranges() iter.Seq[Range] {
	return func(yield func(Range) bool) {
		for first, ok := nextBit(&s.words, 0, 0); ok; {
			// The slots from next on are searched for the first that is not in s.
			next, more := nextBit(&s.words, first+1, ^uint64(0))
			if !more {
				next = hashslot.Count
			}
			if !yield(Range{hashslot.Slot(first), hashslot.Slot(next - 1)}) || !more {
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

// AppendText appends the text form of s to b. The error is always nil.
func (s Set) AppendText(b []byte) ([]byte, error) { return s.append(b), nil }

// MarshalText returns the text form of s. The error is always nil.
func (s Set) MarshalText() ([]byte, error) { return s.append([]byte{}), nil }

// UnmarshalText sets s to what text says, as [ParseSet] reads it. If there is
// an error, s stays as it was.
func (s *Set) UnmarshalText(text []byte) error {
	parsed, err := ParseSet(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// ParseSet reads ranges as [ParseRange] does, with one or more spaces between
// them; spaces may also be in front and behind. The ranges may come in any
// order, touch and overlap: all that counts is which slots are in the set. The
// text "" is the empty set. The error is a [*ParseError].
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
			return Set{}, &ParseError{s, end, "expected a space"}
		}
		if err := set.AddRange(r); err != nil {
			return Set{}, err
		}
		at = end
	}
}

// MustParseSet is [ParseSet] for texts that are known to be right, as those in
// tests. It panics if there is an error.
func MustParseSet(s string) Set {
	set, err := ParseSet(s)
	if err != nil {
		panic(err)
	}
	return set
}
