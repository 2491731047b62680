// Package valkeycli predicts what valkey-cli --cluster and redis-cli --cluster do with a
// cluster, by version, with their faults: shares truncated in 32-bit floats, the
// remainder to the receivers, always the lowest slots of a source, and at times one slot
// more than announced. It is for those who must know what the tool will do. To plan, use
// package plan, whose plans are better.
//
// Two things cannot be predicted: the order of nodes in the tools' list, which depends on
// a random seed of the server that they ask (pass the reply to CLUSTER NODES, or an order
// of your own), and the random exchanges of replicas at the end of a create.
//
// All functions are pure and safe for concurrent use. They refuse the clusters that
// package plan refuses. Arguments that the tool would not take are a [*plan.InputError].
package valkeycli

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// A Tool is a version of the servers' command-line tool. The zero Tool is the newest
// known one.
type Tool uint8

const (
	// ToolValkey91 is valkey-cli 9.1.2. Where its floats round up, it moves one slot
	// more than it announces. It creates clusters of one and two primaries.
	ToolValkey91 Tool = iota
	// ToolValkey80 is valkey-cli 8.0.1, ToolRedis70 is redis-cli 7.0.15 and ToolRedis86 is redis-cli
	// 8.6.3. They move as many slots as they announce, and refuse to create fewer than
	// three primaries. All three behave alike.
	ToolValkey80
	ToolRedis70
	ToolRedis86
)

var toolNames = [...]string{"valkey-9.1", "valkey-8.0", "redis-7.0", "redis-8.6"}

// String returns the name that [ParseTool] reads.
func (t Tool) String() string {
	if int(t) < len(toolNames) {
		return toolNames[t]
	}
	return fmt.Sprintf("tool %d", int(t))
}

// ParseTool reads the name of a tool: "valkey-9.1", "valkey-8.0", "redis-7.0" or
// "redis-8.6". The error is a [*plan.InputError].
func ParseTool(name string) (Tool, error) {
	if i := slices.Index(toolNames[:], name); i >= 0 {
		return Tool(i), nil
	}
	return 0, &plan.InputError{Field: "tool", Value: name, Reason: "must be one of " + strings.Join(toolNames[:], ", ")}
}

// caps reports whether the tool moves no more slots than it announces.
func (t Tool) caps() bool { return t != ToolValkey91 }

// DefaultThreshold is the --cluster-threshold, in percent, that the tools use if
// none is given.
const DefaultThreshold = 2

// ErrEndless is the error of a rebalance that the tool would never finish: every
// node is above its truncated share, so the remainder of the rounding finds no receiver
// and the tool loops for ever.
var ErrEndless = errors.New("plan: valkey-cli would never finish: every node has more slots than its rounded-down share, so no node can receive the remainder")

// A Run is the actions of the tool.
type Run struct {
	// Plan has the moves in the tool's order. Its Nodes are in the tool's order.
	Plan plan.Plan

	// Announced has, for each move of Plan, the number of slots that the tool announces,
	// as with --cluster-simulate. [ToolValkey91] can then move one more. So a source may
	// have no slots left for a later move: it is only in the warnings.
	Announced []int
}

// Order is the order of nodes in the tool's list: the ids of all primaries; replicas are
// optional. A nil Order means the asked node ("myself") and then the others in the order
// of the view. A merged view has them by id, which is not the tool's order.
type Order []string

// RebalanceOptions are the arguments of --cluster rebalance.
type RebalanceOptions struct {
	Order Order

	// Weights is --cluster-weight. The ID of a weight is the beginning of an id. The first
	// node in the order that matches gets the weight, even if it is a replica. Of several
	// weights for one node, the last counts.
	Weights []plan.Weight

	// UseEmpty is --cluster-use-empty-masters.
	UseEmpty bool

	// Threshold is --cluster-threshold in percent; its default is [DefaultThreshold].
	// With 0 or less nothing is ever moved.
	Threshold float64
}

