package nodeapi_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// model is a version and its bytes.
type model struct {
	ref      string
	version  chunker.Digest
	manifest *manifest.Manifest
	files    map[string][]byte
	chunks   map[chunker.Digest][]byte
	scatter  bool // its chunks do not lie behind each other in memory
}

const modelRef = "acme/llama:prod"

// newModel makes a model with a tensor of several chunks, small ones that share a
// chunk, one that is not aligned, one whose chunks do not end at pages, and an
// empty one.
func newModel(t *testing.T, scatter bool) *model {
	t.Helper()
	m := &model{ref: modelRef, files: map[string][]byte{}, chunks: map[chunker.Digest][]byte{}, scatter: scatter}
	b := manifest.NewBuilder()
	m.add(t, b, "config.json", []byte(`{"layers":2}`), []int{12})
	m.add(t, b, "model.safetensors", filled(1000+5<<20+4000), []int{1000, 2 << 20, 2 << 20, 1 << 20, 4000},
		manifest.Tensor{Name: "big", DType: "F32", Shape: []uint64{1280, 1024}, Offset: 1000, Length: 5 << 20},
		manifest.Tensor{Name: "empty", DType: "F32", Shape: []uint64{0, 4}, Offset: 1000 + 5<<20},
		manifest.Tensor{Name: "norm", DType: "BF16", Shape: []uint64{1000}, Offset: 1000 + 5<<20, Length: 2000},
		manifest.Tensor{Name: "bias", DType: "BF16", Shape: []uint64{1000}, Offset: 3000 + 5<<20, Length: 2000},
	)
	m.add(t, b, "odd.bin", filled(3000), []int{1000, 2000},
		manifest.Tensor{Name: "crooked", DType: "F32", Shape: []uint64{4}, Offset: 2, Length: 16},
		manifest.Tensor{Name: "split", DType: "U8", Shape: []uint64{2000}, Offset: 500, Length: 2000},
	)
	m.build(t, b)
	return m
}

// newTinyModel makes a model of so many tensors of 64 bytes.
func newTinyModel(t *testing.T, tensors int) *model {
	t.Helper()
	m := &model{ref: modelRef, files: map[string][]byte{}, chunks: map[chunker.Digest][]byte{}}
	b := manifest.NewBuilder()
	var list []manifest.Tensor
	for i := range tensors {
		list = append(list, manifest.Tensor{
			Name: "tensor " + strconv.Itoa(i), DType: "F32", Shape: []uint64{16}, Offset: uint64(i) * 64, Length: 64,
		})
	}
	m.add(t, b, "tiny.safetensors", filled(tensors*64), []int{tensors * 64}, list...)
	m.build(t, b)
	return m
}

func (m *model) add(t *testing.T, b *manifest.Builder, path string, content []byte, cuts []int, tensors ...manifest.Tensor) {
	t.Helper()
	m.files[path] = content
	var refs []chunker.Ref
	for rest := content; len(rest) > 0; cuts = cuts[1:] {
		c := rest[:cuts[0]]
		rest = rest[cuts[0]:]
		d := chunker.Sum(c)
		m.chunks[d] = c
		refs = append(refs, chunker.Ref{Digest: d, Size: uint32(len(c))})
	}
	b.Add(manifest.File{Path: path, Size: uint64(len(content)), Format: "safetensors", Tensors: tensors}, refs)
}

func (m *model) build(t testing.TB, b *manifest.Builder) {
	t.Helper()
	built, err := b.Build(chunker.Digest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := built.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m.manifest, m.version = built, manifest.Name(doc)
}

// want returns the bytes of a tensor.
func (m *model) want(t *testing.T, file, tensor string) []byte {
	t.Helper()
	for _, f := range m.manifest.Files {
		for _, have := range f.Tensors {
			if f.Path == file && have.Name == tensor {
				return m.files[file][have.Offset : have.Offset+have.Length]
			}
		}
	}
	t.Fatalf("no tensor %s in %s", tensor, file)
	return nil
}

// tensors returns how many there are.
func (m *model) tensors() (n int) {
	for _, f := range m.manifest.Files {
		n += len(f.Tensors)
	}
	return n
}

func filled(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b) // never fails
	return b
}
