package plan

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// TestMain has garbage collected less often: of all that the tests allocate, little lives
// on.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// A paper is a cluster on paper. It has the owner of each slot, as an index of ids, or nobody.
type paper struct {
	ids   []string
	owner []int
}

// randomPaper has runs of slots of random lengths; some primaries have none.
func randomPaper(rng *rand.Rand, nodes int) paper {
	var p paper
	for range nodes {
		p.ids = append(p.ids, fmt.Sprintf("%016x%016x%08x", rng.Uint64(), rng.Uint64(), rng.Uint32()))
	}
	owning := 1 + rng.IntN(nodes)
	mean := []int{1, 5, 50, 500, 5000}[rng.IntN(5)]
	for len(p.owner) < hashslot.Count {
		o := rng.IntN(owning)
		for range 1 + rng.IntN(2*mean) {
			if len(p.owner) < hashslot.Count {
				p.owner = append(p.owner, o)
			}
		}
	}
	return p
}

// nodes returns CLUSTER NODES text, the lines in the given order.
func (p paper) nodes(order []int) string {
	var text strings.Builder
	for _, i := range order {
		fmt.Fprintf(&text, "%s 10.0.%d.%d:6379@16379 master - 0 0 %d connected", p.ids[i], i/250, i%250, i+1)
		for first := 0; first < len(p.owner); {
			last := first
			for last+1 < len(p.owner) && p.owner[last+1] == p.owner[first] {
				last++
			}
			if p.owner[first] == i {
				fmt.Fprintf(&text, " %d-%d", first, last)
			}
			first = last + 1
		}
		text.WriteByte('\n')
	}
	return text.String()
}

func (p paper) cluster(t testing.TB) *topology.Cluster {
	t.Helper()
	order := make([]int, len(p.ids))
	for i := range order {
		order[i] = i
	}
	c, err := topology.ParseNodes(p.nodes(order), topology.Origin{})
	require.NoError(t, err)
	return c
}

// do moves slots.
func (p paper) do(moves []Move) paper {
	owner := slices.Clone(p.owner)
	for _, m := range moves {
		to := slices.Index(p.ids, m.To)
		for s := range m.Slots.Slots() {
			owner[s] = to
		}
	}
	return paper{p.ids, owner}
}

func randomWeights(rng *rand.Rand, ids []string) (weights []Weight) {
	choice := []float64{0, 0.1, 0.5, 1, 1.5, 2, 3, 10}
	for _, id := range ids[1:] {
		if rng.IntN(3) == 0 {
			weights = append(weights, Weight{id, choice[rng.IntN(len(choice))]})
		}
	}
	return weights
}

// rounds returns how many random cases a test tries: n, or a fifth of n in short runs.
func rounds(n int) int {
	if testing.Short() {
		return n / 5
	}
	return n
}

func TestRebalanceProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range max(2, rounds(8)) {
		p := randomPaper(rng, 1+rng.IntN(30))
		c := p.cluster(t)
		opts := RebalanceOptions{UseEmpty: true, Weights: randomWeights(rng, p.ids)}
		plan, err := Rebalance(c, opts)
		require.NoError(t, err)
		requireExact(t, c, plan, opts)

		// The order of the reply does not matter.
		shuffled, err := topology.ParseNodes(p.nodes(rng.Perm(len(p.ids))), topology.Origin{})
		require.NoError(t, err)
		again, err := Rebalance(shuffled, opts)
		require.NoError(t, err)
		require.True(t, slices.Equal(plan.Moves, again.Moves))

		// A new plan from any point on the way finishes, and no slot moves in addition.
		var done []Move
		for _, m := range plan.Moves {
			half := Move{From: m.From, To: m.To}
			for s := range m.Slots.Slots() {
				if rng.IntN(3) > 0 {
					half.Slots.Add(s)
				}
			}
			done = append(done, half)
		}
		halfway := p.do(done).cluster(t)
		rest, err := Rebalance(halfway, opts)
		require.NoError(t, err)
		require.Equal(t, plan.SlotCount(), (&Plan{Moves: done}).SlotCount()+rest.SlotCount())
		requireSound(t, halfway, rest)

		// When all is done there is nothing to do.
		nothing, err := Rebalance(p.do(plan.Moves).cluster(t), opts)
		require.NoError(t, err)
		require.Empty(t, nothing.Moves)
	}
}

// Within the threshold nothing moves. Beyond it, the shares become exact.
func TestRebalanceThreshold(t *testing.T) {
	c := parse(t, "a 127.0.0.1:1@2 master - 0 0 1 connected 0-8291\nb 127.0.0.1:3@4 master - 0 0 2 connected 8292-16383\n") // 100 too many: 1.2% and 1.24%
	for _, tc := range []struct {
		threshold float64
		moved     int
	}{{0, 100}, {1.2, 100}, {1.23, 100}, {1.25, 0}, {2, 0}} {
		p, err := Rebalance(c, RebalanceOptions{Threshold: tc.threshold})
		require.NoError(t, err)
		require.Equal(t, tc.moved, p.SlotCount(), tc.threshold)
	}
}

