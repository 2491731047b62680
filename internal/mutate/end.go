package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// untilSignal returns a context that ends with the first signal to stop, or with the parent
// of this process: go run does not pass signals on. Signals that the parent ignores for us
// stay ignored, and under nohup the end of the parent counts for nothing.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	alone := signal.Ignored(syscall.SIGHUP)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	parent := os.Getppid()
	go func() {
		defer signal.Stop(signals) // a second signal ends the process at once
		second := time.NewTicker(time.Second)
		defer second.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-signals:
				cancel(fmt.Errorf("stopped by a signal: %v", s))
			case <-second.C:
				if !alone && os.Getppid() != parent {
					cancel(errors.New("stopped, because the parent process has ended; nohup prevents that"))
				}
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// goCommand is a go command that ends with the context. A compiler that it has started ends
// soon after. Its temporary files are in m.dir.
func (m *mutator) goCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	endWithParent(cmd)
	cmd.Env = append(os.Environ(), "GOTMPDIR="+m.dir)
	cmd.WaitDelay = time.Second
	return cmd
}
