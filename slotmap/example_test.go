package slotmap_test

import (
	"fmt"
	"sync"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// A map of owners. One goroutine changes it, and any number of goroutines read it.
func Example() {
	var m slotmap.Map[string]
	err := m.Update(func(b *slotmap.Builder[string]) {
		b.Assign(slotmap.MustParseRange("0-8191"), "10.0.0.1:6379")
		b.Assign(slotmap.MustParseRange("8192-16383"), "10.0.0.2:6379")
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.LookupKey("mykey"))
	// Output: 14687 10.0.0.2:6379 true
}

func ExampleBuilder() {
	var b slotmap.Builder[string]
	for text, owner := range map[string]string{"0-5460": "a", "5461-10922": "b", "10923-16383": "c"} {
		r, err := slotmap.ParseRange(text)
		if err != nil {
			fmt.Println(err)
			return
		}
		b.Assign(r, owner)
	}
	table := b.Build()
	fmt.Println(table.Lookup(7000))
	fmt.Println(table.SlotsOf("c"))
	for r, owner := range table.Ranges() {
		fmt.Println(r, owner)
	}
	// Output:
	// b true
	// 10923-16383
	// 0-5460 a
	// 5461-10922 b
	// 10923-16383 c
}

func ExampleRange() {
	r := slotmap.Range{First: 5461, Last: 10922}
	fmt.Println(r, r.Len(), r.Contains(7000), r.Valid())
	fmt.Println(slotmap.Range{First: 7000, Last: 6999}.Valid())
	// Output:
	// 5461-10922 5462 true true
	// false
}

func ExampleSetOf() {
	set := slotmap.SetOf(slotmap.Range{First: 0, Last: 99}, slotmap.Range{First: 50, Last: 149})
	set.Remove(7)
	fmt.Println(set, "-", set.Len(), "slots")

	// A range that is not valid becomes the error of the set.
	bad := slotmap.SetOf(slotmap.Range{First: 16000, Last: 16384})
	fmt.Println(bad.Err())
	// Output:
	// 0-6 8-149 - 149 slots
	// slotmap: range 16000-16384: a slot is at most 16383
}

func ExampleParseSet() {
	set, err := slotmap.ParseSet("0-5460 5462")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(set.Len(), set.Contains(5461))
	fmt.Println(set.Union(slotmap.MustParseSet("5461")))
	_, err = slotmap.ParseSet("0-5460 16384")
	fmt.Println(err)
	// Output:
	// 5462 false
	// 0-5462
	// slots: byte 7 of "0-5460 16384": a slot is at most 16383
}

func ExampleTable() {
	var b slotmap.Builder[string]
	b.Assign(slotmap.MustParseRange("0-8191"), "a")
	b.Assign(slotmap.MustParseRange("8192-12999"), "b")
	table := b.Build() // it never changes
	owner, ok := table.Lookup(14687)
	fmt.Printf("%q %v\n", owner, ok)
	fmt.Println(table.SlotsOf("b"), "-", table.Unassigned().Len(), "slots without an owner")
	// Output:
	// "" false
	// 8192-12999 - 3384 slots without an owner
}

func ExampleTable_Diff() {
	var b slotmap.Builder[string]
	b.Assign(slotmap.MustParseRange("0-16383"), "a")
	before := b.Build()
	b.Assign(slotmap.MustParseRange("8192-16383"), "b")
	for change := range before.Diff(b.Build()) {
		fmt.Println(change.Range, "from", change.From, "to", change.To)
	}
	// Output:
	// 8192-16383 from a to b
}

// Some goroutines route requests while another moves slots.
func ExampleMap() {
	type node struct{ addr string }
	a, b := &node{"10.0.0.1:6379"}, &node{"10.0.0.2:6379"}

	var m slotmap.Map[*node]
	assign := func(set string, n *node) {
		m.Update(func(builder *slotmap.Builder[*node]) {
			for r := range slotmap.MustParseSet(set).Ranges() {
				builder.Assign(r, n)
			}
		})
	}
	assign("0-16383", a)

	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 1000 {
				slot, n, ok := m.LookupKey(fmt.Sprint("user:", i))
				if !ok || n == b && slot < 8192 {
					fmt.Println("slot", slot, "is not where it was")
				}
			}
		})
	}
	wg.Go(func() { assign("8192-16383", b) })
	wg.Wait()

	slot, n, ok := m.LookupKey("foo")
	fmt.Println(slot, n.addr, ok)
	// Output: 12182 10.0.0.2:6379 true
}

