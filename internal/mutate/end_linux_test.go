package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// In a process with this variable, TestMain runs the tool.
const runsTool = "HASHSLOT_MUTATE"

func TestMain(m *testing.M) {
	if os.Getenv(runsTool) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A tool that is stopped ends its tests, and leaves no folder behind. One that is killed
// ends its tests.
func TestStop(t *testing.T) {
	dir := t.TempDir()
	// Test_f connects to an address and waits for longer than TestStop. CI counts names of tests
	// with a capital letter, and this one is not of the package.
	for name, text := range map[string]string{
		"go.mod": "module example.com/m\n\ngo 1.25\n",
		"m.go":   "package m\n\nfunc f() int { return 1 }\n",
		"m_test.go": `package m

import (
	"net"
	"os"
	"testing"
	"time"
)

func Test_f(t *testing.T) {
	conn, err := net.Dial("tcp", os.Getenv("ADDRESS"))
	if err != nil {
		t.Fatal(err)
	}
	conn.Read(make([]byte, 1))
	time.Sleep(2 * time.Minute)
}
`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "explained.txt"), nil, 0o600))
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP) // so that the tool does not inherit that they are ignored
	defer signal.Stop(caught)
	stopped := func(t *testing.T, shell string, stop os.Signal, leaves int, says string) {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
		defer l.Close()
		require.NoError(t, l.SetDeadline(time.Now().Add(time.Minute)))
		tmp := t.TempDir()
		cmd := exec.Command("/bin/sh", "-c", shell, os.Args[0], "-root", dir, "-file", "m.go", "-explained", "explained.txt")
		cmd.Env = append(os.Environ(), runsTool+"=1", "TMPDIR="+tmp, "ADDRESS="+l.Addr().String())
		var output bytes.Buffer
		out, in, err := os.Pipe()
		require.NoError(t, err)
		defer out.Close()
		cmd.Stdout, cmd.Stderr = in, in
		require.NoError(t, cmd.Start())
		in.Close()
		conn, err := l.Accept()
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, cmd.Process.Signal(stop))
		// The connection ends with the test, and the output with the tool.
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
		n, err := conn.Read(make([]byte, 1))
		assert.Equal(t, 0, n)
		assert.ErrorIs(t, err, io.EOF)
		_, err = output.ReadFrom(out)
		require.NoError(t, err)
		assert.Error(t, cmd.Wait())
		if says == "" {
			assert.Empty(t, output.String())
		} else {
			assert.Equal(t, "mutate: stopped"+says+"\n", output.String())
		}
		left, err := os.ReadDir(tmp)
		require.NoError(t, err)
		assert.Len(t, left, leaves)
	}
	const tool = `exec "$0" "$@"`
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) { stopped(t, tool, s, 0, " by a signal: "+s.String()) })
	}
	t.Run("killed", func(t *testing.T) { stopped(t, tool, syscall.SIGKILL, 1, "") })
	t.Run("its parent is killed", func(t *testing.T) {
		stopped(t, `"$0" "$@"; exit`, syscall.SIGKILL, 0, ", because the parent process has ended; nohup prevents that")
	})
}
