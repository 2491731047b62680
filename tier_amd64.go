//go:build gc && !purego

package hashslot

import (
	"github.com/klauspost/cpuid/v2"

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
	avx2 := clmul && has(cpuid.AVX2)
	avx512 := avx2 && has(cpuid.BMI1, cpuid.BMI2, cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.AVX512DQ, cpuid.AVX512CD,
		cpuid.AVX512VBMI, cpuid.AVX512VBMI2, cpuid.GFNI, cpuid.VPCLMULQDQ)
	if avx2 && has(cpuid.GFNI) {
		gfni = newMatrices()
	}
	impl.Register(
		impl.Kernel{Name: "avx512", Use: use(tierAVX512), Supported: avx512},
		impl.Kernel{Name: "avx2", Use: use(tierAVX2), Supported: avx2},
		impl.Kernel{Name: "clmul", Use: use(tierCLMUL), Supported: clmul},
		impl.Kernel{Name: impl.Generic, Use: use(tierGeneric), Supported: true},
	)
}
