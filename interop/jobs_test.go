package interop_test

import (
	"slices"
	"testing"
	"time"

	"github.com/hashslot/hashslot/interop/executor"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// jobs asks all running nodes for their migrations.
func jobs(t *testing.T, c *servers.Cluster) (all []plan.Job) {
	t.Helper()
	command := []string{"CLUSTER", "GETSLOTMIGRATIONS"}
	if c.Name == "redis" {
		command = []string{"CLUSTER", "MIGRATION", "STATUS", "ALL"}
	}
	for _, n := range c.Nodes {
		if !n.Running() {
			continue
		}
		reply, err := n.Do(command...)
		require.NoError(t, err)
		list, err := plan.ParseJobs(reply)
		require.NoError(t, err)
		all = append(all, list...)
	}
	return all
}

// The migrations of live servers are matched to the moves of a plan: those that run, those
// that failed and must be sent again, and those that are done. While they run, a plan with
// the same goal has nothing to do.
func TestJobs(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		if !migratesSlots(s) && !importsSlots(s) {
			t.Skip("no atomic slot migration")
		}
		c := s.Three(t, 1)
		check := newChecker(redigoStore{client(t, c)}, 1000)
		check.write()
		view, err := c.Nodes[0].View()
		require.NoError(t, err)
		begin := time.Now()
		source, target := c.Nodes[0], c.Nodes[3]
		p, err := plan.Reshard(view, []string{source.ID}, target.ID, 1000)
		require.NoError(t, err)
		steps := p.MigrateSlots()
		asked, away := source, target // the node that gets the command, and the node that is paused
		if importsSlots(s) {
			steps, asked, away = p.MigrationImport(), target, source
		}
		require.Len(t, steps, 1)
		match := func() plan.MoveProgress {
			list := p.Match(view, jobs(t, c))
			require.Len(t, list, 1)
			return list[0]
		}
		require.Equal(t, plan.ProgressNotStarted, match().Progress)

		// While one end is paused, the job makes no progress.
		away.Pause()
		_, err = asked.Do(steps[0].Command...)
		require.NoError(t, err)
		m := match()
		require.Equal(t, plan.ProgressRunning, m.Progress, m.Why)
		require.True(t, m.Left.IsEmpty())
		t.Logf("running: %s", m.Why)
		assert.Equal(t, source.ID, m.Job.Source)
		assert.Equal(t, target.ID, m.Job.Target)
		assert.Equal(t, p.Moves[0].Slots, m.Job.Slots)
		assert.WithinRange(t, m.Job.Created, begin.Add(-2*time.Second), time.Now().Add(2*time.Second))
		rest, err := plan.New(view, nil, jobs(t, c)...)
		require.NoError(t, err)
		assert.True(t, rest.Before.Equal(p.After), "the slots count for the target")
		_, err = plan.Drain(view, []string{target.ID}, plan.DrainOptions{}, jobs(t, c)...)
		var state *plan.StateError
		require.ErrorAs(t, err, &state)
		assert.Equal(t, plan.ProblemRunningJobs, state.Problem)

		// A second job is refused, whatever its source. This is why plans have rounds.
		if importsSlots(s) {
			_, err = asked.Do("CLUSTER", "MIGRATION", "IMPORT", "16383", "16383")
			require.ErrorContains(t, err, "another ASM task is already in progress")
		}

		// After it is cancelled, it must be sent again.
		cancel := []string{"CLUSTER", "CANCELSLOTMIGRATIONS"}
		if importsSlots(s) {
			cancel = []string{"CLUSTER", "MIGRATION", "CANCEL", "ALL"}
		}
		_, err = asked.Do(cancel...)
		require.NoError(t, err)
		c.Wait("the job has ended", func() bool {
			m = match()
			return m.Progress == plan.ProgressNotStarted
		})
		t.Logf("cancelled: %s", m.Why)
		require.Equal(t, p.Moves[0].Slots, m.Left)
		require.Equal(t, plan.ProgressFailed, m.Job.Progress)
		away.Resume()
		c.Settle()

		e := executor.Executor{Dial: servers.Dial}
		defer e.Close()
		require.NoError(t, e.Run(t.Context(), steps, 0))
		c.Settle()
		view, err = c.Nodes[0].View()
		require.NoError(t, err)
		m = match()
		require.Equal(t, plan.ProgressDone, m.Progress, m.Why)
		require.Equal(t, plan.ProgressDone, m.Job.Progress)
		assert.True(t, slices.ContainsFunc(jobs(t, c), func(j plan.Job) bool { return j.Import && j.ID == m.Job.ID }))
		assert.Len(t, check.keys, c.DBSize())
	})
}
