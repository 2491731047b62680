package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/hashtest"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// captures returns the folder with replies of real servers, with a slash at its end.
func captures(t *testing.T) string { return hashtest.Data(t, "../..", "captures") + "/" }

// TestCheckCaptures checks the problems of each captured state, in the views of the nodes
// at the ports.
func TestCheckCaptures(t *testing.T) {
	captured := captures(t)
	for _, c := range []struct {
		state, ports string
		kinds        string // the kinds of the problems
		slots        string // the slots of the first problem
		assigned     int
	}{
		{"redis-7.0.15/fresh_3m3r", "17101", "one-host", "", 16384},
		{"redis-7.0.15/fresh_3m3r", "17101 17104 17106", "one-host", "", 16384},
		{"redis-7.0.15/migrating", "17101", "open one-host", "0-1", 16384},
		{"redis-7.0.15/migrating", "17104", "one-host", "", 16384},
		{"redis-7.0.15/migrating", "17106 17101 17104", "open one-host", "0-1", 16384},
		{"redis-7.0.15/migrated_target_only", "17104", "one-host", "", 16384},
		{"redis-7.0.15/migrated_target_only", "17101 17104", "open disagreement one-host", "0-1", 16384},
		{"redis-7.0.15/migrated", "17101 17104", "one-host", "", 16384},
		{"redis-7.0.15/killed_master_pfail", "17102", "suspected one-host", "1-5460", 16384},
		{"redis-7.0.15/killed_master_fail", "17102", "failed one-host", "1-5460", 16384},
		{"redis-7.0.15/after_failover", "17102 17104 17106", "no-replica one-host dead", "1-5460", 16384},
		{"redis-7.0.15/old_master_rejoined", "17101", "one-host", "", 16384},
		{"redis-7.0.15/shard_down", "17101 17105 17106", "failed no-replica replica one-host", "0 5461-10922", 16384},
		{"redis-7.0.15/two_masters_one_killed_no_failover", "17301", "suspected quorum few-primaries one-host", "8192-16383", 16384},
		{"redis-7.0.15/noaddr_master", "17221", "unreachable no-replica one-host", "10923-16383", 16384},
		{"redis-7.0.15/noaddr_master", "17221 17223", "unreachable disagreement strangers no-replica one-host empty", "10923-16383", 16384},
		{"redis-7.0.15/noaddr", "17211", "no-replica replica one-host", "", 16384},
		{"redis-7.0.15/nofailover", "17271", "no-replica one-host nofailover", "", 16384},
		{"redis-7.0.15/gaps_partial_coverage", "17261", "unassigned no-replica few-primaries one-host empty", "10-99 5001-16382", 4912},
		{"redis-7.0.15/single_node", "17231", "no-replica few-primaries", "0-16383", 16384},
		{"redis-7.0.15/handshake", "17231", "no-replica few-primaries unready", "0-16383", 16384},
		{"redis-7.0.15/noflags", "17274", "unassigned no-replica orphan few-primaries one-host unready", "0-5460", 10923},
		{"redis-7.0.15/empty_cluster_node", "17282", "unassigned empty", "0-16383", 0},
		{"redis-7.0.15/alternating_all_single_slots", "17265", "no-replica few-primaries one-host", "0-16383", 16384},
		{"redis-7.0.15/ipv6_announce_ip", "17251 17252", "disagreement no-replica few-primaries unknown-node", "8192-16383", 16384},
		{"valkey-8.0.1/ipv6", "17241 17242", "no-replica one-host", "0-16383", 16384},
		{"valkey-8.0.1/migrating", "17101", "open one-host", "0-1", 16384},
		{"valkey-9.1.2/after_failover", "17102 17104 17106", "no-replica one-host dead", "1-5460", 16384},
		{"valkey-9.1.2/asm_in_progress", "17291 17292 17293", "no-replica one-host", "0-16383", 16384},
	} {
		name := c.state + " " + c.ports
		args := []string{"check", "-format", "json"}
		for _, port := range strings.Fields(c.ports) {
			args = append(args, captured+c.state+"/"+port+".nodes.txt")
		}
		r := runOn("", args...)
		assert.Empty(t, regexp.MustCompile(`.*the node that was asked does not tell its address.*\n`).ReplaceAllString(r.errOut, ""), name)
		var got clusterJSON
		require.NoError(t, json.Unmarshal([]byte(r.out), &got), name)
		assert.Equal(t, c.kinds, kindsOf(got), name)
		assert.Equal(t, c.assigned, got.Assigned, name)
		assert.Equal(t, got.worst() < severityError, got.OK, name)
		if c.slots != "" {
			assert.Equal(t, c.slots, got.Problems[0].Slots.String(), name)
		}
		code := exitOK
		if !got.OK {
			code = exitFailed
		}
		assert.Equal(t, code, r.code, name)
		strict := runOn("", append(args, "-strict")...).code
		assert.Equal(t, got.worst() >= severityWarning, strict == exitFailed, name)
		// Text says the same.
		args[2] = "text"
		text := runOn("", args...)
		assert.Equal(t, code, text.code, name)
		assert.Contains(t, text.out, fmt.Sprintf("%d of 16384 slots", c.assigned), name)
		for _, s := range got.Shards {
			assert.Contains(t, text.out, s.ID+"  "+plain(s.Addr)+" ", name)
			assert.Contains(t, text.out, "  "+s.Slots.String()+"\n", name)
		}
		for _, p := range got.Problems {
			assert.Contains(t, text.out, "  "+p.where()+p.Text+"\n", name)
		}
		// The order of views does not matter, except in texts that name them.
		if n := len(args); n > 5 && !strings.Contains(c.kinds, "strangers") {
			args[2], args[3], args[n-1] = "json", args[n-1], args[3]
			assert.Equal(t, r.out, runOn("", args...).out, name)
		}
	}
}

