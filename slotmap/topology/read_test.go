package topology

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/slotmap"
)

// zoned has replicas in two zones, of which three do not serve.
func zoned(t *testing.T) *Cluster {
	c, err := ParseNodes(
		"a 10.0.0.1:1@2,,availability-zone=x myself,master - 0 0 1 connected 0-16383\n"+
			"b 10.0.0.2:1@2,,availability-zone=y slave a 0 0 1 connected\n"+
			"c 10.0.0.3:1@2,,availability-zone=x slave a 0 0 1 connected\n"+
			"d 10.0.0.4:1@2,,availability-zone=x slave a 0 0 1 connected\n"+
			"e 10.0.0.5:1@2,,availability-zone=y slave,fail a 0 0 1 connected\n"+
			"f 10.0.0.6:1@2,,availability-zone=y slave,fail? a 0 0 1 connected\n"+
			"g :0@0,,availability-zone=y slave,noaddr a 0 0 1 connected\n", Origin{})
	require.NoError(t, err)
	return c
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		zone   string
		policy ReadPolicy
		failed string // nodes that the client could not reach
		want   string
	}{
		{"x", ReadPrimary, "", "a"},
		{"x", ReadPrimary, "a", "a"},
		{"x", ReadReplica, "", "bcd"},
		{"x", ReadReplica, "c", "bd"},
		{"x", ReadReplica, "bcd", "a"},
		{"x", ReadReplica, "abcd", "a"},
		{"x", ReadAny, "", "abcd"},
		{"x", ReadAny, "a", "bcd"},
		{"x", ReadAny, "abcd", "a"},
		// A replica in the zone, the primary in the zone, any replica, the primary.
		{"x", ReadSameZone, "", "cd"},
		{"x", ReadSameZone, "c", "d"},
		{"x", ReadSameZone, "cd", "a"},
		{"x", ReadSameZone, "acd", "b"},
		{"x", ReadSameZone, "abcd", "a"},
		{"y", ReadSameZone, "", "b"},
		{"y", ReadSameZone, "b", "cd"},
		{"y", ReadSameZone, "bcd", "a"},
		{"z", ReadSameZone, "", "bcd"},
		{"", ReadSameZone, "", "bcd"},
		{"", ReadPolicy(9), "", "a"},
	} {
		r := Router{Zone: c.zone}
		r.Apply(zoned(t), 0)
		for _, id := range c.failed {
			r.Failed(r.Node(string(id)))
		}
		count := map[string]int{}
		const rounds = 3000
		for i := range rounds {
			n, seen := r.ReadKey(fmt.Sprint(i), c.policy)
			if seen != r.Generation() {
				require.Equal(t, r.Generation(), seen)
			}
			count[n.ID]++
		}
		assert.Len(t, count, len(c.want), "%v", c)
		for _, id := range c.want {
			// Six standard deviations of a fair choice among two or more.
			assert.InDelta(t, rounds/len(c.want), count[string(id)], 6*28, "%v %c", c, id)
		}
	}
	var r Router
	n, seen := r.Read(0, ReadAny)
	assert.Nil(t, n)
	assert.Zero(t, seen)
	r.Apply(view(t, "a master 1 0-5"), 0)
	n, seen = r.ReadKeyBytes([]byte("foo"), ReadAny) // 12182
	assert.Nil(t, n)
	assert.Equal(t, Generation(1), seen)
	assert.Nil(t, r.Pick(nil, ReadAny))
}

