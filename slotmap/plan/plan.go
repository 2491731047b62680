package plan

import (
	"fmt"
	"math"
	"slices"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// RebalanceOptions are the options of [Rebalance]. The zero value means equal weights,
// without empty primaries, by the number of slots, exactly.
type RebalanceOptions struct {
	// Weights are the weights of nodes; all others have weight 1. A node of weight 0
	// gives away all its slots.
	Weights []Weight

	// UseEmpty lets primaries without slots take part, to add nodes.
	UseEmpty bool

	// Threshold is a tolerance in percent, finite and at least 0. Nothing is moved if no
	// slot is unassigned, and each node's slots differ from its share by at most this
	// percentage of its slots. With Load, its load is compared instead.
	Threshold float64

	// Load, if not nil, is balanced instead of the number of slots. It has a finite number
	// of at least 0 for each of the 16384 slots, not all 0, in any unit, such as the
	// key-count, cpu-usec or memory-bytes of CLUSTER SLOT-STATS.
	Load []float64

	// AssignUnassigned also gives unassigned slots an owner. Without it, they are an
	// error.
	AssignUnassigned bool
}

// DrainOptions are the options of [Drain]. The zero value means that the slots go to
// all other primaries that have slots, and are balanced by number.
type DrainOptions struct {
	// Receivers are the ids of the primaries that get the slots. If it is nil,
	// these are all other primaries that have slots and, with UseEmpty, those without.
	Receivers []string

	// Weights, UseEmpty, Load and AssignUnassigned are as in [RebalanceOptions].
	Weights          []Weight
	UseEmpty         bool
	Load             []float64
	AssignUnassigned bool
}

// A Weight is the share of a node in proportion to those of others.
type Weight struct {
	ID     string  // the id of a primary, or a prefix that no other node's id has
	Weight float64 // finite, at least 0
}

// A Move is a set of slots that go from one node to another.
type Move struct {
	Slots slotmap.Set
	From  string // node id; "" for unassigned slots
	To    string // node id
}

// A Plan says which slots to move from which node to which. Only ClusterX and Match
// also need a view of the cluster. The methods do not change the plan and are safe
// for concurrent use, except UnmarshalJSON.
type Plan struct {
	// Moves are the moves to make, in any order. No slot is in two of them, and in the
	// plans of Rebalance, Drain and Reshard no two have the same source and target.
	Moves []Move

	Before *slotmap.Table[string] // the owners before, by node id
	After  *slotmap.Table[string] // the owners after all moves

	// Nodes are all primaries that can take part, in the order of their ids.
	Nodes []Node

	// Load is the load that was balanced instead of the number of slots, or nil.
	Load []float64

	Warnings []string // for a person to read before the plan is carried out

	// Steps are nil in a new plan. A caller sets them to the result of one of the
	// methods that render the plan, so that its JSON has them.
	Steps []Step
}

// A Node is a primary that can take part in a plan.
type Node struct {
	ID     string
	Addr   string // "host:port"; "" if the view does not have it
	Weight float64
}

// New returns a plan of the caller's own moves in c, to be rendered, divided into
// batches and simulated. The moves stay in their order. Without moves, the plan
// describes c. jobs are as in [Rebalance].
//
// The error is a [*StateError] if moving slots of c could lose data, or if a running
// job moves a slot of moves. Unassigned slots are an error only if no move has From "".
// The error is an [*InputError] if a move has no slots, takes slots from a node that does
// not own them, has one node as source and target, or names a node that is not a
// reachable primary; or if a slot is in two moves.
func New(c *topology.Cluster, moves []Move, jobs ...Job) (Plan, error) {
	gives := slices.ContainsFunc(moves, func(m Move) bool { return m.From == "" })
	s, err := newState(c, gives, jobs)
	if err != nil {
		return Plan{}, err
	}
	if err := repeated(moves); err != nil {
		return Plan{}, err
	}
	after := s.owner
	for i, m := range moves {
		field := fmt.Sprintf("moves[%d]", i)
		if err := m.Slots.Err(); err != nil {
			return Plan{}, &InputError{Field: field, Reason: err.Error()}
		}
		if m.Slots.IsEmpty() {
			return Plan{}, &InputError{Field: field + ".Slots", Reason: "are missing"}
		}
		from := nobody
		if m.From != "" {
			if from, err = s.find(field+".From", m.From); err != nil {
				return Plan{}, err
			}
		}
		to, err := s.find(field+".To", m.To)
		if err != nil {
			return Plan{}, err
		}
		if to == from {
			return Plan{}, &InputError{Field: field + ".To", Value: m.To, Reason: "is the source"}
		}
		for slot := range m.Slots.Slots() {
			if s.busy[slot] {
				return Plan{}, s.running()
			}
			if s.owner[slot] != int32(from) {
				return Plan{}, &InputError{Field: field, Reason: notOwned(slot, m.From)}
			}
			after[slot] = int32(to)
		}
	}
	p := s.plan(&after, nil)
	p.Moves = slices.Clone(moves)
	return p, nil
}

// notOwned says that a move cannot take a slot, because its source is not the owner. source
// is an id, or "" in a move of unassigned slots.
func notOwned(slot hashslot.Slot, source string) string {
	if source == "" {
		return fmt.Sprintf("slot %d has an owner, but the move has no source", slot)
	}
	return fmt.Sprintf("slot %d is not owned by %s", slot, printable(source))
}

// repeated returns an error that names the first slot that is in two moves.
func repeated(moves []Move) error {
	var seen slotmap.Set
	for i, m := range moves {
		twice := seen.Intersect(m.Slots)
		for slot := range twice.Slots() {
			first := slices.IndexFunc(moves, func(m Move) bool { return m.Slots.Contains(slot) })
			return &InputError{Field: fmt.Sprintf("moves[%d]", i), Reason: fmt.Sprintf("slot %d is in moves[%d] too", slot, first)}
		}
		seen = seen.Union(m.Slots)
	}
	return nil
}

// SlotCount returns the number of slots that the plan moves.
func (p *Plan) SlotCount() int {
	n := 0
	for _, m := range p.Moves {
		n += m.Slots.Len()
	}
	return n
}

// Rebalance plans the moves that give the primaries of c slots in proportion to their
// weights. Without opts.Load:
//
//   - every share is exact: a node of weight w ends with 16384*w/sum slots, rounded
//     down or up. With equal weights no two nodes differ by more than one slot;
//   - the number of moved slots is the least that reaches these shares;
//   - among such plans, Rebalance searches for one that leaves few ranges, and then
//     for few pairs of source and target. The search need not find the fewest ranges.
//     Compared with all possibilities in small cases, it nearly always does, and is
//     never more than one range above;
//   - the same cluster gives the same plan, whatever the order of the reply;
//   - from a state half-way through a plan, Rebalance finishes it and moves no slot
//     twice, unless the state is within the tolerance of opts.Threshold.
//
// With opts.Load, Rebalance balances the load. The moved load is about the least
// possible. The largest excess of a node over its share and the largest shortfall add
// up to at most the load of the heaviest slot, unless that takes more than 16384
// corrections.
//
// jobs are the migrations in c, as [ParseJobs] reads them from its primaries; those
// that have ended are ignored. The slots of running jobs count for their targets, in
// Plan.Before too, and the plan does not move them, so it can begin while they run. If
// the plan that the jobs come from is made again, the result finishes it, perhaps with
// other slots. With opts.Load, slots of running jobs may leave a node above its share, by
// at most the load of the heaviest slot.
//
// The error is a [*StateError] if moving slots of c could lose data, or if slots of
// running jobs would have to move. It is an [*InputError] for bad options.
func Rebalance(c *topology.Cluster, opts RebalanceOptions, jobs ...Job) (Plan, error) {
	if !finite(opts.Threshold) {
		return Plan{}, &InputError{Field: "Threshold", Value: fmt.Sprint(opts.Threshold), Reason: "must be a percentage of at least 0"}
	}
	s, err := start(c, opts, jobs)
	if err != nil {
		return Plan{}, err
	}
	var involved []int
	for i, n := range s.nodes {
		if n.slots > 0 || opts.UseEmpty {
			involved = append(involved, i)
		}
	}
	if len(involved) == 0 && !opts.UseEmpty {
		return Plan{}, &InputError{Field: "UseEmpty", Reason: "no primary has slots: set UseEmpty, so that primaries without slots get them"}
	}
	if err := s.weighty(involved); err != nil {
		return Plan{}, err
	}
	u := s.units(opts.Load)
	have, weights := u.of(involved), s.weightsOf(involved)
	if u.free == 0 && within(have, weights, u.total, opts.Threshold) {
		return s.plan(&s.owner, opts.Load), nil
	}
	want := u.have() // of all nodes; those not involved have none
	for k, n := range shares(have, weights, u.total) {
		want[involved[k]] = n
	}
	return u.plan(want)
}

// within reports whether every node is within the tolerance of its share.
func within(have []int, weights []float64, total int, percent float64) bool {
	sum := 0.0
	heaviest := slices.Max(weights)
	for _, w := range weights {
		sum += w / heaviest
	}
	for i, n := range have {
		share := float64(total) * (weights[i] / heaviest) / sum
		// As in the tool: relative to what the node has.
		if n > 0 && math.Abs(100-100*share/float64(n)) > percent || n == 0 && share > 1 {
			return false
		}
	}
	return true
}

// Drain plans the moves that take all slots from the nodes with the given ids. No
// other slot moves. The slots go to the receivers so that these become as level as
// possible, in proportion to their weights. Everything else is as in [Rebalance], which
// drains a node of weight 0, but also evens out all others.
func Drain(c *topology.Cluster, nodes []string, opts DrainOptions, jobs ...Job) (Plan, error) {
	s, err := start(c, RebalanceOptions{Weights: opts.Weights, UseEmpty: opts.UseEmpty, Load: opts.Load, AssignUnassigned: opts.AssignUnassigned}, jobs)
	if err != nil {
		return Plan{}, err
	}
	if len(nodes) == 0 {
		return Plan{}, &InputError{Field: "nodes", Reason: "no node to drain"}
	}
	drained := make([]bool, len(s.nodes))
	for i, id := range nodes {
		at, err := s.find(fmt.Sprintf("nodes[%d]", i), id)
		if err != nil {
			return Plan{}, err
		}
		drained[at] = true
	}
	var receivers []int
	for i, id := range opts.Receivers {
		field := fmt.Sprintf("Receivers[%d]", i)
		at, err := s.find(field, id)
		if err != nil {
			return Plan{}, err
		}
		if drained[at] {
			return Plan{}, &InputError{Field: field, Value: id, Reason: "is also a node to drain"}
		}
		if slices.Contains(receivers, at) {
			return Plan{}, &InputError{Field: field, Value: id, Reason: "is named twice"}
		}
		receivers = append(receivers, at)
	}
	if opts.Receivers == nil {
		for i, n := range s.nodes {
			if !drained[i] && (n.slots > 0 || opts.UseEmpty) {
				receivers = append(receivers, i)
			}
		}
	}
	if len(receivers) == 0 {
		return Plan{}, &InputError{Field: "Receivers", Reason: "no primary is left to take the slots: name receivers, or set UseEmpty for primaries without slots"}
	}
	if err := s.weighty(receivers); err != nil {
		return Plan{}, err
	}
	u := s.units(opts.Load)
	want := u.have()
	given := u.free
	for i, d := range drained {
		if d {
			given += want[i]
			want[i] = 0
		}
	}
	slices.Sort(receivers)
	for k, n := range level(u.of(receivers), s.weightsOf(receivers), given) {
		want[receivers[k]] = n
	}
	return u.plan(want)
}

// level returns the slots of each node after given slots are handed out, so that the nodes
// become as level as possible in proportion to their weights. Only nodes below the common
// level get slots. Those above it keep theirs, which lowers the level of the others.
func level(have []int, weights []float64, given int) []int {
	want := slices.Clone(have)
	below := make([]int, len(have))
	for i := range below {
		below[i] = i
	}
	for {
		var has []int
		var weight []float64
		total := given
		for _, i := range below {
			has, weight, total = append(has, have[i]), append(weight, weights[i]), total+have[i]
		}
		target := shares(has, weight, total)
		var next []int
		for k, i := range below {
			if has[k] <= target[k] {
				next = append(next, i)
			}
		}
		if len(next) == len(below) {
			for k, i := range below {
				want[i] = target[k]
			}
			return want
		}
		below = next
	}
}

// Reshard plans the moves of a number of slots to the primary with the id to. They
// come from the primaries with the ids from, or from all others if from is nil, in
// proportion to the slots that these have. The number, from 1 to all slots of these
// primaries, is exact. Each source gives its part rounded down or up, and the slots are
// chosen to leave few ranges.
//
// The errors are those of [Rebalance].
func Reshard(c *topology.Cluster, from []string, to string, slots int, jobs ...Job) (Plan, error) {
	s, err := newState(c, false, jobs)
	if err != nil {
		return Plan{}, err
	}
	target, err := s.find("to", to)
	if err != nil {
		return Plan{}, err
	}
	var sources []int
	for i, id := range from {
		field := fmt.Sprintf("from[%d]", i)
		at, err := s.find(field, id)
		if err != nil {
			return Plan{}, err
		}
		if at == target {
			return Plan{}, &InputError{Field: field, Value: id, Reason: "is the target"}
		}
		if slices.Contains(sources, at) {
			return Plan{}, &InputError{Field: field, Value: id, Reason: "is named twice"}
		}
		sources = append(sources, at)
	}
	if from == nil {
		for i := range s.nodes {
			if i != target {
				sources = append(sources, i)
			}
		}
	}
	total := 0
	for _, i := range sources {
		total += s.nodes[i].slots
	}
	if total == 0 {
		return Plan{}, &InputError{Field: "from", Reason: "the sources have no slot to give"}
	}
	if slots < 1 || slots > total {
		return Plan{}, &InputError{Field: "slots", Value: fmt.Sprint(slots), Reason: fmt.Sprintf("must be from 1 to %d", total)}
	}
	slices.Sort(sources)
	weights := make([]float64, len(sources))
	for k, i := range sources {
		weights[k] = float64(s.nodes[i].slots)
	}
	u := s.units(nil)
	want := u.have()
	want[target] += slots
	for k, n := range shares(make([]int, len(sources)), weights, slots) {
		want[sources[k]] -= n
	}
	return u.plan(want)
}

// start checks the cluster, the load and the weights.
func start(c *topology.Cluster, opts RebalanceOptions, jobs []Job) (*state, error) {
	if opts.Load != nil {
		if err := checkLoad("Load", opts.Load); err != nil {
			return nil, err
		}
	}
	s, err := newState(c, opts.AssignUnassigned, jobs)
	if err != nil {
		return nil, err
	}
	return s, s.setWeights(opts)
}

// weighty returns an error if nodes is empty or all weights are 0.
func (s *state) weighty(nodes []int) error {
	switch {
	case len(nodes) == 0:
		return &InputError{Field: "Cluster", Reason: "no primary can take part"}
	case slices.Max(s.weightsOf(nodes)) == 0:
		return &InputError{Field: "Weights", Reason: "all weights are 0: no node is left to own the slots"}
	}
	return nil
}

func (s *state) weightsOf(nodes []int) []float64 {
	weights := make([]float64, len(nodes))
	for k, i := range nodes {
		weights[k] = s.nodes[i].weight
	}
	return weights
}

// plan returns the plan that gives every node the wanted units. The error is a
// [*StateError].
func (u *units) plan(want []int) (Plan, error) {
	after, err := u.spread(want)
	if err != nil {
		return Plan{}, err
	}
	return u.s.plan(after, u.load), nil
}

// plan returns the plan from s to the owners after.
func (s *state) plan(after *owners, load []float64) Plan {
	p := Plan{Before: s.table(&s.owner), After: s.table(after), Warnings: s.warnings, Load: load}
	for _, n := range s.nodes {
		p.Nodes = append(p.Nodes, Node{n.id, n.addr, n.weight})
	}
	at := map[[2]int32]int{}
	owns := make([]bool, len(s.nodes)) // slots afterwards
	for slot, to := range after {
		if to != nobody {
			owns[to] = true
		}
		from := s.owner[slot]
		if from == to {
			continue
		}
		k, ok := at[[2]int32{from, to}]
		if !ok {
			k = len(p.Moves)
			at[[2]int32{from, to}] = k
			m := Move{To: s.nodes[to].id}
			if from != nobody {
				m.From = s.nodes[from].id
			}
			p.Moves = append(p.Moves, m)
		}
		p.Moves[k].Slots.Add(hashslot.Slot(slot))
	}
	for i, n := range s.nodes {
		if n.slots > 0 && !owns[i] {
			p.Warnings = append(p.Warnings, fmt.Sprintf("%s gives away its last slots: unless cluster-allow-replica-migration is no, it then becomes a replica of the receiver", printable(n.id)))
		}
	}
	return p
}
