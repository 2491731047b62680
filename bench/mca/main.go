// Mca predicts the cost of the kernels on CPUs that are not at hand. It takes loops and
// straight paths from the built assembly, and LLVM's llvm-mca counts their cycles by its
// models of CPUs:
//
//	go run .                  # writes ../results/mca.md
//	go run . -check           # fails if the file is not what go run . would write
//	go run . -show of         # a function with its labels, for paths.txt
//	go run . -path 'one key'  # the instructions of the paths with that in their name
//	go run . -llvm 'one key'  # the same as llvm-mca reads them, to look closer with it
//	go run . -measure         # measures the same paths on this CPU, for measured.txt
//
// paths.txt lists the paths. Predictions do not depend on the machine or its load, but they
// depend on the version of LLVM: if it is not the version that made the table, -check
// prints the differences and does not fail. Whole calls depend on the Go compiler as
// well: by another version they are not compared.
//
// It must run in its own folder, and needs llvm-mca and llvm-mc of the same version
// (Debian: package llvm-22).
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

var (
	//go:embed paths.txt
	pathsText string
	//go:embed measured.txt
	measuredText string
)

const tableFile = "../results/mca.md"

func main() {
	check := flag.Bool("check", false, "compare with the committed table and write nothing")
	show := flag.String("show", "", "print this function of assembly with its labels")
	arch := flag.String("arch", "amd64", "the architecture of -show")
	showPath := flag.String("path", "", "print the instructions of the paths whose names contain this")
	showLLVM := flag.String("llvm", "", "print the instructions of the paths whose names contain this, as llvm-mca reads them")
	measure := flag.Bool("measure", false, "measure on this CPU, and print lines for measured.txt")
	flag.Parse()
	err := func() error {
		paths, err := parsePaths(pathsText)
		if err != nil {
			return fmt.Errorf("paths.txt: %w", err)
		}
		if *measure {
			return measureAll(os.Stdout, paths)
		}
		functions := map[string]map[string]*function{}
		for _, arch := range archs {
			if functions[arch], err = buildAll(arch); err != nil {
				return err
			}
		}
		switch {
		case *show != "":
			return showFunction(functions[*arch], *show)
		case *showPath != "":
			return showPaths(functions, paths, *showPath, nil)
		case *showLLVM != "":
			l, err := findLLVM("")
			if err != nil {
				return err
			}
			return showPaths(functions, paths, *showLLVM, l)
		default:
			return predict(functions, paths, *check)
		}
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mca:", err)
		os.Exit(1)
	}
}

// buildAll builds the kernels, and on amd64 what paths of whole calls take.
func buildAll(arch string) (map[string]*function, error) {
	if arch != "amd64" {
		return build("../..", arch)
	}
	return build("peer", arch, "github.com/hashslot/hashslot", "github.com/zeebo/xxh3")
}

func showFunction(functions map[string]*function, name string) error {
	f := functions[name]
	if f == nil {
		return fmt.Errorf("there is no function %s", name)
	}
	for i, in := range f.code {
		for _, label := range f.labelsAt(i) {
			fmt.Println(label + ":")
		}
		show(f, in)
	}
	return nil
}

func show(f *function, in instruction) {
	fmt.Printf("\t%-50s", in.text)
	if in.next >= 0 && f != nil {
		fmt.Print(" to ", strings.Join(f.labelsAt(in.next), ", "))
	}
	fmt.Println()
}

func showPaths(functions map[string]map[string]*function, paths []path, name string, l *llvm) error {
	for _, p := range paths {
		if !strings.Contains(p.id(), name) {
			continue
		}
		code, err := p.walk(functions[tiers[p.tier].arch])
		if err != nil {
			return err
		}
		if l != nil {
			text, err := l.disassemble(tiers[p.tier].arch, code)
			if err != nil {
				return err
			}
			fmt.Printf("# LLVM-MCA-BEGIN %s\n%s# LLVM-MCA-END\n", p.id(), text)
			continue
		}
		fmt.Printf("%s: %d instructions\n", p.id(), len(code))
		for _, in := range code {
			show(nil, in)
		}
	}
	return nil
}

func predict(functions map[string]map[string]*function, paths []path, check bool) error {
	measured, err := parseMeasured(measuredText)
	if err != nil {
		return fmt.Errorf("measured.txt: %w", err)
	}
	var committed *table
	text, err := os.ReadFile(tableFile)
	if err == nil {
		committed, err = parseTable(string(text))
	}
	if check && err != nil {
		return fmt.Errorf("%s: %w", tableFile, err)
	}
	want := ""
	if committed != nil {
		want = committed.version
	}
	l, err := findLLVM(want)
	if err != nil {
		return err
	}
	if check && committed.compiler != runtime.Version() {
		fmt.Printf("whole calls are not compared: those of %s are of %s, and this is %s\n", tableFile, committed.compiler, runtime.Version())
		paths = slices.DeleteFunc(paths, func(p path) bool { return p.unit == unitCall })
	}
	t, err := l.predictAll(paths, functions)
	if err != nil {
		return err
	}
	if !check {
		result, err := os.ReadFile(zen4File)
		if err != nil {
			return err
		}
		if t.reached, err = reached(result); err != nil {
			return fmt.Errorf("%s: %w", zen4File, err)
		}
		return os.WriteFile(tableFile, []byte(t.markdown(measured)), 0o644)
	}
	return report(t, committed, measured)
}

// report prints the calibration and the differences from the committed table. It fails if
// a prediction of the same version of LLVM differs.
func report(t, committed *table, measured []measurement) error {
	fmt.Printf("predictions of %d paths by LLVM %s, not measurements; measured beside predicted:\n\n%s\n",
		len(t.rows), t.version, t.calibration(measured))
	worse, other := t.compare(committed)
	for _, s := range other {
		fmt.Println("changed:", s)
	}
	for _, s := range worse {
		fmt.Println("WORSE:", s)
	}
	switch {
	case len(worse)+len(other) == 0:
		return nil
	case t.version != committed.version:
		fmt.Printf("%s is by LLVM %s, so that nothing fails\n", tableFile, committed.version)
		return nil
	default:
		return fmt.Errorf("%d predictions differ from %s, %d of them are worse; if that is intended, run go run . and commit the file too", len(worse)+len(other), tableFile, len(worse))
	}
}
