package topology

import (
	"iter"
	"math/rand/v2"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// The reads of a Router. Each loads the state once, so it sees the Router at one moment.

// For returns the shard that owns slot, and the generation of the map it looked at. The
// shard is nil if nobody owns slot, or if slot is not one of the 16384. For takes
// constant time and does not allocate.
func (r *Router) For(slot hashslot.Slot) (*Shard, Generation) {
	s := r.state.Load()
	if s == nil {
		return nil, 0
	}
	shard, _ := s.table.Lookup(slot)
	return shard, s.gen
}

// ForKey is [Router.For] for the slot of key.
func (r *Router) ForKey(key string) (*Shard, Generation) {
	s := r.state.Load()
	if s == nil {
		return nil, 0
	}
	shard, _ := s.table.Lookup(hashslot.Of(key))
	return shard, s.gen
}

// ForKeyBytes is [Router.ForKey] for a key held as bytes.
func (r *Router) ForKeyBytes(key []byte) (*Shard, Generation) {
	s := r.state.Load()
	if s == nil {
		return nil, 0
	}
	shard, _ := s.table.Lookup(hashslot.OfBytes(key))
	return shard, s.gen
}

// Table returns the present map and its generation. The table is never nil and never
// changes. Table takes constant time.
func (r *Router) Table() (*slotmap.Table[*Shard], Generation) {
	s := r.load()
	return &s.table, s.gen
}

// Generation returns the generation of the map. It is 0 as long as there is no map.
func (r *Router) Generation() Generation { return r.load().gen }

// Split groups keys by the shard that owns their slots. The groups hold indexes in
// keys. unassigned has the indexes of the keys whose slots nobody owns. All keys are
// looked up in one map; seen is its generation. The groups are in the order of their
// first keys, and belong to the caller. Split takes time and memory linear in keys. A
// caller that splits often saves memory with [Router.Table] and a
// [slotmap.OwnerSplitter] of its own.
func (r *Router) Split(keys []string) (groups []slotmap.OwnerGroup[*Shard], unassigned []int, seen Generation) {
	table, seen := r.Table()
	groups, unassigned = new(slotmap.OwnerSplitter[*Shard]).Split(table, keys)
	return groups, unassigned, seen
}

// SplitBytes is [Router.Split] for keys held as bytes.
func (r *Router) SplitBytes(keys [][]byte) (groups []slotmap.OwnerGroup[*Shard], unassigned []int, seen Generation) {
	table, seen := r.Table()
	groups, unassigned = new(slotmap.OwnerSplitter[*Shard]).SplitBytes(table, keys)
	return groups, unassigned, seen
}

// SplitBySlot is [Router.Split] by shard and then by slot, for commands with several
// keys. Servers refuse these with CROSSSLOT if the keys are in different slots, even
// if one shard owns both.
func (r *Router) SplitBySlot(keys []string) (groups []slotmap.OwnerSlots[*Shard], unassigned []slotmap.SlotGroup, seen Generation) {
	table, seen := r.Table()
	groups, unassigned = new(slotmap.OwnerSplitter[*Shard]).SplitBySlot(table, keys)
	return groups, unassigned, seen
}

// SplitBySlotBytes is [Router.SplitBySlot] for keys held as bytes.
func (r *Router) SplitBySlotBytes(keys [][]byte) (groups []slotmap.OwnerSlots[*Shard], unassigned []slotmap.SlotGroup, seen Generation) {
	table, seen := r.Table()
	groups, unassigned = new(slotmap.OwnerSplitter[*Shard]).SplitBySlotBytes(table, keys)
	return groups, unassigned, seen
}

// A ReadPolicy says which nodes of a shard may answer a read. A node is eligible if
// it serves ([Node.Serves]) and its [Router].Weight is not 0. If no node of the policy
// is eligible, the primary is used.
type ReadPolicy uint8

const (
	ReadPrimary ReadPolicy = iota // the primary, whether it is eligible or not
	ReadReplica                   // any replica
	ReadAny                       // the primary or any replica

	// ReadSameZone is a replica in the zone [Router].Zone; if none is eligible, the
	// primary if it is in that zone; else a replica in any zone. Without a Zone it is
	// ReadReplica.
	ReadSameZone
)

var readPolicyNames = [...]string{"primary", "replica", "any", "same zone"}

// String returns the policy in words, such as "same zone".
func (p ReadPolicy) String() string {
	if int(p) < len(readPolicyNames) {
		return readPolicyNames[p]
	}
	return "unknown read policy"
}

// Read returns a node for a read from slot, and the generation of the map it looked
// at. [Router.Pick] picks the node from the shard that owns slot; it is nil if nobody
// does. The connection to a replica must be in READONLY mode.
func (r *Router) Read(slot hashslot.Slot, policy ReadPolicy) (*Node, Generation) {
	shard, seen := r.For(slot)
	return r.Pick(shard, policy), seen
}

// ReadKey is [Router.Read] for the slot of key.
func (r *Router) ReadKey(key string, policy ReadPolicy) (*Node, Generation) {
	return r.Read(hashslot.Of(key), policy)
}

// ReadKeyBytes is [Router.ReadKey] for a key held as bytes.
func (r *Router) ReadKeyBytes(key []byte, policy ReadPolicy) (*Node, Generation) {
	return r.Read(hashslot.OfBytes(key), policy)
}

// Pick returns a random node of the shard for a read, or nil if shard is nil. The
// eligible nodes of the policy are equally likely, or in proportion to their
// [Router].Weight. Pick takes time linear in the number of replicas of the shard. It
// does not allocate, and goroutines share no state for the choice.
func (r *Router) Pick(shard *Shard, policy ReadPolicy) *Node {
	if shard == nil {
		return nil
	}
	zone := ""
	if policy == ReadSameZone {
		zone = r.Zone
	}
	c := choice{weight: r.Weight}
	switch policy {
	case ReadAny:
		c.add(shard.Primary)
		c.addAll(shard.Replicas, "", true)
	case ReadReplica, ReadSameZone:
		c.addAll(shard.Replicas, zone, true)
		if c.node == nil && zone != "" {
			if shard.Primary.AvailabilityZone == zone {
				c.add(shard.Primary)
			}
			if c.node == nil {
				c.addAll(shard.Replicas, zone, false)
			}
		}
	}
	if c.node == nil {
		return shard.Primary
	}
	return c.node
}

// A choice picks one of the nodes that are added to it.
type choice struct {
	weight func(*Node) uint32
	total  uint64 // of the weights so far
	node   *Node  // the choice among the nodes so far, each by its weight
}

func (c *choice) add(n *Node) {
	if !n.Serves() {
		return
	}
	w := uint64(1)
	if c.weight != nil {
		if w = uint64(c.weight(n)); w == 0 {
			return
		}
	}
	// Reservoir sampling: the node replaces the choice with probability w/total, which
	// keeps the odds in proportion to the weights. So Weight is called only once a node.
	if c.total += w; c.total == w || rand.Uint64N(c.total) < w {
		c.node = n
	}
}

// addAll adds the nodes that are in the zone, or those that are not. All nodes are in
// the zone "".
func (c *choice) addAll(nodes []*Node, zone string, in bool) {
	for _, n := range nodes {
		if (zone == "" || n.AvailabilityZone == zone) == in {
			c.add(n)
		}
	}
}

// Any returns a node for a command without keys: a node that [Router.Pick] picks by
// policy from a random shard. If that node does not serve, the next shards are tried.
// If no picked node serves, Any returns one that has an address, or nil. It takes time
// linear in the number of shards tried and of their replicas.
func (r *Router) Any(policy ReadPolicy) *Node {
	shards := r.load().shards
	if len(shards) == 0 {
		return nil
	}
	var last *Node
	start := rand.IntN(len(shards))
	for i := range shards {
		n := r.Pick(shards[(start+i)%len(shards)], policy)
		switch {
		case n.Serves():
			return n
		case n.routable():
			last = n
		}
	}
	return last
}

// Nodes iterates over all nodes of the map, shard by shard: the primary, then its
// replicas. Shards that own slots come first, by their first slot. The map is the one
// that is present when the loop starts.
func (r *Router) Nodes() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for _, s := range r.load().shards {
			if !yield(s.Primary) {
				return
			}
			for _, n := range s.Replicas {
				if !yield(n) {
					return
				}
			}
		}
	}
}

