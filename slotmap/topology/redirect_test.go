package topology

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/internal/hashtest"
	"github.com/hashslot/hashslot/slotmap"
)

func TestParseRedirect(t *testing.T) {
	for _, c := range []struct {
		message string
		want    Redirect
		addr    string
	}{
		{"MOVED 3999 127.0.0.1:6381", Redirect{false, 3999, "127.0.0.1", 6381}, "127.0.0.1:6381"},
		{"ASK 0 127.0.0.1:1", Redirect{true, 0, "127.0.0.1", 1}, "127.0.0.1:1"},
		{"-MOVED 16383 127.0.0.1:65535\r\n", Redirect{false, 16383, "127.0.0.1", 65535}, "127.0.0.1:65535"},
		{"MOVED 1 node-1.example.com:6379", Redirect{false, 1, "node-1.example.com", 6379}, "node-1.example.com:6379"},
		{"MOVED 1 ::1:17243", Redirect{false, 1, "::1", 17243}, "[::1]:17243"},
		{"MOVED 1 [2001:db8::3]:17243", Redirect{false, 1, "2001:db8::3", 17243}, "[2001:db8::3]:17243"},
		{"MOVED 1 fe80::1%eth0:7", Redirect{false, 1, "fe80::1%eth0", 7}, "[fe80::1%eth0]:7"},
		{"MOVED 1 :17203", Redirect{false, 1, "", 17203}, ""},
		{"MOVED 1 ?:17203", Redirect{false, 1, "?", 17203}, ""},
		{"MOVED 1 :0", Redirect{false, 1, "", 0}, ""},
		{"MOVED 1 10.0.0.1:0", Redirect{false, 1, "10.0.0.1", 0}, ""},
	} {
		got, err := ParseRedirect(c.message, Origin{})
		require.NoError(t, err, c.message)
		assert.Equal(t, c.want, got, c.message)
		assert.Equal(t, c.addr, got.Addr(), c.message)
		assert.Equal(t, c.addr != "", got.routable(), c.message)
	}
}

func TestParseRedirectNot(t *testing.T) {
	for message, reason := range map[string]string{
		"":                               "",
		"OK":                             "",
		"MOVEDX 1 127.0.0.1:1":           "",
		"moved 1 127.0.0.1:1":            "",
		"ERR MOVED 1 127.0.0.1:1":        "",
		"REDIRECT 127.0.0.1:6380":        "",
		"TRYAGAIN Multiple keys request": "",
		"MOVED":                          "slot",
		"MOVED ":                         "slot",
		"ASK":                            "slot",
		"ASK  1 127.0.0.1:1":             "slot",
		"MOVED x 127.0.0.1:1":            "slot",
		"MOVED -1 127.0.0.1:1":           "slot",
		"MOVED +1 127.0.0.1:1":           "slot",
		"MOVED 01 127.0.0.1:1":           "slot",
		"MOVED 16384 127.0.0.1:1":        "slot",
		"MOVED 99999999999999999999 a:1": "slot",
		"MOVED 1":                        "no port",
		"ASK 1 ":                         "no port",
		"MOVED 1 127.0.0.1":              "no port",
		"MOVED 1 127.0.0.1:":             "port is not",
		"MOVED 1 127.0.0.1:65536":        "port is not",
		"MOVED 1 127.0.0.1:-1":           "port is not",
		"MOVED 1 127.0.0.1:1 and more":   "port is not",
		"MOVED 1 a b:1":                  "host",
		"MOVED 1 ::1":                    "host",
		"MOVED 1 a:b:1":                  "host",
		"MOVED 1 [::1:1":                 "host",
	} {
		_, err := ParseRedirect(message, Origin{})
		if reason == "" {
			assert.Equal(t, ErrNotRedirect, err, message)
			continue
		}
		var e *slotmap.ParseError
		require.ErrorAs(t, err, &e, message)
		assert.Equal(t, message[:strings.IndexByte(message+" ", ' ')], e.Input)
		assert.Contains(t, e.Reason, reason, message)
	}
	_, err := ParseRedirect("MOVED 16384 127.0.0.1:1", Origin{})
	assert.EqualError(t, err, `MOVED: byte 6 of "MOVED 16384 127.0.0.1:1": the slot is not a number from 0 to 16383`)
	_, err = ParseRedirect("-ASK 1 a:b", Origin{})
	assert.EqualError(t, err, `ASK: byte 9 of "-ASK 1 a:b": the port is not a number from 0 to 65535`)
}

// kindOf is the first word of a redirect.
func kindOf(r Redirect) string {
	if r.Ask {
		return "ASK"
	}
	return "MOVED"
}

