package main

import (
	"flag"
	"fmt"
	"sync/atomic"
	"unicode/utf8"

	"github.com/hashslot/hashslot"
	slotcommand "github.com/hashslot/hashslot/slotmap/command"
)

var keysCommand = command{
	name:  "keys",
	args:  "[CMD [ARG...]]",
	short: "which arguments of a command are keys, and their slots",
	run:   runKeys,
	doc: `Without a CMD, keys reads commands from standard input, one per line.
` + commandsDoc + `
The keys are those that COMMAND GETKEYS of Valkey 9.1 or Redis 8.6 finds. Write "--"
before CMD if one of its arguments starts with "-".

Text is one line for each command, with columns separated by TABs: its name, the slots
of its keys separated by spaces ("-" if it has no keys), then a column for each key. If
the keys cannot be found, the second column is "error" and the third gives the reason.

JSON is one object per line: "command", "keys", "slots", and "error" if the keys cannot
be found. Channels of sharded pub/sub are not keys but have slots. JSON lists them in
"channels" and "channel_slots", text in place of keys.

With -hex, keys are written in hex. Without -hex, JSON has an "error" for a command
with a key that is not UTF-8.

The exit status is 1 if the keys of any command cannot be found. All other commands
are still answered.
`,
	example: `$ hashslot keys MSET a 1 b 2
mset	15495 3300	a	b
$ hashslot keys -format json -- EVAL script 2 {a}x {a}y -1
{"command":"eval","keys":["{a}x","{a}y"],"slots":[15495,15495]}
$ hashslot keys CONFIG GET maxmemory
config|get	-
`,
}

func runKeys(e *env) int {
	var (
		fs   flag.FlagSet
		cf   commandFlags
		in   inputFlags
		form outputFlag
		hex  bool
	)
	cf.add(&fs)
	in.add(&fs)
	form.add(&fs)
	fs.BoolVar(&hex, "hex", false, "write keys in hex")
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	if err := first(cf.check(), in.check(), form.check()); err != nil {
		return e.badUse(err)
	}
	a := keysAnswer{json: form.json(), hex: hex}
	code := cf.answer(e, in, maxWorkers, func() func(*output, commandLine, error) {
		var keys []slotcommand.Key
		return func(o *output, c commandLine, err error) { keys = a.command(o, keys, c.args, err) }
	})
	if code != exitOK {
		return code
	}
	return a.code(e)
}

// A keysAnswer writes answers. Workers share it.
type keysAnswer struct {
	json, hex bool
	bad       atomic.Int64 // commands whose keys could not be found
}

// command writes the answer to one command, or why it could not be read. It reuses the
// memory of keys, and returns it for the next call.
func (a *keysAnswer) command(o *output, keys []slotcommand.Key, args [][]byte, err error) []slotcommand.Key {
	keys = keys[:0]
	if err == nil {
		keys, err = a.find(keys, args)
	}
	enc := appendText
	switch {
	case a.hex:
		enc = appendHex
	case a.json:
		enc = appendJSON
	}
	if err != nil {
		a.bad.Add(1) // there are no keys then
	}
	if a.json {
		keysJSON(o, keys, args, enc, err)
	} else {
		keysText(o, keys, args, enc, err)
	}
	return keys
}

// find appends the keys of a command. Keys that the answer cannot hold are an error.
func (a *keysAnswer) find(keys []slotcommand.Key, args [][]byte) ([]slotcommand.Key, error) {
	keys, err := slotcommand.Keys(keys, args)
	if err != nil || !a.json || a.hex {
		return keys, err
	}
	for _, k := range keys {
		if !utf8.Valid(args[k.Index]) {
			return nil, errNotUTF8
		}
	}
	return keys, nil
}

// keysText writes an answer as text: the command, the slots, the keys.
func keysText(o *output, keys []slotcommand.Key, args [][]byte, enc encoder, err error) {
	o.value(appendText, []byte(commandName(args)))
	switch {
	case err != nil:
		o.text("\terror\t")
		o.value(appendText, []byte(reason(err)))
	case len(keys) == 0:
		o.text("\t-")
	}
	before := "\t"
	for _, k := range keys {
		o.text(before)
		before = " "
		o.buf = appendSlot(o.buf, hashslot.OfBytes(args[k.Index]))
	}
	for _, k := range keys {
		o.text("\t")
		o.value(enc, args[k.Index])
	}
	o.text("\n")
}

// keysJSON writes an answer as JSON.
func keysJSON(o *output, keys []slotcommand.Key, args [][]byte, enc encoder, err error) {
	o.text(`{"command":"`)
	o.value(appendJSON, []byte(commandName(args)))
	o.text(`"`)
	list := func(name string, use slotcommand.Use, value func(arg []byte)) {
		o.text(`,"` + name + `":[`)
		n := 0
		for _, k := range keys {
			if k.Use&slotcommand.UseNotKey == use {
				if n++; n > 1 {
					o.text(",")
				}
				value(args[k.Index])
			}
		}
		o.text("]")
	}
	text := func(arg []byte) {
		o.text(`"`)
		o.value(enc, arg)
		o.text(`"`)
	}
	slot := func(arg []byte) { o.buf = appendSlot(o.buf, hashslot.OfBytes(arg)) }
	list("keys", 0, text)
	list("slots", 0, slot)
	if len(keys) > 0 && keys[0].Use&slotcommand.UseNotKey != 0 {
		list("channels", slotcommand.UseNotKey, text)
		list("channel_slots", slotcommand.UseNotKey, slot)
	}
	if err != nil {
		o.text(`,"error":"`)
		o.value(appendJSON, []byte(reason(err)))
		o.text(`"`)
	}
	o.text("}\n")
}

func (a *keysAnswer) code(e *env) int {
	if n := a.bad.Load(); n > 0 {
		return e.fail(fmt.Errorf("the keys of %s cannot be found", count(int(n), "command", "commands")))
	}
	return exitOK
}
