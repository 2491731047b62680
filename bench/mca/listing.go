package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A function is a function of assembly, or of Go, as it was built.
type function struct {
	name   string
	code   []instruction
	labels map[string]int // the place in code of each label of the source
}

type instruction struct {
	pc    int
	text  string // as the Go assembler lists it
	name  string // its first word
	where string // file and line of the source
	bytes []byte
	next  int    // the place in code that it jumps to, or -1
	tail  string // the other function that it jumps to or calls, if any
}

var (
	listingText  = regexp.MustCompile(`^(\S.*?) (S[A-Z]{3,}) `)
	listingLine  = regexp.MustCompile(`^\t0x[0-9a-f]+ (\d+) \((.*):(\d+)\)\t(\S+)\s*(.*)$`)
	listingBytes = regexp.MustCompile(`^\t0x([0-9a-f]+)((?: [0-9a-f]{2}){1,16})(?:  |$)`)
)

// build builds the package in dir for an architecture, and returns the functions of its
// assembly, and all functions of the other packages, which it imports.
func build(dir, arch string, others ...string) (map[string]*function, error) {
	args := []string{"build", "-asmflags=-S"}
	if others != nil {
		args = append(args, "-gcflags=-S")
	}
	for _, other := range others {
		args = append(args, "-asmflags="+other+"=-S", "-gcflags="+other+"=-S")
	}
	cmd := exec.Command("go", append(args, ".")...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOARCH="+arch, "GOOS=linux", "CGO_ENABLED=0", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go build: %w: %s", err, out)
	}
	return parseListing(string(out))
}

// parseListing reads the assembler's listing: for each function its instructions, with
// macros expanded, and then their bytes.
func parseListing(listing string) (map[string]*function, error) {
	functions := map[string]*function{}
	var (
		f     *function
		bytes []byte
		lines map[string][]int // for each line of the source, its instructions
		pads  map[int]int      // for an instruction with padding behind it, where that begins
		err   error
	)
	sources := map[string]*source{}
	finish := func() {
		if f == nil || err != nil {
			return
		}
		for i := range f.code {
			end := len(bytes)
			if i+1 < len(f.code) {
				end = f.code[i+1].pc
			}
			// Padding runs, unless it is behind a jump.
			if _, always := isJump(f.code[i].name); always && pads[i] > 0 {
				end = pads[i]
			}
			if f.code[i].pc > end || end > len(bytes) {
				err = fmt.Errorf("%s: the listing has no bytes for %s", f.name, f.code[i].where)
				return
			}
			f.code[i].bytes = bytes[f.code[i].pc:end]
		}
		// After its last instruction a function is padded with zeros.
		if n := len(f.code); n > 0 {
			f.code[n-1].bytes = trimZeros(f.code[n-1].bytes)
		}
		err = f.findTargets()
		if err == nil {
			err = f.findLabels(lines, sources)
		}
		functions[f.name] = f
	}
	for line := range strings.Lines(listing) {
		line = strings.TrimRight(line, "\n")
		if m := listingText.FindStringSubmatch(line); m != nil {
			finish()
			if f = nil; m[2] != "STEXT" {
				continue
			}
			f, bytes, lines, pads = &function{name: symbol(m[1])}, nil, map[string][]int{}, map[int]int{}
		} else if f == nil {
			continue
		} else if m := listingLine.FindStringSubmatch(line); m != nil {
			switch m[4] {
			case "TEXT", "FUNCDATA", "PCDATA", "NOP":
				continue
			}
			pc, _ := strconv.Atoi(m[1])
			if m[4] == "PCALIGN" {
				pads[len(f.code)-1] = pc
				continue
			}
			where := m[2] + ":" + m[3]
			lines[where] = append(lines[where], len(f.code))
			f.code = append(f.code, instruction{pc: pc, name: m[4], text: m[4] + "\t" + m[5], where: where, next: -1})
		} else if m := listingBytes.FindStringSubmatch(line); m != nil {
			if at, _ := strconv.ParseInt(m[1], 16, 64); int(at) != len(bytes) {
				return nil, fmt.Errorf("%s: bytes at %#x follow those at %#x", f.name, at, len(bytes))
			}
			for hex := range strings.FieldsSeq(m[2]) {
				b, _ := strconv.ParseUint(hex, 16, 8)
				bytes = append(bytes, byte(b))
			}
		}
	}
	finish()
	if err == nil && len(functions) == 0 {
		err = fmt.Errorf("no assembly in the listing")
	}
	return functions, err
}

