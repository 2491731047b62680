package topology

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// An Origin describes the connection over which a reply came: which host was asked,
// and how the reply's addresses are reached from here. With the zero Origin, nodes
// whose endpoint is the host that was asked have no address.
type Origin struct {
	// Addr is the address that was dialled, "host:port", or the host alone. IPv6
	// needs brackets if there is a port. A node with port 0 gets this port: a server
	// that listens for TLS only reports port 0 if it is asked through a proxy that
	// speaks TLS for the client. The path of a Unix socket counts as unknown.
	Addr string

	// TLS is true if the connection was over TLS.
	TLS bool

	// Map, if it is not nil, returns where to dial the address of a node, for
	// nodes behind NAT and in containers. It is called with "host:port", with
	// brackets around an IPv6 host, after the host and port that were asked are
	// filled in, and returns the same form. It should return an unknown address
	// unchanged. A node for which it returns "", or anything that is not "host:port",
	// has no address. It is called once for each node of a reply and once for each
	// redirect that have an address, by the goroutine that parses. It must give equal
	// addresses equal results.
	Map func(addr string) string
}

// asked returns the host and the port that were asked; "" and 0 if they are not known.
func (o Origin) asked() (host string, port int) {
	if strings.IndexByte(o.Addr, '/') >= 0 { // a path
		return "", 0
	}
	host = o.Addr
	if h, text, _ := cutLast(o.Addr, ':'); strings.IndexByte(h, ':') < 0 || strings.HasSuffix(h, "]") {
		host = h
		port, _ = parsePort(text)
	}
	host = unbracket(host)
	if wildcard(host) || host == "?" {
		host = ""
	}
	return host, port
}

// reach returns where to dial a host and port of a reply, by Map; "" and 0 if they
// cannot be dialled.
func (o Origin) reach(host string, port int) (string, int) {
	if o.Map != nil {
		host, port = splitHostPort(o.Map(joinHostPort(host, port)))
	}
	return host, port
}

// splitHostPort splits an address "host:port". It returns "" and 0 if the address cannot
// be dialled.
func splitHostPort(addr string) (host string, port int) {
	host, text, _ := cutLast(addr, ':')
	port, _ = parsePort(text)
	bare := unbracket(host)
	if port == 0 || bare == "" || bare == host && strings.IndexByte(host, ':') >= 0 {
		return "", 0
	}
	return bare, port
}

// unbracket takes the brackets off an IPv6 host.
func unbracket(host string) string {
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		return host[1 : len(host)-1]
	}
	return host
}

// A Role is the role of a node in its shard.
type Role uint8

const (
	RoleUnknown Role = iota // a node in handshake, or without the flag of a role
	RolePrimary             // "master" in replies
	RoleReplica             // "slave" or "replica" in replies
)

// String returns "primary", "replica" or "unknown".
func (r Role) String() string {
	switch r {
	case RolePrimary:
		return "primary"
	case RoleReplica:
		return "replica"
	}
	return "unknown"
}

// Flags are the flags of a node in CLUSTER NODES. From the other replies come only the
// flag of the role, FlagFail for the health "fail", and FlagPFail for the health
// "offline". A [Router] sets FlagPFail of the nodes that it suspects.
type Flags uint16

const (
	FlagMyself     Flags = 1 << iota // "myself": the node that was asked
	FlagPrimary                      // "master"
	FlagReplica                      // "slave"
	FlagPFail                        // "fail?": the node that was asked cannot reach it
	FlagFail                         // "fail": the majority of primaries cannot reach it
	FlagHandshake                    // "handshake": not a member yet; its id is random
	FlagNoAddr                       // "noaddr": its address is unknown
	FlagNoFailover                   // "nofailover": a replica that does not stand for election
)

var flagNames = [...]string{"myself", "master", "slave", "fail?", "fail", "handshake", "noaddr", "nofailover"}

// Has reports whether all flags of set are among f.
func (f Flags) Has(set Flags) bool { return f&set == set }

