//go:build gc && !purego

package hashslot_test

import "golang.org/x/sys/cpu"

// runs returns which kernels can run here. It asks another CPU detector than the one
// that chooses the kernel.
func runs() map[string]bool {
	x := &cpu.X86
	clmul := x.HasPCLMULQDQ && x.HasSSSE3 && x.HasSSE41
	avx512 := clmul && x.HasBMI1 && x.HasBMI2 && x.HasAVX512F && x.HasAVX512BW && x.HasAVX512VL && x.HasAVX512DQ &&
		x.HasAVX512VBMI && x.HasAVX512VBMI2 && x.HasAVX512GFNI && x.HasAVX512VPCLMULQDQ
	return map[string]bool{
		"clmul":      clmul,
		"avx2":       clmul && x.HasAVX2,
		"avx512":     avx512,
		"avx512-256": avx512,
	}
}
