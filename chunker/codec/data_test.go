package codec_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/ingot-ml/ingot/chunker"
)

// contents are the kinds of bytes that every type has to survive.
var contents = []struct {
	name string
	make func(n int) []byte
}{
	{"zeros", func(n int) []byte { return make([]byte, n) }},
	{"noise", noise},
	{"bf16", gaussBF16},
	{"fp32", gaussF32},
	{"widened", widened},
	{"text", text},
	{"almost zeros", almostZero},
	{"patchwork", patchwork},
}

func le16(v uint16) []byte { return binary.LittleEndian.AppendUint16(nil, v) }
func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
func le64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x1607)) }

// each fills n bytes with elements of a fixed width; put writes one of them.
func each(n, width int, seed uint64, put func(b []byte, r *rand.Rand)) []byte {
	b := make([]byte, n+width)
	r := source(seed)
	for i := 0; i < n; i += width {
		put(b[i:], r)
	}
	return b[:n]
}

// gauss draws like a row of weights: a spread of 0.02, and now and then an
// outlier.
func gauss(r *rand.Rand) float32 {
	v := r.NormFloat64() * 0.02
	if r.IntN(64) == 0 {
		v *= 4
	}
	return float32(v)
}

// roundBF16 rounds to the nearest bfloat16, ties to even.
func roundBF16(f float32) uint16 {
	u := math.Float32bits(f)
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

// roundF16 rounds a float32 inside fp16's normal range, halves up, and cuts what
// is smaller to zero.
func roundF16(f float32) uint16 {
	u := math.Float32bits(f)
	sign := uint16(u >> 16 & 0x8000)
	u = u&0x7fffffff + 0x1000
	if u < 113<<23 {
		return sign
	}
	return sign | uint16((u-112<<23)>>13)
}

func gaussBF16(n int) []byte {
	return each(n, 2, 1, func(b []byte, r *rand.Rand) { binary.LittleEndian.PutUint16(b, roundBF16(gauss(r))) })
}

func gaussF16(n int) []byte {
	return each(n, 2, 2, func(b []byte, r *rand.Rand) { binary.LittleEndian.PutUint16(b, roundF16(gauss(r))) })
}

func gaussF32(n int) []byte {
	return each(n, 4, 3, func(b []byte, r *rand.Rand) { binary.LittleEndian.PutUint32(b, math.Float32bits(gauss(r))) })
}

func gaussF64(n int) []byte {
	return each(n, 8, 4, func(b []byte, r *rand.Rand) {
		binary.LittleEndian.PutUint64(b, math.Float64bits(r.NormFloat64()))
	})
}

// widened is a bfloat16 tensor that was saved as float32.
func widened(n int) []byte {
	return each(n, 4, 5, func(b []byte, r *rand.Rand) { binary.LittleEndian.PutUint32(b, uint32(roundBF16(gauss(r)))<<16) })
}

// gaussI8 is quantized to 8 bits with the scale of its largest outlier.
func gaussI8(n int) []byte {
	return each(n, 1, 6, func(b []byte, r *rand.Rand) { b[0] = byte(int8(max(-127, min(127, r.NormFloat64()*24)))) })
}

func noise(n int) []byte {
	return each(n, 8, 7, func(b []byte, r *rand.Rand) { binary.LittleEndian.PutUint64(b, r.Uint64()) })
}

// almostNoise has an entropy just below what is taken for noise.
func almostNoise(n int) []byte {
	return each(n, 1, 8, func(b []byte, r *rand.Rand) { b[0] = byte(r.IntN(232)) })
}

func almostZero(n int) []byte {
	return each(n, 1, 9, func(b []byte, r *rand.Rand) {
		if r.IntN(100) == 0 {
			b[0] = byte(r.Uint32())
		}
	})
}

// counters are integers that count up from zero, like position ids.
func counters(width, n int) []byte {
	b := make([]byte, 0, n+8)
	for i := 0; len(b) < n; i++ {
		b = append(b, le64(uint64(i))[:width]...)
	}
	return b[:n]
}

// text is like a tokenizer's vocabulary.
func text(n int) []byte {
	r := source(10)
	b := make([]byte, 0, n+64)
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "  \"%c%c%c\": %d,\n", 'a'+r.IntN(26), 'a'+r.IntN(26), 'a'+r.IntN(26), i)
	}
	return b[:n]
}

// patchwork changes its nature every 40,000 bytes, so that the blocks of a plane
// are raw, runs, coded with a table of their own and with an older one.
func patchwork(n int) []byte {
	parts := []func(int) []byte{gaussBF16, noise, func(n int) []byte { return make([]byte, n) }, gaussBF16, text, almostZero}
	b := make([]byte, 0, n+200_000)
	for i := 0; len(b) < n; i++ {
		b = append(b, parts[i%len(parts)](40_000+160_000*(i%2))...)
	}
	return b[:n]
}

// tensor is a chunk that is typical for its type.
type tensor struct {
	name  string
	dtype chunker.DType
	make  func(n int) []byte
}

var tensors = []tensor{
	{"BF16", chunker.BF16, gaussBF16},
	{"BF16untyped", chunker.Untyped, gaussBF16},
	{"F16", chunker.F16, gaussF16},
	{"F32", chunker.F32, gaussF32},
	{"F32widened", chunker.F32, widened},
	{"F64", chunker.F64, gaussF64},
	{"I8", chunker.I8, gaussI8},
	{"I64counters", chunker.I64, func(n int) []byte { return counters(8, n) }},
	{"OpaqueText", chunker.Opaque, text},
	{"OpaqueNoise", chunker.Opaque, noise},
}
