// Mutate shows whether the tests would notice a mistake in the assembly or in Go. It makes
// one small change to a file at a time, runs the package's fast tests, and lists the
// changes that the tests do not notice:
//
//	cd internal/mutate
//	go run . -file crc16_amd64.s -n 50 -seed 1
//	go run . -file '*_amd64.s' -n 0 # all, in about a quarter of an hour
//	go run . -file 'slotmap/topology/[amrs]*.go' -n 25
//	go build && GOARCH=arm64 ./mutate -file long_arm64.s -n 0 -exec 'qemu-aarch64 -cpu max'
//
// A change, a mutant, of assembly is one of
//
//	drop      the instruction is left out
//	condition a conditional jump or move takes the opposite condition, or a
//	          neighbouring one: "above" becomes "above or equal"
//	constant  an immediate value or a displacement is one more, or a constant
//	          of 64 bits has one bit flipped
//	register  the first two operands change places
//
// and of Go one of
//
//	statement a statement is left out
//	condition a condition becomes its opposite, or one side of && or ||
//	operator  an operator becomes another: < becomes <= or >=, + becomes -
//	constant  a number becomes one more or one less, a text empty, true false
//	return    a result becomes zero, or its opposite
//
// The sources are not changed: the go command gets the mutants as an overlay, many at a
// time, and an environment variable tells the tests which one to call. Of the tests of Go
// files those run first that killed a mutant lately, then those that take milliseconds, then
// the others. What the go command builds within a test has no mutant, so such tests find no go
// command and skip themselves. A mutant is killed
// if it does not assemble, fails a test, crashes, or takes ten times as long. A mutant that
// passes shows a missing test, or makes no difference. Those of the second kind are explained in
// a file of lines
//
//	file: kind: instruction => mutant // why it makes no difference
//	file: kind: function: Go => mutant // why it makes no difference
//
// where instruction stands for all places with that text, and file is the name of a .s
// file or the path of a Go file. The exit status is 1 if a survivor is not explained, or if
// the mutant of an explanation was killed or does not exist.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/build"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	pattern := flag.String("file", "", "what to mutate: .s files of the root package, or Go files, as a pattern")
	var o options
	flag.IntVar(&o.n, "n", 50, "how many mutants to try, chosen at random; 0 for all")
	flag.Uint64Var(&o.seed, "seed", 1, "the seed of that choice")
	flag.StringVar(&o.part, "part", "1/1", "try only the i-th of k parts of the chosen mutants: i/k")
	run := flag.String("run", "", "the tests to run, each word like go test -run; by default, fast proofs for assembly, and all tests for Go, quick ones first")
	execute := flag.String("exec", "", "a command that runs the tests, like go test -exec")
	flag.StringVar(&o.explained, "explained", "internal/mutate/explained.txt", "the explanations of survivors")
	flag.BoolVar(&o.list, "list", false, "only list the mutants")
	root := flag.String("root", "../..", "the folder of the module to mutate, from which files are named")
	flag.Parse()
	if err := mutate(*root, *pattern, *run, *execute, o); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// options say which mutants of a file to try.
type options struct {
	n         int
	seed      uint64
	part      string // i/k
	explained string // the file of explanations
	list      bool   // only list them
}

