package slotmap

import (
	"encoding/binary"
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
	code   []uint16     // index in owners of each range, 0 for nobody; empty in the zero Builder
	owners []N          // owners[0] is nobody's; some may own nothing any more
	index  map[N]uint16 // the inverse of owners, once a search was found to take too long
	looked int          // how many owners were compared in searches without index
	word   int          // where the last count ended,
	below  int          // and the count of starts in front of that word

	starts [hashslot.Count / 64]uint64 // bit s%64 of word s/64: a range starts at slot s. Not set for slot 0
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
		code := b.code[b.countBelow(first+1)]
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
	code := b.code[b.countBelow(int(slot)+1)]
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
	lo := b.countBelow(first) // the first of the ranges that start in r
	if first > 0 {
		lo++ // slot 0 has no bit
	}
	word, below := b.word, b.below
	hi := 1 + b.countBelow(end)
	var with [2]uint16 // the owners of the ranges that start in r and at its end
	n := 0
	joins := lo > 0 && b.code[lo-1] == code
	if !joins {
		with[n] = code
		n++
	}
	if end < hashslot.Count {
		next, bit := b.code[hi-1], uint64(1)<<(end&63)
		if b.starts[end>>6]&bit != 0 {
			next = b.code[hi]
			hi++
		}
		if next != code {
			with[n] = next
			n++
			b.starts[end>>6] |= bit
		} else {
			b.starts[end>>6] &^= bit
		}
	}
	for w := first >> 6; w <= (end-1)>>6; w++ {
		b.starts[w] &^= r.mask(w)
	}
	if first > 0 && !joins {
		b.starts[first>>6] |= 1 << (first & 63)
	}
	b.word, b.below = word, below // in front of r nothing changed
	b.code = slices.Replace(b.code, lo, hi, with[:n]...)
}

// countBelow returns how many ranges start at a slot less than n; that of slot
// 0 does not count. It goes on from where the last count ended, as most builders
// go through the slots in order.
func (b *Builder[N]) countBelow(n int) int {
	word := n >> 6
	if word < b.word {
		b.word, b.below = 0, 0
	}
	for ; b.word < word; b.word++ {
		b.below += bits.OnesCount64(b.starts[b.word])
	}
	if n&63 == 0 {
		return b.below
	}
	return b.below + bits.OnesCount64(b.starts[word]<<(64-n&63))
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

	// Owners are given codes in the order in which they come.
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
	if !t.setIndex(&b.starts, code) {
		t.setFlat(&b.starts, code)
	}
	return t
}

// With more blocks that have leaves flat is used, if it can be. Measured by
// BenchmarkLookupDependent in package bench.
const maxLeaves = 32

// setIndex says in index whose slots are whose: ranges start at slot 0 and at
// those in starts, and the owners' codes are in code. If flat is the better way,
// it gives up and reports false.
func (t *Table[N]) setIndex(starts *[hashslot.Count / 64]uint64, code []uint16) bool {
	var pairs pairTable
	k := 0 // of the range
	for i, w := range starts {
		if n := code[k]; w == 0 && n < leaves>>4 {
			*(*[4]uint16)(t.index[i<<2:]) = [4]uint16{n << 4, n << 4, n << 4, n << 4}
			continue
		}
		for block := i << 2; block < i<<2+4; block++ {
			k += int(w & 1)
			within := uint16(w) &^ 1
			w >>= 16
			if n := code[k]; within == 0 && n < leaves>>4 {
				t.index[block] = n << 4
				continue
			}
			if within != 0 && within&(within-1) == 0 {
				if n, ok := t.pair(&pairs, code[k], code[k+1]); ok {
					t.index[block] = n<<4 + 16 - uint16(bits.TrailingZeros16(within))
					k++
					continue
				}
			}
			if len(t.leaf) == maxLeaves*16 && t.codes <= 256 {
				return false
			}
			t.index[block] = uint16(leaves + len(t.leaf))
			for s := range 16 {
				k += int(within >> s & 1)
				t.leaf = append(t.leaf, code[k])
			}
		}
	}
	return true
}

// A pairTable has numbers at which pairs of owners were put, by a hash of both.
type pairTable [64]uint16

// pair returns a number n such that own[n] and own[n+1] are the owners with the
// codes a and b, one of which may be put there. If none can be, ok is false.
func (t *Table[N]) pair(known *pairTable, a, b uint16) (n uint16, ok bool) {
	const limit = leaves>>4 - 2
	if b == a+1 {
		return a, a <= limit
	}
	if a == 0 || b == 0 {
		return 0, false // as no number but 0 is nobody's
	}
	at := &known[(7*a+b)%uint16(len(known))]
	if n := *at; n != 0 && t.code[n] == a && t.code[n+1] == b {
		return n, true
	}
	if len(t.own) > limit {
		return 0, false
	}
	// The last pair may end with what this one begins with.
	if last := len(t.own) - 1; last < t.codes || t.code[last] != a {
		t.own = append(t.own, t.own[a])
		t.code = append(t.code, a)
	}
	*at = uint16(len(t.own) - 1)
	t.own = append(t.own, t.own[b])
	t.code = append(t.code, b)
	return *at, true
}

// setFlat says in flat what setIndex does in index. Codes are less than 256.
func (t *Table[N]) setFlat(starts *[hashslot.Count / 64]uint64, code []uint16) {
	t.own, t.code, t.leaf = t.own[:t.codes:t.codes], identityTo(t.codes), nil
	clear(t.index[:])
	t.flat = new([hashslot.Count]uint8)
	first, k := 0, 0
	for i, w := range starts {
		for ; w != 0; w &= w - 1 {
			next := i<<6 + bits.TrailingZeros64(w)
			fill(t.flat[first:next], uint8(code[k]))
			first = next
			k++
		}
	}
	fill(t.flat[first:], uint8(code[k]))
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

// identityTo returns 0 to n-1, in a slice that an append copies.
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
	if t.codes == 0 {
		return b
	}
	b.owners = t.own[:t.codes:t.codes] // they are only ever appended to
	b.code = make([]uint16, 0, t.ranges+4)
	for r, code := range t.all() {
		b.starts[r.First>>6] |= 1 << (r.First & 63)
		b.code = append(b.code, code)
	}
	b.starts[0] &^= 1
	return b
}