func TestWithin(t *testing.T) {
	for _, tc := range []struct {
		have    []int
		weights []float64
		total   int
		percent float64
		want    bool
	}{
		{[]int{66, 34}, []float64{2, 1}, 100, 2, true},
		{[]int{66, 34}, []float64{2, 1}, 100, 1.9, false},
		{[]int{128, 64}, []float64{1, 1}, 192, 50, true}, // exactly
		{[]int{1000, 1}, []float64{1000, 3}, 1001, 5, false},
		{[]int{100, 0}, []float64{1, 0}, 100, 5, true}, // a node without slots may be due one
		{[]int{1000, 0}, []float64{1999, 1}, 1000, 5, true},
		{[]int{2, 0}, []float64{1, 1}, 2, 60, true},
		{[]int{3, 0}, []float64{1, 1}, 3, 60, false},
		{[]int{100, 0}, []float64{1, 1}, 100, 60, false},
	} {
		require.Equal(t, tc.want, within(tc.have, tc.weights, tc.total, tc.percent), "%v", tc)
	}
}

// A plan has the caller's moves as they are, beside the jobs of other slots.
func TestNewKeepsMoves(t *testing.T) {
	c := parse(t, "a h:1@2 master - 0 0 1 connected 0-8191\nb h:2@3 master - 0 0 2 connected 8192-16383\n")
	moves := []Move{{slotmap.MustParseSet("9"), "a", "b"}, {slotmap.MustParseSet("8192"), "b", "a"}, {slotmap.MustParseSet("7"), "a", "b"}}
	p, err := New(c, moves, runningJob("a", "b", "0-5"))
	require.NoError(t, err)
	require.Equal(t, moves, p.Moves)
	require.Equal(t, "b 0-5 7 9 8193-16383\na 6 8 10-8192\n", p.After.String())
}

// The order of the sources does not matter.
func TestReshardOrder(t *testing.T) {
	c := parse(t, "a h:1@2 master - 0 0 1 connected 0-8191\nb h:2@3 master - 0 0 2 connected 8192-16383\nc h:3@4 master - 0 0 3 connected\n")
	for _, from := range [][]string{{"a", "b"}, {"b", "a"}, nil} {
		p, err := Reshard(c, from, "c", 3)
		require.NoError(t, err)
		require.Equal(t, "a 0-8189\nc 8190-8192\nb 8193-16383\n", p.After.String())
	}
}

// leastMoves is the reference: it tries all ways to round the shares, and returns the
// fewest moved slots of any exact balance.
func leastMoves(have []int, weights []float64, total int) int {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	best := math.MaxInt
	var try func(i, left, moved int)
	try = func(i, left, moved int) {
		if i == len(have) {
			if left == 0 {
				best = min(best, moved)
			}
			return
		}
		share := float64(total) * weights[i] / sum
		for n := int(math.Floor(share + 1e-9)); float64(n) < share+1-1e-9; n++ {
			try(i+1, left-n, moved+max(0, have[i]-n))
		}
	}
	try(0, total, 0)
	return best
}

func TestSharesMoveTheLeast(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for range 3000 {
		n := 1 + rng.IntN(6)
		have, weights, total := make([]int, n), make([]float64, n), 0
		for i := range have {
			have[i] = rng.IntN(12)
			weights[i] = float64(rng.IntN(8)) / 2
			total += have[i]
		}
		weights[0] += 1
		want := shares(have, weights, total)
		moved, sum := 0, 0
		for i, w := range want {
			moved += max(0, have[i]-w)
			sum += w
		}
		require.Equal(t, total, sum)
		require.Equal(t, leastMoves(have, weights, total), moved, "%v %v", have, weights)
	}
}

func TestSharesRoundedUp(t *testing.T) {
	for _, tc := range []struct {
		have    []int
		weights []float64
		total   int
		want    []int
	}{
		{[]int{0, 0}, []float64{2, 1}, 2, []int{1, 1}}, // the larger remainder
		{[]int{0, 2}, []float64{1, 2}, 2, []int{0, 2}}, // rather a slot less to move
		{[]int{3, 2}, []float64{1, 1}, 5, []int{3, 2}},
		{[]int{4, 3}, []float64{1, 1}, 5, []int{2, 3}}, // the second keeps all that it has
		{[]int{3, 4}, []float64{1, 1}, 5, []int{3, 2}},
		{[]int{5, 4}, []float64{1, 1}, 5, []int{3, 2}}, // both give slots away
		{[]int{2, 1}, []float64{1, 1}, 5, []int{2, 3}}, // the first stays as it is
		{[]int{1, 0}, []float64{1, 1}, 5, []int{3, 2}}, // both get slots
	} {
		require.Equal(t, tc.want, shares(tc.have, tc.weights, tc.total), "%v", tc)
	}
}

// Weights far from one another, and sums that are not exact binary fractions.
func TestSharesOfOddWeights(t *testing.T) {
	for _, weights := range [][]float64{
		{0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1},
		{0.1, 0.2, 0.3, 0.4},
		{1e300, 1e300, 1e-300},
		{math.MaxFloat64, math.MaxFloat64},
		{math.SmallestNonzeroFloat64, math.SmallestNonzeroFloat64},
		{1, 1e-9},
		{1. / 3, 2. / 3},
	} {
		have := make([]int, len(weights))
		have[0] = hashslot.Count
		sum := 0
		heaviest := slices.Max(weights)
		total := 0.0
		for _, w := range weights {
			total += w / heaviest
		}
		for i, n := range shares(have, weights, hashslot.Count) {
			sum += n
			require.InDelta(t, hashslot.Count*(weights[i]/heaviest)/total, n, 1)
		}
		require.Equal(t, hashslot.Count, sum)
	}
	require.Equal(t, []int{2048, 2048, 2048, 2048, 2048, 2048, 2048, 2048}, shares(make([]int, 8), []float64{.1, .1, .1, .1, .1, .1, .1, .1}, hashslot.Count))
}

func TestDrainProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range max(2, rounds(10)) {
		p := randomPaper(rng, 2+rng.IntN(20))
		c := p.cluster(t)
		order := rng.Perm(len(p.ids))
		gone := 1 + rng.IntN(len(order)-1)
		var ids []string
		for _, i := range order[:gone] {
			ids = append(ids, p.ids[i])
		}
		plan, err := Drain(c, ids, DrainOptions{UseEmpty: true})
		require.NoError(t, err)
		requireSound(t, c, plan)
		// Only the slots of drained nodes move, and evenly: a node that gets slots ends
		// with at most one slot more than any other.
		least, most := hashslot.Count, 0
		moved := 0
		for _, id := range p.ids {
			was, is := plan.Before.SlotsOf(id).Len(), plan.After.SlotsOf(id).Len()
			if slices.Contains(ids, id) {
				require.Zero(t, is)
				moved += was
				continue
			}
			require.GreaterOrEqual(t, is, was)
			least = min(least, is)
			if is > was {
				most = max(most, is)
			}
		}
		require.Equal(t, moved, plan.SlotCount())
		require.LessOrEqual(t, most, least+1)
	}
}

func TestDrainReceivers(t *testing.T) {
	c := parse(t, "a h:1@2 master - 0 0 1 connected 0-99\nb h:2@3 master - 0 0 2 connected 100-8191\nc h:3@4 master - 0 0 3 connected 8192-16383\nd h:4@5 master - 0 0 4 connected\n")
	after := func(opts DrainOptions, ids ...string) string {
		p, err := Drain(c, ids, opts)
		require.NoError(t, err)
		return p.After.String()
	}
	require.Equal(t, "b 0-8191\nc 8192-16383\n", after(DrainOptions{}, "a"))
	require.Equal(t, "d 0-99\nb 100-8191\nc 8192-16383\n", after(DrainOptions{UseEmpty: true}, "a"))
	require.Equal(t, "c 0-99 8192-16383\nb 100-8191\n", after(DrainOptions{Receivers: []string{"c"}}, "a"))
	require.Equal(t, "d 0-8191\nc 8192-16383\n", after(DrainOptions{Receivers: []string{"d"}}, "a", "b"))
	require.Equal(t, "c 0-16383\n", after(DrainOptions{}, "a", "b"))
	// The order of the receivers does not matter, and one slot is enough to be one.
	even := parse(t, "a h:1@2 master - 0 0 1 connected 0-98\nb h:2@3 master - 0 0 2 connected 100\nc h:3@4 master - 0 0 3 connected 101\nd h:4@5 master - 0 0 3 connected 99 102-16383\n")
	all, err := Drain(even, []string{"b"}, DrainOptions{})
	require.NoError(t, err)
	require.Len(t, all.Warnings, 1, "b gives away its last slot")
	all, err = Drain(even, []string{"a"}, DrainOptions{})
	require.NoError(t, err)
	for _, receivers := range [][]string{{"b", "c"}, {"c", "b"}} {
		p, err := Drain(even, []string{"a"}, DrainOptions{Receivers: receivers})
		require.NoError(t, err)
		require.True(t, all.After.Equal(p.After))
		require.Equal(t, 51, p.After.SlotsOf("b").Len())
		require.Equal(t, 50, p.After.SlotsOf("c").Len())
	}
	require.Equal(t, "b 0-16383\n", after(DrainOptions{Weights: []Weight{{"c", 0}}}, "a", "c"))
	p, err := Drain(c, []string{"a"}, DrainOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"a gives away its last slots: unless cluster-allow-replica-migration is no, it then becomes a replica of the receiver"}, p.Warnings)
}

func TestReshardProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for range max(2, rounds(10)) {
		p := randomPaper(rng, 2+rng.IntN(20))
		c := p.cluster(t)
		to := rng.IntN(len(p.ids))
		total := hashslot.Count - c.Table().SlotsOf(shardOf(c, p.ids[to])).Len()
		if total == 0 {
			continue
		}
		n := 1 + rng.IntN(total)
		plan, err := Reshard(c, nil, p.ids[to], n)
		require.NoError(t, err)
		require.Equal(t, n, plan.SlotCount())
		requireSound(t, c, plan)
		for _, m := range plan.Moves {
			require.Equal(t, p.ids[to], m.To)
			share := float64(n) * float64(plan.Before.SlotsOf(m.From).Len()) / float64(total)
			require.InDelta(t, share, m.Slots.Len(), 1)
		}
	}
}

func shardOf(c *topology.Cluster, id string) *topology.Shard {
	for _, s := range c.Shards() {
		if s.Primary.ID == id {
			return s
		}
	}
	return nil
}

func TestLoadProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	for i := range max(2, rounds(7)) {
		p := randomPaper(rng, 1+rng.IntN(20))
		c := p.cluster(t)
		load := make([]float64, hashslot.Count)
		skew, loaded := rng.Float64()*3, 0.75
		if i%2 == 1 { // few slots, of equal load: cuts between ranges give a node too many
			skew, loaded = 0, 0.01
		}
		total, heaviest := 0.0, 0.0
		for s := range load {
			if rng.Float64() < loaded {
				load[s] = math.Exp(rng.NormFloat64() * skew)
			}
			total += load[s]
			heaviest = max(heaviest, load[s])
		}
		opts := RebalanceOptions{UseEmpty: true, Load: load, Weights: randomWeights(rng, p.ids)}
		plan, err := Rebalance(c, opts)
		require.NoError(t, err)
		requireSound(t, c, plan)
		most, least := math.Inf(-1), math.Inf(1)
		for id, f := range fairOf(c, opts) {
			has := 0.0
			set := plan.After.SlotsOf(id)
			for s := range set.Slots() {
				has += load[s]
			}
			if f.share == 0 {
				require.True(t, set.IsEmpty())
			}
			off := has - f.share/hashslot.Count*total
			most, least = max(most, off), min(least, off)
		}
		require.LessOrEqual(t, most-least, heaviest+total*1e-4)
		again, err := Rebalance(c, opts)
		require.NoError(t, err)
		require.True(t, slices.Equal(plan.Moves, again.Moves))

		drained, err := Drain(c, p.ids[:1], DrainOptions{UseEmpty: true, Load: load})
		if len(p.ids) > 1 {
			require.NoError(t, err)
			requireSound(t, c, drained)
			left := drained.After.SlotsOf(p.ids[0])
			require.True(t, left.IsEmpty())
		}
	}
}

func TestUnassigned(t *testing.T) {
	c := parse(t, "a h:1@2 master - 0 0 1 connected 0-99\nb h:2@3 master - 0 0 2 connected 200-16383\n")
	_, err := Rebalance(c, RebalanceOptions{})
	var state *StateError
	require.ErrorAs(t, err, &state)
	require.Equal(t, ProblemUnassigned, state.Problem)
	require.Equal(t, "100-199", state.Slots.String())
	for _, opts := range []RebalanceOptions{{AssignUnassigned: true}, {AssignUnassigned: true, Threshold: 99.9}} {
		p, err := Rebalance(c, opts)
		require.NoError(t, err)
		require.Equal(t, "a 0-8191\nb 8192-16383\n", p.After.String())
		require.Equal(t, 8092, p.SlotCount())
		require.Equal(t, "b", p.Moves[1].From)
		require.Equal(t, Move{To: "a", Slots: slotmap.MustParseSet("100-199")}, p.Moves[0])
	}
	// The threshold does not apply to slots without an owner.
	p, err := Rebalance(parse(t, "a h:1@2 master - 0 0 1 connected 0-8190\nb h:2@3 master - 0 0 2 connected 8192-16383\n"), RebalanceOptions{AssignUnassigned: true, Threshold: 5})
	require.NoError(t, err)
	require.Equal(t, []Move{{To: "a", Slots: slotmap.MustParseSet("8191")}}, p.Moves)
	p, err = Drain(c, []string{"a"}, DrainOptions{AssignUnassigned: true})
	require.NoError(t, err)
	require.Equal(t, "b 0-16383\n", p.After.String())
	p, err = Rebalance(parse(t, "a h:1@2 master - 0 0 1 connected 0\n"), RebalanceOptions{AssignUnassigned: true})
	require.NoError(t, err)
	require.Equal(t, "a 0-16383\n", p.After.String())
	for want, nodes := range map[string]string{
		"plan: UseEmpty: no primary has slots: set UseEmpty, so that primaries without slots get them": "a h:1@2 master - 0 0 1 connected\n",
		"plan: Cluster: no primary can take part":                                                      "a h:1@2 master,fail - 0 0 1 connected\n",
	} {
		_, err = Rebalance(parse(t, nodes), RebalanceOptions{AssignUnassigned: true, UseEmpty: strings.Contains(nodes, "fail")})
		var input *InputError
		require.ErrorAs(t, err, &input)
		require.EqualError(t, err, want)
	}
	none := parse(t, "a h:1@2 master - 0 0 1 connected\nb h:2@3 master - 0 0 2 connected\n")
	p, err = Rebalance(none, RebalanceOptions{AssignUnassigned: true, UseEmpty: true})
	require.NoError(t, err)
	require.Equal(t, "a 0-8191\nb 8192-16383\n", p.After.String())
}

