// What was measured and predicted. This file keeps it out of the module that
// importers download.
module github.com/hashslot/hashslot/bench/results

go 1.25.0
