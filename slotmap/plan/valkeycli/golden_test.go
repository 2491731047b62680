package valkeycli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/hashtest"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
)

func TestAllotGolden(t *testing.T) {
	lines(t, "create_alloc.tsv", func(line string) {
		count, ranges, _ := strings.Cut(line, "\t")
		n, err := strconv.Atoi(count)
		require.NoError(t, err)
		var got []string
		first := hashslot.Slot(0)
		for _, last := range allot(n) {
			got = append(got, fmt.Sprintf("%d-%d", first, last))
			first = last + 1
		}
		require.Equal(t, ranges, strings.Join(got, ","), "%d primaries", n)
	})
}

func TestReplicasGolden(t *testing.T) {
	lines(t, "create_placement.jsonl", func(line string) {
		g := unmarshal[placement](t, line)
		var hosts []string
		for _, a := range g.Addrs {
			hosts = append(hosts, a[:strings.LastIndexByte(a, ':')])
		}
		primaries, placed, _ := placeReplicas(hosts, g.Replicas)
		require.Len(t, primaries, len(g.Alloc))
		// The tool lists the additions pass by pass, so compare primary by primary.
		want := map[string][]string{}
		for _, a := range g.Adding {
			want[a.Primary] = append(want[a.Primary], a.Replica)
		}
		got := map[string][]string{}
		for i, p := range primaries {
			for _, r := range placed[i] {
				got[g.Addrs[p]] = append(got[g.Addrs[p]], g.Addrs[r])
			}
		}
		require.Equal(t, want, got)
		optimises := slices.Contains(g.Messages, ">>> Trying to optimize replicas allocation for anti-affinity")
		require.Equal(t, optimises, sharesHost(hosts, primaries, placed))
	})
}

