package interop_test

import (
	"strconv"
	"testing"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/adapter/redigo"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// CLUSTERSCAN walks over a whole cluster by the cursors of Router.Scan, and continues
// after a failover in the middle of a slot.
func TestClusterScan(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		if s.Name != "valkey" || !s.AtLeast(9, 1) {
			return // it has no CLUSTERSCAN
		}
		c, _ := create(t, s, 6, 1, servers.Config{})
		cl := client(t, c)
		want := map[string]bool{}
		set := func(key string) {
			want[key] = true
			require.NoError(t, cl.Do(redigo.Command{"SET", key, "v"}).Err)
		}
		for i := range 1000 {
			set("key:" + strconv.Itoa(i))
			set("{many}" + strconv.Itoa(i))
		}
		many := hashslot.Of("{many}")

		// ask sends the cursor to where it belongs, and returns the next one.
		ask := func(cursor topology.ScanCursor) (keys []string, next topology.ScanCursor, more bool) {
			for range 100 {
				shard, cursor, seen := cl.Router.Scan(cursor)
				require.NotNil(t, shard)
				reply, err := redis.Values(c.At(shard.Primary.Addr()).Do("CLUSTERSCAN", cursor.String(), "COUNT", "50"))
				if err != nil && topology.Classify(err.Error()) == topology.ActionMoved {
					rd, err := topology.ParseRedirect(err.Error(), topology.Origin{Addr: shard.Primary.Addr()})
					require.NoError(t, err)
					cl.Router.Moved(rd, shard.Primary, seen)
					continue
				}
				require.NoError(t, err, cursor)
				text, err := redis.String(reply[0], nil)
				require.NoError(t, err)
				keys, err = redis.Strings(reply[1], nil)
				require.NoError(t, err)
				next, more, err = topology.ParseScanCursor(text)
				require.NoError(t, err, text)
				return keys, next, more
			}
			t.Fatal("the cursor comes to no node")
			return nil, next, false
		}
		walk := func(from topology.ScanCursor, within func(topology.ScanCursor) bool, during func(topology.ScanCursor)) map[string]int {
			got := map[string]int{}
			for cursor, more := from, true; more && within(cursor); {
				var keys []string
				keys, cursor, more = ask(cursor)
				for _, k := range keys {
					got[k]++
				}
				during(cursor)
			}
			return got
		}
		everywhere := func(topology.ScanCursor) bool { return true }
		nothing := func(topology.ScanCursor) {}
		check := func(got map[string]int, once bool) {
			t.Helper()
			assert.Len(t, got, len(want))
			for k, n := range got {
				assert.True(t, want[k], k)
				assert.True(t, !once || n == 1, "%s: %d times", k, n)
			}
		}
		check(walk(topology.ScanAt(0), everywhere, nothing), true)

		// A walk for each range. These walks could run at the same time.
		all := map[string]int{}
		table, _ := cl.Router.Table()
		for r := range table.Ranges() {
			inside := func(c topology.ScanCursor) bool { return r.Contains(c.Slot()) }
			for k, n := range walk(topology.ScanAt(r.First), inside, nothing) {
				all[k] += n
			}
		}
		check(all, true)

		// The owner changes while the walk is in the slot that has many keys. The walk
		// continues with the same cursor, and misses no key.
		failed := false
		got := walk(topology.ScanAt(0), everywhere, func(cursor topology.ScanCursor) {
			if failed || cursor.Slot() != many || !cursor.Begun() {
				return
			}
			failed = true
			shard, _ := cl.Router.For(many)
			heir := shard.Replicas[0]
			c.At(heir.Addr()).String("CLUSTER", "FAILOVER")
			c.Wait("the replica has taken over", func() bool {
				view, err := c.At(shard.Primary.Addr()).View()
				return err == nil && view.Myself().Role == topology.RoleReplica
			})
		})
		assert.True(t, failed)
		check(got, false)
		shard, _ := cl.Router.For(many)
		assert.NotNil(t, shard)
	})
}
