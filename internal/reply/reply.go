// Package reply reads server replies that a client has decoded into Go values.
package reply

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Clients decode replies differently: bulk strings as string or []byte, maps as
// map[any]any, map[string]any or, over RESP2, as a flat list of names and
// values, numbers as int64 or, from a proxy, as text. The functions here accept
// all of these, and types that are not listed by reflection.

// List returns the elements of v, and whether v is a list.
func List(v any) ([]any, bool) {
	if list, ok := v.([]any); ok {
		return list, true
	}
	rv := indirect(v)
	if k := rv.Kind(); k != reflect.Slice && k != reflect.Array || rv.Type().Elem().Kind() == reflect.Uint8 {
		return nil, false
	}
	list := make([]any, rv.Len())
	for i := range list {
		list[i] = rv.Index(i).Interface()
	}
	return list, true
}

// Text returns the text v. A number is not text.
func Text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	case error:
		return "", false
	}
	rv := indirect(v)
	switch {
	case rv.Kind() == reflect.String:
		return rv.String(), true
	case rv.Kind() == reflect.Slice && rv.Type().Elem().Kind() == reflect.Uint8:
		return string(rv.Bytes()), true
	}
	return "", false
}

// Int returns the number v, which may come as text.
func Int(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case int:
		return int64(v), true
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<53
	}
	if s, ok := Text(v); ok {
		n, err := strconv.ParseInt(s, 10, 64)
		return n, err == nil
	}
	rv := indirect(v)
	switch {
	case rv.CanInt():
		return rv.Int(), true
	case rv.CanUint():
		return int64(rv.Uint()), rv.Uint() <= math.MaxInt64
	}
	return 0, false
}

// indirect follows one pointer.
func indirect(v any) reflect.Value {
	rv := reflect.ValueOf(v)
	if rv.Kind() == reflect.Pointer {
		return rv.Elem()
	}
	return rv
}

// A Field is a name in lower case and a value.
type Field struct {
	Name  string
	Value any
}

// An Error names a place in a value, and what is wrong there.
type Error struct {
	Path   string // "[2]"; "" is the value itself
	Reason string
}

func (e *Error) Error() string { return e.Path + " " + e.Reason }

// AppendFields appends the fields of v to dst: a map, or a flat list of names
// and values. The order is that of the list, or any.
func AppendFields(dst []Field, v any) ([]Field, *Error) {
	switch v := v.(type) {
	case nil:
		return dst, nil
	case map[string]any:
		for name, value := range v {
			dst = append(dst, Field{lower(name), value})
		}
		return dst, nil
	case map[any]any:
		for name, value := range v {
			s, ok := Text(name)
			if !ok {
				return nil, &Error{Reason: "has a name that is " + Kind(name) + ", not text"}
			}
			dst = append(dst, Field{lower(s), value})
		}
		return dst, nil
	}
	if list, ok := List(v); ok {
		if len(list)%2 != 0 {
			return nil, &Error{Reason: fmt.Sprintf("a list of %d elements is not names and values", len(list))}
		}
		for i := 0; i < len(list); i += 2 {
			s, ok := Text(list[i])
			if !ok {
				return nil, &Error{Path: fmt.Sprintf("[%d]", i), Reason: "has a name that is " + Kind(list[i]) + ", not text"}
			}
			dst = append(dst, Field{lower(s), list[i+1]})
		}
		return dst, nil
	}
	if rv := indirect(v); rv.Kind() == reflect.Map && rv.Type().Key().Kind() == reflect.String {
		for it := rv.MapRange(); it.Next(); {
			dst = append(dst, Field{lower(it.Key().String()), it.Value().Interface()})
		}
		return dst, nil
	}
	return nil, &Error{Reason: "is " + Kind(v) + ", neither a map nor a list of names and values"}
}

// lower is strings.ToLower for names that nearly always are in lower case.
func lower(s string) string {
	for i := range len(s) {
		if s[i]-'A' < 26 {
			return strings.ToLower(s)
		}
	}
	return s
}

// Kind describes the type of v, for messages.
func Kind(v any) string {
	if v == nil {
		return "null"
	}
	if err, ok := v.(error); ok {
		return "the error " + Quote(err.Error())
	}
	if s, ok := Text(v); ok {
		return "the text " + Quote(s)
	}
	if n, ok := Int(v); ok {
		return "the number " + strconv.FormatInt(n, 10)
	}
	if list, ok := List(v); ok {
		return fmt.Sprintf("a list of %d elements", len(list))
	}
	if indirect(v).Kind() == reflect.Map {
		return "a map"
	}
	return fmt.Sprintf("a %T", v)
}

// Quote quotes a part of a reply for a message, and shortens it.
func Quote(s string) string {
	const most = 60
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
