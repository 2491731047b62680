package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// slowJSON returns the inside of the string that encoding/json writes.
func slowJSON(t *testing.T, s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	require.NoError(t, enc.Encode(s))
	var out strings.Builder
	for _, c := range strings.TrimSuffix(b.String()[1:], "\"\n") {
		if c < 0x10000 && slowDangerous(c) {
			fmt.Fprintf(&out, "\\u%04x", c)
		} else {
			out.WriteRune(c)
		}
	}
	return out.String()
}

// slowText is a plain version of appendText, one character at a time.
func slowText(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		c, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == '\\', c == '\n', c == '\r', c == '\t':
			q := strconv.Quote(string(c))
			b.WriteString(q[1 : len(q)-1])
		case slowDangerous(c) || c == utf8.RuneError && size == 1:
			for _, c := range []byte(s[i : i+size]) {
				b.WriteString(`\x` + hex.EncodeToString([]byte{c}))
			}
		default:
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

// slowDangerous is dangerous by the tables of Unicode. It reports control characters,
// characters that end lines or change the direction of text, and the byte order mark.
func slowDangerous(c rune) bool {
	return unicode.IsControl(c) || c == '\u2028' || c == '\u2029' || unicode.Is(unicode.Bidi_Control, c) || c == '\ufeff'
}

func checkEncoders(t *testing.T, s string) {
	text := slowText(s)
	ascii := !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
	if got, plain := string(appendText([]byte("-"), []byte(s))), plainText([]byte(s)); got != "-"+text || plain != (text == s && ascii) {
		t.Fatalf("%q in text: %q, plain %v, want %q", s, got, plain, "-"+text)
	}
	plain := plainJSON([]byte(s))
	if !utf8.ValidString(s) {
		require.False(t, plain, "%q", s)
		return
	}
	want := slowJSON(t, s)
	if got := string(appendJSON([]byte("-"), []byte(s))); got != "-"+want || plain && s != want || !plain && ascii && s == want {
		t.Fatalf("%q in JSON: %q, plain %v, want %q", s, got, plain, "-"+want)
	}
}

// The values are every byte, every rune, and each byte in every place of up to three words.
func TestEncoders(t *testing.T) {
	for r := range rune(utf8.MaxRune + 1) {
		if r < 0x2080 || 0xfefe <= r && r <= 0xff00 || r%997 == 0 || r&0xfffe == 0xfffe {
			checkEncoders(t, string(r))
			checkEncoders(t, "a"+string(r)+"bcdefghijklmno")
		}
	}
	for c := range 256 {
		for _, n := range []int{1, 7, 8, 9, 19} {
			for at := range n {
				s := []byte(strings.Repeat("~", n))
				s[at] = byte(c)
				checkEncoders(t, string(s))
			}
		}
	}
}

func FuzzEncoders(f *testing.F) {
	for _, s := range []string{"", "user:{123}", "a\tb\\c\"d\x7f\x1b", "<&>", "\u2028\u2029\u2027", "é€𝄞", "\xe2\x80", "\xff\xfe", "\x00\b\f\n\r"} {
		f.Add(s)
	}
	f.Fuzz(checkEncoders)
}

// A long value gives the same output in pieces, wherever it is cut.
func TestLongValue(t *testing.T) {
	for _, enc := range []encoder{appendText, appendJSON, appendHex} {
		for shift := range 5 {
			value := []byte(strings.Repeat("x", shift) + strings.Repeat("\u2028\u00e9\U0001d11e\t\u2027", 2*blockSize/13))
			var b bytes.Buffer
			o := output{w: &b}
			o.text("[")
			o.value(enc, value)
			o.text("]")
			require.NoError(t, o.flush())
			if want := "[" + string(enc(nil, value)) + "]"; b.String() != want {
				t.Errorf("shift %d: the pieces differ from the whole", shift)
			}
		}
	}
	long := make([]byte, blockSize+1)
	w := new(heapWriter)
	o := output{w: w}
	o.value(appendText, long)
	require.Equal(t, uint64(4*blockSize), w.bytes, "the rest is held")
	o = output{}
	o.value(appendText, long)
	require.Len(t, o.buf, 4*len(long))
}

// What is written is what there is, until an error.
func TestFlush(t *testing.T) {
	var b bytes.Buffer
	o := output{w: &b}
	o.text("x")
	require.NoError(t, o.flush())
	require.Equal(t, "x", b.String())
	full := errors.New("no space left")
	o = output{w: writerFunc(func([]byte) (int, error) { t.Error("written after an error"); return 0, nil }), err: full}
	o.text("x")
	require.Equal(t, full, o.flush())
	require.Empty(t, o.buf)
	o = output{w: o.w}
	require.NoError(t, o.flush(), "nothing is not written")
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestHarmless(t *testing.T) {
	require.Equal(t, "{\"\u00e9\ufffd\":\n\"\\u2028\\u007f\\u0085\\n\"}\n", string(harmlessJSON([]byte("{\"\u00e9\ufffd\":\n\"\u2028\x7f\u0085\\n\"}\n"))))
	require.Equal(t, "hashslot help: unknown command \"a\\\\b\" (hashslot help -h for help)\n", runOn("", "help", `a\b`).errOut)
}
