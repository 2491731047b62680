package interop_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/adapter/redigo"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// create starts a cluster as plan.Create lays it out.
func create(t testing.TB, s servers.Server, nodes, replicas int, c servers.Config) (*servers.Cluster, plan.Layout) {
	t.Helper()
	cluster := s.Start(t, nodes, c)
	layout, err := plan.Create(cluster.Hosts(), replicas)
	require.NoError(t, err)
	cluster.Create(layout)
	return cluster, layout
}

// client returns a client that has the map of the cluster.
func client(t testing.TB, c *servers.Cluster) *redigo.Client {
	t.Helper()
	client := &redigo.Client{Dial: servers.Dial}
	for _, n := range c.Nodes {
		client.Refresher.Seeds = append(client.Refresher.Seeds, n.Addr())
	}
	require.NoError(t, client.Refresh())
	return client
}

// keys returns n different keys: words and binary ones, with and without tags, some with
// braces that form no tag.
func keys(n int) []string {
	r := rand.New(rand.NewPCG(1, 2))
	const braces = "{}{}{}ab\x00\r\n\xff "
	out := make([]string, 0, n)
	seen := map[string]bool{}
	for len(out) < n {
		var k string
		switch r.IntN(4) {
		case 0:
			k = "user:" + strconv.Itoa(r.IntN(1e6))
		case 1:
			k = fmt.Sprintf("{%x}:%d", r.IntN(1e4), r.IntN(1e4))
		default:
			b := make([]byte, 1+r.IntN(40))
			for i := range b {
				if b[i] = byte(r.IntN(256)); r.IntN(2) == 0 {
					b[i] = braces[r.IntN(len(braces))]
				}
			}
			k = string(b)
		}
		if !seen[k] {
			seen[k] = true
			out = append(out, k)
		}
	}
	return out
}

// pipelined sends commands over one connection and returns the replies, including errors
// of the server.
func pipelined(t testing.TB, conn redis.Conn, n int, command func(i int) (string, []any)) []any {
	t.Helper()
	replies := make([]any, n)
	const atOnce = 1000 // with more, each side may wait for the other to read
	for from := 0; from < n; from += atOnce {
		to := min(n, from+atOnce)
		for i := from; i < to; i++ {
			name, args := command(i)
			require.NoError(t, conn.Send(name, args...))
		}
		require.NoError(t, conn.Flush())
		for i := from; i < to; i++ {
			reply, err := conn.Receive()
			if replies[i] = reply; err != nil {
				require.IsType(t, redis.Error(""), err)
				replies[i] = err
			}
		}
	}
	return replies
}

func TestKeySlot(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c := s.Start(t, 1, servers.Config{})
		conn, err := c.Nodes[0].Dial()
		require.NoError(t, err)
		defer conn.Close()
		keys := append(keys(20000), "", "mykey", "123456789")
		replies := pipelined(t, conn, len(keys), func(i int) (string, []any) { return "CLUSTER", []any{"KEYSLOT", keys[i]} })
		batch := hashslot.AppendOf(nil, keys)
		for i, k := range keys {
			want := hashslot.Slot(replies[i].(int64))
			require.Equal(t, want, hashslot.Of(k), "%q", k)
			require.Equal(t, want, batch[i], "%q in a batch", k)
		}
		assert.EqualValues(t, 14687, batch[20001])
	})
}

