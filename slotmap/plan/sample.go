package plan

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/internal/reply"
	"github.com/hashslot/hashslot/slotmap"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// A Sample has the servers' numbers for their slots at one moment. Each number is of a
// metric, by the server's name: "key-count", "cpu-usec", "network-bytes-in",
// "network-bytes-out" and "memory-bytes" of CLUSTER SLOT-STATS (Valkey 8.0 and Redis
// 8.2, with cluster-slot-stats-enabled), "key_count", "total_reads", "total_writes" and
// "memory_bytes" of DFLYCLUSTER GETSLOTINFO (Dragonfly), or any other.
//
// A server has numbers for its own slots only: [MergeSamples] combines those of all
// primaries. [Sample.Since] returns the difference of two moments. [Sample.Load] returns
// one metric, for [Rebalance] to balance.
//
// A Sample does not change and is safe for concurrent use. A nil *Sample has no slot.
type Sample struct {
	slots   slotmap.Set
	metrics map[string]*[hashslot.Count]float64
}

// maxMetrics bounds the memory that a reply can cause: 128 KiB for each metric.
// Servers have 5.
const maxMetrics = 64

// levels are the metrics of the present state. All others are counters, from a start that
// the server chose.
var levels = []string{"key-count", "key_count", "memory-bytes", "memory_bytes"}

// ParseSlotStats reads a reply to CLUSTER SLOT-STATS or to DFLYCLUSTER GETSLOTINFO that a
// client has decoded to Go values, as for [topology.ParseSlots]. If a slot is there
// twice, the greater numbers count.
//
// The error is an [*InputError] that names the place. ParseSlotStats takes time in
// proportion to the reply, and 128 KiB for each metric. There may be at most 64 metrics.
func ParseSlotStats(stats any) (*Sample, error) {
	s := &Sample{}
	if err := s.addReply(stats); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Sample) addReply(stats any) error {
	bad := func(at, reason string) error { return &InputError{Field: "stats" + at, Reason: reason} }
	list, ok := reply.List(stats)
	if !ok {
		return bad("", "is "+reply.Kind(stats)+", not a list")
	}
	for i, v := range list {
		at := fmt.Sprintf("[%d]", i)
		entry, _ := reply.List(v)
		if len(entry) == 0 {
			return bad(at, "is "+reply.Kind(v)+", not a slot and its numbers")
		}
		slot, ok := reply.Int(entry[0])
		if !ok || slot < 0 || slot >= hashslot.Count {
			return bad(at+"[0]", "is "+reply.Kind(entry[0])+", not a slot from 0 to 16383")
		}
		numbers := any(entry[1:]) // Dragonfly has no list within the list
		if len(entry) == 2 {
			numbers, at = entry[1], at+"[1]"
		}
		fields, err := reply.AppendFields(nil, numbers)
		if err != nil {
			return bad(at+err.Path, err.Reason)
		}
		s.slots.Add(hashslot.Slot(slot))
		for _, f := range fields {
			n, ok := asNumber(f.Value)
			if !ok {
				return bad(at+"."+f.Name, "is "+reply.Kind(f.Value)+", not a number of at least 0")
			}
			if !s.add(hashslot.Slot(slot), f.Name, n) {
				return bad(at, fmt.Sprintf("has more than the limit of %d metrics", maxMetrics))
			}
		}
	}
	return nil
}

func asNumber(v any) (float64, bool) {
	if n, ok := reply.Int(v); ok {
		return float64(n), n >= 0
	}
	if text, ok := reply.Text(v); ok {
		return parseNumber(text)
	}
	f, ok := v.(float64)
	return f, ok && finite(f)
}

func parseNumber(text string) (float64, bool) {
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil && finite(f)
}

// isNumeral reports whether text is a number, of any size and sign, or NaN.
func isNumeral(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

// add reports whether there was room for the metric.
func (s *Sample) add(slot hashslot.Slot, metric string, n float64) bool {
	column := s.metrics[metric]
	if column == nil {
		if len(s.metrics) == maxMetrics {
			return false
		}
		if s.metrics == nil {
			s.metrics = map[string]*[hashslot.Count]float64{}
		}
		column = new([hashslot.Count]float64)
		s.metrics[strings.Clone(metric)] = column
	}
	column[slot] = max(column[slot], n)
	return true
}

// ParseSlotStatsText reads a reply to CLUSTER SLOT-STATS or to DFLYCLUSTER GETSLOTINFO
// from text: the output of valkey-cli and redis-cli to a terminal or a pipe, with --json
// or --csv, in RESP2 or RESP3; or the bytes of the reply. Several replies, one after the
// other, are merged as by [MergeSamples]. Lines of a slot and one number are a metric
// called "load".
//
// The error is an [*InputError] that names the line or, within JSON, the place as in
// [ParseSlotStats]. Time and memory are as there.
func ParseSlotStatsText(text string) (*Sample, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	s := &Sample{}
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		if err := s.addJSON(text); err != nil {
			return nil, err
		}
		return s, nil
	}
	r := statsReader{s: s}
	number := 0
	for line := range strings.Lines(text) {
		number++
		if reason := r.line(line); reason != "" {
			return nil, &InputError{Field: fmt.Sprintf("line %d", number), Value: shorten(strings.TrimSpace(line)), Reason: reason}
		}
	}
	if r.metric != "" {
		return nil, &InputError{Field: fmt.Sprintf("line %d", number), Reason: "the text ends before the number of " + reply.Quote(r.metric)}
	}
	return s, nil
}

