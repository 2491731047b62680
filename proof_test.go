package hashslot_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/guard"
	"github.com/hashslot/hashslot/internal/hashtest"
	"github.com/hashslot/hashslot/internal/impl"
	"github.com/hashslot/hashslot/internal/xmodem"
)

// The tests of this file prove that every kernel equals the definition. A checksum is
// linear over GF(2), and so is a kernel whose branches depend on nothing but lengths,
// addresses and braces. For one length, the inputs with a single bit set then determine
// the results of all inputs. So do random inputs, with less work: two linear functions
// that differ at all differ for at least half of the inputs, so 64 random inputs do not
// show that with a probability of 2^-64.

// proof is how many random inputs are enough.
const proof = 64

// maxLen is the length up to which every length is tried. From 321 bytes on no kernel
// takes a key another way.
const maxLen = 330

// seeded returns the random numbers of one test, the same in every run.
func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 16)) }

// noise is random bytes without braces.
var noise = func() []byte {
	p, rng := make([]byte, 1<<16), seeded(0)
	for i := range p {
		p[i] = byte(rng.Uint32())
		if p[i] == '{' || p[i] == '}' {
			p[i] ^= 0x80
		}
	}
	return p
}()

// fill sets p to random bytes without braces. They are pieces of noise.
func fill(rng *rand.Rand, p []byte) {
	for len(p) > 0 {
		p = p[copy(p, noise[rng.IntN(len(noise)/2):]):]
	}
}

// fillBraces sets p to random bytes, about one in rarity of them a brace.
func fillBraces(rng *rand.Rand, p []byte, rarity int) {
	fill(rng, p)
	if rarity == math.MaxInt32 {
		return
	}
	// Braces are rarity bytes apart on average.
	for i := rng.IntN(2*rarity - 1); i < len(p); i += 1 + rng.IntN(2*rarity-1) {
		p[i] = "{}"[rng.IntN(2)]
	}
}

