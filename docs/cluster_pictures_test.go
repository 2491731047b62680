package docs_test

import (
	"fmt"
	"log"
	"strings"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap/plan/plantest"
	"github.com/hashslot/hashslot/slotmap/topology"
)

// move shows the answers that clients get while a slot moves key by key. They come from a
// simulated cluster.
func move(dark bool) string {
	const slot = 5
	view, err := topology.ParseNodes("a 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-8191\nb 10.0.0.2:6379@16379 master - 0 0 2 connected 8192-16383\n", topology.Origin{})
	if err != nil {
		log.Fatal(err)
	}
	cluster := plantest.New(view)
	conns := map[string]*plantest.Conn{}
	for _, node := range []string{"a", "b"} {
		if conns[node], err = cluster.Dial(view.Node(node).Addr()); err != nil {
			log.Fatal(err)
		}
	}
	tag := "{" + hashslot.Slot(slot).Tag() + "}"
	do := func(node, command string) (any, error) {
		words := strings.Fields(strings.NewReplacer("k1", tag+"1", "k2", tag+"2").Replace(command))
		for i := range words {
			words[i] = strings.Trim(words[i], `"`)
		}
		return conns[node].Do(words...)
	}
	for _, key := range []string{"k1", "k2"} {
		if _, err := do("a", "SET "+key+" value"); err != nil {
			log.Fatal(err)
		}
	}

	const left, width, top = 190., 158., 112.
	c := newCanvas(984, 306, "The life of a slot during a move by keys", dark)
	for i, step := range []struct {
		commands []string // each to a node
		label    []string
		gossip   bool
	}{
		{nil, []string{"A owns the slot"}, false},
		{
			[]string{"b CLUSTER SETSLOT 5 IMPORTING a", "a CLUSTER SETSLOT 5 MIGRATING b", `a MIGRATE 10.0.0.2 6379 "" 0 1000 KEYS k2`},
			[]string{"to B: SETSLOT IMPORTING", "to A: SETSLOT MIGRATING", "to A: MIGRATE k2"},
			false,
		},
		{[]string{`a MIGRATE 10.0.0.2 6379 "" 0 1000 KEYS k1`}, []string{"to A: MIGRATE k1"}, false},
		{[]string{"b CLUSTER SETSLOT 5 NODE b"}, []string{"to B: SETSLOT NODE B", "B takes a new epoch"}, false},
		{[]string{"a CLUSTER SETSLOT 5 NODE b"}, []string{"to A: SETSLOT NODE B", "others hear of it"}, true},
	} {
		for _, command := range step.commands {
			node, command, _ := strings.Cut(command, " ")
			if _, err := do(node, command); err != nil {
				log.Fatal(command, ": ", err)
			}
		}
		if step.gossip {
			cluster.Gossip()
		}
		x := left + width*float64(i)
		c.text(x+width/2, 20, c.ink, ` font-weight="bold"`, fmt.Sprint(i+1))
		for j, line := range step.label {
			c.text(x+width/2, 40+16*float64(j), c.soft, small, line)
		}
		owner, _ := cluster.Table().Lookup(slot)
		c.text(x+width/2, 100, c.ink, "", "owner: "+strings.ToUpper(owner))
		for j, question := range []string{"a GET k1", "a GET k2", "a MGET k1 k2", "b GET k2", "b ASKING GET k2", "b ASKING MGET k1 k2"} {
			y := top + 30*float64(j)
			if j > 2 {
				y += 8
			}
			node, command, _ := strings.Cut(question, " ")
			if rest, asking := strings.CutPrefix(command, "ASKING "); asking {
				if _, err := do(node, "ASKING"); err != nil {
					log.Fatal(err)
				}
				command = rest
			}
			if i == 0 {
				fmt.Fprintf(c, `<text x="%g" y="%g" text-anchor="end" fill="%s"%s font-size="12">%s: %s</text>`+"\n", left-8, y+17, c.ink, mono, strings.ToUpper(node), strings.Replace(question[2:], "ASKING ", "ASKING, ", 1))
			}
			answer, fill := "answers", c.fill[2]
			if _, err := do(node, command); err != nil {
				answer, _, _ = strings.Cut(err.Error(), " Multiple")
				answer = strings.NewReplacer("10.0.0.1:6379", "A", "10.0.0.2:6379", "B").Replace(answer)
				fill = map[topology.Action]string{topology.ActionMoved: c.fill[0], topology.ActionAsk: c.fill[1], topology.ActionRetry: c.alarm}[topology.Classify(err.Error())]
			}
			c.box(x+2, y, width-4, 26, fill)
			c.text(x+width/2, y+17, c.ink, mono+small, answer)
		}
	}
	c.WriteString("</svg>\n")
	return c.String()
}

// majority shows which clusters can fail over.
func majority(dark bool) string {
	c := newCanvas(760, 220, "Which clusters can fail over", dark)
	for i, panel := range []struct {
		title     string
		primaries []string // on each machine; the first machine stops
	}{
		{"two primaries", []string{"A", "B"}},
		{"three primaries, three machines", []string{"A", "B", "C"}},
		{"three primaries, two machines", []string{"AB", "C"}},
	} {
		x := 10 + 250*float64(i)
		all := len(strings.Join(panel.primaries, ""))
		votes, need := all-len(panel.primaries[0]), all/2+1
		c.text(x+120, 22, c.ink, "", panel.title)
		at := x + 120 - 76*float64(len(panel.primaries))/2
		for j, machine := range panel.primaries {
			fill, state := c.fill[2], "votes"
			if j == 0 {
				fill, state = c.alarm, "stopped"
			}
			c.box(at+4, 36, 68, 84, "none")
			for k, primary := range machine {
				c.box(at+12, 44+26*float64(k), 52, 22, fill)
				c.text(at+38, 60+26*float64(k), c.ink, mono, string(primary))
			}
			c.text(at+38, 112, c.soft, small, state)
			at += 76
		}
		verdict, fill := "no failover: the slots stay down", c.alarm
		if votes >= need {
			verdict, fill = "a replica of A takes over", c.fill[2]
		}
		c.text(x+120, 146, c.soft, small, fmt.Sprintf("%d of %d primaries can vote, %d must", votes, all, need))
		c.box(x+8, 158, 224, 28, fill)
		c.text(x+120, 177, c.ink, small, verdict)
	}
	c.text(380, 210, c.soft, small, "Only primaries that own slots vote. Their replicas, which have the data, do not.")
	c.WriteString("</svg>\n")
	return c.String()
}
