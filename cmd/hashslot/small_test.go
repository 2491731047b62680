package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A wrong option, a second reader of standard input and an output that fails end every
// command with an exit status.
func TestExitOfEveryCommand(t *testing.T) {
	for _, c := range all() {
		if c.kinds != nil {
			continue
		}
		words := strings.Fields(c.name)
		assert.Equal(t, exitUsage, runOn("", append(words, "-nosuch")...).code, c.name)
	}
	full := errors.New("no space left")
	for _, args := range []string{"check testdata/nodes.txt", "tag -n 2", "keys GET x", "route -nodes testdata/nodes.txt x", "slot x",
		"plan rebalance testdata/three.nodes -use-empty -format migration", "plan fix testdata/open-1.nodes testdata/open-2.nodes"} {
		var errOut bytes.Buffer
		assert.Equal(t, exitFailed, run(strings.Fields(args), strings.NewReader(""), &failingWriter{0, full}, &errOut), args)
		assert.Contains(t, errOut.String(), "no space left", args)
	}
}

func TestOutFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "out")
	created, err := os.Create(name + "2")
	require.NoError(t, err)
	want, err := created.Stat()
	require.NoError(t, err)
	require.NoError(t, created.Close())
	e := &env{}
	w, err := e.create(name)
	require.NoError(t, err)
	got, err := os.Stat(name)
	require.NoError(t, err)
	assert.Equal(t, want.Mode(), got.Mode())
	_, err = e.create(name + "2")
	require.NoError(t, err, "another file")
	n, err := w.Write([]byte("hello"))
	require.NoError(t, err)
	assert.Equal(t, 5, n)
	for _, f := range e.files {
		require.NoError(t, f.close(false))
	}
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(text))

	// A command that succeeds without output leaves an empty file.
	e = &env{}
	_, err = e.create(name)
	require.NoError(t, err)
	require.NoError(t, e.files[0].close(true))
	text, err = os.ReadFile(name)
	require.NoError(t, err)
	assert.Empty(t, text)

	// One that fails before its output keeps what is there.
	require.NoError(t, os.WriteFile(name, []byte("old"), 0o600))
	assert.Equal(t, exitFailed, runOn("16384\n", "tag", "-o", name).code)
	text, err = os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, "old", string(text))

	// An error of a write is returned once.
	for _, writes := range []bool{false, true} {
		e = &env{}
		w, err = e.create(name)
		require.NoError(t, err)
		require.NoError(t, e.files[0].file.Close())
		if writes {
			_, err = w.Write([]byte("x"))
			require.ErrorIs(t, err, os.ErrClosed)
			require.NoError(t, e.files[0].close(true))
		} else {
			require.ErrorIs(t, e.files[0].close(true), os.ErrClosed)
		}
	}
	var errOut bytes.Buffer
	e = &env{stderr: &errOut, terminal: isTerminal, now: time.Now}
	e.stdin = readerFunc(func([]byte) (int, error) { _ = e.files[0].file.Close(); return 0, io.EOF })
	assert.Equal(t, exitFailed, e.run([]string{"slot", "-o", name}))
	assert.Contains(t, errOut.String(), "hashslot slot: close ")
}

// When the progress is shown, and what it says.
func TestProgressLine(t *testing.T) {
	dir := t.TempDir()
	file := func(size int64) *os.File {
		f, err := os.CreateTemp(dir, "")
		require.NoError(t, err)
		t.Cleanup(func() { _ = f.Close() })
		require.NoError(t, f.Truncate(size))
		return f
	}
	closed := file(10e6)
	require.NoError(t, closed.Close())
	folder, err := os.Open(dir)
	require.NoError(t, err)
	defer folder.Close()
	clock := time.Unix(1000, 0)
	var errOut, out bytes.Buffer
	start := func(stdin io.Reader, answers bool, terminals ...any) *progress {
		errOut.Reset()
		return newProgress(&env{stdin: stdin, stdout: &out, stderr: &errOut, now: func() time.Time { return clock }, terminal: func(f any) bool {
			for _, other := range terminals {
				if f == other {
					return true
				}
			}
			return false
		}}, answers)
	}
	stdin := strings.NewReader("")
	for _, tc := range []struct {
		shown     bool
		answers   bool
		terminals []any
	}{
		{true, true, []any{&errOut}},
		{true, false, []any{&errOut, &out}},
		{false, true, []any{&errOut, &out}},
		{false, false, []any{&errOut, stdin}},
		{false, false, []any{&out}},
	} {
		assert.Equal(t, tc.shown, start(stdin, tc.answers, tc.terminals...).w != nil, "%+v", tc)
	}
	for _, tc := range []struct {
		stdin io.Reader
		of    string
	}{{stdin, ""}, {closed, ""}, {folder, ""}, {file(0), ""}, {file(1), ""}, {file(3e6), " of 3 (100%)"}, {file(3e6 - 1), ""}, {file(10e6), " of 10 (30%)"}} {
		p := start(tc.stdin, false, &errOut)
		began := clock
		clock = began.Add(time.Second - 1)
		p.at(1_500_000, 2_000_000)
		p.end()
		assert.Empty(t, errOut.String())
		clock = began.Add(time.Second)
		p.add(0, 1_000_000)
		assert.Equal(t, "\r\x1b[K1.5 million lines, 3 MB"+tc.of+", 3 MB/s", errOut.String())
		errOut.Reset()
		clock = clock.Add(200*time.Millisecond - 1)
		p.add(500_000, 3_000_000)
		assert.Empty(t, errOut.String())
		clock = clock.Add(1)
		p.add(0, 0)
		assert.Contains(t, errOut.String(), "\r\x1b[K2.0 million lines, 6 MB")
		assert.Contains(t, errOut.String(), ", 5 MB/s", "since the beginning")
		errOut.Reset()
		p.end()
		p.end()
		assert.Equal(t, "\r\x1b[K", errOut.String())
	}
	for f, of := range map[*os.File]string{file(0): "", file(1): " of 0 (0%)", folder: ""} {
		p := start(f, false, &errOut)
		clock = clock.Add(time.Second)
		p.add(0, 0)
		assert.Equal(t, "\r\x1b[K0.0 million lines, 0 MB"+of+", 0 MB/s", errOut.String())
	}
}

