package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

type stepJSON struct {
	Kind     Kind       `json:"kind"`
	Node     string     `json:"node,omitempty"`
	Addr     string     `json:"addr,omitempty"`
	Peer     string     `json:"peer,omitempty"`
	PeerAddr string     `json:"peer_addr,omitempty"`
	Slots    string     `json:"slots,omitempty"`
	Database int        `json:"database,omitempty"`
	Epoch    uint64     `json:"epoch,omitempty"`
	Round    int        `json:"round,omitempty"`
	Command  []string   `json:"command,omitempty"`
	Until    Condition  `json:"until"`
	Ask      [][]string `json:"ask,omitempty"`
}

// MarshalJSON returns the step as
//
//	{"kind":"set owner","node":"id","addr":"host:port","peer":"id","peer_addr":"host:port","slots":"5 7-9",
//	 "database":1,"epoch":1,"round":1,"command":["CLUSTER",...],"until":"knows that the peer owns the slots","ask":[["CLUSTER","NODES"]]}
//
// without empty fields. The error is an [*InputError]: JSON cannot have text that is
// not UTF-8.
func (s Step) MarshalJSON() ([]byte, error) {
	for _, list := range append([][]string{{s.Node, s.Addr, s.Peer, s.PeerAddr}, s.Command}, s.Until.Ask...) {
		if err := encodable("step", list...); err != nil {
			return nil, err
		}
	}
	return json.Marshal(stepJSON{s.Kind, s.Node, s.Addr, s.Peer, s.PeerAddr, rangesText(s.Slots), s.Database, s.Epoch, s.Round, s.Command, s.Until.Condition, s.Until.Ask})
}

// encodable returns an error unless all texts are UTF-8.
func encodable(place string, texts ...string) error {
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return &InputError{Field: place, Value: s, Reason: "must be UTF-8, because JSON is"}
		}
	}
	return nil
}

// All kinds and conditions.
var (
	kinds = []Kind{KindEpoch, KindMeet, KindAssign, KindUnassign, KindReplicate, KindImporting, KindMigrating, KindMoveKeys,
		KindOwner, KindStable, KindBumpEpoch, KindExport, KindImport, KindFailover, KindWait, KindID, KindNodes}
	conditions = []Condition{untilAnswered, untilHasEpoch, untilKnowsPeer, untilNodeOwns, untilPeerOwns, untilNobodyOwns, untilImports, untilMigrates, untilClosed, untilUntaken, untilNoKeys,
		untilReplicates, untilInSync, untilIsPrimary, untilClusterOK, untilFollows, untilHighest, untilHasVersion, untilMigrated}
)

// UnmarshalJSON reads the result of [Step.MarshalJSON]. Unknown names are skipped. The
// error is an [*InputError] that names the place; it leaves s unchanged.
func (s *Step) UnmarshalJSON(text []byte) error {
	var j stepJSON
	if err := decode(text, &j); err != nil {
		return err
	}
	read := Step{j.Kind, j.Node, j.Addr, j.Peer, j.PeerAddr, nil, j.Database, j.Epoch, j.Command, Until{j.Until, j.Ask}, j.Round}
	for _, text := range strings.Fields(j.Slots) {
		r, err := slotmap.ParseRange(text)
		if err != nil {
			return &InputError{Field: "slots", Value: j.Slots, Reason: err.Error()}
		}
		read.Slots = append(read.Slots, r)
	}
	switch {
	case !slices.Contains(kinds, j.Kind):
		return &InputError{Field: "kind", Value: string(j.Kind), Reason: "is not a kind of step"}
	case !slices.Contains(conditions, j.Until):
		return &InputError{Field: "until", Value: string(j.Until), Reason: "is not a condition"}
	case j.Command == nil && j.Ask == nil:
		return &InputError{Field: "command", Reason: "is missing, and \"ask\" is missing too"}
	case j.Command != nil && (len(j.Command) == 0 || j.Command[0] == ""):
		return &InputError{Field: "command", Reason: "has no name"}
	case len(j.Ask) == 0 && !read.immediate(): // it would count as done
		return &InputError{Field: "ask", Reason: "is missing"}
	case j.Database < 0:
		return &InputError{Field: "database", Value: fmt.Sprint(j.Database), Reason: "must be at least 0"}
	case j.Round < 0:
		return &InputError{Field: "round", Value: fmt.Sprint(j.Round), Reason: "must be at least 0"}
	}
	for i, c := range j.Ask {
		if len(c) == 0 || c[0] == "" {
			return &InputError{Field: fmt.Sprintf("ask[%d]", i), Reason: "has no name"}
		}
	}
	*s = read
	return nil
}

