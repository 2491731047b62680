package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap/command"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the replies into testdata/commands")

const testdata = "../../testdata/commands"

// The servers whose commands are built in.
var tables = map[string]command.Servers{"valkey-9.1": command.ServerValkey, "redis-8.6": command.ServerRedis}

func named(s servers.Server) string { return fmt.Sprintf("%s-%d.%d", s.Name, s.Major, s.Minor) }

// plain converts a reply to the form of testdata: text for bulk strings, maps for lists of
// names and values.
func plain(v any) any {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	}
	return v
}

func fields(v any) map[string]any {
	m := map[string]any{}
	list := v.([]any)
	for i := 0; i < len(list); i += 2 {
		m[list[i].(string)] = list[i+1]
	}
	return m
}

// ordered returns a command with its lists sorted, and without its ACL categories.
func ordered(v any) []any {
	c := v.([]any)
	for _, i := range []int{2, 7} {
		slices.SortFunc(c[i].([]any), func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	}
	c[6] = []any{}
	for i, s := range c[8].([]any) {
		spec := fields(s)
		for _, name := range []string{"begin_search", "find_keys"} {
			search := fields(spec[name])
			search["spec"] = fields(search["spec"])
			spec[name] = search
		}
		c[8].([]any)[i] = spec
	}
	subs := c[9].([]any)
	for i := range subs {
		subs[i] = ordered(subs[i])
	}
	slices.SortFunc(subs, byName)
	return c
}

func byName(a, b any) int { return strings.Compare(a.([]any)[0].(string), b.([]any)[0].(string)) }

// The table in slotmap/command is made from the replies of the servers.
func TestReplies(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		if tables[named(s)] == 0 {
			t.Skipf("the commands of %s are not built in", s)
		}
		reply, err := s.Start(t, 1, servers.Config{}).Nodes[0].Do("COMMAND")
		require.NoError(t, err)
		list := plain(reply).([]any)
		for i := range list {
			list[i] = ordered(list[i])
		}
		slices.SortFunc(list, byName)
		var out bytes.Buffer
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false)
		for _, c := range list {
			require.NoError(t, enc.Encode(c))
		}
		file := filepath.Join(testdata, named(s)+".jsonl")
		if *update {
			require.NoError(t, os.WriteFile(file, out.Bytes(), 0o644))
			return
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, out.Bytes()), "%s differs from the reply of %s: go test ./commands -run TestReplies -update", file, s)
	})
}

// words are the possible arguments: numbers that are read strictly, loosely or not at all,
// and all words that the servers look for.
var words = strings.Split(`0|1|2|3|4|5|-1|01|+1| 1|1 |1x|x1|-0|00||a|b|{t}a|*|$|4294967297|4294967298|2147483648|-4294967295|`+
	`9223372036854775807|9223372036854775808|99999999999999999999|4611686018427387905|-9223372036854775809|`+
	`STORE|StoreDist|streams|STREAMS|KEYS|keys|COUNT|BLOCK|GROUP|NOACK|CLAIM|BY|GET|get|Limit|AUTH|AUTH2|COPY|REPLACE|`+
	`SET|INCRBY|OVERFLOW|IFEQ|ifne|IFDEQ|NX|XX|EX|LEFT|MIN|WEIGHTS|AGGREGATE|GET`+"\x00"+`|STORE`+"\x00x|streams\x00|\x001|1\x002|\t1|\v2", "|")

// tame are the words without numbers of more than 32 bits, which servers before
// Valkey 8.1 and Redis 8.0 cut to 32 bits.
var tame = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return len(w) >= 10 && strings.Trim(w, "-0123456789") == "" })

// lists returns argument lists of a command, at the limits of what it accepts.
func lists(r *rand.Rand, words []string, c *command.Command, n int) (all [][]string) {
	name := strings.Split(c.Name(), "|")
	least := max(c.Arity(), -c.Arity())
	for i := range n {
		args := slices.Clone(name)
		length := least
		switch i % 4 {
		case 1:
			length += r.IntN(4)
		case 2:
			length += r.IntN(12)
		case 3:
			length = max(least-1+r.IntN(3), len(args))
		}
		for len(args) < length {
			word := words[r.IntN(len(words))]
			if r.IntN(3) == 0 {
				word = words[r.IntN(6)] // a small number
			}
			if len(args) == 1 && !c.HasKeys() {
				// It may be a subcommand. A server can find it in spite of a NUL byte, if
				// its hash table happens to put both names into one bucket.
				word = strings.ReplaceAll(word, "\x00", "")
			}
			args = append(args, word)
		}
		if r.IntN(2) == 0 {
			args[0] = strings.ToUpper(args[0])
		}
		all = append(all, args)
	}
	return all
}

