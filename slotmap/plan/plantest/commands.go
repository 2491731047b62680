package plantest

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// An Error is an error reply of a server, without its '-'.
type Error string

func (e Error) Error() string { return string(e) }

// ErrGone is the error of a node that was killed or does not exist.
var ErrGone = errors.New("plantest: no running node has this address")

// A Conn is a client's connection to a node. It must not be used by several goroutines
// at once.
type Conn struct {
	c                *Cluster
	id               string
	asking, readonly bool
}

// Dial connects to the node with the address. The error is [ErrGone].
func (c *Cluster) Dial(addr string) (*Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.at(addr)
	if n == nil {
		return nil, ErrGone
	}
	return &Conn{c: c, id: n.id}, nil
}

// Do sends a command and returns the reply: a string, an int64, nil, or a []any of
// these. The error is an [Error] of the server, or [ErrGone].
func (conn *Conn) Do(command ...string) (any, error) {
	c := conn.c
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.byID[conn.id]
	if n == nil || n.down {
		return nil, ErrGone
	}
	if len(command) == 0 {
		return nil, Error("ERR unknown command ''")
	}
	asking := conn.asking
	conn.asking = false
	name, args := strings.ToLower(command[0]), command[1:]
	switch name {
	case "ping":
		return "PONG", nil
	case "asking":
		conn.asking = true
		return "OK", nil
	case "readonly", "readwrite":
		conn.readonly = name == "readonly"
		return "OK", nil
	case "cluster":
		if len(args) == 0 {
			return nil, Error("ERR wrong number of arguments for 'cluster' command")
		}
		return c.cluster(n, strings.ToUpper(args[0]), args[1:])
	case "dbsize":
		size := 0
		for _, keys := range *n.keys {
			size += len(keys)
		}
		return int64(size), nil
	case "info":
		if n.primary == nil {
			return "# Replication\r\nrole:master\r\n", nil
		}
		return "# Replication\r\nrole:slave\r\nmaster_link_status:up\r\n", nil
	case "migrate":
		return c.migrate(n, args, asking)
	}
	spec, ok := commands[name]
	if !ok {
		return nil, Error(fmt.Sprintf("ERR unknown command '%s'", command[0]))
	}
	if len(args) == 0 || len(args)%spec.step != 0 || spec.one && len(args) != spec.step {
		return nil, Error(fmt.Sprintf("ERR wrong number of arguments for '%s' command", name))
	}
	var keys []string
	for i := 0; i < len(args); i += spec.step {
		keys = append(keys, args[i])
	}
	if err := c.redirect(n, keys, asking, conn.readonly && !spec.write); err != nil {
		return nil, err
	}
	return spec.do(n.keys, args)
}

// A commandSpec is a command on keys.
type commandSpec struct {
	step  int  // every step-th argument is a key, from the first on
	one   bool // there is one key
	write bool
	do    func(s *store, args []string) (any, error)
}

var commands = map[string]commandSpec{
	"get":  {step: 1, one: true, do: func(s *store, args []string) (any, error) { return value(s, args[0]), nil }},
	"set":  {step: 2, one: true, write: true, do: set},
	"mset": {step: 2, write: true, do: set},
	"mget": {step: 1, do: func(s *store, args []string) (any, error) {
		return each(args, func(k string) any { return value(s, k) }), nil
	}},
	"del":    {step: 1, write: true, do: func(s *store, args []string) (any, error) { return number(args, s.delete), nil }},
	"exists": {step: 1, do: func(s *store, args []string) (any, error) { return number(args, s.has), nil }},
	"incr":   {step: 1, one: true, write: true, do: incr},
}

func value(s *store, key string) any {
	if v, ok := s.get(key); ok {
		return v
	}
	return nil
}

func (s *store) has(key string) bool {
	_, ok := s.get(key)
	return ok
}

func each(args []string, f func(string) any) []any {
	list := make([]any, len(args))
	for i, a := range args {
		list[i] = f(a)
	}
	return list
}

func number(args []string, is func(string) bool) (n int64) {
	for _, a := range args {
		if is(a) {
			n++
		}
	}
	return n
}

func set(s *store, args []string) (any, error) {
	for i := 0; i < len(args); i += 2 {
		s.put(args[i], args[i+1])
	}
	return "OK", nil
}

func incr(s *store, args []string) (any, error) {
	v, _ := s.get(args[0])
	n, err := strconv.ParseInt(cmp.Or(v, "0"), 10, 64)
	if err != nil {
		return nil, Error("ERR value is not an integer or out of range")
	}
	if n == math.MaxInt64 {
		return nil, Error("ERR increment or decrement would overflow")
	}
	s.put(args[0], strconv.FormatInt(n+1, 10))
	return n + 1, nil
}

