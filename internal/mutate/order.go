package main

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"time"
)

// An order says which tests of a package to run first. Most mutants are killed by a test
// that killed another one of the same file, or by one that takes milliseconds.
type order struct {
	took   map[string]time.Duration // without a mutant, by test
	lately []string                 // the last tests that killed a mutant, the latest first
}

// How many tests have killed lately, and what is quick.
const (
	most  = 6
	quick = 20 * time.Millisecond
)

// limit is the time that tests have, given the time that they take without a mutant.
func limit(took time.Duration) time.Duration { return 2*time.Second + 10*took }

// words returns what to run in turn, like go test -run, with the limits of time: the tests
// that killed lately, the quick ones, and the others.
func (o *order) words(skip []string) (run []string, limits []time.Duration) {
	var words [3][]string
	for test, took := range o.took {
		w := 2
		switch {
		case slices.Contains(skip, test):
			continue
		case slices.Contains(o.lately, test):
			w = 0
		case took < quick:
			w = 1
		}
		words[w] = append(words[w], test)
	}
	for _, tests := range words {
		if len(tests) == 0 {
			continue
		}
		slices.Sort(tests)
		var sum time.Duration
		for _, test := range tests {
			sum += o.took[test]
		}
		run, limits = append(run, "^("+strings.Join(tests, "|")+")$"), append(limits, limit(sum))
	}
	return run, limits
}

// killed looks for the test that failed.
func (o *order) killed(output []byte) {
	found := failure.FindSubmatch(output)
	if found == nil {
		return
	}
	test := string(found[1])
	o.lately = slices.DeleteFunc(o.lately, func(other string) bool { return other == test })
	o.lately = slices.Insert(o.lately, 0, test)
	o.lately = o.lately[:min(len(o.lately), most)]
}

var passed = regexp.MustCompile(`(?m)^--- (?:PASS|SKIP): (\w+) \((\S+)\)$`)

// took returns how long each test of a list takes, given what the tests have written. One
// whose time is not there is slow.
func took(list, output []byte) map[string]time.Duration {
	tests := map[string]time.Duration{}
	for _, test := range bytes.Fields(list) {
		if !bytes.HasPrefix(test, []byte("Benchmark")) {
			tests[string(test)] = time.Second
		}
	}
	for _, p := range passed.FindAllSubmatch(output, -1) {
		if d, err := time.ParseDuration(string(p[2])); err == nil && tests[string(p[1])] > 0 {
			tests[string(p[1])] = d
		}
	}
	return tests
}
