package topology

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// nodesText returns the text of CLUSTER NODES for lines "id role epoch slots". A role is
// "master" or "slave:id of the primary", and more flags may follow a comma. The address
// of node x is x.example:6379.
func nodesText(lines ...string) string {
	var b strings.Builder
	for _, l := range lines {
		f := strings.Fields(l)
		flags, more, _ := strings.Cut(f[1], ",")
		role, primary, isReplica := strings.Cut(flags, ":")
		if !isReplica {
			primary = "-"
		}
		if more != "" {
			role += "," + more
		}
		fmt.Fprintf(&b, "%s %s.example:6379@16379 %s %s 0 0 %s connected %s\n", f[0], f[0], role, primary, f[2], strings.Join(f[3:], " "))
	}
	return b.String()
}

func view(t testing.TB, lines ...string) *Cluster {
	c, err := ParseNodes(nodesText(lines...), Origin{})
	require.NoError(t, err)
	return c
}

// threeShards returns a view of three shards, with a primary and two replicas each.
func threeShards(t testing.TB) *Cluster {
	return view(t,
		"a master 1 0-5460", "a1 slave:a 1", "a2 slave:a 1",
		"b master 2 5461-10922", "b1 slave:b 2", "b2 slave:b 2",
		"c master 3 10923-16383", "c1 slave:c 3", "c2 slave:c 3")
}

// ownersOf lists the owners of all ranges.
func ownersOf(r *Router) string {
	table, _ := r.Table()
	var parts []string
	for rg, s := range table.Ranges() {
		name := s.Primary.ID
		if name == "" {
			name = s.Primary.Addr()
		}
		parts = append(parts, fmt.Sprintf("%v %s", rg, name))
	}
	return strings.Join(parts, ", ")
}

func moved(slot hashslot.Slot, id string) Redirect {
	return Redirect{false, slot, id + ".example", 6379}
}

