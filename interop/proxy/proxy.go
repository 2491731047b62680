// Package proxy shows the byte path of a proxy for clients that know nothing of clusters.
// It cuts commands out of the client's bytes, routes them by their keys, divides them where
// the servers allow it, and forwards them. The bytes of a command for one slot are
// forwarded unchanged: no key becomes a string, and routing does not allocate once memory
// has grown to the size of a batch. It is an example, to be copied and changed. It has
// neither commands with more than one reply (SUBSCRIBE, MONITOR) nor commands that go from
// node to node (SCAN).
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
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/command"
	"github.com/hashslot/hashslot/slotmap/topology"
)

const (
	maxBatch  = 256       // commands that are forwarded at once
	maxLength = 512 << 20 // of an argument: the default of the servers' proto-max-bulk-len
	maxTries  = 16        // redirects of one command
)

// A Proxy forwards commands to the nodes that own their keys.
type Proxy struct {
	Router *topology.Router
	Dial   func(addr string) (net.Conn, error)
	// Refresh is called when the Router wants a view. It may return before the
	// view is applied.
	Refresh func()
	// Commands has the commands of the servers, with those of their modules. nil means the
	// built-in table.
	Commands *command.Table
}

// A backend is a connection to a node.
type backend struct {
	net.Conn
	r *bufio.Reader
}

// A Session has the state of one client's connection. Its memory is used again for each
// batch.
type Session struct {
	p        *Proxy
	backends map[string]backend
	raw      []byte   // the commands as received
	ends     []int    // of the commands in raw
	args     [][]byte // of all commands
	argEnds  []int    // of the commands in args
	commands []request
	pieces   []piece
	queues   []queue
	number   map[*topology.Node]int // 1 + the number of a node's queue
	splitter command.Splitter
	turn     int
	multi    multi
}

// A request is a command of the client with its pieces or its reply.
type request struct {
	first, last int    // its pieces
	reply       []byte // if it has no pieces
	command     *command.Command
	groups      []slotmap.SlotGroup // of the pieces, if the keys were divided
}

// A piece is the part of a command that is sent to one node.
type piece struct {
	raw     []byte
	replies int // the number of replies; the last one counts
	slot    hashslot.Slot
	routed  bool // slot decides; otherwise the piece stays at its node
	node    *topology.Node
	reply   []byte
}

// A queue has the pieces that are sent to one node.
type queue struct {
	node   *topology.Node
	pieces []int
}

// A multi is the MULTI block of the client.
type multi struct {
	open   bool
	failed bool          // EXEC will be refused
	block  command.Block // WATCH and the commands
	raw    []byte        // the commands, MULTI included
	n      int
}

// NewSession returns a session.
func (p *Proxy) NewSession() *Session {
	return &Session{p: p, backends: map[string]backend{}, number: map[*topology.Node]int{}}
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
		seen := s.Route()
		if err := s.forward(seen); err != nil {
			return err
		}
		replies := make(net.Buffers, len(s.commands))
		for i := range s.commands {
			replies[i] = s.reply(&s.commands[i])
		}
		if _, err := replies.WriteTo(client); err != nil {
			return err
		}
	}
}

// Read reads a batch of commands: one, and all that have come with it.
func (s *Session) Read(r *bufio.Reader) (err error) {
	s.raw, s.ends = s.raw[:0], s.ends[:0]
	for len(s.ends) == 0 || r.Buffered() > 0 && len(s.ends) < maxBatch {
		if s.raw, err = appendReply(s.raw, r); err != nil {
			return err
		}
		s.ends = append(s.ends, len(s.raw))
	}
	// From here on raw does not move.
	s.args, s.argEnds = s.args[:0], s.argEnds[:0]
	for i := range s.ends {
		if s.args, err = appendArgs(s.args, s.command(i)); err != nil {
			return err
		}
		s.argEnds = append(s.argEnds, len(s.args))
	}
	return nil
}

func (s *Session) command(i int) []byte { return between(s.raw, s.ends, i) }

func between[E any](all []E, ends []int, i int) []E {
	from := 0
	if i > 0 {
		from = ends[i-1]
	}
	return all[from:ends[i]:ends[i]]
}

