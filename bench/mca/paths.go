package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A path is a part of the kernels that is predicted: a loop, or the code that runs for one
// kind of key from the start of a function to its end.
type path struct {
	tier     string // the kernel it belongs to
	name     string
	function string
	start    string   // a label; "" is the start of the function
	via      []string // the jumps that it takes, in order
	count    int      // the number of keys or bytes for which it runs once
	unit     string   // "key", "64 bytes" or "call"
	recipe   string   // what -measure runs; "" if nothing
}

// parsePaths reads lines of
//
//	tier | name | function or function.label | jumps | 1 key, 8 keys, 1024 bytes, 1 call | recipe
//
// that paths.txt explains.
func parsePaths(text string) (paths []path, err error) {
	seen := map[string]bool{}
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Split(line, "|")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if len(fields) == 5 {
			fields = append(fields, "")
		}
		if len(fields) != 6 {
			return nil, fmt.Errorf("line %d: %d fields, not 5 or 6", i+1, len(fields))
		}
		p := path{tier: fields[0], name: fields[1], recipe: fields[5]}
		if p.via, err = parseVia(fields[3]); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		p.function, p.start, _ = strings.Cut(fields[2], ".")
		count, unit, _ := strings.Cut(fields[4], " ")
		if p.count, err = strconv.Atoi(count); err != nil || p.count < 1 {
			return nil, fmt.Errorf("line %d: %q is not a number of keys or bytes", i+1, fields[4])
		}
		switch unit {
		case "key", "keys":
			p.unit = "key"
		case "bytes":
			p.unit = "64 bytes"
		case "call":
			p.unit = unitCall
		default:
			return nil, fmt.Errorf("line %d: %q is not a number of keys or bytes", i+1, fields[4])
		}
		if tiers[p.tier].arch == "" {
			return nil, fmt.Errorf("line %d: there is no kernel %q", i+1, p.tier)
		}
		if p.recipe != "" {
			if _, _, err := parseRecipe(p.recipe); err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
		}
		if seen[p.id()] {
			return nil, fmt.Errorf("line %d: %s is there twice", i+1, p.id())
		}
		seen[p.id()] = true
		paths = append(paths, p)
	}
	return paths, nil
}

// unitCall is the unit of whole calls, which compare with those of a peer.
const unitCall = "call"

// parseVia reads a list of jumps, and repeats those with *n.
func parseVia(text string) (via []string, err error) {
	via = []string{}
	for _, jump := range strings.Fields(text) {
		jump, times, more := strings.Cut(jump, "*")
		n := 1
		if more {
			if n, err = strconv.Atoi(times); err != nil || n < 1 {
				return nil, fmt.Errorf("%q is not a number of jumps", times)
			}
		}
		via = append(via, slices.Repeat([]string{jump}, n)...)
	}
	return via, nil
}

// chance returns the jump without #n, and n.
func chance(jump string) (string, int) {
	jump, nth, _ := strings.Cut(jump, "#")
	n, _ := strconv.Atoi(nth)
	return jump, max(n, 1)
}

func (p path) id() string { return p.tier + ": " + p.name }

// per returns cycles of the whole path as cycles per key or per 64 bytes.
func (p path) per(cycles float64) float64 {
	if p.unit == "64 bytes" {
		return cycles * 64 / float64(p.count)
	}
	return cycles / float64(p.count)
}

// maxPath is the greatest number of instructions of a path. A longer path is in an endless
// loop, because no label leads out of it.
const maxPath = 20_000

// A place is an instruction of a function.
type place struct {
	function *function
	at       int
}

// walk returns the instructions of a path. A conditional jump is taken only if it is the
// next one of via: if it goes to that label, or is in that line of Go. Unconditional jumps and calls are followed, also into other assembly
// functions. A loop, whose via ends with the label of its start, ends there. Any other path
// ends where the function returns or goes to Go code.
func (p path) walk(functions map[string]*function) ([]instruction, error) {
	f := functions[p.function]
	if f == nil {
		return nil, fmt.Errorf("%s: there is no function %s", p.id(), p.function)
	}
	start, ok := f.labels[p.start]
	if p.start != "" && !ok {
		return nil, fmt.Errorf("%s: function %s has no label %s", p.id(), p.function, p.start)
	}
	var (
		code   []instruction
		passed []string // labels of jumps not taken, for the error
		stack  []place  // where calls return to
		via    = p.via
		seen   int // how often via[0] could have been taken
		at     = start
	)
	for len(code) < maxPath {
		if at >= len(f.code) {
			return nil, fmt.Errorf("%s: the path runs past the end of %s", p.id(), f.name)
		}
		in := f.code[at]
		code = append(code, in)
		jump, always := isJump(in.name)
		at++
		switch n := len(stack); {
		case in.name == "RET" && n > 0:
			f, at = stack[n-1].function, stack[n-1].at
			stack = stack[:n-1]
			continue
		case in.name == "RET":
			return code, p.check(via, passed)
		case in.name == "CALL" && functions[in.tail] != nil:
			code = code[:len(code)-1] // llvm-mca assumes 100 cycles for any call
			stack = append(stack, place{f, at})
			f, at = functions[in.tail], 0
			continue
		case !jump:
			continue
		}
		target := in.next
		if target < 0 && functions[in.tail] != nil {
			f, at = functions[in.tail], 0
			continue
		}
		if len(via) > 0 {
			// A jump through a register may go to a label of another function.
			if name, label, ok := strings.Cut(via[0], "."); ok && target < 0 && in.tail == "" && functions[name] != nil {
				next, ok := functions[name].labels[label]
				if label != "" && !ok {
					return nil, fmt.Errorf("%s: function %s has no label %s", p.id(), name, label)
				}
				f, at, via = functions[name], next, via[1:]
				continue
			}
			jump, nth := chance(via[0])
			next, ok := f.labels[jump]
			if ok = ok && (target < 0 && in.tail == "" || target == next); !ok && !always && jump[0] == ':' {
				next, ok = target, target >= 0 && strings.HasSuffix(in.where, jump)
			}
			if ok {
				seen++
			}
			if ok && seen == nth {
				target, always = next, true
				via, seen = via[1:], 0
				if len(via) == 0 && f.name == p.function && p.start != "" && target == start {
					return code, nil
				}
			}
		}
		switch {
		case !always:
			passed = append(passed, f.labelsAt(in.next)...)
		case target < 0: // Go code
			return code, p.check(via, passed)
		default:
			at = target
		}
	}
	return nil, fmt.Errorf("%s: more than %d instructions", p.id(), maxPath)
}

func (f *function) labelsAt(at int) (labels []string) {
	for label, i := range f.labels {
		if i == at {
			labels = append(labels, label)
		}
	}
	slices.Sort(labels)
	return labels
}

// check returns an error if the path has ended without a jump to each label of
// via.
func (p path) check(via, passed []string) error {
	if len(via) == 0 {
		return nil
	}
	return fmt.Errorf("%s: the path does not jump to %s; jumps it did not take: %s", p.id(), via[0], strings.Join(passed, " "))
}
