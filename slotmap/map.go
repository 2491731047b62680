package slotmap

import (
	"sync/atomic"

	"golang.org/x/sys/cpu"

	"github.com/hashslot/hashslot"
)

// A Map holds the [Table] of the moment. Any number of goroutines may use it at
// once. The zero Map assigns no slot and is ready to use. A Map must not be
// copied after its first use.
//
// Readers never wait and never allocate: a lookup is one atomic load and a
// lookup in the table it finds. Writers put another table in the place of the
// one that is there, so readers see a change as a whole or not at all. To look
// several slots up in the same table, take it by [Map.Load].
//
// In the terms of the Go memory model, a write synchronizes before any read
// that observes its effect. Lookup, LookupKey, LookupKeyBytes and Load are reads; Store is a
// write; CompareAndSwap and Update are writes when they put another table in
// place, and reads otherwise. All of them are linearizable.
//
// A Map has a cache line to itself, so that a lookup does not wait for those who
// write to what lies beside it.
type Map[N comparable] struct {
	_     cpu.CacheLinePad
	table atomic.Pointer[Table[N]] // nil as long as nothing was stored; never the zero Table
	_     cpu.CacheLinePad
}

// Lookup returns the owner of slot. If nobody owns it, or if it is not one of
// the 16384 slots, ok is false.
func (m *Map[N]) Lookup(slot hashslot.Slot) (owner N, ok bool) {
	// This is Table.Lookup, written out because the compiler inlines it into the
	// caller so, and would not if it were a call. TestInlining holds that.
	t, i := m.table.Load(), uint32(slot)
	if t == nil || i >= hashslot.Count {
		return
	}
	if t.flat != nil {
		i = uint32(t.flat[i])
	} else {
		i = uint32(t.index[i>>4]) + i&15
		if i < leaves {
			i >>= 4
		} else {
			i = uint32(t.leaf[i-leaves])
		}
	}
	return t.own[i], i != 0
}

// LookupKey returns the slot of key and its owner. If nobody owns the slot, ok
// is false.
func (m *Map[N]) LookupKey(key string) (slot hashslot.Slot, owner N, ok bool) {
	slot = hashslot.Of(key)
	owner, ok = m.Lookup(slot)
	return slot, owner, ok
}

// LookupKeyBytes is [Map.LookupKey] for a key held as bytes.
func (m *Map[N]) LookupKeyBytes(key []byte) (slot hashslot.Slot, owner N, ok bool) {
	slot = hashslot.OfBytes(key)
	owner, ok = m.Lookup(slot)
	return slot, owner, ok
}

// Load returns the table that m holds, never nil. It allocates once for a Map
// in which nothing was stored: the table that assigns no slot.
func (m *Map[N]) Load() *Table[N] {
	if t := m.table.Load(); t != nil {
		return t
	}
	m.table.CompareAndSwap(nil, new(Builder[N]).Build())
	return m.table.Load()
}

// Store puts t in the place of the table that m holds. A nil t assigns no slot.
func (m *Map[N]) Store(t *Table[N]) { m.table.Store(ready(t)) }

// CompareAndSwap puts next in place if m still holds old, a table that
// [Map.Load] has returned, and reports whether it did. Tables are compared as
// pointers: another table with the same owners is not old. A nil next assigns
// no slot.
func (m *Map[N]) CompareAndSwap(old, next *Table[N]) (swapped bool) {
	return m.table.CompareAndSwap(old, ready(next))
}

// Update changes the table: change gets a builder that assigns what the table
// does, and what it then assigns is put in place. No change that others make
// meanwhile is lost: Update then starts over, so that change may be called
// several times, each time with the assignments of the moment. If nothing
// differs in the end, the table stays the one it was. If the builder has an
// error, nothing changes, and Update returns the error.
//
// Change must not keep the builder, nor change m.
func (m *Map[N]) Update(change func(*Builder[N])) error {
	for {
		old := m.Load()
		b := old.Builder()
		change(b)
		if err := b.Err(); err != nil {
			return err
		}
		next := b.Build()
		if next.Equal(old) || m.table.CompareAndSwap(old, next) {
			return nil
		}
	}
}

// ready returns t such that lookups in it need no check: an empty table for nil
// and the zero Table.
func ready[N comparable](t *Table[N]) *Table[N] {
	if t == nil || t.codes == 0 {
		return new(Builder[N]).Build()
	}
	return t
}
