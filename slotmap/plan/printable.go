package plan

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// printable returns s, or s in quotes if it could be read as several words or
// could harm a terminal.
func printable(s string) string {
	odd := func(r rune) bool {
		return r == ' ' || r == '"' || r == '\'' || r == '#' || r == '\\' || !strconv.IsPrint(r)
	}
	if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, odd) {
		return strconv.Quote(s)
	}
	return s
}

// printableAddr is printable of an address that may be "".
func printableAddr(s string) string {
	if s == "" {
		return ""
	}
	return printable(s)
}

// printableText returns s with \x1b and the like for what does not print. Spaces
// stay.
func printableText(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return s
	}
	q := strconv.Quote(strings.ReplaceAll(s, `"`, "'"))
	return strings.ReplaceAll(q[1:len(q)-1], `\\`, `\`)
}
