package topology

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashslot/hashslot"
)

// The reference: slow and plain parsers, made to be read. The results of the real ones
// are compared with theirs.

type refNode struct {
	id, host, addr, ip, hostname, shardID, zone, endpoint string
	port, tlsPort, busPort                                int
	role, primary, health                                 string
	myself, fail, pfail, noaddr, handshake                bool
	epoch                                                 uint64
	slots                                                 *[hashslot.Count]bool
	migrating, importing                                  []string // "slot id"
	extra                                                 map[string]string

	name string // the id, or what stands for it
	of   int    // index of the primary, -1 for none
}

type refCluster struct {
	nodes  []*refNode
	owners [hashslot.Count]*refNode
}

var (
	refPort = regexp.MustCompile(`^(0|[1-9]\d{0,4})$`)
	refSlot = regexp.MustCompile(`^(0|[1-9]\d{0,4})(?:-(0|[1-9]\d{0,4}))?$`)
	refOpen = regexp.MustCompile(`^\[(0|[1-9]\d{0,4})(?:-(0|[1-9]\d{0,4}))?-([<>])-(.+)\]$`)
	refOwns = regexp.MustCompile(`(^|,)(master|primary)(,|$)`)
	refPing = regexp.MustCompile(`^\d+$`)
	refElse = regexp.MustCompile(`^[ \t\r\n]*([\[{"]|[$=*%~>][-0-9])`)
	refRole = regexp.MustCompile(`(^|,)(master|primary|slave|replica|handshake|noaddr|noflags)(,|$)`)
)

func refNumber(s string, most int) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && refPort.MatchString(s) && n <= most
}

// refNodesText reads CLUSTER NODES.
func refNodesText(text string, from Origin) (*refCluster, error) {
	c := &refCluster{}
	text = strings.TrimPrefix(strings.TrimPrefix(text, "\ufeff"), "txt:")
	if refElse.MatchString(text) || strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		return nil, fmt.Errorf("something else")
	}
	seen := map[string]bool{}
	for _, line := range strings.Split(text, "\n") {
		n, noID, err := refNodesLine(line, seen)
		if err != nil && (len(c.nodes) == 65536 || refMayOwn(line)) {
			return nil, err
		}
		if err != nil || n == nil {
			continue
		}
		if len(c.nodes) == 65536 {
			return nil, fmt.Errorf("too many")
		}
		seen[noID+n.id] = true
		c.nodes = append(c.nodes, n)
	}
	if len(c.nodes) == 0 {
		return nil, fmt.Errorf("no nodes")
	}
	for _, n := range c.nodes {
		// Only the node that was asked may mean the host that was asked.
		n.host = n.ip
		if n.host == "?" {
			n.host = n.hostname
		}
		if refNoHost(n.host) {
			n.host = ""
			if n.myself && n.endpoint != "?" {
				n.host, _ = refAsked(from)
			}
		}
		port := n.port
		if from.TLS && n.tlsPort != 0 {
			port = n.tlsPort
		}
		n.setAddr(port, from)
		if n.id == "" {
			if n.name = n.addr; n.name == "" {
				n.name = n.endpoint + ":" + strconv.Itoa(port)
			}
		}
	}
	c.unify()
	nameless := slices.DeleteFunc(slices.Clone(c.nodes), func(n *refNode) bool { return n.id != "" || n.role != "primary" })
	for _, n := range c.nodes {
		if n.role == "replica" {
			n.of = slices.IndexFunc(c.nodes, func(o *refNode) bool { return o.id != "" && o.id == n.primary })
			if n.primary == "" && len(nameless) == 1 {
				n.of = slices.Index(c.nodes, nameless[0])
			}
		}
	}
	c.settle()
	return c, nil
}

