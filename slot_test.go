package hashslot_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/hashtag"
	"github.com/hashslot/hashslot/internal/hashtest"
	"github.com/hashslot/hashslot/internal/impl"
)

func table(t *testing.T, name string) [][]string {
	t.Helper()
	data, err := os.ReadFile(hashtest.Data(t, ".", name))
	require.NoError(t, err)
	return hashtest.Rows(data)
}

// unhex decodes a key. "-" stands for the empty one.
func unhex(t *testing.T, s string) []byte {
	t.Helper()
	if s == "-" {
		return nil
	}
	key, err := hex.DecodeString(s)
	require.NoError(t, err)
	return key
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}

func TestServersSlots(t *testing.T) {
	rows := table(t, "keyslot.tsv")
	require.Greater(t, len(rows), 2000)
	hashtest.EachKernel(t, func(t *testing.T) {
		var keys [][]byte
		for _, row := range rows {
			key := unhex(t, row[0])
			keys = append(keys, key)
			assert.Equal(t, number(t, row[1]), int(hashslot.OfBytes(key)), "%q", key)
			assert.Equal(t, number(t, row[1]), int(hashtest.Slot(key)), "the reference, %q", key)
		}
		checkAppend(t, keys)
	})
}

func TestServersPatterns(t *testing.T) {
	rows := table(t, "pattern_slot.tsv")
	require.Greater(t, len(rows), 1800)
	for _, row := range rows {
		pattern := string(unhex(t, row[0]))
		got := -1
		if s, ok := hashslot.OfPattern(pattern); ok {
			got = int(s)
		}
		assert.Equal(t, number(t, row[1]), got, "%q", pattern)
		assert.Equal(t, number(t, row[1]), slowPattern(pattern), "the reference, %q", pattern)
	}
}