// Primaries iterates over the primaries that own slots, by their first slot, for
// commands that must go to every shard, such as DBSIZE, SCAN and SCRIPT LOAD. It
// includes primaries that have failed or have no address, so that a caller sees if its
// result is incomplete. The map is the one that is present when the loop starts.
func (r *Router) Primaries() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for s := range r.load().table.Owners() {
			if !yield(s.Primary) {
				return
			}
		}
	}
}

// Replicas iterates over the replicas of the shards that own slots, in the order
// of [Router.Primaries].
func (r *Router) Replicas() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for s := range r.load().table.Owners() {
			for _, n := range s.Replicas {
				if !yield(n) {
					return
				}
			}
		}
	}
}

// Node returns the node of the map that has the id, or nil. It takes constant time.
func (r *Router) Node(id string) *Node {
	if m, ok := r.load().members.byKey.get(id); ok && m.node.ID == id {
		return m.node
	}
	return nil
}

// NodeByAddr returns the node of the map that has the address, "host:port", or
// nil. The host may be any that the map knows for the node: its endpoint, its IP
// or its host name. If several nodes share the address, as behind a proxy, it is the
// primary with the smallest id, or, without a primary, the node with the smallest id.
// NodeByAddr takes constant time.
func (r *Router) NodeByAddr(addr string) *Node {
	m, _ := r.load().members.byAddr.get(addr)
	return m.node
}
