package interop_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/adapter/redigo"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A primary is killed under load. Its replica takes over, clients go to the replica, and
// no acknowledged write of the other shards is lost.
func TestKill(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c, _ := create(t, s, 6, 1, servers.Config{})
		cl := client(t, c)
		check := newChecker(redigoStore{cl}, 1000)
		check.write()

		lost, _ := cl.Router.For(0)
		victim := c.At(lost.Primary.Addr())
		table, _ := cl.Router.Table()
		slots := table.SlotsOf(lost)
		check.start(5 * time.Millisecond)
		check.losing(slots)
		victim.Kill()
		killed := time.Now()
		heir := lost.Replicas[0]
		c.Wait("the clients use the replica", func() bool {
			shard, _ := cl.Router.For(0)
			return shard != nil && shard.Primary.ID == heir.ID
		})
		t.Logf("%.1f s after the kill the clients use the replica", time.Since(killed).Seconds())
		c.Settle()
		check.finish(t)
		assert.Positive(t, check.done.Load())

		now, _ := cl.Router.Table()
		got, _ := now.Lookup(0)
		require.Equal(t, slots, now.SlotsOf(got), "the shard is still one")

		// The view of the new primary, and that of the old one when it is back, show
		// that the two have changed places.
		require.NoError(t, victim.Restart())
		c.Wait("the old primary is a replica", func() bool {
			view, err := victim.View()
			return err == nil && view.Myself().Role == topology.RoleReplica && view.Myself().PrimaryID == heir.ID
		})
		c.Settle()
		require.NoError(t, cl.Refresh())
		shard, _ := cl.Router.For(0)
		require.Len(t, shard.Replicas, 1)
		assert.Equal(t, victim.ID, shard.Replicas[0].ID)
	})
}

// A replica takes over while its primary lives. One MOVED is enough to learn that the
// whole shard has failed over, and an older view does not undo that.
func TestFailover(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c, _ := create(t, s, 6, 1, servers.Config{})
		before, err := c.Nodes[0].View()
		require.NoError(t, err)
		var router topology.Router
		require.Equal(t, topology.OutcomeApplied, router.Apply(before, router.Generation()).Outcome)
		old, seen := router.For(0)
		table, _ := router.Table()
		slots := table.SlotsOf(old)
		heir := old.Replicas[0]
		key := "{" + hashslot.Slot(0).Tag() + "}"
		_, err = c.At(old.Primary.Addr()).Do("SET", key, "0") // 6.0 does not fail over before the first write
		require.NoError(t, err)
		c.At(heir.Addr()).String("CLUSTER", "FAILOVER")
		c.Wait("the replica has taken over", func() bool {
			view, err := c.At(old.Primary.Addr()).View()
			return err == nil && view.Myself().Role == topology.RoleReplica
		})

		_, err = c.At(old.Primary.Addr()).Do("SET", key, "1")
		require.Error(t, err)
		require.Equal(t, topology.ActionMoved, topology.Classify(err.Error()))
		rd, err := topology.ParseRedirect(err.Error(), topology.Origin{})
		require.NoError(t, err)
		result := router.Moved(rd, nil, seen)
		require.Equal(t, topology.OutcomeFailedOver, result.Outcome)
		require.Equal(t, heir.ID, result.Node.ID)
		require.Equal(t, slots, result.Change.Slots)
		require.Equal(t, topology.OutcomeStale, router.Apply(before, seen).Outcome, "the view from before")

		conn, err := c.At(heir.Addr()).Dial()
		require.NoError(t, err)
		defer conn.Close()
		for i := range 2000 {
			key := "key:" + strconv.Itoa(i)
			slot := hashslot.Of(key)
			if shard, _ := router.For(slot); slots.Contains(slot) {
				require.Equal(t, heir.ID, shard.Primary.ID)
				_, err := conn.Do("SET", key, i)
				require.NoError(t, err)
			}
		}
		c.Settle()
		after, err := c.Nodes[0].View()
		require.NoError(t, err)
		require.Contains(t, []topology.Outcome{topology.OutcomeApplied, topology.OutcomeUnchanged}, router.Apply(after, router.Generation()).Outcome)
		shard, _ := router.For(0)
		require.Equal(t, heir.ID, shard.Primary.ID)
	})
}

// Two primaries, each with a replica, as in an old tutorial. The servers' own tools
// before Valkey 8.1 refuse to create such a cluster. It works until one primary is lost:
// no majority can agree on the failure, so no replica takes over, and the whole cluster
// is down.
func TestTwoPrimaries(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c := s.Start(t, 4, servers.Config{})
		args := []string{"--cluster", "create"}
		for _, n := range c.Nodes {
			args = append(args, n.Addr())
		}
		if s.Name == "redis" || !s.AtLeast(8, 1) {
			out, err := s.CLI(append(args, "--cluster-replicas", "1", "--cluster-yes")...)
			require.Error(t, err)
			require.Contains(t, out, "at least 3 ")
		}
		layout, err := plan.Create(c.Hosts(), 1)
		require.NoError(t, err)
		require.Len(t, layout.Shards, 2)
		require.NotEmpty(t, layout.Warnings)
		c.Create(layout)
		for _, n := range c.Nodes {
			slot, err := redis.Int(n.Do("CLUSTER", "KEYSLOT", "mykey"))
			require.NoError(t, err)
			require.Equal(t, 14687, slot)
		}
		cl := client(t, c)
		require.NoError(t, cl.Do(redigo.Command{"SET", "mykey", 1}).Err)

		lost, _ := cl.Router.For(0)
		mine, _ := cl.Router.ForKey("mykey")
		require.NotEqual(t, lost.Primary.ID, mine.Primary.ID)
		c.At(lost.Primary.Addr()).Kill()
		survivor := c.At(mine.Primary.Addr())
		c.Wait("the cluster is down", func() bool { return survivor.Info("cluster_state") == "fail" })
		time.Sleep(2 * servers.NodeTimeout) // in this time, a replica would take over if there were three primaries
		view, err := survivor.View()
		require.NoError(t, err)
		shard, ok := view.Table().Lookup(0)
		require.True(t, ok)
		assert.Equal(t, lost.Primary.ID, shard.Primary.ID, "nobody takes over")
		assert.True(t, shard.Primary.Flags.Has(topology.FlagPFail), "suspected: %v", shard.Primary.Flags)
		assert.False(t, shard.Primary.Flags.Has(topology.FlagFail), "but never agreed to have failed")
		assert.False(t, shard.Primary.Serves())
		assert.Equal(t, "fail", survivor.Info("cluster_state"))

		_, err = survivor.Do("GET", "mykey")
		require.ErrorContains(t, err, "CLUSTERDOWN The cluster is down")
		assert.Equal(t, topology.ActionRefresh, topology.Classify(err.Error()))
		_, err = plan.Rebalance(view, plan.RebalanceOptions{})
		var state *plan.StateError
		require.ErrorAs(t, err, &state, "no plan while a primary is missing")
		assert.Equal(t, plan.ProblemUnreachable, state.Problem)
		assert.Contains(t, state.Nodes, lost.Primary.ID)
	})
}
