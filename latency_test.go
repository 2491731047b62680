package hashslot_test

import (
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/hashtest"
)

// TestNothingIsHeldUp stops the world again and again while one call works on a
// lot of data. A goroutine cannot be stopped inside of assembly: were all the
// work one call of it, the first stop would last until the end.
func TestNothingIsHeldUp(t *testing.T) {
	const enough = 8
	size := 1 << 30
	if testing.Short() || strconv.IntSize == 32 {
		size = 1 << 27
	}
	// Memory that was never written costs next to nothing.
	p := make([]byte, size)
	keys := make([]string, size>>8)
	for i := range keys {
		keys[i] = str(p[i&0xffff:][:i&63])
	}
	slots := make([]hashslot.Slot, 0, len(keys))
	hashtest.EachKernel(t, func(t *testing.T) {
		for name, work := range map[string]func(){
			"Checksum": func() { sumSink = hashslot.Checksum(p) },
			"AppendOf": func() { batchSink = hashslot.AppendOf(slots, keys) },
		} {
			// The machine may be busy and leave this goroutine no time. Then another
			// attempt does it.
			most := 0
			for range 10 {
				most = max(most, stopsDuring(work))
				if most >= enough {
					break
				}
			}
			t.Logf("%s: %d stops of the world during one call", name, most)
			if most < enough {
				t.Errorf("%s: the world could be stopped %d times during one call, want %d", name, most, enough)
			}
		}
	})
}

// stopsDuring returns how many times the world was stopped while work ran.
func stopsDuring(work func()) int {
	var started, done atomic.Bool
	go func() {
		started.Store(true)
		work()
		done.Store(true)
	}()
	for !started.Load() {
		runtime.Gosched()
	}
	stops := 0
	var stats runtime.MemStats
	for !done.Load() {
		runtime.ReadMemStats(&stats) // stops the world
		stops++
	}
	return stops
}
