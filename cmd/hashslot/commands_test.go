package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
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
		`["get",["a"]]`:               `{"command":"","keys":[],"slots":[],"error":"argument 1 is neither text nor a number"}`,
		`["get","\ud800"]`:            `{"command":"","keys":[],"slots":[],"error":"argument 1 has half a surrogate pair"}`,
		"[\"get\",\"\xff\"]":          `{"command":"","keys":[],"slots":[],"error":"the line is not UTF-8"}`,
	} {
		assert.Equal(t, want+"\n", runOn(in+"\n", "keys", "-in", "json", "-format", "json").out, in)
	}
	assert.Equal(t, `{"command":"get","keys":["ff"],"slots":[`+slot("\xff")+"]}\n", runOn(`get "\xff"`, "keys", "-hex", "-format", "json").out)
	assert.Contains(t, runOn(`get "\xff"`, "keys", "-format", "json").out, `"keys":[],"slots":[],"error":"JSON cannot hold a key that is not UTF-8`)
	assert.Equal(t, exitUsage, runOn("", "keys", "-in", "xml").code)
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
		assert.Equal(t, exitUsage, runOn("", command, "-commands", "-unhex", "-nodes", "testdata/nodes.txt").code)
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
