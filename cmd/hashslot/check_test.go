package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/hashtest"
)

// captures returns the folder of replies of real servers, with a slash behind it.
func captures(t *testing.T) string { return hashtest.Data(t, "../..", "captures") + "/" }

// What is wrong in each state that was captured, as the node at the port sees it.
func TestCheckCaptures(t *testing.T) {
	captured := captures(t)
	for _, c := range []struct {
		state, ports, kinds string
		slots               string // of the first problem
		assigned            int
	}{
		{"redis-7.0.15/fresh_3m3r", "17101", "", "", 16384},
		{"redis-7.0.15/fresh_3m3r", "17101 17104 17106", "", "", 16384},
		{"redis-7.0.15/migrating", "17101", "open", "0-1", 16384},
		{"redis-7.0.15/migrating", "17104", "", "", 16384},
		{"redis-7.0.15/migrating", "17106 17101 17104", "open", "0-1", 16384},
		{"redis-7.0.15/migrated_target_only", "17104", "", "", 16384},
		{"redis-7.0.15/migrated_target_only", "17101 17104", "open disagreement", "0-1", 16384},
		{"redis-7.0.15/migrated", "17101 17104", "", "", 16384},
		{"redis-7.0.15/killed_master_pfail", "17102", "suspected", "1-5460", 16384},
		{"redis-7.0.15/killed_master_fail", "17102", "failed", "1-5460", 16384},
		{"redis-7.0.15/after_failover", "17102 17104 17106", "", "", 16384},
		{"redis-7.0.15/noaddr_master", "17221", "unreachable", "10923-16383", 16384},
		{"redis-7.0.15/noaddr", "17211", "", "", 16384},
		{"redis-7.0.15/gaps_partial_coverage", "17261", "unassigned", "10-99 5001-16382", 4912},
		{"redis-7.0.15/single_node", "17231", "", "", 16384},
		{"redis-7.0.15/handshake", "17231", "", "", 16384},
		{"redis-7.0.15/noflags", "17274", "unassigned", "0-5460", 10923},
		{"redis-7.0.15/empty_cluster_node", "17282", "unassigned", "0-16383", 0},
		{"redis-7.0.15/alternating_all_single_slots", "17265", "", "", 16384},
		{"valkey-8.0.1/ipv6", "17241 17242", "", "", 16384},
		{"valkey-8.0.1/migrating", "17101", "open", "0-1", 16384},
		{"valkey-9.1.2/after_failover", "17102 17104 17106", "", "", 16384},
		{"valkey-9.1.2/asm_in_progress", "17291 17292 17293", "", "", 16384},
	} {
		name := c.state + " " + c.ports
		args := []string{"check", "-format", "json"}
		for _, port := range strings.Fields(c.ports) {
			args = append(args, "-nodes", captured+c.state+"/"+port+".nodes.txt")
		}
		r := runOn("", args...)
		assert.Empty(t, r.errOut, name)
		var got clusterJSON
		require.NoError(t, json.Unmarshal([]byte(r.out), &got), name)
		var kinds []string
		for _, p := range got.Problems {
			if len(kinds) == 0 || kinds[len(kinds)-1] != p.Kind {
				kinds = append(kinds, p.Kind)
			}
		}
		assert.Equal(t, c.kinds, strings.Join(kinds, " "), name)
		assert.Equal(t, c.assigned, got.Assigned, name)
		assert.Equal(t, c.kinds == "", got.OK, name)
		code := exitOK
		if c.kinds != "" {
			code = exitFailed
			assert.Equal(t, c.slots, got.Problems[0].Slots.String(), name)
		}
		assert.Equal(t, code, r.code, name)
		// Text says the same.
		args[2] = "text"
		text := runOn("", args...)
		assert.Equal(t, code, text.code, name)
		assert.Contains(t, text.out, fmt.Sprintf("%d of 16384 slots", c.assigned), name)
		for _, s := range got.Shards {
			assert.Contains(t, text.out, s.ID+"  "+plain(s.Addr)+" ", name)
			assert.Contains(t, text.out, "  "+s.Slots.String()+"\n", name)
		}
		for _, p := range got.Problems {
			assert.Contains(t, text.out, p.Slots.String()+": "+p.Text+"\n", name)
		}
		// The order of views does not matter.
		if n := len(args); n > 5 {
			args[2], args[4], args[n-1] = "json", args[n-1], args[4]
			assert.Equal(t, r.out, runOn("", args...).out, name)
		}
	}
}

