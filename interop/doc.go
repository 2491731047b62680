// Package interop tests hashslot against real servers and real clients. It has
// nothing to import: the tests are here, what clients import is in the folder
// adapter of the root, and the folders executor and proxy have examples to copy.
//
// Clusters run on loopback only, of every redis-server and valkey-server (6.0 or
// later) that is found in the folders of HASHSLOT_SERVERS, a list as PATH is one,
// or on PATH. Without any, the tests that need one are skipped. The script
// servers.sh gets several versions of both for Debian, one of each for Ubuntu:
//
//	export HASHSLOT_SERVERS=$(./servers.sh DIR) HASHSLOT_REQUIRE_SERVERS=redis,valkey
//	go test -parallel 6 ./...
//
// A folder of HASHSLOT_SERVERS in which no server runs is a failure, and so is a
// server that HASHSLOT_REQUIRE_SERVERS names and that is not there. HASHSLOT_SOAK
// is how long the soak test goes on, "10m" for example.
package interop
