package command

import (
	"errors"
	"math"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

func words(line string) []string { return strings.Split(line, " ") }

func TestKeys(t *testing.T) {
	for line, want := range map[string][]Key{
		"GET a":                                    {{1, UseRO | UseAccess}},
		"mGeT a b c":                               {{1, UseRO | UseAccess}, {2, UseRO | UseAccess}, {3, UseRO | UseAccess}},
		"MSET a 1 b 2":                             {{1, UseOW | UseUpdate}, {3, UseOW | UseUpdate}},
		"DEL a b":                                  {{1, UseRM | UseDelete}, {2, UseRM | UseDelete}},
		"SET a 1":                                  {{1, UseOW | UseUpdate}},
		"SET a 1 EX 5 GET":                         {{1, UseRW | UseAccess | UseUpdate}},
		"BITFIELD a GET u8 0":                      {{1, UseRO | UseAccess}},
		"BITFIELD a SET u8 0 1":                    {{1, UseRW | UseAccess | UseUpdate}},
		"BITFIELD a GET u8 0 SET":                  {{1, UseRW | UseAccess | UseUpdate}}, // the server refuses it
		"BITFIELD a GET u8 0 OVERFLOW":             {{1, UseRW | UseAccess | UseUpdate}}, // likewise
		"BITFIELD a GET u8 0 OVERFLOW WRAP":        {{1, UseRO | UseAccess}},
		"BLPOP a b 5":                              {{1, UseRW | UseAccess | UseDelete}, {2, UseRW | UseAccess | UseDelete}},
		"EVAL s 2 a b c":                           {{3, UseRW | UseAccess | UseUpdate}, {4, UseRW | UseAccess | UseUpdate}},
		"EVAL s 0 a":                               nil,
		"EVAL s 2147483648 a":                      nil, // the server refuses it, so it has no keys
		"FCALL f 1 a":                              {{3, UseRW | UseAccess | UseUpdate}},
		"ZUNIONSTORE d 2 a b":                      {{1, UseOW | UseUpdate}, {3, UseRO | UseAccess}, {4, UseRO | UseAccess}},
		"MSETEX 2 a 1 b 2 NX":                      {{2, UseOW | UseUpdate}, {4, UseOW | UseUpdate}},
		"XREAD COUNT 2 STREAMS a b 0 0":            {{4, UseRO | UseAccess}, {5, UseRO | UseAccess}},
		"XREADGROUP GROUP STREAMS c STREAMS a >":   {{5, UseRO | UseAccess}},
		"SORT a BY w* LIMIT 0 5 GET # STORE d":     {{1, UseRO | UseAccess}, {10, UseOW | UseUpdate}},
		"SORT a LIMIT 0 1 STORE d":                 {{1, UseRO | UseAccess}, {6, UseOW | UseUpdate}},
		"MIGRATE h 1  0 5 AUTH2 u p KEYS a":        {{10, UseRW | UseAccess | UseDelete}},
		"MIGRATE h 1  0 5 AUTH2 u keys KEYS a":     {{10, UseRW | UseAccess | UseDelete}},
		"MIGRATE h 1  0 5 AUTH keys KEYS a":        {{9, UseRW | UseAccess | UseDelete}},
		"SORT_RO a BY STORE GET STORE":             {{1, UseRO | UseAccess}},
		"MIGRATE h 1 a 0 5":                        {{3, UseRW | UseAccess | UseDelete}},
		"MIGRATE h 1  0 5 COPY AUTH KEYS KEYS a b": {{10, UseRW | UseAccess | UseDelete}, {11, UseRW | UseAccess | UseDelete}},
		"MIGRATE h 1  0 5 KEYS keys b":             {{7, UseRW | UseAccess | UseDelete}, {8, UseRW | UseAccess | UseDelete}},
		"GEORADIUS a 1 2 3 m STORE b STOREDIST c":  {{1, UseRO | UseAccess}, {9, UseOW | UseUpdate}},
		"OBJECT ENCODING a":                        {{2, UseRO}},
		"memory usage a":                           {{2, UseRO}},
		"XGROUP CREATE a g $":                      {{2, UseRW | UseInsert}},
		"SPUBLISH ch m":                            {{1, UseNotKey}},
		"SSUBSCRIBE x y":                           {{1, UseNotKey}, {2, UseNotKey}},
		"SUNSUBSCRIBE":                             nil,
		"PING":                                     nil,
		"CONFIG GET maxmemory":                     nil,
		"CLUSTERSCAN 0-{06S}-0":                    {{1, UseNotKey}},
		"VADD v VALUES 1 1 e":                      {{1, UseRW | UseAccess | UseUpdate}},
		"RESTORE-ASKING a 0 x":                     {{1, UseOW | UseUpdate}},
		"SUBSCRIBE c":                              nil,
		"GEORADIUSBYMEMBER_RO a m 1 km":            {{1, UseRO | UseAccess}},
	} {
		keys, err := Keys(nil, words(line))
		assert.NoError(t, err, line)
		assert.Equal(t, want, keys, line)
		before := []Key{{7, UseRM}}
		keys, err = Keys(before, words(line))
		assert.NoError(t, err, line)
		assert.Equal(t, append(before, want...), keys, line)
		keys, err = Keys(before, [][]byte(nil))
		assert.ErrorIs(t, err, ErrUnknown)
		assert.Equal(t, before, keys)
	}
}

func TestErrors(t *testing.T) {
	for line, want := range map[string]struct {
		kind error
		arg  int
		text string
	}{
		"NOPE":                         {ErrUnknown, 0, `command: "nope": argument 0: unknown command`},
		"CONFIG nope":                  {ErrUnknown, 1, `command: "config": argument 1: unknown subcommand "nope"`},
		"config|get x":                 {ErrUnknown, 0, `command: "config|get": argument 0: unknown command`},
		"GET":                          {ErrArity, 1, `command: "get": argument 1: takes 2 arguments, the name included, not 1`},
		"GET a b":                      {ErrArity, 2, `command: "get": argument 2: takes 2 arguments, the name included, not 3`},
		"MGET":                         {ErrArity, 1, `command: "mget": argument 1: takes at least 2 arguments, the name included, not 1`},
		"LMPOP x a LEFT":               {ErrSyntax, 1, `command: "lmpop": argument 1: the number of keys is not a number, or is negative`},
		"LMPOP -1 a LEFT":              {ErrSyntax, 1, `command: "lmpop": argument 1: the number of keys is not a number, or is negative`},
		"LMPOP 0 a LEFT":               {ErrSyntax, 1, `command: "lmpop": argument 1: the number of keys is 0`},
		"BLMPOP 1 3 a LEFT":            {ErrSyntax, 2, `command: "blmpop": argument 2: there are fewer arguments than keys`},
		"ZUNION 9223372036854775807 a": {ErrSyntax, 1, `command: "zunion": argument 1: there are fewer arguments than keys`},
		"ZUNION 9223372036854775808 a": {ErrSyntax, 1, `command: "zunion": argument 1: the number of keys is not a number, or is negative`},
		"XREAD COUNT 5 a":              {ErrSyntax, 4, `command: "xread": argument 4: the keyword STREAMS is missing, or no key follows`},
		"XREAD COUNT 5 STREAMS":        {ErrSyntax, 4, `command: "xread": argument 4: the keyword STREAMS is missing, or no key follows`},
		"XREAD COUNT 5 STREAMS a":      {ErrSyntax, 5, `command: "xread": argument 5: there are fewer arguments than keys`},
		"MIGRATE h 1 a 0 5 KEYS b":     {ErrSyntax, 3, `command: "migrate": argument 3: the key must be empty, because KEYS lists the keys`},
		"MSETEX x a 1":                 {ErrSyntax, 1, ""},
	} {
		before := []Key{{7, UseRM}}
		keys, err := Keys(before, words(line))
		assert.Equal(t, before, keys, line)
		require.ErrorIs(t, err, want.kind, line)
		var e *Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, want.arg, e.Arg, line)
		if want.text != "" {
			assert.EqualError(t, err, want.text)
		}
		_, err = Route(words(line))
		assert.ErrorIs(t, err, want.kind, line)
		_, err = new(Splitter).Split(nil, ArgsOf(words(line)))
		assert.ErrorIs(t, err, want.kind, line)
		assert.ErrorIs(t, new(Block).Add(nil, ArgsOf(words(line))), want.kind, line)
		dst, err := AppendPart(nil, []string{"x"}, words(line), []int{0})
		assert.Error(t, err, line)
		assert.Equal(t, []string{"x"}, dst, line)
	}
	assert.EqualError(t, ErrUnknown, "command: unknown command")
	assert.EqualError(t, ErrArity, "command: wrong number of arguments")
	assert.EqualError(t, ErrSyntax, "command: the keys cannot be found in the arguments")
	_, err := Keys(nil, []string(nil))
	assert.EqualError(t, err, "command: no arguments")
	_, err = Keys(nil, []string{strings.Repeat("x", 1<<20)})
	assert.Equal(t, 64, strings.Count(err.Error(), "x"))
	assert.EqualError(t, (&Command{name: "loaded"}).arityError(1), `command: "loaded": argument 0: takes 0 arguments, the name included, not 1`)
	assert.EqualError(t, (&Command{name: "loaded"}).syntaxError(unspecified, 2), `command: "loaded": argument 2: the server's description does not say where the keys are`)
	_, err = Route([]string{"ECHO"})
	assert.ErrorIs(t, err, ErrArity)
	_, err = Keys(nil, []string{"ECHO"})
	assert.NoError(t, err, "a command without keys has none, whatever its arguments")
}

