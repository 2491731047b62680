package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// A serverError is an error reply of a server.
type serverError string

func (e serverError) Error() string {
	return fmt.Sprintf("the server replied with an error: %s", string(e))
}

// errTruncated says that the data ends inside a reply.
var errTruncated = errors.New("the reply is truncated")

// looksRESP reports whether data begins like a reply on the wire.
func looksRESP(data []byte) bool {
	line, _, found := bytes.Cut(data, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if !found || len(line) < 2 {
		return false
	}
	switch line[0] {
	case '$', '=', '*', '%', '~', '>', '!', '|':
		_, err := strconv.Atoi(string(line[1:]))
		return err == nil
	case '-':
		return 'A' <= line[1] && line[1] <= 'Z'
	case '+':
		return true
	}
	return false
}

// readRESP decodes the RESP2 or RESP3 reply at the start of data, and returns it and
// the rest of data. Text becomes a string, an integer an int64, and a list or a set
// []any. A map becomes a list of its keys and values, as in RESP2. The size of the
// result is proportional to that of data.
func readRESP(data []byte) (reply any, rest []byte, err error) { return readNested(data, 0) }

const maxRESPDepth = 32 // CLUSTER SHARDS has a depth of 5

func readNested(data []byte, depth int) (reply any, rest []byte, err error) {
	head, rest, found := bytes.Cut(data, []byte("\n"))
	head = bytes.TrimSuffix(head, []byte("\r"))
	if !found {
		return nil, nil, errTruncated
	}
	if len(head) == 0 {
		return nil, nil, errors.New("a reply cannot begin with an empty line")
	}
	if depth > maxRESPDepth {
		return nil, nil, errors.New("the reply is nested too deeply")
	}
	kind, text := head[0], string(head[1:])
	switch kind {
	case '+', ',', '(':
		return text, rest, nil
	case '-':
		return serverError(text), rest, nil
	case '_':
		return nil, rest, nil
	case '#':
		return text == "t", rest, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, nil, fmt.Errorf("%.60q is not the beginning of a reply", head)
	}
	switch kind {
	case ':':
		return n, rest, nil
	case '$', '=', '!', '*', '~', '>', '%', '|':
	default:
		return nil, nil, fmt.Errorf("%.60q is not the beginning of a reply", head)
	}
	if n < 0 {
		return nil, rest, nil // null in RESP2
	}
	if n > int64(len(rest)) {
		return nil, nil, errTruncated
	}
	switch kind {
	case '$', '=', '!':
		body := string(rest[:n])
		rest = bytes.TrimPrefix(rest[n:], []byte("\r"))
		if len(rest) == 0 || rest[0] != '\n' {
			if len(rest) == 0 {
				return nil, nil, errTruncated
			}
			return nil, nil, fmt.Errorf("a string of the reply does not have the %d bytes that it announces", n)
		}
		if kind == '!' {
			return serverError(body), rest[1:], nil
		}
		return body, rest[1:], nil
	case '%', '|':
		n *= 2
	}
	list := []any{} // it grows with the elements present, not with the announced number
	for range n {
		var v any
		if v, rest, err = readNested(rest, depth+1); err != nil {
			return nil, nil, err
		}
		list = append(list, v)
	}
	if kind == '|' { // attributes, followed by the reply itself
		return readNested(rest, depth+1)
	}
	return list, rest, nil
}
