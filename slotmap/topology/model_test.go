package topology

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
)

// A model of the Router: the rules of rules.go again, over a few slots and nodes
// that are known by name, without regard to cost. Node x is at x.example:6379,
// whatever a view or a redirect calls it.

var modelSlots = [...]hashslot.Slot{0, 1, 7000, 16383}

const modelNodes = "abcdef" // those that views have; redirects may also name x and y

// A modelView is a view of the model.
type modelView struct {
	kind   byte   // 'N'odes, 's'lots, 's'hards as 'S' and 'H'
	source string // the node that was asked, "" if it is not known
	nodes  map[string]modelNode
	owners [len(modelSlots)]string
	twins  [2]string // in 'H', two primaries with one shard id: the first has the slots and the replicas of both
}

// open reports whether x is one of the twins: then the view does not say which of them
// has the slots that it gives to x.
func (v modelView) open(x string) bool {
	return x != "" && x == v.twins[0] && !v.nodes[v.twins[0]].down && !v.nodes[v.twins[1]].down
}

type modelNode struct {
	primary string // of a replica; "" for a primary
	epoch   int    // of a primary in NODES; -1 if there is none
	down    bool
	pong    int
}

// A modelClaim is that a node had a slot.
type modelClaim struct {
	name  string
	epoch int
}

type modelSlot struct {
	owner   string // "" for nobody
	changed int    // the generation in which the owner got it
	told    bool
	from    string // who redirected
	rival   string // who may have it as well, of a guess
	claims  []modelClaim
	deniers map[string]bool
	again   int // views of unknown sources after the first
}

type modelSuspicion struct {
	left          string
	failures, ask int
	pong          int
	flagged       string
	deniers       map[string]bool
}

type model struct {
	gen      int
	slots    [len(modelSlots)]modelSlot
	primary  map[string]string // of each node of the map: its primary, itself if it is one
	epoch    map[string]int    // of each primary, -1 if not known
	down     map[string]bool   // what views say
	stranger map[string]bool
	suspects map[string]*modelSuspicion
	viewed   bool
	pending  bool
}

func newModel() *model {
	return &model{primary: map[string]string{}, epoch: map[string]int{}, down: map[string]bool{}, stranger: map[string]bool{}, suspects: map[string]*modelSuspicion{}}
}

// known reports whether e is an epoch, and older whether e is one that is lower
// than another.
func modelOlder(e, than int) bool { return e >= 0 && than >= 0 && e < than }

func (m *model) ask() bool {
	ask := !m.pending
	m.pending = true
	return ask
}

// settle drops nodes that are known from redirects only and have no slot, and all that
// is known of nodes that are gone.
func (m *model) settle() {
	for x := range m.stranger {
		if !slices.ContainsFunc(m.slots[:], func(s modelSlot) bool { return s.owner == x }) {
			delete(m.primary, x)
		}
	}
	gone := func(x string) bool { return m.primary[x] == "" }
	maps.DeleteFunc(m.epoch, func(x string, _ int) bool { return gone(x) || m.primary[x] != x })
	maps.DeleteFunc(m.down, func(x string, _ bool) bool { return gone(x) })
	maps.DeleteFunc(m.stranger, func(x string, _ bool) bool { return gone(x) })
	maps.DeleteFunc(m.suspects, func(x string, _ *modelSuspicion) bool { return gone(x) })
}

// give gives the i-th slot to a node. The contradicted claims are those that it
// had before, without what the new owner says.
func (m *model) give(i int, to string) *modelSlot {
	old := m.slots[i]
	s := modelSlot{owner: to, changed: m.gen}
	if old.owner != "" {
		s.claims = append(s.claims, modelClaim{old.owner, m.epoch[old.owner]})
		for _, c := range old.claims {
			if c.name != old.owner {
				s.claims = append(s.claims, c)
			}
		}
	}
	s.claims = slices.DeleteFunc(s.claims, func(c modelClaim) bool { return c.name == to })
	s.claims = s.claims[:min(len(s.claims), 4)]
	m.slots[i] = s
	return &m.slots[i]
}

