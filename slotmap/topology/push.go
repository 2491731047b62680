package topology

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/reply"
	"github.com/hashslot/hashslot/slotmap"
)

// A Migration is a push about slots that move to another node. Redis Enterprise, Redis
// Cloud and Azure Managed Redis send it with the OSS cluster API. A client that asked
// for such pushes gets each of them over every connection.
type Migration struct {
	// Done is true for SMIGRATED: the slots have moved, and the push is for
	// [Router.Migrated]. It is false for SMIGRATING: the slots begin to move, commands
	// may take longer, and the map is still right.
	Done bool

	// Seq is the sequence number of the push in the cluster. It grows, and is the same
	// over each connection.
	Seq int64

	// Slots are all slots that move.
	Slots slotmap.Set

	// Moves are the moves of SMIGRATED. No slot is in two of them.
	Moves []SlotMove
}

// A SlotMove is slots that have moved from one address to another.
type SlotMove struct {
	// From and To are addresses in the form of [Node.Addr], translated by [Origin].Map.
	// They are "" if the push has no address that can be dialled.
	From, To string
	Slots    slotmap.Set
}

// ErrNotMigration is the error that [ParseMigration] returns for a push of another kind.
var ErrNotMigration = errors.New("topology: not a push about a migration")

const migrationPush = "SMIGRATED"

// ParseMigration reads a push that came over the connection from. The push is decoded
// to the Go types that [ParseSlots] takes:
//
//	["SMIGRATING", seq, "123,456,789-1000"]
//	["SMIGRATED", seq, [["10.0.0.1:6379", "10.0.0.2:6379", "123,789-1000"], ...]]
//
// The moves may also be elements of the push itself. Further elements are skipped. For
// a push with another name, the error is [ErrNotMigration] itself, without an
// allocation. Any other error is a [*slotmap.ParseError] with the place: an invalid
// slot, no slots, or a slot that moves twice. ParseMigration takes time and memory
// linear in the push.
func ParseMigration(push any, from Origin) (Migration, error) {
	elements, _ := reply.List(push)
	if len(elements) == 0 {
		return Migration{}, ErrNotMigration
	}
	var m Migration
	switch name, _ := reply.Text(elements[0]); {
	case strings.EqualFold(name, "SMIGRATING"):
	case strings.EqualFold(name, "SMIGRATED"):
		m.Done = true
	default:
		return Migration{}, ErrNotMigration
	}
	if err := m.parse(elements, from); err != nil {
		return Migration{}, err.of(migrationPush)
	}
	return m, nil
}

func (m *Migration) parse(elements []any, from Origin) *fault {
	if len(elements) < 3 {
		return &fault{reason: "has no sequence number and slots"}
	}
	var ok bool
	if m.Seq, ok = reply.Int(elements[1]); !ok {
		return wrong("is", elements[1], "not a sequence number").in("[1]")
	}
	if !m.Done {
		var err *fault
		if m.Slots, err = moving(elements[2]); err != nil {
			return err.in("[2]")
		}
		return nil
	}
	moves, path := elements[2:], 2
	if inner, _ := reply.List(elements[2]); len(inner) > 0 {
		if _, ok := reply.List(inner[0]); ok {
			moves, path = inner, 0
		}
	}
	for i, v := range moves {
		move, err := readMove(v, from)
		if err == nil {
			if both := m.Slots.Intersect(move.Slots); !both.IsEmpty() {
				err = &fault{reason: "slots that are in another move, too: " + both.String()}
			}
		}
		if err != nil {
			_ = err.in(index("", i+path))
			if path == 0 {
				_ = err.in("[2]")
			}
			return err
		}
		m.Slots = m.Slots.Union(move.Slots)
		m.Moves = append(m.Moves, move)
	}
	return nil
}

// readMove reads [from, to, slots].
func readMove(v any, from Origin) (move SlotMove, err *fault) {
	parts, err := list(v)
	if err != nil {
		return SlotMove{}, err
	}
	if len(parts) < 3 {
		return SlotMove{}, &fault{reason: "is not a source, a target and slots"}
	}
	for i, to := range []*string{&move.From, &move.To} {
		s, err := text(parts[i])
		if err != nil {
			return SlotMove{}, err.in(index("", i))
		}
		*to = from.address(s)
	}
	if move.Slots, err = moving(parts[2]); err != nil {
		return SlotMove{}, err.in("[2]")
	}
	return move, nil
}

