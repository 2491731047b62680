package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/mna/redisc"
	"github.com/zeebo/xxh3"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/bench/internal/owners"
	"github.com/hashslot/hashslot/crc16"
	"github.com/hashslot/hashslot/internal/impl"
	"github.com/hashslot/hashslot/internal/xmodem"
)

// The tables of a report, in their order.
const (
	groupOne      = "One key of a fixed length"
	groupVaried   = "One key, lengths unpredictable"
	groupReal     = "One key, as they are in life"
	groupTags     = "One key with a hash tag"
	groupBatch    = "A batch of 32768 keys of 1 to so many bytes"
	groupBatches  = "Other batches"
	groupLong     = "Checksum of a buffer at the start of a cache line"
	groupShifted  = "Checksum of a buffer 13 bytes behind the start of a cache line"
	groupOwners   = "From slot to owner"
	groupKeys     = "From key to owner, 16 owners"
	groupSplit    = "Keys divided by owner, 16 owners"
	groupCommands = "From command to slot"
	groupCores    = "Keys on many cores, 8 to 32 bytes, 16 owners"
)

var groups = []string{groupOne, groupVaried, groupReal, groupTags, groupBatch, groupBatches, groupLong, groupShifted,
	groupOwners, groupKeys, groupSplit, groupCommands, groupCores}

// remarks are printed below the headings of tables.
var remarks = map[string]string{
	groupOne:      "Every run has the same 1024 keys.",
	groupVaried:   "32768 keys, more than a branch predictor remembers.",
	groupReal:     "32768 keys of each kind. The mix has all kinds, and short counters.",
	groupTags:     "The rows below have keys of the same lengths without a tag. xxh3 hashes the whole key; functions that know hash tags hash only what is in the tag.",
	groupBatches:  "Batches that are named by the contents of their keys have 4096 keys.",
	groupOwners:   "Dependent lookups of random slots: each slot comes from the previous answer. Sorted ranges are the structure of go-redis, locked interfaces that of rueidis and valkey-go, locked addresses that of redisc.",
	groupKeys:     "The structures of clients hash by the byte-wise table; go-redis is the client itself, with fixed slots and no network.",
	groupCommands: "Keys of 16 bytes. Clients have a map from names to the place of the first key.",
	groupCores:    "Each core is pinned and has 4096 keys of its own; the owners are shared. The time is that of all cores together, divided by all keys. The shapes of clients hash by the byte-wise table.",
}

// yours are the keys of -keys.
var yours []string

func readKeys(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var keys []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if len(keys) == 1<<20 {
			break // a million keys are enough
		}
		keys = append(keys, lines.Text())
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s, line %d: %w", name, len(keys)+1, err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s has no keys", name)
	}
	return keys, nil
}

const many = 32768

