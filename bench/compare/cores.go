package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/bench/internal/owners"
)

// In a run, each core does coreRounds rounds over keys of its own. That takes far longer
// than to start the run.
const (
	coreKeys   = 4096
	coreRounds = 64
)

// onCores is a workload of many cores that use one map concurrently. The time of a key is
// the time of a run divided by the keys of all cores.
func onCores(cores int) workload {
	return workload{name: fmt.Sprintf("on %d cores", cores), group: groupCores, at: fmt.Sprint(cores), x: float64(cores),
		units: cores * coreKeys * coreRounds, contenders: func() []contender { return parallel(cores) }}
}

// coreCounts returns 1, 2, 4 and so on, and the number of all cores.
func coreCounts(n int) []int {
	var all []int
	for c := 1; c < n; c *= 2 {
		all = append(all, c)
	}
	return append(all, max(n, 1))
}

func parallel(cores int) []contender {
	keys := make([][]string, cores)
	dst := make([][]hashslot.Slot, cores)
	rng := seeded()
	for i := range keys {
		dst[i] = make([]hashslot.Slot, 0, coreKeys)
		for range coreKeys {
			keys[i] = append(keys[i], mixedPlain(8, 32)(rng))
		}
	}
	l := few()
	c := owners.New(l)
	client := goRedis(l)
	ctx := context.Background()
	all := []contender{
		{name: "AppendOf"}, {name: "Of"}, {name: "Map.LookupKey"},
		{name: sorted, peer: here}, {name: locked, peer: here}, {name: "go-redis MasterForKey", peer: version("github.com/redis/go-redis/v9")},
	}
	for i, one := range []func(core int) uint64{
		func(core int) uint64 { return uint64(hashslot.AppendOf(dst[core], keys[core])[0]) },
		func(core int) (s uint64) {
			for _, k := range keys[core] {
				s += uint64(hashslot.Of(k))
			}
			return s
		},
		func(core int) (s uint64) {
			for _, k := range keys[core] {
				_, owner, _ := c.Map.LookupKey(k)
				s += uint64(owner.ID)
			}
			return s
		},
		func(core int) (s uint64) {
			for _, k := range keys[core] {
				owner, _ := c.Sorted.Lookup(hashslot.Slot(bytewise(k)))
				s += uint64(owner.ID)
			}
			return s
		},
		func(core int) (s uint64) {
			for _, k := range keys[core] {
				owner, _ := c.Locked.Lookup(hashslot.Slot(bytewise(k)))
				s += uint64(owner.Number())
			}
			return s
		},
		func(core int) (s uint64) {
			for _, k := range keys[core] {
				node, err := client.MasterForKey(ctx, k)
				if err != nil {
					fatal(err)
				}
				s += uint64(len(node.Options().Addr))
			}
			return s
		},
	} {
		all[i].run = func() uint64 { return together(cores, one) }
	}
	return all
}

// workers are goroutines that wait for work, each on a CPU of its own if the system allows
// that.
var workers []chan<- func()

func worker(core int) chan<- func() {
	for i := len(workers); i <= core; i++ {
		c := make(chan func())
		workers = append(workers, c)
		go func() {
			if i < len(allowed) {
				_ = pin(allowed[i]) // if it fails, the system's scheduler spreads them
			}
			for f := range c {
				f()
			}
		}()
	}
	return workers[core]
}

// together does coreRounds rounds on each core, and waits for all.
func together(cores int, one func(core int) uint64) uint64 {
	var wg sync.WaitGroup
	sums := make([]uint64, cores)
	wg.Add(cores)
	for core := range cores {
		worker(core) <- func() {
			defer wg.Done()
			s := uint64(0)
			for range coreRounds {
				s += one(core)
			}
			sums[core] = s
		}
	}
	wg.Wait()
	total := uint64(0)
	for _, s := range sums {
		total += s
	}
	return total
}
