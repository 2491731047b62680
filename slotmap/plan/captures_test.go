package plan

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/internal/hashtest"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// everyCapture reads the recorded states of real servers, in short tests one of several.
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

// For every recorded state of real servers there is a plan, whose steps come back
// from JSON, or a refusal that says what to do.
func TestEveryCapturedState(t *testing.T) {
	plans, refusals := 0, map[Problem]int{}
	everyCapture(t, 5, func(path string, c *topology.Cluster) {
		p, err := Rebalance(c, RebalanceOptions{UseEmpty: true})
		if err != nil {
			switch e := err.(type) {
			case *StateError:
				require.NotEmpty(t, e.Advice, path)
				require.True(t, !e.Slots.IsEmpty() || len(e.Nodes) > 0, "%s: %v", path, err)
				refusals[e.Problem]++
			case *InputError:
				require.NotEmpty(t, e.Reason, path)
				refusals["input"]++
			default:
				t.Fatalf("%s: %T %v", path, err, err)
			}
			return
		}
		plans++
		p.Steps = append(p.MigrateSlots(), p.MigrationImport()...)
		requireReadsBack(t, p)
	})
	t.Logf("%d plans; refused: %v", plans, refusals)
	require.NotZero(t, plans)
	require.NotEmpty(t, refusals)
}