// sorted returns the commands in the order of their names, so that each run has the same
// lists.
func sorted(t *command.Table) []*command.Command {
	return slices.SortedFunc(t.All(), func(a, b *command.Command) int { return strings.Compare(a.Name(), b.Name()) })
}

// An answer is a reply to COMMAND GETKEYSANDFLAGS.
type answer struct {
	Keys  []string
	Flags []string
	Error string
}

// ours returns the reply that the server should give. own is the server if the table is
// the built-in one, which also has commands of other servers.
func ours(t *command.Table, own command.Servers, args []string) (a answer) {
	view := command.ArgsOf(args)
	c, err := t.Lookup(view)
	if err != nil || own != 0 && c.Servers()&own == 0 {
		return answer{Error: "ERR Invalid command specified"}
	}
	if !c.HasKeys() {
		return answer{Error: "ERR The command has no key arguments"}
	}
	keys, err := t.Keys(nil, view)
	switch {
	case errors.Is(err, command.ErrArity):
		a.Error = "ERR Invalid number of arguments specified for command"
	case err != nil:
		a.Error = "ERR Invalid arguments specified for command"
	}
	for _, k := range keys {
		a.Keys = append(a.Keys, args[k.Index])
		a.Flags = append(a.Flags, k.Use.String())
	}
	return a
}

// theirs reads the replies to GETKEYS and GETKEYSANDFLAGS.
func theirs(t *testing.T, keys, flags any, err1, err2 error) (a answer) {
	if err1 != nil || err2 != nil {
		require.Equal(t, err1, err2)
		return answer{Error: err1.Error()}
	}
	for _, k := range keys.([]any) {
		a.Keys = append(a.Keys, string(k.([]byte)))
	}
	for i, pair := range flags.([]any) {
		key, err := redis.String(pair.([]any)[0], nil)
		require.NoError(t, err)
		require.Equal(t, a.Keys[i], key)
		list, err := redis.Strings(pair.([]any)[1], nil)
		require.NoError(t, err)
		a.Flags = append(a.Flags, strings.Join(list, " "))
	}
	return a
}

// The keys of generated commands, every command of every server.
func TestKeys(t *testing.T) {
	const each = 200 // lists of a command with keys
	servers.Each(t, func(t *testing.T, s servers.Server) {
		if !s.AtLeast(7, 0) {
			t.Skip("COMMAND GETKEYSANDFLAGS came with Redis 7.0")
		}
		conn, err := s.Start(t, 1, servers.Config{}).Nodes[0].Dial()
		require.NoError(t, err)
		defer conn.Close()
		reply, err := conn.Do("COMMAND")
		require.NoError(t, err)
		loaded, err := command.Load(reply)
		require.NoError(t, err)
		own := tables[named(s)]
		words := words
		if own == 0 {
			words = tame
		}
		r := rand.New(rand.NewPCG(16, 16))
		asked, withKeys, refused, none, differ := 0, 0, 0, 0, map[string]int{}
		seen := map[*command.Command]bool{}
		for _, c := range sorted(loaded) {
			n := each
			if !c.HasKeys() {
				n = 12
			}
			all := lists(r, words, c, n)
			for _, args := range all {
				require.NoError(t, conn.Send("COMMAND", append([]any{"GETKEYS"}, servers.Args(args)...)...))
				require.NoError(t, conn.Send("COMMAND", append([]any{"GETKEYSANDFLAGS"}, servers.Args(args)...)...))
			}
			require.NoError(t, conn.Flush())
			for _, args := range all {
				keys, err1 := conn.Receive()
				flags, err2 := conn.Receive()
				if err1 != nil && strings.Contains(err1.Error(), "'command|getkeys'") {
					require.Len(t, args, 1) // Redis 7.0 asks for one argument more
					continue
				}
				want := theirs(t, keys, flags, err1, err2)
				require.Equal(t, want, ours(loaded, 0, args), "%q", args)
				asked++
				switch {
				case want.Error != "":
					refused++
				case len(want.Keys) == 0:
					none++
				default:
					withKeys++
				}
				if own != 0 && !assert.ObjectsAreEqual(want, ours(nil, own, args)) {
					differ[c.Name()]++
				}
			}
			seen[c] = true
		}
		t.Logf("%d commands, %d argument lists: %d with keys, %d without, %d refused; the built-in table differs in %v",
			len(seen), asked, withKeys, none, refused, differ)
		assert.Greater(t, withKeys, 20000)
		assert.Greater(t, none, 300)
		assert.Greater(t, refused, 5000)
		switch own {
		case command.ServerValkey:
			assert.Empty(t, differ)
		case command.ServerRedis: // the differences are in differences.txt
			for name := range differ {
				assert.Contains(t, []string{"georadius", "georadiusbymember", "hsetex", "set", "cluster|replicate", "script|debug"}, name)
			}
		}
	})
}

