// Package house holds the tests of the project as a whole: what imports what,
// what is exported and documented, and how large the module is.
package house