// mutate tries the mutants of the files that match the pattern.
func mutate(root, pattern, run, execute string, o options) error {
	ctx, cancel := untilSignal(context.Background())
	defer cancel()
	if err := os.Chdir(root); err != nil {
		return err
	}
	files, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	files = slices.DeleteFunc(files, func(file string) bool { return strings.HasSuffix(file, "_test.go") })
	if len(files) == 0 {
		return fmt.Errorf("no such file: %s", pattern)
	}
	var wrong []error
	for _, file := range files {
		tests := run
		if tests == "" && filepath.Ext(file) != ".go" {
			tests = fastProofs
		}
		m := mutator{file: file, exec: strings.Fields(execute), run: strings.Fields(tests)}
		wrong = append(wrong, m.main(ctx, o))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return errors.Join(wrong...)
}

// fastProofs are tests that take seconds and together cover every kernel except plain Go,
// at every length. Those of the first word take a fraction of a second and kill most
// mutants. They also cover calls of plain Go.
const fastProofs = "^(TestServersSlots|TestNilAndEmptyKeys|TestUpdateSplitAnywhere|TestUseOfTellsKernelsApart|TestEitherWayToEnd)$/kernel= " +
	"^(TestSingleBits|TestEveryPlaceInAPage|TestLaneMixes|TestBracesInEveryLane|TestAllShortStringsOverBraces|" +
	"TestBatchKernelsStopOnlyWhereTheyMust|TestBatchStopsOnlyWhereItMust|TestEitherWayToPick|TestShortKeysAtPageEnds|TestWhoTakesBatches|TestTagBehindGroupsWithout|TestBatchAfterZeros|" +
	"TestTagBehindGroupOfAnotherLength|TestTagInEveryBlock|TestBracesInAllPlaces|TestBracesInHalfOfAGroup)$/kernel=[^g] " +
	"^(TestBatchLengths|TestEveryLengthAndAlignmentBetweenGuards|TestTagAtEveryPosition|TestLongBuffers|" +
	"TestEveryFormBetweenGuards|TestEndsOfLongBuffers|TestEveryForm|TestSingleBitsAtEveryEnd|" +
	"TestEveryLongLength|TestBatchHeadersBetweenGuards|TestWhatSlotsShortTakes)$/kernel=[^g]"

type mutator struct {
	file      string
	run, exec []string
	limits    []time.Duration // of the words of run
	order     order           // of the tests of a Go file, where run is empty
	brief     bool            // whether only the first of these run

	g      *goFile  // of a Go file
	chosen []mutant // the mutants of the last build
	skip   []string // tests that fail in the last build without a mutant
	output limited  // of the last run of tests
	idle   bool     // whether that one was out of time and had hardly used any

	lines     []string // the original
	dir       string   // for temporary files
	include   string   // where the package's go_asm.h is
	assembled []bool   // which mutants of the last build are in the tests
}

func (m *mutator) main(ctx context.Context, o options) error {
	all, err := m.read()
	if err != nil {
		return err
	}
	chosen, err := choose(all, o.n, o.seed, o.part)
	if err != nil {
		return err
	}
	if o.list {
		for _, mu := range chosen {
			fmt.Println(m.place(mu), mu)
		}
		return nil
	}
	known, err := readExplained(o.explained, m.file)
	if err != nil {
		return err
	}
	if m.dir, err = os.MkdirTemp("", "mutate"); err != nil {
		return err
	}
	defer os.RemoveAll(m.dir)

	// What is explained is tried only if all are, and Go only by the quick tests.
	if o.n != 0 || o.part != "1/1" {
		chosen = slices.DeleteFunc(chosen, func(mu mutant) bool { return known[mu.String()] != "" })
	}
	counts := map[string]int{}
	lives := map[string]bool{} // whether the tests pass with a mutant, by its text
	unexplained := 0
	for i, mu := range chosen {
		if i%perBuild == 0 {
			if err := m.buildTests(ctx, chosen[i:min(i+perBuild, len(chosen))]); err != nil {
				return err
			}
		}
		why := known[mu.String()]
		m.brief = why != ""
		outcome, err := m.test(ctx, i%perBuild)
		if err := cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
		counts[outcome]++
		// Out of time is one that makes no difference but takes longer.
		lives[mu.String()] = lives[mu.String()] || outcome == survived || outcome == outOfTime
		switch {
		case outcome == survived && why == "":
			unexplained++
			fmt.Println(m.place(mu), "SURVIVED", mu)
		case outcome == survived:
			fmt.Println(m.place(mu), "survived", mu, "//", why)
		default:
			fmt.Println(m.place(mu), outcome, mu)
		}
	}
	wrong := unexplained + m.stale(all, known, lives)
	fmt.Printf("%s: %d of %d mutants: %v\n", m.file, len(chosen), len(all), counts)
	if wrong != 0 {
		return fmt.Errorf("%s: %d to look at", m.file, wrong)
	}
	return nil
}

// buildTests builds the tests with these mutants, and checks that they pass without one.
func (m *mutator) buildTests(ctx context.Context, chosen []mutant) error {
	build := m.build
	if m.g != nil {
		build = m.buildGo
	}
	if err := build(ctx, chosen); err != nil {
		return err
	}
	// Tests that fail anyway would kill every mutant.
	return m.testOriginal(ctx)
}

// stale prints and counts the explanations of what is no mutant or was killed.
func (m *mutator) stale(all []mutant, known map[string]string, lives map[string]bool) (n int) {
	exists := map[string]bool{}
	for _, mu := range all {
		exists[mu.String()] = true
	}
	for s := range known {
		if !exists[s] {
			n++
			fmt.Printf("%s: explained, but no mutant: %s\n", m.file, s)
		}
		if survivor, ok := lives[s]; ok && !survivor {
			n++
			fmt.Printf("%s: explained, but killed: %s\n", m.file, s)
		}
	}
	return n
}

// read returns the mutants of the file.
func (m *mutator) read() (all []mutant, err error) {
	if filepath.Ext(m.file) == ".go" {
		if m.g, err = readGo(m.file); err != nil {
			return nil, err
		}
		return m.g.all, nil
	}
	text, err := os.ReadFile(m.file)
	if err != nil {
		return nil, err
	}
	m.lines = strings.Split(string(text), "\n")
	return mutants(m.lines), nil
}

func (m *mutator) place(mu mutant) string { return fmt.Sprintf("%s:%d:", m.file, mu.line+1) }

// choose returns n mutants, or all, in the order of the file.
func choose(all []mutant, n int, seed uint64, part string) ([]mutant, error) {
	var i, k int
	if _, err := fmt.Sscanf(part, "%d/%d", &i, &k); err != nil || i < 1 || i > k {
		return nil, fmt.Errorf("-part %s is not one of k parts", part)
	}
	order := rand.New(rand.NewPCG(seed, 0)).Perm(len(all))
	if n > 0 && n < len(order) {
		order = order[:n]
	}
	slices.Sort(order)
	var chosen []mutant
	for j, o := range order {
		if j%k == i-1 {
			chosen = append(chosen, all[o])
		}
	}
	return chosen, nil
}

// The outcomes of a mutant.
const (
	survived   = "survived"
	notBuilt   = "not built"
	failed     = "failed"
	crashed    = "crashed"
	outOfTime  = "out of time"
	outputSize = 1 << 20
)

// perBuild is how many mutants go into one build of the tests.
const perBuild = 192

// original is the name of the unchanged file among mutants.
const original = -1

// selector is added to the package. It reads from an environment variable which mutant to
// call.
const selector = `package hashslot

import (
	"os"
	"strconv"
)

var mutant = func() uint64 {
	i, err := strconv.ParseUint(os.Getenv("` + variable + `"), 10, 64)
	if err != nil {
		panic(err)
	}
	return i
}()
`

const variable = "HASHSLOT_MUTANT"

// call is the body of the functions of the original file: it jumps to the same function of
// the mutant. The arguments are on the stack, and registers have no meaning. They are
// filled with a small number that could be a length, so that a mutant that forgets to set
// one does not find a value that the caller left by chance.
var call = map[string]string{
	"amd64": forEach("\tMOVQ $3, %s\n", "BX CX DX SI DI R8 R9 R10 R11 R12 R13 R14") +
		forEach("\tPCMPEQB %[1]s, %[1]s\n", "X0 X1 X2 X3 X4 X5 X6 X7 X8 X9 X10 X11 X12 X13 X14 X15") +
		"\tMOVQ ·mutant(SB), AX\n\tLEAQ table<>(SB), R15\n\tMOVQ (R15)(AX*8), R15\n\tMOVQ $3, AX\n\tJMP R15\n",
	"arm64": forEach("\tMOVD $3, %s\n", "R2 R3 R4 R5 R6 R7 R8 R9 R10 R11 R12 R13 R14 R15 R16 R17 R19 R20 R21 R22 R23 R24 R25") +
		forEach("\tVMOVI $255, %s.B16\n", "V0 V1 V2 V3 V4 V5 V6 V7 V8 V9 V10 V11 V12 V13 V14 V15 "+
			"V16 V17 V18 V19 V20 V21 V22 V23 V24 V25 V26 V27 V28 V29 V30 V31") +
		"\tMOVD ·mutant(SB), R0\n\tMOVD $table<>(SB), R1\n\tMOVD (R1)(R0<<3), R1\n\tMOVD $3, R0\n\tJMP (R1)\n",
}

func forEach(format, registers string) string {
	var code strings.Builder
	for _, register := range strings.Fields(registers) {
		fmt.Fprintf(&code, format, register)
	}
	return code.String()
}

var (
	function = regexp.MustCompile(`(?m)^TEXT ·(\w+)\(SB\),.*$`)
	global   = regexp.MustCompile(`(?m)^GLOBL ·(\w+)\(SB\)`)
	frame    = regexp.MustCompile(`\$\d+`) // its size
)

// build builds the tests with the original and those of the mutants that
// assemble. Each has its functions under names of its own.
func (m *mutator) build(ctx context.Context, chosen []mutant) error {
	arch := build.Default.GOARCH
	if call[arch] == "" {
		return fmt.Errorf("GOARCH %s is not supported", arch)
	}
	source, err := filepath.Abs(m.file)
	if err != nil {
		return err
	}
	replace := map[string]string{}
	write := func(path, text string) (file string, err error) {
		file = filepath.Join(m.dir, filepath.Base(path))
		replace[path] = file
		return file, os.WriteFile(file, []byte(text), 0o600)
	}
	functions := function.FindAllStringSubmatch(strings.Join(m.lines, "\n"), -1)
	variant := func(i int, lines []string) (file string, err error) {
		text := strings.Join(lines, "\n")
		for _, f := range functions {
			text = strings.ReplaceAll(text, "·"+f[1]+"(SB)", fmt.Sprintf("·%s_%d(SB)", f[1], i))
		}
		if i > 0 { // other files use the data of the original
			for _, g := range global.FindAllStringSubmatch(text, -1) {
				text = regexp.MustCompile(`·`+g[1]+`\b`).ReplaceAllString(text, fmt.Sprintf("·%s_%d", g[1], i))
			}
		}
		return write(filepath.Join(filepath.Dir(source), fmt.Sprintf("mutant%d_%s.s", i, arch)), text)
	}

	// Number 0 is the original.
	if _, err := variant(0, m.lines); err != nil {
		return err
	}
	if m.include == "" {
		if m.include, err = m.header(ctx); err != nil {
			return err
		}
	}
	m.assembled = make([]bool, len(chosen))
	for i, mu := range chosen {
		file, err := variant(i+1, mu.apply(m.lines))
		if err != nil {
			return err
		}
		object := filepath.Join(m.dir, "mutant.o")
		err = m.goCommand(ctx, "tool", "asm", "-p", "hashslot", "-I", filepath.Join(build.Default.GOROOT, "pkg", "include"),
			"-I", m.include, "-o", object, file).Run()
		if m.assembled[i] = err == nil; err != nil {
			delete(replace, filepath.Join(filepath.Dir(source), filepath.Base(file)))
		}
	}
	stubs := new(strings.Builder)
	fmt.Fprint(stubs, "//go:build gc && !purego\n\n#include \"textflag.h\"\n")
	for _, f := range functions {
		fmt.Fprintf(stubs, "DATA %s<>+0(SB)/8, $·%s_0(SB)\n", f[1], f[1])
		for i, ok := range m.assembled {
			if ok {
				fmt.Fprintf(stubs, "DATA %s<>+%d(SB)/8, $·%s_%d(SB)\n", f[1], 8*(i+1), f[1], i+1)
			}
		}
		fmt.Fprintf(stubs, "GLOBL %s<>(SB), NOPTR, $%d\n", f[1], 8*(len(chosen)+1))
		fmt.Fprintf(stubs, "%s\n%s", frame.ReplaceAllString(f[0], "$$0"), strings.Replace(call[arch], "table", f[1], 1))
	}
	if _, err := write(source, stubs.String()); err != nil {
		return err
	}
	if _, err := write(filepath.Join(filepath.Dir(source), "mutant_selector.go"), selector); err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	overlayFile := filepath.Join(m.dir, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		return err
	}
	out, err := m.goCommand(ctx, "test", "-c", "-vet=off", "-ldflags=-s", "-overlay", overlayFile, "-o", m.binary(), ".").CombinedOutput()
	if err != nil {
		return fmt.Errorf("the tests do not build: %w: %s", err, out)
	}
	return nil
}

// header makes the go command write go_asm.h, and returns its folder.
func (m *mutator) header(ctx context.Context) (folder string, err error) {
	// The go command keeps it in its work folder, and writes it only if something is new.
	name, err := filepath.Abs("mutant_new.go")
	if err != nil {
		return "", err
	}
	text := filepath.Join(m.dir, "new.go")
	if err := os.WriteFile(text, fmt.Appendf(nil, "package hashslot\n\nconst mutantOf = %d\n", time.Now().UnixNano()), 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{name: text}})
	if err != nil {
		return "", err
	}
	file := filepath.Join(m.dir, "header.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return "", err
	}
	if out, err := m.goCommand(ctx, "build", "-work", "-overlay", file, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("the package does not build: %w: %s", err, out)
	}
	found, err := filepath.Glob(filepath.Join(m.dir, "go-build*", "*", "go_asm.h"))
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no go_asm.h was made: %v", err)
	}
	return filepath.Dir(found[0]), nil
}