func ids(nodes []*Node) string {
	var names []string
	for _, n := range nodes {
		name := n.ID
		if name == "" {
			name = n.Addr()
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func updates(c *Change) string {
	var names []string
	for _, u := range c.Updated {
		names = append(names, u.After.ID)
	}
	return strings.Join(names, " ")
}

func TestRouterZero(t *testing.T) {
	var r Router
	shard, seen := r.For(0)
	assert.Nil(t, shard)
	assert.Zero(t, seen)
	for _, seen := range []func() (*Shard, Generation){
		func() (*Shard, Generation) { return r.ForKey("a") },
		func() (*Shard, Generation) { return r.ForKeyBytes([]byte("a")) },
	} {
		shard, seen := seen()
		assert.Nil(t, shard)
		assert.Zero(t, seen)
	}
	n, _ := r.Read(0, ReadAny)
	assert.Nil(t, n)
	assert.Zero(t, r.Generation())
	groups, unassigned, _ := r.Split([]string{"a", "b"})
	assert.Empty(t, groups)
	assert.Equal(t, []int{0, 1}, unassigned)
	assert.Nil(t, r.Node("a"))
	assert.Equal(t, OutcomeUnroutable, r.Moved(Redirect{Host: "?", Port: 1}, nil, 0).Outcome)

	// In the beginning, a redirect may be all that a client knows.
	var s Router
	got := s.Moved(moved(7, "a"), nil, 0)
	assert.Equal(t, OutcomeUnknownNode, got.Outcome)
	assert.True(t, got.Refresh)
	shard, _ = s.For(7)
	assert.Equal(t, "a.example:6379", shard.Primary.Addr())
}

// The five cases of a MOVED redirect.
func TestMoved(t *testing.T) {
	const slot = 100
	for _, c := range []struct {
		name    string
		to      string
		outcome Outcome
		owners  string
		change  string // added, removed, updated
	}{
		{"the owner", "a", OutcomeUnchanged, "0-5460 a, 5461-10922 b, 10923-16383 c", ""},
		{"a replica of the shard", "a1", OutcomeFailedOver, "0-5460 a1, 5461-10922 b, 10923-16383 c", "||a a1 a2"},
		{"another primary", "c", OutcomePatched, "0-99 a, 100 c, 101-5460 a, 5461-10922 b, 10923-16383 c", "||"},
		{"a replica of another shard", "c1", OutcomePatched, "0-99 a, 100 c1, 101-5460 a, 5461-10922 b, 10923-16383 c", "||c1"},
		{"an unknown node", "x", OutcomeUnknownNode, "0-99 a, 100 x.example:6379, 101-5460 a, 5461-10922 b, 10923-16383 c", "x.example:6379||"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Router
			var events []*Change
			r.OnChange = func(c *Change) { events = append(events, c) }
			require.Equal(t, OutcomeApplied, r.Apply(threeShards(t), r.Generation()).Outcome)
			require.Len(t, events, 1)
			_, seen := r.For(slot)
			got := r.Moved(moved(slot, c.to), nil, seen)
			assert.Equal(t, c.outcome, got.Outcome)
			assert.Equal(t, c.owners, ownersOf(&r))
			assert.Equal(t, c.to+".example:6379", got.Node.Addr())
			assert.Equal(t, c.outcome != OutcomeUnchanged, got.Refresh)
			if c.outcome == OutcomeUnchanged {
				assert.Nil(t, got.Change)
				assert.Len(t, events, 1)
				return
			}
			assert.Equal(t, c.change, ids(got.Change.Added)+"|"+ids(got.Change.Removed)+"|"+updates(got.Change))
			require.Len(t, events, 2)
			assert.Same(t, got.Change, events[1])
			assert.Equal(t, r.Generation(), got.Change.Generation)
			assert.True(t, got.Change.Slots.Contains(slot))
			shard, after := r.For(slot)
			assert.Same(t, got.Node, shard.Primary)
			assert.Equal(t, RolePrimary, shard.Primary.Role)
			assert.Equal(t, seen+1, after)
			switch c.to {
			case "a1":
				assert.Equal(t, "a a2", ids(shard.Replicas))
				assert.Equal(t, RoleReplica, shard.Replicas[0].Role)
				assert.Equal(t, "a1", shard.Replicas[0].PrimaryID)
				assert.Equal(t, 5461, got.Change.Slots.Len())
			case "c1":
				assert.Empty(t, shard.Replicas)
				c, _ := r.For(16383)
				assert.Equal(t, "c2", ids(c.Replicas))
			}
			// The same redirect, of a command that was sent at the same time.
			assert.Equal(t, OutcomeUnchanged, r.Moved(moved(slot, c.to), nil, seen).Outcome)
			// A redirect that was on its way longer says what was true before.
			old := r.Moved(moved(slot, "b"), nil, seen)
			assert.Equal(t, OutcomeStale, old.Outcome)
			assert.False(t, old.Refresh)
			assert.Equal(t, "b.example:6379", old.Node.Addr())
			assert.Equal(t, c.owners, ownersOf(&r))
			// For a slot that has not changed, the same redirect counts.
			if c.outcome != OutcomeFailedOver {
				assert.Equal(t, OutcomePatched, r.Moved(moved(slot+1, "b"), nil, seen).Outcome)
			}
		})
	}
}

func TestMovedUnroutable(t *testing.T) {
	var r Router
	r.Apply(threeShards(t), r.Generation())
	for i, rd := range []Redirect{{false, 1, "?", 6379}, {false, 1, "", 6379}, {false, 1, "a", 0}, {false, 1, "0.0.0.0", 1}} {
		got := r.Moved(rd, nil, r.Generation())
		assert.Equal(t, OutcomeUnroutable, got.Outcome)
		assert.Nil(t, got.Node)
		assert.Equal(t, i == 0, got.Refresh, "one refresh for all")
	}
	assert.Equal(t, Generation(1), r.Generation())
}

func TestAsking(t *testing.T) {
	var r Router
	r.Apply(threeShards(t), r.Generation())
	ask := Redirect{true, 100, "c.example", 6379}
	before, gen := r.Table()
	assert.Same(t, r.Node("c"), r.Asking(ask))
	got := r.Moved(ask, nil, gen)
	assert.Equal(t, Result{Node: r.Node("c"), Seen: gen}, got)
	ask.Host = "x.example"
	assert.Equal(t, "x.example:6379", r.Asking(ask).Addr())
	ask.Host = "?"
	assert.Nil(t, r.Asking(ask))
	after, genAfter := r.Table()
	assert.Same(t, before, after)
	assert.Equal(t, gen, genAfter)
}

// A node is found under every address that views and redirects give it.
func TestMovedAddresses(t *testing.T) {
	c, err := ParseNodes("a 10.0.0.1:1@2,a.example,tls-port=7 myself,master - 0 0 1 connected 0\nb 10.0.0.2:1@2,b.example,tls-port=7 master - 0 0 1 connected 1\n", Origin{})
	require.NoError(t, err)
	for _, rd := range []Redirect{{false, 0, "10.0.0.2", 1}, {false, 0, "b.example", 1}, {false, 0, "b.example", 7}, {false, 0, "10.0.0.2", 7}} {
		var r Router
		r.Apply(c, r.Generation())
		got := r.Moved(rd, nil, 1)
		assert.Equal(t, OutcomePatched, got.Outcome, rd)
		assert.Equal(t, "b", got.Node.ID, rd)
	}
	// Nodes behind a proxy share an address.
	c, err = ParseNodes("a 10.0.0.1:1@2 master - 0 0 1 connected 0\nb 10.0.0.1:1@3 master - 0 0 1 connected 1\n", Origin{})
	require.NoError(t, err)
	var r Router
	r.Apply(c, r.Generation())
	for slot := range hashslot.Slot(2) {
		assert.Equal(t, OutcomeUnchanged, r.Moved(Redirect{false, slot, "10.0.0.1", 1}, nil, 1).Outcome)
	}
}

// However many commands find the map wrong, only one Result has Refresh set, until a
// view is taken, or RefreshFailed is called.
func TestRefreshOnce(t *testing.T) {
	var r Router
	r.Apply(threeShards(t), r.Generation())
	seen := r.Generation()
	assert.True(t, r.Moved(moved(1, "b"), nil, seen).Refresh)
	assert.False(t, r.Moved(moved(2, "b"), nil, seen).Refresh)
	assert.False(t, r.Moved(moved(3, "x"), nil, seen).Refresh)
	assert.False(t, r.Failed(r.Node("c1")).Refresh)
	r.RefreshFailed()
	assert.True(t, r.Moved(moved(4, "b"), nil, seen).Refresh)
	// A stale view does not settle the question: its Result asks for another one.
	stale := r.Apply(view(t, "a master 0 0-5460", "b master 0 5461-10922", "c master 0 10923-16383"), r.Generation())
	assert.Equal(t, OutcomeStale, stale.Outcome)
	assert.True(t, stale.Refresh)
	assert.False(t, r.Moved(moved(5, "b"), nil, seen).Refresh)
	fresh := r.Apply(view(t, "a master 1 6-5460", "b master 4 0-5 5461-10922", "c master 3 10923-16383", "x master 0"), r.Generation())
	assert.Equal(t, OutcomeApplied, fresh.Outcome)
	assert.False(t, fresh.Refresh)
	assert.Equal(t, "0-5 b, 6-5460 a, 5461-10922 b, 10923-16383 c", ownersOf(&r))
	assert.True(t, r.Moved(moved(100, "b"), nil, r.Generation()).Refresh)
	// If nothing is wrong, a stale view asks for nothing.
	var s Router
	s.Apply(threeShards(t), s.Generation())
	assert.Equal(t, Result{Outcome: OutcomeStale, Seen: 1}, s.Apply(view(t, "a master 0 0-5460", "b master 2 5461-10922", "c master 3 10923-16383"), s.Generation()))
}

// Views show a primary that is gone as suspected before they show who replaced
// it: a client that cannot reach it goes on to ask for them.
func TestRefreshUntilFailover(t *testing.T) {
	var r Router
	r.Apply(threeShards(t), r.Generation())
	assert.True(t, r.Failed(r.Node("a")).Refresh)
	suspected := view(t, "a master,fail? 1 0-5460", "a1 slave:a 1", "b master 2 5461-10922", "c master 3 10923-16383")
	failures, asked := 1, 1
	r.Apply(suspected, r.Generation())
	for range 1000 {
		got := r.Failed(r.Node("a"))
		failures++
		assert.Equal(t, OutcomeUnchanged, got.Outcome)
		if got.Refresh {
			asked++
			assert.False(t, r.Failed(r.Node("a")).Refresh, "once")
			failures++
			assert.False(t, r.Apply(suspected, r.Generation()).Refresh)
		}
	}
	assert.InDelta(t, 10, asked, 2, "less and less often: %d of %d", asked, failures)
	r.Apply(view(t, "a master,fail 1", "a1 master 4 0-5460", "b master 2 5461-10922", "c master 3 10923-16383"), r.Generation())
	assert.Equal(t, "0-5460 a1, 5461-10922 b, 10923-16383 c", ownersOf(&r))
}

// The Result of Failed has the node as the map has it then.
func TestFailedReturnsTheNode(t *testing.T) {
	var r Router
	r.Apply(threeShards(t), 0)
	got := r.Failed(r.Node("a"))
	assert.Same(t, r.Node("a"), got.Node)
	assert.True(t, got.Node.Flags.Has(FlagPFail))
}

func TestFailedAndPromote(t *testing.T) {
	var r Router
	r.Apply(threeShards(t), r.Generation())
	got := r.Failed(r.Node("a1"))
	assert.Equal(t, OutcomeSuspected, got.Outcome)
	assert.Equal(t, "a1", updates(got.Change))
	assert.True(t, got.Change.Slots.IsEmpty())
	assert.True(t, r.Node("a1").Flags.Has(FlagPFail))
	for range 100 {
		n, _ := r.Read(0, ReadReplica)
		require.Equal(t, "a2", n.ID)
	}
	assert.Equal(t, OutcomeUnchanged, r.Failed(r.Node("a1")).Outcome)
	r.Failed(r.Node("a2"))
	n, _ := r.Read(0, ReadReplica)
	assert.Equal(t, "a", n.ID, "the primary if no replica serves")
	r.Failed(r.Node("a"))
	n, _ = r.Read(0, ReadAny)
	assert.Equal(t, "a", n.ID, "better than nobody")
	shard, _ := r.For(0)
	assert.Equal(t, "a", shard.Primary.ID, "who is the owner is not for the client to decide")

	got = r.Promote(r.Node("a2"))
	assert.Equal(t, OutcomeFailedOver, got.Outcome)
	assert.Equal(t, "0-5460 a2, 5461-10922 b, 10923-16383 c", ownersOf(&r))
	assert.True(t, r.Node("a2").Serves())
	assert.Equal(t, OutcomeUnchanged, r.Promote(r.Node("a2")).Outcome)
	assert.Equal(t, OutcomeUnchanged, r.Promote(&Node{ID: "x", key: "x"}).Outcome)
	assert.Equal(t, OutcomeUnchanged, r.Failed(&Node{ID: "x", key: "x"}).Outcome)

	// The next view sets it right.
	got = r.Apply(view(t, "a slave:a2 9", "a1 slave:a2 9", "a2 master 9 0-5460",
		"b master 2 5461-10922", "b1 slave:b 2", "b2 slave:b 2", "c master 3 10923-16383", "c1 slave:c 3", "c2 slave:c 3"), r.Generation())
	assert.Equal(t, OutcomeUnchanged, got.Outcome, "a2 is what it was")
	assert.Equal(t, uint64(9), r.Node("a2").ConfigEpoch)
	// It does not prove that the others are right.
	assert.False(t, r.Node("a1").Serves())
	got = r.Succeeded(r.Node("a1"))
	assert.Equal(t, OutcomeRecovered, got.Outcome)
	assert.Equal(t, "a1", updates(got.Change))
	assert.True(t, r.Node("a1").Serves())
	assert.Equal(t, OutcomeUnchanged, r.Succeeded(r.Node("a1")).Outcome)
}

// The Results of writes that change little or nothing.
func TestSmallWrites(t *testing.T) {
	names := []string{"unchanged", "applied", "partly applied", "stale", "re-created", "patched", "failed over", "unknown node", "unroutable", "suspected", "recovered", "outcome 11"}
	for i, name := range names {
		assert.Equal(t, name, Outcome(i).String())
	}
	var r Router
	r.Apply(threeShards(t), r.Generation())
	gen := r.Generation()
	// An invalid slot.
	got := r.Moved(Redirect{false, hashslot.Count, "b.example", 6379}, nil, gen)
	assert.Equal(t, Result{Node: r.Node("b"), Seen: gen}, got)
	// A node that the map does not have.
	stranger := &Node{ID: "x", key: "x"}
	for _, got := range []Result{r.Promote(stranger), r.Failed(stranger), r.Succeeded(stranger)} {
		assert.Equal(t, Result{Node: stranger, Seen: gen}, got)
	}
	for _, n := range []*Node{stranger, r.Node("a")} {
		s, res := succeeded{n}.step(r.load()) // as if another goroutine were first
		assert.Same(t, r.load(), s)
		assert.Equal(t, Result{Node: n}, res)
	}
	// A failure asks for a view, and so do the second, the fourth, the eighth. What
	// readers see of a suspicion does not change.
	for i := 1; i <= 16; i++ {
		before := r.load()
		had := before.suspects["a"]
		assert.Equal(t, i&(i-1) == 0, r.Failed(r.Node("a")).Refresh, i)
		r.RefreshFailed()
		assert.Same(t, had, before.suspects["a"], i)
	}
	// Success of a node that nobody suspects does not wait for a write.
	r.mu.Lock()
	assert.Equal(t, OutcomeUnchanged, r.Succeeded(r.Node("b")).Outcome)
	r.mu.Unlock()
	got = r.Succeeded(r.Node("a"))
	assert.Same(t, r.Node("a"), got.Node)
	assert.True(t, got.Node.Serves())
	// A replica that has left its shard, and says so twice.
	for range 2 {
		got = r.Moved(moved(0, "a"), r.Node("a1"), r.Generation())
		assert.Same(t, r.Node("a"), got.Node)
	}
	// A redirect of a node that the map has no more: its view may undo it (rule 6a).
	gone := &Node{ID: "g", key: "g", addr: "g.example:6379"}
	require.Equal(t, OutcomePatched, r.Moved(moved(0, "b"), gone, r.Generation()).Outcome)
	r.Apply(view(t, "g master,myself 0", "a master 1 0-5460", "b master 2 5461-10922", "c master 3 10923-16383"), r.Generation())
	shard, _ := r.For(0)
	assert.Equal(t, "a", shard.Primary.ID)
}

// A view that was on its way when a redirect corrected the map does not undo it.
func TestApplyAfterRedirect(t *testing.T) {
	old := threeShards(t)
	var r Router
	r.Apply(old, r.Generation())
	r.Moved(moved(100, "b"), nil, 1)
	r.Moved(moved(101, "x"), nil, 1)
	patched := "0-99 a, 100 b, 101 x.example:6379, 102-5460 a, 5461-10922 b, 10923-16383 c"
	require.Equal(t, patched, ownersOf(&r))

	// The view of a third node, which does not know of the change yet.
	for range believe - 1 {
		got := r.Apply(old, r.Generation())
		require.Equal(t, OutcomeStale, got.Outcome)
		require.Equal(t, patched, ownersOf(&r))
	}
	// The view of a node that knows.
	got := r.Apply(view(t, "a master 1 0-99 102-5460", "b master 2 100 5461-10922", "c master 3 10923-16383", "x master 0 101"), r.Generation())
	assert.Equal(t, OutcomeApplied, got.Outcome)
	assert.Equal(t, "0-99 a, 100 b, 101 x, 102-5460 a, 5461-10922 b, 10923-16383 c", ownersOf(&r))
	for slot := range hashslot.Slot(hashslot.Count) {
		_, g := r.load().owner(slot)
		require.False(t, g.told)
	}
	assert.Equal(t, "a1 a2 b1 b2 c1 c2", ids(got.Change.Removed))
	assert.Empty(t, got.Change.Added, "x has got an id, it is not new")
	assert.Contains(t, updates(got.Change), "x")

	// The view of the node that redirected: it has changed its mind.
	own := view(t, "a master,myself 1 0-5460", "b master 2 5461-10922", "c master 3 10923-16383")
	for _, from := range []string{"", "a", "c"} {
		r = Router{}
		r.Apply(old, 0)
		r.Moved(moved(100, "b"), r.Node(from), 1)
		r.Apply(own, r.Generation())
		assert.Equal(t, from == "a", ownersOf(&r) == "0-5460 a, 5461-10922 b, 10923-16383 c", from)
		assert.Equal(t, from != "a", ownersOf(&r) == "0-99 a, 100 b, 101-5460 a, 5461-10922 b, 10923-16383 c", from)
	}
	// But not if it was asked before the redirect.
	r = Router{}
	r.Apply(old, 0)
	r.Moved(moved(100, "b"), r.Node("a"), 1)
	assert.Equal(t, OutcomeStale, r.Apply(own, 1).Outcome)

	// A claim that is newer than the one that the redirect contradicted.
	r = Router{}
	r.Apply(old, r.Generation())
	r.Moved(moved(100, "a1"), nil, 1)
	r.Apply(view(t, "a slave:c 7", "a1 slave:a 1", "a2 slave:a 1", "b master 2 5461-10922", "c master 7 0-5460 10923-16383"), r.Generation())
	assert.Equal(t, "0-5460 c, 5461-10922 b, 10923-16383 c", ownersOf(&r))

	// If three different nodes say so, the redirect was wrong.
	r = Router{}
	r.Apply(old, 0)
	r.Moved(moved(100, "a1"), nil, 1)
	of := func(id string) *Cluster {
		lines := []string{"a master 1 0-5460", "a1 slave:a 1", "a2 slave:a 1", "b master 2 5461-10922", "c master 3 10923-16383"}
		for i, l := range lines {
			if name, _, _ := strings.Cut(l, " "); name == id {
				f := strings.Fields(l)
				f[1] += ",myself"
				lines[i] = strings.Join(f, " ")
			}
		}
		return view(t, lines...)
	}
	for _, id := range []string{"a", "a", "b", "b", "a"} {
		require.Equal(t, OutcomeStale, r.Apply(of(id), r.Generation()).Outcome)
	}
	require.Equal(t, OutcomeApplied, r.Apply(of("c"), r.Generation()).Outcome)
	assert.Equal(t, "0-5460 a, 5461-10922 b, 10923-16383 c", ownersOf(&r))
}

// A view cannot know of changes that came after it was asked for.
func TestApplyAskedAt(t *testing.T) {
	reply := func(first string, rest string) *Cluster {
		c, err := ParseSlots([]any{
			[]any{0, 100, []any{first + ".example", 6379, first}},
			[]any{101, 16383, []any{rest + ".example", 6379, rest}}}, Origin{})
		require.NoError(t, err)
		return c
	}
	var r Router
	r.Apply(reply("a", "b"), r.Generation())
	asked := r.Generation()
	r.Moved(moved(5, "b"), nil, asked)
	got := r.Apply(reply("a", "b"), asked)
	assert.Equal(t, OutcomeStale, got.Outcome)
	assert.Equal(t, "0-4 a, 5 b, 6-100 a, 101-16383 b", ownersOf(&r))
	// The rest of such a view is good.
	got = r.Apply(reply("a", "c"), asked)
	assert.Equal(t, OutcomePartly, got.Outcome)
	assert.True(t, got.Refresh)
	assert.Equal(t, "0-4 a, 5 b, 6-100 a, 101-16383 c", ownersOf(&r))
	// A view of an unknown node may be old even if it was asked for later.
	got = r.Apply(reply("a", "c"), r.Generation())
	assert.Equal(t, OutcomeStale, got.Outcome)
	// But if the client cannot reach b, it is the best there is.
	r.Failed(r.Node("b"))
	got = r.Apply(reply("a", "c"), r.Generation())
	assert.Equal(t, OutcomeApplied, got.Outcome)
	assert.Equal(t, "0-100 a, 101-16383 c", ownersOf(&r))
	assert.Equal(t, "b", ids(got.Change.Removed))
	// Slots without an owner keep theirs.
	c, err := ParseSlots([]any{[]any{0, 50, []any{"a.example", 6379, "a"}}}, Origin{})
	require.NoError(t, err)
	assert.Equal(t, OutcomeUnchanged, r.Apply(c, r.Generation()).Outcome)
	assert.Equal(t, "0-100 a, 101-16383 c", ownersOf(&r))
	// The view of a node that knows no other changes nothing.
	c, err = ParseSlots([]any{}, Origin{})
	require.NoError(t, err)
	assert.Equal(t, OutcomeStale, r.Apply(c, r.Generation()).Outcome)
	assert.Equal(t, OutcomeApplied, r.Replace(c).Outcome)
	assert.Equal(t, "", ownersOf(&r))
}

// A claim with a lower config epoch never replaces one with a higher.
func TestApplyEpochs(t *testing.T) {
	for _, c := range []struct {
		name  string
		known []string
		view  []string
		want  Outcome
		after string
	}{
		{"the same", []string{"a master 1 0-9", "b master 2 10-19"}, []string{"b master 2 10-19", "a master 1 0-9"},
			OutcomeUnchanged, "0-9 a, 10-19 b"},
		{"a higher claim", []string{"a master 1 0-9", "b master 2 10-19"}, []string{"a master 1 0-4", "b master 3 5-19"},
			OutcomeApplied, "0-4 a, 5-19 b"},
		{"a lower claim", []string{"a master 1 0-4", "b master 3 5-19"}, []string{"a master 1 0-9", "b master 2 10-19"},
			OutcomeStale, "0-4 a, 5-19 b"},
		{"the owner has given a slot up without a new epoch", []string{"a master 8 0-9", "b master 7 10-19"}, []string{"a master,myself 8 1-9", "b master 7 0 10-19"},
			OutcomeApplied, "0 b, 1-9 a, 10-19 b"},
		{"the same, but somebody else says so", []string{"a master 8 0-9", "b master 7 10-19"}, []string{"a master 8 1-9", "b master,myself 7 0 10-19"},
			OutcomeStale, "0-9 a, 10-19 b"},
		{"an owner with an older claim has not", []string{"a master 8 0-9", "b master 7 10-19"}, []string{"a master 1 1-9", "b master 7 0 10-19"},
			OutcomeStale, "0-9 a, 10-19 b"},
		{"equal epochs", []string{"a master 0 0-9", "b master 0 10-19"}, []string{"a master 0 0-4", "b master 0 5-19"},
			OutcomeApplied, "0-4 a, 5-19 b"},
		{"older and newer", []string{"a master 5 0-9", "b master 2 10-19", "c master 3 20-29"},
			[]string{"a master 1", "b master 2 0-9", "c master 6 10-29"},
			OutcomePartly, "0-9 a, 10-29 c"},
		{"a failover that is not known there", []string{"a master,fail 1", "a1 master 4 0-9", "b master 2 10-19"},
			[]string{"a master 1 0-9", "a1 slave:a 1", "b master 2 10-19"},
			OutcomeStale, "0-9 a1, 10-19 b"},
		{"a claim of before the claimant was demoted", []string{"a slave:a1 1", "a1 master 9 0-9", "b master 7 10-19"},
			[]string{"a master 7 0-19", "a1 slave:a 7", "b master 7"},
			OutcomeStale, "0-9 a1, 10-19 b"},
		{"an owner that has gone", []string{"a master 1 0-9", "b master 2 10-19"}, []string{"b master 2 10-19", "c master 3 0-9"},
			OutcomeApplied, "0-9 c, 10-19 b"},
		{"an owner that has not come yet", []string{"a master 5 0-9", "b master 2 10-19"}, []string{"b master 2 0-19"},
			OutcomeStale, "0-9 a, 10-19 b"},
		{"slots that the owner has not any more", []string{"a master 1 0-9", "b master 2 10-19"}, []string{"a master,myself 1", "b master 2 10-19"},
			OutcomeApplied, "10-19 b"},
		{"slots of which somebody does not know the owner", []string{"a master 1 0-9", "b master 2 10-19"}, []string{"a master 1", "b master 2 10-19"},
			OutcomeUnchanged, "0-9 a, 10-19 b"},
		{"slots that the owner has not yet", []string{"a master 4 0-9", "b master 2 10-19"}, []string{"a master,myself 1", "b master 2 10-19"},
			OutcomeUnchanged, "0-9 a, 10-19 b"},
		{"a node that knows only itself", []string{"a master 1 0-9", "b master 2 10-19"}, []string{"b master,myself 2"},
			OutcomeStale, "0-9 a, 10-19 b"},
		{"a new cluster", []string{"a master 7 0-9", "b master 8 10-19"}, []string{"x master 1 0-19"},
			OutcomeRecreated, "0-19 x"},
		{"a new cluster that is not made yet", []string{"a master 7 0-9", "b master 8 10-19"}, []string{"x master 1 0-15"},
			OutcomeStale, "0-9 a, 10-19 b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Router
			require.Equal(t, OutcomeApplied, r.Apply(view(t, c.known...), r.Generation()).Outcome)
			before := ownersOf(&r)
			got := r.Apply(view(t, c.view...), r.Generation())
			assert.Equal(t, c.want, got.Outcome)
			assert.Equal(t, c.after, ownersOf(&r))
			if c.want == OutcomeStale || c.want == OutcomeUnchanged {
				assert.Equal(t, before, ownersOf(&r))
				assert.Nil(t, got.Change)
				assert.Equal(t, Generation(1), r.Generation())
			} else {
				require.NotNil(t, got.Change)
				assert.Equal(t, Generation(2), r.Generation())
			}
			// Force knows no epochs.
			r.Replace(view(t, c.view...))
			var s Router
			s.Apply(view(t, c.view...), s.Generation())
			assert.Equal(t, ownersOf(&s), ownersOf(&r))
		})
	}
}

// A partly stale view's description of a node by an older epoch is not taken.
func TestPartlyOlder(t *testing.T) {
	var r Router
	r.Apply(view(t, "a master 5 0-9", "a1 slave:a 5", "b master 2 10-19"), r.Generation())
	before, _ := r.For(0)
	got := r.Apply(view(t, "a master 1 0-9", "b master 6 10-29"), r.Generation())
	require.Equal(t, OutcomePartly, got.Outcome)
	after, _ := r.For(0)
	assert.Same(t, before, after)
	assert.Equal(t, "a1", ids(after.Replicas))
	// So the same claim is still too old.
	assert.Equal(t, OutcomeStale, r.Apply(view(t, "a master 2", "b master 6 10-29", "c master 4 0-9"), r.Generation()).Outcome)
}

// A view without epochs does not make the Router forget those it knows.
func TestApplyMixedCommands(t *testing.T) {
	var r Router
	r.Apply(view(t, "a master,fail 1", "a1 master 6 0-9", "b master 2 10-19"), r.Generation())
	slots := slotsView(t, "0-9 a1", "10-19 b")
	assert.Equal(t, OutcomeApplied, r.Apply(slots, r.Generation()).Outcome, "a is not in it")
	assert.Equal(t, OutcomeUnchanged, r.Apply(slotsView(t, "0-9 a1", "10-19 b"), r.Generation()).Outcome)
	assert.Equal(t, OutcomeStale, r.Apply(view(t, "a master 1 0-9", "a1 slave:a 1", "b master 2 10-19"), r.Generation()).Outcome)
	assert.Equal(t, "0-9 a1, 10-19 b", ownersOf(&r))
	assert.Zero(t, slots.Node("b").ConfigEpoch, "the view itself stays what it is")
	// Of two views without epochs, the later one counts.
	r.Apply(slotsView(t, "0-4 a1", "5-19 b"), r.Generation())
	assert.Equal(t, "0-4 a1, 5-19 b", ownersOf(&r))
}

// An owner that is kept against a view may be a replica in that view. It stays a primary.
func TestPartlyTidy(t *testing.T) {
	var r Router
	r.Apply(view(t, "a master,fail 1", "a1 master 5 0-9", "b master 2 10-19"), r.Generation())
	got := r.Apply(view(t, "a master 1 0-9", "a1 slave:a 1", "b master 6 10-29"), r.Generation())
	require.Equal(t, OutcomePartly, got.Outcome)
	require.Equal(t, "0-9 a1, 10-29 b", ownersOf(&r))
	for _, s := range r.load().shards[2:] {
		assert.Empty(t, s.Replicas, s)
	}
}

// The transitions that were captured, through one Router: a slot is moved, the
// primary is killed, its replica takes over, the old primary comes back.
func TestCapturedTransitions(t *testing.T) {
	type step struct {
		state, port, owners string
	}
	for _, c := range []struct {
		server string
		steps  []step
	}{
		{"redis-7.0.15", []step{
			{"fresh_3m3r", "17104", "0-5460 1e47, 5461-10922 af4b, 10923-16383 76a2"},
			{"migrating", "17104", "0-5460 1e47, 5461-10922 af4b, 10923-16383 76a2"},
			{"migrated_target_only", "17104", "0 af4b, 1-5460 1e47, 5461-10922 af4b, 10923-16383 76a2"},
			{"migrated", "17104", "0 af4b, 1-5460 1e47, 5461-10922 af4b, 10923-16383 76a2"},
			{"killed_master_pfail", "17104", "0 af4b, 1-5460 1e47, 5461-10922 af4b, 10923-16383 76a2"},
			{"killed_master_fail", "17104", "0 af4b, 1-5460 1e47, 5461-10922 af4b, 10923-16383 76a2"},
			{"after_failover", "17104", "0 af4b, 1-5460 174b, 5461-10922 af4b, 10923-16383 76a2"},
			{"old_master_rejoined", "17104", "0 af4b, 1-5460 174b, 5461-10922 af4b, 10923-16383 76a2"},
		}},
		// Seen by the source of the slot, which has the higher epoch and knows last.
		{"redis-7.0.15", []step{
			{"fresh_3m3r", "17101", "0-5460 1e47, 5461-10922 af4b, 10923-16383 76a2"},
			{"migrating", "17101", "0-5460 1e47, 5461-10922 af4b, 10923-16383 76a2"},
			{"migrated_target_only", "17101", "0-5460 1e47, 5461-10922 af4b, 10923-16383 76a2"},
			{"migrated", "17101", "0 af4b, 1-5460 1e47, 5461-10922 af4b, 10923-16383 76a2"},
			{"killed_master_fail", "17102", "0 af4b, 1-5460 1e47, 5461-10922 af4b, 10923-16383 76a2"},
			{"after_failover", "17106", "0 af4b, 1-5460 174b, 5461-10922 af4b, 10923-16383 76a2"},
			{"old_master_rejoined", "17101", "0 af4b, 1-5460 174b, 5461-10922 af4b, 10923-16383 76a2"},
		}},
		{"valkey-8.0.1", []step{
			{"fresh_3m3r", "17101", "0-5460 233e, 5461-10922 c700, 10923-16383 3911"},
			{"migrating", "17101", "0-5460 233e, 5461-10922 c700, 10923-16383 3911"},
			{"migrated", "17101", "0 c700, 1-5460 233e, 5461-10922 c700, 10923-16383 3911"},
			{"killed_master_pfail", "17102", "0 c700, 1-5460 233e, 5461-10922 c700, 10923-16383 3911"},
			{"killed_master_fail", "17104", "0 c700, 1-5460 233e, 5461-10922 c700, 10923-16383 3911"},
			{"after_failover", "17106", "0 c700, 1-5460 5ae3, 5461-10922 c700, 10923-16383 3911"},
			{"old_master_rejoined", "17101", "0 c700, 1-5460 5ae3, 5461-10922 c700, 10923-16383 3911"},
		}},
		{"valkey-9.1.2", []step{
			{"asm_in_progress", "17291", "0-5460 16ab, 5461-10922 ba31, 10923-16383 b672"},
			{"asm_done", "17293", "0-10 ba31, 11-99 16ab, 100-200 ba31, 201-4999 16ab, 5000-5460 b672, 5461-10922 ba31, 10923-16383 b672"},
		}},
	} {
		byName := map[string]capture{}
		for _, cp := range captures(t) {
			byName[cp.name] = cp
		}
		short := func(r *Router) string {
			s := ownersOf(r)
			table, _ := r.Table()
			for shard := range table.Owners() {
				s = strings.ReplaceAll(s, shard.Primary.ID, shard.Primary.ID[:4])
			}
			return s
		}
		var r Router
		var past []*Cluster
		for i, s := range c.steps {
			cluster := byName[c.server+"/"+s.state+"/"+s.port].parseNodes(t)
			got := r.Apply(cluster, r.Generation())
			require.Equal(t, s.owners, short(&r), "%s %v: %v", c.server, s, got.Outcome)
			// No earlier view that says otherwise wins.
			for j, old := range past {
				if c.steps[j].owners != s.owners && !(c.steps[j].state == "migrated_target_only" && s.state == "migrated") {
					require.Equal(t, OutcomeStale, r.Apply(old, r.Generation()).Outcome, "%v after %v", c.steps[j], c.steps[i])
					require.Equal(t, s.owners, short(&r))
				}
			}
			past = append(past, cluster)
		}
	}
}

func TestSplit(t *testing.T) {
	var r Router
	r.Apply(view(t, "a master 1 0-5460", "b master 2 5461-10922"), r.Generation())
	keys := []string{"foo", "bar", "hello", "x", "{bar}2"} // 12182 5061 866 16287 5061
	groups, unassigned, seen := r.Split(keys)
	assert.Equal(t, Generation(1), seen)
	require.Len(t, groups, 1)
	assert.Equal(t, "a", groups[0].Owner.Primary.ID)
	assert.Equal(t, []int{1, 2, 4}, groups[0].Keys)
	assert.Equal(t, []int{0, 3}, unassigned)
}

// Readers see whole maps only, in order, while redirects and views change them,
// and one Result has Refresh set for each time that the map was found wrong.
func TestRouterConcurrent(t *testing.T) {
	// In view i, all slots of a shard have the same owner, and its id tells i.
	views := 200
	if testing.Short() {
		views = 50
	}
	names := []string{"a", "b", "c"}
	cluster := make([]*Cluster, views)
	for i := range cluster {
		lines := make([]string, 3)
		for j, name := range names {
			slots := []string{"0-5460", "5461-10922", "10923-16383"}[(i+j)%3]
			lines[j] = fmt.Sprintf("%s master %d %s", name, i+1, slots)
		}
		cluster[i] = view(t, lines...)
	}
	var r Router
	var changes atomic.Int64
	var lastSeen Generation
	r.OnChange = func(c *Change) {
		if c.Generation != lastSeen+1 {
			t.Errorf("change %d after %d", c.Generation, lastSeen)
		}
		lastSeen = c.Generation
		changes.Add(1)
	}
	r.Apply(cluster[0], r.Generation())
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for g := range 4 {
		readers.Go(func() {
			var last Generation
			var lastEpoch uint64
			for i := g; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				table, gen := r.Table()
				if gen < last {
					t.Errorf("generation %d after %d", gen, last)
				}
				last = gen
				var epoch uint64
				set := map[string]slotmap.Set{}
				for s := range table.Owners() {
					epoch = max(epoch, s.Primary.ConfigEpoch)
					set[s.Primary.ID] = table.SlotsOf(s)
				}
				if epoch < lastEpoch {
					t.Errorf("epoch %d after %d", epoch, lastEpoch)
				}
				lastEpoch = epoch
				shard, seen := r.For(hashslot.Slot(i % hashslot.Count))
				if shard == nil {
					t.Error("no owner")
					continue
				}
				if i%7 == 0 {
					r.Moved(moved(hashslot.Slot(i%hashslot.Count), names[i%3]), nil, seen)
				}
				r.Read(hashslot.Slot(i%hashslot.Count), ReadAny)
				r.Split([]string{"x", "foo", "bar"})
			}
		})
	}
	var refreshes atomic.Int64
	for range 2 {
		writers.Go(func() {
			for i := range cluster {
				r.Apply(cluster[i], r.Generation())
				if r.Moved(moved(hashslot.Slot(i), "x"), nil, r.Generation()).Refresh {
					refreshes.Add(1)
				}
				r.Failed(r.Node("a"))
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	r.Replace(cluster[views-1])
	table, gen := r.Table()
	assert.True(t, func() bool {
		for slot := range hashslot.Slot(hashslot.Count) {
			a, _ := table.Lookup(slot)
			b, _ := cluster[views-1].Table().Lookup(slot)
			if a.Primary.ID != b.Primary.ID {
				return false
			}
		}
		return true
	}())
	assert.Equal(t, int64(gen), changes.Load())
	assert.NotZero(t, refreshes.Load())
}

// A hundred redirects at once: one refresh.
func TestRedirectStorm(t *testing.T) {
	var r Router
	r.Apply(threeShards(t), r.Generation())
	for round := range 20 {
		seen := r.Generation()
		var refreshes, patched atomic.Int64
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				slot := hashslot.Slot(i % 10)
				got := r.Moved(moved(slot, []string{"b", "c"}[round%2]), nil, seen)
				if got.Refresh {
					refreshes.Add(1)
				}
				if got.Outcome == OutcomePatched {
					patched.Add(1)
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(1), refreshes.Load())
		require.Equal(t, int64(10), patched.Load(), "each slot once")
		r.RefreshFailed()
	}
}

// A view of nothing leaves a map of nothing as it is.
func TestApplyNothingTwice(t *testing.T) {
	var r Router
	for range 2 {
		c, err := ParseSlots([]any{}, Origin{})
		require.NoError(t, err)
		got := r.Apply(c, r.Generation())
		assert.Equal(t, OutcomeUnchanged, got.Outcome)
		assert.Nil(t, got.Change)
	}
}
