package topology

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// TestMain has garbage collected less often: of all that the tests allocate, little lives
// on.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// bigNodes returns a view of n primaries, from the i-th on. The first 16384 of them
// have a slot each.
func bigNodes(t testing.TB, n, i int) *Cluster {
	var b strings.Builder
	for k := range n {
		fmt.Fprintf(&b, "id%06d %s@1 master - 0 0 %d connected", i+k, bigAddr(i+k), k)
		if k < hashslot.Count {
			fmt.Fprintf(&b, " %d", k)
		}
		b.WriteByte('\n')
	}
	c, err := ParseNodes(b.String(), Origin{})
	require.NoError(t, err)
	return c
}

func bigHost(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255) }
func bigAddr(i int) string { return bigHost(i) + ":6379" }

// bigReply returns a view of n nodes without ids and epochs, from the i-th on, four
// in each shard.
func bigReply(t testing.TB, n, i int) *Cluster {
	var reply []any
	for s := range n / 4 {
		entry := []any{int64(s), int64(s)}
		for k := range 4 {
			entry = append(entry, []any{bigHost(i + 4*s + k), int64(6379)})
		}
		reply = append(reply, entry)
	}
	c, err := ParseSlots(reply, Origin{})
	require.NoError(t, err)
	return c
}

// bigSteps are all kinds of steps of a Router whose map is like x.
var bigSteps = []struct {
	name string
	do   func(r *Router, x, y *Cluster)
}{
	{"the same view", func(r *Router, x, y *Cluster) { r.Apply(x, r.Generation()) }},
	{"a view with other nodes", func(r *Router, x, y *Cluster) { r.Replace(y) }},
	{"a view that is taken in part", func(r *Router, x, y *Cluster) { r.Apply(y, r.Generation()) }},
	{"redirects to unknown nodes", func(r *Router, x, y *Cluster) {
		for i := range 2 {
			r.Moved(Redirect{false, 5, fmt.Sprint("h", i), 1}, nil, r.Generation())
		}
	}},
	{"a redirect to a known node", func(r *Router, x, y *Cluster) {
		s, _ := r.For(9)
		r.Moved(Redirect{false, 8, s.Primary.Host, s.Primary.Port}, nil, r.Generation())
	}},
	{"a failover", func(r *Router, x, y *Cluster) {
		if s, _ := r.For(7); len(s.Replicas) > 0 {
			r.Promote(s.Replicas[0])
		}
	}},
	{"a failure", func(r *Router, x, y *Cluster) {
		s, _ := r.For(7)
		r.Failed(s.Primary)
		r.Apply(x, r.Generation())
		r.Succeeded(s.Primary)
	}},
}

// A step allocates in proportion to the number of nodes. The next test shows by its
// sizes that time does not grow faster either.
func TestStepsAreLinear(t *testing.T) {
	for _, kind := range []struct {
		name string
		view func(t testing.TB, n, i int) *Cluster
	}{{"ids", bigNodes}, {"addresses", bigReply}} {
		costs := func(n int) (all []float64) {
			x, y := kind.view(t, n, 0), kind.view(t, n, n/2)
			for _, step := range bigSteps {
				all = append(all, testing.AllocsPerRun(1, func() {
					var r Router
					r.Apply(x, 0)
					step.do(&r, x, y)
				}))
			}
			return all
		}
		n := 400
		if testing.Short() {
			n /= 4
		}
		small, large := costs(n), costs(4*n)
		for i, step := range bigSteps {
			assert.Less(t, large[i], 5*small[i], "%s: %s", kind.name, step.name)
		}
	}
}

// A step that is quadratic in one of these numbers would take some seconds, and there
// are many steps.
func TestHugeSteps(t *testing.T) {
	n := maxNodes / 16
	if testing.Short() {
		n /= 8
	}
	for _, view := range []func(t testing.TB, n, i int) *Cluster{bigNodes, bigReply} {
		x, y := view(t, n, 0), view(t, n, n/2)
		var r Router
		r.Apply(x, 0)
		for _, step := range bigSteps {
			step.do(&r, x, y)
		}
		checkMap(t, &r)
	}
}

