//go:build gc && !purego

package hashslot

import (
	"github.com/klauspost/cpuid/v2"

	"github.com/hashslot/hashslot/internal/impl"
)

// tier is the kernel in use. The assembly reads it too.
var tier uint8

const (
	tierGeneric = iota
	tierPMULL
	tierSHA3
)

func init() {
	use := func(t uint8) func() { return func() { tier = t } }
	pmull := impl.Kernel{Name: "pmull", Supported: cpuid.CPU.Supports(cpuid.PMULL), Use: use(tierPMULL)}
	sha3 := impl.Kernel{Name: "pmull-sha3", Supported: cpuid.CPU.Supports(cpuid.PMULL, cpuid.SHA3), Use: use(tierSHA3)}
	generic := impl.Kernel{Name: impl.Generic, Supported: true, Use: use(tierGeneric)}
	if slowEOR3(cpuid.CPU.VendorID, cpuid.CPU.Model) {
		impl.Register(pmull, sha3, generic)
	} else {
		impl.Register(sha3, pmull, generic)
	}
}

// slowEOR3 reports whether a CPU that has EOR3 is faster without it. The arguments
// are the implementer and the part and revision of MIDR_EL1. Linux and FreeBSD let
// programs read them; elsewhere they are 0.
//
// For 64 bytes of a long buffer, bench/results/mca.md predicts 4 cycles with EOR3
// and 3 without on Neoverse V1 and V2, where one of four pipes has it. On Neoverse
// N2, where one of two has it, it predicts 4 and 6. So on an unknown CPU, EOR3 can
// cost a third, and to do without it a half.
func slowEOR3(vendor cpuid.Vendor, model int) bool {
	const neoverseV1, neoverseV2 = 0xd40, 0xd4f
	part := model >> 4
	return vendor == cpuid.ARM && (part == neoverseV1 || part == neoverseV2)
}