// A name is found in any mix of cases, and nothing else is found.
func TestLookup(t *testing.T) {
	n := 0
	for c := range (*Table)(nil).All() {
		n++
		args := strings.Split(c.Name(), "|")
		for _, args := range [][]string{args, {strings.ToUpper(args[0]), strings.ToUpper(args[len(args)-1])}} {
			args = args[:strings.Count(c.Name(), "|")+1]
			got, err := (*Table)(nil).Lookup(ArgsOf(args))
			require.NoError(t, err, c.Name())
			require.Same(t, c, got)
		}
		last := &args[len(args)-1]
		name := *last
		for i := range len(name) {
			for _, b := range []byte{0, 1, 0x20, 0x40, 0x5b, 0x60, 0x7b, 0x80, name[i] ^ 0x80, name[i] &^ 0x60, name[i] ^ 0x10} {
				if b|0x20 == name[i] && 'A' <= b && b <= 'Z' || b == name[i] {
					continue
				}
				*last = name[:i] + string([]byte{b}) + name[i+1:]
				got, err := (*Table)(nil).Lookup(ArgsOf(args))
				if err == nil {
					require.True(t, strings.HasSuffix(got.Name(), lower(*last)), "%q is found as %s", *last, got.Name())
				}
			}
		}
		for _, other := range []string{name + "\x00", name + "x", name[1:], name[:len(name)-1], "\x00" + name, ""} {
			*last = other
			if got, err := (*Table)(nil).Lookup(ArgsOf(args)); err == nil {
				require.True(t, strings.HasSuffix(got.Name(), lower(other)), "%q is found as %s", other, got.Name())
			}
		}
	}
	assert.Equal(t, 426, n)
	// Longer than two words of eight bytes, with the same first and last word.
	_, err := (*Table)(nil).Lookup(ArgsOf([]string{"georadiuxbymember_ro"}))
	assert.ErrorIs(t, err, ErrUnknown)
	c, err := (*Table)(nil).Lookup(ArgsOf([]string{"CONFIG"}))
	require.NoError(t, err)
	assert.Equal(t, "config", c.Name())
	assert.False(t, c.HasKeys())
	c, _ = (*Table)(nil).Lookup(ArgsOf([]string{"EVAL_RO"}))
	assert.Equal(t, "readonly noscript stale movablekeys no_mandatory_keys", c.Flags().String())
	assert.True(t, c.Is(FlagReadOnly) && !c.Is(FlagWrite) && c.HasKeys() && c.Servers() == ServerValkey|ServerRedis && c.Arity() == -3)
	assert.Equal(t, "valkey redis", c.Servers().String())
}

