package main

import (
	"flag"
	"fmt"

	"github.com/hashslot/hashslot"
)

var tagCommand = command{
	name:  "tag",
	args:  "[-n N | SLOT...]",
	short: "a short hash tag for each slot, or for each of n partitions",
	run:   runTag,
	doc: `A key with the tag in braces is in the slot: "{06S}anything" is in slot 0. A tag has
one to three letters and digits. No tag for that slot is shorter.

Without a SLOT, tag reads slots from standard input, one per line. A carriage return
before a newline is ignored.

With -n, tag prints one tag for each of N partitions and reads no slots. The tags are
spread evenly over the slots: if up to N shards own ranges of equal size, their numbers
of tags differ by at most one (two for N above 128). Another N gives other tags.

Text is one line for each slot, with two columns separated by a TAB: slot, tag. JSON is
one object per line.

A line that is not a slot is an error that names the line. All slots before it are
answered, and none after it.
`,
	example: `$ hashslot tag 0 16383
0	06S
16383	6ZJ
$ hashslot tag -format json 12182
{"slot":12182,"tag":"9Le"}
$ hashslot tag -n 2
4096	0cY
12288	356
`,
}

func runTag(e *env) int {
	var (
		fs   flag.FlagSet
		in   inputFlags
		form outputFlag
		n    int
	)
	in.add(&fs)
	form.add(&fs)
	fs.IntVar(&n, "n", 0, "print tags for `n` partitions, from 1 to 16384")
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
	partitions := false
	fs.Visit(func(f *flag.Flag) {
		if f.Name == "n" {
			partitions = true
		}
	})
	if partitions {
		if n < 1 || n > hashslot.Count {
			return e.badUse(fmt.Errorf("-n must be from 1 to %d, not %d", hashslot.Count, n))
		}
		if len(e.args) > 0 {
			return e.badUse(fmt.Errorf("-n reads no slots: unexpected argument %q", e.args[0]))
		}
		var out []byte
		for _, tag := range hashslot.Tags(n) {
			out = fmt.Appendf(out, line, hashslot.Of(tag), tag)
		}
		return e.print(string(out))
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

func parseSlot(text []byte) (slot hashslot.Slot, err error) {
	if n := len(text); n > 0 && text[n-1] == '\r' {
		text = text[:n-1]
	}
	if len(text) > 64 {
		err = fmt.Errorf("%q... is not a slot from 0 to %d", text[:64], hashslot.Count-1)
	} else if slot, err = hashslot.ParseSlot(string(text)); err != nil {
		err = fmt.Errorf("%q is not a slot from 0 to %d", text, hashslot.Count-1)
	}
	return slot, err
}
