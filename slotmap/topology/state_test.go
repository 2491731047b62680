package topology

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// A finder shares what it has with the one before until an eighth has changed.
func TestFinder(t *testing.T) {
	base := map[string]member{}
	for i := range 80 {
		base[fmt.Sprint(i)] = member{node: &Node{ID: fmt.Sprint(i)}}
	}
	changes := func(from, n int) map[string]member {
		c := map[string]member{}
		for i := from; i < from+n; i++ {
			c[fmt.Sprint(i)] = member{node: &Node{ID: "new"}}
		}
		return c
	}
	x := finder{base: base}
	gone := changes(75, 10) // 5 change, and 5 come
	gone["75"] = member{}
	ten := x.with(gone)
	assert.Len(t, ten.over, 10)
	assert.Len(t, ten.base, 80)
	eleven := ten.with(changes(84, 2))
	assert.Empty(t, eleven.over)
	assert.Len(t, eleven.base, 85)
	for _, f := range []finder{ten, eleven} {
		_, ok := f.get("75")
		assert.False(t, ok)
		for key, want := range map[string]string{"74": "74", "76": "new", "84": "new"} {
			m, ok := f.get(key)
			require.True(t, ok, key)
			assert.Equal(t, want, m.node.ID)
		}
	}
	_, ok := ten.get("85")
	assert.False(t, ok)
}

// nodeAt is a node of the view that the id and the address make.
func nodeAt(id, host string, role Role) *Node {
	n := &Node{ID: id, key: id, Host: host, Endpoint: host, Port: 1, EndpointPort: 1, Role: role}
	if host != "" {
		n.addr = host + ":1"
	}
	if id == "" {
		n.key = n.addr
	}
	return n
}

func TestMembersOfOneAddress(t *testing.T) {
	a, b, c, r := nodeAt("a", "p", RolePrimary), nodeAt("b", "p", RolePrimary), nodeAt("c", "q", RolePrimary), nodeAt("0", "p", RoleReplica)
	alone := membersOf([]*Shard{{Primary: a}, {Primary: c}})
	assert.False(t, alone.ambiguous)
	for _, shards := range [][]*Shard{
		{{Primary: a}, {Primary: b}, {Primary: c, Replicas: []*Node{r}}},
		{{Primary: c, Replicas: []*Node{r}}, {Primary: b}, {Primary: a}},
		{{Primary: b}, {Primary: c, Replicas: []*Node{r}}, {Primary: a}},
		{{Primary: a}, {Primary: b}, {Primary: c}},
	} {
		m := membersOf(shards)
		assert.True(t, m.ambiguous)
		found, ok := m.byAddr.get("p:1")
		require.True(t, ok)
		assert.Same(t, a, found.node, "a primary, and the one with the smallest id")
		_, simple := m.with(nil, nil)
		assert.False(t, simple)
	}
	m := membersOf([]*Shard{{Primary: c, Replicas: []*Node{r}}, {Primary: nodeAt("d", "d", RolePrimary)}})
	assert.False(t, m.ambiguous)
}

// Few changes make members out of those before, unless an address gets ambiguous.
func TestMembersWith(t *testing.T) {
	var shards []*Shard
	for i := range 40 {
		id := fmt.Sprint("n", i)
		shards = append(shards, &Shard{Primary: nodeAt(id, id, RolePrimary), Replicas: []*Node{nodeAt("r"+id, "r"+id, RoleReplica)}})
	}
	m := membersOf(shards)
	hold := func(gone, came *Shard) {
		t.Helper()
		got, ok := m.with([]*Shard{gone}, []*Shard{came})
		require.True(t, ok)
		assert.False(t, got.ambiguous)
		next := slices.Clone(shards)
		next[slices.Index(next, gone)] = came
		want := membersOf(next)
		assert.True(t, maps.Equal(got.byKey.all(), want.byKey.base))
		assert.True(t, maps.Equal(got.byAddr.all(), want.byAddr.base))
		assert.NotEmpty(t, got.byKey.over)
	}
	old := shards[3]
	hold(old, &Shard{Primary: old.Replicas[0], Replicas: []*Node{old.Primary}})
	hold(old, &Shard{Primary: nodeAt("n3", "moved", RolePrimary)})
	for _, taken := range []string{"n4", "rn4"} {
		_, ok := m.with([]*Shard{old}, []*Shard{{Primary: nodeAt("n3", taken, RolePrimary)}})
		assert.False(t, ok, "%s has the address too", taken)
	}
	_, ok := m.with([]*Shard{old}, []*Shard{{Primary: nodeAt("n3", "x", RolePrimary), Replicas: []*Node{nodeAt("y", "x", RoleReplica)}}})
	assert.False(t, ok, "two new ones have one address")
	_, ok = new(members).with(nil, []*Shard{old})
	assert.False(t, ok, "there is nothing to share")
}

