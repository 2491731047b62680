// Command hashslot answers questions about the hash slots of a Valkey or Redis
// cluster without a connection to it: which slot a key is in, which node owns it,
// whether all slots are served, and which commands move slots.
//
//	hashslot slot user:{123}:profile mykey
//	valkey-cli cluster nodes | hashslot check -
//
// hashslot -h lists the commands, hashslot help COMMAND describes one.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // something is wrong with the cluster, the content of the input or the output
	exitUsage  = 2 // bad use: options and arguments
	exitNoIdea = 3 // check: the input cannot be read, so the state is unknown
)

// A command is one subcommand.
type command struct {
	name    string
	args    string // the arguments, for the usage line
	short   string // one line for the list of commands
	doc     string // the description, between the usage line and the options
	example string // "$ " and a command line, then its output
	run     func(*env) int
	kinds   []*command // instead of run: the commands behind the name
	rawKeys bool       // it reads lines as keys
}

var commands []*command

func init() { // an initializer would be a cycle: help uses the list that it is in
	commands = []*command{
		&slotCommand, &tagCommand, &keysCommand, &routeCommand, &checkCommand, &drawCommand, &statCommand, &planCommand,
		&versionCommand, &completionCommand, &helpCommand,
	}
}

// find returns the command that args begin with, and its arguments. c is nil if there
// is no such command.
func find(args []string) (c *command, rest []string) {
	for list := commands; len(args) > 0; list = c.kinds {
		i := slices.IndexFunc(list, func(c *command) bool { return c.word() == args[0] })
		if i < 0 {
			break
		}
		c, args = list[i], args[1:]
	}
	return c, args
}

// word is the last word of the name.
func (c *command) word() string { return c.name[strings.LastIndexByte(c.name, ' ')+1:] }

// all returns all commands. One that has kinds comes directly before them.
func all() (list []*command) {
	for _, c := range commands {
		list = append(append(list, c), c.kinds...)
	}
	return list
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run runs the program and returns its exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &env{stdin: stdin, stdout: stdout, stderr: stderr, terminal: isTerminal, now: time.Now}
	return e.run(args)
}

// An env is the environment of a command: its arguments, input and output.
type env struct {
	cmd            *command
	args           []string // of the command
	stdin          io.Reader
	stdout, stderr io.Writer
	files          []*outFile     // to be closed at the end
	terminal       func(any) bool // whether one of the three is a terminal
	now            func() time.Time
	trims          bool                // a carriage return at the end of a line is ignored
	interrupt      <-chan os.Signal    // ends a scan; nil for the signals that end a program
	inspect        func(*flag.FlagSet) // receives the options of the command, which then does no work
}

func (e *env) run(args []string) int {
	if len(args) == 0 {
		fmt.Fprint(e.stderr, usage())
		return exitUsage
	}
	switch args[0] {
	case "-h", "-help", "--help":
		return e.print(usage())
	case "-version", "--version":
		args = []string{"version"}
	}
	c, rest := find(args)
	if c == nil {
		fmt.Fprintf(e.stderr, "hashslot: unknown command %q (hashslot -h lists the commands)\n", args[0])
		return exitUsage
	}
	e.cmd, e.args = c, rest
	if c.kinds != nil {
		return e.noKind()
	}
	code := c.run(e)
	for _, f := range e.files {
		if err := f.close(code == exitOK); err != nil {
			code = e.fail(err)
		}
	}
	return code
}

// noKind handles a command whose second word is missing, unknown or -h.
func (e *env) noKind() int {
	var words []string
	for _, k := range e.cmd.kinds {
		words = append(words, k.word())
	}
	which := strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
	if len(e.args) == 0 {
		return e.badUse(fmt.Errorf("the kind is missing: %s", which))
	}
	switch e.args[0] {
	case "-h", "-help", "--help":
		return e.print(e.cmd.kindsHelp())
	}
	return e.badUse(fmt.Errorf("unknown kind %q: the first argument must be %s", e.args[0], which))
}

func usage() string {
	var b strings.Builder
	b.WriteString("hashslot answers questions about the hash slots of a Valkey or Redis cluster,\nwithout a connection to it.\n\nUsage: hashslot COMMAND [OPTION...] [ARGUMENT...]\n\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-10s  %s\n", c.name, c.short)
	}
	fmt.Fprintf(&b, "\nhashslot help COMMAND, or hashslot COMMAND -h, describes a command.\n\nExamples:\n\n%s", indent(commands[0].example))
	b.WriteString("  $ valkey-cli cluster nodes | hashslot check -\n\n")
	b.WriteString(exitDoc)
	return b.String()
}

