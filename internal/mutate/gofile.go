package main

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A goFile is a Go file and its mutants. Nearly all mutants are in one build of the tests,
// and a variable chooses one at run time. Mutants of constant declarations are built alone.
type goFile struct {
	text string
	name string // of the package
	all  []mutant
}

// An edit is a mutant of a Go file: the new text replaces the source from start to end, or
// the build has both, and chooses at run time.
type edit struct {
	start, end int
	text       string
	choice     choice
	typ        string // of a value
}

// A choice is the form in which one build has both versions.
type choice uint8

const (
	alone     choice = iota // not in one build
	condition               // of type bool
	value                   // of another type
	statement               // the new one may be empty
	result                  // a return statement
)

// readGo reads a Go file of the package in its directory, for the system and
// architecture that the go command builds for.
func readGo(path string) (*goFile, error) {
	pkg, err := build.ImportDir(filepath.Dir(path), 0)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(pkg.GoFiles, filepath.Base(path)) {
		return nil, fmt.Errorf("%s is not built here", path)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	var file *ast.File
	for _, name := range pkg.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(filepath.Dir(path), name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		if name == filepath.Base(path) {
			file = f
		}
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	config := types.Config{Importer: importer.ForCompiler(fset, "source", nil)}
	checked, err := config.Check(pkg.ImportPath, fset, files, info)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	g := &goFile{text: string(text), name: file.Name.Name}
	w := &goWalker{g: g, file: fset.File(file.Pos()), info: info, pkg: checked}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Body != nil {
				w.function = d.Name.Name
				w.walk(d.Body, d.Type)
			}
		case *ast.GenDecl:
			if d.Tok == token.CONST || d.Tok == token.VAR {
				w.function, w.alone = "", d.Tok == token.CONST
				w.walk(d, nil)
				w.alone = false
			}
		}
	}
	return g, nil
}

// A goWalker finds the mutants of a declaration.
type goWalker struct {
	g        *goFile
	file     *token.File
	info     *types.Info
	pkg      *types.Package
	function string
	alone    bool
}

func (w *goWalker) source(n ast.Node) string {
	return w.g.text[w.file.Offset(n.Pos()):w.file.Offset(n.End())]
}

// add adds the mutant in which text replaces n.
func (w *goWalker) add(kind string, n ast.Node, text string, c choice) {
	e := edit{start: w.file.Offset(n.Pos()), end: w.file.Offset(n.End()), text: text, choice: c}
	old := w.source(n)
	if old == text {
		return
	}
	if c == value {
		t := w.info.Types[n.(ast.Expr)].Type
		if t == nil {
			return
		}
		e.typ = types.TypeString(t, func(p *types.Package) string {
			if p == w.pkg {
				return ""
			}
			return p.Name()
		})
		if strings.HasPrefix(e.typ, "untyped ") {
			e.choice = alone
		}
	}
	if w.alone || strings.Contains(text, "\n") { // the other mutants keep their line numbers
		e.choice = alone
	}
	if w.function != "" {
		old, text = w.function+": "+old, plain(text)
	}
	w.g.all = append(w.g.all, mutant{line: w.file.Line(n.Pos()) - 1, kind: kind, old: old, new: text, edit: e})
}

