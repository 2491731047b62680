package topology

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	decoded "github.com/hashslot/hashslot/internal/reply"
	"github.com/hashslot/hashslot/slotmap"
)

// Beside the checkout there may be a collection of the assertions of other clients'
// tests: replies, and what the client makes of them. This package differs from them
// only on purpose. Each difference is listed here with the reason.

var differences = map[string]string{
	"lettuce_nodes":                    "a replica, here of itself, owns no slots",
	"rb_with_hostname":                 "CLUSTER NODES does not tell whether hostnames are preferred: the address is the IP",
	"rb_with_hostname_and_auxiliaries": "CLUSTER NODES does not tell whether hostnames are preferred: the address is the IP",
	"lettuce_hostname":                 "CLUSTER NODES does not tell whether hostnames are preferred: the address is the IP",
	"rb_failure_flags":                 "nodes that fail are members, and reported with their flags",
	"rb_failure_link_state":            "nodes without a link are members, and reported so",
	"fred_meta_hostnames":              "the endpoint is what the server prefers, not the hostname beside it",
	"glide_ip_meta_hostname_array":     "the endpoint is what the server prefers, not the hostname beside it",
	"glide_ip_meta_hostname_map":       "the endpoint is what the server prefers, not the hostname beside it",
	"goredis_loopback":                 "loopback addresses are what the server said",
	"lettuce_one_string":               "an entry without slots is an error, not nothing",
	"rueidis_malformed":                "entries without nodes and nodes without ports are errors, not nothing",
	"rueidis_malformed_all":            "entries without nodes are errors, not nothing",
	"rueidis_multi":                    "port 0 is no address",
	"rueidis_multi_replicas":           "port 0 is no address",
	"rueidis_single":                   "port 0 is no address",
	"rueidis_shards":                   "port 0 is no address",
	"rueidis_shards_tls_off":           "port 0 is no address",
	"rueidis_shards_tls_on":            "a node without tls-port among nodes that have one does not speak TLS: it has no address",
	"se_null_endpoint":                 "null is the host that was asked",
	"se_empty_endpoint":                "\"\" is the host that was asked",
	"swift_invalid_health":             "a word for health that is not known is kept, with a warning, and means that the node does not serve",
	"swift_no_primary":                 "slots without a primary are unassigned, with a warning: the other shards still work",
	"swift_two_primaries":              "of two primaries that work one is taken, with a warning: the other shards still work",
	"swift_replica_without_tls_port":   "one replica that does not speak TLS has no address: the other nodes still work",
	"swift_replica_states":             "replicas that do not serve are in the shard, and not read from",
	"lv_legacy":                        "a primary without an address owns its slots, as in the servers",
	"lv_noaddr":                        "a primary without an address owns its slots, as in the servers",
}

// foreign returns the folder, or "".
func foreign(t *testing.T) string {
	const dir = "../../../shared/foreign"
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	require.Empty(t, os.Getenv("HASHSLOT_REQUIRE_FOREIGN"), "%s is not there", dir)
	return ""
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, v), path)
}

type record struct {
	ID, Kind, Note string
	Reply          any
	Origin         string
	TLS            bool
	Expect         map[string]any `json:"peer_expect"`
}

func (r record) origin() Origin {
	host, _, _ := cutLast(r.Origin, ':')
	return Origin{Addr: host, TLS: r.TLS}
}

func (r record) parse(reply any) (*Cluster, error) {
	switch r.Kind {
	case "nodes":
		return ParseNodes(reply.(string), r.origin())
	case "slots":
		return ParseSlots(reply, r.origin())
	}
	return ParseShards(reply, r.origin())
}