// A name is the container and the subcommand in two arguments, never in one.
func TestSubcommandsAreTwoWords(t *testing.T) {
	for i := range 40 {
		table := newTable([]Command{{name: "top", flags: hasSubs}, {name: "top|" + strings.Repeat("s", i+1), parent: 1}})
		c, err := table.Lookup(ArgsOf([]string{"top", strings.Repeat("S", i+1)}))
		require.NoError(t, err)
		_, err = table.Lookup(ArgsOf([]string{c.Name()}))
		assert.ErrorIs(t, err, ErrUnknown, c.Name())
	}
}

// Names are those of the servers, and what is none has a name too.
func TestNames(t *testing.T) {
	var names []string
	for r := range ReplySpecial + 2 {
		names = append(names, r.String())
	}
	assert.Equal(t, "default one_succeeded all_succeeded agg_logical_and agg_logical_or agg_min agg_max agg_sum special unknown", strings.Join(names, " "))
	assert.Equal(t, "RO RW OW RM access update insert delete not_key incomplete variable_flags", (UseVariableFlags<<1 - 1).String())
	for use, does := range map[Use][2]bool{
		UseRO: {true, false}, UseRW: {true, true}, UseOW: {false, true}, UseRM: {false, true}, UseAccess: {true, false},
		UseUpdate | UseInsert | UseDelete | UseNotKey | UseIncomplete | UseVariableFlags: {}, 0: {},
	} {
		assert.Equal(t, does, [2]bool{use.Reads(), use.Writes()}, use)
	}
}

// The zero Table is the built-in one, and the zero Command takes no arguments.
func TestZeroValues(t *testing.T) {
	c, err := new(Table).Lookup(ArgsOf(words("get a")))
	require.NoError(t, err)
	assert.Equal(t, "get", c.Name())
	assert.False(t, new(Command).fits(1))
	assert.False(t, new(Command).HasKeys())
}

// The names of modules may be long. Flags of a container do not show the internal bit.
func TestLongNames(t *testing.T) {
	name := strings.Repeat("long", 100)
	field := func(name string, arity int64, subs ...any) []any {
		return []any{name, arity, []any{"module", "readonly"}, int64(0), int64(0), int64(0), []any{}, []any{}, []any{}, subs}
	}
	table, err := Load([]any{field(name, -2, field(name+"|sub", 2), field("other", 2))})
	require.NoError(t, err)
	for _, sub := range []string{"sub", "OTHER"} {
		c, err := table.Lookup(ArgsOf([]string{strings.ToUpper(name), sub}))
		require.NoError(t, err)
		assert.Equal(t, name+"|"+strings.ToLower(sub), c.Name())
	}
	c, err := table.Lookup(ArgsOf([]string{name}))
	require.NoError(t, err)
	assert.Equal(t, FlagModule|FlagReadOnly, c.Flags())
	_, err = table.Lookup(ArgsOf([]string{name, "third"}))
	assert.ErrorIs(t, err, ErrUnknown)
}

