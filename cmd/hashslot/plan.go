package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/plan/valkeycli"
	"github.com/hashslot/hashslot/slotmap/topology"
)

var planCommand = command{
	name:  "plan",
	args:  "create|rebalance|reshard|drain [HOST:PORT[=ZONE]...]",
	short: "which slots should move from which node to which",
	run:   runPlan,
	doc: `A plan is made and printed. Nothing is sent to any server.

  create     lays out a new cluster over the given hosts: -replicas, -compat
  rebalance  gives every primary its share of the slots, by weight, and moves as
             few as that takes: -nodes, -weight, -use-empty, -threshold, -load,
             -assign-unassigned, -compat
  reshard    moves -slots slots to the node -to from the nodes -from: -nodes,
             -compat
  drain      moves all slots away from each -node: -nodes, -weight, -use-empty,
             -receiver, -load, -assign-unassigned

-nodes is as in "hashslot check":

  valkey-cli cluster nodes | hashslot plan rebalance -nodes - -use-empty

A node is named by its id, by enough of its beginning, or by its address.

With -compat the plan is what valkey-cli --cluster 9.1.2 would do, its faults
included; -tool chooses another: valkey-8.0, redis-7.0 or redis-8.6. The order of nodes, on which that depends, is "myself" first and then
that of the file; that of the tool itself changes from run to run of a server.

-format setslot prints the commands for servers of any version, a line each, to
be carried out in this order, with the address of the node in front. migrateslots
is CLUSTER MIGRATESLOTS of Valkey 9.0 and later, and migration is CLUSTER
MIGRATION IMPORT of Redis 8.4 and later.

A cluster in which moving slots could lose data is refused with exit status 1:
one with open slots, with nodes that disagree or do not answer, or with slots
that nobody owns.
`,
	example: `$ hashslot plan create -replicas 1 a:7000 b:7000 c:7000 d:7000 e:7000 f:7000
3 shards
  0-5460        5461 slots  primary a:7000  replicas d:7000
  5461-10922    5462 slots  primary b:7000  replicas e:7000
  10923-16383   5461 slots  primary c:7000  replicas f:7000
$ hashslot plan rebalance -nodes testdata/three.nodes -use-empty -format migrateslots
10.0.0.1:6379> CLUSTER MIGRATESLOTS SLOTSRANGE 5462 8191 NODE 292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f  # then CLUSTER GETSLOTMIGRATIONS and CLUSTER NODES until it knows that the peer owns the slots
10.0.0.2:6379> CLUSTER MIGRATESLOTS SLOTSRANGE 8192 10922 NODE 292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f  # then CLUSTER GETSLOTMIGRATIONS and CLUSTER NODES until it knows that the peer owns the slots
`,
}

// planOptions are the options of all kinds of plans.
type planOptions struct {
	nodes            nodesFlags
	from, to, load   string
	replicas, slots  int
	batch            int
	weights, drained stringList
	receivers        stringList
	threshold        float64
	compat, useEmpty bool
	tool             string
	assign           bool
	format           string
}

// planKinds are the options of each kind of plan.
var planKinds = map[string][]string{
	"create":    {"replicas", "compat", "tool", "format"},
	"rebalance": {"nodes", "host", "tls", "weight", "use-empty", "threshold", "load", "assign-unassigned", "compat", "tool", "format", "batch"},
	"reshard":   {"nodes", "host", "tls", "from", "to", "slots", "compat", "tool", "format", "batch"},
	"drain":     {"nodes", "host", "tls", "node", "receiver", "weight", "use-empty", "load", "assign-unassigned", "format", "batch"},
}

// A stringList is an option that may be given several times.
type stringList []string

func (l *stringList) String() string     { return strings.Join(*l, ",") }
func (l *stringList) Set(s string) error { *l = append(*l, s); return nil }

