// Package crc16 computes CRC-16/XMODEM, by which Valkey and Redis clusters
// spread keys over hash slots.
//
// The checksum has the polynomial P = x^16 + x^12 + x^5 + 1 (0x1021), starts
// at 0, is not reflected and has no final XOR; the check value of "123456789"
// is 0x31C3. It is crc16() of Valkey's src/crc16.c.
//
// The package is the checksum in plain Go, and the fallback where no assembly kernel
// runs. It depends on nothing, has no build tags, and needs no tables. Tests hold it
// equal to the definition, one bit at a time, and to the classic table lookup.
//
// Most programs want the root package, which adds the hash tag rule and uses
// the CPU's vector units.
//
// [Checksum], [ChecksumString], [Update] and [Combine] are safe for concurrent use and do
// not allocate.
package crc16

// Size is the size of a checksum in bytes.
const Size = 2

// poly is P without its leading term x^16.
const poly = 0x1021

// Checksum returns the CRC-16/XMODEM of p. It costs O(len(p)). It needs no
// tables, so it evicts nothing from the cache.
//
//go:noinline
func Checksum(p []byte) uint16 {
	// Not inlined: called from another package, the generic checksum would make
	// p escape to the heap.
	return checksum(p)
}

// ChecksumString is [Checksum] of the bytes of s, without a copy.
//
//go:noinline
func ChecksumString(s string) uint16 { return checksum(s) }

// Update returns the checksum of a message whose first part has the checksum
// crc and whose rest is p. Update(0, p) equals Checksum(p), and
// Update(Checksum(a), b) is the checksum of a followed by b.
func Update(crc uint16, p []byte) uint16 {
	if crc == 0 {
		return checksum(p)
	}
	return update(crc, p)
}

// Combine returns the checksum of a followed by b, from crc1, the checksum of
// a, crc2, the checksum of b, and len2, the length of b in bytes. It costs
// O(log len2), at most fifteen steps, whatever the length. Combine panics if
// len2 is negative.
func Combine[N int | int64 | uint | uint64](crc1, crc2 uint16, len2 N) uint16 {
	if len2 < 0 {
		panic("crc16: Combine: negative length")
	}
	// a followed by b is a·x^(8·len2) + b. The powers of x mod P repeat with
	// period 32767.
	e := uint64(len2) % 32767 * 8 % 32767
	factor := uint16(2) // x^(2^i)
	for ; e != 0; e >>= 1 {
		if e&1 != 0 {
			crc1 = multiply(crc1, factor)
		}
		factor = multiply(factor, factor)
	}
	return crc1 ^ crc2
}

// multiply returns a·b mod P.
func multiply(a, b uint16) uint16 {
	var r uint16
	for i := 15; i >= 0; i-- {
		carry := r>>15 != 0
		r <<= 1
		if carry {
			r ^= poly
		}
		if b>>i&1 != 0 {
			r ^= a
		}
	}
	return r
}
