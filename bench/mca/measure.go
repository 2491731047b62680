package main

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/cpuid/v2"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/impl"
)

// A measurement is the measured time of a path on a CPU, in cycles per key or per 64 bytes.
type measurement struct {
	id     string // of the path
	cpu    string // the model of a CPU to compare it with
	on     string // the CPU on which it was measured
	cycles float64
}

// parseMeasured reads lines of
//
//	kernel | name of the path | CPU of the model | measured on | cycles
func parseMeasured(text string) (all []measurement, err error) {
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Split(line, "|")
		if len(fields) != 5 {
			return nil, fmt.Errorf("line %d: %d fields, not 5", i+1, len(fields))
		}
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		m := measurement{id: fields[0] + ": " + fields[1], cpu: fields[2], on: fields[3]}
		if m.cycles, err = strconv.ParseFloat(fields[4], 64); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if !slices.ContainsFunc(cpus, func(c cpu) bool { return c.name == m.cpu }) {
			return nil, fmt.Errorf("line %d: there is no model %q", i+1, m.cpu)
		}
		all = append(all, m)
	}
	return all, nil
}

// parseRecipe reads "of 12" and the like.
func parseRecipe(recipe string) (what string, n int, err error) {
	what, number, _ := strings.Cut(recipe, " ")
	n, err = strconv.Atoi(number)
	if err != nil || n < 1 || !slices.Contains([]string{"of", "oftag", "batch", "batchtag", "update"}, what) {
		return "", 0, fmt.Errorf("%q is no recipe", recipe)
	}
	return what, n, nil
}

var (
	slotSink  hashslot.Slot
	slotsSink []hashslot.Slot
	sumSink   uint16
)

const keyCount = 256

// prepare returns a function that runs a recipe, and its number of keys or bytes.
func prepare(what string, n int) (run func(), count int) {
	keys := make([]string, keyCount)
	for i := range keys {
		key := bytes.Repeat([]byte{byte('a' + i%26)}, n)
		if strings.HasSuffix(what, "tag") {
			key = append(append([]byte("k{"), key...), "}:profil"...)
		}
		keys[i] = string(key)
	}
	switch what {
	case "of", "oftag":
		return func() {
			for _, key := range keys {
				slotSink += hashslot.Of(key)
			}
		}, keyCount
	case "batch", "batchtag":
		slotsSink = make([]hashslot.Slot, 0, keyCount)
		return func() { slotsSink = hashslot.AppendOf(slotsSink[:0], keys) }, keyCount
	default:
		p := bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
		return func() { sumSink += hashslot.Checksum(p) }, n
	}
}

// measureAll measures all paths with a recipe whose kernel can run here. The clock comes
// from a chain of multiplications and additions, which is measured in turns with the path:
// each pair takes four cycles on the CPUs of the table.
func measureAll(out io.Writer, paths []path) error {
	fmt.Fprintf(out, "# family %d, model %d: %s, %s\n", cpuid.CPU.Family, cpuid.CPU.Model, cpuid.CPU.BrandName, runtime.Version())
	for _, p := range paths {
		t := tiers[p.tier]
		if p.recipe == "" || t.arch != runtime.GOARCH || !slices.Contains(impl.Names(), t.kernel) ||
			p.tier == "avx2g" && !cpuid.CPU.Supports(cpuid.GFNI) {
			continue
		}
		what, n, err := parseRecipe(p.recipe)
		if err != nil {
			return err
		}
		restore, err := impl.Force(t.kernel)
		if err != nil {
			return err
		}
		run, count := prepare(what, n)
		cycles := inCycles(run) / float64(count)
		restore()
		if p.unit != "key" {
			cycles *= 64
		}
		fmt.Fprintf(out, "%s | %s | MODEL | CPU | %.2f\n", p.tier, p.name, cycles)
	}
	return nil
}

// inCycles returns the number of cycles that run takes: the median of many times, each
// divided by the clock measured right after it.
func inCycles(run func()) float64 {
	once := func(n int, f func()) float64 {
		start := time.Now()
		for range n {
			f()
		}
		return float64(time.Since(start)) / float64(n)
	}
	n := 1
	for once(n, run)*float64(n) < 200e3 { // nanoseconds
		n *= 2
	}
	var all []float64
	for range 101 {
		all = append(all, once(n, run)/once(1, chain)*chainLength*4)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

const chainLength = 20_000

var chainSink uint64

func chain() {
	v := chainSink
	for range chainLength {
		v = v*0x9e3779b97f4a7c15 + 1
	}
	chainSink = v
}
