// Package fuzz has the fuzz targets. They compare every entry point, under every kernel,
// with a slow and readable reference.
//
//	go test -fuzz FuzzBatch ./fuzz
//
// The fuzzer sees no coverage of assembly. So the seeds have a key of every length class
// and of every shape of braces.
package fuzz
