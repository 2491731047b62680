package topology

import (
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/cpu"

	"github.com/hashslot/hashslot/slotmap"
)

// A Router is what a client embeds to know where a key goes. It holds a map of
// slots to shards, which [Router.Apply] replaces by newer views and
// [Router.Moved] corrects by redirects. The zero Router has no map and is ready
// to use. A Router must not be copied after its first use.
//
// Any number of goroutines may use a Router at once. Apply, Moved, Migrated,
// Failed, Succeeded, Promote and RefreshFailed are writes, done one after the other. All
// other methods are reads, each of one moment: they never wait, and none but the
// Splits and Asking allocates. A write synchronizes before any read that observes
// its effect, and a read sees a write as a whole or not at all.
//
// A client's loop is this. It takes the shard of a key and the generation that
// comes with it, and sends the command to the shard's primary. A redirect it
// gives to Moved, with that generation, and sends the command where the redirect
// says. If a Result says Refresh, it asks a node for a view and gives it to
// Apply, or calls RefreshFailed if it got none.
type Router struct {
	// Zone is the availability zone of this client, for ReadSameZone. It must be
	// set before the first use.
	Zone string

	// Weight, if it is not nil, returns how often a node is to be picked for reads,
	// compared with the others that the policy allows: after its latency, for
	// instance. A node whose weight is 0 is not picked as long as the policy allows
	// another. Reads call it for each candidate, any number of goroutines at once, so
	// it should look at atomic values and neither lock nor allocate. It must be set
	// before the first use.
	Weight func(*Node) uint32

	// OnChange, if it is not nil, is called with every change of the map, one at a
	// time and in order, once readers see the change. It may call any method of the
	// Router: no lock is held while it runs. It runs before the write returns, or,
	// if it is running for an earlier change, after that, which may be after the
	// write has returned. It must be set before the first use.
	OnChange func(*Change)

	_     cpu.CacheLinePad
	state atomic.Pointer[state]
	_     cpu.CacheLinePad

	mu         sync.Mutex // for steps, and for what follows
	changes    []*Change  // for OnChange
	delivering bool       // a goroutine calls OnChange with them
}

// A Generation counts the changes of a Router's map. A command remembers the
// generation of the map it was sent by, so that a redirect that was on its way
// while the map changed is known to be old.
type Generation uint64

// An Outcome is what came of a write.
type Outcome uint8

const (
	// OutcomeUnchanged: the map says so already.
	OutcomeUnchanged Outcome = iota
	// OutcomeApplied: the view was taken.
	OutcomeApplied
	// OutcomePartly: the view was taken for some slots, and is older than the map for
	// others.
	OutcomePartly
	// OutcomeStale: the view or redirect is older than the map and was not taken.
	OutcomeStale
	// OutcomeRecreated: the view was taken, and has no node in common with the one before.
	OutcomeRecreated
	// OutcomePatched: the slot of the redirect goes to another shard now.
	OutcomePatched
	// OutcomeFailedOver: a replica is the primary of its shard now.
	OutcomeFailedOver
	// OutcomeUnknownNode: the slot of the redirect goes to a node that no view has shown,
	// and of which only the address is known.
	OutcomeUnknownNode
	// OutcomeUnroutable: the redirect has no address to go to.
	OutcomeUnroutable
	// OutcomeSuspected: the node is not picked for reads any more.
	OutcomeSuspected
	// OutcomeRecovered: the node is not suspected any more.
	OutcomeRecovered
)

var outcomeNames = [...]string{"unchanged", "applied", "partly applied", "stale", "re-created", "patched", "failed over", "unknown node", "unroutable", "suspected", "recovered"}

func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "outcome " + strconv.Itoa(int(o))
}

// A Result is what came of a write.
type Result struct {
	Outcome Outcome

	// Refresh says that the map needs a new view, and that whoever gets this
	// Result is the one to ask for it. Until the next view is applied, or
	// RefreshFailed is called, no other Result of Moved or Failed says so. If
	// Apply says it, the view did not help: another node should be asked.
	Refresh bool

	// Node is the node of the redirect: where to send the command. It is nil if
	// the redirect has no address. If the redirect is stale, and the node is
	// none of the map's, it has the address only.
	Node *Node

	// Change is what changed, or nil.
	Change *Change

	// Seen is the generation of the map after the write. It goes to Apply with the
	// view that this Result asks for.
	Seen Generation
}

// A Change is what a write changed.
type Change struct {
	Generation Generation // of the map after the change
	Slots      slotmap.Set
	Added      []*Node // that the map did not have before
	Removed    []*Node // that the map does not have any more
	Updated    []Update
}

// An Update is a node whose description changed: its address, role, shard, flags
// or zone. A node that was known by its address only and turns out to have an id is
// updated, not removed and added.
type Update struct{ Before, After *Node }

// RefreshFailed says that the view which a Result asked for could not be got,
// so that the next Result that has reason to will ask again.
func (r *Router) RefreshFailed() { r.step(refreshFailed{}) }

// Asking returns the node of a redirect: that of the map, if it has one with the
// address, else one that has the address only, or nil if the redirect has none.
// It changes nothing: an ASK is about one command.
func (r *Router) Asking(rd Redirect) *Node { return r.load().target(rd) }

