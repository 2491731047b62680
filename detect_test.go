//go:build gc && !purego && (amd64 || arm64)

package hashslot_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/hashslot/hashslot/internal/impl"
)

func TestTwoDetectorsAgree(t *testing.T) {
	want := runs()
	want[impl.Generic] = true
	for _, name := range impl.All() {
		runs, known := want[name]
		assert.True(t, known, "a kernel without a second opinion: %s", name)
		assert.Equal(t, runs, slices.Contains(impl.Names(), name), name)
	}
}
