package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	slotcommand "github.com/hashslot/hashslot/slotmap/command"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// commandFlags are the options of a command that reads commands of a server.
type commandFlags struct {
	commands bool
	in       string
}

// addOption adds the option -commands, of a command that reads keys without it.
func (f *commandFlags) addOption(fs *flag.FlagSet) {
	fs.BoolVar(&f.commands, "commands", false, "read commands, not keys")
	f.add(fs)
}

func (f *commandFlags) add(fs *flag.FlagSet) {
	fs.StringVar(&f.in, "in", "text", "the `format` of commands on standard input: text or json")
}

func (f *commandFlags) check() error {
	if f.in != "text" && f.in != "json" {
		return fmt.Errorf("-in must be text or json, not %q", f.in)
	}
	return nil
}

// answer passes the command in the arguments, or each command on standard input, to
// a function that newAnswer returns. If a line is not a command, err says why.
func (f *commandFlags) answer(e *env, in inputFlags, workers int, newAnswer func() func(o *output, c commandLine, err error)) int {
	if len(e.args) > 0 {
		var c commandLine
		for _, arg := range e.args {
			c.args = append(c.args, []byte(arg))
		}
		o := output{w: e.stdout}
		newAnswer()(&o, c, nil)
		if err := o.flush(); err != nil {
			return e.fail(err)
		}
		return exitOK
	}
	return e.answer(in, workers, func() worker {
		r := lineReader{json: f.in == "json"}
		answer := newAnswer()
		return func(o *output, lines [][]byte) (int, error) {
			for _, line := range lines {
				if c, ok, err := r.read(line); ok {
					answer(o, c, err)
				}
			}
			return len(lines), nil
		}
	})
}

const commandsDoc = `With -in text, a line is a command as typed into valkey-cli or redis-cli, where an
argument may be in "double" or 'single' quotes, or a line that MONITOR prints. Empty
lines and the OK of MONITOR are skipped. With -in json, a line is an array of the
command's arguments.
`

// A commandLine is a command of the input.
type commandLine struct {
	client string // as MONITOR prints it; "" for other lines
	args   [][]byte
}

// A lineReader parses commands from lines. It reuses its memory for each line.
type lineReader struct {
	json bool
	args [][]byte
	text []byte // the bytes that args point into, unless the line is JSON
	ends []int
}

// read returns the command of a line. ok is false if the line has none.
func (r *lineReader) read(line []byte) (c commandLine, ok bool, err error) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return
	}
	if r.json {
		c.args, err = r.array(line)
		return c, true, err
	}
	if string(line) == "OK" {
		return
	}
	client, rest := monitored(line)
	c.client = string(client)
	c.args, err = r.words(rest)
	return c, true, err
}

// monitored splits a line of MONITOR into the client and the command. For any other line,
// it returns no client and the whole line. No line begins with a space:
//
//	1339518083.107412 [0 127.0.0.1:60866] "keys" "*"
func monitored(line []byte) (client, command []byte) {
	seconds := 0
	for seconds < len(line) && (line[seconds]-'0' <= 9 || line[seconds] == '.') {
		seconds++
	}
	rest, ok := bytes.CutPrefix(line[seconds:], []byte(" ["))
	end := bytes.Index(rest, []byte(`] "`)) // an IPv6 address has a bracket, too
	if !ok || end < 0 {
		return nil, line
	}
	return rest[:end], rest[end+2:]
}

var (
	errQuote = errors.New("a quote is not closed")
	errAfter = errors.New("a closing quote must be followed by a space")
)

// words splits a line into arguments like sdssplitargs() in the servers.
func (r *lineReader) words(line []byte) ([][]byte, error) {
	r.text, r.ends = r.text[:0], r.ends[:0]
	for i := 0; ; {
		for i < len(line) && space(line[i]) {
			i++
		}
		if i == len(line) {
			break
		}
		for i < len(line) && !space(line[i]) {
			c := line[i]
			i++
			if c != '"' && c != '\'' {
				r.text = append(r.text, c)
				continue
			}
			n, err := r.quoted(line[i:], c)
			if err != nil {
				return nil, err
			}
			if i += n; i < len(line) && !space(line[i]) {
				return nil, errAfter
			}
		}
		r.ends = append(r.ends, len(r.text))
	}
	r.args = r.args[:0]
	start := 0
	for _, end := range r.ends {
		r.args = append(r.args, r.text[start:end:end])
		start = end
	}
	return r.args, nil
}

