package plan

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// BalanceOptions are the options of [Balance]: the places of the nodes. The zero value
// means that nodes with the same host in their addresses share a machine, and that
// zones are those of the view.
type BalanceOptions struct {
	// Machines and Zones are by node id. A node that is not in Machines is on the
	// machine of its address's host. A node that is not in Zones is in its
	// availability-zone, which is in CLUSTER SLOTS and SHARDS of Valkey 9.1 and in
	// nodes.conf, or else in the zone "".
	Machines, Zones map[string]string
}

// A Spread is the plan of [Balance].
type Spread struct {
	Moves     []ReplicaMove `json:"moves"`     // replicas that go to other primaries, in their order
	Failovers []Failover    `json:"failovers"` // replicas that become primaries, after all moves
	Before    Layout        `json:"before"`    // the shards with slots before
	After     Layout        `json:"after"`     // the same shards after all steps, in the same order
	Steps     []Step        `json:"steps"`     // to be done one after the other
	Warnings  []string      `json:"warnings"`
}

// A ReplicaMove is a replica that goes from one primary to another, all by id.
type ReplicaMove struct {
	Replica string `json:"replica"`
	From    string `json:"from"`
	To      string `json:"to"`
}

// A Failover is a replica that takes the place of its primary, both by id.
type Failover struct {
	Replica string `json:"replica"`
	Primary string `json:"primary"` // which becomes its replica
}

// Balance plans how to spread the primaries of a running cluster over machines and
// zones. Its aims, in this order:
//
//  1. few pairs of nodes of one shard on one machine, then few such pairs in one zone.
//     For that, replicas go to other primaries (CLUSTER REPLICATE). Each shard keeps
//     its number of replicas;
//  2. few replicas that go to others, because each copies all its data anew;
//  3. primaries spread evenly over the zones, then over the machines, as far as these
//     shards allow. For that, replicas take over (CLUSTER FAILOVER);
//  4. few failovers.
//
// Pairs and moves are the fewest possible while all primaries stay where they are. Aims 3
// and 4 are met as well as the resulting shards allow. In clusters of more than a few
// hundred nodes this need not hold: aim 1 then looks at the shards that have such pairs and
// at as many others as it can, and beyond 4000 nodes aim 3 goes shard by shard.
//
// Every slot is served at all times. The replicas go first, one after the other, and each
// must be in sync before the next step; a shard with one replica may have none
// meanwhile. In a CLUSTER FAILOVER the primary then waits until its replica has all data.
//
// After a crash, begin again with the last step that was begun, or plan again.
//
// Balance moves no slots, so running jobs do not affect the plan. But a failover at the
// source or the target of a job can abort it: wait until jobs have ended.
//
// Replicas that cannot be reached stay where they are. Replicas with
// cluster-replica-no-failover do not take over. Shards without slots do not count, and are
// left unchanged. The same cluster gives the same plan, whatever the order of the reply.
//
// The error is a [*StateError], if for example a primary with slots cannot be reached or
// slots are open, or an [*InputError].
func Balance(c *topology.Cluster, o BalanceOptions) (Spread, error) {
	b, err := newBalancer(c, o)
	if err != nil {
		return Spread{}, err
	}
	before := b.layout()
	b.keepApart()
	b.choose()
	p := Spread{Moves: b.moves, Failovers: b.failovers, Before: before, After: b.layout(), Steps: b.steps}
	p.Warnings = append(b.warnings, p.After.Warnings...)
	return p, nil
}

// A balancer makes a Spread. Nodes are indexes.
type balancer struct {
	nodes           []member      // shard by shard, the primary first, then the replicas by id
	shards          [][]int       // the primary first, then the replicas ascending; by the primary's id
	slots           []slotmap.Set // of the shards
	machines, zones int           // how many there are

	moves     []ReplicaMove
	failovers []Failover
	steps     []Step
	warnings  []string
}

// A member is a node of a shard with slots.
type member struct {
	Node
	host          Host
	shard         int // before all moves
	machine, zone int
	able          bool // can be reached
	never         bool // cluster-replica-no-failover
}

