package hashslot_test

import (
	"bytes"
	"math"
	"os"
	"slices"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/guard"
	"github.com/hashslot/hashslot/internal/hashtest"
)

const canary = hashslot.Slot(0xCA4A)

// checkAppend compares the three Append functions with the definition, and checks that
// they write the slots of the keys and nothing else.
func checkAppend(t *testing.T, keys [][]byte) {
	size := 0
	for _, key := range keys {
		size += len(key)
	}
	var (
		text = make([]string, len(keys))
		ends = make([]uint32, len(keys))
		want = make([]hashslot.Slot, len(keys))
		data = make([]byte, 0, size)
	)
	for i, key := range keys {
		text[i] = str(key)
		data = append(data, key...)
		ends[i] = uint32(len(data))
		want[i] = hashslot.Slot(hashtest.Slot(key))
	}
	compareAppend(t, want, text, keys, data, ends)
}

func compareAppend(t *testing.T, want []hashslot.Slot, text []string, keys [][]byte, data []byte, ends []uint32) {
	const before, behind = 3, 9
	dst := make([]hashslot.Slot, before+len(want)+behind)
	for _, form := range []struct {
		name string
		run  func(dst []hashslot.Slot) []hashslot.Slot
	}{
		{"AppendOf", func(dst []hashslot.Slot) []hashslot.Slot { return hashslot.AppendOf(dst, text) }},
		{"AppendOfBytes", func(dst []hashslot.Slot) []hashslot.Slot { return hashslot.AppendOfBytes(dst, keys) }},
		{"AppendOfPacked", func(dst []hashslot.Slot) []hashslot.Slot { return hashslot.AppendOfPacked(dst, data, ends) }},
	} {
		for i := range dst {
			dst[i] = canary
		}
		got := form.run(dst[:before])
		if len(got) != before+len(want) || &got[0] != &dst[0] {
			t.Fatalf("%s of %d keys to %d slots with room: %d slots", form.name, len(want), before, len(got))
		}
		for i, s := range dst {
			switch i -= before; {
			case i < 0 || i >= len(want):
				if s != canary {
					t.Fatalf("%s of %d keys wrote after or before its slots, at %d", form.name, len(want), i)
				}
			case s != want[i]:
				t.Fatalf("%s: key %d of %d, %.300q, length %d: %d, want %d",
					form.name, i, len(want), keys[i], len(keys[i]), s, want[i])
			}
		}
	}
}

// lengthClasses are ranges of lengths. A kernel may take another path in each.
var lengthClasses = [][2]int{{0, 0}, {1, 8}, {9, 16}, {17, 32}, {33, 64}, {65, 300}}

func TestBatchLengths(t *testing.T) {
	lengths := []int{63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097, 10000}
	if testing.Short() {
		lengths = lengths[:13]
	}
	for n := range 41 {
		lengths = append(lengths, n)
	}
	hashtest.EachKernel(t, func(t *testing.T) {
		rng := seeded(20)
		for _, n := range lengths {
			for _, longest := range []int{8, 16, 32, 64, 100} {
				checkAppend(t, randomKeys(rng.IntN, n, func() int { return rng.IntN(longest + 1) }, 60))
			}
		}
	})
}

// TestBatchOfKeysThatNoKernelTakes puts keys of more than 4096 bytes among others. Eight keys
// with one of these are hashed one by one.
func TestBatchOfKeysThatNoKernelTakes(t *testing.T) {
	long := make([]byte, 4097)
	fill(seeded(22), long)
	hashtest.EachKernel(t, func(t *testing.T) {
		for _, n := range []int{8, 9, 19} {
			others := randomKeys(seeded(23).IntN, n, func() int { return n % 19 }, 60) // of 19, all are empty
			for i := range n {
				keys := slices.Clone(others)
				keys[i] = long
				checkAppend(t, keys)
				keys[(i+n/2)%n] = long[:4096+i%2]
				checkAppend(t, keys)
			}
		}
	})
}

