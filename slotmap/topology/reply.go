package topology

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashslot/hashslot/internal/reply"
)

// appendFields appends to dst the fields of v, which is a map or a flat list of names
// and values. The fields of a list keep their order; those of a map have none.
func appendFields(dst []reply.Field, v any) ([]reply.Field, *fault) {
	dst, err := reply.AppendFields(dst, v)
	if err != nil {
		return nil, &fault{location: location{path: err.Path}, reason: err.Reason}
	}
	return dst, nil
}

// wrong returns the fault of a value of the wrong kind.
func wrong(is string, v any, want string) *fault {
	return &fault{reason: is + " " + reply.Kind(v) + ", " + want}
}

// list returns the elements of v, which must be a list.
func list(v any) ([]any, *fault) {
	l, ok := reply.List(v)
	if !ok {
		return nil, wrong("is", v, "not a list")
	}
	return l, nil
}

// text returns v, which must be text. Null is "".
func text(v any) (string, *fault) {
	if v == nil {
		return "", nil
	}
	s, ok := reply.Text(v)
	if !ok {
		return "", wrong("is", v, "not text")
	}
	return s, nil
}

// number returns v, which must be a number from 0 to most. Null is 0.
func number(v any, most int64) (int64, *fault) {
	if v == nil {
		return 0, nil
	}
	n, ok := reply.Int(v)
	if !ok || n < 0 || n > most {
		return 0, wrong("is", v, fmt.Sprintf("not a number from 0 to %d", most))
	}
	return n, nil
}

// replyNodes collects the nodes of CLUSTER SLOTS and SHARDS.
type replyNodes struct {
	c     *Cluster
	byID  map[string]int32
	named map[nodeName]int32 // the places of nodes that are not known by an id
	names []nodeName         // of the nodes in c.store
	odd   *fault             // the first part that was skipped
	full  bool               // there are too many nodes
	split map[string]bool    // ids that stand for more than one address

	done, all int // entries or shards of the reply: read before the current one, and in total

	fields, shard []reply.Field // scratch
}

func newReplyNodes(command string, entries int) *replyNodes {
	return &replyNodes{c: &Cluster{command: command}, byID: make(map[string]int32), all: entries}
}

type nodeName struct {
	id, endpoint string
	port         int
}

// add returns the place in c.store of the node with the id and the address, and
// whether it is new. A node is known by its id. Some proxies give one id to several
// addresses: then each address is a node, and none is known by that id.
func (r *replyNodes) add(id, endpoint string, port int) (place int32, isNew bool, err *fault) {
	full := nodeName{id, endpoint, port}
	found := false
	if id != "" {
		if place, found = r.byID[id]; found && r.names[place] == full {
			return place, false, nil
		}
	}
	if found {
		if r.split == nil {
			r.split = make(map[string]bool)
		}
		r.split[id] = true
	}
	if found || id == "" {
		if place, found := r.named[full]; found {
			return place, false, nil
		}
	}
	if len(r.c.store) == maxNodes {
		r.full = true
		return 0, false, &fault{reason: "more than 65536 nodes"}
	}
	place = int32(len(r.c.store))
	r.grow()
	r.c.store = append(r.c.store, Node{ID: id, Endpoint: endpoint, EndpointPort: port, told: endpointTold})
	r.names = append(r.names, full)
	switch {
	case id != "" && !found:
		r.byID[id] = place
	case r.named == nil:
		r.named = map[nodeName]int32{full: place}
	default:
		r.named[full] = place
	}
	return place, true, nil
}

// grow makes room for another node. Nodes are large, so it estimates how many the
// whole reply has from the part that was read. It makes at most four times the room
// at once, since a reply may begin with its largest entry.
func (r *replyNodes) grow() {
	n := len(r.c.store)
	if n < cap(r.c.store) {
		return
	}
	room := 8
	if r.done > 0 {
		room = min(n*r.all/r.done, 4*n, maxNodes)
	}
	r.c.store = slices.Grow(r.c.store, max(room-n, 0))
	r.names = slices.Grow(r.names, max(room-n, 0))
}

// finish completes the nodes and the cluster.
func (r *replyNodes) finish(from Origin) *Cluster {
	for i := range r.c.store {
		n := &r.c.store[i]
		if !r.split[n.ID] {
			n.key = n.ID
		}
		if n.primary != 0 {
			n.PrimaryID = r.c.store[n.primary-1].ID
		}
		n.dedupe()
		if n.IP == "" && isIP(n.Endpoint) {
			n.IP = n.Endpoint
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.split)) {
		r.c.warn(location{}, "node id "+reply.Quote(id)+" stands for more than one address")
	}
	r.c.byKey = r.byID // unless resolve finds nodes that are not known by an id
	r.c.resolve(from)
	r.c.build()
	return r.c
}

// common reads a field that CLUSTER SLOTS and CLUSTER SHARDS share. known is false
// for any other field, and for an "ip" that is not an IP address.
func (n *Node) common(f reply.Field) (known bool, err *fault) {
	switch f.Name {
	case "ip":
		n.IP, err = text(f.Value)
		if n.IP != "" && !isIP(n.IP) {
			n.IP = ""
			return false, nil
		}
	case "hostname":
		n.Hostname, err = text(f.Value)
	case "availability-zone":
		n.AvailabilityZone, err = text(f.Value)
	default:
		return false, nil
	}
	return true, err
}

// extra stores unknown fields in n.Extra if they are text or numbers, and warns of
// all of them.
func (r *replyNodes) extra(n *Node, unknown []reply.Field, path func() string) {
	r.warnOf(unknown, path)
	for _, f := range unknown {
		if s, ok := reply.Text(f.Value); ok {
			n.setExtra(f.Name, s)
		} else if i, ok := reply.Int(f.Value); ok {
			n.setExtra(f.Name, strconv.FormatInt(i, 10))
		}
	}
}

// warnOf sorts the unknown fields by name, since those of a map have no order, and
// warns of them.
func (r *replyNodes) warnOf(unknown []reply.Field, path func() string) {
	if len(unknown) == 0 {
		return
	}
	slices.SortFunc(unknown, func(a, b reply.Field) int { return strings.Compare(a.Name, b.Name) })
	at := location{path: path()}
	for _, f := range unknown {
		r.c.warn(at, "unknown field "+reply.Quote(f.Name))
	}
}
