package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// A progress shows on the terminal how much of a long input has been read.
type progress struct {
	w     io.Writer // nil: nothing is shown
	lines int64
	read  int64 // bytes
	total int64 // size of the input at the beginning, or 0
	now   func() time.Time
	start time.Time
	next  time.Time
	shown bool
}

const (
	progressAfter = time.Second
	progressEvery = 200 * time.Millisecond
)

// newProgress returns a progress, which shows something only if standard error is a
// terminal, nobody types the input, and no answers go to a terminal.
func newProgress(e *env, answers bool) *progress {
	p := &progress{now: e.now}
	if !e.terminal(e.stderr) || e.terminal(e.stdin) || answers && e.terminal(e.stdout) {
		return p
	}
	p.w = e.stderr
	if f, ok := e.stdin.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			p.total = info.Size()
		}
	}
	p.start = p.now()
	p.next = p.start.Add(progressAfter)
	return p
}

// add adds to the amount of work done.
func (p *progress) add(lines, read int) { p.at(p.lines+int64(lines), p.read+int64(read)) }

// at sets the amount of work done.
func (p *progress) at(lines, read int64) {
	if p.w == nil {
		return
	}
	p.lines, p.read = lines, read
	now := p.now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(progressEvery)
	p.shown = true
	fmt.Fprintf(p.w, "\r\x1b[K%.1f million lines, %d MB", float64(p.lines)/1e6, p.read/1e6)
	if p.total > 0 && p.read <= p.total { // it has not grown
		fmt.Fprintf(p.w, " of %d (%d%%)", p.total/1e6, 100*p.read/p.total)
	}
	fmt.Fprintf(p.w, ", %.0f MB/s", float64(p.read)/1e6/now.Sub(p.start).Seconds())
}

// end clears the line.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}
