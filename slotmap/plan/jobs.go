package plan

import (
	"fmt"
	"time"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/reply"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// A Job is a migration of slots that servers run in the background: an entry of CLUSTER
// GETSLOTMIGRATIONS (Valkey 9.0 and later) or of CLUSTER MIGRATION STATUS (Redis 8.4 and
// later). Source and target have one each, with the same ID.
type Job struct {
	ID       string
	Import   bool // whether the node that was asked is the target
	Slots    slotmap.Set
	Source   string // node id; "" if the reply does not have it, as that of a Valkey replica
	Target   string // node id; as Source
	State    string // in the server's words: "snapshotting", for example
	Progress Progress

	// Message is the reason why it has failed or is tried again, or "".
	Message string

	Created time.Time
	Changed time.Time // when it last changed; for Redis, when it ended, and zero before that
	Retries int       // the number of retries; Redis only
}

// maxJobs is the most jobs that ParseJobs accepts. Servers keep some dozens.
const maxJobs = 1 << 16

// ParseJobs reads the reply to CLUSTER GETSLOTMIGRATIONS or to CLUSTER MIGRATION STATUS.
// The names of the fields show which it is. Valkey gives times in seconds, Redis in
// milliseconds. The jobs are in the order of the reply, which has the newest first.
//
// An unknown state counts as [ProgressRunning]: only success, completed, failed, cancelled and
// canceled are ends. A job that has ended without success is [ProgressFailed], except a failed
// import of Redis, which is ProgressRunning: its target retries until it is canceled.
// Unknown fields are skipped. A nil reply has no jobs.
//
// The error is an [*InputError] that names the job and the field; more than 65536 jobs are
// an error too. Time and memory are in proportion to the reply, and 2 KiB for the slots of
// each job.
func ParseJobs(migrations any) ([]Job, error) {
	list, ok := reply.List(migrations)
	if !ok {
		if migrations == nil {
			return nil, nil
		}
		return nil, &InputError{Field: "jobs", Reason: "is " + reply.Kind(migrations) + ", not a list"}
	}
	if len(list) > maxJobs {
		return nil, &InputError{Field: "jobs", Reason: fmt.Sprintf("has %d jobs, more than the limit of %d", len(list), maxJobs)}
	}
	var jobs []Job
	for i, v := range list {
		j, err := parseJob(v)
		if err != nil {
			err.Field = fmt.Sprintf("jobs[%d]", i) + err.Field
			return nil, err
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// The last states of a job.
var lastStates = map[string]Progress{
	"success": ProgressDone, "completed": ProgressDone, "failed": ProgressFailed, "cancelled": ProgressFailed, "canceled": ProgressFailed,
}

func parseJob(v any) (j Job, wrong *InputError) {
	list, err := reply.AppendFields(nil, v)
	if err != nil {
		return Job{}, &InputError{Field: err.Path, Reason: err.Reason}
	}
	fields := make(map[string]any, len(list))
	for _, f := range list {
		fields[f.Name] = f.Value
	}
	r := jobReader{fields: fields}
	unit, operations := time.Second, [2]string{"EXPORT", "IMPORT"}
	_, redis := fields["slots"]
	if redis {
		unit, operations = time.Millisecond, [2]string{"migrate", "import"}
		j.ID, j.Source, j.Target, j.Message = r.text("id"), r.text("source"), r.text("dest"), r.text("last_error")
		j.Changed, j.Retries = r.time("end_time", unit), int(r.number("retries"))
		r.slots("slots", &j.Slots)
	} else {
		j.ID, j.Source, j.Target, j.Message = r.text("name"), r.text("source_node"), r.text("target_node"), r.text("message")
		j.Changed = r.time("last_update_time", unit)
		r.slots("slot_ranges", &j.Slots)
	}
	j.Created, j.State = r.time("create_time", unit), r.text("state")
	switch operation := r.text("operation"); {
	case operation == operations[1]:
		j.Import = true
	case operation != operations[0]:
		r.fail("operation", operation, "must be "+operations[0]+" or "+operations[1])
	}
	if j.State == "" {
		r.fail("state", "", "is missing")
	}
	j.Progress = ProgressRunning
	if p, last := lastStates[j.State]; last && !(redis && j.Import && j.State == "failed") {
		j.Progress = p
	}
	return j, r.wrong
}

// A jobReader reads the fields of a job and keeps the first error.
type jobReader struct {
	fields map[string]any
	wrong  *InputError
}

func (r *jobReader) fail(name, value, reason string) {
	if r.wrong == nil {
		r.wrong = &InputError{Field: "." + name, Value: value, Reason: reason}
	}
}

func (r *jobReader) text(name string) string {
	v := r.fields[name]
	if v == nil {
		return ""
	}
	s, ok := reply.Text(v)
	if !ok {
		r.fail(name, "", "is "+reply.Kind(v)+", not text")
	}
	return s
}

func (r *jobReader) number(name string) int64 {
	v := r.fields[name]
	if v == nil {
		return 0
	}
	n, ok := reply.Int(v)
	if !ok || n < -1 || n > 1<<53 {
		r.fail(name, "", "is "+reply.Kind(v)+", not a number of at least -1")
	}
	return n
}

// time reads a time since 1970; 0 and -1 are none.
func (r *jobReader) time(name string, unit time.Duration) time.Time {
	n := r.number(name)
	switch {
	case n <= 0:
		return time.Time{}
	case unit == time.Second:
		return time.Unix(n, 0)
	}
	return time.UnixMilli(n)
}

func (r *jobReader) slots(name string, slots *slotmap.Set) {
	s, err := slotmap.ParseSet(r.text(name))
	if err != nil {
		r.fail(name, "", err.Error())
	} else if s.IsEmpty() {
		r.fail(name, "", "has no slots")
	}
	*slots = s
}

// job returns the progress of the newest job for the step. It is called while the slots
// are still with their source.
func (s *Step) job(migrations any) (p Progress, why string) {
	jobs, err := ParseJobs(migrations)
	if err != nil {
		return ProgressRunning, err.Error()
	}
	source, target := s.Node, s.Peer
	if s.Kind == KindImport {
		source, target = s.Peer, s.Node
	}
	slots := slotmap.SetOf(s.Slots...)
	var newest *Job
	for i := range jobs {
		j := &jobs[i]
		if j.Import == (s.Kind == KindImport) && j.Slots == slots && j.Source == source && j.Target == target &&
			(newest == nil || j.newer(newest)) {
			newest = j
		}
	}
	switch {
	case newest == nil:
		return ProgressNotStarted, ""
	case newest.Progress == ProgressRunning:
		return ProgressRunning, newest.text()
	case newest.Progress == ProgressFailed:
		return ProgressNotStarted, newest.text()
	}
	return ProgressNotStarted, "" // the job is done, and the slots have come back since
}

// text returns the state and the message.
func (j *Job) text() string {
	if j.Message == "" {
		return j.State
	}
	return j.State + ": " + j.Message
}

// apply gives the slots of running jobs to their targets.
func (s *state) apply(jobs []Job) error {
	for i := range jobs {
		j := &jobs[i]
		if j.Progress != ProgressRunning {
			continue
		}
		fail := func(nodes []string, advice string) error {
			return &StateError{Problem: ProblemRunningJobs, Slots: j.Slots, Nodes: nodes, Advice: advice}
		}
		to, known := s.index[j.Target]
		switch {
		case j.Source == "" || j.Target == "":
			return fail(nil, "the job does not name its nodes, like all jobs of a replica: ask the primaries for their jobs")
		case !known || to == nobody:
			return fail([]string{j.Target}, "the target is not a primary that can be reached; wait until the job has ended")
		}
		for slot := range j.Slots.Slots() {
			if from := s.owner[slot]; from != int32(to) {
				if from == nobody || s.nodes[from].id != j.Source {
					return fail([]string{j.Source, j.Target}, fmt.Sprintf("the source does not own slot %d; ask the nodes again when they agree", slot))
				}
				s.nodes[from].slots--
				s.nodes[to].slots++
				s.owner[slot] = int32(to)
			}
			s.busy[slot] = true
		}
	}
	return nil
}

// running returns the error of slots that would have to move again.
func (s *state) running() error {
	e := &StateError{Problem: ProblemRunningJobs, Advice: "these slots would have to move again; wait until the jobs have ended, or cancel them"}
	for slot, busy := range s.busy {
		if busy {
			e.Slots.Add(hashslot.Slot(slot))
		}
	}
	return e
}

// A MoveProgress is the progress of a move of a plan.
type MoveProgress struct {
	Move Move

	// Progress is ProgressFailed if a third node, or unexpectedly no node, owns a slot.
	// Otherwise it is ProgressNotStarted if slots are left to send, for the first time or
	// again; otherwise ProgressRunning if a job runs; otherwise ProgressDone.
	Progress Progress

	Left slotmap.Set // the slots that are not with the target, and that no running job moves
	Job  *Job        // the newest job for any of the slots; nil if there is none
	Why  string      // for a log: the state and the message of the job, or the owner of the slots
}

// Match returns the progress of the moves of the plan, in their order, from a view of
// the cluster and from the jobs of its primaries, as [ParseJobs] reads them, in any
// order. Source and target both know a job, but not after a restart, so ask both.
//
// To go on, give [New] the moves that are [ProgressNotStarted], each with the slots of Left.
//
// Match takes time in proportion to the slots and the jobs and, for each move, to the jobs
// with its source and target.
func (p *Plan) Match(c *topology.Cluster, jobs []Job) []MoveProgress {
	var owner [hashslot.Count]string
	for r, shard := range c.Table().Ranges() {
		for slot := r.First; slot <= r.Last; slot++ {
			owner[slot] = shard.Primary.ID
		}
	}
	between := map[[2]string][]*Job{} // by source and target
	for i := range jobs {
		j := &jobs[i]
		if pair := [2]string{j.Source, j.Target}; j.Source != "" { // a replica's job does not name its nodes
			between[pair] = append(between[pair], j)
		}
	}
	moves := make([]MoveProgress, len(p.Moves))
	for i, m := range p.Moves {
		got := MoveProgress{Move: m, Left: m.Slots, Progress: ProgressDone}
		for slot := range m.Slots.Slots() {
			switch id := owner[slot]; id {
			case m.To:
				got.Left.Remove(slot)
			case m.From:
			default:
				got.Progress, got.Why = ProgressFailed, fmt.Sprintf("slot %d is owned by %s", slot, orNobody(id))
			}
		}
		running := false
		for _, j := range between[[2]string{m.From, m.To}] {
			if disjoint(&j.Slots, &m.Slots) {
				continue
			}
			if j.Progress == ProgressRunning {
				running = true
				got.Left = got.Left.Subtract(j.Slots)
			}
			if got.Job == nil || j.newer(got.Job) {
				got.Job = j
			}
		}
		switch {
		case got.Progress == ProgressFailed:
		case !got.Left.IsEmpty():
			got.Progress = ProgressNotStarted
		case running:
			got.Progress = ProgressRunning
		}
		if got.Why == "" && got.Job != nil && got.Progress != ProgressDone {
			got.Why = got.Job.text()
		}
		moves[i] = got
	}
	return moves
}

func disjoint(a, b *slotmap.Set) bool { return a.Intersect(*b).IsEmpty() }

// newer reports whether j replaces k: a running job replaces one that has ended, and of
// two that both run, or have both ended, the one that was created later counts.
func (j *Job) newer(k *Job) bool {
	if (j.Progress == ProgressRunning) != (k.Progress == ProgressRunning) {
		return j.Progress == ProgressRunning
	}
	return j.Created.After(k.Created)
}