// A node is the same by its key, or by its address if one of the two has no id.
func TestSameNode(t *testing.T) {
	split := nodeAt("s", "t", RolePrimary) // its id is that of several nodes
	split.key = split.addr
	lost := nodeAt("lost", "", RolePrimary)
	a, nameless := nodeAt("a", "p", RolePrimary), nodeAt("", "p", RolePrimary)
	m := membersOf([]*Shard{{Primary: a}, {Primary: nodeAt("b", "q", RolePrimary)}, {Primary: split}, {Primary: lost}})
	for _, c := range []struct {
		n    *Node
		want string
	}{
		{nodeAt("a", "elsewhere", RolePrimary), "a"},
		{nodeAt("a", "q", RolePrimary), "a"},
		{nodeAt("x", "p", RolePrimary), ""},
		{nameless, "a"},
		{nodeAt("x", "t", RolePrimary), ""},
		{nodeAt("x", "", RolePrimary), ""},
		{&Node{key: ":1"}, ""},
		{nodeAt("", "elsewhere", RolePrimary), ""},
	} {
		got, ok := m.same(c.n)
		assert.Equal(t, c.want != "", ok, c.n.key)
		if ok && c.want != "" {
			assert.Equal(t, c.want, got.node.ID)
			assert.True(t, got.node.same(c.n))
		}
	}
	assert.False(t, a.same(nodeAt("b", "p", RolePrimary)))
	assert.False(t, lost.same(&Node{key: ":1"}))
	// Of several nodes at one address, the one without an id is the same.
	m = membersOf([]*Shard{{Primary: a}, {Primary: nodeAt("z", "z", RolePrimary), Replicas: []*Node{nodeAt("", "p", RoleReplica)}}})
	got, ok := m.same(nodeAt("x", "p", RolePrimary))
	require.True(t, ok)
	assert.Empty(t, got.node.ID)
}

// Runs are all slots, each once.
func TestRunsAreAllSlots(t *testing.T) {
	for _, owned := range []string{"0-99", "5-99", "100-16383", "0-16383", "16383"} {
		var r Router
		r.Apply(view(t, "a master 1 "+owned), 0)
		for _, s := range []*state{noState, r.load()} {
			for _, v := range []*slotmap.Table[*Shard]{nil, view(t, "b master 1 7-9").Table()} {
				next := 0
				for rg := range s.runs(v) {
					require.True(t, rg.Valid() && int(rg.First) == next, "%s: %v", owned, rg)
					next = int(rg.Last) + 1
				}
				assert.Equal(t, hashslot.Count, next)
			}
		}
	}
}

