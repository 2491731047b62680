package topology

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// A dialect says what Go values a client makes of a reply.
type dialect struct {
	name string
	text func(string) any
	maps func(names, values []any) any // of a RESP3 map
}

func stringText(s string) any { return s }
func bytesText(s string) any  { return []byte(s) }

func anyMap(names, values []any) any {
	m := make(map[any]any)
	for i, name := range names {
		if b, ok := name.([]byte); ok {
			name = string(b) // a slice is no key
		}
		m[name] = values[i]
	}
	return m
}

func stringMap(names, values []any) any {
	m := make(map[string]any)
	for i, name := range names {
		m[fmt.Sprint(name)] = values[i]
	}
	return m
}

func flatMap(names, values []any) any {
	var flat []any
	for i, name := range names {
		flat = append(flat, name, values[i])
	}
	return flat
}

// What clients of Go make of RESP: go-redis, valkey-go and rueidis (ToAny),
// redigo, radix.
var dialects = []dialect{
	{"go-redis", stringText, anyMap},
	{"valkey-go", stringText, stringMap},
	{"redigo", bytesText, flatMap},
	{"radix", bytesText, anyMap},
}

// decode reads one RESP2 or RESP3 reply, in plain steps.
func (d dialect) decode(data []byte) (any, error) {
	v, rest, err := d.value(data, 0)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes too many", len(rest))
	}
	return v, err
}

func (d dialect) value(data []byte, depth int) (v any, rest []byte, err error) {
	if depth > 16 {
		return nil, nil, errors.New("too deep")
	}
	line, rest, ok := bytes.Cut(data, []byte("\r\n"))
	if !ok || len(line) == 0 {
		return nil, nil, errors.New("truncated")
	}
	kind, text := line[0], string(line[1:])
	n := 0
	switch kind {
	case '$', '=', '*', '%', '~', '>':
		if n, err = strconv.Atoi(text); err != nil || n < -1 || n > 1<<20 {
			return nil, nil, fmt.Errorf("bad length %q", text)
		}
	}
	if n < 0 {
		return nil, rest, nil
	}
	switch kind {
	case '+':
		return d.text(text), rest, nil
	case '-':
		return errors.New(text), rest, nil
	case ':':
		i, err := strconv.ParseInt(text, 10, 64)
		return i, rest, err
	case '_':
		return nil, rest, nil
	case '#':
		return text == "t", rest, nil
	case ',':
		f, err := strconv.ParseFloat(text, 64)
		if math.IsNaN(f) {
			f = 0
		}
		return f, rest, err
	case '$', '=':
		if len(rest) < n+2 || string(rest[n:n+2]) != "\r\n" {
			return nil, nil, errors.New("truncated")
		}
		s := string(rest[:n])
		if kind == '=' && len(s) >= 4 {
			s = s[4:]
		}
		return d.text(s), rest[n+2:], nil
	case '*', '~', '>':
		list := []any{}
		for range n {
			if v, rest, err = d.value(rest, depth+1); err != nil {
				return nil, nil, err
			}
			list = append(list, v)
		}
		return list, rest, nil
	case '%':
		var names, values []any
		for range n {
			var name, value any
			if name, rest, err = d.value(rest, depth+1); err != nil {
				return nil, nil, err
			}
			if value, rest, err = d.value(rest, depth+1); err != nil {
				return nil, nil, err
			}
			switch name.(type) {
			case string, []byte, int64:
			default:
				return nil, nil, errors.New("a name that no client takes")
			}
			names, values = append(names, name), append(values, value)
		}
		return d.maps(names, values), rest, nil
	}
	return nil, nil, fmt.Errorf("unknown kind %q", kind)
}
