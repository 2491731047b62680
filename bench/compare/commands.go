package main

import (
	"strconv"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap/command"
)

// toSlots goes from commands to their slots: with the hash alone, with package command, and
// with a map such as clients have, from names to the place of the first key.
func toSlots(name string, make func(key string, i int) []string) workload {
	const n = 1024
	return workload{name: "command to slot, " + name, group: groupCommands, at: name, units: n, unit: "ns a command", contenders: func() []contender {
		rng := seeded()
		var list [][]string
		for i := range n {
			list = append(list, make(word(rng, 16), i))
		}
		first := map[string]int{}
		for c := range (*command.Table)(nil).All() {
			first[c.Name()] = 1
		}
		return []contender{
			{name: "Of alone", run: func() (s uint64) {
				for _, args := range list {
					s += uint64(hashslot.Of(args[1]))
				}
				return s
			}},
			{name: "command.Route", base: "Of alone", run: func() (s uint64) {
				for _, args := range list {
					target, _ := command.Route(args)
					s += uint64(target.Slot)
				}
				return s
			}},
			{name: "map of names, Of", base: "Of alone", run: func() (s uint64) {
				for _, args := range list {
					s += uint64(hashslot.Of(args[first[strings.ToLower(args[0])]]))
				}
				return s
			}},
			{name: "map of names, " + bytes1, peer: here, base: "Of alone", run: func() (s uint64) {
				for _, args := range list {
					s += uint64(bytewise(args[first[strings.ToLower(args[0])]]))
				}
				return s
			}},
		}
	}}
}

func commandWorkloads() []workload {
	return []workload{
		toSlots("GET", func(key string, _ int) []string { return []string{"GET", key} }),
		toSlots("SET with EX", func(key string, _ int) []string { return []string{"SET", key, "value", "EX", "10"} }),
		toSlots("a mix", func(key string, i int) []string {
			switch key[0] % 6 {
			case 0:
				return []string{"GET", key}
			case 1:
				return []string{"SET", key, "value", "EX", "10"}
			case 2:
				return []string{"HGETALL", key}
			case 3:
				return []string{"ZADD", key, strconv.Itoa(i), "member"}
			case 4:
				return []string{"INCRBY", key, "5"}
			}
			return []string{"EXPIRE", key, "100"}
		}),
	}
}