func TestStateErrors(t *testing.T) {
	for _, c := range []struct{ want, nodes string }{
		{"plan: open slots 5 (a, b): finish or close them first: keys of such a slot can be at both ends",
			"a h:1@2 myself,master - 0 0 1 connected 0-8191 [5->-b]\nb h:2@3 master - 0 0 2 connected 8192-16383\n"},
		{"plan: open slots 5 7 (a, b): finish or close them first: keys of such a slot can be at both ends",
			"a h:1@2 myself,master - 0 0 1 connected 0-8191 [5-<-b] [7-<-b]\nb h:2@3 master - 0 0 2 connected 8192-16383\n"},
		{"plan: unassigned slots 16383: find out first whether their data is lost, then set AssignUnassigned",
			"a h:1@2 myself,master - 0 0 1 connected 0-16382\n"},
		{"plan: unreachable nodes 0-99 200-299 (a, c): their slots cannot be moved; let a replica take over first",
			"a h:1@2 master,fail - 0 0 1 connected 0-99\nb h:2@3 master - 0 0 2 connected 100-199 300-16383\nc h:3@4 master,fail? - 0 0 3 connected 200-299\n"},
		{"plan: disagreement 5-9 (a, b): config epoch 2 over 1; ask the nodes again when they agree",
			"a h:1@2 myself,master - 0 0 1 connected 0-9\nb h:2@3 master - 0 0 2 connected 5-16383\n"},
	} {
		cluster := parse(t, c.nodes)
		_, err := Rebalance(cluster, RebalanceOptions{})
		var state *StateError
		require.ErrorAs(t, err, &state)
		require.EqualError(t, err, c.want)
		_, err = Reshard(cluster, nil, "b", 1)
		require.EqualError(t, err, c.want)
		_, err = New(cluster, nil)
		require.EqualError(t, err, c.want)
		_, err = Drain(cluster, []string{"a"}, DrainOptions{})
		require.EqualError(t, err, c.want)
	}
	// A failed primary without slots is left out, and the plan says so.
	p, err := Rebalance(parse(t, "a h:1@2 myself,master - 0 0 1 connected 0-16383\nc h:3@4 master,fail? - 0 0 2 disconnected\nb h:2@3 master,fail - 0 0 2 disconnected\n"), RebalanceOptions{UseEmpty: true})
	require.NoError(t, err)
	require.Empty(t, p.Moves)
	require.Equal(t, []string{"left out: primary b has no slots and is not reachable (master,fail)", "left out: primary c has no slots and is not reachable (master,fail?)"}, p.Warnings)
}

// Replies to CLUSTER SLOTS can lack ids, or give two nodes the same.
func TestNodeIDErrors(t *testing.T) {
	for want, ids := range map[string][2][]any{
		"plan: node ids (10.0.0.1:1): a primary has no id":   {{}, {"b"}},
		"plan: node ids (a): two primaries have the same id": {{"a"}, {"a"}},
	} {
		c, err := topology.ParseSlots([]any{
			[]any{int64(0), int64(99), append([]any{"10.0.0.1", int64(1)}, ids[0]...)},
			[]any{int64(100), int64(16383), append([]any{"10.0.0.2", int64(2)}, ids[1]...)},
		}, topology.Origin{})
		require.NoError(t, err)
		_, err = Rebalance(c, RebalanceOptions{})
		var state *StateError
		require.ErrorAs(t, err, &state)
		require.EqualError(t, err, want)
		require.Equal(t, ProblemNodeIDs, state.Problem)
		_, err = Promote(c, []string{""})
		require.EqualError(t, err, "plan: lost[0]: no node has this id")
	}
}

func TestDown(t *testing.T) {
	for _, n := range []topology.Node{{}, {Flags: topology.FlagMyself | topology.FlagPrimary}, {Health: topology.HealthOnline}} {
		require.False(t, down(&n), "%+v", n)
	}
	for _, n := range []topology.Node{{Flags: topology.FlagFail}, {Flags: topology.FlagPFail}, {Flags: topology.FlagNoAddr}, {Flags: topology.FlagHandshake}, {Health: topology.HealthLoading}} {
		require.True(t, down(&n), "%+v", n)
	}
}

func TestFinite(t *testing.T) {
	for _, f := range []float64{0, 0.5, math.MaxFloat64} {
		require.True(t, finite(f), f)
	}
	for _, f := range []float64{-0.5, math.NaN(), math.Inf(1), math.Inf(-1)} {
		require.False(t, finite(f), f)
	}
}

