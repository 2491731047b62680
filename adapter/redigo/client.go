// Package redigo is a cluster client for redigo, which has none: a
// [topology.Router], a [topology.Refresher], and a pool of connections for each
// node.
package redigo

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot/slotmap/command"
	"github.com/hashslot/hashslot/slotmap/topology"
)

const tries = 100 // tries of a command, with pauses that grow to 0.1 s: a failover takes seconds

// ErrNotSent is wrapped by the error of a command that reached no node.
var ErrNotSent = errors.New("redigo: not sent")

// ErrGaveUp is wrapped by the error of a command that was refused, redirected or not sent
// at every try. The command was not executed.
var ErrGaveUp = errors.New("redigo: gave up after 100 tries")

// A Client sends commands to the nodes that own their keys. Its methods are safe
// for concurrent use. It must not be copied.
type Client struct {
	Dial      func(addr string) (redis.Conn, error) // makes a connection; must be set
	Router    topology.Router
	Refresher topology.Refresher                       // its Seeds are the addresses of some nodes
	Views     atomic.Int64                             // the number of requests for a view
	Errors    [topology.ActionRestart + 1]atomic.Int64 // the number of server errors by action
	pools     sync.Map                                 // address -> *redis.Pool
}

// A Command is the name of a command, a string, and its arguments, as in redigo. A command
// without keys goes to the node of slot 0, the slot of "".
type Command []any

// key returns the first key of the command, which determines its node.
func (c Command) key() (string, error) {
	args := make([]string, len(c))
	for i, arg := range c {
		if a, ok := arg.(redis.Argument); ok {
			arg = a.RedisArg()
		}
		args[i] = sent(arg)
	}
	keys, err := command.Keys(nil, args)
	if err != nil || len(keys) == 0 {
		return "", err
	}
	return args[keys[0].Index], nil
}

// sent returns what redigo sends for an argument.
func sent(arg any) string {
	switch arg := arg.(type) {
	case string:
		return arg
	case []byte:
		return string(arg)
	case float64:
		return strconv.FormatFloat(arg, 'g', -1, 64)
	case bool:
		if arg {
			return "1"
		}
		return "0"
	case nil:
		return ""
	}
	return fmt.Sprint(arg)
}

// A Reply is the result of a command. Err is a redis.Error if a server has refused the
// command. If it is neither that nor ErrNotSent nor ErrGaveUp, the connection broke, and
// the command may or may not have been executed.
type Reply struct {
	Value any
	Err   error
}

// Do sends a command. A command that is unknown, or whose arguments do not show its keys,
// is not sent; Err is then a [*command.Error].
func (c *Client) Do(line Command) Reply {
	key, err := line.key()
	if err != nil {
		return Reply{Err: err}
	}
	return c.do(key, line, 0)
}

func (c *Client) do(key string, line Command, try int) Reply {
	node, seen := c.Router.ReadKey(key, topology.ReadPrimary)
	if node == nil {
		node = new(topology.Node) // without an address
	}
	if !node.Serves() && try%2 == 1 {
		// Perhaps a replica has taken over. If not, it answers MOVED.
		if heir, _ := c.Router.ReadKey(key, topology.ReadReplica); heir != nil && heir.Role == topology.RoleReplica {
			reply := c.send(heir.Addr(), line)[0]
			if reply.Err == nil {
				c.Refresher.Note(c.Router.Promote(heir), time.Now())
			}
			return c.follow(key, line, heir, nil, seen, try, reply)
		}
	}
	return c.follow(key, line, node, node, seen, try, c.send(node.Addr(), line)[0])
}

// Pipeline sends the commands of each node at once. Replies are in the order of commands.
// A redirected command may be executed after the commands that follow it.
func (c *Client) Pipeline(commands []Command) []Reply {
	replies := make([]Reply, len(commands))
	var keys []string
	var which []int // command which[k] has the key keys[k]
	for i, line := range commands {
		key, err := line.key()
		if replies[i].Err = err; err == nil {
			keys, which = append(keys, key), append(which, i)
		}
	}
	groups, unassigned, seen := c.Router.Split(keys)
	var wg sync.WaitGroup
	for _, g := range groups {
		wg.Go(func() {
			lines := make([]Command, len(g.Keys))
			for n, k := range g.Keys {
				lines[n] = commands[which[k]]
			}
			node := g.Owner.Primary
			for n, reply := range c.send(node.Addr(), lines...) {
				k := g.Keys[n]
				replies[which[k]] = c.follow(keys[k], lines[n], node, node, seen, 0, reply)
			}
		})
	}
	for _, k := range unassigned {
		replies[which[k]] = c.do(keys[k], commands[which[k]], 0)
	}
	wg.Wait()
	return replies
}

