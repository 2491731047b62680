package main

import (
	"bytes"
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

// The program is built, and run as a user runs it.
func TestBuilt(t *testing.T) {
	name := filepath.Join(t.TempDir(), "hashslot")
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	build := exec.Command("go", "build", "-o", name, ".")
	// It is built for this machine, even if the test itself runs on an emulated CPU.
	build.Env = append(os.Environ(), "GOOS=", "GOARCH=")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	runBuilt := func(stdin string, args ...string) result {
		var out, errOut bytes.Buffer
		cmd := exec.Command(name, args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
		_ = cmd.Run()
		return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
	}
	const tagged = "5970\t123\t123\tuser:{123}:profile\n5970\t123\t123\tuser:{123}:settings\n14687\t\tmykey\tmykey\n"
	assert.Equal(t, result{out: tagged}, runBuilt("", "slot", "user:{123}:profile", "user:{123}:settings", "mykey"))
	assert.Equal(t, result{out: tagged}, runBuilt("user:{123}:profile\nuser:{123}:settings\nmykey\n", "slot"))
	assert.Equal(t, result{out: `{"slot":0,"tag":"06S"}` + "\n"}, runBuilt("", "tag", "-format", "json", "0"))
	assert.Equal(t, result{out: usage()}, runBuilt("", "-h"))
	assert.Equal(t, result{2, "", usage()}, runBuilt(""))
	assert.Equal(t, exitFailed, runBuilt("1\n16384\n", "tag").code)

	// The reader closes the pipe: the program ends without a message.
	var errOut bytes.Buffer
	cmd := exec.Command(name, "slot")
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
		cmd := exec.Command(name, "slot", "foo")
		errOut.Reset()
		cmd.Stdout, cmd.Stderr = full, &errOut
		assert.Error(t, cmd.Run())
		assert.Equal(t, exitFailed, cmd.ProcessState.ExitCode())
		assert.Contains(t, errOut.String(), "hashslot slot: write /dev/")
	}
}