func ExampleMap_Lookup() {
	var m slotmap.Map[string]
	owner, ok := m.Lookup(14687)
	fmt.Printf("%q %v\n", owner, ok)
	m.Update(func(b *slotmap.Builder[string]) {
		b.Assign(slotmap.MustParseRange("14687"), "node-1")
	})
	owner, ok = m.Lookup(14687)
	fmt.Printf("%q %v\n", owner, ok)
	// Output:
	// "" false
	// "node-1" true
}

// A MOVED names the new owner of one slot.
func ExampleMap_Update() {
	var m slotmap.Map[string]
	moved := func(slot hashslot.Slot, addr string) error {
		return m.Update(func(b *slotmap.Builder[string]) {
			b.Assign(slotmap.Range{First: slot, Last: slot}, addr)
		})
	}
	fmt.Println(moved(14687, "10.0.0.7:6379"))
	fmt.Println(moved(16384, "10.0.0.7:6379")) // refused, and the map stays as it is
	fmt.Print(m.Load())
	// Output:
	// <nil>
	// slotmap: range 16384: a slot is at most 16383
	// 10.0.0.7:6379 14687
	// (unassigned) 0-14686 14688-16383
}

// MGET takes only keys of one slot. The commands for one node go out together.
func ExampleSlotSplitter() {
	var m slotmap.Map[string]
	m.Update(func(b *slotmap.Builder[string]) {
		b.Assign(slotmap.MustParseRange("0-16383"), "node-1")
	})

	keys := []string{"{user:1}:name", "{user:2}:name", "{user:1}:mail"}
	table := m.Load()
	var sp slotmap.SlotSplitter
	for _, group := range sp.Split(keys) {
		owner, _ := table.Lookup(group.Slot)
		fmt.Print(owner, ": MGET")
		for _, i := range group.Keys {
			fmt.Print(" ", keys[i])
		}
		fmt.Println()
	}
	// Output:
	// node-1: MGET {user:1}:name {user:1}:mail
	// node-1: MGET {user:2}:name
}

func ExampleOwnerSplitter() {
	var b slotmap.Builder[string]
	b.Assign(slotmap.MustParseRange("0-8191"), "node-1")
	b.Assign(slotmap.MustParseRange("8192-12999"), "node-2")
	table := b.Build()

	keys := []string{"foo", "bar", "hello", "mykey"}
	var sp slotmap.OwnerSplitter[string]
	groups, unassigned := sp.Split(table, keys)
	for _, group := range groups {
		fmt.Print(group.Owner)
		for _, i := range group.Keys {
			fmt.Printf(" %s (%d)", keys[i], hashslot.Of(keys[i]))
		}
		fmt.Println()
	}
	for _, i := range unassigned {
		fmt.Println("nobody owns the slot of", keys[i])
	}
	// Output:
	// node-2 foo (12182)
	// node-1 bar (5061) hello (866)
	// nobody owns the slot of mykey
}

func ExampleOwnerSplitter_SplitBySlot() {
	var b slotmap.Builder[string]
	b.Assign(slotmap.MustParseRange("0-8191"), "node-1")
	b.Assign(slotmap.MustParseRange("8192-16383"), "node-2")
	table := b.Build()

	// MGET of keys in different slots is refused with CROSSSLOT, even by a node
	// that owns them all.
	keys := []string{"foo", "bar", "mykey", "{foo}2", "hello"}
	var sp slotmap.OwnerSplitter[string]
	groups, _ := sp.SplitBySlot(table, keys)
	for _, group := range groups {
		fmt.Println("a pipeline to", group.Owner)
		for _, slot := range group.Slots {
			fmt.Print("  MGET")
			for _, i := range slot.Keys {
				fmt.Print(" ", keys[i])
			}
			fmt.Println()
		}
	}
	// Output:
	// a pipeline to node-2
	//   MGET foo {foo}2
	//   MGET mykey
	// a pipeline to node-1
	//   MGET bar
	//   MGET hello
}
