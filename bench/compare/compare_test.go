package main

import (
	"testing"
	"time"

	"github.com/mediocregopher/radix/v4"
	"github.com/mna/redisc"
	"github.com/stretchr/testify/assert"

	"github.com/hashslot/hashslot"
)

// A comparison of speed is worth something only among equals.
func TestPeersAgree(t *testing.T) {
	rng := seeded()
	for _, key := range []func() string{
		func() string { return word(rng, rng.IntN(100)) },
		func() string { return mixedTag(3, 80)(rng) },
	} {
		for range 10_000 {
			k := key()
			want := int(hashslot.Of(k))
			assert.Equal(t, want, redisc.Slot(k), "redisc, %q", k)
			assert.Equal(t, want, int(radix.ClusterSlot([]byte(k))), "radix, %q", k)
			assert.Equal(t, want, int(bytewise(k)), "byte-wise, %q", k)
		}
	}
}

func TestEveryWorkloadRuns(t *testing.T) {
	names := map[string]bool{}
	for _, w := range workloads() {
		if testing.Short() && w.bytes > 1<<16 {
			continue
		}
		assert.False(t, names[w.name], "two workloads %q", w.name)
		names[w.name] = true
		assert.True(t, w.keys > 0 != (w.bytes > 0), w.name)
		all := w.contenders()
		for i, times := range measure(all, 1, time.Nanosecond) {
			assert.Len(t, times, 1, "%s, %s", w.name, all[i].name)
			assert.Positive(t, times[0], "%s, %s", w.name, all[i].name)
		}
	}
}