// workloads returns all workloads. keysFile is the name of the file that yours are from, or "".
func workloads(keysFile string) []workload {
	var all []workload
	add := func(group, at string, x float64, w workload) {
		w.group, w.at, w.x = group, at, x
		all = append(all, w)
	}
	for _, n := range []int{4, 8, 9, 12, 16, 20, 24, 32, 33, 48, 64, 100, 200} {
		add(groupOne, strconv.Itoa(n)+" B", float64(n), oneKey(fmt.Sprintf("one key, %d bytes", n), 1024, mixedPlain(n, n)))
	}
	for _, n := range []int{16, 32, 64, 200} {
		add(groupVaried, fmt.Sprintf("1..%d B", n), float64(n), oneKey(fmt.Sprintf("one key, unpredictable, 1..%d bytes", n), many, mixedPlain(1, n)))
	}
	for _, shape := range realShapes() {
		add(groupReal, shape.name, 0, oneKey("one key, "+shape.name, many, shape.key))
	}
	add(groupTags, "{NNNN}:x", 0, tags("{NNNN}:x, 8 bytes", 1024, func(rng *rand.Rand) string { return "{" + word(rng, 4) + "}:x" }, mixedPlain(8, 8)))
	add(groupTags, "{user:NNNN}:profile", 0, tags("{user:NNNN}:profile, 19 bytes", 1024, func(rng *rand.Rand) string { return "{user:" + word(rng, 4) + "}:profile" }, mixedPlain(19, 19)))
	add(groupTags, "app:{uuid}:cart", 0, tags("app:{uuid}:cart, 47 bytes", 1024, func(rng *rand.Rand) string { return "app:{" + word(rng, 36) + "}:cart" }, mixedPlain(47, 47)))
	add(groupTags, "anywhere in 8..24 B, few keys", 0, tags("8..24 bytes", 1024, mixedTag(8, 24), mixedPlain(8, 24)))
	add(groupTags, "anywhere in 8..24 B, unpredictable", 0, tags("unpredictable, 8..24 bytes", many, mixedTag(8, 24), mixedPlain(8, 24)))
	for _, n := range []int{8, 16, 32, 64, 128, 200} {
		add(groupBatch, strconv.Itoa(n)+" B", float64(n), batch(fmt.Sprintf("%d keys of 1..%d bytes", many, n), many, mixedPlain(1, n)))
	}
	for _, b := range []struct {
		name string
		keys int
		key  func(*rand.Rand) string
	}{
		{"4 keys of 1..32 bytes", 4, mixedPlain(1, 32)},
		{"16 keys of 1..32 bytes", 16, mixedPlain(1, 32)},
		{"256 keys of 16 bytes", 256, mixedPlain(16, 16)},
		{"256 keys of 32 bytes", 256, mixedPlain(32, 32)},
		{"256 keys of 64 bytes", 256, mixedPlain(64, 64)},
		{"256 keys of 1..16 bytes", 256, mixedPlain(1, 16)},
		{"256 keys of 1..64 bytes", 256, mixedPlain(1, 64)},
		{"2048 keys of 65..200 bytes", 2048, mixedPlain(65, 200)},
		{"32768 keys of 65..200 bytes", many, mixedPlain(65, 200)},
		{"32768 keys of 1..64 bytes, 10% of 65..200", many, shares(10, mixedPlain(65, 200), mixedPlain(1, 64))},
		{"32768 keys of 1..32 bytes, 2% empty", many, shares(2, mixedPlain(0, 0), mixedPlain(1, 32))},
		{"32768 keys of 1..16 bytes, 10% tags", many, shares(10, mixedTag(4, 16), mixedPlain(1, 16))},
	} {
		group := ""
		if b.keys < many {
			group = groupBatches
		}
		add(group, b.name, 0, batch(b.name, b.keys, b.key))
	}
	for _, shape := range realShapes() {
		add(groupBatches, shape.name, 0, batch(shape.name, 4096, shape.key))
	}
	add(groupBatches, "32768 tagged keys of 8..24 bytes", 0, batch("tagged, 32768 keys of 8..24 bytes, alone", many, mixedTag(8, 24)))
	add(groupBatches, "2048 tagged keys of 65..200 bytes", 0, batch("tagged, 2048 keys of 65..200 bytes, alone", 2048, mixedTag(65, 200)))
	all = append(all,
		batchTags("256 keys of 4..16 bytes", 256, mixedTag(4, 16), mixedPlain(4, 16)),
		batchTags("32768 keys of 4..16 bytes", many, mixedTag(4, 16), mixedPlain(4, 16)),
		batchTags("256 keys of 8..24 bytes", 256, mixedTag(8, 24), mixedPlain(8, 24)),
		batchTags("32768 keys of 8..24 bytes", many, mixedTag(8, 24), mixedPlain(8, 24)),
		batchTags("32768 keys of 8..64 bytes", many, mixedTag(8, 64), mixedPlain(8, 64)),
		batchTags("32768 keys of 5..40 bytes, 30% tags", many, shares(30, mixedTag(5, 40), mixedPlain(5, 40)), mixedPlain(5, 40)),
		batchTags("2048 keys of 65..200 bytes", 2048, mixedTag(65, 200), mixedPlain(65, 200)),
	)
	for _, kib := range []int{64, 1 << 10, 8 << 10, 64 << 10} {
		all = append(all, coldBatch(kib))
	}
	if len(yours) > 0 {
		given := func(n int) func(*rand.Rand) string {
			i := 0
			return func(*rand.Rand) string { i++; return yours[(i-1)%len(yours)] }
		}
		n := min(len(yours), many)
		add(groupReal, "yours: "+keysFile, 0, oneKey("one key, yours", n, given(n)))
		add(groupBatches, "yours: "+keysFile, 0, batch("yours", n, given(n)))
	}
	for _, n := range []int{64, 65, 100, 128, 200, 256, 320, 512, 640, 1 << 10, 1280, 2 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20} {
		for _, offset := range []int{0, 13} {
			w, group := long(n, offset), groupLong
			if offset > 0 {
				group = groupShifted
			}
			if n&(n-1) != 0 || offset > 0 && n != 64 && n != 1<<10 && n != 16<<10 {
				group = ""
			}
			add(group, sizeName(n), float64(n), w)
		}
	}
	for _, l := range owners.Layouts() {
		all = append(all, fromSlots(l))
	}
	all = append(all, fromKeys(few(), 8), fromKeys(few(), 16), fromKeys(few(), 32), split(few(), 100), split(few(), 1000))
	all = append(all, commandWorkloads()...)
	for _, n := range coreCounts(min(len(allowed), runtime.GOMAXPROCS(0))) {
		all = append(all, onCores(n))
	}
	return all
}

