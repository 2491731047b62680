package slotmap_test

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

var (
	_ encoding.TextMarshaler   = slotmap.Range{}
	_ encoding.TextUnmarshaler = (*slotmap.Range)(nil)
	_ encoding.TextMarshaler   = slotmap.Set{}
	_ encoding.TextUnmarshaler = (*slotmap.Set)(nil)
)

func TestRange(t *testing.T) {
	tests := []struct {
		r     slotmap.Range
		valid bool
		len   int
		text  string
	}{
		{slotmap.Range{}, true, 1, "0"},
		{slotmap.Range{First: 0, Last: 16383}, true, 16384, "0-16383"},
		{slotmap.Range{First: 16383, Last: 16383}, true, 1, "16383"},
		{slotmap.Range{First: 5461, Last: 10922}, true, 5462, "5461-10922"},
		{slotmap.Range{First: 2, Last: 1}, false, 0, "2-1"},
		{slotmap.Range{First: 0, Last: 16384}, false, 0, "0-16384"},
		{slotmap.Range{First: 16384, Last: 16384}, false, 0, "16384"},
		{slotmap.Range{First: 65535, Last: 65535}, false, 0, "65535"},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			r := test.r
			assert.Equal(t, test.valid, r.Valid())
			assert.Equal(t, test.len, r.Len())
			assert.Equal(t, test.text, r.String())
			n := 0
			for s := range 65536 {
				if r.Contains(hashslot.Slot(s)) {
					n++
				}
			}
			assert.Equal(t, test.len, n)
			assert.Equal(t, test.valid, r.Contains(r.First) && r.Contains(r.Last))

			marshaled, err := r.MarshalText()
			if !test.valid {
				want := &slotmap.RangeError{Range: r}
				assert.Equal(t, want, err)
				assert.Contains(t, err.Error(), test.text)
				assert.Nil(t, marshaled)
				assert.Panics(t, func() { slotmap.MustParseRange(test.text) })
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.text, string(marshaled))
			assert.Equal(t, r, slotmap.MustParseRange(test.text))
		})
	}
}

func TestRangeCompare(t *testing.T) {
	ordered := []slotmap.Range{{First: 0, Last: 0}, {First: 0, Last: 5}, {First: 1, Last: 1}, {First: 1, Last: 16383}, {First: 7, Last: 8}}
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			assert.Equal(t, want, a.Compare(b), "%v, %v", a, b)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const (
		noSlot   = "expected a number from 0 to 16383"
		tooLarge = "a slot is at most 16383"
		zeros    = "a slot has no leading zeros"
		order    = "the first slot is greater than the last"
	)
	tests := []struct {
		in     string
		offset int
		reason string
		set    bool // "" and spaces are sets, and other reasons apply
	}{
		{"", 0, noSlot, false},
		{" 1", 0, noSlot, false},
		{"1 ", 1, `unexpected " "`, false},
		{"1 2", 1, `unexpected " "`, false},
		{"1-2-3", 3, `unexpected "-"`, false},
		{"1,2", 1, `unexpected ","`, false},
		{"1\xff", 1, `unexpected "\xff"`, false},

		{"-", 0, noSlot, true},
		{"-1", 0, noSlot, true},
		{"+1", 0, noSlot, true},
		{"1-", 2, noSlot, true},
		{"1--2", 2, noSlot, true},
		{"16384", 0, tooLarge, true},
		{"0-16384", 2, tooLarge, true},
		{"65536", 0, tooLarge, true},
		{"18446744073709551616", 0, tooLarge, true},
		{"00", 0, zeros, true},
		{"01", 0, zeros, true},
		{"1-02", 2, zeros, true},
		{"2-1", 0, order, true},
		{"0x1", 1, "", true},
		{"1_0", 1, "", true},
		{"1.0", 1, "", true},
		{"\u0661", 0, noSlot, true},
		{"1-2-3", 3, "expected a space", true},
		{"1,2", 1, "expected a space", true},
		{"1\t2", 1, "expected a space", true},
		{"0-5 7 a", 6, noSlot, true},
		{"0-5 9-8", 4, order, true},
		{"0-5 [6->-abc]", 4, noSlot, true},
		{"0-5  16384-2", 5, tooLarge, true},
	}
	for _, test := range tests {
		t.Run(strconv.QuoteToASCII(test.in), func(t *testing.T) {
			_, err := slotmap.ParseRange(test.in)
			if test.set {
				require.Error(t, err)
				_, err = slotmap.ParseSet(test.in)
				set := slotmap.MustParseSet("1 2")
				assert.Equal(t, err, set.UnmarshalText([]byte(test.in)))
				assert.Equal(t, slotmap.MustParseSet("1 2"), set)
				assert.Panics(t, func() { slotmap.MustParseSet(test.in) })
			} else {
				r := slotmap.MustParseRange("1-2")
				assert.Equal(t, err, r.UnmarshalText([]byte(test.in)))
				assert.Equal(t, slotmap.MustParseRange("1-2"), r)
			}
			var parseError *slotmap.ParseError
			require.True(t, errors.As(err, &parseError), "%v", err)
			assert.Equal(t, "slots", parseError.Input)
			assert.Equal(t, fmt.Sprintf("byte %d of %q", test.offset, test.in), parseError.Place)
			if test.reason != "" {
				assert.Equal(t, test.reason, parseError.Reason)
			}
			assert.Contains(t, err.Error(), parseError.Reason)
		})
	}
}

