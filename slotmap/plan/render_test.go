package plan

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// threeNodes has a with two slots too many, which go to b; c, which is empty and takes no
// part in the plan; and r, a replica of a.
const threeNodes = `a 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-8193
b 10.0.0.2:6379@16379 master - 0 0 2 connected 8194-16383
c 10.0.0.3:6379@16379 master - 0 0 3 connected
r 10.0.0.4:6379@16379 slave a 0 0 1 connected
`

func TestSetSlots(t *testing.T) {
	p, err := Rebalance(parse(t, threeNodes), RebalanceOptions{})
	require.NoError(t, err)
	steps, err := p.SetSlots(SetSlotOptions{})
	require.NoError(t, err)
	var got []string
	for s := range steps {
		got = append(got, s.String())
	}
	one := `10.0.0.2:6379> CLUSTER SETSLOT @ IMPORTING a
10.0.0.1:6379> CLUSTER SETSLOT @ MIGRATING b
10.0.0.1:6379> MIGRATE 10.0.0.2 6379 "" 0 60000  # with KEYS and the keys that CLUSTER GETKEYSINSLOT @ 100 lists, until it lists none
10.0.0.2:6379> CLUSTER SETSLOT @ NODE b
10.0.0.1:6379> CLUSTER SETSLOT @ NODE b
10.0.0.3:6379> CLUSTER SETSLOT @ NODE b
`
	require.Equal(t, strings.ReplaceAll(one, "@", "8192")+strings.ReplaceAll(one, "@", "8193"), strings.Join(got, "\n")+"\n")

	// The iteration can stop at any step.
	n := 0
	for range steps {
		if n++; n == 3 {
			break
		}
	}
	require.Equal(t, 3, n)
}

// A source that has given its last slot may have become a replica.
func TestSetSlotsLeavesOutEmptiedNodes(t *testing.T) {
	c := parse(t, "a h:1@2 master - 0 0 1 connected 0\nb h:2@3 master - 0 0 2 connected 1\nc h:3@4 master - 0 0 3 connected 2-16383\n")
	p, err := Drain(c, []string{"a", "b"}, DrainOptions{})
	require.NoError(t, err)
	steps, err := p.SetSlots(SetSlotOptions{})
	require.NoError(t, err)
	var got []string
	for s := range steps {
		if s.Kind == KindOwner || s.Kind == KindWait {
			got = append(got, s.String())
		}
	}
	wait := "> INFO replication  # until the node is a primary, or a replica in sync"
	require.Equal(t, []string{
		"h:3> CLUSTER SETSLOT 0 NODE c", "h:1> CLUSTER SETSLOT 0 NODE c", "h:1" + wait, "h:2> CLUSTER SETSLOT 0 NODE c",
		"h:3> CLUSTER SETSLOT 1 NODE c", "h:2> CLUSTER SETSLOT 1 NODE c", "h:2" + wait}, got)
}

// A node that is given unassigned slots needs no address.
func TestSetSlotsOfUnassigned(t *testing.T) {
	c := parse(t, "a :0@0 master - 0 0 1 connected 0\nb h:2@3 master - 0 0 2 connected 1-4 7-16383\n")
	p, err := New(c, []Move{{To: "a", Slots: slotmap.MustParseSet("5")}, {To: "b", Slots: slotmap.MustParseSet("6")}})
	require.NoError(t, err)
	steps, err := p.SetSlots(SetSlotOptions{})
	require.NoError(t, err)
	var got []string
	for s := range steps {
		got = append(got, string(s.Kind)+" "+s.Node)
	}
	require.Equal(t, []string{"assign a", "assign b"}, got)
}

