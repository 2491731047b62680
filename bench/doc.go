// Package bench holds the benchmarks, each under every kernel that can run
// here.
//
//	go test -bench .
//	go test -bench 'Of/.*len=16' -count 10 | benchstat -col /kernel -
//
// compare measures other libraries beside this one, and mca predicts what the
// kernels cost on other CPUs. All that is a module of its own, so that importers do
// not download it.
package bench
