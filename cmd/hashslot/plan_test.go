package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/internal/hashtest"
)

// goldenRun is a line of the goldens of package plan: a run of valkey-cli.
type goldenRun struct {
	Order []string
	Nodes []struct {
		ID        string
		Port      int
		Slots     string
		ReplicaOf *string `json:"replica_of"`
	}
	Weights      [][2]any
	UseEmpty     bool `json:"use_empty"`
	Threshold    *float64
	Migrateslots []struct {
		Src, Dst int
		Ranges   string
	}
	To      int
	Sources any
	Slots   int
	Plan    []struct {
		Src    int
		Ranges string
	}
	Addrs    []string
	Replicas int
	Alloc    [][3]int
	Adding   []struct{ Replica, Primary string }
}

func goldens(t *testing.T, name string, f func(g goldenRun)) {
	t.Helper()
	file, err := os.Open(hashtest.Data(t, "../..", "plan/"+name))
	require.NoError(t, err)
	defer file.Close()
	n := 0
	for sc := bufio.NewScanner(file); sc.Scan(); n++ {
		var g goldenRun
		require.NoError(t, json.Unmarshal(sc.Bytes(), &g))
		f(g)
	}
	require.Positive(t, n)
}

// text is the cluster as CLUSTER NODES of the first node of the tool's order; that
// node's line is the last, so that "myself" has to be found.
func (g *goldenRun) text() string {
	var lines []string
	for i, id := range g.Order {
		for _, n := range g.Nodes {
			if n.ID == id {
				role, primary := "master", "-"
				if n.ReplicaOf != nil {
					role, primary = "slave", *n.ReplicaOf
				}
				if i == 0 {
					role = "myself," + role
				}
				lines = append(lines, fmt.Sprintf("%s 127.0.0.1:%d@%d %s %s 0 0 %d connected %s\n", id, n.Port, n.Port+10000, role, primary, i+1, n.Slots))
			}
		}
	}
	return strings.Join(append(lines[1:], lines[0]), "")
}

func (g *goldenRun) id(port int) string {
	for _, n := range g.Nodes {
		if n.Port == port {
			return n.ID
		}
	}
	return ""
}

type planJSON struct {
	Moves         []struct{ From, To, Slots string }
	Before, After []struct{ ID, Slots string }
	Warnings      []string
}

func planOf(t *testing.T, stdin string, args ...string) planJSON {
	t.Helper()
	r := runOn(stdin, append([]string{"plan", "-format", "json"}, args...)...)
	require.Equal(t, result{out: r.out}, r)
	var p planJSON
	require.NoError(t, json.Unmarshal([]byte(r.out), &p))
	return p
}

func TestPlanCompatGoldens(t *testing.T) {
	goldens(t, "rebalance.jsonl", func(g goldenRun) {
		args := []string{"rebalance", "-compat", "-nodes", "-"}
		for _, w := range g.Weights {
			args = append(args, "-weight", fmt.Sprintf("%v=%v", w[0], w[1]))
		}
		if g.UseEmpty {
			args = append(args, "-use-empty")
		}
		if g.Threshold != nil {
			args = append(args, "-threshold", fmt.Sprint(*g.Threshold))
		}
		p := planOf(t, g.text(), args...)
		require.Len(t, p.Moves, len(g.Migrateslots))
		for i, m := range p.Moves {
			want := g.Migrateslots[i]
			require.Equal(t, []string{g.id(want.Src), g.id(want.Dst), strings.ReplaceAll(want.Ranges, ",", " ")}, []string{m.From, m.To, plainRanges(m.Slots)})
		}
	})
	goldens(t, "reshard.jsonl", func(g goldenRun) {
		from := "all"
		if list, ok := g.Sources.([]any); ok {
			var ids []string
			for _, port := range list {
				ids = append(ids, g.id(int(port.(float64))))
			}
			from = strings.Join(ids, ",")
		}
		p := planOf(t, g.text(), "reshard", "-compat", "-nodes", "-", "-from", from, "-to", g.id(g.To), "-slots", fmt.Sprint(g.Slots))
		require.Len(t, p.Moves, len(g.Plan))
		for i, m := range p.Moves {
			require.Equal(t, []string{g.id(g.Plan[i].Src), g.id(g.To), strings.ReplaceAll(g.Plan[i].Ranges, ",", " ")}, []string{m.From, m.To, plainRanges(m.Slots)})
		}
	})
	goldens(t, "create_placement.jsonl", func(g goldenRun) {
		r := runOn("", append([]string{"plan", "create", "-compat", "-format", "json", "-replicas", fmt.Sprint(g.Replicas)}, g.Addrs...)...)
		require.Equal(t, exitOK, r.code)
		var got struct {
			Shards []struct {
				Primary, Slots string
				Replicas       []string
			}
		}
		require.NoError(t, json.Unmarshal([]byte(r.out), &got))
		adding := map[string][]string{}
		for _, a := range g.Adding {
			adding[a.Primary] = append(adding[a.Primary], a.Replica)
		}
		require.Len(t, got.Shards, len(g.Alloc))
		for i, s := range got.Shards {
			require.Equal(t, fmt.Sprintf("%d-%d", g.Alloc[i][1], g.Alloc[i][2]), s.Slots)
			require.ElementsMatch(t, adding[s.Primary], s.Replicas)
		}
	})
}

