//go:build gc && !purego

package hashslot

import (
	"unsafe"

	"github.com/klauspost/cpuid/v2"

	"github.com/hashslot/hashslot/crc16"
	"github.com/hashslot/hashslot/hashtag"
	"github.com/hashslot/hashslot/internal/impl"
)

// tier is the kernel in use. The assembly reads it too.
var tier uint8

const (
	tierGeneric = iota
	tierPMULL
	tierSHA3
)

func init() {
	use := func(t uint8) func() { return func() { tier = t } }
	impl.Register(
		impl.Kernel{Name: "pmull-sha3", Supported: cpuid.CPU.Supports(cpuid.PMULL, cpuid.SHA3), Use: use(tierSHA3)},
		impl.Kernel{Name: "pmull", Supported: cpuid.CPU.Supports(cpuid.PMULL), Use: use(tierPMULL)},
		impl.Kernel{Name: impl.Generic, Supported: true, Use: use(tierGeneric)},
	)
}

const (
	sumMax  = 64   // bytes that of, sum and batch take
	foldMin = 64   // bytes from which fold is taken
	longMin = 1024 // bytes from which long is taken to be ahead of fold; not measured

	// Goroutines are not preempted in assembly. A call is held below about 100
	// microseconds, even where each key or line of data comes from memory.
	maxBytes = 64 << 10
	maxKeys  = 512
)

//go:noescape
func of(key string) uint64

//go:noescape
func sum(s string) uint64

//go:noescape
func batch(slots *Slot, headers unsafe.Pointer, stride, n uint64) uint64

//go:noescape
func fold(crc uint64, p *byte, n uint64) uint64

//go:noescape
func long(crc uint64, p *byte, n uint64) uint64

//go:noescape
func longSHA3(crc uint64, p *byte, n uint64) uint64

// indexes holds index vectors for TBL, which sets byte d of its result to the
// byte that index d names, and to 0 if there is no such byte. Byte d of a block
// is to be the byte at distance d from its end.
var indexes = makeIndexes()

type indexTables struct {
	// From slide[16-n] on: the vector that reverses the first n bytes of a
	// vector and drops the others.
	slide [32]byte

	// gather[n] picks the n <= 16 bytes of a key from four vectors that start
	// with words of it, as the macros TINY and WORDS load them.
	gather [17][16]byte
}

func makeIndexes() (t indexTables) {
	const none = 0xff
	for i := range t.slide {
		t.slide[i] = none
		if i < 16 {
			t.slide[i] = byte(15 - i)
		}
	}
	for n := range t.gather {
		for d := range t.gather[n] {
			t.gather[n][d] = none
			if d < n {
				t.gather[n][d] = gatherIndex(n, n-1-d)
			}
		}
	}
	return t
}

// gatherIndex returns where byte i of a key of n bytes is in the vectors.
func gatherIndex(n, i int) byte {
	if n < 4 {
		// Bytes 0, n/2 and n-1 are side by side.
		return [4][3]byte{1: {0}, 2: {0, 1}, 3: {0, 1, 2}}[n][i]
	}
	s := n / 8 * 4
	for vector, start := range [4]int{0, s, n - 4 - s, n - 4} {
		if start <= i && i < start+4 {
			return byte(16*vector + i - start)
		}
	}
	panic("hashslot: a byte that no word has")
}

// ofLong is where the kernel of of leaves keys of more than sumMax bytes.
func ofLong(key string) uint64 {
	tag := hashtag.Of(key)
	return uint64(update(0, unsafe.Slice(unsafe.StringData(tag), len(tag))))
}

func slotsOf(dst []Slot, keys []string) { slotsOfAny(dst, keys) }

func slotsOfBytes(dst []Slot, keys [][]byte) { slotsOfAny(dst, keys) }

func slotsOfAny[T string | []byte](dst []Slot, keys []T) {
	// A goroutine can be preempted where a Go function starts, nowhere in a loop
	// around nothing but assembly. Hence each piece is a call of this one.
	for len(keys) > maxKeys {
		slotsOfAny(dst[:maxKeys], keys[:maxKeys])
		dst, keys = dst[maxKeys:], keys[maxKeys:]
	}
	for len(keys) > 0 {
		done := uint64(0)
		if n := len(keys) &^ 3; n > 0 && tier != tierGeneric {
			done = batch(&dst[0], unsafe.Pointer(&keys[0]), uint64(unsafe.Sizeof(keys[0])), uint64(n))
		}
		if done == 0 {
			// The last one to three keys, four with one among them that the batch
			// does not take.
			for done < 4 && done < uint64(len(keys)) {
				// A slice begins with what a string is.
				dst[done] = Of(*(*string)(unsafe.Pointer(&keys[done])))
				done++
			}
		}
		dst, keys = dst[done:], keys[done:]
	}
}

func slotsOfPacked(dst []Slot, data []byte, ends []uint32) {
	var keys [64]string
	start := uint32(0)
	for len(ends) > 0 {
		n := min(len(ends), len(keys))
		for i, end := range ends[:n] {
			keys[i] = unsafe.String(unsafe.SliceData(data[start:end]), int(end-start))
			start = end
		}
		slotsOf(dst[:n], keys[:n])
		dst, ends = dst[n:], ends[n:]
	}
}

func update(crc uint16, p []byte) uint16 {
	for len(p) > maxBytes { // as in slotsOfAny
		crc = update(crc, p[:maxBytes])
		p = p[maxBytes:]
	}
	switch {
	case tier == tierGeneric || crc != 0 && len(p) < foldMin:
		return crc16.Update(crc, p)
	case crc == 0 && len(p) <= sumMax:
		return uint16(sum(unsafe.String(unsafe.SliceData(p), len(p))))
	}
	block := 64
	if len(p) >= longMin {
		block = 256
	}
	// Once the head is done, the rest is a multiple of what the kernel takes.
	if head := p[:len(p)%block]; len(head) > 0 {
		crc = update(crc, head)
		p = p[len(head):]
	}
	switch n := uint64(len(p)); {
	case n == 0:
	case block == 64:
		crc = uint16(fold(uint64(crc), &p[0], n))
	case tier == tierSHA3:
		crc = uint16(longSHA3(uint64(crc), &p[0], n))
	default:
		crc = uint16(long(uint64(crc), &p[0], n))
	}
	return crc
}
