//go:build gc && !purego

package hashslot

import "unsafe"

// matrices is what the kernel slots8 multiplies by. In a matrix for
// GF2P8AFFINEQB byte 7-i is the row of bit i of the result.
type matrices struct {
	// For keys that end 64-byte registers: [j][0] makes the low byte, [j][1] the
	// high byte of a slot; quadword 2l+h is for byte 16l+2j+h of the register.
	at64 [8][2][8]uint64

	place, first [64]byte

	// For keys of up to 16 bytes: quadword 2l+h of [j] is for the byte 4l+2j+h
	// from the end.
	at16 [2][2][8]uint64

	// For keys that end 32-byte halves of registers: quadword 2l+h of [2j+i] is
	// for byte 16(l%2)+8j+4(l/2)+2i+h of the half.
	at32 [4][2][8]uint64

	tops [65]uint64 // [n] has the n highest bits set
}

// newMatrices returns the matrices at an address that is a multiple of 64: a
// register loaded across two cache lines costs two loads.
func newMatrices() *matrices {
	space := make([]byte, unsafe.Sizeof(matrices{})+63)
	p := unsafe.Pointer(unsafe.SliceData(space))
	m := (*matrices)(unsafe.Add(p, -uintptr(p)&63))
	for l := range 4 {
		for h := range 2 {
			for j := range 8 {
				low, high := matrix(63 - (16*l + 2*j + h))
				m.at64[j][0][2*l+h], m.at64[j][1][2*l+h] = low, high
			}
			for j := range 4 {
				low, high := matrix(31 - (16*(l%2) + 8*(j/2) + 4*(l/2) + 2*(j%2) + h))
				m.at32[j][0][2*l+h], m.at32[j][1][2*l+h] = low, high
			}
			for j := range 2 {
				low, high := matrix(4*l + 2*j + h)
				m.at16[j][0][2*l+h], m.at16[j][1][2*l+h] = low, high
			}
		}
	}
	for n := range m.tops {
		m.tops[n] = ^(^uint64(0) >> n)
	}
	for p := range 16 {
		for k := range 4 {
			m.place[4*p+k] = byte(p)
			m.first[4*p+k] = byte(16*k - 1 - p)
		}
	}
	return m
}

// matrix returns the two matrices by which a byte with p bytes behind it is
// multiplied, to get what it adds to the low and the high byte of the slot.
func matrix(p int) (low, high uint64) {
	for m := range 8 {
		v := uint16(1) << m // x^m
		for range 8*p + 16 {
			carry := v>>15 != 0
			v <<= 1
			if carry {
				v ^= 0x1021
			}
		}
		for i := range 8 {
			low |= uint64(v>>i&1) << (8*(7-i) + m)
			if i < 6 {
				high |= uint64(v>>(8+i)&1) << (8*(7-i) + m)
			}
		}
	}
	return low, high
}

var avx512 *matrices

//go:noescape
func slots1(dst *Slot, keys *string, n int) int

//go:noescape
func slots8(dst *Slot, keys *string, n int, m *matrices) int

// maxBatch is how many keys an assembly call takes at most: a goroutine cannot be
// preempted inside of assembly.
const maxBatch = 512

func slotsOf(dst []Slot, keys []string) {
	// A goroutine can be preempted where a Go function starts, nowhere in a loop
	// around nothing but assembly. Hence each piece is a call of this one.
	for len(keys) > maxBatch {
		slotsOf(dst[:maxBatch], keys[:maxBatch])
		dst, keys = dst[maxBatch:], keys[maxBatch:]
	}
	switch {
	case tier == tierAVX512 && len(keys) >= 8:
		slotsOf8(dst, keys)
	case tier != tierGeneric:
		slotsOf1(dst, keys)
	default:
		slotsOfGeneric(dst, keys)
	}
}

func slotsOf8(dst []Slot, keys []string) {
	for i := 0; i < len(keys); {
		// The last eight keys may overlap the eight before them.
		i = min(i, len(keys)-8)
		n := (len(keys) - i) &^ 7
		done := slots8(&dst[i], &keys[i], n, avx512)
		i += done
		if done < n {
			slotsOf1(dst[i:i+8], keys[i:i+8])
			i += 8
		}
	}
}

func slotsOf1(dst []Slot, keys []string) {
	for i := 0; i < len(keys); {
		n := len(keys) - i
		done := slots1(&dst[i], &keys[i], n)
		i += done
		if done < n {
			dst[i] = Of(keys[i])
			i++
		}
	}
}

// chunk is how many keys that are not strings are made strings at a time.
const chunk = 64

func slotsOfBytes(dst []Slot, keys [][]byte) {
	var s [chunk]string
	for len(keys) > 0 {
		n := min(len(keys), chunk)
		for i, key := range keys[:n] {
			s[i] = unsafe.String(unsafe.SliceData(key), len(key))
		}
		slotsOf(dst[:n], s[:n])
		dst, keys = dst[n:], keys[n:]
	}
}

func slotsOfPacked(dst []Slot, data []byte, ends []uint32) {
	var s [chunk]string
	start := uint32(0)
	for len(ends) > 0 {
		n := min(len(ends), chunk)
		for i, end := range ends[:n] {
			key := data[start:end]
			s[i] = unsafe.String(unsafe.SliceData(key), len(key))
			start = end
		}
		slotsOf(dst[:n], s[:n])
		dst, ends = dst[n:], ends[n:]
	}
}
