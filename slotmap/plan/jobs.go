package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/hashslot/hashslot/internal/reply"
	"github.com/hashslot/hashslot/slotmap"
)

// A Job is a migration of slots that servers do in the background: one of CLUSTER
// GETSLOTMIGRATIONS (Valkey 9.0 and later) or a task of CLUSTER MIGRATION STATUS
// (Redis 8.4 and later). Both its ends have one, with the same ID.
type Job struct {
	ID       string
	Import   bool // whether the node that was asked is the target
	Slots    slotmap.Set
	Source   string // node id; "" if the reply does not tell, as that of a Valkey replica
	Target   string // node id; as Source
	State    string // in the server's words: "snapshotting", for example
	Progress Progress

	// Message is why it has failed, or is tried again; "" if there is nothing to say.
	Message string

	Created time.Time
	Changed time.Time // when it last changed; of Redis when it ended, zero before
	Retries int       // how often it was tried again; of Redis only
}

// maxJobs bounds what ParseJobs takes. Servers keep some dozens.
const maxJobs = 1 << 16

// ParseJobs reads the reply to CLUSTER GETSLOTMIGRATIONS or to CLUSTER MIGRATION
// STATUS, which it tells apart by the names of the fields. Valkey counts time in
// seconds, Redis in milliseconds. The jobs come in the order of the reply, in
// which the newest is the first.
//
// A state that is not known counts as [Running]: only success, completed, failed,
// cancelled and canceled are ends. What has ended without success is [Failed].
// Fields that are not known are skipped.
//
// The error is an [*InputError] that names the job and the field. Time and memory
// are in proportion to the reply, and the slots take 2 KiB a job.
func ParseJobs(migrations any) ([]Job, error) {
	list, ok := reply.List(migrations)
	if !ok {
		if migrations == nil {
			return nil, nil
		}
		return nil, &InputError{Field: "jobs", Reason: "is " + reply.Kind(migrations) + ", not a list"}
	}
	if len(list) > maxJobs {
		return nil, &InputError{Field: "jobs", Reason: fmt.Sprintf("is a list of %d, more than %d", len(list), maxJobs)}
	}
	jobs := make([]Job, 0, min(len(list), 64))
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
	"success": Done, "completed": Done, "failed": Failed, "cancelled": Failed, "canceled": Failed,
}

func parseJob(v any) (j Job, wrong *InputError) {
	list, err := reply.AppendFields(nil, v)
	if err != nil {
		return j, &InputError{Field: err.Path, Reason: err.Reason}
	}
	fields := make(map[string]any, len(list))
	for _, f := range list {
		fields[f.Name] = f.Value
	}
	r := jobReader{fields: fields}
	unit, operations := time.Second, [2]string{"EXPORT", "IMPORT"}
	if _, redis := fields["slots"]; redis {
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
	case operation != operations[0] && r.wrong == nil:
		r.wrong = &InputError{Field: ".operation", Value: operation, Reason: "is neither " + operations[0] + " nor " + operations[1]}
	}
	if j.State == "" && r.wrong == nil {
		r.wrong = &InputError{Field: ".state", Reason: "is missing"}
	}
	j.Progress = Running
	if p, last := lastStates[j.State]; last {
		j.Progress = p
	}
	return j, r.wrong
}

// A jobReader reads the fields of a job and keeps the first error.
type jobReader struct {
	fields map[string]any
	wrong  *InputError
}

func (r *jobReader) fail(name, reason string) {
	if r.wrong == nil {
		r.wrong = &InputError{Field: "." + name, Reason: reason}
	}
}

func (r *jobReader) text(name string) string {
	v := r.fields[name]
	if v == nil {
		return ""
	}
	s, ok := reply.Text(v)
	if !ok {
		r.fail(name, "is "+reply.Kind(v)+", not text")
	}
	return s
}

func (r *jobReader) number(name string) int64 {
	v := r.fields[name]
	if v == nil {
		return 0
	}
	n, ok := reply.Int(v)
	if !ok || n < 0 || n > 1<<53 {
		r.fail(name, "is "+reply.Kind(v)+", not a number from 0")
	}
	return n
}

// time reads a time since 1970; 0 is none.
func (r *jobReader) time(name string, unit time.Duration) time.Time {
	n := r.number(name)
	switch {
	case n == 0:
		return time.Time{}
	case unit == time.Second:
		return time.Unix(n, 0)
	}
	return time.UnixMilli(n)
}

func (r *jobReader) slots(name string, slots *slotmap.Set) {
	s, err := slotmap.ParseSet(r.text(name))
	if err != nil {
		r.fail(name, err.Error())
	} else if s.IsEmpty() {
		r.fail(name, "has no slots")
	}
	*slots = s
}

// job says how far the newest job for the step has come. The slots are where they
// were.
func (s *Step) job(migrations any) (p Progress, why string) {
	jobs, err := ParseJobs(migrations)
	if err != nil {
		return Running, err.Error()
	}
	source, target := s.Node, s.Peer
	if s.Kind == KindImport {
		source, target = s.Peer, s.Node
	}
	slots := slotmap.SetOf(s.Slots...)
	i := slices.IndexFunc(jobs, func(j Job) bool {
		return j.Import == (s.Kind == KindImport) && j.Slots == slots &&
			cmp.Or(j.Source, source) == source && cmp.Or(j.Target, target) == target
	})
	if i < 0 {
		return NotStarted, ""
	}
	switch j := &jobs[i]; j.Progress {
	case Running:
		return Running, j.text()
	case Failed:
		return NotStarted, j.text()
	}
	return NotStarted, "" // an older one: the slots came back
}

// text returns the state and the message.
func (j *Job) text() string {
	if j.Message == "" {
		return j.State
	}
	return j.State + ": " + j.Message
}
