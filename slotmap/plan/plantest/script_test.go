package plantest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// play plays a script. A line is a command, and the wanted answer, OK if there is none:
//
//	a GET x -> y           the reply of node a; a list is [x y], and no value is nil
//	a ASKING GET x -> y    the same after ASKING, or READONLY, on the same connection
//	put a x                a key at a node
//	send a b               a message is sent
//	deliver a b -> true    and arrives, if there is one
//	gossip, kill a, revive a, rules8
//	owners 5 -> a a b -    who owns the slot in the view of each node, in the order of ids
//	epochs a -> 1 2 3      the config epochs of the nodes in the view of a
//	view a -> 0-4 [6->-b]  the slots of a in its own view, with those that are open
//	role r -> slave a
//	check 5 -> has 0 owners
//
// {5} stands for the hash tag of slot 5.
func play(t *testing.T, c *Cluster, script string) {
	t.Helper()
	for line := range strings.Lines(script) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		command, want, asks := strings.Cut(tagged(line), " ->")
		got := act(t, c, strings.Fields(command))
		if !asks {
			want = "OK"
		}
		require.Equal(t, strings.TrimSpace(want), got, "%s", line)
	}
}

var slotNumber = regexp.MustCompile(`\{\d+\}`)

func tagged(text string) string {
	return slotNumber.ReplaceAllStringFunc(text, func(s string) string {
		slot, _ := hashslot.ParseSlot(strings.Trim(s, "{}"))
		return "{" + slot.Tag() + "}"
	})
}

func act(t *testing.T, c *Cluster, words []string) string {
	t.Helper()
	switch words[0] {
	case "put":
		c.Put(words[1], words[2], "1")
	case "send":
		c.Send(words[1], words[2])
	case "deliver":
		return strconv.FormatBool(c.Deliver(words[1], words[2]))
	case "gossip":
		c.Gossip()
	case "kill":
		c.Kill(words[1])
	case "revive":
		c.Revive(words[1])
	case "rules8":
		c.SetRules(RulesValkey8)
	case "check":
		if err := c.Check(slotmap.MustParseSet(words[1])); err != nil {
			return strings.TrimPrefix(err.Error(), "plantest: slot "+words[1]+" ")
		}
	case "owners", "epochs", "view", "role":
		return strings.Join(seen(t, c, words[0], words[1]), " ")
	default:
		conn := &Conn{c: c, id: words[0]}
		if words[1] == "ASKING" || words[1] == "READONLY" {
			reply, err := conn.Do(words[1])
			require.NoError(t, err)
			require.Equal(t, "OK", reply)
			words = words[1:]
		}
		for i, w := range words {
			words[i] = strings.Trim(w, `"`)
		}
		reply, err := conn.Do(words[1:]...)
		switch {
		case err != nil:
			return err.Error()
		case reply == nil:
			return "nil"
		}
		return strings.Join(strings.Fields(fmt.Sprint(reply)), " ")
	}
	return "OK"
}

// seen returns what the nodes, or one of them, see.
func seen(t *testing.T, c *Cluster, what, which string) (list []string) {
	t.Helper()
	if what == "owners" {
		slot, err := strconv.Atoi(which)
		require.NoError(t, err)
		for _, n := range c.nodes {
			owner := "-"
			if o := n.owner[slot]; o != nil {
				owner = o.id
			}
			list = append(list, owner)
		}
		return list
	}
	for line := range strings.Lines(c.nodesText(c.byID[which])) {
		f := strings.Fields(line)
		switch {
		case what == "epochs":
			list = append(list, f[6])
		case f[0] == which && what == "view":
			return f[8:]
		case f[0] == which:
			return []string{strings.TrimPrefix(f[2], "myself,"), f[3]}
		}
	}
	return list
}

