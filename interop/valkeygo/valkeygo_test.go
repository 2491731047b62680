package valkeygo_test

import (
	"strconv"
	"testing"

	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/interop/valkeygo"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/valkey-io/valkey-go"
)

const count = 3000

// Slots are moved behind the back of two clients, one of valkey-go as it is and
// one with a Router. Both find all keys.
func TestClient(t *testing.T) {
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
		for i, r := range routed.DoMulti(ctx, keys, func(b valkey.Builder, i int) valkey.Completed {
			return b.Set().Key(keys[i]).Value(strconv.Itoa(i)).Build()
		}) {
			require.NoError(t, r.Error(), keys[i])
		}
		require.Zero(t, c.Errors("MOVED"))
		require.NoError(t, plain.Do(ctx, plain.B().Get().Key(keys[0]).Build()).Error())

		c.Reshard(c.Nodes[0], c.Nodes[1], 2000)
		read := func() {
			t.Helper()
			for i, r := range routed.DoMulti(ctx, keys, func(b valkey.Builder, i int) valkey.Completed {
				return b.Get().Key(keys[i]).Build()
			}) {
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
		for range 2 {
			commands := make([]valkey.Completed, count)
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

// Building a command and finding its node: valkey-go hashes while it builds, so
// that is measured, without what its cluster client then does with the slot; with
// a Router, both the command and the node.
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
