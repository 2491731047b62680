package plantest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// randomCluster returns a cluster of primaries with runs of slots, some without any, each
// with a replica.
func randomCluster(t testing.TB, seed uint64, primaries int) *topology.Cluster {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 2))
	slots := make([]strings.Builder, primaries)
	for first := 0; first < hashslot.Count; {
		last := min(first+rng.IntN(900), hashslot.Count-1)
		fmt.Fprintf(&slots[rng.IntN(primaries-2)], " %d-%d", first, last)
		first = last + 1
	}
	var text strings.Builder
	for i := range primaries {
		fmt.Fprintf(&text, "p%02d 10.0.0.%d:6379@1 master - 0 0 %d connected%s\nr%02d 10.0.1.%d:6379@1 slave p%02d 0 0 %d connected\n", i, i, i+1, slots[i].String(), i, i, i, i+1)
	}
	return parse(t, text.String())
}

// After every step of every rendering, each slot has one owner, and a client reaches every
// key by way of every node.
func TestFollowsPlans(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	view := randomCluster(t, 1, 6)
	p, err := plan.Rebalance(view, plan.RebalanceOptions{UseEmpty: true})
	require.NoError(t, err)
	most, fill := 40, 3000
	if testing.Short() {
		most, fill = 2, 500
	}
	batches, err := p.Batches(most)
	require.NoError(t, err)
	first := slices.Collect(batches)[0]
	seq, err := first.SetSlots(plan.SetSlotOptions{})
	require.NoError(t, err)
	c := New(view)
	keys := c.Fill(fill, 1)
	for s := range seq {
		require.NoError(t, c.Run(s))
		for _, r := range s.Slots {
			require.NoError(t, c.Check(slotmap.SetOf(r)))
		}
		if rng.IntN(20) == 0 {
			c.Gossip()
		}
	}
	c.Gossip()
	require.True(t, first.After.Equal(c.Table()))
	require.Len(t, inventory(c), len(keys))

	for name, steps := range map[string][]plan.Step{"migrateslots": p.MigrateSlots(), "import": p.MigrationImport()} {
		c := New(view)
		c.Fill(300, 1)
		for _, s := range steps {
			require.NoError(t, c.Run(s), name)
			c.Gossip()
			if !testing.Short() || rng.IntN(5) == 0 {
				require.NoError(t, c.Check(slotmap.SetOf(s.Slots...)), name)
			}
		}
		require.True(t, p.After.Equal(c.Table()), name)
		if !testing.Short() {
			require.NoError(t, c.Check(all), name)
		}
	}
}

// Primaries are spread, and every slot is served after every step.
func TestFollowsBalance(t *testing.T) {
	view := randomCluster(t, 3, 7)
	o := plan.BalanceOptions{Machines: map[string]string{}, Zones: map[string]string{}}
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range view.Nodes() {
		m := rng.IntN(4)
		o.Machines[n.ID], o.Zones[n.ID] = fmt.Sprint(m), fmt.Sprint(m/2)
	}
	s, err := plan.Balance(view, o)
	require.NoError(t, err)
	require.NotEmpty(t, s.Moves)
	require.NotEmpty(t, s.Failovers)
	c := New(view)
	keys := c.Fill(100, 1)
	slots := slotmap.MustParseSet("0-99 16000-16100")
	for _, step := range s.Steps {
		require.NoError(t, c.Run(step))
		require.NoError(t, c.Check(slots))
		c.Gossip()
		require.NoError(t, c.Check(slots))
	}
	require.Len(t, inventory(c), len(keys))
	views, err := c.Views()
	require.NoError(t, err)
	again, err := plan.Balance(views[0], o)
	require.NoError(t, err)
	require.Empty(t, again.Steps)
}

