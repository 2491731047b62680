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

// in puts a step in front of the path of a fault.
func (f *fault) in(step string) *fault {
	switch {
	case f.path == "" || strings.HasPrefix(f.path, "["):
		f.path = step + f.path
	default:
		f.path = step + "." + f.path
	}
	return f
}

// of makes f the error of the reply to a command. The reply is refused as a whole:
// a map of half a cluster is worse than the map from before.
func (f *fault) of(command string) error {
	return &slotmap.ParseError{Input: command, Place: f.location.String(), Reason: f.reason}
}

// maxWarnings bounds the warnings of a hostile reply.
const maxWarnings = 1000

func index(name string, i int) string { return fmt.Sprintf("%s[%d]", name, i) }
