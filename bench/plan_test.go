package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// clusterOf writes and parses the CLUSTER NODES text of a cluster of n primaries. owner
// returns the number of the primary that has a slot.
func clusterOf(b *testing.B, n int, owner func(slot int) int) *topology.Cluster {
	b.Helper()
	slots := make([]strings.Builder, n)
	for first := 0; first < hashslot.Count; {
		last := first
		for last+1 < hashslot.Count && owner(last+1) == owner(first) {
			last++
		}
		fmt.Fprintf(&slots[owner(first)], " %d-%d", first, last)
		first = last + 1
	}
	var text strings.Builder
	for i := range slots {
		fmt.Fprintf(&text, "%040x 10.0.%d.%d:6379@16379 master - 0 0 %d connected%s\n", uint64(i+1)*0x9e3779b97f4a7c15, i/250, i%250, i+1, slots[i].String())
	}
	c, err := topology.ParseNodes(text.String(), topology.Origin{})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

var planSink plan.Plan

// BenchmarkPlan makes a whole plan, from a parsed cluster to the moves.
func BenchmarkPlan(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	scattered := make([]int, hashslot.Count)
	for i := range scattered {
		scattered[i] = rng.IntN(1000)
	}
	even := func(n int) func(int) int { return func(slot int) int { return slot * n / hashslot.Count } }
	ids := func(c *topology.Cluster, n int) (ids []string) {
		for _, s := range c.Shards()[:n] {
			ids = append(ids, s.Primary.ID)
		}
		return ids
	}
	for _, bm := range []struct {
		name string
		c    *topology.Cluster
		plan func(c *topology.Cluster) (plan.Plan, error)
	}{
		{"rebalance/primaries=3/new=1", clusterOf(b, 4, even(3)), addAll},
		{"rebalance/primaries=1000/new=0", clusterOf(b, 1000, even(1000)), addAll},
		{"rebalance/primaries=1000/new=100", clusterOf(b, 1000, even(900)), addAll},
		{"rebalance/primaries=1000/new=900", clusterOf(b, 1000, even(100)), addAll},
		{"rebalance/primaries=1000/new=0/ranges=scattered", clusterOf(b, 1000, func(s int) int { return scattered[s] }), addAll},
		{"rebalance/primaries=1000/new=100/ranges=scattered", clusterOf(b, 1000, func(s int) int { return scattered[s] * 9 / 10 }), addAll},
		{"rebalance/primaries=1000/new=100/ranges=striped", clusterOf(b, 1000, func(s int) int { return s % 900 }), addAll},
		{"rebalance/primaries=10/new=1/ranges=scattered", clusterOf(b, 10, func(s int) int { return scattered[s] * 9 / 1000 }), addAll},
		{"drain/primaries=1000/gone=100", clusterOf(b, 1000, even(1000)), func(c *topology.Cluster) (plan.Plan, error) {
			return plan.Drain(c, ids(c, 100), plan.DrainOptions{})
		}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := bm.plan(bm.c)
				if err != nil {
					b.Fatal(err)
				}
				planSink = p
			}
			b.ReportMetric(float64(planSink.SlotCount()), "slots-moved")
			b.ReportMetric(float64(planSink.After.RangeCount()), "ranges")
		})
	}
}

func addAll(c *topology.Cluster) (plan.Plan, error) {
	return plan.Rebalance(c, plan.RebalanceOptions{UseEmpty: true})
}