// Replies have the servers' wording.
func TestReplies(t *testing.T) {
	c := five(t)
	tag := func(slot hashslot.Slot) string { return "{" + slot.Tag() + "}" }
	k := tag(5)
	c.Put("a", k+"1", "x")
	c.Put("b", k+"2", "y")
	ask := func(want any, command string) {
		t.Helper()
		got, err := try(c, command)
		if err != nil {
			got = err.Error()
		}
		require.Equal(t, want, got, command)
	}
	ask("PONG", "a PING")
	ask("OK", "a SET "+k+"3 v")
	ask("v", "a get "+k+"3")
	ask(nil, "a GET "+k+"9")
	ask([]any{"x", nil}, "a MGET "+k+"1 "+k+"2")
	ask(int64(1), "a INCR "+k+"n")
	ask("ERR value is not an integer or out of range", "a INCR "+k+"3")
	ask(int64(2), "a EXISTS "+k+"1 "+k+"3")
	ask(int64(1), "a DEL "+k+"3 "+k+"9")
	ask("OK", "a MSET "+k+"1 x "+k+"4 z")
	ask("CROSSSLOT Keys in request don't hash to the same slot", "a MGET "+k+" "+tag(6))
	ask("MOVED 5 10.0.0.1:6379", "c GET "+k)
	ask("ERR wrong number of arguments for 'get' command", "a GET")
	ask("ERR wrong number of arguments for 'get' command", "a GET x y")
	ask("ERR wrong number of arguments for 'mset' command", "a MSET x y z")
	ask("ERR unknown command 'FLUSHALL'", "a FLUSHALL")
	ask("ERR unknown subcommand 'NOSUCH'. Try CLUSTER HELP.", "a CLUSTER nosuch")
	ask("ERR wrong number of arguments for 'cluster|setslot' command", "a CLUSTER SETSLOT 5")
	ask("ERR Invalid or out of range slot", "a CLUSTER SETSLOT 16384 STABLE")
	ask("ERR I don't know about node z", "a CLUSTER SETSLOT 5 MIGRATING z")
	ask("ERR Unknown node z", "a CLUSTER SETSLOT 5 NODE z")
	ask("ERR I'm already the owner of hash slot 5", "a CLUSTER SETSLOT 5 IMPORTING b")
	ask("ERR I'm not the owner of hash slot 5", "b CLUSTER SETSLOT 5 MIGRATING a")
	ask("ERR Can't assign hashslot 5 to a different node while I still hold keys for this hash slot.", "a CLUSTER SETSLOT 5 NODE b")
	ask("ERR Invalid CLUSTER SETSLOT action or number of arguments", "a CLUSTER SETSLOT 5 STABLE b")
	ask("ERR Slot 5 is already busy", "a CLUSTER ADDSLOTS 5")
	ask("ERR Slot 5 specified multiple times", "a CLUSTER DELSLOTS 5 5")
	ask("ERR start slot number 6 is greater than end slot number 5", "a CLUSTER DELSLOTSRANGE 6 5")
	ask("ERR Target node can not be this node", "a CLUSTER MIGRATESLOTS SLOTSRANGE 0 9 NODE a")
	ask("ERR Unknown node name", "a CLUSTER MIGRATESLOTS SLOTSRANGE 0 9 NODE z")
	ask("ERR Slots are not served by this node", "b CLUSTER MIGRATESLOTS SLOTSRANGE 0 9 NODE a")
	ask("ERR Slot ranges in migrations overlap", "a CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 NODE b SLOTSRANGE 5 9 NODE c")
	ask("ERR You should send CLUSTER FAILOVER to a replica", "a CLUSTER FAILOVER")
	ask("ERR To set a master the node must be empty and without assigned slots.", "a CLUSTER REPLICATE b")
	ask("ERR Unknown node z", "a CLUSTER REPLICATE z")
	ask("STILL 5", "e CLUSTER BUMPEPOCH")
	ask("BUMPED 6", "a CLUSTER BUMPEPOCH")
	c.Gossip()
	ask(int64(3), "a CLUSTER COUNTKEYSINSLOT 5")
	ask([]any{k + "1", k + "4"}, "a CLUSTER GETKEYSINSLOT 5 2")
	ask(int64(3), "a DBSIZE")

	// A slot is being moved: b has the key 2, a the keys 1 and 4.
	do(t, c, "b CLUSTER SETSLOT 5 IMPORTING a", "a CLUSTER SETSLOT 5 MIGRATING b")
	ask("ERR Slots are being manually migrated", "a CLUSTER MIGRATESLOTS SLOTSRANGE 5 5 NODE b")
	ask("x", "a GET "+k+"1")
	ask("ASK 5 10.0.0.2:6379", "a GET "+k+"2")
	ask("TRYAGAIN Multiple keys request during rehashing of slot", "a MGET "+k+"1 "+k+"2")
	ask("MOVED 5 10.0.0.1:6379", "b GET "+k+"2")
	b, err := c.Dial("10.0.0.2:6379")
	require.NoError(t, err)
	asking := func(want any, command ...string) {
		t.Helper()
		_, err := b.Do("ASKING")
		require.NoError(t, err)
		got, err := b.Do(command...)
		if err != nil {
			got = err.Error()
		}
		require.Equal(t, want, got)
	}
	asking("y", "GET", k+"2")
	asking(nil, "GET", k+"1")
	asking("TRYAGAIN Multiple keys request during rehashing of slot", "MGET", k+"1", k+"2")
	_, err = b.Do("GET", k+"2")
	require.EqualError(t, err, "MOVED 5 10.0.0.1:6379", "ASKING is for one command")
	ask("NOKEY", `a MIGRATE 10.0.0.2 6379 "" 0 100 KEYS `+k+"none")
	c.Put("b", k+"1", "older")
	ask("ERR Target instance replied with error: BUSYKEY Target key name already exists.", `a MIGRATE 10.0.0.2 6379 "" 0 100 KEYS `+k+"1")
	ask("OK", `a MIGRATE 10.0.0.2 6379 "" 0 100 REPLACE AUTH2 u p KEYS `+k+"1 "+k+"4 "+k+"n")
	ask("IOERR error or timeout connecting to the client", `b MIGRATE 10.0.0.9 6379 "" 0 100 KEYS `+k+"1")
	ask("ERR syntax error", `b MIGRATE 10.0.0.9 6379 "" 0 100 KEYS`)
	require.NoError(t, c.Check(slotmap.MustParseSet("5")))
	asking("x", "GET", k+"1")
	do(t, c, "b CLUSTER SETSLOT 5 NODE b", "a CLUSTER SETSLOT 5 NODE b")
	ask("MOVED 5 10.0.0.2:6379", "a GET "+k+"1")
	ask("MOVED 5 10.0.0.1:6379", "c GET "+k+"1") // c has not heard of it
	require.NoError(t, c.Check(slotmap.MustParseSet("5")))
	c.Gossip()
	ask("MOVED 5 10.0.0.2:6379", "c GET "+k+"1")

	do(t, c, "a CLUSTER DELSLOTS 7")
	ask("CLUSTERDOWN Hash slot not served", "a GET "+tag(7))
	ask("CLUSTERDOWN The cluster is down", "a GET "+tag(6))
	ask("MOVED 7 10.0.0.1:6379", "b GET "+tag(7))
	require.EqualError(t, c.Check(slotmap.MustParseSet("7")), "plantest: slot 7 has 0 owners")
	c.Kill("d")
	ask("CLUSTERDOWN The cluster is down", "b GET "+tag(7))
	_, err = try(c, "d PING")
	require.ErrorIs(t, err, ErrGone)
	_, err = c.Dial("10.0.0.4:6379")
	require.ErrorIs(t, err, ErrGone)
}

