package manifest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// weights adds tensors to a model, named by word and a number, of rows rows each. Their
// bytes depend on seed.
func (m *model) weights(seed uint64, word string, from, to int, rows uint64) {
	for i := from; i < to; i++ {
		m.tensor(fmt.Sprintf(word, i), seed|uint64(i+1)<<20, rows, 1<<20)
	}
}

// oneFile is a model of one file of three tensors of that many chunks.
func oneFile(t *testing.T, path, word string, seed, rows uint64) *manifest.Manifest {
	m := newModel()
	m.header(path)
	m.weights(seed, word, 0, 3, rows)
	m.close()
	return m.build(t, chunker.Digest{}, nil)
}

// sources names, for each chunk of m, the tensor and the chunk in it that its kin starts.
func sources(base *manifest.Manifest, kin []int32) []string {
	at := make(map[uint32]string)
	for i := range base.Files {
		f := &base.Files[i]
		for offset, c := range base.Extents(f) {
			at[c] = fmt.Sprintf("%s@%d", f.Path, offset)
			for j := range f.Tensors {
				if t := &f.Tensors[j]; t.Offset <= offset && offset < t.Offset+t.Length {
					at[c] = fmt.Sprintf("%s+%d", t.Name, (offset-t.Offset)/manifest.MaxChunk)
				}
			}
		}
	}
	var list []string
	for _, c := range kin {
		if c < 0 {
			list = append(list, "-")
			continue
		}
		list = append(list, at[uint32(c)])
	}
	return list
}