// A node is not empty while it has slots that it was given by the same plan.
func TestSetSlotsWaitOnlyForEmptied(t *testing.T) {
	set := slotmap.MustParseSet
	for _, tc := range []struct {
		before string // the slots of a, all other slots up to 9 are b's
		moves  []Move
		waits  bool
	}{
		{"0", []Move{{set("0"), "a", "c"}}, true},
		{"0", []Move{{set("10"), "", "a"}, {set("0"), "a", "c"}}, false},
		{"0-1", []Move{{set("10"), "", "a"}, {set("0"), "a", "c"}}, false},
		{"0", []Move{{set("9"), "b", "a"}, {set("0"), "a", "c"}}, false},
		{"0-1", []Move{{set("9"), "b", "a"}, {set("0"), "a", "c"}}, false},
	} {
		a := set(tc.before)
		c := parse(t, "a h:1@2 master - 0 0 1 connected "+tc.before+"\nb h:2@3 master - 0 0 2 connected "+set("0-9").Subtract(a).String()+"\nc h:3@4 master - 0 0 3 connected 11-16383\n")
		p := Plan{Moves: tc.moves, Nodes: []Node{{ID: "a", Addr: "h:1"}, {ID: "b", Addr: "h:2"}, {ID: "c", Addr: "h:3"}}}
		var b slotmap.Builder[string]
		for r, s := range c.Table().Ranges() {
			b.Assign(r, s.Primary.ID)
		}
		p.Before = b.Build()
		steps, err := p.SetSlots(SetSlotOptions{})
		require.NoError(t, err)
		waits := false
		for s := range steps {
			waits = waits || s.Kind == KindWait
		}
		require.Equal(t, tc.waits, waits, "%v", tc)
	}
}

// The moves of a plan can have nodes that the list of nodes lacks.
func TestMovesOfOtherNodes(t *testing.T) {
	p := Plan{Moves: []Move{{From: "a", To: "b", Slots: slotmap.MustParseSet("5")}}}
	require.Equal(t, Step{Kind: KindExport, Node: "a", Peer: "b", Slots: one(5), Round: 1, Command: []string{"CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", "5", "5", "NODE", "b"},
		Until: Until{untilPeerOwns, [][]string{{"CLUSTER", "GETSLOTMIGRATIONS"}, askNodes}}}, p.MigrateSlots()[0])
	require.Equal(t, Step{Kind: KindImport, Node: "b", Peer: "a", Slots: one(5), Round: 1, Command: []string{"CLUSTER", "MIGRATION", "IMPORT", "5", "5"},
		Until: Until{untilNodeOwns, [][]string{{"CLUSTER", "MIGRATION", "STATUS", "ALL"}, askNodes}}}, p.MigrationImport()[0])
	p.Moves, p.Warnings = append(p.Moves, Move{To: "b", Slots: slotmap.MustParseSet("6")}), []string{"look"}
	require.Contains(t, p.Summary(), "\n    1 from a to b: 5\n    1 from (nobody) to b: 6\n")
	require.Contains(t, p.Summary(), "warning: look\n")
}

func TestSetSlotsNeedsAddresses(t *testing.T) {
	p, err := Rebalance(parse(t, strings.ReplaceAll(threeNodes, "10.0.0.2", "")), RebalanceOptions{})
	require.NoError(t, err)
	_, err = p.SetSlots(SetSlotOptions{})
	require.EqualError(t, err, `plan: Plan "b": the view has no address of this node, and MIGRATE needs it`)
	require.Equal(t, "10.0.0.1:6379> CLUSTER MIGRATESLOTS SLOTSRANGE 8192 8193 NODE b  # then repeat CLUSTER GETSLOTMIGRATIONS and CLUSTER NODES until the node knows that the peer owns the slots", p.MigrateSlots()[0].String())
}

// fiveMoves has several targets for a source, several ranges, and new slots.
func fiveMoves(t *testing.T) Plan {
	c := parse(t, "a h:1@2 master - 0 0 1 connected 0-9 20-8191\nb h:2@3 master - 0 0 2 connected 8192-16383\nc h:3@4 master - 0 0 3 connected\nd h:4@5 master - 0 0 3 connected\n")
	p, err := Rebalance(c, RebalanceOptions{UseEmpty: true, AssignUnassigned: true})
	require.NoError(t, err)
	p.Moves = []Move{
		{From: "a", To: "c", Slots: slotmap.MustParseSet("0-9 20")},
		{To: "c", Slots: slotmap.MustParseSet("10-19")},
		{From: "b", To: "c", Slots: slotmap.MustParseSet("9000-9001")},
		{From: "a", To: "d", Slots: slotmap.MustParseSet("30")},
	}
	return p
}

func TestAtomicMigrations(t *testing.T) {
	p := fiveMoves(t)
	text := func(steps []Step) (s string) {
		for _, step := range steps {
			s += step.Node + " " + strings.Join(step.Command, " ") + "\n"
		}
		return s
	}
	require.Equal(t, `c CLUSTER ADDSLOTSRANGE 10 19
a CLUSTER MIGRATESLOTS SLOTSRANGE 0 9 20 20 NODE c
b CLUSTER MIGRATESLOTS SLOTSRANGE 9000 9001 NODE c
a CLUSTER MIGRATESLOTS SLOTSRANGE 30 30 NODE d
`, text(p.MigrateSlots()))
	require.Equal(t, `c CLUSTER ADDSLOTSRANGE 10 19
c CLUSTER MIGRATION IMPORT 9000 9001
d CLUSTER MIGRATION IMPORT 30 30
c CLUSTER MIGRATION IMPORT 0 9 20 20
`, text(p.MigrationImport()))
}

