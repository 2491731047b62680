package topology

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// Captures with a few random changes of tokens, lines and values, which a fuzzer of
// bytes seldom makes. They are read or refused like the reference does.
func TestMutatedCaptures(t *testing.T) {
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	for i, c := range someCaptures(t) {
		if strings.Contains(c.name, "alternating") {
			continue
		}
		rng := rand.New(rand.NewPCG(1, uint64(i)))
		m := mutator{rng}
		text := c.nodes(t)
		if file, err := os.ReadFile(c.path + ".nodes.conf"); err == nil && i%2 == 0 {
			text = string(file)
		}
		slots, ok := c.read(t, dialects[0], "slots.resp3")
		shards, _ := c.read(t, dialects[0], []string{"shards.resp2", "shards.resp3"}[i%2])
		for range rounds {
			from := []Origin{{}, c.from, {Addr: "h:7", TLS: true}, {Addr: "h", Map: moveHalf}}[rng.IntN(4)]
			checkNodes(t, m.text(text), from)
			if ok {
				checkReply(t, m.reply(slots), from, ParseSlots, refSlotsReply)
			}
			checkReply(t, m.reply(shards), from, ParseShards, refShardsReply)
		}
	}
}

// moveHalf maps the half of all addresses that end in an even number.
func moveHalf(addr string) string {
	switch addr[len(addr)-1] {
	case '0', '4':
		return "nat:1" + addr[len(addr)-1:]
	case '2':
		return "[2001:db8::1]:8"
	case '6':
		return ""
	case '8':
		return "nowhere"
	}
	return addr
}

type mutator struct{ rng *rand.Rand }

var oddTokens = []string{"", "-", "?", "0", "5", "100-200", "16383", "16384", "9-3", "[5->-x]", "[7-<-y]", "[9->-", "master", "slave", "myself,slave", "myself,master",
	"fail?", "handshake", "noaddr,master", ":0@0", ":7@8", "::1:7@8", "?:7@8", "0.0.0.0:7@8", "a:b", "1.2.3.4:70000", "1.2.3.4:7@8,h,x=y,shard-id=s", "1.2.3.4:7,,tls-port=9,tcp-port=3",
	"connected", "disconnected", "18446744073709551615", "999999999999999999999", "=", "vars", "z z,a=b", "txt:"}

// text changes a few tokens or lines of CLUSTER NODES.
func (m mutator) text(text string) string {
	lines := strings.Split(text, "\n")
	for range 1 + m.rng.IntN(3) {
		i := m.rng.IntN(len(lines))
		switch m.rng.IntN(8) {
		case 0:
			lines = append(lines[:i:i], lines[i+1:]...)
			if len(lines) == 0 {
				return ""
			}
		case 1:
			lines = append(lines, lines[i])
		case 2:
			lines[i], lines[0] = lines[0], lines[i]
		case 3:
			if len(lines[i]) > 0 {
				lines[i] = lines[i][:m.rng.IntN(len(lines[i]))]
			}
		default:
			tokens := strings.Split(lines[i], " ")
			j := m.rng.IntN(len(tokens))
			other := strings.Fields(lines[m.rng.IntN(len(lines))])
			switch {
			case m.rng.IntN(2) == 0 && len(other) > 0:
				tokens[j] = other[m.rng.IntN(len(other))]
			case m.rng.IntN(4) == 0:
				tokens = append(tokens, oddTokens[m.rng.IntN(len(oddTokens))])
			default:
				tokens[j] = oddTokens[m.rng.IntN(len(oddTokens))]
			}
			lines[i] = strings.Join(tokens, " ")
		}
	}
	return strings.Join(lines, "\n")
}

var oddValues = []any{nil, "", "?", "0.0.0.0", "::", "::1", "host", int64(0), int64(-1), int64(5), int64(16383), int64(16384), int64(70000), "7", "x7", 7.0, 7.5, true,
	[]any{}, []any{"a"}, []any{"ip", "1.2.3.4"}, []any{"IP", "no ip", "Hostname", "n"}, []any{int64(1), int64(2)}, map[any]any{}, map[any]any{"hostname": "m"},
	map[any]any{int64(1): "m"}, map[any]any{"x": []any{}}, "master", "replica", "fail", "online", "odd"}

// reply changes a few values of a reply.
func (m mutator) reply(v any) any {
	v = m.clone(v)
	for range 1 + m.rng.IntN(3) {
		v = m.change(v)
	}
	return v
}

func (m mutator) clone(v any) any {
	switch v := v.(type) {
	case []any:
		l := make([]any, len(v))
		for i := range v {
			l[i] = m.clone(v[i])
		}
		return l
	case map[any]any:
		c := map[any]any{}
		for k, value := range v {
			c[k] = m.clone(value)
		}
		return c
	}
	return v
}

// change goes down to a random value, and changes it or the list that it is in.
func (m mutator) change(v any) any {
	switch c := v.(type) {
	case []any:
		if len(c) == 0 || m.rng.IntN(12) == 0 {
			break
		}
		i := m.rng.IntN(len(c))
		switch m.rng.IntN(10) {
		case 0:
			return append(c[:i:i], c[i+1:]...)
		case 1:
			return append(c, m.clone(c[i]))
		case 2:
			j := m.rng.IntN(len(c))
			c[i], c[j] = c[j], c[i]
			return c
		}
		c[i] = m.change(c[i])
		return c
	case map[any]any:
		if len(c) == 0 || m.rng.IntN(12) == 0 {
			break
		}
		// Maps have no order, and the change must not depend on it.
		for _, name := range []any{"nodes", "slots", "id", "port", "ip", "endpoint", "hostname", "role", "health", "replication-offset"} {
			if value, ok := c[name]; ok && m.rng.IntN(4) == 0 {
				if m.rng.IntN(8) == 0 {
					delete(c, name)
				} else {
					c[name] = m.change(value)
				}
				return c
			}
		}
		c["new"] = "field"
		return c
	}
	return m.clone(oddValues[m.rng.IntN(len(oddValues))])
}
