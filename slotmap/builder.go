package slotmap

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/hashslot/hashslot"
)

// A Builder makes tables: it assigns ranges to owners, in any order, and takes
// them away again. The zero Builder assigns no slot and is ready to use;
// [Table.Builder] starts from a table. A Builder must not be used by several
// goroutines at once, and not be copied after its first use.
//
// A change takes time linear in the number of ranges, but so little for each
// that even 16384 changes to single slots, in random order, take a few
// milliseconds.
type Builder[N comparable] struct {
	starts [hashslot.Count / 64]uint64 // as in Table; but adjacent ranges may have the same owner
	code   []uint16                    // index in owners of each range, 0 for nobody; empty in the zero Builder
	owners []N                         // owners[0] is nobody's; some may own nothing any more
	index  map[N]uint16                // the inverse of owners, once a search was found to take too long
	looked int                         // how many owners were compared in searches without index
}

// Assign gives the slots of r to owner, whoever has had them. If r is not
// valid, the error is a [*RangeError] and nothing changes.
func (b *Builder[N]) Assign(r Range, owner N) error {
	if err := r.check(); err != nil {
		return err
	}
	b.set(r, b.codeOf(owner))
	return nil
}

// Claim gives the slots of r to owner, if none of them is somebody else's. If
// one is, the error is a [*ConflictError] for the first such range; if r is not
// valid, it is a [*RangeError]. In both cases nothing changes.
func (b *Builder[N]) Claim(r Range, owner N) error {
	if err := r.check(); err != nil {
		return err
	}
	b.init()
	for first := int(r.First); first <= int(r.Last); {
		end, ok := nextBit(&b.starts, first+1, 0)
		if !ok {
			end = hashslot.Count
		}
		code := b.code[countBelow(&b.starts, first+1)]
		if code != 0 && b.owners[code] != owner {
			taken := Range{hashslot.Slot(first), min(hashslot.Slot(end-1), r.Last)}
			return &ConflictError[N]{taken, b.owners[code], owner}
		}
		first = end
	}
	b.set(r, b.codeOf(owner))
	return nil
}

// Unassign takes the slots of r from whoever has them. If r is not valid, the
// error is a [*RangeError] and nothing changes.
func (b *Builder[N]) Unassign(r Range) error {
	if err := r.check(); err != nil {
		return err
	}
	b.set(r, 0)
	return nil
}

// Lookup returns the owner of slot as it is now. If nobody owns it, or if it is
// not one of the 16384 slots, ok is false.
func (b *Builder[N]) Lookup(slot hashslot.Slot) (owner N, ok bool) {
	if slot >= hashslot.Count || len(b.code) == 0 {
		return
	}
	code := b.code[countBelow(&b.starts, int(slot)+1)]
	return b.owners[code], code != 0
}

// A ConflictError says that slots were to be claimed which another owner has.
type ConflictError[N comparable] struct {
	Range   Range // the first of the slots, as far as Owner has them
	Owner   N     // who has them
	Claimed N     // for whom they were claimed
}

func (e *ConflictError[N]) Error() string {
	return fmt.Sprintf("slotmap: range %v was claimed for %v and is owned by %v", e.Range, e.Claimed, e.Owner)
}

func (b *Builder[N]) init() {
	if len(b.code) == 0 {
		b.code = append(b.code, 0)
		b.owners = append(b.owners, *new(N))
	}
}

// set gives the slots of r, which is valid, to the owner with the given code.
func (b *Builder[N]) set(r Range, code uint16) {
	b.init()
	first, end := int(r.First), int(r.Last)+1
	lo := 0 // the first of the ranges that start in r; slot 0 has no bit
	if first > 0 {
		lo = 1 + countBelow(&b.starts, first)
	}
	hi := 1 + countBelow(&b.starts, end)
	// What follows r keeps its owner.
	with := [2]uint16{code, b.code[hi-1]}
	n := 1
	if end < hashslot.Count && b.starts[end>>6]>>(end&63)&1 == 0 {
		b.starts[end>>6] |= 1 << (end & 63)
		n = 2
	}
	for w := first >> 6; w <= (end-1)>>6; w++ {
		b.starts[w] &^= r.mask(w)
	}
	if first > 0 {
		b.starts[first>>6] |= 1 << (first & 63)
	}
	b.code = slices.Replace(b.code, lo, hi, with[:n]...)
}

// countBelow returns how many of the first n bits are set.
func countBelow(words *[hashslot.Count / 64]uint64, n int) int {
	count := 0
	for _, w := range words[:n>>6] {
		count += bits.OnesCount64(w)
	}
	if n&63 != 0 {
		count += bits.OnesCount64(words[n>>6] << (64 - n&63))
	}
	return count
}

