package topology

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/reply"
	"github.com/hashslot/hashslot/slotmap"
)

const (
	nodesCommand  = "CLUSTER NODES"
	slotsCommand  = "CLUSTER SLOTS"
	shardsCommand = "CLUSTER SHARDS"

	maxNodes = 1 << 16
	maxText  = 64 << 20
)

// ParseNodes reads the text of a reply to CLUSTER NODES, of version 3.0 or later, or
// of the file nodes.conf. from is the connection that was asked. It is needed for two
// reasons: the node that was asked may not know its own address, and nodes.conf has
// both TLS and plain ports. A byte order mark, the prefix "txt:", which some clients
// leave in front of a RESP3 verbatim string, and blank lines are skipped.
//
// The format is that of clusterGenNodeDescription in Valkey's cluster_legacy.c;
// in nodes.conf, auxiliary fields follow the address, and a line "vars currentEpoch
// ..." follows the nodes. Variants of other servers are read as well: a line without
// an id or without a primary (Dragonfly), and ranges of open slots (Kvrocks).
//
// Unknown flags, auxiliary fields and fields among the slots are ignored, with a
// warning. A line that cannot be understood is skipped with a warning, unless it names
// a primary or slots: then it is an error, since its slots would seem to be unassigned
// or another node's. A text without any node is also an error. Errors are of type
// [*slotmap.ParseError].
//
// ParseNodes makes up to four allocations a node. The Cluster keeps text in memory.
func ParseNodes(text string, from Origin) (*Cluster, error) {
	if len(text) > maxText {
		return nil, (&fault{reason: "longer than 64 MiB"}).of(nodesCommand)
	}
	p := nodesParser{c: &Cluster{command: nodesCommand}}
	start := 0
	for _, prefix := range [...]string{byteOrderMark, "txt:"} {
		if strings.HasPrefix(text[start:], prefix) {
			start += len(prefix)
		}
	}
	if form := otherForm(text[start:]); form != "" {
		return nil, (&fault{location{line: 1, offset: start}, "is " + form + ", not the text of CLUSTER NODES"}).of(nodesCommand)
	}
	// Make room for all nodes at once, but not for lines shorter than servers write.
	p.c.store = make([]Node, 0, min(strings.Count(text, "\n")+1, len(text)/60+1, maxNodes))
	p.c.byKey = make(map[string]int32, cap(p.c.store))
	for line := range strings.SplitSeq(text[start:], "\n") {
		p.line, p.number, p.start = line, p.number+1, start
		if err := p.parseLine(); err != nil {
			return nil, err.of(nodesCommand)
		}
		start += len(line) + 1
	}
	if len(p.c.store) == 0 {
		if p.skipped != nil {
			return nil, p.skipped.of(nodesCommand)
		}
		return nil, (&fault{location{line: 1}, "no node"}).of(nodesCommand)
	}
	p.c.resolve(from)
	p.joinNameless()
	p.c.build()
	return p.c, nil
}

const byteOrderMark = "\ufeff"

// otherForm names the format of a text that cannot begin with a node id, or returns "".
func otherForm(text string) string {
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		return "UTF-16"
	}
	text = strings.TrimLeft(text, " \t\r\n")
	if text == "" {
		return ""
	}
	switch text[0] {
	case '[', '{', '"':
		return "JSON"
	case '$', '=', '*', '%', '~', '>':
		if len(text) > 1 && (isDigit(text[1]) || text[1] == '-') {
			return "RESP that is not decoded"
		}
	}
	return ""
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// joinNameless gives the replicas whose primary is not named to the one primary that
// has no name, if there is one.
func (p *nodesParser) joinNameless() {
	primary := int32(0)
	for i := range p.c.store {
		if n := &p.c.store[i]; n.ID == "" && n.Role == RolePrimary {
			if primary != 0 {
				return
			}
			primary = int32(i) + 1
		}
	}
	for i := range p.c.store {
		if n := &p.c.store[i]; n.Role == RoleReplica && n.PrimaryID == "" {
			n.primary = primary
		}
	}
}

