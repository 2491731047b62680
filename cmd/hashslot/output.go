package main

import (
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"unicode/utf8"
)

// outputFlag is the option -format.
type outputFlag struct{ format string }

func (f *outputFlag) add(fs *flag.FlagSet) {
	fs.StringVar(&f.format, "format", "text", "the `format` of the output, text or json")
}

func (f *outputFlag) check() error {
	if f.format != "text" && f.format != "json" {
		return fmt.Errorf("-format %q is not text or json", f.format)
	}
	return nil
}

func (f *outputFlag) json() bool { return f.format == "json" }

// flushSize is how much an output holds back, and the longest piece of a value
// that is encoded at once.
const flushSize = 128 << 10

// An output collects what is written to w. Its first error ends all writing.
type output struct {
	w   io.Writer
	buf []byte
	err error
}

func (o *output) flush() error {
	if o.err == nil && len(o.buf) > 0 {
		_, o.err = o.w.Write(o.buf)
	}
	o.buf = o.buf[:0]
	return o.err
}

// An encoder appends a value to dst in the form that the output wants. It
// gives the same for a value and for its pieces, cut between characters.
type encoder func(dst, value []byte) []byte

// value writes a value of any length, in bounded memory.
func (o *output) value(enc encoder, value []byte) {
	for len(value) > flushSize {
		n := flushSize
		for i := range utf8.UTFMax {
			if utf8.RuneStart(value[n-i]) {
				n -= i
				break
			}
		}
		o.buf = enc(o.buf, value[:n])
		value = value[n:]
		if o.flush() != nil {
			return
		}
	}
	o.buf = enc(o.buf, value)
}

const (
	ones  = 0x0101010101010101 // 1 in every byte
	highs = 0x8080808080808080 // the high bit of every byte
)

// The following three report in their high bits whether a byte of x is below
// n, at most 128, whether one is c, and whether one is not ASCII.
func hasBelow(x uint64, n byte) uint64 { return (x - ones*uint64(n)) &^ x & highs }
func hasByte(x uint64, c byte) uint64  { return hasBelow(x^ones*uint64(c), 1) }
func hasHigh(x uint64) uint64          { return x & highs }

// plain reports whether special finds nothing in any eight bytes of value.
func plain(value []byte, special func(uint64) uint64) bool {
	if len(value) < 8 {
		const spaces = 0x2020202020202020 // special to nobody
		x := uint64(spaces)
		for _, c := range value {
			x = x<<8 | uint64(c)
		}
		return special(x) == 0
	}
	found := uint64(0)
	for rest := value; len(rest) >= 8; rest = rest[8:] {
		found |= special(binary.LittleEndian.Uint64(rest))
	}
	// The last eight bytes, of which some may have been looked at.
	return found|special(binary.LittleEndian.Uint64(value[len(value)-8:])) == 0
}

func textSpecial(x uint64) uint64 { return hasBelow(x, ' ') | hasByte(x, '\\') | hasByte(x, 0x7f) }
func jsonSpecial(x uint64) uint64 {
	return hasBelow(x, ' ') | hasByte(x, '\\') | hasByte(x, '"') | hasHigh(x)
}

// appendText appends value so that it is one column of one line, can be told
// from any other value, and cannot command a terminal: control characters and
// the backslash are escaped, all other bytes are as they are.
func appendText(dst, value []byte) []byte {
	start := 0
	for i, c := range value {
		if c >= ' ' && c != '\\' && c != 0x7f {
			continue
		}
		dst = append(dst, value[start:i]...)
		start = i + 1
		switch c {
		case '\\':
			dst = append(dst, `\\`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		default:
			dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(dst, value[start:]...)
}

const hexDigits = "0123456789abcdef"

// appendJSON appends value, valid UTF-8, as the inside of a JSON string: what
// encoding/json writes with HTML escaping off.
func appendJSON(dst, value []byte) []byte {
	start := 0
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c >= ' ' && c != '\\' && c != '"' && c != 0xe2 {
			continue
		}
		if c == 0xe2 {
			// U+2028 and U+2029 are line ends to JavaScript: E2 80 A8 and A9.
			if i+2 >= len(value) || value[i+1] != 0x80 || value[i+2]&^1 != 0xa8 {
				continue
			}
			dst = append(dst, value[start:i]...)
			dst = append(dst, `\u202`...)
			dst = append(dst, hexDigits[value[i+2]&15])
			i += 2
			start = i + 1
			continue
		}
		dst = append(dst, value[start:i]...)
		start = i + 1
		switch c {
		case '\\', '"':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(dst, value[start:]...)
}

func appendHex(dst, value []byte) []byte { return hex.AppendEncode(dst, value) }
