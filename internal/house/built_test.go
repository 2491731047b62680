package house

import (
	"cmp"
	"fmt"
	"go/build"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A way is one of the ways in which .ci/run builds packages.
type way struct {
	by           string // the text of .ci/run that does it
	goos, goarch string
	tags         string
	newest       bool   // by the newest release of Go
	vet          bool   // without running the tests
	in           string // the folder or file, if not the main module; the first way is for all modules
	without      string // folders of which it runs no tests
}

const simd = "goexperiment.simd"

var ways = []way{
	{by: "GOFLAGS=-v go test ./...", goos: "linux", goarch: "amd64", in: "."},
	{by: "\tGOFLAGS=-tags=purego tested ", goos: "linux", goarch: "amd64", tags: "purego"},
	{by: "\ttested '' ./... -short -gcflags=-d=checkptr", goos: "linux", goarch: "amd64", newest: true},
	{by: "GOARCH=386 tested ", goos: "linux", goarch: "386"},
	{by: " foreign_cpu arm64 ", goos: "linux", goarch: "arm64", without: "slotmap/topology slotmap/plan"},
	{by: " foreign_cpu s390x ", goos: "linux", goarch: "s390x", without: "slotmap/topology slotmap/plan"},
	{by: "\tgo test -count=1 -run='^TestArchsimd$'", goos: "linux", goarch: "amd64", tags: simd, newest: true, in: "archsimd_test.go"},
	{by: "\tGOARCH=arm64 go test -count=1 -run='^TestArchsimd$'", goos: "linux", goarch: "arm64", tags: simd, newest: true, in: "archsimd_test.go"},
	{by: " linux/riscv64 ", goos: "linux", goarch: "riscv64", vet: true},
	{by: " darwin/arm64 ", goos: "darwin", goarch: "arm64", vet: true},
	{by: " windows/amd64 ", goos: "windows", goarch: "amd64", vet: true},
	{by: " js/wasm)", goos: "js", goarch: "wasm", vet: true},
	{by: "(cd bench/compare && GOOS=darwin GOARCH=arm64 go vet .)", goos: "darwin", goarch: "arm64", vet: true, in: "bench/compare"},
	{by: "(cd internal/mutate && GOOS=darwin GOARCH=arm64 go vet .)", goos: "darwin", goarch: "arm64", vet: true, in: "internal/mutate"},
	{by: "(cd interop && GOOS=darwin GOARCH=arm64 go vet ./internal/servers)", goos: "darwin", goarch: "arm64", vet: true, in: "interop/internal/servers"},
}

// reaches reports whether the way builds the file if its constraints allow that.
func (w way) reaches(name string, nested bool) bool {
	dir := path.Dir(name)
	test := strings.HasSuffix(name, "_test.go")
	for without := range strings.FieldsSeq(w.without) {
		if test && (dir == without || strings.HasPrefix(dir, without+"/")) {
			return false
		}
	}
	switch {
	case w.vet && (test || path.Ext(name) == ".s"): // no test would run it
		return false
	case w.in == "":
		return !nested
	}
	return w.in == "." || w.in == dir || w.in == name
}

// context returns the way in terms of go/build. minor is the minor version of Go.
func (w way) context(minor int) build.Context {
	c := build.Context{GOOS: w.goos, GOARCH: w.goarch, Compiler: "gc", BuildTags: strings.Fields(w.tags)}
	for i := range minor {
		c.ReleaseTags = append(c.ReleaseTags, fmt.Sprintf("go1.%d", i+1))
	}
	return c
}

// unbuilt returns the sources that no way builds, and the tests that no way runs. floor and
// newest are minor versions of Go.
func unbuilt(tree fs.FS, floor, newest int) (files []string, seen int, err error) {
	nested := map[string]bool{} // folders
	err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		dir := path.Dir(name)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == ".git" || entry.Name() == "testdata"):
			return fs.SkipDir
		case entry.IsDir():
			_, err := fs.Stat(tree, path.Join(name, "go.mod"))
			nested[name] = name != "." && (err == nil || nested[dir])
			return nil
		case !slices.Contains([]string{".go", ".s"}, path.Ext(name)):
			return nil
		}
		seen++
		isBuilt := func(w way) bool {
			minor := floor
			if w.newest {
				minor = newest
			}
			c := w.context(minor)
			c.OpenFile = func(string) (io.ReadCloser, error) { return tree.Open(name) }
			matches, matchErr := c.MatchFile(dir, entry.Name())
			err = cmp.Or(err, matchErr)
			return matches && w.reaches(name, nested[dir])
		}
		hidden := slices.ContainsFunc(strings.Split(dir, "/"), func(part string) bool {
			return part != "." && strings.ContainsAny(part[:1], "._") // ./... does not go there
		})
		if hidden || !slices.ContainsFunc(ways, isBuilt) {
			files = append(files, name)
		}
		return err
	})
	return files, seen, err
}

