package plantest_test

import (
	"fmt"
	"log"

	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/plan/plantest"
	"github.com/hashslot/hashslot/slotmap/topology"
)

const nodes = `aaa 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-8191
bbb 10.0.0.2:6379@16379 master - 0 0 2 connected 8192-16383
ccc 10.0.0.3:6379@16379 master - 0 0 3 connected
`

// A plan is tried on a simulated cluster before it is carried out.
func Example() {
	view, err := topology.ParseNodes(nodes, topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	p, err := plan.Drain(view, []string{"aaa"}, plan.DrainOptions{UseEmpty: true})
	if err != nil {
		log.Fatal(err)
	}
	cluster := plantest.New(view)
	cluster.Fill(1000, 1)
	for _, step := range p.MigrateSlots() {
		if err := cluster.Run(step); err != nil {
			log.Fatal(err)
		}
		if err := cluster.Check(slotmap.SetOf(step.Slots...)); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Print(cluster.Table())
	// Output:
	// ccc 0-8191
	// bbb 8192-16383
}

// A node redirects a client like a server.
func ExampleCluster_Dial() {
	view, err := topology.ParseNodes(nodes, topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	cluster := plantest.New(view)
	conn, err := cluster.Dial("10.0.0.1:6379")
	if err != nil {
		log.Fatal(err)
	}
	_, err = conn.Do("GET", "mykey")
	fmt.Println(err)
	_, err = conn.Do("MGET", "mykey", "foo")
	fmt.Println(err)
	// Output:
	// MOVED 14687 10.0.0.2:6379
	// CROSSSLOT Keys in request don't hash to the same slot
}

// A failover: the other nodes hear by gossip what a node has decided.
func ExampleCluster() {
	view, err := topology.ParseNodes("a 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-16383\nb 10.0.0.2:6379@16379 slave a 0 0 1 connected\n", topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	cluster := plantest.New(view)
	cluster.Put("a", "mykey", "value")
	cluster.Kill("a")
	conn, err := cluster.Dial("10.0.0.2:6379")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(conn.Do("CLUSTER", "FAILOVER", "FORCE"))
	fmt.Println(conn.Do("GET", "mykey"))
	cluster.Revive("a")
	cluster.Gossip()
	fmt.Print(cluster.Table())
	// Output:
	// OK <nil>
	// value <nil>
	// b 0-16383
}

func ExampleConn() {
	view, err := topology.ParseNodes(nodes, topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := plantest.New(view).Dial("10.0.0.2:6379")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(conn.Do("SET", "mykey", "value"))
	fmt.Println(conn.Do("GET", "mykey"))
	fmt.Println(conn.Do("HGETALL", "mykey"))
	// Output:
	// OK <nil>
	// value <nil>
	// <nil> ERR unknown command 'HGETALL'
}
