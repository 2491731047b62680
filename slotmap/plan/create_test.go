package plan

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

func hostsOf(addrs ...string) []Host {
	hosts := make([]Host, len(addrs))
	for i, a := range addrs {
		hosts[i].Addr = a
	}
	return hosts
}

func TestCreateSharesAreExact(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 7, 77, 78, 100, 1000, 4096, 16383, 16384} {
		if testing.Short() && n > 1000 && n < hashslot.Count {
			continue
		}
		var hosts []Host
		for i := range n {
			hosts = append(hosts, Host{Addr: fmt.Sprintf("h%d:1", i)})
		}
		l, err := Create(hosts, 0)
		require.NoError(t, err)
		require.Len(t, l.Shards, n)
		var all slotmap.Set
		least, most, total := hashslot.Count, 0, 0
		for _, s := range l.Shards {
			all = all.Union(s.Slots)
			total += s.Slots.Len()
			least, most = min(least, s.Slots.Len()), max(most, s.Slots.Len())
		}
		require.Equal(t, hashslot.Count, all.Len())
		require.Equal(t, hashslot.Count, total, "no slot twice")
		require.LessOrEqual(t, most-least, 1)
	}
}

// leastPrice is the reference: it tries all choices of primaries and returns the least
// price.
func leastPrice(hosts []Host, shards [][]int) [5]int {
	best := [5]int{1 << 30}
	primaries := make([]int, len(shards))
	var try func(s int)
	try = func(s int) {
		if s == len(shards) {
			if p := priceOf(hosts, shards, primaries); slices.Compare(p[:], best[:]) < 0 {
				best = p
			}
			return
		}
		for _, h := range shards[s] {
			primaries[s] = h
			try(s + 1)
		}
	}
	try(0)
	return best
}

// priceOf counts, for each aim in order, how often a choice of primaries misses it.
func priceOf(hosts []Host, shards [][]int, primaries []int) (p [5]int) {
	zones, machines := map[string]int{}, map[string]int{}
	for s, list := range shards {
		h := hosts[primaries[s]]
		zones[h.Zone]++
		machines[h.machine()]++
		for _, r := range list {
			if r == primaries[s] {
				continue
			}
			if hosts[r].machine() == h.machine() {
				p[0]++
			}
			if hosts[r].Zone == h.Zone {
				p[3]++
			}
		}
		if primaries[s] >= len(shards) {
			p[4]++
		}
	}
	for _, n := range zones {
		p[1] += n * n
	}
	for _, n := range machines {
		p[2] += n * n
	}
	return p
}

func randomHosts(rng *rand.Rand, n int) []Host {
	machines, zones := 1+rng.IntN(n), 1+rng.IntN(4)
	hosts := make([]Host, n)
	for i := range hosts {
		m := rng.IntN(machines)
		hosts[i] = Host{Addr: fmt.Sprintf("m%d:%d", m, 7000+i), Zone: fmt.Sprint("z", m%zones)}
	}
	return hosts
}

func TestCreateChoosesTheBestPrimaries(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range rounds(400) {
		hosts := randomHosts(rng, 2+rng.IntN(11))
		n := len(hosts) / (1 + rng.IntN(min(3, len(hosts))))
		if n > 6 {
			continue
		}
		shards := deal(hosts, n)
		require.Equal(t, leastPrice(hosts, shards), priceOf(hosts, shards, newWishes(hosts, shards).choose()))
	}
}

// The number of nodes that a shard has on a machine or in a zone is the average, rounded
// up or down. Every host has one role.
func TestCreateSpreads(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range rounds(300) {
		hosts := randomHosts(rng, 1+rng.IntN(60))
		replicas := rng.IntN(min(4, len(hosts)))
		l, err := Create(hosts, replicas)
		require.NoError(t, err)
		n := len(hosts) / (replicas + 1)
		require.Len(t, l.Shards, n)
		seen := map[string]bool{}
		all, of := map[string]int{}, map[[2]string]int{}
		for _, s := range l.Shards {
			require.GreaterOrEqual(t, len(s.Replicas), replicas)
			for _, h := range append([]Host{s.Primary}, s.Replicas...) {
				require.False(t, seen[h.Addr])
				seen[h.Addr] = true
				for _, group := range []string{"machine " + h.machine(), "zone " + h.Zone} {
					all[group]++
					of[[2]string{s.Primary.Addr, group}]++
				}
			}
		}
		require.Len(t, seen, len(hosts))
		for _, s := range l.Shards {
			for group, count := range all {
				if k := of[[2]string{s.Primary.Addr, group}]; k < count/n || k > (count+n-1)/n {
					require.Failf(t, "not spread", "%s has %d of the nodes of %s, and %d of all", group, k, s.Primary.Addr, count)
				}
			}
		}
		again, err := Create(hosts, replicas)
		require.NoError(t, err)
		require.Equal(t, l, again)
		// There is a warning if and only if a shard has two nodes on one machine.
		text := strings.Join(l.Warnings, "\n")
		shared := false
		for k, v := range of {
			shared = shared || v > 1 && strings.HasPrefix(k[1], "machine")
		}
		require.Equal(t, shared, strings.Contains(text, "on the same host"))
	}
}

