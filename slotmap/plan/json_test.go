package plan

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// requireReadsBack writes the plan as JSON, reads it, and requires an equal plan.
func requireReadsBack(t *testing.T, p Plan) string {
	t.Helper()
	text, err := json.Marshal(p)
	require.NoError(t, err)
	var back Plan
	require.NoError(t, json.Unmarshal(text, &back))
	require.True(t, p.Before.Equal(back.Before))
	require.True(t, p.After.Equal(back.After))
	back.Before, back.After = p.Before, p.After
	require.Equal(t, p, back)
	return string(text)
}

func TestPlanJSON(t *testing.T) {
	p, err := Rebalance(parse(t, threeNodes), RebalanceOptions{})
	require.NoError(t, err)
	const head = `{"moves":[{"from":"a","to":"b","slots":"8192-8193"}],
		"before":[{"id":"a","slots":"0-8193"},{"id":"b","slots":"8194-16383"},{"id":"c","slots":""}],
		"after":[{"id":"a","slots":"0-8191"},{"id":"b","slots":"8192-16383"},{"id":"c","slots":""}],
		"nodes":[{"id":"a","addr":"10.0.0.1:6379","weight":1},{"id":"b","addr":"10.0.0.2:6379","weight":1},{"id":"c","addr":"10.0.0.3:6379","weight":1}],`
	require.JSONEq(t, head+`"steps":[],"warnings":[]}`, requireReadsBack(t, p))
	p.Steps = p.MigrateSlots()
	require.JSONEq(t, head+`"steps":[{"kind":"export","node":"a","addr":"10.0.0.1:6379","peer":"b","peer_addr":"10.0.0.2:6379",
		"slots":"8192-8193","round":1,"command":["CLUSTER","MIGRATESLOTS","SLOTSRANGE","8192","8193","NODE","b"],
		"until":"knows that the peer owns the slots","ask":[["CLUSTER","GETSLOTMIGRATIONS"],["CLUSTER","NODES"]]}],"warnings":[]}`, requireReadsBack(t, p))
	requireReadsBack(t, Plan{})
}

// Everything in a plan survives JSON: steps of all renderings, load, weights, warnings,
// and ids that no server has.
func TestPlanJSONOfAllKinds(t *testing.T) {
	p := fiveMoves(t)
	p.Load = slices.Repeat([]float64{0.5}, hashslot.Count)
	p.Warnings = []string{"<&>\x01"}
	p.Nodes[0].Weight = 0.1
	steps, err := p.SetSlots(SetSlotOptions{Replace: true, Databases: 2})
	require.NoError(t, err)
	var all []Step
	for s := range steps {
		all = append(all, s)
	}
	all = append(append(all, p.MigrateSlots()...), p.MigrationImport()...)
	all = append(all, following(Node{ID: "a"}, Node{ID: "b"}, nil, math.MaxUint64), untaken(Node{ID: "a"}, 5), Step{Kind: KindID, Command: []string{"x"}, Until: Until{Condition: untilAnswered}})
	all = append(all, bumped(Node{ID: "x\x1b[2J", Addr: "[::1]:5"}), stable(Node{ID: "a"}, 5), failingOver(Node{ID: "b"}, Node{ID: "c"}), replicating(Node{ID: "b"}, Node{ID: "c"}))
	p.Steps = all
	p.After = p.Before // fiveMoves has other moves than the plan
	p.Moves = nil
	text := requireReadsBack(t, p)
	require.Contains(t, text, `"database":1`)
	require.Contains(t, text, `"epoch":18446744073709551615`)
	require.NotContains(t, conditions, Condition(""))
	for _, s := range all {
		require.Contains(t, kinds, s.Kind)
		require.Contains(t, conditions, s.Until.Condition)
	}
}

