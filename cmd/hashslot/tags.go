package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"slices"
)

// A topTags counts the most frequent tags in bounded memory. When it holds 1.5 times as
// many tags as it keeps, it lowers all counts until a third of the tags are at zero, and
// drops these. No count is too high, none is too low by more than lost, and lost is at
// most the number of all keys divided by keep. This is the summary of Misra and Gries
// (1982), thinned out in batches.
type topTags struct {
	keep    int
	lost    uint64
	hash    tagHash
	index   []uint32   // a hash table, at most half full: the upper half of the hash and the place in entries
	entries []tagEntry // from place 1 on; at most 3*keep/2
	text    []byte     // the tags of entries, concatenated
	singles int        // the number of entries with count 1
	counts  []int      // for thin

	// These are scratch memory for a batch.
	hashes [batchSize]uint32
	places [batchSize]uint32
	touch  uint64
}

type tagEntry struct {
	count uint64
	hash  uint32
	start uint32 // in text; the tag ends where the next one starts
}

// newTopTags returns a topTags that keeps up to keep tags. keep is at most 40,000,
// because a place has 16 bits.
func newTopTags(keep int, hash tagHash) *topTags { return &topTags{keep: keep, hash: hash} }

// room returns the largest number of tags that t holds at a time.
func (t *topTags) room() int { return t.keep + (t.keep+1)/2 }

// tag returns the tag at a place.
func (t *topTags) tag(place int) []byte {
	end := len(t.text)
	if place+1 < len(t.entries) {
		end = int(t.entries[place+1].start)
	}
	return t.text[t.entries[place].start:end]
}

// add counts the tags whose indexes are in which, at most batchSize of them. It first
// reads all places that it will need. These reads do not depend on each other, so the
// processor waits for many of them at once: the tables do not fit into its first-level
// cache.
func (t *topTags) add(tags [][]byte, which []uint16) {
	if len(which) == 0 {
		return
	}
	if t.index == nil {
		size := 1
		for size < 4*t.keep {
			size *= 2
		}
		t.index = make([]uint32, size)
		t.entries = make([]tagEntry, 1, t.room()+1)
	}
	hashes, places := t.hashes[:len(which)], t.places[:len(which)]
	mask := uint32(len(t.index) - 1)
	t.hash.of(hashes, tags, which)
	for i, hash := range hashes {
		places[i] = t.index[hash&mask] & 0xffff
	}
	touch := uint64(0)
	for _, place := range places {
		touch += t.entries[place].count
	}
	t.touch = touch
	for i, n := range which {
		tag, hash := tags[n], hashes[i]
		at := t.index[hash&mask]
		if (at^hash)>>16 == 0 && same(t.tag(int(at&0xffff)), tag) { // place 0 has the empty tag, which no key has
			t.countUp(int(at & 0xffff))
		} else {
			t.addOne(tag, hash, mask)
		}
	}
}

func (t *topTags) countUp(place int) {
	n := &t.entries[place].count
	if *n == 1 {
		t.singles--
	}
	*n++
}

func (t *topTags) addOne(tag []byte, hash, mask uint32) {
	at := hash & mask
	for ; t.index[at] != 0; at = (at + 1) & mask {
		if (t.index[at]^hash)>>16 != 0 {
			continue
		}
		if place := int(t.index[at] & 0xffff); same(t.tag(place), tag) {
			t.countUp(place)
			return
		}
	}
	if len(t.entries) > t.room() {
		t.thin()
		t.addOne(tag, hash, mask)
		return
	}
	t.index[at] = hash&^0xffff | uint32(len(t.entries))
	t.entries = append(t.entries, tagEntry{1, hash, uint32(len(t.text))})
	t.text = append(t.text, tag...)
	t.singles++
}

// same reports whether two tags are equal. It is faster than bytes.Equal for short tags.
func same(a, b []byte) bool {
	switch n := len(a); {
	case n != len(b):
		return false
	case n > 16:
		return bytes.Equal(a, b)
	case n >= 8:
		return (binary.LittleEndian.Uint64(a)^binary.LittleEndian.Uint64(b))|(binary.LittleEndian.Uint64(a[n-8:])^binary.LittleEndian.Uint64(b[n-8:])) == 0
	case n >= 4:
		return (binary.LittleEndian.Uint32(a)^binary.LittleEndian.Uint32(b))|(binary.LittleEndian.Uint32(a[n-4:])^binary.LittleEndian.Uint32(b[n-4:])) == 0
	case n > 0:
		return a[0] == b[0] && a[n/2] == b[n/2] && a[n-1] == b[n-1]
	}
	return true
}

