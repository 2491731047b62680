// Package bench holds the benchmarks, each under every kernel that can run
// here.
//
//	go test -bench . ./bench
//	go test -bench 'Of/.*len=16' -count 10 ./bench | benchstat -col /kernel -
//
// Comparisons with other libraries are in the nested module compare.
package bench
