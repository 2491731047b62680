package topology

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/slotmap"
)

// Sequences of views, redirects and failures from which a Router once made a wrong
// map. Each is as short as possible.

// viewOf returns the view of the node with the name, which is in one of the lines.
func viewOf(t testing.TB, name string, lines ...string) *Cluster {
	mine := make([]string, len(lines))
	for i, l := range lines {
		f := strings.Fields(l)
		if f[0] == name {
			f[1] += ",myself"
		}
		mine[i] = strings.Join(f, " ")
	}
	return view(t, mine...)
}

// replyOf returns a view without epochs of the node with the name, or of an unknown
// node if that is "". A shard is "first-last primary replica...".
func replyOf(t testing.TB, name string, shards ...string) *Cluster {
	named := slices.Clone(shards)
	for i, s := range named {
		f := strings.Fields(s)
		for j, id := range f[1:] {
			f[1+j] = id + "/" + id
		}
		named[i] = strings.Join(f, " ")
	}
	if name != "" {
		name += ".example:6379"
	}
	return slotsOf(t, name, named...)
}

// shardsOf returns a view by CLUSTER SHARDS. A shard is "first-last", or "-", and
// "node:role:health" of each node.
func shardsOf(t testing.TB, shards ...string) *Cluster {
	var reply []any
	for _, s := range shards {
		f := strings.Fields(s)
		slots := []any{}
		if r, err := slotmap.ParseRange(f[0]); err == nil {
			slots = []any{int64(r.First), int64(r.Last)}
		}
		var nodes []any
		for _, n := range f[1:] {
			p := strings.Split(n, ":")
			nodes = append(nodes, map[string]any{"id": p[0], "endpoint": p[0] + ".example", "ip": "", "port": int64(6379), "role": p[1], "health": p[2]})
		}
		reply = append(reply, map[string]any{"slots": slots, "nodes": nodes})
	}
	c, err := ParseShards(reply, Origin{})
	require.NoError(t, err)
	return c
}

// all returns all members.
func (x *finder) all() map[string]member {
	all := maps.Clone(x.base)
	if all == nil {
		all = map[string]member{}
	}
	maps.Copy(all, x.over)
	maps.DeleteFunc(all, func(_ string, m member) bool { return m.node == nil })
	return all
}

func (m *members) all() map[string]member { return m.byKey.all() }

// checkMap checks what must be true of every map, such as that each node is in one
// shard, and that Node finds it.
func checkMap(t testing.TB, r *Router) {
	s := r.load()
	all := s.members.all()
	count := 0
	hold := func(ok bool, what string, about any) { // many times a test: cheaper than require
		if !ok {
			t.Helper()
			t.Fatalf("%s: %v", what, about)
		}
	}
	one := func(n *Node, shard *Shard, role Role) {
		count++
		hold(all[n.key] == member{n, shard}, "not the member of its key", n)
		hold(n.Role == role, "the role is wrong", n)
		hold(n.ID == "" || n.key != n.ID || r.Node(n.ID) == n, "not the node of its id", n)
		hold(s.suspects[n.key] == nil || n.Flags.Has(FlagPFail), "suspected, without a flag", n)
	}
	listed := map[*Shard]bool{}
	for _, shard := range s.shards {
		listed[shard] = true
		one(shard.Primary, shard, RolePrimary)
		for _, n := range shard.Replicas {
			one(n, shard, RoleReplica)
		}
	}
	hold(len(all) == count, "nodes twice or without a shard", all)
	if !s.members.ambiguous {
		again := membersOf(s.shards)
		hold(!again.ambiguous, "an address of several nodes", s)
		hold(maps.Equal(s.members.byAddr.all(), again.byAddr.base), "other nodes at the addresses", s)
	}
	for rg, shard := range s.table.Ranges() {
		hold(listed[shard], "the owner is not listed", rg)
	}
	for g := range s.grounds.Owners() {
		hold(g != nil, "no ground", s.grounds)
	}
	free, groundless := s.table.Unassigned(), s.grounds.Unassigned()
	hold(groundless == free, "not the slots with an owner have a ground", groundless)
	for key := range s.suspects {
		_, ok := all[key]
		hold(ok, "suspected, and not there", key)
	}
}

func TestThirdNodesOldViewDoesNotLowerAnEpoch(t *testing.T) { // F1
	var r Router
	r.Apply(viewOf(t, "a", "a master 1 0-99", "b master 10 100-16383", "c master 0"), 0)
	r.Apply(viewOf(t, "b", "a master 1 0-97", "b master 10 98-16383", "c master 0"), r.Generation())
	require.Equal(t, "0-97 a, 98-16383 b", ownersOf(&r))
	got := r.Apply(viewOf(t, "c", "a master 1 0-97 99", "b master 10 98 100-16383", "c master 0"), r.Generation())
	assert.Equal(t, OutcomeStale, got.Outcome)
	assert.Equal(t, "0-97 a, 98-16383 b", ownersOf(&r))
	checkMap(t, &r)
}

