package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A scanResult is the result of a scan with workers that quote lines.
type scanResult struct {
	lines map[string]int
	got   scanned
	warn  string
}

func scanBy(by scanSplit, r io.Reader, in inputFlags, interrupt <-chan os.Signal) scanResult {
	var errOut bytes.Buffer
	e := &env{stdin: r, stderr: &errOut, terminal: isTerminal, now: time.Now, interrupt: interrupt}
	seen := make([]map[string]int, 0, by.workers)
	got := e.scan(in, by, func() lineWorker {
		lines := map[string]int{}
		seen = append(seen, lines)
		return func(data []byte) (n int64, bad badLines) {
			var part [batchSize][]byte
			for len(data) > 0 {
				m, size := split(&part, data, in.sep())
				data = data[size:]
				for i, l := range part[:m] {
					switch {
					case len(l) > in.max:
						bad.add(n+int64(i), tooLong(in.max))
					default:
						lines[string(l)]++
					}
				}
				n += int64(m)
			}
			return n, bad
		}
	})
	sum := map[string]int{}
	for _, s := range seen {
		for l, n := range s {
			sum[l] += n
		}
	}
	return scanResult{sum, got, errOut.String()}
}

// slowScan returns the same result as scan, in a simple way.
func slowScan(input string, in inputFlags) scanResult {
	r := scanResult{lines: map[string]int{}}
	lines := strings.Split(input, string(rune(in.sep())))
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	for i, l := range lines {
		if len(l) > in.max {
			r.got.bad.add(int64(i), tooLong(in.max))
			continue
		}
		r.lines[l]++
	}
	r.got.lines = int64(len(lines))
	return r
}

func FuzzScan(f *testing.F) {
	f.Add("", false, uint16(10), uint64(0))
	f.Add("\n", false, uint16(10), uint64(0))
	f.Add("a\nbad\nc", false, uint16(0), uint64(1))
	f.Add("\n\n\n\n\n\n\n\n\n\n\n", false, uint16(3), uint64(2))
	f.Add("a\x00b\n\x00bad", true, uint16(3), uint64(3))
	f.Add("a\nbbbbbbbbbbbbbbbbb\nbad\n", false, uint16(8), uint64(4))
	f.Add("a\n12345678\n123456789", false, uint16(8), uint64(5))
	f.Add(strings.Repeat("long", 100)+"\nb\n", false, uint16(300), uint64(6))
	f.Fuzz(func(t *testing.T, input string, nul bool, max uint16, seed uint64) {
		in := inputFlags{nul: nul, max: int(max) + 1}
		rnd := rand.New(rand.NewPCG(seed, 0))
		check := func(name string, split scanSplit, r io.Reader, input string) {
			got := scanBy(split, r, in, nil)
			got.warn = ""
			require.Equal(t, slowScan(input, in), got, "%s, %+v", name, split)
		}
		check("by turns", anySplit(rnd), &pieces{strings.NewReader(input), rnd}, input)
		check("by places", anySplit(rnd), strings.NewReader(input), input)
		rest := strings.NewReader(input)
		start := rnd.IntN(len(input) + 1)
		_, err := rest.Seek(int64(start), io.SeekStart)
		require.NoError(t, err)
		check("by places, from the middle", anySplit(rnd), rest, input[start:])
		check("of a file that is shorter or longer by now", anySplit(rnd), resized{strings.NewReader(input), rnd.Int64N(2*int64(len(input)) + 100)}, input)
	})
}

// resized reports a size that it does not have.
type resized struct {
	*strings.Reader
	size int64
}

func (r resized) Size() int64 { return r.size }

// hooked calls before with the offset of each read that is not by turns.
type hooked struct {
	*strings.Reader
	before func(at int64) error
}

func (r hooked) ReadAt(p []byte, at int64) (int, error) {
	if err := r.before(at); err != nil {
		return 0, err
	}
	return r.Reader.ReadAt(p, at)
}

