package plan

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

func randomPlan(t *testing.T) Plan {
	t.Helper()
	rng := rand.New(rand.NewPCG(17, 18))
	c := randomPaper(rng, 12).cluster(t)
	p, err := Rebalance(c, RebalanceOptions{UseEmpty: true})
	require.NoError(t, err)
	require.NotEmpty(t, p.Moves)
	return p
}

func modelOf(p Plan) *Model {
	var all []string
	for _, n := range p.Nodes {
		all = append(all, n.ID)
	}
	return NewModel(p.Before, all...)
}

// Every step of every rendering leaves each slot with one owner, and every key
// can be reached by way of every node.
func TestModelFollowsPlans(t *testing.T) {
	p := randomPlan(t)
	m := modelOf(p)
	require.NoError(t, m.Check())
	steps, err := p.SetSlots(SetSlotOptions{})
	require.NoError(t, err)
	n := 0
	for s := range steps {
		err := m.Do(s)
		for _, r := range s.Slots {
			err = errors.Join(err, m.checkOpen(r.First))
		}
		if err != nil {
			require.NoError(t, err)
		}
		if n%10000 == 0 {
			require.NoError(t, m.Check())
		}
		n++
	}
	require.NoError(t, m.Check())
	require.True(t, p.After.Equal(m.Table()))

	for name, steps := range map[string][]Step{"migrateslots": p.MigrateSlots(), "import": p.MigrationImport()} {
		m := modelOf(p)
		for _, s := range steps {
			require.NoError(t, m.Do(s), name)
			require.NoError(t, m.Check(), name)
		}
		require.True(t, p.After.Equal(m.Table()), name)
	}

	batches, err := p.Batches(50)
	require.NoError(t, err)
	m = modelOf(p)
	for _, b := range batches {
		for _, s := range b.MigrateSlots() {
			require.NoError(t, m.Do(s))
		}
		require.True(t, b.After.Equal(m.Table()))
	}
}

