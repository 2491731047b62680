package command

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/slotmap"
)

type (
	list   = []any
	fieldN = map[int]any // of a command
)

// described returns a command as servers describe it, with other values for some fields.
func described(name string, other fieldN) list {
	f := list{name, int64(-2), list{"readonly"}, int64(1), int64(1), int64(1), list{}, list{}, list{keySpec(nil, nil)}, list{}}
	for i, v := range other {
		f[i] = v
	}
	return f
}

// keySpec returns a key specification as servers describe it, with other parts of its
// searches. A type or a number that is nil is left out.
func keySpec(begin, find map[string]any) map[string]any {
	search := func(kind string, spec, other map[string]any) map[string]any {
		for name, v := range other {
			if name == "type" {
				kind = v.(string)
			} else if spec[name] = v; v == nil {
				delete(spec, name)
			}
		}
		return map[string]any{"type": kind, "spec": spec}
	}
	return map[string]any{
		"flags":        list{"RO", "access"},
		"begin_search": search("index", map[string]any{"index": int64(1)}, begin),
		"find_keys":    search("range", map[string]any{"lastkey": int64(-1), "keystep": int64(1), "limit": int64(0)}, find),
	}
}

// What is wrong in a reply is named by its place.
func TestLoadErrors(t *testing.T) {
	type m = map[string]any
	long := strings.Repeat("x", 100)
	for _, test := range []struct {
		other  fieldN
		place  string // in the command
		reason string
	}{
		{fieldN{0: ""}, ".name", `"" is not a name`},
		{fieldN{0: int64(5)}, ".name", "5 is not a name"},
		{fieldN{1: nil}, ".arity", "null is not a number of 16 bits"},
		{fieldN{1: "5x"}, ".arity", `"5x" is not a number of 16 bits`},
		{fieldN{1: []byte(long)}, ".arity", `"` + long[:64] + `" is not a number of 16 bits`},
		{fieldN{1: long}, ".arity", `"` + long[:64] + `" is not a number of 16 bits`},
		{fieldN{1: 32768}, ".arity", "32768 is not a number of 16 bits"},
		{fieldN{1: int64(-32769)}, ".arity", "-32769 is not a number of 16 bits"},
		{fieldN{1: 1.5}, ".arity", "1.5 is not a number of 16 bits"},
		{fieldN{1: list{}}, ".arity", "a []interface {} is not a number of 16 bits"},
		{fieldN{2: int64(5)}, ".flags", "5 is not a list"},
		{fieldN{2: list{"write", true}}, ".flags[1]", "true is not text"},
		{fieldN{7: "x"}, ".tips", `"x" is not a list`},
		{fieldN{8: "x"}, ".specs", `"x" is not a list`},
		{fieldN{8: list{keySpec(nil, nil), "x"}}, ".specs[1]", `"x" is not a map`},
		{fieldN{8: list{list{"flags"}}}, ".specs[0]", "a list of names and values cannot have 1 elements"},
		{fieldN{8: list{list{nil, nil}}}, ".specs[0]", "a name is null"},
		{fieldN{8: list{map[any]any{5: nil}}}, ".specs[0]", "a name is 5"},
		{fieldN{8: list{map[any]any{"flags": 5}}}, ".specs[0].flags", "5 is not a list"},
		{fieldN{8: list{list{"flags", 5}}}, ".specs[0].flags", "5 is not a list"},
		{fieldN{8: list{m{"flags": 5}}}, ".specs[0].flags", "5 is not a list"},
		{fieldN{8: list{m{"begin_search": "x"}}}, ".specs[0].begin_search", `"x" is not a map`},
		{fieldN{8: list{m{"find_keys": list{"spec", "x"}}}}, ".specs[0].find_keys.spec", `"x" is not a map`},
		{fieldN{8: list{keySpec(m{"index": "x"}, nil)}}, ".specs[0].begin_search.spec.index", `"x" is not a number of 16 bits`},
		{fieldN{8: list{keySpec(m{"index": int64(0)}, nil)}}, ".specs[0].begin_search.spec.index", "the number is less than 1"},
		{fieldN{8: list{keySpec(m{"type": "keyword", "startfrom": int64(1)}, nil)}}, ".specs[0].begin_search.spec", "the keyword is missing, or the search begins at argument 0"},
		{fieldN{8: list{keySpec(m{"type": "keyword", "keyword": "x"}, nil)}}, ".specs[0].begin_search.spec", "the keyword is missing, or the search begins at argument 0"},
		{fieldN{8: list{keySpec(nil, m{"keystep": nil})}}, ".specs[0].find_keys.spec.keystep", "the number is less than 1"},
		{fieldN{8: list{keySpec(nil, m{"limit": int64(-1)})}}, ".specs[0].find_keys.spec", "a number is negative"},
		{fieldN{8: list{keySpec(nil, m{"type": "keynum", "keynumidx": int64(-1), "firstkey": int64(1)})}}, ".specs[0].find_keys.spec", "a number is negative"},
		{fieldN{8: list{keySpec(nil, m{"type": "keynum", "keynumidx": int64(1), "firstkey": int64(1)})}}, ".specs[0].find_keys.spec.firstkey", "the keys are before their number"},
		{fieldN{9: "x"}, ".subcommands", `"x" is not a list`},
		{fieldN{9: list{described("x|y", nil), described("x|z", fieldN{1: nil})}}, ".subcommands[1].arity", "null is not a number of 16 bits"},
		{fieldN{9: list{described("x|y", fieldN{9: list{described("z", nil)}})}}, ".subcommands[0].subcommands", "a subcommand has subcommands"},
	} {
		_, err := Load(list{described("ok", nil), described("x", test.other)})
		var e *slotmap.ParseError
		require.ErrorAs(t, err, &e, test.reason)
		assert.Equal(t, &slotmap.ParseError{Input: "COMMAND", Place: "[1]" + test.place, Reason: test.reason}, e)
	}
	for _, test := range []struct {
		reply  any
		place  string
		reason string
	}{
		{nil, "reply", "null is not a list"},
		{list{nil, "x"}, "[1]", `"x" is not a list`},
		{list{list{"x", 1, list{}, 0, 0}}, "[0]", "a command does not have 5 fields"},
		{list{list{"x", 1, list{}, "a", 0, 0}}, "[0].first", `"a" is not a number of 16 bits`},
		{list{list{"x", 1, list{}, 0, "a", 0}}, "[0].last", `"a" is not a number of 16 bits`},
		{list{list{"x", 1, list{}, 0, 0, "a"}}, "[0].step", `"a" is not a number of 16 bits`},
	} {
		_, err := Load(test.reply)
		assert.Equal(t, &slotmap.ParseError{Input: "COMMAND", Place: test.place, Reason: test.reason}, err)
	}
	full := loader{commands: make([]Command, maxCommands-1)}
	require.Nil(t, full.command(described("x", nil), 0))
	assert.EqualError(t, full.command(described("x", nil), 0), "COMMAND: there are more than 65535 commands")
}

