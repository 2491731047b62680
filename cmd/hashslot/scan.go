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
)

// A scanSplit says how the work of a scan is divided.
type scanSplit struct {
	workers int
	block   int // bytes that a worker reads at once
	ahead   int // how many of them serve only to find the end of the last line
	window  int // blocks, at least workers, that may be in work or counted out of order
}

// statSplit is the same on every machine, so that inexact counters give the same results
// everywhere. The counters of all workers fit into the cache of one CPU, and so does a
// block.
var statSplit = scanSplit{workers: 2, block: 256 << 10, ahead: 4 << 10, window: 32}

// A lineWorker counts the lines in data, which has only whole lines, and may overwrite
// data. It returns the number of lines, and what is wrong with the lines that it left
// out. Calls of one worker never overlap.
type lineWorker func(data []byte) (lines int64, bad badLines)

// A badLine is a line that is left out.
type badLine struct {
	line   int64 // from 0; counted within the block at first, later within the input
	reason string
}

// badLines are lines that are left out, in order.
type badLines struct {
	first []badLine // the first maxBadLines of them
	n     int64     // how many there are
}

const maxBadLines = 10 // more are only counted

func (b *badLines) add(line int64, reason error) {
	if b.n++; len(b.first) < maxBadLines {
		b.first = append(b.first, badLine{line, reason.Error()})
	}
}

// A scanned is the result of a scan, without the counters of its workers.
type scanned struct {
	lines       int64
	bad         badLines
	interrupted bool
	err         error // of reading
	errLine     int64 // where
	behind      bool  // some lines after errLine are counted, too
}

// A randomInput is an input that can be read at any offset.
type randomInput interface {
	io.ReaderAt
	io.Seeker
	Size() int64
}

type regularFile struct {
	*os.File
	size int64
}

func (f regularFile) Size() int64 { return f.size }

// asRandom returns r as a randomInput if it is one.
func asRandom(r io.Reader) (_ randomInput, ok bool) {
	if f, ok := r.(*os.File); ok {
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() {
			return nil, false
		}
		return regularFile{f, info.Size()}, true
	}
	file, ok := r.(randomInput)
	return file, ok
}

// A scan passes standard input through workers that count lines. Block i of the input
// goes to worker i modulo the number of workers. The blocks do not depend on how the
// input arrives.
//
// The blocks of a file have fixed places, and each worker reads its own. It skips a line
// that begins before the block, and reads to the end of the last line that begins in the
// block. The rest behind the last whole block, and all of an input that is not a file, is
// read by turns: one worker reads a block while the others count the lines of theirs.
type scan struct {
	e       *env
	sep     byte
	max     int // the longest line
	split   scanSplit
	workers []*scanWorker
	ended   chan struct{} // closed when no more is read by turns
	counted chan struct{} // closed when, in addition, all blocks are counted

	file  io.ReaderAt
	start int64 // the place of block 0
	apart int   // how many blocks have fixed places

	// These belong to the worker whose turn it is to read.
	r        io.Reader
	turns    int    // the block that it reads
	rest     []byte // the start of a line, behind the last block
	skipping bool   // the rest of the current line is too long, or counted already

	mu       sync.Mutex
	moved    sync.Cond     // next has changed, or stopped
	current  *scanWorker   // the worker that reads; its buf begins with a line
	read     int64         // bytes; the one before the place where reading by turns starts counts once
	given    int           // all blocks in front of this one are read, or will be
	next     int           // all blocks in front of this one are counted and added to got
	stopped  bool          // no further blocks are read
	results  []blockResult // of the blocks from next on, by their number modulo split.window
	got      scanned
	progress *progress
}

// A scanWorker counts the lines of one block at a time.
type scanWorker struct {
	turn chan struct{} // to read the next block
	work lineWorker
	buf  []byte
}

// A block is the part of the input that a worker reads at once.
type block struct {
	number int
	data   []byte // whole lines; the last line of the input may have no end
	long   bool   // data is followed by a line that is too long
	err    error  // why the input after data cannot be read
}

// A blockResult is the result of counting the lines of a block.
type blockResult struct {
	counted bool
	lines   int64
	bad     badLines
	err     error
}