// When the scan returns, the input belongs to its owner again: nothing reads it after its
// end.
func TestScanLeavesTheInput(t *testing.T) {
	rounds := 2000
	if testing.Short() {
		rounds /= 10
	}
	before := runtime.NumGoroutine()
	for range rounds {
		r := &ending{Reader: strings.NewReader("a\nb")}
		scanBy(scanSplit{workers: 3, block: 8, ahead: 1, window: 3}, r, inputFlags{max: 8}, nil)
		runtime.Gosched()
		if n := r.ends.Load(); n != 1 {
			t.Fatalf("%d reads at the end of the input", n)
		}
	}
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, 10*time.Second, time.Millisecond, "one waits for signals, and one for this")
}

// An interrupt ends the reading within a line that is too long, and while an earlier block
// is not counted yet.
func TestScanInterruptedEarly(t *testing.T) {
	reader, keys := io.Pipe()
	signals := make(chan os.Signal)
	result := make(chan scanResult)
	go func() {
		result <- scanBy(scanSplit{workers: 2, block: 8, window: 4}, reader, inputFlags{max: 3}, signals)
	}()
	_, err := io.WriteString(keys, "a\n"+strings.Repeat("x", 99)) // returns when all is read
	require.NoError(t, err)
	signals <- os.Interrupt
	got := <-result
	assert.Equal(t, scanned{lines: 2, bad: badLines{[]badLine{{1, tooLong(3).Error()}}, 1}, interrupted: true}, got.got)
	reader.Close()

	reader, keys = io.Pipe()
	var errOut bytes.Buffer
	counting := false // the second block
	counted := make(chan bool)
	e := &env{stdin: reader, stderr: &errOut, interrupt: signals, terminal: func(f any) bool { return f == &errOut }, now: func() time.Time {
		if counting {
			counting = false
			close(counted) // its result is known
		}
		return time.Time{}
	}}
	done := make(chan scanned)
	go func() {
		done <- e.scan(inputFlags{max: 8}, scanSplit{workers: 2, block: 8, window: 4}, func() lineWorker {
			return func(data []byte) (int64, badLines) {
				if data[0] == 'a' {
					<-counted
				} else {
					counting = true
				}
				return int64(bytes.Count(data, []byte("\n"))), badLines{}
			}
		})
	}()
	for _, part := range []string{"aaaaaaaa\n", "b\n", "c"} {
		_, err := io.WriteString(keys, part)
		require.NoError(t, err)
	}
	signals <- os.Interrupt
	assert.Equal(t, scanned{lines: 2, interrupted: true}, <-done)
	reader.Close()

	// After the end, and between a read and what follows.
	s := &scan{stopped: true}
	s.stop()
	assert.True(t, s.mu.TryLock())
	assert.False(t, s.got.interrupted)
	reads := 0
	s = &scan{progress: &progress{}, r: readerFunc(func(p []byte) (int, error) {
		if reads++; reads == 2 {
			return 0, io.EOF
		}
		s.stopped = true
		return copy(p, "x"), nil
	})}
	assert.Equal(t, errStopped, s.readBlock(&scanWorker{buf: make([]byte, 0, 8)}, true))
	assert.Equal(t, 1, reads)
	for _, stops := range []bool{false, true} {
		s := &scan{r: strings.NewReader("aaaaaaaa\nb\n"), sep: '\n', max: 8, split: scanSplit{block: 8}, results: make([]blockResult, 2)}
		s.moved.L = &s.mu
		s.progress = &progress{w: io.Discard, now: func() time.Time { s.stopped = stops; return time.Time{} }}
		b, ok := s.readNext(new(scanWorker))
		assert.Equal(t, !stops, ok)
		if ok {
			assert.Equal(t, "aaaaaaaa\n", string(b.data))
			assert.Nil(t, s.current)
		}
	}
}

// ending counts the reads that return the end of the input.
type ending struct {
	io.Reader
	ends atomic.Int64
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if err == io.EOF {
		e.ends.Add(1)
	}
	return n, err
}

