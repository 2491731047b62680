package plantest

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// A Cluster is a simulated cluster. All methods are safe for concurrent use.
type Cluster struct {
	mu    sync.Mutex
	nodes []*node // by id
	byID  map[string]*node
	news  slotmap.Set // slots about which views may differ
	rules Rules

	links   map[link][]message // messages on their way
	changed bool               // a node has changed its slots or its epoch, so others may learn something

	// step is called while a step waits, at most tries times: after that, gossip changes
	// nothing.
	step  func()
	tries int
}

// A node is a server. It knows the roles of other nodes at once, but their epochs and
// slots only from messages.
type node struct {
	id, addr             string
	primary              *node                 // nil if it is a primary
	epoch                uint64                // config epoch, of a primary
	current              uint64                // the highest epoch that it knows
	known                map[*node]uint64      // config epochs of others
	owner                [hashslot.Count]*node // as this node knows
	silent               slotmap.Set           // slots that their owner, as this node knows, did not claim when last heard
	free                 int                   // slots without an owner, as this node knows
	migrating, importing map[hashslot.Slot]*node
	keys                 *store
	down                 bool
}

// A store is the keys of a primary and its replicas, by slot.
type store map[hashslot.Slot]map[string]string

// New returns a cluster of the nodes of c that have a role, without keys. Their view is c.
// Primaries with the same config epoch get different ones, in the order of their ids, as
// servers resolve such a collision.
func New(c *topology.Cluster) *Cluster {
	p := &Cluster{byID: map[string]*node{}, links: map[link][]message{}, tries: 3}
	p.step = p.Gossip
	epochs := map[uint64]bool{}
	for _, n := range c.Nodes() {
		if n.Role != topology.RoleUnknown {
			m := &node{id: n.ID, addr: n.Addr(), epoch: n.ConfigEpoch, known: map[*node]uint64{}, migrating: map[hashslot.Slot]*node{}, importing: map[hashslot.Slot]*node{}, keys: &store{}}
			p.nodes, p.byID[n.ID] = append(p.nodes, m), m
		}
	}
	slices.SortFunc(p.nodes, func(a, b *node) int { return cmp.Compare(a.id, b.id) })
	for _, n := range c.Nodes() {
		if primary := p.byID[n.PrimaryID]; primary != nil {
			p.byID[n.ID].follow(primary)
		}
	}
	for _, m := range p.nodes {
		if m.primary != nil {
			continue
		}
		for m.epoch == 0 || epochs[m.epoch] {
			m.epoch++
		}
		epochs[m.epoch] = true
		for _, n := range p.nodes {
			n.known[m] = m.epoch
			n.current = max(n.current, m.epoch)
		}
	}
	var owner [hashslot.Count]*node
	free := hashslot.Count
	for r, s := range c.Table().Ranges() {
		for slot := r.First; slot <= r.Last; slot++ {
			if owner[slot] = p.byID[s.Primary.ID]; owner[slot] != nil {
				free--
			}
		}
	}
	for _, m := range p.nodes {
		m.owner, m.free = owner, free
	}
	for _, o := range c.Open() {
		from, to := p.byID[o.From], p.byID[o.To]
		if from == nil || to == nil {
			continue
		}
		if o.Migrating {
			from.migrating[o.Slot] = to
		}
		if o.Importing {
			to.importing[o.Slot] = from
		}
	}
	return p
}

// set sets the owner of a slot; nil for none.
func (n *node) set(slot hashslot.Slot, owner *node) {
	if n.owner[slot] == nil {
		n.free--
	}
	if owner == nil {
		n.free++
	}
	n.owner[slot] = owner
	n.silent.Remove(slot)
}

// ownerOf returns the owner of a slot, as the node knows it, or nil.
func (n *node) ownerOf(slot hashslot.Slot) *node { return n.owner[slot] }

// hasSlots reports whether the node claims any slot.
func (n *node) hasSlots() bool { return slices.Contains(n.owner[:], n) }

// follow makes the node a replica.
func (n *node) follow(primary *node) {
	n.primary, n.keys = primary, primary.keys
	clear(n.migrating)
	clear(n.importing)
}

// change sets the owner of a slot in the table of one node.
func (c *Cluster) change(n *node, slot hashslot.Slot, owner *node) {
	n.set(slot, owner)
	c.news.Add(slot)
	c.changed = true
}

// Kill stops a node. Others see that it has failed, and its replicas can take over by
// CLUSTER FAILOVER FORCE.
func (c *Cluster) Kill(id string) { c.setDown(id, true) }

