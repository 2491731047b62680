package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A result is the exit code and the output of a run.
type result struct {
	code   int
	out    string
	errOut string
}

func runWith(stdin io.Reader, args ...string) result {
	var out, errOut bytes.Buffer
	code := run(args, stdin, &out, &errOut)
	return result{code, out.String(), errOut.String()}
}

func runOn(stdin string, args ...string) result { return runWith(strings.NewReader(stdin), args...) }

// TestMain checks that no test writes into the folder of the sources. Only go test itself
// may write there, if it is asked to: profiles, and inputs that fuzzing found.
// TestProcess runs the binary as the program. Garbage is collected less often: of all that
// the tests allocate, little lives on. Several goroutines work, even on one CPU.
func TestMain(m *testing.M) {
	if os.Getenv(runsMain) != "" {
		main()
		panic("main does not return")
	}
	debug.SetGCPercent(400)
	runtime.GOMAXPROCS(max(3, runtime.GOMAXPROCS(0)))
	files := func() (names []string) {
		_ = filepath.WalkDir(".", func(name string, _ os.DirEntry, _ error) error {
			if name == filepath.Join("testdata", "fuzz") {
				return filepath.SkipDir
			}
			if ext := filepath.Ext(name); ext != ".prof" && ext != ".out" && ext != ".test" {
				names = append(names, name)
			}
			return nil
		})
		return names
	}
	before := files()
	code := m.Run()
	if after := files(); !slices.Equal(before, after) {
		fmt.Fprintf(os.Stderr, "a test wrote beside the sources: there were %q, and are %q\n", before, after)
		code = 1
	}
	os.Exit(code)
}

// TestExamples checks that every example of the usage text prints the output shown there.
func TestExamples(t *testing.T) {
	dir := t.TempDir() // some write files
	require.NoError(t, os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS("testdata")))
	t.Chdir(dir)
	for _, c := range all() {
		blocks := strings.Split("\n"+c.example, "\n$ hashslot ")[1:]
		require.NotEmpty(t, blocks, c.name)
		for _, block := range blocks {
			line, want, _ := strings.Cut(block, "\n")
			if want != "" && !strings.HasSuffix(want, "\n") {
				want += "\n"
			}
			r := runOn("", strings.Fields(line)...)
			if want == "" { // the output is too long to show, or goes into a file
				want = r.out
			}
			if !strings.Contains(r.errOut, ": warning: ") {
				assert.Empty(t, r.errOut, line)
			}
			assert.Equal(t, result{out: want}, result{r.code, r.out, ""}, line)
		}
	}
}

func TestUsage(t *testing.T) {
	r := runOn("")
	assert.Equal(t, exitUsage, r.code)
	assert.Empty(t, r.out)
	text := r.errOut
	assert.Contains(t, text, "$ hashslot slot user:{123}:profile user:{123}:settings mykey\n")
	assert.Contains(t, text, "14687\t\tmykey\tmykey\n")
	for _, c := range commands {
		assert.Contains(t, text, "  "+c.name+" ")
		help := runOn("", c.name, "-h")
		assert.Equal(t, exitOK, help.code)
		assert.Empty(t, help.errOut)
		for _, part := range []string{"Usage: hashslot " + c.name + " ", c.doc, indent(c.example)} {
			assert.Contains(t, help.out, part)
		}
		assert.Equal(t, help, runOn("", "help", c.name))
		if c.kinds == nil {
			assert.Equal(t, help, runOn("", c.name, "mykey", "--help"))
		}
	}
	for _, arg := range []string{"-h", "-help", "--help", "help"} {
		assert.Equal(t, result{out: text}, runOn("", arg))
	}
	for _, line := range strings.Split(text, "\n") {
		assert.LessOrEqual(t, len(line), 80, line)
	}
}

