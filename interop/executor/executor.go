// Package executor carries out the steps of a plan on live servers. It is an example, made
// to be copied and changed.
package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot/slotmap/plan"
)

// An Executor carries out steps. It must not be copied. Close it at the end.
type Executor struct {
	Dial func(addr string) (redis.Conn, error) // makes a connection

	// With Auth the source of a MIGRATE authenticates at the target.
	Auth plan.Auth

	// Reached, if not nil, is called when all steps before index next are done. It
	// should store next beside the steps: after a crash, Run continues from next. An
	// error stops the executor.
	Reached func(next int) error

	// Patience is the longest time that a step may go without progress. Interval is the
	// time between two requests to a node. Zero means a minute and 20 ms.
	Patience, Interval time.Duration

	pools sync.Map // address and database -> *redis.Pool
}

// Run carries out the steps from index next on. next is 0, or the last value that Reached
// got. Steps of a round run in parallel. Run stops at the first error, and can be called
// again.
func (e *Executor) Run(ctx context.Context, steps []plan.Step, next int) error {
	for next < len(steps) {
		end := next + 1
		for steps[next].Round > 0 && end < len(steps) && steps[end].Round == steps[next].Round {
			end++
		}
		errs := make([]error, end-next)
		var wg sync.WaitGroup
		for i, s := range steps[next:end] {
			wg.Add(1)
			go func() {
				defer wg.Done()
				errs[i] = e.do(ctx, s)
			}()
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		next = end
		if e.Reached != nil {
			if err := e.Reached(next); err != nil {
				return err
			}
		}
	}
	return nil
}

// do carries out one step, as [plan.Step] describes.
func (e *Executor) do(ctx context.Context, s plan.Step) error {
	p, why := plan.ProgressNotStarted, ""
	var sent time.Time
	for begin := time.Now(); ; time.Sleep(cmp.Or(e.Interval, 20*time.Millisecond)) {
		var reason string
		if p == plan.ProgressRunning && s.Kind == plan.KindFailover && time.Since(sent) > 6*time.Second {
			p = plan.ProgressNotStarted // a replica gives up a failover after 5 s: CLUSTER_MF_TIMEOUT of cluster.h
		}
		if p == plan.ProgressNotStarted {
			sent = time.Now()
			p, reason = e.send(s)
			why = cmp.Or(reason, why)
		}
		if p == plan.ProgressRunning {
			p, reason = s.Progress(e.ask(s)...)
			why = cmp.Or(reason, why)
		}
		switch {
		case p == plan.ProgressDone:
			return nil
		case p == plan.ProgressFailed:
			return fmt.Errorf("%s: %s", s, why)
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Since(begin) > cmp.Or(e.Patience, time.Minute):
			return fmt.Errorf("%s: %s for too long: %s", s, p, why)
		}
	}
}

// send sends the command of a step. It repeats MIGRATE until there are no more keys.
func (e *Executor) send(s plan.Step) (plan.Progress, string) {
	switch {
	case s.Command == nil:
		return plan.ProgressRunning, ""
	case s.Kind != plan.KindMoveKeys:
		return s.Answer(e.command(s, s.Command))
	}
	for {
		replies := e.ask(s)
		if p, why := s.Progress(replies...); p != plan.ProgressNotStarted {
			return p, why
		}
		keys, err := s.Keys(replies[0])
		if err != nil {
			return plan.ProgressFailed, err.Error()
		}
		if err, bad := e.command(s, s.Migrate(keys, e.Auth)).(error); bad {
			return plan.ProgressNotStarted, err.Error()
		}
	}
}

// ask returns the replies to Until.Ask of a step.
func (e *Executor) ask(s plan.Step) []any {
	replies := make([]any, len(s.Until.Ask))
	for i, command := range s.Until.Ask {
		replies[i] = e.command(s, command)
	}
	return replies
}

// command returns the reply of the step's node, or an error.
func (e *Executor) command(s plan.Step, command []string) any {
	pool, _ := e.pools.LoadOrStore(fmt.Sprint(s.Addr, " ", s.Database), &redis.Pool{MaxIdle: 1, Dial: func() (redis.Conn, error) {
		c, err := e.Dial(s.Addr)
		if err == nil && s.Database != 0 {
			_, err = c.Do("SELECT", s.Database)
		}
		return c, err
	}})
	c := pool.(*redis.Pool).Get()
	defer c.Close()
	args := make([]any, len(command)-1)
	for i := range args {
		args[i] = command[i+1]
	}
	reply, err := c.Do(command[0], args...)
	if err != nil {
		return err
	}
	return reply
}

// Close closes the connections.
func (e *Executor) Close() error {
	e.pools.Range(func(_, pool any) bool {
		pool.(*redis.Pool).Close()
		return true
	})
	e.pools.Clear()
	return nil
}