func newBalancer(c *topology.Cluster, o BalanceOptions) (*balancer, error) {
	s, err := newState(c, true, nil)
	if err != nil {
		return nil, err
	}
	for _, in := range []struct {
		field string
		of    map[string]string
	}{{"Machines", o.Machines}, {"Zones", o.Zones}} {
		for _, id := range slices.Sorted(maps.Keys(in.of)) { // so that errors do not vary
			if c.Node(id) == nil {
				return nil, &InputError{Field: in.field, Value: id, Reason: "no node has this id"}
			}
		}
	}
	b := &balancer{moves: []ReplicaMove{}, failovers: []Failover{}, steps: []Step{}, warnings: []string{}}
	machines, zones := map[[2]string]int{}, map[string]int{}
	add := func(n *topology.Node, shard int) {
		m := member{Node: Node{ID: n.ID, Addr: n.Addr()}, host: Host{Addr: n.Addr(), Zone: n.AvailabilityZone}, shard: shard,
			able: !down(n), never: n.Flags&topology.FlagNoFailover != 0}
		if zone, ok := o.Zones[n.ID]; ok {
			m.host.Zone = zone
		}
		// A node without an address shares its machine with no known node.
		host, _, _ := net.SplitHostPort(m.Addr)
		m.host.Machine = cmp.Or(o.Machines[n.ID], host, n.ID)
		// Machines of one name in two zones are two machines.
		m.machine, m.zone = number(machines, [2]string{m.host.Machine, m.host.Zone}), number(zones, m.host.Zone)
		if !m.able {
			b.warnings = append(b.warnings, fmt.Sprintf("replica %s is not reachable (%s) and keeps its primary", printable(n.ID), n.Flags))
		}
		b.shards[shard] = append(b.shards[shard], len(b.nodes))
		b.nodes = append(b.nodes, m)
	}
	at := make([]int, len(s.nodes)) // by node: its shard
	for i, n := range s.nodes {
		if n.slots == 0 {
			continue
		}
		at[i] = len(b.shards)
		b.shards = append(b.shards, nil)
		add(n.shard.Primary, len(b.shards)-1)
		replicas := slices.Clone(n.shard.Replicas)
		slices.SortFunc(replicas, func(a, b *topology.Node) int { return strings.Compare(a.ID, b.ID) })
		for _, r := range replicas {
			add(r, len(b.shards)-1)
		}
	}
	if len(b.shards) == 0 {
		return nil, &InputError{Field: "Cluster", Reason: "no primary has slots"}
	}
	b.machines, b.zones = len(machines), len(zones)
	b.slots = make([]slotmap.Set, len(b.shards))
	for slot, i := range s.owner {
		if i != nobody {
			b.slots[at[i]].Add(hashslot.Slot(slot))
		}
	}
	return b, nil
}

// number numbers names by their first appearance.
func number[K comparable](of map[K]int, name K) int {
	if _, ok := of[name]; !ok {
		of[name] = len(of)
	}
	return of[name]
}

func (b *balancer) layout() Layout {
	var shards []LayoutShard
	replicas := 0
	for i, list := range b.shards {
		s := LayoutShard{Primary: b.nodes[list[0]].host, Slots: b.slots[i]}
		for _, r := range list[1:] {
			s.Replicas = append(s.Replicas, b.nodes[r].host)
		}
		replicas = max(replicas, len(s.Replicas))
		shards = append(shards, s)
	}
	return NewLayout(shards, replicas)
}

// maxChoices and maxWork bound the work of keepApart. The choices are the replicas times
// the shards that they may go to. Each replica may look at all choices once.
const (
	maxChoices = 20_000
	maxWork    = 1000 * maxChoices
)

// keepApart gives the replicas to primaries by a flow of the lowest cost. A unit goes
// from the source to a replica; then, within one shard, to the replica's machine, to its
// zone and to the shard; then to the sink. The k-th node of a shard on a machine or in a
// zone makes k-1 pairs, so each costs more than the one before, and the flow takes the
// cheapest first.
func (b *balancer) keepApart() {
	chosen := b.worthwhile()
	var f flow
	source, sink := f.node(), f.node()
	var movable []int
	for _, s := range chosen {
		for _, i := range b.shards[s][1:] {
			if b.nodes[i].able {
				movable = append(movable, i)
			}
		}
	}
	at := f.nodes(len(movable))
	for k := range movable {
		f.edge(source, at+k, price{})
	}
	into := make([][]int, len(chosen)) // by chosen shard and replica: the edge
	for c, s := range chosen {
		into[c] = b.ways(&f, s, movable, at, sink)
	}
	for f.augment(source, sink) {
	}
	type change struct{ node, to int }
	var changes []change
	for k, i := range movable {
		for c, s := range chosen {
			if f.full[into[c][k]] && b.nodes[i].shard != s {
				changes = append(changes, change{i, s})
			}
		}
	}
	// The shard with the most replicas gives one first, to a shard with few.
	for len(changes) > 0 {
		next := slices.MinFunc(changes, func(x, y change) int {
			return cmp.Or(
				cmp.Compare(len(b.shards[b.nodes[y.node].shard]), len(b.shards[b.nodes[x.node].shard])),
				cmp.Compare(len(b.shards[x.to]), len(b.shards[y.to])),
				cmp.Compare(x.node, y.node))
		})
		changes = slices.DeleteFunc(changes, func(x change) bool { return x == next })
		b.replicate(next.node, next.to)
	}
}

