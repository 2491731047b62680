package topology_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// A refreshing is a client with a map, and its time.
type refreshing struct {
	router topology.Router
	topology.Refresher
	now time.Time
	t   *testing.T
}

// newRefreshing returns a client whose map has n shards of two nodes.
func newRefreshing(t *testing.T, n int) *refreshing {
	c := &refreshing{t: t, now: time.Unix(1000, 0)}
	c.Seed = 1
	if n > 0 {
		c.router.Apply(shardsOf(t, n, 0), c.router.Generation())
	}
	return c
}

func primaryOf(i int) string { return fmt.Sprintf("10.1.%d.%d:6379", i>>8, i&255) }
func replicaOf(i int) string { return fmt.Sprintf("10.2.%d.%d:6379", i>>8, i&255) }

// shardsOf is a view of n shards, in which the replicas of the first failed ones
// are the primaries.
func shardsOf(t *testing.T, n, failed int) *topology.Cluster {
	t.Helper()
	var b strings.Builder
	for i := range n {
		p, r := fmt.Sprintf("p%04d", i), fmt.Sprintf("r%04d", i)
		slots := fmt.Sprintf("%d-%d", i*hashslot.Count/n, (i+1)*hashslot.Count/n-1)
		if i < failed {
			fmt.Fprintf(&b, "%s %s@1 master - 0 0 %d connected %s\n", r, replicaOf(i), n+i+1, slots)
			fmt.Fprintf(&b, "%s %s@1 slave %s 0 0 0 connected\n", p, primaryOf(i), r)
			continue
		}
		fmt.Fprintf(&b, "%s %s@1 master - 0 0 %d connected %s\n", p, primaryOf(i), i+1, slots)
		fmt.Fprintf(&b, "%s %s@1 slave %s 0 0 0 connected\n", r, replicaOf(i), p)
	}
	view, err := topology.ParseNodes(b.String(), topology.Origin{})
	require.NoError(t, err)
	return view
}

// wait moves the time to the next refresh and returns it. It fails the test if
// there is none before the limit.
func (c *refreshing) wait(limit time.Duration) topology.Refresh {
	c.t.Helper()
	end := c.now.Add(limit)
	for {
		what := c.Next(&c.router, c.now)
		if len(what.Addrs) > 0 {
			return what
		}
		require.True(c.t, what.NotBefore.After(c.now), "Next does nothing, and names a time that is past")
		require.False(c.t, what.NotBefore.After(end), "no refresh within %v", limit)
		c.now = what.NotBefore
	}
}

// none fails the test if there is a refresh before the time has passed.
func (c *refreshing) none(d time.Duration) {
	c.t.Helper()
	end := c.now.Add(d)
	for {
		what := c.Next(&c.router, c.now)
		require.Empty(c.t, what.Addrs, "at %v", c.now)
		if !what.NotBefore.Before(end) {
			c.now = end
			return
		}
		c.now = what.NotBefore
	}
}

// need makes an urgent wish.
func (c *refreshing) need() { c.Note(topology.Result{Refresh: true}, c.now) }

// after returns the time from start to now.
func (c *refreshing) after(start time.Time) time.Duration { return c.now.Sub(start) }

func (c *refreshing) apply(what topology.Refresh, views ...*topology.Cluster) topology.Result {
	return c.Apply(&c.router, what, views, c.now)
}

func TestRefreshOfAnEmptyMap(t *testing.T) {
	c := newRefreshing(t, 0)
	c.Seeds = []string{"a:1", "b:1", "c:1"}
	// At once, and each seed before one of them a second time.
	asked := map[string]bool{}
	for i := range 3 {
		what := c.wait(time.Duration(i) * 2 * time.Second)
		require.Len(t, what.Addrs, 1)
		assert.False(t, asked[what.Addrs[0]])
		asked[what.Addrs[0]] = true
		if i < 2 {
			assert.Zero(t, c.apply(what, nil))
		} else {
			assert.Equal(t, topology.OutcomeApplied, c.apply(what, shardsOf(t, 3, 0)).Outcome)
		}
	}
	c.none(3700 * time.Millisecond)
	what := c.wait(10 * time.Second)
	assert.NotContains(t, asked, what.Addrs[0], "a node of the map, not a seed")

	// A wish does not make a client without a map wait.
	c = newRefreshing(t, 0)
	c.Seeds = []string{"a:1"}
	c.Want(c.now)
	assert.Equal(t, []string{"a:1"}, c.wait(0).Addrs)

	// There is nobody to ask.
	c = newRefreshing(t, 0)
	for range 10 {
		what := c.Next(&c.router, c.now)
		assert.Empty(t, what.Addrs)
		assert.False(t, what.NotBefore.Before(c.now.Add(500*time.Millisecond)))
		c.now = what.NotBefore
	}
}

