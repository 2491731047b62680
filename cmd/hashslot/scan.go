package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// scanWorkers is how many workers a scan has. It does not depend on the machine, so
// that neither do the results of counters that are not exact; and the counters of all
// workers should fit into the cache of one CPU.
const scanWorkers = 2

// scanBlock is how much a worker reads at once: so much that waking the next worker
// costs little beside it, and so little that it stays in the cache of a CPU.
const scanBlock = 256 << 10

// A lineWorker counts the lines in data, which ends with whole lines, and may write
// to data. It returns how many lines there are and what is wrong with those that it
// left out. The calls of one worker come one after the other.
type lineWorker func(data []byte) (lines int64, bad []badLine)

// A badLine is a line that is left out.
type badLine struct {
	line   int64 // from 0, first in the block and then in the input
	reason string
}

// A scanned is what a scan saw.
type scanned struct {
	lines       int64
	bad         []badLine // the first of them
	badLines    int64
	interrupted bool
	err         error // of reading
}

const maxBadLines = 10 // are named

// A scan is the way of standard input through workers that count lines. The workers
// take turns at reading a block each, and count its lines while others read. So block
// i of the input goes to worker i modulo their number, and the blocks do not depend on
// how the input arrives.
type scan struct {
	e       *env
	r       io.Reader
	sep     byte
	max     int // the longest line
	workers []*scanWorker
	ended   chan struct{} // closed when nothing is read any more
	counted chan struct{} // closed when, moreover, all blocks are counted

	// Of the worker whose turn it is.
	rest     []byte // the start of a line, behind the last block
	skipping bool   // it is part of a line that is too long

	mu       sync.Mutex
	current  *scanWorker // reads: its buf is whole up to its length
	read     int64       // bytes
	given    int         // how many blocks were read
	next     int         // how many of them are counted and added to got
	stopped  bool        // nothing is read any more
	got      scanned
	progress *progress
}

// A scanWorker counts the lines of one block at a time.
type scanWorker struct {
	turn chan struct{} // to read the next block
	work lineWorker

	// Of a block.
	buf     []byte
	data    []byte // the part of buf with whole lines, or with the last line of the input
	err     error  // why the input ends behind data; nil if it does not
	long    bool   // behind data was a line that is too long
	counted bool   // but not yet added to what all got
	lines   int64
	bad     []badLine
}

// scan has workers count the lines of standard input, or of the arguments if there
// are any.
func (e *env) scan(in inputFlags, workers int, newWorker func() lineWorker) scanned {
	if len(e.args) > 0 {
		return e.scanArgs(newWorker())
	}
	s := &scan{
		e: e, r: e.stdin, sep: in.sep(), max: in.max, progress: newProgress(e, false),
		ended: make(chan struct{}), counted: make(chan struct{}),
	}
	e.greetTerminal()
	for range workers {
		s.workers = append(s.workers, &scanWorker{turn: make(chan struct{}, 1), work: newWorker()})
	}
	interrupt, restore := e.interrupt, func() {}
	if interrupt == nil {
		c := make(chan os.Signal, 1)
		signal.Notify(c, os.Interrupt, syscall.SIGTERM)
		interrupt, restore = c, func() { signal.Stop(c) }
	}
	defer restore()
	defer s.progress.end()
	var tick <-chan time.Time
	if s.progress.w != nil {
		ticker := time.NewTicker(progressEvery)
		defer ticker.Stop()
		tick = ticker.C
	}
	for i, w := range s.workers {
		go s.run(w, s.workers[(i+1)%workers])
	}
	s.workers[0].turn <- struct{}{}
	for {
		select {
		case <-interrupt:
			restore() // the next one ends the program
			interrupt = nil
			s.stop()
		case <-tick:
			s.mu.Lock()
			s.progress.at(s.got.lines, s.read)
			s.mu.Unlock()
		case <-s.counted:
			return s.got
		}
	}
}

func (e *env) scanArgs(work lineWorker) (got scanned) {
	for i, arg := range e.args {
		_, bad := work(append([]byte(arg), 0))
		for _, b := range bad {
			got.add(badLine{int64(i), b.reason})
		}
		got.lines++
	}
	return got
}

func (g *scanned) add(b badLine) {
	if g.badLines++; len(g.bad) < maxBadLines {
		g.bad = append(g.bad, b)
	}
}

// run has w read a block, let the next worker read, and count the lines, until there
// is no more to read.
func (s *scan) run(w, next *scanWorker) {
	for {
		select {
		case <-w.turn:
		case <-s.ended:
			return
		}
		first := s.read == 0
		if !s.fill(w) {
			return
		}
		if first && s.e.cmd != nil && s.e.cmd.rawKeys {
			s.mu.Lock()
			s.progress.end()
			s.e.warnOfInput(w.data, s.sep)
			s.mu.Unlock()
		}
		next.turn <- struct{}{}
		s.count(w)
	}
}

// count counts the lines of a block, and adds all blocks that are counted, in their
// order.
func (s *scan) count(w *scanWorker) {
	w.lines, w.bad = w.work(w.data)
	s.mu.Lock()
	defer s.mu.Unlock()
	for w.counted = true; ; s.next++ {
		w := s.workers[s.next%len(s.workers)]
		if !w.counted {
			break
		}
		w.counted = false
		for _, b := range w.bad {
			s.got.add(badLine{s.got.lines + b.line, b.reason})
		}
		s.got.lines += w.lines
		if w.long {
			s.got.add(badLine{s.got.lines, tooLong(s.max).Error()})
			s.got.lines++
		}
		if w.err != nil && w.err != io.EOF {
			s.got.err = w.err
		}
	}
	s.finish()
}

