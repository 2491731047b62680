// Package goredis feeds the cluster client of go-redis from a [topology.Router], which a
// [topology.Refresher] keeps up to date. Commands and pipelines that meet a failover or a
// migration are retried.
package goredis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/redis/go-redis/v9"
)

const tries = 100 // tries of a command, with pauses that grow to 0.1 s: a failover takes seconds

// ErrGaveUp is wrapped by the error of a command that was refused, redirected or not sent
// at every try. The command was not executed.
var ErrGaveUp = errors.New("goredis: gave up after 100 tries")

// A Client is a cluster client with a Router. The Router learns from every reply, and the
// client takes its map from the Router. Commands, alone or in pipelines, are retried if a
// node refuses or redirects them, but not if a node may have executed them. Commands of
// transactions are not retried. A Client is safe for concurrent use. It must not be copied.
type Client struct {
	*redis.ClusterClient
	Router    topology.Router
	Refresher topology.Refresher
	Views     atomic.Int64 // the number of requests for a view
	closed    atomic.Bool
}

// New returns a client for the cluster of the nodes opt.Addrs, of which one that answers
// is enough.
func New(opt redis.ClusterOptions) *Client {
	c := &Client{Refresher: topology.Refresher{Seeds: opt.Addrs}}
	opt.ClusterSlots = c.slots // go-redis calls it at the start, after ReloadState, and from time to time
	c.ClusterClient = redis.NewClusterClient(&opt)
	c.Router.OnChange = func(*topology.Change) { c.ReloadState(context.Background()) } // calls slots, soon
	c.OnNewNode(func(node *redis.Client) {
		// The address that slots returned: go-redis turns "127.0.0.1:7000" into ":7000".
		node.AddHook(learner{c, node.Options().NodeAddress})
	})
	c.AddHook(insister{c})
	return c
}

// Close closes all connections.
func (c *Client) Close() error {
	c.closed.Store(true)
	return c.ClusterClient.Close()
}

func (c *Client) options(addr string) *redis.Options {
	opt := c.Options()
	return &redis.Options{Addr: addr, Dialer: opt.Dialer, Username: opt.Username, Password: opt.Password, TLSConfig: opt.TLSConfig, MaxRetries: -1, DialerRetries: 1,
		DialTimeout: opt.DialTimeout, ReadTimeout: opt.ReadTimeout, WriteTimeout: opt.WriteTimeout, PoolSize: 1}
}

// slots returns the map in go-redis's form.
func (c *Client) slots(ctx context.Context) (slots []redis.ClusterSlot, err error) {
	for try := 0; c.Router.Generation() == 0 && try < tries && ctx.Err() == nil; try++ {
		if due := c.Refresher.Next(&c.Router, time.Now()); len(due.Addrs) > 0 {
			err = c.ask(ctx, due)
		} else {
			select {
			case <-ctx.Done():
			case <-time.After(min(time.Until(due.NotBefore), 50*time.Millisecond)):
			}
		}
	}
	table, seen := c.Router.Table()
	if seen == 0 {
		return nil, errors.Join(errors.New("goredis: no node has the map"), err, ctx.Err())
	}
	for r, shard := range table.Ranges() {
		slot := redis.ClusterSlot{Start: int(r.First), End: int(r.Last)}
		for _, n := range append([]*topology.Node{shard.Primary}, shard.Replicas...) {
			if n.Addr() != "" {
				slot.Nodes = append(slot.Nodes, redis.ClusterNode{ID: n.ID, Addr: n.Addr()})
			}
		}
		if shard.Primary.Addr() != "" { // go-redis takes the first node as the primary
			slots = append(slots, slot)
		}
	}
	return slots, nil
}

// ask requests the views that are due.
func (c *Client) ask(ctx context.Context, due topology.Refresh) (err error) {
	views := make([]*topology.Cluster, len(due.Addrs))
	for i, addr := range due.Addrs {
		c.Views.Add(1)
		node := redis.NewClient(c.options(addr)) // the Router does not learn from it
		var text string
		if text, err = node.ClusterNodes(ctx).Result(); err == nil {
			views[i], err = topology.ParseNodes(text, topology.Origin{Addr: addr, TLS: c.Options().TLSConfig != nil})
		}
		node.Close()
	}
	c.Refresher.Apply(&c.Router, due, views, time.Now())
	return err
}

