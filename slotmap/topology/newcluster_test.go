package topology

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/slotmap"
)

// rebuild makes a Cluster from the exported fields of the nodes of c.
func rebuild(t require.TestingT, c *Cluster) *Cluster {
	nodes := make([]Node, len(c.Nodes()))
	for i, n := range c.Nodes() {
		nodes[i] = Node{
			ID: n.ID, Host: n.Host, Port: n.Port, Endpoint: n.Endpoint, EndpointPort: n.EndpointPort, TLSPort: n.TLSPort, BusPort: n.BusPort,
			IP: n.IP, Hostname: n.Hostname, ShardID: n.ShardID, AvailabilityZone: n.AvailabilityZone,
			Flags: n.Flags, Role: n.Role, PrimaryID: n.PrimaryID, Health: n.Health, ConfigEpoch: n.ConfigEpoch,
			PingSent: n.PingSent, PongReceived: n.PongReceived, LinkState: n.LinkState, ReplicationOffset: n.ReplicationOffset,
			Slots: n.Slots, Migrating: n.Migrating, Importing: n.Importing, Extra: n.Extra,
		}
	}
	got, err := NewCluster(nodes)
	require.NoError(t, err)
	return got
}

func sameCluster(t require.TestingT, want, got *Cluster) {
	require.True(t, want.Equal(got))
	require.Equal(t, want.canonical(), got.canonical())
	require.Len(t, got.Nodes(), len(want.Nodes()))
	for i, n := range got.Nodes() {
		require.Equal(t, want.Nodes()[i].Addr(), n.Addr())
		require.Equal(t, want.Nodes()[i].Serves(), n.Serves())
		require.Same(t, n, got.Node(n.ID))
	}
	require.Len(t, got.Shards(), len(want.Shards()))
	for i, s := range got.Shards() {
		require.Equal(t, want.Shards()[i].Primary.ID, s.Primary.ID)
		require.Equal(t, ids(want.Shards()[i].Replicas), ids(s.Replicas))
	}
	require.Equal(t, want.Open(), got.Open())
	require.Equal(t, disagreements(want), disagreements(got))
	require.Len(t, got.Disagreements(), len(want.Disagreements()))
}

// NewCluster makes the same view of the nodes of a view.
func TestNewClusterOfCaptures(t *testing.T) {
	for _, c := range someCaptures(t) {
		want := c.parseNodes(t)
		got := rebuild(t, want)
		sameCluster(t, want, got)
		require.Equal(t, want.Myself() == nil, got.Myself() == nil)
		sameCluster(t, want, rebuild(t, got))
	}
}

