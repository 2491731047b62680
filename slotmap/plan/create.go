package plan

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// A Host is a server of a cluster to create.
type Host struct {
	Addr    string // "host:port", with brackets around an IPv6 host
	Machine string // servers with the same Machine fail together; "" means the host of Addr
	Zone    string // availability zone
	ID      string // node id, for [Layout.Steps]; Create does not need it
}

func (h Host) machine() string {
	if h.Machine != "" {
		return h.Machine
	}
	if i := strings.LastIndexByte(h.Addr, ':'); i >= 0 {
		return h.Addr[:i]
	}
	return h.Addr
}

// A Layout is a cluster to create.
type Layout struct {
	Shards   []LayoutShard // by first slot
	Warnings []string      // wishes that cannot be met, and risks
}

// A LayoutShard is a primary, its replicas and its slots.
type LayoutShard struct {
	Primary  Host
	Slots    slotmap.Set
	Replicas []Host
}

// CheckHosts returns the error that [Create] returns for the same arguments: an
// [*InputError] if the hosts cannot make a cluster with this number of replicas for each
// primary, or nil.
func CheckHosts(hosts []Host, replicas int) error {
	if replicas < 0 {
		return &InputError{Field: "replicas", Value: fmt.Sprint(replicas), Reason: "must be at least 0"}
	}
	if replicas >= len(hosts) {
		return &InputError{Field: "hosts", Reason: fmt.Sprintf("a shard with %d replicas needs %d hosts, not %d", replicas, uint(replicas)+1, len(hosts))}
	}
	if len(hosts)/(replicas+1) > hashslot.Count {
		return &InputError{Field: "hosts", Reason: fmt.Sprintf("a cluster has at most %d primaries, one for each slot", hashslot.Count)}
	}
	first := map[string]int{}
	zone := map[string]string{}
	for i, h := range hosts {
		field := fmt.Sprintf("hosts[%d]", i)
		addr, ok := canonical(h.Addr)
		if !ok {
			return &InputError{Field: field, Value: h.Addr, Reason: "must be host:port"}
		}
		if at, twice := first[addr]; twice {
			return &InputError{Field: field, Value: h.Addr, Reason: fmt.Sprintf("is the same address as hosts[%d]", at)}
		}
		first[addr] = i
		if z, known := zone[h.machine()]; known && z != h.Zone {
			return &InputError{Field: field, Value: h.Addr, Reason: fmt.Sprintf("the machine %s is in two zones, %q and %q", h.machine(), z, h.Zone)}
		}
		zone[h.machine()] = h.Zone
	}
	return nil
}

// canonical returns the one form of an address that can be written in several ways. ok is
// false if addr is not the address of a server.
func canonical(addr string) (form string, ok bool) {
	host, port, _ := net.SplitHostPort(addr) // with an error, both are ""
	if _, err := strconv.ParseUint(port, 10, 16); err != nil || port[0] == '0' || host != printable(host) {
		return "", false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	return net.JoinHostPort(strings.ToLower(host), port), true
}

// NewLayout returns the layout of the given shards, in their order, with its warnings.
// replicas is the wanted number for each primary.
func NewLayout(shards []LayoutShard, replicas int) Layout {
	l := Layout{Shards: shards}
	l.warn(replicas)
	return l
}

// Create lays out a new cluster over hosts: as many shards as possible, each with a
// primary and the given number of replicas. Hosts that are left over become further
// replicas.
//
// Each shard has one range, and no two differ by more than one slot. The nodes of a
// shard are spread over the zones, and within these over the machines, as evenly as
// possible: no shard has more nodes in a zone or on a machine than the average, rounded
// up. So two nodes of a shard share a zone or a machine only if that is unavoidable.
//
// The primary of each shard is chosen for these wishes, in this order: few replicas on
// the machine of their primary; primaries spread over the zones, then over the
// machines; few replicas in the zone of their primary; primaries early in the list. Up
// to 4000 hosts the choice is the best possible. With more hosts, the primaries are chosen
// one after the other.
//
// The same hosts in the same order give the same layout. Layout.Warnings names the
// wishes that could not be met. Fewer than three primaries are allowed, with a warning:
// a majority of the primaries must agree to a failover, and a majority of two is two.
//
// The error is an [*InputError].
func Create(hosts []Host, replicas int) (Layout, error) {
	if err := CheckHosts(hosts, replicas); err != nil {
		return Layout{}, err
	}
	n := len(hosts) / (replicas + 1)
	shards := deal(hosts, n)
	primaries := newWishes(hosts, shards).choose()
	earlierFirst(hosts, shards, primaries)
	// Shards in the order of their primaries.
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return primaries[a] - primaries[b] })
	layout := make([]LayoutShard, 0, n)
	for i, s := range order {
		// i/n of the slots, rounded to the nearest.
		at := func(i int) hashslot.Slot { return hashslot.Slot((2*hashslot.Count*i + n) / (2 * n)) }
		shard := LayoutShard{Primary: hosts[primaries[s]]}
		shard.Slots.AddRange(slotmap.Range{First: at(i), Last: at(i+1) - 1}) // valid: there are no more shards than slots
		for _, h := range shards[s] {
			if h != primaries[s] {
				shard.Replicas = append(shard.Replicas, hosts[h])
			}
		}
		layout = append(layout, shard)
	}
	return NewLayout(layout, replicas), nil
}

