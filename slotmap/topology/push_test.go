package topology

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

func TestParseMigration(t *testing.T) {
	m, err := ParseMigration([]any{"SMIGRATING", int64(7), "123,456,789-1000"}, Origin{})
	require.NoError(t, err)
	assert.Equal(t, Migration{Seq: 7, Slots: slotmap.MustParseSet("123 456 789-1000")}, m)

	from := Origin{Addr: "asked:9", Map: func(addr string) string { return strings.Replace(addr, "10.0.0.3", "nat", 1) }}
	want := []SlotMove{
		{"10.0.0.1:6379", "10.0.0.2:6380", slotmap.MustParseSet("0-5 7")},
		{"[::1]:1", "nat:6379", slotmap.MustParseSet("6")},
		{"asked:4", "", slotmap.MustParseSet("9")},
	}
	moves := []any{[]any{"10.0.0.1:6379", "10.0.0.2:6380", "0-5,7"}, []any{"::1:1", []byte("10.0.0.3:6379"), int64(6)}, []any{":4", "?:5", " 9", "more"}}
	for _, push := range [][]any{{[]byte("smigrated"), "8", moves, "more"}, append([]any{"SMIGRATED", 8}, moves...)} {
		m, err = ParseMigration(push, from)
		require.NoError(t, err)
		assert.Equal(t, Migration{Done: true, Seq: 8, Slots: slotmap.MustParseSet("0-7 9"), Moves: want}, m)
	}
	assert.EqualError(t, ErrNotMigration, "topology: not a push about a migration")
	for _, push := range []any{nil, "SMIGRATED", []any{}, []any{"invalidate", nil}, []any{7, 1, "5"}, errors.New("SMIGRATED")} {
		_, err := ParseMigration(push, Origin{})
		assert.Equal(t, ErrNotMigration, err, push)
	}
	for want, push := range map[string][]any{
		"reply: has no sequence number and slots":                            {"SMIGRATED", 1},
		`[1]: is the text "x", not a sequence number`:                        {"SMIGRATING", "x", "5"},
		"[2]: is null, not slots":                                            {"SMIGRATING", 1, nil},
		`[2]: "" is not a slot or a range of slots from 0 to 16383`:          {"SMIGRATING", 1, ""},
		`[2]: "-" is not a slot or a range of slots from 0 to 16383`:         {"SMIGRATING", 1, 16384},
		`[2]: "16384" is not a slot or a range of slots from 0 to 16383`:     {"SMIGRATING", 1, "5,16384"},
		`[2]: "05" is not a slot or a range of slots from 0 to 16383`:        {"SMIGRATING", 1, "05"},
		`[2]: is not a source, a target and slots`:                           {"SMIGRATED", 1, []any{}},
		`[2][0]: is not a source, a target and slots`:                        {"SMIGRATED", 1, []any{[]any{"a:1", "b:1"}}},
		`[2][1][1]: is the number 7, not text`:                               {"SMIGRATED", 1, []any{[]any{"a:1", "b:1", "5"}, []any{"a:1", 7, "6"}}},
		`[2][0][2]: "9-8" is not a slot or a range of slots from 0 to 16383`: {"SMIGRATED", 1, []any{[]any{"a:1", "b:1", "5,9-8"}}},
		`[3]: slots that are in another move, too: 5-6`:                      {"SMIGRATED", 1, []any{"a:1", "b:1", "1-9"}, []any{"a:1", "c:1", "5-6,10"}},
		`[2]: is the text "a:1", not a list`:                                 {"SMIGRATED", 1, "a:1", "b:1", "5"},
	} {
		_, err := ParseMigration(push, Origin{})
		var e *slotmap.ParseError
		require.ErrorAs(t, err, &e, want)
		assert.EqualError(t, err, "SMIGRATED: "+want)
	}
}

