// Package peer has the loops that are predicted for hashslot and for xxh3: both call for
// one key, or one buffer, after the other, and differ in nothing but that call.
package peer

import (
	"github.com/zeebo/xxh3"

	"github.com/hashslot/hashslot"
)

// Slots calls hashslot.Of for each key.
func Slots(keys []string) (sum uint64) {
	for _, key := range keys {
		sum += uint64(hashslot.Of(key))
	}
	return sum
}

// Hashes calls xxh3.HashString for each key.
func Hashes(keys []string) (sum uint64) {
	for _, key := range keys {
		sum += xxh3.HashString(key)
	}
	return sum
}

// Checksums calls hashslot.Checksum for each buffer.
func Checksums(buffers [][]byte) (sum uint64) {
	for _, p := range buffers {
		sum += uint64(hashslot.Checksum(p))
	}
	return sum
}

// BufferHashes calls xxh3.Hash for each buffer.
func BufferHashes(buffers [][]byte) (sum uint64) {
	for _, p := range buffers {
		sum += xxh3.Hash(p)
	}
	return sum
}
