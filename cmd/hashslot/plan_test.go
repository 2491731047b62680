package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/internal/hashtest"
	"github.com/hashslot/hashslot/slotmap/plan"
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
		if testing.Short() && n%5 > 0 { // package valkeycli goes through all
			continue
		}
		var g goldenRun
		require.NoError(t, json.Unmarshal(sc.Bytes(), &g))
		f(g)
	}
	require.Positive(t, n)
}

// text returns the cluster as CLUSTER NODES of the first node in the tool's order. The
// line of that node is the last, so the program has to find "myself".
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
	r := runOn(stdin, append(append([]string{"plan"}, args...), "-format", "json", "-steps", "none")...)
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
	noLoad, zeroLoad := filepath.Join(t.TempDir(), "none"), filepath.Join(t.TempDir(), "zero")
	require.NoError(t, os.WriteFile(noLoad, nil, 0o666))
	require.NoError(t, os.WriteFile(zeroLoad, []byte("0 0\n"), 0o666))
	three, err := os.ReadFile("testdata/three.nodes")
	require.NoError(t, err)
	const a, b, c = "07c37dfeb235213a872192d90877d0cd55635b91", "67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1", "292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f"
	// The newest tool moves 4685 slots here, the others 4684.
	const odd = "a h:1@2 myself,master - 0 0 1 connected 0-8391\nb h:2@3 master - 0 0 2 connected\nc h:3@4 master - 0 0 3 connected 8392-16383\n"
	for _, tc := range []struct {
		args string
		in   string
		code int
		out  string // its beginning
		err  string
	}{
		{"plan", "", 2, "", "the kind is missing: create, rebalance, reshard, drain, fix, promote or balance (hashslot plan -h for help)"},
		{"plan x", "", 2, "", `unknown kind "x": the first argument must be create, rebalance, reshard, drain, fix, promote or balance (hashslot plan -h for help)`},
		{"plan create", "", 2, "", "name the HOST:PORT of each node of the new cluster (hashslot plan -h for help)"},
		{"plan create -use-empty a:1", "", 2, "", "unknown option -use-empty (hashslot plan create -h for help)"},
		{"plan create -format setslot a:1", "", 2, "", `-format must be text or json, not "setslot" (hashslot plan -h for help)`},
		{"plan create a", "", 2, "", `HOST:PORT "a": must be host:port (hashslot plan -h for help)`},
		{"plan create b:1 a:1 a:1", "", 2, "", `HOST:PORT "a:1": is the same address as HOST:PORT 2 (hashslot plan -h for help)`},
		{"plan create h:1=hosts[0] h:2=y", "", 2, "", `HOST:PORT "h:2": the machine h is in two zones, "hosts[0]" and "y" (hashslot plan -h for help)`},
		{"plan rebalance -nodes - -weight a=1 -weight a=2", "a h:1@2 master - 0 0 1 connected 0-16383\n", 2, "", `-weight "a": is the same node as in -weight 1 (hashslot plan -h for help)`},
		{"plan fix -", "a h:1@2 master - 0 0 1 connected 0-16383\n", 1, "", "FILE 1: must be the reply of one node to CLUSTER NODES: no node is marked as myself"},
		{"plan balance -", "a h:1@2 myself,master - 0 0 1 connected\n", 1, "", "the cluster: no primary has slots"},
		{"plan rebalance -nodes - -use-empty -format setslot", "a h:1@2 myself,master - 0 0 1 connected 0-16383\nb :0@0 master - 0 0 2 connected\n", 1, "", `node "b": the view has no address of this node, and MIGRATE needs it`},
		{"plan rebalance -nodes - -use-empty -steps setslot", "a h:1@2 myself,master - 0 0 1 connected 0-16383\nb :0@0 master - 0 0 2 connected\n", 1, "", `node "b": the view has no address of this node, and MIGRATE needs it`},
		{"plan drain - -node cccc", "a[1] h:1@2 master - 0 0 1 connected 0-16383\ncccc h:3@2 slave a[1] 0 0 1 connected\n", 2, "", `-node "cccc": is a replica of a[1] (hashslot plan -h for help)`},
		{"plan rebalance -nodes - -load " + noLoad, string(three), 1, "", "-load: has no numbers"},
		{"plan rebalance -nodes - -load " + zeroLoad, string(three), 1, "", `-load "0": the sum of the loads must be above 0 and finite`},
		{"plan rebalance -nodes - -load " + load + " -metric x", string(three), 2, "", `-metric "x": must be one of load (hashslot plan -h for help)`},
		{"plan create -format json a:1=x b:1=y", "", 0, `{"shards":[{"primary":"a:1","replicas":[],"slots":"0-8191"},{"primary":"b:1","replicas":[],"slots":"8192-16383"}],"warnings":["2 primaries: `, ""},
		{"plan rebalance", "", 2, "", "name a FILE with a view of the cluster, or - for standard input (hashslot plan -h for help)"},
		{"plan rebalance - -nodes -", "", 2, "", "standard input (-) can be read only once (hashslot plan rebalance -h for help)"},
		{"plan rebalance -nodes - -format xml", "", 2, "", `-format must be text, json, migrateslots, setslot or migration, not "xml" (hashslot plan -h for help)`},
		{"plan rebalance -nodes - -batch 5", "", 2, "", "-batch must be at least 1, and needs -format migrateslots, setslot or migration (hashslot plan -h for help)"},
		{"plan rebalance -nodes - -weight x", "a h:1@2 master - 0 0 1 connected 0-16383\n", 2, "", `-weight must be ID=NUMBER, not "x" (hashslot plan -h for help)`},
		{"plan rebalance -nodes - -weight a=-1", "a h:1@2 master - 0 0 1 connected 0-16383\n", 2, "", `-weight "-1": must be a number of at least 0 (hashslot plan -h for help)`},
		{"plan rebalance -nodes -", "a h:1@2 myself,master - 0 0 1 connected 0-16383 [7->-b]\nb h:2@3 master - 0 0 2 connected\n", 1, "", "open slots 7 (a, b): finish or close them first: keys of such a slot can be at both ends"},
		{"plan rebalance -nodes -", "a h:1@2 myself,master - 0 0 1 connected 0-16382\n", 1, "", "unassigned slots 16383: find out first whether their data is lost, then set -assign-unassigned"},
		{"plan rebalance -nodes - -assign-unassigned -format migration", "a h:1@2 myself,master - 0 0 1 connected 0-16382\n", 0, "h:1> CLUSTER ADDSLOTSRANGE 16383 16383\n", ""},
		{"plan rebalance -nodes - -format json -threshold 2", "a h:1@2 master - 0 0 1 connected 0-8199\nb h:2@3 master - 0 0 2 connected 8200-16383\n", 0, `{"moves":[],`, ""},
		{"plan rebalance -nodes - -format json", "a h:1@2 master - 0 0 1 connected 0-8199\nb h:2@3 master - 0 0 2 connected 8200-16383\n", 0, `{"moves":[{"from":"a","to":"b","slots":"8192-8199"}],"before":[{"id":"a","slots":"0-8199"},{"id":"b","slots":"8200-16383"}],"after":[{"id":"a","slots":"0-8191"},{"id":"b","slots":"8192-16383"}],`, ""},
		{"plan rebalance -nodes - -compat -format json", "a h:1@2 master - 0 0 1 connected 0-8199\nb h:2@3 master - 0 0 2 connected 8200-16383\n", 0, `{"moves":[],`, ""},
		{"plan rebalance -compat -nodes - -weight a=0.21 -weight b=0.21 -threshold 0.001", "a h:1@2 master - 0 0 1 connected 0-8191\nb h:2@3 master - 0 0 2 connected 8192-16383\n", 1, "", "valkey-cli would never finish: every node has more slots than its rounded-down share, so no node can receive the remainder"},
		{"plan rebalance -compat -nodes - -use-empty -weight a=3708 -weight b=4684 -weight c=7992 -steps none -format json", odd, 0, `{"moves":[{"from":"a","to":"b","slots":"0-4684"}],`, ""},
		{"plan rebalance -tool redis-7.0 -nodes - -use-empty -weight a=3708 -weight b=4684 -weight c=7992 -steps none -format json", odd, 0, `{"moves":[{"from":"a","to":"b","slots":"0-4683"}],`, ""},
		{"plan rebalance -compat -tool redis-8.6 -nodes - -use-empty -weight a=3708 -weight b=4684 -weight c=7992 -steps none -format json", odd, 0, `{"moves":[{"from":"a","to":"b","slots":"0-4683"}],`, ""},
		{"plan reshard -tool valkey-8.0 -nodes - -from a -to b -slots 4684 -format json", odd, 0, `{"moves":[{"from":"a","to":"b","slots":"0-4683"}],`, ""},
		{"plan reshard -tool valkey-9.1 -nodes - -from a -to b -slots 4684 -format json", odd, 0, `{"moves":[{"from":"a","to":"b","slots":"0-4684"}],`, ""},
		{"plan create -tool valkey-8.0 a:1 b:1", "", 2, "", "HOST:PORT: valkey-8.0 creates no fewer than 3 primaries, and these hosts make 2 (hashslot plan create -h for help)"},
		{"plan create -tool redis-5 a:1 b:1", "", 2, "", `tool "redis-5": must be one of valkey-9.1, valkey-8.0, redis-7.0, redis-8.6 (hashslot plan -h for help)`},
		{"plan rebalance -nodes - -use-empty -weight 10.0.0.1:6379=2 -format json", string(three), 0, `{"moves":[{"from":"` + b + `","to":"` + c + `","slots":"8192-12287"}],`, ""},
		{"plan rebalance -nodes - -load " + load + " -format json", string(three), 0, `{"moves":[{"from":"` + a + `","to":"` + b + `","slots":"1`, ""},
		{"plan rebalance -nodes - -load " + badLoad, string(three), 1, "", badLoad + `: line 2 "16384 1": "16384" is not a slot from 0 to 16383`},
		{"plan rebalance -nodes - -load -", "", 2, "", "standard input (-) can be read only once (hashslot plan -h for help)"},
		{"plan rebalance -nodes a -nodes b -compat", "", 2, "", "-compat takes one FILE: the tool's plan depends on the order of the nodes in it (hashslot plan -h for help)"},
		{"plan reshard -nodes -", "", 2, "", "-from, -to and -slots must be given (hashslot plan -h for help)"},
		{"plan reshard -nodes - -from all -to 292f -slots 4 -format json", string(three), 0, `{"moves":[{"from":"` + a + `","to":"` + c + `","slots":"8190-8191"},{"from":"` + b + `","to":"` + c + `","slots":"8192-8193"}],`, ""},
		{"plan reshard -nodes - -from 07c3,10.0.0.2:6379 -to 10.0.0.3:6379 -slots 1 -format migration", string(three), 0, "10.0.0.3:6379> CLUSTER MIGRATION IMPORT ", ""},
		{"plan reshard -nodes - -from x -to 292f -slots 4", string(three), 2, "", `no node has the id or the address "x" (hashslot plan -h for help)`},
		{"plan drain -nodes -", "", 2, "", "-node is missing: name the nodes to drain (hashslot plan -h for help)"},
		{"plan drain -nodes - -node 67ed -receiver 292f -format setslot -batch 8000", string(three), 0, "# batch 1 of 2\n10.0.0.3:6379> CLUSTER SETSLOT 8192 IMPORTING " + b + "\n10.0.0.2:6379> CLUSTER SETSLOT 8192 MIGRATING " + c + "\n",
			"warning: " + b + " gives away its last slots: unless cluster-allow-replica-migration is no, it then becomes a replica of the receiver"},
		{"plan drain -nodes - -node 67ed -format json", string(three), 0, `{"moves":[{"from":"` + b + `","to":"` + a + `","slots":"8192-16383"}],`, ""},
	} {
		r := runOn(tc.in, strings.Fields(tc.args)...)
		assert.Equal(t, tc.code, r.code, tc.args)
		assert.True(t, strings.HasPrefix(r.out, tc.out), "%s: %.300s", tc.args, r.out)
		if tc.out == "" {
			assert.Empty(t, r.out, tc.args)
		}
		want := tc.err
		if want != "" {
			title := "hashslot plan"
			if kind, _, _ := strings.Cut(strings.TrimPrefix(tc.args, "plan"), " -"); len(kind) > 2 {
				title += " " + strings.Fields(kind)[0]
			}
			want = title + ": " + strings.Replace(want, "(hashslot plan -h", "("+title+" -h", 1) + "\n"
		}
		assert.Equal(t, want, r.errOut, tc.args)
	}
	text := runOn(string(three), strings.Fields("plan rebalance -nodes - -use-empty")...)
	assert.Equal(t, exitOK, text.code)
	assert.True(t, strings.HasPrefix(text.out, "5461 slots in 2 moves, 2 ranges before, 3 after\n\nnode "), text.out)
}

