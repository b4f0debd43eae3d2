package manifest_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// small returns a valid Manifest with one of everything, new each time.
func small() *manifest.Manifest {
	return &manifest.Manifest{
		Annotations: []manifest.Annotation{{Key: "license", Value: "MIT"}, {Key: "step", Value: "7"}},
		Chunks:      []chunker.Ref{{Digest: digestOf(1), Size: 10}, {Digest: digestOf(2), Size: 20}},
		Files: []manifest.File{
			{Path: "a", Size: 30, Format: "safetensors", Chunks: []uint32{0, 1}, Tensors: []manifest.Tensor{
				{Name: "v", DType: "F32", Shape: []uint64{2, 1}, Offset: 10, Length: 8},
				{Name: "w", DType: "U8", Offset: 18, Length: 12},
			}},
			{Path: "b", Size: 10, Format: "opaque", Chunks: []uint32{0}},
		},
	}
}

// TestRules breaks every rule that a Manifest in memory can break.
func TestRules(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, tc := range []struct {
		want   string
		change func(m *manifest.Manifest)
	}{
		{"file \"../a\": path", func(m *manifest.Manifest) { m.Files[0].Path = "../a" }},
		{"out of order", func(m *manifest.Manifest) { m.Files[0].Path = "c" }},
		{"twice", func(m *manifest.Manifest) { m.Files[1].Path = "a" }},
		{"folder", func(m *manifest.Manifest) { m.Files[1].Path = "a/b" }},
		{"size 31", func(m *manifest.Manifest) { m.Files[0].Size = 31 }},
		{"size 18446744073709551615", func(m *manifest.Manifest) { m.Files[1].Size = 1<<64 - 1 }},
		{"size 0", func(m *manifest.Manifest) { m.Files[1].Size = 0 }},
		{"format \"\"", func(m *manifest.Manifest) { m.Files[1].Format = "" }},
		{"format \"GGUF\"", func(m *manifest.Manifest) { m.Files[1].Format = "GGUF" }},
		{"format", func(m *manifest.Manifest) { m.Files[1].Format = "x" + long(manifest.MaxFormat) }},
		{"the table has 2", func(m *manifest.Manifest) { m.Files[1].Chunks = []uint32{2} }},
		{"the table has 2", func(m *manifest.Manifest) { m.Files[1].Chunks = []uint32{1<<32 - 1} }},
		{"chunk 0 was not used yet", func(m *manifest.Manifest) { m.Files[0].Chunks = []uint32{1, 0} }},
		{"chunk 2: not used", func(m *manifest.Manifest) {
			m.Chunks = append(m.Chunks, chunker.Ref{Digest: digestOf(3), Size: 1})
		}},
		{"same digest as chunk 0", func(m *manifest.Manifest) { m.Chunks[1].Digest = m.Chunks[0].Digest }},
		{"all zero", func(m *manifest.Manifest) { m.Chunks[0].Digest = chunker.Digest{} }},
		{"chunk 1: 0 bytes", func(m *manifest.Manifest) {
			m.Chunks[1].Size, m.Files[0].Size, m.Files[0].Tensors = 0, 10, nil
		}},
		{"chunk 1: 2097153 bytes", func(m *manifest.Manifest) {
			m.Chunks[1].Size, m.Files[0].Size = manifest.MaxChunk+1, manifest.MaxChunk+11
		}},
		{"leave the file", func(m *manifest.Manifest) { m.Files[0].Tensors[1].Length = 13 }},
		{"leave the file", func(m *manifest.Manifest) { m.Files[0].Tensors[1].Length = 1<<64 - 18 }},
		{"leave the file", func(m *manifest.Manifest) { m.Files[0].Tensors[1].Offset = 31 }},
		{"tensor \"v\": out of order", func(m *manifest.Manifest) {
			ts := m.Files[0].Tensors
			ts[0], ts[1] = ts[1], ts[0]
		}},
		{"tensor \"a\": out of order", func(m *manifest.Manifest) {
			m.Files[0].Tensors[1].Offset, m.Files[0].Tensors[1].Name = 10, "a"
		}},
		{"tensor \"v\": twice", func(m *manifest.Manifest) { m.Files[0].Tensors[1].Name = "v" }},
		{"name: not valid UTF-8", func(m *manifest.Manifest) { m.Files[0].Tensors[0].Name = "\xff" }},
		{"name: 1025 bytes", func(m *manifest.Manifest) { m.Files[0].Tensors[0].Name = long(1025) }},
		{"element type: 0 bytes", func(m *manifest.Manifest) { m.Files[0].Tensors[0].DType = "" }},
		{"element type: 65 bytes", func(m *manifest.Manifest) { m.Files[0].Tensors[0].DType = long(65) }},
		{"33 dimensions", func(m *manifest.Manifest) { m.Files[0].Tensors[0].Shape = make([]uint64, 33) }},
		{"annotation \"license\": out of order or twice", func(m *manifest.Manifest) { m.Annotations[1].Key = "license" }},
		{"annotation \"a\": out of order", func(m *manifest.Manifest) { m.Annotations[1].Key = "a" }},
		{"annotation key \"\"", func(m *manifest.Manifest) { m.Annotations[0].Key = "" }},
		{"control", func(m *manifest.Manifest) { m.Annotations[0].Key = "a\n" }},
		{"annotation key", func(m *manifest.Manifest) { m.Annotations[0].Key = long(manifest.MaxKey + 1) }},
		{"value: 65537 bytes", func(m *manifest.Manifest) { m.Annotations[0].Value = long(manifest.MaxValue + 1) }},
		{"value: not valid UTF-8", func(m *manifest.Manifest) { m.Annotations[0].Value = "\xc3" }},
		{"1025 annotations", func(m *manifest.Manifest) { m.Annotations = make([]manifest.Annotation, 1025) }},
		{"annotations of", func(m *manifest.Manifest) {
			m.Annotations = nil
			for i := range 17 {
				m.Annotations = append(m.Annotations, manifest.Annotation{Key: fmt.Sprintf("k%02d", i), Value: long(manifest.MaxValue)})
			}
		}},
		{"100001 files", func(m *manifest.Manifest) { m.Files = make([]manifest.File, manifest.MaxFiles+1) }},
		{"bytes of paths, at most 8388608", func(m *manifest.Manifest) {
			m.Chunks, m.Files = nil, nil
			for i := range 2100 {
				path := fmt.Sprintf("%04d/%s", i, strings.Repeat(long(99)+"/", 39)+long(94))
				m.Files = append(m.Files, manifest.File{Path: path, Format: "opaque"})
			}
		}},
		{"1048577 tensors", func(m *manifest.Manifest) {
			m.Files[1].Tensors = nil
			for i := range manifest.MaxTensors - 1 {
				m.Files[1].Tensors = append(m.Files[1].Tensors, manifest.Tensor{Name: fmt.Sprintf("%07d", i), DType: "U8"})
			}
		}},
		{"files of more than", func(m *manifest.Manifest) {
			m.Chunks[0].Size = manifest.MaxChunk
			m.Files[0].Chunks, m.Files[0].Tensors = make([]uint32, 2<<20), nil
			m.Files[0].Size = uint64(manifest.MaxChunk) << 21
			m.Files[1].Chunks, m.Files[1].Size = []uint32{0}, manifest.MaxChunk
		}},
		{"bytes encoded, at most", func(m *manifest.Manifest) {
			shape := make([]uint64, manifest.MaxRank)
			for i := range manifest.MaxSize / (8 * manifest.MaxRank) {
				m.Files[1].Tensors = append(m.Files[1].Tensors, manifest.Tensor{Name: fmt.Sprintf("%07d", i), DType: "U8", Shape: shape})
			}
		}},
	} {
		m := small()
		tc.change(m)
		doc, err := m.Encode()
		if !errors.Is(err, manifest.ErrInvalid) || !strings.Contains(fmt.Sprint(err), tc.want) {
			t.Errorf("Encode = %d bytes, %v; want ErrInvalid with %q", len(doc), err, tc.want)
		}
	}
}

