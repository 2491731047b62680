// Predicted cycles. This file keeps the program out of the module that importers
// download.
module github.com/hashslot/hashslot/bench/mca

go 1.25.0

require (
	github.com/hashslot/hashslot v0.0.0
	github.com/klauspost/cpuid/v2 v2.4.2
	github.com/stretchr/testify v1.12.1
	github.com/zeebo/xxh3 v1.1.0
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.44.0 // indirect
)

replace github.com/hashslot/hashslot => ../..
