package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
)

// nudged returns b with some of its elements moved by a little.
func nudged(b []byte, width int, share float64) []byte {
	b = slices.Clone(b)
	r := source(21)
	for i := 0; i+width <= len(b); i += width {
		if r.Float64() >= share {
			continue
		}
		by := uint64(1 + r.IntN(5))
		if r.IntN(2) == 0 {
			by = -by
		}
		var word [8]byte
		copy(word[:], b[i:i+width])
		copy(b[i:i+width], le64(binary.LittleEndian.Uint64(word[:])+by))
	}
	return b
}

// fit returns n bytes: those of b, cut or followed by zeros.
func fit(b []byte, n int) []byte { return append(slices.Clone(b), make([]byte, n)...)[:n] }

// roundTripDelta encodes plain as a delta of base and decodes it.
func roundTripDelta(t testing.TB, plain, base []byte, dt chunker.DType) []byte {
	t.Helper()
	name := chunker.Sum(base)
	enc, ok := codec.AppendDelta(nil, plain, base, name, dt, len(plain))
	if !ok {
		t.Fatalf("%s: %d bytes have no delta of %d", dt, len(plain), len(base))
	}
	readDelta(t, enc, plain, base, name)
	return enc
}

// readDelta decodes enc apart from its base and in the place of it, and gets the
// base back.
func readDelta(t testing.TB, enc, plain, base []byte, name chunker.Digest) {
	t.Helper()
	if got, err := codec.Base(enc[:codec.BaseHeaderLen]); err != nil || got != name {
		t.Fatalf("base is %s, %v", got, err)
	}
	if err := codec.Check(enc); err != nil {
		t.Fatal(err)
	}
	got, err := codec.DecodeDelta(nil, enc, base, name)
	if err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("%d bytes of %d did not survive: %v", len(plain), len(base), err)
	}
	place := make([]byte, len(base), max(len(base), len(plain)))
	copy(place, base)
	got, err = codec.DecodeDelta(place, enc, place, name)
	if err != nil || !bytes.Equal(got, plain) || len(place) > 0 && &got[0] != &place[0] {
		t.Fatalf("%d bytes of %d did not survive in place: %v", len(plain), len(base), err)
	}
	got, err = codec.UndoDelta(got, enc, got, name)
	if err != nil || !bytes.Equal(got, fit(base, len(plain))) {
		t.Fatalf("the base of %d bytes, %d long, did not come back: %v", len(plain), len(base), err)
	}
}

func TestDeltaRoundTrip(t *testing.T) {
	for _, ten := range tensors {
		t.Run(ten.name, func(t *testing.T) {
			for _, n := range []int{1000, 4099, 16384, 70_000, 300_001} {
				if raceEnabled && n > 1<<15 { // see TestRoundTrip
					continue
				}
				base := ten.make(n)
				for _, share := range []float64{0, 0.01, 0.3} {
					plain := nudged(base, ten.dtype.Width(), share)
					roundTripDelta(t, plain, base, ten.dtype)
				}
				roundTripDelta(t, base[:n-n/4], base, ten.dtype)
				roundTripDelta(t, base, base[:n-n/8+1], ten.dtype)
			}
		})
	}
}

// TestDeltaModes shows which planes a delta of bfloat16s has.
func TestDeltaModes(t *testing.T) {
	base := gaussBF16(1 << 18)
	for _, tt := range []struct {
		share  float64
		layout codec.Layout
		modes  []codec.Mode
	}{
		{0, codec.LayoutTwo, []codec.Mode{codec.ModeConst, codec.ModeConst}},
		{0.1, codec.LayoutTwo, []codec.Mode{codec.ModeSparse, codec.ModeConst}},
		{0.97, codec.LayoutTwo, []codec.Mode{codec.ModeHuff0, codec.ModeConst}},
	} {
		info, err := codec.Inspect(roundTripDelta(t, nudged(base, 2, tt.share), base, chunker.BF16))
		if err != nil {
			t.Fatal(err)
		}
		var modes []codec.Mode
		for _, p := range info.Planes {
			modes = append(modes, p.Mode)
		}
		if info.Layout != tt.layout || !slices.Equal(modes, tt.modes) {
			t.Errorf("%v changed: layout %d, modes %d, want %d", tt.share, info.Layout, modes, tt.modes)
		}
	}
}

// TestDeltaNeedsBase tells what is needed.
func TestDeltaNeedsBase(t *testing.T) {
	base := gaussBF16(4096)
	plain := nudged(base, 2, 0.1)
	name, other := chunker.Sum(base), chunker.Sum(plain)
	enc := roundTripDelta(t, plain, base, chunker.BF16)
	whole := codec.Append(nil, plain, chunker.BF16)
	if got, err := codec.Base(whole); err != nil || !got.IsZero() {
		t.Errorf("base of a whole chunk: %s, %v", got, err)
	}
	if info, err := codec.Inspect(enc); err != nil || !info.Delta || info.Base != name {
		t.Errorf("inspect: %+v, %v", info, err)
	}
	if n, err := codec.PlainLen(enc); err != nil || n != len(plain) {
		t.Errorf("plain length: %d, %v", n, err)
	}
	_, decode := codec.Decode(nil, enc)
	_, wrong := codec.DecodeDelta(nil, enc, plain, other)
	_, none := codec.DecodeDelta(nil, whole, base, name)
	for what, tt := range map[string]struct {
		err   error
		names []chunker.Digest
	}{
		"decode": {decode, []chunker.Digest{name}}, "wrong base": {wrong, []chunker.Digest{name, other}},
		"whole": {none, []chunker.Digest{name}},
	} {
		if !errors.Is(tt.err, codec.ErrBase) || errors.Is(tt.err, codec.ErrCorrupt) || errors.Is(tt.err, codec.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrBase alone", what, tt.err)
			continue
		}
		for _, n := range tt.names {
			if !strings.Contains(tt.err.Error(), n.String()) {
				t.Errorf("%s: %v does not name %s", what, tt.err, n)
			}
		}
	}
	for n := range codec.BaseHeaderLen {
		refused(t, seal(enc[:n]), fmt.Sprintf("delta of %d bytes", n))
		if _, err := codec.Base(enc[:n]); !errors.Is(err, codec.ErrCorrupt) {
			t.Errorf("base of %d bytes: %v", n, err)
		}
	}
}

// TestDeltaLimit leaves everything as it was when there is no room.
func TestDeltaLimit(t *testing.T) {
	base := gaussBF16(1 << 16)
	plain := nudged(base, 2, 0.1)
	enc := roundTripDelta(t, plain, base, chunker.BF16)
	prefix := []byte("begin")
	if got, ok := codec.AppendDelta(prefix, plain, base, chunker.Sum(base), chunker.BF16, len(enc)); !ok || !bytes.Equal(got[5:], enc) {
		t.Error("a delta as long as the limit is refused")
	}
	if got, ok := codec.AppendDelta(prefix, plain, base, chunker.Sum(base), chunker.BF16, len(enc)-1); ok || string(got) != "begin" {
		t.Errorf("got %q, %v over the limit", got, ok)
	}
	if _, ok := codec.AppendDelta(nil, noise(1<<16), base, chunker.Sum(base), chunker.BF16, 1<<20); ok {
		t.Error("a delta longer than the plain bytes")
	}
}
