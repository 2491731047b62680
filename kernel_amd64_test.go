//go:build gc && !purego

package hashslot

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/klauspost/cpuid/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/internal/hashtest"
	"github.com/hashslot/hashslot/internal/impl"
	"github.com/hashslot/hashslot/internal/xmodem"
)

// TestBatchKernelsStopOnlyWhereTheyMust checks that the batch kernels take all keys
// that their contracts name. If a kernel stops early, plain code takes over: all slots
// are still right, but late, so no other test fails.
func TestBatchKernelsStopOnlyWhereTheyMust(t *testing.T) {
	of := func(lengths ...int) (keys []string) {
		for _, n := range lengths {
			keys = append(keys, strings.Repeat("\xfa", n))
		}
		return keys
	}
	hashtest.EachKernel(t, func(t *testing.T) {
		if tier != tierGeneric {
			taken := append(of(1, 8, 15, 16, 17, 31, 32, 33, 64, 65, 300, 4095, 4096), "{", "{a}", "x{ab}", "}{", of(15)[0]+"{", strings.Repeat("}", 50))
			for _, refused := range append(of(0, 4097), "{"+of(16)[0], of(16)[0]+"{", of(40)[0]+"{a}"+of(40)[0]) {
				for before := range len(taken) + 1 {
					checkDone(t, before, slices.Insert(slices.Clone(taken), before, refused), byOnes)
				}
			}
			checkDone(t, len(taken), taken, byOnes)
		}
		if tier >= tierAVX2 && gfni != nil {
			taken := of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 16, 16, 16, 16, 1, 1, 1, 1)
			checkGroups(t, taken, of(0, 17, 1<<20), byShort)
			checkGroups(t, taken, []string{"{", "x{a}"}, byShort)
		}
		if tier == tierAVX512 {
			var taken []string
			for _, longest := range []int{1, 16, 17, 32, 33, 64, 65, 256, 257, 4096} {
				taken = append(taken, of(longest, 1, longest, longest, 1, 0, longest, 1)...)
				taken = append(taken, of(1, longest, 0, 1, longest, longest, 1, longest)...)
				taken = append(taken, append([]string{"{", "{a}", "x{ab}", "}{"}, of(longest, 1, 1, longest)...)...)
			}
			for _, kernel := range []kernel{byStrings, bySlices, byEnds} {
				checkGroups(t, taken, of(4097), kernel)
				checkGroups(t, taken[:24], of(1<<20), kernel)
				// The kernel returns after 64 KiB of long keys.
				checkDone(t, 16, of(slices.Repeat([]int{4096}, 48)...), kernel)
				checkDone(t, 24, of(slices.Repeat([]int{4095}, 48)...), kernel)
				checkDone(t, 8*128, of(slices.Repeat([]int{64}, 8*128)...), kernel)
			}
		}
	})
}

// A kernel writes the slots of keys to dst and returns how many it wrote.
type kernel func(dst []Slot, keys []string) int

func byOnes(dst []Slot, keys []string) int { return slots1(&dst[0], &keys[0], len(keys)) }

func byShort(dst []Slot, keys []string) int {
	aligned := make([]string, len(keys)) // none starts in the last 15 bytes of a page
	for i, key := range keys {
		aligned[i] = key
		if place := new([16]byte); len(key) <= 16 {
			aligned[i] = unsafe.String(&place[0], copy(place[:], key))
		}
	}
	return slotsShort(&dst[0], &aligned[0], len(aligned), &gfni.at32)
}

func byStrings(dst []Slot, keys []string) int {
	return slots8(&dst[0], unsafe.Pointer(&keys[0]), len(keys), unsafe.Sizeof(keys[0]), nil, 0, gfni)
}

func bySlices(dst []Slot, keys []string) int {
	var s [][]byte
	for _, key := range keys {
		s = append(s, append(make([]byte, 0, len(key)+10), key...))
	}
	return slots8(&dst[0], unsafe.Pointer(&s[0]), len(s), unsafe.Sizeof(s[0]), nil, 0, gfni)
}

func byEnds(dst []Slot, keys []string) int {
	size := 10
	for _, key := range keys {
		size += len(key)
	}
	data := append(make([]byte, 0, size), "other keys"...)
	start := uint32(len(data))
	var ends []uint32
	for _, key := range keys {
		data = append(data, key...)
		ends = append(ends, uint32(len(data)))
	}
	return slots8(&dst[0], unsafe.Pointer(&ends[0]), len(ends), unsafe.Sizeof(ends[0]), &data[0], start, gfni)
}

// checkGroups checks that kernel takes the keys of taken, and stops before the eight
// keys that have a key of refused among them.
func checkGroups(t *testing.T, taken, refused []string, kernel kernel) {
	checkDone(t, len(taken), taken, kernel)
	keys := slices.Clone(taken)
	for _, key := range refused {
		for i := range taken {
			copy(keys, taken)
			keys[i] = key
			checkDone(t, i&^7, keys, kernel)
		}
	}
}