// quoted appends to r.text what rest has before the closing quote. It returns how many
// bytes of rest that takes, the quote included.
func (r *lineReader) quoted(rest []byte, quote byte) (int, error) {
	for n := 0; ; {
		plain := n
		for n < len(rest) && rest[n] != quote && rest[n] != '\\' {
			n++
		}
		r.text = append(r.text, rest[plain:n]...)
		if n == len(rest) {
			return 0, errQuote
		}
		if rest[n] == quote {
			return n + 1, nil
		}
		c, size := escaped(rest[n:], quote)
		r.text = append(r.text, c)
		n += size
	}
}

// escaped returns the byte that stands at the beginning of s, a backslash between quotes,
// and how many bytes of s it takes. Single quotes escape only the single quote.
func escaped(s []byte, quote byte) (c byte, size int) {
	if len(s) < 2 || quote == '\'' && s[1] != '\'' {
		return s[0], 1
	}
	if quote == '"' {
		if s[1] == 'x' && len(s) > 3 {
			if b, err := strconv.ParseUint(string(s[2:4]), 16, 8); err == nil {
				return byte(b), 4
			}
		}
		if at := strings.IndexByte("nrtba", s[1]); at >= 0 {
			return "\n\r\t\b\a"[at], 2
		}
	}
	return s[1], 2
}

func space(c byte) bool { return c == ' ' || c-'\t' < 5 }

// array reads a JSON array of strings and numbers.
func (r *lineReader) array(line []byte) ([][]byte, error) {
	if !utf8.Valid(line) {
		return nil, errors.New("the line is not UTF-8")
	}
	var list []any
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&list); err != nil {
		return nil, fmt.Errorf("not a JSON array of arguments: %w", err)
	}
	if d.InputOffset() < int64(len(line)) {
		return nil, fmt.Errorf("there is more after the JSON array, from byte %d on", d.InputOffset()+1)
	}
	if list == nil {
		return nil, errors.New("not a JSON array of arguments: null")
	}
	const replacement = "\ufffd" // stands for invalid characters
	r.args = r.args[:0]
	for i, v := range list {
		switch v := v.(type) {
		case string:
			if strings.Contains(v, replacement) && !bytes.Contains(line, []byte(replacement)) && !bytes.Contains(bytes.ToLower(line), []byte(`\ufffd`)) {
				return nil, fmt.Errorf("argument %d has half a surrogate pair", i)
			}
			r.args = append(r.args, []byte(v))
		case json.Number:
			r.args = append(r.args, []byte(v))
		default:
			return nil, fmt.Errorf("argument %d is neither text nor a number", i)
		}
	}
	return r.args, nil
}

// commandName returns the name of a command for an answer: its name in the table, or
// its first argument in lower case if the table does not have it.
func commandName(args [][]byte) string {
	if c, err := (*slotcommand.Table)(nil).Lookup(slotcommand.ArgsOf(args)); err == nil {
		return c.Name()
	}
	if len(args) == 0 {
		return ""
	}
	name := args[0][:min(len(args[0]), 100)]
	return strings.ToLower(string(name)) // which replaces what is not UTF-8
}

// reason returns the text of an error without the package and the command, which the
// answer has in other places.
func reason(err error) string {
	var e *slotcommand.Error
	var cross *hashslot.CrossSlotError
	switch {
	case errors.As(err, &e) && e.Command == "":
		return e.Reason
	case errors.As(err, &e):
		return fmt.Sprintf("argument %d: %s", e.Arg, e.Reason)
	case errors.As(err, &cross):
		return fmt.Sprintf("CROSSSLOT: %s is in slot %d, %s in slot %d", short(cross.Key1), cross.Slot1, short(cross.Key2), cross.Slot2)
	}
	return err.Error()
}

// short quotes a key for a message, and cuts it if it is long.
func short(key string) string {
	if len(key) > 60 {
		return strconv.QuoteToASCII(key[:60]) + "..."
	}
	return strconv.QuoteToASCII(key)
}