// redirect repeats getNodeByQuery. It returns nil if n executes the command itself. read
// says that a replica may.
func (c *Cluster) redirect(n *node, keys []string, asking, read bool) error {
	slot := hashslot.Of(keys[0])
	missing := 0
	for _, key := range keys {
		if hashslot.Of(key) != slot {
			return Error("CROSSSLOT Keys in request don't hash to the same slot")
		}
		if !n.keys.has(key) {
			missing++
		}
	}
	owner := n.owner[slot]
	to, migrating := n.migrating[slot]
	_, importing := n.importing[slot]
	switch {
	case owner == nil:
		return Error("CLUSTERDOWN Hash slot not served")
	case !c.ok(n):
		return Error("CLUSTERDOWN The cluster is down")
	case migrating && owner == n && missing > 0 && missing < len(keys):
		return Error("TRYAGAIN Multiple keys request during rehashing of slot")
	case migrating && owner == n && missing > 0:
		return Error(fmt.Sprintf("ASK %d %s", slot, to.addr))
	case importing && asking && missing > 0 && len(keys) > 1:
		return Error("TRYAGAIN Multiple keys request during rehashing of slot")
	case importing && asking, owner == n, n.primary == owner && read:
		return nil
	}
	return Error(fmt.Sprintf("MOVED %d %s", slot, owner.addr))
}

// ok returns the cluster's state in the view of a node: every slot has an owner that
// answers.
func (c *Cluster) ok(n *node) bool {
	if n.free > 0 {
		return false
	}
	for _, m := range c.nodes {
		if m.down && slices.Contains(n.owner[:], m) {
			return false
		}
	}
	return true
}

// migrate is MIGRATE host port key|"" 0 timeout [REPLACE] [AUTH p | AUTH2 u p] [KEYS key...].
func (c *Cluster) migrate(n *node, args []string, asking bool) (any, error) {
	if len(args) < 5 {
		return nil, Error("ERR wrong number of arguments for 'migrate' command")
	}
	keys, replace := []string{args[2]}, false
	for i := 5; i < len(args); i++ {
		switch strings.ToUpper(args[i]) {
		case "REPLACE":
			replace = true
		case "AUTH":
			i++
		case "AUTH2":
			i += 2
		case "KEYS":
			keys, i = args[i+1:], len(args)
		default:
			return nil, Error("ERR syntax error")
		}
	}
	if len(keys) == 0 {
		return nil, Error("ERR syntax error")
	}
	slot := hashslot.Of(keys[0])
	_, migrating := n.migrating[slot]
	_, importing := n.importing[slot]
	for _, key := range keys {
		if hashslot.Of(key) != slot {
			return nil, Error("CROSSSLOT Keys in request don't hash to the same slot")
		}
	}
	if !migrating && !importing { // a replica has no open slots
		if err := c.redirect(n, keys, asking, false); err != nil {
			return nil, err
		}
	}
	to := c.at(net.JoinHostPort(args[0], args[1]))
	if to == nil {
		return nil, Error("IOERR error or timeout connecting to the client")
	}
	keys = slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !n.keys.has(key) })
	if len(keys) == 0 {
		return "NOKEY", nil
	}
	if err := c.redirect(to, keys[:1], true, false); err != nil {
		return nil, Error("ERR Target instance replied with error: " + err.Error())
	}
	for _, key := range keys {
		if to.keys.has(key) && !replace {
			return nil, Error("ERR Target instance replied with error: BUSYKEY Target key name already exists.")
		}
		v, _ := n.keys.get(key)
		to.keys.put(key, v)
		n.keys.delete(key)
	}
	return "OK", nil
}

