package slotmap

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/hashslot/hashslot"
)

// A Builder makes tables: it assigns ranges to owners, in any order, and takes
// them away again. The zero Builder assigns no slot and is ready to use;
// [Table.Builder] starts from a table. A Builder must not be used by several
// goroutines at once, and not be copied after its first use.
//
// A change takes time linear in the number of ranges, with a small constant: 16384
// changes of single slots, in random order, take some ten milliseconds.
type Builder[N comparable] struct {
	first  []uint16     // the first slot of each range, unassigned ones included; empty in the zero Builder
	code   []uint16     // the index in owners of each range's owner; 0: unassigned
	owners []N          // owners[0] stands for unassigned; some may own nothing any more
	index  map[N]uint16 // the inverse of owners; made once searches have become slow
	looked int          // the number of owners compared in searches without index
	err    error        // the first
}

// Assign gives the slots of r to owner, whoever owned them before. If r is not
// valid, nothing changes, and [Builder.Err] returns the error.
func (b *Builder[N]) Assign(r Range, owner N) {
	if b.takes(r) {
		b.set(r, b.codeOf(owner))
	}
}

// Claim gives the slots of r to owner, unless another owner has one of them. In
// that case, or if r is not valid, nothing changes, and [Builder.Err] returns the
// error.
func (b *Builder[N]) Claim(r Range, owner N) {
	if !b.takes(r) {
		return
	}
	b.init()
	for i := b.from(int(r.First)+1) - 1; i < len(b.code) && b.first[i] <= uint16(r.Last); i++ {
		if code := b.code[i]; code != 0 && b.owners[code] != owner {
			taken := Range{max(hashslot.Slot(b.first[i]), r.First), min(hashslot.Slot(b.end(i)-1), r.Last)}
			b.fail(&ConflictError[N]{taken, b.owners[code], owner})
			return
		}
	}
	b.set(r, b.codeOf(owner))
}

// Unassign removes the owners of the slots of r. If r is not valid, nothing
// changes, and [Builder.Err] returns the error.
func (b *Builder[N]) Unassign(r Range) {
	if b.takes(r) {
		b.set(r, 0)
	}
}

// Err returns the error of the first change that was not made: a [*RangeError] for
// a range that is not valid, or a [*ConflictError] of [Builder.Claim]. It is nil if
// all changes were made.
func (b *Builder[N]) Err() error { return b.err }

// takes reports whether r is valid.
func (b *Builder[N]) takes(r Range) bool {
	err := r.check()
	b.fail(err)
	return err == nil
}

// fail keeps the first error.
func (b *Builder[N]) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// Lookup returns the current owner of slot. ok is false if slot is unassigned or not
// valid.
func (b *Builder[N]) Lookup(slot hashslot.Slot) (owner N, ok bool) {
	if slot >= hashslot.Count || len(b.code) == 0 {
		return
	}
	code := b.code[b.from(int(slot)+1)-1]
	return b.owners[code], code != 0
}

// A ConflictError reports a claim of slots that another owner has.
type ConflictError[N comparable] struct {
	Range   Range // the first claimed slots that Owner has
	Owner   N     // the owner
	Claimed N     // the owner for which they were claimed
}

func (e *ConflictError[N]) Error() string {
	return fmt.Sprintf("slotmap: range %v is claimed for %v, but is owned by %v", e.Range, e.Claimed, e.Owner)
}

func (b *Builder[N]) init() {
	if len(b.code) == 0 {
		b.first = append(b.first, 0)
		b.code = append(b.code, 0)
		b.owners = append(b.owners, *new(N))
	}
}

// from returns the index of the first range that starts at or after slot. It is at
// least 1 if slot is.
func (b *Builder[N]) from(slot int) int {
	n := len(b.first)
	if slot > int(b.first[n-1]) { // as in a builder that gets ranges in order
		return n
	}
	i, _ := slices.BinarySearch(b.first, uint16(slot))
	return i
}

// end returns the first slot after the i-th range.
func (b *Builder[N]) end(i int) int {
	if i+1 == len(b.first) {
		return hashslot.Count
	}
	return int(b.first[i+1])
}