// The addresses of a push are what to dial, or "".
func TestAddressOfAPush(t *testing.T) {
	nothing := func(addr string) string { panic("nothing to map: " + addr) }
	for _, c := range []struct {
		addr string
		from Origin
		want string
	}{
		{"a:1", Origin{}, "a:1"}, {"::1:1", Origin{}, "[::1]:1"}, {"[::1]:1", Origin{}, "[::1]:1"},
		{":1", Origin{Addr: "asked:9"}, "asked:1"}, {"0.0.0.0:1", Origin{Addr: "asked:9"}, "asked:1"}, {"[::]:1", Origin{Addr: "asked:9"}, "asked:1"},
		{":1", Origin{Map: nothing}, ""}, {"?:1", Origin{Map: nothing}, ""}, {"a:0", Origin{Map: nothing}, ""}, {"a:x", Origin{Map: nothing}, ""}, {"a", Origin{Map: nothing}, ""},
		{"a:1", Origin{Map: func(string) string { return "nat:2" }}, "nat:2"}, {"a:1", Origin{Map: func(string) string { return "" }}, ""},
	} {
		assert.Equal(t, c.want, c.from.address(c.addr), c.addr)
	}
}

func migratedPush(seq int64, moves ...string) Migration {
	var list []any
	for _, m := range moves {
		f := strings.Fields(m)
		list = append(list, []any{f[0], f[1], f[2]})
	}
	m, err := ParseMigration([]any{"SMIGRATED", seq, list}, Origin{})
	if err != nil {
		panic(err)
	}
	return m
}

func at(id string) string { return moved(0, id).Addr() }

func TestMigrated(t *testing.T) {
	var r Router
	told := tell(&r)
	r.Apply(threeShards(t), 0)
	before := ownersOf(&r)
	a, b, c := at("a"), at("b"), at("c")
	require.Equal(t, a, r.Node("a").Addr())

	// Whole ranges of several sources in one change.
	got := r.Migrated(migratedPush(5, a+" "+b+" 0-9,20", b+" "+c+" 5461-5470"))
	assert.Equal(t, OutcomePatched, got.Outcome)
	assert.False(t, got.Refresh)
	assert.Equal(t, Generation(2), got.Seen)
	assert.Equal(t, "0-9 20 5461-5470", got.Change.Slots.String())
	for slot, id := range map[hashslot.Slot]string{0: "b", 9: "b", 10: "a", 20: "b", 21: "a", 5461: "c", 5471: "b"} {
		shard, _ := r.For(slot)
		assert.Equal(t, id, shard.Primary.ID, slot)
	}
	checkMap(t, &r)
	// The same over another connection; and one that is older, after which the map may be wrong.
	after := ownersOf(&r)
	assert.Equal(t, Result{Seen: 2}, r.Migrated(migratedPush(5, a+" "+b+" 0-9,20", b+" "+c+" 5461-5470")))
	got = r.Migrated(migratedPush(4, b+" "+a+" 0-9"))
	assert.Equal(t, OutcomeStale, got.Outcome)
	assert.True(t, got.Refresh)
	assert.Equal(t, after, ownersOf(&r))
	// A view that was asked for before the push does not undo it, nor does one of a node
	// that has not heard of it.
	for _, seen := range []Generation{1, 2} {
		got = r.Apply(threeShards(t), seen)
		assert.Equal(t, OutcomeStale, got.Outcome)
		assert.Equal(t, after, ownersOf(&r))
	}

	// Slots that the map has elsewhere are refused.
	r.RefreshFailed()
	got = r.Migrated(migratedPush(6, c+" "+a+" 0-4"))
	assert.Equal(t, OutcomeStale, got.Outcome)
	assert.True(t, got.Refresh)
	got = r.Migrated(migratedPush(7, c+" "+a+" 0-4,5465"))
	assert.Equal(t, OutcomePartly, got.Outcome)
	assert.Equal(t, "5465", got.Change.Slots.String())
	// Slots that are at the target already are not.
	assert.Equal(t, OutcomeUnchanged, r.Migrated(migratedPush(8, a+" "+b+" 0-9")).Outcome)
	// No address.
	got = r.Migrated(migratedPush(9, b+" ?:1 0-9"))
	assert.Equal(t, OutcomeUnroutable, got.Outcome)
	assert.Equal(t, OutcomePartly, r.Migrated(migratedPush(10, b+" ?:1 0-9", a+" "+c+" 11")).Outcome)

	// A node that no view has shown, twice; and a replica, which leaves its shard.
	got = r.Migrated(migratedPush(11, a+" new:1 12-13", c+" new:1 16000", b+" "+at("c1")+" 6000-6001"))
	assert.Equal(t, OutcomeUnknownNode, got.Outcome)
	assert.Equal(t, "new:1", ids(got.Change.Added))
	assert.Equal(t, "12-13 6000-6001 16000", got.Change.Slots.String())
	shard, _ := r.For(13)
	other, _ := r.For(16000)
	assert.Same(t, shard, other)
	shard, _ = r.For(6001)
	assert.Equal(t, "c1", shard.Primary.ID)
	shard, _ = r.For(16001)
	assert.NotContains(t, ids(shard.Replicas), "c1")
	assert.Equal(t, "c", shard.Primary.ID)
	checkMap(t, &r)
	// Both in one push: the owner loses its replica and takes slots.
	got = r.Migrated(migratedPush(12, a+" "+at("b1")+" 30", a+" "+b+" 31", b+" "+a+" 7000"))
	assert.Equal(t, OutcomeUnknownNode, got.Outcome)
	checkMap(t, &r)
	told.check(t)

	// SMIGRATING changes nothing; a re-created cluster begins with new numbers.
	m, err := ParseMigration([]any{"SMIGRATING", 99, "0-16383"}, Origin{})
	require.NoError(t, err)
	gen := r.Generation()
	assert.Equal(t, Result{Seen: gen}, r.Migrated(m))
	assert.Equal(t, Result{Seen: gen}, r.Migrated(Migration{}))
	r.Replace(threeShards(t))
	assert.Equal(t, before, ownersOf(&r))
	assert.Equal(t, OutcomePatched, r.Migrated(migratedPush(1, a+" "+b+" 0")).Outcome)
	for i := range int64(3 * remembers) {
		r.Migrated(migratedPush(2+i, a+" "+b+" 1"))
	}
	assert.Len(t, r.load().pushes, remembers)

	// A Router without a map takes all moves.
	var empty Router
	got = empty.Migrated(migratedPush(1, "h:1 h:2 5-6"))
	assert.Equal(t, OutcomeUnknownNode, got.Outcome)
	assert.Equal(t, "5-6 h:2", ownersOf(&empty))
	checkMap(t, &empty)
}

