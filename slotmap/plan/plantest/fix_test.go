package plantest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
)

func parse(t testing.TB, text string) *topology.Cluster {
	t.Helper()
	c, err := topology.ParseNodes(text, topology.Origin{})
	require.NoError(t, err)
	return c
}

// five returns a cluster of four primaries with slots and a fifth without.
func five(t testing.TB) *Cluster {
	t.Helper()
	var text strings.Builder
	for i, slots := range []string{" 0-4095", " 4096-8191", " 8192-12287", " 12288-16383", ""} {
		fmt.Fprintf(&text, "%c 10.0.0.%d:6379@1 master - 0 0 %d connected%s\n", 'a'+i, i+1, i+1, slots)
	}
	return New(parse(t, text.String()))
}

var all = slotmap.SetOf(slotmap.Range{Last: hashslot.Count - 1})

// few has the slots that most tests break.
var few = slotmap.MustParseSet("0-9 4080-4110")

// do sends commands. "a CLUSTER BUMPEPOCH" goes to the node a.
func do(t testing.TB, c *Cluster, commands ...string) {
	t.Helper()
	for _, command := range commands {
		if command == "gossip" {
			c.Gossip()
			continue
		}
		_, err := try(c, command)
		require.NoError(t, err, command)
	}
}

func try(c *Cluster, command string) (any, error) {
	words := strings.Fields(command)
	for i, w := range words {
		words[i] = strings.Trim(w, `"`)
	}
	return (&Conn{c: c, id: words[0]}).Do(words[1:]...)
}

// fix repairs a cluster and returns the repair. After a step the nodes gossip if the
// function gossip says so.
func fix(t testing.TB, c *Cluster, o plan.FixOptions, gossip func() bool) plan.Repair {
	t.Helper()
	r := planFix(t, c, o)
	for _, s := range r.Steps {
		require.NoError(t, c.Run(s))
		if gossip() {
			c.Gossip()
		}
	}
	c.Gossip()
	return r
}

// counts has 0 keys for every node and slot. It is made once, because that takes longer
// than everything else.
var counts = func() plan.KeyCounts {
	k := plan.KeyCounts{}
	for _, id := range "abcde" {
		for slot := range hashslot.Slot(hashslot.Count) {
			k.Put(string(id), slot, 0)
		}
	}
	return k
}()

// planFix calls Fix with the counts that the nodes have.
func planFix(t testing.TB, c *Cluster, o plan.FixOptions) plan.Repair {
	t.Helper()
	views, err := c.Views()
	require.NoError(t, err)
	for _, n := range c.nodes {
		for slot, keys := range *n.keys {
			counts.Put(n.id, slot, len(keys))
			defer counts.Put(n.id, slot, 0)
		}
	}
	r, err := plan.Fix(views, counts, o)
	require.NoError(t, err)
	return r
}

// inventory returns at how many primaries each key is.
func inventory(c *Cluster) map[string]int {
	keys := map[string]int{}
	for _, n := range c.nodes {
		if n.primary == nil {
			for _, in := range *n.keys {
				for key := range in {
					keys[key]++
				}
			}
		}
	}
	return keys
}