// randomKeys returns n keys. length gives the length of each, and one in rarity bytes
// is a brace.
func randomKeys(intN func(int) int, n int, length func() int, rarity int) [][]byte {
	rng := seeded(uint64(intN(1 << 30)))
	keys := make([][]byte, n)
	var room []byte
	for i := range keys {
		l := length()
		if l > len(room) {
			room = make([]byte, max(l, min(64*n, 4096)))
		}
		keys[i], room = room[:l:l], room[l:]
		fillBraces(rng, keys[i], rarity)
	}
	return keys
}

func TestLaneMixes(t *testing.T) {
	hashtest.EachKernel(t, func(t *testing.T) {
		rng := seeded(21)
		class := func(c int) int {
			low, high := lengthClasses[c][0], lengthClasses[c][1]
			return low + rng.IntN(high-low+1)
		}
		group := func(classes []int) {
			t.Helper()
			for _, rarity := range []int{math.MaxInt32, 12} {
				i := -1
				checkAppend(t, randomKeys(rng.IntN, len(classes), func() int { i++; return class(classes[i]) }, rarity))
			}
		}
		// Seven lanes of one class and one of another, in each lane.
		for a := range lengthClasses {
			for b := range lengthClasses {
				for lane := range 8 {
					classes := slices.Repeat([]int{a}, 8)
					classes[lane] = b
					group(classes)
				}
				// Every way to spread two classes over the lanes.
				for set := range 256 {
					if a >= b || testing.Short() && set%7 != 0 {
						continue
					}
					classes := make([]int, 8)
					for lane := range classes {
						classes[lane] = a
						if set>>lane&1 != 0 {
							classes[lane] = b
						}
					}
					group(classes)
				}
			}
		}
		// All classes at once, in every rotation, and random mixes over one to
		// three groups of eight.
		for shift := range 8 {
			classes := make([]int, 8)
			for lane := range classes {
				classes[lane] = (lane + shift) % len(lengthClasses)
			}
			group(classes)
		}
		mixes := 3000
		if testing.Short() {
			mixes /= 6
		}
		for range mixes {
			classes := make([]int, 1+rng.IntN(24))
			for lane := range classes {
				classes[lane] = rng.IntN(len(lengthClasses))
			}
			group(classes)
		}
	})
}

func TestBatchOfPermutedKeys(t *testing.T) {
	hashtest.EachKernel(t, func(t *testing.T) {
		rng := seeded(22)
		keys := randomKeys(rng.IntN, 64, func() int { return rng.IntN(80) }, 15)
		for range 200 {
			rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
			checkAppend(t, keys)
		}
	})
}

func TestNilAndEmptyKeys(t *testing.T) {
	hashtest.EachKernel(t, func(t *testing.T) {
		assert.Zero(t, hashslot.Of(""))
		assert.Zero(t, hashslot.OfBytes(nil))
		assert.Zero(t, hashslot.OfBytes([]byte{}))
		assert.Zero(t, hashslot.Checksum(nil))
		assert.Zero(t, hashslot.ChecksumString(""))
		assert.Equal(t, uint16(0xBEEF), hashslot.Update(0xBEEF, nil))
		assert.Empty(t, hashslot.AppendOf(nil, nil))
		assert.Empty(t, hashslot.AppendOfBytes(nil, nil))
		assert.Empty(t, hashslot.AppendOfPacked(nil, nil, nil))
		dst := []hashslot.Slot{1, 2}
		assert.Equal(t, dst, hashslot.AppendOf(dst, nil))

		// Empty and nil keys beside others, in every lane.
		for n := range 25 {
			for lane := range n {
				for _, empty := range [][]byte{nil, {}} {
					keys := randomKeys(seeded(uint64(n)).IntN, n, func() int { return 1 + n }, 9)
					keys[lane] = empty
					checkAppend(t, keys)
				}
			}
			checkAppend(t, make([][]byte, n))
		}
		checkAppend(t, [][]byte{nil})

		// An empty key may point to any place, in pages that can be read and in
		// pages that cannot.
		page := guard.New(t, 4096)
		first, behind := 0, page.Len()+1
		if guard.Protected {
			first, behind = -page.Len(), 2*page.Len()
		}
		for at := first; at < behind; at++ {
			key := unsafe.String((*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(page.Head(1))), at)), 0)
			assert.Zero(t, hashslot.Of(key), at)
			assert.Zero(t, hashslot.ChecksumString(key), at)
		}
	})
}