// The slots of generated commands. A cluster node without slots executes none of them: it
// answers MOVED and the slot, or CROSSSLOT, by the keys that it routes by.
func TestRoute(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		if !s.AtLeast(7, 0) {
			t.Skip("COMMAND describes keys since Redis 7.0")
		}
		c := s.Three(t, 1)
		conn, err := c.Nodes[3].Dial()
		require.NoError(t, err)
		defer conn.Close()
		reply, err := conn.Do("COMMAND")
		require.NoError(t, err)
		loaded, err := command.Load(reply)
		require.NoError(t, err)
		r := rand.New(rand.NewPCG(17, 17))
		moved, cross, differ := 0, 0, map[string]int{}
		for _, c := range sorted(loaded) {
			if c.Name() == "sunsubscribe" {
				continue // any node accepts it for any channel
			}
			if c.Name() == "msetex" && s.Name == "valkey" {
				continue // Valkey 9.1 executes it on any node, whatever the keys
			}
			var all [][]string
			for _, args := range lists(r, tame, c, 100) {
				if target, err := loaded.Route(command.ArgsOf(args)); errors.Is(err, hashslot.ErrCrossSlot) ||
					err == nil && (target.To == command.ToOneSlot || target.To == command.ToEachSlot) {
					all = append(all, args)
				}
			}
			for _, args := range all {
				require.NoError(t, conn.Send(args[0], servers.Args(args[1:])...))
			}
			require.NoError(t, conn.Flush())
			for _, args := range all {
				_, err := conn.Receive()
				var refused redis.Error
				require.ErrorAs(t, err, &refused, "%q", args)
				target, routeErr := (*command.Table)(nil).Route(command.ArgsOf(args))
				if strings.HasPrefix(c.Name(), "georadius") && s.Name == "redis" && s.AtLeast(8, 0) || target.Command == nil && !errors.Is(routeErr, hashslot.ErrCrossSlot) {
					target, routeErr = loaded.Route(command.ArgsOf(args))
				}
				want := "CROSSSLOT "
				if routeErr == nil && target.To == command.ToOneSlot {
					want = fmt.Sprintf("MOVED %d ", target.Slot)
				}
				if !strings.HasPrefix(string(refused), want) && slices.Contains([]string{"xread", "xreadgroup", "migrate"}, c.Name()) {
					// Servers other than Redis 8.6 route by separate code, which finds other
					// keys than COMMAND GETKEYS if the options are wrong.
					differ[c.Name()]++
					continue
				}
				require.True(t, strings.HasPrefix(string(refused), want), "%q: %s, want %s", args, refused, want)
				if want == "CROSSSLOT " {
					cross++
				} else {
					moved++
				}
			}
		}
		t.Logf("%d MOVED, %d CROSSSLOT; with wrong options: %v", moved, cross, differ)
		assert.Greater(t, moved, 5000)
		assert.Greater(t, cross, 500)
		for name, n := range differ {
			assert.Less(t, n, 50, "%s: most are routed", name)
		}
	})
}
