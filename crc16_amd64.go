//go:build gc && !purego

package hashslot

import "github.com/hashslot/hashslot/hashtag"

//go:noescape
func of(key string) uint64

//go:noescape
func sum(s string) uint64

// These are only for of to go on with.

//go:noescape
func of16(key string) uint64

//go:noescape
func of32(key string) uint64

//go:noescape
func of64(key string) uint64

//go:noescape
func ofSearch(key string) uint64

//go:noescape
func ofPlain(key string) uint64

func useOf(kernel uint8)

// ofLong is where of leaves keys of more than 4096 bytes.
func ofLong(key string) uint64 { return uint64(ChecksumString(hashtag.Of(key))) }
