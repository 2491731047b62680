package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/hashtest"
)

// TestKeysGolden gives recorded commands to "hashslot keys", and expects the servers' answers.
func TestKeysGolden(t *testing.T) {
	for _, file := range []string{"getkeys_valkey9.jsonl", "getkeys_redis8.jsonl"} {
		f, err := os.Open(hashtest.Data(t, "../..", "commands/"+file))
		require.NoError(t, err)
		defer f.Close()
		type golden struct {
			Args  []string `json:"args"`
			Keys  []string `json:"keys"`
			Error string   `json:"error"`
		}
		var all []golden
		var in strings.Builder
		for sc := bufio.NewScanner(f); sc.Scan(); {
			var g golden
			require.NoError(t, json.Unmarshal(sc.Bytes(), &g))
			all = append(all, g)
			line, err := json.Marshal(g.Args)
			require.NoError(t, err)
			fmt.Fprintf(&in, "%s\n", line)
		}
		r := runOn(in.String(), "keys", "-in", "json", "-format", "json")
		assert.Equal(t, exitFailed, r.code)
		lines := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
		require.Len(t, lines, len(all))
		for i, line := range lines {
			var got struct {
				Command string          `json:"command"`
				Keys    []string        `json:"keys"`
				Slots   []hashslot.Slot `json:"slots"`
				Error   string          `json:"error"`
			}
			require.NoError(t, json.Unmarshal([]byte(line), &got), line)
			want := all[i]
			require.NotNil(t, got.Keys, line)
			switch want.Error {
			case "ERR The command has no key arguments":
				want.Keys = []string{}
			case "":
				require.Empty(t, got.Error, line)
			case "ERR Invalid command specified": // one of the servers gives this answer
				if got.Error == "" {
					continue
				}
				want.Keys = []string{}
			default:
				require.NotEmpty(t, got.Error, line)
				want.Keys = []string{}
			}
			require.Equal(t, want.Keys, got.Keys, line)
			var slots []hashslot.Slot
			for _, k := range got.Keys {
				slots = append(slots, hashslot.Of(k))
			}
			require.Equal(t, append([]hashslot.Slot{}, slots...), got.Slots)
		}
	}
}

