package command

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/hashslot/hashslot/slotmap"
)

// Load returns the commands of a server, those of its modules included, from its reply
// to COMMAND or COMMAND INFO. The reply is RESP2 or RESP3 as clients decode it: lists as
// []any, text as string or []byte, numbers as int64 or int, maps as map[string]any,
// map[any]any or a list of names and values. Unknown flags and policies are ignored.
//
// Servers before Redis 7.0 do not describe keys. For such a server, Load uses the
// built-in table's description or, for a command that it does not have, the first key,
// last key and step of the reply.
//
// If the specifications of a module's command do not show all keys, only the module
// knows them. Keys then finds those that are specified, with UseIncomplete or
// UseVariableFlags, or returns an [*Error] of the kind ErrSyntax.
//
// The error is a [*slotmap.ParseError] with a place such as "[12].specs[0].flags[1]",
// by the names of the fields of COMMAND. Load takes time and memory linear in the reply.
func Load(reply any) (*Table, error) {
	list, ok := reply.([]any)
	if !ok {
		return nil, bad("reply", kind(reply)+" is not a list")
	}
	l := loader{}
	for i, v := range list {
		if v == nil { // COMMAND INFO of an unknown command
			continue
		}
		if err := l.command(v, 0); err != nil {
			err.Place = "[" + strconv.Itoa(i) + "]" + err.Place
			return nil, err
		}
	}
	t := newTable(l.commands)
	if t == nil {
		return nil, bad("reply", "too many names have the same hash")
	}
	if set, delex := t.lookup("set", 0), t.lookup("delex", 0); set != 0 && delex != 0 && t.commands[set-1].rules.own == ownSet {
		t.commands[set-1].rules.own = ownSetIf // SET got its conditions with DELEX
	}
	return t, nil
}

type loader struct{ commands []Command }

// maxCommands is the most commands that a table can have: it numbers them in 16 bits.
const maxCommands = math.MaxUint16

// maxSpecs is the most specifications of a command. Servers have up to three. Each costs
// a search for the keys of every command that is sent.
const maxSpecs = 64

// The fields of a command in the reply. Redis 6.0 has those up to step or acl.
const (
	fieldName = iota
	fieldArity
	fieldFlags
	fieldFirst
	fieldLast
	fieldStep
	fieldACL
	fieldTips
	fieldSpecs
	fieldSubcommands
)

func (l *loader) command(v any, parent int) *slotmap.ParseError {
	f, ok := v.([]any)
	if !ok {
		return bad("", kind(v)+" is not a list")
	}
	if len(f) <= fieldStep {
		return bad("", fmt.Sprintf("a command does not have %d fields", len(f)))
	}
	if len(l.commands) == maxCommands {
		return bad("", fmt.Sprintf("there are more than %d commands", maxCommands))
	}
	c := Command{parent: uint16(parent), rules: &rules{}}
	n, err := number16(f[fieldArity], ".arity")
	if err != nil {
		return err
	}
	c.arity = n
	if c.name, _ = text(f[fieldName]); c.name == "" {
		return bad(".name", kind(f[fieldName])+" is not a name")
	}
	if c.name = lower(c.name); parent != 0 {
		// Redis 7.0 and later have the container in the name, modules may not.
		container := l.commands[parent-1].name + "|"
		c.name = container + strings.TrimPrefix(c.name, container)
	}
	flags, err := texts(f[fieldFlags], ".flags")
	if err != nil {
		return err
	}
	for _, flag := range flags {
		c.flags |= Flags(bit(flag, flagNames))
	}
	if len(f) > fieldTips {
		if err := c.rules.loadTips(f[fieldTips]); err != nil {
			return err
		}
	}
	if len(f) > fieldSpecs {
		err = c.rules.loadSpecs(f[fieldSpecs])
	} else {
		err = c.legacy(f)
	}
	if err != nil {
		return err
	}
	c.complete()
	l.commands = append(l.commands, c)
	if len(f) > fieldSubcommands {
		return l.subcommands(f[fieldSubcommands], parent)
	}
	return nil
}

// loadTips reads the policies in the tips of a command.
func (r *rules) loadTips(v any) *slotmap.ParseError {
	tips, err := texts(v, ".tips")
	for _, tip := range tips {
		if s, ok := strings.CutPrefix(tip, "request_policy:"); ok {
			r.request = request(number8(s, requestNames))
		} else if s, ok := strings.CutPrefix(tip, "response_policy:"); ok {
			r.reply = Reply(number8(s, replyNames))
		}
	}
	return err
}

