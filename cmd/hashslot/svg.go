package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/slotmap"
)

// A slotMap is a picture of all slots with a legend. Each slot has the colour of its
// kind.
type slotMap struct {
	title   string
	theme   string   // auto, light or dark
	columns []string // of the legend, before the number of slots
	detail  string   // the column after the number of slots; "" for none
	kinds   []slotKind
	kind    [hashslot.Count]int
	legend  []legendRow     // nil: a row for each kind
	labels  bool            // kinds have their numbers, from 1, on the map where there is room
	open    []hashslot.Slot // those with a mark on top
	notes   []string        // lines below the legend
}

type slotKind struct {
	colour string
	mark   string   // on top of the colour: the name of a mark; "" for none
	cells  []string // one for each column
	detail string
}

// A legendRow is the row of one kind or of several.
type legendRow struct {
	slotKind
	slots int
}

// hatched is a pattern that cannot be taken for a colour.
const hatched = "url(#hatched)"

// marks are patterns on top of the colour of slots. They can be seen without colours.
var marks = []struct{ name, body string }{
	{"failed", `<path d="M0 0L12 12M12 0L0 12" stroke="#fff" stroke-width="4"/><path d="M0 0L12 12M12 0L0 12" stroke="#000" stroke-width="2"/>`},
	{"suspected", `<path d="M-3 3L3 -3M0 12L12 0M9 15L15 9" stroke="#fff" stroke-width="4"/><path d="M-3 3L3 -3M0 12L12 0M9 15L15 9" stroke="#000" stroke-width="2"/>`},
	{"loading", `<circle cx="6" cy="6" r="3.5" fill="#fff"/><circle cx="6" cy="6" r="2.5"/>`},
	{"bare", `<path d="M0 9H12" stroke="#fff" stroke-width="3"/><path d="M0 9H12" stroke="#000" stroke-width="1.5"/>`},
}

const (
	mapRow    = 128 // slots in a row
	mapCell   = 6   // the side of a slot, in pixels
	mapSide   = mapRow * mapCell
	mapLeft   = 84 // where the slots begin
	mapTop    = 90
	mapText   = mapLeft + mapSide + 30 // where the legend begins
	mapLine   = 20                     // the height of a line of the legend
	mapChar   = 9                      // about the width of a character
	mapMark   = 4                      // the side of the mark of an open slot
	mapLegend = 40                     // lines in a column of the legend
	mapLabel  = 3 * mapRow             // slots of one range that are enough for a label
)

// style returns the colours of everything but slots.
func style(theme string) string {
	const light = `text,.ink{fill:#222}.soft{fill:#666}.paper{fill:#fff}.none{fill:#efefef}.frame{stroke:#888}`
	const dark = `text,.ink{fill:#e6e6e6}.soft{fill:#a5a5a5}.paper{fill:#14161a}.none{fill:#2b2f36}.frame{stroke:#999}`
	const label = `.label{fill:#000;stroke:#fff;stroke-width:3px;paint-order:stroke}`
	switch theme {
	case "light":
		return light + label
	case "dark":
		return dark + label
	}
	return light + "@media (prefers-color-scheme:dark){" + dark + "}" + label
}

// themes are the values of -theme.
var themes = []string{"auto", "light", "dark"}