// A node that has heard of a's new epoch, and not of b's claim, shows a slot at a
// that a does not claim any more (owner_not_claiming_slot in the servers).
func TestSlotThatItsOwnerDoesNotClaim(t *testing.T) {
	start := func() *Router {
		var r Router
		r.Apply(viewOf(t, "c", "a master 2 0-99", "b master 3 100-16383", "c master 0", "d master 0"), 0)
		r.Apply(viewOf(t, "c", "a master 2 0-98", "b master 4 99-16383", "c master 0", "d master 0"), r.Generation())
		require.Equal(t, "0-98 a, 99-16383 b", ownersOf(&r))
		return &r
	}
	lagging := func(source string) *Cluster {
		return viewOf(t, source, "a master 5 0-99", "b master 3 100-16383", "c master 0", "d master 0", "e master 0")
	}
	r := start()
	for _, source := range []string{"d", "e", "d"} {
		assert.NotEqual(t, OutcomeApplied, r.Apply(lagging(source), r.Generation()).Outcome)
		assert.Equal(t, "0-98 a, 99-16383 b", ownersOf(r))
	}
	// Three nodes outweigh the map, and three others outweigh these.
	r.Apply(lagging("c"), r.Generation())
	assert.Equal(t, "0-99 a, 100-16383 b", ownersOf(r))
	for _, source := range []string{"c", "d", "d", "e"} {
		assert.Equal(t, "0-99 a, 100-16383 b", ownersOf(r))
		r.Apply(viewOf(t, source, "a master 5 0-98", "b master 4 99-16383", "c master 0", "d master 0", "e master 0"), r.Generation())
	}
	assert.Equal(t, "0-98 a, 99-16383 b", ownersOf(r))
	checkMap(t, r)

	// If the client cannot reach b, or if the map does not know that a had the slot
	// before, the higher epoch is enough.
	r = start()
	r.Failed(r.Node("b"))
	r.Apply(lagging("d"), r.Generation())
	assert.Equal(t, "0-99 a, 100-16383 b", ownersOf(r))
	r = new(Router)
	r.Apply(viewOf(t, "c", "a master 2 0-98", "b master 4 99-16383", "c master 0", "d master 0"), 0)
	r.Apply(lagging("d"), r.Generation())
	assert.Equal(t, "0-99 a, 100-16383 b", ownersOf(r))
}

// The same after a redirect: a gave slot 5 to b, and b to c, whose epoch is lower
// than that of a.
func TestToldOwnerThatGaveTheSlotUp(t *testing.T) {
	var r Router
	r.Apply(viewOf(t, "a", "a master 9 0-99", "b master 2 100-199", "c master 3 200-16383", "d master 0"), 0)
	r.Moved(moved(5, "b"), r.Node("a"), r.Generation())
	for i, source := range []string{"c", "d", "c", "e"} {
		require.Equal(t, "0-4 a, 5 b, 6-99 a, 100-199 b, 200-16383 c", ownersOf(&r), i)
		r.Apply(viewOf(t, source, "a master 9 0-4 6-99", "b master 2 100-199", "c master 3 5 200-16383", "d master 0", "e master 0"), r.Generation())
	}
	assert.Equal(t, "0-4 a, 5 c, 6-99 a, 100-199 b, 200-16383 c", ownersOf(&r))
	checkMap(t, &r)
}

func TestEpochThatRoseForAnotherReason(t *testing.T) { // F2
	var r Router
	r.Apply(viewOf(t, "a", "a master 1 0-99", "b master 2 100-16383", "c master 3"), 0)
	r.Moved(moved(200, "a"), nil, r.Generation())
	r.Apply(viewOf(t, "c", "a master 1 0-98", "b master 5 99-16383", "c master 3"), r.Generation())
	shard, _ := r.For(200)
	assert.Equal(t, "a", shard.Primary.ID)
	// But b's own view, with its new epoch, is believed (rule 6c).
	r.Apply(viewOf(t, "b", "a master 1 0-98", "b master 5 99-16383", "c master 3"), r.Generation())
	assert.Equal(t, "0-98 a, 99-16383 b", ownersOf(&r))
	checkMap(t, &r)
}

func TestViewWithoutEpochsAfterARedirect(t *testing.T) { // F3
	for _, later := range [][]string{{"0-99 a c", "100-16383 b"}, {"100-16383 b"}} {
		var r Router
		r.Apply(replyOf(t, "", "0-99 a c", "100-16383 b"), 0)
		require.Equal(t, OutcomeFailedOver, r.Moved(moved(5, "c"), nil, r.Generation()).Outcome)
		for range 5 {
			r.Apply(replyOf(t, "", later...), r.Generation())
			r.Apply(replyOf(t, "b", later...), r.Generation())
		}
		assert.Equal(t, "0-99 c, 100-16383 b", ownersOf(&r), later)
		checkMap(t, &r)
	}
}

func TestViewOfANodeThatHasJustJoined(t *testing.T) { // F4
	var r Router
	r.Apply(view(t, "a master 1 0-99", "b master 2 100-16383"), 0)
	r.Apply(viewOf(t, "n", "n master 0", "b master 2 100-16383"), r.Generation())
	assert.Equal(t, "0-99 a, 100-16383 b", ownersOf(&r))
	assert.NotNil(t, r.Node("n"))
	checkMap(t, &r)
}

func TestAddressOfANodeThatTheSourceHasLost(t *testing.T) { // F5
	parse := func(text string) *Cluster {
		c, err := ParseNodes(text, Origin{})
		require.NoError(t, err)
		return c
	}
	lines := func(b string) *Cluster {
		return parse("a h:1@1 master - 0 5000 1 connected 0-99\n" + b + "c h:3@1 myself,master - 0 0 3 connected\n")
	}
	const newer, older, other = "b h:7@1 master - 0 5000 2 connected 100-16383\n", "b h:2@1 master,fail? - 1 1000 2 disconnected 100-16383\n",
		"b h:7@1 master - 0 9000 2 connected 100-16383\n"
	var r Router
	r.Apply(lines(newer), 0)
	r.Apply(lines(older), r.Generation())
	assert.Equal(t, "h:7", r.Node("b").Addr())
	assert.Equal(t, 7, r.Node("b").Port)
	assert.True(t, r.Node("b").Flags.Has(FlagPFail), "the rest is taken")
	r.Apply(lines(strings.Replace(older, " 1000 ", " 4999 ", 1)), r.Generation())
	assert.Equal(t, "h:7", r.Node("b").Addr(), "its pong is remembered")
	// The map remembers a later pong, even if it did not change with that view.
	r = Router{}
	r.Apply(lines(newer), 0)
	require.Equal(t, OutcomeUnchanged, r.Apply(lines(other), r.Generation()).Outcome)
	r.Apply(lines(strings.Replace(older, " 1000 ", " 8000 ", 1)), r.Generation())
	assert.Equal(t, "h:7", r.Node("b").Addr())
	// A node that is not lost, or that has a later pong, has moved.
	r.Apply(lines("b h:2@1 master - 0 8000 2 connected 100-16383\n"), r.Generation())
	assert.Equal(t, "h:2", r.Node("b").Addr())
	r.Apply(lines("b h:4@1 master,fail? - 1 10000 2 disconnected 100-16383\n"), r.Generation())
	assert.Equal(t, "h:4", r.Node("b").Addr())
	checkMap(t, &r)
}

