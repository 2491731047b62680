package topology

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Clients decode replies differently: bulk strings as string or []byte, maps as
// map[any]any, map[string]any or, over RESP2, as a flat list of names and
// values, numbers as int64 or, from a proxy, as text. The functions here take
// all of them. Types that are not listed are looked at by reflection.

// asList returns the elements of v.
func asList(v any) ([]any, bool) {
	if list, ok := v.([]any); ok {
		return list, true
	}
	rv := indirect(v)
	if k := rv.Kind(); k != reflect.Slice && k != reflect.Array || rv.Type().Elem().Kind() == reflect.Uint8 {
		return nil, false
	}
	list := make([]any, rv.Len())
	for i := range list {
		list[i] = rv.Index(i).Interface()
	}
	return list, true
}

// asText returns the text v. Numbers are no text.
func asText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	case error:
		return "", false
	}
	rv := indirect(v)
	switch {
	case rv.Kind() == reflect.String:
		return rv.String(), true
	case rv.Kind() == reflect.Slice && rv.Type().Elem().Kind() == reflect.Uint8:
		return string(rv.Bytes()), true
	}
	return "", false
}

// asInt returns the number v, which may come as text.
func asInt(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case int:
		return int64(v), true
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<53
	}
	if s, ok := asText(v); ok {
		n, err := strconv.ParseInt(s, 10, 64)
		return n, err == nil
	}
	rv := indirect(v)
	switch {
	case rv.CanInt():
		return rv.Int(), true
	case rv.CanUint():
		return int64(rv.Uint()), rv.Uint() <= math.MaxInt64
	}
	return 0, false
}

// indirect follows one pointer.
func indirect(v any) reflect.Value {
	rv := reflect.ValueOf(v)
	if rv.Kind() == reflect.Pointer {
		return rv.Elem()
	}
	return rv
}

// A field is a name in lower case and a value.
type field struct {
	name  string
	value any
}

// appendFields appends the fields of v to dst: a map, or a flat list of names
// and values. The order is that of the list, or any.
func appendFields(dst []field, v any) ([]field, *ParseError) {
	switch v := v.(type) {
	case nil:
		return dst, nil
	case map[string]any:
		for name, value := range v {
			dst = append(dst, field{lower(name), value})
		}
		return dst, nil
	case map[any]any:
		for name, value := range v {
			s, ok := asText(name)
			if !ok {
				return nil, wrong("has a name that is", name, "not text")
			}
			dst = append(dst, field{lower(s), value})
		}
		return dst, nil
	}
	if list, ok := asList(v); ok {
		if len(list)%2 != 0 {
			return nil, &ParseError{Reason: fmt.Sprintf("a list of %d elements is not names and values", len(list))}
		}
		for i := 0; i < len(list); i += 2 {
			s, ok := asText(list[i])
			if !ok {
				return nil, wrong("has a name that is", list[i], "not text").in(index("", i))
			}
			dst = append(dst, field{lower(s), list[i+1]})
		}
		return dst, nil
	}
	if rv := indirect(v); rv.Kind() == reflect.Map && rv.Type().Key().Kind() == reflect.String {
		for it := rv.MapRange(); it.Next(); {
			dst = append(dst, field{lower(it.Key().String()), it.Value().Interface()})
		}
		return dst, nil
	}
	return nil, wrong("is", v, "neither a map nor a list of names and values")
}

// lower is strings.ToLower for names that nearly always are in lower case.
func lower(s string) string {
	for i := range len(s) {
		if s[i]-'A' < 26 {
			return strings.ToLower(s)
		}
	}
	return s
}

// wrong is the error of a value of the wrong kind.
func wrong(is string, v any, want string) *ParseError {
	return &ParseError{Reason: is + " " + kindOf(v) + ", " + want}
}

func kindOf(v any) string {
	if v == nil {
		return "null"
	}
	if err, ok := v.(error); ok {
		return "the error " + quote(err.Error())
	}
	if s, ok := asText(v); ok {
		return "the text " + quote(s)
	}
	if n, ok := asInt(v); ok {
		return "the number " + strconv.FormatInt(n, 10)
	}
	if list, ok := asList(v); ok {
		return fmt.Sprintf("a list of %d elements", len(list))
	}
	if indirect(v).Kind() == reflect.Map {
		return "a map"
	}
	return fmt.Sprintf("a %T", v)
}

// list returns the elements of v, which must be a list.
func list(v any) ([]any, *ParseError) {
	l, ok := asList(v)
	if !ok {
		return nil, wrong("is", v, "not a list")
	}
	return l, nil
}

// text returns the text v; null is "".
func text(v any) (string, *ParseError) {
	if v == nil {
		return "", nil
	}
	s, ok := asText(v)
	if !ok {
		return "", wrong("is", v, "not text")
	}
	return s, nil
}

