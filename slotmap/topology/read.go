package topology

import (
	"iter"
	"math/rand/v2"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// The reads of a Router. Each loads the state once, and sees one moment.

// For returns the shard that owns slot, or nil if nobody does or slot is not one
// of the 16384, and the generation of the map it looked at.
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

// Table returns the map of the moment, never nil, and its generation.
func (r *Router) Table() (*slotmap.Table[*Shard], Generation) {
	s := r.load()
	return &s.table, s.gen
}

// Generation returns the generation of the map, 0 as long as there is none.
func (r *Router) Generation() Generation { return r.load().gen }

// Split groups keys by the shard that owns their slots. The groups, and unassigned
// for the keys whose slots nobody owns, hold indexes in keys. All keys are looked
// up in one map; seen is its generation. The groups are in the order of their
// first keys, and belong to the caller. A caller that splits many keys saves
// memory with its own [slotmap.OwnerSplitter] and [Router.Table].
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
// it serves ([Node.Serves]) and its [Router].Weight is not 0. If a policy lists
// several kinds of nodes, the first kind with an eligible node is used. If no node
// is eligible, the primary is used.
type ReadPolicy uint8

const (
	ReadPrimary  ReadPolicy = iota // the primary
	ReadReplica                    // the replicas
	ReadAny                        // the primary and the replicas alike
	ReadSameZone                   // the replicas in the client's zone; the primary if it is in that zone; the replicas in any zone. If Zone is "", as ReadReplica
)

var readPolicyNames = [...]string{"primary", "replica", "any", "same zone"}

func (p ReadPolicy) String() string {
	if int(p) < len(readPolicyNames) {
		return readPolicyNames[p]
	}
	return "unknown read policy"
}

// Read returns a node for a read from slot, as [Router.Pick] picks it from the
// owner's shard, or nil if nobody owns the slot. It also returns the generation of
// the map it looked at. On a replica, the connection must be in READONLY mode.
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

// Pick returns a node of the shard for reads, or nil if shard is nil. The
// eligible nodes of the policy are equally likely, or in proportion to their
// [Router].Weight. Pick takes time linear in the number of replicas of the shard,
// and goroutines share no state for the choice.
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
		c.addAll(shard.Replicas, "")
	case ReadReplica, ReadSameZone:
		c.addAll(shard.Replicas, zone)
		if c.node == nil && zone != "" {
			if shard.Primary.AvailabilityZone == zone {
				c.add(shard.Primary)
			}
			if c.node == nil {
				c.addAll(shard.Replicas, "")
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
	// Reservoir sampling: the node replaces the choice with probability w/total,
	// which keeps all odds in proportion. So each weight is asked for only once.
	if c.total += w; c.total == w || rand.Uint64N(c.total) < w {
		c.node = n
	}
}

// addAll adds the nodes that are in the zone, or all of them if it is "".
func (c *choice) addAll(nodes []*Node, zone string) {
	for _, n := range nodes {
		if zone == "" || n.AvailabilityZone == zone {
			c.add(n)
		}
	}
}

// Any returns a node for a command without keys: the node that policy picks from a
// random shard. A shard whose picked node does not serve is skipped if there is
// another. Any returns nil if no picked node has an address. It takes time linear
// in the number of skipped shards.
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
		case n.routable() && last == nil:
			last = n
		}
	}
	return last
}

// Nodes iterates over all nodes of the map, shard by shard: the primary, then its
// replicas. Shards that own slots come first, by their first slot. The map is that
// of the moment at which the loop starts.
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
// includes primaries that have failed or have no address: without them, the result
// would be incomplete. The map is that of the moment at which the loop starts.
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

// Node returns the node of the map that has the id, or nil.
func (r *Router) Node(id string) *Node {
	if m, ok := r.load().members.byKey.get(id); ok && m.node.ID == id {
		return m.node
	}
	return nil
}

// NodeByAddr returns the node of the map that has the address, "host:port", or
// nil. The host may be any that the map knows for the node: its endpoint, its IP
// or its host name. If nodes share an address, as behind a proxy, it is a primary
// if there is one, then the node with the smaller id.
func (r *Router) NodeByAddr(addr string) *Node {
	m, _ := r.load().members.byAddr.get(addr)
	return m.node
}