func TestReplicaThatHasLeftItsShard(t *testing.T) { // F6
	var r Router
	r.Apply(threeShards(t), 0)
	redirected, refreshes := 0, 0
	for range 100 {
		n, seen := r.Read(5, ReadReplica)
		if n.ID == "a1" { // has left, and redirects reads to the primary
			redirected++
			if r.Moved(moved(5, "a"), n, seen).Refresh {
				refreshes++
			}
		}
	}
	assert.Equal(t, 1, redirected)
	assert.Equal(t, 1, refreshes)
	checkMap(t, &r)
	// Views of nodes that do not know that it left do not bring it back.
	old := []string{"a master 1 0-5460", "a1 slave:a 1", "a2 slave:a 1", "b master 2 5461-10922", "b1 slave:b 2", "b2 slave:b 2", "c master 3 10923-16383", "c1 slave:c 3", "c2 slave:c 3"}
	for range 3 {
		require.Equal(t, OutcomeUnchanged, r.Apply(viewOf(t, "b", old...), r.Generation()).Outcome)
	}
	require.Equal(t, OutcomeUnchanged, r.Apply(viewOf(t, "b1", old...), r.Generation()).Outcome)
	assert.False(t, r.Node("a1").Serves())
	three := r.Apply(viewOf(t, "b2", old...), r.Generation())
	assert.Equal(t, "a1", updates(three.Change), "three nodes say so")
	assert.True(t, r.Node("a1").Serves())
	// Its own view does, and so does a view that has it in another shard.
	for _, c := range []struct {
		of, shard string
	}{{"a1", "a"}, {"b", "b"}} {
		shard, seen := r.For(5)
		require.Equal(t, OutcomeSuspected, r.Moved(moved(5, "a"), r.Node("a1"), seen).Outcome)
		require.Equal(t, OutcomeUnchanged, r.Moved(moved(5, "a"), r.Node("a1"), seen).Outcome)
		old[1] = "a1 slave:" + c.shard + " 1"
		require.Equal(t, OutcomeApplied, r.Apply(viewOf(t, c.of, old...), r.Generation()).Outcome)
		assert.True(t, r.Node("a1").Serves())
		assert.Equal(t, c.shard, r.Node("a1").PrimaryID)
		checkMap(t, &r)
		require.NotNil(t, shard)
	}
}

// A redirect to the owner is evidence only against a replica of the owner.
func TestRedirectToTheOwnerIsMostlyNothing(t *testing.T) {
	var r Router
	r.Apply(threeShards(t), 0)
	for _, from := range []string{"", "a", "b", "b1", "x"} {
		assert.Equal(t, Result{Node: r.Node("a"), Seen: 1}, r.Moved(moved(5, "a"), r.Node(from), 1), from)
	}
	assert.Equal(t, OutcomeUnchanged, r.Moved(moved(5, "a"), &Node{}, 1).Outcome)
	// An old primary redirects commands that were sent before the client knew of the
	// failover. That is no evidence against it.
	r.Moved(moved(5, "a1"), r.Node("a"), 1)
	require.Equal(t, "a1 a2", func() string { s, _ := r.For(5); return s.Primary.ID + " " + s.Replicas[1].ID }())
	assert.Equal(t, OutcomeUnchanged, r.Moved(moved(5, "a1"), r.Node("a"), 1).Outcome)
	assert.Equal(t, OutcomeSuspected, r.Moved(moved(5, "a1"), r.Node("a"), r.Generation()).Outcome)
}

func TestDeadPrimaryThatTheClusterHasNotNoticed(t *testing.T) { // F7
	for _, v := range []*Cluster{threeShards(t), replyOf(t, "b", "0-5460 a a1 a2", "5461-10922 b b1 b2", "10923-16383 c c1 c2"),
		replyOf(t, "", "0-5460 a a1 a2", "5461-10922 b b1 b2", "10923-16383 c c1 c2")} {
		var r Router
		views, changes := 0, 0
		r.Apply(v, 0)
		r.OnChange = func(*Change) { changes++ }
		for range 1000 {
			if r.Failed(r.Node("a")).Refresh {
				views++
				r.Apply(v, r.Generation())
			}
		}
		assert.InDelta(t, 10, views, 3)
		assert.Equal(t, 1, changes)
		checkMap(t, &r)
	}
}

func TestOneLaggingNodeIsOneNode(t *testing.T) { // F8
	old := []string{"a master 1 0-5460", "a1 slave:a 1", "b master 2 5461-10922", "c master 3 10923-16383"}
	var r Router
	r.Apply(view(t, old...), 0)
	require.Equal(t, OutcomeFailedOver, r.Moved(moved(5, "a1"), nil, r.Generation()).Outcome)
	for range 10 {
		require.Equal(t, OutcomeStale, r.Apply(viewOf(t, "b", old...), r.Generation()).Outcome)
	}
	assert.Equal(t, "0-5460 a1, 5461-10922 b, 10923-16383 c", ownersOf(&r))
}

