package topology

import (
	"slices"
	"strings"
)

// The rules of evidence. Servers hear of changes at different times. Some pause, and
// come back with old knowledge. So a Router keeps a ground for each slot: the reason
// why the slot has its owner. It judges each view against the grounds.
//
// Terms: the owner is the node that the map has for the slot. The claimant is the
// node that the view has for it. A told owner got the slot by a redirect or Promote,
// and no view has confirmed it yet. A contradicted claim is that of a node that had
// the slot before. The source is the node that gave the view. It is known in CLUSTER
// NODES ("myself"), and in other replies if their [Origin] has the address. A view is
// late if it was asked for before the slot last changed. A node is lost if the client
// suspects it.
//
//	 1. A claim with a lower config epoch is older, and loses. It is compared with the
//	    owner's epoch; with that of the claimant's shard in the map; and, since a view
//	    is yet to show the claim of a told owner, with the contradicted claims
//	    instead of the owner's epoch. In the servers too, a slot goes to the higher
//	    epoch (clusterUpdateSlotsConfigWith in cluster_legacy.c).
//	    But an owner may have given the slot up and have got its higher epoch later,
//	    for another slot. So if the view has the owner as a primary of that epoch,
//	    without the slot, and is not late, a claim with a lower epoch than the owner's
//	    wins by three nodes (6d), and the contradicted claims of a told owner do not
//	    count here.
//	 2. The owner's own view that it does not own the slot is believed, unless it is
//	    late or shows a lower epoch of the owner. Only the owner can give a slot up
//	    without a higher epoch (SETSLOT NODE at both ends of a migration, if the target
//	    has the greatest epoch already). In the view of another node it proves nothing.
//	 3. A view in which nobody owns the slot says nothing: a node that has just
//	    joined does not know the others yet.
//	    CLUSTER SHARDS gives slots to a shard. If two primaries of it are not down, it
//	    does not say which of them has the slots, whoever was asked. This can last:
//	    both stay primaries if the one that was replaced gets a slot before it hears
//	    of the other. Such a view says nothing of slots that the map has at one of the
//	    two, and confirms no redirect. A slot that the map has elsewhere goes to one
//	    of them, as a guess; the other one is its rival. A redirect to the rival takes
//	    along all slots of the guess that came from the same node.
//	 4. A claimant that is down in the view, or lost, loses to an owner that is neither
//	    lost nor down in view or map, unless the claim has a higher epoch. CLUSTER
//	    SHARDS lists a shard's dead primary beside the new one, and other views may be
//	    older than the failover.
//	 5. A redirect is fresher than a late view, whatever its epochs.
//	 6. A told owner stays against views, since a redirect is fresher than the
//	    gossip of nodes that have not heard of the change. Epochs rise for reasons
//	    that have nothing to do with the slot, so a contradicted claim does not win
//	    by a higher one alone. What wins over a told owner is
//	     a. the view of the node that sent the redirect, if it says who has the slot
//	        (3): that node has changed its mind;
//	     b. a claim that is not contradicted, with a higher epoch than those that are;
//	     c. a contradicted claimant's own view, with a higher epoch than before;
//	     d. three different nodes in a row that do not agree with the map: they outweigh
//	        the one that redirected. All unknown sources count as one node, but eight
//	        more of their views outweigh too: without a redirect, the map of a client
//	        that cannot name its sources would never be right;
//	     e. any claim that is neither older (1) nor late (5), if the owner is lost;
//	     f. a claim of a node that has the owner's address: a redirect names no more than
//	        the address, and the map has an earlier node there. It may be late (5).
//	    An owner that does not have the slot says so itself, by a redirect.
//	 7. If both claims have epochs, the higher one wins. But servers show a slot at the
//	    node that had it until another one claims it, even if that node has a newer
//	    epoch and no longer claims the slot (owner_not_claiming_slot). So if the view
//	    has the owner with a lower epoch than the map does, its source has not heard
//	    of the owner's claim: a contradicted claim then wins by three nodes (6d), or if
//	    the owner is lost.
//	 8. Claims without epochs, or with equal ones, have no order. The claim of the view
//	    wins, as the newer one, unless the view is late. But a contradicted claim wins
//	    only by three nodes (6d); or if the owner is lost; or if the source is not
//	    known, since such views cannot be told apart, and the newest is all there is. A
//	    slot seldom goes back to where it was, and an old view always says that it does.
//
// Of nodes:
//
//	 9. A view's description of a shard is not taken if its primary has a lower epoch
//	    there than in the map: the source has not heard of the shard's last change.
//	10. A shard that stays without a description by the view, because it keeps slots or
//	    by rule 9, keeps its replicas, except those that own slots now. Each node is in
//	    one shard only.
//	11. If the source has lost a node (down or disconnected), it repeats the last
//	    address it knew. So, of the view's and the map's address, that with the later
//	    pong counts. The node's own view is always right about it.
//	12. A missing failure flag proves nothing: the cluster takes its time to notice a
//	    failure (cluster-node-timeout). A suspicion by Failed ends by a success of the
//	    client; by the node's own view; by a pong of the node from after the first view
//	    that followed the failure, which is made at most a second (pingPeriod) after its
//	    latest pong; or if the last source that had the node flagged no longer does.
//	13. A replica that redirects a read to its primary has left the shard. It is out of
//	    reads until a view has it in another shard; its own view, or three known
//	    sources, have it in this one; or the client reports success.