// load returns the state of the moment, never nil.
func (r *Router) load() *state {
	if s := r.state.Load(); s != nil {
		return s
	}
	return noState
}

// An event is what a Router hears. Its step has no effect but its results: the
// state that s becomes, which is s itself if nothing is to be remembered, and
// what came of it.
type event interface {
	step(s *state) (*state, Result)
}

// step is the one place where the state changes.
func (r *Router) step(e event) Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, result := e.step(r.load())
	result.Seen = next.gen
	r.state.Store(next)
	if result.Change != nil && r.OnChange != nil {
		r.changes = append(r.changes, result.Change)
		if !r.delivering {
			r.deliver()
		}
	}
	return result
}

// deliver tells OnChange of the changes, those that are made meanwhile as well.
// It is called with the lock, and returns with it, but is without it while
// OnChange runs.
func (r *Router) deliver() {
	r.delivering = true
	defer func() { r.delivering = false }()
	for len(r.changes) > 0 {
		c := r.changes[0]
		r.changes = r.changes[1:]
		func() {
			r.mu.Unlock()
			defer r.mu.Lock()
			r.OnChange(c)
		}()
	}
}

// Apply gives the Router a view of the cluster, and the generation seen that the
// map had when the view was asked for. The view is taken slot by slot, by the
// rules of evidence in rules.go: what is known to be newer than the view stays.
// Of a slot that changed its owner after seen, the view may know less than the
// map.
//
//   - If the view contradicts nothing that is known to be newer, it is OutcomeApplied,
//     or OutcomeUnchanged if it says what the map does.
//   - If some of it does, the rest is taken: OutcomePartly.
//   - If all that it would change does, nothing of it is taken: OutcomeStale. So is a
//     view in which nobody owns a slot.
//   - A view that has no node in common with the map is of a re-created cluster,
//     whose epochs start anew. It replaces the map if it has an owner for every
//     slot that the map has one for: OutcomeRecreated. Else it is OutcomeStale.
//
// [Router.Replace] asks none of this. A view that is nil changes nothing.
//
// Apply takes time linear in the number of nodes and ranges, of the view and of
// the map. It keeps the view.
func (r *Router) Apply(view *Cluster, seen Generation) Result {
	return r.step(viewed{view: view, seen: seen})
}

// Replace makes view the map, whichever is newer: for a cluster that was made anew
// with some of the nodes of before. It costs what Apply does. A view that is nil
// changes nothing.
func (r *Router) Replace(view *Cluster) Result {
	return r.step(viewed{view: view, force: true})
}

// Moved corrects the map by a MOVED redirect. From is the node that answered
// with it, and seen is the generation of the map that the command was sent by.
// From is nil only if the node is not known, or was not expected to answer, as
// where a replica is probed: a redirect from it says nothing against it.
//
//   - The node is the primary of the slot already: nothing changes. But if from
//     is a replica of the very shard, it should have answered itself: it has
//     left the shard, and is not picked for reads until a view shows where it
//     is. (Or the connection was not in READONLY mode.)
//   - It is a replica of the shard: the shard has failed over, and the node is
//     its primary now, for all its slots.
//   - It is the primary of another shard: the slot goes there.
//   - It is a replica of another shard: the slot goes to it, as a shard of its own.
//   - No view has shown it: the slot goes to it, as a shard of its own.
//
// If the slot changed its owner after the generation seen, the redirect is
// stale and changes nothing. A redirect without an address changes nothing, but
// the map is known to be wrong then. ASK changes nothing.
//
// A redirect to the owner that the map has costs a lookup. All others take time
// linear in the number of shards: some microseconds for few, up to 0.1 ms for a
// thousand, and ten times that where nodes change, in a failover.
func (r *Router) Moved(rd Redirect, from *Node, seen Generation) Result {
	return r.step(redirected{rd, from, seen})
}

// Promote says that the node, a replica, is the primary of its shard now, as a
// client may learn in another way than by a redirect. It does nothing if the map
// does not have the node as a replica.
func (r *Router) Promote(node *Node) Result { return r.step(promoted{node}) }

// Failed says that the client could not reach the node. It is suspected then,
// has FlagPFail, and is no longer picked for reads, if there is another. Its
// slots stay where they are: who has them next is not the client's to decide.
//
// A suspicion ends when the client reports success with [Router.Succeeded], or
// when a view shows the node in order: when the view is the node's own, when the
// node that was asked has heard from it since, or when a node that had it
// flagged as failed no longer does. A view that merely has no flag says nothing:
// it takes the servers a while to notice. A client should try a suspected node
// again after some time, and report success if it can.
//
// If the node was suspected already, the map needs a view that has another in
// its place: such views may take a while to come, so that Failed asks for one
// again, at the second failure, the fourth, the eighth, and so on.
func (r *Router) Failed(node *Node) Result { return r.step(failed{node}) }

// Succeeded says that the client has reached the node, which ends a suspicion
// of [Router.Failed] or of [Router.Moved]. It costs next to nothing while no
// node is suspected, and may be called with every answer.
func (r *Router) Succeeded(node *Node) Result {
	if s := r.load(); node == nil || s.suspects[node.key] == nil {
		return Result{Node: node, Seen: s.gen}
	}
	return r.step(succeeded{node})
}
