package slotmap

import (
	"iter"
	"math/bits"

	"github.com/hashslot/hashslot"
)

// A Set is a set of slots. The zero Set is empty and ready to use. Sets are
// plain values of a little more than 2 KiB: assignment copies, and == tells whether two sets have
// the same slots and the same error.
//
// Add, AddRange, Remove and RemoveRange take only valid slots. They pass over
// what is not valid, and the set keeps the first such range: [Set.Err] returns
// it. So a caller checks once, at the end.
//
// The methods that read a set copy it, which takes some 20 ns; the methods that
// change a set take a pointer. The methods allocate nothing but the texts and
// errors they return. A Set has no lock: one goroutine changes it, or many read
// it.
//
// The text form of a set is its ranges in ascending order, none of them
// touching the next, with one space between them, as CLUSTER NODES lists them:
// "0-5460 5462". That of the empty set is "".
type Set struct {
	words [hashslot.Count / 64]uint64 // slot s is bit s%64 of word s/64

	// The first range that was not valid. The zero Range is valid, so it means
	// that there was none. A field behind words also keeps copies of sets right
	// on s390x: see docs/s390x.md.
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

// Err returns a [*RangeError] for the first range that was added or removed and
// is not valid, or nil. The methods that combine sets keep it: that of s goes
// before that of the other set.
func (s Set) Err() error { return s.wrong.check() }

// Add puts slot into s. If slot is not valid, [Set.Err] tells.
func (s *Set) Add(slot hashslot.Slot) { s.AddRange(Range{slot, slot}) }

// AddRange puts all slots of r into s. If r is not valid, s gets none of them,
// and [Set.Err] tells.
func (s *Set) AddRange(r Range) {
	if s.takes(r) {
		s.fill(r)
	}
}

// takes reports whether r is valid, and keeps the first that is not.
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

// Remove takes slot out of s. If slot is not valid, [Set.Err] tells.
func (s *Set) Remove(slot hashslot.Slot) { s.RemoveRange(Range{slot, slot}) }

// RemoveRange takes all slots of r out of s. If r is not valid, s keeps all of
// them, and [Set.Err] tells.
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

// Contains reports whether slot is in s. To ask for many slots, range over
// [Set.Slots], which copies s once, or use a [Table].
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

// MarshalText returns the text form of s. The error is that of [Set.Err].
func (s Set) MarshalText() ([]byte, error) { return s.append([]byte{}), s.Err() }

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
			return Set{}, unreadable(s, end, "expected a space")
		}
		set.fill(r)
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
