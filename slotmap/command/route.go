package command

import "github.com/hashslot/hashslot"

// To says which nodes a command goes to.
type To uint8

const (
	ToAnyNode   To = iota // any node: the command has no key
	ToOneSlot             // the node of the slot
	ToEachSlot            // the nodes of several slots: Splitter.Split divides the command
	ToAllShards           // the primaries of all shards
	ToAllNodes            // all primaries and replicas
	ToSpecial             // as the command's documentation says: SCAN asks one node after the other
)

var toNames = []string{"any node", "one slot", "each slot", "all shards", "all nodes", "special"}

func (t To) String() string { return name(int(t), toNames) }

// A Target is where a command goes.
type Target struct {
	Command *Command
	To      To
	Slot    hashslot.Slot // if To is ToOneSlot
}

// Route returns where a command goes, with the built-in table. See [Table.Route].
func Route[A Arg](args []A) (Target, error) {
	return builtin.Route(ArgsOf(args))
}

// Route returns where a command goes. A command with keys, or with channels of sharded
// pub/sub, goes to their slot. If they are in several slots, a command with the policy
// multi_shard goes to each of them; any other has a [*hashslot.CrossSlotError] that
// names two of its keys. A command without keys goes where its request policy says.
//
// If the Command of the target Is FlagReadOnly, a replica can answer it.
//
// The other errors are those of [Table.Keys]. Route also returns ErrArity for commands
// without keys, and ErrSyntax for a command that must be divided and whose last key
// has no value.
//
// Route takes time linear in the number of arguments, and allocates only for an
// error.
func (t *Table) Route(args Args) (Target, error) {
	t = t.orBuiltin()
	c, i := t.top(args.name()) // find, written out: a call costs too much here
	if c == nil || c.flags&hasSubs != 0 {
		var err *Error
		if c, err = t.within(c, i, args); err != nil {
			return Target{}, err
		}
	}
	if !c.fits(args.n) {
		return Target{}, c.arityError(args.n)
	}
	if c.only != 0 {
		return Target{c, ToOneSlot, hashslot.Of(args.at(int(c.only)))}, nil
	}
	return c.route(args)
}

// route is Route for commands that do not always have one key in one place. The number
// of arguments fits.
func (c *Command) route(args Args) (Target, error) {
	var room [4]run
	runs, err := c.runs(room[:0], args)
	if err != nil {
		return Target{}, err
	}
	if len(runs) == 0 {
		return Target{Command: c, To: [...]To{ToAnyNode, ToAllNodes, ToAllShards, ToAnyNode, ToSpecial}[c.rules.request]}, nil
	}
	first := hashslot.Of(args.at(runs[0].first))
	n := 0
	for _, r := range runs {
		for i := r.first; i <= r.last; i += r.step {
			slot := hashslot.Of(args.at(i))
			if slot != first {
				if c.divides() {
					if err := c.whole(r, args); err != nil {
						return Target{}, err
					}
					return Target{Command: c, To: ToEachSlot}, nil
				}
				return Target{}, crossSlot(args.at(runs[0].first), first, args.at(i), slot, n)
			}
			n++
		}
	}
	return Target{c, ToOneSlot, first}, nil
}

// crossSlot returns an error with copies of the keys, because the caller owns the
// arguments.
//
//go:noinline
func crossSlot(key1 string, slot1 hashslot.Slot, key2 string, slot2 hashslot.Slot, index int) *hashslot.CrossSlotError {
	both := string(append([]byte(key1), key2...)) // key1 + key2 is key1 itself if key2 is empty
	n := len(key1)
	return &hashslot.CrossSlotError{Key1: both[:n], Slot1: slot1, Key2: both[n:], Slot2: slot2, Index: index}
}

// divides reports whether the command can be divided by slot.
func (c *Command) divides() bool {
	rules := c.rules
	return rules.request == requestMultiShard && len(rules.specs) == 1 && rules.specs[0].begin == beginIndex
}

// whole returns an error if the last key has no value. The server would refuse such a
// command as a whole, so no part of it may be sent.
func (c *Command) whole(r run, args Args) error {
	if r.last+r.step > args.n {
		return c.syntaxError(noValue, args.n)
	}
	return nil
}

// routed appends the keys of a command that goes to their slots, and no key of any
// other command. The error is that of Route.
func (t *Table) routed(dst []run, args Args) ([]run, error) {
	target, err := t.Route(args)
	if err != nil {
		return nil, err
	}
	dst, _ = target.Command.runs(dst, args) // Route has found no error
	return dst, nil
}

// A Block finds the slot that the commands of a MULTI block must share, with the WATCH
// before it. The zero Block has no commands. A Block must not be used by several
// goroutines at once.
type Block struct {
	key  []byte // the first
	slot hashslot.Slot
	n    int // keys
}

// Add adds a command to the block. If a key of the command is not in the slot of the
// block, the error is a [*hashslot.CrossSlotError] that names the first key of the block
// and that key; its Index counts the keys of the whole block. All other errors are those
// of [Table.Route]: if a command that cannot be divided has keys in several slots, the
// CrossSlotError names two of its own keys, and its Index counts these alone. An error
// leaves the block unchanged.
//
// t may be nil, for the built-in table.
func (b *Block) Add(t *Table, args Args) error {
	var room [4]run
	runs, err := t.routed(room[:0], args)
	if err != nil {
		return err
	}
	before := *b
	for _, r := range runs {
		for i := r.first; i <= r.last; i += r.step {
			key := args.at(i)
			slot := hashslot.Of(key)
			switch {
			case b.n == 0:
				b.key, b.slot = append(b.key[:0], key...), slot
			case slot != b.slot:
				err := crossSlot(string(b.key), b.slot, key, slot, b.n)
				b.slot, b.n = before.slot, before.n
				return err
			}
			b.n++
		}
	}
	return nil
}

// Slot returns the slot of the block. ok is false until a command has keys.
func (b *Block) Slot() (slot hashslot.Slot, ok bool) { return b.slot, b.n > 0 }

// Reset makes the block empty.
func (b *Block) Reset() { b.slot, b.n = 0, 0 }
