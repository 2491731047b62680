// Package house holds the tests of the project as a whole, which read its sources
// or what the go command says of them: what imports what, what is exported and
// documented, how large the module is, and of the root package which instructions
// its kernels have, what its constants follow from, and what is inlined.
package house
