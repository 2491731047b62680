// Package goredis feeds the cluster client of go-redis from a
// [topology.Router], which a [topology.Refresher] keeps right, and sends its
// pipelines by it. It is an example, to be copied and changed.
package goredis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/redis/go-redis/v9"
)

const tries = 100 // of a command, with pauses that grow to 0.1 s: a failover takes seconds

// ErrGaveUp is in the error of a command that was refused, redirected or not sent at
// every try. It was not done.
var ErrGaveUp = errors.New("goredis: gave up after 100 tries")

// ErrNoNode is the error of a command for whose slot no node is known.
var ErrNoNode = errors.New("goredis: no node for the slot")

// A Client is a cluster client with a Router, which learns from every answer that
// the client gets, and which the client takes its map from. Commands that are sent
// one by one, and those of [Client.Pipeline], are sent again as long as a node
// redirects them. It must not be copied.
type Client struct {
	*redis.ClusterClient
	Router    topology.Router
	Refresher topology.Refresher
	Views     atomic.Int64 // how many nodes were asked for a view
	nodes     sync.Map     // address -> *redis.Client, for Pipeline
	closed    atomic.Bool
}

// New returns a client for the cluster that has some of the nodes opt.Addrs.
func New(opt redis.ClusterOptions) *Client {
	c := &Client{Refresher: topology.Refresher{Seeds: opt.Addrs}}
	opt.ClusterSlots = c.slots // called at the start, after a change of the map, and now and then
	c.ClusterClient = redis.NewClusterClient(&opt)
	c.Router.OnChange = func(change *topology.Change) {
		c.ReloadState(context.Background()) // calls slots, soon
		for _, n := range change.Removed {
			if node, ok := c.nodes.Load(n.Addr()); ok && c.Router.NodeByAddr(n.Addr()) == nil && c.nodes.CompareAndDelete(n.Addr(), node) {
				node.(*redis.Client).Close()
			}
		}
	}
	c.OnNewNode(func(node *redis.Client) {
		// The address as slots has it: go-redis makes ":7000" of "127.0.0.1:7000".
		node.AddHook(learner{c, node.Options().NodeAddress})
	})
	c.AddHook(insister{c})
	return c
}

// Close closes all connections.
func (c *Client) Close() error {
	c.closed.Store(true)
	c.nodes.Range(func(_, node any) bool { node.(*redis.Client).Close(); return true })
	return c.ClusterClient.Close()
}

// node is the client for an address, of any node: go-redis has clients of those
// nodes only that its map has.
func (c *Client) node(addr string) *redis.Client {
	if node, ok := c.nodes.Load(addr); ok {
		return node.(*redis.Client)
	}
	node := redis.NewClient(c.options(addr))
	node.AddHook(learner{c, addr})
	if other, raced := c.nodes.LoadOrStore(addr, node); raced {
		node.Close()
		node = other.(*redis.Client)
	}
	return node
}

func (c *Client) options(addr string) *redis.Options {
	opt := c.Options()
	return &redis.Options{Addr: addr, Username: opt.Username, Password: opt.Password, TLSConfig: opt.TLSConfig, MaxRetries: -1, DialerRetries: 1,
		DialTimeout: opt.DialTimeout, ReadTimeout: opt.ReadTimeout, WriteTimeout: opt.WriteTimeout, PoolSize: opt.PoolSize}
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

// probe is the key of a context in which a node is not expected to have the slot.
type probe struct{}

// A learner tells the Router what a node answers.
type learner struct {
	c    *Client
	addr string
}

// learn tells the Router what came of a command, and returns whether it was
// answered.
func (l learner) learn(ctx context.Context, err error, seen topology.Generation) (answered bool) {
	c, now, node := l.c, time.Now(), l.c.Router.NodeByAddr(l.addr)
	var refused redis.Error
	answered = err == nil || errors.As(err, &refused)
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		c.Router.Succeeded(node)
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redis.ErrClosed):
	case errors.Is(err, redis.ErrPoolTimeout):
	case !answered:
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
	c.refresh(now)
	return answered
}

// refresh asks for the views that are due, in the background.
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
		l.learn(ctx, err, seen)
		return err
	}
}

func (l learner) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		seen := l.c.Router.Generation()
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			if !l.learn(ctx, cmd.Err(), seen) {
				break // one failure of the node, however many commands it had
			}
		}
		return err
	}
}

// An insister sends commands again that go-redis passes on as redirected: it counts
// every failure as one of the few redirects that it follows.
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
	return next
}

