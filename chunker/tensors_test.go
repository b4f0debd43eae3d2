package chunker_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

func bf16(offset, length int64) chunker.Extent {
	return chunker.Extent{Offset: offset, Length: length, DType: chunker.BF16, TypeName: "BF16"}
}

func f32(offset, length int64) chunker.Extent {
	return chunker.Extent{Offset: offset, Length: length, DType: chunker.F32, TypeName: "F32"}
}

func opaque(offset, length int64, typeName string) chunker.Extent {
	return chunker.Extent{Offset: offset, Length: length, TypeName: typeName}
}

func TestCutTensors(t *testing.T) {
	const b, f, o = chunker.BF16, chunker.F32, chunker.Opaque
	for _, tt := range []struct {
		name    string
		size    int64
		tensors []chunker.Extent
		want    []chunker.Cut
	}{
		{"empty file", 0, nil, nil},
		{"one byte", 1, nil, []chunker.Cut{{0, 1, o}}},
		{"no tensors", 2*mib + 5, nil, []chunker.Cut{{0, 2 * mib, o}, {2 * mib, 5, o}}},
		{
			"grid from the tensor's start", 100 + 5*mib,
			[]chunker.Extent{bf16(100, 5*mib)},
			[]chunker.Cut{{0, 100, o}, {100, 2 * mib, b}, {100 + 2*mib, 2 * mib, b}, {100 + 4*mib, mib, b}},
		},
		{
			"long header", 3*mib + 1*kib,
			[]chunker.Extent{bf16(3*mib, 1*kib)},
			[]chunker.Cut{{0, 2 * mib, o}, {2 * mib, mib, o}, {3 * mib, 1 * kib, b}},
		},
		{
			"own chunk from 256 KiB", 512*kib - 1,
			[]chunker.Extent{bf16(0, 256*kib-1), bf16(256*kib-1, 256*kib)},
			[]chunker.Cut{{0, 256*kib - 1, b}, {256*kib - 1, 256 * kib, b}},
		},
		{
			"a tail does not gather", 2*mib + 20,
			[]chunker.Extent{bf16(0, 2*mib+10), bf16(2*mib+10, 10)},
			[]chunker.Cut{{0, 2 * mib, b}, {2 * mib, 10, b}, {2*mib + 10, 10, b}},
		},
		{
			"gathered by type", 100,
			[]chunker.Extent{bf16(0, 10), bf16(10, 20), f32(30, 40), f32(70, 4), bf16(74, 26)},
			[]chunker.Cut{{0, 30, b}, {30, 44, f}, {74, 26, b}},
		},
		{
			"types that only the container tells apart", 30,
			[]chunker.Extent{opaque(0, 10, "F4"), opaque(10, 10, "C64"), opaque(20, 10, "C64")},
			[]chunker.Cut{{0, 10, o}, {10, 20, o}},
		},
		{
			"one word for two types", 20,
			[]chunker.Extent{{0, 10, chunker.I8, "x"}, {10, 10, chunker.U8, "x"}},
			[]chunker.Cut{{0, 10, chunker.I8}, {10, 10, chunker.U8}},
		},
		{
			"gathered to 2 MiB exactly", 2*mib + 128*kib,
			every(128*kib, 17),
			[]chunker.Cut{{0, 2 * mib, b}, {2 * mib, 128 * kib, b}},
		},
		{
			"a gathered tensor is never split", 12 * 200 * kib,
			every(200*kib, 12),
			[]chunker.Cut{{0, 2000 * kib, b}, {2000 * kib, 400 * kib, b}},
		},
		{
			"padding between, trailer behind", 60,
			[]chunker.Extent{bf16(8, 10), bf16(24, 10), bf16(34, 10)},
			[]chunker.Cut{{0, 8, o}, {8, 10, b}, {18, 6, o}, {24, 20, b}, {44, 16, o}},
		},
		{
			"opaque tensors do not join the padding", 30,
			[]chunker.Extent{opaque(10, 10, "")},
			[]chunker.Cut{{0, 10, o}, {10, 10, o}, {20, 10, o}},
		},
		{
			"no bytes count for nothing", 20,
			[]chunker.Extent{bf16(0, 10), f32(10, 0), bf16(10, 10), f32(5, 0), f32(20, 0)},
			[]chunker.Cut{{0, 20, b}},
		},
		{
			"any order", 30,
			[]chunker.Extent{f32(20, 10), bf16(10, 10), bf16(0, 10)},
			[]chunker.Cut{{0, 20, b}, {20, 10, f}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := slices.Clone(tt.tensors)
			got, err := chunker.CutTensors(tt.size, tt.tensors)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got  %v, %v\nwant %v", got, err, tt.want)
			}
			if !slices.Equal(before, tt.tensors) {
				t.Error("the extents were changed")
			}
		})
	}
}

// every returns n touching tensors of that length.
func every(length int64, n int) []chunker.Extent {
	tensors := make([]chunker.Extent, n)
	for i := range tensors {
		tensors[i] = bf16(int64(i)*length, length)
	}
	return tensors
}