// Clients decode one reply in many ways.
func TestLoadForms(t *testing.T) {
	spec := map[string]any{
		"flags":        map[string]struct{}{"RO": {}, "access": {}, "new": {}},
		"begin_search": map[any]any{"type": []byte("index"), "spec": list{"index", "2"}},
		"find_keys":    list{[]byte("type"), "range", "spec", map[string]any{"lastkey": float64(0), "keystep": 1, "limit": []byte("0")}},
	}
	table, err := Load(list{nil, described("X", fieldN{1: []byte("-3"), 2: []string{"write", "new"}, 7: list{"new", "request_policy:all_shards", "response_policy:agg_max"}, 8: list{spec}}),
		described("u", fieldN{1: []byte("-19"), 7: list{"request_policy:new", "response_policy:"}}), described("least", fieldN{1: -32768}), described("most", fieldN{1: 32767})})
	require.NoError(t, err)
	keys, err := table.Keys(nil, ArgsOf(words("x a b c")))
	require.NoError(t, err)
	assert.Equal(t, []Key{{2, UseRO | UseAccess}}, keys)
	c, err := table.Lookup(ArgsOf(words("x")))
	require.NoError(t, err)
	assert.Equal(t, -3, c.Arity())
	assert.Equal(t, FlagWrite, c.Flags())
	assert.Equal(t, ReplyAggMax, c.Reply())
	assert.Equal(t, requestAllShards, c.rules.request)
	for name, arity := range map[string]int{"u": -19, "least": -32768, "most": 32767} {
		c, err = table.Lookup(ArgsOf([]string{name}))
		require.NoError(t, err)
		assert.Equal(t, arity, c.Arity())
		assert.Equal(t, ReplyDefault, c.Reply(), "what is unknown is ignored")
		assert.Equal(t, requestDefault, c.rules.request)
	}

	// Lists that are null are empty, and a command with one subcommand has it.
	table, err = Load(list{described("x", fieldN{1: -2, 2: nil, 7: nil, 8: nil, 9: list{described("x|y", fieldN{9: nil})}}), described("z", fieldN{1: 0})})
	require.NoError(t, err)
	c, err = table.Lookup(ArgsOf(words("x y a")))
	require.NoError(t, err)
	assert.Equal(t, "x|y", c.Name())
	_, err = table.Route(ArgsOf(words("z a")))
	assert.ErrorIs(t, err, ErrArity, "no number of arguments is 0")
}

