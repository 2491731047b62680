package hashslot_test

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/crc16"
	"github.com/hashslot/hashslot/internal/guard"
	"github.com/hashslot/hashslot/internal/hashtest"
)

// The proofs of this file hold every kernel equal to the definition. A
// checksum is linear over GF(2), and so is every kernel as long as its branches
// look at nothing but lengths, addresses and braces: for one length, the inputs
// with a single bit set then determine it.

// maxLen is the length up to which every length is tried.
const maxLen = 300

// seeded returns the random numbers of one test, the same in every run.
func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 16)) }

// fill sets p to random bytes without braces.
func fill(rng *rand.Rand, p []byte) {
	for i := range p {
		p[i] = byte(rng.Uint32())
		if p[i] == '{' || p[i] == '}' {
			p[i] ^= 0x80
		}
	}
}

// fillBraces sets p to random bytes, about one in rarity of them a brace.
func fillBraces(rng *rand.Rand, p []byte, rarity int) {
	fill(rng, p)
	for i := range p {
		if rng.IntN(rarity) == 0 {
			p[i] = "{}"[rng.IntN(2)]
		}
	}
}

func str(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

// checkOne compares what takes a single key with the definition.
func checkOne(t *testing.T, key []byte) {
	t.Helper()
	want := hashslot.Slot(hashtest.Slot(key))
	if got := hashslot.Of(str(key)); got != want {
		t.Fatalf("Of(%q), length %d: %d, want %d", key, len(key), got, want)
	}
	if got := hashslot.OfBytes(key); got != want {
		t.Fatalf("OfBytes(%q), length %d: %d, want %d", key, len(key), got, want)
	}
}

// checkSum compares what computes a checksum with the definition.
func checkSum(t *testing.T, p []byte, crc uint16) {
	t.Helper()
	want := crc16.Bitwise(p)
	if got := hashslot.Checksum(p); got != want {
		t.Fatalf("Checksum(%.300q), length %d: %#04x, want %#04x", p, len(p), got, want)
	}
	if got := hashslot.ChecksumString(str(p)); got != want {
		t.Fatalf("ChecksumString(%.300q), length %d: %#04x, want %#04x", p, len(p), got, want)
	}
	want ^= shift(crc, len(p))
	if got := hashslot.Update(crc, p); got != want {
		t.Fatalf("Update(%#04x, %.300q), length %d: %#04x, want %#04x", crc, p, len(p), got, want)
	}
}

// shift returns the checksum of a message with the checksum crc that n zero
// bytes follow, by the definition.
func shift(crc uint16, n int) uint16 {
	for range n {
		crc = zeroByte(crc)
	}
	return crc
}

func zeroByte(crc uint16) uint16 {
	for range 8 {
		carry := crc >> 15
		crc = crc<<1 ^ carry*0x1021
	}
	return crc
}

func TestEveryLengthAndAlignmentBetweenGuards(t *testing.T) {
	buf := guard.New(t, 1)
	all := buf.Head(buf.Len())
	hashtest.EachKernel(t, func(t *testing.T) {
		rng := seeded(1)
		var keys [][]byte
		for n := range maxLen + 1 {
			for _, prepare := range []func(){
				func() { fill(rng, all) },
				func() { fillBraces(rng, all, 20) },
			} {
				prepare()
				keys = keys[:0]
				for offset := range 64 {
					keys = append(keys, all[offset:offset+n], all[len(all)-offset-n:len(all)-offset])
				}
				for _, key := range keys {
					checkOne(t, key)
					checkSum(t, key, uint16(rng.Uint32()))
				}
				checkAppend(t, keys)
			}
		}
	})
}

func TestEveryPlaceInAPage(t *testing.T) {
	// Kernels may read on in the page of a byte of the key. Every key of up to
	// 128 bytes is put across the border of two pages at each of its bytes.
	buf := guard.New(t, 3*4096)
	all := buf.Head(buf.Len())
	hashtest.EachKernel(t, func(t *testing.T) {
		rng := seeded(2)
		var keys [][]byte
		for n := range 129 {
			fillBraces(rng, all, 40)
			keys = keys[:0]
			for before := range n + 1 {
				keys = append(keys, all[4096-before:4096-before+n])
			}
			for _, key := range keys {
				checkOne(t, key)
				checkSum(t, key, uint16(rng.Uint32()))
			}
			checkAppend(t, keys)
		}
	})
}

// singleBits returns keys of length n, one for each bit, in each of which only
// that bit is set. None has a brace. Key 8·i+b has bit b of byte i set.
func singleBits(n int) [][]byte {
	keys := make([][]byte, 0, 8*n)
	var zeros [8][]byte // with one bit set in the middle, around which the keys slide
	for bit := range zeros {
		zeros[bit] = make([]byte, max(0, 2*n-1))
		if n > 0 {
			zeros[bit][n-1] = 1 << bit
		}
	}
	for i := range n {
		for bit := range 8 {
			keys = append(keys, zeros[bit][n-1-i:2*n-1-i])
		}
	}
	return keys
}

// singleBitSums returns the checksums of singleBits(n).
func singleBitSums(n int) []uint16 {
	sums := make([]uint16, 8*n)
	for bit := range 8 {
		crc := crc16.Bitwise([]byte{1 << bit})
		for i := n - 1; i >= 0; i-- {
			sums[8*i+bit] = crc
			crc = zeroByte(crc)
		}
	}
	return sums
}

func TestSingleBitSums(t *testing.T) {
	for _, n := range []int{0, 1, 2, 9, 40} {
		sums := singleBitSums(n)
		for i, key := range singleBits(n) {
			if want := crc16.Bitwise(key); sums[i] != want {
				t.Fatalf("length %d, bit %d: %#04x, want %#04x", n, i, sums[i], want)
			}
		}
	}
}

func TestSingleBits(t *testing.T) {
	hashtest.EachKernel(t, func(t *testing.T) {
		for n := range maxLen + 1 {
			zero := make([]byte, n)
			if got := hashslot.OfBytes(zero); got != 0 {
				t.Fatalf("Of, length %d, no bit set: %d", n, got)
			}
			sums := singleBitSums(n)
			for i, key := range singleBits(n) {
				if got, want := hashslot.OfBytes(key), hashslot.Slot(sums[i]&0x3fff); got != want {
					t.Fatalf("OfBytes, length %d, byte %d, bit %d: %d, want %d", n, i/8, i%8, got, want)
				}
				if got := hashslot.Checksum(key); got != sums[i] {
					t.Fatalf("Checksum, length %d, byte %d, bit %d: %#04x, want %#04x", n, i/8, i%8, got, sums[i])
				}
			}
			for bit := range 16 {
				if got, want := hashslot.Update(1<<bit, zero), shift(1<<bit, n); got != want {
					t.Fatalf("Update(%#04x), length %d: %#04x, want %#04x", 1<<bit, n, got, want)
				}
			}
		}
	})
}

func TestSingleBitsInEveryLane(t *testing.T) {
	hashtest.EachKernel(t, func(t *testing.T) {
		var (
			rng    = seeded(3)
			filler = make([]byte, maxLen)
			got    []hashslot.Slot
			all    [][]byte
			text   []string
			data   []byte
			ends   []uint32
		)
		fill(rng, filler)
		for n := range maxLen + 1 {
			keys, sums := singleBits(n), singleBitSums(n)
			for lane := range 8 {
				// Keys of other lengths in front move all keys on by a lane each.
				all, text, data, ends = all[:0], text[:0], data[:0], ends[:0]
				for range lane {
					all = append(all, filler[:rng.IntN(maxLen)])
				}
				all = append(all, keys...)
				for _, key := range all {
					text = append(text, str(key))
					data = append(data, key...)
					ends = append(ends, uint32(len(data)))
				}
				for _, form := range []struct {
					name string
					run  func() []hashslot.Slot
				}{
					{"AppendOf", func() []hashslot.Slot { return hashslot.AppendOf(got[:0], text) }},
					{"AppendOfBytes", func() []hashslot.Slot { return hashslot.AppendOfBytes(got[:0], all) }},
					{"AppendOfPacked", func() []hashslot.Slot { return hashslot.AppendOfPacked(got[:0], data, ends) }},
				} {
					got = form.run()
					for i, sum := range sums {
						if got, want := got[lane+i], hashslot.Slot(sum&0x3fff); got != want {
							t.Fatalf("%s, length %d, byte %d, bit %d, moved by %d: %d, want %d",
								form.name, n, i/8, i%8, lane, got, want)
						}
					}
				}
			}
		}
	})
}

// longLengths are lengths around those where a kernel may take another path.
func longLengths() []int {
	var lengths []int
	for n := 256; n <= 65536; n *= 2 {
		span := 12
		if n >= 4096 {
			span = 4
		}
		for d := -span; d <= span; d++ {
			lengths = append(lengths, n+d)
		}
	}
	for n := 320; n < 5200; n += 61 {
		lengths = append(lengths, n)
	}
	return lengths
}

func TestSingleBitsOfLongBuffers(t *testing.T) {
	hashtest.EachKernel(t, func(t *testing.T) {
		rng := seeded(4)
		for _, n := range longLengths() {
			var (
				sums = singleBitSums(n)
				p    = make([]byte, n)
				step = 1
				bits = 8 * n
			)
			// All bits where that is cheap, some of them where it is not.
			budget := 128 << 20 // bytes to sum
			if testing.Short() {
				budget = 1 << 20
			}
			if most := budget / n; bits > most {
				step = bits / most
			}
			for i := rng.IntN(step); i < bits; i += 1 + rng.IntN(2*step-1) {
				p[i/8] = 1 << (i % 8)
				got := hashslot.Checksum(p)
				p[i/8] = 0
				if got != sums[i] {
					t.Fatalf("Checksum, length %d, byte %d, bit %d: %#04x, want %#04x", n, i/8, i%8, got, sums[i])
				}
			}
		}
	})
}

func TestLongBuffers(t *testing.T) {
	buf := guard.New(t, 66<<10)
	all := buf.Head(buf.Len())
	rng := seeded(5)
	fillBraces(rng, all, 1000)
	hashtest.EachKernel(t, func(t *testing.T) {
		for _, n := range longLengths() {
			// A length at both edges, at an alignment that changes with the length.
			for _, p := range [][]byte{
				all[:n], all[len(all)-n:],
				all[n%64 : n%64+n], all[len(all)-n-n%61 : len(all)-n%61],
			} {
				checkSum(t, p, uint16(rng.Uint32()))
			}
			checkOne(t, all[len(all)-n:])
		}
		checkAppend(t, [][]byte{all, {}, all[1:], all[:66], all[:len(all)-1]})
	})
}

func TestVeryLongBuffer(t *testing.T) {
	// Longer than any piece that is worked on in one go, by an odd number.
	p := make([]byte, 1<<20+12345)
	rng := seeded(6)
	fill(rng, p)
	want := crc16.Table(p)
	hashtest.EachKernel(t, func(t *testing.T) {
		if got := hashslot.Checksum(p); got != want {
			t.Fatalf("Checksum: %#04x, want %#04x", got, want)
		}
		if got, want := hashslot.OfBytes(p), hashslot.Slot(want&0x3fff); got != want {
			t.Fatalf("OfBytes: %d, want %d", got, want)
		}
		if got, want := hashslot.AppendOfPacked(nil, p, []uint32{0, uint32(len(p))}), hashslot.Slot(want&0x3fff); got[1] != want {
			t.Fatalf("AppendOfPacked: %d, want %d", got[1], want)
		}
	})
}

func TestUpdateSplitAnywhere(t *testing.T) {
	rng := seeded(7)
	p := make([]byte, 9000)
	fillBraces(rng, p, 50)
	hashtest.EachKernel(t, func(t *testing.T) {
		for _, n := range []int{1, 2, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 255, 257, 511, 513, 1025, 2049, 4097} {
			want := crc16.Bitwise(p[:n])
			for i := range n + 1 {
				if got := hashslot.Update(hashslot.Checksum(p[:i]), p[i:n]); got != want {
					t.Fatalf("length %d split at %d: %#04x, want %#04x", n, i, got, want)
				}
			}
		}
		want := crc16.Bitwise(p)
		for range 300 {
			var crc uint16
			for rest := p; len(rest) > 0; {
				i := 1 + rng.IntN(min(len(rest), 1<<rng.IntN(13)))
				crc = hashslot.Update(crc, rest[:i])
				rest = rest[i:]
			}
			if crc != want {
				t.Fatalf("random pieces: %#04x, want %#04x", crc, want)
			}
		}
	})
}