// deal gives the hosts to n shards in turn, zone by zone and within a zone machine by
// machine. The hosts of a zone or a machine follow each other in that order, so they are
// spread over the shards as evenly as possible.
func deal(hosts []Host, n int) [][]int {
	// By the first appearance of the zone, then of the machine.
	zones, machines := map[string]int{}, map[string]int{}
	order := make([]int, len(hosts))
	for i, h := range hosts {
		order[i] = i
		if _, ok := zones[h.Zone]; !ok {
			zones[h.Zone] = i
		}
		if _, ok := machines[h.machine()]; !ok {
			machines[h.machine()] = i
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if d := zones[hosts[a].Zone] - zones[hosts[b].Zone]; d != 0 {
			return d
		}
		return machines[hosts[a].machine()] - machines[hosts[b].machine()]
	})
	shards := make([][]int, n)
	for i, h := range order {
		shards[i%n] = append(shards[i%n], h)
	}
	for _, s := range shards {
		slices.Sort(s)
	}
	return shards
}

// A price weighs the wishes for primaries. Each wish counts more than all later ones
// together.
type price struct {
	hi, lo int64
}

func (p price) plus(q price) price { return price{p.hi + q.hi, p.lo + q.lo} }
func (p price) times(n int) price  { return price{p.hi * int64(n), p.lo * int64(n)} }
func (p price) minus() price       { return price{-p.hi, -p.lo} }
func (p price) less(q price) bool  { return p.hi < q.hi || p.hi == q.hi && p.lo < q.lo }

// maxExact is the most hosts for which all primaries are chosen together.
const maxExact = 4000

// wishes are the wishes for the primaries of shards, as prices.
type wishes struct {
	hosts           []Host
	shards          [][]int
	zones, machines int   // how many there are
	zone, machine   []int // of each host

	// cost is the price of a host as the primary of a shard, apart from how the
	// primaries are spread.
	cost func(shard, host int) price
}

func newWishes(hosts []Host, shards [][]int) *wishes {
	w := &wishes{hosts: hosts, shards: shards}
	zones, machines := map[string]int{}, map[string]int{}
	for _, h := range hosts {
		w.zone = append(w.zone, number(zones, h.Zone))
		w.machine = append(w.machine, number(machines, h.machine()))
	}
	w.zones, w.machines = len(zones), len(machines)
	w.cost = w.created
	return w
}

// The k-th primary, from 0, in a zone or on a machine costs 2k+1: k of them cost k
// squared, so that an even spread is the cheapest.
func (w *wishes) zoneSpread(k int) price { return price{hi: int64(2*k + 1)} }
func (w *wishes) machineSpread(k int) price {
	n := int64(len(w.hosts) + 1)
	return price{lo: int64(2*k+1) * n * n}
}

// created is the price of host h as the primary of shard s of a new cluster.
func (w *wishes) created(s, h int) price {
	n := int64(len(w.hosts) + 1)
	var p price
	for _, o := range w.shards[s] {
		if o != h && w.machine[o] == w.machine[h] {
			p.hi += n * n
		}
		if o != h && w.zone[o] == w.zone[h] {
			p.lo += n
		}
	}
	if h >= len(w.shards) {
		p.lo++
	}
	return p
}

// choose returns the primary of each shard, which is one of its hosts.
func (w *wishes) choose() []int {
	switch {
	case len(w.hosts) == len(w.shards): // each shard has one host
		primaries := make([]int, len(w.shards))
		for s, list := range w.shards {
			primaries[s] = list[0]
		}
		return primaries
	case len(w.hosts) > maxExact:
		return w.oneByOne()
	default:
		return w.together()
	}
}

