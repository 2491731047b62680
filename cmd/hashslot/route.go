package main

import (
	"bytes"
	"flag"
	"fmt"
	"slices"
	"sync/atomic"
	"unicode/utf8"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/hashtag"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

var routeCommand = command{
	name:    "route",
	args:    "[KEY...]",
	short:   "the slot and the owner of each key",
	run:     runRoute,
	rawKeys: true,
	doc: `-nodes names a file with a view of the cluster; "hashslot help check" lists the formats.
Keys are read as by "hashslot slot".

Text is one line for each key, with four columns separated by TABs: slot, id and address
of the primary that owns the slot, key. An id or address that is missing is "-".

JSON is one object per line: that of "hashslot slot", with the parts of "hashslot check"
that concern the slot. These are its owner as the only shard, "migrating" if the slot is
being moved, and "problems" with its errors, without warnings and notes.

The exit status is 1 if the slot of any key has no owner. All other keys are still
answered.

With -commands, route reads commands instead of keys. The arguments are one command.
` + commandsDoc + `
Text is then one line for each slot that a command goes to: slot, id and address of its
owner, command, then the keys in the slot, or the channels of sharded pub/sub. The line
of a command without keys is "-", its destination ("any node", "all shards", "all nodes"
or "special"), "-" and the command. The destination is "refused" if a cluster refuses the
command as CROSSSLOT, and "error" if the command is not understood; the reason follows
the command. All commands of a MULTI block must be in one slot; of MONITOR, each client
has its own blocks. Commands of a script, which MONITOR shows too, must be in the slot
of the script's keys.

JSON is then one object per line: "command", "to", "parts" (a list of slots with their
owners and keys), "within" for a command of a MULTI block or a script, and "error" for a
command that is refused or not understood.

The exit status is 1 if any command is refused, is not understood, or goes to a slot
without an owner. All other commands are still answered.
`,
	example: `$ hashslot route -nodes testdata/nodes.txt foo bar {bar}2
12182	292f	10.0.0.3:30003	foo
5061	e7d1	10.0.0.1:30001	bar
5061	e7d1	10.0.0.1:30001	{bar}2
`,
}

func runRoute(e *env) int {
	var (
		fs         flag.FlagSet
		nodes      nodesFlags
		in         inputFlags
		form       outputFlag
		hex, unhex bool
		cf         commandFlags
	)
	nodes.add(&fs)
	in.add(&fs)
	form.add(&fs)
	fs.BoolVar(&hex, "hex", false, "write key, tag and hashed part in hex")
	fs.BoolVar(&unhex, "unhex", false, "read keys in hex")
	cf.addOption(&fs)
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	err := first(nodes.check(), in.check(), form.check(), cf.check())
	if cf.commands && unhex {
		err = first(err, errUnhexCommands)
	}
	if nodes.stdin() > 0 && len(e.args) == 0 {
		err = first(err, errNodesAndKeys)
	}
	if err != nil {
		return e.badUse(err)
	}
	c, err := nodes.load(e)
	if err != nil {
		return e.fail(err)
	}
	r := newRoutes(c, form.json())
	if cf.commands {
		return routeCommands(e, cf, in, r, form.json(), hex)
	}
	var lost atomic.Int64 // keys without an owner
	code := e.answer(in, maxWorkers, func() worker {
		answer := r.answer(form.json(), hex, &lost)
		if !unhex {
			return answer
		}
		return func(o *output, keys [][]byte) (int, error) {
			keys, bad := unhexAll(keys)
			n, err := answer(o, keys)
			return n, first(err, bad)
		}
	})
	if n := lost.Load(); code == exitOK && n > 0 {
		return e.fail(fmt.Errorf("%s without an owner", count(int(n), "key is in a slot", "keys are in slots")))
	}
	return code
}

// routes has the parts of the answers that depend on the owner, made once for each.
type routes struct {
	table   *slotmap.Table[*topology.Shard]
	columns map[*topology.Shard][]byte // text: id and address
	objects map[*topology.Shard][]byte // JSON: what follows the key, unless the slot is special
	whole   clusterJSON
	special slotmap.Set // slots with errors, among them all that are open or have no owner
}

func newRoutes(c *clusterView, json bool) *routes {
	r := &routes{table: c.Table(), columns: map[*topology.Shard][]byte{nil: []byte("\t-\t-\t")}, objects: map[*topology.Shard][]byte{}}
	if json {
		r.whole = describe(c)
		r.whole.Problems = slices.DeleteFunc(r.whole.Problems, func(p problemJSON) bool { return p.Severity < severityError })
		for _, p := range r.whole.Problems {
			r.special = r.special.Union(p.Slots)
		}
	}
	for i, s := range c.Shards() {
		r.columns[s] = fmt.Appendf(nil, "\t%s\t%s\t", plain(s.Primary.ID), plain(s.Primary.Addr()))
		if i < len(r.whole.Shards) {
			r.objects[s] = r.of(clusterJSON{OK: true, Shards: r.whole.Shards[i : i+1], Migrating: []openJSON{}, Problems: []problemJSON{}})
		}
	}
	return r
}

// of returns d as the rest of an object: without its first brace, with its last.
func (r *routes) of(d clusterJSON) []byte {
	d.Assigned = r.whole.Assigned
	return append([]byte(","), bytes.TrimPrefix(line(d), []byte("{"))...)
}

// answer returns a worker that writes the routes of keys, and adds to lost the number of
// keys without an owner.
func (r *routes) answer(asJSON, hex bool, lost *atomic.Int64) worker {
	write, enc := r.text, appendText
	if asJSON {
		write, enc = r.json, appendJSON
	}
	if hex {
		enc = appendHex
	}
	var slots []hashslot.Slot
	return func(o *output, keys [][]byte) (int, error) {
		slots = hashslot.AppendOfBytes(slots[:0], keys)
		for i, key := range keys {
			if asJSON && !hex && !utf8.Valid(key) {
				return i, errNotUTF8
			}
			if _, ok := r.table.Lookup(slots[i]); !ok {
				lost.Add(1)
			}
			write(o, enc, key, slots[i])
		}
		return len(keys), nil
	}
}

func (r *routes) text(o *output, enc encoder, key []byte, slot hashslot.Slot) {
	shard, _ := r.table.Lookup(slot)
	o.buf = appendSlot(o.buf, slot)
	o.buf = append(o.buf, r.columns[shard]...)
	o.value(enc, key)
	o.text("\n")
}

func (r *routes) json(o *output, enc encoder, key []byte, slot hashslot.Slot) {
	start, end, tagged := hashtag.Find(key)
	hashed, tag := key[start:end], key[:0]
	if tagged {
		tag = hashed
	}
	o.keyJSON(enc, key, slot, tag, hashed)
	if !r.special.Contains(slot) {
		shard, _ := r.table.Lookup(slot)
		o.buf = append(o.buf, r.objects[shard]...)
		return
	}
	d := clusterJSON{Shards: []shardJSON{}, Migrating: []openJSON{}, Problems: []problemJSON{}} // not OK
	for _, s := range r.whole.Shards {
		if s.Slots.Contains(slot) {
			d.Shards = append(d.Shards, s)
		}
	}
	d.Migrating = append(d.Migrating, slices.DeleteFunc(slices.Clone(r.whole.Migrating), func(m openJSON) bool { return m.Slot != slot })...)
	for _, p := range r.whole.Problems {
		if p.Slots.Contains(slot) {
			d.Problems = append(d.Problems, p)
		}
	}
	o.buf = append(o.buf, r.of(d)...)
}
