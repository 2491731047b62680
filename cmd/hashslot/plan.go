package main

import (
	"bufio"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/plan/valkeycli"
	"github.com/hashslot/hashslot/slotmap/topology"
)

var planCommand = command{
	name:  "plan",
	args:  "KIND [OPTION...] [ARGUMENT...]",
	short: "which commands to send to which node to change a cluster",
	doc: `hashslot plan prints a plan for you to check: the state before and after, what moves,
and the steps. It sends nothing to any server. The kinds of plans:
`,
	example: `$ hashslot plan create -replicas 1 a:7000 b:7000 c:7000 d:7000 e:7000 f:7000
3 shards
  0-5460        5461 slots  primary a:7000  replicas d:7000
  5461-10922    5462 slots  primary b:7000  replicas e:7000
  10923-16383   5461 slots  primary c:7000  replicas f:7000

Nothing has been sent.
`,
	kinds: []*command{&planCreate, &planRebalance, &planReshard, &planDrain, &planFix, &planPromote, &planBalance},
}

const planDoc = nodesDoc + `
Name a node by its id, by the first four or more characters of its id, or by its
address. There is no plan, and the exit status is 1, if moving slots could lose data: if
slots are open or have no owner, or if nodes disagree or do not answer.
`

const stepsDoc = `
-steps chooses the commands of the steps: migrateslots is CLUSTER MIGRATESLOTS of Valkey
9.0 and later, migration is CLUSTER MIGRATION IMPORT of Redis 8.4 and later, and setslot
is CLUSTER SETSLOT and MIGRATE, for servers of any version. Text shows the first 20
steps. -format migrateslots, migration or setslot prints all steps and nothing else, one
per line in order, each after the address of its node. JSON has the steps as objects.

hashslot sends nothing. Servers carry out a step of migrateslots or migration by
themselves, so this pipe can send such a plan. It repeats a step while the server
refuses it because another step runs: a Redis node imports by one step at a time.

    hashslot plan KIND ... -format migrateslots |
    while read -r node command; do
        node=${node%'>'}
        host=$(echo "${node%:*}" | tr -d '[]')
        while
            reply=$(valkey-cli -h "$host" -p "${node##*:}" ${command%%  #*} < /dev/null)
            echo "$reply" | grep -q 'already in progress'
        do sleep 1; done
        echo "$reply"
    done

A step of setslot must wait for earlier steps and for keys to move. Sending such steps
takes a program that uses package plan: the data of each Step says what to wait for.
`

var planCreate = command{
	name:  "plan create",
	args:  "HOST:PORT[=ZONE]...",
	short: "lay out a new cluster over hosts",
	run:   runPlanCreate,
	doc: `The hosts become as many shards as possible, each with -replicas replicas, and the slots
are divided evenly. A primary and its replicas are on different machines, and in
different zones, where possible; a warning names the exceptions.

With -compat the layout is that of valkey-cli 9.1.2 --cluster create, faults included;
-tool chooses another tool: valkey-8.0, redis-7.0 or redis-8.6.

hashslot sends nothing. This command creates the cluster, in the layout of the tool:

    valkey-cli --cluster create HOST:PORT... --cluster-replicas 1
`,
	example: `$ hashslot plan create a:7000=x b:7000=y c:7000=z
3 shards
  0-5460        5461 slots  primary a:7000 (x)
  5461-10922    5462 slots  primary b:7000 (y)
  10923-16383   5461 slots  primary c:7000 (z)
warning: no replicas: if a primary fails, its slots are not served

Nothing has been sent.
`,
}

var planRebalance = command{
	name:  "plan rebalance",
	args:  "[FILE...]",
	short: "give every primary its share of the slots",
	run:   runPlanRebalance,
	doc: planDoc + `
Every primary gets exactly its share of the slots, in proportion to its weight, and as
few slots as possible move. With -use-empty, primaries without slots get slots too: use
it after adding nodes. With -load, the load of the slots is balanced, not their number.

With -compat the plan is that of valkey-cli 9.1.2 --cluster rebalance, faults included;
-tool chooses another tool: valkey-8.0, redis-7.0 or redis-8.6. The tool's plan depends
on the order of the nodes. Here "myself" is first, then the order of the file; the order
that the tool itself sees changes when a server restarts.
` + loadDoc + stepsDoc,
	example: `$ hashslot plan rebalance testdata/three.nodes -use-empty -format migration
10.0.0.3:6379> CLUSTER MIGRATION IMPORT 5462 8191  # then repeat CLUSTER MIGRATION STATUS ALL and CLUSTER NODES until the node owns the slots
10.0.0.3:6379> CLUSTER MIGRATION IMPORT 8192 10922  # then repeat CLUSTER MIGRATION STATUS ALL and CLUSTER NODES until the node owns the slots
`,
}