func TestForeignReplies(t *testing.T) {
	dir := foreign(t)
	if dir == "" {
		return
	}
	paths, err := filepath.Glob(dir + "/topology/*/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	found := map[string]bool{}
	for _, path := range paths {
		var r record
		readJSON(t, path, &r)
		t.Run(r.ID, func(t *testing.T) {
			c, err := r.parse(r.Reply)
			differs := r.compare(c, err)
			if reason := differences[r.ID]; reason != "" {
				found[r.ID] = true
				assert.NotEmpty(t, differs, "does not differ, although %s", reason)
			} else {
				assert.Empty(t, differs)
			}
			// The same bytes, decoded in the ways of clients.
			data, readErr := os.ReadFile(dir + "/topology/resp/" + r.Kind + "__" + r.ID + ".resp")
			require.NoError(t, readErr)
			for _, d := range dialects {
				reply, decodeErr := d.decode(data)
				require.NoError(t, decodeErr)
				if r.Kind == "nodes" {
					reply, _ = decoded.Text(reply)
				}
				again, againErr := r.parse(reply)
				if err != nil {
					assert.Error(t, againErr, d.name)
					continue
				}
				require.NoError(t, againErr, d.name)
				assert.True(t, c.Equal(again), d.name)
				assert.Equal(t, c.Warnings(), again.Warnings())
				for i, n := range c.Nodes() {
					assert.Equal(t, n.Addr(), again.Nodes()[i].Addr(), d.name)
				}
			}
		})
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(differences)), slices.Collect(maps.Keys(found)))
}

