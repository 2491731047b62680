package interop_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/adapter/redigo"
	"github.com/hashslot/hashslot/interop/executor"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Slots are broken in all the ways of the tools' own tests, all at once. The tool reports
// them, Fix asks for the keys and repairs the slots, the tool finds no more faults, and
// every key is there.
func TestFix(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c := s.Three(t, 1)
		a, b, d, e := c.Nodes[0], c.Nodes[1], c.Nodes[2], c.Nodes[3]
		byName := map[byte]*servers.Node{'a': a, 'b': b, 'd': d, 'e': e}
		// Node a owns the slots. The keys come first, at any node.
		const importing, migrating = "b SETSLOT %d IMPORTING a", "a SETSLOT %d MIGRATING b"
		want := map[hashslot.Slot]string{} // the owner
		var keys []string
		type fault struct {
			owner, keys string
			commands    []string
		}
		faults := []fault{
			{"b", "aaa", []string{importing, migrating}},
			{"b", "", []string{importing, migrating}},
			{"a", "aab", []string{importing, migrating}},
			{"b", "abb", []string{importing, migrating}},
			{"a", "aa", []string{importing}},
			{"a", "aab", []string{importing}},
			{"a", "aa", []string{migrating}},
			{"a", "aad", []string{migrating}},
			{"b", "aa", []string{importing, migrating, "d SETSLOT %d IMPORTING a"}},
			{"a", "aa", []string{migrating, "d SETSLOT %d IMPORTING a", "e SETSLOT %d IMPORTING a"}},
			{"a", "aabd", []string{importing, migrating, "d SETSLOT %d IMPORTING a"}},
			{"", "", []string{"a DELSLOTS %d"}}, // the new owner is a primary with few slots
			{"a", "aa", []string{"a DELSLOTS %d"}},
			{"d", "dd", []string{"a DELSLOTS %d"}},
			{"d", "abdd", []string{"a DELSLOTS %d"}},
			{"b", "bb", []string{importing, "a DELSLOTS %d"}},
			{"", "", []string{"b DELSLOTS %d", "b ADDSLOTS %d"}}, // the owner is a or b, whichever is quicker
		}
		if importsSlots(s) {
			// These servers do not count keys of slots that they neither own nor import, so no
			// tool sees such keys.
			faults = slices.DeleteFunc(faults, func(f fault) bool {
				commands := strings.Join(f.commands, " ")
				return !strings.Contains(commands, "IMPORTING") && (strings.Trim(f.keys, "a") != "" || strings.Contains(commands, "DELSLOTS") && f.keys != "")
			})
		}
		for i, broken := range faults {
			slot := hashslot.Slot(10 + i)
			want[slot] = broken.owner
			for k, at := range []byte(broken.keys) {
				key := fmt.Sprintf("{%s}%d", slot.Tag(), k)
				keys = append(keys, key)
				put(t, byName[at], a, slot, key)
			}
		}
		for i, broken := range faults {
			for k := 0; k < len(broken.commands); k++ {
				command := broken.commands[k]
				words := strings.Fields(fmt.Sprintf(command, 10+i))
				if other := words[len(words)-1]; byName[other[0]] != nil {
					words[len(words)-1] = byName[other[0]].ID
				}
				_, err := byName[command[0]].Do(append([]string{"CLUSTER"}, words[1:]...)...)
				if err != nil && strings.HasSuffix(err.Error(), "is already busy") {
					k = -1 // after DELSLOTS, the node has heard of the owner again
					continue
				}
				require.NoError(t, err, command)
			}
		}
		out, _ := c.CLI("--cluster", "check", a.Addr())
		require.Contains(t, out, "slots are open")

		o := plan.FixOptions{SetSlots: plan.SetSlotOptions{AddSlots: !s.AtLeast(7, 0)}}
		r := planFix(t, c, o)
		x := executor.Executor{Dial: servers.Dial}
		defer x.Close()
		require.NoError(t, x.Run(t.Context(), r.Steps, 0), r.Summary())
		c.Settle()
		out, err := c.CLI("--cluster", "check", a.Addr())
		require.NoError(t, err, out)
		assert.NotContains(t, out, "WARNING", out)
		view, err := a.View()
		require.NoError(t, err)
		owners := slotOwners(view)
		for slot, owner := range want {
			if owner != "" {
				assert.Equal(t, byName[owner[0]].ID, owners[slot], "slot %d", slot)
			}
		}
		cl := client(t, c)
		for _, key := range keys {
			reply := cl.Do(redigo.Command{"GET", key})
			got, err := redis.String(reply.Value, reply.Err)
			require.NoError(t, err, key)
			assert.Equal(t, key, got)
		}
		assert.Empty(t, planFix(t, c, o).Steps)
		t.Logf("%d steps for %d kinds of repairs", len(r.Steps), len(r.Slots))
	})
}

