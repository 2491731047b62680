// Documentation with pictures. This file keeps it out of the module that
// importers download.
module github.com/hashslot/hashslot/docs

go 1.25.0
