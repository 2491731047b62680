package main

import (
	"bytes"
	"encoding/xml"
	"fmt"

	"github.com/hashslot/hashslot"
)

// A slotMap is a picture of all slots, each in the colour of its kind, with a
// legend.
type slotMap struct {
	title string
	unit  string // what the labels are
	kinds []slotKind
	kind  [hashslot.Count]int
	notes []string // lines below the legend
}

type slotKind struct {
	colour string
	label  string
}

const (
	mapRow  = 128 // slots in a row
	mapCell = 6   // the side of a slot, in pixels
	mapSide = mapRow * mapCell
	mapLeft = 60 // where the slots begin
	mapTop  = 70
	mapText = mapLeft + mapSide + 30 // where the legend begins
	mapLine = 20                     // from line to line of the legend
)

// svg returns the picture as a file of its own. Equal neighbours in a row are
// drawn as one bar, and each kind is one path.
func (m *slotMap) svg() []byte {
	const width = mapText + 260
	height := max(mapTop+mapSide+30, mapTop+mapLine*(len(m.kinds)+len(m.notes)+4))
	var b bytes.Buffer
	text := func(x, y int, attributes, s string) {
		fmt.Fprintf(&b, `<text x="%d" y="%d"%s>`, x, y, attributes)
		_ = xml.EscapeText(&b, []byte(s)) // a bytes.Buffer takes all
		b.WriteString("</text>\n")
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" role="img" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="13" fill="#222">`+"\n", width, height)
	b.WriteString("<title>")
	_ = xml.EscapeText(&b, []byte(m.title))
	b.WriteString("</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n")
	text(mapLeft, 32, ` font-size="18" font-weight="bold"`, m.title)

	for column := 0; column < mapRow; column += 16 {
		text(mapLeft+column*mapCell, mapTop-8, ` fill="#666"`, fmt.Sprintf("+%d", column))
	}
	for row := 0; row < hashslot.Count/mapRow; row += 8 {
		text(mapLeft-8, mapTop+row*mapCell+9, ` fill="#666" text-anchor="end"`, fmt.Sprint(row*mapRow))
	}
	paths := make([]bytes.Buffer, len(m.kinds))
	counts := make([]int, len(m.kinds))
	for slot := 0; slot < hashslot.Count; {
		kind, start := m.kind[slot], slot
		for slot < hashslot.Count && m.kind[slot] == kind && slot/mapRow == start/mapRow {
			slot++
		}
		n := slot - start
		counts[kind] += n
		fmt.Fprintf(&paths[kind], "M%d %dh%dv%dh-%[3]dz", mapLeft+start%mapRow*mapCell, mapTop+start/mapRow*mapCell, n*mapCell, mapCell)
	}
	for kind := range paths {
		if counts[kind] > 0 {
			fmt.Fprintf(&b, `<path fill="%s" shape-rendering="crispEdges" d="%s"/>`+"\n", m.kinds[kind].colour, &paths[kind])
		}
	}
	fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%[3]d" fill="none" stroke="#888"/>`+"\n", mapLeft, mapTop, mapSide)

	y := mapTop + 10
	text(mapText, y, ` font-weight="bold"`, m.unit)
	text(mapText+230, y, ` font-weight="bold" text-anchor="end"`, "slots")
	for kind, k := range m.kinds {
		y += mapLine
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="14" height="14" fill="%s" stroke="#888"/>`+"\n", mapText, y-12, k.colour)
		text(mapText+24, y, "", k.label)
		text(mapText+230, y, ` text-anchor="end"`, fmt.Sprint(counts[kind]))
	}
	y += mapLine
	for _, note := range m.notes {
		y += mapLine
		text(mapText, y, "", note)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