func TestZeroPlan(t *testing.T) {
	var p Plan
	require.Contains(t, p.Summary(), "nothing to move, 0 ranges")
	require.Empty(t, p.MigrateSlots())
	require.Empty(t, p.MigrationImport())
	steps, err := p.SetSlots(SetSlotOptions{})
	require.NoError(t, err)
	for range steps {
		t.Fatal("a step")
	}
	batches, err := p.Batches(1)
	require.NoError(t, err)
	require.Empty(t, slices.Collect(batches))
	require.Zero(t, p.SlotCount())
}

func TestPlanSummary(t *testing.T) {
	p, err := Rebalance(parse(t, threeNodes), RebalanceOptions{})
	require.NoError(t, err)
	require.Equal(t, `2 slots in 1 move, 2 ranges before, 2 after

node                                      addr           weight  before   after  change  ranges
a                                         10.0.0.1:6379       1    8194    8192      -2       1
b                                         10.0.0.2:6379       1    8190    8192      +2       1
c                                         10.0.0.3:6379       1       0       0      +0       0

    2 from 10.0.0.1:6379 to 10.0.0.2:6379: 8192-8193
`, p.Summary())
	nothing, err := Drain(parse(t, strings.NewReplacer("10.0.0.1", "", "10.0.0.2", "", "10.0.0.3", "").Replace(threeNodes)), []string{"c"}, DrainOptions{})
	require.NoError(t, err)
	require.Equal(t, `nothing to move, 2 ranges

node                                      addr  weight  before   after  change  ranges
a                                                    1    8194    8194      +0       1
b                                                    1    8190    8190      +0       1
c                                                    1       0       0      +0       0
`, nothing.Summary())
	load := make([]float64, hashslot.Count)
	load[0], load[1] = 3, 1
	p, err = Rebalance(parse(t, threeNodes), RebalanceOptions{Load: load})
	require.NoError(t, err)
	require.Contains(t, p.Summary(), "load before and after\n")
	require.Contains(t, p.Summary(), "  100.00% 75.00%\n")
	require.Contains(t, p.Summary(), "  0.00% 25.00%\n")
}

// 256 moves fill their pages of memory, so the memory after the last move is not theirs.
// No stack frame may hold the address of that memory during a garbage collection: the
// compiler for s390x keeps it there if a set is copied twice.
func TestBatchesWhileCollecting(t *testing.T) {
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-done:
				return
			default:
				runtime.GC()
			}
		}
	}()
	var junk [10][]byte
	for i := range 40 {
		junk[i%len(junk)] = make([]byte, (i%7+1)<<16) // so that the pages are not always the same
		p := Plan{Moves: make([]Move, 256)}
		for i := range p.Moves {
			p.Moves[i].To = "a"
		}
		all := slotmap.MustParseSet("0-16383")
		p.Moves[255].Slots = all
		divided, err := p.Batches(hashslot.Count)
		require.NoError(t, err)
		batches := slices.Collect(divided)
		require.Len(t, batches, 1)
		require.Equal(t, []Move{{To: "a", Slots: all}}, batches[0].Moves)
	}
	runtime.KeepAlive(junk)
}

func TestBatches(t *testing.T) {
	p := randomPlan(t)
	moves := map[[2]string]slotmap.Set{}
	for _, m := range p.Moves {
		moves[[2]string{m.From, m.To}] = m.Slots
	}
	for _, most := range []int{1, 7, 100, 5000, hashslot.Count} {
		if testing.Short() && most < 100 {
			continue
		}
		divided, err := p.Batches(most)
		require.NoError(t, err)
		batches := slices.Collect(divided)
		before := p.Before
		var all slotmap.Set
		for _, b := range batches {
			require.True(t, before.Equal(b.Before))
			before = b.After
			busy := map[string]int{}
			for _, m := range b.Moves {
				busy[m.From] += m.Slots.Len()
				busy[m.To] += m.Slots.Len()
				require.True(t, all.Intersect(m.Slots).IsEmpty())
				all = all.Union(m.Slots)
				planned := moves[[2]string{m.From, m.To}]
				require.True(t, m.Slots.Subtract(planned).IsEmpty())
			}
			for id, n := range busy {
				require.LessOrEqual(t, n, most, id)
			}
		}
		require.True(t, p.After.Equal(before))
		require.Equal(t, p.SlotCount(), all.Len())
		// No division can have fewer batches than the busiest node needs.
		work := map[string]int{}
		for _, m := range p.Moves {
			work[m.From] += m.Slots.Len()
			work[m.To] += m.Slots.Len()
		}
		busiest := 0
		for _, n := range work {
			busiest = max(busiest, n)
		}
		t.Logf("most=%d: %d batches, at least %d", most, len(batches), (busiest+most-1)/most)
		require.LessOrEqual(t, len(batches), 2*((busiest+most-1)/most))
	}
	_, err := p.Batches(0)
	require.EqualError(t, err, `plan: most "0": must be at least 1`)
}

