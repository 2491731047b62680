package topology

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The defaults of a Refresher, and constants that need no field.
const (
	defaultMinInterval = 500 * time.Millisecond
	defaultMaxInterval = 30 * time.Second
	defaultPeriod      = 2 * time.Minute
	defaultTimeout     = 10 * time.Second

	jitter        = 100 * time.Millisecond // a wish waits a random time: up to this,
	jitterPerNode = 2 * time.Millisecond   // and this more for each node of the map,
	maxJitter     = 10 * time.Second       // but at most this
	secondLook    = 5 * time.Second        // after slots have moved: the age at which the view is renewed once
	progress      = 2                      // the most tries that still count once the map has changed
	unheard       = 2                      // how many tries a first view without news counts for
	several       = 4                      // how many redirects of single slots are worth a view
	sampled       = 2                      // how many nodes are asked together if views contradict the map
	hinted        = 8                      // the most nodes of a cluster in which the node of a redirect is asked first
	remembered    = 64                     // the most addresses that are remembered as asked
	unanswered    = 2                      // refreshes in a row without an answer until a seed is asked as well
)

// A Refresher decides when a client asks its cluster for a view, and which nodes
// it asks. It does neither itself: it has no timers and no goroutines, and does
// no I/O. The caller passes the time to every call, and reports what it sees with
// [Refresher.Note] and [Refresher.Want]. [Refresher.Next] returns what to do.
//
// The rules, each with its reason:
//
//   - There is one [Refresh] at a time. A second answer would add nothing.
//   - A wish is a reason to ask for a view. It waits for a random time: up to 100 ms,
//     and 2 ms more for each node of the map, 10 s at most. Otherwise all clients of
//     a large cluster, which see a failover together, would ask together. Only the
//     first Refresh of a client without a map is due at once.
//   - A primary that does not answer adds nothing to that time: it may have been
//     replaced already. A redirect to a node that no view has shown adds 250 to
//     750 ms, so that one view serves several redirects, and comes from a node that
//     has heard of the change. A CLUSTERDOWN, or a slot without an owner, adds 1 to
//     3 s: the cluster has to mend it, and a replica stands for election within a
//     second. If commands lack nothing, 2 to 6 s are added: when only a replica
//     failed, when a redirect corrected all slots of a shard, and when it corrected
//     one slot, which went to a primary of the map. But the fourth redirect of a
//     single slot since the last view adds only 250 to 750 ms. Fewer redirects cost
//     less than a view, which would soon be outdated.
//   - A redirect that corrects the map answers the wish before it: a view of that
//     moment would be older than the redirect. What is left is the wish of the
//     redirect. Until the next view, no other wish hastens it.
//   - Refreshes are at least MinInterval apart, and up to a quarter more, at random. As
//     long as wishes go on, the interval doubles, up to MaxInterval: no view shows what
//     the cluster has not noticed yet. If the first view has no news, the next interval
//     is doubled at once. After a view that moves slots, or a redirect that corrects
//     the map, the interval is twice MinInterval at most: the cause of the earlier
//     wishes is gone. When no wish has come for twice the interval, it is MinInterval
//     again.
//   - Each Refresh goes to a node that [Node.Serves] and was not asked since the wishes
//     began. In a cluster of at most 8 nodes, the node that a redirect named comes
//     first: it knows what the redirect says. In a larger one, all clients would ask
//     that node.
//   - If two refreshes in a row contradict the map, and it is not known which is right,
//     the next one asks two other nodes at once: three nodes that disagree outweigh the
//     map.
//   - Seeds are asked if no node of the map serves, and beside a node of the map after
//     two refreshes in a row without an answer. A node that does not serve is asked
//     only if there is no seed; or if the last view contradicted the map and there is
//     no wish: then the map may be wrong about the node as well.
//   - A node that failed is tried again after MaxInterval, once a view has shown
//     where it is now: [Refresher.Apply] then calls [Router.Succeeded], unless the
//     view shows the node as failed. Not every view can show that a node is well.
//   - Without any wish, a view is asked for when the last one reaches the age
//     Period, give or take a quarter. This finds nodes that have returned and
//     replicas that were added. The first time after slots have moved, that age is 5 s:
//     more may have moved since, and a client without commands for those slots
//     gets no redirect.
//
// The zero Refresher is ready to use. Its fields must be set before the first call. It
// must not be copied after its first use. All methods are safe for concurrent use.
// While there is nothing to do, Note, Want and Next cost one or two atomic loads and
// do not allocate. A Refresher belongs to one [Router]. With the same Seed, calls and
// times, its decisions are the same.
type Refresher struct {
	// Seeds are the addresses, "host:port", that the client was configured with.
	Seeds []string

	// A duration of 0 or less means the default.
	MinInterval time.Duration // the least between two refreshes, by default 500 ms
	MaxInterval time.Duration // what MinInterval grows to, by default 30 s
	Period      time.Duration // the age at which a view is renewed without a wish, by default 2 minutes
	Timeout     time.Duration // the time after which a Refresh has failed, by default 10 s

	// Seed determines the random choices. If it is 0, they differ at every run.
	Seed uint64

	due    atomic.Int64  // when Next has something to do: the time since base; 0 before the first call
	wanted atomic.Uint32 // the greatest wish since the last Refresh began
	base   time.Time     // written once, before due

	mu           sync.Mutex // guards the fields below, and writes to those above
	random       rand.PCG
	count        uint64        // how many refreshes began
	open         uint64        // number of the open one, or 0
	next         time.Time     // when the next one is due, or the open one fails
	last         time.Time     // when the last one ended, or the open one began
	wait         time.Duration // the interval after last
	tries        int           // refreshes since wishes began
	lost         int           // refreshes in a row without an answer
	corrected    bool          // a redirect has corrected the map since the last refresh ended
	patches      int           // how many did so for one slot, to a primary of the map
	contradicted int           // refreshes in a row that contradicted the map
	doubted      bool          // the last view contradicted the map
	nodes        int           // of the map, at the last refresh
	hint         string        // address of the node that a redirect named, or ""
	asked        []string      // the last addresses that were asked since wishes began
	suspects     []suspect     // in the order of until
	retries      []*Node       // suspects that are to be tried again after the next view
}