func (m *model) moved(i int, to, from string, seen int) (Outcome, bool) {
	s := &m.slots[i]
	if s.owner == to {
		replica := from != "" && from != to && m.primary[from] == to
		if !replica || s.changed > seen || m.suspects[from] != nil && m.suspects[from].left != "" {
			return OutcomeUnchanged, false
		}
		if m.suspects[from] == nil {
			m.gen++
		}
		m.suspects[from] = &modelSuspicion{left: to}
		return OutcomeSuspected, m.ask()
	}
	if s.changed > seen {
		return OutcomeStale, false
	}
	m.gen++
	outcome := OutcomePatched
	switch {
	case s.owner != "" && m.primary[to] == s.owner:
		m.promote(to, from)
		return OutcomeFailedOver, m.ask()
	case m.primary[to] == "":
		outcome = OutcomeUnknownNode
		m.stranger[to] = true
		m.epoch[to] = -1
	case m.primary[to] != to:
		m.epoch[to] = -1
		delete(m.suspects, to)
		delete(m.down, to)
	}
	was := m.slots
	for j := range m.slots {
		same := was[i].rival == to && was[j].rival == to && was[j].owner == was[i].owner &&
			was[j].claims[0].name == was[i].claims[0].name
		if j == i || same {
			s = m.give(j, to)
			s.told, s.from = true, from
		}
	}
	m.primary[to] = to
	m.settle()
	return outcome, m.ask()
}

func (m *model) promote(to, from string) {
	old := m.primary[to]
	for i := range m.slots {
		if m.slots[i].owner == old {
			s := m.give(i, to)
			s.told, s.from = true, from
		}
	}
	for x, p := range m.primary {
		if p == old {
			m.primary[x] = to
		}
	}
	m.epoch[to] = m.epoch[old]
	delete(m.suspects, to)
	delete(m.down, to)
	m.settle()
}

func (m *model) failed(x string) (Outcome, bool) {
	if m.primary[x] == "" {
		return OutcomeUnchanged, false
	}
	u := m.suspects[x]
	if u == nil || u.left != "" {
		m.suspects[x] = &modelSuspicion{failures: 1, ask: 2}
		if u != nil {
			return OutcomeUnchanged, m.ask()
		}
		m.gen++
		return OutcomeSuspected, m.ask()
	}
	u.failures++
	if u.failures < u.ask || m.pending {
		return OutcomeUnchanged, false
	}
	u.ask = min(2*u.failures, u.failures+1000)
	return OutcomeUnchanged, m.ask()
}

func (m *model) succeeded(x string) Outcome {
	if m.suspects[x] == nil {
		return OutcomeUnchanged
	}
	delete(m.suspects, x)
	m.gen++
	return OutcomeRecovered
}

// apply returns whether the map changed, of which the caller knows more.
func (m *model) apply(v modelView, seen int, force bool) (outcome Outcome) {
	outcome = OutcomeApplied
	covers, some, owned := true, false, false
	for i, s := range m.slots {
		covers = covers && (s.owner == "" || v.owners[i] != "")
		some = some || v.owners[i] != ""
		owned = owned || s.owner != ""
	}
	related := false
	for x := range v.nodes {
		related = related || m.primary[x] != ""
	}
	if m.viewed && !force && !related {
		if !covers {
			return OutcomeStale
		}
		outcome, force = OutcomeRecreated, true
	}
	if !force && !some && owned {
		return OutcomeStale
	}

	gen := m.gen + 1
	next := m.slots
	taken, refused := false, false
	var stays [len(modelSlots)]bool
	for i, s := range m.slots {
		verdict, slot := m.judge(s, v, v.owners[i], seen, force)
		next[i] = slot
		switch verdict {
		case "take":
			taken = true
			old := m.slots
			m.gen = gen
			next[i] = *m.give(i, v.owners[i])
			if s.owner != "" && v.open(v.owners[i]) {
				next[i].rival = v.twins[1]
			}
			if force {
				next[i].claims = nil
				if s.owner != "" && v.owners[i] != "" {
					next[i].claims = []modelClaim{{s.owner, m.epoch[s.owner]}}
				}
			}
			m.gen = gen - 1
			m.slots = old
		case "refuse":
			refused, stays[i] = true, true
		case "nothing":
			stays[i] = true
		}
	}
	m.slots = next
	for i := range m.slots {
		if m.slots[i].owner == "" {
			m.slots[i] = modelSlot{}
		}
	}
	if refused && !taken {
		return OutcomeStale
	}
	if refused {
		outcome = OutcomePartly
	} else {
		m.pending = false
	}
	m.viewed = true
	m.suspicions(v, force)
	m.place(v, stays, force)
	return outcome
}

