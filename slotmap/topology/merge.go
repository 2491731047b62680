package topology

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// ErrNoViews is the error that [Merge] returns if it gets no views.
var ErrNoViews = errors.New("topology: no views to merge")

// Merge combines the views of several nodes into one. Views of different commands
// can be merged. Their order does not matter, except for that of warnings and of the
// disagreements within one view.
//
// Of each node, only the claims with its highest config epoch count; those with a lower
// one are outdated. If several nodes then claim a slot, it goes to
//
//  1. the claim with the highest config epoch; any epoch wins over a view without
//     epochs (CLUSTER SLOTS and SHARDS);
//  2. the node whose own view claims the slot;
//  3. the node that most views name;
//  4. the node that is named by the view with the most assigned slots;
//  5. the node that has an address;
//  6. the node with the smaller id.
//
// If a slot has an owner in some of the views only, it goes to that owner.
// [Cluster.Disagreements] has the slots about which the views differ, each with the
// reason for the choice. A node has failed if most of the views that list it say so;
// else it is suspected (FlagPFail) if any of them has it as failed or suspected. What the
// best description of a node lacks, such as its zone, comes from the others. The
// nodes are in the order of their ids.
//
// Merge of one view is that view. A nil view is an error. The time is O(n log n) for
// the n nodes and open slots of all views, and O(v log v) for each of the 16384 slots, if
// there are v views.
func Merge(views ...*Cluster) (*Cluster, error) {
	if len(views) == 0 {
		return nil, ErrNoViews
	}
	for i, v := range views {
		if v == nil {
			return nil, fmt.Errorf("topology: view %d is nil", i)
		}
	}
	if len(views) == 1 {
		return views[0], nil
	}
	m := merger{views: views, byKey: make(map[string]*mergedNode)}
	for i, v := range views {
		m.assigned = append(m.assigned, hashslot.Count-v.Unassigned().Len())
		for _, n := range v.nodes {
			node := m.byKey[n.key]
			if node == nil {
				node = &mergedNode{key: n.key}
				m.byKey[n.key] = node
				m.nodes = append(m.nodes, node)
			}
			node.lines = append(node.lines, line{n, i})
			if n.versioned {
				node.epoch = max(node.epoch, n.ConfigEpoch)
			}
		}
	}
	slices.SortFunc(m.nodes, func(a, b *mergedNode) int { return cmp.Compare(a.key, b.key) })
	m.elect()
	return m.build(), nil
}

type merger struct {
	views    []*Cluster
	assigned []int // how many slots have an owner, by view
	nodes    []*mergedNode
	byKey    map[string]*mergedNode

	disagreements []mergedDisagreement
	byReason      map[mergedDisagreement]int // place in disagreements, by all but the slots
}

type mergedNode struct {
	key   string
	lines []line
	epoch uint64 // the highest of all views
	slots slotmap.Set
	place int32 // in the result's store, from 1

	candidate *candidate // while vote runs
}

// A line is one view's description of a node.
type line struct {
	node *Node
	view int
}

type mergedDisagreement struct {
	owner, other *mergedNode
	reason       string
	slots        *slotmap.Set
}

// A candidate is a node that views name as the owner of a slot.
type candidate struct {
	node     *mergedNode
	epoch    uint64 // 1 more than the claim's; 0 if it has none
	own      bool   // the node claims the slot in its own view
	votes    int    // how many views name it
	assigned int    // the most assigned slots of these views
	routable bool
}

// elect gives each slot to one of the nodes that claim it.
func (m *merger) elect() {
	m.byReason = make(map[mergedDisagreement]int)
	owners := make([]*Shard, len(m.views)) // of the slot, by view
	before := make([]*Shard, len(m.views)) // of the slot before; slot 0 has nobody before it
	var winner *mergedNode
	var rivals []mergedDisagreement
	for slot := range hashslot.Slot(hashslot.Count) {
		for i, v := range m.views {
			owners[i], _ = v.Table().Lookup(slot)
		}
		if !slices.Equal(owners, before) {
			winner, rivals = m.vote(owners)
			copy(before, owners)
		}
		if winner != nil {
			winner.slots.Add(slot)
		}
		for _, d := range rivals {
			i, ok := m.byReason[d]
			if !ok {
				if len(m.disagreements) == maxDisagreements {
					continue
				}
				i = len(m.disagreements)
				m.byReason[d] = i
				d.slots = new(slotmap.Set)
				m.disagreements = append(m.disagreements, d)
			}
			m.disagreements[i].slots.Add(slot)
		}
	}
}

