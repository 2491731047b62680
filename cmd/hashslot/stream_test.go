package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
)

// endless is a reader that repeats line without end.
type endless struct {
	line string
	at   int
	read int64
}

func (r *endless) Read(p []byte) (int, error) {
	first := copy(p, r.line[r.at:]) // what is left of a line
	n := first + copy(p[first:], r.line)
	for n < len(p) {
		n += copy(p[n:], p[first:n])
	}
	r.at = (r.at + n) % len(r.line)
	r.read += int64(n)
	return n, nil
}

// quote is a worker that answers with the quoted items. For "bad" it returns an error.
func quote(o *output, items [][]byte) (int, error) {
	for i, item := range items {
		if string(item) == "bad" {
			return i, errors.New("bad")
		}
		o.buf = append(strconv.AppendQuote(o.buf, string(item)), '\n')
	}
	return len(items), nil
}

func answer(r io.Reader, in inputFlags) result { return answerBy(maxWorkers, r, in) }

func answerBy(workers int, r io.Reader, in inputFlags) result {
	var out, errOut bytes.Buffer
	e := &env{stdin: r, stdout: &out, stderr: &errOut, terminal: isTerminal}
	code := e.answer(in, workers, func() worker { return quote })
	return result{code, out.String(), errOut.String()}
}

// slowAnswer gives the same answers as answer, in a simple way.
func slowAnswer(input string, in inputFlags) result {
	var (
		r   result
		out strings.Builder
	)
	unit, sep := "line", "\n"
	if in.nul {
		unit, sep = "NUL-ended line", "\x00"
	}
	lines := strings.Split(input, sep)
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	for i, line := range lines {
		reason := ""
		if line == "bad" && in.max >= 3 {
			reason = "bad"
		} else if len(line) > in.max {
			reason = fmt.Sprintf("longer than %d bytes, the limit that -max sets", in.max)
		}
		if reason != "" {
			r.code = exitFailed
			r.errOut = fmt.Sprintf("hashslot: %s %d: %s\n", unit, i+1, reason)
			break
		}
		out.WriteString(strconv.Quote(line) + "\n")
	}
	r.out = out.String()
	return r
}

// pieces reads from r in small pieces.
type pieces struct {
	r    io.Reader
	rand *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), p.rand.IntN(9))]) }

func FuzzAnswer(f *testing.F) {
	f.Add("", false, uint16(10), uint64(0))
	f.Add("\n", false, uint16(10), uint64(0))
	f.Add("a\nbad\nc", false, uint16(10), uint64(1))
	f.Add("a\r\n\n\nbb\x00b", false, uint16(3), uint64(2))
	f.Add("a\x00b\n\x00bad", true, uint16(3), uint64(3))
	f.Add("a\nbbbbbbbbb\nbad\n", false, uint16(8), uint64(4))
	f.Add("a\nbbbbbbbbb", false, uint16(8), uint64(5))
	f.Add(strings.Repeat("long", 100)+"\nb\n", false, uint16(400), uint64(6))
	f.Fuzz(func(t *testing.T, input string, nul bool, max uint16, seed uint64) {
		in := inputFlags{nul: nul, max: int(max) + 1}
		want := slowAnswer(input, in)
		require.Equal(t, want, answer(strings.NewReader(input), in))
		require.Equal(t, want, answer(&pieces{strings.NewReader(input), rand.New(rand.NewPCG(seed, 0))}, in), "in pieces")
		require.Equal(t, want, answerBy(1, strings.NewReader(input), in), "by one worker")
	})
}

// There are as many workers as processors, up to a limit, and one that writes. A single one
// does all.
func TestWorkers(t *testing.T) {
	procs := runtime.GOMAXPROCS(0)
	for workers, want := range map[int]int{1: 1, 2: 3, 1000: procs + 1} {
		size := int64(2 * (want + 2) * blockSize)
		e := &env{stdin: io.LimitReader(&endless{line: "a\n"}, size), stdout: io.Discard, terminal: isTerminal}
		got := 0
		var lines atomic.Int64
		assert.Equal(t, exitOK, e.answer(inputFlags{max: 10}, workers, func() worker {
			got++
			writes := got == want
			return func(o *output, items [][]byte) (int, error) {
				if writes != (o.w != nil) {
					return 0, errors.New("another writes")
				}
				lines.Add(int64(len(items)))
				return len(items), nil
			}
		}))
		assert.Equal(t, want, got)
		assert.Equal(t, size/2, lines.Load())
	}
	assert.Equal(t, procs, runtime.GOMAXPROCS(0))
}

// The input has many blocks, lines across their borders and lines longer than a block. It
// arrives in reads of many sizes.
func TestAnswerLarge(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	size := 2 << 20
	if testing.Short() {
		size /= 8
	}
	for b.Len() < size {
		n := rnd.IntN(40)
		switch rnd.IntN(1000) {
		case 0:
			n = rnd.IntN(3 * blockSize)
		case 1:
			n = blockSize - 3 + rnd.IntN(6)
		}
		fmt.Fprintf(&b, "%*d\n", n, b.Len())
	}
	input := b.String()
	for _, in := range []inputFlags{{max: defaultMax}, {max: 3 * blockSize}, {max: blockSize}, {max: 1000}} {
		want := slowAnswer(input, in)
		for name, r := range map[string]io.Reader{
			"whole":    strings.NewReader(input),
			"bytes":    iotest.OneByteReader(strings.NewReader(input[:50_000])),
			"halves":   iotest.HalfReader(strings.NewReader(input)),
			"buffered": bufio.NewReaderSize(strings.NewReader(input), 1000),
			"one":      strings.NewReader(input),
		} {
			want, workers := want, maxWorkers
			if name == "one" {
				workers = 1
			}
			if name == "bytes" {
				want = slowAnswer(input[:50_000], in)
			}
			if got := answerBy(workers, r, in); got != want { // megabytes, too long to print
				t.Errorf("max %d, %s: code %d, %d bytes, %q; want code %d, %d bytes, %q",
					in.max, name, got.code, len(got.out), got.errOut, want.code, len(want.out), want.errOut)
			}
		}
	}
}

