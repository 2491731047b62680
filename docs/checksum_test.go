package docs_test

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/crc16"
)

func Example_division() {
	const p = 1<<16 | 1<<12 | 1<<5 | 1
	remainder := uint32(0)
	for _, b := range []byte("123456789\x00\x00") { // the message times x^16
		for bit := 7; bit >= 0; bit-- {
			remainder = remainder<<1 | uint32(b>>bit&1)
			if remainder>>16 != 0 {
				remainder ^= p
			}
		}
	}
	fmt.Printf("%#x %#x\n", remainder, crc16.Checksum([]byte("123456789")))
	fmt.Println(remainder%16384, hashslot.Of("123456789"))
	// Output:
	// 0x31c3 0x31c3
	// 12739 12739
}

func Example_linear() {
	message := []byte("user:42")
	sum := uint16(0)
	for i, b := range message {
		for bit := range 8 {
			if b>>bit&1 != 0 {
				single := make([]byte, len(message)) // this one bit, and no other
				single[i] = 1 << bit
				sum ^= crc16.Checksum(single)
			}
		}
	}
	fmt.Printf("%#x %#x\n", sum, crc16.Checksum(message))
	// Output:
	// 0x3e08 0x3e08
}

func Example_powers() {
	square := func(p []int) (q []int) {
		for _, exponent := range p {
			q = append(q, 2*exponent)
		}
		return q
	}
	p := []int{16, 12, 5, 0}
	for k := range 7 {
		fmt.Println(1<<k, p)
		p = square(p)
	}
	// Output:
	// 1 [16 12 5 0]
	// 2 [32 24 10 0]
	// 4 [64 48 20 0]
	// 8 [128 96 40 0]
	// 16 [256 192 80 0]
	// 32 [512 384 160 0]
	// 64 [1024 768 320 0]
}

func Example_recurrence() {
	message := make([]byte, 512)
	for i := range message {
		message[i] = byte(i * i)
	}
	want := crc16.Checksum(message)
	words := make([]uint64, len(message)/8)
	for i := range words {
		words[i] = binary.BigEndian.Uint64(message[8*i:])
	}
	// Divide by P^64. Digit i takes from the digits 4, 11 and 16 places behind it.
	for i := range len(words) - 16 {
		words[i+4] ^= words[i]
		words[i+11] ^= words[i]
		words[i+16] ^= words[i]
	}
	remainder := message[len(message)-128:] // the last 16 words
	for i, word := range words[len(words)-16:] {
		binary.BigEndian.PutUint64(remainder[8*i:], word)
	}
	fmt.Printf("%#x %#x\n", crc16.Checksum(remainder), want)
	// Output:
	// 0x442b 0x442b
}

func Example_folding() {
	multiply := func(a, b uint64) (hi, lo uint64) { // without carries: what PCLMULQDQ does
		for i := range 64 {
			if b>>i&1 != 0 {
				lo ^= a << i
				hi ^= a >> 1 >> (63 - i)
			}
		}
		return hi, lo
	}
	power := func(n int) uint64 { // x^n mod P
		r := uint64(1)
		for range n {
			r <<= 1
			if r>>16 != 0 {
				r ^= 0x11021
			}
		}
		return r
	}
	message := []byte("0123456789abcdefFEDCBA9876543210")
	word := func(i int) uint64 { return binary.BigEndian.Uint64(message[8*i:]) }

	// The first 16 bytes stand 128 bits further left than the last 16.
	hi1, lo1 := multiply(word(0), power(128+64))
	hi2, lo2 := multiply(word(1), power(128))
	folded := make([]byte, 16)
	binary.BigEndian.PutUint64(folded, word(2)^hi1^hi2)
	binary.BigEndian.PutUint64(folded[8:], word(3)^lo1^lo2)

	fmt.Printf("%#x %#x\n", crc16.Checksum(folded), crc16.Checksum(message))
	// Output:
	// 0xa16b 0xa16b
}

func Example_barrett() {
	multiply := func(a, b uint64) (r uint64) {
		for ; b != 0; b &= b - 1 {
			r ^= a << bits.TrailingZeros64(b)
		}
		return r
	}
	const p = 0x11021
	quotient := uint64(0) // of x^32 divided by P
	for n := uint64(1 << 32); n >= p; {
		shift := bits.Len64(n) - bits.Len64(p)
		quotient |= 1 << shift
		n ^= p << shift
	}
	fmt.Printf("%#x\n", quotient)

	// The remainder of a 16-bit value times x^16, by two multiplications.
	value := uint64(0xcafe)
	whole := multiply(value, quotient) >> 16
	remainder := multiply(whole, p) & 0xffff
	fmt.Printf("%#x %#x\n", remainder, crc16.Checksum([]byte{0xca, 0xfe}))
	// Output:
	// 0x11130
	// 0xf74e 0xf74e
}

func Example_combine() {
	head, tail := []byte("user:42:"), []byte("profile")
	whole := crc16.Checksum([]byte("user:42:profile"))
	fmt.Println(crc16.Update(crc16.Checksum(head), tail) == whole)
	fmt.Println(crc16.Combine(crc16.Checksum(head), crc16.Checksum(tail), len(tail)) == whole)
	// Output:
	// true
	// true
}
