package integration_test

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// blocks describes a model of random weights: the seed of each layer. A layer has one
// tensor of 16 MiB, a norm that is the same in all, and little else, so that one of
// nine layers takes three slabs.
type blocks struct {
	layers []uint64
	size   int64             // of a layer's matrix; 0 is blockSize
	odd    map[string]uint64 // seeds of tensors that have another than their layer's
}

const blockSize = 16 << 20

// family9 is a model of nine layers, and base9 the seeds of its layers.
func base9() blocks { return blocks{layers: []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9}} }

// with returns the model with other weights in some layers.
func (b blocks) with(seed uint64, layers ...int) blocks {
	b.layers = append([]uint64(nil), b.layers...)
	for _, l := range layers {
		b.layers[l] = seed + uint64(l)
	}
	return b
}

// tensorOf is a tensor of a model that is written.
type tensorOf struct {
	name  string
	shape []int64
	seed  uint64
}

func (t tensorOf) bytes() int64 {
	n := int64(2)
	for _, d := range t.shape {
		n *= d
	}
	return n
}

// tensors lists what the model has, in the order of its file.
func (b blocks) tensors() (list []tensorOf) {
	size := cmp.Or(b.size, blockSize)
	for i, seed := range b.layers {
		at := fmt.Sprintf("model.layers.%d.", i)
		list = append(list,
			tensorOf{at + "mlp.weight", []int64{size / 8192, 4096}, seed},
			tensorOf{at + "norm.weight", []int64{4096}, 777},
			tensorOf{at + "norm.bias", []int64{3}, seed}) // so that what follows is not aligned in the file
	}
	list = append(list, tensorOf{"model.norm.weight", []int64{1000}, 778}, tensorOf{"model.scale", nil, 779})
	for i := range list {
		list[i].seed = cmp.Or(b.odd[list[i].name], list[i].seed)
	}
	return list
}

// write makes the model in a new folder.
func (b blocks) write(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	err := os.MkdirAll(dir, 0o777)
	if err == nil {
		err = b.writeFile(filepath.Join(dir, "model.safetensors"))
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"model_type": "blocks"}`+"\n"), 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func (b blocks) writeFile(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // closed below when all is written
	header, at := map[string]any{}, int64(0)
	for _, t := range b.tensors() {
		shape := t.shape
		if shape == nil {
			shape = []int64{}
		}
		header[t.name] = map[string]any{"dtype": "BF16", "shape": shape, "data_offsets": []int64{at, at + t.bytes()}}
		at += t.bytes()
	}
	doc, err := json.Marshal(header)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	_, _ = w.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(doc)))) // Flush returns its error
	_, _ = w.Write(doc)
	for _, t := range b.tensors() {
		var seed [32]byte
		binary.LittleEndian.PutUint64(seed[:], t.seed)
		if _, err := io.CopyN(w, rand.NewChaCha8(seed), t.bytes()); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// manifest returns what a registry says of a version.
func (r *registry) manifest(ref string) *manifest.Manifest {
	r.t.Helper()
	c, err := client.New("http://"+r.addr, client.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	n, err := name.ParseRef(ref)
	if err != nil {
		r.t.Fatal(err)
	}
	m, _, err := c.Manifest(r.t.Context(), n)
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// tensorBytes counts, tensor by tensor, the bytes of a version that lie in chunks
// which the other has not at the same place of the same tensor, and all bytes.
func tensorBytes(m, other *manifest.Manifest) (differ, total int64) {
	before := map[piece]bool{}
	if other != nil {
		for p := range pieces(other) {
			before[p] = true
		}
	}
	for p := range pieces(m) {
		if total += p.length; !before[p] {
			differ += p.length
		}
	}
	return differ, total
}

// tensorRuns bounds the copies that it takes to bring a version over another: one for
// each tensor that differs, of however many chunks, and another for each that is so
// large that memory may not have it in one piece.
func tensorRuns(m, other *manifest.Manifest) (least, most int) {
	before, runs := map[piece]bool{}, map[string]int64{}
	if other != nil {
		for p := range pieces(other) {
			before[p] = true
		}
	}
	for p := range pieces(m) {
		if !before[p] {
			runs[p.tensor] += p.length
		}
	}
	for _, n := range runs {
		if least, most = least+1, most+1; n > mib {
			most++
		}
	}
	return least, most
}

// piece is the part of a tensor that one chunk has.
type piece struct {
	tensor     string
	at, length int64 // in the tensor
	chunk      chunker.Digest
	from       int64 // in the chunk
}

// pieces yields the parts of all tensors of a version.
func pieces(m *manifest.Manifest) func(func(piece) bool) {
	return func(yield func(piece) bool) {
		for i := range m.Files {
			f := &m.Files[i]
			for _, t := range f.Tensors {
				begin, end, at := int64(t.Offset), int64(t.Offset+t.Length), int64(0)
				for _, c := range f.Chunks {
					ref := m.Chunks[c]
					from, to := max(at, begin), min(at+int64(ref.Size), end)
					if from < to && !yield(piece{t.Name, from - begin, to - from, ref.Digest, from - at}) {
						return
					}
					at += int64(ref.Size)
				}
			}
		}
	}
}
