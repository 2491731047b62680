package goredis_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/hashslot/hashslot/adapter/goredis"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const count = 3000

func key(i int) string { return "user:" + strconv.Itoa(i) }

// Slots move without the knowledge of two clients: one is go-redis alone, the other gets
// its map from a Router. Both find all keys.
func TestGoRedis(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		ctx := t.Context()
		c := s.Three(t, 0)
		plain := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs()})
		defer plain.Close()
		fed := goredis.New(redis.ClusterOptions{Addrs: c.Addrs()})
		defer fed.Close()

		keys := make([]string, count)
		sets := fed.Pipeline()
		for i := range keys {
			keys[i] = key(i)
			sets.Set(ctx, keys[i], i, 0)
		}
		_, err := sets.Exec(ctx)
		require.NoError(t, err)
		require.Zero(t, c.Errors("MOVED"))
		require.NoError(t, plain.Ping(ctx).Err())
		require.NoError(t, plain.Get(ctx, keys[0]).Err())

		c.Reshard(c.Nodes[0], c.Nodes[1], 2000)
		before := c.Errors("MOVED")
		readAll(t, fed, keys)
		first := c.Errors("MOVED") - before
		assert.Positive(t, first)
		// go-redis asks for the Router's map every 0.2 s at most. From then on no
		// command is redirected.
		require.Eventually(t, func() bool {
			before := c.Errors("MOVED")
			readAll(t, fed, keys)
			for i, k := range keys[:100] {
				assert.Equal(t, strconv.Itoa(i), fed.Get(ctx, k).Val())
			}
			return c.Errors("MOVED") == before
		}, 30*time.Second, 100*time.Millisecond)
		readAll(t, plain, keys)
		t.Logf("MOVED for the first pipeline of %d commands: %d", count, first)
	})
}

func readAll(t *testing.T, c interface{ Pipeline() redis.Pipeliner }, keys []string) {
	t.Helper()
	pipe := c.Pipeline()
	for _, k := range keys {
		pipe.Get(t.Context(), k)
	}
	cmds, err := pipe.Exec(t.Context())
	require.NoError(t, err)
	for i, cmd := range cmds {
		require.Equal(t, strconv.Itoa(i), cmd.(*redis.StringCmd).Val(), "%s: %v", keys[i], cmd.Err())
	}
}

// TestTransaction asserts that a transaction is sent to one node, and that its results have
// go-redis's form.
func TestTransaction(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c := s.Three(t, 0)
		fed := goredis.New(redis.ClusterOptions{Addrs: c.Addrs()})
		defer fed.Close()
		tx := fed.TxPipeline()
		set, get := tx.Set(t.Context(), "{tx}a", 1, 0), tx.Get(t.Context(), "{tx}a")
		_, err := tx.Exec(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "OK", set.Val())
		assert.Equal(t, "1", get.Val())
	})
}

// A cluster that is only a map: three primaries with ranges of slots.
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

// From key to node, by go-redis and by a Router.
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
	b.Run("by=Split", func(b *testing.B) { // a batch: the time is that of one key
		var router topology.Router
		router.Apply(view, router.Generation())
		for i := 0; i < b.N; i += len(keys) {
			groups, _, _ := router.Split(keys)
			sinkShard = groups[0].Owner
		}
	})
}
