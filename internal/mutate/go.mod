// The tool that makes mistakes on purpose. This file keeps it out of the module
// that importers download.
module github.com/hashslot/hashslot/internal/mutate

go 1.25.0

require github.com/stretchr/testify v1.12.1

require go.yaml.in/yaml/v3 v3.0.5 // indirect
