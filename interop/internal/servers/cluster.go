package servers

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// NodeTimeout is the cluster-node-timeout of all clusters. A failover takes about two to
// three times as long.
const NodeTimeout = 2 * time.Second

// A Config has the settings of nodes. With the zero Config, nodes listen on 127.0.0.1.
type Config struct {
	Host string               // loopback address; "" is 127.0.0.1
	TLS  *TLS                 // if not nil, nodes also have a TLS port
	More func(i int) []string // further settings of node i, as "name", "value"
}

// A Cluster is a group of nodes that were started together. They know each other only after
// Create.
type Cluster struct {
	Server
	Nodes []*Node
	t     testing.TB
}

// A Node is a server process.
type Node struct {
	Host    string
	Port    int
	TLSPort int // 0 without TLS
	ID      string

	t    testing.TB
	tls  *tls.Config
	args []string
	dir  string

	mu     sync.Mutex
	cmd    *exec.Cmd
	gone   chan struct{} // closed when the process has ended
	paused bool
}

// Addr returns the address of the plain port.
func (n *Node) Addr() string { return net.JoinHostPort(n.Host, strconv.Itoa(n.Port)) }

// Start starts n nodes, which run until the end of the test.
func (s Server) Start(t testing.TB, n int, c Config) *Cluster {
	t.Helper()
	if c.Host == "" {
		c.Host = "127.0.0.1"
	}
	// A folder in memory if possible: nodes sync their configuration to disk at every
	// change.
	root, err := os.MkdirTemp(memory(), "hashslot")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	cluster := &Cluster{Server: s, t: t}
	for i := range n {
		cluster.Nodes = append(cluster.Nodes, s.node(t, i, filepath.Join(root, strconv.Itoa(i)), c))
	}
	return cluster
}

func memory() string {
	const shm = "/dev/shm"
	if f, err := os.CreateTemp(shm, "hashslot"); err == nil {
		f.Close()
		os.Remove(f.Name())
		return shm
	}
	return ""
}

func (s Server) node(t testing.TB, i int, dir string, c Config) *Node {
	t.Helper()
	n := &Node{t: t, Host: c.Host, dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const tries = 10 // another process may take a port between its choice and its use
	for try := range tries {
		n.Port = freePorts(t, c.Host)
		n.args = []string{s.program, "--port", strconv.Itoa(n.Port), "--bind", c.Host, "--dir", dir, "--logfile", "log",
			"--save", "", "--appendonly", "no", "--daemonize", "no", "--protected-mode", "no",
			"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
			"--cluster-node-timeout", strconv.Itoa(int(NodeTimeout / time.Millisecond)),
			"--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"}
		if c.TLS != nil {
			n.TLSPort, n.tls = freePorts(t, c.Host), c.TLS.Client
			n.args = append(n.args, "--tls-port", strconv.Itoa(n.TLSPort), "--tls-cert-file", c.TLS.cert,
				"--tls-key-file", c.TLS.key, "--tls-ca-cert-file", c.TLS.cert, "--tls-auth-clients", "no",
				// Without it, version 7.0 does not announce the TLS port to clients.
				"--tls-cluster", "yes")
		}
		if c.More != nil {
			for k, arg := range c.More(i) {
				if k%2 == 0 {
					arg = "--" + arg
				}
				n.args = append(n.args, arg)
			}
		}
		if err := n.Restart(); err == nil {
			break
		} else if try == tries-1 {
			t.Fatalf("node %d: %v", i, err)
		}
	}
	t.Cleanup(n.Kill)
	n.ID = n.String("CLUSTER", "MYID")
	return n
}

var (
	portsMu sync.Mutex
	taken   = map[int]bool{}
)

// freePorts returns a port p such that p and p+10000, the port of the cluster bus, are
// free. Both are below the range of ports for outgoing connections.
func freePorts(t testing.TB, host string) int {
	t.Helper()
	portsMu.Lock()
	defer portsMu.Unlock()
	free := func(port int) bool {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			l.Close()
		}
		return err == nil
	}
	for range 1000 {
		port := 10001 + rand.IntN(12000)
		if !taken[port] && !taken[port+10000] && free(port) && free(port+10000) {
			taken[port], taken[port+10000] = true, true
			return port
		}
	}
	t.Fatal("no free ports")
	return 0
}

