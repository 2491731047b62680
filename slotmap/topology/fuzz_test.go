package topology

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/slotmap"
)

// Every capture is read as the reference reads it.
func TestReference(t *testing.T) {
	for i, c := range someCaptures(t) {
		from := []Origin{{}, c.from, {Addr: "[2001:db8::1]:7", TLS: true}, {Addr: "h:7", Map: moveHalf}}[i%4]
		checkNodes(t, c.nodes(t), from)
		if file, err := os.ReadFile(c.path + ".nodes.conf"); err == nil {
			checkNodes(t, string(file), from)
		}
		slots2, has2 := c.read(t, dialects[0], "slots.resp2")
		slots3, has3 := c.read(t, dialects[0], "slots.resp3")
		if has2 {
			checkReply(t, slots2, from, ParseSlots, refSlotsReply)
		}
		if has3 && !reflect.DeepEqual(slots2, slots3) { // else that was it
			checkReply(t, slots3, from, ParseSlots, refSlotsReply)
		}
		for _, protocol := range []string{".resp2", ".resp3"} {
			if reply, ok := c.read(t, dialects[0], "shards"+protocol); ok {
				checkReply(t, reply, from, ParseShards, refShardsReply)
			}
		}
	}
}

func checkNodes(t *testing.T, text string, from Origin) {
	got, err := ParseNodes(text, from)
	want, wantErr := refNodesText(text, from)
	if wantErr != nil {
		var parseErr *slotmap.ParseError
		require.ErrorAs(t, err, &parseErr, "the reference says %v", wantErr)
		require.Regexp(t, `^(reply|line \d+, byte \d+)$`, parseErr.Place)
		return
	}
	require.NoError(t, err)
	require.Empty(t, want.diff(got))
	checkCluster(t, got)
}

func checkReply(t *testing.T, reply any, from Origin, parse func(any, Origin) (*Cluster, error), ref func(any, Origin) (*refCluster, error)) {
	got, err := parse(reply, from)
	want, wantErr := ref(reply, from)
	if errors.Is(wantErr, errRefTwice) {
		if err == nil {
			checkCluster(t, got)
		}
		return
	}
	if wantErr != nil {
		var parseErr *slotmap.ParseError
		require.ErrorAs(t, err, &parseErr, "the reference says %v", wantErr)
		require.NotEmpty(t, parseErr.Reason)
		return
	}
	require.NoError(t, err)
	require.Empty(t, want.diff(got))
	checkCluster(t, got)
}

// checkCluster checks what is true of every view, and that a Router takes it.
func checkCluster(t *testing.T, c *Cluster) {
	owned := map[*Shard]bool{}
	for s := range c.Table().Owners() {
		owned[s] = true
		require.Equal(t, RolePrimary, s.Primary.Role)
	}
	last := true
	for _, s := range c.Shards() {
		require.NotNil(t, s.Primary)
		require.True(t, last || !owned[s], "owners come first")
		last = owned[s]
		for _, n := range s.Replicas {
			require.Equal(t, RoleReplica, n.Role)
		}
	}
	require.LessOrEqual(t, len(c.Warnings()), maxWarnings+1)
	require.LessOrEqual(t, len(c.Disagreements()), maxDisagreements)
	both, err := Merge(c, c)
	require.NoError(t, err)
	require.Len(t, both.Nodes(), len(c.byKey))
	if c.command == nodesCommand && !slices.ContainsFunc(c.nodes, func(n *Node) bool { return n.ID == "" }) {
		sameCluster(t, c, rebuild(t, c))
	}
	var r Router
	r.Apply(c, r.Generation())
	r.Apply(both, r.Generation())
	table, _ := r.Table()
	require.Equal(t, c.Table().Unassigned(), table.Unassigned())
}

func FuzzParseNodes(f *testing.F) {
	for _, c := range someCaptures(f) {
		if text := c.nodes(f); len(text) < 2000 {
			f.Add(text, "10.0.0.1", false)
		}
		if file, err := os.ReadFile(c.path + ".nodes.conf"); err == nil && len(file) < 1500 {
			f.Add(string(file), "::1", true)
		}
	}
	for _, s := range []string{
		"txt:a 1.2.3.4:5 master - 0 0 1 connected 0-16383",
		"a :0 slave a 0 0 1 connected\nb [::1]:1@2, master,fail? - 0 0 1 disconnected 5 [6->-a] [7-<-a] x\nvars currentEpoch 3 lastVoteEpoch 0",
		"a 1:1@2,,availability-zone=a b c,tls-port=0 myself,master - 0 0 1 connected 1 2 3\r\n",
		"a 1:1@2 master - 0 0 1 connected 1-9\nb 1:1@2 master - 0 0 2 connected 5-12\nc ?:2 master - 0 0 2 connected 5-12\n",
		"a 1:1 slave b 0 0 1 connected\nb 1:2 slave c 0 0 1 connected\nc 1:3 master - 0 0 1 connected 0",
		" 1:1@1 master - 0 0 0 connected 0-16383\na 1:2@2 myself,slave  0 0 0 connected\n",
		"a 1:1@2 myself,master - 0 0 7 connected 0-99 [5-9->-b] [100-200-<-b]\nnoise\nb 1:2@3 master - 0 0 7 connected 100-16383\n",
	} {
		f.Add(s, "h", true)
	}
	f.Fuzz(func(t *testing.T, text, host string, tls bool) {
		if len(text) < 1<<14 {
			checkNodes(t, text, Origin{Addr: host, TLS: tls})
		}
	})
}

func FuzzParseSlots(f *testing.F)  { fuzzReply(f, "slots", ParseSlots, refSlotsReply) }
func FuzzParseShards(f *testing.F) { fuzzReply(f, "shards", ParseShards, refShardsReply) }

func fuzzReply(f *testing.F, command string, parse func(any, Origin) (*Cluster, error), ref func(any, Origin) (*refCluster, error)) {
	for _, c := range someCaptures(f) {
		for _, protocol := range []string{".resp2", ".resp3"} {
			if data, err := os.ReadFile(c.path + "." + command + protocol); err == nil && len(data) < 1200 {
				f.Add(data, "10.0.0.1", len(data)%2 == 0)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, host string, tls bool) {
		if len(data) > 1<<14 {
			return
		}
		reply, err := dialects[0].decode(data)
		if err != nil {
			return
		}
		from := Origin{Addr: host, TLS: tls}
		checkReply(t, reply, from, parse, ref)
		// The result is the same for all ways to decode.
		want, wantErr := parse(reply, from)
		for _, d := range dialects[1:] {
			reply, err := d.decode(data)
			require.NoError(t, err)
			got, gotErr := parse(reply, from)
			if wantErr == nil && gotErr == nil {
				assert.True(t, want.Equal(got), d.name)
			}
		}
	})
}
