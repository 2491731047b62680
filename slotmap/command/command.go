package command

import (
	"iter"
	"strings"
)

// A Command is the servers' description of one command. It never changes.
type Command struct {
	name    string // as in COMMAND, in lower case: "get", "config|get"
	rules   *rules // never nil in a table
	flags   Flags  // and hasSubs
	arity   int16  // with the name; negative: at least
	parent  uint16 // 1 + the number of the container in the table; 0: it is no subcommand
	only    uint8  // if not 0: the one key is this argument, whatever the others are
	servers Servers
}

// rules are shared by commands. The built-in table has each set of rules once.
type rules struct {
	specs   []spec // none: no argument is a key
	own     own
	request request
	reply   Reply
}

// how returns the rules; the zero Command has those of a command without keys.
func (c *Command) how() *rules {
	if c.rules == nil {
		return &rules{}
	}
	return c.rules
}

// Name returns the name in lower case. That of a subcommand is "config|get".
func (c *Command) Name() string { return c.name }

// Arity returns the number of arguments, the name included. If it is negative, the
// command takes at least -Arity arguments.
func (c *Command) Arity() int { return int(c.arity) }

// fits reports whether the command takes n arguments.
func (c *Command) fits(n int) bool {
	return n == int(c.arity) || n >= -int(c.arity) && c.arity < 0
}

// Flags returns the flags.
func (c *Command) Flags() Flags { return c.flags &^ hasSubs }

// Is reports whether the command has all of these flags.
func (c *Command) Is(f Flags) bool { return c.flags&f == f }

// Reply returns the reply policy: how to combine the replies of several nodes.
func (c *Command) Reply() Reply { return c.how().reply }

// HasKeys reports whether any argument of the command can be a key.
func (c *Command) HasKeys() bool { return c.how().haveKeys() }

func (r *rules) haveKeys() bool {
	for i := range r.specs {
		if r.specs[i].use&UseNotKey == 0 {
			return true
		}
	}
	return false
}

// Servers returns the servers that have the command. It is 0 in a table of [Load].
func (c *Command) Servers() Servers { return c.servers }

// Servers is a set of servers.
type Servers uint8

const (
	ServerValkey Servers = 1 << iota // Valkey 9.1
	ServerRedis                      // Redis 8.6, with the commands of its module vectorset
)

func (s Servers) String() string { return join(uint32(s), []string{"valkey", "redis"}) }

// Flags are the flags of a command that matter for routing. Their names are those of
// the servers.
type Flags uint16

const (
	FlagWrite           Flags = 1 << iota // write: a replica refuses it
	FlagReadOnly                          // readonly: a replica may answer it, after READONLY
	FlagBlocking                          // blocking: may wait for other clients
	FlagPubSub                            // pubsub
	FlagNoScript                          // noscript: not from a script
	FlagNoMulti                           // no_multi: not within MULTI
	FlagAdmin                             // admin
	FlagStale                             // stale: by a replica with old data, too
	FlagLoading                           // loading: while data is loaded, too
	FlagAllowBusy                         // allow_busy: while a script runs, too
	FlagMovableKeys                       // movablekeys: first, last and step of COMMAND do not show all keys
	FlagNoMandatoryKeys                   // no_mandatory_keys: may have no key
	FlagModule                            // module: of a module

	hasSubs Flags = 1 << 15 // has subcommands: in Command.flags only
)

var flagNames = []string{"write", "readonly", "blocking", "pubsub", "noscript", "no_multi", "admin", "stale", "loading", "allow_busy",
	"movablekeys", "no_mandatory_keys", "module"}

func (f Flags) String() string { return join(uint32(f), flagNames) }

// A request is a request policy: the nodes that a client should send a command to.
type request uint8

const (
	requestDefault    request = iota // the node of the keys, or any one node if there are none
	requestAllNodes                  // all_nodes: all primaries and replicas
	requestAllShards                 // all_shards: all primaries
	requestMultiShard                // multi_shard: the keys are divided by slot
	requestSpecial                   // special: see the command's documentation
)

var requestNames = []string{"default", "all_nodes", "all_shards", "multi_shard", "special"}

// A Reply is a reply policy, the servers' response_policy: how a client should combine
// the replies of several nodes.
type Reply uint8

const (
	ReplyDefault       Reply = iota // with keys: an array in the order of the keys. Without: all elements of the arrays, in any order
	ReplyOneSucceeded               // one_succeeded: the first reply that is no error
	ReplyAllSucceeded               // all_succeeded: any reply, if none is an error
	ReplyAggLogicalAnd              // agg_logical_and: 0 or 1, element by element if they are arrays
	ReplyAggLogicalOr               // agg_logical_or: likewise
	ReplyAggMin                     // agg_min: the least number
	ReplyAggMax                     // agg_max: the greatest number
	ReplyAggSum                     // agg_sum: the sum
	ReplySpecial                    // special: see the command's documentation
)

