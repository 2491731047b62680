package fuzz

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/crc16"
	"github.com/hashslot/hashslot/hashtag"
	"github.com/hashslot/hashslot/internal/hashtest"
	"github.com/hashslot/hashslot/internal/impl"
	"github.com/hashslot/hashslot/internal/xmodem"
)

// shapes has a key of every length class, and every shape of braces.
func shapes() []string {
	keys := []string{
		"{", "}", "{}", "}{", "{a}", "{{a}}", "{}{a}", "}{a}", "a{b", "a}b", "a{b}c", "{ab}{cd}", "{a}b}",
		"user:{42}:name", "{" + strings.Repeat("t", 20) + "}:x", strings.Repeat("p", 40) + "{tag}" + strings.Repeat("s", 40),
		strings.Repeat("p", 70) + "{tag}", "{" + strings.Repeat("t", 100), strings.Repeat("{}", 40), "\x00{\x00}\xff", "123456789",
	}
	for _, n := range []int{0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1025, 4097} {
		keys = append(keys, strings.Repeat("0123456789abcdef", n/16+1)[:n])
	}
	return keys
}

// eachKernel runs f under each kernel that can run here.
func eachKernel(t *testing.T, f func(kernel string)) {
	t.Helper()
	for _, name := range impl.Names() {
		func() {
			restore, err := impl.Force(name)
			if err != nil {
				t.Fatal(err)
			}
			defer restore()
			f(name)
		}()
	}
}

func FuzzOf(f *testing.F) {
	for _, key := range shapes() {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		want := hashslot.Slot(hashtest.Slot([]byte(key)))
		eachKernel(t, func(kernel string) {
			if got := hashslot.Of(key); got != want {
				t.Fatalf("%s: %d, want %d", kernel, got, want)
			}
		})
	})
}

func FuzzOfBytes(f *testing.F) {
	for i, key := range shapes() {
		f.Add([]byte(key), uint8(i))
	}
	f.Fuzz(func(t *testing.T, key []byte, offset uint8) {
		// At any alignment, and between braces that do not belong to the key.
		around := bytes.Repeat([]byte("{}"), 128+len(key))
		key = around[offset:][:copy(around[offset:], key)]
		want := hashslot.Slot(hashtest.Slot(key))
		eachKernel(t, func(kernel string) {
			if got := hashslot.OfBytes(key); got != want {
				t.Fatalf("%s: %d, want %d", kernel, got, want)
			}
		})
	})
}

// split cuts data into keys. Each byte of cuts is the length of a key; the rest is the
// last key.
func split(data, cuts []byte) [][]byte {
	var keys [][]byte
	for _, n := range cuts {
		n := min(int(n), len(data))
		keys = append(keys, data[:n:n])
		data = data[n:]
	}
	return append(keys, data)
}

func FuzzBatch(f *testing.F) {
	keys := shapes()
	for first := range 16 {
		// All seeds in one batch, each time beginning with another seed, and some
		// of them in batches of other sizes.
		var data, cuts []byte
		for i := range len(keys) {
			key := keys[(first+i)%len(keys)]
			if len(key) < 256 {
				data, cuts = append(data, key...), append(cuts, byte(len(key)))
			}
		}
		f.Add(data, cuts)
		f.Add(data, cuts[:first])
	}
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		keys := split(data, cuts)
		var (
			text = make([]string, len(keys))
			ends = make([]uint32, len(keys))
			want = []hashslot.Slot{4711}
			end  int
		)
		for i, key := range keys {
			end += len(key)
			text[i], ends[i] = string(key), uint32(end)
			want = append(want, hashslot.Slot(hashtest.Slot(key)))
		}
		before := bytes.Clone(data)
		eachKernel(t, func(kernel string) {
			check := func(form string, got []hashslot.Slot) {
				t.Helper()
				if !slices.Equal(got, want) {
					t.Fatalf("%s, %s: %v, want %v, keys %q", kernel, form, got, want, keys)
				}
			}
			check("AppendOf", hashslot.AppendOf(want[:1:1], text))
			check("AppendOfBytes", hashslot.AppendOfBytes(want[:1:1], keys))
			check("AppendOfPacked", hashslot.AppendOfPacked(want[:1:1], data, ends))
			for i, key := range text {
				if got := hashslot.Of(key); got != want[1+i] {
					t.Fatalf("%s, Of(%q): %d, want %d", kernel, key, got, want[1+i])
				}
			}
		})
		if !bytes.Equal(data, before) {
			t.Fatal("the keys were changed")
		}
	})
}