// What plans of failovers say if there is nothing to do, or no way to do it.
func TestPlanFailovers(t *testing.T) {
	const view = "a h:1@2 myself,master - 0 0 1 connected 0-16382\nb h:2@2 master,fail - 0 0 2 connected\nc h:3@2 master - 0 0 3 connected 16383\nd h:4@2 slave a 0 0 1 connected\n"
	assert.Equal(t, result{out: "no primary with slots has failed\n" + nothingSent}, runOn(view, "plan", "promote", "-nodes", "-"))
	assert.Equal(t, result{out: `{"promotions":[]}` + "\n"}, runOn(view, "plan", "promote", "-", "-format", "json"))
	r := runOn(view, "plan", "promote", "-", "-lost", "h:3")
	assert.Equal(t, exitFailed, r.code)
	assert.Regexp(t, `^c h:3 is lost, with 1 slot: 16383\n  no replica can take over: .+\n\nNothing has been sent\.\n$`, r.out)
	assert.Equal(t, exitUsage, runOn(view, "plan", "promote", "-", "-lost", "x").code)
	assert.Equal(t, exitFailed, runOn("", "plan", "promote", "-").code)
	for args, want := range map[string]string{
		"-machine d": `-machine must be ID=NAME, not "d"`, "-zone d": `-zone must be ID=NAME, not "d"`, "-machine x=y": `no node has the id or the address "x"`,
	} {
		assert.Equal(t, result{2, "", "hashslot plan balance: " + want + " (hashslot plan balance -h for help)\n"}, runOn(view, strings.Fields("plan balance - "+args)...))
	}
	assert.Equal(t, runOn("", "plan", "balance", "testdata/nodes.txt"), runOn("", "plan", "balance", "-nodes", "testdata/nodes.txt"))
	r = runOn("", "plan", "balance", "testdata/nodes.txt", "-format", "json")
	for _, empty := range []string{`"moves":[]`, `"failovers":[]`, `"steps":[]`, `"warnings":[]`} {
		assert.Contains(t, r.out, empty)
	}
}