func TestCreateExamples(t *testing.T) {
	two := "2 primaries: no automatic failover is possible, because a majority of 2 is 2. If one fails, the whole cluster stops, with or without replicas"
	for _, c := range []struct {
		name     string
		hosts    []Host
		replicas int
		want     string
	}{
		{"the first hosts are primaries", hostsOf("a:1", "b:1", "c:1", "d:1", "e:1", "f:1"), 1,
			"a:1 d:1|b:1 e:1|c:1 f:1"},
		{"two on each machine", hostsOf("a:1", "a:2", "b:1", "b:2", "c:1", "c:2"), 1,
			"a:1 b:2|b:1 c:2|c:1 a:2"},
		{"a zone for each copy", []Host{{Addr: "a:1", Zone: "x"}, {Addr: "b:1", Zone: "x"}, {Addr: "c:1", Zone: "y"}, {Addr: "d:1", Zone: "y"}, {Addr: "e:1", Zone: "z"}, {Addr: "f:1", Zone: "z"}}, 1,
			"a:1 d:1|c:1 f:1|e:1 b:1"},
		{"two primaries", hostsOf("a:1", "b:1", "a:2", "b:2"), 1, "a:1 b:2|b:1 a:2\n" + two},
		{"one machine", hostsOf("a:1", "a:2", "a:3"), 0, "a:1|a:2|a:3\n" +
			"no replicas: if a primary fails, its slots are not served\n" +
			"host a has 3 of 3 primaries: if it fails, no majority is left and no failover is possible"},
		{"too many on one machine", hostsOf("a:1", "a:2", "a:3", "a:4", "b:1", "c:1"), 1, "a:1 a:2|b:1 a:3|c:1 a:4\n" +
			"replicas that are on the same host as their primary: a:2 and a:1"},
		{"half of the primaries on each machine", hostsOf("a:1", "b:1", "b:2", "a:2"), 0, "a:1|b:1|b:2|a:2\n" +
			"no replicas: if a primary fails, its slots are not served\n" +
			"host a has 2 of 4 primaries: if it fails, no majority is left and no failover is possible\n" +
			"host b has 2 of 4 primaries: if it fails, no majority is left and no failover is possible"},
		{"machines by name", []Host{{Addr: "a:1", Machine: "m"}, {Addr: "b:1", Machine: "m"}, {Addr: "c:1", Machine: "n"}, {Addr: "d:1", Machine: "n"}}, 1, "a:1 d:1|c:1 b:1\n" + two},
	} {
		l, err := Create(c.hosts, c.replicas)
		require.NoError(t, err)
		var shards []string
		for _, s := range l.Shards {
			text := s.Primary.Addr
			for _, r := range s.Replicas {
				text += " " + r.Addr
			}
			shards = append(shards, text)
		}
		require.Equal(t, c.want, strings.Join(append([]string{strings.Join(shards, "|")}, l.Warnings...), "\n"), c.name)
	}
}

