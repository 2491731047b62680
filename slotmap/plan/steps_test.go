package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/slotmap"
)

var (
	nodeA = Node{ID: "a", Addr: "10.0.0.1:6379"}
	nodeB = Node{ID: "b", Addr: "10.0.0.2:6379"}
)

// nodesOf returns CLUSTER NODES with the given lines. The first letter of a line names the
// node, and a or b is "myself".
func nodesOf(lines ...string) string {
	var text strings.Builder
	for i, l := range lines {
		id, rest, _ := strings.Cut(l, " ")
		flags, slots, _ := strings.Cut(rest, " ")
		primary := "-"
		if role, of, ok := strings.Cut(flags, ":"); ok {
			flags, primary = role, of
		}
		fmt.Fprintf(&text, "%s 10.0.0.%d:6379@1 %s %s 0 0 %d connected %s\n", id, i+1, flags, primary, i+1, slots)
	}
	return text.String()
}

func TestStepProgress(t *testing.T) {
	valkey := func(state, message string) any {
		return []any{map[string]any{"name": "j", "operation": "EXPORT", "slot_ranges": "5 7-9", "source_node": "a", "target_node": "b", "state": state, "message": message, "create_time": int64(9)}}
	}
	const info = "# Replication\r\nrole:slave\r\nmaster_link_status:"
	export := (&Plan{Moves: []Move{{From: "a", To: "b", Slots: slotmap.MustParseSet("5 7-9")}}, Nodes: []Node{nodeA, nodeB}}).MigrateSlots()[0]
	imported := (&Plan{Moves: []Move{{From: "a", To: "b", Slots: slotmap.MustParseSet("5 7-9")}}, Nodes: []Node{nodeA, nodeB}}).MigrationImport()[0]
	keys := keysOf(nodeA, nodeB, 5, &SetSlotOptions{}, 0)
	epoch := Step{Kind: KindEpoch, Command: []string{"x"}, Until: Until{untilHasEpoch, [][]string{{"CLUSTER", "INFO"}}}}
	meet := Step{Kind: KindMeet, Node: "a", Peer: "b", PeerAddr: nodeB.Addr, Command: []string{"x"}, Until: Until{untilKnowsPeer, [][]string{askNodes}}}
	one57 := []slotmap.Range{{First: 5, Last: 7}}
	for _, tc := range []struct {
		name    string
		step    Step
		replies []any
		want    Progress
		why     string
	}{
		{"imports", importing(nodeA, nodeB, 5), []any{nodesOf("a myself,master [5-<-b]", "b master 0-9")}, ProgressDone, ""},
		{"not yet", importing(nodeA, nodeB, 5), []any{nodesOf("a myself,master", "b master 0-9")}, ProgressNotStarted, ""},
		{"from another", importing(nodeA, nodeB, 5), []any{nodesOf("a myself,master [5-<-c]", "b master 0-9", "c master")}, ProgressNotStarted, ""},
		{"has it", importing(nodeA, nodeB, 5), []any{nodesOf("a myself,master 5", "b master 0-4")}, ProgressDone, ""},
		{"moved elsewhere", importing(nodeA, nodeB, 5), []any{nodesOf("a myself,master", "b master 0-4", "c\x1b master 5")}, ProgressFailed, `slot 5 is owned by "c\x1b"`},
		{"owner unknown", importing(nodeA, nodeB, 5), []any{nodesOf("a myself,master", "b master 0-4")}, ProgressFailed, "slot 5 has no owner"},
		{"migrates", migrating(nodeA, nodeB, 5), []any{nodesOf("a myself,master 0-9 [5->-b]", "b master")}, ProgressDone, ""},
		{"not yet", migrating(nodeA, nodeB, 5), []any{nodesOf("a myself,master 0-9", "b master")}, ProgressNotStarted, ""},
		{"to another", migrating(nodeA, nodeB, 5), []any{nodesOf("a myself,master 0-9 [5->-c]", "b master", "c master")}, ProgressNotStarted, ""},
		{"has moved", migrating(nodeA, nodeB, 5), []any{nodesOf("a myself,master 0-4", "b master 5")}, ProgressDone, ""},
		{"moved elsewhere", migrating(nodeA, nodeB, 5), []any{nodesOf("a myself,master 0-4", "b master", "c master 5")}, ProgressFailed, "slot 5 is owned by c"},
		{"keys", keys, []any{[]any{[]byte("k")}}, ProgressNotStarted, ""},
		{"no keys", keys, []any{[]any{}}, ProgressDone, ""},
		{"null", keys, []any{nil}, ProgressDone, ""},
		{"no list", keys, []any{int64(3)}, ProgressRunning, "plan: keys: is the number 3, not a list"},
		{"owner", owned(nodeA, nodeB, 5), []any{nodesOf("a myself,master", "b master 5")}, ProgressDone, ""},
		{"not yet", owned(nodeA, nodeB, 5), []any{[]byte(nodesOf("a myself,master 5", "b master"))}, ProgressNotStarted, ""},
		{"closed", stable(nodeA, 5), []any{nodesOf("a myself,master 5")}, ProgressDone, ""},
		{"open", stable(nodeA, 5), []any{nodesOf("a myself,master 5 [5->-b]", "b master")}, ProgressNotStarted, ""},
		{"open", stable(nodeA, 5), []any{nodesOf("a myself,master [5-<-b]", "b master 5")}, ProgressNotStarted, ""},
		{"closed", untaken(nodeA, 5), []any{nodesOf("a myself,master", "b master 5")}, ProgressDone, ""},
		{"open", untaken(nodeA, 5), []any{nodesOf("a myself,master [5-<-b]", "b master 5")}, ProgressNotStarted, ""},
		{"taken", untaken(nodeA, 5), []any{nodesOf("a myself,master 5", "b master")}, ProgressFailed, "slot 5 is owned by a"},
		{"assigned", assigned(nodeA, one57, false), []any{nodesOf("a myself,master 0-9")}, ProgressDone, ""},
		{"some free", assigned(nodeA, one57, false), []any{nodesOf("a myself,master 0-6")}, ProgressNotStarted, ""},
		{"taken", assigned(nodeA, one57, false), []any{nodesOf("a myself,master 0-6", "b master 7")}, ProgressFailed, "slot 7 is owned by b"},
		{"unassigned", unassigned(nodeA, one57, false), []any{nodesOf("a myself,master 0-4", "b master 8-9")}, ProgressDone, ""},
		{"still assigned", unassigned(nodeA, one57, false), []any{nodesOf("a myself,master 0-4", "b master 7")}, ProgressNotStarted, ""},
		{"others are open", stable(nodeA, 5), []any{nodesOf("a myself,master 0-9 [4->-b] [6->-b]", "b master")}, ProgressDone, ""},
		{"open elsewhere", stable(nodeA, 5), []any{nodesOf("c myself,master 5 [5->-b]", "a master", "b master")}, ProgressDone, ""},
		{"open elsewhere", stable(nodeA, 5), []any{nodesOf("b myself,master [5-<-a]", "a master 5")}, ProgressDone, ""},
		{"open elsewhere", stable(nodeA, 5), []any{nodesOf("c myself,master [5-<-b]", "a master", "b master 5")}, ProgressDone, ""},
		{"open elsewhere", stable(nodeA, 5), []any{nodesOf("b myself,master 5 [5->-a]", "a master")}, ProgressDone, ""},
		{"the other end imports", importing(nodeA, nodeB, 5), []any{nodesOf("b myself,master 5 [5->-a]", "a master")}, ProgressNotStarted, ""},
		{"a third imports", importing(nodeA, nodeB, 5), []any{nodesOf("c myself,master [5-<-b]", "a master", "b master 5")}, ProgressNotStarted, ""},
		{"the other end migrates", migrating(nodeA, nodeB, 5), []any{nodesOf("b myself,master [5-<-a]", "a master 5")}, ProgressNotStarted, ""},
		{"a third migrates", migrating(nodeA, nodeB, 5), []any{nodesOf("c myself,master [5->-b]", "a master 5", "b master")}, ProgressNotStarted, ""},
		{"nobody's view", replicating(nodeB, nodeA), []any{info + "up\r\n", nodesOf("a master 0-9", "b slave:a")}, ProgressNotStarted, ""},
		{"nobody's view", failingOver(nodeB, nodeA), []any{nodesOf("a master 0-9", "b slave:a")}, ProgressRunning, "is no primary yet"},
		{"a primary", replicating(nodeB, nodeA), []any{info + "up\r\n", nodesOf("a master 0-9", "b myself,master")}, ProgressNotStarted, ""},
		{"old server", epoch, []any{"cluster_state:ok\r\n"}, ProgressNotStarted, ""},
		{"no text", epoch, []any{5}, ProgressRunning, "the reply is no text"},
		{"too many replies", owned(nodeA, nodeB, 5), []any{nodesOf("a myself,master", "b master 5"), errors.New("ERR no")}, ProgressDone, ""},
		{"imports in the background", imported, []any{[]any{}, nodesOf("b myself,master", "a master 0-9")}, ProgressNotStarted, ""},
		{"imported", imported, []any{[]any{}, nodesOf("b myself,master 5-9", "a master 0-4")}, ProgressDone, ""},
		{"elsewhere", imported, []any{[]any{}, nodesOf("b myself,master", "a master 0-8", "c master 9")}, ProgressFailed, "slot 9 is owned by c"},
		{"replica", replicating(nodeB, nodeA), []any{info + "up\r\n", nodesOf("a master 0-9", "b myself,slave:a")}, ProgressDone, ""},
		{"syncing", replicating(nodeB, nodeA), []any{info + "down\r\n", nodesOf("a master 0-9", "b myself,slave:a")}, ProgressRunning, "master_link_status:down"},
		{"another's replica", replicating(nodeB, nodeA), []any{info + "up\r\n", nodesOf("a master 0-9", "b myself,slave:c", "c master")}, ProgressNotStarted, ""},
		{"primary", failingOver(nodeB, nodeA), []any{nodesOf("a slave:b", "b myself,master 0-9")}, ProgressDone, ""},
		{"not yet", failingOver(nodeB, nodeA), []any{nodesOf("a master 0-9", "b myself,slave:a")}, ProgressRunning, "is no primary yet"},
		{"epoch", epoch, []any{"cluster_state:ok\r\ncluster_my_epoch:7\r\n"}, ProgressDone, ""},
		{"no epoch", epoch, []any{"cluster_my_epoch:0\r\n"}, ProgressNotStarted, ""},
		{"met", meet, []any{nodesOf("a myself,master", "b master")}, ProgressDone, ""},
		{"not met", meet, []any{nodesOf("a myself,master", "c handshake")}, ProgressNotStarted, ""},
		{"shakes hands", meet, []any{nodesOf("a myself,master", "b handshake")}, ProgressRunning, ""},
		{"ok", waiting(nodeA, untilClusterOK, "CLUSTER", "INFO"), []any{"cluster_state:ok\r\n"}, ProgressDone, ""},
		{"fails", waiting(nodeA, untilClusterOK, "CLUSTER", "INFO"), []any{"cluster_state:fail\r\n"}, ProgressRunning, "cluster_state:fail"},
		{"primary", synced(nodeA), []any{"role:master\r\n"}, ProgressDone, ""},
		{"in sync", synced(nodeA), []any{info + "up\r\n"}, ProgressDone, ""},
		{"syncing", synced(nodeA), []any{info + "down\r\n"}, ProgressRunning, "master_link_status:down"},
		{"exported", export, []any{nil, nodesOf("a myself,master", "b master 0-9")}, ProgressDone, ""},
		{"exports", export, []any{valkey("replicating", ""), nodesOf("a myself,master 0-9", "b master")}, ProgressRunning, "replicating"},
		{"a state of later", export, []any{valkey("dancing", "well"), nodesOf("a myself,master 0-9", "b master")}, ProgressRunning, "dancing: well"},
		{"failed", export, []any{valkey("failed", "Connection lost"), nodesOf("a myself,master 0-9", "b master")}, ProgressNotStarted, "failed: Connection lost"},
		{"a job of long ago", export, []any{valkey("success", ""), nodesOf("a myself,master 0-9", "b master")}, ProgressNotStarted, ""},
		{"forgotten", export, []any{[]any{}, nodesOf("a myself,master 0-9", "b master")}, ProgressNotStarted, ""},
		{"elsewhere", export, []any{[]any{}, nodesOf("a myself,master 0-8", "b master", "c master 9")}, ProgressFailed, "slot 9 is owned by c"},
		{"loading", export, []any{errors.New("LOADING"), nil}, ProgressRunning, "CLUSTER GETSLOTMIGRATIONS: LOADING"},
		{"nothing", export, nil, ProgressRunning, "0 replies to 2 commands"},
		{"no text", owned(nodeA, nodeB, 5), []any{5}, ProgressRunning, "the reply is no text"},
		{"no nodes", owned(nodeA, nodeB, 5), []any{""}, ProgressRunning, "CLUSTER NODES: line 1, byte 0: no node"},
		{"nothing to ask", Step{Kind: KindID}, nil, ProgressDone, ""},
		{"has the highest epoch", bumped(nodeA), []any{nodesOf("b master", "d master", "a myself,master 0-4", "c slave:b")}, ProgressDone, ""},
		{"another has a higher epoch", bumped(nodeA), []any{nodesOf("b master", "a myself,master 0-4", "c\x1b master")}, ProgressNotStarted, `has config epoch 2, and knows 3 of "c\x1b"`},
		{"another has the same epoch", bumped(nodeA), []any{strings.ReplaceAll(nodesOf("b master", "a myself,master 0-4"), " 0 0 2 ", " 0 0 1 ")}, ProgressNotStarted, "has config epoch 1, and knows 1 of b"},
		{"a replica has no epoch", bumped(nodeA), []any{nodesOf("b master", "a myself,slave:b")}, ProgressFailed, "is no primary"},
		{"knows not itself", bumped(nodeA), []any{nodesOf("b master")}, ProgressFailed, "is no primary"},
		{"follows", following(nodeA, nodeB, one57, 2), []any{nodesOf("a myself,master 0-4", "b master 5-7", "c master")}, ProgressDone, ""},
		{"follows in epochs only", following(nodeA, nodeB, nil, 2), []any{nodesOf("a myself,master 0-9", "b master")}, ProgressDone, ""},
		{"has not heard", following(nodeA, nodeB, one57, 2), []any{nodesOf("c master 7", "a myself,master 0-4", "b master 5-6")}, ProgressRunning, "has not heard of it"},
		{"knows it otherwise", following(nodeA, nodeB, one57, 2), []any{nodesOf("b master 5-7", "a myself,master 0-4")}, ProgressRunning, "knows config epoch 1 of the peer"},
		{"knows not the peer", following(nodeA, nodeB, nil, 1), []any{nodesOf("a myself,master 0-4")}, ProgressRunning, "knows config epoch 0 of the peer"},
	} {
		p, why := tc.step.Progress(tc.replies...)
		require.Equal(t, tc.want, p, "%s: %s: %s", tc.step.Kind, tc.name, why)
		require.Equal(t, tc.why, why, "%s: %s", tc.step.Kind, tc.name)
	}
	require.Equal(t, "not started running done failed Progress(9)", fmt.Sprint(ProgressNotStarted, ProgressRunning, ProgressDone, ProgressFailed, Progress(9)))
}

