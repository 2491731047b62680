package goredis_test

import (
	"testing"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/interop/goredis"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap/command"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestKey(t *testing.T) {
	for _, c := range []struct {
		args []any
		key  string
	}{
		{[]any{"get", "a"}, "a"},
		{[]any{"SET", []byte("b"), 1}, "b"},
		{[]any{"eval", "return 1", 2, "{a}1", "{a}2", "x"}, "{a}1"},
		{[]any{"xread", "count", 1, "streams", "s", 0}, "s"},
		{[]any{"object", "encoding", "o"}, "o"},
		{[]any{"ping"}, ""},
	} {
		key, err := goredis.Key(redis.NewCmd(t.Context(), c.args...))
		require.NoError(t, err, c.args)
		assert.Equal(t, c.key, key, c.args)
	}
	for _, args := range [][]any{{"mget", "a", "b"}, {"rename", "a", "b"}, {"getx", "a"}, {"get"}, {"xread", "streamz", "s", 0}} {
		key, err := goredis.Key(redis.NewCmd(t.Context(), args...))
		assert.Error(t, err, args)
		assert.Empty(t, key)
	}
	_, err := goredis.Key(redis.NewCmd(t.Context(), "rename", "a", "b"))
	assert.ErrorIs(t, err, hashslot.ErrCrossSlot)
	_, err = goredis.Key(redis.NewCmd(t.Context(), "getx", "a"))
	assert.ErrorIs(t, err, command.ErrUnknown)
}

// A pipeline of commands whose keys are in different places is divided by them: no
// node answers MOVED.
func TestKeysLive(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		ctx := t.Context()
		c := s.Three(t, 0)
		fed := goredis.New(redis.ClusterOptions{Addrs: c.Addrs()})
		defer fed.Close()
		require.ErrorIs(t, fed.Get(ctx, "none").Err(), redis.Nil) // now it has the map
		var cmds []redis.Cmder
		for i := range 300 {
			k := key(i)
			cmds = append(cmds,
				redis.NewCmd(ctx, "set", k, i),
				redis.NewCmd(ctx, "eval", "return redis.call('GET', KEYS[1])", 1, k),
				redis.NewCmd(ctx, "xadd", "{"+k+"}s", "1-1", "f", "v"),
				redis.NewCmd(ctx, "xread", "count", 1, "streams", "{"+k+"}s", "0"),
				redis.NewCmd(ctx, "object", "encoding", k))
		}
		unknown := redis.NewCmd(ctx, "getx", "a")
		fed.Pipeline(ctx, append(cmds, unknown))
		require.ErrorIs(t, unknown.Err(), command.ErrUnknown)
		for i, cmd := range cmds {
			require.NoError(t, cmd.Err(), "%v", cmds[i].Args())
		}
		assert.Zero(t, c.Errors("MOVED"))
	})
}
