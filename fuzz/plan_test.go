package fuzz

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/plan/valkeycli"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// FuzzRebalance makes clusters of runs: two bytes are the owner and the length of one. The
// reference computes the exact shares and the fewest moves.
func FuzzRebalance(f *testing.F) {
	f.Add([]byte{0, 255}, []byte{1, 1, 1}, true)
	f.Add([]byte{0, 9, 1, 9, 2, 9, 3, 9}, []byte{10, 10, 10, 10}, false)
	f.Add([]byte{0, 1, 1, 0, 2, 200}, []byte{0, 1, 255, 7}, true)
	f.Add([]byte{}, []byte{3, 0}, true)
	f.Fuzz(func(t *testing.T, runs, weights []byte, useEmpty bool) {
		n := min(len(weights), 40)
		if n == 0 || len(runs) < 2 {
			runs, weights, n = []byte{0, 1}, []byte{1}, 1
		}
		var owner [hashslot.Count]int
		for s, i := 0, 0; s < len(owner); i += 2 {
			i %= len(runs) - 1
			for k := 0; k <= int(runs[i+1])*16 && s < len(owner); k++ {
				owner[s] = int(runs[i]) % n
				s++
			}
		}
		slots := make([]strings.Builder, n)
		have := make([]int, n)
		for s, o := range owner {
			have[o]++
			fmt.Fprintf(&slots[o], " %d", s)
		}
		var text strings.Builder
		opts := plan.RebalanceOptions{UseEmpty: useEmpty}
		total := 0.0
		for i := range n {
			id := fmt.Sprintf("%02x%038x", i, 0)
			fmt.Fprintf(&text, "%s 10.0.0.%d:6379@16379 master - 0 0 1 connected%s\n", id, i+1, slots[i].String())
			opts.Weights = append(opts.Weights, plan.Weight{ID: id, Weight: float64(weights[i]) / 10})
			if have[i] > 0 || useEmpty {
				total += float64(weights[i])
			}
		}
		c, err := topology.ParseNodes(text.String(), topology.Origin{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Rebalance(c, opts)
		if total == 0 {
			var input *plan.InputError
			if !errors.As(err, &input) {
				t.Fatalf("no weight: %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		least, up, spared := 0, hashslot.Count, 0
		for i := range n {
			share := 0.0
			if have[i] > 0 || useEmpty {
				share = hashslot.Count * float64(weights[i]) / total
			}
			has := p.After.SlotsOf(opts.Weights[i].ID)
			if math.Abs(float64(has.Len())-share) >= 1-1e-6 {
				t.Fatalf("node %d has %d slots, its share is %g", i, has.Len(), share)
			}
			down := int(share + 1e-6)
			up -= down
			least += max(0, have[i]-down)
			if share-float64(down) > 1e-6 && have[i] > down {
				spared++
			}
		}
		if least -= min(up, spared); p.SlotCount() != least {
			t.Fatalf("%d slots moved, %d would do", p.SlotCount(), least)
		}
		var moved slotmap.Set
		for _, m := range p.Moves {
			if x := moved.Intersect(m.Slots); !x.IsEmpty() {
				t.Fatalf("slots %v move twice", x)
			}
			moved = moved.Union(m.Slots)
		}
		checkMoves(t, p)
	})
}

// checkMoves makes the moves.
func checkMoves(t *testing.T, p plan.Plan) {
	var b slotmap.Builder[string]
	for r, id := range p.Before.Ranges() {
		b.Assign(r, id)
	}
	for _, m := range p.Moves {
		for r := range m.Slots.Ranges() {
			for slot := r.First; slot <= r.Last; slot++ {
				if owner, _ := p.Before.Lookup(slot); owner != m.From {
					t.Fatalf("slot %d is not %q's to give, but %q's", slot, m.From, owner)
				}
			}
			b.Assign(r, m.To)
		}
	}
	if !b.Build().Equal(p.After) {
		t.Fatal("the moves do not lead to After")
	}
}

// FuzzPlan makes plans of all kinds for any input that can be read as CLUSTER NODES.
func FuzzPlan(f *testing.F) {
	f.Add("a h:1@2 myself,master - 0 0 1 connected 0-8191\nb h:2@3 master - 0 0 2 connected 8192-16383\n", "a", "b", 1.0, 100, byte(0))
	f.Add("a h:1@2 myself,master - 0 0 1 connected 0-16383\nb h:2@3 master - 0 0 2 connected\nr h:3@4 slave b 0 0 2 connected\n", "b", "a", 0.0, 1, byte(1))
	f.Add("\xff h:1@2 myself,master - 0 0 1 connected 0-16383\nb h:2@3 master - 0 0 2 connected\n", "\xff", "b", 1.0, 100, byte(2))
	f.Add("a h:1@2 myself,master - 0 0 1 connected 0-9 [7->-b]\nb :0@0 master,noaddr - 0 0 2 connected 5\n", "b", "r", -1.0, -1, byte(3))
	f.Fuzz(func(t *testing.T, nodes, a, b string, weight float64, n int, bits byte) {
		c, err := topology.ParseNodes(nodes, topology.Origin{})
		if err != nil {
			return
		}
		opts := plan.RebalanceOptions{
			UseEmpty: bits&2 != 0, AssignUnassigned: bits&4 != 0,
			Weights: []plan.Weight{{ID: a, Weight: weight}},
		}
		if bits&8 != 0 {
			opts.Threshold = weight
		}
		check := func(p plan.Plan, err error) {
			if err != nil {
				var input *plan.InputError
				var state *plan.StateError
				if !errors.As(err, &input) && !errors.As(err, &state) && !errors.Is(err, valkeycli.ErrEndless) {
					t.Fatalf("%T %v", err, err)
				}
				return
			}
			checkMoves(t, p)
			var input *plan.InputError // a server's text need not be UTF-8, but JSON must
			if _, err := p.MarshalJSON(); err != nil && (utf8.ValidString(nodes) || !errors.As(err, &input)) {
				t.Fatal(err)
			}
			if p.Summary() == "" {
				t.Fatal("no summary")
			}
			batches, err := p.Batches(max(1000, n)) // few, because each is tried on paper
			if err != nil {
				t.Fatal(err)
			}
			for b := range batches {
				checkMoves(t, b)
			}
		}
		check(plan.Rebalance(c, opts))
		check(plan.Reshard(c, []string{a}, b, n))
		tool := valkeycli.Tool(bits >> 4 % 4)
		run, err := valkeycli.Rebalance(c, tool, valkeycli.RebalanceOptions{Weights: opts.Weights, UseEmpty: opts.UseEmpty, Threshold: opts.Threshold})
		check(run.Plan, err)
		run, err = valkeycli.Reshard(c, tool, nil, []string{a}, b, n)
		check(run.Plan, err)
		check(plan.Reshard(c, nil, a, n))
		check(plan.Drain(c, []string{a}, plan.DrainOptions{Weights: opts.Weights, UseEmpty: opts.UseEmpty, AssignUnassigned: opts.AssignUnassigned}))
		check(plan.Drain(c, []string{a}, plan.DrainOptions{Receivers: []string{b}}))
		if _, err := plan.Promote(c, []string{a, b}); err != nil {
			var input *plan.InputError
			if !errors.As(err, &input) {
				t.Fatalf("%T %v", err, err)
			}
		}
	})
}

// FuzzCreate lays out clusters over hosts that are listed as address=zone.
func FuzzCreate(f *testing.F) {
	f.Add("a:1=x b:1=x c:1=y d:1=y", 1)
	f.Add("a:1 a:2 a:3 a:4 a:5 b:1 b:2", 2)
	f.Add("a:1 a:1 b :: [::1]:5 a:99999", 0)
	f.Fuzz(func(t *testing.T, list string, replicas int) {
		var hosts []plan.Host
		for _, word := range strings.Fields(list) {
			addr, zone, _ := strings.Cut(word, "=")
			hosts = append(hosts, plan.Host{Addr: addr, Zone: zone})
		}
		for _, tool := range []bool{false, true} {
			var unused []plan.Host
			l, err := plan.Create(hosts, replicas)
			if tool {
				l, unused, err = valkeycli.Create(valkeycli.ToolValkey91, hosts, replicas)
			}
			if err != nil {
				var input *plan.InputError
				if !errors.As(err, &input) {
					t.Fatalf("%T %v", err, err)
				}
				continue
			}
			var all slotmap.Set
			used := len(unused)
			for _, s := range l.Shards {
				if x := all.Intersect(s.Slots); !x.IsEmpty() || s.Slots.IsEmpty() {
					t.Fatalf("slots %v", s.Slots)
				}
				all = all.Union(s.Slots)
				used += 1 + len(s.Replicas)
			}
			if all.Len() != hashslot.Count || used != len(hosts) {
				t.Fatalf("%d slots and %d of %d hosts", all.Len(), used, len(hosts))
			}
		}
	})
}

// FuzzSlotStats reads any text, and its result again from JSON and from lines.
func FuzzSlotStats(f *testing.F) {
	f.Add("1) 1) (integer) 5\n   2) 1# \"key-count\" => (integer) 7\n")
	f.Add("*1\r\n*2\r\n:5\r\n%1\r\n$9\r\nkey-count\r\n:7\r\n")
	f.Add(`[[5,{"key-count":7}],[6,"cpu-usec",1.5]]`)
	f.Add("5,\"a\",1,6,\"b\",2\n")
	f.Add("5 7\n6 8\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := plan.ParseSlotStatsText(text)
		if err != nil {
			var input *plan.InputError
			if !errors.As(err, &input) {
				t.Fatalf("%T", err)
			}
			return
		}
		var lines strings.Builder
		var entries []any
		slots := s.Slots()
		for slot := range slots.Slots() {
			fmt.Fprintln(&lines, slot)
			fields := map[string]float64{}
			for _, metric := range s.Metrics() {
				load, err := s.Load(metric)
				if err != nil {
					t.Fatal(err)
				}
				fields[metric] = load[slot]
				if metric == "" || strings.ContainsAny(metric, " \t\r\n,\":#)*%$=~(") || !utf8.ValidString(metric) || strings.ToLower(metric) != metric {
					continue // not one word, or JSON changes it
				}
				if _, err := strconv.ParseFloat(metric, 64); err != nil {
					fmt.Fprintln(&lines, metric, load[slot])
				}
			}
			entries = append(entries, []any{int(slot), fields})
		}
		again, err := plan.ParseSlotStats(entries)
		if err != nil {
			t.Fatal(err)
		}
		fromLines, err := plan.ParseSlotStatsText(lines.String())
		if err != nil {
			t.Fatal(err)
		}
		for _, metric := range s.Metrics() {
			want, _ := s.Load(metric)
			if got, err := again.Load(metric); err != nil || !slices.Equal(got, want) {
				t.Fatalf("%q is another from a reply: %v", metric, err)
			}
			if got, err := fromLines.Load(metric); err == nil && !slices.Equal(got, want) {
				t.Fatalf("%q is another from lines", metric)
			}
		}
	})
}