// The problems of one view, or of several, with their texts.
func TestCheckProblems(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct{ views, want string }{
		{`a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-5 [0->-b] [1->-x]
b 10.0.0.2:1@2 master,fail - 0 0 2 connected 6-99
c 10.0.0.3:1@2 master,fail? - 0 0 3 connected 100-999
d 10.0.0.4:1@2 master - 0 0 4 disconnected 1000-16382
e 10.0.0.5:1@2 slave,fail,nofailover a 0 0 1 connected
f 10.0.0.6:1@2 slave,nofailover a 0 0 1 connected
g 10.0.0.7:1@2 slave x 0 0 1 connected
h 10.0.0.8:1@2 slave f 0 0 1 connected
i 10.0.0.9:1@2 handshake - 0 0 0 connected
j 10.0.0.9:2@2 master,fail - 0 0 0 connected
k 10.0.0.9:3@2 master,fail? - 0 0 0 connected
l 10.0.0.9:4@2 master - 0 0 0 connected
m 10.0.0.9:5@2 slave d 0 0 0 disconnected
`, `
unassigned 16383: 1 slot has no owner
failed 6-99: the owner b 10.0.0.2:1 has failed
suspected 100-999: the owner c 10.0.0.3:1 does not answer the node that was asked
suspected 1000-16382: the node that was asked has no link to the owner d 10.0.0.4:1
open 0: being moved from a to b: only the source reports it; the target has failed
open 1: being moved from a to x: only the source reports it; the target is unknown
quorum 2 of 4 primaries that own slots do not serve: the others cannot agree on a failover
no-replica 6-99: the owner b 10.0.0.2:1 has no replica
no-replica 100-999: the owner c 10.0.0.3:1 has no replica
replica the replica e 10.0.0.5:1 has failed
orphan g 10.0.0.7:1 is a replica of x, which is unknown
orphan h 10.0.0.8:1 is a replica of f 10.0.0.6:1, which is not a primary
dead j 10.0.0.9:2 has no slots and has failed
dead k 10.0.0.9:3 has no slots and does not answer the node that was asked
empty the primary l 10.0.0.9:4 has no slots
unready the node i 10.0.0.9:1 is not a member: its flags are handshake
disconnected the node that was asked has no link to m 10.0.0.9:5
`},
		{`[{"slots":[0,5],"nodes":[{"id":"a","port":1,"ip":"10.0.0.1","endpoint":"10.0.0.1","role":"master","replication-offset":1,"health":"loading"},{"id":"d","port":1,"ip":"10.0.0.2","endpoint":"10.0.0.2","role":"replica","replication-offset":1,"health":"syncing"}]},{"slots":[6,16383],"nodes":[{"id":"b","port":0,"ip":"10.0.0.2","endpoint":"?","role":"master","replication-offset":1,"health":"online"}]}]`, `
loading 0-5: the owner a 10.0.0.1:1 is loading its data
unreachable 6-16383: the owner b has no address
quorum 2 of 2 primaries that own slots do not serve: the others cannot agree on a failover
no-replica 0-5: the only replica of the owner a 10.0.0.1:1 does not work
no-replica 6-16383: the owner b has no replica
replica the replica d 10.0.0.2:1 is syncing
few-primaries slots are owned by 2 primaries: if one fails, no majority is left to agree on a failover
`},
		{`b 10.0.0.2:1@2 myself,master - 0 0 2 connected 0-16383 [16383-<-a] [5-<-z]
a 10.0.0.1:1@2 master,fail - 0 0 1 connected 
`, `
open 5: being moved from z to b: only the target reports it; the source is unknown
open 16383: being moved from a to b: only the target reports it; the source has failed
no-replica 0-16383: the owner b 10.0.0.2:1 has no replica
few-primaries slots are owned by 1 primary: if one fails, no majority is left to agree on a failover
dead a 10.0.0.1:1 has no slots and has failed
`},
		{`a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-5
b 10.0.0.1:2@2 master - 0 0 1 connected 6-99
c 10.0.0.1:3@2 master - 0 0 3 connected 100-16383
d 10.0.0.1:4@2 slave,fail a 0 0 1 connected
e 10.0.0.1:5@2 slave,fail a 0 0 1 connected
f 10.0.0.1:6@2 slave,nofailover c 0 0 1 connected
g 10.0.0.1:7@2 slave - 0 0 1 connected
h 10.0.0.2:7@2 handshake - 0 0 1 connected
`, `
no-replica 0-5: none of the 2 replicas of the owner a 10.0.0.1:1 works
no-replica 6-99: the owner b 10.0.0.1:2 has no replica
replica the replica d 10.0.0.1:4 has failed
replica the replica e 10.0.0.1:5 has failed
orphan the replica g 10.0.0.1:7 has no primary
one-host all nodes are on the machine 10.0.0.1
nofailover 100-16383: no replica of the owner c 10.0.0.1:3 may take over: all have nofailover
unready the node h 10.0.0.2:7 is not a member: its flags are handshake
epoch a 10.0.0.1:1 and b 10.0.0.1:2 have the same config epoch, 1
`},
		{`a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-16383
`, `
no-replica 0-16383: the owner a 10.0.0.1:1 has no replica
few-primaries slots are owned by 1 primary: if one fails, no majority is left to agree on a failover
`},
		{`a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-99
b 10.0.0.2:2@2 master - 0 0 2 connected 100-16383
`, `
no-replica 0-16383: none of the 2 primaries that own slots has a replica
few-primaries slots are owned by 2 primaries: if one fails, no majority is left to agree on a failover
`},
		{`a 10.0.0.1:1@2 myself,master - 0 0 7 connected 0-99
b 10.0.0.2:1@2 master - 0 0 7 connected 100-16383
c 10.0.0.3:1@2 slave,fail a 0 0 7 connected
`, `
no-replica 0-99: the only replica of the owner a 10.0.0.1:1 does not work
no-replica 100-16383: the owner b 10.0.0.2:1 has no replica
replica the replica c 10.0.0.3:1 has failed
few-primaries slots are owned by 2 primaries: if one fails, no majority is left to agree on a failover
`},
		{`a 10.0.0.1:1@2 myself,master - 0 0 0 connected 0-99
b 10.0.0.2:1@2 master - 0 0 0 connected 100-999
c 10.0.0.3:1@2 master - 0 0 3 connected 1000-16383
d 10.0.0.4:1@2 slave c 0 0 3 connected
`, `
no-replica 0-99: the owner a 10.0.0.1:1 has no replica
no-replica 100-999: the owner b 10.0.0.2:1 has no replica
`},
		{`a h1:1@2 myself,master - 0 0 1 connected 0-99
b h1:2@2 master - 0 0 2 connected 100-199
c h3:3@2 master - 0 0 3 connected 200-299
d h4:4@2 master - 0 0 4 connected 300-399
e h5:5@2 master - 0 0 5 connected 400-16383
`, `
no-replica 0-16383: none of the 5 primaries that own slots has a replica
`},
		{`a h1:1@2 myself,master - 0 0 1 connected 0-99
b h1:2@2 master - 0 0 2 connected 100-199
c h3:3@2 master - 0 0 3 connected 200-299
d h4:4@2 master - 0 0 4 connected 300-16383
`, `
no-replica 0-16383: none of the 4 primaries that own slots has a replica
host-quorum 2 of 4 primaries that own slots are on the machine h1: without it, the others cannot agree on a failover
`},
		{`[{"slots":[0,5],"nodes":[{"id":"a","port":1,"ip":"10.0.0.1","endpoint":"h1","role":"master","replication-offset":1,"health":"online","availability-zone":"x"},{"id":"d","port":2,"ip":"10.0.0.2","endpoint":"h2","role":"replica","replication-offset":1,"health":"online","availability-zone":"x"}]},{"slots":[6,16383],"nodes":[{"id":"b","port":1,"ip":"10.0.0.3","endpoint":"h3","role":"master","replication-offset":1,"health":"online"},{"id":"e","port":1,"ip":"10.0.0.4","endpoint":"h4","role":"replica","replication-offset":1,"health":"online"}]}]`, `
few-primaries slots are owned by 2 primaries: if one fails, no majority is left to agree on a failover
`},
		{`[{"slots":[0,5],"nodes":[{"id":"a","port":1,"ip":"10.0.0.1","endpoint":"h1","role":"master","replication-offset":1,"health":"online","availability-zone":"x"},{"id":"d","port":2,"ip":"10.0.0.2","endpoint":"h2","role":"replica","replication-offset":1,"health":"online","availability-zone":"x"}]},{"slots":[6,16383],"nodes":[{"id":"b","port":1,"ip":"10.0.0.3","endpoint":"h3","role":"master","replication-offset":1,"health":"online","availability-zone":"y"},{"id":"e","port":1,"ip":"10.0.0.4","endpoint":"h4","role":"replica","replication-offset":1,"health":"online"}]}]`, `
few-primaries slots are owned by 2 primaries: if one fails, no majority is left to agree on a failover
same-zone 0-5: the owner a h1:1 and its replicas are all in the zone x
`},
		{`[{"slots":[0,5],"nodes":[{"id":"a","port":1,"ip":"10.0.0.1","endpoint":"h1","role":"master","replication-offset":1,"health":"online","availability-zone":"x"},{"id":"d","port":2,"ip":"10.0.0.1","endpoint":"h2","role":"replica","replication-offset":1,"health":"online","availability-zone":"x"}]},{"slots":[6,16383],"nodes":[{"id":"b","port":1,"ip":"10.0.0.3","endpoint":"h3","role":"master","replication-offset":1,"health":"online"},{"id":"e","port":1,"ip":"10.0.0.4","endpoint":"h4","role":"replica","replication-offset":1,"health":"online"}]}]`, `
few-primaries slots are owned by 2 primaries: if one fails, no majority is left to agree on a failover
same-host 0-5: the owner a h1:1 and its replicas are all on the machine 10.0.0.1
`},
		{`a h:1@2 myself,master - 0 0 1 connected 0-16383
b h:2@2 slave a 0 0 1 connected
`, `
few-primaries slots are owned by 1 primary: if one fails, no majority is left to agree on a failover
one-host all nodes are on the machine h
`},
		{`a 10.0.0.1:1@2 myself,master - 0 0 1 disconnected 0-99
b 10.0.0.2:1@2,,shard-id=x master - 0 0 2 disconnected 100-16383
c 10.0.0.3:1@2 slave a 0 0 1 connected
d 10.0.0.4:1@2 slave b 0 0 2 connected
`, `
few-primaries slots are owned by 2 primaries: if one fails, no majority is left to agree on a failover
truncated v1: the line "vars", with which a nodes.conf ends, is missing: the file may be truncated
`},
		{`a :1@2 myself,master - 0 0 1 connected 0-99
b :2@3 master - 0 0 2 connected 100-16383
`, `
unreachable 100-16383: the owner b has no address
quorum 1 of 2 primaries that own slots do not serve: the others cannot agree on a failover
no-replica 0-16383: none of the 2 primaries that own slots has a replica
few-primaries slots are owned by 2 primaries: if one fails, no majority is left to agree on a failover
`},
		{`a :0@0 myself,master - 0 0 1 connected 0-16383
`, `
unreachable 0-16383: the owner a has no address
quorum 1 of 1 primaries that own slots do not serve: the others cannot agree on a failover
no-replica 0-16383: the owner a has no replica
few-primaries slots are owned by 1 primary: if one fails, no majority is left to agree on a failover
`},
		{`a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-16382 [5->-b]
b 10.0.0.2:1@2 slave a 0 0 1 connected
h 10.0.0.8:1@2 handshake - 0 0 0 connected
i 10.0.0.9:1@2 handshake - 0 0 0 connected
--
a 10.0.0.1:1@2 master - 0 0 1 connected 0-16383
b 10.0.0.2:1@2 myself,master - 0 0 2 connected [5-<-a]
h 10.0.0.8:1@2 master - 0 0 0 connected
i 10.0.0.9:1@2 handshake - 0 0 0 connected
`, `
open 5: being moved from a to b: both nodes report it
disagreement 16383: a 10.0.0.1:1 owns them, but another view has no owner for them: nobody in 1 of 2 views
no-replica 0-16383: the owner a 10.0.0.1:1 has no replica
few-primaries slots are owned by 1 primary: if one fails, no majority is left to agree on a failover
unknown-node h 10.0.0.8:1 is missing in v1
role views differ about b 10.0.0.2:1: primary or replica of a
empty the primary b 10.0.0.2:1 has no slots
empty the primary h 10.0.0.8:1 has no slots
unready the node i 10.0.0.9:1 is not a member: its flags are handshake
`},
		{`[[0,16383,["10.0.0.1",1]]]--
a 10.0.0.2:1@2 myself,master - 0 0 1 connected 0-16383
`, `
disagreement 0-16383: a 10.0.0.2:1 owns them, but 10.0.0.1:1 claims them too: a config epoch over none
no-replica 0-16383: the owner a 10.0.0.2:1 has no replica
few-primaries slots are owned by 1 primary: if one fails, no majority is left to agree on a failover
empty the primary 10.0.0.1:1 has no slots
`},
		{`a 10.0.0.2:1@2 myself,master - 0 0 1 connected 0-16383
--
[[0,16383,["10.0.0.1",1]]]`, `
disagreement 0-16383: a 10.0.0.2:1 owns them, but 10.0.0.1:1 claims them too: a config epoch over none
no-replica 0-16383: the owner a 10.0.0.2:1 has no replica
few-primaries slots are owned by 1 primary: if one fails, no majority is left to agree on a failover
empty the primary 10.0.0.1:1 has no slots
`},
		{`a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-16383
--
b 10.0.0.2:1@2 myself,master - 0 0 1 connected 0-16383
`, `
disagreement 0-16383: a 10.0.0.1:1 owns them, but b 10.0.0.2:1 claims them too: the smaller node id
strangers v1 and v2 have no node in common
no-replica 0-16383: the owner a 10.0.0.1:1 has no replica
few-primaries slots are owned by 1 primary: if one fails, no majority is left to agree on a failover
empty the primary b 10.0.0.2:1 has no slots
`},
		{`a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-16383
c 10.0.0.3:1@2 slave,fail a 0 0 1 connected
--
a 10.0.0.1:1@2 master - 0 0 1 connected 0-16383
b 10.0.0.2:1@2 myself,slave a 0 0 1 connected
`, `
replica the replica c 10.0.0.3:1 has failed
few-primaries slots are owned by 1 primary: if one fails, no majority is left to agree on a failover
unknown-node b 10.0.0.2:1 is missing in v1
`},
		{`[{"slots":[0,16383],"nodes":[{"id":"a","port":1,"ip":"10.0.0.1","endpoint":"10.0.0.1","role":"master","replication-offset":1,"health":"online"}]},{"slots":[],"nodes":[{"id":"r","port":1,"ip":"10.0.0.2","endpoint":"10.0.0.2","role":"replica","replication-offset":1,"health":"online"}]}]`, `
no-replica 0-16383: the owner a 10.0.0.1:1 has no replica
few-primaries slots are owned by 1 primary: if one fails, no majority is left to agree on a failover
`},
		{`[[0,16383,["10.0.0.1",1],["10.0.0.5",5]]]--
a 10.0.0.2:1@2 myself,master - 0 0 1 connected 0-16383
`, `
disagreement 0-16383: a 10.0.0.2:1 owns them, but 10.0.0.1:1 claims them too: a config epoch over none
no-replica 0-16383: the owner a 10.0.0.2:1 has no replica
few-primaries slots are owned by 1 primary: if one fails, no majority is left to agree on a failover
empty the primary 10.0.0.1:1 has no slots
`},
		{`[{"slots":[0,5],"nodes":[{"id":"a","port":1,"ip":"10.0.0.1","endpoint":"h1","role":"master","replication-offset":1,"health":"online","availability-zone":"y"},{"id":"d","port":2,"ip":"10.0.0.2","endpoint":"h2","role":"replica","replication-offset":1,"health":"online","availability-zone":"x"}]},{"slots":[6,16383],"nodes":[{"id":"b","port":1,"ip":"10.0.0.3","endpoint":"h3","role":"master","replication-offset":1,"health":"online"},{"id":"e","port":1,"ip":"10.0.0.4","endpoint":"h4","role":"replica","replication-offset":1,"health":"online"}]}]`, `
few-primaries slots are owned by 2 primaries: if one fails, no majority is left to agree on a failover
`},
		{`[[0,16383,["h",1,"a"],["h",2,"b"]]]`, `
few-primaries slots are owned by 1 primary: if one fails, no majority is left to agree on a failover
one-host all nodes are on the machine h
`},
	} {
		args := []string{"check", "-format", "json"}
		for i, view := range strings.Split(c.views, "--\n") {
			name := fmt.Sprint("v", i+1)
			require.NoError(t, os.WriteFile(name, []byte(view), 0o600))
			args = append(args, name)
		}
		var d clusterJSON
		require.NoError(t, json.Unmarshal([]byte(runOn("", args...).out), &d))
		got := "\n"
		for _, p := range d.Problems {
			got += p.Kind + " " + p.where() + p.Text + "\n"
		}
		assert.Equal(t, c.want, got, c.views)
	}
}

