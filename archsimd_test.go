//go:build goexperiment.simd && go1.27 && (amd64 || arm64)

package hashslot_test

import (
	"encoding/binary"
	"math/rand/v2"
	"simd/archsimd"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/xmodem"
)

// simdChecksum computes the checksum in a third way, independent of the plain Go and
// of the assembly: with the vector instructions of package archsimd. Like the kernels,
// it folds 16 bytes at a time and divides by multiplying with the reciprocal, but its
// intermediate results are whole words and its constants are others. It needs AVX and
// PCLMULQDQ on amd64, PMULL on arm64.
func simdChecksum(p []byte) uint16 {
	const (
		p17  = 0x11021 // P
		x16  = 0x1021  // x^16 mod P, and so on
		x64  = 0xb861
		x80  = 0xeb23
		x128 = 0xaefc
		x192 = 0x650b
		mu   = 0x111303471a041 // floor(x^64 / P)
	)
	// Leading zeros change nothing: fill up the first block.
	padded := append(make([]byte, (16-len(p)%16)%16), p...)
	fold := archsimd.LoadUint64x2([]uint64{x128, x192})
	var t archsimd.Uint64x2
	for ; len(padded) > 0; padded = padded[16:] {
		block := archsimd.LoadUint64x2([]uint64{binary.BigEndian.Uint64(padded[8:]), binary.BigEndian.Uint64(padded)})
		t = t.CarrylessMultiplyEven(fold).Xor(t.CarrylessMultiplyOdd(fold)).Xor(block)
	}
	multiply := func(a, b uint64) (high, low uint64) {
		r := archsimd.LoadUint64x2([]uint64{a, 0}).CarrylessMultiplyEven(archsimd.LoadUint64x2([]uint64{b, 0}))
		return r.GetElem(1), r.GetElem(0)
	}
	// t·x^16 in 80 bits, then in 64.
	h1, h0 := multiply(t.GetElem(1), x80)
	l1, l0 := multiply(t.GetElem(0), x16)
	_, w := multiply(h1^l1, x64)
	w ^= h0 ^ l0
	// The quotient by P, and the remainder.
	q1, q0 := multiply(w>>16, mu)
	_, product := multiply(q1<<16|q0>>48, p17)
	return uint16(w ^ product)
}

func TestArchsimd(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 600 {
		for range 20 {
			p := make([]byte, n)
			for i := range p {
				p[i] = byte(rng.Uint32())
			}
			require.Equal(t, xmodem.Bitwise(p), simdChecksum(p), "%x", p)
			require.Equal(t, hashslot.Checksum(p), simdChecksum(p), "%x", p)
		}
	}
}
