// Package commands compares slotmap/command with real servers: its table with their
// replies to COMMAND, and its keys with COMMAND GETKEYS and COMMAND GETKEYSANDFLAGS. It has
// nothing to import.
//
// The replies are in testdata/commands; go generate makes the table from them. With Valkey
// 9.1 and Redis 8.6,
//
//	go test ./commands -run TestReplies -update
//
// writes them anew.
package commands
