package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// nodesFlags are the options of a command that reads views of a cluster.
type nodesFlags struct {
	files []string
	named bool // files may also be arguments
	from  topology.Origin
}

func (f *nodesFlags) add(fs *flag.FlagSet) {
	fs.Func("nodes", "read a node's view of the cluster from `file`, or - for standard input; may be\nrepeated, for the views of several nodes", func(name string) error {
		f.files = append(f.files, name)
		return nil
	})
	fs.StringVar(&f.from.Addr, "host", "", "the `host` or host:port of the node that was asked, for a node that does not know\nits own address")
	fs.BoolVar(&f.from.TLS, "tls", false, "use the TLS ports in a nodes.conf")
}

func (f *nodesFlags) check() error {
	switch {
	case len(f.files) == 0 && f.named:
		return errors.New("name a FILE with a view of the cluster, or - for standard input")
	case len(f.files) == 0:
		return errors.New("-nodes is missing: name a file with a view of the cluster")
	case f.stdin() > 1:
		return errTwice
	}
	return nil
}

// take adds the arguments to the files, and notes that files may be arguments.
func (f *nodesFlags) take(args []string) {
	f.named = true
	f.files = append(f.files, args...)
}

// given reports whether any of the options is set.
func (f *nodesFlags) given() bool { return len(f.files) > 0 || f.from.Addr != "" || f.from.TLS }

// stdin returns how many of the files are standard input.
func (f *nodesFlags) stdin() (n int) {
	for _, name := range f.files {
		if name == "-" {
			n++
		}
	}
	return n
}

var errTwice = errors.New("standard input (-) can be read only once")

var errNodesAndKeys = errors.New("standard input cannot hold both the view of -nodes and the keys: name a file for one of them")

// nodesDoc is the part of help pages about views of a cluster as input.
const nodesDoc = `FILE (or -nodes FILE) holds a node's view of its cluster; - is standard input. Its
format is detected: the text of CLUSTER NODES, a nodes.conf, or a reply to CLUSTER
NODES, SLOTS or SHARDS in JSON or raw RESP. Each of these commands writes a FILE:

    valkey-cli cluster nodes > FILE
    valkey-cli --json cluster shards > FILE
`

// maxNodesFile is the limit of topology.ParseNodes.
const maxNodesFile = 64 << 20

// A clusterJSON is a cluster in JSON.
type clusterJSON struct {
	OK        bool          `json:"ok"`
	Assigned  int           `json:"assigned"`
	Shards    []shardJSON   `json:"shards"`
	Migrating []openJSON    `json:"migrating"`
	Problems  []problemJSON `json:"problems"`
}

type shardJSON struct {
	ID       string      `json:"id"`
	Addr     string      `json:"addr"`
	Replicas []string    `json:"replicas"`
	Slots    slotmap.Set `json:"slots"`
}

type openJSON struct {
	Slot hashslot.Slot `json:"slot"`
	From string        `json:"from"`
	To   string        `json:"to"`
}

type problemJSON struct {
	Kind     string      `json:"kind"`
	Severity severity    `json:"severity"`
	Text     string      `json:"text"`
	Slots    slotmap.Set `json:"slots"`
}

// describe returns c for JSON.
func describe(c *clusterView) clusterJSON {
	unassigned := c.Unassigned()
	d := clusterJSON{
		Assigned: hashslot.Count - unassigned.Len(),
		Shards:   []shardJSON{}, Migrating: []openJSON{}, Problems: problems(c),
	}
	d.OK = d.worst() < severityError
	for _, s := range c.Shards() {
		shard := shardJSON{ID: s.Primary.ID, Addr: s.Primary.Addr(), Replicas: []string{}, Slots: c.Table().SlotsOf(s)}
		if shard.Slots.IsEmpty() {
			break // those that own slots come first
		}
		for _, r := range s.Replicas {
			shard.Replicas = append(shard.Replicas, r.ID)
		}
		d.Shards = append(d.Shards, shard)
	}
	for _, o := range c.Open() {
		d.Migrating = append(d.Migrating, openJSON{o.Slot, o.From, o.To})
	}
	return d
}

// line returns v, which is no part of a plan, as one line of JSON.
func line(v any) []byte {
	text, err := encode(v)
	if err != nil {
		panic(err) // no type used here fails
	}
	return text
}

// encode returns v as one line of JSON. A plan with text that is not UTF-8 is an error.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return harmlessJSON(b.Bytes()), nil
}

// printJSON prints v as one line of JSON.
func (e *env) printJSON(v any) int {
	text, err := encode(v)
	if err != nil {
		if marshal := (*json.MarshalerError)(nil); errors.As(err, &marshal) {
			err = marshal.Unwrap() // without the Go type
		}
		return e.fail(errors.New(strings.TrimPrefix(err.Error(), "plan: ")))
	}
	return e.print(string(text))
}

// columns writes rows in columns. The last column is not padded.
func columns(b *strings.Builder, rows [][]string) {
	var width []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], len(cell))
		}
	}
	for _, row := range rows {
		for i, cell := range row {
			if i == len(row)-1 {
				b.WriteString(cell + "\n")
			} else {
				fmt.Fprintf(b, "%-*s  ", width[i], cell)
			}
		}
	}
}
