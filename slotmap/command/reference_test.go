package command

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// A reference reads the reply of a server to COMMAND and interprets it literally. It is
// slow, uses a map for each step, and shares nothing with Load and the table.
type reference map[string][]any

func newReference(list []any) reference {
	r := reference{}
	for _, v := range list {
		c := v.([]any)
		r[strings.ToLower(c[0].(string))] = c
		for _, s := range c[9].([]any) {
			r[s.([]any)[0].(string)] = s.([]any)
		}
	}
	return r
}

// sameWord compares as strcasecmp.
func sameWord(arg, word string) bool {
	arg, _, _ = strings.Cut(arg, "\x00")
	return len(arg) == len(word) && lower(arg) == lower(word)
}

type slowKey struct {
	index int
	flags string
}

const (
	slowUnknown = "unknown"
	slowArity   = "arity"
	slowSyntax  = "syntax"
)

// keys returns the keys, or an error. A command without keys has none.
func (r reference) keys(args []string) ([]slowKey, string) {
	if len(args) == 0 {
		return nil, slowUnknown
	}
	c := r[lower(args[0])]
	if strings.Contains(args[0], "|") || c == nil {
		return nil, slowUnknown
	}
	name := lower(args[0])
	if len(c[9].([]any)) > 0 && len(args) > 1 {
		name += "|" + lower(args[1])
		if c = r[name]; c == nil {
			return nil, slowUnknown
		}
	}
	specs := c[8].([]any)
	if len(specs) == 0 {
		return nil, ""
	}
	arity := int(c[1].(float64))
	if arity >= 0 && len(args) != arity || arity < 0 && len(args) < -arity {
		return nil, slowArity
	}
	var keys []slowKey
	ok := true
	optional := slices.Contains(c[2].([]any), any("no_mandatory_keys"))
	for _, spec := range specs {
		s := spec.(map[string]any)
		var flags []string
		for _, f := range s["flags"].([]any) {
			flags = append(flags, f.(string))
		}
		optional = optional || slices.Contains(flags, "not_key")
		if slices.Contains(flags, "variable_flags") {
			ok = false // the description does not give the use
			break
		}
		found, fits := slowSpec(s, args)
		for _, i := range found {
			keys = append(keys, slowKey{i, strings.Join(flags, " ")})
		}
		if !fits || len(found) > 0 && slices.Contains(flags, "incomplete") {
			ok = false
			break
		}
	}
	if !ok {
		keys = slowOwn(r, name, specs, args)
	}
	if len(keys) == 0 && !optional {
		return nil, slowSyntax
	}
	return keys, ""
}

// slowSpec returns the keys of one specification, and whether it could be followed.
func slowSpec(s map[string]any, args []string) (keys []int, ok bool) {
	num := func(m map[string]any, name string) int { return int(m[name].(float64)) }
	begin := s["begin_search"].(map[string]any)
	bs := begin["spec"].(map[string]any)
	start := 0
	switch begin["type"] {
	case "index":
		start = num(bs, "index")
	case "keyword":
		var order []int
		if from := num(bs, "startfrom"); from > 0 {
			for i := from; i < len(args)-1; i++ {
				order = append(order, i)
			}
		} else {
			for i := len(args) + from; i > 1; i-- {
				order = append(order, i)
			}
		}
		at := slices.IndexFunc(order, func(i int) bool { return sameWord(args[i], bs["keyword"].(string)) })
		if at < 0 {
			return nil, true
		}
		start = order[at] + 1
	default:
		return nil, false
	}
	find := s["find_keys"].(map[string]any)
	fk := find["spec"].(map[string]any)
	first, last := big.NewInt(int64(start)), new(big.Int)
	var step int
	switch find["type"] {
	case "range":
		step = num(fk, "keystep")
		switch l, limit := num(fk, "lastkey"), num(fk, "limit"); {
		case l >= 0:
			last.SetInt64(int64(start + l))
		case limit == 0:
			last.SetInt64(int64(len(args) + l))
		default:
			last.SetInt64(int64(start + (len(args)-start)/limit + l))
		}
	case "keynum":
		step = num(fk, "keystep")
		text := args[start+num(fk, "keynumidx")]
		n, isNumber := new(big.Int).SetString(text, 10)
		if !isNumber || n.String() != text || !n.IsInt64() || n.Sign() < 0 {
			return nil, false
		}
		first.SetInt64(int64(start + num(fk, "firstkey")))
		last.Sub(n, big.NewInt(1))
		last.Mul(last, big.NewInt(int64(step)))
		last.Add(last, first)
	default:
		return nil, false
	}
	end := big.NewInt(int64(len(args)))
	if first.Cmp(end) >= 0 || last.Cmp(end) >= 0 || last.Cmp(first) < 0 {
		return nil, false
	}
	for i := int(first.Int64()); i <= int(last.Int64()); i += step {
		keys = append(keys, i)
	}
	return keys, true
}