// checkDone checks that kernel does the first want keys, and writes nothing but their
// slots.
func checkDone(t *testing.T, want int, keys []string, kernel kernel) {
	const untouched = 0xffff
	dst := slices.Repeat([]Slot{untouched}, len(keys))
	done := kernel(dst, keys)
	if done != want {
		lengths := make([]int, len(keys))
		for i, key := range keys {
			lengths[i] = len(key)
		}
		require.Equal(t, want, done, fmt.Sprintf("keys done, of lengths %d", lengths))
	}
	for i, slot := range dst {
		want := Slot(untouched)
		if i < done {
			want = Slot(hashtest.Slot(unsafe.Slice(unsafe.StringData(keys[i]), len(keys[i]))))
		}
		if slot != want {
			t.Fatalf("%d of %d keys done: key %d, %.300q, is in slot %d, want %d", done, len(keys), i, keys[i], slot, want)
		}
	}
}

// TestEitherWayToPick checks that slots8 gives the same slots for short keys, whether
// it picks bytes from one register at a time or from two.
func TestEitherWayToPick(t *testing.T) {
	if gfni == nil || !slices.Contains(impl.Names(), "avx512") {
		t.Skip("not for this CPU")
	}
	restore, err := impl.Force("avx512")
	require.NoError(t, err)
	defer restore()
	defer func(pairs bool) { gfni.pairs = pairs }(gfni.pairs)
	rng := rand.New(rand.NewPCG(40, 41))
	for _, gfni.pairs = range []bool{false, true} {
		for n := 1; n <= 32; n++ {
			if testing.Short() && n > 17 && n%5 != 0 {
				continue
			}
			// Every bit in every lane, among keys of other lengths.
			for bit := range 8 * n {
				keys := make([]string, 8)
				for lane := range keys {
					keys[lane] = strings.Repeat("\xfa", 1+rng.IntN(n))
				}
				key := make([]byte, n)
				key[bit/8] = 1 << (bit % 8)
				keys[bit%8] = string(key)
				checkDone(t, 8, keys, byStrings)
				keys[bit%8], keys[bit/8%8] = keys[bit/8%8], keys[bit%8]
				checkDone(t, 8, keys, byStrings)
			}
			for range 200 {
				keys := make([]string, 16)
				for i := range keys {
					key := make([]byte, 1+rng.IntN(n))
					for k := range key {
						key[k] = "{}ab"[rng.IntN(4)]
					}
					keys[i] = string(key)
				}
				checkDone(t, 16, keys, byStrings)
			}
		}
	}
}

// TestEitherWayToEnd proves the end of a long buffer in tier avx2, with VPCLMULQDQ and
// without. Other tests see only the way that the CPU goes.
func TestEitherWayToEnd(t *testing.T) {
	if !slices.Contains(impl.Names(), "avx2") {
		t.Skip("not for this CPU")
	}
	restore, err := impl.Force("avx2")
	require.NoError(t, err)
	defer restore()
	ways := []bool{false}
	if vpclmulqdq {
		ways = append(ways, true)
	}
	defer func(can bool) { vpclmulqdq = can }(vpclmulqdq)
	const least, most, inputs = 257, 2100, 64
	rng := rand.New(rand.NewPCG(42, 43))
	step := 1
	if testing.Short() {
		step = 37
	}
	for range inputs {
		p := make([]byte, most)
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		want := xmodem.Table(p[:least-1])
		for n := least; n <= most; n++ {
			want = xmodem.TableUpdate(want, p[n-1:n])
			if n%step != 0 {
				continue
			}
			for _, vpclmulqdq = range ways {
				if got := Checksum(p[:n]); got != want {
					t.Fatalf("Checksum, length %d, VPCLMULQDQ %v: %#04x, want %#04x", n, vpclmulqdq, got, want)
				}
			}
		}
	}
}

// TestUseOfTellsKernelsApart checks that useOf selects the kernel that it is asked for.
// With another kernel all slots could be right, but late.
func TestUseOfTellsKernelsApart(t *testing.T) {
	defer func(before uintptr) { choice.longer = before }(choice.longer)
	for kernel, name := range map[uint8]string{longerOfPlain: ".ofPlain", longerOf16: ".of16", longerOf64: ".of64"} {
		choice.longer = 0
		useOf(kernel)
		f := runtime.FuncForPC(choice.longer)
		require.NotNil(t, f, name)
		require.Contains(t, f.Name(), name)
	}
}

// TestWhoTakesBatches checks that batches in each form go to the kernel for eight keys
// wherever the tier has one, and there the way for their length. The matrices of this way
// are all zero, so it makes all slots 0. Any other way gives the right slots, but late.
func TestWhoTakesBatches(t *testing.T) {
	// The kernel of AVX2 takes no keys at the end of a page.
	p := twoPages()
	for i := range p {
		p[i] = byte('0' + i%10)
	}
	hashtest.EachKernel(t, func(t *testing.T) {
		for _, length := range []int{16, 32, 64} {
			var zero *matrices
			if gfni != nil {
				m := *gfni
				zero = &m
				if length <= 32 {
					clear(m.at32[:])
				} else {
					clear(m.at64[:])
				}
			}
			for _, n := range []int{7, 8, 9, 72} {
				eight := n >= 8 && (tier == tierAVX512 || tier == tierAVX2 && gfni != nil && length <= 16)
				checkTakers(t, zero, p, n, length, eight)
			}
		}
	})
}

