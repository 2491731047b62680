package topology

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// The addresses of nodes, by the connection that was asked.
func TestAddresses(t *testing.T) {
	zero := Origin{}
	plain := Origin{Addr: "asked"}
	v6 := Origin{Addr: "[fe80::1]"}
	tls := Origin{Addr: "asked", TLS: true}
	port := Origin{Addr: "asked:7"}
	v6port := Origin{Addr: "[fe80::1]:7", TLS: true}
	nat := Origin{Addr: "asked", Map: func(addr string) string {
		return map[string]string{"10.0.0.1:6379": "nat:1", "[2001:db8::1]:6379": "[::2]:2", "asked:6379": "nat:3", "10.0.0.3:6379": "::4:4", "10.0.0.4:6379": "nat:0", "10.0.0.5:6379": ":5"}[addr]
	}}
	for _, c := range []struct {
		field  string // of CLUSTER NODES
		flags  string
		origin Origin
		host   string
		addr   string
	}{
		{"10.0.0.1:6379@16379", "master", zero, "10.0.0.1", "10.0.0.1:6379"},
		{"10.0.0.1:6379", "master", zero, "10.0.0.1", "10.0.0.1:6379"},
		{"10.0.0.1:6379@16379,name", "master", zero, "10.0.0.1", "10.0.0.1:6379"},
		{"10.0.0.1:6379@16379,", "master", zero, "10.0.0.1", "10.0.0.1:6379"},
		{"2001:db8::1:6379@16379", "master", zero, "2001:db8::1", "[2001:db8::1]:6379"},
		{"[2001:db8::1]:6379@16379", "master", zero, "2001:db8::1", "[2001:db8::1]:6379"},
		{"fe80::1:2:17252@27252", "master", zero, "fe80::1:2", "[fe80::1:2]:17252"},
		{"node.example:6379@16379", "master", zero, "node.example", "node.example:6379"},
		// The node that was asked does not know its address.
		{":6379@16379", "myself,master", zero, "", ""},
		{":6379@16379", "myself,master", plain, "asked", "asked:6379"},
		{":6379@16379", "myself,master", v6, "fe80::1", "[fe80::1]:6379"},
		{":6379@16379,name", "myself,master", plain, "asked", "asked:6379"},
		{"0.0.0.0:6379@16379", "myself,master", plain, "asked", "asked:6379"},
		{":::6379@16379", "myself,master", plain, "asked", "asked:6379"},
		{":6379@16379", "myself,master", Origin{Addr: "?"}, "", ""},
		// It does not know its port either: that is the one that was asked.
		{":0@17001", "myself,master", port, "asked", "asked:7"},
		{":0@17001", "myself,master,noaddr", port, "", ""},
		{":0@17001", "master", port, "", ""},
		{"10.0.0.1:0@17001", "master", port, "10.0.0.1", "10.0.0.1:7"},
		{"10.0.0.1:0@17001", "master", v6port, "10.0.0.1", "10.0.0.1:7"},
		{"10.0.0.1:0@17001", "master,noaddr", port, "10.0.0.1", ""},
		{":6379@16379", "myself,master", port, "asked", "asked:6379"},
		{":6379@16379", "myself,master", v6port, "fe80::1", "[fe80::1]:6379"},
		{":6379@16379", "myself,master", Origin{Addr: "fe80::1"}, "fe80::1", "[fe80::1]:6379"},
		// Addresses are mapped once they are known.
		{"10.0.0.1:6379@16379", "master", nat, "nat", "nat:1"},
		{"2001:db8::1:6379@16379", "master", nat, "::2", "[::2]:2"},
		{":6379@16379", "myself,master", nat, "nat", "nat:3"},
		{":6379@16379", "master", nat, "", ""},
		{"10.0.0.2:6379@16379", "master", nat, "", ""},
		{"10.0.0.3:6379@16379", "master", nat, "", ""},
		{"10.0.0.4:6379@16379", "master", nat, "", ""},
		{"10.0.0.5:6379@16379", "master", nat, "", ""},
		// The empty address of another node is unknown.
		{":6379@16379", "master", plain, "", ""},
		{":6379@16379", "slave", plain, "", ""},
		{":6379@16379,name", "master,fail?", plain, "", ""},
		{"0.0.0.0:6379@16379", "master", plain, "", ""},
		// No port, no address.
		{":0@0", "myself,master", plain, "", ""},
		{":0@0", "master,noaddr", plain, "", ""},
		{"10.0.0.1:0@0", "master", plain, "10.0.0.1", ""},
		{"10.0.0.1:6379@16379", "master,noaddr", plain, "10.0.0.1", ""},
		{"?:6379@16379", "myself,master", plain, "", ""},
		// nodes.conf has both ports; CLUSTER NODES the one that fits.
		{"10.0.0.1:6379@16379,,tls-port=6380,shard-id=x", "master", plain, "10.0.0.1", "10.0.0.1:6379"},
		{"10.0.0.1:6379@16379,,tls-port=6380,shard-id=x", "master", tls, "10.0.0.1", "10.0.0.1:6380"},
		{"10.0.0.1:6379@16379,,tls-port=0,shard-id=x", "master", tls, "10.0.0.1", "10.0.0.1:6379"},
		{"10.0.0.1:0@16379,,tls-port=6380,shard-id=x", "master", plain, "10.0.0.1", ""},
		{"10.0.0.1:6380@16379,,tcp-port=6379,shard-id=x", "master", plain, "10.0.0.1", "10.0.0.1:6379"},
		{"10.0.0.1:6380@16379,,tcp-port=6379,shard-id=x", "master", tls, "10.0.0.1", "10.0.0.1:6380"},
		{"10.0.0.1:6380@16379", "master", tls, "10.0.0.1", "10.0.0.1:6380"},
	} {
		what := fmt.Sprintf("%s %s %s", c.field, c.flags, c.origin.Addr)
		cluster, err := ParseNodes("a "+c.field+" "+c.flags+" - 0 0 1 connected", c.origin)
		require.NoError(t, err, what)
		n := cluster.Nodes()[0]
		assert.Equal(t, c.host, n.Host, what)
		assert.Equal(t, c.addr, n.Addr(), what)
		assert.Equal(t, c.addr != "", n.Port != 0, what)
		assert.Equal(t, c.addr != "", n.routable(), what)
	}

	for _, c := range []struct {
		node   []any // of CLUSTER SLOTS
		origin Origin
		host   string
		addr   string
	}{
		{[]any{"10.0.0.1", 6379, "a"}, zero, "10.0.0.1", "10.0.0.1:6379"},
		{[]any{"10.0.0.1", 6379, "a", []any{"hostname", "name"}}, zero, "10.0.0.1", "10.0.0.1:6379"},
		{[]any{"name", 6379, "a", []any{"ip", "10.0.0.1"}}, zero, "name", "name:6379"},
		{[]any{"2001:db8::1", 6379, "a"}, zero, "2001:db8::1", "[2001:db8::1]:6379"},
		{[]any{nil, 6379, "a"}, plain, "asked", "asked:6379"},
		{[]any{nil, 6379, "a", []any{"ip", "10.0.0.1", "hostname", "name"}}, plain, "asked", "asked:6379"},
		{[]any{nil, 6379, "a", []any{"ip", "10.0.0.1"}}, zero, "", ""},
		{[]any{"", 6379, "a"}, v6, "fe80::1", "[fe80::1]:6379"},
		{[]any{"0.0.0.0", 6379, "a"}, plain, "asked", "asked:6379"},
		{[]any{"::", 6379, "a"}, plain, "asked", "asked:6379"},
		{[]any{"", 0, "a"}, plain, "", ""},
		{[]any{"", 0, "a"}, port, "", ""},
		{[]any{nil, 0, "a"}, port, "", ""},
		{[]any{"?", 0, "a"}, port, "", ""},
		{[]any{"10.0.0.1", 0, "a"}, port, "10.0.0.1", "10.0.0.1:7"},
		{[]any{nil, 6379, "a"}, port, "asked", "asked:6379"},
		{[]any{"10.0.0.1", 6379, "a"}, nat, "nat", "nat:1"},
		{[]any{nil, 6379, "a"}, nat, "nat", "nat:3"},
		{[]any{"10.0.0.1", 6380, "a"}, nat, "", ""},
		{[]any{"10.0.0.1", 0, "a"}, plain, "10.0.0.1", ""},
		{[]any{"?", 6379, "a", []any{"ip", "10.0.0.1"}}, plain, "", ""},
		{[]any{"?", 6379, "a", []any{"ip", "10.0.0.1", "hostname", "name"}}, plain, "name", "name:6379"},
		{[]any{"?", 6379, "a", []any{"hostname", "?"}}, plain, "", ""},
		{[]any{"?", 6379, "a"}, plain, "", ""},
		{[]any{"10.0.0.1", 6379, "a"}, tls, "10.0.0.1", "10.0.0.1:6379"},
	} {
		what := fmt.Sprint(c.node, c.origin.Addr)
		cluster, err := ParseSlots([]any{[]any{0, 1, c.node}}, c.origin)
		require.NoError(t, err, what)
		n := cluster.Nodes()[0]
		assert.Equal(t, c.host, n.Host, what)
		assert.Equal(t, c.addr, n.Addr(), what)
		assert.Equal(t, c.addr != "", n.Port != 0, what)
	}

	for _, c := range []struct {
		node   string // of CLUSTER SHARDS, name=value
		origin Origin
		addr   string
	}{
		{"endpoint=10.0.0.1 port=6379", zero, "10.0.0.1:6379"},
		{"endpoint=10.0.0.1 port=6379 tls-port=6380", zero, "10.0.0.1:6379"},
		{"endpoint=10.0.0.1 port=6379 tls-port=6380", tls, "10.0.0.1:6380"},
		{"endpoint=10.0.0.1 port=6379", tls, "10.0.0.1:6379"}, // TLS is not the servers' matter
		{"endpoint=10.0.0.1 tls-port=6380", zero, ""},
		{"endpoint=10.0.0.1 tls-port=6380", port, "10.0.0.1:7"}, // something speaks TLS for the client
		{"endpoint=10.0.0.1 tls-port=6380", v6port, "10.0.0.1:6380"},
		{"endpoint= tls-port=6380", port, ""},
		{"endpoint=10.0.0.1 port=6379", nat, "nat:1"},
		{"endpoint=name ip=10.0.0.1 hostname=name port=6379", zero, "name:6379"},
		{"endpoint=10.0.0.1 ip=10.0.0.1 hostname=name port=6379", zero, "10.0.0.1:6379"},
		{"endpoint= ip=10.0.0.1 port=6379", plain, "asked:6379"},
		{"endpoint= ip=10.0.0.1 port=6379", zero, ""},
		{"endpoint=? ip=10.0.0.1 port=6379", plain, ""},
		{"endpoint=? hostname=name port=6379", plain, "name:6379"},
		{"hostname=name ip=10.0.0.1 port=6379", plain, "name:6379"},
		{"ip=10.0.0.1 port=6379", plain, "10.0.0.1:6379"},
		{"port=6379", plain, "asked:6379"},
		{"endpoint= ip=", plain, ""},
	} {
		node := []any{"id", "a", "role", "master"}
		for _, f := range strings.Fields(c.node) {
			name, value, _ := strings.Cut(f, "=")
			node = append(node, name, value)
		}
		cluster, err := ParseShards([]any{[]any{"slots", []any{}, "nodes", []any{node}}}, c.origin)
		require.NoError(t, err, c.node)
		assert.Equal(t, c.addr, cluster.Nodes()[0].Addr(), "%s %s", c.node, c.origin.Addr)
	}
	// Some nodes speak TLS: those that do not cannot be reached over it.
	for _, from := range []Origin{tls, v6port} {
		cluster, err := ParseShards([]any{[]any{"slots", []any{}, "nodes", []any{
			[]any{"id", "a", "role", "master", "endpoint", "h", "port", 1, "tls-port", 2},
			[]any{"id", "b", "role", "replica", "endpoint", "h", "port", 3},
			[]any{"id", "c", "role", "replica", "endpoint", "h"}}}}, from)
		require.NoError(t, err)
		assert.Equal(t, "h:2", cluster.Node("a").Addr())
		assert.Equal(t, "", cluster.Node("b").Addr())
		assert.Equal(t, from.Addr == "[fe80::1]:7", cluster.Node("c").Addr() == "h:7", "the port that was asked")
	}
	// In nodes.conf, each node is for itself.
	cluster, err := ParseNodes("a h:1@9,,tls-port=2 master - 0 0 1 connected\nb h:3@9 master - 0 0 1 connected\n", tls)
	require.NoError(t, err)
	assert.Equal(t, "a h:2 b h:3", fmt.Sprint(cluster.Node("a"), " ", cluster.Node("b")))
	for host, bare := range map[string]string{"": "", "[": "[", "[]": "", "[::1]": "::1", "[a": "[a", "a]": "a]", "h": "h"} {
		assert.Equal(t, bare, unbracket(host))
	}
}