// slowOwn finds the keys like the servers' own functions.
func slowOwn(r reference, name string, specs []any, args []string) (keys []slowKey) {
	at := func(i int, word string) bool { return i < len(args) && sameWord(args[i], word) }
	_, redis := r["delex"]
	add := func(i int, flags string) { keys = append(keys, slowKey{i, flags}) }
	has := func(from int, words ...string) bool {
		for _, a := range args[min(from, len(args)):] {
			for _, w := range words {
				if sameWord(a, w) {
					return true
				}
			}
		}
		return false
	}
	conditions := []string{"ifeq", "ifne", "ifdeq", "ifdne"}
	switch name {
	case "set":
		switch {
		case has(3, "get"):
			add(1, "RW access update")
		case redis && has(3, conditions...):
			add(1, "RW update")
		default:
			add(1, "OW update")
		}
	case "delex":
		if has(2, conditions...) {
			add(1, "RW delete")
		} else {
			add(1, "RM delete")
		}
	case "bitfield":
		rest := args[2:]
		for len(rest) >= 3 && sameWord(rest[0], "get") || len(rest) >= 2 && sameWord(rest[0], "overflow") {
			if sameWord(rest[0], "get") {
				rest = rest[3:]
			} else {
				rest = rest[2:]
			}
		}
		if len(rest) == 0 {
			add(1, "RO access")
		} else {
			add(1, "RW access update")
		}
	case "georadius", "georadiusbymember":
		add(1, "RO access")
		store := 0
		for i := 5; i < len(args)-1; {
			if at(i, "store") || at(i, "storedist") {
				store = i + 1
				i += 2
			} else {
				i++
			}
		}
		if store > 0 {
			add(store, "OW update")
		}
	case "sort", "sort_ro":
		add(1, "RO access")
		store := 0
		for i := 2; i < len(args); i++ {
			skip := 0
			switch {
			case at(i, "limit"):
				skip = 2
			case at(i, "get"), at(i, "by"):
				skip = 1
			case at(i, "store") && i < len(args)-1:
				store = i + 1
			}
			i += skip
		}
		if store > 0 && name == "sort" {
			add(store, "OW update")
		}
	case "migrate":
		i := 6
		for i < len(args) && !at(i, "keys") {
			switch {
			case at(i, "auth"):
				i += 2
			case at(i, "auth2"):
				i += 3
			default:
				i++
			}
		}
		switch {
		case i >= len(args):
			add(3, "RW access delete")
		case args[3] == "":
			for i++; i < len(args); i++ {
				add(i, "RW access delete")
			}
		}
	case "xread", "xreadgroup":
		i := 1
		for at(i, "block") || at(i, "count") || at(i, "claim") || at(i, "group") || at(i, "noack") {
			switch {
			case at(i, "noack"):
				i++
			case at(i, "group"):
				i += 3
			default:
				i += 2
			}
		}
		if n := len(args) - i - 1; at(i, "streams") && n > 0 && n%2 == 0 {
			for k := range n / 2 {
				add(i+1+k, "")
			}
		}
	case "msetex":
	default: // a number of keys
		store := 0
		for _, spec := range specs {
			s := spec.(map[string]any)
			index := s["begin_search"].(map[string]any)["spec"].(map[string]any)["index"]
			if index == nil {
				continue
			}
			if find := s["find_keys"].(map[string]any); find["type"] == "range" {
				store = int(index.(float64))
			} else {
				n := slowAtoi(args[int(index.(float64))])
				from := int(index.(float64)) + 1
				if n < 1 || n > len(args)-from {
					return nil
				}
				for k := range n {
					add(from+k, "")
				}
			}
		}
		if len(keys) > 0 && store > 0 {
			add(store, "")
		}
	}
	return keys
}

