module github.com/hashslot/hashslot

go 1.26.8