func TestStepAnswer(t *testing.T) {
	refused := errors.New("ERR no")
	for _, tc := range []struct {
		step   Step
		answer any
		want   Progress
		why    string
	}{
		{owned(nodeA, nodeB, 5), "OK", ProgressDone, ""},
		{owned(nodeA, nodeB, 5), refused, ProgressRunning, "ERR no"},
		{Step{Kind: KindID}, "OK", ProgressDone, ""},
		{Step{Kind: KindID}, refused, ProgressNotStarted, "ERR no"},
		{stable(nodeA, 5), "OK", ProgressDone, ""},
		{untaken(nodeA, 5), "OK", ProgressRunning, ""},
		{bumped(nodeA), "STILL 5", ProgressRunning, ""},
		{bumped(nodeA), refused, ProgressRunning, "ERR no"},
		{failingOver(nodeB, nodeA), "OK", ProgressRunning, ""},
		{failingOver(nodeB, nodeA), refused, ProgressRunning, "ERR no"},
	} {
		p, why := tc.step.Answer(tc.answer)
		require.Equal(t, tc.want, p)
		require.Equal(t, tc.why, why)
	}
}

func TestMigrateCommand(t *testing.T) {
	s := keysOf(nodeA, Node{ID: "b", Addr: "[::1]:7000"}, 5, &SetSlotOptions{Replace: true, Timeout: 1500 * time.Millisecond, Keys: 7}, 2)
	require.Equal(t, 2, s.Database)
	require.Equal(t, [][]string{{"CLUSTER", "GETKEYSINSLOT", "5", "7"}}, s.Until.Ask)
	join := func(auth Auth) string { return strings.Join(s.Migrate([]string{"k1", "k2"}, auth), "|") }
	require.Equal(t, "MIGRATE|::1|7000||2|1500|REPLACE|KEYS|k1|k2", join(Auth{}))
	require.Equal(t, "MIGRATE|::1|7000||2|1500|REPLACE|AUTH|s3cret|KEYS|k1|k2", join(NewAuth("", "s3cret")))
	require.Equal(t, "MIGRATE|::1|7000||2|1500|REPLACE|AUTH2|bob|s3cret|KEYS|k1|k2", join(NewAuth("bob", "s3cret")))
	require.Equal(t, "MIGRATE|::1|7000||2|1500|REPLACE", strings.Join(s.Command, "|"), "the step is as before")
}