// symbol is the name of a function without its package.
func symbol(name string) string {
	name = name[strings.LastIndexAny(name, "/·")+1:]
	if _, after, ok := strings.Cut(name, "."); ok {
		return after
	}
	return name
}

func trimZeros(b []byte) []byte {
	for len(b) > 4 && string(b[len(b)-4:]) == "\x00\x00\x00\x00" {
		b = b[:len(b)-4]
	}
	return b
}

// isJump reports whether an instruction is a jump, and whether it always jumps.
func isJump(name string) (jump, always bool) {
	switch {
	case name == "JMP" || name == "B":
		return true, true
	case name[0] == 'J', strings.HasPrefix(name, "CBZ"), strings.HasPrefix(name, "CBNZ"), name == "TBZ", name == "TBNZ":
		return true, false
	}
	return slices.Contains(strings.Fields("BEQ BNE BCS BHS BCC BLO BMI BPL BVS BVC BHI BLS BGE BLT BGT BLE"), name), false
}

func (f *function) findTargets() error {
	for i := range f.code {
		in := &f.code[i]
		if jump, _ := isJump(in.name); !jump && in.name != "CALL" {
			continue
		}
		_, operands, _ := strings.Cut(in.text, "\t")
		target := strings.TrimSpace(operands[strings.LastIndex(operands, ",")+1:])
		if pc, err := strconv.Atoi(target); err == nil {
			in.next = slices.IndexFunc(f.code, func(in instruction) bool { return in.pc >= pc }) // what is there may be no instruction
			if in.next < 0 {
				return fmt.Errorf("%s: %s: no instruction at %d", in.where, in.text, pc)
			}
		} else if name, ok := strings.CutSuffix(target, "(SB)"); ok {
			in.tail = symbol(name)
		}
	}
	return nil
}

// findLabels finds the labels, which only the source has. In Go code there is one, loop:
// where the first loop begins.
func (f *function) findLabels(lines map[string][]int, sources map[string]*source) error {
	f.labels = map[string]int{}
	for where, became := range lines {
		colon := strings.LastIndexByte(where, ':')
		file := where[:colon]
		number, _ := strconv.Atoi(where[colon+1:])
		if !strings.HasSuffix(file, ".s") {
			continue
		}
		if sources[file] == nil {
			s, err := readSource(file)
			if err != nil {
				return err
			}
			sources[file] = s
		}
		statements, err := sources[file].statements(number)
		if err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		n := 0 // instructions before the label
		for _, s := range statements {
			label, isLabel := strings.CutSuffix(s, ":")
			if !isLabel {
				n++
				continue
			}
			switch count := len(statements) - labelsIn(statements); {
			case n == 0:
				f.labels[label] = became[0]
			case n == count:
				f.labels[label] = became[len(became)-1] + 1
			case count == len(became):
				f.labels[label] = became[n]
			}
		}
	}
	for i := range f.code {
		in := &f.code[i]
		// A jump to the start of the function runs it again with a larger stack.
		if _, has := f.labels["loop"]; !has && 0 < in.next && in.next <= i && !strings.Contains(in.where, ".s:") {
			f.labels["loop"] = in.next
		}
	}
	// A label that is alone in its line belongs to the next instruction.
	for _, s := range sources {
		for label, number := range s.alone(f.name) {
			first := -1
			for i, in := range f.code {
				colon := strings.LastIndexByte(in.where, ':')
				n, _ := strconv.Atoi(in.where[colon+1:])
				if in.where[:colon] == s.file && n > number && first < 0 {
					first = i
				}
			}
			if first >= 0 {
				f.labels[label] = first
			}
		}
	}
	return nil
}

func labelsIn(statements []string) (n int) {
	for _, s := range statements {
		if strings.HasSuffix(s, ":") {
			n++
		}
	}
	return n
}

// A source is a file of assembly with its macros.
type source struct {
	file   string
	lines  []string
	macros map[string]macro
}

type macro struct {
	parameters []string
	body       string
}

var (
	define  = regexp.MustCompile(`^#define\s+(\w+)(\(([^)]*)\))?\s?(.*)$`)
	include = regexp.MustCompile(`^#include\s+"(.*)"`)
	word    = regexp.MustCompile(`\w+`)
	call    = regexp.MustCompile(`^(\w+)\s*(?:\((.*)\))?$`)
	label   = regexp.MustCompile(`^(\w+):(.*)$`)
)

