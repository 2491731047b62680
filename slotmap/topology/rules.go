package topology

import (
	"slices"
	"strings"
)

// The rules of evidence. Servers hear of changes at different times, pause, and
// come back with old knowledge. So a Router keeps a ground for each slot: the
// reason why the slot has its owner. It judges each view against the grounds.
//
// Terms: the owner is the node that the map has for the slot. The claimant is the
// node that the view has for it. A ground is told if a redirect or Promote gave the
// slot to its owner and no view has confirmed it. A contradicted claim
// is the claim of a node that had the slot before. The source is the node whose
// view it is, which is known in CLUSTER NODES ("myself"), and in the other
// replies by the address in their [Origin].
//
//	 1. A claim with a lower config epoch than that of the owner, or of what the
//	    map knows of the claimant's shard, came before it. In the servers a slot
//	    goes to the higher epoch (clusterUpdateSlotsConfigWith in cluster_legacy.c).
//	 2. The owner's own view that it does not own the slot is believed: only the
//	    owner can give a slot up without a higher epoch (SETSLOT NODE at both ends
//	    of a migration, when the target has the greatest epoch already). In the
//	    view of anybody else it proves nothing.
//	 3. A view in which nobody owns the slot says nothing: a node that has just
//	    joined does not know the others yet.
//	    CLUSTER SHARDS gives slots to a shard. If two primaries there are well, it
//	    does not say which of them has the slots, whoever was asked: both stay
//	    primaries if the one that was replaced gets a slot before it hears of the
//	    other. Such a view says nothing of slots that the map has at one of the two,
//	    and confirms no redirect. Slots that the map has elsewhere go to one of them,
//	    as a guess: a redirect from one to the other takes along all that came from
//	    the same node.
//	 4. A claimant that is down, by the view or by the map, loses to an owner that
//	    is not, unless its epoch is higher: a shard's dead primary is listed
//	    beside the new one (CLUSTER SHARDS), or the view is older than the failover.
//	 5. A redirect is fresher than any view that was asked for before it.
//	 6. A told owner stays against views, since a redirect is fresher than the
//	    gossip of nodes that have not heard of the change. Epochs rise for reasons
//	    that have nothing to do with the slot, so a contradicted claim does not win
//	    by a higher one. What wins over a told owner is
//	     a. the view of the node that sent the redirect: it says otherwise now, if
//	        it says who has the slot (3);
//	     b. a claim that was not contradicted, with a higher epoch than those that were;
//	     c. a contradicted claimant's own view, with a higher epoch than before;
//	     d. three different nodes in a row: they outweigh the one that redirected;
//	     e. any claim that is not older, if the client cannot reach the owner.
//	    And if the owner does not have the slot, its own redirect says so.
//	 7. Of claims with epochs, the higher one wins. But servers show a slot at the
//	    node that had it until another one claims it, even if that node has a newer
//	    epoch and does not claim the slot any more (owner_not_claiming_slot). So a
//	    contradicted claim takes the three nodes of 6d if the view knows the owner
//	    by a lower epoch than the map does: then its source has not heard of the
//	    change.
//	 8. What is left are claims without epochs, or with equal ones, which have no
//	    order. The later view wins, but not if it was asked for before the slot
//	    changed (5), and not if the claim is contradicted: a slot seldom goes back
//	    to where it was, and an old view always says that it does. It takes the
//	    three nodes of 6d, or an owner that the client cannot reach, or a view
//	    whose source is not known: then the later one is all there is.
//
// Of nodes:
//
//	 9. A view's description of a shard is not taken if its epoch is older.
//	10. A shard that keeps slots against the view keeps its replicas, other than
//	    owners of slots, and each node is in one shard only.
//	11. Of two addresses the one of the later pong counts, if the view's source
//	    has lost the node: it repeats the last address it knew.
//	12. That a node is not flagged as failed says nothing, for the cluster takes its
//	    time to notice (cluster-node-timeout). A suspicion of the client ends by a
//	    success of the client; by the node's own view; by a pong that is later than
//	    the first view after the suspicion, that is, than its latest pong and the
//	    second that may have passed since; or when a source that had the node
//	    flagged does not any more.
//	13. A replica that redirects reads of its shard has left it. It is out of reads
//	    until a view has it in another place, or its own view, or three nodes, in
//	    that one; or the client reports success.

// pingPeriod is how often a server pings another at least, in milliseconds
// (clusterCron): the latest pong that it shows is seldom older than that.
const pingPeriod = 1000

// believe is how many different nodes outweigh one.
const believe = 3

// A name is which node somebody is, without the view that tells of it.
type name struct{ key, addr string }

func (n *Node) name() name { return name{strings.Clone(n.key), strings.Clone(n.addr)} }

// is reports whether the node of that name is n, as [Node.same] does. The zero
// name is nobody's.
func (w name) is(n *Node) bool {
	return w.key != "" && (w.key == n.key || w.addr != "" && w.addr == n.addr && (w.key == w.addr || n.ID == ""))
}

func isAny(names []name, n *Node) bool {
	return slices.ContainsFunc(names, func(w name) bool { return w.is(n) || w == name{} && n.key == "" })
}

// A ground is why a slot has its owner. It never changes.
type ground struct {
	gen          Generation // the change that gave the slot to its owner
	told         bool
	from         name    // of a told one: the node that redirected, if it is known
	rival        name    // of a guess: the node that may have the slot as well
	contradicted []claim // the latest first, at most maxContradicted
	deniers      []name  // the sources that say otherwise, since one that agrees; less than believe
}

// maxContradicted is more than a slot has owners in the time that a view takes
// to get old.
const maxContradicted = 4

