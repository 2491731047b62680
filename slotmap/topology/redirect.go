package topology

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/reply"
	"github.com/hashslot/hashslot/slotmap"
)

// A Redirect is a server's answer that another node has the slot.
type Redirect struct {
	// Ask is true for ASK: the slot is being moved. Send ASKING and the command to the
	// other node, this once; the map is right. It is false for MOVED: the slot has
	// another owner. Send the command to it, and correct the map.
	Ask  bool
	Slot hashslot.Slot
	Host string // what to dial, without brackets; "" if it is not known, "?" if the server has no name for the node
	Port int    // 0 if the node has no address
}

// ErrNotRedirect is the error that [ParseRedirect] returns for a message that is
// neither MOVED nor ASK.
var ErrNotRedirect = errors.New("topology: not a redirect")

// ParseRedirect reads the error message of a MOVED or ASK redirect that came
// over the connection from:
//
//	MOVED 3999 127.0.0.1:6381
//	ASK 3999 node.example.com:6381
//	MOVED 3999 2001:db8::1:6381     the port is behind the last colon
//	MOVED 3999 :6381                the host is the one that answered, that of from
//	MOVED 3999 ?:6381               the server has no name for the node
//	MOVED 3999 :0                   the node has no address
//	MOVED 3999 10.0.0.1:0           the port is the one that answered, if from has it
//
// The result is what to dial: missing parts are those of from.Addr, and from.Map, if
// there is one, translates the address.
//
// The message may have a '-' in front, as on the wire, brackets around an IPv6 host,
// and white space at the end. For any other message the error is [ErrNotRedirect], or a
// [*slotmap.ParseError] if the message starts with MOVED or ASK. ParseRedirect takes
// time linear in message, and only a ParseError and from.Map allocate. The REDIRECT of
// a server outside a cluster has no slot and is not read.
func ParseRedirect(message string, from Origin) (Redirect, error) {
	text := strings.TrimPrefix(message, "-")
	var r Redirect
	switch {
	case text == "MOVED" || strings.HasPrefix(text, "MOVED "):
		text = text[len("MOVED"):]
	case text == "ASK" || strings.HasPrefix(text, "ASK "):
		r.Ask, text = true, text[len("ASK"):]
	default:
		return Redirect{}, ErrNotRedirect
	}
	fail := func(at string, reason string) (Redirect, error) {
		name, _, _ := strings.Cut(strings.TrimPrefix(message, "-"), " ")
		place := fmt.Sprintf("byte %d of %s", len(message)-len(at), reply.Quote(message))
		return Redirect{}, &slotmap.ParseError{Input: name, Place: place, Reason: reason}
	}
	text = strings.TrimPrefix(text, " ")
	slot, endpoint, _ := strings.Cut(text, " ")
	var err error
	if r.Slot, err = hashslot.ParseSlot(slot); err != nil {
		return fail(text, "the slot is not a number from 0 to 16383")
	}
	rest := endpoint
	host, port, ok := cutLast(strings.TrimRight(endpoint, " \t\r\n"), ':')
	if !ok {
		return fail(rest, "the endpoint has no port")
	}
	if r.Port, ok = parsePort(port); !ok {
		return fail(rest[len(host)+1:], "the port is not a number from 0 to 65535")
	}
	host = unbracket(host)
	if strings.ContainsAny(host, " \t\r\n[]") || strings.IndexByte(host, ':') >= 0 && !isIP(host) {
		return fail(rest, "the host is neither a name nor an address")
	}
	r.Host = host
	asked, askedPort := from.asked()
	switch {
	case wildcard(host):
		r.Host = asked
	case r.Port == 0:
		r.Port = askedPort
	}
	if r.routable() {
		r.Host, r.Port = from.reach(r.Host, r.Port)
	}
	return r, nil
}

