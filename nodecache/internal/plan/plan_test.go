package plan

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// ref makes a chunk whose name says its number.
func ref(n, size int) chunker.Ref {
	return chunker.Ref{Digest: chunker.Sum(fmt.Append(nil, n)), Size: uint32(size)}
}

// model makes a version of one file, in which every tensor begins with a chunk of
// its own. The first chunk is a header.
func model(t *testing.T, tensors ...[]chunker.Ref) *manifest.Manifest {
	t.Helper()
	refs := []chunker.Ref{ref(-1, 100)}
	f := manifest.File{Path: "model.safetensors", Format: "safetensors", Size: 100}
	for i, chunks := range tensors {
		tensor := manifest.Tensor{Name: fmt.Sprintf("t%d", i), DType: "U8", Offset: f.Size}
		for _, c := range chunks {
			tensor.Length += uint64(c.Size)
		}
		tensor.Shape = []uint64{tensor.Length}
		f.Size += tensor.Length
		f.Tensors = append(f.Tensors, tensor)
		refs = append(refs, chunks...)
	}
	return build(t, map[*manifest.File][]chunker.Ref{&f: refs})
}

func build(t *testing.T, files map[*manifest.File][]chunker.Ref) *manifest.Manifest {
	t.Helper()
	b := manifest.NewBuilder()
	for f, refs := range files {
		b.Add(*f, refs)
	}
	m, err := b.Build(chunker.Digest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestOrder(t *testing.T) {
	// Chunks: 0 header; t0 is 1, 2; t1 is 3; t2 is 4, 2 again, 5.
	m := model(t,
		[]chunker.Ref{ref(1, 1000), ref(2, 10)},
		[]chunker.Ref{ref(3, 1000)},
		[]chunker.Ref{ref(4, 1000), ref(2, 10), ref(5, 7)})
	for _, tt := range []struct {
		name  string
		first []string
		want  [][]uint32
	}{
		{"file order", nil, [][]uint32{{0}, {1, 2}, {3}, {4, 5}}},
		{"one first", []string{"t1"}, [][]uint32{{3}, {0}, {1, 2}, {4, 5}}},
		{"two first, in that order", []string{"t2", "t0"}, [][]uint32{{4, 2, 5}, {1}, {0}, {3}}},
		{"twice the same", []string{"t1", "t1"}, [][]uint32{{3}, {0}, {1, 2}, {4, 5}}},
		{"unknown", []string{"t9", ""}, [][]uint32{{0}, {1, 2}, {3}, {4, 5}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Make(m, nil, tt.first)
			if !reflect.DeepEqual(p.Groups, tt.want) {
				t.Errorf("groups %v, want %v", p.Groups, tt.want)
			}
			if got, want := chunksOf(p.Steps), slices.Concat(tt.want...); !slices.Equal(got, want) {
				t.Errorf("steps %v, want %v", got, want)
			}
		})
	}
}

func TestCheapestSource(t *testing.T) {
	m := model(t, []chunker.Ref{ref(1, 1000), ref(2, 100), ref(3, 10), ref(4, 1)})
	has := func(of ...int) func(chunker.Digest) bool {
		return func(d chunker.Digest) bool {
			return slices.ContainsFunc(of, func(n int) bool { return ref(n, 1).Digest == d })
		}
	}
	// The sources come in any order.
	p := Make(m, []Have{{Disk, has(1, 2)}, {Peer, has(1, 2, 3)}, {RAM, has(1)}}, nil)
	want := []Step{{0, Registry}, {1, RAM}, {2, Disk}, {3, Peer}, {4, Registry}}
	if !slices.Equal(p.Steps, want) {
		t.Errorf("steps %v, want %v", p.Steps, want)
	}
	if want := [...]int{1, 1, 1, 0, 2}; p.Count != want {
		t.Errorf("counts %v, want %v", p.Count, want)
	}
	if got, want := p.Sources(), (openapi.Sources{RAM: 1000, Disk: 100, Peer: 10, Registry: 101}); got != want {
		t.Errorf("bytes %+v, want %+v", got, want)
	}
}

// A tensor that nothing lies in asks for nothing, and chunks that hold more than
// the tensor do not lie with its own.
func TestShapesThatAreCutElsewhere(t *testing.T) {
	f := manifest.File{Path: "m.gguf", Format: "gguf", Size: 400, Tensors: []manifest.Tensor{
		{Name: "empty", DType: "F32", Shape: []uint64{0}, Offset: 150},
		{Name: "across", DType: "U8", Shape: []uint64{300}, Offset: 50, Length: 300},
	}}
	m := build(t, map[*manifest.File][]chunker.Ref{&f: {ref(0, 100), ref(1, 100), ref(2, 100), ref(3, 100)}})
	if got, want := Make(m, nil, []string{"empty"}).Groups, [][]uint32{{0}, {1, 2}, {3}}; !reflect.DeepEqual(got, want) {
		t.Errorf("groups %v, want %v", got, want)
	}
	if got, want := Make(m, nil, []string{"across"}).Groups, [][]uint32{{0}, {1, 2}, {3}}; !reflect.DeepEqual(got, want) {
		t.Errorf("groups %v, want %v", got, want)
	}
}

func TestSourceNames(t *testing.T) {
	for s, want := range map[Source]string{RAM: "ram", Registry: "registry", 9: "Source(9)"} {
		if got := s.String(); got != want {
			t.Errorf("source %d is called %q, want %q", uint8(s), got, want)
		}
	}
}

func chunksOf(steps []Step) []uint32 {
	var chunks []uint32
	for _, s := range steps {
		chunks = append(chunks, s.Chunk)
	}
	return chunks
}