// svg returns the picture as a file of its own.
func (m *slotMap) svg() []byte {
	var b svgBuffer
	bars := m.bars()
	rows := m.legend
	if rows == nil {
		for i, k := range m.kinds {
			rows = append(rows, legendRow{k, bars[i].slots})
		}
	}
	l := m.layout(rows)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" role="img" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="13">`+"\n<title>", l.width, l.height)
	b.escape(m.title)
	fmt.Fprintf(&b, "</title>\n<style>%s</style>\n<defs>", style(m.theme))
	if slices.ContainsFunc(rows, func(r legendRow) bool { return r.colour == hatched }) {
		b.WriteString(`<pattern id="hatched" width="6" height="6" patternUnits="userSpaceOnUse"><rect width="6" height="6" fill="#fff"/><line x1="0" y1="6" x2="6" y2="0" stroke="#d00"/></pattern>`)
	}
	for _, mark := range marks {
		if slices.ContainsFunc(m.kinds, func(k slotKind) bool { return k.mark == mark.name }) {
			fmt.Fprintf(&b, `<pattern id="%s" width="12" height="12" patternUnits="userSpaceOnUse">%s</pattern>`, mark.name, mark.body)
		}
	}
	b.WriteString("</defs>\n<rect width=\"100%\" height=\"100%\" class=\"paper\"/>\n")
	b.text(mapLeft, 32, ` font-size="18" font-weight="bold"`, m.title)
	b.axes()
	m.drawSlots(&b, bars)
	m.drawLegend(&b, l, rows)
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// An svgBuffer is where an SVG is written.
type svgBuffer struct{ bytes.Buffer }

func (b *svgBuffer) escape(s string) { _ = xml.EscapeText(b, []byte(s)) } // writing to a bytes.Buffer does not fail

func (b *svgBuffer) text(x, y int, attributes, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d"%s>`, x, y, attributes)
	b.escape(s)
	b.WriteString("</text>\n")
}

// axes writes the numbers of rows and columns.
func (b *svgBuffer) axes() {
	b.text(mapLeft+mapSide/2, mapTop-28, ` class="soft" text-anchor="middle"`, "slot, counted from the first of its row")
	for column := 0; column < mapRow; column += 16 {
		b.text(mapLeft+column*mapCell, mapTop-8, ` class="soft"`, fmt.Sprintf("+%d", column))
	}
	b.text(0, 0, fmt.Sprintf(` class="soft" text-anchor="middle" transform="translate(20 %d) rotate(-90)"`, mapTop+mapSide/2), "first slot of the row")
	for row := 0; row < hashslot.Count/mapRow; row += 8 {
		b.text(mapLeft-8, mapTop+row*mapCell+9, ` class="soft" text-anchor="end"`, fmt.Sprint(row*mapRow))
	}
}

// A kindBars has the slots of one kind, as bars.
type kindBars struct {
	path    bytes.Buffer // equal neighbours in a row are one bar
	slots   int
	longest slotmap.Range
}

// bars returns the slots of each kind.
func (m *slotMap) bars() []kindBars {
	bars := make([]kindBars, len(m.kinds))
	for slot := 0; slot < hashslot.Count; {
		kind, start := m.kind[slot], slot
		for slot < hashslot.Count && m.kind[slot] == kind {
			slot++
		}
		k := &bars[kind]
		r := slotmap.Range{First: hashslot.Slot(start), Last: hashslot.Slot(slot - 1)}
		if r.Len() > k.longest.Len() { // a single slot has no label
			k.longest = r
		}
		k.slots += r.Len()
		for start < slot {
			n := min(slot, start/mapRow*mapRow+mapRow) - start
			fmt.Fprintf(&k.path, "M%d %dh%dv%dh-%[3]dz", mapLeft+start%mapRow*mapCell, mapTop+start/mapRow*mapCell, n*mapCell, mapCell)
			start += n
		}
	}
	return bars
}

// drawSlots draws each kind as one path, the open slots and the labels on top.
func (m *slotMap) drawSlots(b *svgBuffer, bars []kindBars) {
	for kind, k := range m.kinds {
		if bars[kind].slots == 0 {
			continue
		}
		fmt.Fprintf(b, `<path %s shape-rendering="crispEdges" d="%s"><title>`, fill(k.colour), &bars[kind].path)
		b.escape(strings.Join(k.cells, " "))
		b.WriteString("</title></path>\n")
		if k.mark != "" {
			fmt.Fprintf(b, `<path class="mark" fill="url(#%s)" pointer-events="none" d="%s"/>`+"\n", k.mark, &bars[kind].path)
		}
	}
	for _, slot := range m.open {
		const inset = (mapCell - mapMark) / 2
		fmt.Fprintf(b, `<rect class="open" x="%d" y="%d" width="%d" height="%[3]d" fill="#000" stroke="#fff"/>`+"\n",
			mapLeft+int(slot)%mapRow*mapCell+inset, mapTop+int(slot)/mapRow*mapCell+inset, mapMark)
	}
	for kind, k := range m.kinds {
		if r := bars[kind].longest; m.labels && k.cells[0] != "" && r.Len() >= mapLabel {
			b.text(mapLeft+mapSide/2, mapTop+(int(r.First)+int(r.Last))/2/mapRow*mapCell+9, ` class="label" text-anchor="middle" font-weight="bold" pointer-events="none"`, k.cells[0])
		}
	}
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%[3]d" fill="none" class="frame"/>`+"\n", mapLeft, mapTop, mapSide)
}

// drawLegend writes the legend and the notes below it.
func (m *slotMap) drawLegend(b *svgBuffer, l legendLayout, rows []legendRow) {
	y := mapTop
	line := func(x int, attributes string, cells []string, n, detail string) {
		for i, cell := range cells {
			b.text(x+l.at[i], y, attributes, cell)
		}
		b.text(x+l.number, y, attributes+` text-anchor="end"`, n)
		if l.detail > 0 {
			b.text(x+l.detail, y, attributes, detail)
		}
	}
	for i, r := range rows {
		x := mapText + i/mapLegend*l.column
		if i%mapLegend == 0 {
			y = mapTop + 10
			line(x, ` font-weight="bold"`, m.columns, "slots", m.detail)
		}
		y += mapLine
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="14" height="14" %s />`+"\n", x, y-12, fill(r.colour))
		if r.mark != "" { // translate moves the origin of the pattern to the square
			fmt.Fprintf(b, `<g transform="translate(%d %d)"><rect class="mark" width="12" height="12" fill="url(#%s)"/></g>`+"\n", x+1, y-11, r.mark)
		}
		line(x, "", r.cells, fmt.Sprint(r.slots), r.detail)
	}
	y = mapTop + 10 + mapLine*min(len(rows), mapLegend)
	if len(m.open) > 0 {
		y += mapLine
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%[3]d" class="ink"/>`+"\n", mapText+5, y-7, mapMark)
		b.text(mapText+l.at[0], y, "", "open, on top of the colour")
		b.text(mapText+l.number, y, ` text-anchor="end"`, fmt.Sprint(len(m.open)))
	}
	y += mapLine
	for _, note := range m.notes {
		y += mapLine
		b.text(mapText, y, "", note)
	}
}

