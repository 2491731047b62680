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

// A state is everything a Router knows. It never changes: a step makes another
// one of it. So a reader that loads the state once sees one moment.
//
// A state has the nodes of the view that was taken last, at most as many others
// as there are slots, which own slots or are the replicas of such nodes, and
// the nodes of which only redirects told, each with a slot.
type state struct {
	table   slotmap.Table[*Shard] // the table itself, not a pointer to it: that saves readers a load
	gen     Generation
	members members
	shards  []*Shard // all: those with slots in the order of their first ones, then the others by key

	// For the writes.

	grounds  *slotmap.Table[*ground] // why each slot has its owner
	suspects map[string]*suspicion   // by key of the node
	pongs    *Cluster                // the CLUSTER NODES that was taken last, for its pongs
	viewed   bool                    // a view was taken
	pending  bool                    // a view was asked for
	pushes   []int64                 // the numbers of the migrations that were taken last
}

var noState = &state{grounds: new(slotmap.Table[*ground])}

// A member is a node and the shard it is in.
type member struct {
	node  *Node
	shard *Shard
}

// A finder has members by a key. Two states that differ in few of them share the most:
// what has changed since the finder of an earlier state lies over it.
type finder struct {
	base map[string]member
	over map[string]member // a member without a node is gone
}

func (x *finder) get(key string) (member, bool) {
	if len(x.over) > 0 {
		if m, ok := x.over[key]; ok {
			return m, m.node != nil
		}
	}
	m, ok := x.base[key]
	return m, ok
}

// with returns x with the changes, which it may keep.
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

// members finds nodes. Each node of the map is in it, in one shard.
type members struct {
	byKey     finder
	byAddr    finder // by address, in all forms that are known
	ambiguous bool   // an address is that of several nodes
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

// membersOf returns the members of the shards, in which no node is twice.
func membersOf(shards []*Shard) (m members) {
	m.byKey.base, m.byAddr.base = make(map[string]member, 2*len(shards)), make(map[string]member, 2*len(shards))
	for n, s := range nodesOf(shards) {
		m.byKey.base[n.key] = member{n, s}
		for a := range n.addrs {
			// Where an address is that of several nodes, it means a primary, then
			// the node with the smaller id.
			other, taken := m.byAddr.base[a]
			m.ambiguous = m.ambiguous || taken && other.node != n
			if !taken || cmp.Or(compareBool(n.Role == RolePrimary, other.node.Role == RolePrimary), -cmp.Compare(n.key, other.node.key)) > 0 {
				m.byAddr.base[a] = member{n, s}
			}
		}
	}
	return m
}

// with returns m without the shards that are gone and with those that came,
// or false if that is not simple.
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
			if other.node != nil && other.node != n {
				return members{}, false // somebody else has it too
			}
			byAddr[a] = member{n, s}
		}
	}
	return members{m.byKey.with(byKey), m.byAddr.with(byAddr), false}, true
}

// same returns the member that is the same node as n.
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

// find returns the node that has the address. Nodes behind a proxy share one:
// those of the shard go first.
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

// owner returns the owner of the slot, or nil, and why it is the owner.
func (s *state) owner(slot hashslot.Slot) (*Shard, *ground) {
	shard, _ := s.table.Lookup(slot)
	g, _ := s.grounds.Lookup(slot)
	return shard, g
}

// runs yields ranges that together are all slots, such that the slots of each
// have one owner, or none, and one ground in s, and one owner in view, which may
// be nil.
func (s *state) runs(view *slotmap.Table[*Shard]) iter.Seq[slotmap.Range] {
	var starts slotmap.Set // the first slots of the ranges, but 0
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

// become makes next, a copy of s that is being changed, a state with the table.
// Idle are shards that it has whether they own slots or not; those that own
// none are left out if only a redirect told of them. Moved are the slots that
// go to another node. It returns the Change, or nil if there is none.
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

// replace returns s with the shard after in the place of before.
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

// with returns the shard with next in the place of n.
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

// compare notes which nodes came, went and changed when s became next: nodes of
// the shards that before has and next has not, and the other way round.
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
		} else if b.node != n && !b.node.routesAs(n) || b.shard.Primary.key != shard.Primary.key {
			c.Updated = append(c.Updated, Update{b.node, n})
		}
	}
	byKey := func(a, b *Node) int { return cmp.Compare(a.key, b.key) }
	slices.SortFunc(gone, byKey)
	slices.SortFunc(came, byKey)
	// A node without an id is known by its address, and may have come back with an
	// id, or the other way round. Of the nodes with an address, one at most has no
	// id.
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