func TestRebalanceGolden(t *testing.T) {
	odd := 0
	lines(t, "rebalance.jsonl", func(line string) {
		g := unmarshal[rebalanceRun](t, line)
		opts := g.options()
		run, err := Rebalance(clusterOf(t, g.Order, g.Nodes), ToolValkey91, opts)
		require.NoError(t, err)
		p := run.Plan
		require.Len(t, run.Announced, len(p.Moves))
		require.Len(t, p.Moves, len(g.Migrateslots))
		for i, m := range p.Moves {
			want := g.Migrateslots[i]
			require.Equal(t, ids(g.Nodes)[want.Src], m.From)
			require.Equal(t, ids(g.Nodes)[want.Dst], m.To)
			require.Equal(t, slotmap.MustParseSet(strings.ReplaceAll(want.Ranges, ",", " ")), m.Slots)
			require.Equal(t, g.SimulateMoves[i][0], run.Announced[i])
			if announced := run.Announced[i]; announced != m.Slots.Len() {
				odd++
				require.Contains(t, p.Warnings, fmt.Sprintf("from %s to %s the tool announces %d slots and moves %d", m.From, m.To, announced, m.Slots.Len()))
			}
		}
		// The order can also be given in the options.
		slices.Reverse(g.Nodes)
		opts.Order = g.Order
		again, err := Rebalance(clusterOf(t, sorted(g.Order), g.Nodes), ToolValkey91, opts)
		require.NoError(t, err)
		require.True(t, slices.Equal(p.Moves, again.Plan.Moves))
		// The older tools move what they announce.
		old, err := Rebalance(clusterOf(t, g.Order, g.Nodes), ToolRedis86, g.options())
		require.NoError(t, err)
		require.Equal(t, run.Announced, old.Announced)
		for i, m := range old.Plan.Moves {
			require.Equal(t, old.Announced[i], m.Slots.Len())
		}
	})
	require.Positive(t, odd, "the samples should have moves of one slot too many")
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

func TestReshardGolden(t *testing.T) {
	lines(t, "reshard.jsonl", func(line string) {
		g := unmarshal[reshardRun](t, line)
		run, err := Reshard(clusterOf(t, g.Order, g.Nodes), ToolValkey91, nil, g.from(), ids(g.Nodes)[g.To], g.Slots)
		require.NoError(t, err)
		p := run.Plan
		require.Len(t, p.Moves, len(g.Plan))
		for i, m := range p.Moves {
			require.Equal(t, ids(g.Nodes)[g.Plan[i].Src], m.From)
			require.Equal(t, ids(g.Nodes)[g.To], m.To)
			require.Equal(t, slotmap.MustParseSet(strings.ReplaceAll(g.Plan[i].Ranges, ",", " ")), m.Slots)
		}
	})
}

// Every tool against its own recorded runs: what it announces with --cluster-simulate,
// and which slots it moves from which node to which.
func TestToolGoldens(t *testing.T) {
	for tool := range Tool(len(toolNames)) {
		runs, moves, more := 0, 0, 0
		lines(t, "tools/"+tool.String()+".jsonl", func(line string) {
			g := unmarshal[toolRun](t, line)
			announced, moved := g.does(t, tool)
			require.Equal(t, g.Announced, announced, "%v: %s", tool, line)
			require.Equal(t, g.Moved, moved, "%v: %s", tool, line)
			runs++
			moves += len(moved)
			another := ToolValkey91
			if tool == another {
				another = ToolValkey80
			}
			if _, other := g.does(t, another); !slices.Equal(other, moved) {
				more++
			}
		})
		t.Logf("%v: %d runs, %d moves; in %d runs versions differ", tool, runs, moves, more)
		require.Positive(t, more, "runs in which one slot more makes a difference")
	}
}

// The tool's endless loop: the truncated shares of two equal nodes leave a remainder, and
// neither node is below its share to receive it.
func TestEndless(t *testing.T) {
	c := parse(t, "a 127.0.0.1:1@2 myself,master - 0 0 1 connected 0-8191\nb 127.0.0.1:3@4 master - 0 0 2 connected 8192-16383\n")
	opts := RebalanceOptions{Weights: []plan.Weight{{ID: "a", Weight: 0.21}, {ID: "b", Weight: 0.21}}, Threshold: 0.001}
	_, err := Rebalance(c, ToolValkey91, opts)
	require.ErrorIs(t, err, ErrEndless)
	require.EqualError(t, err, "plan: valkey-cli would never finish: every node has more slots than its rounded-down share, so no node can receive the remainder")
	opts.Threshold = DefaultThreshold
	run, err := Rebalance(c, ToolValkey91, opts)
	require.NoError(t, err)
	require.Empty(t, run.Plan.Moves)
}

// Moves of one slot too many leave a source with nothing for the last move that the tool
// announces. A plan has no move without slots.
func TestSourceThatRunsOut(t *testing.T) {
	var nodes []topology.Node
	for i, slots := range []string{"", "4084-6277", "488-3678 6423-16383", "0-487 3679-4083", "", "6278-6422"} {
		n := topology.Node{ID: string(rune('a' + i)), IP: "10.0.0.1", Port: 7000 + i, Role: topology.RolePrimary}
		n.Slots = slices.Collect(slotmap.MustParseSet(slots).Ranges())
		nodes = append(nodes, n)
	}
	c, err := topology.NewCluster(nodes)
	require.NoError(t, err)
	opts := RebalanceOptions{UseEmpty: true, Threshold: 2, Weights: []plan.Weight{
		{ID: "b", Weight: 9.525e9}, {ID: "c", Weight: 8.689924427158735}, {ID: "d", Weight: 5.5469e9}, {ID: "e", Weight: 5.1471e9}, {ID: "f", Weight: 6.677e8},
	}}
	run, err := Rebalance(c, ToolValkey91, opts)
	require.NoError(t, err)
	require.Len(t, run.Announced, len(run.Plan.Moves))
	require.Contains(t, run.Plan.Warnings, "from c to a the tool announces 1 slots and moves 0")
	for _, m := range run.Plan.Moves {
		require.False(t, m.Slots.IsEmpty(), "from %s to %s", m.From, m.To)
	}
}

func TestCreateGolden(t *testing.T) {
	lines(t, "create_placement.jsonl", func(line string) {
		g := unmarshal[placement](t, line)
		l, _, err := Create(ToolValkey91, hostsOf(g.Addrs...), g.Replicas)
		require.NoError(t, err)
		require.Len(t, l.Shards, len(g.Alloc))
		placed := map[[2]string]bool{}
		for i, s := range l.Shards {
			require.Equal(t, fmt.Sprintf("%d-%d", g.Alloc[i][1], g.Alloc[i][2]), s.Slots.String())
			for _, r := range s.Replicas {
				placed[[2]string{r.Addr, s.Primary.Addr}] = true
			}
		}
		require.Len(t, placed, len(g.Adding))
		for _, a := range g.Adding {
			require.True(t, placed[[2]string{a.Replica, a.Primary}])
		}
	})
	// The tool makes one pass over the hosts left over, so the second of them gets no role.
	l, unused, err := Create(ToolValkey91, hostsOf("a:1", "b:1", "c:1", "d:1", "e:1"), 2)
	require.NoError(t, err)
	require.Len(t, l.Shards[0].Replicas, 3)
	require.Equal(t, hostsOf("b:1"), unused)
	require.Contains(t, l.Warnings, "b:1 is left without a role: it becomes a primary without slots")
	require.NotContains(t, l.Warnings, exchanges)
	_, _, err = Create(ToolValkey91, hostsOf("a:1"), 1)
	require.EqualError(t, err, "plan: hosts: a shard with 1 replicas needs 2 hosts, not 1")
}

const exchanges = "the tool goes on to exchange replicas at random, to keep those of a primary on different hosts: which ones cannot be told"

// The tool exchanges replicas if one is on the host of its primary, or two of one primary are
// on one host.
func TestCreateExchanges(t *testing.T) {
	for _, hosts := range [][]string{{"a:1", "a:2"}, {"a:1", "b:1", "b:2"}} {
		l, _, err := Create(ToolValkey91, hostsOf(hosts...), len(hosts)-1)
		require.NoError(t, err)
		require.Contains(t, l.Warnings, exchanges, "%s", hosts)
	}
}

// Where 32-bit floats add up to more or less than all slots, the last primary still ends at
// the last slot.
func TestAllotManyPrimaries(t *testing.T) {
	for _, n := range []int{2136, 2241, hashslot.Count} {
		lasts := allot(n)
		require.Len(t, lasts, n)
		require.EqualValues(t, 16383, lasts[n-1], "%d primaries", n)
	}
}

// What --cluster rebalance moves, by its threshold in percent: a node with slots is compared
// with its share, and one without is off if it should have more than one slot.
func TestThreshold(t *testing.T) {
	two := []string{"0-12287", "12288-16383"} // shares of 8192: 33 and 100 percent off
	for _, tc := range []struct {
		slots     []string
		weights   []float64
		threshold float64
		moved     int
	}{
		{two, []float64{1, 1}, 100, 0},
		{two, []float64{1, 1}, 99.5, 4096},
		{[]string{"0-16383", ""}, []float64{1, 1}, 101, 8192},
		{[]string{"0-16383", ""}, []float64{16383, 1}, DefaultThreshold, 0},
		{[]string{"0-16383", ""}, []float64{16382, 2}, DefaultThreshold, 2},
		{[]string{"0-16382", "16383"}, []float64{1, 0}, DefaultThreshold, 1},
		{[]string{"0-16381", "16382-16383"}, []float64{16383, 1}, 49, 1},
		{[]string{"0-16381", "16382-16383"}, []float64{16383, 1}, 50, 0},
		{[]string{"0-8331", "8332-16383"}, []float64{1, 1}, DefaultThreshold, 0},   // 1.7 percent off
		{[]string{"0-8397", "8398-16383"}, []float64{1, 1}, DefaultThreshold, 206}, // 2.6
		{two, []float64{1, 1}, math.MaxFloat64, 0},
	} {
		var nodes []topology.Node
		opts := RebalanceOptions{UseEmpty: true, Threshold: tc.threshold}
		for i, slots := range tc.slots {
			id := string(rune('a' + i))
			nodes = append(nodes, primary(id, slots))
			opts.Weights = append(opts.Weights, plan.Weight{ID: id, Weight: tc.weights[i]})
		}
		c, err := topology.NewCluster(nodes)
		require.NoError(t, err)
		run, err := Rebalance(c, ToolValkey91, opts)
		require.NoError(t, err)
		require.Equal(t, tc.moved, run.Plan.SlotCount(), "%+v", tc)
	}
}

// With a threshold of 0 or less the tool moves nothing.
func TestThresholdOfNothing(t *testing.T) {
	c, err := topology.NewCluster([]topology.Node{primary("a", "0-16383"), primary("b", "")})
	require.NoError(t, err)
	for threshold, warned := range map[float64]bool{-1: true, 0: true, 1: false} {
		run, err := Rebalance(c, ToolValkey91, RebalanceOptions{UseEmpty: true, Threshold: threshold})
		require.NoError(t, err)
		require.Equal(t, warned, len(run.Plan.Moves) == 0)
		require.Equal(t, warned, slices.Contains(run.Plan.Warnings, "with a threshold of 0 or less the tool never moves anything"))
	}
}

func primary(id, slots string) topology.Node {
	return topology.Node{
		ID: id, IP: "10.0.0.1", Port: 7000 + int(id[0]), Role: topology.RolePrimary,
		Slots: slices.Collect(slotmap.MustParseSet(slots).Ranges()),
	}
}

// A reshard from sources whose parts are 7.0000005 slots each: the first gives 8, the others
// 7, and a tool that moves what it announces takes one less from the last.
func TestReshardRoundsUp(t *testing.T) {
	c, err := topology.NewCluster([]topology.Node{
		primary("a", "0-12"), primary("b", "13-25"), primary("c", "26-38"), primary("d", "40-16383"), primary("e", "39"), primary("f", ""),
	})
	require.NoError(t, err)
	for tool, last := range map[Tool]int{ToolValkey91: 7, ToolValkey80: 6} {
		run, err := Reshard(c, tool, nil, []string{"a", "b", "c"}, "d", 21)
		require.NoError(t, err)
		require.Equal(t, []int{8, 7, last}, run.Announced)
		var warnings []string
		if last == 7 {
			warnings = []string{"the tool moves 22 slots, not 21, because it rounds 32-bit floats"}
		}
		require.Equal(t, warnings, run.Plan.Warnings)
		// Of more slots than there are, it moves all.
		for _, asked := range []int{39, 40, hashslot.Count} {
			run, err = Reshard(c, tool, nil, []string{"a", "b", "c"}, "d", asked)
			require.NoError(t, err)
			require.Equal(t, []int{13, 13, 13}, run.Announced)
			warning := fmt.Sprintf("the tool moves 39 slots, not %d: the sources have no more", asked)
			require.Equal(t, asked > 39, slices.Contains(run.Plan.Warnings, warning))
			require.Len(t, run.Plan.Warnings, 3+min(1, asked-39), "the sources lose their last slots")
		}
		run, err = Reshard(c, tool, nil, []string{"e"}, "d", 1)
		require.NoError(t, err)
		require.Equal(t, "39", run.Plan.Moves[0].Slots.String())
		_, err = Reshard(c, tool, nil, []string{"f"}, "d", 100)
		require.EqualError(t, err, "plan: from: the sources have no slot to give")
	}
}

// Where the rounded shares are more than there are slots, the last receiver gets fewer.
func TestMoreSharesThanSlots(t *testing.T) {
	a, b := &node{id: "a", balance: -5}, &node{id: "b", balance: 3, count: 3}
	b.slots.AddRange(slotmap.Range{First: 7, Last: 9})
	require.Equal(t, []move{{from: "b", to: "a", announced: 3, slots: []hashslot.Slot{7, 8, 9}}}, movesOf([]*node{a, b}, true))
}

// The nodes of a plan have the tool's order, and their weights. A weight is that of the first
// node whose id begins with its own, of those that the tool lists. The asked node is the first.
func TestNodesOfThePlan(t *testing.T) {
	c := parse(t, "ab0 h:1@2 handshake - 0 0 0 connected\nab h:2@3 master - 0 0 1 connected 0-8191\nabc h:3@4 slave ab 0 0 1 connected\n"+
		"ac h:4@5 master - 0 0 2 connected 8192-16382\nad h:5@6 myself,master - 0 0 3 connected 16383\n")
	run, err := Rebalance(c, ToolValkey91, RebalanceOptions{Threshold: 50, Weights: []plan.Weight{{ID: "AB", Weight: 2}, {ID: "abc", Weight: 7}, {ID: "a", Weight: 0}}})
	require.NoError(t, err)
	var nodes []string
	for _, n := range run.Plan.Nodes {
		nodes = append(nodes, fmt.Sprint(n.ID, " ", n.Weight))
	}
	require.Equal(t, []string{"ad 0", "ab 2", "ac 1"}, nodes)
	require.Len(t, run.Plan.Moves, 2)
	// A weight of 0 is one that nobody else has to have.
	_, err = Rebalance(c, ToolValkey91, RebalanceOptions{Threshold: 2, Weights: []plan.Weight{{ID: "ab", Weight: 0}, {ID: "ac", Weight: 0}}})
	require.NoError(t, err)
}

func hostsOf(addrs ...string) []plan.Host {
	var hosts []plan.Host
	for _, a := range addrs {
		hosts = append(hosts, plan.Host{Addr: a})
	}
	return hosts
}

// Package plan against the tool, on the tool's own runs. Its shares are exact, and it
// moves no more slots than the tool wherever the tool's shares are exact too. It leaves
// fewer ranges in all runs but three, in which no plan can.
func TestPlanBeatsTheTool(t *testing.T) {
	plans, fewer, rangesHere, rangesThere := 0, 0, 0, 0
	some(t, "rebalance.jsonl", func(line string) {
		g := unmarshal[rebalanceRun](t, line)
		c := clusterOf(t, g.Order, g.Nodes)
		opts := g.options()
		p, err := plan.Rebalance(c, plan.RebalanceOptions{Weights: opts.Weights, UseEmpty: opts.UseEmpty})
		require.NoError(t, err)
		require.True(t, exact(p, opts))
		run, err := Rebalance(c, ToolValkey91, opts)
		require.NoError(t, err)
		tool := run.Plan
		if exact(tool, opts) {
			require.LessOrEqual(t, p.SlotCount(), tool.SlotCount())
		}
		if len(tool.Moves) > 0 {
			plans++
			n, m := p.After.RangeCount(), tool.After.RangeCount()
			require.LessOrEqual(t, n, m)
			if n < m {
				fewer++
			}
			rangesHere += n
			rangesThere += m
		}
	})
	t.Logf("strictly fewer ranges in %d of %d plans; %d ranges in all, tool %d", fewer, plans, rangesHere, rangesThere)
	require.GreaterOrEqual(t, fewer, plans-3)

	asked, rangesHere, rangesThere := 0, 0, 0
	some(t, "reshard.jsonl", func(line string) {
		g := unmarshal[reshardRun](t, line)
		c := clusterOf(t, g.Order, g.Nodes)
		p, err := plan.Reshard(c, g.from(), ids(g.Nodes)[g.To], g.Slots)
		var tooMany *plan.InputError
		if errors.As(err, &tooMany) {
			require.Equal(t, "slots", tooMany.Field) // the tool moves what there is
			return
		}
		require.NoError(t, err)
		require.Equal(t, g.Slots, p.SlotCount())
		run, err := Reshard(c, ToolValkey91, nil, g.from(), ids(g.Nodes)[g.To], g.Slots)
		require.NoError(t, err)
		tool := run.Plan
		if tool.SlotCount() == g.Slots {
			asked++
			require.LessOrEqual(t, p.After.RangeCount(), tool.After.RangeCount())
		}
		rangesHere += p.After.RangeCount()
		rangesThere += tool.After.RangeCount()
	})
	t.Logf("the tool moved what was asked %d times; %d ranges in all, tool %d", asked, rangesHere, rangesThere)
	require.Less(t, rangesHere, rangesThere)
}

// exact reports whether every node that takes part ends with its share, rounded
// down or up.
func exact(p plan.Plan, opts RebalanceOptions) bool {
	weight := func(id string) float64 {
		for _, w := range opts.Weights {
			if strings.HasPrefix(id, w.ID) {
				return w.Weight
			}
		}
		return 1
	}
	sum := 0.0
	var ids []string
	for _, n := range p.Nodes {
		if opts.UseEmpty || p.Before.SlotsOf(n.ID).Len() > 0 {
			ids = append(ids, n.ID)
			sum += weight(n.ID)
		}
	}
	for _, id := range ids {
		if math.Abs(float64(p.After.SlotsOf(id).Len())-hashslot.Count*weight(id)/sum) > 1-1e-6 {
			return false
		}
	}
	return true
}

func TestTools(t *testing.T) {
	for _, tool := range []Tool{ToolValkey91, ToolValkey80, ToolRedis70, ToolRedis86} {
		got, err := ParseTool(tool.String())
		require.NoError(t, err)
		require.Equal(t, tool, got)
		_, _, err = Create(tool, hostsOf("a:1", "b:1"), 0)
		if tool == ToolValkey91 {
			require.NoError(t, err)
		} else {
			require.EqualError(t, err, "plan: hosts: "+tool.String()+" creates no fewer than 3 primaries, and these hosts make 2")
			_, _, err = Create(tool, hostsOf("a:1", "b:1", "c:1", "d:1", "e:1"), 1)
			require.EqualError(t, err, "plan: hosts: "+tool.String()+" creates no fewer than 3 primaries, and these hosts make 2")
		}
		_, _, err = Create(tool, hostsOf("a:1", "b:1", "c:1"), 0)
		require.NoError(t, err)
	}
	none, err := ParseTool("redis-5")
	require.Zero(t, none)
	require.EqualError(t, err, `plan: tool "redis-5": must be one of valkey-9.1, valkey-8.0, redis-7.0, redis-8.6`)
	require.Equal(t, "tool 9", Tool(9).String())
	require.Equal(t, "tool 4", Tool(4).String(), "the first without a name")
}

func TestInputErrors(t *testing.T) {
	c := parse(t, "aa h:1@2 myself,master - 0 0 1 connected 0-8191\nab h:2@3 master - 0 0 2 connected 8192-16383\n")
	rebalance := func(opts RebalanceOptions) error {
		_, err := Rebalance(c, ToolValkey91, opts)
		return err
	}
	for want, err := range map[string]error{
		`plan: Weights: all weights are 0: no node is left to own the slots`: rebalance(RebalanceOptions{Weights: []plan.Weight{{ID: "aa"}, {ID: "ab"}}}),
		`plan: Weights: the weights exceed the tool's 32-bit arithmetic`:     rebalance(RebalanceOptions{Threshold: 2, Weights: []plan.Weight{{ID: "aa", Weight: math.MaxFloat64}}}),
		`plan: Weights[0] "zz": no node id begins with this`:                 rebalance(RebalanceOptions{Weights: []plan.Weight{{ID: "zz"}}}),
		`plan: Weights[0]: the node id is missing`:                           rebalance(RebalanceOptions{Weights: []plan.Weight{{}}}),
		`plan: Weights[0] "-1": must be a number of at least 0`:              rebalance(RebalanceOptions{Weights: []plan.Weight{{ID: "aa", Weight: -1}}}),
		`plan: Weights[0] "+Inf": must be a number of at least 0`:            rebalance(RebalanceOptions{Weights: []plan.Weight{{ID: "aa", Weight: math.Inf(1)}}}),
		`plan: Weights[0] "NaN": must be a number of at least 0`:             rebalance(RebalanceOptions{Weights: []plan.Weight{{ID: "aa", Weight: math.NaN()}}}),
		`plan: Weights[0] "-0.5": must be a number of at least 0`:            rebalance(RebalanceOptions{Weights: []plan.Weight{{ID: "aa", Weight: -0.5}}}),
		`plan: Threshold "NaN": must be a finite percentage`:                 rebalance(RebalanceOptions{Threshold: math.NaN()}),
		`plan: Threshold "+Inf": must be a finite percentage`:                rebalance(RebalanceOptions{Threshold: math.Inf(1)}),
		`plan: Threshold "-Inf": must be a finite percentage`:                rebalance(RebalanceOptions{Threshold: math.Inf(-1)}),
		`plan: Order: primary ab is missing`:                                 rebalance(RebalanceOptions{Order: Order{"aa"}}),
		`plan: Order[1] "zz": no node has this id`:                           rebalance(RebalanceOptions{Order: Order{"aa", "zz"}}),
		`plan: Order[1] "aa": is named twice`:                                rebalance(RebalanceOptions{Order: Order{"aa", "aa"}}),
		`plan: tool "tool 9": is unknown`:                                    second(Rebalance(c, 9, RebalanceOptions{})),
		`plan: tool "tool 4": is unknown`:                                    second(Reshard(c, 4, nil, nil, "aa", 1)),
		`plan: slots "0": must be from 1 to 16384`:                           second(Reshard(c, ToolValkey91, nil, nil, "aa", 0)),
		`plan: slots "16385": must be from 1 to 16384`:                       second(Reshard(c, ToolValkey91, nil, nil, "aa", 16385)),
		`plan: to "zz": no node has this id`:                                 second(Reshard(c, ToolValkey91, nil, nil, "zz", 5)),
		`plan: from[0] "aa": is the target`:                                  second(Reshard(c, ToolValkey91, nil, []string{"aa"}, "aa", 5)),
		`plan: Cluster: is nil`:                                              second(Rebalance(nil, ToolValkey91, RebalanceOptions{})),
	} {
		var input *plan.InputError
		require.ErrorAs(t, err, &input, want)
		require.EqualError(t, err, want)
	}
	many := make([]plan.Host, 7543)
	for i := range many {
		many[i].Addr = fmt.Sprintf("h:%d", i+1)
	}
	_, _, err := Create(ToolValkey91, many[:7542], 0)
	require.EqualError(t, err, `plan: hosts: with 7542 primaries the tool's rounding exceeds slot 16383`)
}

func second(_ Run, err error) error { return err }

// lines calls f with each line of a golden file.
func lines(t *testing.T, name string, f func(line string)) {
	t.Helper()
	file, err := os.Open(hashtest.Data(t, "../../..", "plan/"+name))
	require.NoError(t, err)
	defer file.Close()
	sc := bufio.NewScanner(file)
	sc.Buffer(nil, 1<<20)
	n := 0
	for sc.Scan() {
		if !strings.HasPrefix(sc.Text(), "#") {
			n++
			f(sc.Text())
		}
	}
	require.NoError(t, sc.Err())
	require.Positive(t, n)
}

// some is lines, or one line in four with -short.
func some(t *testing.T, name string, f func(line string)) {
	t.Helper()
	n := 0
	lines(t, name, func(line string) {
		if n++; n%10 == 1 || !testing.Short() {
			f(line)
		}
	})
}

func unmarshal[T any](t *testing.T, line string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(line), &v))
	return v
}