// A replica serves reads if asked to, and takes over.
func TestReplicas(t *testing.T) {
	c := New(randomCluster(t, 5, 4))
	c.Fill(50, 1)
	id, _ := c.Table().Lookup(100)
	replica := "r" + id[1:]
	conn := &Conn{c: c, id: replica}
	key := "{" + hashslot.Slot(100).Tag() + "}"
	c.Put(id, key, "v")
	_, err := conn.Do("GET", key)
	require.ErrorContains(t, err, "MOVED 100 10.0.0.")
	_, err = conn.Do("READONLY")
	require.NoError(t, err)
	v, err := conn.Do("GET", key)
	require.NoError(t, err)
	require.Equal(t, "v", v)
	_, err = conn.Do("SET", key, "w")
	require.ErrorContains(t, err, "MOVED 100 10.0.0.")
	do(t, c, replica+" CLUSTER FAILOVER")
	v, err = conn.Do("SET", key, "w")
	require.NoError(t, err)
	require.Equal(t, "OK", v)
	c.Gossip()
	require.NoError(t, c.Check(slotmap.MustParseSet("0-200")))
	_, err = try(c, id+" CLUSTER SETSLOT 100 STABLE")
	require.EqualError(t, err, "ERR Please use SETSLOT only with masters.")
	// A primary that is down is replaced only by FORCE. It is a replica when it is back.
	c.Kill(replica)
	_, err = try(c, id+" CLUSTER FAILOVER")
	require.ErrorContains(t, err, "Master is down or failed")
	do(t, c, id+" CLUSTER FAILOVER FORCE")
	c.Gossip()
	c.Revive(replica)
	c.Gossip()
	require.NoError(t, c.Check(slotmap.MustParseSet("0-200")))
	views, err := c.Views()
	require.NoError(t, err)
	i := slices.IndexFunc(views, func(v *topology.Cluster) bool { return v.Myself().ID == replica })
	require.Equal(t, id, views[i].Myself().PrimaryID)
	reply, err := try(c, id+" CLUSTER SLOTS")
	require.NoError(t, err)
	slots, err := topology.ParseSlots(reply, topology.Origin{})
	require.NoError(t, err)
	for r, owner := range slots.Table().Ranges() {
		want, _ := views[i].Table().Lookup(r.First)
		require.Equal(t, want.Primary.ID, owner.Primary.ID)
	}
}

// Check finds a key that clients cannot find, a key at two nodes, and two owners.
func TestCheckFinds(t *testing.T) {
	key := "{" + hashslot.Slot(5).Tag() + "}"
	for want, commands := range map[string][]string{
		"gets to":                             {"b CLUSTER SETSLOT 5 IMPORTING a", "a CLUSTER SETSLOT 5 STABLE"},
		"has 2 owners":                        {"b CLUSTER DELSLOTS 5", "b CLUSTER ADDSLOTS 5"},
		"too many redirects":                  {"a CLUSTER SETSLOT 5 MIGRATING b"},
		"has the key \"{460}\" at a and at b": {"a SET " + key + " 1"},
	} {
		c := five(t)
		c.Put("b", key, "1")
		do(t, c, commands...)
		err := c.Check(slotmap.MustParseSet("5"))
		var e *CheckError
		require.ErrorAs(t, err, &e, want)
		require.ErrorContains(t, err, want)
	}
	c := five(t)
	do(t, c, "c CLUSTER DELSLOTS 5")
	require.ErrorContains(t, c.Check(slotmap.MustParseSet("5")), "a client that asks c for it gets CLUSTERDOWN Hash slot not served")
}
