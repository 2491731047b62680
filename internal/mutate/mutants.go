package main

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
)

// A mutant is a change of one line of assembly, or of a piece of Go.
type mutant struct {
	line     int
	kind     string
	old, new string // the instruction, without comment, the new one "" if it is dropped; of Go, the function and its piece
	edit     edit   // of Go
}

func (mu mutant) String() string {
	return fmt.Sprintf("%s: %s => %s", mu.kind, plain(mu.old), plain(mu.new))
}

// plain returns an instruction with single spaces.
func plain(s string) string {
	if s = strings.Join(strings.Fields(s), " "); s != "" {
		return s
	}
	return "nothing"
}

func (mu mutant) apply(lines []string) []string {
	mutated := append([]string(nil), lines...)
	mutated[mu.line] = strings.Replace(lines[mu.line], mu.old, mu.new, 1)
	return mutated
}

var (
	comment     = regexp.MustCompile(`\s*//.*$`)
	label       = regexp.MustCompile(`^\w+:$`)
	constant    = regexp.MustCompile(`^#define\s+\w+\s+\$?(0x[0-9a-fA-F]+)$`)
	data        = regexp.MustCompile(`^DATA\s.*,\s*\$(0x[0-9a-fA-F]+)$`)
	decimal     = regexp.MustCompile(`^DATA\s.*,\s*(\$-?[0-9]+)$`)
	instruction = regexp.MustCompile(`^\s+([A-Za-z][\w.]*)(\s.*)?$`)
	macroCall   = regexp.MustCompile(`^\s+\w+\(.*\)$`)
	number      = regexp.MustCompile(`\$-?(0x[0-9a-fA-F]+|[0-9]+)|-?\b(0x[0-9a-fA-F]+|[0-9]+)\)?\(`)
	pseudo      = regexp.MustCompile(`^(PCALIGN|NOP|FUNCDATA|PCDATA|NO_LOCAL_POINTERS|VZEROUPPER)$`)
)

// mutants returns all mutants of a file, in order. They depend only on its text.
func mutants(lines []string) []mutant {
	var all []mutant
	for i, line := range lines {
		add := func(kind, old, new string) {
			if plain(old) != plain(new) && strings.Contains(line, old) {
				all = append(all, mutant{line: i, kind: kind, old: old, new: new})
			}
		}
		text := strings.TrimRight(comment.ReplaceAllString(line, ""), " \t\\;")
		if m := constant.FindStringSubmatch(text); m != nil {
			add("constant", text, strings.Replace(text, m[1], flip(m[1], text), 1))
			continue
		}
		if m := data.FindStringSubmatch(text); m != nil {
			add("constant", text, strings.Replace(text, m[1], flip(m[1], text), 1))
			continue
		}
		if m := decimal.FindStringSubmatch(text); m != nil {
			add("constant", text, strings.TrimSuffix(text, m[1])+increment(m[1]))
			continue
		}
		code := strings.TrimLeft(text, " \t")
		if macroCall.MatchString(text) {
			add("drop", code, "")
			continue
		}
		m := instruction.FindStringSubmatch(text)
		if m == nil || label.MatchString(code) || pseudo.MatchString(m[1]) {
			continue
		}
		add("drop", code, "")
		for _, opposite := range conditions(code) {
			add("condition", code, opposite)
		}
		for _, at := range number.FindAllStringIndex(code, -1) {
			add("constant", code, code[:at[0]]+increment(code[at[0]:at[1]])+code[at[1]:])
		}
		if swapped := swap(code); swapped != "" {
			add("register", code, swapped)
		}
	}
	return all
}

// flip flips one bit of a constant: which, depends on the text of its line. In a vector of
// indexes, whose bytes are below 16, or 0x80 for no index, it flips a bit that has a
// meaning: the high bit if it is set, or else one of the four lowest.
func flip(hex, text string) string {
	v, err := strconv.ParseUint(hex[2:], 16, 64)
	if err != nil {
		return hex // longer than 64 bits
	}
	digits := len(hex) - 2
	hash := fnv.New32a()
	hash.Write([]byte(plain(text)))
	bit := int(hash.Sum32() % uint32(4*digits))
	indexes := true
	for b := v; b != 0; b >>= 8 {
		indexes = indexes && (b&0xff < 16 || b&0xff == 0x80)
	}
	switch {
	case indexes && v>>(bit|7)&1 != 0:
		bit |= 7
	case indexes:
		bit &^= 4
	}
	return fmt.Sprintf("0x%0*x", digits, v^1<<bit)
}

// increment adds one to "$12", "$-0x10", "-8(" or "8)(".
func increment(s string) string {
	prefix, digits, suffix := "", s, ""
	if strings.HasPrefix(digits, "$") {
		prefix, digits = "$", digits[1:]
	}
	if i := strings.IndexAny(digits, ")("); i >= 0 {
		digits, suffix = digits[:i], digits[i:]
	}
	if v, err := strconv.ParseInt(digits, 0, 64); err == nil {
		return fmt.Sprintf("%s%d%s", prefix, v+1, suffix)
	}
	v, err := strconv.ParseUint(digits, 0, 64)
	if err != nil {
		return s
	}
	return fmt.Sprintf("%s%#x%s", prefix, v+1, suffix)
}