const loadDoc = `
-load reads a reply to CLUSTER SLOT-STATS as text, JSON or RESP, or lines with a slot
and its load. A node reports only its own slots, so give a file of each node. A slot in
no file has load 0. If there are several metrics, choose one by -metric.
`

var planReshard = command{
	name:  "plan reshard",
	args:  "[FILE...]",
	short: "move a number of slots to one node",
	run:   runPlanReshard,
	doc: planDoc + `
-slots is the number of slots to move, -to the node that gets them, and -from the nodes
that give them; "-from all" means all other primaries. With -compat the plan is that of
valkey-cli --cluster reshard; see "hashslot help plan rebalance".
` + stepsDoc,
	example: `$ hashslot plan reshard testdata/three.nodes -from all -to 292f -slots 2 -format migration
10.0.0.3:6379> CLUSTER MIGRATION IMPORT 8191 8191  # then repeat CLUSTER MIGRATION STATUS ALL and CLUSTER NODES until the node owns the slots
10.0.0.3:6379> CLUSTER MIGRATION IMPORT 8192 8192  # then repeat CLUSTER MIGRATION STATUS ALL and CLUSTER NODES until the node owns the slots
`,
}

var planDrain = command{
	name:  "plan drain",
	args:  "[FILE...]",
	short: "move all slots away from nodes",
	run:   runPlanDrain,
	doc: planDoc + `
All slots of each -node move to the other primaries that have slots, or only to the
nodes in -receiver. These then have their shares, in proportion to their weights.
` + loadDoc + stepsDoc,
	example: `$ hashslot plan drain testdata/three.nodes -node 67ed -receiver 292f -format migration
10.0.0.3:6379> CLUSTER MIGRATION IMPORT 8192 16383  # then repeat CLUSTER MIGRATION STATUS ALL and CLUSTER NODES until the node owns the slots
`,
}

var planFix = command{
	name:  "plan fix",
	args:  "[FILE...]",
	short: "repair open slots, and slots with no owner or two owners",
	run:   runPlanFix,
	doc: nodesDoc + `
The plan is what valkey-cli --cluster fix does, case by case. It needs CLUSTER NODES of
every primary, each in its own FILE. Give that of every replica, too: the steps wait only
for the nodes in FILEs, and a node that has not heard of a step can cause a loss of keys.

The repair of a slot may depend on the number of keys that nodes have in it. Then fix
prints no plan but lines with a node and a slot, and the exit status is 1. Append the
number of keys to each line, and name the file in -counts:

    hashslot plan fix *.nodes > ask || while read -r node slot; do
        host=$(echo "${node%:*}" | tr -d '[]')
        echo "$node" $slot $(valkey-cli -h "$host" -p "${node##*:}" \
            CLUSTER COUNTKEYSINSLOT $slot < /dev/null)
    done < ask > counts
    hashslot plan fix *.nodes -counts counts

-unreachable makes a plan even if primaries cannot be asked. Data that only they have is
lost. In the picture of -draw, slots that are open now have a mark.

hashslot sends nothing. A step must wait for earlier steps, so sending them takes a
program that uses package plan. valkey-cli --cluster fix makes the same repairs, except
where it chooses at random.
`,
	example: `$ hashslot plan fix testdata/open-1.nodes testdata/open-2.nodes -counts testdata/open.counts
finish the move: slots 5, then owned by 67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1

Steps:
  10.0.0.2:6379> CLUSTER BUMPEPOCH  # and again, until the node has a config epoch above all others that it knows
  10.0.0.2:6379> CLUSTER SETSLOT 5 IMPORTING 07c37dfeb235213a872192d90877d0cd55635b91
  10.0.0.1:6379> CLUSTER SETSLOT 5 MIGRATING 67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1
  10.0.0.1:6379> MIGRATE 10.0.0.2 6379 "" 0 60000  # with KEYS and the keys that CLUSTER GETKEYSINSLOT 5 100 lists, until it lists none
  10.0.0.2:6379> CLUSTER SETSLOT 5 NODE 67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1
  10.0.0.1:6379> CLUSTER SETSLOT 5 NODE 67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1
  10.0.0.1:6379> CLUSTER NODES  # until the node knows that 10.0.0.2:6379 owns slots 5, with config epoch 2 or a higher one

Nothing has been sent.
`,
}

