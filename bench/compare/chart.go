package main

import (
	"bytes"
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A chart is a picture of a result. Lines differ by marks, by dashes, and by their names,
// which stand at their ends, so that colour is not needed.
type chart struct {
	name  string // of the file
	title string
	group string
	x, y  string   // the axes
	lines []string // the contenders; those that the result lacks are left out
	value func(*work, *timing) float64
	ticks []float64 // of x; if nil, x is nominal
	logX  bool
	pairs [][2]string // workloads whose lengths are fixed and unpredictable: a chart of marks in rows
}

func perUnit(w *work, t *timing) float64 {
	ns, _ := w.figure(t)
	return ns
}

func gigabytes(w *work, t *timing) float64 { return float64(w.Bytes) / perUnit(w, t) }
func millions(w *work, t *timing) float64  { return 1e3 / perUnit(w, t) }

var charts = []chart{
	{
		name: "length", title: "One key of a fixed length: time by length", group: groupOne, x: "length of the key, bytes", y: "ns a key",
		lines: []string{"Of", "Of, avx512", "Of, clmul", "Of, pmull", "Of, generic", xxh, "xxhash", redis, "rueidis", slicing},
		value: perUnit, ticks: []float64{4, 8, 16, 32, 64, 100, 200}, logX: true,
	},
	{
		name: "unpredictable", title: "One key: lengths fixed (dot) and unpredictable (square)", x: "ns a key",
		lines: []string{"Of", "Of, clmul", "Of, pmull", "Of, generic", xxh, "xxhash", slicing, redis},
		value: perUnit,
		pairs: [][2]string{{"one key, 16 bytes", "one key, unpredictable, 1..16 bytes"}, {"one key, 64 bytes", "one key, unpredictable, 1..64 bytes"}},
	},
	{
		name: "batch", title: "A batch of 32768 keys of 1 to n bytes: time a key", group: groupBatch, x: "n, bytes", y: "ns a key",
		lines: []string{"AppendOf", "AppendOf, avx2", "AppendOf, clmul", "AppendOf, pmull", "AppendOf, generic", "Of", xxh, redis},
		value: perUnit, ticks: []float64{8, 16, 32, 64, 128, 200}, logX: true,
	},
	{
		name: "checksum", title: "Checksum of a buffer: throughput by size", group: groupLong, x: "size of the buffer", y: "GB/s",
		lines: []string{"Checksum", "Checksum, avx2", "Checksum, clmul", "Checksum, pmull", "Checksum, generic", xxh, "crc64nvme", "crc32 IEEE", "xxhash", slicing, "sigurn/crc16"},
		value: gigabytes, ticks: []float64{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20}, logX: true,
	},
	{
		name: "owners", title: "From slot to owner: dependent lookups of random slots", group: groupOwners, y: "ns a lookup",
		lines: []string{"slotmap.Map", array, locked, addresses, sorted}, value: perUnit,
	},
	{
		name: "cores", title: "Keys on many cores, 8 to 32 bytes, one map of 16 owners", group: groupCores, x: "cores", y: "million keys/s",
		lines: []string{"AppendOf", "Of", "Map.LookupKey", sorted, locked, "go-redis MasterForKey"}, value: millions, logX: true,
	},
}

// has reports whether r has enough figures for the chart.
func (c chart) has(r *result) bool {
	if len(c.pairs) > 0 {
		return len(c.rows(r)) > 0
	}
	return len(c.series(r)) > 0
}

// drawCharts returns the charts of r in both colours, by name.
func drawCharts(r *result) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, c := range charts {
		if !c.has(r) {
			continue
		}
		for name, theme := range themes {
			svg, err := c.draw(r, theme)
			if err != nil {
				return nil, fmt.Errorf("chart %s, %s: %w", c.name, name, err)
			}
			out[c.name+"-"+name] = svg
		}
	}
	return out, nil
}

