package docs_test

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/hashslot/hashslot"
	"github.com/hashslot/hashslot/crc16"
	"github.com/hashslot/hashslot/hashtag"
)

const small = ` font-size="12"`

// division shows the long division of one byte, as on paper.
func division(dark bool) string {
	const message = "a"
	const p, width = 1<<16 | 1<<12 | 1<<5 | 1, 24
	c := newCanvas(760, 308, "The division of a message by P", dark)
	digits := func(y float64, color string, n uint64, from, to int) { // bits from..to-1, the highest is bit 0
		for i := from; i < to; i++ {
			c.text(250+14*float64(i), y, color, mono, fmt.Sprint(n>>(width-1-i)&1))
		}
	}
	label := func(y float64, line string) {
		fmt.Fprintf(c, `<text x="230" y="%g" text-anchor="end" fill="%s" font-size="12">%s</text>`+"\n", y, c.soft, line)
	}
	rest := uint64(message[0]) << 16
	c.box(241, 10, 8*14, 20, c.fill[0])
	c.box(241+8*14, 10, 16*14, 20, c.fill[1])
	digits(25, c.ink, rest, 0, width)
	label(25, fmt.Sprintf("%q, and 16 zeros: times x^16", message))
	y := 48.
	for i := range 8 {
		if rest>>(width-1-i)&1 == 0 {
			continue
		}
		digits(y, c.soft, p<<(7-i), i, i+17)
		label(y, fmt.Sprintf("XOR P at the highest 1, x^%d", width-1-i))
		rest ^= p << (7 - i)
		fmt.Fprintf(c, `<path d="M%g %gh%d" stroke="%s"/>`+"\n", 243+14*float64(i), y+5, 17*14, c.soft)
		digits(y+21, c.ink, rest, i+1, min(i+18, width))
		y += 46
	}
	c.box(241+8*14, y+2, 16*14, 20, c.fill[2])
	digits(y+17, c.ink, rest, 8, width)
	label(y+17, "what is left: the checksum")
	if uint16(rest) != crc16.ChecksumString(message) {
		panic("the division is wrong")
	}
	fmt.Fprintf(c, `<text x="600" y="%g" fill="%s"%s>= %#04x</text>`+"\n", y+17, c.ink, mono, rest)
	c.WriteString("</svg>\n")
	return c.String()
}

