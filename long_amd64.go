//go:build gc && !purego

package hashslot

import (
	"math/bits"
	"unsafe"

	"github.com/hashslot/hashslot/crc16"
)

// From how many bytes on a form is ahead of the one before it, as measured, and
// how many bytes an assembly call takes at most: assembly is not preempted.
const (
	minLFSR512  = 3072
	minAlign512 = 8192
	minLFSR256  = 1024
	minAlign256 = 32 << 10
	minGo       = 1024
	maxLong     = 64 << 10
)

//go:noescape
func fold1(crc uint64, p *byte, n int) uint64

//go:noescape
func fold4(crc uint64, p *byte, n int) uint64

//go:noescape
func lfsr512(crc uint64, p *byte, n int, r *[1024]byte)

//go:noescape
func lfsr256(crc uint64, p *byte, n int, r *[512]byte)

func update(crc uint16, p []byte) uint16 {
	switch tier {
	case tierAVX512:
		return update512(crc, p)
	case tierAVX2:
		return update256(crc, p)
	case tierCLMUL:
		return updateCLMUL(crc, p)
	}
	return crc16.Update(crc, p)
}

// memory returns crc as it is added to the first bytes of a message.
func memory(crc uint16) uint64 { return uint64(bits.ReverseBytes16(crc)) }

// align takes the bytes in front of the first cache line off a buffer of at least
// 64 bytes. Loads across two lines cost up to a third.
func align(crc uint16, p []byte) (uint16, []byte) {
	n := -uintptr(unsafe.Pointer(unsafe.SliceData(p))) & 63
	return updateCLMUL(crc, p[:n]), p[n:]
}

func update512(crc uint16, p []byte) uint16 {
	if len(p) >= minAlign512 {
		crc, p = align(crc, p)
	}
	for len(p) >= minLFSR512 {
		n := min(len(p), maxLong) &^ 1023
		crc = long512(crc, p[:n])
		p = p[n:]
	}
	switch n := len(p); {
	case crc != 0 && n&63 == 1 && n > 64: // see fold4
		return update512(crc16.Update(crc, p[:1]), p[1:])
	case n > 64:
		return uint16(fold4(memory(crc), &p[0], n))
	default:
		return updateCLMUL(crc, p)
	}
}

// long512 and long256 are functions of their own because a goroutine can be
// preempted where a Go function starts. A loop around nothing but assembly has
// no such place, and holds up the garbage collector however short each call is.
//
//go:noinline
func long512(crc uint16, p []byte) uint16 {
	var r [1024]byte
	lfsr512(memory(crc), &p[0], len(p), &r)
	return uint16(fold4(0, &r[0], len(r)))
}

//go:noinline
func long256(crc uint16, p []byte) uint16 {
	var r [512]byte
	lfsr256(memory(crc), &p[0], len(p), &r)
	return uint16(fold1(0, &r[0], len(r)))
}

func update256(crc uint16, p []byte) uint16 {
	if len(p) >= minAlign256 {
		crc, p = align(crc, p)
	}
	for len(p) >= minLFSR256 {
		n := min(len(p), maxLong) &^ 511
		crc = long256(crc, p[:n])
		p = p[n:]
	}
	return updateCLMUL(crc, p)
}

func updateCLMUL(crc uint16, p []byte) uint16 {
	switch n := len(p); {
	case n >= minGo:
		return crc16.Update(crc, p)
	case crc == 0:
		return uint16(sum(unsafe.String(unsafe.SliceData(p), n)))
	case n > 17 && n&15 == 1: // see fold1
		return uint16(fold1(memory(crc16.Update(crc, p[:1])), &p[1], n-1))
	case n > 17:
		return uint16(fold1(memory(crc), &p[0], n))
	default:
		return crc16.Update(crc, p)
	}
}
