//go:build gc && !purego

package hashslot

import (
	"math/bits"
	"unsafe"

	"github.com/hashslot/hashslot/crc16"
)

// An assembly call takes at most maxLong bytes, because assembly is not preempted.
// long_amd64.s has the same number.
const maxLong = 64 << 10

// vpclmulqdq is whether the CPU has VPCLMULQDQ. Tier avx2 uses it, but does not need it.
var vpclmulqdq bool

// update is the only call between an exported function and the kernel. A second one
// would cost as much as a hundred bytes.
func update(crc uint16, p []byte) uint16 {
	return uint16(long(memory(crc), unsafe.SliceData(p), len(p)))
}

// memory returns crc in the byte order in which it is added to the first bytes of a
// message.
func memory(crc uint16) uint64 { return uint64(bits.ReverseBytes16(crc)) }

// long returns the checksum of the n bytes at p, continued from crc, in the low
// 16 bits of its result. crc has its high byte first in memory.
//
//go:noescape
func long(crc uint64, p *byte, n int) uint64

// long jumps to longGo for lengths that none of its kernels takes.
func longGo(mem uint64, p *byte, n int) uint64 {
	crc, b := bits.ReverseBytes16(uint16(mem)), unsafe.Slice(p, n)
	switch {
	case tier == tierGeneric:
		return uint64(crc16.Update(crc, b))
	case n > maxLong:
		// All pieces but the last end with a cache line.
		m := maxLong - int((uintptr(unsafe.Pointer(p))+maxLong)&63)
		for len(b) > maxLong {
			crc = piece(crc, b[:m])
			b, m = b[m:], maxLong
		}
		return uint64(update(crc, b))
	case crc == 0:
		return sum(unsafe.String(p, n))
	case n > 16:
		// The kernels add the checksum to two bytes of their first block, which has one.
		return uint64(update(crc16.Update(crc, b[:1]), b[1:]))
	default:
		return uint64(crc16.Update(crc, b))
	}
}

// piece is a function of its own, because a goroutine is preempted where a Go
// function starts. A loop of nothing but assembly has no such place: it delays the
// garbage collector, even if each call is short.
//
//go:noinline
func piece(crc uint16, p []byte) uint16 { return update(crc, p) }
