// Mutate tells whether the tests would notice a mistake in the assembly. It
// makes one small change to a .s file at a time, runs the fast proofs of the
// package over the result, and lists the changes that they let pass:
//
//	go run ./internal/mutate -file crc16_amd64.s -n 50 -seed 1
//	GOARCH=arm64 go run ./internal/mutate -file long_arm64.s -n 0 -exec 'qemu-aarch64 -cpu max'
//
// A change, a mutant, is one of
//
//	drop      the instruction is left out
//	condition a conditional jump or move takes the opposite condition, or a
//	          neighbouring one: "above" becomes "above or equal"
//	constant  an immediate value or a displacement is one more, or a constant
//	          of 64 bits has one bit flipped
//	register  the first two operands change places
//
// The sources stay as they are: the go command is given the mutant as an
// overlay. A mutant that does not assemble, fails a test, crashes or runs into
// the time limit is killed. One that passes either shows a missing test or
// makes no difference. The latter are explained in a file of lines
//
//	file: kind: instruction => mutant // why it makes no difference
//
// where instruction stands for all places with that text. A survivor that is
// not explained there makes the exit status 1, and so does an explanation of a
// mutant that was killed wherever it was tried, or does not exist.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
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
	var m mutator
	flag.StringVar(&m.file, "file", "", "the assembly to mutate, a .s file of the package in the current directory")
	n := flag.Int("n", 50, "how many mutants to try, chosen at random; 0 for all")
	seed := flag.Uint64("seed", 1, "the seed of that choice")
	part := flag.String("part", "1/1", "try only the i-th of k parts of what was chosen, as i/k")
	run := flag.String("run", fastProofs, "the tests to run, each word as go test -run")
	flag.DurationVar(&m.timeout, "timeout", 90*time.Second, "the time limit of a mutant's tests")
	match := flag.String("match", "", "try only mutants whose description, as printed, has a match of this regular expression")
	execute := flag.String("exec", "", "a command to run the tests with, as go test -exec")
	explained := flag.String("explained", "internal/mutate/explained.txt", "the explanations of survivors")
	list := flag.Bool("list", false, "only list the mutants")
	flag.Parse()
	m.exec, m.run = strings.Fields(*execute), strings.Fields(*run)
	if err := m.main(*n, *seed, *part, *match, *explained, *list); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// fastProofs are tests that together see every kernel at every length, and
// take seconds. The first word is what kills most mutants at once.
const fastProofs = "^(TestServersSlots|TestNilAndEmptyKeys|TestBatchHeadersBetweenGuards|TestLongBuffers|TestUpdateSplitAnywhere)$ " +
	"^(TestBatchLengths|TestEveryLengthAndAlignmentBetweenGuards|TestEveryPlaceInAPage|TestSingleBits|TestLaneMixes|" +
	"TestTagAtEveryPosition|TestBracesInEveryLane|TestAllShortStringsOverBraces|TestSingleBitsOfLongBuffers)$"

type mutator struct {
	file      string
	run, exec []string
	timeout   time.Duration

	lines []string // the original
	dir   string   // for what is temporary
}

func (m *mutator) main(n int, seed uint64, part, match, explained string, list bool) error {
	matching, err := regexp.Compile(match)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(m.file)
	if err != nil {
		return err
	}
	m.lines = strings.Split(string(text), "\n")
	all := mutants(m.lines)
	chosen, err := choose(all, n, seed, part)
	if err != nil {
		return err
	}
	chosen = slices.DeleteFunc(chosen, func(mu mutant) bool { return !matching.MatchString(mu.String()) })
	if list {
		for _, mu := range chosen {
			fmt.Println(m.place(mu), mu)
		}
		return nil
	}
	known, err := readExplained(explained, m.file)
	if err != nil {
		return err
	}
	if m.dir, err = os.MkdirTemp("", "mutate"); err != nil {
		return err
	}
	defer os.RemoveAll(m.dir)

	// Tests that fail anyway would kill every mutant.
	if outcome, err := m.test(m.lines); err != nil {
		return err
	} else if outcome != survived {
		return fmt.Errorf("%s: the tests fail without a mutant: %s", m.file, outcome)
	}
	counts := map[string]int{}
	wrong := 0
	tried := map[string]bool{}
	for _, mu := range chosen {
		outcome, err := m.test(mu.apply(m.lines))
		if err != nil {
			return err
		}
		counts[outcome]++
		tried[mu.String()] = tried[mu.String()] || outcome == survived
		switch {
		case outcome == survived && known[mu.String()] == "":
			wrong++
			fmt.Println(m.place(mu), "SURVIVED", mu)
		case outcome == survived:
			fmt.Println(m.place(mu), "survived", mu, "//", known[mu.String()])
		default:
			fmt.Println(m.place(mu), outcome, mu)
		}
	}
	exists := map[string]bool{}
	for _, mu := range all {
		exists[mu.String()] = true
	}
	for s := range known {
		if !exists[s] {
			wrong++
			fmt.Printf("%s: explained, but no mutant: %s\n", m.file, s)
		}
		if survivor, ok := tried[s]; ok && !survivor {
			wrong++
			fmt.Printf("%s: explained, but killed: %s\n", m.file, s)
		}
	}
	fmt.Printf("%s: %d of %d mutants: %v\n", m.file, len(chosen), len(all), counts)
	if wrong != 0 {
		return fmt.Errorf("%d to look at", wrong)
	}
	return nil
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

// test runs the tests over the mutant. Its error is one of the tool, not of
// the mutant.
func (m *mutator) test(lines []string) (outcome string, err error) {
	source, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	mutated := filepath.Join(m.dir, "mutant.s")
	if err := os.WriteFile(mutated, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{source: mutated}})
	if err != nil {
		return "", err
	}
	overlayFile := filepath.Join(m.dir, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		return "", err
	}
	binary := filepath.Join(m.dir, "mutant.test")
	out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlayFile, "-o", binary, ".").CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		if slices.Equal(lines, m.lines) {
			return "", fmt.Errorf("the tests do not build: %s", out)
		}
		return notBuilt, nil
	} else if err != nil {
		return "", err
	}

	ctx, cancel := context.WithTimeout(context.Background(), m.timeout)
	defer cancel()
	for _, run := range m.run {
		if outcome, err := m.runTests(ctx, binary, run); err != nil || outcome != survived {
			return outcome, err
		}
	}
	return survived, nil
}

func (m *mutator) runTests(ctx context.Context, binary, run string) (outcome string, err error) {
	args := append(slices.Clone(m.exec), binary, "-test.short", "-test.failfast", "-test.run", run)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = time.Second
	var output limited
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Run()
	switch exit := (*exec.ExitError)(nil); {
	case ctx.Err() != nil:
		return outOfTime, nil
	case err == nil && bytes.Contains(output.Bytes(), []byte("no tests to run")):
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

// limited keeps the beginning of what is written to it.
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
		if where == filepath.Base(file) {
			known[mutant] = why
		}
	}
	return known, nil
}
