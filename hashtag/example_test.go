package hashtag_test

import (
	"fmt"

	"github.com/hashslot/hashslot/crc16"
	"github.com/hashslot/hashslot/hashtag"
)

// The hash slot of a key, in plain Go.
func Example() {
	fmt.Println(crc16.ChecksumString(hashtag.Of("user:{42}:name")) % 16384)
	// Output: 8000
}

func ExampleOf() {
	fmt.Println(hashtag.Of("user:{42}:name"), hashtag.Of("user:42"))
	// Output: 42 user:42
}

func ExampleFind() {
	key := "user:{42}:name"
	start, end, ok := hashtag.Find(key)
	fmt.Println(key[:start], key[start:end], key[end:], ok)
	// Output: user:{ 42 }:name true
}
