package sim

import (
	"slices"
	"time"
)

// A server is a node of the cluster: its own state, and what it knows of the others,
// which it learns from messages only.
type server struct {
	w     *world
	index int32
	id    string
	shard string // shard id
	place int    // the number that its address is made from
	host  string
	addr  string

	up     bool // the process runs
	paused bool
	gone   bool // it was reset, and another server has its address, with a new id
	downs  int  // how often it stopped answering
	downAt time.Duration
	upAt   time.Duration // when it began to answer again

	currentEpoch uint64
	peers        []peer  // by index, including itself
	owner        []int32 // by unit: the owner, as far as it knows
	shared       bool    // a snapshot shares owner, so it must be copied before a change
	unclaimed    []bool  // by unit: the owner no longer claims it (owner_not_claiming_slot)
	owns         []int32 // by server: how many units it owns in owner
	version      uint64  // counts the changes of what it knows

	turn int     // the server that it pinged last
	head *header // its own header; nil if that has to be made again

	suspected int  // how many primaries suspect it
	failing   bool // a FAIL about it is on its way

	down   bool   // cluster_state:fail, at the version downOf
	downOf uint64 // a version

	shown   [3]shown // its last views, by format
	about   digest   // of what it shows, at the version aboutOf-1
	aboutOf uint64   // a version plus 1; 0 if about is not known
}

// A peer is what a server knows of another.
type peer struct {
	known   bool
	primary int32 // nobody if it is a primary
	epoch   uint64
	pfail   bool
	fail    bool
	failAt  time.Duration

	heard *header // the last header from it, if receiving that again would change nothing
}

// A header is what every message says of its sender, apart from the current epoch. It
// never changes. As long as the sender has nothing else to say, it sends the same one.
type header struct {
	from    int32
	epoch   uint64
	primary int32
	claim   []int32 // the units it owns
}

func (s *server) self() *peer      { return &s.peers[s.index] }
func (s *server) isPrimary() bool  { return s.self().primary == nobody }
func (s *server) responsive() bool { return s.up && !s.paused && !s.gone }

// peer returns what s knows of a server, which may have been added after s.
func (s *server) peer(i int32) *peer {
	for int(i) >= len(s.peers) {
		s.peers = append(s.peers, peer{primary: nobody})
	}
	return &s.peers[i]
}

// claims returns the units that the server owns, as far as s knows.
func (s *server) claims(of int32) []int32 {
	var units []int32
	for u, o := range s.owner {
		if o == of {
			units = append(units, int32(u))
		}
	}
	return units
}

// told returns the header of an UPDATE: what s knows of another server's claim.
func (s *server) told(of int32) *header {
	h := *s.header(of)
	h.claim = slices.DeleteFunc(slices.Clone(h.claim), func(u int32) bool { return s.unclaimed[u] })
	return &h
}

// set changes the owner of a unit.
func (s *server) set(unit int, owner int32) {
	if s.shared {
		s.owner, s.shared = slices.Clone(s.owner), false
	}
	before := s.owner[unit]
	if before == s.index || owner == s.index {
		s.head = nil
	}
	if before != nobody {
		s.owns[before]--
		s.peer(before).heard = nil // it may still claim the unit
	}
	if owner != nobody {
		for int(owner) >= len(s.owns) {
			s.owns = append(s.owns, 0)
		}
		s.owns[owner]++
	}
	s.owner[unit] = owner
	s.unclaimed[unit] = false
	s.version++
}

// hasSlots reports whether the server owns any units, as far as s knows.
func (s *server) hasSlots(of int32) bool { return int(of) < len(s.owns) && s.owns[of] > 0 }

// header returns what s says of a server, which is itself except in an UPDATE.
func (s *server) header(of int32) *header {
	if of == s.index && s.head != nil {
		return s.head
	}
	p := s.peer(of)
	h := &header{from: of, epoch: p.epoch, primary: p.primary}
	if p.primary == nobody {
		h.claim = s.claims(of)
	} else {
		h.epoch = s.peer(p.primary).epoch
	}
	if of == s.index {
		s.head = h
	}
	return h
}

