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
	// hashslot: keys do not share a slot: key 0, "user:{123}:profile", is in slot 5970, key 1, "mykey", in slot 14687
}

func ExampleOfPattern() {
	fmt.Println(hashslot.OfPattern("user:{123}:*"))
	fmt.Println(hashslot.OfPattern("user:*"))
	// Output:
	// 5970 true
	// 0 false
}

func ExampleSlot_Tag() {
	tag := hashslot.Slot(14687).Tag()
	fmt.Println(hashslot.Of("counter:{" + tag + "}"))
	// Output: 14687
}
