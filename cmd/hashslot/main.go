// Command hashslot answers, without a server, the questions of a Valkey or
// Redis cluster's hash slots: which slot a key is in, and which tag puts a key
// there.
//
//	hashslot slot user:{123}:profile mykey
//	hashslot tag 0 16383
//
// hashslot -h lists the commands, hashslot COMMAND -h tells all about one.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // something is wrong with the input or the output
	exitUsage  = 2 // bad use: options and arguments
)

// A command is one subcommand. Each has a file of its own, with the one
// variable that is listed here.
type command struct {
	name    string
	args    string // the arguments, for the usage line
	short   string // one line for the list of commands
	doc     string // what there is to know, after the options
	example string // "$ " and a command line, then what it prints
	run     func(*env) int
}

var commands = []*command{&slotCommand, &tagCommand, &routeCommand, &checkCommand, &planCommand, &statCommand, &drawCommand, &keysCommand}

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run does the work of the program and returns its exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &env{stdin: stdin, stdout: stdout, stderr: stderr, terminal: isTerminal, now: time.Now}
	return e.run(args)
}

// An env is what a command gets to work with.
type env struct {
	cmd            *command
	args           []string // of the command
	stdin          io.Reader
	stdout, stderr io.Writer
	terminal       func(any) bool // whether one of the three is a terminal
	now            func() time.Time
}

func (e *env) run(args []string) int {
	if len(args) == 0 {
		fmt.Fprint(e.stderr, usage())
		return exitUsage
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		return e.print(usage())
	}
	for _, c := range commands {
		if c.name == args[0] {
			e.cmd, e.args = c, args[1:]
			return c.run(e)
		}
	}
	fmt.Fprintf(e.stderr, "hashslot: there is no command %q; hashslot -h lists them\n", args[0])
	return exitUsage
}

func usage() string {
	var b strings.Builder
	b.WriteString("hashslot answers questions about the hash slots of a Valkey or Redis cluster.\n\nUsage: hashslot COMMAND [OPTION...] [ARGUMENT...]\n\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-8s %s\n", c.name, c.short)
	}
	fmt.Fprintf(&b, "\nhashslot COMMAND -h tells all about a command.\n\nExample:\n\n%s\n", indent(commands[0].example))
	b.WriteString("Exit status: 0 if all is well, 1 if something is wrong with the input or the\noutput, 2 for bad use.\n")
	return b.String()
}

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

// parse reads the options of fs, which may stand in front of, between and
// behind the other arguments, and leaves the others in e.args. After "--"
// nothing is an option. If ok is false, the command is over with the code.
func (e *env) parse(fs *flag.FlagSet) (code int, ok bool) {
	fs.Init(e.cmd.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	var rest []string
	for args := e.args; len(args) > 0; {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			return e.print(e.help(fs)), false
		} else if err != nil {
			return e.badUse(err), false
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
	return exitOK, true
}

func (e *env) help(fs *flag.FlagSet) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: hashslot %s [OPTION...] %s\n\n", e.cmd.name, e.cmd.args)
	fs.SetOutput(&b)
	fs.PrintDefaults()
	fmt.Fprintf(&b, "\n%s\nExample:\n\n%s", e.cmd.doc, indent(e.cmd.example))
	return b.String()
}

func (e *env) print(text string) int {
	if _, err := io.WriteString(e.stdout, text); err != nil {
		return e.fail(err)
	}
	return exitOK
}

// fail reports what is wrong with the input or the output. That nobody reads
// the output any more is not worth a message.
func (e *env) fail(err error) int {
	if !errors.Is(err, syscall.EPIPE) {
		fmt.Fprintf(e.stderr, "%s: %v\n", e.title(), err)
	}
	return exitFailed
}

// noArguments is an error if there are arguments behind the options.
func (e *env) noArguments() error {
	if len(e.args) == 0 {
		return nil
	}
	return fmt.Errorf("unexpected argument %q", e.args[0])
}

// badUse reports a bad option or argument.
func (e *env) badUse(err error) int {
	fmt.Fprintf(e.stderr, "%s: %v (%s -h for help)\n", e.title(), err, e.title())
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
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
