package sim

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// A cluster on paper, in which servers hear of each other by gossip, change their
// addresses, roles, shards and ids, and go down. A client with
// a Router and a Refresher gets old replies all the time. Once the cluster is quiet, its
// map must be right, and it must be quiet too.

var chaosSlots = [...]hashslot.Slot{0, 1, 2, 100, 5000, 9000, 16382, 16383}

// A paperNode is a server, or what another server knows of it.
type paperNode struct {
	id, addr, primary string // primary is "" for a primary
	epoch             int
	pong              int64
}

type paperServer struct {
	paperNode
	up     bool
	knows  map[string]*paperNode // by id, itself left out
	owners [len(chaosSlots)]string
}

type paperCluster struct {
	rng     *rand.Rand
	servers []*paperServer
	named   int // how many ids there were
	placed  int // how many addresses
	now     int64
}

func (p *paperCluster) pick(n int) int { return p.rng.IntN(n) }

func (p *paperCluster) newID() string {
	p.named++
	return fmt.Sprintf("%c%02d", 'a'+p.pick(26), p.named)
}

func (p *paperCluster) newAddr() string {
	p.placed++
	return fmt.Sprintf("10.0.0.%d:6379", p.placed)
}

func hostPort(addr string) (string, int) {
	host, text, _ := net.SplitHostPort(addr)
	port, _ := strconv.Atoi(text)
	return host, port
}

func newPaper(rng *rand.Rand) *paperCluster {
	p := &paperCluster{rng: rng, now: 1e6}
	for i := range 7 {
		s := &paperServer{paperNode: paperNode{id: p.newID(), addr: p.newAddr(), epoch: i + 1}, up: true, knows: map[string]*paperNode{}}
		p.servers = append(p.servers, s)
	}
	for i, s := range p.servers[3:] {
		s.primary = p.servers[i%3].id
	}
	for i := range chaosSlots {
		o := p.servers[i*3/len(chaosSlots)]
		o.owners[i] = o.id
	}
	p.settle()
	return p
}

func (p *paperCluster) maxEpoch() (e int) {
	for _, s := range p.servers {
		e = max(e, s.epoch)
	}
	return e
}

func (s *paperServer) count() (n int) {
	for _, o := range s.owners {
		if o == s.id {
			n++
		}
	}
	return n
}

// hear makes s learn what m says of itself.
func (p *paperCluster) hear(s, m *paperServer) {
	if !s.up || !m.up || s == m {
		return
	}
	line := m.paperNode
	line.pong = p.now
	s.knows[m.id] = &line
	had := s.count()
	for i := range s.owners {
		if s.owners[i] == m.id && m.primary != "" {
			s.owners[i] = ""
		}
		if m.owners[i] != m.id {
			continue
		}
		e := -1
		if o := s.owners[i]; o == s.id {
			e = s.epoch
		} else if o != "" && s.knows[o] != nil {
			e = s.knows[o].epoch
		}
		if e < m.epoch {
			s.owners[i] = m.id
		}
	}
	if m.primary == "" && s.primary == "" && m.epoch == s.epoch && m.id < s.id {
		s.epoch = p.maxEpoch() + 1
	}
	if had > 0 && s.count() == 0 && s.primary == "" {
		s.primary = m.id // an emptied primary follows the one that took its last slot
	}
	if s.primary == m.id && m.primary != "" {
		s.primary = m.primary
		if s.primary == s.id {
			s.primary = ""
		}
	}
}

// settle lets all servers hear of all others.
func (p *paperCluster) settle() {
	for range 4 {
		for _, s := range p.servers {
			s.up = true
			for _, m := range p.servers {
				p.hear(s, m)
			}
		}
	}
	for _, s := range p.servers { // forget those that are gone
		for id := range s.knows {
			if p.byID(id) == nil {
				delete(s.knows, id)
			}
		}
	}
}

