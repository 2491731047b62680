package plan

import "slices"

// inRounds numbers the rounds of the steps of the kind [KindImport], from 1, so that no
// node is in two steps of a round. It sorts these steps by round, after all others.
//
// It is a colouring of edges, from node to peer: each edge gets a colour that is
// free at both its ends. If there is none, the colours of a path are exchanged: a
// is free at one end and b at the other; the edges in turn of a and b that begin
// at the other end change their colours, and then a is free there as well. If
// no node is both a source and a target, the path never ends at the first end,
// and there are no more rounds than the busiest node has steps. Else it may,
// and then the edge gets a new colour.
func inRounds(steps []Step) {
	edges := map[string]map[int]int{} // of each node: the step with the colour
	free := func(node string, from int) int {
		for edges[node] == nil {
			edges[node] = map[int]int{}
		}
		for {
			if _, used := edges[node][from]; !used {
				return from
			}
			from++
		}
	}
	other := func(i int, node string) string {
		if steps[i].Node == node {
			return steps[i].Peer
		}
		return steps[i].Node
	}
	for i := range steps {
		s := &steps[i]
		if s.Kind != KindImport {
			continue
		}
		a, b := free(s.Node, 1), free(s.Peer, 1)
		// Walk from the peer along a, b, a ...
		path, at := []int(nil), s.Peer
		for colour := a; a != b; colour = a + b - colour {
			k, ok := edges[at][colour]
			if !ok {
				break
			}
			path = append(path, k)
			at = other(k, at)
		}
		if at == s.Node && len(path) > 0 {
			for a = 1; free(s.Node, a) != a || free(s.Peer, a) != a; a++ {
			}
			path = nil
		}
		for _, k := range path {
			delete(edges[steps[k].Node], steps[k].Round)
			delete(edges[steps[k].Peer], steps[k].Round)
		}
		for _, k := range path {
			steps[k].Round = a + b - steps[k].Round
			edges[steps[k].Node][steps[k].Round] = k
			edges[steps[k].Peer][steps[k].Round] = k
		}
		s.Round = a
		edges[s.Node][a], edges[s.Peer][a] = i, i
	}
	slices.SortStableFunc(steps, func(x, y Step) int { return x.Round - y.Round })
}
