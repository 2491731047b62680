// Package plan says who should own which hash slots: it lays out new clusters
// ([Create]), evens out the slots of running ones when nodes were added or
// weights changed ([Rebalance]), moves a number of slots to a node ([Reshard]),
// empties nodes that are to be removed ([Drain]) and names the replicas that
// should take over from lost primaries ([Promote]).
//
// All of these are pure functions: they do no I/O, keep nothing, and give the
// same answer for the same input. They are safe for concurrent use. A [Plan]
// is a list of moves that favours no way to do them; it renders as steps of
// CLUSTER SETSLOT for all servers ([Plan.SetSlots]), as CLUSTER MIGRATESLOTS of
// Valkey 9.0 ([Plan.MigrateSlots]), as CLUSTER MIGRATION IMPORT of Redis 8.4
// ([Plan.MigrationImport]), as JSON and as text to check ([Plan.Summary]). It
// can be cut into batches ([Plan.Batches]) and be tried on paper ([Model]).
//
// # Two modes
//
// The default mode gives exact shares, moves as few slots as these allow, and
// leaves few ranges behind. It does not depend on the order of the reply.
//
// In Compat mode the answer is that of valkey-cli --cluster 9.1.2, to the slot,
// its faults included, in order to know what the tool will do: shares truncated
// in 32-bit floats, the remainder to the receivers, always the lowest slots of a
// source, at times one slot more than announced. The older tools, from
// redis-cli 7.0 on, compute the same, except that they refuse to create fewer
// than three primaries. Two things the tool does cannot be told beforehand:
// the order of nodes in its list, which depends on a random seed of the server
// that it asks (pass what CLUSTER NODES said, or Options.Order), and the random
// exchanges of replicas at the end of a create.
//
// # What is refused
//
// Where moving slots could lose keys there is no plan but a [*StateError] that
// names the slots: open slots, slots that two nodes claim, slots of a node that
// does not answer, and, unless Options.AssignUnassigned is set, slots that
// nobody owns. Arguments that make no sense are an [*InputError].
//
// # Cost
//
// A plan takes time and memory in proportion to the ranges and the nodes, up to
// a bound for the search for few ranges: on one core of a server some
// milliseconds for usual clusters, below 50 ms for 1000 primaries.
package plan
