package synth

import "math"

// The functions here use only operations that IEEE 754 rounds exactly, with
// explicit conversions that keep a compiler from fusing them: math.Exp and its
// kin differ between processors in the last bit, and the files must not.

// random is SplitMix64: fast, and good enough for weights.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	return mix(uint64(*r))
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// hash mixes the bytes of s into seed.
func hash(seed uint64, s string) uint64 {
	h := mix(seed + 0x9e3779b97f4a7c15)
	for i := range len(s) {
		h = mix(h ^ uint64(s[i]))
	}
	return h
}

// cells is how many equally likely ranges the normal distribution is cut into.
const cells = 1 << 12

// quantiles holds the borders of the cells; values lie evenly inside one.
var quantiles = makeQuantiles()

// normal turns 32 random bits into a normally distributed value.
func normal(u uint32) float32 {
	q := quantiles[u>>20 : u>>20+2 : u>>20+2]
	part := float32(u<<12>>12) * (1.0 / (1 << 20))
	return q[0] + float32(part*float32(q[1]-q[0]))
}

// makeQuantiles sums the normal density in small steps, and notes where it
// passes each cell's border. The outermost borders stand in for infinity.
func makeQuantiles() *[cells + 1]float32 {
	const steps, far = 1 << 16, 4.5
	const dx = 2 * far / steps
	density := func(x float64) float64 { return exp(-float64(x*x)/2) * 0.3989422804014327 }
	q := new([cells + 1]float32)
	q[0], q[cells] = -far, far
	sum, next := 0.0, 1
	for i := range steps {
		x := -far + float64(float64(i)*dx)
		part := float64(density(x+dx/2) * dx)
		for next < cells && sum+part >= float64(next)/cells {
			q[next] = float32(x + float64(dx*float64((float64(next)/cells-sum)/part)))
			next++
		}
		sum += part
	}
	return q
}

// exp is e to the x, for -20 < x < 20.
func exp(x float64) float64 {
	x /= 64
	sum, term := 1.0, 1.0
	for i := 1; i < 16; i++ {
		term = float64(term*x) / float64(i)
		sum += term
	}
	for range 6 {
		sum *= sum
	}
	return sum
}

// logNormal returns e to a normal value of that deviation.
func (r *random) logNormal(deviation float64) float32 {
	return float32(exp(float64(float64(normal(uint32(r.next()>>32))) * deviation)))
}

// toBF16 and toF16 round to nearest, ties to even. Values are finite and far
// below the largest of either type.
func toBF16(f float32) uint16 {
	u := math.Float32bits(f)
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

func toF16(f float32) uint16 {
	u := math.Float32bits(f)
	sign := uint16(u >> 16 & 0x8000)
	u &= 0x7fffffff
	const least = 113 << 23 // 2^-14, the least normal number
	if u >= least {
		u -= 112 << 23
		return sign | uint16((u+0xfff+u>>13&1)>>13)
	}
	// Adding 1/2 moves a subnormal's digits to the end of the mantissa, and rounds.
	sum := math.Float32frombits(u) + 0.5
	return sign | uint16(math.Float32bits(sum)-math.Float32bits(0.5))
}