// Each kind of broken slot, and how valkey-cli repairs it. Node a owns slot 5.
func TestFixCases(t *testing.T) {
	key := func(i int) string { return fmt.Sprintf("{%s}%d", hashslot.Slot(5).Tag(), i) }
	const migrating, importing = "a CLUSTER SETSLOT 5 MIGRATING b", "b CLUSTER SETSLOT 5 IMPORTING a"
	for name, tc := range map[string]struct {
		commands []string
		keys     string // the nodes that have one key each
		want     plan.FixCase
		owner    string
	}{
		"both ends, keys at the source":        {[]string{importing, migrating}, "aaa", "finish the move", "b"},
		"both ends, no keys":                   {[]string{importing, migrating}, "", "finish the move", "b"},
		"both ends, most keys at the source":   {[]string{importing, migrating}, "aab", "gather the keys", "a"},
		"both ends, most keys at the target":   {[]string{importing, migrating}, "abb", "gather the keys", "b"},
		"both ends, as many":                   {[]string{importing, migrating}, "ab", "gather the keys", "a"},
		"only the target":                      {[]string{importing}, "aa", "gather the keys", "a"},
		"only the target, with the keys":       {[]string{importing}, "bb", "gather the keys", "b"},
		"only the source":                      {[]string{migrating}, "aa", "close", "a"},
		"only the source, keys elsewhere":      {[]string{migrating}, "aac", "gather the keys", "a"},
		"several targets":                      {[]string{importing, migrating, "c CLUSTER SETSLOT 5 IMPORTING a"}, "aa", "finish and close", "b"},
		"several targets, none the right":      {[]string{migrating, "c CLUSTER SETSLOT 5 IMPORTING a", "d CLUSTER SETSLOT 5 IMPORTING a"}, "aa", "close at all ends", "a"},
		"several targets with keys":            {[]string{importing, migrating, "c CLUSTER SETSLOT 5 IMPORTING a"}, "aabc", "gather the keys", "a"},
		"the only target is not the right one": {[]string{migrating, "c CLUSTER SETSLOT 5 IMPORTING a"}, "a", "finish the move", "c"},
		"nobody owns it, no keys":              {[]string{"a CLUSTER DELSLOTS 5"}, "", "cover without keys", "e"},
		"nobody owns it, keys at one":          {[]string{"a CLUSTER DELSLOTS 5"}, "ccc", "cover where its keys are", "c"},
		"nobody owns it, keys at the last":     {[]string{"a CLUSTER DELSLOTS 5"}, "a", "cover where its keys are", "a"},
		"nobody owns it, keys at several":      {[]string{"a CLUSTER DELSLOTS 5"}, "accd", "cover where most keys are", "c"},
		"nobody owns it, and one imports":      {[]string{importing, "a CLUSTER DELSLOTS 5"}, "bb", "close", "b"},
		"several own it":                       {[]string{"b CLUSTER DELSLOTS 5", "b CLUSTER ADDSLOTS 5"}, "", "settle who owns it", "b"},
		"several own it, with keys":            {[]string{"b CLUSTER DELSLOTS 5", "b CLUSTER ADDSLOTS 5"}, "aabc", "settle who owns it", "a"},
		"several own it, and one imports":      {[]string{"b CLUSTER DELSLOTS 5", "b CLUSTER ADDSLOTS 5", "c CLUSTER SETSLOT 5 IMPORTING b"}, "abbc", "gather the keys", "b"},
		"nobody but the owner hears of it":     {[]string{"a CLUSTER BUMPEPOCH", "gossip", "a CLUSTER DELSLOTS 5", "b CLUSTER DELSLOTS 5", "b CLUSTER ADDSLOTS 5", "gossip"}, "bb", "spread who owns it", "b"},
		"keys where they do not belong":        {nil, "aac", "settle who owns it", "a"},
		"all keys where they do not belong":    {nil, "cc", "settle who owns it", "c"},
		"several own and migrate it":           {[]string{"b CLUSTER DELSLOTS 5", "b CLUSTER ADDSLOTS 5", migrating, "b CLUSTER SETSLOT 5 MIGRATING c"}, "ab", "gather the keys", "b"},
	} {
		for _, often := range []bool{false, true} {
			if testing.Short() && often != (len(name)%2 == 0) {
				continue // one of both
			}
			c := five(t)
			c.Fill(200, 1)
			do(t, c, tc.commands...)
			for i, n := range tc.keys {
				c.Put(string(n), key(i), "1")
			}
			before := inventory(c)
			o := plan.FixOptions{StrayKeys: tc.commands == nil}
			r := fix(t, c, o, func() bool { return often })
			require.Equal(t, []plan.SlotRepair{{Slots: slotmap.SetOf(slotmap.Range{First: 5, Last: 5}), Case: tc.want, Owner: tc.owner}}, r.Slots, name)
			require.NoError(t, c.Check(few), name)
			require.Equal(t, before, inventory(c), name)
			owner, _ := c.Table().Lookup(5)
			require.Equal(t, tc.owner, owner, name)
			require.Empty(t, planFix(t, c, plan.FixOptions{StrayKeys: true}).Steps, "%s: nothing is left to do", name)
		}
	}
}

