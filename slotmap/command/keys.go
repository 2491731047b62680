package command

// A Key is an argument that is a key.
type Key struct {
	Index int // of the argument; the name of the command is 0
	Use   Use
}

// Keys appends the keys of a command to dst, with the built-in table. See
// [Table.Keys].
func Keys[A Arg](dst []Key, args []A) ([]Key, error) {
	return builtin.Keys(dst, ArgsOf(args))
}

// Keys appends the keys of a command to dst, in the order of the servers' COMMAND
// GETKEYSANDFLAGS. It follows the servers in everything: it uses the key
// specifications and, in the same cases as the servers, their code for SORT, SORT_RO,
// MIGRATE, GEORADIUS, XREAD and the commands with a number of keys. Channels of sharded
// pub/sub, which have a slot but are not keys, are appended too, with UseNotKey.
//
// A command without keys appends nothing. The same holds for EVAL, FCALL and other
// commands with FlagNoMandatoryKeys if their number of keys is 0, or one that the
// server will refuse.
//
// The error is an [*Error]. Its kind is ErrUnknown if the table does not have the
// command; ErrArity if the command has keys and takes another number of arguments; and
// ErrSyntax if the arguments do not show where the keys are, because a number of keys
// is not a number or too large, or a keyword is missing. dst is then returned
// unchanged.
//
// Keys takes time linear in the number of arguments. It allocates only for an error,
// or if dst has not enough room.
func (t *Table) Keys(dst []Key, args Args) ([]Key, error) {
	c, err := t.orBuiltin().find(args)
	if err != nil {
		return dst, err
	}
	rules := c.rules
	if len(rules.specs) == 0 {
		return dst, nil
	}
	if !c.fits(args.n) {
		return dst, c.arityError(args.n)
	}
	if c.only != 0 {
		use := rules.specs[0].use
		if rules.own != ownNone {
			use = c.useOf(args)
		}
		return append(dst, Key{int(c.only), use}), nil
	}
	var room [4]run
	runs, err := c.runs(room[:0], args)
	if err != nil {
		return dst, err
	}
	for _, r := range runs {
		for i := r.first; i <= r.last; i += r.step {
			dst = append(dst, Key{i, r.use})
		}
	}
	return dst, nil
}

// A run is keys at equal distances: those of one specification. last is a key.
type run struct {
	first, last, step int
	use               Use
}

// one returns the run of a single key.
func one(at int, use Use) run { return run{at, at, 1, use} }

// add appends r to dst. It is not inlined, to keep its callers small.
//
//go:noinline
func add(dst []run, r run) []run { return append(dst, r) }

// runs appends the keys to dst. The number of arguments fits.
//
// It repeats getKeysFromCommandWithSpecs() of Valkey's src/db.c: the specifications
// come first, unless the use of a key depends on other arguments. If one of them fails,
// the server's own code finds all keys.
func (c *Command) runs(dst []run, args Args) ([]run, *Error) {
	rules := c.rules
	why, at := noKeyword, args.n
	failed := rules.own == ownStore
	for i := 0; i < len(rules.specs) && !failed; i++ {
		s := &rules.specs[i]
		r, fault, place := s.search(args)
		switch {
		case fault == noKeyword:
		case fault == found && (s.use&UseIncomplete == 0 || rules.own == ownNone):
			dst = add(dst, r)
		default:
			failed, why, at = true, fault, place
		}
	}
	if failed {
		dst = c.byOwnCode(dst[:0], args)
		for _, r := range dst {
			if r.last >= args.n { // of a server that takes fewer arguments than its code looks at
				return nil, c.syntaxError(tooFew, args.n)
			}
		}
	}
	if len(dst) == 0 && !c.mayHaveNone() {
		return nil, c.syntaxError(why, at)
	}
	return dst, nil
}

// mayHaveNone reports whether the command may have no key. Channels may be left out.
func (c *Command) mayHaveNone() bool { return c.flags&FlagNoMandatoryKeys != 0 || !c.rules.haveKeys() }

// search finds the keys of one specification. It repeats getKeysUsingKeySpecs() of
// Valkey's src/db.c. If it fails for another reason than noKeyword, at is the argument
// that is wrong.
func (s *spec) search(args Args) (_ run, why fault, at int) {
	first := int(s.at)
	switch s.begin {
	case beginKeyword:
		if first = s.after(args); first == 0 {
			return run{}, noKeyword, 0
		}
	case beginUnknown:
		return run{}, unspecified, args.n
	}
	step := int(s.step)
	var last int
	switch s.find {
	case findRange:
		switch {
		case s.last >= 0:
			last = first + int(s.last)
		case s.limit <= 1:
			last = args.n + int(s.last)
		default:
			last = first + (args.n-first)/int(s.limit) + int(s.last)
		}
	case findNumber:
		at = first + int(s.last)
		if at >= args.n {
			return run{}, tooFew, args.n
		}
		n, ok := number(args.at(at))
		switch {
		case !ok:
			return run{}, noNumber, at
		case n == 0:
			return run{}, zeroKeys, at
		case n > int64(args.n):
			return run{}, tooFew, at
		}
		first += int(s.limit)
		last = first + (int(n)-1)*step
	default:
		return run{}, unspecified, args.n
	}
	if last >= args.n || last < first {
		if s.find == findRange {
			at = args.n
		}
		return run{}, tooFew, at
	}
	if step > 1 { // from the end of the range to the last key
		last -= (last - first) % step
	}
	return run{first, last, step, s.use}, found, 0
}

