package interop_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/adapter/redigo"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/stretchr/testify/assert"
)

// A primary is killed while seven goroutines of each client use all slots, also those of
// the primary. Until all of them use the replica that takes over, each client asks for at
// most five views: before the cluster has noticed the failure, no view can show it.
func TestOutage(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c, _ := create(t, s, 6, 1, servers.Config{})
		all := stores(t, c.Addrs(), time.Second)
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for name, st := range all {
			for g := range 7 {
				wg.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						case <-time.After(2 * time.Millisecond):
						}
						slot := hashslot.Slot(i * 37 % hashslot.Count)
						if i%2 == 0 {
							slot = hashslot.Slot(i % 100) // of the first shard
						}
						st.Pipeline([]redigo.Command{{"SET", fmt.Sprintf("%s%d{%s}", name, g, slot.Tag()), "1"}})
					}
				})
			}
		}
		time.Sleep(time.Second)
		lost, _ := all["redigo"].router().For(0)
		heir := lost.Replicas[0].ID
		before := map[string]int64{}
		for name, st := range all {
			before[name] = st.views()
		}
		c.At(lost.Primary.Addr()).Kill()
		killed := time.Now()
		took, views := map[string]time.Duration{}, map[string]int64{}
		c.Wait("all clients use the replica", func() bool {
			for name, st := range all {
				if shard, _ := st.router().For(0); took[name] == 0 && shard != nil && shard.Primary.ID == heir {
					took[name], views[name] = time.Since(killed), st.views()-before[name]
				}
			}
			return len(took) == len(all)
		})
		c.Wait("the heir has all slots", func() bool {
			view, err := c.At(all["redigo"].router().Node(heir).Addr()).View()
			return err == nil && view.Myself().Role == topology.RolePrimary
		})
		for name := range all {
			t.Logf("%s: %d views; after %.1f s it uses the replica", name, views[name], took[name].Seconds())
			assert.LessOrEqual(t, views[name], int64(5), name)
		}
		close(stop)
		wg.Wait()
	})
}
