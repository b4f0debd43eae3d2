package manifest_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
)

const mib = 1 << 20

// build returns a Manifest of the files that fill adds to a new model.
func build(t testing.TB, fill func(m *model)) *manifest.Manifest {
	t.Helper()
	m := newModel()
	fill(m)
	return m.build(t, chunker.Digest{}, nil)
}

// names returns what a Delta holds, in words.
func names(d manifest.Delta[manifest.Placed]) map[string][]string {
	return words(d, func(p manifest.Placed) string { return p.File.Path + ":" + p.Tensor.Name })
}

func paths(d manifest.Delta[*manifest.File]) map[string][]string {
	return words(d, func(f *manifest.File) string { return f.Path })
}

func words[T any](d manifest.Delta[T], word func(T) string) map[string][]string {
	got := map[string][]string{}
	for kind, list := range map[string][]T{"added": d.Added, "removed": d.Removed, "changed": d.Changed, "same": d.Same} {
		for _, thing := range list {
			got[kind] = append(got[kind], word(thing))
		}
	}
	return got
}

type lists = map[string][]string

// base is one file of four tensors, with one chunk of small ones.
func base(m *model) {
	m.header("model")
	m.tensor("embed", 1<<40, 5, mib)
	m.tensor("up", 2<<40, 2, mib)
	m.tensor("down", 3<<40, mib, 2)
	m.close()
}

func TestCompare(t *testing.T) {
	for _, tc := range []struct {
		name           string
		b              func(m *model)
		files, tensors lists
		newBytes       uint64
	}{
		{"equal", base, lists{"same": {"model"}}, lists{"same": {"model:embed", "model:up", "model:down"}}, 0},
		{"one tensor changed", func(m *model) {
			m.header("model")
			m.tensor("embed", 1<<40, 5, mib)
			m.tensor("up", 9<<40, 2, mib)
			m.tensor("down", 3<<40, mib, 2)
			m.close()
		}, lists{"changed": {"model"}}, lists{"same": {"model:embed", "model:down"}, "changed": {"model:up"}}, 4 * mib},
		{"resharded and reordered", func(m *model) {
			m.header("model-1")
			m.tensor("down", 3<<40, mib, 2)
			m.tensor("embed", 1<<40, 5, mib)
			m.close()
			m.header("model-2")
			m.tensor("up", 2<<40, 2, mib)
			m.close()
		}, lists{"added": {"model-1", "model-2"}, "removed": {"model"}},
			lists{"same": {"model-1:down", "model-1:embed", "model-2:up"}}, 2 * 4096},
		{"renamed, reshaped, grown", func(m *model) {
			m.header("model")
			m.tensor("embed", 1<<40, 6, mib)
			m.tensor("UP", 2<<40, 2, mib)
			m.tensor("down", 3<<40, 2, mib)
			m.close()
		}, lists{"changed": {"model"}},
			lists{"changed": {"model:embed", "model:down"}, "added": {"model:UP"}, "removed": {"model:up"}}, 0},
		{"emptied", func(*model) {}, lists{"removed": {"model"}},
			lists{"removed": {"model:embed", "model:up", "model:down"}}, 0},
	} {
		a, b := build(t, base), build(t, tc.b)
		d := manifest.Compare(a, b)
		if got := paths(d.Files); !reflect.DeepEqual(got, tc.files) {
			t.Errorf("%s: files %v, want %v", tc.name, got, tc.files)
		}
		if got := names(d.Tensors); !reflect.DeepEqual(got, tc.tensors) {
			t.Errorf("%s: tensors %v, want %v", tc.name, got, tc.tensors)
		}
		if tc.newBytes != 0 && d.BytesNew != tc.newBytes {
			t.Errorf("%s: %d new bytes, want %d", tc.name, d.BytesNew, tc.newBytes)
		}
		if d.BytesNew+d.BytesShared != b.ChunkBytes() || d.ChunksNew+d.ChunksShared != len(b.Chunks) {
			t.Errorf("%s: new and shared do not sum to b: %+v", tc.name, d)
		}
	}
}

