//go:build gc && !purego

package hashslot

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/klauspost/cpuid/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/internal/hashtest"
	"github.com/hashslot/hashslot/internal/impl"
)

func TestSlowEOR3(t *testing.T) {
	for _, tt := range []struct {
		name   string
		vendor cpuid.Vendor
		model  int // part and revision of MIDR_EL1
		want   bool
	}{
		{"Neoverse V1", cpuid.ARM, 0xd401, true},
		{"Neoverse V2", cpuid.ARM, 0xd4f0, true},
		{"Neoverse N2", cpuid.ARM, 0xd490, false},
		{"Neoverse V3", cpuid.ARM, 0xd840, false},
		{"of another implementer", cpuid.Ampere, 0xd401, false},
		{"not known", cpuid.VendorUnknown, 0, false},
	} {
		assert.Equal(t, tt.want, slowEOR3(tt.vendor, tt.model), tt.name)
	}
}

// TestBatchStopsOnlyWhereItMust checks that the batch takes all keys that its contract
// names. If it stops early, other code takes over: all slots are still right, but late,
// so no other test fails.
func TestBatchStopsOnlyWhereItMust(t *testing.T) {
	of := func(lengths ...int) (keys []string) {
		for _, n := range lengths {
			keys = append(keys, strings.Repeat("\xfa", n))
		}
		return keys
	}
	taken := of(8, 16, 9, 15, 17, 32, 18, 31, 8, 32, 16, 17, 17, 64, 33, 64, 49, 63, 64, 32, 64, 8, 7, 0, 1, 3, 4, 5)
	taken = append(taken, "{", "{a}", "x{ab}", "}{", strings.Repeat("{", 64), "", "a", "{"+of(30)[0]+"}b")
	done := func(keys []string) int {
		const untouched = 0xffff
		dst := slices.Repeat([]Slot{untouched}, len(keys)+1)
		n := int(batch(&dst[0], unsafe.Pointer(&keys[0]), uint64(unsafe.Sizeof(keys[0])), uint64(len(keys))))
		for i, slot := range dst {
			if i < n {
				require.Equal(t, Slot(hashtest.Slot([]byte(keys[i]))), slot, "key %d, %q", i, keys[i])
			} else {
				require.EqualValues(t, untouched, slot, "key %d", i)
			}
		}
		return n
	}
	hashtest.EachKernel(t, func(t *testing.T) {
		if tier == tierGeneric {
			return
		}
		require.Equal(t, len(taken), done(taken))
		for _, refused := range of(65, 72, 1000) {
			for i := range taken {
				keys := slices.Clone(taken)
				keys[i] = refused
				require.Equal(t, i&^3, done(keys), "%d bytes in place of key %d", len(refused), i)
			}
		}
	})
}

// TestBatchAfterZeros holds that four keys do not depend on the four before them: keys
// of nothing but zeros leave zeros in the registers.
func TestBatchAfterZeros(t *testing.T) {
	hashtest.EachKernel(t, func(t *testing.T) {
		for _, before := range []int{8, 16, 24, 33, 64} {
			for _, n := range []int{8, 16, 17, 32, 33, 64} {
				for tagged := range 5 {
					keys := slices.Repeat([]string{strings.Repeat("\x00", before)}, 4)
					for i := range 4 {
						key := []byte(strings.Repeat("k", n-1) + string(rune('0'+i)))
						if i == tagged {
							copy(key, "a{bc}")
						}
						keys = append(keys, string(key))
					}
					for i, slot := range AppendOf(nil, keys) {
						require.Equal(t, Slot(hashtest.Slot([]byte(keys[i]))), slot, "key %d of %d bytes behind %d, %d is tagged", i, n, before, tagged)
					}
				}
			}
		}
	})
}

// TestTierOfKernels holds that a kernel that is forced is the one that runs.
func TestTierOfKernels(t *testing.T) {
	want := map[string]uint8{"pmull": tierPMULL, "pmull-sha3": tierSHA3, impl.Generic: tierGeneric}
	for _, name := range impl.Names() {
		restore, err := impl.Force(name)
		require.NoError(t, err)
		require.Equal(t, want[name], tier, name)
		restore()
	}
}