func (r *rules) loadSpecs(v any) *slotmap.ParseError {
	list, ok := v.([]any)
	if !ok && v != nil {
		return bad(".specs", kind(v)+" is not a list")
	}
	if len(list) > maxSpecs {
		return bad(".specs", fmt.Sprintf("there are more than %d specifications", maxSpecs))
	}
	r.specs = make([]spec, 0, len(list))
	for i, v := range list {
		s, err := loadSpec(v)
		if err != nil {
			err.Place = ".specs[" + strconv.Itoa(i) + "]" + err.Place
			return err
		}
		r.specs = append(r.specs, s)
	}
	return nil
}

// subcommands loads the subcommands of the last command. parent is not 0 if that is a
// subcommand itself.
func (l *loader) subcommands(v any, parent int) *slotmap.ParseError {
	subs, ok := v.([]any)
	if !ok && v != nil {
		return bad(".subcommands", kind(v)+" is not a list")
	}
	if parent != 0 && len(subs) > 0 {
		return bad(".subcommands", "a subcommand has subcommands")
	}
	self := len(l.commands)
	if len(subs) > 0 {
		l.commands[self-1].flags |= hasSubs
	}
	for i, v := range subs {
		if err := l.command(v, self); err != nil {
			err.Place = ".subcommands[" + strconv.Itoa(i) + "]" + err.Place
			return err
		}
	}
	return nil
}

// legacy makes the specifications for a server that has none: those of the built-in
// table, or one of first, last and step.
func (c *Command) legacy(f []any) *slotmap.ParseError {
	if i := builtin.lookup(c.name, 0); i != 0 && c.flags&FlagModule == 0 {
		known := &builtin.commands[i-1]
		*c.rules = *known.rules
		c.flags |= known.flags & FlagNoMandatoryKeys
		return nil
	}
	var n [3]int16
	for i := range n {
		var err *slotmap.ParseError
		if n[i], err = number16(f[fieldFirst+i], [...]string{".first", ".last", ".step"}[i]); err != nil {
			return err
		}
	}
	if n[0] <= 0 || n[2] <= 0 || n[1] >= 0 && n[1] < n[0] { // no key
		if c.flags&FlagMovableKeys != 0 {
			c.rules.specs = []spec{{}}
		}
		return nil
	}
	s := spec{begin: beginIndex, find: findRange, at: n[0], last: n[1], step: n[2]}
	if c.flags&FlagMovableKeys != 0 {
		s.use = UseIncomplete
	}
	if s.last >= 0 {
		s.last -= s.at
	}
	c.rules.specs = []spec{s}
	return nil
}

// complete sets the fields that follow from the others.
func (c *Command) complete() {
	rules := c.rules
	variable := false
	number := false
	for i := range rules.specs {
		variable = variable || rules.specs[i].use&UseVariableFlags != 0
		number = number || rules.specs[i].find == findNumber
	}
	if c.flags&FlagModule == 0 && c.parent == 0 {
		switch c.name {
		case "set":
			rules.own = ownSet
		case "bitfield":
			rules.own = ownBitfield
		case "delex":
			rules.own = ownDelex
		case "georadius", "georadiusbymember":
			if variable {
				rules.own = ownStore
			}
		case "sort", "sort_ro":
			rules.own = ownSort
		case "migrate":
			rules.own = ownMigrate
		default:
			if number && c.name != "msetex" { // which reads its number strictly
				rules.own = ownNumber
			}
		}
	}
	if len(rules.specs) == 1 {
		s := rules.specs[0]
		least := max(int(c.arity), -int(c.arity))
		if s.begin == beginIndex && s.find == findRange && s.last == 0 && int(s.at) < min(least, 256) {
			c.only = uint8(s.at)
		}
	}
}

func loadSpec(v any) (s spec, err *slotmap.ParseError) {
	begin, find := search{path: ".begin_search"}, search{path: ".find_keys"}
	err = fields(v, "", func(name string, v any) (err *slotmap.ParseError) {
		switch name {
		case "flags":
			var flags []string
			flags, err = texts(v, ".flags")
			for _, flag := range flags {
				s.use |= Use(bit(flag, useNames))
			}
		case "begin_search":
			err = begin.load(v)
		case "find_keys":
			err = find.load(v)
		}
		return err
	})
	if err != nil {
		return spec{}, err
	}
	switch begin.kind {
	case "index":
		if s.begin, s.at = beginIndex, begin.numbers["index"]; s.at < 1 {
			return spec{}, bad(".begin_search.spec.index", "the number is less than 1")
		}
	case "keyword":
		s.begin, s.at, s.keyword = beginKeyword, begin.numbers["startfrom"], lower(begin.keyword)
		if s.at == 0 || s.keyword == "" {
			return spec{}, bad(".begin_search.spec", "the keyword is missing, or the search begins at argument 0")
		}
	}
	s.step = find.numbers["keystep"]
	switch find.kind {
	case "range":
		s.find, s.last, s.limit = findRange, find.numbers["lastkey"], find.numbers["limit"]
	case "keynum":
		s.find, s.last, s.limit = findNumber, find.numbers["keynumidx"], find.numbers["firstkey"]
	default:
		return s, nil
	}
	if s.step < 1 {
		return spec{}, bad(".find_keys.spec.keystep", "the number is less than 1")
	}
	if s.limit < 0 || s.find == findNumber && s.last < 0 {
		return spec{}, bad(".find_keys.spec", "a number is negative")
	}
	if s.find == findNumber && s.limit <= s.last {
		return spec{}, bad(".find_keys.spec.firstkey", "the keys are before their number")
	}
	return s, nil
}