// compare lists the differences from the other client.
func (r record) compare(c *Cluster, err error) (differs []string) {
	e := r.Expect
	differ := func(format string, args ...any) { differs = append(differs, fmt.Sprintf(format, args...)) }
	if e["error"] == true || e["error_or_empty"] == true {
		if err == nil {
			differ("no error")
		}
		return differs
	}
	if err != nil {
		return []string{err.Error()}
	}
	str := func(v any) string { return strings.Trim(fmt.Sprintf("%v", v), "[]") }
	same := func(what string, want, got any) {
		if w, g := str(want), str(got); w != g {
			differ("%s: %s, not %s", what, g, w)
		}
	}
	byAddr := func(addr string) *Node {
		for _, n := range c.Nodes() {
			if n.Addr() == addr {
				return n
			}
		}
		return &Node{}
	}
	ranges := func(n *Node) (list []any) {
		var set slotmap.Set
		for _, s := range c.Shards() {
			if s.Primary == n {
				set = c.Table().SlotsOf(s)
			}
		}
		for rg := range set.Ranges() {
			list = append(list, []any{rg.First, rg.Last})
		}
		return list
	}
	owners := func(want map[string]any, name func(*Node) string) {
		for text, owner := range want {
			rg, _ := slotmap.ParseRange(text)
			for s := rg.First; s <= rg.Last; s++ {
				shard, ok := c.Table().Lookup(s)
				if !ok || name(shard.Primary) != owner {
					differ("owner of %d is not %v", s, owner)
					break
				}
			}
		}
	}
	id := func(n *Node) string { return n.ID }
	open := func(want map[string]any, node func(OpenSlot) string, of func(OpenSlot) bool) {
		got := map[string]any{}
		for _, o := range c.Open() {
			if of(o) {
				got[fmt.Sprint(o.Slot)] = node(o)
			}
		}
		same("open slots", want, got)
	}
	obj := func(v any) map[string]any { m, _ := v.(map[string]any); return m }
	list := func(v any) []any { l, _ := v.([]any); return l }
	only := func() *Node { return c.Nodes()[0] }
	for key, want := range e {
		switch key {
		case "owners":
			owners(obj(want), (*Node).Addr)
		case "owners_by_id":
			owners(obj(want), id)
		case "owner_of":
			owners(obj(want), id)
		case "count", "node_count":
			same(key, want, len(c.Nodes()))
		case "primaries", "masters":
			n := 0
			for _, s := range c.Shards() {
				if s.Primary != nil {
					n++
				}
			}
			if l, ok := want.([]any); ok {
				for _, a := range l {
					if byAddr(str(a)).Role != RolePrimary {
						differ("%v is no primary", a)
					}
				}
			} else {
				same(key, want, n)
			}
		case "hostnames":
			for node, name := range obj(want) {
				n := c.Node(node)
				if n == nil {
					n = byAddr(node)
				}
				same("hostname of "+node, name, n.Hostname)
			}
		case "ip_of":
			for node, ip := range obj(want) {
				same("ip of "+node, ip, byAddr(node).IP)
			}
			if len(obj(want)) == 0 && only().IP != "" {
				differ("ip %s", only().IP)
			}
		case "replicas":
			for primary, replicas := range obj(want) {
				var got []any
				for _, s := range c.Shards() {
					if s.Primary.Addr() == primary {
						for _, n := range s.Replicas {
							got = append(got, n.Addr())
						}
					}
				}
				same("replicas of "+primary, replicas, got)
			}
		case "replicas_all":
			for _, a := range list(want) {
				if byAddr(str(a)).Role != RoleReplica {
					differ("%v is no replica", a)
				}
			}
		case "node_addrs":
			var got []any
			for _, n := range c.Nodes() {
				got = append(got, n.Addr())
			}
			a, b := slices.Clone(list(want)), got
			less := func(x, y any) int { return strings.Compare(str(x), str(y)) }
			slices.SortFunc(a, less)
			slices.SortFunc(b, less)
			same(key, a, b)
		case "roles":
			same(key, list(want)[0], only().Role)
		case "primary_ids":
			same(key, list(want)[0], only().PrimaryID)
		case "slots_count":
			same(key, want, hashslot.Count-c.Unassigned().Len())
		case "full_coverage":
			same(key, want, c.Unassigned().IsEmpty())
		case "missing", "uncovered":
			var got []any
			unassigned := c.Unassigned()
			for rg := range unassigned.Ranges() {
				got = append(got, []any{rg.First, rg.Last})
			}
			same(key, want, got)
		case "unroutable":
			for _, rg := range list(want) {
				first, _ := decoded.Int(list(rg)[0])
				if s, ok := c.Table().Lookup(hashslot.Slot(first)); !ok || s.Primary.routable() {
					differ("%v is routable", rg)
				}
			}
		case "importing":
			open(obj(want), func(o OpenSlot) string { return o.From }, func(o OpenSlot) bool { return o.Importing })
		case "migrating":
			open(obj(want), func(o OpenSlot) string { return o.To }, func(o OpenSlot) bool { return o.Migrating })
		case "migrating_in_text", "importing_in_text":
			for node, slots := range obj(want) {
				got := map[string]any{}
				peers := c.Node(node).Migrating
				if key == "importing_in_text" {
					peers = c.Node(node).Importing
				}
				for _, p := range peers {
					got[fmt.Sprint(p.Slot)] = p.Node
				}
				same(key, slots, got)
			}
		case "disconnected":
			for _, n := range list(want) {
				same("link of "+str(n), "disconnected", c.Node(str(n)).LinkState)
			}
		case "failing":
			for _, n := range list(want) {
				if node := c.Node(str(n)); node == nil || node.Serves() {
					differ("%v serves", n)
				}
			}
		case "dropped":
			for _, n := range list(want) {
				if node := c.Node(str(n)); node != nil || byAddr(str(n)).ID != "" {
					differ("%v is there", n)
				}
			}
		case "dropped_hosts":
			for _, n := range c.Nodes() {
				if slices.Contains(list(want), any(n.Host)) || n.Endpoint == "?" && n.routable() {
					differ("%v is an address", n.Host)
				}
			}
		case "routable_primaries":
			var got []any
			for _, s := range c.Shards() {
				if s.Primary.routable() {
					got = append(got, s.Primary.Addr())
				}
			}
			same(key, want, got)
		case "conflict":
			same(key, want, len(c.Disagreements()) > 0)
		case "announced":
			same(key, strings.TrimPrefix(str(want), "<nil>"), only().Endpoint)
		case "endpoint":
			same(key, strings.TrimPrefix(str(want), "<nil>"), only().Addr())
		case "ip":
			same(key, want, only().IP)
		case "hostname":
			same(key, want, only().Hostname)
		case "port":
			same(key, want, only().EndpointPort)
		case "az":
			if want, ok := want.(string); ok {
				same(key, want, only().AvailabilityZone)
			}
			for node, az := range obj(want) {
				n := c.Node(node)
				if n == nil {
					n = byAddr(node)
				}
				same("az of "+node, az, n.AvailabilityZone)
			}
		case "shard_id":
			same(key, want, c.Shards()[0].ID)
		case "metadata":
			for k, v := range obj(want) {
				same(k, v, only().Extra[k])
			}
		case "must_not_fail":
		case "policy":
		case "nodes":
			if len(list(want)) == 0 && len(c.Nodes()) > 0 {
				differ("there are nodes")
			}
			for _, v := range list(want) {
				want := obj(v)
				n := c.Node(str(want["id"]))
				if want["id"] == nil && want["addr"] != nil {
					n = byAddr(str(want["addr"]))
				} else if want["id"] == nil {
					n = only()
				}
				if n == nil {
					differ("no node %v", want["id"])
					continue
				}
				for k, v := range want {
					what := fmt.Sprintf("%s of %s", k, n.ID)
					switch k {
					case "id":
						same(what, v, n.ID)
					case "role":
						same(what, v, n.Role)
					case "slots":
						same(what, v, ranges(n))
					case "slot_count":
						total := 0
						for _, rg := range ranges(n) {
							total += int(list(rg)[1].(hashslot.Slot)-list(rg)[0].(hashslot.Slot)) + 1
						}
						same(what, v, total)
					case "slots_contain":
						for _, s := range list(v) {
							slot, _ := decoded.Int(s)
							if shard, _ := c.Table().Lookup(hashslot.Slot(slot)); shard == nil || shard.Primary != n {
								differ("%s: not %v", what, s)
							}
						}
					case "port":
						same(what, v, n.EndpointPort)
					case "host":
						same(what, v, n.Host)
					case "primary_id":
						same(what, v, n.PrimaryID)
					case "config_epoch":
						same(what, v, n.ConfigEpoch)
					case "link_state":
						same(what, v, n.LinkState)
					case "addr":
						same(what, v, n.Addr())
					case "hostname":
						same(what, strings.TrimPrefix(str(v), "<nil>"), n.Hostname)
					case "aux":
						got := map[string]any{}
						for k, v := range n.Extra {
							got[k] = v
						}
						if n.ShardID != "" {
							got["shard-id"] = n.ShardID
						}
						same(what, v, got)
					case "cport":
						if v == nil {
							v = 0
						}
						same(what, v, n.BusPort)
					case "tls_port":
						same(what, v, n.TLSPort)
					case "health":
						same(what, v, n.Health)
					case "ping_sent":
						same(what, v, n.PingSent)
					case "pong_recv":
						same(what, fmt.Sprintf("%.0f", v), n.PongReceived)
					case "flags":
						same(what, v, strings.ReplaceAll(n.Flags.String(), ",", " "))
					case "migrating", "importing":
						got := map[string]any{}
						peers := n.Migrating
						if k == "importing" {
							peers = n.Importing
						}
						for _, p := range peers {
							got[fmt.Sprint(p.Slot)] = p.Node
						}
						same(what, v, got)
					case "ip":
						same(what, v, n.IP)
					case "endpoint":
						same(what, v, n.Endpoint)
					case "replication_offset":
						same(what, v, n.ReplicationOffset)
					case "shard_id":
						same(what, v, n.ShardID)
					default:
						differ("this test does not know the node's %s", k)
					}
				}
			}
		default:
			differ("this test does not know %s", key)
		}
	}
	slices.Sort(differs)
	return differs
}

