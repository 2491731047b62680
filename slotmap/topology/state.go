package topology

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// A state is everything a Router knows. It never changes: a step makes a new
// state from it. So a reader that loads it once sees the Router at one moment.
//
// A state has the nodes of the last view that was taken; at most 16384 nodes that
// this view lacks, which own slots or are replicas of such owners; and the nodes
// that redirects have named since, each of which owns a slot.
type state struct {
	table   slotmap.Table[*Shard] // by value, which saves readers a load
	gen     Generation
	members members
	shards  []*Shard // all: those with slots by their first slot, then the others by the primary's key

	// Only writes use these.

	grounds  *slotmap.Table[*ground] // why each slot has its owner
	suspects map[string]*suspicion   // by the node's key
	pongs    *Cluster                // the last CLUSTER NODES view that was taken, for its pongs
	viewed   bool                    // a view was taken
	pending  bool                    // a view was asked for, and none was taken as a whole since
	pushes   []int64                 // the numbers of the last migrations that were taken
}

var noState = &state{grounds: new(slotmap.Table[*ground])}

// A member is a node and the shard it is in.
type member struct {
	node  *Node
	shard *Shard
}

// A finder finds members by a key. States that differ in few members share the
// base. over holds what has changed since the base was made.
type finder struct {
	base map[string]member
	over map[string]member // a member without a node is deleted
}

func (x *finder) get(key string) (member, bool) {
	if m, ok := x.over[key]; ok {
		return m, m.node != nil
	}
	m, ok := x.base[key]
	return m, ok
}

// with returns x with the changes. It takes over the map of changes. A new base is
// made only if over would exceed an eighth of the old one.
func (x *finder) with(changes map[string]member) finder {
	for key, m := range x.over {
		if _, ok := changes[key]; !ok {
			changes[key] = m
		}
	}
	if len(changes) <= len(x.base)/8 {
		return finder{x.base, changes}
	}
	base := make(map[string]member, len(x.base)+len(changes))
	for key, m := range x.base {
		if _, ok := changes[key]; !ok {
			base[key] = m
		}
	}
	for key, m := range changes {
		if m.node != nil {
			base[key] = m
		}
	}
	return finder{base: base}
}

// members finds the nodes of the map. Each node is in exactly one shard.
type members struct {
	byKey     finder
	byAddr    finder // by each address of Node.addrs
	ambiguous bool   // several nodes share an address
}

// nodesOf yields the nodes of the shards.
func nodesOf(shards []*Shard) iter.Seq2[*Node, *Shard] {
	return func(yield func(*Node, *Shard) bool) {
		for _, s := range shards {
			if !yield(s.Primary, s) {
				return
			}
			for _, n := range s.Replicas {
				if !yield(n, s) {
					return
				}
			}
		}
	}
}

// membersOf returns the members of the shards. No node may be in them twice.
func membersOf(shards []*Shard) (m members) {
	m.byKey.base, m.byAddr.base = make(map[string]member, 2*len(shards)), make(map[string]member, 2*len(shards))
	for n, s := range nodesOf(shards) {
		m.byKey.base[n.key] = member{n, s}
		for a := range n.addrs {
			// If several nodes share an address, it means a primary, then the node
			// with the smaller id.
			other, taken := m.byAddr.base[a]
			m.ambiguous = m.ambiguous || taken
			if !taken || cmp.Or(compareBool(n.Role == RolePrimary, other.node.Role == RolePrimary), -cmp.Compare(n.key, other.node.key)) > 0 {
				m.byAddr.base[a] = member{n, s}
			}
		}
	}
	return m
}

// with returns m without the shards in gone and with those in came. It reports
// false if m is empty, or if nodes share an address: then membersOf must find out
// which node the address means.
func (m *members) with(gone, came []*Shard) (members, bool) {
	if m.ambiguous || m.byKey.base == nil {
		return members{}, false
	}
	byKey, byAddr := make(map[string]member), make(map[string]member)
	for n := range nodesOf(gone) {
		byKey[n.key] = member{}
		for a := range n.addrs {
			byAddr[a] = member{}
		}
	}
	for n, s := range nodesOf(came) {
		byKey[n.key] = member{n, s}
		for a := range n.addrs {
			other, changed := byAddr[a]
			if !changed {
				other, _ = m.byAddr.get(a)
			}
			if other.node != nil {
				return members{}, false // another node has the address too
			}
			byAddr[a] = member{n, s}
		}
	}
	return members{m.byKey.with(byKey), m.byAddr.with(byAddr), false}, true
}

