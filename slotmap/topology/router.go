package topology

import (
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/cpu"

	"github.com/hashslot/hashslot/slotmap"
)

// A Router tells a client which shard a key belongs to. It holds a map of slots to
// shards. [Router.Apply] updates the map from views of the cluster, and [Router.Moved]
// corrects it by redirects. The zero Router has no map and is ready to use. A Router
// must not be copied after its first use.
//
// Any number of goroutines may use a Router at once. Apply, Replace, Moved,
// Migrated, Failed, Succeeded, Promote and RefreshFailed are writes, which run one
// after the other. All other methods are reads, and each sees the Router at one
// moment. Reads take no lock and never wait, and the lookups (For, Read, Pick, Any and their
// variants) do not allocate. A write synchronizes before any read that observes
// its effect, and a read sees a write as a whole or not at all.
//
// A client's loop is this. The client looks up the shard of a key and the
// generation of the map, and sends the command to the shard's primary. If the
// answer is a redirect, the client passes it to Moved with that generation, and
// sends the command to the node that the redirect names. If a Result has Refresh
// set, the client asks a node for a view and passes it to Apply, or calls
// RefreshFailed if it gets none.
type Router struct {
	// Zone is the availability zone of this client, for ReadSameZone. It must be
	// set before the first use.
	Zone string

	// Weight, if it is not nil, returns the relative weight with which a node is
	// picked for reads, among those that the policy allows. It may depend on the
	// node's latency, for instance. A node with weight 0 is not picked, except a
	// primary if no other node is eligible; see [ReadPolicy]. Reads call Weight once for
	// each candidate, from any number of goroutines at once, so it should use atomic
	// values and neither lock nor allocate. It must be set before the first use.
	Weight func(*Node) uint32

	// OnChange, if it is not nil, is called with every change of the map, one at a
	// time and in order, once readers see the change. It may call any method of the
	// Router: no lock is held while it runs. It runs before the write returns,
	// except if a call for an earlier change is still running: then it runs after
	// that call, on the same goroutine, and the write may return first. It must be set
	// before the first use.
	OnChange func(*Change)

	_     cpu.CacheLinePad
	state atomic.Pointer[state]
	_     cpu.CacheLinePad

	mu         sync.Mutex // held by step; guards the fields below
	changes    []*Change  // for OnChange
	delivering bool       // a goroutine calls OnChange with them
}

// A Generation counts the changes of a Router's map: 0 is no map, and each change adds
// 1. A client keeps, with each command, the generation of the map that it was routed
// by, so that the Router can see if a redirect is older than a change of the map.
type Generation uint64

// An Outcome says what a write to a [Router] did.
type Outcome uint8

const (
	// OutcomeUnchanged: the map already agrees, or there is nothing to change.
	OutcomeUnchanged Outcome = iota
	// OutcomeApplied: the view was taken.
	OutcomeApplied
	// OutcomePartly: the view, or the push, was taken for some slots and refused for
	// others.
	OutcomePartly
	// OutcomeStale: the view, redirect or push is older than the map and was not taken.
	OutcomeStale
	// OutcomeRecreated: the view was taken, and has no node in common with the one before.
	OutcomeRecreated
	// OutcomePatched: the slots of the redirect or push now belong to other shards.
	OutcomePatched
	// OutcomeFailedOver: a replica is now the primary of its shard.
	OutcomeFailedOver
	// OutcomeUnknownNode: the slot of the redirect now belongs to a node that no view
	// has shown, so that only its address is known. Or some slots of the push now belong
	// to a node that was no primary in the map.
	OutcomeUnknownNode
	// OutcomeUnroutable: the redirect or push has no address to go to.
	OutcomeUnroutable
	// OutcomeSuspected: the node is no longer picked for reads if there is another.
	OutcomeSuspected
	// OutcomeRecovered: the node is no longer suspected.
	OutcomeRecovered
)

var outcomeNames = [...]string{"unchanged", "applied", "partly applied", "stale", "re-created", "patched", "failed over", "unknown node", "unroutable", "suspected", "recovered"}

// String returns the outcome in words, such as "partly applied".
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "outcome " + strconv.Itoa(int(o))
}

// A Result describes what a write did.
type Result struct {
	Outcome Outcome

	// Refresh reports that the map needs a new view, and that the receiver of this
	// Result should ask for it. Until a view is taken as a whole, or RefreshFailed
	// is called, only Apply sets Refresh again: the view it got did not settle the
	// question, and another node should be asked.
	Refresh bool

	// Node is, of Moved, the node that the redirect names: where to send the command.
	// It is nil if the redirect has no address. If the redirect is stale and the map
	// does not have the node, Node has an address only. Of Failed, Succeeded and
	// Promote, Node is the node that was passed, or the map's newer description of it.
	// Of other writes it is nil.
	Node *Node

	// Change is what changed in the map, or nil if nothing did.
	Change *Change

	// Seen is the generation of the map after the write. Pass it to Apply
	// with the view that this Result asks for.
	Seen Generation
}

// A Change is what a write changed in the map. It belongs to all who receive it, and
// must not be modified.
type Change struct {
	Generation Generation  // of the map after the change
	Slots      slotmap.Set // the slots that have another owner than before, or no longer any
	Added      []*Node     // the nodes that the map did not have before
	Removed    []*Node     // the nodes that the map no longer has
	Updated    []Update    // the nodes whose description changed
}

// An Update is a node whose description changed: its address, role, shard, flags
// or zone. A node that was known only by its address and turns out to have an id
// is an Update, not a removed and an added node.
type Update struct{ Before, After *Node }