// Rebalance is --cluster rebalance. The error is that of [plan.New], a
// [*plan.InputError] or [ErrEndless].
func Rebalance(c *topology.Cluster, tool Tool, opts RebalanceOptions) (Run, error) {
	if math.IsNaN(opts.Threshold) || math.IsInf(opts.Threshold, 0) {
		return Run{}, &plan.InputError{Field: "Threshold", Value: fmt.Sprint(opts.Threshold), Reason: "must be a finite percentage"}
	}
	s, err := newState(c, tool, opts.Order)
	if err != nil {
		return Run{}, err
	}
	if err := s.weigh(opts.Weights); err != nil {
		return Run{}, err
	}
	var involved []*node // at least one: all slots have owners
	weighed := false
	for i, n := range s.nodes {
		if n.count > 0 || opts.UseEmpty {
			involved = append(involved, n)
			weighed = weighed || s.is.Nodes[i].Weight > 0
		}
	}
	if !weighed {
		return Run{}, &plan.InputError{Field: "Weights", Reason: "all weights are 0: no node is left to own the slots"}
	}
	moves, err := rebalance(involved, float32(opts.Threshold), tool.caps())
	if err != nil {
		return Run{}, err
	}
	if opts.Threshold <= 0 {
		return s.run(moves, "with a threshold of 0 or less the tool never moves anything")
	}
	return s.run(moves)
}

// Reshard is --cluster reshard: it moves about the given number of slots to the node to,
// from the nodes from, or from all others if from is nil. Errors are as for [Rebalance].
func Reshard(c *topology.Cluster, tool Tool, order Order, from []string, to string, slots int) (Run, error) {
	s, err := newState(c, tool, order)
	if err != nil {
		return Run{}, err
	}
	// It refuses what plan.Reshard refuses, with one exception: asked for more slots
	// than there are, the tool moves all.
	if _, err := plan.Reshard(c, from, to, 1); err != nil {
		return Run{}, err
	}
	if slots < 1 || slots > hashslot.Count {
		return Run{}, &plan.InputError{Field: "slots", Value: fmt.Sprint(slots), Reason: fmt.Sprintf("must be from 1 to %d", hashslot.Count)}
	}
	var sources []*node
	if from == nil {
		for _, n := range s.nodes {
			if n.id != to {
				sources = append(sources, n)
			}
		}
	}
	for _, id := range from {
		sources = append(sources, s.byID[id])
	}
	total := 0
	for _, n := range sources {
		total += n.count
	}
	var moves []move
	moved := 0
	reshardTable(sources, slots, tool.caps(), func(src *node, list []hashslot.Slot) {
		moves = append(moves, move{from: src.id, to: to, announced: len(list), slots: list})
		moved += len(list)
	})
	var warnings []string
	switch {
	case slots > total:
		warnings = append(warnings, fmt.Sprintf("the tool moves %d slots, not %d: the sources have no more", moved, slots))
	case moved != slots:
		warnings = append(warnings, fmt.Sprintf("the tool moves %d slots, not %d, because it rounds 32-bit floats", moved, slots))
	}
	return s.run(moves, warnings...)
}

// Create is --cluster create up to the random exchanges that the tool makes if replicas
// share a host. unused are the hosts that it leaves without a role: they become primaries
// without slots. The error is a [*plan.InputError].
func Create(tool Tool, hosts []plan.Host, replicas int) (l plan.Layout, unused []plan.Host, err error) {
	if err := plan.CheckHosts(hosts, replicas); err != nil {
		return plan.Layout{}, nil, err
	}
	if n := len(hosts) / (replicas + 1); n < 3 && tool != ToolValkey91 {
		return plan.Layout{}, nil, &plan.InputError{Field: "hosts", Reason: fmt.Sprintf("%v creates no fewer than 3 primaries, and these hosts make %d", tool, n)}
	}
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = h.Addr[:strings.LastIndexByte(h.Addr, ':')]
	}
	primaries, placed, left := placeReplicas(names, replicas)
	var shards []plan.LayoutShard
	first := hashslot.Slot(0)
	for i, last := range allot(len(primaries)) {
		shard := plan.LayoutShard{Primary: hosts[primaries[i]]}
		shard.Slots.AddRange(slotmap.Range{First: first, Last: last})
		if shard.Slots.Err() != nil {
			// From some 7500 primaries on the sum of its 32-bit floats can run ahead.
			return plan.Layout{}, nil, &plan.InputError{Field: "hosts", Reason: fmt.Sprintf("with %d primaries the tool's rounding exceeds slot %d", len(primaries), hashslot.Count-1)}
		}
		first = last + 1
		for _, r := range placed[i] {
			shard.Replicas = append(shard.Replicas, hosts[r])
		}
		shards = append(shards, shard)
	}
	l = plan.NewLayout(shards, replicas)
	for _, i := range left {
		unused = append(unused, hosts[i])
		l.Warnings = append(l.Warnings, hosts[i].Addr+" is left without a role: it becomes a primary without slots")
	}
	if sharesHost(names, primaries, placed) {
		l.Warnings = append(l.Warnings, "the tool goes on to exchange replicas at random, to keep those of a primary on different hosts: which ones cannot be told")
	}
	return l, unused, nil
}