func TestProblemKinds(t *testing.T) {
	for _, k := range problemKinds {
		assert.NotEmpty(t, k.doc, k.name)
	}
	assert.Contains(t, kindsDoc(severityError), "  open          CLUSTER SETSLOT is moving the slots or has left them half moved;\n                only the source and the target know of it\n")
	assert.NotContains(t, kindsDoc(severityError), "one-host")
	assert.Equal(t, severity(-1), (&clusterJSON{}).worst())
	require.EqualError(t, new(severity).UnmarshalText([]byte("x")), `no severity: "x"`)
	for want, list := range map[string]string{"a": "a", "a and b": "a b", "a, b, c, d and e": "a b c d e", "a, b, c, d, e and 1 more": "a b c d e f"} {
		assert.Equal(t, want, names(strings.Fields(list)))
	}
}

// kindsOf lists the kinds of the problems, each once.
func kindsOf(d clusterJSON) string {
	var kinds []string
	for _, p := range d.Problems {
		if len(kinds) == 0 || kinds[len(kinds)-1] != p.Kind {
			kinds = append(kinds, p.Kind)
		}
	}
	return strings.Join(kinds, " ")
}

// TestCheckKinds checks the kinds of problems that no captured state has.
func TestCheckKinds(t *testing.T) {
	all := map[string]bool{}
	for _, c := range []struct{ want, nodes string }{
		{"", "a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-5\nb 10.0.0.2:1@2 master - 0 0 2 connected 6-99\nc 10.0.0.3:1@2 master - 0 0 3 connected 100-16383\n" +
			"d 10.0.0.2:2@2 slave a 0 0 1 connected\ne 10.0.0.3:2@2 slave b 0 0 2 connected\nf 10.0.0.1:2@2 slave c 0 0 3 connected\n"},
		// The only replica of a has failed, that of b is suspected, and f and g replicate no primary.
		{"no-replica replica orphan", "a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-5\nb 10.0.0.2:1@2 master - 0 0 2 connected 6-99\nc 10.0.0.3:1@2 master - 0 0 3 connected 100-16383\n" +
			"d 10.0.0.2:2@2 slave,fail a 0 0 1 connected\ne 10.0.0.3:2@2 slave,fail? b 0 0 2 connected\nf 10.0.0.1:2@2 slave x 0 0 3 connected\ng 10.0.0.1:3@2 slave e 0 0 3 connected\n"},
		{"same-host host-quorum disconnected", "a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-5\nb 10.0.0.1:1@2 master - 0 0 2 connected 6-99\nc 10.0.0.3:1@2 master - 0 0 3 connected 100-16383\n" +
			"d 10.0.0.1:2@2 slave a 0 0 1 connected\ne 10.0.0.3:2@2 slave b 0 0 2 connected\nf 10.0.0.1:2@2 slave c 0 0 3 disconnected\n"},
		{"suspected", "a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-5\nb 10.0.0.2:1@2 master - 0 0 2 disconnected 6-99\nc 10.0.0.3:1@2 master - 0 0 3 connected 100-16383\n" +
			"d 10.0.0.2:2@2 slave a 0 0 1 connected\ne 10.0.0.3:2@2 slave b 0 0 2 connected\nf 10.0.0.1:2@2 slave c 0 0 3 connected\n"},
		{"epoch", "a 10.0.0.1:1@2 myself,master - 0 0 3 connected 0-5\nb 10.0.0.2:1@2 master - 0 0 2 connected 6-99\nc 10.0.0.3:1@2 master - 0 0 3 connected 100-16383\n" +
			"d 10.0.0.2:2@2 slave a 0 0 1 connected\ne 10.0.0.3:2@2 slave b 0 0 2 connected\nf 10.0.0.1:2@2 slave c 0 0 3 connected\n"},
		{"truncated", "a 10.0.0.1:1@2,,shard-id=x myself,master - 0 0 1 connected 0-5\nb 10.0.0.2:1@2 master - 0 0 2 connected 6-99\nc 10.0.0.3:1@2 master - 0 0 3 connected 100-16383\n" +
			"d 10.0.0.2:2@2 slave a 0 0 1 connected\ne 10.0.0.3:2@2 slave b 0 0 2 connected\nf 10.0.0.1:2@2 slave c 0 0 3 connected\n"},
		{"loading unreachable quorum no-replica replica same-host same-zone", `[
			{"slots":[0,5],"nodes":[{"id":"a","port":1,"ip":"10.0.0.1","endpoint":"10.0.0.1","role":"master","replication-offset":1,"health":"loading","availability-zone":"x"},
				{"id":"d","port":1,"ip":"10.0.0.2","endpoint":"10.0.0.2","role":"replica","replication-offset":1,"health":"loading","availability-zone":"y"}]},
			{"slots":[6,99],"nodes":[{"id":"b","port":0,"ip":"10.0.0.2","endpoint":"?","role":"master","replication-offset":1,"health":"online","availability-zone":"x"},
				{"id":"e","port":1,"ip":"10.0.0.3","endpoint":"10.0.0.3","role":"replica","replication-offset":1,"health":"online","availability-zone":"x"}]},
			{"slots":[100,16383],"nodes":[{"id":"c","port":1,"ip":"10.0.0.3","endpoint":"10.0.0.3","role":"master","replication-offset":1,"health":"online","availability-zone":"z"},
				{"id":"f","port":2,"ip":"10.0.0.3","endpoint":"10.0.0.3","role":"replica","replication-offset":1,"health":"online","availability-zone":"x"}]}]`},
	} {
		r := runOn(c.nodes, "check", "-format", "json", "-")
		var got clusterJSON
		require.NoError(t, json.Unmarshal([]byte(r.out), &got), r.errOut)
		assert.Equal(t, c.want, kindsOf(got), c.nodes)
		for _, p := range got.Problems {
			all[p.Kind] = true
		}
	}
	// Views that differ about a node.
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "1"), filepath.Join(dir, "2")}
	require.NoError(t, os.WriteFile(files[0], []byte("a h:1@2 myself,master - 0 0 1 connected 0-16383\nb h:2@2 slave a 0 0 1 connected\nc h:3@2 slave a 0 0 1 connected\n"), 0o600))
	require.NoError(t, os.WriteFile(files[1], []byte("a h:1@2 master - 0 0 1 connected 0-16383\nb h:2@2 myself,master - 0 0 1 connected\n"), 0o600))
	var got clusterJSON
	require.NoError(t, json.Unmarshal([]byte(runOn("", append([]string{"check", "-format", "json"}, files...)...).out), &got))
	assert.Contains(t, kindsOf(got), "unknown-node role")
	for _, p := range got.Problems {
		if p.Kind == "unknown-node" {
			assert.Equal(t, "c h:3 is missing in "+files[1], p.Text)
		}
		if p.Kind == "role" {
			assert.Equal(t, "views differ about b h:2: primary or replica of a", p.Text)
		}
		all[p.Kind] = true
	}
	for _, k := range problemKinds {
		if !all[k.name] {
			assert.Contains(t, "unassigned failed suspected open disagreement strangers few-primaries one-host dead empty nofailover unready", k.name, "TestCheckCaptures has it")
		}
	}
}

