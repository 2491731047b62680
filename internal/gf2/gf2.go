// Package gf2 divides by P = x^16 + x^12 + x^5 + 1, words at a time and
// without tables. The plain Go forms of the checksum are built from it.
//
// It rests on one fact: P has four terms, and squaring over GF(2) squares each
// term. So for every k
//
//	P^(2^k) = x^(16·2^k) + x^(12·2^k) + x^(5·2^k) + 1
//
// is a multiple of P with four terms, too. Division by P becomes a few
// shifts and XORs at widths that fit machine words.
//
// All numbers are polynomials, the highest power in the highest bit, and a
// list of words has the highest first.
package gf2

// Bytes is a message.
type Bytes interface{ string | []byte }

// Reduce returns v·x^16 mod P.
//
// The quotient of v·x^16 by P is the part of v/(1+u), u = x^-4 + x^-11 + x^-16,
// that has no negative powers, and 1/(1+u) = (1+u)(1+u^2)(1+u^4)…, each factor
// with four terms again. Bits shifted out at the right would only have reached
// negative powers, so the truncation is exact. The remainder is the low half
// of quotient·P: v·x^16 has no bits there.
func Reduce(v uint64) uint16 {
	v ^= v>>4 ^ v>>11 ^ v>>16
	v ^= v>>8 ^ v>>22 ^ v>>32
	v ^= v>>16 ^ v>>44
	v ^= v >> 32
	return uint16(v ^ v<<5 ^ v<<12)
}

// Fold64 returns 64 bits congruent to h·x^64 + l: the sum of l and the remainder
// of h·x^64 divided by P^4 = x^64 + x^48 + x^20 + 1.
func Fold64(h, l uint64) uint64 {
	h ^= h>>16 ^ h>>44
	h ^= h >> 32
	return l ^ h ^ h<<20 ^ h<<48
}

// Fold128 folds h over l, two words each, by P^8 = x^128 + x^96 + x^40 + 1.
func Fold128(h0, h1, l0, l1 uint64) (uint64, uint64) {
	h1 ^= (h1>>32 | h0<<32) ^ h0>>24
	h0 ^= h0 >> 32
	h1 ^= h0
	return l0 ^ h0 ^ (h0<<40 | h1>>24) ^ h1<<32, l1 ^ h1 ^ h1<<40
}

// Fold256 folds h over l, four words each, by P^16 = x^256 + x^192 + x^80 + 1.
// Most gaps are whole words: a byte costs a third of what it costs in Fold64.
func Fold256(h0, h1, h2, h3, l0, l1, l2, l3 uint64) (uint64, uint64, uint64, uint64) {
	h3 ^= h1
	h2 ^= h0
	q3 := h3 ^ h2 ^ (h1>>48 | h0<<16)
	q2 := h2 ^ h1 ^ h0>>48
	q1 := h1 ^ h0
	return l0 ^ h0 ^ q3 ^ (q1<<16 | q2>>48), l1 ^ q1 ^ (q2<<16 | q3>>48), l2 ^ q2 ^ q3<<16, l3 ^ q3
}

// Load64 returns the first eight bytes of p as a number.
func Load64[T Bytes](p T) uint64 {
	_ = p[7]
	return uint64(p[0])<<56 | uint64(p[1])<<48 | uint64(p[2])<<40 | uint64(p[3])<<32 |
		uint64(p[4])<<24 | uint64(p[5])<<16 | uint64(p[6])<<8 | uint64(p[7])
}

// Load32 returns the first four bytes of p as a number.
func Load32[T Bytes](p T) uint32 {
	_ = p[3]
	return uint32(p[0])<<24 | uint32(p[1])<<16 | uint32(p[2])<<8 | uint32(p[3])
}

// LoadShort returns p, of fewer than eight bytes, as a number.
func LoadShort[T Bytes](p T) uint64 {
	switch n := len(p); {
	case n >= 4:
		// Two loads that overlap; the shift drops the bytes that both have.
		return uint64(Load32(p))<<(8*(n-4)) | uint64(Load32(p[n-4:]))
	case n > 0:
		// First, middle and last byte, the same byte where n is 1 or 2.
		return uint64(p[0])<<(8*(n-1)) | uint64(p[n>>1])<<(8*(n-1-n>>1)) | uint64(p[n-1])
	default:
		return 0
	}
}