func TestKeysLines(t *testing.T) {
	for in, want := range map[string]string{
		`get a`:                "get\t15495\ta\n",
		`GET "a b\x09\n\"c\\"`: "get\t" + slot("a b\t\n\"c\\") + "\ta b\\t\\n\"c\\\\\n",
		`get 'it\'s "x" \n'`:   "get\t" + slot(`it's "x" \n`) + "\tit's \"x\" \\\\n\n",
		`set "" x`:             "set\t0\t\n",
		"\tget\v a  ":          "get\t15495\ta\n",
		`get x"y"`:             "get\t" + slot("xy") + "\txy\n",
		`get "\xZZ\q"`:         "get\t" + slot("xZZq") + "\txZZq\n",
		`get "a`:               "\terror\ta quote is not closed\n",
		`get 'a\'`:             "\terror\ta quote is not closed\n",
		`get "a\`:              "\terror\ta quote is not closed\n",
		`get "a"b`:             "\terror\ta closing quote must be followed by a space\n",
		"OK":                   "",
		" \r":                  "",
		`1339518083.107412 [0 127.0.0.1:60866] "del" "a" "b"`: "del\t15495 3300\ta\tb\n",
		`1339518083.107412 [15 [::1]:60866] "get" "a] \"b"`:   "get\t" + slot(`a] "b`) + "\ta] \"b\n",
		`1339518083.107412 [0 unix:/tmp/redis.sock] "ping"`:   "ping\t-\n",
		`1339518083.107412 [0 lua] "get" "\x00\xff"`:          "get\t" + slot("\x00\xff") + "\t\\x00\\xff\n",
		`1339518083.107412 [0`:                                "1339518083.107412\terror\targument 0: unknown command\n",
		`1339518083.107412 [] "get" "a"`:                      "get\t15495\ta\n",
		`a [0 lua] "get" "a"`:                                 "a\terror\targument 0: unknown command\n",
		`1: [0 lua] "get" "a"`:                                "1:\terror\targument 0: unknown command\n",
		`1 x] "get" "a"`:                                      "1\terror\targument 0: unknown command\n",
		`1`:                                                   "1\terror\targument 0: unknown command\n",
		`get "\q41"`:                                          "get\t" + slot("q41") + "\tq41\n",
		`get "\x"`:                                            "get\t" + slot("x") + "\tx\n",
		"get\x0ea":                                            "get\\x0ea\terror\targument 0: unknown command\n",
		"get\ra":                                              "get\t15495\ta\n",
		"a\xff":                                               "a\ufffd\terror\targument 0: unknown command\n",
		strings.Repeat("X", 101):                              strings.Repeat("x", 100) + "\terror\targument 0: unknown command\n",
		`config`:                                              "config\t-\n",
		`config foo`:                                          "config\terror\targument 1: unknown subcommand \"foo\"\n",
		`get`:                                                 "get\terror\targument 1: takes 2 arguments, the name included, not 1\n",
	} {
		r := runOn(in+"\n", "keys")
		assert.Equal(t, want, r.out, in)
		assert.Equal(t, strings.Contains(want, "error"), r.code == exitFailed, in)
	}
	for in, want := range map[string]string{
		`["GET","\u0000"]`:            `{"command":"get","keys":["\u0000"],"slots":[` + slot("\x00") + `]}`,
		`["set","k",1.50]`:            `{"command":"set","keys":["k"],"slots":[` + slot("k") + `]}`,
		`["mget","` + "\ufffd" + `"]`: `{"command":"mget","keys":["` + "\ufffd" + `"],"slots":[` + slot("\ufffd") + `]}`,
		`["ssubscribe","a"]`:          `{"command":"ssubscribe","keys":[],"slots":[],"channels":["a"],"channel_slots":[15495]}`,
		`[]`:                          `{"command":"","keys":[],"slots":[],"error":"no arguments"}`,
		`null`:                        `{"command":"","keys":[],"slots":[],"error":"not a JSON array of arguments: null"}`,
		`["get","a"] x`:               `{"command":"","keys":[],"slots":[],"error":"there is more after the JSON array, from byte 12 on"}`,
		`["get"`:                      `{"command":"","keys":[],"slots":[],"error":"not a JSON array of arguments: unexpected EOF"}`,
		`["get",["a"]]`:               `{"command":"","keys":[],"slots":[],"error":"argument 1 is neither text nor a number"}`,
		`["get","\ud800"]`:            `{"command":"","keys":[],"slots":[],"error":"argument 1 has half a surrogate pair"}`,
		"[\"get\",\"\xff\"]":          `{"command":"","keys":[],"slots":[],"error":"the line is not UTF-8"}`,
	} {
		assert.Equal(t, want+"\n", runOn(in+"\n", "keys", "-in", "json", "-format", "json").out, in)
	}
	assert.Equal(t, `{"command":"get","keys":["ff"],"slots":[`+slot("\xff")+"]}\n", runOn(`get "\xff"`, "keys", "-hex", "-format", "json").out)
	assert.Contains(t, runOn(`get "\xff"`, "keys", "-format", "json").out, `"keys":[],"slots":[],"error":"JSON cannot hold a key that is not UTF-8`)
	assert.Equal(t, result{2, "", "hashslot keys: -in must be text or json, not \"xml\" (hashslot keys -h for help)\n"}, runOn("", "keys", "-in", "xml"))
	assert.Equal(t, "get a\terror\targument 0: unknown command\n", runOn("", "keys", "GET a").out)
	assert.Equal(t, `{"command":"get","keys":["`+"\ufffd"+`"],"slots":[`+slot("\ufffd")+"]}\n", runOn(`["get","\uFFFD"]`, "keys", "-in", "json", "-format", "json").out)
	assert.Equal(t, result{1, "ping\t-\n", "hashslot keys: line 2: longer than 4 bytes, the limit that -max sets\n"}, runOn("PING\nPINGS\n", "keys", "-max", "4"))
	// A line that ends within an escape, and nothing behind it.
	for _, line := range []string{`"\x`, `"\x4`} {
		_, err := new(lineReader).words(slices.Clip(append(make([]byte, 0, len(line)), line...)))
		assert.Equal(t, errQuote, err)
	}
	assert.Equal(t, `"`+strings.Repeat("x", 60)+`"`, short(strings.Repeat("x", 60)))
	assert.Equal(t, `"`+strings.Repeat("x", 60)+`"...`, short(strings.Repeat("x", 61)))
	assert.Equal(t, result{out: "get\t15495\ta\n"}, runOn("", "keys", "--", "GET", "a"))
	assert.Equal(t, exitFailed, runOn("", "keys", "NOPE").code)
}

