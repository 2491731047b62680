package topology

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
)

// oneNode returns the node of a line, and the warnings about it.
func oneNode(t *testing.T, line string) (*Node, []string) {
	t.Helper()
	c, err := ParseNodes(line, Origin{})
	require.NoError(t, err, line)
	require.Len(t, c.Nodes(), 1, line)
	return c.Nodes()[0], c.Warnings()
}

// Each flag has its name, and both names of a role are read, also of a node without an id.
func TestParseNodesFlags(t *testing.T) {
	for text, want := range map[string]Flags{
		"myself": FlagMyself, "master": FlagPrimary, "primary": FlagPrimary, "slave": FlagReplica, "replica": FlagReplica, "fail?": FlagPFail, "fail": FlagFail,
		"handshake": FlagHandshake, "noaddr": FlagNoAddr, "nofailover": FlagNoFailover, "noflags": 0, "master,fail,fail": FlagPrimary | FlagFail,
	} {
		n, warnings := oneNode(t, "a 1:1@2 "+text+" - 0 0 1 connected")
		assert.Equal(t, want, n.Flags, text)
		assert.Empty(t, warnings, text)
	}
	for _, role := range []string{"master", "primary", "slave", "replica", "handshake", "noaddr", "noflags", "myself,slave", "odd,noaddr,odd"} {
		n, _ := oneNode(t, "1:1@2 "+role+" - 0 0 1 connected")
		assert.Equal(t, []string{"", "1:1@2"}, []string{n.ID, fmt.Sprintf("%s:%d@%d", n.IP, n.EndpointPort, n.BusPort)}, role)
	}
	// Others do not show what a field is.
	n, _ := oneNode(t, "1:1 2:2 myself - 0 0 1 connected")
	assert.Equal(t, "1:1", n.ID)
	n, _ = oneNode(t, "a:b 1:1@2 master - 0 0 1 connected")
	assert.Equal(t, "a:b", n.ID)
}

// The fields of a line have their limits, and what is odd in one changes no other.
func TestParseNodesFields(t *testing.T) {
	n, warnings := oneNode(t, fmt.Sprintf("a 1:65535@65535,shard-id=s,tls-port=10,replica-priority=2147483647 master b %d %d %d connected", int64(math.MaxInt64), int64(math.MinInt64), uint64(math.MaxUint64)))
	assert.Empty(t, warnings)
	assert.Equal(t, []any{65535, 65535, "s", 10, 2147483647, "", int64(math.MaxInt64), int64(math.MinInt64), uint64(math.MaxUint64), ""},
		[]any{n.EndpointPort, n.BusPort, n.ShardID, n.TLSPort, n.ReplicaPriority, n.Hostname, n.PingSent, n.PongReceived, n.ConfigEpoch, n.PrimaryID})
	n, warnings = oneNode(t, "a 1:1@65536,h,tls-port=5,tls-port=010,replica-priority=100,replica-priority=2147483648 slave - 9 - 10 disconnected")
	assert.Equal(t, []any{0, 0, 100, "", int64(9), int64(0), uint64(10), "disconnected"},
		[]any{n.BusPort, n.TLSPort, n.ReplicaPriority, n.PrimaryID, n.PingSent, n.PongReceived, n.ConfigEpoch, n.LinkState})
	assert.Equal(t, []string{
		`line 1, byte 6: cluster bus port "65536" is not a port`,
		`line 1, byte 25: tls-port "010" is not a port`,
		`line 1, byte 59: replica-priority "2147483648" is not a number`,
		`line 1, byte 97: pong-recv "-" is not a number`,
	}, warnings)

	var aux []string
	for _, name := range []string{"nodename", "human-nodename", "client-ipv4", "client-ipv6", "client-tcp-port", "client-tls-port"} {
		aux = append(aux, name+"=x"+name)
	}
	n, warnings = oneNode(t, "a 1:1@2,,"+strings.Join(aux, ",")+" master  0 0 1 connected") // the field of the primary is missing
	assert.Empty(t, warnings)
	for name, value := range n.Extra {
		assert.Equal(t, "x"+name, value)
	}
	assert.Len(t, n.Extra, len(aux))
	n, warnings = oneNode(t, "a 1:1@2 slave 123 0 0 1 connected 5") // an id of digits
	assert.Equal(t, "123", n.PrimaryID)
	assert.Equal(t, []string{`line 1, byte 0: slots of a node that is no primary, which owns none: "a"`}, warnings)
	n, _ = oneNode(t, "a 1:1@2,h,tls-port master - 0 0 1 connected")
	assert.Equal(t, "h", n.Hostname, "only the first field is a name")
	aux = nil
	for i := range 100 {
		aux = append(aux, fmt.Sprintf("x%d=%d", i, i))
	}
	n, _ = oneNode(t, "a 1:1@2,,"+strings.Join(aux, ",")+" master - 0 0 1 connected")
	assert.Len(t, n.Extra, 64)
	assert.Equal(t, "63", n.Extra["x63"])

	for s, want := range map[string]int{"": -1, "0": 0, "00": -1, "01": -1, "1": 1, "10": 10, "6379": 6379, "65535": 65535, "65536": -1, "-1": -1, "1x": -1, "x1": -1, "18446744073709551617": -1} {
		port, ok := parsePort(s)
		assert.Equal(t, want >= 0, ok, s)
		assert.Equal(t, max(want, 0), port, s)
	}
}

