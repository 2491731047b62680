package interop_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/adapter/redigo"
	"github.com/hashslot/hashslot/interop/internal/servers"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
	"github.com/stretchr/testify/require"
)

// A checker writes and reads the keys of a cluster and notices every wrong answer. A key
// has one writer, which counts it up. So a read returns at least the number that was
// acknowledged when the read began, and at most the number that was tried when it ended.
// A command whose connection broke may or may not have been executed.
//
// A value contains its key, so a value of another key shows an answer from a wrong slot.
// So does an error that only a node without the slot gives. A client must never return
// such an error.
//
// Keys come in pairs that share a tag, for commands with two keys.
type checker struct {
	client  store
	keys    []string
	acked   []atomic.Int64 // by key
	tried   []atomic.Int64 // by key
	done    atomic.Int64   // operations with an answer
	doubt   atomic.Int64   // operations without an answer
	refused atomic.Int64   // operations that the client gave up because the cluster was down
	slots   atomic.Int64   // answers from a wrong slot
	missing atomic.Int64   // lost acknowledged writes
	losses  atomic.Int64   // calls of losing and found
	lost    atomic.Pointer[slotmap.Set]
	stopped atomic.Bool
	wg      sync.WaitGroup

	mu    sync.Mutex
	wrong []string
}

func newChecker(client store, pairs int) *checker {
	c := &checker{client: client, acked: make([]atomic.Int64, 2*pairs), tried: make([]atomic.Int64, 2*pairs)}
	for i := range pairs {
		c.keys = append(c.keys, fmt.Sprintf("{pair%d}a", i), fmt.Sprintf("{pair%d}b", i))
	}
	return c
}

