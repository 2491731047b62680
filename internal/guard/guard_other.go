//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || solaris)

package guard

import "testing"

// Protected reports whether this target has unreadable pages.
const Protected = false

const page = 4096

func alloc(_ testing.TB, size int) []byte { return make([]byte, max(1, (size+page-1)/page)*page) }
