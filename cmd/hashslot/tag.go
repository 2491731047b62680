package main

import (
	"flag"
	"fmt"

	"github.com/hashslot/hashslot"
)

var tagCommand = command{
	name:  "tag",
	args:  "[SLOT...]",
	short: "a short hash tag for each slot",
	run:   runTag,
	doc: `A key with the tag in braces is in the slot: "{06S}anything" is in slot 0. The
tag is of letters and digits, one to three, and as short as can be.

Without a SLOT, slots are read from standard input, one a line. A carriage return
in front of a newline is ignored.

Text has one line for each slot, with two columns and a TAB between them: slot,
tag. JSON is one object a line.

A line that is not a slot is an error with its number. All slots before it are
answered, and none after it.
`,
	example: `$ hashslot tag 0 16383
0	06S
16383	6ZJ
$ hashslot tag -format json 12182
{"slot":12182,"tag":"9Le"}
`,
}

func runTag(e *env) int {
	var (
		fs   flag.FlagSet
		in   inputFlags
		form outputFlag
	)
	in.add(&fs)
	form.add(&fs)
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	if err := first(in.check(), form.check()); err != nil {
		return e.badUse(err)
	}
	line := "%d\t%s\n"
	if form.json() {
		line = `{"slot":%d,"tag":"%s"}` + "\n"
	}
	return e.answer(in, maxWorkers, func() worker {
		return func(o *output, items [][]byte) (int, error) {
			for i, item := range items {
				slot, err := parseSlot(item)
				if err != nil {
					return i, err
				}
				o.buf = fmt.Appendf(o.buf, line, slot, slot.Tag())
			}
			return len(items), nil
		}
	})
}

func parseSlot(text []byte) (hashslot.Slot, error) {
	if n := len(text); n > 0 && text[n-1] == '\r' {
		text = text[:n-1]
	}
	if len(text) > 64 {
		return 0, fmt.Errorf("%q... is not a slot, 0 to %d", text[:64], hashslot.Count-1)
	}
	slot, err := hashslot.ParseSlot(string(text))
	if err != nil {
		return 0, fmt.Errorf("%q is not a slot, 0 to %d", text, hashslot.Count-1)
	}
	return slot, nil
}
