package codec_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
)

var dtypes = []chunker.DType{
	chunker.Opaque, chunker.Bool, chunker.U8, chunker.I8, chunker.F8E4M3, chunker.F8E5M2,
	chunker.F16, chunker.BF16, chunker.I16, chunker.U16,
	chunker.F32, chunker.I32, chunker.U32, chunker.F64, chunker.I64, chunker.U64,
	chunker.Untyped,
	chunker.DType(200), // of a newer chunker
}

var sizes = []int{
	1, 2, 3, 4, 7, 8, 9, 15, 16, 31, 32, 33, 63, 64, 65, 100, 255, 256, 257, 1023, 1024, 4099,
	16383, 16384, 16385, 65535, 65536, 131071, 131072, 131080, 262152, 1<<20 + 8,
	chunker.MaxSize - 8, chunker.MaxSize - 1, chunker.MaxSize,
}

// TestPlainLen reads the length from the header alone, and only from a header.
func TestPlainLen(t *testing.T) {
	for _, n := range sizes {
		enc := codec.Append(nil, make([]byte, n), chunker.U8)
		if got, err := codec.PlainLen(enc[:codec.HeaderLen]); err != nil || got != n {
			t.Errorf("%d bytes: got %d, %v", n, got, err)
		}
		enc[11] = 0xff // of the length
		for _, start := range [][]byte{nil, enc[:codec.HeaderLen-1], enc[:codec.HeaderLen], make([]byte, codec.HeaderLen)} {
			if got, err := codec.PlainLen(start); !errors.Is(err, codec.ErrCorrupt) {
				t.Errorf("%x: got %d, %v", start, got, err)
			}
		}
	}
}

// roundTrip encodes and decodes plain and returns the encoded chunk.
func roundTrip(t testing.TB, plain []byte, dt chunker.DType) []byte {
	t.Helper()
	enc := codec.Append(nil, plain, dt)
	if limit := codec.MaxEncoded(len(plain)); len(enc) > limit {
		t.Fatalf("%s: %d bytes became %d, more than %d", dt, len(plain), len(enc), limit)
	}
	if err := codec.Check(enc); err != nil {
		t.Fatalf("%s: %d bytes: %v", dt, len(plain), err)
	}
	got, err := codec.Decode(nil, enc)
	if err != nil {
		t.Fatalf("%s: %d bytes: %v", dt, len(plain), err)
	}
	if !bytes.Equal(got, plain) {
		t.Fatalf("%s: %d bytes did not survive", dt, len(plain))
	}
	return enc
}

// TestRoundTrip goes through every type, size and kind of content. Every type
// sees every content: a type is advice, and may be wrong. The race detector, which
// has nothing to find here, makes large chunks ten times slower: under it each large
// size meets one type and one kind of content. "make test" runs this package without
// it too.
func TestRoundTrip(t *testing.T) {
	for i, c := range contents {
		t.Run(c.name, func(t *testing.T) {
			all := c.make(chunker.MaxSize)
			for j, dt := range dtypes {
				for k, n := range sizes {
					if raceEnabled && n > 1<<12 && (i != k%len(contents) || j != k%len(dtypes)) {
						continue
					}
					roundTrip(t, all[:n], dt)
				}
			}
		})
	}
}

// TestSpecialValues keeps the bits of values that arithmetic would change.
func TestSpecialValues(t *testing.T) {
	var half, single, double []byte
	for _, v := range []uint16{0, 0x8000, 1, 0x8001, 0x7f80, 0xff80, 0x7f81, 0xffff, 0x7fc1, 0x7c00, 0xfc01, 0x03ff} {
		half = append(half, le16(v)...)
	}
	for _, v := range []uint32{0, 1 << 31, 1, 1<<31 | 1, 0x7f800000, 0x7f800001, 0xffffffff, 0x7fc0dead, 0x007fffff} {
		single = append(single, le32(v)...)
	}
	for _, v := range []float64{0, math.Copysign(0, -1), 5e-324, math.Inf(-1), math.NaN()} {
		double = append(double, le64(math.Float64bits(v))...)
	}
	double = append(double, le64(0x7ff0000000000dad)...)
	for _, plain := range [][]byte{half, single, double} {
		long := bytes.Repeat(plain, 500)
		for _, dt := range dtypes {
			roundTrip(t, plain, dt)
			roundTrip(t, long, dt)
			// Each value becomes each other one somewhere.
			for shift := 8; shift < len(plain); shift += 8 {
				roundTripDelta(t, long, slices.Concat(long[shift:], long[:shift]), dt)
			}
		}
	}
}

