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
	// valkey.conf, by default.
	maxMax    = 512 << 20
	batchSize = 1024 // how many lines a worker gets at once
	// More workers are no faster: reading and writing limit the speed.
	maxWorkers = 8
)

// inputFlags are the options of a command that works on its arguments, or on
// the lines of standard input if there are none.
type inputFlags struct {
	nul bool
	max int
}

func (f *inputFlags) add(fs *flag.FlagSet) {
	fs.BoolVar(&f.nul, "0", false, "lines of standard input end with a NUL byte, not a newline")
	fs.IntVar(&f.max, "max", defaultMax, fmt.Sprintf("the longest line of standard input, from 1 to %d `bytes`", maxMax))
}

func (f *inputFlags) check() error {
	if f.max < 1 || f.max > maxMax {
		return fmt.Errorf("-max must be from 1 to %d, not %d", maxMax, f.max)
	}
	return nil
}

func (f *inputFlags) sep() byte {
	if f.nul {
		return 0
	}
	return '\n'
}

// A worker answers items in order: it appends the answers to o.buf, and returns the
// number of items that it answered. If that is not all of them, the error says what is
// wrong with the next one. The worker may overwrite the items, but not keep them. Calls
// of one worker never overlap.
type worker func(o *output, items [][]byte) (int, error)

// answer passes all arguments, or all lines of standard input, to workers, writes the
// answers in order, and returns the exit code. It answers what it has read, however
// little, before it waits for more. It holds at most workers+2 blocks with their answers.
// A line that is longer than a block takes the place of one, and its answer is not held.
//
// If workers is 1, a single worker gets all items, in order. Otherwise there is a worker
// for each CPU, up to workers of them, and one more.
func (e *env) answer(in inputFlags, workers int, newWorker func() worker) int {
	if len(e.args) > 0 {
		return e.answerArgs(newWorker())
	}
	e.greetTerminal()
	workers = min(workers, runtime.GOMAXPROCS(0))
	jobs := workers + 2 // one to read and one to write
	s := &stream{
		r: e.stdin, sep: in.sep(), max: in.max,
		free: make(chan *job, jobs), order: make(chan *job, jobs),
		quit: make(chan struct{}),
	}
	defer close(s.quit)
	for range jobs {
		s.free <- &job{done: make(chan struct{}, 1)}
	}
	if workers > 1 {
		s.todo = make(chan *job, jobs)
		for range workers {
			go s.work(newWorker())
		}
	}
	go s.read()
	return e.write(s, newWorker())
}

// greetTerminal says that the command waits for input, if the input is a terminal.
func (e *env) greetTerminal() {
	if !e.terminal(e.stdin) {
		return
	}
	fmt.Fprintf(e.stderr, "%s: reading lines from the terminal, until %s (%[1]s -h for help)\n", e.title(), endOfInput(runtime.GOOS))
}

// endOfInput returns the keys that end the input of a terminal.
func endOfInput(goos string) string {
	if goos == "windows" {
		return "Ctrl-Z and Enter"
	}
	return "Ctrl-D"
}

func (e *env) answerArgs(work worker) int {
	items := make([][]byte, len(e.args))
	for i, arg := range e.args {
		items[i] = []byte(arg)
	}
	o := output{w: e.stdout}
	n, bad := work(&o, items)
	if err := o.flush(); err != nil {
		return e.fail(err)
	}
	if bad != nil {
		return e.badUse(fmt.Errorf("argument %d: %w", n+1, bad))
	}
	return exitOK
}

// A stream passes standard input through the workers: read cuts it into jobs, work
// does them, and write writes their answers in the order of the input.
type stream struct {
	r     io.Reader
	sep   byte
	max   int           // the longest line
	free  chan *job     // to read into
	todo  chan *job     // to work on; nil if write does the work
	order chan *job     // to write; may be in work
	quit  chan struct{} // closed when writing has ended
}

// A job has whole lines and the answers to them.
type job struct {
	buf  []byte
	data []byte // the part of buf with the lines; only at the end of the input the last may have no end
	size int    // bytes read for it
	then error  // why data is the last: io.EOF or another error; nil if another job follows

	out  output
	n    int   // items answered
	err  error // what is wrong with the next
	done chan struct{}
}