// pause waits before a command is sent again, or returns why it is not to be.
func pause(ctx context.Context, try int) error {
	switch {
	case try == tries-1:
		return ErrGaveUp
	case try == 0: // the Router has learned where it goes
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Millisecond << min(try, 7)):
		return nil
	}
}

// again returns whether a command with this error was not done, and is to be sent
// again.
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
	return errors.Is(err, ErrNoNode) || errors.Is(err, redis.ErrPoolTimeout) || errors.As(err, &op) && op.Op == "dial"
}

// Pipeline sends commands, those of each node at once, and then again, by what the
// Router has learned, those that were redirected. It goes by [Key], and keys are
// hashed all at once. Each command has its own error, that of Key if it is not sent.
func (c *Client) Pipeline(ctx context.Context, cmds []redis.Cmder) {
	keys, which := make([]string, len(cmds)), make([]int, 0, len(cmds))
	for i, cmd := range cmds {
		key, err := Key(cmd)
		if err != nil {
			cmd.SetErr(err)
			continue
		}
		keys[i], which = key, append(which, i)
	}
	for try := 0; ; try++ {
		if which = c.send(ctx, keys, cmds, which); len(which) == 0 {
			return
		}
		if why := pause(ctx, try); why != nil {
			for _, i := range which {
				cmds[i].SetErr(fmt.Errorf("%w: %w", why, cmds[i].Err()))
			}
			return
		}
	}
}

// send sends commands once, and returns those to be sent again.
func (c *Client) send(ctx context.Context, keys []string, cmds []redis.Cmder, which []int) (again []int) {
	some := make([]string, len(which))
	for k, i := range which {
		some[k] = keys[i]
	}
	groups, unassigned, _ := c.Router.Split(some)
	for _, k := range unassigned {
		cmds[which[k]].SetErr(ErrNoNode)
		again = append(again, which[k])
	}
	if len(unassigned) > 0 {
		c.Refresher.Want(time.Now())
		c.refresh(time.Now())
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, g := range groups {
		wg.Go(func() {
			own := make([]int, len(g.Keys))
			for n, k := range g.Keys {
				own[n] = which[k]
			}
			left := c.sendGroup(ctx, g.Owner, cmds, own)
			mu.Lock()
			defer mu.Unlock()
			again = append(again, left...)
		})
	}
	wg.Wait()
	slices.Sort(again) // commands with the same key stay in order
	return again
}

// sendGroup sends commands to a shard, and those that it answers with ASK to where
// they are. It returns those to be sent again.
func (c *Client) sendGroup(ctx context.Context, shard *topology.Shard, cmds []redis.Cmder, which []int) (again []int) {
	target, first, probing := shard.Primary, ctx, false
	if !target.Serves() && rand.IntN(2) == 0 {
		// Has a replica taken over? Unless it has, it answers MOVED.
		target, first, probing = c.Router.Pick(shard, topology.ReadReplica), context.WithValue(ctx, probe{}, true), true
	}
	c.exec(first, target, cmds, which, false)
	asked := map[topology.Redirect][]int{} // by slot and node
	for _, i := range which {
		err := cmds[i].Err()
		if err == nil && probing {
			c.Refresher.Note(c.Router.Promote(target), time.Now())
		}
		if !c.again(err) {
			continue
		}
		if rd, _ := topology.ParseRedirect(err.Error(), topology.Origin{Addr: target.Addr()}); rd.Kind == topology.Ask && rd.Routable() {
			asked[rd] = append(asked[rd], i)
		} else {
			again = append(again, i)
		}
	}
	for rd, some := range asked {
		c.exec(context.WithValue(ctx, probe{}, true), c.Router.Asking(rd), cmds, some, true)
		for _, i := range some {
			if c.again(cmds[i].Err()) {
				again = append(again, i)
			}
		}
	}
	return again
}

// exec sends commands to a node.
func (c *Client) exec(ctx context.Context, node *topology.Node, cmds []redis.Cmder, which []int, asking bool) {
	if node == nil || !node.Routable() {
		for _, i := range which {
			cmds[i].SetErr(ErrNoNode)
		}
		c.Refresher.Want(time.Now())
		c.refresh(time.Now())
		return
	}
	pipe := c.node(node.Addr()).Pipeline()
	for _, i := range which {
		if asking {
			pipe.Do(ctx, "asking")
		}
		cmds[i].SetErr(nil)
		pipe.Process(ctx, cmds[i])
	}
	pipe.Exec(ctx) // its error is that of one of the commands
}