func (c *checker) fail(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

// answered counts an operation, and reports whether it has an answer to check.
func (c *checker) answered(key string, err error) bool {
	var refused redis.Error
	switch {
	case err == nil:
		c.done.Add(1)
		return true
	case errors.As(err, &refused):
		switch topology.Classify(string(refused)) {
		case topology.ActionRefresh, topology.ActionOtherNode:
			if errors.Is(err, redigo.ErrGaveUp) {
				c.refused.Add(1)
				return false
			}
		case topology.ActionMoved, topology.ActionAsk, topology.ActionRetry, topology.ActionFail:
			c.slots.Add(1)
		}
		c.fail("%s: %v", key, err)
	default:
		c.doubt.Add(1)
	}
	return false
}

// losing declares that acknowledged writes to these slots may be lost, because their
// primary will be killed or paused: replication is asynchronous, and the cluster does not
// promise to keep writes that the replica does not have yet. Such writes do not count
// until found is called. All other writes count, through kills and pauses of other
// primaries, failovers that the primary agrees to, and moves of slots.
func (c *checker) losing(slots slotmap.Set) {
	c.lost.Store(&slots)
	c.losses.Add(1)
}

// found declares that a replica has taken over: the writes that it has must not be lost
// again.
func (c *checker) found() {
	var which []int
	var commands []redigo.Command
	for i := range c.keys {
		if c.mayLose(i) {
			which, commands = append(which, i), append(commands, redigo.Command{"GET", c.keys[i]})
		}
	}
	for k, reply := range c.client.Pipeline(commands) {
		if c.answered(c.keys[which[k]], reply.Err) {
			c.acked[which[k]].Store(c.number(which[k], reply.Value))
		} else {
			c.acked[which[k]].Store(0) // its value is not known
		}
	}
	c.losses.Add(1)
	c.lost.Store(nil)
}

func (c *checker) mayLose(i int) bool {
	lost := c.lost.Load()
	return lost != nil && lost.Contains(hashslot.Of(c.keys[i]))
}

// value is the text that key i is set to, and number reads it back.
func (c *checker) value(i int, n int64) string { return c.keys[i] + " " + strconv.FormatInt(n, 10) }

func (c *checker) number(i int, value any) int64 {
	if value == nil {
		return 0
	}
	key, text, _ := strings.Cut(string(value.([]byte)), " ")
	n, err := strconv.ParseInt(text, 10, 64)
	if key != c.keys[i] || err != nil {
		c.slots.Add(1)
		c.fail("%s has the value %q", c.keys[i], value)
	}
	return n
}

const inPipeline = 50

// write writes all keys once.
func (c *checker) write() {
	for i := 0; i < len(c.keys); i += inPipeline {
		var which []int
		for k := i; k < min(i+inPipeline, len(c.keys)); k++ {
			which = append(which, k)
		}
		c.set(which)
	}
}

// set counts different keys up.
func (c *checker) set(which []int) {
	losses := c.losses.Load()
	commands, values := make([]redigo.Command, len(which)), make([]int64, len(which))
	for k, i := range which {
		values[k] = c.tried[i].Add(1)
		commands[k] = redigo.Command{"SET", c.keys[i], c.value(i, values[k])}
	}
	for k, reply := range c.client.Pipeline(commands) {
		// An acknowledgement from a node that has been killed since does not count.
		if c.answered(c.keys[which[k]], reply.Err) && c.losses.Load() == losses {
			c.acked[which[k]].Store(values[k])
		}
	}
}

// get reads keys. If pairs is true, it reads them two by two, and which has the first of
// each pair.
func (c *checker) get(which []int, pairs bool) {
	losses := c.losses.Load()
	commands, least := make([]redigo.Command, len(which)), make([][2]int64, len(which))
	for k, i := range which {
		commands[k] = redigo.Command{"GET", c.keys[i]}
		least[k][0] = c.acked[i].Load()
		if pairs {
			commands[k] = redigo.Command{"MGET", c.keys[i], c.keys[i+1]}
			least[k][1] = c.acked[i+1].Load()
		}
	}
	for k, reply := range c.client.Pipeline(commands) {
		if !c.answered(c.keys[which[k]], reply.Err) {
			continue
		}
		values := []any{reply.Value}
		if pairs {
			values = reply.Value.([]any)
		}
		for m, value := range values {
			i := which[k] + m
			least, most := least[k][m], c.tried[i].Load()
			if c.mayLose(i) || c.losses.Load() != losses {
				least = 0
			}
			if got := c.number(i, value); got < least || got > most {
				if got < least {
					c.missing.Add(1)
				}
				c.fail("%s is %d, and not %d to %d", c.keys[i], got, least, most)
			}
		}
	}
}

// start runs two writers and two readers until finish is called. Each waits for pause
// after every pipeline, because the servers share the same few cores.
func (c *checker) start(pause time.Duration) {
	const writers, readers = 2, 2 // writer w has the keys whose index modulo writers is w
	for w := range writers {
		c.wg.Go(func() {
			own := len(c.keys) / writers
			for !c.stopped.Load() {
				which := make([]int, 1+rand.IntN(min(inPipeline, own)))
				for k, first := 0, rand.IntN(own); k < len(which); k++ {
					which[k] = (first+k)%own*writers + w
				}
				c.set(which)
				time.Sleep(pause)
			}
		})
	}
	for range readers {
		c.wg.Go(func() {
			for !c.stopped.Load() {
				which, pairs := make([]int, 1+rand.IntN(inPipeline)), rand.IntN(2) == 0
				for k := range which {
					if which[k] = rand.IntN(len(c.keys)); pairs {
						which[k] &^= 1
					}
				}
				c.get(which, pairs)
				time.Sleep(pause)
			}
		})
	}
}

// finish stops the writers and readers, reads all keys, and fails if anything was
// wrong.
func (c *checker) finish(t *testing.T) {
	t.Helper()
	c.stopped.Store(true)
	ended := make(chan struct{})
	go func() { c.wg.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(60 * time.Second):
		t.Fatal("a command does not come to an end")
	}
	for i := range c.keys {
		c.get([]int{i}, false)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Empty(t, c.wrong[:min(20, len(c.wrong))], "%d answers of %d were wrong", len(c.wrong), c.done.Load())
}

// The checker itself must notice a lost key and a lost write.
func TestChecker(t *testing.T) {
	servers.Each(t, func(t *testing.T, s servers.Server) {
		c := s.Three(t, 0)
		cl := client(t, c)
		check := newChecker(redigoStore{cl}, 50)
		check.write()
		check.write()
		check.get([]int{0, 2, 4}, true)
		require.Empty(t, check.wrong)
		require.NoError(t, cl.Do(redigo.Command{"DEL", check.keys[3]}).Err)
		require.NoError(t, cl.Do(redigo.Command{"SET", check.keys[5], check.value(5, 1)}).Err)
		require.NoError(t, cl.Do(redigo.Command{"SET", check.keys[7], check.value(7, 3)}).Err)
		require.NoError(t, cl.Do(redigo.Command{"SET", check.keys[9], check.value(8, 2)}).Err)
		check.get([]int{2, 4, 6, 8}, true)
		check.answered("k", redis.Error("MOVED 1 h:1"))
		check.answered("k", redis.Error("CLUSTERDOWN x"))
		check.answered("k", asGivenUp("CLUSTERDOWN x", true))
		check.answered("k", asGivenUp("MOVED 1 h:1", true))
		check.answered("k", errors.New("EOF"))
		require.Equal(t, []string{
			"{pair1}b is 0, and not 2 to 2",
			"{pair2}b is 1, and not 2 to 2",
			"{pair3}b is 3, and not 2 to 2",
			`{pair4}b has the value "{pair4}a 2"`,
			"k: MOVED 1 h:1",
			"k: CLUSTERDOWN x",
			"k: redigo: gave up after 100 tries: MOVED 1 h:1",
		}, check.wrong)
		require.EqualValues(t, 3, check.slots.Load())
		require.EqualValues(t, 1, check.refused.Load())
		require.EqualValues(t, 2, check.missing.Load())
		require.EqualValues(t, 1, check.doubt.Load())
	})
}
