package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"runtime"
)

const (
	blockSize  = 128 << 10 // how much is read at once
	defaultMax = 1 << 20   // the longest line
	// maxMax is the longest key a server takes: proto-max-bulk-len of
	// valkey.conf, as it comes.
	maxMax = 512 << 20
)

// A batch is what came in at once.
type batch struct {
	items [][]byte // valid until the next call
	first int64    // the number of items[0], from 1
}

// A source gives the keys, or whatever a command works on, in batches. It
// waits for input only when all that came before has been given, so that a
// command that writes its answers after each batch works in a pipe and on a
// terminal.
type source interface {
	next() (batch, error) // io.EOF after the last
	unit() string         // what an item is called in messages
	read() int64          // bytes read so far
}

// An itemError says that something is wrong with one item of a source.
type itemError struct {
	unit   string
	number int64
	reason string
}

func (e *itemError) Error() string { return fmt.Sprintf("%s %d: %s", e.unit, e.number, e.reason) }

// inputFlags are the options of a command that works on its arguments or on
// standard input.
type inputFlags struct {
	nul bool
	max int
}

func (f *inputFlags) add(fs *flag.FlagSet) {
	fs.BoolVar(&f.nul, "0", false, "standard input is separated by NUL bytes instead of newlines")
	fs.IntVar(&f.max, "max", defaultMax, fmt.Sprintf("the longest line of standard input, 1 to %d `bytes`", maxMax))
}

func (f *inputFlags) check() error {
	if f.max < 1 || f.max > maxMax {
		return fmt.Errorf("-max %d is not 1 to %d", f.max, maxMax)
	}
	return nil
}

// open returns the arguments as a source, or standard input if there are none.
func (f *inputFlags) open(e *env) source {
	if len(e.args) > 0 {
		return &argSource{args: e.args}
	}
	if e.terminal(e.stdin) {
		end := "Ctrl-D"
		if runtime.GOOS == "windows" {
			end = "Ctrl-Z and Enter"
		}
		fmt.Fprintf(e.stderr, "%s: reading from the terminal, one a line, until %s (%s -h for help)\n", e.title(), end, e.title())
	}
	sep := byte('\n')
	if f.nul {
		sep = 0
	}
	return newLineSource(e.stdin, sep, f.max)
}

// argSource is the source that gives arguments.
type argSource struct{ args []string }

func (s *argSource) next() (batch, error) {
	if len(s.args) == 0 {
		return batch{}, io.EOF
	}
	b := batch{first: 1}
	for _, a := range s.args {
		b.items = append(b.items, []byte(a))
	}
	s.args = nil
	return b, nil
}

func (s *argSource) unit() string { return "argument" }
func (s *argSource) read() int64  { return 0 }

// lineSource is the source that gives the lines of a reader, without their
// ends. What follows the last line end is a line too, if it is not empty.
type lineSource struct {
	r     io.Reader
	sep   byte
	max   int    // the longest line
	buf   []byte // buf[start:end] is read and not yet given
	start int
	end   int
	seen  int // buf[start:seen] has no sep
	batch batch
	total int64
	err   error // what comes after the lines of buf
}

func newLineSource(r io.Reader, sep byte, max int) *lineSource {
	return &lineSource{r: r, sep: sep, max: max, buf: make([]byte, blockSize), batch: batch{first: 1}}
}

func (s *lineSource) read() int64 { return s.total }

func (s *lineSource) unit() string {
	if s.sep == '\n' {
		return "line"
	}
	return "key"
}

func (s *lineSource) next() (batch, error) {
	s.batch.first += int64(len(s.batch.items))
	s.batch.items = s.batch.items[:0]
	for len(s.batch.items) == 0 && s.err == nil {
		s.fill()
		s.split()
	}
	if len(s.batch.items) == 0 {
		return batch{}, s.err
	}
	return s.batch, nil
}

// fill reads once, behind what was not given yet: the start of a line.
func (s *lineSource) fill() {
	if s.start > 0 {
		copy(s.buf, s.buf[s.start:s.end])
		s.seen -= s.start
		s.end -= s.start
		s.start = 0
	}
	if s.end == len(s.buf) {
		// There is always room for the longest line and its end, since split
		// takes a longer one for an error.
		grown := make([]byte, min(2*len(s.buf), max(s.max+1, blockSize)))
		copy(grown, s.buf)
		s.buf = grown
	}
	for range 100 {
		var n int
		n, s.err = s.r.Read(s.buf[s.end:])
		s.end += n
		s.total += int64(n)
		if n > 0 || s.err != nil {
			return
		}
	}
	s.err = io.ErrNoProgress
}

// split makes items of the whole lines of buf. It sets err for a line that is
// too long.
func (s *lineSource) split() {
	for {
		n := bytes.IndexByte(s.buf[s.seen:s.end], s.sep)
		last := n < 0
		if last {
			n = s.end - s.seen
		}
		line := s.buf[s.start : s.seen+n]
		if len(line) > s.max {
			s.fail(fmt.Sprintf("longer than %d bytes, the limit that -max sets", s.max))
			return
		}
		if last {
			break
		}
		s.batch.items = append(s.batch.items, line)
		s.start = s.seen + n + 1
		s.seen = s.start
	}
	s.seen = s.end
	if s.err == nil || s.start == s.end {
		return
	}
	if s.err == io.EOF {
		s.batch.items = append(s.batch.items, s.buf[s.start:s.end])
		s.start = s.end
	} else {
		// Nobody knows where this line would have ended.
		s.fail(s.err.Error())
	}
}

func (s *lineSource) fail(reason string) {
	s.err = &itemError{s.unit(), s.batch.first + int64(len(s.batch.items)), reason}
}
