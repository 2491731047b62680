package valkeycli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/internal/hashtest"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
)

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

// clusterOf is the cluster that the tool saw, in the order it saw it: as the
// CLUSTER NODES text of the first node of that order.
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

// ids leads from ports to node ids.
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

// does is what the package says of the run.
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
