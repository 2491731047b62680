package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/internal/hashtest"
)

// A golden is a command and the replies to COMMAND GETKEYS and GETKEYSANDFLAGS for it.
type golden struct {
	Args  []string `json:"args"`
	Keys  []string `json:"keys"`
	Flags [][2]any `json:"flags"` // key, list of flags
	Error string   `json:"error"`
}

func goldens(tb testing.TB, file string) (list []golden) {
	tb.Helper()
	text, err := os.ReadFile(hashtest.Data(tb, "../..", "commands/"+file))
	require.NoError(tb, err)
	for line := range bytes.Lines(text) {
		var g golden
		require.NoError(tb, json.Unmarshal(line, &g))
		list = append(list, g)
	}
	return list
}

// answer derives the servers' answer from the result of Keys.
func answer(t *Table, args []string) golden {
	g := golden{Args: args}
	keys, err := t.Keys(nil, ArgsOf(args))
	c, _ := t.orBuiltin().find(ArgsOf(args))
	switch {
	case errors.Is(err, ErrUnknown):
		g.Error = "ERR Invalid command specified"
	case !c.HasKeys():
		g.Error = "ERR The command has no key arguments"
	case errors.Is(err, ErrArity):
		g.Error = "ERR Invalid number of arguments specified for command"
	case errors.Is(err, ErrSyntax):
		g.Error = "ERR Invalid arguments specified for command"
	default:
		g.Keys, g.Flags = []string{}, [][2]any{}
		for _, k := range keys {
			flags := []any{}
			for _, f := range strings.Fields(k.Use.String()) {
				flags = append(flags, f)
			}
			g.Keys = append(g.Keys, args[k.Index])
			g.Flags = append(g.Flags, [2]any{args[k.Index], flags})
		}
	}
	return g
}

// The table that each server describes gives the answers of that server.
func TestGolden(t *testing.T) {
	for file, server := range map[string]string{"getkeys_valkey9.jsonl": valkeyFile, "getkeys_redis8.jsonl": redisFile} {
		table := load(t, server)
		list := goldens(t, file)
		require.GreaterOrEqual(t, len(list), 800)
		for _, g := range list {
			assert.Equal(t, g, answer(table, g.Args), "%s", server)
		}
	}
}

// The built-in table differs from a server only in what differences.txt lists.
func TestGoldenBuiltin(t *testing.T) {
	for file, own := range map[string]Servers{"getkeys_valkey9.jsonl": ServerValkey, "getkeys_redis8.jsonl": ServerRedis} {
		for _, g := range goldens(t, file) {
			if own == ServerRedis && strings.EqualFold(g.Args[0], "hsetex") && g.Error == "" {
				g.Flags[0][1] = []any{"RW", "insert"}
			}
			c, err := builtin.find(ArgsOf(g.Args))
			if err == nil && c.servers&own == 0 {
				assert.Equal(t, "ERR Invalid command specified", g.Error)
				continue
			}
			assert.Equal(t, g, answer(nil, g.Args), "%v", own)
		}
	}
}