// A server may say that a command takes fewer arguments than its own code for keys
// looks at. The arguments end where they end.
func TestKeysBeyondTheArguments(t *testing.T) {
	index := func(i int64) any {
		return []any{"flags", []any{"RW", "incomplete"}, "begin_search", []any{"type", "index", "spec", []any{"index", i}},
			"find_keys", []any{"type", "range", "spec", []any{"lastkey", int64(0), "keystep", int64(1), "limit", int64(0)}}}
	}
	number := []any{"flags", []any{"RO"}, "begin_search", []any{"type", "index", "spec", []any{"index", int64(1)}},
		"find_keys", []any{"type", "keynum", "spec", []any{"keynumidx", int64(0), "firstkey", int64(1), "keystep", int64(1)}}}
	command := func(name string, specs ...any) any {
		return []any{name, int64(-1), []any{}, int64(1), int64(1), int64(1), []any{}, []any{}, specs}
	}
	table, err := Load([]any{command("sort", index(1)), command("migrate", index(3)), command("x", number, index(9)),
		[]any{"georadius", int64(-1), []any{"write"}, int64(1), int64(1), int64(1)}})
	require.NoError(t, err)
	for line, last := range map[string]int{"sort a": 1, "migrate h 1 a": 3, "x 1 a b b b b b b c": 9, "georadius a": 1} {
		args := words(line)
		for n := 1; n <= len(args); n++ {
			keys, err := table.Keys(nil, ArgsOf(args[:n]))
			_, routed := table.Route(ArgsOf(args[:n]))
			if n <= last {
				assert.ErrorIs(t, err, ErrSyntax, args[:n])
				assert.ErrorIs(t, routed, ErrSyntax, args[:n])
				continue
			}
			require.NoError(t, err, line)
			assert.Equal(t, last, keys[len(keys)-1].Index, line)
		}
	}
}

// A server can describe commands in ways that none of Valkey and Redis has: loaded
// commands follow their specifications, and an error is that of the first that fails.
func TestKeysOfLoadedSpecifications(t *testing.T) {
	index := func(at, last, step, limit int16, use Use) spec {
		return spec{begin: beginIndex, find: findRange, at: at, last: last, step: step, limit: limit, use: use}
	}
	number := func(at, first, step int16) spec {
		return spec{begin: beginIndex, find: findNumber, at: at, limit: first, step: step}
	}
	keyword := func(from, last int16) spec {
		return spec{begin: beginKeyword, find: findRange, at: from, keyword: "keys", last: last, step: 1}
	}
	for _, test := range []struct {
		name  string
		flags Flags
		specs []spec
		line  string
		keys  []int
		at    int
		why   string
	}{
		{"x", FlagModule, []spec{index(1, -1, 1, 0, UseRO|UseIncomplete)}, "x a b", []int{1, 2}, 0, ""},
		{"x", 0, []spec{index(1, -1, 1, 1, UseRO)}, "x a b c", []int{1, 2, 3}, 0, ""},
		{"x", 0, []spec{index(1, -1, 3, 0, UseRO)}, "x a . 1 b . 2", []int{1, 4}, 0, ""},
		{"x", 0, []spec{number(2, 1, 1)}, "x a", nil, 2, "fewer arguments than keys"},
		{"x", 0, []spec{number(1, 1, 1), index(9, 0, 1, 0, UseRO)}, "x 5 a", nil, 1, "fewer arguments than keys"},
		{"x", 0, []spec{index(9, 0, 1, 0, UseRO), number(1, 1, 1)}, "x 5 a", nil, 3, "fewer arguments than keys"},
		{"x", 0, []spec{{begin: beginIndex, at: 1, step: 1}}, "x a", nil, 2, "does not say where"},
		{"x", 0, []spec{{find: findRange, step: 1}}, "x a", nil, 2, "does not say where"},
		{"x", 0, []spec{keyword(1, -1)}, "x keys a b", []int{2, 3}, 0, ""},
		{"x", 0, []spec{keyword(-2, -1)}, "x a keys b", []int{3}, 0, ""},
		{"x", 0, []spec{keyword(-2, -1)}, "x a keys b keys", []int{3, 4}, 0, ""},
		{"x", 0, []spec{keyword(-2, -1)}, "x keys a", nil, 3, "the keyword KEYS is missing"}, // not looked at
		// A number that is read loosely is one that comes first.
		{"x", 0, []spec{number(1, 1, 2)}, "x +2 a 1 b 2", []int{2, 4}, 0, ""},
		{"x", 0, []spec{number(1, 1, 2)}, "x +2 a 1 b", nil, 1, "is not a number"},
		{"x", 0, []spec{{begin: beginIndex, find: findNumber, at: 1, last: 1, limit: 2, step: 1}}, "x . +1 a", []int{3}, 0, ""},
		{"x", 0, []spec{{begin: beginKeyword, keyword: "keys", at: 1, find: findNumber, limit: 1, step: 1}}, "x 1 a keys z b", nil, 4, "is not a number"},
		{"x", 0, []spec{number(1, 1, 1), keyword(1, 0)}, "x +1 a keys b", []int{2}, 0, ""},
		// The server's own code is not asked where specifications say all.
		{"sort", 0, []spec{index(1, 0, 1, 0, UseRM)}, "sort a", []int{1}, 0, ""},
	} {
		c := Command{name: test.name, arity: -1, flags: test.flags, rules: &rules{specs: test.specs}}
		if test.name == "sort" {
			c.arity = -2 // so the key is always there
		}
		c.complete()
		table := newTable([]Command{c})
		keys, err := table.Keys(nil, ArgsOf(unreadable(words(test.line))))
		if test.why != "" {
			assert.Empty(t, keys, test.line)
			assert.ErrorContains(t, err, test.why, test.line)
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, test.at, e.Arg, test.line)
			continue
		}
		require.NoError(t, err, test.line)
		var at []int
		for _, k := range keys {
			at = append(at, k.Index)
		}
		assert.Equal(t, test.keys, at, test.line)
		if test.name == "sort" {
			assert.Equal(t, UseRM, keys[0].Use)
		}
	}

	// A command whose keys have two more arguments each goes to the slots of its keys.
	c := Command{name: "json.mset", arity: -4, flags: FlagModule, rules: &rules{specs: []spec{index(1, -1, 3, 0, UseOW)}, request: requestMultiShard}}
	table := newTable([]Command{c})
	for line, ok := range map[string]bool{"json.mset a $ 1 b $ 2": true, "json.mset a $ 1 b $": false} {
		target, err := table.Route(ArgsOf(words(line)))
		assert.Equal(t, ok, err == nil, "%s: %v", line, err)
		assert.Equal(t, ok, target.To == ToEachSlot, line)
	}
}