var planPromote = command{
	name:  "plan promote",
	args:  "[FILE...]",
	short: "choose the replicas that take over from lost primaries",
	run:   runPlanPromote,
	doc: nodesDoc + `
Lost primaries are those of -lost, or by default all primaries with slots that have
failed. For each, promote names the replica that should take over and the reason. It
says whether the cluster does that by itself, and gives the command if it does not.
CLUSTER FAILOVER TAKEOVER asks no other node: it is safe only if the lost primary does
not come back while it still has clients.

The exit status is 1 if a lost primary has no replica that can take over. hashslot sends
nothing: send the command to the replica with valkey-cli.
`,
	example: `$ hashslot plan promote testdata/nodes.txt -lost 67ed
67ed 10.0.0.2:30002 is lost, with 5462 slots: 5461-10922
  6ec2 10.0.0.5:30005 takes over (the only replica that can): the cluster does it by itself

Nothing has been sent.
`,
}

var planBalance = command{
	name:  "plan balance",
	args:  "[FILE...]",
	short: "spread primaries and replicas over machines and zones",
	run:   runPlanBalance,
	doc: nodesDoc + `
First, replicas move to other primaries, so that where possible no shard has two nodes on
one machine or in one zone. Then replicas take over, so that the primaries are spread
evenly over machines and zones. As few replicas as possible move or take over. No slot
moves to another shard, and all slots stay served.

The machine of a node is the host in its address, unless -machine names another. Its
zone is the availability-zone in the view, unless -zone names another. The picture of
-draw shows the slots that get another primary, and lists the replicas that do.

hashslot sends nothing. Send the steps by hand with valkey-cli, one after the other: a
replica must be in sync before the next step.
`,
	example: `$ hashslot plan balance testdata/nodes.txt
0 replica moves, 0 failovers

Nothing has been sent.
`,
}

// addList adds an option that may be given several times.
func addList(fs *flag.FlagSet, list *[]string, name, usage string) {
	fs.Func(name, usage, func(s string) error { *list = append(*list, s); return nil })
}

// planFlags are the options of plans.
type planFlags struct {
	nodes  nodesFlags
	format string
	steps  string
	batch  int
	pictureFlags
	compat bool
	tool   string
	asTool valkeycli.Tool // the tool that compat means

	weights  []string
	useEmpty bool
	assign   bool
	loads    []string
	metric   string
	moves    bool // it has the options of plans that move slots
}

var protocols = []string{"migrateslots", "setslot", "migration"}

// add adds the options of a plan with a picture, and those of plans that move slots.
func (f *planFlags) add(fs *flag.FlagSet, moves bool) {
	formats := "text or json"
	if f.moves = moves; moves {
		formats = "text, json, migrateslots, setslot or migration"
		f.nodes.add(fs)
		fs.StringVar(&f.steps, "steps", "migrateslots", "the `steps` in text and JSON: migrateslots, setslot, migration or none")
		fs.IntVar(&f.batch, "batch", 0, "print the commands in batches in which no node gives or takes more than `n` slots;\nneeds -format migrateslots, setslot or migration")
	}
	fs.StringVar(&f.format, "format", "text", "the `format` of the output: "+formats)
	f.pictureFlags.add(fs)
}

func (f *planFlags) addCompat(fs *flag.FlagSet) {
	fs.BoolVar(&f.compat, "compat", false, "make the plan of valkey-cli 9.1.2 --cluster")
	fs.StringVar(&f.tool, "tool", "", "make the plan of this `tool`: valkey-9.1 (the same as -compat), valkey-8.0, redis-7.0\nor redis-8.6")
}

func (f *planFlags) addLoad(fs *flag.FlagSet) {
	addList(fs, &f.weights, "weight", "the weight of a node, as `ID=W`, instead of 1; may be repeated")
	fs.BoolVar(&f.useEmpty, "use-empty", false, "give slots to primaries without slots, too")
	fs.BoolVar(&f.assign, "assign-unassigned", false, "assign the slots without an owner, too")
	addList(fs, &f.loads, "load", "balance the load in `file` instead of the number of slots; may be repeated")
	fs.StringVar(&f.metric, "metric", "", "the `name` of the metric to take from -load, such as key-count or cpu-usec")
}

