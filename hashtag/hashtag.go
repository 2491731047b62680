// Package hashtag finds the bytes of a key that a Valkey or Redis cluster hashes.
//
// If a key has a hash tag, only the tag is hashed, so that keys with equal
// tags share a hash slot. The tag is the text between the first '{' and the
// first '}' after it, unless it is empty. Later braces do not count. A key
// without a tag is hashed as a whole:
//
//	user:{42}:name   42
//	{42}{43}         42
//	{{42}}           {42
//	a}b{42}          42
//	{}{42}           {}{42}
//	{42              {42
//
// Keys are bytes: no value is special but those of the two braces. The rule is
// that of keyHashSlot() in Valkey's src/cluster.c, and of the section "Hash tags"
// of the cluster specification.
//
// All functions cost O(len(key)), allocate nothing and are safe for concurrent
// use.
package hashtag

import "math/bits"

// Of returns the part of key that is hashed: its tag, or the whole key.
func Of(key string) string {
	if start, end, ok := find(key); ok {
		return key[start:end]
	}
	return key
}

// OfBytes is [Of] for a key held as bytes. The result is a part of key, not a
// copy.
func OfBytes(key []byte) []byte {
	if start, end, ok := find(key); ok {
		return key[start:end]
	}
	return key
}

// Find returns the place of the tag of key: key[start:end], without the braces. If
// key has no tag, ok is false, and start and end are 0 and len(key).
func Find[T string | []byte](key T) (start, end int, ok bool) { return find(key) }

func find[T string | []byte](key T) (start, end int, ok bool) {
	open := index(key, '{')
	if open < 0 {
		return 0, len(key), false
	}
	start = open + 1
	n := index(key[start:], '}')
	if n <= 0 {
		return 0, len(key), false
	}
	return start, start + n, true
}

const (
	ones  = 0x0101010101010101 // 1 in every byte
	highs = 0x8080808080808080 // the high bit of every byte
)

// index returns the index of the first c in s, or -1. It looks at eight bytes at a
// time. Keys are short: a call of the standard library's vector routine costs more
// than all of this.
func index[T string | []byte](s T, c byte) int {
	pattern := ones * uint64(c)
	n := len(s)
	if n < 8 {
		for i := range n {
			if s[i] == c {
				return i
			}
		}
		return -1
	}
	for i := 0; i < n-8; i += 8 {
		if m := zeros(le64(s[i:]) ^ pattern); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	// The last eight bytes. Those that were looked at before have no c.
	if m := zeros(le64(s[n-8:]) ^ pattern); m != 0 {
		return n - 8 + bits.TrailingZeros64(m)/8
	}
	return -1
}

// zeros sets the high bit of every byte of x that is 0. It may also set that of
// bytes above a 0, but never below one: the lowest bit is right.
func zeros(x uint64) uint64 { return (x - ones) &^ x & highs }

func le64[T string | []byte](p T) uint64 {
	_ = p[7]
	return uint64(p[0]) | uint64(p[1])<<8 | uint64(p[2])<<16 | uint64(p[3])<<24 |
		uint64(p[4])<<32 | uint64(p[5])<<40 | uint64(p[6])<<48 | uint64(p[7])<<56
}
