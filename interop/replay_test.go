package interop_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A replay is a set of nodes that give the answers of a captured cluster, as far as
// --cluster check asks for them. A node that was not captured, but to which the others
// have a link, gives the answers of one of the others, without open slots. All other
// nodes had failed: nothing listens at their ports.
type replay struct {
	addrs []string          // of the nodes that answer, captured ones first
	views map[string]string // by address: the CLUSTER NODES of the node

	mu      sync.Mutex
	unknown map[string]bool // commands without an answer
}

// The address field of CLUSTER NODES: host, port and the rest.
var nodeAddr = regexp.MustCompile(`^(.*):(\d+)(@.*)?$`)

// newReplay serves the captured state of a folder until the test ends.
func newReplay(t *testing.T, dir string) *replay {
	files, err := filepath.Glob(filepath.Join(dir, "*.nodes.txt"))
	require.NoError(t, err)
	captured := map[string]string{} // by port
	for _, file := range files {
		port, _, _ := strings.Cut(filepath.Base(file), ".")
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		captured[port] = string(text)
	}
	r := &replay{views: map[string]string{}, unknown: map[string]bool{}}
	listeners := map[string]net.Listener{} // by captured port
	ports := map[string]string{}           // by captured port: the port here
	var order []string
	for _, text := range captured {
		for line := range strings.Lines(text) {
			fields := strings.Fields(line)
			m := nodeAddr.FindStringSubmatch(fields[1])
			if m == nil || m[2] == "0" || ports[m[2]] != "" {
				continue
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			_, ports[m[2]], _ = net.SplitHostPort(l.Addr().String())
			listeners[m[2]] = l
			t.Cleanup(func() { l.Close() })
			order = append(order, m[2])
		}
	}
	slices.SortFunc(order, func(a, b string) int {
		if (captured[a] != "") != (captured[b] != "") {
			if captured[a] != "" {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	for _, port := range order {
		text, ok := captured[port]
		if !ok {
			text, ok = asSeenBy(captured[order[0]], port)
		}
		if !ok {
			listeners[port].Close()
			continue
		}
		var here strings.Builder
		for line := range strings.Lines(text) {
			fields := strings.Fields(line)
			if m := nodeAddr.FindStringSubmatch(fields[1]); m != nil && m[2] != "0" {
				host := "127.0.0.1"
				if m[1] == "" {
					host = "" // the node does not know it
				}
				fields[1] = host + ":" + ports[m[2]] + m[3]
			}
			here.WriteString(strings.Join(fields, " ") + "\n")
		}
		addr := "127.0.0.1:" + ports[port]
		r.views[addr] = here.String()
		r.addrs = append(r.addrs, addr)
		go r.serve(listeners[port], here.String())
	}
	return r
}

// asSeenBy turns a view into that of the node at port. ok is false if that node cannot be
// expected to answer.
func asSeenBy(view, port string) (text string, ok bool) {
	var b strings.Builder
	for line := range strings.Lines(view) {
		fields := strings.Fields(line)
		fields[2] = strings.TrimPrefix(fields[2], "myself,")
		if m := nodeAddr.FindStringSubmatch(fields[1]); m != nil && m[2] == port {
			if fields[7] != "connected" || strings.Contains(fields[2], "fail") && !strings.Contains(fields[2], "nofailover") {
				return "", false
			}
			fields[2] = "myself," + fields[2]
			ok = true
		}
		fields = slices.DeleteFunc(fields, func(f string) bool { return strings.HasPrefix(f, "[") && strings.HasSuffix(f, "]") })
		b.WriteString(strings.Join(fields, " ") + "\n")
	}
	return b.String(), ok
}

func (r *replay) serve(l net.Listener, view string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			in := bufio.NewReader(c)
			for {
				args, err := readCommand(in)
				if err != nil {
					return
				}
				if _, err := io.WriteString(c, r.answer(view, args)); err != nil {
					return
				}
			}
		}()
	}
}

func readCommand(in *bufio.Reader) (args []string, err error) {
	var n int
	if _, err := fmt.Fscanf(in, "*%d\r\n", &n); err != nil {
		return nil, err
	}
	for range n {
		var size int
		if _, err := fmt.Fscanf(in, "$%d\r\n", &size); err != nil {
			return nil, err
		}
		arg := make([]byte, size+2)
		if _, err := io.ReadFull(in, arg); err != nil {
			return nil, err
		}
		args = append(args, string(arg[:size]))
	}
	return args, nil
}

func (r *replay) answer(view string, args []string) string {
	bulk := func(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }
	switch strings.ToLower(strings.Join(args, " ")) {
	case "ping":
		return "+PONG\r\n"
	case "info":
		return bulk("# Server\r\nredis_version:7.0.15\r\n# Cluster\r\ncluster_enabled:1\r\n")
	case "cluster nodes":
		return bulk(view)
	case "cluster info":
		return bulk("cluster_state:ok\r\n")
	case "dbsize":
		return ":0\r\n"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unknown[strings.Join(args, " ")] = true
	return "-ERR unknown command\r\n"
}

// hashslot check reports everything that --cluster check reports of a captured state.
func TestCheckAsToolOnCaptures(t *testing.T) {
	command := hashslotCommand(t)
	views, err := filepath.Glob("../testdata/captures/*/*/*.nodes.txt")
	require.NoError(t, err)
	var states []string
	for _, file := range views {
		states = append(states, filepath.Dir(file))
	}
	states = slices.Compact(states)
	require.Greater(t, len(states), 50)
	type replayed struct {
		*replay
		name     string
		problems []problem
		ok       bool
	}
	var all []replayed
	for _, dir := range states {
		r := newReplay(t, dir)
		require.NotEmpty(t, r.addrs, dir)
		var texts []string
		for _, addr := range r.addrs {
			texts = append(texts, r.views[addr])
		}
		problems, ok := checkViews(t, command, texts)
		all = append(all, replayed{r, strings.TrimPrefix(dir, "../testdata/captures/"), problems, ok})
	}
	servers.Each(t, func(t *testing.T, s servers.Server) {
		for _, r := range all {
			tool, err := s.CLI("--cluster", "check", r.addrs[0])
			assert.Contains(t, tool, "Check slots coverage", "%s: the tool stops early", r.name)
			atLeastAsTool(t, r.name, tool, err, r.problems, r.ok)
			r.mu.Lock()
			assert.Empty(t, r.unknown, "%s: the tool sends commands that the nodes here cannot answer", r.name)
			r.mu.Unlock()
		}
	})
}