// pingPeriod is the time in which a server pings at least one other, in milliseconds
// (clusterCron). So the latest pong in its view is seldom older than that.
const pingPeriod = 1000

// believe is how many different nodes outweigh one.
const believe = 3

// insist is how many more views of unknown sources outweigh a node.
const insist = 8

// A name says which node is meant, and keeps no view of it alive.
type name struct{ key, addr string }

func (n *Node) name() name { return name{strings.Clone(n.key), strings.Clone(n.addr)} }

// is reports whether w is the name of n, by the rule of [Node.same]. No node has the
// zero name.
func (w name) is(n *Node) bool {
	return w.key != "" && (w.key == n.key || w.addr != "" && w.addr == n.addr && (w.key == w.addr || n.ID == ""))
}

func isAny(names []name, n *Node) bool {
	return slices.ContainsFunc(names, func(w name) bool { return w.is(n) || w == name{} && n.key == "" })
}

// A ground is the reason why a slot has its owner. It never changes.
type ground struct {
	gen          Generation // the change that gave the slot to its owner
	told         bool       // a redirect or Promote gave it, and no view has confirmed that
	from         name       // if told: the node that redirected, if it is known
	rival        name       // if the owner is a guess: the node that may have the slot instead
	contradicted []claim    // the latest first, at most maxContradicted
	deniers      []name     // the sources that do not agree, since the last one that did; fewer than believe
	again        uint8      // how many more views of unknown sources do not; fewer than insist
}

// maxContradicted bounds the claims of a ground. A slot seldom has more owners in
// the time in which old views still come in.
const maxContradicted = 4

// A claim says that a node owns a slot.
type claim struct {
	node  name
	epoch uint64 // 0 if it is not known
}

// next returns the ground of a slot that goes from old to owner. g is the ground that
// it has at old. old and g may be nil.
func (g *ground) next(gen Generation, old *Shard, owner *Node) *ground {
	n := &ground{gen: gen}
	if old == nil {
		return n
	}
	was := old.Primary
	n.contradicted = append(n.contradicted, claim{was.name(), was.ConfigEpoch})
	for _, c := range g.contradicted {
		if !c.node.is(owner) && len(n.contradicted) < maxContradicted {
			n.contradicted = append(n.contradicted, c)
		}
	}
	return n
}

// confirmed returns g after a view that agrees.
func (g *ground) confirmed() *ground {
	if !g.told && g.deniers == nil && g.rival == (name{}) {
		return g
	}
	return &ground{gen: g.gen, contradicted: g.contradicted}
}

// alike reports whether g and h are the same guess. Their slots have the same owner,
// and g has a rival.
func (g *ground) alike(h *ground) bool {
	return g.rival == h.rival && g.contradicted[0].node == h.contradicted[0].node
}

