package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// A broken is what the nodes of a broken cluster say: primaries first, then replicas of
// the first primary.
type broken struct {
	ids              []string
	primaries        int
	epochs           []uint64
	owns             []slotmap.Set
	migrating, takes []map[hashslot.Slot]int // to and from which node
	known            [][]uint64              // by node: the epochs that it knows
	believes         []map[hashslot.Slot]int // by node: the owners that it believes in, of slots in doubt; or nobody
	doubt            []hashslot.Slot
}

// randomBroken breaks up to a dozen slots.
func randomBroken(rng *rand.Rand) broken {
	b := broken{primaries: 1 + rng.IntN(6)}
	n := b.primaries + rng.IntN(3)
	for _, i := range rng.Perm(n) {
		b.ids = append(b.ids, fmt.Sprintf("n%d", i))
	}
	b.epochs, b.owns, b.known = make([]uint64, n), make([]slotmap.Set, n), make([][]uint64, n)
	empty := rng.IntN(b.primaries) // the last ones have no slots
	for slot := range hashslot.Count {
		b.owns[slot*(b.primaries-empty)/hashslot.Count].Add(hashslot.Slot(slot))
	}
	for i := range n {
		b.migrating, b.takes, b.believes = append(b.migrating, map[hashslot.Slot]int{}), append(b.takes, map[hashslot.Slot]int{}), append(b.believes, map[hashslot.Slot]int{})
		b.epochs[i] = rng.Uint64N(6)
	}
	for i := range n {
		for k := range n {
			b.known[i] = append(b.known[i], b.epochs[k]-min(b.epochs[k], rng.Uint64N(8)/6))
		}
	}
	primary := func() int { return rng.IntN(b.primaries) }
	few := rng.IntN(3) == 0 // slots of each, but for the first
	if few {
		b.owns[0] = allSlots()
		for i := 1; i < n; i++ {
			b.owns[i] = slotmap.Set{}
		}
	}
	place := rng.IntN(hashslot.Count - 100)
	for range rng.IntN(12) {
		if place += 1 + rng.IntN(3); rng.IntN(4) == 0 {
			place = rng.IntN(hashslot.Count - 100)
		}
		slot := hashslot.Slot(place)
		b.doubt = append(b.doubt, slot)
		if few && b.owns[0].Contains(slot) {
			b.owns[0].Remove(slot)
			b.owns[primary()].Add(slot)
		}
		if rng.IntN(2) == 0 { // it goes from one to another
			to := primary()
			for i := range b.primaries {
				if b.owns[i].Contains(slot) && rng.IntN(4) > 0 {
					b.migrating[i][slot] = to
				}
			}
			if rng.IntN(3) == 0 {
				to = primary()
			}
			for range 1 + rng.IntN(3) {
				b.takes[to][slot] = primary()
				to = primary()
			}
		}
		switch rng.IntN(4) {
		case 0: // nobody owns it
			for i := range b.owns {
				b.owns[i].Remove(slot)
			}
		case 1: // one more does
			b.owns[primary()].Add(slot)
		}
		for i := range b.believes {
			switch rng.IntN(3) {
			case 0:
				b.believes[i][slot] = nobody
			case 1:
				b.believes[i][slot] = primary()
			}
		}
	}
	return b
}

// view is what node i says.
func (b broken) view(t *testing.T, i int) *topology.Cluster {
	var text strings.Builder
	mine, said := b.owns[i], b.owns[i]
	for k, id := range b.ids {
		role, slots := "master -", b.owns[k].Subtract(said)
		if k == i {
			slots = mine
		}
		if k >= b.primaries {
			role = "slave " + b.ids[0]
		}
		for slot, owner := range b.believes[i] {
			if !mine.Contains(slot) && k != i {
				slots.Remove(slot)
				if owner == k {
					slots.Add(slot)
				}
			}
		}
		said = said.Union(slots) // nobody believes in two owners
		if k == i {
			role = "myself," + role
		}
		fmt.Fprintf(&text, "%s 10.0.0.%d:1@2 %s 0 0 %d connected %s", id, k, role, b.known[i][k], slots)
		if k == i {
			for _, slot := range b.doubt {
				if to, ok := b.migrating[i][slot]; ok && to != i {
					fmt.Fprintf(&text, " [%d->-%s]", slot, b.ids[to])
				} else if from, ok := b.takes[i][slot]; ok && from != i {
					fmt.Fprintf(&text, " [%d-<-%s]", slot, b.ids[from])
				}
			}
		}
		text.WriteByte('\n')
	}
	return parse(t, text.String())
}

