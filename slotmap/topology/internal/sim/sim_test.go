package sim

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var (
	seeds      = flag.Int("seeds", 4, "how often each scenario is played, and each storm")
	first      = flag.Uint64("first", 500, "the first seed")
	numShards  = flag.Int("shards", 20, "of the storms")
	batch      = flag.Int("batch", 500, "clients of each kind that are played at once, in the storms")
	numClients = flag.Int("clients", 50, "of each kind, in the storms")
)

// TestScenarios compares a Router and its Refresher with a client that loads the whole
// map again at a limited rate. They must ask for no more views, in total and in ten
// seconds; their views must make fewer slots wrong, or none; and once the cluster is
// calm, they must get no redirects and be right about all slots.
func TestScenarios(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var list []uint64
			for i := range *seeds {
				list = append(list, *first+uint64(i))
			}
			cells := s.table(list)
			t.Log("\n" + markdown(s, cells))
			reload := cells[column{reloading, slots}]
			for _, f := range []format{nodes, slots, shards} {
				router := cells[column{routed, f}]
				assert.LessOrEqual(t, router.views, reload.views, "%v: views", f)
				assert.LessOrEqual(t, router.most, reload.most, "%v: views of one client in 10 seconds", f)
				assert.LessOrEqual(t, router.spoiled, max(0, reload.spoiled-1), "%v: units made wrong", f)
				assert.Zero(t, router.calmed.redirects, "%v: redirects in calm", f)
				assert.Zero(t, router.wrong, "%v: units that are wrong in the end", f)
			}
		})
	}
}

// markdown returns the table of a scenario.
func markdown(s scenario, cells map[column]*cell) string {
	out := ""
	for _, col := range columns {
		c := cells[col]
		name := fmt.Sprint(col.kind)
		if col.kind == routed || col.kind == eager {
			name += ", " + col.format.String()
		}
		out += fmt.Sprintf("| %s | %s | %.1f | %d | %.1f | %.1f | %.2f |\n", s.name, name,
			float64(c.views)/float64(c.clients), c.most, float64(c.spoiled)/float64(c.clients),
			1000*float64(c.redirects)/float64(c.commands), 1000*float64(c.calmed.redirects)/float64(c.calmed.commands))
	}
	return out
}

// TestOutage checks that a failover of some seconds costs a busy client at most five
// views. The client has seven loops, with some milliseconds between their commands.
func TestOutage(t *testing.T) {
	for _, f := range []format{nodes, slots, shards} {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			for seed := range *seeds {
				w := newWorld(*first+uint64(seed), 3, 2, 128)
				c := w.newClient(*first+uint64(seed), routed, f, 7)
				c.pause = 2 * ms
				w.run(begins)
				before, commands := c.views, c.commands
				down := w.servers[0]
				down.kill()
				for !c.right() || w.truth[0] == down.index {
					w.run(w.now + 50*ms)
				}
				outage := w.now - begins
				w.run(w.now + 10*time.Second)
				t.Logf("seed %d: %d views and %d commands, of which %d failed, after an outage of %v",
					*first+uint64(seed), c.views-before, c.commands-commands, c.failures, outage)
				assert.LessOrEqual(t, c.views-before, 5)
				assert.GreaterOrEqual(t, c.views-before, 1)
				assert.Greater(t, outage, 2*time.Second)
				assert.Greater(t, c.failures, 10)
			}
		})
	}
}

// TestStorms plays each storm in a cluster of the size that the flags give. In the mean
// of the seeds, the last Router must be right no later than the last client that
// reloads. Routers must ask for no more views, in total and at the busiest node, than
// clients that reload; or, if these never become right, than those that also reload
// after 10 s.
func TestStorms(t *testing.T) {
	for _, s := range storms {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			type sums struct {
				peak             int32
				views, redirects float64
				most, all        time.Duration
			}
			of := make(map[kind]*sums)
			for _, k := range stormKinds {
				of[k] = &sums{}
			}
			for i := range *seeds {
				result := s.blow(*first+uint64(i), *numShards, *numClients, *batch, slots)
				for _, k := range stormKinds {
					r, sum := result[k], of[k]
					sum.peak += r.peak()
					sum.views += r.views()
					sum.redirects += float64(r.redirects) / float64(r.clients)
					sum.most += r.right(99)
					sum.all += r.right(100)
				}
				assert.Less(t, result[routed].right(100), waits, "all clients are right in the end")
			}
			out, n := "\n", float64(*seeds)
			for _, k := range stormKinds {
				r := of[k]
				out += fmt.Sprintf("| %s | %v | %.1f | %.1f | %.1f | %s | %s |\n", s.name, k, float64(r.peak)/n, r.views/n, r.redirects/n,
					took(r.most/time.Duration(*seeds)), took(r.all/time.Duration(*seeds)))
			}
			t.Log(out)
			assert.LessOrEqual(t, of[routed].all, of[reloading].all, "the last client")
			rival := of[reloading]
			if rival.all == time.Duration(*seeds)*waits { // it saves views by staying wrong
				rival = of[aging]
			}
			assert.LessOrEqual(t, of[routed].peak, rival.peak, "the busiest node")
			assert.LessOrEqual(t, of[routed].views, rival.views, "views")
		})
	}
}

// TestBatches checks that clients do not change what servers do: the result is the same
// whether they are played together or in batches.
func TestBatches(t *testing.T) {
	for _, s := range storms {
		whole, parts := s.blow(*first, 5, 8, 8, slots), s.blow(*first, 5, 8, 3, slots)
		for _, k := range stormKinds {
			slices.Sort(whole[k].reached)
			slices.Sort(parts[k].reached)
			assert.Equal(t, whole[k].reached, parts[k].reached, "%s, %v", s.name, k)
			assert.Equal(t, whole[k].redirects, parts[k].redirects, "%s, %v", s.name, k)
			assert.NotZero(t, whole[k].peak())
			for second, counts := range whole[k].load.counts {
				for server, n := range counts {
					assert.Equal(t, n, *parts[k].load.at(second, server), "%s, %v, second %d, server %d", s.name, k, second, server)
				}
			}
			assert.Equal(t, whole[k].views(), parts[k].views(), "%s, %v", s.name, k)
		}
	}
}

// took returns d as the tables show it.
func took(d time.Duration) string {
	if d >= waits {
		return "more than 90 s"
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