func TestRefreshOneAtATime(t *testing.T) {
	c := newRefreshing(t, 3)
	c.none(time.Second)
	c.need()
	first := c.wait(time.Second)
	assert.Equal(t, c.router.Generation(), first.Seen)
	assert.Equal(t, c.now.Add(10*time.Second), first.NotBefore)
	c.need()
	c.none(10*time.Second - 1)
	// The Refresh has failed, and another node is asked.
	second := c.wait(time.Second)
	assert.NotEqual(t, first.Addrs, second.Addrs)
	// A view that comes now is used, and does not end the second Refresh.
	assert.NotNil(t, c.apply(first, shardsOf(t, 3, 1)).Change)
	c.need()
	c.none(9 * time.Second)
	c.apply(second, shardsOf(t, 3, 1))
	c.wait(2 * time.Second) // for the wish that was made meanwhile
}

// Apply of a Refresh that is not open does no harm.
func TestRefreshOfOnesOwn(t *testing.T) {
	var c refreshing
	assert.Equal(t, topology.OutcomeApplied, c.apply(topology.Refresh{}, shardsOf(t, 3, 0)).Outcome)
	assert.Zero(t, c.apply(topology.Refresh{}))
}

func TestRefreshBackOff(t *testing.T) {
	c := newRefreshing(t, 3)
	c.Period = time.Hour
	view := shardsOf(t, 3, 0)
	began := c.now
	var at []time.Duration
	for range 12 {
		c.need()
		what := c.wait(time.Minute)
		at = append(at, c.now.Sub(began))
		c.apply(what, view)
	}
	early := 0
	for i := range at {
		if at[i] < 4*time.Second {
			early++
		}
		if i == 0 {
			assert.Less(t, at[0], 120*time.Millisecond)
			continue
		}
		interval := min(500*time.Millisecond<<i, 30*time.Second)
		assert.GreaterOrEqual(t, at[i]-at[i-1], interval, i)
		assert.LessOrEqual(t, at[i]-at[i-1], interval*5/4+120*time.Millisecond, i)
	}
	assert.LessOrEqual(t, early, 5, "an outage of 4 seconds costs 5 views at most")

	// It starts again when the wishes have stopped.
	c.none(80 * time.Second)
	c.need()
	c.apply(c.wait(time.Second), view)
	c.need()
	c.apply(c.wait(2*time.Second), view)
}

// Whatever the fields are, NotBefore lies ahead.
func TestRefreshNotBefore(t *testing.T) {
	for _, d := range []time.Duration{-1, 1, 1 << 62} {
		c := newRefreshing(t, 3)
		c.MinInterval, c.MaxInterval, c.Period, c.Timeout = d, d, d, d
		for range 100 {
			c.need()
			what := c.Next(&c.router, c.now)
			assert.True(t, what.NotBefore.After(c.now))
			if len(what.Addrs) > 0 && c.now.Nanosecond()%2 == 0 {
				c.apply(what)
			}
			c.now = c.now.Add(time.Second + 1)
		}
	}
}

func TestRefreshAsksOthers(t *testing.T) {
	c := newRefreshing(t, 3)
	c.MaxInterval = time.Hour
	view := shardsOf(t, 3, 0)
	down := c.router.Failed(c.router.Node("p0001"))
	assert.Equal(t, topology.OutcomeSuspected, down.Outcome)
	c.Note(down, c.now)
	seen := map[string]int{}
	for range 5 {
		what := c.wait(time.Minute)
		require.Len(t, what.Addrs, 1)
		seen[what.Addrs[0]]++
		c.router.Failed(c.router.Node("p0001"))
		c.apply(what, view)
		c.router.Failed(c.router.Node("p0001"))
		c.need()
	}
	assert.Len(t, seen, 5)
	assert.NotContains(t, seen, primaryOf(1))
	// Then from the beginning.
	for range 5 {
		what := c.wait(10 * time.Minute)
		seen[what.Addrs[0]]++
		c.apply(what)
	}
	for addr, n := range seen {
		if addr != primaryOf(1) {
			assert.Equal(t, 2, n, addr)
		}
	}
}