func TestShortKeysAtPageEnds(t *testing.T) {
	// The keys end with their page, and the next page is unreadable. If pages have
	// 4 KiB, one page has an even number and the other an odd one: a kernel sees from
	// a bit of the address, which changes there, whether a load would leave the page.
	pages := map[uintptr]*guard.Buffer{}
	for tries := 0; tries < 50 && len(pages) < 2; tries++ {
		page := guard.New(t, 1)
		pages[uintptr(unsafe.Pointer(unsafe.SliceData(page.Tail(1))))/4096%2] = page
	}
	if guard.Protected && os.Getpagesize() == 4096 {
		assert.Len(t, pages, 2)
	}
	hashtest.EachKernel(t, func(t *testing.T) {
		rng := seeded(25)
		for _, page := range pages {
			for n := 1; n <= 64; n++ {
				for lane := range 8 {
					keys := randomKeys(rng.IntN, 8, func() int { return 1 + rng.IntN(n) }, 30)
					keys[lane] = page.Tail(n)
					fillBraces(rng, keys[lane], 30)
					checkAppend(t, keys)
					// Eight that went another way have left their registers.
					checkAppend(t, append(randomKeys(rng.IntN, 8, func() int { return 17 + rng.IntN(16) }, math.MaxInt32), keys...))
				}
				// Sixteen packed keys end with the page.
				var (
					want []hashslot.Slot
					ends []uint32
					size int
				)
				for range 16 {
					size += 1 + rng.IntN(n)
					ends = append(ends, uint32(size))
				}
				data := page.Tail(size)
				fillBraces(rng, data, 100)
				for i, end := range ends {
					start := uint32(0)
					if i > 0 {
						start = ends[i-1]
					}
					want = append(want, hashslot.Slot(hashtest.Slot(data[start:end])))
				}
				if got := hashslot.AppendOfPacked(nil, data, ends); !slices.Equal(got, want) {
					t.Fatalf("AppendOfPacked of keys that end at %d: %v, want %v", ends, got, want)
				}
			}
		}
	})
}

func TestBatchHeadersBetweenGuards(t *testing.T) {
	// The headers of the keys, the ends, dst and packed data are next to unreadable
	// pages, too: before the first byte or after the last.
	headers, slots, packed := guard.New(t, 1<<13), guard.New(t, 1<<13), guard.New(t, 1<<14)
	hashtest.EachKernel(t, func(t *testing.T) {
		rng := seeded(23)
		for n := range 130 {
			low, high := 0, 69
			if n%2 != 0 { // without keys at which a kernel stops
				low, high = 1, 64
			}
			keys := randomKeys(rng.IntN, n, func() int { return low + rng.IntN(high-low+1) }, 30)
			want := make([]hashslot.Slot, n)
			size := 0
			for i, key := range keys {
				want[i] = hashslot.Slot(hashtest.Slot(key))
				size += len(key)
			}
			for _, edge := range []struct {
				name string
				of   func(b *guard.Buffer, n int) []byte
			}{{"head", (*guard.Buffer).Head}, {"tail", (*guard.Buffer).Tail}} {
				check := func(form string, got []hashslot.Slot) {
					t.Helper()
					if !slices.Equal(got, want) {
						t.Fatalf("%s of %d keys at the %s of a buffer: %v, want %v", form, n, edge.name, got, want)
					}
				}
				dst := view[hashslot.Slot](edge.of(slots, 2*n))[:0]
				text := view[string](edge.of(headers, n*int(unsafe.Sizeof(""))))
				for i, key := range keys {
					text[i] = str(key)
				}
				check("AppendOf", hashslot.AppendOf(dst, text))
				raw := view[[]byte](edge.of(headers, n*int(unsafe.Sizeof([]byte{}))))
				copy(raw, keys)
				check("AppendOfBytes", hashslot.AppendOfBytes(dst, raw))
				ends := view[uint32](edge.of(headers, 4*n))
				data := edge.of(packed, size)
				size := 0
				for i, key := range keys {
					size += copy(data[size:], key)
					ends[i] = uint32(size)
				}
				check("AppendOfPacked", hashslot.AppendOfPacked(dst, data, ends))
			}
			clear(headers.Head(headers.Len()))
		}
	})
}