// check checks the options. For plans that move slots, it adds the arguments to the files.
func (f *planFlags) check(e *env, given map[string]bool) error {
	formats := []string{"text", "json"}
	if f.moves {
		f.nodes.take(e.args)
		formats = append(formats, protocols...)
	}
	stdin := f.nodes.stdin()
	for _, name := range f.loads {
		if name == "-" {
			stdin++
		}
	}
	tool, err := valkeycli.ToolValkey91, error(nil)
	if given["tool"] {
		f.compat = true
		tool, err = valkeycli.ParseTool(f.tool)
	}
	f.asTool = tool
	switch {
	case !slices.Contains(formats, f.format):
		return fmt.Errorf("-format must be %s or %s, not %q", strings.Join(formats[:len(formats)-1], ", "), formats[len(formats)-1], f.format)
	case f.moves && !slices.Contains(append([]string{"none"}, protocols...), f.steps):
		return fmt.Errorf("-steps must be migrateslots, setslot, migration or none, not %q", f.steps)
	case given["batch"] && (f.batch < 1 || f.format == "text" || f.format == "json"):
		return errors.New("-batch must be at least 1, and needs -format migrateslots, setslot or migration")
	case f.moves && f.nodes.check() != nil:
		return f.nodes.check()
	case stdin > 1:
		return errTwice
	case err != nil:
		return errors.New(strings.TrimPrefix(err.Error(), "plan: "))
	case f.compat && len(f.nodes.files) > 1:
		return errors.New("-compat takes one FILE: the tool's plan depends on the order of the nodes in it")
	case f.compat && (given["load"] || given["assign-unassigned"]):
		return errors.New("-load and -assign-unassigned do not go with -compat: the tool has no such options")
	case given["metric"] && !given["load"]:
		return errors.New("-metric needs -load")
	}
	return f.pictureFlags.check()
}

func given(fs *flag.FlagSet) map[string]bool {
	names := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { names[f.Name] = true })
	return names
}

// nothingSent ends a plan that is printed as text.
const nothingSent = "\nNothing has been sent.\n"

func runPlanCreate(e *env) int {
	var (
		fs       flag.FlagSet
		f        planFlags
		replicas int
	)
	f.add(&fs, false)
	f.addCompat(&fs)
	fs.IntVar(&replicas, "replicas", 0, "`n` replicas for each primary")
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	err := f.check(e, given(&fs))
	if len(e.args) == 0 {
		err = first(err, errors.New("name the HOST:PORT of each node of the new cluster"))
	}
	if err != nil {
		return e.badUse(err)
	}
	var hosts []plan.Host
	for _, a := range e.args {
		addr, zone, _ := strings.Cut(a, "=")
		hosts = append(hosts, plan.Host{Addr: addr, Zone: zone})
	}
	var layout plan.Layout
	if f.compat {
		layout, _, err = valkeycli.Create(f.asTool, hosts, replicas)
	} else {
		layout, err = plan.Create(hosts, replicas)
	}
	if err != nil {
		return e.noPlan(err)
	}
	var after []owned
	for _, s := range layout.Shards {
		after = append(after, owned{s.Primary.Addr, s.Primary.Addr, s.Slots})
	}
	if code, done := f.picture(e, drawChange(nil, after)); done {
		return code
	}
	if f.format == "json" {
		return e.printJSON(layout)
	}
	return e.print(layout.Summary() + nothingSent)
}

func runPlanRebalance(e *env) int {
	var (
		fs        flag.FlagSet
		f         planFlags
		threshold float64
	)
	f.add(&fs, true)
	f.addCompat(&fs)
	f.addLoad(&fs)
	fs.Float64Var(&threshold, "threshold", 0, "move no slots if every node is within `percent` of its share; with -compat the default\nis 2, and 0 never moves any")
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	set := given(&fs)
	if err := f.check(e, set); err != nil {
		return e.badUse(err)
	}
	return f.plan(e, func(c *topology.Cluster, o plan.RebalanceOptions) (plan.Plan, error) {
		if !f.compat {
			o.Threshold = threshold
			return plan.Rebalance(c, o)
		}
		if !set["threshold"] {
			threshold = valkeycli.DefaultThreshold
		}
		run, err := valkeycli.Rebalance(c, f.asTool, valkeycli.RebalanceOptions{Weights: o.Weights, UseEmpty: o.UseEmpty, Threshold: threshold})
		return run.Plan, err
	})
}

func runPlanReshard(e *env) int {
	var (
		fs       flag.FlagSet
		f        planFlags
		from, to string
		slots    int
	)
	f.add(&fs, true)
	f.addCompat(&fs)
	fs.StringVar(&from, "from", "", "take the slots from the nodes `ID,ID`; \"all\" means all other primaries")
	fs.StringVar(&to, "to", "", "move the slots to the node `ID`")
	fs.IntVar(&slots, "slots", 0, "move `n` slots")
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	set := given(&fs)
	err := f.check(e, set)
	if !set["from"] || !set["to"] || !set["slots"] {
		err = first(err, errors.New("-from, -to and -slots must be given"))
	}
	if err != nil {
		return e.badUse(err)
	}
	return f.plan(e, func(c *topology.Cluster, _ plan.RebalanceOptions) (plan.Plan, error) {
		var sources []string
		target, err := nodeID(c, to)
		if err == nil && from != "all" {
			sources, err = nodeIDs(c, strings.Split(from, ","))
		}
		if err != nil {
			return plan.Plan{}, useError{err}
		}
		if !f.compat {
			return plan.Reshard(c, sources, target, slots)
		}
		run, err := valkeycli.Reshard(c, f.asTool, nil, sources, target, slots)
		return run.Plan, err
	})
}