func TestRefreshSuspectedNodesLast(t *testing.T) {
	c := newRefreshing(t, 1)
	c.Seeds = []string{"seed:1"}
	for _, id := range []string{"p0000", "r0000"} {
		c.Note(c.router.Failed(c.router.Node(id)), c.now)
	}
	assert.Equal(t, []string{"seed:1"}, c.wait(time.Second).Addrs)
	c.Seeds = nil
	c.now = c.now.Add(time.Minute)
	what := c.wait(time.Second)
	require.Len(t, what.Addrs, 1)
	assert.NotEqual(t, "seed:1", what.Addrs[0])
}

func moved(t *testing.T, slot int, addr string) topology.Redirect {
	t.Helper()
	rd, err := topology.ParseRedirect(fmt.Sprintf("MOVED %d %s", slot, addr), topology.Origin{})
	require.NoError(t, err)
	return rd
}

// The node of a redirect is not asked if it failed, before or since.
func TestRefreshHintsThatFail(t *testing.T) {
	for seed := range uint64(20) {
		c := newRefreshing(t, 3)
		c.Seed = seed + 1
		c.Note(c.router.Failed(c.router.Node("p0000")), c.now)
		assert.NotEqual(t, primaryOf(0), c.wait(time.Second).Addrs[0])
		c = newRefreshing(t, 3)
		c.Seed = seed + 1
		c.Note(c.router.Moved(moved(t, 0, primaryOf(1)), nil, c.router.Generation()), c.now)
		c.Note(c.router.Failed(c.router.Node("p0001")), c.now)
		assert.NotEqual(t, primaryOf(1), c.wait(time.Second).Addrs[0])
	}
}

// A node that failed is tried again, once a view has come that does not have it as
// failed.
func TestRefreshTriesAgain(t *testing.T) {
	c := newRefreshing(t, 3)
	c.Period = time.Hour
	serves := func(id string) bool { return c.router.Node(id).Serves() }
	began := c.now
	c.Note(c.router.Failed(c.router.Node("r0000")), c.now)
	c.apply(c.wait(7*time.Second), shardsOf(t, 3, 0))
	c.none(time.Second)
	// While a refresh is wished for already, the second one is noted as well.
	c.need()
	c.Note(c.router.Failed(c.router.Node("r0001")), c.now)
	second := c.now
	c.apply(c.wait(2*time.Second), shardsOf(t, 3, 0))
	c.none(30*time.Second - c.after(began) - 1)
	what := c.wait(8 * time.Second)
	assert.GreaterOrEqual(t, c.after(began), 32*time.Second, "a wish without haste")
	assert.False(t, serves("r0000"))
	c.apply(what, nil)
	assert.False(t, serves("r0000"), "there was no view")
	c.apply(c.wait(2*time.Second), shardsOf(t, 3, 0))
	assert.True(t, serves("r0000"))
	if c.after(second) < 30*time.Second {
		assert.False(t, serves("r0001"))
		c.apply(c.wait(40*time.Second), shardsOf(t, 3, 0))
	}
	assert.True(t, serves("r0001"))
	// The second failure counts, not the first.
	for range 2 {
		c.router.Succeeded(c.router.Node("r0000"))
		c.Note(c.router.Failed(c.router.Node("r0000")), c.now)
		c.now = c.now.Add(20 * time.Second)
		c.apply(c.wait(time.Second), shardsOf(t, 3, 0))
	}
	assert.False(t, serves("r0000"))

	// One that answers meanwhile costs no view.
	c.router.Succeeded(c.router.Node("r0000"))
	c.none(10 * time.Minute)

	// A replica that has left its shard is tried again, too.
	res := c.router.Moved(moved(t, 12000, primaryOf(2)), c.router.Node("r0002"), c.router.Generation())
	require.Equal(t, topology.OutcomeSuspected, res.Outcome)
	c.Note(res, c.now)
	began = c.now
	what = c.wait(7 * time.Second)
	assert.Equal(t, []string{primaryOf(2)}, what.Addrs)
	assert.GreaterOrEqual(t, c.after(began), 2*time.Second)
	c.apply(what, shardsOf(t, 3, 0))
	assert.False(t, serves("r0002"))
	what = c.wait(40 * time.Second)
	assert.GreaterOrEqual(t, c.after(began), 32*time.Second)
	c.apply(what, shardsOf(t, 3, 0))
	assert.True(t, serves("r0002"))
}

