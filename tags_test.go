package hashslot

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTags checks that the numbers of tags of up to n shards with equal parts of the
// slots differ by at most one, or by two if there are many tags.
func TestTags(t *testing.T) {
	for _, n := range []int{-1, 0, Count + 1, math.MaxInt} {
		assert.Nil(t, Tags(n), n)
	}
	assert.Len(t, Tags(Count), Count)
	for n := 1; n <= 1000; n++ {
		if n > 128 && n%71 != 0 {
			continue
		}
		tags := Tags(n)
		require.Len(t, tags, n)
		slots := make([]int, n)
		for i, tag := range tags {
			slots[i] = int(Of("{" + tag + "}x"))
		}
		require.True(t, slices.IsSorted(slots), "%d tags", n)
		for shards := 1; shards <= n; shards++ {
			least, most, i := n, 0, 0
			for k := range shards {
				// Shard k has the slots up to (k+1)/shards of all, as the servers' tools divide them.
				end, first := (2*(k+1)*Count+shards)/(2*shards), i
				for i < n && slots[i] < end {
					i++
				}
				least, most = min(least, i-first), max(most, i-first)
			}
			limit := 1
			if n > 128 {
				limit = 2
			}
			if i != n || most-least > limit {
				t.Fatalf("%d tags, %d shards: %d to %d in a shard, %d in all", n, shards, least, most, i)
			}
		}
	}
	all := Tags(Count)
	for i, tag := range all {
		if want := Slot(i).Tag(); tag != want {
			t.Fatalf("the tag of slot %d: %q, want %q", i, tag, want)
		}
	}
	assert.Equal(t, []string{Slot(4096).Tag(), Slot(12288).Tag()}, Tags(2))
	assert.EqualValues(t, 2, testing.AllocsPerRun(10, func() { Tags(64) }))
}
