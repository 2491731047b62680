package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// nodesFlags are the options of a command that works on a cluster.
type nodesFlags struct {
	files []string
	from  topology.Origin
}

func (f *nodesFlags) add(fs *flag.FlagSet) {
	fs.Func("nodes", "the output of CLUSTER NODES, or a nodes.conf: a `file`, or - for standard input; more than one are views of different nodes", func(name string) error {
		f.files = append(f.files, name)
		return nil
	})
	fs.StringVar(&f.from.Addr, "host", "", "the `host` that was asked, or host:port, if it does not know its own address")
	fs.BoolVar(&f.from.TLS, "tls", false, "take the TLS ports of a nodes.conf")
}

func (f *nodesFlags) check() error {
	switch {
	case len(f.files) == 0:
		return errors.New("-nodes is missing")
	case f.stdin() > 1:
		return errors.New("-nodes - is there twice")
	}
	return nil
}

// given reports whether any of the options is there.
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

var errNodesAndKeys = errors.New("standard input cannot have both -nodes and the keys")

// maxNodesFile is what topology.ParseNodes takes.
const maxNodesFile = 64 << 20

// bulk is what stands in front of a reply as it is on the wire.
var bulk = regexp.MustCompile(`^[$=][0-9]+\r?\n`)

// load reads the views, warns of what it does not know in them, and merges them.
func (f *nodesFlags) load(e *env) (*topology.Cluster, error) {
	var views []*topology.Cluster
	for _, name := range f.files {
		data, err := readNodes(e, name)
		if err != nil {
			return nil, err
		}
		c, err := topology.ParseNodes(string(data[len(bulk.Find(data)):]), f.from)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", nodesName(name), err)
		}
		for _, w := range c.Warnings() {
			fmt.Fprintf(e.stderr, "%s: %s: %s\n", e.title(), nodesName(name), appendText(nil, []byte(w.String())))
		}
		views = append(views, c)
	}
	return topology.Merge(views...)
}

func readNodes(e *env, name string) (data []byte, err error) {
	r := e.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }() // it is only read
		r = file
	}
	data, err = io.ReadAll(io.LimitReader(r, maxNodesFile+1))
	if err == nil && len(data) > maxNodesFile {
		err = fmt.Errorf("%s: longer than %d bytes", nodesName(name), maxNodesFile)
	}
	return data, err
}

func nodesName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}

// The JSON of a cluster.
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
	Kind  string      `json:"kind"`
	Text  string      `json:"text"`
	Slots slotmap.Set `json:"slots"`
}

// describe returns the JSON of c.
func describe(c *topology.Cluster) clusterJSON {
	unassigned := c.Unassigned()
	d := clusterJSON{
		Assigned: hashslot.Count - unassigned.Len(),
		Shards:   []shardJSON{}, Migrating: []openJSON{}, Problems: problems(c),
	}
	d.OK = len(d.Problems) == 0
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

// problems returns what is wrong with c.
func problems(c *topology.Cluster) []problemJSON {
	list := []problemJSON{}
	if s := c.Unassigned(); !s.IsEmpty() {
		list = append(list, problemJSON{"unassigned", fmt.Sprintf("%d slots have no owner", s.Len()), s})
	}
	for _, s := range c.Shards() {
		slots := c.Table().SlotsOf(s)
		if slots.IsEmpty() {
			break
		}
		p := s.Primary
		add := func(kind, format string) {
			list = append(list, problemJSON{kind, fmt.Sprintf(format, p), slots})
		}
		if p.Failed() {
			add("failed", "the owner %v has failed")
		}
		if p.Flags.Has(topology.FlagPFail) {
			add("suspected", "the owner %v does not answer the node that was asked")
		}
		// That the node that was asked does not know its own address is no harm.
		if !p.Routable() && !(p.Myself() && p.EndpointPort != 0) {
			add("unreachable", "the owner %v has no address")
		}
	}
	type end struct {
		from, to             string
		migrating, importing bool
	}
	places := map[end]int{}
	for _, o := range c.Open() {
		k := end{o.From, o.To, o.Migrating, o.Importing}
		i, ok := places[k]
		if !ok {
			who := "both say so"
			if !k.importing {
				who = "the source says so"
			} else if !k.migrating {
				who = "the target says so"
			}
			i = len(list)
			places[k] = i
			list = append(list, problemJSON{Kind: "open", Text: fmt.Sprintf("being moved from %s to %s: %s", k.from, k.to, who)})
		}
		// A slot of a Cluster is valid.
		list[i].Slots.Add(o.Slot)
	}
	for _, d := range c.Disagreements() {
		claim := "nobody has them in another view"
		if d.Other != nil {
			claim = fmt.Sprintf("%v claims them too", d.Other)
		}
		list = append(list, problemJSON{"disagreement", fmt.Sprintf("%v has them, %s: %s", d.Owner, claim, d.Reason), d.Slots})
	}
	return list
}

// line returns v as one line of JSON.
func line(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // none of the types here fails
	}
	return b.Bytes()
}

// columns aligns rows to the left, the last column excepted.
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
