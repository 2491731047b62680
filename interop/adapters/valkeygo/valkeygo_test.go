package valkeygo_test

import (
	"strconv"
	"testing"

	"github.com/hashslot/hashslot/adapter/valkeygo"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap/command"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/valkey-io/valkey-go"
)

const count = 3000

// Slots move without the knowledge of two clients: one is valkey-go alone, the other has a
// Router. Both find all keys.
func TestValkeyGo(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		ctx := t.Context()
		c := s.Three(t, 0)
		opt := valkey.ClientOption{InitAddress: c.Addrs(), DisableCache: true}
		plain, err := valkey.NewClient(opt)
		require.NoError(t, err)
		defer plain.Close()
		routed, err := valkeygo.New(ctx, opt)
		require.NoError(t, err)
		defer routed.Close()

		keys := make([]string, count)
		for i := range keys {
			keys[i] = "user:" + strconv.Itoa(i)
		}
		commands := make([]valkey.Completed, count)
		for i, k := range keys {
			commands[i] = routed.B().Set().Key(k).Value(strconv.Itoa(i)).Build()
		}
		for i, r := range routed.DoMulti(ctx, commands...) {
			require.NoError(t, r.Error(), keys[i])
		}
		require.Zero(t, c.Errors("MOVED"))
		require.NoError(t, plain.Do(ctx, plain.B().Get().Key(keys[0]).Build()).Error())

		c.Reshard(c.Nodes[0], c.Nodes[1], 2000)
		read := func() {
			t.Helper()
			for i, k := range keys {
				commands[i] = routed.B().Get().Key(k).Build()
			}
			for i, r := range routed.DoMulti(ctx, commands...) {
				got, err := r.ToString()
				require.NoError(t, err, keys[i])
				require.Equal(t, strconv.Itoa(i), got, keys[i])
			}
		}
		before := c.Errors("MOVED")
		read()
		first := c.Errors("MOVED") - before
		assert.Positive(t, first)
		read()
		assert.Equal(t, first, c.Errors("MOVED")-before, "MOVED after the Router has learned")

		before = c.Errors("MOVED")
		// Keys that are not the first argument, and an unknown command.
		for i, k := range keys {
			commands[i] = routed.B().Eval().Script("return redis.call('GET', KEYS[1])").Numkeys(1).Key(k).Build()
		}
		commands[count/2] = routed.B().Arbitrary("GETX").Keys("a").Build()
		for i, r := range routed.DoMulti(ctx, commands...) {
			if i == count/2 {
				require.ErrorIs(t, r.Error(), command.ErrUnknown)
				continue
			}
			got, err := r.ToString()
			require.NoError(t, err, keys[i])
			require.Equal(t, strconv.Itoa(i), got, keys[i])
		}
		assert.Equal(t, before, c.Errors("MOVED"))

		for range 2 {
			for i, k := range keys {
				commands[i] = plain.B().Get().Key(k).Build()
			}
			for _, r := range plain.DoMulti(ctx, commands...) {
				require.NoError(t, r.Error())
			}
		}
		t.Logf("MOVED for two pipelines of %d commands: %d by the Router, %d by valkey-go alone", count, first, c.Errors("MOVED")-before)
	})
}

var (
	sinkCompleted valkey.Completed
	sinkShard     *topology.Shard
)

// To build a command and find its node. valkey-go hashes while it builds, and only that is
// measured, not the lookup of the node by its cluster client. With a Router, both building
// and lookup are measured.
func BenchmarkRoute(b *testing.B) {
	keys := make([]string, 4096)
	for i := range keys {
		keys[i] = "user:" + strconv.Itoa(i*7919) + ":profile"
	}
	c := servers.One(b).Three(b, 0)
	opt := valkey.ClientOption{InitAddress: c.Addrs(), DisableCache: true}
	plain, err := valkey.NewClient(opt)
	require.NoError(b, err)
	defer plain.Close()
	opt.ForceSingleClient = true
	single, err := valkey.NewClient(opt)
	require.NoError(b, err)
	defer single.Close()
	view, err := c.Nodes[0].View()
	require.NoError(b, err)
	var router topology.Router
	router.Apply(view, router.Generation())

	b.Run("by=valkey-go", func(b *testing.B) {
		i := 0
		for b.Loop() {
			sinkCompleted = plain.B().Get().Key(keys[i%len(keys)]).Build()
			i++
		}
	})
	b.Run("by=Router", func(b *testing.B) {
		i := 0
		for b.Loop() {
			k := keys[i%len(keys)]
			sinkCompleted = single.B().Get().Key(k).Build()
			sinkShard, _ = router.ForKey(k)
			i++
		}
	})
}