// A theme has the colours of a page.
type theme struct {
	paper, ink, faint, grid color.Color
	palette                 map[string]color.Color
}

func rgb(hex uint32) color.Color {
	return color.RGBA{uint8(hex >> 16), uint8(hex >> 8), uint8(hex), 255}
}

var themes = map[string]theme{
	"light": {rgb(0xffffff), rgb(0x1f2328), rgb(0x59636e), rgb(0xe3e7eb), map[string]color.Color{
		"best": rgb(0x0550ae), "ours": rgb(0x2f81c7), "plain": rgb(0x117a65), "xxh": rgb(0xbc4c00), "other": rgb(0x8250df), "client": rgb(0x57606a), "client2": rgb(0xa40e26)}},
	"dark": {rgb(0x0d1117), rgb(0xe6edf3), rgb(0x9198a1), rgb(0x2a313b), map[string]color.Color{
		"best": rgb(0x79c0ff), "ours": rgb(0x58a6ff), "plain": rgb(0x56d4b4), "xxh": rgb(0xffa657), "other": rgb(0xd2a8ff), "client": rgb(0xb1bac4), "client2": rgb(0xff7b72)}},
}

// A look is how a contender is drawn, the same in all charts.
type look struct {
	colour string
	mark   draw.GlyphDrawer
	dash   []vg.Length
	width  vg.Length
}

// lookOf finds the look by the kernel of a contender, or by its name without the kernel.
func lookOf(name string) look {
	what, kernel, _ := strings.Cut(name, ", ")
	looks := map[string]look{
		"avx512":      {"ours", draw.CrossGlyph{}, []vg.Length{8, 2}, 1.6}, // where it is not the kernel in use
		"avx2":        {"ours", draw.SquareGlyph{}, []vg.Length{6, 2}, 1.6},
		"clmul":       {"ours", draw.RingGlyph{}, []vg.Length{6, 2}, 1.6},
		"pmull":       {"ours", draw.RingGlyph{}, []vg.Length{6, 2}, 1.6},
		"generic":     {"plain", draw.PyramidGlyph{}, []vg.Length{2, 2}, 1.6},
		xxh:           {"xxh", draw.SquareGlyph{}, nil, 1.4},
		"xxhash":      {"xxh", draw.BoxGlyph{}, []vg.Length{4, 3}, 1.4},
		"crc64nvme":   {"other", draw.RingGlyph{}, nil, 1.4},
		"crc32 IEEE":  {"other", draw.CrossGlyph{}, []vg.Length{4, 3}, 1.4},
		slicing:       {"plain", draw.CrossGlyph{}, []vg.Length{1, 3}, 1.4},
		redis:         {"client", draw.TriangleGlyph{}, nil, 1.4},
		"rueidis":     {"client2", draw.PlusGlyph{}, []vg.Length{8, 2, 2, 2}, 1.4},
		array:         {"other", draw.BoxGlyph{}, []vg.Length{2, 2}, 1.4},
		sorted:        {"client2", draw.PlusGlyph{}, nil, 1.4},
		locked:        {"client", draw.TriangleGlyph{}, []vg.Length{4, 3}, 1.4},
		addresses:     {"xxh", draw.CrossGlyph{}, []vg.Length{8, 2, 2, 2}, 1.4},
		"slotmap.Map": {"best", draw.CircleGlyph{}, nil, 2},
	}
	if l, ok := looks[kernel]; ok {
		return l
	}
	if l, ok := looks[what]; ok {
		return l
	}
	switch {
	case name == "Map.LookupKey":
		return look{"ours", draw.SquareGlyph{}, []vg.Length{6, 2}, 1.6}
	case name == "sigurn/crc16":
		return look{"client", draw.TriangleGlyph{}, []vg.Length{8, 2, 2, 2}, 1.4}
	case strings.HasPrefix(name, "go-redis"):
		return look{"client2", draw.PyramidGlyph{}, []vg.Length{8, 2, 2, 2}, 1.4}
	case what == "AppendOf":
		return look{"best", diamond{}, nil, 2}
	}
	return look{"best", draw.CircleGlyph{}, nil, 2}
}

