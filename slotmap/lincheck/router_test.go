package lincheck

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// The model of a Router is an array of owners. Compared are the owners after concurrent
// views and redirects, the result of each of these calls, and what readers saw meanwhile.
// The nodes are n0 to n3, all primaries; the slots are those of the Map. All nodes of a
// view have the same epoch, which no other view has.

const routerNodes = 4

type routerSlot struct {
	owner   int
	changed int               // the generation in which it changed its owner
	told    bool              // a redirect named the owner, and no view has confirmed it
	had     [routerNodes]bool // the owners before it, whose claims the redirect contradicts
}

type routerState struct {
	slots [len(slots)]routerSlot
	gen   int
	epoch int // of the last view that was applied
}

type routerInput struct {
	kind   kind
	slot   int      // For, Read, Moved, Asking: index in slots
	to     int      // Moved, Asking, Node: the node
	seen   int      // Moved, Apply: the generation
	epoch  int      // Apply: of all nodes in the view
	owners contents // Apply
}

type routerOutput struct {
	owner   int // For, Read, Asking, Node: the node
	epoch   int // Read, Asking, Node: its epoch
	owners  contents
	seen    int // For, Read, Table: the generation
	outcome topology.Outcome
	gen     int // of the change, 0 if there was none
}

const (
	opFor    kind = "For"
	opRead   kind = "Read"
	opNode   kind = "Node"
	opAsking kind = "Asking"
	opTable  kind = "Table"
	opApply  kind = "Apply"
	opMoved  kind = "Moved"
)

// give changes the owner of a slot.
func (s *routerSlot) give(owner, gen int, told bool) {
	s.had[s.owner] = true
	s.had[owner] = false
	s.owner, s.changed, s.told = owner, gen, told
}