func (m *mutator) binary() string { return filepath.Join(m.dir, "mutant.test") }

// testOriginal checks that the tests pass without a mutant. The code that a build adds to
// a Go file can make a test fail, because a function that is no longer inlined allocates.
// Such tests are left out for that build.
func (m *mutator) testOriginal(ctx context.Context) error {
	m.skip = nil
	for {
		outcome, err := m.test(ctx, original)
		if err != nil || outcome == survived {
			return err
		}
		found := failure.FindSubmatch(m.output.Bytes())
		if m.g == nil || found == nil || len(m.skip) == 3 {
			return fmt.Errorf("%s: the tests fail without a mutant: %s\n%s", m.file, outcome, m.output.Bytes())
		}
		m.skip = append(m.skip, string(found[1]))
		fmt.Printf("%s: without %s, which fails without a mutant\n", m.file, found[1])
	}
}

var failure = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)

// test runs the tests with a mutant of the last build, or with the original. An error is
// an error of the tool, not of the mutant.
func (m *mutator) test(ctx context.Context, mutant int) (outcome string, err error) {
	binary := m.binary()
	switch {
	case mutant == original:
	case m.g != nil && m.chosen[mutant].edit.choice == alone:
		binary += ".alone"
		if _, err := m.compile(ctx, m.g.applied(m.chosen[mutant].edit), binary); err != nil {
			return notBuilt, nil
		}
	case m.g == nil && !m.assembled[mutant]:
		return notBuilt, nil
	}
	if mutant == original {
		return m.measure(ctx, binary)
	}
	words, limits := m.run, m.limits
	if len(words) == 0 {
		if words, limits = m.order.words(m.skip); m.brief && len(words) > 1 {
			words = words[:len(words)-1]
		}
	}
	for i, run := range words {
		outcome, err = m.runTests(ctx, binary, mutant, run, limits[i])
		if outcome == outOfTime && m.idle { // once more: the machine may have stood still
			outcome, err = m.runTests(ctx, binary, mutant, run, 2*limits[i])
		}
		if err != nil || outcome != survived {
			break
		}
	}
	if outcome == failed {
		m.order.killed(m.output.Bytes())
	}
	return outcome, err
}

