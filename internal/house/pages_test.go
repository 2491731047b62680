package house

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pages returns the text of each page of the checkout, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		if entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".github" || entry.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !entry.IsDir() && strings.HasSuffix(name, ".md") {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			pages[filepath.ToSlash(name)] = strings.ReplaceAll(string(text), "\r\n", "\n")
		}
		return nil
	})
	require.NoError(t, err)
	require.Contains(t, pages, "README.md")
	require.Contains(t, pages, "docs/checksum.md")
	return pages
}

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// TestPages checks each block of Go in the pages. It must be an example with an output,
// which go test runs, or a program that prints what its last comment says.
func TestPages(t *testing.T) {
	t.Chdir(root)
	examples := map[string]bool{}
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "*/*/*_test.go", "*/*/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, m := range regexp.MustCompile(`(?ms)^func Example\w*\(\) \{\n(.*?)^\}$`).FindAllStringSubmatch(string(text), -1) {
				examples[regexp.MustCompile(`(?m)^\t`).ReplaceAllString(m[1], "")] = strings.Contains(m[1], "// Output:")
			}
		}
	}
	blocks := map[string]int{}
	for name, text := range pages(t) {
		for _, b := range goBlock.FindAllStringSubmatch(text, -1) {
			blocks[name]++
			if strings.HasPrefix(b[1], "package main\n") {
				runs(t, name, b[1])
				continue
			}
			compared, known := examples[b[1]]
			assert.True(t, known, "%s: no example is this code:\n%s", name, b[1])
			assert.True(t, compared || !known, "%s: the example has no output:\n%s", name, b[1])
		}
	}
	assert.GreaterOrEqual(t, blocks["README.md"], 1)
	assert.GreaterOrEqual(t, blocks["docs/client.md"], 1)
	assert.GreaterOrEqual(t, blocks["docs/plans.md"], 1)
	assert.GreaterOrEqual(t, blocks["docs/checksum.md"], 7)
}

// runs checks that a program prints what its comment "// Output:" says, with kernels and
// without. A program without such a comment must compile.
func runs(t *testing.T, name, program string) {
	t.Helper()
	_, want, ok := strings.Cut(program, "// Output:\n")
	want = regexp.MustCompile(`(?m)^\s*// ?`).ReplaceAllString(want, "")
	want, _, _ = strings.Cut(want, "\n}")
	file := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(file, []byte(program), 0o644))
	what := "vet"
	if ok {
		what = "run"
	}
	for _, tags := range []string{"", "purego"} {
		out, err := exec.Command("go", what, "-tags="+tags, file).CombinedOutput()
		require.NoError(t, err, "%s:\n%s\n%s", name, program, out)
		if ok {
			assert.Equal(t, strings.TrimSpace(want), strings.TrimSpace(string(out)), "%s, tags %q:\n%s", name, tags, program)
		}
	}
}

// TestLinks checks that the targets of links within the checkout exist: files and
// headings. It does not follow links to other places.
func TestLinks(t *testing.T) {
	t.Chdir(root)
	pages := pages(t)
	links := 0
	for name, text := range pages {
		text = regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(text, "")
		text = regexp.MustCompile("`[^`\n]*`").ReplaceAllString(text, "")
		found := regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"\s]+)"`).FindAllStringSubmatch(text, -1)
		for _, m := range found {
			link := m[1] + m[2]
			if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
				assert.False(t, strings.HasPrefix(link, "http://"), "%s: %s", name, link)
				continue
			}
			links++
			file, anchor, _ := strings.Cut(link, "#")
			target := name
			if file != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(name), filepath.FromSlash(file)))
			}
			if _, err := os.Stat(target); !assert.NoError(t, err, "%s: %s leads nowhere", name, link) || anchor == "" {
				continue
			}
			assert.Contains(t, anchors(pages[target]), anchor, "%s: %s has no such heading", name, link)
		}
	}
	assert.Greater(t, links, 20)
}

// anchors returns the anchors that GitHub gives the headings of a page.
func anchors(text string) (anchors []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ +(.*)$`).FindAllStringSubmatch(text, -1) {
		anchors = append(anchors, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, m[1]))
	}
	return anchors
}
