package topology

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// A Router is what a client embeds to know where a key goes. It holds a map of
// slots to shards, which [Router.Apply] replaces by newer views and
// [Router.Moved] corrects by redirects. The zero Router has no map and is ready
// to use. A Router must not be copied after its first use.
//
// Any number of goroutines may use a Router at once. For, ForKey, Read, ReadKey,
// Split, Asking, Node, Table and Generation are reads: they never wait, and For,
// ForKey, Read and ReadKey never allocate. Apply, Moved, Failed, Promote and
// RefreshFailed are writes, done one after the other. A write synchronizes
// before any read that observes its effect, and a read sees a write as a whole
// or not at all.
//
// A client's loop is this. It takes the shard of a key and the generation that
// comes with it, and sends the command to the shard's primary. A redirect it
// gives to Moved, with that generation, and sends the command where the redirect
// says. If a Result says Refresh, it asks a node for a view and gives it to
// Apply, or calls RefreshFailed if it got none.
type Router struct {
	// Zone is the availability zone of this client, for ReadSameZone. It must be
	// set before the first use.
	Zone string

	// OnChange, if it is not nil, is called with every change of the map, one at a
	// time and in order, once readers see the change and before the write returns.
	// It may use the reads of the Router, but not the writes. It must be set
	// before the first use.
	OnChange func(*Change)

	table   slotmap.Map[*Shard]
	gen     atomic.Uint64
	members atomic.Pointer[members]

	mu      sync.Mutex // for what follows, and for writes to what precedes
	idle    []*Shard   // shards without slots
	view    *Cluster   // the last one that was applied
	changed *[hashslot.Count]Generation
	told    map[hashslot.Slot]*told
	pending bool // a refresh was asked for
}

// A Generation counts the changes of a Router's map. A command remembers the
// generation of the map it was sent by, so that a redirect that was on its way
// while the map changed is known to be old.
type Generation uint64

// A member is a node and where it is.
type member struct {
	node  *Node
	shard *Shard
}

// members finds nodes. It never changes.
type members struct {
	byKey  map[string]member
	byAddr map[string]member // by address, in all forms that are known
}

var noMembers members

func (r *Router) nodes() *members {
	if m := r.members.Load(); m != nil {
		return m
	}
	return &noMembers
}

// told is that a redirect gave a slot its owner. The views that are on their
// way then do not know it yet.
type told struct {
	epoch   uint64 // the claim that the redirect contradicts
	known   bool   // whether epoch is known
	refused int    // how many views said otherwise
}

// believe is how many views must contradict a redirect until they are believed.
const believe = 3

// An Outcome is what came of a write.
type Outcome uint8

const (
	// Unchanged: the map says so already.
	Unchanged Outcome = iota
	// Applied: the view was taken.
	Applied
	// Partly: the view was taken for some slots, and is older than the map for
	// others.
	Partly
	// Stale: the view or redirect is older than the map and was not taken.
	Stale
	// Recreated: the view was taken, and has no node in common with the one before.
	Recreated
	// Patched: the slot of the redirect goes to another shard now.
	Patched
	// FailedOver: a replica is the primary of its shard now.
	FailedOver
	// UnknownNode: the slot of the redirect goes to a node that no view has shown,
	// and of which only the address is known.
	UnknownNode
	// Unroutable: the redirect has no address to go to.
	Unroutable
	// Suspected: the node is not used for reads until a view shows it again.
	Suspected
)

var outcomeNames = [...]string{"unchanged", "applied", "partly applied", "stale", "re-created", "patched", "failed over", "unknown node", "unroutable", "suspected"}

func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "outcome " + strconv.Itoa(int(o))
}

// A Result is what came of a write.
type Result struct {
	Outcome Outcome

	// Refresh says that the map needs a new view, and that whoever gets this
	// Result is the one to ask for it. Until the next view is applied, or
	// RefreshFailed is called, no other Result of Moved or Failed says so. If
	// Apply says it, the view did not help: another node should be asked.
	Refresh bool

	// Node is the node of the redirect: where to send the command. It is nil if
	// the redirect has no address. If the redirect is stale, and the node is
	// none of the map's, it has the address only.
	Node *Node

	// Change is what changed, or nil.
	Change *Change
}

// A Change is what a write changed.
type Change struct {
	Generation Generation // of the map after the change
	Slots      slotmap.Set
	Added      []*Node // that the map did not have before
	Removed    []*Node // that the map does not have any more
	Updated    []Update
}

