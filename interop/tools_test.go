package interop_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/plan/valkeycli"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/stretchr/testify/require"
)

var (
	record = flag.String("record", "", "write what the tools do to `FOLDER`/TOOL.jsonl")
	runs   = flag.Int("runs", 3, "how many runs TestTools makes of each tool")
)

// A toolRun is one run of --cluster rebalance or --cluster reshard: a line of
// testdata/plan/tools/TOOL.jsonl. Nodes are named a, b, ... in the tool's order:
// the node that is asked, then the others as it lists them.
type toolRun struct {
	Nodes []string `json:"nodes"` // slots of each; "replica of a" for a replica

	// For rebalance.
	Weights   map[string]float64 `json:"weights,omitempty"`
	UseEmpty  bool               `json:"use_empty,omitempty"`
	Threshold *float64           `json:"threshold,omitempty"` // nil: not given
	Announced []string           `json:"announced,omitempty"` // "4684 a b" of --cluster-simulate, in its order

	// For reshard.
	To    string   `json:"to,omitempty"`
	From  []string `json:"from,omitempty"` // nil: all
	Slots int      `json:"slots,omitempty"`

	Moved []string `json:"moved"` // "a b 0-4684": the slots that changed their owner, sorted
}

// TestTools compares valkeycli with the tools: the moves that a tool announces, and the
// slots that it moves. The states and arguments are random, and the same in each
// run. With -record and more -runs it writes testdata/plan/tools.
func TestTools(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		tool, err := valkeycli.ParseTool(fmt.Sprintf("%s-%d.%d", s.Name, s.Major, s.Minor))
		if err != nil {
			return // Redis 6.0, whose tool valkeycli does not model
		}
		c := s.Start(t, 5, servers.Config{More: func(int) []string {
			// Tools before 9.0 stop half-way if an emptied node becomes a replica.
			return []string{"cluster-allow-replica-migration", "no"}
		}})
		var lines []byte
		for i := range *runs {
			if i > 0 {
				c.Reset()
			}
			line, err := json.Marshal(runTool(t, c, tool, i))
			require.NoError(t, err)
			lines = append(append(lines, line...), '\n')
		}
		if *record != "" {
			require.NoError(t, os.WriteFile(filepath.Join(*record, tool.String()+".jsonl"), lines, 0o600))
		}
	})
}

