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

// Everything that can happen to a cluster happens, in random order, while the three
// clients write, read and look slots up. No event is repeated before all others have had
// their turn.
func TestSoak(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		soak := &soak{t: t, s: s, r: rand.New(rand.NewPCG(seed, 0)), checks: map[string]*checker{}}
		soak.c, _ = create(t, s, 8, 1, servers.Config{})
		for _, n := range soak.c.Nodes {
			soak.known.Store(n.ID, true)
		}
		looks := map[string]func() int64{}
		for name, st := range stores(t, soak.c.Addrs(), 2*time.Second) {
			check := newChecker(st, 300)
			for i := range check.keys {
				check.keys[i] = name + check.keys[i]
			}
			check.write()
			check.start(20 * time.Millisecond)
			soak.checks[name] = check
			looks[name] = soak.look(st.router())
		}
		events := []struct {
			name string
			do   func(shard *topology.Shard) bool // false if it is not possible now
		}{
			{"reshard", soak.reshard}, {"rebalance", soak.rebalance}, {"failover", soak.failover}, {"kill", soak.kill},
			{"pause", soak.pause}, {"replica elsewhere", soak.elsewhere}, {"new id", soak.anew},
		}
		did := map[string]int{}
		begin := time.Now()
		for deadline := begin.Add(soakTime(t)); time.Now().Before(deadline); {
			for _, i := range soak.r.Perm(len(events)) {
				if !time.Now().Before(deadline) {
					break
				}
				view, err := soak.c.Nodes[0].View()
				require.NoError(t, err)
				owners := slices.Collect(view.Table().Owners())
				soak.view = view
				if events[i].do(owners[soak.r.IntN(len(owners))]) {
					did[events[i].name]++
				}
			}
		}
		t.Logf("%v in %.0f s", did, time.Since(begin).Seconds())
		for name, check := range soak.checks {
			looked := looks[name]()
			check.finish(t)
			t.Logf("%s: %d views, %d answers from a wrong slot, %d acknowledged writes lost; %d commands answered, %d in doubt, %d refused, %d slots looked up",
				name, check.client.views(), check.slots.Load(), check.missing.Load(), check.done.Load(), check.doubt.Load(), check.refused.Load(), looked)
			assert.Zero(t, check.slots.Load(), "%s: answers from a wrong slot", name)
			assert.Zero(t, check.missing.Load(), "%s: acknowledged writes lost", name)
			require.GreaterOrEqual(t, looked, int64(1e5))
		}
	})
}

type soak struct {
	t      *testing.T
	s      servers.Server
	c      *servers.Cluster
	r      *rand.Rand
	view   *topology.Cluster
	checks map[string]*checker
	known  sync.Map // ids of nodes
}

func (k *soak) reshard(shard *topology.Shard) bool {
	p, err := plan.Reshard(k.view, nil, shard.Primary.ID, 1+k.r.IntN(300))
	require.NoError(k.t, err)
	k.move(&p)
	return true
}

func (k *soak) rebalance(*topology.Shard) bool {
	p, err := plan.Rebalance(k.view, plan.RebalanceOptions{})
	require.NoError(k.t, err)
	k.move(&p)
	return true
}

func (k *soak) move(p *plan.Plan) {
	do := setSlots
	if migratesSlots(k.s) && k.r.IntN(2) == 0 {
		do = migrateSlots
	}
	require.NoError(k.t, carryOut(k.t.Context(), p, do))
	k.c.Settle()
}

// failover asks a replica for a failover that its primary agrees to: no write is lost.
func (k *soak) failover(shard *topology.Shard) bool {
	if len(shard.Replicas) == 0 {
		return false
	}
	replica := k.c.At(shard.Replicas[k.r.IntN(len(shard.Replicas))].Addr())
	_, err := replica.Do("CLUSTER", "FAILOVER")
	if err != nil && strings.Contains(err.Error(), "Master is down or failed") {
		return false // its connection is not there yet
	}
	require.NoError(k.t, err)
	asked := time.Now()
	k.c.Wait("the replica has taken over", func() bool {
		if time.Since(asked) > 6*time.Second { // a replica gives up after five
			asked = time.Now()
			replica.Do("CLUSTER", "FAILOVER")
		}
		view, err := replica.View()
		return err == nil && view.Myself().Role == topology.RolePrimary
	})
	k.c.Settle()
	return true
}

func (k *soak) losing(shard *topology.Shard) {
	for _, check := range k.checks {
		check.losing(k.view.Table().SlotsOf(shard))
	}
}

func (k *soak) found() {
	for _, check := range k.checks {
		check.found()
	}
}

func (k *soak) kill(shard *topology.Shard) bool {
	if len(shard.Replicas) == 0 {
		return false
	}
	victim := k.c.At(shard.Primary.Addr())
	k.losing(shard)
	victim.Kill()
	k.c.Settle() // the state is ok only after a replica has taken over
	k.found()
	require.NoError(k.t, victim.Restart())
	k.c.Settle()
	return true
}

// pause suspends a primary until a replica has taken over, and resumes it. Until it hears
// that it has been replaced, it acknowledges writes that are lost.
func (k *soak) pause(shard *topology.Shard) bool {
	if len(shard.Replicas) == 0 {
		return false
	}
	victim := k.c.At(shard.Primary.Addr())
	k.losing(shard)
	victim.Pause()
	k.c.Wait("a replica has taken over", func() bool { // its connection to the primary is still there
		return slices.ContainsFunc(shard.Replicas, func(n *topology.Node) bool {
			view, err := k.c.At(n.Addr()).View()
			return err == nil && view.Myself().Role == topology.RolePrimary
		})
	})
	k.c.Settle()
	victim.Resume()
	k.c.Wait("the paused primary is a replica", func() bool {
		view, err := victim.View()
		return err == nil && view.Myself().Role == topology.RoleReplica
	})
	k.c.Settle()
	k.found()
	return true
}

// elsewhere moves a replica to another shard.
func (k *soak) elsewhere(shard *topology.Shard) bool {
	for _, other := range k.view.Shards() {
		if other != shard && len(other.Replicas) > 0 {
			k.c.At(other.Replicas[0].Addr()).String("CLUSTER", "REPLICATE", shard.Primary.ID)
			k.c.Settle()
			return true
		}
	}
	return false
}

// anew makes the cluster forget a replica and meet it again under a new id.
func (k *soak) anew(shard *topology.Shard) bool {
	if len(shard.Replicas) == 0 {
		return false
	}
	replica := k.c.At(shard.Replicas[0].Addr())
	k.c.Anew(replica, shard.Primary.ID)
	k.known.Store(replica.ID, true)
	return true
}

// look looks slots up until the function that it returns is called. It checks that a slot
// always has an owner, that the owner is one of the nodes, and that the map never goes
// back to an older one.
func (k *soak) look(router *topology.Router) (stop func() int64) {
	var looks atomic.Int64
	var stopped atomic.Bool
	var failure atomic.Pointer[error]
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			known := func(id string) bool { // an empty id: only a redirect has named the node
				_, ok := k.known.Load(id)
				return ok || id == ""
			}
			last := topology.Generation(0)
			for !stopped.Load() {
				for range 1000 {
					shard, seen := router.For(hashslot.Slot(rand.IntN(hashslot.Count)))
					if shard == nil || !known(shard.Primary.ID) || seen < last {
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
			assert.NoError(k.t, *err)
		}
		return looks.Load()
	}
}
