// Package lincheck checks that slotmap.Map and topology.Router are linearizable. It
// records concurrent operations and their results, and asks porcupine for an order in
// which a plain array gives the same results.
//
// It is a module of its own, so that users of hashslot do not depend on porcupine:
//
//	cd slotmap/lincheck && go test -race .
package lincheck
