// Package plan decides which nodes should own which hash slots. [Create] lays out a
// new cluster. [Rebalance] evens out the slots after nodes were added or weights
// changed. [Reshard] moves a number of slots to a node. [Drain] empties nodes that are
// to be removed. [Fix] repairs open and unassigned slots. [Balance] spreads primaries
// over machines and zones. [Promote] names the replicas that should take over from
// lost primaries. [ParseSlotStats] reads the load of slots from the servers' numbers.
//
// All of these are pure functions: they do no I/O, keep nothing, and return the same
// result for the same input. They are safe for concurrent use.
//
// # From a plan to a cluster
//
// A [Plan] is a list of moves. Four methods render it as [Step]s: [Plan.SetSlots] as
// CLUSTER SETSLOT, for all servers; [Plan.MigrateSlots] as CLUSTER MIGRATESLOTS of
// Valkey 9.0; [Plan.MigrationImport] as CLUSTER MIGRATION IMPORT of Redis 8.4; and
// [Plan.ClusterX] for Apache Kvrocks. [Layout.Steps] and [Layout.ClusterX] create a
// cluster. [Fix] and [Balance] return steps.
//
// A step has a command, a condition to wait for, and the commands that show it
// ([Step.Answer], [Step.Progress]). The package interop/executor of the repository
// carries out steps on live servers and resumes after a crash; it is made to be copied.
// [ParseJobs] reads the migrations that servers run in the background. Planning takes
// them into account, and [Plan.Match] compares them with a plan.
//
// A Plan has a JSON form, with its steps, and a text form for people ([Plan.Summary]).
// [Plan.Batches] divides it, and package plantest simulates it.
//
// Plans have exact shares, move as few slots as the shares allow, and leave few ranges.
// They do not depend on the order of the reply. Package valkeycli plans as the servers'
// own tools do, by version.
//
// # Refused clusters
//
// If moving slots could lose keys, the error is a [*StateError] that names the slots:
// open slots, slots that two nodes claim, slots of a node that does not answer and,
// unless AssignUnassigned is set, unassigned slots. Arguments that make no sense are an
// [*InputError].
//
// # Cost
//
// Time and memory of a plan are in proportion to the ranges and the nodes, plus a
// bounded search for few ranges. On one core of a server, a plan takes some ten
// milliseconds for usual clusters, and less than 0.2 s for 1000 primaries.
package plan