// checkTakers checks whether the slots of n keys of p are 0 with the matrices m.
func checkTakers(t *testing.T, m *matrices, p []byte, n, length int, zero bool) {
	old := gfni
	gfni = m
	defer func() { gfni = old }()
	keys := slices.Repeat([]string{unsafe.String(&p[0], length)}, n)
	raw := slices.Repeat([][]byte{p[:length]}, n)
	ends := make([]uint32, n)
	for i := range ends {
		ends[i] = uint32(length * (i + 1))
	}
	for form, got := range map[string][]Slot{
		"strings": AppendOf(nil, keys), "bytes": AppendOfBytes(nil, raw), "packed": AppendOfPacked(nil, p[:n*length], ends),
	} {
		for i, slot := range got {
			if (slot == 0) != zero {
				t.Fatalf("%d keys of %d bytes, %s: key %d by its matrices: %v, want %v", n, length, form, i, !zero, zero)
			}
		}
	}
}

// TestKernelsForOtherCPUs checks which kernels a CPU gets, by its features. A kernel that
// lacks one of its features would crash there; one that is left out is only missed.
func TestKernelsForOtherCPUs(t *testing.T) {
	clmul := []cpuid.FeatureID{cpuid.CLMUL, cpuid.SSSE3, cpuid.SSE4}
	avx2 := append(slices.Clone(clmul), cpuid.AVX2)
	avx512 := append(slices.Clone(avx2), cpuid.BMI1, cpuid.BMI2, cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.AVX512DQ,
		cpuid.AVX512CD, cpuid.AVX512VBMI, cpuid.AVX512VBMI2, cpuid.GFNI, cpuid.VPCLMULQDQ)
	check := func(vendor cpuid.Vendor, family int, features []cpuid.FeatureID, more extensions, want string) {
		cpu := cpuid.CPUInfo{VendorID: vendor, Family: family}
		require.True(t, cpu.Enable(features...))
		kernels, got := kernelsFor(&cpu)
		var names []string
		for _, k := range kernels {
			if k.Supported {
				names = append(names, k.Name)
			}
		}
		assert.Equal(t, want, strings.Join(names, " "), "%v %#x %v", vendor, family, features)
		assert.Equal(t, more, got, "%v", features)
	}
	none, both := extensions{}, extensions{gfni: true, vpclmulqdq: true}
	check(cpuid.Intel, 6, nil, none, "generic")
	check(cpuid.Intel, 6, clmul, none, "clmul generic")
	check(cpuid.Intel, 6, append(slices.Clone(clmul), cpuid.VPCLMULQDQ, cpuid.GFNI), none, "clmul generic")
	check(cpuid.Intel, 6, avx2, none, "avx2 clmul generic")
	check(cpuid.Intel, 6, append(slices.Clone(avx2), cpuid.GFNI), extensions{gfni: true}, "avx2 clmul generic")
	check(cpuid.Intel, 6, append(slices.Clone(avx2), cpuid.VPCLMULQDQ), extensions{vpclmulqdq: true}, "avx2 clmul generic")
	check(cpuid.Intel, 6, avx512, both, "avx512 avx512-256 avx2 clmul generic")
	// Zen 3 has no AVX-512, and is of the family of Zen 4.
	check(cpuid.AMD, 0x19, avx2, none, "avx2 clmul generic")
	check(cpuid.AMD, 0x19, avx512, both, "avx512-256 avx512 avx2 clmul generic")
	check(cpuid.AMD, 0x1a, avx512, both, "avx512 avx512-256 avx2 clmul generic")
	check(cpuid.AMD, 0x18, avx512, both, "avx512 avx512-256 avx2 clmul generic")
	check(cpuid.Intel, 0x19, avx512, both, "avx512 avx512-256 avx2 clmul generic")
	for i, missing := range avx512 {
		want, more := "avx2 clmul generic", extensions{gfni: missing != cpuid.GFNI, vpclmulqdq: missing != cpuid.VPCLMULQDQ}
		switch {
		case i < len(clmul):
			want, more = "generic", none
		case i < len(avx2):
			want, more = "clmul generic", none
		}
		check(cpuid.Intel, 6, slices.Delete(slices.Clone(avx512), i, i+1), more, want)
	}
	_, more := kernelsFor(&cpuid.CPU)
	assert.Equal(t, more, extensions{gfni: gfni != nil, vpclmulqdq: vpclmulqdq}, "in use here")
}

// TestWhoTakesOneKey checks which short keys go which way. A way that the CPU lacks would
// crash; any other gives the right slot, but late.
func TestWhoTakesOneKey(t *testing.T) {
	hashtest.EachKernel(t, func(t *testing.T) {
		want := map[string][2]uint64{"avx512": {0, 8 * 64}, "avx512-256": {8 * 32, 8 * 64}}
		assert.Equal(t, want[impl.Current()], [2]uint64{choice.upTo32, choice.upTo64})
	})
}