// denied returns g after a view of source that does not agree, and whether the sources
// that do not agree outweigh g now.
func (g *ground) denied(source *Node) (*ground, bool) {
	if isAny(g.deniers, source) {
		if source.key != "" {
			return g, false
		}
		n := *g
		n.again++
		return &n, n.again == insist
	}
	if len(g.deniers) == believe-1 {
		return nil, true
	}
	n := *g
	n.deniers = append(slices.Clip(g.deniers), source.name())
	return &n, false
}

// contradicts returns the claim of the node that g contradicts.
func (g *ground) contradicts(n *Node) (claim, bool) {
	i := slices.IndexFunc(g.contradicted, func(c claim) bool { return c.node.is(n) })
	if i < 0 {
		return claim{}, false
	}
	return g.contradicted[i], true
}

// epoch returns the highest epoch of the claims that g contradicts.
func (g *ground) epoch() (epoch uint64) {
	for _, c := range g.contradicted {
		epoch = max(epoch, c.epoch)
	}
	return epoch
}

// A verdict says what to do with a view's claim to a slot.
type verdict uint8

const (
	agreed  verdict = iota // the view has the map's owner
	taken                  // the view's owner is the owner now
	refused                // the map's owner stays: the map knows better
	unsaid                 // the map's owner stays: the view says nothing
)

// judge applies rules 1 to 8 to slots that are old's in the map, on the ground g, and
// next's in the view. old and next may be nil. It returns the ground that the slots
// keep. If they are taken, decide makes their next ground from it.
func (a *applying) judge(old *Shard, g *ground, next *Shard) (verdict, *ground) {
	switch {
	case old == nil && next == nil:
		return unsaid, nil
	case old == nil:
		return taken, nil
	case next != nil && a.isNode(next.Primary, old.Primary):
		return a.agree(old, g, next)
	case a.force:
		return taken, new(ground) // nothing that was known before counts
	}
	owner := old.Primary
	line := a.line(owner) // what the view says of the owner
	open := next != nil && a.leavesOpen(next)
	late := g.gen > a.seen // asked for before the slot last changed
	switch {
	case open && line != nil && line.Role == RolePrimary && line.ShardID == next.ID && !line.down():
		return a.silent(g) // rule 3
	case a.isSource(owner) && !late && (line == nil || !older(line, owner)):
		return taken, g // rule 2
	case next == nil:
		return a.silent(g) // rule 3
	}
	claimant := next.Primary
	known, isKnown := a.s.members.same(claimant)
	if isKnown && older(claimant, known.shard.Primary) {
		return refused, g // rule 1
	}
	lost := a.s.suspects[owner.key] != nil // the client cannot reach the owner
	higher := older(owner, claimant)
	if !higher && (claimant.down() || isKnown && a.s.suspects[known.node.key] != nil) && !a.isDown(owner) {
		return refused, g // rule 4
	}
	before, contradicted := g.contradicts(claimant)
	gaveUp := line != nil && line.Role == RolePrimary && !older(line, owner) && !late
	if g.told {
		above := func(epoch uint64) bool { return claimant.ConfigEpoch > epoch }
		switch {
		case claimant.versioned && claimant.ConfigEpoch < g.epoch() && !gaveUp:
			return refused, g // rule 1
		case owner.routable() && owner.addr == a.addrOf(claimant): // rule 6f
			return taken, g
		case late:
			return refused, g // rule 5
		case g.from.is(a.myself) && !open, // rule 6a
			!contradicted && above(g.epoch()),                           // rule 6b
			contradicted && above(before.epoch) && a.isSource(claimant), // rule 6c
			lost: // rule 6e
			return taken, g
		}
		return a.outweigh(g) // rule 6d
	}
	switch {
	case higher && contradicted && !lost && line != nil && older(line, owner):
		return a.outweigh(g) // rule 7
	case higher:
		return taken, g // rule 7
	case older(claimant, owner) && gaveUp:
		return a.outweigh(g) // rule 1
	case older(claimant, owner):
		return refused, g // rule 1
	case late:
		return refused, g // rule 5
	case !contradicted || lost || a.myself.key == "":
		return taken, g // rule 8
	}
	return a.outweigh(g)
}