func TestParseErrorQuotesThePlace(t *testing.T) {
	_, err := slotmap.ParseSet(strings.Repeat("1 ", 1000) + "x" + strings.Repeat(" 2", 1_000_000))
	require.Error(t, err)
	assert.Equal(t, `slots: byte 2000 of ..."`+strings.Repeat("1 ", 16)+"x"+
		strings.Repeat(" 2", 15)+` "...: expected a number from 0 to 16383`, err.Error())
	_, err = slotmap.ParseSet("1" + strings.Repeat(" ", 32) + "x")
	assert.EqualError(t, err, `slots: byte 33 of ..."`+strings.Repeat(" ", 32)+`x": expected a number from 0 to 16383`)
	assert.EqualError(t, &slotmap.ParseError{Input: "MOVED", Reason: "there is none"}, "MOVED: there is none")
	assert.EqualError(t, slotmap.SetOf(slotmap.Range{First: 2, Last: 1}).Err(), "slotmap: range 2-1: the first slot is greater than the last")
	assert.EqualError(t, slotmap.SetOf(slotmap.Range{First: 2, Last: 16384}).Err(), "slotmap: range 2-16384: a slot is at most 16383")
	_, err = slotmap.ParseSet("1 x")
	assert.EqualError(t, err, `slots: byte 2 of "1 x": expected a number from 0 to 16383`)
}

func TestParseSet(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"   ":                   "",
		"0":                     "0",
		"16383":                 "16383",
		"0-16383":               "0-16383",
		"0-5460 5462":           "0-5460 5462",
		"  0-5460   5462 ":      "0-5460 5462",
		"5462 0-5460":           "0-5460 5462", // in any order,
		"0-5 6-10":              "0-10",        // touching,
		"0-5 3-10 4":            "0-10",        // overlapping,
		"7-7":                   "7",
		"63 64":                 "63-64",
		"62-63 64-127 128 130":  "62-128 130",
		"1 3 5":                 "1 3 5",
		"16382 16383":           "16382-16383",
		"0 2-16383":             "0 2-16383",
		"0-16382":               "0-16382",
		"0-63 128-191":          "0-63 128-191",
		"1-62 64 127 16320-380": "", // an error
	} {
		set, err := slotmap.ParseSet(in)
		if want == "" && strings.TrimSpace(in) != "" {
			assert.Error(t, err, in)
			continue
		}
		require.NoError(t, err, in)
		assert.Equal(t, want, set.String(), in)
	}
}

