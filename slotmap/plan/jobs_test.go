package plan

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// The replies of the two servers, as clients of RESP2 and RESP3 decode them.
func TestParseJobs(t *testing.T) {
	valkey := []any{
		[]any{"name", []byte("j2"), "operation", "EXPORT", "slot_ranges", "0-10 100", "target_node", "b", "source_node", "a",
			"create_time", int64(1700000000), "last_update_time", int64(1700000003), "last_ack_time", int64(1700000003),
			"state", "snapshotting", "message", "", "cow_size", int64(0), "remaining_repl_size", int64(7)},
		map[any]any{"name": "j1", "operation": "IMPORT", "slot_ranges": []byte("5"), "state": "cancelled", "message": "by user"},
	}
	jobs, err := ParseJobs(valkey)
	require.NoError(t, err)
	require.Equal(t, []Job{
		{ID: "j2", Slots: slotmap.MustParseSet("0-10 100"), Source: "a", Target: "b", State: "snapshotting", Progress: ProgressRunning,
			Created: time.Unix(1700000000, 0), Changed: time.Unix(1700000003, 0)},
		{ID: "j1", Import: true, Slots: slotmap.MustParseSet("5"), State: "cancelled", Message: "by user", Progress: ProgressFailed},
	}, jobs)

	redis := func(operation, state string) any {
		return []any{map[string]any{"id": "t", "slots": "0-10 100", "source": "a", "dest": "b", "operation": operation, "state": state,
			"last_error": "no route", "retries": int64(3), "create_time": int64(1700000000123), "start_time": int64(1700000000456),
			"end_time": int64(1700000000789), "write_pause_ms": int64(5)}}
	}
	jobs, err = ParseJobs(redis("migrate", "completed"))
	require.NoError(t, err)
	require.Equal(t, []Job{{ID: "t", Slots: slotmap.MustParseSet("0-10 100"), Source: "a", Target: "b", State: "completed", Progress: ProgressDone,
		Message: "no route", Created: time.UnixMilli(1700000000123), Changed: time.UnixMilli(1700000000789), Retries: 3}}, jobs)
	for _, tc := range []struct {
		operation, state string
		want             Progress
	}{
		{"import", "completed", ProgressDone}, {"import", "canceled", ProgressFailed}, {"migrate", "failed", ProgressFailed},
		{"import", "failed", ProgressRunning}, // the target tries again
		{"import", "streaming-buffer", ProgressRunning}, {"import", "unheard of", ProgressRunning},
	} {
		jobs, err := ParseJobs(redis(tc.operation, tc.state))
		require.NoError(t, err)
		require.Equal(t, tc.want, jobs[0].Progress, "%s %s", tc.operation, tc.state)
		require.Equal(t, tc.state, jobs[0].State)
	}
	jobs, err = ParseJobs([]any{[]any{"slot_ranges", "5", "operation", "IMPORT", "state", "failed"}})
	require.NoError(t, err)
	require.Equal(t, ProgressFailed, jobs[0].Progress, "Valkey does not try again")
	jobs, err = ParseJobs([]any{[]any{"slot_ranges", "5", "operation", "IMPORT", "state", "failed", "create_time", int64(1)}})
	require.NoError(t, err)
	require.Equal(t, time.Unix(1, 0), jobs[0].Created)
	task := redis("import", "waiting-to-start").([]any)
	task[0].(map[string]any)["end_time"] = int64(-1) // the value in Redis before the end
	jobs, err = ParseJobs(task)
	require.NoError(t, err)
	require.True(t, jobs[0].Changed.IsZero())
	for _, none := range []any{nil, []any{}} {
		jobs, err := ParseJobs(none)
		require.NoError(t, err)
		require.Empty(t, jobs)
	}
}

