package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// A file has the edits of one source file.
type file struct {
	imports []string          // to add
	without []string          // imports to remove
	decls   map[string]string // name of a declaration, "Type.Method" for a method -> its replacement; "" removes it
	fields  map[string]string // name of a struct type -> fields to add
}

// apply returns the edited file and the numbers of lines removed and added. Empty lines
// and comments do not count.
func (f file) apply(src []byte) (edited []byte, removed, added int, err error) {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, "", src, parser.ParseComments)
	if err != nil {
		return nil, 0, 0, err
	}
	cuts, err := f.cuts(set, parsed)
	if err != nil {
		return nil, 0, 0, err
	}
	slices.SortFunc(cuts, func(a, b cut) int { return a.from - b.from })
	var b bytes.Buffer
	at := 0
	for _, c := range cuts {
		b.Write(src[at:c.from])
		b.WriteString(c.text)
		at = c.to
		removed += code(string(src[c.from:c.to]))
		added += code(c.text)
	}
	b.Write(src[at:])
	edited, err = format.Source(b.Bytes())
	return edited, removed, added, err
}

// A cut replaces a part of a source.
type cut struct {
	from, to int
	text     string
}

// cuts returns what the edits replace, in any order. All that they name must be there.
func (f file) cuts(set *token.FileSet, parsed *ast.File) (cuts []cut, err error) {
	found := map[string]bool{}
	replace := func(name string, from, to token.Pos, text string) {
		found[name] = true
		cuts = append(cuts, cut{set.Position(from).Offset, set.Position(to).Offset, text})
	}
	for _, d := range parsed.Decls {
		name, from := nameOf(d), d.Pos()
		if doc := docOf(d); doc != nil {
			from = doc.Pos()
		}
		if text, ok := f.decls[name]; ok {
			replace(name, from, d.End(), text)
		}
		for _, spec := range specsOf(d) {
			if err := f.cutSpec(spec, replace); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range slices.Concat(keys(f.decls), keys(f.fields), f.without) {
		if !found[name] {
			return nil, fmt.Errorf("%s is not there", name)
		}
	}
	var imports strings.Builder
	for _, path := range f.imports {
		fmt.Fprintf(&imports, "\nimport %q", path)
	}
	replace("", parsed.Name.End(), parsed.Name.End(), imports.String())
	return cuts, nil
}

// cutSpec removes the import or adds the fields to the struct type, if the edits name it.
func (f file) cutSpec(spec ast.Spec, replace func(name string, from, to token.Pos, text string)) error {
	switch spec := spec.(type) {
	case *ast.ImportSpec:
		path, err := strconv.Unquote(spec.Path.Value)
		if err == nil && slices.Contains(f.without, path) {
			replace(path, spec.Pos(), spec.End(), "")
		}
	case *ast.TypeSpec:
		text, ok := f.fields[spec.Name.Name]
		if !ok {
			return nil
		}
		body, isStruct := spec.Type.(*ast.StructType)
		if !isStruct {
			return fmt.Errorf("%s is no struct", spec.Name.Name)
		}
		replace(spec.Name.Name, body.Fields.Closing, body.Fields.Closing, text+"\n")
	}
	return nil
}

// code returns the number of lines that are neither empty nor comments.
func code(text string) (n int) {
	block := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case block || strings.HasPrefix(line, "/*"):
			block = !strings.Contains(line, "*/")
		case line != "" && !strings.HasPrefix(line, "//"):
			n++
		}
	}
	return n
}

func keys(m map[string]string) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func docOf(d ast.Decl) *ast.CommentGroup {
	switch d := d.(type) {
	case *ast.FuncDecl:
		return d.Doc
	case *ast.GenDecl:
		return d.Doc
	}
	return nil
}

func specsOf(d ast.Decl) []ast.Spec {
	if d, ok := d.(*ast.GenDecl); ok {
		return d.Specs
	}
	return nil
}

// nameOf returns the name of a declaration that declares one thing.
func nameOf(d ast.Decl) string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return d.Name.Name
		}
		recv := d.Recv.List[0].Type
		if star, ok := recv.(*ast.StarExpr); ok {
			recv = star.X
		}
		if ident, ok := recv.(*ast.Ident); ok {
			return ident.Name + "." + d.Name.Name
		}
	case *ast.GenDecl:
		if len(d.Specs) != 1 {
			return ""
		}
		switch spec := d.Specs[0].(type) {
		case *ast.ValueSpec:
			return spec.Names[0].Name
		case *ast.TypeSpec:
			return spec.Name.Name
		}
	}
	return ""
}
