package redigocluster

import (
	"errors"
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/plan"
)

// MigrateSlots does what a plan says by the atomic slot migration of Valkey 9.0
// and later, one source after the other.
func MigrateSlots(p *plan.Plan, dial func(addr string) (redis.Conn, error)) error {
	for _, s := range p.MigrateSlots() {
		err := migrate(s, dial, func(c redis.Conn, _ any) (string, error) {
			jobs, err := redis.Values(c.Do("CLUSTER", "GETSLOTMIGRATIONS"))
			for _, m := range p.Moves {
				if err != nil || m.From != s.Node {
					continue
				}
				job := exported(jobs, m)
				switch state := job["state"]; state {
				case "success":
				case "failed", "cancelled":
					return "", fmt.Errorf("%s: %s", state, job["message"])
				case "":
					// A source that has given its last slot is a replica and has
					// forgotten its jobs.
					role, err := redis.Values(c.Do("ROLE"))
					if err == nil && string(role[0].([]byte)) != "slave" {
						err = errors.New("the source does not know of it")
					}
					return "", err
				default:
					return state, nil
				}
			}
			return "", err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// exported is the newest job that does the move.
func exported(jobs []any, m plan.Move) map[string]string {
	for _, j := range jobs {
		job := fields(j)
		slots, err := slotmap.ParseSet(job["slot_ranges"])
		if err == nil && job["operation"] == "EXPORT" && job["target_node"] == m.To && slots == m.Slots {
			return job
		}
	}
	return nil
}

// MigrationImport does what a plan says by the atomic slot migration of Redis 8.4
// and later, one import after the other: a source serves one at a time.
func MigrationImport(p *plan.Plan, dial func(addr string) (redis.Conn, error)) error {
	for _, s := range p.MigrationImport() {
		err := migrate(s, dial, func(c redis.Conn, id any) (string, error) {
			tasks, err := redis.Values(c.Do("CLUSTER", "MIGRATION", "STATUS", "ID", id))
			if err != nil {
				return "", err
			}
			if len(tasks) == 0 {
				return "", errors.New("the target does not know of it")
			}
			task := fields(tasks[0])
			switch state := task["state"]; state {
			case "completed":
				return "", nil
			case "canceled":
				return "", errors.New(state)
			default: // one that failed is tried again
				return state + ": " + task["last_error"], nil
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// migrate takes a step and waits until state, which gets the reply to it, has
// nothing more to say.
func migrate(s plan.Step, dial func(addr string) (redis.Conn, error), state func(c redis.Conn, reply any) (string, error)) error {
	c, err := dial(s.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	reply, err := c.Do(s.Command[0], redis.Args{}.AddFlat(s.Command[1:])...)
	if s.Command[1] == "ADDSLOTSRANGE" {
		return err
	}
	now := ""
	for begin := time.Now(); err == nil; time.Sleep(interval) {
		if now, err = state(c, reply); err == nil && now == "" {
			return nil
		}
		if time.Since(begin) > patience {
			return fmt.Errorf("%s: after %v it is %s", s, patience, now)
		}
	}
	return fmt.Errorf("%s: %w", s, err)
}

// fields reads a map, which is a list of keys and values.
func fields(reply any) map[string]string {
	list, _ := redis.Values(reply, nil)
	m := map[string]string{}
	for i := 0; i+1 < len(list); i += 2 {
		m[fmt.Sprintf("%s", list[i])] = fmt.Sprintf("%s", list[i+1])
	}
	return m
}
