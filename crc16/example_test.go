package crc16_test

import (
	"fmt"

	"github.com/hashslot/hashslot/crc16"
)

// The check value of CRC-16/XMODEM.
func Example() {
	fmt.Printf("%#04x\n", crc16.ChecksumString("123456789"))
	// Output: 0x31c3
}

func ExampleUpdate() {
	crc := crc16.ChecksumString("1234")
	fmt.Printf("%#04x\n", crc16.Update(crc, []byte("56789")))
	// Output: 0x31c3
}

// Two parts are summed separately, for example by two goroutines.
func ExampleCombine() {
	a, b := []byte("1234"), []byte("56789")
	fmt.Printf("%#04x\n", crc16.Combine(crc16.Checksum(a), crc16.Checksum(b), len(b)))
	// Output: 0x31c3
}

func ExampleDigest() {
	var d crc16.Digest
	d.Write([]byte("1234"))
	fmt.Fprintf(&d, "%d", 56789)
	fmt.Printf("%#04x\n", d.Sum16())
	// Output: 0x31c3
}
