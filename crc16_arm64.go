//go:build gc && !purego

package hashslot

import (
	"unsafe"

	"github.com/hashslot/hashslot/hashtag"
)

//go:noescape
func of(key string) uint64

//go:noescape
func sum(s string) uint64

// of jumps to ofLong for keys of more than 64 bytes.
func ofLong(key string) uint64 {
	tag := hashtag.Of(key)
	return uint64(update(0, unsafe.Slice(unsafe.StringData(tag), len(tag))))
}

// indexes holds index vectors for TBL, which sets a byte of its result to the
// byte that an index names, and to 0 if there is no such byte.
var indexes = makeIndexes()

type indexTables struct {
	ahead   [16]byte // 0, 1, 2 …: the vector that changes nothing
	reverse [16]byte // 15, 14, 13 …: the vector that reverses one

	// gather[n] makes a block of a key of n bytes, of its last 16 if it has more:
	// byte d^8 is to be the one at distance d from its end. Up to 16 bytes, two
	// vectors start with what the key starts and ends with, 8 bytes of it or, up
	// to 7, 4; up to 3 bytes, it is all in the first. With more, the second vector
	// has the last 8 bytes in its low lane, and the 8 in front in its high lane.
	gather [33][16]byte

	// heads[16+n] makes a block of the first n bytes of a vector, of nothing if n
	// is less than 0.
	heads [33][16]byte
}

func makeIndexes() (t indexTables) {
	const none = 0x80 // no byte, and neither are the 63 numbers below and above it
	for i := range 16 {
		t.ahead[i] = byte(i)
		t.reverse[i] = byte(15 - i)
	}
	for n := range t.gather {
		for d := range 16 {
			t.gather[n][d^8], t.heads[n][d^8] = none, none
			if d < n {
				t.gather[n][d^8] = gatherIndex(n, d)
			}
			if d < n-16 {
				t.heads[n][d^8] = byte(n - 16 - 1 - d)
			}
		}
	}
	return t
}

// gatherIndex returns where in the two vectors the byte at distance d from the
// end of a key of n bytes is.
func gatherIndex(n, d int) byte {
	const second = 16
	switch {
	case n < 4:
		// Bytes 0, n/2 and n-1 are side by side.
		return [4][3]byte{1: {0}, 2: {1, 0}, 3: {2, 1, 0}}[n][d]
	case n < 8 && d < 4:
		return byte(second + 3 - d)
	case n >= 8 && d < 8:
		return byte(second + 7 - d)
	case n > 16:
		return byte(second + 8 + 15 - d)
	default:
		return byte(n - 1 - d)
	}
}