// TestCheckForms checks that all formats of a view give the same owners, and that the
// error for other input names its format.
func TestCheckForms(t *testing.T) {
	captured := captures(t) + "valkey-9.1.2/fresh_3m3r/17101."
	shards := func(name, in string) []shardJSON {
		args := []string{"check", "-format", "json", name}
		r := runOn(in, args...)
		require.Empty(t, r.errOut, name)
		var got clusterJSON
		require.NoError(t, json.Unmarshal([]byte(r.out), &got))
		for i := range got.Shards {
			slices.Sort(got.Shards[i].Replicas)
		}
		return got.Shards
	}
	want := shards(captured+"nodes.txt", "")
	require.Len(t, want, 3)
	for _, form := range []string{"nodes.conf", "nodes.resp2", "nodes.resp3", "slots.resp2", "slots.resp3", "shards.resp2", "shards.resp3"} {
		assert.Equal(t, want, shards(captured+form, ""), form)
		data, err := os.ReadFile(captured + form)
		require.NoError(t, err)
		assert.Equal(t, want, shards("-", "\xef\xbb\xbf"+string(data)), form)
		var wide strings.Builder
		wide.WriteString("\xff\xfe")
		for _, c := range data {
			wide.Write([]byte{c, 0})
		}
		assert.Equal(t, want, shards("-", wide.String()), form)
		if strings.Contains(form, ".resp") {
			assert.Equal(t, want, shards("-", "+OK\r\n"+string(data)), form)
			reply, _, err := readRESP(data)
			require.NoError(t, err)
			text, err := json.Marshal(asObjects(reply))
			require.NoError(t, err)
			assert.Equal(t, want, shards("-", string(text)), form)
			// A truncated reply is never a cluster, wherever it ends.
			for n := 0; n < len(data)-2; n += 1 + n/3 {
				r := runOn(string(data[:n]), "check", "-")
				assert.Equal(t, exitNoIdea, r.code, "%s %d", form, n)
				assert.Empty(t, r.out)
				r = runOn(string(text[:min(n, len(text)-1)]), "check", "-")
				assert.Equal(t, exitNoIdea, r.code, "%s %d", form, n)
			}
		}
	}
	for in, want := range map[string]string{
		"":                     "standard input: the input is empty; expected CLUSTER NODES, a nodes.conf, or ",
		" \r\n":                "standard input: the input is empty; expected ",
		"\x1f\x8b\x08":         "this is a gzip file; expected CLUSTER NODES, ",
		"cluster_state:ok\r\n": "this is CLUSTER INFO; ",
		"ERR This instance has cluster support disabled\n": `this is an error of a server, "ERR This instance has cluster support disabled"; `,
		"-ERR This instance\r\n":                           "the server replied with an error: ERR This instance\n",
		"1) 1) (integer) 0\n":                              "this is what valkey-cli and redis-cli print for people (use --json); ",
		"0\n5460\n127.0.0.1\n7000\nid\n":                   "this is CLUSTER SLOTS without its structure (use --json); ",
		"slots\n0\n1\nnodes\n":                             "this is CLUSTER SHARDS without its structure (use --json); ",
		"[[1,{\"key-count\":3}]]":                          "this is CLUSTER SLOT-STATS; ",
		`{"ok":true,"assigned":1}`:                         `this is the output of "hashslot check"; `,
		`{}`:                                               "this is a JSON object; ",
		`["a"]`:                                            "this is a list of strings; ",
		`[[0,1]`:                                           "the JSON is truncated\n",
		`[] x`:                                             "there is more after the JSON, from byte 2 on\n",
		`[x]`:                                              "not JSON: invalid character",
		"<html>":                                           "this is an HTML or XML page; ",
		"a\x00b\n":                                         "this is binary data; ",
		"$5\r\nab":                                         "the reply is truncated\n",
		"$1\r\nabc\r\n":                                    "a string of the reply does not have the 1 bytes that it announces\n",
		"*1000000000\r\n":                                  "the reply is truncated\n",
		"*0\r\n*0\r\n":                                     "there is more than one reply: give each its own file\n",
		strings.Repeat("*1\r\n", 1000):                     "the reply is nested too deeply\n",
		":5\r\n":                                           "standard input: CLUSTER NODES: line 1",
		"+OK\r\n":                                          "standard input: CLUSTER NODES: line 1",
		"a h:1@2 master":                                   "standard input: CLUSTER NODES: line 1, byte 14: too few fields",
	} {
		r := runOn(in, "check", "-")
		assert.Equal(t, exitNoIdea, r.code, in)
		assert.Empty(t, r.out, in)
		assert.Contains(t, r.errOut, want, in)
		assert.Equal(t, 1, strings.Count(r.errOut, "\n"), "one message: %s", r.errOut)
	}
	r := runOn("a h:1@2 myself,master - 0 0 1 connected 0-16383", "check", "-")
	assert.Equal(t, "hashslot check: standard input: warning: the last line does not end with a newline: the text may be truncated\n", r.errOut)
	assert.Contains(t, r.out, "  truncated      standard input: the last line does not end with a newline: ")
	assert.Equal(t, exitOK, runOn("a h:1@2 myself,master - 0 0 1 connected 0-16383\r\n", "check", "-").code)
	r = runOn("", "check", t.TempDir())
	assert.Equal(t, exitNoIdea, r.code)
	assert.Contains(t, r.errOut, " is a directory, not a file\n")
}