// judge applies rules 1 to 8, in the order of Router.
func (m *model) judge(s modelSlot, v modelView, claimant string, seen int, force bool) (string, modelSlot) {
	owner := s.owner
	epochOf := func(x string) int { // in the view
		if n, ok := v.nodes[x]; ok && n.primary == "" {
			return n.epoch
		}
		return -1
	}
	confirmed := s
	confirmed.told, confirmed.from, confirmed.rival, confirmed.deniers, confirmed.again = false, "", "", nil, 0
	switch {
	case owner == "" && claimant == "":
		return "nothing", s
	case owner == "":
		return "take", s
	case owner == claimant && !force && modelOlder(epochOf(claimant), m.epoch[owner]):
		return "refuse", s
	case owner == claimant && !force && v.open(claimant):
		return "agree", s
	case owner == claimant:
		return "agree", confirmed
	case force:
		return "take", s
	}
	silent := func() (string, modelSlot) {
		if s.told {
			return "refuse", s
		}
		return "nothing", s
	}
	if v.open(claimant) && owner == v.twins[1] {
		return silent()
	}
	late := s.changed > seen
	line, has := v.nodes[owner]
	lineEpoch := -1
	if has {
		lineEpoch = line.epoch // of the owner's line, whatever its role
	}
	if v.source == owner && !late && !modelOlder(lineEpoch, m.epoch[owner]) {
		return "take", s
	}
	if claimant == "" {
		return silent()
	}
	claim := epochOf(claimant)
	if p := m.primary[claimant]; p != "" && modelOlder(claim, m.epoch[p]) {
		return "refuse", s
	}
	lost := m.suspects[owner] != nil
	ownerDown := lost || m.down[owner] || line.down
	claimantDown := v.nodes[claimant].down || m.suspects[claimant] != nil
	if claimantDown && !ownerDown && !modelOlder(m.epoch[owner], claim) {
		return "refuse", s
	}
	highest, before, contradicted := 0, 0, false
	for _, c := range s.claims {
		highest = max(highest, c.epoch)
		if c.name == claimant {
			before, contradicted = max(0, c.epoch), true
		}
	}
	count := func() (string, modelSlot) {
		if v.source == "" && s.deniers[""] {
			if s.again++; s.again == 8 {
				return "take", s
			}
			return "refuse", s
		}
		denied := maps.Clone(s.deniers)
		if denied == nil {
			denied = map[string]bool{}
		}
		denied[v.source] = true
		if len(denied) == 3 {
			return "take", s
		}
		s.deniers = denied
		return "refuse", s
	}
	gaveUp := has && line.primary == "" && !modelOlder(lineEpoch, m.epoch[owner]) && !late
	if s.told {
		switch {
		case claim >= 0 && claim < highest && !gaveUp, late:
			return "refuse", s
		case v.source != "" && v.source == s.from && !v.open(claimant),
			!contradicted && claim > highest,
			contradicted && claim > before && v.source == claimant,
			lost:
			return "take", s
		}
		return count()
	}
	switch {
	case modelOlder(m.epoch[owner], claim) && contradicted && !lost && has && modelOlder(lineEpoch, m.epoch[owner]):
		return count()
	case modelOlder(m.epoch[owner], claim):
		return "take", s
	case modelOlder(claim, m.epoch[owner]) && gaveUp:
		return count()
	case modelOlder(claim, m.epoch[owner]), late:
		return "refuse", s
	case !contradicted, lost, v.source == "":
		return "take", s
	}
	return count()
}