func TestSetSlotOptions(t *testing.T) {
	const longest = math.MaxInt32 * time.Millisecond
	for _, o := range []SetSlotOptions{{}, {Keys: 1, Timeout: time.Millisecond, Databases: 1}, {Timeout: longest}} {
		_, err := new(Plan).SetSlots(o)
		require.NoError(t, err, "%+v", o)
	}
	for _, tc := range []struct {
		o    SetSlotOptions
		want string
	}{
		{SetSlotOptions{Keys: -1}, `plan: Keys "-1": must be at least 1, or 0 for the default, 100`},
		{SetSlotOptions{Timeout: time.Millisecond - 1}, `plan: Timeout "999.999µs": must be from 1ms to 24 days, or 0 for the default, 1m`},
		{SetSlotOptions{Timeout: -1}, `plan: Timeout "-1ns": must be from 1ms to 24 days, or 0 for the default, 1m`},
		{SetSlotOptions{Timeout: longest + 1}, `plan: Timeout "596h31m23.647000001s": must be from 1ms to 24 days, or 0 for the default, 1m`},
		{SetSlotOptions{Databases: -1}, `plan: Databases "-1": must be at least 1, or 0 for the default, 1`},
	} {
		_, err := new(Plan).SetSlots(tc.o)
		var input *InputError
		require.ErrorAs(t, err, &input)
		require.EqualError(t, err, tc.want)
	}
}

