package main

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the kernel end the process of cmd when this one ends, even if this
// one is killed. The process stays in our process group, so that what stops or continues
// the group reaches it too.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
