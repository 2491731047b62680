package command

import (
	"encoding/json"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// TestMain has garbage collected less often: of all that the tests allocate, little lives
// on.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// FuzzKeys compares Keys of both servers' tables with the reference, and Route, Split
// and Block with Keys. The input has one argument per line.
func FuzzKeys(f *testing.F) {
	for _, file := range []string{"getkeys_valkey9.jsonl", "getkeys_redis8.jsonl"} {
		for i, g := range goldens(f, file) {
			if i%4 == 0 {
				f.Add(strings.Join(g.Args, "\n"))
			}
		}
	}
	type server struct {
		table *Table
		ref   reference
	}
	var servers []server
	for _, s := range []string{valkeyFile, redisFile} {
		servers = append(servers, server{load(f, s), newReference(reply(f, s))})
	}
	var splitter Splitter
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "\n")
		for _, s := range servers {
			compare(t, s.table, s.ref, args)
		}
		view := ArgsOf(args)
		keys, err := Keys(nil, args)
		target, routeErr := Route(args)
		if err != nil {
			if routeErr == nil || err.Error() != routeErr.Error() {
				t.Fatalf("%q: Keys: %v, Route: %v", args, err, routeErr)
			}
			return
		}
		var block Block
		blockErr := block.Add(nil, view)
		slots := map[hashslot.Slot]int{}
		for _, k := range keys {
			slots[hashslot.Of(args[k.Index])]++
		}
		if slot, ok := block.Slot(); ok != (len(slots) == 1 && blockErr == nil) || ok && slots[slot] != len(keys) {
			t.Fatalf("%q: block of slot %d, %t, %v", args, slot, ok, blockErr)
		}
		groups, splitErr := splitter.Split(nil, view)
		if (routeErr == nil) != (splitErr == nil) {
			t.Fatalf("%q: Route: %v, Split: %v", args, routeErr, splitErr)
		}
		if routeErr != nil {
			return
		}
		if (len(slots) == 1) != (target.To == ToOneSlot) || (len(slots) > 1) != (target.To == ToEachSlot) || len(groups) != len(slots) {
			t.Fatalf("%q: to %v with %d slots, %d groups", args, target.To, len(slots), len(groups))
		}
		if target.To != ToEachSlot {
			return
		}
		total := 0
		for _, g := range groups {
			part, err := AppendPart(nil, nil, args, g.Keys)
			if err != nil {
				t.Fatal(err)
			}
			partKeys, err := Keys(nil, part)
			if err != nil || len(partKeys) != len(g.Keys) {
				t.Fatalf("%q: part %q: %v, %v", args, part, partKeys, err)
			}
			for i, k := range partKeys {
				if part[k.Index] != args[keys[g.Keys[i]].Index] || k.Use != keys[g.Keys[i]].Use {
					t.Fatalf("%q: part %q has another key", args, part)
				}
			}
			total += len(part)
		}
		if total < len(args) {
			t.Fatalf("%q: arguments are lost", args)
		}
	})
}

// FuzzLoad gives Load any reply, as JSON.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		`[["get",2,["readonly","fast"],1,1,1,[],[],[{"begin_search":{"spec":{"index":1},"type":"index"},"find_keys":{"spec":{"keystep":1,"lastkey":0,"limit":0},"type":"range"},"flags":["RO"]}],[]]]`,
		`[["x",-1,[],0,0,0]]`, `[["x",-1,["movablekeys"],1,-1,2]]`, `[["c",-2,[],0,0,0,[],[],[],[["c|s",2,[],0,0,0,[],[],[],[]]]]]`,
		`[["m",-2,["module"],0,0,0,[],["request_policy:multi_shard"],[["flags",["OW"],"begin_search",["type","keyword","spec",["keyword","K","startfrom",-2]],"find_keys",["type","keynum","spec",["keynumidx",0,"firstkey",1,"keystep",3]]]],[]]]`,
		`null`, `[null]`, `[[1]]`, `{}`, `[["x",1e300,[],0,0,0]]`, `[["x",-32768,[],32767,-32768,32767]]`,
	} {
		f.Add(s, "x\na\nb\n3\nK\n1\nc")
	}
	f.Fuzz(func(t *testing.T, text, line string) {
		var reply any
		if json.Unmarshal([]byte(text), &reply) != nil {
			return
		}
		table, err := Load(reply)
		if err != nil {
			if _, ok := err.(*slotmap.ParseError); !ok {
				t.Fatalf("%T", err)
			}
			return
		}
		args := strings.Split(line, "\n")
		for c := range table.All() {
			all := append(strings.Split(c.Name(), "|"), args...)
			for n := 1; n <= len(all); n++ {
				keys, _ := table.Keys(nil, ArgsOf(all[:n]))
				for _, k := range keys {
					if k.Index < 1 || k.Index >= n {
						t.Fatalf("%q: key %d", all[:n], k.Index)
					}
				}
				_, _ = table.Route(ArgsOf(all[:n]))
				groups, _ := new(Splitter).Split(table, ArgsOf(all[:n]))
				for _, g := range groups {
					_, _ = AppendPart(table, nil, all[:n], g.Keys)
				}
				_ = new(Block).Add(table, ArgsOf(all[:n]))
			}
		}
	})
}