// An Update is a node whose description changed: its address, role, flags or
// zone. A node that was known by its address only and turns out to have an id is
// updated, not removed and added.
type Update struct{ Before, After *Node }

// For returns the shard that owns slot, or nil if nobody does or slot is not one
// of the 16384, and the generation of the map it looked at.
func (r *Router) For(slot hashslot.Slot) (*Shard, Generation) {
	// The generation is loaded first, and stored last: it is never newer than the
	// table. If it is older, at worst a redirect is taken for a stale one.
	gen := r.gen.Load()
	shard, _ := r.table.Lookup(slot)
	return shard, Generation(gen)
}

// ForKey is [Router.For] for the slot of key.
func (r *Router) ForKey(key string) (*Shard, Generation) {
	gen := r.gen.Load()
	shard, _ := r.table.Lookup(hashslot.Of(key))
	return shard, Generation(gen)
}

// Table returns the map of the moment, never nil, and its generation.
func (r *Router) Table() (*slotmap.Table[*Shard], Generation) {
	gen := r.gen.Load()
	return r.table.Load(), Generation(gen)
}

// Generation returns the generation of the map, 0 as long as there is none.
func (r *Router) Generation() Generation { return Generation(r.gen.Load()) }

// Split divides keys by the shard that owns their slots, and apart from those
// the keys whose slots nobody owns, by their indexes in keys. All are looked up
// in one map, whose generation it returns. The groups are in the order of their
// first keys. They belong to the caller; a caller that divides many keys saves
// memory with a [slotmap.OwnerSplitter] of its own and [Router.Table].
func (r *Router) Split(keys []string) (groups []slotmap.OwnerGroup[*Shard], unassigned []int, seen Generation) {
	table, seen := r.Table()
	groups, unassigned = new(slotmap.OwnerSplitter[*Shard]).Split(table, keys)
	return groups, unassigned, seen
}

// A ReadPolicy says which nodes of a shard may answer a read.
type ReadPolicy uint8

const (
	ReadPrimary  ReadPolicy = iota // the primary only
	ReadReplica                    // the replicas; the primary if none of them serves
	ReadAny                        // the primary and the replicas
	ReadSameZone                   // the nodes in the client's zone; if none serves, or Zone is "", as ReadReplica
)

// Read returns a node for a read from slot, or nil if nobody owns the slot, and
// the generation of the map it looked at. Among the nodes that the policy allows
// and that serve ([Node.Serves]), each is as likely as the others; nothing is
// shared between goroutines for that. On a replica, the connection must be in
// READONLY mode.
func (r *Router) Read(slot hashslot.Slot, policy ReadPolicy) (*Node, Generation) {
	shard, seen := r.For(slot)
	if shard == nil {
		return nil, seen
	}
	return shard.pick(policy, r.Zone), seen
}

// ReadKey is [Router.Read] for the slot of key.
func (r *Router) ReadKey(key string, policy ReadPolicy) (*Node, Generation) {
	return r.Read(hashslot.Of(key), policy)
}

func (s *Shard) pick(policy ReadPolicy, zone string) *Node {
	switch policy {
	case ReadReplica:
		if n := s.choose(false, false, ""); n != nil {
			return n
		}
	case ReadAny:
		if n := s.choose(true, false, ""); n != nil {
			return n
		}
	case ReadSameZone:
		if zone != "" {
			if n := s.choose(true, true, zone); n != nil {
				return n
			}
		}
		return s.pick(ReadReplica, "")
	}
	return s.Primary
}

// choose returns one of the nodes that serve, or nil.
func (s *Shard) choose(primary, zoned bool, zone string) *Node {
	fits := func(n *Node) bool { return n.Serves() && (!zoned || n.AvailabilityZone == zone) }
	count := 0
	primary = primary && fits(s.Primary)
	if primary {
		count++
	}
	for _, n := range s.Replicas {
		if fits(n) {
			count++
		}
	}
	if count == 0 {
		return nil
	}
	k := 0
	if count > 1 {
		k = int(rand.Uint32N(uint32(count)))
	}
	if primary {
		if k == 0 {
			return s.Primary
		}
		k--
	}
	for _, n := range s.Replicas {
		if fits(n) {
			if k == 0 {
				return n
			}
			k--
		}
	}
	return nil
}

