package hashslot

import "strings"

// Tags returns n hash tags in different slots, for keys in n partitions: all keys with
// tag i are in one slot, and the tags are spread over the slots evenly: if the slots
// are divided into ranges of equal size for at most n shards, no shard has more than
// one tag more than another. With more than 128 tags it can be two tags, as the ranges
// end at whole slots.
//
// Tag i is that of slot ⌊(2i+1)·16384/2n⌋, the middle of the i-th of n equal parts of
// all slots. The tags depend on n: other partitions take other tags, so n is to be
// chosen for good. n is from 1 to 16384; for any other, Tags returns nil. It makes two
// allocations.
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
		tags[i] = all.String()[start:] // it never moves, as there is room for all
	}
	return tags
}
