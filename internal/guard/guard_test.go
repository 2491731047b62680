package guard

import (
	"runtime/debug"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBuffer(t *testing.T) {
	b := New(t, 5000)
	require.GreaterOrEqual(t, b.Len(), 5000)
	all := b.Head(b.Len())
	for i := range all {
		all[i] = byte(i)
	}
	assert.Equal(t, all[:3], b.Head(3))
	assert.Equal(t, all[len(all)-3:], b.Tail(3))
	assert.Len(t, b.Head(0), 0)
	assert.Equal(t, 0, cap(b.Tail(0)))
	assert.Equal(t, 7, cap(b.Head(7)))
}

func TestNeighboursAreUnreadable(t *testing.T) {
	if !Protected {
		t.Log("this target has no unreadable pages")
		return
	}
	b := New(t, 1)
	first, last := unsafe.SliceData(b.Head(1)), unsafe.SliceData(b.Tail(1))
	assert.False(t, faults(first))
	assert.False(t, faults(last))
	assert.True(t, faults((*byte)(unsafe.Add(unsafe.Pointer(first), -1))), "the byte in front")
	assert.True(t, faults((*byte)(unsafe.Add(unsafe.Pointer(last), 1))), "the byte behind")
}

var sink byte

// faults reports whether reading *p is a fault.
func faults(p *byte) (fault bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { fault = recover() != nil }()
	sink = *p
	return
}
