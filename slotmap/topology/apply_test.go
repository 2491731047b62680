package topology

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// slotsOf returns a view by CLUSTER SLOTS of the node with the address asked, or of an
// unknown node if that is "". A shard is "first-last" and "host" or "host/id" of each
// node.
func slotsOf(t testing.TB, asked string, shards ...string) *Cluster {
	var reply []any
	for _, s := range shards {
		f := strings.Fields(s)
		r, err := slotmap.ParseRange(f[0])
		require.NoError(t, err)
		entry := []any{r.First, r.Last}
		for _, n := range f[1:] {
			host, id, ok := strings.Cut(n, "/")
			node := []any{host + ".example", 6379}
			if ok {
				node = append(node, id)
			}
			entry = append(entry, node)
		}
		reply = append(reply, entry)
	}
	c, err := ParseSlots(reply, Origin{Addr: asked})
	require.NoError(t, err)
	return c
}

// A node that the map knows without its id, and with its epoch, keeps the epoch when an
// older view shows the id.
func TestEpochOfANodeThatGetsAnID(t *testing.T) {
	for _, old := range []struct{ x, y string }{{"x master 5 0-99", "100"}, {"x slave:y 7", "0"}, {"x master,fail 5", "0"}} {
		var r Router
		r.Apply(view(t, "x master 9 0-99", "y master 7 100-199"), 0)
		r.Apply(slotsOf(t, "", "0-99 x", "100-199 y"), r.Generation())
		require.Equal(t, uint64(9), r.NodeByAddr("x.example:6379").ConfigEpoch)
		require.Equal(t, "0-99 x.example:6379, 100-199 y.example:6379", ownersOf(&r))
		for last := 200; last < 204; last++ {
			got := r.Apply(view(t, old.x, fmt.Sprintf("y master 7 %s-%d", old.y, last)), r.Generation())
			require.Equal(t, OutcomePartly, got.Outcome, old)
			require.Equal(t, fmt.Sprintf("0-99 x, 100-%d y", last), ownersOf(&r), old)
			assert.Equal(t, uint64(9), r.Node("x").ConfigEpoch, old)
			assert.False(t, r.Node("x").down())
			checkMap(t, &r)
		}
	}
}

// A node with an id may take the place of one that the map knows without. Then it
// leaves the shard that it was in.
func TestNodeThatTakesThePlaceOfOneWithoutAnID(t *testing.T) {
	var r Router
	r.Apply(view(t, "a master 1 0-99", "x slave:a 1"), 0)
	r.Apply(slotsOf(t, "", "100-199 x"), r.Generation())
	require.Equal(t, "0-99 a, 100-199 x.example:6379", ownersOf(&r))
	r.Apply(view(t, "a master 1 0-99", "x slave:a 1"), r.Generation())
	assert.Equal(t, "0-99 a, 100-199 x", ownersOf(&r))
	assert.Equal(t, RolePrimary, r.Node("x").Role)
	checkMap(t, &r)
}

// A view from an address of several nodes of the map is that of one of them.
func TestSourceAtASharedAddress(t *testing.T) {
	var r Router
	r.Apply(slotsOf(t, "", "0-199 p/a", "200-299 p/b"), 0)
	r.Apply(slotsOf(t, "", "0-99 p/a", "100-299 p/b"), r.Generation())
	require.Equal(t, "0-99 a, 100-299 b", ownersOf(&r))
	got := r.Apply(slotsOf(t, "p.example:6379", "0-199 q/a", "200-299 q/b"), r.Generation())
	assert.NotEqual(t, OutcomeApplied, got.Outcome, "not b itself says that it gave the slots up")
	assert.Equal(t, "0-99 a, 100-299 b", ownersOf(&r))
	checkMap(t, &r)
}

// A view that was asked for before the first one came is late.
func TestLateSecondView(t *testing.T) {
	var r Router
	r.Apply(slotsOf(t, "", "0-99 a/a", "100-199 b/b"), 0)
	assert.Equal(t, OutcomeStale, r.Apply(slotsOf(t, "", "0-89 a/a", "90-199 b/b"), 0).Outcome)
	assert.Equal(t, OutcomeApplied, r.Apply(slotsOf(t, "", "0-89 a/a", "90-199 b/b"), r.Generation()).Outcome)
}

// Pointers of shards that a view leaves as they are stay, whether or not nodes have ids,
// and whatever the order of the replicas.
func TestShardsThatStay(t *testing.T) {
	for _, c := range []struct{ before, same *Cluster }{
		{slotsOf(t, "", "0-99 a/a b/b c/c", "100-199 d/d"), slotsOf(t, "", "0-99 a/a c/c b/b", "100-189 d/d", "190-199 e/e")},
		{slotsOf(t, "", "0-99 a b c", "100-199 d"), slotsOf(t, "", "0-99 a c b", "100-189 d", "190-199 e")},
		{slotsOf(t, "", "0-99 a b c", "100-199 d"), slotsOf(t, "", "0-99 a b c", "100-189 d", "190-199 e")},
	} {
		for _, apply := range []func(*Router) Result{
			func(r *Router) Result { return r.Apply(c.same, r.Generation()) },
			func(r *Router) Result { return r.Replace(c.same) },
		} {
			var r Router
			r.Apply(c.before, 0)
			a, _ := r.For(0)
			d, _ := r.For(100)
			require.Equal(t, OutcomeApplied, apply(&r).Outcome)
			for slot, want := range map[hashslot.Slot]*Shard{0: a, 100: d} {
				got, _ := r.For(slot)
				assert.Same(t, want, got)
			}
			checkMap(t, &r)
		}
	}
	// A replica that takes the place of another makes another shard.
	var r Router
	r.Apply(slotsOf(t, "", "0-99 a/a b/b c/c"), 0)
	r.Apply(slotsOf(t, "", "0-99 a/a b/b d/d"), r.Generation())
	shard, _ := r.For(0)
	assert.Equal(t, "b d", ids(shard.Replicas))
}