// Options that are wrong, or wrong together.
func TestPlanOptions(t *testing.T) {
	const nodes = "aaaa h:1@2 myself,master - 0 0 1 connected 0-16383\nbbbb h:2@2 master - 0 0 2 connected\nrrrr h:3@2 slave aaaa 0 0 1 connected\n"
	const replica = `"rrrr": is a replica of aaaa`
	const batch, compat, reshard = "-batch must be at least 1, and needs -format migrateslots, setslot or migration", "-load and -assign-unassigned do not go with -compat: the tool has no such options", "-from, -to and -slots must be given"
	for args, want := range map[string]string{
		"create -format x":                               `-format must be text or json, not "x"`,
		"rebalance - -steps x":                           `-steps must be migrateslots, setslot, migration or none, not "x"`,
		"rebalance - -format text -batch 5":              batch,
		"rebalance - -format json -batch 5":              batch,
		"rebalance - -format setslot -batch 0":           batch,
		"rebalance - -format setslot -batch 1":           "",
		"rebalance a b -compat":                          "-compat takes one FILE: the tool's plan depends on the order of the nodes in it",
		"rebalance - -compat -load x":                    compat,
		"rebalance - -compat -assign-unassigned":         compat,
		"rebalance - -compat":                            "",
		"rebalance - -metric x":                          "-metric needs -load",
		"rebalance - -theme x":                           `-theme must be auto, light or dark, not "x"`,
		"rebalance - -weight aaaa":                       `-weight must be ID=NUMBER, not "aaaa"`,
		"rebalance - -weight aaaa=x":                     `-weight must be ID=NUMBER, not "aaaa=x"`,
		"rebalance - -weight aaaa=1e999":                 `-weight "+Inf": must be a number of at least 0`,
		"rebalance - -weight x=1":                        `no node has the id or the address "x"`,
		"reshard - -steps x":                             `-steps must be migrateslots, setslot, migration or none, not "x"`,
		"reshard - -to aaaa -slots 1":                    reshard,
		"reshard - -from aaaa -slots 1":                  reshard,
		"reshard - -from aaaa -to bbbb":                  reshard,
		"reshard - -from aaaa -to x -slots 1":            `no node has the id or the address "x"`,
		"reshard - -from all -to x -slots 1":             `no node has the id or the address "x"`,
		"drain - -steps x":                               `-steps must be migrateslots, setslot, migration or none, not "x"`,
		"drain - -node x":                                `no node has the id or the address "x"`,
		"drain - -node aaaa -receiver x":                 `no node has the id or the address "x"`,
		"drain - -node aaaa -receiver rrrr":              "-receiver " + replica,
		"drain - -node aaaa":                             "-receiver: no primary is left to take the slots: name receivers, or set -use-empty for primaries without slots",
		"drain - -node rrrr":                             "-node " + replica,
		"reshard - -from rrrr -to bbbb -slots 1":         "-from " + replica,
		"reshard - -from aaaa -to rrrr -slots 1":         "-to " + replica,
		"reshard - -from aaaa -to bbbb -slots 0":         `-slots "0": must be from 1 to 16384`,
		"reshard - -compat -from rrrr -to bbbb -slots 1": "-from " + replica,
		"rebalance - -threshold -1":                      `-threshold "-1": must be a percentage of at least 0`,
		"promote - -lost rrrr":                           `-lost "rrrr": is not a primary`,
		"create a:1 -replicas -1":                        `-replicas "-1": must be at least 0`,
		"fix - -counts - -format x":                      `-format must be text or json, not "x"`,
	} {
		r := runOn(nodes, strings.Fields("plan "+args)...)
		title := "hashslot plan " + strings.Fields(args)[0]
		if want == "" {
			assert.Equal(t, exitOK, r.code, "%s: %s", args, r.errOut)
			continue
		}
		assert.Equal(t, result{2, "", title + ": " + want + " (" + title + " -h for help)\n"}, r, args)
	}
	dir := t.TempDir()
	for _, name := range []string{"1", "2"} { // views that are alike
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(strings.Replace(nodes, "myself,", "", 1)), 0o600))
	}
	assert.Equal(t, exitOK, runOn("", "plan", "rebalance", filepath.Join(dir, "1"), filepath.Join(dir, "2")).code)
}