func runPlan(e *env) int {
	var (
		fs flag.FlagSet
		o  planOptions
	)
	o.nodes.add(&fs)
	fs.IntVar(&o.replicas, "replicas", 0, "create: so `many` replicas for each primary")
	fs.BoolVar(&o.compat, "compat", false, "plan as valkey-cli --cluster does")
	fs.StringVar(&o.tool, "tool", valkeycli.Valkey91.String(), "with -compat: the `tool`, valkey-9.1, valkey-8.0, redis-7.0 or redis-8.6")
	fs.Var(&o.weights, "weight", "`ID=W`: a node's weight, 1 if not told; may be repeated")
	fs.BoolVar(&o.useEmpty, "use-empty", false, "let primaries without slots take part")
	fs.Float64Var(&o.threshold, "threshold", 0, "rebalance: do nothing while all nodes are within so many `percent` of\ntheir share (with -compat 2 if not told, and 0 never does anything)")
	fs.StringVar(&o.load, "load", "", "balance not the number of slots but their load, from `file`: lines of slot\nand load, as from CLUSTER SLOT-STATS; slots that are not listed have none")
	fs.BoolVar(&o.assign, "assign-unassigned", false, "give slots that nobody owns to nodes as well")
	fs.StringVar(&o.from, "from", "", "reshard: take slots from the nodes `ID,ID`, or from all")
	fs.StringVar(&o.to, "to", "", "reshard: the node `ID` that gets slots")
	fs.IntVar(&o.slots, "slots", 0, "reshard: so `many` slots")
	fs.Var(&o.drained, "node", "drain: the node `ID`; may be repeated")
	fs.Var(&o.receivers, "receiver", "drain: only the node `ID` gets slots; may be repeated")
	fs.IntVar(&o.batch, "batch", 0, "with commands: in batches, each node with so `many` slots on their way at most")
	fs.StringVar(&o.format, "format", "text", "the `format` of the output: text, json, setslot, migrateslots or migration")
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	if len(e.args) == 0 {
		return e.badUse(errors.New("which plan: create, rebalance, reshard or drain?"))
	}
	kind, args := e.args[0], e.args[1:]
	allowed, ok := planKinds[kind]
	if !ok {
		return e.badUse(fmt.Errorf("there is no plan %q: it is create, rebalance, reshard or drain", kind))
	}
	var err error
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) {
		given[f.Name] = true
		if !slices.Contains(allowed, f.Name) && err == nil {
			err = fmt.Errorf("-%s is not for plan %s", f.Name, kind)
		}
	})
	formats := []string{"text", "json"}
	if kind != "create" {
		formats = append(formats, "setslot", "migrateslots", "migration")
	}
	switch {
	case err != nil:
	case !slices.Contains(formats, o.format):
		err = fmt.Errorf("-format %q is not %s or %s", o.format, strings.Join(formats[:len(formats)-1], ", "), formats[len(formats)-1])
	case given["batch"] && (o.batch < 1 || o.format == "text" || o.format == "json"):
		err = errors.New("-batch is a number from 1, and goes with a -format of commands")
	case kind == "create" && len(args) == 0:
		err = errors.New("no hosts to create a cluster of")
	case kind != "create" && len(args) > 0:
		err = fmt.Errorf("%q is not an option, and plan %s takes nothing else", args[0], kind)
	case kind != "create" && o.nodes.check() != nil:
		err = o.nodes.check()
	case o.compat && len(o.nodes.files) > 1:
		err = errors.New("-compat takes one -nodes: the tool has the order of nodes from one of them")
	case given["tool"] && !o.compat:
		err = errors.New("-tool goes with -compat")
	case o.compat && (given["load"] || given["assign-unassigned"]):
		err = errors.New("-load and -assign-unassigned do not go with -compat: the tool has nothing like them")
	case o.load == "-" && o.nodes.stdin() > 0:
		err = errors.New("-load and -nodes cannot both be standard input")
	case kind == "reshard" && (!given["from"] || !given["to"] || !given["slots"]):
		err = errors.New("plan reshard needs -from, -to and -slots")
	case kind == "drain" && !given["node"]:
		err = errors.New("plan drain needs a -node")
	}
	if err != nil {
		return e.badUse(err)
	}
	if kind == "create" {
		return e.planCreate(args, &o)
	}
	if o.compat && !given["threshold"] && kind == "rebalance" {
		o.threshold = valkeycli.DefaultThreshold
	}
	return e.planMoves(kind, &o)
}

func (e *env) planCreate(args []string, o *planOptions) int {
	var hosts []plan.Host
	for _, a := range args {
		addr, zone, _ := strings.Cut(a, "=")
		hosts = append(hosts, plan.Host{Addr: addr, Zone: zone})
	}
	var layout plan.Layout
	var err error
	if o.compat {
		var tool valkeycli.Tool
		if tool, err = valkeycli.ParseTool(o.tool); err == nil {
			layout, _, err = valkeycli.Create(tool, hosts, o.replicas)
		}
	} else {
		layout, err = plan.Create(hosts, o.replicas)
	}
	if err != nil {
		return e.noPlan(err)
	}
	if o.format == "json" {
		return e.print(string(line(layout)))
	}
	return e.print(layout.Summary())
}

