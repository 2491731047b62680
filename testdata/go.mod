// Recorded answers of real servers and their tools, for the tests. This file
// keeps them out of the module that importers download.
module github.com/hashslot/hashslot/testdata

go 1.25.0
