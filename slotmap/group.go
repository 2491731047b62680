package slotmap

import (
	"slices"

	"github.com/hashslot/hashslot"
)

// A SlotSplitter groups the keys of a request by slot, for MGET, DEL and
// transactions. One lookup then finds the owner of a group. The zero SlotSplitter
// is ready to use. It keeps its memory for the next call: 32 KiB and, for the
// largest request, some 12 bytes for each key and 42 bytes for each group. It
// allocates only for a request that is larger than all before. It must not be used
// by several goroutines at once.
type SlotSplitter struct {
	slots  []hashslot.Slot
	sorter sorter
	groups []SlotGroup
}

// A SlotGroup is the keys of one slot.
type SlotGroup struct {
	Slot hashslot.Slot
	Keys []int // their indexes in the input, ascending
}

// Split groups keys by slot. The groups are in the order of their first keys, and
// valid until the next call. All keys are hashed in one [hashslot.AppendOf]; the
// rest takes time linear in len(keys).
func (sp *SlotSplitter) Split(keys []string) []SlotGroup {
	sp.slots = hashslot.AppendOf(sp.slots[:0], keys)
	return sp.split()
}

// SplitBytes is [SlotSplitter.Split] for keys held as bytes.
func (sp *SlotSplitter) SplitBytes(keys [][]byte) []SlotGroup {
	sp.slots = hashslot.AppendOfBytes(sp.slots[:0], keys)
	return sp.split()
}

func (sp *SlotSplitter) split() []SlotGroup {
	sortByLabel(&sp.sorter, sp.slots, hashslot.Count)
	sp.groups = sp.groups[:0]
	start := 0
	for i, label := range sp.sorter.labels {
		end := sp.sorter.ends[i]
		sp.groups = append(sp.groups, SlotGroup{hashslot.Slot(label), sp.sorter.sorted[start:end:end]})
		start = end
	}
	return sp.groups
}

// An OwnerSplitter groups the keys of a request by the owner of their slots, for
// pipelining. The zero OwnerSplitter is ready to use. It keeps its memory for the
// next call: for the largest request, some 14 bytes for each key, and 34 bytes and an
// owner value for each group; for the largest table, 2 bytes for each owner.
// SplitBySlot also keeps the memory of a [SlotSplitter] and 44 bytes for each slot. An
// OwnerSplitter allocates only for a request, or a table, that is larger than all
// before. It must not be used by several goroutines at once.
//
// A nil or zero table assigns no slot. Each call with one allocates an empty table.
type OwnerSplitter[N comparable] struct {
	slots  []hashslot.Slot
	codes  []uint16
	sorter sorter
	groups []OwnerGroup[N]

	bySlot  SlotSplitter
	ordered []SlotGroup // those of bySlot, owner by owner
	owned   []OwnerSlots[N]
}

// An OwnerGroup is the keys in the slots of one owner.
type OwnerGroup[N comparable] struct {
	Owner N
	Keys  []int // their indexes in the input, ascending
}

// An OwnerSlots is the keys in the slots of one owner, slot by slot.
type OwnerSlots[N comparable] struct {
	Owner N
	Slots []SlotGroup // in the order of their first keys
}

// Split groups keys by their owners in t, and returns the keys of unassigned slots
// separately, by their indexes in keys. The groups are in the order of their first keys.
// The results are valid until the next call. All keys are hashed in one
// [hashslot.AppendOf]; the rest takes time linear in len(keys), whatever the number
// of owners and ranges.
func (sp *OwnerSplitter[N]) Split(t *Table[N], keys []string) (groups []OwnerGroup[N], unassigned []int) {
	sp.slots = hashslot.AppendOf(sp.slots[:0], keys)
	return sp.split(t)
}

// SplitBytes is [OwnerSplitter.Split] for keys held as bytes.
func (sp *OwnerSplitter[N]) SplitBytes(t *Table[N], keys [][]byte) (groups []OwnerGroup[N], unassigned []int) {
	sp.slots = hashslot.AppendOfBytes(sp.slots[:0], keys)
	return sp.split(t)
}

