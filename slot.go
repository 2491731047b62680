package hashslot

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/hashslot/hashslot/internal/impl"
)

// Count is the number of hash slots of a cluster.
const Count = 16384

// Slot is a hash slot, 0 to 16383.
type Slot uint16

// Valid reports whether s is one of the 16384 slots.
func (s Slot) Valid() bool { return s < Count }

// SlotFromInt converts n, an integer from a decoded reply for example, to a Slot. ok
// is false if n is not from 0 to 16383.
func SlotFromInt(n int64) (s Slot, ok bool) {
	if uint64(n) >= Count {
		return 0, false
	}
	return Slot(n), true
}

// ParseSlot reads a slot as servers print it: a decimal number from 0 to 16383
// without sign, spaces and leading zeros. The error is a [*SlotError]. ParseSlot
// allocates only for an error.
func ParseSlot(text string) (Slot, error) {
	n := 0
	for i := range len(text) {
		if text[i] < '0' || '9' < text[i] {
			return 0, &SlotError{strings.Clone(text), "expected a number from 0 to 16383"}
		}
		if n = n*10 + int(text[i]-'0'); n >= Count {
			return 0, &SlotError{strings.Clone(text), "a slot is at most 16383"}
		}
	}
	switch {
	case text == "":
		return 0, &SlotError{"", "expected a number from 0 to 16383"}
	case text[0] == '0' && len(text) > 1:
		return 0, &SlotError{strings.Clone(text), "a slot has no leading zeros"}
	}
	return Slot(n), nil
}

// A SlotError reports a text that is not a slot, and why.
type SlotError struct {
	Text   string // the whole text
	Reason string
}

// Error returns a message that quotes at most 32 bytes of the text.
func (e *SlotError) Error() string {
	const most = 32
	text, more := e.Text, ""
	if len(text) > most {
		text, more = text[:most], "..."
	}
	return fmt.Sprintf("hashslot: %q%s is not a slot: %s", text, more, e.Reason)
}

// Each target has one file that does the work there: crc16_amd64.go,
// crc16_arm64.go, or crc16_noasm.go for all others. It declares
//
//	of(key string) uint64                               the checksum of the hashed part of key
//	slotsOf(dst []Slot, keys []string)                  the same, len(dst) == len(keys)
//	slotsOfBytes(dst []Slot, keys [][]byte)
//	slotsOfPacked(dst []Slot, data []byte, ends []uint32)
//	update(crc uint16, p []byte) uint16                 crc16.Update
//
// and registers its kernels with package impl, so that tests and benchmarks can
// choose one. of returns 64 bits, because a 16-bit result in memory costs the
// caller more.

// Of returns the slot of key. If key has a hash tag, that is the slot of the tag.
// The empty key is in slot 0.
//
// Of computes keyHashSlot() of Valkey's src/cluster.c.
func Of(key string) Slot { return Slot(of(key) % Count) }

// OfBytes is [Of] for a key held as bytes.
func OfBytes(key []byte) Slot {
	return Slot(of(unsafe.String(unsafe.SliceData(key), len(key))) % Count)
}

// OfPattern returns the slot that every match of a glob-style pattern of SCAN,
// KEYS or SORT must be in. ok is false if the servers cannot infer one. They
// infer these, and OfPattern neither more nor less:
//
//   - a pattern with a complete hash tag in front of its first special
//     character ('*', '?', '[' or '\') has the slot of the tag, whatever
//     follows: "{42}*";
//   - a pattern without special characters matches only itself, and has the
//     slot of that key;
//   - no other pattern has a slot. After an empty tag "{}" no tag counts, and
//     '\' is never decoded.
//
// OfPattern computes patternHashSlot() of Valkey's src/cluster.c, since version
// 8.0.
func OfPattern(pattern string) (s Slot, ok bool) {
	start := -1 // the start of the tag, after the first '{'
	tags := true
	for i := range len(pattern) {
		switch pattern[i] {
		case '*', '?', '[', '\\':
			return 0, false
		case '{':
			if start < 0 {
				start = i + 1
			}
		case '}':
			if start >= 0 && tags {
				if i > start {
					return Of(pattern[:i+1]), true
				}
				tags = false
			}
		}
	}
	return Of(pattern), true
}

// Tag returns a hash tag of slot s: every key with that tag is in s, so that
// Of("{"+s.Tag()+"}x") == s. The tag consists of letters and digits, is as short
// as possible (62 slots have a tag of length 1, 3448 one of length 2, all others
// one of length 3), and is always the same for a slot. Tag returns "" if s is not
// valid. It allocates the result.
func (s Slot) Tag() string {
	if !s.Valid() {
		return ""
	}
	var buf [3]byte
	return string(s.appendTag(buf[:0]))
}

// appendTag appends the tag of a valid slot to dst.
func (s Slot) appendTag(dst []byte) []byte {
	// Two bytes have 2^16 values and as many checksums, so each checksum determines
	// its two bytes. Four checksums have the slot in their low 14 bits. A tag of
	// one byte appears as two bytes, the first of them 0.
	var best [2]byte
	for high := range uint16(4) {
		m := unchecksum(uint16(s) | high<<14)
		a, b := byte(m>>8), byte(m)
		if a == 0 && alphanumeric(b) {
			return append(dst, b)
		}
		if alphanumeric(a) && alphanumeric(b) && (best[0] == 0 || string([]byte{a, b}) < string(best[:])) {
			best = [2]byte{a, b}
		}
	}
	if best[0] != 0 {
		return append(dst, best[:]...)
	}
	// Three bytes: a checksum is linear, so without the share of the first byte,
	// the rest must be the checksum of the other two.
	for first := byte('0'); first <= 'z'; first++ {
		if !alphanumeric(first) {
			continue
		}
		share := Checksum([]byte{first, 0, 0})
		for high := range uint16(4) {
			m := unchecksum(uint16(s) | high<<14 ^ share)
			a, b := byte(m>>8), byte(m)
			if alphanumeric(a) && alphanumeric(b) {
				return append(dst, first, a, b)
			}
		}
	}
	panic("hashslot: a slot without a tag of three characters") // all 16384 were tried
}

// unchecksum returns the two bytes that have the checksum crc: crc·x^-16 mod P.
func unchecksum(crc uint16) uint16 {
	for range 16 {
		// If x does not divide the polynomial, it divides its sum with P.
		odd := crc&1 != 0
		crc >>= 1
		if odd {
			crc ^= 0x11021 >> 1
		}
	}
	return crc
}

func alphanumeric(b byte) bool {
	return '0' <= b && b <= '9' || 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z'
}

// Kernel returns the name of the implementation in use, for logs and bug reports:
// "avx512", "avx512-256", "avx2" or "clmul" on amd64, "pmull-sha3" or "pmull" on
// arm64, and "generic" for plain Go, which runs anywhere.
func Kernel() string { return impl.Current() }
