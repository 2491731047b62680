package hashslot_test

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/hashslot/hashslot/internal/guard"
	"github.com/hashslot/hashslot/internal/hashtest"
)

func TestAllShortStringsOverBraces(t *testing.T) {
	// 87381 strings: every arrangement of braces up to length 8, or 6 in short runs.
	longest := 8
	if testing.Short() {
		longest = 6
	}
	var keys [][]byte
	level := [][]byte{{}}
	for range longest {
		keys = append(keys, level...)
		var next [][]byte
		for _, key := range level {
			for _, b := range []byte("{}ab") {
				next = append(next, append(slices.Clip(key), b))
			}
		}
		level = next
	}
	keys = append(keys, level...)
	hashtest.EachKernel(t, func(t *testing.T) {
		for _, key := range keys {
			checkOne(t, key)
		}
		// In order, among similar keys, and shuffled, so that strings of all lengths
		// and shapes meet in a group.
		checkAppend(t, keys)
		rng := seeded(30)
		mixed := slices.Clone(keys)
		rng.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		checkAppend(t, mixed)
	})
}

// TestTagInEveryBlock tries keys whose only '{' is in one of their blocks, with lengths
// around those from which on a kernel takes another path.
func TestTagInEveryBlock(t *testing.T) {
	const most = 4096
	buf := guard.New(t, most)
	all := buf.Head(buf.Len())
	hashtest.EachKernel(t, func(t *testing.T) {
		fill(seeded(33), all)
		for _, n := range []int{64, 65, 128, 129, 319, 320, 321, 336, 337, 1000, most} {
			key := all[len(all)-n:]
			for at := 0; at+4 <= n; at += 4 {
				var before [4]byte
				copy(before[:], key[at:])
				copy(key[at:], "{ab}")
				checkOne(t, key)
				copy(key[at:], before[:])
			}
		}
	})
}

func TestTagAtEveryPosition(t *testing.T) {
	// The keys are between guards, and their tags start and end at every position.
	// Braces outside of the tag must not count.
	buf := guard.New(t, 1)
	all := buf.Head(buf.Len())
	hashtest.EachKernel(t, func(t *testing.T) {
		rng := seeded(31)
		var (
			keys   [][]byte
			copies []byte
		)
		for n := 2; n <= 140; n++ {
			if testing.Short() && n > 35 && n%7 != 0 {
				continue
			}
			fill(rng, all)
			step := 1
			switch {
			case testing.Short() && n > 18:
				step = 4
			case n > 70:
				step = 3
			}
			for open := 0; open < n-1; open += 1 + rng.IntN(step) {
				keys, copies = keys[:0], slices.Grow(copies[:0], 2*n*n)
				for end := open + 1; end < n; end += 1 + rng.IntN(step) {
					for i, key := range [][]byte{all[:n:n], all[len(all)-n:]} {
						fill(rng, key)
						if open > 0 && i == 0 {
							key[rng.IntN(open)] = '}'
						}
						key[open], key[end] = '{', '}'
						if end+1 < n {
							key[end+1+rng.IntN(n-end-1)] = "{}"[rng.IntN(2)]
						}
						checkOne(t, key)
						copies = append(copies, key...)
						keys = append(keys, copies[len(copies)-n:])
					}
				}
				checkAppend(t, keys)
			}
		}
	})
}

func TestBracesInEveryLane(t *testing.T) {
	hashtest.EachKernel(t, func(t *testing.T) {
		rng := seeded(32)
		shapes := []string{"{", "}", "{}", "}{", "{a}", "{{a}}", "{}{a}", "}{a}", "a{b", "a{b}c", "{ab}{cd}", "{a", "a}", "x{}y{z}"}
		for length := range 90 {
			if testing.Short() && length > 35 && length%7 != 0 {
				continue
			}
			for lane := range 8 {
				keys := randomKeys(rng.IntN, 16, func() int { return rng.IntN(length + 1) }, math.MaxInt32)
				for _, shape := range shapes {
					if len(shape) > length {
						continue
					}
					// In one lane, then in the same lane of the next group, too.
					for _, lane := range []int{lane, lane + 8} {
						key := make([]byte, length)
						fill(rng, key)
						copy(key[rng.IntN(length-len(shape)+1):], shape)
						keys[lane] = key
					}
					checkAppend(t, keys)
				}
			}
		}
	})
}