// The conditions of amd64, as the ends of Jxx, CMOVxxx and SETxx, and of arm64:
// each with its opposite and a neighbour.
var (
	amd64Conditions = map[string][2]string{
		"EQ": {"NE", ""}, "NE": {"EQ", ""}, "Z": {"NZ", ""}, "NZ": {"Z", ""},
		"HI": {"LS", "CC"}, "LS": {"HI", "CS"}, "CC": {"CS", "HI"}, "CS": {"CC", "LS"},
		"AE": {"B", "HI"}, "B": {"AE", "LS"}, "A": {"BE", "AE"}, "BE": {"A", "B"},
		"HS": {"CS", "HI"}, "LO": {"CC", "LS"}, "NC": {"C", "HI"}, "C": {"NC", "LS"},
		"GT": {"LE", "GE"}, "GE": {"LT", "GT"}, "LT": {"GE", "LE"}, "LE": {"GT", "LT"},
		"L": {"GE", "LE"}, "G": {"LE", "GE"},
		"MI": {"PL", ""}, "PL": {"MI", ""}, "S": {"NS", ""}, "NS": {"S", ""},
	}
	arm64Conditions = map[string][2]string{
		"EQ": {"NE", ""}, "NE": {"EQ", ""},
		"HI": {"LS", "HS"}, "LS": {"HI", "LO"}, "HS": {"LO", "HI"}, "LO": {"HS", "LS"},
		"CS": {"CC", "HI"}, "CC": {"CS", "LS"},
		"GT": {"LE", "GE"}, "GE": {"LT", "GT"}, "LT": {"GE", "LE"}, "LE": {"GT", "LT"},
		"MI": {"PL", ""}, "PL": {"MI", ""},
	}
	amd64Conditional = regexp.MustCompile(`^(J|CMOV[QLW]|SET)([A-Z]{1,2})(\s)`)
	arm64Branch      = regexp.MustCompile(`^(B)(EQ|NE|HI|LS|HS|LO|CS|CC|GT|GE|LT|LE|MI|PL)(\s)`)
	arm64Select      = regexp.MustCompile(`^((?:CSEL|CSET|CSINC|CINC|CCMP)W?\s+)(EQ|NE|HI|LS|HS|LO|CS|CC|GT|GE|LT|LE|MI|PL)(,)`)
	arm64Zero        = regexp.MustCompile(`^(CB|TB)(Z|NZ)(\s)`)
)

// conditions returns the instruction with the opposite and the neighbouring
// condition.
func conditions(code string) []string {
	var out []string
	for _, set := range []struct {
		form  *regexp.Regexp
		names map[string][2]string
	}{
		{amd64Conditional, amd64Conditions},
		{arm64Branch, arm64Conditions},
		{arm64Select, arm64Conditions},
		{arm64Zero, amd64Conditions},
	} {
		m := set.form.FindStringSubmatchIndex(code)
		if m == nil {
			continue
		}
		for _, other := range set.names[code[m[4]:m[5]]] {
			if other != "" {
				out = append(out, code[:m[4]]+other+code[m[5]:])
			}
		}
	}
	return out
}

// Commutative instructions: the first two operands can be exchanged.
var commutative = regexp.MustCompile(`^(ADD|AND|ORR|EOR|TST|TEST|VEOR|VORR|VAND|VPMULL|VPMINU|VPMAXU|VPTEST|KORTEST|KORQ|VPXOR|VPOR|VPAND|VPADD|VPCMPEQ|VPCLMUL|VCMEQ)`)

// swap exchanges the first two operands of an instruction if both are registers and their
// order matters. Otherwise it returns "".
func swap(code string) string {
	name, rest, _ := strings.Cut(code, " ")
	operands := split(rest)
	if len(operands) < 2 || conditions(code) != nil || !register.MatchString(operands[0]) || !register.MatchString(operands[1]) {
		return ""
	}
	if commutative.MatchString(name) && (len(operands) > 2 || strings.Contains(name, "TST") || strings.Contains(name, "TEST")) {
		return ""
	}
	operands[0], operands[1] = operands[1], operands[0]
	return name + " " + strings.Join(operands, ", ")
}

var register = regexp.MustCompile(`^[A-Za-z]\w*(\.\w+)?(\[\d\])?$`)

// split splits operands at the commas that are not in brackets.
func split(s string) []string {
	var parts []string
	depth, start := 0, 0
	for i, c := range s {
		switch c {
		case '(', '[':
			depth++
		case ')', ']':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, strings.TrimSpace(s[start:i]))
				start = i + 1
			}
		}
	}
	return append(parts, strings.TrimSpace(s[start:]))
}
