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
	merged        = "merged views"

	maxNodes = 1 << 16
	maxText  = 64 << 20
)

// ParseNodes reads the text that CLUSTER NODES replies, of version 3.0 or any
// later one, or the file nodes.conf. from is the connection that was asked: the
// text does not tell the address of the node that was asked if that node does
// not know it, and nodes.conf has ports for TLS and without. The prefix "txt:" that some clients leave
// in front of a RESP3 verbatim string is skipped, and so are blank lines.
//
// The format is that of clusterGenNodeDescription in Valkey's cluster_legacy.c;
// in nodes.conf, auxiliary fields follow the address and a line "vars
// currentEpoch ..." the nodes. What is unknown is skipped with a warning:
// flags, auxiliary fields, fields behind the slots. The error is a
// [*ParseError]; a text without any node is one.
//
// ParseNodes makes up to four allocations a node. The Cluster keeps text.
func ParseNodes(text string, from Origin) (*Cluster, error) {
	if len(text) > maxText {
		return nil, &ParseError{Command: nodesCommand, Reason: "longer than 64 MiB"}
	}
	p := nodesParser{c: &Cluster{command: nodesCommand}}
	start := 0
	if strings.HasPrefix(text, "txt:") {
		start = len("txt:")
	}
	// Make room for all nodes at once, if the lines are of a credible length.
	p.c.store = make([]Node, 0, min(strings.Count(text, "\n")+1, len(text)/60+1, maxNodes))
	p.c.byKey = make(map[string]int32, cap(p.c.store))
	for line := 1; start < len(text); line++ {
		end := strings.IndexByte(text[start:], '\n')
		if end < 0 {
			end = len(text)
		} else {
			end += start
		}
		p.line, p.number, p.start = text[start:end], line, start
		if err := p.parseLine(); err != nil {
			return nil, err
		}
		start = end + 1
	}
	if len(p.c.store) == 0 {
		return nil, &ParseError{nodesCommand, Place{Line: 1}, "no node"}
	}
	p.c.resolve(from)
	p.c.build()
	return p.c, nil
}

// nodesParser reads one line after the other.
type nodesParser struct {
	c      *Cluster
	myself bool

	line          string
	number, start int // of the line: from 1, and its offset
	at            int // place in line
}

// token returns the next token of the line, and where it is; "" at the end.
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

func isSpace(b byte) bool { return b == ' ' || b == '\t' || b == '\r' }

func (p *nodesParser) fail(at int, reason string) error {
	return &ParseError{nodesCommand, p.place(at), reason}
}

func (p *nodesParser) warn(at int, reason string) { p.c.warn(p.place(at), reason) }

func (p *nodesParser) place(at int) Place { return Place{Line: p.number, Offset: p.start + at} }

func (p *nodesParser) parseLine() error {
	p.at = 0
	id, at := p.token()
	switch {
	case id == "":
		return nil
	case strings.EqualFold(id, "vars"):
		return p.parseVars()
	case len(p.c.store) == maxNodes:
		return p.fail(at, "more than 65536 nodes")
	}
	if _, ok := p.c.byKey[id]; ok {
		return p.fail(at, "a second line for node "+reply.Quote(id))
	}
	p.c.byKey[id] = int32(len(p.c.store))
	p.c.store = append(p.c.store, Node{ID: id, key: id, versioned: true})
	n := &p.c.store[len(p.c.store)-1]

	addr, addrAt := p.token()
	flags, flagsAt := p.token()
	if strings.IndexByte(addr, ',') >= 0 && !knownRole(flags) {
		addr, flags, flagsAt = p.joinAddr(addr, addrAt, flags, flagsAt)
	}
	if addr == "" || flags == "" {
		return p.fail(len(p.line), "too few fields: there is no address or no flags")
	}
	if err := p.parseAddr(n, addr, addrAt); err != nil {
		return err
	}
	if err := p.parseFlags(n, flags, flagsAt); err != nil {
		return err
	}
	primary, at := p.token()
	switch {
	case primary == "":
		return p.fail(at, "too few fields: there is no primary")
	case primary != "-" && n.Role == RoleReplica:
		n.PrimaryID = primary
	}
	for _, f := range [...]struct {
		name string
		to   *int64
	}{{"ping-sent", &n.PingSent}, {"pong-recv", &n.PongReceived}} {
		s, at := p.token()
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return p.fail(at, f.name+" "+reply.Quote(s)+" is not a number")
		}
		*f.to = v
	}
	epoch, at := p.token()
	var err error
	if n.ConfigEpoch, err = strconv.ParseUint(epoch, 10, 64); err != nil {
		return p.fail(at, "config-epoch "+reply.Quote(epoch)+" is not a number")
	}
	n.LinkState, at = p.token()
	if n.LinkState != "connected" && n.LinkState != "disconnected" {
		return p.fail(at, "link-state "+reply.Quote(n.LinkState)+" is neither connected nor disconnected")
	}
	return p.parseSlots(n)
}

// joinAddr puts an address together that has spaces: a server writes what it
// was given for its availability zone into nodes.conf, and cannot read it
// again. The address goes on to the field that has flags.
func (p *nodesParser) joinAddr(addr string, addrAt int, flags string, flagsAt int) (string, string, int) {
	back := p.at
	for range 16 {
		s, at := p.token()
		if s == "" {
			break
		}
		if knownRole(s) {
			addr = strings.TrimRight(p.line[addrAt:at], " \t")
			p.warn(addrAt, "spaces in the address field "+reply.Quote(addr))
			return addr, s, at
		}
	}
	p.at = back
	return addr, flags, flagsAt
}

// knownRole reports whether s is a list of flags that tells what the node is.
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