// stop ends the reading. What has been read of whole lines is one more block: it is
// counted here, as its worker waits for the rest.
func (s *scan) stop() {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return
	}
	s.got.interrupted = true
	w := s.current
	if w != nil {
		w.data = w.buf[:bytes.LastIndexByte(w.buf, s.sep)+1]
		s.given++
	}
	s.end()
	s.mu.Unlock()
	if w != nil {
		s.count(w)
	}
}

// end ends the reading. s.mu is held.
func (s *scan) end() {
	s.stopped = true
	close(s.ended)
	s.finish()
}

// finish notices that all is read and counted. s.mu is held.
func (s *scan) finish() {
	if s.stopped && s.next == s.given {
		close(s.counted)
	}
}

// fill reads a block into w. It reports false if nothing is to be read any more.
func (s *scan) fill(w *scanWorker) bool {
	if cap(w.buf) < scanBlock || cap(w.buf) > 2*scanBlock {
		w.buf = make([]byte, 0, scanBlock) // none yet, or one that grew for a long line
	}
	w.buf = append(w.buf[:0], s.rest...)
	var err error
	cut := 0
	for err == nil {
		if err = s.readBlock(w, !s.skipping); err == errStopped {
			return false
		}
		if s.skipping { // the rest of a line that is too long
			at := bytes.IndexByte(w.buf, s.sep)
			s.skipping = at < 0
			w.buf = w.buf[:copy(w.buf, w.buf[at+1:])]
			if s.skipping {
				w.buf = w.buf[:0]
			}
			continue
		}
		cut = bytes.LastIndexByte(w.buf, s.sep) + 1
		if cut > 0 || len(w.buf) > s.max {
			break
		}
	}
	if s.skipping { // to the end of the input
		w.buf = w.buf[:0]
	}
	cut = bytes.LastIndexByte(w.buf, s.sep) + 1
	s.rest = append(s.rest[:0], w.buf[cut:]...)
	long := len(s.rest) > s.max
	if long {
		s.rest, s.skipping = s.rest[:0], true
	} else if err == io.EOF {
		cut = len(w.buf)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.current = nil
	s.given++
	w.data, w.long, w.err = w.buf[:cut], long, err
	if err != nil {
		s.end()
	}
	return true
}

var errStopped = errors.New("stopped")

// readBlock reads until w.buf is full, which it makes larger if it is, or the input
// ends. The error is errStopped if nothing is to be read any more. whole is that
// w.buf begins with a line.
func (s *scan) readBlock(w *scanWorker, whole bool) (err error) {
	s.mu.Lock()
	if s.current = nil; whole {
		s.current = w
	}
	if len(w.buf) == cap(w.buf) { // one line, of at most s.max bytes
		grown := make([]byte, len(w.buf), min(2*len(w.buf), s.max+1))
		copy(grown, w.buf)
		w.buf = grown
	}
	s.mu.Unlock()
	for len(w.buf) < cap(w.buf) && err == nil {
		var n int
		n, err = readSome(s.r, w.buf[len(w.buf):cap(w.buf)])
		s.mu.Lock()
		if s.stopped {
			err = errStopped
		} else {
			w.buf = w.buf[:len(w.buf)+n]
			s.read += int64(n)
		}
		s.mu.Unlock()
	}
	return err
}

// report prints which lines were left out and why the reading ended, and returns the
// exit code.
func (g *scanned) report(e *env, unit string) int {
	code := exitOK
	for _, b := range g.bad {
		code = e.fail(fmt.Errorf("%s %d is left out: %s", unit, b.line+1, b.reason))
	}
	if more := g.badLines - int64(len(g.bad)); more > 0 {
		code = e.fail(fmt.Errorf("%d more are left out", more))
	}
	if g.err != nil {
		code = e.fail(fmt.Errorf("%s %d: %w; the report is of what is in front of it", unit, g.lines+1, g.err))
	}
	if g.interrupted {
		code = e.fail(fmt.Errorf("interrupted: the report is of the first %d lines", g.lines))
	}
	return code
}

// warnOfInput warns of what the first lines of an input begin or end with, and
// nobody means.
func (e *env) warnOfInput(data []byte, sep byte) {
	line, _, _ := bytes.Cut(data, []byte{sep})
	what := ""
	switch {
	case bytes.HasPrefix(line, []byte("\xff\xfe")) || bytes.HasPrefix(line, []byte("\xfe\xff")):
		what = "the input begins with the byte order mark of UTF-16, and is read as bytes"
	case bytes.HasPrefix(line, []byte("\xef\xbb\xbf")):
		what = "the input begins with a byte order mark, which is part of the first line"
	case sep == '\n' && bytes.HasSuffix(line, []byte("\r")):
		what = "the first line ends with a carriage return, which is part of it, as in each line"
	default:
		return
	}
	fmt.Fprintf(e.stderr, "%s: warning: %s\n", e.title(), what)
}
