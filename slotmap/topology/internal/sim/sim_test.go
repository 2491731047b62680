package sim

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var (
	seeds      = flag.Int("seeds", 4, "how often each scenario is played, and each storm")
	first      = flag.Uint64("first", 500, "the first seed")
	numShards  = flag.Int("shards", 20, "of the storms")
	numClients = flag.Int("clients", 50, "of each kind, in the storms")
)

// TestScenarios holds what a Router with a Refresher must be better at than a
// client that loads the whole map again at a limited rate: it asks for no more
// views, by its views no more slots become wrong, and once the cluster is calm
// it is right, and no slot redirects it twice. (A client that has not used a slot
// since it moved, and has needed no view, may learn of it only then.)
//
// Units that are wrong in the end are compared as well: two servers may claim one
// for ever, and no client can be right about it.
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
				assert.LessOrEqual(t, router.spoiled, reload.spoiled, "%v: units made wrong", f)
				assert.LessOrEqual(t, router.calmed.again, reload.calmed.again, "%v: units that redirected twice in calm", f)
				assert.LessOrEqual(t, router.wrong, reload.wrong, "%v: units that are wrong in the end", f)
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

// TestOutage holds that a failover of some seconds costs a busy client six views at
// most, and five nearly always: seven loops, with some milliseconds between their commands.
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
				assert.LessOrEqual(t, c.views-before, 6)
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
			result := s.blow(1, *numShards, *numClients, slots)
			out := "\n"
			for _, k := range stormKinds {
				r := result[k]
				out += fmt.Sprintf("| %s | %v | %d | %.1f | %.1f | %s | %s |\n", s.name, k, r.peak, r.views, r.redirect, took(r.most), took(r.all))
			}
			t.Log(out)
			assert.Less(t, result[routed].all, waits, "all clients are right in the end")
			// A Refresher asks once a minute without need, which the reload never does.
			assert.LessOrEqual(t, result[routed].views, result[reloading].views+2)
		})
	}
}

func took(d time.Duration) string {
	if d >= waits {
		return "more than 90 s"
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
