package synth_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/format"
	"github.com/ingot-ml/ingot/chunker/synth"
)

// medium has tensors on both sides of 256 KiB, and of 2 MiB.
var medium = synth.Spec{Layers: 2, Hidden: 384, KV: 128, FF: 1024, Vocab: 6000, DType: chunker.BF16, Seed: 5}

// chunks returns the digests and lengths of the chunks of a model's weights, and
// how many new ones each tensor of 256 KiB or more has against old.
func chunks(t *testing.T, dir string, old map[chunker.Digest]int) (all map[chunker.Digest]int, fresh map[string]int) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	all, fresh = map[chunker.Digest]int{}, map[string]int{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := format.Open(path, bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		for c, err := range f.Cuts(bytes.NewReader(b)) {
			if err != nil {
				t.Fatal(err)
			}
			d := chunker.Sum(b[c.Offset : c.Offset+int64(c.Length)])
			all[d] = c.Length
			if _, known := old[d]; known {
				continue
			}
			for _, tensor := range f.Tensors {
				if tensor.Length >= chunker.OwnSize && c.Offset >= tensor.Offset && c.Offset < tensor.Offset+tensor.Length {
					fresh[tensor.Name]++
				}
			}
		}
	}
	return all, fresh
}

func TestReshardKeepsChunks(t *testing.T) {
	base, _ := chunks(t, write(t, medium), nil)
	for _, n := range []int{2, 3, 7, 20} {
		if _, fresh := chunks(t, write(t, medium, synth.Reshard(n)), base); len(fresh) > 0 {
			t.Errorf("%d shards have new chunks in %v", n, fresh)
		}
	}
}

func TestExtendVocabKeepsChunks(t *testing.T) {
	base, _ := chunks(t, write(t, medium), nil)
	_, fresh := chunks(t, write(t, medium, synth.ExtendVocab(16)), base)
	if len(fresh) == 0 {
		t.Error("no tensor has new chunks")
	}
	for name, n := range fresh {
		if n > 2 || !strings.Contains(name, "embed_tokens") && !strings.Contains(name, "lm_head") {
			t.Errorf("%s has %d new chunks, want at most 2, and only where rows were added", name, n)
		}
	}
}

func TestChangeLayersKeepsChunks(t *testing.T) {
	base, _ := chunks(t, write(t, medium), nil)
	all, fresh := chunks(t, write(t, medium, synth.ChangeLayers(6, 1)), base)
	for name := range fresh {
		if !strings.Contains(name, "layers.1.") {
			t.Errorf("%s has new chunks", name)
		}
	}
	if maps.Equal(all, base) {
		t.Error("nothing changed")
	}
}