// suspicions applies rules 12 and 13.
func (m *model) suspicions(v modelView, force bool) {
	if force {
		clear(m.suspects)
		return
	}
	latest := 0
	for _, n := range v.nodes {
		latest = max(latest, n.pong)
	}
	for x, u := range m.suspects {
		n, ok := v.nodes[x]
		if !ok {
			continue // if it stays nonetheless, so does the suspicion
		}
		over := false
		switch {
		case v.source == x:
			over = true
		case u.left != "":
			primary := n.primary
			if primary == "" {
				primary = x
			}
			if primary != u.left {
				over = true
			} else if v.source != "" {
				if u.deniers == nil {
					u.deniers = map[string]bool{}
				}
				u.deniers[v.source] = true
				over = len(u.deniers) == 3
			}
		case n.down:
			u.flagged = v.source
		case u.flagged != "" && u.flagged == v.source:
			over = true
		case u.pong != 0 && n.pong > u.pong+1000:
			over = true
		}
		if over {
			delete(m.suspects, x)
			continue
		}
		if u.left == "" && u.pong == 0 {
			u.pong = latest
		}
	}
}

// place applies rules 9 and 10: it makes the nodes of the map.
func (m *model) place(v modelView, stays [len(modelSlots)]bool, force bool) {
	was, wasEpoch, wasDown := m.primary, m.epoch, m.down
	m.primary, m.epoch, m.down = map[string]string{}, map[string]int{}, map[string]bool{}
	owns := map[string]bool{}
	mine := map[string]bool{} // primaries of shards that are the map's
	for i, s := range m.slots {
		if s.owner == "" {
			continue
		}
		owns[s.owner] = true
		if n, ok := v.nodes[s.owner]; stays[i] && (!ok || n.primary != "") {
			mine[s.owner] = true
		}
	}
	inShard := map[string]bool{} // primaries of the view
	for x, n := range v.nodes {
		if n.primary == "" {
			inShard[x] = true
			if was[x] == x && !force && modelOlder(n.epoch, wasEpoch[x]) {
				mine[x] = true
			}
		}
	}
	for x := range owns {
		m.primary[x] = x
	}
	for x := range mine {
		m.primary[x] = x
		m.epoch[x] = wasEpoch[x]
		m.down[x] = wasDown[x]
	}
	for x, p := range was {
		if mine[p] && m.primary[x] == "" {
			m.primary[x] = p
			m.down[x] = wasDown[x]
		}
	}
	for x := range inShard {
		if m.primary[x] == "" {
			m.primary[x] = x
		}
	}
	for x, n := range v.nodes {
		if n.primary != "" && m.primary[x] == "" {
			m.primary[x] = m.primary[n.primary] // where its primary is
		}
		if m.primary[x] == x && !mine[x] {
			m.epoch[x] = n.epoch
			if n.epoch < 0 && was[x] == x && !force {
				m.epoch[x] = wasEpoch[x]
			}
		}
		if !mine[m.primary[x]] || was[x] != m.primary[x] {
			m.down[x] = n.down
		}
		if m.primary[x] != "" && !(mine[x] && m.stranger[x] && v.nodes[x].primary == "") {
			delete(m.stranger, x)
		}
	}
	for x := range m.primary {
		if m.stranger[x] && v.nodes[x] != (modelNode{}) {
			delete(m.stranger, x)
		}
	}
	m.settle()
}

