package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// A severity says how bad a problem is.
type severity int

const (
	severityNote    severity = iota // worth knowing; nothing is wrong
	severityWarning                 // the next failure does harm
	severityError                   // keys are not served, or may not be
)

var severities = []string{"note", "warning", "error"}

func (s severity) MarshalText() ([]byte, error) { return []byte(severities[s]), nil }

func (s *severity) UnmarshalText(text []byte) error {
	i := slices.Index(severities, string(text))
	if i < 0 {
		return fmt.Errorf("no severity: %q", text)
	}
	*s = severity(i)
	return nil
}

// A problemKind is something that check looks for.
type problemKind struct {
	name     string
	severity severity
	doc      string
}

// problemKinds lists all kinds, in the order in which check prints them.
var problemKinds = []problemKind{
	{"unassigned", severityError, "the slots have no owner"},
	{"failed", severityError, "the cluster has marked their owner as failed"},
	{"suspected", severityError, "the node that was asked gets no answer from their owner, or has no link to it"},
	{"loading", severityError, "their owner is loading its data"},
	{"unreachable", severityError, "the address of their owner is unknown"},
	{"open", severityError, "CLUSTER SETSLOT is moving the slots or has left them half moved;\nonly the source and the target know of it"},
	{"disagreement", severityError, "two nodes claim the slots, or views differ about them"},
	{"quorum", severityError, "half of the primaries or more do not serve: no failover is possible"},
	{"strangers", severityError, "two views have no node in common: their clusters are different"},
	{"no-replica", severityWarning, "the owner has no working replica: no failover is possible"},
	{"replica", severityWarning, "a replica has failed, is suspected, is loading or has no address"},
	{"orphan", severityWarning, "the primary of a replica is missing, unknown or not a primary"},
	{"few-primaries", severityWarning, "fewer than three primaries own slots: without one, no majority is left"},
	{"same-host", severityWarning, "an owner and all of its replicas are on one machine"},
	{"host-quorum", severityWarning, "half of the primaries or more are on one machine"},
	{"unknown-node", severityWarning, "the node is missing in some views"},
	{"role", severityWarning, "views differ about the role of a node, or about its primary"},
	{"truncated", severityWarning, "an input may be truncated"},
	{"same-zone", severityNote, "an owner and all of its replicas are in the same zone"},
	{"one-host", severityNote, "all nodes are on one machine"},
	{"dead", severityNote, "a node without slots has failed or is suspected: CLUSTER FORGET it"},
	{"empty", severityNote, "a primary has no slots"},
	{"nofailover", severityNote, "all replicas of the owner have nofailover: none may take over"},
	{"unready", severityNote, "a node is in handshake, or only its id is known"},
	{"epoch", severityNote, "two owners have the same config epoch"},
	{"disconnected", severityNote, "the node that was asked has no link to a node without slots"},
}

// severityOf returns the severity of a kind.
func severityOf(kind string) severity {
	i := slices.IndexFunc(problemKinds, func(k problemKind) bool { return k.name == kind })
	return problemKinds[i].severity // problemKinds has every kind that is used
}

// worst returns the greatest severity of the problems, or -1.
func (d *clusterJSON) worst() severity {
	worst := severity(-1)
	for _, p := range d.Problems {
		worst = max(worst, p.Severity)
	}
	return worst
}

// problems returns what is wrong with c, the worst first.
func problems(c *clusterView) []problemJSON {
	f := finder{clusterView: c, found: map[string][]problemJSON{}, slots: map[*topology.Node]slotmap.Set{}}
	for _, s := range c.Shards() {
		slots := c.Table().SlotsOf(s)
		if slots.IsEmpty() {
			break // shards that own slots come first
		}
		f.owners = append(f.owners, s)
		f.slots[s.Primary] = slots
	}
	if s := c.Unassigned(); !s.IsEmpty() {
		f.add("unassigned", s, "%s no owner", count(s.Len(), "slot has", "slots have"))
	}
	f.ownerStates()
	f.openSlots()
	f.views()
	f.replicas()
	f.places()
	f.others()
	list := []problemJSON{}
	for _, k := range problemKinds {
		list = append(list, f.found[k.name]...)
	}
	return list
}