func TestCreateErrors(t *testing.T) {
	many := make([]Host, hashslot.Count+1)
	for i := range many {
		many[i].Addr = fmt.Sprintf("h:%d", 65535-i)
	}
	require.NoError(t, CheckHosts(many, 1))
	for _, c := range []struct {
		want     string
		hosts    []Host
		replicas int
	}{
		{`plan: hosts: a shard with 0 replicas needs 1 hosts, not 0`, nil, 0},
		{`plan: hosts: a shard with 2 replicas needs 3 hosts, not 2`, hostsOf("a:1", "b:1"), 2},
		{`plan: replicas "-1": must be at least 0`, hostsOf("a:1"), -1},
		{`plan: hosts[1] "b": must be host:port`, hostsOf("a:1", "b"), 0},
		{`plan: hosts[0] ":1": must be host:port`, hostsOf(":1"), 0},
		{`plan: hosts[0] "a:0": must be host:port`, hostsOf("a:0"), 0},
		{`plan: hosts[0] "a:65536": must be host:port`, hostsOf("a:65536"), 0},
		{`plan: hosts[0] "a:00": must be host:port`, hostsOf("a:00"), 0},
		{`plan: hosts[0] "a:1a": must be host:port`, hostsOf("a:1a"), 0},
		{`plan: hosts[0] "a": must be host:port`, hostsOf("a"), 0},
		{`plan: hosts[0] "[::1:1": must be host:port`, hostsOf("[::1:1"), 0},
		{`plan: hosts[0] "a:0001": must be host:port`, hostsOf("a:0001"), 0}, // MEET does not take it
		{`plan: hosts[0] "a b:1": must be host:port`, hostsOf("a b:1"), 0},
		{`plan: hosts[0] "a\xff:1": must be host:port`, hostsOf("a\xff:1"), 0},
		{`plan: hosts[1] "[0::1]:1": is the same address as hosts[0]`, hostsOf("[::1]:1", "[0::1]:1"), 0},
		{`plan: hosts[1] "[::ffff:10.0.0.1]:1": is the same address as hosts[0]`, hostsOf("10.0.0.1:1", "[::ffff:10.0.0.1]:1"), 0},
		{`plan: hosts[1] "Node-A:1": is the same address as hosts[0]`, hostsOf("node-a:1", "Node-A:1"), 0},
		{fmt.Sprintf("plan: hosts: a shard with %d replicas needs %d hosts, not 1", math.MaxInt, uint64(math.MaxInt)+1), hostsOf("a:1"), math.MaxInt},
		{`plan: hosts[2] "a:1": is the same address as hosts[0]`, hostsOf("a:1", "b:1", "a:1"), 0},
		{`plan: hosts[1] "a:2": the machine a is in two zones, "x" and "y"`, []Host{{Addr: "a:1", Zone: "x"}, {Addr: "a:2", Zone: "y"}}, 0},
		{`plan: hosts: a cluster has at most 16384 primaries, one for each slot`, many, 0},
	} {
		_, err := Create(c.hosts, c.replicas)
		var input *InputError
		require.ErrorAs(t, err, &input, c.want)
		require.EqualError(t, err, c.want)
	}
}

// A layout of the caller's may have addresses that Create refuses.
func TestLayoutOfAnyHosts(t *testing.T) {
	l := NewLayout([]LayoutShard{{Primary: Host{Addr: "a"}, Replicas: hostsOf("a:1", "", "")}}, 3)
	require.Contains(t, l.Warnings, "replicas that are on the same host as their primary: a:1 and a")
	require.Contains(t, l.Warnings, "replicas of the same primary that are on the same host:  and ")
}

func TestLayoutJSON(t *testing.T) {
	l, err := Create(hostsOf("a:1", "b:1", "c:1", "d:1"), 1)
	require.NoError(t, err)
	text, err := json.Marshal(l)
	require.NoError(t, err)
	require.JSONEq(t, `{"shards":[{"primary":"a:1","replicas":["c:1"],"slots":"0-8191"},{"primary":"b:1","replicas":["d:1"],"slots":"8192-16383"}],
		"warnings":["2 primaries: no automatic failover is possible, because a majority of 2 is 2. If one fails, the whole cluster stops, with or without replicas"]}`, string(text))
	text, err = json.Marshal(Layout{})
	require.NoError(t, err)
	require.JSONEq(t, `{"shards":[],"warnings":[]}`, string(text))
}

// Without replicas there is nothing to choose and no search: the allocations grow with
// the hosts.
func TestCreateWithoutReplicas(t *testing.T) {
	hosts := make([]Host, 4000)
	for i := range hosts {
		hosts[i].Addr = fmt.Sprintf("h%d:1", i)
	}
	var l Layout
	allocs := testing.AllocsPerRun(1, func() {
		var err error
		l, err = Create(hosts, 0)
		require.NoError(t, err)
	})
	require.Len(t, l.Shards, len(hosts))
	for i, s := range l.Shards {
		require.Equal(t, hosts[i], s.Primary)
	}
	require.Less(t, allocs, 20.0*float64(len(hosts)))
	t.Log(allocs)
}