// The table has 426 of these. Each takes half a cache line, and none crosses two lines.
func TestCommandSize(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) == 8 {
		assert.Equal(t, uintptr(32), unsafe.Sizeof(Command{}))
	}
	var zero Command
	assert.False(t, zero.HasKeys())
	assert.Equal(t, ReplyDefault, zero.Reply())
}

func TestLower8(t *testing.T) {
	for c := range 256 {
		want := uint64(lower(string([]byte{byte(c)}))[0])
		for _, around := range []uint64{0, 0x7f, 0x80, 0xff, 'A', 'Z', '@', '['} {
			x := around * 0x0101010101010101
			for shift := 0; shift < 64; shift += 8 {
				got := lower8(x&^(0xff<<shift)|uint64(c)<<shift) >> shift & 0xff
				require.Equal(t, want, got, "%#x between %#x", c, around)
			}
		}
	}
}

func TestNumber(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "1": 1, "10": 10, "9223372036854775807": 1 << 62, "4611686018427387904": 1 << 62, "4611686018427387903": 1<<62 - 1} {
		n, ok := number(s)
		assert.True(t, ok, s)
		assert.Equal(t, want, n, s)
	}
	for _, s := range []string{"", "-1", "+1", "01", "00", "1x", "1:", " 1", "9223372036854775808", "18446744073709551616", "99999999999999999999", "１"} {
		n, ok := number(s)
		assert.False(t, ok, s)
		assert.Zero(t, n, s)
	}
	for s, want := range map[string]int{"": 0, "x": 0, "12x": 12, "+3": 3, "-3": -3, " \t\n\v\f\r7": 7, "- 3": 0, "2147483648": math.MinInt32,
		"4294967297": 1, "-4294967295": 1, "9223372036854775807": -1, "99999999999999999999": -1, "-9223372036854775808": 0, "-99999999999999999999": 0, "1\x002": 1,
		"1:2": 1, "\x0e7": 0, " ": 0, "-": 0, "4611686018427387905": 1, "9223372036854775805": -3, "9223372036854775809": -1, "9999999999999999999": -1} {
		assert.Equal(t, want, looseNumber(s), s)
		assert.Equal(t, want, slowAtoi(s), s)
	}
}

func TestIsIgnoresCase(t *testing.T) {
	for c := range 256 {
		for _, word := range []string{"a", "m", "z", "{", "5"} {
			want := string(rune(word[0])) == strings.ToLower(string(rune(c)))
			assert.Equal(t, want, is(string([]byte{byte(c)}), word), "%d %s", c, word)
		}
	}
}

// Time is in proportion to the number of arguments.
func TestManyArguments(t *testing.T) {
	args := make([]string, 1<<18)
	for i := range args {
		args[i] = "{k}" + strconv.Itoa(i)
	}
	for _, line := range []string{"MGET", "MSETEX 131069", "EVAL s 262141", "SORT", "XREAD STREAMS", "EVAL s 4294967297", "MIGRATE h 1  0 5 KEYS", "SET", "BITFIELD", "XREADGROUP"} {
		copy(args, words(line))
		_, _ = Keys(nil, args)
		_, _ = Route(args)
	}
	for i := range args {
		args[i] = "{k}"
	}
	args[0], args[1], args[2] = "EVAL", "s", "262141"
	assert.Zero(t, testing.AllocsPerRun(1, func() { _, _ = Route(args) }))
	target, err := Route(args)
	require.NoError(t, err)
	assert.Equal(t, hashslot.Of("k"), target.Slot)
}