// A nodesParser reads one line after the other.
type nodesParser struct {
	c       *Cluster
	myself  bool
	skipped *fault          // the first line that was not understood
	unnamed map[string]bool // the addresses of the nodes without an id

	expanded int  // how many open slots came in ranges
	repeated bool // whether the node has repeated open slots, more than are kept

	line          string
	number, start int // of the line: its number, from 1, and its offset in the text
	at            int // offset in the line
}

// token returns the next token of the line and its offset in the line. The token is ""
// at the end of the line.
func (p *nodesParser) token() (s string, at int) {
	i := p.at
	for i < len(p.line) && isSpace(p.line[i]) {
		i++
	}
	at = i
	for i < len(p.line) && !isSpace(p.line[i]) {
		i++
	}
	p.at = i
	return p.line[at:i], at
}

// spaces are what separates the tokens of a line.
const spaces = " \t\r"

func isSpace(b byte) bool { return b == ' ' || b == '\t' || b == '\r' }

func (p *nodesParser) fail(at int, reason string) *fault {
	return &fault{p.place(at), reason}
}

func (p *nodesParser) warn(at int, reason string) { p.c.warn(p.place(at), reason) }

func (p *nodesParser) place(at int) location { return location{line: p.number, offset: p.start + at} }

func (p *nodesParser) parseLine() *fault {
	p.at = 0
	first, at := p.token()
	switch {
	case first == "":
		return nil
	case strings.EqualFold(first, "vars"):
		p.parseVars()
		return nil
	case len(p.c.store) == maxNodes:
		return p.fail(at, "more than 65536 nodes")
	}
	place := int32(len(p.c.store))
	p.c.store = append(p.c.store, Node{versioned: true})
	err := p.parseNode(&p.c.store[place])
	switch {
	case err == nil:
		p.keep(place)
		return nil
	case p.namesOwner():
		return err
	case p.skipped == nil:
		p.skipped = err
	}
	p.c.store = p.c.store[:place]
	p.c.warn(err.location, "the line is skipped: "+err.reason)
	return nil
}

// keep records the new node's id, and whether it is myself.
func (p *nodesParser) keep(place int32) {
	n := &p.c.store[place]
	if n.ID != "" {
		p.c.byKey[n.ID] = place
	}
	if n.myself() {
		if p.myself {
			p.warn(0, "a second node is myself")
		}
		p.myself = true
	}
}

// namesOwner reports whether the line, which cannot be understood, may be that of a
// node that owns slots: it has the flags of a primary where they belong, or slots.
func (p *nodesParser) namesOwner() bool {
	p.at = 0
	before, primary, link := "", false, false
	for i := 0; ; i++ {
		s, _ := p.token()
		if s == "" {
			return false
		}
		flags := "," + s + ","
		if (i == 1 || i == 2) && (strings.Contains(flags, ",master,") || strings.Contains(flags, ",primary,")) {
			primary = true
			if strings.Contains(before, ":") {
				return true
			}
		}
		_, err := slotmap.ParseRange(s)
		switch {
		case err == nil && strings.Contains(s, "-"), link && isDigit(s[0]):
			return true
		case isLinkState(s):
			link = true
		}
		if primary && link {
			return true
		}
		before = s
	}
}

// parseNode reads a line.
func (p *nodesParser) parseNode(n *Node) *fault {
	p.at = 0
	id, at := p.token()
	addr, addrAt := p.token()
	if strings.Contains(id, ":") && knownRole(addr) {
		// Dragonfly, asked at a replica, does not know the id of the primary.
		p.at = addrAt
		id, addr, addrAt = "", id, at
		if p.unnamed[addr] {
			return p.fail(at, "a second line for node "+reply.Quote(addr))
		}
		p.warn(at, "no node id: the node is known by its address")
	} else if _, ok := p.c.byKey[id]; ok {
		return p.fail(at, "a second line for node "+reply.Quote(id))
	}
	n.ID, n.key = id, id
	flags, flagsAt := p.token()
	if strings.Contains(addr, ",") && !knownRole(flags) {
		addr, flags, flagsAt = p.joinAddr(addr, addrAt, flags, flagsAt)
	}
	if flags == "" {
		return p.fail(len(p.line), "too few fields: there is no address or no flags")
	}
	if err := p.parseAddr(n, addr, addrAt); err != nil {
		return err
	}
	if err := p.parseFlags(n, flags, flagsAt); err != nil {
		return err
	}
	if err := p.parseState(n); err != nil {
		return err
	}
	if err := p.parseSlots(n); err != nil {
		return err
	}
	if id == "" {
		if p.unnamed == nil {
			p.unnamed = make(map[string]bool)
		}
		p.unnamed[addr] = true
	}
	return nil
}

