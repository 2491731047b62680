package crc16

import (
	"math/bits"

	"github.com/hashslot/hashslot/internal/gf2"
)

// long returns the checksum of p, at least 256 bytes, continued from crc.
//
// It divides by P^64 = x^1024 + x^768 + x^320 + 1 with 64-bit words as digits.
// All gaps are whole words, so XOR alone gives the quotient:
//
//	b[i] = d[i] ^ b[i-4] ^ b[i-11] ^ b[i-16]
//
// for all words but the last sixteen. The remainder is those sixteen, plus what
// b adds to them. No shift and no carry crosses a byte, so words can be loaded
// in any byte order; only the remainder is put into the message's.
//
// The same idea, for CRC-32, is known as Chorba (arXiv 2412.16398).
func long[T gf2.Bytes](crc uint16, p T) uint16 {
	// Word i of the quotient lives in b(i mod 16), where b[i-16] was.
	var b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15 uint64
	// The checksum so far is added to the first two bytes of the message. As
	// b[-16], which the recurrence adds to the first word, it does just that.
	b0 = uint64(bits.ReverseBytes16(crc))
	for len(p) >= 256 {
		b0 ^= le64(p[0:]) ^ b12 ^ b5
		b1 ^= le64(p[8:]) ^ b13 ^ b6
		b2 ^= le64(p[16:]) ^ b14 ^ b7
		b3 ^= le64(p[24:]) ^ b15 ^ b8
		b4 ^= le64(p[32:]) ^ b0 ^ b9
		b5 ^= le64(p[40:]) ^ b1 ^ b10
		b6 ^= le64(p[48:]) ^ b2 ^ b11
		b7 ^= le64(p[56:]) ^ b3 ^ b12
		b8 ^= le64(p[64:]) ^ b4 ^ b13
		b9 ^= le64(p[72:]) ^ b5 ^ b14
		b10 ^= le64(p[80:]) ^ b6 ^ b15
		b11 ^= le64(p[88:]) ^ b7 ^ b0
		b12 ^= le64(p[96:]) ^ b8 ^ b1
		b13 ^= le64(p[104:]) ^ b9 ^ b2
		b14 ^= le64(p[112:]) ^ b10 ^ b3
		b15 ^= le64(p[120:]) ^ b11 ^ b4
		p = p[128:]
	}
	// The quotient has no more digits, so each of the next sixteen words takes only
	// those of b[i-4], b[i-11] and b[i-16] that exist.
	r := [16]uint64{
		b0 ^ b12 ^ b5, b1 ^ b13 ^ b6, b2 ^ b14 ^ b7, b3 ^ b15 ^ b8,
		b4 ^ b9, b5 ^ b10, b6 ^ b11, b7 ^ b12, b8 ^ b13, b9 ^ b14, b10 ^ b15,
		b11, b12, b13, b14, b15,
	}
	for i := range r {
		r[i] = bits.ReverseBytes64(r[i]) ^ gf2.Load64(p[8*i:])
	}
	h0, h1, h2, h3 := r[0], r[1], r[2], r[3]
	for i := 4; i < len(r); i += 4 {
		h0, h1, h2, h3 = gf2.Fold256(h0, h1, h2, h3, r[i], r[i+1], r[i+2], r[i+3])
	}
	return finish256(h0, h1, h2, h3, p[128:])
}

func le64[T gf2.Bytes](p T) uint64 {
	_ = p[7]
	return uint64(p[0]) | uint64(p[1])<<8 | uint64(p[2])<<16 | uint64(p[3])<<24 |
		uint64(p[4])<<32 | uint64(p[5])<<40 | uint64(p[6])<<48 | uint64(p[7])<<56
}
