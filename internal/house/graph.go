package house

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Graph has an arrow from a name to each name that it uses.
type Graph map[string]map[string]bool

func (g Graph) add(from, to string) {
	for _, name := range []string{from, to} {
		if g[name] == nil {
			g[name] = map[string]bool{}
		}
	}
	if from != to {
		g[from][to] = true
	}
}

// Group returns the graph of the groups that the names of g are in.
func (g Graph) Group(of func(string) string) Graph {
	groups := Graph{}
	for from, uses := range g {
		groups.add(of(from), of(from))
		for to := range uses {
			groups.add(of(from), of(to))
		}
	}
	return groups
}

// reach returns the names that can be reached from a name by arrows.
func (g Graph) reach(from string) map[string]bool {
	reached := map[string]bool{}
	for next := []string{from}; len(next) > 0; next = next[1:] {
		for to := range g[next[0]] {
			if !reached[to] {
				reached[to] = true
				next = append(next, to)
			}
		}
	}
	return reached
}

// Circles returns the sets of names that reach each other, each in order.
func (g Graph) Circles() [][]string {
	var circles [][]string
	reach := map[string]map[string]bool{}
	for name := range g {
		reach[name] = g.reach(name)
	}
	for _, name := range slices.Sorted(maps.Keys(g)) {
		var circle []string
		for other := range reach[name] {
			if reach[other][name] {
				circle = append(circle, other)
			}
		}
		if slices.Sort(circle); len(circle) > 0 && circle[0] == name {
			circles = append(circles, circle)
		}
	}
	return circles
}

// Least returns g without the arrows that follow from others: arrows to names that can
// also be reached by way of another name. Arrows of circles stay.
func (g Graph) Least() Graph {
	least := Graph{}
	for from, uses := range g {
		least.add(from, from)
		for to := range uses {
			follows := false
			for by := range uses {
				reached := g.reach(by)
				follows = follows || by != to && reached[to] && !reached[from]
			}
			if !follows || g.reach(to)[from] {
				least.add(from, to)
			}
		}
	}
	return least
}

// Rows returns the names of g in rows, so that all arrows go down, except arrows of
// circles, whose names share a row. In a row, names are near the names that use them.
func (g Graph) Rows() [][]string {
	reach := map[string]map[string]bool{}
	for name := range g {
		reach[name] = g.reach(name)
	}
	depth := map[string]int{}
	deepest := 0
	for range g { // a longest path has no more arrows than there are names
		for from := range g {
			for to := range reach[from] {
				if !reach[to][from] && depth[to] <= depth[from] {
					depth[to] = depth[from] + 1
					deepest = max(deepest, depth[to])
				} else if reach[to][from] && depth[to] < depth[from] {
					depth[to] = depth[from]
				}
			}
		}
	}
	rows := make([][]string, deepest+1)
	for _, name := range slices.Sorted(maps.Keys(g)) {
		rows[depth[name]] = append(rows[depth[name]], name)
	}
	at := map[string]float64{}
	for _, row := range rows {
		wish := func(name string) float64 { // the middle of those that use it
			sum, n := 0.0, 0.0
			for from, uses := range g {
				if x, placed := at[from]; placed && uses[name] {
					sum, n = sum+x, n+1
				}
			}
			return sum / max(n, 1)
		}
		slices.SortStableFunc(row, func(a, b string) int { return cmp.Compare(wish(a), wish(b)) })
		for i, name := range row {
			at[name] = float64(2*i+1) / float64(2*len(row))
		}
	}
	return rows
}

// Packages returns the graph of imports of the module at root, without tests and nested
// modules.
func Packages(root string) (Graph, error) {
	g := Graph{}
	err := sources(root, func(path, dir string, file *ast.File) {
		g.add(dir, dir)
		for _, spec := range file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			if rest, ours := strings.CutPrefix(imported, "github.com/hashslot/hashslot"); ours {
				g.add(dir, cmp.Or(strings.TrimPrefix(rest, "/"), "."))
			}
		}
	})
	return g, err
}

// sources calls yield with each source of the module at root that is not a test.
func sources(root string, yield func(path, dir string, file *ast.File)) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != root && (name == "testdata" || name[0] == '.' || exists(filepath.Join(path, "go.mod"))) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, group := range file.Comments {
			if group.List[0].Text == "//go:build ignore" {
				return nil // a generator, no part of the package
			}
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		yield(path, filepath.ToSlash(rel), file)
		return err
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

var (
	defines = regexp.MustCompile(`^TEXT ·(\w+)`)
	refers  = regexp.MustCompile(`·(\w+)(?:\+\d+)?\(SB\)`)
)

// Files returns the graph of calls between the files of the root package. A function
// without a body belongs to the file of its assembly. Methods do not count, nor do types,
// constants and variables, which all files share.
func Files(root string) (Graph, error) {
	g := Graph{}
	declared := map[string][]string{} // files, by name
	uses := map[string][]string{}
	bodyless := map[string][]string{}
	err := sources(root, func(path, dir string, file *ast.File) {
		if dir != "." {
			return
		}
		name := filepath.Base(path)
		g.add(name, name)
		for name, object := range file.Scope.Objects {
			if object.Kind == ast.Fun {
				declared[name] = append(declared[name], filepath.Base(path))
			}
		}
		for _, ident := range file.Unresolved {
			uses[name] = append(uses[name], ident.Name)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Body == nil {
				bodyless[name] = append(bodyless[name], f.Name.Name)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	assembly, err := filepath.Glob(filepath.Join(root, "*.s"))
	if err != nil {
		return nil, err
	}
	defined := map[string][]string{}
	for _, path := range assembly {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		name := filepath.Base(path)
		g.add(name, name)
		for line := range strings.Lines(string(text)) {
			line, _, _ = strings.Cut(line, "//")
			if m := defines.FindStringSubmatch(line); m != nil {
				defined[m[1]] = append(defined[m[1]], name)
				continue
			}
			for _, m := range refers.FindAllStringSubmatch(line, -1) {
				uses[name] = append(uses[name], m[1])
			}
		}
	}
	arrows := func(from string, names []string, where map[string][]string) {
		for _, used := range names {
			for _, to := range where[used] {
				if compatible(from, to) {
					g.add(from, to)
				}
			}
		}
	}
	for from, names := range uses {
		if strings.HasSuffix(from, ".s") {
			arrows(from, names, defined)
		}
		arrows(from, names, declared)
	}
	for from, names := range bodyless {
		arrows(from, names, defined)
	}
	return g, nil
}

var suffix = regexp.MustCompile(`_(amd64|arm64|noasm)\.(go|s)$|\.(go|s)$`)

// compatible reports whether two files can be in one build.
func compatible(a, b string) bool {
	arch := func(file string) string { return suffix.FindStringSubmatch(file)[1] }
	return arch(a) == "" || arch(b) == "" || arch(a) == arch(b)
}

// Job returns the job of a file of the root package: its name without the architecture.
func Job(file string) string { return suffix.ReplaceAllString(file, "") }

// String has a line for each name: "a -> b c".
func (g Graph) String() string {
	var b strings.Builder
	for _, from := range slices.Sorted(maps.Keys(g)) {
		fmt.Fprintln(&b, from, "->", strings.Join(slices.Sorted(maps.Keys(g[from])), " "))
	}
	return b.String()
}
