package interop_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot/adapter/redigo"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/plan/plantest"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/stretchr/testify/require"
)

// A paperConn is redigo's connection to a node on paper.
type paperConn struct {
	conn    *plantest.Conn
	replies []redigo.Reply
}

func dialPaper(c *plantest.Cluster) func(addr string) (redis.Conn, error) {
	return func(addr string) (redis.Conn, error) {
		conn, err := c.Dial(addr)
		if err != nil {
			return nil, err
		}
		return &paperConn{conn: conn}, nil
	}
}

func (p *paperConn) Close() error { return nil }
func (p *paperConn) Err() error   { return nil }
func (p *paperConn) Flush() error { return nil }

func (p *paperConn) Send(name string, args ...any) error {
	if name == "" {
		return nil
	}
	line := []string{name}
	for _, a := range args {
		if b, ok := a.([]byte); ok {
			a = string(b)
		}
		line = append(line, fmt.Sprint(a))
	}
	value, err := p.conn.Do(line...)
	if e := plantest.Error(""); errors.As(err, &e) {
		err = redis.Error(e)
	}
	p.replies = append(p.replies, redigo.Reply{Value: paperReply(value), Err: err})
	return nil
}

// paperReply returns a text as []byte, unless it is a status.
func paperReply(v any) any {
	switch v := v.(type) {
	case string:
		if v != "OK" && v != "PONG" {
			return []byte(v)
		}
	case []any:
		for i := range v {
			v[i] = paperReply(v[i])
		}
	}
	return v
}

func (p *paperConn) Receive() (any, error) {
	if len(p.replies) == 0 {
		return nil, errors.New("nothing was sent")
	}
	r := p.replies[0]
	p.replies = p.replies[1:]
	return r.Value, r.Err
}

func (p *paperConn) Do(name string, args ...any) (any, error) {
	if name == "" {
		return nil, nil
	}
	p.replies = nil
	if err := p.Send(name, args...); err != nil {
		return nil, err
	}
	return p.Receive()
}

// A client is tested without sockets: slots move on paper, step by step, and a replica
// takes over, while goroutines write and read. No answer is wrong and no key is lost.
func TestClientOnPaper(t *testing.T) {
	var nodes strings.Builder
	for i, slots := range []string{"0-5460", "5461-10922", "10923-16383", ""} {
		fmt.Fprintf(&nodes, "p%d 10.0.0.%d:6379@16379 master - 0 0 %d connected %s\nr%d 10.0.1.%d:6379@16379 slave p%d 0 0 %d connected\n", i, i, i+1, slots, i, i, i, i+1)
	}
	view, err := topology.ParseNodes(nodes.String(), topology.Origin{})
	require.NoError(t, err)
	c := plantest.New(view)
	cl := &redigo.Client{Dial: dialPaper(c), Refresher: topology.Refresher{Seeds: []string{"10.0.0.0:6379"}}}
	require.NoError(t, cl.Refresh())
	check := newChecker(redigoStore{cl}, 1000)
	check.write()
	check.start(time.Millisecond)

	p, err := plan.Rebalance(view, plan.RebalanceOptions{UseEmpty: true})
	require.NoError(t, err)
	batches, err := p.Batches(150)
	require.NoError(t, err)
	p = slices.Collect(batches)[0]
	steps, err := p.SetSlots(plan.SetSlotOptions{Keys: 1})
	require.NoError(t, err)
	n := 0
	for s := range steps {
		require.NoError(t, c.Run(s))
		if n++; n%50 == 0 {
			c.Gossip()
			time.Sleep(time.Millisecond)
		}
	}
	c.Gossip()
	require.True(t, p.After.Equal(c.Table()))
	conn, err := c.Dial("10.0.1.1:6379")
	require.NoError(t, err)
	_, err = conn.Do("CLUSTER", "FAILOVER")
	require.NoError(t, err)
	time.Sleep(20 * time.Millisecond)
	c.Gossip()
	check.finish(t)
	require.Zero(t, check.doubt.Load())
	require.Zero(t, check.refused.Load())
	require.Positive(t, cl.Errors[topology.ActionMoved].Load())
	t.Logf("%d operations; %d got MOVED, %d ASK, %d TRYAGAIN", check.done.Load(), cl.Errors[topology.ActionMoved].Load(), cl.Errors[topology.ActionAsk].Load(), cl.Errors[topology.ActionRetry].Load())
}

// The client certainly meets ASK and TRYAGAIN: a slot stays half-way.
func TestClientOnPaperHalfWay(t *testing.T) {
	view, err := topology.ParseNodes("a 10.0.0.1:1@2 master - 0 0 1 connected 0-8191\nb 10.0.0.2:1@2 master - 0 0 2 connected 8192-16383\n", topology.Origin{})
	require.NoError(t, err)
	c := plantest.New(view)
	cl := &redigo.Client{Dial: dialPaper(c), Refresher: topology.Refresher{Seeds: []string{"10.0.0.1:1"}}}
	require.NoError(t, cl.Refresh())
	do := func(addr string, command ...string) {
		conn, err := c.Dial(addr)
		require.NoError(t, err)
		_, err = conn.Do(command...)
		require.NoError(t, err)
	}
	do("10.0.0.1:1", "MSET", "{06S}a", "1", "{06S}b", "2")
	do("10.0.0.2:1", "CLUSTER", "SETSLOT", "0", "IMPORTING", "a")
	do("10.0.0.1:1", "CLUSTER", "SETSLOT", "0", "MIGRATING", "b")
	do("10.0.0.1:1", "MIGRATE", "10.0.0.2", "1", "", "0", "100", "KEYS", "{06S}a")
	for key, want := range map[string]string{"{06S}a": "1", "{06S}b": "2"} {
		got, err := redis.String(cl.Do(redigo.Command{"GET", key}).Value, nil)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.EqualValues(t, 1, cl.Errors[topology.ActionAsk].Load())
	done := make(chan redigo.Reply)
	go func() { done <- cl.Do(redigo.Command{"MGET", "{06S}a", "{06S}b"}) }()
	require.Eventually(t, func() bool { return cl.Errors[topology.ActionRetry].Load() > 0 }, 10*time.Second, time.Millisecond)
	do("10.0.0.1:1", "MIGRATE", "10.0.0.2", "1", "", "0", "100", "KEYS", "{06S}b")
	both, err := redis.Strings((<-done).Value, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2"}, both)
}
