package plan

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// A Kind says what a [Step] does.
type Kind string

// The kinds of steps. Node gets the command; Peer is the other node.
const (
	KindEpoch     Kind = "set epoch"     // gives Node a config epoch, before it meets others
	KindMeet      Kind = "meet"          // has Node meet Peer
	KindAssign    Kind = "assign"        // gives Node unassigned slots
	KindUnassign  Kind = "unassign"      // makes Node forget the owner of slots
	KindReplicate Kind = "replicate"     // makes Node a replica of Peer
	KindImporting Kind = "set importing" // tells Node that it imports a slot from Peer
	KindMigrating Kind = "set migrating" // tells Node that it migrates a slot to Peer
	KindMoveKeys  Kind = "move keys"     // sends keys of a slot from Node to Peer
	KindOwner     Kind = "set owner"     // tells Node that Peer owns slots
	KindStable    Kind = "set stable"    // tells Node that a slot is neither imported nor migrated
	KindBumpEpoch Kind = "bump epoch"    // gives Node a config epoch above all others
	KindExport    Kind = "export"        // makes Node migrate slots, with their keys, to Peer
	KindImport    Kind = "import"        // makes Node import slots, with their keys, from Peer
	KindFailover  Kind = "fail over"     // makes Node, a replica of Peer, take over
	KindWait      Kind = "wait"          // sends nothing, and waits for Node
	KindID        Kind = "set id"        // tells Node its id; of Kvrocks
	KindNodes     Kind = "set nodes"     // tells Node the nodes of the cluster and their slots; of Kvrocks
)

// A Condition holds for a node when a [Step] is done. It completes the words "until the
// node": "owns the slots". [Step.Progress] sees whether it holds.
type Condition string

const (
	untilAnswered   Condition = "has answered without an error"
	untilHasEpoch   Condition = "has a config epoch"
	untilKnowsPeer  Condition = "knows the peer"
	untilNodeOwns   Condition = "owns the slots"
	untilPeerOwns   Condition = "knows that the peer owns the slots"
	untilNobodyOwns Condition = "knows no owner of the slots"
	untilImports    Condition = "imports the slot"    // or has it already
	untilMigrates   Condition = "migrates the slot"   // or has done so already
	untilClosed     Condition = "has the slot closed" // neither importing nor migrating
	untilUntaken    Condition = "has the slot closed, and does not own it"
	untilNoKeys     Condition = "has no keys of the slot"
	untilReplicates Condition = "is a replica of the peer, in sync"
	untilInSync     Condition = "is a primary, or a replica in sync"
	untilIsPrimary  Condition = "is a primary"
	untilClusterOK  Condition = "says that the cluster is ok"
	untilHasVersion Condition = "has the cluster in this version"    // of Kvrocks
	untilMigrated   Condition = "has migrated the slots to the peer" // or the peer owns them; of Kvrocks
	untilFollows    Condition = "knows that the peer owns the slots, with this config epoch or a higher one"
	untilHighest    Condition = "has a config epoch above all others that it knows"
)

// An Until says when a [Step] is done, and how to see that.
type Until struct {
	Condition Condition

	// Ask are commands for the step's node. [Step.Progress] reads the replies to
	// them.
	Ask [][]string
}

// A Progress is the progress of a [Step].
type Progress int

const (
	ProgressNotStarted Progress = iota // send the command, again if it was sent before
	ProgressRunning                    // ask again, after a while
	ProgressDone                       // go on with the next step
	ProgressFailed                     // no repetition helps: the cluster is not what the plan was made for
)

// String returns "not started", "running", "done" or "failed".
func (p Progress) String() string {
	switch p {
	case ProgressNotStarted:
		return "not started"
	case ProgressRunning:
		return "running"
	case ProgressDone:
		return "done"
	case ProgressFailed:
		return "failed"
	}
	return "Progress(" + strconv.Itoa(int(p)) + ")"
}