// RefreshFailed reports that a Result had Refresh set and the client got no view. The
// next Result that has a reason to asks again.
func (r *Router) RefreshFailed() { r.step(refreshFailed{}) }

// Asking returns the node that a redirect names. This is the map's node with that
// address, else a new node that has only the address. It is nil if the redirect has
// no address. Asking changes nothing: an ASK is about one command.
func (r *Router) Asking(rd Redirect) *Node { return r.load().target(rd) }

// load returns the current state, never nil.
func (r *Router) load() *state {
	if s := r.state.Load(); s != nil {
		return s
	}
	return noState
}

// An event is an input of a Router. Its step has no side effects: it returns the next
// state, which is s itself if nothing changes, and the Result.
type event interface {
	step(s *state) (*state, Result)
}

// step is the only place where the state changes.
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

// deliver calls OnChange with the changes, including those that are added while it
// runs. The caller holds the lock; deliver releases it during each call.
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

// Apply updates the map from a view of the cluster. seen is the generation of the
// map when the view was asked for: where a slot changed its owner after seen, the
// view may be older than the map. The view is taken slot by slot, by the rules of
// evidence in rules.go. What is known to be newer than the view stays.
//
//   - OutcomeApplied: the view contradicts nothing that is known to be newer.
//     OutcomeUnchanged: it also says the same as the map.
//   - OutcomePartly: some of the view contradicts what is known to be newer. The
//     rest is taken.
//   - OutcomeStale: everything that the view would change contradicts what is known
//     to be newer. Nothing is taken. The same goes for a view without slot owners
//     while the map has some.
//   - OutcomeRecreated: the view has no node in common with the map. It shows a
//     re-created cluster, whose epochs start anew. It replaces the map if it has an
//     owner for every slot that has one in the map. Otherwise it is OutcomeStale.
//
// [Router.Replace] skips these checks. A nil view changes nothing.
//
// For n nodes and ranges of the view and the map together, Apply takes O(n log n)
// time. The Router copies what it keeps, except for the last CLUSTER NODES view, which
// it keeps as a whole for its pong times.
func (r *Router) Apply(view *Cluster, seen Generation) Result {
	return r.step(viewed{view: view, seen: seen})
}

// Replace makes view the map, even if the map is newer. It is for a cluster that was
// re-created with some of its former nodes. It costs as much as Apply. A nil view
// changes nothing.
func (r *Router) Replace(view *Cluster) Result {
	return r.step(viewed{view: view, force: true})
}

// Moved corrects the map by a MOVED redirect. from is the node that sent the
// redirect, and seen is the generation of the map that the command was routed by.
// Pass nil as from if the node is not known, or if it was not expected to serve the
// command, such as a replica that is probed: then the redirect is no evidence against
// the node. The effect depends on the node that the redirect names:
//
//   - It is already the primary of the slot: nothing changes. But if from is a
//     replica of the same shard, it should have answered a read itself. Then it has
//     left the shard, and is not picked for reads until a view shows where it is.
//     (Or the connection was not in READONLY mode.)
//   - It is a replica of the shard: the shard has failed over, and the node is now
//     its primary, for all its slots.
//   - It is the primary of another shard: the slot goes there. If a reply of CLUSTER
//     SHARDS left open which of two primaries had it, the other slots that the map
//     gave away by the same guess go along.
//   - It is a replica of another shard: the slot goes to it, as a shard of its own.
//   - No view has shown it: the slot goes to it, as a shard of its own.
//
// If the slot changed its owner after the generation seen, the redirect is
// stale and changes nothing. A redirect without an address changes no slot, but
// proves the map wrong, so it asks for a view. ASK, and a slot that is not one of the
// 16384, change nothing.
//
// A redirect to the owner that the map has costs a lookup. All others take time
// linear in the number of shards: some microseconds for few, up to 0.1 ms for a
// thousand, and ten times that where nodes change, in a failover.
func (r *Router) Moved(rd Redirect, from *Node, seen Generation) Result {
	return r.step(redirected{rd, from, seen})
}

// Promote reports that the node, a replica, is now the primary of its shard. It is
// for clients that learn this by other means than a redirect. It does nothing
// unless the map has the node as a replica. It costs as much as Moved.
func (r *Router) Promote(node *Node) Result { return r.step(promoted{node}) }

// Failed reports that the client could not reach the node. The node is suspected:
// it has FlagPFail, and is no longer picked for reads if there is another. Its
// slots stay where they are: the cluster decides who gets them next.
//
// A suspicion ends when the client reports success with [Router.Succeeded], or
// when a view shows that the node is well: the view is the node's own, or the
// node that was asked has heard from it since, or a node that had flagged it as
// failed no longer does. A view that merely lacks the flag proves nothing: the
// servers take a while to notice. A client should try a suspected node again
// after some time, and report success.
//
// If the node is already suspected, the map needs a view with another node in its
// place. It may take the cluster a while to have one, so Failed asks for a view
// again at the second failure, the fourth, the eighth, and so on, and from then on
// after at most 1000 more.
//
// The first failure takes time linear in the number of shards, each further one time
// linear in the number of suspected nodes.
func (r *Router) Failed(node *Node) Result { return r.step(failed{node}) }

// Succeeded reports that the client has reached the node. This ends a suspicion by
// [Router.Failed] or [Router.Moved]. While the node is not suspected, it takes no lock
// and allocates nothing, so it may be called with every answer.
func (r *Router) Succeeded(node *Node) Result {
	s := r.load()
	if len(s.suspects) > 0 {
		if m, ok := s.member(node); ok && s.suspects[m.node.key] != nil {
			return r.step(succeeded{node})
		}
	}
	return Result{Node: node, Seen: s.gen}
}