// What nodes, flags and shards are called, and what serves.
func TestNodeInWords(t *testing.T) {
	assert.Equal(t, "noflags", Flags(0).String())
	assert.Equal(t, "myself,master,slave,fail?,fail,handshake,noaddr,nofailover", Flags(1<<8-1).String())
	assert.Equal(t, "h:1", (&Node{key: "h:1", addr: "h:1"}).String())
	assert.Equal(t, "a", (&Node{ID: "a"}).String())
	assert.Equal(t, "a h:1", (&Shard{ID: "s", Primary: &Node{ID: "a", addr: "h:1"}}).String())
	assert.Equal(t, "s", (&Shard{ID: "s"}).String())
	for n, serves := range map[*Node]bool{
		{addr: "h:1"}: false, {Role: RolePrimary}: false, {Role: RoleReplica, addr: "h:1"}: true, {Role: RoleReplica, addr: "h:1", Health: HealthOnline}: true,
		{Role: RoleReplica, addr: "h:1", Health: HealthLoading}: false, {Role: RolePrimary, addr: "h:1", Flags: FlagPFail}: false, {Role: RolePrimary, addr: "h:1", Flags: FlagFail}: false,
	} {
		assert.Equal(t, serves, n.Serves(), n)
	}
}

// A node that moves has all that its new address goes by.
func TestRelocate(t *testing.T) {
	a := Node{ID: "a", Flags: FlagNoAddr | FlagPFail, ShardID: "s", Host: "x", IP: "y", Hostname: "z", Port: 9, told: endpointAbsent}
	b := Node{ID: "b", Flags: FlagFail, Host: "h", addr: "h:1", told: endpointTold, Endpoint: "h", Port: 1, EndpointPort: 2, TLSPort: 3, IP: "10.0.0.1", Hostname: "n"}
	got := a
	got.relocate(&b)
	want := b
	want.ID, want.Flags, want.ShardID = "a", FlagPFail, "s"
	assert.Equal(t, want, got)
	got.relocate(&a)
	assert.Equal(t, a, got)
}

// Which node gave a view, and its highest epoch.
func TestSourceOfAView(t *testing.T) {
	for addr, want := range map[string]string{"": "", "h": "", ":7": "", "h:1": "h:1", "a.example:6379": "a"} {
		c, err := ParseSlots([]any{[]any{0, 1, []any{"a.example", 6379, "a"}}}, Origin{Addr: addr})
		require.NoError(t, err)
		assert.Equal(t, want, c.source().key, addr)
		assert.Zero(t, c.highestEpoch())
	}
	c := view(t, "a master 3 0-5", "b master,myself 5", "c master 4")
	assert.Equal(t, "b", c.source().key)
	assert.Equal(t, uint64(5), c.highestEpoch())
	assert.NotNil(t, new(Cluster).Table())
	assert.NotNil(t, (*Cluster)(nil).Table())
	for extra, last := range map[int]string{1000: "line 1, byte 2031: unknown field \"x\"", 1003: "3 more warnings"} {
		c, err := ParseNodes("a 1:1@2 master - 0 0 1 connected"+strings.Repeat(" x", extra), Origin{})
		require.NoError(t, err)
		w := c.Warnings()
		assert.Len(t, w, min(extra, 1001))
		assert.Equal(t, last, w[len(w)-1])
	}
}