// decode is json.Unmarshal with an error that is an *InputError.
func decode(text []byte, v any) error {
	err := json.Unmarshal(text, v)
	if err == nil {
		return nil
	}
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind):
		return &InputError{Field: kind.Field, Reason: fmt.Sprintf("cannot be a JSON %s", kind.Value)}
	case errors.As(err, &syntax):
		return &InputError{Field: fmt.Sprintf("byte %d", syntax.Offset), Reason: syntax.Error()}
	}
	return &InputError{Reason: err.Error()}
}

// in prefixes the field of an error of decode or [Step.UnmarshalJSON] with the place.
func in(place string, err error) error {
	var e *InputError
	errors.As(err, &e)
	at := *e
	at.Field = strings.TrimSuffix(place+"."+at.Field, ".")
	return &at
}

type moveJSON struct {
	From  string      `json:"from"`
	To    string      `json:"to"`
	Slots slotmap.Set `json:"slots"`
}

type nodeJSON struct {
	ID     string  `json:"id"`
	Addr   string  `json:"addr"`
	Weight float64 `json:"weight"`
}

type holdingJSON struct {
	ID    string      `json:"id"`
	Slots slotmap.Set `json:"slots"`
}

// MarshalJSON returns the plan as
//
//	{"moves":[{"from":"id","to":"id","slots":"0-5 7"}],
//	 "before":[{"id":"...","slots":"..."}],"after":[...],
//	 "nodes":[{"id":"...","addr":"host:port","weight":1}],
//	 "steps":[...],"load":[...],"warnings":["..."]}
//
// before and after have all primaries that can take part: those that own slots in the
// order of their first slots, then the others. steps are those of [Step.MarshalJSON].
// load is present only if it was balanced. The error is an [*InputError]: JSON cannot
// have text that is not UTF-8, or numbers that are not finite.
func (p Plan) MarshalJSON() ([]byte, error) {
	out := struct {
		Moves    []moveJSON    `json:"moves"`
		Before   []holdingJSON `json:"before"`
		After    []holdingJSON `json:"after"`
		Nodes    []nodeJSON    `json:"nodes"`
		Steps    []Step        `json:"steps"`
		Load     []float64     `json:"load,omitempty"`
		Warnings []string      `json:"warnings"`
	}{[]moveJSON{}, p.list(p.Before), p.list(p.After), []nodeJSON{}, append([]Step{}, p.Steps...), p.Load, append([]string{}, p.Warnings...)}
	if err := encodable("warnings", p.Warnings...); err != nil {
		return nil, err
	}
	if len(p.Load) > 0 {
		if err := checkLoad("Load", p.Load); err != nil {
			return nil, err
		}
	}
	for i, m := range p.Moves {
		if err := encodable(fmt.Sprintf("moves[%d]", i), m.From, m.To); err != nil {
			return nil, err
		}
		out.Moves = append(out.Moves, moveJSON{m.From, m.To, m.Slots})
	}
	for i, n := range p.Nodes {
		if err := encodable(fmt.Sprintf("nodes[%d]", i), n.ID, n.Addr); err != nil {
			return nil, err
		}
		if math.IsNaN(n.Weight) || math.IsInf(n.Weight, 0) {
			return nil, &InputError{Field: fmt.Sprintf("nodes[%d].weight", i), Value: fmt.Sprint(n.Weight), Reason: "must be finite"}
		}
		out.Nodes = append(out.Nodes, nodeJSON(n))
	}
	return json.Marshal(out)
}

func (p *Plan) list(t *slotmap.Table[string]) []holdingJSON {
	list := []holdingJSON{}
	at := map[string]int{}
	for r, id := range t.Ranges() {
		i, ok := at[id]
		if !ok {
			i = len(list)
			at[id] = i
			list = append(list, holdingJSON{ID: id})
		}
		list[i].Slots.AddRange(r)
	}
	for _, n := range p.Nodes {
		if _, ok := at[n.ID]; !ok {
			list = append(list, holdingJSON{ID: n.ID})
		}
	}
	return list
}

