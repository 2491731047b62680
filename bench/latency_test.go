package bench

import (
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/hashtest"
)

// BenchmarkStop measures how long one call with a lot of data delays other goroutines:
// a round stops the world, like the garbage collector, at some time during a call. A
// goroutine cannot be stopped inside assembly.
func BenchmarkStop(b *testing.B) {
	size := 1 << 30
	if strconv.IntSize == 32 {
		size = 1 << 28
	}
	p := make([]byte, size)
	for i := 0; i < len(p); i += 1 << 12 {
		p[i] = byte(i >> 12)
	}
	// The keys are in no cache. None is at the border of a page, where kernels leave
	// the key to Go.
	keys := make([]string, 1<<20)
	for i := range keys {
		page := i * 7919 % (len(p) >> 12) << 12
		keys[i] = unsafe.String(&p[page+64+i%60*64], 1+i%60)
	}
	slots := make([]hashslot.Slot, 0, len(keys))
	for _, form := range []struct {
		name string
		work func()
	}{
		{"during=Checksum", func() { hashslot.Checksum(p) }},
		{"during=AppendOf", func() { hashslot.AppendOf(slots, keys) }},
		{"during=nothing", func() { time.Sleep(time.Millisecond) }},
	} {
		b.Run(form.name, func(b *testing.B) {
			hashtest.EachKernel(b, func(b *testing.B) { stops(b, form.work) })
		})
	}
}

func stops(b *testing.B, work func()) {
	var (
		done   atomic.Bool
		worker sync.WaitGroup
		waits  []time.Duration
		stats  runtime.MemStats
	)
	worker.Go(func() {
		for !done.Load() {
			work()
		}
	})
	for b.Loop() {
		time.Sleep(200 * time.Microsecond) // so that the work continues
		start := time.Now()
		runtime.ReadMemStats(&stats) // stops the world
		waits = append(waits, time.Since(start))
	}
	done.Store(true)
	worker.Wait()
	slices.Sort(waits)
	for _, q := range []struct {
		name string
		at   int
	}{{"median-ns", len(waits) / 2}, {"p90-ns", len(waits) * 9 / 10}, {"p99-ns", len(waits) * 99 / 100}} {
		b.ReportMetric(float64(waits[q.at].Nanoseconds()), q.name)
	}
	b.ReportMetric(0, "ns/op")
}