// diamond is a filled mark.
type diamond struct{}

// DrawGlyph implements gonum's GlyphDrawer.
func (diamond) DrawGlyph(c *draw.Canvas, sty draw.GlyphStyle, pt vg.Point) {
	r := sty.Radius * 1.3
	c.FillPolygon(sty.Color, []vg.Point{{X: pt.X - r, Y: pt.Y}, {X: pt.X, Y: pt.Y - r}, {X: pt.X + r, Y: pt.Y}, {X: pt.X, Y: pt.Y + r}})
}

// labelOf names a contender for readers who see only the chart.
func labelOf(r *result, name string) string {
	switch name {
	case "Of", "AppendOf", "Checksum":
		return "hashslot." + name + " (" + kernelName(r.Kernel) + ")"
	case "Map.LookupKey", "slotmap.Map":
		return "slotmap.Map"
	case redis:
		return "redisc (byte-wise)"
	case "rueidis":
		return "rueidis (byte-wise)"
	case "sigurn/crc16":
		return "sigurn/crc16 (byte-wise)"
	case array:
		return "bare array"
	case sorted:
		return "sorted ranges (go-redis)"
	case locked:
		return "locked interfaces (rueidis)"
	case addresses:
		return "locked addresses (redisc)"
	case "go-redis MasterForKey":
		return "go-redis itself"
	}
	if what, kernel, ok := strings.Cut(name, ", "); ok {
		return what + ", " + kernelName(kernel)
	}
	return name
}

func kernelName(kernel string) string {
	if kernel == "generic" {
		return "plain Go"
	}
	return kernel
}

// A series is a line.
type series struct {
	name string
	x, y []float64
}

func (c chart) series(r *result) []series {
	list := r.group(c.group)
	slices.SortStableFunc(list, func(a, b work) int { return cmp.Compare(a.X, b.X) })
	var all []series
	for _, name := range c.lines {
		s := series{name: name}
		for i := range list {
			if t := list[i].find(name); t != nil {
				x := list[i].X
				if c.nominal() {
					x = float64(i)
				}
				s.x, s.y = append(s.x, x), append(s.y, c.value(&list[i], t))
			}
		}
		if len(s.x) > 0 {
			all = append(all, s)
		}
	}
	return all
}

// nominal reports whether workloads stand side by side, with their names below.
func (c chart) nominal() bool { return c.ticks == nil && !c.logX }

// A row is a contender with its two times.
type row struct {
	head  string // of the section that begins here
	name  string
	fixed float64
	free  float64
}

func (c chart) rows(r *result) []row {
	var all []row
	for _, p := range c.pairs {
		a, b := r.find(p[0]), r.find(p[1])
		if a == nil || b == nil {
			continue
		}
		head := a.At + " and " + b.At
		for _, name := range c.lines {
			x, y := a.find(name), b.find(name)
			if x == nil || y == nil {
				continue
			}
			all = append(all, row{head, name, c.value(a, x), c.value(b, y)})
			head = ""
		}
	}
	return all
}

const (
	chartWidth  = 820
	chartHeight = 480
	labelRoom   = 205 // right of the lines
	lineHeight  = 15  // of labels
)

