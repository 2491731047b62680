package plan

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/slotmap/topology"
)

// For every recorded state, every planner has a plan, or a refusal that says what to do.
func TestEveryPlannerOnEveryState(t *testing.T) {
	plans, refusals := map[string]int{}, map[string]int{}
	everyCapture(t, 7, func(path string, c *topology.Cluster) {
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
		_, err := Reshard(c, nil, id, 10)
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
	t.Logf("plans: %v; refused: %v", plans, refusals)
	for _, planner := range []string{"reshard", "drain", "balance", "promote", "fix"} {
		require.NotZero(t, plans[planner], planner)
	}
}
