//go:build !(amd64 || arm64) || !gc || purego

package hashslot

import (
	"github.com/hashslot/hashslot/crc16"
	"github.com/hashslot/hashslot/internal/impl"
)

func init() {
	impl.Register(impl.Kernel{Name: impl.Generic, Supported: true, Use: func() {}})
}

func of(key string) uint64 { return ofGeneric(key) }

func slotsOf(dst []Slot, keys []string) { slotsOfGeneric(dst, keys) }

func slotsOfBytes(dst []Slot, keys [][]byte) { slotsOfGeneric(dst, keys) }

func slotsOfPacked(dst []Slot, data []byte, ends []uint32) { slotsOfPackedGeneric(dst, data, ends) }

func update(crc uint16, p []byte) uint16 { return crc16.Update(crc, p) }