func TestCutTensorsRefuses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		size    int64
		tensors []chunker.Extent
		says    string
	}{
		{"negative size", -1, nil, "-1 bytes"},
		{"negative offset", 10, []chunker.Extent{bf16(-1, 1)}, "extent 0"},
		{"negative length", 10, []chunker.Extent{bf16(0, 1), bf16(1, -1)}, "extent 1"},
		{"past the end", 10, []chunker.Extent{bf16(0, 1), bf16(1, 10)}, "extent 1"},
		{"starts past the end", 10, []chunker.Extent{bf16(11, 0)}, "extent 0"},
		{"sum overflows", 10, []chunker.Extent{bf16(9, math.MaxInt64)}, "extent 0"},
		{"sum overflows in a huge file", math.MaxInt64, []chunker.Extent{bf16(math.MaxInt64, math.MaxInt64)}, "extent 0"},
		{"overlap", 10, []chunker.Extent{bf16(5, 5), bf16(0, 6)}, "extents 1 and 0 overlap at 5"},
		{"same place", 10, []chunker.Extent{bf16(0, 5), bf16(0, 5)}, "extents 0 and 1"},
		{"inside", 10, []chunker.Extent{bf16(0, 10), bf16(2, 0), bf16(3, 1)}, "extents 0 and 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cuts, err := chunker.CutTensors(tt.size, tt.tensors)
			if !errors.Is(err, chunker.ErrExtent) || !strings.Contains(err.Error(), tt.says) || cuts != nil {
				t.Errorf("got %v, %v; want an error with %q", cuts, err, tt.says)
			}
		})
	}
}

// checkCover fails unless the cuts cover size bytes in order, each once.
func checkCover(t *testing.T, size int64, cuts []chunker.Cut) {
	t.Helper()
	var pos int64
	for i, c := range cuts {
		if c.Offset != pos || c.Length < 1 || c.Length > chunker.MaxSize {
			t.Fatalf("cut %d is %v, want 1 to 2 MiB from %d", i, c, pos)
		}
		pos += int64(c.Length)
	}
	if pos != size {
		t.Fatalf("cuts end at %d of %d bytes", pos, size)
	}
}

// randomFile places n tensors in a file, with gaps here and there.
func randomFile(r *rand.Rand, n int) (size int64, tensors []chunker.Extent) {
	for range n {
		if r.IntN(8) == 0 {
			size += r.Int64N(3 * mib)
		}
		length := r.Int64N(64 * kib)
		if r.IntN(5) == 0 {
			length = r.Int64N(6 * mib)
		}
		e := bf16(size, length)
		if r.IntN(4) == 0 {
			e = f32(size, length)
		}
		tensors = append(tensors, e)
		size += length
	}
	return size + r.Int64N(100), tensors
}

func TestCutTensorsProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		size, tensors := randomFile(r, r.IntN(40))
		cuts, err := chunker.CutTensors(size, tensors)
		if err != nil {
			t.Fatal(err)
		}
		checkCover(t, size, cuts)
		checkGrids(t, tensors, cuts)
		r.Shuffle(len(tensors), func(i, j int) { tensors[i], tensors[j] = tensors[j], tensors[i] })
		again, err := chunker.CutTensors(size, tensors)
		if err != nil || !slices.Equal(cuts, again) {
			t.Fatalf("another order of extents gives other cuts, %v", err)
		}
	}
}

// checkGrids fails unless every long tensor is cut on its own grid and no short
// one is split.
func checkGrids(t *testing.T, tensors []chunker.Extent, cuts []chunker.Cut) {
	t.Helper()
	starts := map[int64]chunker.Cut{}
	for _, c := range cuts {
		starts[c.Offset] = c
	}
	for _, e := range tensors {
		end := e.Offset + e.Length
		if e.Length < chunker.OwnSize {
			for at := e.Offset + 1; at < end; at++ {
				if _, ok := starts[at]; ok {
					t.Fatalf("tensor %v is split at %d", e, at)
				}
			}
			continue
		}
		for at := e.Offset; at < end; at += chunker.MaxSize {
			want := chunker.Cut{Offset: at, Length: int(min(end-at, chunker.MaxSize)), DType: e.DType}
			if starts[at] != want {
				t.Fatalf("tensor %v: cut %v at its grid, want %v", e, starts[at], want)
			}
		}
	}
}

func FuzzCutTensors(f *testing.F) {
	f.Add(int64(4*mib), []byte{1, 2, 3, 4, 5, 6, 7, 8})
	f.Add(int64(100), []byte{0, 0, 0, 50, 1, 0, 50, 50, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, size int64, spec []byte) {
		size %= 1 << 40
		var tensors []chunker.Extent
		var pos int64
		for ; len(spec) >= 4; spec = spec[4:] {
			offset := pos + int64(int8(spec[1]))<<(spec[0]%20)
			length := int64(int8(spec[2])) << (spec[3] % 20)
			tensors = append(tensors, chunker.Extent{Offset: offset, Length: length, DType: chunker.DType(spec[0] >> 6), TypeName: string(spec[3] >> 6)})
			pos = offset + length
		}
		cuts, err := chunker.CutTensors(size, tensors)
		if err != nil {
			if !errors.Is(err, chunker.ErrExtent) {
				t.Fatalf("unknown error: %v", err)
			}
			return
		}
		checkCover(t, size, cuts)
	})
}

func BenchmarkCutTensors(b *testing.B) {
	tensors := make([]chunker.Extent, 1_000_000)
	var size int64
	for i := range tensors {
		length := int64(4 * kib)
		if i%4 == 0 {
			length = 4 * mib
		}
		tensors[i] = bf16(size, length)
		size += length
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := chunker.CutTensors(size, tensors); err != nil {
			b.Fatal(err)
		}
	}
}