func TestSetJSON(t *testing.T) {
	type document struct {
		Slots slotmap.Set              `json:"slots"`
		Range slotmap.Range            `json:"range"`
		Map   map[slotmap.Range]string `json:"map"`
	}
	doc := document{slotmap.MustParseSet("0-5460 5462"), slotmap.MustParseRange("1-2"), map[slotmap.Range]string{{First: 3, Last: 3}: "x"}}
	text, err := json.Marshal(doc)
	require.NoError(t, err)
	assert.Equal(t, `{"slots":"0-5460 5462","range":"1-2","map":{"3":"x"}}`, string(text))
	var back document
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, doc, back)
	assert.Equal(t, "0-5460 5462", fmt.Sprint(doc.Slots))
}

func TestInvalidSlotsChangeNothing(t *testing.T) {
	full := slotmap.SetOf(slotmap.Range{First: 0, Last: 16383})
	require.NoError(t, full.Err())
	for _, r := range []slotmap.Range{{First: 5, Last: 4}, {First: 0, Last: 16384}, {First: 16384, Last: 16385}, {First: 65535, Last: 65535}} {
		want := &slotmap.RangeError{Range: r}
		var added slotmap.Set
		added.AddRange(r)
		assert.True(t, added.IsEmpty())
		assert.Equal(t, want, added.Err())
		removed := full
		removed.RemoveRange(r)
		removed.AddRange(slotmap.Range{First: 9, Last: 8}) // only the first error counts
		assert.Equal(t, full.Len(), removed.Len())
		assert.Equal(t, want, removed.Err())
		assert.NotEqual(t, full, removed)
		_, err := removed.MarshalText()
		assert.Equal(t, want, err)
		some := slotmap.SetOf(slotmap.Range{First: 0, Last: 1}, r, slotmap.Range{First: 3, Last: 3})
		assert.Equal(t, "0-1 3", some.String())
		for _, both := range []slotmap.Set{some.Union(full), full.Union(some), some.Intersect(full), full.Intersect(some), some.Subtract(full), full.Subtract(some)} {
			assert.Equal(t, want, both.Err())
		}

		var b slotmap.Builder[string]
		b.Assign(slotmap.Range{First: 0, Last: 16383}, "a")
		require.NoError(t, b.Err())
		table := b.Build()
		for _, change := range []func(b *slotmap.Builder[string]){
			func(b *slotmap.Builder[string]) { b.Assign(r, "b") },
			func(b *slotmap.Builder[string]) { b.Claim(r, "a") },
			func(b *slotmap.Builder[string]) { b.Unassign(r) },
		} {
			b := table.Builder()
			change(b)
			b.Assign(slotmap.Range{First: 9, Last: 8}, "c") // only the first error counts
			assert.Equal(t, want, b.Err())
			assert.Equal(t, full, b.Build().SlotsOf("a"))
			var m slotmap.Map[string]
			m.Store(table)
			assert.Equal(t, want, m.Update(func(b *slotmap.Builder[string]) {
				b.Assign(slotmap.Range{First: 0, Last: 5}, "d")
				change(b)
			}))
			assert.Same(t, table, m.Load())
		}
	}
	for _, s := range []hashslot.Slot{16384, 65535} {
		want := &slotmap.RangeError{Range: slotmap.Range{First: s, Last: s}}
		set := full
		set.Add(s)
		assert.Equal(t, want, set.Err())
		assert.Equal(t, full.Len(), set.Len())
		assert.False(t, set.Contains(s))
		set = full
		set.Remove(s)
		assert.Equal(t, want, set.Err())
		assert.Equal(t, full.Len(), set.Len())
	}
}

// slowSet is a set in the simplest form.
type slowSet [hashslot.Count]bool

