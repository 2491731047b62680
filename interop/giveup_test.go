package interop_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/adapter/redigo"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Two nodes redirect every command to each other, without end. No client returns a MOVED
// to its caller, and each gives up.
func TestGivesUp(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("100 tries, with their pauses")
	}
	var nodes [2]*arguing
	for i := range nodes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		nodes[i] = &arguing{port: l.Addr().(*net.TCPAddr).Port, id: strings.Repeat(strconv.Itoa(i), 40)}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go nodes[i].serve(conn)
			}
		}()
	}
	nodes[0].other.Store(nodes[1])
	nodes[1].other.Store(nodes[0])
	var wg sync.WaitGroup
	for name, st := range stores(t, []string{fmt.Sprint("127.0.0.1:", nodes[0].port)}, time.Second) {
		wg.Go(func() {
			for _, reply := range st.Pipeline([]redigo.Command{{"SET", name, "1"}, {"GET", name + "2"}}) {
				assert.ErrorIs(t, reply.Err, redigo.ErrGaveUp, name)
				assert.ErrorContains(t, reply.Err, "MOVED", name)
			}
		})
		if s, ok := st.(goredisStore); ok { // it sends these commands one by one
			wg.Go(func() {
				err := s.Get(t.Context(), "k").Err()
				assert.ErrorContains(t, err, "gave up after 100 tries: MOVED")
			})
		}
	}
	wg.Wait()
	const once, goRedis = 100, 100 * 4 // go-redis follows 3 redirects at each try
	for name, n := range map[string]int64{"SET": 2*once + goRedis, "GET": 2*once + 2*goRedis} {
		assert.Equal(t, n, nodes[0].moved(name)+nodes[1].moved(name), name)
	}
}

// In its own view an arguing node owns all slots, but it redirects each command to the
// other node.
type arguing struct {
	port  int
	id    string
	other atomic.Pointer[arguing]
	count sync.Map // name of a command -> *atomic.Int64
}

func (n *arguing) moved(name string) int64 {
	count, _ := n.count.LoadOrStore(name, new(atomic.Int64))
	return count.(*atomic.Int64).Load()
}

func (n *arguing) serve(conn net.Conn) {
	defer conn.Close()
	for r := bufio.NewReader(conn); ; {
		var args []string
		length := func() (number int) { // of "*2" or "$5"
			line, _ := r.ReadString('\n')
			if len(line) > 3 {
				number, _ = strconv.Atoi(line[1 : len(line)-2])
			}
			return number
		}
		for range length() {
			arg := make([]byte, length()+2)
			if _, err := io.ReadFull(r, arg); err != nil {
				return
			}
			args = append(args, string(arg[:len(arg)-2]))
		}
		if len(args) == 0 {
			return
		}
		if _, err := io.WriteString(conn, n.answer(strings.ToUpper(args[0]), args)); err != nil {
			return
		}
	}
}

func (n *arguing) answer(name string, args []string) string {
	switch name {
	case "HELLO":
		return "%2\r\n+version\r\n+9.0.0\r\n+proto\r\n:3\r\n"
	case "COMMAND":
		return "*0\r\n"
	case "SET", "GET":
		count, _ := n.count.LoadOrStore(name, new(atomic.Int64))
		count.(*atomic.Int64).Add(1)
		return fmt.Sprintf("-MOVED %d 127.0.0.1:%d\r\n", hashslot.Of(args[1]), n.other.Load().port)
	case "CLUSTER":
		if strings.EqualFold(args[1], "SLOTS") {
			return fmt.Sprintf("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:%d\r\n$40\r\n%s\r\n", n.port, n.id)
		}
		o := n.other.Load()
		text := fmt.Sprintf("%s 127.0.0.1:%d@%d myself,master - 0 0 1 connected 0-16383\n%s 127.0.0.1:%d@%d master - 0 0 1 connected\n",
			n.id, n.port, n.port, o.id, o.port, o.port)
		return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text)
	}
	return "+OK\r\n"
}
