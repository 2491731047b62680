//go:build gc && !purego

package hashslot

import "unsafe"

// batch takes keys of at most 64 bytes, and at most maxBatch of them. A goroutine is not
// preempted in assembly, so a call must stay below about 100 microseconds, even if each key
// comes from memory.
const maxBatch = 512

//go:noescape
func batch(slots *Slot, headers unsafe.Pointer, stride, n uint64) uint64

func slotsOf(dst []Slot, keys []string) { slotsOfAny(dst, keys) }

func slotsOfBytes(dst []Slot, keys [][]byte) { slotsOfAny(dst, keys) }

func slotsOfAny[T string | []byte](dst []Slot, keys []T) {
	// A goroutine is preempted where a Go function starts, but not in a loop of
	// nothing but assembly. So each piece is a call of this function.
	for len(keys) > maxBatch {
		slotsOfAny(dst[:maxBatch], keys[:maxBatch])
		dst, keys = dst[maxBatch:], keys[maxBatch:]
	}
	for len(keys) > 0 {
		done := uint64(0)
		if n := len(keys) &^ 3; n > 0 && tier != tierGeneric {
			done = batch(&dst[0], unsafe.Pointer(&keys[0]), uint64(unsafe.Sizeof(keys[0])), uint64(n))
		}
		if done == 0 {
			// The last one to three keys, or four keys of which the batch does not
			// take one.
			for done < 4 && done < uint64(len(keys)) {
				// The header of a slice begins with that of a string.
				dst[done] = Of(*(*string)(unsafe.Pointer(&keys[done])))
				done++
			}
		}
		dst, keys = dst[done:], keys[done:]
	}
}

func slotsOfPacked(dst []Slot, data []byte, ends []uint32) {
	var keys [64]string
	start := uint32(0)
	for len(ends) > 0 {
		n := min(len(ends), len(keys))
		for i, end := range ends[:n] {
			keys[i] = unsafe.String(unsafe.SliceData(data[start:end]), int(end-start))
			start = end
		}
		slotsOf(dst[:n], keys[:n])
		dst, ends = dst[n:], ends[n:]
	}
}
