package plantest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/plan"
)

// FuzzBalance derives a cluster from data: the numbers of shards and replicas, their
// machines and zones, and which nodes are down. After every step every slot is served. At
// the end no key is lost, and the shards are as planned and no worse than before. A second
// plan makes nothing worse.
func FuzzBalance(f *testing.F) {
	for seed := range seeds() {
		rng := rand.New(rand.NewPCG(seed, 11))
		data := make([]byte, rng.IntN(120))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		balanceAtRandom(t, rand.New(&choices{data, rand.NewPCG(3, 4)}))
	})
}

func balanceAtRandom(t testing.TB, rng *rand.Rand) {
	shards, machines := 1+rng.IntN(6), 1+rng.IntN(5)
	o := plan.BalanceOptions{Machines: map[string]string{}, Zones: map[string]string{}}
	var text strings.Builder
	down := map[string]bool{}
	add := func(id, flags, primary string, rest string) {
		if rng.IntN(12) == 0 && primary != "-" {
			flags += ",fail"
			down[id] = true
		}
		fmt.Fprintf(&text, "%s 10.0.0.%d:6379@1 %s %s 0 0 %d connected%s\n", id, len(o.Machines)+1, flags, primary, 1+len(o.Machines), rest)
		m := rng.IntN(machines)
		o.Machines[id], o.Zones[id] = fmt.Sprint(m), fmt.Sprint(m%(1+rng.IntN(3)))
	}
	add("rest", "master", "-", " 16-16383") // most slots never move, which saves time
	for s := range shards {
		slots := ""
		for slot := s; slot < 16; slot += shards {
			slots += fmt.Sprint(" ", slot)
		}
		primary := fmt.Sprintf("p%d", s)
		add(primary, "master", "-", slots)
		for r := range rng.IntN(4) {
			add(fmt.Sprintf("r%d%d", s, r), "slave", primary, "")
		}
	}
	view := parse(t, text.String())
	p, err := plan.Balance(view, o)
	require.NoError(t, err)
	c := New(view)
	for id := range down {
		c.Kill(id)
	}
	c.Fill(20, 1)
	for slot := range slotmap.MustParseSet("0-15").Slots() {
		owner, _ := c.Table().Lookup(slot)
		c.Put(owner, "{"+slot.Tag()+"}x", "1")
	}
	keys := inventory(c)
	slots := slotmap.MustParseSet("0-6")
	for _, s := range p.Steps {
		require.False(t, down[s.Node], "%s: the node is down", s)
		require.NoError(t, c.Run(s))
		require.NoError(t, c.Check(slots), "%s", s)
		c.Gossip()
		require.NoError(t, c.Check(slots), "%s", s)
	}
	require.Equal(t, keys, inventory(c))
	views, err := c.Views()
	require.NoError(t, err)
	// Nodes that are down have not heard of the changes, and others may not know them.
	for _, shard := range views[0].Shards() {
		for _, s := range p.After.Shards {
			if s.Primary.Addr == shard.Primary.Addr() {
				require.Len(t, shard.Replicas, len(s.Replicas))
			}
		}
	}
	again, err := plan.Balance(views[0], o)
	require.NoError(t, err)
	require.Equal(t, pairs(p.After), pairs(again.Before))
	require.LessOrEqual(t, pairs(again.After), pairs(p.After)) // the plan starts from other primaries
	require.LessOrEqual(t, pairs(p.After), pairs(p.Before))
}

// pairs counts nodes of one shard on one machine.
func pairs(l plan.Layout) (n int) {
	for _, s := range l.Shards {
		hosts := append([]plan.Host{s.Primary}, s.Replicas...)
		for i, a := range hosts {
			for _, b := range hosts[:i] {
				if a.Machine == b.Machine && a.Zone == b.Zone {
					n++
				}
			}
		}
	}
	return n
}
