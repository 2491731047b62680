package plan

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// A placed is a small cluster: the place of each node, and the index of its primary. A
// primary has its own index.
type placed struct {
	machine, shard []int
	down           []bool
	zoneOf         []int // of machines
}

func randomPlaced(rng *rand.Rand, shards, replicas, machines int) placed {
	var p placed
	for range machines {
		p.zoneOf = append(p.zoneOf, rng.IntN(3))
	}
	for s := range shards {
		p.machine, p.shard, p.down = append(p.machine, rng.IntN(machines)), append(p.shard, s), append(p.down, false)
	}
	for range replicas {
		p.machine, p.shard, p.down = append(p.machine, rng.IntN(machines)), append(p.shard, rng.IntN(shards)), append(p.down, rng.IntN(8) == 0)
	}
	return p
}

func (p placed) id(i int) string { return fmt.Sprintf("%02d", i) }

func (p placed) cluster(t *testing.T, order []int) (*topology.Cluster, BalanceOptions) {
	t.Helper()
	var text strings.Builder
	shards := 0
	for i, s := range p.shard {
		if i == s {
			shards++
		}
	}
	o := BalanceOptions{Machines: map[string]string{}, Zones: map[string]string{}}
	for _, i := range order {
		s := p.shard[i]
		o.Machines[p.id(i)] = fmt.Sprint("m", p.machine[i])
		o.Zones[p.id(i)] = fmt.Sprint("z", p.zoneOf[p.machine[i]])
		if i == s {
			fmt.Fprintf(&text, "%s 10.0.0.%d:1@2 master - 0 0 %d connected %d-%d\n", p.id(i), i, i+1, i*hashslot.Count/shards, (i+1)*hashslot.Count/shards-1)
		} else {
			flags := "slave"
			if p.down[i] {
				flags = "slave,fail"
			}
			fmt.Fprintf(&text, "%s 10.0.0.%d:1@2 %s %s 0 0 %d connected\n", p.id(i), i, flags, p.id(s), s+1)
		}
	}
	return parse(t, text.String()), o
}

// apart is the first aim: few pairs of nodes of one shard on one machine and in one zone,
// and few moves.
func (p placed) apart(was []int) (pairs [3]int) {
	for i := range p.shard {
		for k := range i {
			if p.shard[i] == p.shard[k] && p.machine[i] == p.machine[k] {
				pairs[0]++
			}
			if p.shard[i] == p.shard[k] && p.zoneOf[p.machine[i]] == p.zoneOf[p.machine[k]] {
				pairs[1]++
			}
		}
		if p.shard[i] != was[i] {
			pairs[2]++
		}
	}
	return pairs
}

// even is the second aim: primaries spread evenly over zones and machines, and few
// failovers. primary has the primary of each shard.
func (p placed) even(primary []int) (squares [3]int) {
	zones, machines := map[int]int{}, map[int]int{}
	for s, i := range primary {
		zones[p.zoneOf[p.machine[i]]]++
		machines[p.machine[i]]++
		if i != s {
			squares[2]++
		}
	}
	for _, k := range zones {
		squares[0] += k * k
	}
	for _, k := range machines {
		squares[1] += k * k
	}
	return squares
}

// least is the reference. It tries every way to give the reachable replicas to the shards,
// and leastEven every choice of primaries.
func (p placed) least(shards int) [3]int {
	best := [3]int{math.MaxInt}
	was, size := slices.Clone(p.shard), make([]int, shards)
	for _, s := range was {
		size[s]++
	}
	q := p
	q.shard = slices.Clone(p.shard)
	have := make([]int, shards)
	for s := range shards {
		have[s] = 1
	}
	var try func(i int)
	try = func(i int) {
		if i == len(q.shard) {
			if got := q.apart(was); slices.Compare(got[:], best[:]) < 0 {
				best = got
			}
			return
		}
		for s := range shards {
			if have[s] < size[s] && (!p.down[i] || s == was[i]) {
				have[s]++
				q.shard[i] = s
				try(i + 1)
				have[s]--
			}
		}
	}
	try(shards)
	return best
}

func (p placed) leastEven(shards int) [3]int {
	best := [3]int{math.MaxInt}
	primary := make([]int, shards)
	var try func(s int)
	try = func(s int) {
		if s == shards {
			if got := p.even(primary); slices.Compare(got[:], best[:]) < 0 {
				best = got
			}
			return
		}
		for i := range p.shard {
			if p.shard[i] == s && !p.down[i] {
				primary[s] = i
				try(s + 1)
			}
		}
	}
	try(0)
	return best
}

