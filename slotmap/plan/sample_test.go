package plan

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// The output of valkey-cli 9.1.2 and redis-cli 8.6.3 for the same two slots.
const (
	statsJSON  = `[[12181,{"key-count":0,"memory-bytes":0,"cpu-usec":0}],[12182,{"key-count":1,"memory-bytes":32,"cpu-usec":49}]]`
	statsJSON2 = `[[12181,["key-count",0,"memory-bytes",0,"cpu-usec",0]],[12182,["key-count",1,"memory-bytes",32,"cpu-usec",49]]]`
	statsRaw   = "12181\nkey-count\n0\nmemory-bytes\n0\ncpu-usec\n0\n12182\nkey-count\n1\nmemory-bytes\n32\ncpu-usec\n49\n"
	statsRaw3  = "12181\nkey-count 0\nmemory-bytes 0\ncpu-usec 0\n12182\nkey-count 1\nmemory-bytes 32\ncpu-usec 49\n"
	statsCSV   = `12181,"key-count",0,"memory-bytes",0,"cpu-usec",0,12182,"key-count",1,"memory-bytes",32,"cpu-usec",49` + "\n"
	statsTTY   = `1) 1) (integer) 12181
   2)  1) "key-count"
       2) (integer) 0
       3) "memory-bytes"
       4) (integer) 0
       5) "cpu-usec"
       6) (integer) 0
2) 1) (integer) 12182
   2)  1) "key-count"
       2) (integer) 1
       3) "memory-bytes"
       4) (integer) 32
       5) "cpu-usec"
      10) (integer) 49
`
	statsTTY3 = `1) 1) (integer) 12181
   2) 1# "key-count" => (integer) 0
      2# "memory-bytes" => (integer) 0
      3# "cpu-usec" => (integer) 0
2) 1) (integer) 12182
   2) 1# "key-count" => (integer) 1
      2# "memory-bytes" => (integer) 32
      3# "cpu-usec" => (integer) 49
`
	statsWire  = "*2\r\n*2\r\n:12181\r\n*6\r\n$9\r\nkey-count\r\n:0\r\n$12\r\nmemory-bytes\r\n:0\r\n$8\r\ncpu-usec\r\n:0\r\n*2\r\n:12182\r\n*6\r\n$9\r\nkey-count\r\n:1\r\n$12\r\nmemory-bytes\r\n:32\r\n$8\r\ncpu-usec\r\n:49\r\n"
	statsWire3 = "*2\r\n*2\r\n:12181\r\n%3\r\n$9\r\nkey-count\r\n:0\r\n$12\r\nmemory-bytes\r\n:0\r\n$8\r\ncpu-usec\r\n:0\r\n*2\r\n:12182\r\n%3\r\n$9\r\nkey-count\r\n:1\r\n$12\r\nmemory-bytes\r\n:32\r\n$8\r\ncpu-usec\r\n:49\r\n"
)

func loadOf(t testing.TB, s *Sample, metric string) []float64 {
	t.Helper()
	load, err := s.Load(metric)
	require.NoError(t, err)
	return load
}

// metricsOf returns the names of the metrics of a text, the shortest first.
func metricsOf(t testing.TB, text string) []string {
	t.Helper()
	names := sampleOf(t, text).Metrics()
	slices.SortStableFunc(names, func(a, b string) int { return len(a) - len(b) })
	return names
}

func sampleOf(t testing.TB, text string) *Sample {
	t.Helper()
	s, err := ParseSlotStatsText(text)
	require.NoError(t, err)
	return s
}