const exitDoc = `Exit status: 0 if all is well, 1 if something is wrong with the cluster, the
input or the output, 2 for a wrong option or argument, 3 if check cannot read
its input.
`

func indent(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if line != "\n" {
			b.WriteString("  ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// parse reads the options of fs, which may come before, between and after the other
// arguments, and leaves the others in e.args. Nothing after "--" is an option. If ok
// is false, the command ends with code.
func (e *env) parse(fs *flag.FlagSet) (code int, ok bool) {
	out := fs.String("o", "-", "write to `file`; - is standard output")
	fs.SetOutput(io.Discard)
	if e.inspect != nil {
		e.inspect(fs)
		return exitOK, false
	}
	var rest []string
	for args := e.args; len(args) > 0; {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			return e.print(e.cmd.help(fs)), false
		} else if err != nil {
			return e.badUse(optionError(err)), false
		}
		parsed := len(args) - fs.NArg()
		if parsed > 0 && args[parsed-1] == "--" {
			rest = append(rest, fs.Args()...)
			break
		}
		if args = fs.Args(); len(args) > 0 {
			rest = append(rest, args[0])
			args = args[1:]
		}
	}
	e.args = rest
	to, err := e.create(*out)
	if err != nil {
		return e.fail(err), false
	}
	e.stdout = to
	return exitOK, true
}

// flagErrors rewrites the errors of package flag, which calls an option a flag.
var flagErrors = strings.NewReplacer("flag provided but not defined: ", "unknown option ", "flag needs an argument: ", "a value is missing after ", "for flag -", "for -")

// optionError returns an error of package flag in the words of the help pages.
func optionError(err error) error {
	text := flagErrors.Replace(err.Error())
	if rest, ok := strings.CutSuffix(text, "parse error"); ok {
		text = rest + "not a number"
		if strings.HasPrefix(rest, "invalid boolean value ") {
			text = rest + "not true or false"
		}
	}
	return errors.New(text)
}

// flags returns the options of a command.
func (c *command) flags() (fs *flag.FlagSet) {
	c.run(&env{cmd: c, inspect: func(f *flag.FlagSet) { fs = f }})
	return fs
}

// page is the help page of a command.
func (c *command) page() string {
	if c.kinds != nil {
		return c.kindsHelp()
	}
	return c.help(c.flags())
}

func (c *command) help(fs *flag.FlagSet) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\nOptions:\n\n", strings.TrimSpace("Usage: hashslot "+c.name+" [OPTION...] "+c.args), c.doc)
	fs.SetOutput(&b)
	fs.PrintDefaults()
	fmt.Fprintf(&b, "\nExample:\n\n%s", indent(c.example))
	return b.String()
}

func (c *command) kindsHelp() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: hashslot %s %s\n\n%s\n", c.name, c.args, c.doc)
	for _, k := range c.kinds {
		fmt.Fprintf(&b, "  %-9s  %s\n", k.word(), k.short)
	}
	fmt.Fprintf(&b, "\nhashslot help %s %s, or hashslot %[1]s %[2]s -h, describes a kind.\n\nExample:\n\n%s", c.name, "KIND", indent(c.example))
	return b.String()
}

func (e *env) print(text string) int {
	if _, err := io.WriteString(e.stdout, text); err != nil {
		return e.fail(err)
	}
	return exitOK
}

// fail prints an error of the input or the output. If the output is a closed pipe, the
// command ends without a message.
func (e *env) fail(err error) int {
	if !errors.Is(err, syscall.EPIPE) {
		fmt.Fprintf(e.stderr, "%s: %s\n", e.title(), harmless(err.Error()))
	}
	return exitFailed
}

// first returns the first error that is not nil: one message is enough.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// noArguments returns an error if there are arguments besides the options.
func (e *env) noArguments() error {
	if len(e.args) == 0 {
		return nil
	}
	return fmt.Errorf("unexpected argument %q", e.args[0])
}

// badUse prints an error of an option or argument.
func (e *env) badUse(err error) int {
	fmt.Fprintf(e.stderr, "%s: %s (%s -h for help)\n", e.title(), harmless(err.Error()), e.title())
	return exitUsage
}

func (e *env) title() string {
	if e.cmd == nil {
		return "hashslot"
	}
	return "hashslot " + e.cmd.name
}

// isTerminal reports whether f is a file that is most likely a terminal: a
// character device other than the null device.
func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, _ := os.Stat(os.DevNull) // if there is none, it is no file
	return !os.SameFile(info, null)
}