func TestPlanBadNodes(t *testing.T) {
	for _, in := range []string{"", "x\n", "a h:1@2 master\n"} {
		r := runOn(in, "plan", "rebalance", "-nodes", "-")
		assert.Equal(t, exitFailed, r.code, "%q: %v", in, r)
		assert.Empty(t, r.out)
	}
}

// Text shows the first of the steps that -format prints as commands, and JSON shows all.
func TestPlanSteps(t *testing.T) {
	const nodes = "testdata/three.nodes"
	for _, steps := range protocols {
		args := strings.Fields("plan reshard -slots 300 -from all -to 292f " + nodes)
		commands := runOn("", append(args, "-format", steps)...)
		require.Equal(t, result{out: commands.out}, commands)
		lines := strings.Split(strings.TrimSuffix(commands.out, "\n"), "\n")
		text := runOn("", append(args, "-steps", steps)...)
		require.Equal(t, result{out: text.out}, text)
		_, shown, ok := strings.Cut(text.out, "\nSteps:\n")
		require.True(t, ok)
		first := lines[:min(20, len(lines))]
		assert.True(t, strings.HasPrefix(shown, "  "+strings.Join(first, "\n  ")+"\n"), shown)
		if more := len(lines) - len(first); more > 0 {
			assert.Contains(t, shown, fmt.Sprintf("\n  and %d more: -format %s prints all\n", more, steps))
		}
		assert.True(t, strings.HasSuffix(text.out, nothingSent))
		r := runOn("", append(args, "-steps", steps, "-format", "json")...)
		var p plan.Plan
		require.NoError(t, json.Unmarshal([]byte(r.out), &p))
		require.Len(t, p.Steps, len(lines))
		for i, step := range p.Steps {
			require.Equal(t, lines[i], step.String())
		}
	}
	r := runOn("", strings.Fields("plan rebalance -use-empty -steps none -format json "+nodes)...)
	assert.Contains(t, r.out, `"steps":[]`)
	assert.NotContains(t, runOn("", strings.Fields("plan rebalance -use-empty -steps none "+nodes)...).out, "Steps")
	assert.True(t, strings.HasPrefix(runOn("", strings.Fields("plan rebalance -use-empty -format migration -batch 1 "+nodes)...).out, "# batch 1 of 5461\n"))

	for n, want := range map[int]bool{20: false, 21: true} {
		var out strings.Builder
		(&env{stdout: &out}).printSteps("", slices.Values(make([]plan.Step, n)), "-x")
		assert.Equal(t, want, strings.Contains(out.String(), "  and 1 more: -x prints all\n"), n)
		assert.Equal(t, want, strings.Contains(out.String(), " more"), n)
	}
	const more = ` more: -format json prints all\n`
	var view strings.Builder // replicas at their primaries
	for i := range 24 {
		fmt.Fprintf(&view, "p%02d h%d:1@2 master - 0 0 %d connected %d\nr%02d h%d:2@2 slave p%02d 0 0 %d connected\n", i, i, i+1, i, i, i, i, i+1)
	}
	assert.Regexp(t, more, runOn(view.String(), "plan", "balance", "-").out)
	dir := t.TempDir()
	args := []string{"plan", "fix", "-counts", "-"}
	for _, name := range []string{"open-1.nodes", "open-2.nodes"} { // with five open slots
		text, err := os.ReadFile("testdata/" + name)
		require.NoError(t, err)
		name = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(name, regexp.MustCompile(`\[5(.*)\]`).ReplaceAll(text, []byte("[5$1] [6$1] [7$1] [8$1] [9$1]")), 0o600))
		args = append(args, name)
	}
	ask := runOn("", args...).out
	assert.Regexp(t, more, runOn(strings.ReplaceAll(ask, "\n", " 1\n"), args...).out)
}