// parseAddr reads "ip:port@cport,hostname,name=value...", of which only
// "ip:port" must be there.
func (p *nodesParser) parseAddr(n *Node, addr string, at int) error {
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
		// TLS is this server's first port: the address has the TLS port.
		if port, ok := parsePort(value); ok {
			n.TLSPort, n.EndpointPort = n.EndpointPort, port
		} else {
			p.warn(at, "tcp-port "+reply.Quote(value)+" is not a port")
		}
		return
	case "nodename", "human-nodename", "client-ipv4", "client-ipv6", "client-tcp-port", "client-tls-port":
	default:
		p.warn(at, "unknown auxiliary field "+reply.Quote(name))
	}
	n.setExtra(name, value)
}

// maxExtra is how many fields of its own making a reply can give to a node.
const maxExtra = 64

func (n *Node) setExtra(name, value string) {
	if n.Extra == nil {
		n.Extra = make(map[string]string)
	}
	if len(n.Extra) < maxExtra {
		n.Extra[name] = value
	}
}

func (p *nodesParser) parseFlags(n *Node, flags string, at int) error {
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
			p.warn(at, "unknown flag "+reply.Quote(flag))
		}
		at += len(flag) + 1
	}
	switch {
	case n.Flags.Has(FlagPrimary | FlagReplica):
		return p.fail(at-len(flags)-1, "flags "+reply.Quote(flags)+" are both those of a primary and of a replica")
	case n.Flags&FlagHandshake != 0:
	case n.Flags&FlagPrimary != 0:
		n.Role = RolePrimary
	case n.Flags&FlagReplica != 0:
		n.Role = RoleReplica
	}
	if n.Myself() {
		if p.myself {
			p.warn(0, "a second node is myself")
		}
		p.myself = true
	}
	return nil
}

// parseSlots reads what follows the link state: "5462", "0-5460",
// "[5->-id]" and "[5-<-id]".
func (p *nodesParser) parseSlots(n *Node) error {
	room := min(strings.Count(p.line[p.at:], " "), hashslot.Count)
	total := 0
	for {
		s, at := p.token()
		if s == "" {
			break
		}
		if s[0] == '[' {
			if err := p.parseOpen(n, s, at); err != nil {
				return err
			}
			continue
		}
		if s[0] < '0' || '9' < s[0] {
			p.warn(at, "unknown field "+reply.Quote(s))
			continue
		}
		r, err := slotmap.ParseRange(s)
		if err != nil {
			return p.fail(at, reply.Quote(s)+" is not a slot or a range of slots from 0 to 16383")
		}
		if n.Slots == nil {
			n.Slots = make([]slotmap.Range, 0, room)
		}
		n.Slots = append(n.Slots, r)
		total += r.Len()
	}
	if n.dedupe(total) {
		p.warn(0, "slots more than once")
	}
	if max(len(n.Migrating), len(n.Importing)) > hashslot.Count || max(cap(n.Migrating), cap(n.Importing)) > 2*hashslot.Count {
		p.warn(0, "open slots more than once")
		n.Migrating, n.Importing = slices.Clone(onePerSlot(n.Migrating)), slices.Clone(onePerSlot(n.Importing))
	}
	if len(n.Slots) > 0 && n.Role != RolePrimary {
		p.warn(0, "slots of a node that is no primary, which owns none: "+reply.Quote(n.ID))
	}
	return nil
}

// dedupe makes n.Slots, which have so many slots in total, the ranges of the same
// slots without repetition if they are more than there are, and reports whether.
func (n *Node) dedupe(total int) bool {
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

func (p *nodesParser) parseOpen(n *Node, s string, at int) error {
	inner, closed := strings.CutSuffix(s[1:], "]")
	slot, rest, _ := strings.Cut(inner, "-")
	open, err := hashslot.ParseSlot(slot)
	if !closed || err != nil || len(rest) < 3 || rest[1] != '-' || rest[0] != '>' && rest[0] != '<' {
		return p.fail(at, reply.Quote(s)+" is not an open slot, [slot->-id] or [slot-<-id]")
	}
	peer := Peer{open, rest[2:]}
	if rest[0] == '>' {
		n.Migrating = appendPeer(n.Migrating, peer)
	} else {
		n.Importing = appendPeer(n.Importing, peer)
	}
	return nil
}

// appendPeer is append, but what it makes has no room for many times more open
// slots than there are: a node that repeats them keeps the first of each.
func appendPeer(peers []Peer, p Peer) []Peer {
	if len(peers) >= 2*hashslot.Count {
		peers = onePerSlot(peers)
	}
	return append(peers, p)
}

// onePerSlot returns the first of the peers of each slot.
func onePerSlot(peers []Peer) []Peer {
	var seen [hashslot.Count]bool
	return slices.DeleteFunc(peers, func(p Peer) bool {
		again := seen[p.Slot]
		seen[p.Slot] = true
		return again
	})
}

func (p *nodesParser) parseVars() error {
	for {
		name, _ := p.token()
		value, at := p.token()
		switch {
		case name == "":
			return nil
		case strings.EqualFold(name, "currentEpoch"):
			epoch, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return p.fail(at, "currentEpoch "+reply.Quote(value)+" is not a number")
			}
			p.c.currentEpoch = epoch
		case strings.EqualFold(name, "lastVoteEpoch"):
		default:
			p.warn(at, "unknown variable "+reply.Quote(name))
		}
	}
}

func parsePort(s string) (int, bool) {
	n, ok := parseSmall(s)
	if !ok || n > 65535 {
		return 0, false
	}
	return n, true
}

// parseSmall reads a number of up to five digits without leading zeros.
func parseSmall(s string) (n int, ok bool) {
	if len(s) == 0 || len(s) > 5 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || '9' < s[i] {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
