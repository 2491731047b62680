package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// A Promotion names the replica that is to take over from a lost primary.
type Promotion struct {
	Lost      string      // id of the primary
	Slots     slotmap.Set // its slots
	Replica   string      // id of the replica; "" if none can
	Reason    string      // why this one, or why none
	Automatic bool        // the cluster does it by itself
	Step      Step        // how to do it by hand; no Command if no replica can
}

// Promote plans the failover of lost primaries, given by id. It takes all of them as
// lost at once, whatever the view says.
//
// It chooses among the replicas that can be reached and have loaded their data, by these
// rules in turn: the smallest priority ([topology.Node].ReplicaPriority), which only
// nodes.conf of Valkey 9.2 has; the most of the primary's replication stream, which only
// CLUSTER SHARDS has; a link from the asked node; the smallest id. The first two are
// those of the servers' own election (clusterGetReplicaRank). A replica that is set
// never to take over comes last.
//
// The cluster elects a replica by itself if a majority of the primaries with slots, lost
// ones counted, is left to vote, and the replica may take over. With a majority, the step
// is CLUSTER FAILOVER FORCE, which also makes a replica take over that is set never to.
// Without a majority, only CLUSTER FAILOVER TAKEOVER helps, which needs no votes. It is
// safe only if the lost primary does not come back with clients of its own.
//
// The result is in the order of lost. The error is an [*InputError], for an id that is not
// that of a primary or is named twice.
func Promote(c *topology.Cluster, lost []string) ([]Promotion, error) {
	if c == nil {
		return nil, &InputError{Field: "Cluster", Reason: "is nil"}
	}
	byID := map[string]*topology.Shard{}
	for _, s := range c.Shards() {
		byID[s.Primary.ID] = s
	}
	gone := map[*topology.Shard]*slotmap.Set{} // the slots of those that are lost
	for i, id := range lost {
		s := byID[id]
		switch {
		case id == "" || c.Node(id) == nil:
			return nil, &InputError{Field: fmt.Sprintf("lost[%d]", i), Value: id, Reason: "no node has this id"}
		case s == nil:
			return nil, &InputError{Field: fmt.Sprintf("lost[%d]", i), Value: id, Reason: "is not a primary"}
		case gone[s] != nil:
			return nil, &InputError{Field: fmt.Sprintf("lost[%d]", i), Value: id, Reason: "is named twice"}
		}
		gone[s] = &slotmap.Set{}
	}
	for r, s := range c.Table().Ranges() {
		if slots := gone[s]; slots != nil {
			slots.AddRange(r)
		}
	}
	voters, left := 0, 0 // primaries with slots
	for s := range c.Table().Owners() {
		voters++
		if gone[s] == nil && !down(s.Primary) {
			left++
		}
	}
	majority := voters/2 + 1
	var promotions []Promotion
	for _, id := range lost {
		promotions = append(promotions, promote(byID[id], *gone[byID[id]], left, majority))
	}
	return promotions, nil
}

func promote(s *topology.Shard, slots slotmap.Set, left, majority int) Promotion {
	p := Promotion{Lost: s.Primary.ID, Slots: slots}
	if slots.IsEmpty() {
		p.Reason = "the primary has no slots: there is nothing to take over"
		return p
	}
	var able []*topology.Node
	var unable []string
	for _, r := range s.Replicas {
		switch {
		case r.Health != "" && r.Health != topology.HealthOnline:
			unable = append(unable, r.ID+" is "+string(r.Health))
		case down(r):
			unable = append(unable, r.ID+" is not reachable")
		default:
			able = append(able, r)
		}
	}
	if len(able) == 0 {
		p.Reason = "the primary has no replicas"
		if len(unable) > 0 {
			p.Reason = "no replica is able to: " + strings.Join(unable, ", ")
		}
		return p
	}
	never := func(r *topology.Node) bool { return r.Flags&topology.FlagNoFailover != 0 }
	last := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	slices.SortFunc(able, func(a, b *topology.Node) int {
		return cmp.Or(
			last(never(a))-last(never(b)),
			cmp.Compare(a.ReplicaPriority, b.ReplicaPriority),
			cmp.Compare(b.ReplicationOffset, a.ReplicationOffset),
			last(a.LinkState == "disconnected")-last(b.LinkState == "disconnected"),
			cmp.Compare(a.ID, b.ID))
	})
	r := able[0]
	p.Replica = r.ID
	switch {
	case len(able) == 1:
		p.Reason = "the only replica that can"
	case never(able[1]) && !never(r):
		p.Reason = "the others have nofailover"
	case r.ReplicaPriority < able[1].ReplicaPriority:
		p.Reason = fmt.Sprintf("it has the smallest replica-priority, %d; the next has %d", r.ReplicaPriority, able[1].ReplicaPriority)
	case r.ReplicationOffset > able[1].ReplicationOffset:
		p.Reason = fmt.Sprintf("it has the highest replication offset, %d; the next has %d", r.ReplicationOffset, able[1].ReplicationOffset)
	case r.LinkState != able[1].LinkState:
		p.Reason = "the node that was asked has a link to it"
	default:
		p.Reason = "it has the smallest id; the view shows no other difference between the replicas"
	}
	how := "FORCE"
	switch {
	case left < majority:
		how = "TAKEOVER"
		p.Reason += fmt.Sprintf("; only %d of the voting primaries are left, a majority is %d, so the cluster cannot elect it", left, majority)
	case never(r):
		p.Reason += "; it has nofailover, so the cluster does not elect it"
	default:
		p.Automatic = true
	}
	p.Step = failingOver(Node{ID: r.ID, Addr: r.Addr()}, Node{ID: p.Lost, Addr: s.Primary.Addr()}, how)
	return p
}
