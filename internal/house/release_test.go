package house

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// TestDependabot holds that dependabot looks at each module that requires others.
func TestDependabot(t *testing.T) {
	out, err := exec.Command("git", "-C", root, "ls-files", "*go.mod").Output()
	if err != nil {
		t.Skip("this is not a checkout")
	}
	var want []string
	for _, file := range strings.Fields(string(out)) {
		if strings.Contains(read(t, file), "\nrequire ") {
			want = append(want, path.Join("/", path.Dir(file)))
		}
	}
	require.Greater(t, len(want), 10)
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^      - (/\S*)$`).FindAllStringSubmatch(read(t, ".github/dependabot.yml"), -1) {
		got = append(got, m[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	assert.Equal(t, want, got)
}

// TestActions holds that workflows name actions by commit, the same commit everywhere,
// with the version beside it.
func TestActions(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	commits := map[string]string{}
	for _, file := range files {
		text := read(t, ".github/workflows/"+filepath.Base(file))
		for _, line := range regexp.MustCompile(`(?m)^.*\buses:.*$`).FindAllString(text, -1) {
			m := regexp.MustCompile(`uses: ([\w./-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)$`).FindStringSubmatch(line)
			if !assert.NotNil(t, m, "%s: %s", file, line) {
				continue
			}
			if commits[m[1]] == "" {
				commits[m[1]] = m[2]
			}
			assert.Equal(t, commits[m[1]], m[2], "%s: %s", file, m[1])
		}
		assert.NotContains(t, text, "secrets.", file)
	}
}

// TestVersion holds that adapters require the version that the changelog begins with:
// whoever imports them does not see that they replace it by the checkout.
func TestVersion(t *testing.T) {
	m := regexp.MustCompile(`(?m)^## (\d+\.\d+\.\d+) - (unreleased|\d{4}-\d\d-\d\d)$`).FindStringSubmatch(read(t, "CHANGELOG.md"))
	require.NotNil(t, m, "CHANGELOG.md begins with no version")
	files, err := filepath.Glob(filepath.Join(root, "adapter/*/go.mod"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Contains(t, string(text), "\tgithub.com/hashslot/hashslot v"+m[1]+"\n", file)
	}
}

// TestReproducible holds that the command is the same bytes wherever it is built.
func TestReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the command eight times")
	}
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	var sums []string
	for range 2 {
		dir, out := filepath.Join(t.TempDir(), "checkout"), t.TempDir()
		if text, err := exec.Command("git", "clone", "-q", root, dir).CombinedOutput(); err != nil {
			t.Skipf("this is not a checkout: %s", text)
		}
		text, err := exec.Command(filepath.Join(dir, ".github/release.sh"), out).CombinedOutput()
		require.NoError(t, err, "%s", text)
		sum, err := os.ReadFile(filepath.Join(out, "SHA256SUMS"))
		require.NoError(t, err)
		sums = append(sums, string(sum))
	}
	assert.Equal(t, sums[0], sums[1])
	assert.Equal(t, 4, strings.Count(sums[0], "\n"))
}
