package page_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"slices"
	"testing"
)

// fewColours writes a picture with the 256 colours that are nearest to its own, which
// takes a third of the bytes: a page has few colours, and the edges of letters.
func fewColours(t *testing.T, full []byte) []byte {
	t.Helper()
	from, err := png.Decode(bytes.NewReader(full))
	if err != nil {
		t.Fatal(err)
	}
	box := from.Bounds()
	seen := map[color.RGBA]int{}
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(from.At(x, y)).(color.RGBA) }
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			seen[at(x, y)]++
		}
	}
	palette := choose(seen)
	to := image.NewPaletted(box, palette)
	index := map[color.RGBA]uint8{}
	for c := range seen {
		index[c] = uint8(palette.Index(c))
	}
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			to.SetColorIndex(x, y, index[at(x, y)])
		}
	}
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&b, to); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// choose takes the commonest colours, and no two that nobody could tell apart.
func choose(seen map[color.RGBA]int) (p color.Palette) {
	all := make([]color.RGBA, 0, len(seen))
	for c := range seen {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b color.RGBA) int {
		if n := seen[b] - seen[a]; n != 0 {
			return n
		}
		return int(a.R)<<16 + int(a.G)<<8 + int(a.B) - int(b.R)<<16 - int(b.G)<<8 - int(b.B)
	})
	for _, apart := range []int{18, 6, 0} { // less where that leaves room
		for _, c := range all {
			if len(p) == 256 {
				return p
			}
			if !slices.ContainsFunc(p, func(have color.Color) bool { return near(have.(color.RGBA), c, apart) }) {
				p = append(p, c)
			}
		}
	}
	return p
}

func near(a, b color.RGBA, apart int) bool {
	d := func(x, y uint8) int { return max(int(x)-int(y), int(y)-int(x)) }
	return d(a.R, b.R)+d(a.G, b.G)+d(a.B, b.B) <= apart
}