func (p *paperCluster) byID(id string) *paperServer {
	for _, s := range p.servers {
		if s.id == id {
			return s
		}
	}
	return nil
}

func (p *paperCluster) byAddr(addr string) *paperServer {
	for _, s := range p.servers {
		if s.addr == addr && s.up {
			return s
		}
	}
	return nil
}

// shake changes something.
func (p *paperCluster) shake() string {
	s, m := p.servers[p.pick(len(p.servers))], p.servers[p.pick(len(p.servers))]
	switch k := p.pick(12); k {
	case 0: // failover
		old := p.byID(s.primary)
		if old == nil || !s.up || old.count() == 0 {
			return ""
		}
		s.epoch, s.primary = p.maxEpoch()+1, ""
		for i, o := range old.owners {
			if o == old.id {
				s.owners[i] = s.id
			}
		}
		return fmt.Sprint(s.id, " takes over from ", old.id)
	case 1, 2: // a slot moves
		i := p.pick(len(chaosSlots))
		if s.owners[i] != s.id || m.primary != "" || s == m || !s.up || !m.up || s.count() == 1 {
			return ""
		}
		m.epoch = p.maxEpoch() + p.pick(2)
		if m.epoch == p.maxEpoch() { // already the greatest, of several
			m.epoch++
		}
		s.owners[i], m.owners[i] = m.id, m.id
		p.hear(s, m)
		return fmt.Sprint("slot ", chaosSlots[i], " moves from ", s.id, " to ", m.id)
	case 3: // another address
		if s == p.servers[0] {
			return "" // the seed
		}
		s.addr = p.newAddr()
		return fmt.Sprint(s.id, " is at ", s.addr)
	case 4: // two change places
		if s != m && s != p.servers[0] && m != p.servers[0] {
			s.addr, m.addr = m.addr, s.addr
		}
		return fmt.Sprint(s.id, " and ", m.id, " change places")
	case 5: // another id at the same address
		if s.count() > 0 || p.follows(s) {
			return ""
		}
		s.id, s.primary, s.knows = p.newID(), m.id, map[string]*paperNode{}
		if m.primary != "" || s == m {
			s.primary = ""
		}
		s.epoch, s.owners = 0, [len(chaosSlots)]string{}
		for _, o := range p.servers {
			p.hear(s, o)
		}
		return fmt.Sprint("reset: ", s.id, " at ", s.addr)
	case 6: // a replica changes its shard
		if s.primary == "" || m.primary != "" {
			return ""
		}
		s.primary = m.id
		return fmt.Sprint(s.id, " follows ", m.id)
	case 7:
		s.up = !s.up
		return fmt.Sprint(s.id, " up: ", s.up)
	default:
		for range 6 {
			p.hear(p.servers[p.pick(len(p.servers))], p.servers[p.pick(len(p.servers))])
		}
		return "gossip"
	}
}

func (p *paperCluster) follows(s *paperServer) bool {
	return slices.ContainsFunc(p.servers, func(m *paperServer) bool { return m.primary == s.id })
}