var replyNames = []string{"default", "one_succeeded", "all_succeeded", "agg_logical_and", "agg_logical_or", "agg_min", "agg_max", "agg_sum", "special"}

func (r Reply) String() string { return name(int(r), replyNames) }

// A Use says what a command does with a key. Each key has one of the first four uses.
// The next four concern the value, and not its metadata. The names are those of COMMAND
// GETKEYSANDFLAGS. A Use is 0 if the servers do not describe it.
type Use uint16

const (
	UseRO Use = 1 << iota // RO: reads the value
	UseRW                 // RW: changes the value
	UseOW                 // OW: overwrites the value
	UseRM                 // RM: removes the key

	UseAccess // access: returns or copies the value, or uses it
	UseUpdate // update: changes the value, depending on it or not
	UseInsert // insert: adds to the value
	UseDelete // delete: deletes the value, or part of it

	UseNotKey        // not_key: no key, but routed as one: a channel of sharded pub/sub, the cursor of CLUSTERSCAN
	UseIncomplete    // incomplete: there may be keys that are not found
	UseVariableFlags // variable_flags: the use depends on other arguments, in a way that only the server knows
)

var useNames = []string{"RO", "RW", "OW", "RM", "access", "update", "insert", "delete", "not_key", "incomplete", "variable_flags"}

func (u Use) String() string { return join(uint32(u), useNames) }

// Reads reports whether the value of the key is read.
func (u Use) Reads() bool { return u&(UseRO|UseRW|UseAccess) != 0 }

// Writes reports whether the key or its value is changed.
func (u Use) Writes() bool { return u&(UseRW|UseOW|UseRM) != 0 }

func join(bits uint32, names []string) string {
	var b strings.Builder
	for i, name := range names {
		if bits>>i&1 != 0 {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(name)
		}
	}
	return b.String()
}

func name(i int, names []string) string {
	if i < len(names) {
		return names[i]
	}
	return "unknown"
}

// A spec is a key specification: where a search begins, and which arguments from
// there on are keys. The servers describe them at
// https://valkey.io/topics/key-specs/.
type spec struct {
	keyword string // in lower case
	use     Use
	begin   begin
	find    find
	at      int16 // of an index: the argument. Of a keyword: where to search from; negative: from the end, backwards

	// Of a range: the last key, counted from the first or, if it is negative, from
	// the end, and then limit 2 means the first half of the arguments, and so on;
	// 0 and 1 mean all of them. Of a number of keys: where it is and where the keys
	// begin, both counted from where the search began.
	last, limit int16
	step        int16
}

type begin uint8

const (
	beginUnknown begin = iota
	beginIndex
	beginKeyword
)

type find uint8

const (
	findUnknown find = iota
	findRange
	findNumber // last is where the number is, limit where the keys begin
)

// A Table has commands by name. A nil *Table and the zero Table have those of Valkey
// 9.1 and Redis 8.6. A Table never changes, so it is safe for concurrent use.
type Table struct {
	commands []Command
	// index has 1 + the number of each command, at the place of its hash or behind
	// it; 0 is free. Its length is a power of two, and it is at most half full.
	index []uint16
}

func (t *Table) orBuiltin() *Table {
	if t == nil || len(t.index) == 0 {
		return &builtin
	}
	return t
}

// All iterates over the commands and subcommands.
func (t *Table) All() iter.Seq[*Command] {
	t = t.orBuiltin()
	return func(yield func(*Command) bool) {
		for i := range t.commands {
			if !yield(&t.commands[i]) {
				return
			}
		}
	}
}

