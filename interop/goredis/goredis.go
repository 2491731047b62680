// Package goredis feeds the cluster client of go-redis from a
// [topology.Router], which a [topology.Refresher] keeps right, and sends its
// pipelines by it. It is an example, to be copied and changed.
package goredis

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/redis/go-redis/v9"
)

// A Client is a cluster client with a Router, which learns from every answer that
// the client gets, and which the client takes its map from.
type Client struct {
	*redis.ClusterClient
	Router    topology.Router
	Refresher topology.Refresher
	Views     atomic.Int64 // how many nodes were asked for a view
	nodes     sync.Map     // address -> *redis.Client
}

// New returns a client for the cluster that has some of the nodes opt.Addrs.
func New(opt redis.ClusterOptions) *Client {
	c := &Client{Refresher: topology.Refresher{Seeds: opt.Addrs}}
	opt.ClusterSlots = c.slots // called at the start, after a change of the map, and now and then
	c.ClusterClient = redis.NewClusterClient(&opt)
	c.Router.OnChange = func(*topology.Change) { c.ReloadState(context.Background()) } // calls slots, soon
	c.OnNewNode(func(node *redis.Client) {
		// The address as slots has it: go-redis makes ":7000" of "127.0.0.1:7000".
		addr := node.Options().NodeAddress
		c.nodes.Store(addr, node)
		node.AddHook(learner{c, addr})
	})
	return c
}

// slots returns the map in go-redis's terms.
func (c *Client) slots(ctx context.Context) (slots []redis.ClusterSlot, err error) {
	for try := 0; c.Router.Generation() == 0 && try < 100; try++ {
		if due := c.Refresher.Next(&c.Router, time.Now()); len(due.Addrs) > 0 {
			err = c.ask(ctx, due)
		} else {
			time.Sleep(min(time.Until(due.NotBefore), 50*time.Millisecond))
		}
	}
	table, seen := c.Router.Table()
	if seen == 0 {
		return nil, errors.Join(errors.New("goredis: no node has the map"), err)
	}
	for r, shard := range table.Ranges() {
		slot := redis.ClusterSlot{Start: int(r.First), End: int(r.Last)}
		for _, n := range append([]*topology.Node{shard.Primary}, shard.Replicas...) {
			if n.Routable() {
				slot.Nodes = append(slot.Nodes, redis.ClusterNode{ID: n.ID, Addr: n.Addr()})
			}
		}
		if shard.Primary.Routable() { // the first node is taken for the primary
			slots = append(slots, slot)
		}
	}
	return slots, nil
}

// ask asks for the views that are due.
func (c *Client) ask(ctx context.Context, due topology.Refresh) (err error) {
	views := make([]*topology.Cluster, len(due.Addrs))
	for i, addr := range due.Addrs {
		c.Views.Add(1)
		opt := c.Options() // the pools are go-redis's, which may have closed that of the node
		node := redis.NewClient(&redis.Options{Addr: addr, Username: opt.Username, Password: opt.Password, TLSConfig: opt.TLSConfig, MaxRetries: -1,
			DialTimeout: opt.DialTimeout, ReadTimeout: opt.ReadTimeout})
		var text string
		if text, err = node.ClusterNodes(ctx).Result(); err == nil {
			views[i], err = topology.ParseNodes(text, topology.Origin{Addr: addr, TLS: opt.TLSConfig != nil})
		}
		node.Close()
	}
	c.Refresher.Apply(&c.Router, due, views, time.Now())
	return err
}

// probe is the key of a context in which a node is not expected to have the slot.
type probe struct{}

// A learner tells the Router what a node answers.
type learner struct {
	c    *Client
	addr string
}

func (l learner) learn(ctx context.Context, err error, seen topology.Generation) {
	c, now, node := l.c, time.Now(), l.c.Router.NodeByAddr(l.addr)
	var refused redis.Error
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		c.Router.Succeeded(node)
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redis.ErrClosed):
	case !errors.As(err, &refused):
		c.Refresher.Note(c.Router.Failed(node), now)
	default:
		c.Router.Succeeded(node)
		rd, _ := topology.ParseRedirect(refused.Error(), topology.Origin{Addr: l.addr})
		switch topology.Classify(refused.Error()) {
		case topology.ActionMoved:
			if ctx.Value(probe{}) != nil {
				node = nil
			}
			c.Refresher.Note(c.Router.Moved(rd, node, seen), now)
		case topology.ActionRefresh, topology.ActionPrimary:
			c.Refresher.Want(now)
		}
	}
	if due := c.Refresher.Next(&c.Router, now); len(due.Addrs) > 0 {
		go c.ask(context.Background(), due)
	}
}

func (l learner) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l learner) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		seen := l.c.Router.Generation()
		err := next(ctx, cmd)
		l.learn(ctx, err, seen)
		return err
	}
}

func (l learner) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		seen := l.c.Router.Generation()
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			l.learn(ctx, cmd.Err(), seen)
		}
		return err
	}
}

// Pipeline sends commands, of which cmds[i] has the key keys[i], those of each
// node at once, and then again those that were redirected. Keys are hashed all
// at once, and no command is looked up by its name to find its key. Each command
// has its own error.
func (c *Client) Pipeline(ctx context.Context, keys []string, cmds []redis.Cmder) {
	groups, unassigned, _ := c.Router.Split(keys)
	var wg sync.WaitGroup
	for _, g := range groups {
		wg.Go(func() {
			target, first, probing := g.Owner.Primary, ctx, false
			if !target.Serves() && rand.IntN(2) == 0 {
				// Has a replica taken over? Unless it has, it answers MOVED.
				target, first, probing = c.Router.Pick(g.Owner, topology.ReadReplica), context.WithValue(ctx, probe{}, true), true
			}
			again := g.Keys // if go-redis has no client for the node yet: it makes one
			if node, ok := c.nodes.Load(target.Addr()); ok {
				pipe := node.(*redis.Client).Pipeline()
				for _, i := range g.Keys {
					pipe.Process(first, cmds[i])
				}
				pipe.Exec(first) // its error is that of one of the commands
				again = nil
				for _, i := range g.Keys {
					switch err := cmds[i].Err(); {
					case err != nil && redirected(err):
						again = append(again, i)
					case err == nil && probing:
						c.Refresher.Note(c.Router.Promote(target), time.Now())
					}
				}
			}
			c.leave(ctx, cmds, again)
		})
	}
	c.leave(ctx, cmds, unassigned)
	wg.Wait()
}

// leave leaves commands to go-redis, which follows redirects.
func (c *Client) leave(ctx context.Context, cmds []redis.Cmder, which []int) {
	if len(which) == 0 {
		return
	}
	pipe := c.ClusterClient.Pipeline()
	for _, i := range which {
		cmds[i].SetErr(nil)
		pipe.Process(ctx, cmds[i])
	}
	pipe.Exec(ctx)
}

func redirected(err error) bool {
	switch topology.Classify(err.Error()) {
	case topology.ActionNone, topology.ActionFail:
		return errors.Is(err, redis.ErrClosed) // go-redis has a new client for the node
	}
	return true
}
