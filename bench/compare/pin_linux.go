package main

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// cpus returns the CPUs that this process may use.
func cpus() []int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	var all []int
	for i := range len(set) * 64 {
		if set.IsSet(i) {
			all = append(all, i)
		}
	}
	return all
}

// pin binds the calling goroutine to a thread, and the thread to one CPU.
func pin(cpu int) error {
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(cpu)
	if !set.IsSet(cpu) {
		return fmt.Errorf("there is no CPU %d", cpu)
	}
	return unix.SchedSetaffinity(0, &set)
}
