package plan

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// LayoutOptions say how to create a cluster. Zero is for servers from 7.0 on.
type LayoutOptions struct {
	// AddSlots gives slots by ADDSLOTS, not by ADDSLOTSRANGE, which servers before
	// 7.0 do not have.
	AddSlots bool
}

// Steps renders the layout for nodes that are empty and know no others. Their ids
// must be in the hosts: CLUSTER MYID tells them.
//
// First each node gets a config epoch of its own, which servers allow only before
// it has met others, and each primary its slots; then all meet the first one, and
// learn of one another by gossip; then each replica, as soon as it knows its
// primary, is told to replicate it, and waits until it has synced. At the end all
// nodes say that the cluster is ok. Of steps of one round, each can be done
// without the others.
//
// The error is an [*InputError]: a host that has no id, or the id of another, or an
// address that is a name, for MEET takes none.
func (l *Layout) Steps(o LayoutOptions) ([]Step, error) {
	var nodes []Node
	var epochs, slots, meetings, replicas, waits []Step
	first := map[string]string{}
	add := func(h Host) (Node, error) {
		n := Node{ID: h.ID, Addr: h.Addr}
		ip, _, err := net.SplitHostPort(h.Addr)
		if err == nil {
			_, err = netip.ParseAddr(ip)
		}
		switch at, twice := first[h.ID]; {
		case err != nil:
			return n, &InputError{Field: "hosts", Value: h.Addr, Reason: "is not an IP address and a port, as CLUSTER MEET wants it"}
		case h.ID == "":
			return n, &InputError{Field: "hosts", Value: h.Addr, Reason: "has no ID: ask the node for CLUSTER MYID"}
		case twice:
			return n, &InputError{Field: "hosts", Value: h.Addr, Reason: fmt.Sprintf("has the ID of %s", at)}
		}
		first[h.ID] = h.Addr
		nodes = append(nodes, n)
		epochs = append(epochs, Step{Kind: KindEpoch, Node: n.ID, Addr: n.Addr, Round: 1,
			Command: []string{"CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(len(nodes))},
			Until:   Until{HasEpoch, [][]string{{"CLUSTER", "INFO"}}}})
		if len(nodes) > 1 {
			at := nodes[0]
			to, toPort, _ := net.SplitHostPort(at.Addr)
			meetings = append(meetings, Step{Kind: KindMeet, Node: n.ID, Addr: n.Addr, Peer: at.ID, PeerAddr: at.Addr, Round: 3,
				Command: []string{"CLUSTER", "MEET", to, toPort},
				Until:   Until{KnowsPeer, [][]string{askNodes}}})
		}
		w := waiting(n, ClusterOK, "CLUSTER", "INFO")
		w.Round = 5
		waits = append(waits, w)
		return n, nil
	}
	for _, s := range l.Shards {
		n, err := add(s.Primary)
		if err != nil {
			return nil, err
		}
		step := assigned(n, rangesOf(s.Slots), o.AddSlots)
		step.Round = 2
		slots = append(slots, step)
	}
	for i, s := range l.Shards {
		for _, r := range s.Replicas {
			n, err := add(r)
			if err != nil {
				return nil, err
			}
			step := replicating(n, nodes[i])
			step.Round = 4
			replicas = append(replicas, step)
		}
	}
	steps := append(epochs, slots...)
	steps = append(steps, meetings...)
	steps = append(steps, replicas...)
	return append(steps, waits...), nil
}