// addrs calls yield with the addresses under which a redirect may mean n:
// redirects have the endpoint that the server prefers for the connection, and
// views may have another.
func (n *Node) addrs(yield func(string) bool) {
	if n.addr != "" && !yield(n.addr) {
		return
	}
	hosts := [...]string{n.Host, n.Endpoint, n.IP, n.Hostname}
	ports := [...]int{n.Port, n.EndpointPort, n.TLSPort}
	for i, host := range hosts {
		if wildcard(host) || host == "?" || slices.Contains(hosts[:i], host) {
			continue
		}
		for j, port := range ports {
			if port == 0 || slices.Contains(ports[:j], port) || i == 0 && j == 0 && n.addr != "" {
				continue
			}
			if !yield(joinHostPort(host, port)) {
				return
			}
		}
	}
}

func (n *Node) hasAddr(addr string) bool {
	if n.addr == addr {
		return true
	}
	for a := range n.addrs {
		if a == addr {
			return true
		}
	}
	return false
}

// stranger is a node of which a redirect told the address.
func stranger(rd Redirect) *Node {
	addr := rd.Addr()
	n := &Node{Host: rd.Host, Endpoint: rd.Host, Port: rd.Port, EndpointPort: rd.Port, Role: RolePrimary, Flags: FlagPrimary, key: addr, addr: addr, told: endpointTold, stranger: true}
	if isIP(rd.Host) {
		n.IP = rd.Host
	}
	return n
}

// as returns n in another role.
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

// promoted returns the replica n as a primary. Somebody has just seen it work, and
// the epoch of a replica's line is worth nothing.
func (n *Node) promoted() *Node {
	o := *n.as(RolePrimary, "")
	o.Flags &^= FlagFail | FlagPFail
	if o.Health == HealthFail {
		o.Health = ""
	}
	o.ConfigEpoch, o.versioned = 0, false
	return &o
}

// flagged returns n with or without FlagPFail.
func (n *Node) flagged(pfail bool) *Node {
	if pfail == n.Flags.Has(FlagPFail) {
		return n
	}
	o := *n
	o.Flags ^= FlagPFail
	return &o
}

// same reports whether n and m are the same node. One that only a redirect told
// of has no id yet.
func (n *Node) same(m *Node) bool {
	return n.key == m.key || n.addr == m.addr && n.addr != "" && (n.ID == "" || m.ID == "")
}

// down reports whether somebody says that n has failed or may have.
func (n *Node) down() bool {
	return n.Flags&(FlagFail|FlagPFail) != 0 || n.Health == HealthFail
}

// routesAs reports whether n and m mean the same to a Router.
func (n *Node) routesAs(m *Node) bool {
	return n.key == m.key && n.ID == m.ID && n.addr == m.addr && n.Host == m.Host && n.Port == m.Port && n.EndpointPort == m.EndpointPort && n.TLSPort == m.TLSPort &&
		n.Endpoint == m.Endpoint && n.IP == m.IP && n.Hostname == m.Hostname && n.ShardID == m.ShardID && n.AvailabilityZone == m.AvailabilityZone &&
		n.Flags&^FlagMyself == m.Flags&^FlagMyself && n.Role == m.Role && n.PrimaryID == m.PrimaryID && n.Serves() == m.Serves()
}

// replaces reports whether n must take the place of m, which is the same node,
// in the map.
func (n *Node) replaces(m *Node) bool {
	return n != m && (!n.routesAs(m) || n.Role == RolePrimary && (n.versioned != m.versioned || n.ConfigEpoch != m.ConfigEpoch))
}

// detached returns a copy of n that has nothing in common with the view that n
// is from: a node of the map must not keep alive all nodes and the text of a view.
func (n *Node) detached() *Node {
	o := *n
	texts := [...]*string{&o.ID, &o.Host, &o.Endpoint, &o.IP, &o.Hostname, &o.ShardID, &o.AvailabilityZone, &o.PrimaryID, (*string)(&o.Health), &o.LinkState, &o.key, &o.addr}
	size := 0
	for _, s := range texts {
		size += len(*s)
	}
	all := make([]byte, 0, size)
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
