package topology

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/slotmap"
)

// Containers have the same port inside, and ports of the host outside. Then the port of
// one node inside, at the host, is the address of another one.
func TestMappedPorts(t *testing.T) {
	from := Origin{Addr: "127.0.0.1:6379", Map: func(addr string) string {
		return strings.NewReplacer("172.17.0.2:6379", "127.0.0.1:6379", "172.17.0.3:6379", "127.0.0.1:6380", "172.17.0.4:6379", "127.0.0.1:6381").Replace(addr)
	}}
	c, err := ParseNodes("b 172.17.0.2:6379@1 myself,master - 0 0 1 connected 0-99\na 172.17.0.3:6379@1 master - 0 0 2 connected 100-16383\n", from)
	require.NoError(t, err)
	var r Router
	r.Apply(c, 0)
	assert.Same(t, r.Node("b"), r.NodeByAddr("127.0.0.1:6379"))
	assert.Same(t, r.Node("a"), r.NodeByAddr("127.0.0.1:6380"))
	assert.Same(t, r.Node("a"), r.NodeByAddr("172.17.0.3:6379"))

	rd, err := ParseRedirect("MOVED 200 172.17.0.2:6379", from)
	require.NoError(t, err)
	shard, seen := r.For(200)
	result := r.Moved(rd, shard.Primary, seen)
	assert.Equal(t, OutcomePatched, result.Outcome)
	assert.Same(t, r.Node("b"), result.Node)

	rd, err = ParseRedirect("MOVED 300 172.17.0.4:6379", from)
	require.NoError(t, err)
	shard, seen = r.For(300)
	result = r.Moved(rd, shard.Primary, seen)
	assert.Equal(t, OutcomeUnknownNode, result.Outcome)
	assert.Equal(t, "127.0.0.1:6381", result.Node.Addr())
}

// A program may know where a node is dialled, and what the servers call it.
func TestMappedNewCluster(t *testing.T) {
	c, err := NewCluster([]Node{
		{ID: "a", Role: RolePrimary, Host: "127.0.0.1", Port: 6380, Endpoint: "172.17.0.3", EndpointPort: 6379, Slots: []slotmap.Range{{First: 0, Last: 99}}},
		{ID: "b", Role: RolePrimary, Host: "127.0.0.1", Port: 6379, Endpoint: "172.17.0.2", EndpointPort: 6379, Slots: []slotmap.Range{{First: 100, Last: 16383}}},
		{ID: "c", Role: RolePrimary, Host: "h.example", Port: 7000, Endpoint: "10.0.0.9", EndpointPort: 6000, Hostname: "h.example"},
		{ID: "d", Role: RolePrimary, Host: "d.example", Port: 6000, IP: "10.0.0.8", TLSPort: 7000},
	})
	require.NoError(t, err)
	var r Router
	r.Apply(c, 0)
	assert.Same(t, r.Node("b"), r.NodeByAddr("127.0.0.1:6379"))
	assert.Same(t, r.Node("a"), r.NodeByAddr("127.0.0.1:6380"))
	assert.Same(t, r.Node("a"), r.NodeByAddr("172.17.0.3:6379"))
	assert.Nil(t, r.NodeByAddr("172.17.0.3:6380"))
	assert.Same(t, r.Node("c"), r.NodeByAddr("10.0.0.9:6000"))
	assert.Nil(t, r.NodeByAddr("10.0.0.9:7000"))
	for _, addr := range []string{"d.example:6000", "d.example:7000", "10.0.0.8:6000", "10.0.0.8:7000"} {
		assert.Same(t, r.Node("d"), r.NodeByAddr(addr), addr)
	}
}

// A node that is lost to the source keeps the address that the map has, and all that
// belongs to it.
func TestMappedAddressOfALostNode(t *testing.T) {
	from := Origin{Map: func(addr string) string { return strings.Replace(addr, "10.0.0.2:6379", "nat:2", 1) }}
	parse := func(b string) *Cluster {
		c, err := ParseNodes("a 10.0.0.1:6379@1 myself,master - 0 9000 1 connected 0-99\n"+b, from)
		require.NoError(t, err)
		return c
	}
	var r Router
	r.Apply(parse("b 10.0.0.2:6379@1 master - 0 9000 2 connected 100-16383\n"), 0)
	r.Apply(parse("b 10.0.0.7:6379@1 master,fail? - 0 1000 2 disconnected 100-16383\n"), r.Generation())
	assert.Equal(t, "nat:2", r.Node("b").Addr())
	assert.Same(t, r.Node("b"), r.NodeByAddr("10.0.0.2:6379"))
	assert.Nil(t, r.NodeByAddr("nat:6379"))
}

