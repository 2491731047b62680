package plantest

import (
	"slices"

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

// Gossip exchanges messages until no node changes its slots or its epoch: all messages
// arrive, and every node hears of all others' claims. That ends, because epochs only grow
// until they differ, and then a slot only goes to a node that is the first to claim it, or
// has a higher epoch.
func (c *Cluster) Gossip() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.changed = true; c.changed; {
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
	}
	var disputed slotmap.Set
	for slot := range c.news.Slots() {
		if slices.ContainsFunc(c.nodes, func(n *node) bool { return n.owner[slot] != c.nodes[0].owner[slot] }) {
			disputed.Add(slot)
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
	if m := list[0]; !to.down && !from.down { // else it is lost
		c.hear(to, from, &m)
	}
	return true
}

// hear repeats clusterProcessPacket for a node that gets a message.
func (c *Cluster) hear(n, from *node, m *message) {
	if m.about == n {
		return // n knows better
	}
	if n.primary != nil && n.primary.primary != nil {
		n.follow(n.primary.primary) // no replica has replicas
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
	n.known[m.about] = max(known, m.epoch)
	c.updateSlots(n, m)
	if m.update {
		return
	}
	for slot := range m.claims.Slots() {
		// A claim that is known to be old is answered with the owner of the slot.
		o := n.owner[slot]
		if o == m.about || n.epochOf(o) <= m.epoch {
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

// unclaimed repeats isSlotUnclaimed, for a slot that has an owner.
func (c *Cluster) unclaimed(n *node, slot hashslot.Slot) bool {
	return c.rules == RulesValkey8 && n.silent.Contains(slot)
}

// updateSlots repeats clusterUpdateSlotsConfigWith: the claim with the higher config epoch
// gets a slot. A node that loses a slot deletes its keys. A node that loses its last slot
// becomes a replica of the node that took it.
func (c *Cluster) updateSlots(n *node, m *message) {
	mine := false
	for slot := range m.scope.Slots() {
		was := n.owner[slot]
		mine = mine || was == n
		switch {
		case !m.claims.Contains(slot):
			c.disclaimed(n, m.about, slot)
		case was == m.about:
			n.silent.Remove(slot)
		default:
			c.contested(n, m, slot)
		}
	}
	if mine && !n.hasSlots() {
		n.follow(m.about)
	}
}

// disclaimed is called if n hears that a node does not claim the slot.
func (c *Cluster) disclaimed(n, about *node, slot hashslot.Slot) {
	if n.owner[slot] == about {
		n.silent.Add(slot)
	}
	if c.rules == RulesValkey8 && n.importing[slot] == about {
		delete(n.importing, slot)
		c.change(n, slot, n)
		c.bump(n)
	}
}

// contested is called if n hears that a node claims the slot of another. That node gets
// the slot if n believes no better claim.
func (c *Cluster) contested(n *node, m *message, slot hashslot.Slot) {
	was := n.owner[slot]
	from, importing := n.importing[slot]
	if importing && c.rules == RulesClassic || !c.unclaimed(n, slot) && n.epochOf(was) >= m.epoch {
		return
	}
	if from != m.about {
		delete(n.importing, slot)
	}
	if was == n {
		c.lose(n, slot, m.about)
	} else {
		c.change(n, slot, m.about)
	}
}

// lose takes a slot and its keys from a node.
func (c *Cluster) lose(n *node, slot hashslot.Slot, taker *node) {
	delete(*n.keys, slot)
	delete(n.migrating, slot)
	c.change(n, slot, taker)
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
	if n.epoch == n.current {
		return false
	}
	n.current++
	n.epoch = n.current
	return true
}
