// Package plan says who should own which hash slots: it lays out new clusters
// ([Create]), evens out the slots of running ones when nodes were added or
// weights changed ([Rebalance]), moves a number of slots to a node ([Reshard]),
// empties nodes that are to be removed ([Drain]), repairs open and unassigned slots
// ([Fix]), spreads primaries over machines and zones ([Balance]) and names the
// replicas that should take over from lost primaries ([Promote]). What slots have
// to do and hold it reads from the servers' own numbers ([ParseSlotStats]).
//
// All of these are pure functions: they do no I/O, keep nothing, and give the
// same answer for the same input. They are safe for concurrent use.
//
// # From a plan to a cluster
//
// A [Plan] is a list of moves, whatever the servers. It renders as [Step]s: as CLUSTER
// SETSLOT for all servers ([Plan.SetSlots]), as CLUSTER MIGRATESLOTS of Valkey 9.0
// ([Plan.MigrateSlots]), as CLUSTER MIGRATION IMPORT of Redis 8.4
// ([Plan.MigrationImport]) and for Apache Kvrocks ([Plan.ClusterX]). [Layout.Steps] and
// [Layout.ClusterX] create a cluster; [Fix] and [Balance] return steps.
//
// A step has a command, what to wait for, and how to see it ([Step.Answer],
// [Step.Progress]). The package interop/executor of the repository carries out steps on
// live servers, resumes after a crash, and is made to be copied. [ParseJobs] reads what
// servers move in the background, [Plan.Match] says what of a plan that is, and
// planning takes such jobs into account.
//
// A Plan also is JSON, with its steps, and text to check ([Plan.Summary]). It can be cut
// into batches ([Plan.Batches]) and be tried on paper (package plantest).
//
// The plans have exact shares, move as few slots as these allow, and leave few
// ranges behind. They do not depend on the order of the reply. What the servers'
// own tools would do, by version, package valkeycli says.
//
// # What is refused
//
// Where moving slots could lose keys there is no plan but a [*StateError] that
// names the slots: open slots, slots that two nodes claim, slots of a node that
// does not answer, and, unless AssignUnassigned is set, slots that
// nobody owns. Arguments that make no sense are an [*InputError].
//
// # Cost
//
// A plan takes time and memory in proportion to the ranges and the nodes, up to
// a bound for the search for few ranges: on one core of a server some ten
// milliseconds for usual clusters, below 0.2 s for 1000 primaries.
package plan
