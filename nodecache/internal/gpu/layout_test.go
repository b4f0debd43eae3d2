package gpu

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// file is a file of a manifest in the words of a test.
type file struct {
	path, format string
	tensors      []part
}

// part is a tensor: its name, and its chunks by content and size.
type part struct {
	name   string
	chunks []chunker.Ref
}

func bytesOf(content string, size uint32) chunker.Ref {
	return chunker.Ref{Digest: chunker.Sum([]byte(content)), Size: size}
}

func manifestOf(t *testing.T, files ...file) *manifest.Manifest {
	t.Helper()
	b := manifest.NewBuilder()
	for _, f := range files {
		head := bytesOf("head of "+f.path, 77)
		refs := []chunker.Ref{head}
		out := manifest.File{Path: f.path, Format: f.format, Size: uint64(head.Size)}
		for _, p := range f.tensors {
			one := manifest.Tensor{Name: p.name, DType: "BF16", Offset: out.Size}
			for _, c := range p.chunks {
				out.Size += uint64(c.Size)
			}
			one.Length = out.Size - one.Offset
			one.Shape = []uint64{one.Length / 2}
			out.Tensors = append(out.Tensors, one)
			refs = append(refs, p.chunks...)
		}
		b.Add(out, refs)
	}
	m, err := b.Build(chunker.Digest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// whole is n chunks of 2 MiB.
func whole(name string, n int) (list []chunker.Ref) {
	for i := range n {
		list = append(list, bytesOf(fmt.Sprint(name, i), 2<<20))
	}
	return list
}

func TestLayoutCutsAtLayers(t *testing.T) {
	f := file{path: "m.safetensors", format: "safetensors"}
	for i := range 12 { // 40 MiB each, so two of them make a slab
		f.tensors = append(f.tensors, part{fmt.Sprintf("model.layers.%d.w", i), whole(fmt.Sprint("layer", i), 20)})
	}
	f.tensors = append(f.tensors, part{"lm_head.weight", whole("head", 300)}) // 600 MiB
	l := newLayout(manifestOf(t, f), defaultCut)
	var sizes []int64
	for _, s := range l.slabs {
		sizes = append(sizes, s.size>>20)
	}
	// The head comes first by name; the layers 10 and 11 come last.
	if want := []int64{512, 88, 80, 80, 80, 80, 80, 80}; !slices.Equal(sizes, want) {
		t.Errorf("slabs of %d MiB, want %d", sizes, want)
	}
	if l.spots[0].tensor.Name != "lm_head.weight" || l.spots[3].tensor.Name != "model.layers.2.w" || l.spots[12].tensor.Name != "model.layers.11.w" {
		t.Error("tensors are not in the order of their names")
	}
	if l.bytes != 12*40<<20+600<<20 || l.size != 1080<<20 {
		t.Errorf("%d bytes of tensors in %d", l.bytes, l.size)
	}
}

// TestLayoutIsOfNamesAlone divides a version into files in other ways.
func TestLayoutIsOfNamesAlone(t *testing.T) {
	var all []part
	for i := range 6 {
		all = append(all, part{fmt.Sprintf("layers.%d.w", i), whole(fmt.Sprint(i), 40)})
	}
	one := newLayout(manifestOf(t, file{"m.safetensors", "safetensors", all}), defaultCut)
	two := newLayout(manifestOf(t,
		file{"a.safetensors", "safetensors", []part{all[5], all[0], all[3]}},
		file{"b.safetensors", "safetensors", []part{all[2], all[1], all[4]}},
		file{"old.bin", "pytorch", all}), defaultCut)
	if !one.like(two) {
		t.Error("layouts differ")
	}
	for i := range one.slabs {
		if one.slabs[i].name != two.slabs[i].name {
			t.Errorf("slab %d is another", i)
		}
	}
}

func TestLayoutOfOtherFormats(t *testing.T) {
	l := newLayout(manifestOf(t,
		file{"m.gguf", "gguf", []part{{"blk.0.w", whole("x", 1)}}},
		file{"m.npz", "npz", []part{{"b", whole("y", 1)}}},
		file{"config.json", "opaque", nil}), defaultCut)
	if len(l.spots) != 2 || l.bytes != 4<<20 {
		t.Errorf("%d tensors of %d bytes", len(l.spots), l.bytes)
	}
	if l := newLayout(manifestOf(t, file{"config.json", "opaque", nil}), defaultCut); len(l.slabs) != 0 {
		t.Error("a version without tensors has slabs")
	}
}

// TestLayoutOfSmallTensors gathers three tensors in a chunk, and ends one in the
// middle of a file's chunk.
func TestLayoutOfSmallTensors(t *testing.T) {
	b := manifest.NewBuilder()
	gathered := bytesOf("three", 3000)
	b.Add(manifest.File{Path: "m.safetensors", Format: "safetensors", Size: 3000, Tensors: []manifest.Tensor{
		{Name: "a", DType: "U8", Shape: []uint64{1000}, Offset: 0, Length: 1000},
		{Name: "b", DType: "U8", Shape: []uint64{500}, Offset: 1000, Length: 500},
		{Name: "none", DType: "U8", Shape: []uint64{0}, Offset: 1500, Length: 0},
		{Name: "tied", DType: "U8", Shape: []uint64{500}, Offset: 1000, Length: 500},
		{Name: "z", DType: "U8", Shape: []uint64{1500}, Offset: 1500, Length: 1500},
	}}, []chunker.Ref{gathered})
	m, err := b.Build(chunker.Digest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := newLayout(m, defaultCut)
	want := []extent{{0, gathered.Digest, 0, 1000}, {1024, gathered.Digest, 1000, 500}, {1536, gathered.Digest, 1500, 1500}}
	if len(l.slabs) != 1 || !slices.Equal(l.slabs[0].extents, want) {
		t.Errorf("extents %v, want %v", l.slabs[0].extents, want)
	}
	if l.spots[1].offset != 1024 || l.spots[3].offset != 1024 || l.spots[3].tensor.Name != "tied" {
		t.Error("tied tensors lie apart")
	}
	if l.bytes != 3000 {
		t.Errorf("%d bytes of tensors", l.bytes)
	}
	var gaps [][2]int64
	for at, n := range l.slabs[0].gaps {
		gaps = append(gaps, [2]int64{at, n})
	}
	if want := [][2]int64{{1000, 24}, {1524, 12}, {3036, 2<<20 - 3036}}; !slices.Equal(gaps, want) {
		t.Errorf("gaps %v, want %v", gaps, want)
	}
}

// TestLayoutAliases stores large tensors of the same bytes once, and small ones
// as often as they come.
func TestLayoutAliases(t *testing.T) {
	large, small := whole("large", 2), []chunker.Ref{bytesOf("small", 1000)}
	l := newLayout(manifestOf(t,
		file{"a.safetensors", "safetensors", []part{{"head", large}, {"s1", small}}},
		file{"b.safetensors", "safetensors", []part{{"embed", large}, {"s2", small}}}), defaultCut)
	if l.bytes != 4<<20+2000 || l.spots[0].offset != l.spots[1].offset || l.spots[2].offset == l.spots[3].offset {
		t.Errorf("%d bytes of tensors at %d %d %d %d", l.bytes, l.spots[0].offset, l.spots[1].offset, l.spots[2].offset, l.spots[3].offset)
	}
}

func TestWords(t *testing.T) {
	names := []string{"a.10.w", "a.2.w", "a.w", "h2o.layers.3.w", "lm_head", "w10", "w9", "", "."}
	slices.SortFunc(names, func(a, b string) int { return slices.CompareFunc(words(a), words(b), compareWords) })
	if want := []string{"", ".", "a.2.w", "a.10.w", "a.w", "h2o.layers.3.w", "lm_head", "w9", "w10"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	for in, want := range map[string]string{"h2o.layers.3.w": "h2o.layers.3", "model.layers.11.mlp.experts.7.w": "model.layers.11", "0.w": "0", "w1.b": "w1.b", "": ""} {
		if got := layerOf(words(in)); got != want {
			t.Errorf("layer of %q is %q, want %q", in, got, want)
		}
	}
}

func BenchmarkLayout(b *testing.B) {
	var t testing.T
	f := file{path: "m.safetensors", format: "safetensors"}
	for i := range 80 { // 140 GB
		for j := range 7 {
			f.tensors = append(f.tensors, part{fmt.Sprintf("model.layers.%d.w%d", i, j), whole(fmt.Sprint(i, j), 120)})
		}
	}
	m := manifestOf(&t, f)
	b.ReportAllocs()
	for b.Loop() {
		newLayout(m, defaultCut)
	}
}