// sizeName formats a number of bytes in units of 1024.
func sizeName(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}

// A shape is a form of keys that programs use.
type shape struct {
	name string
	key  func(*rand.Rand) string
}

func realShapes() []shape {
	hex := func(rng *rand.Rand, n int) string {
		p := make([]byte, n)
		for i := range p {
			p[i] = "0123456789abcdef"[rng.IntN(16)]
		}
		return string(p)
	}
	fields := []string{"name", "email", "settings", "cart", "last_login", "friends:count"}
	user := func(rng *rand.Rand) string { return fmt.Sprintf("user:%d", 1+rng.IntN(10_000_000)) }
	field := func(rng *rand.Rand) string { return fields[rng.IntN(len(fields))] }
	session := func(rng *rand.Rand) string { return "sess:" + hex(rng, 32) }
	uuid := func(rng *rand.Rand) string {
		return hex(rng, 8) + "-" + hex(rng, 4) + "-" + hex(rng, 4) + "-" + hex(rng, 4) + "-" + hex(rng, 12)
	}
	plain := func(rng *rand.Rand) string { return user(rng) + ":" + field(rng) }
	tagged := func(rng *rand.Rand) string { return "{" + user(rng) + "}:" + field(rng) }
	return []shape{
		{"session ids", session},
		{"uuids", uuid},
		{"user:NNN:field", plain},
		{"{user:NNN}:field", tagged},
		{"a mix", func(rng *rand.Rand) string {
			switch n := rng.IntN(100); {
			case n < 40:
				return plain(rng)
			case n < 60:
				return session(rng)
			case n < 75:
				return uuid(rng)
			case n < 90:
				return tagged(rng)
			}
			return fmt.Sprintf("views:%d", rng.IntN(100_000))
		}},
	}
}

// word returns a key of n bytes without braces.
func word(rng *rand.Rand, n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789:-_."
	p := make([]byte, n)
	for i := range p {
		p[i] = letters[rng.IntN(len(letters))]
	}
	return string(p)
}

func mixedPlain(low, high int) func(*rand.Rand) string {
	return func(rng *rand.Rand) string { return word(rng, low+rng.IntN(high-low+1)) }
}

// mixedTag makes keys with a tag of a random length at a random place.
func mixedTag(low, high int) func(*rand.Rand) string {
	return func(rng *rand.Rand) string {
		n := low + rng.IntN(high-low+1) - 2
		tag := 1 + rng.IntN(n)
		before := rng.IntN(n - tag + 1)
		return word(rng, before) + "{" + word(rng, tag) + "}" + word(rng, n-tag-before)
	}
}

// shares makes percent of its keys by the first function, the rest by the second.
func shares(percent int, one, other func(*rand.Rand) string) func(*rand.Rand) string {
	return func(rng *rand.Rand) string {
		if rng.IntN(100) < percent {
			return one(rng)
		}
		return other(rng)
	}
}

func seeded() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func keysOf(n int, key func(*rand.Rand) string) []string {
	rng := seeded()
	keys := make([]string, n)
	for i := range keys {
		keys[i] = key(rng)
	}
	return keys
}

