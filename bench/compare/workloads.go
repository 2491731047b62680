package main

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/mediocregopher/radix/v4"
	"github.com/mna/redisc"
	"github.com/zeebo/xxh3"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/bench/internal/owners"
	"github.com/hashslot/hashslot/crc16"
	"github.com/hashslot/hashslot/internal/impl"
)

// The names of the two peers that ratios are given to.
const (
	redis = "redisc.Slot"
	xxh   = "xxh3"
)

// slicing is the base of checksums.
const slicing = "crc16.Table"

func workloads() []workload {
	var all []workload
	for _, n := range []int{4, 8, 9, 12, 16, 20, 24, 32, 33, 48, 64, 100, 200} {
		all = append(all, oneKey(fmt.Sprintf("one key, %d bytes", n), 1024, func(rng *rand.Rand) string { return word(rng, n) }))
	}
	for _, n := range []int{16, 64} {
		all = append(all, oneKey(fmt.Sprintf("one key, unpredictable, 1..%d bytes", n), 32768,
			func(rng *rand.Rand) string { return word(rng, 1+rng.IntN(n)) }))
	}
	all = append(all,
		tags("8..24 bytes", 1024, mixedTag(8, 24), mixedPlain(8, 24)),
		tags("unpredictable, 8..24 bytes", 32768, mixedTag(8, 24), mixedPlain(8, 24)),
		tags("{NNNN}:x, 8 bytes", 1024, func(rng *rand.Rand) string { return "{" + word(rng, 4) + "}:x" }, mixedPlain(8, 8)),
		tags("{user:NNNN}:profile, 19 bytes", 1024, func(rng *rand.Rand) string { return "{user:" + word(rng, 4) + "}:profile" }, mixedPlain(19, 19)),
		tags("app:{uuid}:cart, 47 bytes", 1024, func(rng *rand.Rand) string { return "app:{" + word(rng, 36) + "}:cart" }, mixedPlain(47, 47)),
	)
	for _, b := range []struct {
		name string
		keys int
		key  func(*rand.Rand) string
	}{
		{"256 keys of 16 bytes", 256, mixedPlain(16, 16)},
		{"256 keys of 32 bytes", 256, mixedPlain(32, 32)},
		{"256 keys of 64 bytes", 256, mixedPlain(64, 64)},
		{"256 keys of 1..16 bytes", 256, mixedPlain(1, 16)},
		{"256 keys of 1..64 bytes", 256, mixedPlain(1, 64)},
		{"32768 keys of 1..16 bytes", 32768, mixedPlain(1, 16)},
		{"32768 keys of 1..32 bytes", 32768, mixedPlain(1, 32)},
		{"32768 keys of 1..64 bytes", 32768, mixedPlain(1, 64)},
		{"32768 keys of 1..200 bytes", 32768, mixedPlain(1, 200)},
		{"2048 keys of 65..200 bytes", 2048, mixedPlain(65, 200)},
		{"32768 keys of 65..200 bytes", 32768, mixedPlain(65, 200)},
		{"32768 keys of 1..64 bytes, 10% of 65..200", 32768, shares(10, mixedPlain(65, 200), mixedPlain(1, 64))},
		{"32768 keys of 1..32 bytes, 2% empty", 32768, shares(2, mixedPlain(0, 0), mixedPlain(1, 32))},
		{"32768 keys of 1..16 bytes, 10% tags", 32768, shares(10, mixedTag(4, 16), mixedPlain(1, 16))},
	} {
		all = append(all, batch(b.name, b.keys, b.key))
	}
	all = append(all,
		batchTags("256 keys of 4..16 bytes", 256, mixedTag(4, 16), mixedPlain(4, 16)),
		batchTags("32768 keys of 4..16 bytes", 32768, mixedTag(4, 16), mixedPlain(4, 16)),
		batchTags("256 keys of 8..24 bytes", 256, mixedTag(8, 24), mixedPlain(8, 24)),
		batchTags("32768 keys of 8..24 bytes", 32768, mixedTag(8, 24), mixedPlain(8, 24)),
		batchTags("32768 keys of 8..64 bytes", 32768, mixedTag(8, 64), mixedPlain(8, 64)),
		batchTags("32768 keys of 5..40 bytes, 30% tags", 32768, shares(30, mixedTag(5, 40), mixedPlain(5, 40)), mixedPlain(5, 40)),
		batchTags("2048 keys of 65..200 bytes", 2048, mixedTag(65, 200), mixedPlain(65, 200)),
	)
	for _, kib := range []int{64, 1 << 10, 8 << 10, 64 << 10} {
		all = append(all, coldBatch(kib))
	}
	for _, l := range owners.Layouts() {
		all = append(all, fromSlots(l))
	}
	few := owners.Layouts()[1] // 16 owners
	all = append(all, fromKeys(few, 8), fromKeys(few, 16), fromKeys(few, 32), split(few, 100), split(few, 1000))
	for _, n := range []int{64, 65, 100, 128, 200, 256, 320, 512, 640, 1 << 10, 1280, 2 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20} {
		all = append(all, long(n, 0), long(n, 13))
	}
	return all
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

// shares makes percent of its keys by one, the rest by the other.
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

// oneKey calls for one key after the other.
func oneKey(name string, n int, key func(*rand.Rand) string) workload {
	return workload{name: name, keys: n, contenders: func() []contender {
		keys := keysOf(n, key)
		all := singles(keys, "")
		raw := asBytes(keys)
		return append(all,
			contender{name: "crc16.Checksum", run: func() (s uint64) {
				for _, k := range raw {
					s += uint64(crc16.Checksum(k))
				}
				return s
			}},
			contender{name: slicing, run: func() (s uint64) {
				for _, k := range raw {
					s += uint64(crc16.Table(k))
				}
				return s
			}},
			contender{name: "radix.ClusterSlot", run: func() (s uint64) {
				for _, k := range raw {
					s += uint64(radix.ClusterSlot(k))
				}
				return s
			}},
			contender{name: "byte-wise table", run: func() (s uint64) {
				for _, k := range keys {
					s += uint64(bytewise(k))
				}
				return s
			}},
			contender{name: "xxhash", run: func() (s uint64) {
				for _, k := range keys {
					s += xxhash.Sum64String(k)
				}
				return s
			}},
		)
	}}
}

// singles are the contenders that every workload of single keys has.
func singles(keys []string, suffix string) []contender {
	var all []contender
	for _, kernel := range impl.Names() {
		all = append(all, contender{name: "Of, " + kernel + suffix, kernel: kernel, run: func() (s uint64) {
			for _, k := range keys {
				s += uint64(hashslot.Of(k))
			}
			return s
		}})
	}
	return append(all,
		contender{name: redis + suffix, run: func() (s uint64) {
			for _, k := range keys {
				s += uint64(redisc.Slot(k))
			}
			return s
		}},
		contender{name: xxh + suffix, run: func() (s uint64) {
			for _, k := range keys {
				s += xxh3.HashString(k)
			}
			return s
		}},
	)
}

// withBase returns the contenders for tagged keys and those for keys without a
// tag, each of the first compared with its fellow of the second.
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

// tags compares keys that have a tag with keys that do not. it/base is how many
// times longer the tagged keys take.
func tags(name string, n int, tagged, plain func(*rand.Rand) string) workload {
	return workload{name: "one key, tagged, " + name, keys: n, contenders: func() []contender {
		return withBase(singles(keysOf(n, tagged), ""), singles(keysOf(n, plain), ""))
	}}
}

// batches are the contenders that every workload of many keys has. The forms
// for bytes are compared with the form for strings.
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
		base := "AppendOf, " + kernel
		all = append(all,
			contender{name: base, kernel: kernel, run: func() uint64 {
				return uint64(hashslot.AppendOf(dst, keys)[0])
			}},
			contender{name: "AppendOfBytes, " + kernel, kernel: kernel, base: base, run: func() uint64 {
				return uint64(hashslot.AppendOfBytes(dst, raw)[0])
			}},
			contender{name: "AppendOfPacked, " + kernel, kernel: kernel, base: base, run: func() uint64 {
				return uint64(hashslot.AppendOfPacked(dst, data, ends)[0])
			}},
		)
	}
	return all
}

