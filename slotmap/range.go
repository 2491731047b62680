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

// Contains reports whether slot is in r. A range that is not valid contains no slot.
func (r Range) Contains(slot hashslot.Slot) bool {
	return r.First <= slot && slot <= r.Last && r.Last < hashslot.Count
}

// Compare orders ranges by their first slots, then by their last ones. It returns
// -1, 0 or +1, for slices.SortFunc.
func (r Range) Compare(other Range) int {
	return cmp.Or(cmp.Compare(r.First, other.First), cmp.Compare(r.Last, other.Last))
}

// String returns the text form of r. If r is not valid, the text has both ends as
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

// MarshalText returns the text form of r. The error is a [*RangeError] if r is
// not valid.
func (r Range) MarshalText() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return r.append(nil), nil
}

// UnmarshalText sets r to the result of [ParseRange]. On an error, r is unchanged.
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
		return Range{}, unreadable(s, n, "unexpected "+strconv.QuoteToASCII(s[n:n+1]))
	}
	return r, nil
}

// MustParseRange is [ParseRange] for hard-coded texts, in tests for example. It
// panics on an error.
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
		return Range{}, 0, unreadable(s, start, "the first slot is greater than the last")
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
		return 0, 0, unreadable(s, start, bad.Reason)
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

// A ParseError names the place in an input that cannot be read, and the reason. The
// parsers of this package and of packages topology and command return it.
type ParseError struct {
	Input  string // what was read: "slots", "CLUSTER NODES", "MOVED", "COMMAND"
	Place  string // where in it: "line 2, byte 17", "shards[2].nodes[0].port"; may be ""
	Reason string
}

func (e *ParseError) Error() string {
	if e.Place == "" {
		return e.Input + ": " + e.Reason
	}
	return e.Input + ": " + e.Place + ": " + e.Reason
}

// unreadable returns the error of a text in which something is wrong or missing at
// byte at. It quotes at most the 32 bytes on either side.
func unreadable(text string, at int, reason string) *ParseError {
	const around = 32
	from, to := max(at-around, 0), min(at+around, len(text))
	before, after := "", ""
	if from > 0 {
		before = "..."
	}
	if to < len(text) {
		after = "..."
	}
	return &ParseError{"slots", fmt.Sprintf("byte %d of %s%q%s", at, before, text[from:to], after), reason}
}

// A RangeError reports a range that is not valid: one of its ends is not a slot, or
// its first slot is after its last.
type RangeError struct{ Range Range }

func (e *RangeError) Error() string {
	if e.Range.First > e.Range.Last {
		return fmt.Sprintf("slotmap: range %v: the first slot is greater than the last", e.Range)
	}
	return fmt.Sprintf("slotmap: range %v: a slot is at most %d", e.Range, hashslot.Count-1)
}
