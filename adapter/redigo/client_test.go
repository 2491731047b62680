package redigo_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot/adapter/redigo"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// A user is an argument with a form of its own.
type user struct{ name string }

func (u user) RedisArg() any { return []byte("user:" + u.name) }

// A key may be of any type that redigo sends. It goes where the bytes that redigo sends for
// it belong.
func TestKeysOfAllTypes(t *testing.T) {
	client := &redigo.Client{Dial: dial, Refresher: topology.Refresher{Seeds: []string{"10.0.0.1:6379"}}}
	if err := client.Refresh(); err != nil {
		t.Fatal(err)
	}
	for _, key := range []any{"k", []byte("k"), 7, int64(8), uint8(9), 1.5, 1e21, float32(2.5), true, false, nil, user{"a"}, user{"b"}, user{"c"}} {
		if reply := client.Do(redigo.Command{"SET", key, "value"}); reply.Err != nil {
			t.Fatalf("%T %[1]v: %v", key, reply.Err)
		}
		value, err := redis.String(client.Pipeline([]redigo.Command{{"GET", key}})[0].Value, nil)
		if value != "value" || err != nil {
			t.Errorf("%T %[1]v: %q, %v", key, value, err)
		}
	}
	if moved := client.Errors[topology.ActionMoved].Load(); moved > 0 {
		t.Errorf("%d redirects", moved)
	}
}

// The connections to an address end when no node has it any more, and all of them when the
// client is closed.
func TestConnectionsEnd(t *testing.T) {
	open := map[string]int{}
	var mu sync.Mutex
	count := func(addr string) int {
		mu.Lock()
		defer mu.Unlock()
		return open[addr]
	}
	client := &redigo.Client{Refresher: topology.Refresher{Seeds: []string{"10.0.0.1:6379"}}, Dial: func(addr string) (redis.Conn, error) {
		conn, err := dial(strings.Replace(addr, "10.0.0.9", "10.0.0.2", 1))
		mu.Lock()
		defer mu.Unlock()
		open[addr]++
		return &counted{conn, func() {
			mu.Lock()
			defer mu.Unlock()
			open[addr]--
		}}, err
	}}
	view, err := topology.ParseNodes("a 10.0.0.1:6379@1 master - 0 0 1 connected 0-8191\nb 10.0.0.9:6379@1 master - 0 0 2 connected 8192-16383\n", topology.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	client.Router.Apply(view, 0)
	client.Do(redigo.Command{"EXISTS", "foo"}) // at an address of b that b does not tell
	if count("10.0.0.9:6379") == 0 {
		t.Fatal("no connection")
	}
	if err := client.Refresh(); err != nil { // b is at 10.0.0.2
		t.Fatal(err)
	}
	if n := count("10.0.0.9:6379"); n != 0 {
		t.Errorf("%d connections to an address that no node has", n)
	}
	if reply := client.Do(redigo.Command{"EXISTS", "foo"}); reply.Err != nil {
		t.Fatal(reply.Err)
	}
	client.Close()
	for addr := range open {
		if n := count(addr); n != 0 {
			t.Errorf("%d connections to %s", n, addr)
		}
	}
}

// counted is a connection whose end is counted.
type counted struct {
	redis.Conn
	closed func()
}

func (c *counted) Close() error {
	c.closed()
	return c.Conn.Close()
}
