package topology

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

func disagreements(c *Cluster) []string {
	var list []string
	for _, d := range c.Disagreements() {
		other := "nobody"
		if d.Other != nil {
			other = d.Other.ID
		}
		list = append(list, fmt.Sprintf("%v %s not %s: %s", d.Slots, d.Owner.ID, other, d.Reason))
	}
	return list
}

func clusterOwners(c *Cluster) string {
	var parts []string
	for rg, s := range c.Table().Ranges() {
		parts = append(parts, fmt.Sprintf("%v %s", rg, s.Primary.ID))
	}
	return strings.Join(parts, ", ")
}

// slotsView returns a view without epochs. Each entry is "first-last id".
func slotsView(t *testing.T, parts ...string) *Cluster { return slotsAt(t, ".example", parts) }

// nowhere returns a slotsView in which the nodes have no addresses.
func nowhere(t *testing.T, parts ...string) *Cluster { return slotsAt(t, "", parts) }

func slotsAt(t *testing.T, domain string, parts []string) *Cluster {
	var reply []any
	for _, p := range parts {
		text, id, _ := strings.Cut(p, " ")
		rg, err := slotmap.ParseRange(text)
		require.NoError(t, err)
		host := any(id + domain)
		if domain == "" {
			host = "?"
		}
		reply = append(reply, []any{rg.First, rg.Last, []any{host, 6379, id}})
	}
	c, err := ParseSlots(reply, Origin{})
	require.NoError(t, err)
	return c
}

func TestMerge(t *testing.T) {
	for _, c := range []struct {
		name   string
		views  []*Cluster
		want   string
		differ []string
	}{
		{"views that agree", []*Cluster{
			view(t, "a master,myself 1 0-9", "b master 2 10-19"),
			view(t, "b master,myself 2 10-19", "a master 1 0-9"),
		}, "0-9 a, 10-19 b", nil},
		{"the higher epoch, not the majority", []*Cluster{
			view(t, "a master 1 0-9", "b master 2 10-19"),
			view(t, "a master 1 0-9", "b master 2 10-19"),
			view(t, "a master 1 0-4", "b master 3 5-19"),
		}, "0-4 a, 5-19 b", []string{"5-9 b not a: config epoch 3 over 1"}},
		{"a node that was away", []*Cluster{
			view(t, "a master,myself 1 0-9", "a1 slave:a 1", "b master 2 10-19"),
			view(t, "a master,fail 1", "a1 master,myself 6 0-9", "b master 2 10-19"),
		}, "0-9 a1, 10-19 b", []string{"0-9 a1 not a: config epoch 6 over 1"}},
		{"a node knows best what it has given up", []*Cluster{
			view(t, "a master 1 0-9", "b master 2 10-19"),
			view(t, "a master,myself 8 1-9", "b master 2 0 10-19"),
		}, "0 b, 1-9 a, 10-19 b", nil},
		{"equal epochs: the node itself", []*Cluster{
			view(t, "a master 0 0-9", "b master 0 10-19"),
			view(t, "a master 0 0-9", "b master 0 10-19"),
			view(t, "a master 0 0-4", "b master,myself 0 5-19"),
		}, "0-4 a, 5-19 b", []string{"5-9 b not a: the node says so itself"}},
		{"equal epochs: the node itself, and others of the same opinion", []*Cluster{
			view(t, "a master 0", "b master,myself 0 0-9"),
			view(t, "a master 0", "b master 0 0-9"),
			view(t, "a master 0 0-9", "b master 0"),
			view(t, "a master 0 0-9", "b master 0"),
		}, "0-9 b", []string{"0-9 b not a: the node says so itself"}},
		{"no epochs: the majority", []*Cluster{
			slotsView(t, "0-9 a", "10-19 b"), slotsView(t, "0-4 a", "5-19 b"), slotsView(t, "0-9 a", "10-19 b"),
		}, "0-9 a, 10-19 b", []string{"5-9 a not b: 2 views over 1"}},
		{"a tie: the view that has more", []*Cluster{
			slotsView(t, "0-9 b"), slotsView(t, "0-9 c", "10-19 a"),
		}, "0-9 c, 10-19 a", []string{"0-9 c not b: the view that has more slots", "10-19 a not nobody: nobody in 1 of 2 views"}},
		{"a tie of equals: the smaller id", []*Cluster{
			slotsView(t, "0-9 b"), slotsView(t, "0-9 a"),
		}, "0-9 a", []string{"0-9 a not b: the smaller node id"}},
		{"a tie: the one that has an address", []*Cluster{
			nowhere(t, "0-9 a"), nowhere(t, "0-9 a"), slotsView(t, "0-9 b"), nowhere(t, "0-9 b"),
		}, "0-9 b", []string{"0-9 b not a: the node with an address over the one without"}},
		{"a tie: the one that has an address, in the last view", []*Cluster{
			nowhere(t, "0-9 a"), nowhere(t, "0-9 b"), nowhere(t, "0-9 a"), slotsView(t, "0-9 b"),
		}, "0-9 b", []string{"0-9 b not a: the node with an address over the one without"}},
		{"an epoch over none", []*Cluster{
			slotsView(t, "0-9 b"), slotsView(t, "0-9 b"), view(t, "a master 0 0-9", "b master 0"),
		}, "0-9 a", []string{"0-9 a not b: a config epoch over none"}},
		{"slots that one view knows", []*Cluster{
			view(t, "a master 1 0-9"), view(t, "a master 1 0-9", "b master 2 10-19"),
		}, "0-9 a, 10-19 b", []string{"10-19 b not nobody: nobody in 1 of 2 views"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var first *Cluster
			for range 6 {
				got, err := Merge(c.views...)
				require.NoError(t, err)
				assert.Equal(t, c.want, clusterOwners(got))
				assert.Equal(t, c.differ, disagreements(got))
				if first == nil {
					first = got
				}
				assert.Equal(t, first.canonical(), got.canonical())
				assert.Nil(t, got.Myself())
				rand.Shuffle(len(c.views), func(i, j int) { c.views[i], c.views[j] = c.views[j], c.views[i] })
			}
		})
	}
	_, err := Merge()
	assert.ErrorIs(t, err, ErrNoViews)
	assert.EqualError(t, err, "topology: no views to merge")
	_, err = Merge(view(t, "a master 1"), nil)
	assert.EqualError(t, err, "topology: view 1 is nil")
	one := view(t, "b master 1", "a master 1")
	same, err := Merge(one)
	require.NoError(t, err)
	assert.Same(t, one, same)
}

