package codec_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
)

// tuned returns w after a fine-tune that changes that share of its bfloat16s: every
// weight moves by a step of its own, as Adam makes them, so that small ones change
// first.
func tuned(w []float32, share float64) []float32 {
	rate, most := 0.0, 1.0
	for range 30 {
		half := (rate + most) / 2
		if changedBF16(w, len(w)>>13|1, half) < share {
			rate = half
		} else {
			most = half
		}
	}
	v := make([]float32, len(w))
	r := source(31)
	for i, f := range w {
		v[i] = f + float32(most*move(r))
	}
	return v
}

// changedBF16 returns the share of the bfloat16s of w that steps of that rate change,
// by every so many of them.
func changedBF16(w []float32, every int, rate float64) float64 {
	n, of := 0, 0
	r := source(32)
	for i := 0; i < len(w); i += every {
		of++
		if roundBF16(w[i]) != roundBF16(w[i]+float32(rate*move(r))) {
			n++
		}
	}
	return float64(n) / float64(of)
}

func move(r *rand.Rand) float64 { return r.NormFloat64() * math.Exp(0.8*r.NormFloat64()) }

// shares of the bfloat16s of a model that fine-tunes change.
var shares = []float64{0.01, 0.05, 0.2, 0.4, 0.7}

// tunes lists the most that deltas of a type may take of raw, by shares. What changes
// a bfloat16 changes every float32, and few of the coarser numbers.
var tunes = []struct {
	name  string
	dtype chunker.DType
	make  func(w []float32) []byte
	most  [5]float64
}{
	{"BF16", chunker.BF16, func(w []float32) []byte { return words(w, asBF16) }, [5]float64{0.01, 0.03, 0.09, 0.16, 0.28}},
	{"F16", chunker.F16, func(w []float32) []byte { return words(w, asF16) }, [5]float64{0.03, 0.09, 0.22, 0.32, 0.45}},
	{"F32", chunker.F32, func(w []float32) []byte { return words(w, asF32) }, [5]float64{0.34, 0.43, 0.52, 0.57, 0.64}},
	{"F32 widened from BF16", chunker.F32, func(w []float32) []byte { return words(w, asWidened) }, [5]float64{0.005, 0.015, 0.045, 0.08, 0.14}},
	{"F64", chunker.F64, func(w []float32) []byte { return words(w[:len(w)/4], asF64) }, [5]float64{0.64, 0.69, 0.73, 0.77, 0.79}},
	{"F8_E4M3", chunker.F8E4M3, func(w []float32) []byte { return e4m3(w, len(w)) }, [5]float64{0.003, 0.008, 0.03, 0.065, 0.15}},
	{"F8_E5M2", chunker.F8E5M2, e5m2, [5]float64{0.002, 0.005, 0.018, 0.04, 0.1}},
	{"I8 per row", chunker.I8, int8s, [5]float64{0.002, 0.003, 0.01, 0.025, 0.08}},
	{"int4 packed", chunker.U8, int4s, [5]float64{0.002, 0.003, 0.006, 0.013, 0.04}},
	{"ggml Q4_0", chunker.Untyped, q40, [5]float64{0.004, 0.007, 0.022, 0.05, 0.11}},
	{"ggml Q8_0", chunker.Untyped, q80, [5]float64{0.004, 0.01, 0.035, 0.08, 0.2}},
}

// TestTunes holds deltas to the sizes they are there for. docs/formats/chunk.md has
// the figures, which are of the larger matrix.
func TestTunes(t *testing.T) {
	rows := 512
	if raceEnabled { // see TestRoundTrip
		rows = 16
	}
	w := matrix(rows)
	for i, share := range shares {
		if raceEnabled && share != 0.2 {
			continue
		}
		v := tuned(w, share)
		for _, tt := range tunes {
			plain, base := tt.make(v), tt.make(w)
			ratio := deltaRatio(t, plain, base, tt.dtype)
			t.Logf("%.2f changed, %s: %.4f of raw (%.3f of its elements)", share, tt.name, ratio, differ(plain, base, tt.dtype.Width()))
			if ratio > tt.most[i] && !raceEnabled {
				t.Errorf("%.2f changed, %s: stored in %.4f of raw, want at most %.4f", share, tt.name, ratio, tt.most[i])
			}
		}
	}
}

// differ returns the share of the elements that differ.
func differ(a, b []byte, width int) float64 {
	n := 0
	for i := 0; i < len(a); i += width {
		if string(a[i:i+width]) != string(b[i:i+width]) {
			n++
		}
	}
	return float64(n) * float64(width) / float64(len(a))
}

// deltaRatio encodes plain as deltas of base, chunk by chunk.
func deltaRatio(t *testing.T, plain, base []byte, dt chunker.DType) float64 {
	t.Helper()
	raw, stored := len(plain), 0
	for len(plain) > 0 {
		n := min(len(plain), chunker.MaxSize)
		stored += len(roundTripDelta(t, plain[:n], base[:n], dt))
		plain, base = plain[n:], base[n:]
	}
	return float64(stored) / float64(raw)
}

// TestHopeless gives up on chunks that have nothing in common, before they are
// encoded: nothing is appended, even where there is room.
func TestHopeless(t *testing.T) {
	base, plain := gaussBF16(1<<18), words(matrix(64), asBF16)
	whole := len(codec.Append(nil, plain, chunker.BF16))
	dst := make([]byte, 0, 1<<18)
	if _, ok := codec.AppendDelta(dst, plain, base, chunker.Sum(base), chunker.BF16, whole*3/4); ok {
		t.Error("a delta of something else")
	}
	for i, b := range dst[:cap(dst)] {
		if b != 0 {
			t.Fatalf("byte %d was written", i)
		}
	}
}
