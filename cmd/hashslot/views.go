package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf16"

	"github.com/hashslot/hashslot/slotmap/topology"
)

// A clusterView is a cluster and the inputs that it is merged from.
type clusterView struct {
	*topology.Cluster
	inputs []input
}

// An input is the view of a cluster in one file.
type input struct {
	name    string
	cluster *topology.Cluster
	doubt   string // why the input may be truncated, or ""
}

// viewFormats lists the formats that readView reads.
const viewFormats = "CLUSTER NODES, a nodes.conf, or CLUSTER SLOTS or SHARDS as JSON or RESP"

// readView reads the view of a cluster in one file: the output of CLUSTER NODES, a
// nodes.conf, or a reply to CLUSTER NODES, SLOTS or SHARDS, as RESP or as JSON.
func readView(data []byte, from topology.Origin) (c *topology.Cluster, doubt string, err error) {
	data = decodeText(data)
	start := bytes.TrimLeft(data, " \t\r\n")
	switch {
	case len(start) == 0:
		return nil, "", fmt.Errorf("the input is empty; expected %s", viewFormats)
	case looksRESP(start):
		reply, err := oneReply(start)
		if err != nil {
			return nil, "", err
		}
		c, err = readReply(reply, from)
		return c, "", err
	case start[0] == '[' || start[0] == '{' || start[0] == '"':
		reply, err := readJSON(start)
		if err != nil {
			return nil, "", err
		}
		c, err = readReply(reply, from)
		return c, "", err
	}
	text := string(data)
	c, err = topology.ParseNodes(text, from)
	if err != nil {
		if what := otherThanView(start); what != "" {
			err = fmt.Errorf("this is %s; expected %s", what, viewFormats)
		}
		return nil, "", err
	}
	if !strings.HasSuffix(text, "\n") {
		doubt = "the last line does not end with a newline: the text may be truncated"
	} else if strings.Contains(text, "shard-id=") && !strings.Contains(text, "\nvars ") {
		doubt = "the line \"vars\", with which a nodes.conf ends, is missing: the file may be truncated"
	}
	return c, doubt, nil
}

// decodeText removes a byte order mark from data, and converts UTF-16 to UTF-8.
func decodeText(data []byte) []byte {
	if text, ok := bytes.CutPrefix(data, []byte("\xef\xbb\xbf")); ok {
		return text
	}
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return data
	}
	// Some shells on Windows write UTF-16 when output is redirected with ">".
	var units []uint16
	for rest := data[2:]; len(rest) >= 2; rest = rest[2:] {
		units = append(units, order.Uint16(rest))
	}
	return []byte(string(utf16.Decode(units)))
}

// oneReply decodes the one reply in data. Simple strings, such as the reply to AUTH,
// may precede it.
func oneReply(data []byte) (reply any, err error) {
	for {
		simple := data[0] == '+'
		if reply, data, err = readRESP(data); err != nil {
			return nil, err
		}
		if data = bytes.TrimLeft(data, " \r\n"); len(data) == 0 {
			return reply, nil
		}
		if !simple {
			return nil, errors.New("there is more than one reply: give each its own file")
		}
	}
}

// readJSON decodes a reply in JSON, which is not empty. Numbers that do not fit an int64
// become text.
func readJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var reply any
	if err := d.Decode(&reply); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errors.New("the JSON is truncated")
		}
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if rest := bytes.TrimSpace(data[d.InputOffset():]); len(rest) > 0 {
		return nil, fmt.Errorf("there is more after the JSON, from byte %d on", d.InputOffset())
	}
	return plainNumbers(reply), nil
}

func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		return v.String()
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = plainNumbers(v[name])
		}
	}
	return v
}

// readReply reads a decoded reply. Its shape shows which command it answers.
func readReply(reply any, from topology.Origin) (*topology.Cluster, error) {
	unexpected := func(what string) error { return fmt.Errorf("this is %s; expected %s", what, viewFormats) }
	switch reply := reply.(type) {
	case string:
		c, err := topology.ParseNodes(reply, from)
		if err != nil {
			if what := otherThanView([]byte(reply)); what != "" {
				err = unexpected(what)
			}
		}
		return c, err
	case serverError:
		return nil, reply
	case map[string]any:
		if _, ok := reply["assigned"]; ok {
			return nil, unexpected(`the output of "hashslot check"`)
		}
		return nil, unexpected("a JSON object")
	case []any:
		if len(reply) == 0 {
			return topology.ParseSlots(reply, from)
		}
		switch first := reply[0].(type) {
		case map[string]any:
			return topology.ParseShards(reply, from)
		case []any:
			if len(first) > 0 {
				if _, number := first[0].(int64); !number {
					return topology.ParseShards(reply, from)
				}
			}
			if len(first) == 2 {
				if _, number := first[1].(int64); !number {
					return nil, unexpected("CLUSTER SLOT-STATS")
				}
			}
			return topology.ParseSlots(reply, from)
		case string:
			return nil, unexpected("a list of strings")
		}
	}
	return nil, unexpected(fmt.Sprintf("the reply to another command: %.60q", fmt.Sprint(reply)))
}

