package fuzz

import (
	"encoding/binary"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

var rangeText = regexp.MustCompile(`^(0|[1-9][0-9]*)(?:-(0|[1-9][0-9]*))?$`)

// parseRangeSlowly reads a range by a regular expression.
func parseRangeSlowly(s string) (first, last int, ok bool) {
	m := rangeText.FindStringSubmatch(s)
	if m == nil {
		return 0, 0, false
	}
	if m[2] == "" {
		m[2] = m[1]
	}
	first, err1 := strconv.Atoi(m[1])
	last, err2 := strconv.Atoi(m[2])
	return first, last, err1 == nil && err2 == nil && first <= last && last < hashslot.Count
}

func FuzzParseSet(f *testing.F) {
	for _, s := range []string{"", " ", "0", "0-5460 5462", "16383", "16384", "0-16384", "5-4", "01", "1-", "-1", "1--2", "1,2",
		"[93->-abc]", "1\t2", "63-64 128", "1 2 3", "3-1 1", "99999999999999999999", "0-16383 0-16383", "\xff", "1-2-3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want [hashslot.Count]bool
		ok := true
		for word := range strings.SplitSeq(s, " ") {
			if word == "" {
				continue
			}
			first, last, valid := parseRangeSlowly(word)
			ok = ok && valid
			for slot := first; valid && slot <= last; slot++ {
				want[slot] = true
			}
		}
		set, err := slotmap.ParseSet(s)
		if (err == nil) != ok {
			t.Fatalf("ParseSet(%q): %v, want a set: %v", s, err, ok)
		}
		if err != nil {
			var e *slotmap.ParseError
			if !errors.As(err, &e) || e.Input != "slots" || e.Place == "" || e.Reason == "" || len(err.Error()) > 500 {
				t.Fatalf("ParseSet(%q): %#v", s, err)
			}
			if !set.IsEmpty() {
				t.Fatalf("ParseSet(%q): a set and an error", s)
			}
		}
		for slot := range hashslot.Count {
			if ok && set.Contains(hashslot.Slot(slot)) != want[slot] {
				t.Fatalf("ParseSet(%q): slot %d", s, slot)
			}
		}
		if again, err := slotmap.ParseSet(set.String()); err != nil || again != set {
			t.Fatalf("ParseSet(%q): %v", set.String(), err)
		}

		first, last, ok := parseRangeSlowly(s)
		r, err := slotmap.ParseRange(s)
		if (err == nil) != ok || ok && r != (slotmap.Range{First: hashslot.Slot(first), Last: hashslot.Slot(last)}) {
			t.Fatalf("ParseRange(%q): %v, %v", s, r, err)
		}
	})
}

// FuzzBuilder reads edits from its input, 6 bytes each, and compares the result with a
// plain array.
func FuzzBuilder(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x00\x3f\xff\x01\x00" + "\x10\x00\x10\x00\x02\x00"))
	f.Add([]byte("\x00\x00\x3f\xff\x00\x00" + "\x00\x40\x00\x7f\x01\x00" + "\x00\x40\x00\x40\x02\x01" + "\x00\x50\x00\x40\x02\x00"))
	f.Add([]byte("\x00\x3f\x00\x40\x05\x02" + "\x3f\xff\x40\x00\x05\x02" + "\x3f\xff\x3f\xff\x05\x00" + "\x00\x00\x00\x3e\x05\x03"))
	f.Fuzz(func(t *testing.T, edits []byte) {
		var b slotmap.Builder[byte]
		var want [hashslot.Count]int // 0 for nobody, or 1 + the owner
		before, wantBefore := b.Build(), want
		for ; len(edits) >= 6; edits = edits[6:] {
			r := slotmap.Range{
				First: hashslot.Slot(binary.BigEndian.Uint16(edits)),
				Last:  hashslot.Slot(binary.BigEndian.Uint16(edits[2:])),
			}
			valid := r.First <= r.Last && r.Last < hashslot.Count
			owner, code := edits[4]%8, int(edits[4]%8)+1
			free := true
			switch edits[5] % 4 {
			case 0:
				b.Assign(r, owner)
			case 1:
				b.Unassign(r)
				code = 0
			case 2:
				b.Claim(r, owner)
				for s := int(r.First); valid && s <= int(r.Last); s++ {
					free = free && (want[s] == 0 || want[s] == code)
				}
			case 3:
				b = *b.Build().Builder()
				continue
			}
			err := b.Err()
			if err != nil {
				b = *b.Build().Builder() // without the error
			}
			if (err == nil) != (valid && free) {
				t.Fatalf("%v: %v", r, err)
			}
			for s := int(r.First); err == nil && s <= int(r.Last); s++ {
				want[s] = code
			}
		}
		table := b.Build()
		var m slotmap.Map[byte]
		m.Store(table)
		for s, code := range want {
			slot := hashslot.Slot(s)
			o1, ok1 := table.Lookup(slot)
			o2, ok2 := m.Lookup(slot)
			o3, ok3 := b.Lookup(slot)
			if ok1 != (code > 0) || ok1 && int(o1)+1 != code || o1 != o2 || o1 != o3 || ok1 != ok2 || ok1 != ok3 {
				t.Fatalf("slot %d: %d %v, %d %v, %d %v; want %d", s, o1, ok1, o2, ok2, o3, ok3, code-1)
			}
		}
		var seen [hashslot.Count]int
		for r, owner := range table.Ranges() {
			for s := r.First; s <= r.Last; s++ {
				seen[s] = int(owner) + 1
			}
		}
		if seen != want {
			t.Fatal("Ranges")
		}
		for c := range before.Diff(table) {
			for s := int(c.Range.First); s <= int(c.Range.Last); s++ {
				if c.Assigned || !c.Assigns {
					t.Fatalf("Diff: %+v", c)
				}
				wantBefore[s] = int(c.To) + 1
			}
		}
		if wantBefore != want {
			t.Fatal("Diff")
		}
		if table.Equal(before) != (want == [hashslot.Count]int{}) {
			t.Fatal("Equal")
		}
	})
}