func TestParseJobsErrors(t *testing.T) {
	for _, tc := range []struct {
		reply any
		want  string
	}{
		{errors.New("ERR unknown subcommand"), `plan: jobs: is the error "ERR unknown subcommand", not a list`},
		{[]any{"x"}, `plan: jobs[0]: is the text "x", neither a map nor a list of names and values`},
		{[]any{[]any{"x"}}, `plan: jobs[0]: a list of 1 elements is not names and values`},
		{[]any{[]any{"slot_ranges", "5", "operation", "EXPORT"}}, `plan: jobs[0].state: is missing`},
		{[]any{[]any{"slot_ranges", "5", "operation", "DANCE", "state", "success"}}, `plan: jobs[0].operation "DANCE": must be EXPORT or IMPORT`},
		{[]any{[]any{"slot_ranges", "", "operation", "EXPORT", "state", "success"}}, `plan: jobs[0].slot_ranges: has no slots`},
		{[]any{[]any{"slots", "7-5", "operation", "import", "state", "success"}}, `plan: jobs[0].slots: slots: byte 0 of "7-5": the first slot is greater than the last`},
		{[]any{[]any{"slot_ranges", "5", "create_time", "soon", "operation", "EXPORT", "state", "success"}}, `plan: jobs[0].create_time: is the text "soon", not a number of at least -1`},
		{[]any{[]any{"slot_ranges", "5", "name", int64(5), "operation", "EXPORT", "state", "success"}}, `plan: jobs[0].name: is the number 5, not text`},
		{[]any{[]any{"slot_ranges", "5", "name", int64(5), "operation", "DANCE"}}, `plan: jobs[0].name: is the number 5, not text`},
		{[]any{[]any{"slot_ranges", "5", "create_time", int64(-2), "operation", "EXPORT", "state", "success"}}, `plan: jobs[0].create_time: is the number -2, not a number of at least -1`},
		{[]any{[]any{"slot_ranges", "5", "create_time", int64(1<<53 + 1), "operation", "EXPORT", "state", "success"}}, `plan: jobs[0].create_time: is the number 9007199254740993, not a number of at least -1`},
		{[]any{[]any{"slot_ranges", "5", "create_time", int64(1 << 53), "operation", "EXPORT"}}, `plan: jobs[0].state: is missing`},
		{make([]any, 65536), `plan: jobs[0].slot_ranges: has no slots`},
		{make([]any, 65537), "plan: jobs: has 65537 jobs, more than the limit of 65536"},
	} {
		_, err := ParseJobs(tc.reply)
		require.EqualError(t, err, tc.want)
		var input *InputError
		require.ErrorAs(t, err, &input)
	}
}

func runningJob(from, to, slots string) Job {
	return Job{Source: from, Target: to, Slots: slotmap.MustParseSet(slots), State: "replicating", Progress: ProgressRunning}
}

// A step is done by the newest job with its direction, its slots and its nodes.
func TestJobOfStep(t *testing.T) {
	p := Plan{Moves: []Move{{From: "a", To: "b", Slots: slotmap.MustParseSet("5 7-9")}}, Nodes: []Node{nodeA, nodeB}}
	job := func(changes ...any) any {
		return append([]any{"operation", "EXPORT", "slot_ranges", "5 7-9", "source_node", "a", "target_node", "b", "state", "replicating", "create_time", int64(9)}, changes...)
	}
	for _, tc := range []struct {
		step Step
		jobs []any
		want Progress
		why  string
	}{
		{p.MigrateSlots()[0], []any{job()}, ProgressRunning, "replicating"},
		{p.MigrationImport()[0], []any{job("operation", "IMPORT")}, ProgressRunning, "replicating"},
		{p.MigrateSlots()[0], []any{job("operation", "IMPORT")}, ProgressNotStarted, ""},
		{p.MigrationImport()[0], []any{job()}, ProgressNotStarted, ""},
		{p.MigrateSlots()[0], []any{job("slot_ranges", "5")}, ProgressNotStarted, ""},
		{p.MigrateSlots()[0], []any{job("source_node", "c")}, ProgressNotStarted, ""},
		{p.MigrateSlots()[0], []any{job("target_node", "c")}, ProgressNotStarted, ""},
		{p.MigrateSlots()[0], []any{job("state", "failed", "create_time", int64(10)), job()}, ProgressRunning, "replicating"},
		{p.MigrateSlots()[0], []any{job(), job("state", "failed", "create_time", int64(10))}, ProgressRunning, "replicating"},
		{p.MigrateSlots()[0], []any{job("state", "failed"), job("state", "canceled", "create_time", int64(10))}, ProgressNotStarted, "canceled"},
		{p.MigrateSlots()[0], []any{job("state", "canceled", "create_time", int64(10)), job("state", "failed")}, ProgressNotStarted, "canceled"},
		{p.MigrateSlots()[0], []any{7}, ProgressRunning, "plan: jobs[0]: is the number 7, neither a map nor a list of names and values"},
	} {
		got, why := tc.step.job(tc.jobs)
		require.Equal(t, tc.want, got, "%v", tc)
		require.Equal(t, tc.why, why, "%v", tc)
	}
}