func TestPlanLoad(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"one":  "[[0,{\"key-count\":30,\"cpu-usec\":1}],[1,{\"key-count\":10,\"cpu-usec\":1}]]",
		"two":  "\xef\xbb\xbf1) 1) (integer) 8192\r\n   2) 1) \"key-count\"\r\n      2) (integer) 2\r\n      3) \"cpu-usec\"\r\n      4) (integer) 50\r\n",
		"bare": "0 30\n1 10\n8192 2\n",
	}
	var args []string
	for name, text := range files {
		files[name] = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(files[name], []byte(text), 0o600))
	}
	args = strings.Fields("rebalance testdata/three.nodes -load " + files["one"] + " -load " + files["two"])
	r := runOn("", append([]string{"plan"}, args...)...)
	assert.Equal(t, result{2, "", "hashslot plan rebalance: choose the load by -metric: cpu-usec, key-count (hashslot plan rebalance -h for help)\n"}, r)
	want := planOf(t, "", strings.Fields("rebalance testdata/three.nodes -load "+files["bare"])...)
	require.NotEmpty(t, want.Moves)
	assert.Equal(t, want, planOf(t, "", append(args, "-metric", "key-count")...))
	assert.NotEqual(t, want.Moves, planOf(t, "", append(args, "-metric", "cpu-usec")...).Moves)
	r = runOn("", append([]string{"plan"}, append(args, "-metric", "x")...)...)
	assert.NotEqual(t, exitOK, r.code)
	assert.Equal(t, exitUsage, runOn("", "plan", "rebalance", "testdata/three.nodes", "-metric", "x").code)
}