func (v modelView) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%c of %q:", v.kind, v.source)
	for _, x := range slices.Sorted(maps.Keys(v.nodes)) {
		fmt.Fprintf(&b, " %s%+v", x, v.nodes[x])
	}
	return fmt.Sprintf("%s %q, twins %q", b.String(), v.owners, v.twins)
}

// cluster makes the view.
func (v modelView) cluster(t testing.TB) *Cluster {
	names := slices.Sorted(maps.Keys(v.nodes))
	slots := func(x string) (out []hashslot.Slot) {
		for i, o := range v.owners {
			if o == x {
				out = append(out, modelSlots[i])
			}
		}
		return out
	}
	from := Origin{}
	if v.source != "" {
		from.Addr = v.source + ".example:6379"
	}
	var c *Cluster
	var err error
	switch v.kind {
	case 'N':
		var b strings.Builder
		for _, x := range names {
			n := v.nodes[x]
			flags, primary := "master", "-"
			if n.primary != "" {
				flags, primary = "slave", n.primary
			}
			if x == v.source {
				flags = "myself," + flags
			}
			if n.down {
				flags += ",fail"
			}
			fmt.Fprintf(&b, "%s %s.example:6379@1 %s %s 0 %d %d connected", x, x, flags, primary, n.pong, max(0, n.epoch))
			for _, s := range slots(x) {
				fmt.Fprintf(&b, " %d", s)
			}
			b.WriteByte('\n')
		}
		c, err = ParseNodes(b.String(), Origin{})
	case 'S':
		reply := []any{}
		for i, o := range v.owners {
			if o == "" {
				continue
			}
			entry := []any{int64(modelSlots[i]), int64(modelSlots[i]), []any{o + ".example", int64(6379), o}}
			for _, x := range names {
				if v.nodes[x].primary == o {
					entry = append(entry, []any{x + ".example", int64(6379), x})
				}
			}
			reply = append(reply, entry)
		}
		c, err = ParseSlots(reply, from)
	default:
		reply := []any{}
		for _, p := range names {
			if v.nodes[p].primary != "" || p == v.twins[1] {
				continue
			}
			nodes, ranges := []any{}, []any{}
			for _, x := range names {
				n := v.nodes[x]
				twin := p == v.twins[0] && x == v.twins[1]
				if x != p && n.primary != p && !twin {
					continue
				}
				role, health := "master", "online"
				if n.primary != "" {
					role = "replica"
				}
				if n.down {
					health = "fail"
				}
				nodes = append(nodes, map[any]any{"id": x, "endpoint": x + ".example", "port": int64(6379), "role": role, "health": health})
			}
			for _, s := range slots(p) {
				ranges = append(ranges, int64(s), int64(s))
			}
			shard := map[any]any{"slots": ranges, "nodes": nodes}
			if p == v.twins[0] {
				shard["id"] = "shard"
			}
			reply = append(reply, shard)
		}
		c, err = ParseShards(reply, from)
	}
	require.NoError(t, err)
	return c
}

// A picker gives numbers that decide what happens: bytes of a fuzzer, or random
// ones.
type picker func(n int) int

