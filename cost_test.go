package hashslot_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/hashtest"
)

var (
	slotSink  hashslot.Slot
	sumSink   uint16
	batchSink []hashslot.Slot
)

func TestAllocations(t *testing.T) {
	var (
		keys = []string{"", "a", "user:{42}:name", strings.Repeat("k", 70), "{x}", "b", "c", "d", "e", "f", strings.Repeat("{", 300)}
		raw  [][]byte
		data []byte
		ends []uint32
		dst  = make([]hashslot.Slot, 0, len(keys))
	)
	for _, k := range keys {
		raw = append(raw, []byte(k))
		data = append(data, k...)
		ends = append(ends, uint32(len(data)))
	}
	hashtest.EachKernel(t, func(t *testing.T) {
		for name, f := range map[string]func(){
			"Of":      func() { slotSink = hashslot.Of(keys[2]) },
			"OfBytes": func() { slotSink = hashslot.OfBytes(raw[2]) },
			"OfBytes, a buffer on the stack": func() {
				var b [16]byte
				b[3] = byte(slotSink)
				slotSink = hashslot.OfBytes(b[:])
			},
			"Of, a string on the stack": func() {
				b := [16]byte{1, byte(slotSink)}
				slotSink = hashslot.Of(string(b[:]))
			},
			"Checksum, a buffer on the stack": func() {
				var b [2000]byte
				b[3] = byte(slotSink)
				sumSink = hashslot.Checksum(b[:]) ^ hashslot.Update(1, b[:9]) ^ hashslot.ChecksumString(string(b[:20]))
			},
			"AppendOf":       func() { batchSink = hashslot.AppendOf(dst, keys) },
			"AppendOfBytes":  func() { batchSink = hashslot.AppendOfBytes(dst, raw) },
			"AppendOfPacked": func() { batchSink = hashslot.AppendOfPacked(dst, data, ends) },
			"Append, all on the stack": func() {
				var (
					b    [40]byte
					dst  [4]hashslot.Slot
					keys = [4][]byte{b[:3], b[3:9], b[:], b[9:30]}
					text = [2]string{"a", keysOf3()}
					ends = [2]uint32{20, 40}
				)
				b[3] = byte(slotSink)
				slotSink = hashslot.AppendOfBytes(dst[:0], keys[:])[0] ^ hashslot.AppendOf(dst[:0], text[:])[0] ^
					hashslot.AppendOfPacked(dst[:0], b[:], ends[:])[0]
			},
			"OfPattern": func() { slotSink, _ = hashslot.OfPattern("user:{42}:*") },
			"Common":    func() { slotSink, _ = hashslot.Common("{a}1", "{a}2", "a") },
			"Kernel":    func() { _ = hashslot.Kernel() },
		} {
			assert.Zero(t, testing.AllocsPerRun(100, f), name)
		}
		assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { _ = hashslot.Slot(5).Tag() }), 1.0)
		assert.Equal(t, 1.0, testing.AllocsPerRun(100, func() { batchSink = hashslot.AppendOf(nil, keys) }))
	})
}

func keysOf3() string { return "three keys" }
