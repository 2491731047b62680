package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// A cpu is a CPU of which LLVM has a model, with the kernels that it can run, the best
// last.
type cpu struct {
	name, model, arch string
	tiers             []string
}

var cpus = []cpu{
	{"Skylake", "skylake", "amd64", []string{"clmul", "avx2", "xxh3", "xxh3-avx2"}},
	{"Ice Lake", "icelake-server", "amd64", []string{"clmul", "avx2", "avx2v", "avx2g", "avx512", "xxh3", "xxh3-avx512"}},
	{"Sapphire Rapids", "sapphirerapids", "amd64", []string{"clmul", "avx2", "avx2v", "avx2g", "avx512", "xxh3", "xxh3-avx512"}},
	{"Zen 3", "znver3", "amd64", []string{"clmul", "avx2", "avx2v", "xxh3", "xxh3-avx2"}},
	{"Zen 4", "znver4", "amd64", []string{"clmul", "avx2", "avx2v", "avx2g", "avx512", "avx512-256", "xxh3", "xxh3-avx512"}},
	{"Neoverse N1", "neoverse-n1", "arm64", []string{"pmull"}},
	{"Neoverse N2", "neoverse-n2", "arm64", []string{"pmull", "pmull-sha3"}},
	{"Neoverse V1", "neoverse-v1", "arm64", []string{"pmull", "pmull-sha3"}},
	{"Neoverse V2", "neoverse-v2", "arm64", []string{"pmull", "pmull-sha3"}},
}

// takes reports whether the CPU takes p: no later one of its tiers has a path of that name
// that it takes instead. For a call that is any tier of ours, or of the peer. For a part of
// a kernel it is a tier of the same kernel.
func (c cpu) takes(paths []path, p path) bool {
	return !slices.ContainsFunc(paths, func(other path) bool {
		instead := tiers[other.tier].kernel == tiers[p.tier].kernel
		if p.unit == unitCall {
			instead = peer(other.tier) == peer(p.tier)
		}
		return instead && other.name == p.name && slices.Index(c.tiers, other.tier) > slices.Index(c.tiers, p.tier)
	})
}

// peer reports whether a tier is xxh3.
func peer(tier string) bool { return strings.HasPrefix(tier, "xxh3") }

// tiers are the kernels, by their names in paths.txt, with their names in package
// impl. avx2g is avx2 where the CPU has GFNI, avx2v where it has VPCLMULQDQ. xxh3 is the
// peer of whole calls, and has forms for AVX2 and AVX-512.
var tiers = map[string]struct{ arch, kernel string }{
	"clmul":       {"amd64", "clmul"},
	"avx2":        {"amd64", "avx2"},
	"avx2g":       {"amd64", "avx2"},
	"avx2v":       {"amd64", "avx2"},
	"avx512":      {"amd64", "avx512"},
	"avx512-256":  {"amd64", "avx512-256"},
	"xxh3":        {"amd64", ""},
	"xxh3-avx2":   {"amd64", ""},
	"xxh3-avx512": {"amd64", ""},
	"pmull":       {"arm64", "pmull"},
	"pmull-sha3":  {"arm64", "pmull-sha3"},
}

// The models of arm64 CPUs do not list their extensions.
var (
	triples    = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}
	mcOptions  = map[string][]string{"amd64": {"-mcpu=sapphirerapids"}, "arm64": {"-mattr=+aes,+sha3"}}
	mcaOptions = map[string][]string{"arm64": {"-mattr=+aes,+sha3"}}
)

// llvm has the tools of one version: llvm-mc, which disassembles, and llvm-mca, which
// predicts.
type llvm struct{ suffix, version string }

var mcaName = regexp.MustCompile(`^llvm-mca-(\d+)$`)

// findLLVM returns the tools of version want, or else the newest installed.
func findLLVM(want string) (*llvm, error) {
	best := -1
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		names, _ := filepath.Glob(filepath.Join(dir, "llvm-mca-*"))
		for _, name := range names {
			if m := mcaName.FindStringSubmatch(filepath.Base(name)); m != nil {
				n, _ := strconv.Atoi(m[1])
				if strings.HasPrefix(want, m[1]+".") {
					n += 1 << 20
				}
				best = max(best, n)
			}
		}
	}
	l := &llvm{}
	if best >= 0 {
		l.suffix = fmt.Sprintf("-%d", best&(1<<20-1))
	}
	out, err := l.run("", "llvm-mca", "--version")
	if err != nil {
		return nil, fmt.Errorf("no llvm-mca (Debian: apt-get install llvm-22): %w", err)
	}
	m := regexp.MustCompile(`LLVM version (\S+)`).FindStringSubmatch(out)
	if m == nil {
		return nil, fmt.Errorf("llvm-mca does not say its version: %s", out)
	}
	l.version = m[1]
	return l, nil
}

func (l *llvm) run(input, tool string, arguments ...string) (string, error) {
	cmd := exec.Command(tool+l.suffix, arguments...)
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %.2000s", cmd, err, stderr.String())
	}
	return stdout.String(), nil
}