// A wish says how urgent a view is.
type wish uint32

const (
	none    wish = iota
	idle         // commands lack nothing: a replica is out of reads, or a redirect has corrected the map
	mending      // the cluster has to mend something first
	patient      // redirects have corrected the map, and more of it may be wrong
	urgent       // a primary does not answer, or a view did not settle the question
)

// patience is how long a wish waits, besides the jitter: at least this, and at most
// three times as long.
var patience = [...]time.Duration{idle: 2 * time.Second, mending: time.Second, patient: 250 * time.Millisecond, urgent: 0}

// A suspect is a node that failed, and when it is to be tried again.
type suspect struct {
	node  *Node
	until time.Time
}

// A Refresh is what [Refresher.Next] returns: which nodes to ask for a view now,
// or when to call Next again.
type Refresh struct {
	// Addrs are the addresses of the nodes to ask for a view, now: with CLUSTER
	// NODES, SLOTS or SHARDS, one after the other or all at once. If there are
	// none, there is nothing to do before NotBefore, unless Note or Want is called.
	Addrs []string

	// Seen is the generation of the map when the Refresh began, for
	// [Router.Apply]: [Refresher.Apply] passes it on.
	Seen Generation

	// NotBefore is, if Addrs is empty, the time at which Next may have something to do.
	// Else it is the time at which the Refresh fails if Apply has not been called.
	NotBefore time.Time

	number uint64
}

// Note passes the Result of [Router.Moved], [Router.Migrated], [Router.Failed] or
// [Router.Promote] to the Refresher. It wishes for a view if the Result has Refresh set,
// if a node has become suspected while no Refresh is open, or at the fourth redirect of
// a single slot.
func (p *Refresher) Note(res Result, now time.Time) {
	w, corrected := urgent, false
	var down *Node
	switch res.Outcome {
	case OutcomePatched, OutcomeUnknownNode:
		w, corrected = patient, true
	case OutcomeFailedOver:
		w, corrected = idle, true
	case OutcomeSuspected:
		if down = res.suspected(); down != nil && down.Role == RoleReplica {
			w = idle
		}
	}
	if res.Outcome != OutcomeSuspected && !corrected && (!res.Refresh || p.wish() >= w) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start(now)
	wished := res.Refresh
	if corrected {
		p.correct(now)
	}
	if res.Outcome == OutcomePatched {
		if p.patches++; p.patches < several {
			w = idle
		}
		wished = wished || p.patches == several
	}
	if down != nil {
		p.suspect(down, now)
	}
	if wished || down != nil && p.open == 0 {
		hint := ""
		if res.Node != nil && res.Node.Serves() {
			hint = res.Node.addr
		}
		p.want(w, hint, now)
	}
}

