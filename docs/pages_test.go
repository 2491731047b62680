package docs_test

import (
	"fmt"
	"log"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/hashtag"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

func Example_tags() {
	for _, key := range []string{"mykey", "{user:42}:name", "{user:42}:mail", "{}user", "{{a}}", "a}b{c}", "{open", ""} {
		fmt.Printf("%-16q hashes %-12q slot %d\n", key, hashtag.Of(key), hashslot.Of(key))
	}
	// Output:
	// "mykey"          hashes "mykey"      slot 14687
	// "{user:42}:name" hashes "user:42"    slot 15880
	// "{user:42}:mail" hashes "user:42"    slot 15880
	// "{}user"         hashes "{}user"     slot 12192
	// "{{a}}"          hashes "{a"         slot 10276
	// "a}b{c}"         hashes "c"          slot 7365
	// "{open"          hashes "{open"      slot 7674
	// ""               hashes ""           slot 0
}

func Example_patterns() {
	for _, pattern := range []string{"{user:42}:*", "user:*", "{}*", "plain"} {
		slot, ok := hashslot.OfPattern(pattern)
		fmt.Println(pattern, slot, ok)
	}
	// Output:
	// {user:42}:* 15880 true
	// user:* 0 false
	// {}* 0 false
	// plain 7143 true
}

func Example_map() {
	type node struct{ addr string }
	a, b := &node{"10.0.0.1:6379"}, &node{"10.0.0.2:6379"}

	var builder slotmap.Builder[*node]
	builder.Assign(slotmap.Range{First: 0, Last: 8191}, a)
	builder.Assign(slotmap.Range{First: 8192, Last: hashslot.Count - 1}, b)

	var m slotmap.Map[*node]
	m.Store(builder.Build())

	slot, owner, ok := m.LookupKey("mykey") // from any goroutine
	fmt.Println(slot, owner.addr, ok)

	err := m.Update(func(table *slotmap.Builder[*node]) { table.Assign(slotmap.Range{First: slot, Last: slot}, a) })
	_, owner, _ = m.LookupKey("mykey")
	fmt.Println(owner.addr, err)
	// Output:
	// 14687 10.0.0.2:6379 true
	// 10.0.0.1:6379 <nil>
}

func Example_redirects() {
	for _, message := range []string{"MOVED 14687 10.0.0.7:6379", "ASK 14687 10.0.0.7:6379", "TRYAGAIN Multiple keys request during rehashing of slot", "CROSSSLOT Keys in request don't hash to the same slot"} {
		fmt.Println(topology.Classify(message))
	}
	redirect, err := topology.ParseRedirect("MOVED 14687 :6380", topology.Origin{Addr: "10.0.0.1:6379"})
	fmt.Println(redirect.Slot, redirect.Addr(), err)
	// Output:
	// moved
	// ask
	// retry
	// fail
	// 14687 10.0.0.1:6380 <nil>
}

// clusterScan stands for CLUSTERSCAN: it returns the next cursor and some keys.
func clusterScan(addr, _ string) (next string, keys []string) {
	if addr == "10.0.0.1:6379" {
		return topology.ScanAt(8192).String(), []string{"bar", "hello"}
	}
	return "0", []string{"foo", "mykey"}
}

func Example_scan() {
	view, err := topology.ParseNodes("a 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-8191\nb 10.0.0.2:6379@16379 master - 0 0 2 connected 8192-16383\n", topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	var router topology.Router
	router.Apply(view, router.Generation())

	cursor, more := topology.ScanAt(0), true
	for more {
		shard, at, _ := router.Scan(cursor) // passes over slots that nobody owns
		if shard == nil {
			break
		}
		// If the answer is MOVED: Router.Moved, and the same cursor again.
		next, keys := clusterScan(shard.Primary.Addr(), at.String())
		fmt.Println(shard.Primary.Addr(), at, keys)
		if cursor, more, err = topology.ParseScanCursor(next); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// 10.0.0.1:6379 0-{06S}-0 [bar hello]
	// 10.0.0.2:6379 0-{8YG}-0 [foo mykey]
}