func TestPlanNames(t *testing.T) {
	const nodes = "abcdef h:1@2 myself,master - 0 0 1 connected 0-8191\nabcdeg [::1]:1@2 master - 0 0 2 connected 8192-16383\nx h:3@2 master - 0 0 3 connected\n" +
		"noaddress :0@0 master - 0 0 5 connected\nKvRocks h:4@2 master - 0 0 4 connected\n" // other servers than Valkey and Redis have capitals
	for name, want := range map[string]string{
		"KvRocks": "", "KvRo": "", "abcdef": "", "abcdeg": "", "ABCDEG": "", "[::1]:1": "", "h:1": "",
		"abcde": `"abcde" is the beginning of 2 ids: write more of it`, "abc": `"abc" is too short: the beginning of an id needs at least 4 characters`,
		"": `no node has the id or the address ""`, "y": `no node has the id or the address "y"`,
	} {
		r := runOn(nodes, "plan", "drain", "-", "-node", name, "-receiver", "x", "-weight", "KvRo=2")
		if want == "" {
			assert.Equal(t, exitOK, r.code, "%s: %s", name, r.errOut)
			continue
		}
		assert.Equal(t, result{2, "", "hashslot plan drain: " + want + " (hashslot plan drain -h for help)\n"}, r)
	}
}

func TestPlanOthers(t *testing.T) {
	// The output lists the counts to ask for. The answers can be appended to its lines.
	fix := strings.Fields("plan fix testdata/open-1.nodes testdata/open-2.nodes")
	r := runOn("", fix...)
	assert.Equal(t, exitFailed, r.code)
	assert.Equal(t, "10.0.0.1:6379 5\n10.0.0.2:6379 5\n", r.out)
	r = runOn(strings.Replace(strings.ReplaceAll(r.out, "\n", " 0\n"), " 0\n", " 2\n", 1), append(fix, "-counts", "-", "-format", "json")...)
	assert.Equal(t, exitOK, r.code, r.errOut)
	assert.True(t, strings.HasPrefix(r.out, `{"slots":[{"slots":"5","case":"finish the move","owner":"67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1"}],"steps":[{"kind":`), r.out)
	for _, bad := range []string{"10.0.0.1:6379 5", "10.0.0.1:6379 16384 1", "10.0.0.1:6379 5 -1", "10.0.0.1:6379 5 x"} {
		r := runOn("\n"+bad+"\n", append(fix, "-counts", "-")...)
		assert.Equal(t, result{1, "", "hashslot plan fix: standard input: line 2: \"" + bad + "\" is not a node, a slot and a number of keys\n"}, r)
	}
	assert.Equal(t, result{1, "", "hashslot plan fix: standard input: line 1: no node has the id or the address \"x\"\n"}, runOn("x 5 1\n", append(fix, "-counts", "-")...))
	r = runOn("", append(fix, "-counts", t.TempDir())...)
	assert.Equal(t, result{1, "", r.errOut}, r)
	assert.Greater(t, strings.Count(runOn("", append(fix, "-stray-keys")...).out, "\n"), 2)
	assert.Equal(t, exitFailed, runOn("", "plan", "fix", t.TempDir()).code)
	assert.Contains(t, runOn("", fix...).errOut, "hashslot plan fix: the repair depends on keys: append the number of keys to each line, and name the file in -counts\n")
	named := runOn("", strings.Fields("plan fix -nodes testdata/open-1.nodes -nodes testdata/open-2.nodes -counts testdata/open.counts")...)
	assert.Equal(t, runOn("", append(fix, "-counts", "testdata/open.counts")...), named)
	assert.NotContains(t, named.out, "REPLACE")
	assert.Contains(t, runOn("", append(fix, "-counts", "testdata/open.counts", "-replace")...).out, " REPLACE ")
	healthyView := "a h:1@2 myself,master - 0 0 1 connected 0-16383\n"
	assert.Equal(t, result{out: `{"slots":[],"steps":[],"warnings":[]}` + "\n"}, runOn(healthyView, "plan", "fix", "-", "-format", "json"))
	lost := "a h:1@2 myself,master - 0 0 1 connected 0-9\nb h:2@2 master,fail - 0 0 2 connected 10-16383\n"
	assert.Contains(t, runOn(lost, "plan", "fix", "-").errOut, "hashslot plan fix: unreachable nodes 10-16383 (b): ")
	assert.True(t, strings.HasPrefix(runOn(lost, "plan", "fix", "-", "-unreachable").out, "h:1 10\nh:1 11\n"))
	assert.Equal(t, exitUsage, runOn("", "plan", "fix", "-", "-counts", "-").code)

	const nodes = "a 10.0.0.1:1@2 myself,master,fail - 0 0 1 connected 0-5\nb 10.0.0.2:1@2 master - 0 0 2 connected 6-99\nc 10.0.0.3:1@2 master - 0 0 3 connected 100-16383\n" +
		"d 10.0.0.2:2@2 slave a 0 0 1 connected\ne 10.0.0.2:3@2 slave b 0 0 2 connected\n"
	r = runOn(nodes, "plan", "promote", "-")
	assert.Equal(t, exitOK, r.code)
	assert.Contains(t, r.out, "a 10.0.0.1:1 is lost, with 6 slots: 0-5\n  d 10.0.0.2:2 takes over (the only replica that can): the cluster does it by itself\n")
	r = runOn(nodes, "plan", "promote", "-", "-lost", "c", "-format", "json")
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.out, `{"promotions":[{"lost":"c","slots":"100-16383","replica":"","reason":`)
	r = runOn(nodes, "plan", "promote", "-", "-lost", "a", "-lost", "b")
	assert.Contains(t, r.out, "the cluster does not do it by itself; send\n  10.0.0.2:2> CLUSTER FAILOVER TAKEOVER")

	healthy := strings.NewReplacer(",fail ", " ", "d 10.0.0.2:2", "d 10.0.0.1:2").Replace(nodes)
	r = runOn(healthy, "plan", "balance", "-")
	assert.Equal(t, exitOK, r.code, r.errOut)
	assert.Contains(t, r.out, "2 replica moves, 0 failovers\n", "a and b are on the machines of their replicas")
	assert.Contains(t, r.out, "\nSteps:\n")
	r = runOn(healthy, "plan", "balance", "-", "-machine", "e=x", "-machine", "d=y", "-format", "json")
	assert.True(t, strings.HasPrefix(r.out, `{"moves":[],"failovers":[`), r.out)
	assert.Equal(t, exitUsage, runOn(healthy, "plan", "balance", "-", "-zone", "e").code)
	twice := runOn(healthy, "plan", "balance", "-", "-zone", "10.0.0.1:1=x", "-zone", "10.0.0.1:1=y")
	assert.Equal(t, exitUsage, twice.code)
	assert.Contains(t, twice.errOut, `-zone "10.0.0.1:1=y": the node is named twice`)
	assert.Equal(t, exitUsage, runOn(healthy, "plan", "balance", "-", "-zone", "y=x").code)
}