// Restart starts the node, which must not be running, and waits until it answers.
func (n *Node) Restart() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	cmd := exec.Command(n.args[0], n.args[1:]...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := start(cmd); err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		cmd.Wait()
		close(gone)
	}()
	n.cmd, n.gone = cmd, gone
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if _, err := n.Do("PING"); err == nil {
			return nil
		}
		select {
		case <-gone:
			log, _ := os.ReadFile(filepath.Join(n.dir, "log"))
			return fmt.Errorf("%s has ended: %s%s", strings.Join(n.args, " "), out.String(), log)
		default:
		}
	}
	cmd.Process.Kill()
	<-gone
	return fmt.Errorf("%s does not answer", strings.Join(n.args, " "))
}

// Kill ends the process at once, like a crash, and waits until it has ended.
func (n *Node) Kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		n.cmd.Process.Kill()
		<-n.gone
		n.cmd, n.paused = nil, false
	}
}

// Pause suspends the process until Resume: its connections stay open, and it does not
// answer.
func (n *Node) Pause() { n.signal(syscall.SIGSTOP, true) }

// Resume continues a paused process, which still has the view from before.
func (n *Node) Resume() { n.signal(syscall.SIGCONT, false) }

func (n *Node) signal(s syscall.Signal, paused bool) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatal(err)
	}
	n.paused = paused
}

// Running reports whether the node was started and is neither killed nor paused.
func (n *Node) Running() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cmd != nil && !n.paused
}

// Anew makes the node, which is a replica, forget its cluster and its id, and makes the
// cluster forget the node. Then they meet again, and the node becomes a replica of the
// primary with that id.
func (c *Cluster) Anew(n *Node, primary string) {
	c.t.Helper()
	old := n.ID
	n.String("CLUSTER", "RESET", "HARD")
	n.ID = n.String("CLUSTER", "MYID")
	for _, m := range c.Nodes {
		if m != n {
			m.String("CLUSTER", "FORGET", old)
		}
	}
	c.Meet()
	n.String("CLUSTER", "REPLICATE", primary)
	c.Settle()
}

// Dial connects to the plain port.
func (n *Node) Dial() (redis.Conn, error) { return Dial(n.Addr()) }

// DialTLS connects to the TLS port.
func (n *Node) DialTLS() (redis.Conn, error) {
	return redis.Dial("tcp", net.JoinHostPort(n.Host, strconv.Itoa(n.TLSPort)),
		redis.DialUseTLS(true), redis.DialTLSConfig(n.tls), redis.DialConnectTimeout(dialTimeout), redis.DialReadTimeout(readTimeout))
}

const (
	dialTimeout = 2 * time.Second
	readTimeout = 30 * time.Second
)

// Dial connects to an address, with timeouts.
func Dial(addr string) (redis.Conn, error) {
	return redis.Dial("tcp", addr, redis.DialConnectTimeout(dialTimeout), redis.DialReadTimeout(readTimeout))
}

// Do sends one command over a connection of its own.
func (n *Node) Do(command ...string) (any, error) {
	c, err := n.Dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Do(command[0], Args(command[1:])...)
}

// String sends one command whose reply is a text. Any other reply fails the test.
func (n *Node) String(command ...string) string {
	n.t.Helper()
	s, err := redis.String(n.Do(command...))
	if err != nil {
		n.t.Fatalf("%s: %s: %v", n.Addr(), strings.Join(command, " "), err)
	}
	return s
}

// Args converts arguments for a redigo call.
func Args[S any](args []S) []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = a
	}
	return out
}

// View returns the node's view of its cluster.
func (n *Node) View() (*topology.Cluster, error) {
	text, err := redis.String(n.Do("CLUSTER", "NODES"))
	if err != nil {
		return nil, err
	}
	return topology.ParseNodes(text, topology.Origin{Addr: n.Addr()})
}

// Info returns the value of a field of CLUSTER INFO, or "" if the node does not answer.
func (n *Node) Info(field string) string {
	text, _ := redis.String(n.Do("CLUSTER", "INFO"))
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok {
			return v
		}
	}
	return ""
}

// Hosts returns the nodes for plan.Create.
func (c *Cluster) Hosts() []plan.Host {
	hosts := make([]plan.Host, len(c.Nodes))
	for i, n := range c.Nodes {
		hosts[i].Addr = n.Addr()
	}
	return hosts
}