// Revive starts a killed node again, with the view that it had when it was killed.
func (c *Cluster) Revive(id string) { c.setDown(id, false) }

func (c *Cluster) setDown(id string, down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.byID[id]; n != nil {
		n.down = down
	}
}

// Table returns the owners of the slots, by node id: the primary that claims the slot or,
// of several, the one with the highest config epoch.
func (c *Cluster) Table() *slotmap.Table[string] {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b slotmap.Builder[string]
	for r, owner := range runs(c.owner) {
		b.Assign(r, owner.id)
	}
	return b.Build()
}

// runs yields the ranges of slots that have one owner.
func runs(owner func(hashslot.Slot) *node) iter.Seq2[slotmap.Range, *node] {
	return func(yield func(slotmap.Range, *node) bool) {
		for first := hashslot.Slot(0); first < hashslot.Count; {
			o, next := owner(first), first
			for next < hashslot.Count && owner(next) == o {
				next++
			}
			if o != nil && !yield(slotmap.Range{First: first, Last: next - 1}, o) {
				return
			}
			first = next
		}
	}
}

// owner returns the primary that claims the slot, that of the greatest epoch if there are
// several, or nil. Of several with one epoch the first is going to take a greater one.
func (c *Cluster) owner(slot hashslot.Slot) (owner *node) {
	for _, n := range c.nodes {
		if n.owner[slot] == n && (owner == nil || n.epoch > owner.epoch) {
			owner = n
		}
	}
	return owner
}

// owners returns the primaries that claim a slot. A replica claims none.
func (c *Cluster) owners(slot hashslot.Slot) (owners []*node) {
	for _, n := range c.nodes {
		if n.owner[slot] == n {
			owners = append(owners, n)
		}
	}
	return owners
}

