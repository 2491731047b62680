package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const source = `package p

import (
	"bytes"
	"sort"
)

// table is long.
var table = []int{
	1,
	2,
}

type state struct {
	slots []int
}

// find is slow.
func (s *state) find(slot int) int {
	// by halves
	return sort.SearchInts(s.slots, slot)
}

func has(b []byte) bool { return bytes.Contains(b, []byte("{")) }
`

func TestApply(t *testing.T) {
	edited, removed, added, err := file{
		imports: []string{"slices"},
		without: []string{"sort"},
		decls:   map[string]string{"table": "", "state.find": "func (s *state) find(slot int) int { return slices.Index(s.slots, slot) }"},
		fields:  map[string]string{"state": "	more int"},
	}.apply([]byte(source))
	require.NoError(t, err)
	assert.Equal(t, `package p

import "slices"

import (
	"bytes"
)

type state struct {
	slots []int
	more  int
}

func (s *state) find(slot int) int { return slices.Index(s.slots, slot) }

func has(b []byte) bool { return bytes.Contains(b, []byte("{")) }
`, string(edited))
	assert.Equal(t, 8, removed, "an import, four lines of the table and three of find")
	assert.Equal(t, 3, added, "an import, a field and find")
}

func TestApplyRefuses(t *testing.T) {
	for text, f := range map[string]file{
		"other is not there":   {decls: map[string]string{"other": ""}},
		"find is not there":    {decls: map[string]string{"find": ""}},
		"strings is not there": {without: []string{"strings"}},
		"nothing is not there": {fields: map[string]string{"nothing": "x int"}},
		"expected declaration": {decls: map[string]string{"table": "tabel"}},
	} {
		_, _, _, err := f.apply([]byte(source))
		assert.ErrorContains(t, err, text)
	}
	_, _, _, err := file{}.apply([]byte("package"))
	assert.Error(t, err)
}

// TestProjects asserts that each project has a module, tests and edits.
func TestProjects(t *testing.T) {
	for _, p := range projects {
		assert.NotEmpty(t, p.path, p.name)
		assert.Regexp(t, `^v\d+\.\d+\.\d+$`, p.version, p.name)
		assert.NotEmpty(t, p.tests, p.name)
		assert.Positive(t, p.fewest, p.name)
		assert.NotEmpty(t, p.files, p.name)
	}
}