// A workload follows the commands of clients: all keys of a MULTI block must be in
// one slot, and so must all keys of a script.
type workload struct {
	clients map[string]*session
	script  slotcommand.Block // of the last script, for the commands with the client "lua" in MONITOR
}

// A session is the state of a client after WATCH or MULTI.
type session struct {
	block slotcommand.Block
	multi bool
}

// maxSessions limits the memory for clients that never end their blocks: when it is
// reached, all sessions are dropped.
const maxSessions = 1 << 16

// A verdict says what a cluster does with a command.
type verdict struct {
	target slotcommand.Target
	err    error
	within string // "MULTI" or "script" if the command is part of one
}

var errUnhexCommands = errors.New("-unhex decodes keys and does not go with -commands")

var errUndeclared = errors.New("the script uses a key outside the slot of its declared keys")

// judge says what a cluster does with c, the next command.
func (w *workload) judge(c commandLine) (v verdict) {
	args := slotcommand.ArgsOf(c.args)
	v.target, v.err = (*slotcommand.Table)(nil).Route(args)
	name := ""
	if v.target.Command != nil {
		name = v.target.Command.Name() // one with an error does nothing
	}
	if strings.HasSuffix(c.client, " lua") {
		v.within = "script"
		if v.target.To == slotcommand.ToOneSlot || v.target.To == slotcommand.ToEachSlot {
			v.err = w.inScript(args)
		}
		return v
	}
	switch name {
	case "eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro":
		w.script.Reset()
		v.err = w.script.Add(nil, args)
	}
	s := w.clients[c.client]
	switch name {
	case "multi", "watch":
		if s == nil {
			if w.clients == nil || len(w.clients) >= maxSessions {
				w.clients = map[string]*session{}
			}
			s = new(session)
			w.clients[c.client] = s
		}
		s.multi = s.multi || name == "multi"
	case "exec", "discard", "reset", "quit":
		delete(w.clients, c.client)
		return v
	case "unwatch":
		if s != nil && !s.multi {
			delete(w.clients, c.client)
		}
		return v
	}
	if s == nil || !s.multi && name != "watch" {
		return v
	}
	if s.multi {
		v.within = "MULTI"
	}
	if v.err == nil {
		v.err = s.block.Add(nil, args)
	}
	return v
}

// inScript adds a command with keys to the script that calls it. The error is
// errUndeclared if a key is not in the slot of the keys that the script declares.
func (w *workload) inScript(args slotcommand.Args) error {
	if _, declared := w.script.Slot(); !declared {
		return errUndeclared
	}
	if err := w.script.Add(nil, args); err != nil {
		return fmt.Errorf("%w: %s", errUndeclared, reason(err))
	}
	return nil
}

// refused reports whether a cluster refuses a command that a single server accepts.
func (v verdict) refused() bool {
	return errors.Is(v.err, hashslot.ErrCrossSlot) || errors.Is(v.err, errUndeclared)
}

// parts divides commands by slot. It reuses its memory.
type parts struct {
	splitter slotcommand.Splitter
	keys     []slotcommand.Key
	part     [][]byte
}

// each calls f with each slot that a command goes to, and the keys or channels in it.
func (p *parts) each(args [][]byte, f func(slot hashslot.Slot, keys [][]byte)) {
	view := slotcommand.ArgsOf(args)
	groups, err := p.splitter.Split(nil, view)
	if err != nil {
		return
	}
	p.keys, _ = (*slotcommand.Table)(nil).Keys(p.keys[:0], view)
	for _, g := range groups {
		p.part = p.part[:0]
		for _, k := range g.Keys {
			p.part = append(p.part, args[p.keys[k].Index])
		}
		f(g.Slot, p.part)
	}
}

// A commandRoute is the JSON of one command of "route -commands".
type commandRoute struct {
	Command string      `json:"command"`
	To      string      `json:"to"`
	Within  string      `json:"within,omitempty"`
	Parts   []routePart `json:"parts"`
	Error   string      `json:"error,omitempty"`
}

type routePart struct {
	Slot hashslot.Slot `json:"slot"`
	ID   string        `json:"id"`
	Addr string        `json:"addr"`
	Keys []string      `json:"keys"`
}

