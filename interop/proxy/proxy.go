// Package proxy shows the byte path of a proxy: commands are cut out of what the
// client sends, divided by owner, and forwarded as the bytes they are. No string
// is made of a key, and, once memory has grown to the size of a batch, routing
// does not allocate. It is an example, to be copied and changed: it is for
// commands whose first argument is their only key.
package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

const (
	maxBatch  = 256       // commands that are forwarded at once
	maxLength = 512 << 20 // of an argument, as the servers' proto-max-bulk-len
	maxTries  = 16        // redirects of one command
)

// A Proxy forwards commands to the nodes that own their keys.
type Proxy struct {
	Router *topology.Router
	Dial   func(addr string) (net.Conn, error)
	// Refresh is called when the Router wants a view. It may return before the
	// view is applied.
	Refresh func()
}

// A backend is a connection to a node.
type backend struct {
	net.Conn
	r *bufio.Reader
}

// A Session is what one client's connection needs. Its memory is used again for
// each batch.
type Session struct {
	p        *Proxy
	backends map[string]backend
	splitter slotmap.OwnerSplitter[*topology.Shard]
	raw      []byte   // the commands as they came
	ends     []int    // of the commands in raw
	keyAt    [][2]int // where their keys are in raw
	keys     [][]byte
	replies  [][]byte
}

// NewSession returns a session.
func (p *Proxy) NewSession() *Session {
	return &Session{p: p, backends: map[string]backend{}}
}

// Serve forwards the commands of a client until it hangs up.
func (p *Proxy) Serve(client net.Conn) error {
	defer client.Close()
	s := p.NewSession()
	defer func() {
		for _, b := range s.backends {
			b.Close()
		}
	}()
	r := bufio.NewReader(client)
	for {
		if err := s.Read(r); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.forward(); err != nil {
			return err
		}
		if _, err := (*net.Buffers)(&s.replies).WriteTo(client); err != nil {
			return err
		}
	}
}

// Read reads a batch of commands: one, and all that have come with it.
func (s *Session) Read(r *bufio.Reader) (err error) {
	s.raw, s.ends, s.keyAt, s.keys = s.raw[:0], s.ends[:0], s.keyAt[:0], s.keys[:0]
	for len(s.ends) == 0 || r.Buffered() > 0 && len(s.ends) < maxBatch {
		from := len(s.raw)
		if s.raw, err = appendReply(s.raw, r); err != nil {
			return err
		}
		key, err := keyOf(s.raw[from:])
		if err != nil {
			return err
		}
		s.ends = append(s.ends, len(s.raw))
		s.keyAt = append(s.keyAt, [2]int{from + key[0], from + key[1]})
	}
	for _, at := range s.keyAt { // raw stays where it is from here on
		s.keys = append(s.keys, s.raw[at[0]:at[1]])
	}
	return nil
}

// Route divides the batch by the owners of its keys. The result is valid until
// the next call.
func (s *Session) Route() (groups []slotmap.OwnerGroup[*topology.Shard], unassigned []int, seen topology.Generation) {
	table, seen := s.p.Router.Table()
	groups, unassigned = s.splitter.SplitBytes(table, s.keys)
	return groups, unassigned, seen
}

func (s *Session) command(i int) []byte {
	from := 0
	if i > 0 {
		from = s.ends[i-1]
	}
	return s.raw[from:s.ends[i]]
}

// forward sends the batch and reads the replies.
func (s *Session) forward() error {
	s.replies = make([][]byte, len(s.ends))
	groups, unassigned, seen := s.Route()
	for _, g := range groups { // send to all before reading of any
		b, err := s.backend(g.Owner.Primary)
		if err != nil {
			return err
		}
		send := make(net.Buffers, 0, len(g.Keys))
		for _, i := range g.Keys {
			send = append(send, s.command(i))
		}
		if _, err := send.WriteTo(b); err != nil {
			return err
		}
	}
	for _, g := range groups {
		b, err := s.backend(g.Owner.Primary)
		if err != nil {
			return err
		}
		for _, i := range g.Keys {
			if s.replies[i], err = appendReply(nil, b.r); err != nil {
				return err
			}
		}
	}
	for _, g := range groups {
		for _, i := range g.Keys {
			if err := s.follow(i, g.Owner.Primary, seen); err != nil {
				return err
			}
		}
	}
	for _, i := range unassigned {
		s.replies[i] = []byte("-CLUSTERDOWN Hash slot not served\r\n")
	}
	return nil
}

