// Package lincheck checks that slotmap.Map and topology.Router are
// linearizable: it records what goroutines did to one at once and what they
// saw, and asks porcupine for an order in which a plain array would have
// answered the same.
//
// It is a module of its own, so that porcupine does not become a dependency of
// those who use hashslot:
//
//	cd slotmap/lincheck && go test -race .
package lincheck