func asBytes(keys []string) [][]byte {
	p := make([][]byte, len(keys))
	for i, k := range keys {
		p[i] = []byte(k)
	}
	return p
}

// oneKey hashes keys by one call each.
func oneKey(name string, n int, key func(*rand.Rand) string) workload {
	return workload{name: name, units: n, contenders: func() []contender {
		keys := keysOf(n, key)
		raw := asBytes(keys)
		all := append(singles(keys, ""),
			contender{name: "crc16.Checksum", run: func() (s uint64) {
				for _, k := range raw {
					s += uint64(crc16.Checksum(k))
				}
				return s
			}},
			contender{name: slicing, run: func() (s uint64) {
				for _, k := range raw {
					s += uint64(xmodem.Table(k))
				}
				return s
			}},
			contender{name: "xxhash", peer: version("github.com/cespare/xxhash/v2"), run: func() (s uint64) {
				for _, k := range keys {
					s += xxhash.Sum64String(k)
				}
				return s
			}},
		)
		for _, p := range slotPeers() {
			if p.name == redis {
				continue // among the singles
			}
			c := contender{name: p.name, peer: version(p.module)}
			if p.str != nil {
				c.run = func() (s uint64) {
					for _, k := range keys {
						s += uint64(p.str(k))
					}
					return s
				}
			} else {
				c.run = func() (s uint64) {
					for _, k := range raw {
						s += uint64(p.raw(k))
					}
					return s
				}
			}
			all = append(all, c)
		}
		for _, p := range hashPeers() {
			if p.name == xxh || p.name == "xxhash" {
				continue
			}
			all = append(all, contender{name: p.name, peer: version(p.module), run: func() (s uint64) {
				for _, k := range raw {
					s += p.run(k)
				}
				return s
			}})
		}
		return all
	}}
}

// of returns the name of a contender of hashslot. The name includes the kernel if it is not
// the one in use.
func of(what, kernel string) string {
	if kernel == impl.Current() {
		return what
	}
	return what + ", " + kernel
}

// singles returns the contenders of every workload of single keys.
func singles(keys []string, suffix string) []contender {
	var all []contender
	for _, kernel := range impl.Names() {
		all = append(all, contender{name: of("Of", kernel) + suffix, kernel: kernel, run: func() (s uint64) {
			for _, k := range keys {
				s += uint64(hashslot.Of(k))
			}
			return s
		}})
	}
	return append(all,
		contender{name: redis + suffix, peer: version("github.com/mna/redisc"), run: func() (s uint64) {
			for _, k := range keys {
				s += uint64(redisc.Slot(k))
			}
			return s
		}},
		contender{name: xxh + suffix, peer: version("github.com/zeebo/xxh3"), run: func() (s uint64) {
			for _, k := range keys {
				s += xxh3.HashString(k)
			}
			return s
		}},
	)
}

// withBase returns the contenders for tagged keys and those for keys without a tag. Each of
// the first is compared with its counterpart among the second.
func withBase(tagged, plain []contender) []contender {
	const suffix = ", untagged"
	for i, c := range tagged {
		tagged[i].base = c.name + suffix
	}
	for i := range plain {
		plain[i].name += suffix
	}
	return append(tagged, plain...)
}

// tags compares keys with a tag and keys without. it/base is the time of the tagged keys as
// a multiple of the other.
func tags(name string, n int, tagged, plain func(*rand.Rand) string) workload {
	return workload{name: "one key, tagged, " + name, units: n, contenders: func() []contender {
		return withBase(singles(keysOf(n, tagged), ""), singles(keysOf(n, plain), ""))
	}}
}

// batches returns the contenders of every workload of many keys. The forms for bytes are
// compared with the form for strings.
func batches(keys []string) []contender {
	var (
		all  = singles(keys, "")
		dst  = make([]hashslot.Slot, 0, len(keys))
		raw  = asBytes(keys)
		data = []byte(strings.Join(keys, ""))
		ends []uint32
		end  uint32
	)
	for _, k := range keys {
		end += uint32(len(k))
		ends = append(ends, end)
	}
	for _, kernel := range impl.Names() {
		base := of("AppendOf", kernel)
		all = append(all,
			contender{name: base, kernel: kernel, run: func() uint64 {
				return uint64(hashslot.AppendOf(dst, keys)[0])
			}},
			contender{name: of("AppendOfBytes", kernel), kernel: kernel, base: base, run: func() uint64 {
				return uint64(hashslot.AppendOfBytes(dst, raw)[0])
			}},
			contender{name: of("AppendOfPacked", kernel), kernel: kernel, base: base, run: func() uint64 {
				return uint64(hashslot.AppendOfPacked(dst, data, ends)[0])
			}},
		)
	}
	return all
}