func TestRedirectOrigin(t *testing.T) {
	nat := func(addr string) string {
		switch addr {
		case "10.0.0.1:6379":
			return "[2001:db8::9]:7001"
		case "10.0.0.2:6379":
			return ""
		case "10.0.0.3:6379":
			return "no address"
		}
		return addr
	}
	for _, c := range []struct {
		endpoint string
		from     Origin
		addr     string
	}{
		{":17203", Origin{Addr: "10.0.0.1"}, "10.0.0.1:17203"},
		{":17203", Origin{Addr: "10.0.0.1:6379"}, "10.0.0.1:17203"},
		{":17203", Origin{Addr: "[::1]"}, "[::1]:17203"},
		{":17203", Origin{Addr: "[::1]:6379"}, "[::1]:17203"},
		{":17203", Origin{Addr: "::1"}, "[::1]:17203"},
		{":17203", Origin{}, ""},
		{":17203", Origin{Addr: "?"}, ""},
		{":17203", Origin{Addr: "/run/valkey.sock"}, ""},
		{"b:0", Origin{Addr: "unix:/run/valkey:7"}, ""},
		{":0", Origin{Addr: "10.0.0.1:6379"}, ""},
		{"?:17203", Origin{Addr: "10.0.0.1:6379"}, ""},
		{"?:0", Origin{Addr: "10.0.0.1:6379"}, ""},
		{"b:17203", Origin{Addr: "10.0.0.1:6379"}, "b:17203"},
		{"b:0", Origin{Addr: "10.0.0.1"}, ""},
		{"b:0", Origin{Addr: "10.0.0.1:6379"}, "b:6379"},
		{"10.0.0.1:6379", Origin{Map: nat}, "[2001:db8::9]:7001"},
		{":6379", Origin{Addr: "10.0.0.1", Map: nat}, "[2001:db8::9]:7001"},
		{"10.0.0.1:0", Origin{Addr: "a:6379", Map: nat}, "[2001:db8::9]:7001"},
		{"10.0.0.2:6379", Origin{Map: nat}, ""},
		{"10.0.0.3:6379", Origin{Map: nat}, ""},
		{"10.0.0.4:6379", Origin{Map: nat}, "10.0.0.4:6379"},
		{":0", Origin{Map: func(string) string { panic("nothing to map") }}, ""},
		{"?:7", Origin{Map: func(string) string { panic("nothing to map") }}, ""},
	} {
		r, err := ParseRedirect("MOVED 1 "+c.endpoint, c.from)
		require.NoError(t, err)
		assert.Equal(t, c.addr, r.Addr(), "%s %s", c.endpoint, c.from.Addr)
	}
}

func TestClassify(t *testing.T) {
	for message, want := range map[string]Action{
		"MOVED 1 127.0.0.1:1":    ActionMoved,
		"-ASK 1 127.0.0.1:1\r\n": ActionAsk,
		"TRYAGAIN Multiple keys request during rehashing of slot":                                       ActionRetry,
		"CLUSTERDOWN Hash slot not served":                                                              ActionRefresh,
		"CLUSTERDOWN The cluster is down":                                                               ActionRefresh,
		"CROSSSLOT Keys in request don't hash to the same slot":                                         ActionFail,
		"LOADING Valkey is loading the dataset in memory":                                               ActionOtherNode,
		"MASTERDOWN Link with MASTER is down":                                                           ActionOtherNode,
		"READONLY You can't write against a read only replica.":                                         ActionPrimary,
		"ERR unknown command":                                                                           ActionNone,
		"WRONGTYPE Operation":                                                                           ActionNone,
		"EXECABORT Transaction discarded because of previous errors.":                                   ActionRestart,
		"-NOREPLICAS Not enough good replicas to write.":                                                ActionRetry,
		"-NOTREADY Cluster is not ready to migrate slots":                                               ActionRetry,
		"-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)": ActionPrimary,
		"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n":                                            ActionNone,
		"-REDIRECT 127.0.0.1:6379":                                                                      ActionPrimary,
		// Kvrocks
		"CLUSTERDOWN The cluster is not initialized":                                    ActionRefresh,
		"TRYAGAIN Can't write to slot being migrated which is in write forbidden phase": ActionRetry,
		"CROSSSLOT Attempted to access keys that don't hash to the same slot":           ActionFail,
		// Dragonfly
		"-ERR Cluster is not yet configured\r\n":                                   ActionRefresh,
		"ERR Cluster is disabled. Enabled via passing --cluster_mode=emulated|yes": ActionNone,
		"-LOADING Dragonfly is loading the dataset in memory":                      ActionOtherNode,
		// Garnet
		"CROSSSLOT Keys in request do not hash to the same slot": ActionFail,
		"MIGRATING 5": ActionRetry,
		"ERR This instance has cluster support disabled": ActionNone,
		"MOVEDX":      ActionNone,
		"LOADING\r\n": ActionOtherNode,
		"":            ActionNone,
	} {
		assert.Equal(t, want, Classify(message), message)
	}
	// All other first words of errors in Valkey 9.1 and Redis 8.6 concern the caller, or a
	// client that sends other commands than those for data.
	for _, word := range strings.Fields("MISCONF BUSY NOPERM NOGROUP WRONGTYPE UNKILLABLE OOM NOMASTERLINK NOAUTH IOERR WRONGPASS NOTBUSY NOSCRIPT NOQUORUM NOPROTO NOGOODSLAVE NOGOODPRIMARY INVALIDOBJ INPROG DENIED BUSYKEY BUSYGROUP ERR") {
		assert.Equal(t, ActionNone, Classify("-"+word+" and so on"), word)
	}
	var names []string
	for a := ActionNone; a <= ActionRestart+1; a++ {
		names = append(names, a.String())
	}
	assert.Equal(t, []string{"none", "moved", "ask", "retry", "refresh", "other node", "primary", "fail", "restart", "unknown action"}, names)
}

