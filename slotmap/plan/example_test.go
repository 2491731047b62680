package plan_test

import (
	"fmt"
	"log"

	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// What CLUSTER NODES says of a cluster of two primaries to which a third was
// added.
const nodes = `
07c37dfeb235213a872192d90877d0cd55635b91 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-8191
67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 10.0.0.2:6379@16379 master - 0 0 2 connected 8192-16383
292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f 10.0.0.3:6379@16379 master - 0 0 3 connected
`

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