func TestRoute(t *testing.T) {
	a, b := hashslot.Of("a"), hashslot.Of("b")
	require.NotEqual(t, a, b)
	for line, want := range map[string]Target{
		"GET a":                 {To: ToOneSlot, Slot: a},
		"SET b 1":               {To: ToOneSlot, Slot: b},
		"MGET {a}1 {a}2":        {To: ToOneSlot, Slot: a},
		"MGET a b":              {To: ToEachSlot},
		"MSET a 1 b 2":          {To: ToEachSlot},
		"MSETEX 2 a 1 b 2 EX 5": {To: ToEachSlot},
		"DEL a b":               {To: ToEachSlot},
		"UNLINK a b":            {To: ToEachSlot},
		"EXISTS a b":            {To: ToEachSlot},
		"TOUCH a b":             {To: ToEachSlot},
		"EVAL s 2 a {a}b":       {To: ToOneSlot, Slot: a},
		"EVAL s 0 a":            {To: ToAnyNode},
		"PING":                  {To: ToAllShards},
		"DBSIZE":                {To: ToAllShards},
		"CONFIG SET a b":        {To: ToAllNodes},
		"SCAN 0":                {To: ToSpecial},
		"ECHO x":                {To: ToAnyNode},
		"PUBLISH a m":           {To: ToAnyNode},
		"SPUBLISH a m":          {To: ToOneSlot, Slot: a},
		"CLUSTERSCAN 0-{a}-0":   {To: ToOneSlot, Slot: a},
		"MULTI":                 {To: ToAnyNode},
		"WATCH a {a}b":          {To: ToOneSlot, Slot: a},
	} {
		got, err := Route(words(line))
		require.NoError(t, err, line)
		require.NotNil(t, got.Command, line)
		got.Command = nil
		assert.Equal(t, want, got, line)
	}
	for _, line := range []string{"MSETNX {a}1 x a y b z", "SUNION {a}1 a b", "EVAL s 3 {a}1 a b", "WATCH {a}1 a b", "SSUBSCRIBE {a}1 a b"} {
		_, err := Route(words(line))
		var cross *hashslot.CrossSlotError
		require.ErrorAs(t, err, &cross, line)
		assert.Equal(t, hashslot.CrossSlotError{Key1: "{a}1", Slot1: a, Key2: "b", Slot2: b, Index: 2}, *cross, line)
	}
	_, err := Route(words("MSET a 1 b"))
	assert.EqualError(t, err, `command: "mset": argument 4: the last key has no value`)
	_, err = Route(words("MSET a 1 {a}b"))
	assert.NoError(t, err, "the server will say so")
	_, err = Route(words("MSETEX 2 a 1 b"))
	assert.ErrorIs(t, err, ErrSyntax)
}

func TestTargetNames(t *testing.T) {
	for to, want := range []string{"any node", "one slot", "each slot", "all shards", "all nodes", "special"} {
		assert.Equal(t, want, To(to).String())
	}
}

// Only keys that one specification finds at a fixed place can be divided.
func TestDivides(t *testing.T) {
	index, keyword := spec{begin: beginIndex}, spec{begin: beginKeyword}
	for want, list := range map[bool][][]spec{true: {{index}}, false: {{index, index}, {keyword}, nil}} {
		for _, specs := range list {
			assert.Equal(t, want, (&Command{rules: &rules{request: requestMultiShard, specs: specs}}).divides(), "%v", specs)
		}
	}
}

func TestSplit(t *testing.T) {
	var s Splitter
	for line, want := range map[string][]string{
		"MGET a b {a}1 {b}1 c":            {"MGET a {a}1", "MGET b {b}1", "MGET c"},
		"MSET a 1 b 2 {a}1 3":             {"MSET a 1 {a}1 3", "MSET b 2"},
		"del a b a":                       {"del a a", "del b"},
		"MSETEX 3 a 1 b 2 {a}1 3 NX EX 5": {"MSETEX 2 a 1 {a}1 3 NX EX 5", "MSETEX 1 b 2 NX EX 5"},
		"MGET a":                          {"MGET a"},
	} {
		args := words(line)
		groups, err := s.Split(nil, ArgsOf(args))
		require.NoError(t, err)
		var got []string
		for _, g := range groups {
			part, err := AppendPart(nil, []string{"before"}, args, g.Keys)
			require.NoError(t, err)
			require.Equal(t, "before", part[0])
			got = append(got, strings.Join(part[1:], " "))
			target, err := Route(part[1:])
			require.NoError(t, err)
			assert.Equal(t, Target{target.Command, ToOneSlot, g.Slot}, target)
		}
		assert.Equal(t, want, got)
	}
	groups, err := s.Split(nil, ArgsOf(words("SUNION a {a}b")))
	require.NoError(t, err)
	assert.Equal(t, []slotmap.SlotGroup{{Slot: hashslot.Of("a"), Keys: []int{0, 1}}}, groups)
	groups, err = s.Split(nil, ArgsOf(words("PING")))
	require.NoError(t, err)
	assert.Nil(t, groups, "Combine tells a command without groups by nil")
	_, err = s.Split(nil, ArgsOf(words("SUNION a b")))
	assert.ErrorIs(t, err, hashslot.ErrCrossSlot)
	for _, keys := range [][]int{{2}, {-1}, {1, 0}, {0, 0}} {
		dst, err := AppendPart(nil, []string{"x"}, words("MGET a b"), keys)
		assert.ErrorContains(t, err, `command: "mget": the keys must be ascending and below 2: unexpected key`)
		assert.Equal(t, []string{"x"}, dst)
	}
	_, err = AppendPart(nil, nil, words("MGET"), []int{0})
	assert.ErrorIs(t, err, ErrArity)
	_, err = AppendPart(nil, nil, words("MSET a 1 b"), []int{0})
	assert.ErrorIs(t, err, ErrSyntax)
	_, err = AppendPart(nil, nil, words("SUNION a b"), []int{0})
	assert.EqualError(t, err, `command: "sunion" cannot be divided by slot`)
}

