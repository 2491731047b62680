package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/interop/proxy"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/mediocregopher/radix/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const count = 3000

// serve starts three nodes and a proxy, and returns a client of the proxy.
func serve(t *testing.T, s servers.Server) (*servers.Cluster, redis.Conn) {
	t.Helper()
	c := s.Three(t, 0)
	p := &proxy.Proxy{Router: new(topology.Router), Dial: func(addr string) (net.Conn, error) { return net.Dial("tcp", addr) }}
	p.Refresh = func() {
		view, err := c.Nodes[0].View()
		if err != nil {
			p.Router.RefreshFailed()
			return
		}
		p.Router.Apply(view, p.Router.Generation())
	}
	p.Refresh()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.Serve(client)
		}
	}()

	client, err := servers.Dial(l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return c, client
}

// A client that knows nothing of clusters works through a proxy, also while slots move.
func TestProxy(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c, client := serve(t, s)
		key := func(i int) string { return "k\x00\r\n{" + strconv.Itoa(i) + "}" }
		all := func(command func(i int) []any, check func(i int, reply any)) {
			t.Helper()
			for from := 0; from < count; from += 500 {
				for i := range 500 {
					args := command(from + i)
					require.NoError(t, client.Send(args[0].(string), args[1:]...))
				}
				require.NoError(t, client.Flush())
				for i := range 500 {
					reply, err := client.Receive()
					require.NoError(t, err)
					check(from+i, reply)
				}
			}
		}
		get := func() {
			t.Helper()
			all(func(i int) []any { return []any{"GET", key(i)} },
				func(i int, reply any) { require.Equal(t, []byte(strconv.Itoa(i)), reply) })
		}
		all(func(i int) []any { return []any{"SET", key(i), i} }, func(i int, reply any) { require.Equal(t, "OK", reply) })
		require.Equal(t, count, c.DBSize())
		get()
		require.Zero(t, c.Errors("MOVED"))

		c.Reshard(c.Nodes[0], c.Nodes[1], 2000)
		get()
		first := c.Errors("MOVED")
		assert.Positive(t, first)
		get()
		assert.Equal(t, first, c.Errors("MOVED"), "MOVED after the Router has learned")
		t.Logf("%d of %d commands got MOVED, then none", first, count)

		_, err := client.Do("HGET", key(0), "field")
		require.ErrorContains(t, err, "WRONGTYPE", "errors are handed on")
		_, err = client.Do("DEL", "big")
		require.NoError(t, err)
		big := strings.Repeat("x", 3<<20)
		_, err = client.Do("SET", "big", big)
		require.NoError(t, err)
		got, err := redis.String(client.Do("GET", "big"))
		require.NoError(t, err)
		require.True(t, got == big)
	})
}

func TestNotRESP(t *testing.T) {
	for _, in := range []string{"PING\r\n", "*2\r\n$3\r\nGET\r\n$-1\r\n", "*2\r\n$3\r\nGET\r\n$99999999999999999999\r\n",
		"*2\r\n$3\r\nGET\r\n:1\r\n", "*99999999999\r\n", "*-1\r\n", "\r\n", "*0\r\n", strings.Repeat("*", 5000)} {
		s := (&proxy.Proxy{Router: new(topology.Router)}).NewSession()
		err := s.Read(bufio.NewReader(strings.NewReader(in)))
		require.Error(t, err, "%q", in)
		require.ErrorContains(t, err, "not RESP", "%q", in)
	}
	s := (&proxy.Proxy{Router: new(topology.Router)}).NewSession()
	err := s.Read(bufio.NewReader(strings.NewReader("*2\r\n$3\r\nGET\r\n$10\r\nabc")))
	require.True(t, errors.Is(err, io.ErrUnexpectedEOF), "%v", err)
}

var sink int