func (s *slowSet) text() string {
	var ranges []string
	for i := 0; i < len(s); i++ {
		if !s[i] {
			continue
		}
		first := i
		for i+1 < len(s) && s[i+1] {
			i++
		}
		if first == i {
			ranges = append(ranges, strconv.Itoa(i))
		} else {
			ranges = append(ranges, fmt.Sprintf("%d-%d", first, i))
		}
	}
	return strings.Join(ranges, " ")
}

func (s *slowSet) check(t *testing.T, set slotmap.Set) {
	t.Helper()
	var slots []hashslot.Slot
	for i, in := range s {
		if set.Contains(hashslot.Slot(i)) != in {
			require.Failf(t, "Contains", "slot %d, want %v", i, in)
		}
		if in {
			slots = append(slots, hashslot.Slot(i))
		}
	}
	require.Equal(t, len(slots), set.Len())
	require.Equal(t, len(slots) == 0, set.IsEmpty())
	if got := slices.Collect(set.Slots()); !slices.Equal(slots, got) {
		require.Equal(t, slots, got)
	}
	text := s.text()
	require.Equal(t, text, set.String())
	var ranges []string
	for r := range set.Ranges() {
		ranges = append(ranges, r.String())
	}
	require.Equal(t, text, strings.Join(ranges, " "))
	require.True(t, set == slotmap.MustParseSet(text), text)
}

// TestMain has garbage collected less often: of all that the tests allocate, little lives
// on.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

func TestSetIsTheModel(t *testing.T) {
	const seed = 1
	rng := rand.New(rand.NewPCG(seed, 0))
	rounds := 40
	if testing.Short() {
		rounds = 15
	}
	for round := range rounds {
		var sets [2]slotmap.Set
		var slow [2]slowSet
		for i := range sets {
			for range 1 << rng.IntN(10) {
				first := rng.IntN(hashslot.Count)
				last := min(first+rng.IntN(1+16384>>rng.IntN(15)), hashslot.Count-1)
				r := slotmap.Range{First: hashslot.Slot(first), Last: hashslot.Slot(last)}
				in := rng.IntN(3) > 0
				for s := first; s <= last; s++ {
					slow[i][s] = in
				}
				switch {
				case in && first == last:
					sets[i].Add(r.First)
				case in:
					sets[i].AddRange(r)
				case first == last:
					sets[i].Remove(r.First)
				default:
					sets[i].RemoveRange(r)
				}
				require.NoError(t, sets[i].Err())
			}
			slow[i].check(t, sets[i])
		}
		var union, intersect, subtract slowSet
		for s := range hashslot.Count {
			a, b := slow[0][s], slow[1][s]
			union[s], intersect[s], subtract[s] = a || b, a && b, a && !b
		}
		a, b := sets[0], sets[1]
		union.check(t, a.Union(b))
		intersect.check(t, a.Intersect(b))
		subtract.check(t, a.Subtract(b))
		require.Equal(t, sets, [2]slotmap.Set{a, b}, "round %d: the operands changed", round)
		require.Equal(t, slow[0] == slow[1], a == b)
	}
}

func TestIteratorsStop(t *testing.T) {
	set := slotmap.MustParseSet("1 3-4 8 63-64 16383")
	for n := range 5 {
		var ranges []slotmap.Range
		for r := range set.Ranges() {
			if len(ranges) == n {
				break
			}
			ranges = append(ranges, r)
		}
		assert.Len(t, ranges, n)
		slots := 0
		for range set.Slots() {
			if slots == n {
				break
			}
			slots++
		}
		assert.Equal(t, n, slots)
	}
}

// A loop may change the set that it iterates over.
func TestSetChangesInItsLoop(t *testing.T) {
	set := slotmap.MustParseSet("1 3 5")
	var seen []hashslot.Slot
	for s := range set.Slots() {
		seen = append(seen, s)
		set.Remove(s)
		set.Add(s + 1)
	}
	assert.Equal(t, []hashslot.Slot{1, 3, 5}, seen)
	assert.Equal(t, "2 4 6", set.String())
}
