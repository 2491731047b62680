// Package house tests the project as a whole, by its sources and by the go command: the
// imports between packages, the exported API and its documentation, the size of the module
// and, of the root package, the instructions of its kernels, the derivation of its
// constants, and inlining.
package house