// batch returns a session that has read a batch of n commands.
func batch(tb testing.TB, n int) (*proxy.Session, [][]byte) {
	var in strings.Builder
	var keys [][]byte
	for i := range n {
		key := "user:" + strconv.Itoa(i*7919) + ":profile"
		keys = append(keys, []byte(key))
		fmt.Fprintf(&in, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", len(key), key)
	}
	view, err := topology.ParseNodes(
		"a 127.0.0.1:7000@17000 master - 0 0 1 connected 0-5460\n"+
			"b 127.0.0.1:7001@17001 master - 0 0 2 connected 5461-10922\n"+
			"c 127.0.0.1:7002@17002 master - 0 0 3 connected 10923-16383\n", topology.Origin{})
	require.NoError(tb, err)
	router := new(topology.Router)
	router.Apply(view, router.Generation())
	s := (&proxy.Proxy{Router: router}).NewSession()
	require.NoError(tb, s.Read(bufio.NewReaderSize(strings.NewReader(in.String()), 1<<20)))
	return s, keys
}

func TestRouteAllocatesNothing(t *testing.T) {
	s, _ := batch(t, 200)
	s.Route()
	assert.Zero(t, testing.AllocsPerRun(100, func() { s.Route() }))
}

// A pipeline with all kinds of commands is divided by shard and sent, and its replies are
// put in order, while slots move.
func TestMixedPipeline(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c, client := serve(t, s)
		type exchange struct {
			command string
			want    any
		}
		bulk := func(words ...string) (list []any) {
			for _, w := range words {
				if list = append(list, []byte(w)); w == "nil" {
					list[len(list)-1] = nil
				}
			}
			return list
		}
		ok, queued := "OK", "QUEUED"
		one := int64(1)
		pipeline := func(r string) []exchange {
			return []exchange{
				{"MSET a" + r + " 1 b" + r + " 2 c" + r + " 3 d" + r + " 4 {a" + r + "}2 5", ok},
				{"MGET c" + r + " b" + r + " none" + r + " a" + r + " {a" + r + "}2 d" + r + " b" + r, bulk("3", "2", "nil", "1", "5", "4", "2")},
				{"GET b" + r, []byte("2")},
				{"EXISTS a" + r + " b" + r + " none" + r + " b" + r, int64(3)},
				{"TOUCH a" + r + " b" + r + " c" + r, int64(3)},
				{"INCRBY c" + r + " 10", int64(13)},
				{"EVAL return{KEYS[1],ARGV[1]} 1 b" + r + " x", bulk("b"+r, "x")},
				{"EVAL return{KEYS[1],KEYS[2]} 2 a" + r + " b" + r, redis.Error("CROSSSLOT Keys in request don't hash to the same slot")},
				{"RENAME a" + r + " b" + r, redis.Error("CROSSSLOT Keys in request don't hash to the same slot")},
				{"WATCH a" + r, ok},
				{"MULTI", ok},
				{"INCR a" + r, queued},
				{"MGET a" + r + " {a" + r + "}2", queued},
				{"EXEC", []any{int64(2), bulk("2", "5")}},
				{"MULTI", ok},
				{"SET a" + r + " x", queued},
				{"SET b" + r + " x", redis.Error("CROSSSLOT Keys in request don't hash to the same slot")},
				{"EXEC", redis.Error("EXECABORT Transaction discarded because of previous errors.")},
				{"MULTI", ok},
				{"SET a" + r + " x", queued},
				{"DISCARD", ok},
				{"SORT none" + r + " BY nosort STORE {none" + r + "}2", int64(0)},
				{"PING", "PONG"},
				{"SCRIPT LOAD return(1)", nil}, // 40 digits
				{"HGET a" + r + " f", redis.Error("WRONGTYPE Operation against a key holding the wrong kind of value")},
				{"SCAN 0", redis.Error("ERR the proxy does not forward scan")},
				{"GET", redis.Error("ERR wrong number of arguments for 'get' command")},
				{"UNLINK a" + r + " b" + r + " none" + r, int64(2)},
				{"DEL c" + r + " d" + r + " {a" + r + "}2", int64(3)},
				{"SETNX a" + r + " last", one},
			}
		}
		run := func(from, rounds int) {
			t.Helper()
			var all []exchange
			for i := range rounds {
				all = append(all, pipeline(":"+strconv.Itoa(from+i))...)
			}
			for _, x := range all {
				words := strings.Split(x.command, " ")
				require.NoError(t, client.Send(words[0], servers.Args(words[1:])...))
			}
			require.NoError(t, client.Flush())
			for _, x := range all {
				got, err := client.Receive()
				if err != nil {
					got = err
				}
				if strings.HasPrefix(x.command, "SCRIPT LOAD") {
					require.Len(t, got, 40, x.command)
					continue
				}
				if want, is := x.want.(redis.Error); is {
					require.IsType(t, want, got, x.command)
					require.True(t, strings.HasPrefix(got.(redis.Error).Error(), strings.Fields(string(want))[0]), "%s: %v, want %v", x.command, got, want)
					if strings.HasPrefix(string(want), "ERR") {
						require.Equal(t, want, got, x.command)
					}
					continue
				}
				require.Equal(t, x.want, got, x.command)
			}
		}
		run(0, 20)
		require.Zero(t, c.Errors("CROSSSLOT"), "the proxy sends nothing that a server refuses so")
		require.Zero(t, c.Errors("MOVED"))
		n, err := redis.Int(client.Do("DBSIZE"))
		require.NoError(t, err)
		require.Equal(t, 20, n)
		keys, err := redis.Strings(client.Do("KEYS", "a:*"))
		require.NoError(t, err)
		require.Len(t, keys, 20)
		loaded, err := redis.Ints(client.Do("SCRIPT", "EXISTS", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "none"))
		require.NoError(t, err)
		require.Equal(t, []int{0, 0}, loaded)
		c.Reshard(c.Nodes[0], c.Nodes[1], 3000)
		run(20, 40)
		require.Positive(t, c.Errors("MOVED"))
		moved := c.Errors("MOVED")
		run(60, 20)
		require.Equal(t, moved, c.Errors("MOVED"), "MOVED after the Router has learned")
	})
}

// To divide a batch of commands by owner, by the Router and in the usual way. The time is
// that of a batch.
func BenchmarkRoute(b *testing.B) {
	const n = 200
	s, keys := batch(b, n)
	b.Run("by=Router", func(b *testing.B) {
		for b.Loop() {
			sink += int(s.Route())
		}
	})
	b.Run("by=map", func(b *testing.B) {
		var owners [16384]int
		for slot := range owners {
			owners[slot] = slot / 5462
		}
		for b.Loop() {
			groups := map[int][]int{}
			for i, k := range keys {
				owner := owners[radix.ClusterSlot(k)]
				groups[owner] = append(groups[owner], i)
			}
			sink += len(groups)
		}
	})
}