// after returns the argument after the keyword, or 0. It does not look at the last
// argument or, in a search backwards, at the first.
func (s *spec) after(args Args) int {
	if s.at > 0 {
		for i := int(s.at); i < args.n-1; i++ {
			if is(args.at(i), s.keyword) {
				return i + 1
			}
		}
		return 0
	}
	for i := args.n + int(s.at); i > 1; i-- {
		if is(args.at(i), s.keyword) {
			return i + 1
		}
	}
	return 0
}

// An own names the servers' own code for the keys of a command.
type own uint8

const (
	ownNone     own = iota
	ownSet          // SET of Valkey
	ownSetIf        // SET of Redis since 8.4, where a condition reads the value
	ownBitfield     // BITFIELD
	ownDelex        // DELEX of Redis
	ownNumber       // keys that follow their number, read loosely
	ownStore        // GEORADIUS and GEORADIUSBYMEMBER of Valkey; for those of Redis, specifications are enough
	ownSort
	ownMigrate
)

// useOf returns the use of the key of a command with one key, if it depends on other
// arguments.
func (c *Command) useOf(args Args) Use {
	own := c.rules.own
	switch own {
	case ownSet, ownSetIf: // setGetKeys()
		use := UseOW | UseUpdate
		for i := 3; i < args.n; i++ {
			s := args.at(i)
			if is(s, "get") {
				return UseRW | UseAccess | UseUpdate
			}
			if own == ownSetIf && condition(s) {
				use = UseRW | UseUpdate
			}
		}
		return use
	case ownBitfield: // bitfieldGetKeys()
		for i := 2; i < args.n; i++ {
			switch left, s := args.n-i-1, args.at(i); {
			case is(s, "get") && left >= 2:
				i += 2
			case is(s, "overflow") && left >= 1:
				i++
			default: // it writes, or the server will refuse it
				return UseRW | UseAccess | UseUpdate
			}
		}
		return UseRO | UseAccess
	case ownDelex: // delexGetKeys()
		for i := 2; i < args.n; i++ {
			if condition(args.at(i)) {
				return UseRW | UseDelete
			}
		}
		return UseRM | UseDelete
	}
	return c.rules.specs[0].use
}

// condition reports whether s names a condition of SET and DELEX of Redis. The
// server looks for one anywhere among the options.
func condition(s string) bool {
	return is(s, "ifeq") || is(s, "ifne") || is(s, "ifdeq") || is(s, "ifdne")
}

// byOwnCode finds the keys by the servers' own code, and none if there is no such code.
func (c *Command) byOwnCode(dst []run, args Args) []run {
	store := 0 // the argument that is the key for the result
	switch c.rules.own {
	case ownNumber: // genericGetKeys()
		return c.loosely(dst, args)
	case ownStore: // georadiusGetKeys()
		dst = add(dst, one(1, UseRO|UseAccess))
		for i := 5; i+1 < args.n; i++ {
			if s := args.at(i); is(s, "store") || is(s, "storedist") {
				i++
				store = i // the last one counts
			}
		}
	case ownSort: // sortGetKeys()
		dst = add(dst, one(1, UseRO|UseAccess))
		for i := 2; i < args.n; i++ {
			switch s := args.at(i); {
			case is(s, "limit"):
				i += 2
			case is(s, "get"), is(s, "by"):
				i++
			case is(s, "store") && i+1 < args.n:
				store = i + 1 // the last one counts; it may be an option again
			}
		}
		if len(c.rules.specs) <= 2 { // SORT_RO
			store = 0
		}
	case ownMigrate:
		return migrated(dst, args)
	}
	if store > 0 {
		dst = add(dst, one(store, UseOW|UseUpdate))
	}
	return dst
}

// migrated repeats migrateGetKeys() of the servers.
func migrated(dst []run, args Args) []run {
	r := one(3, UseRW|UseAccess|UseDelete)
	for i := 6; i < args.n; i++ {
		switch s := args.at(i); {
		case is(s, "keys"):
			if args.at(3) != "" { // the server will refuse it
				return nil
			}
			r.first, r.last = i+1, args.n-1
			i = args.n
		case is(s, "auth"):
			i++
		case is(s, "auth2"):
			i += 2
		}
	}
	if r.first <= r.last {
		dst = add(dst, r)
	}
	return dst
}

// loosely finds keys that follow their number. A single key for the result comes last.
func (c *Command) loosely(dst []run, args Args) []run {
	var r run
	specs := c.rules.specs
	for i := range specs {
		s := &specs[i]
		if s.find != findNumber || s.begin != beginIndex {
			continue
		}
		at, first, step := int(s.at)+int(s.last), int(s.at)+int(s.limit), int(s.step)
		if at >= args.n {
			return nil
		}
		n := looseNumber(args.at(at))
		if n < 1 || n > (args.n-first)/step {
			return nil
		}
		r = run{first, first + (n-1)*step, step, 0}
		dst = add(dst, r)
	}
	for i := range specs {
		if s := &specs[i]; s.find == findRange && s.begin == beginIndex {
			dst = add(dst, one(int(s.at), 0))
		}
	}
	return dst
}