// The map keeps one address for each slot, however many redirects there were.
func TestRedirectsKeepOneAddressASlot(t *testing.T) {
	var r Router
	r.Apply(threeShards(t), 0)
	rounds := 4000
	if testing.Short() {
		rounds = 500
	}
	for i := range rounds {
		got := r.Moved(Redirect{false, 5, fmt.Sprint("h", i), 1}, nil, r.Generation())
		require.Equal(t, OutcomeUnknownNode, got.Outcome)
		require.Len(t, r.load().members.all(), 10)
		if i > 0 {
			require.Equal(t, fmt.Sprintf("h%d:1", i-1), ids(got.Change.Removed))
		}
		_, g := r.load().owner(5)
		require.LessOrEqual(t, len(g.contradicted), maxContradicted)
	}
	for i := range 300 {
		r.Moved(Redirect{false, hashslot.Slot(i % 100), fmt.Sprint("g", i), 1}, nil, r.Generation())
	}
	assert.Len(t, r.load().members.all(), 9+100)
	checkMap(t, &r)
}

// After views of nodes that do not know each other, the map has the nodes of the last
// view, and at most 16384 others.
func TestViewsLeaveFewNodes(t *testing.T) {
	var r Router
	replicas := []int{2000, 2000, 2000, 2000, 2000, 2000, 2000, 2000, 2000, 2000, 2000}
	if testing.Short() {
		replicas = []int{hashslot.Count + 500, 10}
	}
	for i, n := range replicas {
		// Each knows its own shard, with that many replicas, and the node z.
		lines := []string{"z master 1 16383", fmt.Sprintf("p%d master,myself %d %d", i, 100-i, i)}
		for k := range n {
			lines = append(lines, fmt.Sprintf("r%d-%d slave:p%d 0", i, k, i))
		}
		r.Apply(view(t, lines...), r.Generation())
		require.LessOrEqual(t, len(r.load().members.all()), n+2+hashslot.Count)
	}
	shard, _ := r.For(0)
	require.Equal(t, "p0", shard.Primary.ID)
	checkMap(t, &r)
}

// heapInUse returns the bytes of the objects that are still reachable.
func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A map does not keep the views alive from which it was made.
func TestViewsAreNotKeptAlive(t *testing.T) {
	// In each view one more node has changed, and the others have not.
	const nodes = 1000
	lines := make([]string, nodes)
	for i := range lines {
		lines[i] = fmt.Sprintf("n%d master 1 %d", i, i)
	}
	var r Router
	r.Apply(view(t, lines...), 0)
	one := heapInUse()
	views := 60
	if testing.Short() {
		views = 20
	}
	for i := range views {
		lines[i] = fmt.Sprintf("n%d master,noaddr 1 %d", i, i)
		require.Equal(t, OutcomeApplied, r.Apply(view(t, lines...), r.Generation()).Outcome)
	}
	all := heapInUse()
	assert.Less(t, float64(all), 2*float64(one)+1e6, "after the first view, and %d later", views)
	runtime.KeepAlive(&r)
}

// Repeated open slots of a node are kept once.
func TestRepeatedOpenSlots(t *testing.T) {
	for _, repeated := range []string{" [3->-b]", " [3-<-b]"} {
		c, err := ParseNodes("a h:1@1 master - 0 0 1 connected 3"+strings.Repeat(repeated, 1<<16)+"\n", Origin{})
		require.NoError(t, err)
		require.Len(t, c.Open(), 1)
		n := c.Node("a")
		assert.LessOrEqual(t, cap(n.Migrating)+cap(n.Importing)+cap(c.open), 64)
		assert.Len(t, c.Warnings(), 1)
	}
	// An open slot for each slot is kept, and so are a few repeated ones.
	var b strings.Builder
	for s := range hashslot.Count {
		fmt.Fprintf(&b, " [%d->-b] [%d-<-c]", s, s)
	}
	c, err := ParseNodes("a h:1@1 master - 0 0 1 connected"+b.String()+"\n", Origin{})
	require.NoError(t, err)
	assert.Len(t, c.Open(), 2*hashslot.Count)
	assert.Empty(t, c.Warnings())
	c, err = ParseNodes("a h:1@1 master - 0 0 1 connected [3->-b] [3->-c] [3->-b]\n", Origin{})
	require.NoError(t, err)
	assert.Len(t, c.Node("a").Migrating, 3)
	assert.Len(t, c.Open(), 2)
}

