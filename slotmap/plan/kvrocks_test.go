package plan

import (
	"errors"
	"fmt"
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

// A kvrocks is a node that follows the rules of Apache Kvrocks: Cluster::SetSlotRanges,
// SetClusterNodes, MigrateSlot and parseClusterNodes of src/cluster/cluster.cc,
// SlotMigrator::PerformSlotMigration and GetMigrationInfo of slot_migrate.cc, and
// CommandClusterX of src/commands/cmd_cluster.cc. It holds no keys, only their number in
// each slot.
type kvrocks struct {
	ranges    bool // CLUSTERX MIGRATE accepts ranges
	id        string
	version   int64 // -1: none
	nodes     map[string]*kvrocksNode
	owner     [hashslot.Count]string
	keys      [hashslot.Count]int
	migrated  map[hashslot.Slot]bool
	migrating slotmap.Range // of the last migration
	to, state string
}

type kvrocksNode struct{ host, port, role, primary string }

// A kvrocksCluster has nodes by address.
type kvrocksCluster map[string]*kvrocks

func newKvrocks(ranges bool, addrs ...string) kvrocksCluster {
	c := kvrocksCluster{}
	for _, a := range addrs {
		c[a] = &kvrocks{version: -1, ranges: ranges, migrated: map[hashslot.Slot]bool{}}
	}
	return c
}

// restart loses what a node keeps only in memory.
func (k *kvrocks) restart() {
	clear(k.migrated)
	k.state = ""
}

func (c kvrocksCluster) do(addr string, command []string) any {
	k := c[addr]
	refused := errors.New
	name := strings.Join(command[:2], " ")
	if k.version < 0 && (name == "CLUSTER NODES" || name == "CLUSTER INFO") {
		return refused("CLUSTERDOWN The cluster is not initialized")
	}
	parseSlots := func(text string) (set slotmap.Set, err error) {
		set, err = slotmap.ParseSet(text)
		if err == nil && set.IsEmpty() {
			err = refused("ERR No slots to parse.")
		}
		return set, err
	}
	switch name {
	case "CLUSTER NODES":
		return k.text()
	case "CLUSTER INFO":
		info := fmt.Sprintf("cluster_state:ok\r\ncluster_my_epoch:%d\r\n", k.version)
		if k.state != "" {
			field := "migrating_slot"
			if k.ranges {
				field = "migrating_slot(s)"
			}
			info += fmt.Sprintf("%s: %s\r\ndestination_node: %s\r\nmigrating_state: %s\r\n", field, k.migrating, k.to, k.state)
		}
		if k.state == "start" { // the migration has ended when the node is asked again
			k.migrate(c)
		}
		return info
	case "CLUSTERX SETNODEID":
		if len(command[2]) != 40 {
			return refused("ERR Invalid node id")
		}
		k.id = command[2]
		return "OK"
	case "CLUSTERX SETNODES":
		version, err := strconv.ParseInt(command[3], 10, 64)
		switch {
		case err != nil || version < 0 || k.version > version:
			return refused("ERR Invalid version of cluster")
		case k.version == version:
			return "OK"
		}
		nodes, owner := map[string]*kvrocksNode{}, [hashslot.Count]string{}
		for l := range strings.SplitSeq(command[2], "\n") {
			f := strings.Fields(l)
			if len(f) < 5 || len(f[0]) != 40 || f[3] == "slave" && (len(f[4]) != 40 || len(f) > 5) || f[3] == "master" && f[4] != "-" {
				return refused("ERR Invalid cluster nodes info")
			}
			nodes[f[0]] = &kvrocksNode{f[1], f[2], f[3], f[4]}
			if len(f) > 5 {
				set, err := parseSlots(strings.Join(f[5:], " "))
				if err != nil {
					return refused("ERR Invalid slot")
				}
				for slot := range set.Slots() {
					if owner[slot] != "" {
						return refused("ERR Slot distribution is overlapped")
					}
					owner[slot] = f[0]
				}
			}
		}
		k.version, k.nodes, k.owner = version, nodes, owner
		return "OK"
	case "CLUSTERX MIGRATE":
		set, err := parseSlots(command[2])
		list := slices.Collect(set.Ranges())
		if err != nil || len(list) > 1 || !k.ranges && set.Len() > 1 {
			return refused("ERR value is not an integer or out of range")
		}
		r := list[0]
		to := k.nodes[command[3]]
		for slot := range set.Slots() {
			if k.owner[slot] != k.id {
				return refused("ERR Can't migrate slot which doesn't belong to me")
			}
		}
		switch {
		case to == nil:
			return refused("ERR Can't find the destination node id")
		case k.nodes[k.id].role != "master":
			return refused("ERR Slave can't migrate slot")
		case to.role != "master":
			return refused("ERR Can't migrate slot to a slave")
		case command[3] == k.id:
			return refused("ERR Can't migrate slot to myself")
		case k.state == "start":
			return refused("ERR There is already a migrating slot")
		case k.state == "success" && k.migrating == r:
			return refused("ERR Can't migrate slot which has been migrated")
		}
		k.migrating, k.to, k.state = r, command[3], "start"
		return "OK"
	case "CLUSTERX SETSLOT":
		set, err := parseSlots(command[2])
		version, bad := strconv.ParseInt(command[5], 10, 64)
		to := k.nodes[command[4]]
		switch {
		case err != nil || bad != nil || command[3] != "NODE" || len(command[4]) != 40:
			return refused("ERR Invalid setslot options")
		case version <= 0 || version != k.version+1:
			return refused("ERR Invalid version of cluster")
		case to == nil:
			return refused("ERR No this node in the cluster")
		case to.role != "master":
			return refused("ERR The node isn't a master")
		}
		k.version = version
		for slot := range set.Slots() {
			if k.owner[slot] == k.id && command[4] != k.id && k.migrated[slot] {
				k.keys[slot] = 0
				delete(k.migrated, slot)
			}
			k.owner[slot] = command[4]
		}
		return "OK"
	}
	return refused("ERR unknown command " + name)
}

// migrate copies the slots.
func (k *kvrocks) migrate(c kvrocksCluster) {
	to := c[k.nodes[k.to].host+":"+k.nodes[k.to].port]
	for slot := k.migrating.First; slot <= k.migrating.Last; slot++ {
		to.keys[slot] = k.keys[slot]
		k.migrated[slot] = true
	}
	k.state = "success"
}

func (k *kvrocks) text() string {
	slots := map[string]*slotmap.Set{}
	last, set := "", (*slotmap.Set)(nil)
	for slot, id := range k.owner {
		if id != last || set == nil {
			if last, set = id, slots[id]; set == nil {
				set = new(slotmap.Set)
				slots[id] = set
			}
		}
		set.Add(hashslot.Slot(slot))
	}
	var b strings.Builder
	for id, n := range k.nodes {
		me := ""
		if id == k.id {
			me = "myself,"
		}
		fmt.Fprintf(&b, "%s %s:%s@1 %s%s %s 0 0 %d connected", id, n.host, n.port, me, n.role, n.primary, k.version)
		if set := slots[id]; set != nil {
			b.WriteString(" " + set.String())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// run carries out a step as the documentation of Step says.
func (c kvrocksCluster) run(s Step) (p Progress, why string) {
	for range 20 {
		if p == ProgressNotStarted {
			if p, _ = s.Answer(c.do(s.Addr, s.Command)); p == ProgressDone {
				return p, ""
			}
		}
		var replies []any
		for _, ask := range s.Until.Ask {
			replies = append(replies, c.do(s.Addr, ask))
		}
		if p, why = s.Progress(replies...); p == ProgressDone || p == ProgressFailed {
			return p, why
		}
	}
	return p, why
}

func kvrocksID(n int) string { return fmt.Sprintf("%040d", n) }

// A cluster is created and a plan is carried out. The program is killed and begins again
// with earlier steps, and sources are restarted. All keys arrive.
func TestClusterX(t *testing.T) {
	for _, ranges := range []bool{false, true} {
		rng := rand.New(rand.NewPCG(5, 6))
		host := func(i int) Host { return Host{Addr: fmt.Sprintf("10.0.0.%d:6666", i), ID: kvrocksID(i)} }
		l := Layout{Shards: []LayoutShard{
			{Primary: host(1), Slots: slotmap.MustParseSet("0-8 10-8000"), Replicas: []Host{host(3)}},
			{Primary: host(2), Slots: slotmap.MustParseSet("9 8001-16380"), Replicas: []Host{host(4)}},
			{Primary: host(5)},
		}}
		steps, err := l.ClusterX()
		require.NoError(t, err)
		c := newKvrocks(ranges, "10.0.0.1:6666", "10.0.0.2:6666", "10.0.0.3:6666", "10.0.0.4:6666", "10.0.0.5:6666")
		for i := 0; i < len(steps); i++ {
			p, why := c.run(steps[i])
			require.Equal(t, ProgressDone, p, why)
			if rng.IntN(4) == 0 {
				i = max(-1, i-rng.IntN(5))
			}
		}
		view := func(addr string) *topology.Cluster {
			v, err := topology.ParseNodes(c[addr].text(), topology.Origin{})
			require.NoError(t, err)
			return v
		}
		for slot := range hashslot.Slot(hashslot.Count) {
			for _, k := range c {
				if k.owner[slot] == k.id {
					k.keys[slot] = 1 + int(slot)%7
				}
			}
		}
		v := view("10.0.0.1:6666")
		p, err := New(v, []Move{
			{From: kvrocksID(1), To: kvrocksID(5), Slots: slotmap.MustParseSet("0-3 8 10-12")},
			{From: kvrocksID(2), To: kvrocksID(1), Slots: slotmap.MustParseSet("9 8001")},
			{To: kvrocksID(5), Slots: slotmap.MustParseSet("16381-16383")},
		})
		require.NoError(t, err)
		seq, err := p.ClusterX(v, ranges)
		require.NoError(t, err)
		steps = slices.Collect(seq)
		want := map[bool]int{false: 10*6 + 5, true: 5*6 + 5}[ranges]
		require.Len(t, steps, want)
		p.Steps = steps
		requireReadsBack(t, p)
		for i := 0; i < len(steps); i++ {
			got, why := c.run(steps[i])
			require.Equal(t, ProgressDone, got, "%s: %s", steps[i], why)
			switch rng.IntN(6) {
			case 0: // killed, and nobody knows at which step
				i = max(-1, i-rng.IntN(12))
			case 1:
				for _, k := range c {
					if k.state != "start" && len(k.migrated) == 0 {
						k.restart()
					}
				}
			}
		}
		for addr := range c {
			require.True(t, p.After.Equal(tableOf(view(addr))), addr)
			require.EqualValues(t, 2+(want-5)/6, c[addr].version)
		}
		for slot := range hashslot.Slot(16381) {
			id, _ := p.After.Lookup(slot)
			for _, k := range c {
				if want := 1 + int(slot)%7; k.id == id && k.keys[slot] != want {
					t.Fatalf("slot %d: %d keys, want %d", slot, k.keys[slot], want)
				}
			}
		}
	}
}

func tableOf(c *topology.Cluster) *slotmap.Table[string] {
	var b slotmap.Builder[string]
	for r, s := range c.Table().Ranges() {
		b.Assign(r, s.Primary.ID)
	}
	return b.Build()
}

// A step that Kvrocks refuses for good fails and gives the reason.
func TestClusterXFails(t *testing.T) {
	a, b := Node{ID: kvrocksID(1), Addr: "a:1"}, Node{ID: kvrocksID(2), Addr: "b:1"}
	slot5 := []slotmap.Range{{First: 5, Last: 5}}
	set := versioned(KindOwner, a, 8, "SETSLOT", "5", "NODE", b.ID)
	set.Peer, set.Slots = b.ID, slot5
	nodes := func(version int) string {
		return fmt.Sprintf("%s a:1@1 myself,master - 0 0 %d connected\n%s b:1@1 master - 0 0 %[2]d connected\n%[4]s c:1@1 master - 0 0 %[2]d connected\n", a.ID, version, b.ID, kvrocksID(3))
	}
	owned := func(version int, owner int) string {
		var text strings.Builder
		for l := range strings.Lines(nodes(version)) {
			if strings.HasPrefix(l, kvrocksID(owner)) {
				l = strings.TrimSuffix(l, "\n") + " 5\n"
			}
			text.WriteString(l)
		}
		return text.String()
	}
	export := exportedByKvrocks(a, b, slot5[0])
	info := func(slot, to, state string) string {
		return "cluster_my_epoch:7\r\nmigrating_slot: " + slot + "\r\ndestination_node: " + to + "\r\nmigrating_state: " + state + "\r\n"
	}
	set19, setHuge, set56 := set, set, set
	set19.Command = versioned(KindOwner, a, 19, "SETSLOT", "5", "NODE", b.ID).Command
	setHuge.Command = versioned(KindOwner, a, 1<<63+1, "SETSLOT", "5", "NODE", b.ID).Command
	set56.Slots = []slotmap.Range{{First: 5, Last: 6}}
	create := versioned(KindNodes, a, 1, "SETNODES", "...")
	for _, tc := range []struct {
		name    string
		step    Step
		replies []any
		want    Progress
		why     string
	}{
		{"set", set, []any{owned(8, 2)}, ProgressDone, ""},
		{"set long ago", set, []any{owned(12, 2)}, ProgressDone, ""},
		{"not yet", set, []any{owned(7, 1)}, ProgressNotStarted, ""},
		{"missed one", set, []any{owned(5, 1)}, ProgressFailed, "has version 5 and accepts only version 6: send it the nodes of the others by CLUSTERX SETNODES"},
		{"another controller", set, []any{owned(8, 3)}, ProgressFailed, "has version 8, and other nodes own the slots: somebody else changes the cluster; make a new plan"},
		{"missed the last", set, []any{owned(6, 1)}, ProgressFailed, "has version 6 and accepts only version 7: send it the nodes of the others by CLUSTERX SETNODES"},
		{"not yet", set19, []any{owned(18, 1)}, ProgressNotStarted, ""},
		{"not yet", setHuge, []any{strings.ReplaceAll(owned(7, 1), " 7 connected", " 9223372036854775808 connected")}, ProgressNotStarted, ""},
		{"only the last slot", set56, []any{strings.ReplaceAll(owned(8, 2), " 5\n", " 6\n")}, ProgressFailed, "has version 8, and other nodes own the slots: somebody else changes the cluster; make a new plan"},
		{"without a command", Step{Kind: KindNodes, Until: create.Until}, []any{nodes(4)}, ProgressFailed, "already has version 4 of a cluster"},
		{"with a short command", Step{Kind: KindNodes, Until: create.Until, Command: []string{"4"}}, []any{nodes(4)}, ProgressDone, ""},
		{"another failed", export, []any{info("6", b.ID, "fail"), owned(7, 1)}, ProgressNotStarted, ""},
		{"created", create, []any{nodes(1)}, ProgressDone, ""},
		{"not yet", create, []any{errors.New("CLUSTERDOWN The cluster is not initialized")}, ProgressNotStarted, "CLUSTERDOWN The cluster is not initialized"},
		{"of another cluster", create, []any{nodes(4)}, ProgressFailed, "already has version 4 of a cluster"},
		{"migrates", export, []any{info("5", b.ID, "start"), owned(7, 1)}, ProgressRunning, "migrates slots 5"},
		{"migrates a range", export, []any{strings.Replace(info("0-9", b.ID, "start"), "slot:", "slot(s):", 1), owned(7, 1)}, ProgressRunning, "migrates slots 0-9"},
		{"has migrated", export, []any{info("5", b.ID, "success"), owned(7, 1)}, ProgressDone, ""},
		{"has migrated another", export, []any{info("6", b.ID, "success"), owned(7, 1)}, ProgressNotStarted, ""},
		{"to another", export, []any{info("5", kvrocksID(3), "success"), owned(7, 1)}, ProgressNotStarted, ""},
		{"failed", export, []any{info("5", b.ID, "fail"), owned(7, 1)}, ProgressNotStarted, "migrating_state:fail"},
		{"is done", export, []any{"cluster_my_epoch:8\r\n", owned(8, 2)}, ProgressDone, ""},
		{"restarted", export, []any{"cluster_my_epoch:7\r\n", owned(7, 1)}, ProgressNotStarted, ""},
		{"elsewhere", export, []any{"cluster_my_epoch:8\r\n", owned(8, 3)}, ProgressFailed, "slot 5 is owned by " + kvrocksID(3)},
	} {
		p, why := tc.step.Progress(tc.replies...)
		require.Equal(t, tc.want, p, "%s %s: %s", tc.step.Kind, tc.name, why)
		require.Equal(t, tc.why, why, tc.name)
	}

	var input *InputError
	for want, hosts := range map[string][2]Host{
		`plan: ID "short": must have 40 bytes`:      {{Addr: "a:1", ID: "short"}, {Addr: "b:1", ID: kvrocksID(2)}},
		`plan: hosts "b:1": has the same ID as a:1`: {{Addr: "a:1", ID: kvrocksID(1)}, {Addr: "b:1", ID: kvrocksID(1)}},
		`plan: hosts "b c:1": must be host:port`:    {{Addr: "a:1", ID: kvrocksID(1)}, {Addr: "b c:1", ID: kvrocksID(2)}},
		`plan: hosts "b\n:1": must be host:port`:    {{Addr: "a:1", ID: kvrocksID(1)}, {Addr: "b\n:1", ID: kvrocksID(2)}},
		`plan: hosts "b": must be host:port`:        {{Addr: "a:1", ID: kvrocksID(1)}, {Addr: "b", ID: kvrocksID(2)}},
	} {
		l := Layout{Shards: []LayoutShard{{Primary: hosts[0], Slots: slotmap.MustParseSet("0-16383"), Replicas: hosts[1:]}}}
		_, err := l.ClusterX()
		require.ErrorAs(t, err, &input)
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, checkKvrocksID(kvrocksID(1)))
	for _, space := range []string{" ", "\n"} {
		require.Error(t, checkKvrocksID(kvrocksID(1)[:39]+space))
	}
	parse := func(text string) *topology.Cluster {
		c, err := topology.ParseNodes(text, topology.Origin{})
		require.NoError(t, err)
		return c
	}
	p := Plan{Moves: []Move{{From: a.ID, To: b.ID, Slots: slotmap.MustParseSet("5")}}}
	for want, text := range map[string]string{
		"plan: view: must be the reply of one node to CLUSTER NODES":                             strings.Replace(owned(7, 1), "myself,", "", 1),
		`plan: ID "x": must have 40 bytes`:                                                       "x a:1@1 myself,master - 0 0 7 connected 5\n",
		`plan: view "` + b.ID + `": the plan has this node, but it is not a primary of the view`: strings.Replace(owned(7, 1), b.ID+" b:1@1 master -", b.ID+" b:1@1 slave "+a.ID, 1),
	} {
		_, err := p.ClusterX(parse(text), false)
		require.ErrorAs(t, err, &input)
		require.ErrorContains(t, err, want)
	}
	_, err := p.ClusterX(nil, false)
	require.ErrorAs(t, err, &input)
	require.EqualError(t, err, "plan: view: is nil")
	p.Moves = append(p.Moves, Move{From: a.ID, To: kvrocksID(9), Slots: slotmap.MustParseSet("6")})
	_, err = p.ClusterX(parse(owned(7, 1)), false)
	require.ErrorAs(t, err, &input)
	require.EqualError(t, err, `plan: view "`+kvrocksID(9)+`": the plan has this node, but it is not a primary of the view`)
}

func TestClusterXSteps(t *testing.T) {
	a, b, c := Node{ID: kvrocksID(1), Addr: "a:1"}, Node{ID: kvrocksID(2), Addr: "b:1"}, Node{ID: kvrocksID(3), Addr: "c:1"}
	view := parse(t, fmt.Sprintf("%s c:1@1 slave %s 0 0 7 connected\n%s b:1@1 master - 0 0 7 connected\n%[2]s a:1@1 myself,master - 0 0 7 connected 5-6\n", c.ID, a.ID, b.ID))
	p := Plan{Moves: []Move{{From: a.ID, To: b.ID, Slots: slotmap.MustParseSet("5-6")}}}
	seq, err := p.ClusterX(view, false)
	require.NoError(t, err)
	var steps []Step
	var lines []string
	for s := range seq {
		steps, lines = append(steps, s), append(lines, fmt.Sprint(s.Round, " ", s))
	}
	at := func(slot hashslot.Slot, n Node, version uint64, round int) Step {
		s := versioned(KindOwner, n, version, "SETSLOT", fmt.Sprint(slot), "NODE", b.ID)
		s.Peer, s.PeerAddr, s.Slots, s.Round = b.ID, b.Addr, one(slot), round
		return s
	}
	require.Equal(t, []Step{
		exportedByKvrocks(a, b, one(5)[0]), at(5, a, 8, 1), at(5, b, 8, 1), at(5, c, 8, 1),
		exportedByKvrocks(a, b, one(6)[0]), at(6, a, 9, 2), at(6, b, 9, 2), at(6, c, 9, 2),
	}, steps)
	for n := range steps { // the iteration can stop at any step
		for range seq {
			if n--; n < 0 {
				break
			}
		}
	}

	host := func(n Node) Host { return Host{Addr: n.Addr, ID: n.ID} }
	l := Layout{Shards: []LayoutShard{{Primary: host(a), Slots: slotmap.MustParseSet("0-16383"), Replicas: []Host{host(b)}}}}
	list, err := l.ClusterX()
	require.NoError(t, err)
	nodes := a.ID + " a 1 master - 0-16383\n" + b.ID + " b 1 slave " + a.ID
	set := func(n Node) Step {
		s := versioned(KindNodes, n, 1, "SETNODES", nodes)
		s.Round = 2
		return s
	}
	id := func(n Node) Step {
		return Step{Kind: KindID, Node: n.ID, Addr: n.Addr, Round: 1, Command: []string{"CLUSTERX", "SETNODEID", n.ID}, Until: Until{Condition: untilAnswered}}
	}
	require.Equal(t, []Step{id(a), id(b), set(a), set(b)}, list)
	require.Equal(t, []string{
		"0 a:1> CLUSTERX MIGRATE 5 " + b.ID + "  # then repeat CLUSTER INFO and CLUSTER NODES until the node has migrated the slots to the peer",
		"1 a:1> CLUSTERX SETSLOT 5 NODE " + b.ID + " 8", "1 b:1> CLUSTERX SETSLOT 5 NODE " + b.ID + " 8", "1 c:1> CLUSTERX SETSLOT 5 NODE " + b.ID + " 8",
	}, lines[:4])
}