// Servers before Redis 7.0 give the first key, the last key and the step. The built-in
// table knows the commands of servers, and nothing of modules.
func TestLoadOfOldServers(t *testing.T) {
	for _, test := range []struct {
		name  string
		arity int
		flags string
		keys  [3]int64
		line  string
		want  []Key
		why   string
	}{
		{"get", 2, "readonly fast", [3]int64{1, 1, 1}, "get a", []Key{{1, UseRO | UseAccess}}, ""},
		{"eval", -3, "noscript movablekeys", [3]int64{0, 0, 0}, "eval s 1 a", []Key{{3, UseRW | UseAccess | UseUpdate}}, ""},
		{"eval", -3, "noscript movablekeys", [3]int64{0, 0, 0}, "eval s 0 a", nil, ""},
		{"lmpop", -4, "write movablekeys", [3]int64{0, 0, 0}, "lmpop 0 a LEFT", nil, "the number of keys is 0"},
		{"get", 3, "module", [3]int64{2, 2, 1}, "get a b", []Key{{2, 0}}, ""},
		{"m.all", -2, "write", [3]int64{1, -1, 1}, "m.all a b", []Key{{1, 0}, {2, 0}}, ""},
		{"m.pairs", -3, "write", [3]int64{2, -1, 2}, "m.pairs a b 1 c 2", []Key{{2, 0}, {4, 0}}, ""},
		{"m.last", -3, "write", [3]int64{1, -2, 1}, "m.last a b 1", []Key{{1, 0}, {2, 0}}, ""},
		{"m.two", -4, "write", [3]int64{2, 3, 1}, "m.two . a b .", []Key{{2, 0}, {3, 0}}, ""},
		{"m.none", -2, "write", [3]int64{1, 0, 1}, "m.none a b", nil, ""},
		{"m.none", -3, "write", [3]int64{2, 1, 1}, "m.none a b", nil, ""},
		{"m.none", -1, "write", [3]int64{0, 0, 0}, "m.none a", nil, ""},
		{"m.none", -1, "write", [3]int64{0, 0, 1}, "m.none a", nil, ""},
		{"m.none", -1, "write", [3]int64{1, 1, 0}, "m.none a", nil, ""},
		{"m.some", -2, "movablekeys", [3]int64{1, 1, 1}, "m.some a b", []Key{{1, UseIncomplete}}, ""},
		{"m.any", -1, "movablekeys", [3]int64{0, 0, 0}, "m.any a", nil, "does not say where the keys are"},
	} {
		fields := list{test.name, test.arity, list{}, test.keys[0], test.keys[1], test.keys[2]}
		for _, flag := range strings.Fields(test.flags) {
			fields[2] = append(fields[2].(list), flag)
		}
		for _, more := range []int{0, 1, 2} { // Redis 6.0 has categories too
			table, err := Load(list{append(fields, list{}, list{})[:6+more]})
			require.NoError(t, err)
			keys, err := table.Keys(nil, ArgsOf(words(test.line)))
			assert.Equal(t, test.want, keys, test.line)
			if test.why != "" {
				assert.ErrorContains(t, err, test.why, test.line)
				continue
			}
			assert.NoError(t, err, test.line)
			c, err := table.Lookup(ArgsOf(words(test.line)))
			require.NoError(t, err)
			flags := Flags(0)
			for _, flag := range strings.Fields(test.flags) {
				flags |= Flags(bit(flag, flagNames))
			}
			if test.name == "eval" {
				flags |= FlagNoMandatoryKeys
			}
			assert.Equal(t, flags, c.Flags(), test.line)
		}
	}
}

