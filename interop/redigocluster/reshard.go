package redigocluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot/slotmap/plan"
)

// patience is for how long the nodes are waited for, interval how often they are
// asked.
const (
	patience = time.Minute
	interval = 20 * time.Millisecond
)

// Move does what a plan says, slot by slot, with the keys in them, while the
// cluster serves. Slots are moved one after the other: a plan whose moves are to
// run side by side is cut into several first.
func Move(p *plan.Plan, dial func(addr string) (redis.Conn, error)) error {
	steps, err := p.SetSlots()
	if err != nil {
		return err
	}
	conns := map[string]redis.Conn{}
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	do := func(s plan.Step, command []string) (any, error) {
		c := conns[s.Addr]
		if c == nil {
			if c, err = dial(s.Addr); err != nil {
				return nil, err
			}
			conns[s.Addr] = c
		}
		args := make([]any, len(command)-1)
		for i := range args {
			args[i] = command[i+1]
		}
		return c.Do(command[0], args...)
	}
	var get plan.Step
	var keys []string
	for s := range steps {
		switch {
		case s.Command[1] == "GETKEYSINSLOT":
			get = s
			keys, err = redis.Strings(do(s, s.Command))
		case s.Command[0] == "MIGRATE": // keys stands for "<keys>"
			for err == nil && len(keys) > 0 {
				if _, err = do(s, append(slices.Clone(s.Command[:len(s.Command)-1]), keys...)); err == nil {
					keys, err = redis.Strings(do(get, get.Command))
				}
			}
		default:
			_, err = do(s, s.Command)
			// Valkey has SETSLOT wait for replicas, which may just have changed.
			for begin := time.Now(); err != nil && strings.HasPrefix(err.Error(), "NOREPLICAS") && time.Since(begin) < patience; time.Sleep(interval) {
				_, err = do(s, s.Command)
			}
			// A source that gave its last slot turns into a replica of the target.
			if s.Note != "" && err != nil && strings.Contains(err.Error(), "only with masters") {
				err = nil
			}
			// It has to have synced before the target is told to import more.
			for begin := time.Now(); s.Note != "" && err == nil; time.Sleep(interval) {
				var info string
				info, err = redis.String(do(s, []string{"INFO", "replication"}))
				if strings.Contains(info, "role:master") || strings.Contains(info, "master_link_status:up") {
					break
				}
				if err == nil && time.Since(begin) > patience {
					err = errors.New("it does not sync")
				}
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}