// view returns the reply of s.
func (p *paperCluster) view(t testing.TB, s *paperServer, kind byte, known bool) *topology.Cluster {
	all := []*paperNode{&s.paperNode}
	for _, n := range s.knows {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *paperNode) int { return strings.Compare(a.id, b.id) })
	p.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	from := topology.Origin{}
	if known {
		from.Addr = s.addr
	}
	down := func(n *paperNode) bool {
		o := p.byID(n.id)
		return o == nil || !o.up || o.addr != n.addr
	}
	primary := func(n *paperNode) string {
		if n.primary != "" && (n.primary == s.id || s.knows[n.primary] != nil) {
			return n.primary
		}
		return ""
	}
	slotsOf := func(id string) (list []hashslot.Slot) {
		for i, o := range s.owners {
			if o == id {
				list = append(list, chaosSlots[i])
			}
		}
		return list
	}
	var c *topology.Cluster
	var err error
	switch kind {
	case 'N':
		var b strings.Builder
		for _, n := range all {
			flags, follows, link := "master", "-", "connected"
			if n.primary != "" {
				flags, follows = "slave", n.primary
			}
			if n.id == s.id {
				flags = "myself," + flags
			} else if down(n) {
				flags, link = flags+",fail?", "disconnected"
			}
			fmt.Fprintf(&b, "%s %s@1 %s %s 0 %d %d %s", n.id, n.addr, flags, follows, n.pong, n.epoch, link)
			for _, slot := range slotsOf(n.id) {
				fmt.Fprintf(&b, " %d", slot)
			}
			b.WriteByte('\n')
		}
		c, err = topology.ParseNodes(b.String(), from)
	default:
		entry := func(n *paperNode) []any {
			host, port := hostPort(n.addr)
			return []any{host, int64(port), n.id}
		}
		shard := func(n *paperNode, role, health string) any {
			host, port := hostPort(n.addr)
			return map[string]any{"id": n.id, "endpoint": host, "port": int64(port), "role": role, "health": health}
		}
		reply := []any{}
		for _, n := range all {
			slots := slotsOf(n.id)
			if n.primary != "" || kind == 'S' && len(slots) == 0 {
				continue
			}
			nodes, entries := []any{}, []any{entry(n)}
			health := func(n *paperNode) string {
				if n.id != s.id && down(n) {
					return "fail"
				}
				return "online"
			}
			nodes = append(nodes, shard(n, "master", health(n)))
			for _, m := range all {
				if primary(m) == n.id && m != n {
					nodes = append(nodes, shard(m, "replica", health(m)))
					if health(m) == "online" {
						entries = append(entries, entry(m))
					}
				}
			}
			ranges := []any{}
			for _, slot := range slots {
				ranges = append(ranges, int64(slot), int64(slot))
				if kind == 'S' {
					reply = append(reply, append([]any{int64(slot), int64(slot)}, entries...))
				}
			}
			if kind == 'H' {
				reply = append(reply, map[string]any{"slots": ranges, "nodes": nodes})
			}
		}
		if kind == 'S' {
			c, err = topology.ParseSlots(reply, from)
		} else {
			c, err = topology.ParseShards(reply, from)
		}
	}
	require.NoError(t, err)
	return c
}

// A paperClient is a client of a paperCluster.
type paperClient struct {
	t         testing.TB
	p         *paperCluster
	r         topology.Router
	refresher topology.Refresher
	kinds     string
	known     bool
	now       time.Time
	open      []topology.Refresh // that are answered later
	views     int
	nodes     map[string]*topology.Node       // by the changes, by name
	owners    [hashslot.Count]*topology.Shard // by the changes
	gen       topology.Generation
	trace     func(string, ...any)
}

// command sends a command for the slot.
func (c *paperClient) command(i int) {
	slot := chaosSlots[i]
	shard, seen := c.r.For(slot)
	if shard == nil {
		c.refresher.Want(c.now)
		return
	}
	node := shard.Primary
	if c.p.pick(3) == 0 {
		node = c.r.Pick(shard, topology.ReadAny)
	}
	for range 4 {
		s := c.p.byAddr(node.Addr())
		if s == nil || node.Addr() == "" {
			c.trace("%v failed", node)
			c.refresher.Note(c.r.Failed(node), c.now)
			return
		}
		c.r.Succeeded(node)
		if s.owners[i] == s.id || node != shard.Primary && s.primary == s.owners[i] && s.primary != "" {
			return
		}
		rd := topology.Redirect{Slot: slot}
		if o := s.owners[i]; o == "" {
			c.refresher.Want(c.now)
			return
		} else if n := s.knows[o]; n != nil {
			rd.Host, rd.Port = hostPort(n.addr)
		}
		res := c.r.Moved(rd, node, seen)
		c.trace("%v says %v: %v", s.paperNode, rd, res.Outcome)
		c.refresher.Note(res, c.now)
		if res.Node == nil {
			return
		}
		node, seen = res.Node, res.Seen
	}
}

