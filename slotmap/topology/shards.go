package topology

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/hashslot/hashslot/internal/reply"
	"github.com/hashslot/hashslot/slotmap"
)

// ParseShards reads a reply to CLUSTER SHARDS (since 7.0) that a client has
// decoded to Go values: a list of shards, each a map or a flat list of names
// and values. It takes the same types as [ParseSlots]. from is the connection
// that was asked.
//
// The reply has no epochs. A node that only some nodes have lost is still "online" in
// it. If a shard has two primaries, which happens after a failover, its slots belong to
// the one that has not failed. If neither or both have failed, they belong to the one
// with the greater replication offset, then to the one with the smaller id, with a
// warning. A primary that has failed and is the only one keeps its slots. The slots of
// a shard without a primary are unassigned, with a warning.
//
// Unknown fields cause a warning; those of nodes that are text or numbers are kept in
// [Node.Extra]. A replica that cannot be read is skipped with a warning, and so is any
// such node of a shard without slots. Slots that cannot be read are an error, a
// [*slotmap.ParseError], and so are slots or nodes that a shard has twice. So is any other
// node that cannot be read in a shard with slots, since it may be their owner. The Cluster
// keeps the strings of reply in memory.
// ParseShards takes time and memory linear in reply.
//
// The format is that of clusterCommandShards in Valkey's cluster_legacy.c.
func ParseShards(reply any, from Origin) (*Cluster, error) {
	shards, err := list(reply)
	if len(shards) > maxNodes {
		err = &fault{reason: "more than 65536 shards"}
	}
	if err != nil {
		return nil, err.of(shardsCommand)
	}
	r := newReplyNodes(shardsCommand, len(shards))
	for i, shard := range shards {
		r.done = i
		if err := r.parseShard(i, shard); err != nil {
			return nil, err.in(index("shards", i)).of(shardsCommand)
		}
	}
	if len(r.c.store) == 0 && r.odd != nil {
		return nil, r.odd.of(shardsCommand)
	}
	return r.finish(from), nil
}

func (r *replyNodes) parseShard(i int, v any) (err *fault) {
	if v == nil {
		r.skip(wrong("is", v, "not a shard").in(index("shards", i)))
		return nil
	}
	if r.shard, err = appendFields(r.shard[:0], v); err != nil {
		return err
	}
	var slots []slotmap.Range
	var members []int32
	var id string
	var odd *fault // of a node that cannot be read and may be the owner
	hasSlots, hasNodes := false, false
	unknown := r.shard[:0]
	for _, f := range r.shard {
		if f.Name == "slots" && hasSlots || f.Name == "nodes" && hasNodes {
			return (&fault{reason: "is there twice"}).in(f.Name)
		}
		switch f.Name {
		case "slots":
			hasSlots = true
			if slots, err = shardSlots(f.Value); err != nil {
				return err.in("slots")
			}
		case "nodes":
			hasNodes = true
			if members, odd, err = r.shardNodes(i, f.Value); err != nil {
				return err
			}
		case "id":
			if id, err = text(f.Value); err != nil {
				r.skip(err.in("id").in(index("shards", i)))
			}
		default:
			unknown = append(unknown, f)
		}
	}
	r.warnOf(unknown, func() string { return index("shards", i) })
	switch {
	case odd != nil && len(slots) > 0:
		return odd
	case odd != nil:
		r.skip(odd.in(index("shards", i)))
	case !hasSlots:
		r.skip((&fault{reason: "has no slots"}).in(index("shards", i)))
	case !hasNodes:
		r.skip((&fault{reason: "has no nodes"}).in(index("shards", i)))
	}
	for _, m := range members {
		r.c.store[m].ShardID = id
	}
	owner := r.shardOwner(i, members, len(slots) > 0)
	if owner < 0 {
		return nil
	}
	n := &r.c.store[owner]
	n.Slots = slots
	for _, m := range members {
		if r.c.store[m].Role == RoleReplica {
			r.c.store[m].primary = owner + 1
		}
	}
	return nil
}

// shardOwner returns the place of the primary that owns the slots of shard i, or -1. It
// warns of a doubt only if that matters: if the shard has slots.
func (r *replyNodes) shardOwner(i int, members []int32, matters bool) int32 {
	var primaries []int32
	for _, m := range members {
		if r.c.store[m].Role == RolePrimary {
			primaries = append(primaries, m)
		}
	}
	if len(primaries) == 0 {
		if matters {
			r.c.warn(location{path: index("shards", i)}, "slots without a primary")
		}
		return -1
	}
	slices.SortStableFunc(primaries, func(a, b int32) int {
		n, m := &r.c.store[a], &r.c.store[b]
		return cmp.Or(
			compareBool(n.failed(), m.failed()),
			-cmp.Compare(n.ReplicationOffset, m.ReplicationOffset),
			cmp.Compare(n.ID, m.ID))
	})
	if len(primaries) > 1 && matters && r.c.store[primaries[0]].failed() == r.c.store[primaries[1]].failed() {
		r.c.warn(location{path: index("shards", i)}, "more than one primary: "+reply.Quote(r.c.store[primaries[0]].ID)+" is taken")
	}
	return primaries[0]
}

