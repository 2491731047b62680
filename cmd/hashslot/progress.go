package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// A progress says on the terminal how far a command is that takes a while.
type progress struct {
	w     io.Writer // nil: to nobody
	in    source
	total int64 // size of the input, or 0
	items int64
	now   func() time.Time
	start time.Time
	next  time.Time
	shown bool
}

const (
	progressAfter = time.Second
	progressEvery = 200 * time.Millisecond
	progressFrom  = 16 << 20 // bytes read: less is no long work, but a slow input
)

// newProgress shows progress if standard error is a terminal, and one that
// standard output does not write to.
func newProgress(e *env, in source) *progress {
	p := &progress{in: in, now: time.Now}
	if _, ok := in.(*lineSource); !ok || !e.terminal(e.stderr) || e.terminal(e.stdout) {
		return p
	}
	p.w = e.stderr
	if f, ok := e.stdin.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			p.total = info.Size()
		}
	}
	p.begin()
	return p
}

func (p *progress) begin() {
	p.start = p.now()
	p.next = p.start.Add(progressAfter)
}

// add takes note of n items done.
func (p *progress) add(n int) {
	p.items += int64(n)
	if p.w == nil || p.in.read() < progressFrom {
		return
	}
	now := p.now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(progressEvery)
	p.shown = true
	read := p.in.read()
	fmt.Fprintf(p.w, "\r\x1b[K%.1f million keys, %d MB", float64(p.items)/1e6, read/1e6)
	if p.total > 0 {
		fmt.Fprintf(p.w, " of %d (%d%%)", p.total/1e6, 100*read/p.total)
	}
	fmt.Fprintf(p.w, ", %.0f MB/s", float64(read)/1e6/now.Sub(p.start).Seconds())
}

// end takes the line away.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