func TestInputErrors(t *testing.T) {
	c := parse(t, "aa h:1@2 myself,master - 0 0 1 connected 0-8191\nab h:2@3 master - 0 0 2 connected 8192-16383\nr h:3@4 slave aa 0 0 1 connected\nd h:4@5 master,fail - 0 0 3 connected\nu h:5@6 noaddr - 0 0 4 connected\n")
	rebalance := func(o RebalanceOptions) func() (Plan, error) { return func() (Plan, error) { return Rebalance(c, o) } }
	weight := func(id string, w float64) func() (Plan, error) {
		return rebalance(RebalanceOptions{Weights: []Weight{{id, w}}})
	}
	drain := func(o DrainOptions, ids ...string) func() (Plan, error) {
		return func() (Plan, error) { return Drain(c, ids, o) }
	}
	reshard := func(slots int, to string, from ...string) func() (Plan, error) {
		return func() (Plan, error) { return Reshard(c, from, to, slots) }
	}
	moves := func(list ...Move) func() (Plan, error) { return func() (Plan, error) { return New(c, list) } }
	set := slotmap.MustParseSet
	load := make([]float64, hashslot.Count)
	bad := slices.Clone(load)
	bad[7] = math.NaN()
	large := slices.Clone(load)
	large[7], large[8] = math.MaxFloat64, math.MaxFloat64
	var wrong slotmap.Set
	wrong.AddRange(slotmap.Range{First: 7, Last: 5})
	for _, tc := range []struct {
		want string
		plan func() (Plan, error)
	}{
		{`plan: Cluster: is nil`, func() (Plan, error) { return Rebalance(nil, RebalanceOptions{}) }},
		{`plan: Weights[0] "-1": must be a number of at least 0`, weight("aa", -1)},
		{`plan: Weights[0] "NaN": must be a number of at least 0`, weight("aa", math.NaN())},
		{`plan: Weights[0] "+Inf": must be a number of at least 0`, weight("aa", math.Inf(1))},
		{`plan: Weights[0] "x": no node id begins with this`, weight("x", 1)},
		{`plan: Weights[0]: the node id is missing`, weight("", 1)},
		{`plan: Weights[0] "a": 2 node ids begin with this`, weight("a", 1)},
		{`plan: Weights[0] "r": is a replica of aa`, weight("r", 1)},
		{`plan: Weights[0] "d": is not reachable`, weight("d", 1)},
		{`plan: Weights[1] "ab": is the same node as in Weights[0]`, rebalance(RebalanceOptions{Weights: []Weight{{"ab", 1}, {"ab", 2}}})},
		{`plan: Weights: all weights are 0: no node is left to own the slots`, rebalance(RebalanceOptions{Weights: []Weight{{"aa", 0}, {"ab", 0}}})},
		{`plan: Threshold "-1": must be a percentage of at least 0`, rebalance(RebalanceOptions{Threshold: -1})},
		{`plan: Load: must have 16384 numbers, one for each slot, not 3`, rebalance(RebalanceOptions{Load: make([]float64, 3)})},
		{`plan: Load "0": the sum of the loads must be above 0 and finite`, rebalance(RebalanceOptions{Load: load})},
		{`plan: Load "+Inf": the sum of the loads must be above 0 and finite`, rebalance(RebalanceOptions{Load: large})},
		{`plan: Load[7] "NaN": must be a number of at least 0`, rebalance(RebalanceOptions{Load: bad})},
		{`plan: nodes: no node to drain`, drain(DrainOptions{})},
		{`plan: nodes[0] "zz": no node has this id`, drain(DrainOptions{}, "zz")},
		{`plan: nodes[0] "r": is a replica of aa`, drain(DrainOptions{}, "r")},
		{`plan: nodes[0] "u": is not a primary`, drain(DrainOptions{}, "u")},
		{`plan: nodes[1] "d": is not reachable`, drain(DrainOptions{}, "aa", "d")},
		{`plan: Receivers: no primary is left to take the slots: name receivers, or set UseEmpty for primaries without slots`, drain(DrainOptions{}, "aa", "ab")},
		{`plan: Receivers[0] "aa": is also a node to drain`, drain(DrainOptions{Receivers: []string{"aa"}}, "aa")},
		{`plan: Receivers[1] "ab": is named twice`, drain(DrainOptions{Receivers: []string{"ab", "ab"}}, "aa")},
		{`plan: Receivers[0] "r": is a replica of aa`, drain(DrainOptions{Receivers: []string{"r"}}, "aa")},
		{`plan: Weights: all weights are 0: no node is left to own the slots`, drain(DrainOptions{Weights: []Weight{{"ab", 0}}}, "aa")},
		{`plan: to "zz": no node has this id`, reshard(1, "zz")},
		{`plan: to "r": is a replica of aa`, reshard(1, "r")},
		{`plan: from[0] "zz": no node has this id`, reshard(1, "aa", "zz")},
		{`plan: from[0] "aa": is the target`, reshard(1, "aa", "aa")},
		{`plan: from[1] "ab": is named twice`, reshard(1, "aa", "ab", "ab")},
		{`plan: slots "0": must be from 1 to 8192`, reshard(0, "aa")},
		{`plan: slots "8193": must be from 1 to 8192`, reshard(8193, "aa")},
		{`plan: moves[0]: slot 8192 is not owned by aa`, moves(Move{From: "aa", To: "ab", Slots: set("8191-8192")})},
		{`plan: moves[0]: slot 5 has an owner, but the move has no source`, moves(Move{To: "ab", Slots: set("5")})},
		{"plan: moves[0]: " + wrong.Err().Error(), moves(Move{From: "aa", To: "ab", Slots: wrong})},
		{`plan: moves[0].From "r": is a replica of aa`, moves(Move{From: "r", To: "ab", Slots: set("5")})},
		{`plan: moves[0].To "d": is not reachable`, moves(Move{From: "aa", To: "d", Slots: set("5")})},
		{`plan: moves[0].To "aa": is the source`, moves(Move{From: "aa", To: "aa", Slots: set("5")})},
		{`plan: moves[0].Slots: are missing`, moves(Move{From: "aa", To: "ab"})},
		{`plan: moves[1]: slot 7 is in moves[0] too`, moves(Move{From: "aa", To: "ab", Slots: set("5-7")}, Move{From: "ab", To: "aa", Slots: set("7-8")})},
		{`plan: moves[2]: slot 5 is in moves[1] too`, moves(Move{From: "aa", To: "ab", Slots: set("1")}, Move{From: "aa", To: "ab", Slots: set("5")}, Move{From: "aa", To: "ab", Slots: set("4-5")})},
	} {
		_, err := tc.plan()
		var input *InputError
		require.True(t, errors.As(err, &input), tc.want)
		require.EqualError(t, err, tc.want)
	}
}

