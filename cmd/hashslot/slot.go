package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/hashtag"
)

var slotCommand = command{
	name:  "slot",
	args:  "[KEY...]",
	short: "the slot, hash tag and hashed part of each key",
	run:   runSlot,
	doc: `Without a KEY, keys are read from standard input, one a line, any number of
them, and answered as they come. A line is a key as it stands: an empty line is
the empty key, and a carriage return in front of the newline belongs to the key.
A KEY that starts with "-" goes behind "--".

Text has one line for each key, with four columns and a TAB between them: slot,
hash tag, hashed part, key. The tag is empty if the key has none; then the key is
hashed as a whole. Control characters are written as \t, \n, \r or \xHH and a
backslash as \\, so that there are always four columns. Sort by slot with
"sort -n", and take slots and keys with "cut -f 1,4".

JSON is one object a line. It cannot hold a key that is not UTF-8: such a key is
an error that asks for -hex.

With -hex, key, tag and hashed part are written in hex. With -unhex, keys are
read in hex. For binary keys use both, or -hex with -0.

A line that is too long, or not hex, is an error with its number. All keys before
it are answered, and none after it.
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
		fs    flag.FlagSet
		in    inputFlags
		form  outputFlag
		unhex bool
		f     slotWriter
	)
	in.add(&fs)
	form.add(&fs)
	fs.BoolVar(&f.hex, "hex", false, "write key, tag and hashed part in hex")
	fs.BoolVar(&unhex, "unhex", false, "read keys in hex")
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	if err := errors.Join(in.check(), form.check()); err != nil {
		return e.badUse(err)
	}
	f.json = form.json()
	f.out.w = e.stdout

	keys := in.open(e)
	meter := newProgress(e, keys)
	defer meter.end()
	var slots []hashslot.Slot
	for {
		b, err := keys.next()
		if err == io.EOF {
			return exitOK
		} else if err != nil {
			return e.fail(err)
		}
		var bad error
		if unhex {
			b.items, bad = unhexAll(b.items)
		}
		slots = hashslot.AppendOfBytes(slots[:0], b.items)
		n, err := f.write(b.items, slots)
		if err != nil {
			bad = err
		}
		if err := f.out.flush(); err != nil {
			return e.fail(err)
		}
		if bad != nil {
			return e.badItem(keys, b.first+int64(n), bad)
		}
		meter.add(len(b.items))
	}
}

// badItem reports what is wrong with an item of a source.
func (e *env) badItem(s source, number int64, err error) int {
	err = &itemError{s.unit(), number, err.Error()}
	if _, ok := s.(*argSource); ok {
		return e.badUse(err)
	}
	return e.fail(err)
}

// A slotWriter writes the lines of the command slot.
type slotWriter struct {
	out       output
	json, hex bool
}

var errNotUTF8 = errors.New("the key is not UTF-8, and JSON cannot hold it: use -hex")

// write writes a line for each key and returns how many it wrote. The only
// error is errNotUTF8; that of the output stays there.
func (w *slotWriter) write(keys [][]byte, slots []hashslot.Slot) (int, error) {
	enc := appendText
	switch {
	case w.hex:
		enc = appendHex
	case w.json:
		enc = appendJSON
	}
	for i, key := range keys {
		start, end, tagged := hashtag.Find(key)
		hashed := key[start:end]
		var tag []byte
		if tagged {
			tag = hashed
		}
		switch {
		case w.json:
			if !w.hex {
				if plain(key, jsonSpecial) && len(key) < flushSize {
					w.out.buf = appendSlotJSON(w.out.buf, key, slots[i], tag, hashed)
					break
				}
				if !utf8.Valid(key) {
					return i, errNotUTF8
				}
			}
			w.out.buf = append(w.out.buf, `{"key":"`...)
			w.out.value(enc, key)
			w.out.buf = append(w.out.buf, `","slot":`...)
			w.out.buf = strconv.AppendUint(w.out.buf, uint64(slots[i]), 10)
			w.out.buf = append(w.out.buf, `,"tag":"`...)
			w.out.value(enc, tag)
			w.out.buf = append(w.out.buf, `","hashed":"`...)
			w.out.value(enc, hashed)
			w.out.buf = append(w.out.buf, "\"}\n"...)
		case !w.hex && plain(key, textSpecial) && len(key) < flushSize:
			w.out.buf = appendSlotText(w.out.buf, key, slots[i], tag, hashed)
		default:
			w.out.buf = strconv.AppendUint(w.out.buf, uint64(slots[i]), 10)
			w.out.buf = append(w.out.buf, '\t')
			w.out.value(enc, tag)
			w.out.buf = append(w.out.buf, '\t')
			w.out.value(enc, hashed)
			w.out.buf = append(w.out.buf, '\t')
			w.out.value(enc, key)
			w.out.buf = append(w.out.buf, '\n')
		}
		if len(w.out.buf) >= flushSize && w.out.flush() != nil {
			return i, nil
		}
	}
	return len(keys), nil
}

// appendSlotText and appendSlotJSON append the line of a key without anything
// to escape: nearly all of them.
func appendSlotText(dst, key []byte, slot hashslot.Slot, tag, hashed []byte) []byte {
	dst = strconv.AppendUint(dst, uint64(slot), 10)
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
	dst = strconv.AppendUint(dst, uint64(slot), 10)
	dst = append(dst, `,"tag":"`...)
	dst = append(dst, tag...)
	dst = append(dst, `","hashed":"`...)
	dst = append(dst, hashed...)
	return append(dst, "\"}\n"...)
}

// unhexAll decodes keys in place. The error is that of the first key that is
// not hex; the result is of the keys in front of it.
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
			digit = c|0x20 - 'a' + 10
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
		return nil, fmt.Errorf("%d hex digits are an odd number", len(key))
	}
	return key[:len(key)/2], nil
}
