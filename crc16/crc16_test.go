package crc16

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/hashslot/hashslot/internal/xmodem"
)

// seeded returns the random numbers of one test, the same in every run.
func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 16)) }

func random(rng *rand.Rand, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return p
}

// forms are all ways to compute a checksum.
var forms = map[string]func(p []byte) uint16{
	"Bitwise":        xmodem.Bitwise,
	"Table":          xmodem.Table,
	"Checksum":       Checksum,
	"ChecksumString": func(p []byte) uint16 { return ChecksumString(string(p)) },
	"Update":         func(p []byte) uint16 { return Update(0, p) },
	"long": func(p []byte) uint16 {
		if len(p) < 256 {
			return xmodem.Bitwise(p)
		}
		return long(0, p)
	},
	"finish": func(p []byte) uint16 { return finish(0, p) },
	"Digest": func(p []byte) uint16 {
		var d Digest
		d.Write(p)
		return d.Sum16()
	},
}

func TestKnownValues(t *testing.T) {
	for _, tt := range []struct {
		message string
		want    uint16
	}{
		{"", 0},
		{"\x00", 0},
		{"\x01", 0x1021},
		{"123456789", 0x31C3}, // the check value in every catalogue of checksums
	} {
		for name, f := range forms {
			assert.Equal(t, tt.want, f([]byte(tt.message)), "%s of %q", name, tt.message)
		}
	}
}

func TestFormsAgree(t *testing.T) {
	rng := seeded(1)
	all := random(rng, 5000)
	lengths := []int{2047, 2048, 2049, 4095, 4096, 4097, 4999}
	for n := range 1100 {
		lengths = append(lengths, n)
	}
	for _, n := range lengths {
		p := all[n%9:][:min(n, len(all)-n%9)]
		want := xmodem.Bitwise(p)
		for name, f := range forms {
			if got := f(p); got != want {
				t.Fatalf("%s, length %d: %#04x, want %#04x", name, len(p), got, want)
			}
		}
	}
}

// TestSingleBits proves each form for the lengths that it tries, because all forms are
// linear. The first lengths suffice for forms that call Checksum and for forms whose
// steps have at most 16 bytes. long begins at 256 bytes.
// head leaves whole blocks, so that no word is folded alone.
func TestHeadLeavesWholeBlocks(t *testing.T) {
	for n := 9; n < 200; n++ {
		_, _, _, _, rest := head(make([]byte, n))
		assert.Zero(t, len(rest)%32, n)
		assert.True(t, len(rest) < n && n <= len(rest)+32, n)
	}
}

func TestSingleBits(t *testing.T) {
	for name, f := range forms {
		for n := range 600 {
			// All lengths up to more than the longest step of any form, and some above.
			if n > 320 && n%7 != 0 || testing.Short() && n > 130 && n%37 != 0 || name == "long" && n < 256 {
				continue
			}
			p := make([]byte, n)
			if got := f(p); got != 0 {
				t.Fatalf("%s, length %d, no bit set: %#04x", name, n, got)
			}
			for bit := range 8 {
				want := xmodem.Step(0, 1<<bit)
				for i := n - 1; i >= 0; i-- {
					p[i] = 1 << bit
					got := f(p)
					p[i] = 0
					if got != want {
						t.Fatalf("%s, length %d, byte %d, bit %d: %#04x, want %#04x", name, n, i, bit, got, want)
					}
					want = xmodem.Step(want, 0)
				}
			}
			if n > 70 && name != "Checksum" && name != "finish" && name != "long" {
				break
			}
		}
	}
}

func TestUpdateFromEveryStateWithEveryByte(t *testing.T) {
	var p [1]byte
	for crc := range 1 << 16 {
		// xmodem.Step is linear: what the byte adds does not depend on the state.
		zero := xmodem.Step(uint16(crc), 0)
		if crc == 0 {
			assert.Zero(t, zero)
		}
		for b := range 256 {
			p[0] = byte(b)
			if got, want := Update(uint16(crc), p[:]), zero^single[b]; got != want {
				t.Fatalf("Update(%#04x, %#02x): %#04x, want %#04x", crc, b, got, want)
			}
		}
	}
}

// single[b] is the checksum of the byte b.
var single = func() (s [256]uint16) {
	for b := range s {
		s[b] = xmodem.Step(0, byte(b))
	}
	return s
}()

