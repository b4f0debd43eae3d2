package manifest_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
)

func encode(t testing.TB, m *manifest.Manifest) []byte {
	t.Helper()
	doc, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func parse(t testing.TB, doc []byte) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		m := random(t, r)
		doc := encode(t, m)
		got := parse(t, doc)
		if !reflect.DeepEqual(got, m) {
			t.Fatalf("parsed %+v, want %+v", got, m)
		}
		if !bytes.Equal(encode(t, got), doc) {
			t.Fatalf("encoded again, %+v has other bytes", m)
		}
	}
}

// TestLargeModel holds the promises about a 140 GB model: its document's size,
// and what parsing it allocates.
func TestLargeModel(t *testing.T) {
	m := llama(t, 30, nil)
	doc := encode(t, m)
	if size := m.Size(); size < 135e9 || size > 145e9 {
		t.Fatalf("the model has %d bytes, want about 140 GB", size)
	}
	perChunk := float64(len(doc)) / float64(len(m.Chunks))
	if perChunk > 48 {
		t.Errorf("%.1f bytes a chunk, want at most 48", perChunk)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := parse(t, doc)
	runtime.ReadMemStats(&after)
	allocated := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(doc))
	if allocated > 2 {
		t.Errorf("parsing allocated %.2f × the document, want at most 2", allocated)
	}
	t.Logf("%d files, %d chunks, %d bytes: %.2f bytes a chunk, %.2f × allocated", len(m.Files), len(m.Chunks), len(doc), perChunk, allocated)
	if !reflect.DeepEqual(got, m) {
		t.Error("parsed differs from built")
	}
}

func TestParseKeepsNothingOfTheDocument(t *testing.T) {
	doc := encode(t, random(t, rand.New(rand.NewPCG(3, 4))))
	m := parse(t, doc)
	want := parse(t, doc)
	clear(doc)
	if !reflect.DeepEqual(m, want) {
		t.Error("overwriting the document changed the Manifest")
	}
}

func TestBuildIgnoresOrder(t *testing.T) {
	files := []manifest.File{
		{Path: "b", Format: "opaque", Size: 7, Tensors: []manifest.Tensor{
			{Name: "y", DType: "U8", Offset: 4, Length: 3}, {Name: "z", DType: "U8", Length: 1}, {Name: "x", DType: "U8", Offset: 4},
		}},
		{Path: "a", Format: "opaque", Size: 5},
		{Path: "c", Format: "opaque"},
	}
	refs := [][]chunker.Ref{
		{{Digest: digestOf(1), Size: 2}, {Digest: digestOf(2), Size: 5}},
		{{Digest: digestOf(2), Size: 5}},
		nil,
	}
	var want []byte
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		b := manifest.NewBuilder()
		for _, i := range order {
			b.Add(files[i], refs[i])
		}
		m, err := b.Build(chunker.Digest{}, map[string]string{"k": "v", "a": "b"})
		if err != nil {
			t.Fatal(err)
		}
		doc := encode(t, m)
		if want == nil {
			want = doc
		}
		if !bytes.Equal(doc, want) {
			t.Errorf("order %v gives other bytes", order)
		}
	}
	if files[0].Tensors[0].Name != "y" {
		t.Error("Build sorted the caller's tensors")
	}
}

func TestBuildWhileAdding(t *testing.T) {
	b := manifest.NewBuilder()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			ref := chunker.Ref{Digest: digestOf(uint64(i % 7)), Size: 9}
			b.Add(manifest.File{Path: fmt.Sprint(i), Format: "opaque", Size: 9}, []chunker.Ref{ref})
			if _, err := b.Build(chunker.Digest{}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	m, err := b.Build(chunker.Digest{}, nil)
	if err != nil || len(m.Files) != 50 || len(m.Chunks) != 7 {
		t.Errorf("Build = %+v, %v; want 50 files of 7 chunks", m, err)
	}
}

func TestBuildRefuses(t *testing.T) {
	for want, refs := range map[string][]chunker.Ref{
		"file \"a\": chunk 1: ": {{Digest: digestOf(1), Size: 2}, {Digest: digestOf(1), Size: 3}},
		"file \"a\": size 5":    {{Digest: digestOf(1), Size: 2}},
		"chunk 0: digest":       {{Size: 5}},
	} {
		b := manifest.NewBuilder()
		b.Add(manifest.File{Path: "a", Format: "opaque", Size: 5}, refs)
		if m, err := b.Build(chunker.Digest{}, nil); m != nil || !errors.Is(err, manifest.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("Build = %v, %v; want ErrInvalid with %q", m, err, want)
		}
	}
}

func TestContentRoot(t *testing.T) {
	build := func(parent chunker.Digest, annotations map[string]string, content uint64) *manifest.Manifest {
		m := newModel()
		m.header("a.safetensors")
		m.tensor("w", content, 3, 5)
		m.close()
		return m.build(t, parent, annotations)
	}
	root := func(m *manifest.Manifest) chunker.Digest {
		d, err := m.ContentRoot()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	plain := build(chunker.Digest{}, nil, 1)
	noted := build(digestOf(9), map[string]string{"step": "1000"}, 1)
	other := build(chunker.Digest{}, nil, 100)
	if root(plain) != root(noted) {
		t.Error("equal files, other parent and annotations: roots differ")
	}
	if root(plain) == root(other) {
		t.Error("other files: roots are equal")
	}
	if root(plain) == manifest.Name(encode(t, plain)) {
		t.Error("the content root is the version's name")
	}
}

func TestLookups(t *testing.T) {
	m := newModel()
	m.header("b")
	m.tensor("w", 7, 3<<20)
	m.close()
	m.file = manifest.File{Path: "a", Format: "opaque"}
	m.refs = nil
	m.close()
	got := m.build(t, chunker.Digest{}, nil)
	if f := got.File("b"); f == nil || f.Path != "b" {
		t.Errorf("File(b) = %v", f)
	}
	for _, path := range []string{"", "aa", "c"} {
		if f := got.File(path); f != nil {
			t.Errorf("File(%q) = %v, want nil", path, f)
		}
	}
	var offsets []uint64
	var chunks []uint32
	for offset, chunk := range got.Extents(got.File("b")) {
		offsets, chunks = append(offsets, offset), append(chunks, chunk)
	}
	if want := []uint64{0, 4096, 4096 + 2<<20, 4096 + 4<<20}; !reflect.DeepEqual(offsets, want) {
		t.Errorf("Extents: offsets %v, want %v", offsets, want)
	}
	if want := []uint32{0, 1, 2, 3}; !reflect.DeepEqual(chunks, want) {
		t.Errorf("Extents: chunks %v, want %v", chunks, want)
	}
	for range got.Extents(got.File("b")) {
		break
	}
	if size := got.Size(); size != 4096+6<<20 || got.ChunkBytes() != size {
		t.Errorf("Size = %d, ChunkBytes = %d, want %d", size, got.ChunkBytes(), 4096+6<<20)
	}
}
