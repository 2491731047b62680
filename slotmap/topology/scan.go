package topology

import (
	"strconv"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/reply"
)

// A ScanCursor is a position of CLUSTERSCAN (Valkey 9.1) in its walk over the keys of a
// cluster. It is within a slot; the owner of the slot is the node to ask. The zero
// ScanCursor is at the start of slot 0.
type ScanCursor struct {
	text     string // "" at the start of the slot
	slot     hashslot.Slot
	position uint64
}

const scanCommand = "CLUSTERSCAN"

// ScanAt returns the cursor at the start of the slot: "0-{06S}-0" for slot 0. A
// walk can begin at any slot, and CLUSTERSCAN continues to the last one, owner by owner.
// Several walks can run at once, one for each range of a [slotmap.Table]: it begins at
// the first slot of the range and ends when its cursor leaves the range. For an invalid
// slot, ScanAt returns the cursor at slot 0.
func ScanAt(slot hashslot.Slot) ScanCursor {
	if !slot.Valid() {
		slot = 0
	}
	return ScanCursor{slot: slot}
}

// ParseScanCursor reads the cursor of a reply to CLUSTERSCAN:
//
//	0                       the walk is over; more is false
//	0-{06S}-0               the start of slot 0
//	2O\Ua1-{k2}-229825      within the slot of the tag
//
// In front of the tag is a fingerprint of the server's hash seed. After it is a position
// that only a server with the same seed understands. Any other server starts the slot
// again. So after a failover or a migration in the middle of a slot, the walk continues
// at the new owner with the same cursor. It may return keys of that slot twice, but
// misses none. Servers with a common hash-seed continue at the position.
//
// The error is a [*slotmap.ParseError]. ParseScanCursor allocates only for an error, and
// takes time linear in text. The cursor keeps text in memory.
func ParseScanCursor(text string) (c ScanCursor, more bool, err error) {
	if text == "0" {
		return ScanCursor{}, false, nil
	}
	fail := func(at int, reason string) (ScanCursor, bool, error) {
		return ScanCursor{}, false, (&fault{location{line: 1, offset: at}, reason}).of(scanCommand)
	}
	open, end := strings.IndexByte(text, '-'), strings.LastIndexByte(text, '-')
	if open == end { // none, or only one
		return fail(0, reply.Quote(text)+" is not a cursor, fingerprint-{tag}-position")
	}
	tag := text[open+1 : end]
	if strings.IndexByte(text, '{') != open+1 || strings.IndexByte(tag, '}') != len(tag)-1 || tag == "{}" {
		return fail(open+1, reply.Quote(tag)+" is not a hash tag in braces")
	}
	position, bad := strconv.ParseUint(text[end+1:], 10, 64)
	if bad != nil {
		return fail(end+1, reply.Quote(text[end+1:])+" is not a position")
	}
	return ScanCursor{text, hashslot.Of(text), position}, true, nil
}

// Slot returns the slot that the next CLUSTERSCAN reads.
func (c ScanCursor) Slot() hashslot.Slot { return c.slot }

// Begun reports whether a part of the slot was read.
func (c ScanCursor) Begun() bool { return c.position != 0 }

// String returns the cursor as CLUSTERSCAN takes it. It allocates unless the cursor
// comes from ParseScanCursor.
func (c ScanCursor) String() string {
	if c.text != "" {
		return c.text
	}
	return "0-{" + c.slot.Tag() + "}-0"
}

// Scan returns the shard to send CLUSTERSCAN to, the cursor to send, and the generation
// of the map it looked at. The cursor to send is c. But if nobody owns its slot, servers
// refuse c, and Scan returns the cursor at the start of the next slot that has an owner.
// If there is none, the shard is nil and the walk is over. If the answer is MOVED, even
// in the middle of a slot, send the same cursor to the node that it names.
//
// Scan takes time linear in the number of slots that it skips.
func (r *Router) Scan(c ScanCursor) (*Shard, ScanCursor, Generation) {
	table, seen := r.Table()
	for slot := c.slot; slot.Valid(); slot++ {
		if shard, ok := table.Lookup(slot); ok {
			if slot != c.slot {
				c = ScanAt(slot)
			}
			return shard, c, seen
		}
	}
	return nil, c, seen
}