// ways adds to f the ways through shard s from the movable replicas to the sink. The nodes
// of the flow from at on stand for the replicas. ways returns the first edge of each
// replica's way.
func (b *balancer) ways(f *flow, s int, movable []int, at, sink int) (first []int) {
	// A pair on one machine outweighs all pairs in zones, and a pair in one zone
	// outweighs all moves.
	n := int64(len(b.nodes))
	machinePair, zonePair, move := price{hi: n * n}, price{hi: 1}, price{lo: 1}
	shard := f.node()
	onMachine, inZone := map[int]int{}, map[int]int{} // of nodes that stay
	room := 0
	for k, i := range b.shards[s] {
		if k == 0 || !b.nodes[i].able {
			onMachine[b.nodes[i].machine]++
			inZone[b.nodes[i].zone]++
		} else {
			room++
		}
	}
	for range room {
		f.edge(shard, sink, price{})
	}
	toMachine, toZone := map[int]int{}, map[int]int{} // the replicas that may go there
	for _, i := range movable {
		toMachine[b.nodes[i].machine]++
		toZone[b.nodes[i].zone]++
	}
	machineAt, zoneAt := map[int]int{}, map[int]int{}
	for k, i := range movable {
		m := b.nodes[i]
		if _, ok := zoneAt[m.zone]; !ok {
			zoneAt[m.zone] = f.node()
			for more := range min(room, toZone[m.zone]) {
				f.edge(zoneAt[m.zone], shard, zonePair.times(inZone[m.zone]+more))
			}
		}
		if _, ok := machineAt[m.machine]; !ok {
			machineAt[m.machine] = f.node()
			for more := range min(room, toMachine[m.machine]) {
				f.edge(machineAt[m.machine], zoneAt[m.zone], machinePair.times(onMachine[m.machine]+more))
			}
		}
		cost := move
		if m.shard == s {
			cost = price{}
		}
		first = append(first, f.edge(at+k, machineAt[m.machine], cost))
	}
	return first
}

// worthwhile returns the shards whose replicas keepApart looks at, ascending. These are all
// shards, if maxChoices allows that, or none, if no shard has two nodes in one zone.
func (b *balancer) worthwhile() []int {
	var order []int // shards with pairs first
	replicas := func(s int) int { return len(b.shards[s]) - 1 }
	pairs := make([]bool, len(b.shards))
	for s, list := range b.shards {
		zones := map[int]bool{}
		for _, i := range list { // nodes on one machine are in one zone
			pairs[s] = pairs[s] || zones[b.nodes[i].zone]
			zones[b.nodes[i].zone] = true
		}
		if pairs[s] {
			order = append(order, s)
		}
	}
	if len(order) == 0 {
		return nil
	}
	for s := range b.shards {
		if !pairs[s] {
			order = append(order, s)
		}
	}
	total, n := 0, 0
	for ; n < len(order); n++ {
		all := total + replicas(order[n])
		if choices := all * (n + 1); choices > maxChoices || all*choices > maxWork {
			break
		}
		total = all
	}
	order = order[:n]
	slices.Sort(order)
	return order
}

func (b *balancer) replicate(node, to int) {
	m := b.nodes[node]
	from, primary := b.nodes[b.shards[m.shard][0]], b.nodes[b.shards[to][0]]
	b.moves = append(b.moves, ReplicaMove{m.ID, from.ID, primary.ID})
	b.steps = append(b.steps, replicating(m.Node, primary.Node))
	b.shards[m.shard] = slices.DeleteFunc(b.shards[m.shard], func(i int) bool { return i == node })
	b.shards[to] = append(b.shards[to], node)
	slices.Sort(b.shards[to][1:])
}

// choose chooses the primaries.
func (b *balancer) choose() {
	w := &wishes{shards: make([][]int, len(b.shards)), machines: b.machines, zones: b.zones}
	for _, m := range b.nodes {
		w.hosts = append(w.hosts, m.host)
		w.machine, w.zone = append(w.machine, m.machine), append(w.zone, m.zone)
	}
	for s, list := range b.shards {
		for k, i := range list {
			if k == 0 || b.nodes[i].able && !b.nodes[i].never {
				w.shards[s] = append(w.shards[s], i)
			}
		}
	}
	w.cost = func(s, h int) price {
		if h == b.shards[s][0] {
			return price{}
		}
		return price{lo: 1}
	}
	for s, h := range w.choose() {
		was := b.shards[s][0]
		if h == was {
			continue
		}
		b.failovers = append(b.failovers, Failover{Replica: b.nodes[h].ID, Primary: b.nodes[was].ID})
		b.steps = append(b.steps, failingOver(b.nodes[h].Node, b.nodes[was].Node))
		rest := slices.DeleteFunc(b.shards[s], func(i int) bool { return i == h })
		slices.Sort(rest)
		b.shards[s] = append([]int{h}, rest...)
	}
}

// Summary returns the plan as text for people.
func (p *Spread) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s\n", count(len(p.Moves), "replica move"), count(len(p.Failovers), "failover"))
	for _, m := range p.Moves {
		fmt.Fprintf(&b, "  replica %s from %s to %s\n", printable(m.Replica), printable(m.From), printable(m.To))
	}
	for _, f := range p.Failovers {
		fmt.Fprintf(&b, "  %s takes over from %s\n", printable(f.Replica), printable(f.Primary))
	}
	writeWarnings(&b, p.Warnings)
	return b.String()
}
