// Package slotmap maps the hash slots of a cluster to their owners.
//
// [Range] and [Set] are values that name slots. Their text form is that of CLUSTER
// NODES: "0-5460 5462". A [Table] gives each slot an owner and never changes; a
// [Builder] makes one. A [Map] holds the current table: any number of goroutines
// look slots up without locks while others replace the table. [SlotSplitter] and
// [OwnerSplitter] group the keys of a request by slot or by owner.
//
// An owner is any comparable value: a pointer to the client's own node, a node id,
// an index. Owners are compared with ==, and not used in any other way.
//
// # Sizes
//
// A Set is 2 KiB. A Table takes 2.3 KiB and the size of one owner value for each
// owner, if each owner has one range. A range that ends within a block of 16 slots,
// and is not followed by the next owner in the order of first slots, can add two
// owner values and 4 bytes. Each block in which more than one range ends, or in
// which unassigned slots begin or end, adds 32 bytes. With more than 32 such blocks
// and at most 255 owners, a Table takes 18.3 KiB and one owner value for each owner.
// If owner values are one word, a Table never takes more than 34.3 KiB and one word
// for each owner.
package slotmap
