package codec

import (
	"bytes"
	"math"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec/internal/planes"
)

// What a delta is like is told by windows of the difference, more and shorter ones
// than of a whole chunk, for what changed may be a few rows.
const (
	deltaWindows   = 64
	deltaWindowLen = 512
	deltaSampleLen = deltaWindows * deltaWindowLen
)

// A delta is hopeless when its sample says that it takes that much more than the
// limit, and that many windows have a say.
const (
	hopelessShare   = 9.0 / 8
	hopelessWindows = deltaWindows / 4
)

// sparseZeros is the share of zeros from which on a plane of a delta is better
// written as a mask and the rest: with less, a Huffman code alone is as short.
const sparseZeros = 0.2

// deltaLayouts are those that a delta may have, from wide to narrow. A narrower one
// must promise to save narrowerBits: a sample that saw no change says nothing.
const narrowerBits = 8 * 64

var deltaLayouts = [...]Layout{LayoutEight, LayoutFour, LayoutTwo, LayoutOne}

// estimate is what a sample says of a delta.
type estimate struct {
	layout  Layout
	guesses [maxPlanes]guess
	bits    float64
	windows int // that differ from the base at all
}

// hopeless reports whether a delta like this is clearly longer than limit.
func (x *estimate) hopeless(limit int) bool {
	return x.windows >= hopelessWindows && x.bits > hopelessShare*8*float64(limit)
}

// estimate looks for the layout that promises the shortest delta. Numbers of a type
// are also tried as narrower ones: a bfloat16 that was widened to a float32 changes
// in its upper half only, which the distance of the whole would smear over both.
func (e *encoder) estimate(plain []byte, t chunker.DType) estimate {
	best := estimate{bits: math.Inf(1)}
	for _, l := range deltaLayouts {
		width := l.planes()
		if len(plain)%width != 0 || width > t.Width() && t != chunker.Untyped {
			continue
		}
		if x := e.sample(plain, l); x.bits+narrowerBits < best.bits {
			best = x
		}
	}
	return best
}

// sample estimates a delta in layout l.
func (e *encoder) sample(plain []byte, l Layout) estimate {
	x := estimate{layout: l}
	width := l.planes()
	e.buf = grow(e.buf, len(plain))
	z := e.buf[:0]
	length, step := deltaWindowLen, len(plain)/deltaWindows&^(maxPlanes-1)
	if len(plain) <= deltaSampleLen {
		step = length
	}
	for from := 0; from < len(plain) && len(z) < deltaSampleLen; from += step {
		to := min(from+length, len(plain))
		window := z[len(z) : len(z)+to-from]
		planes.Difference(window, plain[from:to], e.base.at(from, to-from), width)
		if len(bytes.TrimLeft(window, "\x00")) > 0 {
			x.windows++
		}
		z = z[:len(z)+len(window)]
	}
	for i, g := range e.probe.guess(z, l) {
		x.bits += g.cost(len(plain) / width)
		x.guesses[i] = e.probe.forDelta(i, g)
	}
	return x
}

// forDelta returns the guess for plane i of a delta, whose bytes have no order that
// zstd would find.
func (p *probe) forDelta(i int, g guess) guess {
	counts := &p.counts[i]
	total := uint32(0)
	for _, c := range counts {
		total += c
	}
	switch {
	case g.mode == ModeConst || g.mode == ModeRaw:
	case float64(counts[0]) >= sparseZeros*float64(total):
		g.mode = ModeSparse
	default:
		g.mode = ModeHuff0
	}
	return g
}
