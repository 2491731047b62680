// Package plan says who should own which hash slots: it lays out new clusters
// ([Create]), evens out the slots of running ones when nodes were added or
// weights changed ([Rebalance]), moves a number of slots to a node ([Reshard]),
// empties nodes that are to be removed ([Drain]), repairs open and unassigned slots
// ([Fix]), spreads primaries over machines and zones ([Balance]) and names the
// replicas that should take over from lost primaries ([Promote]). What slots have
// to do and hold it reads from the servers' own numbers ([ParseSlotStats]).
//
// All of these are pure functions: they do no I/O, keep nothing, and give the
// same answer for the same input. They are safe for concurrent use. A [Plan]
// is a list of moves that favours no way to do them; it renders as steps of
// CLUSTER SETSLOT for all servers ([Plan.SetSlots]), as CLUSTER MIGRATESLOTS of
// Valkey 9.0 ([Plan.MigrateSlots]), as CLUSTER MIGRATION IMPORT of Redis 8.4
// ([Plan.MigrationImport]), as JSON and as text to check ([Plan.Summary]). It
// can be cut into batches ([Plan.Batches]) and be tried on paper (package plantest).
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
// a bound for the search for few ranges: on one core of a server some
// milliseconds for usual clusters, below 50 ms for 1000 primaries.
package plan