// Every error that a server was made to give is classified, and each that is a
// redirect is read.
func TestCapturedErrors(t *testing.T) {
	paths, err := filepath.Glob(hashtest.Data(t, "../..", "captures/*/errors/*.txt"))
	require.NoError(t, err)
	require.Len(t, paths, 13)
	wire := regexp.MustCompile(`b['"]-((?:[A-Z]+) [^\\]*)\\r\\n['"]`)
	count := map[Action]int{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, match := range wire.FindAllStringSubmatch(string(data), -1) {
			message := match[1]
			action := Classify(message)
			count[action]++
			r, err := ParseRedirect(message, Origin{})
			switch action {
			case ActionMoved, ActionAsk:
				require.NoError(t, err, message)
				want := strings.Fields(message)
				assert.Equal(t, want[0], kindOf(r))
				assert.Equal(t, want[1]+" "+want[2], joinWire(r))
			default:
				assert.ErrorIs(t, err, ErrNotRedirect, message)
			}
		}
	}
	for a := ActionNone; a <= ActionFail; a++ {
		if a != ActionPrimary {
			assert.NotZero(t, count[a], a)
		}
	}
}

// joinWire is the slot and the endpoint as servers print them.
func joinWire(r Redirect) string {
	b, _ := json.Marshal(r.Slot)
	port, _ := json.Marshal(r.Port)
	return string(b) + " " + r.Host + ":" + string(port)
}

func TestRedirectAllocs(t *testing.T) {
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		ParseRedirect("ERR something else", Origin{})
		ParseRedirect("MOVED 3999 127.0.0.1:6381", Origin{})
		ParseRedirect("MOVED 3999 node.example.com:6381", Origin{})
		Classify("MOVED 3999 127.0.0.1:6381")
	}))
}

func FuzzParseRedirect(f *testing.F) {
	for _, s := range []string{"MOVED 3999 127.0.0.1:6381", "ASK 1 ::1:2", "MOVED 1 [::1]:2", "MOVED 1 ?:2", "MOVED 1 :0", "-MOVED 1 a:2\r\n", "ASK"} {
		f.Add(s)
	}
	// The form of a redirect, as a regular expression.
	form := regexp.MustCompile(`^-?(MOVED|ASK) (0|[1-9]\d{0,4}) (\[([^][ \t\r\n]*)\]|[^][ \t\r\n]*):(0|[1-9]\d{0,4})[ \t\r\n]*$`)
	f.Fuzz(func(t *testing.T, message string) {
		r, err := ParseRedirect(message, Origin{})
		m := form.FindStringSubmatch(message)
		ok := m != nil
		var slot, port int
		var host string
		if ok {
			host = m[3]
			if strings.HasPrefix(host, "[") {
				host = m[4]
			}
			require.NoError(t, json.Unmarshal([]byte(m[2]), &slot))
			require.NoError(t, json.Unmarshal([]byte(m[5]), &port))
			ok = slot < 16384 && port < 65536 && (!strings.Contains(host, ":") || isIP(host))
		}
		if !ok {
			require.Error(t, err)
			require.Equal(t, Redirect{}, r)
			return
		}
		require.NoError(t, err)
		require.Equal(t, m[1], kindOf(r))
		require.Equal(t, slot, int(r.Slot))
		require.Equal(t, host, r.Host)
		require.Equal(t, port, r.Port)
	})
}