// address returns where to dial an address of a push, or "" if it cannot be dialled.
func (o Origin) address(s string) string {
	host, port, _ := cutLast(s, ':')
	number, _ := parsePort(port)
	host = unbracket(host)
	if wildcard(host) {
		host, _ = o.asked()
	}
	if number == 0 || host == "" || host == "?" {
		return ""
	}
	if host, number = o.reach(host, number); number == 0 {
		return ""
	}
	return joinHostPort(host, number)
}

// moving reads slots in the form "123,456,789-1000".
func moving(v any) (set slotmap.Set, err *fault) {
	s, ok := reply.Text(v)
	if n, isInt := reply.Int(v); !ok && isInt { // one slot
		s, ok = slotText(n), true
	}
	if !ok {
		return slotmap.Set{}, wrong("is", v, "not slots")
	}
	for part := range strings.SplitSeq(s, ",") {
		r, err := slotmap.ParseRange(strings.TrimSpace(part))
		if err != nil {
			return slotmap.Set{}, &fault{reason: reply.Quote(part) + " is not a slot or a range of slots from 0 to 16383"}
		}
		set.AddRange(r)
	}
	return set, nil
}

// slotText returns the number of a slot as text, or text that is no slot.
func slotText(n int64) string {
	slot, ok := hashslot.SlotFromInt(n)
	if !ok {
		return "-"
	}
	return slotmap.Range{First: slot, Last: slot}.String()
}

// Migrated corrects the map by a push about slots that have moved (SMIGRATED), in one
// change for all of them. A push about slots that begin to move changes nothing.
//
//   - A push whose number was taken before, over another connection, changes nothing.
//   - A push with a smaller number than one that was taken is OutcomeStale: what it says
//     of its slots may be older than the map.
//   - Slots go to the target if the map has them at the source, or if nobody owns them.
//     Slots that the map has at the target already stay there. Slots that it has at a
//     third node stay there too, since it is not known which is newer.
//
// The Outcome is OutcomePatched if all slots moved to primaries of the map, or were
// there; OutcomeUnknownNode if they did, but a target was no primary of the map;
// OutcomePartly if only some could move; OutcomeStale if none could; OutcomeUnroutable
// if none could, for lack of the targets' addresses; OutcomeUnchanged if there was
// nothing to move. All of these but OutcomePatched and OutcomeUnchanged ask for a view.
// Result.Node is nil. A Router remembers the last 16 pushes. Replace, and Apply of a
// re-created cluster, forget them.
//
// Migrated takes time linear in the numbers of slots, moves and nodes.
func (r *Router) Migrated(m Migration) Result { return r.step(migrated{m}) }

// remembers is how many pushes a state remembers.
const remembers = 16

// migrated is the event of [Router.Migrated].
type migrated struct{ Migration }

func (e migrated) step(s *state) (*state, Result) {
	switch at, taken := slices.BinarySearch(s.pushes, e.Seq); { // they ascend
	case !e.Done || taken:
		return s, Result{}
	case at < len(s.pushes):
		return s.result(OutcomeStale, nil, nil)
	}
	next := *s
	next.pushes = append(slices.Clone(s.pushes[max(0, len(s.pushes)-remembers+1):]), e.Seq)
	t := transfer{s: s, next: &next, shards: slices.Clone(s.shards), leaving: make(map[*Shard][]*Node), to: make(map[string]*Shard)}
	var moved, refused, lost slotmap.Set
	for _, move := range e.Moves {
		at, already := t.judge(move)
		stays := move.Slots.Subtract(at).Subtract(already)
		switch {
		case move.To == "":
			lost = lost.Union(at).Union(stays)
		default:
			refused = refused.Union(stays)
			moved = moved.Union(at)
			if !at.IsEmpty() {
				t.give(at, move.To)
			}
		}
	}
	outcome := OutcomePatched
	switch none := moved.IsEmpty(); {
	case none && refused.IsEmpty() && lost.IsEmpty():
		return &next, Result{}
	case none && refused.IsEmpty():
		return next.result(OutcomeUnroutable, nil, nil)
	case none:
		return next.result(OutcomeStale, nil, nil)
	case !refused.IsEmpty() || !lost.IsEmpty():
		outcome = OutcomePartly
	case t.strangers:
		outcome = OutcomeUnknownNode
	}
	change := t.finish(moved)
	if outcome == OutcomePatched {
		return &next, Result{Outcome: OutcomePatched, Change: change}
	}
	return next.result(outcome, nil, change)
}