func (c chart) draw(r *result, t theme) ([]byte, error) {
	height := vg.Length(chartHeight)
	rows := c.rows(r)
	if len(c.pairs) > 0 {
		height = vg.Length(128 + 24*len(rows))
	}
	canvas := vgsvg.NewWith(vgsvg.UseWH(chartWidth, height))
	dc := draw.New(canvas)
	dc.SetColor(t.paper)
	dc.Fill(dc.Rectangle.Path())
	label := func(size vg.Length, ink color.Color, bold bool) draw.TextStyle {
		f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
		if bold {
			f.Weight = 2 // as golang.org/x/image/font says for bold
		}
		return draw.TextStyle{Color: ink, Font: f, Handler: text.Plain{Fonts: font.DefaultCache}, YAlign: draw.YCenter}
	}
	dc.FillText(label(15, t.ink, true), vg.Point{X: 14, Y: dc.Max.Y - 20}, c.title)
	if c.y != "" {
		dc.FillText(label(12, t.faint, false), vg.Point{X: 14, Y: dc.Max.Y - 40}, c.y+", logarithmic")
	}
	foot := label(9.5, t.faint, false)
	dc.FillText(foot, vg.Point{X: 14, Y: 22}, r.head())
	dc.FillText(foot, vg.Point{X: 14, Y: 10}, "bench/compare: "+r.command()+"; medians")

	p := plot.New()
	p.BackgroundColor = color.Transparent
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Color, a.Tick.Color = t.faint, t.faint
		a.Label.TextStyle, a.Tick.Label = label(12, t.faint, false), label(11.5, t.ink, false)
		a.Label.TextStyle.XAlign = draw.XCenter
		a.Tick.Length = 4
	}
	p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XCenter, draw.YTop
	p.Y.Tick.Label.XAlign, p.Y.Tick.Label.YAlign = draw.XRight, draw.YCenter
	p.X.Label.Text = c.x
	area := draw.Crop(dc, 14, -labelRoom, 42, -54)
	if len(c.pairs) > 0 {
		area = draw.Crop(dc, 14, -100, 42, -40)
		c.drawRows(p, r, t, rows, label)
	} else {
		c.drawLines(p, r, t, label)
	}
	p.Draw(area)
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	return finish(b.Bytes()), nil
}