func TestSlotsDoNotGoBackToAFailedPrimary(t *testing.T) { // F9
	var r Router
	r.Apply(shardsOf(t, "0-99 c:master:online a:replica:online", "100-16383 b:master:online"), 0)
	r.Apply(shardsOf(t, "0-99 a:master:fail c:replica:online", "100-16383 b:master:online"), r.Generation())
	assert.Equal(t, "0-99 c, 100-16383 b", ownersOf(&r))
	// If the owner is down too, the view's claim wins.
	r.Failed(r.Node("c"))
	r.Apply(shardsOf(t, "0-99 a:master:fail c:replica:online", "100-16383 b:master:online"), r.Generation())
	assert.Equal(t, "0-99 a, 100-16383 b", ownersOf(&r))
	checkMap(t, &r)
}

func TestViewInPartLeavesEachNodeInOneShard(t *testing.T) { // F10
	var r Router
	r.Apply(view(t, "a master 5 0-99", "r slave:a 5", "b master 3 100-199", "c master 2 200-16383"), 0)
	got := r.Apply(viewOf(t, "c", "a slave:b 3", "r slave:b 3", "b master 3 0-149 151-199", "c master 7 150 200-16383"), r.Generation())
	assert.Equal(t, OutcomePartly, got.Outcome)
	assert.Equal(t, "0-99 a, 100-149 b, 150 c, 151-199 b, 200-16383 c", ownersOf(&r))
	shard, _ := r.For(0)
	assert.Equal(t, "r", ids(shard.Replicas))
	checkMap(t, &r)
}

func TestLastDescriptionIsTheMaps(t *testing.T) { // F11
	for _, later := range [][]string{{"0-99 n0"}, {"0-199 n0"}, {"0-99 n0 n3", "100-199 n1"}, {"0-99 n0", "100-199 n1 n3"}, {"0-9 n0", "10-99 n1", "100-199 n0"}} {
		var r Router
		told := tell(&r)
		r.Apply(shardsOf(t, "0-99 n0:master:online n3:replica:online"), 0)
		asked := r.Generation()
		r.Moved(moved(7, "n3"), nil, asked)
		told.check(t)
		r.Apply(replyOf(t, "", later...), asked)
		told.check(t)
		checkMap(t, &r)
	}
}

// A told has the nodes of the map, as far as OnChange has told of them.
type told struct {
	r    *Router
	node map[string]*Node
	gen  Generation
}

func tell(r *Router) *told {
	o := &told{r: r, node: map[string]*Node{}}
	r.OnChange = func(c *Change) {
		if c.Generation != o.gen+1 {
			panic(fmt.Sprintf("change %d after %d", c.Generation, o.gen))
		}
		o.gen = c.Generation
		for _, n := range c.Removed {
			if o.node[n.key] == nil {
				panic("removed, but not there: " + n.key)
			}
			delete(o.node, n.key)
		}
		for _, u := range c.Updated {
			if o.node[u.Before.key] == nil {
				panic("updated, but not there: " + u.Before.key)
			}
			delete(o.node, u.Before.key)
		}
		for _, u := range c.Updated {
			o.node[u.After.key] = u.After
		}
		for _, n := range c.Added {
			if o.node[n.key] != nil {
				panic("added, but there: " + n.key)
			}
			o.node[n.key] = n
		}
	}
	return o
}

// check checks that OnChange has told of all nodes as the map has them.
func (o *told) check(t testing.TB) {
	t.Helper()
	members := o.r.load().members.all()
	require.Len(t, o.node, len(members))
	for key, m := range members {
		if n := o.node[key]; n == nil || !m.node.routesAs(n) {
			t.Fatalf("%s: %+v is not %+v", key, m.node, n)
		}
	}
	require.Equal(t, o.r.Generation(), o.gen)
}

// CLUSTER SHARDS gives slots to a shard. While two of its primaries are well, it
// does not say which of them has the slots.
func TestShardOfTwoPrimaries(t *testing.T) {
	node := func(id, role, health string) any {
		return map[string]any{"id": id, "endpoint": id + ".example", "port": int64(6379), "role": role, "health": health}
	}
	of := func(asked, shard string, nodes ...any) *Cluster {
		from := Origin{}
		if asked != "" {
			from.Addr = asked + ".example:6379"
		}
		c, err := ParseShards([]any{
			map[string]any{"id": shard, "slots": []any{int64(0), int64(99)}, "nodes": nodes},
			map[string]any{"id": "other", "slots": []any{int64(100), int64(16383)}, "nodes": []any{node("z", "master", "online")}},
		}, from)
		require.NoError(t, err)
		return c
	}
	for _, c := range []struct {
		name  string
		view  *Cluster
		want  string
		after Outcome
	}{
		// Of two equal primaries, the parser takes a, the smaller id.
		{"the owner was asked, and is listed second", of("b", "s", node("a", "master", "online"), node("b", "master", "online")), "b", OutcomeApplied},
		{"somebody else was asked", of("z", "s", node("a", "master", "online"), node("b", "master", "online")), "b", OutcomeApplied},
		{"nobody knows who was asked", of("", "s", node("a", "master", "online"), node("b", "master", "online")), "b", OutcomeApplied},
		{"the claimant was asked", of("a", "s", node("a", "master", "online"), node("b", "master", "online")), "b", OutcomeApplied},
		{"the owner is a replica", of("z", "s", node("a", "master", "online"), node("b", "slave", "online")), "a", OutcomeApplied},
		{"the owner has failed", of("z", "s", node("a", "master", "online"), node("b", "master", "fail")), "a", OutcomeApplied},
		{"a reply without shard ids", of("z", "", node("a", "master", "online"), node("b", "master", "online")), "a", OutcomeApplied},
	} {
		var m Router
		m.Apply(of("z", "s", node("b", "master", "online"), node("a", "replica", "online")), 0)
		got := m.Apply(c.view, m.Generation())
		assert.Equal(t, "0-99 "+c.want+", 100-16383 z", ownersOf(&m), c.name)
		assert.Equal(t, c.after, got.Outcome, c.name)
		checkMap(t, &m)
	}
	// A redirect needs another view that confirms it.
	var m Router
	m.Apply(of("z", "s", node("a", "master", "online"), node("b", "replica", "online")), 0)
	require.True(t, m.Moved(moved(7, "b"), nil, m.Generation()).Refresh)
	got := m.Apply(of("z", "s", node("a", "master", "online"), node("b", "master", "online")), m.Generation())
	assert.Equal(t, OutcomeStale, got.Outcome)
	assert.True(t, got.Refresh)
	assert.Equal(t, "0-99 b, 100-16383 z", ownersOf(&m))
}