// disassemble returns the instructions as llvm-mca reads them, with pairs that CPUs fuse as
// one.
func (l *llvm) disassemble(arch string, code []instruction) (string, error) {
	var input strings.Builder
	for _, in := range code {
		for _, b := range in.bytes {
			fmt.Fprintf(&input, "%#x ", b)
		}
		input.WriteByte('\n')
	}
	out, err := l.run(input.String(), "llvm-mc", append([]string{"-disassemble", "-triple=" + triples[arch]}, mcOptions[arch]...)...)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	lines := 0
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" && line != ".text" {
			text.WriteString(line + "\n")
			lines++
		}
	}
	if lines < len(code) {
		return "", fmt.Errorf("llvm-mc knows %d of %d instructions", lines, len(code))
	}
	if arch != "amd64" {
		return text.String(), nil
	}
	return fuse(text.String()), nil
}

// fused matches a comparison or an addition, and the conditional jump behind it, which all
// CPUs of amd64 above decode to one operation: see "Macro-Fusion" in Intel's optimization
// manual and "Branch Fusion" in that of AMD's family 19h. Memory compared with a constant
// is left out, since not all of them fuse that.
var fused = regexp.MustCompile(`(?m)^((?:(?:cmp|test|and)[bwlq]|(?:add|sub|inc|dec)[lq])\s+` +
	`(?:[^$(\n]*|\$[^(\n]*|[^$\n]*\([^)\n]*\), *%\w+)\n)j(?:e|ne|b|ae|be|a|l|ge|le|g)\s.*\n`)

// fuse leaves out the jump of each such pair, because llvm-mca counts two operations.
func fuse(code string) string { return fused.ReplaceAllString(code, "$1") }

// iterations says how often a path runs, by the number of its instructions: the first row
// that has at least as many counts. The first runs fill the pipeline, so cycles are counted
// from the end of run few to the end of run many. A longer path fills it in fewer runs.
var iterations = []struct{ instructions, few, many int }{{100, 100, 300}, {1000, 20, 60}, {maxPath, 3, 6}}

// predict returns the cycles of each path on a CPU if the path runs repeatedly.
func (l *llvm) predict(c cpu, paths map[string]string) (map[string]float64, error) {
	names := slices.Sorted(maps.Keys(paths))
	cycles := map[string]float64{}
	more := 0
	for _, n := range iterations {
		var some []string
		for _, name := range names {
			if length := strings.Count(paths[name], "\n"); more < length && length <= n.instructions {
				some = append(some, name)
			}
		}
		more = n.instructions
		if err := l.count(cycles, c, paths, some, n.few, n.many); err != nil {
			return nil, err
		}
	}
	return cycles, nil
}

// count counts the cycles of the paths of these names.
func (l *llvm) count(cycles map[string]float64, c cpu, paths map[string]string, names []string, few, many int) error {
	if len(names) == 0 {
		return nil
	}
	var input strings.Builder
	for i, name := range names {
		fmt.Fprintf(&input, "# LLVM-MCA-BEGIN path%d\n%s# LLVM-MCA-END\n", i, paths[name])
	}
	var total [2][]float64
	for i, n := range []int{few, many} {
		out, err := l.run(input.String(), "llvm-mca", append([]string{"-mtriple=" + triples[c.arch], "-mcpu=" + c.model,
			fmt.Sprintf("-iterations=%d", n), "-instruction-info=false", "-resource-pressure=false"}, mcaOptions[c.arch]...)...)
		if err != nil {
			return err
		}
		if total[i], err = totalCycles(out); err != nil {
			return err
		}
		if len(total[i]) != len(names) {
			return fmt.Errorf("llvm-mca has %d figures for %d paths", len(total[i]), len(names))
		}
	}
	for i, name := range names {
		cycles[name] = (total[1][i] - total[0][i]) / float64(many-few)
	}
	return nil
}

func totalCycles(out string) (cycles []float64, err error) {
	for line := range strings.Lines(out) {
		if v, ok := strings.CutPrefix(line, "Total Cycles:"); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil {
				return nil, err
			}
			cycles = append(cycles, n)
		}
	}
	if cycles == nil {
		return nil, errors.New("llvm-mca has no figures")
	}
	return cycles, nil
}

// predictAll returns the cycles per key or per 64 bytes of all paths on all CPUs.
func (l *llvm) predictAll(paths []path, functions map[string]map[string]*function) (*table, error) {
	t := &table{version: l.version, compiler: runtime.Version(), cycles: map[string]map[string]float64{}}
	byArch := map[string]map[string]string{} // architecture, path: its code
	for _, p := range paths {
		arch := tiers[p.tier].arch
		code, err := p.walk(functions[arch])
		if err != nil {
			return nil, err
		}
		text, err := l.disassemble(arch, code)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.id(), err)
		}
		if byArch[arch] == nil {
			byArch[arch] = map[string]string{}
		}
		byArch[arch][p.id()] = text
		t.rows = append(t.rows, row{p.tier, p.name, p.unit})
		t.cycles[p.id()] = map[string]float64{}
	}
	for _, c := range cpus {
		can := map[string]string{}
		for _, p := range paths {
			if slices.Contains(c.tiers, p.tier) && c.takes(paths, p) {
				can[p.id()] = byArch[c.arch][p.id()]
			}
		}
		if len(can) == 0 {
			continue
		}
		cycles, err := l.predict(c, can)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		for _, p := range paths {
			if _, ok := can[p.id()]; ok {
				t.cycles[p.id()][c.name] = p.per(cycles[p.id()])
			}
		}
	}
	return t, nil
}