// TestEverySourceIsBuilt checks that the checks of .ci/run build every source in at least
// one way, and run every file of tests. Otherwise a wrong build constraint would hide it,
// and all would pass.
func TestEverySourceIsBuilt(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(root, ".ci", "run"))
	require.NoError(t, err)
	for _, w := range ways {
		assert.Contains(t, string(script), w.by, "the check of %s/%s %s", w.goos, w.goarch, w.tags)
	}
	minor := func(name string) int {
		m := regexp.MustCompile(`(?m)^` + name + `=go1\.(\d+)\.\d+\b`).FindSubmatch(script)
		require.NotNil(t, m, name)
		n, err := strconv.Atoi(string(m[1]))
		require.NoError(t, err)
		return n
	}
	files, seen, err := unbuilt(os.DirFS(root), minor("floor"), minor("newest"))
	require.NoError(t, err)
	assert.Greater(t, seen, 300)
	assert.Empty(t, files)
}

// TestUnbuilt checks that unbuilt finds what it should.
func TestUnbuilt(t *testing.T) {
	tree := fstest.MapFS{}
	add := func(name, constraint string) {
		if constraint != "" {
			constraint = "//go:build " + constraint + "\n\n"
		}
		tree[name] = &fstest.MapFile{Data: []byte(constraint + "package p\n")}
	}
	var want []string
	for name, constraint := range map[string]string{
		"a_test.go": "", "b_test.go": "purego", "c_arm64_test.go": "!purego", "d_test.go": "386 || never",
		"archsimd_test.go": "goexperiment.simd && go1.27", "e_test.go": "go1.27", "f_windows.go": "", "g_arm64.s": "", "go.mod": "",
		"dir/a_test.go": "s390x", "dir/b.go": "!linux", "dir/testdata/a_test.go": "never", "slotmap/plan/a_arm64.go": "",
		"nested/go.mod": "", "nested/a_test.go": "linux && !purego", "nested/dir/a.go": "gc",
		"bench/compare/go.mod": "", "bench/compare/a.go": "!linux",
	} {
		add(name, constraint)
	}
	for name, constraint := range map[string]string{
		"never_test.go": "neverset", "typo_test.go": "linus", "never.go": "neverset", "old_test.go": "!go1.20",
		"windows_test.go": "windows", "a_riscv64_test.go": "", "later_test.go": "go1.28", "never_amd64.s": "purego && !purego",
		"x_riscv64.s": "", "_left_test.go": "", "_left/a_test.go": "", ".left/a_test.go": "", "both_test.go": "purego && arm64",
		"simd_test.go": "goexperiment.simd && go1.27", "nested/b_test.go": "purego", "nested/dir/c.go": "!linux",
		"nested/dir/c_386_test.go": "", "slotmap/plan/a_arm64_test.go": "", "slotmap/plan/dir/a_test.go": "s390x",
	} {
		add(name, constraint)
		want = append(want, name)
	}
	got, seen, err := unbuilt(tree, 25, 27)
	require.NoError(t, err)
	assert.ElementsMatch(t, want, got)
	assert.Equal(t, len(tree)-4, seen)
}
