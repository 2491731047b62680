package plan_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// The reply to CLUSTER NODES of a cluster of two primaries, to which a third was added.
const nodes = `
07c37dfeb235213a872192d90877d0cd55635b91 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-8191
67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 10.0.0.2:6379@16379 master - 0 0 2 connected 8192-16383
292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f 10.0.0.3:6379@16379 master - 0 0 3 connected
`

// A plan is made, read by a person, and rendered for the servers at hand.
func Example() {
	cluster, err := topology.ParseNodes(nodes, topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	p, err := plan.Rebalance(cluster, plan.RebalanceOptions{UseEmpty: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(p.Summary())
	for _, step := range p.MigrateSlots() {
		fmt.Println(step)
	}
	// Output:
	// 5461 slots in 2 moves, 2 ranges before, 3 after
	//
	// node                                      addr           weight  before   after  change  ranges
	// 07c37dfeb235213a872192d90877d0cd55635b91  10.0.0.1:6379       1    8192    5462   -2730       1
	// 292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f  10.0.0.3:6379       1       0    5461   +5461       1
	// 67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1  10.0.0.2:6379       1    8192    5461   -2731       1
	//
	//  2730 from 10.0.0.1:6379 to 10.0.0.3:6379: 5462-8191
	//  2731 from 10.0.0.2:6379 to 10.0.0.3:6379: 8192-10922
	// 10.0.0.1:6379> CLUSTER MIGRATESLOTS SLOTSRANGE 5462 8191 NODE 292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f  # then repeat CLUSTER GETSLOTMIGRATIONS and CLUSTER NODES until the node knows that the peer owns the slots
	// 10.0.0.2:6379> CLUSTER MIGRATESLOTS SLOTSRANGE 8192 10922 NODE 292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f  # then repeat CLUSTER GETSLOTMIGRATIONS and CLUSTER NODES until the node knows that the peer owns the slots
}

func ExampleRebalance() {
	cluster, err := topology.ParseNodes(nodes, topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	p, err := plan.Rebalance(cluster, plan.RebalanceOptions{UseEmpty: true})
	if err != nil {
		log.Fatal(err)
	}
	for _, step := range p.MigrateSlots() {
		fmt.Println(step.Addr, step.Command)
	}
	fmt.Print(p.After)
	// Output:
	// 10.0.0.1:6379 [CLUSTER MIGRATESLOTS SLOTSRANGE 5462 8191 NODE 292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f]
	// 10.0.0.2:6379 [CLUSTER MIGRATESLOTS SLOTSRANGE 8192 10922 NODE 292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f]
	// 07c37dfeb235213a872192d90877d0cd55635b91 0-5461
	// 292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f 5462-10922
	// 67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 10923-16383
}

// Two slots have half of the load.
func ExampleRebalance_load() {
	cluster, err := topology.ParseNodes(nodes, topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	load := make([]float64, hashslot.Count) // such as cpu-usec of CLUSTER SLOT-STATS
	for slot := range load {
		load[slot] = 1
	}
	load[100], load[200] = 8000, 8000
	p, err := plan.Rebalance(cluster, plan.RebalanceOptions{UseEmpty: true, Load: load})
	if err != nil {
		log.Fatal(err)
	}
	for _, move := range p.Moves {
		fmt.Printf("%.8s to %.8s: %d slots\n", move.From, move.To, move.Slots.Len())
	}
	before, err := plan.ShardLoads(cluster, load)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("the busiest primary has %.0f %% of the load\n", 100*before[0].Share)
	// Output:
	// 07c37dfe to 292f8b36: 200 slots
	// 07c37dfe to 67ed2db8: 2602 slots
	// the busiest primary has 75 % of the load
}

// Two nodes are to be removed.
func ExampleDrain() {
	cluster, err := topology.ParseNodes(nodes, topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	p, err := plan.Drain(cluster, []string{"07c37dfeb235213a872192d90877d0cd55635b91"}, plan.DrainOptions{UseEmpty: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(p.After)
	// Output:
	// 292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f 0-8191
	// 67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 8192-16383
}

func ExampleReshard() {
	cluster, err := topology.ParseNodes(nodes, topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	p, err := plan.Reshard(cluster, nil, "292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f", 100)
	if err != nil {
		log.Fatal(err)
	}
	for _, move := range p.Moves {
		fmt.Printf("%v from %.8s to %.8s\n", move.Slots, move.From, move.To)
	}
	// Output:
	// 8142-8191 from 07c37dfe to 292f8b36
	// 8192-8241 from 67ed2db8 to 292f8b36
}

// Moves of your own. New checks them, and all methods of Plan render them.
func ExampleNew() {
	cluster, err := topology.ParseNodes(nodes, topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	const from, to = "07c37dfeb235213a872192d90877d0cd55635b91", "292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f"
	p, err := plan.New(cluster, []plan.Move{{Slots: slotmap.MustParseSet("0-99"), From: from, To: to}})
	fmt.Println(p.SlotCount(), err)
	_, err = plan.New(cluster, []plan.Move{{Slots: slotmap.MustParseSet("9000"), From: from, To: to}})
	fmt.Println(err)
	// Output:
	// 100 <nil>
	// plan: moves[0]: slot 9000 is not owned by 07c37dfeb235213a872192d90877d0cd55635b91
}

// The primary a is lost. One of its replicas has more of the replication stream.
func ExamplePromote() {
	node := func(id string, port int64, role string, offset int64) any {
		return map[string]any{"id": id, "port": port, "ip": "10.0.0.1", "endpoint": "10.0.0.1", "role": role, "replication-offset": offset, "health": "online"}
	}
	cluster, err := topology.ParseShards([]any{
		map[string]any{"slots": []any{int64(0), int64(8191)}, "nodes": []any{node("a", 6379, "master", 500), node("b", 6380, "replica", 400), node("c", 6381, "replica", 490)}},
		map[string]any{"slots": []any{int64(8192), int64(12000)}, "nodes": []any{node("d", 6382, "master", 500)}},
		map[string]any{"slots": []any{int64(12001), int64(16383)}, "nodes": []any{node("e", 6383, "master", 500)}},
	}, topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	promotions, err := plan.Promote(cluster, []string{"a"})
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range promotions {
		fmt.Println(p.Replica, "for", p.Lost, "-", p.Reason)
		fmt.Println("by itself:", p.Automatic)
		fmt.Println(p.Step)
	}
	// Output:
	// c for a - it has the highest replication offset, 490; the next has 400
	// by itself: true
	// 10.0.0.1:6381> CLUSTER FAILOVER FORCE  # then repeat CLUSTER NODES until the node is a primary
}

// In each batch, no node gives and takes more than 2000 slots.
func ExamplePlan_Batches() {
	cluster, err := topology.ParseNodes(nodes, topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	p, err := plan.Rebalance(cluster, plan.RebalanceOptions{UseEmpty: true})
	if err != nil {
		log.Fatal(err)
	}
	batches, err := p.Batches(2000)
	if err != nil {
		log.Fatal(err)
	}
	n := 0
	for batch := range batches {
		n++
		fmt.Print("batch ", n, ":")
		for _, move := range batch.Moves {
			fmt.Printf(" %d slots from %.8s", move.Slots.Len(), move.From)
		}
		fmt.Println()
	}
	// Output:
	// batch 1: 2000 slots from 07c37dfe
	// batch 2: 730 slots from 07c37dfe 1270 slots from 67ed2db8
	// batch 3: 1461 slots from 67ed2db8
}

// Servers of all versions move slots one by one.
func ExamplePlan_SetSlots() {
	cluster, err := topology.ParseNodes(nodes, topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	p, err := plan.Reshard(cluster, []string{"07c37dfeb235213a872192d90877d0cd55635b91"}, "292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f", 1)
	if err != nil {
		log.Fatal(err)
	}
	steps, err := p.SetSlots(plan.SetSlotOptions{Keys: 200})
	if err != nil {
		log.Fatal(err)
	}
	for step := range steps {
		fmt.Println(step.Addr, step.Kind, "until the node", step.Until.Condition)
		if step.Kind == plan.KindMoveKeys { // repeated while the slot has keys
			fmt.Println(step.Migrate([]string{"key-1", "key-2"}, plan.NewAuth("", "secret")))
		}
	}
	// Output:
	// 10.0.0.3:6379 set importing until the node imports the slot
	// 10.0.0.1:6379 set migrating until the node migrates the slot
	// 10.0.0.1:6379 move keys until the node has no keys of the slot
	// [MIGRATE 10.0.0.3 6379  0 60000 AUTH secret KEYS key-1 key-2]
	// 10.0.0.3:6379 set owner until the node knows that the peer owns the slots
	// 10.0.0.1:6379 set owner until the node knows that the peer owns the slots
	// 10.0.0.2:6379 set owner until the node knows that the peer owns the slots
}

// Redis 8.4 and later: the target asks for its slots.
func ExamplePlan_MigrationImport() {
	cluster, err := topology.ParseNodes(nodes, topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	p, err := plan.Rebalance(cluster, plan.RebalanceOptions{UseEmpty: true})
	if err != nil {
		log.Fatal(err)
	}
	for _, step := range p.MigrationImport() {
		fmt.Println("round", step.Round, step.Addr, step.Command)
	}
	// Output:
	// round 1 10.0.0.3:6379 [CLUSTER MIGRATION IMPORT 5462 8191]
	// round 2 10.0.0.3:6379 [CLUSTER MIGRATION IMPORT 8192 10922]
}

// A program asks the servers how far they have moved slots in the background.
func ExamplePlan_Match() {
	cluster, err := topology.ParseNodes(nodes, topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	p, err := plan.Rebalance(cluster, plan.RebalanceOptions{UseEmpty: true})
	if err != nil {
		log.Fatal(err)
	}
	// The reply of 10.0.0.1 to CLUSTER GETSLOTMIGRATIONS, as a client decodes it.
	jobs, err := plan.ParseJobs([]any{map[string]any{
		"name": "9754e5c1", "operation": "EXPORT", "slot_ranges": "5462-8191",
		"source_node": "07c37dfeb235213a872192d90877d0cd55635b91", "target_node": "292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f",
		"state": "snapshotting", "message": "", "create_time": int64(1795824000), "last_update_time": int64(1795824009),
	}})
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range p.Match(cluster, jobs) {
		fmt.Printf("%v: %v, %d slots to be sent\n", m.Move.Slots, m.Progress, m.Left.Len())
	}
	// Output:
	// 5462-8191: running, 0 slots to be sent
	// 8192-10922: not started, 2731 slots to be sent
}

// A client carries out a step: it sends the command, reads the answer, and asks until the
// step is done.
func ExampleStep() {
	step := plan.Step{
		Kind: plan.KindMoveKeys, Node: "a", Peer: "b", Addr: "10.0.0.1:6379", PeerAddr: "10.0.0.2:6379", Slots: []slotmap.Range{{First: 14687, Last: 14687}},
		Command: []string{"MIGRATE", "10.0.0.2", "6379", "", "0", "60000"},
		Until:   plan.Until{Condition: "has no keys of the slot", Ask: [][]string{{"CLUSTER", "GETKEYSINSLOT", "14687", "100"}}},
	}
	for _, listed := range []any{[]any{"mykey", "{mykey}2"}, []any{}} { // what the node replies to Ask
		progress, _ := step.Progress(listed)
		keys, err := step.Keys(listed)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(progress, len(keys), "keys")
		if progress != plan.ProgressDone {
			fmt.Println(step.Migrate(keys, plan.Auth{}))
		}
	}
	// Output:
	// not started 2 keys
	// [MIGRATE 10.0.0.2 6379  0 60000 KEYS mykey {mykey}2]
	// done 0 keys
}

// A move was broken off. Fix asks for the numbers of keys that it needs.
func ExampleFix() {
	var views []*topology.Cluster
	for _, text := range []string{
		"a 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-8191 [100->-b]\nb 10.0.0.2:6379@16379 master - 0 0 2 connected 8192-16383\n",
		"a 10.0.0.1:6379@16379 master - 0 0 1 connected 0-8191\nb 10.0.0.2:6379@16379 myself,master - 0 0 2 connected 8192-16383\n",
	} {
		view, err := topology.ParseNodes(text, topology.Origin{})
		if err != nil {
			log.Fatal(err)
		}
		views = append(views, view)
	}
	counts := plan.KeyCounts{}
	repair, err := plan.Fix(views, counts, plan.FixOptions{})
	var ask *plan.CountsError
	if errors.As(err, &ask) {
		for _, question := range ask.Ask {
			fmt.Println("CLUSTER COUNTKEYSINSLOT to", question.Addr, "for", question.Slots)
			for slot := range question.Slots.Slots() {
				counts.Put(question.Node, slot, 0)
			}
		}
		repair, err = plan.Fix(views, counts, plan.FixOptions{})
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(repair.Summary())
	for _, step := range repair.Steps {
		fmt.Println(step)
	}
	// Output:
	// CLUSTER COUNTKEYSINSLOT to 10.0.0.1:6379 for 100
	// CLUSTER COUNTKEYSINSLOT to 10.0.0.2:6379 for 100
	// close: slots 100, then owned by a
	// 10.0.0.1:6379> CLUSTER SETSLOT 100 STABLE
}

func ExampleKeyCounts() {
	counts := plan.KeyCounts{}
	counts.Put("07c37dfeb235213a872192d90877d0cd55635b91", 100, 0)
	keys, known := counts["07c37dfeb235213a872192d90877d0cd55635b91"][100]
	fmt.Println(keys, known)
	_, known = counts["07c37dfeb235213a872192d90877d0cd55635b91"][101]
	fmt.Println(known) // unknown is not the same as no keys
	// Output:
	// 0 true
	// false
}

// Both primaries are in zone a, so one of them changes places with its replica.
func ExampleBalance() {
	cluster, err := topology.ParseNodes(`a 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-8191
b 10.0.0.2:6379@16379 master - 0 0 2 connected 8192-16383
c 10.0.1.1:6379@16379 slave a 0 0 1 connected
d 10.0.1.2:6379@16379 slave b 0 0 2 connected
`, topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	spread, err := plan.Balance(cluster, plan.BalanceOptions{Zones: map[string]string{"a": "zone-1", "b": "zone-1", "c": "zone-2", "d": "zone-2"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(spread.Summary())
	for _, step := range spread.Steps {
		fmt.Println(step)
	}
	// Output:
	// 0 replica moves, 1 failover
	//   d takes over from b
	// warning: 2 primaries: no automatic failover is possible, because a majority of 2 is 2. If one fails, the whole cluster stops, with or without replicas
	// 10.0.1.2:6379> CLUSTER FAILOVER  # then repeat CLUSTER NODES until the node is a primary
}

// The work between two samples, and the slots with most of it.
func ExampleSample() {
	earlier, err := plan.ParseSlotStats([]any{
		[]any{int64(100), map[string]any{"key-count": int64(5), "cpu-usec": int64(1000)}},
		[]any{int64(200), map[string]any{"key-count": int64(7), "cpu-usec": int64(9000)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	now, err := plan.ParseSlotStats([]any{
		[]any{int64(100), map[string]any{"key-count": int64(6), "cpu-usec": int64(8000)}},
		[]any{int64(200), map[string]any{"key-count": int64(7), "cpu-usec": int64(9500)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	since := now.Since(earlier)
	fmt.Println(since.Slots(), since.Metrics())
	load, err := since.Load("cpu-usec")
	if err != nil {
		log.Fatal(err)
	}
	hot, err := plan.HotSlots(load, 2)
	if err != nil {
		log.Fatal(err)
	}
	for _, slot := range hot {
		fmt.Printf("slot %d: %.0f us, %.0f %%\n", slot.Slot, slot.Load, 100*slot.Share)
	}
	// Output:
	// 100 200 [cpu-usec key-count]
	// slot 100: 7000 us, 93 %
	// slot 200: 500 us, 7 %
}

func ExampleCreate() {
	layout, err := plan.Create([]plan.Host{
		{Addr: "10.0.0.1:6379", Zone: "a"}, {Addr: "10.0.0.2:6379", Zone: "a"},
		{Addr: "10.0.1.1:6379", Zone: "b"}, {Addr: "10.0.1.2:6379", Zone: "b"},
		{Addr: "10.0.2.1:6379", Zone: "c"}, {Addr: "10.0.2.2:6379", Zone: "c"},
	}, 1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(layout.Summary())
	// Output:
	// 3 shards
	//   0-5460        5461 slots  primary 10.0.0.1:6379 (a)  replicas 10.0.1.2:6379 (b)
	//   5461-10922    5462 slots  primary 10.0.1.1:6379 (b)  replicas 10.0.2.2:6379 (c)
	//   10923-16383   5461 slots  primary 10.0.2.1:6379 (c)  replicas 10.0.0.2:6379 (a)
}