// Ids of other servers than Valkey and Redis have capital letters. An id may be the
// beginning of another.
func TestWeightsByID(t *testing.T) {
	c := parse(t, "Ab h:1@2 myself,master - 0 0 1 connected 0-8191\nAbc h:2@3 master - 0 0 2 connected 8192-16383\ncd h:3@4 master - 0 0 3 connected\n")
	for name, id := range map[string]string{"Ab": "Ab", "Abc": "Abc", "cd": "cd", "CD": "cd", "c": "cd", "C": "cd"} {
		p, err := Rebalance(c, RebalanceOptions{UseEmpty: true, Weights: []Weight{{name, 0.5}}})
		require.NoError(t, err, name)
		require.Empty(t, p.Warnings)
		for _, n := range p.Nodes {
			require.Equal(t, n.ID == id, n.Weight == 0.5, "%s: %s", name, n.ID)
		}
		p, err = Rebalance(c, RebalanceOptions{Weights: []Weight{{name, 0.5}}})
		require.NoError(t, err, name)
		if id == "cd" {
			require.Equal(t, []string{"the weight of cd has no effect: primaries without slots are left out"}, p.Warnings)
		} else {
			require.Empty(t, p.Warnings)
		}
	}
	_, err := Rebalance(c, RebalanceOptions{Weights: []Weight{{"A", 1}}})
	require.EqualError(t, err, `plan: Weights[0] "A": 2 node ids begin with this`)
}

// Views of several nodes that differ are refused.
func TestMergedViews(t *testing.T) {
	merge := func(views ...string) *topology.Cluster {
		var list []*topology.Cluster
		for _, v := range views {
			list = append(list, parse(t, v))
		}
		c, err := topology.Merge(list...)
		require.NoError(t, err)
		return c
	}
	a := "a h:1@2 myself,master - 0 0 1 connected 0-8191\nb h:2@3 master - 0 0 2 connected 8192-16383\n"
	b := "a h:1@2 master - 0 0 1 connected 0-8191\nb h:2@3 myself,master - 0 0 2 connected 8192-16383\n"
	c := merge(a, b)
	p, err := Rebalance(c, RebalanceOptions{})
	require.NoError(t, err)
	require.Empty(t, p.Moves)
	for _, other := range []string{
		strings.Replace(b, "0-8191", "0-8190", 1),
		strings.NewReplacer("0-8191", "0-8190", "8192-", "8191-", "2 connected", "7 connected").Replace(b),
	} {
		_, err := Rebalance(merge(a, other), RebalanceOptions{})
		var state *StateError
		require.ErrorAs(t, err, &state)
		require.Equal(t, ProblemDisagreement, state.Problem)
		require.Equal(t, "8191", state.Slots.String())
	}
}

// fair is the exact share of a node, and the number of slots that it has now.
type fair struct {
	share float64
	have  int
}

// fairOf computes the shares of the primaries that take part, by id.
func fairOf(c *topology.Cluster, opts RebalanceOptions) map[string]fair {
	weight := func(id string) float64 {
		for _, w := range opts.Weights {
			if strings.HasPrefix(id, w.ID) {
				return w.Weight
			}
		}
		return 1
	}
	sum := 0.0
	nodes := map[string]fair{}
	for _, s := range c.Shards() {
		have := c.Table().SlotsOf(s).Len()
		if have > 0 || opts.UseEmpty {
			nodes[s.Primary.ID] = fair{have: have}
			sum += weight(s.Primary.ID)
		}
	}
	for id, f := range nodes {
		f.share = hashslot.Count * weight(id) / sum
		nodes[id] = f
	}
	return nodes
}

// exact reports whether every node ends with its share, rounded down or up.
func exact(c *topology.Cluster, p Plan, opts RebalanceOptions) bool {
	for id, f := range fairOf(c, opts) {
		if math.Abs(float64(p.After.SlotsOf(id).Len())-f.share) > 1-1e-6 {
			return false
		}
	}
	return true
}

// requireExact checks that p ends with exact shares, that it moves the fewest
// slots with which that can be, and that its parts agree.
func requireExact(t *testing.T, c *topology.Cluster, p Plan, opts RebalanceOptions) {
	t.Helper()
	require.True(t, exact(c, p, opts))
	least, left, spared := 0, hashslot.Count, 0
	for _, f := range fairOf(c, opts) {
		down := int(math.Floor(f.share + 1e-6))
		left -= down
		least += max(0, f.have-down)
		if f.have > down && f.share > float64(down)+1e-6 {
			spared++ // rounded up, it moves one slot less
		}
	}
	require.Equal(t, least-min(left, spared), p.SlotCount())
	requireSound(t, c, p)
}

// requireSound checks that the moves lead from Before to After, no slot twice.
func requireSound(t *testing.T, c *topology.Cluster, p Plan) {
	t.Helper()
	var moved slotmap.Set
	var b slotmap.Builder[string]
	for r, s := range c.Table().Ranges() {
		b.Assign(r, s.Primary.ID)
	}
	require.True(t, p.Before.Equal(b.Build()))
	pairs := map[[2]string]bool{}
	for _, m := range p.Moves {
		require.False(t, m.Slots.IsEmpty())
		require.False(t, pairs[[2]string{m.From, m.To}])
		pairs[[2]string{m.From, m.To}] = true
		require.True(t, moved.Intersect(m.Slots).IsEmpty())
		moved = moved.Union(m.Slots)
		for r := range m.Slots.Ranges() {
			for s := r.First; s <= r.Last; s++ {
				if from, _ := p.Before.Lookup(s); from != m.From {
					require.Failf(t, "not the owner", "slot %d is moved from %s and is owned by %s", s, m.From, from)
				}
			}
			b.Assign(r, m.To)
		}
	}
	require.True(t, p.After.Equal(b.Build()))
}