// What nodes do with messages, rule by rule. a owns 0-4095, b up to 8191, c up to 12287, d
// the rest, e nothing. Their epochs are 1 to 5. r is a replica of a, and s one of d.
func TestMessages(t *testing.T) {
	for name, script := range map[string]string{
		"the higher epoch wins, and the loser drops its keys": `
			put a {5}x
			put a {6}x
			a CLUSTER SETSLOT 5 MIGRATING c
			view a -> 0-4095 [5->-c]
			b CLUSTER DELSLOTS 5
			owners 5 -> a - a a a a a
			b CLUSTER ADDSLOTS 5
			owners 5 -> a b a a a a a
			send b a
			deliver b a -> true
			deliver b a -> false
			owners 5 -> b b a a a a a
			a CLUSTER COUNTKEYSINSLOT 5 -> 0
			a CLUSTER COUNTKEYSINSLOT 6 -> 1
			view a -> 0-4 6-4095
			send b c
			deliver b c -> true
			owners 5 -> b b b a a a a`,
		"an old claim is answered with the owner": `
			b CLUSTER BUMPEPOCH -> BUMPED 6
			send b c
			deliver b c -> true
			a CLUSTER DELSLOTS 5000 5001
			a CLUSTER ADDSLOTS 5000 5001
			owners 5000 -> a b b b b b b
			send a c
			deliver a c -> true
			owners 5000 -> a b b b b b b
			deliver c a -> true
			deliver c a -> false
			owners 5000 -> b b b b b b b
			owners 5001 -> b b b b b b b
			view a -> 0-4095`,
		"an answer names one owner": `
			b CLUSTER BUMPEPOCH -> BUMPED 6
			send b d
			deliver b d -> true
			a CLUSTER DELSLOTS 5000 9000
			a CLUSTER ADDSLOTS 5000 9000
			send a d
			deliver a d -> true
			deliver d a -> true
			deliver d a -> false
			owners 5000 -> b b b b b b b
			owners 9000 -> a c c c c c c`,
		"a node ignores what others say of it": `
			a CLUSTER BUMPEPOCH -> BUMPED 6
			send a d
			deliver a d -> true
			b CLUSTER DELSLOTS 5
			b CLUSTER ADDSLOTS 5
			send b d
			deliver b d -> true
			deliver d b -> true
			owners 5 -> a a a a a a a
			epochs b -> 6 2 3 4 5 6 4`,
		"no answer to an equal epoch": `
			a CLUSTER BUMPEPOCH -> BUMPED 6
			b CLUSTER BUMPEPOCH -> BUMPED 6
			a CLUSTER DELSLOTS 5000
			a CLUSTER ADDSLOTS 5000
			send b c
			deliver b c -> true
			send a c
			deliver a c -> true
			owners 5000 -> a b b b b b b
			deliver c a -> false`,
		"no answer to an old message of the owner": `
			c CLUSTER DELSLOTS 5000
			c CLUSTER ADDSLOTS 5000
			send b c
			b CLUSTER BUMPEPOCH -> BUMPED 6
			send b d
			deliver b d -> true
			send c d
			deliver c d -> true
			deliver d c -> true
			epochs c -> 1 6 3 4 5 1 4
			owners 5000 -> b b b b b b b
			deliver b c -> true
			deliver c b -> false
			epochs c -> 1 6 3 4 5 1 4`,
		"an answer that says nothing new": `
			a CLUSTER DELSLOTS 5000
			a CLUSTER ADDSLOTS 5000
			send a c
			deliver a c -> true
			send b a
			deliver b a -> true
			owners 5000 -> b b b b b b b
			a CLUSTER DELSLOTS 5000
			deliver c a -> true
			owners 5000 -> - b b b b b b`,
		"of two with one epoch the smaller id takes the next": `
			a CLUSTER BUMPEPOCH -> BUMPED 6
			b CLUSTER BUMPEPOCH -> BUMPED 6
			send a b
			deliver a b -> true
			epochs b -> 6 6 3 4 5 6 4
			send b a
			deliver b a -> true
			epochs a -> 7 6 3 4 5 7 4
			a CLUSTER BUMPEPOCH -> STILL 7`,
		"all hear of the next": `
			a CLUSTER BUMPEPOCH -> BUMPED 6
			b CLUSTER BUMPEPOCH -> BUMPED 6
			gossip
			epochs c -> 7 6 3 4 5 7 4
			epochs e -> 7 6 3 4 5 7 4`,
		"four with one epoch": `
			d CLUSTER BUMPEPOCH -> BUMPED 6
			c CLUSTER BUMPEPOCH -> BUMPED 6
			b CLUSTER BUMPEPOCH -> BUMPED 6
			a CLUSTER BUMPEPOCH -> BUMPED 6
			gossip
			epochs e -> 9 8 7 6 5 9 6
			epochs a -> 9 8 7 6 5 9 6`,
		"a replica takes no next epoch": `
			a CLUSTER BUMPEPOCH -> BUMPED 6
			b CLUSTER BUMPEPOCH -> BUMPED 6
			r CLUSTER FAILOVER
			role a -> slave r
			epochs r -> 7 2 3 4 5 7 4
			send r a
			deliver r a -> true
			send b a
			deliver b a -> true
			a CLUSTER FAILOVER
			epochs a -> 8 6 3 4 5 8 4`,
		"the highest epoch is passed on": `
			a CLUSTER BUMPEPOCH -> BUMPED 6
			send a b
			deliver a b -> true
			send b c
			deliver b c -> true
			epochs c -> 1 2 3 4 5 1 4
			c CLUSTER BUMPEPOCH -> BUMPED 7`,
		"the highest epoch does not fall": `
			a CLUSTER BUMPEPOCH -> BUMPED 6
			send b a
			deliver b a -> true
			a CLUSTER BUMPEPOCH -> STILL 6
			b CLUSTER BUMPEPOCH -> BUMPED 6
			send a b
			b CLUSTER BUMPEPOCH -> STILL 6`,
		"a known epoch does not fall": `
			send b c
			b CLUSTER BUMPEPOCH -> BUMPED 6
			b CLUSTER DELSLOTS 5
			b CLUSTER ADDSLOTS 5
			send b d
			deliver b d -> true
			c CLUSTER DELSLOTS 5000
			c CLUSTER ADDSLOTS 5000
			send c d
			deliver c d -> true
			deliver d c -> true
			epochs c -> 1 6 3 4 5 1 4
			deliver b c -> true
			epochs c -> 1 6 3 4 5 1 4`,
		"a replica has no slots": `
			r CLUSTER FAILOVER
			owners 5 -> r a a a a r a
			send a b
			deliver a b -> true
			owners 5 -> r - a a a r a
			owners 5000 -> b b b b b b b
			b GET {5}x -> CLUSTERDOWN Hash slot not served
			send r b
			deliver r b -> true
			owners 5 -> r r a a a r a`,
		"a node that loses its last slot follows": `
			b CLUSTER DELSLOTSRANGE 0 4094
			b CLUSTER ADDSLOTSRANGE 0 4094
			send b a
			deliver b a -> true
			role a -> master -
			view a -> 4095
			b CLUSTER DELSLOTS 4095
			b CLUSTER ADDSLOTS 4095
			c CLUSTER DELSLOTS 5000
			send b a
			deliver b a -> true
			role a -> slave b
			send b e
			deliver b e -> true
			role e -> master -
			role r -> slave a
			send d r
			deliver d r -> true
			role r -> slave b
			b SET {5}x y
			r READONLY GET {5}x -> MOVED 5 10.0.0.1:6379
			send b r
			deliver b r -> true
			r READONLY GET {5}x -> y
			a READONLY GET {5}x -> y`,
		"a node that fails over follows only without slots": `
			a CLUSTER DELSLOTS 5000
			a CLUSTER ADDSLOTS 5000
			a CLUSTER SETSLOT 5 MIGRATING b
			put a {5}x
			put a {5000}x
			r CLUSTER FAILOVER
			role r -> master -
			role a -> master -
			view a -> 5000
			view r -> 0-4095
			a CLUSTER COUNTKEYSINSLOT 5 -> 0
			a CLUSTER COUNTKEYSINSLOT 5000 -> 1
			r GET {5}x -> 1
			gossip
			role a -> slave b
			view r -> 0-4095
			r GET {5}x -> 1
			check 5`,
		"the keys of a primary that comes back": `
			put a {5}x
			kill a
			r CLUSTER FAILOVER -> ERR Master is down or failed, please use CLUSTER FAILOVER FORCE
			r CLUSTER FAILOVER FORCE
			role r -> master -
			role a -> master,fail -
			gossip
			revive a
			gossip
			role a -> slave r
			r GET {5}x -> 1
			check 5`,
		"a killed node neither sends nor hears": `
			b CLUSTER DELSLOTS 5
			b CLUSTER ADDSLOTS 5
			kill b
			send b a
			revive b
			deliver b a -> false
			send b a
			kill b
			deliver b a -> true
			send b c
			revive b
			deliver b c -> false
			kill c
			send b c
			deliver b c -> true
			revive c
			deliver b c -> false
			send b b
			deliver b b -> false
			owners 5 -> a b a a a a a`,
		"a slot that its owner gives up, classic": `
			b CLUSTER BUMPEPOCH -> BUMPED 6
			b CLUSTER DELSLOTS 5000
			send b c
			deliver b c -> true
			owners 5000 -> b - b b b b b
			a CLUSTER DELSLOTS 5000 5001
			a CLUSTER ADDSLOTS 5001
			send a c
			deliver a c -> true
			deliver c a -> true
			owners 5000 -> b - b b b b b
			owners 5001 -> b b b b b b b
			a CLUSTER DELSLOTS 5000
			a CLUSTER ADDSLOTS 5000
			send a c
			deliver a c -> true
			owners 5000 -> a - b b b b b
			send a b
			deliver a b -> true
			owners 5000 -> a a b b b b b`,
		"a slot that its owner gives up": `
			rules8
			b CLUSTER BUMPEPOCH -> BUMPED 6
			b CLUSTER DELSLOTS 5000
			send b c
			deliver b c -> true
			owners 5000 -> b - b b b b b
			a CLUSTER DELSLOTS 5000 5001
			a CLUSTER ADDSLOTS 5001
			send a c
			deliver a c -> true
			deliver c a -> true
			owners 5000 -> - - b b b b b
			owners 5001 -> b b b b b b b
			a CLUSTER ADDSLOTS 5000
			send a c
			send a d
			deliver a c -> true
			deliver c a -> false
			deliver a d -> true
			owners 5000 -> a - a b b b b`,
		"a slot that its owner claims again": `
			rules8
			b CLUSTER DELSLOTS 5000
			send b c
			deliver b c -> true
			b CLUSTER ADDSLOTS 5000
			send b c
			deliver b c -> true
			a CLUSTER DELSLOTS 5000
			a CLUSTER ADDSLOTS 5000
			send a c
			deliver a c -> true
			owners 5000 -> a b b b b b b`,
		"a slot with a new owner is not free": `
			rules8
			b CLUSTER DELSLOTS 5000
			send b c
			deliver b c -> true
			e CLUSTER DELSLOTS 5000
			e CLUSTER ADDSLOTS 5000
			send e c
			deliver e c -> true
			owners 5000 -> b - e b e b b
			a CLUSTER DELSLOTS 5000
			a CLUSTER ADDSLOTS 5000
			send a c
			deliver a c -> true
			owners 5000 -> a - e b e b b`,
		"an import, classic": `
			c CLUSTER SETSLOT 5 IMPORTING a
			b CLUSTER DELSLOTS 5
			b CLUSTER ADDSLOTS 5
			send b c
			deliver b c -> true
			owners 5 -> a b a a a a a
			a CLUSTER DELSLOTS 5
			send a c
			deliver a c -> true
			owners 5 -> - b a a a a a
			view c -> 8192-12287 [5-<-a]`,
		"an import from a node that gives the slot up": `
			rules8
			c CLUSTER SETSLOT 5 IMPORTING a
			send b c
			deliver b c -> true
			owners 5 -> a a a a a a a
			a CLUSTER DELSLOTS 5
			send a c
			deliver a c -> true
			owners 5 -> - a c a a a a
			view c -> 5 8192-12287
			epochs c -> 1 2 6 4 5 1 4
			gossip
			owners 5 -> c c c c c c c`,
		"all hear of an import": `
			rules8
			c CLUSTER SETSLOT 5 IMPORTING a
			a CLUSTER DELSLOTS 5
			gossip
			owners 5 -> c c c c c c c`,
		"an import from a node without the slot": `
			rules8
			c CLUSTER SETSLOT 5 IMPORTING b
			gossip
			owners 5 -> c c c c c c c`,
		"an import of a slot that another claims": `
			rules8
			c CLUSTER SETSLOT 5 IMPORTING a
			b CLUSTER DELSLOTS 5
			b CLUSTER ADDSLOTS 5
			send b c
			deliver b c -> true
			owners 5 -> a b b a a a a
			view c -> 8192-12287`,
		"an import of a slot that its source claims": `
			rules8
			c CLUSTER DELSLOTS 5
			c CLUSTER SETSLOT 5 IMPORTING a
			send a c
			deliver a c -> true
			owners 5 -> a a a a a a a
			view c -> 8192-12287 [5-<-a]`,
	} {
		t.Run(name, func(t *testing.T) { play(t, withReplicas(t), script) })
	}
}

