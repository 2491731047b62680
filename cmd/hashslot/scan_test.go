package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A scanResult is what a scan of quoting workers comes to.
type scanResult struct {
	lines map[string]int
	got   scanned
	warn  string
}

func scanBy(workers int, r io.Reader, in inputFlags, interrupt <-chan os.Signal) scanResult {
	var errOut bytes.Buffer
	e := &env{stdin: r, stderr: &errOut, terminal: isTerminal, now: time.Now, interrupt: interrupt}
	seen := make([]map[string]int, 0, workers)
	got := e.scan(in, workers, func() lineWorker {
		lines := map[string]int{}
		seen = append(seen, lines)
		return func(data []byte) (n int64, bad []badLine) {
			var part [batchSize][]byte
			for len(data) > 0 {
				m, size := split(&part, data, in.sep())
				data = data[size:]
				for i, l := range part[:m] {
					switch {
					case len(l) > in.max:
						bad = append(bad, badLine{n + int64(i), tooLong(in.max).Error()})
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

// slowScan is what scan gives, said simply.
func slowScan(input string, in inputFlags) scanResult {
	r := scanResult{lines: map[string]int{}}
	lines := strings.Split(input, string(rune(in.sep())))
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	for i, l := range lines {
		if len(l) > in.max {
			r.got.add(badLine{int64(i), tooLong(in.max).Error()})
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
		want := slowScan(input, in)
		got := scanBy(1+int(seed%3), &pieces{strings.NewReader(input), rand.New(rand.NewPCG(seed, 0))}, in, nil)
		got.warn = ""
		require.Equal(t, want, got)
	})
}

// Lines across the borders of blocks, of blocks and longer than -max.
func TestScanLarge(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < 3<<20 {
		n := rnd.IntN(40)
		switch rnd.IntN(2000) {
		case 0:
			n = rnd.IntN(3 * scanBlock)
		case 1:
			n = scanBlock - 3 + rnd.IntN(6)
		}
		fmt.Fprintf(&b, "%*d\n", n, b.Len())
		if rnd.IntN(2000) == 0 { // many in 64 bytes
			b.WriteString(strings.Repeat("\n", rnd.IntN(3000)) + strings.Repeat("\v\n\x8a\n", rnd.IntN(1000)))
		}
	}
	input := b.String()
	for _, in := range []inputFlags{{max: defaultMax}, {max: scanBlock}, {max: scanBlock - 1}, {max: 1000}} {
		want := slowScan(input, in)
		require.Equal(t, in.max < defaultMax, want.got.badLines > 0)
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(input), "halves": iotest.HalfReader(strings.NewReader(input)), "error": iotest.DataErrReader(strings.NewReader(input))} {
			got := scanBy(scanWorkers, r, in, nil)
			assert.True(t, assert.ObjectsAreEqual(want, got), "max %d, %s: %v, want %v", in.max, name, got.got, want.got)
		}
	}
}

// What is too long costs no memory, and no other line.
func TestScanTooLong(t *testing.T) {
	in := io.MultiReader(strings.NewReader("{a}1\n"), io.LimitReader(&endless{line: "x"}, 64<<20), strings.NewReader("\n{a}2\n"))
	r := runWith(in, "stat")
	assert.Equal(t, exitFailed, r.code)
	assert.Equal(t, "hashslot stat: line 2 is left out: longer than 1048576 bytes, the limit that -max sets\n", r.errOut)
	assert.Contains(t, r.out, "keys             2\n  with a tag     2\n")
	assert.Contains(t, r.out, "\nLines that were left out: 1\n")
	r = runOn(strings.Repeat("long\n", 25), "stat", "-max", "3", "-format", "json")
	assert.Equal(t, maxBadLines+1, strings.Count(r.errOut, "\n"))
	assert.Contains(t, r.errOut, "hashslot stat: 15 more are left out\n")
	assert.Contains(t, r.out, `"bad_lines":25,"interrupted":false`)
	r = runOn("get a\n"+strings.Repeat("x", 20)+"\nget b\n", "stat", "-commands", "-max", "10")
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.out, "commands         2\n")
}

func TestScanFails(t *testing.T) {
	r := runWith(io.MultiReader(strings.NewReader("a\nb\nc"), iotest.ErrReader(errors.New("disk on fire"))), "stat")
	assert.Equal(t, exitFailed, r.code)
	assert.Equal(t, "hashslot stat: line 3: disk on fire; the report is of what is in front of it\n", r.errOut)
	assert.Contains(t, r.out, "keys             2\n")
}

// What was read of whole lines is counted, whatever the reader waits for.
func TestScanInterrupted(t *testing.T) {
	for _, input := range []string{"", "a\nb", "{a}\n{a}\n", strings.Repeat("{key}\n", 100_000) + "x"} {
		reader, keys := io.Pipe()
		signals := make(chan os.Signal)
		var out, errOut bytes.Buffer
		e := &env{stdin: reader, stdout: &out, stderr: &errOut, terminal: isTerminal, now: time.Now, interrupt: signals}
		code := make(chan int)
		go func() { code <- e.run([]string{"stat", "-format", "json"}) }()
		_, err := io.WriteString(keys, input) // until all is read
		require.NoError(t, err)
		// A second write waits until what was read before is noted.
		_, err = io.WriteString(keys, "not counted, as its line has no end")
		require.NoError(t, err)
		signals <- os.Interrupt
		assert.Equal(t, exitFailed, <-code)
		lines := strings.Count(input, "\n")
		assert.Contains(t, out.String(), fmt.Sprintf(`{"keys":%d,`, lines))
		assert.Contains(t, out.String(), `"interrupted":true`)
		assert.Equal(t, fmt.Sprintf("hashslot stat: interrupted: the report is of the first %d lines\n", lines), errOut.String())
		reader.Close()
	}
	assert.Contains(t, report{Interrupted: true}.textOf(), "\nInterrupted: there was more to read.\n")
}

func (r report) textOf() string { return string(r.text(false)) }

func TestInputWarnings(t *testing.T) {
	for in, want := range map[string]string{
		"a\n":                 "",
		"a\r\nb\r\n":          "the first line ends with a carriage return, which is part of it, as in each line",
		"\xef\xbb\xbfa\n":     "the input begins with a byte order mark, which is part of the first line",
		"\xff\xfea\x00\n\x00": "the input begins with the byte order mark of UTF-16, and is read as bytes",
	} {
		for _, command := range []string{"slot", "stat"} {
			r := runOn(in, command)
			assert.Equal(t, exitOK, r.code)
			if want == "" {
				assert.Empty(t, r.errOut)
			} else {
				assert.Equal(t, "hashslot "+command+": warning: "+want+"\n", r.errOut)
			}
		}
	}
}
