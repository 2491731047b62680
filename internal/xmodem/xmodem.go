// Package xmodem computes CRC-16/XMODEM by its definition and by tables. Tests and
// benchmarks compare the forms that programs use with these.
package xmodem

// Bitwise returns the checksum of p by the definition: the remainder of p(x)*x^16
// divided by x^16 + x^12 + x^5 + 1, found one bit at a time. It is the reference that
// everything else is tested against, and slow: O(8 len(p)).
func Bitwise(p []byte) uint16 {
	var crc uint16
	for _, b := range p {
		crc = Step(crc, b)
	}
	return crc
}

// Step returns the checksum of a message whose first part has the checksum crc and whose
// last byte is b.
func Step(crc uint16, b byte) uint16 {
	crc ^= uint16(b) << 8
	for range 8 {
		carry := crc>>15 != 0
		crc <<= 1
		if carry {
			crc ^= 0x1021
		}
	}
	return crc
}

// tables[k][v] is v·x^(8k+16) mod P: what the byte v adds to the checksum when k more
// bytes follow it.
var tables = func() (t [16][256]uint16) {
	for v := range 256 {
		crc := Step(0, byte(v))
		for k := range t {
			t[k][v] = crc
			crc = Step(crc, 0)
		}
	}
	return t
}()

// Table returns the checksum of p by table lookup, sixteen bytes a step ("slicing by
// 16"). Its 8 KiB of tables are fast for short messages while they are in the cache, but
// push other data out of it.
func Table(p []byte) uint16 { return TableUpdate(0, p) }

// TableUpdate returns the checksum of a message whose first part has the checksum crc and
// whose rest is p, as Table does.
func TableUpdate(crc uint16, p []byte) uint16 {
	t := &tables
	for len(p) >= 16 {
		crc = t[15][p[0]^byte(crc>>8)] ^ t[14][p[1]^byte(crc)] ^
			t[13][p[2]] ^ t[12][p[3]] ^ t[11][p[4]] ^ t[10][p[5]] ^
			t[9][p[6]] ^ t[8][p[7]] ^ t[7][p[8]] ^ t[6][p[9]] ^
			t[5][p[10]] ^ t[4][p[11]] ^ t[3][p[12]] ^ t[2][p[13]] ^
			t[1][p[14]] ^ t[0][p[15]]
		p = p[16:]
	}
	if len(p) >= 8 {
		crc = t[7][p[0]^byte(crc>>8)] ^ t[6][p[1]^byte(crc)] ^
			t[5][p[2]] ^ t[4][p[3]] ^ t[3][p[4]] ^ t[2][p[5]] ^
			t[1][p[6]] ^ t[0][p[7]]
		p = p[8:]
	}
	for _, b := range p {
		crc = crc<<8 ^ t[0][byte(crc>>8)^b]
	}
	return crc
}