// Replies have the servers' wording. The cluster is that of TestMessages.
func TestCommands(t *testing.T) {
	for name, script := range map[string]string{
		"strings": `
			a SET {5}x 9
			a INCR {5}x -> 10
			a INCR {5}x -> 11
			a GET {5}x -> 11
			a INCR {5}n -> 1
			a GET {5}n -> 1
			a SET {5}x 9223372036854775806
			a INCR {5}x -> 9223372036854775807
			a INCR {5}x -> ERR increment or decrement would overflow
			a SET {5}x 9223372036854775808
			a INCR {5}x -> ERR value is not an integer or out of range
			a DEL {5}x {5}y {5}n -> 2
			a EXISTS {5}x {5}n -> 0
			a MSET {5}x 1 {5}y 2
			a MGET {5}x {5}y -> [1 2]
			a DBSIZE -> 2`,
		"arguments": `
			a GET -> ERR wrong number of arguments for 'get' command
			a GET x y -> ERR wrong number of arguments for 'get' command
			a SET -> ERR wrong number of arguments for 'set' command
			a SET x -> ERR wrong number of arguments for 'set' command
			a SET x 1 y 2 -> ERR wrong number of arguments for 'set' command
			a MSET -> ERR wrong number of arguments for 'mset' command
			a MSET x 1 y -> ERR wrong number of arguments for 'mset' command
			a MGET -> ERR wrong number of arguments for 'mget' command
			a DEL -> ERR wrong number of arguments for 'del' command
			a EXISTS -> ERR wrong number of arguments for 'exists' command
			a INCR -> ERR wrong number of arguments for 'incr' command
			a INCR x y -> ERR wrong number of arguments for 'incr' command
			a FLUSHALL -> ERR unknown command 'FLUSHALL'
			a CLUSTER -> ERR wrong number of arguments for 'cluster' command`,
		"a replica reads what its primary owns": `
			a SET {5}x 1
			r READONLY GET {5}x -> 1
			r READONLY MGET {5}x {5}y -> [1 <nil>]
			r READONLY EXISTS {5}x -> 1
			r GET {5}x -> MOVED 5 10.0.0.1:6379
			r READONLY SET {5}x 2 -> MOVED 5 10.0.0.1:6379
			r READONLY MSET {5}x 2 -> MOVED 5 10.0.0.1:6379
			r READONLY INCR {5}x -> MOVED 5 10.0.0.1:6379
			r READONLY DEL {5}x -> MOVED 5 10.0.0.1:6379
			r READONLY GET {5000}x -> MOVED 5000 10.0.0.2:6379
			r INFO -> # Replication role:slave master_link_status:up
			a INFO -> # Replication role:master
			check 5`,
		"a slot on its way": `
			put a {5}x
			put b {5}y
			b CLUSTER SETSLOT 5 IMPORTING a
			a CLUSTER SETSLOT 5 MIGRATING b
			a GET {5}x -> 1
			a GET {5}y -> ASK 5 10.0.0.2:6379
			a MGET {5}x {5}y -> TRYAGAIN Multiple keys request during rehashing of slot
			a MGET {5}y {5}z -> ASK 5 10.0.0.2:6379
			b GET {5}y -> MOVED 5 10.0.0.1:6379
			b ASKING GET {5}y -> 1
			b ASKING MGET {5}y {5}z -> TRYAGAIN Multiple keys request during rehashing of slot
			b MGET {5}y {5}z -> MOVED 5 10.0.0.1:6379
			b ASKING GET {5}z -> nil
			put b {5}z
			b ASKING MGET {5}y {5}z -> [1 1]
			c ASKING GET {5}x -> MOVED 5 10.0.0.1:6379
			c ASKING MGET {5}x {5}y -> MOVED 5 10.0.0.1:6379
			check 5`,
		"MIGRATE": `
			a MIGRATE 10.0.0.2 6379 {5}x 0 -> ERR wrong number of arguments for 'migrate' command
			a MIGRATE 10.0.0.2 6379 {5}x 0 9 -> NOKEY
			a MIGRATE 10.0.0.2 6379 "" 0 9 COPY KEYS {5}x -> ERR syntax error
			a MIGRATE 10.0.0.2 6379 "" 0 9 KEYS -> ERR syntax error
			a MIGRATE 10.0.0.2 6379 "" 0 9 KEYS {5}x {6}x -> CROSSSLOT Keys in request don't hash to the same slot
			c MIGRATE 10.0.0.2 6379 {5}x 0 9 -> MOVED 5 10.0.0.1:6379
			put a {5}x
			a MIGRATE 10.0.0.2 6379 {5}x 0 9 -> ERR Target instance replied with error: MOVED 5 10.0.0.1:6379
			a MIGRATE 10.0.1.1 6379 {5}x 0 9 -> ERR Target instance replied with error: MOVED 5 10.0.0.1:6379
			r MIGRATE 10.0.0.2 6379 {5}x 0 9 -> MOVED 5 10.0.0.1:6379
			b CLUSTER SETSLOT 5 IMPORTING a
			a CLUSTER SETSLOT 5 MIGRATING b
			a MIGRATE 10.0.0.2 6379 {5}x 0 9 AUTH REPLACE
			put b {5}y
			put a {5}y
			a MIGRATE 10.0.0.2 6379 {5}y 0 9 AUTH REPLACE -> ERR Target instance replied with error: BUSYKEY Target key name already exists.
			a MIGRATE 10.0.0.2 6379 {5}y 0 9 AUTH2 KEYS REPLACE -> ERR Target instance replied with error: BUSYKEY Target key name already exists.
			a MIGRATE 10.0.0.2 6379 {5}y 0 9 AUTH2 u p REPLACE
			a DBSIZE -> 0
			a MIGRATE 10.0.0.2 6379 "" 0 9 KEYS {5}x -> NOKEY
			c CLUSTER SETSLOT 5 IMPORTING a
			c MIGRATE 10.0.0.2 6379 {5}z 0 9 -> NOKEY
			put c {5}z
			c MIGRATE 10.0.0.2 6379 {5}z 0 9
			kill e
			b MIGRATE 10.0.0.5 6379 {5}z 0 9 -> IOERR error or timeout connecting to the client
			b MIGRATE 10.0.0.9 6379 {5}z 0 9 -> IOERR error or timeout connecting to the client`,
		"MIGRATE of an open slot at a replica": `
			r CLUSTER SETSLOT 5 IMPORTING b -> ERR Please use SETSLOT only with masters.
			e CLUSTER SETSLOT 5 IMPORTING a
			e CLUSTER REPLICATE b
			e MIGRATE 10.0.0.1 6379 {5}x 0 9 -> MOVED 5 10.0.0.1:6379`,
		"CLUSTER": `
			a CLUSTER MYID -> a
			a CLUSTER KEYSLOT {5}x -> 5
			a CLUSTER INFO -> cluster_state:ok cluster_slots_assigned:16384 cluster_my_epoch:1
			r CLUSTER INFO -> cluster_state:ok cluster_slots_assigned:16384 cluster_my_epoch:1
			b CLUSTER BUMPEPOCH -> BUMPED 6
			e CLUSTER REPLICATE b
			gossip
			e CLUSTER INFO -> cluster_state:ok cluster_slots_assigned:16384 cluster_my_epoch:6
			a CLUSTER DELSLOTS 5 6
			a CLUSTER INFO -> cluster_state:fail cluster_slots_assigned:16382 cluster_my_epoch:1
			a CLUSTER MEET 10.0.0.9 6379
			a CLUSTER GETSLOTMIGRATIONS -> []
			a CLUSTER MIGRATION STATUS -> []
			a CLUSTER COUNTKEYSINSLOT x -> ERR Invalid or out of range slot
			a CLUSTER COUNTKEYSINSLOT 16384 -> ERR Invalid or out of range slot
			a CLUSTER NODES -> a 10.0.0.1:6379@1 myself,master - 0 0 1 connected 0-4 7-4095 b 10.0.0.2:6379@1 master - 0 0 6 connected 4096-8191 ` +
			`c 10.0.0.3:6379@1 master - 0 0 3 connected 8192-12287 d 10.0.0.4:6379@1 master - 0 0 4 connected 12288-16383 e 10.0.0.5:6379@1 slave b 0 0 6 connected ` +
			`r 10.0.1.1:6379@1 slave a 0 0 1 connected s 10.0.1.4:6379@1 slave d 0 0 4 connected
			kill s
			a CLUSTER SLOTS -> [[0 4 [10.0.0.1 6379 a []] [10.0.1.1 6379 r []]] [7 4095 [10.0.0.1 6379 a []] [10.0.1.1 6379 r []]] ` +
			`[4096 8191 [10.0.0.2 6379 b []] [10.0.0.5 6379 e []]] [8192 12287 [10.0.0.3 6379 c []]] [12288 16383 [10.0.0.4 6379 d []]]]`,
		"GETKEYSINSLOT": `
			put a {5}c
			put a {5}e
			put a {5}a
			put a {5}d
			put a {5}f
			put a {5}b
			put a {6}x
			a CLUSTER GETKEYSINSLOT 5 4 -> [{5}a {5}b {5}c {5}d]
			a CLUSTER GETKEYSINSLOT 5 9 -> [{5}a {5}b {5}c {5}d {5}e {5}f]
			a CLUSTER GETKEYSINSLOT 5 0 -> []
			a CLUSTER GETKEYSINSLOT 5 -1 -> ERR Invalid slot or number of keys
			a CLUSTER GETKEYSINSLOT 5 x -> ERR Invalid slot or number of keys`,
		"numbers of arguments": `
			a CLUSTER KEYSLOT -> ERR wrong number of arguments for 'cluster|keyslot' command
			a CLUSTER MEET 10.0.0.9 -> ERR wrong number of arguments for 'cluster|meet' command
			a CLUSTER COUNTKEYSINSLOT -> ERR wrong number of arguments for 'cluster|countkeysinslot' command
			a CLUSTER GETKEYSINSLOT 5 -> ERR wrong number of arguments for 'cluster|getkeysinslot' command
			a CLUSTER SETSLOT 5 -> ERR wrong number of arguments for 'cluster|setslot' command
			a CLUSTER ADDSLOTS -> ERR wrong number of arguments for 'cluster|addslots' command
			a CLUSTER DELSLOTS -> ERR wrong number of arguments for 'cluster|delslots' command
			a CLUSTER ADDSLOTSRANGE 5 -> ERR wrong number of arguments for 'cluster|addslotsrange' command
			a CLUSTER DELSLOTSRANGE 5 -> ERR wrong number of arguments for 'cluster|delslotsrange' command
			a CLUSTER REPLICATE -> ERR wrong number of arguments for 'cluster|replicate' command
			a CLUSTER MIGRATESLOTS SLOTSRANGE NODE b -> ERR wrong number of arguments for 'cluster|migrateslots' command
			a CLUSTER MIGRATESLOTS SLOTSRANGE 5 NODE b -> ERR wrong number of arguments: a range has two ends
			a CLUSTER MIGRATION -> ERR wrong number of arguments for 'cluster|migration' command
			a CLUSTER MIGRATION SYNC -> ERR unknown subcommand 'SYNC'
			a CLUSTER MIGRATION IMPORT -> ERR wrong number of arguments: a range has two ends
			a CLUSTER NOSUCH -> ERR unknown subcommand 'NOSUCH'. Try CLUSTER HELP.`,
		"SETSLOT": `
			a CLUSTER SETSLOT x STABLE -> ERR Invalid or out of range slot
			a CLUSTER SETSLOT 5 NODE -> ERR Invalid CLUSTER SETSLOT action or number of arguments
			a CLUSTER SETSLOT 5 MIGRATING -> ERR Invalid CLUSTER SETSLOT action or number of arguments
			a CLUSTER SETSLOT 5 NODE b c -> ERR Invalid CLUSTER SETSLOT action or number of arguments
			a CLUSTER SETSLOT 5 AWAY b -> ERR Invalid CLUSTER SETSLOT action or number of arguments
			a CLUSTER SETSLOT 5 MIGRATING r -> ERR Target node is not a master
			put a {5}x
			a CLUSTER SETSLOT 5 MIGRATING b
			a CLUSTER SETSLOT 5 NODE a
			view a -> 0-4095 [5->-b]
			a CLUSTER SETSLOT 5 NODE b -> ERR Can't assign hashslot 5 to a different node while I still hold keys for this hash slot.
			a CLUSTER SETSLOT 5 STABLE
			view a -> 0-4095
			put c {5}x
			c CLUSTER SETSLOT 5 NODE b
			owners 5 -> a a b a a a a
			e CLUSTER SETSLOT 5 NODE b
			role e -> master -
			a CLUSTER SETSLOT 6 MIGRATING b
			a CLUSTER SETSLOT 6 NODE b
			view a -> 0-5 7-4095
			b CLUSTER SETSLOT 6 IMPORTING a
			view b -> 4096-8191 [6-<-a]
			b CLUSTER SETSLOT 6 NODE b
			view b -> 6 4096-8191
			epochs b -> 1 6 3 4 5 1 4
			b CLUSTER SETSLOT 5 NODE b
			epochs b -> 1 6 3 4 5 1 4`,
		"SETSLOT of the last slot": `
			a CLUSTER DELSLOTSRANGE 0 4094
			a CLUSTER SETSLOT 4095 NODE b
			role a -> slave b`,
		"ADDSLOTS and DELSLOTS": `
			a CLUSTER ADDSLOTS x -> ERR Invalid or out of range slot
			a CLUSTER ADDSLOTSRANGE x 5 -> ERR Invalid or out of range slot
			a CLUSTER ADDSLOTSRANGE 5 x -> ERR Invalid or out of range slot
			a CLUSTER ADDSLOTSRANGE 6 5 -> ERR start slot number 6 is greater than end slot number 5
			a CLUSTER ADDSLOTSRANGE 5 6 7 -> ERR wrong number of arguments: a range has two ends
			a CLUSTER ADDSLOTSRANGE 5 7 6 9 -> ERR Slot range 6-9 overlaps with another
			a CLUSTER ADDSLOTS 5 5 -> ERR Slot 5 specified multiple times
			a CLUSTER ADDSLOTS 5 -> ERR Slot 5 is already busy
			a CLUSTER SETSLOT 6 MIGRATING b
			a CLUSTER DELSLOTSRANGE 5 6 8 8
			view a -> 0-4 7 9-4095
			a CLUSTER DELSLOTS 5 -> ERR Slot 5 is already unassigned
			a CLUSTER SETSLOT 5 IMPORTING b
			view a -> 0-4 7 9-4095 [5-<-b]
			a CLUSTER ADDSLOTSRANGE 5 5
			view a -> 0-5 7 9-4095`,
		"REPLICATE": `
			put a {5}x
			e CLUSTER REPLICATE e -> ERR Can't replicate myself
			e CLUSTER REPLICATE r -> ERR I can only replicate a master, not a replica.
			e CLUSTER REPLICATE z -> ERR Unknown node z
			a CLUSTER REPLICATE b -> ERR To set a master the node must be empty and without assigned slots.
			b CLUSTER REPLICATE a -> ERR To set a master the node must be empty and without assigned slots.
			put e {5}y
			e CLUSTER REPLICATE b -> ERR To set a master the node must be empty and without assigned slots.
			e CLUSTER SETSLOT 5 IMPORTING a
			e ASKING DEL {5}y -> 1
			e CLUSTER REPLICATE b
			role e -> slave b
			view e ->
			r CLUSTER REPLICATE b
			role r -> slave b`,
		"FAILOVER": `
			a CLUSTER FAILOVER -> ERR You should send CLUSTER FAILOVER to a replica
			s CLUSTER REPLICATE a
			b CLUSTER BUMPEPOCH -> BUMPED 6
			r CLUSTER FAILOVER
			role a -> slave r
			role s -> slave r
			epochs r -> 7 2 3 4 5 7 7
			kill r
			s CLUSTER FAILOVER FORCE
			role s -> master -
			role a -> slave s
			owners 5 -> s a a a a r s`,
		"MIGRATESLOTS": `
			a CLUSTER MIGRATESLOTS SLOTS 0 5 NODE b -> ERR syntax error
			a CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 b -> ERR syntax error
			a CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 NODE -> ERR syntax error
			a CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 NODE b c -> ERR syntax error
			a CLUSTER MIGRATESLOTS SLOTSRANGE 0 x NODE b -> ERR Invalid or out of range slot
			a CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 NODE r -> ERR Unknown node name
			a CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 NODE b SLOTSRANGE 5 6 NODE c -> ERR Slot ranges in migrations overlap
			a CLUSTER SETSLOT 5 MIGRATING b
			a CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 NODE b -> ERR Slots are being manually migrated
			a CLUSTER SETSLOT 5 STABLE
			b CLUSTER SETSLOT 5 IMPORTING a
			a CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 NODE b -> ERR Slots are being manually migrated
			b CLUSTER SETSLOT 5 STABLE
			put a {5}x
			put a {7}x
			a CLUSTER MIGRATESLOTS SLOTSRANGE 0 2 4 5 NODE b SLOTSRANGE 8 8 NODE c
			view a -> 3 6-7 9-4095
			view b -> 0-2 4-5 4096-8191
			view c -> 8 8192-12287
			epochs b -> 1 6 3 4 5 1 4
			b GET {5}x -> 1
			a GET {7}x -> 1
			a CLUSTER COUNTKEYSINSLOT 5 -> 0
			a CLUSTER DELSLOTS 7
			a CLUSTER MIGRATESLOTS SLOTSRANGE 6 7 NODE b -> ERR Slot 7 has no node served
			a CLUSTER MIGRATESLOTS SLOTSRANGE 5 6 NODE b -> ERR Slots are not served by this node`,
		"MIGRATESLOTS of all": `
			put a {5}x
			a CLUSTER MIGRATESLOTS SLOTSRANGE 0 4095 NODE b
			role a -> slave b
			a READONLY GET {5}x -> 1`,
		"MIGRATION": `
			put a {5}x
			b CLUSTER MIGRATION IMPORT 0 5 7 7 -> 0000000000000000000000000000000000000006
			view a -> 6 8-4095
			view b -> 0-5 7 4096-8191
			b GET {5}x -> 1
			b CLUSTER MIGRATION IMPORT 0 x -> ERR Invalid or out of range slot
			b CLUSTER MIGRATION IMPORT 0 5 -> ERR Target node can not be this node
			r CLUSTER MIGRATION IMPORT 0 5 -> ERR Unknown node name
			b CLUSTER MIGRATION IMPORT 4000 4100 -> ERR Slots are not served by this node
			a CLUSTER DELSLOTS 4000 4095
			b CLUSTER MIGRATION IMPORT 3999 4001 -> ERR Slot 4000 has no node served
			b CLUSTER DELSLOTS 4095
			b CLUSTER MIGRATION IMPORT 4095 4095 -> ERR Slot 4095 has no node served
			d CLUSTER DELSLOTS 4095
			d CLUSTER MIGRATION IMPORT 4095 4095 -> ERR Slot 4095 has no node served
			d CLUSTER MIGRATION IMPORT 4094 4095 -> ERR Slot 4095 has no node served`,
		"what is wrong with a slot": `
			a CLUSTER DELSLOTS 7
			check 7 -> has 0 owners
			a CLUSTER ADDSLOTS 7
			check 7
			put a {5}
			b CLUSTER DELSLOTS 5
			b CLUSTER ADDSLOTS 5
			check 5 -> has 2 owners
			a CLUSTER SETSLOT 5 MIGRATING b
			b CLUSTER DELSLOTS 6
			b CLUSTER ADDSLOTS 6
			c CLUSTER DELSLOTS 5
			c CLUSTER ADDSLOTS 5
			check 5 -> has 3 owners`,
		"a target that is gone": `
			a CLUSTER SETSLOT 5 MIGRATING e
			kill e
			check 5 -> has the key "{5}", and a client that asks a for it gets ASK 5 10.0.0.5:6379`,
		"nobody asks a node that is gone": `
			e CLUSTER DELSLOTS 5
			check 5 -> has the key "{5}", and a client that asks e for it gets CLUSTERDOWN Hash slot not served
			kill e
			check 5`,
		"a key that has not moved yet": `
			put a {5}x
			b CLUSTER SETSLOT 5 IMPORTING a
			check 5
			a CLUSTER SETSLOT 5 MIGRATING b
			check 5
			a MIGRATE 10.0.0.2 6379 {5}x 0 9
			check 5
			b CLUSTER SETSLOT 5 NODE b
			check 5`,
	} {
		t.Run(name, func(t *testing.T) { play(t, withReplicas(t), script) })
	}
}