// A cluster that is made by plan.Create works. The server's own tool finds no fault with
// it, and a Router answers as the servers do.
func TestCreate(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c, layout := create(t, s, 6, 1, servers.Config{})
		for _, n := range c.Nodes {
			require.Equal(t, "ok", n.Info("cluster_state"))
			require.Equal(t, strconv.Itoa(hashslot.Count), n.Info("cluster_slots_ok"))
		}
		out, err := s.CLI("--cluster", "check", c.Nodes[0].Addr())
		require.NoError(t, err, out)
		require.Contains(t, out, "[OK] All 16384 slots covered.")

		view, err := c.Nodes[0].View()
		require.NoError(t, err)
		for _, shard := range layout.Shards {
			for r := range shard.Slots.Ranges() {
				got, _ := view.Table().Lookup(r.First)
				require.Equal(t, shard.Primary.Addr, got.Primary.Addr())
				require.Len(t, got.Replicas, len(shard.Replicas))
				require.Equal(t, shard.Replicas[0].Addr, got.Replicas[0].Addr())
			}
		}

		cl := client(t, c)
		keys := keys(20000)
		commands := make([]redigo.Command, len(keys))
		for i, k := range keys {
			commands[i] = redigo.Command{"SET", k, i}
		}
		for i, r := range cl.Pipeline(commands) {
			require.NoError(t, r.Err, "%q", keys[i])
		}
		for a := range cl.Errors {
			assert.Zero(t, cl.Errors[a].Load(), "errors that ask for %s", topology.Action(a))
		}

		origin := topology.Origin{Addr: c.Nodes[0].Host}
		ask := map[string]func() (*topology.Cluster, error){
			"NODES": c.Nodes[0].View,
			"SLOTS": func() (*topology.Cluster, error) {
				reply, err := c.Nodes[0].Do("CLUSTER", "SLOTS")
				require.NoError(t, err)
				return topology.ParseSlots(reply, origin)
			},
			"SHARDS": func() (*topology.Cluster, error) {
				reply, err := c.Nodes[0].Do("CLUSTER", "SHARDS")
				require.NoError(t, err)
				return topology.ParseShards(reply, origin)
			},
		}
		if !s.AtLeast(7, 0) {
			delete(ask, "SHARDS")
		}
		for command, f := range ask {
			for _, policy := range []topology.ReadPolicy{topology.ReadPrimary, topology.ReadReplica} {
				t.Run(fmt.Sprintf("%s/policy=%d", command, policy), func(t *testing.T) {
					var view *topology.Cluster
					c.Wait("new replicas are shown as serving", func() bool {
						var err error
						view, err = f()
						require.NoError(t, err)
						for _, shard := range view.Shards() {
							if len(shard.Replicas) != 1 || !shard.Replicas[0].Serves() {
								return false
							}
						}
						return true
					})
					assert.Empty(t, view.Warnings())
					assert.Empty(t, view.Unassigned())
					router := new(topology.Router)
					require.Equal(t, topology.OutcomeApplied, router.Apply(view, router.Generation()).Outcome)
					readAll(t, c, router, policy, keys)
				})
			}
		}
	})
}

// readAll reads each key from the node that the router names. The value of key i must
// be i.
func readAll(t *testing.T, c *servers.Cluster, router *topology.Router, policy topology.ReadPolicy, keys []string) {
	t.Helper()
	byNode := map[string][]int{}
	for i, k := range keys {
		node, _ := router.ReadKey(k, policy)
		require.NotNil(t, node, "%q", k)
		byNode[node.Addr()] = append(byNode[node.Addr()], i)
	}
	require.Len(t, byNode, 3)
	for addr, which := range byNode {
		conn, err := c.At(addr).Dial()
		require.NoError(t, err)
		defer conn.Close()
		if policy == topology.ReadReplica {
			_, err = conn.Do("READONLY")
			require.NoError(t, err)
			role, err := redis.Values(conn.Do("ROLE"))
			require.NoError(t, err)
			require.Equal(t, "slave", string(role[0].([]byte)))
		}
		c.Wait("the replica has everything", func() bool { // replication is asynchronous
			n, err := redis.Int(conn.Do("DBSIZE"))
			return err == nil && n == len(which)
		})
		for i, reply := range pipelined(t, conn, len(which), func(i int) (string, []any) { return "GET", []any{keys[which[i]]} }) {
			require.Equal(t, []byte(strconv.Itoa(which[i])), reply, "%q of %s", keys[which[i]], addr)
		}
	}
}
