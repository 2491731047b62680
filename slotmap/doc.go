// Package slotmap says which node of a cluster owns a hash slot.
//
// [Range] and [Set] are values that name slots, with the text form that
// CLUSTER NODES uses: "0-5460 5462". A [Table] gives each slot an owner and
// never changes; a [Builder] makes one. A [Map] holds the table of the moment:
// any number of goroutines look slots up in it, without locks, while others
// replace it. [SlotSplitter] and [OwnerSplitter] sort the keys of a request by
// slot or by owner.
//
// The owner is of any comparable type: a pointer to the client's own node, a
// node id, an index. Owners are compared with ==, and no other use is made of
// them.
//
// # Sizes
//
// A Set is 2 KiB. A Table whose owners have one range each takes 2.6 KiB and
// the size of one owner value for each range; with more ranges than owners, or
// with slots that nobody owns, 2 bytes more for each range and one owner value
// for each owner. From 2048 ranges on it is 34.6 KiB and one owner value for
// each owner, however the slots lie.
package slotmap