// Route divides the batch by node. It returns the generation of the Router's map that it
// used.
func (s *Session) Route() (seen topology.Generation) {
	table, seen := s.p.Router.Table()
	s.commands, s.pieces = s.commands[:0], s.pieces[:0]
	for i := range s.queues {
		s.queues[i] = queue{pieces: s.queues[i].pieces[:0]}
	}
	s.queues = s.queues[:0]
	clear(s.number)
	for i := range s.ends {
		r := request{first: len(s.pieces)}
		if reply := s.plan(&r, table, s.command(i), between(s.args, s.argEnds, i)); reply != "" {
			s.pieces = s.pieces[:r.first]
			r.reply = append([]byte(reply), "\r\n"...)
		}
		r.last = len(s.pieces)
		s.commands = append(s.commands, r)
	}
	for i := range s.pieces {
		s.enqueue(i)
	}
	return seen
}

func (s *Session) enqueue(i int) {
	node := s.pieces[i].node
	n := s.number[node]
	if n == 0 {
		if n = len(s.queues) + 1; n <= cap(s.queues) {
			s.queues = s.queues[:n] // with the memory of the queue that was there
		} else {
			s.queues = append(s.queues, queue{})
		}
		s.queues[n-1].node = node
		s.number[node] = n
	}
	s.queues[n-1].pieces = append(s.queues[n-1].pieces, i)
}

const (
	notServed = "-CLUSTERDOWN Hash slot not served"
	crossSlot = "-CROSSSLOT Keys in request don't hash to the same slot"
)

// plan makes the pieces of a command, or returns the reply to it.
func (s *Session) plan(r *request, table *slotmap.Table[*topology.Shard], raw []byte, args [][]byte) (reply string) {
	view := command.ArgsOf(args)
	target, err := s.p.Commands.Route(view)
	if errors.Is(err, hashslot.ErrCrossSlot) {
		s.multi.failed = s.multi.failed || s.multi.open
		return crossSlot
	}
	name := ""
	if r.command = target.Command; r.command != nil {
		name = r.command.Name()
	}
	switch name {
	case "multi", "exec", "discard", "watch", "unwatch":
		return s.transaction(r, table, name, raw, view)
	}
	if s.multi.open {
		return s.queue(raw, view)
	}
	if err != nil { // the server has the best error text
		return s.anywhere(table, raw)
	}
	switch {
	case target.To == command.ToSpecial, r.command.Is(command.FlagPubSub | command.FlagNoScript), name == "monitor":
		return "-ERR the proxy does not forward " + name
	case target.To == command.ToOneSlot:
		return s.toSlot(table, target.Slot, raw, 1)
	case target.To == command.ToEachSlot:
		groups, err := s.splitter.Split(s.p.Commands, view)
		if err != nil {
			return "-ERR " + err.Error()
		}
		for _, g := range groups {
			part, err := command.AppendPart(s.p.Commands, nil, args, g.Keys)
			if err != nil {
				return "-ERR " + err.Error()
			}
			if reply := s.toSlot(table, g.Slot, appendCommand(nil, part), 1); reply != "" {
				return reply
			}
			r.groups = append(r.groups, slotmap.SlotGroup{Slot: g.Slot, Keys: slices.Clone(g.Keys)})
		}
		return ""
	case target.To == command.ToAnyNode, r.command.Reply() == command.ReplySpecial: // no rule merges several replies into one
		return s.anywhere(table, raw)
	}
	for shard := range table.Owners() {
		s.pieces = append(s.pieces, piece{raw: raw, replies: 1, node: shard.Primary})
		if target.To == command.ToAllNodes {
			for _, n := range shard.Replicas {
				s.pieces = append(s.pieces, piece{raw: raw, replies: 1, node: n})
			}
		}
	}
	if r.first == len(s.pieces) {
		return notServed
	}
	return ""
}

func (s *Session) toSlot(table *slotmap.Table[*topology.Shard], slot hashslot.Slot, raw []byte, replies int) string {
	shard, ok := table.Lookup(slot)
	if !ok {
		return notServed
	}
	s.pieces = append(s.pieces, piece{raw: raw, replies: replies, slot: slot, routed: true, node: shard.Primary})
	return ""
}

// anywhere sends a command to one shard after the other.
func (s *Session) anywhere(table *slotmap.Table[*topology.Shard], raw []byte) string {
	n := 0
	for range table.Owners() {
		n++
	}
	if n == 0 {
		return notServed
	}
	s.turn = (s.turn + 1) % n
	at := 0
	for shard := range table.Owners() {
		if at == s.turn {
			s.pieces = append(s.pieces, piece{raw: raw, replies: 1, node: shard.Primary})
		}
		at++
	}
	return ""
}