func TestCheckJSON(t *testing.T) {
	const nodes = "a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-16382 [7->-b]\n" +
		"b [::1]:1@2 master - 0 0 2 connected\n" +
		"d 10.0.0.4:1@2 slave a 0 0 1 connected\n" +
		"c 10.0.0.3:1@2 slave a 0 0 1 connected\n"
	r := runOn(nodes, "check", "-format", "json", "-nodes", "-")
	assert.Equal(t, result{1, `{"ok":false,"assigned":16383,"shards":[{"id":"a","addr":"10.0.0.1:1","replicas":["d","c"],"slots":"0-16382"}],` +
		`"migrating":[{"slot":7,"from":"a","to":"b"}],` +
		`"problems":[{"kind":"unassigned","text":"1 slots have no owner","slots":"16383"},` +
		`{"kind":"open","text":"being moved from a to b: the source says so","slots":"7"}]}` + "\n", ""}, r)
	r = runOn("a :1@2 myself,master - 0 0 1 connected\n", "check", "-format", "json", "-nodes", "-")
	assert.Equal(t, `{"ok":false,"assigned":0,"shards":[],"migrating":[],"problems":[{"kind":"unassigned","text":"16384 slots have no owner","slots":"0-16383"}]}`+"\n", r.out)
}

// Two views that differ, and what decides.
func TestCheckViews(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	stale := write("stale", "a h:1@2 myself,master - 0 0 1 connected 0-99\nb h:2@2 slave a 0 0 1 connected\nc h:3@2 master - 0 0 2 connected 100-16383\n")
	fresh := write("fresh", "a h:1@2 master,fail - 0 0 1 connected\nb h:2@2 master - 0 0 6 connected 0-99\nc h:3@2 myself,master - 0 0 2 connected 100-16383\n")
	r := runOn("", "check", "-format", "json", "-nodes", stale, "-nodes", fresh)
	var got clusterJSON
	require.NoError(t, json.Unmarshal([]byte(r.out), &got))
	assert.Equal(t, exitFailed, r.code)
	require.Len(t, got.Problems, 1)
	assert.Equal(t, "disagreement 0-99: b h:2 has them, a h:1 claims them too: config epoch 6 over 1",
		got.Problems[0].Kind+" "+got.Problems[0].Slots.String()+": "+got.Problems[0].Text)
	require.Len(t, got.Shards, 2)
	assert.Equal(t, "b", got.Shards[0].ID)
}

