package interop_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/stretchr/testify/require"
)

// views returns the replies to CLUSTER NODES, SLOTS and SHARDS over a connection.
func views(t *testing.T, s servers.Server, conn redis.Conn, from topology.Origin) map[string]*topology.Cluster {
	t.Helper()
	text, err := redis.String(conn.Do("CLUSTER", "NODES"))
	require.NoError(t, err)
	nodes, err := topology.ParseNodes(text, from)
	require.NoError(t, err)
	reply, err := conn.Do("CLUSTER", "SLOTS")
	require.NoError(t, err)
	slots, err := topology.ParseSlots(reply, from)
	require.NoError(t, err)
	all := map[string]*topology.Cluster{"NODES": nodes, "SLOTS": slots}
	if s.AtLeast(7, 0) {
		reply, err = conn.Do("CLUSTER", "SHARDS")
		require.NoError(t, err)
		all["SHARDS"], err = topology.ParseShards(reply, from)
		require.NoError(t, err)
	}
	return all
}

// routes sends each key to its owner, which must accept it, and to another node, which
// must redirect it to the owner that the map has.
func routes(t *testing.T, view *topology.Cluster, tls bool, dial func(addr string) (redis.Conn, error)) {
	t.Helper()
	var router topology.Router
	require.Equal(t, topology.OutcomeApplied, router.Apply(view, router.Generation()).Outcome)
	conns := map[string]redis.Conn{}
	for _, shard := range view.Shards() {
		addr := shard.Primary.Addr()
		conn, err := dial(addr)
		require.NoError(t, err)
		defer conn.Close()
		conns[addr] = conn
	}
	require.Len(t, conns, 3)
	for i := range 300 {
		key := "key:" + strconv.Itoa(i)
		shard, seen := router.ForKey(key)
		for addr, conn := range conns {
			_, err := conn.Do("SET", key, i)
			if addr == shard.Primary.Addr() {
				require.NoError(t, err, "%s to %s", key, addr)
				continue
			}
			require.Error(t, err)
			rd, err := topology.ParseRedirect(err.Error(), topology.Origin{Addr: addr, TLS: tls})
			require.NoError(t, err)
			result := router.Moved(rd, nil, seen)
			require.Equal(t, topology.OutcomeUnchanged, result.Outcome, "%+v", rd)
			require.Same(t, shard.Primary, result.Node)
		}
	}
}

func three(t *testing.T, s servers.Server, c servers.Config) *servers.Cluster {
	t.Helper()
	cluster, layout := create(t, s, 3, 0, c)
	require.Len(t, layout.Shards, 3)
	return cluster
}

// reach asserts that all views of the first node, which was asked at host, have the
// addresses of the nodes, and that commands reach their nodes by these addresses.
func reach(t *testing.T, s servers.Server, c *servers.Cluster, host string) {
	t.Helper()
	conn, err := c.Nodes[0].Dial()
	require.NoError(t, err)
	defer conn.Close()
	for command, view := range views(t, s, conn, topology.Origin{Addr: host}) {
		t.Run(command, func(t *testing.T) {
			for _, n := range c.Nodes {
				require.Equal(t, n.Addr(), view.Node(n.ID).Addr())
			}
			routes(t, view, false, servers.Dial)
		})
	}
}

func TestIPv6(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("this machine has no IPv6 loopback: %v", err)
	} else {
		l.Close()
	}
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c := three(t, s, servers.Config{Host: "::1"})
		reach(t, s, c, "::1")
	})
}