// randomView draws a view.
func randomView(pick picker) modelView {
	v := modelView{kind: "NNSH"[pick(4)], nodes: map[string]modelNode{}}
	var primaries []string
	for _, x := range modelNodes {
		if role := pick(4); role > 0 {
			n := modelNode{epoch: -1, down: pick(6) == 0}
			if v.kind == 'N' {
				n.epoch, n.pong = pick(5), 500*pick(5)
			}
			if role > 1 && len(primaries) > 0 {
				n.primary = primaries[pick(len(primaries))]
			} else {
				primaries = append(primaries, string(x))
			}
			v.nodes[string(x)] = n
		}
	}
	if len(primaries) > 0 {
		o := primaries[pick(len(primaries))]
		for i := range v.owners {
			if k := pick(6); k == 0 {
				o = ""
			} else if k < 4 || o == "" {
				o = primaries[pick(len(primaries))]
			}
			v.owners[i] = o
		}
	}
	if len(v.nodes) == 0 {
		v.kind = 'H' // there is no empty CLUSTER NODES
	}
	if k := pick(1 + len(modelNodes)); k > 0 {
		v.source = modelNodes[k-1 : k]
	}
	if _, ok := v.nodes[v.source]; v.kind == 'N' && !ok {
		v.source = "" // it tells of itself
	}
	if v.kind == 'H' && len(primaries) > 1 && pick(2) == 0 {
		// The primary that has not failed has the slots, then the one with the smaller id.
		p, q := primaries[0], primaries[1]
		if v.nodes[p].down && !v.nodes[q].down {
			p, q = q, p
		}
		v.twins = [2]string{p, q}
		for i, o := range v.owners {
			if o == q {
				v.owners[i] = p
			}
		}
		for x, n := range v.nodes {
			if n.primary == q {
				n.primary = p
				v.nodes[x] = n
			}
		}
	}
	if v.kind == 'S' { // nothing but the shards of slots, and no failures
		for x, n := range v.nodes {
			p := n.primary
			if p == "" {
				p = x
			}
			if n.down = false; !slices.Contains(v.owners[:], p) {
				delete(v.nodes, x)
			} else {
				v.nodes[x] = n
			}
		}
	}
	return v
}

// checkModel runs a sequence of events over a Router and the model.
func checkModel(t testing.TB, events int, pick picker, more func() bool) {
	var r Router
	m := newModel()
	told := tell(&r)
	var log []func() string // of what happened
	note := func(format string, args ...any) {
		log = append(log, func() string { return fmt.Sprintf(format, args...) })
	}
	for range events {
		if !more() {
			return
		}
		before := r.load()
		seen := max(0, m.gen-pick(3)/2*pick(4))
		var got Result
		want := OutcomeUnchanged
		ask := false
		node := func(x string) *Node {
			if n := r.Node(x); n != nil {
				return n
			}
			if s, ok := r.load().members.byAddr.get(x + ".example:6379"); ok {
				return s.node
			}
			return &Node{ID: x, key: x}
		}
		x := "abcdefxy"[pick(8):][:1]
		switch pick(10) {
		default:
			v := randomView(pick)
			force := pick(20) == 0
			note("apply %v seen %d force %v", v, seen, force)
			if force {
				got = r.Replace(v.cluster(t))
			} else {
				got = r.Apply(v.cluster(t), Generation(seen))
			}
			want = m.apply(v, seen, force)
			ask = m.pending
			if want == OutcomeApplied && got.Outcome == OutcomeUnchanged && got.Change == nil {
				want = OutcomeUnchanged
			}
			if got.Change != nil {
				m.gen++
			}
		case 0, 1, 2:
			i, from := pick(len(modelSlots)), "?abcdefxy"[pick(9):][:1]
			var f *Node
			if from != "?" {
				f = node(from)
			}
			if m.primary[from] == "" {
				f, from = nil, ""
			}
			note("moved %d to %s from %q seen %d", modelSlots[i], x, from, seen)
			got = r.Moved(moved(modelSlots[i], x), f, Generation(seen))
			want, ask = m.moved(i, x, from, seen)
		case 3, 4:
			note("failed %s", x)
			got = r.Failed(node(x))
			want, ask = m.failed(x)
		case 5:
			note("succeeded %s", x)
			got, want = r.Succeeded(node(x)), m.succeeded(x)
		case 6:
			note("promote %s", x)
			got = r.Promote(node(x))
			if m.primary[x] != "" && m.primary[x] != x {
				m.gen++
				m.promote(x, "")
				want, ask = OutcomeFailedOver, m.ask()
			}
		case 7:
			note("refresh failed")
			r.RefreshFailed()
			m.pending = false
			got.Seen = r.Generation()
		}
		fail := func(what string, args ...any) {
			var events strings.Builder
			for _, e := range log {
				fmt.Fprintln(&events, e())
			}
			t.Fatalf("%s\nafter\n%sof\n%snow\n%s", fmt.Sprintf(what, args...), events.String(), before, r.load())
		}
		if got.Outcome != want || got.Refresh != ask {
			fail("%v, refresh %v, but the model says %v, %v", got.Outcome, got.Refresh, want, ask)
		}
		if r.Generation() != Generation(m.gen) || got.Seen != r.Generation() {
			fail("generation %d, seen %d, but the model says %d", r.Generation(), got.Seen, m.gen)
		}
		if diff := m.diff(&r); diff != "" {
			fail("%s", diff)
		}
		checkMap(t, &r)
		told.check(t)
	}
}