func TestForeignRedirects(t *testing.T) {
	dir := foreign(t)
	if dir == "" {
		return
	}
	var records []struct {
		Msg, Kind, Host, Addr string
		Slot, Port            int
	}
	readJSON(t, dir+"/redirect/redirects.json", &records)
	require.NotEmpty(t, records)
	for _, r := range records {
		got, err := ParseRedirect(r.Msg, Origin{})
		// A redirect without a slot is not one of a cluster.
		if r.Kind == "" || r.Kind == "redirect" {
			assert.Error(t, err, r.Msg)
			continue
		}
		require.NoError(t, err, r.Msg)
		assert.Equal(t, strings.ToUpper(r.Kind), kindOf(got), r.Msg)
		assert.Equal(t, []any{r.Slot, r.Host, r.Port}, []any{int(got.Slot), got.Host, got.Port}, r.Msg)
		if r.Addr != "" {
			assert.Equal(t, r.Addr, got.Addr(), r.Msg)
		}
	}
}

func TestForeignMoved(t *testing.T) {
	dir := foreign(t)
	if dir == "" {
		return
	}
	type part struct {
		Start, End int
		Primary    string
		Replicas   []string
	}
	var file struct {
		Ops []struct {
			Name          string
			Before, After []part
			MovedSlot     hashslot.Slot `json:"moved_slot"`
			NewOwner      struct {
				Like    *int `json:"like_slot"`
				Primary string
			} `json:"new_owner"`
		}
	}
	readJSON(t, dir+"/slotmap/moved_updates_glide.json", &file)
	require.NotEmpty(t, file.Ops)
	addr := func(s string) []any {
		host, port, _ := cutLast(s, ':')
		return []any{host, port}
	}
	for _, op := range file.Ops {
		var reply []any
		for _, p := range op.Before {
			entry := []any{p.Start, p.End, addr(p.Primary)}
			for _, r := range p.Replicas {
				entry = append(entry, addr(r))
			}
			reply = append(reply, entry)
		}
		c, err := ParseSlots(reply, Origin{})
		require.NoError(t, err)
		var r Router
		r.Apply(c, r.Generation())
		to := op.NewOwner.Primary
		if op.NewOwner.Like != nil {
			shard, _ := r.For(hashslot.Slot(*op.NewOwner.Like))
			to = shard.Primary.Addr()
		}
		rd, err := ParseRedirect(fmt.Sprintf("MOVED %d %s", op.MovedSlot, to), Origin{})
		require.NoError(t, err)
		r.Moved(rd, nil, r.Generation())
		want := make([]string, hashslot.Count)
		for _, p := range op.After {
			for s := p.Start; s <= p.End; s++ {
				want[s] = p.Primary
			}
		}
		for s := range want {
			got := ""
			if shard, _ := r.For(hashslot.Slot(s)); shard != nil {
				got = shard.Primary.Addr()
			}
			if got != want[s] {
				t.Fatalf("%s: slot %d: %q, want %q", op.Name, s, got, want[s])
			}
		}
	}
}

