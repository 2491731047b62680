package topology_test

import (
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

const nodes = `07c37dfe 10.0.0.4:6379@16379 slave e7d1eecc 0 1426238317239 4 connected
67ed2db8 10.0.0.2:6379@16379,node-2.example.com master - 0 1426238316232 2 connected 8192-16383 [8192->-e7d1eecc]
e7d1eecc :6379@16379 myself,master - 0 0 4 connected 0-8191
`

// This makes a map from one reply, finds a key's owner, and corrects the map by a
// redirect. For a client's complete loop see the example of Refresher.
func Example() {
	view, err := topology.ParseNodes(nodes, topology.Origin{Addr: "10.0.0.1:6379"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var router topology.Router
	router.Apply(view, router.Generation())

	shard, seen := router.ForKey("user:{42}:name")
	fmt.Println(shard.Primary.Addr())
	redirect, err := topology.ParseRedirect("MOVED 8000 10.0.0.2:6379", topology.Origin{Addr: shard.Primary.Addr()})
	if err != nil {
		fmt.Println(err)
		return
	}
	router.Moved(redirect, shard.Primary, seen)
	shard, _ = router.ForKey("user:{42}:name")
	fmt.Println(shard.Primary.Addr())
	// Output:
	// 10.0.0.1:6379
	// 10.0.0.2:6379
}

func ExampleParseNodes() {
	// The node that was asked does not know its address. The client does.
	c, err := topology.ParseNodes(nodes, topology.Origin{Addr: "10.0.0.1:6379"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range c.Shards() {
		slots := c.Table().SlotsOf(s)
		fmt.Println(s.Primary.ID, s.Primary.Addr(), slots)
		for _, r := range s.Replicas {
			fmt.Println("  replica", r.ID, r.Addr())
		}
	}
	for _, o := range c.Open() {
		fmt.Println("slot", o.Slot, "goes from", o.From, "to", o.To)
	}
	// Output:
	// e7d1eecc 10.0.0.1:6379 0-8191
	//   replica 07c37dfe 10.0.0.4:6379
	// 67ed2db8 10.0.0.2:6379 8192-16383
	// slot 8192 goes from 67ed2db8 to e7d1eecc
}

func ExampleParseSlots() {
	// The reply to CLUSTER SLOTS, as a client decodes it.
	reply := []any{
		[]any{int64(0), int64(8191), []any{nil, int64(6379), "e7d1eecc", []any{"ip", "10.0.0.1"}}},
		[]any{int64(8192), int64(16383), []any{"?", int64(6379), "67ed2db8", []any{"ip", "10.0.0.2"}}},
	}
	c, err := topology.ParseSlots(reply, topology.Origin{Addr: "cache.example.com"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range c.Nodes() {
		fmt.Printf("%s %q\n", n.ID, n.Addr())
	}

	_, err = topology.ParseSlots([]any{[]any{int64(0), int64(16384), []any{"h", int64(6379)}}}, topology.Origin{})
	fmt.Println(err)
	// Output:
	// e7d1eecc "cache.example.com:6379"
	// 67ed2db8 ""
	// CLUSTER SLOTS: slots[0][1]: is the number 16384, not a slot from 0 to 16383
}

func ExampleParseShards() {
	// The reply to CLUSTER SHARDS, as a client decodes it. The old primary of the shard
	// has failed.
	node := func(id, ip, role, health string) any {
		return map[string]any{"id": id, "port": int64(6379), "ip": ip, "endpoint": ip, "role": role, "replication-offset": int64(72156), "health": health}
	}
	reply := []any{
		map[string]any{"slots": []any{int64(0), int64(16383)}, "nodes": []any{
			node("e7d1eecc", "10.0.0.1", "master", "fail"),
			node("07c37dfe", "10.0.0.4", "master", "online"),
			node("67ed2db8", "10.0.0.2", "replica", "loading"),
		}},
	}
	c, err := topology.ParseShards(reply, topology.Origin{Addr: "10.0.0.4:6379"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range c.Nodes() {
		fmt.Println(n.ID, n.Role, n.Health, "- serves:", n.Serves())
	}
	fmt.Print(c.Table())
	// Output:
	// e7d1eecc primary fail - serves: false
	// 07c37dfe primary online - serves: true
	// 67ed2db8 replica loading - serves: false
	// 07c37dfe 10.0.0.4:6379 0-16383
}

func ExampleParseRedirect() {
	from := topology.Origin{Addr: "10.0.0.1:6379"}
	for _, message := range []string{"MOVED 3999 10.0.0.7:6381", "ASK 3999 :6381", "MOVED 3999 2001:db8::1:6381", "MOVED 3999 ?:6381", "ERR syntax error", "MOVED 16384 10.0.0.7:6381"} {
		redirect, err := topology.ParseRedirect(message, from)
		switch {
		case err != nil:
			fmt.Println(err)
		case redirect.Addr() == "":
			fmt.Println("slot", redirect.Slot, "to a node without an address: ask for a view")
		default:
			fmt.Println("slot", redirect.Slot, redirect.Addr(), "ASK:", redirect.Ask)
		}
	}
	// Output:
	// slot 3999 10.0.0.7:6381 ASK: false
	// slot 3999 10.0.0.1:6381 ASK: true
	// slot 3999 [2001:db8::1]:6381 ASK: false
	// slot 3999 to a node without an address: ask for a view
	// topology: not a redirect
	// MOVED: byte 6 of "MOVED 16384 10.0.0.7:6381": the slot is not a number from 0 to 16383
}

func ExampleRedirect() {
	redirect := topology.Redirect{Slot: 3999, Host: "2001:db8::1", Port: 6379}
	fmt.Println(redirect.Addr())
	// Output: [2001:db8::1]:6379
}

func ExampleClassify() {
	for _, message := range []string{
		"MOVED 3999 10.0.0.7:6381",
		"TRYAGAIN Multiple keys request during rehashing of slot",
		"CLUSTERDOWN Hash slot not served",
		"LOADING Valkey is loading the dataset in memory",
		"READONLY You can't write against a read only replica.",
		"CROSSSLOT Keys in request don't hash to the same slot",
		"WRONGTYPE Operation against a key holding the wrong kind of value",
	} {
		fmt.Println(topology.Classify(message))
	}
	// Output:
	// moved
	// retry
	// refresh
	// other node
	// primary
	// fail
	// none
}

// A reply has more than the map: which node was asked, and what was ignored.
func ExampleCluster() {
	c, err := topology.ParseNodes(nodes+"odd 10.0.0.9:6379@16379 witness - 0 0 0 connected\n", topology.Origin{Addr: "10.0.0.1:6379"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(c.Nodes()), "nodes, asked:", c.Myself().ID)
	fmt.Println("nobody owns:", c.Unassigned().Len(), "slots")
	for _, w := range c.Warnings() {
		fmt.Println(w)
	}
	// Output:
	// 4 nodes, asked: e7d1eecc
	// nobody owns: 0 slots
	// line 4, byte 270: unknown flag "witness"
}

func ExampleNode() {
	c, err := topology.ParseNodes("a 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-16383\nb :0@0 slave,fail,noaddr a 0 0 1 disconnected\n", topology.Origin{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range c.Nodes() {
		fmt.Printf("%s %q %v serves: %v\n", n.ID, n.Addr(), n.Role, n.Serves())
	}
	// Output:
	// a "10.0.0.1:6379" primary serves: true
	// b "" replica serves: false
}

func ExampleFlags() {
	c, err := topology.ParseNodes(nodes, topology.Origin{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range c.Nodes() {
		fmt.Println(n.ID, n.Flags, n.Flags.Has(topology.FlagMyself|topology.FlagPrimary))
	}
	// Output:
	// 07c37dfe slave false
	// 67ed2db8 master false
	// e7d1eecc myself,master true
}

func ExampleNewCluster() {
	// The nodes are an operator's own records.
	c, err := topology.NewCluster([]topology.Node{
		{ID: "a", Host: "10.0.0.1", Port: 6379, Role: topology.RolePrimary, ConfigEpoch: 1, Slots: []slotmap.Range{{First: 0, Last: 8191}}},
		{ID: "b", Host: "10.0.0.2", Port: 6379, Role: topology.RolePrimary, ConfigEpoch: 2, Slots: []slotmap.Range{{First: 8192, Last: 16000}}},
		{ID: "c", Host: "10.0.0.3", Port: 6379, Role: topology.RoleReplica, PrimaryID: "a"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Table())
	fmt.Println("nobody owns", c.Unassigned())
	// Output:
	// a 10.0.0.1:6379 0-8191
	// b 10.0.0.2:6379 8192-16000
	// (unassigned) 16001-16383
	//
	// nobody owns 16001-16383
}

func ExampleMerge() {
	// A node that was away still believes that it owns its slots.
	away, _ := topology.ParseNodes("a h:1@2 myself,master - 0 0 1 connected 0-99\nb h:2@2 slave a 0 0 1 connected\n", topology.Origin{})
	fresh, _ := topology.ParseNodes("a h:1@2 master,fail - 0 0 1 disconnected\nb h:2@2 myself,master - 0 0 6 connected 0-99\n", topology.Origin{})
	c, err := topology.Merge(away, fresh)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Table())
	for _, d := range c.Disagreements() {
		fmt.Println(d.Slots, d.Owner, "not", d.Other, "-", d.Reason)
	}
	// Output:
	// b h:2 0-99
	// (unassigned) 100-16383
	//
	// 0-99 b h:2 not a h:1 - config epoch 6 over 1
}

func ExampleRouter() {
	view, err := topology.ParseNodes(nodes, topology.Origin{Addr: "10.0.0.1:6379"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var router topology.Router
	router.OnChange = func(c *topology.Change) {
		for _, n := range c.Added {
			fmt.Println("open a pool for", n.ID)
		}
	}
	router.Apply(view, router.Generation())

	// A command: the shard of its key, and the generation of the map it goes by.
	shard, seen := router.ForKey("user:{42}:name")
	fmt.Println("send to", shard.Primary.Addr())

	// What the node answers.
	answer := "MOVED 8000 10.0.0.2:6379"
	if topology.Classify(answer) == topology.ActionMoved {
		redirect, err := topology.ParseRedirect(answer, topology.Origin{Addr: shard.Primary.Addr()})
		if err != nil {
			fmt.Println(err)
			return
		}
		result := router.Moved(redirect, nil, seen)
		fmt.Println(result.Outcome, "- send to", result.Node.Addr(), "- refresh:", result.Refresh)
	}
	shard, _ = router.ForKey("user:{42}:mail")
	fmt.Println("send to", shard.Primary.Addr())
	// Output:
	// open a pool for 07c37dfe
	// open a pool for 67ed2db8
	// open a pool for e7d1eecc
	// send to 10.0.0.1:6379
	// patched - send to 10.0.0.2:6379 - refresh: true
	// send to 10.0.0.2:6379
}

// A client keeps what it knows of each node, its pool and its latency, in a map
// that it replaces when nodes come and go. Reads look at it without a lock.
func ExampleRouter_weight() {
	type pool struct{ latency atomic.Int64 } // microseconds, a moving average
	var pools atomic.Pointer[map[string]*pool]
	pools.Store(new(map[string]*pool))

	var router topology.Router
	router.OnChange = func(c *topology.Change) { // one at a time
		next := maps.Clone(*pools.Load())
		if next == nil {
			next = map[string]*pool{}
		}
		for _, n := range c.Added {
			next[n.ID] = new(pool)
		}
		for _, n := range c.Removed {
			delete(next, n.ID)
		}
		pools.Store(&next)
	}
	router.Weight = func(n *topology.Node) uint32 {
		p := (*pools.Load())[n.ID]
		if p == nil {
			return 1 // OnChange has not heard of it yet
		}
		return uint32(1e6 / max(p.latency.Load(), 1))
	}

	view, err := topology.ParseNodes("a h:1@2 master - 0 0 1 connected 0-16383\nb h:2@2 slave a 0 0 1 connected\nc h:3@2 slave a 0 0 1 connected\n", topology.Origin{})
	if err != nil {
		fmt.Println(err)
		return
	}
	router.Apply(view, router.Generation())
	(*pools.Load())["a"].latency.Store(1000)
	(*pools.Load())["b"].latency.Store(3000)
	(*pools.Load())["c"].latency.Store(1e7) // weight 0
	count := map[string]int{}
	for range 10000 {
		n, _ := router.ReadKey("user:42", topology.ReadAny)
		count[n.ID]++
	}
	fmt.Println("a answers more than b:", count["a"] > 2*count["b"], "- reads from c:", count["c"])
	// Output:
	// a answers more than b: true - reads from c: 0
}

func ExampleRouter_Primaries() {
	view, err := topology.ParseNodes(nodes, topology.Origin{Addr: "10.0.0.1:6379"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var router topology.Router
	router.Apply(view, router.Generation())
	for n := range router.Primaries() {
		fmt.Println("DBSIZE to", n.Addr())
	}
	fmt.Println("PUBLISH to any node:", router.Any(topology.ReadAny) != nil)
	// Output:
	// DBSIZE to 10.0.0.1:6379
	// DBSIZE to 10.0.0.2:6379
	// PUBLISH to any node: true
}

// Reads go to replicas; when the only one fails, to the primary, until it answers
// again.
func ExampleRouter_Read() {
	view, err := topology.ParseNodes(nodes, topology.Origin{Addr: "10.0.0.1:6379"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var router topology.Router
	router.Apply(view, router.Generation())

	replica, _ := router.ReadKey("user:{42}:name", topology.ReadReplica)
	fmt.Println("READONLY and GET to", replica.Addr())
	router.Failed(replica)
	node, _ := router.Read(8000, topology.ReadReplica)
	fmt.Println("GET to", node.Addr())
	router.Succeeded(replica)
	node, _ = router.Read(8000, topology.ReadReplica)
	fmt.Println("READONLY and GET to", node.Addr())
	// Output:
	// READONLY and GET to 10.0.0.4:6379
	// GET to 10.0.0.1:6379
	// READONLY and GET to 10.0.0.4:6379
}

// A primary that cannot be reached keeps its slots until the cluster says who has
// them.
func ExampleRouter_Failed() {
	view, err := topology.ParseNodes(nodes, topology.Origin{Addr: "10.0.0.1:6379"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var router topology.Router
	router.Apply(view, router.Generation())

	shard, _ := router.ForKey("user:{42}:name")
	result := router.Failed(shard.Primary)
	fmt.Println(result.Outcome, "- ask for a view:", result.Refresh)
	router.RefreshFailed() // no node has answered: the next failure asks again
	result = router.Failed(shard.Primary)
	fmt.Println(result.Outcome, "- ask for a view:", result.Refresh)
	shard, _ = router.ForKey("user:{42}:name")
	fmt.Println(shard.Primary.Addr(), shard.Primary.Flags)
	// The replica has taken over, with a higher epoch.
	view, err = topology.ParseNodes(`07c37dfe 10.0.0.4:6379@16379 myself,master - 0 0 5 connected 0-8191
67ed2db8 10.0.0.2:6379@16379 master - 0 0 2 connected 8192-16383
e7d1eecc 10.0.0.1:6379@16379 master,fail - 0 0 4 disconnected
`, topology.Origin{})
	if err != nil {
		fmt.Println(err)
		return
	}
	result = router.Apply(view, result.Seen)
	shard, _ = router.ForKey("user:{42}:name")
	fmt.Println(result.Outcome, shard.Primary.Addr())
	// Output:
	// suspected - ask for a view: true
	// unchanged - ask for a view: true
	// 10.0.0.1:6379 myself,master,fail?
	// applied 10.0.0.4:6379
}

// Sharded channels follow their slots.
func ExampleRouter_Resubscribe() {
	var router topology.Router
	subscribed := []string{"{42}news", "{43}news"}
	router.OnChange = func(c *topology.Change) {
		groups, _ := router.Resubscribe(c, subscribed)
		for _, owner := range groups {
			for _, slot := range owner.Slots {
				for _, i := range slot.Keys {
					fmt.Println("SSUBSCRIBE", subscribed[i], "at", owner.Owner.Primary.ID)
				}
			}
		}
	}
	for _, text := range []string{nodes, "67ed2db8 10.0.0.2:6379@16379 master - 0 0 6 connected 8000-16383\ne7d1eecc 10.0.0.1:6379@16379 myself,master - 0 0 4 connected 0-7999\n"} {
		view, err := topology.ParseNodes(text, topology.Origin{Addr: "10.0.0.1:6379"})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(router.Apply(view, router.Generation()).Outcome)
	}
	// Output:
	// SSUBSCRIBE {42}news at e7d1eecc
	// SSUBSCRIBE {43}news at e7d1eecc
	// applied
	// SSUBSCRIBE {42}news at 67ed2db8
	// applied
}

// A walk over all keys: Scan names the node that the cursor belongs to.
func ExampleScanCursor() {
	view, err := topology.ParseNodes(nodes, topology.Origin{Addr: "10.0.0.1:6379"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var router topology.Router
	router.Apply(view, router.Generation())

	var cursor topology.ScanCursor
	for _, reply := range []string{"1-{06S}-7", topology.ScanAt(8192).String(), "0"} { // what the nodes answer
		shard, next, _ := router.Scan(cursor)
		fmt.Println("CLUSTERSCAN", next, "to", shard.Primary.ID, "- slot", next.Slot(), "- begun:", next.Begun())
		more := false
		if cursor, more, err = topology.ParseScanCursor(reply); err != nil || !more {
			fmt.Println("the end", err)
		}
	}
	// Output:
	// CLUSTERSCAN 0-{06S}-0 to e7d1eecc - slot 0 - begun: false
	// CLUSTERSCAN 1-{06S}-7 to e7d1eecc - slot 0 - begun: true
	// CLUSTERSCAN 0-{8YG}-0 to 67ed2db8 - slot 8192 - begun: false
	// the end <nil>
}

func ExampleRouter_Split() {
	view, err := topology.ParseNodes(nodes, topology.Origin{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var router topology.Router
	router.Apply(view, router.Generation())
	keys := []string{"foo", "bar", "hello", "{foo}2"}
	groups, unassigned, _ := router.Split(keys)
	for _, g := range groups {
		fmt.Print(g.Owner.Primary.ID, ":")
		for _, i := range g.Keys {
			fmt.Print(" ", keys[i])
		}
		fmt.Println()
	}
	fmt.Println(len(unassigned), "keys of slots that nobody owns")
	// Output:
	// 67ed2db8: foo {foo}2
	// e7d1eecc: bar hello
	// 0 keys of slots that nobody owns
}

// ask stands for the client's own part: it sends a command to the node at addr
// and returns the answer, be it an error, or says why there is none. It plays a
// cluster in which c takes over from a, and a from c when that has failed.
func ask(addr, command string) (answer string, err error) {
	const (
		a, b, c = "10.0.0.1:6379", "10.0.0.2:6379", "10.0.0.3:6379"
	)
	primary, replica := a, c
	if stage == 1 {
		primary, replica = c, a
	}
	switch {
	case stage == 2 && addr == c:
		return "", errors.New("connection refused")
	case command == "CLUSTER NODES":
		id := map[string]string{a: "a", c: "c"}
		return fmt.Sprintf("%s %s@1 master - 0 0 %d connected 0-8191\n%s %s@1 slave %[1]s 0 0 0 connected\n"+
			"b %s@1 master - 0 0 2 connected 8192-16383\n", id[primary], primary, 10+stage, id[replica], replica, b), nil
	case addr == replica:
		return "MOVED 8000 " + primary, nil
	}
	return "OK from " + addr, nil
}

var stage int

func ExampleRefresher() {
	var router topology.Router
	refresher := topology.Refresher{Seeds: []string{"10.0.0.1:6379", "10.0.0.2:6379"}, Seed: 1}
	now := time.Now()

	// refresh asks for a view if that is due.
	refresh := func() {
		due := refresher.Next(&router, now)
		if len(due.Addrs) == 0 {
			return
		}
		views := make([]*topology.Cluster, len(due.Addrs))
		for i, addr := range due.Addrs {
			fmt.Println("CLUSTER NODES to", addr)
			if text, err := ask(addr, "CLUSTER NODES"); err == nil {
				views[i], _ = topology.ParseNodes(text, topology.Origin{Addr: addr})
			}
		}
		refresher.Apply(&router, due, views, now)
	}

	// do sends a command for a key to where it belongs.
	do := func(key, command string) (answer string, err error) {
		var node *topology.Node // that a redirect named
		for range 10 {
			refresh()
			shard, seen := router.ForKey(key)
			if node == nil && shard != nil {
				node = shard.Primary
			}
			if node != nil {
				answer, err = ask(node.Addr(), command)
			}
			if node != nil && err == nil {
				router.Succeeded(node)
			}
			switch action := topology.Classify(answer); {
			case node == nil: // nobody owns the slot
				refresher.Want(now)
			case err != nil: // no answer
				refresher.Note(router.Failed(node), now)
			case action == topology.ActionMoved || action == topology.ActionAsk: // ASK needs an ASKING before the command
				redirect, err := topology.ParseRedirect(answer, topology.Origin{Addr: node.Addr()})
				if err != nil {
					return "", err
				}
				result := router.Moved(redirect, node, seen)
				refresher.Note(result, now)
				node = result.Node
				continue
			case action == topology.ActionRefresh || action == topology.ActionPrimary:
				refresher.Want(now)
			default:
				return answer, nil
			}
			node = nil
			now = now.Add(100 * time.Millisecond) // stands for a pause
		}
		return answer, err
	}

	for stage = range 3 {
		answer, err := do("user:{42}:name", "GET user:{42}:name")
		fmt.Println(answer, err)
		now = now.Add(time.Second)
	}
	// Output:
	// CLUSTER NODES to 10.0.0.1:6379
	// OK from 10.0.0.1:6379 <nil>
	// OK from 10.0.0.3:6379 <nil>
	// CLUSTER NODES to 10.0.0.1:6379
	// OK from 10.0.0.1:6379 <nil>
}
