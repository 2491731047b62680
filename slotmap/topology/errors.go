package topology

import (
	"fmt"
	"strconv"
	"strings"
)

// A Place is where in a reply something is.
type Place struct {
	Line   int    // in a text: the line, counted from 1; otherwise 0
	Offset int    // in a text: the byte, counted from 0; otherwise 0
	Path   string // in a decoded reply: "shards[2].nodes[0].port"; otherwise ""
}

func (p Place) String() string {
	switch {
	case p.Line > 0:
		return "line " + strconv.Itoa(p.Line) + ", byte " + strconv.Itoa(p.Offset)
	case p.Path != "":
		return p.Path
	}
	return "reply"
}

// A ParseError says where a reply is not what it should be, and why. The reply
// as a whole is refused then: a map of half a cluster is worse than the map
// from before.
type ParseError struct {
	Command string // "CLUSTER NODES", "CLUSTER SLOTS" or "CLUSTER SHARDS", or "NewCluster"
	Place
	Reason string
}

func (e *ParseError) Error() string {
	return "topology: " + e.Command + ": " + e.Place.String() + ": " + e.Reason
}

// in puts a step in front of the path of an error that a part of a reply gave.
func (e *ParseError) in(step string) *ParseError {
	switch {
	case e.Path == "" || strings.HasPrefix(e.Path, "["):
		e.Path = step + e.Path
	default:
		e.Path = step + "." + e.Path
	}
	return e
}

// A Warning is something in a reply that was not used: an unknown field, a slot
// on the line of a node that cannot own one. The rest of the reply holds.
type Warning struct {
	Place
	Reason string
}

func (w Warning) String() string { return w.Place.String() + ": " + w.Reason }

// maxWarnings bounds what a hostile reply can make of its warnings.
const maxWarnings = 1000

func index(name string, i int) string { return fmt.Sprintf("%s[%d]", name, i) }