// slowAtoi is atoi of glibc.
func slowAtoi(s string) int {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	sign := ""
	if s != "" && strings.Contains("+-", s[:1]) {
		sign, s = s[:1], s[1:]
	}
	digits := s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
	n, err := strconv.ParseInt(sign+digits, 10, 64) // saturates
	if err != nil && digits == "" {
		return 0
	}
	return int(int32(n))
}

// unreadable puts an argument behind args that cannot be read: whoever looks at it
// faults.
func unreadable[A Arg](args []A) []A {
	args = append(args, A(""))
	*(*struct {
		data *byte
		n    int
	})(unsafe.Pointer(&args[len(args)-1])) = struct {
		data *byte
		n    int
	}{nil, 5}
	return args[:len(args)-1]
}

// compare compares Keys with the reference. It runs many times, so it does without
// reflection.
func compare(t testing.TB, table *Table, r reference, args []string) {
	want, wrong := r.keys(args)
	args = unreadable(args)
	keys, err := table.Keys(nil, ArgsOf(args))
	got := ""
	switch e, _ := err.(*Error); {
	case err == nil:
	case e.Kind == ErrUnknown:
		got = slowUnknown
	case e.Kind == ErrArity:
		got = slowArity
	default:
		got = slowSyntax
	}
	if got != wrong {
		t.Fatalf("%q: %v, want %q", args, err, wrong)
	}
	if !slices.EqualFunc(want, keys, func(s slowKey, k Key) bool { return s == slowKey{k.Index, k.Use.String()} }) {
		t.Fatalf("%q: %v, want %v", args, keys, want)
	}
	raw := make([][]byte, len(args))
	for i, a := range args {
		raw[i] = []byte(a)
	}
	again, err2 := table.Keys(nil, ArgsOf(unreadable(raw)))
	if !slices.Equal(keys, again) || (keys == nil) != (again == nil) {
		t.Fatalf("%q: %v of strings, %v of slices of bytes", args, keys, again)
	}
	if (err == nil) != (err2 == nil) || err != nil && *err.(*Error) != *err2.(*Error) {
		t.Fatalf("%q: %v for strings, %v for slices of bytes", args, err, err2)
	}
}

// The reference itself gives the servers' answers.
func TestReferenceGolden(t *testing.T) {
	for file, server := range map[string]string{"getkeys_valkey9.jsonl": valkeyFile, "getkeys_redis8.jsonl": redisFile} {
		r := newReference(reply(t, server))
		table := load(t, server)
		for _, g := range goldens(t, file) {
			compare(t, table, r, g.Args)
		}
	}
}

// edges are numbers that servers read strictly, loosely or not at all, and the words
// that servers look for.
var edges = strings.Split(`0|1|2|3|4|5|-1|01|+1| 1|1x||a|b|{t}a|$|4294967297|9223372036854775807|9223372036854775808|`+
	`STORE|StoreDist|streams|KEYS|keys|COUNT|BLOCK|GROUP|NOACK|CLAIM|BY|GET|get|Limit|AUTH|AUTH2|COPY|`+
	`SET|INCRBY|OVERFLOW|IFEQ|ifne|IFDEQ|NX|EX`+"|GET\x00|STORE\x00x|KEYS\x00|1\x002", "|")

// Every command, with arguments near the limits of what it accepts. Those for which the
// servers have code of their own are tried most.
func TestReferenceGenerated(t *testing.T) {
	few, many := 100, 4000
	if testing.Short() {
		few, many = 20, 200
	}
	for _, server := range []string{valkeyFile, redisFile} {
		ref, table := newReference(reply(t, server)), load(t, server)
		r := rand.New(rand.NewPCG(1, 16))
		n := 0
		for c := range table.All() {
			tries := few
			if c.rules.own != ownNone {
				tries = many
			}
			for i := range tries {
				args := strings.Split(c.name, "|")
				for length := max(c.Arity(), -c.Arity()) + r.IntN(10) - 1; len(args) < length; {
					word := edges[r.IntN(len(edges))]
					if r.IntN(4) == 0 {
						word = edges[r.IntN(6)]
					}
					args = append(args, word)
				}
				if !c.HasKeys() && i == 5 {
					break
				}
				compare(t, table, ref, args)
				n++
			}
		}
		require.Greater(t, n, 200*few+10*many, server)
	}
}