func TestTLS(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c := three(t, s, servers.Config{TLS: servers.NewTLS(t)})
		conn, err := c.Nodes[0].DialTLS()
		require.NoError(t, err)
		defer conn.Close()
		for command, view := range views(t, s, conn, topology.Origin{Addr: "127.0.0.1", TLS: true}) {
			t.Run(command, func(t *testing.T) {
				byAddr := map[string]*servers.Node{}
				for _, n := range c.Nodes {
					addr := net.JoinHostPort(n.Host, strconv.Itoa(n.TLSPort))
					require.Equal(t, addr, view.Node(n.ID).Addr())
					byAddr[addr] = n
				}
				routes(t, view, true, func(addr string) (redis.Conn, error) { return byAddr[addr].DialTLS() })
			})
		}
		if !s.AtLeast(6, 2) {
			return // 6.0 redirects clients without TLS to TLS ports
		}
		plain, err := c.Nodes[0].Dial()
		require.NoError(t, err)
		defer plain.Close()
		for command, view := range views(t, s, plain, topology.Origin{Addr: "127.0.0.1"}) {
			t.Run("plain/"+command, func(t *testing.T) { routes(t, view, false, servers.Dial) })
		}
	})
}

// Nodes with hostnames, which clients should use, and one node without a hostname.
func TestHostnames(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		if !s.AtLeast(7, 0) {
			t.Skip("hostnames came with version 7.0")
		}
		c := three(t, s, servers.Config{More: func(i int) []string {
			return []string{"cluster-announce-hostname", "localhost", "cluster-preferred-endpoint-type", "hostname"}
		}})
		conn, err := c.Nodes[0].Dial()
		require.NoError(t, err)
		defer conn.Close()
		c.Wait("hostnames are known", func() bool {
			view, err := c.Nodes[0].View()
			for _, n := range c.Nodes {
				if err != nil || view.Node(n.ID).Hostname != "localhost" {
					return false
				}
			}
			return true
		})
		for command, view := range views(t, s, conn, topology.Origin{Addr: "127.0.0.1"}) {
			t.Run(command, func(t *testing.T) {
				for _, n := range c.Nodes {
					host := "localhost"
					if command == "NODES" { // its address is the IP, whatever is preferred
						host = n.Host
					}
					require.Equal(t, net.JoinHostPort(host, strconv.Itoa(n.Port)), view.Node(n.ID).Addr())
				}
				routes(t, view, false, servers.Dial)
			})
		}

		c.Nodes[2].String("CONFIG", "SET", "cluster-announce-hostname", "")
		c.Wait("the hostname is forgotten", func() bool {
			view, err := c.Nodes[0].View()
			return err == nil && view.Node(c.Nodes[2].ID).Hostname == ""
		})
		for command, view := range views(t, s, conn, topology.Origin{Addr: "127.0.0.1"}) {
			t.Run("unnamed/"+command, func(t *testing.T) {
				node := view.Node(c.Nodes[2].ID)
				if command == "NODES" {
					require.Equal(t, c.Nodes[2].Addr(), node.Addr())
					return
				}
				require.Empty(t, node.Addr())
				require.Empty(t, node.Addr())
				require.Equal(t, "127.0.0.1", node.IP)
				var router topology.Router
				require.Equal(t, topology.OutcomeApplied, router.Apply(view, router.Generation()).Outcome)
				shard, seen := router.For(16383)
				require.Equal(t, node.ID, shard.Primary.ID)
				_, err := c.Nodes[0].Do("GET", "{"+hashslot.Slot(16383).Tag()+"}")
				require.ErrorContains(t, err, "MOVED 16383 ?:")
				rd, err := topology.ParseRedirect(err.Error(), topology.Origin{Addr: "127.0.0.1"})
				require.NoError(t, err)
				result := router.Moved(rd, nil, seen)
				require.Equal(t, topology.OutcomeUnroutable, result.Outcome)
				require.True(t, result.Refresh)
			})
		}
	})
}

// Nodes that do not announce their addresses: the host is the one that was asked.
func TestUnknownEndpoints(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		if !s.AtLeast(7, 0) {
			t.Skip("unknown endpoints came with version 7.0")
		}
		c := three(t, s, servers.Config{More: func(int) []string {
			return []string{"cluster-preferred-endpoint-type", "unknown-endpoint"}
		}})
		reach(t, s, c, "127.0.0.1")
	})
}
