package main

import (
	"context"
	"fmt"
	"hash/crc32"
	"runtime"
	"runtime/debug"
	_ "unsafe" // for go:linkname

	"github.com/cespare/xxhash/v2"
	howeyc "github.com/howeyc/crc16"
	"github.com/mediocregopher/radix/v4"
	"github.com/minio/crc64nvme"
	"github.com/mna/redisc"
	goredis "github.com/redis/go-redis/v9"
	_ "github.com/redis/rueidis"
	sigurn "github.com/sigurn/crc16"
	_ "github.com/valkey-io/valkey-go"
	"github.com/zeebo/xxh3"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/bench/internal/owners"
	"github.com/hashslot/hashslot/hashtag"
	"github.com/hashslot/hashslot/internal/xmodem"
)

// The names of the peers that all others are compared with.
const (
	redis   = "redisc"
	xxh     = "xxh3"
	slicing = "slicing by 16"
	bytes1  = "byte-wise table"
)

// The functions by which clients compute slots. Their packages do not export them.

//go:linkname goRedisSlot github.com/redis/go-redis/v9/internal/hashtag.Slot
func goRedisSlot(key string) int

//go:linkname rueidisSlot github.com/redis/rueidis/internal/cmds.slot
func rueidisSlot(key string) uint16

//go:linkname valkeyGoSlot github.com/valkey-io/valkey-go/internal/cmds.slot
func valkeyGoSlot(key string) uint16

// here is the module of methods of other projects that this package implements itself.
const here = "written here"

// A slotPeer computes slots.
type slotPeer struct {
	name   string
	module string
	str    func(string) uint16
	raw    func([]byte) uint16 // instead of str, for peers that take only bytes
	noTags bool                // it is a checksum, modulo 16384, without hash tags
}

func slotPeers() []slotPeer {
	xmodem := sigurn.MakeTable(sigurn.CRC16_XMODEM)
	return []slotPeer{
		{name: redis, module: "github.com/mna/redisc", str: func(k string) uint16 { return uint16(redisc.Slot(k)) }},
		{name: "go-redis", module: "github.com/redis/go-redis/v9", str: func(k string) uint16 { return uint16(goRedisSlot(k)) }},
		{name: "rueidis", module: "github.com/redis/rueidis", str: rueidisSlot},
		{name: "valkey-go", module: "github.com/valkey-io/valkey-go", str: valkeyGoSlot},
		{name: "radix", module: "github.com/mediocregopher/radix/v4", raw: radix.ClusterSlot},
		{name: bytes1, module: here, str: bytewise},
		{name: "sigurn/crc16", module: "github.com/sigurn/crc16", noTags: true,
			raw: func(p []byte) uint16 { return sigurn.Checksum(p, xmodem) % hashslot.Count }},
		{name: "howeyc/crc16", module: "github.com/howeyc/crc16", noTags: true,
			raw: func(p []byte) uint16 { return howeyc.Update(0, howeyc.CCITTFalseTable, p) % hashslot.Count }},
	}
}

// A hashPeer is another hash, for comparison: its answers are not slots.
type hashPeer struct {
	name   string
	module string
	run    func([]byte) uint64
}

// hashPeers returns all hashes. For xxh3 and xxhash, workloads with single keys call
// the forms for strings instead.
func hashPeers() []hashPeer {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	return []hashPeer{
		{xxh, "github.com/zeebo/xxh3", xxh3.Hash},
		{"xxhash", "github.com/cespare/xxhash/v2", xxhash.Sum64},
		{"crc32 IEEE", "hash/crc32", func(p []byte) uint64 { return uint64(crc32.ChecksumIEEE(p)) }},
		{"crc32 Castagnoli", "hash/crc32", func(p []byte) uint64 { return uint64(crc32.Checksum(p, castagnoli)) }},
		{"crc64nvme", "github.com/minio/crc64nvme", crc64nvme.Checksum},
	}
}

// version returns a module with the version that is built into this program. For packages
// of the standard library that is Go's.
func version(module string) string {
	if module == here {
		return module
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == module {
				return module + " " + d.Version
			}
		}
	}
	return module + " of " + runtime.Version()
}

// versionOf is version, but "" for hashslot itself.
func versionOf(module string) string {
	if module == "" {
		return ""
	}
	return version(module)
}