// refMayOwn reports whether a line that cannot be read may be that of an owner.
func refMayOwn(line string) bool {
	f := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' })
	link := slices.IndexFunc(f, func(s string) bool { return s == "connected" || s == "disconnected" })
	for i, s := range f {
		if (i == 1 || i == 2) && refOwns.MatchString(s) && (strings.Contains(f[i-1], ":") || link >= 0) {
			return true
		}
		if link >= 0 && i > link && s[0] >= '0' && s[0] <= '9' {
			return true
		}
		if m := refSlot.FindStringSubmatch(s); m != nil && m[2] != "" {
			first, _ := strconv.Atoi(m[1])
			if last, _ := strconv.Atoi(m[2]); first <= last && last < hashslot.Count {
				return true
			}
		}
	}
	return false
}

// refNodesLine reads a line of CLUSTER NODES; n is nil if it has none. noID is the
// address of a node without an id.
func refNodesLine(line string, seen map[string]bool) (n *refNode, noID string, err error) {
	f := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' })
	if len(f) == 0 || strings.EqualFold(f[0], "vars") {
		return nil, "", nil
	}
	if len(f) > 1 && strings.Contains(f[0], ":") && refRole.MatchString(f[1]) {
		noID = "address " + f[0]
		f = append([]string{""}, f...)
	}
	// An availability zone with spaces splits the address into several fields.
	if len(f) > 2 && strings.Contains(f[1], ",") && !refRole.MatchString(f[2]) {
		for i := 3; i < len(f) && i < 19; i++ {
			if refRole.MatchString(f[i]) {
				from := strings.Index(line, f[1]) // not shorter than the id, if that has it too
				if strings.Contains(f[0], f[1]) {
					from = strings.Index(line, f[0]) + len(f[0])
					from += strings.Index(line[from:], f[1])
				}
				joined := strings.TrimRight(refUpTo(line, from, i-1), " \t")
				f = append([]string{f[0], joined}, f[i:]...)
				break
			}
		}
	}
	if len(f) > 6 && refPing.MatchString(f[3]) && (f[6] == "connected" || f[6] == "disconnected") {
		f = slices.Insert(f, 3, "-")
	}
	if len(f) < 8 {
		return nil, "", fmt.Errorf("%d fields", len(f))
	}
	n = &refNode{id: f[0], name: f[0], slots: new([hashslot.Count]bool), of: -1, role: "unknown", extra: map[string]string{}}
	if seen[noID+n.id] {
		return nil, "", fmt.Errorf("twice")
	}

	// The address.
	parts := strings.Split(f[1], ",")
	ipPort := parts[0]
	if i := strings.LastIndex(ipPort, "@"); i >= 0 {
		n.busPort, _ = refNumber(ipPort[i+1:], 65535)
		if _, ok := refNumber(ipPort[i+1:], 65535); !ok {
			n.busPort = 0
		}
		ipPort = ipPort[:i]
	}
	i := strings.LastIndex(ipPort, ":")
	if i < 0 {
		return nil, "", fmt.Errorf("no port")
	}
	var ok bool
	if n.port, ok = refNumber(ipPort[i+1:], 65535); !ok {
		return nil, "", fmt.Errorf("bad port")
	}
	n.ip = ipPort[:i]
	if strings.HasPrefix(n.ip, "[") && strings.HasSuffix(n.ip, "]") {
		n.ip = n.ip[1 : len(n.ip)-1]
	}
	n.endpoint = n.ip
	for j, aux := range parts[1:] {
		name, value, isAux := strings.Cut(aux, "=")
		switch {
		case j == 0 && !isAux:
			n.hostname = aux
		case !isAux || name == "":
		case name == "shard-id":
			n.shardID = value
		case name == "replica-priority":
		case name == "availability-zone":
			n.zone = value
		case name == "tls-port":
			if p, ok := refNumber(value, 65535); ok {
				n.tlsPort = p
			} else {
				n.tlsPort = 0
			}
		case name == "tcp-port":
			if p, ok := refNumber(value, 65535); ok {
				n.tlsPort, n.port = n.port, p
			}
		default:
			n.extra[name] = value
		}
	}

	// The flags.
	isPrimary, isReplica := false, false
	for _, flag := range strings.Split(f[2], ",") {
		switch flag {
		case "myself":
			n.myself = true
		case "master", "primary":
			isPrimary = true
		case "slave", "replica":
			isReplica = true
		case "fail":
			n.fail = true
		case "fail?":
			n.pfail = true
		case "noaddr":
			n.noaddr = true
		case "handshake":
			n.handshake = true
		}
	}
	switch {
	case isPrimary && isReplica:
		return nil, "", fmt.Errorf("both")
	case n.handshake:
	case isPrimary:
		n.role = "primary"
	case isReplica:
		n.role = "replica"
		if f[3] != "-" {
			n.primary = f[3]
		}
	}
	if n.epoch, err = strconv.ParseUint(f[6], 10, 64); err != nil {
		return nil, "", err
	}
	if f[7] != "connected" && f[7] != "disconnected" {
		return nil, "", fmt.Errorf("link")
	}
	for _, item := range f[8:] {
		switch {
		case item[0] == '[':
			m := refOpen.FindStringSubmatch(item)
			if m == nil {
				continue
			}
			first, _ := strconv.Atoi(m[1])
			last := first
			if m[2] != "" {
				last, _ = strconv.Atoi(m[2])
			}
			for slot := first; slot <= last && last < hashslot.Count; slot++ {
				if m[3] == ">" {
					n.migrating = append(n.migrating, fmt.Sprint(slot, " ", m[4]))
				} else {
					n.importing = append(n.importing, fmt.Sprint(slot, " ", m[4]))
				}
			}
		case item[0] >= '0' && item[0] <= '9':
			m := refSlot.FindStringSubmatch(item)
			if m == nil {
				return nil, "", fmt.Errorf("bad slots")
			}
			first, _ := strconv.Atoi(m[1])
			last := first
			if m[2] != "" {
				last, _ = strconv.Atoi(m[2])
			}
			if first > last || last >= hashslot.Count {
				return nil, "", fmt.Errorf("bad slots")
			}
			for s := first; s <= last; s++ {
				n.slots[s] = true
			}
		}
	}
	return n, noID, nil
}

