package codec_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
)

var update = flag.Bool("update", false, "write the golden files of the version in use")

// goldens has every layout, every mode and every kind of block. The contents are
// made without rounding, so that they are the same on every machine.
var goldens = []struct {
	name  string
	dtype chunker.DType
	plain []byte
}{
	{"v1-bytes-raw", chunker.Opaque, noise(300)},
	{"v1-bytes-zstd", chunker.Opaque, text(4000)},
	{"v1-bytes-huff0", chunker.BF16, bell(4001, 2)},
	{"v1-one-const", chunker.F8E4M3, make([]byte, 1000)},
	{"v1-one-zstd", chunker.U8, almostZero(20_000)},
	{"v1-one-huff0-blocks", chunker.I8, blocks()},
	{"v1-two", chunker.I16, counters(2, 4000)},
	{"v1-bf16", chunker.BF16, bell(4000, 2)},
	{"v1-f32", chunker.F32, bell(4000, 4)},
	{"v1-f32-widened", chunker.F32, bellWidened(4000)},
	{"v1-four", chunker.I32, counters(4, 4000)},
	{"v1-eight", chunker.I64, counters(8, 4000)},
}

// goldenDeltas has every layout and mode that a delta may have, and bases that are
// shorter and longer. Each is of the plain bytes of a golden file, or of their start.
var goldenDeltas = []struct {
	name  string
	dtype chunker.DType
	plain []byte
	base  []byte
}{
	{"v1-delta-one", chunker.I8, nudged(blocks()[:50_000], 1, 0.004), blocks()},
	{"v1-delta-two", chunker.BF16, nudged(bell(5001*2, 2), 2, 0.3), bell(4000, 2)},
	{"v1-delta-two-masks", chunker.U8, nudged(almostZero(20_000), 1, 0.01), almostZero(20_000)},
	{"v1-delta-two-huff0", chunker.F16, nudged(bell(4000, 2), 2, 0.95), bell(4000, 2)},
	{"v1-delta-same", chunker.BF16, bell(4000, 2), bell(4000, 2)},
	{"v1-delta-four", chunker.F32, trained(bell(4000, 4)), bell(4000, 4)},
	{"v1-delta-eight", chunker.I64, nudged(counters(8, 4000), 8, 0.2), counters(8, 4000)},
}

// trained moves every float32 by a little and the lowest bytes at random.
func trained(b []byte) []byte {
	b = nudged(b, 4, 1)
	for i, v := range noise(len(b) / 4) {
		b[4*i] = v
	}
	return nudged(b, 2, 0.3)
}

const sums = "v1.sums" // the digests of the plain bytes

// TestGoldenEncode fails when the encoder writes other bytes than it did. Such a
// change is allowed, as long as TestGoldenDecode passes with the old files; it
// must not go unnoticed.
func TestGoldenEncode(t *testing.T) {
	var list strings.Builder
	for _, g := range goldens {
		got := roundTrip(t, g.plain, g.dtype)
		fmt.Fprintf(&list, "%s  %s\n", chunker.Sum(g.plain), g.name)
		compareGolden(t, g.name+".chunk", got)
	}
	for _, g := range goldenDeltas {
		got := roundTripDelta(t, g.plain, g.base, g.dtype)
		fmt.Fprintf(&list, "%s  %s\n", chunker.Sum(g.plain), g.name)
		compareGolden(t, g.name+".chunk", got)
	}
	compareGolden(t, sums, []byte(list.String()))
}

func compareGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the encoder writes other bytes (go test -update accepts them)", name)
	}
}

// TestGoldenDecode reads what was once written, and does not ask the encoder.
func TestGoldenDecode(t *testing.T) {
	list, err := os.ReadFile(filepath.Join("testdata", sums))
	if err != nil {
		t.Fatal(err)
	}
	known := map[chunker.Digest][]byte{} // what has been decoded, for the deltas that follow
	for line := range strings.Lines(string(list)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		enc, err := os.ReadFile(filepath.Join("testdata", name+".chunk"))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := decodeGolden(enc, known)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := chunker.Sum(plain).String(); got != sum {
			t.Errorf("%s: decodes to %s, want %s", name, got, sum)
		}
		known[chunker.Sum(plain)] = plain
	}
}

func decodeGolden(enc []byte, known map[chunker.Digest][]byte) ([]byte, error) {
	name, err := codec.Base(enc)
	if err != nil || name.IsZero() {
		return codec.Decode(nil, enc)
	}
	return codec.DecodeDelta(nil, enc, known[name], name)
}

// TestGoldenCovers fails when a layout or a mode is added without a golden file.
func TestGoldenCovers(t *testing.T) {
	layouts, modes := map[codec.Layout]bool{}, map[codec.Mode]bool{}
	for _, g := range goldens {
		info, err := codec.Inspect(codec.Append(nil, g.plain, g.dtype))
		if err != nil {
			t.Fatal(err)
		}
		layouts[info.Layout] = true
		for _, p := range info.Planes {
			modes[p.Mode] = true
		}
	}
	if len(layouts) != 7 || len(modes) != 4 {
		t.Errorf("golden files have layouts %v and modes %v", layouts, modes)
	}
	clear(layouts)
	clear(modes)
	for _, g := range goldenDeltas {
		info, err := codec.Inspect(roundTripDelta(t, g.plain, g.base, g.dtype))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: layout %d, planes %v", g.name, info.Layout, info.Planes)
		layouts[info.Layout] = true
		for _, p := range info.Planes {
			modes[p.Mode] = true
		}
	}
	if len(layouts) != 4 || len(modes) != 4 {
		t.Errorf("golden deltas have layouts %v and modes %v", layouts, modes)
	}
}

// bellValue adds up four dice: a bell whose values are exact in a float32.
func bellValue(r *rand.Rand) uint32 {
	sum := 0
	for range 4 {
		sum += r.IntN(1 << 12)
	}
	return math.Float32bits(float32(sum-2<<12) / (1 << 16))
}

// bell is n bytes of float32, or of their upper halves.
func bell(n, width int) []byte {
	return each(n, width, 12, func(b []byte, r *rand.Rand) { copy(b, le32(bellValue(r))[4-width:]) })
}

func bellWidened(n int) []byte {
	return each(n, 4, 13, func(b []byte, r *rand.Rand) { binary.LittleEndian.PutUint32(b, bellValue(r)&0xffff0000) })
}

// blocks makes a plane with a block of each kind: a table, a run, a reuse of the
// table, and raw bytes.
func blocks() []byte {
	const block = 128 << 10
	coin := func(n int) []byte {
		return each(n, 1, 14, func(b []byte, r *rand.Rand) { b[0] = byte(1 + r.IntN(2)) })
	}
	return bytes.Join([][]byte{coin(block), make([]byte, block), coin(block), noise(100)}, nil)
}