// cluster is CLUSTER name args.
func (c *Cluster) cluster(n *node, name string, args []string) (any, error) {
	if least, ok := leastArgs[name]; !ok {
		return nil, Error(fmt.Sprintf("ERR unknown subcommand '%s'. Try CLUSTER HELP.", name))
	} else if len(args) < least {
		return nil, Error(fmt.Sprintf("ERR wrong number of arguments for 'cluster|%s' command", strings.ToLower(name)))
	}
	switch name {
	case "MYID":
		return n.id, nil
	case "KEYSLOT":
		return int64(hashslot.Of(args[0])), nil
	case "NODES":
		return c.nodesText(n), nil
	case "SLOTS":
		return c.slots(n), nil
	case "INFO":
		state, epoch := "ok", n.epoch
		if n.primary != nil {
			epoch = n.epochOf(n.primary)
		}
		if !c.ok(n) {
			state = "fail"
		}
		return fmt.Sprintf("cluster_state:%s\r\ncluster_slots_assigned:%d\r\ncluster_my_epoch:%d\r\n", state, hashslot.Count-n.free, epoch), nil
	case "MEET":
		return "OK", nil
	case "GETSLOTMIGRATIONS":
		return []any{}, nil
	case "BUMPEPOCH":
		if c.bump(n) {
			return fmt.Sprintf("BUMPED %d", n.epoch), nil
		}
		return fmt.Sprintf("STILL %d", n.epoch), nil
	case "COUNTKEYSINSLOT", "GETKEYSINSLOT":
		slot, err := parseSlot(args[0])
		if err != nil {
			return nil, err
		}
		keys := (*n.keys)[slot]
		if name == "COUNTKEYSINSLOT" {
			return int64(len(keys)), nil
		}
		most, bad := strconv.Atoi(args[1])
		if bad != nil || most < 0 {
			return nil, Error("ERR Invalid slot or number of keys")
		}
		var list []string
		for key := range keys {
			list = append(list, key)
		}
		slices.Sort(list)
		return each(list[:min(most, len(list))], func(k string) any { return k }), nil
	case "SETSLOT":
		slot, err := parseSlot(args[0])
		if err != nil {
			return nil, err
		}
		return reply(c.setSlot(n, slot, strings.ToUpper(args[1]), args[2:]))
	case "ADDSLOTS", "DELSLOTS", "ADDSLOTSRANGE", "DELSLOTSRANGE":
		return reply(c.addSlots(n, strings.HasPrefix(name, "ADD"), strings.HasSuffix(name, "RANGE"), args))
	case "REPLICATE":
		return reply(c.replicate(n, c.byID[args[0]], args[0]))
	case "FAILOVER":
		return reply(c.failover(n, args))
	case "MIGRATESLOTS":
		return reply(c.migrateSlots(n, args))
	}
	return c.migration(n, args) // MIGRATION
}

// leastArgs has the least number of arguments of the subcommands of CLUSTER.
var leastArgs = map[string]int{"MYID": 0, "KEYSLOT": 1, "NODES": 0, "SLOTS": 0, "INFO": 0, "MEET": 2, "GETSLOTMIGRATIONS": 0, "BUMPEPOCH": 0,
	"COUNTKEYSINSLOT": 1, "GETKEYSINSLOT": 2, "SETSLOT": 2, "ADDSLOTS": 1, "DELSLOTS": 1, "ADDSLOTSRANGE": 2, "DELSLOTSRANGE": 2,
	"REPLICATE": 1, "FAILOVER": 0, "MIGRATESLOTS": 4, "MIGRATION": 1}

func reply(err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return "OK", nil
}

func parseSlot(s string) (slot hashslot.Slot, err error) {
	slot, bad := hashslot.ParseSlot(s)
	if bad != nil {
		err = Error("ERR Invalid or out of range slot")
	}
	return slot, err
}

// setSlot is CLUSTER SETSLOT.
func (c *Cluster) setSlot(n *node, slot hashslot.Slot, what string, args []string) error {
	if n.primary != nil {
		return Error("ERR Please use SETSLOT only with masters.")
	}
	if what == "STABLE" && len(args) == 0 {
		delete(n.migrating, slot)
		delete(n.importing, slot)
		return nil
	}
	if len(args) != 1 || what != "IMPORTING" && what != "MIGRATING" && what != "NODE" {
		return Error("ERR Invalid CLUSTER SETSLOT action or number of arguments")
	}
	other := c.byID[args[0]]
	switch {
	case what == "MIGRATING" && n.owner[slot] != n:
		return Error(fmt.Sprintf("ERR I'm not the owner of hash slot %d", slot))
	case what == "IMPORTING" && n.owner[slot] == n:
		return Error(fmt.Sprintf("ERR I'm already the owner of hash slot %d", slot))
	case other == nil && what == "NODE":
		return Error("ERR Unknown node " + args[0])
	case other == nil:
		return Error("ERR I don't know about node " + args[0])
	case other.primary != nil:
		return Error("ERR Target node is not a master")
	}
	c.news.Add(slot)
	switch what {
	case "MIGRATING":
		n.migrating[slot] = other
	case "IMPORTING":
		n.importing[slot] = other
	case "NODE":
		mine := n.owner[slot] == n
		if mine && other != n && len((*n.keys)[slot]) > 0 {
			return Error(fmt.Sprintf("ERR Can't assign hashslot %d to a different node while I still hold keys for this hash slot.", slot))
		}
		if other != n {
			delete(n.migrating, slot)
		} else if _, importing := n.importing[slot]; importing {
			// The target takes the slot with an epoch above all others.
			c.bump(n)
			delete(n.importing, slot)
		}
		c.change(n, slot, other)
		if mine && !n.hasSlots() {
			n.follow(other)
		}
	}
	return nil
}

