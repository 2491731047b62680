package redigo_test

import (
	"fmt"
	"log"

	"github.com/gomodule/redigo/redis"

	"github.com/hashslot/hashslot/adapter/redigo"
	"github.com/hashslot/hashslot/internal/paper"
	"github.com/hashslot/hashslot/slotmap/plan/plantest"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// cluster stands in for servers.
var cluster = func() *plantest.Cluster {
	view, err := topology.ParseNodes("a 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-8191\n"+
		"b 10.0.0.2:6379@16379 master - 0 0 2 connected 8192-16383\n", topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	return plantest.New(view)
}()

func dial(addr string) (redis.Conn, error) {
	conn, err := paper.Dial(cluster, addr) // redis.Dial("tcp", addr) in your program
	if err != nil {
		return nil, err
	}
	return redis.NewConn(conn, 0, 0), nil
}

func Example() {
	client := &redigo.Client{Dial: dial, Refresher: topology.Refresher{Seeds: []string{"10.0.0.1:6379"}}}
	if err := client.Refresh(); err != nil {
		log.Fatal(err)
	}
	for _, line := range []redigo.Command{{"SET", "mykey", "value"}, {"GET", "mykey"}} {
		reply := client.Do(line)
		fmt.Println(redis.String(reply.Value, reply.Err))
	}
	// Output:
	// OK <nil>
	// value <nil>
}

// Commands for several nodes at once. Each has its own reply and error.
func ExampleClient_Pipeline() {
	client := &redigo.Client{Dial: dial, Refresher: topology.Refresher{Seeds: []string{"10.0.0.1:6379"}}}
	if err := client.Refresh(); err != nil {
		log.Fatal(err)
	}
	for _, reply := range client.Pipeline([]redigo.Command{{"INCR", "bar"}, {"INCR", "foo"}, {"INCR", "bar"}, {"MGET", "foo", "bar"}}) {
		fmt.Println(reply.Value, reply.Err)
	}
	// Output:
	// 1 <nil>
	// 1 <nil>
	// 2 <nil>
	// <nil> CROSSSLOT Keys in request don't hash to the same slot
}

func ExampleClient_Do() {
	client := &redigo.Client{Dial: dial, Refresher: topology.Refresher{Seeds: []string{"10.0.0.1:6379"}}}
	if err := client.Refresh(); err != nil {
		log.Fatal(err)
	}
	reply := client.Do(redigo.Command{"EXISTS", "hello"})
	fmt.Println(redis.Int(reply.Value, reply.Err))
	fmt.Println(client.Do(redigo.Command{"GETT", "hello"}).Err) // not sent
	// Output:
	// 0 <nil>
	// command: "gett": argument 0: unknown command
}
