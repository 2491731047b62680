// Package copies is examined by TestVetFindsCopies.
package copies

import "github.com/hashslot/hashslot/slotmap"

func copied(m *slotmap.Map[string]) slotmap.Map[string] { return *m }