// addSlots is CLUSTER ADDSLOTS, ADDSLOTSRANGE, DELSLOTS and DELSLOTSRANGE.
func (c *Cluster) addSlots(n *node, add, ranges bool, args []string) error {
	var slots slotmap.Set
	if ranges {
		var err error
		if slots, err = parseEnds(args); err != nil {
			return err
		}
	} else {
		for _, a := range args {
			slot, err := parseSlot(a)
			if err != nil {
				return err
			}
			if slots.Contains(slot) {
				return Error(fmt.Sprintf("ERR Slot %d specified multiple times", slot))
			}
			slots.Add(slot)
		}
	}
	for slot := range slots.Slots() {
		switch owner := n.owner[slot]; {
		case add && owner != nil:
			return Error(fmt.Sprintf("ERR Slot %d is already busy", slot))
		case !add && owner == nil:
			return Error(fmt.Sprintf("ERR Slot %d is already unassigned", slot))
		}
	}
	for slot := range slots.Slots() {
		if add {
			delete(n.importing, slot)
			c.change(n, slot, n)
		} else {
			delete(n.migrating, slot)
			c.change(n, slot, nil)
		}
	}
	return nil
}

func parseEnds(args []string) (slotmap.Set, error) {
	var set slotmap.Set
	if len(args) == 0 || len(args)%2 != 0 {
		return slotmap.Set{}, Error("ERR wrong number of arguments: a range has two ends")
	}
	for i := 0; i < len(args); i += 2 {
		first, err := parseSlot(args[i])
		if err != nil {
			return slotmap.Set{}, err
		}
		last, err := parseSlot(args[i+1])
		if err != nil {
			return slotmap.Set{}, err
		}
		if first > last {
			return slotmap.Set{}, Error(fmt.Sprintf("ERR start slot number %d is greater than end slot number %d", first, last))
		}
		r := slotmap.Range{First: first, Last: last}
		if twice := set.Intersect(slotmap.SetOf(r)); !twice.IsEmpty() {
			return slotmap.Set{}, Error("ERR Slot range " + r.String() + " overlaps with another")
		}
		set.AddRange(r)
	}
	return set, nil
}

// replicate is CLUSTER REPLICATE.
func (c *Cluster) replicate(n, primary *node, id string) error {
	switch {
	case primary == nil:
		return Error("ERR Unknown node " + id)
	case primary == n:
		return Error("ERR Can't replicate myself")
	case primary.primary != nil:
		return Error("ERR I can only replicate a master, not a replica.")
	case n.primary == nil && (n.hasSlots() || len(*n.keys) > 0):
		return Error("ERR To set a master the node must be empty and without assigned slots.")
	}
	n.follow(primary)
	return nil
}

// failover is CLUSTER FAILOVER. The primary and its replicas hear of it at once.
func (c *Cluster) failover(n *node, args []string) error {
	was := n.primary
	switch {
	case was == nil:
		return Error("ERR You should send CLUSTER FAILOVER to a replica")
	case was.down && len(args) == 0:
		return Error("ERR Master is down or failed, please use CLUSTER FAILOVER FORCE")
	}
	n.primary, n.keys = nil, n.keys.copy() // if the old primary comes back, it deletes its own
	for _, m := range c.nodes {            // it is elected, so its epoch is above that of all
		n.current = max(n.current, m.current)
	}
	n.current++
	n.epoch = n.current
	for slot, owner := range n.owner {
		if owner != was {
			continue
		}
		slot := hashslot.Slot(slot)
		c.change(n, slot, n)
		for _, m := range c.nodes {
			switch {
			case m.down:
			case m == was:
				c.lose(m, slot, n)
			case m.primary == was:
				c.change(m, slot, n)
			}
		}
	}
	if !was.down && was.hasSlots() {
		return nil // it has slots that the replica has not heard of
	}
	for _, m := range c.nodes {
		if m.primary == was || m == was && !was.down {
			m.follow(n)
		}
	}
	return nil
}

