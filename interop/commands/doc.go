// Package commands holds slotmap/command against real servers: its table against
// their replies to COMMAND, and the keys that it finds against COMMAND GETKEYS and
// COMMAND GETKEYSANDFLAGS. It has nothing to import.
//
// What the servers say is in testdata/commands, from which go generate
// writes the table there. With Valkey 9.1 and Redis 8.6,
//
//	go test ./commands -run TestReplies -update
//
// writes it anew.
package commands
