package sim

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var (
	seeds      = flag.Int("seeds", short, "how often each scenario is played; any other number only measures")
	numShards  = flag.Int("shards", 20, "of the storms")
	numClients = flag.Int("clients", 50, "of each kind, in the storms")
)

// short is how many seeds the test takes.
const short = 4

// TestScenarios holds what a Router with a Refresher must be better at than a
// client that loads the whole map again at a limited rate: it asks for no more
// views, its views make fewer slots wrong, and it is right and gets no redirects
// once the cluster is calm.
func TestScenarios(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var list []uint64
			for i := range *seeds {
				list = append(list, uint64(i+1))
			}
			cells := s.table(list)
			t.Log("\n" + markdown(s, cells))
			if *seeds != short {
				return // a measurement
			}
			reload := cells[column{reloading, slots}]
			for _, f := range []format{nodes, slots, shards} {
				router := cells[column{routed, f}]
				assert.LessOrEqual(t, router.views, reload.views, "%v: views", f)
				assert.LessOrEqual(t, router.most, reload.most, "%v: views of one client in 10 seconds", f)
				assert.Less(t, router.spoiled, max(1, reload.spoiled), "%v: units made wrong", f)
				assert.Zero(t, router.calmed.redirects, "%v: redirects in calm", f)
				assert.Zero(t, router.wrong, "%v: units that are wrong in the end", f)
			}
		})
	}
}

// markdown is the table of a scenario.
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

// TestOutage holds that a failover of some seconds costs a busy client five views
// at most: seven loops, with some milliseconds between their commands.
func TestOutage(t *testing.T) {
	for _, f := range []format{nodes, slots, shards} {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			for seed := range *seeds {
				w := newWorld(uint64(seed+1), 3, 2, 128)
				c := w.newClient(uint64(seed), routed, f, 7)
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
					seed+1, c.views-before, c.commands-commands, c.failures, outage)
				assert.LessOrEqual(t, c.views-before, 5)
				assert.GreaterOrEqual(t, c.views-before, 1)
				assert.Greater(t, outage, 2*time.Second)
				assert.Greater(t, c.failures, 10)
			}
		})
	}
}

// TestStorms plays each storm in a small cluster, or in one as large as the flags
// say.
func TestStorms(t *testing.T) {
	for _, s := range storms {
		t.Run(s.name, func(t *testing.T) {
			result := s.blow(1, *numShards, *numClients, nodes)
			out := "\n"
			for _, k := range stormKinds {
				r := result[k]
				out += fmt.Sprintf("| %s | %v | %d | %.1f | %.1f | %s | %s |\n", s.name, k, r.peak, r.views, r.redirect, took(r.most), took(r.all))
			}
			t.Log(out)
			assert.Less(t, result[routed].all, waits, "all clients are right in the end")
			assert.Less(t, result[routed].views, result[aging].views)
		})
	}
}

func took(d time.Duration) string {
	if d >= waits {
		return "more than 90 s"
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
