package codec_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
)

// FuzzDecode decodes anything, once as it is and once with the checksum put
// right, so that what lies behind it is reached.
func FuzzDecode(f *testing.F) {
	for _, t := range tensors {
		f.Add(codec.Append(nil, t.make(1000), t.dtype))
	}
	f.Add(codec.Append(nil, blocks(), chunker.U8))
	f.Add([]byte("IG"))
	f.Add(sparse(21, 0, 1, 3, 0, 0, 0, 1, 0x80, 4, 3, 0, 0, 0, 7, 8, 9))
	f.Add(sparse(400, 0, 2, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 2, 0, 0, 0, 1, 0x80, 2, 0, 0, 0, 1, 2))
	f.Fuzz(func(t *testing.T, enc []byte) {
		decodeAny(t, enc)
		decodeAny(t, seal(enc))
	})
}

// decodeAny holds the functions that read a chunk to what they promise together.
func decodeAny(t *testing.T, enc []byte) {
	const guard = 64
	info, inspectErr := codec.Inspect(enc) // without one, nothing may be written
	dst := bytes.Repeat([]byte{0xa5}, info.RawLen+guard)
	checkErr := codec.Check(enc)
	got, err := codec.Decode(dst, enc)
	for _, err := range []error{inspectErr, checkErr, err} {
		if err != nil && !oneOf(err, codec.ErrCorrupt, codec.ErrUnsupported, codec.ErrBase) {
			t.Fatalf("error is not one of corrupt, unsupported and another base: %v", err)
		}
	}
	if checkErr == nil && inspectErr != nil {
		t.Fatalf("check passes what inspect refuses: %v", inspectErr)
	}
	if len(bytes.TrimLeft(dst[info.RawLen:], "\xa5")) > 0 {
		t.Fatal("bytes after the result were written")
	}
	if err != nil {
		return
	}
	if checkErr != nil {
		t.Fatalf("decode accepts what check refuses: %v", checkErr)
	}
	if len(got) != info.RawLen || len(enc) > codec.MaxEncoded(len(got)) {
		t.Fatalf("%d bytes decode to %d, header says %d", len(enc), len(got), info.RawLen)
	}
}

// oneOf reports whether err is exactly one of some kinds.
func oneOf(err error, kinds ...error) bool {
	n := 0
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			n++
		}
	}
	return n == 1
}

// FuzzRoundTrip encodes anything as any type.
func FuzzRoundTrip(f *testing.F) {
	for _, t := range tensors {
		f.Add(t.make(1000), byte(t.dtype))
	}
	f.Add(patchwork(1000), byte(chunker.F32))
	f.Fuzz(func(t *testing.T, plain []byte, dtype byte) {
		if len(plain) == 0 || len(plain) > chunker.MaxSize {
			return
		}
		roundTrip(t, plain, chunker.DType(dtype))
		// The same bytes many times over have more blocks and another sample.
		long := bytes.Repeat(plain, min(300_000, chunker.MaxSize)/len(plain)+1)
		roundTrip(t, long[:min(len(long), chunker.MaxSize)], chunker.DType(dtype))
	})
}

// FuzzDecodeDelta decodes anything as a delta of anything.
func FuzzDecodeDelta(f *testing.F) {
	for _, t := range tensors {
		base := t.make(2000)
		for _, share := range []float64{0.01, 0.3, 1} {
			plain := nudged(base, t.dtype.Width(), share)
			if enc, ok := codec.AppendDelta(nil, plain, base, chunker.Sum(base), t.dtype, len(plain)); ok {
				f.Add(enc, base)
				f.Add(enc, base[:1001])
			}
		}
	}
	f.Add(sparse(21, 0, 1, 3, 0, 0, 0, 1, 0x80, 4, 3, 0, 0, 0, 7, 8, 9), []byte("base"))
	f.Fuzz(func(t *testing.T, enc, base []byte) {
		decodeAnyDelta(t, enc, base)
		decodeAnyDelta(t, seal(enc), base)
	})
}

// decodeAnyDelta decodes in three ways, which must agree.
func decodeAnyDelta(t *testing.T, enc, base []byte) {
	const guard = 64
	name, err := codec.Base(enc)
	if err == nil && name.IsZero() {
		name = chunker.Sum(base) // of a whole chunk, which is refused
	}
	info, _ := codec.Inspect(enc)
	n := info.RawLen
	dst := bytes.Repeat([]byte{0xa5}, n+guard)
	got, err := codec.DecodeDelta(dst, enc, base, name)
	if len(bytes.TrimLeft(dst[n:], "\xa5")) > 0 {
		t.Fatal("bytes after the result were written")
	}
	if err != nil {
		if !oneOf(err, codec.ErrCorrupt, codec.ErrUnsupported, codec.ErrBase) {
			t.Fatalf("error is not one of corrupt, unsupported and another base: %v", err)
		}
		return
	}
	if len(got) != n || len(enc) > n || !info.Delta {
		t.Fatalf("%d bytes decode to %d, header says %d", len(enc), len(got), n)
	}
	place := make([]byte, len(base), max(n, len(base)))
	copy(place, base)
	if there, err := codec.DecodeDelta(place, enc, place, name); err != nil || !bytes.Equal(there, got) {
		t.Fatalf("in place of the base: %v", err)
	}
	back, err := codec.UndoDelta(nil, enc, got, name)
	if err != nil || !bytes.Equal(back, fit(base, n)) {
		t.Fatalf("undone: %v", err)
	}
}

// FuzzDelta encodes anything as a delta of anything.
func FuzzDelta(f *testing.F) {
	for _, t := range tensors {
		f.Add(t.make(1000), nudged(t.make(1000), t.dtype.Width(), 0.1), byte(t.dtype))
	}
	f.Add(patchwork(1000), []byte{}, byte(chunker.F32))
	f.Fuzz(func(t *testing.T, plain, base []byte, dtype byte) {
		for _, length := range []int{0, 200_000} { // as FuzzRoundTrip
			long, under := repeated(plain, length), repeated(base, length)
			if len(long) == 0 || len(long) > chunker.MaxSize {
				return
			}
			name := chunker.Sum(under)
			if enc, ok := codec.AppendDelta(nil, long, under, name, chunker.DType(dtype), len(long)); ok {
				readDelta(t, enc, long, under, name)
			}
		}
	})
}

// repeated returns b as often as makes n bytes or a little more, at least once.
func repeated(b []byte, n int) []byte { return bytes.Repeat(b, n/max(len(b), 1)+1) }