// Two primaries of one shard id that both stay: b has replaced a, and a got slots
// of another shard before it heard of that. No view says which of them has a slot, not
// even a's own view, but redirects do.
func TestShardThatKeepsTwoPrimaries(t *testing.T) {
	node := func(id, role string) any {
		return map[string]any{"id": id, "endpoint": id + ".example", "port": int64(6379), "role": role, "health": "online"}
	}
	shard := func(id string, slots []any, nodes ...any) any {
		return map[string]any{"id": id, "slots": slots, "nodes": nodes}
	}
	of := func(asked string, shards ...any) *Cluster {
		c, err := ParseShards(shards, Origin{Addr: asked + ".example:6379"})
		require.NoError(t, err)
		return c
	}
	// In truth b has 0-99, and a 100-109. The parser takes a.
	both := func(asked string) *Cluster {
		return of(asked, shard("s", []any{0, 99, 100, 109}, node("a", "master"), node("b", "master")), shard("z", []any{110, 16383}, node("z", "master")))
	}
	const right = "0-99 b, 100-109 a, 110-16383 z"
	var r Router
	r.Apply(of("z", shard("s", []any{0, 99}, node("a", "master"), node("b", "replica")), shard("z", []any{100, 16383}, node("z", "master"))), 0)
	require.Equal(t, OutcomeFailedOver, r.Moved(moved(7, "b"), r.Node("a"), r.Generation()).Outcome)
	for _, asked := range []string{"a", "b", "z", "a"} {
		got := r.Apply(both(asked), r.Generation())
		assert.Equal(t, right, ownersOf(&r), "%s was asked", asked)
		assert.True(t, got.Refresh, "nothing has confirmed the redirect")
		checkMap(t, &r)
	}
	// A view that agrees by chance confirms no redirect.
	require.Equal(t, OutcomePatched, r.Moved(moved(8, "a"), r.Node("b"), r.Generation()).Outcome)
	r.Apply(both("z"), r.Generation())
	_, g := r.load().owner(8)
	assert.True(t, g.told)
	// A view that tells them apart does.
	r.Apply(replyOf(t, "z", "0-7 b", "8-8 a", "9-99 b", "100-109 a", "110-16383 z"), r.Generation())
	_, g = r.load().owner(8)
	assert.False(t, g.told)
	// Such a view may give slots of another shard to the wrong node. It does not undo a
	// redirect of that node.
	r = Router{}
	r.Apply(of("z", shard("s", []any{0, 99}, node("a", "master"), node("b", "replica")), shard("z", []any{100, 16383}, node("z", "master"))), 0)
	r.Moved(moved(105, "y"), r.Node("a"), r.Generation())
	r.Apply(both("a"), r.Generation())
	owner, _ := r.For(105)
	assert.Equal(t, "y.example:6379", owner.Primary.Addr())
	checkMap(t, &r)
}

// If a view leaves open to which of two primaries the slots of a third node went, the
// owner is a guess. A redirect to the other one takes along all slots that came from
// the third node.
func TestGuessOfTwoPrimaries(t *testing.T) {
	node := func(id, role string) any {
		return map[string]any{"id": id, "endpoint": id + ".example", "port": int64(6379), "role": role, "health": "online"}
	}
	shard := func(id string, first, last int, nodes ...any) any {
		return map[string]any{"id": id, "slots": []any{first, last}, "nodes": nodes}
	}
	start := func() *Router {
		var r Router
		for _, shards := range [][]any{
			{shard("s", 0, 99, node("a", "master")), shard("y", 100, 199, node("y", "master")), shard("z", 200, 16383, node("z", "master"))},
			{shard("s", 0, 299, node("a", "master"), node("b", "master")), shard("z", 300, 16383, node("z", "master"))},
		} {
			c, err := ParseShards(shards, Origin{Addr: "z.example:6379"})
			require.NoError(t, err)
			r.Apply(c, r.Generation())
			checkMap(t, &r)
		}
		require.Equal(t, "0-299 a, 300-16383 z", ownersOf(&r))
		return &r
	}
	r := start()
	asked := r.Generation()
	assert.Equal(t, 100, r.Moved(moved(150, "b"), r.Node("a"), asked).Change.Slots.Len())
	assert.Equal(t, "0-99 a, 100-199 b, 200-299 a, 300-16383 z", ownersOf(r), "what y had")
	assert.Equal(t, OutcomeStale, r.Moved(moved(151, "a"), r.Node("b"), asked).Outcome, "all of it is known by the redirect")
	assert.Equal(t, 1, r.Moved(moved(151, "a"), r.Node("b"), r.Generation()).Change.Slots.Len(), "once")
	assert.Equal(t, 1, r.Moved(moved(5, "b"), r.Node("a"), r.Generation()).Change.Slots.Len(), "a had it before")
	checkMap(t, r)

	r = start()
	assert.Equal(t, 1, r.Moved(moved(150, "z"), r.Node("a"), r.Generation()).Change.Slots.Len(), "z is neither")
	// A view that says who owns the slots ends the guess.
	r.Apply(replyOf(t, "z", "0-149 a", "151-299 a", "300-16383 z", "150-150 z"), r.Generation())
	r.Apply(replyOf(t, "z", "0-149 a", "151-298 a", "300-16383 z", "150-150 z", "299-299 b"), r.Generation())
	assert.Equal(t, 1, r.Moved(moved(151, "b"), r.Node("a"), r.Generation()).Change.Slots.Len())
	checkMap(t, r)
}

