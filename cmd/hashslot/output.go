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

// An output is where answers go: to buf, and from there to w, if there is one
// yet. The first error of w ends all writing.
type output struct {
	buf []byte
	w   io.Writer
	err error
}

func (o *output) flush() error {
	if o.err == nil && len(o.buf) > 0 {
		_, o.err = o.w.Write(o.buf)
	}
	o.buf = o.buf[:0]
	return o.err
}

// An encoder appends value to dst in the form that the output has. It gives the
// same for a value at once and for its runes, piece by piece.
type encoder func(dst, value []byte) []byte

// value appends a value of any length. If there is a w, it keeps no more than a
// piece of it.
func (o *output) value(enc encoder, value []byte) {
	for o.w != nil && len(value) > blockSize {
		n := blockSize
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

func (o *output) text(s string) { o.buf = append(o.buf, s...) }

const (
	ones  = 0x0101010101010101 // 1 in every byte
	highs = 0x8080808080808080 // the high bit of every byte
)

// hasBelow is not 0 if a byte of x is less than n, at most 128, and hasByte if
// one is c.
func hasBelow(x uint64, n byte) uint64 { return (x - ones*uint64(n)) &^ x & highs }
func hasByte(x uint64, c byte) uint64  { return hasBelow(x^ones*uint64(c), 1) }

// plainText and plainJSON report whether appendText and appendJSON append a
// value as it is.
func plainText(value []byte) bool {
	special := uint64(0)
	for ; len(value) >= 8; value = value[8:] {
		special |= textSpecial(binary.LittleEndian.Uint64(value))
	}
	return special|textSpecial(last(value)) == 0
}

func plainJSON(value []byte) bool {
	special := uint64(0)
	for ; len(value) >= 8; value = value[8:] {
		special |= jsonSpecial(binary.LittleEndian.Uint64(value))
	}
	return special|jsonSpecial(last(value)) == 0
}

func textSpecial(x uint64) uint64 { return hasBelow(x, ' ') | hasByte(x, '\\') | hasByte(x, 0x7f) }

func jsonSpecial(x uint64) uint64 {
	return hasBelow(x, ' ') | hasByte(x, '\\') | hasByte(x, '"') | x&highs
}

// last returns less than eight bytes as one word, filled up with spaces.
func last(value []byte) uint64 {
	x := uint64(ones * ' ')
	for _, c := range value {
		x = x<<8 | uint64(c)
	}
	return x
}

const hexDigits = "0123456789abcdef"

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

// appendJSON appends value, which is UTF-8, as the inside of a JSON string:
// what encoding/json writes with HTML escaping off.
func appendJSON(dst, value []byte) []byte {
	start := 0
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c >= ' ' && c != '\\' && c != '"' && c != 0xe2 {
			continue
		}
		if c == 0xe2 {
			// U+2028 and U+2029, E2 80 A8 and A9, end a line of JavaScript.
			if value[i+1] == 0x80 && value[i+2]&^1 == 0xa8 {
				dst = append(dst, value[start:i]...)
				dst = append(dst, `\u202`...)
				dst = append(dst, hexDigits[value[i+2]&15])
				start = i + 3
			}
			i += 2
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
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(dst, value[start:]...)
}

func appendHex(dst, value []byte) []byte { return hex.AppendEncode(dst, value) }