// runTool makes a cluster of some of the nodes and lets the tool change it. It fails if
// valkeycli says anything else.
func runTool(t *testing.T, all *servers.Cluster, tool valkeycli.Tool, number int) toolRun {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(number), 91))
	c := *all
	c.Nodes = all.Nodes[:3+rng.IntN(3)]
	replica := number%4 == 3
	primaries := len(c.Nodes)
	if replica {
		primaries--
	}
	sets := randomSets(rng, primaries)
	if number == 0 {
		// By rounding of floats, a move of 4684 of 8392 slots becomes one slot more.
		c.Nodes, sets = all.Nodes[:4], make([]slotmap.Set, 4)
		for i, r := range []string{"0-8391", "", "8392-12387", "12388-16383"} {
			sets[i] = slotmap.MustParseSet(r)
		}
	}
	layout := plan.Layout{}
	for i, set := range sets {
		layout.Shards = append(layout.Shards, plan.LayoutShard{Primary: plan.Host{Addr: c.Nodes[i].Addr()}, Slots: set})
	}
	if replica {
		layout.Shards[0].Replicas = []plan.Host{{Addr: c.Nodes[primaries].Addr()}}
	}
	c.Create(layout)
	entry := c.Nodes[rng.IntN(len(c.Nodes))]
	before, err := entry.View()
	require.NoError(t, err)

	// Names in the tool's order.
	run, names, addrs := toolRun{}, map[string]string{}, map[string]string{}
	order := []*topology.Node{before.Myself()}
	for _, n := range before.Nodes() {
		if n != before.Myself() {
			order = append(order, n)
		}
	}
	for i, n := range order {
		names[n.ID] = string(rune('a' + i))
		addrs[n.Addr()] = names[n.ID]
	}
	owned := map[string]slotmap.Set{}
	for shard := range before.Table().Owners() {
		owned[shard.Primary.ID] = before.Table().SlotsOf(shard)
	}
	for _, n := range order {
		slots := owned[n.ID].String()
		if n.Role == topology.RoleReplica {
			slots = "replica of " + names[n.PrimaryID]
		}
		run.Nodes = append(run.Nodes, slots)
	}

	var want valkeycli.Run
	var args []string
	if number%3 != 2 {
		args = []string{"--cluster", "rebalance", entry.Addr()}
		opts := valkeycli.RebalanceOptions{Threshold: valkeycli.DefaultThreshold, UseEmpty: rng.IntN(2) == 0}
		run.Weights = map[string]float64{}
		for i, n := range order {
			weight := []float64{0.3, 0.9, 1, 1.1, 2.5, 0}[rng.IntN(6)]
			if number == 0 {
				opts.UseEmpty = true
				weight = float64(owned[n.ID].Len())
				switch weight {
				case 8392:
					weight = 8392 - 4684
				case 0:
					weight = 4684
				}
			} else if i > 0 && rng.IntN(2) == 0 {
				continue // the first node always has a weight, so that not all are 0
			} else if i == 0 {
				weight++
			}
			run.Weights[names[n.ID]] = weight
			opts.Weights = append(opts.Weights, plan.Weight{ID: n.ID, Weight: weight})
		}
		if number%2 == 1 {
			run.Weights, opts.Weights = nil, nil
		}
		for i, w := range opts.Weights {
			if i == 0 {
				args = append(args, "--cluster-weight")
			}
			args = append(args, w.ID+"="+strconv.FormatFloat(w.Weight, 'f', -1, 64))
		}
		if run.UseEmpty = opts.UseEmpty; opts.UseEmpty {
			args = append(args, "--cluster-use-empty-masters")
		}
		if number%3 == 1 {
			opts.Threshold = []float64{0, 0.5, 4, 10}[rng.IntN(4)]
			run.Threshold = &opts.Threshold
			args = append(args, "--cluster-threshold", fmt.Sprint(opts.Threshold))
		}
		want, err = valkeycli.Rebalance(before, tool, opts)
		require.NoError(t, err)
		out, err := c.CLI(append(args, "--cluster-simulate")...)
		require.NoError(t, err, out)
		run.Announced = announcedIn(t, out, addrs)
		var says []string
		for i, m := range want.Plan.Moves {
			says = append(says, fmt.Sprintf("%d %s %s", want.Announced[i], names[m.From], names[m.To]))
		}
		require.Equal(t, run.Announced, says, "%v: %v of %+v announces\n%s", tool, args, run, out)
	} else {
		to := order[0]
		var sources []string
		for _, n := range order[1:] {
			if n.Role == topology.RoleReplica {
				continue
			}
			if to.Role == topology.RoleReplica || rng.IntN(3) == 0 {
				to = n
			}
		}
		most := 0
		for _, n := range order {
			if n != to && n.Role == topology.RolePrimary && (len(sources) == 0 || rng.IntN(2) == 0) {
				sources = append(sources, n.ID)
				run.From = append(run.From, names[n.ID])
				most += owned[n.ID].Len()
			}
		}
		from := strings.Join(sources, ",")
		if most == 0 || rng.IntN(2) == 0 {
			run.From, sources, from = nil, nil, "all"
			most = hashslot.Count - owned[to.ID].Len()
		}
		run.To = names[to.ID]
		run.Slots = []int{1, 2 + rng.IntN(20), 1 + rng.IntN(1000), min(most, 1500), min(most+5, hashslot.Count)}[rng.IntN(5)]
		want, err = valkeycli.Reshard(before, tool, nil, sources, to.ID, run.Slots)
		require.NoError(t, err)
		args = []string{"--cluster", "reshard", entry.Addr(), "--cluster-from", from, "--cluster-to", to.ID,
			"--cluster-slots", strconv.Itoa(run.Slots), "--cluster-yes"}
	}
	if tool == valkeycli.ToolValkey91 && number%2 == 0 {
		args = append(args, "--cluster-use-atomic-slot-migration")
	}
	out, err := c.CLI(args...)
	require.NoError(t, err, out)
	if run.To == "" {
		require.Equal(t, run.Announced, announcedIn(t, out, addrs), "the moves of the simulation")
	}
	c.Settle()
	after, err := entry.View()
	require.NoError(t, err)
	moved := map[string]*slotmap.Set{}
	for slot := range hashslot.Slot(hashslot.Count) {
		was, _ := before.Table().Lookup(slot)
		is, _ := after.Table().Lookup(slot)
		if was.Primary.ID != is.Primary.ID {
			pair := names[was.Primary.ID] + " " + names[is.Primary.ID]
			if moved[pair] == nil {
				moved[pair] = new(slotmap.Set)
			}
			moved[pair].Add(slot)
		}
	}
	run.Moved = []string{}
	for pair, set := range moved {
		run.Moved = append(run.Moved, pair+" "+set.String())
	}
	slices.Sort(run.Moved)
	says := []string{}
	for _, m := range want.Plan.Moves {
		says = append(says, names[m.From]+" "+names[m.To]+" "+m.Slots.String())
	}
	slices.Sort(says)
	require.Equal(t, run.Moved, says, "%v: %v of %+v does\n%s", tool, args, run, out)
	return run
}

var moving = regexp.MustCompile(`Moving (\d+) slots from (\S+) to (\S+)`)

// announcedIn returns the moves that the tool says it makes.
func announcedIn(t *testing.T, out string, addrs map[string]string) (moves []string) {
	t.Helper()
	for _, m := range moving.FindAllStringSubmatch(out, -1) {
		require.Contains(t, addrs, m[2])
		require.Contains(t, addrs, m[3])
		moves = append(moves, m[1]+" "+addrs[m[2]]+" "+addrs[m[3]])
	}
	return moves
}

// randomSets gives all slots to some of n nodes, in few ranges or in many. Most nodes get
// about the same number of slots, and some get only a few.
func randomSets(rng *rand.Rand, n int) []slotmap.Set {
	owning := min(n, 2+rng.IntN(n))
	sizes, left := make([]int, owning), hashslot.Count
	for i := range sizes {
		sizes[i] = hashslot.Count/owning - 300 + rng.IntN(600)
		if i > 0 && rng.IntN(4) == 0 {
			sizes[i] = 1 + rng.IntN(40)
		}
		left -= sizes[i]
	}
	sizes[0] += left
	sets := make([]slotmap.Set, n)
	mean := []int{hashslot.Count, 2500, 700}[rng.IntN(3)]
	for first := 0; first < hashslot.Count; {
		i := rng.IntN(owning)
		if k := min(sizes[i], 1+rng.IntN(2*mean)); k > 0 {
			sets[i].AddRange(slotmap.Range{First: hashslot.Slot(first), Last: hashslot.Slot(first + k - 1)})
			sizes[i] -= k
			first += k
		}
	}
	return sets
}
