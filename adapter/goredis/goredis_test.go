package goredis_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/hashslot/hashslot/adapter/goredis"
	"github.com/redis/go-redis/v9"
)

// Without a map, a command waits until a node answers, but not beyond its context.
func TestContextEndsTheWait(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	refuse := func(context.Context, string, string) (net.Conn, error) {
		cancel()
		return nil, errors.New("no route to host")
	}
	client := goredis.New(redis.ClusterOptions{Addrs: []string{"10.0.0.1:6379"}, Dialer: refuse})
	defer client.Close()
	if err := client.Get(ctx, "mykey").Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("Get returns %v", err)
	}
	if n := client.Views.Load(); n != 1 {
		t.Errorf("it asked for %d views, not 1", n)
	}
}
