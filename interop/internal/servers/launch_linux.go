package servers

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// The kernel kills a child when the thread that started it ends. So one thread,
// which never ends, starts all.
var launches = sync.OnceValue(func() chan<- func() {
	c := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range c {
			f()
		}
	}()
	return c
})

// start starts cmd so that it does not outlive this process.
func start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	done := make(chan error)
	launches() <- func() { done <- cmd.Start() }
	return <-done
}