// A node that a view has as failed is not tried again: the next view may say more.
func TestRefreshLeavesFailedNodes(t *testing.T) {
	c := newRefreshing(t, 3)
	c.Period = time.Hour
	failed := func(flag string) *topology.Cluster {
		view, err := topology.ParseNodes(fmt.Sprintf("p0000 %s@1 master - 0 0 1 connected 0-16383\nr0000 %s@1 slave%s p0000 0 0 0 connected\n", primaryOf(0), replicaOf(0), flag), topology.Origin{})
		require.NoError(t, err)
		return view
	}
	c.router.Replace(failed(""))
	c.Note(c.router.Failed(c.router.Node("r0000")), c.now)
	began := c.now
	c.apply(c.wait(7*time.Second), failed(""))
	for _, flag := range []string{",fail", ",fail?", ",fail"} {
		what := c.wait(40 * time.Second)
		assert.GreaterOrEqual(t, c.after(began), 32*time.Second)
		began = c.now
		c.apply(what, failed(flag))
		assert.False(t, c.router.Node("r0000").Serves())
		c.none(30*time.Second - 1)
	}
	c.apply(c.wait(40*time.Second), failed(""))
	assert.True(t, c.router.Node("r0000").Serves())
}

// What a redirect has corrected can wait, and what the cluster has to mend; what
// nobody knows cannot.
func TestRefreshPatience(t *testing.T) {
	const most = 112 * time.Millisecond // of the jitter, in a map of six nodes
	toOther := func(c *refreshing, slot int) topology.Result {
		return c.router.Moved(moved(t, slot, primaryOf(2)), nil, c.router.Generation())
	}
	failedOver := func(c *refreshing) topology.Result {
		return c.router.Moved(moved(t, 6000, replicaOf(1)), nil, c.router.Generation())
	}
	for _, test := range []struct {
		name        string
		wish        func(c *refreshing)
		least, most time.Duration
	}{
		{"primary", func(c *refreshing) { c.Note(c.router.Failed(c.router.Node("p0000")), c.now) }, 0, most},
		{"replica", func(c *refreshing) { c.Note(c.router.Failed(c.router.Node("r0000")), c.now) }, 2 * time.Second, 6*time.Second + most},
		{"moved", func(c *refreshing) { c.Note(toOther(c, 0), c.now) }, 2 * time.Second, 6*time.Second + most},
		{"moved to a node that no view has shown", func(c *refreshing) {
			c.Note(c.router.Moved(moved(t, 0, "new:1"), nil, c.router.Generation()), c.now)
		}, 250 * time.Millisecond, 750*time.Millisecond + most},
		{"moved, four times", func(c *refreshing) {
			for slot := range 4 {
				c.Note(toOther(c, slot), c.now)
			}
		}, 250 * time.Millisecond, 750*time.Millisecond + most},
		{"failed over", func(c *refreshing) { c.Note(failedOver(c), c.now) }, 2 * time.Second, 6*time.Second + most},
		{"cluster down", func(c *refreshing) { c.Want(c.now) }, time.Second, 3*time.Second + most},
		{"moved, twice", func(c *refreshing) {
			c.Note(toOther(c, 0), c.now)
			c.none(200 * time.Millisecond)
			c.Note(toOther(c, 1), c.now)
		}, 2 * time.Second, 6*time.Second + most},
		{"moved and down", func(c *refreshing) {
			c.Note(toOther(c, 0), c.now)
			c.Want(c.now)
			c.need()
		}, 250 * time.Millisecond, 750*time.Millisecond + most},
		{"failed over and down", func(c *refreshing) {
			c.Note(failedOver(c), c.now)
			c.need()
		}, 250 * time.Millisecond, 750*time.Millisecond + most},
		{"failed over, and the new primary fails", func(c *refreshing) {
			c.Note(failedOver(c), c.now)
			c.Note(c.router.Failed(c.router.Node("r0001")), c.now)
		}, 250 * time.Millisecond, 750*time.Millisecond + most},
		{"replica, then primary", func(c *refreshing) {
			c.Note(c.router.Failed(c.router.Node("r0000")), c.now)
			c.Note(c.router.Failed(c.router.Node("p0001")), c.now)
		}, 0, most},
		{"down and primary", func(c *refreshing) {
			c.Want(c.now)
			c.need()
		}, 0, most},
		{"primary, then moved", func(c *refreshing) {
			c.need()
			c.Note(toOther(c, 0), c.now)
		}, 250 * time.Millisecond, 750*time.Millisecond + most},
		{"primary, then moved, then again", func(c *refreshing) {
			c.need()
			c.Note(toOther(c, 0), c.now)
			c.need()
			c.none(200 * time.Millisecond)
			c.Note(toOther(c, 1), c.now)
		}, 250 * time.Millisecond, 750*time.Millisecond + most},
	} {
		least, last := time.Hour, time.Duration(0)
		view := shardsOf(t, 3, 0)
		for seed := range uint64(40) {
			c := &refreshing{t: t, now: time.Unix(1000, 0)}
			c.router.Apply(view, c.router.Generation())
			c.Seed = seed + 1
			c.apply(c.wait(3*time.Minute), view)
			c.now = c.now.Add(time.Second)
			began := c.now
			test.wish(c)
			c.wait(time.Minute)
			least, last = min(least, c.after(began)), max(last, c.after(began))
		}
		assert.GreaterOrEqual(t, least, test.least, test.name)
		assert.LessOrEqual(t, last, test.most, test.name)
		assert.Less(t, least, (test.least+test.most)/2, test.name)
		assert.Greater(t, last, (test.least+test.most)/2, test.name)
	}
}