func TestViewParts(t *testing.T) {
	assert.Equal(t, "ab\u00e9", string(decodeText([]byte("\xfe\xff\x00a\x00b\x00\xe9"))))
	assert.Equal(t, "a", string(decodeText([]byte("\xff\xfea\x00b"))))
	for _, text := range []string{"+OK\r\n \r\n:1\r\n", ":1\r\n \r\n"} {
		reply, err := oneReply([]byte(text))
		require.NoError(t, err)
		assert.Equal(t, int64(1), reply)
	}
	reply, err := readJSON([]byte(`{"a":[1,1e3,9223372036854775808]}`))
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"a": []any{int64(1), "1e3", "9223372036854775808"}}, reply)

	for want, reply := range map[string]any{
		`this is an error of a server, "ERR x"; expected `: "ERR x",
		"CLUSTER SLOTS: ":  []any{[]any{}},
		"CLUSTER SHARDS: ": []any{[]any{"slots"}},
		`this is the reply to another command: "` + strings.Repeat("1", 60) + `"; expected `: json.Number(strings.Repeat("1", 61)),
	} {
		_, err := readReply(reply, topology.Origin{})
		require.Error(t, err)
		assert.Contains(t, err.Error(), want)
	}
	_, err = readReply("a h:1@2 myself,master - 0 0 1 connected\n", topology.Origin{})
	require.NoError(t, err)

	const slots, shards, people = "CLUSTER SLOTS without its structure (use --json)", "CLUSTER SHARDS without its structure (use --json)", "what valkey-cli and redis-cli print for people (use --json)"
	for data, want := range map[string]string{
		"\x1f\x8b": "a gzip file", "\x28\xb5\x2f\xfd": "a zstd file", "PK\x03\x04": "a zip file", "\x7fELF": "a program", "REDIS0": "an RDB file", "VALKEY0": "an RDB file",
		"\x89PNG": "a picture", "<svg": "a picture", "<": "an HTML or XML page", "---": "a YAML file", "cluster_state:": "CLUSTER INFO", "cluster_enabled:": "CLUSTER INFO",
		"# Server": "INFO", "# Cluster": "INFO", "(error) x\ny": `an error of a server, "(error) x"`, "ERR x": `an error of a server, "ERR x"`, "NOAUTH x": `an error of a server, "NOAUTH x"`,
		"NOPERM x": `an error of a server, "NOPERM x"`, "WRONGPASS x": `an error of a server, "WRONGPASS x"`, "AUTH failed: x": `an error of a server, "AUTH failed: x"`,
		"Could not connect to x": `an error of the client, "Could not connect to x"`, "Error: x": `an error of the client, "Error: x"`, "1) ": people, "(empty ": people, "slots\n": shards, "slots\r\n": shards,
		"0\n9\nx\n": slots, "0\r\n9\r\nx\r\n": slots, "0\n9\nx": "", "1\nx\ny\n": "", "x\n1\ny\n": "", "1": "", "\n\nx\n": "", "/\n/\nx\n": "", ":\n:\nx\n": "", "\x00": "binary data", "a\x00": "binary data", "a\x01": "",
	} {
		assert.Equal(t, want, otherThanView([]byte(data)), "%q", data)
	}
	data, err := readUpTo(3, strings.NewReader("abc"), "-")
	require.NoError(t, err)
	assert.Equal(t, "abc", string(data))
	_, err = readUpTo(3, strings.NewReader("abcd"), "-")
	require.EqualError(t, err, "standard input: larger than 3 bytes, the limit")
}

