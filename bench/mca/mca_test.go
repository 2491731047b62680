package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// assemble builds a package of one file of assembly.
func assemble(t *testing.T, arch, text string) map[string]*function {
	t.Helper()
	functions, err := tryAssemble(t, arch, text)
	require.NoError(t, err)
	return functions
}

func tryAssemble(t *testing.T, arch, text string) (map[string]*function, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":           "module example.com/kernels\n\ngo 1.25\n",
		"k.go":             "package kernels\n\nfunc f(n int) int\n\nfunc g(n int) int\n\nfunc h(n int) int { return n }\n\nfunc many()\n",
		"labels.h":         "#define FROM_HEADER(l, k) \\\nl: \\\n\tDECQ k\n",
		"k_" + arch + ".s": "#include \"textflag.h\"\n#include \"labels.h\"\n" + text,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return build(dir, arch)
}

const kernelAMD64 = `
#define N CX // a register is not a statement
// STEPS takes its labels as arguments, and has two instructions in a line.
#define ONE(k) INCQ k
#define STEPS(skip, k) \
	TESTQ k, k; JZ skip; \
	ONE(k); \
skip: \
	ADDQ $2, k

TEXT ·f(SB), NOSPLIT, $32-16
	MOVQ n+0(FP), N
	CMPQ N, $5
	JHI  long
	STEPS(over, N)
	STEPS(over2, N)
	MOVQ N, ret+8(FP)
	RET

long:
	FROM_HEADER(again, N)
	NOTQ N
	JNZ  again
	TESTQ N, N
	JZ   out
	JMP  ·h(SB)
out:
	JMP  ·g(SB)

TEXT ·g(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), AX
	JMP  AX
first:
	NEGQ AX
second:
	BSWAPQ AX
	MOVQ AX, ret+8(FP)
	RET

TEXT ·many(SB), NOSPLIT, $0
	DECQ AX
	JZ   out
	DECQ AX
	JZ   out
	DECQ AX
	JZ   out
	INCQ AX
out:
	RET
`

func names(code []instruction) string {
	var all []string
	for _, in := range code {
		all = append(all, in.name)
	}
	return strings.Join(all, " ")
}

func TestWalk(t *testing.T) {
	functions := assemble(t, "amd64", kernelAMD64)
	for _, test := range []struct{ start, via, want, err string }{
		{"f", "", "PUSHQ MOVQ SUBQ MOVQ CMPQ JHI TESTQ JEQ INCQ ADDQ TESTQ JEQ INCQ ADDQ MOVQ ADDQ POPQ RET", ""},
		{"f", "over2", "PUSHQ MOVQ SUBQ MOVQ CMPQ JHI TESTQ JEQ INCQ ADDQ TESTQ JEQ ADDQ MOVQ ADDQ POPQ RET", ""},
		{"f", "over over2", "PUSHQ MOVQ SUBQ MOVQ CMPQ JHI TESTQ JEQ ADDQ TESTQ JEQ ADDQ MOVQ ADDQ POPQ RET", ""},
		{"f.again", "again", "DECQ NOTQ JNE", ""},
		{"f.again", "again again", "DECQ NOTQ JNE DECQ NOTQ JNE", ""},
		{"f.again", "again*3", "DECQ NOTQ JNE DECQ NOTQ JNE DECQ NOTQ JNE", ""},
		{"many", "out#3", "DECQ JEQ DECQ JEQ DECQ JEQ RET", ""},
		{"many", "out#4", "", "does not jump to out#4"},
		{"f.over2", "", "ADDQ MOVQ ADDQ POPQ RET", ""},
		{"f.long", "", "DECQ NOTQ JNE TESTQ JEQ JMP", ""}, // h is Go code
		{"f.long", "out first", "DECQ NOTQ JNE TESTQ JEQ JMP MOVQ JMP NEGQ BSWAPQ MOVQ RET", ""},
		{"f.long", "out second", "DECQ NOTQ JNE TESTQ JEQ JMP MOVQ JMP BSWAPQ MOVQ RET", ""},
		{"f", "out", "", "does not jump to out; jumps it did not take: again long over over2"},
		{"f", "over2 over", "", "does not jump to over"},
		{"x", "", "", "no function x"},
		{"f.x", "", "", "no label x"},
	} {
		via, err := parseVia(test.via)
		require.NoError(t, err)
		p := path{tier: "clmul", name: "test", via: via}
		p.function, p.start, _ = strings.Cut(test.start, ".")
		code, err := p.walk(functions)
		if test.err != "" {
			assert.ErrorContains(t, err, test.err)
		} else if assert.NoError(t, err, "%s, %s", test.start, test.via) {
			assert.Equal(t, test.want, names(code), "%s, %s", test.start, test.via)
		}
	}
}

