//go:build !(amd64 || arm64) || !gc || purego

package hashslot

import "github.com/hashslot/hashslot/internal/impl"

func init() {
	impl.Register(impl.Kernel{Name: impl.Generic, Supported: true, Use: func() {}})
}

func of(key string) uint64 { return ofGeneric(key) }