// A client keeps the node that a redirect named, with its connection. Views then show
// the node with an id. What the client reports of it still counts.
func TestNodeThatGetsAnID(t *testing.T) {
	start := func() (*Router, *Node) {
		r := new(Router)
		r.Apply(view(t, "a master 1 0-99", "b master 2 100-16383"), 0)
		n := r.Moved(moved(5, "c"), r.Node("a"), r.Generation()).Node
		require.Equal(t, "", n.ID)
		return r, n
	}
	shown := view(t, "a master 1 0-4 6-99", "b master 2 100-16383", "c master 3 5", "d slave:c 0")

	r, old := start()
	r.Apply(shown, r.Generation())
	got := r.Failed(old)
	assert.Equal(t, OutcomeSuspected, got.Outcome)
	assert.Same(t, r.Node("c"), got.Node)
	assert.False(t, r.Node("c").Serves())
	got = r.Succeeded(old)
	assert.Equal(t, OutcomeRecovered, got.Outcome)
	assert.Same(t, r.Node("c"), got.Node)

	r, old = start()
	assert.Equal(t, OutcomeSuspected, r.Failed(old).Outcome)
	r.Apply(shown, r.Generation())
	require.False(t, r.Node("c").Serves())
	assert.Equal(t, OutcomeRecovered, r.Succeeded(old).Outcome)
	assert.True(t, r.Node("c").Serves())
	assert.Equal(t, OutcomeUnchanged, r.Succeeded(old).Outcome)

	r, old = start()
	r.Apply(view(t, "a master 1 0-99", "b master 2 100-16383", "c slave:a 0"), r.Generation())
	r.Apply(viewOf(t, "a", "a master 4 0-99", "b master 2 100-16383", "c slave:a 0"), r.Generation())
	require.Equal(t, RoleReplica, r.Node("c").Role)
	assert.Equal(t, OutcomeFailedOver, r.Promote(old).Outcome)
}

// The Refresher tries a node again that has got its id in the meantime.
func TestRefresherTriesANodeThatGetsAnID(t *testing.T) {
	var r Router
	p := Refresher{Seed: 1}
	now := time.Unix(1000, 0)
	r.Apply(view(t, "a master 1 0-99", "b master 2 100-16383"), 0)
	n := r.Moved(moved(5, "c"), nil, r.Generation()).Node
	p.Note(r.Failed(n), now)
	for range 100 {
		what := p.Next(&r, now)
		if len(what.Addrs) > 0 {
			p.Apply(&r, what, []*Cluster{view(t, "a master 1 0-4 6-99", "b master 2 100-16383", "c master 3 5")}, now)
		}
		now = now.Add(time.Second)
	}
	assert.True(t, r.Node("c").Serves())
}

// A redirect's text may be long. The map keeps the address alone.
func TestStrangerKeepsNoMessage(t *testing.T) {
	var r Router
	r.Apply(view(t, "a master 1 0-16383"), 0)
	before := heapInUse()
	for slot := range 40 {
		rd, err := ParseRedirect(fmt.Sprintf("MOVED %d h%d.example:1%s", slot, slot, strings.Repeat(" ", 1<<20)), Origin{})
		require.NoError(t, err)
		require.Equal(t, OutcomeUnknownNode, r.Moved(rd, nil, r.Generation()).Outcome)
	}
	assert.Less(t, heapInUse(), before+10<<20)
	runtime.KeepAlive(&r)
}

// While no view comes, nodes that fail and recover again and again are remembered once.
func TestRefresherRemembersANodeOnce(t *testing.T) {
	var r Router
	p := Refresher{Seed: 1}
	now := time.Unix(1000, 0)
	r.Apply(view(t, "a master 1 0-99", "b master 2 100-16383", "a1 slave:a 0"), 0)
	for range 50 {
		r.Succeeded(r.Node("a1"))
		p.Note(r.Failed(r.Node("a1")), now)
		for range 60 {
			now = now.Add(time.Second)
			if what := p.Next(&r, now); len(what.Addrs) > 0 {
				p.Apply(&r, what, nil, now)
			}
		}
		require.LessOrEqual(t, len(p.retries)+len(p.suspects), 1)
	}
	what := p.Next(&r, now)
	for ; len(what.Addrs) == 0; what = p.Next(&r, now) {
		now = what.NotBefore
	}
	p.Apply(&r, what, []*Cluster{view(t, "a master 1 0-99", "b master 2 100-16383", "a1 slave:a 0")}, now)
	assert.True(t, r.Node("a1").Serves())
}

