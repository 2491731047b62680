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
one to three letters and digits; none for that slot is shorter.

Without a SLOT, slots are read from standard input, one a line. A carriage return
in front of a newline is ignored.

With -n, it prints one tag for each of N partitions and reads no slots. The slots of
the tags are spread evenly: if up to N shards have equal parts of the slots, no shard
has more than one tag more than another (two for N above 128). Another N gives other
tags.

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
	fs.IntVar(&n, "n", 0, "tags for `n` partitions, 1 to 16384, instead of slots")
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
	fs.Visit(func(f *flag.Flag) { partitions = partitions || f.Name == "n" })
	if partitions {
		if n < 1 || n > hashslot.Count {
			return e.badUse(fmt.Errorf("-n %d is not 1 to %d", n, hashslot.Count))
		}
		if len(e.args) > 0 {
			return e.badUse(fmt.Errorf("-n and the slot %q: one of them", e.args[0]))
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