func TestReadFails(t *testing.T) {
	fails := iotest.ErrReader(errors.New("disk on fire"))
	in := inputFlags{max: 10}
	assert.Equal(t, result{1, "", "hashslot: line 1: disk on fire\n"}, answer(fails, in))
	// Line 3 may be truncated.
	assert.Equal(t, result{1, "\"a\"\n\"b\"\n", "hashslot: line 3: disk on fire\n"},
		answer(io.MultiReader(strings.NewReader("a\nb\nc"), fails), in))
	assert.Equal(t, result{1, "\"a\"\n\"b\"\n", "hashslot: line 3: disk on fire\n"},
		answer(iotest.DataErrReader(io.MultiReader(strings.NewReader("a\nb\n"), fails)), in))
	idle := readerFunc(func([]byte) (int, error) { return 0, nil })
	assert.Equal(t, result{1, "\"a\"\n", "hashslot: line 2: multiple Read calls return no data or error\n"},
		answer(io.MultiReader(strings.NewReader("a\n"), idle), in))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Lines that have been read are answered before the next read.
func TestAnswersAtOnce(t *testing.T) {
	input, keys := io.Pipe()
	answers, output := io.Pipe()
	code := make(chan int)
	go func() { code <- run([]string{"slot"}, input, output, io.Discard) }()
	lines := bufio.NewReader(answers)
	for range 100 {
		fmt.Fprint(keys, "foo\n")
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, "12182\t\tfoo\tfoo\n", line)
	}
	keys.Close()
	assert.Equal(t, exitOK, <-code)
}

// heapWriter measures the heap at each write.
type heapWriter struct{ bytes, next, peak uint64 }

func (w *heapWriter) Write(p []byte) (int, error) {
	w.bytes += uint64(len(p))
	if w.bytes >= w.next {
		w.next = w.bytes + 8<<20
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		w.peak = max(w.peak, m.HeapInuse)
	}
	return len(p), nil
}

// Memory is bounded for any amount of input. For a line without an end, the bound is the
// longest line allowed.
func TestMemory(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	jobs := uint64(min(runtime.GOMAXPROCS(0), maxWorkers) + 2)
	for _, test := range []struct {
		line   string
		format string
		more   float64 // at least this many bytes of output per byte of input
		blocks uint64  // of memory per block of input, and as much again for the garbage collector
	}{
		{"user:{123}:profile\n", "text", 1.6, 2 * 16},
		{"user:{123}:profile\n", "json", 3.3, 2 * 20},
		{strings.Repeat("x", 100_000) + "\n", "json", 1.9, 2 * 16},
		{"\n", "json", 39, 2 * 100},
	} {
		if testing.Short() {
			break // it takes much output
		}
		runtime.GC()
		w := new(heapWriter)
		limit := before.HeapInuse + jobs*test.blocks*blockSize
		in := io.LimitReader(&endless{line: test.line}, int64(2.2*float64(limit)/test.more))
		require.Equal(t, exitOK, run([]string{"slot", "-format", test.format}, in, w, io.Discard))
		require.Greater(t, w.bytes, 2*limit, "the test could not fail")
		assert.Less(t, w.peak, limit, "%.10q %s", test.line, test.format)
		t.Logf("%.10q %s: %d of %d MiB", test.line, test.format, w.peak>>20, limit>>20)
	}

	// The answer to a long key is not held.
	key := strings.Repeat("\x01", 8<<20)
	w := new(heapWriter)
	runtime.GC()
	runtime.ReadMemStats(&before)
	require.Equal(t, exitOK, run([]string{"slot", "-max", "100000000"}, strings.NewReader(key), w, io.Discard))
	// If it were held, it would take 64 MiB. On a busy machine, garbage is collected late.
	assert.Less(t, w.peak, before.HeapInuse+48<<20)
	assert.Equal(t, uint64(2*4*len(key)+len(fmt.Sprint(hashslot.Of(key), "\t\t\t\n"))), w.bytes)

	in := &endless{line: "x"}
	var errOut bytes.Buffer
	assert.Equal(t, exitFailed, run([]string{"slot"}, in, io.Discard, &errOut))
	assert.Equal(t, "hashslot slot: line 1: longer than 1048576 bytes, the limit that -max sets\n", errOut.String())
	assert.LessOrEqual(t, in.read, int64(defaultMax+1), "it reads no further")
}

// After the first run, a run allocates at most per block, not per line.
func TestAllocations(t *testing.T) {
	for _, args := range [][]string{{"slot"}, {"slot", "-format", "json"}, {"slot", "-hex"}, {"slot", "-unhex"}} {
		allocs := testing.AllocsPerRun(2, func() {
			run(args, io.LimitReader(&endless{line: "61626364656667\n"}, 1<<19), io.Discard, io.Discard)
		})
		assert.Less(t, allocs, 500.0, "for 35,000 lines: %v", args)
	}
}
