package plan

import (
	"fmt"
	"iter"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// ClusterX renders the plan for Apache Kvrocks. view is one node's reply to CLUSTER
// NODES.
//
// Kvrocks has no gossip: every change has a version, and must be sent to every node,
// replicas too. CLUSTERX SETSLOT accepts only the version of the node plus one
// (Cluster::SetSlotRanges of src/cluster/cluster.cc), so all nodes must begin with the
// version of the view. A step for a node with another version fails, and says what to
// do.
//
// Slots move one after the other. CLUSTERX MIGRATE has the source copy a slot with its
// keys. CLUSTERX SETSLOT then makes all nodes know of it, in one round. Until then the
// source redirects clients to the target, but forgets that if it is restarted
// (migrated_slots_). If ranges is set, whole ranges move instead of slots, which needs
// Kvrocks 2.11 (pull request 2389).
//
// The source authenticates at the target with its own requirepass.
//
// The error is an [*InputError] if the view is nil, has no version or lacks a node of the
// plan, or if an id does not have 40 bytes, which Kvrocks refuses.
func (p *Plan) ClusterX(view *topology.Cluster, ranges bool) (iter.Seq[Step], error) {
	if view == nil {
		return nil, &InputError{Field: "view", Reason: "is nil"}
	}
	nodes, err := kvrocksNodes(view)
	if err != nil {
		return nil, err
	}
	me := view.Myself()
	if me == nil {
		return nil, &InputError{Field: "view", Reason: "must be the reply of one node to CLUSTER NODES: no node is marked as myself"}
	}
	at := map[string]Node{}
	for _, n := range nodes {
		at[n.ID] = n
	}
	moves := p.moves()
	if err := arePrimaries(moves, view); err != nil {
		return nil, err
	}
	return func(yield func(Step) bool) {
		version, round := me.ConfigEpoch, 0
		for _, m := range moves {
			for part := range parts(m.Slots, ranges || m.From == "") {
				if m.From != "" && !yield(exportedByKvrocks(at[m.From], at[m.To], part)) {
					return
				}
				version++
				round++
				for _, n := range nodes {
					s := versioned(KindOwner, n, version, "SETSLOT", part.String(), "NODE", m.To)
					s.Peer, s.PeerAddr, s.Slots, s.Round = m.To, at[m.To].Addr, []slotmap.Range{part}, round
					if !yield(s) {
						return
					}
				}
			}
		}
	}, nil
}

// kvrocksNodes returns the nodes of the view by id, if Kvrocks accepts the ids.
func kvrocksNodes(view *topology.Cluster) ([]Node, error) {
	var nodes []Node
	for _, n := range view.Nodes() {
		if err := checkKvrocksID(n.ID); err != nil {
			return nil, err
		}
		nodes = append(nodes, Node{ID: n.ID, Addr: n.Addr()})
	}
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
	return nodes, nil
}

// arePrimaries returns an error unless all nodes of the moves are primaries of the view.
func arePrimaries(moves []Move, view *topology.Cluster) error {
	for _, m := range moves {
		for _, id := range []string{m.From, m.To} {
			if n := view.Node(id); id != "" && (n == nil || n.Role != topology.RolePrimary) {
				return &InputError{Field: "view", Value: id, Reason: "the plan has this node, but it is not a primary of the view"}
			}
		}
	}
	return nil
}

// parts iterates over the ranges of the set, or over its slots.
func parts(set slotmap.Set, ranges bool) iter.Seq[slotmap.Range] {
	if ranges {
		return set.Ranges()
	}
	return func(yield func(slotmap.Range) bool) {
		for slot := range set.Slots() {
			if !yield(slotmap.Range{First: slot, Last: slot}) {
				return
			}
		}
	}
}

// ClusterX renders the layout for Apache Kvrocks. Each node gets its id, and then the
// list of all nodes and their slots as version 1. The hosts must have ids: Kvrocks
// accepts any id of 40 bytes, and makes none of its own.
//
// A node that is already in a cluster has a version and may refuse version 1
// (Cluster::SetClusterNodes of src/cluster/cluster.cc): its step then fails.
//
// The error is an [*InputError] if a host has no port, or an id that is not of 40 bytes
// or that of another host.
func (l *Layout) ClusterX() ([]Step, error) {
	var nodes []Node
	var lines []string
	seen := map[string]string{}
	add := func(h Host, role, primary string, slots slotmap.Set) error {
		host, port, err := net.SplitHostPort(h.Addr)
		if err != nil || strings.ContainsAny(h.Addr, " \n") {
			return &InputError{Field: "hosts", Value: h.Addr, Reason: "must be host:port"}
		}
		if err := checkKvrocksID(h.ID); err != nil {
			return err
		}
		if at, twice := seen[h.ID]; twice {
			return &InputError{Field: "hosts", Value: h.Addr, Reason: "has the same ID as " + at}
		}
		seen[h.ID] = h.Addr
		nodes = append(nodes, Node{ID: h.ID, Addr: h.Addr})
		line := strings.Join([]string{h.ID, host, port, role, primary}, " ")
		if !slots.IsEmpty() {
			line += " " + slots.String()
		}
		lines = append(lines, line)
		return nil
	}
	for _, s := range l.Shards {
		if err := add(s.Primary, "master", "-", s.Slots); err != nil {
			return nil, err
		}
		for _, r := range s.Replicas {
			if err := add(r, "slave", s.Primary.ID, slotmap.Set{}); err != nil {
				return nil, err
			}
		}
	}
	var steps []Step
	for _, n := range nodes {
		steps = append(steps, Step{Kind: KindID, Node: n.ID, Addr: n.Addr, Round: 1, Command: []string{"CLUSTERX", "SETNODEID", n.ID}, Until: Until{Condition: untilAnswered}})
	}
	for _, n := range nodes {
		s := versioned(KindNodes, n, 1, "SETNODES", strings.Join(lines, "\n"))
		s.Round = 2
		steps = append(steps, s)
	}
	return steps, nil
}

// checkKvrocksID checks the length (kClusterNodeIdLen of src/cluster/cluster_defs.h). An
// id with a space would be two fields.
func checkKvrocksID(id string) error {
	if len(id) != 40 || strings.ContainsAny(id, " \n") {
		return &InputError{Field: "ID", Value: id, Reason: "must have 40 bytes and no space, for Kvrocks"}
	}
	return nil
}

// versioned makes a step of a CLUSTERX command whose last argument is a version for n.
func versioned(kind Kind, n Node, version uint64, args ...string) Step {
	command := append([]string{"CLUSTERX"}, args...)
	return Step{Kind: kind, Node: n.ID, Addr: n.Addr, Command: append(command, strconv.FormatUint(version, 10)), Until: Until{untilHasVersion, [][]string{askNodes}}}
}

func exportedByKvrocks(from, to Node, r slotmap.Range) Step {
	return Step{Kind: KindExport, Node: from.ID, Addr: from.Addr, Peer: to.ID, PeerAddr: to.Addr, Slots: []slotmap.Range{r},
		Command: []string{"CLUSTERX", "MIGRATE", r.String(), to.ID},
		Until:   Until{untilMigrated, [][]string{{"CLUSTER", "INFO"}, askNodes}}}
}

// version compares the version of a node with the version of the step.
func (s *Step) version(c *topology.Cluster) (p Progress, why string) {
	var want, have uint64
	if len(s.Command) > 0 {
		want, _ = strconv.ParseUint(s.Command[len(s.Command)-1], 10, 64)
	}
	for _, n := range c.Nodes() {
		have = max(have, n.ConfigEpoch) // all have the same
	}
	if s.Kind == KindOwner {
		reached := true
		for slot := range slotsIn(s.Slots) {
			reached = reached && ownerOf(c, slot) == s.Peer
		}
		switch {
		case reached:
			return ProgressDone, ""
		case have >= want:
			return ProgressFailed, fmt.Sprintf("has version %d, and other nodes own the slots: somebody else changes the cluster; make a new plan", have)
		case have+1 < want:
			return ProgressFailed, fmt.Sprintf("has version %d and accepts only version %d: send it the nodes of the others by CLUSTERX SETNODES", have, have+1)
		}
		return ProgressNotStarted, ""
	}
	switch {
	case have > want:
		return ProgressFailed, fmt.Sprintf("already has version %d of a cluster", have)
	case have < want:
		return ProgressNotStarted, ""
	}
	return ProgressDone, ""
}

// migrated reads the state of the last migration, which Kvrocks keeps as long as the slots
// are not given to the target (SlotMigrator::GetMigrationInfo of
// src/cluster/slot_migrate.cc). It names one slot, or a range from 2.11 on.
func (s *Step) migrated(info string) (p Progress, why string) {
	slots, ok := infoField(info, "migrating_slot(s)")
	if !ok {
		slots, _ = infoField(info, "migrating_slot")
	}
	to, _ := infoField(info, "destination_node")
	state, _ := infoField(info, "migrating_state")
	mine := slots == rangesText(s.Slots) && to == s.Peer
	switch {
	case mine && state == "success":
		return ProgressDone, ""
	case mine && state == "fail":
		return ProgressNotStarted, "migrating_state:fail"
	case state == "start":
		return ProgressRunning, "migrates slots " + printable(slots)
	}
	return ProgressNotStarted, ""
}
