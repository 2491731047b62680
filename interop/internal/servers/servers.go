// Package servers starts real clusters of Valkey and Redis on loopback, for tests. Every
// process is ended by its handle when its test ends. On Linux, the kernel also ends it if
// the test's process ends in any other way.
package servers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A Server is a program that can be a node of a cluster.
type Server struct {
	Name         string // "redis" or "valkey"
	Version      string // "8.0.1"
	Major, Minor int
	program, cli string
}

// AtLeast reports whether the server's version is major.minor or later.
func (s Server) AtLeast(major, minor int) bool {
	return s.Major > major || s.Major == major && s.Minor >= minor
}

func (s Server) String() string { return s.Name + "-" + s.Version }

var version = regexp.MustCompile(`^(Redis|Valkey) server v=((\d+)\.(\d+)\.\d+)`)

// find looks for servers in the folders of HASHSLOT_SERVERS, each of which must have one,
// and of PATH. Programs are told apart by their --version output, because distributions
// link one name to the other.
var find = sync.OnceValues(func() (found []Server, empty []string) {
	named := filepath.SplitList(os.Getenv("HASHSLOT_SERVERS"))
	for i, folder := range append(named, filepath.SplitList(os.Getenv("PATH"))...) {
		has := false
		for _, name := range []string{"redis", "valkey"} {
			program := filepath.Join(folder, name+"-server")
			out, err := exec.Command(program, "--version").Output()
			m := version.FindStringSubmatch(string(out))
			if folder == "" || err != nil || m == nil {
				continue
			}
			s := Server{Name: strings.ToLower(m[1]), Version: m[2], program: program, cli: filepath.Join(folder, name+"-cli")}
			s.Major, _ = strconv.Atoi(m[3])
			s.Minor, _ = strconv.Atoi(m[4])
			known := slices.ContainsFunc(found, func(f Server) bool { return f.String() == s.String() })
			has = has || s.AtLeast(6, 0)
			if s.AtLeast(6, 0) && !known {
				found = append(found, s)
			}
		}
		if !has && i < len(named) {
			empty = append(empty, folder)
		}
	}
	return found, empty
})

// Each runs test in a parallel subtest for every server: tests wait most of the time. It
// fails if a server named in HASHSLOT_REQUIRE_SERVERS ("redis,valkey") is missing, or if a
// folder of HASHSLOT_SERVERS has none.
func Each(t *testing.T, test func(t *testing.T, s Server)) {
	t.Helper()
	t.Parallel()
	found, empty := find()
	if len(empty) > 0 {
		t.Errorf("HASHSLOT_SERVERS has %s, where no redis-server or valkey-server (6.0 or later) runs", empty)
	}
	for name := range strings.FieldsFuncSeq(os.Getenv("HASHSLOT_REQUIRE_SERVERS"), func(r rune) bool { return r == ',' }) {
		if !slices.ContainsFunc(found, func(s Server) bool { return s.Name == name }) {
			t.Errorf("HASHSLOT_REQUIRE_SERVERS names %s, but no %s-server (6.0 or later) is in the folders of HASHSLOT_SERVERS or on PATH", name, name)
		}
	}
	if len(found) == 0 && !t.Failed() {
		t.Skip("no redis-server or valkey-server (6.0 or later) is in the folders of HASHSLOT_SERVERS or on PATH")
	}
	for _, s := range found {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

// One returns the first server that is found, for tests of a client rather than of a
// server.
func One(t testing.TB) Server {
	t.Helper()
	found, _ := find()
	if len(found) == 0 {
		if os.Getenv("HASHSLOT_REQUIRE_SERVERS") != "" {
			t.Fatal("HASHSLOT_REQUIRE_SERVERS is set, but there is no server")
		}
		t.Skip("no redis-server or valkey-server (6.0 or later) is in the folders of HASHSLOT_SERVERS or on PATH")
	}
	return found[0]
}

// Tool returns the path of redis-cli or valkey-cli.
func (s Server) Tool() string { return s.cli }

// CLI runs redis-cli or valkey-cli, and returns all its output.
func (s Server) CLI(args ...string) (string, error) {
	out, err := exec.Command(s.cli, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w", s.cli, strings.Join(args, " "), err)
	}
	return string(out), err
}