// The report of a view with problems of all severities, and of one without slots.
func TestCheckText(t *testing.T) {
	r := runOn(`a 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-99 [5->-b]
b 10.0.0.2:6379@16379 master - 0 0 2 connected 101-16383
r 10.0.0.3:6379@16379 slave a 0 0 1 connected
s 10.0.0.4:6379@16379 slave,fail a 0 0 1 connected
t 10.0.0.4:6379@16379 slave b 0 0 1 connected
`, "check", "-")
	assert.Equal(t, result{exitFailed, `16383 of 16384 slots have an owner

id  address        replicas  number  slots
a   10.0.0.1:6379  1 of 2    100     0-99
b   10.0.0.2:6379  1         16283   101-16383

Errors: 2
  unassigned  100: 1 slot has no owner
  open        5: being moved from a to b: only the source reports it

Warnings: 2
  replica        the replica s 10.0.0.4:6379 has failed
  few-primaries  slots are owned by 2 primaries: if one fails, no majority is left to agree on a failover
`, ""}, r)
	r = runOn("a 10.0.0.1:6379@16379 myself,master - 0 0 1 connected\n", "check", "-")
	assert.Equal(t, result{exitFailed, `0 of 16384 slots have an owner

Errors: 1
  unassigned  0-16383: 16384 slots have no owner

Notes: 1
  empty  the primary a 10.0.0.1:6379 has no slots
`, ""}, r)
	r = runOn("a :0@0 myself,master - 0 0 1 connected 0-16383\nb<&> 10.0.0.1:6379@16379 slave a 0 0 1 connected\n", "check", "-")
	assert.Contains(t, r.out, "\na   -        1         16384   0-16383\n")
	r = runOn("a :0@0 myself,master - 0 0 1 connected 0-16383\nb<&> 10.0.0.1:6379@16379 slave a 0 0 1 connected\n", "check", "-", "-format", "json")
	assert.Contains(t, r.out, `"replicas":["b<&>"]`)
}

func TestTagLimits(t *testing.T) {
	assert.Equal(t, result{0, "16383\t6ZJ\n", ""}, runOn("", "tag", "16383"))
	assert.Equal(t, 1, strings.Count(runOn("", "tag", "-n", "1").out, "\n"))
	assert.Equal(t, 16384, strings.Count(runOn("", "tag", "-n", "16384").out, "\n"))
	assert.Equal(t, "hashslot tag: line 1: \"\" is not a slot from 0 to 16383\n", runOn("\r\n", "tag").errOut)
	x := strings.Repeat("x", 64)
	assert.Equal(t, "hashslot tag: argument 1: \""+x+"\" is not a slot from 0 to 16383 (hashslot tag -h for help)\n", runOn("", "tag", x).errOut)
	assert.Equal(t, "hashslot tag: argument 1: \""+x+"\"... is not a slot from 0 to 16383 (hashslot tag -h for help)\n", runOn("", "tag", x+"y").errOut)
}

