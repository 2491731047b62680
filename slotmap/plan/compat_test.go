package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

func TestCompatAllotGolden(t *testing.T) {
	lines(t, "create_alloc.tsv", func(line string) {
		count, ranges, _ := strings.Cut(line, "\t")
		n, err := strconv.Atoi(count)
		require.NoError(t, err)
		var got []string
		first := hashslot.Slot(0)
		for _, last := range compatAllot(n) {
			got = append(got, fmt.Sprintf("%d-%d", first, last))
			first = last + 1
		}
		require.Equal(t, ranges, strings.Join(got, ","), "%d primaries", n)
	})
}

func TestCompatReplicasGolden(t *testing.T) {
	lines(t, "create_placement.jsonl", func(line string) {
		g := unmarshal[placement](t, line)
		var hosts []string
		for _, a := range g.Addrs {
			hosts = append(hosts, a[:strings.LastIndexByte(a, ':')])
		}
		primaries, placed, _ := compatReplicas(hosts, g.Replicas)
		require.Len(t, primaries, len(g.Alloc))
		// The tool tells the additions pass by pass, so compare primary by primary.
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
		onPrimary, together := compatScore(hosts, primaries, placed)
		optimises := slices.Contains(g.Messages, ">>> Trying to optimize replicas allocation for anti-affinity")
		require.Equal(t, optimises, onPrimary+together > 0)
	})
}

func TestCompatRebalanceGolden(t *testing.T) {
	odd := 0
	lines(t, "rebalance.jsonl", func(line string) {
		g := unmarshal[rebalanceRun](t, line)
		opts := g.options()
		opts.Compat = true
		opts.Threshold = CompatThreshold
		if g.Threshold != nil {
			opts.Threshold = *g.Threshold
		}
		p, err := Rebalance(clusterOf(t, g.Order, g.Nodes), opts)
		require.NoError(t, err)
		require.Len(t, p.Moves, len(g.Migrateslots))
		for i, m := range p.Moves {
			want := g.Migrateslots[i]
			require.Equal(t, ids(g.Nodes)[want.Src], m.From)
			require.Equal(t, ids(g.Nodes)[want.Dst], m.To)
			require.Equal(t, slotmap.MustParseSet(strings.ReplaceAll(want.Ranges, ",", " ")), m.Slots)
			if announced := g.SimulateMoves[i][0]; announced != m.Slots.Len() {
				odd++
				require.Contains(t, p.Warnings, fmt.Sprintf("from %s to %s the tool announces %d slots and moves %d", m.From, m.To, announced, m.Slots.Len()))
			}
		}
		// The order can be given as well.
		slices.Reverse(g.Nodes)
		opts.Order = g.Order
		again, err := Rebalance(clusterOf(t, sorted(g.Order), g.Nodes), opts)
		require.NoError(t, err)
		require.True(t, slices.Equal(p.Moves, again.Moves))
	})
	require.Positive(t, odd, "the samples should have moves of one slot too many")
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

func TestCompatReshardGolden(t *testing.T) {
	lines(t, "reshard.jsonl", func(line string) {
		g := unmarshal[reshardRun](t, line)
		p, err := Reshard(clusterOf(t, g.Order, g.Nodes), g.from(), ids(g.Nodes)[g.To], g.Slots, Options{Compat: true})
		require.NoError(t, err)
		require.Len(t, p.Moves, len(g.Plan))
		for i, m := range p.Moves {
			require.Equal(t, ids(g.Nodes)[g.Plan[i].Src], m.From)
			require.Equal(t, ids(g.Nodes)[g.To], m.To)
			require.Equal(t, slotmap.MustParseSet(strings.ReplaceAll(g.Plan[i].Ranges, ",", " ")), m.Slots)
		}
	})
}

// The tool's endless loop: two equal nodes with weights whose truncated shares
// leave a remainder for which nobody is below its share.
func TestCompatEndless(t *testing.T) {
	c := parse(t, "a 127.0.0.1:1@2 myself,master - 0 0 1 connected 0-8191\nb 127.0.0.1:3@4 master - 0 0 2 connected 8192-16383\n")
	opts := Options{Compat: true, Weights: []Weight{{"a", 0.21}, {"b", 0.21}}, Threshold: 0.001}
	_, err := Rebalance(c, opts)
	require.ErrorIs(t, err, ErrEndless)
	opts.Threshold = CompatThreshold
	p, err := Rebalance(c, opts)
	require.NoError(t, err)
	require.Empty(t, p.Moves)
}
