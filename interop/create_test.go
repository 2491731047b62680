package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/interop/executor"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errKilled = errors.New("killed")

// killed carries out steps with an executor that dies repeatedly and knows only what it has
// stored, as JSON. In each step it dies after one command, then after two, then after the
// whole step, before it has stored that. At the end it starts again with nothing stored.
func killed(t *testing.T, steps []plan.Step) {
	t.Helper()
	disk, err := json.Marshal(plan.Plan{Steps: steps})
	require.NoError(t, err)
	var p plan.Plan
	require.NoError(t, json.Unmarshal(disk, &p))
	require.Equal(t, steps, p.Steps)
	next := 0
	// live does steps until it has sent a number of commands, or reached returns an error.
	live := func(commands int64, reached func(next int) error) error {
		ctx, die := context.WithCancel(t.Context())
		defer die()
		var left atomic.Int64
		left.Store(commands)
		e := executor.Executor{Reached: reached, Dial: func(addr string) (redis.Conn, error) {
			c, err := servers.Dial(addr)
			return mortal{c, func() {
				if left.Add(-1) == 0 {
					die()
				}
			}}, err
		}}
		defer e.Close()
		return e.Run(ctx, p.Steps, next)
	}
	dies := func(int) error { return errKilled }
	for next < len(steps) {
		for commands := range int64(2) {
			err := live(commands+1, dies)
			require.True(t, errors.Is(err, context.Canceled) || errors.Is(err, errKilled), "%v", err)
		}
		require.ErrorIs(t, live(0, dies), errKilled)
		require.ErrorIs(t, live(0, func(reached int) error {
			next = reached
			return errKilled
		}), errKilled)
	}
	next = 0
	require.NoError(t, live(0, nil))
}

// A mortal connection reports each command that was done.
type mortal struct {
	redis.Conn
	done func()
}

func (m mortal) Do(command string, args ...any) (any, error) {
	defer m.done()
	return m.Conn.Do(command, args...)
}

// An executor that dies at each step makes a cluster. The tool finds no fault with it.
func TestCreateBySteps(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c := s.Start(t, 6, servers.Config{})
		hosts := c.Hosts()
		for i, n := range c.Nodes {
			hosts[i].ID = n.ID
		}
		layout, err := plan.Create(hosts, 1)
		require.NoError(t, err)
		steps, err := layout.Steps(plan.LayoutOptions{AddSlots: !s.AtLeast(7, 0)})
		require.NoError(t, err)
		killed(t, steps)
		c.Settle()
		view, err := c.Nodes[5].View()
		require.NoError(t, err)
		require.Len(t, view.Shards(), 3)
		for i, shard := range view.Shards() {
			want := layout.Shards[i]
			assert.Equal(t, want.Primary.ID, shard.Primary.ID)
			set := view.Table().SlotsOf(shard)
			assert.Equal(t, want.Slots, set)
			require.Len(t, shard.Replicas, 1)
			assert.Equal(t, want.Replicas[0].ID, shard.Replicas[0].ID)
			assert.Equal(t, topology.RoleReplica, shard.Replicas[0].Role)
			assert.Equal(t, uint64(i+1), shard.Primary.ConfigEpoch)
		}
		out, err := c.CLI("--cluster", "check", c.Nodes[0].Addr())
		require.NoError(t, err, out)
		check := newChecker(redigoStore{client(t, c)}, 200)
		check.write()
	})
}

// An executor that dies at every step carries out a plan in each kind of steps, while
// clients write and read. Nothing is lost.
func TestKilledAtEveryStep(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c := s.Three(t, 2)
		check := newChecker(redigoStore{client(t, c)}, 2000)
		check.write()
		check.start(5 * time.Millisecond)
		renders := []render{setSlots}
		switch {
		case migratesSlots(s):
			renders = append(renders, migrateSlots)
		case importsSlots(s):
			renders = append(renders, migrationImport)
		}
		for i, render := range renders {
			for _, to := range c.Nodes[3:] {
				view, err := c.Nodes[0].View()
				require.NoError(t, err)
				p, err := plan.Reshard(view, []string{c.Nodes[0].ID, c.Nodes[1].ID, c.Nodes[2].ID}, to.ID, []int{6, 3000}[i])
				require.NoError(t, err)
				steps, err := render(&p)
				require.NoError(t, err)
				killed(t, steps)
				c.Settle()
				after, err := to.View()
				require.NoError(t, err)
				owners := slotOwners(after)
				for slot, id := range owners {
					want, _ := p.After.Lookup(hashslot.Slot(slot))
					require.Equal(t, want, id, slot)
				}
			}
		}
		check.finish(t)
		assert.Zero(t, check.doubt.Load())
		assert.Len(t, check.keys, c.DBSize())
	})
}