// plainRanges writes single slots as the goldens do: 5-5.
func plainRanges(slots string) string {
	parts := strings.Fields(slots)
	for i, p := range parts {
		if !strings.Contains(p, "-") {
			parts[i] = p + "-" + p
		}
	}
	return strings.Join(parts, " ")
}

func TestPlan(t *testing.T) {
	load := filepath.Join(t.TempDir(), "load")
	require.NoError(t, os.WriteFile(load, []byte("0 30\n\n1 10\n8192 2\n"), 0o666))
	badLoad := filepath.Join(t.TempDir(), "bad")
	require.NoError(t, os.WriteFile(badLoad, []byte("0 30\n16384 1\n"), 0o666))
	three, err := os.ReadFile("testdata/three.nodes")
	require.NoError(t, err)
	const a, b, c = "07c37dfeb235213a872192d90877d0cd55635b91", "67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1", "292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f"
	for _, tc := range []struct {
		args string
		in   string
		code int
		out  string // its beginning
		err  string
	}{
		{"plan", "", 2, "", "which plan: create, rebalance, reshard or drain? (hashslot plan -h for help)"},
		{"plan x", "", 2, "", `there is no plan "x": it is create, rebalance, reshard or drain (hashslot plan -h for help)`},
		{"plan create", "", 2, "", "no hosts to create a cluster of (hashslot plan -h for help)"},
		{"plan create -use-empty a:1", "", 2, "", "-use-empty is not for plan create (hashslot plan -h for help)"},
		{"plan create -format setslot a:1", "", 2, "", `-format "setslot" is not text or json (hashslot plan -h for help)`},
		{"plan create a", "", 2, "", `hosts[0] "a": is not host:port (hashslot plan -h for help)`},
		{"plan create -format json a:1=x b:1=y", "", 0, `{"shards":[{"primary":"a:1","replicas":[],"slots":"0-8191"},{"primary":"b:1","replicas":[],"slots":"8192-16383"}],"warnings":["2 primaries: `, ""},
		{"plan rebalance", "", 2, "", "-nodes is missing (hashslot plan -h for help)"},
		{"plan rebalance x -nodes -", "", 2, "", `"x" is not an option, and plan rebalance takes nothing else (hashslot plan -h for help)`},
		{"plan rebalance -nodes - -format xml", "", 2, "", `-format "xml" is not text, json, setslot, migrateslots or migration (hashslot plan -h for help)`},
		{"plan rebalance -nodes - -batch 5", "", 2, "", "-batch is a number from 1, and goes with a -format of commands (hashslot plan -h for help)"},
		{"plan rebalance -nodes - -weight x", "a h:1@2 master - 0 0 1 connected 0-16383\n", 2, "", `-weight "x" is not ID=NUMBER (hashslot plan -h for help)`},
		{"plan rebalance -nodes - -weight a=-1", "a h:1@2 master - 0 0 1 connected 0-16383\n", 2, "", `Weights[0] "-1": a weight is a number from 0 (hashslot plan -h for help)`},
		{"plan rebalance -nodes testdata/none", "", 1, "", "open testdata/none: no such file or directory"},
		{"plan rebalance -nodes -", "a h:1@2 myself,master - 0 0 1 connected 0-16383 [7->-b]\nb h:2@3 master - 0 0 2 connected\n", 1, "", "open slots 7 (a, b): finish or close them first: a key of such a slot can be at either end"},
		{"plan rebalance -nodes -", "a h:1@2 myself,master - 0 0 1 connected 0-16382\n", 1, "", "unassigned slots 16383: find out first whether their data is lost, then ask to assign them"},
		{"plan rebalance -nodes - -assign-unassigned -format migration", "a h:1@2 myself,master - 0 0 1 connected 0-16382\n", 0, "h:1> CLUSTER ADDSLOTSRANGE 16383 16383\n", ""},
		{"plan rebalance -nodes - -format json -threshold 2", "a h:1@2 master - 0 0 1 connected 0-8199\nb h:2@3 master - 0 0 2 connected 8200-16383\n", 0, `{"moves":[],`, ""},
		{"plan rebalance -nodes - -format json", "a h:1@2 master - 0 0 1 connected 0-8199\nb h:2@3 master - 0 0 2 connected 8200-16383\n", 0, `{"moves":[{"from":"a","to":"b","slots":"8192-8199"}],"before":[{"id":"a","slots":"0-8199"},{"id":"b","slots":"8200-16383"}],"after":[{"id":"a","slots":"0-8191"},{"id":"b","slots":"8192-16383"}],"nodes":[{"id":"a","addr":"h:1","weight":1},{"id":"b","addr":"h:2","weight":1}],"steps":[],"warnings":[]}` + "\n", ""},
		{"plan rebalance -nodes - -compat -format json", "a h:1@2 master - 0 0 1 connected 0-8199\nb h:2@3 master - 0 0 2 connected 8200-16383\n", 0, `{"moves":[],`, ""},
		{"plan rebalance -compat -nodes - -weight a=0.21 -weight b=0.21 -threshold 0.001", "a h:1@2 master - 0 0 1 connected 0-8191\nb h:2@3 master - 0 0 2 connected 8192-16383\n", 1, "", "valkey-cli would loop for ever: every node has more slots than its rounded-down share, so the remainder has no receiver"},
		{"plan rebalance -nodes - -use-empty -weight 10.0.0.1:6379=2 -format json", string(three), 0, `{"moves":[{"from":"` + b + `","to":"` + c + `","slots":"8192-12287"}],`, ""},
		{"plan rebalance -nodes - -load " + load + " -format json", string(three), 0, `{"moves":[{"from":"` + a + `","to":"` + b + `","slots":"1`, ""},
		{"plan rebalance -nodes - -load " + badLoad, string(three), 1, "", badLoad + `: line 2 is not a slot and its load: "16384 1"`},
		{"plan rebalance -nodes - -load -", "", 2, "", "-load and -nodes cannot both be standard input (hashslot plan -h for help)"},
		{"plan rebalance -nodes a -nodes b -compat", "", 2, "", "-compat takes one -nodes: the tool has the order of nodes from one of them (hashslot plan -h for help)"},
		{"plan reshard -nodes -", "", 2, "", "plan reshard needs -from, -to and -slots (hashslot plan -h for help)"},
		{"plan reshard -nodes - -from all -to 292f -slots 4 -format json", string(three), 0, `{"moves":[{"from":"` + a + `","to":"` + c + `","slots":"8190-8191"},{"from":"` + b + `","to":"` + c + `","slots":"8192-8193"}],`, ""},
		{"plan reshard -nodes - -from 07,10.0.0.2:6379 -to 10.0.0.3:6379 -slots 1 -format migration", string(three), 0, "10.0.0.3:6379> CLUSTER MIGRATION IMPORT ", ""},
		{"plan reshard -nodes - -from x -to 292f -slots 4", string(three), 2, "", `from[0] "x": no node has this id (hashslot plan -h for help)`},
		{"plan drain -nodes -", "", 2, "", "plan drain needs a -node (hashslot plan -h for help)"},
		{"plan drain -nodes - -node 67 -receiver 292f -format setslot -batch 8000", string(three), 0, "# batch 1 of 2\n10.0.0.3:6379> CLUSTER SETSLOT 8192 IMPORTING " + b + "\n10.0.0.2:6379> CLUSTER SETSLOT 8192 MIGRATING " + c + "\n",
			"warning: " + b + " gives its last slots: with cluster-allow-replica-migration yes, the default, it then becomes a replica of the receiver"},
		{"plan drain -nodes - -node 67 -format json", string(three), 0, `{"moves":[{"from":"` + b + `","to":"` + a + `","slots":"8192-16383"}],`, ""},
	} {
		r := runOn(tc.in, strings.Fields(tc.args)...)
		assert.Equal(t, tc.code, r.code, tc.args)
		assert.True(t, strings.HasPrefix(r.out, tc.out), "%s: %.300s", tc.args, r.out)
		if tc.out == "" {
			assert.Empty(t, r.out, tc.args)
		}
		want := tc.err
		if want != "" {
			want = "hashslot plan: " + want + "\n"
		}
		assert.Equal(t, want, r.errOut, tc.args)
	}
	text := runOn(string(three), strings.Fields("plan rebalance -nodes - -use-empty")...)
	assert.Equal(t, exitOK, text.code)
	assert.True(t, strings.HasPrefix(text.out, "5461 slots in 2 moves, 2 ranges before, 3 after\n\nnode "), text.out)
}

func TestPlanBadNodes(t *testing.T) {
	for _, in := range []string{"", "x\n", "a h:1@2 master\n"} {
		r := runOn(in, "plan", "rebalance", "-nodes", "-")
		assert.Equal(t, exitFailed, r.code, "%q: %v", in, r)
		assert.Empty(t, r.out)
	}
}