// A Step is one command for one node, and the condition to wait for before the next step.
// To carry it out:
//
//  1. Send Command to Node, unless it is nil. [Step.Answer] reads the reply.
//  2. While the progress is [ProgressRunning], send the commands of Until.Ask to Node.
//     [Step.Progress] reads the replies.
//  3. If the progress is [ProgressNotStarted], begin again after a while.
//
// A step of the kind [KindMoveKeys] begins at 2. As long as there are keys, send the
// command of [Step.Migrate].
//
// Every step can be repeated. After a crash, begin again with the last step that was begun
// or, if it has a Round, with the first step of that round. The steps of a [Plan] or a
// [Layout] can begin again with any earlier step, even the first: steps that were done
// before are seen to be done. Those of [Fix] and [Balance] cannot, because later steps change
// what earlier ones wait for. If their progress is not known, plan again. Two programs must
// not carry out the same steps at once.
type Step struct {
	Kind     Kind
	Node     string          // id of the node to send Command to
	Addr     string          // its address, "host:port"; "" if the view does not have it
	Peer     string          // id of the other node; "" if there is none
	PeerAddr string          // its address
	Slots    []slotmap.Range // the slots of Command
	Database int             // of KindMoveKeys: to SELECT before anything is sent
	Epoch    uint64          // the least config epoch of Peer to wait for; 0 if Until does not ask for one
	Command  []string        // the command and its arguments; nil to wait only
	Until    Until

	// Round is 0, or a number that is the same for consecutive steps that may be done in
	// parallel.
	Round int
}

var askNodes = []string{"CLUSTER", "NODES"}

// keysAtOnce and migrateTimeout are the tool's --cluster-pipeline and
// --cluster-timeout, raised from 10 keys to 100.
const (
	keysAtOnce     = 100
	migrateTimeout = time.Minute
)

func one(slot hashslot.Slot) []slotmap.Range { return []slotmap.Range{{First: slot, Last: slot}} }

func rangesOf(slots slotmap.Set) []slotmap.Range { return slices.Collect(slots.Ranges()) }

// ends lists the first and the last slot of each range.
func ends(ranges []slotmap.Range) []string {
	var list []string
	for _, r := range ranges {
		list = append(list, strconv.Itoa(int(r.First)), strconv.Itoa(int(r.Last)))
	}
	return list
}

// rangesText returns ranges as servers print them.
func rangesText(ranges []slotmap.Range) string {
	var b strings.Builder
	for i, r := range ranges {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(r.String())
	}
	return b.String()
}

// importing, migrating, owned, stable, keysOf, assigned, replicating, failingOver,
// bumped and synced make steps for node n.

func importing(n, from Node, slot hashslot.Slot) Step {
	return setSlot(KindImporting, untilImports, n, from, slot, "IMPORTING", from.ID)
}

func migrating(n, to Node, slot hashslot.Slot) Step {
	return setSlot(KindMigrating, untilMigrates, n, to, slot, "MIGRATING", to.ID)
}

func owned(n, owner Node, slot hashslot.Slot) Step {
	return setSlot(KindOwner, untilPeerOwns, n, owner, slot, "NODE", owner.ID)
}

func stable(n Node, slot hashslot.Slot) Step {
	return setSlot(KindStable, untilClosed, n, Node{}, slot, "STABLE")
}

// untaken closes a slot that n imports, and must not have made its own.
func untaken(n Node, slot hashslot.Slot) Step {
	s := stable(n, slot)
	s.Until.Condition = untilUntaken
	return s
}

func setSlot(kind Kind, c Condition, n, peer Node, slot hashslot.Slot, args ...string) Step {
	return Step{Kind: kind, Node: n.ID, Addr: n.Addr, Peer: peer.ID, PeerAddr: peer.Addr, Slots: one(slot),
		Command: append([]string{"CLUSTER", "SETSLOT", strconv.Itoa(int(slot))}, args...),
		Until:   Until{c, [][]string{askNodes}}}
}

// keysOf sends the keys of a slot from n to another node, which has an address.
func keysOf(n, to Node, slot hashslot.Slot, o *SetSlotOptions, database int) Step {
	host, port, _ := net.SplitHostPort(to.Addr)
	timeout, keys := cmp.Or(o.Timeout, migrateTimeout), cmp.Or(o.Keys, keysAtOnce)
	s := Step{Kind: KindMoveKeys, Node: n.ID, Addr: n.Addr, Peer: to.ID, PeerAddr: to.Addr, Slots: one(slot), Database: database,
		Command: []string{"MIGRATE", host, port, "", strconv.Itoa(database), strconv.FormatInt(timeout.Milliseconds(), 10)},
		Until:   Until{untilNoKeys, [][]string{{"CLUSTER", "GETKEYSINSLOT", strconv.Itoa(int(slot)), strconv.Itoa(keys)}}}}
	if o.Replace {
		s.Command = append(s.Command, "REPLACE")
	}
	return s
}

// assigned gives n slots. legacy is for servers before 7.0.
func assigned(n Node, slots []slotmap.Range, legacy bool) Step {
	s := Step{Kind: KindAssign, Node: n.ID, Addr: n.Addr, Slots: slots, Until: Until{untilNodeOwns, [][]string{askNodes}}}
	if !legacy {
		s.Command = append([]string{"CLUSTER", "ADDSLOTSRANGE"}, ends(slots)...)
		return s
	}
	s.Command = []string{"CLUSTER", "ADDSLOTS"}
	for slot := range slotsIn(slots) {
		s.Command = append(s.Command, strconv.Itoa(int(slot)))
	}
	return s
}