// set gives the slots of r, which is valid, to the owner with the given code.
func (b *Builder[N]) set(r Range, code uint16) {
	b.init()
	first, end := int(r.First), int(r.Last)+1
	lo, hi := b.from(first), b.from(end) // the ranges that start in r
	// The ranges that replace them: r, and the rest of the last one.
	var withFirst, withCode [2]uint16
	n := 0
	if lo == 0 || b.code[lo-1] != code {
		withFirst[n], withCode[n] = uint16(first), code
		n++
	}
	if end < hashslot.Count {
		next := b.code[hi-1]
		if hi < len(b.first) && int(b.first[hi]) == end {
			next = b.code[hi]
			hi++
		}
		if next != code {
			withFirst[n], withCode[n] = uint16(end), next
			n++
		}
	}
	b.first = slices.Replace(b.first, lo, hi, withFirst[:n]...)
	b.code = slices.Replace(b.code, lo, hi, withCode[:n]...)
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
	case b.looked > 4096: // up to here, searches take less time than making a map
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

// Build returns a table of the current assignments. [Builder.Err] says whether all
// changes were made. The builder is unchanged and can be used further. Build takes
// some 0.5 µs and up to 15 ns for each range, and 5 µs more if the table has a byte
// for each slot.
func (b *Builder[N]) Build() *Table[N] {
	b.init()
	t := new(Table[N])

	// Owners get codes in the order of their first slots.
	var fewCodes, fewRanges [64]uint16
	newCode, code := fewCodes[:], append(fewRanges[:0], b.code...) // by old code; by range
	if len(b.owners) > len(newCode) {
		newCode = make([]uint16, len(b.owners))
	}
	t.own = append(make([]N, 0, min(len(b.owners), len(b.code)+1)), *new(N))
	for i, c := range code {
		if c == 0 {
			continue
		}
		t.ranges++
		if newCode[c] == 0 {
			newCode[c] = uint16(len(t.own))
			t.own = append(t.own, b.owners[c])
		}
		code[i] = newCode[c]
	}
	t.codes = len(t.own)
	t.code = identityTo(t.codes)
	if !t.setIndex(b, code) {
		t.setFlat(b, code)
	}
	return t
}

// With more blocks that have leaves, flat is used if possible. Measured by
// BenchmarkLookupDependent in package bench.
const maxLeaves = 32

// setIndex fills index from the ranges of b; code has the codes of their owners. If
// flat is the better form, it gives up and reports false.
func (t *Table[N]) setIndex(b *Builder[N], code []uint16) bool {
	var pairs pairTable
	k := 0 // the range of the first slot of block
	for block := 0; block < len(t.index); {
		here := b.end(k)
		if whole := here >> 4; whole > block && code[k] < leaves>>4 {
			fillBlocks(t.index[block:whole], code[k]<<4)
			block = whole
			if here&15 == 0 {
				k++
			}
			continue
		}
		behind := (block + 1) << 4
		if here < behind && b.end(k+1) >= behind {
			if n, ok := t.pair(&pairs, code[k], code[k+1]); ok {
				t.index[block] = n<<4 + 16 - uint16(here&15)
				block++
				k++
				if b.end(k) == behind {
					k++
				}
				continue
			}
		}
		if len(t.leaf) == maxLeaves*16 && t.codes <= 256 {
			return false
		}
		t.index[block] = uint16(leaves + len(t.leaf))
		for slot := block << 4; slot < behind; {
			t.leaf = append(t.leaf, code[k])
			if slot++; slot == b.end(k) {
				k++
			}
		}
		block++
	}
	if len(t.leaf) > maxLeaves*16 {
		t.leaf = slices.Clone(t.leaf) // without the room that append has left
	}
	return true
}

func fillBlocks(index []uint16, e uint16) {
	for eight := eightOf(e); len(index) >= 8; index = index[8:] {
		*(*[8]uint16)(index) = eight
	}
	for i := range index {
		index[i] = e
	}
}

// A pairTable finds the number at which a pair of owners was put, by a hash of both.
type pairTable [64]uint16

// pair returns a number n such that own[n] and own[n+1] are the owners with the
// codes a and b. It may append one or both to own. If there is no room, or one of them
// is unassigned and the codes are not consecutive, ok is false.
func (t *Table[N]) pair(known *pairTable, a, b uint16) (n uint16, ok bool) {
	const limit = leaves>>4 - 2
	if b == a+1 {
		return a, a <= limit
	}
	if a == 0 || b == 0 {
		return 0, false // only number 0 means unassigned
	}
	at := &known[(7*a+b)%uint16(len(known))]
	if n := *at; n != 0 && t.code[n] == a && t.code[n+1] == b {
		return n, true
	}
	if len(t.own) > limit {
		return 0, false
	}
	// The last number may already have the first owner of this pair.
	if t.code[len(t.own)-1] != a {
		t.own = append(t.own, t.own[a])
		t.code = append(t.code, a)
	}
	*at = uint16(len(t.own) - 1)
	t.own = append(t.own, t.own[b])
	t.code = append(t.code, b)
	return *at, true
}

// setFlat fills flat as setIndex fills index. No code is above 255.
func (t *Table[N]) setFlat(b *Builder[N], code []uint16) {
	t.code, t.leaf = identityTo(t.codes), nil
	t.flat = new([hashslot.Count]uint8)
	for k, c := range code {
		fill(t.flat[b.first[k]:b.end(k)], uint8(c))
	}
}

func fill(slots []uint8, number uint8) {
	for len(slots) >= 8 {
		binary.LittleEndian.PutUint64(slots, repeated(number))
		slots = slots[8:]
	}
	for i := range slots {
		slots[i] = number
	}
}

// identityTo returns 0 to n-1, in a slice without room: an append copies it.
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

// identity is the code of tables in which number and code are the same.
var identity = func() (id [1025]uint16) {
	for i := range id {
		id[i] = uint16(i)
	}
	return id
}()

// Builder returns a new builder that assigns what t assigns.
func (t *Table[N]) Builder() *Builder[N] {
	b := new(Builder[N])
	if t == nil || t.codes == 0 {
		return b
	}
	b.owners = t.own[:t.codes:t.codes] // they are only ever appended to
	n := t.ranges + 4                  // there is room for two changes
	b.first, b.code = make([]uint16, 0, n), make([]uint16, 0, n)
	for r, code := range t.all() {
		b.first = append(b.first, uint16(r.First))
		b.code = append(b.code, code)
	}
	return b
}
