// Package hashslot computes the hash slot of a key in a Valkey or Redis cluster.
//
// A cluster spreads its keys over [Count] = 16384 hash slots. The slot of a key
// is the CRC-16/XMODEM of the key, or of its hash tag if it has one, modulo
// 16384. [Of] returns the slot of one key, [AppendOf] the slots of many. Both
// give the servers' answer for every key.
//
//	slot := hashslot.Of("user:{42}:name") // the slot of "42"
//
// Slot ownership is handled by the packages below. Package slotmap maps slots
// to owners. Package slotmap/topology reads the servers' replies and routes by
// them. Package slotmap/command finds the keys of a command. Package
// slotmap/plan decides which node should own which slots. Packages crc16 and
// hashtag specify the two rules in plain Go.
//
// On amd64 and arm64, assembly kernels do the work. The program chooses one by
// the CPU's features when it starts; [Kernel] names it. All other targets, and
// builds with the tag purego, run plain Go. The answers are the same everywhere.
//
// All functions are safe for concurrent use. They keep no reference to their
// arguments, and do not allocate unless their documentation says so.
package hashslot
