package interop_test

import (
	"math/rand/v2"
	"testing"

	"github.com/hashslot/hashslot"
	"github.com/mediocregopher/radix/v4"
	"github.com/mna/redisc"
	"github.com/stretchr/testify/require"
)

// hashslot.Of can replace the exported functions of two clients. The keys are random, most
// of them with braces. Both clients agree with it on every key, so there is no list of
// exceptions.
func TestDropIn(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const count = 1_000_000
	const braces = "{{{}}}ab:0\x00\xff"
	keys := make([]string, 0, count)
	for range count {
		b := make([]byte, r.IntN(r.IntN(70)+1))
		few := r.IntN(3) // of three keys, one has many braces, one has some, one has any bytes
		for i := range b {
			b[i] = byte(r.IntN(256))
			if few == 0 || few == 1 && r.IntN(8) == 0 {
				b[i] = braces[r.IntN(len(braces))]
			}
		}
		keys = append(keys, string(b))
	}
	type disagreement struct {
		key              string
		ours, him, other int
	}
	var differ []disagreement
	for i, slot := range hashslot.AppendOf(nil, keys) {
		key := keys[i]
		one := hashslot.Of(key)
		a, b := redisc.Slot(key), int(radix.ClusterSlot([]byte(key)))
		if int(one) != a || int(slot) != a || a != b {
			differ = append(differ, disagreement{key, int(one), a, b})
		}
	}
	require.Empty(t, differ[:min(20, len(differ))], "%d of %d keys", len(differ), count)
}