// shardSlots reads the flat list [first, last, first, last...].
func shardSlots(v any) ([]slotmap.Range, *fault) {
	if v == nil {
		return nil, nil
	}
	ends, err := list(v)
	if err != nil {
		return nil, err
	}
	if len(ends)%2 != 0 {
		return nil, &fault{reason: fmt.Sprintf("%d slots are not pairs", len(ends))}
	}
	ranges := make([]slotmap.Range, len(ends)/2)
	for i := range ranges {
		if ranges[i], err = slotRange(ends[2*i], ends[2*i+1], "", ""); err != nil {
			return nil, err.in(index("", 2*i))
		}
	}
	return ranges, nil
}

// shardNodes reads the nodes of a shard and returns their places. A replica that cannot
// be read is skipped. odd is the fault of the first other node that cannot be read.
func (r *replyNodes) shardNodes(i int, v any) (members []int32, odd, err *fault) {
	nodes, err := list(v)
	if err != nil {
		return nil, nil, err.in("nodes")
	}
	for j, v := range nodes {
		place, err := r.shardNode(i, j, v)
		if r.full {
			return nil, nil, err.in(index("nodes", j))
		}
		switch {
		case err == nil && place >= 0:
			members = append(members, place)
		case err == nil:
		case saysReplica(v):
			r.skip(err.in(index("nodes", j)).in(index("shards", i)))
		case odd == nil:
			odd = err.in(index("nodes", j))
		}
	}
	return members, odd, nil
}

// saysReplica reports whether a node that cannot be read has the role of a replica.
func saysReplica(v any) bool {
	role := RoleUnknown
	fields, _ := appendFields(nil, v)
	for _, f := range fields {
		if f.Name == "role" {
			role, _ = shardRole(f.Value)
		}
	}
	return role == RoleReplica
}

// shardRole reads a role. Garnet writes its roles in capitals.
func shardRole(v any) (Role, *fault) {
	s, err := text(v)
	if err != nil {
		return RoleUnknown, err
	}
	switch strings.ToLower(s) {
	case "master", "primary":
		return RolePrimary, nil
	case "replica", "slave":
		return RoleReplica, nil
	}
	return RoleUnknown, wrong("is", v, "neither master nor replica")
}

// shardNode reads a node and returns its place, or -1 if the reply has the node already.
func (r *replyNodes) shardNode(i, j int, v any) (place int32, err *fault) {
	if v == nil {
		return 0, wrong("is", v, "not a node")
	}
	if r.fields, err = appendFields(r.fields[:0], v); err != nil {
		return 0, err
	}
	n := Node{told: endpointAbsent}
	unknown := r.fields[:0]
	for _, f := range r.fields {
		known := true
		var i int64
		var s string
		switch f.Name {
		case "id":
			n.ID, err = text(f.Value)
		case "endpoint":
			n.told = endpointTold
			n.Endpoint, err = text(f.Value)
		case "port":
			i, err = number(f.Value, 65535)
			n.EndpointPort = int(i)
		case "tls-port":
			i, err = number(f.Value, 65535)
			n.TLSPort = int(i)
		case "role":
			n.Role, err = shardRole(f.Value)
		case "replication-offset":
			n.ReplicationOffset, err = number(f.Value, math.MaxInt64)
		case "health":
			s, err = text(f.Value)
			n.Health = Health(s)
		case "address": // Garnet has neither endpoint nor ip
			if s, err = text(f.Value); isIP(s) {
				n.IP = s
			} else {
				n.Hostname = s
			}
		default:
			known, err = n.common(f)
		}
		if err != nil {
			if err.path == "" {
				_ = err.in(f.Name)
			}
			return 0, err
		}
		if !known {
			unknown = append(unknown, f)
		}
	}
	path := func() string { return fmt.Sprintf("shards[%d].nodes[%d]", i, j) }
	if n.Role == RoleUnknown {
		return 0, &fault{reason: "has no role"}
	}
	n.Flags = FlagPrimary
	if n.Role == RoleReplica {
		n.Flags = FlagReplica
	}
	switch n.Health {
	case "", HealthOnline, HealthLoading:
	case HealthFail:
		n.Flags |= FlagFail
	case HealthOffline:
		n.Flags |= FlagPFail
	default:
		r.c.warn(location{path: path()}, "unknown health "+reply.Quote(string(n.Health)))
	}
	port := n.EndpointPort
	if port == 0 {
		port = n.TLSPort
	}
	endpoint := n.Endpoint
	if n.told == endpointAbsent {
		endpoint = cmp.Or(n.Hostname, n.IP)
	}
	place, isNew, err := r.add(n.ID, endpoint, port)
	if err != nil {
		return 0, err
	}
	if !isNew {
		r.c.warn(location{path: path()}, "node "+reply.Quote(n.ID)+" a second time")
		return -1, nil
	}
	r.c.store[place] = n
	r.extra(&r.c.store[place], unknown, path)
	return place, nil
}
