package fuzz

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/hashslot/hashslot/slotmap/plan"
)

// FuzzPlanJSON reads plans. A plan that can be read is the same after it is written and
// read again. Any other input gives an error that names the place.
func FuzzPlanJSON(f *testing.F) {
	f.Add([]byte(`{"moves":[{"from":"a","to":"b","slots":"5-9"}],"before":[{"id":"a","slots":"0-9"}],"after":[{"id":"a","slots":"0-4"},{"id":"b","slots":"5-9"}],
		"nodes":[{"id":"a","addr":"h:1","weight":0.5}],"steps":[{"kind":"wait","node":"a","until":"is a primary","ask":[["CLUSTER","NODES"]]}],"warnings":["x"]}`))
	f.Add([]byte(`{"steps":[{"kind":"export","slots":"5 7-9","round":1,"command":["A"],"until":"has answered without an error"}]}`))
	f.Add([]byte(`{"moves":[{"to":"\u0001","slots":"5"}],"after":[{"id":"\u0001","slots":"5"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var p plan.Plan
		if err := p.UnmarshalJSON(text); err != nil {
			var input *plan.InputError
			if !errors.As(err, &input) {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		first, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var again plan.Plan
		if err := json.Unmarshal(first, &again); err != nil {
			t.Fatalf("%s: %v", first, err)
		}
		second, err := json.Marshal(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%s\n%s %v", first, second, err)
		}
		if p.Summary() == "" {
			t.Fatal("no summary")
		}
		for _, s := range p.Steps {
			if bytes.ContainsAny([]byte(s.String()), "\n\x1b") {
				t.Fatalf("%q", s.String())
			}
		}
	})
}

// FuzzJobs reads replies about migrations, and replies that a step waits for.
func FuzzJobs(f *testing.F) {
	f.Add([]byte(`[{"name":"j","operation":"EXPORT","slot_ranges":"5","source_node":"a","target_node":"b","state":"success"}]`), "a h:1@1 myself,master - 0 0 1 connected 5\n")
	f.Add([]byte(`[["id","t","slots","5 7-9","source","b","dest","a","operation","import","state","failed","end_time",-1]]`), "b h:1@1 master - 0 0 1 connected 5 [7->-a]\n")
	f.Add([]byte(`["k"]`), "role:slave\nmaster_link_status:up\n")
	f.Fuzz(func(t *testing.T, text []byte, nodes string) {
		var reply any
		if json.Unmarshal(text, &reply) != nil {
			return
		}
		jobs, err := plan.ParseJobs(reply)
		var input *plan.InputError
		if err != nil && !errors.As(err, &input) {
			t.Fatalf("%T %v", err, err)
		}
		for _, j := range jobs {
			if j.State == "" || j.Slots.IsEmpty() {
				t.Fatalf("%+v", j)
			}
		}
		for _, kind := range []plan.Kind{plan.KindExport, plan.KindImport, plan.KindMoveKeys, plan.KindReplicate, plan.KindWait} {
			for _, c := range []string{
				"knows that the peer owns the slots", "owns the slots", "has no keys of the slot", "is a replica of the peer, in sync",
				"is a primary, or a replica in sync", "imports the slot", "migrates the slot", "has the slot closed", "knows the peer",
			} {
				s := plan.Step{Node: "a", Peer: "b"}
				if err := json.Unmarshal(fmt.Appendf(nil, `{"kind":%q,"node":"a","peer":"b","until":%q,"ask":[["X"],["Y"]]}`, kind, c), &s); err != nil {
					t.Fatal(err)
				}
				s.UnmarshalJSON([]byte(`{"kind":"wait"}`)) // refused: it stays as it is
				if p, why := s.Progress(reply, nodes); p == plan.ProgressFailed && why == "" {
					t.Fatalf("%s %s has failed, and does not say why", kind, c)
				}
			}
		}
	})
}
