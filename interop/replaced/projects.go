package main

// A project is a module with hash slot code of its own.
type project struct {
	name, path, version string
	tests               []string          // arguments of go test, for the tests that run without a server
	fewest              int               // at least this many pass before the edits
	files               map[string]file   // by path
	policy              map[string]policy // tests that fail after the edits
	left                string            // a pattern of the test files that are left out
}

// A policy says why it is right that a test fails.
type policy struct {
	why  string
	says string // a text that the test must print
}

var projects = []project{
	{
		name: "redisc", path: "github.com/mna/redisc", version: "v1.4.0",
		tests:  []string{"."},
		fewest: 12,
		files: map[string]file{
			"hash.go": {
				imports: []string{module, module + "/slotmap", "slices"},
				without: []string{"sort", "strings"},
				decls: map[string]string{
					"Slot": `// Slot returns the hash slot for the key.
func Slot(key string) int { return int(hashslot.Of(key)) }`,
					"SplitBySlot": `// SplitBySlot groups keys by slot, in the order of the slots.
func SplitBySlot(keys ...string) [][]string {
	var splitter slotmap.SlotSplitter
	groups := splitter.Split(keys)
	slices.SortFunc(groups, func(a, b slotmap.SlotGroup) int { return int(a.Slot) - int(b.Slot) })
	bySlot := make([][]string, len(groups))
	for i, group := range groups {
		for _, k := range group.Keys {
			bySlot[i] = append(bySlot[i], keys[k])
		}
	}
	return bySlot
}`,
				},
			},
			"crc16.go": {decls: map[string]string{"crc16tab": "", "crc16": ""}},
		},
	},
	{
		name: "radix", path: "github.com/mediocregopher/radix/v4", version: "v4.1.4",
		tests:  []string{"-run", "Cluster", "."},
		fewest: 16,
		files: map[string]file{
			"cluster_crc16.go": {
				imports: []string{module},
				without: []string{"bytes"},
				decls: map[string]string{
					"tab":         "",
					"CRC16":       "// CRC16 returns the CRC-16/XMODEM of buf.\nfunc CRC16(buf []byte) uint16 { return hashslot.Checksum(buf) }",
					"ClusterSlot": "// ClusterSlot returns the hash slot of the key.\nfunc ClusterSlot(key []byte) uint16 { return uint16(hashslot.OfBytes(key)) }",
				},
			},
		},
	},
	{
		name: "go-redis", path: "github.com/redis/go-redis/v9", version: "v9.23.0",
		tests:  []string{"-run", "^Test(Slot|RouteByLatency|LazyReload|NewClusterState|NodeAddress|PickArbitraryNode|ClusterMaintNotifications_S|ClusterNodeHook)", ".", "./internal/hashtag"},
		fewest: 42,
		files: map[string]file{
			"internal/hashtag/hashtag.go": {
				imports: []string{module, module + "/hashtag"},
				without: []string{"strings"},
				decls: map[string]string{
					"crc16tab": "",
					"crc16sum": "func crc16sum(key string) (crc uint16) { return hashslot.ChecksumString(key) }",
					"Key":      "func Key(key string) string { return hashtag.Of(key) }",
					"Present":  "func Present(key string) bool { _, _, ok := hashtag.Find(key); return ok }",
					"Slot": `// Slot returns the hash slot of key, and a random one for an empty key.
func Slot(key string) int {
	if key == "" {
		return RandomSlot()
	}
	return int(hashslot.Of(key))
}`,
				},
			},
			"osscluster.go": {
				imports: []string{module, module + "/slotmap"},
				without: []string{"sort"},
				fields:  map[string]string{"clusterState": "	once sync.Once\n	table *slotmap.Table[*clusterSlot]"},
				decls: map[string]string{
					"clusterState.slotEntry": `func (c *clusterState) slotEntry(slot int) *clusterSlot {
	c.once.Do(func() {
		var b slotmap.Builder[*clusterSlot]
		for _, x := range c.slots {
			b.Assign(slotmap.Range{First: hashslot.Slot(x.start), Last: hashslot.Slot(x.end)}, x)
		}
		c.table = b.Build()
	})
	x, _ := c.table.Lookup(hashslot.Slot(slot))
	return x
}`,
				},
			},
		},
	},
	{
		name: "valkey-go", path: "github.com/valkey-io/valkey-go", version: "v1.0.79",
		tests:  []string{"./internal/cmds"},
		fewest: 51,
		left:   "internal/cmds/gen_*_test.go", // a megabyte of generated calls; none checks a slot
		files: map[string]file{
			"internal/cmds/slot.go": {
				imports: []string{module},
				decls: map[string]string{
					"slot":     "func slot(key string) uint16 { return uint16(hashslot.Of(key)) }",
					"crc16tab": "",
					"crc16":    "func crc16(key string) uint16 { return hashslot.ChecksumString(key) }",
				},
			},
		},
	},
	{
		name: "miniredis", path: "github.com/alicebob/miniredis/v2", version: "v2.40.0",
		tests:  []string{"-run", "Cluster", "."},
		fewest: 5,
		files: map[string]file{
			"cmd_cluster.go": {
				imports: []string{module},
				decls: map[string]string{
					"Miniredis.cmdClusterKeySlot": `// CLUSTER KEYSLOT
func (m *Miniredis) cmdClusterKeySlot(c *server.Peer, cmd string, args []string) {
	withTx(m, c, func(c *server.Peer, ctx *connCtx) {
		if len(args) != 2 {
			c.WriteError("ERR wrong number of arguments for 'cluster|keyslot' command")
			return
		}
		c.WriteInt(int(hashslot.Of(args[1])))
	})
}`,
				},
			},
		},
		policy: map[string]policy{
			" TestCluster":         {"a test that holds its subtest keyslot", ""},
			" TestCluster/keyslot": {"it expects slot 163 for {test_key}, as miniredis answers for every key; servers answer 15118", "15118"},
		},
	},
}