// The servers' own code is that of their commands, not of a module's or a subcommand with
// such a name.
func TestWhoseCodeFindsTheKeys(t *testing.T) {
	old := func(name string, flags ...any) list { return list{name, -2, flags, 1, 1, 1} }
	for _, test := range []struct {
		reply list
		use   Use // of SET a 1 IFEQ 2
	}{
		{list{old("set")}, UseOW | UseUpdate},
		{list{old("set"), old("delex")}, UseRW | UseUpdate},
		{list{old("delex"), old("set")}, UseRW | UseUpdate},
		{list{old("get"), old("delex"), old("set")}, UseRW | UseUpdate},
		{list{old("set", "module"), old("delex")}, 0},
	} {
		table, err := Load(test.reply)
		require.NoError(t, err)
		for _, condition := range []string{"IFEQ", "ifne", "IFDEQ", "IFDNE"} {
			keys, err := table.Keys(nil, ArgsOf([]string{"set", "a", "1", condition, "2"}))
			require.NoError(t, err)
			assert.Equal(t, []Key{{1, test.use}}, keys, "%v %s", test.reply, condition)
		}
	}
	_, err := Load(list{old("delex")})
	assert.NoError(t, err)

	// A key behind a keyword is not at the same place always.
	keyword := keySpec(map[string]any{"type": "keyword", "index": nil, "keyword": "KEY", "startfrom": 1}, map[string]any{"lastkey": 0})
	table, err := Load(list{described("x", fieldN{1: -3, 8: list{keyword}})})
	require.NoError(t, err)
	keys, err := table.Keys(nil, ArgsOf(words("x a key b")))
	require.NoError(t, err)
	assert.Equal(t, []Key{{3, UseRO | UseAccess}}, keys)

	// A number is read loosely by the servers' own code only.
	number := func(at int64) list {
		return list{keySpec(map[string]any{"index": at}, map[string]any{"type": "keynum", "keynumidx": 0, "firstkey": 1}), keySpec(nil, nil)}
	}
	table, err = Load(list{
		described("ours", fieldN{8: number(1)}), described("mod", fieldN{2: list{"module"}, 8: number(1)}), described("msetex", fieldN{8: number(1)}),
		described("top", fieldN{9: list{described("top|sub", fieldN{8: number(2)})}}),
	})
	require.NoError(t, err)
	for line, ok := range map[string]bool{"ours +1 a": true, "mod +1 a": false, "msetex +1 a": false, "top sub +1 a": false, "top sub 1 a": true} {
		_, err := table.Keys(nil, ArgsOf(words(line)))
		assert.Equal(t, ok, err == nil, "%s: %v", line, err)
	}

	georadius := Command{name: "georadius", rules: &rules{specs: []spec{{use: UseVariableFlags}, {use: UseRO}}}}
	georadius.complete()
	assert.Equal(t, ownStore, georadius.rules.own)
}

// Names that are long and alike are found as fast as others. Names that were made to
// collide are refused: each would make the search for all of them longer.
func TestLoadNamesThatAreAlike(t *testing.T) {
	reply := func(names ...string) any {
		var list []any
		for _, name := range names {
			list = append(list, []any{name, int64(-2), []any{}, int64(1), int64(1), int64(1)})
		}
		return list
	}
	alike := make([]string, 3000)
	for i := range alike {
		alike[i] = fmt.Sprintf("module.%07d%07dcommand", i%50, i/50)
	}
	table, err := Load(reply(alike...))
	require.NoError(t, err)
	for _, name := range alike {
		c, err := table.Lookup(ArgsOf([]string{strings.ToUpper(name), "key"}))
		require.NoError(t, err)
		require.Equal(t, name, c.Name())
	}
	longest := 0
	for at, n := 0, 0; at < 2*len(table.index); at++ {
		if n++; table.index[at%len(table.index)] == 0 {
			n = 0
		}
		longest = max(longest, n)
	}
	require.Less(t, longest, 100)

	var collide []string
	for i := uint64(1e7); len(collide) < maxProbe+2; i++ {
		name := strconv.FormatUint(i, 10)
		if first, last := ends(name); hash(first, last, 8, 0)%4096 == 5 {
			collide = append(collide, name)
		}
	}
	_, err = Load(reply(collide[:maxProbe]...))
	require.NoError(t, err)
	_, err = Load(reply(collide...))
	require.EqualError(t, err, "COMMAND: reply: too many names have the same hash")
	var bad *slotmap.ParseError
	require.ErrorAs(t, err, &bad)
}

// Each key specification costs a search, for every command that is sent.
func TestLoadManySpecifications(t *testing.T) {
	spec := map[string]any{"begin_search": map[string]any{"type": "keyword", "spec": map[string]any{"keyword": "k", "startfrom": int64(1)}},
		"find_keys": map[string]any{"type": "range", "spec": map[string]any{"lastkey": int64(-1), "keystep": int64(1)}}}
	reply := func(n int) any {
		return []any{[]any{"c", int64(-2), nil, int64(1), int64(1), int64(1), nil, nil, slices.Repeat([]any{spec}, n)}}
	}
	_, err := Load(reply(64))
	require.NoError(t, err)
	_, err = Load(reply(65))
	require.EqualError(t, err, "COMMAND: [0].specs: there are more than 64 specifications")
}