// put writes a key at a node that may not own its slot.
func put(t *testing.T, n, owner *servers.Node, slot hashslot.Slot, key string) {
	t.Helper()
	if n != owner {
		n.String("CLUSTER", "SETSLOT", strconv.Itoa(int(slot)), "IMPORTING", owner.ID)
		defer n.String("CLUSTER", "SETSLOT", strconv.Itoa(int(slot)), "STABLE")
	}
	conn, err := n.Dial()
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Do("ASKING")
	require.NoError(t, err)
	_, err = conn.Do("SET", key, key)
	require.NoError(t, err)
}

// planFix plans with the views of the nodes, and counts the keys that Fix asks for.
func planFix(t *testing.T, c *servers.Cluster, o plan.FixOptions) plan.Repair {
	t.Helper()
	var views []*topology.Cluster
	for _, n := range c.Nodes {
		v, err := n.View()
		require.NoError(t, err)
		views = append(views, v)
	}
	counts := plan.KeyCounts{}
	r, err := plan.Fix(views, counts, o)
	if need := (*plan.CountsError)(nil); errors.As(err, &need) {
		for _, q := range need.Ask {
			for slot := range q.Slots.Slots() {
				n, err := redis.Int(c.At(q.Addr).Do("CLUSTER", "COUNTKEYSINSLOT", strconv.Itoa(int(slot))))
				require.NoError(t, err)
				counts.Put(q.Node, slot, n)
			}
		}
		r, err = plan.Fix(views, counts, o)
	}
	require.NoError(t, err)
	return r
}

// Primaries that are on one machine, each with its replica, are spread over machines while
// clients write and read.
func TestBalance(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c := s.Start(t, 6, servers.Config{})
		l, err := plan.Create(c.Hosts(), 1)
		require.NoError(t, err)
		c.Create(l)
		view, err := c.Nodes[0].View()
		require.NoError(t, err)
		// The whole first shard and the second's primary are on one machine.
		o := plan.BalanceOptions{Machines: map[string]string{}}
		for i, shard := range view.Shards() {
			o.Machines[shard.Primary.ID] = []string{"x", "x", "z"}[i]
			o.Machines[shard.Replicas[0].ID] = []string{"x", "y", "y"}[i]
		}
		cl := client(t, c)
		check := newChecker(redigoStore{cl}, 500)
		check.write()
		check.start(5 * time.Millisecond)
		p, err := plan.Balance(view, o)
		require.NoError(t, err)
		require.Len(t, p.Moves, 2, p.Summary())
		require.Len(t, p.Failovers, 1, p.Summary())
		x := executor.Executor{Dial: servers.Dial}
		defer x.Close()
		require.NoError(t, x.Run(t.Context(), p.Steps, 0), p.Summary())
		c.Settle()
		check.finish(t)
		assert.Zero(t, check.missing.Load())
		view, err = c.Nodes[0].View()
		require.NoError(t, err)
		again, err := plan.Balance(view, o)
		require.NoError(t, err)
		assert.Empty(t, again.Steps)
		for _, shard := range view.Shards() {
			assert.NotEqual(t, o.Machines[shard.Primary.ID], o.Machines[shard.Replicas[0].ID])
		}
		t.Logf("%d moves, %d failovers, %d operations", len(p.Moves), len(p.Failovers), check.done.Load())
	})
}