// broadcast sends the header of s to all servers that s knows. Some messages are lost.
func (s *server) broadcast() {
	h, epoch := s.header(s.index), s.currentEpoch
	for i := range s.peers {
		if int32(i) != s.index && s.peers[i].known && s.w.rng.IntN(s.w.loss) != 0 {
			to := s.w.servers[i]
			s.w.after(s.w.latency(), func() { to.receive(h, epoch) })
		}
	}
}

// listen starts the pings of s. Like clusterCron, it pings all others within half the
// node timeout.
func (s *server) listen() {
	s.turn = s.w.rng.IntN(len(s.peers))
	s.w.after(s.w.between(0, heartbeat), s.ping)
}

// ping is one round of pings. It starts the timer of the next.
func (s *server) ping() {
	if s.gone {
		return
	}
	s.w.after(heartbeat, s.ping)
	if !s.responsive() {
		return
	}
	if p := s.self().primary; p != nobody && s.peer(p).primary != nobody && s.peer(p).primary != s.index {
		s.follow(s.peer(p).primary) // s was the replica of a replica
		s.broadcast()
	}
	for range int(2*heartbeat*time.Duration(len(s.peers))/s.w.nodeTimeout) + 1 {
		s.turn = (s.turn + 1) % len(s.peers)
		to := s.w.servers[s.turn]
		if to == s || !s.peers[s.turn].known {
			continue
		}
		// A ping and a pong that both have heard already would change nothing.
		if to.responsive() && to.currentEpoch == s.currentEpoch &&
			to.peer(s.index).heard == s.header(s.index) && s.peers[s.turn].heard == to.header(to.index) &&
			!s.peers[s.turn].pfail && !s.peers[s.turn].fail {
			continue
		}
		s.exchange(to)
	}
}

// exchange sends a ping to a server, which answers with a pong.
func (s *server) exchange(to *server) {
	if !s.responsive() || !to.responsive() {
		return
	}
	h, epoch := s.header(s.index), s.currentEpoch
	s.w.after(s.w.latency(), func() {
		to.receive(h, epoch)
		if to.responsive() && !s.gone {
			h, epoch := to.header(to.index), to.currentEpoch
			s.w.after(s.w.latency(), func() { s.receive(h, epoch) })
		}
	})
}

// receive is clusterProcessPacket: s learns from a header, and from the current epoch of
// the server that sent it.
func (s *server) receive(h *header, currentEpoch uint64) {
	if !s.responsive() || h.from == s.index {
		return
	}
	p := s.peer(h.from)
	if !p.known || s.w.servers[h.from].gone {
		return // forgotten
	}
	s.answered(h.from)
	s.currentEpoch = max(s.currentEpoch, currentEpoch)
	if p.heard == h {
		return
	}
	if h.epoch > p.epoch && h.primary == nobody {
		p.epoch = h.epoch
		s.version++
		if h.from == s.self().primary {
			s.head = nil
		}
	}
	switch {
	case h.primary != nobody && p.primary == nobody:
		// A primary that became a replica owns nothing. If its new primary was its
		// replica, that one has taken over (clusterMoveNodeSlots). Else the new owner is
		// not known (clusterDelNodeSlots).
		heir := nobody
		if q := s.peer(h.primary); q.primary == h.from && h.primary != s.index && h.epoch >= p.epoch {
			heir, q.primary, q.epoch = h.primary, nobody, h.epoch
		}
		p = s.peer(h.from)
		for _, u := range s.claims(h.from) {
			s.set(int(u), heir)
		}
		p.primary = h.primary
		s.version++
	case h.primary != p.primary && h.epoch >= p.epoch:
		p.primary = h.primary
		s.version++
	}
	done := true
	if h.primary == nobody && h.epoch >= p.epoch {
		done = s.claimed(h)
		s.collide(h)
	}
	if p = s.peer(h.from); done {
		p.heard = h
	} else {
		p.heard = nil
	}
}