// Under which addresses a redirect may mean a node: each is there once.
func TestNodeAddrs(t *testing.T) {
	for _, c := range []struct {
		n    Node
		want []string
	}{
		{Node{}, nil},
		{Node{addr: "h:1", Host: "h", Port: 1}, []string{"h:1"}},
		{Node{Host: "h", Port: 1}, []string{"h:1"}},
		{Node{addr: "h:1", Host: "h", Port: 1, Endpoint: "h", EndpointPort: 1, Hostname: "h"}, []string{"h:1"}},
		{Node{addr: "h:1", Host: "h", Port: 1, Endpoint: "?", IP: "10.0.0.1", Hostname: "0.0.0.0", TLSPort: 2}, []string{"h:1", "h:2", "10.0.0.1:1", "10.0.0.1:2"}},
		{Node{addr: "h:1", Host: "h", Port: 1, Endpoint: "e", EndpointPort: 3, TLSPort: 3}, []string{"h:1", "h:3", "e:1", "e:3"}},
		{Node{Endpoint: "e", EndpointPort: 3}, []string{"e:3"}},
		{Node{addr: "nat:1", Host: "nat", Port: 1, Endpoint: "10.0.0.1", EndpointPort: 3, IP: "10.0.0.1", Hostname: "nat", mapped: true}, []string{"nat:1", "10.0.0.1:3", "nat:3"}},
		{Node{addr: "nat:3", Host: "nat", Port: 3, Endpoint: "10.0.0.1", EndpointPort: 3, TLSPort: 4, Hostname: "nat", mapped: true}, []string{"nat:3", "10.0.0.1:3", "10.0.0.1:4", "nat:4"}},
	} {
		var got []string
		for a := range c.n.addrs {
			got = append(got, a)
			assert.True(t, c.n.hasAddr(a))
		}
		assert.Equal(t, c.want, got)
		assert.False(t, c.n.hasAddr("other:1"))
		for range c.n.addrs {
			break
		}
	}
}

// Every difference that a client may notice makes another node.
func TestRoutesAs(t *testing.T) {
	n := *view(t, "a master 1 0-99").Nodes()[0]
	n.Health = HealthOnline
	require.True(t, n.routesAs(&n))
	require.False(t, n.replaces(&n))
	for name, change := range map[string]func(*Node){
		"key": func(n *Node) { n.key = "x" }, "ID": func(n *Node) { n.ID = "x" }, "addr": func(n *Node) { n.addr = "x:1" },
		"Host": func(n *Node) { n.Host = "x" }, "Port": func(n *Node) { n.Port = 1 }, "EndpointPort": func(n *Node) { n.EndpointPort = 1 },
		"TLSPort": func(n *Node) { n.TLSPort = 1 }, "Endpoint": func(n *Node) { n.Endpoint = "x" }, "IP": func(n *Node) { n.IP = "10.0.0.1" },
		"Hostname": func(n *Node) { n.Hostname = "x" }, "ShardID": func(n *Node) { n.ShardID = "x" }, "AvailabilityZone": func(n *Node) { n.AvailabilityZone = "x" },
		"Flags": func(n *Node) { n.Flags |= FlagNoFailover }, "Role": func(n *Node) { n.Role = RoleReplica }, "PrimaryID": func(n *Node) { n.PrimaryID = "x" },
		"Health": func(n *Node) { n.Health = HealthLoading },
	} {
		m := n
		change(&m)
		assert.False(t, n.routesAs(&m), name)
		assert.True(t, m.replaces(&n), name)
	}
	myself := n
	myself.Flags |= FlagMyself
	assert.True(t, n.routesAs(&myself))
	// Of a primary, the epoch counts.
	for _, c := range []struct {
		role      Role
		versioned bool
		epoch     uint64
		want      bool
	}{
		{RolePrimary, true, 2, true}, {RolePrimary, false, 1, true}, {RolePrimary, true, 1, false},
		{RoleReplica, true, 2, false}, {RoleReplica, false, 1, false},
	} {
		m, o := n, n
		m.Role, o.Role = c.role, c.role
		m.versioned, m.ConfigEpoch = c.versioned, c.epoch
		assert.Equal(t, c.want, m.replaces(&o), c)
	}
	assert.True(t, (&Node{Health: HealthFail}).down())
	assert.True(t, (&Node{Flags: FlagFail}).down())
	assert.True(t, (&Node{Flags: FlagPFail}).down())
	assert.False(t, n.down())
}