// Jobs of other nodes, or without names of nodes, are not those of a move.
func TestMatchTakesOnlyItsJobs(t *testing.T) {
	c := parse(t, "a h:1@2 master - 0 0 1 connected 0-39 41-16383\nb h:2@3 master - 0 0 2 connected\nc h:3@4 master - 0 0 3 connected\n")
	set := slotmap.MustParseSet
	p := Plan{Moves: []Move{{From: "a", To: "b", Slots: set("0-9")}, {To: "b", Slots: set("40")}}}
	for _, m := range p.Match(c, []Job{runningJob("a", "c", "0-9"), runningJob("c", "b", "0-9"), runningJob("", "b", "40")}) {
		require.Nil(t, m.Job)
		require.Equal(t, m.Move.Slots, m.Left)
	}
	// Why is about the job only if the slots say nothing, and something is left to do.
	job := runningJob("a", "b", "0-9")
	job.Progress = ProgressFailed
	require.Equal(t, "replicating", p.Match(c, []Job{job})[0].Why)
	require.Empty(t, p.Match(parse(t, "b h:2@3 master - 0 0 2 connected 0-16383\n"), []Job{job})[0].Why)
	require.Equal(t, "slot 9 is owned by c", p.Match(parse(t, "c h:3@4 master - 0 0 2 connected 0-16383\n"), []Job{job})[0].Why)
}

func TestMatch(t *testing.T) {
	c := parse(t, "a h:1@2 master - 0 0 1 connected 0-8191\nb h:2@3 master - 0 0 2 connected 8192-16380\nc h:3@4 master - 0 0 3 connected 16381-16383\n")
	set := slotmap.MustParseSet
	p := Plan{Moves: []Move{
		{From: "a", To: "b", Slots: set("0-9")},
		{From: "a", To: "c", Slots: set("10-19")},
		{From: "b", To: "c", Slots: set("16380-16383")},
		{From: "a", To: "b", Slots: set("8192-8200")},
		{From: "b", To: "a", Slots: set("16381")},
		{From: "a", To: "b", Slots: set("30-39")},
		{To: "b", Slots: set("40")},
	}}
	at := func(n int64) time.Time { return time.Unix(n, 0) }
	jobs := []Job{
		{Source: "a", Target: "b", Slots: set("0-4"), State: "failed", Message: "lost", Progress: ProgressFailed, Created: at(5)},
		{Source: "a", Target: "b", Slots: set("0-9"), State: "cancelled", Progress: ProgressFailed, Created: at(4)},
		{Source: "a", Target: "c", Slots: set("10-19"), State: "failed", Progress: ProgressFailed, Created: at(9)},
		runningJob("a", "c", "10-19"),
		runningJob("b", "c", "16380"),
		runningJob("a", "b", "35-99"),
	}
	var got []string
	for _, m := range p.Match(c, jobs) {
		got = append(got, fmt.Sprintf("%s %q %q", m.Progress, m.Left.String(), m.Why))
	}
	require.Equal(t, []string{
		`not started "0-9" "failed: lost"`, // to be sent again
		`running "" "replicating"`,
		`running "" "replicating"`,
		`done "" ""`,
		`failed "16381" "slot 16381 is owned by c"`,
		`not started "30-34" "replicating"`,
		`failed "40" "slot 40 is owned by a"`,
	}, got)
	require.Equal(t, ProgressDone, (&Plan{Moves: p.Moves[:1]}).Match(parse(t, "b h:2@3 master - 0 0 2 connected 0-16383\n"), jobs)[0].Progress)
	require.Equal(t, ProgressFailed, p.Match(nil, nil)[0].Progress)
}