// view returns p as values of type T.
func view[T any](p []byte) []T {
	var v T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(p))), len(p)/int(unsafe.Sizeof(v)))
}

func TestArgumentsStayAsTheyAre(t *testing.T) {
	hashtest.EachKernel(t, func(t *testing.T) {
		rng := seeded(24)
		data := make([]byte, 5000)
		fillBraces(rng, data, 30)
		before := bytes.Clone(data)
		var (
			keys [][]byte
			text []string
			ends []uint32
		)
		for end := 0; end < len(data); {
			start := end
			end = min(len(data), end+rng.IntN(90))
			keys, text, ends = append(keys, data[start:end]), append(text, str(data[start:end])), append(ends, uint32(end))
		}
		keysBefore, textBefore, endsBefore := slices.Clone(keys), slices.Clone(text), slices.Clone(ends)
		hashslot.AppendOf(nil, text)
		hashslot.AppendOfBytes(nil, keys)
		hashslot.AppendOfPacked(nil, data, ends)
		hashslot.OfBytes(data)
		hashslot.Checksum(data)
		assert.Equal(t, before, data)
		assert.Equal(t, endsBefore, ends)
		for i := range keys {
			same := unsafe.SliceData(keys[i]) == unsafe.SliceData(keysBefore[i]) && len(keys[i]) == len(keysBefore[i]) &&
				unsafe.StringData(text[i]) == unsafe.StringData(textBefore[i]) && len(text[i]) == len(textBefore[i])
			assert.True(t, same, "header of key %d", i)
		}
	})
}

func TestAppendGrows(t *testing.T) {
	hashtest.EachKernel(t, func(t *testing.T) {
		want := []hashslot.Slot{7, hashslot.Of("a"), hashslot.Of("b"), hashslot.Of("c")}
		dst := make([]hashslot.Slot, 1, 3)
		dst[0] = 7
		dst[:3][1], dst[:3][2] = canary, canary
		assert.Equal(t, want, hashslot.AppendOf(dst, []string{"a", "b", "c"}))
		assert.Equal(t, want, hashslot.AppendOfBytes(dst, [][]byte{{'a'}, {'b'}, {'c'}}))
		assert.Equal(t, want, hashslot.AppendOfPacked(dst, []byte("abc"), []uint32{1, 2, 3}))
		assert.Equal(t, []hashslot.Slot{7, canary, canary}, dst[:3], "the old array")
	})
}

func TestAppendOfPackedPanics(t *testing.T) {
	data := make([]byte, 100)
	for _, tt := range []struct {
		ends []uint32
		want string
	}{
		{[]uint32{101}, "ends[0] = 101 is out of range with data of length 100"},
		{[]uint32{3, 5, 4, 200}, "ends[2] = 4 is less than ends[1] = 5"},
		{[]uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 100, math.MaxUint32}, "ends[10] = 4294967295 is out of range with data of length 100"},
		{append(slices.Repeat([]uint32{50}, 5000), 49), "ends[5000] = 49 is less than ends[4999] = 50"},
	} {
		hashtest.EachKernel(t, func(t *testing.T) {
			dst := slices.Repeat([]hashslot.Slot{canary}, len(tt.ends))
			assert.PanicsWithValue(t, "hashslot: AppendOfPacked: "+tt.want, func() { hashslot.AppendOfPacked(dst[:0], data, tt.ends) })
			for _, s := range dst {
				if s != canary {
					t.Fatal("slots were written")
				}
			}
			assert.Len(t, hashslot.AppendOfPacked(nil, data, []uint32{0, 0, 100, 100}), 4)
			assert.Panics(t, func() { hashslot.AppendOfPacked(nil, nil, []uint32{1}) })
		})
	}
}