// Whenever the reading ends, the report covers the first lines and gives their number.
// After an error, a few more lines may be counted.
func TestScanEndsAnywhere(t *testing.T) {
	in := inputFlags{max: 30}
	early, behind := 0, 0
	seeds := uint64(300)
	if testing.Short() {
		seeds /= 5
	}
	for seed := range seeds {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var b strings.Builder
		for i := range rnd.IntN(200) {
			fmt.Fprintf(&b, "%d:%s\n", i, strings.Repeat("x", rnd.IntN(40)))
		}
		input := b.String()
		split := anySplit(rnd)
		var calls atomic.Int64
		last := 1 + rnd.Int64N(40)
		signals := make(chan os.Signal, 1)
		got := scanBy(split, hooked{strings.NewReader(input), func(int64) error {
			if calls.Add(1) == last {
				signals <- os.Interrupt
			}
			if calls.Load() >= last { // from here on the scan may notice the signal
				time.Sleep(10 * time.Microsecond)
			}
			return nil
		}}, in, signals)
		lines := strings.SplitAfter(input, "\n")
		got.warn = ""
		want := slowScan(strings.Join(lines[:got.got.lines], ""), in)
		want.got.interrupted = got.got.interrupted
		require.Equal(t, want, got, "seed %d: %+v", seed, split)
		if got.got.lines < int64(len(lines)-1) {
			early++
		}

		fails := rnd.Int64N(int64(len(input)) + 1)
		got = scanBy(split, hooked{strings.NewReader(input), func(at int64) error {
			if at >= fails {
				return errors.New("disk on fire")
			}
			return nil
		}}, in, nil)
		if got.got.err == nil { // reads in turn do not fail
			require.Equal(t, int64(len(lines)-1), got.got.lines)
			continue
		}
		sure := slowScan(strings.Join(lines[:got.got.errLine], ""), in)
		for line, n := range sure.lines {
			require.Equal(t, n, got.lines[line])
		}
		if !got.got.behind {
			require.Equal(t, sure.lines, got.lines)
		} else {
			behind++
		}
		all := slowScan(input, in)
		for line := range got.lines {
			require.Contains(t, all.lines, line)
		}
		at := len(strings.Join(lines[:got.got.errLine], ""))
		require.Less(t, int64(at)+31, fails+int64(3*split.block+64), "no more is given up than it takes")
		require.Greater(t, int64(at), fails-int64(2*split.block+64))
	}
	require.NotZero(t, early)
	require.NotZero(t, behind)
	r := &scanned{err: errors.New("disk on fire"), errLine: 4, behind: true}
	var errOut bytes.Buffer
	assert.Equal(t, exitFailed, r.report(&env{stderr: &errOut}, "line"))
	assert.Equal(t, "hashslot: line 5: disk on fire; the report covers the lines before it, and some after it\n", errOut.String())
}

// anySplit has small blocks.
func anySplit(rnd *rand.Rand) scanSplit {
	s := scanSplit{workers: 1 + rnd.IntN(4), block: 1 + rnd.IntN(20)}
	s.ahead = rnd.IntN(s.block)
	s.window = s.workers + rnd.IntN(4)
	return s
}

// The lines cross the borders of blocks, are as long as blocks, or are longer than -max.
func TestScanLarge(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	size := 3 << 20
	if testing.Short() {
		size /= 3
	}
	for b.Len() < size {
		n := rnd.IntN(40)
		switch rnd.IntN(2000) {
		case 0:
			n = rnd.IntN(3 * statSplit.block)
		case 1:
			n = statSplit.block - 3 + rnd.IntN(6)
		}
		fmt.Fprintf(&b, "%*d\n", n, b.Len())
		if rnd.IntN(2000) == 0 { // many lines in 64 bytes
			b.WriteString(strings.Repeat("\n", rnd.IntN(3000)) + strings.Repeat("\v\n\x8a\n", rnd.IntN(1000)))
		}
	}
	input := b.String()
	name := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(name, []byte("skipped"+input), 0o600))
	for _, in := range []inputFlags{{max: defaultMax}, {max: statSplit.block}, {max: statSplit.block - 1}, {max: 1000}} {
		want := slowScan(input, in)
		require.Equal(t, in.max < defaultMax, want.got.bad.n > 0)
		file, err := os.Open(name)
		require.NoError(t, err)
		_, err = file.Seek(int64(len("skipped")), io.SeekStart)
		require.NoError(t, err)
		for name, r := range map[string]io.Reader{"file": file, "whole": strings.NewReader(input), "halves": iotest.HalfReader(strings.NewReader(input)), "error": iotest.DataErrReader(strings.NewReader(input))} {
			got := scanBy(statSplit, r, in, nil)
			assert.True(t, assert.ObjectsAreEqual(want, got), "max %d, %s: %v, want %v", in.max, name, got.got, want.got)
		}
		at, err := file.Seek(0, io.SeekCurrent)
		require.NoError(t, err)
		assert.Equal(t, int64(len("skipped"+input)), at, "what comes next sees the file read")
		file.Close()
	}
}