// refUpTo returns line from the offset to the end of its field with the index
// last, counted from the first field of the line.
func refUpTo(line string, from, last int) string {
	fields := 0
	inField := false
	for i := 0; i <= len(line); i++ {
		space := i == len(line) || line[i] == ' ' || line[i] == '\t' || line[i] == '\r'
		if inField && space {
			if fields-1 == last {
				return line[from:i]
			}
		} else if !inField && !space {
			fields++
		}
		inField = !space
	}
	return line[from:]
}

func refNoHost(host string) bool {
	return host == "" || host == "?" || host == "0.0.0.0" || host == "::"
}

func refAsked(from Origin) (host string, port int) {
	host = strings.Trim(from.Addr, "[]")
	if net.ParseIP(host) == nil {
		if h, p, err := net.SplitHostPort(from.Addr); err == nil {
			host = h
			port, _ = strconv.Atoi(p)
		}
	}
	if strings.Contains(from.Addr, "/") {
		return "", 0
	}
	if refNoHost(host) {
		host = ""
	}
	return host, port
}

func (n *refNode) setAddr(port int, from Origin) {
	if _, asked := refAsked(from); port == 0 && n.host != "" && !(from.TLS && n.port != 0) {
		port = asked
	}
	if n.noaddr || port == 0 {
		if refNoHost(n.ip) && refNoHost(n.endpoint) && (n.hostname == "" || n.endpoint != "?") {
			n.host = ""
		}
		return
	}
	if n.host != "" {
		n.addr = net.JoinHostPort(n.host, strconv.Itoa(port))
		if from.Map != nil {
			var err error
			n.addr = from.Map(n.addr)
			if n.host, _, err = net.SplitHostPort(n.addr); err != nil {
				n.addr = ""
			}
		}
	}
}