func shorten(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

func (s *Sample) addJSON(text string) error {
	d := json.NewDecoder(strings.NewReader(text))
	for {
		var v any
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return &InputError{Field: "stats", Reason: "the text ends within its JSON"}
		}
		if err != nil {
			at := int(d.InputOffset())
			if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
				at = int(syntax.Offset)
			}
			line := 1 + strings.Count(text[:min(at, len(text))], "\n")
			return &InputError{Field: fmt.Sprintf("line %d", line), Reason: err.Error()}
		}
		if err := s.addReply(v); err != nil {
			return err
		}
	}
}

// A statsReader reads words: a slot, then its metrics, each with its number, then the
// next slot. Line ends matter only after a slot: a number on the same line is the metric
// "load", and a number on the next line is the next slot.
type statsReader struct {
	s      *Sample
	slot   hashslot.Slot
	known  bool   // there was a slot
	metric string // whose number comes next; "" if none does
}

// line reads a line, and returns the reason if it cannot be read.
func (r *statsReader) line(line string) (reason string) {
	behindSlot := false // whether the word before, in this line, is a slot
	for word := range strings.FieldsFuncSeq(line, func(c rune) bool { return c == ' ' || c == ',' || c == '\t' || c == '\r' || c == '\n' }) {
		if ornament(word) {
			continue
		}
		word = strings.Trim(strings.TrimPrefix(word, ":"), `"`)
		number, isNumber := parseNumber(word)
		switch {
		case r.metric != "":
			if !isNumber {
				return reply.Quote(word) + " is not a number of at least 0, but " + reply.Quote(r.metric) + " needs one"
			}
			if !r.s.add(r.slot, r.metric, number) {
				return fmt.Sprintf("more than %d metrics", maxMetrics)
			}
			r.metric = ""
		case !isNumber && isNumeral(word):
			return reply.Quote(word) + " is not a number of at least 0"
		case isNumber && behindSlot:
			if !r.s.add(r.slot, "load", number) {
				return fmt.Sprintf("more than %d metrics", maxMetrics)
			}
		case isNumber:
			slot, err := strconv.ParseUint(word, 10, 14)
			if err != nil {
				return reply.Quote(word) + " is not a slot from 0 to 16383"
			}
			r.slot, r.known = hashslot.Slot(slot), true
			r.s.slots.Add(r.slot)
			behindSlot = true
			continue
		case !r.known || word == "":
			return reply.Quote(word) + " is not a slot from 0 to 16383"
		default:
			r.metric = strings.ToLower(word)
		}
		behindSlot = false
	}
	return ""
}

// ornament reports whether a word is structure only: 1) 2# => (integer) on a terminal,
// and the lengths *2 %4 $9 of RESP.
func ornament(word string) bool {
	if word == "=>" || word == "(integer)" || word == "(double)" {
		return true
	}
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	return strings.ContainsRune("*%$=~", rune(word[0])) && digits(word[1:]) ||
		strings.ContainsRune(")#", rune(word[len(word)-1])) && digits(word[:len(word)-1])
}

// MergeSamples combines the Samples of several nodes. If several have a slot, the
// greatest number of each metric counts: the nodes of a shard have the same keys, and a
// node that has lost a slot may still have old numbers for it. A nil Sample is skipped.
func MergeSamples(samples ...*Sample) *Sample {
	all := &Sample{metrics: map[string]*[hashslot.Count]float64{}}
	for _, s := range samples {
		if s == nil {
			continue
		}
		all.slots = all.slots.Union(s.slots)
		for name, from := range s.metrics {
			to := all.metrics[name]
			if to == nil {
				to = new([hashslot.Count]float64)
				all.metrics[name] = to
			}
			for slot, n := range from {
				to[slot] = max(to[slot], n)
			}
		}
	}
	return all
}