// awkward are keys on which implementations have differed.
var awkward = []string{
	"", "{", "}", "{}", "{}a", "a{}", "a{}b{c}", "{}{b}", "}{a}", "{{a}}", "{a}{b}", "a{b", "a}b", "a{b}c{d}e", "{\x00}", "{a\xffb}c",
	"café", "ключ{тег}", "鍵", "123456789",
}

// tested returns keys with and without tags, of the lengths in the workloads.
func tested() (tagged, plain []string) {
	rng := seeded()
	for range 10_000 {
		plain = append(plain, word(rng, 1+rng.IntN(200)))
		tagged = append(tagged, mixedTag(3, 80)(rng))
	}
	return append(tagged, awkward...), plain
}

// specified returns the right answer: the bitwise checksum of the part that the rule of
// hash tags selects.
func specified(key string) uint16 { return xmodem.Bitwise([]byte(hashtag.Of(key))) % hashslot.Count }

// checked compares the answers of a peer with the specification.
func (p slotPeer) checked() peerInfo {
	info := peerInfo{Name: p.name, Module: version(p.module)}
	tagged, plain := tested()
	want, keys := specified, append(tagged, plain...)
	if p.noTags {
		want = func(key string) uint16 { return xmodem.Bitwise([]byte(key)) % hashslot.Count }
	}
	var wrong []string
	for _, k := range keys {
		times := 1
		if k == "" {
			times = 8 // some clients answer at random
		}
		for range times {
			if p.of(k) != want(k) {
				wrong = append(wrong, k)
				break
			}
		}
	}
	switch {
	case len(wrong) > 0:
		info.Wrong = true
		info.Answers = fmt.Sprintf("wrong for %d of %d keys, %q among them", len(wrong), len(keys), wrong[0])
	case p.noTags:
		info.Answers = fmt.Sprintf("equal for %d keys, but knows no hash tags", len(keys))
	default:
		info.Answers = fmt.Sprintf("equal for %d keys", len(keys))
	}
	return info
}

func (p slotPeer) of(key string) uint16 {
	if p.str != nil {
		return p.str(key)
	}
	return p.raw([]byte(key))
}

// checkedRouters compares the answers of clients and of their structures with the layout,
// for each slot.
func checkedRouters() []peerInfo {
	var tags [hashslot.Count]string
	for s := range tags {
		tags[s] = hashslot.Slot(s).Tag()
	}
	var names []string
	wrong, slots, modules := map[string]int{}, map[string]int{}, map[string]string{}
	for _, l := range owners.Layouts() {
		for _, r := range keyRouters(l) {
			if r.module == "" {
				continue
			}
			if slots[r.name] == 0 {
				names = append(names, r.name)
			}
			modules[r.name] = r.module
			slots[r.name] += len(tags)
			for s, tag := range tags {
				if r.owner(tag) != l.Of(s) {
					wrong[r.name]++
				}
			}
		}
	}
	var all []peerInfo
	for _, name := range names {
		info := peerInfo{Name: name, Module: version(modules[name]), Answers: fmt.Sprintf("equal for %d slots", slots[name])}
		if n := wrong[name]; n > 0 {
			info.Wrong, info.Answers = true, fmt.Sprintf("wrong for %d of %d slots", n, slots[name])
		}
		all = append(all, info)
	}
	return all
}

// checkedPeers checks all peers.
func checkedPeers() []peerInfo {
	var all []peerInfo
	for _, p := range slotPeers() {
		all = append(all, p.checked())
	}
	for _, p := range hashPeers() {
		all = append(all, peerInfo{Name: p.name, Module: version(p.module), Answers: "another hash, for scale"})
	}
	return append(all, checkedRouters()...)
}

// goRedis returns a client with the owners of l. It needs no network: it never dials a
// node.
func goRedis(l owners.Layout) *goredis.ClusterClient {
	var slots []goredis.ClusterSlot
	for s := range hashslot.Count {
		if s > 0 && l.Of(s-1) == l.Of(s) {
			slots[len(slots)-1].End = s
			continue
		}
		slots = append(slots, goredis.ClusterSlot{Start: s, End: s, Nodes: []goredis.ClusterNode{{Addr: owners.Addr(l.Of(s))}}})
	}
	return goredis.NewClusterClient(&goredis.ClusterOptions{
		ClusterSlots: func(context.Context) ([]goredis.ClusterSlot, error) { return slots, nil },
	})
}
