package goredis

import (
	"fmt"

	"github.com/hashslot/hashslot/slotmap/command"
	"github.com/redis/go-redis/v9"
)

// Key returns a key of a command: the first, wherever it is among the arguments. A
// command without keys has "", and goes to the node of that slot. A command that
// cluster servers would refuse is an error: one that is unknown, that its arguments
// do not tell the keys of, or whose keys are in two slots.
func Key(cmd redis.Cmder) (string, error) {
	args := make([]string, len(cmd.Args()))
	for i, arg := range cmd.Args() {
		switch arg := arg.(type) {
		case string:
			args[i] = arg
		case []byte:
			args[i] = string(arg)
		default:
			args[i] = fmt.Sprint(arg)
		}
	}
	target, err := command.Route(args)
	if err == nil && target.To == command.EachSlot {
		err = fmt.Errorf("%s: the keys are in several slots", target.Command.Name())
	}
	var keys []command.Key
	if err == nil {
		keys, err = command.Keys(nil, args)
	}
	if err != nil {
		return "", fmt.Errorf("goredis: %w", err)
	}
	if len(keys) == 0 {
		return "", nil
	}
	return args[keys[0].Index], nil
}
