package command

import (
	"errors"
	"strconv"
	"strings"
)

// The kinds of an [Error], for errors.Is.
var (
	ErrUnknown = errors.New("command: unknown command")
	ErrArity   = errors.New("command: wrong number of arguments")
	ErrSyntax  = errors.New("command: the keys cannot be found in the arguments")
)

// An Error says why the keys of a command cannot be found.
type Error struct {
	Kind    error  // ErrUnknown, ErrArity or ErrSyntax
	Command string // its name in the table or, if it is unknown, the name that was asked for
	Arg     int    // the argument that is wrong, or the number of arguments if one is missing there; 0 is the name
	Reason  string
}

func (e *Error) Error() string {
	if e.Command == "" {
		return "command: " + e.Reason
	}
	return "command: " + strconv.Quote(e.Command) + ": argument " + strconv.Itoa(e.Arg) + ": " + e.Reason
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// maxQuoted is the most bytes of a name that an error has.
const maxQuoted = 64

// unknown returns the error of arguments that name no command or, if c is not nil, no
// subcommand of c.
func unknown(c *Command, args Args) *Error {
	e := &Error{Kind: ErrUnknown, Reason: "no arguments"}
	if args.n == 0 {
		return e
	}
	if c != nil {
		e.Command, e.Arg = c.name, 1
	}
	asked := args.at(e.Arg)
	name := lower(asked[:min(len(asked), maxQuoted)]) // a copy
	if c != nil {
		e.Reason = "unknown subcommand " + strconv.Quote(name)
	} else {
		e.Command, e.Reason = name, "unknown command"
	}
	return e
}

func (c *Command) arityError(n int) *Error {
	want := strconv.Itoa(int(c.arity))
	if c.arity < 0 {
		want = "at least " + strconv.Itoa(-int(c.arity))
	}
	return &Error{Kind: ErrArity, Command: c.name, Arg: min(n, max(int(c.arity), -int(c.arity))),
		Reason: "takes " + want + " arguments, the name included, not " + strconv.Itoa(n)}
}

// A fault is the reason why a specification finds no keys.
type fault uint8

const (
	found       fault = iota
	noKeyword         // the keyword is not there: no fault if others find keys
	noNumber          // the number of keys is not a number
	zeroKeys          // the number of keys is 0
	tooFew            // fewer arguments than keys
	unspecified       // the specification does not say where they are
	noValue           // the last key has no value
)

// lower returns s with its ASCII letters in lower case.
//
//go:noinline
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c-'A' < 26 {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// syntaxError returns the error of a command of which no key was found, or whose last
// key has no value. why and at are those of the first specification that failed.
func (c *Command) syntaxError(why fault, at int) *Error {
	e := &Error{Kind: ErrSyntax, Command: c.name, Arg: at}
	switch why {
	case noNumber:
		e.Reason = "the number of keys is not a number, or is negative"
	case zeroKeys:
		e.Reason = "the number of keys is 0"
	case tooFew:
		e.Reason = "there are fewer arguments than keys"
	case noValue:
		e.Reason = "the last key has no value"
	case unspecified:
		e.Reason = "the server's description does not say where the keys are"
	case found: // MIGRATE
		e.Arg, e.Reason = 3, "the key must be empty, because KEYS lists the keys"
	default:
		for _, s := range c.rules.specs {
			if s.begin == beginKeyword {
				e.Reason = "the keyword " + strings.ToUpper(s.keyword) + " is missing, or no key follows"
				return e
			}
		}
	}
	return e
}
