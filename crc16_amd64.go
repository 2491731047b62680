//go:build gc && !purego

package hashslot

//go:noescape
func of(key string) uint64

//go:noescape
func sum(s string) uint64