func TestForeignLookups(t *testing.T) {
	dir := foreign(t)
	if dir == "" {
		return
	}
	var file struct {
		Cases []struct {
			Name   string
			Shards []struct {
				Slots   [][2]int
				Primary string
			}
			Lookup map[string]*string
		}
	}
	readJSON(t, dir+"/slotmap/lookups_swift.json", &file)
	require.NotEmpty(t, file.Cases)
	var r Router // the same for all: each view replaces the one before
	for _, c := range file.Cases {
		var reply []any
		for _, s := range c.Shards {
			host, port, _ := cutLast(s.Primary, ':')
			for _, rg := range s.Slots {
				reply = append(reply, []any{rg[0], rg[1], []any{host, port}})
			}
		}
		cluster, err := ParseSlots(reply, Origin{})
		require.NoError(t, err)
		r.Replace(cluster)
		for slot, want := range c.Lookup {
			n, _ := hashslot.ParseSlot(slot)
			shard, _ := r.For(n)
			if want == nil {
				assert.Nil(t, shard, "%s %s", c.Name, slot)
			} else {
				require.NotNil(t, shard, "%s %s", c.Name, slot)
				assert.Equal(t, *want, shard.Primary.Addr(), "%s %s", c.Name, slot)
			}
		}
	}
}

