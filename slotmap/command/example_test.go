package command_test

import (
	"errors"
	"fmt"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap/command"
)

// A proxy reads a request and asks where to send it.
func Example() {
	for _, request := range [][]string{
		{"GET", "user:{42}:name"},
		{"XREAD", "COUNT", "2", "STREAMS", "{log}a", "{log}b", "0", "0"},
		{"MGET", "foo", "bar"},
		{"DBSIZE"},
		{"PING"},
	} {
		target, err := command.Route(request)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Print(target.Command.Name(), ": ", target.To)
		if target.To == command.ToOneSlot {
			fmt.Print(" ", target.Slot)
		}
		fmt.Println()
	}
	// Output:
	// get: one slot 8000
	// xread: one slot 10591
	// mget: each slot
	// dbsize: all shards
	// ping: all shards
}

func ExampleKeys() {
	args := []string{"SET", "counter", "1", "EX", "60"}
	keys, err := command.Keys(nil, args)
	for _, key := range keys {
		fmt.Println(args[key.Index], key.Use, err)
	}

	args = []string{"EVAL", "return redis.call('get', KEYS[1])", "1", "{a}x", "argument"}
	keys, err = command.Keys(keys[:0], args)
	for _, key := range keys {
		fmt.Println(args[key.Index], key.Use, err)
	}

	_, err = command.Keys(nil, []string{"GET"})
	fmt.Println(errors.Is(err, command.ErrArity), err)
	// Output:
	// counter OW update <nil>
	// {a}x RW access update <nil>
	// true command: "get": argument 1: takes 2 arguments, the name included, not 1
}

func ExampleRoute() {
	target, err := command.Route([]string{"HGETALL", "user:{42}"})
	fmt.Println(target.To, target.Slot, "- a replica may answer:", target.Command.Is(command.FlagReadOnly), err)

	_, err = command.Route([]string{"RENAME", "foo", "bar"})
	fmt.Println(errors.Is(err, hashslot.ErrCrossSlot), err)

	_, err = command.Route([]string{"GETT", "foo"})
	fmt.Println(errors.Is(err, command.ErrUnknown), err)
	// Output:
	// one slot 8000 - a replica may answer: true <nil>
	// true hashslot: keys do not share a slot: key 0 ("foo") is in slot 12182, key 1 ("bar") in slot 5061
	// true command: "gett": argument 0: unknown command
}

func ExampleArgs() {
	args := command.ArgsOf([][]byte{[]byte("CONFIG"), []byte("GET"), []byte("maxmemory")})
	var table *command.Table // the commands that are built in
	c, err := table.Lookup(args)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Name(), "with", args.Len(), "arguments, keys:", c.HasKeys())
	// Output: config|get with 3 arguments, keys: false
}

// The keys of WATCH and of the transaction must share a slot.
func ExampleBlock() {
	var block command.Block
	for _, line := range [][]string{{"WATCH", "{42}:balance"}, {"MULTI"}, {"INCR", "{42}:balance"}, {"INCR", "{43}:balance"}} {
		if err := block.Add(nil, command.ArgsOf(line)); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(block.Slot())
	// Output:
	// hashslot: keys do not share a slot: key 0 ("{42}:balance") is in slot 8000, key 2 ("{43}:balance") in slot 3937
	// 8000 true
}

// MSET with keys in several slots becomes one command for each slot. Their replies become
// one reply.
func ExampleSplitter() {
	var table *command.Table // the commands that are built in
	args := []string{"MSET", "foo", "1", "bar", "2", "{foo}2", "3"}
	var splitter command.Splitter
	groups, err := splitter.Split(table, command.ArgsOf(args))
	if err != nil {
		fmt.Println(err)
		return
	}
	var replies []any
	for _, group := range groups {
		part, err := command.AppendPart(table, nil, args, group.Keys)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(group.Slot, part)
		replies = append(replies, "OK") // what the node of the slot answers
	}
	c, _ := table.Lookup(command.ArgsOf(args))
	fmt.Println(c.Combine(groups, replies))
	// Output:
	// 12182 [MSET foo 1 {foo}2 3]
	// 5061 [MSET bar 2]
	// OK <nil>
}

func ExampleCommand() {
	var table *command.Table // the commands that are built in
	c, err := table.Lookup(command.ArgsOf([]string{"del"}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Name(), c.Arity(), c.Flags(), "- reply", c.Reply(), "- known to", c.Servers())
	// Output: del -2 write - reply agg_sum - known to valkey redis
}

// The commands whose replies are added up after they went to several nodes.
func ExampleTable() {
	var table *command.Table // the commands that are built in
	for c := range table.All() {
		if c.Reply() == command.ReplyAggSum && c.Servers() == command.ServerValkey|command.ServerRedis {
			fmt.Println(c.Name())
		}
	}
	// Output:
	// dbsize
	// del
	// exists
	// latency|reset
	// slowlog|len
	// touch
	// unlink
}

// A server with a module: MYGET has its key behind an option.
func ExampleLoad() {
	reply := []any{ // to COMMAND, as a client decodes it
		[]any{"myget", int64(3), []any{"readonly"}, int64(2), int64(2), int64(1)},
	}
	table, err := command.Load(reply)
	if err != nil {
		fmt.Println(err)
		return
	}
	args := []string{"MYGET", "RAW", "foo"}
	keys, err := table.Keys(nil, command.ArgsOf(args))
	fmt.Println(args[keys[0].Index], err)
	// Output: foo <nil>
}

func ExampleUse() {
	keys, err := command.Keys(nil, []string{"COPY", "{a}from", "{a}to"})
	for _, key := range keys {
		fmt.Println(key.Index, key.Use, "reads:", key.Use.Reads(), "writes:", key.Use.Writes(), err)
	}
	// Output:
	// 1 RO access reads: true writes: false <nil>
	// 2 OW update reads: false writes: true <nil>
}
