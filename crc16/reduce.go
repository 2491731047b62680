package crc16

// The table-free forms rest on one fact: P has four terms, and squaring over
// GF(2) squares each term, so that for every k
//
//	P^(2^k) = x^(16·2^k) + x^(12·2^k) + x^(5·2^k) + 1
//
// is a multiple of P with four terms as well. Division by P becomes a few
// shifts and XORs at widths that fit a machine word:
//
//	k=0..4  reduce64: one 64-bit word to its 16-bit remainder
//	k=2     fold64:   128 bits to 64 (P^4 = x^64 + x^48 + x^20 + 1)
//	k=6     long:     sixteen words at a time, b[i] = d[i]^b[i-4]^b[i-11]^b[i-16]
//
// A checksum that starts at 0 ignores leading zero bytes, so that a short
// message may be right-aligned in a word.

// longMin is the length from which the word recurrence of long is ahead of
// folding word by word.
const longMin = 512

type bytes interface{ string | []byte }

func be16[T bytes](p T) uint16 {
	_ = p[1]
	return uint16(p[0])<<8 | uint16(p[1])
}

func be32[T bytes](p T) uint32 {
	_ = p[3]
	return uint32(p[0])<<24 | uint32(p[1])<<16 | uint32(p[2])<<8 | uint32(p[3])
}

func be64[T bytes](p T) uint64 {
	_ = p[7]
	return uint64(p[0])<<56 | uint64(p[1])<<48 | uint64(p[2])<<40 | uint64(p[3])<<32 |
		uint64(p[4])<<24 | uint64(p[5])<<16 | uint64(p[6])<<8 | uint64(p[7])
}

// tail returns fewer than eight bytes as a big-endian number.
func tail[T bytes](p T) uint64 {
	switch n := len(p); {
	case n >= 4:
		// Two loads that overlap; the shift drops what both have.
		return uint64(be32(p))<<(8*(n-4)) | uint64(be32(p[n-4:]))
	case n > 0:
		// First, middle and last byte, the same byte where n is 1 or 2.
		return uint64(p[0])<<(8*(n-1)) | uint64(p[n>>1])<<(8*(n-1-n>>1)) | uint64(p[n-1])
	default:
		return 0
	}
}

// reduce64 returns v·x^16 mod P.
//
// The quotient of v·x^16 by P is the part of v/(1+u), u = x^-4 + x^-11 + x^-16,
// that has no negative powers, and 1/(1+u) = (1+u)(1+u^2)(1+u^4)…, each factor
// with four terms again. Bits shifted out at the right would only have reached
// negative powers, so the truncation is exact. The remainder is the low half
// of quotient·P: v·x^16 has no bits there.
func reduce64(v uint64) uint16 {
	v ^= v>>4 ^ v>>11 ^ v>>16
	v ^= v>>8 ^ v>>22 ^ v>>32
	v ^= v>>16 ^ v>>44
	v ^= v >> 32
	return uint16(v ^ v<<5 ^ v<<12)
}

// fold64 returns a 64-bit number congruent to h·x^64 + l mod P.
func fold64(h, l uint64) uint64 {
	h ^= h>>16 ^ h>>44
	h ^= h >> 32
	return l ^ h ^ h<<20 ^ h<<48
}

// checksum picks the form that is fastest for the length.
func checksum[T bytes](p T) uint16 {
	switch n := len(p); {
	case n < 8:
		return reduce64(tail(p))
	case n <= 16:
		// Two loads that overlap; the shift drops from the first what both have.
		// A shift by 64 gives 0, as Go defines it.
		return reduce64(fold64(be64(p)>>(8*(16-n)), be64(p[n-8:])))
	case n < longMin:
		return finish(be64(p), p[8:])
	default:
		return long(0, p)
	}
}

// finish returns (h·x^(8n) + p)·x^16 mod P for the n bytes of p.
func finish[T bytes](h uint64, p T) uint16 {
	for len(p) >= 8 {
		h = fold64(h, be64(p))
		p = p[8:]
	}
	// What is left of the message, h and len(p) < 8 bytes, is at most 15 bytes:
	// h·x^s is split at 64 bits.
	s := 8 * len(p)
	return reduce64(fold64(h>>(64-s), h<<s|tail(p)))
}
