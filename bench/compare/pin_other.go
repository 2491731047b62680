//go:build !linux

package main

import (
	"errors"
	"runtime"
)

// cpus returns the numbers of the CPUs that this process may use.
func cpus() []int {
	all := make([]int, runtime.NumCPU())
	for i := range all {
		all[i] = i
	}
	return all
}

// pin binds the calling goroutine to a thread. Only on Linux is the thread bound to a CPU.
func pin(int) error {
	runtime.LockOSThread()
	return errors.ErrUnsupported
}
