package hashslot

import "unsafe"

// Checksum returns the CRC-16/XMODEM of p, of any length: without the hash tag
// rule, and not reduced to a slot. It computes crc16() of Valkey's src/crc16.c.
func Checksum(p []byte) uint16 { return update(0, p) }

// ChecksumString is [Checksum] of the bytes of s, without a copy.
func ChecksumString(s string) uint16 {
	return update(0, unsafe.Slice(unsafe.StringData(s), len(s)))
}

// Update returns the checksum of a message whose first part has the checksum
// crc and whose rest is p.
func Update(crc uint16, p []byte) uint16 { return update(crc, p) }
