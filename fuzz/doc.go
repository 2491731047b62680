// Package fuzz holds the fuzz targets: every entry point, under every kernel,
// against a slow and readable reference.
//
//	go test -fuzz FuzzBatch ./fuzz
//
// The fuzzer cannot see into assembly. The seeds therefore have a key of every
// length class and of every shape of braces.
package fuzz