func TestCheckInput(t *testing.T) {
	const nodes = "a :6379@2,,tls-port=6380 myself,master - 0 0 1 connected 0-16383\n"
	addr := func(in string, args ...string) string {
		r := runOn(in, append([]string{"check", "-format", "json", "-nodes", "-"}, args...)...)
		var got clusterJSON
		require.NoError(t, json.Unmarshal([]byte(r.out), &got), r.errOut)
		return got.Shards[0].Addr
	}
	assert.Equal(t, "", addr(nodes))
	assert.Equal(t, "h:6379", addr(nodes, "-host", "h"))
	assert.Equal(t, "[::1]:6380", addr(nodes, "-host", "::1", "-tls"))
	assert.Equal(t, "h:6379", addr("txt:"+nodes, "-host", "h"))
	// As it is on the wire.
	assert.Equal(t, "h:6379", addr(fmt.Sprintf("$%d\r\n%s\r\n", len(nodes), nodes), "-host", "h"))
	assert.Equal(t, "h:6379", addr(fmt.Sprintf("=%d\r\ntxt:%s\r\n", len(nodes)+4, nodes), "-host", "h"))

	const bad = "a h:99999@2 myself,master - 0 0 1 connected 0-16383\n"
	for _, c := range []struct {
		args, in string
		want     result
	}{
		{"check", "", result{2, "", "hashslot check: -nodes is missing (hashslot check -h for help)\n"}},
		{"check -nodes - -nodes -", "", result{2, "", "hashslot check: -nodes - is there twice (hashslot check -h for help)\n"}},
		{"check -nodes - foo", "", result{2, "", "hashslot check: unexpected argument \"foo\" (hashslot check -h for help)\n"}},
		{"check -nodes - -format xml", "", result{2, "", "hashslot check: -format \"xml\" is not text or json (hashslot check -h for help)\n"}},
		{"check -nodes no/such/file", "", result{1, "", "hashslot check: open no/such/file: no such file or directory\n"}},
		{"check -nodes -", bad, result{1, "", "hashslot check: standard input: topology: CLUSTER NODES: line 1, byte 4: port \"99999\" is not a number from 0 to 65535\n"}},
		{"check -nodes -", "", result{1, "", "hashslot check: standard input: topology: CLUSTER NODES: line 1, byte 0: no node\n"}},
		{"route -nodes -", nodes, result{2, "", "hashslot route: standard input cannot have both -nodes and the keys (hashslot route -h for help)\n"}},
		{"route foo", "", result{2, "", "hashslot route: -nodes is missing (hashslot route -h for help)\n"}},
		{"route -nodes - -max 0 foo", "", result{2, "", "hashslot route: -max 0 is not 1 to 536870912 (hashslot route -h for help)\n"}},
		{"route -nodes - foo", bad, result{1, "", "hashslot route: standard input: topology: CLUSTER NODES: line 1, byte 4: port \"99999\" is not a number from 0 to 65535\n"}},
	} {
		if got := runOn(c.in, strings.Fields(c.args)...); !strings.Contains(c.args, "no/such") {
			assert.Equal(t, c.want, got, c.args)
		} else {
			assert.Equal(t, c.want.code, got.code)
			assert.True(t, strings.HasPrefix(got.errOut, "hashslot check: open no/such/file: "), got.errOut)
		}
	}
	r := runOn("a h:1@2 myself,master,new - 0 0 1 connected 0-16383\n", "check", "-nodes", "-")
	assert.Equal(t, exitOK, r.code)
	assert.Equal(t, "hashslot check: standard input: line 1, byte 22: unknown flag \"new\"\n", r.errOut)
	// Nothing of a file commands a terminal.
	r = runOn("a\x1b[2J h:1@2 myself,master - 0 0 1 connected 0-16383 \x1b\n", "check", "-nodes", "-")
	assert.NotContains(t, r.out+r.errOut, "\x1b")
	assert.Contains(t, r.out, `a\x1b[2J`)
	assert.Equal(t, exitFailed, runOn(strings.Repeat("x", maxNodesFile+1), "check", "-nodes", "-").code)
}