// same returns the member that is the same node as n, by [Node.same].
func (m *members) same(n *Node) (member, bool) {
	if x, ok := m.byKey.get(n.key); ok {
		return x, true
	}
	if n.addr == "" {
		return member{}, false
	}
	if x, ok := m.byKey.get(n.addr); ok && x.node.same(n) {
		return x, true
	}
	if x, ok := m.byAddr.get(n.addr); ok && x.node.same(n) {
		return x, true
	}
	return member{}, false
}

// find returns the node that has the address. Nodes behind a proxy may share one:
// then the nodes of the given shard, which may be nil, go first.
func (s *state) find(addr string, shard *Shard) (member, bool) {
	if shard != nil {
		if shard.Primary.hasAddr(addr) {
			return member{shard.Primary, shard}, true
		}
		for _, n := range shard.Replicas {
			if n.hasAddr(addr) {
				return member{n, shard}, true
			}
		}
	}
	m, ok := s.members.byAddr.get(addr)
	return m, ok
}

// owner returns the owner of the slot and its ground, or nil and nil.
func (s *state) owner(slot hashslot.Slot) (*Shard, *ground) {
	shard, _ := s.table.Lookup(slot)
	g, _ := s.grounds.Lookup(slot)
	return shard, g
}

// runs splits all slots into ranges and yields these, ascending. The slots of a
// range have the same owner and the same ground in s, and the same owner in view,
// which may be nil.
func (s *state) runs(view *slotmap.Table[*Shard]) iter.Seq[slotmap.Range] {
	var starts slotmap.Set // the first slots of the ranges; 0 is one in any case
	cut := func(r slotmap.Range) {
		starts.Add(r.First)
		if end := r.Last + 1; end.Valid() {
			starts.Add(end)
		}
	}
	for r := range s.table.Ranges() {
		cut(r)
	}
	for r := range s.grounds.Ranges() {
		cut(r)
	}
	if view != nil {
		for r := range view.Ranges() {
			cut(r)
		}
	}
	return func(yield func(slotmap.Range) bool) {
		first := hashslot.Slot(0)
		for start := range starts.Slots() {
			if start > first && !yield(slotmap.Range{First: first, Last: start - 1}) {
				return
			}
			first = start
		}
		yield(slotmap.Range{First: first, Last: hashslot.Count - 1})
	}
}

// become completes next, a copy of s that a step changes, and returns the Change,
// or nil if there is none. table has the owners of next. idle lists shards that next
// has even if they own no slots, unless the primary is known only from a redirect:
// such a shard goes with its last slot. moved are the slots that go to another node.
func (s *state) become(next *state, table *slotmap.Table[*Shard], idle []*Shard, moved slotmap.Set) *Change {
	next.table = *table
	next.shards = make([]*Shard, 0, len(idle))
	listed := make(map[*Shard]bool, len(idle))
	for shard := range table.Owners() {
		listed[shard] = true
		next.shards = append(next.shards, shard)
	}
	owning := len(next.shards)
	for _, shard := range idle {
		if !listed[shard] && !shard.Primary.stranger {
			listed[shard] = true
			next.shards = append(next.shards, shard)
		}
	}
	slices.SortFunc(next.shards[owning:], func(a, b *Shard) int { return cmp.Compare(a.Primary.key, b.Primary.key) })

	change := &Change{Slots: moved}
	var gone, came []*Shard
	for _, shard := range s.shards {
		if !listed[shard] {
			gone = append(gone, shard)
		}
	}
	for _, shard := range next.shards {
		if m, _ := s.members.byKey.get(shard.Primary.key); m.shard != shard {
			came = append(came, shard)
		}
	}
	if len(gone)+len(came) > 0 {
		var ok bool
		if next.members, ok = s.members.with(gone, came); !ok {
			next.members = membersOf(next.shards)
		}
		change.compare(s, next, gone, came)
		next.suspects = maps.Clone(next.suspects)
		maps.DeleteFunc(next.suspects, func(key string, _ *suspicion) bool {
			_, ok := next.members.byKey.get(key)
			return !ok
		})
	}
	if moved.IsEmpty() && len(change.Added)+len(change.Removed)+len(change.Updated) == 0 {
		return nil
	}
	next.gen = s.gen + 1
	change.Generation = next.gen
	return change
}