// A state is a cluster in the view of the tool.
type state struct {
	cluster *topology.Cluster
	order   []*topology.Node // all nodes, replicas too
	is      plan.Plan        // the plan without moves, its nodes in the tool's order
	nodes   []*node          // those of is
	byID    map[string]*node
}

func newState(c *topology.Cluster, tool Tool, order Order) (*state, error) {
	if int(tool) >= len(toolNames) {
		return nil, &plan.InputError{Field: "tool", Value: tool.String(), Reason: "is unknown"}
	}
	is, err := plan.New(c, nil)
	if err != nil {
		return nil, err
	}
	s := &state{cluster: c, is: is, byID: map[string]*node{}}
	if err := s.sort(order); err != nil {
		return nil, err
	}
	for _, n := range s.is.Nodes {
		t := &node{id: n.ID, weight: 1}
		s.byID[n.ID] = t
		s.nodes = append(s.nodes, t)
	}
	for r, id := range is.Before.Ranges() {
		n := s.byID[id]
		n.count += r.Len()
		n.slots.AddRange(r)
	}
	return s, nil
}

// sort puts the nodes in the tool's order.
func (s *state) sort(order Order) error {
	place := map[string]int{}
	for i, id := range order {
		n := s.cluster.Node(id)
		if n == nil {
			return &plan.InputError{Field: fmt.Sprintf("Order[%d]", i), Value: id, Reason: "no node has this id"}
		}
		if _, twice := place[id]; twice {
			return &plan.InputError{Field: fmt.Sprintf("Order[%d]", i), Value: id, Reason: "is named twice"}
		}
		place[id] = i
		s.order = append(s.order, n)
	}
	if order == nil {
		for _, asked := range []bool{true, false} {
			for _, n := range s.cluster.Nodes() {
				if n.Flags.Has(topology.FlagMyself) == asked {
					place[n.ID] = len(s.order)
					s.order = append(s.order, n)
				}
			}
		}
	}
	for _, n := range s.is.Nodes {
		if _, ok := place[n.ID]; !ok {
			return &plan.InputError{Field: "Order", Reason: "primary " + n.ID + " is missing"}
		}
	}
	slices.SortFunc(s.is.Nodes, func(a, b plan.Node) int { return place[a.ID] - place[b.ID] })
	return nil
}

// weigh gives the nodes their weights.
func (s *state) weigh(weights []plan.Weight) error {
	for i, w := range weights {
		field := fmt.Sprintf("Weights[%d]", i)
		if !(w.Weight >= 0 && w.Weight <= math.MaxFloat64) {
			return &plan.InputError{Field: field, Value: fmt.Sprint(w.Weight), Reason: "must be a number of at least 0"}
		}
		if w.ID == "" {
			return &plan.InputError{Field: field, Reason: "the node id is missing"}
		}
		prefix := strings.ToLower(w.ID)
		k := slices.IndexFunc(s.order, func(n *topology.Node) bool {
			return strings.HasPrefix(n.ID, prefix) && n.Role != topology.RoleUnknown
		})
		if k < 0 {
			return &plan.InputError{Field: field, Value: w.ID, Reason: "no node id begins with this"}
		}
		if n := s.byID[s.order[k].ID]; n != nil {
			n.weight = float32(w.Weight)
			at := slices.IndexFunc(s.is.Nodes, func(m plan.Node) bool { return m.ID == n.id })
			s.is.Nodes[at].Weight = w.Weight
		}
	}
	return nil
}

// run returns the run that makes the moves, with the warnings.
func (s *state) run(moves []move, warnings ...string) (Run, error) {
	var (
		run  Run
		list []plan.Move
	)
	for _, m := range moves {
		move := plan.Move{From: m.from, To: m.to}
		for _, slot := range m.slots {
			move.Slots.Add(slot)
		}
		if len(m.slots) != m.announced {
			warnings = append(warnings, fmt.Sprintf("from %s to %s the tool announces %d slots and moves %d", m.from, m.to, m.announced, len(m.slots)))
		}
		if len(m.slots) == 0 {
			continue
		}
		list = append(list, move)
		run.Announced = append(run.Announced, m.announced)
	}
	p, err := plan.New(s.cluster, list)
	if err != nil {
		return Run{}, err
	}
	p.Nodes = s.is.Nodes
	p.Warnings = append(p.Warnings, warnings...)
	run.Plan = p
	return run, nil
}
