package interop_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot/adapter/goredis"
	"github.com/hashslot/hashslot/adapter/redigo"
	"github.com/hashslot/hashslot/adapter/valkeygo"
	"github.com/hashslot/hashslot/slotmap/topology"
	goredisv9 "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/valkey-io/valkey-go"
)

// A store is one of the three clients, in the form that a checker uses. Values and errors
// are those of redigo: errors of servers have the type redis.Error, and a command that was
// tried too often has the error redigo.ErrGaveUp.
type store interface {
	Pipeline(commands []redigo.Command) []redigo.Reply
	router() *topology.Router
	views() int64 // the number of requests for a view
}

type redigoStore struct{ *redigo.Client }

func (s redigoStore) router() *topology.Router { return &s.Router }
func (s redigoStore) views() int64             { return s.Views.Load() }

type goredisStore struct{ *goredis.Client }

func (s goredisStore) router() *topology.Router { return &s.Router }
func (s goredisStore) views() int64             { return s.Views.Load() }

func (s goredisStore) Pipeline(commands []redigo.Command) []redigo.Reply {
	ctx := context.Background()
	pipe, cmds := s.Client.Pipeline(), make([]goredisv9.Cmder, len(commands))
	for i, c := range commands {
		cmds[i] = pipe.Do(ctx, c...)
	}
	pipe.Exec(ctx) // its error is that of one of the commands
	replies := make([]redigo.Reply, len(cmds))
	for i, cmd := range cmds {
		value, err := cmd.(*goredisv9.Cmd).Result()
		var refused goredisv9.Error
		switch {
		case errors.Is(err, goredisv9.Nil):
			err = nil
		case errors.As(err, &refused):
			err = asGivenUp(redis.Error(refused.Error()), errors.Is(err, goredis.ErrGaveUp))
		}
		replies[i] = redigo.Reply{Value: asRedigo(value), Err: err}
	}
	return replies
}

type valkeyStore struct{ *valkeygo.Client }

func (s valkeyStore) router() *topology.Router { return &s.Router }
func (s valkeyStore) views() int64             { return s.Views.Load() }

func (s valkeyStore) Pipeline(commands []redigo.Command) []redigo.Reply {
	completed := make([]valkey.Completed, len(commands))
	for i, c := range commands {
		words := s.B().Arbitrary()
		for _, arg := range c {
			words = words.Args(arg.(string))
		}
		completed[i] = words.Build()
	}
	replies := make([]redigo.Reply, len(commands))
	for i, result := range s.DoMulti(context.Background(), completed...) {
		value, err := result.ToAny()
		var refused *valkey.ValkeyError
		if errors.As(err, &refused) { // or wrapped
			err = asGivenUp(redis.Error(refused.Error()), errors.Is(err, valkeygo.ErrGaveUp))
			if refused.IsNil() {
				err = nil
			}
		}
		replies[i] = redigo.Reply{Value: asRedigo(value), Err: err}
	}
	return replies
}

// asGivenUp returns redigo's form of the error of a refused command.
func asGivenUp(refused redis.Error, gaveUp bool) error {
	if gaveUp {
		return fmt.Errorf("%w: %w", redigo.ErrGaveUp, refused)
	}
	return refused
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// asRedigo returns texts as bytes, like redigo.
func asRedigo(value any) any {
	switch v := value.(type) {
	case string:
		return []byte(v)
	case []any:
		for i := range v {
			v[i] = asRedigo(v[i])
		}
	}
	return value
}

// stores returns the three clients of a cluster, by name. They wait for a paused node for
// timeout.
func stores(t *testing.T, seeds []string, timeout time.Duration) map[string]store {
	t.Helper()
	fromRedigo := &redigo.Client{
		Dial: func(addr string) (redis.Conn, error) {
			return redis.Dial("tcp", addr, redis.DialConnectTimeout(time.Second), redis.DialReadTimeout(timeout), redis.DialWriteTimeout(timeout))
		},
		Refresher: topology.Refresher{Seeds: seeds},
	}
	require.NoError(t, fromRedigo.Refresh())
	goredisv9.SetLogger(silent{}) // it logs each node that it cannot reach
	fed := goredis.New(goredisv9.ClusterOptions{Addrs: seeds, DialTimeout: time.Second, ReadTimeout: timeout, WriteTimeout: timeout})
	t.Cleanup(func() { fed.Close() })
	require.NoError(t, fed.Ping(t.Context()).Err())
	opt := valkey.ClientOption{InitAddress: seeds, DisableCache: true, ConnWriteTimeout: timeout}
	opt.Dialer.Timeout = time.Second
	routed, err := valkeygo.New(t.Context(), opt)
	require.NoError(t, err)
	t.Cleanup(routed.Close)
	return map[string]store{"redigo": redigoStore{fromRedigo}, "go-redis": goredisStore{fed}, "valkey-go": valkeyStore{routed}}
}