func slot(key string) string { return strconv.Itoa(int(hashslot.Of(key))) }

const workloadText = `OK
1339518083.107412 [0 127.0.0.1:60866] "keys" "*"
1339518083.107412 [0 127.0.0.1:60866] "mget" "a" "b" "{a}c"
1339518083.107412 [0 127.0.0.1:60866] "watch" "a"
1339518083.107412 [0 127.0.0.1:60866] "multi"
1339518083.107412 [0 127.0.0.1:60867] "set" "b" "1"
1339518083.107412 [0 127.0.0.1:60866] "set" "{a}2" "1"
1339518083.107412 [0 127.0.0.1:60866] "set" "b" "1"
1339518083.107412 [0 127.0.0.1:60866] "mget" "a" "b"
1339518083.107412 [0 127.0.0.1:60866] "exec"
1339518083.107412 [0 127.0.0.1:60866] "set" "b" "1"
1339518083.107412 [0 127.0.0.1:60867] "watch" "a"
1339518083.107412 [0 127.0.0.1:60867] "unwatch"
1339518083.107412 [0 127.0.0.1:60867] "watch" "b"
1339518083.107412 [0 127.0.0.1:60867] "get" "a"
1339518083.107412 [0 127.0.0.1:60867] "reset"
1339518083.107412 [0 127.0.0.1:60866] "rename" "a" "b"
1339518083.107412 [0 127.0.0.1:60866] "eval" "x" "1" "a"
1339518083.107412 [0 lua] "get" "a"
1339518083.107412 [0 lua] "get" "b"
1339518083.107412 [0 127.0.0.1:60866] "evalsha" "x" "0"
1339518083.107412 [0 lua] "get" "a"
1339518083.107412 [0 127.0.0.1:60866] "foo" "a" "b"
1339518083.107412 [0 127.0.0.1:60866] "spublish" "a" "m"
`