// The operators and their mutants.
var operators = map[token.Token][]token.Token{
	token.EQL: {token.NEQ}, token.NEQ: {token.EQL},
	token.LSS: {token.LEQ, token.GEQ}, token.LEQ: {token.LSS, token.GTR},
	token.GTR: {token.GEQ, token.LEQ}, token.GEQ: {token.GTR, token.LSS},
	token.LAND: {token.LOR}, token.LOR: {token.LAND},
	token.ADD: {token.SUB}, token.SUB: {token.ADD}, token.MUL: {token.QUO}, token.QUO: {token.MUL}, token.REM: {token.QUO},
	token.AND: {token.OR}, token.OR: {token.AND}, token.XOR: {token.OR}, token.AND_NOT: {token.OR},
	token.SHL: {token.SHR}, token.SHR: {token.SHL},
	token.ADD_ASSIGN: {token.SUB_ASSIGN}, token.SUB_ASSIGN: {token.ADD_ASSIGN}, token.MUL_ASSIGN: {token.QUO_ASSIGN}, token.QUO_ASSIGN: {token.MUL_ASSIGN},
	token.AND_ASSIGN: {token.OR_ASSIGN}, token.OR_ASSIGN: {token.AND_ASSIGN}, token.XOR_ASSIGN: {token.OR_ASSIGN},
	token.AND_NOT_ASSIGN: {token.OR_ASSIGN}, token.SHL_ASSIGN: {token.SHR_ASSIGN}, token.SHR_ASSIGN: {token.SHL_ASSIGN},
	token.INC: {token.DEC}, token.DEC: {token.INC},
}

// walk adds the mutants within n, from the outside to the inside. f is the type of the
// enclosing function.
func (w *goWalker) walk(n ast.Node, f *ast.FuncType) {
	switch n := n.(type) {
	case *ast.FuncLit:
		w.walk(n.Body, n.Type)
		return
	case *ast.BlockStmt:
		w.statements(n.List, f)
		return
	case *ast.CaseClause:
		for _, e := range n.List {
			w.walk(e, f)
		}
		w.statements(n.Body, f)
		return
	case *ast.IfStmt:
		w.negate(n.Cond)
	case *ast.ForStmt:
		if n.Cond != nil {
			w.negate(n.Cond)
		}
	case *ast.SwitchStmt:
		if n.Tag == nil {
			for _, s := range n.Body.List {
				for _, e := range s.(*ast.CaseClause).List {
					w.negate(e)
				}
			}
		}
	case *ast.KeyValueExpr:
		if _, ok := n.Key.(*ast.BasicLit); ok { // the index in an array must be a constant
			w.walk(n.Value, f)
			return
		}
	case *ast.BinaryExpr:
		w.binary(n)
	case *ast.BasicLit:
		w.literal(n)
		return
	case *ast.Ident:
		if t := w.info.Types[n]; t.Value != nil && (n.Name == "true" || n.Name == "false") && types.Identical(types.Default(t.Type), types.Typ[types.Bool]) {
			w.add("constant", n, map[string]string{"true": "false", "false": "true"}[n.Name], condition)
		}
		return
	case *ast.CallExpr:
		if fun, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 1 && (fun.Name == "min" || fun.Name == "max") {
			other := map[string]string{"min": "max", "max": "min"}[fun.Name]
			w.add("operator", n, other+strings.TrimPrefix(w.source(n), fun.Name), value)
		}
	case *ast.ArrayType, *ast.StructType, *ast.InterfaceType, *ast.MapType, *ast.FuncType, *ast.SelectorExpr:
		if s, ok := n.(*ast.SelectorExpr); ok {
			w.walk(s.X, f)
		}
		return
	}
	for _, c := range children(n) {
		w.walk(c, f)
	}
}

// children returns the direct children of n.
func children(n ast.Node) (below []ast.Node) {
	ast.Inspect(n, func(c ast.Node) bool {
		if c == nil || c == n {
			return c == n
		}
		below = append(below, c)
		return false
	})
	return below
}

// negate adds the opposite of a condition. A comparison has its own mutants, with its
// opposite among them.
func (w *goWalker) negate(cond ast.Expr) {
	if b, ok := cond.(*ast.BinaryExpr); ok && (b.Op == token.EQL || b.Op == token.NEQ) {
		return
	}
	if u, ok := cond.(*ast.UnaryExpr); ok && u.Op == token.NOT {
		w.add("condition", cond, w.source(u.X), condition)
		return
	}
	w.add("condition", cond, "!("+w.source(cond)+")", condition)
}