// number returns the number v, from 0 to most; null is 0.
func number(v any, most int64) (int64, *ParseError) {
	if v == nil {
		return 0, nil
	}
	n, ok := asInt(v)
	if !ok || n < 0 || n > most {
		return 0, wrong("is", v, fmt.Sprintf("not a number from 0 to %d", most))
	}
	return n, nil
}

// replyNodes collects the nodes of CLUSTER SLOTS and SHARDS.
type replyNodes struct {
	c     *Cluster
	byID  map[string]int32
	named map[nodeName]int32 // of those that are not known by an id
	names []nodeName         // by place
	odd   *ParseError        // the first part that was skipped
	full  bool               // there are too many nodes
	split map[string]bool    // ids that stand for more than one address

	done, all int // how many entries or shards of the reply were read before this one, and how many there are

	fields, shard []field // scratch
	members       []int32
}

func newReplyNodes(command string, entries int) *replyNodes {
	return &replyNodes{c: &Cluster{command: command}, byID: make(map[string]int32), all: entries}
}

type nodeName struct {
	id, endpoint string
	port         int
}

// add returns the place of the node with the id and the address, and whether it
// is new. A node is known by its id. If a reply gives one id to two addresses,
// as proxies do, that id names neither, and they are told apart by the address.
func (r *replyNodes) add(id, endpoint string, port int) (place int32, isNew bool, err *ParseError) {
	full := nodeName{id, endpoint, port}
	found := false
	if id != "" {
		if place, found = r.byID[id]; found && r.names[place] == full {
			return place, false, nil
		}
	}
	if found && r.split == nil {
		r.split = make(map[string]bool)
	}
	if found {
		r.split[id] = true
	}
	if found || id == "" {
		if place, found := r.named[full]; found {
			return place, false, nil
		}
	}
	if len(r.c.store) == maxNodes {
		r.full = true
		return 0, false, &ParseError{Reason: "more than 65536 nodes"}
	}
	place = int32(len(r.c.store))
	r.grow()
	r.c.store = append(r.c.store, Node{ID: id, Endpoint: endpoint, EndpointPort: port, told: endpointTold})
	r.names = append(r.names, full)
	switch {
	case id != "" && !found:
		r.byID[id] = place
	case r.named == nil:
		r.named = map[nodeName]int32{full: place}
	default:
		r.named[full] = place
	}
	return place, true, nil
}

// grow makes room for another node. Nodes are large: when there is no room, it
// makes as much as the whole reply needs if it goes on as it began.
func (r *replyNodes) grow() {
	n := len(r.c.store)
	if n < cap(r.c.store) {
		return
	}
	more := max(n/4, 8)
	if r.done > 0 {
		more = max(more, min(n*r.all/r.done, maxNodes)-n+n/8)
	}
	r.c.store = slices.Grow(r.c.store, more)
	r.names = slices.Grow(r.names, more)
}

// finish completes the nodes and the cluster.
func (r *replyNodes) finish(from Origin) *Cluster {
	for i := range r.c.store {
		n := &r.c.store[i]
		if !r.split[n.ID] {
			n.key = n.ID
		}
		if n.primary != 0 {
			n.PrimaryID = r.c.store[n.primary-1].ID
		}
		total := 0
		for _, s := range n.Slots {
			total += s.Len()
		}
		n.dedupe(total)
		if n.IP == "" && isIP(n.Endpoint) {
			n.IP = n.Endpoint
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.split)) {
		r.c.warn(Place{}, "node id "+quote(id)+" stands for more than one address")
	}
	if len(r.named) == 0 {
		r.c.byKey = r.byID
	}
	r.c.resolve(from)
	r.c.build()
	return r.c
}

// common reads a field that both replies have. known is false if it is another.
func (n *Node) common(f field) (known bool, err *ParseError) {
	switch f.name {
	case "ip":
		n.IP, err = text(f.value)
		if n.IP != "" && !isIP(n.IP) {
			n.IP = ""
			return false, nil
		}
	case "hostname":
		n.Hostname, err = text(f.value)
	case "availability-zone":
		n.AvailabilityZone, err = text(f.value)
	default:
		return false, nil
	}
	if err != nil {
		_ = err.in(f.name)
	}
	return true, err
}

// extra keeps the fields that are not known, and warns of them.
func (r *replyNodes) extra(n *Node, unknown []field, path func() string) {
	r.warnOf(unknown, path)
	for _, f := range unknown {
		if s, ok := asText(f.value); ok {
			n.setExtra(f.name, s)
		} else if i, ok := asInt(f.value); ok {
			n.setExtra(f.name, strconv.FormatInt(i, 10))
		}
	}
}

// warnOf sorts the unknown fields, since a map has them in any order, and warns
// of them.
func (r *replyNodes) warnOf(unknown []field, path func() string) {
	if len(unknown) == 0 {
		return
	}
	slices.SortFunc(unknown, func(a, b field) int { return strings.Compare(a.name, b.name) })
	at := Place{Path: path()}
	for _, f := range unknown {
		r.c.warn(at, "unknown field "+quote(f.name))
	}
}
