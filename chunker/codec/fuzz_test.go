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
		if err != nil && errors.Is(err, codec.ErrCorrupt) == errors.Is(err, codec.ErrUnsupported) {
			t.Fatalf("error is not one of corrupt and unsupported: %v", err)
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
