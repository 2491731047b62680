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
// can be merged. Their order does not matter, except for that of the warnings.
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
// else it is suspected (FlagPFail) if any of them has it as failed or suspected. The
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
	c := &Cluster{command: merged, store: make([]Node, len(m.nodes))}
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
	var own []*Disagreement // of the views
	for _, v := range m.views {
		for i := range v.disagreements {
			own = append(own, &v.disagreements[i])
		}
	}
	slices.SortFunc(own, compareDisagreements)
	for _, d := range own[:min(len(own), maxDisagreements-len(c.disagreements))] {
		d := *d
		d.Owner = c.nodes[m.byKey[d.Owner.key].place-1]
		if d.Other != nil {
			d.Other = c.nodes[m.byKey[d.Other.key].place-1]
		}
		c.disagreements = append(c.disagreements, d)
	}
	return c
}

// compareDisagreements orders disagreements by what they are about.
func compareDisagreements(a, b *Disagreement) int {
	other := func(d *Disagreement) string {
		if d.Other == nil {
			return ""
		}
		return d.Other.key
	}
	order := cmp.Or(cmp.Compare(a.Owner.key, b.Owner.key), cmp.Compare(other(a), other(b)), cmp.Compare(a.Reason, b.Reason))
	if order == 0 && a.Slots != b.Slots {
		return cmp.Compare(a.Slots.String(), b.Slots.String())
	}
	return order
}

// describe merges the views' descriptions of a node.
func (m *merger) describe(node *mergedNode) Node {
	best := slices.MaxFunc(node.lines, m.compareLines)
	n := *best.node
	if key := m.primaryOf(best); key != "" {
		n.primary = m.byKey[key].place
	}
	failed, suspected := 0, false
	var address line
	var migrating, importing []Peer
	for _, l := range node.lines {
		o := l.node
		if o.failed() {
			failed++
		}
		suspected = suspected || o.Flags&(FlagFail|FlagPFail) != 0
		if o.routable() && (address.node == nil || cmp.Or(cmp.Compare(o.addr, address.node.addr), m.compareLines(address, l)) < 0) {
			address = l
		}
		for _, f := range [...]struct {
			to          *string
			best, other string
		}{
			{&n.IP, best.node.IP, o.IP},
			{&n.Hostname, best.node.Hostname, o.Hostname},
			{&n.AvailabilityZone, best.node.AvailabilityZone, o.AvailabilityZone},
			{&n.ShardID, best.node.ShardID, o.ShardID},
			{(*string)(&n.Health), string(best.node.Health), string(o.Health)},
		} {
			if f.best == "" && f.other != "" && (*f.to == "" || f.other < *f.to) {
				*f.to = f.other
			}
		}
		if p := o.ReplicaPriority; best.node.ReplicaPriority == 0 && p != 0 && (n.ReplicaPriority == 0 || p < n.ReplicaPriority) {
			n.ReplicaPriority = p
		}
		migrating, importing = append(migrating, o.Migrating...), append(importing, o.Importing...)
	}
	n.Migrating, n.Importing = mergedPeers(migrating), mergedPeers(importing)
	if o := address.node; !n.routable() && o != nil {
		n.Host, n.addr, n.mapped = o.Host, o.addr, o.mapped
		n.Endpoint, n.Port, n.EndpointPort, n.TLSPort = o.Endpoint, o.Port, o.EndpointPort, o.TLSPort
		n.Flags &^= FlagNoAddr
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

// compareLines returns a positive number if a is the better description of a node. It is 0
// only if both are the same.
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
	order = cmp.Or(
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
		compareBool(n.mapped, o.mapped),
		cmp.Compare(len(n.Extra), len(o.Extra)))
	if order == 0 && len(n.Extra) > 0 {
		return cmp.Compare(fmt.Sprint(n.Extra), fmt.Sprint(o.Extra)) // which sorts the names
	}
	return order
}
