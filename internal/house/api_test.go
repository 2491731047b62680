package house

import (
	"flag"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write api.txt anew")

// root is the checkout.
const root = "../.."

// public returns the folders of the packages that others import, relative to the checkout:
// those of the module, and the adapters.
func public(t *testing.T) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		name, rel := entry.Name(), strings.TrimPrefix(strings.TrimPrefix(filepath.ToSlash(path), root), "/")
		if rel != "" {
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if nested == nil || name == "testdata" || name == "internal" || name == "cmd" || name == "bench" || name == "fuzz" || strings.HasPrefix(name, ".") {
				return filepath.SkipDir
			}
		}
		files, err := filepath.Glob(filepath.Join(path, "*.go"))
		if len(files) > 0 {
			dirs = append(dirs, rel)
		}
		return err
	})
	require.NoError(t, err)
	adapters, err := filepath.Glob(filepath.Join(root, "adapter/*"))
	require.NoError(t, err)
	require.NotEmpty(t, adapters)
	for _, dir := range adapters {
		dirs = append(dirs, path.Join("adapter", filepath.Base(dir)))
	}
	return dirs
}

// load returns the documentation of the package in dir for linux/amd64.
func load(t *testing.T, dir string) (*doc.Package, *token.FileSet) {
	t.Helper()
	fset := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	require.NoError(t, err)
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_arm64.go") || strings.HasSuffix(path, "_noasm.go") {
			continue
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		require.NoError(t, err)
		ignored := false
		for _, group := range file.Comments {
			ignored = ignored || group.List[0].Text == "//go:build ignore"
		}
		if !ignored {
			files = append(files, file)
		}
	}
	p, err := doc.NewFromFiles(fset, files, "github.com/hashslot/hashslot/"+dir)
	require.NoError(t, err)
	return p, fset
}

// names calls yield with each exported name of p, its declaration in one line, and
// whether it has documentation.
func names(p *doc.Package, fset *token.FileSet, yield func(decl string, documented bool)) {
	text := func(node any) string {
		var b strings.Builder
		_ = printer.Fprint(&b, fset, node) // a strings.Builder takes everything
		return strings.Join(strings.Fields(b.String()), " ")
	}
	function := func(f *doc.Func) {
		decl := *f.Decl
		decl.Doc, decl.Body = nil, nil
		yield(text(&decl), f.Doc != "")
	}
	values := func(vs []*doc.Value) {
		for _, v := range vs {
			documented := v.Doc != "" // or the group has documentation for all of it
			for _, spec := range v.Decl.Specs {
				spec := spec.(*ast.ValueSpec)
				documented = documented || spec.Doc.Text()+spec.Comment.Text() != ""
				for _, name := range spec.Names {
					if name.IsExported() {
						yield(v.Decl.Tok.String()+" "+name.Name, documented)
					}
				}
			}
		}
	}
	values(p.Consts)
	values(p.Vars)
	for _, f := range p.Funcs {
		function(f)
	}
	for _, t := range p.Types {
		spec := t.Decl.Specs[0].(*ast.TypeSpec)
		kind := text(spec.Type)
		if s, ok := spec.Type.(*ast.StructType); ok {
			kind = "struct"
			for _, field := range s.Fields.List {
				for _, name := range field.Names {
					if name.IsExported() {
						// The comment of the type may cover a field.
						yield("field "+t.Name+"."+name.Name+" "+text(field.Type), true)
					}
				}
			}
		}
		yield("type "+t.Name+" "+kind, t.Doc != "")
		values(t.Consts)
		values(t.Vars)
		for _, f := range slices.Concat(t.Funcs, t.Methods) {
			function(f)
		}
	}
}

// conventional are methods that need no documentation: those of fmt, errors and encoding.
func conventional(decl string) bool {
	for _, name := range []string{"String() string", "Error() string", "Is(target error) bool", "Unwrap() error"} {
		if strings.HasSuffix(decl, ") "+name) {
			return true
		}
	}
	return false
}

// TestAPI holds that api.txt lists the API, so that reviewers of a commit see changes:
//
//	cd internal/house && go test -run TestAPI -update
func TestAPI(t *testing.T) {
	var lines []string
	for _, dir := range public(t) {
		p, fset := load(t, dir)
		names(p, fset, func(decl string, documented bool) {
			assert.True(t, documented || conventional(decl), "%s: no comment on %s", p.Name, decl)
			lines = append(lines, p.Name+": "+decl)
		})
	}
	require.Greater(t, len(lines), 100)
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile("api.txt", []byte(got), 0o666))
	}
	want, err := os.ReadFile("api.txt")
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "the API differs from api.txt; if it should, run this test with -update")
}