func TestBalanceIsTheLeast(t *testing.T) {
	rng := rand.New(rand.NewPCG(28, 22))
	moves, failovers := 0, 0
	r := newRecord()
	for range 300 {
		shards := 1 + rng.IntN(4)
		p := randomPlaced(rng, shards, rng.IntN(7), 1+rng.IntN(6))
		c, o := p.cluster(t, rng.Perm(len(p.shard)))
		got, err := Balance(c, o)
		require.NoError(t, err)
		r.add(got.Summary(), got.After.Shards)
		q := p
		q.shard = slices.Clone(p.shard)
		index := func(id string) int {
			i, err := strconv.Atoi(id)
			require.NoError(t, err)
			return i
		}
		for _, m := range got.Moves {
			i := index(m.Replica)
			require.Equal(t, p.id(q.shard[i]), m.From)
			require.GreaterOrEqual(t, i, shards, "a primary stays")
			q.shard[i] = index(m.To)
		}
		require.Equal(t, p.least(shards), q.apart(p.shard))
		require.Len(t, got.Moves, q.apart(p.shard)[2], "nobody goes twice")
		primary := make([]int, shards)
		for s := range primary {
			primary[s] = s
		}
		for _, f := range got.Failovers {
			i := index(f.Replica)
			require.Equal(t, p.id(q.shard[i]), f.Primary)
			require.Equal(t, q.shard[i], primary[q.shard[i]])
			primary[q.shard[i]] = i
		}
		require.Equal(t, q.leastEven(shards), q.even(primary))
		require.Len(t, got.Steps, len(got.Moves)+len(got.Failovers))
		for s, l := range got.After.Shards {
			require.Equal(t, fmt.Sprintf("10.0.0.%d:1", primary[s]), l.Primary.Addr)
		}
		moves, failovers = moves+len(got.Moves), failovers+len(got.Failovers)
		// The order of the reply does not matter.
		c, o = p.cluster(t, rng.Perm(len(p.shard)))
		again, err := Balance(c, o)
		require.NoError(t, err)
		require.Equal(t, got, again)
	}
	t.Log(moves, "moves,", failovers, "failovers")
	require.Greater(t, moves, 50)
	require.Greater(t, failovers, 50)
	r.requireSame(t, "fa039e91a8c2")
}

func TestBalanceKeepsItsHandsOff(t *testing.T) {
	const nodes = "aa 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-8191\nab 10.0.0.1:2@3 master - 0 0 2 connected 8192-16383\n" +
		"ra 10.0.0.1:3@4 slave aa 0 0 1 connected\nrb 10.0.0.2:1@2 slave ab 0 0 2 connected\ne 10.0.0.9:1@2 master - 0 0 3 connected\nre 10.0.0.9:2@3 slave e 0 0 3 connected\n"
	balance := func(nodes string, o BalanceOptions) Spread {
		s, err := Balance(parse(t, nodes), o)
		require.NoError(t, err)
		return s
	}
	// Machines are the hosts of addresses. One of two primaries takes the other machine.
	s := balance(nodes, BalanceOptions{})
	require.Empty(t, s.Moves, "there are not enough machines")
	require.Equal(t, []Failover{{"rb", "ab"}}, s.Failovers)
	require.True(t, strings.HasPrefix(s.Summary(), "0 replica moves, 1 failover\n  rb takes over from ab\nwarning: "))
	require.Len(t, s.After.Shards, 2, "one has no slots")
	// A replica that cannot be reached, or must not take over, does not take over.
	for _, flag := range []string{"slave,fail", "slave,nofailover", "slave,fail?"} {
		s = balance(strings.Replace(nodes, "slave ab", flag+" ab", 1), BalanceOptions{})
		require.Empty(t, s.Steps, flag)
		require.Equal(t, s.Before, s.After)
	}
	require.Contains(t, balance(strings.Replace(nodes, "slave ab", "slave,fail ab", 1), BalanceOptions{}).Warnings, "replica rb is not reachable (slave,fail) and keeps its primary")
	// A primary that must not take over stays one.
	s = balance(strings.Replace(strings.Replace(nodes, "slave ab", "slave,nofailover ab", 1), "2@3 master", "2@3 master,nofailover", 1), BalanceOptions{})
	require.Empty(t, s.Steps)
	// Replicas without an address do not share a machine.
	s = balance(nodes+"x :0@0 slave,noaddr aa 0 0 1 connected\ny :0@0 slave,noaddr aa 0 0 1 connected\n", BalanceOptions{})
	require.NotContains(t, s.Summary(), "replicas of the same primary")
	s = balance("aa 10.0.0.1:1@2 master - 0 0 1 connected 0-16383\n", BalanceOptions{})
	require.Contains(t, s.Warnings, "no replicas: if a primary fails, its slots are not served")
	// A zone counts more than a machine. Machines of different zones are different.
	s = balance(nodes, BalanceOptions{Machines: map[string]string{"rb": "10.0.0.1"}, Zones: map[string]string{"aa": "x", "ra": "y", "ab": "x", "rb": "x"}})
	require.Equal(t, []Failover{{"ra", "aa"}}, s.Failovers)
	for want, o := range map[string]BalanceOptions{
		`plan: Machines "zz": no node has this id`: {Machines: map[string]string{"zz": "a", "zzz": "a", "zzzz": "a"}, Zones: map[string]string{"y": "b"}},
		`plan: Zones "zz": no node has this id`:    {Zones: map[string]string{"zz": "a"}},
	} {
		_, err := Balance(parse(t, nodes), o)
		var input *InputError
		require.ErrorAs(t, err, &input)
		require.EqualError(t, err, want)
	}
	_, err := Balance(nil, BalanceOptions{})
	require.EqualError(t, err, "plan: Cluster: is nil")
	_, err = Balance(parse(t, "a h:1@2 master - 0 0 1 connected\n"), BalanceOptions{})
	require.EqualError(t, err, "plan: Cluster: no primary has slots")
	_, err = Balance(parse(t, strings.Replace(nodes, "2@3 master", "2@3 master,fail", 1)), BalanceOptions{})
	var state *StateError
	require.ErrorAs(t, err, &state)
	require.Equal(t, ProblemUnreachable, state.Problem)
}