// A name is of one node, whether it is known by its id or by its address.
func TestNames(t *testing.T) {
	node := func(id, addr string) *Node {
		n := &Node{ID: id, key: id, addr: addr}
		if id == "" {
			n.key = addr
		}
		return n
	}
	for _, c := range []struct {
		of, is *Node
		want   bool
	}{
		{node("a", "h:1"), node("a", "h:1"), true},
		{node("a", "h:1"), node("a", "h:2"), true},
		{node("a", "h:1"), node("b", "h:1"), false},
		{node("a", "h:1"), node("", "h:1"), true},
		{node("a", "h:1"), node("", "h:2"), false},
		{node("", "h:1"), node("b", "h:1"), true},
		{node("", "h:1"), node("", "h:1"), true},
		{node("a", ""), &Node{key: ":1"}, false},
		{&Node{key: ":1"}, node("a", ""), false},
		{node("", ""), node("", ""), false},
	} {
		assert.Equal(t, c.want, c.of.name().is(c.is), "%v %v", c.of, c.is)
	}
}

// A ground remembers the last few owners, the latest first, and not the one of now.
func TestGroundOfManyOwners(t *testing.T) {
	shard := func(id string) *Shard { return &Shard{Primary: &Node{ID: id, key: id}} }
	g, owner := new(ground), shard("a")
	for _, id := range []string{"b", "c", "b", "d", "e", "f", "g"} {
		next := shard(id)
		g = g.next(1, owner, next.Primary)
		owner = next
	}
	var got []string
	for _, c := range g.contradicted {
		got = append(got, c.node.key)
	}
	assert.Equal(t, []string{"f", "e", "d", "b"}, got)
}

// Sources that say otherwise count from the last one that agrees.
func TestViewThatAgreesBetweenOthers(t *testing.T) {
	var r Router
	r.Apply(viewOf(t, "c", "a master 2 0-99", "b master 3 100-16383", "c master 0", "d master 0"), 0)
	agrees := func(source string) *Cluster {
		return viewOf(t, source, "a master 2 0-98", "b master 4 99-16383", "c master 0", "d master 0", "e master 0")
	}
	lagging := func(source string) *Cluster {
		return viewOf(t, source, "a master 5 0-99", "b master 3 100-16383", "c master 0", "d master 0", "e master 0")
	}
	for _, v := range []*Cluster{agrees("c"), lagging("d"), lagging("e"), agrees("d"), lagging("c"), lagging("d")} {
		r.Apply(v, r.Generation())
		assert.Equal(t, "0-98 a, 99-16383 b", ownersOf(&r))
	}
	r.Apply(lagging("e"), r.Generation())
	assert.Equal(t, "0-99 a, 100-16383 b", ownersOf(&r), "three in a row")
	checkMap(t, &r)
}

// Any number of views that are older than the owner's epoch, and that have not heard of
// it, or were asked for before it, do not outweigh the map.
func TestViewsOfAnOlderEpochNeverWin(t *testing.T) {
	sources := []string{"c", "d", "e", "c", "d", "e"}
	var r Router
	r.Apply(viewOf(t, "c", "a master 3 100-16383", "b master 10 0-99", "c master 0", "d master 0", "e master 0"), 0)
	for _, b := range []string{"b master 2", "b slave:a 10"} { // a replica's epoch means nothing
		for _, source := range sources {
			r.Apply(viewOf(t, source, "a master 3 0-16383", b, "c master 0", "d master 0", "e master 0"), r.Generation())
			assert.Equal(t, "0-99 b, 100-16383 a", ownersOf(&r))
		}
	}
	r = Router{}
	old := func(source string) *Cluster {
		return viewOf(t, source, "a master 3 0-99", "b master 10 100-16383", "c master 0", "d master 0", "e master 0")
	}
	r.Apply(old("c"), 0)
	asked := r.Generation()
	r.Apply(viewOf(t, "c", "a master 3", "b master 10 0-16383", "c master 0", "d master 0", "e master 0"), asked)
	for _, source := range sources {
		r.Apply(old(source), asked)
		r.Apply(viewOf(t, source, "a master 3 0-99", "b master 2 100-16383", "c master 0", "d master 0", "e master 0"), r.Generation())
		assert.Equal(t, "0-16383 b", ownersOf(&r))
	}
	for _, source := range sources[:3] {
		r.Apply(old(source), r.Generation())
	}
	assert.Equal(t, "0-99 a, 100-16383 b", ownersOf(&r), "b has given them up")
	checkMap(t, &r)
}

