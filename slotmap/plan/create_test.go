package plan

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

func hostsOf(addrs ...string) []Host {
	hosts := make([]Host, len(addrs))
	for i, a := range addrs {
		hosts[i].Addr = a
	}
	return hosts
}

func TestCreateSharesAreExact(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 7, 77, 78, 100, 1000, 4096, 16383, 16384} {
		var hosts []Host
		for i := range n {
			hosts = append(hosts, Host{Addr: fmt.Sprintf("h%d:1", i)})
		}
		start := time.Now()
		l, err := Create(hosts, 0)
		require.NoError(t, err)
		t.Log(n, time.Since(start))
		require.Len(t, l.Shards, n)
		var all slotmap.Set
		least, most := hashslot.Count, 0
		for _, s := range l.Shards {
			require.True(t, all.Intersect(s.Slots).IsEmpty())
			all = all.Union(s.Slots)
			least, most = min(least, s.Slots.Len()), max(most, s.Slots.Len())
		}
		require.Equal(t, hashslot.Count, all.Len())
		require.LessOrEqual(t, most-least, 1)
	}
}
func TestTmp(t *testing.T) {
	for n := 1; n <= 16384; n++ {
		ls := compatAllot(n)
		prev := -1
		for _, l := range ls {
			if int(l) <= prev || l > 16383 {
				t.Log(n, l, prev)
				break
			}
			prev = int(l)
		}
		_ = prev
	}
	var hosts []Host
	for i := range 3000 {
		hosts = append(hosts, Host{Addr: fmt.Sprintf("h%d:1", i), Zone: fmt.Sprint(i * i % 5)})
	}
	s := time.Now()
	l, err := Create(hosts, 2)
	t.Log(time.Since(s), err, l.Warnings)
	h := hostsOf("a:1", "a:2", "b:1", "b:2", "c:1", "c:2")
	l, _ = Create(h, 1)
	t.Log(l.Summary())
	l, _ = Create(hostsOf("a:1", "b:1", "c:1", "a:2", "b:2", "c:2"), 1)
	t.Log(l.Summary())
	l, _ = Create(hostsOf("a:1", "b:1", "a:2", "b:2"), 1)
	t.Log(l.Summary())
	l, _ = Create(hostsOf("a:1", "a:2", "a:3", "a:4", "b:2", "b:2"), 1)
	t.Log(l.Summary())
	l, _ = Create([]Host{{"a:1", "", "z1"}, {"b:1", "", "z1"}, {"c:1", "", "z2"}, {"d:1", "", "z2"}, {"e:1", "", "z3"}, {"f:1", "", "z3"}, {"g:1", "", "z3"}}, 1)
	t.Log(l.Summary())
}

var _ = rand.New
var _ = strings.Cut
