// Package command says which arguments of a command are keys, and where the
// command goes, without a server.
//
// It has the commands and subcommands of Valkey 9.1 and Redis 8.6, as the servers
// describe them in reply to COMMAND, and the code that the servers have for those
// whose description does not show their keys. [Keys] finds what COMMAND GETKEYS
// and COMMAND GETKEYSANDFLAGS would say. [Route] says where to send the command:
// to the node of one slot, of each of several slots, to any node or to all.
//
// Where both servers know a command and describe it differently, the package
// follows Valkey; differences.txt in its folder lists what differs. The differences
// in keys are few: GEORADIUS with both STORE and STOREDIST has the last of the two as a key
// in Valkey, and both in Redis 8.6; and the use of the keys of HSETEX, and of SET
// with a condition, differs. A [Table]
// that [Load] makes of the COMMAND reply of a server has the commands of that
// server, those of its modules included.
//
// # Transactions and scripts
//
// All keys of a MULTI block must be in one slot, and so should those of the WATCH
// in front of it: a [Block] finds it. A script declares its keys: for EVAL and
// FCALL Keys returns those, and Route their slot.
//
// # Sizes
//
// The built-in table takes less than 32 KiB of data and no work when a program
// starts. The package adds 60 KiB to a program that uses slotmap, and 44 KiB more
// if it uses Load. A look-up takes some 11 ns for a name of 2 to 16 bytes, three times
// as long for a longer name, and twice as long for a subcommand. docs/keys.md
// tells how this was measured.
package command

//go:generate go test -run ^TestBuiltinIsGenerated$ -update .
