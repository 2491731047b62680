package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/hashtest"
)

// The slots are those of real servers, in all output formats.
func TestServerSlots(t *testing.T) {
	golden, err := os.ReadFile(hashtest.Data(t, "../..", "keyslot.tsv"))
	require.NoError(t, err)
	var keys, hexKeys strings.Builder
	var want []string
	lines := strings.Split(strings.TrimSuffix(string(golden), "\n"), "\n")
	for _, line := range lines {
		hexKey, slot, ok := strings.Cut(line, "\t")
		require.True(t, ok, line)
		key, err := hex.DecodeString(hexKey)
		require.NoError(t, err)
		if strings.Contains(string(key), "\x00") {
			continue // such a key can only be given in hex
		}
		keys.WriteString(string(key) + "\x00")
		hexKeys.WriteString(hexKey + "\n")
		want = append(want, slot+" "+hexKey)
	}
	require.Greater(t, len(want), len(lines)/2)
	for name, r := range map[string]result{
		"plain": runOn(keys.String(), "slot", "-0", "-hex"),
		"hex":   runOn(hexKeys.String(), "slot", "-unhex", "-hex"),
	} {
		require.Equal(t, result{out: r.out}, r, name)
		var got []string
		for line := range strings.Lines(r.out) {
			columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			if len(columns) != 4 {
				t.Fatalf("%q", line)
			}
			got = append(got, columns[0]+" "+columns[3])
		}
		assert.Equal(t, want, got, name)
	}
	r := runOn(string(golden[strings.Index(string(golden), "\n")+1:]), "slot", "-unhex")
	assert.Equal(t, exitFailed, r.code, "a TAB is not hex")

	// With hex, keys may contain a NUL.
	var all strings.Builder
	want = nil
	for _, line := range lines {
		hexKey, slot, _ := strings.Cut(line, "\t")
		all.WriteString(hexKey + "\n")
		want = append(want, slot+" "+hexKey)
	}
	r = runOn(all.String(), "slot", "-unhex", "-hex", "-format", "json")
	require.Equal(t, exitOK, r.code, r.errOut)
	var got []string
	for line := range strings.Lines(r.out) {
		var o struct {
			Key, Tag, Hashed string
			Slot             hashslot.Slot
		}
		require.NoError(t, json.Unmarshal([]byte(line), &o))
		got = append(got, fmt.Sprint(o.Slot, " ", o.Key))
		hashed, err := hex.DecodeString(o.Hashed)
		require.NoError(t, err)
		assert.Equal(t, o.Slot, hashslot.Slot(hashslot.Checksum(hashed)&(hashslot.Count-1)))
		if o.Tag != "" {
			assert.Equal(t, o.Tag, o.Hashed)
		} else {
			assert.Equal(t, o.Key, o.Hashed)
		}
	}
	assert.Equal(t, want, got)
}

// A key with the tag of a slot is in that slot, for every slot.
func TestTagsOfAllSlots(t *testing.T) {
	var slots strings.Builder
	for s := range hashslot.Count {
		fmt.Fprintln(&slots, s)
	}
	r := runOn(slots.String(), "tag")
	require.Equal(t, result{out: r.out}, r)
	want := 0
	for line := range strings.Lines(r.out) {
		slot, tag, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if slot != strconv.Itoa(want) || int(hashslot.Of("key{"+tag+"}")) != want {
			t.Fatalf("%q, want a tag of slot %d", line, want)
		}
		want++
	}
	assert.Equal(t, hashslot.Count, want)
}

func TestAppendSlot(t *testing.T) {
	for s := range hashslot.Slot(hashslot.Count) {
		if got := string(appendSlot([]byte("-"), s)); got != "-"+strconv.Itoa(int(s)) {
			t.Fatalf("slot %d: %q", s, got)
		}
	}
}