// String returns the map as text.
func (s *state) String() string {
	var b strings.Builder
	for _, shard := range s.shards {
		fmt.Fprintf(&b, "%v %v", shard.Primary, s.table.SlotsOf(shard))
		if shard.Primary.versioned {
			fmt.Fprintf(&b, " epoch %d", shard.Primary.ConfigEpoch)
		}
		for _, n := range shard.Replicas {
			fmt.Fprintf(&b, ", %v", n)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// diff returns how the map differs from the model's.
func (m *model) diff(r *Router) string {
	s := r.load()
	name := func(n *Node) string {
		if n == nil {
			return ""
		}
		return strings.TrimSuffix(n.addr, ".example:6379")
	}
	for i, slot := range modelSlots {
		owner := ""
		shard, g := s.owner(slot)
		if shard != nil {
			owner = name(shard.Primary)
		}
		if owner != m.slots[i].owner {
			return fmt.Sprintf("slot %d: owner %q, but the model says %q", slot, owner, m.slots[i].owner)
		}
		if shard != nil && (g.told != m.slots[i].told || int(g.gen) != m.slots[i].changed) {
			return fmt.Sprintf("slot %d: ground %+v, but the model says %+v", slot, g, m.slots[i])
		}
	}
	have := map[string]string{}
	for _, x := range s.members.all() {
		have[name(x.node)] = name(x.shard.Primary)
		if x.node.Flags.Has(FlagPFail) != (m.suspects[name(x.node)] != nil) {
			return fmt.Sprintf("%v: flags %v, but the model says %v", x.node, x.node.Flags, m.suspects[name(x.node)])
		}
		if x.node.Flags.Has(FlagFail) != m.down[name(x.node)] {
			return fmt.Sprintf("%v: flags %v, but the model says %v", x.node, x.node.Flags, m.down[name(x.node)])
		}
		if x.node != x.shard.Primary {
			continue
		}
		if e := m.epoch[name(x.node)]; x.node.versioned != (e >= 0) || e > 0 && x.node.ConfigEpoch != uint64(e) {
			return fmt.Sprintf("%v: epoch %d (%v), but the model says %d", x.node, x.node.ConfigEpoch, x.node.versioned, e)
		}
	}
	if !maps.Equal(have, m.primary) {
		return fmt.Sprintf("primaries %v, but the model says %v", have, m.primary)
	}
	return ""
}

var (
	sequences = flag.Uint64("sequences", 1500, "how many sequences of events are compared with the model; a sixth of them with -short")
	first     = flag.Uint64("first", 0, "the number of the first of them")
)

// After random sequences of all events, the Router has the map of the model.
func TestRouterModel(t *testing.T) {
	rounds := *sequences
	if testing.Short() {
		rounds /= 12
	}
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(*first+seed, 11))
		checkModel(t, 12, rng.IntN, func() bool { return true })
	}
}

func FuzzRouter(f *testing.F) {
	for seed := range byte(8) {
		rng := rand.New(rand.NewPCG(uint64(seed), 12))
		data := make([]byte, 400)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		pick := func(n int) int {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			return int(b) % n
		}
		checkModel(t, 40, pick, func() bool { return len(data) > 0 })
	})
}