func batch(name string, n int, key func(*rand.Rand) string) workload {
	return workload{name: "batch, " + name, units: n, contenders: func() []contender { return batches(keysOf(n, key)) }}
}

func batchTags(name string, n int, tagged, plain func(*rand.Rand) string) workload {
	return workload{name: "batch, tagged, " + name, units: n, contenders: func() []contender {
		return withBase(batches(keysOf(n, tagged)), batches(keysOf(n, plain)))
	}}
}

// coldBatch has keys of 16 bytes, each in a cache line of its own, in random order in a
// memory of the given size. Every run takes the next part of the keys.
func coldBatch(kib int) workload {
	lines := kib << 10 / 64
	piece := min(lines, 4096)
	return workload{name: fmt.Sprintf("batch, cold, %d KiB", kib), units: piece, contenders: func() []contender {
		rng := seeded()
		memory := strings.Repeat(word(rng, 1<<10), kib)
		keys := make([]string, lines)
		for i, line := range rng.Perm(lines) {
			keys[i] = memory[64*line : 64*line+16]
		}
		at := 0
		next := func() []string {
			p := keys[at : at+piece]
			at = (at + piece) % lines
			return p
		}
		dst := make([]hashslot.Slot, 0, piece)
		all := []contender{
			{name: redis, peer: version("github.com/mna/redisc"), run: func() (s uint64) {
				for _, k := range next() {
					s += uint64(redisc.Slot(k))
				}
				return s
			}},
			{name: xxh, peer: version("github.com/zeebo/xxh3"), run: func() (s uint64) {
				for _, k := range next() {
					s += xxh3.HashString(k)
				}
				return s
			}},
		}
		for _, kernel := range impl.Names() {
			loop := of("Of", kernel)
			all = append(all,
				contender{name: loop, kernel: kernel, run: func() (s uint64) {
					for _, k := range next() {
						s += uint64(hashslot.Of(k))
					}
					return s
				}},
				contender{name: of("AppendOf", kernel), kernel: kernel, base: loop, run: func() uint64 {
					return uint64(hashslot.AppendOf(dst, next())[0])
				}},
			)
		}
		return all
	}}
}

// long computes the checksum of one buffer of n bytes, offset bytes after the start of a
// cache line.
func long(n, offset int) workload {
	return workload{name: fmt.Sprintf("checksum, %d bytes, offset %d", n, offset), bytes: n, contenders: func() []contender {
		memory := make([]byte, n+4096)
		rng := seeded()
		for i := range memory {
			memory[i] = byte(rng.Uint32())
		}
		// Memory of this size starts at a cache line.
		p := memory[offset:][:n]
		var all []contender
		for _, kernel := range impl.Names() {
			all = append(all, contender{name: of("Checksum", kernel), kernel: kernel, base: slicing, run: func() uint64 {
				return uint64(hashslot.Checksum(p))
			}})
		}
		all = append(all,
			contender{name: "crc16.Checksum", base: slicing, run: func() uint64 { return uint64(crc16.Checksum(p)) }},
			contender{name: slicing, run: func() uint64 { return uint64(xmodem.Table(p)) }},
			contender{name: bytes1, peer: here, run: func() uint64 { return uint64(bytewiseSum(p)) }},
		)
		for _, peer := range slotPeers() {
			if peer.noTags {
				all = append(all, contender{name: peer.name, peer: version(peer.module), run: func() uint64 { return uint64(peer.raw(p)) }})
			}
		}
		for _, peer := range hashPeers() {
			all = append(all, contender{name: peer.name, peer: version(peer.module), run: func() uint64 { return peer.run(p) }})
		}
		return all
	}}
}
