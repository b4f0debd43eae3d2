package codec_test

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
)

// columns is the width of the matrix that the sets of elements are made from.
const columns = 2048

// matrix returns weights like those of a language model: normal, with a scale for
// every row and column, a few columns of outliers, and a heavy tail.
func matrix(rows int) []float32 {
	r := source(11)
	scale := make([]float64, columns)
	for i := range scale {
		scale[i] = math.Exp(0.15 * r.NormFloat64())
		if r.IntN(400) == 0 {
			scale[i] *= 3 + 5*r.Float64()
		}
	}
	w := make([]float32, rows*columns)
	for y := range rows {
		row := 0.02 * math.Exp(0.22*r.NormFloat64())
		for x := range columns {
			v := r.NormFloat64()
			if r.IntN(64) == 0 {
				v *= 2
			}
			w[y*columns+x] = float32(v * row * scale[x])
		}
	}
	return w
}

// largest returns the greatest magnitude in w, and the value that has it.
func largest(w []float32) (magnitude, value float64) {
	for _, f := range w {
		if a := math.Abs(float64(f)); a > magnitude {
			magnitude, value = a, float64(f)
		}
	}
	return magnitude, value
}

// minifloat rounds f to a sign, exponent bits with that bias, and mantissa bits;
// most is the code of the greatest finite value.
func minifloat(f float64, mantissa, bias int, most byte) byte {
	var sign byte
	if math.Signbit(f) {
		sign = 0x80
	}
	a := math.Abs(f)
	_, e := math.Frexp(a) // a is below 2^e, at least half of it
	e = max(e-1, 1-bias)  // below that, the steps stay as they are
	q := int(math.RoundToEven(math.Ldexp(a, mantissa-e)))
	code := (e+bias-1)<<mantissa + q // the hidden bit of q raises the exponent
	return sign | byte(min(code, int(most)))
}

func e4m3(w []float32, group int) []byte {
	b := make([]byte, len(w))
	for g := 0; g < len(w); g += group {
		top, _ := largest(w[g : g+group])
		for i := g; i < g+group; i++ {
			b[i] = minifloat(float64(w[i])*448/top, 3, 7, 0x7e)
		}
	}
	return b
}

func e5m2(w []float32) []byte {
	b := make([]byte, len(w))
	for i, f := range w {
		b[i] = minifloat(float64(f), 2, 15, 0x7b)
	}
	return b
}

// int8s scales every row by its greatest magnitude.
func int8s(w []float32) []byte {
	b := make([]byte, len(w))
	for g := 0; g < len(w); g += columns {
		top, _ := largest(w[g : g+columns])
		for i := g; i < g+columns; i++ {
			b[i] = byte(int8(math.RoundToEven(float64(w[i]) * 127 / top)))
		}
	}
	return b
}

// int4s scales groups of 128, and packs two numbers to a byte.
func int4s(w []float32) []byte {
	const group = 128
	b := make([]byte, len(w)/2)
	for g := 0; g < len(w); g += group {
		top, _ := largest(w[g : g+group])
		for i := g; i < g+group; i++ {
			q := byte(int(math.RoundToEven(float64(w[i])*7/top))+8) & 15
			b[i/2] |= q << (4 * uint(i&1))
		}
	}
	return b
}

// q40 makes ggml's blocks of 32 numbers: a scale as fp16, then 16 bytes of two.
func q40(w []float32) []byte {
	var b []byte
	for ; len(w) >= 32; w = w[32:] {
		_, top := largest(w[:32])
		d := top / -8
		b = append(b, le16(roundF16(float32(d)))...)
		for j := range 16 {
			low := min(15, int(float64(w[j])/d+8.5))
			high := min(15, int(float64(w[j+16])/d+8.5))
			b = append(b, byte(low|high<<4))
		}
	}
	return b
}

// q80 makes ggml's blocks of 32 numbers: a scale as fp16, then 32 bytes.
func q80(w []float32) []byte {
	var b []byte
	for ; len(w) >= 32; w = w[32:] {
		top, _ := largest(w[:32])
		b = append(b, le16(roundF16(float32(top/127)))...)
		for _, f := range w[:32] {
			b = append(b, byte(int8(math.RoundToEven(float64(f)*127/top))))
		}
	}
	return b
}

// words turns every weight into one number of some type.
func words(w []float32, put func(b []byte, f float32) []byte) []byte {
	var b []byte
	for _, f := range w {
		b = put(b, f)
	}
	return b
}