// finish adds fonts of the same widths, for readers who lack the first.
func finish(svg []byte) []byte {
	return bytes.ReplaceAll(svg, []byte("font-family:Liberation Sans"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif"))
}

// logAxis puts the axis over the values, with ticks at 1, 2 and 5.
func logAxis(a *plot.Axis, low, high float64) {
	a.Scale = plot.LogScale{}
	a.Min, a.Max = low/1.15, high*1.15
	var ticks []plot.Tick
	for unit := math.Pow(10, math.Floor(math.Log10(a.Min))); unit < a.Max; unit *= 10 {
		for _, k := range []float64{1, 2, 5} {
			if v := k * unit; v >= a.Min && v <= a.Max {
				ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', 6, 64)})
			}
		}
	}
	a.Tick.Marker = plot.ConstantTicks(ticks)
}

func bounds(all []series) (x, y [2]float64) {
	x, y = [2]float64{math.Inf(1), math.Inf(-1)}, [2]float64{math.Inf(1), math.Inf(-1)}
	for _, s := range all {
		x = [2]float64{min(x[0], slices.Min(s.x)), max(x[1], slices.Max(s.x))}
		y = [2]float64{min(y[0], slices.Min(s.y)), max(y[1], slices.Max(s.y))}
	}
	return x, y
}

func (c chart) drawLines(p *plot.Plot, r *result, t theme, label func(vg.Length, color.Color, bool) draw.TextStyle) {
	all := c.series(r)
	x, y := bounds(all)
	logAxis(&p.Y, y[0], y[1])
	var ticks []plot.Tick
	switch {
	case c.nominal():
		for i, w := range r.group(c.group) {
			owners, how, _ := strings.Cut(strings.TrimPrefix(w.At, "owners="), "/")
			how = strings.NewReplacer("moved=100", "\n100 slots\nmoved", "alternating", "\nby turns").Replace(how)
			name := owners + " owners" + how
			name += strings.Repeat("\n ", 2-strings.Count(name, "\n")) // so that all labels have three lines, aligned at the first
			ticks = append(ticks, plot.Tick{Value: float64(i), Label: name})
		}
		p.X.Min, p.X.Max = -0.25, x[1]+0.1
	default:
		at := c.ticks
		if at == nil {
			at = all[0].x
		}
		for _, v := range at {
			if v >= x[0] && v <= x[1] {
				name := strconv.FormatFloat(v, 'f', -1, 64)
				if c.group == groupLong {
					name = sizeName(int(v))
				}
				ticks = append(ticks, plot.Tick{Value: v, Label: name})
			}
		}
		p.X.Scale = plot.LogScale{}
		p.X.Min, p.X.Max = x[0]/1.06, x[1]*1.02
		if x[0] == x[1] {
			p.X.Min, p.X.Max = x[0]/2, x[1]*1.1
		}
	}
	p.X.Tick.Marker = plot.ConstantTicks(ticks)
	p.Add(painter(func(dc draw.Canvas, p *plot.Plot) {
		toX, toY := p.Transforms(&dc)
		grid(dc, p.X, t, func(v float64) [2]vg.Point { return [2]vg.Point{{X: toX(v), Y: dc.Min.Y}, {X: toX(v), Y: dc.Max.Y}} })
		grid(dc, p.Y, t, func(v float64) [2]vg.Point { return [2]vg.Point{{X: dc.Min.X, Y: toY(v)}, {X: dc.Max.X, Y: toY(v)}} })
		var ends []endLabel
		// The first lines are drawn last, on top.
		for _, s := range slices.Backward(all) {
			l := lookOf(s.name)
			ink := t.palette[l.colour]
			line := make([]vg.Point, len(s.x))
			for i := range line {
				line[i] = vg.Point{X: toX(s.x[i]), Y: toY(s.y[i])}
			}
			dc.StrokeLines(draw.LineStyle{Color: ink, Width: l.width, Dashes: l.dash}, line)
			for _, pt := range line {
				dc.DrawGlyphNoClip(draw.GlyphStyle{Color: ink, Radius: 3.4, Shape: l.mark}, pt)
			}
			last := line[len(line)-1]
			ends = append(ends, endLabel{last, last.Y, s.name, ink, l.mark})
		}
		spread(ends, dc.Min.Y, dc.Max.Y)
		for _, e := range ends {
			at := vg.Point{X: dc.Max.X + 22, Y: e.y}
			dc.StrokeLine2(draw.LineStyle{Color: e.ink, Width: 0.7}, e.from.X+5, e.from.Y, at.X-8, at.Y)
			dc.DrawGlyphNoClip(draw.GlyphStyle{Color: e.ink, Radius: 3.4, Shape: e.mark}, at)
			dc.FillText(label(11.5, e.ink, false), vg.Point{X: at.X + 8, Y: at.Y}, labelOf(r, e.name))
		}
	}))
}

// An endLabel is the name beside the end of a line.
type endLabel struct {
	from vg.Point
	y    vg.Length
	name string
	ink  color.Color
	mark draw.GlyphDrawer
}

// spread moves labels apart by as little as possible: labels that touch become a block
// around the middle of their own places.
func spread(all []endLabel, low, high vg.Length) {
	slices.SortStableFunc(all, func(a, b endLabel) int { return cmp.Compare(a.from.Y, b.from.Y) })
	type block struct {
		first, n int
		bottom   vg.Length // the middle of its first label
	}
	place := func(first, n int) block {
		sum := vg.Length(0)
		for i := range n {
			sum += all[first+i].from.Y - vg.Length(i)*lineHeight
		}
		bottom := min(max(sum/vg.Length(n), low), high-vg.Length(n-1)*lineHeight)
		return block{first, n, bottom}
	}
	var blocks []block
	for i := range all {
		blocks = append(blocks, place(i, 1))
		for len(blocks) > 1 {
			a, b := blocks[len(blocks)-2], blocks[len(blocks)-1]
			if a.bottom+vg.Length(a.n)*lineHeight <= b.bottom {
				break
			}
			blocks = append(blocks[:len(blocks)-2], place(a.first, a.n+b.n))
		}
	}
	for _, b := range blocks {
		for i := range b.n {
			all[b.first+i].y = b.bottom + vg.Length(i)*lineHeight
		}
	}
}

// grid draws a line at each tick.
func grid(dc draw.Canvas, a plot.Axis, t theme, line func(float64) [2]vg.Point) {
	for _, tick := range a.Tick.Marker.Ticks(a.Min, a.Max) {
		ends := line(tick.Value)
		dc.StrokeLines(draw.LineStyle{Color: t.grid, Width: 0.8}, ends[:])
	}
}

func (c chart) drawRows(p *plot.Plot, r *result, t theme, rows []row, label func(vg.Length, color.Color, bool) draw.TextStyle) {
	low, high := math.Inf(1), math.Inf(-1)
	var ticks []plot.Tick
	y := 0.0
	places := make([]float64, len(rows))
	var heads []plot.Tick
	for i, row := range rows {
		if row.head != "" {
			heads = append(heads, plot.Tick{Value: y, Label: row.head})
			y--
		}
		places[i] = y
		ticks = append(ticks, plot.Tick{Value: y, Label: labelOf(r, row.name)})
		low, high = min(low, row.fixed, row.free), max(high, row.fixed, row.free)
		y--
	}
	logAxis(&p.X, low, high)
	p.X.Label.Text += ", logarithmic"
	p.Y.Min, p.Y.Max = y+0.4, 0.6
	p.Y.Tick.Marker = plot.ConstantTicks(ticks)
	p.Y.Tick.Length = 0
	p.Add(painter(func(dc draw.Canvas, p *plot.Plot) {
		toX, toY := p.Transforms(&dc)
		grid(dc, p.X, t, func(v float64) [2]vg.Point { return [2]vg.Point{{X: toX(v), Y: dc.Min.Y}, {X: toX(v), Y: dc.Max.Y}} })
		for _, h := range heads {
			dc.SetColor(t.paper)
			dc.Fill(vg.Rectangle{Min: vg.Point{X: dc.Min.X + 6, Y: toY(h.Value) - 8}, Max: vg.Point{X: dc.Min.X + 240, Y: toY(h.Value) + 8}}.Path())
			dc.FillText(label(12, t.ink, true), vg.Point{X: dc.Min.X + 8, Y: toY(h.Value)}, h.Label)
		}
		for i, row := range rows {
			ink := t.palette[lookOf(row.name).colour]
			at := toY(places[i])
			a, b := toX(row.fixed), toX(row.free)
			dc.StrokeLine2(draw.LineStyle{Color: t.grid, Width: 0.8}, dc.Min.X, at, min(a, b), at)
			dc.StrokeLine2(draw.LineStyle{Color: ink, Width: 2}, a, at, b, at)
			dc.DrawGlyphNoClip(draw.GlyphStyle{Color: ink, Radius: 4, Shape: draw.CircleGlyph{}}, vg.Point{X: a, Y: at})
			dc.DrawGlyphNoClip(draw.GlyphStyle{Color: t.paper, Radius: 5, Shape: draw.SquareGlyph{}}, vg.Point{X: b, Y: at})
			dc.DrawGlyphNoClip(draw.GlyphStyle{Color: ink, Radius: 5, Shape: draw.BoxGlyph{}}, vg.Point{X: b, Y: at})
			dc.FillText(label(11, t.ink, false), vg.Point{X: max(a, b) + 10, Y: at}, digits(row.fixed)+" → "+digits(row.free))
		}
	}))
}

// A painter draws into the area between the axes, and beside it.
type painter func(draw.Canvas, *plot.Plot)

// Plot implements gonum's Plotter.
func (f painter) Plot(c draw.Canvas, p *plot.Plot) { f(c, p) }
