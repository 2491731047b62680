package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/bits"
	"unicode/utf8"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/hashtag"
)

var slotCommand = command{
	name:    "slot",
	args:    "[KEY...]",
	short:   "the slot, hash tag and hashed part of each key",
	run:     runSlot,
	rawKeys: true,
	doc: `Without a KEY, slot reads keys from standard input, one per line, and answers them as
they arrive. Every byte of a line is part of the key: an empty line is the empty key,
and a carriage return before the newline belongs to the key. Write "--" before a KEY
that starts with "-".

Text is one line for each key, with four columns separated by TABs: slot, hash tag,
hashed part, key. The tag is empty if the key has none; then the whole key is hashed.
Control characters are written as \t, \n, \r or \xHH, and a backslash as \\, so a line
always has four columns. Sort by slot with "sort -n", and select slots and keys with
"cut -f 1,4".

JSON is one object per line. JSON cannot hold a key that is not UTF-8: without -hex,
such a key is an error.

With -hex, key, tag and hashed part are written in hex. With -unhex, keys are read in
hex. For binary keys use both, or -hex with -0.

An error in a line, such as a line that is too long or is not hex, names the line. All
keys before it are answered, and none after it.
`,
	example: `$ hashslot slot user:{123}:profile user:{123}:settings mykey
5970	123	123	user:{123}:profile
5970	123	123	user:{123}:settings
14687		mykey	mykey
$ hashslot slot -format json user:{123}:profile
{"key":"user:{123}:profile","slot":5970,"tag":"123","hashed":"123"}
$ hashslot slot -unhex -hex ff007b617d
15495	61	61	ff007b617d
`,
}

func runSlot(e *env) int {
	var (
		fs         flag.FlagSet
		in         inputFlags
		form       outputFlag
		hex, unhex bool
	)
	in.add(&fs)
	form.add(&fs)
	fs.BoolVar(&hex, "hex", false, "write key, tag and hashed part in hex")
	fs.BoolVar(&unhex, "unhex", false, "read keys in hex")
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	if err := first(in.check(), form.check()); err != nil {
		return e.badUse(err)
	}
	json := form.json()
	enc := appendText
	switch {
	case hex:
		enc = appendHex
	case json:
		enc = appendJSON
	}
	return e.answer(in, maxWorkers, func() worker {
		var slots []hashslot.Slot
		return func(o *output, keys [][]byte) (int, error) {
			var bad error
			if unhex {
				keys, bad = unhexAll(keys)
			}
			slots = hashslot.AppendOfBytes(slots[:0], keys)
			dst := o.buf
			for i, key := range keys {
				start, end, tagged := hashtag.Find(key)
				hashed, tag := key[start:end], key[:0]
				if tagged {
					tag = hashed
				}
				short := !hex && len(key) <= blockSize
				switch {
				case json && short && plainJSON(key):
					dst = appendSlotJSON(dst, key, slots[i], tag, hashed)
				case json:
					o.buf = dst
					if !hex && !utf8.Valid(key) {
						return i, errNotUTF8
					}
					o.slotJSON(enc, key, slots[i], tag, hashed)
					dst = o.buf
				case short && plainText(key):
					dst = appendSlotText(dst, key, slots[i], tag, hashed)
				default:
					o.buf = dst
					o.slotText(enc, key, slots[i], tag, hashed)
					dst = o.buf
				}
			}
			o.buf = dst
			return len(keys), bad
		}
	})
}

var errNotUTF8 = errors.New("JSON cannot hold a key that is not UTF-8: use -hex")

// slotText and slotJSON write the line for any key.
func (o *output) slotText(enc encoder, key []byte, slot hashslot.Slot, tag, hashed []byte) {
	o.buf = appendSlot(o.buf, slot)
	o.text("\t")
	o.value(enc, tag)
	o.text("\t")
	o.value(enc, hashed)
	o.text("\t")
	o.value(enc, key)
	o.text("\n")
}

func (o *output) slotJSON(enc encoder, key []byte, slot hashslot.Slot, tag, hashed []byte) {
	o.keyJSON(enc, key, slot, tag, hashed)
	o.text("}\n")
}

// keyJSON writes an object without its closing brace.
func (o *output) keyJSON(enc encoder, key []byte, slot hashslot.Slot, tag, hashed []byte) {
	o.text(`{"key":"`)
	o.value(enc, key)
	o.text(`","slot":`)
	o.buf = appendSlot(o.buf, slot)
	o.text(`,"tag":"`)
	o.value(enc, tag)
	o.text(`","hashed":"`)
	o.value(enc, hashed)
	o.text(`"`)
}

// appendSlotText and appendSlotJSON do the same for a short key with nothing to escape,
// twice as fast. Nearly every key of a long input is one.
func appendSlotText(dst, key []byte, slot hashslot.Slot, tag, hashed []byte) []byte {
	dst = appendSlot(dst, slot)
	dst = append(dst, '\t')
	dst = append(dst, tag...)
	dst = append(dst, '\t')
	dst = append(dst, hashed...)
	dst = append(dst, '\t')
	dst = append(dst, key...)
	return append(dst, '\n')
}

func appendSlotJSON(dst, key []byte, slot hashslot.Slot, tag, hashed []byte) []byte {
	dst = append(dst, `{"key":"`...)
	dst = append(dst, key...)
	dst = append(dst, `","slot":`...)
	dst = appendSlot(dst, slot)
	dst = append(dst, `,"tag":"`...)
	dst = append(dst, tag...)
	dst = append(dst, `","hashed":"`...)
	dst = append(dst, hashed...)
	return append(dst, "\"}\n"...)
}

// appendSlot appends the digits of slot. It does not branch on their number, which is
// unpredictable.
func appendSlot(dst []byte, slot hashslot.Slot) []byte {
	high, low := uint64(slot)/100, uint64(slot)%100
	digits := high/100 | high/10%10<<8 | high%10<<16 | low/10<<24 | low%10<<32 // the first is the lowest byte
	zeros := bits.TrailingZeros64(digits|1<<32) / 8                            // leading zeros; 0 itself has one digit
	dst = binary.LittleEndian.AppendUint64(dst, (digits+'0'*0x0101010101)>>(8*zeros))
	return dst[:len(dst)-8+5-zeros]
}

// unhexAll decodes keys in place. At the first key that is not hex, it returns an error
// and the keys before it.
func unhexAll(keys [][]byte) ([][]byte, error) {
	for i, key := range keys {
		decoded, err := unhex(key)
		if err != nil {
			return keys[:i], err
		}
		keys[i] = decoded
	}
	return keys, nil
}

func unhex(key []byte) ([]byte, error) {
	for i, c := range key {
		var digit byte
		switch {
		case '0' <= c && c <= '9':
			digit = c - '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			digit = c | 0x20 - 'a' + 10
		default:
			return nil, fmt.Errorf("byte %d, %q, is not a hex digit", i+1, []byte{c})
		}
		if i&1 == 0 {
			key[i/2] = digit << 4
		} else {
			key[i/2] |= digit
		}
	}
	if len(key)&1 != 0 {
		return nil, fmt.Errorf("%d is an odd number of hex digits", len(key))
	}
	return key[:len(key)/2], nil
}