// replace returns s with the shard after in place of before, and the Change.
func (s *state) replace(before, after *Shard) (*state, *Change) {
	next := *s
	b := s.table.Builder()
	for r, o := range s.table.Ranges() {
		if o == before {
			b.Assign(r, after)
		}
	}
	shards := slices.Clone(s.shards)
	shards[slices.Index(shards, before)] = after
	change := s.become(&next, b.Build(), shards, slotmap.Set{})
	return &next, change
}

// with returns a copy of the shard with next in place of n.
func (s *Shard) with(n, next *Node) *Shard {
	t := *s
	if n == t.Primary {
		t.Primary = next
		return &t
	}
	t.Replicas = slices.Clone(t.Replicas)
	t.Replicas[slices.Index(t.Replicas, n)] = next
	return &t
}

// compare records which nodes were added, removed and updated when s became next.
// before lists the shards that only s has, after those that only next has.
func (c *Change) compare(s, next *state, before, after []*Shard) {
	var gone []*Node
	for n := range nodesOf(before) {
		if _, ok := next.members.byKey.get(n.key); !ok {
			gone = append(gone, n)
		}
	}
	var came []*Node
	for n, shard := range nodesOf(after) {
		if b, ok := s.members.byKey.get(n.key); !ok {
			came = append(came, n)
		} else if !b.node.routesAs(n) || b.shard.Primary.key != shard.Primary.key {
			c.Updated = append(c.Updated, Update{b.node, n})
		}
	}
	byKey := func(a, b *Node) int { return cmp.Compare(a.key, b.key) }
	slices.SortFunc(gone, byKey)
	slices.SortFunc(came, byKey)
	// A node without an id is known by its address. If it gets an id, or loses the one
	// it had, its key changes, but it is the same node: that is an Update. Of the nodes
	// that share an address, at most one has no id.
	at, atWithout := make(map[string]int), make(map[string]int)
	for i, n := range came {
		if _, ok := at[n.addr]; !ok {
			at[n.addr] = i
		}
		if n.ID == "" {
			atWithout[n.addr] = i
		}
	}
	paired := make([]bool, len(came))
	for _, n := range gone {
		i, ok := atWithout[n.addr]
		if n.ID == "" {
			i, ok = at[n.addr]
		}
		if !ok || n.addr == "" || paired[i] {
			c.Removed = append(c.Removed, n)
			continue
		}
		paired[i] = true
		c.Updated = append(c.Updated, Update{n, came[i]})
	}
	for i, n := range came {
		if !paired[i] {
			c.Added = append(c.Added, n)
		}
	}
	slices.SortFunc(c.Updated, func(a, b Update) int { return byKey(a.After, b.After) })
}

// addrs yields the addresses by which a redirect may name n: a redirect has the
// endpoint that the server prefers for its connection, and a view may have another. A
// host and a port belong together only if both are what Origin.Map was given, or both
// what it returned: any other pair may be the address of another node.
func (n *Node) addrs(yield func(string) bool) {
	if n.addr != "" && !yield(n.addr) {
		return
	}
	hosts := [...]string{n.Host, n.Endpoint, n.IP, n.Hostname}
	ports := [...]int{n.Port, n.EndpointPort, n.TLSPort}
	if n.mapped {
		hosts[0], ports[0] = "", 0
	}
	for i, host := range hosts {
		if wildcard(host) || host == "?" || slices.Contains(hosts[:i], host) {
			continue
		}
		for j, port := range ports {
			if port == 0 || slices.Contains(ports[:j], port) || host == n.Host && port == n.Port && n.addr != "" {
				continue
			}
			if !yield(joinHostPort(host, port)) {
				return
			}
		}
	}
}

func (n *Node) hasAddr(addr string) bool {
	for a := range n.addrs {
		if a == addr {
			return true
		}
	}
	return false
}