// unify merges the nodes that have the same name.
func (c *refCluster) unify() {
	var nodes []*refNode
	at := map[*refNode]int{}
	for _, n := range c.nodes {
		i := slices.IndexFunc(nodes, func(o *refNode) bool { return o.name == n.name })
		if i < 0 {
			i = len(nodes)
			nodes = append(nodes, n)
		}
		at[n] = i
		o := nodes[i]
		if o == n {
			continue
		}
		o.myself = o.myself || n.myself
		o.migrating, o.importing = append(o.migrating, n.migrating...), append(o.importing, n.importing...)
		if n.role == "primary" {
			if o.role != "primary" {
				o.role, o.of, o.primary, o.slots, o.epoch = "primary", -1, "", n.slots, n.epoch
			} else {
				o.epoch = max(o.epoch, n.epoch)
				for s, has := range n.slots {
					o.slots[s] = o.slots[s] || has
				}
			}
		}
	}
	for _, n := range nodes {
		if n.of >= 0 {
			n.of = at[c.nodes[n.of]]
		}
	}
	c.nodes = nodes
}

// settle finds the owner of each slot, one by one.
func (c *refCluster) settle() {
	primaries := slices.DeleteFunc(slices.Clone(c.nodes), func(n *refNode) bool { return n.role != "primary" })
	slices.SortStableFunc(primaries, func(a, b *refNode) int {
		return cmp.Or(
			-cmp.Compare(a.epoch, b.epoch),
			-compareBool(a.addr != "", b.addr != ""),
			cmp.Compare(a.name, b.name))
	})
	for s := range c.owners { // the first that claims it
		for _, n := range primaries {
			if n.slots[s] {
				c.owners[s] = n
				break
			}
		}
	}
}

// The replies that are lists. A value is a string, an int64, nil, a []any or a
// map[any]any, as go-redis decodes it.

func refList(v any) ([]any, error) {
	l, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%T is no list", v)
	}
	return l, nil
}

func refText(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", fmt.Errorf("%T is no text", v)
}

func refInt(v any, most int64) (int64, error) {
	var n int64
	switch v := v.(type) {
	case int64:
		n = v
	case float64:
		if v != float64(int64(v)) || v > 1<<52 || v < 0 {
			return 0, fmt.Errorf("%v is no number", v)
		}
		n = int64(v)
	case string:
		var err error
		if n, err = strconv.ParseInt(v, 10, 64); err != nil {
			return 0, err
		}
	default:
		return 0, fmt.Errorf("%T is no number", v)
	}
	if n < 0 || n > most {
		return 0, fmt.Errorf("%d is too much", n)
	}
	return n, nil
}

type refField struct {
	name  string
	value any
}

// refFields returns the fields of a map or of a list of names and values, those
// of a map in the order of the names.
func refFields(v any) ([]refField, error) {
	var fields []refField
	switch v := v.(type) {
	case nil:
	case map[any]any:
		for name, value := range v {
			s, ok := name.(string)
			if !ok {
				return nil, fmt.Errorf("%v is no name", name)
			}
			fields = append(fields, refField{strings.ToLower(s), value})
		}
		slices.SortFunc(fields, func(a, b refField) int { return cmp.Compare(a.name, b.name) })
	case []any:
		if len(v)%2 != 0 {
			return nil, fmt.Errorf("odd")
		}
		for i := 0; i < len(v); i += 2 {
			s, ok := v[i].(string)
			if !ok {
				return nil, fmt.Errorf("%v is no name", v[i])
			}
			fields = append(fields, refField{strings.ToLower(s), v[i+1]})
		}
	default:
		return nil, fmt.Errorf("%T has no fields", v)
	}
	return fields, nil
}

func refRange(first, last any) (int64, int64, error) {
	a, errA := refInt(first, hashslot.Count-1)
	b, errB := refInt(last, hashslot.Count-1)
	if errA != nil || errB != nil || a > b {
		return 0, 0, fmt.Errorf("%v to %v", first, last)
	}
	return a, b, nil
}

func refIP(s string) bool { _, err := netip.ParseAddr(s); return err == nil }

