package plan

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// lines calls f with each line of a golden file.
func lines(t *testing.T, name string, f func(line string)) {
	t.Helper()
	file, err := os.Open("testdata/" + name)
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

func unmarshal[T any](t *testing.T, line string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(line), &v))
	return v
}

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

// A placement is one whole run of valkey-cli --cluster create.
type placement struct {
	Addrs    []string
	Replicas int
	Alloc    [][3]int
	Adding   []struct{ Replica, Primary string }
	Messages []string
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

// A rebalanceRun is one run of valkey-cli --cluster rebalance.
type rebalanceRun struct {
	Order []string
	Nodes []struct {
		ID        string
		Port      int
		Slots     string
		ReplicaOf *string `json:"replica_of"`
	}
	Weights       [][2]any
	UseEmpty      bool `json:"use_empty"`
	Threshold     *float64
	Messages      []string
	SimulateMoves [][3]int `json:"simulate_moves"`
	Migrateslots  []struct {
		Src, Dst int
		Ranges   string
	}
}

func (g *rebalanceRun) involved(t *testing.T) []*toolNode {
	var nodes []*toolNode
	for _, id := range g.Order {
		for _, n := range g.Nodes {
			set, err := slotmap.ParseSet(strings.ReplaceAll(n.Slots, ",", " "))
			require.NoError(t, err)
			if n.ID != id || n.ReplicaOf != nil || set.IsEmpty() && !g.UseEmpty {
				continue
			}
			tn := &toolNode{owner: int32(n.Port), slots: make([]bool, hashslot.Count), count: set.Len(), weight: 1}
			for s := range set.Slots() {
				tn.slots[s] = true
			}
			for _, w := range g.Weights {
				if strings.HasPrefix(id, w[0].(string)) {
					tn.weight = float32(w[1].(float64))
				}
			}
			nodes = append(nodes, tn)
		}
	}
	return nodes
}

func TestCompatRebalanceGolden(t *testing.T) {
	odd := 0
	lines(t, "rebalance.jsonl", func(line string) {
		g := unmarshal[rebalanceRun](t, line)
		threshold := float32(2)
		if g.Threshold != nil {
			threshold = float32(*g.Threshold)
		}
		moves, err := compatRebalance(g.involved(t), threshold)
		require.NoError(t, err)
		require.Len(t, moves, len(g.SimulateMoves))
		for i, m := range moves {
			require.Equal(t, g.SimulateMoves[i], [3]int{m.announced, int(m.from), int(m.to)})
			want := g.Migrateslots[i]
			require.Equal(t, [2]int{want.Src, want.Dst}, [2]int{int(m.from), int(m.to)})
			require.Equal(t, want.Ranges, setOf(m.slots).String())
			if len(m.slots) != m.announced {
				odd++
			}
		}
	})
	require.Positive(t, odd, "the samples should have moves of one slot too many")
}

type reshardRun struct {
	Order []string
	Nodes []struct {
		ID    string
		Port  int
		Slots string
	}
	To      int
	Sources any
	Slots   int
	Plan    []struct {
		Src    int
		Ranges string
	}
}

func TestCompatReshardGolden(t *testing.T) {
	lines(t, "reshard.jsonl", func(line string) {
		g := unmarshal[reshardRun](t, line)
		nodes := map[int]*toolNode{}
		var all []int
		for _, id := range g.Order {
			for _, n := range g.Nodes {
				if n.ID == id {
					set := slotmap.MustParseSet(n.Slots)
					tn := &toolNode{owner: int32(n.Port), slots: make([]bool, hashslot.Count), count: set.Len()}
					for s := range set.Slots() {
						tn.slots[s] = true
					}
					nodes[n.Port] = tn
					if n.Port != g.To {
						all = append(all, n.Port)
					}
				}
			}
		}
		if list, ok := g.Sources.([]any); ok {
			all = nil
			for _, p := range list {
				all = append(all, int(p.(float64)))
			}
		}
		var sources []*toolNode
		for _, p := range all {
			sources = append(sources, nodes[p])
		}
		var got []string
		compatTable(sources, g.Slots, func(src *toolNode, slots []hashslot.Slot) {
			got = append(got, fmt.Sprintf("%d %s", src.owner, setOf(slots).String()))
		})
		var want []string
		for _, p := range g.Plan {
			set := slotmap.MustParseSet(strings.ReplaceAll(p.Ranges, ",", " "))
			want = append(want, fmt.Sprintf("%d %s", p.Src, set.String()))
		}
		require.Equal(t, want, got)
	})
}