func readSource(file string) (*source, error) {
	s := &source{file: file, macros: map[string]macro{}}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s.lines = strings.Split(string(text), "\n")
	return s, s.readMacros(s.lines)
}

func (s *source) readMacros(lines []string) error {
	for i := 0; i < len(lines); i++ {
		line := uncomment(lines[i])
		for strings.HasSuffix(line, `\`) && i+1 < len(lines) {
			i++
			line = strings.TrimSuffix(line, `\`) + "\n" + uncomment(lines[i])
		}
		first, rest, _ := strings.Cut(line, "\n")
		if m := define.FindStringSubmatch(first); m != nil {
			var parameters []string
			if m[2] != "" {
				parameters = split(m[3])
			}
			s.macros[m[1]] = macro{parameters, m[4] + "\n" + rest}
		} else if m := include.FindStringSubmatch(first); m != nil {
			// Only headers in the same folder can have our labels.
			if text, err := os.ReadFile(filepath.Join(filepath.Dir(s.file), m[1])); err == nil {
				if err := s.readMacros(strings.Split(string(text), "\n")); err != nil {
					return err
				}
			}
		} else if strings.HasPrefix(first, "#if") {
			return fmt.Errorf("%s: %s is not understood", s.file, first)
		}
	}
	return nil
}

func uncomment(line string) string {
	if i := strings.Index(line, "//"); i >= 0 {
		line = line[:i]
	}
	return strings.TrimRight(line, " \t")
}

// statements returns the statements of a line of the source after macro expansion:
// instructions, and labels with their colon.
func (s *source) statements(number int) ([]string, error) {
	if number < 1 || number > len(s.lines) {
		return nil, fmt.Errorf("there is no such line")
	}
	return s.expand(uncomment(s.lines[number-1]), 0)
}

func (s *source) expand(text string, depth int) (statements []string, err error) {
	if depth > 20 {
		return nil, fmt.Errorf("macros without end: %s", text)
	}
	for statement := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ';' || r == '\n' }) {
		statement = strings.TrimSpace(statement)
		for {
			m := label.FindStringSubmatch(statement)
			if m == nil {
				break
			}
			statements = append(statements, m[1]+":")
			statement = strings.TrimSpace(m[2])
		}
		if statement == "" || strings.HasPrefix(statement, "PCALIGN") || strings.HasPrefix(statement, "TEXT") {
			continue
		}
		m := call.FindStringSubmatch(statement)
		if m == nil || s.macros[m[1]].body == "" {
			statements = append(statements, statement)
			continue
		}
		body, err := s.macros[m[1]].with(split(m[2]))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m[1], err)
		}
		inner, err := s.expand(body, depth+1)
		if err != nil {
			return nil, err
		}
		statements = append(statements, inner...)
	}
	return statements, nil
}

// with returns the macro's body with arguments in place of its parameters.
func (m macro) with(arguments []string) (string, error) {
	if len(m.parameters) != len(arguments) {
		return "", fmt.Errorf("%d arguments for %d parameters", len(arguments), len(m.parameters))
	}
	return word.ReplaceAllStringFunc(m.body, func(w string) string {
		if i := slices.Index(m.parameters, w); i >= 0 {
			return arguments[i]
		}
		return w
	}), nil
}

// split splits a list at the commas that are not inside brackets.
func split(list string) (items []string) {
	depth, start := 0, 0
	for i, c := range list {
		switch c {
		case '(', '[':
			depth++
		case ')', ']':
			depth--
		case ',':
			if depth == 0 {
				items = append(items, strings.TrimSpace(list[start:i]))
				start = i + 1
			}
		}
	}
	if last := strings.TrimSpace(list[start:]); last != "" || items != nil {
		items = append(items, last)
	}
	return items
}

var text = regexp.MustCompile(`^TEXT\s+·?(\w+)(?:<>)?\(SB\)`)

// alone returns the labels of a function that are alone in their line, and the numbers of
// these lines.
func (s *source) alone(function string) map[string]int {
	labels := map[string]int{}
	inside := false
	for i, line := range s.lines {
		if m := text.FindStringSubmatch(line); m != nil {
			inside = m[1] == function
		}
		if m := label.FindStringSubmatch(strings.TrimSpace(uncomment(line))); m != nil && inside && m[2] == "" {
			labels[m[1]] = i + 1
		}
	}
	return labels
}