// A search is begin_search or find_keys of a specification.
type search struct {
	path    string
	kind    string
	keyword string
	numbers map[string]int16
}

func (s *search) load(v any) *slotmap.ParseError {
	s.numbers = map[string]int16{}
	return fields(v, s.path, func(name string, v any) (err *slotmap.ParseError) {
		switch name {
		case "type":
			s.kind, _ = text(v)
		case "spec":
			err = fields(v, s.path+".spec", func(name string, v any) (err *slotmap.ParseError) {
				if name == "keyword" {
					s.keyword, _ = text(v)
				} else {
					s.numbers[name], err = number16(v, s.path+".spec."+name)
				}
				return err
			})
		}
		return err
	})
}

// fields calls f with the names and values of a map, or of a list of both.
func fields(v any, path string, f func(name string, v any) *slotmap.ParseError) *slotmap.ParseError {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if err := f(name, value); err != nil {
				return err
			}
		}
		return nil
	case map[any]any:
		for name, value := range v {
			s, ok := text(name)
			if !ok {
				return bad(path, "a name is "+kind(name))
			}
			if err := f(s, value); err != nil {
				return err
			}
		}
		return nil
	case []any:
		if len(v)%2 != 0 {
			return bad(path, fmt.Sprintf("a list of names and values cannot have %d elements", len(v)))
		}
		for i := 0; i < len(v); i += 2 {
			s, ok := text(v[i])
			if !ok {
				return bad(path, "a name is "+kind(v[i]))
			}
			if err := f(s, v[i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	return bad(path, kind(v)+" is not a map")
}

// texts returns the elements of a list or set of texts.
func texts(v any, path string) ([]string, *slotmap.ParseError) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []string:
		return v, nil
	case []any:
		list := make([]string, len(v))
		for i, e := range v {
			s, ok := text(e)
			if !ok {
				return nil, bad(path+"["+strconv.Itoa(i)+"]", kind(e)+" is not text")
			}
			list[i] = s
		}
		return list, nil
	case map[string]struct{}:
		var list []string
		for s := range v {
			list = append(list, s)
		}
		return list, nil
	}
	return nil, bad(path, kind(v)+" is not a list")
}

func text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	}
	return "", false
}

// number16 returns a number, which may come as text.
func number16(v any, path string) (int16, *slotmap.ParseError) {
	n, ok := int64(0), false
	switch v := v.(type) {
	case int64:
		n, ok = v, true
	case int:
		n, ok = int64(v), true
	case float64:
		n, ok = int64(v), v == math.Trunc(v)
	default:
		if s, is := text(v); is {
			parsed, err := strconv.ParseInt(s, 10, 64)
			n, ok = parsed, err == nil
		}
	}
	if !ok || n < math.MinInt16 || n > math.MaxInt16 {
		return 0, bad(path, kind(v)+" is not a number of 16 bits")
	}
	return int16(n), nil
}

// kind describes the type of v, in a few words.
func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(v[:min(len(v), maxQuoted)])
	case []byte:
		return strconv.Quote(string(v[:min(len(v), maxQuoted)]))
	case int64, int, float64, bool:
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("a %T", v)
}

// bit returns the bit of a name in a list of them, or 0.
func bit(s string, names []string) uint32 {
	for i, name := range names {
		if s == name {
			return 1 << i
		}
	}
	return 0
}

// number8 returns the number of a name in a list, or 0, the default.
func number8(s string, names []string) uint8 {
	for i, name := range names {
		if s == name {
			return uint8(i)
		}
	}
	return 0
}

func bad(place, reason string) *slotmap.ParseError {
	return &slotmap.ParseError{Input: "COMMAND", Place: place, Reason: reason}
}