func runPlanDrain(e *env) int {
	var (
		fs               flag.FlagSet
		f                planFlags
		drained, targets []string
	)
	f.add(&fs, true)
	f.addLoad(&fs)
	addList(&fs, &drained, "node", "move all slots away from the node `ID`; may be repeated")
	addList(&fs, &targets, "receiver", "move slots only to the node `ID`; may be repeated")
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	err := f.check(e, given(&fs))
	if len(drained) == 0 {
		err = first(err, errors.New("-node is missing: name the nodes to drain"))
	}
	if err != nil {
		return e.badUse(err)
	}
	return f.plan(e, func(c *topology.Cluster, o plan.RebalanceOptions) (plan.Plan, error) {
		from, err := nodeIDs(c, drained)
		var to []string
		if err == nil {
			to, err = nodeIDs(c, targets)
		}
		if err != nil {
			return plan.Plan{}, useError{err}
		}
		return plan.Drain(c, from, plan.DrainOptions{Receivers: to, Weights: o.Weights, UseEmpty: o.UseEmpty, Load: o.Load, AssignUnassigned: o.AssignUnassigned})
	})
}

// A useError is an error in an argument that is found only after the input is read.
type useError struct{ error }

// plan makes a plan that moves slots, and prints it.
func (f *planFlags) plan(e *env, newPlan func(*topology.Cluster, plan.RebalanceOptions) (plan.Plan, error)) int {
	view, err := f.nodes.load(e)
	if err != nil {
		return e.fail(err)
	}
	c := view.Cluster
	o := plan.RebalanceOptions{UseEmpty: f.useEmpty, AssignUnassigned: f.assign}
	for _, w := range f.weights {
		name, number, _ := strings.Cut(w, "=")
		weight, err := strconv.ParseFloat(number, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return e.badUse(fmt.Errorf("-weight must be ID=NUMBER, not %q", w))
		}
		id, err := nodeID(c, name)
		if err != nil {
			return e.badUse(err)
		}
		o.Weights = append(o.Weights, plan.Weight{ID: id, Weight: weight})
	}
	if len(f.loads) > 0 {
		if o.Load, err = f.readLoad(e); err != nil {
			return e.noPlan(err)
		}
	}
	p, err := newPlan(c, o)
	if err != nil {
		return e.noPlan(err)
	}
	if code, done := f.picture(e, drawChange(ownersIn(p, p.Before), ownersIn(p, p.After))); done {
		return code
	}
	steps := func(p plan.Plan, protocol string) (iter.Seq[plan.Step], error) {
		switch protocol {
		case "setslot":
			return p.SetSlots(plan.SetSlotOptions{})
		case "migration":
			return slices.Values(p.MigrationImport()), nil
		case "migrateslots":
			return slices.Values(p.MigrateSlots()), nil
		}
		return slices.Values([]plan.Step(nil)), nil
	}
	if f.format != "text" && f.format != "json" {
		return f.commands(e, p, steps)
	}
	list, err := steps(p, f.steps)
	if err != nil {
		return e.noPlan(err)
	}
	if f.format == "json" {
		p.Steps = slices.AppendSeq([]plan.Step{}, list)
		return e.printJSON(p)
	}
	return e.printSteps(p.Summary(), list, "-format "+f.steps)
}

// printSteps prints a plan as text: its summary, the first steps, and how to see all.
func (e *env) printSteps(summary string, steps iter.Seq[plan.Step], all string) int {
	const most = 20
	var b strings.Builder
	b.WriteString(summary)
	n := 0
	for s := range steps {
		if n == 0 {
			b.WriteString("\nSteps:\n")
		}
		if n++; n <= most {
			fmt.Fprintf(&b, "  %s\n", s)
		}
	}
	if n > most {
		fmt.Fprintf(&b, "  and %d more: %s prints all\n", n-most, all)
	}
	b.WriteString(nothingSent)
	return e.print(b.String())
}