func TestUpdateFromEveryState(t *testing.T) {
	rng := seeded(2)
	for _, n := range []int{0, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 100, 511, 512, 513, 700} {
		p := random(rng, n)
		sum := xmodem.Bitwise(p)
		for crc := range 1 << 16 {
			// The states of single bits prove the rest; with few bytes all are tried.
			if n > 4 && bits.OnesCount(uint(crc)) != 1 && crc%251 != 0 {
				continue
			}
			// Every state is the checksum of some message, which p then continues.
			if got, want := Update(uint16(crc), p), Combine(uint16(crc), sum, n); got != want {
				t.Fatalf("Update(%#04x, %d bytes): %#04x, want %#04x", crc, n, got, want)
			}
		}
	}
}

func TestUpdateSplitAnywhere(t *testing.T) {
	rng := seeded(3)
	for _, n := range []int{1, 5, 16, 40, 300, 1500} {
		p := random(rng, n)
		want := xmodem.Bitwise(p)
		for i := range n + 1 {
			if got := Update(Checksum(p[:i]), p[i:]); got != want {
				t.Fatalf("length %d split at %d: %#04x, want %#04x", n, i, got, want)
			}
			if got := Combine(Checksum(p[:i]), Checksum(p[i:]), n-i); got != want {
				t.Fatalf("length %d combined at %d: %#04x, want %#04x", n, i, got, want)
			}
		}
	}
}

func TestCombineWithZeros(t *testing.T) {
	// Zeros follow a message, one more in each step, past 32767, the period of the
	// powers of x. The factor of a length does not depend on crc, so some lengths
	// suffice for all bits but the first.
	for bit := range 16 {
		crc, walk := uint16(1)<<bit, uint16(1)<<bit
		for n := range 32767 + 100 {
			if bit > 0 && n%61 != 0 {
				walk = xmodem.Step(walk, 0)
				continue
			}
			if got := Combine(crc, 0, n); got != walk {
				t.Fatalf("Combine(%#04x, 0, %d): %#04x, want %#04x", crc, n, got, walk)
			}
			walk = xmodem.Step(walk, 0)
		}
	}
	for _, n := range []int64{32767, 32768, 1 << 20, math.MaxInt32, math.MaxInt32 + 1, 1 << 40, math.MaxInt64 - 1, math.MaxInt64} {
		for _, crc := range []uint16{0, 1, 0x8000, 0x31C3, 0xFFFF} {
			assert.Equal(t, Combine(crc, 0, n%32767), Combine(crc, 0, n), "%#04x, %d", crc, n)
			assert.Equal(t, Combine(crc, 0, n)^0x1234, Combine(crc, 0x1234, n), "%#04x, %d", crc, n)
			// Half of the zeros, then the other half.
			assert.Equal(t, Combine(Combine(crc, 0, n/2), 0, n-n/2), Combine(crc, 0, n), "%#04x, %d", crc, n)
		}
	}
}

func TestCombineOfNothing(t *testing.T) {
	assert.Equal(t, uint16(0xBEEF), Combine(0xBEEF, 0, 0))
	assert.Equal(t, uint16(0x31C3), Combine(0, 0x31C3, 9))
	assert.Equal(t, uint16(0x31C3), Combine(Checksum([]byte("1234")), Checksum([]byte("56789")), int64(5)))
}

func TestCombinePanicsOnANegativeLength(t *testing.T) {
	const want = "crc16: Combine: negative length"
	assert.PanicsWithValue(t, want, func() { Combine(1, 2, -1) })
	assert.PanicsWithValue(t, want, func() { Combine(1, 2, math.MinInt) })
	assert.PanicsWithValue(t, want, func() { Combine(1, 2, int64(math.MinInt64)) })
}

func TestMultiply(t *testing.T) {
	power := uint16(1) // x^i mod P
	for i := range 31 {
		for j := range 16 {
			if k := i - j; 0 <= k && k < 16 {
				assert.Equal(t, power, multiply(1<<j, 1<<k), "x^%d·x^%d", j, k)
			}
		}
		power = power<<1 ^ power>>15*poly
	}
}

var sumSink uint16

func TestAllocations(t *testing.T) {
	for _, n := range []int{3, 16, 100, 3000} {
		s := string(random(seeded(4), n))
		assert.Zero(t, testing.AllocsPerRun(50, func() {
			var b [3000]byte
			b[1] = byte(sumSink)
			p := b[:n]
			var d Digest
			d.Write(p)
			var sum [2]byte
			d.Sum(sum[:0])
			sumSink = Checksum(p) ^ Update(1, p) ^ ChecksumString(s) ^ Combine(1, 2, n) ^ d.Sum16() ^ uint16(sum[0])
		}), "length %d", n)
	}
}