// scan counts the lines of standard input, or the arguments if there are any, by
// workers.
func (e *env) scan(in inputFlags, split scanSplit, newWorker func() lineWorker) scanned {
	if len(e.args) > 0 {
		return e.scanArgs(newWorker())
	}
	s := &scan{
		e: e, r: e.stdin, sep: in.sep(), max: in.max, split: split, progress: newProgress(e, false),
		ended: make(chan struct{}), counted: make(chan struct{}), results: make([]blockResult, split.window),
	}
	s.moved.L = &s.mu
	s.place()
	e.greetTerminal()
	for range split.workers {
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
	s.workers[s.apart%split.workers].turn <- struct{}{}
	for i := range s.workers {
		go s.run(i)
	}
	for {
		select {
		case <-interrupt:
			restore() // the next signal ends the program
			interrupt = nil
			s.stop()
		case <-s.counted:
			return s.got
		}
	}
}

func (e *env) scanArgs(work lineWorker) (got scanned) {
	for i, arg := range e.args {
		_, bad := work(append([]byte(arg), 0))
		for _, b := range bad.first {
			got.bad.add(int64(i), errors.New(b.reason))
		}
	}
	return got
}

// place gives the blocks of a file fixed places, and moves the file offset behind them.
// It does nothing for a single worker, which gains nothing by that.
func (s *scan) place() {
	file, ok := asRandom(s.r)
	if !ok || s.split.workers == 1 {
		return
	}
	start, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return
	}
	apart := max(file.Size()-start, 0) / int64(s.stride())
	if apart == 0 {
		return
	}
	// Start one byte early: if that byte ends a line, the next line is whole.
	if _, err = file.Seek(start+apart*int64(s.stride())-1, io.SeekStart); err != nil {
		return
	}
	s.file, s.start, s.apart, s.turns, s.skipping, s.read = file, start, int(apart), int(apart), true, -1
}

// stride is the distance between fixed places.
func (s *scan) stride() int { return s.split.block - s.split.ahead }

// run counts the lines of all blocks of worker i.
func (s *scan) run(i int) {
	w := s.workers[i]
	for number := i; number < s.apart; number += len(s.workers) {
		if !s.begin(number) {
			break
		}
		b := s.readAt(w, number)
		if b.err != nil {
			s.fail()
		}
		s.count(w, b)
	}
	for {
		select {
		case <-w.turn:
		case <-s.ended:
			return
		}
		b, ok := s.readNext(w)
		if !ok {
			return
		}
		s.workers[s.turns%len(s.workers)].turn <- struct{}{}
		s.count(w, b)
	}
}

// begin waits until a block with a fixed place may be read. It reports false if reading
// has ended before the block.
func (s *scan) begin(number int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wait(number)
	if s.stopped && number >= s.given {
		return false
	}
	s.given = max(s.given, number+1)
	s.read += int64(s.stride())
	return true
}

// wait waits until there is room for the result of a block. s.mu is held.
func (s *scan) wait(number int) {
	for number >= s.next+len(s.results) {
		s.moved.Wait()
	}
}

// readAt reads a block with a fixed place.
func (s *scan) readAt(w *scanWorker, number int) block {
	b := block{number: number}
	from, edge := s.start, s.stride() // the block has the lines that begin before edge
	if number > 0 {
		from += int64(number)*int64(s.stride()) - 1
		edge++
	}
	w.room(s.split.block)
	data := w.buf[:edge+s.split.ahead]
	n, err := s.file.ReadAt(data, from)
	data = data[:n]
	begin := 0
	if number > 0 {
		begin = bytes.IndexByte(data, s.sep) + 1
		if begin == 0 { // no line begins here
			if b.err = err; err == io.EOF {
				b.err = nil
			}
			return b
		}
	}
	at := min(edge-1, n)
	last := begin + bytes.LastIndexByte(data[begin:max(begin, at)], s.sep) + 1 // the last line of the block
	for {
		end := bytes.IndexByte(data[at:], s.sep)
		switch {
		case end >= 0:
			b.data = data[begin : at+end+1]
			return b
		case len(data)-last > s.max:
			b.data, b.long = data[begin:last], true
			return b
		case err == io.EOF:
			b.data = data[begin:]
			return b
		case err != nil:
			b.data, b.err = data[begin:last], err
			return b
		}
		at = len(data)
		data = append(data, make([]byte, min(at, last+s.max+1-at))...)
		n, err = s.file.ReadAt(data[at:], from+int64(at))
		data = data[:at+n]
		w.buf = data
	}
}

// room makes w.buf large enough for a block, and replaces one that has grown much larger
// for a long line.
func (w *scanWorker) room(block int) {
	if cap(w.buf) <= block || cap(w.buf) > 2*block+1 {
		w.buf = make([]byte, 0, block+1)
	}
}

// count counts the lines of a block, then adds up the results of blocks that are
// complete, in order.
func (s *scan) count(w *scanWorker, b block) {
	if b.number == 0 {
		s.mu.Lock()
		s.progress.end()
		s.e.warnOfInput(b.data, s.sep)
		s.mu.Unlock()
	}
	lines, bad := w.work(b.data)
	if b.long {
		bad.add(lines, tooLong(s.max))
		lines++
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results[b.number%len(s.results)] = blockResult{true, lines, bad, b.err}
	for {
		r := &s.results[s.next%len(s.results)]
		if !r.counted {
			break
		}
		s.next++
		s.got.add(r)
		if r.err != nil && s.got.err == nil {
			s.got.err, s.got.errLine, s.got.behind = r.err, s.got.lines, s.next < s.given
		}
		*r = blockResult{}
	}
	s.progress.at(s.got.lines, s.read)
	s.moved.Broadcast()
	s.finish()
}

// add adds the result of the next block.
func (g *scanned) add(r *blockResult) {
	for _, b := range r.bad.first {
		if len(g.bad.first) < maxBadLines {
			g.bad.first = append(g.bad.first, badLine{g.lines + b.line, b.reason})
		}
	}
	g.bad.n += r.bad.n
	g.lines += r.lines
}

// stop ends the reading. The whole lines that have been read by turns so far are one more
// block. They are counted here, because their worker still waits for input.
func (s *scan) stop() {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return
	}
	s.got.interrupted = true
	w, b := s.current, block{number: s.turns}
	if w != nil {
		b.data = w.buf[:bytes.LastIndexByte(w.buf, s.sep)+1]
		s.given = s.turns + 1
	}
	s.end()
	s.mu.Unlock()
	if w != nil {
		s.count(w, b)
	}
}

