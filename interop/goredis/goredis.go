// Package goredis feeds the cluster client of go-redis from a
// [topology.Router], and sends its pipelines by it. It is an example, to be
// copied and changed.
package goredis

import (
	"context"
	"errors"
	"sync"

	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/redis/go-redis/v9"
)

// A Client is a cluster client with a Router, which learns from every redirect
// that the client gets, and which the client takes its map from.
type Client struct {
	*redis.ClusterClient
	Router topology.Router
	seeds  []string
	nodes  sync.Map // address -> *redis.Client
}

// New returns a client for the cluster that has some of the nodes opt.Addrs.
func New(opt redis.ClusterOptions) *Client {
	c := &Client{seeds: opt.Addrs}
	opt.ClusterSlots = c.slots // called at the start, after a MOVED, and now and then
	c.ClusterClient = redis.NewClusterClient(&opt)
	c.OnNewNode(func(node *redis.Client) {
		// The address as slots has it: go-redis makes ":7000" of "127.0.0.1:7000".
		addr := node.Options().NodeAddress
		c.nodes.Store(addr, node)
		node.AddHook(learner{c, addr})
	})
	return c
}

// slots asks for a view and returns the map, in go-redis's terms. If nobody
// answers, the map is as good as the redirects have made it.
func (c *Client) slots(ctx context.Context) ([]redis.ClusterSlot, error) {
	refreshErr := c.refresh(ctx)
	table, seen := c.Router.Table()
	if seen == 0 {
		return nil, refreshErr
	}
	var slots []redis.ClusterSlot
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

func (c *Client) refresh(ctx context.Context) (err error) {
	seen := c.Router.Generation()
	err = errors.New("goredis: no node to ask")
	ask := func(addr string, node *redis.Client) bool {
		var text string
		if text, err = node.ClusterNodes(ctx).Result(); err != nil {
			return false
		}
		var view *topology.Cluster
		if view, err = topology.ParseNodes(text, topology.Origin{Addr: addr}); err != nil {
			return false
		}
		return !c.Router.Apply(view, seen).Refresh
	}
	done := false
	c.nodes.Range(func(addr, node any) bool {
		done = ask(addr.(string), node.(*redis.Client))
		return !done
	})
	for _, addr := range c.seeds {
		if done {
			break
		}
		node := redis.NewClient(&redis.Options{Addr: addr})
		done = ask(addr, node)
		node.Close()
	}
	if !done {
		c.Router.RefreshFailed()
	}
	return err
}

// A learner tells the Router of the redirects of a node.
type learner struct {
	c    *Client
	addr string
}

func (l learner) learn(err error, seen topology.Generation) {
	if err == nil || errors.Is(err, redis.Nil) {
		return
	}
	rd, bad := topology.ParseRedirect(err.Error(), topology.Origin{Addr: l.addr})
	if bad == nil && rd.Kind == topology.Moved && l.c.Router.Moved(rd, nil, seen).Refresh {
		l.c.ReloadState(context.Background()) // calls slots, soon
	}
}

func (l learner) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l learner) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		seen := l.c.Router.Generation()
		err := next(ctx, cmd)
		l.learn(err, seen)
		return err
	}
}

func (l learner) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		seen := l.c.Router.Generation()
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			l.learn(cmd.Err(), seen)
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
			var again []int
			if node, ok := c.nodes.Load(g.Owner.Primary.Addr()); !ok {
				again = g.Keys // a node that only a redirect has shown
			} else {
				pipe := node.(*redis.Client).Pipeline()
				for _, i := range g.Keys {
					pipe.Process(ctx, cmds[i])
				}
				pipe.Exec(ctx) // its error is that of one of the commands
				for _, i := range g.Keys {
					if err := cmds[i].Err(); err != nil && redirected(err) {
						again = append(again, i)
					}
				}
			}
			for _, i := range again {
				cmds[i].SetErr(nil)
				c.Process(ctx, cmds[i])
			}
		})
	}
	for _, i := range unassigned {
		c.Process(ctx, cmds[i])
	}
	wg.Wait()
}

func redirected(err error) bool {
	switch topology.Classify(err.Error()) {
	case topology.ActionNone, topology.ActionFail:
		return false
	}
	return true
}
