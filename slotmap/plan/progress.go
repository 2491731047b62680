package plan

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/reply"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// immediate reports whether a reply without an error says that s is done.
func (s *Step) immediate() bool {
	switch s.Kind {
	case KindMeet, KindReplicate, KindMoveKeys, KindBumpEpoch, KindExport, KindImport, KindFailover, KindWait:
		return false
	}
	return s.Until.Condition != untilUntaken
}

// Answer returns what the reply to the step's command means; why is for a log. The
// reply is the value of a client: a string, []byte, int64, a list, or an error from a
// server. A broken connection is not a reply: go on as for [ProgressRunning].
//
// An error of the server means [ProgressRunning], because the step may have been done before:
// the replies to Until.Ask decide. Only if the step has nothing to ask, an error means
// [ProgressNotStarted]. Any other reply means [ProgressDone] if it is enough for this kind of
// step, and [ProgressRunning] if the replies to Until.Ask decide.
func (s Step) Answer(answer any) (p Progress, why string) {
	err, bad := answer.(error)
	switch {
	case bad && len(s.Until.Ask) == 0:
		return ProgressNotStarted, err.Error()
	case bad:
		return ProgressRunning, err.Error()
	case s.immediate():
		return ProgressDone, ""
	}
	return ProgressRunning, ""
}

// Progress returns the progress of the step, from the replies to the commands of
// Until.Ask, in their order; why is for a log, and not empty if the step has failed. The
// replies are values as in [Step.Answer]. A reply that cannot be read, or is an error,
// means [ProgressRunning]: the node may be loading, for example. Only for [KindNodes], an
// error means [ProgressNotStarted]: the node has no cluster yet.
//
// Progress takes time in proportion to the replies.
func (s Step) Progress(replies ...any) (p Progress, why string) {
	if len(replies) < len(s.Until.Ask) {
		return ProgressRunning, fmt.Sprintf("%d replies to %d commands", len(replies), len(s.Until.Ask))
	}
	replies = replies[:len(s.Until.Ask)]
	for i, r := range replies {
		err, bad := r.(error)
		switch {
		case !bad:
		case s.Kind == KindNodes:
			return ProgressNotStarted, err.Error() // it has no cluster yet
		default:
			return ProgressRunning, line(s.Until.Ask[i]) + ": " + err.Error()
		}
	}
	if len(replies) == 0 {
		return ProgressDone, "" // there is nothing to ask: Answer has decided
	}
	switch s.Until.Condition {
	case untilNoKeys:
		keys, err := s.Keys(replies[0])
		switch {
		case err != nil:
			return ProgressRunning, err.Error()
		case len(keys) > 0:
			return ProgressNotStarted, ""
		}
		return ProgressDone, ""
	case untilHasEpoch, untilClusterOK, untilInSync:
		text, ok := reply.Text(replies[0])
		if !ok {
			return ProgressRunning, "the reply is no text"
		}
		return s.field(text)
	}
	text, ok := reply.Text(replies[len(replies)-1])
	if !ok {
		return ProgressRunning, "the reply is no text"
	}
	c, err := topology.ParseNodes(text, topology.Origin{Addr: s.Addr})
	if err != nil {
		return ProgressRunning, err.Error()
	}
	return s.seen(c, replies)
}

// field reads a field of INFO or CLUSTER INFO.
func (s *Step) field(text string) (p Progress, why string) {
	is := func(name string) string {
		value, _ := infoField(text, name)
		return value
	}
	switch s.Until.Condition {
	case untilHasEpoch:
		if e := is("cluster_my_epoch"); e == "" || e == "0" {
			return ProgressNotStarted, ""
		}
		return ProgressDone, ""
	case untilClusterOK:
		if state := is("cluster_state"); state != "ok" {
			return ProgressRunning, "cluster_state:" + state
		}
		return ProgressDone, ""
	}
	if is("role") == "master" || is("master_link_status") == "up" {
		return ProgressDone, ""
	}
	return ProgressRunning, "master_link_status:" + is("master_link_status")
}

