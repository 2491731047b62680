//go:build !(amd64 || arm64) || !gc || purego

package hashslot

func slotsOf(dst []Slot, keys []string) { slotsOfGeneric(dst, keys) }

func slotsOfBytes(dst []Slot, keys [][]byte) { slotsOfGeneric(dst, keys) }

func slotsOfPacked(dst []Slot, data []byte, ends []uint32) { slotsOfPackedGeneric(dst, data, ends) }
