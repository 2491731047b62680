package bench

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap/command"
)

// commandsOf returns argument lists with keys of 16 bytes. The name has the letter case
// that clients send.
func commandsOf(n int, make func(key func() string) []string) [][]string {
	rng := rand.New(rand.NewPCG(3, 4))
	list := [][]string{}
	for range n {
		list = append(list, make(func() string { return word(rng, 16) }))
	}
	return list
}

// BenchmarkCommandKeys finds the keys of one command.
func BenchmarkCommandKeys(b *testing.B) {
	for _, c := range []struct {
		name string
		make func(key func() string) []string
	}{
		{"GET", func(key func() string) []string { return []string{"GET", key()} }},
		{"SET", func(key func() string) []string { return []string{"set", key(), "value"} }},
		{"SET-EX", func(key func() string) []string { return []string{"SET", key(), "value", "EX", "10"} }},
		{"MGET-10", func(key func() string) []string {
			args := []string{"mget"}
			for range 10 {
				args = append(args, key())
			}
			return args
		}},
		{"EVAL-2", func(key func() string) []string {
			return []string{"EVAL", "return redis.call('GET', KEYS[1])", "2", key(), key(), "x"}
		}},
		{"XREAD", func(key func() string) []string {
			return []string{"XREAD", "COUNT", "10", "BLOCK", "500", "STREAMS", key(), key(), "$", "$"}
		}},
		{"CONFIG-GET", func(func() string) []string { return []string{"CONFIG", "GET", "maxmemory"} }},
		{"unknown", func(key func() string) []string { return []string{"ZREMRANGEBYSCORES", key()} }},
	} {
		list := commandsOf(few, c.make)
		b.Run("command="+c.name, func(b *testing.B) {
			var room [16]command.Key
			for i := 0; b.Loop(); i++ {
				keys, _ := command.Keys(room[:0], list[i%few])
				sink += uint64(len(keys))
			}
		})
	}
}

// BenchmarkCommandLookup finds a command by its name, and by its name and subcommand.
func BenchmarkCommandLookup(b *testing.B) {
	for _, c := range []struct {
		name string
		list [][]string
	}{
		{"GET", [][]string{{"GET", "key"}, {"get", "key"}}},
		{"EXPIRE", [][]string{{"EXPIRE", "key"}, {"expire", "key"}}},
		{"ZRANGEBYSCORE", [][]string{{"ZRANGEBYSCORE", "key"}, {"zrangebyscore", "key"}}},
		{"GEORADIUSBYMEMBER_RO", [][]string{{"GEORADIUSBYMEMBER_RO", "key"}, {"georadiusbymember_ro", "key"}}},
		{"CONFIG-GET", [][]string{{"CONFIG", "GET", "maxmemory"}, {"config", "get", "maxmemory"}}},
		{"mixed", [][]string{{"GET"}, {"SET"}, {"HGETALL"}, {"ZADD"}, {"INCRBY"}, {"EXPIRE"}, {"MGET"}, {"LPUSH"}}},
	} {
		list := commandsOf(few, func(key func() string) []string { return c.list[int(key()[0])%len(c.list)] })
		args := make([]command.Args, few)
		for i := range args {
			args[i] = command.ArgsOf(list[i])
		}
		b.Run("command="+c.name, func(b *testing.B) {
			var table *command.Table
			for i := 0; b.Loop(); i++ {
				found, _ := table.Lookup(args[i%few])
				sink += uint64(found.Arity())
			}
		})
	}
}

// BenchmarkCommandRoute goes from a command to its slot: with Of alone, with the command
// table, and with a map such as clients have, from names to the place of the first key.
func BenchmarkCommandRoute(b *testing.B) {
	gets := commandsOf(few, func(key func() string) []string { return []string{"GET", key()} })
	raw := make([][][]byte, few)
	for i, args := range gets {
		raw[i] = [][]byte{[]byte(args[0]), []byte(args[1])}
	}
	mixed := commandsOf(few, func(key func() string) []string {
		switch key()[0] % 6 {
		case 0:
			return []string{"GET", key()}
		case 1:
			return []string{"SET", key(), "value", "EX", "10"}
		case 2:
			return []string{"HGETALL", key()}
		case 3:
			return []string{"ZADD", key(), "1", "member"}
		case 4:
			return []string{"INCRBY", key(), "5"}
		}
		return []string{"EXPIRE", key(), "100"}
	})
	first := map[string]int{}
	for c := range (*command.Table)(nil).All() {
		first[c.Name()] = 1
	}
	for _, input := range []struct {
		name string
		list [][]string
	}{{"GET", gets}, {"mixed", mixed}} {
		b.Run("command="+input.name+"/by=Of", func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				sink += uint64(hashslot.Of(input.list[i%few][1]))
			}
		})
		b.Run("command="+input.name+"/by=Route", func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				target, _ := command.Route(input.list[i%few])
				sink += uint64(target.Slot)
			}
		})
		b.Run("command="+input.name+"/by=map", func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				args := input.list[i%few]
				sink += uint64(hashslot.Of(args[first[strings.ToLower(args[0])]]))
			}
		})
	}
	b.Run("command=GET-bytes/by=Route", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			target, _ := command.Route(raw[i%few])
			sink += uint64(target.Slot)
		}
	})
	long := []string{"MGET"}
	for i := range 100 {
		long = append(long, "{user:1000}:"+strconv.Itoa(i))
	}
	b.Run("command=MGET-100/by=Route", func(b *testing.B) {
		for b.Loop() {
			target, _ := command.Route(long)
			sink += uint64(target.Slot)
		}
	})
	var s command.Splitter
	var part []string
	for i := range long[1:] {
		long[1+i] = "user:" + strconv.Itoa(i)
	}
	b.Run("command=MGET-100/by=Split", func(b *testing.B) {
		for b.Loop() {
			groups, _ := s.Split(nil, command.ArgsOf(long))
			for _, g := range groups {
				part, _ = command.AppendPart(nil, part[:0], long, g.Keys)
			}
			sink += uint64(len(groups))
		}
	})
}