// routeCommands is "route -commands".
func routeCommands(e *env, f commandFlags, in inputFlags, r *routes, asJSON, hex bool) int {
	e.trims = true
	a := routeAnswer{table: r.table, json: asJSON, hex: hex}
	code := f.answer(e, in, 1, func() func(*output, commandLine, error) { return a.command })
	if code == exitOK && a.refused+a.wrong+a.lost > 0 {
		return e.fail(fmt.Errorf("commands refused as CROSSSLOT: %d, not understood: %d, parts for slots without an owner: %d", a.refused, a.wrong, a.lost))
	}
	return code
}

// A routeAnswer writes the answers of "route -commands", and counts what has no route.
type routeAnswer struct {
	table     *slotmap.Table[*topology.Shard]
	json, hex bool
	workload  workload
	parts     parts

	refused, wrong int // commands
	lost           int // parts that go to slots without an owner
}

// command writes the answer to one command, or why it could not be read.
func (a *routeAnswer) command(o *output, c commandLine, err error) {
	v := verdict{err: err}
	if err == nil {
		v = a.workload.judge(c)
	}
	d := commandRoute{Command: commandName(c.args), To: v.target.To.String(), Within: v.within, Parts: []routePart{}}
	if v.err == nil {
		var parts []routePart
		if parts, v.err = a.divided(c.args); v.err == nil {
			d.Parts = append(d.Parts, parts...)
		}
	}
	switch {
	case v.refused():
		d.To, d.Error = "refused", reason(v.err)
		a.refused++
	case v.err != nil:
		d.To, d.Error = "error", reason(v.err)
		a.wrong++
	}
	if a.json {
		o.buf = append(o.buf, line(d)...)
		return
	}
	d.text(o)
}

// divided returns the parts of a command by slot. The error is errNotUTF8 if JSON cannot
// have a key.
func (a *routeAnswer) divided(args [][]byte) (list []routePart, err error) {
	a.parts.each(args, func(slot hashslot.Slot, keys [][]byte) {
		part := routePart{Slot: slot, Keys: []string{}}
		if shard, ok := a.table.Lookup(slot); ok {
			part.ID, part.Addr = shard.Primary.ID, shard.Primary.Addr()
		} else {
			a.lost++
		}
		for _, key := range keys {
			if a.hex {
				key = appendHex(nil, key)
			} else if a.json && !utf8.Valid(key) {
				err = errNotUTF8
			}
			part.Keys = append(part.Keys, string(key))
		}
		list = append(list, part)
	})
	return list, err
}

func (d commandRoute) text(o *output) {
	column := func(s string) {
		o.text("\t")
		o.value(appendText, []byte(s))
	}
	for _, p := range d.Parts {
		o.buf = appendSlot(o.buf, p.Slot)
		column(plain(p.ID))
		column(plain(p.Addr))
		column(d.Command)
		for _, key := range p.Keys {
			column(key)
		}
		o.text("\n")
	}
	if len(d.Parts) > 0 {
		return
	}
	o.text("-")
	column(d.To)
	column("-")
	column(d.Command)
	if d.Error != "" {
		column(d.Error)
	}
	o.text("\n")
}

// A commandCount has what "stat -commands" counts in addition to keys.
type commandCount struct {
	Commands int64            `json:"commands"`
	Keyless  int64            `json:"without_keys"`
	Divided  int64            `json:"divided"` // commands whose keys are in several slots
	Scripted int64            `json:"by_scripts"`
	Refused  int64            `json:"refused"`
	Unknown  int64            `json:"unknown"`
	Which    []commandTrouble `json:"refused_commands"`
	Wrong    []commandTrouble `json:"unknown_commands"`
}

// A commandTrouble counts the commands of one name that a cluster refuses or that are
// not understood.
type commandTrouble struct {
	Command string `json:"command"`
	Within  string `json:"within,omitempty"`
	Count   int64  `json:"count"`
	Example string `json:"example"` // what is wrong with the first
}

// A commandCounter counts commands for a commandCount.
type commandCounter struct {
	w       workload
	p       parts
	n       commandCount
	refused map[[2]string]*commandTrouble
	wrong   map[[2]string]*commandTrouble
	slots   []hashslot.Slot
}

