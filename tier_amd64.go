//go:build gc && !purego

package hashslot

import (
	"github.com/klauspost/cpuid/v2"

	"github.com/hashslot/hashslot/internal/impl"
)

// tier is the kernel in use. The assembly reads it.
var tier uint8

// choice is what the assembly reads for one key. Keys of 1 to upTo32/8 bytes go by
// registers of 256 bits, others of up to upTo64/8 by those of 512 bits, and all others to the
// code at longer. Each limit is 0 if the kernel has no such way. useOf sets longer.
var choice choices

type choices struct {
	upTo32, upTo64 uint64
	longer         uintptr
}

const (
	longerOfPlain = iota
	longerOf16
	longerOf64
)

const (
	tierGeneric = iota
	tierCLMUL
	tierAVX2
	tierAVX512
)

func init() {
	kernels, more := kernelsFor(&cpuid.CPU)
	if more.gfni {
		gfni = newMatrices()
	}
	vpclmulqdq = more.vpclmulqdq
	impl.Register(kernels...)
}

// extensions are features that a CPU of tier avx2 may have. The tier uses them where it can.
type extensions struct{ gfni, vpclmulqdq bool }

// kernelsFor returns the kernels, the best for cpu first, and the extensions of cpu.
func kernelsFor(cpu *cpuid.CPUInfo) ([]impl.Kernel, extensions) {
	use := func(t uint8, upTo32, upTo64 uint64, longer uint8) func() {
		return func() {
			tier, choice.upTo32, choice.upTo64 = t, 8*upTo32, 8*upTo64
			useOf(longer)
		}
	}
	has := cpu.Supports
	clmul := has(cpuid.CLMUL, cpuid.SSSE3, cpuid.SSE4)
	avx2 := clmul && has(cpuid.AVX2)
	avx512 := avx2 && has(cpuid.BMI1, cpuid.BMI2, cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.AVX512DQ, cpuid.AVX512CD,
		cpuid.AVX512VBMI, cpuid.AVX512VBMI2, cpuid.GFNI, cpuid.VPCLMULQDQ)
	// One path for all usual lengths is best if vector units have 512 bits. Those of
	// Zen 4 have 256: there, a path of its own for keys of half a register gains more
	// than the second path costs.
	best := impl.Kernel{Name: "avx512", Use: use(tierAVX512, 0, 64, longerOf64), Supported: avx512}
	other := impl.Kernel{Name: "avx512-256", Use: use(tierAVX512, 32, 64, longerOf64), Supported: avx512}
	const zen3and4 = 0x19
	if cpu.VendorID == cpuid.AMD && cpu.Family == zen3and4 {
		best, other = other, best
	}
	return []impl.Kernel{
		best, other,
		{Name: "avx2", Use: use(tierAVX2, 0, 0, longerOf16), Supported: avx2},
		{Name: "clmul", Use: use(tierCLMUL, 0, 0, longerOf16), Supported: clmul},
		{Name: impl.Generic, Use: use(tierGeneric, 0, 0, longerOfPlain), Supported: true},
	}, extensions{gfni: avx2 && has(cpuid.GFNI), vpclmulqdq: avx2 && has(cpuid.VPCLMULQDQ)}
}