// Addr returns the address of the node to go to, "host:port" with brackets
// around an IPv6 host. It is "" if there is none: then the redirect proves the map
// wrong, but does not name the owner.
func (r Redirect) Addr() string {
	if !r.routable() {
		return ""
	}
	return joinHostPort(r.Host, r.Port)
}

// routable reports whether the redirect has an address.
func (r Redirect) routable() bool { return !wildcard(r.Host) && r.Host != "?" && r.Port != 0 }

// An Action is what a client should do about an error.
type Action uint8

const (
	// ActionNone: the error is not about the cluster. It belongs to the caller.
	ActionNone Action = iota
	// ActionMoved: MOVED. Call [Router.Moved], and send the command where the
	// redirect says.
	ActionMoved
	// ActionAsk: ASK. Send ASKING, then the command, where the redirect says. Route the
	// next command by the map, as before.
	ActionAsk
	// ActionRetry: send the command again, to the same node, after a pause. TRYAGAIN:
	// the keys of the command are on two nodes while their slot is moved, or Kvrocks
	// is sending the rest of the slot. MIGRATING: the same, of old versions of Garnet.
	// NOREPLICAS: the primary has too few replicas to take a write (min-replicas-to-write).
	// NOTREADY: Redis 8.6 cannot migrate slots yet.
	ActionRetry
	// ActionRefresh: CLUSTERDOWN, and "ERR Cluster is not yet configured" of Dragonfly.
	// The slot has no owner, or too many nodes are missing, or the node has no
	// configuration yet. Ask another node for a new view, and send the command again
	// after a pause.
	ActionRefresh
	// ActionOtherNode: LOADING and MASTERDOWN. This node cannot answer now. Send a read
	// to another node of the shard. Send any other command again after a pause.
	ActionOtherNode
	// ActionPrimary: READONLY, and UNBLOCKED if the server ended a blocking command
	// because of its role. The node is a replica now. Ask for a new view, and send the
	// command to the primary. REDIRECT, from a server outside a cluster, says the same
	// and names the primary.
	ActionPrimary
	// ActionFail: CROSSSLOT. The keys of the command are in different slots. No node
	// will ever take the command. Return the error to the caller.
	ActionFail
	// ActionRestart: EXECABORT. The transaction was discarded, because one of its
	// commands was refused before. Do what the error of that command asks for, then send
	// the whole transaction again, from MULTI on, or from WATCH on if there was one.
	ActionRestart
)

var actionNames = [...]string{"none", "moved", "ask", "retry", "refresh", "other node", "primary", "fail", "restart"}

// String returns the action in words, such as "other node".
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "unknown action"
}

// Classify returns what a client should do about the error message of a server,
// with or without the '-' of the wire. It knows the errors of Valkey 9.1, Redis 8.6,
// Kvrocks, Dragonfly and Garnet. It looks at the first word only, except for UNBLOCKED
// and ERR, so an error that starts with MOVED is [ActionMoved] even if
// [ParseRedirect] cannot read it. It does not allocate.
func Classify(message string) Action {
	word, rest, _ := strings.Cut(strings.TrimPrefix(message, "-"), " ")
	switch strings.TrimRight(word, "\r\n") {
	case "MOVED":
		return ActionMoved
	case "ASK":
		return ActionAsk
	case "TRYAGAIN", "MIGRATING", "NOREPLICAS", "NOTREADY":
		return ActionRetry
	case "CLUSTERDOWN":
		return ActionRefresh
	case "LOADING", "MASTERDOWN":
		return ActionOtherNode
	case "READONLY", "REDIRECT":
		return ActionPrimary
	case "CROSSSLOT":
		return ActionFail
	case "EXECABORT":
		return ActionRestart
	case "UNBLOCKED":
		if !strings.HasPrefix(rest, "client unblocked") { // by CLIENT UNBLOCK, which somebody has sent
			return ActionPrimary
		}
	case "ERR":
		if strings.HasPrefix(rest, "Cluster is not yet configured") {
			return ActionRefresh
		}
	}
	return ActionNone
}
