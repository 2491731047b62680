package hashslot

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Of at most n shards with equal parts of the slots, none has more than one tag more
// than another.
func TestTags(t *testing.T) {
	for _, n := range []int{-1, 0, Count + 1, 1 << 40} {
		assert.Nil(t, Tags(n), n)
	}
	sizes := []int{1, 2, 3, 7, 16, 17, 31, 48, 64, 100, 127, 128, 256, 333, 512}
	if testing.Short() {
		sizes = sizes[:10]
	}
	for _, n := range sizes {
		tags := Tags(n)
		require.Len(t, tags, n)
		for shards := 1; shards <= n; shards++ {
			count := make([]int, shards)
			for _, tag := range tags {
				// Shard k has the slots from k/shards of all on, as the servers' tools divide them.
				for k := range count {
					first, end := (2*k*Count+shards)/(2*shards), (2*(k+1)*Count+shards)/(2*shards)
					if slot := int(Of("{" + tag + "}x")); first <= slot && slot < end {
						count[k]++
						break
					}
				}
			}
			least, most, sum := n, 0, 0
			for _, c := range count {
				least, most, sum = min(least, c), max(most, c), sum+c
			}
			require.Equal(t, n, sum)
			require.LessOrEqual(t, most-least, 1, "%d tags, %d shards", n, shards)
		}
	}
	all := Tags(Count)
	for i, tag := range all {
		require.Equal(t, Slot(i).Tag(), tag)
	}
	assert.Equal(t, []string{Slot(4096).Tag(), Slot(12288).Tag()}, Tags(2))
	assert.EqualValues(t, 2, testing.AllocsPerRun(10, func() { Tags(64) }))
}