func TestRun(t *testing.T) {
	long := strings.Repeat("x", 100)
	tests := []struct {
		name string
		args string // split at spaces
		in   string
		want result
	}{
		{"no such command", "slots mykey", "", result{2, "", `hashslot: unknown command "slots" (hashslot -h lists the commands)` + "\n"}},
		{"no such option", "slot -json mykey", "", result{2, "", "hashslot slot: unknown option -json (hashslot slot -h for help)\n"}},
		{"no value", "slot -max", "", result{2, "", "hashslot slot: a value is missing after -max (hashslot slot -h for help)\n"}},
		{"not a number", "slot -max x", "", result{2, "", `hashslot slot: invalid value "x" for -max: not a number (hashslot slot -h for help)` + "\n"}},
		{"not a boolean", "slot -hex=x", "", result{2, "", `hashslot slot: invalid boolean value "x" for -hex: not true or false (hashslot slot -h for help)` + "\n"}},
		{"no such format", "slot -format yaml", "", result{2, "", `hashslot slot: -format must be text or json, not "yaml" (hashslot slot -h for help)` + "\n"}},
		{"no such format of tags", "tag -format yaml 1", "", result{2, "", `hashslot tag: -format must be text or json, not "yaml" (hashslot tag -h for help)` + "\n"}},
		{"max too small", "slot -max 0", "", result{2, "", "hashslot slot: -max must be from 1 to 536870912, not 0 (hashslot slot -h for help)\n"}},
		{"max too large", "tag -max 536870913", "", result{2, "", "hashslot tag: -max must be from 1 to 536870912, not 536870913 (hashslot tag -h for help)\n"}},

		{"arguments", "slot foo {}bar a{b}c", "not read", result{0, "12182\t\tfoo\tfoo\n6479\t\t{}bar\t{}bar\n3300\tb\tb\ta{b}c\n", ""}},
		{"options behind", "slot foo -format json", "", result{0, `{"key":"foo","slot":12182,"tag":"","hashed":"foo"}` + "\n", ""}},
		{"not options", "slot -format json -- -hex --", "", result{0, `{"key":"-hex","slot":14146,"tag":"","hashed":"-hex"}` + "\n" + `{"key":"--","slot":1397,"tag":"","hashed":"--"}` + "\n", ""}},
		{"not options, first", "slot -- foo -hex", "", result{0, "12182\t\tfoo\tfoo\n14146\t\t-hex\t-hex\n", ""}},
		{"a dash", "slot - ", "", result{0, "13775\t\t-\t-\n0\t\t\t\n", ""}},

		{"no input", "slot", "", result{}},
		{"lines", "slot", "foo\nbar\n", result{0, "12182\t\tfoo\tfoo\n5061\t\tbar\tbar\n", ""}},
		{"no newline at the end", "slot", "foo\nbar", result{0, "12182\t\tfoo\tfoo\n5061\t\tbar\tbar\n", ""}},
		{"empty lines", "slot", "\n\nfoo\n\n", result{0, "0\t\t\t\n0\t\t\t\n12182\t\tfoo\tfoo\n0\t\t\t\n", ""}},
		{"carriage returns", "slot", "foo\r\n\r\n", result{0, "936\t\tfoo\\r\tfoo\\r\n4525\t\t\\r\t\\r\n",
			"hashslot slot: warning: the first line ends with a carriage return, which counts as part of the line, in every line\n"}},
		{"NUL is a byte", "slot", "a\x00b\n", result{0, "8383\t\ta\\x00b\ta\\x00b\n", ""}},
		{"NUL ends", "slot -0", "foo\x00\x00a\nb\x00bar", result{0, "12182\t\tfoo\tfoo\n0\t\t\t\n3956\t\ta\\nb\ta\\nb\n5061\t\tbar\tbar\n", ""}},
		{"escapes", "slot", "{a\tb\\}\x1b[1m\x7f\xff", result{0, "1990\ta\\tb\\\\\ta\\tb\\\\\t{a\\tb\\\\}\\x1b[1m\\x7f\\xff\n", ""}},

		{"JSON", "slot -format json", "{a}\n\n<&>\u2028é\"\n", result{0,
			`{"key":"{a}","slot":15495,"tag":"a","hashed":"a"}` + "\n" +
				`{"key":"","slot":0,"tag":"","hashed":""}` + "\n" +
				`{"key":"<&>\u2028é\"","slot":200,"tag":"","hashed":"<&>\u2028é\""}` + "\n", ""}},
		{"JSON cannot", "slot -format json", "foo\nbar\n\xff\nfoo\n", result{1,
			`{"key":"foo","slot":12182,"tag":"","hashed":"foo"}` + "\n" + `{"key":"bar","slot":5061,"tag":"","hashed":"bar"}` + "\n",
			"hashslot slot: line 3: JSON cannot hold a key that is not UTF-8: use -hex\n"}},
		{"JSON cannot, argument", "slot -format json foo \xff", "", result{2, `{"key":"foo","slot":12182,"tag":"","hashed":"foo"}` + "\n",
			"hashslot slot: argument 2: JSON cannot hold a key that is not UTF-8: use -hex (hashslot slot -h for help)\n"}},

		{"hex", "slot -hex", "\xff{\x00}\nfoo\n", result{0, "0\t00\t00\tff7b007d\n12182\t\t666f6f\t666f6f\n", ""}},
		{"hex JSON", "slot -hex -format json", "\xff{a}\n", result{0, `{"key":"ff7b617d","slot":15495,"tag":"61","hashed":"61"}` + "\n", ""}},
		{"unhex", "slot -unhex", "666F6f\n\n7B617d0a", result{0, "12182\t\tfoo\tfoo\n0\t\t\t\n15495\ta\ta\t{a}\\n\n", ""}},
		{"odd hex", "slot -unhex", "666f6f\n666\n62\n", result{1, "12182\t\tfoo\tfoo\n", "hashslot slot: line 2: 3 is an odd number of hex digits\n"}},
		{"not hex", "slot -unhex", "666f6f\n66xy\n62\n", result{1, "12182\t\tfoo\tfoo\n", "hashslot slot: line 2: byte 3, \"x\", is not a hex digit\n"}},
		{"next to hex", "slot -unhex", "0G\n", result{1, "", "hashslot slot: line 1: byte 2, \"G\", is not a hex digit\n"}},
		{"not hex, argument", "slot -unhex 666f6f 6@", "", result{2, "12182\t\tfoo\tfoo\n", "hashslot slot: argument 2: byte 2, \"@\", is not a hex digit (hashslot slot -h for help)\n"}},

		{"the smallest max", "slot -max 1", "a\n", result{0, "15495\t\ta\ta\n", ""}},
		{"the largest max", "slot -max 536870912", "a\n", result{0, "15495\t\ta\ta\n", ""}},
		{"as long as may be", "slot -max 3", "foo\nbar", result{0, "12182\t\tfoo\tfoo\n5061\t\tbar\tbar\n", ""}},
		{"too long", "slot -max 3", "foo\nfool\nbar\n", result{1, "12182\t\tfoo\tfoo\n", "hashslot slot: line 2: longer than 3 bytes, the limit that -max sets\n"}},
		{"too long, first", "slot -max 99", long + "\nfoo\n", result{1, "", "hashslot slot: line 1: longer than 99 bytes, the limit that -max sets\n"}},
		{"too long, last", "slot -max 3", "foo\nbar\nfool", result{1, "12182\t\tfoo\tfoo\n5061\t\tbar\tbar\n", "hashslot slot: line 3: longer than 3 bytes, the limit that -max sets\n"}},
		{"too long, NUL", "slot -max 3 -0", "foo\x00fool\x00", result{1, "12182\t\tfoo\tfoo\n", "hashslot slot: NUL-ended line 2: longer than 3 bytes, the limit that -max sets\n"}},
		{"the first of two errors", "slot -max 3 -format json", "foo\n\xff\nfool\n", result{1, `{"key":"foo","slot":12182,"tag":"","hashed":"foo"}` + "\n",
			"hashslot slot: line 2: JSON cannot hold a key that is not UTF-8: use -hex\n"}},

		{"tags", "tag 0 12182", "", result{0, "0\t06S\n12182\t9Le\n", ""}},
		{"tags of lines", "tag -format json", "0\r\n16383\n7", result{0, `{"slot":0,"tag":"06S"}` + "\n" + `{"slot":16383,"tag":"6ZJ"}` + "\n" + `{"slot":7,"tag":"1LV"}` + "\n", ""}},
		{"not a slot", "tag 1 16384", "", result{2, "1\tQi\n", `hashslot tag: argument 2: "16384" is not a slot from 0 to 16383 (hashslot tag -h for help)` + "\n"}},
		{"not a slot, empty", "tag", "1\n\n", result{1, "1\tQi\n", `hashslot tag: line 2: "" is not a slot from 0 to 16383` + "\n"}},
		{"not a slot, long", "tag", "1\n" + long, result{1, "1\tQi\n", `hashslot tag: line 2: "` + long[:64] + `"... is not a slot from 0 to 16383` + "\n"}},
		{"not a slot, signed", "tag +1", "", result{2, "", `hashslot tag: argument 1: "+1" is not a slot from 0 to 16383 (hashslot tag -h for help)` + "\n"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			args := strings.Split(test.args, " ")
			assert.Equal(t, test.want, runOn(test.in, args...))
			assert.Equal(t, test.want, runWith(iotest.OneByteReader(strings.NewReader(test.in)), args...), "byte by byte")
			assert.Equal(t, test.want, runWith(iotest.DataErrReader(strings.NewReader(test.in)), args...), "the end with the last byte")
		})
	}
}