// An address field with spaces ends before the flags, if they are not far.
func TestParseNodesSpaces(t *testing.T) {
	words := strings.Repeat(" w", 16)
	n, warnings := oneNode(t, "a 1:1@2,,availability-zone=w"+words+" \t\r master - 0 0 1 connected 7")
	assert.Equal(t, []any{"w" + words, RolePrimary}, []any{n.AvailabilityZone, n.Role})
	assert.Len(t, warnings, 1)
	assert.Contains(t, warnings[0], `line 1, byte 2: spaces in the address field "1:1@2,,availability-zone=w w`)
	_, err := ParseNodes("a 1:1@2,,availability-zone=w"+words+" w master - 0 0 1 connected 7", Origin{})
	assert.Error(t, err)
	_, warnings = oneNode(t, "a 1:1@2,,availability-zone=x y master,odd - 0 0 1 connected")
	assert.Equal(t, `line 1, byte 38: unknown flag "odd"`, warnings[1])
	// Flags that are not known are flags, unless others follow.
	n, warnings = oneNode(t, "a 1:1@2,h odd - 0 0 1 connected")
	assert.Equal(t, []string{`line 1, byte 10: unknown flag "odd"`}, warnings)
	assert.Equal(t, "h", n.Hostname)
	// A field that could be flags comes too late.
	n, warnings = oneNode(t, "a 1:1@2,h master - 0 0 1 connected noaddr")
	assert.Equal(t, []string{`line 1, byte 35: unknown field "noaddr"`}, warnings)
	assert.Equal(t, "master", n.Flags.String())
	// Without a comma, there is no such field.
	_, err = ParseNodes("a 1:1@2 odd master - 0 0 1 connected", Origin{})
	assert.EqualError(t, err, `CLUSTER NODES: line 1, byte 25: link-state "1" is neither connected nor disconnected`)
}