// infoField returns the value of a line "name:value".
func infoField(text, name string) (value string, ok bool) {
	for l := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(l, name+":"); ok {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

// seen compares the node's view of the cluster with the step's condition.
func (s *Step) seen(c *topology.Cluster, replies []any) (p Progress, why string) {
	switch me := c.Myself(); s.Until.Condition {
	case untilKnowsPeer:
		return s.met(c), ""
	case untilReplicates:
		if me == nil || me.PrimaryID != s.Peer {
			return ProgressNotStarted, ""
		}
		info, _ := reply.Text(replies[0])
		if up, _ := infoField(info, "master_link_status"); up != "up" {
			return ProgressRunning, "master_link_status:" + up
		}
		return ProgressDone, ""
	case untilIsPrimary:
		if me == nil || me.Role != topology.RolePrimary {
			return ProgressRunning, "is no primary yet"
		}
		return ProgressDone, ""
	case untilImports, untilMigrates, untilClosed, untilUntaken:
		return s.open(c)
	case untilHasVersion:
		return s.version(c)
	case untilHighest:
		return highest(c)
	case untilFollows:
		var known uint64
		if peer := c.Node(s.Peer); peer != nil {
			known = peer.ConfigEpoch
		}
		if known < s.Epoch {
			return ProgressRunning, fmt.Sprintf("knows config epoch %d of the peer", known)
		}
	}
	return s.owns(c, replies)
}

// highest reports whether the node has a higher config epoch than all other primaries that
// it knows. BUMPEPOCH changes nothing if another node has the same epoch as this one. One
// of the two then takes a higher one by itself, as soon as it hears of the other, and
// BUMPEPOCH works again if that was the other.
func highest(c *topology.Cluster) (p Progress, why string) {
	me := c.Myself()
	if me == nil || me.Role != topology.RolePrimary {
		return ProgressFailed, "is no primary"
	}
	for _, n := range c.Nodes() {
		if n != me && n.Role == topology.RolePrimary && n.ConfigEpoch >= me.ConfigEpoch {
			return ProgressNotStarted, fmt.Sprintf("has config epoch %d, and knows %d of %s", me.ConfigEpoch, n.ConfigEpoch, printable(n.ID))
		}
	}
	return ProgressDone, ""
}

// met reports whether the node has met the peer.
func (s *Step) met(c *topology.Cluster) Progress {
	switch n := c.Node(s.Peer); {
	case n == nil:
		return ProgressNotStarted
	case n.Role == topology.RoleUnknown:
		return ProgressRunning
	}
	return ProgressDone
}

// open returns the progress of a step that opens or closes a slot by SETSLOT.
func (s *Step) open(c *topology.Cluster) (p Progress, why string) {
	for _, r := range s.Slots {
		i, found := slices.BinarySearchFunc(c.Open(), r.First, func(o topology.OpenSlot, slot hashslot.Slot) int {
			return int(o.Slot) - int(slot)
		})
		var o topology.OpenSlot
		if found {
			o = c.Open()[i]
		}
		owner := ownerOf(c, r.First)
		switch s.Until.Condition {
		case untilClosed, untilUntaken:
			switch {
			case o.Importing && o.To == s.Node || o.Migrating && o.From == s.Node:
				return ProgressNotStarted, ""
			case s.Until.Condition == untilUntaken && owner == s.Node:
				return ProgressFailed, s.elsewhere(r.First, owner)
			}
		case untilImports:
			switch {
			case owner == s.Node || o.Importing && o.To == s.Node && o.From == s.Peer:
			case owner != s.Peer:
				return ProgressFailed, s.elsewhere(r.First, owner)
			default:
				return ProgressNotStarted, ""
			}
		default:
			switch {
			case owner == s.Peer || o.Migrating && o.From == s.Node && o.To == s.Peer:
			case owner != s.Node:
				return ProgressFailed, s.elsewhere(r.First, owner)
			default:
				return ProgressNotStarted, ""
			}
		}
	}
	return ProgressDone, ""
}

func ownerOf(c *topology.Cluster, slot hashslot.Slot) string {
	if shard, ok := c.Table().Lookup(slot); ok {
		return shard.Primary.ID
	}
	return ""
}

func (s *Step) elsewhere(slot hashslot.Slot, owner string) string {
	if owner == "" {
		return fmt.Sprintf("slot %d has no owner", slot)
	}
	return fmt.Sprintf("slot %d is owned by %s", slot, printable(owner))
}

// owns returns the progress of a step that changes the owner of slots.
func (s *Step) owns(c *topology.Cluster, replies []any) (p Progress, why string) {
	want := s.Peer // none for KindUnassign
	if s.Until.Condition == untilNodeOwns {
		want = s.Node
	}
	reached := true
	for slot := range slotsIn(s.Slots) {
		owner := ownerOf(c, slot)
		switch {
		case owner == want:
			continue
		case s.Kind == KindAssign && owner != "",
			(s.Kind == KindExport || s.Kind == KindImport) && owner != s.Node && owner != s.Peer:
			return ProgressFailed, s.elsewhere(slot, owner)
		}
		reached = false
	}
	if reached {
		return ProgressDone, ""
	}
	switch s.Kind {
	case KindWait:
		return ProgressRunning, "has not heard of it"
	case KindExport, KindImport:
		if s.Until.Condition == untilMigrated {
			info, _ := reply.Text(replies[0])
			return s.migrated(info)
		}
		return s.job(replies[0])
	}
	return ProgressNotStarted, ""
}

// slotsIn iterates over the slots of ranges.
func slotsIn(ranges []slotmap.Range) iter.Seq[hashslot.Slot] {
	return func(yield func(hashslot.Slot) bool) {
		for _, r := range ranges {
			for slot := r.First; slot <= r.Last; slot++ {
				if !yield(slot) {
					return
				}
			}
		}
	}
}
