package topology

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// modelMerge returns the node that gets the i-th slot, by the rules of Merge, one after
// the other.
func modelMerge(views []modelView, i int) string {
	highest := func(x string) int { // of what the views say of a node
		epoch := -1
		for _, v := range views {
			if n, ok := v.nodes[x]; ok && v.kind == 'N' {
				epoch = max(epoch, n.epoch)
			}
		}
		return epoch
	}
	type candidate struct {
		name            string
		epoch, own      int
		votes, assigned int
	}
	var all []candidate
	for _, v := range views {
		x := v.owners[i]
		if x == "" {
			continue
		}
		n := v.nodes[x]
		if n.epoch >= 0 && n.epoch < highest(x) {
			continue // outdated
		}
		assigned := 0
		for _, o := range v.owners {
			if o != "" {
				assigned++
			}
		}
		k := slices.IndexFunc(all, func(c candidate) bool { return c.name == x })
		if k < 0 {
			k = len(all)
			all = append(all, candidate{name: x, epoch: -1})
		}
		c := &all[k]
		c.votes++
		c.epoch = max(c.epoch, n.epoch)
		c.assigned = max(c.assigned, assigned)
		if n.epoch >= 0 && v.source == x {
			c.own = 1
		}
	}
	if len(all) == 0 {
		return ""
	}
	return slices.MaxFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.own, b.own), cmp.Compare(a.votes, b.votes),
			cmp.Compare(a.assigned, b.assigned), cmp.Compare(b.name, a.name))
	}).name
}

func checkMerge(t testing.TB, pick picker) {
	var models []modelView
	var views []*Cluster
	nodes := map[string]bool{}
	for range 2 + pick(3) {
		v := randomView(pick)
		models = append(models, v)
		views = append(views, v.cluster(t))
		for x := range v.nodes {
			nodes[x] = true
		}
	}
	c, err := Merge(views...)
	require.NoError(t, err)
	require.Len(t, c.Nodes(), len(nodes))
	for i, slot := range modelSlots {
		owner := ""
		if s, ok := c.Table().Lookup(slot); ok {
			owner = s.Primary.ID
		}
		require.Equal(t, modelMerge(models, i), owner, "slot %d of %v", slot, models)
		for _, d := range c.Disagreements() {
			if d.Slots.Contains(slot) {
				require.Equal(t, owner, d.Owner.ID)
			}
		}
	}
	for x := range nodes {
		down, of := 0, 0
		for _, v := range models {
			if n, ok := v.nodes[x]; ok {
				of++
				if n.down {
					down++
				}
			}
		}
		flags := c.Node(x).Flags
		require.Equal(t, 2*down > of, flags.Has(FlagFail), x)
		require.Equal(t, down > 0 && 2*down <= of, flags.Has(FlagPFail), x)
		require.False(t, flags.Has(FlagMyself))
	}
	slices.Reverse(views)
	again, err := Merge(views...)
	require.NoError(t, err)
	require.True(t, c.Equal(again))
	require.Len(t, again.Disagreements(), len(c.Disagreements()))
}

func TestMergeModel(t *testing.T) {
	rounds := *sequences / 8
	if testing.Short() {
		rounds /= 8
	}
	for seed := range rounds {
		checkMerge(t, rand.New(rand.NewPCG(*first+seed, 13)).IntN)
	}
}

func FuzzMerge(f *testing.F) {
	for seed := range byte(8) {
		rng := rand.New(rand.NewPCG(uint64(seed), 14))
		data := make([]byte, 200)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkMerge(t, func(n int) int {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			return int(b) % n
		})
	})
}