// Views returns the views of all nodes that answer, by CLUSTER NODES, in the order of
// their ids.
func (c *Cluster) Views() ([]*topology.Cluster, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var views []*topology.Cluster
	for _, n := range c.nodes {
		if n.down {
			continue
		}
		v, err := topology.ParseNodes(c.nodesText(n), topology.Origin{Addr: n.addr})
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

// Run carries out steps one after the other, as [plan.Step] describes. While it waits,
// nodes gossip. The error is that of the first step that cannot be done, and names it.
func (c *Cluster) Run(steps ...plan.Step) error {
	for _, s := range steps {
		if err := c.run(s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func (c *Cluster) run(s plan.Step) error {
	conn := &Conn{c: c, id: s.Node}
	progress, why := plan.ProgressNotStarted, ""
	for range c.tries {
		advance := conn.advance
		if s.Kind == plan.KindMoveKeys {
			advance = conn.moveKeys
		}
		var seen string
		progress, seen = advance(s, progress)
		if progress == plan.ProgressDone {
			return nil
		}
		why = cmp.Or(seen, why)
		if progress == plan.ProgressFailed {
			break
		}
		c.step()
	}
	return errors.New(cmp.Or(why, "it is "+progress.String()))
}

// answer sends a command, and returns the reply or the error.
func (conn *Conn) answer(command []string) any {
	reply, err := conn.Do(command...)
	if err != nil {
		return err
	}
	return reply
}

// advance sends the command of a step that has not started, and asks how far it is.
func (conn *Conn) advance(s plan.Step, progress plan.Progress) (p plan.Progress, why string) {
	if progress == plan.ProgressNotStarted && s.Command != nil {
		if p, why = s.Answer(conn.answer(s.Command)); p != plan.ProgressRunning {
			return p, why
		}
	}
	var replies []any
	for _, command := range s.Until.Ask {
		replies = append(replies, conn.answer(command))
	}
	p, seen := s.Progress(replies...)
	return p, cmp.Or(seen, why)
}

// moveKeys sends the keys of a slot until none is left.
func (conn *Conn) moveKeys(s plan.Step, _ plan.Progress) (p plan.Progress, why string) {
	for {
		listed := conn.answer(s.Until.Ask[0])
		if p, why = s.Progress(listed); p != plan.ProgressNotStarted {
			return p, why
		}
		keys, _ := s.Keys(listed) // Progress has read them
		if err, bad := conn.answer(s.Migrate(keys, plan.Auth{})).(error); bad {
			return p, err.Error()
		}
	}
}

// A CheckError says what is wrong with a slot.
type CheckError struct {
	Slot   hashslot.Slot
	Reason string
}

func (e *CheckError) Error() string { return fmt.Sprintf("plantest: slot %d %s", e.Slot, e.Reason) }

// Check returns a [*CheckError] unless, for each of the slots, these hold: it has one
// owner, or is at the end of a move, before its source has heard of the new owner; no key
// of it is at two primaries; and a client that sends a command for a key of it to any
// node, and follows redirects, finds the key.
func (c *Cluster) Check(slots slotmap.Set) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for slot := range slots.Slots() {
		if reason := c.wrong(slot); reason != "" {
			return &CheckError{slot, reason}
		}
	}
	return nil
}

// wrong says what is wrong with the slot.
func (c *Cluster) wrong(slot hashslot.Slot) (reason string) {
	owners := c.owners(slot)
	slices.SortFunc(owners, func(a, b *node) int { return cmp.Compare(b.epoch, a.epoch) })
	// At the end of a move the target hears of it before the source.
	if len(owners) == 0 || len(owners) > 2 || len(owners) == 2 && owners[1].migrating[slot] != owners[0] {
		return fmt.Sprintf("has %d owners", len(owners))
	}
	at := map[string]*node{}
	for _, n := range c.nodes {
		if n.primary != nil {
			continue
		}
		for key := range (*n.keys)[slot] {
			if at[key] != nil {
				return fmt.Sprintf("has the key %q at %s and at %s", key, at[key].id, n.id)
			}
			at[key] = n
		}
	}
	// Without keys, ask for one that nobody has: any answering node will do.
	for _, key := range append(slices.Collect(maps.Keys(at)), "{"+slot.Tag()+"}") {
		if reason := c.misled(key, at[key]); reason != "" {
			return reason
		}
	}
	return ""
}

// misled says which node leads a client elsewhere than to the node that has the key. That
// is nil for a key that nobody has.
func (c *Cluster) misled(key string, at *node) (reason string) {
	for _, n := range c.nodes {
		if n.down {
			continue
		}
		served, err := c.follow(n, key)
		if err != nil {
			return fmt.Sprintf("has the key %q, and a client that asks %s for it gets %v", key, n.id, err)
		}
		if at != nil && served != at {
			return fmt.Sprintf("has the key %q at %s, and a client that asks %s for it gets to %s", key, at.id, n.id, served.id)
		}
	}
	return ""
}

// follow returns the node that serves a read of the key that is first sent to n.
func (c *Cluster) follow(n *node, key string) (*node, error) {
	asking := false
	for range 5 {
		err := c.redirect(n, []string{key}, asking, false)
		if err == nil {
			return n, nil
		}
		r, noRedirect := topology.ParseRedirect(err.Error(), topology.Origin{Addr: n.addr})
		if noRedirect != nil {
			return nil, err
		}
		asking = r.Ask
		if n = c.at(r.Addr()); n == nil {
			return nil, err
		}
	}
	return nil, errors.New("too many redirects")
}

// at returns the running node with the address, or nil.
func (c *Cluster) at(addr string) *node {
	i := slices.IndexFunc(c.nodes, func(n *node) bool { return n.addr == addr && !n.down })
	if i < 0 {
		return nil
	}
	return c.nodes[i]
}

// Fill writes n keys, each to the owner of its slot, and returns them: the same for
// the same seed. Keys of slots without an owner are left out.
func (c *Cluster) Fill(n int, seed uint64) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	rng := rand.New(rand.NewPCG(seed, 0))
	var keys []string
	for range n {
		key := fmt.Sprintf("key:%x", rng.Uint32())
		if owners := c.owners(hashslot.Of(key)); len(owners) > 0 {
			owners[0].keys.put(key, "1")
			keys = append(keys, key)
		}
	}
	return keys
}

// Put writes a key at a node that need not own its slot, to make a broken cluster. It
// panics if the cluster has no node with this id.
func (c *Cluster) Put(id, key, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byID[id].keys.put(key, value)
}

func (s *store) put(key, value string) {
	slot := hashslot.Of(key)
	if (*s)[slot] == nil {
		(*s)[slot] = map[string]string{}
	}
	(*s)[slot][key] = value
}

func (s *store) get(key string) (value string, ok bool) {
	value, ok = (*s)[hashslot.Of(key)][key]
	return value, ok
}

func (s *store) delete(key string) bool {
	_, ok := s.get(key)
	slot := hashslot.Of(key)
	delete((*s)[slot], key)
	if len((*s)[slot]) == 0 {
		delete(*s, slot)
	}
	return ok
}

// copy returns a store with the same keys.
func (s *store) copy() *store {
	c := store{}
	for slot, keys := range *s {
		c[slot] = maps.Clone(keys)
	}
	return &c
}