// A batch is made when the iteration comes to it. A plan that is divided into 8192
// batches, each with a table of 16384 ranges, does not have all of these in memory.
func TestBatchesOneByOne(t *testing.T) {
	var b slotmap.Builder[string]
	var even slotmap.Set
	for slot := range hashslot.Slot(hashslot.Count) {
		id := "a"
		if slot%2 == 1 {
			id = "b"
		} else {
			even.Add(slot)
		}
		b.Assign(slotmap.Range{First: slot, Last: slot}, id)
	}
	p := Plan{Before: b.Build(), Moves: []Move{{From: "a", To: "b", Slots: even}}}
	batches, err := p.Batches(1)
	require.NoError(t, err)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	for batch := range batches {
		require.Equal(t, 1, batch.SlotCount())
		if n++; n == 10 {
			break
		}
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20), "10 batches")
}

// A primary that an earlier batch has emptied can be a replica, so later batches send it
// nothing, unless they give it slots again.
func TestBatchesWithoutEmptied(t *testing.T) {
	c := parse(t, "a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-1\n"+
		"b 10.0.0.2:1@2 master - 0 0 2 connected 2-9\nc 10.0.0.3:1@2 master - 0 0 3 connected 10-16383\n"+
		"d 10.0.0.4:1@2 master - 0 0 4 connected\n")
	ids := func(moves ...Move) (list []string) {
		p, err := New(c, moves)
		require.NoError(t, err)
		batches, err := p.Batches(2)
		require.NoError(t, err)
		for batch := range batches {
			var s []string
			for _, n := range batch.Nodes {
				s = append(s, n.ID)
			}
			list = append(list, strings.Join(s, ""))
			steps, err := batch.SetSlots(SetSlotOptions{})
			require.NoError(t, err)
			for step := range steps {
				require.Contains(t, s, step.Node)
			}
		}
		return list
	}
	set := slotmap.MustParseSet
	require.Equal(t, []string{"abcd", "bcd", "bcd"}, ids(Move{set("0-1"), "a", "c"}, Move{set("2-5"), "b", "c"}))
	require.Equal(t, []string{"abcd", "abcd", "abcd", "abcd"}, ids(Move{set("2-7"), "b", "a"}, Move{set("10-11"), "c", "b"}))
	require.Equal(t, []string{"abcd", "abcd", "abcd"}, ids(Move{set("0-1"), "a", "c"}, Move{set("2-5"), "b", "a"}))
}

// The node with the most work is busy in every batch, although others come first in the
// plan.
func TestBatchesBeginWithTheBusiest(t *testing.T) {
	set := slotmap.MustParseSet
	for _, from := range [][3]string{{"e", "f", "g"}, {"", "", ""}} {
		p := Plan{Moves: []Move{
			{set("0-9"), from[0], "b"}, {set("10-19"), from[1], "c"}, {set("20-29"), from[2], "d"},
			{set("30-39"), "h", "b"}, {set("40-49"), "h", "c"}, {set("50-59"), "h", "d"},
		}}
		batches, err := p.Batches(10)
		require.NoError(t, err)
		require.Len(t, slices.Collect(batches), 3)
	}
}

func TestDivision(t *testing.T) {
	d := newDivision([]Move{{From: "a", To: "b", Slots: slotmap.MustParseSet("0-10")}}, 10)
	require.Equal(t, "0-9", d.next()[0].Slots.String())
	require.Equal(t, []int{0, 1, 1}, d.work)
	require.Equal(t, "10", d.next()[0].Slots.String())
	require.Empty(t, d.todo)
	require.Empty(t, d.next())
}
