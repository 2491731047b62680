// The tests of the project as a whole. This file keeps them out of the module that
// importers download.
module github.com/hashslot/hashslot/internal/house

go 1.25.0

require (
	github.com/hashslot/hashslot v0.0.0
	github.com/stretchr/testify v1.12.1
	go.yaml.in/yaml/v3 v3.0.5
)

require (
	github.com/klauspost/cpuid/v2 v2.4.2 // indirect
	golang.org/x/sys v0.44.0 // indirect
)

replace github.com/hashslot/hashslot => ../..