// Of the nodes that the view lacks, the map keeps as many as there are slots, besides
// the owners.
func TestAbsentNodes(t *testing.T) {
	lines := []string{"a master 1 0-9", "b master 5 10-19", "b1 slave:b 5", "c master 1 20-29"}
	for i := range hashslot.Count {
		lines = append(lines, fmt.Sprintf("r%d slave:a 1", i))
	}
	var r Router
	r.Apply(view(t, lines...), 0)
	require.Len(t, r.Node("a").ID, 1)
	// a stays, which the view lacks, and b, which it has with an older epoch.
	r.Apply(view(t, "b master 2 10-19", "b1 slave:b 2", "c master 2 20-39"), r.Generation())
	shard, _ := r.For(0)
	assert.Equal(t, "a", shard.Primary.ID)
	assert.Len(t, shard.Replicas, hashslot.Count-1)
	assert.NotNil(t, r.Node("b1"))
}

// A shard that stays keeps the flags that views gave its nodes. Only those of a
// suspicion go with it.
func TestFlagsOfAShardThatStays(t *testing.T) {
	var r Router
	r.Apply(view(t, "a master,fail? 5 0-9", "a1 slave:a 5", "b master 2 10-19"), 0)
	r.Failed(r.Node("a1"))
	require.True(t, r.Node("a1").Flags.Has(FlagPFail))
	r.Apply(viewOf(t, "a1", "a master 4 0-9", "a1 slave:a 4", "b master 3 10-29"), r.Generation())
	assert.True(t, r.Node("a").Flags.Has(FlagPFail), "the view is older")
	assert.False(t, r.Node("a1").Flags.Has(FlagPFail), "its own view")
	checkMap(t, &r)
}

// A primary without an id is as well as the view says.
func TestFlagsOfANodeWithoutAnID(t *testing.T) {
	for _, health := range []string{"online", "fail"} {
		c, err := ParseShards([]any{map[string]any{"slots": []any{0, 99}, "nodes": []any{
			map[string]any{"endpoint": "a.example", "port": 6379, "role": "master", "health": health},
		}}}, Origin{})
		require.NoError(t, err)
		var r Router
		r.Apply(c, 0)
		assert.Equal(t, health == "fail", r.NodeByAddr("a.example:6379").down())
	}
}

// A replica that has left its shard is as well as the view of its new shard says.
func TestFlagsOfAReplicaThatHasLeft(t *testing.T) {
	for _, flags := range []string{"", ",fail?"} {
		var r Router
		r.Apply(threeShards(t), 0)
		r.Moved(moved(5, "a"), r.Node("a1"), r.Generation())
		require.False(t, r.Node("a1").Serves())
		r.Apply(view(t, "a master 1 0-5460", "a1 slave:b"+flags+" 2", "b master 2 5461-10922", "c master 3 10923-16383"), r.Generation())
		assert.Equal(t, "b", r.Node("a1").PrimaryID)
		assert.Equal(t, flags == "", r.Node("a1").Serves())
	}
}

// Only a node that stays a primary keeps its epoch in a view without epochs.
func TestEpochsAndRoles(t *testing.T) {
	var r Router
	r.Apply(view(t, "a master 3 0-99", "b slave:a 3"), 0)
	r.Apply(replyOf(t, "", "0-99 b a"), r.Generation())
	for _, id := range []string{"a", "b"} {
		assert.Zero(t, r.Node(id).ConfigEpoch)
		assert.False(t, r.Node(id).versioned)
	}
	r.Apply(replyOf(t, "", "0-99 a b"), r.Generation())
	assert.False(t, r.Node("a").versioned)
	r = Router{}
	r.Apply(view(t, "a master 3 0-99", "b slave:a 3"), 0)
	r.Apply(replyOf(t, "", "0-89 a", "90-99 c"), r.Generation())
	assert.Equal(t, uint64(3), r.Node("a").ConfigEpoch)
	assert.False(t, r.Node("c").versioned)
}

// Rule 11: pongs are remembered, also that of the only node of a view, and that of a node
// whose address is the same; and a node is right about its own address.
func TestPongs(t *testing.T) {
	b := func(port int, flags string, pong int, link string) *Cluster {
		c, err := ParseNodes(fmt.Sprintf("b h:%d@1 %s - 0 %d 2 %s 0-99\n", port, flags, pong, link), Origin{})
		require.NoError(t, err)
		return c
	}
	var r Router
	r.Apply(b(7, "master", 5000, "connected"), 0)
	require.Equal(t, OutcomeUnchanged, r.Apply(b(7, "master", 9000, "connected"), r.Generation()).Outcome)
	r.Apply(b(2, "master,fail?", 8000, "disconnected"), r.Generation())
	assert.Equal(t, "h:7", r.Node("b").Addr())

	r = Router{}
	r.Apply(b(7, "master", 5000, "connected"), 0)
	r.Apply(b(7, "master,fail?", 1000, "disconnected"), r.Generation())
	r.Apply(b(2, "master,fail?", 3000, "disconnected"), r.Generation())
	assert.Equal(t, "h:7", r.Node("b").Addr())
	r.Apply(b(3, "myself,master,fail?", 0, "connected"), r.Generation())
	assert.Equal(t, "h:3", r.Node("b").Addr())
}