// refSlotsReply reads CLUSTER SLOTS.
func refSlotsReply(reply any, from Origin) (*refCluster, error) {
	c := &refCluster{}
	entries, err := refList(reply)
	if err != nil {
		return nil, err
	}
	odd := false
	for _, e := range entries {
		if e == nil {
			odd = true
			continue
		}
		entry, err := refList(e)
		if err != nil {
			return nil, err
		}
		if len(entry) == 0 {
			odd = true
			continue
		}
		if len(entry) == 1 {
			return nil, fmt.Errorf("short")
		}
		first, last, err := refRange(entry[0], entry[1])
		if err != nil {
			return nil, err
		}
		if len(entry) == 2 {
			odd = true
			continue
		}
		primary := -1
		for j, v := range entry[2:] {
			n := refSlotsNode(v)
			if n == nil && j > 0 {
				continue
			}
			if n == nil {
				odd = true
				break
			}
			node, _ := refList(v)
			// Seen before? The same node has the same id and the same address.
			at := slices.IndexFunc(c.nodes, func(o *refNode) bool {
				return o.id == n.id && o.endpoint == n.endpoint && o.port == n.port
			})
			if at < 0 {
				if len(node) > 3 {
					if fields, err := refFields(node[3]); err == nil {
						for _, f := range fields {
							n.refCommon([]refField{f})
						}
					}
				}
				if n.ip == "" && refIP(n.endpoint) {
					n.ip = n.endpoint
				}
				at = len(c.nodes)
				c.nodes = append(c.nodes, n)
			}
			n = c.nodes[at]
			switch {
			case j == 0:
				primary = at
				n.role, n.of = "primary", -1
				for s := first; s <= last; s++ {
					n.slots[int(s)] = true
				}
			case n.role == "unknown":
				n.role, n.of = "replica", primary
			}
		}
	}
	if odd && len(c.nodes) == 0 {
		return nil, fmt.Errorf("no entry has a primary")
	}
	c.name(from, func(n *refNode) int { return n.port })
	c.settle()
	return c, nil
}

// refSlotsNode reads what a node is known by, or returns nil.
func refSlotsNode(v any) *refNode {
	node, err := refList(v)
	if err != nil || len(node) < 2 || node[1] == nil {
		return nil
	}
	n := &refNode{slots: new([hashslot.Count]bool), of: -1, role: "unknown", extra: map[string]string{}}
	if n.endpoint, err = refText(node[0]); err != nil {
		return nil
	}
	port, err := refInt(node[1], 65535)
	if err != nil {
		return nil
	}
	n.port = int(port)
	if len(node) > 2 {
		if n.id, err = refText(node[2]); err != nil {
			return nil
		}
	}
	return n
}