var routerModel = porcupine.Model{
	Init: func() any { return routerState{} },
	Step: func(state, in, out any) (bool, any) {
		s, i, o := state.(routerState), in.(routerInput), out.(routerOutput)
		switch i.kind {
		case opFor:
			return o.owner == s.slots[i.slot].owner && o.seen == s.gen, s
		case opRead:
			return o.owner == s.slots[i.slot].owner && o.epoch == s.epoch && o.seen == s.gen, s
		case opNode, opAsking:
			return o.owner == i.to && o.epoch == s.epoch, s
		case opTable:
			for slot, owner := range o.owners {
				if s.slots[slot].owner != owner {
					return false, s
				}
			}
			return o.seen == s.gen, s
		case opApply:
			return stepApply(s, i, o)
		case opMoved:
			slot := &s.slots[i.slot]
			switch {
			case slot.owner == i.to:
				return o.outcome == topology.OutcomeUnchanged && o.gen == 0, s
			case slot.changed > i.seen:
				return o.outcome == topology.OutcomeStale && o.gen == 0, s
			}
			s.gen++
			slot.give(i.to, s.gen, true)
			return o.outcome == topology.OutcomePatched && o.gen == s.gen, s
		}
		panic(i.kind)
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
	DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
}

// stepApply has the rules of evidence for views from an unknown node in which all nodes
// have the same epoch.
func stepApply(s routerState, i routerInput, o routerOutput) (bool, any) {
	if i.epoch < s.epoch {
		return o.outcome == topology.OutcomeStale && o.gen == 0, s
	}
	next := s
	refused, taken := false, false
	for k := range next.slots {
		slot := &next.slots[k]
		switch late := slot.changed > i.seen; {
		case slot.owner == i.owners[k]:
			slot.told = false
		case slot.told && (late || slot.had[i.owners[k]]):
			refused = true
		default:
			taken = true
			slot.give(i.owners[k], s.gen+1, false)
		}
	}
	want, gen := topology.OutcomeUnchanged, 0
	switch {
	case refused && !taken:
		next.epoch = s.epoch
		return o.outcome == topology.OutcomeStale && o.gen == 0, next
	case refused:
		want = topology.OutcomePartly
	case taken:
		want = topology.OutcomeApplied
	}
	next.epoch = i.epoch
	if taken {
		next.gen++
		gen = next.gen
	}
	return o.outcome == want && o.gen == gen, next
}

// routerView returns a view with these owners, in which all nodes have the epoch.
func routerView(owners contents, epoch int) *topology.Cluster {
	var b slotmap.Builder[int]
	b.Assign(slotmap.MustParseRange("0-16383"), 0)
	for i, slot := range slots {
		b.Assign(slotmap.Range{First: slot, Last: slot}, owners[i])
	}
	var text strings.Builder
	for n := range routerNodes {
		set := b.Build().SlotsOf(n)
		fmt.Fprintf(&text, "n%d n%d.example:1@2 master - 0 0 %d connected %v\n", n, n, epoch, set)
	}
	c, err := topology.ParseNodes(text.String(), topology.Origin{})
	if err != nil {
		panic(err)
	}
	return c
}

func (r *recorder) recordRouter(in routerInput, do func() routerOutput) {
	call := time.Since(r.start)
	out := do()
	r.operations = append(r.operations, porcupine.Operation{
		ClientId: r.client, Input: in, Call: int64(call), Output: out, Return: int64(time.Since(r.start)),
	})
}

func index(s *topology.Shard) int { return int(s.Primary.ID[1] - '0') }

func routerHistory(goroutines, n int, seed uint64) []porcupine.Operation {
	var r topology.Router
	r.Apply(routerView(contents{}, 0), r.Generation())
	// The first view is generation 1; the model starts at 0.
	generation := func(g topology.Generation) int { return int(g) - 1 }
	change := func(res topology.Result) routerOutput {
		o := routerOutput{outcome: res.Outcome}
		if res.Change != nil {
			o.gen = generation(res.Change.Generation)
		}
		return o
	}
	recorders := make([]recorder, goroutines)
	start := time.Now()
	var ready, done sync.WaitGroup
	ready.Add(goroutines)
	for g := range goroutines {
		rec := &recorders[g]
		*rec = recorder{client: g, start: start}
		rng := rand.New(rand.NewPCG(seed, uint64(g)))
		// Views are made beforehand, so that the writes are close together.
		var views []*topology.Cluster
		var inputs []routerInput
		for k := range n {
			in := routerInput{kind: opApply, epoch: 1 + k*goroutines + g}
			for i := range in.owners {
				in.owners[i] = rng.IntN(routerNodes)
			}
			inputs = append(inputs, in)
			views = append(views, routerView(in.owners, in.epoch))
		}
		done.Go(func() {
			ready.Done()
			ready.Wait()
			seen := 0
			for k := range n {
				slot := rng.IntN(len(slots))
				to := rng.IntN(routerNodes)
				rd := topology.Redirect{Slot: slots[slot], Host: fmt.Sprintf("n%d.example", to), Port: 1}
				epochOf := func(n *topology.Node) routerOutput {
					return routerOutput{owner: int(n.ID[1] - '0'), epoch: int(n.ConfigEpoch)}
				}
				switch rng.IntN(8) {
				case 0, 1:
					inputs[k].seen = seen
					rec.recordRouter(inputs[k], func() routerOutput { return change(r.Apply(views[k], topology.Generation(seen+1))) })
				case 2, 3:
					in := routerInput{kind: opMoved, slot: slot, to: to, seen: seen}
					rec.recordRouter(in, func() routerOutput { return change(r.Moved(rd, nil, topology.Generation(seen+1))) })
				case 4:
					rec.recordRouter(routerInput{kind: opFor, slot: slot}, func() routerOutput {
						shard, gen := r.For(slots[slot])
						seen = generation(gen)
						return routerOutput{owner: index(shard), seen: seen}
					})
				case 5:
					rec.recordRouter(routerInput{kind: opRead, slot: slot}, func() routerOutput {
						n, gen := r.Read(slots[slot], topology.ReadAny)
						o := epochOf(n)
						o.seen = generation(gen)
						return o
					})
				case 6:
					rec.recordRouter(routerInput{kind: opNode, to: to}, func() routerOutput { return epochOf(r.Node(fmt.Sprintf("n%d", to))) })
					rec.recordRouter(routerInput{kind: opAsking, slot: slot, to: to}, func() routerOutput { return epochOf(r.Asking(rd)) })
				default:
					rec.recordRouter(routerInput{kind: opTable}, func() routerOutput {
						table, gen := r.Table()
						o := routerOutput{seen: generation(gen)}
						for i, slot := range slots {
							shard, _ := table.Lookup(slot)
							o.owners[i] = index(shard)
						}
						return o
					})
				}
			}
		})
	}
	done.Wait()
	var all []porcupine.Operation
	for _, rec := range recorders {
		all = append(all, rec.operations...)
	}
	return all
}

func TestRouterIsLinearizable(t *testing.T) {
	overlaps := 0
	count := map[topology.Outcome]int{}
	seeds := uint64(60)
	if testing.Short() {
		seeds = 12
	}
	for seed := range seeds {
		h := routerHistory(5, 30, seed)
		overlaps += overlapping(h)
		for _, op := range h {
			if in := op.Input.(routerInput); in.kind == opApply || in.kind == opMoved {
				count[op.Output.(routerOutput).outcome]++
			}
		}
		if got := porcupine.CheckOperationsTimeout(routerModel, h, checkTimeout); got != porcupine.Ok {
			t.Fatalf("seed %d: %v", seed, got)
		}
	}
	if overlaps == 0 {
		t.Error("no two operations overlapped: nothing was shown")
	}
	for _, o := range []topology.Outcome{topology.OutcomeUnchanged, topology.OutcomeApplied, topology.OutcomePartly, topology.OutcomeStale, topology.OutcomePatched} {
		if count[o] == 0 {
			t.Errorf("no operation was %v", o)
		}
	}
	t.Logf("%d operations overlapped the next; %v", overlaps, count)
}

// The check refuses histories of routers that are not linearizable.
func TestRouterViolationsAreFound(t *testing.T) {
	apply := routerInput{kind: opApply, epoch: 2, owners: contents{1, 1, 1, 1, 1, 1}}
	applied := routerOutput{outcome: topology.OutcomeApplied, gen: 1}
	older := routerInput{kind: opApply, epoch: 1}
	moved := routerInput{kind: opMoved, slot: 2, to: 3, seen: 0}
	operation := func(client int, call, ret int64, in routerInput, out routerOutput) porcupine.Operation {
		return porcupine.Operation{ClientId: client, Call: call, Return: ret, Input: in, Output: out}
	}
	for name, h := range map[string][]porcupine.Operation{
		"a read that misses a view": {
			operation(0, 0, 1, apply, applied),
			operation(1, 2, 3, routerInput{kind: opFor, slot: 2}, routerOutput{owner: 0}),
		},
		"half a view": {
			operation(0, 0, 9, apply, applied),
			operation(1, 1, 2, routerInput{kind: opTable}, routerOutput{owners: contents{1, 1, 1, 0, 0, 0}}),
		},
		"an older view that wins": {
			operation(0, 0, 1, apply, applied),
			operation(0, 2, 3, older, routerOutput{outcome: topology.OutcomeApplied, gen: 2}),
		},
		"a stale redirect that wins": {
			operation(0, 0, 1, apply, applied),
			operation(0, 2, 3, moved, routerOutput{outcome: topology.OutcomePatched, gen: 2}),
		},
		"a node of a view that is not there yet": {
			operation(0, 0, 1, apply, applied),
			operation(1, 2, 3, routerInput{kind: opNode, to: 1}, routerOutput{owner: 1, epoch: 2}),
			operation(1, 4, 5, routerInput{kind: opFor, slot: 2}, routerOutput{owner: 0, seen: 0}),
		},
		"a read of a node of before": {
			operation(0, 0, 1, apply, applied),
			operation(1, 2, 3, routerInput{kind: opRead, slot: 2}, routerOutput{owner: 1, epoch: 0, seen: 1}),
		},
		"a view that undoes a redirect": {
			operation(0, 0, 1, moved, routerOutput{outcome: topology.OutcomePatched, gen: 1}),
			operation(0, 2, 3, routerInput{kind: opApply, epoch: 3, seen: 1}, routerOutput{outcome: topology.OutcomeApplied, gen: 2}),
		},
		"a generation from the future": {
			operation(0, 0, 1, routerInput{kind: opFor, slot: 2}, routerOutput{owner: 0, seen: 1}),
			operation(1, 2, 3, apply, applied),
		},
	} {
		if porcupine.CheckOperations(routerModel, h) {
			t.Errorf("%s: found linearizable", name)
		}
	}
}