func TestRouteCommands(t *testing.T) {
	cross := `CROSSSLOT: "a" is in slot 15495, "b" in slot 3300`
	want := "-\tall shards\t-\tkeys\n" +
		"15495\t292f\t10.0.0.3:30003\tmget\ta\t{a}c\n3300\te7d1\t10.0.0.1:30001\tmget\tb\n" +
		"15495\t292f\t10.0.0.3:30003\twatch\ta\n" +
		"-\tany node\t-\tmulti\n" +
		"3300\te7d1\t10.0.0.1:30001\tset\tb\n" +
		"15495\t292f\t10.0.0.3:30003\tset\t{a}2\n" +
		"-\trefused\t-\tset\t" + cross + "\n" +
		"-\trefused\t-\tmget\t" + cross + "\n" +
		"-\tany node\t-\texec\n" +
		"3300\te7d1\t10.0.0.1:30001\tset\tb\n" +
		"15495\t292f\t10.0.0.3:30003\twatch\ta\n" +
		"-\tany node\t-\tunwatch\n" +
		"3300\te7d1\t10.0.0.1:30001\twatch\tb\n" +
		"15495\t292f\t10.0.0.3:30003\tget\ta\n" +
		"-\tany node\t-\treset\n" +
		"-\trefused\t-\trename\t" + cross + "\n" +
		"15495\t292f\t10.0.0.3:30003\teval\ta\n" +
		"15495\t292f\t10.0.0.3:30003\tget\ta\n" +
		"-\trefused\t-\tget\tthe script uses a key outside the slot of its declared keys: " + cross + "\n" +
		"-\tany node\t-\tevalsha\n" +
		"-\trefused\t-\tget\tthe script uses a key outside the slot of its declared keys\n" +
		"-\terror\t-\tfoo\targument 0: unknown command\n" +
		"15495\t292f\t10.0.0.3:30003\tspublish\ta\n"
	r := runOn(workloadText, "route", "-commands", "-nodes", "testdata/nodes.txt")
	assert.Equal(t, result{exitFailed, want, "hashslot route: commands refused as CROSSSLOT: 5, not understood: 1, parts for slots without an owner: 0\n"}, r)

	r = runOn("", "route", "-commands", "-format", "json", "-nodes", "testdata/nodes.txt", "MGET", "a", "b")
	assert.Equal(t, result{out: `{"command":"mget","to":"each slot","parts":[{"slot":15495,"id":"292f","addr":"10.0.0.3:30003","keys":["a"]},{"slot":3300,"id":"e7d1","addr":"10.0.0.1:30001","keys":["b"]}]}` + "\n"}, r)
	r = runOn(`["PING"]`, "route", "-commands", "-in", "json", "-format", "json", "-nodes", "testdata/nodes.txt")
	assert.Equal(t, result{out: `{"command":"ping","to":"all shards","parts":[]}` + "\n"}, r)
	r = runOn(`get "\xff"`, "route", "-commands", "-format", "json", "-nodes", "testdata/nodes.txt")
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.out, `"to":"error","parts":[],"error":"JSON cannot hold a key that is not UTF-8`)
	assert.Contains(t, runOn(`get "\xff"`, "route", "-commands", "-hex", "-format", "json", "-nodes", "testdata/nodes.txt").out, `"keys":["ff"]`)
	for _, command := range []string{"route", "stat"} {
		r = runOn("", command, "-commands", "-unhex", "-nodes", "testdata/nodes.txt")
		assert.Equal(t, result{2, "", "hashslot " + command + ": -unhex decodes keys and does not go with -commands (hashslot " + command + " -h for help)\n"}, r)
	}
	assert.Contains(t, runOn(`get "\xff"`, "route", "-commands", "-nodes", "testdata/nodes.txt").out, "\tget\t\\xff\n")
	r = runOn("rename a b\nxxxxxxxxxxxx\n", "route", "-commands", "-max", "11", "-nodes", "testdata/nodes.txt")
	assert.Equal(t, "hashslot route: line 2: longer than 11 bytes, the limit that -max sets\n", r.errOut, "one message")
	assert.Equal(t, exitFailed, r.code)
	r = runOn("a h:1@2 myself,master - 0 0 1 connected\n", "route", "-commands", "-nodes", "-", "GET", "a")
	assert.Equal(t, result{1, "15495\t-\t-\tget\ta\n", "hashslot route: commands refused as CROSSSLOT: 0, not understood: 0, parts for slots without an owner: 1\n"}, r)

	// The lines of a block stay in order, however they arrive.
	lines := strings.Split(strings.Repeat("1.1 [0 x] \"multi\"\n1.1 [0 x] \"set\" \"a\" \"1\"\n1.1 [0 x] \"exec\"\n1.1 [0 x] \"set\" \"b\" \"1\"\n", 300), "\n")
	byLine := readerFunc(func(p []byte) (n int, err error) {
		if len(lines) == 1 {
			return 0, io.EOF
		}
		n = copy(p, lines[0]+"\n")
		lines = lines[1:]
		return n, nil
	})
	r = runWith(byLine, "route", "-commands", "-nodes", "testdata/nodes.txt")
	assert.Equal(t, result{out: strings.Repeat("-\tany node\t-\tmulti\n15495\t292f\t10.0.0.3:30003\tset\ta\n-\tany node\t-\texec\n3300\te7d1\t10.0.0.1:30001\tset\tb\n", 300)}, r)
}