// UnmarshalJSON reads the result of [Plan.MarshalJSON]. The plan is then equal to the
// one that was written, except that empty lists are nil. UnmarshalJSON checks that moves
// and owners fit together: no slot moves twice, each slot is with its source before, and
// the moves lead from before to after. Unknown names are skipped.
//
// The error is an [*InputError] that names the place, such as "steps[3].kind"; it leaves
// p unchanged. Time and memory are in proportion to the text, and 2 KiB for each move
// and each node.
func (p *Plan) UnmarshalJSON(text []byte) error {
	var j struct {
		Moves    []json.RawMessage `json:"moves"`
		Before   []json.RawMessage `json:"before"`
		After    []json.RawMessage `json:"after"`
		Nodes    []nodeJSON        `json:"nodes"`
		Steps    []json.RawMessage `json:"steps"`
		Load     []float64         `json:"load"`
		Warnings []string          `json:"warnings"`
	}
	if err := decode(text, &j); err != nil {
		return err
	}
	read := Plan{Load: nonempty(j.Load), Warnings: nonempty(j.Warnings)}
	for _, n := range j.Nodes {
		read.Nodes = append(read.Nodes, Node(n))
	}
	var err error
	if read.Load != nil {
		if err = checkLoad("load", read.Load); err != nil {
			return err
		}
	}
	if read.Before, err = readTable("before", j.Before); err != nil {
		return err
	}
	owner := make([]string, hashslot.Count)
	for r, id := range read.Before.Ranges() {
		for slot := r.First; slot <= r.Last; slot++ {
			owner[slot] = id
		}
	}
	for i, text := range j.Moves {
		place := fmt.Sprintf("moves[%d]", i)
		var m moveJSON
		if err := decode(text, &m); err != nil {
			return in(place, err)
		}
		switch {
		case m.Slots.IsEmpty():
			return &InputError{Field: place + ".slots", Reason: "are missing"}
		case m.To == "":
			return &InputError{Field: place + ".to", Reason: "is missing"}
		case m.To == m.From:
			return &InputError{Field: place + ".to", Value: m.To, Reason: "is the source"}
		}
		read.Moves = append(read.Moves, Move{From: m.From, To: m.To, Slots: m.Slots})
	}
	if err := repeated(read.Moves); err != nil {
		return err
	}
	for i, m := range read.Moves {
		for slot := range m.Slots.Slots() {
			if owner[slot] != m.From {
				return &InputError{Field: fmt.Sprintf("moves[%d]", i), Reason: notOwned(slot, m.From)}
			}
			owner[slot] = m.To
		}
	}
	if read.After, err = readTable("after", j.After); err != nil {
		return err
	}
	for slot := range hashslot.Slot(hashslot.Count) {
		if id, _ := read.After.Lookup(slot); id != owner[slot] {
			return &InputError{Field: "after", Reason: fmt.Sprintf("slot %d is owned by %s, but the moves give it to %s", slot, orNobody(id), orNobody(owner[slot]))}
		}
	}
	for i, text := range j.Steps {
		var s Step
		if err := s.UnmarshalJSON(text); err != nil {
			return in(fmt.Sprintf("steps[%d]", i), err)
		}
		read.Steps = append(read.Steps, s)
	}
	*p = read
	return nil
}

func orNobody(id string) string {
	if id == "" {
		return "nobody"
	}
	return printable(id)
}

func nonempty[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

// readTable reads the owners of the slots.
func readTable(name string, list []json.RawMessage) (*slotmap.Table[string], error) {
	var b slotmap.Builder[string]
	var seen slotmap.Set
	for i, text := range list {
		place := fmt.Sprintf("%s[%d]", name, i)
		var h holdingJSON
		if err := decode(text, &h); err != nil {
			return nil, in(place, err)
		}
		if h.ID == "" && !h.Slots.IsEmpty() {
			return nil, &InputError{Field: place + ".id", Reason: "is missing"}
		}
		if twice := seen.Intersect(h.Slots); !twice.IsEmpty() {
			return nil, &InputError{Field: place + ".slots", Value: twice.String(), Reason: "are owned by another node as well"}
		}
		seen = seen.Union(h.Slots)
		for r := range h.Slots.Ranges() {
			b.Assign(r, h.ID)
		}
	}
	return b.Build(), nil
}