// The number of keys of a part is where the specification says, not where the keys are
// looked for.
func TestPartHasItsNumberOfKeys(t *testing.T) {
	table, err := Load([]any{[]any{"mod.get", int64(-4), []any{}, int64(0), int64(0), int64(0), []any{}, []any{"request_policy:multi_shard"}, []any{[]any{
		"flags", []any{"RO"},
		"begin_search", []any{"type", "index", "spec", []any{"index", int64(1)}},
		"find_keys", []any{"type", "keynum", "spec", []any{"keynumidx", int64(1), "firstkey", int64(3), "keystep", int64(1)}},
	}}, []any{}}})
	require.NoError(t, err)
	part, err := AppendPart(table, nil, words("MOD.GET option 3 option a b c"), []int{0, 2})
	require.NoError(t, err)
	assert.Equal(t, words("MOD.GET option 2 option a c"), part)
}

func TestCombine(t *testing.T) {
	find := func(line string) *Command {
		c, err := (*Table)(nil).Lookup(ArgsOf(words(line)))
		require.NoError(t, err)
		return c
	}
	with := func(reply Reply) *Command { return &Command{name: "loaded", rules: &rules{reply: reply}} }
	groups := []slotmap.SlotGroup{{Keys: []int{0, 2}}, {Keys: []int{1}}}
	bad, worse := errors.New("bad"), errors.New("worse")
	for _, c := range []struct {
		command string
		groups  []slotmap.SlotGroup
		replies []any
		want    any
		err     error
	}{
		{"MGET", groups, []any{[]any{"a", nil}, []any{"b"}}, []any{"a", "b", nil}, nil},
		{"MGET", groups, []any{[]any{"a", nil}, worse}, nil, worse},
		{"DEL", groups, []any{int64(2), int64(1)}, int64(3), nil},
		{"MSET", groups, []any{"OK", "OK"}, "OK", nil},
		{"MSET", groups, []any{"OK", bad}, nil, bad},
		{"KEYS", nil, []any{[]any{"a"}, []any{}, []any{"b"}}, []any{"a", "b"}, nil},
		{"DBSIZE", nil, []any{int64(1), 2, int64(3)}, int64(6), nil},
		{"WAIT", nil, []any{int64(3), int64(1), int64(2)}, int64(1), nil},
		{"WAITAOF", nil, []any{[]any{int64(1), int64(5)}, []any{int64(0), int64(7)}}, []any{int64(0), int64(5)}, nil},
		{"SCRIPT EXISTS", nil, []any{[]any{int64(1), int64(1)}, []any{int64(1), int64(0)}}, []any{int64(1), int64(0)}, nil},
		{"SCRIPT KILL", nil, []any{bad, "OK", worse}, "OK", nil},
		{"SCRIPT EXISTS", nil, []any{[]any{int64(0)}, []any{int64(1)}}, []any{int64(0)}, nil},
		{"SCRIPT KILL", nil, []any{bad, worse}, nil, bad},
		{"SCRIPT KILL", nil, []any{"first", bad, "second", "third"}, "first", nil},
		{"FLUSHALL", nil, []any{"only"}, "only", nil},
		{"FLUSHALL", nil, []any{"OK", "OK"}, "OK", nil},
		{"INFO", nil, []any{"a", "b"}, nil, ErrCannotCombine},
	} {
		got, err := find(c.command).Combine(c.groups, c.replies)
		assert.Equal(t, c.err, err, c.command)
		assert.Equal(t, c.want, got, c.command)
	}
	for reply, want := range map[Reply][4]int64{ReplyAggLogicalOr: {0, 1, 1, 1}, ReplyAggLogicalAnd: {0, 0, 0, 1}, ReplyAggMax: {0, 2, 3, 3}, ReplyAggMin: {0, 0, 0, 2}, ReplyAggSum: {0, 2, 3, 5}} {
		for i, w := range want {
			got, err := with(reply).Combine(nil, []any{3 * int64(i>>1), 2 * int64(i&1)})
			assert.NoError(t, err)
			assert.Equal(t, w, got, "%v of case %d", reply, i)
		}
	}
	const noList, noNumbers = `is not a list of`, `: not two numbers, nor two lists of the same length`
	for _, c := range []struct {
		command string
		groups  []slotmap.SlotGroup
		replies []any
		want    string
	}{
		{"MGET", groups, []any{[]any{"a"}, []any{"b"}}, noList}, {"MGET", groups, []any{"x", []any{"b"}}, noList},
		{"MGET", groups, []any{[]any{"a", "b"}}, `command: "mget": 1 replies for 2 parts`},
		{"MGET", []slotmap.SlotGroup{{}}, []any{"x"}, noList},
		{"MGET", []slotmap.SlotGroup{{Keys: []int{5}}}, []any{[]any{1}}, "part 0 has key 5, but there are 1 keys"},
		{"MGET", []slotmap.SlotGroup{{Keys: []int{1}}}, []any{[]any{1}}, "part 0 has key 1, but there are 1 keys"},
		{"MGET", []slotmap.SlotGroup{{Keys: []int{-1}}}, []any{[]any{1}}, "part 0 has key -1"},
		{"DEL", groups, []any{"x", int64(1)}, noNumbers}, {"DEL", groups, []any{int64(1), "x"}, noNumbers}, {"DEL", nil, nil, "0 replies"},
		{"KEYS", nil, []any{"x"}, "command: no rule to combine the replies"},
		{"SCRIPT EXISTS", nil, []any{[]any{int64(1)}, []any{int64(1), int64(1)}}, noNumbers}, {"SCRIPT EXISTS", nil, []any{[]any{"x"}, []any{"y"}}, noNumbers},
		{"SCRIPT EXISTS", nil, []any{[]any{}, int64(1)}, noNumbers}, {"SCRIPT EXISTS", nil, []any{int64(1), []any{}}, noNumbers},
	} {
		_, err := find(c.command).Combine(c.groups, c.replies)
		assert.ErrorContains(t, err, c.want, "%v", c)
	}
}

