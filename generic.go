package hashslot

import (
	"math/bits"
	"strings"

	"github.com/hashslot/hashslot/crc16"
	"github.com/hashslot/hashslot/internal/gf2"
)

// Plain Go: the tests hold every kernel equal to it, and it runs where there is no
// kernel.

// ofGeneric returns crc16.ChecksumString(hashtag.Of(key)). A call or a loop costs as
// much as a short key. So up to 32 bytes, it looks for a '{' in the words that the
// checksum has loaded anyway.
//
// Words are big-endian and counted from the end of the key: the first one need not
// be full, because zeros in front change nothing. There are two ways to load less
// than 8 bytes. A way without branches on the length is slower, even if lengths are
// unpredictable.
func ofGeneric(key string) uint64 {
	n := len(key)
	if n < 8 {
		v := gf2.LoadShort(key)
		if open(v)&highs != 0 {
			v = tagIn8(v, v)
		}
		return uint64(gf2.Reduce(v))
	}
	if n > 32 {
		if i := strings.IndexByte(key, '{'); i >= 0 {
			return ofTagged(key, i)
		}
		return sumGeneric(key)
	}
	first, last := gf2.Load64(key), gf2.Load64(key[n-8:])
	if open(first)&highs != 0 {
		return ofTagged(key, bits.LeadingZeros64(each(first, '{'))/8)
	}
	if n <= 16 {
		// The shift drops from the first word the bytes that are in the last one as
		// well. A shift by 64 gives 0, as Go defines it.
		v := gf2.Fold64(first>>(8*(16-n)), last)
		if open(last)&highs != 0 {
			v = tagIn8(last, v)
		}
		return uint64(gf2.Reduce(v))
	}
	w2 := gf2.Load64(key[n-16:])
	opens := open(w2)
	if n <= 24 {
		if opens&highs != 0 {
			return ofTagged(key, strings.IndexByte(key, '{'))
		}
		v := gf2.Fold64(gf2.Fold64(first>>(8*(24-n)), w2), last)
		if open(last)&highs != 0 {
			v = tagIn8(last, v)
		}
		return uint64(gf2.Reduce(v))
	}
	w1 := gf2.Load64(key[n-24:])
	if (opens|open(w1))&highs != 0 {
		return ofTagged(key, strings.IndexByte(key, '{'))
	}
	v := gf2.Fold64(gf2.Fold128(first>>(8*(32-n)), w1, w2, last))
	if open(last)&highs != 0 {
		v = tagIn8(last, v)
	}
	return uint64(gf2.Reduce(v))
}

// tagIn8 returns the tag whose '{' is the first one in w, the last bytes of a
// key, or whole if there is no tag.
func tagIn8(w, whole uint64) uint64 {
	w = w << (bits.LeadingZeros64(each(w, '{')) & 63) << 8 // what is behind the '{'
	tag := bits.LeadingZeros64(each(w, '}'))               // its bits in front of the first '}'
	if tag == 0 || tag == 64 {
		return whole
	}
	return w >> ((64 - tag) & 63)
}

// ofTagged is ofGeneric for a key of 8 bytes or more with its first '{' at i.
func ofTagged(key string, i int) uint64 {
	rest := key[i+1:]
	n := len(rest)
	var w uint64 // the first 8 bytes of rest, with zeros behind if there are less
	if n >= 8 {
		w = gf2.Load64(rest)
	} else {
		w = gf2.Load64(key[len(key)-8:]) << (64 - 8*n)
	}
	switch tag := bits.LeadingZeros64(each(w, '}')); {
	case tag == 0:
	case tag < 64:
		return uint64(gf2.Reduce(w >> ((64 - tag) & 63)))
	case n > 8:
		if j := strings.IndexByte(rest[8:], '}'); j >= 0 {
			return sumGeneric(rest[:8+j])
		}
	}
	return sumGeneric(key)
}

// sumGeneric returns crc16.ChecksumString of 8 bytes or more. Short keys take no
// loop.
func sumGeneric(s string) uint64 {
	n := len(s)
	if n > 64 {
		return uint64(crc16.ChecksumString(s))
	}
	first, last := gf2.Load64(s), gf2.Load64(s[n-8:])
	if n <= 16 {
		return uint64(gf2.Reduce(gf2.Fold64(first>>(8*(16-n)), last)))
	}
	w2 := gf2.Load64(s[n-16:])
	if n <= 24 {
		return uint64(gf2.Reduce(gf2.Fold64(gf2.Fold64(first>>(8*(24-n)), w2), last)))
	}
	w1 := gf2.Load64(s[n-24:])
	if n > 32 {
		w0 := gf2.Load64(s[n-32:])
		k := uint(n-1)&7 + 1
		first >>= 64 - 8*k
		var v0, v1, v2, v3 uint64
		switch mid := s[k : n-32]; len(mid) >> 3 {
		case 0:
			v3 = first
		case 1:
			v2, v3 = first, gf2.Load64(mid)
		case 2:
			v1, v2, v3 = first, gf2.Load64(mid), gf2.Load64(mid[8:])
		default:
			v0, v1, v2, v3 = first, gf2.Load64(mid), gf2.Load64(mid[8:]), gf2.Load64(mid[16:])
		}
		first, w1, w2, last = gf2.Fold256(v0, v1, v2, v3, w0, w1, w2, last)
	} else {
		first >>= 8 * (32 - n)
	}
	h, l := gf2.Fold128(first, w1, w2, last)
	return uint64(gf2.Reduce(gf2.Fold64(h, l)))
}

const (
	ones  = 0x0101010101010101 // 1 in every byte
	highs = 0x8080808080808080 // the high bit of every byte
)

// each returns the high bit of every byte of w that is c.
func each(w uint64, c byte) uint64 {
	x := w ^ ones*uint64(c)
	return ^(x&^highs + ^uint64(highs) | x) & highs
}

// open returns a word in which some byte's high bit is set if and only if a byte
// of w is '{'. It is cheaper than each.
func open(w uint64) uint64 {
	x := w ^ ones*'{'
	return (x - ones) &^ x
}