// claimed is clusterUpdateSlotsConfigWith. It reports whether no other server has a
// higher epoch for a unit that is claimed.
func (s *server) claimed(h *header) bool {
	mine := s.self()
	watched := s.index // the server whose slots s serves: itself or its primary
	if mine.primary != nobody {
		watched = mine.primary
	}
	lost, owned := false, 0
	var newer int32 = nobody // an owner by a higher epoch, of which the sender does not know
	for _, u := range h.claim {
		switch o := s.owner[u]; {
		case o == h.from:
			owned++
			s.unclaimed[u] = false
		case o == nobody || s.unclaimed[u] || s.peer(o).epoch < h.epoch:
			owned++
			lost = lost || o == watched
			s.set(int(u), h.from)
		case s.peer(o).epoch > h.epoch:
			newer = o
		}
	}
	if s.hasSlots(h.from) && int(s.owns[h.from]) > owned {
		for _, u := range s.claims(h.from) {
			s.unclaimed[u] = !slices.Contains(h.claim, u)
		}
	}
	if lost && watched != h.from && !s.hasSlots(watched) {
		// The last slot went to the sender, so s becomes its replica.
		s.follow(h.from)
		s.broadcast()
	}
	if newer != nobody && s.index != newer {
		// UPDATE: the sender learns of the owner.
		told, epoch := s.told(newer), s.currentEpoch
		to := s.w.servers[h.from]
		s.w.after(s.w.latency(), func() { to.receive(told, epoch) })
	}
	return newer == nobody
}

// collide is clusterHandleConfigEpochCollision.
func (s *server) collide(h *header) {
	mine := s.self()
	if mine.primary == nobody && h.epoch == mine.epoch && s.id < s.w.servers[h.from].id {
		s.currentEpoch++
		s.become(s.currentEpoch, nobody)
		s.broadcast()
	}
}

// answered clears the failure flags of a server that has just answered.
func (s *server) answered(of int32) {
	p := s.peer(of)
	if !s.w.servers[of].responsive() {
		return // the message was sent before the server stopped
	}
	if p.pfail {
		p.pfail = false
		s.version++
	}
	if p.fail && (s.w.now-p.failAt > 2*s.w.nodeTimeout || p.primary != nobody || !s.hasSlots(of)) {
		p.fail = false
		s.version++
	}
}

// stop is called when s no longer answers.
func (s *server) stop() {
	s.downs++
	s.downAt = s.w.now
	s.failing, s.suspected = false, 0
	downs := s.downs
	still := func() bool { return s.downs == downs && !s.responsive() && !s.gone }
	s.w.after(s.w.nodeTimeout, func() {
		if !still() {
			return
		}
		for _, o := range s.w.servers {
			if o != s {
				s.w.after(s.w.between(0, s.w.nodeTimeout/2), func() {
					if still() {
						o.suspect(s)
					}
				})
			}
		}
	})
}

// suspect sets PFAIL. When a majority of the primaries has set it, FAIL follows at all.
func (s *server) suspect(who *server) {
	p := s.peer(who.index)
	if !s.responsive() || !p.known || p.pfail || p.fail {
		return
	}
	p.pfail = true
	s.version++
	if !s.hasSlots(s.index) {
		return
	}
	who.suspected++
	size := len(s.w.primaries())
	if who.failing || who.suspected <= size/2 {
		return
	}
	who.failing = true
	downs := who.downs
	s.w.after(s.w.between(50*ms, 500*ms), func() {
		for _, o := range s.w.servers {
			if o == who {
				continue
			}
			s.w.after(s.w.latency(), func() {
				if who.downs == downs && !who.responsive() && o.responsive() {
					o.failed(who)
				}
			})
		}
	})
}

// failed marks who as failed. If s is a replica of it, s stands for election.
func (s *server) failed(who *server) {
	p := s.peer(who.index)
	if !p.known || p.fail {
		return
	}
	p.pfail, p.fail, p.failAt = false, true, s.w.now
	s.version++
	if s.self().primary == who.index {
		rank := 0
		for i := range s.peers {
			if o := s.w.servers[i]; o.index < s.index && s.peers[i].known && s.peers[i].primary == who.index && o.responsive() {
				rank++
			}
		}
		s.w.after(500*ms+s.w.between(0, 500*ms)+time.Duration(rank)*time.Second, func() { s.stand(who) })
	}
}