// transaction handles MULTI, the commands of its block, EXEC, DISCARD and WATCH. A block is
// kept until EXEC and then sent as a whole to the node of its slot. WATCH is sent there
// immediately.
func (s *Session) transaction(r *request, table *slotmap.Table[*topology.Shard], name string, raw []byte, view command.Args) string {
	m := &s.multi
	if name == "watch" && !m.open {
		if err := m.block.Add(s.p.Commands, view); errors.Is(err, hashslot.ErrCrossSlot) {
			return crossSlot
		} else if err != nil {
			return s.anywhere(table, raw)
		}
		slot, _ := m.block.Slot()
		return s.toSlot(table, slot, raw, 1)
	}
	if name == "multi" && !m.open {
		m.open, m.raw, m.n = true, append(m.raw[:0], raw...), 1
		return "+OK"
	}
	if !m.open && name != "unwatch" { // EXEC and DISCARD without MULTI
		return s.anywhere(table, raw)
	}
	slot, watched := m.block.Slot()
	switch name {
	case "multi", "watch":
		return "-ERR " + strings.ToUpper(name) + " inside MULTI is not allowed"
	case "unwatch":
		if m.open {
			return s.queue(raw, view)
		}
		m.block.Reset()
	case "discard":
		m.block.Reset()
		m.open, m.failed = false, false
		if watched {
			if reply := s.toSlot(table, slot, []byte("*1\r\n$7\r\nUNWATCH\r\n"), 1); reply != "" {
				return reply
			}
		} else {
			return "+OK"
		}
		return ""
	case "exec":
		failed := m.failed
		m.block.Reset()
		m.open, m.failed = false, false
		if failed {
			return "-EXECABORT Transaction discarded because of previous errors."
		}
		block := append(slices.Clone(m.raw), raw...)
		if watched {
			return s.toSlot(table, slot, block, m.n+1)
		}
		if reply := s.anywhere(table, block); reply != "" {
			return reply
		}
		s.pieces[len(s.pieces)-1].replies = m.n + 1
		return ""
	}
	if watched {
		return s.toSlot(table, slot, raw, 1)
	}
	return "+OK"
}

// queue keeps a command of a block.
func (s *Session) queue(raw []byte, view command.Args) string {
	m := &s.multi
	if err := m.block.Add(s.p.Commands, view); err != nil {
		m.failed = true
		if errors.Is(err, hashslot.ErrCrossSlot) {
			return crossSlot
		}
		return "-ERR " + err.Error()
	}
	m.raw = append(m.raw, raw...)
	m.n++
	return "+QUEUED"
}

// reply merges the replies to the pieces of a command into one.
func (s *Session) reply(r *request) []byte {
	pieces := s.pieces[r.first:r.last]
	switch len(pieces) {
	case 0:
		return r.reply
	case 1:
		return pieces[0].reply
	}
	replies := make([]any, len(pieces))
	for i := range pieces {
		replies[i], _ = decode(pieces[i].reply)
	}
	all, err := r.command.Combine(r.groups, replies)
	if err != nil {
		var server serverError
		if !errors.As(err, &server) {
			server = serverError("ERR " + err.Error())
		}
		all = server
	}
	return appendValue(nil, all)
}

// forward sends the batch and reads the replies.
func (s *Session) forward(seen topology.Generation) error {
	for _, q := range s.queues { // send to all before reading from any
		b, err := s.backend(q.node)
		if err != nil {
			return err
		}
		send := make(net.Buffers, 0, len(q.pieces))
		for _, i := range q.pieces {
			send = append(send, s.pieces[i].raw)
		}
		if _, err := send.WriteTo(b); err != nil {
			return err
		}
	}
	for _, q := range s.queues {
		b, err := s.backend(q.node)
		if err != nil {
			return err
		}
		for _, i := range q.pieces {
			if err := s.pieces[i].receive(b); err != nil {
				return err
			}
		}
	}
	for i := range s.pieces {
		if err := s.follow(&s.pieces[i], seen); err != nil {
			return err
		}
	}
	return nil
}

