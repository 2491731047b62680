package interop_test

import (
	"slices"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot/interop/executor"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap/plan"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/stretchr/testify/require"
)

// If nodes require a password, MIGRATE must authenticate at the target: with AUTH as the
// user default, with AUTH2 as another user. Without it no key moves.
func TestMigrateAuthenticates(t *testing.T) {
	const password, mover = "s3cret word", "mover's word"
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c := s.Three(t, 0)
		cl := client(t, c)
		check := newChecker(redigoStore{cl}, 2000)
		check.write()
		before := c.DBSize()
		for _, n := range c.Nodes {
			n.String("ACL", "SETUSER", "mover", "on", ">"+mover, "~*", "+@all")
			n.String("CONFIG", "SET", "requirepass", password)
		}
		dial := func(addr string) (redis.Conn, error) {
			return redis.Dial("tcp", addr, redis.DialPassword(password), redis.DialReadTimeout(30*time.Second))
		}
		// Each Auth continues where the one before failed.
		move := func(from, to int, auths ...plan.Auth) (errs []error) {
			conn, err := dial(c.Nodes[0].Addr())
			require.NoError(t, err)
			defer conn.Close()
			text, err := redis.String(conn.Do("CLUSTER", "NODES"))
			require.NoError(t, err)
			view, err := topology.ParseNodes(text, topology.Origin{})
			require.NoError(t, err)
			p, err := plan.Reshard(view, []string{c.Nodes[from].ID}, c.Nodes[to].ID, 30)
			require.NoError(t, err)
			steps, err := p.SetSlots(plan.SetSlotOptions{Replace: true})
			require.NoError(t, err)
			next := 0
			for _, auth := range auths {
				e := executor.Executor{Dial: dial, Auth: auth, Patience: 2 * time.Second, Reached: func(n int) error { next = n; return nil }}
				errs = append(errs, e.Run(t.Context(), slices.Collect(steps), next))
				e.Close()
			}
			return errs
		}
		require.Equal(t, []error{nil}, move(0, 1, plan.NewAuth("", password)))
		require.Equal(t, []error{nil}, move(1, 2, plan.NewAuth("mover", mover)))
		errs := move(2, 0, plan.Auth{}, plan.NewAuth("mover", password), plan.NewAuth("", password))
		require.ErrorContains(t, errs[0], "NOAUTH")
		require.ErrorContains(t, errs[1], "WRONGPASS")
		require.NotContains(t, errs[1].Error(), password)
		require.NoError(t, errs[2])

		for _, n := range c.Nodes {
			conn, err := dial(n.Addr())
			require.NoError(t, err)
			_, err = conn.Do("CONFIG", "SET", "requirepass", "")
			require.NoError(t, err)
			conn.Close()
		}
		c.Settle()
		require.Equal(t, before, c.DBSize())
		check.finish(t)
	})
}