// maxTroubles limits how many names of refused, and of unknown, commands are kept.
const maxTroubles = 1000

// worker returns a worker that counts commands, one on each line.
func (c *commandCounter) worker(s *spread, cf commandFlags, in inputFlags) lineWorker {
	r := lineReader{json: cf.in == "json"}
	return func(data []byte) (lines int64, bad badLines) {
		for len(data) > 0 {
			line, rest, _ := bytes.Cut(data, []byte{in.sep()})
			data = rest
			if len(line) > in.max {
				bad.add(lines, tooLong(in.max))
			} else if l, ok, err := r.read(line); ok {
				c.add(s, l, err)
			}
			lines++
		}
		return lines, bad
	}
}

func (c *commandCounter) add(s *spread, l commandLine, err error) {
	v := verdict{err: err}
	if err == nil {
		v = c.w.judge(l)
	}
	if v.within == "script" {
		c.n.Scripted++
	} else {
		c.n.Commands++
	}
	if v.err != nil {
		n, list := &c.n.Unknown, &c.wrong
		if v.refused() {
			n, list = &c.n.Refused, &c.refused
		}
		*n++
		id := [2]string{commandName(l.args), v.within}
		if *list == nil {
			*list = map[[2]string]*commandTrouble{}
		}
		t := (*list)[id]
		if t == nil && len(*list) < maxTroubles {
			t = &commandTrouble{Command: id[0], Within: id[1], Example: reason(v.err)}
			(*list)[id] = t
		}
		if t != nil {
			t.Count++
		}
		if !v.refused() {
			return
		}
	}
	if v.within == "script" { // the script has declared its keys
		return
	}
	c.p.keys, _ = slotcommand.Keys(c.p.keys[:0], l.args) // what has no route has returned
	if len(c.p.keys) == 0 {
		c.n.Keyless++
		return
	}
	if v.err == nil && v.target.To == slotcommand.ToEachSlot {
		c.n.Divided++
	}
	c.p.part = c.p.part[:0]
	for _, k := range c.p.keys {
		if k.Use&slotcommand.UseNotKey == 0 {
			c.p.part = append(c.p.part, l.args[k.Index])
		}
	}
	c.slots = hashslot.AppendOfBytes(c.slots[:0], c.p.part)
	s.add(c.p.part, c.slots)
}

// count returns the counts, with at most top troubles of each kind, the most frequent
// first.
func (c *commandCounter) count(top int) *commandCount {
	sorted := func(list map[[2]string]*commandTrouble) []commandTrouble {
		all := []commandTrouble{}
		for _, t := range list {
			all = append(all, *t)
		}
		slices.SortFunc(all, func(a, b commandTrouble) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Command, b.Command), strings.Compare(a.Within, b.Within))
		})
		return all[:min(top, len(all))]
	}
	n := c.n
	n.Which, n.Wrong = sorted(c.refused), sorted(c.wrong)
	return &n
}

func (n *commandCount) text(b *bytes.Buffer) {
	fmt.Fprintf(b, "commands         %d\n", n.Commands)
	fmt.Fprintf(b, "  without keys   %d\n", n.Keyless)
	fmt.Fprintf(b, "  divided        %d\n", n.Divided)
	fmt.Fprintf(b, "  refused        %d\n", n.Refused)
	fmt.Fprintf(b, "  not understood %d\n", n.Unknown)
	if n.Scripted > 0 {
		fmt.Fprintf(b, "in scripts       %d\n", n.Scripted)
	}
}

// troubles writes the end of the report.
func (n *commandCount) troubles(b *bytes.Buffer) {
	for _, part := range []struct {
		title string
		list  []commandTrouble
	}{{"refused by a cluster", n.Which}, {"not understood", n.Wrong}} {
		if len(part.list) == 0 {
			continue
		}
		fmt.Fprintf(b, "\n%9s  %s\n", "commands", part.title)
		for _, t := range part.list {
			name := t.Command
			if t.Within != "" {
				name += " (" + t.Within + ")"
			}
			fmt.Fprintf(b, "%9d  %s: %s\n", t.Count, appendText(nil, []byte(name)), appendText(nil, []byte(t.Example)))
		}
	}
}