// gaps shows one step of the recurrence with P^64.
func gaps(dark bool) string {
	c := newCanvas(760, 150, "One step of the division by P^64", dark)
	c.text(380, 20, c.ink, "", "P^64 = x^1024 + x^768 + x^320 + 1, so word i is taken away by three XORs further right")
	taken := map[int]int{4: 1024 - 768, 11: 1024 - 320, 16: 1024}
	for i := range 19 {
		x := 38 + 36*float64(i)
		fill, style := "none", mono+small
		if i == 0 {
			fill = c.fill[1]
		} else if taken[i] != 0 {
			fill = c.fill[0]
		}
		c.box(x, 96, 36, 26, fill)
		name := "i"
		if i > 0 {
			name = fmt.Sprintf("i+%d", i)
		}
		c.text(x+18, 114, c.ink, style, name)
		if bits := taken[i]; bits != 0 {
			fmt.Fprintf(c, `<path d="M56 94Q%g %g %g 86" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", (56+x+18)/2, 92-float64(8+3*i), x+18, c.soft)
			c.arrow(x+18, 86, x+18, 95)
			c.text(x+18, 140, c.soft, small, fmt.Sprintf("%d bits = %d words", bits, bits/64))
		}
	}
	c.text(56, 140, c.soft, small, "now 0")
	c.WriteString("</svg>\n")
	return c.String()
}

// clmul multiplies without carries.
func clmul(a, b uint64) (hi, lo uint64) {
	for ; b != 0; b &= b - 1 {
		i := bits.TrailingZeros64(b)
		lo ^= a << i
		hi ^= a >> 1 >> (63 - i)
	}
	return hi, lo
}

// xToThe returns x^n mod P.
func xToThe(n int) uint64 {
	r := uint64(1)
	for range n {
		if r <<= 1; r>>16 != 0 {
			r ^= 0x11021
		}
	}
	return r
}

// fold shows how 64 bytes become 16 bytes, these a short number, and that the checksum.
func fold(dark bool) string {
	const key = "cart:2026-11-28:eu-west:user:00042:item:0007:colour:blue:size:XL"
	c := newCanvas(760, 330, "64 bytes are folded to a checksum", dark)
	var high, low uint64 // the 16 bytes
	for i := range 4 {
		block := key[16*i : 16*i+16]
		h, l := binary.BigEndian.Uint64([]byte(block[:8])), binary.BigEndian.Uint64([]byte(block[8:]))
		x := 20 + 184*float64(i)
		c.text(x+84, 20, c.soft, small, fmt.Sprintf("bytes %d to %d", 16*i, 16*i+15))
		c.box(x, 28, 168, 28, c.fill[0])
		c.text(x+84, 47, c.ink, mono, block)
		n := 128 * (3 - i)
		if n == 0 {
			high, low = high^h, low^l
			c.text(x+84, 76, c.soft, small, "as they are")
		} else {
			hh, hl := clmul(h, xToThe(n+64))
			lh, ll := clmul(l, xToThe(n))
			high, low = high^hh^lh, low^hl^ll
			c.text(x+84, 76, c.soft, small, fmt.Sprintf("first 8 · %#04x (x^%d)", xToThe(n+64), n+64))
			c.text(x+84, 92, c.soft, small, fmt.Sprintf("last 8 · %#04x (x^%d)", xToThe(n), n))
		}
		c.arrow(x+84, 99, x+84, 119)
	}
	c.box(20, 120, 720, 24, c.fill[1])
	c.text(380, 137, c.ink, "", "XOR")
	c.arrow(380, 145, 380, 163)
	c.box(230, 164, 150, 28, c.fill[0])
	c.box(380, 164, 150, 28, c.fill[0])
	c.text(305, 183, c.ink, mono, fmt.Sprintf("%016x", high))
	c.text(455, 183, c.ink, mono, fmt.Sprintf("%016x", low))
	fmt.Fprintf(c, `<text x="545" y="183" fill="%s" font-size="12">16 bytes with the same checksum</text>`+"\n", c.soft)

	// T, which has the remainder of the 16 bytes times x^16.
	th, tl := clmul(high, xToThe(80))
	th, tl = th^low>>48, tl^low<<16
	c.arrow(380, 193, 380, 225)
	fmt.Fprintf(c, `<text x="395" y="213" fill="%s" font-size="12">first 8 · %#04x (x^80), last 8 · x^16, XOR</text>`+"\n", c.soft, xToThe(80))
	c.box(290, 226, 180, 28, c.fill[0])
	c.text(380, 245, c.ink, mono, fmt.Sprintf("%04x%016x", th, tl))
	fmt.Fprintf(c, `<text x="545" y="245" fill="%s" font-size="12">less than 80 bits: the number T</text>`+"\n", c.soft)

	// Barrett: the quotient of T by P, and the remainder.
	rest := [2]uint64{th, tl}
	for bit := 79; bit >= 16; bit-- {
		if rest[1-bit/64]>>(bit%64)&1 != 0 {
			if bit >= 64 {
				rest[0] ^= 0x11021 >> (80 - bit)
			}
			rest[1] ^= 0x11021 << (bit - 16)
		}
	}
	c.arrow(380, 255, 380, 287)
	fmt.Fprintf(c, `<text x="395" y="275" fill="%s" font-size="12">two multiplications, by Barrett</text>`+"\n", c.soft)
	sum := uint16(rest[1])
	if sum != crc16.ChecksumString(key) {
		panic("the folding is wrong")
	}
	c.box(330, 288, 100, 28, c.fill[2])
	c.text(380, 307, c.ink, mono, fmt.Sprintf("%#04x", sum))
	fmt.Fprintf(c, `<text x="545" y="307" fill="%s" font-size="12">the checksum, and slot %d</text>`+"\n", c.soft, sum%hashslot.Count)
	c.WriteString("</svg>\n")
	return c.String()
}

// lanes shows eight keys that are hashed together.
func lanes(dark bool) string {
	keys := []string{"mykey", "{user:42}:name", "a", "session:7f3a", "{eu}:counter", "cart:19", "item:0007", "x:1"}
	c := newCanvas(760, 300, "Eight keys at once", dark)
	const columns, left, cell = 12, 200., 34.
	x := func(place int) float64 { return left + cell*float64(columns-1-place) }
	c.box(x(2)-3, 30, cell+6, 8*24+8, c.fill[1])
	for i, key := range keys {
		y := 34 + 24*float64(i)
		fmt.Fprintf(c, `<text x="%g" y="%g" text-anchor="end" fill="%s"%s font-size="12">%s</text>`+"\n", left-14, y+17, c.ink, mono, key)
		tag := hashtag.Of(key)
		for place := range columns {
			if place >= len(tag) {
				c.text(x(place)+cell/2, y+17, c.soft, mono+small, "0")
				continue
			}
			c.box(x(place)+1, y+1, cell-2, 22, c.fill[0])
			c.text(x(place)+cell/2, y+17, c.ink, mono, tag[len(tag)-1-place:len(tag)-place])
		}
		fmt.Fprintf(c, `<text x="%g" y="%g" fill="%s"%s>%d</text>`+"\n", x(0)+cell+24, y+17, c.ink, mono, hashslot.Of(key))
	}
	c.text(left-60, 20, c.soft, small, "eight keys")
	c.text(left+columns*cell/2, 20, c.soft, small, "what is hashed of them, at the right end")
	c.text(x(0)+cell+42, 20, c.soft, small, "slots")
	for place := range columns {
		c.text(x(place)+cell/2, 250, c.soft, mono+` font-size="11"`, fmt.Sprintf("·M%d", place))
	}
	c.text(left+columns*cell/2, 274, c.soft, small, "The bytes at one place of all eight fill a quadword of eight bytes. Each place has its own matrices.")
	c.text(left+columns*cell/2, 292, c.soft, small, "The XOR of all products is the slots, side by side.")
	c.WriteString("</svg>\n")
	return c.String()
}