func TestRoute(t *testing.T) {
	const nodes = "testdata/nodes.txt"
	assert.Equal(t, result{0, "12182\t292f\t10.0.0.3:30003\tfoo\n5061\te7d1\t10.0.0.1:30001\tbar\n0\te7d1\t10.0.0.1:30001\t\n", ""},
		runOn("foo\nbar\n\n", "route", "-nodes", nodes))
	assert.Equal(t, result{0, "12182\t292f\t10.0.0.3:30003\t666f6f\n", ""}, runOn("666f6f\n", "route", "-nodes", nodes, "-hex", "-unhex"))
	assert.Equal(t, result{0, "12182\t292f\t10.0.0.3:30003\tfoo\n", ""}, runOn("foo\x00", "route", "-nodes", nodes, "-0"))
	const shard = `"ok":true,"assigned":16384,"shards":[{"id":"292f","addr":"10.0.0.3:30003","replicas":["824f"],"slots":"10923-16383"}],"migrating":[],"problems":[]}` + "\n"
	assert.Equal(t, result{0, `{"key":"foo","slot":12182,"tag":"","hashed":"foo",` + shard + `{"key":"{foo}\"","slot":12182,"tag":"foo","hashed":"foo",` + shard, ""},
		runOn("", "route", "-nodes", nodes, "-format", "json", "foo", `{foo}"`))
	assert.Equal(t, result{1, `{"key":"foo","slot":12182,"tag":"","hashed":"foo",` + shard, "hashslot route: line 2: the key is not UTF-8, and JSON cannot hold it: use -hex\n"},
		runOn("foo\n\xff\n", "route", "-nodes", nodes, "-format", "json"))
	assert.Equal(t, result{0, `{"key":"7bff7dff","slot":7920,"tag":"ff","hashed":"ff","ok":true`, ""},
		func() result {
			r := runOn("{\xff}\xff\n", "route", "-nodes", nodes, "-format", "json", "-hex")
			r.out, _, _ = strings.Cut(r.out, `,"assigned"`)
			return r
		}())

	// A slot that nobody owns, one that is being moved, one of an owner that has
	// failed and one with which nothing is.
	const wrong = "a h:1@2 myself,master - 0 0 1 connected 0-9 [5->-b]\nb h:2@2 master,fail - 0 0 2 connected 10-16382\n"
	keys := []string{hashslot.Slot(16383).Tag(), hashslot.Slot(5).Tag(), hashslot.Slot(10).Tag(), hashslot.Slot(0).Tag()}
	r := runOn(wrong, append([]string{"route", "-nodes", "-"}, keys...)...)
	assert.Equal(t, result{1, "16383\t-\t-\t" + keys[0] + "\n5\ta\th:1\t" + keys[1] + "\n10\tb\th:2\t" + keys[2] + "\n0\ta\th:1\t" + keys[3] + "\n",
		"hashslot route: 1 keys are in slots that nobody owns\n"}, r)
	r = runOn(wrong, append([]string{"route", "-format", "json", "-nodes", "-"}, keys...)...)
	assert.Equal(t, exitFailed, r.code)
	want := []string{"false unassigned ", "false open a 5", "false failed b", "true a"}
	for i, l := range strings.Split(strings.TrimSuffix(r.out, "\n"), "\n") {
		var got struct {
			Key  string
			Slot int
			clusterJSON
		}
		require.NoError(t, json.Unmarshal([]byte(l), &got), l)
		assert.Equal(t, keys[i], got.Key)
		assert.Equal(t, 16383, got.Assigned)
		text := fmt.Sprint(got.OK, " ")
		for _, p := range got.Problems {
			text += p.Kind + " "
		}
		for _, s := range got.Shards {
			text += s.ID
		}
		for _, m := range got.Migrating {
			text += fmt.Sprint(" ", m.Slot)
		}
		assert.Equal(t, want[i], text)
	}
}

// Each key goes to the owner that the file gives its slot.
func TestRouteCaptures(t *testing.T) {
	captured := captures(t)
	var keys strings.Builder
	for slot := range hashslot.Slot(hashslot.Count) {
		keys.WriteString(slot.Tag() + "\n")
	}
	for _, path := range []string{"redis-7.0.15/alternating_all_single_slots/17265.nodes.txt", "valkey-8.0.1/migrated/17104.nodes.txt"} {
		r := runOn(keys.String(), "route", "-nodes", captured+path)
		require.Equal(t, exitOK, r.code)
		text, err := os.ReadFile(captured + path)
		require.NoError(t, err)
		owner := map[int]string{}
		for _, l := range strings.Split(strings.TrimSpace(string(text)), "\n") {
			f := strings.Fields(l)
			for _, rg := range f[8:] {
				var first, last int
				if n, _ := fmt.Sscanf(rg, "%d-%d", &first, &last); n == 1 {
					last = first
				}
				for s := first; s <= last; s++ {
					owner[s], _, _ = strings.Cut(f[1], "@")
				}
			}
		}
		for slot, l := range strings.Split(strings.TrimSuffix(r.out, "\n"), "\n") {
			f := strings.Split(l, "\t")
			require.Equal(t, []string{fmt.Sprint(slot), owner[slot], hashslot.Slot(slot).Tag()}, []string{f[0], f[2], f[3]})
		}
	}
}