// send sends commands to one node, all at once, over one connection.
func (c *Client) send(addr string, lines ...Command) []Reply {
	pool, ok := c.pools.Load(addr)
	if !ok {
		pool, _ = c.pools.LoadOrStore(addr, &redis.Pool{MaxIdle: 16, Dial: func() (redis.Conn, error) { return c.Dial(addr) }})
	}
	conn := pool.(*redis.Pool).Get()
	defer conn.Close()
	unconnected := conn.Err()
	for _, line := range lines {
		name, _ := line[0].(string)
		conn.Send(name, line[1:]...)
	}
	conn.Flush() // Receive returns the error if this fails
	replies := make([]Reply, len(lines))
	for i := range replies {
		if replies[i].Value, replies[i].Err = conn.Receive(); unconnected != nil {
			replies[i].Err = errors.Join(ErrNotSent, unconnected)
		}
	}
	return replies
}

// Close closes all connections that are not in use; those in use are closed after it. The
// client can still be used, and then connects again.
func (c *Client) Close() {
	c.closeIf(func(string) bool { return true })
}

// closeIf closes the pools of some addresses.
func (c *Client) closeIf(over func(addr string) bool) {
	c.pools.Range(func(addr, pool any) bool {
		if over(addr.(string)) && c.pools.CompareAndDelete(addr, pool) {
			pool.(*redis.Pool).Close()
		}
		return true
	})
}

// follow returns the reply of node to a command that was sent by the map of the generation
// seen. If the reply is an error that asks for it, follow retries the command. owner is
// node if node was expected to own the slot.
func (c *Client) follow(key string, line Command, node, owner *topology.Node, seen topology.Generation, try int, reply Reply) Reply {
	now := time.Now()
	if due := c.Refresher.Next(&c.Router, now); len(due.Addrs) > 0 {
		go c.ask(due)
	}
	refused, answered := reply.Err.(redis.Error)
	action := topology.Classify(string(refused))
	if answered {
		c.Errors[action].Add(1)
	}
	if answered || reply.Err == nil {
		c.Router.Succeeded(node)
	}
	redirect, _ := topology.ParseRedirect(string(refused), topology.Origin{Addr: node.Addr()})
	switch {
	case reply.Err == nil || answered && (action == topology.ActionNone || action == topology.ActionFail || action == topology.ActionRestart):
		return reply
	case !answered && node.Addr() != "":
		c.Refresher.Note(c.Router.Failed(node), now)
		if !errors.Is(reply.Err, ErrNotSent) {
			return reply
		}
	case action == topology.ActionMoved:
		c.Refresher.Note(c.Router.Moved(redirect, owner, seen), now)
	case action == topology.ActionAsk && redirect.Addr() != "" && try < tries-1:
		node = c.Router.Asking(redirect)
		return c.follow(key, line, node, nil, seen, try+1, c.send(node.Addr(), Command{"ASKING"}, line)[1])
	case action != topology.ActionRetry:
		c.Refresher.Want(now)
	}
	switch {
	case try == tries-1:
		return Reply{Err: fmt.Errorf("%w: %w", ErrGaveUp, reply.Err)}
	case try > 0:
		time.Sleep(time.Millisecond << min(try, 7))
	}
	return c.do(key, line, try+1)
}

// Refresh requests views as soon as the Refresher allows it. Call it before the first
// command. It returns the error of the last node that was asked, and does not return while
// there is no node to ask: set Refresher.Seeds before.
func (c *Client) Refresh() error {
	for ; ; time.Sleep(10 * time.Millisecond) {
		now := time.Now()
		c.Refresher.Want(now)
		if due := c.Refresher.Next(&c.Router, now); len(due.Addrs) > 0 {
			return c.ask(due)
		}
	}
}

func (c *Client) ask(due topology.Refresh) (err error) {
	views := make([]*topology.Cluster, len(due.Addrs))
	for i, addr := range due.Addrs {
		c.Views.Add(1)
		reply := c.send(addr, Command{"CLUSTER", "NODES"})[0]
		var text string
		if text, err = redis.String(reply.Value, reply.Err); err == nil {
			views[i], err = topology.ParseNodes(text, topology.Origin{Addr: addr})
		}
	}
	if res := c.Refresher.Apply(&c.Router, due, views, time.Now()); res.Change != nil {
		c.closeIf(func(addr string) bool {
			return c.Router.NodeByAddr(addr) == nil && !slices.Contains(c.Refresher.Seeds, addr)
		})
	}
	return err
}
