package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// nobody is the owner of unassigned slots.
const nobody = -1

// A node is a primary that can take part in a plan.
type node struct {
	id, addr string
	slots    int // how many it owns
	weight   float64
	shard    *topology.Shard
}

// owners says who owns each slot: indexes of nodes, or nobody.
type owners [hashslot.Count]int32

// A state is a cluster for which a plan can be made.
type state struct {
	cluster  *topology.Cluster
	nodes    []node // by id
	index    map[string]int
	owner    owners
	busy     [hashslot.Count]bool // by slot: a running job moves it
	warnings []string
}

// newState checks that slots can be moved without loss, and numbers the primaries.
// assign allows slots that nobody owns. Slots of running jobs count for the
// targets.
func newState(c *topology.Cluster, assign bool, jobs []Job) (*state, error) {
	if c == nil {
		return nil, &InputError{Field: "Cluster", Reason: "is nil"}
	}
	s := &state{cluster: c, index: map[string]int{}}
	if open := c.Open(); len(open) > 0 {
		e := &StateError{Problem: ProblemOpenSlots, Advice: "finish or close them first: keys of such a slot can be at both ends"}
		for _, o := range open {
			e.Slots.Add(o.Slot)
			e.Nodes = append(e.Nodes, o.From, o.To)
		}
		return nil, e.compact()
	}
	if ds := c.Disagreements(); len(ds) > 0 {
		e := &StateError{Problem: ProblemDisagreement, Advice: ds[0].Reason + "; ask the nodes again when they agree"}
		for _, d := range ds {
			e.Slots = e.Slots.Union(d.Slots)
			e.Nodes = append(e.Nodes, d.Owner.ID)
			if d.Other != nil {
				e.Nodes = append(e.Nodes, d.Other.ID)
			}
		}
		return nil, e.compact()
	}
	if free := c.Unassigned(); !free.IsEmpty() && !assign {
		return nil, &StateError{Problem: ProblemUnassigned, Slots: free, Advice: "find out first whether their data is lost, then set AssignUnassigned"}
	}
	for _, sh := range c.Shards() {
		p := sh.Primary
		if p.ID == "" {
			return nil, &StateError{Problem: ProblemNodeIDs, Nodes: []string{p.Addr()}, Advice: "a primary has no id"}
		}
		if _, twice := s.index[p.ID]; twice {
			return nil, &StateError{Problem: ProblemNodeIDs, Nodes: []string{p.ID}, Advice: "two primaries have the same id"}
		}
		s.index[p.ID] = nobody
		if down(p) { // with slots it is an error, below
			s.warnings = append(s.warnings, fmt.Sprintf("left out: primary %s has no slots and is not reachable (%s)", printable(p.ID), p.Flags))
			continue
		}
		s.nodes = append(s.nodes, node{id: p.ID, addr: p.Addr(), weight: 1, shard: sh})
	}
	slices.Sort(s.warnings)
	slices.SortFunc(s.nodes, func(a, b node) int { return cmp.Compare(a.id, b.id) })
	for i, n := range s.nodes {
		s.index[n.id] = i
	}
	for i := range s.owner {
		s.owner[i] = nobody
	}
	unreachable := &StateError{Problem: ProblemUnreachable, Advice: "their slots cannot be moved; let a replica take over first"}
	for r, sh := range c.Table().Ranges() {
		i := s.index[sh.Primary.ID]
		if i == nobody {
			unreachable.Slots.AddRange(r)
			unreachable.Nodes = append(unreachable.Nodes, sh.Primary.ID)
			continue
		}
		s.nodes[i].slots += r.Len()
		for slot := r.First; slot <= r.Last; slot++ {
			s.owner[slot] = int32(i)
		}
	}
	if len(unreachable.Nodes) > 0 {
		return nil, unreachable.compact()
	}
	return s, s.apply(jobs)
}

// down reports whether a node is, or may be, unreachable. No slot can be moved from such a
// primary or to it, and such a replica cannot be moved or take over.
func down(n *topology.Node) bool {
	return n.Flags&(topology.FlagFail|topology.FlagPFail|topology.FlagNoAddr|topology.FlagHandshake) != 0 ||
		n.Health != "" && n.Health != topology.HealthOnline
}

// find returns the index of the primary with the id.
func (s *state) find(field, id string) (int, error) {
	if i, ok := s.index[id]; ok && i != nobody {
		return i, nil
	}
	return 0, &InputError{Field: field, Value: id, Reason: s.whyNot(id)}
}

// whyNot returns the reason why id is not that of a primary that can take part.
func (s *state) whyNot(id string) string {
	n := s.cluster.Node(id)
	switch {
	case n == nil:
		return "no node has this id"
	case n.Role == topology.RoleReplica:
		return "is a replica of " + n.PrimaryID
	case n.Role != topology.RolePrimary:
		return "is not a primary"
	}
	return "is not reachable"
}

// setWeights gives the nodes the weights of opts.
func (s *state) setWeights(opts RebalanceOptions) error {
	given := map[string]int{}
	for i, w := range opts.Weights {
		field := fmt.Sprintf("Weights[%d]", i)
		if !finite(w.Weight) {
			return &InputError{Field: field, Value: fmt.Sprint(w.Weight), Reason: "must be a number of at least 0"}
		}
		found := s.named(w.ID)
		switch {
		case w.ID == "":
			return &InputError{Field: field, Reason: "the node id is missing"}
		case len(found) == 0:
			return &InputError{Field: field, Value: w.ID, Reason: "no node id begins with this"}
		case len(found) > 1:
			return &InputError{Field: field, Value: w.ID, Reason: fmt.Sprintf("%d node ids begin with this", len(found))}
		}
		at, err := s.find(field, found[0].ID)
		if err != nil {
			return err
		}
		if first, twice := given[found[0].ID]; twice {
			return &InputError{Field: field, Value: w.ID, Reason: fmt.Sprintf("is the same node as in Weights[%d]", first)}
		}
		given[found[0].ID] = i
		s.nodes[at].weight = w.Weight
		if s.nodes[at].slots == 0 && !opts.UseEmpty {
			s.warnings = append(s.warnings, fmt.Sprintf("the weight of %s has no effect: primaries without slots are left out", printable(s.nodes[at].id)))
		}
	}
	return nil
}

// finite reports whether f is a number of at least 0, and not infinite.
func finite(f float64) bool { return f >= 0 && f <= math.MaxFloat64 }

// named returns the node that has the id, or else the nodes whose ids begin with it. Ids
// of Valkey and Redis are in lower case, so a capital letter stands for both.
func (s *state) named(id string) (found []*topology.Node) {
	for _, n := range s.cluster.Nodes() {
		switch {
		case n.Role == topology.RoleUnknown:
		case n.ID == id:
			return []*topology.Node{n}
		case strings.HasPrefix(n.ID, id), strings.HasPrefix(n.ID, strings.ToLower(id)):
			found = append(found, n)
		}
	}
	return found
}

// table returns the owners as a table of ids.
func (s *state) table(o *owners) *slotmap.Table[string] {
	var b slotmap.Builder[string]
	for first := 0; first < len(o); {
		end := first
		for end < len(o) && o[end] == o[first] {
			end++
		}
		if i := o[first]; i != nobody {
			b.Assign(slotmap.Range{First: hashslot.Slot(first), Last: hashslot.Slot(end - 1)}, s.nodes[i].id)
		}
		first = end
	}
	return b.Build()
}
