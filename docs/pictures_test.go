package docs_test

import (
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/crc16"
	"github.com/hashslot/hashslot/hashtag"
)

var update = flag.Bool("update", false, "draw the pictures anew")

// A canvas is an SVG for a light or a dark page.
type canvas struct {
	strings.Builder
	ink, soft string    // ink is for text and lines, soft for what matters less
	fill      [3]string // of three owners
	alarm     string
}

func newCanvas(width, height int, title string, dark bool) *canvas {
	c := &canvas{ink: "#1f2328", soft: "#59636e", fill: [3]string{"#b6d9f2", "#f6d6a8", "#c9e5bc"}, alarm: "#f5c0bc"}
	if dark {
		c.ink, c.soft, c.fill, c.alarm = "#f0f6fc", "#9198a1", [3]string{"#1f4f73", "#6e4a14", "#2f5a23"}, "#7a2f2b"
	}
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" font-family="system-ui, sans-serif" font-size="14">`+"\n", width, height)
	fmt.Fprintf(c, "<title>%s</title>\n", title)
	return c
}

// text writes a line whose middle is at x.
func (c *canvas) text(x, y float64, color, style, line string) {
	fmt.Fprintf(c, `<text x="%g" y="%g" text-anchor="middle" fill="%s"%s>%s</text>`+"\n", x, y, color, style, line)
}

func (c *canvas) box(x, y, width, height float64, fill string) {
	fmt.Fprintf(c, `<rect x="%g" y="%g" width="%g" height="%g" rx="3" fill="%s" stroke="%s"/>`+"\n", x, y, width, height, fill, c.soft)
}

// arrow draws a line with a head at its end.
func (c *canvas) arrow(x1, y1, x2, y2 float64) {
	fmt.Fprintf(c, `<path d="M%g %gL%g %g" stroke="%s" stroke-width="1.5"/>`+"\n", x1, y1, x2, y2, c.soft)
	if y1 == y2 {
		fmt.Fprintf(c, `<path d="M%g %gl-8 -4v8z" fill="%s"/>`+"\n", x2, y2, c.soft)
	} else {
		fmt.Fprintf(c, `<path d="M%g %gl-4 -8h8z" fill="%s"/>`+"\n", x2, y2, c.soft)
	}
}

const mono = ` font-family="ui-monospace, monospace"`

// way shows how a key finds its node.
func way(dark bool) string {
	const key = "user:{123}:profile"
	c := newCanvas(760, 190, "From a key to its node", dark)
	tag, sum, slot := hashtag.Of(key), crc16.ChecksumString(hashtag.Of(key)), hashslot.Of(key)
	for _, step := range []struct {
		x     float64
		value string
		label string
	}{
		{110, key, "the key"},
		{300, tag, "its hash tag"},
		{450, fmt.Sprintf("%#04x", sum), "CRC-16 of the tag"},
		{640, fmt.Sprint(slot), "the hash slot: mod 16384"},
	} {
		c.text(step.x, 38, c.ink, mono, step.value)
		c.text(step.x, 62, c.soft, "", step.label)
	}
	c.arrow(195, 33, 265, 33)
	c.arrow(330, 33, 405, 33)
	c.arrow(495, 33, 600, 33)
	const left, width = 20., 720.
	x := func(slot int) float64 { return left + width*float64(slot)/16384 }
	for i, from := range []int{0, 5461, 10923} {
		to := []int{5461, 10923, 16384}[i]
		c.box(x(from), 110, x(to)-x(from), 34, c.fill[i])
		c.text((x(from)+x(to))/2+40, 132, c.ink, mono, fmt.Sprintf("10.0.0.%d:6379", i+1))
		c.text((x(from)+x(to))/2, 164, c.soft, ` font-size="12"`, fmt.Sprintf("slots %d to %d", from, to-1))
	}
	at := x(int(slot))
	fmt.Fprintf(c, `<path d="M640 70V88H%g V100" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", at, c.soft)
	c.arrow(at, 98, at, 109)
	c.WriteString("</svg>\n")
	return c.String()
}

// word shows a block of a Table, its word, and how a lookup reads it.
func word(dark bool) string {
	const n, k = 6, 11
	const block = n<<4 + 16 - k
	c := newCanvas(760, 150, "A block of 16 slots and its word", dark)
	c.text(380, 22, c.ink, "", fmt.Sprintf("The first %d slots have owner %d, the others owner %d: the word is %[2]d·16 + 16 − %[1]d = %[4]d", k, n, n+1, block))
	for i := range 16 {
		owner := n
		if i >= k {
			owner = n + 1
		}
		x := 150 + 36*float64(i)
		c.text(x+18, 56, c.soft, mono+` font-size="12"`, fmt.Sprint(i))
		c.box(x, 64, 36, 26, c.fill[owner-n])
		c.text(x+18, 82, c.ink, mono, fmt.Sprint(owner))
		c.text(x+18, 112, c.soft, mono+` font-size="12"`, fmt.Sprint(block+i))
		c.text(x+18, 134, c.ink, mono+` font-size="12"`, fmt.Sprint((block+i)>>4))
	}
	for i, label := range []string{"place i in the block", "owner", "word + i", "(word + i) / 16"} {
		fmt.Fprintf(c, `<text x="140" y="%d" text-anchor="end" fill="%s" font-size="12">%s</text>`+"\n", []int{56, 82, 112, 134}[i], c.soft, label)
	}
	c.WriteString("</svg>\n")
	return c.String()
}

// TestPictures checks that the committed pictures are those that these files draw.
func TestPictures(t *testing.T) {
	for name, draw := range map[string]func(dark bool) string{
		"way": way, "word": word, "division": division, "gaps": gaps, "fold": fold, "lanes": lanes, "move": move, "majority": majority,
	} {
		for theme, dark := range map[string]bool{"light": false, "dark": true} {
			file := name + "-" + theme + ".svg"
			want := draw(dark)
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
			}
			got, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, want, strings.ReplaceAll(string(got), "\r\n", "\n"), "%s is old: run this test with -update", file)
			for d := xml.NewDecoder(strings.NewReader(want)); ; {
				if _, err := d.Token(); err == io.EOF {
					break
				} else {
					require.NoError(t, err, file)
				}
			}
		}
	}
}
