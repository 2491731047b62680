package goredis_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/hashslot/hashslot/adapter/goredis"
	"github.com/hashslot/hashslot/internal/paper"
	"github.com/hashslot/hashslot/slotmap/plan/plantest"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/redis/go-redis/v9"
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

func dial(_ context.Context, _, addr string) (net.Conn, error) { return paper.Dial(cluster, addr) }

// The client is a ClusterClient of go-redis. Its Router is there for routing of your own.
func Example() {
	ctx := context.Background()
	client := goredis.New(redis.ClusterOptions{Addrs: []string{"10.0.0.1:6379"}, Dialer: dial})
	defer client.Close()

	fmt.Println(client.Set(ctx, "mykey", "value", 0).Err())
	fmt.Println(client.Get(ctx, "mykey").Result())
	shard, _ := client.Router.ForKey("mykey")
	fmt.Println(shard.Primary.Addr())
	// Output:
	// <nil>
	// value <nil>
	// 10.0.0.2:6379
}

func ExampleClient_Close() {
	ctx := context.Background()
	client := goredis.New(redis.ClusterOptions{Addrs: []string{"10.0.0.1:6379"}, Dialer: dial})
	fmt.Println(client.Ping(ctx).Err())
	fmt.Println(client.Close())
	fmt.Println(client.Ping(ctx).Err())
	// Output:
	// <nil>
	// <nil>
	// redis: client is closed
}
