package hashslot

import "strings"

// Tags returns n hash tags in different slots, one for each of n partitions of the
// keys. The tags are spread evenly: if at most n shards own ranges of equal size, no
// shard has more than one tag more than another. With more than 128 tags the
// difference can be two, because ranges end at whole slots.
//
// Tag i is that of slot ⌊(2i+1)·16384/2n⌋, the middle of the i-th of n equal parts of
// all slots. Another n gives other tags, so choose n for good. Tags returns nil unless
// n is from 1 to 16384. It makes two allocations.
func Tags(n int) []string {
	if n < 1 || n > Count {
		return nil
	}
	var all strings.Builder
	all.Grow(3 * n)
	var buf [3]byte
	tags := make([]string, n)
	for i := range tags {
		start := all.Len()
		all.Write(Slot((2*i + 1) * Count / (2 * n)).appendTag(buf[:0]))
		tags[i] = all.String()[start:] // never grows: there is room for all
	}
	return tags
}
