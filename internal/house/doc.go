// Package house tests the project as a whole, from its sources and with the go command:
// the imports between packages, the exported API and its documentation, pages and links,
// releases, and the size of the module. Of the root package it tests the instructions of
// the kernels, the derivation of their constants, and inlining.
package house