// Reads are spread by the weights, and a node with weight 0 is not picked.
func TestWeight(t *testing.T) {
	for _, c := range []struct {
		zone    string
		policy  ReadPolicy
		weights map[string]uint32
		want    map[string]float64
	}{
		{"", ReadAny, map[string]uint32{"a": 1, "b": 2, "c": 3, "d": 4}, map[string]float64{"a": .1, "b": .2, "c": .3, "d": .4}},
		{"", ReadAny, map[string]uint32{"b": 1 << 31, "c": 1 << 31, "d": 1 << 31}, map[string]float64{"b": 1. / 3, "c": 1. / 3, "d": 1. / 3}},
		{"", ReadAny, map[string]uint32{"d": 4294967295}, map[string]float64{"d": 1}},
		{"", ReadAny, nil, map[string]float64{"a": 1}},
		{"", ReadReplica, map[string]uint32{"a": 1000, "b": 1, "c": 9}, map[string]float64{"b": .1, "c": .9}},
		{"", ReadReplica, map[string]uint32{"e": 7, "f": 7, "g": 7}, map[string]float64{"a": 1}}, // they do not serve
		{"", ReadPrimary, nil, map[string]float64{"a": 1}},
		{"x", ReadSameZone, map[string]uint32{"a": 1, "b": 1, "c": 1, "d": 3}, map[string]float64{"c": .25, "d": .75}},
		{"x", ReadSameZone, map[string]uint32{"a": 1, "b": 1}, map[string]float64{"a": 1}},
		{"x", ReadSameZone, map[string]uint32{"b": 1}, map[string]float64{"b": 1}},
		{"x", ReadSameZone, nil, map[string]float64{"a": 1}},
	} {
		r := Router{Zone: c.zone, Weight: func(n *Node) uint32 { return c.weights[n.ID] }}
		r.Apply(zoned(t), 0)
		count := map[string]int{}
		rounds := 30_000.
		if testing.Short() {
			rounds = 5000
		}
		for i := range int(rounds) {
			n, _ := r.ReadKey(strconv.Itoa(i), c.policy)
			count[n.ID]++
		}
		assert.Len(t, count, len(c.want), "%v", c)
		for id, share := range c.want {
			assert.InDelta(t, rounds*share, count[id], 6*math.Sqrt(rounds/4), "%v %s", c, id) // 6 deviations
		}
	}
}

// A read asks for the weight of a node once, even if no node is eligible.
func TestWeightOnce(t *testing.T) {
	var asked []string
	weight := func(n *Node) uint32 {
		asked = append(asked, n.ID)
		return 0
	}
	for _, zone := range []string{"", "x", "y", "z"} {
		for policy, want := range map[ReadPolicy]string{ReadPrimary: "", ReadReplica: "bcd", ReadAny: "abcd", ReadSameZone: "bcd"} {
			if zone == "x" && policy == ReadSameZone {
				want = "abcd" // the primary is in that zone
			}
			asked = nil
			r := Router{Zone: zone, Weight: weight}
			r.Apply(zoned(t), 0)
			n, _ := r.Read(0, policy)
			assert.Equal(t, "a", n.ID)
			slices.Sort(asked)
			assert.Equal(t, want, strings.Join(asked, ""), "%v %s", policy, zone)
		}
	}
	asked = nil
	r := Router{Weight: weight}
	r.Apply(view(t, "a master 1 0-16383", "b slave:a 1"), 0)
	r.Read(0, ReadSameZone)
	assert.Equal(t, []string{"b"}, asked, "without a zone, the primary is no candidate")
}

func TestReadPolicyNames(t *testing.T) {
	assert.Equal(t, "[primary replica any same zone unknown read policy]", fmt.Sprint([]ReadPolicy{ReadPrimary, ReadReplica, ReadAny, ReadSameZone, ReadSameZone + 1}))
}

