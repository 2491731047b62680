package command

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/hashslot/hashslot/slotmap"
)

// A Splitter divides commands by slot. The zero Splitter is ready to use. It keeps the
// memory of a [slotmap.SlotSplitter], and 16 bytes for each key of the largest command.
// It must not be used by several goroutines at once.
type Splitter struct {
	keys []string
	by   slotmap.SlotSplitter
}

// Split groups the keys of a command by slot. The groups have the keys by number: 0 is
// the first key of the command. [AppendPart] makes a command of each group, for the
// node of its slot, and [Command.Combine] combines the replies. Slots of one node still
// get commands of their own: servers refuse a command with keys in two slots, whoever
// owns them.
//
// Commands that Route sends ToEachSlot can be divided. Any other command is one group
// if its keys are in one slot, and no group if it has no keys; otherwise the error is
// that of Route. A command in several parts is not atomic. Valkey 9.1 does not check
// the slots of MSETEX: a wrong node executes it.
//
// t may be nil, for the built-in table. The result is valid until the next call.
// Split takes time linear in the number of arguments.
func (s *Splitter) Split(t *Table, args Args) ([]slotmap.SlotGroup, error) {
	var room [4]run
	runs, err := t.routed(room[:0], args)
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	s.keys = s.keys[:0]
	for _, r := range runs {
		for i := r.first; i <= r.last; i += r.step {
			s.keys = append(s.keys, args.at(i))
		}
	}
	groups := s.by.Split(s.keys)
	clear(s.keys) // the caller owns the arguments
	return groups, nil
}

// AppendPart appends to dst the command with some of its keys only. keys are their
// numbers in ascending order, as in the groups of Split. The part has the arguments in
// front of the first key, these keys, each with its value if the command has values, and
// the arguments after the last key. If the command has an argument with the number of
// keys, it is replaced. Arguments are not copied: a part shares their bytes.
//
// It is an error if the command cannot be divided (see Split) or does not have these
// keys. dst is then returned unchanged. t may be nil, for the built-in table.
func AppendPart[A Arg](t *Table, dst, args []A, keys []int) ([]A, error) {
	view := ArgsOf(args)
	c, r, err := t.divisible(view)
	if err != nil {
		return dst, err
	}
	count := (r.last-r.first)/r.step + 1
	if err := c.chosen(keys, count); err != nil {
		return dst, err
	}
	at := len(dst)
	n := len(args) - (count-len(keys))*r.step
	dst = slices.Grow(dst, n)[:at+n]
	part := dst[at:]
	copy(part, args[:r.first])
	if s := &c.rules.specs[0]; s.find == findNumber {
		part[int(s.at)+int(s.last)] = A(strconv.Itoa(len(keys)))
	}
	part = part[r.first:]
	for _, k := range keys {
		i := r.first + k*r.step
		copy(part, args[i:i+r.step])
		part = part[r.step:]
	}
	copy(part, args[r.last+r.step:])
	return dst, nil
}

// chosen returns an error if keys are not numbers of count keys, in ascending order.
func (c *Command) chosen(keys []int, count int) error {
	for i, k := range keys {
		if k < 0 || k >= count || i > 0 && k <= keys[i-1] {
			return fmt.Errorf("command: %q: the keys must be ascending and below %[3]d: unexpected key %[2]d", c.name, k, count)
		}
	}
	return nil
}

// divisible returns the places of the keys of a command that can be divided.
func (t *Table) divisible(args Args) (*Command, run, error) {
	c, err := t.orBuiltin().find(args)
	if err != nil {
		return nil, run{}, err
	}
	if !c.fits(args.n) {
		return nil, run{}, c.arityError(args.n)
	}
	if !c.divides() {
		return nil, run{}, fmt.Errorf("command: %q cannot be divided by slot", c.name)
	}
	r, why, at := c.rules.specs[0].search(args)
	if why != found {
		return nil, run{}, c.syntaxError(why, at)
	}
	if err := c.whole(r, args); err != nil {
		return nil, run{}, err
	}
	return c, r, nil
}