// The view of a new cluster: nodes get epochs of their own, those without a role are left
// out, and open slots need both ends.
func TestNew(t *testing.T) {
	c := New(parse(t, "s 10.0.1.4:6379@1 slave zz 0 0 3 connected\n"+
		"u 10.0.0.9:6379@1 handshake - 0 0 0 connected\n"+
		"r 10.0.1.1:6379@1 slave c 0 0 3 connected\n"+
		"d 10.0.0.4:6379@1 master - 0 0 3 connected 12288-16382\n"+
		"c 10.0.0.3:6379@1 myself,master - 0 0 3 connected 8192-12287 [5->-b] [8200->-d] [8197->-d] [8199->-d] [8198->-d] [8201->-d] [8202->-zz] [6-<-a] [7-<-zz]\n"+
		"b 10.0.0.2:6379@1 master - 0 0 0 connected 4096-8191\n"+
		"a 10.0.0.1:6379@1 master - 0 0 0 connected 0-4095\n"))
	play(t, c, `
		epochs a -> 1 2 3 4 3 5
		owners 16383 -> - - - - - -
		view c -> 8192-12287 [5->-b] [8197->-d] [8198->-d] [8199->-d] [8200->-d] [8201->-d] [6-<-a]
		role r -> slave c
		role s -> master -
		u PING -> plantest: no running node has this address
		a CLUSTER DELSLOTS 5
		c CLUSTER ADDSLOTS 5 -> ERR Slot 5 is already busy
		a CLUSTER ADDSLOTS 5
		b CLUSTER INFO -> cluster_state:fail cluster_slots_assigned:16383 cluster_my_epoch:2
		d CLUSTER ADDSLOTS 16383
		c CLUSTER ADDSLOTS 16383
		c GET {5}x -> MOVED 5 10.0.0.1:6379
		c MGET {5}x {5}y -> MOVED 5 10.0.0.1:6379
		put c {5}x
		c MGET {5}x {5}y -> MOVED 5 10.0.0.1:6379
		c GET {8197}x -> ASK 8197 10.0.0.4:6379
		c CLUSTER BUMPEPOCH -> BUMPED 6`)
	views, err := c.Views()
	require.NoError(t, err)
	require.Len(t, views, 6)
	for i, v := range views {
		require.Equal(t, string("abcdrs"[i]), v.Myself().ID)
	}
	c = New(parse(t, "a 10.0.0.1:6379@1 master - 0 0 1 connected 0-16383\nb 10.0.0.2:6379@1 myself,master - 0 0 2 connected [5->-a]\n"))
	play(t, c, `
		view b -> [5->-a]
		b CLUSTER REPLICATE a
		view b ->`)
	c = New(parse(t, "a 10.0.0.1:6379@1 master - 0 0 1 connected 0-16383\nb 10.0.0.2:6379@1 master - 0 0 2 connected\nr 10.0.0.3:6379@1 myself,slave a 0 0 1 connected [5->-b]\n"))
	play(t, c, `r MIGRATE 10.0.0.2 6379 {5}x 0 9 -> MOVED 5 10.0.0.1:6379`)
	c = New(parse(t, "a :0@0 master,noaddr - 0 0 1 connected 0-16383\nb 10.0.0.2:6379@1 myself,master - 0 0 2 connected\nc [::1]:6379@1,host master - 0 0 3 connected\n"))
	views, err = c.Views()
	require.NoError(t, err)
	require.Len(t, views, 3)
	odd, err := topology.NewCluster([]topology.Node{{ID: "a b", IP: "10.0.0.1", Port: 6379, Role: topology.RolePrimary}})
	require.NoError(t, err)
	_, err = New(odd).Views()
	require.Error(t, err, "CLUSTER NODES cannot show such an id")
}