// The descriptions of one node in several views.
func TestMergeNodes(t *testing.T) {
	a, err := ParseNodes("a :6379@16379 myself,master - 0 0 5 connected 0-9 [3->-b]\nb 10.0.0.2:6379@16379 master,fail? - 0 0 2 connected 10-19\nc :0@0 slave,noaddr,fail b 0 0 2 disconnected\n", Origin{})
	require.NoError(t, err)
	b, err := ParseNodes("a 10.0.0.1:6379@16379,host-a master - 0 0 5 connected 0-9\nb 10.0.0.2:6379@16379 myself,master - 0 0 2 connected 10-19 [3-<-a]\nc 10.0.0.3:6379@16379 slave b 0 0 2 connected\n", Origin{})
	require.NoError(t, err)
	d, err := ParseShards([]any{map[string]any{"id": "shard-a", "slots": []any{0, 9}, "nodes": []any{
		map[string]any{"id": "a", "endpoint": "host-a", "port": 6379, "ip": "10.0.0.1", "role": "master", "health": "online", "availability-zone": "z"}}}}, Origin{})
	require.NoError(t, err)
	c, err := Merge(a, b, d)
	require.NoError(t, err)
	assert.Equal(t, "a b c", ids(c.Nodes()))
	n := c.Node("a")
	assert.Equal(t, []any{"10.0.0.1:6379", "10.0.0.1", "host-a", "z", "shard-a", uint64(5), FlagPrimary},
		[]any{n.Addr(), n.IP, n.Hostname, n.AvailabilityZone, n.ShardID, n.ConfigEpoch, n.Flags})
	assert.Equal(t, FlagPrimary|FlagPFail, c.Node("b").Flags, "one cannot reach it")
	assert.Equal(t, "10.0.0.3:6379", c.Node("c").Addr())
	assert.Equal(t, []OpenSlot{{3, "a", "b", true, true}}, c.Open())
	require.Len(t, c.Shards(), 2)
	assert.Equal(t, "c", ids(c.Shards()[1].Replicas))

	// Of three, one or two say that it has failed.
	failed := view(t, "a master 5 0-9", "b master,fail 2 10-19")
	c, err = Merge(a, b, failed)
	require.NoError(t, err)
	assert.Equal(t, FlagPrimary|FlagPFail, c.Node("b").Flags)
	c, err = Merge(a, failed, failed)
	require.NoError(t, err)
	assert.Equal(t, FlagPrimary|FlagFail, c.Node("b").Flags)
}

