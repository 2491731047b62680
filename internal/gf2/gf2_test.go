package gf2

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

// powers[i] is x^i mod P.
var powers = func() []uint16 {
	p := []uint16{1}
	for range 600 {
		last := p[len(p)-1]
		p = append(p, last<<1^last>>15*0x1021)
	}
	return p
}()

// remainder returns words, the highest first, mod P, by the definition.
func remainder(words ...uint64) uint16 {
	var r uint16
	for i, w := range words {
		for b := range 64 {
			if w>>b&1 != 0 {
				r ^= powers[64*(len(words)-1-i)+b]
			}
		}
	}
	return r
}

// All of these functions are linear: if the results of single bits are right, the results
// of all numbers are.
func TestSingleBits(t *testing.T) {
	for b := range 64 {
		bit := uint64(1) << b
		assert.Equal(t, powers[b+16], Reduce(bit), "Reduce(x^%d)", b)
		assert.Equal(t, remainder(bit, 0), remainder(Fold64(bit, 0)), "Fold64(x^%d, 0)", b)
		assert.Equal(t, bit, Fold64(0, bit))
	}
	for i := range 128 {
		var h, l [2]uint64
		h[i/64] = 1 << (i % 64)
		l[i/64] = 1 << (i % 64)
		r0, r1 := Fold128(h[0], h[1], 0, 0)
		assert.Equal(t, remainder(h[0], h[1], 0, 0), remainder(r0, r1), "Fold128, bit %d", i)
		r0, r1 = Fold128(0, 0, l[0], l[1])
		assert.Equal(t, l, [2]uint64{r0, r1})
	}
	for i := range 256 {
		var h, l [4]uint64
		h[i/64] = 1 << (i % 64)
		l[i/64] = 1 << (i % 64)
		r0, r1, r2, r3 := Fold256(h[0], h[1], h[2], h[3], 0, 0, 0, 0)
		assert.Equal(t, remainder(h[0], h[1], h[2], h[3], 0, 0, 0, 0), remainder(r0, r1, r2, r3), "Fold256, bit %d", i)
		r0, r1, r2, r3 = Fold256(0, 0, 0, 0, l[0], l[1], l[2], l[3])
		assert.Equal(t, l, [4]uint64{r0, r1, r2, r3})
	}
}

func TestLoads(t *testing.T) {
	p := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9}
	for n := range 9 {
		var want uint64
		for _, b := range p[:n] {
			want = want<<8 | uint64(b)
		}
		if n < 8 {
			assert.Equal(t, want, LoadShort(p[:n]), "%d bytes", n)
			assert.Equal(t, want, LoadShort(string(p[:n])), "%d bytes", n)
			continue
		}
		assert.Equal(t, want, Load64(p))
		assert.Equal(t, uint32(want>>32), Load32(p))
	}
}

// TestDenseWords holds that the functions are linear: single bits never meet, so they
// cannot tell XOR from OR.
func TestDenseWords(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var w [8]uint64
	for range 50 {
		for i := range w {
			w[i] = r.Uint64()
		}
		assert.Equal(t, remainder(w[0]>>48, w[0]<<16), Reduce(w[0]))
		assert.Equal(t, remainder(w[0], w[1]), remainder(Fold64(w[0], w[1])))
		a, b := Fold128(w[0], w[1], w[2], w[3])
		assert.Equal(t, remainder(w[:4]...), remainder(a, b))
		a, b, c, d := Fold256(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7])
		assert.Equal(t, remainder(w[:]...), remainder(a, b, c, d))
	}
	assert.Equal(t, uint64(0x3132333435363738), Load64("12345678"))
	assert.Equal(t, uint32(0x31323334), Load32("1234"))
}
