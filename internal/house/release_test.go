package house

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// TestDependabot checks that dependabot watches each module that requires others, and the
// actions.
func TestDependabot(t *testing.T) {
	out, err := exec.Command("git", "-C", root, "ls-files", "*go.mod").Output()
	if err != nil {
		t.Skip("this is not a checkout")
	}
	want := []string{"github-actions /"}
	for _, file := range strings.Fields(string(out)) {
		if strings.Contains(read(t, file), "\nrequire ") {
			want = append(want, "gomod "+path.Join("/", path.Dir(file)))
		}
	}
	require.Greater(t, len(want), 10)
	var config struct {
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directory   string
			Directories []string
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, ".github/dependabot.yml")), &config))
	var got []string
	for _, u := range config.Updates {
		if u.Directory != "" {
			u.Directories = append(u.Directories, u.Directory)
		}
		for _, dir := range u.Directories {
			got = append(got, u.Ecosystem+" "+dir)
		}
	}
	assert.ElementsMatch(t, want, got)
}

// TestActions checks that workflows name each action by commit, by the same commit
// everywhere and with the version beside it, and that workflows need no secret.
func TestActions(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, ".github/workflows/*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	pinned := regexp.MustCompile(`^([\w./-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)$`)
	commits := map[string]string{}
	for _, file := range files {
		text := read(t, ".github/workflows/"+filepath.Base(file))
		var document yaml.Node
		require.NoError(t, yaml.Unmarshal([]byte(text), &document), file)
		actions := valuesOf(&document, "uses")
		assert.NotEmpty(t, actions, file)
		for _, n := range actions {
			m := pinned.FindStringSubmatch(n.Value + " " + n.LineComment)
			if !assert.NotNil(t, m, "%s:%d: %s", file, n.Line, n.Value) {
				continue
			}
			if commits[m[1]] == "" {
				commits[m[1]] = m[2]
			}
			assert.Equal(t, commits[m[1]], m[2], "%s:%d: %s", file, n.Line, m[1])
		}
		assert.NotRegexp(t, `\bsecrets\b`, text, file)
	}
}

// valuesOf returns the values of a key anywhere in a document.
func valuesOf(n *yaml.Node, key string) (found []*yaml.Node) {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == key {
			found = append(found, c)
		}
		found = append(found, valuesOf(c, key)...)
	}
	return found
}

// TestVersion checks that adapters require the version at the top of the changelog,
// because programs that import an adapter ignore its replace directive.
func TestVersion(t *testing.T) {
	heading := regexp.MustCompile(`(?m)^## .*$`).FindString(read(t, "CHANGELOG.md"))
	m := regexp.MustCompile(`^## (\d+\.\d+\.\d+) - (unreleased|\d{4}-\d\d-\d\d)$`).FindStringSubmatch(heading)
	require.NotNil(t, m, "CHANGELOG.md begins with %q, which is no version", heading)
	files, err := filepath.Glob(filepath.Join(root, "adapter/*/go.mod"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Contains(t, string(text), "\tgithub.com/hashslot/hashslot v"+m[1]+"\n", file)
	}
}

// TestReproducible checks that the command has the same bytes if it is built from two checkouts.
func TestReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the command eight times")
	}
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	if err := exec.Command("git", "-C", root, "rev-parse").Run(); err != nil {
		t.Skip("this is not a checkout")
	}
	var sums []string
	for range 2 {
		dir, out := filepath.Join(t.TempDir(), "checkout"), t.TempDir()
		text, err := exec.Command("git", "clone", "-q", root, dir).CombinedOutput()
		require.NoError(t, err, "%s", text)
		text, err = exec.Command(filepath.Join(dir, ".github/release.sh"), out).CombinedOutput()
		require.NoError(t, err, "%s", text)
		sum, err := os.ReadFile(filepath.Join(out, "SHA256SUMS"))
		require.NoError(t, err)
		sums = append(sums, string(sum))
	}
	assert.Equal(t, sums[0], sums[1])
	assert.Equal(t, 4, strings.Count(sums[0], "\n"))
}