// commands prints the steps as commands, and nothing else.
func (f *planFlags) commands(e *env, p plan.Plan, steps func(plan.Plan, string) (iter.Seq[plan.Step], error)) int {
	batches, all := slices.Values([]plan.Plan{p}), 0
	if f.batch > 0 {
		batches, _ = p.Batches(f.batch) // which check has checked
		for range batches {
			all++
		}
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(e.stderr, "%s: warning: %s\n", e.title(), harmless(w))
	}
	out := bufio.NewWriter(e.stdout)
	n := 0
	for b := range batches {
		if n++; f.batch > 0 {
			fmt.Fprintf(out, "# batch %d of %d\n", n, all)
		}
		list, err := steps(b, f.format)
		if err != nil {
			return e.noPlan(err)
		}
		for s := range list {
			fmt.Fprintln(out, s)
		}
	}
	if err := out.Flush(); err != nil {
		return e.fail(err)
	}
	return exitOK
}

// ownersIn returns the owners in a table of a plan.
func ownersIn(p plan.Plan, t *slotmap.Table[string]) (list []owned) {
	addr := map[string]string{}
	for _, n := range p.Nodes {
		addr[n.ID] = n.Addr
	}
	for id := range t.Owners() {
		list = append(list, owned{id, addr[id], t.SlotsOf(id)})
	}
	return list
}

// readLoad reads the files of -load.
func (f *planFlags) readLoad(e *env) ([]float64, error) {
	var samples []*plan.Sample
	for _, name := range f.loads {
		data, err := readNodes(e, name)
		if err != nil {
			return nil, err
		}
		s, err := plan.ParseSlotStatsText(string(decodeText(data)))
		if err != nil {
			return nil, fmt.Errorf("%s: %s", inputName(name), strings.TrimPrefix(err.Error(), "plan: "))
		}
		samples = append(samples, s)
	}
	s := plan.MergeSamples(samples...)
	metric := f.metric
	if metric == "" {
		all := s.Metrics()
		if len(all) == 0 {
			return nil, errors.New("-load: has no numbers")
		}
		if len(all) > 1 {
			return nil, useError{fmt.Errorf("choose the load by -metric: %s", strings.Join(all, ", "))}
		}
		for _, m := range all {
			metric = m
		}
	}
	return s.Load(metric)
}

func runPlanFix(e *env) int {
	var (
		fs     flag.FlagSet
		f      planFlags
		counts string
		o      plan.FixOptions
	)
	f.nodes.add(&fs)
	f.pictureFlags.add(&fs)
	fs.StringVar(&f.format, "format", "text", "the `format` of the output: text or json")
	fs.StringVar(&counts, "counts", "", "read the numbers of keys from `file`: lines with a node, a slot and a number")
	fs.BoolVar(&o.Unreachable, "unreachable", false, "make a plan even if primaries cannot be reached")
	fs.BoolVar(&o.StrayKeys, "stray-keys", false, "also look for keys at primaries that do not own their slots")
	fs.BoolVar(&o.SetSlots.Replace, "replace", false, "if both nodes have a key, keep that of the node that loses the slot")
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	f.nodes.take(e.args)
	form := outputFlag{f.format}
	err := first(f.nodes.check(), form.check(), f.pictureFlags.check())
	if err == nil && counts == "-" && f.nodes.stdin() > 0 {
		err = errTwice
	}
	if err != nil {
		return e.badUse(err)
	}
	view, err := f.nodes.load(e)
	if err != nil {
		return e.fail(err)
	}
	var views []*topology.Cluster
	for _, in := range view.inputs {
		views = append(views, in.cluster)
	}
	known := plan.KeyCounts{}
	if counts != "" {
		if err := readCounts(e, counts, view.Cluster, known); err != nil {
			return e.fail(err)
		}
	}
	r, err := plan.Fix(views, known, o)
	var ask *plan.CountsError
	if errors.As(err, &ask) {
		out := bufio.NewWriter(e.stdout)
		for _, q := range ask.Ask {
			for slot := range q.Slots.Slots() {
				fmt.Fprintf(out, "%s %d\n", plain(cmp.Or(q.Addr, q.Node)), slot)
			}
		}
		if err := out.Flush(); err != nil {
			return e.fail(err)
		}
		return e.fail(errors.New("the repair depends on keys: append the number of keys to each line, and name the file in -counts"))
	}
	if err != nil {
		return e.noPlan(err)
	}
	var changes []change
	for _, s := range r.Slots {
		changes = append(changes, change{s.Slots, s.Owner})
	}
	m := drawChanges(view, changes)
	m.addOpen(view.Open(), shortIDs(describe(view)))
	if code, done := f.picture(e, m); done {
		return code
	}
	if form.json() {
		return e.printJSON(r)
	}
	return e.printSteps(r.Summary(), slices.Values(r.Steps), "-format json")
}

