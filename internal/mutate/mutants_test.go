package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMutants(t *testing.T) {
	tests := []struct {
		line string
		want []string
	}{
		{"// MOVD A, B", nil},
		{"#define P R0 // the key", nil},
		{"#define K 0x00ff // x", []string{"constant: #define K 0x00ff => #define K 0x00fe"}},
		{"#define K 0x0f00", []string{"constant: #define K 0x0f00 => #define K 0x0b00"}},
		{"DATA k<>+8(SB)/8, $0x10", []string{"constant: DATA k<>+8(SB)/8, $0x10 => DATA k<>+8(SB)/8, $0x90"}},
		{"DATA k<>+8(SB)/8, $-1", []string{"constant: DATA k<>+8(SB)/8, $-1 => DATA k<>+8(SB)/8, $0"}},
		{"GLOBL k<>(SB), RODATA|NOPTR, $8", nil},
		{"TEXT ·f(SB), NOSPLIT, $0-8", nil},
		{"next:", nil},
		{"\tRET", []string{"drop: RET => nothing"}},
		{"\tSTEP(V0, V1) \\", []string{"drop: STEP(V0, V1) => nothing"}},
		{"\tPXOR  X2, T;    \\", []string{"drop: PXOR X2, T => nothing", "register: PXOR X2, T => PXOR T, X2"}},
		{"\tVPXOR X2, X3, X4", []string{"drop: VPXOR X2, X3, X4 => nothing"}},
		{"\tVPMAXUD X2, X3, X4", []string{"drop: VPMAXUD X2, X3, X4 => nothing"}},
		{"\tSUB R1, R2, R3", []string{"drop: SUB R1, R2, R3 => nothing", "register: SUB R1, R2, R3 => SUB R2, R1, R3"}},
		{"\tBHI long // far", []string{
			"drop: BHI long => nothing", "condition: BHI long => BLS long", "condition: BHI long => BHS long"}},
		{"\tJNZ x", []string{"drop: JNZ x => nothing", "condition: JNZ x => JZ x"}},
		{"\tCBZ R0, x", []string{"drop: CBZ R0, x => nothing", "condition: CBZ R0, x => CBNZ R0, x"}},
		{"\tCSEL LO, R1, R2, R3", []string{
			"drop: CSEL LO, R1, R2, R3 => nothing", "condition: CSEL LO, R1, R2, R3 => CSEL HS, R1, R2, R3",
			"condition: CSEL LO, R1, R2, R3 => CSEL LS, R1, R2, R3"}},
		{"\tANDL $0x3fff, AX", []string{
			"drop: ANDL $0x3fff, AX => nothing", "constant: ANDL $0x3fff, AX => ANDL $16384, AX"}},
		{"\tMOVOU -16(P)(N*1), X0", []string{
			"drop: MOVOU -16(P)(N*1), X0 => nothing", "constant: MOVOU -16(P)(N*1), X0 => MOVOU -15(P)(N*1), X0"}},
	}
	for _, test := range tests {
		var got []string
		lines := []string{test.line}
		for _, mu := range mutants(lines) {
			got = append(got, mu.String())
			assert.NotEqual(t, lines, mu.apply(lines), mu)
		}
		assert.Equal(t, test.want, got, test.line)
	}
}

func TestApplyKeepsWhatEndsALine(t *testing.T) {
	lines := []string{"\tPXOR X2, T;    \\", "\tRET // done"}
	all := mutants(lines)
	assert.Equal(t, []string{"\t;    \\", "\tRET // done"}, all[0].apply(lines))
	assert.Equal(t, []string{"\tPXOR X2, T;    \\", "\t // done"}, all[len(all)-1].apply(lines))
}

func TestChoose(t *testing.T) {
	var all []mutant
	for i := range 100 {
		all = append(all, mutant{line: i})
	}
	some, err := choose(all, 20, 7, "1/1")
	require.NoError(t, err)
	assert.Len(t, some, 20)
	again, err := choose(all, 20, 7, "1/1")
	require.NoError(t, err)
	assert.Equal(t, some, again)
	first, err := choose(all, 0, 1, "1/3")
	require.NoError(t, err)
	assert.Len(t, first, 34)
	for _, part := range []string{"", "0/3", "4/3", "x"} {
		_, err = choose(all, 0, 1, part)
		assert.Error(t, err, part)
	}
}

func TestReadExplained(t *testing.T) {
	name := filepath.Join(t.TempDir(), "explained")
	write := func(lines ...string) {
		require.NoError(t, os.WriteFile(name, []byte(strings.Join(lines, "\n")), 0o600))
	}
	write("# comment", "", "a.s: drop: RET => nothing // the next function does it", "b.s: drop: RET => nothing // no")
	known, err := readExplained(name, "dir/a.s")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"drop: RET => nothing": "the next function does it"}, known)
	write("a.go: constant: 1 => 2 // of another package\ndir/a.go: constant: 1 => 0 // why\n")
	known, err = readExplained(name, filepath.Join("dir", "a.go"))
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"constant: 1 => 0": "why"}, known)
	write("a.s: drop: RET => nothing")
	_, err = readExplained(name, "a.s")
	assert.ErrorContains(t, err, ":1: not of the form")
}

// TestListedFiles checks that all files of both lists exist: nobody would draw a mutant of
// one that does not.
func TestListedFiles(t *testing.T) {
	seen := map[string]bool{}
	for _, list := range []string{"complete.txt", "explained.txt"} {
		text, err := os.ReadFile(list)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			file, _, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if file == "" || strings.HasPrefix(file, "#") || seen[list+file] {
				continue
			}
			seen[list+file] = true
			assert.FileExists(t, filepath.Join("../..", file), list)
		}
	}
	assert.Greater(t, len(seen), 50)
}

// TestExplained checks that the mutant of each explanation exists.
func TestExplained(t *testing.T) {
	files, err := filepath.Glob("../../*.s")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		exists := map[string]bool{}
		for _, mu := range mutants(strings.Split(string(text), "\n")) {
			exists[mu.String()] = true
		}
		known, err := readExplained("explained.txt", file)
		require.NoError(t, err)
		for mutant := range known {
			assert.True(t, exists[mutant], "%s: no such mutant: %s", file, mutant)
		}
	}
}
