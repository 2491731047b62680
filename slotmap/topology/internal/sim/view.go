package sim

import (
	"fmt"
	"math/bits"
	"reflect"
	"strconv"
	"time"
	"unsafe"

	"github.com/hashslot/hashslot/slotmap/topology"
)

// A format is a command that asks for a view.
type format uint8

const (
	nodes format = iota
	slots
	shards
)

func (f format) String() string { return [...]string{"NODES", "SLOTS", "SHARDS"}[f] }

// shown is a view that was parsed. It can be used again as long as the server would show
// the same, and the times in it are not too old.
type shown struct {
	view    *topology.Cluster
	version uint64
	at      time.Duration
}

// A digest is a hash of all that a server shows in CLUSTER SLOTS.
type digest [2]uint64

func (d *digest) add(a, b uint64) {
	for i, k := range [...]uint64{0x9e3779b97f4a7c15, 0xd6e8feb86659fd93} {
		high, low := bits.Mul64(d[i]^a^k, b^bits.Reverse64(k))
		d[i] = high ^ low + bits.RotateLeft64(d[i], 29)
	}
}

// digest returns the digest of what s shows in CLUSTER SLOTS.
func (s *server) digest() digest {
	if s.aboutOf != s.version+1 {
		var d digest
		s.ranges(func(owner int32, first, last int) {
			d.add(uint64(first)<<32|uint64(last), uint64(owner)+1)
		})
		for i := range s.peers {
			if p := &s.peers[i]; p.known {
				flag := uint64(0)
				if p.fail {
					flag = 1 << 40
				}
				d.add(uint64(i)|1<<50, flag|uint64(p.primary+2))
			}
		}
		s.about, s.aboutOf = d, s.version+1
	}
	return s.about
}

// slotsView returns the answer of s to CLUSTER SLOTS. Servers that show the same share
// a view, apart from the Origin.
func (s *server) slotsView() *topology.Cluster {
	about := s.digest()
	view := s.w.views[about]
	if view == nil {
		var err error
		if view, err = topology.ParseSlots(s.slotsReply(), topology.Origin{Addr: s.addr}); err != nil {
			panic(fmt.Sprintf("a server's SLOTS cannot be read: %v", err))
		}
		if len(s.w.views) >= 100 {
			clear(s.w.views) // most are outdated
		}
		s.w.views[about] = view
	}
	return asked(view, s.addr)
}

// asked returns the view as if the server with the address had been asked for it. As no
// address in the view is missing, only the Origin differs.
func asked(view *topology.Cluster, addr string) *topology.Cluster {
	v := *view
	*(*topology.Origin)(unsafe.Add(unsafe.Pointer(&v), originOffset)) = topology.Origin{Addr: addr}
	return &v
}

// originOffset is the offset of the Origin in a Cluster, which has no exported field.
var originOffset = func() uintptr {
	field, ok := reflect.TypeFor[topology.Cluster]().FieldByName("from")
	if !ok || field.Type != reflect.TypeFor[topology.Origin]() {
		panic("a Cluster does not have who was asked")
	}
	return field.Offset
}()

// view returns the answer of s to a client that asks for a view.
func (s *server) view(f format) *topology.Cluster {
	if f == slots {
		return s.slotsView()
	}
	old := &s.shown[f]
	if old.view != nil && old.version == s.version && s.w.now-old.at < s.w.keep && old.at >= s.upAt {
		return old.view
	}
	var (
		from = topology.Origin{Addr: s.addr}
		view *topology.Cluster
		err  error
	)
	switch f {
	case nodes:
		view, err = topology.ParseNodes(s.nodesText(), from)
	case shards:
		view, err = topology.ParseShards(s.shardsReply(), from)
	}
	if err != nil {
		panic(fmt.Sprintf("a server's %v cannot be read: %v", f, err))
	}
	*old = shown{view, s.version, s.w.now}
	return view
}

// ranges yields the ranges of slots that have the same owner.
func (s *server) ranges(yield func(owner int32, first, last int)) {
	for u := 0; u < len(s.owner); {
		v := u + 1
		for v < len(s.owner) && s.owner[v] == s.owner[u] {
			v++
		}
		if s.owner[u] != nobody {
			yield(s.owner[u], int(s.w.slots(u).First), int(s.w.slots(v-1).Last))
		}
		u = v
	}
}

// ranged returns the ranges of slots of each server.
func (s *server) ranged() [][][2]int {
	ranges := make([][][2]int, len(s.peers))
	s.ranges(func(owner int32, first, last int) {
		ranges[owner] = append(ranges[owner], [2]int{first, last})
	})
	return ranges
}