// read makes jobs of the input until the input ends, cannot be read on, or is no longer
// needed.
func (s *stream) read() {
	if s.todo != nil {
		defer close(s.todo)
	}
	var rest []byte // the start of a line
	for {
		var j *job
		select {
		case j = <-s.free:
		case <-s.quit:
			return
		}
		rest = s.fill(j, rest)
		then := j.then
		s.order <- j // has room for all jobs
		if s.todo != nil {
			s.todo <- j
		}
		if then != nil {
			return
		}
	}
}

// fill reads rest and at least up to the end of its line into j, and returns the start of
// the next line, the new rest.
func (s *stream) fill(j *job, rest []byte) []byte {
	if cap(j.buf) < blockSize || cap(j.buf) > 2*blockSize {
		j.buf = make([]byte, 0, blockSize) // none yet, or one that grew for a long line
	}
	j.buf, j.size, j.then = append(j.buf[:0], rest...), 0, nil
	for {
		if len(j.buf) == cap(j.buf) {
			// All of it is one line so far, of at most s.max bytes.
			grown := make([]byte, len(j.buf), min(2*len(j.buf), s.max+1))
			copy(grown, j.buf)
			j.buf = grown
		}
		old := len(j.buf)
		n, err := readSome(s.r, j.buf[old:cap(j.buf)])
		j.buf = j.buf[:old+n]
		j.size += n
		j.then = err
		if n := old + bytes.LastIndexByte(j.buf[old:], s.sep) + 1; n > old {
			j.data = j.buf[:n]
			rest = append(rest[:0], j.buf[n:]...)
		} else if len(j.buf) > s.max || err != nil {
			j.data = nil
			rest = j.buf
		} else {
			continue
		}
		switch {
		case len(rest) > s.max:
			j.then = s.tooLong()
		case err == io.EOF:
			j.data = j.buf
		}
		return rest
	}
}

// readSome calls r.Read until it returns data or an error.
func readSome(r io.Reader, p []byte) (n int, err error) {
	for range 100 {
		if n, err = r.Read(p); n > 0 || err != nil {
			return n, err
		}
	}
	return n, io.ErrNoProgress
}

func (s *stream) tooLong() error { return tooLong(s.max) }

func tooLong(max int) error {
	return fmt.Errorf("longer than %d bytes, the limit that -max sets", max)
}

func (s *stream) work(work worker) {
	for j := range s.todo {
		if !j.long() {
			s.answer(j, &j.out, work)
		}
		j.done <- struct{}{}
	}
}

// long reports whether the answers of j may be too large to hold: j has a line that is
// longer than a block.
func (j *job) long() bool { return len(j.data) > 2*blockSize }

// answer answers the lines of j.
func (s *stream) answer(j *job, o *output, work worker) {
	j.n, j.err = 0, nil
	var array [batchSize][]byte
	for data := j.data; len(data) > 0 && j.err == nil; {
		items, rest, tooLong := s.split(array[:0], data)
		n, err := work(o, items)
		data = rest
		j.n += n
		if j.err = err; err == nil {
			j.err = tooLong
		}
	}
}

// split appends the first lines of data to items, until items is full or a
// line is too long, and returns the rest of data.
func (s *stream) split(items [][]byte, data []byte) ([][]byte, []byte, error) {
	for len(data) > 0 && len(items) < cap(items) {
		line, rest := data, data[len(data):]
		if n := bytes.IndexByte(data, s.sep); n >= 0 {
			line, rest = data[:n], data[n+1:]
		}
		if len(line) > s.max {
			return items, nil, s.tooLong()
		}
		items = append(items, line)
		data = rest
	}
	return items, data, nil
}

// write writes the answers and returns the exit code.
func (e *env) write(s *stream, work worker) int {
	unit := "line"
	if s.sep == 0 {
		unit = "NUL-ended line"
	}
	p := newProgress(e, true)
	defer p.end()
	lines := int64(0)
	first := true
	for {
		j := <-s.order
		if s.todo != nil {
			<-j.done
		}
		if first && e.cmd != nil && e.cmd.rawKeys {
			e.warnOfInput(j.data, s.sep)
			first = false
		}
		o := &j.out
		o.w = e.stdout
		if s.todo == nil || j.long() {
			s.answer(j, o, work)
		}
		if err := o.flush(); err != nil {
			return e.fail(err)
		}
		o.w = nil
		lines += int64(j.n)
		err := j.err
		if err == nil {
			err = j.then
		}
		if err == io.EOF {
			return exitOK
		} else if err != nil {
			p.end()
			return e.fail(fmt.Errorf("%s %d: %w", unit, lines+1, err))
		}
		p.add(j.n, j.size)
		s.free <- j
	}
}