// gathered returns a file whose small tensors p, q and r share chunks, which
// have the given contents: p and q lie in the first, r in both.
func gathered(t *testing.T, contents ...uint64) *manifest.Manifest {
	return build(t, func(m *model) {
		m.file = manifest.File{Path: "small", Format: "safetensors", Size: 200, Tensors: []manifest.Tensor{
			{Name: "p", DType: "F32", Offset: 0, Length: 40},
			{Name: "none", DType: "F32", Offset: 40, Length: 0, Shape: []uint64{0}},
			{Name: "q", DType: "F32", Offset: 40, Length: 40},
			{Name: "r", DType: "F32", Offset: 80, Length: 40},
			{Name: "s", DType: "F32", Offset: 160, Length: 40},
		}}
		for _, content := range contents {
			m.refs = append(m.refs, chunker.Ref{Digest: digestOf(content), Size: 100})
		}
		m.close()
	})
}

func TestCompareGatheredTensors(t *testing.T) {
	a := gathered(t, 1, 2)
	got := names(manifest.Compare(a, gathered(t, 1, 3)).Tensors)
	want := lists{"same": {"small:p", "small:none", "small:q"}, "changed": {"small:r", "small:s"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("second chunk changed: %v, want %v", got, want)
	}

	moved := gathered(t, 1, 2)
	moved.Files[0].Tensors[0].Offset = 4 // overlaps "q" now
	if _, err := moved.Encode(); err != nil {
		t.Fatal(err)
	}
	got = names(manifest.Compare(a, moved).Tensors)
	if want := []string{"small:p"}; !reflect.DeepEqual(got["changed"], want) {
		t.Errorf("moved inside its chunk: changed %v, want %v", got["changed"], want)
	}
}

func TestCompareEqualNames(t *testing.T) {
	shards := func(m *model) {
		m.header("consolidated")
		m.tensor("w", 1<<40, mib)
		m.close()
		m.header("quantized")
		m.tensor("w", 2<<40, mib)
		m.close()
	}
	a := build(t, shards)
	b := build(t, func(m *model) {
		shards(m)
		m.header("another")
		m.tensor("w", 3<<40, mib)
		m.close()
	})
	if got, want := names(manifest.Compare(a, b).Tensors), (lists{"added": {"another:w"}, "same": {"consolidated:w", "quantized:w"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("one more file: %v, want %v", got, want)
	}
	if got, want := names(manifest.Compare(b, a).Tensors), (lists{"removed": {"another:w"}, "same": {"consolidated:w", "quantized:w"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("one file less: %v, want %v", got, want)
	}
}

// TestCompareOverlaps compares documents of which every tensor covers all of a
// long file: the work must not be their product.
func TestCompareOverlaps(t *testing.T) {
	const chunks, tensors = 20_000, 20_000
	m := build(t, func(m *model) {
		m.file = manifest.File{Path: "a", Format: "opaque", Size: chunks}
		for range chunks {
			m.refs = append(m.refs, chunker.Ref{Digest: digestOf(1), Size: 1})
		}
		for i := range tensors {
			m.file.Tensors = append(m.file.Tensors, manifest.Tensor{Name: fmt.Sprint(i), DType: "U8", Length: chunks})
		}
		m.close()
	})
	d := manifest.Compare(m, m).Tensors
	if len(d.Same) == 0 || len(d.Same) > 64 || len(d.Same)+len(d.Changed) != tensors {
		t.Errorf("%d same and %d changed, want at most 64 compared and all %d reported", len(d.Same), len(d.Changed), tensors)
	}
}

func TestCompareLargeModel(t *testing.T) {
	a := llama(t, 30, nil)
	b := llama(t, 30, func(layer int) bool { return layer == 41 })
	d := manifest.Compare(a, b)
	if len(d.Tensors.Changed) != 9 || len(d.Tensors.Same) != 715 || len(d.Tensors.Added)+len(d.Tensors.Removed) != 0 {
		t.Errorf("one layer changed: %d changed, %d same, %d added, %d removed; want 9, 715, 0, 0",
			len(d.Tensors.Changed), len(d.Tensors.Same), len(d.Tensors.Added), len(d.Tensors.Removed))
	}
	var bytes uint64
	for _, p := range d.Tensors.Changed {
		bytes += p.Tensor.Length
	}
	if d.BytesNew != bytes || len(d.Files.Changed) != 1 || len(d.Files.Same) != 29 {
		t.Errorf("one layer changed: %d new bytes, %v; want %d, one file", d.BytesNew, paths(d.Files)["changed"], bytes)
	}
	resharded := manifest.Compare(a, llama(t, 8, nil))
	if len(resharded.Tensors.Same) != 724 || resharded.BytesNew != 8*4096 {
		t.Errorf("resharded: %d tensors same, %d new bytes; want 724 and the 8 headers", len(resharded.Tensors.Same), resharded.BytesNew)
	}
}