// A plan that is made while the jobs of an earlier plan run finishes that plan.
func TestPlanningSeesJobs(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range max(2, rounds(8)) {
		c := randomPaper(rng, 2+rng.IntN(10)).cluster(t)
		p, err := Rebalance(c, RebalanceOptions{UseEmpty: true})
		require.NoError(t, err)
		var jobs []Job
		for _, m := range p.Moves {
			part := slotmap.Set{}
			for slot := range m.Slots.Slots() {
				if rng.IntN(2) == 0 {
					part.Add(slot)
				}
			}
			if !part.IsEmpty() {
				jobs = append(jobs, Job{Source: m.From, Target: m.To, Slots: part, Progress: ProgressRunning})
			}
			jobs = append(jobs, Job{Source: "x", Slots: m.Slots, Progress: ProgressFailed})
		}
		rest, err := Rebalance(c, RebalanceOptions{UseEmpty: true}, jobs...)
		require.NoError(t, err)
		var moving slotmap.Set
		for _, j := range jobs {
			if j.Progress == ProgressRunning {
				moving = moving.Union(j.Slots)
			}
		}
		for _, m := range rest.Moves {
			overlap := m.Slots.Intersect(moving)
			require.True(t, overlap.IsEmpty())
		}
		require.Equal(t, p.SlotCount(), moving.Len()+rest.SlotCount())
		for _, n := range p.Nodes {
			want, got := p.After.SlotsOf(n.ID), rest.After.SlotsOf(n.ID)
			require.InDelta(t, want.Len(), got.Len(), 1)
		}
	}
}

// Slots of running jobs stay where the jobs bring them, whatever the jobs are. It is an error
// only if a node would have to give some away: if it has more in them than its share.
func TestSlotsOfJobsStay(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 7))
	refused, kept := 0, 0
	for i := range rounds(100) {
		p := randomPaper(rng, 2+rng.IntN(4))
		c := p.cluster(t)
		for c.Table().RangeCount() > 50 { // a plan of few ranges takes less time
			p = randomPaper(rng, 2+rng.IntN(4))
			c = p.cluster(t)
		}
		opts := RebalanceOptions{UseEmpty: true, Weights: randomWeights(rng, p.ids)}
		if i%8 == 7 {
			opts.Weights = []Weight{{p.ids[1], 0}}
		}
		heaviest := 0.0
		if i%2 == 0 {
			opts.Load = make([]float64, hashslot.Count)
			for slot := range opts.Load {
				opts.Load[slot] = float64(1 + rng.IntN(9))
			}
			opts.Load[rng.IntN(hashslot.Count)] = 1000
			heaviest = slices.Max(opts.Load) + 1
		}
		before, err := Rebalance(c, opts)
		require.NoError(t, err)
		from := before.Moves
		ofPlan := i%4 < 2
		if !ofPlan { // any slots, to any node
			from = nil
			for range 2 + rng.IntN(4) {
				source, target := before.Nodes[rng.IntN(len(p.ids))].ID, before.Nodes[rng.IntN(len(p.ids))].ID
				if i%8 == 7 {
					target = p.ids[1]
				}
				m := Move{From: source, To: target, Slots: before.Before.SlotsOf(source)}
				m.Slots.RemoveRange(slotmap.Range{First: hashslot.Slot(rng.IntN(hashslot.Count)), Last: hashslot.Count - 1})
				for _, other := range from {
					m.Slots = m.Slots.Subtract(other.Slots)
				}
				if source != target && !m.Slots.IsEmpty() {
					from = append(from, m)
				}
			}
		}
		var jobs []Job
		var done []Move
		busy := map[string]slotmap.Set{}
		for _, m := range from {
			switch rng.IntN(3) {
			case 0:
				done = append(done, m)
			case 1:
				jobs = append(jobs, Job{Source: m.From, Target: m.To, Slots: m.Slots, Progress: ProgressRunning})
				busy[m.To] = busy[m.To].Union(m.Slots)
			}
		}
		load := func(slots slotmap.Set) (sum float64) {
			for slot := range slots.Slots() {
				if opts.Load == nil {
					sum++
				} else {
					sum += opts.Load[slot]
				}
			}
			return sum
		}
		all, weights := slotmap.SetOf(slotmap.Range{First: 0, Last: hashslot.Count - 1}), 0.0
		for _, n := range before.Nodes {
			weights += n.Weight
		}
		above := func(n Node, slots slotmap.Set) float64 { return load(slots) - load(all)*n.Weight/weights }

		got, err := Rebalance(p.do(done).cluster(t), opts, jobs...)
		if err != nil {
			refused++
			require.False(t, ofPlan)
			require.ErrorContains(t, err, "would have to move again")
			require.True(t, slices.ContainsFunc(before.Nodes, func(n Node) bool {
				over := above(n, busy[n.ID])
				return over > max(heaviest-2, 0) || n.Weight == 0 && over > 0
			}))
			continue
		}
		least := 0.0
		for _, n := range got.Nodes {
			stay := busy[n.ID].Subtract(got.After.SlotsOf(n.ID))
			require.True(t, stay.IsEmpty())
			kept += busy[n.ID].Len()
			least = min(least, above(n, got.After.SlotsOf(n.ID)))
		}
		for _, n := range got.Nodes {
			over := above(n, got.After.SlotsOf(n.ID))
			if opts.Load == nil {
				require.Less(t, math.Abs(over), 1.0)
				continue
			}
			require.LessOrEqual(t, over, heaviest)
			if slots := got.After.SlotsOf(n.ID); slots != busy[n.ID] {
				require.LessOrEqual(t, over-least, heaviest)
			}
		}
	}
	require.Positive(t, refused)
	require.Greater(t, kept, 5000)
}