func TestKin(t *testing.T) {
	const a, b = 1 << 40, 2 << 40
	base := oneFile(t, "m.safetensors", "layers.%d.w", a, 2)
	all := []string{"layers.0.w+0", "layers.0.w+1", "layers.1.w+0", "layers.1.w+1", "layers.2.w+0", "layers.2.w+1"}
	with := func(head string) []string { return append([]string{head}, all...) }
	tests := []struct {
		name string
		m    *manifest.Manifest
		want []string
	}{
		{"the same", base, with("m.safetensors@0")},
		{"fine-tuned", oneFile(t, "m.safetensors", "layers.%d.w", b, 2), with("m.safetensors@0")},
		{"another path", oneFile(t, "n.safetensors", "layers.%d.w", b, 2), with("-")},
		{"prefix added", oneFile(t, "n.safetensors", "base_model.model.layers.%d.w", b, 2), with("-")},
		{"renamed altogether", oneFile(t, "n.safetensors", "h%d", b, 2), with("-")},
		{"other columns", func() *manifest.Manifest {
			m := newModel()
			m.header("n.safetensors")
			m.tensor("layers.0.w", b, 1<<10, 1<<10)
			m.close()
			return m.build(t, chunker.Digest{}, nil)
		}(), []string{"-", "-"}},
		{"rows added", oneFile(t, "n.safetensors", "layers.%d.w", b, 3), []string{"-", all[0], all[1], "-", all[2], all[3], "-", all[4], all[5], "-"}},
		{"re-sharded and in another order", func() *manifest.Manifest {
			m := newModel()
			m.header("1.safetensors")
			m.weights(b, "layers.%d.w", 2, 3, 2)
			m.close()
			m.header("2.safetensors")
			m.weights(b, "layers.%d.w", 0, 2, 2)
			m.close()
			return m.build(t, chunker.Digest{}, nil)
		}(), []string{"-", all[4], all[5], "-", all[0], all[1], all[2], all[3]}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := sources(base, manifest.NewKin(base).Of(tt.m)); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
	dropped := oneFile(t, "m.safetensors", "model.layers.%d.w", a, 2)
	got := sources(dropped, manifest.NewKin(dropped).Of(oneFile(t, "n.safetensors", "layers.%d.w", b, 2)))
	if got[1] != "model.layers.0.w+0" || got[6] != "model.layers.2.w+1" {
		t.Errorf("prefix dropped: %q", got)
	}
}

// TestKinSameName pairs tensors that have one name in several files with that in the file
// of the same path.
func TestKinSameName(t *testing.T) {
	build := func(seed uint64) *manifest.Manifest {
		m := newModel()
		for i, path := range []string{"a/x.safetensors", "b/x.safetensors", "c/x.safetensors"} {
			m.header(path)
			m.tensor("w", seed+uint64(i)<<20, 1, 1<<20)
			m.close()
		}
		return m.build(t, chunker.Digest{}, nil)
	}
	base, next := build(1<<40), build(2<<40)
	for c, kin := range manifest.NewKin(base).Of(next) {
		if kin != int32(c) { // the files are laid out alike
			t.Errorf("chunk %d: kin %d", c, kin)
		}
	}
}

// TestKinFile finds while a file is read what is found when all of it is known.
func TestKinFile(t *testing.T) {
	base := llama(t, 3, nil)
	kin := manifest.NewKin(base)
	m := llama(t, 5, func(int) bool { return true })
	want := kin.Of(m)
	found := 0
	for i := range m.Files {
		f := kin.File(m.Files[i].Path, m.Files[i].Tensors)
		for offset, c := range m.Extents(&m.Files[i]) {
			got, ok := f.At(offset, uint64(m.Chunks[c].Size))
			if ok != (want[c] >= 0) || ok && base.Chunks[got] != base.Chunks[want[c]] {
				t.Fatalf("%s at %d: chunk %d, %v; want %d", m.Files[i].Path, offset, got, ok, want[c])
			}
			if ok {
				found++
			}
		}
	}
	if least := len(m.Chunks) - len(m.Files); found < least {
		t.Errorf("%d chunks have kin, want %d", found, least)
	}
}

func TestLikeness(t *testing.T) {
	base := llama(t, 3, nil)
	kin := manifest.NewKin(base)
	if got, want := kin.Likeness(llama(t, 7, func(int) bool { return true })), 80*9+4; got != want {
		t.Errorf("a re-sharded fine-tune: %d tensors alike, want %d", got, want)
	}
	if got := kin.Likeness(oneFile(t, "m.safetensors", "layers.%d.w", 1, 1)); got != 0 {
		t.Errorf("another model: %d tensors alike", got)
	}
}

func TestTypes(t *testing.T) {
	m := newModel()
	m.header("m.safetensors")
	m.tensor("w", 1<<40, 3, 1<<20)
	m.close()
	m.file = manifest.File{Path: "n.npy", Format: "npy", Tensors: []manifest.Tensor{{Name: "x", DType: "<f4", Shape: []uint64{8}, Length: 32}}}
	m.refs = nil
	m.bytes(2<<40, 32)
	m.close()
	got := m.build(t, chunker.Digest{}, nil).Types()
	if want := []chunker.DType{chunker.Opaque, chunker.BF16, chunker.BF16, chunker.BF16, chunker.F32}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestKinOdd holds for whatever a manifest may say: every kin is a chunk of the base, own
// chunks are found, and nothing panics.
func TestKinOdd(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		base, m := random(t, r), random(t, r)
		own := map[chunker.Digest]bool{}
		for _, c := range base.Chunks {
			own[c.Digest] = true
		}
		for c, kin := range manifest.NewKin(base).Of(m) {
			if int(kin) >= len(base.Chunks) || kin < -1 {
				t.Fatalf("chunk %d: kin %d of %d", c, kin, len(base.Chunks))
			}
			if d := m.Chunks[c].Digest; own[d] && base.Chunks[kin].Digest != d {
				t.Fatalf("chunk %d: the base has it, its kin is another", c)
			}
		}
		if got := m.Types(); len(got) != len(m.Chunks) {
			t.Fatalf("%d types of %d chunks", len(got), len(m.Chunks))
		}
	}
}

func BenchmarkKin(b *testing.B) {
	x, y := llama(b, 30, nil), llama(b, 20, func(int) bool { return true })
	b.ReportAllocs()
	for b.Loop() {
		manifest.NewKin(x).Of(y)
	}
}