// RefreshFailed says that the view which a Result asked for could not be got,
// so that the next Result that has reason to will ask again.
func (r *Router) RefreshFailed() {
	r.mu.Lock()
	r.pending = false
	r.mu.Unlock()
}

// Node returns the node of the map that has the id, or nil.
func (r *Router) Node(id string) *Node {
	if m, ok := r.nodes().byKey[id]; ok && m.node.ID == id {
		return m.node
	}
	return nil
}

// Asking returns the node of a redirect: that of the map, if it has one with the
// address, else one that has the address only, or nil if the redirect has none.
// It changes nothing: an ASK is about one command.
func (r *Router) Asking(rd Redirect) *Node {
	if !rd.Routable() {
		return nil
	}
	shard, _ := r.table.Lookup(rd.Slot)
	if m, ok := r.find(rd.Addr(), shard); ok {
		return m.node
	}
	return stranger(rd)
}

// find returns the node that has the address. Nodes behind a proxy share one:
// those of the shard go first.
func (r *Router) find(addr string, shard *Shard) (member, bool) {
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
	m, ok := r.nodes().byAddr[addr]
	return m, ok
}

// addrs calls yield with the addresses under which a redirect may mean n:
// redirects have the endpoint that the server prefers for the connection, and
// views may have another.
func (n *Node) addrs(yield func(string) bool) {
	if n.addr != "" && !yield(n.addr) {
		return
	}
	for _, host := range [...]string{n.Host, n.IP, n.Hostname} {
		if wildcard(host) || host == "?" {
			continue
		}
		for _, port := range [...]int{n.Port, n.TLSPort} {
			if port != 0 && !yield(joinHostPort(host, port)) {
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
	n := &Node{Host: rd.Host, Endpoint: rd.Host, Port: rd.Port, Role: RolePrimary, Flags: FlagPrimary, key: addr, addr: addr, told: endpointTold}
	if isIP(rd.Host) {
		n.IP = rd.Host
	}
	return n
}

// Moved corrects the map by a MOVED redirect. seen is the generation of the map
// that the command was sent by. The redirect must have a host:
// [Redirect.WithOrigin].
//
//   - The node is the primary of the slot already: nothing changes.
//   - It is a replica of the shard: the shard has failed over, and the node is
//     its primary now, for all its slots.
//   - It is the primary of another shard: the slot goes there.
//   - It is a replica of another shard: the slot goes to it, as a shard of its own.
//   - No view has shown it: the slot goes to it, as a shard of its own.
//
// If the slot changed its owner after the generation seen, the redirect is
// stale and changes nothing. A redirect without an address changes nothing, but
// the map is known to be wrong then. ASK changes nothing.
//
// A redirect to the owner that the map has costs a lookup. All others take time
// linear in the number of shards: some microseconds for few, up to 0.1 ms for a
// thousand, and ten times that where nodes change, in a failover.
func (r *Router) Moved(rd Redirect, seen Generation) Result {
	if rd.Kind != Moved || !rd.Slot.Valid() {
		return Result{Node: r.Asking(rd)}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !rd.Routable() {
		return Result{Outcome: Unroutable, Refresh: r.refresh()}
	}
	shard, _ := r.table.Lookup(rd.Slot)
	m, known := r.find(rd.Addr(), shard)
	if !known {
		m.node = stranger(rd)
	}
	switch {
	case known && m.shard == shard && m.node == shard.Primary:
		return Result{Node: m.node}
	case r.changed != nil && r.changed[rd.Slot] > seen:
		return Result{Outcome: Stale, Node: m.node}
	case known && m.shard == shard:
		return r.promote(m)
	}
	outcome := Patched
	w := r.write()
	switch {
	case !known:
		outcome = UnknownNode
		m.shard = &Shard{Primary: m.node}
	case m.node != m.shard.Primary:
		// It leaves its old shard, which keeps its slots.
		rest := *m.shard
		rest.Replicas = slices.DeleteFunc(slices.Clone(rest.Replicas), func(n *Node) bool { return n == m.node })
		w.replace(m.shard, &rest)
		m.node = m.node.promoted()
		m.shard = &Shard{ID: m.node.ShardID, Primary: m.node}
	}
	w.give(rd.Slot, m.shard)
	r.tell(&told{}, shard, rd.Slot)
	change := w.done()
	return Result{outcome, r.refresh(), m.node, change}
}

// Promote says that the node, a replica, is the primary of its shard now, as a
// client may learn in another way than by a redirect. It does nothing if the map
// does not have the node as a replica.
func (r *Router) Promote(node *Node) Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.nodes().byKey[node.key]
	if !ok || m.node == m.shard.Primary {
		return Result{Node: node}
	}
	return r.promote(m)
}

func (r *Router) promote(m member) Result {
	old := m.shard
	next := &Shard{ID: old.ID, Primary: m.node.promoted()}
	next.Primary.ConfigEpoch = old.Primary.ConfigEpoch
	for _, n := range old.Replicas {
		if n == m.node {
			// Its place goes to the old primary, which is a replica if it comes back.
			n = old.Primary
		}
		next.Replicas = append(next.Replicas, n.as(RoleReplica, next.Primary.ID))
	}
	w := r.write()
	w.replace(old, next)
	t := &told{}
	table, _ := r.Table()
	slots := table.SlotsOf(old)
	for slot := range slots.Slots() {
		r.tell(t, old, slot)
		w.moved.Add(slot)
	}
	change := w.done()
	return Result{FailedOver, r.refresh(), next.Primary, change}
}

// tell notes that a redirect contradicts the claim of shard to slot.
func (r *Router) tell(t *told, shard *Shard, slot hashslot.Slot) {
	if before := r.told[slot]; before != nil {
		t.epoch, t.known = max(t.epoch, before.epoch), t.known || before.known
	}
	if shard != nil && shard.Primary.versioned {
		t.epoch, t.known = max(t.epoch, shard.Primary.ConfigEpoch), true
	}
	if r.told == nil {
		r.told = make(map[hashslot.Slot]*told)
	}
	r.told[slot] = t
}

// Failed says that the client could not reach the node. Until a view shows it
// again without the flag that the cluster gives to such nodes (FlagPFail), it
// is no longer picked for reads, if there is another. Its slots stay where they
// are: who has them next is not the client's to decide. If that was known
// already, the node was the only one to send to, and the map needs a view that
// has another: such views may take a while to come, so that Failed asks for one
// after the other.
func (r *Router) Failed(node *Node) Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.nodes().byKey[node.key]
	if !ok {
		return Result{Node: node}
	}
	if m.node.Flags&FlagPFail != 0 {
		return Result{Node: m.node, Refresh: r.refresh()}
	}
	suspect := *m.node
	suspect.Flags |= FlagPFail
	next := *m.shard
	if m.node == next.Primary {
		next.Primary = &suspect
	} else {
		next.Replicas = slices.Clone(next.Replicas)
		next.Replicas[slices.Index(next.Replicas, m.node)] = &suspect
	}
	w := r.write()
	w.replace(m.shard, &next)
	change := w.done()
	return Result{Suspected, r.refresh(), &suspect, change}
}

// refresh reports whether the caller is the first who wants a refresh.
func (r *Router) refresh() bool {
	first := !r.pending
	r.pending = true
	return first
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

// promoted returns the replica n as a primary. Somebody has just seen it work.
func (n *Node) promoted() *Node {
	o := n.as(RolePrimary, "")
	o.Flags &^= FlagFail | FlagPFail
	return o
}

// same reports whether n and m are the same node. One that only a redirect told
// of has no id yet.
func (n *Node) same(m *Node) bool {
	return n.key == m.key || n.addr == m.addr && n.addr != "" && (n.ID == "" || m.ID == "")
}

// routesAs reports whether n and m mean the same to a Router.
func (n *Node) routesAs(m *Node) bool {
	return n.key == m.key && n.ID == m.ID && n.addr == m.addr && n.Host == m.Host && n.Port == m.Port && n.TLSPort == m.TLSPort &&
		n.Endpoint == m.Endpoint && n.IP == m.IP && n.Hostname == m.Hostname && n.ShardID == m.ShardID && n.AvailabilityZone == m.AvailabilityZone &&
		n.Flags&^FlagMyself == m.Flags&^FlagMyself && n.Role == m.Role && n.PrimaryID == m.PrimaryID && n.Serves() == m.Serves()
}

// A write is a change of the map that is being made.
type write struct {
	r       *Router
	before  *slotmap.Table[*Shard]
	builder *slotmap.Builder[*Shard]
	idle    []*Shard
	moved   slotmap.Set // slots that go to another node
	reshape bool        // shards change, not only what they own
}

func (r *Router) write() *write {
	before := r.table.Load()
	return &write{r: r, before: before, builder: before.Builder(), idle: slices.Clone(r.idle)}
}

// give gives the slot to shard.
func (w *write) give(slot hashslot.Slot, shard *Shard) {
	before, _ := w.before.Lookup(slot)
	w.builder.Assign(slotmap.Range{First: slot, Last: slot}, shard)
	w.moved.Add(slot)
	if m, ok := w.r.nodes().byKey[shard.Primary.key]; !ok || m.shard != shard {
		w.reshape = true
	}
	// Of a shard without slots it is known whether it is idle only in the end.
	if before != nil {
		w.idle = append(w.idle, before)
	}
}

// replace puts next in the place of old.
func (w *write) replace(old, next *Shard) {
	w.reshape = true
	slots := w.before.SlotsOf(old)
	for r := range slots.Ranges() {
		w.builder.Assign(r, next)
	}
	for i, s := range w.idle {
		if s == old {
			w.idle[i] = next
		}
	}
}

// done puts the change in place. It returns nil if nothing differs.
func (w *write) done() *Change {
	r := w.r
	after := w.builder.Build()
	owners := make(map[*Shard]bool)
	for s := range after.Owners() {
		owners[s] = true
	}
	var idle []*Shard
	for _, s := range w.idle {
		if !owners[s] && !slices.Contains(idle, s) {
			idle = append(idle, s)
		}
	}
	slices.SortFunc(idle, func(a, b *Shard) int { return cmp.Compare(a.Primary.key, b.Primary.key) })
	if after.Equal(w.before) && slices.Equal(idle, r.idle) {
		return nil
	}
	change := &Change{Slots: w.moved}
	if w.reshape {
		before := r.nodes()
		byKey := make(map[string]member, len(before.byKey))
		add := func(s *Shard) {
			for _, n := range s.Replicas {
				if _, ok := byKey[n.key]; !ok {
					byKey[n.key] = member{n, s}
				}
			}
			byKey[s.Primary.key] = member{s.Primary, s}
		}
		for _, s := range idle {
			add(s)
		}
		for s := range after.Owners() {
			add(s)
		}
		// Where an address is that of several nodes, it means a primary, then the
		// node with the smaller id.
		byAddr := make(map[string]member, len(byKey))
		for key, m := range byKey {
			for a := range m.node.addrs {
				if other, ok := byAddr[a]; !ok ||
					cmp.Or(compareBool(m.node.Role == RolePrimary, other.node.Role == RolePrimary), -cmp.Compare(key, other.node.key)) > 0 {
					byAddr[a] = m
				}
			}
		}
		change.compare(before.byKey, byKey)
		r.members.Store(&members{byKey, byAddr})
	}
	r.idle = idle
	if r.changed == nil {
		r.changed = new([hashslot.Count]Generation)
	}
	gen := Generation(r.gen.Load() + 1)
	for slot := range w.moved.Slots() {
		r.changed[slot] = gen
	}
	change.Generation = gen
	r.table.Store(after)
	r.gen.Store(uint64(gen))
	if r.OnChange != nil {
		r.OnChange(change)
	}
	return change
}

// compare notes which nodes came, went and changed.
func (c *Change) compare(before, after map[string]member) {
	var gone []*Node
	for key, m := range before {
		if _, ok := after[key]; !ok {
			gone = append(gone, m.node)
		}
	}
	for key, m := range after {
		if b, ok := before[key]; !ok {
			c.Added = append(c.Added, m.node)
		} else if b.node != m.node && !b.node.routesAs(m.node) {
			c.Updated = append(c.Updated, Update{b.node, m.node})
		}
	}
	// One that had no id may have come back with one.
	for _, n := range gone {
		i := slices.IndexFunc(c.Added, n.same)
		if n.ID != "" || i < 0 {
			c.Removed = append(c.Removed, n)
			continue
		}
		c.Updated = append(c.Updated, Update{n, c.Added[i]})
		c.Added = slices.Delete(c.Added, i, i+1)
	}
	byKey := func(a, b *Node) int { return cmp.Compare(a.key, b.key) }
	slices.SortFunc(c.Added, byKey)
	slices.SortFunc(c.Removed, byKey)
	slices.SortFunc(c.Updated, func(a, b Update) int { return byKey(a.After, b.After) })
}
