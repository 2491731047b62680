// Package redigocluster is a cluster client for redigo, which has none: a
// [topology.Router] and a pool of connections for each node. It is an example,
// to be copied and changed.
package redigocluster

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot/slotmap/topology"
)

const (
	tries = 60
	pause = 100 * time.Millisecond // between tries, where the cluster has to do something first
)

// ErrNotSent is in the error of a command that no node has got.
var ErrNotSent = errors.New("redigocluster: not sent")

// A Client sends commands to the nodes that own their keys. Its methods are safe
// for concurrent use. It must not be copied.
type Client struct {
	Seeds  []string                              // addresses of some nodes
	Dial   func(addr string) (redis.Conn, error) // makes a connection
	Router topology.Router

	Errors [topology.ActionFail + 1]atomic.Int64 // how many errors of servers asked for which action
	pools  sync.Map                              // address -> *redis.Pool
}

// A Command is a command whose first argument is a key.
type Command struct {
	Name, Key string
	Args      []any
}

func (c Command) args() []any { return append([]any{c.Key}, c.Args...) }

// A Reply is what came of a command. Err is a redis.Error if a server has refused
// the command. If it is neither that nor ErrNotSent, the connection broke, and
// the command may have been done or not.
type Reply struct {
	Value any
	Err   error
}

func (c *Client) conn(addr string) (redis.Conn, error) {
	pool, ok := c.pools.Load(addr)
	if !ok {
		pool, _ = c.pools.LoadOrStore(addr, &redis.Pool{MaxIdle: 16, Dial: func() (redis.Conn, error) { return c.Dial(addr) }})
	}
	conn := pool.(*redis.Pool).Get()
	if conn.Err() != nil {
		return nil, errors.Join(ErrNotSent, conn.Err())
	}
	return conn, nil
}

// Refresh asks nodes for the map, one after the other, until one of them gives
// one that helps. It must be called before the first command.
func (c *Client) Refresh() error {
	table, seen := c.Router.Table()
	addrs := map[string]bool{}
	for shard := range table.Owners() {
		addrs[shard.Primary.Addr()] = true
	}
	for _, addr := range c.Seeds {
		addrs[addr] = true
	}
	delete(addrs, "")
	err := errors.New("redigocluster: no node to ask")
	for addr := range addrs { // in random order
		var view *topology.Cluster
		if view, err = c.view(addr); err == nil && !c.Router.Apply(view, topology.AskedAt(seen)).Refresh {
			return nil
		}
	}
	c.Router.RefreshFailed()
	return err
}

func (c *Client) view(addr string) (*topology.Cluster, error) {
	conn, err := c.conn(addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	text, err := redis.String(conn.Do("CLUSTER", "NODES"))
	if err != nil {
		return nil, err
	}
	view, err := topology.ParseNodes(text)
	if err != nil {
		return nil, err
	}
	return view.WithOrigin(origin(addr)), nil
}

func origin(addr string) topology.Origin {
	host, _, _ := net.SplitHostPort(addr)
	return topology.Origin{Host: host}
}

// Do sends a command and follows redirects.
func (c *Client) Do(command Command) Reply {
	node, seen := c.Router.ReadKey(command.Key, topology.ReadPrimary)
	return c.follow(command, node, seen, c.send(command, node, false))
}

// Pipeline sends commands, those of each node at once, and follows redirects.
// Replies are in the order of commands, but commands that were redirected are
// done later than those behind them.
func (c *Client) Pipeline(commands []Command) []Reply {
	replies, keys := make([]Reply, len(commands)), make([]string, len(commands))
	for i := range commands {
		keys[i] = commands[i].Key
	}
	groups, unassigned, seen := c.Router.Split(keys)
	var wg sync.WaitGroup
	for _, g := range groups {
		wg.Go(func() {
			node := g.Owner.Primary
			conn, err := c.conn(node.Addr())
			if err == nil {
				defer conn.Close()
				for _, i := range g.Keys {
					conn.Send(commands[i].Name, commands[i].args()...)
				}
				conn.Flush() // if it fails, Receive tells
			}
			for _, i := range g.Keys {
				if replies[i].Err = err; err == nil {
					replies[i].Value, replies[i].Err = conn.Receive()
				}
			}
			for _, i := range g.Keys {
				replies[i] = c.follow(commands[i], node, seen, replies[i])
			}
		})
	}
	for _, i := range unassigned {
		replies[i] = c.Do(commands[i])
	}
	wg.Wait()
	return replies
}

// send sends a command to a node, which may be nil.
func (c *Client) send(command Command, node *topology.Node, asking bool) (r Reply) {
	if node == nil || !node.Routable() {
		return Reply{Err: ErrNotSent}
	}
	conn, err := c.conn(node.Addr())
	if err != nil {
		return Reply{Err: err}
	}
	defer conn.Close()
	if asking {
		conn.Send("ASKING")
	}
	r.Value, r.Err = conn.Do(command.Name, command.args()...)
	return r
}

// follow sends a command again as long as its reply asks for that: r of node, to
// which it was sent by the map of the generation seen.
func (c *Client) follow(command Command, node *topology.Node, seen topology.Generation, r Reply) Reply {
	for range tries {
		if r.Err == nil {
			break
		}
		ask, again := c.react(node, seen, r.Err)
		if !again {
			break
		}
		if node = ask; ask == nil {
			node, seen = c.Router.ReadKey(command.Key, topology.ReadPrimary)
		}
		r = c.send(command, node, ask != nil)
	}
	return r
}

// react does what the error of a node asks for, and says whether to send the
// command again, and to which node if it is not the owner of the key.
func (c *Client) react(node *topology.Node, seen topology.Generation, err error) (ask *topology.Node, again bool) {
	refused, ok := err.(redis.Error)
	if !ok {
		if node == nil || c.Router.Failed(node).Refresh {
			c.Refresh()
		}
		time.Sleep(pause)
		return nil, errors.Is(err, ErrNotSent)
	}
	action := topology.Classify(string(refused))
	c.Errors[action].Add(1)
	rd, _ := topology.ParseRedirect(string(refused))
	switch action {
	case topology.ActionNone, topology.ActionFail:
		return nil, false
	case topology.ActionMoved:
		if c.Router.Moved(rd.WithOrigin(origin(node.Addr())), seen).Refresh {
			c.Refresh()
		}
	case topology.ActionAsk:
		return c.Router.Asking(rd.WithOrigin(origin(node.Addr()))), true
	case topology.ActionRetry:
		time.Sleep(pause / 10)
	default:
		time.Sleep(pause)
		c.Refresh()
	}
	return nil, true
}