// Rule 12: a pong tells that a node is well if it is later than the first view by more
// than servers are late.
func TestPongAfterASuspicion(t *testing.T) {
	at := func(pong int) *Cluster {
		c, err := ParseNodes(fmt.Sprintf("a h:1@1 master - 0 %d 1 connected 0-99\nb h:2@1 master - 0 5000 2 connected 100-199\nc h:3@1 myself,master - 0 0 3 connected\n", pong), Origin{})
		require.NoError(t, err)
		return c
	}
	var r Router
	r.Apply(at(4000), 0)
	r.Failed(r.Node("a"))
	for _, pong := range []int{4000, 5001, 6000} {
		r.Apply(at(pong), r.Generation())
		assert.True(t, r.Node("a").Flags.Has(FlagPFail), pong)
	}
	r.Apply(at(6001), r.Generation())
	assert.False(t, r.Node("a").Flags.Has(FlagPFail))
	checkMap(t, &r)
}

// Of three primaries of a shard, the one that has failed is none of the two between
// which a view leaves it open.
func TestShardOfTwoPrimariesAndAFailedOne(t *testing.T) {
	of := func(b, c string) *Cluster {
		node := func(id, role, health string) any {
			return map[string]any{"id": id, "endpoint": id + ".example", "port": 6379, "role": role, "health": health}
		}
		v, err := ParseShards([]any{
			map[string]any{"id": "s", "slots": []any{0, 99}, "nodes": []any{node("a", "master", map[string]string{"replica": "online", "master": "fail"}[b]), node("b", b, "online"), node("c", c, "online")}},
			map[string]any{"id": "other", "slots": []any{100, 16383}, "nodes": []any{node("z", "master", "online")}},
		}, Origin{Addr: "z.example:6379"})
		require.NoError(t, err)
		return v
	}
	var r Router
	r.Apply(of("replica", "replica"), 0)
	require.Equal(t, "0-99 a, 100-16383 z", ownersOf(&r))
	r.Apply(of("master", "master"), r.Generation())
	assert.Equal(t, "0-99 b, 100-16383 z", ownersOf(&r))
	checkMap(t, &r)
}

// A guess does not reach slots that nobody owns.
func TestGuessBesideSlotsWithoutAnOwner(t *testing.T) {
	node := func(id string) any {
		return map[string]any{"id": id, "endpoint": id + ".example", "port": 6379, "role": "master", "health": "online"}
	}
	shard := func(id string, first, last int, nodes ...any) any {
		return map[string]any{"id": id, "slots": []any{first, last}, "nodes": nodes}
	}
	var r Router
	for _, shards := range [][]any{
		{shard("s", 0, 99, node("a")), shard("y", 100, 199, node("y"))},
		{shard("s", 0, 199, node("a"), node("b"))},
	} {
		c, err := ParseShards(shards, Origin{})
		require.NoError(t, err)
		r.Apply(c, r.Generation())
	}
	r.Moved(moved(150, "b"), r.Node("a"), r.Generation())
	assert.Equal(t, "0-99 a, 100-199 b", ownersOf(&r))
	checkMap(t, &r)
}

// A view that says which primary has a slot confirms a redirect: of CLUSTER SHARDS, if
// the shard has one primary, and of CLUSTER NODES in any case.
func TestViewThatConfirmsARedirect(t *testing.T) {
	shards := func(primary, replica string) *Cluster {
		node := func(id, role string) any {
			return map[string]any{"id": id, "endpoint": id + ".example", "port": 6379, "role": role, "health": "online"}
		}
		c, err := ParseShards([]any{map[string]any{"id": "s", "slots": []any{0, 99}, "nodes": []any{node(primary, "master"), node(replica, "replica")}}}, Origin{})
		require.NoError(t, err)
		return c
	}
	nodes := func(a, b string) *Cluster {
		c, err := ParseNodes("a a.example:6379@1,,shard-id=s master - 0 0 1 connected "+a+"\nb b.example:6379@1,,shard-id=s master - 0 0 2 connected "+b+"\n", Origin{})
		require.NoError(t, err)
		require.Equal(t, "s", c.Node("a").ShardID)
		return c
	}
	for _, c := range []struct{ before, after *Cluster }{
		{shards("a", "b"), shards("b", "a")},
		{nodes("0-99", "100-199"), nodes("0-6 8-99", "7 100-199")},
	} {
		var r Router
		r.Apply(c.before, 0)
		r.Moved(moved(7, "b"), r.Node("a"), r.Generation())
		_, g := r.load().owner(7)
		require.True(t, g.told)
		got := r.Apply(c.after, r.Generation())
		_, g = r.load().owner(7)
		assert.False(t, g.told)
		assert.False(t, got.Refresh)
		shard, _ := r.For(7)
		assert.Equal(t, "b", shard.Primary.ID)
	}
}

// The guess is the primary that the parser takes, and the rival is the other one, in
// whatever order they are listed, and in one entry or two.
func TestRivalOfAGuess(t *testing.T) {
	for _, c := range []struct{ guess, rival string }{{"a", "b"}, {"b", "a"}} {
		node := func(id string) any {
			offset := map[bool]int{false: 1, true: 2}[id == c.guess]
			return map[string]any{"id": id, "endpoint": id + ".example", "port": 6379, "role": "master", "health": "online", "replication-offset": offset}
		}
		shard := func(id string, first, last int, nodes ...any) any {
			return map[string]any{"id": id, "slots": []any{first, last}, "nodes": nodes}
		}
		z := shard("z", 200, 299, node("z"))
		for _, shards := range [][]any{
			{shard("s", 0, 199, node("a"), node("b")), z},
			{shard("s", 0, 99, node(c.rival)), shard("s", 100, 199, node(c.guess)), z},
		} {
			var r Router
			for _, reply := range [][]any{{shard("y", 0, 199, node("y")), z}, shards} {
				v, err := ParseShards(reply, Origin{})
				require.NoError(t, err)
				r.Apply(v, r.Generation())
			}
			guess, _ := r.For(150)
			require.Equal(t, c.guess, guess.Primary.ID)
			r.Moved(moved(150, c.rival), guess.Primary, r.Generation())
			assert.Equal(t, "0-199 "+c.rival+", 200-299 z", ownersOf(&r))
		}
	}
}

