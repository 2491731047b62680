// Benchmarks, and the tools that measure and predict. This file keeps them, and the
// peers that they measure beside, out of the module that importers download.
module github.com/hashslot/hashslot/bench

go 1.26.0

require (
	github.com/cespare/xxhash/v2 v2.3.0
	github.com/hashslot/hashslot v0.0.0
	github.com/klauspost/cpuid/v2 v2.4.2
	github.com/mediocregopher/radix/v4 v4.1.4
	github.com/mna/redisc v1.4.0
	github.com/stretchr/testify v1.12.1
	github.com/zeebo/xxh3 v1.1.0
	golang.org/x/sys v0.49.0
)

require (
	github.com/gomodule/redigo v1.8.5 // indirect
	github.com/tilinna/clock v1.0.2 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

replace github.com/hashslot/hashslot => ..