// All fields of a node, of each reply.
func TestNodeFields(t *testing.T) {
	c, err := ParseNodes("txt:"+
		"07c3 127.0.0.1:30004@31004,host4,availability-zone=z,tls-port=5,nodename=n,shard-id=s slave,nofailover e7d1 12 1426238317239 4 connected\n"+
		"e7d1 127.0.0.1:30001@31001 myself,master,fail? - 0 0 7 disconnected 0-5460 5462 [93->-07c3] [77-<-67ed]\n"+
		"vars currentEpoch 9 lastVoteEpoch 0\n", Origin{})
	require.NoError(t, err)
	assert.Empty(t, c.Warnings())
	n := *c.Node("07c3")
	n.key, n.addr, n.primary, n.versioned = "", "", 0, false
	assert.Equal(t, Node{
		ID: "07c3", Host: "127.0.0.1", Port: 30004, EndpointPort: 30004, TLSPort: 5, BusPort: 31004, Endpoint: "127.0.0.1", IP: "127.0.0.1", Hostname: "host4",
		ShardID: "s", AvailabilityZone: "z", Flags: FlagReplica | FlagNoFailover, Role: RoleReplica, PrimaryID: "e7d1", ConfigEpoch: 4,
		PingSent: 12, PongReceived: 1426238317239, LinkState: "connected", Extra: map[string]string{"nodename": "n"},
	}, n)
	p := c.Myself()
	assert.Equal(t, "e7d1", p.ID)
	assert.Equal(t, "myself,master,fail?", p.Flags.String())
	assert.Equal(t, []slotmap.Range{{First: 0, Last: 5460}, {First: 5462, Last: 5462}}, p.Slots)
	assert.Equal(t, []Peer{{93, "07c3"}}, p.Migrating)
	assert.Equal(t, []Peer{{77, "67ed"}}, p.Importing)
	assert.Equal(t, []OpenSlot{{77, "67ed", "e7d1", false, true}, {93, "e7d1", "07c3", true, false}}, c.Open())
	assert.Equal(t, uint64(9), c.highestEpoch())
	assert.Equal(t, "5461 5463-16383", c.Unassigned().String())
	require.Len(t, c.Shards(), 1)
	assert.Same(t, p, c.Shards()[0].Primary)
	assert.Equal(t, []*Node{c.Node("07c3")}, c.Shards()[0].Replicas)
	assert.False(t, p.Serves())
	assert.False(t, p.failed())
	assert.Nil(t, c.Node("nobody"))

	c, err = ParseSlots([]any{[]any{int64(0), "5460", []any{"h1", "30001", []byte("e7d1"), map[string]any{"ip": "10.0.0.1", "Availability-Zone": "z", "new": int64(7)}, "more"},
		[]any{"10.0.0.2", int64(30004), "07c3"}, "junk"}}, Origin{})
	require.NoError(t, err)
	p = c.Node("e7d1")
	assert.Equal(t, []any{"h1", 30001, "10.0.0.1", "z", "7", RolePrimary}, []any{p.Host, p.Port, p.IP, p.AvailabilityZone, p.Extra["new"], p.Role})
	r := c.Node("07c3")
	assert.Equal(t, []any{"10.0.0.2", "e7d1", RoleReplica}, []any{r.IP, r.PrimaryID, r.Role})
	assert.Equal(t, []string{
		`slots[0].nodes[0].metadata: unknown field "new"`,
		`slots[0].nodes[0]: 1 unknown elements`,
		`slots[0].nodes[2]: is the text "junk", not a list`,
	}, c.Warnings())

	c, err = ParseShards([]any{map[any]any{"id": "s", "new": 1, "slots": []any{0, 1, "5", "7"}, "nodes": []any{
		map[string]any{"id": "e7d1", "port": 30001, "tls-port": 30002, "ip": "10.0.0.1", "endpoint": "h1", "hostname": "h1", "role": "master",
			"replication-offset": 72156, "health": "online", "availability-zone": "z", "b": "2", "a": []any{}}}}}, Origin{})
	require.NoError(t, err)
	n = *c.Node("e7d1")
	n.key, n.addr, n.told = "", "", 0
	assert.Equal(t, Node{
		ID: "e7d1", Host: "h1", Port: 30001, EndpointPort: 30001, TLSPort: 30002, Endpoint: "h1", IP: "10.0.0.1", Hostname: "h1", ShardID: "s", AvailabilityZone: "z",
		Flags: FlagPrimary, Role: RolePrimary, Health: HealthOnline, ReplicationOffset: 72156,
		Slots: []slotmap.Range{{First: 0, Last: 1}, {First: 5, Last: 7}}, Extra: map[string]string{"b": "2"},
	}, n)
	assert.Equal(t, []string{
		`shards[0].nodes[0]: unknown field "a"`,
		`shards[0].nodes[0]: unknown field "b"`,
		`shards[0]: unknown field "new"`,
	}, c.Warnings())
	c, err = ParseShards([]any{[]any{"y", 1, "x", 2, "slots", []any{}, "nodes", []any{}}}, Origin{})
	require.NoError(t, err)
	assert.Equal(t, []string{`shards[0]: unknown field "x"`, `shards[0]: unknown field "y"`}, c.Warnings())
}

func TestParseNodesWarnings(t *testing.T) {
	for _, c := range []struct{ text, warning string }{
		{"a 1:1@x master - 0 0 1 connected", `line 1, byte 6: cluster bus port "x" is not a port`},
		{"a 1:1@2,h,new=1 master - 0 0 1 connected", `line 1, byte 10: unknown auxiliary field "new"`},
		{"a 1:1@2,h,new master - 0 0 1 connected", `line 1, byte 10: auxiliary field "new" is not name=value`},
		{"a 1:1@2,h,=new master - 0 0 1 connected", `line 1, byte 10: auxiliary field "=new" is not name=value`},
		{"a 1:1@2,h,tls-port=x master - 0 0 1 connected", `line 1, byte 10: tls-port "x" is not a port`},
		{"a 1:1@2,h,tcp-port=x master - 0 0 1 connected", `line 1, byte 10: tcp-port "x" is not a port`},
		{"a 1:1@2 master,new - 0 0 1 connected", `line 1, byte 15: unknown flag "new"`},
		{"\n\na 1:1@2 master - 0 0 1 connected 1 new 2", `line 3, byte 37: unknown field "new"`},
		{"a 1:1@2 slave b 0 0 1 connected 1", `line 1, byte 0: slots of a node that is no primary, which owns none: "a"`},
		{"a 1:1@2 master,handshake - 0 0 1 connected 1", `line 1, byte 0: slots of a node that is no primary, which owns none: "a"`},
		{"a 1:1@2 noflags - 0 0 1 connected 1", `line 1, byte 0: slots of a node that is no primary, which owns none: "a"`},
		{"a 1:1@2 myself,master - 0 0 1 connected\nb 1:1@2 myself,master - 0 0 1 connected", `line 2, byte 40: a second node is myself`},
		{"a 1:1@2 master - 0 0 1 connected 0-16383 5", `line 1, byte 0: slots more than once`},
		{"a 1:1@2 master - 0 0 1 connected\nvars new 1", `line 2, byte 42: unknown variable "new"`},
		{"a 1:1@2 master - 0 0 1 connected\nvars currentEpoch x", `line 2, byte 51: currentEpoch "x" is not a number`},
		{"a 1:1@2 master - x 0 1 connected", `line 1, byte 17: ping-sent "x" is not a number`},
		{"a 1:1@2 master - 0 x 1 connected", `line 1, byte 19: pong-recv "x" is not a number`},
		{"a 1:1@2 master - 0 0 1 connected [5->-]", `line 1, byte 33: "[5->-]" is not an open slot, [slot->-id] or [slot-<-id]`},
		{"a 1:1@2 master - 0 0 1 connected [5->-x", `line 1, byte 33: "[5->-x" is not an open slot, [slot->-id] or [slot-<-id]`},
		{"a 1:1@2 master - 0 0 1 connected [x->-y]", `line 1, byte 33: "[x->-y]" is not an open slot, [slot->-id] or [slot-<-id]`},
		{"a 1:1@2 master - 0 0 1 connected [16384-<-y]", `line 1, byte 33: "[16384-<-y]" is not an open slot, [slot->-id] or [slot-<-id]`},
		{"a 1:1@2 master - 0 0 1 connected [9-5-<-y] 7", `line 1, byte 33: "[9-5-<-y]" is not an open slot, [slot->-id] or [slot-<-id]`},
		{"a 1:1@2 slave  0 0 1 connected", `line 1, byte 15: no primary of a replica`},
		{" 1:1@2 master - 0 0 1 connected", `line 1, byte 1: no node id: the node is known by its address`},
		{"a 1:1@2,,availability-zone=x y,tls-port=7 master - 0 0 1 connected 5", `line 1, byte 2: spaces in the address field "1:1@2,,availability-zone=x y,tls-port=7"`},
	} {
		cluster, err := ParseNodes(c.text, Origin{})
		require.NoError(t, err, c.text)
		assert.Equal(t, []string{c.warning}, cluster.Warnings(), c.text)
	}
	cluster, err := ParseNodes("a 1:1@2,,availability-zone=x y,tls-port=7 master - 0 0 1 connected 5", Origin{})
	require.NoError(t, err)
	assert.Equal(t, "x y", cluster.Nodes()[0].AvailabilityZone)
	assert.Equal(t, 7, cluster.Nodes()[0].TLSPort)
	assert.Equal(t, 16383, cluster.Unassigned().Len())
}