// A finder finds problems.
type finder struct {
	*clusterView
	owners []*topology.Shard              // the shards with slots
	slots  map[*topology.Node]slotmap.Set // of their primaries
	found  map[string][]problemJSON       // by kind
}

func (f *finder) add(kind string, slots slotmap.Set, format string, args ...any) {
	f.found[kind] = append(f.found[kind], problemJSON{kind, severityOf(kind), fmt.Sprintf(format, args...), slots})
}

// down says why a node is not expected to serve. It returns "" if there is no reason.
func down(n *topology.Node) string {
	switch {
	case n.Flags.Has(topology.FlagFail):
		return "has failed"
	case n.Flags.Has(topology.FlagPFail):
		return "does not answer the node that was asked"
	case n.Health == topology.HealthLoading:
		return "is loading its data"
	case unreachable(n):
		return "has no address"
	case n.Health != "" && n.Health != topology.HealthOnline:
		return "is " + string(n.Health)
	}
	return ""
}

// unlinked reports whether the lost link to n is all that the node that was asked says
// against n: n has just failed, or is just coming back. A nodes.conf does not count,
// because its link states date from when it was written; its shard ids identify it.
func unlinked(n *topology.Node) bool {
	return n.LinkState == "disconnected" && n.ShardID == "" && !n.Flags.Has(topology.FlagMyself) && down(n) == ""
}

// unreachable reports whether n has no address. The node that was asked may not know
// its own address, which does no harm.
func unreachable(n *topology.Node) bool {
	return n.Addr() == "" && !(n.Flags.Has(topology.FlagMyself) && n.EndpointPort != 0)
}

func (f *finder) ownerStates() {
	broken := 0
	for _, s := range f.owners {
		p := s.Primary
		slots := f.slots[p]
		if down(p) != "" {
			broken++
		}
		if p.Flags.Has(topology.FlagFail) {
			f.add("failed", slots, "the owner %v has failed", p)
		}
		if p.Flags.Has(topology.FlagPFail) {
			f.add("suspected", slots, "the owner %v does not answer the node that was asked", p)
		} else if unlinked(p) {
			f.add("suspected", slots, "the node that was asked has no link to the owner %v", p)
		}
		if p.Health == topology.HealthLoading {
			f.add("loading", slots, "the owner %v is loading its data", p)
		}
		if unreachable(p) {
			f.add("unreachable", slots, "the owner %v has no address", p)
		}
	}
	if broken > 0 && 2*broken >= len(f.owners) {
		f.add("quorum", slotmap.Set{}, "%d of %d primaries that own slots do not serve: the others cannot agree on a failover", broken, len(f.owners))
	}
}

func (f *finder) openSlots() {
	type end struct {
		from, to             string
		migrating, importing bool
	}
	places := map[end]int{}
	for _, o := range f.Open() {
		k := end{o.From, o.To, o.Migrating, o.Importing}
		i, ok := places[k]
		if !ok {
			who := "both nodes report it"
			if !k.importing {
				who = "only the source reports it"
			} else if !k.migrating {
				who = "only the target reports it"
			}
			for _, end := range []struct{ name, id string }{{"source", k.from}, {"target", k.to}} {
				switch n := f.Node(end.id); {
				case n == nil:
					who += "; the " + end.name + " is unknown"
				case down(n) != "":
					who += "; the " + end.name + " " + down(n)
				}
			}
			i = len(f.found["open"])
			places[k] = i
			f.add("open", slotmap.Set{}, "being moved from %s to %s: %s", k.from, k.to, who)
		}
		f.found["open"][i].Slots.Add(o.Slot) // a slot of a Cluster is valid
	}
	for _, d := range f.Disagreements() {
		claim := "another view has no owner for them"
		if d.Other != nil {
			claim = fmt.Sprintf("%v claims them too", d.Other)
		}
		f.add("disagreement", d.Slots, "%v owns them, but %s: %s", d.Owner, claim, d.Reason)
	}
}

// most is the largest number of nodes that a text names.
const most = 5