// A line that cannot be read is an error if it may be that of an owner.
func TestParseNodesOwners(t *testing.T) {
	const good = "b 1:2@2 master - 0 0 1 connected 9\n"
	for line, owner := range map[string]bool{
		"a master - 0 0 1 connected":              true,
		"a primary - 0 0 1 connected":             true,
		"a master - 0 0 1":                        false, // nothing else of a node
		"a :x master":                             true,
		"a :x myself,primary,fail -":              true,
		"a :x masters -":                          false,
		"1:x master":                              true,
		"1:x x y master":                          false,
		"x y z master connected":                  false,
		"connected master":                        true,
		"x connected or word":                     false,
		"x disconnected 5":                        true,
		"x 5 connected":                           false,
		"x 5-9":                                   true,
		"x 5-9x":                                  false,
		"x two-words":                             false,
		"x -5":                                    false,
		"a 1:x slave b 0 0 1 connected [5->-b]":   false,
		"1:1@2 slave b 0 0 x connected":           false,
		"1:1@2 slave b 0 0 x connected 5 unknown": true,
	} {
		c, err := ParseNodes(good+line, Origin{})
		assert.Equal(t, owner, err != nil, line)
		if !owner {
			require.NotEmpty(t, c.Warnings(), line)
			assert.Contains(t, c.Warnings()[len(c.Warnings())-1], "the line is skipped: ", line)
		}
	}
	// A line of one letter is a line. The first error counts if there is no node.
	_, err := ParseNodes("a\nb 1\n", Origin{})
	assert.EqualError(t, err, "CLUSTER NODES: line 1, byte 1: too few fields: there is no address or no flags")
	_, err = ParseNodes("a master - 0 0 1 connected", Origin{})
	assert.EqualError(t, err, `CLUSTER NODES: line 1, byte 2: address "master" has no port`)
	for _, line := range []string{"a 1:1@2 master,slave, - 0 0 1 connected", "a 1:1@2 slave,master - 0 0 1 connected"} {
		_, err = ParseNodes(line, Origin{})
		assert.ErrorContains(t, err, "line 1, byte 8: flags ")
	}
	_, err = ParseNodes("1:1@2 master - 0 0 1 connected\n1:1@2 slave - 0 0 1 connected", Origin{})
	assert.NoError(t, err, "the second line is skipped")
	_, err = ParseNodes("1:1@2 slave - 0 0 1 connected\n1:1@2 master - 0 0 1 connected", Origin{})
	assert.EqualError(t, err, `CLUSTER NODES: line 2, byte 30: a second line for node "1:1@2"`)
}

// Replicas whose primary is not named have the one primary without an id.
func TestParseNodesNameless(t *testing.T) {
	parse := func(lines ...string) *Cluster {
		c, err := ParseNodes(strings.Join(lines, "\n"), Origin{})
		require.NoError(t, err)
		return c
	}
	const (
		named, slave = "a 1:1@2 master - 0 0 1 connected 0-5", "1:4@2 slave - 0 0 1 connected"
		one, other   = "1:2@2 master - 0 0 2 connected 6-9", "1:3@2 master - 0 0 3 connected 10-19"
	)
	c := parse(named, slave, one, "c 1:5@2 slave gone 0 0 1 connected", "d 1:6@2 slave a 0 0 1 connected", "e 1:7@2 handshake - 0 0 1 connected")
	shard, ok := c.Table().Lookup(6)
	require.True(t, ok)
	assert.Equal(t, []string{"1:2", "1:4"}, []string{shard.Primary.Addr(), ids(shard.Replicas)})
	shard, _ = c.Table().Lookup(0)
	assert.Equal(t, "d", ids(shard.Replicas))
	places := make([]int32, len(c.Nodes()))
	for i, n := range c.Nodes() {
		places[i] = n.primary
	}
	assert.Equal(t, []int32{0, 3, 0, 0, 1, 0}, places)
	for _, lines := range [][]string{{named, slave}, {one, slave, other}} {
		c = parse(lines...)
		for _, s := range c.Shards() {
			assert.Empty(t, s.Replicas)
		}
	}
}

