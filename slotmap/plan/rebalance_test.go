package plan

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// fair is what every node should have: its exact share, and what it has now.
type fair struct {
	share float64
	have  int
}

// fairOf computes the shares of the primaries that take part, by id.
func fairOf(c *topology.Cluster, opts RebalanceOptions) map[string]fair {
	weight := func(id string) float64 {
		for _, w := range opts.Weights {
			if strings.HasPrefix(id, w.ID) {
				return w.Weight
			}
		}
		return 1
	}
	sum := 0.0
	nodes := map[string]fair{}
	for _, s := range c.Shards() {
		have := c.Table().SlotsOf(s).Len()
		if have > 0 || opts.UseEmpty {
			nodes[s.Primary.ID] = fair{have: have}
			sum += weight(s.Primary.ID)
		}
	}
	for id, f := range nodes {
		f.share = hashslot.Count * weight(id) / sum
		nodes[id] = f
	}
	return nodes
}

// exact reports whether every node ends with its share, rounded down or up.
func exact(c *topology.Cluster, p Plan, opts RebalanceOptions) bool {
	for id, f := range fairOf(c, opts) {
		if math.Abs(float64(p.After.SlotsOf(id).Len())-f.share) > 1-1e-6 {
			return false
		}
	}
	return true
}

// requireExact checks that p ends with exact shares, that it moves the fewest
// slots with which that can be, and that its parts agree.
func requireExact(t *testing.T, c *topology.Cluster, p Plan, opts RebalanceOptions) {
	t.Helper()
	require.True(t, exact(c, p, opts))
	least, left, spared := 0, hashslot.Count, 0
	for _, f := range fairOf(c, opts) {
		down := int(math.Floor(f.share + 1e-6))
		left -= down
		least += max(0, f.have-down)
		if f.have > down && f.share > float64(down)+1e-6 {
			spared++ // rounded up, it moves one slot less
		}
	}
	require.Equal(t, least-min(left, spared), p.SlotCount())
	requireSound(t, c, p)
}

// requireSound checks that the moves lead from Before to After, no slot twice.
func requireSound(t *testing.T, c *topology.Cluster, p Plan) {
	t.Helper()
	var moved slotmap.Set
	var b slotmap.Builder[string]
	for r, s := range c.Table().Ranges() {
		b.Assign(r, s.Primary.ID)
	}
	require.True(t, p.Before.Equal(b.Build()))
	pairs := map[[2]string]bool{}
	for _, m := range p.Moves {
		require.False(t, m.Slots.IsEmpty())
		require.False(t, pairs[[2]string{m.From, m.To}])
		pairs[[2]string{m.From, m.To}] = true
		require.True(t, moved.Intersect(m.Slots).IsEmpty())
		moved = moved.Union(m.Slots)
		for r := range m.Slots.Ranges() {
			for s := r.First; s <= r.Last; s++ {
				if from, _ := p.Before.Lookup(s); from != m.From {
					require.Failf(t, "not the owner", "slot %d is moved from %s and is owned by %s", s, m.From, from)
				}
			}
			b.Assign(r, m.To)
		}
	}
	require.True(t, p.After.Equal(b.Build()))
}

func parse(t *testing.T, nodes string) *topology.Cluster {
	t.Helper()
	c, err := topology.ParseNodes(nodes, topology.Origin{})
	require.NoError(t, err)
	return c
}