// asObjects turns the lists of names and values of CLUSTER SHARDS into objects, as in
// JSON.
func asObjects(v any) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	if name, ok := list[0].(string); ok && (name == "slots" || name == "id" || name == "nodes") {
		object := map[string]any{}
		for i := 0; i < len(list); i += 2 {
			object[list[i].(string)] = asObjects(list[i+1])
		}
		return object
	}
	out := []any{}
	for _, e := range list {
		if l, ok := e.([]any); ok && len(l) == 0 {
			out = append(out, l)
			continue
		}
		out = append(out, asObjects(e))
	}
	return out
}

func TestCheckJSON(t *testing.T) {
	const nodes = "a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-16382 [7->-b]\n" +
		"b [::1]:1@2 master - 0 0 2 connected\n" +
		"d 10.0.0.4:1@2 slave a 0 0 1 connected\n" +
		"c 10.0.0.3:1@2 slave a 0 0 1 connected\n"
	r := runOn(nodes, "check", "-format", "json", "-nodes", "-")
	assert.Equal(t, result{1, `{"ok":false,"assigned":16383,"shards":[{"id":"a","addr":"10.0.0.1:1","replicas":["d","c"],"slots":"0-16382"}],` +
		`"migrating":[{"slot":7,"from":"a","to":"b"}],` +
		`"problems":[{"kind":"unassigned","severity":"error","text":"1 slot has no owner","slots":"16383"},` +
		`{"kind":"open","severity":"error","text":"being moved from a to b: only the source reports it","slots":"7"},` +
		`{"kind":"few-primaries","severity":"warning","text":"slots are owned by 1 primary: if one fails, no majority is left to agree on a failover","slots":""},` +
		`{"kind":"empty","severity":"note","text":"the primary b [::1]:1 has no slots","slots":""}]}` + "\n", ""}, r)
}