func TestTagBehindGroupsWithout(t *testing.T) {
	// Only one of eight keys has a tag. What an earlier group of long keys has left in
	// the registers must not be taken for bytes of these keys.
	hashtest.EachKernel(t, func(t *testing.T) {
		rng := seeded(34)
		for _, length := range []int{16, 32, 64, 100, 200, 300} {
			for lane := range 8 {
				for range 20 {
					keys := randomKeys(rng.IntN, 16, func() int { return length }, math.MaxInt32)
					for _, key := range keys {
						for i := range key {
							key[i] |= 0x80 // no byte is zero
						}
					}
					copy(keys[8+lane][rng.IntN(length-2):], []string{"{a}", "{\xfe}"}[rng.IntN(2)])
					checkAppend(t, keys)
				}
			}
		}
	})
}

func TestTagBehindGroupOfAnotherLength(t *testing.T) {
	// As above, but the keys of the earlier group are loaded in another way.
	hashtest.EachKernel(t, func(t *testing.T) {
		rng := seeded(35)
		lengths := []int{1, 16, 32, 64, 100}
		for _, before := range lengths {
			for _, length := range lengths[1:] {
				for lane := range 8 {
					for _, at := range []int{0, length / 2, length - 3} {
						keys := make([][]byte, 16)
						for i := range keys {
							keys[i] = make([]byte, []int{before, length}[i/8])
							fill(rng, keys[i])
						}
						copy(keys[8+lane][at:], "{a}")
						checkAppend(t, keys)
					}
				}
			}
		}
	})
}

func TestBracesInAllPlaces(t *testing.T) {
	// If all bytes of a block are '{', a search for another byte in it finds none.
	hashtest.EachKernel(t, func(t *testing.T) {
		for n := 1; n <= 200; n++ {
			for _, before := range []int{0, 64} {
				key := append(bytes.Repeat([]byte{'-'}, before), bytes.Repeat([]byte{'{'}, n)...)
				key = append(key, "a}b"...)
				checkOne(t, key)
				checkAppend(t, slices.Repeat([][]byte{key}, 9))
			}
		}
	})
}

func TestBracesInHalfOfAGroup(t *testing.T) {
	// Eight keys are in two registers. One of them has nothing but '{', the other a tag.
	hashtest.EachKernel(t, func(t *testing.T) {
		for _, n := range []int{16, 32, 64} {
			braces := slices.Repeat([][]byte{bytes.Repeat([]byte{'{'}, n)}, 4)
			tags := slices.Repeat([][]byte{append(bytes.Repeat([]byte{'-'}, n-3), "{a}"...)}, 4)
			checkAppend(t, append(slices.Clone(braces), tags...))
			checkAppend(t, append(slices.Clone(tags), braces...))
		}
	})
}

func TestBraceHeavyKeys(t *testing.T) {
	hashtest.EachKernel(t, func(t *testing.T) {
		rng := seeded(33)
		n := 100_000
		if testing.Short() {
			n = 10_000
		}
		var keys [][]byte
		for _, rarity := range []int{2, 5, 10, 30} {
			for _, longest := range []int{8, 16, 17, 32, 64, 80, 200} {
				keys = randomKeys(rng.IntN, n/28, func() int { return rng.IntN(longest + 1) }, rarity)
				for _, key := range keys {
					checkOne(t, key)
				}
				checkAppend(t, keys)
			}
		}
	})
}
