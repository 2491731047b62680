package goredis

import (
	"fmt"

	"github.com/hashslot/hashslot/slotmap/command"
	"github.com/redis/go-redis/v9"
)

// Keys returns a key of each command, as Pipeline takes them: the first, wherever
// it is among the arguments. A command without keys has "", and goes to the node
// of that slot. A command that cluster servers would refuse is an error: one that is
// unknown, that its arguments do not tell the keys of, or whose keys are in two slots.
func Keys(cmds []redis.Cmder) ([]string, error) {
	keys := make([]string, len(cmds))
	var args []string
	var found []command.Key
	for i, cmd := range cmds {
		args = args[:0]
		for _, arg := range cmd.Args() {
			switch arg := arg.(type) {
			case string:
				args = append(args, arg)
			case []byte:
				args = append(args, string(arg))
			default:
				args = append(args, fmt.Sprint(arg))
			}
		}
		target, err := command.Route(args)
		if err == nil && target.To == command.EachSlot {
			err = fmt.Errorf("%s: the keys are in several slots", target.Command.Name())
		}
		if err == nil {
			found, err = command.Keys(found[:0], args)
		}
		if err != nil {
			return nil, fmt.Errorf("goredis: command %d: %w", i, err)
		}
		if len(found) > 0 {
			keys[i] = args[found[0].Index]
		}
	}
	return keys, nil
}
