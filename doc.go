// Package hashslot tells which hash slot of a Valkey or Redis cluster a key
// belongs to.
//
// A cluster spreads its keys over [Count] = 16384 hash slots: the slot of a key
// is the CRC-16/XMODEM of the key, or of its hash tag if it has one, modulo
// 16384. [Of] answers for one key, [AppendOf] for many at once, and both give
// exactly the servers' answer for every key.
//
//	slot := hashslot.Of("user:{42}:name") // the slot of "42"
//
// Who owns a slot is the matter of the packages below: slotmap maps slots to
// owners, slotmap/topology reads what servers say about their cluster and
// routes by it, slotmap/plan decides who should own what. The packages crc16
// and hashtag are the specification of the two rules in plain Go.
//
// On amd64 and arm64 the work is done by assembly kernels, chosen once when
// the program starts by what the CPU has; [Kernel] names the choice. All other
// targets, and builds with the tag purego, run the plain Go. The answers are
// the same everywhere.
//
// All functions are safe for concurrent use. None of them keeps a reference to
// its arguments, and none allocates except where it says so.
package hashslot