// tick lets time pass.
func (c *paperClient) tick(d time.Duration) {
	c.now = c.now.Add(d)
	c.p.now += d.Milliseconds()
	if what := c.refresher.Next(&c.r, c.now); len(what.Addrs) > 0 {
		c.open = append(c.open, what)
	}
}

// answer answers the oldest refresh.
func (c *paperClient) answer() {
	if len(c.open) == 0 {
		return
	}
	what := c.open[0]
	c.open = c.open[1:]
	var views []*topology.Cluster
	for _, addr := range what.Addrs {
		c.views++
		var v *topology.Cluster
		if s := c.p.byAddr(addr); s != nil {
			kind := c.kinds[c.p.pick(len(c.kinds))]
			v = c.p.view(c.t, s, kind, c.known)
			c.trace("view %c of %v: %v", kind, s.id, v.Table())
		}
		views = append(views, v)
	}
	res := c.refresher.Apply(&c.r, what, views, c.now)
	c.trace("applied: %v %v\n%v", res.Outcome, res.Refresh, c.text())
}

// name returns what a node is known by.
func name(n *topology.Node) string { return cmp.Or(n.ID, n.Addr()) }

// hearOf is OnChange.
func (c *paperClient) hearOf(ch *topology.Change) {
	require.Equal(c.t, c.gen+1, ch.Generation)
	c.gen = ch.Generation
	for _, n := range ch.Removed {
		require.NotNil(c.t, c.nodes[name(n)], "removed, but not there")
		delete(c.nodes, name(n))
	}
	for _, u := range ch.Updated {
		require.NotNil(c.t, c.nodes[name(u.Before)], "updated, but not there")
		delete(c.nodes, name(u.Before))
	}
	for _, u := range ch.Updated {
		c.nodes[name(u.After)] = u.After
	}
	for _, n := range ch.Added {
		require.Nil(c.t, c.nodes[name(n)], "added, but there")
		c.nodes[name(n)] = n
	}
	table, _ := c.r.Table()
	for slot := range hashslot.Slot(hashslot.Count) {
		after, _ := table.Lookup(slot)
		before := c.owners[slot]
		c.owners[slot] = after
		if before == after {
			continue
		}
		other := before == nil || after == nil
		if !other {
			b, a := before.Primary, after.Primary
			other = name(b) != name(a) && (b.Addr() != a.Addr() || b.ID != "" && a.ID != "")
		}
		require.Equal(c.t, other, ch.Slots.Contains(slot), "slot %d: from %v to %v", slot, before, after)
	}
}

// check checks that the changes have told of all nodes as the map has them.
func (c *paperClient) check() {
	c.t.Helper()
	require.Equal(c.t, c.r.Generation(), c.gen)
	have := map[string]string{}
	describe := func(n *topology.Node) string { return fmt.Sprint(n, n.Role, n.PrimaryID, n.Flags&^topology.FlagMyself) }
	for n := range c.r.Nodes() {
		require.Empty(c.t, have[name(n)], "a node twice")
		have[name(n)] = describe(n)
	}
	told := map[string]string{}
	for x, n := range c.nodes {
		told[x] = describe(n)
	}
	require.True(c.t, maps.Equal(have, told), "%v is not %v", told, have)
}

// text returns the map as text.
func (c *paperClient) text() string {
	table, _ := c.r.Table()
	var b strings.Builder
	for n := range c.r.Nodes() {
		fmt.Fprintln(&b, n, n.Flags, n.PrimaryID)
	}
	return table.String() + b.String()
}