// The model does not let through what servers refuse, and sees what goes wrong
// when steps come in a dangerous order.
func TestModelRefuses(t *testing.T) {
	p := fiveMoves(t)
	do := func(m *Model, node string, command ...string) error {
		return m.Do(Step{Node: node, Slots: one(0), Command: command})
	}
	for _, tc := range []struct {
		node, command, want string
	}{
		{"z", "CLUSTER SETSLOT 0 NODE a", "unknown node z"},
		{"a", "CLUSTER SETSLOT 16384 NODE a", "Invalid or out of range slot"},
		{"a", "CLUSTER SETSLOT 0 NODE z", "I don't know about node z"},
		{"a", "CLUSTER SETSLOT 0 IMPORTING b", "I'm already the owner of hash slot 0"},
		{"b", "CLUSTER SETSLOT 0 MIGRATING a", "I'm not the owner of hash slot 0"},
		{"a", "CLUSTER SETSLOT 0 MIGRATING b", "the target does not import the slot yet: clients would be sent there in vain"},
		{"b", "CLUSTER SETSLOT 0 NODE b", "the slot is not being moved to b"},
		{"b", "CLUSTER SETSLOT 0 STABLE b", "Invalid CLUSTER SETSLOT action or number of arguments"},
		{"a", "MIGRATE h 1 k 0 0", "the slot is not open at both ends"},
		{"a", "CLUSTER ADDSLOTSRANGE 0 0", "Slot 0 is already busy"},
		{"a", "CLUSTER ADDSLOTSRANGE 10", "No end slot for final slot range"},
		{"a", "CLUSTER MIGRATESLOTS SLOTSRANGE 0 9 NODE a", "Target node can not be this node"},
		{"a", "CLUSTER MIGRATESLOTS SLOTSRANGE 0 9 NODE z", "Unknown node name"},
		{"a", "CLUSTER MIGRATESLOTS SLOTSRANGE 0 9", "syntax error"},
		{"a", "CLUSTER MIGRATESLOTS SLOTSRANGE 0 10 NODE b", "Slot 10 has no node served"},
		{"b", "CLUSTER MIGRATESLOTS SLOTSRANGE 0 9 NODE a", "Slots are not served by this node"},
		{"a", "CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 5 9 NODE b", "Slot range 5-9 overlaps with previous range"},
		{"a", "CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 NODE b SLOTSRANGE 5 9 NODE c", "Slot ranges in migrations overlap"},
		{"b", "CLUSTER MIGRATION IMPORT 8000 9000", "Slots are not served by this node"},
		{"b", "FLUSHALL", "unknown command"},
	} {
		err := do(modelOf(p), tc.node, strings.Fields(tc.command)...)
		var e *ModelError
		require.ErrorAs(t, err, &e, tc.command)
		require.Equal(t, tc.want, e.Reason)
	}
	m := modelOf(p)
	require.ErrorContains(t, m.Check(), "slot 10 has no owner")
	require.NoError(t, do(m, "c", "CLUSTER", "ADDSLOTSRANGE", "10", "19"))
	require.NoError(t, m.Check())
	require.NoError(t, do(m, "b", "CLUSTER", "SETSLOT", "0", "IMPORTING", "a"))
	require.NoError(t, do(m, "a", "CLUSTER", "SETSLOT", "0", "MIGRATING", "b"))
	require.ErrorContains(t, do(m, "b", "CLUSTER", "SETSLOT", "0", "NODE", "b"), "the keys are not moved yet")
	require.ErrorContains(t, do(m, "a", "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", "0", "9", "NODE", "b"), "Slots are being manually migrated")
	require.NoError(t, m.Do(Step{Node: "a", Slots: one(0), Command: []string{"MIGRATE"}}))
	require.ErrorContains(t, do(m, "a", "CLUSTER", "SETSLOT", "0", "NODE", "b"), "the target must be told first")
	require.NoError(t, m.Check())
	require.NoError(t, do(m, "b", "CLUSTER", "SETSLOT", "0", "NODE", "b"))
	require.NoError(t, m.Check())
	served, err := m.Route(0, "c")
	require.NoError(t, err)
	require.Equal(t, "b", served)
	m.Gossip()
	require.Empty(t, m.open)
	_, err = m.Route(0, "z")
	require.ErrorContains(t, err, "unknown node z")
	// Were the source to close the slot before the target is told, a key that has
	// moved could not be reached.
	require.NoError(t, do(m, "c", "CLUSTER", "SETSLOT", "1", "IMPORTING", "a"))
	require.NoError(t, do(m, "a", "CLUSTER", "SETSLOT", "1", "MIGRATING", "c"))
	require.NoError(t, m.Do(Step{Node: "a", Slots: one(1), Command: []string{"MIGRATE"}}))
	m.open[1].migrating = false
	require.ErrorContains(t, m.Check(), "a command for slot 1 sent to")
}

