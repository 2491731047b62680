package interop_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hashslotCommand builds the command and returns the path of its file.
func hashslotCommand(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hashslot")
	out, err := exec.Command("go", "build", "-C", "..", "-o", file, "./cmd/hashslot").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return file
}

// A problem is one that "hashslot check" reports.
type problem struct {
	Kind, Text string
	Slots      slotmap.Set
}

// checkViews returns what "hashslot check" finds in CLUSTER NODES of several nodes.
func checkViews(t testing.TB, command string, views []string) (problems []problem, ok bool) {
	t.Helper()
	dir := t.TempDir()
	args := []string{"check", "-format", "json"}
	for i, text := range views {
		file := filepath.Join(dir, strconv.Itoa(i))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		args = append(args, file)
	}
	out, _ := exec.Command(command, args...).Output() // the status is in "ok"
	var got struct {
		OK       bool
		Problems []problem
	}
	require.NoError(t, json.Unmarshal(out, &got), "%s", out)
	return got.Problems, got.OK
}

// checkNodes calls checkViews with the views of all nodes that answer.
func checkNodes(t testing.TB, command string, c *servers.Cluster) (problems []problem, ok bool) {
	t.Helper()
	var views []string
	for _, n := range c.Nodes {
		if text, err := redis.String(n.Do("CLUSTER", "NODES")); err == nil {
			views = append(views, text)
		}
	}
	return checkViews(t, command, views)
}

// The lines in which --cluster check reports problems.
var (
	toolConnect  = regexp.MustCompile(`^Could not connect to \w+ at ([^ ]+:\d+): `)
	toolOrphan   = regexp.MustCompile(`claims to be (?:slave|replica) of unknown node ID (\w+)`)
	toolUncover  = regexp.MustCompile(`\[ERR\] Not all 16384 slots are covered`)
	toolDiffer   = regexp.MustCompile(`\[ERR\] Nodes don't agree about configuration`)
	toolOpen     = regexp.MustCompile(`\[WARNING\] Node .* has slots in (?:migrating|importing) state ([\d,]+)`)
	toolAllOpen  = regexp.MustCompile(`\[WARNING\] The following slots are open: ([\d,]+)`)
	toolPrimary  = regexp.MustCompile(`(?m)^(?:\x1b\[[0-9;]*m)*M: (\w+) .*\n +slots:\[(\d+).*\n( +\d+ additional replica)?`)
	toolTroubles = regexp.MustCompile(`\[ERR\]|\[WARNING\]|\*\*\*|^Could not`)
)

// atLeastAsTool asserts that problems include all that --cluster check reports, and that
// ok is true only if the tool finds nothing wrong.
func atLeastAsTool(t testing.TB, state, tool string, toolErr error, problems []problem, ok bool) {
	t.Helper()
	has := func(what string, is func(p problem) bool) {
		t.Helper()
		assert.True(t, slices.ContainsFunc(problems, is), "%s: the tool says %q, check has %v\n%s", state, what, problems, tool)
	}
	of := func(kinds ...string) func(problem) bool {
		return func(p problem) bool { return slices.Contains(kinds, p.Kind) }
	}
	naming := func(name string) func(problem) bool {
		return func(p problem) bool { return strings.Contains(p.Text, name) }
	}
	var open slotmap.Set // as check writes them
	for _, p := range problems {
		if p.Kind == "open" {
			open = open.Union(p.Slots)
		}
	}
	for line := range strings.Lines(tool) {
		if m := toolConnect.FindStringSubmatch(line); m != nil {
			has(line, naming(m[1]))
		} else if m := toolOrphan.FindStringSubmatch(line); m != nil {
			has(line, naming(m[1]))
		} else if toolUncover.MatchString(line) {
			has(line, of("unassigned", "failed", "suspected", "unreachable", "disagreement"))
		} else if toolDiffer.MatchString(line) {
			has(line, of("disagreement", "role", "unknown-node", "unassigned"))
		} else if m := toolOpen.FindStringSubmatch(line); m != nil {
			said := toolSlots(t, m[1])
			assert.Equal(t, said, said.Intersect(open), "%s: open slots of a node", state)
		} else if m := toolAllOpen.FindStringSubmatch(line); m != nil {
			assert.Equal(t, toolSlots(t, m[1]), open, "%s: open slots", state)
		} else {
			assert.False(t, toolTroubles.MatchString(line), "%s: the test does not know what the tool says: %s", state, line)
		}
	}
	for _, m := range toolPrimary.FindAllStringSubmatch(tool, -1) {
		if slot := toolSlots(t, m[2]); m[3] == "" {
			has("no replica of "+m[1], func(p problem) bool { return p.Kind == "no-replica" && p.Slots.Intersect(slot) == slot })
		}
	}
	if toolErr != nil {
		assert.False(t, ok, "%s: the tool fails, check does not: %v\n%s", state, problems, tool)
	}
}

// toolSlots reads a list like "5461,1,0".
func toolSlots(t testing.TB, list string) slotmap.Set {
	t.Helper()
	s, err := slotmap.ParseSet(strings.ReplaceAll(list, ",", " "))
	require.NoError(t, err)
	return s
}

// hashslot check reports everything that --cluster check reports of a cluster that is
// broken by hand.
func TestCheckAsTool(t *testing.T) {
	command := hashslotCommand(t)
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c, _ := create(t, s, 3, 0, servers.Config{})
		a, b, d := c.Nodes[0], c.Nodes[1], c.Nodes[2]
		do := func(n *servers.Node, args ...string) {
			_, err := n.Do(args...)
			require.NoError(t, err)
		}
		compare := func(state string, want string) {
			tool, err := s.CLI("--cluster", "check", a.Addr())
			problems, ok := checkNodes(t, command, c)
			atLeastAsTool(t, state, tool, err, problems, ok)
			if want != "" {
				assert.Contains(t, tool, want, "the state is not what it should be: %s", state)
			}
		}
		view, err := a.View()
		require.NoError(t, err)
		slots := map[string]string{} // a slot of each node, by id
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
		do(b, "CLUSTER", "DELSLOTS", slots[b.ID]) // only b has forgotten its owner
		compare("given up by its owner", "[ERR]")
		do(a, "CLUSTER", "DELSLOTS", slots[b.ID])
		do(d, "CLUSTER", "DELSLOTS", slots[b.ID])
		compare("given up by all", "Not all 16384 slots are covered")
		do(d, "CLUSTER", "ADDSLOTS", slots[b.ID])
		compare("given to another", "")
		c.Settle()
		compare("settled", "All 16384 slots covered")
		d.Kill()
		// Until a node suspects it, no view shows it. Only the tool notices, because it
		// connects.
		c.Wait("d has failed", func() bool {
			text, _ := redis.String(a.Do("CLUSTER", "NODES"))
			return strings.Contains(text, "fail ") || strings.Contains(text, "fail? ")
		})
		compare("failed", "")
	})
}
