package slotmap

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"

	"github.com/hashslot/hashslot"
)

// A Range is the slots from First to Last, both included. Ranges can be
// compared with ==.
//
// The text form of a range is "0-5460", or "5462" if it is a single slot.
type Range struct{ First, Last hashslot.Slot }

// Valid reports whether both ends are slots and First is not after Last.
func (r Range) Valid() bool { return r.First <= r.Last && r.Last < hashslot.Count }

// Len returns the number of slots in r, 1 to 16384; 0 if r is not valid.
func (r Range) Len() int {
	if !r.Valid() {
		return 0
	}
	return int(r.Last-r.First) + 1
}

// Contains reports whether slot is in r. A range that is not valid contains
// nothing.
func (r Range) Contains(slot hashslot.Slot) bool {
	return r.First <= slot && slot <= r.Last && r.Last < hashslot.Count
}

// Compare orders ranges by their first slot, and those with the same first
// slot by their last one. It returns -1, 0 or +1, as slices.SortFunc wants.
func (r Range) Compare(other Range) int {
	return cmp.Or(cmp.Compare(r.First, other.First), cmp.Compare(r.Last, other.Last))
}

// String returns the text form of r. If r is not valid, it shows both ends as
// they are.
func (r Range) String() string { return string(r.append(nil)) }

func (r Range) append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(r.First), 10)
	if r.First != r.Last {
		b = append(b, '-')
		b = strconv.AppendUint(b, uint64(r.Last), 10)
	}
	return b
}

// AppendText appends the text form of r to b. The error is a [*RangeError] if
// r is not valid.
func (r Range) AppendText(b []byte) ([]byte, error) {
	if err := r.check(); err != nil {
		return b, err
	}
	return r.append(b), nil
}

// MarshalText returns the text form of r. The error is a [*RangeError] if r is
// not valid.
func (r Range) MarshalText() ([]byte, error) { return r.AppendText(nil) }

// UnmarshalText sets r to what text says, as [ParseRange] reads it. If there is
// an error, r stays as it was.
func (r *Range) UnmarshalText(text []byte) error {
	parsed, err := ParseRange(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}

// ParseRange reads the text form of a range: a slot, or two slots with a '-'
// between them, the first not greater than the last. Slots are decimal numbers
// from 0 to 16383 without sign and without leading zeros, as servers print
// them. The error is a [*ParseError].
func ParseRange(s string) (Range, error) {
	r, n, err := parseRange(s, 0)
	if err != nil {
		return Range{}, err
	}
	if n < len(s) {
		return Range{}, &ParseError{s, n, "unexpected " + strconv.QuoteToASCII(s[n:n+1])}
	}
	return r, nil
}

// MustParseRange is [ParseRange] for texts that are known to be right, as those
// in tests. It panics if there is an error.
func MustParseRange(s string) Range {
	r, err := ParseRange(s)
	if err != nil {
		panic(err)
	}
	return r
}

// parseRange reads the range at s[start:] and returns where it ends.
func parseRange(s string, start int) (r Range, end int, err error) {
	if r.First, end, err = parseSlot(s, start); err != nil {
		return Range{}, 0, err
	}
	if end == len(s) || s[end] != '-' {
		r.Last = r.First
		return r, end, nil
	}
	if r.Last, end, err = parseSlot(s, end+1); err != nil {
		return Range{}, 0, err
	}
	if r.First > r.Last {
		return Range{}, 0, &ParseError{s, start, "the first slot is greater than the last"}
	}
	return r, end, nil
}

// parseSlot reads the slot at s[start:] and returns where it ends.
func parseSlot(s string, start int) (slot hashslot.Slot, end int, err error) {
	end = start
	for end < len(s) && '0' <= s[end] && s[end] <= '9' {
		end++
	}
	if slot, err = hashslot.ParseSlot(s[start:end]); err != nil {
		var bad *hashslot.SlotError
		errors.As(err, &bad)
		return 0, 0, &ParseError{s, start, bad.Reason}
	}
	return slot, end, nil
}

// check returns a [*RangeError] if r is not valid.
func (r Range) check() error {
	if !r.Valid() {
		return &RangeError{r}
	}
	return nil
}

// A ParseError says where a text is not a range or a set, and why.
type ParseError struct {
	Input  string // the whole text
	Offset int    // the byte of Input at which the trouble starts; len(Input) if something is missing at its end
	Reason string
}

// Error quotes at most the 32 bytes of the input on either side of the place.
func (e *ParseError) Error() string {
	const around = 32
	from, to := max(e.Offset-around, 0), min(e.Offset+around, len(e.Input))
	before, after := "", ""
	if from > 0 {
		before = "..."
	}
	if to < len(e.Input) {
		after = "..."
	}
	return fmt.Sprintf("slotmap: %s, at byte %d of %s%q%s", e.Reason, e.Offset, before, e.Input[from:to], after)
}

// A RangeError is a range that names no slots: one of its ends is no slot, or
// its first slot is after its last.
type RangeError struct{ Range Range }

func (e *RangeError) Error() string {
	if e.Range.First > e.Range.Last {
		return fmt.Sprintf("slotmap: range %v: the first slot is greater than the last", e.Range)
	}
	return fmt.Sprintf("slotmap: range %v: a slot is at most %d", e.Range, hashslot.Count-1)
}