// vote returns the node that gets a slot, given its owner in each view, and the
// disagreements about it, without the slots.
func (m *merger) vote(owners []*Shard) (winner *mergedNode, rivals []mergedDisagreement) {
	var candidates []*candidate
	var nobody int
	for i, shard := range owners {
		if shard == nil {
			nobody++
			continue
		}
		n := shard.Primary
		node := m.byKey[n.key]
		if n.versioned && n.ConfigEpoch < node.epoch {
			continue // outdated
		}
		c := node.candidate
		if c == nil {
			c = &candidate{node: node}
			node.candidate = c
			candidates = append(candidates, c)
		}
		c.votes++
		if n.versioned {
			c.epoch = max(c.epoch, n.ConfigEpoch+1)
			c.own = c.own || n.myself()
		}
		c.assigned = max(c.assigned, m.assigned[i])
		c.routable = c.routable || n.routable()
	}
	if len(candidates) == 0 {
		return nil, nil
	}
	slices.SortFunc(candidates, func(a, b *candidate) int { order, _ := compareCandidates(b, a); return order })
	best := candidates[0]
	best.node.candidate = nil
	for _, c := range candidates[1:] {
		c.node.candidate = nil
		_, reason := compareCandidates(best, c)
		rivals = append(rivals, mergedDisagreement{best.node, c.node, reason, nil})
	}
	if nobody > 0 {
		rivals = append(rivals, mergedDisagreement{best.node, nil, fmt.Sprintf("nobody in %d of %d views", nobody, len(owners)), nil})
	}
	return best.node, rivals
}

// compareCandidates returns a positive number if a goes before b and a negative one if
// b does, and the reason.
func compareCandidates(a, b *candidate) (order int, reason string) {
	if a.epoch != b.epoch {
		if b.epoch == 0 {
			reason = "a config epoch over none"
		} else {
			reason = fmt.Sprintf("config epoch %d over %d", a.epoch-1, b.epoch-1)
		}
		return cmp.Compare(a.epoch, b.epoch), reason
	}
	if a.own != b.own {
		return compareBool(a.own, b.own), "the node says so itself"
	}
	if a.votes != b.votes {
		return cmp.Compare(a.votes, b.votes), fmt.Sprintf("%d views over %d", a.votes, b.votes)
	}
	if a.assigned != b.assigned {
		return cmp.Compare(a.assigned, b.assigned), "the view that has more slots"
	}
	if a.routable != b.routable {
		return compareBool(a.routable, b.routable), "the node with an address over the one without"
	}
	return cmp.Compare(b.node.key, a.node.key), "the smaller node id"
}

func (m *merger) build() *Cluster {
	c := &Cluster{store: make([]Node, len(m.nodes))}
	for i, node := range m.nodes {
		node.place = int32(i) + 1
	}
	for i, node := range m.nodes {
		c.store[i] = m.describe(node)
	}
	for _, v := range m.views {
		c.currentEpoch = max(c.currentEpoch, v.highestEpoch())
		kept := v.warnings[:min(len(v.warnings), maxWarnings-len(c.warnings))]
		c.warnings = append(c.warnings, kept...)
		c.unkept += v.unkept + len(v.warnings) - len(kept)
	}
	c.build()
	for _, d := range m.disagreements {
		var other *Node
		if d.other != nil {
			other = c.nodes[d.other.place-1]
		}
		c.disagreements = append(c.disagreements, Disagreement{*d.slots, c.nodes[d.owner.place-1], other, d.reason})
	}
	for _, v := range m.views {
		for _, d := range v.disagreements {
			if len(c.disagreements) == maxDisagreements {
				break
			}
			d.Owner = c.nodes[m.byKey[d.Owner.key].place-1]
			if d.Other != nil {
				d.Other = c.nodes[m.byKey[d.Other.key].place-1]
			}
			c.disagreements = append(c.disagreements, d)
		}
	}
	return c
}

