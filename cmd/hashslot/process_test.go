package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The program runs in a process of its own, as a user runs it.
func TestProcess(t *testing.T) {
	command := program(t)
	runProcess := func(stdin string, args ...string) result {
		var out, errOut bytes.Buffer
		cmd := command(args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
		_ = cmd.Run()
		return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
	}
	const tagged = "5970\t123\t123\tuser:{123}:profile\n5970\t123\t123\tuser:{123}:settings\n14687\t\tmykey\tmykey\n"
	assert.Equal(t, result{out: tagged}, runProcess("", "slot", "user:{123}:profile", "user:{123}:settings", "mykey"))
	assert.Equal(t, result{out: tagged}, runProcess("user:{123}:profile\nuser:{123}:settings\nmykey\n", "slot"))
	assert.Equal(t, result{out: `{"slot":0,"tag":"06S"}` + "\n"}, runProcess("", "tag", "-format", "json", "0"))
	assert.Equal(t, result{out: usage()}, runProcess("", "-h"))
	assert.Equal(t, result{2, "", usage()}, runProcess(""))
	assert.Equal(t, exitFailed, runProcess("1\n16384\n", "tag").code)
	assert.Equal(t, result{2, "", "hashslot slot: unknown option -nosuch (hashslot slot -h for help)\n"}, runProcess("", "slot", "-nosuch"))

	// The reader closes the pipe: the program ends without a message.
	var errOut bytes.Buffer
	cmd := command("slot")
	cmd.Stdin, cmd.Stderr = &endless{line: "foo\n"}, &errOut
	answers, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	first := make([]byte, 15)
	_, err = io.ReadFull(answers, first)
	require.NoError(t, err)
	assert.Equal(t, "12182\t\tfoo\tfoo\n", string(first))
	require.NoError(t, answers.Close())
	assert.Error(t, cmd.Wait())
	assert.Empty(t, errOut.String())

	// The disk is full.
	if full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0); err == nil {
		defer full.Close()
		cmd := command("slot", "foo")
		errOut.Reset()
		cmd.Stdout, cmd.Stderr = full, &errOut
		assert.Error(t, cmd.Run())
		assert.Equal(t, exitFailed, cmd.ProcessState.ExitCode())
		assert.Contains(t, errOut.String(), "hashslot slot: write /dev/")
	}
}

// runsMain is the environment variable with which the binary of the tests is the program.
const runsMain = "HASHSLOT_TEST_RUNS_MAIN"

// program returns a function that makes commands of the program with arguments. It is the
// binary of the tests, which is linked already. Only if a process of it cannot start, as
// on an emulated CPU, the program is built for this machine.
func program(t *testing.T) func(args ...string) *exec.Cmd {
	t.Helper()
	name, err := os.Executable()
	require.NoError(t, err)
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.Env = append(os.Environ(), runsMain+"=1")
		return cmd
	}
	var exit *exec.ExitError
	if err := command("version").Run(); err == nil || errors.As(err, &exit) {
		return command
	}
	name = filepath.Join(t.TempDir(), "hashslot")
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	build := exec.Command("go", "build", "-o", name, ".")
	build.Env = append(os.Environ(), "GOOS=", "GOARCH=")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return command
}