func TestWalkWithoutEnd(t *testing.T) {
	functions := assemble(t, "amd64", "TEXT ·f(SB), NOSPLIT, $0-16\nagain:\n\tINCQ AX\n\tJMP again\n"+
		"TEXT ·g(SB), NOSPLIT, $0-16\n\tRET\n")
	_, err := path{tier: "clmul", name: "test", function: "f"}.walk(functions)
	assert.ErrorContains(t, err, "more than 20000 instructions")
}

func TestWalkOnARM64(t *testing.T) {
	functions := assemble(t, "arm64", `
#define TEST(no) \
	CBZ R0, no \
	TBNZ $3, R0, out

TEXT ·f(SB), NOSPLIT, $0-16
	MOVD n+0(FP), R0
	TEST(none)
next:
	SUBS $1, R0
	BNE next
none:
	B ·g(SB)
out:
	MOVD $·f(SB), R1
	MOVD R1, ret+8(FP)
	RET

TEXT ·g(SB), NOSPLIT, $0-16
	RET
`)
	for _, test := range []struct{ start, via, want string }{
		{"f", "", "MOVD CBZ TBNZ SUBS BNE JMP RET"},
		{"f", "none", "MOVD CBZ JMP RET"},
		{"f", "out", "MOVD CBZ TBNZ MOVD MOVD RET"},
		{"f.next", "next", "SUBS BNE"},
	} {
		p := path{tier: "pmull", name: "test", via: strings.Fields(test.via)}
		p.function, p.start, _ = strings.Cut(test.start, ".")
		code, err := p.walk(functions)
		if assert.NoError(t, err, "%s, %s", test.start, test.via) {
			assert.Equal(t, test.want, names(code), "%s, %s", test.start, test.via)
		}
		for _, in := range code {
			size := 4
			if strings.HasPrefix(in.text, "MOVD\t$") { // an address is loaded in two steps
				size = 8
			}
			assert.Len(t, in.bytes, size, in.text)
		}
	}
}

// TestWalkInGoCode follows a loop of Go through a call of Go and of assembly.
func TestWalkInGoCode(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/x/kernels\n\ngo 1.25\n",
		"k.go": `package kernels

func g(n int) int

func Loop(all []int) (sum int) {
	for _, n := range all {
		sum += h(n)
	}
	return sum
}

//go:noinline
func h(n int) int {
	if n < 10 {
		return g(n)
	}
	return n * 12345
}
`,
		"k_amd64.s": "#include \"textflag.h\"\nTEXT ·g(SB), NOSPLIT, $0-16\n\tBSWAPQ AX\n\tRET\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	functions, err := build(dir, "amd64", "example.com/x/kernels")
	require.NoError(t, err)
	walk := func(via ...string) string {
		code, err := path{tier: "xxh3", name: "test", function: "Loop", start: "loop", via: via}.walk(functions)
		require.NoError(t, err)
		return names(code)
	}
	one, other := walk("loop"), walk(":14", "loop")
	if !strings.Contains(one, "BSWAPQ") { // which of both jumps is the compiler's choice
		one, other = other, one
	}
	assert.Contains(t, one, " BSWAPQ RET ")
	assert.NotContains(t, one, "CALL")
	assert.NotContains(t, one, "MUL")
	assert.Contains(t, other, "MUL")
	assert.NotContains(t, other, "BSWAPQ")
}