// agree is the verdict on slots that have the same owner in the map and in the view.
func (a *applying) agree(old *Shard, g *ground, next *Shard) (verdict, *ground) {
	switch {
	case a.force:
	case older(next.Primary, old.Primary):
		return refused, g // rule 1
	case a.leavesOpen(next):
		return agreed, g // rule 3
	}
	return agreed, g.confirmed()
}

// silent is the verdict on slots of which the view says nothing (rule 3). If a
// redirect gave them to their owner, it refuses the view, so that another one is
// asked for that may confirm the redirect.
func (a *applying) silent(g *ground) (verdict, *ground) {
	if g.told {
		return refused, g
	}
	return unsaid, g
}

// leavesOpen reports whether the view has several primaries of the shard that are
// not down, so that it does not say which of them has the shard's slots.
func (a *applying) leavesOpen(shard *Shard) bool { return len(a.healthy(shard)) > 1 }

// healthy returns the primaries of the view's shard that are not down, in CLUSTER
// SHARDS. Only that reply can have several. In any other, healthy returns nil.
func (a *applying) healthy(shard *Shard) []*Node {
	if a.view.command != shardsCommand || shard.ID == "" {
		return nil
	}
	if a.byShardID == nil {
		a.byShardID = make(map[string][]*Node, len(a.view.shards))
		for _, v := range a.view.shards {
			if n := v.Primary; !n.down() {
				a.byShardID[v.ID] = append(a.byShardID[v.ID], n)
			}
		}
	}
	return a.byShardID[shard.ID]
}

// rival returns the node that may have the slots which the view gives to the shard,
// instead of its primary. It is the zero name if there is none, or more than one.
func (a *applying) rival(shard *Shard) name {
	if all := a.healthy(shard); len(all) == 2 {
		if all[0] == shard.Primary {
			return all[1].name()
		}
		return all[0].name()
	}
	return name{}
}

// outweigh applies rule 6d: it counts the source against g, and is the verdict.
func (a *applying) outweigh(g *ground) (verdict, *ground) {
	if h, enough := g.denied(a.myself); !enough {
		return refused, h
	}
	return taken, g
}

// older reports whether n has a lower epoch than m. It is false if one of them has no
// epoch: that of m is 0 then.
func older(n, m *Node) bool {
	return n.versioned && n.ConfigEpoch < m.ConfigEpoch
}

// A suspicion is that a node does not answer, or has left its shard. It never
// changes.
type suspicion struct {
	left     name // of a replica that has left its shard: the shard's primary
	failures int  // how often Failed was called
	ask      int  // the number of failures at which to ask for a view next; 0: at the next one

	// What views have said since.
	pong    int64  // the latest pong of any node in the first view that has pongs
	flagged name   // the last source that had the node flagged
	deniers []name // if left: the sources that still have it in the shard; fewer than believe
}

// after applies rules 12 and 13: it returns the suspicion of n after the view, or nil
// if it is over. primary is that of n's shard in the view.
func (u *suspicion) after(a *applying, n *Node, primary *Node) *suspicion {
	if a.isSource(n) {
		return nil
	}
	v := *u
	if u.left.key != "" {
		switch {
		case !u.left.is(primary):
			return nil
		case a.myself.key == "" || isAny(u.deniers, a.myself):
		case len(u.deniers) == believe-1:
			return nil
		default:
			v.deniers = append(slices.Clip(u.deniers), a.myself.name())
		}
		return &v
	}
	switch {
	case n.down():
		v.flagged = a.myself.name()
	case u.flagged.is(a.myself), u.pong != 0 && n.PongReceived > u.pong+pingPeriod:
		return nil
	}
	if u.pong == 0 {
		v.pong = a.pong
	}
	return &v
}

// failedAgain returns the suspicion after another failure, and whether to ask for a
// view now.
func (u suspicion) failedAgain() (next *suspicion, ask bool) {
	u.failures++
	return &u, u.failures >= u.ask
}

// asked returns the suspicion after a view was asked for. The next view is due at
// twice as many failures, or at 1000 more if that comes first.
func (u suspicion) asked() *suspicion {
	u.ask = min(2*u.failures, u.failures+1000)
	return &u
}
