package topology

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
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

// The order of the views does not matter, whatever they say of the nodes.
func TestMergeInAnyOrder(t *testing.T) {
	rounds := uint64(300)
	if testing.Short() {
		rounds = 60
	}
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(seed, 21))
		pick := func(words ...string) string { return words[rng.IntN(len(words))] }
		var views []*Cluster
		for range 2 + rng.IntN(3) {
			if rng.IntN(3) == 0 {
				var nodes []any
				for _, id := range []string{"a", "b"} {
					n := map[string]any{"id": id, "endpoint": pick("h", "i", "?"), "port": 1 + rng.IntN(2), "ip": pick("10.0.0.1", "10.0.0.2"), "role": pick("master", "replica"),
						"health": pick("online", "loading", "fail"), "replication-offset": rng.IntN(2), "availability-zone": pick("x", "y"), "tls-port": rng.IntN(2), "odd": pick("1", "2")}
					nodes = append(nodes, n)
				}
				c, err := ParseShards([]any{map[string]any{"id": pick("s", "t"), "slots": []any{0, rng.IntN(3)}, "nodes": nodes}}, Origin{TLS: rng.IntN(2) == 0})
				require.NoError(t, err)
				views = append(views, c)
				continue
			}
			var b strings.Builder
			for _, id := range []string{"a", "b", "c"} {
				flags, primary := pick("master", "myself,master", "master,fail?"), "-"
				if rng.IntN(3) == 0 {
					flags, primary = pick("slave", "slave,nofailover"), pick("a", "b", "c")
				}
				fmt.Fprintf(&b, "%s %s:%d@%d%s %s %s %d %d %d %s", id, pick("h", "i", ""), 1+rng.IntN(2), 1+rng.IntN(2),
					pick("", ",host", ",other,availability-zone=z", ",,shard-id=1,nodename=n", ",,shard-id=2,nodename=m,tls-port=7", ",,replica-priority=3"),
					flags, primary, rng.IntN(2), rng.IntN(2), rng.IntN(2), pick("connected", "disconnected"))
				fmt.Fprintf(&b, " %d %s\n", rng.IntN(3), pick("", "[5->-a]", "[5->-b] [4->-a]", "[6-<-c]"))
			}
			c, err := ParseNodes(b.String(), Origin{})
			require.NoError(t, err)
			views = append(views, c)
		}
		first, err := Merge(views...)
		require.NoError(t, err)
		for range 3 {
			rng.Shuffle(len(views), func(i, j int) { views[i], views[j] = views[j], views[i] })
			again, err := Merge(views...)
			require.NoError(t, err)
			require.Equal(t, first.Nodes(), again.Nodes(), seed)
			require.ElementsMatch(t, first.Disagreements(), again.Disagreements(), seed)
			require.Equal(t, first.Open(), again.Open(), seed)
			require.ElementsMatch(t, first.Warnings(), again.Warnings(), seed)
			require.True(t, first.Table().Unassigned() == again.Table().Unassigned() && first.Equal(again), seed)
		}
	}
}

// What the best view of a node lacks comes from the others, and is the greatest of several.
func TestMergeFillsIn(t *testing.T) {
	view := func(epoch int, more string) *Cluster {
		c, err := ParseNodes(fmt.Sprintf("a 10.0.0.1:6379@1%s master - 0 0 %d connected 0-99\n", more, epoch), Origin{})
		require.NoError(t, err)
		return c
	}
	x := view(1, ",x,shard-id=1,availability-zone=1,replica-priority=1,nodename=1")
	y := view(1, ",y,shard-id=2,availability-zone=2,replica-priority=2,human-nodename=2,nodename=2")
	texts := func(views ...*Cluster) []any {
		c, err := Merge(views...)
		require.NoError(t, err)
		n := c.Node("a")
		return []any{n.Hostname, n.ShardID, n.AvailabilityZone, n.ReplicaPriority, n.Extra["nodename"], n.Extra["human-nodename"]}
	}
	for _, views := range [][]*Cluster{{y, view(2, ""), x}, {x, y, view(2, "")}} {
		assert.Equal(t, []any{"y", "2", "2", 2, "2", "2"}, texts(views...))
	}
	best := view(2, ",w,shard-id=0,availability-zone=0,replica-priority=1,nodename=0")
	assert.Equal(t, []any{"w", "0", "0", 1, "2", "2"}, texts(x, best, y))
	assert.Equal(t, map[string]string{"nodename": "0"}, best.Node("a").Extra, "a view does not change")
}

// All open slots of all views are in the result, ascending.
func TestMergeOpenSlots(t *testing.T) {
	open := make([]*Cluster, 5)
	for i := range open {
		var b strings.Builder
		b.WriteString("a master 1 0-16383")
		for slot := range 20 {
			fmt.Fprintf(&b, " [%d->-x%d] [%d-<-y]", 20-slot, i, slot)
		}
		open[i] = view(t, b.String())
	}
	c, err := Merge(open...)
	require.NoError(t, err)
	assert.Len(t, c.Node("a").Migrating, 100)
	assert.True(t, slices.IsSortedFunc(c.Node("a").Migrating, comparePeers))
	assert.Len(t, c.Node("a").Importing, 20)
	assert.Equal(t, Peer{20, "x0"}, open[0].Node("a").Migrating[0], "a view does not change")
}