func TestWalkThroughACall(t *testing.T) {
	functions := assemble(t, "arm64", `
TEXT ·f(SB), NOSPLIT, $16-16
again:
	CALL ·g(SB)
	ADD $1, R2
	CBZ R2, again
	RET

TEXT ·g(SB), NOSPLIT, $0-16
	NEG R2, R2
	RET
`)
	code, err := path{tier: "pmull", name: "test", function: "f", start: "again", via: []string{"again"}}.walk(functions)
	require.NoError(t, err)
	assert.Equal(t, "NEG RET ADD CBZ", names(code))
}

func TestBytesAreThoseOfTheFunction(t *testing.T) {
	f := assemble(t, "amd64", kernelAMD64)["g"]
	var code []byte
	for _, in := range f.code {
		code = append(code, in.bytes...)
	}
	assert.Equal(t, []byte{
		0x48, 0x8b, 0x44, 0x24, 0x08, // MOVQ 8(SP), AX
		0xff, 0xe0, // JMP AX
		0x48, 0xf7, 0xd8, // NEGQ AX
		0x48, 0x0f, 0xc8, // BSWAPQ AX
		0x48, 0x89, 0x44, 0x24, 0x10, // MOVQ AX, 16(SP)
		0xc3,
	}, code)
}

// TestPaddingBehindAJumpDoesNotRun checks that padding counts only where the code before it
// runs into it.
func TestPaddingBehindAJumpDoesNotRun(t *testing.T) {
	f := assemble(t, "amd64", `
TEXT ·f(SB), NOSPLIT, $0-16
	JMP     over
	PCALIGN $32

over:
	NEGQ    AX
	PCALIGN $32
	RET

TEXT ·g(SB), NOSPLIT, $0-16
	RET
`)["f"]
	var sizes []int
	for _, in := range f.code {
		sizes = append(sizes, len(in.bytes))
	}
	assert.Equal(t, "JMP NEGQ RET", names(f.code))
	assert.Equal(t, []int{2, 32, 1}, sizes)
}

func TestSourcesThatAreNotUnderstood(t *testing.T) {
	const body = "TEXT ·f(SB), NOSPLIT, $0-16\n\tRET\nTEXT ·g(SB), NOSPLIT, $0-16\n\tRET\n"
	_, err := tryAssemble(t, "amd64", "#ifdef GOAMD64_v3\n#define X\n#endif\n"+body)
	assert.ErrorContains(t, err, "#ifdef GOAMD64_v3 is not understood")
	_, err = tryAssemble(t, "amd64", strings.Replace(body, "RET", "NONSENSE", 1))
	assert.ErrorContains(t, err, "NONSENSE")
	_, err = parseListing("no listing\n")
	assert.ErrorContains(t, err, "no assembly")
}

// TestPaths holds that each path of paths.txt is in the kernels, and in whole calls as the
// compiler of the table builds them.
func TestPaths(t *testing.T) {
	paths, err := parsePaths(pathsText)
	require.NoError(t, err)
	text, err := os.ReadFile(tableFile)
	require.NoError(t, err)
	committed, err := parseTable(string(text))
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, arch := range archs {
		functions, err := buildAll(arch)
		require.NoError(t, err)
		for _, p := range paths {
			if p.unit == unitCall && committed.compiler != runtime.Version() {
				seen[p.tier] = true
			} else if tiers[p.tier].arch == arch {
				code, err := p.walk(functions)
				assert.NoError(t, err)
				assert.NotEmpty(t, code)
				seen[p.tier] = true
			}
		}
	}
	for tier := range tiers {
		assert.True(t, seen[tier], "no path of %s", tier)
	}
}

