package main

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"

	"github.com/hashslot/hashslot"
)

var checkCommand = command{
	name:  "check",
	args:  "",
	short: "whether all slots are served, and the nodes agree",
	run:   runCheck,
	doc: `The input is what CLUSTER NODES replies, of any version, or a nodes.conf:

    valkey-cli cluster nodes | hashslot check -nodes -

With more than one -nodes, the views of several nodes are compared. Of each slot
the highest config epoch has it, as in the cluster itself.

The report lists the primaries that own slots, and what is wrong:

  unassigned    nobody owns the slots
  failed        the cluster has agreed that their owner is not reachable
  suspected     the node that was asked cannot reach their owner
  unreachable   nobody knows the address of their owner
  open          the slots are being moved by CLUSTER SETSLOT, or were, and the
                move was not finished; only the two nodes know of it
  disagreement  two nodes claim the slots, or views differ about them

If anything is wrong, the exit status is 1.
`,
	example: `$ hashslot check -nodes testdata/nodes.txt
16384 of 16384 slots have an owner

id    address         replicas  number  slots
e7d1  10.0.0.1:30001  1         5461    0-5460
67ed  10.0.0.2:30002  1         5462    5461-10922
292f  10.0.0.3:30003  1         5461    10923-16383

No problems
`,
}

func runCheck(e *env) int {
	var (
		fs    flag.FlagSet
		nodes nodesFlags
		form  outputFlag
	)
	nodes.add(&fs)
	form.add(&fs)
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	err := errors.Join(nodes.check(), form.check(), e.noArguments())
	if err != nil {
		return e.badUse(err)
	}
	c, err := nodes.load(e)
	if err != nil {
		return e.fail(err)
	}
	d := describe(c)
	text := d.text()
	if form.json() {
		text = string(line(d))
	}
	if code := e.print(text); code != exitOK {
		return code
	}
	if !d.OK {
		return exitFailed
	}
	return exitOK
}

func (d *clusterJSON) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d slots have an owner\n", d.Assigned, hashslot.Count)
	if len(d.Shards) > 0 {
		rows := [][]string{{"id", "address", "replicas", "number", "slots"}}
		for _, s := range d.Shards {
			rows = append(rows, []string{plain(s.ID), plain(s.Addr), strconv.Itoa(len(s.Replicas)), strconv.Itoa(s.Slots.Len()), s.Slots.String()})
		}
		b.WriteString("\n")
		columns(&b, rows)
	}
	if len(d.Problems) == 0 {
		b.WriteString("\nNo problems\n")
		return b.String()
	}
	fmt.Fprintf(&b, "\nProblems: %d\n", len(d.Problems))
	var rows [][]string
	for _, p := range d.Problems {
		rows = append(rows, []string{p.Kind, p.Slots.String() + ": " + plain(p.Text)})
	}
	columns(&b, rows)
	return b.String()
}

// plain is value for one column of text: "-" if it is empty.
func plain(value string) string {
	if value == "" {
		return "-"
	}
	return string(appendText(nil, []byte(value)))
}