// What becomes of the rest of the map: views before and after the push, the other
// shards, and the state that readers have.
func TestMigratedLeavesTheRest(t *testing.T) {
	var r Router
	r.Apply(threeShards(t), 0)
	r.Migrated(migratedPush(1, at("a")+" "+at("b")+" 0-9"))
	taken := view(t, "a master,myself 9 0-5460", "a1 slave:a 1", "a2 slave:a 1", "b master 2 5461-10922", "b1 slave:b 2", "b2 slave:b 2", "c master 3 10923-16383", "c1 slave:c 3", "c2 slave:c 3")
	assert.Equal(t, OutcomeStale, r.Apply(taken, 1).Outcome, "a may have had that epoch before")
	assert.Equal(t, OutcomeApplied, r.Apply(taken, 2).Outcome)
	assert.Equal(t, "0-5460 a, 5461-10922 b, 10923-16383 c", ownersOf(&r))

	r.Failed(r.Node("c1"))
	before := r.load()
	a, _ := r.For(0)
	r.Migrated(migratedPush(2, at("b")+" "+at("c1")+" 6000"))
	same, _ := r.For(0)
	assert.Same(t, a, same)
	assert.NotNil(t, before.suspects["c1"])
	assert.Nil(t, r.load().suspects["c1"])

	// Two moves of one slot: the last one counts, and no node is lost.
	var slot slotmap.Set
	slot.Add(5)
	r.Migrated(Migration{Done: true, Seq: 3, Moves: []SlotMove{{at("a"), at("a1"), slot}, {at("a"), at("b"), slot}}})
	shard, _ := r.For(5)
	assert.Equal(t, "b", shard.Primary.ID)
	assert.Equal(t, RolePrimary, r.Node("a1").Role)
	checkMap(t, &r)

	// 16 pushes are remembered.
	for i := range int64(17) {
		r.Migrated(migratedPush(100+i, at("a")+" "+at("b")+" 5"))
	}
	assert.Equal(t, OutcomeStale, r.Migrated(migratedPush(100, at("a")+" "+at("b")+" 5")).Outcome)
	assert.Equal(t, OutcomeUnchanged, r.Migrated(migratedPush(101, at("a")+" "+at("b")+" 5")).Outcome)
}