func (w *goWalker) binary(b *ast.BinaryExpr) {
	x, y := w.source(b.X), w.source(b.Y)
	between := w.g.text[w.file.Offset(b.OpPos)+len(b.Op.String()) : w.file.Offset(b.Y.Pos())]
	c := value
	if t := w.info.Types[b].Type; t != nil {
		if basic, ok := t.Underlying().(*types.Basic); ok && basic.Info()&types.IsBoolean != 0 {
			c = condition
		}
		if basic, ok := t.Underlying().(*types.Basic); ok && basic.Info()&types.IsString != 0 {
			return // text has only the operator +
		}
	}
	for _, op := range operators[b.Op] {
		w.add("operator", b, x+" "+op.String()+between+y, c)
	}
	if b.Op == token.LAND || b.Op == token.LOR {
		w.add("condition", b, x, condition)
		w.add("condition", b, y, condition)
	}
}

func (w *goWalker) literal(l *ast.BasicLit) {
	switch l.Kind {
	case token.INT:
		v, err := strconv.ParseInt(l.Value, 0, 64)
		if err != nil {
			return
		}
		w.add("constant", l, strconv.FormatInt(v+1, 10), value)
		if v > 0 {
			w.add("constant", l, strconv.FormatInt(v-1, 10), value)
		}
	case token.STRING:
		w.add("constant", l, `""`, value)
	case token.CHAR:
		w.add("constant", l, "'\\x00'", value)
	}
}

// statements adds the mutants of the statements of a block.
func (w *goWalker) statements(list []ast.Stmt, f *ast.FuncType) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt, *ast.SendStmt, *ast.DeferStmt, *ast.GoStmt:
			if !strings.HasPrefix(w.source(s), "panic(") { // a panic may end a function in place of a return
				w.add("statement", s, "", statement)
			}
		case *ast.BranchStmt:
			if s.Tok == token.BREAK || s.Tok == token.CONTINUE {
				w.add("statement", s, "", statement)
			}
		case *ast.IncDecStmt:
			w.add("statement", s, "", statement)
			w.add("operator", s, w.source(s.X)+operators[s.Tok][0].String(), statement)
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				break
			}
			w.add("statement", s, "", statement)
			if s.Tok != token.ASSIGN {
				for _, op := range operators[s.Tok] {
					w.add("operator", s, w.source(s.Lhs[0])+" "+op.String()+" "+w.source(s.Rhs[0]), statement)
				}
			}
		case *ast.ReturnStmt:
			w.results(s, f)
		}
		w.walk(s, f)
	}
}

// results adds returns in which one result is changed: to the opposite of a bool, or to
// the zero value.
func (w *goWalker) results(s *ast.ReturnStmt, f *ast.FuncType) {
	if f == nil || f.Results == nil {
		return
	}
	var of []ast.Expr
	for _, field := range f.Results.List {
		for range max(1, len(field.Names)) {
			of = append(of, field.Type)
		}
	}
	if len(s.Results) == 0 && len(of) == 0 {
		return
	}
	if len(s.Results) != len(of) {
		return // a call with several results, or results with names
	}
	for i, e := range s.Results {
		other := "*new(" + w.source(of[i]) + ")"
		if w.source(of[i]) == "bool" {
			if _, plain := e.(*ast.Ident); plain && (w.source(e) == "true" || w.source(e) == "false") {
				continue // a constant
			}
			other = "!(" + w.source(e) + ")"
		}
		if v := w.info.Types[e].Value; w.source(e) == "nil" || strings.HasSuffix(w.source(e), "{}") ||
			v != nil && slices.Contains([]string{"0", `""`}, v.ExactString()) {
			continue // it is zero
		}
		parts := make([]string, len(of))
		for j, r := range s.Results {
			parts[j] = w.source(r)
		}
		parts[i] = other
		w.add("return", s, "return "+strings.Join(parts, ", "), result)
	}
}

// applied returns the file with one mutant.
func (g *goFile) applied(e edit) string { return g.text[:e.start] + e.text + g.text[e.end:] }