// An open slot is migrating or importing by the first arrow.
func TestParseNodesOpen(t *testing.T) {
	n, warnings := oneNode(t, "a 1:1@2 master - 0 0 1 connected [5->-b-<-c] [6-<-b->-c] [7-9->-b] [10-11-<-c] 0-5\t7 9-10")
	assert.Empty(t, warnings)
	assert.Equal(t, []Peer{{5, "b-<-c"}, {7, "b"}, {8, "b"}, {9, "b"}}, n.Migrating)
	assert.Equal(t, []Peer{{6, "b->-c"}, {10, "c"}, {11, "c"}}, n.Importing)
	assert.Equal(t, 6, cap(n.Slots), "room for as many ranges as there are spaces")
	assert.Len(t, n.Slots, 3)
	n, _ = oneNode(t, "a 1:1@2 master - 0 0 1 connected 5"+strings.Repeat(" ", 20000))
	assert.LessOrEqual(t, cap(n.Slots), hashslot.Count*9/8)

	// A node may repeat open slots as long as it has 32768 at most, and 65536 of a text may
	// come in ranges.
	p := nodesParser{c: new(Cluster), number: 1}
	migrating := func(slots string) []Peer {
		p.line, p.at = slots, 0
		n := new(Node)
		require.Nil(t, p.parseSlots(n))
		return n.Migrating
	}
	const all = " [0-16383->-b]"
	assert.Len(t, migrating(all+all), 2*hashslot.Count)
	assert.Empty(t, p.c.warnings)
	peers := migrating("[0->-c]" + all + strings.Repeat(" [1->-c]", hashslot.Count))
	assert.Len(t, peers, hashslot.Count)
	assert.Equal(t, []Peer{{0, "c"}, {1, "b"}}, peers[:2], "the first one of each slot")
	assert.Equal(t, hashslot.Count, cap(peers))
	assert.Len(t, migrating(all), hashslot.Count)
	assert.Equal(t, []Peer{{5, "b"}, {6, "b"}}, migrating("[5->-b] [7-8->-b] [6->-b]"))
	assert.Equal(t, []string{
		"line 1, byte 0: open slots more than once",
		"line 1, byte 8: ranges of more than 65536 open slots",
	}, p.c.warnings)
}

// The line of variables.
func TestParseNodesVars(t *testing.T) {
	const node = "a 1:1@2 master - 0 0 1 connected\n"
	for vars, want := range map[string]uint64{
		"vars currentEpoch 10 lastVoteEpoch 11": 10, "VARS CURRENTEPOCH 18446744073709551615": math.MaxUint64, "vars lastVoteEpoch 3": 0,
		"vars currentEpoch 9 currentEpoch 18446744073709551616": 9, "vars currentEpoch 8\nvars currentEpoch x lastVoteEpoch 5": 8,
	} {
		c, err := ParseNodes(node+vars, Origin{})
		require.NoError(t, err)
		assert.Equal(t, want, c.currentEpoch, vars)
		assert.Equal(t, strings.Count(vars, "x")+strings.Count(vars, "616"), len(c.Warnings()), vars)
	}
}

// What is no text of CLUSTER NODES, and what could be.
func TestParseNodesForms(t *testing.T) {
	for _, text := range []string{"%1\r\n", "~1", ">2\r\n", "*-1", "$5"} {
		_, err := ParseNodes("txt:"+text, Origin{})
		assert.EqualError(t, err, "CLUSTER NODES: line 1, byte 4: is RESP that is not decoded, not the text of CLUSTER NODES")
	}
	for _, text := range []string{"$", "$x", "$x1", "a1", "-1"} {
		_, err := ParseNodes("txt:"+text, Origin{})
		assert.EqualError(t, err, fmt.Sprintf("CLUSTER NODES: line 1, byte %d: too few fields: there is no address or no flags", 4+len(text)))
	}
	text := strings.Repeat("{", 64<<20+1)
	_, err := ParseNodes(text, Origin{})
	assert.EqualError(t, err, "CLUSTER NODES: reply: longer than 64 MiB")
	_, err = ParseNodes(text[1:], Origin{})
	assert.EqualError(t, err, "CLUSTER NODES: line 1, byte 0: is JSON, not the text of CLUSTER NODES")
}

// There is room for as many nodes as there are lines, if these are as long as servers
// write them.
func TestParseNodesRoom(t *testing.T) {
	const line = "a 1:1@2 master - 0 0 1 connected"
	room := func(text string) int {
		c, err := ParseNodes(text, Origin{})
		require.NoError(t, err)
		return cap(c.store)
	}
	assert.Equal(t, 3, room(line+"\n\n"+strings.Repeat(" ", 200)))
	assert.Equal(t, 2, room(line+strings.Repeat("\n", 119-len(line))))
	assert.Equal(t, 3, room(line+strings.Repeat("\n", 120-len(line))))

	// A text has at most 65536 nodes.
	p := nodesParser{c: &Cluster{store: make([]Node, 65535, 65536), byKey: map[string]int32{}}}
	p.line = line
	require.Nil(t, p.parseLine())
	p.line = " b"
	assert.Equal(t, &fault{location{offset: 1}, "more than 65536 nodes"}, p.parseLine())
}
