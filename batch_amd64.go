//go:build gc && !purego

package hashslot

import (
	"unsafe"

	"github.com/klauspost/cpuid/v2"
)

// matrices has the matrices that the kernels slots8 and slotsShort multiply by, and the
// other tables from which they load whole registers. In a matrix for GF2P8AFFINEQB, byte
// 7-i is the row for bit i of the result.
type matrices struct {
	// For keys that end 64-byte registers: [j][0] makes the low byte, [j][1] the
	// high byte of a slot; quadword 2l+h is for byte 16l+2j+h of the register.
	at64 [8][2][8]uint64

	// For keys of up to 16 bytes, [0] and [1], and of up to 32, all: quadword q of
	// [j] is for the byte placeOf(j, q) from the end.
	at32 [4][2][8]uint64

	// For eight keys of which 16 bytes each stand side by side in two registers,
	// and the byte placeOf(j, q) from their end: in quadword q of [j] that place, and
	// where this byte of each key is, if the keys begin with the 16 and have the
	// length 0. place and first are the same of four keys in one register, for the
	// byte p from the end in dword p.
	places, firsts [2][8][8]byte
	place, first   [16][4]byte

	// Where the low bytes of the lengths are in the headers of eight keys, side by
	// side: all eight places, in each quadword.
	lengths [8][8]byte

	// What slots8 adds to addresses and to lengths, and what then must be 0 for
	// keys of up to 16, 32 and 64 bytes.
	step     [8]uint64
	pointers [8]uint64 // all bits of addresses
	outside  [3][8]uint64

	// Indexes of quadwords in two registers: of the lengths in eight headers; of
	// addresses and lengths in slices, which have three words each; and in eight
	// addresses and eight lengths.
	unzip       [8]uint64
	slices, zip [2][8]uint64

	sixteen [64]byte // 16 in every byte

	// Controls for VPSHUFB: [n] reverses each block of a register, and keeps only
	// the last n bytes of the register. Each length in use takes 64 bytes of the L1
	// cache.
	ends [65][64]byte

	// What divide512 multiplies the last 256 bytes by if k zeros are behind them: the
	// 32 quadwords from k/8 on of [k%8]. Quadword i is (x^n mod P) << 48 with
	// n = 16 + 64*(31-i) - 8*(k%8).
	padded [8][40]uint64

	// The fields above fill whole cache lines; those below do not.
	words [8]uint32  // indexes of the lengths in eight headers, as dwords
	tops  [65]uint64 // [n] has the n highest bits set

	// pairs says that bytes are better picked from two registers at once. It takes
	// three steps on Intel's CPUs and one on AMD's.
	pairs bool
}

// placeOf returns the place, counted from the end of a key, that quadword q of
// register j is for. Dwords of two registers side by side, by VPUNPCKLDQ and
// VPUNPCKHDQ, come in this order.
func placeOf(j, q int) int { return 16*(j/2) + 4*(q/2) + 2*(j%2) + q%2 }

