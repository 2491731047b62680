package plan

import "slices"

// inRounds numbers the rounds of the steps of the kind [KindImport], from 1, so that no
// node is in two steps of a round. It sorts these steps by round, after all others.
//
// The rounds are the colours of an edge colouring: each step is an edge from its node to
// its peer, and edges that share a node have different colours. Let a be the first colour
// that is free at the node, and b the first that is free at the peer. If they differ, the
// path that begins at the peer, with edges of the colours a, b, a and so on, exchanges
// its two colours. Then a is free at both ends.
//
// If no node is both a source and a target, the path never ends at the node, and there
// are no more rounds than the busiest node has steps. Otherwise it may end there. Then
// the path keeps its colours, and the edge gets the first colour that is free at both
// ends.
func inRounds(steps []Step) {
	edges := map[string]map[int]int{} // of each node: the step with the colour
	least := map[string]int{}         // of each node: all colours below are used
	free := func(node string, from int) int {
		for {
			if _, used := edges[node][from]; !used {
				return from
			}
			from++
		}
	}
	// lowest returns the first colour that is free at the node.
	lowest := func(node string) int {
		if edges[node] == nil {
			edges[node] = map[int]int{}
		}
		least[node] = free(node, max(least[node], 1))
		return least[node]
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
		a, b := lowest(s.Node), lowest(s.Peer)
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
		if at == s.Node {
			for free(s.Node, a) != a || free(s.Peer, a) != a {
				a++
			}
			path, at = nil, s.Peer
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
		// The end of the path has one colour less, and another more.
		least[at] = min(least[at], a, b)
		s.Round = a
		edges[s.Node][a], edges[s.Peer][a] = i, i
	}
	slices.SortStableFunc(steps, func(x, y Step) int { return x.Round - y.Round })
}