func TestJSONErrors(t *testing.T) {
	const step = `{"kind":"wait","until":"is a primary","ask":[["CLUSTER","NODES"]]}`
	for _, tc := range []struct{ text, want string }{
		{`{"moves":7}`, "plan: moves: cannot be a JSON number"},
		{`[]`, "plan: : cannot be a JSON array"},
		{`{"before":[{"id":"a","slots":"0-5"},{"id":"b","slots":"5-6"}]}`, `plan: before[1].slots "5": are owned by another node as well`},
		{`{"before":[{"slots":"0-5"}]}`, `plan: before[0].id: is missing`},
		{`{"before":[{"id":"a","slots":"0-99999"}]}`, `plan: before[0]: slots: `},
		{`{"before":[{"id":"a","slots":"0-5"}]}`, `plan: after: slot 0 is owned by nobody, but the moves give it to a`},
		{`{"before":[{"id":"a","slots":"0"}],"moves":[{"from":"b","to":"c","slots":"0"}]}`, `plan: moves[0]: slot 0 is not owned by b`},
		{`{"before":[{"id":"a","slots":"0"}],"moves":[{"to":"c","slots":"0"}]}`, `plan: moves[0]: slot 0 has an owner, but the move has no source`},
		{`{"before":[{"id":"a","slots":"0"}],"moves":[{"from":"a","to":"a","slots":"0"}]}`, `plan: moves[0].to "a": is the source`},
		{`{"before":[{"id":"a","slots":"0-5"}],"moves":[{"from":"a","to":"b","slots":"0-5"},{"from":"b","to":"c","slots":"3"}],"after":[{"id":"b","slots":"0-2 4-5"},{"id":"c","slots":"3"}]}`,
			`plan: moves[1]: slot 3 is in moves[0] too`},
		{`{"moves":[{"to":"c","slots":""}]}`, `plan: moves[0].slots: are missing`},
		{`{"moves":[{"slots":"5"}]}`, `plan: moves[0].to: is missing`},
		{`{"steps":[` + step + `,null]}`, `plan: steps[1].kind: is not a kind of step`},
		{`{"steps":[{"kind":"wai\u001bt"}]}`, `plan: steps[0].kind "wai\x1bt": is not a kind of step`},
		{`{"steps":[{"kind":"wait","until":"x"}]}`, `plan: steps[0].until "x": is not a condition`},
		{`{"steps":[{"kind":"wait","until":"is a primary"}]}`, `plan: steps[0].command: is missing, and "ask" is missing too`},
		{`{"steps":[{"kind":"wait","until":"is a primary","ask":[]}]}`, `plan: steps[0].ask: is missing`},
		{`{"steps":[{"kind":"move keys","until":"has no keys of the slot","command":["MIGRATE"]}]}`, `plan: steps[0].ask: is missing`},
		{`{"steps":[{"kind":"wait","until":"is a primary","command":[""]}]}`, `plan: steps[0].command: has no name`},
		{`{"steps":[{"kind":"wait","until":"is a primary","ask":[["A"],[]]}]}`, `plan: steps[0].ask[1]: has no name`},
		{`{"steps":[{"kind":"wait","until":"is a primary","ask":[["A"]],"slots":"7-5"}]}`, `plan: steps[0].slots "7-5": slots: `},
		{`{"steps":[{"kind":"wait","until":"is a primary","ask":[["A"]],"round":-1}]}`, `plan: steps[0].round "-1": must be at least 0`},
		{`{"steps":[{"kind":"wait","until":"is a primary","ask":[["A"]],"database":-1}]}`, `plan: steps[0].database "-1": must be at least 0`},
		{`{"steps":[{"kind":"wait","until":"is a primary","ask":[["A"]],"epoch":-1}]}`, `plan: steps[0].epoch: cannot be a JSON number -1`},
		{`{"steps":[{"kind":5}]}`, `plan: steps[0].kind: cannot be a JSON number`},
		{`{"moves":[7]}`, `plan: moves[0]: cannot be a JSON number`},
		{`{"after":[{"slots":"0-5"}]}`, `plan: after[0].id: is missing`},
		{`{"steps":[{"kind":"wait","until":"is a primary","command":[]}]}`, `plan: steps[0].command: has no name`},
		{`{"steps":[{"kind":"wait","until":"is a primary","ask":[[""]]}]}`, `plan: steps[0].ask[0]: has no name`},
		{`{"load":[1]}`, `plan: load: must have 16384 numbers, one for each slot, not 1`},
	} {
		p := Plan{Warnings: []string{"as before"}}
		err := json.Unmarshal([]byte(tc.text), &p)
		require.ErrorContains(t, err, tc.want)
		var input *InputError
		require.ErrorAs(t, err, &input)
		require.Equal(t, Plan{Warnings: []string{"as before"}}, p)
	}
	require.EqualError(t, new(Plan).UnmarshalJSON([]byte(`{"moves":`)), `plan: byte 9: unexpected end of JSON input`)
	for _, v := range []any{Plan{Steps: []Step{{Node: "\xff"}}}, Plan{Nodes: []Node{{Addr: "\xff"}}}, Plan{Moves: []Move{{To: "\xff"}}}, Plan{Warnings: []string{"\xff"}},
		Layout{Shards: []LayoutShard{{Primary: Host{Addr: "\xff"}}}}, Layout{Shards: []LayoutShard{{Replicas: []Host{{Addr: "\xff"}}}}}, Layout{Warnings: []string{"\xff"}}} {
		_, err := json.Marshal(v)
		require.ErrorContains(t, err, `"\xff": must be UTF-8`)
	}
	for _, tc := range []struct {
		p    Plan
		want string
	}{
		{Plan{Nodes: []Node{{}, {Weight: math.NaN()}}}, `plan: nodes[1].weight "NaN": must be finite`},
		{Plan{Nodes: []Node{{Weight: math.Inf(1)}}}, `plan: nodes[0].weight "+Inf": must be finite`},
		{Plan{Nodes: []Node{{Weight: math.Inf(-1)}}}, `plan: nodes[0].weight "-Inf": must be finite`},
		{Plan{Load: []float64{1}}, `plan: Load: must have 16384 numbers, one for each slot, not 1`},
	} {
		_, err := tc.p.MarshalJSON()
		require.EqualError(t, err, tc.want)
		var input *InputError
		require.ErrorAs(t, err, &input)
	}
	for want, v := range map[string]json.Marshaler{
		`plan: step "\xff": must be UTF-8, because JSON is`:     Step{Node: "\xff"},
		`plan: nodes[0] "\xff": must be UTF-8, because JSON is`: Plan{Nodes: []Node{{Addr: "\xff"}}},
		`plan: warnings "\xff": must be UTF-8, because JSON is`: Plan{Warnings: []string{"\xff"}},
		`plan: moves[0] "\xff": must be UTF-8, because JSON is`: Plan{Moves: []Move{{To: "\xff"}}},
	} {
		_, err := v.MarshalJSON()
		require.EqualError(t, err, want)
	}
}