// newMatrices returns the matrices at an address that is a multiple of 64: a
// register loaded across two cache lines costs two loads.
func newMatrices() *matrices {
	space := make([]byte, unsafe.Sizeof(matrices{})+63)
	p := unsafe.Pointer(unsafe.SliceData(space))
	m := (*matrices)(unsafe.Add(p, -uintptr(p)&63))
	powers := powersOfX()
	for l := range 4 {
		for h := range 2 {
			for j := range 8 {
				low, high := matrix(&powers, 63-(16*l+2*j+h))
				m.at64[j][0][2*l+h], m.at64[j][1][2*l+h] = low, high
			}
		}
	}
	for i := range 8 {
		for j := range 4 {
			m.at32[j][0][i], m.at32[j][1][i] = matrix(&powers, placeOf(j, i))
		}
		for j := range 2 {
			for key := range 8 {
				m.places[j][i][key] = byte(placeOf(j, i))
				m.firsts[j][i][key] = byte(16*key - 1 - placeOf(j, i))
			}
			m.zip[j][i] = uint64(i/2 + 8*(i%2) + 4*j)
			// Of slices, those in the first and the second register of three, and
			// those in the second and the third.
			m.slices[j][i] = uint64(3*(i/2) + i%2 + (12-8)*j)
		}
	}
	for p := range 16 {
		for key := range 4 {
			m.place[p][key] = byte(p)
			m.first[p][key] = byte(16*key - 1 - p)
		}
	}
	for i := range m.lengths {
		m.words[i] = uint32(4*i + 2)
		m.unzip[i] = uint64(2*i + 1)
		for key := range m.lengths[i] {
			m.lengths[i][key] = byte(16*key + 8)
		}
	}
	m.pairs = cpuid.CPU.IsVendor(cpuid.AMD)
	for i := 0; i < 8; i += 2 {
		const page = 4096
		m.step[i], m.step[i+1] = 15, ^uint64(0)
		m.outside[0][i], m.outside[0][i+1] = page, ^uint64(15)
		m.outside[1][i], m.outside[1][i+1] = page, ^uint64(31)
		m.outside[2][i+1] = ^uint64(63)
		m.pointers[i] = ^uint64(0)
	}
	for i := range 64 {
		m.sixteen[i] = 16
	}
	m.setPadded(&powers)
	for n := range m.tops {
		m.tops[n] = ^(^uint64(0) >> n)
		for i := range m.ends[n] {
			const zero = 0x80
			m.ends[n][i] = zero
			if at := i ^ 15; at >= 64-n {
				m.ends[n][i] = byte(at % 16)
			}
		}
	}
	return m
}

func (m *matrices) setPadded(powers *[order]uint16) {
	for k := range m.padded {
		for i := range m.padded[k] {
			n := 16 + 64*(31-i) - 8*k // may be less than 0
			m.padded[k][i] = uint64(powers[(n+order)%order]) << 48
		}
	}
}

// order is that of x mod P: x^order is 1.
const order = 1<<15 - 1

// powersOfX returns x^n mod P for all n.
func powersOfX() (powers [order]uint16) {
	v := uint16(1)
	for n := range powers {
		powers[n] = v
		carry := v>>15 != 0
		v <<= 1
		if carry {
			v ^= 0x1021
		}
	}
	return powers
}

// matrix returns the two matrices by which a byte with p bytes behind it is
// multiplied, to get what it adds to the low and the high byte of the slot.
func matrix(powers *[order]uint16, p int) (low, high uint64) {
	for m := range 8 {
		v := powers[8*p+16+m]
		for i := range 8 {
			low |= uint64(v>>i&1) << (8*(7-i) + m)
			if i < 6 {
				high |= uint64(v>>(8+i)&1) << (8*(7-i) + m)
			}
		}
	}
	return low, high
}

// gfni has the matrices of tiers avx512 and avx2. It is nil if the CPU has no GFNI;
// tier avx2 then hashes batches as clmul does.
var gfni *matrices

//go:noescape
func slots1(dst *Slot, keys *string, n int) int

//go:noescape
func slots8(dst *Slot, keys unsafe.Pointer, n int, form uintptr, data *byte, start uint32, m *matrices) int

//go:noescape
func slotsShort(dst *Slot, keys *string, n int, m *[4][2][8]uint64) int

// An assembly call takes at most maxBatch keys. A goroutine is preempted where a Go
// function starts, but not in assembly, nor in a loop of nothing but calls of it. So
// each piece is a call of a Go function.
const maxBatch = 512

func slotsOf(dst []Slot, keys []string) {
	switch {
	case tier == tierGeneric:
		slotsOfGeneric(dst, keys)
	case tier == tierAVX512 && len(keys) >= 8:
		slotsOf8(dst, keyList{form: unsafe.Sizeof(""), first: unsafe.Pointer(unsafe.SliceData(keys))})
	default:
		slotsOfStrings(dst, keys)
	}
}

func slotsOfBytes(dst []Slot, keys [][]byte) {
	switch {
	case tier == tierGeneric:
		slotsOfGeneric(dst, keys)
		return
	case tier == tierAVX512 && len(keys) >= 8:
		slotsOf8(dst, keyList{form: unsafe.Sizeof([]byte{}), first: unsafe.Pointer(unsafe.SliceData(keys))})
		return
	}
	var s [chunk]string
	for len(keys) > 0 {
		n := min(len(keys), chunk)
		for i, key := range keys[:n] {
			s[i] = unsafe.String(unsafe.SliceData(key), len(key))
		}
		slotsOfStrings(dst[:n], s[:n])
		dst, keys = dst[n:], keys[n:]
	}
}