func (s *Session) backend(n *topology.Node) (backend, error) {
	addr := n.Addr()
	if b, ok := s.backends[addr]; ok {
		return b, nil
	}
	conn, err := s.p.Dial(addr)
	if err != nil {
		if s.p.Router.Failed(n).Refresh {
			s.p.Refresh()
		}
		return backend{}, err
	}
	b := backend{conn, bufio.NewReader(conn)}
	s.backends[addr] = b
	return b, nil
}

// follow sends command i again as long as its reply is a redirect.
func (s *Session) follow(i int, node *topology.Node, seen topology.Generation) error {
	for range maxTries {
		if s.replies[i][0] != '-' {
			return nil
		}
		rd, err := topology.ParseRedirect(string(s.replies[i]), topology.Origin{Addr: node.Addr()})
		if err != nil || !rd.Routable() {
			return nil // the client's business
		}
		command := s.command(i)
		if rd.Kind == topology.Ask {
			node = s.p.Router.Asking(rd)
			command = append([]byte("*1\r\n$6\r\nASKING\r\n"), command...)
		} else {
			result := s.p.Router.Moved(rd, nil, seen)
			if result.Refresh {
				s.p.Refresh()
			}
			var shard *topology.Shard
			if shard, seen = s.p.Router.For(hashslot.OfBytes(s.keys[i])); shard != nil {
				node = shard.Primary
			}
		}
		b, err := s.backend(node)
		if err != nil {
			return err
		}
		if _, err := b.Write(command); err != nil {
			return err
		}
		if rd.Kind == topology.Ask { // the reply to ASKING
			if _, err := appendReply(nil, b.r); err != nil {
				return err
			}
		}
		if s.replies[i], err = appendReply(nil, b.r); err != nil {
			return err
		}
	}
	return nil
}

var errProtocol = errors.New("proxy: not RESP")

// appendReply appends the next RESP2 value, as it is, to dst. Commands are arrays
// of bulk strings.
func appendReply(dst []byte, r *bufio.Reader) ([]byte, error) {
	for values := 1; values > 0; values-- {
		line, err := r.ReadSlice('\n')
		if err != nil {
			if err == bufio.ErrBufferFull {
				err = fmt.Errorf("%w: a line of more than %d bytes", errProtocol, r.Size())
			}
			return dst, err
		}
		if dst = append(dst, line...); len(line) < 3 {
			return dst, fmt.Errorf("%w: %q", errProtocol, line)
		}
		switch line[0] {
		case '+', '-', ':':
			continue
		}
		n, err := length(line)
		if err != nil {
			return dst, err
		}
		switch line[0] {
		case '*':
			values += max(n, 0)
		case '$':
			if n >= 0 {
				from := len(dst)
				dst = slices.Grow(dst, min(n, 1<<20)+2)
				for left := n + 2; left > 0; { // memory grows with what has come
					part := min(left, 1<<20)
					dst = slices.Grow(dst, part)[:len(dst)+part]
					if _, err := io.ReadFull(r, dst[len(dst)-part:]); err != nil {
						return dst[:from], err
					}
					left -= part
				}
			}
		default:
			return dst, fmt.Errorf("%w: %q", errProtocol, line)
		}
	}
	return dst, nil
}

func length(line []byte) (int, error) {
	n := 0
	digits := bytes.TrimSuffix(line[1:], []byte("\r\n"))
	if string(digits) == "-1" {
		return -1, nil
	}
	for _, d := range digits {
		if d < '0' || d > '9' || n > maxLength {
			return 0, fmt.Errorf("%w: the length %q", errProtocol, digits)
		}
		n = n*10 + int(d-'0')
	}
	if len(digits) == 0 || n > maxLength {
		return 0, fmt.Errorf("%w: the length %q", errProtocol, digits)
	}
	return n, nil
}

// keyOf is where the first argument of a command is.
func keyOf(command []byte) (at [2]int, err error) {
	place := 0
	for field := range 3 { // the array, the name, the key
		i := bytes.IndexByte(command[place:], '\n')
		if i < 0 || command[0] != '*' || field > 0 && command[place] != '$' {
			return at, fmt.Errorf("%w: a command without a key", errProtocol)
		}
		n, err := length(command[place : place+i+1])
		if err != nil || n < 0 {
			return at, fmt.Errorf("%w: a command without a key: %s", errProtocol, strconv.Quote(string(command[:min(len(command), 40)])))
		}
		if place += i + 1; field > 0 {
			at = [2]int{place, place + n}
			place += n + 2
		}
		if place > len(command) || field < 2 && place == len(command) {
			return at, fmt.Errorf("%w: a command without a key", errProtocol)
		}
	}
	return at, nil
}
