//go:build !(amd64 || arm64) || !gc || purego

package hashslot

import "github.com/hashslot/hashslot/crc16"

func update(crc uint16, p []byte) uint16 { return crc16.Update(crc, p) }