// thin lowers all counts by the smallest number that leaves at most keep above zero.
func (t *topTags) thin() {
	down := t.excess()
	t.lost += down
	clear(t.index)
	mask := uint32(len(t.index) - 1)
	t.singles = 0
	kept, end := 1, uint32(0)
	for place, n := range t.entries { // place 0 has count 0
		if n.count <= down {
			continue
		}
		start := end
		end += uint32(copy(t.text[start:], t.tag(place)))
		t.entries[kept] = tagEntry{n.count - down, n.hash, start} // kept <= place, so the next entry is still untouched
		if n.count-down == 1 {
			t.singles++
		}
		at := n.hash & mask
		for t.index[at] != 0 {
			at = (at + 1) & mask
		}
		t.index[at] = n.hash&^0xffff | uint32(kept)
		kept++
	}
	t.entries, t.text = t.entries[:kept], t.text[:end]
}

// excess returns the smallest number that at most keep counts exceed.
func (t *topTags) excess() uint64 {
	if len(t.entries)-1-t.singles <= t.keep {
		return 1
	}
	const small = 256
	if t.counts == nil {
		t.counts = make([]int, small)
	}
	clear(t.counts)
	for _, n := range t.entries[1:] {
		t.counts[min(n.count, small-1)]++
	}
	above := len(t.entries) - 1
	for count, n := range t.counts[:small-1] {
		if above -= n; above <= t.keep {
			return uint64(count)
		}
	}
	var all []uint64
	for _, n := range t.entries[1:] {
		all = append(all, n.count)
	}
	slices.Sort(all)
	return all[len(all)-t.keep-1]
}

// A tagHash is a hash function with a random seed, so that nobody can choose tags that
// collide.
type tagHash struct {
	seed maphash.Seed
	keys [3]uint64 // odd
}

func newTagHash() tagHash {
	h := tagHash{seed: maphash.MakeSeed()}
	for i := range h.keys {
		h.keys[i] = maphash.String(h.seed, string(rune('a'+i))) | 1
	}
	return h
}

// of hashes the tags whose indexes are in which. It multiplies the bytes of a tag twice to
// 128 bits and combines the halves, like wyhash. For a tag of more than 16 bytes, it does
// so with the hash of package maphash.
func (h *tagHash) of(hashes []uint32, tags [][]byte, which []uint16) {
	k0, k1, k2 := h.keys[0], h.keys[1], h.keys[2]
	for i, number := range which[:len(hashes)] {
		tag := tags[number]
		var a, b uint64
		switch n := len(tag); {
		case n > 16:
			a = maphash.Bytes(h.seed, tag)
		case n >= 8:
			a, b = binary.LittleEndian.Uint64(tag), binary.LittleEndian.Uint64(tag[n-8:])
		case n >= 4:
			a, b = uint64(binary.LittleEndian.Uint32(tag)), uint64(binary.LittleEndian.Uint32(tag[n-4:]))
		case n > 0:
			a = uint64(tag[0]) | uint64(tag[n/2])<<8 | uint64(tag[n-1])<<16
		}
		high, low := bits.Mul64(a^k0, b^k1)
		high, low = bits.Mul64(high^low^k0^uint64(len(tag)), k2)
		hashes[i] = uint32(high ^ low)
	}
}

// A tagSum has the number of keys of a tag.
type tagSum struct {
	tag   string
	count uint64
}

// mostTags returns the tags with the highest sums over several counters, in order: at
// most top of them, and only those whose sum is above lost. The counters share one
// tagHash. It sums a sixteenth of the tags at a time, so that it never holds a second
// copy of all.
func mostTags(counters []*topTags, top int, lost uint64) (best []tagSum) {
	const parts = 16
	enough := lost / uint64(max(len(counters), 1)) // if a sum is above lost, one of its parts is above this
	for part := range uint32(parts) {
		sums := map[string]uint64{}
		each := func(f func(tag []byte, count uint64)) {
			for _, t := range counters {
				for place, n := range t.entries { // place 0 has count 0
					if n.hash%parts == part {
						f(t.tag(place), n.count)
					}
				}
			}
		}
		each(func(tag []byte, count uint64) {
			if count > enough {
				sums[string(tag)] = 0
			}
		})
		each(func(tag []byte, count uint64) {
			if sum, ok := sums[string(tag)]; ok {
				sums[string(tag)] = sum + count
			}
		})
		for tag, count := range sums {
			if count > lost {
				best = append(best, tagSum{tag, count})
			}
		}
		slices.SortFunc(best, func(a, b tagSum) int {
			return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.tag, b.tag))
		})
		best = slices.Clip(best[:min(top, len(best))])
	}
	return best
}
