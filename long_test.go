package hashslot_test

import (
	"testing"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/crc16"
	"github.com/hashslot/hashslot/internal/guard"
	"github.com/hashslot/hashslot/internal/hashtest"
	"github.com/hashslot/hashslot/internal/impl"
	"github.com/hashslot/hashslot/internal/xmodem"
)

// maxForm is a length up to which every form for buffers is used from each of its
// entries. The last form starts at 1537 bytes. It has sixteen entries, 64 bytes apart,
// each for 64 lengths of the first block.
const maxForm = 2560

// everyLength returns the lengths from 301 to maxForm. In short runs it returns some
// of them, each with another remainder modulo 64.
func everyLength() (lengths []int) {
	step := 1
	if testing.Short() {
		step = 37
	}
	for n := 301; n <= maxForm; n += step {
		lengths = append(lengths, n)
	}
	return lengths
}

// TestEveryForm proves each form at each of its entries.
func TestEveryForm(t *testing.T) {
	inputs, sums := randomInputs(seeded(10), proof, maxForm)
	var (
		zero = make([]byte, maxForm)
		so   [maxForm + 1][16]uint16 // so[n][bit]: the checksum 1<<bit, after n more zero bytes
	)
	for bit := range 16 {
		crc := uint16(1) << bit
		for n := range so {
			so[n][bit] = crc
			crc = zeroByte(crc)
		}
	}
	hashtest.EachKernel(t, func(t *testing.T) {
		for _, n := range everyLength() {
			if hashslot.Kernel() == impl.Generic && n%8 != 1 {
				continue // it has one form, which the tests of crc16 prove
			}
			if got := hashslot.Checksum(zero[:n]); got != 0 {
				t.Fatalf("Checksum, length %d, no bit set: %#04x", n, got)
			}
			for i, p := range inputs {
				if got, want := hashslot.Checksum(p[:n]), sums[i][n]; got != want {
					t.Fatalf("Checksum, length %d, input %d: %#04x, want %#04x", n, i, got, want)
				}
			}
			for bit, want := range so[n] {
				if got := hashslot.Update(1<<bit, zero[:n]); got != want {
					t.Fatalf("Update(%#04x), length %d: %#04x, want %#04x", 1<<bit, n, got, want)
				}
			}
		}
	})
}

// TestSingleBitsAtEveryEnd proves the ends of a form that takes zeros behind a buffer, up
// to the end of the cache line. What is there is not 0.
func TestSingleBitsAtEveryEnd(t *testing.T) {
	const n = 1600
	sums := singleBitSums(n)
	all := guard.New(t, n+128).Head(n + 128)
	for i := range all {
		all[i] = 0xff
	}
	hashtest.EachKernel(t, func(t *testing.T) {
		if hashslot.Kernel() == impl.Generic {
			return // as above
		}
		for at := range 64 {
			if testing.Short() && at%13 != 0 {
				continue
			}
			p := all[at:][:n]
			clear(p)
			for i, want := range sums {
				if 8*128 <= i && i < 8*(n-320) {
					continue // the loop, which is the same wherever a buffer ends
				}
				p[i/8] = 1 << (i % 8)
				got := hashslot.Checksum(p)
				p[i/8] = 0
				if got != want {
					t.Fatalf("Checksum at %d, byte %d, bit %d: %#04x, want %#04x", at, i/8, i%8, got, want)
				}
			}
			for bit := range 16 {
				if got, want := hashslot.Update(1<<bit, p), crc16.Combine(1<<bit, 0, n); got != want {
					t.Fatalf("Update(%#04x) at %d: %#04x, want %#04x", 1<<bit, at, got, want)
				}
			}
			for i := range p {
				p[i] = 0xff
			}
		}
	})
}

// TestEveryFormBetweenGuards checks that no form reads before a buffer or after it,
// whatever its length and wherever the first block ends.
func TestEveryFormBetweenGuards(t *testing.T) {
	buf := guard.New(t, maxForm+64)
	all := buf.Head(buf.Len())
	rng := seeded(8)
	fillBraces(rng, all, 100)
	hashtest.EachKernel(t, func(t *testing.T) {
		for _, n := range everyLength() {
			for _, p := range [][]byte{
				all[:n], all[len(all)-n:],
				all[1+n%63:][:n], all[len(all)-n-1-n%63:][:n],
			} {
				crc := uint16(rng.Uint32())
				if got, want := hashslot.Update(crc, p), crc16.Update(crc, p); got != want {
					t.Fatalf("Update(%#04x), length %d: %#04x, want %#04x", crc, n, got, want)
				}
			}
		}
	})
}

// TestEndsOfLongBuffers tries every position of a buffer's end in a cache line, for
// lengths at which the position matters, and for lengths that a call works on in
// pieces.
func TestEndsOfLongBuffers(t *testing.T) {
	const most = 3*65536 + 64
	buf := guard.New(t, most+64)
	all := buf.Head(buf.Len())
	rng := seeded(9)
	hashtest.EachKernel(t, func(t *testing.T) {
		for _, n := range []int{1537, 2048, 8191, 8192, 8193, 16384, 20000, 65535, 65536, 65537, 65600, 2 * 65536, 2*65536 + 65, most} {
			if testing.Short() && n > 65600 {
				continue
			}
			for before := range 64 {
				p := all[before:][:n]
				if before%2 == 1 {
					p = all[len(all)-before-n:][:n]
				}
				// Only the first bytes and those near the end are not 0.
				clear(p)
				fill(rng, p[:4])
				fill(rng, p[n-300:])
				crc := uint16(rng.Uint32())
				want := crc16.Combine(xmodem.Bitwise(p[:4])^crc16.Combine(crc, 0, 4), xmodem.Bitwise(p[n-300:]), n-4)
				if got := hashslot.Update(crc, p); got != want {
					t.Fatalf("Update(%#04x), length %d, at %d: %#04x, want %#04x", crc, n, before, got, want)
				}
			}
		}
	})
}
