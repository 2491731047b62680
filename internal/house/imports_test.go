package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/hashslot/hashslot"

// arrows has the packages of the module that each package may import. All other imports
// are mistakes.
var arrows = map[string][]string{
	"internal/gf2":           {},
	"internal/reply":         {},
	"crc16":                  {"internal/gf2"},
	"hashtag":                {},
	"internal/impl":          {},
	"internal/guard":         {},
	"internal/xmodem":        {},
	"internal/hashtest":      {"internal/impl", "internal/xmodem"},
	"internal/paper":         {"slotmap/plan/plantest"},
	".":                      {"crc16", "hashtag", "internal/gf2", "internal/impl"},
	"slotmap":                {"."},
	"slotmap/topology":       {".", "internal/reply", "slotmap"},
	"slotmap/command":        {".", "slotmap"},
	"slotmap/plan":           {".", "internal/reply", "slotmap", "slotmap/topology"},
	"slotmap/plan/plantest":  {".", "slotmap", "slotmap/topology", "slotmap/plan"},
	"slotmap/plan/valkeycli": {".", "slotmap", "slotmap/topology", "slotmap/plan"},
	"cmd/hashslot":           {".", "crc16", "hashtag", "slotmap", "slotmap/topology", "slotmap/plan", "slotmap/plan/valkeycli", "slotmap/command"},
	"bench":                  {},
	"bench/internal/owners":  {".", "slotmap"},
	"fuzz":                   {},
}

// foreignImports has the imports from other modules. Tests may also import testify.
var foreignImports = map[string][]string{
	".":                {"github.com/klauspost/cpuid/v2"},
	"internal/guard":   {"golang.org/x/sys/unix"},
	"slotmap":          {"golang.org/x/sys/cpu"},
	"slotmap/topology": {"golang.org/x/sys/cpu"},
}

func TestImportsPointOneWay(t *testing.T) {
	t.Chdir(root)
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		if entry.IsDir() {
			if name == "." {
				return nil
			}
			_, err := os.Stat(filepath.Join(name, "go.mod"))
			if err == nil || strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
		require.NoError(t, err)
		for _, group := range file.Comments {
			if strings.HasPrefix(group.Text(), "go:build ignore") || group.List[0].Text == "//go:build ignore" {
				return nil // a generator, not part of the package
			}
		}
		dir := filepath.ToSlash(filepath.Dir(name))
		seen[dir] = true
		allowed, known := arrows[dir]
		assert.True(t, known, "%s: a package that is not in arrows", dir)
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			rest, ours := strings.CutPrefix(imported, module)
			switch {
			case ours:
				assert.Contains(t, allowed, path.Join(".", strings.TrimPrefix(rest, "/")), "%s imports %s", name, imported)
			case strings.Contains(strings.Split(imported, "/")[0], "."):
				assert.Contains(t, foreignImports[dir], imported, "%s imports %s", name, imported)
			}
		}
		return nil
	})
	require.NoError(t, err)
	for _, dir := range []string{".", "crc16", "hashtag", "internal/impl"} {
		assert.True(t, seen[dir], "no sources in %s", dir)
	}
}

// TestQuiet checks that public packages start no goroutine, do not read the clock and do
// not wait: callers pass the time in. Adapters may do all of that.
func TestQuiet(t *testing.T) {
	for _, dir := range public(t) {
		if strings.HasPrefix(dir, "adapter/") {
			continue
		}
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		require.NoError(t, err)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					assert.Fail(t, "starts a goroutine", "%s", fset.Position(n.Pos()))
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" {
						assert.NotContains(t, []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}, n.Sel.Name, "%s", fset.Position(n.Pos()))
					}
				}
				return true
			})
		}
	}
}

// command runs the go command in the checkout.
func command(t *testing.T, arg ...string) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command is not here")
	}
	cmd := exec.Command("go", arg...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", cmd, out)
	return string(out)
}

func TestDependencies(t *testing.T) {
	allowed := []string{"github.com/klauspost/cpuid/v2", "golang.org/x/sys", "github.com/stretchr/testify"}
	out := command(t, "list", "-m", "-f", "{{if not (or .Main .Indirect)}}{{.Path}}{{end}}", "all")
	for _, m := range strings.Fields(out) {
		assert.True(t, slices.Contains(allowed, m), "the module depends on %s", m)
	}
	// Plain Go needs nothing but the standard library.
	for p := range strings.FieldsSeq(command(t, "list", "-deps", "-tags=purego", ".")) {
		assert.True(t, strings.HasPrefix(p, module) || !strings.Contains(strings.Split(p, "/")[0], "."), "purego depends on %s", p)
	}
}