func TestKeysText(t *testing.T) {
	r := runOn("MSET a 1 b 2 c 3 d 4\nNOSUCH\n", "keys")
	assert.Equal(t, result{
		exitFailed, "mset\t15495 3300 7365 11298\ta\tb\tc\td\nnosuch\terror\targument 0: unknown command\n",
		"hashslot keys: the keys of 1 command cannot be found\n",
	}, r)
	r = runOn("NOSUCH 1\nNOSUCH 2\n", "keys")
	assert.Equal(t, "hashslot keys: the keys of 2 commands cannot be found\n", r.errOut)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"-hex", "GET", "a\xff"}, `{"command":"get","keys":["61ff"],"slots":[9963]}`},
		{[]string{"GET", "a\xff"}, `{"command":"get","keys":[],"slots":[],"error":"JSON cannot hold a key that is not UTF-8: use -hex"}`},
		{[]string{"MSET", "a\xff"}, `{"command":"mset","keys":[],"slots":[],"error":"argument 2: takes at least 3 arguments, the name included, not 2"}`},
	} {
		r = runOn("", append([]string{"keys", "-format", "json"}, tc.args...)...)
		assert.Equal(t, tc.want+"\n", r.out)
	}
}

func TestNodesOptions(t *testing.T) {
	assert.Equal(t, exitUsage, runOn("", "stat", "-tls", "x").code, "-tls without -nodes")
	assert.Equal(t, exitUsage, runOn("", "stat", "-host", "h", "x").code)
	assert.Equal(t, exitOK, runOn("", "stat", "x").code)
}

func TestLooksRESP(t *testing.T) {
	for text, want := range map[string]bool{
		"$5\r\nhello": true, "*1\n": true, "=1\r\n": true, "%2\n": true, "~2\n": true, ">2\n": true, "!2\n": true, "|2\n": true,
		"*x\n": false, "$\n": false, "+OK\r\n": true, "+O\n": true, "+\n": false, "+OK": false, "*1": false, "\n": false, "": false, "a 1\n": false,
		"-Ab\n": true, "-Za\n": true, "-ERR x\n": true, "-[R\n": false, "-@R\n": false, "-1A\n": false, "-aA\n": false, "-\n": false,
	} {
		assert.Equal(t, want, looksRESP([]byte(text)), "%q", text)
	}
}

func TestReadRESP(t *testing.T) {
	for text, want := range map[string]any{
		"+OK\r\n": "OK", ",1.5\r\n": "1.5", "(12\n": "12", "-ERR x\n": serverError("ERR x"), "_\r\n": nil, "#t\r\n": true, "#f\r\n": false,
		":9223372036854775807\r\n": int64(1<<63 - 1), "$-1\r\n": nil, "*-1\r\n": nil, "$0\r\n\r\n": "", "$2\r\nab\r\n": "ab", "$2\nab\n": "ab",
		"=5\r\ntxt:a\r\n": "txt:a", "!5\r\nERR x\r\n": serverError("ERR x"), "*0\r\n": []any{}, "*2\r\n:1\r\n$1\r\na\r\n": []any{int64(1), "a"},
		"~1\r\n:1\r\n": []any{int64(1)}, ">1\r\n:1\r\n": []any{int64(1)}, "%1\r\n+a\r\n:1\r\n": []any{"a", int64(1)}, "|1\r\n+a\r\n:1\r\n:7\r\n": int64(7),
		strings.Repeat("|0\n", 32) + ":1\n": int64(1),
	} {
		reply, rest, err := readRESP([]byte(text + "rest"))
		require.NoError(t, err, "%q", text)
		assert.Equal(t, want, reply, "%q", text)
		assert.Equal(t, "rest", string(rest), "%q", text)
	}
	reply, rest, err := readRESP([]byte("$1\r\na\n"))
	require.NoError(t, err)
	assert.Equal(t, "a", reply)
	assert.Empty(t, rest)
	_, _, err = readRESP([]byte(strings.Repeat("*1\n", 32) + ":1\n"))
	require.NoError(t, err)
	for text, want := range map[string]string{
		"": "the reply is truncated", "+OK": "the reply is truncated", "*2\n:1\n": "the reply is truncated", "$3\nab": "the reply is truncated",
		"$2\nab": "the reply is truncated", "$2\nab\r": "the reply is truncated",
		"$1\nab\n":                          "a string of the reply does not have the 1 bytes that it announces",
		"\r\n":                              "a reply cannot begin with an empty line",
		"*x\r\n":                            `"*x" is not the beginning of a reply`,
		"x5\r\n":                            `"x5" is not the beginning of a reply`,
		strings.Repeat("*1\n", 33) + ":1\n": "the reply is nested too deeply",
		strings.Repeat("|0\n", 33) + ":1\n": "the reply is nested too deeply",
		"*1\n" + strings.Repeat("|0\n", 32) + ":1\n": "the reply is nested too deeply",
	} {
		_, _, err := readRESP([]byte(text))
		require.EqualError(t, err, want, "%q", text)
	}
}