// names lists nodes: all, or only the first if there are many.
func names(list []string) string {
	if len(list) > most {
		list = append(slices.Clone(list[:most]), fmt.Sprintf("%d more", len(list)-most))
	}
	if len(list) == 1 {
		return list[0]
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// views compares what the inputs say about nodes.
func (f *finder) views() {
	for _, in := range f.inputs {
		if in.doubt != "" {
			f.add("truncated", slotmap.Set{}, "%s: %s", in.name, in.doubt)
		}
	}
	if len(f.inputs) < 2 {
		return
	}
	known := make([]map[string]*topology.Node, len(f.inputs))
	for i, in := range f.inputs {
		known[i] = map[string]*topology.Node{}
		for _, n := range in.cluster.Nodes() {
			if n.ID != "" && n.Role != topology.RoleUnknown {
				known[i][n.ID] = n
			}
		}
	}
	for i, in := range f.inputs[1:] {
		if strangers(known[0], known[i+1]) {
			f.add("strangers", slotmap.Set{}, "%s and %s have no node in common", f.inputs[0].name, in.name)
		}
	}
	if len(f.found["strangers"]) > 0 {
		return // other problems would only follow from this one
	}
	for _, n := range f.Nodes() {
		if n.ID != "" && n.Role != topology.RoleUnknown {
			f.differences(n, known)
		}
	}
}

// strangers reports whether a and b, the nodes of two inputs by their ids, have no node in
// common. It is false if one is empty.
func strangers(a, b map[string]*topology.Node) bool {
	for id := range b {
		if _, same := a[id]; same {
			return false
		}
	}
	return len(a) > 0 && len(b) > 0
}

// differences compares what the inputs say about n. known has the nodes of each, by their
// ids.
func (f *finder) differences(n *topology.Node, known []map[string]*topology.Node) {
	var without, roles []string
	for i, nodes := range known {
		v := nodes[n.ID]
		if v == nil {
			if len(nodes) > 0 {
				without = append(without, f.inputs[i].name)
			}
			continue
		}
		role := v.Role.String()
		if v.PrimaryID != "" {
			role += " of " + v.PrimaryID
		}
		roles = append(roles, role)
	}
	if len(without) > 0 && !n.Flags.Has(topology.FlagFail) {
		f.add("unknown-node", f.slots[n], "%v is missing in %s", n, names(without))
	}
	if slices.Sort(roles); len(slices.Compact(roles)) > 1 {
		f.add("role", f.slots[n], "views differ about %v: %s", n, strings.Join(slices.Compact(roles), " or "))
	}
}

func (f *finder) replicas() {
	for _, n := range f.Nodes() {
		if n.Role != topology.RoleReplica {
			continue
		}
		if why := down(n); why != "" {
			f.add("replica", slotmap.Set{}, "the replica %v %s", n, why)
		}
		if p := f.Node(n.PrimaryID); p == nil && n.PrimaryID != "" {
			f.add("orphan", slotmap.Set{}, "%v is a replica of %s, which is unknown", n, n.PrimaryID)
		} else if p != nil && p.Role != topology.RolePrimary {
			f.add("orphan", slotmap.Set{}, "%v is a replica of %v, which is not a primary", n, p)
		} else if n.PrimaryID == "" && f.Myself() != nil { // CLUSTER NODES, which has ids
			f.add("orphan", slotmap.Set{}, "the replica %v has no primary", n)
		}
	}
	var bare slotmap.Set
	var without []*topology.Shard
	configured := 0
	for _, s := range f.owners {
		configured += len(s.Replicas)
		if working(s) == 0 {
			without = append(without, s)
			bare = bare.Union(f.slots[s.Primary])
		}
	}
	if len(f.owners) > 1 && configured == 0 {
		f.add("no-replica", bare, "none of the %d primaries that own slots has a replica", len(f.owners))
		return
	}
	for _, s := range without {
		switch len(s.Replicas) {
		case 0:
			f.add("no-replica", f.slots[s.Primary], "the owner %v has no replica", s)
		case 1:
			f.add("no-replica", f.slots[s.Primary], "the only replica of the owner %v does not work", s)
		default:
			f.add("no-replica", f.slots[s.Primary], "none of the %d replicas of the owner %v works", len(s.Replicas), s)
		}
	}
	for _, s := range f.owners {
		if len(s.Replicas) > 0 && !slices.ContainsFunc(s.Replicas, func(n *topology.Node) bool { return n.Flags&topology.FlagNoFailover == 0 }) {
			f.add("nofailover", f.slots[s.Primary], "no replica of the owner %v may take over: all have nofailover", s)
		}
	}
}

// working returns how many replicas of s work.
func working(s *topology.Shard) (n int) {
	for _, r := range s.Replicas {
		if down(r) == "" {
			n++
		}
	}
	return n
}

// places finds problems with the machines and zones that nodes are in.
func (f *finder) places() {
	if n := len(f.owners); n > 0 && n < 3 {
		f.add("few-primaries", slotmap.Set{}, "slots are owned by %s: if one fails, no majority is left to agree on a failover", count(n, "primary", "primaries"))
	}
	hosts, zones := map[string]int{}, map[string]struct{}{} // of the members; for each host, its number of owners
	for _, n := range f.Nodes() {
		if n.Role == topology.RoleUnknown {
			continue
		}
		if host := machine(n); host != "" {
			hosts[host] += 0
			if _, owner := f.slots[n]; owner {
				hosts[host]++
			}
		}
		if n.AvailabilityZone != "" {
			zones[n.AvailabilityZone] = struct{}{}
		}
	}
	members := 0
	for _, s := range f.owners {
		members += 1 + len(s.Replicas)
	}
	if len(hosts) == 1 && members > 1 {
		for host := range hosts {
			f.add("one-host", slotmap.Set{}, "all nodes are on the machine %s", host)
		}
	}
	if len(hosts) < 2 {
		hosts = nil
	}
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		if n := hosts[host]; n > 1 && 2*n >= len(f.owners) {
			f.add("host-quorum", slotmap.Set{}, "%d of %d primaries that own slots are on the machine %s: without it, the others cannot agree on a failover", n, len(f.owners), host)
		}
	}
	for _, s := range f.owners {
		if hosts != nil && together(s, machine) {
			f.add("same-host", f.slots[s.Primary], "the owner %v and its replicas are all on the machine %s", s, machine(s.Primary))
		} else if len(zones) > 1 && together(s, func(n *topology.Node) string { return n.AvailabilityZone }) {
			f.add("same-zone", f.slots[s.Primary], "the owner %v and its replicas are all in the zone %s", s, s.Primary.AvailabilityZone)
		}
	}
}

// together reports whether s has replicas, all in the place of the primary.
func together(s *topology.Shard, place func(*topology.Node) string) bool {
	for _, r := range s.Replicas {
		if place(r) != place(s.Primary) {
			return false
		}
	}
	return len(s.Replicas) > 0 && place(s.Primary) != ""
}

// machine returns the IP address of a node, or its host if it has none.
func machine(n *topology.Node) string {
	if n.IP != "" {
		return n.IP
	}
	return n.Host
}

func (f *finder) others() {
	epochs := map[uint64][]string{}
	for _, n := range f.Nodes() {
		slots, owner := f.slots[n]
		switch {
		case n.Role == topology.RoleUnknown:
			f.add("unready", slots, "the node %v is not a member: its flags are %v", n, n.Flags)
		case n.Role == topology.RolePrimary && !owner && (n.Flags.Has(topology.FlagFail) || n.Flags.Has(topology.FlagPFail)):
			f.add("dead", slots, "%v has no slots and %s", n, down(n))
		case n.Role == topology.RolePrimary && !owner:
			f.add("empty", slots, "the primary %v has no slots", n)
		case unlinked(n) && !owner:
			f.add("disconnected", slots, "the node that was asked has no link to %v", n)
		}
		if owner && n.ConfigEpoch != 0 {
			epochs[n.ConfigEpoch] = append(epochs[n.ConfigEpoch], n.String())
		}
	}
	if len(epochs) == 1 {
		return // a server on which it is the version of the cluster
	}
	for _, epoch := range slices.Sorted(maps.Keys(epochs)) {
		if same := epochs[epoch]; len(same) > 1 {
			f.add("epoch", slotmap.Set{}, "%s have the same config epoch, %d", names(same), epoch)
		}
	}
}

// count returns a number with its noun: "1 primary", "2 primaries".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// kindsDoc lists the kinds of a severity for the help page.
func kindsDoc(s severity) string {
	var b strings.Builder
	for _, k := range problemKinds {
		if k.severity == s {
			fmt.Fprintf(&b, "  %-13s %s\n", k.name, strings.ReplaceAll(k.doc, "\n", "\n"+strings.Repeat(" ", 16)))
		}
	}
	return b.String()
}
