package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/hashtest"
	"github.com/hashslot/hashslot/internal/xmodem"
)

// Inputs vary from call to call and results are used. Where lengths are
// "unpredictable" there are more keys than a branch predictor remembers.
const (
	few  = 1 << 10
	many = 1 << 15
)

var sink uint64

// word returns a key of n bytes without braces.
func word(rng *rand.Rand, n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789:-_."
	p := make([]byte, n)
	for i := range p {
		p[i] = letters[rng.IntN(len(letters))]
	}
	return string(p)
}

// plain makes keys of low to high bytes, tagged such with a tag somewhere.
func plain(low, high int) func(*rand.Rand) string {
	return func(rng *rand.Rand) string { return word(rng, low+rng.IntN(high-low+1)) }
}

func tagged(low, high int) func(*rand.Rand) string {
	return func(rng *rand.Rand) string {
		n := low + rng.IntN(high-low+1) - 2
		tag := 1 + rng.IntN(n)
		before := rng.IntN(n - tag + 1)
		return word(rng, before) + "{" + word(rng, tag) + "}" + word(rng, n-tag-before)
	}
}

func keysOf(n int, key func(*rand.Rand) string) []string {
	rng := rand.New(rand.NewPCG(1, 2))
	keys := make([]string, n)
	for i := range keys {
		keys[i] = key(rng)
	}
	return keys
}

// bytewise is what most clients do: the standard library's search for the tag,
// then one table lookup a byte. It is the yardstick.
func bytewise(key string) hashslot.Slot {
	if start := strings.IndexByte(key, '{'); start >= 0 {
		if n := strings.IndexByte(key[start+1:], '}'); n > 0 {
			key = key[start+1 : start+1+n]
		}
	}
	return hashslot.Slot(bytewiseSum(key) % hashslot.Count)
}

func bytewiseSum[T string | []byte](p T) uint16 {
	var crc uint16
	for i := range len(p) {
		crc = crc<<8 ^ table[byte(crc>>8)^p[i]]
	}
	return crc
}

var table = func() (t [256]uint16) {
	for i := range t {
		t[i] = xmodem.Bitwise([]byte{byte(i)})
	}
	return t
}()

func TestBytewiseIsRight(t *testing.T) {
	for _, key := range append(keysOf(1000, plain(0, 70)), keysOf(1000, tagged(3, 70))...) {
		if got, want := bytewise(key), hashslot.Slot(hashtest.Slot([]byte(key))); got != want {
			t.Fatalf("%q: %d, want %d", key, got, want)
		}
	}
}

// one runs Of over keys under each kernel, and the yardstick.
func one(b *testing.B, name string, keys []string) {
	b.Run(name, func(b *testing.B) {
		hashtest.EachKernel(b, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				sink += uint64(hashslot.Of(keys[i&(len(keys)-1)]))
			}
		})
		b.Run("kernel=bytewise", func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				sink += uint64(bytewise(keys[i&(len(keys)-1)]))
			}
		})
	})
}

func BenchmarkOf(b *testing.B) {
	for _, n := range []int{4, 8, 12, 16, 20, 24, 32, 48, 64} {
		one(b, fmt.Sprintf("len=%d", n), keysOf(few, plain(n, n)))
	}
	for _, n := range []int{16, 64} {
		one(b, fmt.Sprintf("unpredictable=1..%d", n), keysOf(many, plain(1, n)))
	}
	for _, shape := range []struct {
		name string
		key  func(*rand.Rand) string
	}{
		{"{NNNN}:x", func(rng *rand.Rand) string { return "{" + word(rng, 4) + "}:x" }},
		{"{user:NNNN}:profile", func(rng *rand.Rand) string { return "{user:" + word(rng, 4) + "}:profile" }},
		{"app:{uuid}:cart", func(rng *rand.Rand) string { return "app:{" + word(rng, 36) + "}:cart" }},
		{"anywhere-in-8..24", tagged(8, 24)},
	} {
		one(b, "tag="+shape.name, keysOf(few, shape.key))
	}
}

// perKey reports the time of one key of n.
func perKey(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/key")
}