// A goldenNode is a node in rebalance.jsonl and reshard.jsonl.
type goldenNode struct {
	ID        string
	Port      int
	Slots     string
	ReplicaOf *string `json:"replica_of"`
}

// clusterOf returns the cluster that the tool saw, in the tool's order, from CLUSTER NODES
// of the first node of that order.
func clusterOf(t *testing.T, order []string, nodes []goldenNode) *topology.Cluster {
	t.Helper()
	var text strings.Builder
	for i, id := range order {
		for _, n := range nodes {
			if n.ID != id {
				continue
			}
			role, primary := "master", "-"
			if n.ReplicaOf != nil {
				role, primary = "slave", *n.ReplicaOf
			}
			if i == 0 {
				role = "myself," + role
			}
			fmt.Fprintf(&text, "%s 127.0.0.1:%d@%d %s %s 0 0 %d connected %s\n",
				id, n.Port, n.Port+10000, role, primary, i+1, strings.ReplaceAll(n.Slots, ",", " "))
		}
	}
	return parse(t, text.String())
}

func parse(t *testing.T, nodes string) *topology.Cluster {
	t.Helper()
	c, err := topology.ParseNodes(nodes, topology.Origin{})
	require.NoError(t, err)
	return c
}

// A rebalanceRun is one run of valkey-cli --cluster rebalance.
type rebalanceRun struct {
	Order         []string
	Nodes         []goldenNode
	Weights       [][2]any
	UseEmpty      bool `json:"use_empty"`
	Threshold     *float64
	SimulateMoves [][3]int `json:"simulate_moves"`
	Migrateslots  []struct {
		Src, Dst int
		Ranges   string
	}
}

