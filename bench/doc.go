// Package bench holds the benchmarks, each under every kernel that can run
// here.
//
//	go test -bench . ./bench
//	go test -bench 'Of/.*len=16' -count 10 ./bench | benchstat -col /kernel -
//
// The nested module compare measures other libraries beside this one, and the nested
// module mca predicts what the kernels cost on other CPUs.
package bench
