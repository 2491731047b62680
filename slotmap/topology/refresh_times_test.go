package topology

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A dice draws the random times of a Refresher with the same seed.
type dice struct{ rand.PCG }

func (d *dice) upTo(t time.Duration) time.Duration { return time.Duration(d.Uint64() % uint64(t+1)) }

// A timed is a Refresher with its Router, which has a map of nine nodes, and a dice.
type timed struct {
	Refresher
	router Router
	dice   dice
	now    time.Time
}

func newTimed(t *testing.T, seed uint64) *timed {
	c := &timed{now: time.Unix(1000, 0)}
	c.Seed = seed
	c.dice.Seed(seed, 0)
	c.router.Apply(threeShards(t), 0)
	return c
}

// begun is newTimed after a first Refresh, without a random number.
func begun(t *testing.T, seed uint64) *timed {
	c := newTimed(t, seed)
	c.start(c.now)
	c.count = 1
	c.schedule(c.now)
	c.random.Seed(seed, 0)
	return c
}

// next is Next at the present time.
func (c *timed) nextNow() Refresh { return c.Next(&c.router, c.now) }

// answer makes a Refresh and ends it with the views.
func (c *timed) answer(views ...*Cluster) Result {
	c.open = 7
	return c.Apply(&c.router, Refresh{Seen: c.router.Generation(), number: 7}, views, c.now)
}

// The times are those of the rules, with the random numbers of the seed.
func TestRefreshTimes(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		wish          wish
		nodes         int
		jitter, least time.Duration
	}{
		{idle, 0, 100 * time.Millisecond, 2 * time.Second},
		{mending, 9, 118 * time.Millisecond, time.Second},
		{patient, 4949, 9998 * time.Millisecond, 250 * time.Millisecond},
		{urgent, 6000, 10 * time.Second, 0},
	} {
		var d dice
		p := &Refresher{nodes: c.nodes}
		d.Seed(1, 0)
		p.random.Seed(1, 0)
		p.wanted.Store(uint32(c.wish))
		p.grant(now)
		assert.Equal(t, now.Add(d.upTo(c.jitter)+c.least+d.upTo(2*c.least)), p.next)
		p.last, p.wait = now, time.Hour
		p.grant(now)
		assert.Equal(t, now.Add(time.Hour), p.next, "not within the interval")
	}
	for _, c := range []struct {
		tries, lost       int
		least, most, want time.Duration
	}{
		{0, 0, 0, 0, 500 * time.Millisecond},
		{1, 1, -1, -1, 500 * time.Millisecond},
		{2, 1, 0, 0, time.Second},
		{1, 4, 0, 0, 4 * time.Second},
		{6, 0, 0, 0, 16 * time.Second},
		{7, 0, 0, 0, 30 * time.Second},
		{math.MaxInt, 0, 0, 0, 30 * time.Second},
		{math.MaxInt, 0, math.MaxInt64, 0, math.MaxInt64 / 4},
		{3, 0, time.Second, time.Millisecond, time.Second},
		{3, 0, time.Nanosecond, time.Hour, 4},
	} {
		var d dice
		p := &Refresher{MinInterval: c.least, MaxInterval: c.most, tries: c.tries, lost: c.lost}
		d.Seed(1, 0)
		p.random.Seed(1, 0)
		p.draw()
		assert.Equal(t, c.want+d.upTo(c.want/4), p.wait, c)
	}
	for _, c := range []struct {
		period time.Duration
		moved  bool
		want   time.Duration
	}{
		{0, false, 2 * time.Minute}, {0, true, 5 * time.Second}, {time.Second, true, time.Second}, {1, false, 1}, {time.Hour, false, time.Hour},
	} {
		var d dice
		p := &Refresher{Period: c.period}
		d.Seed(1, 0)
		p.random.Seed(1, 0)
		assert.Equal(t, c.want-c.want/4+d.upTo(c.want/2), p.period(c.moved))
	}
}