// stand is clusterHandleReplicaFailover: s asks for votes to replace who.
func (s *server) stand(who *server) {
	p := s.peer(who.index)
	if !s.responsive() || !p.fail || s.self().primary != who.index {
		return
	}
	if !s.hasSlots(who.index) {
		return
	}
	votes, size := 0, 0
	for _, v := range s.w.primaries() {
		size++
		if v.responsive() && v.peer(who.index).fail && s.w.rng.IntN(10) != 0 {
			votes++
		}
	}
	if votes <= size/2 {
		s.w.after(2*s.w.nodeTimeout, func() { s.stand(who) })
		return
	}
	s.w.after(s.w.between(5*ms, 50*ms), func() {
		if s.responsive() && s.self().primary == who.index {
			s.takeOver(who)
		}
	})
}

// takeOver makes s a primary with the slots of who.
func (s *server) takeOver(who *server) {
	for _, v := range s.w.primaries() {
		if v.responsive() {
			s.currentEpoch = max(s.currentEpoch, v.currentEpoch)
		}
	}
	s.currentEpoch++
	s.become(s.currentEpoch, nobody)
	for _, u := range s.claims(who.index) {
		s.set(int(u), s.index)
		s.w.give(int(u), s.index)
	}
	s.broadcast()
}

// become sets the epoch and the primary of s.
func (s *server) become(epoch uint64, primary int32) {
	mine := s.self()
	mine.epoch, mine.primary = epoch, primary
	s.head = nil
	s.version++
}

// The events of scenarios.

// kill ends the process of s.
func (s *server) kill() {
	if s.responsive() {
		s.stop()
	}
	s.up = false
}

// pause stops the process of s. It goes on at start.
func (s *server) pause() {
	if s.responsive() {
		s.paused = true
		s.stop()
	}
}

// start lets s answer again, with the knowledge that it had when it stopped.
func (s *server) start() {
	if s.gone || s.responsive() {
		return
	}
	if !s.up {
		// A new process knows no failures.
		for i := range s.peers {
			s.peers[i].pfail, s.peers[i].fail = false, false
		}
	}
	s.up, s.paused = true, false
	s.upAt = s.w.now
	s.failing, s.suspected = false, 0
	s.version++
	s.head = nil // a new header, which all process again
	// The others notice that s is back, and their next pings arrive.
	near := 0
	for i := range s.peers {
		o := s.w.servers[i]
		if o == s || o.gone {
			continue
		}
		s.w.after(s.w.between(20*ms, time.Second), func() {
			if s.responsive() && o.responsive() && o.peer(s.index).known {
				o.answered(s.index)
				o.recheck(s)
			}
		})
		if s.peers[i].known && (near < 20 || s.peers[i].primary == s.index || s.self().primary == o.index) {
			near++
			s.w.after(s.w.between(50*ms, time.Second), func() { o.exchange(s) })
		}
	}
}

// recheck tries later to clear a FAIL flag that could not be cleared yet.
func (s *server) recheck(of *server) {
	if s.peer(of.index).fail {
		s.w.after(s.w.nodeTimeout/2, func() {
			if s.responsive() && of.responsive() {
				s.answered(of.index)
				s.recheck(of)
			}
		})
	}
}

// failover is CLUSTER FAILOVER: the replica s takes over from its primary, which
// cooperates.
func (s *server) failover() {
	mine := s.self()
	if !s.responsive() || mine.primary == nobody {
		return
	}
	old := s.w.servers[mine.primary]
	if !old.responsive() || !old.isPrimary() {
		return
	}
	// The replica knows all slots of its primary.
	s.adopt(old)
	s.takeOver(old)
}

// adopt lets s know which slots its primary has.
func (s *server) adopt(primary *server) {
	for u, o := range primary.owner {
		if (o == primary.index) != (s.owner[u] == primary.index) {
			s.set(u, o)
		}
	}
}

// move is CLUSTER SETSLOT NODE at both ends of a migration: at the target first.
func (w *world) move(unit int, to *server) bool {
	from := w.servers[w.truth[unit]]
	if from == to || !from.responsive() || !to.responsive() || !from.isPrimary() || !to.isPrimary() || from.owner[unit] != from.index {
		return false
	}
	for _, p := range w.primaries() {
		if p.responsive() && p.currentEpoch != to.currentEpoch {
			return false // an operator waits until the epochs agree: else the source's claim may win
		}
	}
	mine := to.self()
	highest := to.currentEpoch
	for i := range to.peers {
		if to.peers[i].known && to.peers[i].primary == nobody {
			highest = max(highest, to.peers[i].epoch)
		}
	}
	if mine.epoch == 0 || mine.epoch != highest {
		// clusterBumpConfigEpochWithoutConsensus
		to.currentEpoch = highest + 1
		to.become(to.currentEpoch, nobody)
	}
	to.set(unit, to.index)
	w.give(unit, to.index)
	to.broadcast()
	w.after(w.between(2*ms, 30*ms), func() {
		if from.responsive() && from.owner[unit] == from.index {
			from.set(unit, to.index)
			if !from.hasSlots(from.index) && from.isPrimary() {
				from.follow(to.index)
			}
			from.broadcast()
		}
	})
	return true
}

