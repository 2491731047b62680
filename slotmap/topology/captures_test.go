package topology

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/internal/hashtest"
)

// testdata/captures of the module are the replies of real servers:
// <server>/<state>/<port>.<command>.<protocol>. The ports of a state that have
// replies are the nodes that were asked in that state. The replies of one port
// belong together.

// A capture is one view: the replies of one port.
type capture struct {
	name string // server/state/port
	path string // file name without the command
	from Origin
}

func captures(t testing.TB) []capture {
	paths, err := filepath.Glob(hashtest.Data(t, "../..", "captures/*/*/*.shards.resp3"))
	require.NoError(t, err)
	require.Len(t, paths, 151)
	var cs []capture
	for _, path := range paths {
		path = strings.TrimSuffix(path, ".shards.resp3")
		name := strings.TrimPrefix(filepath.ToSlash(path), "../../testdata/captures/")
		host := "127.0.0.1"
		if strings.Contains(name, "/ipv6/") || strings.Contains(name, "/ipv6_announce_client/") {
			host = "::1"
		}
		cs = append(cs, capture{name, path, Origin{Addr: host, TLS: strings.HasSuffix(name, "-over-tls")}})
	}
	return cs
}

// someCaptures returns all captures, or one in four with -short.
func someCaptures(t testing.TB) []capture {
	cs := captures(t)
	if testing.Short() {
		i := 0
		cs = slices.DeleteFunc(cs, func(capture) bool { i++; return i%7 != 1 })
	}
	return cs
}

// read returns a reply; ok is false if it was not captured.
func (c capture) read(t testing.TB, d dialect, command string) (v any, ok bool) {
	data, err := os.ReadFile(c.path + "." + command)
	if os.IsNotExist(err) {
		return nil, false
	}
	require.NoError(t, err)
	v, err = d.decode(data)
	require.NoError(t, err, "%s.%s", c.path, command)
	return v, true
}

// nodes returns the text of CLUSTER NODES.
func (c capture) nodes(t testing.TB) string {
	for _, command := range []string{"nodes.resp2", "nodes.resp3"} {
		if v, ok := c.read(t, dialects[0], command); ok {
			return v.(string)
		}
	}
	require.Fail(t, "no CLUSTER NODES", c.name)
	return ""
}

func (c capture) parseNodes(t testing.TB) *Cluster {
	cluster, err := ParseNodes(c.nodes(t), c.from)
	require.NoError(t, err, c.name)
	return cluster
}

// The three replies of one port agree about each slot and each node, however a
// client decodes them.
func TestCapturesAgree(t *testing.T) {
	for _, c := range someCaptures(t) {
		t.Run(c.name, func(t *testing.T) {
			nodes := c.parseNodes(t)
			assert.Empty(t, nodes.Warnings())
			assert.Empty(t, nodes.Disagreements())
			assert.NotNil(t, nodes.Myself())
			for _, d := range dialects {
				for _, protocol := range []string{"resp2", "resp3"} {
					if reply, ok := c.read(t, d, "slots."+protocol); ok {
						slots, err := ParseSlots(reply, c.from)
						require.NoError(t, err)
						agree(t, nodes, slots)
					}
					reply, ok := c.read(t, d, "shards."+protocol)
					require.True(t, ok)
					shards, err := ParseShards(reply, c.from)
					require.NoError(t, err)
					agree(t, nodes, shards)
				}
			}
		})
	}
}

// agree compares the CLUSTER NODES of a port with another of its replies.
func agree(t *testing.T, nodes, other *Cluster) {
	t.Helper()
	assert.Empty(t, other.Warnings())
	assert.Empty(t, other.Disagreements())
	for c := range nodes.Table().Diff(other.Table()) {
		if c.Assigned != c.Assigns || c.From.Primary.ID != c.To.Primary.ID {
			require.Fail(t, "another owner", "%v: %v and %v", c.Range, c.From, c.To)
		}
	}
	for _, n := range nodes.Nodes() {
		o := other.Node(n.ID)
		switch {
		case o != nil:
			assert.Equal(t, n.Role, o.Role, n)
			assert.Equal(t, n.PrimaryID, o.PrimaryID, n)
			assert.Equal(t, n.failed(), o.failed() || other.command == slotsCommand && n.failed(), n)
			sameAddress(t, n, o)
		case n.Role == RoleUnknown:
			// Not a member, or not known to be one,
		case n.Role == RoleReplica && nodes.Node(n.PrimaryID).Role == RoleUnknown:
			// and so its replica is in no shard.
		case other.command == slotsCommand && n.Role == RolePrimary && len(n.Slots) == 0:
			// CLUSTER SLOTS knows only owners and their replicas,
		case other.command == slotsCommand && n.Role == RoleReplica:
			// and of the replicas those that work.
		default:
			assert.Fail(t, "is missing", "%s in %s", n, other.command)
		}
	}
	for _, n := range other.Nodes() {
		assert.NotNil(t, nodes.Node(n.ID), n)
	}
}

// sameAddress compares the addresses of a node in CLUSTER NODES, which always
// has the IP, and in another reply, which has the preferred endpoint.
func sameAddress(t *testing.T, n, o *Node) {
	t.Helper()
	switch {
	case n.Flags.Has(FlagNoAddr):
		assert.False(t, n.routable(), n)
		assert.False(t, o.routable(), o)
	case o.Endpoint == "?":
		assert.False(t, o.routable(), o)
		assert.Equal(t, n.EndpointPort, o.EndpointPort)
		assert.Equal(t, n.IP, o.IP)
	case o.Hostname != "" && o.Endpoint == o.Hostname || o.IP != "" && o.Endpoint != o.IP && o.Endpoint != "":
		assert.Equal(t, joinHostPort(o.Endpoint, o.Port), o.Addr())
		assert.Equal(t, n.IP, o.IP)
	default:
		assert.Equal(t, n.Addr(), o.Addr(), n)
		assert.True(t, n.routable(), n)
	}
	if n.Hostname != "" && o.Hostname != "" {
		assert.Equal(t, n.Hostname, o.Hostname, n)
	}
}

// Each nodes.conf has the same members as CLUSTER NODES, with more fields.
func TestCapturedFiles(t *testing.T) {
	for _, c := range captures(t) {
		data, err := os.ReadFile(c.path + ".nodes.conf")
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		file, err := ParseNodes(string(data), c.from)
		require.NoError(t, err, c.name)
		assert.Empty(t, file.Warnings(), c.name)
		assert.Regexp(t, regexp.MustCompile(`vars currentEpoch \d+ lastVoteEpoch \d+\n$`), string(data))
		live := c.parseNodes(t)
		for _, n := range live.Nodes() {
			if n.Role == RoleUnknown {
				assert.Nil(t, file.Node(n.ID), "a file has no nodes in handshake")
				continue
			}
			f := file.Node(n.ID)
			require.NotNil(t, f, "%s %v", c.name, n)
			if !strings.HasPrefix(c.name, "redis-7.0") {
				assert.Len(t, f.ShardID, 40, c.name)
			}
			if live.Equal(file) {
				assert.Equal(t, live.canonical(), file.canonical())
			}
		}
	}
}

// The replies are kept as they came over the wire. Without the rule in .gitattributes,
// Git would change them.
func TestCapturesAreRaw(t *testing.T) {
	raw := 0
	err := filepath.WalkDir(hashtest.Data(t, "../..", "captures"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte("\r\n")) {
			raw++
		}
		return err
	})
	require.NoError(t, err)
	assert.Equal(t, 904, raw)
}