// A node of the map has nothing in common with the view it is from.
func TestDetachedNode(t *testing.T) {
	for _, n := range []*Node{
		{ID: "a", Host: "h", Endpoint: "e", IP: "i", Hostname: "n", ShardID: "s", AvailabilityZone: "z", PrimaryID: "p", Health: HealthOnline, LinkState: "l", key: "k", addr: "h:1"},
		{
			ID: "a", Slots: []slotmap.Range{{First: 1, Last: 2}}, Extra: map[string]string{"x": "y"},
			Migrating: []Peer{{1, "b"}}, Importing: []Peer{{2, "c"}},
		},
		{},
	} {
		d, before := n.detached(), *n
		assert.Equal(t, &before, d)
		if n.ID != "" {
			assert.NotSame(t, unsafe.StringData(n.ID), unsafe.StringData(d.ID))
		}
		again := n.detached()
		for i := range n.Slots {
			n.Slots[i].First = 9
		}
		for _, peers := range [][]Peer{n.Migrating, n.Importing} {
			for i := range peers {
				peers[i].Slot = 9
			}
		}
		if n.Extra != nil {
			n.Extra["x"] = "z"
		}
		assert.Equal(t, again, d)
		assert.NotContains(t, d.Extra, "z")
		if d.Extra != nil {
			assert.Equal(t, "y", d.Extra["x"])
			assert.Equal(t, hashslot.Slot(1), d.Slots[0].First)
			assert.Equal(t, []Peer{{1, "b"}}, d.Migrating)
			assert.Equal(t, []Peer{{2, "c"}}, d.Importing)
		}
	}
}

// What readers have of a moment stays as it is.
func TestStatesDoNotChange(t *testing.T) {
	var r Router
	r.Apply(threeShards(t), 0)
	shard, _ := r.For(0)
	r.Failed(r.Node("a1"))
	assert.True(t, r.Node("a1").Flags.Has(FlagPFail))
	assert.False(t, shard.Replicas[0].Flags.Has(FlagPFail))

	x := r.Moved(moved(5, "x"), nil, r.Generation()).Node
	r.Failed(x)
	s := r.load()
	require.NotNil(t, s.suspects[x.key])
	require.Equal(t, ids([]*Node{x}), ids(r.Moved(moved(5, "b"), nil, r.Generation()).Change.Removed))
	assert.NotNil(t, s.suspects[x.key])
	assert.Nil(t, r.load().suspects[x.key])
	checkMap(t, &r)
}

// A redirect to an unknown IP address shows it as one.
func TestStrangersAddress(t *testing.T) {
	var r Router
	n := r.Moved(Redirect{Slot: 5, Host: "10.0.0.9", Port: 7}, nil, 0).Node
	assert.Equal(t, "10.0.0.9", n.IP)
	assert.Empty(t, r.Moved(moved(6, "x"), nil, 0).Node.IP)
}

// Shards without slots are in the order of their keys, whichever of them change.
func TestOrderOfShardsWithoutSlots(t *testing.T) {
	var r Router
	r.Apply(view(t, "a master 1 0-16383", "x master 2", "y master 3", "z master 4"), 0)
	r.Apply(view(t, "a master 1 0-16383", "x master,fail 2", "y master 3", "z master,fail 4"), r.Generation())
	var got []string
	for _, shard := range r.load().shards {
		got = append(got, shard.Primary.ID)
	}
	assert.Equal(t, []string{"a", "x", "y", "z"}, got)
}