// What a Refresher does at first, and at what time.
func TestRefreshStarts(t *testing.T) {
	starts := map[string]func(c *timed) time.Duration{ // the wish after 1 minute, or the period
		"Next": func(c *timed) time.Duration {
			c.nextNow()
			return 0
		},
		"Want": func(c *timed) time.Duration {
			c.Want(c.now)
			return c.dice.upTo(100*time.Millisecond) + time.Second + c.dice.upTo(2*time.Second)
		},
		"Note": func(c *timed) time.Duration {
			c.Note(Result{Refresh: true}, c.now)
			return c.dice.upTo(100*time.Millisecond) + c.dice.upTo(0)
		},
		"Note of a redirect": func(c *timed) time.Duration {
			c.Note(Result{Outcome: OutcomePatched}, c.now)
			return 0
		},
	}
	for name, start := range starts {
		c := newTimed(t, 5)
		period := 90*time.Second + c.dice.upTo(time.Minute)
		if wish := start(c); wish > 0 {
			period = wish
		}
		want := c.now.Add(period)
		c.now = c.now.Add(1) // the first call counts, not this one
		assert.Equal(t, Refresh{NotBefore: want}, c.nextNow(), name)
		c.now = want.Add(-1)
		assert.Equal(t, Refresh{NotBefore: want}, c.nextNow(), name)
		c.now = want
		what := c.nextNow()
		assert.Len(t, what.Addrs, 1, name)
		assert.Equal(t, want.Add(10*time.Second), what.NotBefore, name)
	}
	// A time before the first call is too early.
	c := newTimed(t, 1)
	c.Want(c.now)
	assert.Equal(t, Refresh{NotBefore: c.now}, c.Next(&c.router, c.now.Add(-1)))
	// A Result without news does not.
	c = newTimed(t, 1)
	c.Note(Result{}, c.now)
	c.now = c.now.Add(time.Hour)
	assert.Empty(t, c.nextNow().Addrs)
	// An earlier time does not start it again.
	base := c.base
	c.Note(Result{Refresh: true}, c.now.Add(-time.Hour))
	assert.Positive(t, c.due.Load())
	c.nextNow()
	assert.Equal(t, base, c.base)
}

// While nothing is due, or is wished for already, no lock is taken.
func TestRefreshWithoutALock(t *testing.T) {
	c := newTimed(t, 1)
	locked := func(f func()) {
		c.mu.Lock()
		f()
		c.mu.Unlock()
	}
	c.nextNow()
	locked(func() { c.nextNow() })
	locked(func() { c.Note(Result{}, c.now) })
	c.Want(c.now)
	locked(func() { c.Want(c.now) })
	c.Note(Result{Refresh: true}, c.now)
	locked(func() { c.Note(Result{Refresh: true}, c.now) })
	locked(func() { c.Want(c.now) })
	c.now = c.nextNow().NotBefore
	what := c.nextNow()
	require.NotEmpty(t, what.Addrs)
	locked(func() { assert.Equal(t, Refresh{NotBefore: what.NotBefore}, c.nextNow()) })
}

// A call of Next that has waited for another one to make a Refresh changes nothing.
func TestRefreshOfTwoAtOnce(t *testing.T) {
	var c timed
	c.Seeds = []string{"seed:1"}
	c.now = time.Unix(1000, 0)
	what := c.nextNow()
	require.Len(t, what.Addrs, 1)
	for range 2 {
		c.due.Store(1) // what the other one saw
		assert.Equal(t, Refresh{NotBefore: what.NotBefore}, c.nextNow())
	}
	assert.Zero(t, c.lost)
	// The time of a suspect does not end the Refresh either, but its own time does.
	d := begun(t, 1)
	d.MaxInterval = time.Second
	d.Note(d.router.Failed(d.router.Node("a1")), d.now)
	d.Note(Result{Refresh: true}, d.now)
	d.now = d.nextNow().NotBefore
	what = d.nextNow()
	require.NotEmpty(t, what.Addrs)
	d.now = time.Unix(1001, 0)
	assert.Equal(t, Refresh{NotBefore: what.NotBefore}, d.nextNow())
	assert.Equal(t, []int{0, 1}, []int{d.lost, len(d.retries)})
	for lost := 1; lost <= 3; lost++ {
		d.now = what.NotBefore.Add(-1)
		d.nextNow()
		assert.Equal(t, lost-1, d.lost)
		d.now = what.NotBefore
		next := d.nextNow()
		assert.Equal(t, lost, d.lost)
		for len(next.Addrs) == 0 {
			d.now = next.NotBefore
			next = d.nextNow()
		}
		what = next
	}
}

