package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashslot/hashslot"
)

// A slotMap is a picture of all slots, each in the colour of its kind, with a
// legend.
type slotMap struct {
	title   string
	columns []string // of the legend, in front of the number of slots
	detail  string   // the column behind it; "" for none
	kinds   []slotKind
	kind    [hashslot.Count]int
	open    []hashslot.Slot // those with a mark on top
	notes   []string        // lines below the legend
}

type slotKind struct {
	colour string
	cells  []string // one for each column
	detail string
}

// hatched is a colour that no other looks like.
const hatched = "url(#hatched)"

const hatch = `<defs><pattern id="hatched" width="6" height="6" patternUnits="userSpaceOnUse"><rect width="6" height="6" fill="#fff"/><line x1="0" y1="6" x2="6" y2="0" stroke="#d00"/></pattern></defs>` + "\n"

const (
	mapRow  = 128 // slots in a row
	mapCell = 6   // the side of a slot, in pixels
	mapSide = mapRow * mapCell
	mapLeft = 60 // where the slots begin
	mapTop  = 70
	mapText = mapLeft + mapSide + 30 // where the legend begins
	mapLine = 20                     // from line to line of the legend
	mapChar = 8                      // what a character takes, more or less
	mapMark = 4                      // the side of the mark of an open slot
)

// svg returns the picture as a file of its own. Equal neighbours in a row are
// drawn as one bar, and each kind is one path.
func (m *slotMap) svg() []byte {
	at, number, detail, width := m.layout()
	height := max(mapTop+mapSide+30, mapTop+mapLine*(len(m.kinds)+len(m.notes)+5))
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
	if slices.ContainsFunc(m.kinds, func(k slotKind) bool { return k.colour == hatched }) {
		b.WriteString(hatch)
	}
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
			fmt.Fprintf(&b, `<path fill="%s" shape-rendering="crispEdges" d="%s"><title>`, m.kinds[kind].colour, &paths[kind])
			_ = xml.EscapeText(&b, []byte(strings.Join(m.kinds[kind].cells, " ")))
			b.WriteString("</title></path>\n")
		}
	}
	for _, slot := range m.open {
		const inset = (mapCell - mapMark) / 2
		fmt.Fprintf(&b, `<rect class="open" x="%d" y="%d" width="%d" height="%[3]d" fill="#000" stroke="#fff"/>`+"\n",
			mapLeft+int(slot)%mapRow*mapCell+inset, mapTop+int(slot)/mapRow*mapCell+inset, mapMark)
	}
	fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%[3]d" fill="none" stroke="#888"/>`+"\n", mapLeft, mapTop, mapSide)

	y := mapTop + 10
	row := func(attributes string, cells []string, n, ranges string) {
		for i, cell := range cells {
			text(at[i], y, attributes, cell)
		}
		text(number, y, attributes+` text-anchor="end"`, n)
		if m.detail != "" {
			text(detail, y, attributes, ranges)
		}
	}
	row(` font-weight="bold"`, m.columns, "slots", m.detail)
	for kind, k := range m.kinds {
		y += mapLine
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="14" height="14" fill="%s" stroke="#888"/>`+"\n", mapText, y-12, k.colour)
		row("", k.cells, fmt.Sprint(counts[kind]), k.detail)
	}
	if len(m.open) > 0 {
		y += mapLine
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%[3]d" fill="#000"/>`+"\n", mapText+5, y-7, mapMark)
		text(at[0], y, "", "open, on top of the colour")
		text(number, y, ` text-anchor="end"`, fmt.Sprint(len(m.open)))
	}
	y += mapLine
	for _, note := range m.notes {
		y += mapLine
		text(mapText, y, "", note)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// layout returns where the columns of the legend begin, where the number of
// slots ends and the detail begins, and the width of the picture.
func (m *slotMap) layout() (at []int, number, detail, width int) {
	x := mapText + 24
	for i, title := range m.columns {
		at = append(at, x)
		longest := utf8.RuneCountInString(title)
		for _, k := range m.kinds {
			longest = max(longest, utf8.RuneCountInString(k.cells[i]))
		}
		x += longest*mapChar + 12
	}
	number = max(mapText+230, x+48)
	detail = number + 20
	width = number + 30
	if m.detail != "" {
		for _, k := range m.kinds {
			width = max(width, detail+mapChar*utf8.RuneCountInString(k.detail)+20)
		}
	}
	for _, note := range m.notes {
		width = max(width, mapText+mapChar*utf8.RuneCountInString(note)+20)
	}
	return at, number, detail, width
}
