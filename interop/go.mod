module github.com/hashslot/hashslot/interop

go 1.26.0

require (
	github.com/gomodule/redigo v1.9.3
	github.com/hashslot/hashslot v0.9.0
	github.com/mediocregopher/radix/v4 v4.1.4
	github.com/mna/redisc v1.4.0
	github.com/redis/go-redis/v9 v9.23.0
	github.com/stretchr/testify v1.12.1
	github.com/valkey-io/valkey-go v1.0.79
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/hashslot/hashslot/adapter/goredis v0.0.0
	github.com/hashslot/hashslot/adapter/redigo v0.0.0
	github.com/hashslot/hashslot/adapter/valkeygo v0.0.0
	github.com/klauspost/cpuid/v2 v2.4.2 // indirect
	github.com/tilinna/clock v1.0.2 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/hashslot/hashslot => ..

replace github.com/hashslot/hashslot/adapter/goredis => ../adapter/goredis

replace github.com/hashslot/hashslot/adapter/valkeygo => ../adapter/valkeygo

replace github.com/hashslot/hashslot/adapter/redigo => ../adapter/redigo