func TestPlanDraw(t *testing.T) {
	file := filepath.Join(t.TempDir(), "plan.svg")
	r := runOn("", "plan", "rebalance", "testdata/three.nodes", "-use-empty", "-draw", file)
	require.Equal(t, exitOK, r.code)
	svg, err := os.ReadFile(file)
	require.NoError(t, err)
	p := readPicture(t, string(svg), "#", "from", "to", "slots", "ranges")
	require.Len(t, p.legend, 3)
	assert.Equal(t, []string{"unchanged", "", "10923", "0-5461 10923-16383"}, p.legend[0][2:])
	assert.Equal(t, []string{"1", "07c37dfe 10.0.0.1:6379", "292f8b36 10.0.0.3:6379", "2730", "5462-8191"}, p.legend[1][1:])
	require.Equal(t, exitOK, runOn("", "plan", "create", "a:1", "b:1", "-draw", file).code)
	svg, err = os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(svg), ">16384 of 16384 slots get an owner<")
	assert.NotContains(t, string(svg), "a:1 a:1", "a node without an id has its address only")
	for _, args := range []string{"create a:1 b:1", "rebalance testdata/three.nodes", "rebalance testdata/three.nodes -load", "promote testdata/nodes.txt -lost 67ed", "balance testdata/nodes.txt",
		"fix testdata/open-1.nodes testdata/open-2.nodes -counts testdata/open.counts"} {
		if !strings.HasSuffix(args, "-load") {
			args += " -draw"
		}
		r := runOn("", append(strings.Fields("plan "+args), t.TempDir())...)
		assert.Equal(t, result{1, "", r.errOut}, r, args)
	}

	drawn := func(want int, args ...string) *picture {
		t.Helper()
		plan := runOn("", args...)
		r := runOn("", append(args, "-draw", file)...)
		require.Equal(t, plan, r, "a picture changes nothing else")
		svg, err := os.ReadFile(file)
		require.NoError(t, err)
		alone := runOn("", append(args, "-draw", "-")...)
		require.Equal(t, result{code: want, out: string(svg)}, result{alone.code, alone.out, ""})
		return readPicture(t, string(svg), "#", "from", "to", "slots", "ranges")
	}
	p = drawn(exitOK, "plan", "fix", "testdata/open-1.nodes", "testdata/open-2.nodes", "-counts", "testdata/open.counts")
	require.Len(t, p.legend, 2)
	assert.Equal(t, []string{"1", "07c37dfe 10.0.0.1:6379", "67ed2db8 10.0.0.2:6379", "1", "5"}, p.legend[1][1:])
	assert.Equal(t, map[int]bool{5: true}, p.open)
	assert.Contains(t, p.notes, "5: from 07c37dfe to 67ed2db8, migrating and importing")

	p = drawn(exitOK, "plan", "promote", "testdata/nodes.txt", "-lost", "67ed")
	require.Len(t, p.legend, 2)
	assert.Equal(t, []string{"1", "67ed 10.0.0.2:30002", "6ec2 10.0.0.5:30005", "5462", "5461-10922"}, p.legend[1][1:])
	p = drawn(exitFailed, "plan", "promote", "testdata/three.nodes", "-lost", "67ed")
	assert.Equal(t, "nobody", p.legend[1][3])
	assert.Equal(t, hatched, p.legend[1][0])

	p = drawn(exitOK, "plan", "balance", "testdata/nodes.txt", "-machine", "67ed=x", "-machine", "e7d1=x", "-machine", "292f=x", "-machine", "6ec2=x", "-machine", "824f=y", "-machine", "07c3=y")
	require.Len(t, p.legend, 2)
	assert.Equal(t, []string{"1", "e7d1 10.0.0.1:30001", "07c3 10.0.0.4:30004", "5461", "0-5460"}, p.legend[1][1:])
	p = drawn(exitOK, "plan", "balance", "testdata/nodes.txt", "-machine", "07c3=x", "-machine", "e7d1=x", "-machine", "6ec2=y", "-machine", "67ed=y", "-machine", "824f=z", "-machine", "292f=z")
	require.Len(t, p.legend, 1)
	assert.Equal(t, []string{"Replicas that get another primary", "824f 10.0.0.6:30006: from 292f 10.0.0.3:30003 to 67ed 10.0.0.2:30002"}, p.notes[:2])
	for _, kind := range []string{"fix", "promote", "balance"} {
		assert.Equal(t, exitUsage, runOn("", "plan", kind, "testdata/nodes.txt", "-theme", "pink").code)
	}
}

