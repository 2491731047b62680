package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the pages in docs anew")

// TestDocs checks that the pages in docs are the help of the program.
func TestDocs(t *testing.T) {
	for name, want := range map[string]string{"command.md": markdown(), "hashslot.1": manual()} {
		file := filepath.Join("../../docs", name)
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(want), 0o666))
		}
		got, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("docs is not part of the module")
		}
		require.NoError(t, err)
		require.Equal(t, want, string(got), "go test ./cmd/hashslot -run TestDocs -update writes docs/%s", name)
	}
}

func markdown() string {
	var b strings.Builder
	b.WriteString("# The command\n\n`go install github.com/hashslot/hashslot/cmd/hashslot@latest` installs it; in a checkout it is `go run ./cmd/hashslot`. The\n" +
		"examples run in `cmd/hashslot`, where the files of `testdata` are. The JSON of all commands is in [command.schema.json](command.schema.json), and\n" +
		"[hashslot.1](hashslot.1) is a manual page: `man -l docs/hashslot.1`.\n\n```\n" + usage() + "```\n")
	for _, c := range all() {
		fmt.Fprintf(&b, "\n## hashslot %s\n\n```\n%s```\n", c.name, c.page())
	}
	return b.String()
}

// manual returns the page for man(1).
func manual() string {
	var b strings.Builder
	escape := func(s string) string {
		s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`).Replace(s)
		return regexp.MustCompile(`(?m)^\.`).ReplaceAllString(s, `\&.`)
	}
	block := func(s string) { fmt.Fprintf(&b, ".nf\n%s.fi\n", escape(s)) }
	b.WriteString(".TH HASHSLOT 1\n.SH NAME\nhashslot \\- hash slots of a Valkey or Redis cluster\n.SH SYNOPSIS\n.B hashslot\n.I COMMAND\n[OPTION...] [ARGUMENT...]\n.SH DESCRIPTION\n")
	block(usage())
	for _, c := range all() {
		fmt.Fprintf(&b, ".SH HASHSLOT %s\n", strings.ToUpper(c.name))
		block(c.page())
	}
	b.WriteString(".SH EXIT STATUS\n")
	block(exitDoc)
	return b.String()
}

// A schema has the part of JSON Schema that docs/command.schema.json uses.
type schema struct {
	Ref        string             `json:"$ref"`
	Defs       map[string]*schema `json:"$defs"`
	Type       string
	Properties map[string]*schema
	Required   []string
	Items      *schema
	Enum       []string
	Pattern    string
	Minimum    *float64
}

func (s *schema) check(root *schema, at string, v any) error {
	if s.Ref != "" {
		d := root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
		if d == nil {
			return fmt.Errorf("%s: no %s", at, s.Ref)
		}
		return d.check(root, at, v)
	}
	switch v := v.(type) {
	case map[string]any:
		if s.Type != "object" {
			return fmt.Errorf("%s: an object, not %s", at, s.Type)
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				return fmt.Errorf("%s: no %q", at, name)
			}
		}
		for name, value := range v {
			p := s.Properties[name]
			if p == nil {
				return fmt.Errorf("%s: %q is not in the schema", at, name)
			}
			if err := p.check(root, at+"."+name, value); err != nil {
				return err
			}
		}
	case []any:
		if s.Type != "array" {
			return fmt.Errorf("%s: an array, not %s", at, s.Type)
		}
		for i, e := range v {
			if err := s.Items.check(root, fmt.Sprintf("%s[%d]", at, i), e); err != nil {
				return err
			}
		}
	case string:
		if s.Type != "string" || s.Enum != nil && !slices.Contains(s.Enum, v) || !regexp.MustCompile(s.Pattern).MatchString(v) {
			return fmt.Errorf("%s: the text %q", at, v)
		}
	case float64:
		if s.Type != "number" && s.Type != "integer" || s.Type == "integer" && v != float64(int64(v)) || s.Minimum != nil && v < *s.Minimum {
			return fmt.Errorf("%s: the number %v", at, v)
		}
	case bool:
		if s.Type != "boolean" {
			return fmt.Errorf("%s: a boolean, not %s", at, s.Type)
		}
	default:
		return fmt.Errorf("%s: %v", at, v)
	}
	return nil
}

// TestSchema checks that all JSON output follows the schema, and has all that it requires.
func TestSchema(t *testing.T) {
	text, err := os.ReadFile("../../docs/command.schema.json")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("docs is not part of the module")
	}
	require.NoError(t, err)
	var root schema
	require.NoError(t, json.Unmarshal(text, &root))
	const bad = "a h:1@2 myself,master,fail - 0 0 1 connected 0-9 [7->-b]\nb h:2@2 master - 0 0 2 connected 10-16382\nc h:3@2 slave a 0 0 1 connected\n"
	used := map[string]bool{}
	for _, c := range []struct{ def, in, args string }{
		{"slot", "", "slot {a}b c"}, {"slot", "{\xff}\n", "slot -hex"}, {"tag", "", "tag 0"},
		{"keys", "", "keys MSET a 1 b 2"}, {"keys", "", "keys nosuch x"}, {"keys", "", "keys SPUBLISH a b"},
		{"cluster", bad, "check -"}, {"cluster", "", "check testdata/nodes.txt"},
		{"route", bad, "route -nodes - foo {06S}"}, {"routed", "", "route -nodes testdata/nodes.txt -commands MGET a b"},
		{"routed", "", "route -nodes testdata/nodes.txt -commands RENAME a b"},
		{"stat", "{a}1\n{\xff}2\n", "stat"}, {"stat", "", "stat -nodes testdata/nodes.txt {a}b"}, {"stat", "get a\nmget a b\nrename a b\nfoo\n", "stat -commands"},
		{"layout", "", "plan create a:1 b:1 c:1"}, {"plan", "", "plan rebalance -use-empty testdata/three.nodes"},
		{"plan", "", "plan reshard testdata/three.nodes -from all -to 292f -slots 1 -steps setslot"}, {"plan", "", "plan drain testdata/three.nodes -node 67ed -steps migration"},
		{"repair", "", "plan fix testdata/open-1.nodes testdata/open-2.nodes -counts testdata/open.counts"},
		{"promotions", bad, "plan promote -"}, {"spread", "", "plan balance testdata/nodes.txt"}, {"version", "", "version"},
	} {
		fields := strings.Fields(c.args)
		at := slices.IndexFunc(fields, func(f string) bool { return strings.HasPrefix(f, "-") })
		if at < 0 {
			at = 1
		}
		if fields[0] == "plan" {
			at = max(at, 2)
		}
		r := runOn(c.in, slices.Insert(fields, at, "-format", "json")...)
		require.NotEmpty(t, r.out, "%s: %s", c.args, r.errOut)
		for l := range strings.Lines(r.out) {
			var v any
			require.NoError(t, json.Unmarshal([]byte(l), &v))
			require.NotNil(t, root.Defs[c.def], c.def)
			assert.NoError(t, root.Defs[c.def].check(&root, c.args, v))
		}
		used[c.def] = true
	}
	for _, wrong := range []string{`{}`, `{"slot":-1,"tag":"a"}`, `{"slot":1.5,"tag":"a"}`, `{"slot":1,"tag":2}`, `{"slot":1,"tag":"a","x":1}`, `[]`, `{"slot":1,"tag":null}`} {
		var v any
		require.NoError(t, json.Unmarshal([]byte(wrong), &v))
		assert.Error(t, root.Defs["tag"].check(&root, "", v), wrong)
	}
	for _, name := range []string{"slot", "tag", "keys", "cluster", "route", "routed", "stat", "layout", "plan", "repair", "promotions", "spread", "version"} {
		assert.True(t, used[name], name)
	}
}
