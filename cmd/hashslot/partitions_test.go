package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/hashslot/hashslot"
)

// Tags for partitions are those of the library.
func TestTagPartitions(t *testing.T) {
	var text, lines strings.Builder
	for _, tag := range hashslot.Tags(64) {
		fmt.Fprintf(&text, "%d\t%s\n", hashslot.Of(tag), tag)
		fmt.Fprintf(&lines, "{\"slot\":%d,\"tag\":\"%s\"}\n", hashslot.Of(tag), tag)
	}
	assert.Equal(t, result{out: text.String()}, runOn("5\n", "tag", "-n", "64"))
	assert.Equal(t, result{out: lines.String()}, runOn("", "tag", "-n", "64", "-format", "json"))
	for args, want := range map[string]string{
		"tag -n 0":     "-n must be from 1 to 16384, not 0",
		"tag -n 16385": "-n must be from 1 to 16384, not 16385",
		"tag -n -1":    "-n must be from 1 to 16384, not -1",
		"tag -n 2 5":   `-n reads no slots: unexpected argument "5"`,
	} {
		assert.Equal(t, result{2, "", "hashslot tag: " + want + " (hashslot tag -h for help)\n"}, runOn("", strings.Fields(args)...), args)
	}
}