// What a cluster says to the last of several commands of clients, and which block it is in.
func TestJudge(t *testing.T) {
	for lines, want := range map[string]string{
		"multi|set a 1|set {a}2 1": "MULTI", "multi|set a 1|set b 1": "MULTI refused", "multi|set a 1|exec|set b 1": "", "multi|set a 1|discard|set b 1": "",
		"multi|set a 1|reset|set b 1": "", "multi|set a 1|quit|set b 1": "", "multi|set a 1|unwatch|set b 1": "MULTI refused", "multi|watch a|set b 1": "MULTI refused",
		"unwatch|set b 1": "", "watch a|unwatch|watch b": "", "watch a|watch b": "refused", "watch a|set b 1": "", "watch a|multi|set b 1": "MULTI refused",
		"multi x|set a 1|set b 1": "", "multi|set a 1|exec x|set b 1": "MULTI refused", "multi|exec x": "MULTI error", "multi|nosuch": "MULTI error", "exec x": "error",
		"multi|set a 1|y>multi|y>set b 1|set b 1": "MULTI refused", "multi|set a 1|y>set b 1": "",
		"eval x 1 a|lua>get {a}2": "script", "eval x 1 a|lua>get b": "script refused", "eval x 1 a|lua>mget a b": "script refused", "eval x 1 a|lua>ping": "script",
		"eval x 0|lua>ping": "script", "eval x 0|lua>nosuch": "script error", "eval x 0|lua>mget a b": "script refused", "eval x 0|lua>get a": "script refused", "eval x 1 a|lua>nosuch": "script error",
		"eval_ro x 1 a|lua>get a": "script", "evalsha x 1 a|lua>get a": "script", "evalsha_ro x 1 a|lua>get a": "script", "fcall x 1 a|lua>get a": "script", "fcall_ro x 1 a|lua>get a": "script",
		"eval x 1 a|eval x 1 b|lua>get b": "script", "eval x 2 a b": "refused",
	} {
		var w workload
		var v verdict
		for line := range strings.SplitSeq(lines, "|") {
			client, text, ok := strings.Cut(line, ">")
			if !ok {
				client, text = "x", line
			}
			var args [][]byte
			for _, arg := range strings.Fields(text) {
				args = append(args, []byte(arg))
			}
			v = w.judge(commandLine{"0 " + client, args})
		}
		got := v.within
		if v.refused() {
			got += " refused"
		} else if v.err != nil {
			got += " error"
		}
		assert.Equal(t, want, strings.TrimSpace(got), lines)
	}
}

func TestStatCommands(t *testing.T) {
	r := runOn(workloadText, "stat", "-commands", "-format", "json")
	assert.Equal(t, exitOK, r.code, r.errOut)
	var got struct {
		Keys     int          `json:"keys"`
		Commands commandCount `json:"commands"`
	}
	require.NoError(t, json.Unmarshal([]byte(r.out), &got))
	n := got.Commands
	assert.Equal(t, int64(20), n.Commands)
	assert.Equal(t, int64(3), n.Scripted)
	assert.Equal(t, int64(5), n.Refused)
	assert.Equal(t, int64(1), n.Unknown)
	assert.Equal(t, int64(1), n.Divided)
	assert.Equal(t, int64(6), n.Keyless, "keys, multi, exec, unwatch, reset, evalsha")
	assert.Equal(t, 16, got.Keys)
	text := runOn(workloadText, "stat", "-commands", "-top", "3").out
	assert.Contains(t, text, "commands         20\n  without keys   6\n  divided        1\n  refused        5\n  not understood 1\nin scripts       3\nkeys             16\n")
	assert.Contains(t, text, "        1  rename: CROSSSLOT")
	assert.Contains(t, text, "\n commands  not understood\n        1  foo: argument 0")
}