// A push may name one node by two of its addresses.
func TestMigratedToOneNodeByTwoNames(t *testing.T) {
	var r Router
	c, err := ParseNodes("a h:1@1,a.example myself,master - 0 0 1 connected 0-99\nr h:2@1,r.example slave a 0 0 1 connected\n", Origin{})
	require.NoError(t, err)
	r.Apply(c, 0)
	got := r.Migrated(migratedPush(1, "a.example:1 r.example:2 5", "h:1 h:2 6"))
	assert.Equal(t, OutcomeUnknownNode, got.Outcome)
	assert.Equal(t, "0-4 a, 5-6 r, 7-99 a", ownersOf(&r))
	checkMap(t, &r)
}

// Replicas of one shard that all get slots, and are suspected: the shard and the
// suspicions are copied once.
func TestMigratedToManyReplicas(t *testing.T) {
	cost := func(n int) float64 {
		lines := []string{"a master 1 0-16383"}
		m := Migration{Done: true, Seq: 1}
		for i := range n {
			id := fmt.Sprintf("r%d", i)
			lines = append(lines, id+" slave:a 1")
			var set slotmap.Set
			set.Add(hashslot.Slot(i))
			m.Moves = append(m.Moves, SlotMove{at("a"), at(id), set})
		}
		var r Router
		r.Apply(view(t, lines...), 0)
		for i := range n {
			r.Failed(r.Node(fmt.Sprintf("r%d", i)))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := r.Migrated(m)
		runtime.ReadMemStats(&after)
		require.Equal(t, n, got.Change.Slots.Len())
		require.Empty(t, r.load().suspects)
		checkMap(t, &r)
		return float64(after.TotalAlloc - before.TotalAlloc)
	}
	n := 100
	if testing.Short() {
		n /= 2
	}
	assert.Less(t, cost(4*n), 6*cost(n))
}

// Random pushes, slot by slot.
func TestMigratedModel(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(5, uint64(seed)))
		var r Router
		r.Apply(threeShards(t), 0)
		addrs := []string{at("a"), at("b"), at("c"), "h:1", "h:2"}
		var owner [hashslot.Count]string
		for slot := range owner {
			shard, _ := r.For(hashslot.Slot(slot))
			owner[slot] = shard.Primary.Addr()
		}
		latest := int64(-1)
		seen := map[int64]bool{}
		for range 8 {
			m := Migration{Done: true, Seq: int64(rng.IntN(8))}
			for range 1 + rng.IntN(3) {
				first := rng.IntN(hashslot.Count)
				var set slotmap.Set
				set.AddRange(slotmap.Range{First: hashslot.Slot(first), Last: hashslot.Slot(min(first+rng.IntN(4000), hashslot.Count-1))})
				set = set.Subtract(m.Slots)
				m.Slots = m.Slots.Union(set)
				m.Moves = append(m.Moves, SlotMove{addrs[rng.IntN(5)], addrs[rng.IntN(5)], set})
			}
			got := r.Migrated(m)
			var want slotmap.Set
			if m.Seq > latest {
				latest, seen[m.Seq] = m.Seq, true
				for _, move := range m.Moves {
					for slot := range move.Slots.Slots() {
						if owner[slot] == move.From {
							owner[slot] = move.To
							want.Add(slot)
						}
					}
				}
			} else if !seen[m.Seq] {
				require.Equal(t, OutcomeStale, got.Outcome)
			}
			if want.IsEmpty() {
				require.Nil(t, got.Change)
			} else {
				require.Equal(t, want, got.Change.Slots)
			}
			table, _ := r.Table()
			require.True(t, table.Unassigned().IsEmpty())
			for rg, shard := range table.Ranges() {
				addr := shard.Primary.Addr()
				for i, want := range owner[rg.First : int(rg.Last)+1] {
					if addr != want {
						t.Fatalf("seed %d: slot %d is at %v, want %s", seed, int(rg.First)+i, shard, want)
					}
				}
			}
			checkMap(t, &r)
		}
	}
}

