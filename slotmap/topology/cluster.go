package topology

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/reply"
	"github.com/hashslot/hashslot/slotmap"
)

// A Cluster is the view that one node has of its cluster, or, from [Merge], the views
// of several nodes in one. It never changes, and all methods are safe for concurrent
// use. What they return belongs to the Cluster and must not be modified. A nil *Cluster
// is a view without nodes.
type Cluster struct {
	command string // "" for merged views
	from    Origin // the zero Origin for merged views
	store   []Node
	nodes   []*Node
	byKey   map[string]int32 // the place in store, by the node's key
	shards  []*Shard
	table   *slotmap.Table[*Shard]
	open    []OpenSlot

	currentEpoch  uint64
	disagreements []Disagreement
	warnings      []string
	unkept        int // how many warnings were beyond maxWarnings
}

// A Shard is a primary and its replicas: the owner of slots. A primary without slots is
// a Shard too, and so is a dead primary that was replaced. A Shard of a [Cluster] or a
// [Router] never changes and must not be modified.
type Shard struct {
	ID       string  // shard id; "" if the reply has none
	Primary  *Node   // never nil
	Replicas []*Node // in the order of the reply
}

// String returns the [Node.String] of the primary.
func (s *Shard) String() string {
	if s.Primary == nil {
		return s.ID
	}
	return s.Primary.String()
}

// An OpenSlot is a slot that CLUSTER SETSLOT has marked as migrating or importing. Its
// move may be in progress or abandoned. Normally both ends report it. But a node
// reports only its own open slots, so the view of one node may show one end only.
type OpenSlot struct {
	Slot      hashslot.Slot
	From, To  string // node ids
	Migrating bool   // From has the slot as migrating
	Importing bool   // To has the slot as importing
}

// A Disagreement describes slots that two nodes claim, in one reply or in the
// views of several nodes, or slots that only some of the views have an owner for.
type Disagreement struct {
	Slots  slotmap.Set
	Owner  *Node // the owner in this Cluster
	Other  *Node // the other claimant; nil if another view has no owner for them
	Reason string
}

// Nodes returns all nodes, including those in handshake, in the order of the reply. Of
// [Merge] they are in the order of their ids.
func (c *Cluster) Nodes() []*Node {
	if c == nil {
		return nil
	}
	return c.nodes
}

// Node returns the node with the id, or nil. It takes constant time, unless no node has
// the id or the reply gives one id to several addresses: then it is linear in the nodes.
func (c *Cluster) Node(id string) *Node {
	if c == nil {
		return nil
	}
	if i, ok := c.byKey[id]; ok && c.store[i].ID == id {
		return c.nodes[i]
	}
	for _, n := range c.nodes {
		if n.ID == id {
			return n
		}
	}
	return nil
}

// Shards returns the shards: first those that own slots, by their first slot,
// then those that own none, in the order of the reply. A replica whose primary
// the reply does not have is in no shard.
func (c *Cluster) Shards() []*Shard {
	if c == nil {
		return nil
	}
	return c.shards
}

// Table returns the table of slot owners. It is never nil.
func (c *Cluster) Table() *slotmap.Table[*Shard] {
	if c == nil || c.table == nil {
		return noTable
	}
	return c.table
}

var noTable = new(slotmap.Table[*Shard])

// Unassigned returns the slots that nobody owns.
func (c *Cluster) Unassigned() slotmap.Set { return c.Table().Unassigned() }

// Open returns the slots that are being moved by CLUSTER SETSLOT, ascending.
func (c *Cluster) Open() []OpenSlot {
	if c == nil {
		return nil
	}
	return c.open
}

// Myself returns the node that was asked, or nil if the reply does not say which
// one it is. Only CLUSTER NODES does.
func (c *Cluster) Myself() *Node {
	if c == nil {
		return nil
	}
	for _, n := range c.nodes {
		if n.myself() {
			return n
		}
	}
	return nil
}

// source returns the node that gave the view: the one with the flag "myself", else the
// one with the address that was asked. If neither is known, it is a Node without a key.
func (c *Cluster) source() *Node {
	if n := c.Myself(); n != nil {
		return n
	}
	host, port := c.from.asked()
	if host == "" || port == 0 {
		return new(Node)
	}
	addr := joinHostPort(host, port)
	for _, n := range c.nodes {
		if n.addr == addr {
			return n
		}
	}
	return &Node{key: addr, addr: addr}
}

