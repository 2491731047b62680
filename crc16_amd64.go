//go:build gc && !purego

package hashslot

import "github.com/hashslot/hashslot/hashtag"

//go:noescape
func of(key string) uint64

//go:noescape
func sum(s string) uint64

// of jumps to these; Go code never calls them.

//go:noescape
func of16(key string) uint64

//go:noescape
func of64(key string) uint64

//go:noescape
func ofSearch64(key string) uint64

//go:noescape
func ofSearch(key string) uint64

//go:noescape
func ofPlain(key string) uint64

func useOf(kernel uint8)

// of jumps to ofLong for keys of more than 4096 bytes.
func ofLong(key string) uint64 { return uint64(ChecksumString(hashtag.Of(key))) }