var refSlotList = regexp.MustCompile(`^ *(0|[1-9]\d{0,4})(?:-(0|[1-9]\d{0,4}))? *$`)

// refMoving reads the slots of a push by a regular expression.
func refMoving(v any) (set slotmap.Set, ok bool) {
	s, isText := v.(string)
	if n, isInt := v.(int64); isInt {
		s, isText = strconv.FormatInt(n, 10), true
	}
	if f, isFloat := v.(float64); isFloat && f == float64(int64(f)) && f < 1<<50 && f > -1<<50 {
		s, isText = strconv.FormatInt(int64(f), 10), true
	}
	if !isText {
		return set, false
	}
	for _, part := range strings.Split(s, ",") {
		m := refSlotList.FindStringSubmatch(part)
		if m == nil {
			return set, false
		}
		first, _ := strconv.Atoi(m[1])
		last := first
		if m[2] != "" {
			last, _ = strconv.Atoi(m[2])
		}
		if first > last || last >= hashslot.Count {
			return set, false
		}
		for ; first <= last; first++ {
			set.Add(hashslot.Slot(first))
		}
	}
	return set, true
}

func FuzzParseMigration(f *testing.F) {
	for _, s := range []string{
		">3\r\n$10\r\nSMIGRATING\r\n:7\r\n$9\r\n1,2,5-900\r\n",
		">3\r\n$9\r\nSMIGRATED\r\n:7\r\n*2\r\n*3\r\n$3\r\na:1\r\n$3\r\nb:2\r\n$5\r\n0-5,7\r\n*3\r\n$5\r\n::1:1\r\n$2\r\n:2\r\n:9\r\n",
		">4\r\n$9\r\nSMIGRATED\r\n:7\r\n*3\r\n$3\r\na:1\r\n$3\r\nb:2\r\n$1\r\n0\r\n*3\r\n$3\r\na:1\r\n$3\r\nb:2\r\n$1\r\n0\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		push, err := dialects[0].decode(data)
		if err != nil || len(data) > 1<<12 {
			return
		}
		m, err := ParseMigration(push, Origin{Addr: "h"})
		list, _ := push.([]any)
		name := ""
		if len(list) > 0 {
			name, _ = list[0].(string)
		}
		done := strings.EqualFold(name, "SMIGRATED")
		if !done && !strings.EqualFold(name, "SMIGRATING") {
			require.Equal(t, ErrNotMigration, err)
			return
		}
		var slots slotmap.Set
		moves := 0
		ok := len(list) > 2
		if ok {
			_, err := refInt(list[1], 1<<62)
			ok = err == nil || isNegative(list[1])
		}
		switch {
		case !ok:
		case !done:
			slots, ok = refMoving(list[2])
		default:
			inner := list[2:]
			if l, isList := list[2].([]any); isList && len(l) > 0 {
				if _, nested := l[0].([]any); nested {
					inner = l
				}
			}
			for _, v := range inner {
				move, isList := v.([]any)
				if !isList || len(move) < 3 {
					ok = false
					break
				}
				_, err1 := refText(move[0])
				_, err2 := refText(move[1])
				set, isSet := refMoving(move[2])
				both := slots.Intersect(set)
				if err1 != nil || err2 != nil || !isSet || !both.IsEmpty() {
					ok = false
					break
				}
				slots = slots.Union(set)
				moves++
			}
		}
		require.Equal(t, ok, err == nil, "%v", err)
		if err == nil {
			require.Equal(t, slots, m.Slots)
			require.Len(t, m.Moves, moves)
			require.Equal(t, done, m.Done)
			var r Router
			r.Apply(threeShards(t), 0)
			r.Migrated(m)
			checkMap(t, &r)
		}
	})
}

