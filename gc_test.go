package hashslot_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/hashtest"
)

// TestMain has garbage collected less often: of all that the tests allocate, little lives
// on.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// TestWhileGarbageIsCollected hashes keys that become garbage at once and keys on
// stacks that move, while garbage collections run one after the other.
func TestWhileGarbageIsCollected(t *testing.T) {
	rounds := 400
	if testing.Short() {
		rounds = 50
	}
	hashtest.EachKernel(t, func(t *testing.T) {
		stop := make(chan struct{})
		var collector sync.WaitGroup
		collector.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					runtime.GC()
				}
			}
		})
		defer collector.Wait()
		defer close(stop)

		var workers sync.WaitGroup
		for w := range 2 {
			workers.Go(func() {
				for round := range rounds {
					if err := hashFresh(w, round); err != nil {
						t.Error(err)
						return
					}
					deep(round % 40)
				}
			})
		}
		workers.Wait()
	})
}

// hashFresh checks batches of keys that nothing else refers to.
func hashFresh(worker, round int) error {
	var (
		keys []string
		raw  [][]byte
		want []hashslot.Slot
	)
	for i := range 50 {
		key := fmt.Sprintf("%s:{%d}:%d", strings.Repeat("k", (round+i)%90), i, worker)
		if i%3 == 0 {
			key = strings.ReplaceAll(key, "{", "")
		}
		keys, raw = append(keys, key), append(raw, []byte(key))
		want = append(want, hashslot.Slot(hashtest.Slot(raw[i])))
	}
	strs, bytes := hashslot.AppendOf(nil, keys), hashslot.AppendOfBytes(nil, raw)
	packed := hashslot.AppendOfPacked(nil, []byte(keys[0]+keys[1]), []uint32{uint32(len(keys[0])), uint32(len(keys[0]) + len(keys[1]))})
	for i, s := range want {
		one := hashslot.Of(keys[i])
		if strs[i] != s || bytes[i] != s || one != s || i < 2 && packed[i] != s {
			return fmt.Errorf("key %q: Of %d, AppendOf %d, AppendOfBytes %d, want %d", keys[i], one, strs[i], bytes[i], s)
		}
	}
	return nil
}

// deep grows the stack, and hashes a key that lies on it.
func deep(n int) hashslot.Slot {
	var pad [256]byte
	copy(pad[:], "on the stack")
	s := hashslot.OfBytes(pad[:12+n])
	if n > 0 {
		s ^= deep(n - 1)
	}
	return s
}