// fail ends the reading because a block with a fixed place cannot be read.
func (s *scan) fail() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.end()
	}
}

// end ends the reading. s.mu is held.
func (s *scan) end() {
	s.stopped = true
	close(s.ended)
	s.finish()
}

// finish closes s.counted if everything is read and counted. s.mu is held.
func (s *scan) finish() {
	if s.stopped && s.next == s.given {
		close(s.counted)
	}
}

// readNext reads the next block by turns. ok is false if reading has stopped.
func (s *scan) readNext(w *scanWorker) (_ block, ok bool) {
	w.room(s.split.block)
	w.buf = append(w.buf[:0], s.rest...)
	s.mu.Lock()
	s.wait(s.turns)
	stopped := s.stopped
	s.mu.Unlock()
	if stopped { // the input has ended: scan may have returned, and its caller may use it
		return block{}, false
	}
	var err error
	for err == nil {
		if err = s.readBlock(w, !s.skipping); err == errStopped {
			return block{}, false
		}
		if s.skipping {
			at := bytes.IndexByte(w.buf, s.sep)
			s.skipping = at < 0
			w.buf = w.buf[:copy(w.buf, w.buf[at+1:])]
			if s.skipping {
				w.buf = w.buf[:0]
			}
			continue
		}
		if len(w.buf) > s.max || bytes.IndexByte(w.buf, s.sep) >= 0 {
			break
		}
	}
	cut := bytes.LastIndexByte(w.buf, s.sep) + 1
	s.rest = append(s.rest[:0], w.buf[cut:]...)
	b := block{number: s.turns}
	if b.long = len(s.rest) > s.max; b.long {
		s.rest, s.skipping = s.rest[:0], true
	} else if err == io.EOF {
		cut = len(w.buf)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return block{}, false
	}
	s.current = nil
	b.data = w.buf[:cut]
	if err != io.EOF {
		b.err = err
	}
	s.turns++
	s.given = s.turns
	if err != nil {
		s.end()
	}
	return b, true
}

var errStopped = errors.New("stopped")

// readBlock reads until w.buf is full or the input ends. If w.buf is full already, it
// grows first. whole says that w.buf begins with a line. The error is errStopped if
// reading has stopped.
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
			s.progress.at(s.got.lines, s.read)
		}
		s.mu.Unlock()
	}
	return err
}

// report prints which lines were left out and why reading ended, and returns the exit
// code.
func (g *scanned) report(e *env, unit string) int {
	code := exitOK
	for _, b := range g.bad.first {
		code = e.fail(fmt.Errorf("%s %d is left out: %s", unit, b.line+1, b.reason))
	}
	if more := g.bad.n - int64(len(g.bad.first)); more > 0 {
		code = e.fail(fmt.Errorf("%s left out", count(int(more), "more "+unit+" is", "more "+unit+"s are")))
	}
	if g.err != nil {
		what := ""
		if g.behind {
			what = ", and some after it"
		}
		code = e.fail(fmt.Errorf("%s %d: %w; the report covers the lines before it%s", unit, g.errLine+1, g.err, what))
	}
	if g.interrupted {
		code = e.fail(fmt.Errorf("interrupted: the report covers the first %d lines", g.lines))
	}
	return code
}

// warnOfInput warns about a byte order mark or a carriage return in the first line,
// because these become part of keys, unless the command ignores carriage returns.
func (e *env) warnOfInput(data []byte, sep byte) {
	line, _, _ := bytes.Cut(data, []byte{sep})
	what := ""
	switch {
	case bytes.HasPrefix(line, []byte("\xff\xfe")) || bytes.HasPrefix(line, []byte("\xfe\xff")):
		what = "the input begins with the byte order mark of UTF-16, but keys are read byte by byte: convert the input to UTF-8"
	case bytes.HasPrefix(line, []byte("\xef\xbb\xbf")):
		what = "the input begins with a byte order mark, which counts as part of the first line"
	case sep == '\n' && bytes.HasSuffix(line, []byte("\r")) && !e.trims:
		what = "the first line ends with a carriage return, which counts as part of the line, in every line"
	default:
		return
	}
	fmt.Fprintf(e.stderr, "%s: warning: %s\n", e.title(), what)
}
