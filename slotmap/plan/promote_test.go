package plan

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/slotmap/topology"
)

func TestPromote(t *testing.T) {
	nodes := `a h:1@2 master - 0 0 1 connected 0-5000
b h:2@3 master - 0 0 2 connected 5001-10000
c h:3@4 myself,master - 0 0 3 connected 10001-16383
d h:4@5 master - 0 0 4 connected
a1 h:5@6 slave a 0 0 1 connected
a2 h:6@7 slave a 0 0 1 connected
b1 h:7@8 slave,fail b 0 0 2 disconnected
b2 h:8@9 slave,nofailover b 0 0 2 connected
c1 h:9@10 slave,fail? c 0 0 2 connected
`
	one := func(nodes, lost string) string {
		ps, err := Promote(parse(t, nodes), strings.Fields(lost))
		require.NoError(t, err)
		var out []string
		for i, p := range ps {
			require.Equal(t, strings.Fields(lost)[i], p.Lost)
			text := p.Replica + " (" + p.Reason + ")"
			if p.Automatic {
				text += " automatic"
			} else if p.Replica != "" {
				text += " by hand: " + p.Step.Addr + "> " + line(p.Step.Command)
			}
			out = append(out, text)
		}
		return strings.Join(out, "\n")
	}
	require.Equal(t, "a1 (it has the smallest id; the view shows no other difference between the replicas) automatic", one(nodes, "a"))
	require.Equal(t, "a2 (the node that was asked has a link to it) automatic", one(strings.Replace(nodes, "slave a 0 0 1 connected", "slave a 0 0 1 disconnected", 1), "a"))
	require.Equal(t, "a2 (the others have nofailover) automatic", one(strings.Replace(nodes, "h:5@6 slave", "h:5@6 slave,nofailover", 1), "a"))
	require.Equal(t, "a1 (it has the smallest id; the view shows no other difference between the replicas) automatic", one(strings.ReplaceAll(nodes, "slave a 0 0 1 connected", "slave a 0 0 1 disconnected"), "a"))
	require.Equal(t, "a1 (it has the smallest id; the view shows no other difference between the replicas; it has nofailover, so the cluster does not elect it) by hand: h:5> CLUSTER FAILOVER FORCE", one(strings.ReplaceAll(nodes, "slave a", "slave,nofailover a"), "a"))
	// Valkey 9.2 has priorities, the smaller the better.
	priority := strings.NewReplacer("h:5@6", "h:5@6,,replica-priority=100", "h:6@7", "h:6@7,,replica-priority=10")
	require.Equal(t, "a2 (it has the smallest replica-priority, 10; the next has 100) automatic", one(priority.Replace(nodes), "a"))
	require.Equal(t, "a1 (the others have nofailover) automatic", one(strings.Replace(priority.Replace(nodes), "10 slave", "10 slave,nofailover", 1), "a"))
	require.Equal(t, "b2 (the only replica that can; it has nofailover, so the cluster does not elect it) by hand: h:8> CLUSTER FAILOVER FORCE", one(nodes, "b"))
	require.Equal(t, " (no replica is able to: c1 is not reachable)", one(nodes, "c"))
	require.Equal(t, " (the primary has no slots: there is nothing to take over)", one(nodes, "d"))
	require.Equal(t, " (the primary has no replicas)", one("a h:1@2 master - 0 0 1 connected 0-16383\n", "a"))
	// Two of three primaries are lost, or one is lost and another has failed before: no majority.
	require.Equal(t, `a1 (it has the smallest id; the view shows no other difference between the replicas; only 1 of the voting primaries are left, a majority is 2, so the cluster cannot elect it) by hand: h:5> CLUSTER FAILOVER TAKEOVER
b2 (the only replica that can; only 1 of the voting primaries are left, a majority is 2, so the cluster cannot elect it) by hand: h:8> CLUSTER FAILOVER TAKEOVER`, one(nodes, "a b"))
	require.Contains(t, one(strings.Replace(nodes, "b h:2@3 master", "b h:2@3 master,fail", 1), "a"), "TAKEOVER")
	require.Contains(t, one("a h:1@2 master - 0 0 1 connected 0\nb h:2@3 master,fail - 0 0 2 connected 1\nc h:3@4 master,fail - 0 0 3 connected 2\n"+
		"d h:4@5 master - 0 0 4 connected 3\ne h:5@6 master - 0 0 5 connected 4\nr h:6@7 slave a 0 0 1 connected\n", "a"), "only 2 of the voting primaries are left, a majority is 3")

	// CLUSTER SHARDS has the replication offsets of replicas, and whether they are loading.
	node := func(id, role string, offset int64, health string) any {
		return map[string]any{"id": id, "port": int64(1), "ip": "10.0.0.1", "endpoint": "10.0.0.1", "role": role, "replication-offset": offset, "health": health}
	}
	promote := func(nodes ...any) []Promotion {
		c, err := topology.ParseShards([]any{map[string]any{"slots": []any{int64(0), int64(16383)}, "nodes": nodes}}, topology.Origin{})
		require.NoError(t, err)
		ps, err := Promote(c, []string{"p"})
		require.NoError(t, err)
		return ps
	}
	ps := promote(node("p", "master", 100, "fail"), node("r1", "replica", 90, "loading"), node("r2", "replica", 95, "fail"))
	require.Equal(t, "no replica is able to: r1 is loading, r2 is fail", ps[0].Reason)
	ps = promote(node("p", "master", 100, "fail"), node("r1", "replica", 90, "online"), node("r2", "replica", 95, "online"), node("r3", "replica", 99, "loading"))
	require.Equal(t, "r2", ps[0].Replica)
	require.True(t, strings.HasPrefix(ps[0].Reason, "it has the highest replication offset, 95; the next has 90; "))

	for want, lost := range map[string][]string{
		`plan: lost[0]: no node has this id`:     {""},
		`plan: lost[0] "z": no node has this id`: {"z"},
		`plan: lost[0] "a1": is not a primary`:   {"a1"},
		`plan: lost[1] "a": is named twice`:      {"a", "a"},
	} {
		_, err := Promote(parse(t, nodes), lost)
		var input *InputError
		require.ErrorAs(t, err, &input)
		require.EqualError(t, err, want)
	}
	_, err := Promote(nil, nil)
	require.EqualError(t, err, "plan: Cluster: is nil")
}
