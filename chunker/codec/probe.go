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
	mode Mode
	bits float64 // entropy of the sample, bits per byte
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
	bits, one := entropy(counts)
	g := guess{mode: ModeHuff0, bits: bits}
	switch {
	case one:
		g.mode = ModeConst
	case bits > noiseBits:
		g.mode = ModeRaw
	case l == LayoutBytes || bits < sparseBits:
		g.mode = ModeZstd
	}
	return g
}

// entropy returns the bits per byte that the counts imply, and whether there is
// only one value.
func entropy(counts *[256]uint32) (bits float64, one bool) {
	total, sum, values := 0.0, 0.0, 0
	for _, c := range counts {
		if c > 0 {
			v := float64(c)
			total += v
			sum += v * math.Log2(v)
			values++
		}
	}
	return math.Log2(total) - sum/total, values == 1
}