func isNegative(v any) bool {
	switch v := v.(type) {
	case int64:
		return v < 0
	case float64:
		return v < 0 && v == float64(int64(v)) && v > -1<<52
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		return err == nil && n < 0
	}
	return false
}

// The channels to subscribe again, and where.
func TestResubscribe(t *testing.T) {
	var r Router
	r.Apply(threeShards(t), 0)
	var channels []string
	for i := range 2000 {
		channels = append(channels, fmt.Sprintf("news.{%d}.%d", i/2, i))
	}
	var last *Change
	var during []slotmap.OwnerSlots[*Shard]
	r.OnChange = func(c *Change) {
		last = c
		during, _ = r.Resubscribe(c, channels)
	}
	check := func(want func(slot hashslot.Slot) bool) {
		t.Helper()
		groups, unassigned := r.Resubscribe(last, channels)
		assert.Equal(t, groups, during)
		got := map[int]bool{}
		for _, g := range groups {
			for _, s := range g.Slots {
				owner, _ := r.For(s.Slot)
				require.Same(t, owner, g.Owner)
				for _, k := range s.Keys {
					require.Equal(t, s.Slot, hashslot.Of(channels[k]))
					got[k] = true
				}
			}
		}
		for _, s := range unassigned {
			owner, _ := r.For(s.Slot)
			require.Nil(t, owner)
			for _, k := range s.Keys {
				require.Equal(t, s.Slot, hashslot.Of(channels[k]))
				got[k] = true
			}
		}
		for k, channel := range channels {
			require.Equal(t, want(hashslot.Of(channel)), got[k], channel)
		}
	}
	r.Migrated(migratedPush(1, at("a")+" "+at("b")+" 0-2000"))
	check(func(slot hashslot.Slot) bool { return slot <= 2000 })
	// A failover: all of the shard.
	r.Promote(r.Node("c1"))
	check(func(slot hashslot.Slot) bool {
		shard, _ := r.For(slot)
		return shard.Primary.ID == "c1"
	})
	// A failure of a node moves nothing.
	r.Failed(r.Node("a"))
	check(func(hashslot.Slot) bool { return false })
	r.Succeeded(r.Node("a"))
	// Another address of an owner, and slots that nobody has any more.
	view := func(host string) *Cluster {
		c, err := NewCluster([]Node{
			{ID: "a", Host: host, Port: 9, Role: RolePrimary, Slots: []slotmap.Range{{First: 2001, Last: 5460}}},
			{ID: "b", Host: "b.example", Port: 6379, Role: RolePrimary, Slots: []slotmap.Range{{First: 0, Last: 2000}, {First: 5461, Last: 10922}}}})
		require.NoError(t, err)
		return c
	}
	r.Replace(view("elsewhere"))
	check(func(slot hashslot.Slot) bool { return slot > 10922 || slot > 2000 && slot <= 5460 })
	r.Replace(view("back"))
	check(func(slot hashslot.Slot) bool { return slot > 2000 && slot <= 5460 })
	groups, unassigned := r.Resubscribe(nil, channels)
	assert.Empty(t, groups)
	assert.Empty(t, unassigned)
}

