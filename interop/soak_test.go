package interop_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/interop/redigocluster"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// soakTime is HASHSLOT_SOAK, or a minute, or ten seconds in short mode.
func soakTime(t *testing.T) time.Duration {
	if text := os.Getenv("HASHSLOT_SOAK"); text != "" {
		d, err := time.ParseDuration(text)
		require.NoError(t, err, "HASHSLOT_SOAK")
		return d
	}
	if testing.Short() {
		return 10 * time.Second
	}
	return time.Minute
}

// Slots are moved, primaries change places with their replicas, are killed and
// come back, in random order, while others write, read and look slots up.
func TestSoak(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		deadline := time.Now().Add(soakTime(t))
		c, _ := create(t, s, 8, 1, servers.Config{})
		cl := client(t, c)
		check := newChecker(cl, 2000)
		check.write()
		check.start(5 * time.Millisecond)
		looked := look(t, c, &cl.Router)

		view := func() *topology.Cluster {
			view, err := c.Nodes[0].View()
			require.NoError(t, err)
			return view
		}
		did := map[string]int{}
		for time.Now().Before(deadline) {
			now := view()
			owners := slices.Collect(now.Table().Owners())
			shard := owners[r.IntN(len(owners))]
			what := []string{"reshard", "rebalance", "failover", "kill"}[r.IntN(4)]
			if len(shard.Replicas) == 0 && (what == "failover" || what == "kill") {
				continue
			}
			switch what {
			case "reshard", "rebalance":
				var p plan.Plan
				var err error
				if what == "reshard" {
					p, err = plan.Reshard(now, nil, shard.Primary.ID, 1+r.IntN(300))
				} else {
					p, err = plan.Rebalance(now, plan.RebalanceOptions{})
				}
				require.NoError(t, err)
				do := redigocluster.Move
				if migratesSlots(s) && r.IntN(2) == 0 {
					do, what = redigocluster.MigrateSlots, what+" by MIGRATESLOTS"
				}
				require.NoError(t, do(&p, servers.Dial))
				c.Settle()
			case "failover":
				replica := shard.Replicas[r.IntN(len(shard.Replicas))]
				_, err := c.At(replica.Addr()).Do("CLUSTER", "FAILOVER")
				if err != nil && strings.Contains(err.Error(), "Master is down or failed") {
					continue // its connection is not there yet
				}
				require.NoError(t, err)
				asked := time.Now()
				c.Wait("the replica has taken over", func() bool {
					if time.Since(asked) > 6*time.Second { // a replica gives up after five
						asked = time.Now()
						c.At(replica.Addr()).Do("CLUSTER", "FAILOVER")
					}
					view, err := c.At(replica.Addr()).View()
					return err == nil && view.Myself().Role == topology.RolePrimary
				})
				c.Settle()
			case "kill":
				victim := c.At(shard.Primary.Addr())
				check.losing(now.Table().SlotsOf(shard))
				victim.Kill()
				c.Settle() // only when a replica has taken over, the state is ok
				check.found()
				require.NoError(t, victim.Restart())
				c.Settle()
			}
			did[what]++
		}
		looks := looked()
		check.finish(t)
		require.GreaterOrEqual(t, looks, int64(1e6))
		t.Logf("%v; %d commands answered, %d in doubt, %d slots looked up", did, check.done.Load(), check.doubt.Load(), looks)
	})
}

// look looks slots up, all the time, until the function it returns is called: a
// slot always has an owner, which is one of the nodes, and the map does not grow
// older.
func look(t *testing.T, c *servers.Cluster, router *topology.Router) (stop func() int64) {
	known := map[string]bool{}
	for _, n := range c.Nodes {
		known[n.ID] = true
	}
	var looks atomic.Int64
	var stopped atomic.Bool
	var failure atomic.Pointer[error]
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			last := topology.Generation(0)
			for !stopped.Load() {
				for range 1000 {
					shard, seen := router.For(hashslot.Slot(rand.IntN(hashslot.Count)))
					if shard == nil || !known[shard.Primary.ID] || seen < last {
						err := fmt.Errorf("a lookup found %v at generation %d after %d", shard, seen, last)
						failure.Store(&err)
						return
					}
					last = seen
				}
				looks.Add(1000)
				time.Sleep(time.Millisecond)
			}
		})
	}
	return func() int64 {
		stopped.Store(true)
		wg.Wait()
		if err := failure.Load(); err != nil {
			assert.NoError(t, *err)
		}
		return looks.Load()
	}
}