// migrateSlots is CLUSTER MIGRATESLOTS of Valkey 9.0.
func (c *Cluster) migrateSlots(n *node, args []string) error {
	type job struct {
		set slotmap.Set
		to  *node
	}
	var jobs []job
	var seen slotmap.Set
	for len(args) > 0 {
		if args[0] != "SLOTSRANGE" || !slices.Contains(args[:len(args)-1], "NODE") {
			return Error("ERR syntax error")
		}
		at := slices.Index(args, "NODE")
		set, err := parseEnds(args[1:at])
		if err != nil {
			return err
		}
		if twice := set.Intersect(seen); !twice.IsEmpty() {
			return Error("ERR Slot ranges in migrations overlap")
		}
		to := c.byID[args[at+1]]
		if err := c.canMigrate(set, n, to); err != nil {
			return err
		}
		seen, jobs, args = seen.Union(set), append(jobs, job{set, to}), args[at+2:]
	}
	for _, j := range jobs {
		c.transfer(j.set, n, j.to)
	}
	return nil
}

// migration is CLUSTER MIGRATION of Redis 8.4.
func (c *Cluster) migration(n *node, args []string) (any, error) {
	switch {
	case strings.EqualFold(args[0], "STATUS"):
		return []any{}, nil
	case !strings.EqualFold(args[0], "IMPORT"):
		return nil, Error("ERR unknown subcommand '" + args[0] + "'")
	}
	set, err := parseEnds(args[1:])
	if err != nil {
		return nil, err
	}
	var source *node
	for slot := range set.Slots() {
		if source == nil {
			source = n.owner[slot]
		}
	}
	if err := c.canMigrate(set, source, n); err != nil {
		return nil, err
	}
	c.transfer(set, source, n)
	return fmt.Sprintf("%040x", n.epoch), nil
}

func (c *Cluster) canMigrate(set slotmap.Set, from, to *node) error {
	switch {
	case to == nil || to.primary != nil:
		return Error("ERR Unknown node name")
	case from == to:
		return Error("ERR Target node can not be this node")
	}
	for slot := range set.Slots() {
		switch {
		case from == nil || from.owner[slot] == nil:
			return Error(fmt.Sprintf("ERR Slot %d has no node served", slot))
		case from.owner[slot] != from:
			return Error("ERR Slots are not served by this node")
		case from.migrating[slot] != nil || to.importing[slot] != nil:
			return Error("ERR Slots are being manually migrated")
		}
	}
	return nil
}

// transfer is an atomic migration: both ends know the new owner at once.
func (c *Cluster) transfer(set slotmap.Set, from, to *node) {
	c.bump(to)
	for slot := range set.Slots() {
		if keys := (*from.keys)[slot]; keys != nil {
			(*to.keys)[slot] = keys
			delete(*from.keys, slot)
		}
		c.change(to, slot, to)
		c.change(from, slot, to)
	}
	if !from.hasSlots() {
		from.follow(to)
	}
}

// nodesText is CLUSTER NODES.
func (c *Cluster) nodesText(n *node) string {
	slots := map[*node][]byte{}
	for r, o := range runs(n.ownerOf) {
		slots[o] = append(append(slots[o], ' '), r.String()...)
	}
	var b strings.Builder
	for _, m := range c.nodes {
		flags, primary, epoch := "master", "-", n.epochOf(m)
		if m.primary != nil {
			flags, primary, epoch = "slave", m.primary.id, n.epochOf(m.primary)
		}
		if m == n {
			flags = "myself," + flags
		}
		if m.down {
			flags += ",fail"
		}
		fmt.Fprintf(&b, "%s %s@1 %s %s 0 0 %d connected%s", m.id, cmp.Or(m.addr, ":0"), flags, primary, epoch, slots[m])
		if m == n {
			for _, slot := range sortedSlots(n.migrating) {
				fmt.Fprintf(&b, " [%d->-%s]", slot, n.migrating[slot].id)
			}
			for _, slot := range sortedSlots(n.importing) {
				fmt.Fprintf(&b, " [%d-<-%s]", slot, n.importing[slot].id)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func sortedSlots(m map[hashslot.Slot]*node) []hashslot.Slot {
	var list []hashslot.Slot
	for slot := range m {
		list = append(list, slot)
	}
	slices.Sort(list)
	return list
}

// slots is CLUSTER SLOTS.
func (c *Cluster) slots(n *node) []any {
	entry := func(m *node) []any {
		host, port, _ := net.SplitHostPort(m.addr)
		number, _ := strconv.Atoi(port)
		return []any{host, int64(number), m.id, []any{}}
	}
	list := []any{}
	for r, o := range runs(n.ownerOf) {
		e := []any{int64(r.First), int64(r.Last), entry(o)}
		for _, m := range c.nodes {
			if m.primary == o && !m.down {
				e = append(e, entry(m))
			}
		}
		list = append(list, e)
	}
	return list
}