// Since returns the difference between an earlier Sample and this one. Levels (key-count,
// memory-bytes, and the same with an underscore) keep their present value. From every
// other metric the earlier number is subtracted. A number that is smaller than before
// comes from a server that has restarted, or from another server, and is kept. So are the
// numbers of slots that earlier does not have.
func (s *Sample) Since(earlier *Sample) *Sample {
	if s == nil {
		return nil
	}
	d := &Sample{slots: s.slots, metrics: map[string]*[hashslot.Count]float64{}}
	for name, now := range s.metrics {
		column := *now
		if before := earlier.column(name); before != nil && !slices.Contains(levels, name) {
			for slot := range column {
				if column[slot] >= before[slot] {
					column[slot] -= before[slot]
				}
			}
		}
		d.metrics[name] = &column
	}
	return d
}

func (s *Sample) column(metric string) *[hashslot.Count]float64 {
	if s == nil {
		return nil
	}
	return s.metrics[metric]
}

// Slots returns the slots that the Sample has numbers for.
func (s *Sample) Slots() slotmap.Set {
	if s == nil {
		return slotmap.Set{}
	}
	return s.slots
}

// Metrics returns the names of the metrics, ascending.
func (s *Sample) Metrics() []string {
	if s == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.metrics))
}

// Load returns the numbers of a metric for the 16384 slots, for [RebalanceOptions].Load.
// Slots without a number have 0. The error is an [*InputError] if there is no such
// metric.
func (s *Sample) Load(metric string) ([]float64, error) {
	column := s.column(metric)
	if column == nil {
		return nil, &InputError{Field: "metric", Value: metric, Reason: "must be one of " + cmp.Or(strings.Join(s.Metrics(), ", "), "none: the sample has no metrics")}
	}
	return slices.Clone(column[:]), nil
}

// A SlotLoad is the load of one slot.
type SlotLoad struct {
	Slot  hashslot.Slot
	Load  float64
	Share float64 // of the whole load, from 0 to 1
}

// HotSlots returns at most n slots, those with the greatest load, in descending order, and
// among equals by slot. Slots without load are left out. load is as in [RebalanceOptions]; the
// error is an [*InputError].
func HotSlots(load []float64, n int) ([]SlotLoad, error) {
	if err := checkLoad("Load", load); err != nil {
		return nil, err
	}
	total := sum(load)
	hot := []SlotLoad{}
	for slot, l := range load {
		if l > 0 {
			hot = append(hot, SlotLoad{hashslot.Slot(slot), l, l / total})
		}
	}
	slices.SortStableFunc(hot, func(a, b SlotLoad) int { return cmp.Compare(b.Load, a.Load) })
	return hot[:min(max(n, 0), len(hot))], nil
}

// A ShardLoad is the load of the slots of one primary.
type ShardLoad struct {
	ID, Addr string // of the primary
	Slots    int    // the number of its slots
	Load     float64
	Share    float64  // of the load of all shards, from 0 to 1
	Skew     float64  // its load divided by the mean of all primaries with slots: 1 is even
	Hottest  SlotLoad // its slot with the greatest load; its Share is of this shard's load
}

// ShardLoads returns the load of each primary of c that owns slots, in descending order,
// and among equals by id. load is as in [RebalanceOptions]; the error is an
// [*InputError].
func ShardLoads(c *topology.Cluster, load []float64) ([]ShardLoad, error) {
	if c == nil {
		return nil, &InputError{Field: "Cluster", Reason: "is nil"}
	}
	if err := checkLoad("Load", load); err != nil {
		return nil, err
	}
	at := map[*topology.Shard]int{}
	var shards []ShardLoad
	total := 0.0
	for r, s := range c.Table().Ranges() {
		i, ok := at[s]
		if !ok {
			i = len(shards)
			at[s] = i
			shards = append(shards, ShardLoad{ID: s.Primary.ID, Addr: s.Primary.Addr(), Hottest: SlotLoad{Slot: r.First}})
		}
		shards[i].Slots += r.Len()
		for slot := r.First; slot <= r.Last; slot++ {
			shards[i].Load += load[slot]
			total += load[slot]
			if load[slot] > shards[i].Hottest.Load {
				shards[i].Hottest = SlotLoad{Slot: slot, Load: load[slot]}
			}
		}
	}
	for i := range shards {
		s := &shards[i]
		if total > 0 {
			s.Share = s.Load / total
			s.Skew = s.Share * float64(len(shards))
		}
		if s.Load > 0 {
			s.Hottest.Share = s.Hottest.Load / s.Load
		}
	}
	slices.SortFunc(shards, func(a, b ShardLoad) int { return cmp.Or(cmp.Compare(b.Load, a.Load), cmp.Compare(a.ID, b.ID)) })
	return shards, nil
}

func sum(load []float64) (total float64) {
	for _, l := range load {
		total += l
	}
	return total
}
