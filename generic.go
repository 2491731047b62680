package hashslot

import (
	"github.com/hashslot/hashslot/crc16"
	"github.com/hashslot/hashslot/hashtag"
	"github.com/hashslot/hashslot/internal/gf2"
)

// The plain Go: what every kernel is held equal to, and what runs where there
// is no kernel.

// ofGeneric is crc16.ChecksumString(hashtag.Of(key)). For most keys, which have
// no '{' and are not long, it looks for one in the words that the checksum has
// loaded anyway.
func ofGeneric(key string) uint64 {
	n := len(key)
	if n < 8 {
		v := gf2.LoadShort(key)
		if open(v)&highs != 0 {
			return ofParts(key)
		}
		return uint64(gf2.Reduce(v))
	}
	if n > 64 {
		return ofParts(key)
	}
	first, last := gf2.Load64(key), gf2.Load64(key[n-8:])
	opens := open(first) | open(last)
	if n <= 16 {
		if opens&highs != 0 {
			return ofParts(key)
		}
		return uint64(gf2.Reduce(gf2.Fold64(first>>(8*(16-n)), last)))
	}
	// Words are counted from the end; what is missing in front of the first of
	// four or eight is 0.
	w2 := gf2.Load64(key[n-16:])
	opens |= open(w2)
	if n <= 24 {
		if opens&highs != 0 {
			return ofParts(key)
		}
		return uint64(gf2.Reduce(gf2.Fold64(gf2.Fold64(first>>(8*(24-n)), w2), last)))
	}
	w1 := gf2.Load64(key[n-24:])
	opens |= open(w1)
	if n <= 32 {
		if opens&highs != 0 {
			return ofParts(key)
		}
		h, l := gf2.Fold128(first>>(8*(32-n)), w1, w2, last)
		return uint64(gf2.Reduce(gf2.Fold64(h, l)))
	}
	w0 := gf2.Load64(key[n-32:])
	opens |= open(w0)
	k := uint(n-1)&7 + 1
	first >>= 64 - 8*k
	var v0, v1, v2, v3 uint64
	switch mid := key[k : n-32]; len(mid) >> 3 {
	case 0:
		v3 = first
	case 1:
		v2, v3 = first, gf2.Load64(mid)
	case 2:
		v1, v2, v3 = first, gf2.Load64(mid), gf2.Load64(mid[8:])
	default:
		v0, v1, v2, v3 = first, gf2.Load64(mid), gf2.Load64(mid[8:]), gf2.Load64(mid[16:])
	}
	if (opens|open(v1)|open(v2)|open(v3))&highs != 0 {
		return ofParts(key)
	}
	w0, w1, w2, last = gf2.Fold256(v0, v1, v2, v3, w0, w1, w2, last)
	h, l := gf2.Fold128(w0, w1, w2, last)
	return uint64(gf2.Reduce(gf2.Fold64(h, l)))
}

// ofParts is the two rules one after the other.
func ofParts(key string) uint64 { return uint64(crc16.ChecksumString(hashtag.Of(key))) }

const (
	ones  = 0x0101010101010101 // 1 in every byte
	highs = 0x8080808080808080 // the high bit of every byte
)

// open returns a word in which some byte's high bit is set if, and only if, a
// byte of w is '{'.
func open(w uint64) uint64 {
	x := w ^ ones*'{'
	return (x - ones) &^ x
}
