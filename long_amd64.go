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
	minLFSR512 = 3072
	minLFSR256 = 1024
	minGo      = 4096
	maxLong    = 64 << 10
)

//go:noescape
func fold(crc uint64, p *byte, n int) uint64

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

func update512(crc uint16, p []byte) uint16 {
	for len(p) >= minLFSR512 {
		var r [1024]byte
		n := min(len(p), maxLong) &^ 1023
		lfsr512(memory(crc), &p[0], n, &r)
		crc = uint16(fold(0, &r[0], len(r)))
		p = p[n:]
	}
	switch n := len(p); {
	case crc != 0 && n&63 == 1 && n > 64: // see fold
		return update512(crc16.Update(crc, p[:1]), p[1:])
	case n > 64:
		return uint16(fold(memory(crc), &p[0], n))
	default:
		return updateCLMUL(crc, p)
	}
}

func update256(crc uint16, p []byte) uint16 {
	for len(p) >= minLFSR256 {
		var r [512]byte
		n := min(len(p), maxLong) &^ 511
		lfsr256(memory(crc), &p[0], n, &r)
		crc = uint16(sum(unsafe.String(&r[0], len(r))))
		p = p[n:]
	}
	return updateCLMUL(crc, p)
}

func updateCLMUL(crc uint16, p []byte) uint16 {
	if crc != 0 || len(p) >= minGo {
		return crc16.Update(crc, p)
	}
	return uint16(sum(unsafe.String(unsafe.SliceData(p), len(p))))
}