// failingWriter takes n bytes and then fails.
type failingWriter struct {
	n   int
	err error
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if len(p) <= w.n {
		w.n -= len(p)
		return len(p), nil
	}
	n := w.n
	w.n = 0
	return n, w.err
}

func TestOutputFails(t *testing.T) {
	full := errors.New("no space left")
	for _, args := range [][]string{{"slot", "foo"}, {"slot"}, {"tag", "1"}, {"tag"}, {"-h"}, {"slot", "-h"}} {
		for _, n := range []int{0, 3} {
			var errOut bytes.Buffer
			code := run(args, strings.NewReader("1\n2\n"), &failingWriter{n, full}, &errOut)
			assert.Equal(t, exitFailed, code, args)
			assert.Contains(t, errOut.String(), "no space left\n", args)

			errOut.Reset()
			code = run(args, strings.NewReader("1\n2\n"), &failingWriter{n, &os.PathError{Op: "write", Err: syscall.EPIPE}}, &errOut)
			assert.Equal(t, exitFailed, code, args)
			assert.Empty(t, errOut.String(), "a closed pipe is no news: %v", args)
		}
	}
	// The command ends before the input does, and no goroutine goes on reading.
	var errOut bytes.Buffer
	before := runtime.NumGoroutine()
	runs := 10
	if testing.Short() {
		runs = 2
	}
	for range runs {
		assert.Equal(t, exitFailed, run([]string{"slot"}, &endless{line: "foo\n"}, &failingWriter{1e6, full}, &errOut))
	}
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, 10*time.Second, time.Millisecond)
}