// Up to 4000 hosts the choice is the best: the first shard does not take the only machine
// of the second one.
func TestCreateExactUpTo(t *testing.T) {
	hosts := append(hostsOf("a:1", "b:1", "a:2"), make([]Host, 3997)...)
	shards := [][]int{{0, 1}, {2}}
	require.Equal(t, []int{1, 2}, newWishes(hosts, shards).choose())
	require.Equal(t, []int{0, 2}, newWishes(append(hosts, Host{}), shards).choose())
}

// Of ways with the same cost, a flow takes the same ones as before.
func TestFlowsStay(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	r := newRecord()
	for range 100 {
		var f flow
		n := 2 + rng.IntN(40)
		f.nodes(n)
		for range (1 + rng.IntN(5)) * n {
			from := rng.IntN(n - 1)
			f.edge(from, from+1+rng.IntN(n-1-from), price{rng.Int64N(3), rng.Int64N(2)})
		}
		for f.augment(0, n-1) {
			r.add(f.full)
		}
	}
	r.requireSame(t, "6385c4d9dcf1")
}

// Hosts in thousands get their primaries one shard after the other, by the same wishes.
func TestCreateOneByOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	found := newRecord()
	for range 60 {
		hosts := randomHosts(rng, 2+rng.IntN(40))
		shards := deal(hosts, 1+rng.IntN(len(hosts)))
		w := newWishes(hosts, shards)
		primaries := w.oneByOne()
		for s, h := range primaries {
			require.Contains(t, shards[s], h)
		}
		found.add(primaries)
		for s, list := range shards {
			for _, h := range list {
				found.add(w.cost(s, h))
			}
		}
		for k := range 3 {
			found.add(w.zoneSpread(k), w.machineSpread(k))
		}
	}
	found.requireSame(t, "daec1d5b223f")
}

func TestSome(t *testing.T) {
	list := strings.Fields("a b c d e f g h i j k l")
	require.Equal(t, "a, b, c, d, e, f, g, h, i", some(list[:9]))
	require.Equal(t, "a, b, c, d, e, f, g, h, i, j", some(list[:10]))
	require.Equal(t, "a, b, c, d, e, f, g, h, i, j and 1 more", some(list[:11]))
	require.Equal(t, "a, b, c, d, e, f, g, h, i, j and 2 more", some(list))
}

// What a layout says about one primary, zones and its nodes.
func TestLayoutText(t *testing.T) {
	l, err := Create([]Host{{Addr: "a:1", Zone: "x"}, {Addr: "b:1", Zone: "x"}}, 1)
	require.NoError(t, err)
	const alone = "1 primary: no automatic failover is possible, because no other primary can agree to it"
	require.Equal(t, []string{alone}, l.Warnings)
	require.Equal(t, "1 shard\n  0-16383      16384 slots  primary a:1 (x)  replicas b:1 (x)\nwarning: "+alone+"\n", l.Summary())
	l, err = Create(hostsOf("a:1", "b:1", "c:1"), 0)
	require.NoError(t, err)
	require.Contains(t, l.Summary(), "primary a:1\n")
	l, err = Create([]Host{{Addr: "a:1", Zone: "x"}, {Addr: "b:1", Zone: "x"}, {Addr: "c:1", Zone: "x"}, {Addr: "d:1", Zone: "x"}, {Addr: "e:1", Zone: "y"}, {Addr: "f:1", Zone: "x"}}, 1)
	require.NoError(t, err)
	text := strings.Join(l.Warnings, "\n")
	require.Contains(t, text, "replicas that are in the same zone as their primary: ")
	require.Contains(t, text, "\nzone x has 2 of 3 primaries: if it fails, no majority is left and no failover is possible")
	_, err = Layout{Warnings: []string{"\xff"}}.MarshalJSON()
	require.ErrorContains(t, err, "warnings")
	_, err = Layout{Shards: []LayoutShard{{}, {Primary: Host{Addr: "\xff"}}}}.MarshalJSON()
	require.ErrorContains(t, err, "shards[1]")
	require.Equal(t, "", Host{Addr: ":1"}.machine())
	require.Equal(t, "a", Host{Addr: "a:1"}.machine())
}
