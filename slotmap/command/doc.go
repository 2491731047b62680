// Package command finds the keys among the arguments of a command, and the nodes
// that the command goes to, without a server.
//
// It has the commands and subcommands of Valkey 9.1 and Redis 8.6, as the servers
// describe them in their COMMAND reply. For commands whose description does not show
// the keys it repeats the servers' own code. [Keys] returns the keys that COMMAND
// GETKEYSANDFLAGS would return. [Route] says where to send the command: to the node
// of one slot, to those of several slots, to any node, or to all.
//
// If both servers have a command and describe it differently, the package follows
// Valkey; differences.txt in its folder lists the differences. Few of them concern
// keys: GEORADIUS with both STORE and STOREDIST has one key for the result in Valkey,
// the last one, and two in Redis 8.6; and the two differ in the use of the keys of
// HSETEX, and of SET with a condition. [Load] makes a [Table] of one server's COMMAND
// reply, with the commands of its modules.
//
// # Transactions and scripts
//
// All keys of a MULTI block must be in one slot, and so should the keys of the WATCH
// before it. A [Block] finds that slot. A script declares its keys: Keys returns those
// of EVAL and FCALL, and Route returns their slot.
//
// # Sizes
//
// The built-in table takes less than 32 KiB of data, and no work when a program
// starts. The package adds 60 KiB to a program that uses slotmap, and Load another 44
// KiB. A lookup takes some 11 ns for a name of 2 to 16 bytes, three times as long for
// a longer name, and twice as long for a subcommand. docs/keys.md says how this was
// measured.
package command

//go:generate go test -run ^TestBuiltinIsGenerated$ -update .
