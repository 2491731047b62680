module github.com/hashslot/hashslot/slotmap/lincheck

go 1.26.0

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/hashslot/hashslot v0.0.0
)

require (
	github.com/klauspost/cpuid/v2 v2.4.2 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/hashslot/hashslot => ../..