func TestParseNodesErrors(t *testing.T) {
	const good = "b 1:1@2 master - 0 0 1 connected 9\n"
	for _, c := range []struct {
		line   string
		offset int // in the line
		reason string
	}{
		{"a 1:1 master", 12, "too few fields: there is no primary"},
		{"a 1 master - 0 0 1 connected", 2, `address "1" has no port`},
		{"a 1@2 master - 0 0 1 connected", 2, `address "1@2" has no port`},
		{"a 1:@2 master - 0 0 1 connected", 4, `port "" is not a number from 0 to 65535`},
		{"a 1:65536@2 master - 0 0 1 connected", 4, `port "65536" is not a number from 0 to 65535`},
		{"a 1:-1@2 master - 0 0 1 connected", 4, `port "-1" is not a number from 0 to 65535`},
		{"a 1:1@2 master,slave - 0 0 1 connected", 8, `flags "master,slave" are both those of a primary and of a replica`},
		{"a 1:1@2 master -", 16, `too few fields: there is no ping-sent`},
		{"a 1:1@2 master - 0 0 -1 connected", 21, `config-epoch "-1" is not a number`},
		{"a 1:1@2 master - 0 0 1", 22, `link-state "" is neither connected nor disconnected`},
		{"a 1:1@2 master - 0 0 1 0-5", 23, `link-state "0-5" is neither connected nor disconnected`},
		{"a 1:1@2 master - 0 0 1 connected 5-", 33, `"5-" is not a slot or a range of slots from 0 to 16383`},
		{"a 1:1@2 master - 0 0 1 connected 1 5-3", 35, `"5-3" is not a slot or a range of slots from 0 to 16383`},
		{"a 1:1@2 master - 0 0 1 connected 16384", 33, `"16384" is not a slot or a range of slots from 0 to 16383`},
		{"a 1:1@2 master - 0 0 1 connected 05", 33, `"05" is not a slot or a range of slots from 0 to 16383`},
		{"b 1:1@2 master - 0 0 1 connected", 0, `a second line for node "b"`},
		{"a 1:1@2 master - 0 0 1 " + strings.Repeat("x", 100), 23, `link-state "` + strings.Repeat("x", 60) + `"... is neither connected nor disconnected`},
	} {
		_, err := ParseNodes(good+c.line+"\n", Origin{})
		var e *slotmap.ParseError
		require.ErrorAs(t, err, &e, c.line)
		assert.Equal(t, slotmap.ParseError{Input: "CLUSTER NODES", Place: location{line: 2, offset: len(good) + c.offset}.String(), Reason: c.reason}, *e, c.line)
	}
	// A line that names neither a primary nor slots is skipped. It is the error if there
	// is no other node.
	for _, c := range []struct {
		line   string
		offset int // in the line
		reason string
	}{
		{"a", 1, "too few fields: there is no address or no flags"},
		{"a 1:1", 5, "too few fields: there is no address or no flags"},
		{"Connecting to master h:1", 11, `address "to" has no port`},
		{"Warning: Using a password on the command line is not safe.", 9, `address "Using" has no port`},
		{"a 1 slave b 0 0 1 connected", 2, `address "1" has no port`},
		{"a 1:x slave b 0 0 1 connected", 4, `port "x" is not a number from 0 to 65535`},
		{"a 1:1@2 slave", 13, "too few fields: there is no primary"},
		{"a 1:1@2 slave b 0", 17, "too few fields: there is no pong-recv"},
		{"a 1:1@2 slave b 0 0 x connected", 20, `config-epoch "x" is not a number`},
		{"a 1:1@2 slave b 0 0 1 conn", 22, `link-state "conn" is neither connected nor disconnected`},
		{"b 1:1@2 slave c 0 0 1 connected", 0, `a second line for node "b"`},
	} {
		warning := location{line: 2, offset: len(good) + c.offset}.String() + ": the line is skipped: " + c.reason
		cluster, err := ParseNodes(good+c.line+"\n"+"d 1:4@2 slave b 0 0 1 connected", Origin{})
		require.NoError(t, err, c.line)
		assert.Equal(t, []string{warning}, cluster.Warnings())
		assert.Equal(t, "b d", ids(cluster.Nodes()))
		assert.Len(t, cluster.Shards()[0].Replicas, 1)
		if c.line[0] != 'b' {
			_, err = ParseNodes(c.line, Origin{})
			assert.EqualError(t, err, "CLUSTER NODES: "+location{line: 1, offset: c.offset}.String()+": "+c.reason)
		}
		// With slots it is an error.
		_, err = ParseNodes(good+c.line+" 5-7", Origin{})
		assert.Error(t, err, c.line)
		_, err = ParseNodes(good+c.line+" connected 5", Origin{})
		assert.Error(t, err, c.line)
	}
	for _, text := range []string{"", "\n\n", "txt:", "vars currentEpoch 1 lastVoteEpoch 0\n"} {
		_, err := ParseNodes(text, Origin{})
		assert.EqualError(t, err, "CLUSTER NODES: line 1, byte 0: no node")
	}
	// The error names the format of a text that is something else.
	for text, what := range map[string]string{
		"\xff\xfea\x00": "UTF-16", "\xfe\xff\x00a": "UTF-16",
		"[[0,5]]": "JSON", " \n{}": "JSON", `"a h:1"`: "JSON",
		"$5\r\na h:1": "RESP that is not decoded", "=9\r\ntxt:a h:1": "RESP that is not decoded", "*-1\r\n": "RESP that is not decoded",
	} {
		_, err := ParseNodes(text, Origin{})
		assert.EqualError(t, err, "CLUSTER NODES: line 1, byte 0: is "+what+", not the text of CLUSTER NODES")
	}
	c, err := ParseNodes("\ufeff"+good, Origin{})
	require.NoError(t, err)
	assert.Equal(t, "b", ids(c.Nodes()))
	assert.Empty(t, c.Warnings())
}

func TestParseReplyErrors(t *testing.T) {
	node := []any{"h", 1, "a"}
	for _, c := range []struct {
		reply any
		want  string
	}{
		{nil, "reply: is null, not a list"},
		{"x", `reply: is the text "x", not a list`},
		{7, "reply: is the number 7, not a list"},
		{errors.New("LOADING x"), `reply: is the error "LOADING x", not a list`},
		{map[any]any{}, "reply: is a map, not a list"},
		{struct{}{}, "reply: is a struct {}, not a list"},
		{(*int)(nil), "reply: is a *int, not a list"},
		{[]any{7}, "slots[0]: is the number 7, not a list"},
		{[]any{nil}, "slots[0]: 0 elements are not two slots and a primary"},
		{[]any{[]any{}}, "slots[0]: 0 elements are not two slots and a primary"},
		{[]any{[]any{0}, []any{0, 1, node}}, "slots[0]: 1 elements are not two slots and a primary"},
		{[]any{[]any{5, 4}, []any{0, 1, node}}, "slots[0][0]: the first slot, 5, is greater than the last, 4"},
		{[]any{[]any{0, 1}}, "slots[0]: 2 elements are not two slots and a primary"},
		{[]any{[]any{0, 1, node}, []any{-1, 1, node}}, "slots[1][0]: is the number -1, not a slot from 0 to 16383"},
		{[]any{[]any{0, 16384, node}}, "slots[0][1]: is the number 16384, not a slot from 0 to 16383"},
		{[]any{[]any{0, "x", node}}, `slots[0][1]: is the text "x", not a slot from 0 to 16383`},
		{[]any{[]any{5, 3, node}}, "slots[0][0]: the first slot, 5, is greater than the last, 3"},
		{[]any{[]any{0, 1, "x"}}, `slots[0].nodes[0]: is the text "x", not a list`},
		{[]any{[]any{0, 1, []any{"h"}}}, "slots[0].nodes[0]: 1 elements are not an endpoint and a port"},
		{[]any{[]any{0, 1, []any{7, 1}}}, "slots[0].nodes[0].endpoint: is the number 7, not text"},
		{[]any{[]any{0, 1, []any{"h", nil}}}, "slots[0].nodes[0].port: is null, not a port"},
		{[]any{[]any{0, 1, []any{"h", 65536}}}, "slots[0].nodes[0].port: is the number 65536, not a number from 0 to 65535"},
		{[]any{[]any{0, 1, []any{"h", -1}}}, "slots[0].nodes[0].port: is the number -1, not a number from 0 to 65535"},
		{[]any{[]any{0, 1, []any{"h", 1, 7}}}, "slots[0].nodes[0].id: is the number 7, not text"},
		{make([]any, 1<<16), "slots[0]: 0 elements are not two slots and a primary"},
		{make([]any, 1<<16+1), "reply: more than 65536 entries"},
	} {
		_, err := ParseSlots(c.reply, Origin{})
		assert.EqualError(t, err, "CLUSTER SLOTS: "+c.want)
		var e *slotmap.ParseError
		require.ErrorAs(t, err, &e)
	}

	shard := func(nodes ...any) []any { return []any{[]any{"slots", []any{0, 1}, "nodes", nodes}} }
	for _, c := range []struct {
		reply any
		want  string
	}{
		{nil, "reply: is null, not a list"},
		{[]any{nil}, "shards[0]: is null, not a shard"},
		{[]any{[]any{"slots"}}, "shards[0]: a list of 1 elements is not names and values"},
		{[]any{[]any{"nodes", []any{}}}, "shards[0]: has no slots"},
		{[]any{[]any{"slots", []any{}}}, "shards[0]: has no nodes"},
		{[]any{[]any{"slots", "x", "nodes", []any{}}}, `shards[0].slots: is the text "x", not a list`},
		{[]any{[]any{"slots", []any{1}, "nodes", []any{}}}, "shards[0].slots: 1 slots are not pairs"},
		{[]any{[]any{"slots", []any{0, 1, 7, 16384}, "nodes", []any{}}}, "shards[0].slots[2]: is the number 16384, not a slot from 0 to 16383"},
		{[]any{[]any{"slots", []any{0, 1, 7, 6}, "nodes", []any{}}}, "shards[0].slots[2]: the first slot, 7, is greater than the last, 6"},
		{[]any{[]any{"slots", []any{}, "nodes", "x"}}, `shards[0].nodes: is the text "x", not a list`},
		{[]any{[]any{"slots", []any{0, 1}, "nodes", []any{}, "SLOTS", []any{2, 3}}}, "shards[0].slots: is there twice"},
		{[]any{[]any{"nodes", []any{}, "nodes", []any{}}}, "shards[0].nodes: is there twice"},
		{shard(nil), "shards[0].nodes[0]: is null, not a node"},
		{shard("x"), `shards[0].nodes[0]: is the text "x", neither a map nor a list of names and values`},
		{shard([]any{"id", "a"}), "shards[0].nodes[0]: has no role"},
		{shard([]any{"role", "x"}), `shards[0].nodes[0].role: is the text "x", neither master nor replica`},
		{shard([]any{"role", 7}), `shards[0].nodes[0].role: is the number 7, not text`},
		{append(shard(), append(shard(), shard([]any{"role", "master"}, map[string]any{"role": "master", "port": 70000})...)...), "shards[2].nodes[1].port: is the number 70000, not a number from 0 to 65535"},
		{shard([]any{"role", "master", "replication-offset", -1}), "shards[0].nodes[0].replication-offset: is the number -1, not a number from 0 to 9223372036854775807"},
		{shard([]any{"role", "master", "tls-port", 65536}), "shards[0].nodes[0].tls-port: is the number 65536, not a number from 0 to 65535"},
		{shard([]any{"role", "master", "hostname", 7}), "shards[0].nodes[0].hostname: is the number 7, not text"},
		{make([]any, maxNodes), "shards[0]: is null, not a shard"},
		{make([]any, maxNodes+1), "reply: more than 65536 shards"},
	} {
		_, err := ParseShards(c.reply, Origin{})
		assert.EqualError(t, err, "CLUSTER SHARDS: "+c.want)
		var e *slotmap.ParseError
		require.ErrorAs(t, err, &e)
	}
}