// fix is what an operator does about slots that nobody owns. Claims with different
// epochs that cross on the way can have that end.
func (w *world) fix() {
	for u, t := range w.truth {
		to := w.servers[t]
		if to.responsive() && to.isPrimary() && !slices.ContainsFunc(w.servers, func(s *server) bool { return !s.gone && s.owner[u] == s.index }) {
			for _, s := range w.servers {
				to.currentEpoch = max(to.currentEpoch, s.currentEpoch)
			}
			to.currentEpoch++
			to.become(to.currentEpoch, nobody)
			to.set(u, to.index)
			to.broadcast()
		}
	}
}

// replicate is CLUSTER REPLICATE: s, which has no slots, becomes a replica, or
// changes its shard.
func (s *server) replicate(primary *server) {
	if s.responsive() && !s.hasSlots(s.index) && primary != s && primary.responsive() && primary.isPrimary() {
		s.follow(primary.index)
		s.broadcast()
	}
}

// follow makes s a replica of another server.
func (s *server) follow(primary int32) {
	s.shard = s.w.servers[primary].shard
	s.become(s.self().epoch, primary)
}

// forget is CLUSTER FORGET of the replica s at all nodes, a reset of it, and,
// later, CLUSTER MEET and REPLICATE: it comes back with a new id.
func (s *server) forget() {
	w := s.w
	if !s.responsive() || s.isPrimary() {
		return
	}
	primary := s.self().primary
	s.gone = true
	next := w.add(s.place)
	next.owner, next.unclaimed = make([]int32, w.units), make([]bool, w.units)
	for u := range next.owner {
		next.owner[u] = nobody
	}
	next.peer(next.index).known = true
	for _, o := range w.servers {
		if o != s && o != next && !o.gone {
			w.after(w.between(0, 200*ms), func() {
				o.peer(s.index).known = false
				o.version++
			})
		}
	}
	// The handshakes of CLUSTER MEET.
	met := w.between(300*ms, time.Second)
	for _, o := range w.servers {
		if o == s || o == next || o.gone {
			continue
		}
		w.after(met+w.between(0, 500*ms), func() {
			p, q := o.peer(next.index), next.peer(o.index)
			p.known, p.primary, p.epoch = true, next.self().primary, 0
			q.known, q.primary = true, o.self().primary
			o.version++
			next.version++
			o.exchange(next)
		})
	}
	w.after(met+600*ms, func() {
		to := w.servers[primary]
		if !to.isPrimary() || !to.responsive() {
			to = w.primaries()[0]
		}
		next.replicate(to)
	})
	next.listen()
}

// The answers to clients.

// An answer is the answer of a server to a command.
type answer uint8

const (
	ok answer = iota
	moved
	clusterDown
	connectionRefused
	timeout
)

// command is getNodeByQuery: it returns the answer of s to a command for the unit, and
// the server to which s redirects.
func (s *server) command(unit int, read bool) (answer, int32) {
	switch {
	case !s.up || s.gone:
		return connectionRefused, nobody
	case s.paused:
		return timeout, nobody
	}
	o := s.owner[unit]
	switch {
	case o == nobody || s.isDown():
		return clusterDown, nobody
	case o == s.index, read && o == s.self().primary:
		return ok, nobody
	}
	return moved, o
}

// isDown is clusterUpdateState with cluster-require-full-coverage.
func (s *server) isDown() bool {
	if s.downOf != s.version {
		s.down, s.downOf = false, s.version
		for _, o := range s.owner {
			if o == nobody || s.peer(o).fail {
				s.down = true
				break
			}
		}
	}
	return s.down
}