// unassigned makes n forget the owners of slots. legacy is for servers before 7.0.
func unassigned(n Node, slots []slotmap.Range, legacy bool) Step {
	s := assigned(n, slots, legacy)
	s.Kind, s.Until.Condition = KindUnassign, untilNobodyOwns
	s.Command[1] = strings.ReplaceAll(s.Command[1], "ADD", "DEL")
	return s
}

func replicating(n, primary Node) Step {
	return Step{Kind: KindReplicate, Node: n.ID, Addr: n.Addr, Peer: primary.ID, PeerAddr: primary.Addr,
		Command: []string{"CLUSTER", "REPLICATE", primary.ID},
		Until:   Until{untilReplicates, [][]string{{"INFO", "replication"}, askNodes}}}
}

// failingOver makes n take over from its primary. how is nothing, "FORCE" or
// "TAKEOVER".
func failingOver(n, primary Node, how ...string) Step {
	return Step{Kind: KindFailover, Node: n.ID, Addr: n.Addr, Peer: primary.ID, PeerAddr: primary.Addr,
		Command: append([]string{"CLUSTER", "FAILOVER"}, how...),
		Until:   Until{untilIsPrimary, [][]string{askNodes}}}
}

func bumped(n Node) Step {
	return Step{Kind: KindBumpEpoch, Node: n.ID, Addr: n.Addr, Command: []string{"CLUSTER", "BUMPEPOCH"}, Until: Until{untilHighest, [][]string{askNodes}}}
}

// waiting sends nothing to n, and waits.
func waiting(n Node, c Condition, ask ...string) Step {
	return Step{Kind: KindWait, Node: n.ID, Addr: n.Addr, Until: Until{c, [][]string{ask}}}
}

// following waits until n knows that the peer owns the slots, by a claim with the config
// epoch or a higher one. Epochs only grow, so the wait ends whatever epochs others get.
func following(n, peer Node, slots []slotmap.Range, epoch uint64) Step {
	s := hearing(n, peer, slots)
	s.Until.Condition, s.Epoch = untilFollows, epoch
	return s
}

// hearing waits until n knows that the peer owns the slots.
func hearing(n, peer Node, slots []slotmap.Range) Step {
	s := waiting(n, untilPeerOwns, askNodes...)
	s.Peer, s.PeerAddr, s.Slots = peer.ID, peer.Addr, slots
	return s
}

func synced(n Node) Step { return waiting(n, untilInSync, "INFO", "replication") }

// String returns the step as a line: the address or else the id, the command, and after
// a # the condition to wait for. Arguments that are empty, or have a space or another
// character that does not print, are quoted.
func (s Step) String() string {
	var b strings.Builder
	b.WriteString(printable(cmp.Or(s.Addr, s.Node)))
	b.WriteByte('>')
	command, comment := s.Command, ""
	switch {
	case s.Kind == KindMoveKeys:
		comment = "  # with KEYS and the keys that " + line(s.Until.Ask...) + " lists, until it lists none"
	case s.Until.Condition == untilHighest:
		comment = "  # and again, until the node " + s.until()
	case s.Command == nil && len(s.Until.Ask) > 0:
		command, comment = s.Until.Ask[0], "  # until the node "+s.until()
	case !s.immediate() && len(s.Until.Ask) > 0:
		comment = "  # then repeat " + line(s.Until.Ask...) + " until the node " + s.until()
	}
	for _, a := range command {
		b.WriteByte(' ')
		b.WriteString(printable(a))
	}
	b.WriteString(comment)
	return b.String()
}

// until returns the condition, and names the peer and the slots of a wait.
func (s *Step) until() string {
	text := printableText(string(s.Until.Condition))
	if s.Kind != KindWait {
		return text
	}
	if len(s.Slots) == 0 {
		text = strings.ReplaceAll(text, "that the peer owns the slots, with this config epoch or a higher one", "this config epoch or a higher one of the peer")
	}
	return strings.NewReplacer("the peer", printable(cmp.Or(s.PeerAddr, s.Peer)), "the slots", "slots "+rangesText(s.Slots),
		"this config epoch", "config epoch "+strconv.FormatUint(s.Epoch, 10)).Replace(text)
}

// line joins commands for people.
func line(commands ...[]string) string {
	var b strings.Builder
	for i, c := range commands {
		if i > 0 {
			b.WriteString(" and ")
		}
		for k, a := range c {
			if k > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(printable(a))
		}
	}
	return b.String()
}
