//go:build gc && !purego

package hashslot

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"

	"github.com/hashslot/hashslot/internal/hashtest"
)

// setGFNI replaces the matrices until the test ends.
func setGFNI(t *testing.T, m *matrices) {
	old := gfni
	t.Cleanup(func() { gfni = old })
	gfni = m
}

// shortAndLong returns n keys. The first are short; later, more and more keys are
// empty, too long or tagged, so that slotsShort does not take them.
func shortAndLong(n int) []string {
	rng := rand.New(rand.NewPCG(uint64(n), 30))
	keys := make([]string, n)
	digits := []byte(strings.Repeat("0123456789", 4))
	for i := range keys {
		key := slices.Clone(digits)[:1+rng.IntN(16)]
		if rng.IntN(2*n) < i-100 {
			key = key[:cap(key)][:rng.IntN(25)]
			if rng.IntN(2) == 0 {
				copy(key, "{3}")
			}
		}
		for j := range key {
			if key[j] >= '0' && key[j] <= '9' {
				key[j] += byte(rng.IntN(50)) // '0' to 'j'
			}
		}
		keys[i] = unsafe.String(&key[:1][0], len(key))
	}
	return keys
}

func TestAVX2WithAndWithoutGFNI(t *testing.T) {
	present := gfni
	hashtest.EachKernel(t, func(t *testing.T) {
		if tier != tierAVX2 {
			return
		}
		setGFNI(t, present)
		for n := range 700 {
			if testing.Short() && n > 70 && n%11 != 0 {
				continue
			}
			keys := shortAndLong(n)
			got, want := make([]Slot, n), make([]Slot, n)
			for i, key := range keys {
				want[i] = Slot(hashtest.Slot([]byte(key)))
			}
			for _, gfni = range []*matrices{present, nil} {
				slotsOf(got, keys)
				if !slices.Equal(got, want) {
					t.Fatalf("%d keys, GFNI %v: %v, want %v", n, gfni != nil, got, want)
				}
				clear(got)
			}
		}
	})
}

// TestShortKeysOfAVX2 checks which keys are multiplied by the matrices. The matrices
// are all zero, so the slots of these keys become 0.
func TestShortKeysOfAVX2(t *testing.T) {
	if gfni == nil {
		t.Log("this CPU has no GFNI")
		return
	}
	hashtest.EachKernel(t, func(t *testing.T) {
		if tier != tierAVX2 {
			return
		}
		setGFNI(t, new(matrices))
		keys := slices.Repeat([]string{unsafe.String(&twoPages()[0], 5)}, 1200)
		for _, long := range []int{48, 49, 55, 600, 1195} {
			keys[long] = strings.Repeat("long", 5)
		}
		got := slices.Repeat([]Slot{Count}, len(keys))
		slotsOf(got, keys)
		want := make([]Slot, len(keys))
		for _, start := range []int{48, 600, 1192} {
			for i := start; i < start+8; i++ {
				want[i] = Slot(hashtest.Slot([]byte(keys[i])))
			}
		}
		assert.Equal(t, want, got)
	})
}

// twoPages returns two pages of bytes, from the beginning of a page.
func twoPages() []byte {
	p := bytes.Repeat([]byte("x"), 3*4096)
	return p[-uintptr(unsafe.Pointer(&p[0]))&4095:][:2*4096]
}

// TestWhatSlotsShortTakes checks that the kernel does all keys that its contract names,
// and stops before the eight keys that have any other among them.
func TestWhatSlotsShortTakes(t *testing.T) {
	if gfni == nil {
		t.Log("this CPU has no GFNI")
		return
	}
	type header struct {
		p *byte
		n int
	}
	const most = 24
	dst := make([]Slot, most+1)
	done := func(keys []header) int {
		for i := range dst {
			dst[i] = Count
		}
		n := slotsShort(&dst[0], (*string)(unsafe.Pointer(&keys[0])), len(keys), &gfni.at32)
		for i, s := range dst {
			want := Slot(Count)
			if i < n {
				want = Slot(hashtest.Slot(unsafe.Slice(keys[i].p, keys[i].n)))
			}
			if s != want {
				t.Fatalf("%d of %d keys done: slot %d is %d, want %d", n, len(keys), i, s, want)
			}
		}
		return n
	}
	pages := twoPages()
	good := header{&pages[2000], 7}
	keys := make([]header, most)
	for lane := range 8 {
		check := func(want bool, h header) {
			for i := range keys {
				keys[i] = good
			}
			keys[8+lane] = h
			n := 8
			if want {
				n = most
			}
			if all, behind := done(keys), done(keys[8:]); all != n || behind != n-8 {
				t.Helper()
				t.Fatalf("lane %d, %d bytes, address %p: %d and %d keys done, want %d and %d", lane, h.n, h.p, all, behind, n, n-8)
			}
		}
		for n := range 40 {
			check(n >= 1 && n <= 16, header{good.p, n})
		}
		for bit := 4; bit < 63; bit++ {
			check(false, header{good.p, 1<<bit + 5})
		}
		for at := range 4096 {
			check(at <= 4096-16, header{&pages[at], 1 + at%16})
		}
		check(false, header{nil, 0})
		p := unsafe.Slice(&pages[1000], 48)
		for n := 1; n <= 16; n++ {
			for at := range 48 {
				p[at] = '{'
				check(at < 16 || at >= 16+n, header{&p[16], n})
				p[at] = '}'
				check(true, header{&p[16], n})
				p[at] = 'x'
			}
		}
	}
}

func TestRest(t *testing.T) {
	r := rest(8)
	for i, step := range []struct{ done, want int }{{0, 8}, {0, 16}, {0, 32}, {0, 64}, {8, 32}, {1, 16}, {1, 8}, {1, 8}, {0, 16}} {
		assert.Equal(t, step.want, r.next(step.done), "step %d", i)
	}
}