func TestUnassignedSteps(t *testing.T) {
	slots := []slotmap.Range{{First: 5, Last: 7}}
	want := Step{Kind: KindUnassign, Node: "a", Addr: nodeA.Addr, Slots: slots, Command: []string{"CLUSTER", "DELSLOTSRANGE", "5", "7"}, Until: Until{untilNobodyOwns, [][]string{askNodes}}}
	require.Equal(t, want, unassigned(nodeA, slots, false))
	want.Command = []string{"CLUSTER", "DELSLOTS", "5", "6", "7"}
	require.Equal(t, want, unassigned(nodeA, slots, true))
	require.Equal(t, []string{"CLUSTER", "BUMPEPOCH"}, bumped(nodeA).Command)
}

// A step can lack the command, or commands to ask, or both.
func TestStepString(t *testing.T) {
	require.Equal(t, "a>", Step{Node: "a"}.String())
	require.Equal(t, "a> x", Step{Node: "a", Kind: KindMeet, Command: []string{"x"}}.String())
}

func TestKeysErrors(t *testing.T) {
	_, err := Step{}.Keys([]any{"a", int64(5)})
	var input *InputError
	require.ErrorAs(t, err, &input)
	require.EqualError(t, err, "plan: keys[1]: is the number 5, not text")
}

