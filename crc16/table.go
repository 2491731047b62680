package crc16

//go:generate go run gen_tables.go

// Table returns the checksum of p by table lookup, sixteen bytes a step
// ("slicing by 16"). Its 8 KiB of tables make short messages fast while they
// are in the cache, and push other data out of it. [Checksum] is the better
// choice for all programs but those that do little else. docs/performance.md
// compares them.
func Table(p []byte) uint16 {
	// tables[k][v] is v·x^(8k+16) mod P: what the byte v adds to the checksum
	// when k more bytes follow it.
	t := &tables
	var crc uint16
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