// A command without keys may go to any shard.
func TestAny(t *testing.T) {
	var r Router
	assert.Nil(t, r.Any(ReadPrimary))
	r.Apply(threeShards(t), 0)
	spread := func(policy ReadPolicy) string {
		var names []string
		for range 2000 {
			if n := r.Any(policy); !slices.Contains(names, n.ID) {
				names = append(names, n.ID)
			}
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	assert.Equal(t, "a b c", spread(ReadPrimary))
	assert.Equal(t, "a1 a2 b1 b2 c1 c2", spread(ReadReplica))
	r.Failed(r.Node("b"))
	assert.Equal(t, "a c", spread(ReadPrimary))
	for _, id := range []string{"a", "c", "a1", "a2"} {
		r.Failed(r.Node(id))
	}
	assert.Equal(t, "a b c", spread(ReadPrimary), "none serves")
	assert.Equal(t, "b1 b2 c1 c2", spread(ReadReplica))
	var unroutable Router
	c, err := ParseNodes("a :0@0 master,noaddr - 0 0 1 connected 0-16383", Origin{})
	require.NoError(t, err)
	unroutable.Apply(c, 0)
	assert.Nil(t, unroutable.Any(ReadPrimary))
}

func TestNodesOfRouter(t *testing.T) {
	all := func(seq func(func(*Node) bool)) string { return ids(slices.Collect(seq)) }
	var r Router
	assert.Equal(t, "", all(r.Nodes()))
	assert.Equal(t, "", all(r.Primaries()))
	assert.Equal(t, "", all(r.Replicas()))
	assert.Nil(t, r.NodeByAddr("10.0.0.1:1"))
	c, err := ParseNodes(
		"z 10.0.0.9:1@2,last.example.com master - 0 0 9 connected 5000\n"+
			"i 10.0.0.5:1@2 master - 0 0 4 connected\n"+
			"b 10.0.0.2:1@2 master,fail - 0 0 2 connected 0-99 6000\n"+
			"a :0@0 master,noaddr - 0 0 1 connected 100\n"+
			"j 10.0.0.6:1@2 slave i 0 0 1 connected\n"+
			"b1 10.0.0.3:1@2 slave b 0 0 1 connected\n"+
			"b2 2001:db8::1:1@2 slave b 0 0 1 connected\n"+
			"h 10.0.0.7:1@2 handshake - 0 0 1 connected\n", Origin{})
	require.NoError(t, err)
	r.Apply(c, 0)
	assert.Equal(t, "b b1 b2 a z i j", all(r.Nodes()))
	assert.Equal(t, "b a z", all(r.Primaries()))
	assert.Equal(t, "b1 b2", all(r.Replicas()))
	for n := range r.Nodes() {
		assert.Same(t, n, r.Node(n.ID))
		if n.Addr() != "" {
			assert.Same(t, n, r.NodeByAddr(n.Addr()))
		}
	}
	for _, seq := range []func(func(*Node) bool){r.Nodes(), r.Primaries(), r.Replicas()} {
		for k := range 3 { // whoever stops is not called again
			seq(func(*Node) bool { k--; require.GreaterOrEqual(t, k, -1); return k >= 0 })
		}
	}
	assert.Equal(t, "z", r.NodeByAddr("last.example.com:1").ID)
	assert.Equal(t, "b2", r.NodeByAddr("[2001:db8::1]:1").ID)
	assert.Nil(t, r.NodeByAddr("10.0.0.2:2"))
	assert.Nil(t, r.NodeByAddr(""))
	assert.Nil(t, r.Node("h"))

	// A loop sees the map that was present when it started.
	var seen []string
	for n := range r.Primaries() {
		if len(seen) == 0 {
			r.Replace(view(t, "new master 99 0-16383"))
		}
		seen = append(seen, n.ID)
	}
	assert.Equal(t, []string{"b", "a", "z"}, seen)
	assert.Equal(t, "new", all(r.Primaries()))
	r.Moved(moved(5, "x"), nil, r.Generation())
	assert.NotNil(t, r.NodeByAddr(at("x")))
	assert.Nil(t, r.Node(at("x")), "an address is no id")
}

// Behind NAT the map has the addresses that are reached, and redirects find them.
func TestMappedRouter(t *testing.T) {
	from := Origin{Addr: "nat:1", Map: func(addr string) string {
		return strings.Replace(strings.Replace(addr, "10.0.0.1:6379", "nat:1", 1), "10.0.0.2:6379", "nat:2", 1)
	}}
	c, err := ParseNodes("a 10.0.0.1:6379@2 myself,master - 0 0 1 connected 0-99\nb 10.0.0.2:6379@2 master - 0 0 2 connected 100-16383\n", from)
	require.NoError(t, err)
	var r Router
	r.Apply(c, 0)
	shard, seen := r.For(5)
	require.Equal(t, "nat:1", shard.Primary.Addr())
	require.Equal(t, "nat", shard.Primary.Host)
	require.Equal(t, "10.0.0.1", shard.Primary.Endpoint)
	rd, err := ParseRedirect("MOVED 5 10.0.0.2:6379", from)
	require.NoError(t, err)
	result := r.Moved(rd, shard.Primary, seen)
	assert.Equal(t, OutcomePatched, result.Outcome)
	assert.Same(t, r.Node("b"), result.Node)
	assert.Same(t, r.Node("b"), r.NodeByAddr("nat:2"))
}

func TestSplitRouter(t *testing.T) {
	var r Router
	keys := []string{"foo", "bar", "hello", "foo", "{bar}2"} // slots 12182, 5061, 866
	var raw [][]byte
	for _, k := range keys {
		raw = append(raw, []byte(k))
	}
	r.Apply(view(t, "a master 1 0-9999", "b slave:a 1"), 0)
	a, _ := r.For(0)
	groups, unassigned, seen := r.Split(keys)
	assert.Equal(t, []slotmap.OwnerGroup[*Shard]{{Owner: a, Keys: []int{1, 2, 4}}}, groups)
	assert.Equal(t, []int{0, 3}, unassigned)
	assert.Equal(t, Generation(1), seen)
	groups2, unassigned2, seen := r.SplitBytes(raw)
	assert.Equal(t, groups, groups2)
	assert.Equal(t, unassigned, unassigned2)
	assert.Equal(t, Generation(1), seen)

	bySlot, none, seen := r.SplitBySlot(keys)
	assert.Equal(t, []slotmap.OwnerSlots[*Shard]{{Owner: a, Slots: []slotmap.SlotGroup{{Slot: 5061, Keys: []int{1, 4}}, {Slot: 866, Keys: []int{2}}}}}, bySlot)
	assert.Equal(t, []slotmap.SlotGroup{{Slot: 12182, Keys: []int{0, 3}}}, none)
	assert.Equal(t, Generation(1), seen)
	bySlot2, none2, seen := r.SplitBySlotBytes(raw)
	assert.Equal(t, bySlot, bySlot2)
	assert.Equal(t, none, none2)
	assert.Equal(t, Generation(1), seen)

	shard, seen := r.ForKeyBytes([]byte("bar"))
	assert.Same(t, a, shard)
	assert.Equal(t, Generation(1), seen)
	shard, _ = r.ForKeyBytes([]byte("foo"))
	assert.Nil(t, shard)
	n, _ := r.ReadKeyBytes([]byte("bar"), ReadReplica)
	assert.Equal(t, "b", n.ID)
	var empty Router
	shard, seen = empty.ForKeyBytes(nil)
	assert.Nil(t, shard)
	assert.Zero(t, seen)
}

func TestReadAllocs(t *testing.T) {
	var weight atomic.Uint32
	weight.Store(3)
	r := Router{Zone: "x", Weight: func(*Node) uint32 { return weight.Load() }}
	r.Apply(threeShards(t), r.Generation())
	key := []byte("user:{42}")
	addr := r.Node("a").Addr()
	count := 0
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		for _, p := range []ReadPolicy{ReadPrimary, ReadReplica, ReadAny, ReadSameZone} {
			n, _ := r.ReadKey("user:{42}", p)
			m, _ := r.ReadKeyBytes(key, p)
			if n.Addr() != "" && m.Addr() != "" && r.Any(p) != nil {
				count++
			}
		}
		s, _ := r.ForKey("user:{42}")
		u, _ := r.ForKeyBytes(key)
		if s == u && r.NodeByAddr(addr) == r.Node("a") {
			count++
		}
		for range r.Nodes() {
			count++
		}
		for range r.Primaries() {
			count++
		}
		for range r.Replicas() {
			count++
		}
		r.Table()
	}))
	assert.NotZero(t, count)
}