// If a job brings a node above its share, the others are as level as without it. The slots
// of a job are among those of its target that others are put beside.
func TestPlansAroundJobs(t *testing.T) {
	c := parse(t, "a h:1@2 master - 0 0 1 connected 0-16383\nb h:2@3 master - 0 0 2 connected\nc h:3@4 master - 0 0 3 connected\nd h:4@5 master - 0 0 4 connected\n")
	opts := RebalanceOptions{UseEmpty: true, Load: slices.Repeat([]float64{1}, hashslot.Count), Weights: []Weight{{"a", 16173}, {"b", 100}, {"c", 60}, {"d", 60}}}
	opts.Load[0] = 10
	p, err := Rebalance(c, opts, runningJob("a", "b", "1000-1104"))
	require.NoError(t, err)
	got := map[string]float64{}
	for slot, load := range opts.Load {
		id, _ := p.After.Lookup(hashslot.Slot(slot))
		got[id] += load
	}
	require.Equal(t, map[string]float64{"a": 16173, "b": 105, "c": 55, "d": 60}, got)
	opts = RebalanceOptions{UseEmpty: true, Weights: []Weight{{"a", 16184}, {"b", 200}, {"c", 0}, {"d", 0}}}
	p, err = Rebalance(c, opts, runningJob("a", "b", "1000-1099"))
	require.NoError(t, err)
	require.Equal(t, 3, p.After.RangeCount(), p.After)
	// Even a node that gives one slot gives another.
	c = parse(t, "a h:1@2 master - 0 0 1 connected 0-8000\nb h:2@3 master - 0 0 2 connected 8001-16383\n")
	p, err = Rebalance(c, RebalanceOptions{}, runningJob("b", "a", "8001-8192"))
	require.NoError(t, err)
	require.Equal(t, "0", p.Moves[0].Slots.String())
	// Slots without an owner are others than those that stay.
	c = parse(t, "a h:1@2 master - 0 0 1 connected 100-16000\nb h:2@3 master - 0 0 2 connected 16001-16100 16201-16383\n")
	p, err = Rebalance(c, RebalanceOptions{AssignUnassigned: true}, runningJob("b", "a", "16001-16100"))
	require.NoError(t, err)
	a := p.After.SlotsOf("a")
	a = a.Intersect(slotmap.MustParseSet("16001-16100"))
	require.Equal(t, 100, a.Len())
	require.Equal(t, 16384, p.After.SlotsOf("a").Len()+p.After.SlotsOf("b").Len())
}

