package slotmap

import (
	"slices"

	"github.com/hashslot/hashslot"
)

// A SlotSplitter divides the keys of a request by slot, as MGET, DEL and
// transactions need it; the owner of each group is then one lookup. The zero
// SlotSplitter is ready to use. It keeps its memory from one call to the next,
// 32 KiB and some 12 bytes for each key and 42 for each group of the largest
// request, and allocates only for a request larger than those before. So it must
// not be used by several goroutines at once.
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

// Split returns the keys divided by slot. The groups are in the order of their
// first keys, and valid until the next call. Keys are hashed all at once, as
// [hashslot.AppendOf] does; the rest takes time linear in len(keys).
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

// An OwnerSplitter divides the keys of a request by the owner of their slots, as
// pipelines need it. The zero OwnerSplitter is ready to use. It keeps its memory
// from one call to the next, some 14 bytes for each key and 34 and an owner value
// for each group of the largest request, and 2 bytes for each owner; SplitBySlot
// keeps that of a [SlotSplitter] besides, and 46 bytes for each slot. It allocates
// only for a request, or a table, larger than those before. So it must not be
// used by several goroutines at once.
type OwnerSplitter[N comparable] struct {
	slots  []hashslot.Slot
	codes  []uint16
	sorter sorter
	groups []OwnerGroup[N]

	bySlot  SlotSplitter
	ordered []SlotGroup // those of bySlot, owner by owner
	owned   []OwnerSlots[N]
}

// An OwnerGroup is the keys whose slots one owner has.
type OwnerGroup[N comparable] struct {
	Owner N
	Keys  []int // their indexes in the input, ascending
}

// An OwnerSlots is the keys whose slots one owner has, slot by slot.
type OwnerSlots[N comparable] struct {
	Owner N
	Slots []SlotGroup // in the order of their first keys
}

// Split returns the keys divided by the owner that t has for them, and apart
// from those the keys whose slots nobody owns, by their indexes in the input.
// The groups are in the order of their first keys. The results are valid until
// the next call. Keys are hashed all at once, as [hashslot.AppendOf] does; the
// rest takes time linear in len(keys), however many owners and ranges there are.
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

// SplitBySlot returns the keys divided by the owner that t has for them and then
// by slot, and apart from those the keys whose slots nobody owns. It is for
// commands of several keys, such as MGET and DEL, which servers refuse with
// CROSSSLOT if the keys are in different slots, even if one node owns them all:
// each group goes to its owner in one pipeline of one command for each slot. The
// groups, and the slots in them, are in the order of their first keys. The results
// are valid until the next call. Each key is hashed once, all of them at once, as
// [hashslot.AppendOf] does; the rest takes time linear in len(keys).
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

// forget drops the groups of the call before, so that their owners are not kept
// alive.
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

// sortByLabel sorts the places of labels, each of which is less than n, by
// label and then by place. It is a counting sort, but for the order of the
// groups, and takes no time for labels that do not occur.
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