// refCommon reads the fields that SLOTS and SHARDS have.
func (n *refNode) refCommon(fields []refField) error {
	for _, f := range fields {
		s, err := refText(f.value)
		switch f.name {
		case "ip":
			n.ip = ""
			if err == nil && s != "" && refIP(s) {
				n.ip = s
			}
		case "hostname":
			n.hostname = s
		case "availability-zone":
			n.zone = s
		default:
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// name finds the addresses, and what tells the nodes apart.
func (c *refCluster) name(from Origin, port func(*refNode) int) {
	for _, n := range c.nodes {
		n.host = n.endpoint
		if n.host == "?" {
			n.host = n.hostname
		}
		switch {
		case !refNoHost(n.host):
		case n.endpoint == "?":
			n.host = ""
		case port(n) == 0:
			n.host = ""
		default:
			n.host, _ = refAsked(from)
		}
		n.setAddr(port(n), from)
		if n.of >= 0 {
			n.primary = c.nodes[n.of].id
		}
	}
	for _, n := range c.nodes {
		n.name = n.id
		ambiguous := slices.ContainsFunc(c.nodes, func(o *refNode) bool { return o != n && o.id == n.id })
		if n.id == "" || ambiguous {
			n.name = n.addr
			if n.name == "" {
				n.name = n.endpoint + ":" + strconv.Itoa(port(n))
			}
		}
	}
	c.unify()
}

// refShardNode reads a node of CLUSTER SHARDS. If n is nil it cannot be read, and
// mayOwn says that it is not known to be a replica.
func refShardNode(m any) (n *refNode, told bool, offset int64, mayOwn bool) {
	fields, err := refFields(m)
	if err != nil || m == nil {
		return nil, false, 0, true
	}
	n = &refNode{slots: new([hashslot.Count]bool), of: -1}
	bad := false
	for _, f := range fields {
		var port int64
		var err error
		switch f.name {
		case "id":
			n.id, err = refText(f.value)
		case "endpoint":
			told = true
			n.endpoint, err = refText(f.value)
		case "port":
			if f.value != nil {
				port, err = refInt(f.value, 65535)
			}
			n.port = int(port)
		case "tls-port":
			if f.value != nil {
				port, err = refInt(f.value, 65535)
			}
			n.tlsPort = int(port)
		case "role":
			s, _ := f.value.(string)
			n.role = map[string]string{"master": "primary", "primary": "primary", "replica": "replica", "slave": "replica"}[strings.ToLower(s)]
			bad = bad || n.role == ""
		case "health":
			n.health, err = refText(f.value)
		case "replication-offset":
			offset = 0
			if f.value != nil {
				offset, err = refInt(f.value, 1<<63-1)
			}
		case "address":
			var s string
			if s, err = refText(f.value); refIP(s) {
				n.ip = s
			} else {
				n.hostname = s
			}
		default:
			err = n.refCommon([]refField{f})
		}
		bad = bad || err != nil
	}
	n.fail, n.pfail = n.health == "fail", n.health == "offline"
	if bad || n.role == "" {
		return nil, false, 0, n.role != "replica"
	}
	return n, told, offset, false
}

// refShardsReply reads CLUSTER SHARDS, of nodes that are listed once.
func refShardsReply(reply any, from Origin) (*refCluster, error) {
	c := &refCluster{}
	shards, err := refList(reply)
	if err != nil {
		return nil, err
	}
	anyTLS, odd := false, false
	for _, sh := range shards {
		fields, err := refFields(sh)
		if err != nil {
			return nil, err
		}
		if sh == nil {
			odd = true
			continue
		}
		var slots, members []any
		var id string
		hasSlots, hasNodes := false, false
		for _, f := range fields {
			switch f.name {
			case "slots":
				if hasSlots {
					return nil, fmt.Errorf("slots twice")
				}
				hasSlots = true
				slots = nil
				if f.value != nil {
					if slots, err = refList(f.value); err != nil {
						return nil, err
					}
				}
				if len(slots)%2 != 0 {
					return nil, fmt.Errorf("odd")
				}
				for i := 0; i < len(slots); i += 2 {
					if _, _, err := refRange(slots[i], slots[i+1]); err != nil {
						return nil, err
					}
				}
			case "nodes":
				if hasNodes {
					return nil, fmt.Errorf("nodes twice")
				}
				hasNodes = true
				if members, err = refList(f.value); err != nil {
					return nil, err
				}
			case "id":
				if id, err = refText(f.value); err != nil {
					odd = true
				}
			}
		}
		odd = odd || !hasSlots || !hasNodes
		var primaries, replicas []*refNode
		var offsets = map[*refNode]int64{}
		for _, m := range members {
			n, told, offset, mayOwn := refShardNode(m)
			if n == nil {
				if mayOwn && len(slots) > 0 {
					return nil, fmt.Errorf("an owner that cannot be read")
				}
				odd = true
				continue
			}
			n.shardID = id
			if !told {
				n.endpoint = cmp.Or(n.hostname, n.ip)
			}
			if slices.ContainsFunc(c.nodes, func(o *refNode) bool { return o.id == n.id }) {
				return nil, errRefTwice
			}
			if n.ip == "" && told && refIP(n.endpoint) {
				n.ip = n.endpoint
			}
			anyTLS = anyTLS || n.tlsPort != 0
			offsets[n] = offset
			c.nodes = append(c.nodes, n)
			if n.role == "primary" {
				primaries = append(primaries, n)
			} else {
				replicas = append(replicas, n)
			}
		}
		if len(primaries) == 0 {
			continue
		}
		owner := slices.MinFunc(primaries, func(a, b *refNode) int {
			return cmp.Or(compareBool(a.fail, b.fail), -cmp.Compare(offsets[a], offsets[b]), cmp.Compare(a.id, b.id))
		})
		for i := 0; i < len(slots); i += 2 {
			first, last, _ := refRange(slots[i], slots[i+1])
			for s := first; s <= last; s++ {
				owner.slots[int(s)] = true
			}
		}
		for _, n := range replicas {
			n.of = slices.Index(c.nodes, owner)
		}
	}
	if odd && len(c.nodes) == 0 {
		return nil, fmt.Errorf("no node")
	}
	c.name(from, func(n *refNode) int {
		if from.TLS && anyTLS {
			return n.tlsPort
		}
		return n.port
	})
	c.settle()
	return c, nil
}

// errRefTwice is the error of a node that is listed twice: the reference does not read
// such replies.
var errRefTwice = fmt.Errorf("a node twice")

// diff returns the first difference between c and the reference, or "".
func (ref *refCluster) diff(c *Cluster) string {
	if len(c.Nodes()) != len(ref.nodes) {
		return fmt.Sprintf("%d nodes, not %d", len(c.Nodes()), len(ref.nodes))
	}
	for i, want := range ref.nodes {
		got := c.Nodes()[i]
		for _, f := range []struct {
			name      string
			got, want any
		}{
			{"id", got.ID, want.id},
			{"key", got.key, want.name},
			{"host", got.Host, want.host},
			{"addr", got.Addr(), want.addr},
			{"ip", got.IP, want.ip},
			{"hostname", got.Hostname, want.hostname},
			{"port", got.EndpointPort, want.port},
			{"tls port", got.TLSPort, want.tlsPort},
			{"bus port", got.BusPort, want.busPort},
			{"role", got.Role.String(), want.role},
			{"primary", got.PrimaryID, want.primary},
			{"shard", got.ShardID, want.shardID},
			{"zone", got.AvailabilityZone, want.zone},
			{"health", string(got.Health), want.health},
			{"epoch", got.ConfigEpoch, want.epoch},
			{"myself", got.myself(), want.myself},
			{"fail", got.failed(), want.fail},
			{"pfail", got.Flags.Has(FlagPFail), want.pfail},
			{"noaddr", got.Flags.Has(FlagNoAddr), want.noaddr},
			{"migrating", refPeers(got.Migrating), strings.Join(want.migrating, ",")},
			{"importing", refPeers(got.Importing), strings.Join(want.importing, ",")},
		} {
			if f.got != f.want {
				return fmt.Sprintf("node %d: %s is %q, not %q", i, f.name, fmt.Sprint(f.got), fmt.Sprint(f.want))
			}
		}
	}
	for s, want := range ref.owners {
		shard, _ := c.Table().Lookup(hashslot.Slot(s))
		switch {
		case shard == nil && want == nil:
		case shard == nil || want == nil:
			return fmt.Sprintf("slot %d: owner %v, not %v", s, shard, want)
		case shard.Primary.key != want.name:
			return fmt.Sprintf("slot %d: owner %s, not %s", s, shard.Primary.key, want.name)
		}
	}
	// Each replica is in the shard of the primary that it leads to.
	var want, got []string
	for i, n := range ref.nodes {
		p := n.of
		for steps := 1; p >= 0 && ref.nodes[p].role != "primary"; steps++ {
			if p = ref.nodes[p].of; steps == 8 {
				p = -1
			}
		}
		if n.role == "replica" && p >= 0 {
			want = append(want, fmt.Sprintf("%d under %d", i, p))
		}
	}
	for _, s := range c.Shards() {
		for _, n := range s.Replicas {
			got = append(got, fmt.Sprintf("%d under %d", slices.Index(c.Nodes(), n), slices.Index(c.Nodes(), s.Primary)))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		return fmt.Sprintf("replicas %v, not %v", got, want)
	}
	return ""
}

func refPeers(peers []Peer) string {
	var parts []string
	for _, p := range peers {
		parts = append(parts, fmt.Sprint(p.Slot)+" "+p.Node)
	}
	return strings.Join(parts, ",")
}