// parseState reads the fields between the flags and the slots.
func (p *nodesParser) parseState(n *Node) *fault {
	primary, at := p.token()
	switch {
	case primary == "":
		return p.fail(at, "too few fields: there is no primary")
	case p.lacksPrimary(primary):
		if n.Role == RoleReplica {
			p.warn(at, "no primary of a replica")
		}
		p.at = at
	case primary != "-" && n.Role == RoleReplica:
		n.PrimaryID = primary
	}
	for _, f := range [...]struct {
		name string
		to   *int64
	}{{"ping-sent", &n.PingSent}, {"pong-recv", &n.PongReceived}} {
		s, at := p.token()
		v, err := strconv.ParseInt(s, 10, 64)
		switch {
		case s == "":
			return p.fail(at, "too few fields: there is no "+f.name)
		case err != nil:
			p.warn(at, f.name+" "+reply.Quote(s)+" is not a number")
		default:
			*f.to = v
		}
	}
	epoch, at := p.token()
	var err error
	if n.ConfigEpoch, err = strconv.ParseUint(epoch, 10, 64); err != nil {
		return p.fail(at, "config-epoch "+reply.Quote(epoch)+" is not a number")
	}
	n.LinkState, at = p.token()
	if !isLinkState(n.LinkState) {
		return p.fail(at, "link-state "+reply.Quote(n.LinkState)+" is neither connected nor disconnected")
	}
	return nil
}

func isLinkState(s string) bool { return s == "connected" || s == "disconnected" }

// lacksPrimary reports whether the field of the primary is missing, so that the token
// after the flags is ping-sent: then the link state is the third token after it.
func (p *nodesParser) lacksPrimary(token string) bool {
	if strings.Trim(token, "0123456789") != "" {
		return false
	}
	back := p.at
	p.token()
	p.token()
	link, _ := p.token()
	p.at = back
	return isLinkState(link)
}

// joinAddr puts together an address field that contains spaces, and returns it with the
// flags after it. A server writes its availability zone into nodes.conf unchecked, even
// if it cannot read the line back. The address field ends before the first field that is
// known to be flags.
func (p *nodesParser) joinAddr(addr string, addrAt int, flags string, flagsAt int) (string, string, int) {
	back := p.at
	for range 16 {
		if s, at := p.token(); knownRole(s) {
			addr = strings.TrimRight(p.line[addrAt:at], spaces)
			p.warn(addrAt, "spaces in the address field "+reply.Quote(addr))
			return addr, s, at
		}
	}
	p.at = back
	return addr, flags, flagsAt
}

// knownRole reports whether s is a list of flags in which one says what the node is.
func knownRole(s string) bool {
	for s != "" {
		flag, rest, _ := strings.Cut(s, ",")
		switch flag {
		case "master", "primary", "slave", "replica", "handshake", "noaddr", "noflags":
			return true
		}
		s = rest
	}
	return false
}

