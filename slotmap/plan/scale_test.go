package plan

import (
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

// A thousand primaries: a hundred join, a hundred are drained, and meanwhile
// primaries fail at random and replicas take over.
func TestPlansAtScale(t *testing.T) {
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
			batches, err := p.Batches(4)
			require.NoError(t, err)
			if failures > 0 {
				batches = batches[:(len(batches)+1)/2]
			}
			for _, batch := range batches {
				require.True(t, batch.Before.Equal(table))
				table = batch.After
				moved += batch.SlotCount()
			}
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