func TestForeignViews(t *testing.T) {
	dir := foreign(t)
	if dir == "" {
		return
	}
	parse := func(reply any, origin string) *Cluster {
		c, err := record{Kind: "slots", Origin: origin}.parse(reply)
		require.NoError(t, err)
		return c
	}
	type viewFile struct{ Views []json.RawMessage }
	for _, name := range []string{"slots_equal_views_missing_host", "slots_equal_views_mixed_preference", "slots_equal_views_replica_order"} {
		var file viewFile
		readJSON(t, dir+"/topology/"+name+".json", &file)
		var views []*Cluster
		for _, raw := range file.Views {
			var v struct {
				Origin string
				Reply  any
			}
			if json.Unmarshal(raw, &v) != nil || v.Reply == nil {
				require.NoError(t, json.Unmarshal(raw, &v.Reply))
			}
			views = append(views, parse(v.Reply, v.Origin))
		}
		require.Len(t, views, 2, name)
		assert.True(t, views[0].Equal(views[1]), name)
		assert.Equal(t, views[0].canonical(), views[1].canonical(), name)
		both, err := Merge(views...)
		require.NoError(t, err)
		assert.True(t, both.Equal(views[0]), name)
		assert.Empty(t, both.Disagreements(), name)
		if name == "slots_equal_views_mixed_preference" {
			assert.Equal(t, "127.0.0.1:7001", both.Node(strings.Repeat("b", 40)).Addr(), "the view that has one")
		}
	}

	var collision struct {
		Views []struct {
			Origin string
			Reply  any
		}
	}
	readJSON(t, dir+"/topology/multi_view_collision_redispy.json", &collision)
	both, err := Merge(parse(collision.Views[0].Reply, ""), parse(collision.Views[1].Reply, ""))
	require.NoError(t, err)
	var disputed slotmap.Set
	for _, d := range both.Disagreements() {
		disputed = disputed.Union(d.Slots)
	}
	assert.Equal(t, "0-10922", disputed.String())

	var votes struct {
		Views map[string]struct{ Reply any }
		Cases []struct {
			Name    string
			Answers []string
			Winner  string
		}
	}
	readJSON(t, dir+"/topology/multi_view_votes_glide.json", &votes)
	// Merge decides slot by slot, not view by view, and what only one view knows
	// is taken from it.
	differ := map[string]string{
		"4_nodes_queried_has_a_majority_success":                              "",
		"3_nodes_queried_no_majority_last_retry_success":                      "",
		"2_nodes_queried_no_majority_return_full_slot_coverage_view":          "",
		"2_nodes_queried_no_majority_no_full_coverage_prefer_fuller_coverage": "0-3000 node3:6381, 3001-4000 node1:6379, 4001-16383 node4:6382",
		"3_nodes_queried_no_full_coverage_prefer_majority":                    "0-4000 node1:6379, 4001-16383 node4:6382",
		"3_nodes_queried_no_majority_has_more_retries_raise_error":            "0-16383 node1:6379",
	}
	owners := func(c *Cluster) string {
		var r Router
		r.Apply(c, r.Generation())
		return ownersOf(&r)
	}
	for _, v := range votes.Cases {
		var views []*Cluster
		for _, a := range v.Answers {
			views = append(views, parse(votes.Views[a].Reply, ""))
		}
		c, err := Merge(views...)
		require.NoError(t, err)
		want, ok := differ[v.Name]
		require.True(t, ok, v.Name)
		if want == "" {
			want = owners(parse(votes.Views[v.Winner].Reply, ""))
		}
		assert.Equal(t, want, owners(c), v.Name)
		slices.Reverse(views)
		again, err := Merge(views...)
		require.NoError(t, err)
		assert.Equal(t, owners(c), owners(again), "%s: the order of views matters", v.Name)
	}
}
