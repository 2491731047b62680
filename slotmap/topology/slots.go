package topology

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/reply"
	"github.com/hashslot/hashslot/slotmap"
)

// ParseSlots reads a reply to CLUSTER SLOTS, of any version, that a client has
// decoded to Go values: nested []any with string or []byte for text, an integer
// type for numbers, nil for null, and for the metadata of a node (since 7.0) a
// map[any]any, a map[string]any or a flat list of names and values. These are the types
// that go-redis, valkey-go, rueidis, redigo and radix return. Numbers may come as text.
// Names of fields are not case-sensitive. from is the connection that was asked.
//
// The reply has no epochs. Servers leave out replicas that have failed or that are
// new, but not primaries that have failed.
//
// One malformed node does not spoil the reply. A replica that cannot be read, metadata
// that cannot be read, and further elements of a node are skipped with a warning. If
// the primary of an entry is missing or cannot be read, the slots of the entry are
// unassigned, with a warning: no other node gets them. Unknown metadata is kept in
// [Node.Extra], with a warning. Slots that cannot be read are an error, a
// [*slotmap.ParseError], and so is a reply with entries of which none has a primary that
// can be read. An empty list is a cluster without owners. The Cluster keeps the strings
// of reply in memory. ParseSlots takes time and memory linear in reply.
//
// The format is that of generateClusterSlotResponse in Valkey's cluster.c.
func ParseSlots(reply any, from Origin) (*Cluster, error) {
	entries, err := list(reply)
	if len(entries) > 1<<16 {
		err = &fault{reason: "more than 65536 entries"}
	}
	if err != nil {
		return nil, err.of(slotsCommand)
	}
	r := newReplyNodes(slotsCommand, len(entries))
	for i, entry := range entries {
		r.done = i
		if err := r.slotsEntry(i, entry); err != nil {
			return nil, err.in(index("slots", i)).of(slotsCommand)
		}
	}
	if len(r.c.store) == 0 && r.odd != nil {
		return nil, r.odd.of(slotsCommand)
	}
	return r.finish(from), nil
}

// skip warns of a part of the reply that is skipped, and keeps the first such fault.
func (r *replyNodes) skip(err *fault) {
	if r.odd == nil {
		r.odd = err
	}
	r.c.warn(err.location, err.reason)
}

// slotsEntry reads [first, last, primary, replica...].
func (r *replyNodes) slotsEntry(i int, v any) *fault {
	var entry []any
	if v != nil {
		var err *fault
		if entry, err = list(v); err != nil {
			return err
		}
	}
	if len(entry) < 3 {
		err := &fault{reason: fmt.Sprintf("%d elements are not two slots and a primary", len(entry))}
		if len(entry) == 1 {
			return err
		}
		r.skip(err.in(index("slots", i))) // no slots, or slots without a node
		if len(entry) == 0 {
			return nil
		}
	}
	slots, err := slotRange(entry[0], entry[1], "[0]", "[1]")
	if err != nil {
		return err
	}
	var primary int32 // the place of the first node
	for j, v := range entry[2:] {
		place, err := r.slotsNode(i, j, v)
		if r.full {
			return err.in(index("nodes", j))
		}
		if err != nil {
			r.skip(err.in(index("nodes", j)).in(index("slots", i)))
			if j == 0 {
				return nil // without a primary, the replicas are in no shard
			}
			continue
		}
		n := &r.c.store[place]
		switch {
		case j == 0:
			primary = place
			if n.Role == RoleReplica {
				r.c.warn(location{path: fmt.Sprintf("slots[%d].nodes[%d]", i, j)}, "a primary that is a replica elsewhere")
			}
			n.Role, n.Flags, n.primary = RolePrimary, FlagPrimary, 0
			n.Slots = append(n.Slots, slots)
		case place == primary || n.primary == primary+1:
			// another entry of the shard says the same
		case n.Role != RoleUnknown:
			r.c.warn(location{path: fmt.Sprintf("slots[%d].nodes[%d]", i, j)}, "a replica that is in another shard too")
		default:
			n.Role, n.Flags, n.primary = RoleReplica, FlagReplica, primary+1
		}
	}
	return nil
}

// slotsNode reads [endpoint, port, id, metadata].
func (r *replyNodes) slotsNode(i, j int, v any) (place int32, err *fault) {
	node, err := list(v)
	if err != nil {
		return 0, err
	}
	if len(node) < 2 {
		return 0, &fault{reason: fmt.Sprintf("%d elements are not an endpoint and a port", len(node))}
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
	if !isNew || len(node) < 4 {
		return place, err
	}
	path := func() string { return fmt.Sprintf("slots[%d].nodes[%d].metadata", i, j) }
	if r.fields, err = appendFields(r.fields[:0], node[3]); err != nil {
		r.c.warn(location{path: path()}, err.reason)
	}
	// The fields of a map have no order. Sort them, so that the warnings have one.
	slices.SortStableFunc(r.fields, func(a, b reply.Field) int { return strings.Compare(a.Name, b.Name) })
	n := &r.c.store[place]
	unknown := r.fields[:0]
	for _, f := range r.fields {
		known, err := n.common(f)
		if err != nil {
			r.c.warn(location{path: path() + "." + f.Name}, err.reason)
		} else if !known {
			unknown = append(unknown, f)
		}
	}
	r.extra(n, unknown, path)
	if len(node) > 4 {
		r.c.warn(location{path: fmt.Sprintf("slots[%d].nodes[%d]", i, j)}, fmt.Sprintf("%d unknown elements", len(node)-4))
	}
	return place, nil
}

// slotRange reads the two ends of a range, which have the given paths in the reply.
func slotRange(first, last any, firstPath, lastPath string) (r slotmap.Range, err *fault) {
	for _, end := range [...]struct {
		v    any
		path string
		to   *hashslot.Slot
	}{{first, firstPath, &r.First}, {last, lastPath, &r.Last}} {
		n, ok := reply.Int(end.v)
		if ok {
			*end.to, ok = hashslot.SlotFromInt(n)
		}
		if !ok {
			return slotmap.Range{}, wrong("is", end.v, "not a slot from 0 to 16383").in(end.path)
		}
	}
	if r.First > r.Last {
		return slotmap.Range{}, (&fault{reason: fmt.Sprintf("the first slot, %d, is greater than the last, %d", r.First, r.Last)}).in(firstPath)
	}
	return r, nil
}