// A repair is the same as before. That it repairs, package plantest shows.
func TestRepairsStay(t *testing.T) {
	rng := rand.New(rand.NewPCG(41, 2))
	r := newRecord()
	cases := map[FixCase]int{}
	asked := 0
	for range 100 {
		b := randomBroken(rng)
		var views []*topology.Cluster
		for i := range b.ids {
			if rng.IntN(10) > 0 {
				views = append(views, b.view(t, i))
			}
		}
		o := FixOptions{Unreachable: rng.IntN(3) > 0, SetSlots: SetSlotOptions{Databases: rng.IntN(3), AddSlots: rng.IntN(2) == 0, Replace: rng.IntN(2) == 0}}
		keys := KeyCounts{}
		for _, slot := range b.doubt {
			many := rng.IntN(3) == 0
			for i, id := range b.ids {
				if keys.Put(id, slot, 0); many || b.owns[i].Contains(slot) {
					keys.Put(id, slot, max(0, rng.IntN(6)-3))
				}
			}
		}
		if o.StrayKeys = rng.IntN(20) == 0; o.StrayKeys {
			for _, id := range b.ids {
				for slot := range hashslot.Slot(hashslot.Count) {
					keys.Put(id, slot, keys[id][slot])
				}
			}
		}
		if len(b.doubt) > 0 && rng.IntN(8) == 0 {
			delete(keys[b.ids[rng.IntN(len(b.ids))]], b.doubt[0])
		}
		got, err := Fix(views, keys, o)
		for need := (*CountsError)(nil); errors.As(err, &need); need = nil {
			asked++
			r.add(err)
			for _, q := range need.Ask {
				for slot := range q.Slots.Slots() {
					keys.Put(q.Node, slot, 0)
				}
			}
			got, err = Fix(views, keys, o)
			require.False(t, errors.As(err, &need), "all counts are known")
		}
		r.add(err)
		text, err := json.Marshal(got)
		require.NoError(t, err)
		r.add(string(text), got.Summary())
		for _, s := range got.Slots {
			cases[s.Case]++
		}
	}
	t.Log(cases, asked)
	require.Len(t, cases, 10)
	require.Greater(t, asked, 10)
	r.requireSame(t, "8d2d5511442a")
}

// A node that does not know the node with the highest epoch has to hear of it, too.
func TestFixWaitsForStrangers(t *testing.T) {
	a := parse(t, "a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-16383 [5->-b]\n")
	b := parse(t, "b 10.0.0.2:1@2 myself,master - 0 0 0 connected\n")
	got, err := Fix([]*topology.Cluster{a, b}, KeyCounts{"a": {5: 0}, "b": {5: 0}}, FixOptions{})
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(got.Steps, func(s Step) bool { return s.Kind == KindWait && s.Node == "b" && s.Peer == "a" }))
}

// The steps wait for the epochs that targets get. The only node with the highest epoch keeps
// it, one of several does not.
func TestFixEpochs(t *testing.T) {
	counts := KeyCounts{}
	for _, tc := range []struct {
		epochs [3]int
		want   []uint64
	}{{[3]int{1, 2, 3}, []uint64{4, 4, 5, 5}}, {[3]int{1, 3, 2}, []uint64{3, 3, 4, 4}}, {[3]int{1, 3, 3}, []uint64{4, 4, 5, 5}}, {[3]int{3, 2, 1}, []uint64{4, 4, 5, 5}}} {
		var views []*topology.Cluster
		for i, id := range []string{"a", "b", "c"} {
			counts.Put(id, 5, 0)
			counts.Put(id, 6, 0)
			lines := []string{"a 10.0.0.1:1@2 master - 0 0 %d connected 0-16383", "b 10.0.0.2:1@2 master - 0 0 %d connected", "c 10.0.0.3:1@2 master - 0 0 %d connected"}
			lines[i] = strings.Replace(lines[i], "master", "myself,master", 1) + []string{" [5->-b] [6->-c]", " [5-<-a]", " [6-<-a]"}[i]
			views = append(views, parse(t, fmt.Sprintf(strings.Join(lines, "\n"), tc.epochs[0], tc.epochs[1], tc.epochs[2])))
		}
		r, err := Fix(views, counts, FixOptions{})
		require.NoError(t, err)
		var got []uint64
		for _, s := range r.Steps {
			if s.Kind == KindWait {
				got = append(got, s.Epoch)
			}
		}
		require.Equal(t, tc.want, got, tc.epochs)
	}
}