// A transfer gives slots to other shards, in one change.
type transfer struct {
	s, next   *state
	shards    []*Shard           // of s, and the new ones
	leaving   map[*Shard][]*Node // the replicas that leave a shard of s
	to        map[string]*Shard  // the shard of a target, by the key of the target
	given     []given
	strangers bool // a target is no primary of s
}

// given is slots, and the shard that they go to: of s, or a new one.
type given struct {
	slots slotmap.Set
	shard *Shard
}

// judge returns the slots of the move that the map has at the source or at nobody, and
// those that it already has at the target.
func (t *transfer) judge(move SlotMove) (at, already slotmap.Set) {
	is := make(map[*Shard]place)
	for slot := range move.Slots.Slots() {
		shard, _ := t.s.table.Lookup(slot)
		p, ok := is[shard]
		if !ok {
			switch {
			case shard == nil, shard.Primary.hasAddr(move.From):
				p = atSource
			case shard.Primary.hasAddr(move.To):
				p = atTarget
			}
			is[shard] = p
		}
		switch p {
		case atSource:
			at.Add(slot)
		case atTarget:
			already.Add(slot)
		}
	}
	return at, already
}

// A place says where the map has a slot that a push moves.
type place uint8

const (
	elsewhere place = iota
	atSource
	atTarget
)

// give notes that the slots go to the node with the address.
func (t *transfer) give(slots slotmap.Set, addr string) {
	m, known := t.s.find(addr, nil)
	key := addr
	if known {
		key = m.node.key // it may have several addresses
	}
	shard := t.to[key]
	if shard == nil {
		shard = t.target(addr, m)
		t.to[key] = shard
	}
	t.given = append(t.given, given{slots, shard})
}

// target returns the shard of a target: that of m if it is a primary, else a new one.
// The zero m is a node that no view has shown.
func (t *transfer) target(addr string, m member) *Shard {
	var n *Node
	switch {
	case m.node == nil:
		host, port := splitHostPort(addr)
		n = stranger(Redirect{Host: host, Port: port})
	case m.node == m.shard.Primary:
		return m.shard
	default:
		// The replica leaves its shard, which keeps its other slots.
		t.leaving[m.shard] = append(t.leaving[m.shard], m.node)
		n = m.node.promoted()
	}
	t.strangers = true
	shard := &Shard{ID: n.ShardID, Primary: n}
	t.shards = append(t.shards, shard)
	return shard
}

// leave takes the replicas that leave out of their shards and out of the suspects. It
// returns what has become of these shards.
func (t *transfer) leave() map[*Shard]*Shard {
	if len(t.leaving) == 0 {
		return nil
	}
	instead := make(map[*Shard]*Shard, len(t.leaving))
	t.next.suspects = maps.Clone(t.next.suspects)
	for i, shard := range t.shards {
		nodes := t.leaving[shard]
		if nodes == nil {
			continue
		}
		gone := make(map[*Node]bool, len(nodes))
		for _, n := range nodes {
			gone[n] = true
			delete(t.next.suspects, n.key)
		}
		rest := *shard
		rest.Replicas = slices.DeleteFunc(slices.Clone(shard.Replicas), func(n *Node) bool { return gone[n] })
		instead[shard], t.shards[i] = &rest, &rest
	}
	return instead
}

// finish makes next the state in which the slots have moved.
func (t *transfer) finish(moved slotmap.Set) *Change {
	instead := t.leave()
	table, grounds := t.s.table.Builder(), t.s.grounds.Builder()
	for r, shard := range t.s.table.Ranges() {
		if after := instead[shard]; after != nil {
			table.Assign(r, after)
		}
	}
	type why struct {
		before *ground
		owner  *Shard
		to     *Shard
	}
	whys := make(map[why]*ground)
	for _, g := range t.given {
		shard := g.shard
		if after := instead[shard]; after != nil {
			shard = after
		}
		for r := range g.slots.Ranges() {
			table.Assign(r, shard)
		}
		for slot := range g.slots.Slots() {
			old, before := t.s.owner(slot)
			key := why{before, old, shard}
			if whys[key] == nil {
				ground := before.next(t.s.gen+1, old, shard.Primary)
				ground.told = true
				whys[key] = ground
			}
			grounds.Assign(slotmap.Range{First: slot, Last: slot}, whys[key])
		}
	}
	t.next.grounds = grounds.Build()
	return t.s.become(t.next, table.Build(), t.shards, moved)
}