// oneByOne chooses the primaries shard by shard.
func (w *wishes) oneByOne() []int {
	primaries := make([]int, len(w.shards))
	inZone, onMachine := make([]int, w.zones), make([]int, w.machines)
	for s, list := range w.shards {
		var least price
		for i, h := range list {
			p := w.cost(s, h).plus(w.zoneSpread(inZone[w.zone[h]])).plus(w.machineSpread(onMachine[w.machine[h]]))
			if i == 0 || p.less(least) {
				least, primaries[s] = p, h
			}
		}
		inZone[w.zone[primaries[s]]]++
		onMachine[w.machine[primaries[s]]]++
	}
	return primaries
}

// together chooses the primaries with the lowest sum of prices. It is a flow of the
// lowest cost: one unit goes from the source through each shard, one of its hosts, the
// host's machine and zone, to the sink.
func (w *wishes) together() []int {
	var f flow
	source, sink := f.node(), f.node()
	zoneAt, machineAt := f.nodes(w.zones), f.nodes(w.machines)
	hostAt := f.nodes(len(w.hosts))
	zoneOf := make([]int, w.machines)
	inZone, onMachine := make([]int, w.zones), make([]int, w.machines) // how many hosts
	for s, list := range w.shards {
		at := f.node()
		f.edge(source, at, price{})
		for _, h := range list {
			z, m := w.zone[h], w.machine[h]
			zoneOf[m] = z
			f.edge(at, hostAt+h, w.cost(s, h))
			f.edge(hostAt+h, machineAt+m, price{})
			inZone[z]++
			onMachine[m]++
		}
	}
	for m, most := range onMachine {
		for k := range most {
			f.edge(machineAt+m, zoneAt+zoneOf[m], w.machineSpread(k))
		}
	}
	for z, most := range inZone {
		for k := range most {
			f.edge(zoneAt+z, sink, w.zoneSpread(k))
		}
	}
	for f.augment(source, sink) {
	}
	primaries := make([]int, len(w.shards))
	for s, list := range w.shards {
		for _, h := range list {
			if f.used(hostAt + h) {
				primaries[s] = h
			}
		}
	}
	return primaries
}

// earlierFirst exchanges hosts of the same machine, so that the earlier ones are
// primaries. The wishes treat the hosts of a machine alike.
func earlierFirst(hosts []Host, shards [][]int, primaries []int) {
	type role struct {
		shard, host int
		primary     bool
	}
	roles := map[string][]role{} // of each machine, primaries first
	for s, p := range primaries {
		m := hosts[p].machine()
		roles[m] = append(roles[m], role{s, p, true})
	}
	for s, list := range shards {
		for _, h := range list {
			if h != primaries[s] {
				m := hosts[h].machine()
				roles[m] = append(roles[m], role{s, h, false})
			}
		}
	}
	for _, list := range roles {
		mine := make([]int, len(list))
		for i, r := range list {
			mine[i] = r.host
		}
		slices.Sort(mine)
		for i, r := range list {
			list[i].host = mine[i]
			if r.primary {
				primaries[r.shard] = mine[i]
			}
		}
	}
	for s := range shards {
		shards[s] = shards[s][:0]
	}
	for _, list := range roles {
		for _, r := range list {
			shards[r.shard] = append(shards[r.shard], r.host)
		}
	}
	for _, list := range shards {
		slices.Sort(list)
	}
}

// A flow is a network in which every edge has room for one unit.
type flow struct {
	out  [][]int // edges from each node; edge e^1 is e backwards
	to   []int
	cost []price // of each edge; backwards it is negative
	full []bool
}

func (f *flow) node() int { return f.nodes(1) }

func (f *flow) nodes(n int) (first int) {
	first = len(f.out)
	f.out = append(f.out, make([][]int, n)...)
	return first
}

func (f *flow) edge(from, to int, cost price) (edge int) {
	f.out[from] = append(f.out[from], len(f.to))
	f.out[to] = append(f.out[to], len(f.to)+1)
	f.to = append(f.to, to, from)
	f.cost = append(f.cost, cost, cost.minus())
	f.full = append(f.full, false, true)
	return len(f.to) - 2
}

// used reports whether a unit flows into a node.
func (f *flow) used(node int) bool {
	for _, e := range f.out[node] {
		if e&1 == 1 && !f.full[e] {
			return true
		}
	}
	return false
}