func slotsOfPacked(dst []Slot, data []byte, ends []uint32) {
	switch {
	case tier == tierGeneric:
		slotsOfPackedGeneric(dst, data, ends)
		return
	case tier == tierAVX512 && len(ends) >= 8:
		slotsOf8(dst, keyList{form: unsafe.Sizeof(uint32(0)), first: unsafe.Pointer(unsafe.SliceData(ends)), data: unsafe.SliceData(data)})
		return
	}
	var s [chunk]string
	start := uint32(0)
	for len(ends) > 0 {
		n := min(len(ends), chunk)
		for i, end := range ends[:n] {
			key := data[start:end]
			s[i] = unsafe.String(unsafe.SliceData(key), len(key))
			start = end
		}
		slotsOfStrings(dst[:n], s[:n])
		dst, ends = dst[n:], ends[n:]
	}
}

// chunk is the number of keys that are converted to strings at a time, for kernels
// that take only strings.
const chunk = 64

// keyList is a list of keys in one of the three forms that slots8 takes: strings,
// slices, or the ends of keys in data.
type keyList struct {
	first unsafe.Pointer // the first of these
	form  uintptr        // the size of one
	data  *byte
}

// at returns the address of element i.
func (l *keyList) at(i int) unsafe.Pointer { return unsafe.Add(l.first, uintptr(i)*l.form) }

// startOf returns where in data key i begins. Of another form it returns 0.
func (l *keyList) startOf(i int) uint32 {
	if i == 0 || l.data == nil {
		return 0
	}
	return *(*uint32)(l.at(i - 1))
}

// key returns key i.
func (l *keyList) key(i int) string {
	if l.form != unsafe.Sizeof(uint32(0)) {
		return *(*string)(l.at(i)) // the header of a slice begins with that of a string
	}
	start, end := l.startOf(i), *(*uint32)(l.at(i))
	if start == end {
		return "" // no pointer may point behind the last byte
	}
	return unsafe.String((*byte)(unsafe.Add(unsafe.Pointer(l.data), start)), end-start)
}

func slotsOf8(dst []Slot, l keyList) {
	for i := 0; i < len(dst); {
		// The last eight keys may overlap the eight before them.
		i = min(i, len(dst)-8)
		done := someOf8(dst, &l, i)
		i += done
		if done == 0 { // for a key of more than 4096 bytes
			for end := i + 8; i < end; i++ {
				dst[i] = Of(l.key(i))
			}
		}
	}
}

// someOf8 hashes key i and some that follow, and returns their number.
//
//go:noinline
func someOf8(dst []Slot, l *keyList, i int) int {
	n := min(maxBatch, (len(dst)-i)&^7)
	return slots8(&dst[i], l.at(i), n, l.form, l.data, l.startOf(i), gfni)
}

func slotsOfStrings(dst []Slot, keys []string) {
	for len(keys) > maxBatch {
		slotsOfStrings(dst[:maxBatch], keys[:maxBatch])
		dst, keys = dst[maxBatch:], keys[maxBatch:]
	}
	if tier == tierAVX2 && gfni != nil && len(keys) >= 8 {
		slotsOfShort(dst, keys)
		return
	}
	slotsOf1(dst, keys)
}

// A rest is the number of keys that are hashed one by one after the kernel for eight
// has stopped. It doubles if the kernel took no key since the last time, because a
// call in vain is not free, and shrinks if it did. It starts at 8.
type rest int

func (r *rest) next(done int) int {
	if done > 0 {
		*r = max(8, *r/4)
	}
	n := int(*r)
	*r *= 2
	return n
}

func slotsOfShort(dst []Slot, keys []string) {
	rest := rest(8)
	for i := 0; i < len(keys); {
		i = min(i, len(keys)-8)
		n := (len(keys) - i) &^ 7
		done := 0
		if len(keys[i]) <= 16 { // or the call is in vain
			done = slotsShort(&dst[i], &keys[i], n, &gfni.at32)
		}
		i += done
		if done < n {
			end := min(i+rest.next(done), len(keys))
			slotsOf1(dst[i:end], keys[i:end])
			i = end
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
