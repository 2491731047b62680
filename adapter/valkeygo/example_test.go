package valkeygo_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"

	"github.com/valkey-io/valkey-go"

	"github.com/hashslot/hashslot/adapter/valkeygo"
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

func dial(_ context.Context, addr string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
	return paper.Dial(cluster, addr)
}

// Commands for several nodes at once.
func Example() {
	ctx := context.Background()
	client, err := valkeygo.New(ctx, valkey.ClientOption{
		InitAddress: []string{"10.0.0.1:6379"},
		DialCtxFn:   dial,                     // a program has none
		AlwaysRESP2: true, DisableCache: true, // which is all that dial speaks
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for _, result := range client.DoMulti(ctx,
		client.B().Set().Key("foo").Value("1").Build(),
		client.B().Incr().Key("bar").Build(),
		client.B().Get().Key("foo").Build(),
	) {
		fmt.Println(result.ToAny())
	}
	// Output:
	// OK <nil>
	// 1 <nil>
	// 1 <nil>
}

func ExampleClient_Close() {
	ctx := context.Background()
	client, err := valkeygo.New(ctx, valkey.ClientOption{InitAddress: []string{"10.0.0.1:6379"}, DialCtxFn: dial, AlwaysRESP2: true, DisableCache: true})
	if err != nil {
		log.Fatal(err)
	}
	shard, _ := client.Router.ForKey("mykey")
	fmt.Println(shard.Primary.Addr())
	client.Close()
	// Output: 10.0.0.2:6379
}