// Lookup returns the command or subcommand that args begin with. Case is ignored. If
// args name a command that has subcommands, and no subcommand, Lookup returns that
// command. The error is an [*Error] of the kind ErrUnknown.
func (t *Table) Lookup(args Args) (*Command, error) {
	c, err := t.orBuiltin().find(args)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (t *Table) find(args Args) (*Command, *Error) {
	c, i := t.top(args.name())
	if c == nil || c.flags&hasSubs != 0 {
		return t.within(c, i, args)
	}
	return c, nil
}

// within returns the subcommand that args names, or the container if it stands
// alone. c and i are what top says of the name.
func (t *Table) within(c *Command, i uint16, args Args) (*Command, *Error) {
	if c == nil {
		return nil, unknown(nil, args)
	}
	if args.n == 1 {
		return c, nil
	}
	if i = t.lookup(args.at(1), i); i == 0 {
		return nil, unknown(c, args)
	}
	return &t.commands[i-1], nil
}

// top is lookup of a name that is no subcommand's. It returns the command, too, or
// nil.
//
// Clients call it for every command. So it has the code of ends written out, for both
// names that it compares: calls would take a third of the time.
func (t *Table) top(name string) (*Command, uint16) {
	var first, last uint64
	n := len(name)
	switch {
	case n > 16 || n < 2:
		i := t.lookup(name, 0)
		if i == 0 {
			return nil, 0
		}
		return &t.commands[i-1], i
	case n >= 8:
		first, last = lower8(load8(name)), lower8(load8(name[n-8:]))
	case n >= 4:
		first = lower8(uint64(load4(name)) | uint64(load4(name[n-4:]))<<32)
	default:
		first = lower8(uint64(load2(name)) | uint64(load2(name[n-2:]))<<16)
	}
	for at := hash(first, last, n, 0); ; at++ {
		i := t.index[at&uint(len(t.index)-1)]
		if i == 0 {
			return nil, 0
		}
		c := &t.commands[i-1]
		own := c.name
		if len(own) != n || c.parent != 0 {
			continue
		}
		switch {
		case n >= 8:
			if load8(own) == first && load8(own[n-8:]) == last {
				return c, i
			}
		case n >= 4:
			if uint64(load4(own))|uint64(load4(own[n-4:]))<<32 == first {
				return c, i
			}
		case uint64(load2(own))|uint64(load2(own[n-2:]))<<16 == first:
			return c, i
		}
	}
}

// lookup returns 1 + the number of the command that has the name and parent, or 0.
func (t *Table) lookup(name string, parent uint16) uint16 {
	sub := t.sub(parent)
	first, last := ends(name)
	for at := hash(lower8(first), lower8(last), len(name), parent); ; at++ {
		i := t.index[at&uint(len(t.index)-1)]
		if i == 0 {
			return 0
		}
		if c := &t.commands[i-1]; c.parent == parent && len(c.name)-sub == len(name) && is(name, c.name[sub:]) {
			return i
		}
	}
}

// sub returns where the names of the subcommands of a container begin in theirs.
func (t *Table) sub(parent uint16) int {
	if parent == 0 {
		return 0
	}
	return len(t.commands[parent-1].name) + len("|")
}

// hash returns the hash of a name in lower case. The multipliers are those of xxHash:
// any odd numbers would do.
func hash(first, last uint64, n int, parent uint16) uint {
	h := (first^uint64(parent)<<24)*0x9e3779b185ebca87 ^ (last+uint64(n))*0xc2b2ae3d27d4eb4f
	return uint(h>>40 ^ h>>20)
}

// ends returns the first and the last eight bytes of name, and 0 for a single byte. With
// the length, they determine a name of 2 to 16 bytes. Of a longer name, all further bytes
// are mixed into the last ones, in lower case.
func ends(name string) (first, last uint64) {
	switch n := len(name); {
	case n > 16:
		last = lower8(load8(name[n-8:]))
		for i := 8; i < n-8; i += 8 {
			last = last*0x9e3779b185ebca87 + lower8(load8(name[i:]))
		}
		return load8(name), lower8(last) // which callers do, too
	case n >= 8:
		return load8(name), load8(name[n-8:])
	case n >= 4:
		return uint64(load4(name)) | uint64(load4(name[n-4:]))<<32, 0
	case n >= 2:
		return uint64(load2(name)) | uint64(load2(name[n-2:]))<<16, 0
	}
	return 0, 0
}

// lower8 converts eight ASCII letters to lower case and leaves other bytes unchanged.
func lower8(x uint64) uint64 {
	const ones = 0x0101010101010101
	low := x & (0x7f * ones)                                         // no sum below carries
	upper := (low + (0x80-'A')*ones) &^ (low + (0x7f-'Z')*ones) &^ x // the high bit of each capital
	return x | upper&(0x80*ones)>>2
}

func load8(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func load4(s string) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

func load2(s string) uint16 {
	_ = s[1]
	return uint16(s[0]) | uint16(s[1])<<8
}

// maxProbe is the most places that a lookup tries, and more than it does unless the names
// were made to have the same hash.
const maxProbe = 1000

// newTable makes a table of commands, and keeps the slice. Their parents are set. Of
// two commands with one name, lookups find the first. It returns nil if a command would
// not be found within maxProbe places.
func newTable(commands []Command) *Table {
	size := 4
	for size < 2*len(commands) {
		size *= 2
	}
	t := &Table{commands: commands, index: make([]uint16, size)}
	// A command that is inserted earlier is found in fewer steps, and short names
	// are the most common.
	for _, short := range []bool{true, false} {
		for i := range commands {
			c := &commands[i]
			own := c.name[t.sub(c.parent):]
			if (c.parent == 0 && len(own) <= 4) != short || t.lookup(own, c.parent) != 0 {
				continue
			}
			first, last := ends(own)
			home := hash(first, last, len(own), c.parent)
			at := home
			for ; t.index[at&uint(size-1)] != 0; at++ {
				if at-home == maxProbe {
					return nil
				}
			}
			t.index[at&uint(size-1)] = uint16(i + 1)
		}
	}
	return t
}
