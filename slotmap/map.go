package slotmap

import (
	"sync/atomic"

	"golang.org/x/sys/cpu"

	"github.com/hashslot/hashslot"
)

// A Map holds the current [Table]. It is safe for concurrent use. The zero Map
// assigns no slot and is ready to use. A Map must not be copied after its first use.
//
// Readers never wait, and only Load can allocate, before the first table is stored. A
// lookup is one atomic load and a lookup in the table that it returns. Writers replace
// the table, so readers see a change as a whole or not at all. To look up several slots
// in the same table, use [Map.Load].
//
// In the terms of the Go memory model, a write synchronizes before any read that
// observes its effect. Lookup, LookupKey, LookupKeyBytes and Load are reads. Store is
// a write. CompareAndSwap and Update are writes if they replace the table, and reads
// otherwise. All of them are linearizable.
//
// Padding keeps the pointer on its own cache line, so writes to neighbouring data
// cause no false sharing.
type Map[N comparable] struct {
	_     cpu.CacheLinePad
	table atomic.Pointer[Table[N]] // nil until a table is stored; never the zero Table
	_     cpu.CacheLinePad
}

// Lookup returns the owner of slot. ok is false if slot is unassigned or not valid.
func (m *Map[N]) Lookup(slot hashslot.Slot) (owner N, ok bool) {
	// This is Table.Lookup, written out: with a call, the compiler would not inline
	// it into the caller. TestInlining holds that.
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

// LookupKey returns the slot of key and its owner. ok is false if the slot is
// unassigned.
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

// Load returns the table of m, never nil. Before the first table is stored, it
// allocates one that assigns no slot, once.
func (m *Map[N]) Load() *Table[N] {
	if t := m.table.Load(); t != nil {
		return t
	}
	m.table.CompareAndSwap(nil, new(Builder[N]).Build())
	return m.table.Load()
}

// Store replaces the table of m by t. A nil t assigns no slot.
func (m *Map[N]) Store(t *Table[N]) { m.table.Store(ready(t)) }

// CompareAndSwap replaces the table of m by next if it still is old, a table from
// [Map.Load], and reports whether it did. Tables are compared as pointers: another
// table with the same owners is not old. A nil next assigns no slot.
func (m *Map[N]) CompareAndSwap(old, next *Table[N]) (swapped bool) {
	return m.table.CompareAndSwap(old, ready(next))
}

// Update calls change with a builder of the current table, and stores the table that
// the builder then makes. If another goroutine stores a table in between, Update
// starts over: change is called again, with a builder of that table. So no change is
// lost. If the assignments are the same in the end, the table is not replaced. If
// the builder has an error, nothing changes, and Update returns the error.
//
// change must not keep the builder, and must not write to m.
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

// ready returns t, or an empty table if t is nil or the zero Table, so that lookups
// need no check.
func ready[N comparable](t *Table[N]) *Table[N] {
	if t == nil || t.codes == 0 {
		return new(Builder[N]).Build()
	}
	return t
}