// highestEpoch returns the highest epoch of the view: the current epoch in the last
// line of nodes.conf, or a node's config epoch. It is 0 in CLUSTER SLOTS and SHARDS,
// which have no epochs.
func (c *Cluster) highestEpoch() uint64 {
	epoch := c.currentEpoch
	for _, n := range c.nodes {
		epoch = max(epoch, n.ConfigEpoch)
	}
	return epoch
}

// Disagreements returns the slots that more than one node claims and, after
// [Merge], those that have an owner in some of the views only. There are at most 1000.
func (c *Cluster) Disagreements() []Disagreement {
	if c == nil {
		return nil
	}
	return c.disagreements
}

// Warnings returns what was ignored in the reply, each with its place, such as an
// unknown field, or slots of a node that cannot own any. There are at most 1000
// warnings, and then one more that counts the rest.
func (c *Cluster) Warnings() []string {
	if c == nil {
		return nil
	}
	if c.unkept == 0 {
		return c.warnings
	}
	return append(slices.Clip(c.warnings), fmt.Sprintf("%d more warnings", c.unkept))
}

func (c *Cluster) warn(at location, reason string) {
	if len(c.warnings) < maxWarnings {
		c.warnings = append(c.warnings, at.String()+": "+reason)
	} else {
		c.unkept++
	}
}

// resolve finds the addresses and keys of the nodes in c.store, and merges nodes with
// the same key.
func (c *Cluster) resolve(from Origin) {
	c.from = from
	anyTLS := false
	for i := range c.store {
		anyTLS = anyTLS || c.store[i].TLSPort != 0
	}
	host, port := from.asked()
	for i := range c.store {
		n := &c.store[i]
		tls := from.TLS && anyTLS
		if c.command != shardsCommand {
			tls = from.TLS && n.TLSPort != 0
		}
		n.resolve(from, host, port, tls)
	}
	if host == "" {
		c.warnOfAsked()
	}
	c.unify()
}

// warnOfAsked warns of a node that is reached at the host that was asked. It is called
// if that host is not known.
func (c *Cluster) warnOfAsked() {
	for i := range c.store {
		n := &c.store[i]
		asked := wildcard(n.Endpoint) && n.EndpointPort+n.TLSPort != 0
		switch n.told {
		case endpointIP:
			asked = wildcard(n.Endpoint) && n.Flags&(FlagMyself|FlagNoAddr) == FlagMyself
		case endpointAbsent:
			asked = wildcard(cmp.Or(n.Hostname, n.IP)) && n.EndpointPort+n.TLSPort != 0
		}
		if asked {
			c.warn(location{}, "the node that was asked does not tell its address: "+reply.Quote(n.ID))
			return
		}
	}
}

// unify merges nodes that have the same key. A node without an id is known by its
// address, and several may turn out to have the same one once it is resolved.
func (c *Cluster) unify() {
	nameless := false
	for i := range c.store {
		nameless = nameless || c.store[i].key != c.store[i].ID
	}
	if !nameless {
		return
	}
	c.byKey = nil // nodes without an id are not in it
	first := make(map[string]int32, len(c.store))
	places := make([]int32, len(c.store)) // the new places of the nodes, from 1
	kept := c.store[:0]
	for i := range c.store {
		n := &c.store[i]
		place, again := first[n.key]
		if again {
			kept[place].join(n)
			c.warn(location{}, "nodes without an id share the address "+reply.Quote(n.key)+" and are taken for one")
		} else {
			place = int32(len(kept))
			first[n.key] = place
			kept = append(kept, *n)
		}
		places[i] = place + 1
	}
	if c.store = kept; len(kept) == len(places) {
		return
	}
	for i := range kept {
		n := &kept[i]
		if n.primary != 0 {
			n.primary = places[n.primary-1]
		}
		n.dedupe()
	}
}

// join adds to n what the reply says of m, the same node.
func (n *Node) join(m *Node) {
	n.Flags |= m.Flags & FlagMyself
	n.Migrating, n.Importing = append(n.Migrating, m.Migrating...), append(n.Importing, m.Importing...)
	switch {
	case n.Role == RolePrimary && m.Role == RolePrimary:
		n.Slots = append(n.Slots, m.Slots...)
		n.ConfigEpoch = max(n.ConfigEpoch, m.ConfigEpoch)
	case m.Role == RolePrimary:
		*n = *n.as(RolePrimary, "")
		n.Slots, n.ConfigEpoch, n.primary = m.Slots, m.ConfigEpoch, 0
	}
}

