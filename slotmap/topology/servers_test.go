package topology

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/internal/hashtest"
)

// server reads a reply of testdata/servers, which is rebuilt from a server's source.
func server(t *testing.T, name string, from Origin) *Cluster {
	data, err := os.ReadFile(hashtest.Data(t, "../..", filepath.Join("servers", name)))
	require.NoError(t, err)
	if !strings.HasSuffix(name, ".resp") {
		checkNodes(t, string(data), from)
		c, err := ParseNodes(string(data), from)
		require.NoError(t, err)
		return c
	}
	parse, ref := ParseSlots, refSlotsReply
	if strings.HasSuffix(name, ".shards.resp") {
		parse, ref = ParseShards, refShardsReply
	}
	var c *Cluster
	for _, d := range dialects {
		reply, err := d.decode(data)
		require.NoError(t, err)
		if d.name == "go-redis" {
			checkReply(t, reply, from, parse, ref)
		}
		got, err := parse(reply, from)
		require.NoError(t, err)
		require.True(t, c == nil || c.Equal(got), d.name)
		c = got
	}
	return c
}

func TestServers(t *testing.T) {
	a, b, c, d := strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("c", 40), strings.Repeat("d", 40)
	short := strings.NewReplacer(a, "a", b, "b", c, "c", d, "d")
	// owners and replicas, by address where there is no id
	show := func(cl *Cluster) string {
		var parts []string
		for r, s := range cl.Table().Ranges() {
			part := fmt.Sprintf("%v %v", r, s)
			for _, n := range s.Replicas {
				part += fmt.Sprintf(" + %v", n)
				if !n.Serves() {
					part += " down"
				}
			}
			parts = append(parts, part)
		}
		return short.Replace(strings.Join(parts, ", "))
	}
	warnings := func(cl *Cluster) string { return short.Replace(strings.Join(cl.Warnings(), "\n")) }
	for _, s := range []struct {
		name, owners, warnings string
	}{
		{"kvrocks.nodes.txt", "0-5460 a 10.0.0.1:6666 + c 10.0.0.3:6666, 5461-16383 b 10.0.0.2:6666", ""},
		{"kvrocks-import.nodes.txt", "0-5460 a 10.0.0.1:6666, 5461-8191 b 10.0.0.2:6666, 8193-16383 b 10.0.0.2:6666",
			`line 2, byte 308: "[8192-<-]" is not an open slot, [slot->-id] or [slot-<-id]`},
		{"dragonfly-replica.nodes.txt", "0-16383 10.0.0.1:6379 + a 10.0.0.2:6379",
			"line 1, byte 1: no node id: the node is known by its address\nline 2, byte 127: no primary of a replica"},
		{"dragonfly-replica.slots.resp", "0-16383 10.0.0.1:6379 + a 10.0.0.2:6379", ""},
		{"dragonfly-replica.shards.resp", "0-16383 10.0.0.1:6379 + a 10.0.0.2:6379", ""},
		{"dragonfly.nodes.txt", "0-8191 a 10.0.0.1:6379 + c 10.0.0.3:6379, 8192-16383 b 10.0.0.2:6379 + d 10.0.0.4:6379", ""},
		{"dragonfly.slots.resp", "0-8191 a 10.0.0.1:6379, 8192-16383 b 10.0.0.2:6379 + d 10.0.0.4:6379", ""},
		{"dragonfly.shards.resp", "0-8191 a 10.0.0.1:6379 + c 10.0.0.3:6379 down, 8192-16383 b 10.0.0.2:6379 + d 10.0.0.4:6379", ""},
		{"garnet.nodes.txt", "0-8191 a 10.0.0.1:7000 + c 10.0.0.3:7000, 8192-16383 b 10.0.0.2:7000", "line 4, byte 448: no primary of a replica"},
		{"garnet.slots.resp", "0-8191 a 10.0.0.1:7000 + c 10.0.0.3:7000, 8192-16383 b 10.0.0.2:7000", ""},
		{"garnet.shards.resp", "0-8191 a 10.0.0.1:7000 + c 10.0.0.3:7000, 8192-16383 b 10.0.0.2:7000", ""},
		{"garnet-null.slots.resp", "0-16383 a asked:7000", ""},
		{"valkey-9.2.nodes.conf", "0-16383 a 10.0.0.1:6379 + b 10.0.0.2:6379 + c 10.0.0.3:6379", ""},
	} {
		from := Origin{Addr: "asked:1"}
		cl := server(t, s.name, from)
		assert.Equal(t, s.owners, show(cl), s.name)
		assert.Equal(t, s.warnings, warnings(cl), s.name)
		var r Router
		r.Apply(cl, 0)
		checkMap(t, &r)
	}
	// The rest of what the shapes tell.
	cl := server(t, "kvrocks.nodes.txt", Origin{})
	require.Len(t, cl.Open(), 101)
	assert.Equal(t, OpenSlot{100, a, b, true, false}, cl.Open()[0])
	assert.Equal(t, OpenSlot{200, a, b, true, false}, cl.Open()[100])
	cl = server(t, "kvrocks-import.nodes.txt", Origin{})
	require.Len(t, cl.Open(), 101)
	assert.Equal(t, OpenSlot{100, a, b, false, true}, cl.Open()[0])
	cl = server(t, "dragonfly-replica.nodes.txt", Origin{})
	assert.Equal(t, a, cl.Myself().ID)
	assert.Equal(t, RoleReplica, cl.Myself().Role)
	cl = server(t, "garnet.shards.resp", Origin{})
	assert.Equal(t, HealthOffline, cl.Node(b).Health)
	assert.False(t, cl.Node(b).Serves())
	assert.False(t, cl.Node(b).failed(), "it is one node's opinion")
	assert.True(t, cl.Node(b).Flags.Has(FlagPrimary|FlagPFail))
	assert.Equal(t, "10.0.0.3", cl.Node(c).IP)
	assert.Equal(t, int64(123), cl.Node(c).ReplicationOffset)
	cl = server(t, "valkey-9.2.nodes.conf", Origin{})
	assert.Equal(t, []int{100, 100, 10}, []int{cl.Node(a).ReplicaPriority, cl.Node(b).ReplicaPriority, cl.Node(c).ReplicaPriority})
	both, err := Merge(server(t, "valkey-9.2.nodes.conf", Origin{}), view(t, a+" master 2 0-16383", c+" slave:"+a+" 0"))
	require.NoError(t, err)
	assert.Equal(t, 10, both.Node(c).ReplicaPriority)

	// All that a reply can tell as a range costs no more than its length allows.
	text := strings.Repeat("a 1:1@2 master - 0 0 1 connected"+strings.Repeat(" [0-16383->-x]", 1000)+"\n", 1)
	cl, err = ParseNodes(text, Origin{})
	require.NoError(t, err)
	assert.Len(t, cl.Warnings(), 997)
	assert.LessOrEqual(t, cap(cl.Nodes()[0].Migrating), 2*16384)
	// A replica-priority that is not a number.
	cl, err = ParseNodes("a 1:1@2,,replica-priority=-1 master - 0 0 1 connected", Origin{})
	require.NoError(t, err)
	assert.Equal(t, []string{`line 1, byte 9: replica-priority "-1" is not a number`}, cl.Warnings())
	assert.Zero(t, cl.Node("a").ReplicaPriority)
}