// The parts of each view that are taken, with the views in both orders.
func TestMergeParts(t *testing.T) {
	parse := func(lines ...string) *Cluster {
		c, err := ParseNodes(strings.Join(lines, "\n")+"\n", Origin{})
		require.NoError(t, err)
		return c
	}
	both := func(check func(c *Cluster), views ...*Cluster) {
		for range 2 {
			c, err := Merge(views...)
			require.NoError(t, err)
			check(c)
			slices.Reverse(views)
		}
	}
	// The order, and open slots of one node that two views show, ascending.
	both(func(c *Cluster) {
		assert.Equal(t, "a b c", ids(c.Nodes()))
		n := c.Node("b")
		assert.Equal(t, []Peer{{1, "c"}, {3, "a"}, {3, "c"}, {5, "a"}}, n.Migrating)
		assert.Equal(t, []Peer{{7, "a"}, {9, "a"}}, n.Importing)
	},
		parse("c h:3@1 master - 0 0 3 connected", "b h:2@1 master - 0 0 2 connected 0-99 [5->-a] [1->-c] [9-<-a]"),
		parse("b h:2@1 master - 0 0 2 connected 0-99 [3->-c] [3->-a] [7-<-a]", "a h:1@1 master - 0 0 1 connected"),
		parse("a h:1@1 master - 0 0 1 connected"))
	// The current epoch.
	both(func(c *Cluster) { assert.Equal(t, uint64(9), c.currentEpoch) },
		parse("a h:1@1 master - 0 0 1 connected", "vars currentEpoch 9 lastVoteEpoch 0"), parse("a h:1@1 master - 0 0 2 connected"))
	// A node without an address gets the smaller one of two; one that has an address
	// keeps it, even if another view has a smaller one.
	both(func(c *Cluster) {
		assert.Equal(t, "h:3", c.Node("a").Addr())
		assert.Equal(t, "g:1", c.Node("b").Addr())
		assert.Equal(t, []any{"h", 3, 3, 0, "h"}, []any{c.Node("a").Host, c.Node("a").Port, c.Node("a").EndpointPort, c.Node("a").TLSPort, c.Node("a").Endpoint})
		assert.False(t, c.Node("a").Flags.Has(FlagNoAddr))
	},
		parse("a :0@0 master,noaddr - 0 0 9 connected 0-9", "b g:1@1 master - 0 0 9 connected 10-19"),
		parse("a i:2@1 master - 0 0 1 connected", "b f:1@1 master - 0 0 1 connected"),
		parse("a h:3@1 master - 0 0 1 connected"))
	// A replica that owns slots in a view without epochs is a primary.
	both(func(c *Cluster) {
		n := c.Node("b")
		assert.Equal(t, RolePrimary, n.Role)
		assert.Empty(t, n.PrimaryID)
		require.Len(t, c.Shards(), 2)
		for _, s := range c.Shards() {
			assert.Empty(t, s.Replicas)
		}
	}, view(t, "a master 1 0-9", "b slave:a 1"), slotsView(t, "10-19 b"))
	shards := func(health string) *Cluster {
		c, err := ParseShards([]any{[]any{"slots", []any{0, 9}, "nodes", []any{
			[]any{"id", "a", "endpoint", "a.example", "port", 6379, "role", "master", "health", health, "odd", 1}}}}, Origin{})
		require.NoError(t, err)
		return c
	}
	// The health and the warning that only the view without epochs has.
	both(func(c *Cluster) {
		assert.Equal(t, HealthLoading, c.Node("a").Health)
		assert.Equal(t, uint64(5), c.Node("a").ConfigEpoch)
		require.Len(t, c.Warnings(), 1)
		assert.Contains(t, c.Warnings()[0], `unknown field "odd"`)
	}, view(t, "a master 5 0-9"), shards("loading"))
}