// At returns the node with the address.
func (c *Cluster) At(addr string) *Node {
	for _, n := range c.Nodes {
		if n.Addr() == addr {
			return n
		}
	}
	c.t.Helper()
	c.t.Fatalf("no node has the address %s", addr)
	return nil
}

// Create makes the cluster that the layout describes and waits until the nodes agree.
func (c *Cluster) Create(l plan.Layout) {
	c.t.Helper()
	for i, n := range c.Nodes {
		n.String("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
	}
	for _, s := range l.Shards {
		command := []string{"CLUSTER", "ADDSLOTSRANGE"}
		for r := range s.Slots.Ranges() {
			if c.AtLeast(7, 0) {
				command = append(command, strconv.Itoa(int(r.First)), strconv.Itoa(int(r.Last)))
				continue
			}
			command[1] = "ADDSLOTS"
			for slot := r.First; slot <= r.Last; slot++ {
				command = append(command, strconv.Itoa(int(slot)))
			}
		}
		if !s.Slots.IsEmpty() {
			c.At(s.Primary.Addr).String(command...)
		}
	}
	c.Meet()
	for _, s := range l.Shards {
		for _, r := range s.Replicas {
			c.At(r.Addr).String("CLUSTER", "REPLICATE", c.At(s.Primary.Addr).ID)
		}
	}
	c.Settle()
}

// Reset makes all nodes forget each other, their slots and their ids. None may have
// keys. Create can follow.
func (c *Cluster) Reset() {
	c.t.Helper()
	for _, n := range c.Nodes {
		n.String("CLUSTER", "RESET", "HARD")
		n.ID = n.String("CLUSTER", "MYID")
	}
}

// Meet joins all nodes and waits until each knows all others.
func (c *Cluster) Meet() {
	c.t.Helper()
	for i, n := range c.Nodes {
		for _, m := range c.Nodes[:i] {
			port := cmp.Or(m.TLSPort, m.Port) // the port of the bus is this one plus 10000
			n.String("CLUSTER", "MEET", m.Host, strconv.Itoa(port))
		}
	}
	c.Wait("all nodes know all", func() bool {
		for _, n := range c.Nodes {
			v, err := n.View()
			if err != nil || len(v.Nodes()) != len(c.Nodes) {
				return false
			}
			for _, m := range v.Nodes() {
				if m.Role == topology.RoleUnknown {
					return false
				}
			}
		}
		return true
	})
}

// Settle waits until all running nodes have the state ok and agree on owners, config
// epochs and replicas, and the replicas are in sync.
func (c *Cluster) Settle() {
	c.t.Helper()
	c.Wait("the nodes agree and are ok", c.Settled)
}

// Settled reports whether the condition of Settle holds.
func (c *Cluster) Settled() bool {
	var first *topology.Cluster
	for _, n := range c.Nodes {
		if !n.Running() {
			continue
		}
		v, err := n.View()
		if err != nil || n.Info("cluster_state") != "ok" {
			return false
		}
		if first == nil {
			first = v
		}
		if !v.Equal(first) || !maps.Equal(epochs(v), epochs(first)) {
			return false
		}
		if v.Myself().Role == topology.RoleReplica {
			info, err := redis.String(n.Do("INFO", "replication"))
			if err != nil || !strings.Contains(info, "master_link_status:up") {
				return false
			}
		}
	}
	return true
}

// epochs returns the config epochs of the primaries, which differ. A node that gets slots
// before it knows the highest epoch takes one that another already has, and its claim can
// lose.
func epochs(c *topology.Cluster) map[uint64]string {
	all := map[uint64]string{}
	for _, n := range c.Nodes() {
		if n.Role == topology.RolePrimary {
			all[n.ConfigEpoch] += n.ID
		}
	}
	return all
}

// Wait waits until ok returns true, at most 30 seconds.
func (c *Cluster) Wait(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			for _, n := range c.Nodes {
				text, err := redis.String(n.Do("CLUSTER", "NODES"))
				c.t.Logf("%s: cluster_state:%s %v\n%s", n.Addr(), n.Info("cluster_state"), err, text)
			}
			c.t.Fatalf("not within 30 s: %s", what)
		}
	}
}
