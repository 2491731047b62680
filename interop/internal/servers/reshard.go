package servers

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot/interop/executor"
	"github.com/hashslot/hashslot/slotmap/plan"
)

// Reshard moves slots and their keys from one node to another.
func (c *Cluster) Reshard(from, to *Node, slots int) {
	c.t.Helper()
	view, err := c.Nodes[0].View()
	if err != nil {
		c.t.Fatal(err)
	}
	p, err := plan.Reshard(view, []string{from.ID}, to.ID, slots)
	if err != nil {
		c.t.Fatal(err)
	}
	steps, err := p.SetSlots(plan.SetSlotOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	e := executor.Executor{Dial: Dial}
	defer e.Close()
	if err := e.Run(c.t.Context(), slices.Collect(steps), 0); err != nil {
		c.t.Fatal(err)
	}
	c.Settle()
}

// Errors returns the number of errors that begin with the word, from the counters of all
// running nodes. If the servers have no counters, it skips the rest of the test.
func (c *Cluster) Errors(word string) (n int) {
	c.t.Helper()
	if !c.AtLeast(6, 2) {
		c.t.Skip("servers count their errors since version 6.2")
	}
	for _, node := range c.Nodes {
		if !node.Running() {
			continue
		}
		for line := range strings.Lines(node.String("INFO", "errorstats")) {
			if count, ok := strings.CutPrefix(strings.TrimSpace(line), "errorstat_"+word+":count="); ok {
				more, err := strconv.Atoi(count)
				if err != nil {
					c.t.Fatal(err)
				}
				n += more
			}
		}
	}
	return n
}

// DBSize returns the total number of keys on all primaries.
func (c *Cluster) DBSize() (n int) {
	c.t.Helper()
	view, err := c.Nodes[0].View()
	if err != nil {
		c.t.Fatal(err)
	}
	for shard := range view.Table().Owners() {
		size, err := redis.Int(c.At(shard.Primary.Addr()).Do("DBSIZE"))
		if err != nil {
			c.t.Fatal(err)
		}
		n += size
	}
	return n
}

// Addrs returns the addresses of all nodes.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		addrs[i] = n.Addr()
	}
	return addrs
}

// Three starts three primaries and more nodes without slots.
func (s Server) Three(t testing.TB, empty int) *Cluster {
	t.Helper()
	c := s.Start(t, 3+empty, Config{})
	l, err := plan.Create(c.Hosts()[:3], 0)
	if err != nil {
		t.Fatal(err)
	}
	c.Create(l)
	return c
}
