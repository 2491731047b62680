//go:build gc && !purego

package hashslot_test

import "golang.org/x/sys/cpu"

// runs returns which kernels can run here. It asks another CPU detector than the one
// that chooses the kernel.
func runs() map[string]bool {
	return map[string]bool{
		"pmull":      cpu.ARM64.HasPMULL,
		"pmull-sha3": cpu.ARM64.HasPMULL && cpu.ARM64.HasSHA3,
	}
}