// A redirect that corrects the map shortens the interval, and answers an urgent wish.
func TestRefreshTimesOfACorrection(t *testing.T) {
	patched := Result{Outcome: OutcomePatched}
	for seed := range uint64(20) {
		for _, w := range []wish{idle, mending, patient, urgent} {
			c := begun(t, seed+1)
			c.tries, c.last, c.wait = 6, c.now, 20*time.Second
			c.want(w, "", c.now)
			c.dice.Uint64()
			c.dice.Uint64()
			require.Equal(t, c.now.Add(20*time.Second), c.next)
			before := c.nextNow().NotBefore
			for range 2 {
				c.Note(patched, c.now)
				wait := time.Second + c.dice.upTo(250*time.Millisecond)
				least := patience[min(w, patient)]
				next := c.now.Add(max(wait, c.dice.upTo(100*time.Millisecond)+least+c.dice.upTo(2*least)))
				if next.Before(before) {
					before = next
				}
				require.Equal(t, Refresh{NotBefore: before}, c.nextNow())
				require.Equal(t, min(w, patient), c.wish())
			}
		}
		// An urgent wish that was due at once waits longer.
		c := begun(t, seed+1)
		c.Note(Result{Refresh: true}, c.now)
		c.Note(patched, c.now)
		assert.False(t, c.nextNow().NotBefore.Before(c.now.Add(250*time.Millisecond)))
	}
	// Without a wish, and while a Refresh is open, there is nothing to do.
	c := begun(t, 1)
	before := c.nextNow()
	c.Note(patched, c.now)
	assert.Equal(t, before, c.nextNow())
	c.now = before.NotBefore
	what := c.nextNow()
	require.NotEmpty(t, what.Addrs)
	for _, res := range []Result{patched, {Refresh: true}, patched} {
		c.Note(res, c.now)
		assert.Equal(t, Refresh{NotBefore: what.NotBefore}, c.nextNow())
	}
}

// Which results are a wish.
func TestRefreshWishes(t *testing.T) {
	c := begun(t, 1)
	c.Note(Result{Outcome: OutcomeSuspected}, c.now) // of whom, is not known
	assert.Equal(t, none, c.wish())
	// The second replica that fails does not change the time.
	c.Note(c.router.Failed(c.router.Node("a1")), c.now)
	before := c.nextNow()
	c.Note(c.router.Failed(c.router.Node("b1")), c.now)
	assert.Equal(t, before, c.nextNow())
	// A primary does, even if the Router has asked for a view already.
	res := c.router.Failed(c.router.Node("c"))
	require.False(t, res.Refresh)
	c.Note(res, c.now)
	assert.Equal(t, urgent, c.wish())
	// While a Refresh is open, it does not.
	c = begun(t, 1)
	c.router.Failed(c.router.Node("a1"))
	c.open = 1
	c.Note(c.router.Failed(c.router.Node("b")), c.now)
	assert.Equal(t, none, c.wish())

	// The last wishes are forgotten after twice the interval without one.
	reset := func(after time.Duration) *timed {
		c := begun(t, 1)
		c.tries, c.contradicted, c.asked = 5, 1, []string{"x"}
		c.last, c.wait = c.now, time.Second
		c.want(idle, "", c.now.Add(after))
		return c
	}
	c = reset(2 * time.Second)
	assert.Equal(t, []int{5, 1, 1}, []int{c.tries, c.contradicted, len(c.asked)})
	c.want(urgent, "", c.now.Add(time.Hour))
	assert.Equal(t, []int{5, 1, 1}, []int{c.tries, c.contradicted, len(c.asked)}, "there was one")
	c = reset(2*time.Second + 1)
	assert.Equal(t, []int{0, 0, 0}, []int{c.tries, c.contradicted, len(c.asked)})
	// But not while a Refresh is open.
	c = begun(t, 1)
	c.tries, c.last, c.wait, c.open, c.next = 5, c.now, time.Second, 1, c.now.Add(time.Minute)
	c.want(urgent, "", c.now.Add(5*time.Second))
	assert.Equal(t, []any{5, urgent, c.now.Add(time.Minute)}, []any{c.tries, c.wish(), c.next})

	a, b, x := new(Node), new(Node), &Node{Flags: FlagPFail}
	for _, test := range []struct {
		updated []Update
		want    *Node
	}{
		{nil, nil}, {[]Update{{Before: a, After: b}}, nil}, {[]Update{{Before: x, After: x}, {Before: a, After: b}, {Before: x, After: a}}, nil},
		{[]Update{{Before: &Node{Flags: FlagPFail}, After: &Node{Flags: FlagPFail | FlagFail}}, {Before: &Node{Flags: FlagMyself}, After: x}}, x},
	} {
		assert.Same(t, test.want, (&Result{Change: &Change{Updated: test.updated}}).suspected())
	}
}

