package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashslot/hashslot/slotmap"
)

// An InputError reports an argument from which no plan can be made.
type InputError struct {
	Field  string // the parameter or the field of the options, "Weights[2]" for one of several
	Value  string // the value; "" if it adds nothing
	Reason string
}

func (e *InputError) Error() string {
	s := "plan: " + printableText(e.Field)
	if e.Value != "" {
		s += fmt.Sprintf(" %q", e.Value)
	}
	return s + ": " + printableText(e.Reason)
}

// A Problem is the reason why no plan can be made for a cluster.
type Problem string

// The problems of a [StateError].
const (
	ProblemOpenSlots    Problem = "open slots"        // slots being migrated or imported, or left so
	ProblemUnassigned   Problem = "unassigned slots"  // slots without an owner
	ProblemDisagreement Problem = "disagreement"      // nodes that disagree about the owners of slots
	ProblemUnreachable  Problem = "unreachable nodes" // slots of a node that has failed or is suspected
	ProblemRunningJobs  Problem = "running jobs"      // slots that a migration in the background moves
	ProblemNodeIDs      Problem = "node ids"          // a node without an id, or two nodes with one
)

// A StateError reports a state of the cluster in which moving slots could lose data,
// or could not work.
type StateError struct {
	Problem Problem
	Slots   slotmap.Set // the slots concerned
	Nodes   []string    // the ids of the nodes concerned, ascending
	Advice  string
}

func (e *StateError) Error() string {
	s := "plan: " + string(e.Problem)
	if !e.Slots.IsEmpty() {
		s += " " + e.Slots.String()
	}
	if len(e.Nodes) > 0 {
		s += " (" + printableText(strings.Join(e.Nodes, ", ")) + ")"
	}
	return s + ": " + printableText(e.Advice)
}

// compact sorts the nodes and drops repetitions.
func (e *StateError) compact() *StateError {
	slices.Sort(e.Nodes)
	e.Nodes = slices.Compact(e.Nodes)
	return e
}
