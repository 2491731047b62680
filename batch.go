package hashslot

import (
	"fmt"
	"slices"
	"unsafe"
)

// AppendOf appends the slot of each key to dst, in the order of keys, and returns
// the extended slice. The slots are those that [Of] returns. With a kernel (see
// [Kernel]; not "generic"), AppendOf is faster than a loop over Of from eight keys
// on: with AVX-512 it takes a fifth to two thirds of the time for keys of up to 64
// bytes, in any mix of lengths and tags. In plain Go it is that loop. It allocates
// only if dst has no room for len(keys) more.
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

// AppendOfPacked is [AppendOf] for keys that lie one after the other in data. Key i
// is data[ends[i-1]:ends[i]], and key 0 is data[:ends[0]]. AppendOfPacked panics if
// ends decreases or exceeds len(data); the message names the index.
func AppendOfPacked(dst []Slot, data []byte, ends []uint32) []Slot {
	last, wrong := uint64(0), uint64(0)
	for _, end := range ends {
		wrong |= uint64(end) - last // negative if ends decreases
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
		// The header of a slice begins with that of a string.
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