// fill returns the attribute for a colour; "" stands for slots that show nothing.
func fill(colour string) string {
	if colour == "" {
		return `class="none"`
	}
	return `fill="` + colour + `"`
}

// A legendLayout has the positions in the legend, from the left of a block of lines:
// where the columns begin, where the number of slots ends and where the detail begins.
// It also has the width of a block and the size of the picture.
type legendLayout struct {
	at                     []int
	number, detail, column int
	width, height          int
}

func (m *slotMap) layout(rows []legendRow) (l legendLayout) {
	x := 24
	for i, title := range m.columns {
		l.at = append(l.at, x)
		longest := utf8.RuneCountInString(title)
		for _, r := range rows {
			longest = max(longest, utf8.RuneCountInString(r.cells[i]))
		}
		x += longest*mapChar + 12
	}
	columns := (len(rows) + mapLegend - 1) / mapLegend
	l.number = x + 48
	end := l.number + 10
	if m.detail != "" && columns <= 1 {
		l.number = max(l.number, 230)
		l.detail = l.number + 20
		end = l.detail + mapChar*len(m.detail)
		for _, r := range rows {
			end = max(end, l.detail+mapChar*utf8.RuneCountInString(r.detail))
		}
	}
	l.column = end + 30
	l.width = mapText + max(1, columns)*l.column
	for _, note := range m.notes {
		l.width = max(l.width, mapText+mapChar*utf8.RuneCountInString(note)+20)
	}
	l.height = max(mapTop+mapSide+30, mapTop+mapLine*(min(len(rows), mapLegend)+len(m.notes)+5))
	return l
}
