package topology

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashslot/hashslot/internal/reply"
)

const ownState = "NewCluster"

// NewCluster makes a Cluster from nodes that a program knows from elsewhere, such as
// an operator's own records. The result is what [ParseNodes] makes of a text with
// the same nodes. Nodes stay in their order; owners, shards, disagreements and open
// slots are derived from them as from a reply.
//
// Each node needs a unique ID. Host and Port are what to dial, without brackets around
// IPv6. If one of them is missing, or with FlagNoAddr, the node has no address.
// Endpoint, EndpointPort and IP follow from them if they are not given. Role says what
// the node is; the flag of the role need not be given. A replica names its primary by
// PrimaryID. ConfigEpoch decides between two primaries that claim a slot. All other
// fields may be left out.
//
// The error is a [*slotmap.ParseError] with the place in nodes: no node or more than
// 65536, an id that is missing or given twice, a port that is not from 0 to 65535, an
// invalid range or open slot, a role that contradicts the flags, or a PrimaryID of a
// node that is no replica. Slots of a node that is no primary cause a warning, as in a
// reply.
//
// The Cluster keeps copies, so nodes may be modified afterwards. NewCluster takes time
// and memory linear in the nodes and their ranges.
func NewCluster(nodes []Node) (*Cluster, error) {
	fail := func(path, reason string) (*Cluster, error) {
		return nil, (&fault{location{path: path}, reason}).of(ownState)
	}
	switch {
	case len(nodes) == 0:
		return fail("nodes", "no node")
	case len(nodes) > maxNodes:
		return fail("nodes", "more than 65536 nodes")
	}
	c := &Cluster{command: nodesCommand, store: slices.Clone(nodes), byKey: make(map[string]int32, len(nodes))}
	myself := false
	for i := range c.store {
		n := &c.store[i]
		if err := n.adopt(); err != nil {
			return nil, err.in(index("nodes", i)).of(ownState)
		}
		if _, taken := c.byKey[n.ID]; taken {
			return fail(index("nodes", i)+".ID", "a second node "+reply.Quote(n.ID))
		}
		c.byKey[n.ID] = int32(i)
		at := location{path: index("nodes", i)}
		if n.dedupe() {
			c.warn(at, "slots more than once")
		}
		if len(n.Slots) > 0 && n.Role != RolePrimary {
			c.warn(at, "slots of a node that is no primary, which owns none: "+reply.Quote(n.ID))
		}
		if n.myself() && myself {
			c.warn(at, "a second node is myself")
		}
		myself = myself || n.myself()
	}
	c.build()
	return c, nil
}

// adopt checks the fields that the caller has set, copies them, and fills in the
// fields that follow from them.
func (n *Node) adopt() *fault {
	bad := func(path, format string, args ...any) *fault {
		return &fault{location: location{path: path}, reason: fmt.Sprintf(format, args...)}
	}
	if n.ID == "" {
		return bad("ID", "is missing")
	}
	const roles = FlagPrimary | FlagReplica
	flag := map[Role]Flags{RoleUnknown: 0, RolePrimary: FlagPrimary, RoleReplica: FlagReplica}
	want, known := flag[n.Role]
	switch {
	case !known:
		return bad("Role", "is %d, not a role", n.Role)
	case n.Role != RoleUnknown && n.Flags&FlagHandshake != 0:
		return bad("Role", "is %v, but a node in handshake has none", n.Role)
	case n.Role != RoleUnknown && n.Flags&roles&^want != 0 || n.Role == RoleUnknown && n.Flags&roles != 0 && n.Flags&FlagHandshake == 0:
		return bad("Flags", "are %v, but the role is %v", n.Flags, n.Role)
	case n.Role != RoleReplica && n.PrimaryID != "":
		return bad("PrimaryID", "is %s, but the node is no replica", reply.Quote(n.PrimaryID))
	}
	n.Flags |= want
	for _, p := range [...]struct {
		name string
		port int
	}{{"Port", n.Port}, {"EndpointPort", n.EndpointPort}, {"TLSPort", n.TLSPort}, {"BusPort", n.BusPort}} {
		if p.port < 0 || p.port > 65535 {
			return bad(p.name, "is %d, not a number from 0 to 65535", p.port)
		}
	}
	for i, r := range n.Slots {
		if !r.Valid() {
			return bad(index("Slots", i), "%v is not a range of slots from 0 to 16383", r)
		}
	}
	for _, list := range [...]struct {
		name  string
		peers []Peer
	}{{"Migrating", n.Migrating}, {"Importing", n.Importing}} {
		for i, p := range list.peers {
			if !p.Slot.Valid() {
				return bad(index(list.name, i), "%d is not a slot from 0 to 16383", p.Slot)
			}
		}
	}
	n.Slots, n.Extra = slices.Clone(n.Slots), maps.Clone(n.Extra)
	n.Migrating, n.Importing = slices.Clone(n.Migrating), slices.Clone(n.Importing)

	n.key, n.addr, n.told, n.versioned, n.primary = n.ID, "", endpointIP, true, 0
	n.locate()
	return nil
}

// locate sets the address of a node that the caller has described, and fills in the fields
// that follow from it.
func (n *Node) locate() {
	n.Host = unbracket(n.Host)
	if n.Endpoint == "" {
		n.Endpoint = n.Host
	}
	if n.EndpointPort == 0 {
		n.EndpointPort = n.Port
	}
	n.mapped = n.Port != n.EndpointPort && n.Port != n.TLSPort
	host := n.Host
	if n.mapped {
		host = n.Endpoint
	}
	if n.IP == "" && isIP(host) {
		n.IP = host
	}
	if wildcard(n.Host) || n.Host == "?" {
		n.Host = ""
	}
	if n.Host == "" || n.Flags&FlagNoAddr != 0 {
		n.Port = 0
	}
	if n.Port != 0 {
		n.addr = joinHostPort(n.Host, n.Port)
	}
	n.mapped = n.mapped || n.Host != n.Endpoint && n.Host != n.IP && n.Host != n.Hostname
}