// Warnings and disagreements of the views are those of the result, up to a limit.
func TestMergeLimits(t *testing.T) {
	claims := func(n, first int) *Cluster { // of slots that are all claimed by z as well
		lines := []string{"z h:1@1 master - 0 0 1 connected 0-16383"}
		for i := range n {
			lines = append(lines, fmt.Sprintf("n%04d h%d:1@1 master - 0 0 2 connected %d", first+i, first+i, first+i))
		}
		c, err := ParseNodes(strings.Join(lines, "\n")+"\n", Origin{})
		require.NoError(t, err)
		require.Len(t, c.Disagreements(), n)
		return c
	}
	two, err := Merge(claims(3, 0), claims(2, 100))
	require.NoError(t, err)
	var own []string
	for _, d := range disagreements(two) {
		if strings.Contains(d, "n0001") || strings.Contains(d, "n0100") {
			own = append(own, d)
		}
	}
	assert.Contains(t, own, "1 n0001 not z: config epoch 2 over 1")
	assert.Contains(t, own, "100 n0100 not z: config epoch 2 over 1")
	for _, d := range two.Disagreements() {
		assert.Same(t, two.Node(d.Owner.ID), d.Owner)
		assert.Same(t, two.Node(d.Other.ID), d.Other)
	}
	for _, n := range []int{500, 700} {
		many, err := Merge(claims(n, 0), claims(n, 2000))
		require.NoError(t, err)
		assert.Len(t, many.Disagreements(), 1000)
	}
	// Without any of its own, and more than enough.
	same, err := Merge(claims(600, 0), claims(600, 0))
	require.NoError(t, err)
	assert.Len(t, same.Disagreements(), 1000)
	lines := make([]string, 800)
	for i := range lines {
		lines[i] = fmt.Sprintf("n%d h%d:1@1 slave a 0 0 0 connected 5", i, i)
	}
	odd, err := ParseNodes(strings.Join(lines, "\n")+"\n", Origin{})
	require.NoError(t, err)
	require.Len(t, odd.Warnings(), 800)
	c, err := Merge(odd, odd, odd)
	require.NoError(t, err)
	require.Len(t, c.Warnings(), 1001)
	assert.Equal(t, "1400 more warnings", c.Warnings()[1000])
	again, err := Merge(c, odd)
	require.NoError(t, err)
	assert.Equal(t, "2200 more warnings", again.Warnings()[1000])
}

// Views of the same state merge to that state; views of a state that is
// changing merge to one of those that they show.
func TestMergeCaptures(t *testing.T) {
	states := map[string][]capture{}
	for _, c := range captures(t) {
		state := c.name[:strings.LastIndexByte(c.name, '/')]
		if !strings.Contains(state, "alternating") {
			states[state] = append(states[state], c)
		}
	}
	several := 0
	for state, cs := range states {
		if len(cs) < 2 {
			continue
		}
		several++
		var views []*Cluster
		equal := true
		for _, c := range cs {
			views = append(views, c.parseNodes(t))
			equal = equal && views[0].Equal(views[len(views)-1])
		}
		c, err := Merge(views...)
		require.NoError(t, err, state)
		slices.Reverse(views)
		again, err := Merge(views...)
		require.NoError(t, err)
		require.True(t, c.Equal(again), state)
		if equal {
			assert.True(t, c.Equal(views[0]), state)
			assert.Empty(t, c.Disagreements(), state)
		}
		for slot := range 16384 {
			owner, _ := c.Table().Lookup(hashslot.Slot(slot))
			ok := slices.ContainsFunc(views, func(v *Cluster) bool {
				o, _ := v.Table().Lookup(hashslot.Slot(slot))
				return owner == o || owner != nil && o != nil && owner.Primary.ID == o.Primary.ID
			})
			if !ok {
				t.Fatalf("%s: slot %d", state, slot)
			}
		}
		switch state {
		case "redis-7.0.15/migrated_target_only":
			// The source has the higher epoch and does not know yet.
			assert.Equal(t, "0-5460", c.Table().SlotsOf(c.Shards()[0]).String())
			require.NotEmpty(t, c.Disagreements())
			assert.Equal(t, "0", c.Disagreements()[0].Slots.String())
		case "redis-7.0.15/migrating", "valkey-8.0.1/migrating":
			// Both ends of slot 0. Each shows its own end only.
			require.NotEmpty(t, c.Open())
			for _, o := range c.Open() {
				assert.True(t, o.Migrating || o.Importing)
			}
		}
	}
	assert.Greater(t, several, 20)
}

// A merged view can be merged again, and keeps its disagreements.
func TestMergeOfMerged(t *testing.T) {
	once, err := Merge(slotsView(t, "0-9 b", "10-19 c"), slotsView(t, "0-9 a", "10-19 c"))
	require.NoError(t, err)
	twice, err := Merge(once, slotsView(t, "10-19 c", "20-29 d"))
	require.NoError(t, err)
	assert.Contains(t, disagreements(twice), "0-9 a not b: the smaller node id")
}

// A priority that only one view has stays, whichever description counts.
func TestMergeKeepsThePriority(t *testing.T) {
	file, err := ParseNodes("a 1:1@2,,replica-priority=10 slave b 0 0 1 connected\nb 1:2@3 master - 0 0 1 connected 0-9\nvars currentEpoch 1 lastVoteEpoch 0\n", Origin{})
	require.NoError(t, err)
	both, err := Merge(file, view(t, "a slave:b 9", "b master 9 0-16383"))
	require.NoError(t, err)
	assert.Equal(t, 10, both.Node("a").ReplicaPriority)
}
