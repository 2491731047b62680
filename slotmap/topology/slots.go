package topology

import (
	"fmt"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// ParseSlots reads a reply to CLUSTER SLOTS, of any version, that a client has
// decoded to Go values: nested []any with string or []byte for text, an integer
// type for numbers, nil for null, and for the metadata of a node (since 7.0) a
// map[any]any, a map[string]any or a flat list of names and values. That is what
// go-redis, valkey-go, rueidis, redigo and radix hand over. Numbers may come as
// text. Names are not case-sensitive. from is the connection that was asked.
//
// The reply has no epochs. It leaves out replicas that have failed or that are
// new, but not primaries that have failed.
//
// Unknown metadata is kept in [Node.Extra], with a warning; further elements of
// a node, and elements of an entry that are no nodes, are skipped with a
// warning. The error is a [*ParseError]. An empty list is a cluster without
// owners. The Cluster keeps the strings of reply.
//
// The format is that of generateClusterSlotResponse in Valkey's cluster.c.
func ParseSlots(reply any, from Origin) (*Cluster, error) {
	entries, err := list(reply)
	if err == nil && len(entries) > 1<<16 {
		err = &ParseError{Reason: "more than 65536 entries"}
	}
	if err != nil {
		err.Command = slotsCommand
		return nil, err
	}
	r := newReplyNodes(slotsCommand, len(entries))
	for i, entry := range entries {
		r.done = i
		if err := r.slotsEntry(i, entry); err != nil {
			err.in(index("slots", i)).Command = slotsCommand
			return nil, err
		}
	}
	return r.finish(from), nil
}

// slotsEntry reads [first, last, primary, replica...].
func (r *replyNodes) slotsEntry(i int, v any) *ParseError {
	entry, err := list(v)
	if err != nil {
		return err
	}
	if len(entry) < 3 {
		return &ParseError{Reason: fmt.Sprintf("%d elements are not two slots and a primary", len(entry))}
	}
	slots, err := slotRange(entry[0], entry[1], "[0]", "[1]")
	if err != nil {
		return err
	}
	primary := int32(-1)
	for j, v := range entry[2:] {
		node, ok := asList(v)
		if !ok && j > 0 {
			r.c.warn(Place{Path: fmt.Sprintf("slots[%d][%d]", i, j+2)}, "unknown element")
			continue
		}
		if !ok {
			return wrong("is", v, "not a list").in(index("nodes", j))
		}
		place, err := r.slotsNode(i, j, node)
		if err != nil {
			return err.in(index("nodes", j))
		}
		n := &r.c.store[place]
		switch {
		case j == 0:
			primary = place
			if n.Role == RoleReplica {
				r.c.warn(Place{Path: fmt.Sprintf("slots[%d].nodes[%d]", i, j)}, "a primary that is a replica elsewhere")
			}
			n.Role, n.Flags, n.primary = RolePrimary, FlagPrimary, 0
			n.Slots = append(n.Slots, slots)
		case place == primary || n.primary == primary+1:
			// said before
		case n.Role != RoleUnknown:
			r.c.warn(Place{Path: fmt.Sprintf("slots[%d].nodes[%d]", i, j)}, "a replica that is in another shard too")
		default:
			n.Role, n.Flags, n.primary = RoleReplica, FlagReplica, primary+1
		}
	}
	return nil
}

// slotsNode reads [endpoint, port, id, metadata].
func (r *replyNodes) slotsNode(i, j int, node []any) (place int32, err *ParseError) {
	if len(node) < 2 {
		return 0, &ParseError{Reason: fmt.Sprintf("%d elements are not an endpoint and a port", len(node))}
	}
	endpoint, err := text(node[0])
	if err != nil {
		return 0, err.in("endpoint")
	}
	if node[1] == nil {
		return 0, wrong("is", nil, "not a port").in("port")
	}
	port, err := number(node[1], 65535)
	if err != nil {
		return 0, err.in("port")
	}
	id := ""
	if len(node) > 2 {
		if id, err = text(node[2]); err != nil {
			return 0, err.in("id")
		}
	}
	place, isNew, err := r.add(id, endpoint, int(port))
	if err != nil || !isNew || len(node) < 4 {
		return place, err
	}
	if r.fields, err = appendFields(r.fields[:0], node[3]); err != nil {
		return 0, err.in("metadata")
	}
	n := &r.c.store[place]
	unknown := r.fields[:0]
	for _, f := range r.fields {
		known, err := n.common(f)
		if err != nil {
			return 0, err.in("metadata")
		}
		if !known {
			unknown = append(unknown, f)
		}
	}
	r.extra(n, unknown, func() string { return fmt.Sprintf("slots[%d].nodes[%d].metadata", i, j) })
	if len(node) > 4 {
		r.c.warn(Place{Path: fmt.Sprintf("slots[%d].nodes[%d]", i, j)}, fmt.Sprintf("%d unknown elements", len(node)-4))
	}
	return place, nil
}

// slotRange reads the two ends of a range.
func slotRange(first, last any, firstPath, lastPath string) (r slotmap.Range, err *ParseError) {
	for _, end := range [...]struct {
		v    any
		path string
		to   *hashslot.Slot
	}{{first, firstPath, &r.First}, {last, lastPath, &r.Last}} {
		n, ok := asInt(end.v)
		if !ok || n < 0 || n >= hashslot.Count {
			return r, wrong("is", end.v, "not a slot from 0 to 16383").in(end.path)
		}
		*end.to = hashslot.Slot(n)
	}
	if r.First > r.Last {
		return r, (&ParseError{Reason: fmt.Sprintf("the first slot, %d, is greater than the last, %d", r.First, r.Last)}).in(firstPath)
	}
	return r, nil
}