// TestRatios holds the encoder to the sizes it is there for.
func TestRatios(t *testing.T) {
	size := chunker.MaxSize
	if raceEnabled { // see TestRoundTrip
		size /= 8
	}
	tests := []struct {
		name  string
		plain []byte
		dtype chunker.DType
		most  float64
	}{
		{"bf16", gaussBF16(size), chunker.BF16, 0.68},
		{"fp16", gaussF16(size), chunker.F16, 0.87},
		{"fp32", gaussF32(size), chunker.F32, 0.86},
		{"fp32 widened from bf16", widened(size), chunker.F32, 0.36},
		{"int8", gaussI8(size), chunker.I8, 0.90},
		{"position ids", counters(8, 4096), chunker.I64, 0.20},
		{"text", text(size), chunker.Opaque, 0.40},
		{"zeros", make([]byte, chunker.MaxSize), chunker.F32, 0.0001},
		{"bf16 of no known type", gaussBF16(size), chunker.Opaque, 0.93},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			enc := roundTrip(t, tt.plain, tt.dtype)
			ratio := float64(len(enc)) / float64(len(tt.plain))
			t.Logf("%.4f of raw", ratio)
			if ratio > tt.most {
				t.Errorf("stored in %.4f of raw, want at most %.4f", ratio, tt.most)
			}
		})
	}
}

// TestAppendKeepsPrefix also shows that a longer slice is not reallocated.
func TestAppendKeepsPrefix(t *testing.T) {
	plain := gaussBF16(10_000)
	dst := append(make([]byte, 0, 5+codec.MaxEncoded(len(plain))), "begin"...)
	got := codec.Append(dst, plain, chunker.BF16)
	if &got[0] != &dst[0] || string(got[:5]) != "begin" {
		t.Error("the prefix moved or changed")
	}
	if want := codec.Append(nil, plain, chunker.BF16); !bytes.Equal(got[5:], want) {
		t.Error("the encoding depends on what precedes it")
	}
}

func TestDecodeUsesCapacity(t *testing.T) {
	plain := gaussF32(4096)
	enc := codec.Append(nil, plain, chunker.F32)
	dst := make([]byte, 3, len(plain))
	got, err := codec.Decode(dst, enc)
	if err != nil {
		t.Fatal(err)
	}
	if &got[0] != &dst[0] || len(got) != len(plain) {
		t.Error("the capacity of dst was not used")
	}
	if got, err = codec.Decode(dst[:0:100], enc); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("too little capacity: %v", err)
	}
}

func TestAppendRefusesLength(t *testing.T) {
	for _, n := range []int{0, chunker.MaxSize + 1} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("accepted")
				}
			}()
			codec.Append(nil, make([]byte, n), chunker.U8)
		})
	}
}

func TestInspect(t *testing.T) {
	tests := []struct {
		name   string
		plain  []byte
		dtype  chunker.DType
		layout codec.Layout
		modes  []codec.Mode
	}{
		{"bf16", gaussBF16(1 << 20), chunker.BF16, codec.LayoutBF16, []codec.Mode{codec.ModeRaw, codec.ModeHuff0}},
		{"fp16", gaussF16(1 << 20), chunker.F16, codec.LayoutTwo, []codec.Mode{codec.ModeRaw, codec.ModeHuff0}},
		{"widened", widened(1 << 20), chunker.F32, codec.LayoutF32,
			[]codec.Mode{codec.ModeConst, codec.ModeConst, codec.ModeRaw, codec.ModeHuff0}},
		{"odd", gaussBF16(1 << 10)[1:], chunker.BF16, codec.LayoutBytes, []codec.Mode{codec.ModeHuff0}},
		{"text", text(1 << 18), chunker.Opaque, codec.LayoutBytes, []codec.Mode{codec.ModeZstd}},
		{"noise", noise(1 << 18), chunker.Opaque, codec.LayoutBytes, []codec.Mode{codec.ModeRaw}},
		{"zeros", make([]byte, 100), chunker.I8, codec.LayoutOne, []codec.Mode{codec.ModeConst}},
		{"almost zeros", almostZero(1 << 20), chunker.U8, codec.LayoutOne, []codec.Mode{codec.ModeZstd}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			enc := roundTrip(t, tt.plain, tt.dtype)
			info, err := codec.Inspect(enc)
			if err != nil {
				t.Fatal(err)
			}
			var modes []codec.Mode
			for _, p := range info.Planes {
				modes = append(modes, p.Mode)
			}
			if info.Layout != tt.layout || info.RawLen != len(tt.plain) || info.Delta || !slices.Equal(modes, tt.modes) {
				t.Errorf("got %+v, want layout %d and modes %d", info, tt.layout, tt.modes)
			}
		})
	}
}