// Which nodes are asked.
func TestRefreshChooses(t *testing.T) {
	nine := threeShards(t)
	eight := view(t, "a master 1 0-16383", "a1 slave:a 1", "a2 slave:a 1", "a3 slave:a 1", "a4 slave:a 1", "a5 slave:a 1", "a6 slave:a 1", "a7 slave:a 1")
	hits := map[*Cluster]int{}
	for _, v := range []*Cluster{eight, nine} {
		for seed := range uint64(50) {
			c := begun(t, seed)
			c.router.Replace(v)
			c.hint = at("a1")
			if slices.Equal([]string{at("a1")}, c.choose(&c.router)) {
				hits[v]++
			}
		}
	}
	assert.Equal(t, 50, hits[eight])
	assert.Less(t, hits[nine], 50)

	// Two nodes are asked if there are two, but not one that has failed.
	for seed := range uint64(20) {
		c := begun(t, seed)
		c.router.Replace(view(t, "a master 1 0-16383", "b slave:a 1", "x slave:a,fail 1"))
		c.contradicted = 2
		got := c.choose(&c.router)
		slices.Sort(got)
		assert.Equal(t, []string{at("a"), at("b")}, got)
		c.asked = []string{at("a")}
		assert.Equal(t, []string{at("b")}, c.choose(&c.router))
		assert.Len(t, c.asked, 1)
	}

	// 64 of those that were asked are remembered.
	c := begun(t, 1)
	for i := range 64 {
		c.asked = append(c.asked, fmt.Sprint(i))
	}
	c.hint = "x"
	c.now = c.nextNow().NotBefore
	what := c.nextNow()
	assert.Len(t, c.asked, 64)
	assert.Equal(t, "1", c.asked[0])
	assert.Equal(t, what.Addrs[0], c.asked[63])
	assert.Empty(t, c.hint)

	// A node that has failed is no hint, and does not replace one.
	for seed := range uint64(20) {
		c := begun(t, seed)
		c.router.Replace(view(t, "a master 1 0-9999", "b master 1 10000-16383", "b1 slave:b 1", "a1 slave:a 1"))
		c.Note(c.router.Moved(moved(5, "b"), nil, c.router.Generation()), c.now)
		require.Equal(t, at("b"), c.hint)
		c.Note(c.router.Failed(c.router.Node("a")), c.now)
		assert.Equal(t, []string{at("b")}, c.choose(&c.router))
	}

	// Each seed is asked before one of them is asked again, alone and beside a node.
	for seed := range uint64(20) {
		for _, lost := range []int{0, unanswered} {
			c := begun(t, seed)
			if lost == 0 {
				c.router = Router{}
			}
			c.Seeds = []string{"x", "y", "z"}
			for range c.Seeds {
				c.lost = lost
				c.asked = append(c.asked, c.choose(&c.router)...)
			}
			for _, s := range c.Seeds {
				assert.Contains(t, c.asked, s)
			}
			assert.Contains(t, c.Seeds, c.choose(&c.router)[min(lost, 1)])
		}
	}
	// A node that has failed is asked like any other if the map is in doubt, but not for a wish.
	for _, w := range []wish{none, idle} {
		asked := map[string]bool{}
		for seed := range uint64(20) {
			c := begun(t, seed)
			c.router.Replace(view(t, "a master 1 0-16383", "x slave:a,fail 1"))
			c.doubted = true
			c.wanted.Store(uint32(w))
			asked[c.choose(&c.router)[0]] = true
		}
		assert.Equal(t, map[string]bool{at("a"): true, at("x"): w == none}, map[string]bool{at("a"): asked[at("a")], at("x"): asked[at("x")]})
	}
	// The only node is asked again.
	c = begun(t, 1)
	c.router.Replace(view(t, "a master 1 0-16383"))
	c.asked = []string{at("a")}
	assert.Equal(t, []string{at("a")}, c.choose(&c.router))
	assert.Empty(t, c.asked)
	// Without a seed, a node that has failed is asked.
	c = begun(t, 1)
	c.router.Replace(view(t, "a master,fail 1 0-16383", "b slave:a,fail 1"))
	c.contradicted = 2
	assert.Len(t, c.choose(&c.router), 1)
	c.Seeds = []string{"x"}
	assert.Equal(t, []string{"x"}, c.choose(&c.router))
}

