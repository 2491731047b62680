package redigo_test

import (
	"strconv"
	"testing"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/adapter/redigo"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap/command"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/mna/redisc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A slot is half-way from one node to another, then moves completely. The client handles
// ASK, TRYAGAIN and MOVED.
func TestOneSlot(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c := s.Three(t, 0)
		cl := &redigo.Client{Refresher: topology.Refresher{Seeds: c.Addrs()[:1]}, Dial: servers.Dial}
		require.NoError(t, cl.Refresh())
		tag := "{" + hashslot.Slot(0).Tag() + "}"
		do := func(name, key string, args ...any) redigo.Reply {
			return cl.Do(redigo.Command(append([]any{name, key}, args...)))
		}
		for _, k := range []string{"a", "b", "c"} {
			require.NoError(t, do("SET", tag+k, k).Err)
		}
		from, to := c.Nodes[0], c.Nodes[1]
		to.String("CLUSTER", "SETSLOT", "0", "IMPORTING", from.ID)
		from.String("CLUSTER", "SETSLOT", "0", "MIGRATING", to.ID)
		from.String("MIGRATE", to.Host, strconv.Itoa(to.Port), tag+"a", "0", "5000")

		ask := &cl.Errors[topology.ActionAsk]
		before := cl.Router.Generation()
		got, err := redis.String(do("GET", tag+"a").Value, nil)
		require.NoError(t, err)
		assert.Equal(t, "a", got)
		assert.EqualValues(t, 1, ask.Load())
		got, err = redis.String(do("GET", tag+"b").Value, nil)
		require.NoError(t, err)
		assert.Equal(t, "b", got, "still at the source")
		assert.EqualValues(t, 1, ask.Load())
		replies := cl.Pipeline([]redigo.Command{{"GET", tag + "a"}, {"GET", tag + "b"}, {"SET", tag + "new", "new"}})
		for i, want := range []any{[]byte("a"), []byte("b"), "OK"} {
			require.NoError(t, replies[i].Err)
			assert.Equal(t, want, replies[i].Value)
		}
		assert.EqualValues(t, 3, ask.Load())
		assert.Equal(t, before, cl.Router.Generation(), "ASK is about one command")

		// Each node has one of the two keys: the command must wait until the move continues.
		done := make(chan redigo.Reply)
		go func() { done <- do("MGET", tag+"a", tag+"b") }()
		c.Wait("TRYAGAIN", func() bool { return cl.Errors[topology.ActionRetry].Load() > 0 })
		from.String("MIGRATE", to.Host, strconv.Itoa(to.Port), "", "0", "5000", "KEYS", tag+"b", tag+"c")
		both, err := redis.Strings((<-done).Value, nil)
		require.NoError(t, err)
		assert.Equal(t, []string{"a", "b"}, both)

		moved := &cl.Errors[topology.ActionMoved]
		require.Zero(t, moved.Load())
		for _, n := range []*servers.Node{to, from, c.Nodes[2]} {
			n.String("CLUSTER", "SETSLOT", "0", "NODE", to.ID)
		}
		for _, k := range []string{"a", "b", "c", "new"} {
			got, err := redis.String(do("GET", tag+k).Value, nil)
			require.NoError(t, err)
			assert.Equal(t, k, got)
		}
		assert.EqualValues(t, 1, moved.Load())
		shard, _ := cl.Router.For(0)
		assert.Equal(t, to.ID, shard.Primary.ID)

		// Keys that are not the first argument, and unknown commands.
		got, err = redis.String(do("EVAL", "return redis.call('GET', KEYS[1])", 1, tag+"a").Value, nil)
		require.NoError(t, err)
		assert.Equal(t, "a", got)
		assert.EqualValues(t, 1, moved.Load())
		for _, line := range []redigo.Command{nil, {"GETX", "a"}} {
			assert.ErrorIs(t, cl.Do(line).Err, command.ErrUnknown)
			replies := cl.Pipeline([]redigo.Command{line, {"GET", tag + "b"}})
			assert.ErrorIs(t, replies[0].Err, command.ErrUnknown)
			assert.Equal(t, []byte("b"), replies[1].Value)
		}

		refused := do("MGET", "a", "b").Err
		require.ErrorContains(t, refused, "CROSSSLOT")
		require.ErrorContains(t, do("HGET", tag+"a", "f").Err, "WRONGTYPE")
		assert.EqualValues(t, 1, moved.Load())
	})
}

var (
	sinkAddr  string
	sinkShard *topology.Shard
)

// From key to node, by an array of addresses like that of redisc, and by a Router.
func BenchmarkRoute(b *testing.B) {
	keys := make([]string, 4096)
	for i := range keys {
		keys[i] = "user:" + strconv.Itoa(i*7919) + ":profile"
	}
	b.Run("by=redisc.Slot", func(b *testing.B) {
		var addrs [16384][]string
		for slot := range addrs {
			addrs[slot] = []string{"127.0.0.1:" + strconv.Itoa(7000+slot/5462)}
		}
		i := 0
		for b.Loop() {
			sinkAddr = addrs[redisc.Slot(keys[i%len(keys)])][0]
			i++
		}
	})
	b.Run("by=Router", func(b *testing.B) {
		view, err := topology.ParseNodes(
			"a 127.0.0.1:7000@17000 master - 0 0 1 connected 0-5460\n"+
				"b 127.0.0.1:7001@17001 master - 0 0 2 connected 5461-10922\n"+
				"c 127.0.0.1:7002@17002 master - 0 0 3 connected 10923-16383\n", topology.Origin{})
		require.NoError(b, err)
		var router topology.Router
		router.Apply(view, router.Generation())
		i := 0
		for b.Loop() {
			sinkShard, _ = router.ForKey(keys[i%len(keys)])
			i++
		}
	})
}