// augment sends one more unit along the cheapest path, and reports whether there was a
// path.
func (f *flow) augment(source, sink int) bool {
	dist, via := make([]price, len(f.out)), make([]int, len(f.out))
	known, queued := make([]bool, len(f.out)), make([]bool, len(f.out))
	known[source] = true
	for queue := []int{source}; len(queue) > 0; queue = queue[1:] {
		n := queue[0]
		queued[n] = false
		for _, e := range f.out[n] {
			if f.full[e] {
				continue
			}
			m, d := f.to[e], dist[n].plus(f.cost[e])
			if known[m] && !d.less(dist[m]) {
				continue
			}
			dist[m], via[m], known[m] = d, e, true
			if !queued[m] {
				queued[m] = true
				queue = append(queue, m)
			}
		}
	}
	if !known[sink] {
		return false
	}
	for n := sink; n != source; n = f.to[via[n]^1] {
		f.full[via[n]], f.full[via[n]^1] = true, false
	}
	return true
}

// warn adds the warnings of a layout.
func (l *Layout) warn(replicas int) {
	switch n := len(l.Shards); {
	case n == 1:
		l.Warnings = append(l.Warnings, "1 primary: no automatic failover is possible, because no other primary can agree to it")
	case n == 2:
		l.Warnings = append(l.Warnings, "2 primaries: no automatic failover is possible, because a majority of 2 is 2. If one fails, the whole cluster stops, with or without replicas")
	}
	if replicas == 0 {
		l.Warnings = append(l.Warnings, "no replicas: if a primary fails, its slots are not served")
	}
	machine := Host.machine
	zone := func(h Host) string { return h.Zone }
	l.warnShared("on the same host", machine)
	l.warnMajority("host", machine)
	zones := map[string]int{}
	for _, s := range l.Shards {
		for _, h := range append([]Host{s.Primary}, s.Replicas...) {
			number(zones, h.Zone)
		}
	}
	if len(zones) > 1 {
		l.warnShared("in the same zone", zone)
		l.warnMajority("zone", zone)
	}
}

// warnShared names the replicas that share a machine or a zone with their primary
// or with another replica of it.
func (l *Layout) warnShared(what string, of func(Host) string) {
	var withPrimary, together []string
	for _, s := range l.Shards {
		other := map[string]string{}
		for _, r := range s.Replicas {
			if of(r) == of(s.Primary) {
				withPrimary = append(withPrimary, printableAddr(r.Addr)+" and "+printableAddr(s.Primary.Addr))
			} else if o, ok := other[of(r)]; ok {
				together = append(together, printableAddr(r.Addr)+" and "+printableAddr(o))
			} else {
				other[of(r)] = r.Addr
			}
		}
	}
	if len(withPrimary) > 0 {
		l.Warnings = append(l.Warnings, fmt.Sprintf("replicas that are %s as their primary: %s", what, some(withPrimary)))
	}
	if len(together) > 0 {
		l.Warnings = append(l.Warnings, fmt.Sprintf("replicas of the same primary that are %s: %s", what, some(together)))
	}
}

// some lists up to ten names.
func some(list []string) string {
	if len(list) > 10 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:10], ", "), len(list)-10)
	}
	return strings.Join(list, ", ")
}

// warnMajority warns of a machine or zone that has half of the primaries or more. Without
// it, the others are no majority.
func (l *Layout) warnMajority(what string, of func(Host) string) {
	if len(l.Shards) < 3 {
		return
	}
	count := map[string]int{}
	var names []string
	for _, s := range l.Shards {
		name := of(s.Primary)
		if count[name] == 0 {
			names = append(names, name)
		}
		count[name]++
	}
	for _, name := range names {
		if n := count[name]; 2*n >= len(l.Shards) {
			l.Warnings = append(l.Warnings, fmt.Sprintf("%s %s has %d of %d primaries: if it fails, no majority is left and no failover is possible", what, printable(name), n, len(l.Shards)))
		}
	}
}

// MarshalJSON returns the layout as {"shards":[{"primary","replicas","slots"}],"warnings":[...]}.
// The error is an [*InputError] if text is not UTF-8.
func (l Layout) MarshalJSON() ([]byte, error) {
	type shard struct {
		Primary  string      `json:"primary"`
		Replicas []string    `json:"replicas"`
		Slots    slotmap.Set `json:"slots"`
	}
	out := struct {
		Shards   []shard  `json:"shards"`
		Warnings []string `json:"warnings"`
	}{[]shard{}, append([]string{}, l.Warnings...)}
	if err := encodable("warnings", l.Warnings...); err != nil {
		return nil, err
	}
	for i, s := range l.Shards {
		j := shard{s.Primary.Addr, []string{}, s.Slots}
		for _, r := range s.Replicas {
			j.Replicas = append(j.Replicas, r.Addr)
		}
		if err := encodable(fmt.Sprintf("shards[%d]", i), append(j.Replicas, j.Primary)...); err != nil {
			return nil, err
		}
		out.Shards = append(out.Shards, j)
	}
	return json.Marshal(out)
}