func TestSlotStatsForms(t *testing.T) {
	var decoded any
	require.NoError(t, json.Unmarshal([]byte(statsJSON), &decoded))
	want, err := ParseSlotStats(decoded)
	require.NoError(t, err)
	require.Equal(t, "12181-12182", want.Slots().String())
	require.Equal(t, []string{"cpu-usec", "key-count", "memory-bytes"}, want.Metrics())
	require.Equal(t, 49.0, loadOf(t, want, "cpu-usec")[12182])
	require.Equal(t, 32.0, sum(loadOf(t, want, "memory-bytes")))
	for _, text := range []string{statsJSON, statsJSON2, statsRaw, statsRaw3, statsCSV, statsTTY, statsTTY3, statsWire, statsWire3} {
		require.Equal(t, want, sampleOf(t, text), text)
		require.Equal(t, want, sampleOf(t, "\ufeff"+strings.ReplaceAll(text, "\n", "\r\n")+"\n\n"), text)
		// Several replies in one text.
		require.Equal(t, want, sampleOf(t, text+"\n"+text), text)
	}
	for _, v := range []any{
		[]any{[]any{"12181", map[any]any{"key-count": 0, "Memory-Bytes": "0", "cpu-usec": 0.0}}, []any{12182, []any{[]byte("key-count"), []byte("1"), "memory-bytes", uint8(32), "cpu-usec", "4.9e1"}}},
		// As Dragonfly sends it.
		[]any{[]any{12181, "key-count", 0, "memory-bytes", 0, "cpu-usec", 0}, []any{12182, "key-count", 1, "memory-bytes", 32, "cpu-usec", 49}},
	} {
		got, err := ParseSlotStats(v)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	lines := sampleOf(t, "0 30\n1 1.5\n\n16383 7\n")
	require.Equal(t, []string{"load"}, lines.Metrics())
	require.Equal(t, "0-1 16383", lines.Slots().String())
	require.Equal(t, 38.5, sum(loadOf(t, lines, "load")))
	require.Equal(t, []float64{0, 3}, loadOf(t, sampleOf(t, "0\n\tcpu-usec\t0\r\n1,cpu-usec,3"), "cpu-usec")[:2])
	require.Equal(t, 1.5, loadOf(t, sampleOf(t, "1) 1) (integer) 5\n   2) 1# \"a\" => (double) 1.5\n"), "a")[5])
	require.Equal(t, []string{")", "*", "$x", "x)"}, metricsOf(t, "5\n) 1\n* 2\n$x 3\nx) 4\n"))
	require.Equal(t, "0", sampleOf(t, "[[0,{}]]").slots.String())
	for v, want := range map[any]float64{1.5: 1.5, "2.5": 2.5, 7: 7} {
		n, ok := asNumber(v)
		require.True(t, ok)
		require.Equal(t, want, n)
	}
	for _, v := range []any{-1.5, math.NaN(), math.Inf(1), "-2.5", -7, nil} {
		_, ok := asNumber(v)
		require.False(t, ok, v)
	}
	empty, err := ParseSlotStats([]any{})
	require.NoError(t, err)
	require.Empty(t, empty.Metrics())
	require.Equal(t, "7", sampleOf(t, "[[7,{}]]").slots.String())
	require.Equal(t, "7-8", sampleOf(t, "7\n8\n").slots.String())
}

func TestSlotStatsErrors(t *testing.T) {
	many := "5\n"
	for i := range 65 {
		many += fmt.Sprintf("m%d %d\n", i, i)
	}
	full := strings.TrimSuffix(many, "m64 64\n")
	wide := map[string]any{}
	for i := range 65 {
		wide[fmt.Sprint(i)] = i
	}
	_, err := ParseSlotStats([]any{[]any{5, wide}})
	require.EqualError(t, err, "plan: stats[0][1]: has more than the limit of 64 metrics")
	for text, want := range map[string]string{
		full + "6 1\n":               `plan: line 66 "6 1": more than 64 metrics`,
		`[[16384,{}]]`:               `plan: stats[0][0]: is the number 16384, not a slot from 0 to 16383`,
		`[["x",{}]]`:                 `plan: stats[0][0]: is the text "x", not a slot from 0 to 16383`,
		"[[1,}\n\n\n":                `plan: line 1: invalid character '}' looking for beginning of value`,
		"ERR unknown command":        `plan: line 1 "ERR unknown command": "ERR" is not a slot from 0 to 16383`,
		"5\ncpu-usec 1\n16384\n":     `plan: line 3 "16384": "16384" is not a slot from 0 to 16383`,
		"5 1e400":                    `plan: line 1 "5 1e400": "1e400" is not a number of at least 0`,
		"5 -1":                       `plan: line 1 "5 -1": "-1" is not a number of at least 0`,
		"5 inf":                      `plan: line 1 "5 inf": "inf" is not a number of at least 0`,
		"5\ncpu-usec x":              `plan: line 2 "cpu-usec x": "x" is not a number of at least 0, but "cpu-usec" needs one`,
		"5\ncpu-usec -1":             `plan: line 2 "cpu-usec -1": "-1" is not a number of at least 0, but "cpu-usec" needs one`,
		"5\ncpu-usec NaN":            `plan: line 2 "cpu-usec NaN": "NaN" is not a number of at least 0, but "cpu-usec" needs one`,
		"5\ncpu-usec\n":              `plan: line 2: the text ends before the number of "cpu-usec"`,
		"5\n\"\" 5\n":                `plan: line 2 "\"\" 5": "" is not a slot from 0 to 16383`,
		"1.5 3":                      `plan: line 1 "1.5 3": "1.5" is not a slot from 0 to 16383`,
		many:                         `plan: line 66 "m64 64": more than 64 metrics`,
		`[[5,{"a":-1}]]`:             `plan: stats[0][1].a: is the number -1, not a number of at least 0`,
		`[[5,{"a":null}]]`:           `plan: stats[0][1].a: is null, not a number of at least 0`,
		`[[5,"a",1],[6,7,8]]`:        `plan: stats[1][0]: has a name that is the number 7, not text`,
		`[[5,{"a":1}],[-1,{"a":1}]]`: `plan: stats[1][0]: is the number -1, not a slot from 0 to 16383`,
		`[[5,["a"]]]`:                `plan: stats[0][1]: a list of 1 elements is not names and values`,
		`[7]`:                        `plan: stats[0]: is the number 7, not a slot and its numbers`,
		`[[]]`:                       `plan: stats[0]: is a list of 0 elements, not a slot and its numbers`,
		"[[1,{}]]\n{}":               `plan: stats: is a map, not a list`,
		"[[1,{}]]\n[[2":              `plan: stats: the text ends within its JSON`,
		"[[1,{\n]":                   `plan: line 2: invalid character ']' looking for beginning of object key string`,
	} {
		_, err := ParseSlotStatsText(text)
		var input *InputError
		require.ErrorAs(t, err, &input, text)
		require.EqualError(t, err, want, text)
	}
	for _, n := range []int{60, 61} {
		want := strings.Repeat("x", 60) + strings.Repeat("...", n-60)
		require.Equal(t, want, shorten(strings.Repeat("x", n)))
	}
	_, err = ParseSlotStats(nil)
	require.EqualError(t, err, "plan: stats: is null, not a list")
}

func TestMergeSamples(t *testing.T) {
	a, b := sampleOf(t, "5\ncpu-usec 7\nkey-count 3\n6\ncpu-usec 1\nkey-count 0"), sampleOf(t, "6\ncpu-usec 4\n9\nmemory-bytes 2")
	for _, m := range []*Sample{MergeSamples(a, b), MergeSamples(b, nil, a, a)} {
		require.Equal(t, "5-6 9", m.Slots().String())
		require.Equal(t, []string{"cpu-usec", "key-count", "memory-bytes"}, m.Metrics())
		cpu := loadOf(t, m, "cpu-usec")
		require.Equal(t, []float64{7, 4}, cpu[5:7])
	}
	require.Equal(t, 1.0, loadOf(t, a, "cpu-usec")[6], "what is merged stays")
	none := MergeSamples()
	require.Empty(t, none.Metrics())
	_, err := none.Load("x")
	require.EqualError(t, err, `plan: metric "x": must be one of none: the sample has no metrics`)
	_, err = (*Sample)(nil).Load("x")
	require.Error(t, err)
	require.Nil(t, (*Sample)(nil).Since(a))
	require.Equal(t, slotmap.Set{}, (*Sample)(nil).Slots())
	_, err = a.Load("x")
	require.EqualError(t, err, `plan: metric "x": must be one of cpu-usec, key-count`)
}

func TestSince(t *testing.T) {
	before := sampleOf(t, "5\ncpu-usec 7\nkey-count 3\n6\ncpu-usec 10\nkey-count 1\n8 \ncpu-usec 5")
	now := sampleOf(t, "5\ncpu-usec 9\nkey-count 2\n6\ncpu-usec 4\nkey-count 1\n7\ncpu-usec 3\nnew 2\n")
	d := now.Since(before)
	require.Equal(t, "5-7", d.Slots().String())
	require.Equal(t, []float64{2, 4, 3, 0}, loadOf(t, d, "cpu-usec")[5:9], "6 was counted anew, 7 is new")
	require.Equal(t, []float64{2, 1}, loadOf(t, d, "key-count")[5:7])
	require.Equal(t, 2.0, loadOf(t, d, "new")[7])
	require.Equal(t, now, now.Since(nil))
	// Levels are not subtracted, and a counter can stand still.
	for metric, want := range map[string]float64{"key-count": 7, "key_count": 7, "memory-bytes": 7, "memory_bytes": 7, "cpu-usec": 0} {
		s := sampleOf(t, "5\n"+metric+" 7\n")
		require.Equal(t, want, loadOf(t, s.Since(s), metric)[5], metric)
	}
	require.Equal(t, 9.0, loadOf(t, now, "cpu-usec")[5], "the sample stays")
}

func TestHotSlotsAndSkew(t *testing.T) {
	load := make([]float64, hashslot.Count)
	load[3], load[9], load[9000], load[16383] = 10, 40, 10, 20
	hot, err := HotSlots(load, 3)
	require.NoError(t, err)
	require.Equal(t, []SlotLoad{{9, 40, .5}, {16383, 20, .25}, {3, 10, .125}}, hot)
	for n, want := range map[int]int{-1: 0, 0: 0, 4: 4, math.MaxInt: 4} {
		hot, err := HotSlots(load, n)
		require.NoError(t, err)
		require.Len(t, hot, want)
	}
	c := parse(t, "aa h:1@2 myself,master - 0 0 1 connected 0-8191\nab h:2@3 master - 0 0 2 connected 8192-16382\nac h:3@4 master - 0 0 3 connected 16383\nad h:4@5 master - 0 0 4 connected\n")
	shards, err := ShardLoads(c, load)
	require.NoError(t, err)
	require.Equal(t, []ShardLoad{
		{"aa", "h:1", 8192, 50, .625, 1.875, SlotLoad{9, 40, .8}},
		{"ac", "h:3", 1, 20, .25, .75, SlotLoad{16383, 20, 1}},
		{"ab", "h:2", 8191, 10, .125, .375, SlotLoad{9000, 10, 1}},
	}, shards)
	// A primary may have several ranges, and a load may be small.
	load[3] = 0.5
	hot, err = HotSlots(load, 9)
	require.NoError(t, err)
	require.Equal(t, SlotLoad{3, 0.5, 0.5 / 70.5}, hot[3])
	shards, err = ShardLoads(parse(t, "aa h:1@2 myself,master - 0 0 1 connected 0-9 20-16383\nab h:2@3 master - 0 0 2 connected 10-19\n"), load)
	require.NoError(t, err)
	require.Len(t, shards, 2)
	require.Equal(t, 16374, shards[0].Slots)
	// Of equal slots the first counts, and loads of other slots do not.
	little := make([]float64, hashslot.Count)
	little[3], little[4], little[16383] = 0.25, 0.25, 1
	shards, err = ShardLoads(parse(t, "aa h:1@2 myself,master - 0 0 1 connected 0-9\nab h:2@3 master - 0 0 2 connected 10-19\n"), little)
	require.NoError(t, err)
	require.Equal(t, []ShardLoad{{"aa", "h:1", 10, .5, 1, 2, SlotLoad{3, .25, .5}}, {"ab", "h:2", 10, 0, 0, 0, SlotLoad{Slot: 10}}}, shards)
	little[3], little[4] = 0, 0
	shards, err = ShardLoads(parse(t, "aa h:1@2 myself,master - 0 0 1 connected 0-9\n"), little)
	require.NoError(t, err)
	require.Equal(t, []ShardLoad{{"aa", "h:1", 10, 0, 0, 0, SlotLoad{}}}, shards)
	// After balancing by this load, the skew is less.
	p, err := Rebalance(c, RebalanceOptions{Load: load})
	require.NoError(t, err)
	require.Less(t, slices.Max(loadsOf(p)), 50.0)
	none := parse(t, "aa h:1@2 myself,master - 0 0 1 connected\n")
	shards, err = ShardLoads(none, load)
	require.NoError(t, err)
	require.Empty(t, shards)
	_, err = HotSlots(nil, 1)
	require.EqualError(t, err, "plan: Load: must have 16384 numbers, one for each slot, not 0")
	_, err = ShardLoads(c, load[1:])
	require.EqualError(t, err, "plan: Load: must have 16384 numbers, one for each slot, not 16383")
	_, err = ShardLoads(nil, load)
	require.EqualError(t, err, "plan: Cluster: is nil")
}

func loadsOf(p Plan) (loads []float64) {
	for _, n := range p.Nodes {
		l := 0.0
		set := p.After.SlotsOf(n.ID)
		for slot := range set.Slots() {
			l += p.Load[slot]
		}
		loads = append(loads, l)
	}
	return loads
}