var (
	asBF16    = func(b []byte, f float32) []byte { return binary.LittleEndian.AppendUint16(b, roundBF16(f)) }
	asF16     = func(b []byte, f float32) []byte { return binary.LittleEndian.AppendUint16(b, roundF16(f)) }
	asF32     = func(b []byte, f float32) []byte { return binary.LittleEndian.AppendUint32(b, math.Float32bits(f)) }
	asWidened = func(b []byte, f float32) []byte {
		return binary.LittleEndian.AppendUint32(b, uint32(roundBF16(f))<<16)
	}
	asF64 = func(b []byte, f float32) []byte {
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(f)*math.Pi))
	}
	asF64Widened = func(b []byte, f float32) []byte {
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(f)))
	}
	asBool = func(b []byte, f float32) []byte {
		if f > 0.04 {
			return append(b, 1)
		}
		return append(b, 0)
	}
	asI64 = func(b []byte, f float32) []byte {
		return binary.LittleEndian.AppendUint64(b, uint64(int64(float64(f)*1e5)))
	}
)

// TestElementRatios holds the encoder to what each type of element can be stored
// in, and numbers without a type to what they take with it. docs/benchmarks.md
// has the figures, which are of the larger matrix.
func TestElementRatios(t *testing.T) {
	rows := 1024
	if raceEnabled { // see TestRoundTrip
		rows = 128
	}
	w := matrix(rows)
	few := w[:len(w)/4]
	tests := []struct {
		name    string
		plain   []byte
		dtype   chunker.DType
		most    float64
		untyped float64 // the most that not knowing the type may add
	}{
		{"BF16", words(w, asBF16), chunker.BF16, 0.672, 0},
		{"F16", words(w, asF16), chunker.F16, 0.857, 0},
		{"F32", words(w, asF32), chunker.F32, 0.838, 0},
		{"F32 widened from BF16", words(w, asWidened), chunker.F32, 0.340, 0},
		{"F64", words(few, asF64), chunker.F64, 0.88, 0},
		{"F64 widened from F32", words(few, asF64Widened), chunker.F64, 0.43, 0},
		{"complex64", words(w, asF32), chunker.F32, 0.838, 0},
		{"F8_E4M3 per tensor", e4m3(w, len(w)), chunker.F8E4M3, 0.85, 0.001},
		{"F8_E4M3 per row", e4m3(w, columns), chunker.F8E4M3, 0.85, 0.001},
		{"F8_E5M2", e5m2(w), chunker.F8E5M2, 0.71, 0.001},
		{"I8 per row", int8s(w), chunker.I8, 0.80, 0.001},
		{"int4 packed, groups of 128", int4s(w), chunker.U8, 0.80, 0.001},
		{"ggml Q4_0", q40(w), chunker.Untyped, 0.94, 0},
		{"ggml Q8_0", q80(w), chunker.Untyped, 0.955, 0},
		{"BOOL, rarely true", words(w, asBool), chunker.Bool, 0.07, 0.001},
		{"I64 of few values", words(few, asI64), chunker.I64, 0.31, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ratio := storedRatio(t, tt.plain, tt.dtype)
			untyped := storedRatio(t, tt.plain, chunker.Untyped)
			t.Logf("%.4f of raw, %.4f without a type", ratio, untyped)
			if ratio > tt.most {
				t.Errorf("stored in %.4f of raw, want at most %.4f", ratio, tt.most)
			}
			if untyped > ratio+tt.untyped {
				t.Errorf("stored in %.4f of raw without a type, in %.4f with it", untyped, ratio)
			}
		})
	}
}

// storedRatio encodes plain chunk by chunk.
func storedRatio(t *testing.T, plain []byte, dt chunker.DType) float64 {
	t.Helper()
	raw, stored := len(plain), 0
	for len(plain) > 0 {
		chunk := plain[:min(len(plain), chunker.MaxSize)]
		plain = plain[len(chunk):]
		stored += len(roundTrip(t, chunk, dt))
	}
	return float64(stored) / float64(raw)
}

// TestUntypedLayouts also asks short tensors, whose samples say little.
func TestUntypedLayouts(t *testing.T) {
	w := matrix(16)
	for _, tt := range []struct {
		name  string
		plain []byte
		want  codec.Layout
	}{
		{"bf16", words(w, asBF16), codec.LayoutBF16},
		{"short bf16", words(w[:384], asBF16), codec.LayoutBF16},
		{"f16", words(w, asF16), codec.LayoutBF16}, // the sign lies better among the noise
		{"f32", words(w, asF32), codec.LayoutF32},
		{"short f32", words(w[:384], asF32), codec.LayoutF32},
		{"widened", words(w, asWidened), codec.LayoutF32},
		{"f64", words(w, asF64), codec.LayoutEight},
		{"i64", words(w, asI64), codec.LayoutEight},
		{"bytes", int8s(w), codec.LayoutBytes},
		{"odd length", words(w, asBF16)[1:], codec.LayoutBytes},
		{"noise", noise(1 << 16), codec.LayoutBytes},
		{"one byte", []byte{7}, codec.LayoutBytes},
	} {
		t.Run(tt.name, func(t *testing.T) {
			info, err := codec.Inspect(roundTrip(t, tt.plain, chunker.Untyped))
			if err != nil {
				t.Fatal(err)
			}
			if info.Layout != tt.want {
				t.Errorf("got layout %d, want %d", info.Layout, tt.want)
			}
		})
	}
}