func FuzzChecksum(f *testing.F) {
	for i, p := range shapes() {
		f.Add([]byte(p), uint16(i), uint8(i))
	}
	f.Add(bytes.Repeat([]byte("0123456789abcdef"), 600), uint16(0), uint8(3))
	f.Fuzz(func(t *testing.T, p []byte, repeat uint16, skip uint8) {
		// The fuzzer's inputs are short. Repeated, they reach the long paths.
		p = bytes.Repeat(p, 1+int(repeat)%64)
		p = p[min(len(p), int(skip)%64):]
		want := xmodem.Bitwise(p)
		for name, got := range map[string]uint16{
			"Table": xmodem.Table(p), "Checksum": crc16.Checksum(p), "ChecksumString": crc16.ChecksumString(string(p)),
		} {
			if got != want {
				t.Fatalf("crc16.%s: %#04x, want %#04x", name, got, want)
			}
		}
		eachKernel(t, func(kernel string) {
			if got := hashslot.Checksum(p); got != want {
				t.Fatalf("%s, Checksum: %#04x, want %#04x", kernel, got, want)
			}
			if got := hashslot.ChecksumString(string(p)); got != want {
				t.Fatalf("%s, ChecksumString: %#04x, want %#04x", kernel, got, want)
			}
		})
	})
}

func FuzzUpdateSplit(f *testing.F) {
	for i, p := range shapes() {
		f.Add([]byte(p), uint16(i*i), uint16(i*251), uint16(i))
	}
	f.Fuzz(func(t *testing.T, p []byte, repeat, start, at uint16) {
		p = bytes.Repeat(p, 1+int(repeat)%64)
		i := int(at) % (len(p) + 1)
		// start is the checksum of a message before p.
		want := crc16.Combine(start, xmodem.Bitwise(p), len(p))
		eachKernel(t, func(kernel string) {
			if got := hashslot.Update(hashslot.Update(start, p[:i]), p[i:]); got != want {
				t.Fatalf("%s, Update, split at %d: %#04x, want %#04x", kernel, i, got, want)
			}
		})
		if got := crc16.Update(crc16.Update(start, p[:i]), p[i:]); got != want {
			t.Fatalf("crc16.Update, split at %d: %#04x, want %#04x", i, got, want)
		}
		var digest crc16.Digest
		digest.Write(p[:i])
		digest.Write(p[i:])
		if got, want := digest.Sum16(), xmodem.Bitwise(p); got != want {
			t.Fatalf("Digest, split at %d: %#04x, want %#04x", i, got, want)
		}
	})
}

func FuzzCombine(f *testing.F) {
	for i, p := range shapes() {
		f.Add([]byte(p), []byte(shapes()[i/2]), uint32(i))
	}
	f.Fuzz(func(t *testing.T, a, b []byte, zeros uint32) {
		whole := append(bytes.Clone(a), b...)
		if got, want := crc16.Combine(xmodem.Bitwise(a), xmodem.Bitwise(b), len(b)), xmodem.Bitwise(whole); got != want {
			t.Fatalf("%q and %q: %#04x, want %#04x", a, b, got, want)
		}
		// Zeros add nothing to a checksum, but they shift it.
		n := int(zeros % 70_000)
		if got, want := crc16.Combine(xmodem.Bitwise(a), 0, int64(n)), crc16.Update(xmodem.Bitwise(a), make([]byte, n)); got != want {
			t.Fatalf("%q and %d zeros: %#04x, want %#04x", a, n, got, want)
		}
	})
}

func FuzzOfPattern(f *testing.F) {
	for _, p := range shapes() {
		f.Add(p)
		f.Add(p + "*")
		f.Add("{a" + p + "?}")
		f.Add(`\` + p)
		f.Add("{}[" + p + "]")
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		literal, _, _ := strings.Cut(strings.NewReplacer("?", "*", "[", "*", `\`, "*").Replace(pattern), "*")
		literal = pattern[:len(literal)]
		tagged := len(hashtest.Tag([]byte(literal))) < len(literal)
		s, ok := hashslot.OfPattern(pattern)
		if want := tagged || literal == pattern; ok != want {
			t.Fatalf("ok %t, want %t", ok, want)
		}
		if want := hashslot.Slot(hashtest.Slot([]byte(literal))); ok && s != want {
			t.Fatalf("%d, want %d", s, want)
		}
		if !ok && s != 0 {
			t.Fatalf("%d without ok", s)
		}
	})
}

func FuzzTag(f *testing.F) {
	for _, key := range shapes() {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		want := string(hashtest.Tag([]byte(key)))
		start, end, ok := hashtag.Find(key)
		if got := key[start:end]; got != want || ok != (len(want) < len(key)) {
			t.Fatalf("Find: %q, %t, want %q", got, ok, want)
		}
		if ok && (key[start-1] != '{' || key[end] != '}') {
			t.Fatalf("Find: %d to %d is not between braces", start, end)
		}
		if s, e, o := hashtag.Find([]byte(key)); s != start || e != end || o != ok {
			t.Fatalf("Find of bytes: %d, %d, %t, want %d, %d, %t", s, e, o, start, end, ok)
		}
		if got := hashtag.Of(key); got != want {
			t.Fatalf("Of: %q, want %q", got, want)
		}
		if got := hashtag.OfBytes([]byte(key)); string(got) != want {
			t.Fatalf("OfBytes: %q, want %q", got, want)
		}
	})
}
