package topology

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/slotmap"
)

// Containers have the same port inside, and ports of the host outside. Then the port of
// one node inside, at the host, is the address of another one.
func TestMappedPorts(t *testing.T) {
	from := Origin{Addr: "127.0.0.1:6379", Map: func(addr string) string {
		return strings.NewReplacer("172.17.0.2:6379", "127.0.0.1:6379", "172.17.0.3:6379", "127.0.0.1:6380", "172.17.0.4:6379", "127.0.0.1:6381").Replace(addr)
	}}
	c, err := ParseNodes("b 172.17.0.2:6379@1 myself,master - 0 0 1 connected 0-99\na 172.17.0.3:6379@1 master - 0 0 2 connected 100-16383\n", from)
	require.NoError(t, err)
	var r Router
	r.Apply(c, 0)
	assert.Same(t, r.Node("b"), r.NodeByAddr("127.0.0.1:6379"))
	assert.Same(t, r.Node("a"), r.NodeByAddr("127.0.0.1:6380"))
	assert.Same(t, r.Node("a"), r.NodeByAddr("172.17.0.3:6379"))

	rd, err := ParseRedirect("MOVED 200 172.17.0.2:6379", from)
	require.NoError(t, err)
	shard, seen := r.For(200)
	result := r.Moved(rd, shard.Primary, seen)
	assert.Equal(t, OutcomePatched, result.Outcome)
	assert.Same(t, r.Node("b"), result.Node)

	rd, err = ParseRedirect("MOVED 300 172.17.0.4:6379", from)
	require.NoError(t, err)
	shard, seen = r.For(300)
	result = r.Moved(rd, shard.Primary, seen)
	assert.Equal(t, OutcomeUnknownNode, result.Outcome)
	assert.Equal(t, "127.0.0.1:6381", result.Node.Addr())
}

// A program may know where a node is dialled, and what the servers call it.
func TestMappedNewCluster(t *testing.T) {
	c, err := NewCluster([]Node{
		{ID: "a", Role: RolePrimary, Host: "127.0.0.1", Port: 6380, Endpoint: "172.17.0.3", EndpointPort: 6379, Slots: []slotmap.Range{{First: 0, Last: 99}}},
		{ID: "b", Role: RolePrimary, Host: "127.0.0.1", Port: 6379, Endpoint: "172.17.0.2", EndpointPort: 6379, Slots: []slotmap.Range{{First: 100, Last: 16383}}},
		{ID: "c", Role: RolePrimary, Host: "h.example", Port: 7000, Endpoint: "10.0.0.9", EndpointPort: 6000, Hostname: "h.example"},
		{ID: "d", Role: RolePrimary, Host: "d.example", Port: 6000, IP: "10.0.0.8", TLSPort: 7000},
	})
	require.NoError(t, err)
	var r Router
	r.Apply(c, 0)
	assert.Same(t, r.Node("b"), r.NodeByAddr("127.0.0.1:6379"))
	assert.Same(t, r.Node("a"), r.NodeByAddr("127.0.0.1:6380"))
	assert.Same(t, r.Node("a"), r.NodeByAddr("172.17.0.3:6379"))
	assert.Nil(t, r.NodeByAddr("172.17.0.3:6380"))
	assert.Same(t, r.Node("c"), r.NodeByAddr("10.0.0.9:6000"))
	assert.Nil(t, r.NodeByAddr("10.0.0.9:7000"))
	for _, addr := range []string{"d.example:6000", "d.example:7000", "10.0.0.8:6000", "10.0.0.8:7000"} {
		assert.Same(t, r.Node("d"), r.NodeByAddr(addr), addr)
	}
}

// A node that is lost to the source keeps the address that the map has, and all that
// belongs to it.
func TestMappedAddressOfALostNode(t *testing.T) {
	from := Origin{Map: func(addr string) string { return strings.Replace(addr, "10.0.0.2:6379", "nat:2", 1) }}
	parse := func(b string) *Cluster {
		c, err := ParseNodes("a 10.0.0.1:6379@1 myself,master - 0 9000 1 connected 0-99\n"+b, from)
		require.NoError(t, err)
		return c
	}
	var r Router
	r.Apply(parse("b 10.0.0.2:6379@1 master - 0 9000 2 connected 100-16383\n"), 0)
	r.Apply(parse("b 10.0.0.7:6379@1 master,fail? - 0 1000 2 disconnected 100-16383\n"), r.Generation())
	assert.Equal(t, "nat:2", r.Node("b").Addr())
	assert.Same(t, r.Node("b"), r.NodeByAddr("10.0.0.2:6379"))
	assert.Nil(t, r.NodeByAddr("nat:6379"))
}