func parse(t *testing.T, nodes string) *topology.Cluster {
	t.Helper()
	c, err := topology.ParseNodes(nodes, topology.Origin{})
	require.NoError(t, err)
	return c
}

func randomPlan(t *testing.T) Plan {
	t.Helper()
	rng := rand.New(rand.NewPCG(17, 18))
	c := randomPaper(rng, 12).cluster(t)
	p, err := Rebalance(c, RebalanceOptions{UseEmpty: true})
	require.NoError(t, err)
	require.NotEmpty(t, p.Moves)
	return p
}

// There are a thousand primaries. A hundred join and a hundred are drained. Meanwhile
// primaries fail at random and replicas take over.
func TestPlansAtScale(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand primaries")
	}
	rng := rand.New(rand.NewPCG(19, 20))
	type server struct {
		id, replica string
		gone        bool
	}
	next := 0
	id := func() string {
		next++
		return fmt.Sprintf("%08x%032x", rng.Uint32(), next)
	}
	var servers []*server
	add := func() *server {
		s := &server{id: id(), replica: id()}
		servers = append(servers, s)
		return s
	}
	var b slotmap.Builder[string]
	for i := range 1000 {
		first, last := i*hashslot.Count/1000, (i+1)*hashslot.Count/1000-1
		b.Assign(slotmap.Range{First: hashslot.Slot(first), Last: hashslot.Slot(last)}, add().id)
	}
	table := b.Build()
	// view is what the cluster looks like now, its lines in random order.
	view := func() *topology.Cluster {
		slots := map[string]*strings.Builder{}
		for _, s := range servers {
			slots[s.id] = new(strings.Builder)
		}
		for r, id := range table.Ranges() {
			slots[id].WriteString(" " + r.String())
		}
		var text strings.Builder
		for _, i := range rng.Perm(len(servers)) {
			s := servers[i]
			if !s.gone {
				fmt.Fprintf(&text, "%s 10.0.%d.%d:1@2 master - 0 0 %d connected%s\n", s.id, i/250, i%250, i+1, slots[s.id])
				if s.replica != "" {
					fmt.Fprintf(&text, "%s 10.1.%d.%d:1@2 slave %s 0 0 %d connected\n", s.replica, i/250, i%250, s.id, i+1)
				}
			}
		}
		return parse(t, text.String())
	}
	// fail loses some primaries, and has their replicas take over.
	fail := func() {
		c := view()
		var lost []string
		for _, i := range rng.Perm(len(servers))[:20] {
			if s := servers[i]; !s.gone && s.replica != "" {
				lost = append(lost, s.id)
			}
		}
		promotions, err := Promote(c, lost)
		require.NoError(t, err)
		var b slotmap.Builder[string]
		for r, id := range table.Ranges() {
			b.Assign(r, id)
		}
		for _, p := range promotions {
			i := slices.IndexFunc(servers, func(s *server) bool { return s.id == p.Lost })
			if p.Slots.IsEmpty() {
				require.Empty(t, p.Replica)
				continue
			}
			require.Equal(t, servers[i].replica, p.Replica)
			require.True(t, p.Automatic)
			for r := range p.Slots.Ranges() {
				b.Assign(r, p.Replica)
			}
			servers[i].id, servers[i].replica = p.Replica, ""
		}
		table = b.Build()
	}
	// carryOut carries out plans until there is nothing left to move. Between batches it
	// has nodes fail, and then plans anew.
	carryOut := func(plan func() (Plan, error)) (moved int) {
		for failures := 2; ; failures-- {
			p, err := plan()
			require.NoError(t, err)
			requireSound(t, view(), p)
			if len(p.Moves) == 0 {
				return moved
			}
			divided, err := p.Batches(4)
			require.NoError(t, err)
			batches := slices.Collect(divided)
			if failures > 0 {
				batches = batches[:(len(batches)+1)/2]
			}
			for _, batch := range batches {
				require.True(t, batch.Before.Equal(table))
				table = batch.After
				moved += batch.SlotCount()
			}
			if failures > 0 {
				fail()
			}
		}
	}

	for range 100 {
		add()
	}
	moved := carryOut(func() (Plan, error) { return Rebalance(view(), RebalanceOptions{UseEmpty: true}) })
	// 1000 nodes of 16 or 17 become 1100 of 14 or 15.
	require.Equal(t, 100*14, min(moved, 100*14))
	require.LessOrEqual(t, moved, 100*15)
	drained := servers[:100]
	had := 0
	for _, s := range drained {
		had += table.SlotsOf(s.id).Len()
	}
	moved = carryOut(func() (Plan, error) {
		var ids []string
		for _, s := range drained {
			ids = append(ids, s.id)
		}
		return Drain(view(), ids, DrainOptions{UseEmpty: true})
	})
	require.Equal(t, had, moved)
	for _, s := range drained {
		set := table.SlotsOf(s.id)
		require.True(t, set.IsEmpty())
		s.gone = true
	}
	least, most := hashslot.Count, 0
	for _, s := range servers[100:] {
		n := table.SlotsOf(s.id).Len()
		least, most = min(least, n), max(most, n)
	}
	t.Logf("%d ranges; from %d to %d slots a node", table.RangeCount(), least, most)
	require.LessOrEqual(t, most-least, 1)
}
