package hashslot

import (
	"errors"
	"fmt"
)

// ErrCrossSlot matches every [*CrossSlotError] in errors.Is.
var ErrCrossSlot = errors.New("hashslot: keys do not share a slot")

// ErrNoKeys is the error of [Common] without keys: a command without keys
// belongs to no slot.
var ErrNoKeys = errors.New("hashslot: no keys")

// A CrossSlotError reports keys that must share a slot and do not. Servers refuse
// a command with such keys by the error CROSSSLOT, even if one node owns both
// slots.
type CrossSlotError struct {
	Key1  string // the first of the keys
	Slot1 Slot
	Key2  string // the first key whose slot is not Slot1
	Slot2 Slot
	Index int // which of the keys Key2 is; Key1 is number 0
}

func (e *CrossSlotError) Error() string {
	return fmt.Sprintf("hashslot: keys do not share a slot: key 0 (%q) is in slot %d, key %d (%q) in slot %d",
		e.Key1, e.Slot1, e.Index, e.Key2, e.Slot2)
}

// Is reports whether target is [ErrCrossSlot].
func (e *CrossSlotError) Is(target error) bool { return target == ErrCrossSlot }

// Common returns the slot that all keys share. If they do not, the error is a
// [*CrossSlotError] that names the first key and the first that differs from
// it; without keys it is [ErrNoKeys]. Common allocates only for an error, which refers
// to the two keys and does not copy them.
func Common(keys ...string) (Slot, error) {
	if len(keys) == 0 {
		return 0, ErrNoKeys
	}
	first := Of(keys[0])
	var slots [32]Slot
	for done := 0; done < len(keys); {
		chunk := keys[done:min(done+len(slots), len(keys))]
		for i, s := range AppendOf(slots[:0], chunk) {
			if s != first {
				return 0, &CrossSlotError{keys[0], first, chunk[i], s, done + i}
			}
		}
		done += len(chunk)
	}
	return first, nil
}
