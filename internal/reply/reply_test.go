package reply

import (
	"errors"
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