// receive reads the replies to a piece. The last one counts. For a MULTI block that is the
// reply to EXEC, unless a command in the block was redirected: then the redirect counts,
// because the whole block must follow it.
func (p *piece) receive(b backend) error {
	var moved []byte
	for range p.replies {
		reply, err := appendReply(nil, b.r)
		if err != nil {
			return err
		}
		if moved == nil && p.replies > 1 && bytes.HasPrefix(reply, []byte("-MOVED ")) {
			moved = reply
		}
		p.reply = reply
	}
	if moved != nil {
		p.reply = moved
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

// follow sends a piece again while its reply is a redirect.
func (s *Session) follow(p *piece, seen topology.Generation) error {
	for range maxTries {
		if p.reply[0] != '-' || !p.routed {
			return nil
		}
		rd, err := topology.ParseRedirect(string(p.reply), topology.Origin{Addr: p.node.Addr()})
		if err != nil || rd.Addr() == "" {
			return nil // the client handles it
		}
		raw := p.raw
		if rd.Ask {
			p.node = s.p.Router.Asking(rd)
			raw = append([]byte("*1\r\n$6\r\nASKING\r\n"), raw...)
		} else {
			result := s.p.Router.Moved(rd, p.node, seen)
			if result.Refresh {
				s.p.Refresh()
			}
			var shard *topology.Shard
			if shard, seen = s.p.Router.For(p.slot); shard != nil {
				p.node = shard.Primary
			}
		}
		b, err := s.backend(p.node)
		if err != nil {
			return err
		}
		if _, err := b.Write(raw); err != nil {
			return err
		}
		if rd.Ask { // the reply to ASKING
			if _, err := appendReply(nil, b.r); err != nil {
				return err
			}
		}
		if err := p.receive(b); err != nil {
			return err
		}
	}
	return nil
}

var errProtocol = errors.New("proxy: not RESP")

// appendReply appends the bytes of the next RESP2 value to dst. Commands are arrays of bulk
// strings.
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
				for left := n + 2; left > 0; { // memory grows with the bytes received
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

// appendArgs appends the arguments of a complete command to dst.
func appendArgs(dst [][]byte, raw []byte) ([][]byte, error) {
	end := bytes.IndexByte(raw, '\n')
	n, err := length(raw[:end+1])
	if err != nil || raw[0] != '*' || n < 1 {
		return dst, fmt.Errorf("%w: %q is not a command", errProtocol, raw[:min(end+1, 40)])
	}
	rest := raw[end+1:]
	for range n {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 || rest[0] != '$' {
			return dst, fmt.Errorf("%w: an argument that is no bulk string", errProtocol)
		}
		size, err := length(rest[:end+1])
		if err != nil || size < 0 || end+1+size+2 > len(rest) {
			return dst, fmt.Errorf("%w: an argument of %q bytes", errProtocol, rest[1:end])
		}
		rest = rest[end+1:]
		dst = append(dst, rest[:size:size])
		rest = rest[size+2:]
	}
	return dst, nil
}

// appendCommand appends a command in RESP.
func appendCommand(dst []byte, args [][]byte) []byte {
	dst = fmt.Appendf(dst, "*%d\r\n", len(args))
	for _, arg := range args {
		dst = fmt.Appendf(dst, "$%d\r\n", len(arg))
		dst = append(append(dst, arg...), "\r\n"...)
	}
	return dst
}

// A serverError is an error that a server replied.
type serverError string

func (e serverError) Error() string { return string(e) }

// A status is a simple string.
type status string

// decode returns the value of a complete reply, and the bytes after it.
func decode(raw []byte) (any, []byte) {
	line, rest, _ := bytes.Cut(raw, []byte("\r\n"))
	text := string(line[1:])
	switch line[0] {
	case '+':
		return status(text), rest
	case '-':
		return serverError(text), rest
	case ':':
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return serverError("ERR not a number: " + text), rest
		}
		return n, rest
	}
	n, _ := strconv.Atoi(text)
	if n < 0 {
		return nil, rest
	}
	if line[0] == '$' {
		return rest[:n], rest[n+2:]
	}
	list := []any{}
	for range n {
		var v any
		v, rest = decode(rest)
		list = append(list, v)
	}
	return list, rest
}

func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case status:
		return fmt.Appendf(dst, "+%s\r\n", v)
	case serverError:
		return fmt.Appendf(dst, "-%s\r\n", v)
	case int64:
		return fmt.Appendf(dst, ":%d\r\n", v)
	case []byte:
		dst = fmt.Appendf(dst, "$%d\r\n", len(v))
		return append(append(dst, v...), "\r\n"...)
	case []any:
		dst = fmt.Appendf(dst, "*%d\r\n", len(v))
		for _, e := range v {
			dst = appendValue(dst, e)
		}
		return dst
	}
	return append(dst, "$-1\r\n"...)
}