// A redirect names an address. If the map has an earlier node there, a view that names
// the one that is there now confirms the redirect.
func TestRedirectToANodeThatHasMoved(t *testing.T) {
	var r Router
	r.Apply(replyOf(t, "c", "0-99 a", "100-199 b", "200-16383 c"), 0)
	// a and b have changed places. b, where the map has a, says where a is.
	got := r.Moved(moved(5, "b"), r.Node("a"), r.Generation())
	require.Equal(t, OutcomePatched, got.Outcome)
	now := slotsOf(t, "c.example:6379", "0-99 b/a", "100-199 a/b", "200-16383 c/c")
	got = r.Apply(now, 1) // late, but it says the same
	assert.Equal(t, OutcomeApplied, got.Outcome)
	assert.Equal(t, "0-99 a, 100-199 b, 200-16383 c", ownersOf(&r))
	assert.Equal(t, "b.example:6379", r.Node("a").Addr())
	assert.True(t, got.Change.Slots.Contains(5))

	// By an older epoch it is an older view.
	r = Router{}
	r.Apply(view(t, "a master 7 0-99", "b master 8 100-199", "c master 9 200-16383"), 0)
	r.Moved(moved(5, "b"), r.Node("a"), r.Generation())
	old := "a b.example:6379@1 master - 0 0 6 connected 0-99\nb a.example:6379@1 master - 0 0 8 connected 100-199\nc c.example:6379@1 myself,master - 0 0 9 connected 200-16383\n"
	c, err := ParseNodes(old, Origin{})
	require.NoError(t, err)
	assert.Equal(t, OutcomeStale, r.Apply(c, r.Generation()).Outcome)
	assert.Equal(t, "0-4 a, 5 b, 6-99 a, 100-199 b, 200-16383 c", ownersOf(&r))
}

// A view that is older than a redirect still shows where an owner is that the client
// cannot reach.
func TestStaleViewWithANewAddress(t *testing.T) {
	later := func() *Cluster { return slotsOf(t, "b.example:6379", "0-99 x/a", "100-199 b/b", "200-16383 c/c") }
	start := func() *Router {
		r := new(Router)
		r.Apply(replyOf(t, "c", "0-99 a", "100-199 b", "200-16383 c"), 0)
		r.Moved(moved(100, "c"), nil, r.Generation())
		return r
	}
	r := start()
	assert.Equal(t, OutcomeStale, r.Apply(later(), r.Generation()).Outcome)
	assert.Equal(t, "a.example:6379", r.Node("a").Addr())
	r.Failed(r.Node("a"))
	assert.Equal(t, OutcomePartly, r.Apply(later(), r.Generation()).Outcome)
	assert.Equal(t, "x.example:6379", r.Node("a").Addr())
	assert.Equal(t, "0-99 a, 100 c, 101-199 b, 200-16383 c", ownersOf(r))
	assert.Equal(t, OutcomeStale, r.Apply(later(), r.Generation()).Outcome)

	// No address, or the same one, is no news.
	r = start()
	r.Failed(r.Node("a"))
	for _, host := range []string{"?", "a.example"} {
		c, err := ParseSlots([]any{[]any{0, 99, []any{host, 6379, "a"}}, []any{100, 199, []any{"b.example", 6379, "b"}}, []any{200, 16383, []any{"c.example", 6379, "c"}}}, Origin{Addr: "b.example:6379"})
		require.NoError(t, err)
		assert.Equal(t, OutcomeStale, r.Apply(c, r.Generation()).Outcome, host)
	}
	assert.Equal(t, "a.example:6379", r.Node("a").Addr())
}

// A source that has lost a node repeats the node's last address. There may be another
// node by now, of which the map has the address only: that is not the lost one.
func TestLostNodeAtTheAddressOfAnother(t *testing.T) {
	var r Router
	first, err := ParseNodes("a h:1@1 master - 0 9000 1 connected 0-99\nb h:2@1 myself,master - 0 0 2 connected 100-16383\nd h:4@1 master - 0 9000 3 connected\n", Origin{})
	require.NoError(t, err)
	r.Apply(first, 0)
	told := tell(&r)
	told.node, told.gen = map[string]*Node{"a": r.Node("a"), "b": r.Node("b"), "d": r.Node("d")}, 1
	r.Moved(Redirect{Slot: 5, Host: "h", Port: 3}, r.Node("a"), r.Generation())
	require.Equal(t, "0-4 a, 5 h:3, 6-99 a, 100-16383 b", ownersOf(&r))
	lost, err := ParseNodes("a h:1@1 master - 0 9000 1 connected 0-4 6-99\nb h:2@1 myself,master - 0 0 2 connected 100-16383\nd h:3@1 master - 0 1000 3 disconnected 5\n", Origin{})
	require.NoError(t, err)
	got := r.Apply(lost, r.Generation())
	require.Equal(t, OutcomeApplied, got.Outcome)
	owner, _ := r.For(5)
	assert.Equal(t, "d h:4", owner.Primary.String())
	assert.True(t, got.Change.Slots.Contains(5))
	told.check(t)
	checkMap(t, &r)
}

