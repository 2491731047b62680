// Package paper connects clients that speak RESP to a cluster of plantest, for the
// examples of the adapters.
package paper

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/hashslot/hashslot/slotmap/plan/plantest"
)

// Dial returns a connection to the node of the cluster that has the address, which
// speaks RESP2. It ends when either side closes it, or when the node is killed.
func Dial(cluster *plantest.Cluster, addr string) (net.Conn, error) {
	node, err := cluster.Dial(addr)
	if err != nil {
		return nil, err
	}
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		r, w := bufio.NewReader(server), bufio.NewWriter(server)
		for {
			command, err := read(r)
			if err != nil {
				return
			}
			reply, err := node.Do(command...)
			if errors.Is(err, plantest.ErrGone) {
				return
			}
			write(w, reply, err)
			// A pipe holds nothing: a client that is still writing does not read.
			if r.Buffered() == 0 && w.Flush() != nil {
				return
			}
		}
	}()
	return client, nil
}

// read returns a command: an array of bulk strings.
func read(r *bufio.Reader) ([]string, error) {
	var n int
	if _, err := fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
		return nil, err
	}
	command := make([]string, n)
	for i := range command {
		var size int
		if _, err := fmt.Fscanf(r, "$%d\r\n", &size); err != nil {
			return nil, err
		}
		text := make([]byte, size+2)
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, err
		}
		command[i] = string(text[:size])
	}
	return command, nil
}

func write(w io.Writer, reply any, err error) {
	switch reply := reply.(type) {
	case string:
		fmt.Fprintf(w, "$%d\r\n%s\r\n", len(reply), reply)
	case int64:
		fmt.Fprintf(w, ":%d\r\n", reply)
	case []any:
		fmt.Fprintf(w, "*%d\r\n", len(reply))
		for _, element := range reply {
			write(w, element, nil)
		}
	default:
		if err != nil {
			fmt.Fprintf(w, "-%s\r\n", err)
		} else {
			fmt.Fprint(w, "$-1\r\n")
		}
	}
}
