package plantest

import (
	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// Rules are the rules of the cluster bus that differ between versions.
type Rules int

const (
	// RulesClassic are the rules of Redis, and of Valkey before 8.0: a node ignores claims of
	// slots that it imports, and keeps a slot with an owner that no longer claims it.
	RulesClassic Rules = iota

	// RulesValkey8 are the rules of Valkey 8.0 and later: a slot that its owner no longer
	// claims is free for others, and a node takes a slot that it imports as soon as the
	// source does not claim it.
	RulesValkey8
)

// String returns "classic" or "Valkey 8".
func (r Rules) String() string {
	if r == RulesValkey8 {
		return "Valkey 8"
	}
	return "classic"
}

// SetRules sets the rules. Those of a new cluster are [RulesClassic].
func (c *Cluster) SetRules(r Rules) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rules = r
}

// A message is a packet of the cluster bus, with the claims of a node when it was sent.
type message struct {
	about          *node       // the node that claims
	epoch, current uint64      // its config epoch, and the highest that the sender knew
	scope, claims  slotmap.Set // the slots of the message, and those of them that about claims
	update         bool        // sent by a third node: an UPDATE
}

// A link is from one node to another. Its messages arrive in their order.
type link struct{ from, to *node }

// Gossip exchanges messages until no node learns anything new: all messages arrive, and
// every node hears of all others' claims.
func (c *Cluster) Gossip() {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Each round resolves at least one collision of epochs, or spreads news.
	for range 4 * (len(c.nodes) + 1) {
		c.changed = false
		for _, from := range c.nodes {
			for _, to := range c.nodes {
				c.send(from, to)
			}
		}
		for arrived := true; arrived; {
			arrived = false
			for _, from := range c.nodes {
				for _, to := range c.nodes {
					arrived = c.deliver(from, to) || arrived
				}
			}
		}
		if !c.changed {
			break
		}
	}
	var disputed slotmap.Set
	for slot := range c.news.Slots() {
		for _, n := range c.nodes {
			if n.owner[slot] != c.nodes[0].owner[slot] {
				disputed.Add(slot)
				break
			}
		}
	}
	c.news = disputed
}

// Send makes one node send its present claims to another. The message is on its way until
// [Cluster.Deliver].
func (c *Cluster) Send(from, to string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.send(c.byID[from], c.byID[to])
}

// Deliver delivers the oldest message from one node to another, and reports whether there
// was one.
func (c *Cluster) Deliver(from, to string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deliver(c.byID[from], c.byID[to])
}

func (c *Cluster) send(from, to *node) {
	if from == to || from.down {
		return
	}
	m := message{about: from, epoch: from.epoch, current: from.current, scope: c.news}
	for slot := range c.news.Slots() {
		if from.owner[slot] == from {
			m.claims.Add(slot)
		}
	}
	c.links[link{from, to}] = append(c.links[link{from, to}], m)
}

func (c *Cluster) deliver(from, to *node) bool {
	l := link{from, to}
	list := c.links[l]
	if len(list) == 0 {
		return false
	}
	c.links[l] = list[1:]
	if m := list[0]; !to.down && !from.down {
		c.hear(to, from, &m)
	}
	return true
}

// hear repeats clusterProcessPacket for a node that gets a message.
func (c *Cluster) hear(n, from *node, m *message) {
	if m.about == n {
		return // n knows better
	}
	if m.about.primary != nil {
		// A node that hears that another is a replica gives that one no slot.
		for slot := range m.scope.Slots() {
			if n.owner[slot] == m.about {
				c.change(n, slot, nil)
			}
		}
		return
	}
	n.current = max(n.current, m.current)
	known := n.epochOf(m.about)
	if m.update && known >= m.epoch {
		return // nothing new
	}
	if m.epoch > known {
		n.known[m.about] = m.epoch
		c.changed = true
	}
	c.updateSlots(n, m)
	if m.update {
		return
	}
	for slot := range m.claims.Slots() {
		// A claim that is known to be old is answered with the owner of the slot.
		o := n.owner[slot]
		if o == nil || o == m.about || n.epochOf(o) <= m.epoch || c.unclaimed(n, slot) {
			continue
		}
		u := message{about: o, epoch: n.epochOf(o), current: n.current, scope: m.scope, update: true}
		for slot := range m.scope.Slots() {
			if n.owner[slot] == o && !c.unclaimed(n, slot) {
				u.claims.Add(slot)
			}
		}
		c.links[link{n, from}] = append(c.links[link{n, from}], u)
		break
	}
	if n.primary == nil && n.epoch == m.epoch && n.id < m.about.id { // clusterHandleConfigEpochCollision
		n.current++
		n.epoch = n.current
		c.changed = true
	}
}

// unclaimed repeats isSlotUnclaimed.
func (c *Cluster) unclaimed(n *node, slot hashslot.Slot) bool {
	return n.owner[slot] == nil || c.rules == RulesValkey8 && n.silent.Contains(slot)
}

// updateSlots repeats clusterUpdateSlotsConfigWith: the claim with the higher config epoch
// gets a slot. A node that loses a slot deletes its keys. A node that loses its last slot
// becomes a replica of the node that took it.
func (c *Cluster) updateSlots(n *node, m *message) {
	primary := n
	if n.primary != nil {
		primary = n.primary
	}
	var taker *node
	for slot := range m.scope.Slots() {
		was := n.owner[slot]
		switch {
		case !m.claims.Contains(slot):
			c.disclaimed(n, m.about, slot)
		case was == m.about:
			n.silent.Remove(slot)
		case c.lost(n, m, slot) && was == primary:
			taker = m.about
		}
	}
	if taker != nil && n.primary == nil {
		if set := n.owns(); set.IsEmpty() {
			n.follow(taker)
		}
	}
}

// disclaimed is called if n hears that a node does not claim the slot.
func (c *Cluster) disclaimed(n, about *node, slot hashslot.Slot) {
	was := n.owner[slot]
	if was == about {
		n.silent.Add(slot)
	}
	if from, importing := n.importing[slot]; c.rules == RulesValkey8 && importing && from == about && n.primary == nil {
		delete(n.importing, slot)
		if was != n {
			c.change(n, slot, n)
			c.bump(n)
		}
	}
}

// lost is called if n hears that a node claims the slot of another. It reports whether
// that node gets the slot.
func (c *Cluster) lost(n *node, m *message, slot hashslot.Slot) bool {
	was := n.owner[slot]
	from, importing := n.importing[slot]
	if importing && c.rules == RulesClassic || !c.unclaimed(n, slot) && n.epochOf(was) >= m.epoch {
		return false
	}
	if was == n {
		delete(*n.keys, slot)
		delete(n.migrating, slot)
	}
	if importing && from != m.about {
		delete(n.importing, slot)
	}
	c.change(n, slot, m.about)
	return true
}

// epochOf returns the config epoch of a primary as n knows it.
func (n *node) epochOf(m *node) uint64 {
	if m == n {
		return n.epoch
	}
	return n.known[m]
}

// bump repeats clusterBumpConfigEpochWithoutConsensus: unless the node has the highest
// epoch that it knows, it gets a higher one.
func (c *Cluster) bump(n *node) (bumped bool) {
	highest := n.current
	for _, e := range n.known {
		highest = max(highest, e)
	}
	if n.epoch != 0 && n.epoch == highest {
		return false
	}
	n.current = highest + 1
	n.epoch = n.current
	c.changed = true
	return true
}