func (g *rebalanceRun) options() RebalanceOptions {
	opts := RebalanceOptions{UseEmpty: g.UseEmpty, Threshold: DefaultThreshold}
	if g.Threshold != nil {
		opts.Threshold = *g.Threshold
	}
	for _, w := range g.Weights {
		opts.Weights = append(opts.Weights, plan.Weight{ID: w[0].(string), Weight: w[1].(float64)})
	}
	return opts
}

// ids maps ports to node ids.
func ids(nodes []goldenNode) map[int]string {
	m := map[int]string{}
	for _, n := range nodes {
		m[n.Port] = n.ID
	}
	return m
}

// A reshardRun is one run of valkey-cli --cluster reshard.
type reshardRun struct {
	Order   []string
	Nodes   []goldenNode
	To      int
	Sources any // "all" or ports
	Slots   int
	Plan    []struct {
		Src    int
		Ranges string
	}
}

func (g *reshardRun) from() []string {
	list, ok := g.Sources.([]any)
	if !ok {
		return nil
	}
	var from []string
	for _, p := range list {
		from = append(from, ids(g.Nodes)[int(p.(float64))])
	}
	return from
}

// A placement is one run of valkey-cli --cluster create.
type placement struct {
	Addrs    []string
	Replicas int
	Alloc    [][3]int
	Adding   []struct{ Replica, Primary string }
	Messages []string
}

