// Package guard makes buffers between unreadable pages, for tests: code that reads
// or writes one byte before such a buffer, or one byte after it, crashes.
package guard

import "testing"

// Buffer is memory between two pages that must not be touched. If [Protected] is false,
// it is plain memory.
type Buffer struct{ data []byte }

// New returns a buffer of at least size bytes, rounded up to whole pages. It
// lives until the test ends. The garbage collector does not scan it: pointers to
// Go memory that are stored there keep nothing alive.
func New(t testing.TB, size int) *Buffer {
	t.Helper()
	return &Buffer{alloc(t, size)}
}

// Len returns the size of the buffer.
func (b *Buffer) Len() int { return len(b.data) }

// Head returns the first n bytes. The byte before them is unreadable.
func (b *Buffer) Head(n int) []byte { return b.data[:n:n] }

// Tail returns the last n bytes. The byte after them is unreadable.
func (b *Buffer) Tail(n int) []byte {
	i := len(b.data) - n
	return b.data[i : i+n : i+n]
}
