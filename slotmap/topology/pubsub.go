package topology

import (
	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// Resubscribe returns the sharded channels that a client must subscribe to again after
// the change, grouped by their present owner and slot. These are the channels in slots
// that went to another node, and those whose owner has a new address. channels are all
// subscriptions of the client at primaries. The groups hold indexes in channels.
// unassigned has the channels in slots that nobody owns: they have to wait for a later
// change. For a nil change, Resubscribe returns nothing.
//
// The slot of a sharded channel is that of its name, by the rule for keys. All channels
// of one SSUBSCRIBE must be in one slot, so each [slotmap.SlotGroup] is one command. For
// the first subscriptions, [Router.SplitBySlot] makes the same groups. When a slot moves,
// the server ends its subscriptions with an unrequested "sunsubscribe" push. A client
// that gets this push before it knows the new owner subscribes at the old one again: the
// answer is MOVED, which names the new owner.
//
// Resubscribe takes time and memory linear in the channels and in c.Updated. It is a
// read, and can be called in [Router].OnChange.
func (r *Router) Resubscribe(c *Change, channels []string) (groups []slotmap.OwnerSlots[*Shard], unassigned []slotmap.SlotGroup) {
	if c == nil {
		return nil, nil
	}
	readdressed := make(map[string]bool)
	for _, u := range c.Updated {
		if u.Before.addr != u.After.addr {
			readdressed[u.After.key] = true
		}
	}
	table, _ := r.Table()
	var names []string
	var places []int // in channels
	for i, slot := range hashslot.AppendOf(nil, channels) {
		again := c.Slots.Contains(slot)
		if shard, ok := table.Lookup(slot); ok && readdressed[shard.Primary.key] {
			again = true
		}
		if again {
			names, places = append(names, channels[i]), append(places, i)
		}
	}
	groups, unassigned = new(slotmap.OwnerSplitter[*Shard]).SplitBySlot(table, names)
	for _, g := range groups {
		toPlaces(g.Slots, places)
	}
	toPlaces(unassigned, places)
	return groups, unassigned
}

// toPlaces replaces each index i in the groups by places[i].
func toPlaces(groups []slotmap.SlotGroup, places []int) {
	for _, g := range groups {
		for i, k := range g.Keys {
			g.Keys[i] = places[k]
		}
	}
}
