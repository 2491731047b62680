package hashtag

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
)

// slow is the rule as it reads.
func slow(key string) (start, end int, ok bool) {
	if before, rest, found := strings.Cut(key, "{"); found {
		if tag, _, found := strings.Cut(rest, "}"); found && tag != "" {
			return len(before) + 1, len(before) + 1 + len(tag), true
		}
	}
	return 0, len(key), false
}

func check(t *testing.T, key string) {
	t.Helper()
	wantStart, wantEnd, wantOK := slow(key)
	if start, end, ok := Find(key); start != wantStart || end != wantEnd || ok != wantOK {
		t.Fatalf("Find(%q): %d, %d, %t, want %d, %d, %t", key, start, end, ok, wantStart, wantEnd, wantOK)
	}
	raw := []byte(key)
	if start, end, ok := Find(raw); start != wantStart || end != wantEnd || ok != wantOK {
		t.Fatalf("Find(bytes of %q): %d, %d, %t, want %d, %d, %t", key, start, end, ok, wantStart, wantEnd, wantOK)
	}
	if got := Of(key); got != key[wantStart:wantEnd] {
		t.Fatalf("Of(%q): %q, want %q", key, got, key[wantStart:wantEnd])
	}
	if got := OfBytes(raw); string(got) != key[wantStart:wantEnd] {
		t.Fatalf("OfBytes(%q): %q, want %q", key, got, key[wantStart:wantEnd])
	}
	if string(raw) != key {
		t.Fatalf("%q was changed to %q", key, raw)
	}
}

func TestShapes(t *testing.T) {
	for _, tt := range []struct{ key, want string }{
		{"", ""},
		{"user:1", "user:1"},
		{"user:{42}:name", "42"},
		{"{42}", "42"},
		{"{42}{43}", "42"},
		{"{{42}}", "{42"},
		{"a}b{42}", "42"},
		{"{}", "{}"},
		{"{}{42}", "{}{42}"},
		{"a{}{42}", "a{}{42}"},
		{"{42", "{42"},
		{"42}", "42}"},
		{"}{", "}{"},
		{"}{x}", "x"},
		{"{", "{"},
		{"{a}b}", "a"},
		{"\x00{\x00}\x00", "\x00"},
		{"\xff{\xfb\xfd}", "\xfb\xfd"},
	} {
		assert.Equal(t, tt.want, Of(tt.key), "%q", tt.key)
		check(t, tt.key)
	}
}

func TestAllShortStringsOverBraces(t *testing.T) {
	var try func(key string, more int)
	try = func(key string, more int) {
		check(t, key)
		if more > 0 {
			for _, b := range []string{"{", "}", "a", "b"} {
				try(key+b, more-1)
			}
		}
	}
	longest := 9
	if testing.Short() {
		longest = 8
	}
	try("", longest)
}

func TestEveryPositionAmongLookalikes(t *testing.T) {
	// The braces among bytes that differ from them by one, or in one bit.
	rng := rand.New(rand.NewPCG(1, 16))
	var alike []byte
	for _, b := range []byte("{}") {
		alike = append(alike, b-1, b+1)
		for bit := range 8 {
			alike = append(alike, b^1<<bit)
		}
	}
	alike = append(alike, 0, 0x80, 0xff, 0x01)
	for n := 2; n < 45; n++ {
		for open := range n {
			for end := range n {
				key := make([]byte, n)
				for i := range key {
					key[i] = alike[rng.IntN(len(alike))]
				}
				key[open] = '{'
				key[end] = '}'
				check(t, string(key))
			}
		}
	}
}

func TestOfBytesIsAPartOfTheKey(t *testing.T) {
	key := []byte("user:{42}:name")
	tag := OfBytes(key)
	assert.Same(t, &key[6], unsafe.SliceData(tag))
	key = []byte("no tag")
	assert.Same(t, &key[0], unsafe.SliceData(OfBytes(key)))
	assert.Nil(t, OfBytes(nil))
}

var (
	textSink  string
	bytesSink []byte
	intSink   int
)

func TestAllocations(t *testing.T) {
	key := strings.Repeat("k", 40) + "{tag}" + strings.Repeat("v", 40)
	raw := []byte(key)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		textSink = Of(key)
		bytesSink = OfBytes(raw)
		intSink, _, _ = Find(key)
		var b [20]byte
		b[intSink%20] = '{'
		intSink, _, _ = Find(b[:])
		intSink += len(OfBytes(b[:]))
	}))
}
