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

// scanWorkers is how many workers a scan has, beside the one that reads. It does not
// depend on the machine, so that neither does what counters that are not exact come
// to; and the counters of all of them should fit into the cache of one CPU.
const scanWorkers = 2

// A lineWorker counts the lines in data, which ends with whole lines, and may write
// to data. It returns how many lines there are and what is wrong with those that it
// left out. The calls of one worker come one after the other.
type lineWorker func(data []byte) (lines int64, bad []badLine)

// A badLine is a line that is left out.
type badLine struct {
	line   int64 // from 0, first in the data of a job and then in the input
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

// A scan is the way of standard input through workers that count lines: the order
// of their answers does not matter. Block i of the input goes to worker i modulo
// their number, and blocks do not depend on how the input arrives.
type scan struct {
	r     io.Reader
	sep   byte
	max   int // the longest line
	free  chan *scanJob
	order chan *scanJob // in the order of the input; has room for all jobs
	todo  []chan *scanJob

	mu      sync.Mutex
	next    int      // number of the next job
	current *scanJob // being filled: its buf is whole up to its length
	read    int64    // bytes
	stopped bool     // nothing is read any more
}

// A scanJob is whole lines.
type scanJob struct {
	buf  []byte
	data []byte // the part of buf with whole lines, or with the last line of the input
	err  error  // why the input ends behind data; nil if it does not
	long bool   // behind data was a line that is too long

	lines int64
	bad   []badLine
	done  chan struct{}
}

// scan has workers count the lines of standard input, or of the arguments if there
// are any.
func (e *env) scan(in inputFlags, workers int, newWorker func() lineWorker) scanned {
	s := &scan{r: e.stdin, sep: in.sep(), max: in.max}
	if len(e.args) > 0 {
		return e.scanArgs(newWorker())
	}
	e.greetTerminal()
	jobs := workers + 2
	s.free, s.order = make(chan *scanJob, jobs), make(chan *scanJob, jobs)
	for range jobs {
		s.free <- &scanJob{done: make(chan struct{}, 1)}
	}
	for range workers {
		todo := make(chan *scanJob, jobs)
		s.todo = append(s.todo, todo)
		work := newWorker()
		go func() {
			for j := range todo {
				j.lines, j.bad = work(j.data)
				j.done <- struct{}{}
			}
		}()
	}
	interrupt := e.interrupt
	if interrupt == nil {
		c := make(chan os.Signal, 1)
		signal.Notify(c, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(c)
		interrupt = c
	}
	go s.fill()
	return s.collect(e, interrupt)
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

// collect waits for the workers, until the input ends or somebody interrupts.
func (s *scan) collect(e *env, interrupt <-chan os.Signal) (got scanned) {
	p := newProgress(e, false)
	defer p.end()
	var tick <-chan time.Time
	if p.w != nil {
		ticker := time.NewTicker(progressEvery)
		defer ticker.Stop()
		tick = ticker.C
	}
	first := true
	for {
		select {
		case <-interrupt:
			got.interrupted = true
			interrupt = nil // the next one ends the program
			s.stop()
		case <-tick:
			s.mu.Lock()
			read := s.read
			s.mu.Unlock()
			p.at(got.lines, read)
		case j, ok := <-s.order:
			if !ok {
				for _, todo := range s.todo {
					close(todo)
				}
				return got
			}
			<-j.done
			if first && e.cmd != nil && e.cmd.rawKeys {
				p.end()
				e.warnOfInput(j.data, s.sep)
			}
			first = false
			for _, b := range j.bad {
				got.add(badLine{got.lines + b.line, b.reason})
			}
			got.lines += j.lines
			if j.long {
				got.add(badLine{got.lines, tooLong(s.max).Error()})
				got.lines++
			}
			if j.err != nil && j.err != io.EOF {
				got.err = j.err
			}
			s.free <- j
		}
	}
}

// stop ends the reading. What has been read of whole lines is one more job.
func (s *scan) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	j := s.current
	if j != nil {
		j.data = j.buf[:bytes.LastIndexByte(j.buf, s.sep)+1]
		s.give(j)
	}
	s.stopped = true
	close(s.order)
}

// give hands a job to its worker. s.mu is held.
func (s *scan) give(j *scanJob) {
	s.current = nil
	s.order <- j
	s.todo[s.next%len(s.todo)] <- j
	s.next++
}

// fill reads the input to its end.
func (s *scan) fill() {
	var rest []byte // the start of a line
	skipping := false
	for {
		j := <-s.free
		if cap(j.buf) < blockSize || cap(j.buf) > 2*blockSize {
			j.buf = make([]byte, 0, blockSize) // none yet, or one that grew for a long line
		}
		j.buf = append(j.buf[:0], rest...)
		var err error
		cut := 0
		for err == nil {
			if err = s.readBlock(j, !skipping); err == errStopped {
				return
			}
			if skipping { // the rest of a line that is too long
				at := bytes.IndexByte(j.buf, s.sep)
				skipping = at < 0
				j.buf = j.buf[:copy(j.buf, j.buf[at+1:])]
				if skipping {
					j.buf = j.buf[:0]
				}
				continue
			}
			cut = bytes.LastIndexByte(j.buf, s.sep) + 1
			if cut > 0 || len(j.buf) > s.max {
				break
			}
		}
		if skipping { // to the end of the input
			j.buf = j.buf[:0]
		}
		cut = bytes.LastIndexByte(j.buf, s.sep) + 1
		rest = append(rest[:0], j.buf[cut:]...)
		long := len(rest) > s.max
		if long {
			rest, skipping = rest[:0], true
		} else if err == io.EOF {
			cut = len(j.buf)
		}
		if !s.handOver(j, cut, long, err) || err != nil {
			return
		}
	}
}

// handOver gives j, with lines up to cut, to its worker. err is why there is no
// more. It reports false if nothing is to be read any more.
func (s *scan) handOver(j *scanJob, cut int, long bool, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	j.data, j.long, j.err = j.buf[:cut], long, err
	s.give(j)
	if err != nil {
		s.stopped = true
		close(s.order)
	}
	return true
}

var errStopped = errors.New("stopped")

// readBlock reads until j.buf is full, which it makes larger if it is, or the input
// ends. The error is errStopped if nothing is to be read any more. whole is that
// j.buf begins with a line.
func (s *scan) readBlock(j *scanJob, whole bool) (err error) {
	s.mu.Lock()
	if s.current = nil; whole {
		s.current = j
	}
	if len(j.buf) == cap(j.buf) { // one line, of at most s.max bytes
		grown := make([]byte, len(j.buf), min(2*len(j.buf), s.max+1))
		copy(grown, j.buf)
		j.buf = grown
	}
	s.mu.Unlock()
	for len(j.buf) < cap(j.buf) && err == nil {
		var n int
		n, err = readSome(s.r, j.buf[len(j.buf):cap(j.buf)])
		s.mu.Lock()
		if s.stopped {
			err = errStopped
		} else {
			j.buf = j.buf[:len(j.buf)+n]
			s.read += int64(n)
		}
		s.mu.Unlock()
	}
	return err
}

// report tells of the lines that were left out, and why there are no more, and
// returns the exit code.
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