func TestPlanningRefusesJobs(t *testing.T) {
	c := parse(t, "a h:1@2 master - 0 0 1 connected 0-8191\nb h:2@3 master - 0 0 2 connected 8192-16383\nc h:3@4 master - 0 0 3 connected\nd h:4@5 master,fail - 0 0 4 connected\n")
	const again = "plan: running jobs 0-9: these slots would have to move again; wait until the jobs have ended, or cancel them"
	set := slotmap.MustParseSet
	for _, tc := range []struct {
		job  Job
		want string
	}{
		{runningJob("a", "c", "0-9"), again},
		{runningJob("", "c", "0-9"), "plan: running jobs 0-9: the job does not name its nodes, like all jobs of a replica: ask the primaries for their jobs"},
		{runningJob("a", "", "0-9"), "plan: running jobs 0-9: the job does not name its nodes, like all jobs of a replica: ask the primaries for their jobs"},
		{runningJob("a", "zz", "0-9"), "plan: running jobs 0-9 (zz): the target is not a primary that can be reached; wait until the job has ended"},
		{runningJob("a", "d", "0-9"), "plan: running jobs 0-9 (d): the target is not a primary that can be reached; wait until the job has ended"},
		{runningJob("a", "c", "8190-8195"), "plan: running jobs 8190-8195 (a, c): the source does not own slot 8192; ask the nodes again when they agree"},
	} {
		_, err := Drain(c, []string{"c"}, DrainOptions{}, tc.job)
		var state *StateError
		require.ErrorAs(t, err, &state)
		require.EqualError(t, err, tc.want)
		require.Equal(t, ProblemRunningJobs, state.Problem)
	}
	job := runningJob("a", "c", "0-9")
	_, err := New(c, []Move{{From: "a", To: "b", Slots: set("5")}}, job)
	require.EqualError(t, err, again)
	_, err = Reshard(c, []string{"c"}, "b", 10, job)
	require.EqualError(t, err, again)
	load := slices.Repeat([]float64{1}, hashslot.Count)
	_, err = Drain(c, []string{"c"}, DrainOptions{Load: load}, job)
	require.EqualError(t, err, again)
	// A node that gives all cannot keep one, and a node may be above its load by one slot.
	load[16383] = 1000
	_, err = Drain(c, []string{"c"}, DrainOptions{Load: load}, runningJob("a", "c", "0"))
	require.Error(t, err)
	load[16383] = 1
	for _, tc := range []struct {
		load  []float64
		slots string
		want  bool
	}{{nil, "0-99", true}, {nil, "0-100", false}, {load, "0-100", true}, {load, "0-101", false}} {
		_, err = Rebalance(c, RebalanceOptions{Load: tc.load, UseEmpty: true, Weights: []Weight{{"a", 8142}, {"b", 8142}, {"c", 100}}}, runningJob("a", "c", tc.slots))
		require.Equal(t, tc.want, err == nil, tc)
	}
	_, err = Reshard(c, []string{"a"}, "c", 1, runningJob("a", "b", "0-8191"))
	require.EqualError(t, err, `plan: from: the sources have no slot to give`)
	_, err = Reshard(c, []string{"a"}, "c", 2, runningJob("a", "b", "0-8190"))
	require.EqualError(t, err, `plan: slots "2": must be from 1 to 1`)
	free := parse(t, "a h:1@2 master - 0 0 1 connected 0-8191\nb h:2@3 master - 0 0 2 connected 8193-16383\n")
	_, err = Rebalance(free, RebalanceOptions{AssignUnassigned: true}, runningJob("a", "b", "8192"))
	require.EqualError(t, err, "plan: running jobs 8192 (a, b): the source does not own slot 8192; ask the nodes again when they agree")
	// Other slots of the same node move in their place.
	job = runningJob("a", "b", "0-9")
	p, err := Reshard(c, []string{"b"}, "c", 8000, job)
	require.NoError(t, err)
	require.Equal(t, 8000, p.SlotCount())
	overlap := p.Moves[0].Slots.Intersect(job.Slots)
	require.True(t, overlap.IsEmpty())
	had := p.Before.SlotsOf("b")
	require.Equal(t, 8202, had.Len())
}