// stranger returns a node of which only the address is known, from a redirect.
func stranger(rd Redirect) *Node {
	addr := rd.Addr()
	host := strings.Clone(rd.Host) // which is part of a message
	n := &Node{Host: host, Endpoint: host, Port: rd.Port, EndpointPort: rd.Port, Role: RolePrimary, Flags: FlagPrimary, key: addr, addr: addr, told: endpointTold, stranger: true}
	if isIP(host) {
		n.IP = host
	}
	return n
}

// as returns n, or a copy, with the role and the primary.
func (n *Node) as(role Role, primaryID string) *Node {
	if n.Role == role && n.PrimaryID == primaryID {
		return n
	}
	o := *n
	o.Role, o.PrimaryID = role, primaryID
	o.Flags &^= FlagPrimary | FlagReplica
	if role == RolePrimary {
		o.Flags |= FlagPrimary
	} else {
		o.Flags |= FlagReplica
	}
	return &o
}

// promoted returns the replica n as a primary. It is no longer flagged as failed,
// since it has just taken over. It has no epoch: that on the line of a replica is
// not its own.
func (n *Node) promoted() *Node {
	o := *n.as(RolePrimary, "")
	o.Flags &^= FlagFail | FlagPFail
	if o.Health == HealthFail {
		o.Health = ""
	}
	o.ConfigEpoch, o.versioned = 0, false
	return &o
}

// flagged returns n, or a copy, with or without FlagPFail.
func (n *Node) flagged(pfail bool) *Node {
	if pfail == n.Flags.Has(FlagPFail) {
		return n
	}
	o := *n
	o.Flags ^= FlagPFail
	return &o
}

// same reports whether n and m are the same node. A node without an id, which is
// one that only a redirect has named or a reply without ids, is known by its address.
func (n *Node) same(m *Node) bool {
	return n.key == m.key || n.addr == m.addr && n.addr != "" && (n.ID == "" || m.ID == "")
}

// down reports whether n is flagged as failed or possibly failed.
func (n *Node) down() bool {
	return n.Flags&(FlagFail|FlagPFail) != 0 || n.Health == HealthFail
}

// routesAs reports whether n and m differ in nothing that a client may route by.
func (n *Node) routesAs(m *Node) bool {
	return n.key == m.key && n.ID == m.ID && n.addr == m.addr && n.Host == m.Host && n.Port == m.Port && n.EndpointPort == m.EndpointPort && n.TLSPort == m.TLSPort &&
		n.Endpoint == m.Endpoint && n.IP == m.IP && n.Hostname == m.Hostname && n.ShardID == m.ShardID && n.AvailabilityZone == m.AvailabilityZone &&
		n.Flags&^FlagMyself == m.Flags&^FlagMyself && n.Role == m.Role && n.PrimaryID == m.PrimaryID && n.Serves() == m.Serves()
}

// replaces reports whether n must replace m, the same node, in the map. The epochs
// of primaries count too: the rules of evidence compare them.
func (n *Node) replaces(m *Node) bool {
	return !n.routesAs(m) || n.Role == RolePrimary && (n.versioned != m.versioned || n.ConfigEpoch != m.ConfigEpoch)
}

// detached returns a copy of n that shares no memory with the view that n is from:
// a node of the map must not keep the nodes and the text of a whole view alive.
func (n *Node) detached() *Node {
	o := *n
	texts := [...]*string{&o.ID, &o.Host, &o.Endpoint, &o.IP, &o.Hostname, &o.ShardID, &o.AvailabilityZone, &o.PrimaryID, (*string)(&o.Health), &o.LinkState, &o.key, &o.addr}
	var room [256]byte // enough for most
	all := room[:0]
	for _, s := range texts {
		all = append(all, *s...)
	}
	rest := string(all)
	for _, s := range texts {
		*s, rest = rest[:len(*s)], rest[len(*s):]
	}
	o.Slots = slices.Clone(n.Slots)
	o.Migrating, o.Importing = detachedPeers(n.Migrating), detachedPeers(n.Importing)
	if n.Extra != nil {
		o.Extra = make(map[string]string, len(n.Extra))
		for name, value := range n.Extra {
			o.Extra[strings.Clone(name)] = strings.Clone(value)
		}
	}
	return &o
}

func detachedPeers(peers []Peer) []Peer {
	if peers == nil {
		return nil
	}
	o := make([]Peer, len(peers))
	for i, p := range peers {
		o[i] = Peer{p.Slot, strings.Clone(p.Node)}
	}
	return o
}
