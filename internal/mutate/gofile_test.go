package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// goModule is a module with a function and tests. The tests do not notice if 5 counts as
// less than 5.
func goModule(t *testing.T) (dir string) {
	dir = t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/m\n\ngo 1.25\n",
		"m.go": `package m

const limit = 5

func f(n int, more bool) (int, bool) {
	sum := 0
	if n < limit && more {
		sum += n + 1
	}
	switch {
	case n == 7:
		return sum, true
	}
	return sum, n > 3
}
`,
		"m_test.go": `package m

import "testing"

 func TestF(t *testing.T) {
	for _, c := range []struct {
		n    int
		more bool
		sum  int
		ok   bool
	}{{1, true, 2, false}, {3, true, 4, false}, {4, false, 0, true}, {4, true, 5, true}, {6, true, 0, true}, {7, true, 0, true}} {
		if sum, ok := f(c.n, c.more); sum != c.sum || ok != c.ok {
			t.Error(c, sum, ok)
		}
	}
}
`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func TestMutantsOfGo(t *testing.T) {
	t.Chdir(goModule(t))
	g, err := readGo("m.go")
	require.NoError(t, err)
	var got []string
	for _, mu := range g.all {
		got = append(got, mu.String())
	}
	assert.Subset(t, got, []string{
		"constant: 5 => 6", "constant: f: 0 => 1", "condition: f: n < limit && more => !(n < limit && more)",
		"operator: f: n < limit && more => n < limit || more", "condition: f: n < limit && more => more", "operator: f: n < limit => n <= limit",
		"statement: f: sum += n + 1 => nothing", "operator: f: sum += n + 1 => sum -= n + 1", "operator: f: n + 1 => n - 1",
		"operator: f: n == 7 => n != 7", "constant: f: true => false", "return: f: return sum, n > 3 => return *new(int), n > 3",
		"return: f: return sum, n > 3 => return sum, !(n > 3)",
	})
	// All of them build together, and the number 0 is the original.
	m := mutator{file: "m.go", g: g, dir: t.TempDir()}
	require.NoError(t, m.buildGo(t.Context(), g.all))
	for _, mu := range m.chosen {
		assert.Equal(t, mu.line == 2, mu.edit.choice == alone, mu)
	}
	outcomes := map[string]string{}
	m.run = []string{"."}
	outcome, err := m.test(t.Context(), original)
	require.NoError(t, err)
	require.Equal(t, survived, outcome)
	for i, mu := range m.chosen {
		outcome, err := m.test(t.Context(), i)
		require.NoError(t, err)
		outcomes[mu.String()] = outcome
	}
	assert.Equal(t, survived, outcomes["operator: f: n < limit => n <= limit"])
	assert.Equal(t, survived, outcomes["constant: 5 => 6"])
	assert.Equal(t, failed, outcomes["constant: 5 => 4"])
	assert.Equal(t, failed, outcomes["operator: f: n < limit && more => n < limit || more"])
	assert.Equal(t, failed, outcomes["statement: f: sum += n + 1 => nothing"])
	assert.Equal(t, failed, outcomes["return: f: return sum, n > 3 => return sum, !(n > 3)"])
	assert.NotContains(t, outcomes, notBuilt)
}

// A line can be so long that the compiler names no column.
func TestCompileError(t *testing.T) {
	t.Chdir(t.TempDir())
	condition := strings.Repeat("n != 7 && ", 50) + "n < big>>4"
	require.NoError(t, os.WriteFile("go.mod", []byte("module example.com/m\n\ngo 1.25\n"), 0o600))
	require.NoError(t, os.WriteFile("m.go", []byte("package m\n\nconst big = 0xfff0\n\nfunc f(n uint16) bool {\n\treturn "+condition+"\n}\n"), 0o600))
	require.NoError(t, os.WriteFile("m_test.go", []byte("package m\n"), 0o600))
	g, err := readGo("m.go")
	require.NoError(t, err)
	m := mutator{file: "m.go", g: g, dir: t.TempDir()}
	require.NoError(t, m.buildGo(t.Context(), g.all))
}

// Tests that killed lately run first, then the quick ones. None is left out.
func TestOrder(t *testing.T) {
	o := order{took: took([]byte("TestA\nTestB\nTestC\nTestD\nTestE\nBenchmarkF\n"), []byte(
		"=== RUN   TestA\n--- PASS: TestA (0.00s)\n--- PASS: TestC (2.00s)\n    --- PASS: TestB (9.00s)\n--- PASS: TestD (0.01s)\n--- SKIP: TestE (0.00s)\n"))}
	words, limits := o.words([]string{"TestE"})
	assert.Equal(t, []string{"^(TestA|TestD)$", "^(TestB|TestC)$"}, words)
	assert.Equal(t, []time.Duration{2100 * time.Millisecond, 32 * time.Second}, limits)
	o.killed([]byte("=== RUN   TestC\n--- FAIL: TestC (0.00s)\n    --- FAIL: TestC/x (0.00s)\n"))
	o.killed([]byte("panic: far away\n"))
	o.killed([]byte("--- FAIL: TestD (0.00s)\n"))
	words, _ = o.words(nil)
	assert.Equal(t, []string{"^(TestC|TestD)$", "^(TestA|TestE)$", "^(TestB)$"}, words)
	for range 2 {
		for test := range o.took {
			o.killed([]byte("--- FAIL: " + test + " (0.00s)\n"))
		}
	}
	o.killed([]byte("--- FAIL: TestA (0.00s)\n"))
	assert.Equal(t, "TestA", o.lately[0])
	assert.ElementsMatch(t, []string{"TestA", "TestB", "TestC", "TestD", "TestE"}, o.lately)
}
