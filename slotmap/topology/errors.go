package topology

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hashslot/hashslot/slotmap"
)

// A location is a place in a reply.
type location struct {
	line   int    // in a text: the line, from 1; otherwise 0
	offset int    // in a text: the byte, from 0; otherwise 0
	path   string // in a decoded reply: "shards[2].nodes[0].port"; otherwise ""
}

func (l location) String() string {
	switch {
	case l.line > 0:
		return "line " + strconv.Itoa(l.line) + ", byte " + strconv.Itoa(l.offset)
	case l.path != "":
		return l.path
	}
	return "reply"
}

// A fault is a defect of a reply, which becomes an error or a warning.
type fault struct {
	location
	reason string
}

// in puts a step in front of the path of the fault, and returns the fault.
func (f *fault) in(step string) *fault {
	switch {
	case f.path == "" || strings.HasPrefix(f.path, "["):
		f.path = step + f.path
	default:
		f.path = step + "." + f.path
	}
	return f
}

// of returns f as the error of the reply to a command. The whole reply is refused:
// a map of half a cluster is worse than the earlier map.
func (f *fault) of(command string) error {
	return &slotmap.ParseError{Input: command, Place: f.location.String(), Reason: f.reason}
}

// maxWarnings bounds the warnings that a hostile reply can cause.
const maxWarnings = 1000

// index returns the path "name[i]".
func index(name string, i int) string { return fmt.Sprintf("%s[%d]", name, i) }
