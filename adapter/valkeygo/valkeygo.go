// Package valkeygo sends pipelines of valkey-go by a [topology.Router], which a
// [topology.Refresher] keeps up to date. It has one client for each node, builds commands
// without hashing, and hashes all keys of a pipeline at once.
package valkeygo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashslot/hashslot/slotmap/command"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/valkey-io/valkey-go"
)

const tries, pause = 100, 100 * time.Millisecond // 100 tries of a command: a failover takes seconds

// ErrGaveUp is wrapped by the error of a command that was refused, redirected or not sent
// at every try. The command was not executed.
var ErrGaveUp = errors.New("valkeygo: gave up after 100 tries")

// ErrNoNode is wrapped by the error of a command whose slot has no known node, and by that
// of [New].
var ErrNoNode = errors.New("valkeygo: no node for the slot")

// A Client sends commands to the nodes that own their keys. Its methods are safe for
// concurrent use. It must not be copied.
type Client struct {
	Router    topology.Router
	Refresher topology.Refresher
	Views     atomic.Int64 // the number of requests for a view
	opt       valkey.ClientOption
	nodes     sync.Map // address -> valkey.Client
	builder   valkey.Builder
	first     sync.Once // sets builder
}

// New returns a client for the cluster of the nodes opt.InitAddress, of which one that
// answers is enough. The error wraps [ErrNoNode]: no node has given a view until ctx ended,
// or at any of 100 tries.
func New(ctx context.Context, opt valkey.ClientOption) (*Client, error) {
	c := &Client{opt: opt, Refresher: topology.Refresher{Seeds: opt.InitAddress}}
	c.opt.ForceSingleClient, c.opt.DisableRetry = true, true // follow decides about retries
	c.Router.OnChange = func(change *topology.Change) {
		for _, n := range change.Removed {
			c.leave(n.Addr())
		}
		for _, u := range change.Updated {
			c.leave(u.Before.Addr())
		}
	}
	var err error
	for try := 0; c.Router.Generation() == 0 && try < tries && ctx.Err() == nil; try++ {
		if due := c.Refresher.Next(&c.Router, time.Now()); len(due.Addrs) > 0 {
			err = c.ask(ctx, due)
		} else {
			time.Sleep(min(time.Until(due.NotBefore), pause))
		}
	}
	if c.Router.Generation() == 0 {
		return nil, errors.Join(ErrNoNode, err)
	}
	return c, nil
}

// Close closes all connections.
func (c *Client) Close() {
	c.nodes.Range(func(_, node any) bool { node.(valkey.Client).Close(); return true })
}

// leave closes the connections to an address that no node has any more.
func (c *Client) leave(addr string) {
	if node, ok := c.nodes.Load(addr); ok && c.Router.NodeByAddr(addr) == nil && c.nodes.CompareAndDelete(addr, node) {
		node.(valkey.Client).Close()
	}
}

// node returns the client for an address, and connects the first time.
func (c *Client) node(addr string) (valkey.Client, error) {
	if node, ok := c.nodes.Load(addr); ok {
		return node.(valkey.Client), nil
	}
	opt := c.opt
	opt.InitAddress = []string{addr}
	node, err := valkey.NewClient(opt)
	if err != nil {
		return nil, err
	}
	if other, raced := c.nodes.LoadOrStore(addr, node); raced {
		node.Close()
		node = other.(valkey.Client)
	}
	c.first.Do(func() { c.builder = node.B() })
	return node, nil
}

// B returns the builder of commands. It is that of a client of one node, which does not
// hash.
func (c *Client) B() valkey.Builder { return c.builder }

// ask requests the views that are due.
func (c *Client) ask(ctx context.Context, due topology.Refresh) (err error) {
	views := make([]*topology.Cluster, len(due.Addrs))
	for i, addr := range due.Addrs {
		c.Views.Add(1)
		var node valkey.Client
		if node, err = c.node(addr); err != nil {
			continue
		}
		var reply any
		if reply, err = node.Do(ctx, node.B().ClusterSlots().Build()).ToAny(); err == nil {
			views[i], err = topology.ParseSlots(reply, c.origin(addr))
		}
	}
	c.Refresher.Apply(&c.Router, due, views, time.Now())
	return err
}

func (c *Client) origin(addr string) topology.Origin {
	return topology.Origin{Addr: addr, TLS: c.opt.TLSConfig != nil}
}

