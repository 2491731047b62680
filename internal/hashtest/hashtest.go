// Package hashtest has helpers for the tests, fuzz targets and benchmarks of
// several packages.
package hashtest

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashslot/hashslot/internal/impl"
	"github.com/hashslot/hashslot/internal/xmodem"
)

// Slot returns the slot of key by the two rules of the specification. All other code is
// compared with it. It uses xmodem.Table, which takes a tenth of the time of Bitwise; the
// tests of crc16 prove the two equal.
func Slot(key []byte) uint16 { return xmodem.Table(Tag(key)) % 16384 }

// Tag returns the bytes of key that are hashed.
func Tag(key []byte) []byte {
	if _, rest, ok := bytes.Cut(key, []byte("{")); ok {
		if tag, _, ok := bytes.Cut(rest, []byte("}")); ok && len(tag) > 0 {
			return tag
		}
	}
	return key
}

// EachKernel runs f as a subtest or sub-benchmark under each kernel that can
// run here, the plain Go included.
func EachKernel[T interface {
	testing.TB
	Run(name string, f func(T)) bool
}](t T, f func(t T)) {
	t.Helper()
	for _, name := range impl.Names() {
		t.Run("kernel="+name, func(t T) {
			restore, err := impl.Force(name)
			if err != nil {
				t.Fatal(err)
			}
			defer restore()
			f(t)
		})
	}
}

// Data returns the path of recorded test data (answers of real servers and their
// tools) in the checkout at root. The data is a nested module, so that importers do
// not download it. Without a checkout, the test is skipped.
func Data(t testing.TB, root, name string) string {
	t.Helper()
	path := filepath.Join(root, "testdata", filepath.FromSlash(name))
	if _, err := os.Stat(filepath.Join(root, "testdata", "go.mod")); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("NOT compared with recorded answers: no %s", path)
	}
	return path
}

// Foreign returns a file of other projects' test data. The data lies beside the
// checkout at root and is no part of it. If there is none, ok is false, or the test
// fails if HASHSLOT_REQUIRE_FOREIGN is set.
func Foreign(t testing.TB, root, name string) (data []byte, ok bool) {
	t.Helper()
	path := filepath.Join(root, "..", "shared", "foreign", filepath.FromSlash(name))
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		return data, true
	case os.Getenv("HASHSLOT_REQUIRE_FOREIGN") == "" && errors.Is(err, fs.ErrNotExist):
		t.Logf("NOT compared with other projects' data: no %s", path)
	default:
		t.Fatal(err)
	}
	return nil, false
}

// Rows returns the lines of a table, split at tabs. Lines that start with '#'
// are comments.
func Rows(data []byte) [][]string {
	var rows [][]string
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, "#") {
			rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
		}
	}
	return rows
}