func TestNewCluster(t *testing.T) {
	slots := []slotmap.Range{{First: 0, Last: 99}}
	nodes := []Node{
		{ID: "a", Host: "10.0.0.1", Port: 6379, Role: RolePrimary, ConfigEpoch: 1, Slots: slots, Migrating: []Peer{{5, "b"}}},
		{ID: "b", Host: "[2001:db8::1]", Port: 6379, Role: RolePrimary, ConfigEpoch: 2, Slots: []slotmap.Range{{First: 90, Last: 16383}}},
		{ID: "r", Host: "name", Port: 6379, Role: RoleReplica, PrimaryID: "a", Extra: map[string]string{"k": "v"}},
		{ID: "x", Role: RoleReplica, PrimaryID: "nobody"},
		{ID: "h", Host: "10.0.0.9", Port: 1, Flags: FlagHandshake | FlagPrimary},
		{ID: "n", Host: "10.0.0.9", Port: 1, Flags: FlagNoAddr, Role: RolePrimary},
		{ID: "w", Host: "0.0.0.0", Port: 1, Role: RolePrimary},
	}
	c, err := NewCluster(nodes)
	require.NoError(t, err)
	text, err := ParseNodes("a 10.0.0.1:6379@0 master - 0 0 1 connected 0-99 [5->-b]\nb 2001:db8::1:6379@0 master - 0 0 2 connected 90-16383\n"+
		"r name:6379@0 slave a 0 0 0 connected\nx :0@0 slave nobody 0 0 0 connected\nh 10.0.0.9:1@0 master,handshake - 0 0 0 connected\n"+
		"n 10.0.0.9:1@0 master,noaddr - 0 0 0 connected\nw 0.0.0.0:1@0 master - 0 0 0 connected\n", Origin{})
	require.NoError(t, err)
	sameCluster(t, text, c)
	assert.Empty(t, c.Warnings())
	assert.Equal(t, "[2001:db8::1]:6379", c.Node("b").Addr())
	assert.Equal(t, []any{"2001:db8::1", "2001:db8::1", 6379, FlagPrimary}, []any{c.Node("b").IP, c.Node("b").Endpoint, c.Node("b").EndpointPort, c.Node("b").Flags})
	var router Router
	assert.Equal(t, OutcomeApplied, router.Apply(c, 0).Outcome)
	shard, _ := router.For(95)
	assert.Equal(t, "b", shard.Primary.ID)

	// The Cluster has copies.
	slots[0].Last = 5
	nodes[0].Migrating[0].Slot = 7
	nodes[2].Extra["k"] = "changed"
	nodes[1].ID = "z"
	sameCluster(t, text, c)
	assert.Equal(t, "v", c.Node("r").Extra["k"])
	assert.Equal(t, []slotmap.Range{{First: 0, Last: 99}}, c.Node("a").Slots)
	assert.Equal(t, []Peer{{5, "b"}}, c.Node("a").Migrating)

	// Its epochs count for as much as those of CLUSTER NODES.
	merged, err := Merge(c, view(t, "o master 0 0-16383"))
	require.NoError(t, err)
	assert.Equal(t, []string{"0-89 a not o: config epoch 1 over 0", "90-16383 b not o: config epoch 2 over 0"}, disagreements(merged)[:2])

	c, err = NewCluster([]Node{
		{ID: "a", Role: RoleReplica, Slots: []slotmap.Range{{First: 1, Last: 1}}, Flags: FlagMyself},
		{ID: "b", Role: RolePrimary, Slots: []slotmap.Range{{First: 0, Last: 16383}, {First: 0, Last: 0}}, Flags: FlagMyself},
	})
	require.NoError(t, err)
	assert.Equal(t, []string{
		`nodes[0]: slots of a node that is no primary, which owns none: "a"`,
		`nodes[1]: slots more than once`,
		`nodes[1]: a second node is myself`,
	}, c.Warnings())
	assert.Equal(t, []slotmap.Range{{First: 0, Last: 16383}}, c.Node("b").Slots)

	// What is given stays as it is.
	halves := []slotmap.Range{{First: 0, Last: 8191}, {First: 8192, Last: 16383}}
	c, err = NewCluster([]Node{
		{ID: "a", Host: "name", Port: 65535, Role: RolePrimary, Slots: halves, Flags: FlagMyself},
		{ID: "b", Host: "10.0.0.1", Port: 1, IP: "10.0.0.2"},
		{ID: "c", Host: "?", Port: 1, Flags: FlagMyself},
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"nodes[2]: a second node is myself"}, c.Warnings())
	assert.Equal(t, []any{"name:65535", "", halves}, []any{c.Node("a").Addr(), c.Node("a").IP, c.Node("a").Slots})
	assert.Equal(t, []any{"10.0.0.1:1", "10.0.0.2", Flags(0)}, []any{c.Node("b").Addr(), c.Node("b").IP, c.Node("b").Flags})
	assert.Equal(t, []any{"", "", "?"}, []any{c.Node("c").Addr(), c.Node("c").Host, c.Node("c").Endpoint})
}