// slowPattern is OfPattern, written as the rule reads.
func slowPattern(pattern string) int {
	literal := pattern
	if i := strings.IndexAny(pattern, `*?[\`); i >= 0 {
		literal = pattern[:i]
	}
	if _, _, ok := hashtag.Find(literal); ok || literal == pattern {
		return int(hashtest.Slot([]byte(literal)))
	}
	return -1
}

func TestOfPatternOverAllShortPatterns(t *testing.T) {
	var check func(pattern string, more int)
	check = func(pattern string, more int) {
		got := -1
		if s, ok := hashslot.OfPattern(pattern); ok {
			got = int(s)
		} else if s != 0 {
			t.Fatalf("OfPattern(%q): slot %d without ok", pattern, s)
		}
		if want := slowPattern(pattern); got != want {
			t.Fatalf("OfPattern(%q): %d, want %d", pattern, got, want)
		}
		if more > 0 {
			for _, b := range []byte(`{}*?[]\a`) {
				check(pattern+string(b), more-1)
			}
		}
	}
	check("", 5)
}

func TestForeignSlots(t *testing.T) {
	if data, ok := hashtest.Foreign(t, ".", "keyslot/peer_keyslots.tsv"); ok {
		for _, row := range hashtest.Rows(data) {
			assert.Equal(t, number(t, row[0]), int(hashslot.OfBytes(unhex(t, row[1]))), "%s, %s", row[2], row[3])
		}
	}
	if data, ok := hashtest.Foreign(t, ".", "keyslot/derived_key1_255.tsv"); ok {
		for _, row := range hashtest.Rows(data) {
			assert.Equal(t, number(t, row[0]), int(hashslot.OfBytes(unhex(t, row[1]))), row[2])
		}
	}
	if data, ok := hashtest.Foreign(t, ".", "keyslot/server_slottable_16384.tsv"); ok {
		rows := hashtest.Rows(data)
		assert.Len(t, rows, hashslot.Count)
		for _, row := range rows {
			assert.Equal(t, number(t, row[0]), int(hashslot.Of(row[1])))
			assert.LessOrEqual(t, len(hashslot.Of(row[1]).Tag()), len(row[1]), "our tag is no longer than %s", row[1])
		}
	}
	if data, ok := hashtest.Foreign(t, ".", "keyslot/crc16_raw.tsv"); ok {
		for _, row := range hashtest.Rows(data) {
			want, err := strconv.ParseUint(row[0], 16, 16)
			require.NoError(t, err)
			assert.Equal(t, uint16(want), hashslot.Checksum(unhex(t, row[1])), row[2])
		}
	}
	if data, ok := hashtest.Foreign(t, ".", "keyslot/hash_tags.tsv"); ok {
		for _, row := range hashtest.Rows(data) {
			key := unhex(t, row[0])
			_, _, tagged := hashtag.Find(key)
			assert.Equal(t, unhex(t, row[1]), append([]byte(nil), hashtag.OfBytes(key)...), row[3])
			assert.Equal(t, row[2], strconv.FormatBool(tagged), row[3])
		}
	}
	if data, ok := hashtest.Foreign(t, ".", "keyslot/known_peer_deviations.json"); ok {
		var cases []struct {
			Key     string         `json:"key_hex"`
			Results map[string]any `json:"results"` // some clients give no single answer
		}
		require.NoError(t, json.Unmarshal(data, &cases))
		assert.NotEmpty(t, cases)
		for _, c := range cases {
			key := unhex(t, c.Key)
			assert.EqualValues(t, c.Results["server"], hashslot.OfBytes(key), "%q", key)
		}
	}
}

func TestTagOfEverySlot(t *testing.T) {
	// The length of a shortest alphanumeric tag of each slot, by trying them all.
	const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var shortest [hashslot.Count]int
	var least [hashslot.Count]string // of those of two characters
	try := func(tag ...byte) {
		s := hashtest.Slot(tag)
		if shortest[s] == 0 || len(tag) < shortest[s] {
			shortest[s] = len(tag)
		}
		if len(tag) == 2 && least[s] == "" {
			least[s] = string(tag)
		}
	}
	for _, a := range []byte(alphanumeric) {
		try(a)
		for _, b := range []byte(alphanumeric) {
			try(a, b)
			for _, c := range []byte(alphanumeric) {
				try(a, b, c)
			}
		}
	}
	lengths := map[int]int{}
	for s := range hashslot.Slot(hashslot.Count) {
		tag := s.Tag()
		lengths[len(tag)]++
		if len(tag) != shortest[s] || strings.Trim(tag, alphanumeric) != "" {
			t.Fatalf("slot %d: tag %q, but there is an alphanumeric one of length %d", s, tag, shortest[s])
		}
		if len(tag) == 2 && tag != least[s] {
			t.Fatalf("slot %d: tag %q, which was %q in earlier versions", s, tag, least[s])
		}
		for _, key := range []string{tag, "{" + tag + "}x", "user:{" + tag + "}"} {
			if got := hashslot.Slot(hashtest.Slot([]byte(key))); got != s {
				t.Fatalf("slot %d: tag %q, but %q is in slot %d", s, tag, key, got)
			}
		}
		if again := s.Tag(); again != tag {
			t.Fatalf("slot %d: tag %q, then %q", s, tag, again)
		}
	}
	assert.Equal(t, map[int]int{1: 62, 2: 3448, 3: 12874}, lengths)
	assert.Empty(t, hashslot.Slot(hashslot.Count).Tag())
	assert.Empty(t, hashslot.Slot(65535).Tag())
}

func TestValid(t *testing.T) {
	assert.True(t, hashslot.Slot(0).Valid())
	assert.True(t, hashslot.Slot(16383).Valid())
	assert.False(t, hashslot.Slot(16384).Valid())
	assert.False(t, hashslot.Slot(65535).Valid())
}

func TestCommon(t *testing.T) {
	var same []string
	for i := range 140 {
		same = append(same, fmt.Sprintf("{tag}%d", i))
	}
	hashtest.EachKernel(t, func(t *testing.T) {
		s, err := hashslot.Common("user:{1}:a", "user:{1}:b", "1")
		assert.NoError(t, err)
		assert.Equal(t, hashslot.Of("1"), s)

		_, err = hashslot.Common()
		assert.Equal(t, hashslot.ErrNoKeys, err)
		assert.EqualError(t, err, "hashslot: no keys")

		// One key differs, in each place, or two keys do.
		tag, a := hashslot.Of("tag"), hashslot.Of("a")
		for n := 2; n < 140; n++ {
			s, err := hashslot.Common(same[:n]...)
			require.NoError(t, err)
			require.Equal(t, tag, s)
			keys := make([]string, n)
			for at := 1; at < n; at++ {
				copy(keys, same)
				keys[n-1] = "b"
				keys[at] = "a"
				_, err := hashslot.Common(keys...)
				cross, ok := err.(*hashslot.CrossSlotError)
				if want := (hashslot.CrossSlotError{Key1: "{tag}0", Slot1: tag, Key2: "a", Slot2: a, Index: at}); !ok || *cross != want {
					t.Fatalf("%d keys: %v, want %v", n, err, &want)
				}
			}
		}
		var cross *hashslot.CrossSlotError
		_, err = hashslot.Common("a", "b")
		require.ErrorAs(t, err, &cross)
		require.ErrorIs(t, err, hashslot.ErrCrossSlot)
	})
}

func TestCrossSlotErrorSaysWhatDiffers(t *testing.T) {
	_, err := hashslot.Common("a", "a{a}", "b\n")
	require.Error(t, err)
	for _, part := range []string{`key 0 ("a")`, "15495", `key 2 ("b\n")`, strconv.Itoa(int(hashslot.Of("b\n")))} {
		assert.ErrorContains(t, err, part)
	}
	assert.False(t, errors.Is(err, hashslot.ErrNoKeys))
	assert.EqualError(t, hashslot.ErrCrossSlot, "hashslot: keys do not share a slot")
}

// TestRequiredKernel fails if HASHSLOT_REQUIRE_KERNEL names another kernel than the one
// in use, so that no run falls back to a slower kernel unnoticed.
func TestRequiredKernel(t *testing.T) {
	require.NoError(t, impl.Require())
}

func TestKernel(t *testing.T) {
	t.Logf("kernel %s; here run %s; this build has %s", hashslot.Kernel(), impl.Names(), impl.All())
	names := impl.Names()
	assert.Equal(t, names[0], hashslot.Kernel(), "the best one is in use")
	assert.Equal(t, impl.Generic, names[len(names)-1])
	for _, name := range names {
		restore, err := impl.Force(name)
		require.NoError(t, err)
		assert.Equal(t, name, hashslot.Kernel())
		restore()
		assert.Equal(t, names[0], hashslot.Kernel())
	}
	_, err := impl.Force("none")
	assert.ErrorContains(t, err, `"none"`)
}

func TestRequireTellsAnotherKernel(t *testing.T) {
	t.Setenv("HASHSLOT_REQUIRE_KERNEL", "none")
	assert.ErrorContains(t, impl.Require(), hashslot.Kernel())
	t.Setenv("HASHSLOT_REQUIRE_KERNEL", hashslot.Kernel())
	assert.NoError(t, impl.Require())
	t.Setenv("HASHSLOT_REQUIRE_KERNEL", "")
	assert.NoError(t, impl.Require())
}

func TestCheckValue(t *testing.T) {
	hashtest.EachKernel(t, func(t *testing.T) {
		assert.Equal(t, uint16(0x31C3), hashslot.Checksum([]byte("123456789")))
		assert.Equal(t, uint16(0x31C3), hashslot.ChecksumString("123456789"))
		assert.Equal(t, uint16(0x31C3), hashslot.Update(hashslot.Checksum([]byte("1234")), []byte("56789")))
		assert.Equal(t, hashslot.Slot(14687), hashslot.Of("mykey"))
	})
}

func TestSlotFromInt(t *testing.T) {
	for n := int64(-70000); n <= 70000; n++ {
		s, ok := hashslot.SlotFromInt(n)
		if want := n >= 0 && n < hashslot.Count; ok != want || ok && int64(s) != n || !ok && s != 0 {
			t.Fatalf("SlotFromInt(%d) = %d, %v", n, s, ok)
		}
	}
	for _, n := range []int64{math.MinInt64, math.MaxInt64, 1 << 32, 1<<32 + 5, -1 << 48} {
		_, ok := hashslot.SlotFromInt(n)
		assert.False(t, ok, n)
	}
}

func TestParseSlot(t *testing.T) {
	for n := range hashslot.Count {
		s, err := hashslot.ParseSlot(strconv.Itoa(n))
		require.NoError(t, err)
		require.Equal(t, hashslot.Slot(n), s)
	}
	for text, reason := range map[string]string{
		"": "expected a number from 0 to 16383", "-1": "expected a number from 0 to 16383", "+1": "expected a number from 0 to 16383", " 1": "expected a number from 0 to 16383", "1 ": "expected a number from 0 to 16383",
		"0x1": "expected a number from 0 to 16383", "1_0": "expected a number from 0 to 16383", "١": "expected a number from 0 to 16383", "1\x00": "expected a number from 0 to 16383", "1-2": "expected a number from 0 to 16383",
		"00": "a slot has no leading zeros", "01": "a slot has no leading zeros", "016383": "a slot has no leading zeros",
		"16384": "a slot is at most 16383", "65536": "a slot is at most 16383", "18446744073709551616": "a slot is at most 16383",
		strings.Repeat("9", 1000): "a slot is at most 16383",
	} {
		s, err := hashslot.ParseSlot(text)
		var e *hashslot.SlotError
		require.ErrorAs(t, err, &e, text)
		assert.Zero(t, s)
		assert.Equal(t, hashslot.SlotError{Text: text, Reason: reason}, *e)
		assert.Less(t, len(err.Error()), 120)
	}
	_, err := hashslot.ParseSlot("16384")
	assert.EqualError(t, err, `hashslot: "16384" is not a slot: a slot is at most 16383`)
	_, err = hashslot.ParseSlot(strings.Repeat("7", 32))
	assert.EqualError(t, err, `hashslot: "`+strings.Repeat("7", 32)+`" is not a slot: a slot is at most 16383`)
	_, err = hashslot.ParseSlot(strings.Repeat("7", 33))
	assert.EqualError(t, err, `hashslot: "`+strings.Repeat("7", 32)+`"... is not a slot: a slot is at most 16383`)
	text := []byte("16383")
	assert.Zero(t, testing.AllocsPerRun(100, func() { slotSink, _ = hashslot.ParseSlot(string(text)) }))
}