// In a large cluster, the nodes of each shard are on one machine. Balance looks at some
// of the shards and leaves the others as they are, so it does not take long.
func TestBalanceOfManyNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand shards")
	}
	const shards = 1000
	var text strings.Builder
	for i := range shards * 2 {
		if i < shards {
			fmt.Fprintf(&text, "p%d 10.0.%d.%d:1@2 master - 0 0 1 connected %d-%d\n", i, i/250, i%250, i*hashslot.Count/shards, (i+1)*hashslot.Count/shards-1)
		} else {
			fmt.Fprintf(&text, "r%d 10.0.%d.%d:2@3 slave p%d 0 0 1 connected\n", i, i%shards/250, i%shards%250, i%shards)
		}
	}
	s, err := Balance(parse(t, text.String()), BalanceOptions{})
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(s.Moves), 100)
	require.LessOrEqual(t, len(s.Moves), maxChoices/100)
}

// One primary may have all the replicas. The work stays in proportion to their number.
func TestBalanceOfManyReplicas(t *testing.T) {
	const n = 6000
	var text strings.Builder
	fmt.Fprintf(&text, "p 10.1.0.0:1@2 master - 0 0 1 connected 0-8191\nq 10.1.0.1:1@2 master - 0 0 2 connected 8192-16383\n")
	for i := range n {
		fmt.Fprintf(&text, "r%d 10.0.%d.%d:1@2 slave p 0 0 1 connected\n", i, i/250, i%250)
	}
	b, err := newBalancer(parse(t, text.String()+"s 10.1.0.0:3@4 slave p 0 0 1 connected\n"), BalanceOptions{})
	require.NoError(t, err)
	var f flow
	movable := b.shards[0][1:]
	at := f.nodes(len(movable) + 1)
	b.nodes[movable[5]].zone = 1 // only one replica is in this zone
	b.ways(&f, 0, movable, at, at+len(movable))
	require.LessOrEqual(t, len(f.to)/2, 4*len(movable))

	require.Empty(t, b.worthwhile(), "too many replicas to look at")
}

// keepApart looks at the shards with pairs first. The shards times their replicas are at most
// 20 thousand, and times the replicas once more at most 20 million.
func TestBalanceWorthwhile(t *testing.T) {
	first := func(n int) (list []int) {
		for i := range n {
			list = append(list, i)
		}
		return list
	}
	for _, tc := range []struct {
		replicas []int // of each shard; negative if all its nodes are in different zones
		want     []int
	}{
		{[]int{-3, -1}, nil},
		{[]int{-3, 1}, first(2)},
		{[]int{-4472, 5}, []int{1}},
		{slices.Repeat([]int{2}, 101), first(100)},
		{append([]int{281}, slices.Repeat([]int{1}, 58)...), first(58)},
		{slices.Repeat([]int{400}, 5), first(5)},
		{[]int{4473}, nil},
	} {
		b := &balancer{}
		for s, n := range tc.replicas {
			b.shards = append(b.shards, nil)
			for zone := range max(n, -n) + 1 {
				if n > 0 {
					zone = 0
				}
				b.shards[s] = append(b.shards[s], len(b.nodes))
				b.nodes = append(b.nodes, member{zone: zone})
			}
		}
		require.Equal(t, fmt.Sprint(tc.want), fmt.Sprint(b.worthwhile()))
	}
}

// The layouts before and after have the slots of the shards.
func TestBalanceLayoutsHaveSlots(t *testing.T) {
	c := parse(t, "b 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-5 9\na 10.0.0.2:1@2 master - 0 0 2 connected 6-8 10-16383\n"+
		"d 10.0.0.1:2@2 slave b 0 0 1 connected\ne 10.0.0.2:2@2 slave a 0 0 2 connected\n")
	p, err := Balance(c, BalanceOptions{})
	require.NoError(t, err)
	require.Equal(t, "2 replica moves, 0 failovers\n  replica e from a to b\n  replica d from b to a\n", strings.Split(p.Summary(), "warning")[0])
	for _, l := range []Layout{p.Before, p.After} {
		require.Len(t, l.Shards, 2)
		require.Equal(t, slotmap.MustParseSet("6-8 10-16383"), l.Shards[0].Slots)
		require.Equal(t, slotmap.MustParseSet("0-5 9"), l.Shards[1].Slots)
	}
}
