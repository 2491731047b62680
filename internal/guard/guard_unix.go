//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || solaris

package guard

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Protected reports whether this target has unreadable pages.
const Protected = true

func alloc(t testing.TB, size int) []byte {
	t.Helper()
	page := unix.Getpagesize()
	size = max(1, (size+page-1)/page) * page
	all, err := unix.Mmap(-1, 0, size+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatalf("guard: mmap: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(all); err != nil {
			t.Errorf("guard: munmap: %v", err)
		}
	})
	for _, edge := range [][]byte{all[:page], all[page+size:]} {
		if err := unix.Mprotect(edge, unix.PROT_NONE); err != nil {
			t.Fatalf("guard: mprotect: %v", err)
		}
	}
	return all[page : page+size]
}
