package house

import (
	"archive/zip"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// maxZip is the most bytes that "go get" may download. It was set to a twentieth more than
// the size at that time, so that it stops large growth, but not the next test.
const maxZip = 850_000

// TestSize checks that the module stays small. Recorded replies, pictures and results are
// in nested modules, which importers do not download.
func TestSize(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not here")
	}
	list := exec.Command("git", "ls-files", "-z")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Skip("this is not a checkout")
	}
	paths := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	var nested []string
	for _, path := range paths {
		if dir, ok := strings.CutSuffix(path, "/go.mod"); ok {
			nested = append(nested, dir+"/")
		}
	}
	require.NotEmpty(t, nested)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	files := 0
	for _, path := range paths {
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
		if os.IsNotExist(err) || startsWithAny(path, nested) {
			continue // removed, or of another module
		}
		require.NoError(t, err)
		w, err := z.Create("github.com/hashslot/hashslot@v0.0.0/" + path)
		require.NoError(t, err)
		_, err = w.Write(data)
		require.NoError(t, err)
		files++
	}
	require.NoError(t, z.Close())
	require.Greater(t, files, 100)
	assert.LessOrEqual(t, b.Len(), maxZip)
	t.Logf("%d bytes in %d files", b.Len(), files)
}

func startsWithAny(path string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}