func batch(name string, n int, key func(*rand.Rand) string) workload {
	return workload{name: "batch, " + name, keys: n, contenders: func() []contender { return batches(keysOf(n, key)) }}
}

func batchTags(name string, n int, tagged, plain func(*rand.Rand) string) workload {
	return workload{name: "batch, tagged, " + name, keys: n, contenders: func() []contender {
		return withBase(batches(keysOf(n, tagged)), batches(keysOf(n, plain)))
	}}
}

// coldBatch has keys of 16 bytes, each in a cache line of its own, in random
// order over so much memory. Every run takes the next piece of them.
func coldBatch(kib int) workload {
	lines := kib << 10 / 64
	piece := min(lines, 4096)
	return workload{name: fmt.Sprintf("batch, cold, %d KiB", kib), keys: piece, contenders: func() []contender {
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
			{name: redis, run: func() (s uint64) {
				for _, k := range next() {
					s += uint64(redisc.Slot(k))
				}
				return s
			}},
			{name: xxh, run: func() (s uint64) {
				for _, k := range next() {
					s += xxh3.HashString(k)
				}
				return s
			}},
		}
		for _, kernel := range impl.Names() {
			loop := "Of, " + kernel
			all = append(all,
				contender{name: loop, kernel: kernel, run: func() (s uint64) {
					for _, k := range next() {
						s += uint64(hashslot.Of(k))
					}
					return s
				}},
				contender{name: "AppendOf, " + kernel, kernel: kernel, base: loop, run: func() uint64 {
					return uint64(hashslot.AppendOf(dst, next())[0])
				}},
			)
		}
		return all
	}}
}

// long sums one buffer of n bytes, offset bytes behind a cache line's start.
func long(n, offset int) workload {
	return workload{name: fmt.Sprintf("checksum, %d bytes, offset %d", n, offset), bytes: n, contenders: func() []contender {
		memory := make([]byte, n+4096)
		rng := seeded()
		for i := range memory {
			memory[i] = byte(rng.Uint32())
		}
		// So large a piece of memory starts at a cache line.
		p := memory[offset:][:n]
		var all []contender
		for _, kernel := range impl.Names() {
			all = append(all, contender{name: "Checksum, " + kernel, kernel: kernel, base: slicing, run: func() uint64 {
				return uint64(hashslot.Checksum(p))
			}})
		}
		return append(all,
			contender{name: "crc16.Checksum", base: slicing, run: func() uint64 { return uint64(crc16.Checksum(p)) }},
			contender{name: slicing, run: func() uint64 { return uint64(crc16.Table(p)) }},
			contender{name: "byte-wise table", run: func() uint64 { return uint64(bytewiseSum(p)) }},
			contender{name: xxh, run: func() uint64 { return xxh3.Hash(p) }},
			contender{name: "xxhash", run: func() uint64 { return xxhash.Sum64(p) }},
		)
	}}
}
