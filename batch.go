package hashslot

import (
	"fmt"
	"slices"
	"unsafe"
)

// AppendOf appends the slot of each key to dst and returns the extended
// slice: the same slots, in the same order, as [Of] gives one by one. Where
// there is a kernel for many keys at a time (see [Kernel]; not "generic"), it
// takes less time for eight keys or more than a loop over Of: on a CPU with
// AVX-512 a fifth to two thirds for keys of up to 64 bytes, in any mix of lengths
// and tags. Elsewhere it is that loop. It allocates only where dst has no room
// for len(keys) more.
func AppendOf(dst []Slot, keys []string) []Slot {
	n := len(dst)
	dst = slices.Grow(dst, len(keys))[:n+len(keys)]
	slotsOf(dst[n:], keys)
	return dst
}

// AppendOfBytes is [AppendOf] for keys held as bytes.
func AppendOfBytes(dst []Slot, keys [][]byte) []Slot {
	n := len(dst)
	dst = slices.Grow(dst, len(keys))[:n+len(keys)]
	slotsOfBytes(dst[n:], keys)
	return dst
}

// AppendOfPacked is [AppendOf] for keys that lie one after the other in data:
// key i ends in front of data[ends[i]] and starts where the key before it
// ends, the first one at 0. As slicing would, it panics if an end lies before
// the one in front of it or past len(data); the message names the index.
func AppendOfPacked(dst []Slot, data []byte, ends []uint32) []Slot {
	last, wrong := uint64(0), uint64(0)
	for _, end := range ends {
		wrong |= uint64(end) - last // negative where the order is wrong
		last = uint64(end)
	}
	if int64(wrong) < 0 || last > uint64(len(data)) {
		panicPacked(data, ends)
	}
	n := len(dst)
	dst = slices.Grow(dst, len(ends))[:n+len(ends)]
	slotsOfPacked(dst[n:], data, ends)
	return dst
}

// panicPacked panics for the first of ends that is out of order or range.
func panicPacked(data []byte, ends []uint32) {
	start := uint32(0)
	for i, end := range ends {
		if uint64(end) > uint64(len(data)) {
			panic(fmt.Sprintf("hashslot: AppendOfPacked: ends[%d] = %d is out of range with data of length %d", i, end, len(data)))
		}
		if end < start {
			panic(fmt.Sprintf("hashslot: AppendOfPacked: ends[%d] = %d is less than ends[%d] = %d", i, end, i-1, start))
		}
		start = end
	}
}

// slotsOfGeneric and slotsOfPackedGeneric are the batches in plain Go.
func slotsOfGeneric[K string | []byte](dst []Slot, keys []K) {
	for i := range keys {
		// A slice begins with what a string is.
		dst[i] = Slot(ofGeneric(*(*string)(unsafe.Pointer(&keys[i]))) % Count)
	}
}

func slotsOfPackedGeneric(dst []Slot, data []byte, ends []uint32) {
	start := uint32(0)
	for i, end := range ends {
		key := data[start:end]
		dst[i] = Slot(ofGeneric(unsafe.String(unsafe.SliceData(key), len(key))) % Count)
		start = end
	}
}