// Of several that claim a slot, the one with the highest epoch counts. Of two with one epoch
// it is the one that takes the next.
func TestTable(t *testing.T) {
	c := withReplicas(t)
	owner := func(slot hashslot.Slot) string {
		owner, _ := c.Table().Lookup(slot)
		return owner
	}
	play(t, c, `
		b CLUSTER DELSLOTS 5
		b CLUSTER ADDSLOTS 5
		e CLUSTER DELSLOTS 8
		e CLUSTER ADDSLOTS 8
		c CLUSTER DELSLOTS 8
		c CLUSTER ADDSLOTS 8
		a CLUSTER DELSLOTS 0 8
		b CLUSTER BUMPEPOCH -> BUMPED 6
		b CLUSTER DELSLOTS 7
		b CLUSTER ADDSLOTS 7
		a CLUSTER BUMPEPOCH -> BUMPED 6`)
	require.Equal(t, "e", owner(8))
	require.Equal(t, "a", owner(5))
	require.Equal(t, "a 1-7 9-4095\ne 8\nb 4096-8191\nc 8192-12287\nd 12288-16383\n(unassigned) 0\n", c.Table().String())
}

// A client finds a key by as many redirects as there are servers that it may ask.
func TestRedirects(t *testing.T) {
	c := withReplicas(t)
	for _, hop := range []string{"ba", "cb", "dc", "ed"} {
		c.byID[hop[:1]].set(5, c.byID[hop[1:]])
	}
	c.byID["s"].set(5, c.byID["a"])
	play(t, c, `check 5`)
	c.byID["r"].set(5, c.byID["e"])
	play(t, c, `check 5 -> has the key "{5}", and a client that asks r for it gets too many redirects`)
}

