module github.com/hashslot/hashslot/adapter/redigo

go 1.25.0

require (
	github.com/gomodule/redigo v1.9.3
	github.com/hashslot/hashslot v0.9.0
)

require (
	github.com/klauspost/cpuid/v2 v2.4.2 // indirect
	golang.org/x/sys v0.44.0 // indirect
)

replace github.com/hashslot/hashslot => ../..