// A thousand primaries: a hundred join, a hundred are drained, and meanwhile
// primaries fail at random and replicas take over.
func TestModelAtScale(t *testing.T) {
	rng := rand.New(rand.NewPCG(19, 20))
	type server struct {
		id, replica string
		gone        bool
	}
	next := 0
	id := func() string {
		next++
		return fmt.Sprintf("%08x%032x", rng.Uint32(), next)
	}
	var servers []*server
	add := func() *server {
		s := &server{id: id(), replica: id()}
		servers = append(servers, s)
		return s
	}
	var b slotmap.Builder[string]
	for i := range 1000 {
		first, last := i*hashslot.Count/1000, (i+1)*hashslot.Count/1000-1
		b.Assign(slotmap.Range{First: hashslot.Slot(first), Last: hashslot.Slot(last)}, add().id)
	}
	table := b.Build()
	// view is what the cluster looks like now, its lines in random order.
	view := func() *topology.Cluster {
		slots := map[string]*strings.Builder{}
		for _, s := range servers {
			slots[s.id] = new(strings.Builder)
		}
		for r, id := range table.Ranges() {
			slots[id].WriteString(" " + r.String())
		}
		var text strings.Builder
		for _, i := range rng.Perm(len(servers)) {
			s := servers[i]
			if !s.gone {
				fmt.Fprintf(&text, "%s 10.0.%d.%d:1@2 master - 0 0 %d connected%s\n", s.id, i/250, i%250, i+1, slots[s.id])
				if s.replica != "" {
					fmt.Fprintf(&text, "%s 10.1.%d.%d:1@2 slave %s 0 0 %d connected\n", s.replica, i/250, i%250, s.id, i+1)
				}
			}
		}
		return parse(t, text.String())
	}
	// fail loses some primaries, and has their replicas take over.
	fail := func() {
		c := view()
		var lost []string
		for _, i := range rng.Perm(len(servers))[:20] {
			if s := servers[i]; !s.gone && s.replica != "" {
				lost = append(lost, s.id)
			}
		}
		promotions, err := Promote(c, lost)
		require.NoError(t, err)
		var b slotmap.Builder[string]
		for r, id := range table.Ranges() {
			b.Assign(r, id)
		}
		for _, p := range promotions {
			i := slices.IndexFunc(servers, func(s *server) bool { return s.id == p.Lost })
			if p.Slots.IsEmpty() {
				require.Empty(t, p.Replica)
				continue
			}
			require.Equal(t, servers[i].replica, p.Replica)
			require.True(t, p.Automatic)
			for r := range p.Slots.Ranges() {
				b.Assign(r, p.Replica)
			}
			servers[i].id, servers[i].replica = p.Replica, ""
		}
		table = b.Build()
	}
	// carryOut does the plans, one of them after another, with failures between
	// the batches, after which it plans anew.
	carryOut := func(plan func() (Plan, error)) (moved int) {
		for failures := 2; ; failures-- {
			p, err := plan()
			require.NoError(t, err)
			requireSound(t, view(), p)
			if len(p.Moves) == 0 {
				return moved
			}
			m := modelOf(p)
			batches, err := p.Batches(4)
			require.NoError(t, err)
			if failures > 0 {
				batches = batches[:(len(batches)+1)/2]
			}
			for _, batch := range batches {
				for _, s := range batch.MigrateSlots() {
					require.NoError(t, m.Do(s))
				}
				require.NoError(t, m.Check())
				moved += batch.SlotCount()
			}
			table = m.Table()
			if failures > 0 {
				fail()
			}
		}
	}

	for range 100 {
		add()
	}
	moved := carryOut(func() (Plan, error) { return Rebalance(view(), RebalanceOptions{UseEmpty: true}) })
	// 1000 nodes of 16 or 17 become 1100 of 14 or 15.
	require.Equal(t, 100*14, min(moved, 100*14))
	require.LessOrEqual(t, moved, 100*15)
	drained := servers[:100]
	had := 0
	for _, s := range drained {
		had += table.SlotsOf(s.id).Len()
	}
	moved = carryOut(func() (Plan, error) {
		var ids []string
		for _, s := range drained {
			ids = append(ids, s.id)
		}
		return Drain(view(), ids, DrainOptions{UseEmpty: true})
	})
	require.Equal(t, had, moved)
	for _, s := range drained {
		set := table.SlotsOf(s.id)
		require.True(t, set.IsEmpty())
		s.gone = true
	}
	least, most := hashslot.Count, 0
	for _, s := range servers[100:] {
		n := table.SlotsOf(s.id).Len()
		least, most = min(least, n), max(most, n)
	}
	t.Logf("%d ranges; from %d to %d slots a node", table.RangeCount(), least, most)
	require.LessOrEqual(t, most-least, 1)
}
