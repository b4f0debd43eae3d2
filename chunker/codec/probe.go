package codec

import (
	"math"

	"github.com/ingot-ml/ingot/chunker/codec/internal/planes"
)

// What is noise and what a Huffman code is too coarse for, in bits per byte. A
// byte of noise measures 7.99 bits on a full sample; a Huffman code needs at least
// one bit.
const (
	noiseBits  = 7.9
	sparseBits = 0.8
)

// The sample of a plane: windows spread evenly over it. Short planes are sampled
// whole. Counting all of a plane would cost more than merging it later does.
const (
	windows   = 16
	windowLen = 1 << 10
	sampleLen = windows * windowLen
)

// guess is the mode a plane's sample speaks for.
type guess struct {
	mode   Mode
	bits   float64 // entropy of the sample, bits per byte
	values int     // distinct bytes in the sample
}

// probe samples planes before they are split.
type probe struct {
	planes  planes.Set
	buf     [maxPlanes * windowLen]byte
	counts  [maxPlanes][256]uint32
	guesses [maxPlanes]guess
}

// guess returns a guess for every plane of layout l. It is valid until the next
// call.
func (p *probe) guess(plain []byte, l Layout) []guess {
	width := l.planes()
	clear(p.counts[:width])
	n := len(plain) / width
	step, last := n/windows, windows-1
	if n <= sampleLen {
		step, last = windowLen, (n-1)/windowLen
	}
	for w := range last + 1 {
		from := w * step
		to := min(from+windowLen, n)
		p.count(plain[from*width:to*width], l)
	}
	for i := range width {
		p.guesses[i] = judge(&p.counts[i], l)
	}
	return p.guesses[:width]
}

// count adds one window of elements to the counts.
func (p *probe) count(window []byte, l Layout) {
	width := l.planes()
	if width == 1 {
		tally(&p.counts[0], window)
		return
	}
	n := len(window) / width
	for i := range width {
		p.planes[i] = p.buf[i*windowLen:][:n]
	}
	layouts[l].split(&p.planes, window)
	for i := range width {
		tally(&p.counts[i], p.planes[i])
	}
}

func tally(counts *[256]uint32, b []byte) {
	for _, v := range b {
		counts[v]++
	}
}

// judge turns the counts of a sample into a guess. Bytes that are not elements
// are mostly text and headers, whose order matters more than their counts.
func judge(counts *[256]uint32, l Layout) guess {
	bits, values := entropy(counts)
	g := guess{mode: ModeHuff0, bits: bits, values: values}
	switch {
	case values == 1:
		g.mode = ModeConst
	case bits > noiseBits:
		g.mode = ModeRaw
	case l == LayoutBytes || bits < sparseBits:
		g.mode = ModeZstd
	}
	return g
}

// entropy returns the bits per byte that the counts imply, and how many bytes
// differ.
func entropy(counts *[256]uint32) (bits float64, values int) {
	total, sum := 0.0, 0.0
	for _, c := range counts {
		if c > 0 {
			v := float64(c)
			total += v
			sum += v * math.Log2(v)
			values++
		}
	}
	return math.Log2(total) - sum/total, values
}

// likely are the layouts that numbers without a type are tried in. Of two that
// promise the same, the first is taken: it decodes faster. Integers of four bytes
// and halves are last, for the floats have the same planes but for a sign.
var likely = [...]Layout{LayoutBytes, LayoutBF16, LayoutTwo, LayoutF32, LayoutFour, LayoutEight}

// likeliest returns the layout whose planes promise the shortest chunk.
func (p *probe) likeliest(plain []byte) Layout {
	best, least := LayoutBytes, math.Inf(1)
	for _, l := range likely {
		if len(plain)%l.planes() != 0 {
			continue
		}
		total := 0.0
		for _, g := range p.guess(plain, l) {
			total += g.cost(len(plain) / l.planes())
		}
		if total < least {
			best, least = l, total
		}
	}
	return best
}

// tableBits is about what a Huffman table takes for each byte that it knows. It
// keeps a short chunk from being split so far that every byte looks rare.
const tableBits = 4

// cost returns the bits that a plane of n bytes is likely to take.
func (g guess) cost(n int) float64 {
	most := 8 * float64(n)
	switch g.mode {
	case ModeConst:
		return 8
	case ModeRaw:
		return most
	}
	return 8*entryLen + min(most, g.bits*float64(n)+tableBits*float64(g.values))
}
