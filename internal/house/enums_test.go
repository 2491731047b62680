package house

import (
	"go/ast"
	"go/doc"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var integer = regexp.MustCompile(`^u?int(8|16|32|64)?$`)

// constantsOf returns the exported constants of a type.
func constantsOf(typ *doc.Type) []string {
	var names []string
	for _, group := range typ.Consts {
		for _, name := range group.Names {
			if ast.IsExported(name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// TestEnums checks that enumerations have a String method, and that the constants of a
// type begin with the same words of its name, so that a reader sees their type and finds
// all of them.
func TestEnums(t *testing.T) {
	enums, prefixes := 0, 0
	for _, dir := range public(t) {
		p, _ := load(t, dir)
		for _, typ := range p.Types {
			names := constantsOf(typ)
			if len(names) < 2 {
				continue
			}
			basic, ok := typ.Decl.Specs[0].(*ast.TypeSpec).Type.(*ast.Ident)
			if ok && integer.MatchString(basic.Name) {
				enums++
				assert.True(t, slices.ContainsFunc(typ.Methods, func(f *doc.Func) bool { return f.Name == "String" }), "%s.%s has no String", dir, typ.Name)
			}
			prefixes++
			prefix := commonPrefix(names)
			assert.True(t, len(prefix) > 1 && strings.HasPrefix(typ.Name, prefix), "the constants of %s.%s do not begin with a word of it: %s", dir, typ.Name, names)
		}
	}
	require.GreaterOrEqual(t, enums, 11)
	require.GreaterOrEqual(t, prefixes, 11)
}

// commonPrefix returns the words that all names begin with.
func commonPrefix(names []string) string {
	prefix := names[0]
	for _, name := range names {
		for !strings.HasPrefix(name, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	// Cut at the start of the next word.
	for prefix != "" && slices.ContainsFunc(names, func(name string) bool {
		rest := name[len(prefix):]
		return rest == "" || rest[0] < 'A' || rest[0] > 'Z'
	}) {
		prefix = prefix[:len(prefix)-1]
	}
	return prefix
}