// A node of CLUSTER SHARDS that cannot be read is skipped if it cannot be an owner of
// slots.
func TestOddShards(t *testing.T) {
	good := []any{"slots", []any{0, 1}, "nodes", []any{[]any{"id", "a", "role", "master", "endpoint", "h", "port", 1}}}
	for _, c := range []struct {
		shard   any
		nodes   string
		warning string
	}{
		{nil, "a", "shards[1]: is null, not a shard"},
		{[]any{}, "a", "shards[1]: has no slots"},
		{[]any{"slots", []any{5, 6}}, "a", "shards[1]: has no nodes"},
		{[]any{"nodes", []any{[]any{"id", "b", "role", "master"}}}, "a b", "shards[1]: has no slots"},
		{[]any{"slots", nil, "nodes", []any{nil, []any{"id", "b", "role", "slave"}}}, "a b", "shards[1].nodes[0]: is null, not a node"},
		{[]any{"slots", []any{}, "nodes", []any{[]any{"id", "b", "role", "x"}}}, "a", `shards[1].nodes[0].role: is the text "x", neither master nor replica`},
		{[]any{"slots", []any{5, 6}, "nodes", []any{[]any{"id", "b", "role", "master"}, []any{"role", "replica", "port", -1}}}, "a b", "shards[1].nodes[1].port: is the number -1, not a number from 0 to 65535"},
		{[]any{"id", 7, "slots", []any{5, 6}, "nodes", []any{[]any{"id", "b", "role", "master"}}}, "a b", "shards[1].id: is the number 7, not text"},
	} {
		cluster, err := ParseShards([]any{good, c.shard}, Origin{Addr: "h"})
		require.NoError(t, err, c.warning)
		assert.Contains(t, cluster.Warnings(), c.warning)
		assert.Equal(t, c.nodes, ids(cluster.Nodes()), c.warning)
		shard, ok := cluster.Table().Lookup(5)
		assert.Equal(t, ok, shard != nil && shard.Primary.ID == "b")
	}
	// A node that may be the owner of slots is an error: no other node must get them.
	for _, node := range []any{nil, "x", []any{"role", "master", "port", -1}, []any{"id", "b"}, []any{"role", "x"}} {
		dead := []any{"id", "c", "role", "master", "health", "fail"}
		_, err := ParseShards([]any{good, []any{"slots", []any{5, 6}, "nodes", []any{dead, node}}}, Origin{})
		assert.Error(t, err, node)
	}
}

// A view whose own node has no known address has a warning.
func TestOwnAddress(t *testing.T) {
	warning := `reply: the node that was asked does not tell its address: "a"`
	parse := map[string]func(from Origin) (*Cluster, error){
		"nodes": func(from Origin) (*Cluster, error) {
			return ParseNodes("b 10.0.0.1:2@3 master - 0 0 1 connected\na :1@2 myself,master - 0 0 1 connected 0-16383", from)
		},
		"slots": func(from Origin) (*Cluster, error) {
			return ParseSlots([]any{[]any{0, 16383, []any{nil, 1, "a"}, []any{"", 2, "b"}}}, from)
		},
		"shards": func(from Origin) (*Cluster, error) {
			return ParseShards([]any{[]any{"slots", []any{0, 16383}, "nodes", []any{[]any{"id", "a", "endpoint", "", "port", 1, "role", "master"}}}}, from)
		},
		"shards of a proxy": func(from Origin) (*Cluster, error) {
			return ParseShards([]any{[]any{"slots", []any{0, 16383}, "nodes", []any{[]any{"id", "a", "ip", "", "port", 1, "role", "master"}}}}, from)
		},
	}
	for name, parse := range parse {
		for _, from := range []Origin{{}, {Addr: ":7"}, {Addr: "0.0.0.0"}} {
			c, err := parse(from)
			require.NoError(t, err)
			assert.Equal(t, []string{warning}, c.Warnings(), name)
		}
		c, err := parse(Origin{Addr: "h"})
		require.NoError(t, err)
		assert.Empty(t, c.Warnings(), name)
	}
	for want, node := range map[bool][]any{
		true:  {"endpoint", "", "port", 5, "tls-port", 5},
		false: {"endpoint", "", "port", 0, "tls-port", 0},
	} {
		for _, name := range []string{"endpoint", "ip"} {
			node[0] = name
			c, err := ParseShards([]any{[]any{"slots", []any{0, 16383}, "nodes", []any{append([]any{"id", "a", "role", "master"}, node...)}}}, Origin{})
			require.NoError(t, err)
			assert.Equal(t, want, slices.Contains(c.Warnings(), warning), "%s %v", name, node)
		}
	}
	c, err := ParseShards([]any{[]any{"slots", []any{0, 16383}, "nodes", []any{[]any{"id", "a", "role", "master", "hostname", "h", "port", 1}}}}, Origin{})
	require.NoError(t, err)
	assert.Empty(t, c.Warnings())
	for _, text := range []string{":0@1 myself,master,noaddr", "?:1@2 myself,master", "10.0.0.1:1@2 myself,master", ":1@2 master"} {
		c, err := ParseNodes("a "+text+" - 0 0 1 connected 0-16383", Origin{})
		require.NoError(t, err)
		assert.Empty(t, c.Warnings(), text)
	}
}

// Replicas of replicas, of nodes that are not there and of themselves.
func TestReplicas(t *testing.T) {
	c := view(t, "r3 slave:r2 1", "r2 slave:r1 1", "r1 slave:a 1", "a master 1 0-9", "x slave:nobody 1", "y slave:y 1", "z1 slave:z2 1", "z2 slave:z1 1", "h slave,handshake 1")
	require.Len(t, c.Shards(), 1)
	assert.Equal(t, "r3 r2 r1", ids(c.Shards()[0].Replicas))
	assert.Equal(t, "r2", c.Node("r3").PrimaryID, "as the reply has it")
	assert.Equal(t, RoleUnknown, c.Node("h").Role)

	lines := []string{"a master 1 0-9", "r1 slave:a 1"}
	for i := 2; i <= 9; i++ {
		lines = append(lines, fmt.Sprintf("r%d slave:r%d 1", i, i-1))
	}
	assert.Equal(t, "r1 r2 r3 r4 r5 r6 r7 r8", ids(view(t, lines...).Shards()[0].Replicas), "of a chain, eight")

	// In Valkey, a replica shows the open slots of its primary.
	c, err := ParseNodes("a 1:1@2 master - 0 0 1 connected 0-9\nr 1:2@2 myself,slave a 0 0 1 connected [5->-b] [12-<-b]\nb 1:3@2 master - 0 0 2 connected 10-19", Origin{})
	require.NoError(t, err)
	assert.Empty(t, c.Warnings())
	assert.Equal(t, []OpenSlot{{5, "a", "b", true, false}, {12, "b", "a", false, true}}, c.Open())
	// The two ends of a move are one, in whatever order; others are not.
	c = view(t, "a master 1 0-9 [5->-b] [5->-d] [6-<-b]", "b master 1 [5-<-a] [6->-a] [7->-a] [8-<-a]", "c master 1 [5->-b]")
	assert.Equal(t, []OpenSlot{{5, "a", "b", true, true}, {5, "a", "d", true, false}, {5, "c", "b", true, false}, {6, "b", "a", true, true}, {7, "b", "a", true, false}, {8, "a", "b", false, true}}, c.Open())
	c = view(t, "a master 1 0-9 [4->-b] [5->-b] [5->-d]", "c master 1 [5->-d]")
	assert.Equal(t, []OpenSlot{{4, "a", "b", true, false}, {5, "a", "b", true, false}, {5, "a", "d", true, false}, {5, "c", "d", true, false}}, c.Open())
	c = view(t, "a master 1 0-9 [6-<-b]", "b master 1 [6->-a]")
	assert.Equal(t, []OpenSlot{{6, "b", "a", true, true}}, c.Open())
}

