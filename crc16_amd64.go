//go:build gc && !purego

package hashslot

import (
	"unsafe"

	"github.com/klauspost/cpuid/v2"

	"github.com/hashslot/hashslot/crc16"
	"github.com/hashslot/hashslot/internal/impl"
)

// tier is the kernel in use. The assembly reads it.
var tier uint8

const (
	tierGeneric = iota
	tierCLMUL
	tierAVX2
	tierAVX512
)

func init() {
	use := func(t uint8) func() { return func() { tier = t } }
	has := cpuid.CPU.Supports
	clmul := has(cpuid.CLMUL, cpuid.SSSE3, cpuid.SSE4)
	avx512 := clmul && has(cpuid.BMI1, cpuid.BMI2, cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.AVX512DQ,
		cpuid.AVX512VBMI, cpuid.GFNI, cpuid.VPCLMULQDQ)
	impl.Register(
		impl.Kernel{Name: "avx512", Use: use(tierAVX512), Supported: avx512},
		impl.Kernel{Name: "clmul", Use: use(tierCLMUL), Supported: clmul},
		impl.Kernel{Name: impl.Generic, Use: use(tierGeneric), Supported: true},
	)
}

//go:noescape
func of(key string) uint64

//go:noescape
func sum(s string) uint64

func slotsOf(dst []Slot, keys []string) {
	for i, key := range keys {
		dst[i] = Of(key)
	}
}

func slotsOfBytes(dst []Slot, keys [][]byte) {
	for i, key := range keys {
		dst[i] = OfBytes(key)
	}
}

func slotsOfPacked(dst []Slot, data []byte, ends []uint32) {
	start := uint32(0)
	for i, end := range ends {
		dst[i] = OfBytes(data[start:end])
		start = end
	}
}

func update(crc uint16, p []byte) uint16 {
	if crc == 0 && len(p) <= 256 && tier != tierGeneric {
		return uint16(sum(unsafe.String(unsafe.SliceData(p), len(p))))
	}
	return crc16.Update(crc, p)
}