func str(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

// checkOne compares the functions that take a single key with the definition.
func checkOne(t *testing.T, key []byte) {
	want := hashslot.Slot(hashtest.Slot(key))
	if got := hashslot.Of(str(key)); got != want {
		t.Fatalf("Of(%q), length %d: %d, want %d", key, len(key), got, want)
	}
	if got := hashslot.OfBytes(key); got != want {
		t.Fatalf("OfBytes(%q), length %d: %d, want %d", key, len(key), got, want)
	}
}

// checkSum compares the functions that compute a checksum with the definition.
func checkSum(t *testing.T, p []byte, crc uint16) {
	want := xmodem.Table(p)
	if got := hashslot.Checksum(p); got != want {
		t.Fatalf("Checksum(%.300q), length %d: %#04x, want %#04x", p, len(p), got, want)
	}
	if got := hashslot.ChecksumString(str(p)); got != want {
		t.Fatalf("ChecksumString(%.300q), length %d: %#04x, want %#04x", p, len(p), got, want)
	}
	want = xmodem.TableUpdate(crc, p)
	if got := hashslot.Update(crc, p); got != want {
		t.Fatalf("Update(%#04x, %.300q), length %d: %#04x, want %#04x", crc, p, len(p), got, want)
	}
}

// shift returns the checksum of a message and n zero bytes after it, by the definition.
// crc is the checksum of the message.
func shift(crc uint16, n int) uint16 {
	for range n {
		crc = zeroByte(crc)
	}
	return crc
}

func zeroByte(crc uint16) uint16 { return crc<<8 ^ byteSums[crc>>8] }

// byteSums are the checksums of single bytes.
var byteSums = func() (sums [256]uint16) {
	for b := range sums {
		sums[b] = xmodem.Bitwise([]byte{byte(b)})
	}
	return sums
}()

func TestEveryLengthAndAlignmentBetweenGuards(t *testing.T) {
	buf := guard.New(t, 1)
	all := buf.Head(buf.Len())
	hashtest.EachKernel(t, func(t *testing.T) {
		rng := seeded(1)
		var keys [][]byte
		for n := range maxLen + 1 {
			if testing.Short() && n > 140 && n%8 != 1 {
				continue
			}
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
	// A kernel may read all of a page that has a byte of the key. Keys of up to 128
	// bytes lie across the border of two pages, split before each of their bytes.
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

// singleBits returns keys of length n, one for each bit. Only that bit is set in the
// key: key 8·i+b has bit b of byte i set. No key has a brace.
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
		crc := xmodem.Bitwise([]byte{1 << bit})
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
			if want := xmodem.Bitwise(key); sums[i] != want {
				t.Fatalf("length %d, bit %d: %#04x, want %#04x", n, i, sums[i], want)
			}
		}
	}
}

func TestSingleBits(t *testing.T) {
	hashtest.EachKernel(t, func(t *testing.T) {
		for n := range maxLen + 1 {
			if testing.Short() && n > 140 && n%8 != 1 {
				continue
			}
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

// randomInputs returns n inputs of the given length, and the checksums of all their
// beginnings: sums[i][l] is that of inputs[i][:l].
func randomInputs(rng *rand.Rand, n, length int) (inputs [][]byte, sums [][]uint16) {
	for range n {
		p, sum := make([]byte, length), make([]uint16, length+1)
		fill(rng, p)
		for i := range p {
			sum[i+1] = xmodem.TableUpdate(sum[i], p[i:i+1])
		}
		inputs, sums = append(inputs, p), append(sums, sum)
	}
	return inputs, sums
}

func TestEveryLengthInEveryLane(t *testing.T) {
	inputs, sums := randomInputs(seeded(3), 8*proof, maxLen)
	hashtest.EachKernel(t, func(t *testing.T) {
		var (
			rng  = seeded(3)
			got  []hashslot.Slot
			all  [][]byte
			text []string
			data []byte
			ends []uint32
		)
		lanes := 8
		if hashslot.Kernel() == impl.Generic {
			lanes = 1 // it does one key after the other
		}
		for n := range maxLen + 1 {
			if testing.Short() && n > 35 && n%7 != 0 {
				continue
			}
			all, text, data, ends = all[:0], text[:0], data[:0], ends[:0]
			others := rng.IntN(lanes) // of any length
			for i := range others + lanes*proof {
				key := inputs[i%len(inputs)][:rng.IntN(maxLen)]
				if i >= others {
					key = inputs[i-others][:n]
				}
				all, text, data = append(all, key), append(text, str(key)), append(data, key...)
				ends = append(ends, uint32(len(data)))
			}
			check := func(form string, got []hashslot.Slot) {
				for i, got := range got[others:] {
					if want := hashslot.Slot(sums[i][n] & 0x3fff); got != want {
						t.Fatalf("%s, length %d, input %d after %d keys: %d, want %d", form, n, i, others, got, want)
					}
				}
			}
			got = hashslot.AppendOf(got[:0], text)
			check("AppendOf", got)
			got = hashslot.AppendOfBytes(got[:0], all)
			check("AppendOfBytes", got)
			got = hashslot.AppendOfPacked(got[:0], data, ends)
			check("AppendOfPacked", got)
		}
	})
}

// longLengths returns lengths near those from which on a kernel may take another path.
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

func TestEveryLongLength(t *testing.T) {
	lengths := longLengths()
	inputs, sums := randomInputs(seeded(4), proof, slices.Max(lengths))
	hashtest.EachKernel(t, func(t *testing.T) {
		for i, p := range inputs {
			if (testing.Short() || hashslot.Kernel() == impl.Generic) && i%8 != 0 {
				continue // plain Go is proven by the tests of crc16
			}
			for _, n := range lengths {
				if got := hashslot.Checksum(p[:n]); got != sums[i][n] {
					t.Fatalf("Checksum, length %d, input %d: %#04x, want %#04x", n, i, got, sums[i][n])
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
			// At both edges, and near them at an alignment that changes with the length.
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
	// Longer than any piece that a kernel works on at once, by an odd number of bytes.
	p := make([]byte, 1<<20+12345)
	rng := seeded(6)
	fill(rng, p)
	want := xmodem.Table(p)
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
			want := xmodem.Bitwise(p[:n])
			for i := range n + 1 {
				if got := hashslot.Update(hashslot.Checksum(p[:i]), p[i:n]); got != want {
					t.Fatalf("length %d split at %d: %#04x, want %#04x", n, i, got, want)
				}
			}
		}
		want := xmodem.Bitwise(p)
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
