//go:build gc && !purego

package hashslot

import (
	"unsafe"

	"github.com/hashslot/hashslot/crc16"
)

const (
	// The length in bytes from which long is assumed to be faster than fold. By the
	// models of bench/results/mca.md it gains 1 to 2 cycles for each 16 bytes, and its
	// end takes some 50 cycles more. Not measured.
	longMin = 1024

	maxLong = 64 << 10 // bytes of a call; the reason is that of maxBatch
)

//go:noescape
func fold(crc uint64, p *byte, n uint64) uint64

//go:noescape
func long(crc uint64, p *byte, n uint64) uint64

//go:noescape
func longSHA3(crc uint64, p *byte, n uint64) uint64

func update(crc uint16, p []byte) uint16 {
	// The first piece is the odd one, so that the others are of whole blocks.
	for len(p) > maxLong {
		n := (len(p)-1)%maxLong + 1
		crc = update(crc, p[:n]) // a call of its own, as in slotsOfAny
		p = p[n:]
	}
	if tier == tierGeneric {
		return crc16.Update(crc, p)
	}
	if crc != 0 {
		// The kernels add it to the first two bytes of a block of 64.
		n := len(p) % 64
		crc, p = crc16.Update(crc, p[:n]), p[n:]
		if len(p) == 0 {
			return crc
		}
	}
	switch n := uint64(len(p)); {
	case n >= longMin && tier == tierSHA3:
		return uint16(longSHA3(uint64(crc), &p[0], n))
	case n >= longMin:
		return uint16(long(uint64(crc), &p[0], n))
	case n >= 64:
		return uint16(fold(uint64(crc), &p[0], n))
	default:
		return uint16(sum(unsafe.String(unsafe.SliceData(p), len(p))))
	}
}