func TestParsePaths(t *testing.T) {
	paths, err := parsePaths("# comment\n\n clmul | a path | f.next | x  y | 8 keys |of 12\navx512 | b | g | | 256 bytes\n")
	require.NoError(t, err)
	assert.Equal(t, []path{
		{"clmul", "a path", "f", "next", []string{"x", "y"}, 8, "key", "of 12"},
		{"avx512", "b", "g", "", []string{}, 256, "64 bytes", ""},
	}, paths)
	assert.Equal(t, 2.5, paths[0].per(20))
	assert.Equal(t, 5.0, paths[1].per(20))
	for text, want := range map[string]string{
		"clmul | a | f | x":                          "line 1: 4 fields",
		"\nclmul | a | f | | 8 apples":               `line 2: "8 apples"`,
		"clmul | a | f | | x keys":                   `"x keys"`,
		"clmul | a | f | | 0 keys":                   `"0 keys"`,
		"mmx | a | f | | 1 key":                      `no kernel "mmx"`,
		"clmul | a | f | x*y | 1 key":                `line 1: "y" is not a number of jumps`,
		"clmul | a | f | x*0 | 1 key":                `"0" is not a number of jumps`,
		"clmul | a | f | | 1 key | off 3":            `"off 3" is no recipe`,
		"clmul | a | f | | 1 key | of":               `"of" is no recipe`,
		"clmul|a|f||1 key\nclmul | a | g | | 2 keys": "line 2: clmul: a is there twice",
	} {
		_, err := parsePaths(text)
		assert.ErrorContains(t, err, want)
	}
}

func TestParseMeasured(t *testing.T) {
	all, err := parseMeasured("# c\navx512 | a path | Zen 4 | Zen 4, family 25 | 2.5\n")
	require.NoError(t, err)
	assert.Equal(t, []measurement{{"avx512: a path", "Zen 4", "Zen 4, family 25", 2.5}}, all)
	for text, want := range map[string]string{
		"a | b | Zen 4 | c":       "line 1: 4 fields",
		"a | b | Zen 4 | c | x":   "line 1",
		"a | b | Zen 40 | c | 1 ": `no model "Zen 40"`,
	} {
		_, err := parseMeasured(text)
		assert.ErrorContains(t, err, want)
	}
	// The committed file can be read, and all its paths exist.
	all, err = parseMeasured(measuredText)
	require.NoError(t, err)
	paths, err := parsePaths(pathsText)
	require.NoError(t, err)
	ids := map[string]bool{}
	for _, p := range paths {
		ids[p.id()] = true
	}
	for _, m := range all {
		assert.True(t, ids[m.id], m.id)
	}
}

func sample(cycles float64) *table {
	return &table{
		version:  "22.1.8",
		compiler: "go1.26.8",
		rows: []row{{"avx512", "one key", "key"}, {"pmull", "buffers", "64 bytes"},
			{"avx2", "key of 8 B", "call"}, {"xxh3", "key of 8 B", "call"},
			{"avx512", "buffer of 1 KiB", "call"}, {"xxh3-avx512", "buffer of 1 KiB", "call"}},
		cycles: map[string]map[string]float64{
			"avx512: one key":              {"Zen 4": cycles, "Ice Lake": 7.25},
			"pmull: buffers":               {"Neoverse N1": 6},
			"avx2: key of 8 B":             {"Skylake": 12, "Zen 3": 10},
			"xxh3: key of 8 B":             {"Skylake": 10, "Zen 3": 20},
			"avx512: buffer of 1 KiB":      {"Zen 4": 40},
			"xxh3-avx512: buffer of 1 KiB": {"Zen 4": 60},
		},
	}
}

func TestTableIsReadAsItWasWritten(t *testing.T) {
	table := sample(8)
	table.reached = map[string]float64{"key of 8 B": 1.19, "buffer of 1 KiB": 1.64}
	text := table.markdown([]measurement{{"avx512: one key", "Zen 4", "here", 10}, {"pmull: buffers", "Neoverse V2", "there", 3}})
	assert.Contains(t, text, "not\nmeasurements")
	assert.Contains(t, text, "| avx512 | one key | here | Zen 4 | 10.00 | 8.00 | 1.25 |\n")
	assert.Contains(t, text, "| pmull | buffers | there | Neoverse V2 | 3.00 | | |\n")
	// Beside xxh3: keys by time, buffers by speed.
	assert.Contains(t, text, "| key of 8 B | 1.15 | 1.19 | 1.20 | | | 0.50 | |\n")
	assert.Contains(t, text, "| buffer of 1 KiB | 1.50 | 1.64 | | | | | 1.50 |\n")
	got, err := parseTable(text)
	require.NoError(t, err)
	assert.Equal(t, sample(8), got)
	for _, bad := range []string{"", strings.ReplaceAll(text, "8.00", "x"), strings.Replace(text, versionLine, "", 1)} {
		_, err := parseTable(bad)
		assert.Error(t, err)
	}
	// The committed table, too.
	committed, err := os.ReadFile(tableFile)
	require.NoError(t, err)
	_, err = parseTable(string(committed))
	assert.NoError(t, err)
}