// readCounts reads lines of a node, a slot and the number of keys that the node has in
// the slot.
func readCounts(e *env, name string, c *topology.Cluster, counts plan.KeyCounts) error {
	data, err := readNodes(e, name)
	if err != nil {
		return err
	}
	number := 0
	for text := range strings.Lines(string(decodeText(data))) {
		number++
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		bad := func(why string) error { return fmt.Errorf("%s: line %d: %s", inputName(name), number, why) }
		if len(fields) != 3 {
			return bad(fmt.Sprintf("%.60q is not a node, a slot and a number of keys", strings.TrimSpace(text)))
		}
		id, err := nodeID(c, fields[0])
		if err != nil {
			return bad(err.Error())
		}
		slot, err1 := hashslot.ParseSlot(fields[1])
		keys, err2 := strconv.Atoi(fields[2])
		if err1 != nil || err2 != nil || keys < 0 {
			return bad(fmt.Sprintf("%.60q is not a node, a slot and a number of keys", strings.TrimSpace(text)))
		}
		counts.Put(id, slot, keys)
	}
	return nil
}

type promotionJSON struct {
	Lost      string      `json:"lost"`
	Slots     slotmap.Set `json:"slots"`
	Replica   string      `json:"replica"` // "" if none can take over
	Reason    string      `json:"reason"`
	Automatic bool        `json:"automatic"`
	Steps     []plan.Step `json:"steps"` // to send by hand
}

// view reads the views of a command whose arguments are files with views. If ok is
// false, the command ends with code.
func (e *env) view(nodes *nodesFlags, form *outputFlag, pic *pictureFlags) (view *clusterView, code int, ok bool) {
	nodes.take(e.args)
	if err := first(nodes.check(), form.check(), pic.check()); err != nil {
		return nil, e.badUse(err), false
	}
	view, err := nodes.load(e)
	if err != nil {
		return nil, e.fail(err), false
	}
	return view, exitOK, true
}

func runPlanPromote(e *env) int {
	var (
		fs    flag.FlagSet
		nodes nodesFlags
		form  outputFlag
		pic   pictureFlags
		lost  []string
	)
	nodes.add(&fs)
	form.add(&fs)
	pic.add(&fs)
	addList(&fs, &lost, "lost", "treat the primary `ID` as lost; may be repeated; default: all that have failed")
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	view, code, ok := e.view(&nodes, &form, &pic)
	if !ok {
		return code
	}
	c := view.Cluster
	ids, err := nodeIDs(c, lost)
	if err != nil {
		return e.badUse(err)
	}
	if len(lost) == 0 {
		for _, s := range c.Shards() {
			if s.Primary.Flags.Has(topology.FlagFail) && !c.Table().SlotsOf(s).IsEmpty() {
				ids = append(ids, s.Primary.ID)
			}
		}
	}
	promotions, err := plan.Promote(c, ids)
	if err != nil {
		return e.noPlan(err)
	}
	var changes []change
	for _, p := range promotions {
		changes = append(changes, change{p.Slots, p.Replica})
		if p.Replica == "" {
			code = exitFailed
		}
	}
	if drawn, done := pic.picture(e, drawChanges(view, changes)); done {
		return max(code, drawn)
	}
	list := []promotionJSON{}
	var b strings.Builder
	if len(promotions) == 0 {
		b.WriteString("no primary with slots has failed\n")
	}
	for _, p := range promotions {
		j := promotionJSON{p.Lost, p.Slots, p.Replica, p.Reason, p.Automatic, []plan.Step{}}
		fmt.Fprintf(&b, "%s is lost, with %s: %s\n", shown(c.Node(p.Lost).String()), count(p.Slots.Len(), "slot", "slots"), plain(p.Slots.String()))
		if p.Replica == "" {
			fmt.Fprintf(&b, "  no replica can take over: %s\n", shown(p.Reason))
		} else {
			j.Steps = append(j.Steps, p.Step)
			fmt.Fprintf(&b, "  %s takes over (%s): ", shown(c.Node(p.Replica).String()), shown(p.Reason))
			if p.Automatic {
				b.WriteString("the cluster does it by itself\n")
			} else {
				fmt.Fprintf(&b, "the cluster does not do it by itself; send\n  %s\n", p.Step)
			}
		}
		list = append(list, j)
	}
	b.WriteString(nothingSent)
	if form.json() {
		return max(code, e.printJSON(struct {
			Promotions []promotionJSON `json:"promotions"`
		}{list}))
	}
	return max(code, e.print(b.String()))
}

