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
// A Set is 2 KiB. A Table takes 2.3 KiB and the size of one owner value for each
// owner, if owners have one range each. Where a range ends within a block of 16
// slots and the next is not that of the next owner, in the order of their first
// slots, two owner values and 4 bytes may come to that; for each block in which
// more than one range ends, or in which slots nobody owns begin or end, 32 bytes.
// If there are more than 32 such blocks and up to 255 owners, a Table takes 18.3
// KiB and one owner value for each owner. With owner values of a word it is
// never more than 34.3 KiB and one word for each owner, however the slots lie.
package slotmap