func TestCommandCounter(t *testing.T) {
	var c commandCounter
	s := &spread{tags: newTopTags(9, newTagHash())}
	work := c.worker(s, commandFlags{in: "json"}, inputFlags{max: 12})
	lines, bad := work([]byte("[\"GET\", \"a\"]\n[\"MGET\",\"long\"]\n1"))
	assert.Equal(t, int64(3), lines)
	assert.Equal(t, badLines{[]badLine{{1, tooLong(12).Error()}}, 1}, bad)
	assert.Equal(t, commandCount{Commands: 2, Unknown: 1}, c.n)
	assert.Contains(t, runOn("", "stat", "-commands", "MGET", "a", "b").out, "divided        1\n")

	r := runOn("smove a b x\nrename a b\ncopy a b\nrename a b\n1.1 [0 x] \"multi\"\n1.1 [0 x] \"copy\" \"a\" \"b\"\nlmove a b left left\n", "stat", "-commands", "-top", "9")
	const cross = `CROSSSLOT: "a" is in slot 15495, "b" in slot 3300`
	_, troubles, _ := strings.Cut(r.out, "\n commands  ")
	assert.Equal(t, strings.ReplaceAll("refused by a cluster\n        2  rename: C\n        1  copy: C\n        1  copy (MULTI): C\n        1  lmove: C\n        1  smove: C\n", "C", cross), troubles)
	assert.NotContains(t, r.out, "in scripts")

	// The lines stay in order: all commands after the first two are in a block with both slots.
	block := "1.1 [0 x] \"multi\"\n1.1 [0 x] \"set\" \"b\" \"1\"\n"
	const set = "1.1 [0 x] \"set\" \"a\" \"1\"\n"
	n := 3 * statSplit.block / len(set)
	assert.Contains(t, runOn(block+strings.Repeat(set, n), "stat", "-commands").out, fmt.Sprintf("  refused        %d\n", n))
	assert.Contains(t, runOn("1.1 [0 lua] \"ping\"\n", "stat", "-commands").out, "in scripts       1\n")

	// Of unknown names, the first are counted.
	c = commandCounter{}
	for i := range 2 * (maxTroubles + 1) {
		c.add(s, commandLine{args: [][]byte{fmt.Append(nil, "x", i%(maxTroubles+1))}}, nil)
	}
	assert.Equal(t, int64(2*maxTroubles+2), c.n.Unknown)
	all := c.count(maxTroubles + 9).Wrong
	assert.Len(t, all, maxTroubles)
	for _, trouble := range all {
		assert.Equal(t, int64(2), trouble.Count)
		assert.NotEqual(t, fmt.Sprint("x", maxTroubles), trouble.Command)
	}
}

// Blocks that never end take no more memory than that of maxSessions clients.
func TestWorkloadIsBounded(t *testing.T) {
	var w workload
	for i := range maxSessions + 10 {
		w.judge(commandLine{client: strconv.Itoa(i), args: [][]byte{[]byte("multi")}})
		if len(w.clients) > maxSessions {
			t.Fatalf("%d sessions", len(w.clients))
		}
	}
}

// FuzzWords checks that arguments, quoted or not, are read back unchanged.
func FuzzWords(f *testing.F) {
	f.Add("get\na b\n\"'\\")
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "\n")
		var line strings.Builder
		for _, a := range args {
			line.WriteString(` "`)
			for _, c := range []byte(a) {
				fmt.Fprintf(&line, `\x%02x`, c)
			}
			line.WriteString(`"`)
		}
		var r lineReader
		got, err := r.words([]byte(line.String()))
		require.NoError(t, err)
		require.Len(t, got, len(args))
		for i, a := range args {
			require.Equal(t, a, string(got[i]))
		}
		_, _, _ = r.read([]byte(text))
		r.json = true
		_, _, _ = r.read([]byte(text))
	})
}