func runPlanBalance(e *env) int {
	var (
		fs              flag.FlagSet
		nodes           nodesFlags
		form            outputFlag
		pic             pictureFlags
		machines, zones []string
	)
	nodes.add(&fs)
	form.add(&fs)
	pic.add(&fs)
	addList(&fs, &machines, "machine", "the machine of a node, as `ID=NAME`; may be repeated")
	addList(&fs, &zones, "zone", "the zone of a node, as `ID=NAME`; may be repeated")
	if code, ok := e.parse(&fs); !ok {
		return code
	}
	view, code, ok := e.view(&nodes, &form, &pic)
	if !ok {
		return code
	}
	o := plan.BalanceOptions{Machines: map[string]string{}, Zones: map[string]string{}}
	for _, side := range []struct {
		name string
		list []string
		to   map[string]string
	}{{"machine", machines, o.Machines}, {"zone", zones, o.Zones}} {
		for _, pair := range side.list {
			name, place, ok := strings.Cut(pair, "=")
			if !ok {
				return e.badUse(fmt.Errorf("-%s must be ID=NAME, not %q", side.name, pair))
			}
			id, err := nodeID(view.Cluster, name)
			if err != nil {
				return e.badUse(err)
			}
			if _, twice := side.to[id]; twice {
				return e.badUse(fmt.Errorf("-%s %q: the node is named twice", side.name, pair))
			}
			side.to[id] = place
		}
	}
	p, err := plan.Balance(view.Cluster, o)
	if err != nil {
		return e.noPlan(err)
	}
	if code, done := pic.picture(e, drawBalance(view, p)); done {
		return code
	}
	if form.json() {
		return e.printJSON(p)
	}
	return e.printSteps(p.Summary(), slices.Values(p.Steps), "-format json")
}

// fieldOptions are the options and arguments behind the parameters and fields that an
// error of package plan names.
var fieldOptions = map[string]string{
	"Weights": "-weight", "Receivers": "-receiver", "Threshold": "-threshold", "Load": "-load",
	"nodes": "-node", "from": "-from", "to": "-to", "slots": "-slots", "lost": "-lost", "metric": "-metric",
	"replicas": "-replicas", "hosts": "HOST:PORT", "views": "FILE", "Cluster": "the cluster", "Plan": "node",
}

// ofInput are the fields that come from the content of the input, not from options.
var ofInput = []string{"views", "Cluster", "Plan", "Load"}

// indexed is a parameter or field with an index, at the end of the reason of an error.
var indexed = regexp.MustCompile(`(\w+)\[(\d+)\]$`)

// noPlan prints why there is no plan. An error in an option or argument is bad use.
func (e *env) noPlan(err error) int {
	var input *plan.InputError
	var use useError
	bad := errors.As(err, &use)
	if errors.As(err, &input) {
		named := *input
		field, _, _ := strings.Cut(input.Field, "[")
		bad = !slices.Contains(ofInput, field)
		if option, ok := fieldOptions[field]; ok {
			named.Field = option
			if named.Value == "" && field != input.Field {
				named.Field = numbered(input.Field)
			}
		}
		named.Reason = numbered(input.Reason)
		err = &named
	}
	text := errors.New(strings.NewReplacer("UseEmpty", "-use-empty", "AssignUnassigned", "-assign-unassigned").Replace(strings.TrimPrefix(err.Error(), "plan: ")))
	if bad {
		return e.badUse(text)
	}
	return e.fail(text)
}

// numbered writes options as a person counts them in place of fields with an index:
// "-weight 1" in place of "Weights[0]".
func numbered(text string) string {
	return indexed.ReplaceAllStringFunc(text, func(field string) string {
		parts := indexed.FindStringSubmatch(field)
		if option, ok := fieldOptions[parts[1]]; ok {
			i, _ := strconv.Atoi(parts[2])
			return fmt.Sprintf("%s %d", option, i+1)
		}
		return field
	})
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

// minPrefix is the least number of characters of an id that name a node.
const minPrefix = 4

// nodeID returns the id of the node that name refers to: by its address, its id or a
// unique prefix of its id.
func nodeID(c *topology.Cluster, name string) (string, error) {
	if n := nodeAt(c, name); n != nil {
		return n.ID, nil
	}
	var found []string
	for _, n := range c.Nodes() {
		if name == "" {
			break
		}
		if n.ID == name {
			return name, nil
		}
		if strings.HasPrefix(n.ID, name) || strings.HasPrefix(n.ID, strings.ToLower(name)) {
			found = append(found, n.ID)
		}
	}
	switch {
	case len(found) == 0:
		return "", fmt.Errorf("no node has the id or the address %q", name)
	case len(name) < minPrefix:
		return "", fmt.Errorf("%q is too short: the beginning of an id needs at least %d characters", name, minPrefix)
	case len(found) > 1:
		return "", fmt.Errorf("%q is the beginning of %d ids: write more of it", name, len(found))
	}
	return found[0], nil
}

func nodeIDs(c *topology.Cluster, names []string) (ids []string, err error) {
	for _, n := range names {
		id, err := nodeID(c, n)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}