func BenchmarkBatch(b *testing.B) {
	for _, set := range []struct {
		name string
		keys []string
	}{
		{"keys=256/len=16", keysOf(256, plain(16, 16))},
		{"keys=256/len=32", keysOf(256, plain(32, 32))},
		{"keys=256/len=64", keysOf(256, plain(64, 64))},
		{"keys=256/len=1..16", keysOf(256, plain(1, 16))},
		{"keys=256/len=1..64", keysOf(256, plain(1, 64))},
		{"keys=32768/len=1..16", keysOf(many, plain(1, 16))},
		{"keys=32768/len=1..64", keysOf(many, plain(1, 64))},
		{"keys=32768/tagged=8..24", keysOf(many, tagged(8, 24))},
		{"keys=32768/untagged=8..24", keysOf(many, plain(8, 24))},
	} {
		var (
			keys = set.keys
			dst  = make([]hashslot.Slot, 0, len(keys))
			raw  [][]byte
			data []byte
			ends []uint32
		)
		for _, k := range keys {
			raw = append(raw, []byte(k))
			data = append(data, k...)
			ends = append(ends, uint32(len(data)))
		}
		b.Run(set.name, func(b *testing.B) {
			for _, form := range []struct {
				name string
				run  func() []hashslot.Slot
			}{
				{"form=strings", func() []hashslot.Slot { return hashslot.AppendOf(dst, keys) }},
				{"form=bytes", func() []hashslot.Slot { return hashslot.AppendOfBytes(dst, raw) }},
				{"form=packed", func() []hashslot.Slot { return hashslot.AppendOfPacked(dst, data, ends) }},
				{"form=loop", func() []hashslot.Slot {
					out := dst
					for _, k := range keys {
						out = append(out, hashslot.Of(k))
					}
					return out
				}},
			} {
				b.Run(form.name, func(b *testing.B) {
					hashtest.EachKernel(b, func(b *testing.B) {
						for b.Loop() {
							sink += uint64(form.run()[0])
						}
						perKey(b, len(keys))
					})
				})
			}
			b.Run("form=loop/kernel=bytewise", func(b *testing.B) {
				for b.Loop() {
					for _, k := range keys {
						sink += uint64(bytewise(k))
					}
				}
				perKey(b, len(keys))
			})
		})
	}
}

// BenchmarkColdBatch has keys of 16 bytes, each in a cache line of its own, in random
// order in a memory of the given size. Every round takes the next 1024 keys.
func BenchmarkColdBatch(b *testing.B) {
	const piece = 1024
	for _, mib := range []int{1, 8, 64} {
		rng := rand.New(rand.NewPCG(1, 2))
		memory := strings.Repeat(word(rng, 1<<10), mib<<10)
		keys := make([]string, len(memory)/64)
		for i, line := range rng.Perm(len(keys)) {
			keys[i] = memory[64*line : 64*line+16]
		}
		at := 0
		next := func() []string {
			p := keys[at : at+piece]
			at = (at + piece) % len(keys)
			return p
		}
		dst := make([]hashslot.Slot, 0, piece)
		b.Run(fmt.Sprintf("MiB=%d", mib), func(b *testing.B) {
			hashtest.EachKernel(b, func(b *testing.B) {
				for b.Loop() {
					sink += uint64(hashslot.AppendOf(dst, next())[0])
				}
				perKey(b, piece)
			})
			b.Run("kernel=bytewise", func(b *testing.B) {
				for b.Loop() {
					for _, k := range next() {
						sink += uint64(bytewise(k))
					}
				}
				perKey(b, piece)
			})
		})
	}
}

func BenchmarkChecksum(b *testing.B) {
	memory := []byte(word(rand.New(rand.NewPCG(1, 2)), 1<<20+64))
	sum := func(b *testing.B, p []byte, f func([]byte) uint16) {
		b.SetBytes(int64(len(p)))
		for b.Loop() {
			sink += uint64(f(p))
		}
	}
	for _, n := range []int{64, 128, 256, 512, 1 << 10, 2 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20} {
		for _, offset := range []int{0, 13} {
			p := memory[offset:][:n]
			b.Run(fmt.Sprintf("bytes=%d/offset=%d", n, offset), func(b *testing.B) {
				hashtest.EachKernel(b, func(b *testing.B) { sum(b, p, hashslot.Checksum) })
				b.Run("kernel=slicing16", func(b *testing.B) { sum(b, p, xmodem.Table) })
				b.Run("kernel=bytewise", func(b *testing.B) { sum(b, p, bytewiseSum[[]byte]) })
			})
		}
	}
}

func BenchmarkTag(b *testing.B) {
	for i := 0; b.Loop(); i++ {
		sink += uint64(len(hashslot.Slot(i % hashslot.Count).Tag()))
	}
}
