// Package valkeygo sends pipelines of valkey-go by a [topology.Router]: one
// client for each node, whose commands are built without hashing, and a hash of
// all keys at once. It fits rueidis as well, whose interface is the same. It is an
// example, to be copied and changed.
package valkeygo

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/valkey-io/valkey-go"
)

const (
	tries = 60
	pause = 100 * time.Millisecond
)

// ErrNoNode is the error of a command for whose slot no node is known.
var ErrNoNode = errors.New("valkeygo: no node for the slot")

// A Client sends commands to the nodes that own their keys. It must not be copied.
type Client struct {
	Router topology.Router
	opt    valkey.ClientOption
	nodes  sync.Map // address -> valkey.Client
}

// New returns a client for the cluster that has some of the nodes
// opt.InitAddress.
func New(ctx context.Context, opt valkey.ClientOption) (*Client, error) {
	c := &Client{opt: opt}
	c.opt.ForceSingleClient = true
	return c, c.Refresh(ctx)
}

// Close closes all connections.
func (c *Client) Close() {
	c.nodes.Range(func(_, node any) bool { node.(valkey.Client).Close(); return true })
}

// node is the client for an address. It connects the first time.
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
	return node, nil
}

// Refresh asks nodes for the map until one gives one that helps.
func (c *Client) Refresh(ctx context.Context) error {
	table, seen := c.Router.Table()
	addrs := map[string]bool{}
	for shard := range table.Owners() {
		addrs[shard.Primary.Addr()] = true
	}
	for _, addr := range c.opt.InitAddress {
		addrs[addr] = true
	}
	delete(addrs, "")
	err := ErrNoNode
	for addr := range addrs { // in random order
		var view *topology.Cluster
		if view, err = c.view(ctx, addr); err == nil && !c.Router.Apply(view, seen).Refresh {
			return nil
		}
	}
	c.Router.RefreshFailed()
	return err
}

func (c *Client) view(ctx context.Context, addr string) (*topology.Cluster, error) {
	node, err := c.node(addr)
	if err != nil {
		return nil, err
	}
	reply, err := node.Do(ctx, node.B().ClusterSlots().Build()).ToAny()
	if err != nil {
		return nil, err
	}
	return topology.ParseSlots(reply, c.origin(addr))
}

func (c *Client) origin(addr string) topology.Origin {
	return topology.Origin{Addr: addr, TLS: c.opt.TLSConfig != nil}
}

// DoMulti sends commands, those of each node at once, and follows redirects.
// build makes command i, whose key is keys[i], with the builder of its node; it
// is called again when the command has to be sent again.
func (c *Client) DoMulti(ctx context.Context, keys []string, build func(b valkey.Builder, i int) valkey.Completed) []valkey.ValkeyResult {
	results := make([]valkey.ValkeyResult, len(keys))
	errs := make([]error, len(keys))
	groups, unassigned, seen := c.Router.Split(keys)
	var wg sync.WaitGroup
	for _, g := range groups {
		wg.Go(func() {
			owner := g.Owner.Primary
			node, err := c.node(owner.Addr())
			if err == nil {
				commands := make([]valkey.Completed, len(g.Keys))
				for k, i := range g.Keys {
					commands[k] = build(node.B(), i)
				}
				for k, r := range node.DoMulti(ctx, commands...) {
					results[g.Keys[k]], errs[g.Keys[k]] = r, r.Error()
				}
			}
			for _, i := range g.Keys {
				if err != nil {
					errs[i] = err
				}
				c.follow(ctx, keys[i], owner, seen, errs[i], &results[i], func(b valkey.Builder) valkey.Completed { return build(b, i) })
			}
		})
	}
	for _, i := range unassigned {
		c.follow(ctx, keys[i], nil, seen, ErrNoNode, &results[i], func(b valkey.Builder) valkey.Completed { return build(b, i) })
	}
	wg.Wait()
	return results
}

// follow sends a command again as long as err, the answer of node, asks for that.
func (c *Client) follow(ctx context.Context, key string, node *topology.Node, seen topology.Generation, err error,
	result *valkey.ValkeyResult, build func(valkey.Builder) valkey.Completed) {
	for range tries {
		ask, again := c.react(ctx, node, seen, err)
		if !again || ctx.Err() != nil {
			break
		}
		if node = ask; ask == nil {
			node, seen = c.Router.ReadKey(key, topology.ReadPrimary)
		}
		if err = ErrNoNode; node == nil || !node.Routable() {
			continue
		}
		var client valkey.Client
		if client, err = c.node(node.Addr()); err != nil {
			continue
		}
		commands := []valkey.Completed{build(client.B())}
		if ask != nil {
			commands = []valkey.Completed{client.B().Asking().Build(), commands[0]}
		}
		all := client.DoMulti(ctx, commands...)
		*result = all[len(all)-1]
		err = result.Error()
	}
	if err != nil && result.Error() == nil {
		*result = valkey.NewErrorResult(err) // none was got
	}
}

func (c *Client) react(ctx context.Context, node *topology.Node, seen topology.Generation, err error) (ask *topology.Node, again bool) {
	if err == nil || valkey.IsValkeyNil(err) {
		return nil, false
	}
	refused, ok := valkey.IsValkeyErr(err)
	if !ok { // the node is not there
		if node == nil || c.Router.Failed(node).Refresh {
			c.Refresh(ctx)
		}
		time.Sleep(pause)
		var op *net.OpError // if not even a connection came about, the command was not sent
		return nil, errors.Is(err, ErrNoNode) || errors.As(err, &op) && op.Op == "dial"
	}
	rd, _ := topology.ParseRedirect(refused.Error(), c.origin(node.Addr()))
	switch topology.Classify(refused.Error()) {
	case topology.ActionNone, topology.ActionFail:
		return nil, false
	case topology.ActionMoved:
		if c.Router.Moved(rd, nil, seen).Refresh {
			c.Refresh(ctx)
		}
	case topology.ActionAsk:
		return c.Router.Asking(rd), true
	case topology.ActionRetry:
		time.Sleep(pause / 10)
	default:
		time.Sleep(pause)
		c.Refresh(ctx)
	}
	return nil, true
}