// A password is never shown, however an Auth is printed or encoded.
func TestAuthHidesThePassword(t *testing.T) {
	auth := NewAuth("bob", "s3cret")
	type around struct {
		auth Auth
		Auth Auth
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "auth", auth, "around", around{auth, auth})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "auth", auth, "around", around{auth, auth})
	text, err := json.Marshal(around{auth, auth})
	require.NoError(t, err)
	log.Write(text)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		fmt.Fprintf(&log, verb+"\n", auth)
		fmt.Fprintf(&log, verb+"\n", &auth)
		fmt.Fprintf(&log, verb+"\n", around{auth, auth})
	}
	fmt.Fprintf(&log, "%x", NewAuth("", "s3cret"))
	require.NotContains(t, log.String(), "s3cret")
	require.NotContains(t, log.String(), fmt.Sprintf("%x", "s3cret"))
	require.Contains(t, log.String(), "AUTH2 ***")
	require.Equal(t, "AUTH ***", NewAuth("", "s3cret").String())
	require.Empty(t, Auth{}.String())
	require.Equal(t, "AUTH2 ***", fmt.Sprint(auth))
	text, err = json.Marshal(auth)
	require.NoError(t, err)
	require.Equal(t, `"AUTH2 ***"`, string(text))
}

func TestPrintable(t *testing.T) {
	for s, want := range map[string]string{
		"": `""`, "a.b:1": "a.b:1", "\u00e9": "\u00e9", "a b": `"a b"`, `a"`: `"a\""`, "a'": `"a'"`, "#": `"#"`, `a\b`: `"a\\b"`, "\xff": `"\xff"`, "\n": `"\n"`,
	} {
		require.Equal(t, want, printable(s))
	}
	require.Empty(t, printableAddr(""))
	require.Equal(t, `"a b"`, printableAddr("a b"))
	for s, want := range map[string]string{
		"": "", `a "b" \`: `a "b" \`, "\xff": `\xff`, "\x1b": `\x1b`, "a \"b\" \\ \n": `a 'b' \ \n`,
	} {
		require.Equal(t, want, printableText(s))
	}
}

// Control characters in ids and addresses do not reach a terminal.
func TestTextIsPrintable(t *testing.T) {
	const evil = "\x1b[2J\n\u202e"
	nodes := "a" + evil
	clean := func(text string) {
		t.Helper()
		require.NotEmpty(t, text)
		require.NotContains(t, text, "\x1b")
		require.NotContains(t, text, "\u202e")
		require.Equal(t, strings.Count(text, "\n"), strings.Count(strings.ReplaceAll(text, evil, ""), "\n"))
	}
	n := Node{ID: nodes, Addr: "h" + evil + ":1"}
	for _, s := range []Step{importing(n, n, 5), keysOf(n, n, 5, &SetSlotOptions{}, 0), synced(n), failingOver(n, n),
		{Kind: KindWait, Until: Until{Condition: evil, Ask: [][]string{{evil}}}}, {Command: []string{evil, "", "a b", "\xff"}}} {
		clean(s.String())
		require.NotContains(t, s.String(), "\n")
	}
	p := Plan{Moves: []Move{{From: nodes, To: nodes + "2", Slots: slotmap.MustParseSet("5")}}, Nodes: []Node{n}, Warnings: []string{nodes}}
	clean(p.Summary())
	clean(Layout{Shards: []LayoutShard{{Primary: Host{Addr: evil, Zone: evil}}}, Warnings: []string{evil}}.Summary())
	clean((&InputError{Field: evil, Value: evil, Reason: evil}).Error())
	clean((&StateError{Problem: ProblemOpenSlots, Nodes: []string{evil}, Advice: evil}).Error())
	one, other := Node{ID: "a", Addr: "a:1"}, Node{ID: "b", Addr: "b:1"}
	require.Equal(t, "a:1> CLUSTER NODES  # until the node knows that b:1 owns slots 5-7, with config epoch 19 or a higher one", following(one, other, []slotmap.Range{{First: 5, Last: 7}}, 19).String())
	require.Equal(t, "a:1> CLUSTER NODES  # until the node knows config epoch 9 or a higher one of b:1", following(one, other, nil, 9).String())
	require.Equal(t, "a:1> CLUSTER NODES  # until the node knows that b:1 owns slots 5", hearing(one, other, []slotmap.Range{{First: 5, Last: 5}}).String())
	require.Equal(t, "a:1> CLUSTER BUMPEPOCH  # and again, until the node has a config epoch above all others that it knows", bumped(one).String())
	require.Equal(t, "a:1> CLUSTER SETSLOT 5 STABLE  # then repeat CLUSTER NODES until the node has the slot closed, and does not own it", untaken(one, 5).String())
	require.Equal(t, `> "a b" "" x`, Step{Kind: KindOwner, Command: []string{"a b", "", "x"}}.String()[2:])
}

// No node has two steps in a round. If sources and targets are different nodes, there are
// only as many rounds as the busiest node has steps.
func TestRounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 300 {
		p := Plan{}
		busy := map[string]int{}
		sources, targets, slot := 1+rng.IntN(9), 1+rng.IntN(9), 0
		bipartite := i%2 == 0
		for s := range sources {
			for d := range targets {
				from, to := fmt.Sprint("s", s), fmt.Sprint("d", d)
				if !bipartite {
					from, to = fmt.Sprint("n", s), fmt.Sprint("n", d)
				}
				if rng.IntN(3) == 0 || from == to {
					continue
				}
				p.Moves = append(p.Moves, Move{From: from, To: to, Slots: slotmap.MustParseSet(fmt.Sprint(slot))})
				busy[from]++
				busy[to]++
				slot++
			}
		}
		rng.Shuffle(len(p.Moves), func(i, k int) { p.Moves[i], p.Moves[k] = p.Moves[k], p.Moves[i] })
		most := 0
		for _, n := range busy {
			most = max(most, n)
		}
		steps := p.MigrationImport()
		require.Len(t, steps, len(p.Moves))
		seen := map[string]bool{}
		last := 1
		for _, s := range steps {
			require.GreaterOrEqual(t, s.Round, last)
			last = s.Round
			for _, id := range []string{s.Node, s.Peer} {
				key := fmt.Sprint(s.Round, id)
				require.False(t, seen[key], "%s twice in round %d", id, s.Round)
				seen[key] = true
			}
		}
		switch {
		case len(steps) == 0:
		case bipartite:
			require.Equal(t, most, last)
		default: // a greedy edge colouring never needs more
			require.LessOrEqual(t, last, 2*most-1)
		}
	}
}

func TestLayoutSteps(t *testing.T) {
	hosts := make([]Host, 4)
	for i := range hosts {
		hosts[i] = Host{Addr: fmt.Sprintf("10.0.0.%d:6379", i+1), ID: string(rune('a' + i))}
	}
	l, err := Create(hosts, 1)
	require.NoError(t, err)
	steps, err := l.Steps(LayoutOptions{})
	require.NoError(t, err)
	var text strings.Builder
	for _, s := range steps {
		fmt.Fprintln(&text, s.Round, s)
	}
	require.Equal(t, `1 10.0.0.1:6379> CLUSTER SET-CONFIG-EPOCH 1
1 10.0.0.2:6379> CLUSTER SET-CONFIG-EPOCH 2
1 10.0.0.3:6379> CLUSTER SET-CONFIG-EPOCH 3
1 10.0.0.4:6379> CLUSTER SET-CONFIG-EPOCH 4
2 10.0.0.1:6379> CLUSTER ADDSLOTSRANGE 0 8191
2 10.0.0.2:6379> CLUSTER ADDSLOTSRANGE 8192 16383
3 10.0.0.2:6379> CLUSTER MEET 10.0.0.1 6379  # then repeat CLUSTER NODES until the node knows the peer
3 10.0.0.3:6379> CLUSTER MEET 10.0.0.1 6379  # then repeat CLUSTER NODES until the node knows the peer
3 10.0.0.4:6379> CLUSTER MEET 10.0.0.1 6379  # then repeat CLUSTER NODES until the node knows the peer
4 10.0.0.3:6379> CLUSTER REPLICATE a  # then repeat INFO replication and CLUSTER NODES until the node is a replica of the peer, in sync
4 10.0.0.4:6379> CLUSTER REPLICATE b  # then repeat INFO replication and CLUSTER NODES until the node is a replica of the peer, in sync
5 10.0.0.1:6379> CLUSTER INFO  # until the node says that the cluster is ok
5 10.0.0.2:6379> CLUSTER INFO  # until the node says that the cluster is ok
5 10.0.0.3:6379> CLUSTER INFO  # until the node says that the cluster is ok
5 10.0.0.4:6379> CLUSTER INFO  # until the node says that the cluster is ok
`, text.String())
	require.Equal(t, [][]string{{"CLUSTER", "INFO"}}, steps[0].Until.Ask)
	steps, err = l.Steps(LayoutOptions{AddSlots: true})
	require.NoError(t, err)
	require.Equal(t, []string{"CLUSTER", "ADDSLOTS", "0", "1", "2"}, steps[4].Command[:5])
	require.Len(t, steps[4].Command, 2+8192)
	for name, change := range map[string]func(h *Host){
		`plan: hosts "10.0.0.1:6379": the ID is missing: ask the node with CLUSTER MYID`:        func(h *Host) { h.ID = "" },
		`plan: hosts "one:6379": must be an IP address and a port, for CLUSTER MEET`:            func(h *Host) { h.Addr = "one:6379" },
		`plan: hosts "[fe80::1%eth0]:6379": must be an IP address and a port, for CLUSTER MEET`: func(h *Host) { h.Addr = "[fe80::1%eth0]:6379" },
		`plan: hosts "10.0.0.2:6379": has the same ID as 10.0.0.1:6379`:                         func(h *Host) { h.ID = "b" },
	} {
		changed := Layout{Shards: append([]LayoutShard{}, l.Shards...)}
		change(&changed.Shards[0].Primary)
		_, err := changed.Steps(LayoutOptions{})
		require.EqualError(t, err, name)
	}
	l.Shards[1].Replicas[0].ID = ""
	_, err = l.Steps(LayoutOptions{})
	require.ErrorContains(t, err, "the ID is missing")
}