func TestTerminal(t *testing.T) {
	var out, errOut bytes.Buffer
	stdin := strings.NewReader("foo\n")
	e := &env{stdin: stdin, stdout: &out, stderr: &errOut, now: time.Now, terminal: func(f any) bool { return f == stdin }}
	assert.Equal(t, exitOK, e.run([]string{"slot"}))
	assert.Equal(t, "12182\t\tfoo\tfoo\n", out.String())
	assert.Equal(t, "hashslot slot: reading lines from the terminal, until "+endOfInput(runtime.GOOS)+" (hashslot slot -h for help)\n", errOut.String())
	assert.Equal(t, "Ctrl-Z and Enter", endOfInput("windows"))
	assert.Equal(t, "Ctrl-D", endOfInput("linux"))

	errOut.Reset()
	assert.Equal(t, exitOK, e.run([]string{"stat"}))
	assert.Contains(t, errOut.String(), "hashslot stat: reading lines from the terminal, until ")

	errOut.Reset()
	assert.Equal(t, exitOK, e.run([]string{"slot", "foo"}))
	assert.Empty(t, errOut.String(), "nothing is read")

	assert.False(t, isTerminal(stdin))
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	assert.False(t, isTerminal(null))
	file, err := os.Open("main.go")
	require.NoError(t, err)
	assert.False(t, isTerminal(file))
	require.NoError(t, file.Close())
	assert.False(t, isTerminal(file))
	if zero, err := os.Open("/dev/zero"); err == nil { // a device, like a terminal
		defer zero.Close()
		assert.True(t, isTerminal(zero))
	}
}