func TestBlock(t *testing.T) {
	var b Block
	add := func(line string) error { return b.Add(nil, ArgsOf(words(line))) }
	_, ok := b.Slot()
	assert.False(t, ok)
	for _, line := range []string{"MULTI", "PING", "WATCH {a}1 a", "INCR {a}2", "MGET a {a}3", "EVAL s 1 a", "SPUBLISH a m", "EXEC"} {
		require.NoError(t, add(line), line)
	}
	slot, ok := b.Slot()
	assert.True(t, ok)
	assert.Equal(t, hashslot.Of("a"), slot)
	for _, line := range []string{"GET b", "MGET a b", "SUNION b a"} {
		err := add(line)
		require.ErrorIs(t, err, hashslot.ErrCrossSlot, line)
	}
	var cross *hashslot.CrossSlotError
	require.ErrorAs(t, add("GET b"), &cross)
	assert.Equal(t, hashslot.CrossSlotError{Key1: "{a}1", Slot1: hashslot.Of("a"), Key2: "b", Slot2: hashslot.Of("b"), Index: 7}, *cross)
	require.NoError(t, add("GET a"), "an error leaves the block as it was")
	assert.ErrorIs(t, add("GET"), ErrArity)
	b.Reset()
	require.ErrorIs(t, add("MGET b a"), hashslot.ErrCrossSlot, "nothing is divided within a block")
	slot, ok = b.Slot()
	assert.False(t, ok)
	assert.Zero(t, slot)
	require.NoError(t, add("GET b"))
	slot, _ = b.Slot()
	assert.Equal(t, hashslot.Of("b"), slot)
}

var (
	keysSink   []Key
	targetSink Target
)

func TestAllocations(t *testing.T) {
	dst := make([]Key, 0, 32)
	long := append([]string{"MGET"}, slices.Repeat([]string{"{k}1"}, 20)...)
	for _, args := range [][]string{words("GET a"), words("set a 1"), long, words("EVAL s 2 {a}1 {a}2"), words("SORT a STORE {a}b"), words("PING"), words("XREAD STREAMS a 0")} {
		raw := make([][]byte, len(args))
		for i, a := range args {
			raw[i] = []byte(a)
		}
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			keysSink, _ = Keys(dst, args)
			keysSink, _ = Keys(dst, raw)
			targetSink, _ = Route(args)
			targetSink, _ = Route(raw)
		}), args)
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		b := [16]byte{'k', byte(targetSink.Slot)}
		var keys [4]Key
		args := [2][]byte{[]byte("GET"), b[:4]}
		got, _ := Keys(keys[:0], args[:])
		targetSink, _ = Route(args[:])
		targetSink.Slot ^= hashslot.Slot(len(got))
	}), "all on the stack")
	var s Splitter
	args := words("MGET a b c d {a}1")
	_, err := s.Split(nil, ArgsOf(args))
	require.NoError(t, err)
	part := make([]string, 0, 16)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		groups, _ := s.Split(nil, ArgsOf(args))
		for _, g := range groups {
			part, _ = AppendPart(nil, part[:0], args, g.Keys)
		}
	}))
	var b Block
	require.NoError(t, b.Add(nil, ArgsOf(args[:2])))
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		b.Reset()
		_ = b.Add(nil, ArgsOf(args[:2]))
	}))
}

// The table is data: at the start of a program, the package only makes the values of its
// errors.
func TestNoInit(t *testing.T) {
	if testing.Short() {
		t.Skip("the compiler takes long")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command is not here")
	}
	file := t.TempDir() + "/command.a"
	out, err := exec.Command("go", "build", "-o", file, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.Command("go", "tool", "nm", "-size", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	size := 0
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) >= 4 && strings.HasSuffix(f[len(f)-1], "command.init") {
			size, err = strconv.Atoi(f[len(f)-3])
			require.NoError(t, err)
		}
	}
	require.Positive(t, size, "the errors are made by init\n%s", out)
	assert.Less(t, size, 1000, "bytes of code in init")
}