func (e *env) planMoves(kind string, o *planOptions) int {
	view, err := o.nodes.load(e)
	if err != nil {
		return e.fail(err)
	}
	c := view.Cluster
	opts := plan.RebalanceOptions{UseEmpty: o.useEmpty, Threshold: o.threshold, AssignUnassigned: o.assign}
	for _, w := range o.weights {
		id, number, ok := strings.Cut(w, "=")
		weight, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil && !errors.Is(err, strconv.ErrRange) {
			return e.badUse(fmt.Errorf("-weight %q is not ID=NUMBER", w))
		}
		if n := nodeAt(c, id); n != nil {
			id = n.ID
		}
		opts.Weights = append(opts.Weights, plan.Weight{ID: id, Weight: weight})
	}
	if o.load != "" {
		if opts.Load, err = e.readLoad(o.load); err != nil {
			return e.fail(err)
		}
	}
	var (
		p    plan.Plan
		run  valkeycli.Run
		from []string
	)
	if kind == "reshard" && o.from != "all" {
		from = nodeIDs(c, strings.Split(o.from, ","))
	}
	tool, err := valkeycli.ParseTool(o.tool)
	switch {
	case err != nil:
	case kind == "rebalance" && o.compat:
		run, err = valkeycli.Rebalance(c, tool, valkeycli.RebalanceOptions{Weights: opts.Weights, UseEmpty: opts.UseEmpty, Threshold: opts.Threshold})
		p = run.Plan
	case kind == "rebalance":
		p, err = plan.Rebalance(c, opts)
	case kind == "reshard" && o.compat:
		run, err = valkeycli.Reshard(c, tool, nil, from, nodeID(c, o.to), o.slots)
		p = run.Plan
	case kind == "reshard":
		p, err = plan.Reshard(c, from, nodeID(c, o.to), o.slots)
	case kind == "drain":
		p, err = plan.Drain(c, nodeIDs(c, o.drained), plan.DrainOptions{
			Receivers: nodeIDs(c, o.receivers), Weights: opts.Weights, UseEmpty: opts.UseEmpty, Load: opts.Load, AssignUnassigned: opts.AssignUnassigned,
		})
	}
	if err != nil {
		return e.noPlan(err)
	}
	switch o.format {
	case "text":
		return e.print(p.Summary())
	case "json":
		return e.print(string(line(p)))
	}
	batches := []plan.Plan{p}
	if o.batch > 0 {
		if batches, err = p.Batches(o.batch); err != nil {
			return e.noPlan(err)
		}
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(e.stderr, "%s: warning: %s\n", e.title(), w)
	}
	out := bufio.NewWriter(e.stdout)
	for i, b := range batches {
		if o.batch > 0 {
			fmt.Fprintf(out, "# batch %d of %d\n", i+1, len(batches))
		}
		var steps iter.Seq[plan.Step]
		switch o.format {
		case "setslot":
			if steps, err = b.SetSlots(plan.SetSlotOptions{}); err != nil {
				return e.noPlan(err)
			}
		case "migrateslots":
			steps = slices.Values(b.MigrateSlots())
		case "migration":
			steps = slices.Values(b.MigrationImport())
		}
		for s := range steps {
			if _, err := out.WriteString(s.String() + "\n"); err != nil {
				return e.fail(err)
			}
		}
	}
	if err := out.Flush(); err != nil {
		return e.fail(err)
	}
	return exitOK
}

// noPlan reports why there is no plan. What is wrong with an argument is bad use.
func (e *env) noPlan(err error) int {
	text := errors.New(strings.TrimPrefix(err.Error(), "plan: "))
	var input *plan.InputError
	if errors.As(err, &input) {
		return e.badUse(text)
	}
	return e.fail(text)
}

// readLoad reads lines of a slot and its load.
func (e *env) readLoad(name string) ([]float64, error) {
	text, err := readNodes(e, name)
	if err != nil {
		return nil, err
	}
	load := make([]float64, hashslot.Count)
	number := 0
	for text := range strings.Lines(string(text)) {
		number++
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		var slot uint64
		var l float64
		bad := len(fields) != 2
		if !bad {
			var err1, err2 error
			slot, err1 = strconv.ParseUint(fields[0], 10, 14)
			l, err2 = strconv.ParseFloat(fields[1], 64)
			bad = err1 != nil || err2 != nil
		}
		if bad {
			return nil, fmt.Errorf("%s: line %d is not a slot and its load: %q", inputName(name), number, strings.TrimSpace(text))
		}
		load[slot] = l
	}
	return load, nil
}

// nodeAt returns the node with the address, or nil.
func nodeAt(c *topology.Cluster, addr string) *topology.Node {
	for _, n := range c.Nodes() {
		if n.Addr() != "" && n.Addr() == addr {
			return n
		}
	}
	return nil
}

// nodeID returns the id of the node with the address, or of the only one whose id
// begins so, or else name itself, for the error to name.
func nodeID(c *topology.Cluster, name string) string {
	if n := nodeAt(c, name); n != nil {
		return n.ID
	}
	found := ""
	for _, n := range c.Nodes() {
		if n.ID == name {
			return name
		}
		if name != "" && strings.HasPrefix(n.ID, strings.ToLower(name)) {
			if found != "" {
				return name
			}
			found = n.ID
		}
	}
	if found == "" {
		return name
	}
	return found
}

func nodeIDs(c *topology.Cluster, names []string) []string {
	var ids []string
	for _, n := range names {
		ids = append(ids, nodeID(c, n))
	}
	return ids
}