// "-" means standard output for every option that writes a file.
func TestDash(t *testing.T) {
	nodes, err := filepath.Abs("testdata/nodes.txt")
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	for _, c := range all() {
		if c.kinds == nil {
			assert.NotNil(t, c.flags().Lookup("o"), "%s has no -o", c.name)
		}
	}
	for _, args := range []string{
		"slot foo", "tag 5", "keys get a", "route -nodes FILE foo", "check FILE", "check -format json FILE", "draw FILE", "stat foo",
		"plan create a:1 b:1 c:1", "plan rebalance FILE", "plan promote FILE -lost 67ed", "version", "completion bash", "help stat",
	} {
		args := strings.Fields(strings.ReplaceAll(args, "FILE", nodes))
		want := runOn("", args...)
		assert.NotEmpty(t, want.out, args)
		assert.Equal(t, want, runOn("", append(args, "-o", "-")...), args)
	}
	for _, args := range []string{"stat foo -svg -", "plan create a:1 -draw -", "plan balance FILE -draw -"} {
		assert.Contains(t, runOn("", strings.Fields(strings.ReplaceAll(args, "FILE", nodes))...).out, "<svg", args)
	}
	left, err := os.ReadDir(".")
	require.NoError(t, err)
	assert.Empty(t, left)
}

// JSON cannot have the id of a node that is not UTF-8. Text has it in quotes.
func TestPlanOfOddIDs(t *testing.T) {
	const view = "a\xff11 10.0.0.1:6379@1 myself,master - 0 0 1 connected 0-9000\nbbbb 10.0.0.2:6379@1 master - 0 0 2 connected 9001-16383\n" +
		"c\xff11 10.0.0.2:6380@1 slave bbbb 0 0 2 connected\n\xff 10.0.0.1:6380@1 slave a\xff11 0 0 1 connected\n"
	for _, args := range []string{"rebalance", "drain -node bbbb", "reshard -from all -to bbbb -slots 5", "promote -lost bbbb", "balance"} {
		words := append([]string{"plan"}, strings.Fields(args+" - -format")...)
		r := runOn(view, append(words, "text")...)
		require.Equal(t, exitOK, r.code, args)
		require.Contains(t, r.out, `\xff`)
		r = runOn(view, append(words, "json")...)
		require.Equal(t, exitFailed, r.code, args)
		require.Empty(t, r.out, args)
		require.Contains(t, r.errOut, `must be UTF-8, because JSON is`)
		require.Equal(t, 1, strings.Count(r.errOut, "\n"), r.errOut)
		require.NotContains(t, r.errOut, "MarshalJSON")
		require.NotContains(t, r.errOut, "plan: ")
	}
}