// While slots are migrated one after the other, it takes four redirects for a view
// to be worth it.
func TestRefreshDuringAMigration(t *testing.T) {
	for seed := range uint64(20) {
		c := newRefreshing(t, 3)
		c.Seed = seed + 1
		slot := 0
		redirect := func() {
			c.Note(c.router.Moved(moved(t, slot, primaryOf(2)), nil, c.router.Generation()), c.now)
			slot++
		}
		refresh := func(least, most time.Duration) {
			t.Helper()
			began := c.now
			what := c.wait(most)
			require.GreaterOrEqual(t, c.after(began), least)
			slot++ // the view knows of one more
			view, err := topology.ParseNodes(fmt.Sprintf("p0000 %s@1 master - 0 0 1 connected %d-5460\n"+
				"p0001 %s@1 master - 0 0 2 connected 5461-10921\n"+
				"p0002 %s@1 master - 0 0 3 connected 0-%d 10922-16383\n", primaryOf(0), slot, primaryOf(1), primaryOf(2), slot-1), topology.Origin{})
			require.NoError(t, err)
			require.False(t, c.apply(what, view).Refresh)
		}
		for range 3 {
			redirect()
			refresh(2*time.Second, 6200*time.Millisecond)
			for range 3 {
				redirect()
			}
			c.none(1500 * time.Millisecond)
			redirect()
			refresh(250*time.Millisecond, 900*time.Millisecond)
		}
		// A redirect to a node that no view has shown says more.
		c.now = c.now.Add(1200 * time.Millisecond) // the interval is over
		c.Note(c.router.Moved(moved(t, slot, "new:1"), nil, c.router.Generation()), c.now)
		refresh(250*time.Millisecond, 900*time.Millisecond)
	}
}

// After slots have moved, one view is asked for early.
func TestRefreshLooksAgain(t *testing.T) {
	between := func(c *refreshing, least, most time.Duration) topology.Refresh {
		t.Helper()
		began := c.now
		what := c.wait(most)
		assert.GreaterOrEqual(t, c.after(began), least)
		return what
	}
	c := newRefreshing(t, 3)
	c.Note(c.router.Moved(moved(t, 0, primaryOf(2)), nil, c.router.Generation()), c.now)
	c.apply(c.wait(7*time.Second), shardsOf(t, 3, 0)) // stale
	c.apply(c.wait(3*time.Second), nil)               // no answer says nothing
	c.apply(c.wait(5*time.Second), shardsOf(t, 3, 1))
	c.apply(between(c, 3750*time.Millisecond, 6250*time.Millisecond), shardsOf(t, 3, 1))
	c.apply(between(c, 90*time.Second, 150*time.Second), shardsOf(t, 3, 2))
	c.apply(between(c, 3750*time.Millisecond, 6250*time.Millisecond), shardsOf(t, 3, 3))
	c.apply(between(c, 3750*time.Millisecond, 6250*time.Millisecond), shardsOf(t, 3, 3))
	between(c, 90*time.Second, 150*time.Second)
	// A shorter period is as the client says.
	c = newRefreshing(t, 3)
	c.Period = 2 * time.Second
	for i := range 3 {
		c.apply(between(c, 1500*time.Millisecond, 2500*time.Millisecond), shardsOf(t, 3, i))
	}
}

