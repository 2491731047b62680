package plantest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/plan"
)

// withReplicas returns the cluster of five, with replicas of a and of d.
func withReplicas(t testing.TB) *Cluster {
	t.Helper()
	views, err := five(t).Views()
	require.NoError(t, err)
	text := "r 10.0.1.1:6379@1 slave a 0 0 1 connected\ns 10.0.1.4:6379@1 slave d 0 0 4 connected\n"
	for i, n := range views[0].Nodes() {
		text += fmt.Sprintf("%s %s@1 master - 0 0 %d connected", n.ID, n.Addr(), i+1)
		for _, r := range n.Slots {
			text += " " + r.String()
		}
		text += "\n"
	}
	return New(parse(t, text))
}

// talk makes the nodes send and receive messages in random order.
func talk(c *Cluster, rng *rand.Rand) {
	for range 1 + rng.IntN(30) {
		from, to := c.nodes[rng.IntN(len(c.nodes))].id, c.nodes[rng.IntN(len(c.nodes))].id
		if rng.IntN(2) == 0 {
			c.Send(from, to)
		}
		for rng.IntN(2) == 0 && c.Deliver(from, to) {
		}
	}
}

// breakAtRandom breaks a few slots in several ways, like a person, or a program that was
// killed. Then the nodes gossip until the cluster is at rest. With stray it also puts keys
// at nodes where only StrayKeys finds them; without it, only where every repair looks.
func breakAtRandom(c *Cluster, rng *rand.Rand, stray bool) {
	slots := 1 + rng.IntN(12)
	slot := func() hashslot.Slot { return hashslot.Slot(4090 + rng.IntN(slots)) }
	someone := func() *node { return c.byID[string(rune('a'+rng.IntN(5)))] }
	for range 1 + rng.IntN(30) {
		s, n := slot(), someone()
		do := func(n *node, format string, args ...any) {
			if n.primary != nil {
				return // it has lost its last slot and become a replica
			}
			_, _ = try(c, n.id+" CLUSTER "+fmt.Sprintf(format, args...)) // some are refused
		}
		switch rng.IntN(7) {
		case 0, 1:
			do(n, "SETSLOT %d IMPORTING %s", s, someone().id)
		case 2:
			if o := n.owner[s]; o != nil {
				do(o, "SETSLOT %d MIGRATING %s", s, n.id)
				do(n, "SETSLOT %d IMPORTING %s", s, o.id)
				if rng.IntN(2) == 0 {
					do(someone(), "SETSLOT %d IMPORTING %s", s, o.id)
				}
			}
		case 3:
			do(n, "DELSLOTS %d", s)
		case 4:
			if o := n.owner[s]; o != nil {
				do(o, "DELSLOTS %d", s)
			}
		case 5:
			do(n, "DELSLOTS %d", s)
			do(n, "ADDSLOTS %d", s)
		case 6:
			do(n, "BUMPEPOCH")
		}
		if rng.IntN(4) == 0 {
			c.Gossip()
		}
	}
	c.Gossip()
	for range rng.IntN(30) {
		s, n := slot(), someone()
		open := false
		for _, m := range c.nodes {
			open = open || m.importing[s] != nil || m.migrating[s] != nil
		}
		if owners := c.owners(s); !stray && !open && len(owners) > 0 {
			n = owners[0]
		}
		// If two nodes have the key, the copy of the node that loses the slot wins.
		c.Put(n.id, fmt.Sprintf("{%s}%d", s.Tag(), rng.IntN(9)), "1")
	}
}

// disturb has owners give up slots that other nodes import. By the rules of Valkey 8.0, these
// make them their own when they hear of that.
func disturb(c *Cluster, rng *rand.Rand) {
	for slot := hashslot.Slot(4103); slot < 4108; slot++ {
		o, n := c.owner(slot), c.byID[string(rune('a'+rng.IntN(5)))]
		if n == o || n.primary != nil {
			continue
		}
		for k := range rng.IntN(4) {
			c.Put([]*node{o, n, o, c.byID["c"]}[k].id, fmt.Sprintf("{%s}%d", slot.Tag(), k), "1")
		}
		for _, command := range []string{n.id + " CLUSTER SETSLOT %d IMPORTING " + o.id, o.id + " CLUSTER DELSLOTS %d"} {
			_, _ = try(c, fmt.Sprintf(command, slot))
		}
	}
}