// Of two primaries of a shard, one owns its slots.
func TestTwoPrimaries(t *testing.T) {
	node := func(id, role, health string, offset int) any {
		return map[string]any{"id": id, "role": role, "health": health, "endpoint": id, "port": 1, "replication-offset": offset}
	}
	for _, c := range []struct {
		name    string
		nodes   []any
		owner   string
		warning string
	}{
		{"the dead one is listed first", []any{node("a", "master", "fail", 9), node("b", "master", "online", 9), node("c", "replica", "online", 9)}, "b", ""},
		{"the dead one is listed last", []any{node("c", "replica", "online", 9), node("b", "master", "online", 1), node("a", "master", "fail", 9)}, "b", ""},
		{"both live", []any{node("a", "master", "online", 7), node("b", "master", "online", 9)}, "b", `more than one primary: "b" is taken`},
		{"both live, at the same offset", []any{node("b", "master", "online", 9), node("a", "master", "online", 9)}, "a", `more than one primary: "a" is taken`},
		{"both dead", []any{node("b", "master", "fail", 9), node("a", "master", "fail", 8)}, "b", `more than one primary: "b" is taken`},
		{"the only one is dead", []any{node("a", "master", "fail", 9), node("c", "replica", "online", 9)}, "a", ""},
		{"none", []any{node("c", "replica", "online", 9)}, "", "slots without a primary"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster, err := ParseShards([]any{map[string]any{"slots": []any{5, 6}, "nodes": c.nodes}}, Origin{})
			require.NoError(t, err)
			shard, ok := cluster.Table().Lookup(5)
			assert.Equal(t, c.owner != "", ok)
			if ok {
				assert.Equal(t, c.owner, shard.Primary.ID)
				for _, n := range shard.Replicas {
					assert.Equal(t, c.owner, n.PrimaryID)
				}
			}
			var want []string
			if c.warning != "" {
				want = []string{"shards[0]: " + c.warning}
			}
			assert.Equal(t, want, cluster.Warnings())
			// Without slots, it does not matter.
			cluster, err = ParseShards([]any{map[string]any{"slots": []any{}, "nodes": c.nodes}}, Origin{})
			require.NoError(t, err)
			assert.Empty(t, cluster.Warnings())
		})
	}
}

func TestDisagreementsInOneReply(t *testing.T) {
	c := view(t, "c master 4 0-9", "b master 5 5-14", "a master 5 10-19", "d slave:a 5 0-16383")
	var got []string
	for _, d := range c.Disagreements() {
		got = append(got, fmt.Sprintf("%v %s %s: %s", d.Slots, d.Owner.ID, d.Other.ID, d.Reason))
	}
	assert.Equal(t, []string{
		"10-14 a b: the smaller node id",
		"5-9 b c: config epoch 5 over 4",
	}, got)
	assert.Equal(t, "0-4 c, 5-9 b, 10-19 a", func() string { var r Router; r.Apply(c, r.Generation()); return ownersOf(&r) }())

	// A node that claims the slots of many others.
	lines := []string{"z master 1 0-1199"}
	for i := range 1200 {
		lines = append(lines, fmt.Sprintf("n%d master 2 %d", i, i))
	}
	assert.Len(t, view(t, lines...).Disagreements(), 1000)
	lines = append(lines, "y master 1 0-599")
	assert.Len(t, view(t, lines...).Disagreements(), 1000)

	c, err := ParseSlots([]any{[]any{0, 0, []any{"", 4, ""}, []any{"?", 1, ""}}, []any{0, 0, []any{"?", 4, ""}}}, Origin{Addr: "h"})
	require.NoError(t, err)
	require.Len(t, c.Disagreements(), 1)
	assert.Equal(t, "the node with an address over the one without", c.Disagreements()[0].Reason)
	shard, _ := c.Table().Lookup(0)
	assert.Equal(t, "h:4", shard.Primary.Addr())
}

// If one id stands for two addresses, neither node is known by it.
func TestSharedIDs(t *testing.T) {
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		entries := []any{
			[]any{0, 1, []any{"h1", 1, "x"}, []any{"h3", 1, "x"}},
			[]any{2, 3, []any{"h2", 1, "x"}, []any{"h4", 1, "y"}}}
		c, err := ParseSlots([]any{entries[order[0]], entries[order[1]]}, Origin{})
		require.NoError(t, err)
		assert.Equal(t, []string{`reply: node id "x" stands for more than one address`}, c.Warnings())
		require.Len(t, c.Nodes(), 4)
		a, _ := c.Table().Lookup(0)
		b, _ := c.Table().Lookup(2)
		assert.Equal(t, "h1:1", a.Primary.Addr())
		assert.Equal(t, "h2:1", b.Primary.Addr())
		assert.Equal(t, "h3:1", a.Replicas[0].Addr())
		require.NotNil(t, c.Node("x"))
		assert.Equal(t, "x", c.Node("x").ID, "any of them")
		assert.Nil(t, c.Node("h1:1"), "an address is no id")
	}
}

// Several ids that stand for several addresses, again and again.
func TestSplitIDs(t *testing.T) {
	at := func(id string, port int) []any { return []any{"h", port, id, []any{"odd", port}} }
	c, err := ParseSlots([]any{
		[]any{0, 1, at("x", 1)}, []any{2, 3, at("x", 2)}, []any{4, 5, at("y", 3)}, []any{6, 7, at("y", 4)},
		[]any{8, 9, at("x", 1)}, []any{10, 11, at("x", 2)}, []any{12, 13, at("y", 3)},
	}, Origin{})
	require.NoError(t, err)
	require.Len(t, c.Nodes(), 4)
	assert.Equal(t, []string{
		`slots[0].nodes[0].metadata: unknown field "odd"`, `slots[1].nodes[0].metadata: unknown field "odd"`,
		`slots[2].nodes[0].metadata: unknown field "odd"`, `slots[3].nodes[0].metadata: unknown field "odd"`,
		`reply: node id "x" stands for more than one address`, `reply: node id "y" stands for more than one address`,
	}, c.Warnings())
	assert.Equal(t, "[0-1 8-9]", fmt.Sprint(c.Nodes()[0].Slots))
	assert.Equal(t, "3", c.Nodes()[2].Extra["odd"])
	one, err := ParseSlots([]any{[]any{0, 1, at("a", 1)}, []any{2, 3, at("", 2)}}, Origin{})
	require.NoError(t, err)
	for _, c := range []*Cluster{c, one} {
		for _, n := range c.Nodes() {
			place, ok := c.byKey[n.key]
			assert.True(t, ok && c.nodes[place] == n, "%v is not found by its key", n)
		}
	}
}

// Fields that both replies have.
func TestCommonFields(t *testing.T) {
	for _, n := range []int64{0, 5} {
		got, err := number(n, 5)
		assert.Nil(t, err)
		assert.Equal(t, n, got)
	}
	for _, n := range []any{int64(-1), int64(6), "x"} {
		got, err := number(n, 5)
		assert.NotNil(t, err)
		assert.Zero(t, got)
	}
	parse := func(fields ...any) (*Cluster, error) {
		node := append([]any{"id", "a", "port", 1, "endpoint", "10.9.9.9", "role", "master", "health", "online"}, fields...)
		return ParseShards([]any{[]any{"slots", []any{0, 1}, "nodes", []any{node}}}, Origin{})
	}
	c, err := parse("ip", "10.0.0.1", "odd", 120)
	require.NoError(t, err)
	assert.Equal(t, "10.0.0.1", c.Nodes()[0].IP)
	assert.Equal(t, "120", c.Nodes()[0].Extra["odd"])
	c, err = parse("health", "odd")
	require.NoError(t, err)
	assert.Equal(t, Health("odd"), c.Nodes()[0].Health)
	assert.Equal(t, []string{`shards[0].nodes[0]: unknown health "odd"`}, c.Warnings())
	c, err = parse("ip", "here")
	require.NoError(t, err)
	assert.Equal(t, "10.9.9.9", c.Nodes()[0].IP)
	assert.Equal(t, []string{`shards[0].nodes[0]: unknown field "ip"`}, c.Warnings())
	_, err = parse("hostname", 7)
	assert.ErrorContains(t, err, "hostname")
}

// Nodes without an id differ by their hosts and ports, whichever the reply has.
func TestNamelessShards(t *testing.T) {
	parse := func(nodes ...[]any) *Cluster {
		var all []any
		for _, n := range nodes {
			all = append(all, append([]any{"role", "replica", "id", ""}, n...))
		}
		c, err := ParseShards([]any{[]any{"slots", []any{}, "nodes", all}}, Origin{TLS: true})
		require.NoError(t, err)
		assert.Empty(t, c.Warnings())
		return c
	}
	c := parse([]any{"endpoint", "h", "tls-port", 0, "port", 65534}, []any{"endpoint", "h", "tls-port", 65535, "port", nil}, []any{"endpoint", "h", "tls-port", 2},
		[]any{"ip", "10.0.0.1", "tls-port", 1}, []any{"ip", "10.0.0.2", "tls-port", 1}, []any{"hostname", "g", "ip", "10.0.0.1", "tls-port", 1})
	assert.Len(t, c.Nodes(), 6)
	assert.Equal(t, FlagReplica, c.Nodes()[0].Flags)
	// Of Garnet, the address is a name or an IP address.
	c = parse([]any{"address", "name", "port", 1}, []any{"address", "10.0.0.1", "port", 1})
	assert.Equal(t, []string{"name", "", "", "10.0.0.1"}, []string{c.Nodes()[0].Hostname, c.Nodes()[0].IP, c.Nodes()[1].Hostname, c.Nodes()[1].IP})
}