// right returns what is wrong with the map, or "".
func (c *paperClient) right() string {
	for i, slot := range chaosSlots {
		var owner *paperServer
		for _, s := range c.p.servers {
			if s.owners[i] == s.id {
				owner = s
			}
		}
		shard, _ := c.r.For(slot)
		if owner == nil {
			continue
		}
		if shard == nil || shard.Primary.ID != owner.id || shard.Primary.Addr() != owner.addr {
			return fmt.Sprintf("slot %d is at %v, not at %v", slot, shard, owner.paperNode)
		}
		var want, got []string
		for _, s := range c.p.servers {
			if s.primary == owner.id {
				want = append(want, s.id+" "+s.addr)
			}
		}
		for _, n := range shard.Replicas {
			got = append(got, n.String())
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			return fmt.Sprintf("the replicas of %v are %v, not %v", shard, got, want)
		}
	}
	return ""
}

var (
	chaosRuns  = flag.Uint64("chaos", 12, "how many seeds TestChaos tries; a quarter of them with -short")
	chaosFirst = flag.Uint64("chaosfirst", 0, "the first of them")
	chaosTrace = flag.Bool("chaostrace", false, "print what happens")
)

// The map becomes right, whatever happened before, and whether or not the client sends
// commands for all slots and knows which nodes its views are from. Then it asks for no
// more views than its Period makes it. OnChange tells of every change on the way.
func TestChaos(t *testing.T) {
	seeds := *chaosRuns
	if testing.Short() {
		seeds /= 4
	}
	runs, agreed := 0, 0
	for seed := *chaosFirst; seed < *chaosFirst+seeds; seed++ {
		for _, kinds := range []string{"N", "S", "H", "NSH"} {
			for _, known := range []bool{true, false} {
				for _, quiet := range []bool{true, false} {
					runs++
					if runChaos(t, seed, kinds, known, quiet) {
						agreed++
					}
				}
			}
		}
	}
	require.Greater(t, 10*agreed, 9*runs, "in most runs the servers agree in the end")
}

// runChaos reports whether the servers agree in the end. kinds are the commands that the
// client uses; known says that it knows the sources; quiet, that it sends no commands any
// more.
func runChaos(t testing.TB, seed uint64, kinds string, known, quiet bool) bool {
	rng := rand.New(rand.NewPCG(seed, 5))
	p := newPaper(rng)
	c := &paperClient{t: t, p: p, kinds: kinds, known: known, now: time.Unix(1e6, 0)}
	c.trace = func(f string, args ...any) {
		if *chaosTrace {
			fmt.Printf(f+"\n", args...)
		}
	}
	c.refresher.Seed = seed + 1
	c.refresher.Seeds = []string{p.servers[0].addr, p.servers[1].addr}
	c.nodes = map[string]*topology.Node{}
	c.r.OnChange = c.hearOf
	steps := 60 + p.pick(100)
	for range steps {
		switch p.pick(4) {
		case 0:
			c.trace("%s", p.shake())
		case 1:
			c.command(p.pick(len(chaosSlots)))
		case 2:
			c.tick(time.Duration(p.pick(3000)) * time.Millisecond)
		case 3:
			c.answer()
		}
		c.check()
	}
	p.settle()
	for _, s := range p.servers[1:] {
		if s.owners != p.servers[0].owners {
			return false // the servers themselves do not agree
		}
	}
	c.trace("quiet")
	for len(c.open) > 0 {
		c.answer()
	}
	// An hour.
	var views [4]int
	for i := range 3600 {
		c.tick(time.Second)
		c.answer()
		if !quiet {
			c.command(p.pick(len(chaosSlots)))
		}
		if i%900 == 899 {
			views[i/900] = c.views
		}
	}
	c.check()
	if wrong := c.right(); wrong != "" {
		t.Errorf("seed %d, %s, known %v, quiet %v: %s\n%v", seed, kinds, known, quiet, wrong, c.text())
	}
	if n := views[3] - views[2]; n > 15 {
		t.Errorf("seed %d, %s, known %v, quiet %v: %d views in the last quarter of an hour", seed, kinds, known, quiet, n)
	}
	return true
}