// DoMulti sends the commands of each node at once, and follows redirects. The results are
// in the order of commands. The first key of a command determines its node. A command
// without keys goes to the node of slot 0, the slot of "". A command that is unknown, or
// whose arguments do not show its keys, is not sent; its error is a [*command.Error].
//
// A redirected command may be executed after the commands that follow it. DoMulti pins all
// commands, in the caller's slice, so that they can be sent again.
func (c *Client) DoMulti(ctx context.Context, commands ...valkey.Completed) []valkey.ValkeyResult {
	results := make([]valkey.ValkeyResult, len(commands))
	var keys []string
	var which []int // command which[k] has the key keys[k]
	var found []command.Key
	for i := range commands {
		commands[i] = commands[i].Pin() // it may be retried
		args, key := commands[i].Commands(), ""
		var err error
		if found, err = command.Keys(found[:0], args); err != nil {
			results[i] = valkey.NewErrorResult(err)
			continue
		}
		if len(found) > 0 {
			key = args[found[0].Index]
		}
		keys, which = append(keys, key), append(which, i)
	}
	groups, unassigned, seen := c.Router.Split(keys)
	var wg sync.WaitGroup
	send := func(node *topology.Node, group []int) {
		some := make([]valkey.Completed, len(group))
		for n, k := range group {
			some[n] = commands[which[k]]
		}
		replies, err := c.send(ctx, node, some...)
		for n, k := range group {
			result := &results[which[k]]
			if err == nil {
				*result = replies[n]
			} else {
				*result = valkey.NewErrorResult(err)
			}
			c.follow(ctx, keys[k], node, seen, result, some[n])
		}
	}
	for _, g := range groups {
		wg.Go(func() { send(g.Owner.Primary, g.Keys) })
	}
	send(nil, unassigned)
	wg.Wait()
	return results
}

// send sends commands to a node, all at once.
func (c *Client) send(ctx context.Context, node *topology.Node, commands ...valkey.Completed) ([]valkey.ValkeyResult, error) {
	if node == nil || node.Addr() == "" {
		return nil, ErrNoNode
	}
	client, err := c.node(node.Addr())
	if err != nil {
		return nil, err
	}
	return client.DoMulti(ctx, commands...), nil
}

// follow retries a command as long as result, the reply of node, asks for it.
func (c *Client) follow(ctx context.Context, key string, node *topology.Node, seen topology.Generation, result *valkey.ValkeyResult, line valkey.Completed) {
	owner := node // or nil, if it was not expected to own the slot
	for try := 0; ; try++ {
		ask, again := c.react(ctx, node, owner, seen, result.Error())
		if !again {
			break
		}
		why := ctx.Err()
		if try == tries-1 {
			why = ErrGaveUp
		}
		if why != nil {
			*result = valkey.NewErrorResult(fmt.Errorf("%w: %w", why, result.Error()))
			break
		}
		if try > 0 {
			time.Sleep(pause)
		}
		lines, probe := []valkey.Completed{line}, false
		if owner, seen = c.Router.ReadKey(key, topology.ReadPrimary); ask != nil {
			lines, node, owner = []valkey.Completed{c.B().Asking().Build(), line}, ask, nil
		} else if node = owner; node != nil && !node.Serves() && try%2 == 1 {
			// Perhaps a replica has taken over. If not, it answers MOVED.
			node, _ = c.Router.ReadKey(key, topology.ReadReplica)
			probe, owner = true, nil
		}
		replies, err := c.send(ctx, node, lines...)
		if err != nil {
			*result = valkey.NewErrorResult(err)
		} else if *result = replies[len(lines)-1]; probe && result.Error() == nil {
			c.Refresher.Note(c.Router.Promote(node), time.Now())
		}
	}
}

// react passes the reply of node to the Router. owner is node if node was expected to own
// the slot. It reports whether to retry the command, and, after ASK, at which node.
func (c *Client) react(ctx context.Context, node, owner *topology.Node, seen topology.Generation, err error) (ask *topology.Node, again bool) {
	now := time.Now()
	if due := c.Refresher.Next(&c.Router, now); len(due.Addrs) > 0 {
		go c.ask(context.WithoutCancel(ctx), due)
	}
	refused, answered := valkey.IsValkeyErr(err)
	if err == nil || answered {
		c.Router.Succeeded(node)
	}
	switch {
	case err == nil || valkey.IsValkeyNil(err):
		return nil, false
	case errors.Is(err, ErrNoNode):
		c.Refresher.Want(now)
	case !answered && (ctx.Err() != nil || errors.Is(err, valkey.ErrClosing)):
		return nil, false // the caller has given up: this says nothing of the node
	case !answered: // the node is not there
		c.Refresher.Note(c.Router.Failed(node), now)
		var op *net.OpError // without a connection, the command was not sent
		if !errors.As(err, &op) || op.Op != "dial" {
			return nil, false
		}
	default:
		rd, _ := topology.ParseRedirect(refused.Error(), c.origin(node.Addr()))
		switch topology.Classify(refused.Error()) {
		case topology.ActionNone, topology.ActionFail, topology.ActionRestart:
			return nil, false
		case topology.ActionMoved:
			c.Refresher.Note(c.Router.Moved(rd, owner, seen), now)
		case topology.ActionAsk:
			return c.Router.Asking(rd), true
		case topology.ActionRetry:
		default:
			c.Refresher.Want(now)
		}
	}
	return nil, true
}