// There is a limit on the nodes of a reply.
func TestTooManyNodesOfAReply(t *testing.T) {
	r := newReplyNodes(slotsCommand, 1)
	r.c.store, r.names = make([]Node, maxNodes-1), make([]nodeName, maxNodes-1)
	err := r.slotsEntry(0, []any{0, 9, []any{"h", 1}, []any{"h", 2}})
	assert.EqualError(t, err.of(slotsCommand), "CLUSTER SLOTS: nodes[1]: more than 65536 nodes")
	err = r.parseShard(0, []any{"slots", []any{}, "nodes", []any{[]any{"role", "replica"}}})
	assert.EqualError(t, err.of(shardsCommand), "CLUSTER SHARDS: nodes[0]: more than 65536 nodes")
}

// Nodes without an id that have one address are one node.
func TestSharedAddresses(t *testing.T) {
	proxy := Origin{Addr: "asked", Map: func(string) string { return "proxy:1" }}
	c, err := ParseSlots([]any{[]any{0, 1, []any{"a", 1}, []any{"b", 1}}, []any{2, 3, []any{"c", 1}}, []any{4, 5, []any{"d", 1, "id"}, []any{"b", 1}}}, proxy)
	require.NoError(t, err)
	assert.Equal(t, []string{
		"slots[2].nodes[1]: a replica that is in another shard too",
		`reply: nodes without an id share the address "proxy:1" and are taken for one`,
		`reply: nodes without an id share the address "proxy:1" and are taken for one`,
	}, c.Warnings())
	require.Len(t, c.Nodes(), 2)
	assert.Equal(t, "[0-1 2-3]", fmt.Sprint(c.Nodes()[0].Slots))
	var r Router
	r.Apply(c, 0)
	assert.Equal(t, "0-3 proxy:1, 4-5 id", ownersOf(&r))
	checkMap(t, &r)

	// The places of the others change, and slots that both have are there once.
	proxy.Map = func(addr string) string { return strings.NewReplacer("a:1", "proxy:1", "b:1", "proxy:1").Replace(addr) }
	c, err = ParseSlots([]any{[]any{0, 16383, []any{"a", 1}}, []any{0, 16383, []any{"b", 1}}, []any{5, 5, []any{"c", 1}, []any{"d", 1}}}, proxy)
	require.NoError(t, err)
	assert.Equal(t, "proxy:1 c:1 d:1", ids(c.Nodes()))
	assert.Equal(t, "[0-16383]", fmt.Sprint(c.Nodes()[0].Slots))
	assert.Equal(t, int32(2), c.Nodes()[2].primary)
	assert.Equal(t, FlagPrimary, c.Nodes()[0].Flags)

	// "" and 0.0.0.0 are the host that was asked; the replica's address is its primary's.
	c, err = ParseSlots([]any{[]any{0, 1, []any{"h", 1}, []any{"", 7}}, []any{2, 3, []any{"0.0.0.0", 7}, []any{"h", 1}}}, Origin{Addr: "asked"})
	require.NoError(t, err)
	require.Len(t, c.Nodes(), 2)
	shard, _ := c.Table().Lookup(2)
	assert.Equal(t, "asked:7", shard.Primary.Addr())
	assert.Zero(t, shard.Primary.primary)
	assert.Equal(t, "[2-3]", fmt.Sprint(shard.Primary.Slots))

	c, err = ParseNodes(":1@1 master - 0 0 3 connected 3\n:1 myself,master - 0 0 7 connected 6-12 [6->-x]\n", Origin{})
	require.NoError(t, err)
	require.Len(t, c.Nodes(), 1)
	n := c.Nodes()[0]
	assert.Equal(t, "[3 6-12] 7", fmt.Sprint(n.Slots, n.ConfigEpoch))
	assert.True(t, n.myself())
	assert.Equal(t, []OpenSlot{{6, "", "x", true, false}}, c.Open())

	c, err = ParseNodes(":1@1 master - 0 0 3 connected 3\n:1 slave x 0 0 9 connected 7\n", Origin{})
	require.NoError(t, err)
	assert.Equal(t, "[3] 3", fmt.Sprint(c.Nodes()[0].Slots, c.Nodes()[0].ConfigEpoch))
}

// A node that has different roles in different entries.
func TestInconsistentSlots(t *testing.T) {
	a, b, c := []any{"h", 1, "a"}, []any{"h", 2, "b"}, []any{"h", 3, "c"}
	cluster, err := ParseSlots([]any{[]any{0, 1, a, b, c}, []any{2, 3, b, c}, []any{4, 5, a, b}}, Origin{})
	require.NoError(t, err)
	assert.Equal(t, []string{
		"slots[1].nodes[0]: a primary that is a replica elsewhere",
		"slots[1].nodes[1]: a replica that is in another shard too",
		"slots[2].nodes[1]: a replica that is in another shard too",
	}, cluster.Warnings())
	assert.Equal(t, RolePrimary, cluster.Node("b").Role)
	assert.Equal(t, "a", cluster.Node("c").PrimaryID)
	// A node that is there twice says nothing new, and an odd replica nothing of others.
	cluster, err = ParseSlots([]any{[]any{0, 1, a, b, a, b}, []any{2, 3, c, nil}}, Origin{})
	require.NoError(t, err)
	assert.Equal(t, []string{"slots[1].nodes[1]: is null, not a list"}, cluster.Warnings())
	assert.Equal(t, "a", cluster.Node("b").PrimaryID)

	cluster, err = ParseShards([]any{
		[]any{"slots", []any{0, 1}, "nodes", []any{[]any{"id", "a", "role", "master", "endpoint", "h", "port", 1}}},
		[]any{"slots", []any{2, 3}, "nodes", []any{[]any{"id", "a", "role", "master", "endpoint", "h", "port", 1}}}}, Origin{})
	require.NoError(t, err)
	assert.Equal(t, []string{`shards[1].nodes[0]: node "a" a second time`, `shards[1]: slots without a primary`}, cluster.Warnings())
}

// One odd node costs its own entry at most, and never gives slots to another node.
func TestOddNodes(t *testing.T) {
	good := []any{100, 199, []any{"h", 2, "b"}, []any{"h", 3, "c"}}
	for _, c := range []struct {
		entry   any
		owner   string // of slot 5
		nodes   string
		warning string
	}{
		// A replica.
		{[]any{0, 9, []any{"h", 1, "a"}, nil, []any{"h", 4, "d"}}, "a", "a d b c", "slots[0].nodes[1]: is null, not a list"},
		{[]any{0, 9, []any{"h", 1, "a"}, "x"}, "a", "a b c", `slots[0].nodes[1]: is the text "x", not a list`},
		{[]any{0, 9, []any{"h", 1, "a"}, []any{"h"}}, "a", "a b c", "slots[0].nodes[1]: 1 elements are not an endpoint and a port"},
		{[]any{0, 9, []any{"h", 1, "a"}, []any{"h", 1.5, "d"}}, "a", "a b c", "slots[0].nodes[1].port: is a float64, not a number from 0 to 65535"},
		{[]any{0, 9, []any{"h", 1, "a"}, []any{"h", 4, 7}}, "a", "a b c", "slots[0].nodes[1].id: is the number 7, not text"},
		// A primary: nobody else gets its slots.
		{[]any{0, 9, nil, []any{"h", 4, "d"}}, "", "b c", "slots[0].nodes[0]: is null, not a list"},
		{[]any{0, 9, []any{"h", -1, "a"}, []any{"h", 4, "d"}}, "", "b c", "slots[0].nodes[0].port: is the number -1, not a number from 0 to 65535"},
		{[]any{0, 9, []any{7, 1, "a"}}, "", "b c", "slots[0].nodes[0].endpoint: is the number 7, not text"},
		{[]any{0, 9}, "", "b c", "slots[0]: 2 elements are not two slots and a primary"},
		// No slots either.
		{[]any{}, "", "b c", "slots[0]: 0 elements are not two slots and a primary"},
		{nil, "", "b c", "slots[0]: 0 elements are not two slots and a primary"},
		// Metadata.
		{[]any{0, 9, []any{"h", 1, "a", "x"}}, "a", "a b c", `slots[0].nodes[0].metadata: is the text "x", neither a map nor a list of names and values`},
		{[]any{0, 9, []any{"h", 1, "a", []any{"ip"}}}, "a", "a b c", "slots[0].nodes[0].metadata: a list of 1 elements is not names and values"},
		{[]any{0, 9, []any{"h", 1, "a", []any{7, "x"}}}, "a", "a b c", "slots[0].nodes[0].metadata: has a name that is the number 7, not text"},
		{[]any{0, 9, []any{"h", 1, "a", map[any]any{7: "x"}}}, "a", "a b c", "slots[0].nodes[0].metadata: has a name that is the number 7, not text"},
		{[]any{0, 9, []any{"h", 1, "a", []any{"ip", 7, "hostname", "n"}}}, "a", "a b c", "slots[0].nodes[0].metadata.ip: is the number 7, not text"},
	} {
		cluster, err := ParseSlots([]any{c.entry, good}, Origin{})
		require.NoError(t, err, c.warning)
		require.Equal(t, []string{c.warning}, cluster.Warnings())
		assert.Equal(t, c.nodes, ids(cluster.Nodes()))
		owner := ""
		if shard, ok := cluster.Table().Lookup(5); ok {
			owner = shard.Primary.ID
		}
		assert.Equal(t, c.owner, owner, c.warning)
		shard, _ := cluster.Table().Lookup(100)
		assert.Equal(t, "b", shard.Primary.ID)
	}
	c, err := ParseSlots([]any{[]any{0, 9, []any{"h", 1, "a", []any{"ip", 7, "hostname", "n"}}}}, Origin{})
	require.NoError(t, err)
	assert.Equal(t, "n", c.Node("a").Hostname)
	for range 20 { // a map has its fields in any order, and warnings have one
		c, err = ParseSlots([]any{[]any{0, 9, []any{"h", 1, "a", map[any]any{"ip": 7, "hostname": 8, "availability-zone": 9}}}}, Origin{})
		require.NoError(t, err)
		require.Equal(t, []string{
			"slots[0].nodes[0].metadata.availability-zone: is the number 9, not text",
			"slots[0].nodes[0].metadata.hostname: is the number 8, not text",
			"slots[0].nodes[0].metadata.ip: is the number 7, not text",
		}, c.Warnings())
	}
}