// A line that is too long is not held in memory, and no other line is lost.
func TestScanTooLong(t *testing.T) {
	in := io.MultiReader(strings.NewReader("{a}1\n"), io.LimitReader(&endless{line: "x"}, 64<<20), strings.NewReader("\n{a}2\n"))
	r := runWith(in, "stat")
	assert.Equal(t, exitFailed, r.code)
	assert.Equal(t, "hashslot stat: line 2 is left out: longer than 1048576 bytes, the limit that -max sets\n", r.errOut)
	assert.Contains(t, r.out, "keys             2\n  with a tag     2\n")
	assert.Contains(t, r.out, "\nLines that were left out: 1\n")
	r = runOn(strings.Repeat("long\n", 25), "stat", "-max", "3", "-format", "json")
	assert.Equal(t, maxBadLines+1, strings.Count(r.errOut, "\n"))
	assert.Contains(t, r.errOut, "hashslot stat: 15 more lines are left out\n")
	assert.Contains(t, r.out, `"bad_lines":25,"interrupted":false`)
	r = runOn(strings.Repeat("long\n", 11), "stat", "-max", "3")
	assert.Contains(t, r.errOut, "hashslot stat: 1 more line is left out\n")
	r = runOn(strings.Repeat("00\n", 5)+"x\n"+strings.Repeat("00\n", 40), "stat", "-unhex")
	assert.Equal(t, "hashslot stat: line 6 is left out: byte 1, \"x\", is not a hex digit\n", r.errOut)
	r = runOn("get a\n"+strings.Repeat("x", 20)+"\nget b\n", "stat", "-commands", "-max", "10")
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.out, "commands         2\n")
}

func TestScanFails(t *testing.T) {
	r := runWith(io.MultiReader(strings.NewReader("a\nb\nc"), iotest.ErrReader(errors.New("disk on fire"))), "stat")
	assert.Equal(t, exitFailed, r.code)
	assert.Equal(t, "hashslot stat: line 3: disk on fire; the report covers the lines before it\n", r.errOut)
	assert.Contains(t, r.out, "keys             2\n")
}

// Whole lines that have been read are counted, even while the reader waits for more.
func TestScanInterrupted(t *testing.T) {
	for _, input := range []string{"", "a\nb", "{a}\n{a}\n", strings.Repeat("{key}\n", 100_000) + "x"} {
		reader, keys := io.Pipe()
		signals := make(chan os.Signal)
		var out, errOut bytes.Buffer
		e := &env{stdin: reader, stdout: &out, stderr: &errOut, terminal: isTerminal, now: time.Now, interrupt: signals}
		code := make(chan int)
		go func() { code <- e.run([]string{"stat", "-format", "json"}) }()
		_, err := io.WriteString(keys, input) // returns when all is read
		require.NoError(t, err)
		// A second write returns only after the first input has been counted as read.
		_, err = io.WriteString(keys, "not counted, as its line has no end")
		require.NoError(t, err)
		signals <- os.Interrupt
		assert.Equal(t, exitFailed, <-code)
		lines := strings.Count(input, "\n")
		assert.Contains(t, out.String(), fmt.Sprintf(`{"keys":%d,`, lines))
		assert.Contains(t, out.String(), `"interrupted":true`)
		assert.Equal(t, fmt.Sprintf("hashslot stat: interrupted: the report covers the first %d lines\n", lines), errOut.String())
		reader.Close()
	}
	assert.Contains(t, report{Interrupted: true}.textOf(), "\nInterrupted: the input was not read to its end.\n")

	self, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		if runtime.GOOS == "windows" {
			continue // a process cannot send itself signals
		}
		reader, keys := io.Pipe()
		code := make(chan int)
		var out, errOut bytes.Buffer
		go func() { code <- run([]string{"stat"}, reader, &out, &errOut) }()
		for _, part := range []string{"a\n", "b"} {
			_, err := io.WriteString(keys, part)
			require.NoError(t, err)
		}
		require.NoError(t, self.Signal(signal))
		assert.Equal(t, exitFailed, <-code)
		assert.Equal(t, "hashslot stat: interrupted: the report covers the first 1 lines\n", errOut.String())
		reader.Close()
	}
}