func TestScanCursor(t *testing.T) {
	for _, c := range []struct {
		text  string
		slot  hashslot.Slot
		begun bool
	}{
		{"0-{06S}-0", 0, false},
		{`2O\Ua1-{k2}-229825`, hashslot.Of("k2"), true},
		{"abc-{a-b}-18446744073709551615", hashslot.Of("a-b"), true},
		{"-{06S}-1", 0, true},
	} {
		cursor, more, err := ParseScanCursor(c.text)
		require.NoError(t, err)
		assert.True(t, more)
		assert.Equal(t, c.slot, cursor.Slot())
		assert.Equal(t, c.begun, cursor.Begun())
		assert.Equal(t, c.text, cursor.String())
	}
	_, more, err := ParseScanCursor("0")
	require.NoError(t, err)
	assert.False(t, more)
	for text, want := range map[string]string{
		"":                           `line 1, byte 0: "" is not a cursor, fingerprint-{tag}-position`,
		"00":                         `line 1, byte 0: "00" is not a cursor, fingerprint-{tag}-position`,
		"-1":                         `line 1, byte 0: "-1" is not a cursor, fingerprint-{tag}-position`,
		"0-{06S}":                    `line 1, byte 0: "0-{06S}" is not a cursor, fingerprint-{tag}-position`,
		"0-06S-0":                    `line 1, byte 2: "06S" is not a hash tag in braces`,
		"0-{}-0":                     `line 1, byte 2: "{}" is not a hash tag in braces`,
		"0-{a}b}-0":                  `line 1, byte 2: "{a}b}" is not a hash tag in braces`,
		"{b}-{a}-0":                  `line 1, byte 4: "{a}" is not a hash tag in braces`,
		"0-{06S}-0-0":                `line 1, byte 2: "{06S}-0" is not a hash tag in braces`,
		"0-{06S}-":                   `line 1, byte 8: "" is not a position`,
		"0-{06S}-x":                  `line 1, byte 8: "x" is not a position`,
		"0-{a}-18446744073709551616": `line 1, byte 6: "18446744073709551616" is not a position`,
	} {
		_, more, err := ParseScanCursor(text)
		assert.False(t, more)
		assert.EqualError(t, err, "CLUSTERSCAN: "+want)
	}
	for slot := range hashslot.Slot(hashslot.Count) {
		c := ScanAt(slot)
		require.Equal(t, slot, c.Slot())
		again, more, err := ParseScanCursor(c.String())
		require.NoError(t, err)
		require.True(t, more)
		require.Equal(t, slot, again.Slot())
		require.False(t, again.Begun())
	}
	assert.Equal(t, ScanCursor{}, ScanAt(hashslot.Count))
	assert.Equal(t, "0-{06S}-0", ScanCursor{}.String())

	var r Router
	shard, c, _ := r.Scan(ScanAt(5))
	assert.Nil(t, shard)
	assert.Equal(t, ScanAt(5), c)
	r.Apply(view(t, "a master 1 10-19", "b master 2 100"), 0)
	for from, want := range map[hashslot.Slot]string{0: "a 10", 9: "a 10", 10: "a 10", 19: "a 19", 20: "b 100", 100: "b 100", 101: "none 101"} {
		shard, c, seen := r.Scan(ScanAt(from))
		name := "none"
		if shard != nil {
			name = shard.Primary.ID
		}
		assert.Equal(t, want, fmt.Sprint(name, " ", c.Slot()))
		assert.Equal(t, Generation(1), seen)
	}
}

func FuzzParseScanCursor(f *testing.F) {
	for _, s := range []string{"0", "0-{06S}-0", `2O\Ua1-{k2}-229825`, "0-{}-0", "0-{a}b}-0", "a-{b}-01", "0-{06S}-18446744073709551616", "-{}}-0"} {
		f.Add(s)
	}
	form := regexp.MustCompile(`(?s)^([^-{]*)-\{([^}]+)\}-([0-9]+)$`)
	f.Fuzz(func(t *testing.T, s string) {
		c, more, err := ParseScanCursor(s)
		m := form.FindStringSubmatch(s)
		ok := s == "0"
		if m != nil {
			_, err := strconv.ParseUint(m[3], 10, 64)
			ok = err == nil
		}
		require.Equal(t, ok, err == nil, "%v", err)
		require.Equal(t, ok && s != "0", more)
		if more {
			require.Equal(t, hashslot.Of("{"+m[2]+"}"), c.Slot())
			require.Equal(t, s, c.String())
		}
	})
}
