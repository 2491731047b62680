package interop_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A shell runs the commands of help pages in a folder of its own. The folder has hashslot,
// the tool of a server under the name valkey-cli, and the view of every node.
type shell struct {
	t       *testing.T
	cluster *servers.Cluster
	dir     string
}

func newShell(t *testing.T, c *servers.Cluster) shell {
	s := shell{t, c, t.TempDir()}
	require.NoError(t, os.Rename(hashslotCommand(t), filepath.Join(s.dir, "hashslot")))
	require.NoError(t, os.Symlink(c.Tool(), filepath.Join(s.dir, "valkey-cli")))
	return s
}

// save writes the view of every node, node 0 to 0.nodes.
func (s shell) save() {
	for i, n := range s.cluster.Nodes {
		require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, fmt.Sprint(i, ".nodes")), []byte(n.String("CLUSTER", "NODES")), 0o600))
	}
}

func (s shell) run(script string) string {
	s.t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "PATH="+s.dir+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	require.NoError(s.t, err, "%s\n%s", script, out)
	return string(out)
}

// shown returns the indented lines of a help page that contain words.
func (s shell) shown(page, words string) string {
	s.t.Helper()
	for part := range strings.SplitSeq(s.run("hashslot help plan "+page), "\n\n") {
		if strings.HasPrefix(part, "    ") && strings.Contains(part, words) {
			return strings.ReplaceAll(part, "\n    ", "\n")
		}
	}
	s.t.Fatalf("the page of %s shows no %s", page, words)
	return ""
}

// The pipe in the help pages of plans carries the plans out and loses no key.
func TestPlanPipe(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		format := "migrateslots"
		if importsSlots(s) {
			format = "migration"
		} else if !migratesSlots(s) {
			t.Skip("this server moves slots by SETSLOT only")
		}
		// A primary that has given all slots away must stay a primary.
		c, _ := create(t, s, 3, 0, servers.Config{Host: ipv6(), More: func(int) []string { return []string{"cluster-allow-replica-migration", "no"} }})
		sh := newShell(t, c)
		check := newChecker(redigoStore{client(t, c)}, 200)
		check.write()
		id := c.Nodes[0].ID
		for _, args := range []string{
			"drain 0.nodes -node " + id,
			"rebalance 0.nodes -use-empty",
			"reshard 0.nodes -from all -slots 100 -to " + id,
		} {
			sh.save()
			var p struct {
				After []struct {
					ID    string
					Slots slotmap.Set
				}
			}
			require.NoError(t, json.Unmarshal([]byte(sh.run("hashslot plan "+args+" -format json")), &p))
			kind, _, _ := strings.Cut(args, " ")
			pipe := sh.shown(kind, "plan KIND ... -format migrateslots |")
			pipe = strings.Replace(pipe, "KIND ... -format migrateslots", args+" -format "+format, 1)
			out := sh.run(pipe)
			assert.NotContains(t, out, "ERR", pipe)
			want := map[string]slotmap.Set{}
			for _, a := range p.After {
				if !a.Slots.IsEmpty() {
					want[a.ID] = a.Slots
				}
			}
			c.Wait(kind+" is done: "+out, func() bool { return maps.Equal(want, owners(c.Nodes[1])) })
			c.Settle()
			check.write()
		}
		check.finish(t)
	})
}

// ipv6 returns the loopback address of IPv6, whose brackets a shell has to take off, or ""
// if this machine has none.
func ipv6() string {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return ""
	}
	l.Close()
	return "::1"
}

// owners returns the slots of each owner, by id, in the view of a node.
func owners(n *servers.Node) map[string]slotmap.Set {
	view, err := n.View()
	if err != nil {
		return nil
	}
	slots := map[string]slotmap.Set{}
	for _, shard := range view.Shards() {
		if s := view.Table().SlotsOf(shard); !s.IsEmpty() {
			slots[shard.Primary.ID] = s
		}
	}
	return slots
}

// The commands on the page of create make the cluster that the page lays out.
func TestPlanCreatePipe(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		tool := fmt.Sprintf("%s-%d.%d", s.Name, s.Major, s.Minor)
		if !slices.Contains([]string{"valkey-9.1", "valkey-8.0", "redis-7.0", "redis-8.6"}, tool) {
			t.Skip("-tool does not know this version")
		}
		c := s.Start(t, 6, servers.Config{})
		sh := newShell(t, c)
		var hosts []string
		for _, h := range c.Hosts() {
			hosts = append(hosts, h.Addr)
		}
		var layout struct {
			Shards []struct {
				Primary string
				Slots   slotmap.Set
			}
		}
		require.NoError(t, json.Unmarshal([]byte(sh.run("hashslot plan create -replicas 1 -format json -compat -tool "+tool+" "+strings.Join(hosts, " "))), &layout))
		require.Len(t, layout.Shards, 3)
		shown := sh.shown("create", "--cluster create")
		sh.run(strings.Replace(shown, "HOST:PORT...", strings.Join(hosts, " "), 1) + " --cluster-yes")
		want := map[string]slotmap.Set{}
		for _, shard := range layout.Shards {
			want[c.At(shard.Primary).ID] = shard.Slots
		}
		c.Wait("the cluster is laid out", func() bool { return maps.Equal(want, owners(c.Nodes[5])) })
	})
}

// The commands on the page of fix ask the nodes for keys and print the plan.
func TestPlanFixPipe(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c, _ := create(t, s, 3, 0, servers.Config{})
		a, b := c.Nodes[0], c.Nodes[1]
		put(t, a, a, 5, "{"+hashslot.Slot(5).Tag()+"}")
		a.String("CLUSTER", "SETSLOT", "5", "MIGRATING", b.ID)
		b.String("CLUSTER", "SETSLOT", "5", "IMPORTING", a.ID)
		sh := newShell(t, c)
		sh.save()
		out := sh.run(sh.shown("fix", "plan fix *.nodes > ask"))
		assert.Contains(t, out, "CLUSTER GETKEYSINSLOT 5", "the slot is moved with its key")
		assert.Contains(t, out, "CLUSTER SETSLOT 5 NODE "+b.ID)
		counts, err := os.ReadFile(filepath.Join(sh.dir, "counts"))
		require.NoError(t, err)
		assert.Contains(t, string(counts), a.Addr()+" 5 1\n")
	})
}
