package interop_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/adapter/redigo"
	"github.com/hashslot/hashslot/interop/executor"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Slots move one by one. A client that is quick enough sees ASK while a slot moves, then
// MOVED; TestOneSlot of the client certainly sees both. This takes long, so servers that
// are there for other tests move fewer slots.
func TestReshard(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		most := hashslot.Count
		if !s.AtLeast(6, 2) || migratesSlots(s) || importsSlots(s) {
			most = 300
		}
		reshard(t, s, setSlots, most)
	})
}

func migratesSlots(s servers.Server) bool { return s.Name == "valkey" && s.AtLeast(9, 0) }
func importsSlots(s servers.Server) bool  { return s.Name == "redis" && s.AtLeast(8, 4) }

// All slots of a move change their owner at once: clients see MOVED and nothing else.
func TestMigrateSlots(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		if !migratesSlots(s) {
			t.Skip("CLUSTER MIGRATESLOTS came with Valkey 9.0")
		}
		cl := reshard(t, s, migrateSlots, hashslot.Count)
		assert.Zero(t, cl.Errors[topology.ActionAsk].Load())
		assert.Zero(t, cl.Errors[topology.ActionRetry].Load())
	})
}

func TestMigrationImport(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		if !importsSlots(s) {
			t.Skip("CLUSTER MIGRATION IMPORT came with Redis 8.4")
		}
		cl := reshard(t, s, migrationImport, hashslot.Count)
		assert.Zero(t, cl.Errors[topology.ActionAsk].Load())
		assert.Zero(t, cl.Errors[topology.ActionRetry].Load())
	})
}

// A render returns the steps of a plan.
type render func(p *plan.Plan) ([]plan.Step, error)

func setSlots(p *plan.Plan) ([]plan.Step, error) {
	steps, err := p.SetSlots(plan.SetSlotOptions{})
	if err != nil {
		return nil, err
	}
	return slices.Collect(steps), nil
}

func migrateSlots(p *plan.Plan) ([]plan.Step, error)    { return p.MigrateSlots(), nil }
func migrationImport(p *plan.Plan) ([]plan.Step, error) { return p.MigrationImport(), nil }

// carryOut carries out a plan.
func carryOut(ctx context.Context, p *plan.Plan, r render) error {
	steps, err := r(p)
	if err != nil {
		return err
	}
	e := executor.Executor{Dial: servers.Dial}
	defer e.Close()
	return e.Run(ctx, steps, 0)
}

// reshard adds two primaries to three. They take their share of the slots, at most most
// each, and give it back, while other goroutines write and read with the client that
// reshard returns. No key is lost and no answer is wrong.
func reshard(t *testing.T, s servers.Server, do render, most int) *redigo.Client {
	t.Helper()
	c := s.Three(t, 2)
	cl := client(t, c)
	check := newChecker(redigoStore{cl}, 5000)
	check.write()
	require.Zero(t, cl.Errors[topology.ActionMoved].Load())
	check.start(20 * time.Millisecond)

	before, err := c.Nodes[0].View()
	require.NoError(t, err)
	p, err := plan.Rebalance(before, plan.RebalanceOptions{UseEmpty: true})
	require.NoError(t, err)
	require.GreaterOrEqual(t, p.SlotCount(), hashslot.Count*2/5-1)
	batches, err := p.Batches(most)
	require.NoError(t, err)
	p = slices.Collect(batches)[0]
	move(t, c, cl, &p, do)
	require.GreaterOrEqual(t, cl.Errors[topology.ActionMoved].Load(), int64(1))
	learns(t, c, before, &p, check.keys)

	after, err := c.Nodes[0].View()
	require.NoError(t, err)
	drained := []string{c.Nodes[3].ID, c.Nodes[4].ID}
	p, err = plan.Drain(after, drained, plan.DrainOptions{})
	require.NoError(t, err)
	move(t, c, cl, &p, do)
	learns(t, c, after, &p, check.keys)

	check.finish(t)
	assert.Zero(t, check.doubt.Load(), "no connection broke")
	total := 0
	for _, n := range c.Nodes[:3] {
		size, err := redis.Int(n.Do("DBSIZE"))
		require.NoError(t, err)
		total += size
	}
	assert.Equal(t, len(check.keys), total)
	t.Logf("%d operations", check.done.Load())
	return cl
}

// move carries out the plan and requires its result.
func move(t *testing.T, c *servers.Cluster, cl *redigo.Client, p *plan.Plan, do render) {
	t.Helper()
	var before [topology.ActionRestart + 1]int64
	for a := range before {
		before[a] = cl.Errors[a].Load()
	}
	begin := time.Now()
	require.NoError(t, carryOut(t.Context(), p, do))
	took := time.Since(begin)
	c.Settle()
	out, err := c.CLI("--cluster", "check", c.Nodes[0].Addr())
	require.NoError(t, err, out)
	for _, n := range c.Nodes {
		view, err := n.View()
		require.NoError(t, err)
		got := slotOwners(view)
		for slot := range hashslot.Slot(hashslot.Count) {
			want, _ := p.After.Lookup(slot)
			require.Equal(t, want, got[slot], "slot %d, as %s has it", slot, n.Addr())
		}
	}
	t.Logf("%d slots moved in %.1f s; of the commands meanwhile, %d got MOVED, %d ASK and %d TRYAGAIN", p.SlotCount(), took.Seconds(),
		cl.Errors[topology.ActionMoved].Load()-before[topology.ActionMoved],
		cl.Errors[topology.ActionAsk].Load()-before[topology.ActionAsk],
		cl.Errors[topology.ActionRetry].Load()-before[topology.ActionRetry])
}

// slotOwners returns the id of each slot's owner.
func slotOwners(view *topology.Cluster) []string {
	ids := make([]string, hashslot.Count)
	for r, shard := range view.Table().Ranges() {
		for slot := r.First; slot <= r.Last; slot++ {
			ids[slot] = shard.Primary.ID
		}
	}
	return ids
}

// learns reads all keys with a client whose map is older than the plan. The client is
// redirected in the first pass, and never again. If it did not learn, it would be
// redirected for each key in a moved slot in every pass.
func learns(t *testing.T, c *servers.Cluster, before *topology.Cluster, p *plan.Plan, keys []string) {
	t.Helper()
	cl := &redigo.Client{Dial: servers.Dial, Refresher: topology.Refresher{Seeds: []string{c.Nodes[0].Addr()}}}
	require.Equal(t, topology.OutcomeApplied, cl.Router.Apply(before, cl.Router.Generation()).Outcome)
	commands := make([]redigo.Command, len(keys))
	misplaced := int64(0)
	for i, k := range keys {
		commands[i] = redigo.Command{"GET", k}
		slot := hashslot.Of(k)
		from, _ := p.Before.Lookup(slot)
		if to, _ := p.After.Lookup(slot); from != to {
			misplaced++
		}
	}
	moved := &cl.Errors[topology.ActionMoved]
	for part := range slices.Chunk(commands, inPipeline) {
		for _, reply := range cl.Pipeline(part) {
			require.NoError(t, reply.Err)
		}
	}
	first := moved.Load()
	assert.Positive(t, first)
	assert.LessOrEqual(t, first, misplaced, "once for each key, until the view is there")
	assert.LessOrEqual(t, cl.Views.Load(), int64(2))
	for _, reply := range cl.Pipeline(commands) {
		require.NoError(t, reply.Err)
	}
	assert.Equal(t, first, moved.Load(), "MOVED although the map is right")
	t.Logf("a client with the old map: %d of %d commands got MOVED, then none; without a Router that learns %d, each time", first, len(keys), misplaced)
}
