package main

import (
	"bytes"
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
	fs.StringVar(&f.format, "format", "text", "the `format` of the output: text or json")
}

func (f *outputFlag) check() error {
	if f.format != "text" && f.format != "json" {
		return fmt.Errorf("-format must be text or json, not %q", f.format)
	}
	return nil
}

func (f *outputFlag) json() bool { return f.format == "json" }

// An output collects answers in buf, and writes them to w if w is not nil. After the
// first error of w it writes nothing more.
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

// An encoder appends value to dst in the format of the output. Encoding a value in
// pieces that are cut between runes gives the same result.
type encoder func(dst, value []byte) []byte

// value appends a value of any length. If w is not nil, it encodes and writes a long
// value in pieces, so that it never holds all of it.
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

// hasBelow is not 0 if a byte of x is less than n, which is at most 128. hasByte is not
// 0 if a byte of x is c.
func hasBelow(x uint64, n byte) uint64 { return (x - ones*uint64(n)) &^ x & highs }
func hasByte(x uint64, c byte) uint64  { return hasBelow(x^ones*uint64(c), 1) }

// plainText and plainJSON report whether appendText and appendJSON append a value
// unchanged.
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

func textSpecial(x uint64) uint64 {
	return hasBelow(x, ' ') | hasByte(x, '\\') | hasByte(x, 0x7f) | x&highs
}

func jsonSpecial(x uint64) uint64 {
	return hasBelow(x, ' ') | hasByte(x, '\\') | hasByte(x, '"') | hasByte(x, 0x7f) | x&highs
}

// last returns less than eight bytes as one word, padded with spaces.
func last(value []byte) uint64 {
	x := uint64(ones * ' ')
	for _, c := range value {
		x = x<<8 | uint64(c)
	}
	return x
}

const hexDigits = "0123456789abcdef"

// appendText appends value as one column of one line. Different values give different
// text, and the text can neither control a terminal nor change the order of what it
// shows: backslashes, control characters of ASCII, Latin-1 and Unicode, and bytes that
// are not UTF-8 are escaped. All other characters stay as they are.
func appendText(dst, value []byte) []byte { return appendEscaped(dst, value, true) }

// harmless returns text for a message, which cannot control a terminal either. It keeps
// quotes and backslashes, because they already escape something.
func harmless(text string) string { return string(appendEscaped(nil, []byte(text), false)) }

// shown returns text as appendText writes it.
func shown(text string) string { return string(appendText(nil, []byte(text))) }

func appendEscaped(dst, value []byte, backslash bool) []byte {
	start := 0
	for i := 0; i < len(value); {
		c, size := rune(value[i]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRune(value[i:])
		}
		if !dangerous(c, size) && (c != '\\' || !backslash) {
			i += size
			continue
		}
		dst = append(dst, value[start:i]...)
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
			for _, b := range value[i : i+size] {
				dst = append(dst, '\\', 'x', hexDigits[b>>4], hexDigits[b&15])
			}
		}
		i += size
		start = i
	}
	return append(dst, value[start:]...)
}

// dangerous reports whether c, decoded from size bytes, is a control character, ends a
// line, changes the direction of text, or is not a valid character.
func dangerous(c rune, size int) bool {
	switch {
	case c < ' ', 0x7f <= c && c < 0xa0:
		return true
	case c == utf8.RuneError:
		return size == 1
	case c < 0x61c:
		return false
	}
	return c == 0x61c || 0x200e <= c && c <= 0x200f || 0x2028 <= c && c <= 0x202e || 0x2066 <= c && c <= 0x2069 || c == 0xfeff
}

// appendJSON appends value, which is UTF-8, as the inside of a JSON string. The result
// is that of encoding/json with HTML escaping off, except that characters that could
// control a terminal or change the order of what it shows are escaped.
func appendJSON(dst, value []byte) []byte {
	start := 0
	for i := 0; i < len(value); {
		c, size := rune(value[i]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRune(value[i:])
		}
		if !dangerous(c, size) && c != '\\' && c != '"' {
			i += size
			continue
		}
		dst = append(dst, value[start:i]...)
		i += size
		start = i
		switch c {
		case '\\', '"':
			dst = append(dst, '\\', byte(c))
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
			dst = appendUnicode(dst, c)
		}
	}
	return append(dst, value[start:]...)
}

func appendUnicode(dst []byte, c rune) []byte {
	return fmt.Appendf(dst, `\u%04x`, c)
}

// harmlessJSON returns a JSON text with the characters escaped that appendJSON escapes.
// They occur in strings only.
func harmlessJSON(text []byte) []byte {
	bad := func(c rune) bool { return c != '\n' && dangerous(c, utf8.RuneLen(c)) }
	if !bytes.ContainsFunc(text, bad) {
		return text
	}
	var out []byte
	for _, c := range string(text) {
		if bad(c) {
			out = appendUnicode(out, c)
		} else {
			out = utf8.AppendRune(out, c)
		}
	}
	return out
}

func appendHex(dst, value []byte) []byte { return hex.AppendEncode(dst, value) }