func TestFixAsksAndRefuses(t *testing.T) {
	c := five(t)
	do(t, c, "a CLUSTER DELSLOTS 5 6", "b CLUSTER SETSLOT 9 IMPORTING a")
	views, err := c.Views()
	require.NoError(t, err)
	_, err = plan.Fix(views, nil, plan.FixOptions{})
	var need *plan.CountsError
	require.ErrorAs(t, err, &need)
	require.Len(t, need.Ask, 5)
	require.Equal(t, plan.CountsQuestion{Node: "a", Addr: "10.0.0.1:6379", Slots: slotmap.MustParseSet("5-6 9")}, need.Ask[0])
	require.EqualError(t, err, "plan: the repair depends on key counts that are not known: ask 5 nodes with CLUSTER COUNTKEYSINSLOT, first 10.0.0.1:6379 for slots 5-6 9")
	var input *plan.InputError
	for want, views := range map[string][]*topology.Cluster{
		"plan: views: none of the nodes that were asked is a primary": nil,
		"plan: views[0]: is nil": {nil},
		"plan: views[0]: must be the reply of one node to CLUSTER NODES: no node is marked as myself": {parse(t, "a h:1@2 master - 0 0 1 connected\n")},
		`plan: views[1] "a": is a second view of the same node`:                                       {views[0], views[0]},
	} {
		_, err = plan.Fix(views, nil, plan.FixOptions{})
		require.ErrorAs(t, err, &input)
		require.EqualError(t, err, want)
	}
	stray := plan.KeyCounts{"a": {5: 0, 6: 1, hashslot.Count: 1}, "b": {5: 0, 6: 0, 9: 0}}
	for _, id := range "cde" {
		stray[string(id)] = counts[string(id)]
	}
	_, err = plan.Fix(views, stray, plan.FixOptions{})
	require.ErrorAs(t, err, &need)
	require.Equal(t, []plan.CountsQuestion{{Node: "a", Addr: "10.0.0.1:6379", Slots: slotmap.MustParseSet("9")}}, need.Ask, "without slots that are not in question")
	require.NoError(t, need.Ask[0].Slots.Err(), "a slot that is not valid is not in question")
	_, err = plan.Fix(views, nil, plan.FixOptions{SetSlots: plan.SetSlotOptions{Keys: -1}})
	require.ErrorAs(t, err, &input)
	_, err = plan.Fix(views[1:], nil, plan.FixOptions{})
	var state *plan.StateError
	require.ErrorAs(t, err, &state)
	require.EqualError(t, err, "plan: unreachable nodes 0-4095 (a): their slots and keys are unknown; ask these nodes as well, or let replicas take over first")

	// Without the view of a, other nodes get its slots, in few ranges.
	c = five(t)
	c.Kill("a")
	r := fix(t, c, plan.FixOptions{Unreachable: true}, func() bool { return true })
	require.Equal(t, []plan.SlotRepair{{Slots: slotmap.MustParseSet("0-4095"), Case: "cover without keys", Owner: "e"}}, r.Slots)
	require.Equal(t, []string{"primary a was not asked: keys that only it has are lost"}, r.Warnings)
	require.Equal(t, "cover without keys: slots 0-4095, then owned by e\nwarning: primary a was not asked: keys that only it has are lost\n", r.Summary())
	c.Revive("a")
	c.Gossip()
	require.NoError(t, c.Check(all))
	require.Equal(t, "nothing to repair\n", func() string { r := planFix(t, c, plan.FixOptions{}); return r.Summary() }())

	// A whole cluster without owners.
	none := New(parse(t, "a 10.0.0.1:1@1 master - 0 0 1 connected\nb 10.0.0.2:1@1 master - 0 0 2 connected\nc 10.0.0.3:1@1 master - 0 0 3 connected\n"))
	fix(t, none, plan.FixOptions{}, func() bool { return true })
	require.Equal(t, "a 0-5461\nb 5462-10922\nc 10923-16383\n", none.Table().String())
	// A single node.
	one := New(parse(t, "a 10.0.0.1:1@1 master - 0 0 1 connected 0-16000\n"))
	do(t, one, "a CLUSTER SETSLOT 16001 STABLE")
	fix(t, one, plan.FixOptions{}, func() bool { return true })
	require.Equal(t, "a 0-16383\n", one.Table().String())
}