// A step is done, or the error says why not.
func TestRun(t *testing.T) {
	step := func(kind plan.Kind, node, peer, command string, until plan.Condition, ask ...string) plan.Step {
		s := plan.Step{Kind: kind, Node: node, Peer: peer, Slots: []slotmap.Range{{First: 5, Last: 5}}, Until: plan.Until{Condition: until}}
		if command != "" {
			s.Command = strings.Fields(command)
		}
		for _, a := range ask {
			s.Until.Ask = append(s.Until.Ask, strings.Fields(a))
		}
		return s
	}
	const nodes = "CLUSTER NODES"
	moveKeys := step(plan.KindMoveKeys, "a", "b", "MIGRATE 10.0.0.2 6379 x 0 9", "has no keys of the slot", "CLUSTER GETKEYSINSLOT 5 1")
	bump := step(plan.KindBumpEpoch, "a", "", "CLUSTER BUMPEPOCH", "has a config epoch above all others that it knows", nodes)
	gone := moveKeys
	gone.Node = "z"
	once := step(plan.KindFailover, "a", "a", tagged("INCR {5}n"), "knows that the peer owns the slots, with this config epoch or a higher one", nodes)
	once.Epoch = 2
	for _, tc := range []struct {
		before, want string
		step         plan.Step
		after        string
	}{
		{"", "", bump, "epochs a -> 6 2 3 4 5 6 4"},
		{"kill a", "plantest: no running node has this address", step(plan.KindID, "a", "", "CLUSTER MYID", "has answered without an error"), ""},
		{"kill a", "CLUSTER NODES: plantest: no running node has this address", bump, ""},
		{"", "ERR Unknown node z", step(plan.KindReplicate, "e", "z", "CLUSTER REPLICATE z", "is a replica of the peer, in sync", "INFO replication", nodes), ""},
		{"", "", step(plan.KindReplicate, "e", "b", "CLUSTER REPLICATE b", "is a replica of the peer, in sync", "INFO replication", nodes), "role e -> slave b"},
		{"", "it is not started", step(plan.KindWait, "a", "z", "", "knows the peer", nodes), ""},
		{"a CLUSTER DELSLOTS 9", "cluster_state:fail", step(plan.KindWait, "a", "", "", "says that the cluster is ok", "CLUSTER INFO"), ""},
		{"b CLUSTER DELSLOTS 5\nb CLUSTER ADDSLOTS 5", "", step(plan.KindWait, "a", "b", "", "knows that the peer owns the slots", nodes), "owners 5 -> b b b b b b b"},
		{"", "knows config epoch 1 of the peer", once, "a GET {5}n -> 1"},
		{"put a {5}n", "ERR Target instance replied with error: MOVED 5 10.0.0.1:6379", moveKeys, ""},
		{"", "CLUSTER GETKEYSINSLOT 5 1: plantest: no running node has this address", gone, ""},
		{
			"put a {5}x\nput a {5}y\nb CLUSTER SETSLOT 5 IMPORTING a\na CLUSTER SETSLOT 5 MIGRATING b",
			"", moveKeys, "b ASKING MGET {5}x {5}y -> [1 1]",
		},
	} {
		c := withReplicas(t)
		play(t, c, tc.before)
		err := c.Run(tc.step)
		if tc.want == "" {
			require.NoError(t, err)
		} else {
			require.EqualError(t, err, tc.step.String()+": "+tc.want)
		}
		play(t, c, tc.after)
	}
	c := withReplicas(t)
	gossiped := 0
	c.step = func() { gossiped++ }
	require.Error(t, c.Run(gone))
	require.Equal(t, 3, gossiped, "a command that is refused may be taken after gossip, and others hear of it after more")
}