func TestFixRefuses(t *testing.T) {
	one := parse(t, "a h:1@2 myself,master - 0 0 1 connected 0-16383\n")
	for want, views := range map[string][]*topology.Cluster{
		"plan: views[1]: is nil": {one, nil},
		"plan: views[0]: must be the reply of one node to CLUSTER NODES: no node is marked as myself": {parse(t, "a h:1@2 master - 0 0 1 connected\n")},
		`plan: views[1] "a": is a second view of the same node`:                                       {one, one},
		"plan: views: none of the nodes that were asked is a primary":                                 nil,
	} {
		_, err := Fix(views, nil, FixOptions{})
		require.EqualError(t, err, want)
	}
	_, err := Fix([]*topology.Cluster{one}, nil, FixOptions{SetSlots: SetSlotOptions{Keys: -1}})
	require.ErrorContains(t, err, "Keys")
	require.EqualError(t, &CountsError{}, "plan: the repair depends on key counts that are not known")
}

// viewsOf returns what each of the primaries says, as lines of nodesOf. Only a node itself
// says what it migrates and imports.
func viewsOf(t *testing.T, lines ...string) (views []*topology.Cluster) {
	for i := range lines {
		var seen []string
		for k, l := range lines {
			if k == i {
				l = strings.Replace(l, "master", "myself,master", 1)
			} else {
				l, _, _ = strings.Cut(l, " [")
			}
			seen = append(seen, l)
		}
		views = append(views, parse(t, nodesOf(seen...)))
	}
	return views
}

// A node that gives its last slot gets its slots before, so that it stays a primary.
func TestFixMovesLastSlotsLate(t *testing.T) {
	for _, tc := range []struct {
		want  string // the slots as they move, and the nodes that may have become replicas
		lines []string
	}{
		{"6 5 7", []string{"a master [5-<-b] [7-<-b]", "b master 5 7 [5->-a] [6-<-c] [7->-a]", "c master 0-4 6 8-16383 [6->-b]"}},
		{"5 6", []string{"a master [5-<-b]", "b master 5 7 [5->-a] [6-<-c]", "c master 0-4 6 8-16383 [6->-b]"}}, // not its last
		{"6 b 5", []string{"a master 5 [5->-b] [6-<-b]", "b master 6 [6->-a] [5-<-a]", "c master 0-4 7-16383"}}, // two wait for each other
		{"5 b 6", []string{"a master [5-<-b]", "b master 5 [5->-a]", "c master [6-<-d]", "d master 0-4 6-16383 [6->-c]"}},
	} {
		keys := KeyCounts{}
		for _, id := range []string{"a", "b", "c", "d"} {
			keys[id] = map[hashslot.Slot]int{5: 0, 6: 0, 7: 0}
		}
		got, err := Fix(viewsOf(t, tc.lines...), keys, FixOptions{})
		require.NoError(t, err)
		var moved []string
		for _, s := range got.Steps {
			switch {
			case s.Kind == KindOwner && s.Node == s.Peer:
				moved = append(moved, s.Slots[0].String())
			case s.Until.Condition == untilInSync:
				moved = append(moved, s.Node)
			}
		}
		require.Equal(t, tc.want, strings.Join(moved, " "))
	}
}

// Keys at a primary that does not own their slot are found, and go to the node with most keys.
func TestFixFindsStrayKeys(t *testing.T) {
	views := viewsOf(t, "a master 0-4", "b master 5", "c master 6-16383")
	for _, tc := range []struct {
		a, b, c int // keys of slot 5
		want    string
	}{
		{0, 1, 0, ""},
		{0, 2, 1, "c set importing, c move keys, c set stable"},
		{3, 1, 1, "b unassign, a bump epoch, a set owner, b wait, c wait, b wait, c wait, a wait, b set importing, b move keys, b set stable, c set importing, c move keys, c set stable"},
	} {
		keys := KeyCounts{}
		for id, n := range map[string]int{"a": tc.a, "b": tc.b, "c": tc.c} {
			for slot := range hashslot.Slot(hashslot.Count) {
				keys.Put(id, slot, 0)
			}
			keys.Put(id, 5, n)
		}
		got, err := Fix(views, keys, FixOptions{StrayKeys: true})
		require.NoError(t, err)
		var steps []string
		for _, s := range got.Steps {
			steps = append(steps, s.Node+" "+string(s.Kind))
		}
		require.Equal(t, tc.want, strings.Join(steps, ", "))
	}
}