func (sp *OwnerSplitter[N]) split(t *Table[N]) (groups []OwnerGroup[N], unassigned []int) {
	t = ready(t)
	codes := slices.Grow(sp.codes[:0], len(sp.slots))[:len(sp.slots)]
	for i, slot := range sp.slots {
		codes[i] = t.code[t.number(slot)]
	}
	sp.codes = codes
	sortByLabel(&sp.sorter, codes, t.codes)
	sp.forget()
	start := 0
	for i, code := range sp.sorter.labels {
		end := sp.sorter.ends[i]
		if same := sp.sorter.sorted[start:end:end]; code == 0 {
			unassigned = same
		} else {
			sp.groups = append(sp.groups, OwnerGroup[N]{t.own[code], same})
		}
		start = end
	}
	return sp.groups, unassigned
}

// SplitBySlot groups keys by their owners in t and then by slot, and returns the
// keys of unassigned slots separately. It is for commands of several keys, such as MGET
// and DEL: servers refuse them with CROSSSLOT if the keys are in different slots,
// even if one node owns all of them. So each group goes to its owner in one
// pipeline, with one command for each slot. The groups, and the slots in them, are
// in the order of their first keys. The results are valid until the next call. All
// keys are hashed in one [hashslot.AppendOf]; the rest takes time linear in
// len(keys).
func (sp *OwnerSplitter[N]) SplitBySlot(t *Table[N], keys []string) (groups []OwnerSlots[N], unassigned []SlotGroup) {
	return sp.splitBySlot(t, sp.bySlot.Split(keys))
}

// SplitBySlotBytes is [OwnerSplitter.SplitBySlot] for keys held as bytes.
func (sp *OwnerSplitter[N]) SplitBySlotBytes(t *Table[N], keys [][]byte) (groups []OwnerSlots[N], unassigned []SlotGroup) {
	return sp.splitBySlot(t, sp.bySlot.SplitBytes(keys))
}

func (sp *OwnerSplitter[N]) splitBySlot(t *Table[N], slots []SlotGroup) (groups []OwnerSlots[N], unassigned []SlotGroup) {
	t = ready(t)
	codes := slices.Grow(sp.codes[:0], len(slots))[:len(slots)]
	for i, g := range slots {
		codes[i] = t.code[t.number(g.Slot)]
	}
	sp.codes = codes
	sortByLabel(&sp.sorter, codes, t.codes)
	sp.ordered = slices.Grow(sp.ordered[:0], len(slots))[:len(slots)]
	for i, place := range sp.sorter.sorted {
		sp.ordered[i] = slots[place]
	}
	sp.forget()
	start := 0
	for i, code := range sp.sorter.labels {
		end := sp.sorter.ends[i]
		if same := sp.ordered[start:end:end]; code == 0 {
			unassigned = same
		} else {
			sp.owned = append(sp.owned, OwnerSlots[N]{t.own[code], same})
		}
		start = end
	}
	return sp.owned, unassigned
}

// forget drops the groups of the last call, so that they keep no owner alive.
func (sp *OwnerSplitter[N]) forget() {
	clear(sp.groups)
	clear(sp.owned)
	sp.groups, sp.owned = sp.groups[:0], sp.owned[:0]
}

// A sorter is the memory of sortByLabel, and its result.
type sorter struct {
	labels []uint16 // those that occur, in the order of their first places: the groups
	ends   []int    // of each group in sorted
	sorted []int    // the places of all labels, group by group

	group []uint16 // by label: 1 + its group. All 0 between calls
	of    []uint16 // by place: its group
}

// sortByLabel sorts the places of labels, each of which is less than n, by label
// and then by place. It is a counting sort whose groups are in the order of their
// first places. Labels that do not occur take no time.
func sortByLabel[L ~uint16](s *sorter, labels []L, n int) {
	if len(s.group) < n {
		s.group = make([]uint16, n)
	}
	s.of = slices.Grow(s.of[:0], len(labels))[:len(labels)]
	s.sorted = slices.Grow(s.sorted[:0], len(labels))[:len(labels)]
	s.labels = s.labels[:0]
	// Local variables stay in registers, which halves the time.
	of, sorted, group, ends := s.of, s.sorted, s.group, s.ends[:0]
	for i, label := range labels {
		g := group[label]
		if g == 0 {
			s.labels = append(s.labels, uint16(label))
			ends = append(ends, 0)
			g = uint16(len(ends))
			group[label] = g
		}
		of[i] = g - 1
		ends[g-1]++
	}
	// From the counts to the starts.
	start := 0
	for g, count := range ends {
		ends[g] = start
		start += count
	}
	// Each start moves to its end.
	for i, g := range of {
		end := ends[g]
		sorted[end] = i
		ends[g] = end + 1
	}
	for _, label := range s.labels {
		group[label] = 0
	}
	s.ends = ends
}
