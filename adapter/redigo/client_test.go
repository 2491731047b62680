package redigo_test

import (
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