// TestCheckViews merges two views that differ, and checks which one decides.
func TestCheckViews(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	stale := write("stale", "a h:1@2 myself,master - 0 0 1 connected 0-99\nb h:2@2 slave a 0 0 1 connected\nc h:3@2 master - 0 0 2 connected 100-16383\n")
	fresh := write("fresh", "a h:1@2 master,fail - 0 0 1 connected\nb h:2@2 master - 0 0 6 connected 0-99\nc h:3@2 myself,master - 0 0 2 connected 100-16383\n")
	r := runOn("", "check", "-format", "json", "-nodes", stale, "-nodes", fresh)
	var got clusterJSON
	require.NoError(t, json.Unmarshal([]byte(r.out), &got))
	assert.Equal(t, exitFailed, r.code)
	require.Equal(t, "disagreement no-replica few-primaries role one-host dead", kindsOf(got))
	assert.Equal(t, "disagreement 0-99: b h:2 owns them, but a h:1 claims them too: config epoch 6 over 1",
		got.Problems[0].Kind+" "+got.Problems[0].Slots.String()+": "+got.Problems[0].Text)
	require.Len(t, got.Shards, 2)
	assert.Equal(t, "b", got.Shards[0].ID)
}

func TestCheckInput(t *testing.T) {
	const nodes = "a :6379@2,,tls-port=6380 myself,master - 0 0 1 connected 0-16383\n"
	addr := func(in string, args ...string) string {
		r := runOn(in, append([]string{"check", "-format", "json", "-nodes", "-"}, args...)...)
		var got clusterJSON
		require.NoError(t, json.Unmarshal([]byte(r.out), &got), r.errOut)
		return got.Shards[0].Addr
	}
	assert.Equal(t, "", addr(nodes))
	assert.Equal(t, "h:6379", addr(nodes, "-host", "h"))
	assert.Equal(t, "[::1]:6380", addr(nodes, "-host", "::1", "-tls"))
	assert.Equal(t, "h:6379", addr("txt:"+nodes, "-host", "h"))
	// The reply as RESP.
	assert.Equal(t, "h:6379", addr(fmt.Sprintf("$%d\r\n%s\r\n", len(nodes), nodes), "-host", "h"))
	assert.Equal(t, "h:6379", addr(fmt.Sprintf("=%d\r\ntxt:%s\r\n", len(nodes)+4, nodes), "-host", "h"))

	const bad = "a h:99999@2 myself,master - 0 0 1 connected 0-16383\n"
	for _, c := range []struct {
		args, in string
		want     result
	}{
		{"check", "", result{2, "", "hashslot check: name a FILE with a view of the cluster, or - for standard input (hashslot check -h for help)\n"}},
		{"check -nodes - -", "", result{2, "", "hashslot check: standard input (-) can be read only once (hashslot check -h for help)\n"}},
		{"check -nodes - -format xml", "", result{2, "", "hashslot check: -format must be text or json, not \"xml\" (hashslot check -h for help)\n"}},
		{"check -nodes no/such/file", "", result{3, "", "hashslot check: open no/such/file: no such file or directory\n"}},
		{"check -nodes -", bad, result{3, "", "hashslot check: standard input: CLUSTER NODES: line 1, byte 4: port \"99999\" is not a number from 0 to 65535\n"}},
		{"route -nodes -", nodes, result{2, "", "hashslot route: standard input cannot hold both the view of -nodes and the keys: name a file for one of them (hashslot route -h for help)\n"}},
		{"route foo", "", result{2, "", "hashslot route: -nodes is missing: name a file with a view of the cluster (hashslot route -h for help)\n"}},
		{"route -nodes - -max 0 foo", "", result{2, "", "hashslot route: -max must be from 1 to 536870912, not 0 (hashslot route -h for help)\n"}},
		{"route -max 0 -format x", "", result{2, "", "hashslot route: -nodes is missing: name a file with a view of the cluster (hashslot route -h for help)\n"}},
		{"route -nodes - foo", bad, result{1, "", "hashslot route: standard input: CLUSTER NODES: line 1, byte 4: port \"99999\" is not a number from 0 to 65535\n"}},
	} {
		if got := runOn(c.in, strings.Fields(c.args)...); !strings.Contains(c.args, "no/such") {
			assert.Equal(t, c.want, got, c.args)
		} else {
			assert.Equal(t, c.want.code, got.code)
			assert.True(t, strings.HasPrefix(got.errOut, "hashslot check: open no/such/file: "), got.errOut)
		}
	}
	r := runOn("a h:1@2 myself,master,new - 0 0 1 connected 0-16383\n", "check", "-nodes", "-")
	assert.Equal(t, exitOK, r.code)
	assert.Equal(t, "hashslot check: standard input: warning: line 1, byte 22: unknown flag \"new\"\n", r.errOut)
	// The content of a file cannot control a terminal.
	r = runOn("a\x1b[2J h:1@2 myself,master - 0 0 1 connected 0-16383 \x1b\n", "check", "-nodes", "-")
	assert.NotContains(t, r.out+r.errOut, "\x1b")
	assert.Contains(t, r.out, `a\x1b[2J`)
	r = runOn("a h:1@2 myself,master - 0 0 1 connected \xc2\x9b\u202e\n", "check", "-nodes", "-")
	assert.NotContains(t, r.out+r.errOut, "\xc2\x9b")
	assert.NotContains(t, r.out+r.errOut, "\u202e")
	assert.Equal(t, result{exitNoIdea, "", "hashslot check: standard input: larger than 67108864 bytes, the limit\n"}, runWith(&endless{line: "\n"}, "check", "-nodes", "-"))
}

