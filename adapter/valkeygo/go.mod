module github.com/hashslot/hashslot/adapter/valkeygo

go 1.25.0

require (
	github.com/hashslot/hashslot v0.9.0
	github.com/valkey-io/valkey-go v1.0.79
)

require (
	github.com/klauspost/cpuid/v2 v2.4.2 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

replace github.com/hashslot/hashslot => ../..