// parseAddr reads "ip:port@cport,hostname,name=value...". Only "ip:port" is required.
func (p *nodesParser) parseAddr(n *Node, addr string, at int) *fault {
	addr, aux, _ := strings.Cut(addr, ",")
	hostport, bus, ok := cutLast(addr, '@')
	if ok {
		var good bool
		if n.BusPort, good = parsePort(bus); !good {
			p.warn(at+len(hostport)+1, "cluster bus port "+reply.Quote(bus)+" is not a port")
		}
	}
	host, port, ok := cutLast(hostport, ':')
	if !ok {
		return p.fail(at, "address "+reply.Quote(addr)+" has no port")
	}
	if n.EndpointPort, ok = parsePort(port); !ok {
		return p.fail(at+len(host)+1, "port "+reply.Quote(port)+" is not a number from 0 to 65535")
	}
	host = unbracket(host)
	n.IP, n.Endpoint = host, host

	at += len(addr) + 1
	for first := true; aux != ""; first = false {
		field, rest, _ := strings.Cut(aux, ",")
		name, value, hasValue := strings.Cut(field, "=")
		switch {
		case field == "":
		case first && !hasValue:
			n.Hostname = field
		case !hasValue || name == "":
			p.warn(at, "auxiliary field "+reply.Quote(field)+" is not name=value")
		default:
			p.parseAux(n, name, value, at)
		}
		at += len(field) + 1
		aux = rest
	}
	return nil
}

func (p *nodesParser) parseAux(n *Node, name, value string, at int) {
	switch name {
	case "shard-id":
		n.ShardID = value
		return
	case "availability-zone":
		n.AvailabilityZone = value
		return
	case "tls-port":
		var ok bool
		if n.TLSPort, ok = parsePort(value); !ok {
			p.warn(at, "tls-port "+reply.Quote(value)+" is not a port")
		}
		return
	case "tcp-port":
		// TLS is the main protocol of this server, so the address has the TLS port.
		if port, ok := parsePort(value); ok {
			n.TLSPort, n.EndpointPort = n.EndpointPort, port
		} else {
			p.warn(at, "tcp-port "+reply.Quote(value)+" is not a port")
		}
		return
	case "replica-priority":
		if priority, err := strconv.ParseUint(value, 10, 31); err == nil {
			n.ReplicaPriority = int(priority)
		} else {
			p.warn(at, "replica-priority "+reply.Quote(value)+" is not a number")
		}
		return
	case "nodename", "human-nodename", "client-ipv4", "client-ipv6", "client-tcp-port", "client-tls-port":
	default:
		p.warn(at, "unknown auxiliary field "+reply.Quote(name))
	}
	n.setExtra(name, value)
}

// maxExtra bounds the fields in Node.Extra.
const maxExtra = 64

func (n *Node) setExtra(name, value string) {
	if n.Extra == nil {
		n.Extra = make(map[string]string)
	}
	if len(n.Extra) < maxExtra {
		n.Extra[name] = value
	}
}

func (p *nodesParser) parseFlags(n *Node, flags string, at int) *fault {
	here := at // of the flag
	for rest := flags; rest != ""; {
		var flag string
		flag, rest, _ = strings.Cut(rest, ",")
		switch flag {
		case "myself":
			n.Flags |= FlagMyself
		case "master", "primary":
			n.Flags |= FlagPrimary
		case "slave", "replica":
			n.Flags |= FlagReplica
		case "fail?":
			n.Flags |= FlagPFail
		case "fail":
			n.Flags |= FlagFail
		case "handshake":
			n.Flags |= FlagHandshake
		case "noaddr":
			n.Flags |= FlagNoAddr
		case "nofailover":
			n.Flags |= FlagNoFailover
		case "noflags":
		default:
			p.warn(here, "unknown flag "+reply.Quote(flag))
		}
		here += len(flag) + 1
	}
	switch {
	case n.Flags.Has(FlagPrimary | FlagReplica):
		return p.fail(at, "flags "+reply.Quote(flags)+" are both those of a primary and of a replica")
	case n.Flags.Has(FlagHandshake):
	case n.Flags.Has(FlagPrimary):
		n.Role = RolePrimary
	case n.Flags.Has(FlagReplica):
		n.Role = RoleReplica
	}
	return nil
}