// ErrCannotCombine is the error of [Command.Combine] for a command without a rule:
// only its documentation says how to combine the replies.
var ErrCannotCombine = errors.New("command: no rule to combine the replies")

// Combine combines the replies of several nodes to one, by the reply policy. groups
// are those of Split, and replies[i] is the reply to the part of groups[i]. groups is nil
// if the command was sent to nodes and not to slots. Replies have the types that clients use: int64 or int for
// numbers, []any for lists, and error for an error of a server.
//
// The first error among the replies is the error of Combine, unless the policy is
// ReplyOneSucceeded and another reply is no error. If the replies are lists, numbers are
// combined element by element. Replies that cannot be combined by the policy are an
// error, and so are no replies. A single reply is not checked against a policy that
// combines numbers.
func (c *Command) Combine(groups []slotmap.SlotGroup, replies []any) (any, error) {
	if len(replies) == 0 || groups != nil && len(groups) != len(replies) {
		return nil, fmt.Errorf("command: %q: %d replies for %d parts", c.name, len(replies), len(groups))
	}
	var failed error
	succeeded := -1
	for i, r := range replies {
		if err, ok := r.(error); !ok && succeeded < 0 {
			succeeded = i
		} else if ok && failed == nil {
			failed = err
		}
	}
	if c.Reply() == ReplyOneSucceeded && succeeded >= 0 {
		return replies[succeeded], nil
	}
	if failed != nil {
		return nil, failed
	}
	switch c.Reply() {
	case ReplyOneSucceeded, ReplyAllSucceeded:
		return replies[0], nil
	case ReplySpecial:
		return nil, ErrCannotCombine
	case ReplyDefault:
		if groups != nil {
			return c.inOrder(groups, replies)
		}
		var all []any
		for _, r := range replies {
			list, ok := r.([]any)
			if !ok {
				return nil, ErrCannotCombine
			}
			all = append(all, list...)
		}
		return all, nil
	}
	all := replies[0]
	for _, r := range replies[1:] {
		var err error
		if all, err = c.aggregate(all, r); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// inOrder puts the elements of lists into the order of the keys of the whole command.
func (c *Command) inOrder(groups []slotmap.SlotGroup, replies []any) (any, error) {
	n := 0
	for _, g := range groups {
		n += len(g.Keys)
	}
	all := make([]any, n)
	for i, g := range groups {
		list, ok := replies[i].([]any)
		if !ok || len(list) != len(g.Keys) {
			return nil, fmt.Errorf("command: %q: the reply to part %d is not a list of %d elements, one for each key", c.name, i, len(g.Keys))
		}
		for j, k := range g.Keys {
			if k < 0 || k >= n {
				return nil, fmt.Errorf("command: %q: part %d has key %d, but there are %d keys", c.name, i, k, n)
			}
			all[k] = list[j]
		}
	}
	return all, nil
}

func (c *Command) aggregate(a, b any) (any, error) {
	x, ok1 := a.([]any)
	y, ok2 := b.([]any)
	if ok1 && ok2 && len(x) == len(y) {
		all := make([]any, len(x))
		for i := range x {
			n, err := c.aggregateNumbers(x[i], y[i])
			if err != nil {
				return nil, err
			}
			all[i] = n
		}
		return all, nil
	}
	return c.aggregateNumbers(a, b)
}

func (c *Command) aggregateNumbers(a, b any) (any, error) {
	x, ok1 := integer(a)
	y, ok2 := integer(b)
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("command: %q: cannot combine %T and %T: not two numbers, nor two lists of the same length", c.name, a, b)
	}
	truth := func(b bool) any {
		if b {
			return int64(1)
		}
		return int64(0)
	}
	switch c.Reply() {
	case ReplyAggLogicalAnd:
		return truth(x != 0 && y != 0), nil
	case ReplyAggLogicalOr:
		return truth(x != 0 || y != 0), nil
	case ReplyAggMin:
		return min(x, y), nil
	case ReplyAggMax:
		return max(x, y), nil
	}
	return x + y, nil
}

func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case int:
		return int64(v), true
	}
	return 0, false
}