// measure runs the tests with the original, and keeps how long they take.
func (m *mutator) measure(ctx context.Context, binary string) (outcome string, err error) {
	if len(m.run) == 0 {
		outcome, err = m.runTests(ctx, binary, original, ".", time.Hour)
		if err == nil && outcome == survived && m.order.took == nil {
			output := m.output.Bytes()
			if outcome, err = m.runTests(ctx, binary, original, ".", time.Hour, "-test.list", "."); err == nil {
				m.order.took = took(m.output.Bytes(), output)
			}
		}
		return outcome, err
	}
	for i, run := range m.run {
		start := time.Now()
		if outcome, err := m.runTests(ctx, binary, original, run, time.Hour); err != nil || outcome != survived {
			return outcome, err
		}
		if i == len(m.limits) {
			m.limits = append(m.limits, limit(time.Since(start)))
		}
	}
	return survived, nil
}

func (m *mutator) runTests(ctx context.Context, binary string, mutant int, run string, limit time.Duration, flags ...string) (outcome string, err error) {
	inTime, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	args := append(slices.Clone(m.exec), binary, "-test.short", "-test.failfast", "-test.run", run)
	if mutant == original {
		args = append(args, "-test.v") // to see how long each takes
	}
	args = append(args, flags...)
	if len(m.skip) > 0 {
		args = append(args, "-test.skip", "^("+strings.Join(m.skip, "|")+")$")
	}
	cmd := exec.CommandContext(inTime, args[0], args[1:]...)
	endWithParent(cmd)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", variable, mutant+1), "TMPDIR="+m.dir)
	if m.g != nil {
		// Tests that call the go command skip themselves, for what it builds has no mutant.
		cmd.Env = append(cmd.Env, "PATH=")
	}
	cmd.WaitDelay = time.Second
	cmd.Dir = filepath.Dir(m.file)
	m.output = limited{}
	cmd.Stdout, cmd.Stderr = &m.output, &m.output
	err = cmd.Run()
	switch exit := (*exec.ExitError)(nil); {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case inTime.Err() != nil:
		m.idle = cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime() < limit/20
		return outOfTime, nil
	case err == nil && bytes.Contains(m.output.Bytes(), []byte("no tests to run")):
		return "", fmt.Errorf("no tests match %s", run)
	case err == nil:
		return survived, nil
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return failed, nil
	case errors.As(err, &exit):
		return crashed, nil
	default:
		return "", err
	}
}

// limited keeps only the beginning of what is written to it.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	l.Buffer.Write(p[:min(len(p), max(0, outputSize-l.Len()))])
	return len(p), nil
}

// readExplained returns the explanations for one file.
func readExplained(name, file string) (map[string]string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	known := map[string]string{}
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		mutant, why, _ := strings.Cut(line, " // ")
		where, mutant, ok := strings.Cut(mutant, ": ")
		if !ok || why == "" {
			return nil, fmt.Errorf("%s:%d: not of the form \"file: kind: instruction => mutant // why\"", name, i+1)
		}
		if where == filepath.ToSlash(file) || filepath.Ext(file) == ".s" && where == filepath.Base(file) {
			known[mutant] = why
		}
	}
	return known, nil
}
