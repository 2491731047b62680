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