// Only a regular file, or what is like one, can be read in several places.
func TestAsRandom(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	require.NoError(t, file.Truncate(77))
	for size, r := range map[int64]io.Reader{77: file, 3: strings.NewReader("abc")} {
		random, ok := asRandom(r)
		require.True(t, ok)
		assert.Equal(t, size, random.Size())
	}
	require.NoError(t, file.Close())
	folder, err := os.Open(t.TempDir())
	require.NoError(t, err)
	defer folder.Close()
	for _, r := range []io.Reader{file, folder, new(bytes.Buffer)} {
		_, ok := asRandom(r)
		assert.False(t, ok)
	}
}

// After an error, only blocks that are already in work are read.
func TestScanStopsAfterError(t *testing.T) {
	reads := atomic.Int64{}
	got := scanBy(scanSplit{workers: 2, block: 8, window: 4}, hooked{strings.NewReader(strings.Repeat("a\n", 4000)), func(int64) error {
		if reads.Add(1) == 1 {
			return errors.New("disk on fire")
		}
		return nil
	}}, inputFlags{max: 8}, nil)
	require.Error(t, got.got.err)
	assert.Less(t, reads.Load(), int64(10))

	// Of two errors, the first in the input counts.
	started := make(chan bool, 2)
	got = scanBy(scanSplit{workers: 2, block: 8, window: 4}, hooked{strings.NewReader(strings.Repeat("a\n", 4000)), func(at int64) error {
		started <- true // the second waits for nobody
		for len(started) < 2 {
			runtime.Gosched()
		}
		return fmt.Errorf("no place %d", at)
	}}, inputFlags{max: 8}, nil)
	require.EqualError(t, got.got.err, "no place 0")
	assert.Zero(t, got.got.errLine)
}

func (r report) textOf() string { return string(r.text(false)) }

func TestInputWarnings(t *testing.T) {
	for in, want := range map[string]string{
		"a\n":                 "",
		"a\r\nb\r\n":          "the first line ends with a carriage return, which counts as part of the line, in every line",
		"\xef\xbb\xbfa\n":     "the input begins with a byte order mark, which counts as part of the first line",
		"\xfe\xff\x00a\x00\n": "the input begins with the byte order mark of UTF-16, but keys are read byte by byte: convert the input to UTF-8",
		"\xff\xfea\x00\n\x00": "the input begins with the byte order mark of UTF-16, but keys are read byte by byte: convert the input to UTF-8",
	} {
		for _, args := range []string{"slot", "stat", "route -nodes testdata/nodes.txt"} {
			r := runOn(in, strings.Fields(args)...)
			assert.Equal(t, exitOK, r.code)
			if want == "" {
				assert.Empty(t, r.errOut)
			} else {
				assert.Equal(t, "hashslot "+strings.Fields(args)[0]+": warning: "+want+"\n", r.errOut)
			}
		}
	}
	// Only the first line is looked at, and only if lines end with a newline.
	assert.Empty(t, runOn(strings.Repeat("a\n", statSplit.block/2)+strings.Repeat("a\r\n", statSplit.block), "stat").errOut)
	assert.Empty(t, runOn("a\r\x00", "slot", "-0").errOut)
	// A carriage return is no part of a command, nor of hex.
	assert.Empty(t, runOn("GET a\r\n", "stat", "-commands").errOut)
	assert.Empty(t, runOn("GET a\r\n", "route", "-commands", "-nodes", "testdata/nodes.txt").errOut)
	assert.Empty(t, runOn("61\r\n", "stat", "-unhex").errOut)
}
