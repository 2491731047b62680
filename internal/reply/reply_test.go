package reply

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKinds(t *testing.T) {
	type name string
	for want, v := range map[string]any{
		"null":                           nil,
		`the error "x"`:                  errors.New("x"),
		`the text "a"`:                   []byte("a"),
		`the text "b"`:                   name("b"),
		"the number 7":                   uint8(7),
		"the number -1":                  float64(-1),
		"a list of 2 elements":           []int64{1, 2},
		"a map":                          map[string]int{},
		"a float64":                      1.5,
		"the text \"" + long + "\"...":   long + "x",
		"a list of 0 elements":           []any{},
		"a struct {}":                    struct{}{},
		"the text \"\\x00\\u202e\"":      "\x00\u202e",
		"a *struct {}":                   (*struct{})(nil),
		"the number 9223372036854775807": uint64(1<<63 - 1),
		"a uint64":                       uint64(1 << 63),
	} {
		require.Equal(t, want, Kind(v))
	}
}

const long = "012345678901234567890123456789012345678901234567890123456789"

func TestAppendFields(t *testing.T) {
	want := []Field{{"ab", int64(1)}}
	for _, v := range []any{
		map[string]any{"AB": int64(1)},
		map[any]any{"ab": int64(1)},
		[]any{[]byte("aB"), int64(1)},
		map[string]int64{"ab": 1},
	} {
		got, err := AppendFields(nil, v)
		require.Nil(t, err)
		require.Equal(t, want, got)
	}
	got, err := AppendFields(want, nil)
	require.Nil(t, err)
	require.Equal(t, want, got)
	for reason, v := range map[string]any{
		" has a name that is the number 1, not text":                     map[any]any{1: 1},
		"[2] has a name that is null, not text":                          []any{"a", 1, nil, 2},
		" a list of 3 elements is not names and values":                  []any{"a", 1, "b"},
		" is the number 5, neither a map nor a list of names and values": 5,
	} {
		_, err := AppendFields(nil, v)
		require.EqualError(t, err, reason)
	}
}

func TestValues(t *testing.T) {
	type (
		text  []byte
		short int8
	)
	list := []int64{1, 2}
	word := "w"
	for _, tt := range []struct {
		v    any
		list []any // nil if v is no list
		text string
		ok   bool // v is text
		n    int64
		is   bool // v is a number
	}{
		{v: list, list: []any{int64(1), int64(2)}},
		{v: &list, list: []any{int64(1), int64(2)}},
		{v: [1]string{"a"}, list: []any{"a"}},
		{v: []byte("7"), text: "7", ok: true, n: 7, is: true},
		{v: text("a"), text: "a", ok: true},
		{v: &word, text: "w", ok: true},
		{v: [2]byte{}},
		{v: errors.New("1")},
		{v: int64(-5), n: -5, is: true},
		{v: 3, n: 3, is: true},
		{v: short(4), n: 4, is: true},
		{v: "9223372036854775807", text: "9223372036854775807", ok: true, n: math.MaxInt64, is: true},
		{v: "9223372036854775808", text: "9223372036854775808", ok: true, n: math.MaxInt64},
		{v: "10", text: "10", ok: true, n: 10, is: true},
		{v: float64(1<<53 - 1), n: 1<<53 - 1, is: true},
		{v: float64(1 << 53), n: 1 << 53},
		{v: float64(-1 << 53), n: -1 << 53},
		{v: 0.5},
		{v: uint64(1 << 63), n: math.MinInt64},
		{v: nil},
		{v: map[string]int{}},
	} {
		list, isList := List(tt.v)
		require.Equal(t, tt.list, list, "%#v", tt.v)
		require.Equal(t, tt.list != nil, isList, "%#v", tt.v)
		text, ok := Text(tt.v)
		require.Equal(t, []any{tt.text, tt.ok}, []any{text, ok}, "%#v", tt.v)
		n, is := Int(tt.v)
		require.Equal(t, []any{tt.n, tt.is}, []any{n, is}, "%#v", tt.v)
	}
	_, err := AppendFields(nil, map[int]string{1: "a"})
	require.EqualError(t, err, " is a map, neither a map nor a list of names and values")
	for in, want := range map[string]string{"AZ": "az", "[@z{": "[@z{", "Z": "z", "": ""} {
		require.Equal(t, want, lower(in))
	}
	require.Equal(t, `"`+long+`"`, Quote(long))
}