// codeOf returns the code of owner and gives it one if it has none.
func (b *Builder[N]) codeOf(owner N) uint16 {
	b.init()
	if b.index != nil {
		if code, ok := b.index[owner]; ok {
			return code
		}
	} else {
		if i := slices.Index(b.owners[1:], owner); i >= 0 {
			b.looked += i
			return uint16(i + 1)
		}
		b.looked += len(b.owners)
	}
	// At most 16384 owners have a slot.
	if len(b.owners) > 2*hashslot.Count {
		b.forget()
	}
	b.owners = append(b.owners, owner)
	code := uint16(len(b.owners) - 1)
	switch {
	case b.index != nil:
		b.index[owner] = code
	case b.looked > 4096: // compared in less time than it takes to make a map
		b.index = make(map[N]uint16, 2*len(b.owners))
		for code, owner := range b.owners[1:] {
			b.index[owner] = uint16(code + 1)
		}
	}
	return code
}

// forget drops the owners that have no slots.
func (b *Builder[N]) forget() {
	renumbered := make([]uint16, len(b.owners))
	kept := b.owners[:1:1]
	for i, code := range b.code {
		if code == 0 {
			continue
		}
		if renumbered[code] == 0 {
			kept = append(kept, b.owners[code])
			renumbered[code] = uint16(len(kept) - 1)
		}
		b.code[i] = renumbered[code]
	}
	b.owners = kept
	b.index = nil
	b.looked = 0
}

// Build returns a table of what is assigned now. The builder remains as it is
// and can go on. It takes some 0.5 µs and 2 to 10 ns for each range.
func (b *Builder[N]) Build() *Table[N] {
	b.init()
	t := new(Table[N])

	// Ranges whose owner is that of the range before are joined to it; owners are
	// given codes in the order in which they come.
	var few [64]uint16
	newCode := few[:]
	if len(b.owners) > len(few) {
		newCode = make([]uint16, len(b.owners))
	}
	owners := append(make([]N, 0, min(len(b.owners), len(b.code)+1)), *new(N))
	code := append(make([]uint16, 0, len(b.code)+1), 0)
	old := 0 // in b.code
	add := func() (starts bool) {
		c := b.code[old]
		if old++; c != 0 {
			if newCode[c] == 0 {
				newCode[c] = uint16(len(owners))
				owners = append(owners, b.owners[c])
			}
			c = newCode[c]
		}
		if len(code) > 1 && code[len(code)-1] == c {
			return false
		}
		code = append(code, c)
		if c != 0 {
			t.ranges++
		}
		return true
	}
	add()
	mixed := 0
	for i, w := range b.starts {
		t.rank[i] = -int16(len(code) - 1)
		var starts uint64
		for ; w != 0; w &= w - 1 {
			if add() {
				starts |= w & -w
			}
		}
		t.starts[i] = starts
		if starts&^1 != 0 {
			mixed++
		}
	}
	t.owners = owners

	if len(code)-1 > maxCompact {
		t.own = owners
		t.flat = new([hashslot.Count]int16)
		fill := func(number, first, end int) {
			for s := first; s < end; s++ {
				t.flat[s] = int16(code[number])
			}
		}
		number, first := 1, 0
		for i, w := range t.starts {
			for ; w != 0; w &= w - 1 {
				next := i<<6 + bits.TrailingZeros64(w)
				fill(number, first, next)
				number, first = number+1, next
			}
		}
		fill(number, first, hashslot.Count)
		t.rank = [hashslot.Count / 64]int16{}
		t.code = identityTo(len(owners))
		return t
	}

	if mixed <= maxMixed {
		for i, w := range t.starts {
			if w&^1 == 0 {
				t.rank[i] = -t.rank[i] + int16(w)
			}
		}
	}
	if len(owners) == len(code) && t.ranges == len(code)-1 {
		// Each owner has one range, and so number and code are the same.
		t.own, t.code = owners, identityTo(len(owners))
		return t
	}
	t.own = make([]N, len(code))
	for i, c := range code {
		t.own[i] = owners[c]
	}
	t.code = code
	return t
}

// identityTo returns 0 to n-1.
func identityTo(n int) []uint16 {
	if n <= len(identity) {
		return identity[:n:n]
	}
	id := make([]uint16, n)
	for i := range id {
		id[i] = uint16(i)
	}
	return id
}

// Builder returns a new builder that assigns what t assigns.
func (t *Table[N]) Builder() *Builder[N] {
	b := &Builder[N]{starts: t.starts}
	if t.own == nil {
		return b
	}
	// There is room for a few changes.
	b.owners = append(make([]N, 0, len(t.owners)+4), t.owners...)
	if t.flat == nil {
		b.code = append(make([]uint16, 0, len(t.code)+4), t.code[1:]...)
		return b
	}
	b.code = make([]uint16, 0, t.ranges+4)
	for _, code := range t.all() {
		b.code = append(b.code, code)
	}
	return b
}
