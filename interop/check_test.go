package interop_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hashslotCommand builds the command and returns the file.
func hashslotCommand(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hashslot")
	out, err := exec.Command("go", "build", "-C", "..", "-o", file, "./cmd/hashslot").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return file
}

// What "hashslot check" finds in the CLUSTER NODES of all nodes that answer.
func checkKinds(t testing.TB, command string, c *servers.Cluster) (kinds map[string]bool, ok bool) {
	t.Helper()
	dir := t.TempDir()
	args := []string{"check", "-format", "json"}
	for i, n := range c.Nodes {
		text, err := redis.String(n.Do("CLUSTER", "NODES"))
		if err != nil {
			continue
		}
		file := filepath.Join(dir, strconv.Itoa(i))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		args = append(args, file)
	}
	out, _ := exec.Command(command, args...).Output()
	return kindsIn(t, out)
}

func kindsIn(t testing.TB, out []byte) (kinds map[string]bool, ok bool) {
	t.Helper()
	var got struct {
		OK       bool
		Problems []struct{ Kind string }
	}
	require.NoError(t, json.Unmarshal(out, &got), "%s", out)
	kinds = map[string]bool{}
	for _, p := range got.Problems {
		kinds[p.Kind] = true
	}
	return kinds, got.OK
}

// toolFinds lists, for words in the output of --cluster check, the kinds of which
// hashslot check must find one.
var toolFinds = map[string][]string{
	"slots are open":                  {"open"},
	"in migrating state":              {"open"},
	"in importing state":              {"open"},
	"Not all 16384 slots are covered": {"unassigned", "failed", "suspected", "unreachable", "disagreement"},
	"Nodes don't agree about":         {"disagreement", "role", "unknown-node", "unassigned"},
	"Could not connect to":            {"failed", "suspected", "replica", "dead", "unreachable"},
}

// atLeastAsTool asserts that all that the tool reports is found.
func atLeastAsTool(t testing.TB, state, tool string, toolErr error, kinds map[string]bool, ok bool) {
	t.Helper()
	for words, want := range toolFinds {
		if !strings.Contains(tool, words) {
			continue
		}
		found := false
		for _, k := range want {
			found = found || kinds[k]
		}
		assert.True(t, found, "%s: the tool says %q, check has %v\n%s", state, words, kinds, tool)
	}
	if toolErr != nil {
		assert.False(t, ok, "%s: the tool fails, check does not: %v\n%s", state, kinds, tool)
	}
}

// Whatever --cluster check reports of a cluster that is broken by hand, hashslot
// check reports.
func TestCheckAsTool(t *testing.T) {
	command := ""
	if _, err := exec.LookPath("go"); err == nil {
		command = hashslotCommand(t)
	}
	require.NotEmpty(t, command)
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c, _ := create(t, s, 3, 0, servers.Config{})
		a, b, d := c.Nodes[0], c.Nodes[1], c.Nodes[2]
		do := func(n *servers.Node, args ...string) {
			_, err := n.Do(args...)
			require.NoError(t, err)
		}
		compare := func(state string, want string) {
			tool, err := s.CLI("--cluster", "check", a.Addr())
			kinds, ok := checkKinds(t, command, c)
			atLeastAsTool(t, state, tool, err, kinds, ok)
			if want != "" {
				assert.Contains(t, tool, want, "the state is not what it should be: %s", state)
			}
		}
		view, err := a.View()
		require.NoError(t, err)
		slots := map[string]string{} // a slot of each, by id
		for _, shard := range view.Shards() {
			for slot := range view.Table().SlotsOf(shard).Slots() {
				slots[shard.Primary.ID] = strconv.Itoa(int(slot))
				break
			}
		}
		compare("healthy", "All 16384 slots covered")
		do(a, "CLUSTER", "SETSLOT", slots[a.ID], "MIGRATING", b.ID)
		compare("migrating only", "slots are open")
		do(b, "CLUSTER", "SETSLOT", slots[a.ID], "IMPORTING", a.ID)
		compare("migrating and importing", "slots are open")
		do(a, "CLUSTER", "SETSLOT", slots[a.ID], "STABLE")
		compare("importing only", "slots are open")
		do(b, "CLUSTER", "SETSLOT", slots[a.ID], "STABLE")
		compare("closed again", "All 16384 slots covered")
		do(b, "CLUSTER", "DELSLOTS", slots[b.ID]) // only b has forgotten whose it is
		compare("given up by its owner", "[ERR]")
		do(a, "CLUSTER", "DELSLOTS", slots[b.ID])
		do(d, "CLUSTER", "DELSLOTS", slots[b.ID])
		compare("given up by all", "Not all 16384 slots are covered")
		do(d, "CLUSTER", "ADDSLOTS", slots[b.ID])
		compare("given to another", "")
		c.Settle()
		compare("settled", "All 16384 slots covered")
		d.Kill()
		// Until a node suspects it, nothing in the views tells, and only the tool, which
		// connects, can know.
		c.Wait("d has failed", func() bool {
			text, _ := redis.String(a.Do("CLUSTER", "NODES"))
			return strings.Contains(text, "fail ") || strings.Contains(text, "fail? ")
		})
		compare("failed", "")
	})
}
