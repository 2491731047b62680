// Replaced puts hashslot in place of the hash slot code of other projects, and runs
// their own tests before and after:
//
//	go run ./replaced [PROJECT...]
//
// For each project it fetches the module of the version that projects.go names,
// runs the tests in a copy, edits the copy, and runs them again. It prints a table
// in Markdown, and exits with status 1 if a test passed before and fails after, unless
// projects.go gives a reason. It needs the go command and its module proxy. Tests that
// start a server look for it in the folders of HASHSLOT_SERVERS, a list like PATH. If it
// is not set, such tests fail before the edits, too, and do not count.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/build"
	"io/fs"
	"log"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const module = "github.com/hashslot/hashslot"

func main() {
	log.SetFlags(0)
	log.SetPrefix("replaced: ")
	names := os.Args[1:]
	for _, name := range names {
		if !slices.ContainsFunc(projects, func(p project) bool { return p.name == name }) {
			log.Fatalf("there is no project %q", name)
		}
	}
	checkout, err := root()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("| project | lines removed | lines added | passed before | passed after |")
	fmt.Println("|---|---|---|---|---|")
	bad := false
	for _, p := range projects {
		if len(names) > 0 && !slices.Contains(names, p.name) {
			continue
		}
		row, broken, err := p.replace(checkout)
		if err != nil {
			log.Fatalf("%s: %v", p.name, err)
		}
		fmt.Println(row)
		for _, name := range broken {
			bad = true
			log.Printf("%s: %s passed before and fails now", p.name, name)
		}
	}
	if bad {
		os.Exit(1)
	}
}

// root returns the folder of the module.
func root() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	return strings.TrimSpace(string(out)), explain(err)
}

// replace tests a copy of the project before and after its edits. It returns the
// row of the table, and the tests that pass only before, if projects.go gives no reason.
func (p project) replace(checkout string) (row string, broken []string, err error) {
	dir, err := os.MkdirTemp("", "replaced")
	if err != nil {
		return "", nil, err
	}
	defer os.RemoveAll(dir)
	if err := p.fetch(dir); err != nil {
		return "", nil, err
	}
	before, _, err := p.test(dir)
	if err != nil {
		return "", nil, fmt.Errorf("before the edits: %w", err)
	}
	if len(before) < p.fewest {
		return "", nil, fmt.Errorf("before the edits only %d tests pass, and not %d", len(before), p.fewest)
	}
	removed, added := 0, 0
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		old, err := os.ReadFile(path)
		if err != nil {
			return "", nil, err
		}
		edited, minus, plus, err := p.files[name].apply(old)
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", name, err)
		}
		removed, added = removed+minus, added+plus
		if err := os.WriteFile(path, edited, 0o644); err != nil {
			return "", nil, err
		}
	}
	if _, err := run(dir, "go", "mod", "edit", "-require="+module+"@v0.0.0", "-replace="+module+"="+checkout, "-go="+goVersion(checkout)); err != nil {
		return "", nil, err
	}
	if _, err := run(dir, "go", "mod", "tidy", "-e"); err != nil {
		return "", nil, err
	}
	after, printed, err := p.test(dir)
	if err != nil {
		return "", nil, fmt.Errorf("after the edits: %w", err)
	}
	excused := 0
	for _, name := range slices.Sorted(maps.Keys(before)) {
		switch {
		case after[name]:
		case p.policy[name].why != "" && strings.Contains(printed[name], p.policy[name].says):
			excused++
		default:
			broken = append(broken, name)
		}
	}
	row = fmt.Sprintf("| %s %s | %d | %d | %d | %d |", p.name, p.version, removed, added, len(before), len(after))
	if excused > 0 {
		row = strings.TrimSuffix(row, "|") + fmt.Sprintf("and %d of policy |", excused)
	}
	return row, broken, nil
}

// fetch copies the module to dir, where its files can be changed.
func (p project) fetch(dir string) error {
	out, err := run(os.TempDir(), "go", "mod", "download", "-json", p.path+"@"+p.version)
	if err != nil {
		return err
	}
	var got struct{ Dir string }
	if err := json.Unmarshal(out, &got); err != nil {
		return err
	}
	return filepath.WalkDir(got.Dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(got.Dir, file)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(dir, name), 0o755)
		}
		if left, err := path.Match(p.left, filepath.ToSlash(name)); left || err != nil {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), data, 0o644)
	})
}

// test runs the tests and returns the names of those that passed, subtests
// included, and what each test printed. It is an error only if none passes.
func (p project) test(dir string) (passed map[string]bool, printed map[string]string, err error) {
	args := append([]string{"test", "-count=1", "-vet=off", "-json"}, p.tests...)
	out, failed := run(dir, "go", args...)
	passed, printed = map[string]bool{}, map[string]string{}
	var compiler strings.Builder
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var event struct{ Action, Package, Test, Output string }
		err := json.Unmarshal(lines.Bytes(), &event)
		name := strings.TrimPrefix(strings.TrimPrefix(event.Package, p.path), "/") + " " + event.Test
		switch {
		case err != nil:
			return nil, nil, err
		case event.Action == "build-output":
			compiler.WriteString(event.Output)
		case event.Action == "pass" && event.Test != "":
			passed[name] = true
		case event.Action == "output":
			printed[name] += event.Output
		}
	}
	if len(passed) == 0 {
		return nil, nil, errors.Join(errors.New("no test passed"), failed, errors.New(compiler.String()))
	}
	return passed, printed, lines.Err()
}

// run runs a command in dir and returns its output. The error includes what it writes to
// stderr.
func run(dir, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off",
		"PATH="+os.Getenv("PATH")+string(os.PathListSeparator)+os.Getenv("HASHSLOT_SERVERS"))
	out, err := cmd.Output()
	return out, explain(err)
}

func explain(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}

// goVersion returns the Go version that go.mod of the checkout asks for: the go.mod of an
// importer must not ask for an older one.
func goVersion(checkout string) string {
	out, err := run(checkout, "go", "list", "-m", "-f", "{{.GoVersion}}")
	if err != nil {
		return strings.TrimPrefix(build.Default.ReleaseTags[len(build.Default.ReleaseTags)-1], "go")
	}
	return strings.TrimSpace(string(out))
}