func TestProgress(t *testing.T) {
	var out, errOut bytes.Buffer
	size, step, code := int64(12<<20), 20*time.Millisecond, exitOK
	tail := io.Reader(strings.NewReader(""))
	run := func(terminals ...any) string {
		out.Reset()
		errOut.Reset()
		now := time.Unix(0, 0)
		e := &env{
			stdin: io.MultiReader(io.LimitReader(&endless{line: strings.Repeat("x", 999) + "\n"}, size), tail), stdout: &out, stderr: &errOut,
			now: func() time.Time { now = now.Add(step); return now },
			terminal: func(f any) bool {
				return len(terminals) > 0 && f == terminals[0] || len(terminals) > 1 && f == terminals[1]
			},
		}
		assert.Equal(t, code, e.run([]string{"slot"}))
		return errOut.String()
	}
	assert.Empty(t, run(), "not into a file")
	assert.Empty(t, run(&out, &errOut), "not between the answers")
	lines := strings.Split(run(&errOut), "\r\x1b[K")
	require.Greater(t, len(lines), 2)
	require.Less(t, len(lines), 20, "five in a second")
	assert.Empty(t, lines[0])
	assert.Regexp(t, `^0\.\d million lines, \d+ MB, \d MB/s$`, lines[1])
	assert.Empty(t, lines[len(lines)-1], "the line is taken away")
	step = time.Second
	for size = range map[int64]bool{999_999: true, 1_000_000: true} {
		lines = strings.Split(run(&errOut), "\r\x1b[K")
		assert.Contains(t, lines[len(lines)-2], fmt.Sprintf("0.0 million lines, %d MB, ", size/1e6))
	}
	tail, code = iotest.ErrReader(errors.New("disk on fire")), exitFailed
	assert.Regexp(t, `MB/s\r\x1b\[Khashslot slot: line \d+: disk on fire\n$`, run(&errOut))
}

// stat shows what it has read, and never more than the input has.
func TestStatProgress(t *testing.T) {
	name := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(name, bytes.Repeat([]byte("0123456789abcdefghi\n"), 50_000), 0o600))
	file, err := os.Open(name)
	require.NoError(t, err)
	defer file.Close()
	shown := func(stdin io.Reader) []string {
		var out, errOut bytes.Buffer
		seconds := time.Unix(0, 0)
		e := &env{
			stdin: stdin, stdout: &out, stderr: &errOut, terminal: func(f any) bool { return f == &errOut || f == &out },
			now: func() time.Time { seconds = seconds.Add(time.Second); return seconds },
		}
		assert.Equal(t, exitOK, e.run([]string{"stat"}))
		return strings.Split(errOut.String(), "\r\x1b[K")
	}
	lines := shown(file)
	require.Greater(t, len(lines), 7)
	assert.Contains(t, lines[len(lines)-2], "0.1 million lines, 1 MB of 1 (100%), ")
	assert.Contains(t, lines[1], "0.0 million lines, ")
	_, err = file.Seek(300_000, io.SeekStart)
	require.NoError(t, err)
	lines = shown(file)
	assert.Contains(t, lines[len(lines)-2], "0.0 million lines, 0 MB of 1 (70%), ", "from the middle")
	// One after each read and one after the count. Before that, and at the end, the line is taken away.
	assert.Len(t, shown(iotest.OneByteReader(strings.NewReader("a\nb\n"))), 1+5+1+1+1)
}