// describe merges the views' descriptions of a node.
func (m *merger) describe(node *mergedNode) Node {
	best := slices.MaxFunc(node.lines, m.compareLines)
	n := *best.node
	if key := m.primaryOf(best); key != "" {
		n.primary = m.byKey[key].place
	}
	failed, suspected := 0, false
	var most Node // of each text, the greatest that a view has
	n.Migrating, n.Importing, n.Extra = nil, nil, nil
	for _, l := range node.lines {
		o := l.node
		if o.failed() {
			failed++
		}
		suspected = suspected || o.Flags&(FlagFail|FlagPFail) != 0
		most.IP = max(most.IP, o.IP)
		most.Hostname = max(most.Hostname, o.Hostname)
		most.AvailabilityZone = max(most.AvailabilityZone, o.AvailabilityZone)
		most.ShardID = max(most.ShardID, o.ShardID)
		most.ReplicaPriority = max(most.ReplicaPriority, o.ReplicaPriority)
		most.Health = max(most.Health, o.Health)
		for name, value := range o.Extra {
			n.setExtra(name, max(n.Extra[name], value))
		}
		n.Migrating, n.Importing = append(n.Migrating, o.Migrating...), append(n.Importing, o.Importing...)
	}
	n.IP = cmp.Or(n.IP, most.IP)
	n.Hostname = cmp.Or(n.Hostname, most.Hostname)
	n.AvailabilityZone = cmp.Or(n.AvailabilityZone, most.AvailabilityZone)
	n.ShardID = cmp.Or(n.ShardID, most.ShardID)
	n.ReplicaPriority = cmp.Or(n.ReplicaPriority, most.ReplicaPriority)
	n.Health = cmp.Or(n.Health, most.Health)
	n.Migrating, n.Importing = mergedPeers(n.Migrating), mergedPeers(n.Importing)
	if !n.routable() {
		m.locate(&n, node.lines)
	}
	n.Flags &^= FlagMyself | FlagFail | FlagPFail
	switch {
	case 2*failed > len(node.lines):
		n.Flags |= FlagFail
	case suspected:
		n.Flags |= FlagPFail
	}
	n.Slots = slices.Collect(node.slots.Ranges())
	if len(n.Slots) > 0 {
		n = *n.as(RolePrimary, "")
	}
	return n
}

// primaryOf returns the key of the replica's primary, or "".
func (m *merger) primaryOf(l line) string {
	if l.node.primary == 0 {
		return ""
	}
	return m.views[l.view].store[l.node.primary-1].key
}

// mergedPeers returns peers ascending, each once.
func mergedPeers(peers []Peer) []Peer {
	slices.SortFunc(peers, comparePeers)
	return slices.Compact(peers)
}

func comparePeers(p, q Peer) int {
	return cmp.Or(cmp.Compare(p.Slot, q.Slot), cmp.Compare(p.Node, q.Node))
}

// locate gives n, which has no address in its best description, the smallest one of the
// others.
func (m *merger) locate(n *Node, lines []line) {
	o := slices.MaxFunc(lines, func(a, b line) int {
		return cmp.Or(compareBool(a.node.routable(), b.node.routable()), cmp.Compare(b.node.addr, a.node.addr), m.compareLines(a, b))
	}).node
	if !o.routable() {
		return
	}
	n.Host, n.addr, n.mapped = o.Host, o.addr, o.mapped
	n.Endpoint, n.Port, n.EndpointPort, n.TLSPort = o.Endpoint, o.Port, o.EndpointPort, o.TLSPort
	n.Flags &^= FlagNoAddr
}

// compareLines returns a positive number if a is the better description of a node. It is 0
// only if both are the same, but for open slots and extra fields.
func (m *merger) compareLines(a, b line) int {
	n, o := a.node, b.node
	order := cmp.Or(
		compareBool(n.Role != RoleUnknown, o.Role != RoleUnknown),
		compareBool(n.versioned, o.versioned),
		cmp.Compare(n.ConfigEpoch, o.ConfigEpoch),
		compareBool(n.myself(), o.myself()),
		compareBool(n.routable(), o.routable()),
		cmp.Compare(m.assigned[a.view], m.assigned[b.view]),
		cmp.Compare(o.addr, n.addr),
		compareBool(n.Role == RolePrimary, o.Role == RolePrimary),
		cmp.Compare(o.PrimaryID, n.PrimaryID),
		cmp.Compare(m.primaryOf(b), m.primaryOf(a)))
	if order != 0 {
		return order
	}
	// From here on it matters only that the order of the views does not.
	return cmp.Or(
		cmp.Compare(n.PongReceived, o.PongReceived),
		cmp.Compare(n.PingSent, o.PingSent),
		cmp.Compare(n.LinkState, o.LinkState),
		cmp.Compare(n.ReplicationOffset, o.ReplicationOffset),
		cmp.Compare(n.Health, o.Health),
		cmp.Compare(n.Flags, o.Flags),
		cmp.Compare(n.EndpointPort, o.EndpointPort),
		cmp.Compare(n.TLSPort, o.TLSPort),
		cmp.Compare(n.BusPort, o.BusPort),
		cmp.Compare(n.Endpoint, o.Endpoint),
		cmp.Compare(n.IP, o.IP),
		cmp.Compare(n.Hostname, o.Hostname),
		cmp.Compare(n.AvailabilityZone, o.AvailabilityZone),
		cmp.Compare(n.ShardID, o.ShardID),
		cmp.Compare(n.ReplicaPriority, o.ReplicaPriority),
		cmp.Compare(n.told, o.told),
		compareBool(n.mapped, o.mapped))
}