func TestRoute(t *testing.T) {
	const nodes = "testdata/nodes.txt"
	assert.Equal(t, result{0, "12182\t292f\t10.0.0.3:30003\tfoo\n5061\te7d1\t10.0.0.1:30001\tbar\n0\te7d1\t10.0.0.1:30001\t\n", ""},
		runOn("foo\nbar\n\n", "route", "-nodes", nodes))
	assert.Equal(t, result{0, "12182\t292f\t10.0.0.3:30003\t666f6f\n", ""}, runOn("666f6f\n", "route", "-nodes", nodes, "-hex", "-unhex"))
	assert.Equal(t, result{0, "12182\t292f\t10.0.0.3:30003\tfoo\n", ""}, runOn("foo\x00", "route", "-nodes", nodes, "-0"))
	assert.Equal(t, result{1, "12182\t292f\t10.0.0.3:30003\tfoo\n", "hashslot route: line 2: 1 is an odd number of hex digits\n"}, runOn("666f6f\n6\n", "route", "-nodes", nodes, "-unhex"))
	assert.Equal(t, result{0, "7920\t67ed\t10.0.0.2:30002\t{\\xff}\n", ""}, runOn("{\xff}\n", "route", "-nodes", nodes))
	nobody := filepath.Join(t.TempDir(), "nobody")
	require.NoError(t, os.WriteFile(nobody, []byte("a h:1@2 myself,master - 0 0 1 connected\n"), 0o600))
	assert.Equal(t, result{1, "12182\t-\t-\tfoo\n", "hashslot route: line 2: longer than 3 bytes, the limit that -max sets\n"}, runOn("foo\nfool\n", "route", "-nodes", nobody, "-max", "3"), "one message")
	const shard = `"ok":true,"assigned":16384,"shards":[{"id":"292f","addr":"10.0.0.3:30003","replicas":["824f"],"slots":"10923-16383"}],"migrating":[],"problems":[]}` + "\n"
	assert.Equal(t, result{0, `{"key":"foo","slot":12182,"tag":"","hashed":"foo",` + shard + `{"key":"{foo}\"","slot":12182,"tag":"foo","hashed":"foo",` + shard, ""},
		runOn("", "route", "-nodes", nodes, "-format", "json", "foo", `{foo}"`))
	assert.Equal(t, result{1, `{"key":"foo","slot":12182,"tag":"","hashed":"foo",` + shard, "hashslot route: line 2: JSON cannot hold a key that is not UTF-8: use -hex\n"},
		runOn("foo\n\xff\n", "route", "-nodes", nodes, "-format", "json"))
	assert.Equal(t, result{0, `{"key":"7bff7dff","slot":7920,"tag":"ff","hashed":"ff","ok":true`, ""},
		func() result {
			r := runOn("{\xff}\xff\n", "route", "-nodes", nodes, "-format", "json", "-hex")
			r.out, _, _ = strings.Cut(r.out, `,"assigned"`)
			return r
		}())

	// A slot without an owner, one that is being moved, one whose owner has failed, and
	// one without problems.
	const wrong = "a h:1@2 myself,master - 0 0 1 connected 0-9 [5->-b]\nb h:2@2 master,fail - 0 0 2 connected 10-16382\n"
	keys := []string{hashslot.Slot(16383).Tag(), hashslot.Slot(5).Tag(), hashslot.Slot(10).Tag(), hashslot.Slot(0).Tag()}
	r := runOn(wrong, append([]string{"route", "-nodes", "-"}, keys...)...)
	assert.Equal(t, result{1, "16383\t-\t-\t" + keys[0] + "\n5\ta\th:1\t" + keys[1] + "\n10\tb\th:2\t" + keys[2] + "\n0\ta\th:1\t" + keys[3] + "\n",
		"hashslot route: 1 key is in a slot without an owner\n"}, r)
	r = runOn(wrong, "route", "-nodes", "-", keys[0], keys[0])
	assert.Equal(t, "hashslot route: 2 keys are in slots without an owner\n", r.errOut)
	r = runOn(wrong, append([]string{"route", "-format", "json", "-nodes", "-"}, keys...)...)
	assert.Equal(t, exitFailed, r.code)
	want := []string{"false unassigned ", "false open a 5", "false failed b", "true a"}
	for i, l := range strings.Split(strings.TrimSuffix(r.out, "\n"), "\n") {
		var got struct {
			Key  string
			Slot int
			clusterJSON
		}
		require.NoError(t, json.Unmarshal([]byte(l), &got), l)
		assert.Equal(t, keys[i], got.Key)
		assert.Equal(t, 16383, got.Assigned)
		text := fmt.Sprint(got.OK, " ")
		for _, p := range got.Problems {
			text += p.Kind + " "
		}
		for _, s := range got.Shards {
			text += s.ID
		}
		for _, m := range got.Migrating {
			text += fmt.Sprint(" ", m.Slot)
		}
		assert.Equal(t, want[i], text)
	}
}

// Each key goes to the owner of its slot in the file.
func TestRouteCaptures(t *testing.T) {
	captured := captures(t)
	var keys strings.Builder
	for slot := range hashslot.Slot(hashslot.Count) {
		keys.WriteString(slot.Tag() + "\n")
	}
	for _, path := range []string{"redis-7.0.15/alternating_all_single_slots/17265.nodes.txt", "valkey-8.0.1/migrated/17104.nodes.txt"} {
		r := runOn(keys.String(), "route", "-nodes", captured+path)
		require.Equal(t, exitOK, r.code)
		text, err := os.ReadFile(captured + path)
		require.NoError(t, err)
		owner := map[int]string{}
		for _, l := range strings.Split(strings.TrimSpace(string(text)), "\n") {
			f := strings.Fields(l)
			for _, rg := range f[8:] {
				var first, last int
				if n, _ := fmt.Sscanf(rg, "%d-%d", &first, &last); n == 1 {
					last = first
				}
				for s := first; s <= last; s++ {
					owner[s], _, _ = strings.Cut(f[1], "@")
				}
			}
		}
		for slot, l := range strings.Split(strings.TrimSuffix(r.out, "\n"), "\n") {
			f := strings.Split(l, "\t")
			if want := [3]string{strconv.Itoa(slot), owner[slot], hashslot.Slot(slot).Tag()}; [3]string{f[0], f[2], f[3]} != want {
				t.Fatalf("%q, want %q", l, want)
			}
		}
	}
}