// String returns the flags in the form of CLUSTER NODES, such as "myself,master", or
// "noflags" if there are none.
func (f Flags) String() string {
	if f == 0 {
		return "noflags"
	}
	var names []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// Health is the health of a node in CLUSTER SHARDS, and "" in the other replies. A
// server may send words that are not among the constants.
type Health string

const (
	HealthOnline  Health = "online"  // it serves
	HealthFail    Health = "fail"    // the same as FlagFail
	HealthLoading Health = "loading" // a replica that does not have its data yet
	HealthOffline Health = "offline" // of Garnet, the same as FlagPFail: the node that was asked has no connection to it
)

// A Node is one server of a cluster, as a reply describes it. Fields that the reply
// does not have are zero.
//
// The strings of a Node may share memory with the reply. A Node of a [Cluster] or a
// [Router] never changes and must not be modified, so any number of goroutines may
// read it.
type Node struct {
	// ID is the node id, 40 characters on Valkey and Redis. It is "" in CLUSTER
	// SLOTS before version 4.0, and for a primary in the emulated cluster of
	// Dragonfly if a replica was asked.
	ID string

	// Host and Port are what to dial; Addr joins them. Host is the node's preferred
	// endpoint, or the host that was asked if the reply means that one. Port is the
	// port of that endpoint, or the TLS port if the connection needs it. Both come from
	// [Origin].Map if there is one. Host is "" and Port is 0 if it is not known.
	Host string
	Port int

	Endpoint string // the preferred endpoint as the reply has it: possibly "" or "?"; in CLUSTER NODES the IP

	// EndpointPort is the port in CLUSTER NODES and CLUSTER SLOTS, which is the TLS
	// port if they were asked over TLS; in CLUSTER SHARDS and nodes.conf it is the
	// plain port. TLSPort is the separate TLS port of the latter two. BusPort is the
	// port of the cluster bus. 0 means none.
	EndpointPort, TLSPort, BusPort int

	IP       string // IP address; "" if the reply has none
	Hostname string // announced host name; "" if the reply has none

	ShardID          string // from CLUSTER SHARDS of Valkey 9.1 and from nodes.conf
	AvailabilityZone string

	// ReplicaPriority is cluster-replica-priority of Valkey 9.2, from nodes.conf. Of two
	// replicas, the one with the smaller value is preferred in an election.
	ReplicaPriority int

	Flags     Flags
	Role      Role
	PrimaryID string // id of a replica's primary; "" if it is not a replica
	Health    Health

	// ConfigEpoch is the version of the node's claim to its slots. Only CLUSTER
	// NODES has it, and it means nothing on the line of a replica.
	ConfigEpoch uint64

	PingSent, PongReceived int64  // from CLUSTER NODES: Unix time in milliseconds, 0 for none
	LinkState              string // from CLUSTER NODES: "connected" or "disconnected", the cluster bus link from the node that was asked
	ReplicationOffset      int64  // from CLUSTER SHARDS, in bytes

	// Slots are the slots that the node claims, as the reply lists them. If two
	// nodes claim a slot, the table of the [Cluster] shows which of them owns it.
	Slots []slotmap.Range

	// Migrating and Importing are the node's open slots: those being moved away
	// from it and to it by CLUSTER SETSLOT. A node lists only its own, in
	// CLUSTER NODES. Migrating slots are among Slots, importing ones are not.
	// Atomic slot migration (Valkey 9.0) does not show here.
	Migrating, Importing []Peer

	// Extra has the data without a field of its own: metadata of CLUSTER SLOTS, text and
	// number fields of CLUSTER SHARDS, auxiliary fields of nodes.conf. It is nil
	// if there is nothing.
	Extra map[string]string

	key  string // ID; the address if the reply has no id or gives it to two nodes
	addr string
	told endpointKind

	versioned bool // ConfigEpoch is known
	stranger  bool // the node is known only from a redirect
	mapped    bool // Host and Port are what Origin.Map made of another address

	primary int32 // of a replica: the place of its primary in Cluster.store, from 1; 0 if it is not there
}

// A Peer is a slot being moved, and the id of the node at the other end.
type Peer struct {
	Slot hashslot.Slot
	Node string
}

// An endpointKind is what a reply has as the endpoint of a node.
type endpointKind uint8

const (
	endpointIP     endpointKind = iota // CLUSTER NODES: the IP in front of the port
	endpointTold                       // CLUSTER SLOTS and SHARDS: the preferred endpoint
	endpointAbsent                     // CLUSTER SHARDS without an endpoint
)

// Addr returns the address to dial, "host:port" with brackets around an IPv6
// host. It is "" if the node has none. Then a client must not guess one: it has to wait
// for a view or a redirect that has the address. Addr does not allocate.
func (n *Node) Addr() string { return n.addr }

func (n *Node) routable() bool { return n.addr != "" }
func (n *Node) myself() bool   { return n.Flags&FlagMyself != 0 }
func (n *Node) failed() bool   { return n.Flags&FlagFail != 0 }

// Serves reports whether the node can be expected to answer: it has a role and
// an address, is neither failed nor suspected (FlagPFail), and its health, if known,
// is online.
func (n *Node) Serves() bool {
	return n.Role != RoleUnknown && n.addr != "" && n.Flags&(FlagFail|FlagPFail) == 0 && (n.Health == "" || n.Health == HealthOnline)
}

// String returns what is known of the id and the address, with a space between them.
func (n *Node) String() string {
	switch {
	case n.ID == "":
		return n.key
	case n.addr == "":
		return n.ID
	}
	return n.ID + " " + n.addr
}

// resolve finds the node's host, port, address and key. asked and askedPort are what
// from.asked returns. tls means that TLSPort is the port to use.
func (n *Node) resolve(from Origin, asked string, askedPort int, tls bool) {
	host := n.Endpoint
	if n.told == endpointAbsent || host == "?" {
		host = n.Hostname
		if host == "" && n.told == endpointAbsent {
			host = n.IP
		}
	}
	port := n.EndpointPort
	if tls {
		port = n.TLSPort
	}
	told, known := port, !wildcard(host) && host != "?"
	if !known {
		switch {
		case n.Endpoint == "?":
			host = ""
		case n.Flags&FlagMyself != 0:
			host = asked
		case n.told == endpointIP || port == 0:
			host = "" // another node's address is unknown, or the node has none at all
		default:
			host = asked
		}
	}
	if port == 0 && n.EndpointPort == 0 { // a node with a plain port only does not speak TLS
		port = askedPort
	}
	n.Host, n.Port, n.addr = host, port, ""
	switch {
	case n.Flags&FlagNoAddr != 0 || port == 0:
		n.Port = 0
		if !known {
			n.Host = ""
		}
	case host == "":
		n.Port = 0
	default:
		if n.Host, n.Port = from.reach(host, port); n.Port != 0 {
			n.addr = joinHostPort(n.Host, n.Port)
		}
		n.mapped = n.Host != host || n.Port != port
	}
	if n.key == "" {
		n.key = n.addr
		if n.key == "" {
			n.key = n.Endpoint + ":" + strconv.Itoa(told)
		}
	}
}

// relocate gives n the address of m, which is the same node.
func (n *Node) relocate(m *Node) {
	n.Host, n.addr, n.told, n.mapped = m.Host, m.addr, m.told, m.mapped
	n.Endpoint, n.Port, n.EndpointPort, n.TLSPort = m.Endpoint, m.Port, m.EndpointPort, m.TLSPort
	n.IP, n.Hostname = m.IP, m.Hostname
	n.Flags = n.Flags&^FlagNoAddr | m.Flags&FlagNoAddr
}

// wildcard reports whether host stands for no host in particular.
func wildcard(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

func joinHostPort(host string, port int) string {
	if strings.IndexByte(host, ':') >= 0 {
		return net.JoinHostPort(host, strconv.Itoa(port))
	}
	var buf [256]byte
	return string(strconv.AppendInt(append(append(buf[:0], host...), ':'), int64(port), 10))
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}
