package valkeycli_test

import (
	"fmt"
	"log"

	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/plan/valkeycli"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// The plan that valkey-cli would make for a cluster, and that of package plan.
func Example() {
	cluster, err := topology.ParseNodes(`a 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-8191
b 10.0.0.2:6379@16379 master - 0 0 2 connected 8192-16383
c 10.0.0.3:6379@16379 master - 0 0 3 connected
`, topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	run, err := valkeycli.Rebalance(cluster, valkeycli.ToolValkey91, valkeycli.RebalanceOptions{UseEmpty: true, Threshold: valkeycli.DefaultThreshold})
	if err != nil {
		log.Fatal(err)
	}
	exact, err := plan.Rebalance(cluster, plan.RebalanceOptions{UseEmpty: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(valkeycli.ToolValkey91, "announces", run.Announced, "and moves", run.Plan.SlotCount(), "slots")
	fmt.Print(run.Plan.After)
	fmt.Println("package plan moves", exact.SlotCount())
	fmt.Print(exact.After)
	// Output:
	// valkey-9.1 announces [2731 2731] and moves 5462 slots
	// c 0-2730 8192-10922
	// a 2731-8191
	// b 10923-16383
	// package plan moves 5461
	// a 0-5461
	// c 5462-10922
	// b 10923-16383
}