// Lists may be empty, commands may be one word, and a node without slots needs no id.
func TestJSONOfLittle(t *testing.T) {
	var p Plan
	require.NoError(t, json.Unmarshal([]byte(`{"load":[],"warnings":[],"before":[{}],"steps":[{"kind":"wait","until":"is a primary","command":["X"],"ask":[["A"]]}]}`), &p))
	require.Nil(t, p.Load)
	require.Nil(t, p.Warnings)
	require.Equal(t, []Step{{Kind: KindWait, Command: []string{"X"}, Until: Until{untilIsPrimary, [][]string{{"A"}}}}}, p.Steps)
}

// The memory that reading takes is in proportion to the text.
func TestJSONIsBounded(t *testing.T) {
	var p Plan
	text := `{"steps":[` + strings.TrimSuffix(strings.Repeat(`{},`, 1e5), ",") + `]}`
	err := json.Unmarshal([]byte(text), &p)
	var input *InputError
	require.True(t, errors.As(err, &input))
	require.Equal(t, "steps[0].kind", input.Field)
	text = `{"moves":[` + strings.TrimSuffix(strings.Repeat(`{"to":"a"},`, 1e5), ",") + `]}`
	require.ErrorContains(t, json.Unmarshal([]byte(text), &p), "moves[0].slots: are missing")
}

// The warnings of a plan are UTF-8 even if the names in them are not.
func TestWarningsAreUTF8(t *testing.T) {
	c := parse(t, "a\xff 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-16383\nb\xff 10.0.0.2:1@2 master,fail - 0 0 2 connected\n"+
		"c\xff 10.0.0.3:1@2 master - 0 0 3 connected\nd\xff 10.0.0.4:1@2 slave,fail a\xff 0 0 3 connected\n")
	p, err := Rebalance(c, RebalanceOptions{Weights: []Weight{{"c", 2}}})
	require.NoError(t, err)
	require.Equal(t, []string{
		`left out: primary "b\xff" has no slots and is not reachable (master,fail)`,
		`the weight of "c\xff" has no effect: primaries without slots are left out`}, p.Warnings)
	p, err = Drain(c, []string{"a\xff"}, DrainOptions{Receivers: []string{"c\xff"}})
	require.NoError(t, err)
	require.Contains(t, p.Warnings, `"a\xff" gives away its last slots: unless cluster-allow-replica-migration is no, it then becomes a replica of the receiver`)
	s, err := Balance(c, BalanceOptions{})
	require.NoError(t, err)
	require.Contains(t, s.Warnings, `replica "d\xff" is not reachable (slave,fail) and keeps its primary`)
	r, err := Fix([]*topology.Cluster{c}, nil, FixOptions{Unreachable: true})
	require.NoError(t, err)
	require.Contains(t, r.Warnings, `primary "b\xff" was not asked: keys that only it has are lost`)
	l := NewLayout([]LayoutShard{
		{Primary: Host{Addr: "a\xff:1", Zone: "x\xff"}, Replicas: []Host{{Addr: "a\xff:2", Zone: "x\xff"}}},
		{Primary: Host{Addr: "b:1", Zone: "x\xff"}, Replicas: []Host{{Addr: "c:1"}, {Addr: "d:1"}}},
		{Primary: Host{Addr: "e:1", Zone: "x\xff"}, Replicas: []Host{{Addr: "c\xff:2", Machine: "m"}, {Addr: "d:2", Machine: "m"}}}}, 1)
	require.Len(t, l.Warnings, 5)
	for _, w := range l.Warnings {
		require.True(t, utf8.ValidString(w), "%q", w)
	}
}
