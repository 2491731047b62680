package goredis_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/hashslot/hashslot/interop/goredis"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const count = 3000

func key(i int) string { return "user:" + strconv.Itoa(i) }

// Slots are moved behind the back of two clients, one of go-redis as it is and one
// that is fed by a Router. Both find all keys.
func TestClient(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		ctx := t.Context()
		c := s.Three(t, 0)
		plain := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs()})
		defer plain.Close()
		fed := goredis.New(redis.ClusterOptions{Addrs: c.Addrs()})
		defer fed.Close()

		keys := make([]string, count)
		sets := make([]redis.Cmder, count)
		for i := range keys {
			keys[i] = key(i)
			sets[i] = redis.NewStatusCmd(ctx, "set", keys[i], i)
		}
		require.ErrorIs(t, fed.Get(ctx, "none").Err(), redis.Nil) // now it has the map
		fed.Pipeline(ctx, sets)
		for i, cmd := range sets {
			require.NoError(t, cmd.Err(), keys[i])
		}
		require.Zero(t, c.Errors("MOVED"))
		require.NoError(t, plain.Ping(ctx).Err())
		require.NoError(t, plain.Get(ctx, keys[0]).Err())

		c.Reshard(c.Nodes[0], c.Nodes[1], 2000)
		before := c.Errors("MOVED")
		readAll(t, fed, keys)
		first := c.Errors("MOVED") - before
		assert.Positive(t, first)
		readAll(t, fed, keys)
		assert.Equal(t, first, c.Errors("MOVED")-before, "MOVED after the Router has learned")

		before = c.Errors("MOVED")
		for range 2 {
			pipe := plain.Pipeline()
			for _, k := range keys {
				pipe.Get(ctx, k)
			}
			_, err := pipe.Exec(ctx)
			require.NoError(t, err)
		}
		plainly := c.Errors("MOVED") - before
		assert.LessOrEqual(t, first, plainly, "a command is redirected once")
		t.Logf("MOVED for two pipelines of %d commands: %d by the Router, %d by go-redis alone", count, first, plainly)

		// Commands that go-redis sends by itself use the Router's map, as soon as
		// go-redis has asked for it, which it does every 0.2 s at most.
		require.Eventually(t, func() bool {
			before := c.Errors("MOVED")
			for i, k := range keys {
				assert.Equal(t, strconv.Itoa(i), fed.Get(ctx, k).Val())
			}
			return c.Errors("MOVED") == before
		}, 30*time.Second, 100*time.Millisecond)
	})
}

func readAll(t *testing.T, c *goredis.Client, keys []string) {
	t.Helper()
	gets := make([]redis.Cmder, len(keys))
	for i, k := range keys {
		gets[i] = redis.NewStringCmd(t.Context(), "get", k)
	}
	c.Pipeline(t.Context(), gets)
	for i, cmd := range gets {
		require.Equal(t, strconv.Itoa(i), cmd.(*redis.StringCmd).Val(), "%s: %v", keys[i], cmd.Err())
	}
}

// A cluster that is only a map: three primaries, and the slots dealt out in
// ranges.
func slots(ranges int) (text string, slots []redis.ClusterSlot) {
	lines := [3]string{}
	for i := range lines {
		lines[i] = fmt.Sprintf("%040x 127.0.0.1:%d@%d master - 0 0 %d connected", i, 7000+i, 17000+i, i+1)
	}
	for r := range ranges {
		first, last := r*16384/ranges, (r+1)*16384/ranges-1
		lines[r%3] += fmt.Sprintf(" %d-%d", first, last)
		slots = append(slots, redis.ClusterSlot{Start: first, End: last,
			Nodes: []redis.ClusterNode{{ID: strconv.Itoa(r % 3), Addr: "127.0.0.1:" + strconv.Itoa(7000+r%3)}}})
	}
	return lines[0] + "\n" + lines[1] + "\n" + lines[2] + "\n", slots
}

var (
	sinkClient *redis.Client
	sinkShard  *topology.Shard
)

// From key to node, as go-redis finds it and as a Router does.
func BenchmarkRoute(b *testing.B) {
	keys := make([]string, 4096)
	for i := range keys {
		keys[i] = "user:" + strconv.Itoa(i*7919) + ":profile"
	}
	text, slots := slots(3)
	view, err := topology.ParseNodes(text, topology.Origin{})
	require.NoError(b, err)
	b.Run("by=go-redis", func(b *testing.B) {
		client := redis.NewClusterClient(&redis.ClusterOptions{
			ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) { return slots, nil }})
		defer client.Close()
		ctx, i := context.Background(), 0
		for b.Loop() {
			sinkClient, _ = client.MasterForKey(ctx, keys[i%len(keys)])
			i++
		}
	})
	b.Run("by=Router", func(b *testing.B) {
		var router topology.Router
		router.Apply(view, router.Generation())
		i := 0
		for b.Loop() {
			sinkShard, _ = router.ForKey(keys[i%len(keys)])
			i++
		}
	})
	b.Run("by=Split", func(b *testing.B) { // a batch: the time of a key
		var router topology.Router
		router.Apply(view, router.Generation())
		for i := 0; i < b.N; i += len(keys) {
			groups, _, _ := router.Split(keys)
			sinkShard = groups[0].Owner
		}
	})
}
