// Package interop tests hashslot against real servers and real clients. It has nothing to
// import. Adapters for clients are in the folder adapter of the checkout, and the folders
// executor and proxy have examples to copy.
//
// Clusters run on loopback only. The tests use every redis-server and valkey-server (6.0
// or later) in the folders of HASHSLOT_SERVERS, a list like PATH, or on PATH. If there is
// none, tests that need servers are skipped. The script servers.sh gets several versions
// of both on Debian, and one of each on Ubuntu:
//
//	export HASHSLOT_SERVERS=$(./servers.sh DIR) HASHSLOT_REQUIRE_SERVERS=redis,valkey
//	go test -parallel 6 ./...
//
// It is a failure if a folder of HASHSLOT_SERVERS has no server that runs, or if a server
// named in HASHSLOT_REQUIRE_SERVERS is missing. HASHSLOT_SOAK is the duration of the soak
// test, "10m" for example.
package interop