// build makes the rest of c from the nodes in c.store, except c.byKey if a parser has
// made it already.
func (c *Cluster) build() {
	if c.byKey == nil {
		c.byKey = make(map[string]int32, len(c.store))
		for i := range c.store {
			if _, taken := c.byKey[c.store[i].key]; !taken {
				c.byKey[c.store[i].key] = int32(i)
			}
		}
	}
	c.nodes = make([]*Node, len(c.store))
	for i := range c.store {
		c.nodes[i] = &c.store[i]
	}
	for i := range c.store {
		n := &c.store[i]
		if p, ok := c.byKey[n.PrimaryID]; ok {
			n.primary = p + 1
		}
		c.addOpen(n)
	}
	c.sortOpen()

	shardOf, primaries := c.makeShards()
	owners := new(owners)
	if !c.claim(owners) {
		c.settle(owners)
	}
	c.shards = make([]*Shard, 0, primaries)
	listed := make([]bool, len(c.store))
	var table slotmap.Builder[*Shard]
	for r, owner := range owners.ranges() {
		table.Assign(r, shardOf[owner-1])
		if !listed[owner-1] {
			listed[owner-1] = true
			c.shards = append(c.shards, shardOf[owner-1])
		}
	}
	c.table = table.Build()
	for i, s := range shardOf {
		if s != nil && !listed[i] {
			c.shards = append(c.shards, s)
		}
	}
}

// makeShards returns the shards of the primaries, by their places in c.store, and the
// number of primaries.
func (c *Cluster) makeShards() (shardOf []*Shard, primaries int) {
	for i := range c.store {
		if c.store[i].Role == RolePrimary {
			primaries++
		}
	}
	store := make([]Shard, 0, primaries)
	shardOf = make([]*Shard, len(c.store))
	for i := range c.store {
		if n := &c.store[i]; n.Role == RolePrimary {
			store = append(store, Shard{ID: n.ShardID, Primary: n})
			shardOf[i] = &store[len(store)-1]
		}
	}
	for i := range c.store {
		if n := &c.store[i]; n.Role == RoleReplica {
			if p := c.primaryOf(n); p != 0 {
				shardOf[p-1].Replicas = append(shardOf[p-1].Replicas, n)
			}
		}
	}
	return shardOf, primaries
}

// owners has the owner of each slot: its place in Cluster.store from 1, or 0.
type owners [hashslot.Count]int32

// ranges yields the ranges of slots that have the same owner.
func (o *owners) ranges() iter.Seq2[slotmap.Range, int32] {
	return func(yield func(slotmap.Range, int32) bool) {
		for first := 0; first < len(o); {
			last := first
			for last+1 < len(o) && o[last+1] == o[first] {
				last++
			}
			r := slotmap.Range{First: hashslot.Slot(first), Last: hashslot.Slot(last)}
			if o[first] != 0 && !yield(r, o[first]) {
				return
			}
			first = last + 1
		}
	}
}

// claim gives each primary the slots that it claims. It stops and reports false at the
// first slot that is claimed twice.
func (c *Cluster) claim(owners *owners) bool {
	for i := range c.store {
		n := &c.store[i]
		if n.Role != RolePrimary {
			continue
		}
		for _, r := range n.Slots {
			part := owners[r.First : r.Last+1]
			for j := range part {
				if part[j] != 0 {
					return false
				}
				part[j] = int32(i) + 1
			}
		}
	}
	return true
}

// settle is claim for the case that slots are claimed twice.
func (c *Cluster) settle(owners *owners) {
	*owners = [hashslot.Count]int32{}
	var order []int32
	for i := range c.store {
		if c.store[i].Role == RolePrimary {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		n, m := &c.store[a], &c.store[b]
		return cmp.Or(
			-cmp.Compare(n.ConfigEpoch, m.ConfigEpoch),
			compareBool(m.routable(), n.routable()),
			cmp.Compare(n.key, m.key),
			cmp.Compare(a, b))
	})
	// next[s] leads to the first slot from s on that has no owner yet. So a slot that
	// many nodes claim is walked over only once.
	var next [hashslot.Count + 1]uint16
	for s := range next {
		next[s] = uint16(s)
	}
	free := func(s uint16) uint16 {
		for next[s] != s {
			next[s] = next[next[s]]
			s = next[s]
		}
		return s
	}
	for _, i := range order {
		n := &c.store[i]
		if len(c.disagreements) < maxDisagreements {
			c.disagree(owners, n)
		}
		for _, r := range n.Slots {
			for s := free(uint16(r.First)); s <= uint16(r.Last); s = free(s) {
				owners[s] = i + 1
				next[s] = s + 1
			}
		}
	}
}