// parseSlots reads the fields after the link state: "5462", "0-5460", "[5->-id]" and
// "[5-<-id]", and, of Kvrocks, "[5-9->-id]" and "[5-9-<-id]".
func (p *nodesParser) parseSlots(n *Node) *fault {
	room := min(strings.Count(p.line[p.at:], " "), hashslot.Count)
	p.repeated = false
	for s, at := p.token(); s != ""; s, at = p.token() {
		switch {
		case s[0] == '[':
			p.parseOpen(n, s, at)
		case !isDigit(s[0]):
			p.warn(at, "unknown field "+reply.Quote(s))
		default:
			r, err := slotmap.ParseRange(s)
			if err != nil {
				return p.fail(at, reply.Quote(s)+" is not a slot or a range of slots from 0 to 16383")
			}
			if n.Slots == nil {
				n.Slots = make([]slotmap.Range, 0, room)
			}
			n.Slots = append(n.Slots, r)
		}
	}
	if n.dedupe() {
		p.warn(0, "slots more than once")
	}
	if p.repeated {
		p.warn(0, "open slots more than once")
		n.Migrating, n.Importing = slices.Clone(onePerSlot(n.Migrating)), slices.Clone(onePerSlot(n.Importing))
	}
	if len(n.Slots) > 0 && n.Role != RolePrimary {
		p.warn(0, "slots of a node that is no primary, which owns none: "+reply.Quote(n.ID))
	}
	return nil
}

// dedupe removes repetitions from n.Slots if it has more than 16384 slots with them. It
// reports whether it did.
func (n *Node) dedupe() bool {
	total := 0
	for _, r := range n.Slots {
		total += r.Len()
	}
	if total <= hashslot.Count {
		return false
	}
	var set slotmap.Set
	for _, r := range n.Slots {
		set.AddRange(r)
	}
	n.Slots = slices.Collect(set.Ranges())
	return true
}

// parseOpen reads an open slot, or a range of them. A field that cannot be read is
// skipped, since open slots do not change who owns a slot.
func (p *nodesParser) parseOpen(n *Node, s string, at int) {
	inner, closed := strings.CutSuffix(s[1:], "]")
	slots, peer, _ := strings.Cut(inner, "->-")
	to := &n.Migrating
	if before, after, _ := strings.Cut(inner, "-<-"); len(before) < len(slots) {
		slots, peer, to = before, after, &n.Importing
	}
	r, err := slotmap.ParseRange(slots)
	if !closed || err != nil || peer == "" {
		p.warn(at, reply.Quote(s)+" is not an open slot, [slot->-id] or [slot-<-id]")
		return
	}
	if r.First != r.Last {
		if p.expanded += r.Len(); p.expanded > maxExpanded {
			p.warn(at, "ranges of more than 65536 open slots")
			return
		}
	}
	for slot := r.First; slot <= r.Last; slot++ {
		if len(*to) == 2*hashslot.Count {
			*to, p.repeated = onePerSlot(*to), true // to bound memory
		}
		*to = append(*to, Peer{slot, peer})
	}
}

// maxExpanded bounds the open slots that a text can list as ranges. A node lists only
// its own, at most 16384.
const maxExpanded = 4 * hashslot.Count

// onePerSlot returns the first peer of each slot. It modifies peers.
func onePerSlot(peers []Peer) []Peer {
	var seen [hashslot.Count]bool
	return slices.DeleteFunc(peers, func(p Peer) bool {
		again := seen[p.Slot]
		seen[p.Slot] = true
		return again
	})
}

func (p *nodesParser) parseVars() {
	for {
		name, _ := p.token()
		value, at := p.token()
		switch {
		case name == "":
			return
		case strings.EqualFold(name, "currentEpoch"):
			if epoch, err := strconv.ParseUint(value, 10, 64); err == nil {
				p.c.currentEpoch = epoch
			} else {
				p.warn(at, "currentEpoch "+reply.Quote(value)+" is not a number")
			}
		case strings.EqualFold(name, "lastVoteEpoch"):
		default:
			p.warn(at, "unknown variable "+reply.Quote(name))
		}
	}
}

// parsePort reads a port from 0 to 65535, without leading zeros.
func parsePort(s string) (port int, ok bool) {
	if s == "" || s[0] == '0' && s != "0" {
		return 0, false
	}
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		if port = port*10 + int(s[i]-'0'); port > 65535 {
			return 0, false
		}
	}
	return port, true
}

// cutLast is strings.Cut at the last sep.
func cutLast(s string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