// otherThanView names the kind of data that readView cannot read, by its beginning. It
// returns "" if it does not know the kind.
func otherThanView(data []byte) string {
	for _, known := range []struct{ start, what string }{
		{"\x1f\x8b", "a gzip file"}, {"\x28\xb5\x2f\xfd", "a zstd file"}, {"PK\x03\x04", "a zip file"}, {"\x7fELF", "a program"},
		{"REDIS0", "an RDB file"}, {"VALKEY0", "an RDB file"}, {"\x89PNG", "a picture"}, {"<svg", "a picture"},
		{"<", "an HTML or XML page"}, {"---", "a YAML file"},
		{"cluster_state:", "CLUSTER INFO"}, {"cluster_enabled:", "CLUSTER INFO"}, {"# Server", "INFO"}, {"# Cluster", "INFO"},
		{"(error) ", "an error of a server"}, {"ERR ", "an error of a server"}, {"NOAUTH ", "an error of a server"},
		{"NOPERM ", "an error of a server"}, {"WRONGPASS ", "an error of a server"}, {"Could not connect to ", "an error of the client"},
		{"AUTH failed: ", "an error of a server"}, {"Error: ", "an error of the client"},
		{"1) ", "what valkey-cli and redis-cli print for people (use --json)"},
		{"(empty ", "what valkey-cli and redis-cli print for people (use --json)"},
		{"slots\n", "CLUSTER SHARDS without its structure (use --json)"},
		{"slots\r\n", "CLUSTER SHARDS without its structure (use --json)"},
	} {
		if bytes.HasPrefix(data, []byte(known.start)) {
			what := known.what
			if strings.Contains(what, "an error of") {
				line, _, _ := bytes.Cut(data, []byte("\n"))
				what += fmt.Sprintf(", %.200q", bytes.TrimSpace(line))
			}
			return what
		}
	}
	lines := bytes.SplitN(data[:min(len(data), 1000)], []byte("\n"), 4)
	if len(lines) > 3 && isNumber(lines[0]) && isNumber(lines[1]) {
		return "CLUSTER SLOTS without its structure (use --json)"
	}
	if bytes.IndexByte(data[:min(len(data), 4096)], 0) >= 0 {
		return "binary data"
	}
	return ""
}

func isNumber(line []byte) bool {
	line = bytes.TrimSpace(line)
	for _, c := range line {
		if c < '0' || '9' < c {
			return false
		}
	}
	return len(line) > 0
}

// load reads the views, prints warnings about them, and merges them.
func (f *nodesFlags) load(e *env) (*clusterView, error) {
	v := new(clusterView)
	var views []*topology.Cluster
	for _, name := range f.files {
		data, err := readNodes(e, name)
		if err != nil {
			return nil, err
		}
		c, doubt, err := readView(data, f.from)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", inputName(name), err)
		}
		warn := func(text string) {
			fmt.Fprintf(e.stderr, "%s: %s: warning: %s\n", e.title(), shown(inputName(name)), shown(text))
		}
		for _, w := range c.Warnings() {
			warn(w)
		}
		if doubt != "" {
			warn(doubt)
		}
		v.inputs = append(v.inputs, input{inputName(name), c, doubt})
		views = append(views, c)
	}
	c, err := topology.Merge(views...)
	v.Cluster = c
	return v, err
}

// readNodes reads a file, or standard input if name is "-". More than maxNodesFile bytes
// are an error.
func readNodes(e *env, name string) (data []byte, err error) {
	r := e.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }() // it is only read
		if info, err := file.Stat(); err == nil && info.IsDir() {
			return nil, fmt.Errorf("%s is a directory, not a file", name)
		}
		r = file
	}
	return readUpTo(maxNodesFile, r, name)
}

// readUpTo reads at most most bytes from the input with the name.
func readUpTo(most int64, r io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if int64(len(data)) > most {
		err = fmt.Errorf("%s: larger than %d bytes, the limit", inputName(name), most)
	}
	return data, err
}

func inputName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}