// A toolRun is one run of a tool's --cluster rebalance or --cluster reshard, recorded
// by TestTools of interop. Nodes are named a, b, ... in the tool's order.
type toolRun struct {
	Nodes     []string // slots, or "replica of a"
	Weights   map[string]float64
	UseEmpty  bool     `json:"use_empty"`
	Threshold *float64 // nil: not given
	Announced []string // "4684 a b" by --cluster-simulate
	To        string   // "" is a rebalance
	From      []string // nil: all
	Slots     int
	Moved     []string // "a b 0-4684", sorted
}

func (g *toolRun) cluster(t *testing.T) *topology.Cluster {
	t.Helper()
	var text strings.Builder
	for i, slots := range g.Nodes {
		role := "master -"
		if primary, ok := strings.CutPrefix(slots, "replica of "); ok {
			role, slots = "slave "+primary, ""
		}
		if i == 0 {
			role = "myself," + role
		}
		fmt.Fprintf(&text, "%c 127.0.0.1:%d@%d %s 0 0 %d connected %s\n", 'a'+i, i+1, i+10001, role, i+1, slots)
	}
	return parse(t, text.String())
}

// does returns the result of the package for the run.
func (g *toolRun) does(t *testing.T, tool Tool) (announced, moved []string) {
	t.Helper()
	var run Run
	var err error
	if g.To != "" {
		run, err = Reshard(g.cluster(t), tool, nil, g.From, g.To, g.Slots)
	} else {
		opts := RebalanceOptions{UseEmpty: g.UseEmpty, Threshold: DefaultThreshold}
		if g.Threshold != nil {
			opts.Threshold = *g.Threshold
		}
		for id, w := range g.Weights {
			opts.Weights = append(opts.Weights, plan.Weight{ID: id, Weight: w})
		}
		run, err = Rebalance(g.cluster(t), tool, opts)
	}
	require.NoError(t, err)
	moved = []string{}
	for i, m := range run.Plan.Moves {
		moved = append(moved, fmt.Sprintf("%s %s %s", m.From, m.To, m.Slots))
		if g.To == "" {
			announced = append(announced, fmt.Sprintf("%d %s %s", run.Announced[i], m.From, m.To))
		}
	}
	return announced, sorted(moved)
}

// A view of many nodes takes memory in proportion to them: some 2 KiB for each.
func TestMemoryOfManyNodes(t *testing.T) {
	const nodes = 2000
	var b strings.Builder
	for i := range nodes {
		fmt.Fprintf(&b, "%040d 10.0.%d.%d:1@2 master - 0 0 %d connected\n", i, i>>8, i&255, i)
	}
	c, err := topology.ParseNodes("a 10.1.0.0:1@2 master - 0 0 1 connected 0-16383\n"+b.String(), topology.Origin{})
	require.NoError(t, err)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = newState(c, ToolValkey91, nil)
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(nodes*8<<10))
}