// Nil and zero arguments cause no panic.
func TestNothing(t *testing.T) {
	var r Router
	zero := new(Cluster)
	for range 2 {
		gen := r.Generation()
		for _, got := range []Result{r.Apply(nil, 0), r.Replace(nil), r.Failed(nil), r.Promote(nil), r.Succeeded(nil),
			r.Failed(new(Node)), r.Promote(new(Node)), r.Succeeded(new(Node)), r.Moved(Redirect{Ask: true}, nil, 0), r.Moved(Redirect{Ask: true}, new(Node), 0)} {
			assert.Equal(t, OutcomeUnchanged, got.Outcome)
			assert.Nil(t, got.Change)
			assert.Equal(t, gen, got.Seen)
		}
		assert.Nil(t, r.Asking(Redirect{}))
		assert.Nil(t, r.Node(""))
		got := r.Apply(zero, r.Generation())
		assert.Nil(t, got.Change)
		assert.Contains(t, []Outcome{OutcomeUnchanged, OutcomeStale}, got.Outcome)
		r.Moved(moved(1, "x"), new(Node), r.Generation())
		r.Apply(threeShards(t), r.Generation())
	}
	assert.Equal(t, OutcomeApplied, r.Replace(zero).Outcome)
	assert.Empty(t, ownersOf(&r))
	checkMap(t, &r)

	none := zero.Table()
	assert.True(t, none.Equal(new(slotmap.Table[*Shard])))
	assert.Equal(t, hashslot.Count, zero.Unassigned().Len())
	assert.True(t, zero.Equal(nil))
	assert.True(t, (*Cluster)(nil).Equal(zero))
	assert.False(t, threeShards(t).Equal(nil))
	for _, c := range []*Cluster{zero, nil} {
		assert.Empty(t, c.Nodes())
		assert.Empty(t, c.Shards())
		assert.Empty(t, c.Open())
		assert.Empty(t, c.Disagreements())
		assert.Empty(t, c.Warnings())
		assert.Nil(t, c.Myself())
		assert.Nil(t, c.Node("a"))
		assert.Equal(t, hashslot.Count, c.Unassigned().Len())
		assert.True(t, c.Table().Equal(zero.Table()))
	}
	both, err := Merge(zero, threeShards(t), new(Cluster))
	require.NoError(t, err)
	assert.True(t, both.Equal(threeShards(t)))
	both, err = Merge(zero, zero)
	require.NoError(t, err)
	assert.True(t, both.Equal(nil))
	_, err = Merge(nil)
	assert.Error(t, err)
	_, err = Merge(nil, zero)
	assert.Error(t, err)
}

// OnChange may call any method, and the changes still come in order.
func TestOnChangeMayCallAnything(t *testing.T) {
	var r Router
	told := tell(&r)
	record := r.OnChange
	var order []Generation
	inside := false
	r.OnChange = func(c *Change) {
		if inside {
			t.Error("a call inside another")
		}
		inside = true
		record(c)
		order = append(order, c.Generation)
		switch c.Generation {
		case 1:
			r.Failed(r.Node("a"))                       // 2
			r.Moved(moved(5, "b"), nil, r.Generation()) // 3
			r.Promote(r.Node("c1"))                     // 4
			assert.Equal(t, Generation(4), r.Generation(), "the writes are done, their changes wait")
			assert.Equal(t, []Generation{1}, order)
		case 4:
			r.Succeeded(r.Node("a")) // 5
			r.RefreshFailed()
		}
		inside = false
	}
	got := r.Apply(threeShards(t), 0)
	assert.Equal(t, Generation(1), got.Seen, "of this write, not of what came of it")
	assert.Equal(t, []Generation{1, 2, 3, 4, 5}, order)
	told.check(t)

	// After a call that panics, or ends its goroutine, the next change is delivered.
	for _, end := range []func(){func() { panic("x") }, runtime.Goexit} {
		var r Router
		count := 0
		r.OnChange = func(*Change) {
			if count++; count == 1 {
				end()
			}
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() { recover() }()
			r.Apply(threeShards(t), 0)
		})
		wg.Wait()
		r.Failed(r.Node("a"))
		assert.Equal(t, 2, count)
		assert.Equal(t, Generation(2), r.Generation())
	}
}

// A write is seen as a whole: a reader that finds a new node of a view also finds its
// slots there.
func TestAWriteIsSeenAsAWhole(t *testing.T) {
	rounds := 3000
	if testing.Short() {
		rounds = 300
	}
	first, next := view(t, "a master 1 0-16383"), view(t, "a master 1", "b master 2 0-16383")
	for i := range rounds {
		var r Router
		r.Apply(first, 0)
		var wg sync.WaitGroup
		wg.Go(func() { r.Apply(next, r.Generation()) })
		wg.Go(func() {
			for {
				if r.Node("b") == nil {
					runtime.Gosched()
					continue
				}
				shard, seen := r.For(hashslot.Slot(i))
				if shard.Primary.ID != "b" || seen != 2 {
					t.Errorf("owner %v in generation %d", shard, seen)
				}
				return
			}
		})
		wg.Wait()
	}
}