func TestRefreshPassesTheGeneration(t *testing.T) {
	c := newRefreshing(t, 3)
	c.need()
	what := c.wait(time.Second)
	// While the view is on its way, a redirect corrects the map.
	c.router.Moved(moved(t, 0, replicaOf(0)), nil, c.router.Generation())
	c.apply(what, shardsOf(t, 3, 0))
	shard, _ := c.router.For(0)
	assert.Equal(t, replicaOf(0), shard.Primary.Addr())
}

func TestRefreshSample(t *testing.T) {
	c := newRefreshing(t, 3)
	res := c.router.Moved(moved(t, 0, replicaOf(0)), nil, c.router.Generation())
	c.Note(res, c.now)
	var asked []string
	// Two nodes have not heard of the failover.
	for range 2 {
		what := c.wait(7 * time.Second)
		require.Len(t, what.Addrs, 1)
		assert.NotContains(t, asked, what.Addrs[0])
		asked = append(asked, what.Addrs...)
		res = c.apply(what, shardsOf(t, 3, 0))
		require.Equal(t, topology.OutcomeStale, res.Outcome)
		require.True(t, res.Refresh)
	}
	sample := c.wait(4 * time.Second)
	require.Len(t, sample.Addrs, 2)
	for _, a := range sample.Addrs {
		assert.NotContains(t, asked, a)
		asked = append(asked, a)
	}
	// One of them does not answer, one knows.
	res = c.apply(sample, nil, shardsOf(t, 3, 1))
	assert.False(t, res.Refresh)
	shard, _ := c.router.For(0)
	assert.Equal(t, "r0000", shard.Primary.ID)
	c.none(7 * time.Second)
	c.need()
	assert.Len(t, c.wait(4*time.Second).Addrs, 1)
}

func TestRefreshSeedsWhenNobodyAnswers(t *testing.T) {
	c := newRefreshing(t, 3)
	c.Seeds = []string{"x:1", "y:1"}
	c.need()
	for i := range 6 {
		what := c.wait(time.Minute)
		if i < 2 {
			assert.Len(t, what.Addrs, 1)
		} else {
			require.Len(t, what.Addrs, 2)
			assert.Contains(t, c.Seeds, what.Addrs[1])
			assert.NotContains(t, c.Seeds, what.Addrs[0])
		}
		c.apply(what, nil, nil)
	}
	c.apply(c.wait(time.Minute), shardsOf(t, 3, 0))
	c.none(85 * time.Second)
	assert.Len(t, c.wait(time.Minute).Addrs, 1)
}

// A client may want no view without a reason.
func TestRefreshNever(t *testing.T) {
	for seed := range uint64(20) {
		c := newRefreshing(t, 3)
		c.Seed, c.Period, c.MinInterval = seed+1, math.MaxInt64, math.MaxInt64
		c.need()
		c.apply(c.wait(time.Minute), shardsOf(t, 3, 0))
		c.none(24 * time.Hour)
		c.need()
		c.none(24 * time.Hour)
	}
}

func TestRefreshIsDeterministic(t *testing.T) {
	view := shardsOf(t, 50, 0)
	run := func(seed uint64) (log string) {
		c := newRefreshing(t, 50)
		c.Seed = seed
		for range 20 {
			c.need()
			what := c.wait(time.Hour)
			log += fmt.Sprint(c.now.UnixNano(), what.Addrs)
			c.apply(what, view)
		}
		return log
	}
	assert.Equal(t, run(7), run(7))
	assert.NotEqual(t, run(7), run(8))
	assert.NotEqual(t, run(0), run(0))
}

func TestRefreshAllocations(t *testing.T) {
	c := newRefreshing(t, 3)
	c.need()
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		c.Next(&c.router, c.now)
		c.Want(c.now)
		c.Note(topology.Result{Refresh: true}, c.now)
	}))
}

// Many goroutines: one refresh at a time, and no more than the rules allow.
func TestRefreshConcurrently(t *testing.T) {
	c := newRefreshing(t, 3)
	view := shardsOf(t, 3, 0)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		open bool
		made int
	)
	for range 8 {
		wg.Go(func() {
			for i := range 2000 {
				now := c.now.Add(time.Duration(i) * 2 * time.Millisecond)
				c.Want(now)
				what := c.Next(&c.router, now)
				if len(what.Addrs) == 0 {
					continue
				}
				mu.Lock()
				assert.False(t, open)
				open = true
				made++
				mu.Unlock()
				mu.Lock()
				open = false
				mu.Unlock()
				c.Apply(&c.router, what, []*topology.Cluster{view}, now)
			}
		})
	}
	wg.Wait()
	assert.Positive(t, made)
	assert.LessOrEqual(t, made, 5)
}