// Rule 11: which lines are of a node that the source has lost, and which address
// is newer.
func TestAddressOfALostNode(t *testing.T) {
	view := func(b string) *Cluster {
		c, err := ParseNodes("a h:1@1 master - 0 5000 1 connected 0-99\n"+b+" 100-16383\nc h:3@1 myself,master - 0 0 3 connected\n", Origin{})
		require.NoError(t, err)
		return c
	}
	for _, c := range []struct{ before, after, want string }{
		{"b h:7@1 master - 0 5000 2 connected", "b h:2@1 master,fail? - 1 1000 2 connected", "h:7"},
		{"b h:7@1 master - 0 5000 2 connected", "b h:2@1 master - 1 1000 2 disconnected", "h:7"},
		{"b h:7@1 master - 0 5000 2 connected", "b h:2@1 master - 1 1000 2 connected", "h:2"},
		{"b h:7@1 master - 0 5000 2 connected", "b h:2@1 master,fail? - 1 5000 2 disconnected", "h:2"},
		{"b :0@0 master,noaddr - 0 5000 2 disconnected", "b h:2@1 master,fail? - 1 1000 2 disconnected", "h:2"},
	} {
		var r Router
		r.Apply(view(c.before), 0)
		r.Apply(view(c.after), r.Generation())
		assert.Equal(t, c.want, r.Node("b").Addr(), c.after)
		checkMap(t, &r)
	}
	// A view without pongs does not make the Router forget those of an earlier one.
	var r Router
	r.Apply(view("b h:7@1 master - 0 5000 2 connected"), 0)
	r.Apply(view("b h:7@1 master - 0 9000 2 connected"), r.Generation())
	c, err := ParseSlots([]any{[]any{0, 99, []any{"h", 1, "a"}}, []any{100, 16383, []any{"h", 7, "b"}}}, Origin{Addr: "h:3"})
	require.NoError(t, err)
	r.Apply(c, r.Generation())
	r.Apply(view("b h:2@1 master,fail? - 1 8000 2 disconnected"), r.Generation())
	assert.Equal(t, "h:7", r.Node("b").Addr())
}

// What a view has of a node of the map, if several nodes share its address.
func TestLineOfANode(t *testing.T) {
	for _, entries := range [][]any{
		{[]any{0, 99, []any{"p", 1, "x"}}, []any{100, 199, []any{"p", 1}}, []any{200, 299, []any{"q", 1, "y"}}},
		{[]any{0, 99, []any{"p", 1}}, []any{100, 199, []any{"p", 1, "x"}}, []any{200, 299, []any{"q", 1, "y"}}},
	} {
		c, err := ParseSlots(entries, Origin{})
		require.NoError(t, err)
		a := &applying{s: noState, viewed: viewed{view: c}}
		node := func(id, addr string) *Node { return &Node{ID: id, key: id, addr: addr} }
		require.NotNil(t, a.line(node("a", "p:1")))
		assert.Empty(t, a.line(node("a", "p:1")).ID, "one with another id is another")
		assert.Equal(t, "x", a.line(node("x", "q:1")).ID)
		assert.Nil(t, a.line(node("a", "q:1")))
		assert.Nil(t, a.line(node("a", "r:1")))
		assert.Nil(t, a.line(node("a", "")))
	}
}

// Rule 12: a source that had the node flagged, and does not any more, ends a suspicion.
func TestSourceThatHadTheNodeFlagged(t *testing.T) {
	of := func(source, a string) *Cluster {
		return viewOf(t, source, "a master"+a+" 1 0-99", "b master 2 100-199", "c master 3 200-16383")
	}
	var r Router
	r.Apply(of("b", ""), 0)
	r.Failed(r.Node("a"))
	for _, v := range []*Cluster{of("b", ""), of("c", ",fail?"), of("b", "")} {
		r.Apply(v, r.Generation())
		assert.True(t, r.Node("a").Flags.Has(FlagPFail))
	}
	r.Apply(of("c", ",fail?"), r.Generation())
	r.Apply(of("c", ""), r.Generation())
	assert.False(t, r.Node("a").Flags.Has(FlagPFail))
	checkMap(t, &r)
}

// Rule 13 counts different nodes: views of nobody in particular are of none.
func TestReplicaThatHasLeftAndViewsOfNobody(t *testing.T) {
	shards := []string{"0-99 a a1", "100-199 b", "200-16383 c"}
	var r Router
	r.Apply(replyOf(t, "b", shards...), 0)
	require.Equal(t, OutcomeSuspected, r.Moved(moved(5, "a"), r.Node("a1"), r.Generation()).Outcome)
	for _, source := range []string{"", "b", "", "c", ""} {
		r.Apply(replyOf(t, source, shards...), r.Generation())
		assert.False(t, r.Node("a1").Serves())
	}
	r.Apply(replyOf(t, "a", shards...), r.Generation())
	assert.True(t, r.Node("a1").Serves(), "three nodes say so")
	// How many more failures ask for the next view.
	assert.Equal(t, 6, suspicion{failures: 3}.asked().ask)
	assert.Equal(t, 6000, suspicion{failures: 5000}.asked().ask)
}
