//go:build !linux

package servers

import "os/exec"

func start(cmd *exec.Cmd) error { return cmd.Start() }