// Whatever the order in which nodes hear of one another, and by the rules of all
// versions, no repair loses a key. A repair may break off at any step and go on later, or
// be planned anew.
func TestFixGossip(t *testing.T) {
	seeds := uint64(64)
	if testing.Short() {
		seeds = 8
	}
	cases := map[plan.FixCase]int{}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			repairAtRandom(t, rand.New(rand.NewPCG(seed, 7)), seed%4 == 0, cases)
		})
	}
	t.Log(cases)
	if !testing.Short() {
		require.GreaterOrEqual(t, len(cases), 8, "of all kinds: %v", cases)
	}
}

// FuzzFix derives from data how the cluster is broken and in which order nodes talk. It
// does not look for stray keys, because that takes long.
func FuzzFix(f *testing.F) {
	for seed := range seeds() {
		rng := rand.New(rand.NewPCG(seed, 9))
		data := make([]byte, 8*rng.IntN(200))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		repairAtRandom(t, rand.New(&choices{data, rand.NewPCG(1, 2)}), false, map[plan.FixCase]int{})
	})
}

// TestMain has garbage collected less often: of all that the tests allocate, little lives
// on.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// seeds is the number of inputs from which fuzzing starts.
func seeds() uint64 {
	if testing.Short() {
		return 3
	}
	return 8
}

// choices yields the numbers in data, and then random ones.
type choices struct {
	data []byte
	rest *rand.PCG
}

func (c *choices) Uint64() uint64 {
	if len(c.data) < 2 {
		return c.rest.Uint64()
	}
	// Package rand makes small numbers from the high bits of the low or the high half.
	n := uint64(c.data[0])<<8 | uint64(c.data[1])
	c.data = c.data[2:]
	return n<<48 | n<<16
}

// repairAtRandom breaks a cluster and repairs it. With stray the repair may look for stray
// keys, and is planned anew after it has broken off. It is also planned anew if a step is
// refused.
func repairAtRandom(t testing.TB, rng *rand.Rand, stray bool, cases map[plan.FixCase]int) {
	c := withReplicas(t)
	c.SetRules(Rules(rng.IntN(2)))
	c.Fill(50, 1)
	o := plan.FixOptions{StrayKeys: stray && rng.IntN(2) == 0, SetSlots: plan.SetSlotOptions{Replace: true}}
	breakAtRandom(c, rng, o.StrayKeys)
	disturbed := c.rules == RulesValkey8 && rng.IntN(2) == 0
	if disturbed {
		disturb(c, rng)
	}
	before := inventory(c)
	c.step, c.tries = func() { talk(c, rng) }, 2000
	r := planFix(t, c, o)
	if disturbed {
		talk(c, rng)
	}
	breakOff := rng.IntN(2*len(r.Steps) + 1)
	for tries, anew, next := 0, 0, 0; next < len(r.Steps); next++ {
		if tries == 0 && next == breakOff {
			tries++
			if !stray {
				next = max(0, next-1) // it is unknown whether this step was done
			} else {
				o.StrayKeys = true // nodes that have closed the slot may still have keys
				r = planFix(t, c, o)
				next = -1
				continue
			}
		}
		for _, s := range r.Slots {
			cases[s.Case]++
		}
		s := r.Steps[next]
		if err := c.Run(s); err != nil {
			// Another node has made the slot its own since the views were taken.
			anew++
			require.Less(t, anew, 4, "step %d: %v", next, err)
			require.ErrorContains(t, err, " is owned by ")
			o.StrayKeys = true
			r = planFix(t, c, o)
			next = -1
			continue
		}
		if rng.IntN(3) == 0 {
			talk(c, rng)
		}
		after := inventory(c)
		for key := range before {
			require.NotZero(t, after[key], "step %d, %s: lost %s", next, s, key)
		}
	}
	c.Gossip()
	require.NoError(t, c.Check(few))
	after := inventory(c)
	for key := range before {
		require.Equal(t, 1, after[key], key)
	}
	require.Empty(t, planFix(t, c, plan.FixOptions{}).Steps)
}

// A node has keys of a slot without an owner, and believes that the slot is owned by the
// node that the repair makes its owner. It must not import from that node as long as a
// message is on its way that was sent before the claim: by the rules of Valkey 8.0 it would
// then take the slot. The same holds if that node has claimed the slot just before the repair.
func TestFixWaitsForTheClaim(t *testing.T) {
	for _, claimed := range []bool{false, true} {
		c := withReplicas(t)
		c.SetRules(RulesValkey8)
		do(t, c, "d CLUSTER DELSLOTS 12300", "gossip")
		tag := "{" + hashslot.Slot(12300).Tag() + "}"
		for key, n := range map[string]string{"1": "d", "2": "d", "3": "c"} {
			c.Put(n, tag+key, "1")
		}
		before := inventory(c)
		for range 3 {
			c.Send("d", "c")
		}
		if claimed {
			do(t, c, "c CLUSTER DELSLOTS 12300", "d CLUSTER ADDSLOTS 12300")
		}
		for _, s := range planFix(t, c, plan.FixOptions{StrayKeys: claimed}).Steps {
			require.NoError(t, c.Run(s))
			if s.Kind == plan.KindImporting {
				c.Deliver("d", "c")
			}
		}
		c.Gossip()
		require.Equal(t, before, inventory(c))
		require.NoError(t, c.Check(slotmap.MustParseSet("12300")))
	}
}

