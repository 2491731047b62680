package main

import "strings"

// The method of most clients: the standard library's search for the tag, then one table
// lookup for each byte.

var table = func() (t [256]uint16) {
	for i := range t {
		crc := uint16(i) << 8
		for range 8 {
			carry := crc >> 15
			crc = crc<<1 ^ carry*0x1021
		}
		t[i] = crc
	}
	return t
}()

func bytewiseSum[T string | []byte](p T) uint16 {
	var crc uint16
	for i := range len(p) {
		crc = crc<<8 ^ table[byte(crc>>8)^p[i]]
	}
	return crc
}

func bytewise(key string) uint16 {
	if start := strings.IndexByte(key, '{'); start >= 0 {
		if n := strings.IndexByte(key[start+1:], '}'); n > 0 {
			key = key[start+1 : start+1+n]
		}
	}
	return bytewiseSum(key) % 16384
}