// A learner passes the replies of a node to the Router.
type learner struct {
	c    *Client
	addr string
}

// learn passes the result of a command to the Router, and reports whether there was a
// reply.
func (l learner) learn(err error, seen topology.Generation) (answered bool) {
	c, now, node := l.c, time.Now(), l.c.Router.NodeByAddr(l.addr)
	var refused redis.Error
	answered = err == nil || errors.As(err, &refused)
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		c.Router.Succeeded(node)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrClosed), errors.Is(err, redis.ErrPoolTimeout):
	case !answered:
		c.Refresher.Note(c.Router.Failed(node), now)
	default:
		c.Router.Succeeded(node)
		rd, _ := topology.ParseRedirect(refused.Error(), topology.Origin{Addr: l.addr})
		switch topology.Classify(refused.Error()) {
		case topology.ActionMoved:
			c.Refresher.Note(c.Router.Moved(rd, node, seen), now)
		case topology.ActionRefresh, topology.ActionPrimary:
			c.Refresher.Want(now)
		}
	}
	c.refresh(now)
	return answered
}

// refresh requests the views that are due, in the background.
func (c *Client) refresh(now time.Time) {
	if due := c.Refresher.Next(&c.Router, now); len(due.Addrs) > 0 {
		go c.ask(context.Background(), due)
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
			if !l.learn(cmd.Err(), seen) {
				break // one failure of the node, whatever the number of commands
			}
		}
		return err
	}
}

// An insister retries commands that go-redis has given up: go-redis counts every failure
// as one of the few redirects that it follows.
type insister struct{ c *Client }

func (s insister) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s insister) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		for try := 0; ; try++ {
			err := next(ctx, cmd)
			if !s.c.again(err) {
				return err
			}
			if why := pause(ctx, try); why != nil {
				return fmt.Errorf("%w: %w", why, err)
			}
		}
	}
}

func (s insister) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if len(cmds) == 0 || cmds[0].Name() == "multi" {
			return err // a transaction is executed as a whole or not at all
		}
		for try, some := 0, cmds; ; try++ {
			some = slices.DeleteFunc(slices.Clone(some), func(cmd redis.Cmder) bool { return !s.c.again(cmd.Err()) })
			if len(some) == 0 {
				break
			}
			why := pause(ctx, try)
			for _, cmd := range some {
				if why == nil {
					cmd.SetErr(nil)
				} else {
					cmd.SetErr(fmt.Errorf("%w: %w", why, cmd.Err()))
				}
			}
			if why != nil {
				break
			}
			next(ctx, some) // its error is that of one of the commands
		}
		if i := slices.IndexFunc(cmds, func(cmd redis.Cmder) bool { return cmd.Err() != nil }); i >= 0 {
			return cmds[i].Err() // the first, as in go-redis
		}
		return nil
	}
}

// pause waits before a retry, or returns an error if there must be none.
func pause(ctx context.Context, try int) error {
	switch {
	case try == tries-1:
		return ErrGaveUp
	case try > 0: // before the first retry, the Router has already learned the node
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond << min(try, 7)):
		}
	}
	return ctx.Err()
}

// again reports whether a command with this error was not executed and can be retried.
func (c *Client) again(err error) bool {
	var refused redis.Error
	var op *net.OpError
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		return false
	case errors.As(err, &refused):
		action := topology.Classify(refused.Error())
		return action != topology.ActionNone && action != topology.ActionFail && action != topology.ActionRestart
	case errors.Is(err, redis.ErrClosed): // the node was removed, and is back
		return !c.closed.Load()
	}
	return errors.Is(err, redis.ErrPoolTimeout) || errors.As(err, &op) && op.Op == "dial"
}
