//go:build gc && !purego

package hashslot_test

import "golang.org/x/sys/cpu"

// runs says, by another CPU detector than the one that chooses, which kernels
// can run here.
func runs() map[string]bool {
	return map[string]bool{
		"pmull":      cpu.ARM64.HasPMULL,
		"pmull-sha3": cpu.ARM64.HasPMULL && cpu.ARM64.HasSHA3,
	}
}