func TestNewClusterErrors(t *testing.T) {
	for _, c := range []struct {
		node Node
		want string
	}{
		{Node{}, "nodes[1].ID: is missing"},
		{Node{ID: "a"}, `nodes[1].ID: a second node "a"`},
		{Node{ID: "b", Role: 9}, "nodes[1].Role: is 9, not a role"},
		{Node{ID: "b", Role: RolePrimary, Flags: FlagHandshake}, "nodes[1].Role: is primary, but a node in handshake has none"},
		{Node{ID: "b", Role: RolePrimary, Flags: FlagReplica | FlagFail}, "nodes[1].Flags: are slave,fail, but the role is primary"},
		{Node{ID: "b", Role: RoleReplica, Flags: FlagReplica | FlagPrimary}, "nodes[1].Flags: are master,slave, but the role is replica"},
		{Node{ID: "b", Flags: FlagReplica}, "nodes[1].Flags: are slave, but the role is unknown"},
		{Node{ID: "b", Role: RolePrimary, PrimaryID: "a"}, `nodes[1].PrimaryID: is "a", but the node is no replica`},
		{Node{ID: "b", Port: 65536}, "nodes[1].Port: is 65536, not a number from 0 to 65535"},
		{Node{ID: "b", EndpointPort: -1}, "nodes[1].EndpointPort: is -1, not a number from 0 to 65535"},
		{Node{ID: "b", TLSPort: -1}, "nodes[1].TLSPort: is -1, not a number from 0 to 65535"},
		{Node{ID: "b", BusPort: -1}, "nodes[1].BusPort: is -1, not a number from 0 to 65535"},
		{Node{ID: "b", Slots: []slotmap.Range{{First: 0, Last: 1}, {First: 5, Last: 4}}}, "nodes[1].Slots[1]: 5-4 is not a range of slots from 0 to 16383"},
		{Node{ID: "b", Slots: []slotmap.Range{{First: 0, Last: 16384}}}, "nodes[1].Slots[0]: 0-16384 is not a range of slots from 0 to 16383"},
		{Node{ID: "b", Migrating: []Peer{{16384, "a"}}}, "nodes[1].Migrating[0]: 16384 is not a slot from 0 to 16383"},
		{Node{ID: "b", Importing: []Peer{{0, "a"}, {65535, "a"}}}, "nodes[1].Importing[1]: 65535 is not a slot from 0 to 16383"},
	} {
		_, err := NewCluster([]Node{{ID: "a"}, c.node})
		assert.EqualError(t, err, "NewCluster: "+c.want)
		var e *slotmap.ParseError
		require.ErrorAs(t, err, &e)
	}
	_, err := NewCluster(nil)
	assert.EqualError(t, err, "NewCluster: nodes: no node")
	many := make([]Node, maxNodes+1)
	for i := range many {
		many[i].ID = fmt.Sprint(i)
	}
	_, err = NewCluster(many)
	assert.EqualError(t, err, "NewCluster: nodes: more than 65536 nodes")
	_, err = NewCluster(many[:maxNodes])
	assert.NoError(t, err)
}

// Whether a program gives what it dials, or what the servers call the node.
func TestLocate(t *testing.T) {
	for _, c := range []struct {
		node   Node
		mapped bool
		ip     string
	}{
		{Node{Host: "h", Port: 1}, false, ""},
		{Node{Host: "10.0.0.1", Port: 2, EndpointPort: 1, TLSPort: 2}, false, "10.0.0.1"},
		{Node{Host: "10.0.0.1", Port: 3, EndpointPort: 1, TLSPort: 2, Endpoint: "10.0.0.2"}, true, "10.0.0.2"},
		{Node{Host: "h", Port: 1, Endpoint: "e"}, true, ""},
		{Node{Host: "h", Port: 1, Endpoint: "e", Hostname: "h"}, false, ""},
		{Node{Host: "10.0.0.1", Port: 1, Endpoint: "e", IP: "10.0.0.1"}, false, "10.0.0.1"},
	} {
		c.node.locate()
		assert.Equal(t, []any{c.mapped, c.ip}, []any{c.node.mapped, c.node.IP}, c.node)
	}
}

// A node is mapped if its host or its port is another one then.
func TestMapped(t *testing.T) {
	for addr, mapped := range map[string]bool{"h:1": false, "nat:1": true, "h:2": true, "nat:2": true} {
		c, err := ParseNodes("a h:1@9 master - 0 0 1 connected\n", Origin{Map: func(string) string { return addr }})
		require.NoError(t, err)
		assert.Equal(t, mapped, c.Nodes()[0].mapped, addr)
	}
}