// Fill writes the same keys for the same seed, where slots have owners.
func TestFill(t *testing.T) {
	c := withReplicas(t)
	keys := c.Fill(3, 1)
	require.Equal(t, []string{"key:9927a129", "key:16d0078c", "key:b7219997"}, keys)
	for _, key := range keys {
		id, _ := c.Table().Lookup(hashslot.Of(key))
		play(t, c, id+" GET "+key+" -> 1")
	}
	play(t, c, "a CLUSTER DELSLOTSRANGE 0 4095")
	rest := c.Fill(100, 1)
	require.Len(t, rest, 76)
	for _, key := range rest {
		require.Greater(t, hashslot.Of(key), hashslot.Slot(4095))
	}
}

// A Conn to a node that does not exist, and a command without a name.
func TestConn(t *testing.T) {
	c := withReplicas(t)
	_, err := c.Dial("10.0.0.9:6379")
	require.ErrorIs(t, err, ErrGone)
	require.EqualError(t, err, "plantest: no running node has this address")
	conn, err := c.Dial("10.0.1.1:6379")
	require.NoError(t, err)
	_, err = conn.Do()
	require.EqualError(t, err, "ERR unknown command ''")
	play(t, c, "a SET {5}x 1")
	for _, command := range []string{"READONLY", "READWRITE"} {
		reply, err := conn.Do(command)
		require.NoError(t, err)
		require.Equal(t, "OK", reply)
		reply, err = conn.Do("GET", tagged("{5}x"))
		if command == "READONLY" {
			require.NoError(t, err)
			require.Equal(t, "1", reply)
		} else {
			require.EqualError(t, err, "MOVED 5 10.0.0.1:6379")
		}
	}
}

// What all nodes agree on is not sent again.
func TestGossipForgets(t *testing.T) {
	c := five(t)
	do(t, c, "a CLUSTER DELSLOTS 5 6", "b CLUSTER DELSLOTS 6", "gossip")
	require.Equal(t, "5-6", c.news.String(), "by the classic rules the others keep what a has given up")
	do(t, c, "a CLUSTER ADDSLOTS 5 6", "gossip")
	require.True(t, c.news.IsEmpty(), "%s", c.news)
}

// The rules have names.
func TestRules(t *testing.T) {
	require.Equal(t, "classic", RulesClassic.String())
	require.Equal(t, "Valkey 8", RulesValkey8.String())
}