// TestNoAllocation counts, so that a pool that stops working is noticed.
// AllocsPerRun rounds down, which forgives a collection that empties a pool.
func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("needs a build without the race detector, which empties pools at random")
	}
	for _, c := range []struct {
		name  string
		plain []byte
		dtype chunker.DType
	}{
		{"bf16", gaussBF16(1 << 20), chunker.BF16},
		{"fp32", gaussF32(1 << 20), chunker.F32},
		{"text", text(1 << 18), chunker.Opaque},
		{"noise", noise(chunker.MaxSize), chunker.I64},
		{"almost noise", almostNoise(chunker.MaxSize), chunker.U8},
	} {
		t.Run(c.name, func(t *testing.T) {
			dst := make([]byte, 0, codec.MaxEncoded(len(c.plain)))
			enc := slices.Clone(codec.Append(dst, c.plain, c.dtype))
			plain := make([]byte, len(c.plain))
			if n := testing.AllocsPerRun(20, func() { codec.Append(dst, c.plain, c.dtype) }); n >= 1 {
				t.Errorf("Append allocates %v times", n)
			}
			if n := testing.AllocsPerRun(20, func() { _, _ = codec.Decode(plain, enc) }); n >= 1 {
				t.Errorf("Decode allocates %v times", n)
			}
			base := nudged(c.plain, c.dtype.Width(), 0.1)
			name := chunker.Sum(base)
			delta, ok := codec.AppendDelta(nil, c.plain, base, name, c.dtype, len(plain))
			if !ok {
				t.Fatal("no delta")
			}
			if n := testing.AllocsPerRun(20, func() { codec.AppendDelta(dst, c.plain, base, name, c.dtype, len(plain)) }); n >= 1 {
				t.Errorf("AppendDelta allocates %v times", n)
			}
			if n := testing.AllocsPerRun(20, func() { _, _ = codec.DecodeDelta(plain, delta, base, name) }); n >= 1 {
				t.Errorf("DecodeDelta allocates %v times", n)
			}
		})
	}
}

// TestConcurrent shares the pools among goroutines whose chunks differ.
func TestConcurrent(t *testing.T) {
	errs := make(chan error)
	const workers = 8
	for w := range workers {
		go func() {
			plain := gaussBF16(50_000 + 1000*w)
			base := nudged(plain, 2, 0.1*float64(w+1))
			name := chunker.Sum(base)
			var enc, got []byte
			for i := range 10 {
				dt := dtypes[(w+i)%len(dtypes)]
				enc = codec.Append(enc[:0], plain, dt)
				var err error
				if got, err = codec.Decode(got, enc); err != nil || !bytes.Equal(got, plain) {
					errs <- fmt.Errorf("worker %d: %w", w, errors.Join(err, errors.New("plain bytes differ")))
					return
				}
				enc, _ = codec.AppendDelta(enc[:0], plain, base, name, dt, len(plain))
				if got, err = codec.DecodeDelta(got, enc, base, name); err != nil || !bytes.Equal(got, plain) {
					errs <- fmt.Errorf("worker %d: delta: %w", w, errors.Join(err, errors.New("plain bytes differ")))
					return
				}
			}
			errs <- nil
		}()
	}
	for range workers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