// maxDisagreements bounds the disagreements that a hostile reply can cause.
const maxDisagreements = 1000

// disagree records which of the slots that n claims have another owner already.
func (c *Cluster) disagree(owners *owners, n *Node) {
	var ids []int32 // of the others, in the order of the slots
	slots := map[int32]*slotmap.Set{}
	var last int32 // the owner of the slot before
	var set *slotmap.Set
	for _, r := range n.Slots {
		for s := r.First; s <= r.Last; s++ {
			o := owners[s]
			if o == 0 {
				continue
			}
			if o != last {
				last, set = o, slots[o]
			}
			if set == nil {
				ids = append(ids, o)
				set = new(slotmap.Set)
				slots[o] = set
			}
			set.Add(s)
		}
	}
	for _, o := range ids[:min(len(ids), maxDisagreements-len(c.disagreements))] {
		owner := &c.store[o-1]
		var reason string
		switch {
		case owner.ConfigEpoch != n.ConfigEpoch:
			reason = fmt.Sprintf("config epoch %d over %d", owner.ConfigEpoch, n.ConfigEpoch)
		case owner.routable() != n.routable():
			reason = "the node with an address over the one without"
		default:
			reason = "the smaller node id"
		}
		c.disagreements = append(c.disagreements, Disagreement{*slots[o], owner, n, reason})
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return +1
	}
	return -1
}

// addOpen notes the open slots of n.
func (c *Cluster) addOpen(n *Node) {
	// In Valkey, a replica reports the open slots of its primary too. The end of the
	// move is the primary.
	id := n.ID
	if n.PrimaryID != "" {
		id = n.PrimaryID
	}
	for _, p := range n.Migrating {
		c.open = append(c.open, OpenSlot{Slot: p.Slot, From: id, To: p.Node, Migrating: true})
	}
	for _, p := range n.Importing {
		c.open = append(c.open, OpenSlot{Slot: p.Slot, From: p.Node, To: id, Importing: true})
	}
}

// sortOpen sorts the open slots, and merges the entries of the two ends of a slot.
func (c *Cluster) sortOpen() {
	slices.SortFunc(c.open, func(a, b OpenSlot) int {
		return cmp.Or(cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	n := 0
	for _, o := range c.open {
		if n > 0 && c.open[n-1].Slot == o.Slot && c.open[n-1].From == o.From && c.open[n-1].To == o.To {
			c.open[n-1].Migrating = c.open[n-1].Migrating || o.Migrating
			c.open[n-1].Importing = c.open[n-1].Importing || o.Importing
			continue
		}
		c.open[n] = o
		n++
	}
	c.open = slices.Clone(c.open[:n])
}

// primaryOf returns the place, from 1, of the primary of the replica n's shard,
// or 0.
func (c *Cluster) primaryOf(n *Node) int32 {
	// For a moment, a replica may follow another replica. A chain of more than a
	// few steps is not a working cluster.
	for range 8 {
		place := n.primary
		if place == 0 {
			return 0
		}
		n = &c.store[place-1]
		if n.Role == RolePrimary {
			return place
		}
	}
	return 0
}

// Equal reports whether two views have the same nodes, in the same roles and under
// the same primaries, and the same slot owners. It ignores the order of nodes, nodes
// without a role, addresses (which depend on who asks), failure flags, epochs, open
// slots and times.
//
// CLUSTER SLOTS leaves out replicas that have failed or are new, so only views
// from the same command should be compared. A nil Cluster equals one without
// nodes. Equal takes O(n log n) time for n nodes and ranges.
func (c *Cluster) Equal(other *Cluster) bool {
	return slices.Equal(c.canonical(), other.canonical())
}

// A canonical is a node with a role, or a range of slots and the key of its owner.
type canonical struct {
	key, primary string
	role         Role
	slots        slotmap.Range
}

// canonical returns c in the form that Equal compares.
func (c *Cluster) canonical() (all []canonical) {
	if c == nil {
		return nil
	}
	for _, n := range c.nodes {
		if n.Role == RoleUnknown {
			continue
		}
		line := canonical{key: n.key, role: n.Role}
		if p := c.primaryOf(n); p != 0 {
			line.primary = c.store[p-1].key
		}
		all = append(all, line)
	}
	slices.SortFunc(all, func(a, b canonical) int { return cmp.Compare(a.key, b.key) })
	for r, shard := range c.Table().Ranges() {
		all = append(all, canonical{key: shard.Primary.key, slots: r})
	}
	return all
}