// suspected returns the node that the write has made a suspect: the Node of the
// Result, or, after a redirect, the replica that sent it.
func (res *Result) suspected() *Node {
	if res.Change == nil {
		return nil
	}
	for _, u := range res.Change.Updated {
		if u.After.Flags&^u.Before.Flags&FlagPFail != 0 {
			return u.After
		}
	}
	return nil
}

// Want wishes for a view. Call it after an error that [Classify] reports as
// [ActionRefresh] or [ActionPrimary], and for a slot that nobody owns. While a
// Refresh is open, Want does nothing: if the reason persists, the next command
// calls it again.
func (p *Refresher) Want(now time.Time) {
	if p.wish() >= mending {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start(now)
	if p.open == 0 {
		p.want(mending, "", now)
	}
}

// want is Want for any wish. hint is the address of the node that a redirect named, or
// "".
func (p *Refresher) want(w wish, hint string, now time.Time) {
	if p.corrected {
		w = min(w, patient)
	}
	before := p.wish()
	if before >= w {
		return
	}
	p.wanted.Store(uint32(w))
	if hint != "" {
		p.hint = hint
	}
	if p.open != 0 {
		return // its end decides when the next one is due
	}
	if before == none && now.Sub(p.last) > 2*p.wait {
		p.tries, p.contradicted, p.asked = 0, 0, p.asked[:0]
	}
	p.grant(now)
	p.schedule(now)
}

func (p *Refresher) wish() wish { return wish(p.wanted.Load()) }

// grant draws the time at which the present wish is granted.
func (p *Refresher) grant(now time.Time) {
	p.next = now.Add(p.upTo(min(jitter+time.Duration(p.nodes)*jitterPerNode, maxJitter)))
	p.next = p.next.Add(patience[p.wish()] + p.upTo(2*patience[p.wish()]))
	if earliest := p.last.Add(p.wait); earliest.After(p.next) {
		p.next = earliest
	}
}

// correct is called when a redirect has corrected the map. Since there is news, an
// interval that has grown is shortened. And an urgent wish is answered: it becomes a
// patient one, since a view of this moment would be from before the news.
func (p *Refresher) correct(now time.Time) {
	p.tries = min(p.tries, progress)
	p.corrected = true
	if p.open != 0 || p.wish() == none {
		return
	}
	before := p.next
	p.draw()
	putOff := p.wish() == urgent
	if putOff {
		p.wanted.Store(uint32(patient))
	}
	p.grant(now)
	if !putOff && p.next.After(before) {
		p.next = before
	}
	p.schedule(now)
}

// suspect notes when a node that failed is to be tried again.
func (p *Refresher) suspect(n *Node, now time.Time) {
	p.suspects = slices.DeleteFunc(p.suspects, func(s suspect) bool { return s.node.same(n) })
	p.retries = slices.DeleteFunc(p.retries, n.same)
	p.suspects = append(p.suspects, suspect{n, now.Add(orDefault(p.MaxInterval, defaultMaxInterval))})
}

// retry ends the suspicions whose time is over, except those of nodes that are down in
// one of the views: these wait again.
func (p *Refresher) retry(r *Router, views []*Cluster, now time.Time) {
	retries := p.retries
	p.retries = nil
	for _, n := range retries {
		m, ok := r.load().member(n)
		if !ok {
			continue
		}
		n = m.node
		down := slices.ContainsFunc(views, func(view *Cluster) bool {
			if view == nil {
				return false
			}
			i, ok := view.byKey[n.key]
			return ok && view.nodes[i].down()
		})
		if down {
			p.suspect(n, now)
		} else {
			r.Succeeded(n)
		}
	}
}

// start makes the time of the first call the base.
func (p *Refresher) start(now time.Time) {
	if p.due.Load() != 0 {
		return
	}
	seed := p.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	p.random.Seed(seed, 0)
	p.base, p.last = now.Add(-1), now // -1, so that due is never 0
	p.next = now.Add(p.period(false))
	p.schedule(now)
}

// schedule sets when Next has something to do. Before the first Refresh that is now,
// since only Next can see whether there is a map.
func (p *Refresher) schedule(now time.Time) {
	at := p.next
	if p.count == 0 {
		at = now
	}
	if len(p.suspects) > 0 && p.suspects[0].until.Before(at) {
		at = p.suspects[0].until
	}
	p.due.Store(max(1, int64(at.Sub(p.base)))) // not 0, even if the clock was set back
}

// Next returns the nodes to ask for a view now, or none and the time at which to call
// it again. After it has returned nodes, it returns none until Apply has been called
// with the Refresh, or the Refresh has failed by Timeout.
//
// It can be called after each command, or by one goroutine that sleeps between
// the calls. When there is something to do, it takes time linear in the number
// of nodes of the map.
func (p *Refresher) Next(r *Router, now time.Time) Refresh {
	if due := p.due.Load(); due != 0 && int64(now.Sub(p.base)) < due {
		return Refresh{NotBefore: p.base.Add(time.Duration(due))}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start(now)
	over := 0
	for s := r.load(); over < len(p.suspects) && !p.suspects[over].until.After(now); over++ {
		if m, ok := s.member(p.suspects[over].node); ok && s.suspects[m.node.key] != nil {
			p.retries = append(p.retries, m.node)
			p.want(idle, "", now)
		}
	}
	p.suspects = slices.Delete(p.suspects, 0, over)
	if p.open != 0 && !p.next.After(now) {
		p.fail(now)
	}
	seen := r.Generation()
	if seen == 0 && p.count == 0 {
		p.next = now
	}
	var addrs []string
	if !p.next.After(now) {
		if addrs = p.choose(r); len(addrs) == 0 {
			p.next = now.Add(orDefault(p.MinInterval, defaultMinInterval))
		}
	}
	if len(addrs) == 0 {
		p.schedule(p.next)
		return Refresh{NotBefore: p.base.Add(time.Duration(p.due.Load()))}
	}
	if p.wish() != none {
		p.tries++
	}
	p.wanted.Store(uint32(none))
	p.hint = ""
	p.asked = append(p.asked, addrs...)
	p.asked = p.asked[max(0, len(p.asked)-remembered):]
	p.count++
	p.open, p.last = p.count, now
	p.next = now.Add(orDefault(p.Timeout, defaultTimeout))
	p.schedule(now)
	return Refresh{Addrs: addrs, Seen: seen, NotBefore: p.next, number: p.open}
}

// choose returns the addresses to ask, or none if it knows no address.
func (p *Refresher) choose(r *Router) []string {
	var fresh, again, rest []string // nodes that serve and were not asked yet; that serve and were asked; that do not serve
	table, _ := r.Table()
	p.nodes = 0
	add := func(n *Node) {
		p.nodes++
		switch {
		case n.addr == "":
		case !n.Serves() && !(p.doubted && p.wish() == none):
			rest = append(rest, n.addr)
		case slices.Contains(p.asked, n.addr):
			again = append(again, n.addr)
		default:
			fresh = append(fresh, n.addr)
		}
	}
	for s := range table.Owners() {
		add(s.Primary)
		for _, n := range s.Replicas {
			add(n)
		}
	}
	count := 1
	if p.contradicted >= 2 {
		count = sampled
	}
	var addrs []string
	if p.nodes <= hinted && slices.Contains(fresh, p.hint) {
		addrs = append(addrs, p.hint)
	}
	draw := func(from []string) {
		for len(addrs) < count && len(from) > 0 {
			i := p.below(len(from))
			if !slices.Contains(addrs, from[i]) {
				addrs = append(addrs, from[i])
			}
			from[i] = from[len(from)-1]
			from = from[:len(from)-1]
		}
	}
	draw(fresh)
	if len(addrs) == 0 && len(again) > 0 {
		// All were asked, so a new round begins.
		p.asked = p.asked[:0]
		draw(again)
	}
	if p.lost >= unanswered || len(addrs) == 0 {
		seeds := slices.DeleteFunc(slices.Clone(p.Seeds), func(addr string) bool { return slices.Contains(addrs, addr) })
		// A seed that was asked is asked again only once all others were.
		if next := slices.DeleteFunc(slices.Clone(seeds), func(addr string) bool { return slices.Contains(p.asked, addr) }); len(next) > 0 {
			seeds = next
		}
		count = len(addrs) + 1
		draw(seeds)
	}
	count = 1
	draw(rest)
	return addrs
}

// Apply ends a Refresh. views[i] is the answer of what.Addrs[i], or nil if there
// was none. Apply gives the views to r ([Router.Apply], with the Seen of the
// Refresh), and returns the Result of the last one. Call it even if there is no answer
// at all: then it calls [Router.RefreshFailed]. It may be called after the Refresh has
// failed by Timeout: the views are used all the same.
func (p *Refresher) Apply(r *Router, what Refresh, views []*Cluster, now time.Time) Result {
	var res Result
	answered, moved := false, false
	for _, view := range views {
		if view != nil {
			res = r.Apply(view, what.Seen)
			answered = true
			moved = moved || res.Change != nil && res.Change.Slots.Len() > 0
		}
	}
	if !answered {
		r.RefreshFailed()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case what.number == 0 || what.number != p.open:
	case answered:
		p.retry(r, views, now)
		p.learn(res, moved, now)
	default:
		p.fail(now)
	}
	return res
}

// learn ends the open Refresh, with the Result of its last view. moved means that the
// views have moved slots.
func (p *Refresher) learn(res Result, moved bool, now time.Time) {
	p.lost = 0
	switch {
	case moved:
		p.tries = min(p.tries, progress)
	case res.Outcome == OutcomeUnchanged && p.tries == 1:
		p.tries = unheard
	}
	p.doubted = res.Outcome == OutcomeStale || res.Outcome == OutcomePartly
	if res.Refresh { // the view contradicts the map
		p.contradicted++
		p.wanted.Store(uint32(urgent))
	} else {
		p.contradicted = 0
	}
	p.end(now, moved)
}

// fail ends the open Refresh, to which nobody has answered.
func (p *Refresher) fail(now time.Time) {
	p.lost++
	p.wanted.Store(uint32(urgent))
	p.end(now, false)
}

// end ends the open Refresh, and draws when the next one is due. moved means that its
// views have moved slots.
func (p *Refresher) end(now time.Time, moved bool) {
	p.open, p.last, p.corrected, p.patches = 0, now, false, 0
	p.draw()
	if p.wish() != none {
		p.grant(now)
	} else {
		p.next = now.Add(p.period(moved))
	}
	p.schedule(now)
}

// draw sets the interval after the last Refresh, by the tries and at random.
func (p *Refresher) draw() {
	interval := orDefault(p.MinInterval, defaultMinInterval)
	limit := max(interval, orDefault(p.MaxInterval, defaultMaxInterval))
	for n := max(p.tries, p.lost); n > 1 && interval < limit; n-- {
		interval *= 2
	}
	interval = min(interval, limit)
	p.wait = interval + p.upTo(interval/4)
}

// period draws the age at which a view is renewed without a wish. moved means that it has
// moved slots.
func (p *Refresher) period(moved bool) time.Duration {
	d := orDefault(p.Period, defaultPeriod)
	if moved {
		d = min(d, secondLook)
	}
	return d - d/4 + p.upTo(d/2)
}

// upTo returns a random duration from 0 to d.
func (p *Refresher) upTo(d time.Duration) time.Duration {
	return time.Duration(p.random.Uint64() % uint64(d+1))
}

// below returns a random number from 0 to n-1.
func (p *Refresher) below(n int) int {
	return int(p.random.Uint64() % uint64(n))
}

// orDefault returns d, or otherwise if d is not above 0. It returns at most a time that
// can be doubled twice: some 70 years.
func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return min(d, math.MaxInt64/4)
	}
	return otherwise
}