// combined returns the file with all mutants that can be chosen at run time, the
// i-th by the number i+1.
func (g *goFile) combined(chosen []mutant) string {
	type insertion struct {
		at   int
		end  bool
		text string
	}
	var in []insertion
	for i, mu := range chosen {
		e, n := mu.edit, i+1
		var before, after string
		switch e.choice {
		case alone:
			continue
		case condition:
			before, after = fmt.Sprintf("(%s == %d && (%s) || %s != %d && (", goVariable, n, e.text, goVariable, n), "))"
		case value:
			before, after = fmt.Sprintf("func() %s { if %s == %d { return %s }; return ", e.typ, goVariable, n, e.text), " }()"
		case statement:
			before, after = fmt.Sprintf("if %s == %d { %s } else { ", goVariable, n, e.text), " }"
		case result:
			before = fmt.Sprintf("if %s == %d { %s }; ", goVariable, n, e.text)
		}
		in = append(in, insertion{e.start, false, before}, insertion{e.end, true, after})
	}
	// The mutants are sorted from the outside to the inside. Of mutants that begin at the
	// same place the first comes first; of mutants that end at the same place, the last.
	slices.Reverse(in)
	slices.SortStableFunc(in, func(a, b insertion) int {
		switch {
		case a.at != b.at:
			return a.at - b.at
		case a.end != b.end:
			if a.end {
				return -1
			}
			return 1
		}
		return 0
	})
	// Now beginnings at the same place are in the wrong order.
	for i := 0; i < len(in); {
		j := i
		for j < len(in) && in[j].at == in[i].at && in[j].end == in[i].end {
			j++
		}
		if !in[i].end {
			slices.Reverse(in[i:j])
		}
		i = j
	}
	var b strings.Builder
	last := 0
	for _, x := range in {
		b.WriteString(g.text[last:x.at])
		b.WriteString(x.text)
		last = x.at
	}
	b.WriteString(g.text[last:])
	return b.String()
}

// goVariable has the number of the mutant.
const goVariable = "hashslotMutant"

// buildGo builds the tests with the original and the mutants that can be chosen at run
// time. Mutants that break this build are built alone later.
func (m *mutator) buildGo(ctx context.Context, chosen []mutant) error {
	m.chosen = slices.Clone(chosen)
	for {
		out, err := m.compile(ctx, m.g.combined(m.chosen), m.binary())
		if err == nil {
			return nil
		}
		found := false
		for _, line := range compileError.FindAllStringSubmatch(string(out), -1) {
			at, _ := strconv.Atoi(line[1])
			for i := range m.chosen {
				if e := &m.chosen[i].edit; m.chosen[i].line+1 == at && e.choice != alone {
					e.choice, found = alone, true
				}
			}
		}
		if !found {
			return fmt.Errorf("the tests do not build: %w: %s", err, out)
		}
	}
}

// compileError matches a message of the compiler. Messages have no column for long lines,
// and choices make lines long.
var compileError = regexp.MustCompile(`(?m)^\S+\.go:(\d+)(?::\d+)?: `)

// compile builds the tests with text instead of the file.
func (m *mutator) compile(ctx context.Context, text, binary string) ([]byte, error) {
	source, err := filepath.Abs(m.file)
	if err != nil {
		return nil, err
	}
	replace := map[string]string{}
	for path, text := range map[string]string{
		source: text,
		filepath.Join(filepath.Dir(source), "mutant_selector.go"): strings.NewReplacer("package hashslot", "package "+m.g.name, "var mutant", "var "+goVariable).Replace(selector),
	} {
		file := filepath.Join(m.dir, filepath.Base(path))
		replace[path] = file
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	overlayFile := filepath.Join(m.dir, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		return nil, err
	}
	return m.goCommand(ctx, "test", "-c", "-vet=off", "-ldflags=-s", "-overlay", overlayFile, "-o", binary, "./"+filepath.Dir(m.file)).CombinedOutput()
}
