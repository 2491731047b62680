package main

import (
	"flag"
	"fmt"
	"strconv"
	"strings"

	"github.com/hashslot/hashslot"
)

var checkCommand = command{
	name:  "check",
	args:  "[FILE...]",
	short: "whether all slots are served, and what the next failure would do",
	run:   runCheck,
	doc: nodesDoc + `
With several FILEs, check compares the views of several nodes. Of several owners of a
slot, the one with the highest config epoch counts, as in the cluster itself. Given the
views of all nodes, check finds all that valkey-cli --cluster check finds:

    for port in 7000 7001 7002; do
        valkey-cli -p $port cluster nodes > $port.nodes
    done
    hashslot check *.nodes

The report lists the primaries that own slots, their numbers of working replicas,
and the problems. An error means that slots are not served, or may not be:

` + kindsDoc(severityError) + `
A warning means that the next failure does harm:

` + kindsDoc(severityWarning) + `
A note is worth knowing:

` + kindsDoc(severityNote) + `
CLUSTER NODES shows the most problems: CLUSTER SLOTS omits failed replicas, and neither
CLUSTER SLOTS nor CLUSTER SHARDS has open slots or config epochs.

The exit status is 1 if there is an error, or a warning with -strict. It is 3 if an input
cannot be read: the state of the cluster is then unknown.
`,
	example: `$ hashslot check testdata/nodes.txt
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
		fs     flag.FlagSet
		nodes  nodesFlags
		form   outputFlag
		strict bool
	)
	nodes.add(&fs)
	form.add(&fs)
	fs.BoolVar(&strict, "strict", false, "exit with 1 if there is a warning, too")
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	nodes.take(e.args)
	if err := first(nodes.check(), form.check()); err != nil {
		return e.badUse(err)
	}
	c, err := nodes.load(e)
	if err != nil {
		_ = e.fail(err)
		return exitNoIdea
	}
	d := describe(c)
	if strict {
		d.OK = d.worst() < severityWarning
	}
	text := d.text(c)
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

func (d *clusterJSON) text(c *clusterView) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d slots have an owner\n", d.Assigned, hashslot.Count)
	if len(d.Shards) > 0 {
		rows := [][]string{{"id", "address", "replicas", "number", "slots"}}
		for i, s := range d.Shards {
			replicas := strconv.Itoa(len(s.Replicas))
			if n := working(c.Shards()[i]); n < len(s.Replicas) {
				replicas = fmt.Sprintf("%d of %s", n, replicas)
			}
			rows = append(rows, []string{plain(s.ID), plain(s.Addr), replicas, strconv.Itoa(s.Slots.Len()), s.Slots.String()})
		}
		b.WriteString("\n")
		columns(&b, rows)
	}
	if len(d.Problems) == 0 {
		b.WriteString("\nNo problems\n")
		return b.String()
	}
	for _, part := range []struct {
		severity severity
		title    string
	}{{severityError, "Errors"}, {severityWarning, "Warnings"}, {severityNote, "Notes"}} {
		var rows [][]string
		for _, p := range d.Problems {
			if p.Severity == part.severity {
				rows = append(rows, []string{"", p.Kind, p.where() + shown(p.Text)})
			}
		}
		if len(rows) > 0 {
			fmt.Fprintf(&b, "\n%s: %d\n", part.title, len(rows))
			columns(&b, rows)
		}
	}
	return b.String()
}

// where returns the slots of a problem, as the prefix of its text.
func (p *problemJSON) where() string {
	if p.Slots.IsEmpty() {
		return ""
	}
	return p.Slots.String() + ": "
}

// plain returns value as one column of text: "-" if it is empty.
func plain(value string) string {
	if value == "" {
		return "-"
	}
	return shown(value)
}