// Summary returns the layout as text for people.
func (l Layout) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", count(len(l.Shards), "shard"))
	for _, s := range l.Shards {
		fmt.Fprintf(&b, "  %-12s %5d slots  primary %s", s.Slots, s.Slots.Len(), describe(s.Primary))
		for i, r := range s.Replicas {
			if i == 0 {
				b.WriteString("  replicas")
			}
			b.WriteString(" " + describe(r))
		}
		b.WriteByte('\n')
	}
	writeWarnings(&b, l.Warnings)
	return b.String()
}

func describe(h Host) string {
	if h.Zone != "" {
		return printable(h.Addr) + " (" + printableText(h.Zone) + ")"
	}
	return printable(h.Addr)
}

// count returns "1 shard" or "2 shards".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func writeWarnings(b *strings.Builder, warnings []string) {
	for _, w := range warnings {
		fmt.Fprintf(b, "warning: %s\n", printableText(w))
	}
}

// LayoutOptions are the options of [Layout.Steps]. The zero value is for servers from
// 7.0 on.
type LayoutOptions struct {
	// AddSlots uses ADDSLOTS instead of ADDSLOTSRANGE, which servers before 7.0 do not
	// have.
	AddSlots bool
}

// Steps renders the layout for nodes that are empty and know no others. The hosts must
// have their ids, which CLUSTER MYID returns.
//
// First each node gets a config epoch of its own, which servers allow only before it
// has met others, and each primary gets its slots. Then all meet the first one, and
// learn of each other by gossip. Then each replica replicates its primary as soon as
// it knows it, and the steps wait until it has synced. At the end the steps wait until
// every node says that the cluster is ok. The steps of one round do not depend on each
// other.
//
// The error is an [*InputError] if a host has no id, or the id of another, or if an
// address is a name, which MEET does not accept.
func (l *Layout) Steps(o LayoutOptions) ([]Step, error) {
	var nodes []Node
	var epochs, slots, meetings, replicas, waits []Step
	first := map[string]string{}
	add := func(h Host) (Node, error) {
		n := Node{ID: h.ID, Addr: h.Addr}
		ip, err := netip.ParseAddrPort(h.Addr)
		switch at, twice := first[h.ID]; {
		case err != nil || ip.Addr().Zone() != "": // other nodes do not learn the zone
			return Node{}, &InputError{Field: "hosts", Value: h.Addr, Reason: "must be an IP address and a port, for CLUSTER MEET"}
		case h.ID == "":
			return Node{}, &InputError{Field: "hosts", Value: h.Addr, Reason: "the ID is missing: ask the node with CLUSTER MYID"}
		case twice:
			return Node{}, &InputError{Field: "hosts", Value: h.Addr, Reason: fmt.Sprintf("has the same ID as %s", at)}
		}
		first[h.ID] = h.Addr
		nodes = append(nodes, n)
		epochs = append(epochs, Step{Kind: KindEpoch, Node: n.ID, Addr: n.Addr, Round: 1,
			Command: []string{"CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(len(nodes))},
			Until:   Until{untilHasEpoch, [][]string{{"CLUSTER", "INFO"}}}})
		if len(nodes) > 1 {
			at := nodes[0]
			to, toPort, _ := net.SplitHostPort(at.Addr)
			meetings = append(meetings, Step{Kind: KindMeet, Node: n.ID, Addr: n.Addr, Peer: at.ID, PeerAddr: at.Addr, Round: 3,
				Command: []string{"CLUSTER", "MEET", to, toPort},
				Until:   Until{untilKnowsPeer, [][]string{askNodes}}})
		}
		w := waiting(n, untilClusterOK, "CLUSTER", "INFO")
		w.Round = 5
		waits = append(waits, w)
		return n, nil
	}
	for _, s := range l.Shards {
		n, err := add(s.Primary)
		if err != nil {
			return nil, err
		}
		step := assigned(n, rangesOf(s.Slots), o.AddSlots)
		step.Round = 2
		slots = append(slots, step)
	}
	for i, s := range l.Shards {
		for _, r := range s.Replicas {
			n, err := add(r)
			if err != nil {
				return nil, err
			}
			step := replicating(n, nodes[i])
			step.Round = 4
			replicas = append(replicas, step)
		}
	}
	steps := append(epochs, slots...)
	steps = append(steps, meetings...)
	steps = append(steps, replicas...)
	return append(steps, waits...), nil
}