// By the rules of Valkey 8.0, a node makes a slot its own if it imports it from a node that
// gives it up, and takes the highest epoch that it knows of. If it does so just before
// another gets the same epoch from the repair, one of the two takes a higher one, without any
// command. The repair waits for that, and goes on: c has to get a higher epoch than b.
func TestFixEqualEpochs(t *testing.T) {
	c := withReplicas(t)
	c.SetRules(RulesValkey8)
	six, seven := "{"+hashslot.Slot(6).Tag()+"}", "{"+hashslot.Slot(7).Tag()+"}"
	do(t, c, "c CLUSTER SETSLOT 7 IMPORTING a", "a CLUSTER DELSLOTS 6 7")
	c.Put("b", six, "1")
	c.Put("c", seven, "1")
	r := planFix(t, c, plan.FixOptions{})
	c.Send("a", "c")
	c.Deliver("a", "c")
	waits := 0
	c.step = func() {
		if waits++; waits > 1 {
			c.Gossip()
			return
		}
		for _, n := range c.nodes { // all hear of b before anyone hears of c
			c.Send("b", n.id)
			c.Deliver("b", n.id)
		}
	}
	require.NoError(t, c.Run(r.Steps...))
	c.Gossip()
	require.NoError(t, c.Check(slotmap.MustParseSet("6-7")))
	require.Equal(t, map[string]int{six: 1, seven: 1}, inventory(c))
	require.Equal(t, []uint64{7, 8}, []uint64{c.byID["b"].epoch, c.byID["c"].epoch})
}

// If a node makes a slot its own that the repair gives to another, the repair ends before
// the two delete each other's keys. The next one gathers them.
func TestFixTakenMeanwhile(t *testing.T) {
	c := withReplicas(t)
	c.SetRules(RulesValkey8)
	tag := "{" + hashslot.Slot(7).Tag() + "}"
	do(t, c, "c CLUSTER SETSLOT 7 IMPORTING a", "a CLUSTER DELSLOTS 7")
	for key, n := range map[string]string{"1": "b", "2": "b", "3": "c"} {
		c.Put(n, tag+key, "1")
	}
	before := inventory(c)
	r := planFix(t, c, plan.FixOptions{})
	c.Send("a", "c")
	c.Deliver("a", "c")
	c.step = func() { t.Error("a step that has failed waits") }
	require.EqualError(t, c.Run(r.Steps...), "10.0.0.3:6379> CLUSTER SETSLOT 7 STABLE  # then repeat CLUSTER NODES until the node has the slot closed, and does not own it: slot 7 is owned by c")
	c.step = c.Gossip
	c.Gossip()
	require.NoError(t, c.Run(planFix(t, c, plan.FixOptions{StrayKeys: true}).Steps...))
	c.Gossip()
	require.NoError(t, c.Check(slotmap.MustParseSet("7")))
	require.Equal(t, before, inventory(c))
}

// A program that does not know whether a step was done begins again with the one before
// it, or repeats it. A node that covers two slots believes in another owner of only one.
func TestFixStepBack(t *testing.T) {
	broken := func() *Cluster {
		c := withReplicas(t)
		for _, n := range c.nodes {
			if n.primary == nil && n.id != "e" {
				do(t, c, n.id+" CLUSTER DELSLOTS 12301")
			}
		}
		do(t, c, "e CLUSTER DELSLOTS 12301", "d CLUSTER DELSLOTS 12300")
		return c
	}
	steps := planFix(t, broken(), plan.FixOptions{}).Steps
	var kinds []plan.Kind
	for _, s := range steps {
		kinds = append(kinds, s.Kind)
	}
	require.Subset(t, kinds, []plan.Kind{plan.KindUnassign, plan.KindAssign})
	for back := range steps {
		c := broken()
		run := func(steps []plan.Step) {
			for _, s := range steps {
				require.NoError(t, c.Run(s), "back from step %d: %s", back, s)
			}
		}
		run(steps[:back+1])
		run(steps[max(0, back-1):])
		c.Gossip()
		require.NoError(t, c.Check(few))
	}
}
