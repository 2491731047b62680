package plan

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/internal/hashtest"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// everyCapture reads the recorded states of real servers, with -short only some of them.
func everyCapture(t *testing.T, several int, try func(path string, c *topology.Cluster)) {
	t.Helper()
	paths, err := filepath.Glob(hashtest.Data(t, "../..", "captures/*/*/*.nodes.txt"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for i, path := range paths {
		if testing.Short() && i%several != 0 {
			continue
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		c, err := topology.ParseNodes(string(text), topology.Origin{})
		require.NoError(t, err, path)
		try(path, c)
	}
}

// For every recorded state of real servers, every planner gives a plan, or an error that
// says what to do. The steps of plans survive JSON.
func TestEveryPlannerOnEveryState(t *testing.T) {
	plans, refusals, problems := map[string]int{}, map[string]int{}, map[Problem]int{}
	everyCapture(t, 13, func(path string, c *topology.Cluster) {
		check := func(planner string, err error) {
			var state *StateError
			var input *InputError
			var need *CountsError
			switch {
			case err == nil:
				plans[planner]++
				return
			case errors.As(err, &state):
				require.NotEmpty(t, state.Advice, "%s: %s", path, planner)
				require.True(t, !state.Slots.IsEmpty() || len(state.Nodes) > 0, "%s: %v", path, err)
				problems[state.Problem]++
			case errors.As(err, &input):
				require.NotEmpty(t, input.Reason, "%s: %s", path, planner)
			case errors.As(err, &need):
				require.NotEmpty(t, need.Ask, "%s: %s", path, planner)
			default:
				t.Fatalf("%s: %s: %T %v", path, planner, err, err)
			}
			refusals[planner]++
		}
		id := c.Nodes()[0].ID
		p, err := Rebalance(c, RebalanceOptions{UseEmpty: true})
		check("rebalance", err)
		if err == nil {
			p.Steps = append(p.MigrateSlots(), p.MigrationImport()...)
			requireReadsBack(t, p)
		}
		_, err = Reshard(c, nil, id, 10)
		check("reshard", err)
		_, err = Drain(c, []string{id}, DrainOptions{})
		check("drain", err)
		_, err = Balance(c, BalanceOptions{})
		check("balance", err)
		_, err = Promote(c, []string{id})
		check("promote", err)
		for _, o := range []FixOptions{{}, {Unreachable: true}} {
			_, err = Fix([]*topology.Cluster{c}, nil, o)
			check("fix", err)
			if need := (*CountsError)(nil); errors.As(err, &need) {
				counts := KeyCounts{} // nobody has keys
				for _, q := range need.Ask {
					for slot := range q.Slots.Slots() {
						counts.Put(q.Node, slot, 0)
					}
				}
				_, err = Fix([]*topology.Cluster{c}, counts, o)
				require.NoError(t, err, path)
				check("fix", err)
			}
		}
	})
	t.Logf("plans: %v; refused: %v, %v", plans, refusals, problems)
	require.NotEmpty(t, problems)
	for _, planner := range []string{"rebalance", "reshard", "drain", "balance", "promote", "fix"} {
		require.NotZero(t, plans[planner], planner)
	}
}