// A claim is that a node owns a slot.
type claim struct {
	node  name
	epoch uint64 // 0 if it is not known
}

// next returns the ground of a slot that goes from old, which may be nil, to
// owner; g is the ground of before, which may be nil.
func (g *ground) next(gen Generation, old *Shard, owner *Node) *ground {
	n := &ground{gen: gen}
	if old == nil {
		return n
	}
	was := old.Primary
	n.contradicted = append(n.contradicted, claim{was.name(), was.ConfigEpoch})
	for _, c := range g.contradicted {
		if !c.node.is(was) && !c.node.is(owner) && len(n.contradicted) < maxContradicted {
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

// alike reports whether g and h are one guess, of slots with one owner.
func (g *ground) alike(h *ground) bool {
	return g.rival == h.rival && g.contradicted[0].node == h.contradicted[0].node
}

// denied returns g after a view of the source that does not agree, and whether
// the sources that do not outweigh it now.
func (g *ground) denied(source *Node) (*ground, bool) {
	if isAny(g.deniers, source) {
		return g, false
	}
	if len(g.deniers) == believe-1 {
		return g, true
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

// A verdict is what comes of what a view says of a slot.
type verdict uint8

const (
	agreed  verdict = iota // the view has the map's owner
	taken                  // the view's owner is the owner now
	refused                // the map knows better
	unsaid                 // the view says nothing
)

// judge applies rules 1 to 8 to slots that the map gives to old on the ground g,
// and the view to next. Old and next may be nil. It returns the ground that the
// slots have if they are not taken.
func (a *applying) judge(old *Shard, g *ground, next *Shard) (verdict, *ground) {
	switch {
	case old == nil && next == nil:
		return unsaid, g
	case old == nil:
		return taken, g
	case next != nil && old.Primary.same(next.Primary):
		switch {
		case a.force:
		case older(next.Primary, old.Primary):
			return refused, g // rule 1
		case a.leavesOpen(next):
			return agreed, g // rule 3
		}
		return agreed, g.confirmed()
	case a.force:
		return taken, new(ground) // whatever was contradicted before
	}
	owner := old.Primary
	open := next != nil && a.leavesOpen(next)
	if line := a.line(owner); open && line != nil && line.Role == RolePrimary && line.ShardID == next.ID && !line.down() {
		return a.silent(g)
	}
	late := g.gen > a.seen // of use only after the slot's last change
	if a.isSource(owner) && !late {
		if line := a.line(owner); line == nil || !older(line, owner) {
			return taken, g // rule 2
		}
	}
	if next == nil {
		return a.silent(g)
	}
	claimant := next.Primary
	known, isKnown := a.s.members.same(claimant)
	if isKnown && older(claimant, known.shard.Primary) {
		return refused, g // rule 1
	}
	lost := a.s.suspects[owner.key] != nil // the client cannot reach the owner
	higher := older(owner, claimant)
	if !higher && (claimant.down() || isKnown && a.s.suspects[known.node.key] != nil) && !lost && !a.isDown(owner) {
		return refused, g // rule 4
	}
	before, contradicted := g.contradicts(claimant)
	line := a.line(owner)
	gaveUp := line != nil && line.Role == RolePrimary && !older(line, owner) && !late
	if g.told {
		above := func(epoch uint64) bool { return claimant.versioned && claimant.ConfigEpoch > epoch }
		switch {
		case claimant.versioned && claimant.ConfigEpoch < g.epoch() && !gaveUp:
			return refused, g // rule 1
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

// silent is the verdict on a view that says nothing of slots: rule 3. What a
// redirect said, another view may confirm.
func (a *applying) silent(g *ground) (verdict, *ground) {
	if g.told {
		return refused, g
	}
	return unsaid, g
}

// leavesOpen reports whether the shard of the view has two primaries that are
// well, so that the view does not say which of them has its slots.
func (a *applying) leavesOpen(shard *Shard) bool { return len(a.healthy(shard)) > 1 }

// healthy returns the primaries of the shard that are well. Only in CLUSTER SHARDS
// there may be several.
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

// rival returns who else may have the slots that the view gives to the shard, or
// the zero name if that is clear, or if there are several.
func (a *applying) rival(shard *Shard) name {
	if all := a.healthy(shard); len(all) == 2 {
		if all[0] == shard.Primary {
			return all[1].name()
		}
		return all[0].name()
	}
	return name{}
}

// outweigh is rule 6d.
func (a *applying) outweigh(g *ground) (verdict, *ground) {
	if g, enough := g.denied(a.myself); !enough {
		return refused, g
	}
	return taken, g
}

// older reports whether n has a lower epoch than m.
func older(n, m *Node) bool {
	return n.versioned && m.versioned && n.ConfigEpoch < m.ConfigEpoch
}

// A suspicion is that a node does not answer, or has left its shard. It never
// changes.
type suspicion struct {
	left     name // of a replica that has left its shard: the shard's primary
	failures int  // how often Failed was called
	ask      int  // at how many it asks for a view next; 0: at the next one

	// What views have said since.
	pong    int64  // the latest pong of any node, in the first that has pongs
	flagged name   // the last source that had the node flagged
	deniers []name // of a replica that has left: the sources that have it in its shard still
}

// after applies rules 12 and 13: it returns what is left of the suspicion after
// the view, which has n in the shard of the given primary, or nil.
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

// failedAgain counts a failure, and reports whether a view should be asked for.
func (u suspicion) failedAgain() (next *suspicion, ask bool) {
	u.failures++
	return &u, u.failures >= u.ask
}

// asked says that a view is asked for. The next one is asked for at twice as
// many failures, or 1000 more.
func (u suspicion) asked() *suspicion {
	u.ask = min(2*u.failures, u.failures+1000)
	return &u
}