// What a Change says of the nodes.
func TestChangeOfNodes(t *testing.T) {
	nodes := func(lines ...string) *Cluster { // "id address slots"
		var reply []any
		for i, l := range lines {
			var id, host string
			_, err := fmt.Sscan(l, &id, &host)
			require.NoError(t, err)
			node := []any{host, 1, id}
			if host == "-" {
				node[0] = nil
			}
			if id == "-" {
				node = node[:2]
			}
			reply = append(reply, []any{100 * i, 100*i + 99, node})
		}
		c, err := ParseSlots(reply, Origin{})
		require.NoError(t, err)
		return c
	}
	for _, c := range []struct {
		name                    string
		before, after           *Cluster
		added, removed, updated string
	}{
		{"in the order of the keys", nodes("k k", "z z", "b b", "q q"), nodes("k k", "y y", "a a", "c c"), "a c y", "b q z", ""},
		{"another id at an address", nodes("k k", "a h"), nodes("k k", "b h"), "b", "a", ""},
		{"an id, and then none", nodes("k k", "a h"), nodes("k k", "- h"), "", "", "h:1"},
		{"none, and then an id", nodes("k k", "- h"), nodes("k k", "a h"), "", "", "a"},
		{"two ids, and then none", nodes("k k", "a h", "b h"), nodes("k k", "- h"), "", "b", "h:1"},
		{"no address", nodes("k k", "a -"), nodes("k k", "- -"), ":1", "a", ""},
	} {
		var r Router
		r.Apply(c.before, 0)
		got := r.Replace(c.after).Change
		require.NotNil(t, got, c.name)
		key := func(n *Node) string {
			if n.ID == "" {
				return n.key
			}
			return n.ID
		}
		list := func(nodes []*Node) string {
			var keys []string
			for _, n := range nodes {
				keys = append(keys, key(n))
			}
			return fmt.Sprint(keys)
		}
		var updated []*Node
		for _, u := range got.Updated {
			updated = append(updated, u.After)
		}
		assert.Equal(t, "["+c.added+"]", list(got.Added), c.name)
		assert.Equal(t, "["+c.removed+"]", list(got.Removed), c.name)
		assert.Equal(t, "["+c.updated+"]", list(updated), c.name)
		checkMap(t, &r)
	}
	// Without ids a replica does not name its primary, and changes with it all the same.
	c, err := ParseSlots([]any{[]any{0, 99, []any{"p", 1}, []any{"q", 1}, []any{"r", 1}}}, Origin{})
	require.NoError(t, err)
	var r Router
	r.Apply(c, 0)
	got := r.Moved(Redirect{Slot: 5, Host: "q", Port: 1}, nil, r.Generation())
	require.Equal(t, OutcomeFailedOver, got.Outcome)
	var updated []*Node
	for _, u := range got.Change.Updated {
		updated = append(updated, u.After)
	}
	assert.Equal(t, "p:1 q:1 r:1", ids(updated))
	checkMap(t, &r)
}

// A replica that becomes a primary is well, whatever the view said, and has no epoch of
// its own yet.
func TestPromotedNode(t *testing.T) {
	for health, want := range map[string]Health{"fail": "", "online": HealthOnline, "loading": HealthLoading} {
		var r Router
		r.Apply(shardsOf(t, "0-99 a:master:online b:replica:"+health), 0)
		r.Moved(moved(5, "b"), nil, r.Generation())
		assert.Equal(t, want, r.Node("b").Health)
		assert.False(t, r.Node("b").down())
	}
	var r Router
	r.Apply(threeShards(t), 0)
	r.Moved(moved(5, "c1"), nil, r.Generation())
	assert.Zero(t, r.Node("c1").ConfigEpoch)
	assert.False(t, r.Node("c1").versioned)
	r.Promote(r.Node("a1"))
	assert.Equal(t, uint64(1), r.Node("a1").ConfigEpoch)
}

// As many nodes without slots that come as go are a change too.
func TestChangeOfNodesWithoutSlots(t *testing.T) {
	var r Router
	r.Apply(view(t, "a master 1 0-16383", "x master 0"), 0)
	got := r.Apply(view(t, "a master 1 0-16383", "y master 0"), r.Generation())
	assert.Equal(t, OutcomeApplied, got.Outcome)
	require.NotNil(t, got.Change)
	assert.Equal(t, "y", ids(got.Change.Added))
	assert.Equal(t, "x", ids(got.Change.Removed))
}
