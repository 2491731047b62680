package house

import (
	"cmp"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mainUses are the examples of the main uses of each package, by folder. A name here is
// the part after "Example".
var mainUses = map[string]string{
	"":                      "Of AppendOf OfPattern Tags Slot_Tag",
	"slotmap":               "SetOf Map_Update OwnerSplitter",
	"slotmap/topology":      "ParseNodes ParseSlots ParseShards Merge ParseRedirect Classify Refresher Router_Read Router_Failed Router_Split",
	"slotmap/command":       "Keys Route Splitter",
	"slotmap/plan":          "Create Rebalance Rebalance_load Drain Reshard Promote Fix Plan_Batches Plan_SetSlots Plan_MigrationImport Step",
	"adapter/redigo":        "Client_Do Client_Pipeline",
	"slotmap/plan/plantest": "Cluster_Dial",
}

// examples returns the examples of the package in dir, by the part of their names after
// "Example".
func examples(t *testing.T, dir string) map[string]*doc.Example {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	require.NoError(t, err)
	fset := token.NewFileSet()
	var files []*ast.File
	for _, path := range paths {
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, file)
	}
	found := map[string]*doc.Example{}
	for _, e := range doc.Examples(files...) {
		found[e.Name] = e
	}
	return found
}

// uses reports whether the code of an example names a method.
func uses(e *doc.Example, method string) (found bool) {
	ast.Inspect(e.Code, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		found = found || ok && s.Sel.Name == method
		return true
	})
	return found
}

// firstMethod returns the first exported method of a type that is not conventional, in the
// order of the type's file. A type that has one is a main type.
func firstMethod(typ *doc.Type, fset *token.FileSet) string {
	methods := slices.Clone(typ.Methods)
	file := fset.File(typ.Decl.Pos())
	slices.SortStableFunc(methods, func(a, b *doc.Func) int {
		aside := func(f *doc.Func) int {
			if fset.File(f.Decl.Pos()) == file {
				return 0
			}
			return 1
		}
		return cmp.Or(aside(a)-aside(b), cmp.Compare(a.Decl.Pos(), b.Decl.Pos()))
	})
	for _, m := range methods {
		switch m.Name {
		case "String", "Error", "Is", "Unwrap", "Format", "AppendText", "MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON":
		default:
			return m.Name
		}
	}
	return ""
}

// TestExamples checks that there is an example of each package, of each main use, and of
// each main type, which must use the first method of the type. Each example must have an
// output to compare with. An example belongs to a type if the documentation shows it
// there, so examples of its methods and of functions that return it count.
func TestExamples(t *testing.T) {
	types, mains := 0, 0
	for _, dir := range public(t) {
		p, fset := load(t, dir)
		found := examples(t, dir)
		whole := false
		for name, e := range found {
			assert.True(t, e.Output != "" || e.EmptyOutput, "%s: Example%s has no output", p.Name, name)
			whole = whole || name == "" || name[0] == '_'
		}
		assert.True(t, whole, "%s: no example of the package", p.Name)
		for _, typ := range p.Types {
			method := firstMethod(typ, fset)
			if method == "" {
				continue
			}
			types++
			shown := false
			for name, e := range found {
				of, _, _ := strings.Cut(name, "_")
				its := of == typ.Name || slices.ContainsFunc(typ.Funcs, func(f *doc.Func) bool { return f.Name == of })
				shown = shown || its && uses(e, method)
			}
			assert.True(t, shown, "%s: no example of %s uses its method %s", p.Name, typ.Name, method)
		}
		for _, use := range strings.Fields(mainUses[dir]) {
			mains++
			assert.Contains(t, slices.Sorted(maps.Keys(found)), use, "%s: no Example%s", p.Name, use)
		}
	}
	assert.Greater(t, types, 25)
	assert.Equal(t, len(strings.Fields(strings.Join(slices.Collect(maps.Values(mainUses)), " "))), mains, "a folder of mainUses has no package")
	t.Logf("%d main types, %d main uses", types, mains)
}
