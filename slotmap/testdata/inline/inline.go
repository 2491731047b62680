// Package inline is compiled by TestInlining, which reads what the compiler
// says about the calls in it.
package inline

import (
	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

type node struct{ addr string }

func mapPointer(m *slotmap.Map[*node], s hashslot.Slot) (*node, bool) { return m.Lookup(s) }

func mapString(m *slotmap.Map[string], s hashslot.Slot) (string, bool) { return m.Lookup(s) }

func mapInterface(m *slotmap.Map[any], s hashslot.Slot) (any, bool) { return m.Lookup(s) }

func tablePointer(t *slotmap.Table[*node], s hashslot.Slot) (*node, bool) { return t.Lookup(s) }

func contains(s *slotmap.Set, slot hashslot.Slot) bool { return s.Contains(slot) }
