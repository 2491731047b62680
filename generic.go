package hashslot

import (
	"github.com/hashslot/hashslot/crc16"
	"github.com/hashslot/hashslot/hashtag"
)

// The plain Go: the specification that every kernel is held equal to, and what
// runs where there is no kernel.

func ofGeneric(key string) uint64 { return uint64(crc16.ChecksumString(hashtag.Of(key))) }

func slotsOfGeneric(dst []Slot, keys []string) {
	for i, key := range keys {
		dst[i] = Slot(ofGeneric(key) % Count)
	}
}