func TestReached(t *testing.T) {
	text := `{"Work":[{"Group":"Other","At":"8 B","Cases":[]}`
	for call := range askedOnZen4 {
		group, at := "One key of a fixed length", strings.TrimPrefix(call, "key of ")
		if at == call {
			group, at = "Checksum of a buffer at the start of a cache line", strings.TrimPrefix(call, "buffer of ")
		}
		text += fmt.Sprintf(`,{"Group":%q,"At":%q,"Cases":[{"Name":"Of","ns":[9,3,1]},{"Name":"Checksum","ns":[3]},{"Name":"xxh3","ns":[8,1,2,2]}]}`, group, at)
	}
	got, err := reached([]byte(text + "]}"))
	require.NoError(t, err)
	assert.Len(t, got, len(askedOnZen4))
	assert.Equal(t, 3/2., got["key of 8 B"])
	assert.Equal(t, 2/3., got["buffer of 1 KiB"])
	for _, bad := range []string{"", "{}", text, strings.ReplaceAll(text, "xxh3", "xxh") + "]}"} {
		_, err := reached([]byte(bad))
		assert.Error(t, err)
	}
	// The committed result, too.
	result, err := os.ReadFile(zen4File)
	require.NoError(t, err)
	_, err = reached(result)
	assert.NoError(t, err)
}

func TestCompare(t *testing.T) {
	for _, test := range []struct {
		name         string
		now, before  *table
		worse, other []string
	}{
		{"the same", sample(8), sample(8), nil, nil},
		{"rounded alike", sample(8.001), sample(8), nil, nil},
		{"better", sample(7), sample(8), nil, []string{"avx512: one key, Zen 4: 7.00, was 8.00"}},
		{"worse by 3 %", sample(8.24), sample(8), nil, []string{"avx512: one key, Zen 4: 8.24, was 8.00"}},
		{"worse by more", sample(8.25), sample(8), []string{"avx512: one key, Zen 4: 8.25, was 8.00"}, nil},
	} {
		worse, other := test.now.compare(test.before)
		assert.Equal(t, test.worse, worse, test.name)
		assert.Equal(t, test.other, other, test.name)
	}
	fewer := sample(8)
	delete(fewer.cycles["avx512: one key"], "Ice Lake")
	worse, _ := fewer.compare(sample(8))
	assert.Equal(t, []string{"avx512: one key, Ice Lake: no prediction any more"}, worse)
	worse, _ = sample(8).compare(fewer)
	assert.Equal(t, []string{"avx512: one key, Ice Lake: not in the committed table"}, worse)
	without := sample(8)
	without.rows = append(without.rows[:1], without.rows[2:]...)
	delete(without.cycles, "pmull: buffers")
	worse, _ = without.compare(sample(8))
	assert.Equal(t, []string{"pmull: buffers: in the committed table alone"}, worse)
	worse, _ = sample(8).compare(without)
	assert.Equal(t, []string{"pmull: buffers: not in the committed table"}, worse)
	// Whole calls compare only if the same compiler built them.
	slow := sample(8)
	slow.cycles["xxh3: key of 8 B"]["Zen 3"] = 30
	worse, _ = slow.compare(sample(8))
	assert.Equal(t, []string{"xxh3: key of 8 B, Zen 3: 30.00, was 20.00"}, worse)
	slow.compiler = "go1.27.4"
	slow.rows = slow.rows[:5]
	worse, other := slow.compare(sample(8))
	assert.Empty(t, worse)
	assert.Empty(t, other)
}

