// Draw draws the graph of imports of the module, and the graph of calls between the files
// of the root package. It writes OUT-light.svg and OUT-dark.svg.
//
//	cd internal/house && go run ./draw -root ../.. -out ../../docs/house
package main

import (
	"cmp"
	"flag"
	"fmt"
	"html"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/hashslot/hashslot/internal/house"
)

func main() {
	root := flag.String("root", "../..", "the folder of the module to draw")
	out := flag.String("out", "house", "the path of the pictures, without -light.svg")
	flag.Parse()
	if err := draw(*root, *out); err != nil {
		fmt.Fprintln(os.Stderr, "draw:", err)
		os.Exit(1)
	}
}

func draw(root, out string) error {
	packages, err := house.Packages(root)
	if err != nil {
		return err
	}
	files, err := house.Files(root)
	if err != nil {
		return err
	}
	jobs := map[string][]string{}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		jobs[house.Job(file)] = append(jobs[house.Job(file)], file)
	}
	panels := []panel{
		{"Packages: who imports whom", packages.Least(), func(name string) []string { return []string{cmp.Or(strings.Trim(name, "."), "hashslot (root)")} }},
		{"Files of the root package, by job: who calls whom", files.Group(house.Job).Least(), func(name string) []string { return jobs[name] }},
	}
	for _, t := range []theme{
		{"light", "#ffffff", "#1f2328", "#57606a", "#eef3fb", "#3b6fb6"},
		{"dark", "#0d1117", "#e6edf3", "#8b949e", "#17233a", "#6ea8fe"},
	} {
		if err := os.WriteFile(out+"-"+t.name+".svg", []byte(t.svg(panels)), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// A panel is one graph.
type panel struct {
	title string
	graph house.Graph
	lines func(name string) []string // the text of a box
}

type theme struct{ name, back, text, arrow, box, border string }

const (
	margin     = 20
	lineHeight = 15
	letter     = 7.3 // the width of one
	gap        = 18  // between boxes of a row
	rowGap     = 52
)

// svg draws the panels one below the other.
func (t theme) svg(panels []panel) string {
	var body strings.Builder
	width, y := 0.0, float64(margin)
	for _, p := range panels {
		w, h := t.panel(&body, p, y)
		width, y = max(width, w), y+h+margin
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="ui-monospace,Menlo,Consolas,monospace" font-size="12">
<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="%s"/></marker></defs>
<rect width="100%%" height="100%%" fill="%s"/>
`, width, y, t.arrow, t.back) + body.String() + "</svg>\n"
}

type box struct{ x, y, w, h float64 }

// panel draws one graph at y and returns its size: what is used stands below what
// uses it.
func (t theme) panel(b *strings.Builder, p panel, y float64) (width, height float64) {
	fmt.Fprintf(b, `<text x="%d" y="%.0f" fill="%s" font-weight="bold">%s</text>`+"\n", margin, y+12, t.text, html.EscapeString(p.title))
	boxes := map[string]box{}
	rows := p.graph.Rows()
	top := y + 30
	for _, row := range rows {
		w, h := 0.0, 0.0
		for _, name := range row {
			bx := box{w: letter*longest(p.lines(name)) + 16, h: lineHeight*float64(len(p.lines(name))) + 10}
			boxes[name] = bx
			w, h = w+bx.w+gap, max(h, bx.h)
		}
		width = max(width, w+2*margin)
		for _, name := range row {
			bx := boxes[name]
			bx.y = top
			boxes[name] = bx
		}
		top += h + rowGap
	}
	for _, row := range rows { // each in the middle
		w := -float64(gap)
		for _, name := range row {
			w += boxes[name].w + gap
		}
		x := (width - w) / 2
		for _, name := range row {
			bx := boxes[name]
			bx.x = x
			boxes[name] = bx
			x += bx.w + gap
		}
	}
	for _, from := range slices.Sorted(maps.Keys(p.graph)) {
		for _, to := range slices.Sorted(maps.Keys(p.graph[from])) {
			f, o := boxes[from], boxes[to]
			x1, y1, x2, y2 := f.x+f.w/2, f.y+f.h, o.x+o.w/2, o.y
			if f.y == o.y && f.x < o.x { // a circle: side by side
				x1, y1, x2, y2 = f.x+f.w, f.y+8, o.x, o.y+8
			} else if f.y >= o.y {
				x1, y1, x2, y2 = f.x, f.y+f.h-8, o.x+o.w, o.y+o.h-8
			}
			fmt.Fprintf(b, `<path d="M%.1f %.1fL%.1f %.1f" stroke="%s" fill="none" marker-end="url(#a)"/>`+"\n", x1, y1, x2, y2, t.arrow)
		}
	}
	for _, row := range rows {
		for _, name := range row {
			bx := boxes[name]
			fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="4" fill="%s" stroke="%s"/>`+"\n", bx.x, bx.y, bx.w, bx.h, t.box, t.border)
			for i, line := range p.lines(name) {
				fmt.Fprintf(b, `<text x="%.1f" y="%.1f" fill="%s">%s</text>`+"\n", bx.x+8, bx.y+16+lineHeight*float64(i), t.text, html.EscapeString(line))
			}
		}
	}
	return width, top - rowGap - y + 10
}

func longest(lines []string) float64 {
	n := 0
	for _, line := range lines {
		n = max(n, len(line))
	}
	return float64(n)
}
