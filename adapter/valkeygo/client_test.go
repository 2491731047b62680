package valkeygo_test

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashslot/hashslot/adapter/valkeygo"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/valkey-io/valkey-go"
)

// counted is a connection of which open has the number.
type counted struct {
	net.Conn
	open *atomic.Int64
	once atomic.Bool
}

func (c *counted) Close() error {
	if !c.once.Swap(true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

func newClient(t *testing.T, open map[string]*atomic.Int64) *valkeygo.Client {
	t.Helper()
	client, err := valkeygo.New(context.Background(), valkey.ClientOption{
		InitAddress: []string{"10.0.0.1:6379"}, AlwaysRESP2: true, DisableCache: true,
		DialCtxFn: func(ctx context.Context, addr string, d *net.Dialer, c *tls.Config) (net.Conn, error) {
			conn, err := dial(ctx, addr, d, c)
			if n := open[addr]; n != nil && err == nil {
				n.Add(1)
				return &counted{Conn: conn, open: n}, nil
			}
			return conn, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// A caller that gives up says nothing of the node.
func TestCancelledContext(t *testing.T) {
	client := newClient(t, nil)
	views := client.Views.Load()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 10 {
		if err := client.DoMulti(ctx, client.B().Get().Key("foo").Build())[0].Error(); err != context.Canceled {
			t.Fatal(err)
		}
	}
	shard, _ := client.Router.ForKey("foo")
	if !shard.Primary.Serves() {
		t.Error("the node is suspected")
	}
	if client.Views.Load() != views {
		t.Error("a view was requested")
	}
}

// The connections to an address end when its node has another one.
func TestNodeWithANewAddress(t *testing.T) {
	open := map[string]*atomic.Int64{"10.0.0.2:6379": new(atomic.Int64)}
	client := newClient(t, open)
	if err := client.DoMulti(context.Background(), client.B().Get().Key("foo").Build())[0].Error(); !valkey.IsValkeyNil(err) {
		t.Fatal(err)
	}
	if open["10.0.0.2:6379"].Load() == 0 {
		t.Fatal("no connection")
	}
	view, err := topology.ParseNodes("a 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-8191\nb 10.0.0.3:6379@16379 master - 0 0 2 connected 8192-16383\n", topology.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	client.Router.Apply(view, client.Router.Generation())
	for range 100 {
		if open["10.0.0.2:6379"].Load() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("still connected")
}
