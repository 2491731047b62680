package hashslot_test

import (
	"errors"
	"fmt"

	"github.com/hashslot/hashslot"
)

func Example() {
	fmt.Println(hashslot.Of("mykey"))
	fmt.Println(hashslot.Of("user:{123}:profile"), hashslot.Of("user:{123}:settings"))

	slots := hashslot.AppendOf(nil, []string{"mykey", "foo", "bar"})
	fmt.Println(slots)
	// Output:
	// 14687
	// 5970 5970
	// [14687 12182 5061]
}

func ExampleCommon() {
	slot, err := hashslot.Common("user:{123}:profile", "user:{123}:settings")
	fmt.Println(slot, err)

	_, err = hashslot.Common("user:{123}:profile", "mykey")
	fmt.Println(errors.Is(err, hashslot.ErrCrossSlot))
	fmt.Println(err)
	// Output:
	// 5970 <nil>
	// true
	// hashslot: keys do not share a slot: key 0 ("user:{123}:profile") is in slot 5970, key 1 ("mykey") in slot 14687
}

func ExampleOfPattern() {
	fmt.Println(hashslot.OfPattern("user:{123}:*"))
	fmt.Println(hashslot.OfPattern("user:*"))
	// Output:
	// 5970 true
	// 0 false
}

func ExampleOf() {
	fmt.Println(hashslot.Of("user:{123}:profile"), hashslot.Of("user:{123}:settings"))
	fmt.Println(hashslot.Of("{}user"), hashslot.Of("{}mail")) // {} is no tag
	// Output:
	// 5970 5970
	// 12192 10837
}

// The slots of the keys of pipelines, in memory that is reused.
func ExampleAppendOf() {
	var slots []hashslot.Slot
	for _, keys := range [][]string{{"mykey", "foo", "bar"}, {"user:{123}:profile"}} {
		slots = hashslot.AppendOf(slots[:0], keys)
		fmt.Println(slots)
	}
	// Output:
	// [14687 12182 5061]
	// [5970]
}

func ExampleAppendOfPacked() {
	fmt.Println(hashslot.AppendOfPacked(nil, []byte("user:1user:2"), []uint32{6, 12}))
	// Output: [10778 6777]
}

// A queue in eight parts, spread evenly over up to eight primaries.
func ExampleTags() {
	tags := hashslot.Tags(8)
	for _, tag := range tags {
		key := "queue:{" + tag + "}"
		fmt.Println(key, hashslot.Of(key))
	}
	// Output:
	// queue:{2VY} 1024
	// queue:{5j7} 3072
	// queue:{QJ} 5120
	// queue:{6KV} 7168
	// queue:{bL} 9216
	// queue:{5H3} 11264
	// queue:{7F} 13312
	// queue:{5Y1} 15360
}

func ExampleSlot() {
	slot, err := hashslot.ParseSlot("14687")
	fmt.Println(slot, slot.Valid(), err)
	_, err = hashslot.ParseSlot("16384")
	fmt.Println(err)
	fmt.Println(hashslot.Slot(16384).Valid())
	// Output:
	// 14687 true <nil>
	// hashslot: "16384" is not a slot: a slot is at most 16383
	// false
}

func ExampleSlot_Tag() {
	tag := hashslot.Slot(14687).Tag()
	fmt.Println(hashslot.Of("counter:{" + tag + "}"))
	// Output: 14687
}
