package crc16

import "github.com/hashslot/hashslot/internal/gf2"

// longMin is the length from which the word recurrence of long is faster than
// folding.
const longMin = 384

// checksum picks the form that is fastest for the length. A checksum starts at
// 0, so leading zeros change nothing and the first word of a message need not
// be full: words are counted from the end.
func checksum[T gf2.Bytes](p T) uint16 {
	n := len(p)
	switch {
	case n < 8:
		return gf2.Reduce(gf2.LoadShort(p))
	case n <= 16:
		// The shift drops from the first word the bytes that are in the last one as
		// well. A shift by 64 gives 0, as Go defines it.
		return gf2.Reduce(gf2.Fold64(gf2.Load64(p)>>(8*(16-n)), gf2.Load64(p[n-8:])))
	case n >= longMin:
		return long(0, p)
	}
	h0, h1, h2, h3, p := head(p)
	return finish256(h0, h1, h2, h3, p)
}

// head takes the first 1 to 32 bytes off p, of more than eight, so that a
// multiple of 32 is left.
func head[T gf2.Bytes](p T) (h0, h1, h2, h3 uint64, rest T) {
	n := uint(len(p)-1)&7 + 1
	h := gf2.Load64(p) >> (64 - 8*n)
	p = p[n:]
	switch len(p) >> 3 & 3 {
	case 0:
		return 0, 0, 0, h, p
	case 1:
		return 0, 0, h, gf2.Load64(p), p[8:]
	case 2:
		return 0, h, gf2.Load64(p), gf2.Load64(p[8:]), p[16:]
	default:
		return h, gf2.Load64(p), gf2.Load64(p[8:]), gf2.Load64(p[16:]), p[24:]
	}
}

// finish256 returns the checksum of h followed by p.
func finish256[T gf2.Bytes](h0, h1, h2, h3 uint64, p T) uint16 {
	for ; len(p) >= 32; p = p[32:] {
		h0, h1, h2, h3 = gf2.Fold256(h0, h1, h2, h3,
			gf2.Load64(p), gf2.Load64(p[8:]), gf2.Load64(p[16:]), gf2.Load64(p[24:]))
	}
	h2, h3 = gf2.Fold128(h0, h1, h2, h3)
	return finish(gf2.Fold64(h2, h3), p)
}

// finish returns the checksum of h followed by p.
func finish[T gf2.Bytes](h uint64, p T) uint16 {
	for ; len(p) >= 8; p = p[8:] {
		h = gf2.Fold64(h, gf2.Load64(p))
	}
	if len(p) == 0 {
		return gf2.Reduce(h)
	}
	// What is left, h and p, is at most 15 bytes: it is split at 64 bits.
	n := 8 * len(p)
	return gf2.Reduce(gf2.Fold64(h>>(64-n), h<<n|gf2.LoadShort(p)))
}

// update is checksum continued from crc. The checksum so far stands for the
// message crc·x^-16: adding it to the next sixteen bits of the message
// continues the division.
func update[T gf2.Bytes](crc uint16, p T) uint16 {
	h := uint64(crc) << 48
	switch n := len(p); {
	case n == 0:
		return crc
	case n == 1:
		return gf2.Reduce(uint64(crc>>8^uint16(p[0]))) ^ crc<<8
	case n < 8:
		return gf2.Reduce(uint64(crc)<<(8*(n-2)) ^ gf2.LoadShort(p))
	case n < 32:
		return finish(h^gf2.Load64(p), p[8:])
	case n < longMin:
		return finish256(h^gf2.Load64(p), gf2.Load64(p[8:]), gf2.Load64(p[16:]), gf2.Load64(p[24:]), p[32:])
	default:
		return long(crc, p)
	}
}