// TestParseRefuses changes bytes of a valid document.
func TestParseRefuses(t *testing.T) {
	const counts = 8 + 32 // annotations, chunks, files
	put := func(at int, v uint32) func([]byte) []byte {
		return func(doc []byte) []byte { binary.LittleEndian.PutUint32(doc[at:], v); return doc }
	}
	for _, tc := range []struct {
		want   string
		kind   error
		change func([]byte) []byte
	}{
		{"magic of 6 bytes, 0 left", manifest.ErrInvalid, func([]byte) []byte { return nil }},
		{"magic \"XNGOTM\"", manifest.ErrInvalid, func(doc []byte) []byte { doc[0] = 'X'; return doc }},
		{"version 2, this build knows 1", manifest.ErrVersion, func(doc []byte) []byte { doc[6] = 2; return doc }},
		{"version 0, this build knows 1", manifest.ErrVersion, func(doc []byte) []byte { doc[6] = 0; return doc[:8] }},
		{"annotation count 4294967295", manifest.ErrInvalid, put(counts, 1<<32-1)},
		{"chunk count 4294967295", manifest.ErrInvalid, put(counts+4, 1<<32-1)},
		{"1000000 chunks,", manifest.ErrInvalid, put(counts+4, 1_000_000)},
		{"file count 4294967295", manifest.ErrInvalid, put(counts+8, 1<<32-1)},
		{"100000 files,", manifest.ErrInvalid, put(counts+8, 100_000)},
		{"1 bytes after the last file", manifest.ErrInvalid, func(doc []byte) []byte { return append(doc, 0) }},
		{"bytes, at most 67108864", manifest.ErrInvalid, func([]byte) []byte { return make([]byte, manifest.MaxSize+1) }},
	} {
		m, err := manifest.Parse(tc.change(encode(t, small())))
		if m != nil || !errors.Is(err, tc.kind) || !strings.Contains(fmt.Sprint(err), tc.want) {
			t.Errorf("Parse = %v, %v; want %v with %q", m, err, tc.kind, tc.want)
		}
	}
}