// pong returns when s got the last pong of a server, in Unix milliseconds. There is one
// every second while both answer.
func (s *server) pong(of *server) int64 {
	phase := time.Duration(uint32(s.index)*2654435761+uint32(of.index)*40503) % time.Second
	at := s.w.now - phase
	if of.downs > 0 && (!of.responsive() || at < of.upAt) {
		at = of.downAt - phase
	}
	if s.downs > 0 && s.upAt > at {
		at = min(at, s.downAt-phase)
	}
	return epoch.Add(at).UnixMilli()
}

// nodesText returns the answer of s to CLUSTER NODES.
func (s *server) nodesText() string {
	ranges := s.ranged()
	b := make([]byte, 0, 140*len(s.peers))
	// Each server lists the nodes in an order of its own.
	for k := range s.peers {
		i := (k + int(s.index)) % len(s.peers)
		p, of := &s.peers[i], s.w.servers[i]
		if !p.known {
			continue
		}
		b = s.appendNode(b, p, of)
		if p.primary == nobody {
			b = appendRanges(b, ranges[i])
		}
		b = append(b, '\n')
	}
	return string(b)
}

// appendNode appends the line of a server without its slots. p is what s knows of it.
func (s *server) appendNode(b []byte, p *peer, of *server) []byte {
	role, primary := "master", "-"
	if p.primary != nobody {
		role, primary = "slave", s.w.servers[p.primary].id
	}
	b = append(append(b, of.id...), ' ')
	b = append(append(b, of.addr...), "@16379 "...)
	if of == s {
		b = append(b, "myself,"...)
	}
	b = append(b, role...)
	if p.pfail {
		b = append(b, ",fail?"...)
	}
	if p.fail {
		b = append(b, ",fail"...)
	}
	b = append(append(b, ' '), primary...)
	b = append(b, " 0 "...)
	if of == s {
		b = append(b, '0')
	} else {
		b = strconv.AppendInt(b, s.pong(of), 10)
	}
	b = append(b, ' ')
	b = strconv.AppendUint(b, p.epoch, 10)
	if of != s && (p.pfail || p.fail || !of.up) {
		return append(b, " disconnected"...)
	}
	return append(b, " connected"...)
}

func appendRanges(b []byte, ranges [][2]int) []byte {
	for _, r := range ranges {
		b = strconv.AppendInt(append(b, ' '), int64(r[0]), 10)
		if r[1] > r[0] {
			b = strconv.AppendInt(append(b, '-'), int64(r[1]), 10)
		}
	}
	return b
}

// replicas returns the replicas of each primary, by index.
func (s *server) replicas() [][]int32 {
	list := make([][]int32, len(s.peers))
	for i := range s.peers {
		if p := s.peers[i]; p.known && p.primary != nobody {
			list[p.primary] = append(list[p.primary], int32(i))
		}
	}
	return list
}

// slotsReply returns the answer of s to CLUSTER SLOTS, decoded.
func (s *server) slotsReply() any {
	replicas := s.replicas()
	node := func(i int32) any {
		return []any{s.w.servers[i].host, int64(6379), s.w.servers[i].id, []any{}}
	}
	reply := []any{}
	s.ranges(func(owner int32, first, last int) {
		entry := []any{int64(first), int64(last), node(owner)}
		for _, r := range replicas[owner] {
			if !s.peers[r].fail {
				entry = append(entry, node(r))
			}
		}
		reply = append(reply, entry)
	})
	return reply
}

// shardsReply returns the answer of s to CLUSTER SHARDS, decoded, as Valkey 9.1 makes
// it: a shard may list two primaries.
func (s *server) shardsReply() any {
	ranges := s.ranged()
	type shard struct{ slots, nodes []any }
	byID := make(map[string]*shard)
	var order []string
	for k := range s.peers {
		i := (k + int(s.index)) % len(s.peers)
		p, of := &s.peers[i], s.w.servers[i]
		if !p.known {
			continue
		}
		id := of.shard
		if p.primary != nobody {
			id = s.w.servers[p.primary].shard
		}
		sh := byID[id]
		if sh == nil {
			sh = &shard{slots: []any{}}
			byID[id] = sh
			order = append(order, id)
		}
		role, health := "replica", "online"
		if p.primary == nobody {
			role = "master"
			for _, r := range ranges[i] {
				sh.slots = append(sh.slots, int64(r[0]), int64(r[1]))
			}
		}
		if p.fail {
			health = "fail"
		}
		sh.nodes = append(sh.nodes, []any{
			"id", of.id, "port", int64(6379), "ip", of.host, "endpoint", of.host,
			"role", role, "replication-offset", int64(1), "health", health,
		})
	}
	reply := []any{}
	for _, id := range order {
		reply = append(reply, []any{"slots", byID[id].slots, "nodes", byID[id].nodes, "id", id})
	}
	return reply
}