// Types that a program defines are read like their underlying types.
func TestUnusualTypes(t *testing.T) {
	type text string
	type number uint16
	name := text("h")
	c, err := ParseSlots([][]any{{number(0), int32(5), []any{&name, uint64(7), text("a"), map[text]text{"Hostname": "n"}}}}, Origin{})
	require.NoError(t, err)
	assert.Equal(t, "h:7", c.Node("a").Addr())
	assert.Equal(t, "n", c.Node("a").Hostname)
	assert.Equal(t, "6-16383", c.Unassigned().String())
}

func TestEqual(t *testing.T) {
	a := view(t, "a master 1 0-5", "b slave:a 1", "c master 2 6-16383")
	same := []*Cluster{
		view(t, "c master 2 6-16383", "b slave:a 1", "a master 1 0-5"),
		view(t, "a master,fail? 7 0-5", "b slave:a,fail 1", "c master,myself 2 6-9 10-16383", "x handshake 0"),
	}
	different := []*Cluster{
		view(t, "a master 1 0-4", "b slave:a 1", "c master 2 5-16383"),
		view(t, "a master 1 0-5", "b slave:c 1", "c master 2 6-16383"),
		view(t, "a master 1 0-5", "b master 1", "c master 2 6-16383"),
		view(t, "a master 1 0-5", "c master 2 6-16383"),
		view(t, "a master 1 0-5", "b slave:a 1", "c master 2 6-16383", "d slave:a 1"),
		view(t, "a master 1 0-5", "b slave:a 1", "d master 2 6-16383"),
		view(t, "a master 1 0-5", "x slave:a 1", "c master 2 6-16383"),
		view(t, "c master 1 0-5", "b slave:a 1", "a master 2 6-16383"),
		view(t, "a master 1 0-5", "b slave:a 1", "c master 2 6-16382"),
	}
	for i, b := range same {
		assert.True(t, a.Equal(b), i)
	}
	for i, b := range different {
		assert.False(t, a.Equal(b), i)
	}
}

// A reply of some megabytes must not cost the client much more memory than that.
func TestHostileReplies(t *testing.T) {
	size := 1 << 16
	if testing.Short() {
		size >>= 5
	}
	const line = "a%d 1:1@2 master - 0 0 1 connected %s\n"
	many := func(n int, slots string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, line, i, slots)
		}
		return b.String()
	}
	for _, c := range []struct {
		name string
		text string
		ok   bool
	}{
		{"everybody claims everything", many(size>>5, "0-16383"), true},
		{"many nodes", many(size+1, ""), size < 1<<16},
		{"one claims everything over and over", many(1, strings.Repeat("0-16383 ", size)), true},
		{"and so do all", many(size>>7, strings.Repeat("0-16383 ", 128)), true},
		{"open slots", many(1, strings.Repeat("[0->-x] [1-<-y] ", size>>2)), true},
		{"unknown fields", many(1, strings.Repeat("x ", 4*size)), true},
		{"blank lines", strings.Repeat("\n", 8*size), false},
		{"spaces", strings.Repeat(" ", 8*size), false},
		{"auxiliary fields", "a 1:1@2," + strings.Repeat(",x", 2*size) + " master - 0 0 1 connected", true},
		{"a chain of replicas", func() string {
			var b strings.Builder
			for i := range size >> 3 {
				fmt.Fprintf(&b, "a%d 1:1@2 slave a%d 0 0 1 connected\n", i, i+1)
			}
			return b.String()
		}(), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			cluster, err := ParseNodes(c.text, Origin{})
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			assert.Equal(t, c.ok, err == nil, "%v", err)
			if err == nil {
				assert.LessOrEqual(t, len(cluster.Warnings()), maxWarnings+1)
			}
			used := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d bytes: %v, %d bytes allocated", len(c.text), took, used)
			assert.Less(t, used, uint64(48*len(c.text)+8<<20))
		})
	}
	// The same of decoded replies.
	entry := []any{0, size>>2 - 1, nil}
	var entries []any
	for i := range max(size>>4, maxDisagreements+2) {
		e := append([]any(nil), entry...)
		e[2] = []any{"h", i, fmt.Sprint("a", i)}
		entries = append(entries, e)
	}
	start := time.Now()
	c, err := ParseSlots(entries, Origin{})
	require.NoError(t, err)
	t.Logf("%d entries: %v", len(entries), time.Since(start))
	assert.Len(t, c.Disagreements(), maxDisagreements)
	one := []any{0, 16383, []any{"h", 1, "a"}}
	for i := range entries {
		entries[i] = one
	}
	c, err = ParseSlots(entries, Origin{})
	require.NoError(t, err)
	assert.Equal(t, []slotmap.Range{{First: 0, Last: hashslot.Count - 1}}, c.Nodes()[0].Slots)
	// A list that contains itself is not a reply, and is refused in finite time.
	loop := []any{nil, nil, nil}
	loop[0], loop[1], loop[2] = loop, loop, loop
	_, err = ParseSlots(loop, Origin{})
	assert.Error(t, err)
	_, err = ParseShards(loop, Origin{})
	assert.Error(t, err)
}

// The room for nodes grows few times, and not far beyond those that there are.
func TestRoomForNodes(t *testing.T) {
	add := func(r *replyNodes, n int) (grown int) {
		for range n {
			before := cap(r.c.store)
			r.add("", "h", len(r.c.store))
			if cap(r.c.store) != before {
				grown++
			}
		}
		return grown
	}
	const entries, each = 600, 8
	r, grown := newReplyNodes(slotsCommand, entries), 0
	r.grow()
	assert.Equal(t, 8, cap(r.names))
	for r.done = range entries {
		grown += add(r, each)
	}
	assert.Equal(t, 5, grown, "five times to four times as many, or to all")
	assert.Less(t, cap(r.c.store), entries*each*5/4)
	assert.Less(t, cap(r.names), entries*each*5/4)
	// Many nodes in the first entry do not mean as many in each.
	r = newReplyNodes(slotsCommand, 1<<16)
	add(r, 200)
	r.done = 1
	add(r, 100)
	assert.Less(t, cap(r.c.store), 2000)
	// There is a limit.
	r = newReplyNodes(slotsCommand, 1<<16)
	r.c.store, r.done = make([]Node, 17000), 1
	r.grow()
	assert.Less(t, cap(r.c.store), maxNodes*9/8)
	// Both replies count what was read.
	var slots, shards []any
	for i := range 300 {
		slots = append(slots, []any{i, i, []any{"h", i}})
		shards = append(shards, []any{"slots", []any{i, i}, "nodes", []any{[]any{"role", "master", "endpoint", "h", "port", i}}})
	}
	c, err := ParseSlots(slots, Origin{})
	require.NoError(t, err)
	assert.Less(t, cap(c.store), 300*5/4)
	c, err = ParseShards(shards, Origin{})
	require.NoError(t, err)
	assert.Less(t, cap(c.store), 300*5/4)
}

// Node finds the nodes of a reply, of whatever ids.
func TestNodeOfAReply(t *testing.T) {
	for _, c := range []struct{ ids, finds []string }{
		{[]string{"a", "b"}, []string{"a", "b"}},
		{[]string{"a", ""}, []string{"a"}},
		{[]string{"", ""}, nil},
	} {
		var reply []any
		for i, id := range c.ids {
			reply = append(reply, []any{i, i, []any{"h", i + 1, id}})
		}
		view, err := ParseSlots(reply, Origin{})
		require.NoError(t, err)
		for _, id := range c.finds {
			require.NotNil(t, view.Node(id), "%q", c.ids)
			assert.Equal(t, id, view.Node(id).ID)
		}
		assert.Equal(t, len(c.ids), len(view.byKey))
		for key, i := range view.byKey {
			assert.Equal(t, key, view.store[i].key)
		}
	}
}