func TestParseTruncated(t *testing.T) {
	doc := encode(t, small())
	for n := range doc {
		if _, err := manifest.Parse(doc[:n]); !errors.Is(err, manifest.ErrInvalid) {
			t.Fatalf("Parse of %d of %d bytes: %v, want ErrInvalid", n, len(doc), err)
		}
	}
}

// TestParseFlipped checks that no damaged document passes for another one, and
// that no damage makes Parse allocate out of proportion.
func TestParseFlipped(t *testing.T) {
	doc := encode(t, small())
	for i := range doc {
		for _, bit := range []byte{1, 0x80} {
			bad := bytes.Clone(doc)
			bad[i] ^= bit
			checkParse(t, bad)
		}
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		bad := encode(t, random(t, r))
		for range 1 + r.IntN(3) {
			bad[r.IntN(len(bad))] = byte(r.Uint32())
		}
		checkParse(t, bad)
	}
}

// checkParse is what holds for any bytes at all.
func checkParse(t *testing.T, doc []byte) {
	t.Helper()
	m, err := manifest.Parse(doc)
	if err != nil {
		if m != nil || errors.Is(err, manifest.ErrInvalid) == errors.Is(err, manifest.ErrVersion) {
			t.Fatalf("Parse(%x) = %v, %v; want nil and either ErrInvalid or ErrVersion", doc, m, err)
		}
		return
	}
	again, err := m.Encode()
	if err != nil || !bytes.Equal(again, doc) {
		t.Fatalf("Parse(%x) is accepted, but encodes as %x, %v", doc, again, err)
	}
	if _, err := m.ContentRoot(); err != nil {
		t.Fatal(err)
	}
	if d := manifest.Compare(m, m); d.ChunksNew != 0 || len(d.Files.Same) != len(m.Files) || d.BytesShared != m.ChunkBytes() {
		t.Fatalf("Compare(%x) with itself = %+v", doc, d)
	}
}

// TestLyingCounts holds that a count is believed only as far as bytes follow.
func TestLyingCounts(t *testing.T) {
	for _, at := range []int{40, 44, 48} {
		doc := encode(t, small())
		binary.LittleEndian.PutUint32(doc[at:], 1000)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := manifest.Parse(doc)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; err == nil || n > 8<<10 {
			t.Errorf("count at byte %d: %v, %d bytes allocated; want an error and next to nothing", at, err, n)
		}
	}
}

func FuzzParse(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 20 {
		f.Add(encode(f, random(f, r)))
	}
	f.Add(encode(f, small()))
	f.Add([]byte("INGOTM"))
	f.Fuzz(func(t *testing.T, doc []byte) { checkParse(t, doc) })
}