func TestReportFailsOnlyForTheSameVersion(t *testing.T) {
	assert.NoError(t, report(sample(8), sample(8), nil))
	assert.ErrorContains(t, report(sample(9), sample(8), nil), "1 predictions differ from ../results/mca.md, 1 of them are worse")
	assert.ErrorContains(t, report(sample(7.9), sample(8), nil), "1 predictions differ from ../results/mca.md, 0 of them are worse")
	old := sample(8)
	old.version = "14.0.6"
	assert.NoError(t, report(sample(9), old, nil))
}

func TestFuse(t *testing.T) {
	for pair, one := range map[string]bool{
		"cmpq\t(%rip), %rax\njb\t169\n": true, "cmpq\t$15, %rax\nja\t4\n": true, "cmpq\t%rcx, %rbx\njg\t-99\n": true,
		"testl\t$4032, %esi                     # imm = 0xFC0\nje\t298\n": true, "testq\t%rax, %rax\njne\t2\n": true,
		"andl\t$15, %ecx\njne\t2\n": true, "addq\t$16, %rax\njne\t-50\n": true, "decq\t%rax\njne\t-50\n": true,
		"cmpq\t%rax, 8(%rsi,%rcx)\njb\t2\n": false, // nothing of ours; not all CPUs
		"cmpb\t$3, (%rip)\njne\t2\n":        false, "testb\t$3, 8(%rax)\njne\t2\n": false,
		"addq\t%rax, (%rcx)\njne\t2\n": false, "orq\t%rax, %rcx\njne\t2\n": false, "cmpq\t%rax, %rcx\njs\t2\n": false,
		"cmpq\t%rax, %rcx\njmp\t2\n": false, "cmpq\t%rax, %rcx\nseta\t%al\n": false, "kortestq\t%k2, %k2\njne\t2\n": false,
	} {
		first, _, _ := strings.Cut(pair, "\n")
		want := "movq\t%rax, %rbx\n" + pair + "nop\n"
		if one {
			want = "movq\t%rax, %rbx\n" + first + "\nnop\n"
		}
		assert.Equal(t, want, fuse("movq\t%rax, %rbx\n"+pair+"nop\n"), pair)
	}
}

func TestTotalCycles(t *testing.T) {
	cycles, err := totalCycles("\n[0] Code Region - a\n\nIterations:        100\nTotal Cycles:      905\nTotal uOps: 1\n[1] Code Region - b\nTotal Cycles:      17\n")
	require.NoError(t, err)
	assert.Equal(t, []float64{905, 17}, cycles)
	_, err = totalCycles("")
	assert.Error(t, err)
	_, err = totalCycles("Total Cycles: many\n")
	assert.Error(t, err)
}

func TestRecipes(t *testing.T) {
	for _, recipe := range []string{"of 12", "oftag 12", "batch 3", "batchtag 3", "update 100"} {
		what, n, err := parseRecipe(recipe)
		require.NoError(t, err)
		run, count := prepare(what, n)
		run()
		want := keyCount
		if what == "update" {
			want = n
		}
		assert.Equal(t, want, count, recipe)
	}
}

// TestWorseKernelIsNoticed predicts a kernel and one that takes a needless step.
func TestWorseKernelIsNoticed(t *testing.T) {
	l, err := findLLVM("")
	if err != nil {
		t.Skip(err)
	}
	paths := []path{{tier: "clmul", name: "loop", function: "f", start: "next", via: []string{"next"}, count: 1, unit: "key"}}
	kernel := func(more string) *table {
		functions := assemble(t, "amd64", `
TEXT ·f(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), CX
next:
	PCLMULQDQ $0, X0, X0
`+more+`
	DECQ CX
	JNZ next
	RET
TEXT ·g(SB), NOSPLIT, $0-16
	RET
`)
		table, err := l.predictAll(paths, map[string]map[string]*function{"amd64": functions})
		require.NoError(t, err)
		return table
	}
	good, bad := kernel(""), kernel("\tPXOR X1, X0\n")
	assert.Greater(t, good.cycles["clmul: loop"]["Skylake"], 1.0)
	assert.NotContains(t, good.cycles["clmul: loop"], "Neoverse N1")
	assert.NoError(t, report(good, good, nil))
	assert.ErrorContains(t, report(good, bad, nil), "0 of them are worse")
	assert.ErrorContains(t, report(bad, good, nil), "5 of them are worse")
}