// Views of sources that are not known cannot be told apart. In the end they are believed.
func TestUnknownSourcesInsist(t *testing.T) {
	was, is := replyOf(t, "", "0-99 a", "100-16383 b"), replyOf(t, "", "0-4 a", "5 b", "6-99 a", "100-16383 b")
	var r Router
	r.Apply(was, 0)
	r.Moved(moved(5, "b"), r.Node("a"), r.Generation())
	apply := func(n int, want Outcome, v *Cluster) {
		t.Helper()
		for range n {
			require.Equal(t, want, r.Apply(v, r.Generation()).Outcome)
		}
	}
	apply(8, OutcomeStale, was)
	apply(1, OutcomeUnchanged, is)
	r.Moved(moved(6, "b"), r.Node("a"), r.Generation())
	apply(1, OutcomeStale, is)
	apply(7, OutcomeStale, is)
	apply(1, OutcomeApplied, is)
	require.Equal(t, "0-4 a, 5 b, 6-99 a, 100-16383 b", ownersOf(&r))

	// One that is known is one, however often it says so.
	r.Moved(moved(6, "b"), r.Node("a"), r.Generation())
	apply(50, OutcomeStale, replyOf(t, "c", "0-4 a", "5 b", "6-99 a", "100-16383 b"))
}

// If the last view contradicts the map, and nothing is urgent, nodes are asked that the
// map has as failed: it may be wrong about them too.
func TestRefresherDoubtsTheMap(t *testing.T) {
	shards := func(c string) *Cluster {
		return shardsOf(t, "0-99 a:master:online c:replica:"+c, "100-16383 b:master:online d:replica:"+c)
	}
	for _, contradicts := range []bool{false, true} {
		var r Router
		p := Refresher{Seed: 1}
		now := time.Unix(1000, 0)
		r.Apply(shards("fail"), 0)
		if contradicts {
			r.Moved(moved(5, "b"), r.Node("a"), r.Generation())
			r.RefreshFailed()
		}
		asked := map[string]int{}
		for now.Before(time.Unix(5000, 0)) {
			what := p.Next(&r, now)
			if len(what.Addrs) == 0 {
				now = what.NotBefore
				continue
			}
			for _, addr := range what.Addrs {
				asked[addr]++
			}
			p.Apply(&r, what, []*Cluster{shards("online")}, now)
			if !contradicts {
				r.Replace(shards("fail"))
			}
		}
		require.Positive(t, asked["a.example:6379"])
		if contradicts {
			assert.Positive(t, asked["c.example:6379"])
			assert.Positive(t, asked["d.example:6379"])
		} else {
			assert.Len(t, asked, 2)
		}
	}
}

// A change is one, however many nodes it adds and updates.
func TestChangeOfAsManyNodes(t *testing.T) {
	var r Router
	r.Apply(view(t, "a master 1 0-16383", "b slave:a 0"), 0)
	got := r.Apply(view(t, "a master 1 0-16383", "b slave:a,nofailover 0", "c slave:a 0"), 1)
	require.NotNil(t, got.Change)
	assert.Equal(t, "c", ids(got.Change.Added))
	assert.Equal(t, "b", updates(got.Change))
}

// Two nodes without an address are not at the same one.
func TestPromotedNodeWithoutAnAddress(t *testing.T) {
	c := func(a, b string) *Cluster {
		c, err := ParseNodes("a :0@0 "+a+"\nb :0@0 "+b+"\nc h:3@1 master - 0 0 2 connected 100-199\n", Origin{})
		require.NoError(t, err)
		return c
	}
	was := c("master,noaddr - 0 0 1 connected 0-99", "slave,noaddr a 0 0 1 connected")
	var r Router
	r.Apply(was, 0)
	require.Equal(t, OutcomeFailedOver, r.Promote(r.Node("b")).Outcome)
	assert.Equal(t, OutcomeStale, r.Apply(was, r.Generation()).Outcome)
	assert.Equal(t, "0-99 b, 100-199 c", ownersOf(&r))
}

// Rule 8: a contradicted claim wins at once over an owner that the client cannot reach.
func TestContradictedClaimOverALostOwner(t *testing.T) {
	was, is := replyOf(t, "c", "0-99 a", "100-16383 b"), replyOf(t, "c", "0-4 a", "5 b", "6-99 a", "100-16383 b")
	var r Router
	r.Apply(was, 0)
	require.Equal(t, OutcomeApplied, r.Apply(is, 1).Outcome)
	require.Equal(t, OutcomeStale, r.Apply(was, 2).Outcome)
	r.Failed(r.Node("b"))
	assert.Equal(t, OutcomeApplied, r.Apply(was, r.Generation()).Outcome)
	assert.Equal(t, "0-99 a, 100-16383 b", ownersOf(&r))
}