// What the answers say.
func TestRefreshAnswers(t *testing.T) {
	same := threeShards(t)
	replica := view(t, "a master 1 0-5460", "a1 slave:a 1", "b master 2 5461-10922", "c master 3 10923-16383")
	slots := view(t, "a master 1 0-5459", "a1 slave:a 1", "b master 4 5460-10922", "c master 3 10923-16383")
	for _, c := range []struct {
		name          string
		tries, lost   int
		views         []*Cluster
		tried, missed int
	}{
		{"nothing new", 1, 1, []*Cluster{same}, 2, 0},
		{"nothing new, again", 2, 2, []*Cluster{same, same}, 2, 0},
		{"nothing new, in the last of three", 3, 2, []*Cluster{nil, nil, same}, 3, 0},
		{"a node", 1, 1, []*Cluster{replica}, 1, 0},
		{"slots", 5, 0, []*Cluster{slots}, 2, 0},
		{"slots, in the first view", 5, 0, []*Cluster{slots, slots}, 2, 0},
		{"slots at once", 1, 0, []*Cluster{slots, slots}, 1, 0},
		{"nobody", 5, 1, []*Cluster{nil}, 5, 2},
		{"none", 5, 0, nil, 5, 1},
	} {
		r := begun(t, 1)
		require.True(t, r.router.Failed(r.router.Node("c1")).Refresh)
		r.router.Succeeded(r.router.Node("c1"))
		require.False(t, r.router.Failed(r.router.Node("c1")).Refresh)
		r.router.Succeeded(r.router.Node("c1"))
		r.tries, r.lost = c.tries, c.lost
		res := r.answer(c.views...)
		assert.False(t, res.Refresh)
		assert.Equal(t, []int{c.tried, c.missed}, []int{r.tries, r.lost}, c.name)
		assert.True(t, r.router.Failed(r.router.Node("b")).Refresh, "the Router may ask again: %s", c.name)
		assert.Equal(t, c.missed > 0, r.wish() == urgent, c.name)
		if c.missed == 0 {
			period := 2 * time.Minute
			if len(c.views) > 0 && c.views[0] == slots {
				period = 5 * time.Second
			}
			wait := 500 * time.Millisecond << (c.tried - 1)
			assert.Equal(t, wait+r.dice.upTo(wait/4), r.wait, c.name)
			assert.Equal(t, r.now.Add(period-period/4+r.dice.upTo(period/2)), r.next, c.name)
		}
	}
	// Views that contradict the map, one after the other.
	c := begun(t, 1)
	c.router.Moved(moved(5, "b"), nil, c.router.Generation())
	for _, want := range []int{1, 2, 0, 1} {
		if want == 0 {
			c.router.Replace(same)
			c.answer(same)
			c.router.Moved(moved(5, "b"), nil, c.router.Generation())
		} else {
			assert.True(t, c.answer(same).Refresh)
			assert.Equal(t, urgent, c.wish())
		}
		assert.Equal(t, want, c.contradicted)
		assert.Equal(t, want > 0, c.doubted)
	}
	// A view that has news as well leaves a doubt, too.
	assert.Equal(t, OutcomePartly, c.answer(slots).Outcome)
	assert.True(t, c.doubted)
	// A view that does not have a node says nothing of it, and no view neither.
	c = begun(t, 1)
	c.retries = []*Node{c.router.Failed(c.router.Node("c1")).Node}
	require.False(t, c.router.Node("c1").Serves())
	down := view(t, "a master,fail 1 0-5460", "b master 2 5461-10922", "c master 3 10923-16383")
	c.retry(&c.router, []*Cluster{nil, down}, c.now)
	assert.True(t, c.router.Node("c1").Serves())
	assert.Empty(t, c.retries, "one view is enough")
	// A node that has left the map is not tried again, and one that was known by its address
	// is tried by its id.
	c.retries = []*Node{{key: "gone", addr: "gone:1"}, {key: at("a"), addr: at("a")}}
	require.Equal(t, "a", c.router.Failed(c.router.Node("a")).Node.ID)
	c.retry(&c.router, []*Cluster{down}, c.now)
	assert.False(t, c.router.Node("a").Serves(), "the view has it as failed")
	assert.Equal(t, "a", c.suspects[0].node.ID)
	// Nor is one whose time comes when it has left.
	c = begun(t, 1)
	c.Note(c.router.Failed(c.router.Node("a1")), c.now)
	c.router.Replace(view(t, "a master 1 0-16383"))
	c.now = c.suspects[0].until
	c.nextNow()
	assert.Empty(t, c.suspects)
	assert.Empty(t, c.retries)

	// Apply of a Refresh that is not open is no failure.
	c = begun(t, 1)
	before := c.nextNow()
	c.Apply(&c.router, Refresh{}, nil, c.now)
	c.Apply(&c.router, Refresh{number: 3}, nil, c.now)
	assert.Equal(t, before, c.nextNow())
	assert.Zero(t, c.lost)
}
