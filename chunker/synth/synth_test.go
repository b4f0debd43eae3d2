package synth_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/format"
	"github.com/ingot-ml/ingot/chunker/synth"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing")

var small = synth.Spec{Layers: 3, Hidden: 128, KV: 128, FF: 384, Vocab: 500, DType: chunker.BF16, Seed: 7}

// write makes a model in a fresh folder and returns it.
func write(t testing.TB, s synth.Spec, changes ...synth.Change) string {
	t.Helper()
	dir := t.TempDir()
	if err := synth.Write(context.Background(), dir, s, changes...); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tensors returns the bytes of all tensors of a model, by name.
func tensors(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no weights in %s, %v", dir, err)
	}
	all := map[string][]byte{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := format.Open(path, bytes.NewReader(b), int64(len(b)))
		if err != nil || f.Format != format.Safetensors || len(f.Tensors) == 0 {
			t.Fatalf("%s: %+v, %v", path, f, err)
		}
		for _, tensor := range f.Tensors {
			all[tensor.Name] = b[tensor.Offset : tensor.Offset+tensor.Length]
		}
	}
	return all
}

// changed returns the names of the tensors that differ, and fails where one is
// only in a or b.
func changed(t testing.TB, a, b map[string][]byte) (names []string) {
	t.Helper()
	if len(a) != len(b) {
		t.Errorf("%d tensors against %d", len(a), len(b))
	}
	for name := range a {
		if _, ok := b[name]; !ok {
			t.Errorf("%s is gone", name)
		}
		if !bytes.Equal(a[name], b[name]) {
			names = append(names, name)
		}
	}
	return names
}

func TestWriteGolden(t *testing.T) {
	var got strings.Builder
	for _, dtype := range []chunker.DType{chunker.BF16, chunker.F16, chunker.F32} {
		s := small
		s.DType = dtype
		for _, variant := range []struct {
			name    string
			changes []synth.Change
		}{
			{"base", nil},
			{"all", []synth.Change{synth.ChangeLayers(9, 1), synth.ReplaceHead(9), synth.ExtendVocab(16), synth.Reshard(2), synth.Finetune(9, 0.25)}},
		} {
			dir := write(t, s, variant.changes...)
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				b, err := os.ReadFile(filepath.Join(dir, e.Name()))
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&got, "%s %s %s %d %s\n", dtype, variant.name, e.Name(), len(b), chunker.Sum(b))
			}
		}
	}
	path := filepath.Join("testdata", "files.golden")
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the files changed:\n%s\nwant\n%s", got.String(), want)
	}
}

func TestWriteParallel(t *testing.T) {
	many := tensors(t, write(t, small))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if names := changed(t, many, tensors(t, write(t, small))); len(names) > 0 {
		t.Errorf("one processor makes other bytes in %v", names)
	}
}

func TestChanges(t *testing.T) {
	base := tensors(t, write(t, small))
	for name, tt := range map[string]struct {
		change synth.Change
		says   string // part of the name of each changed tensor
		want   int    // how many there are
	}{
		"layers":  {synth.ChangeLayers(8, 0, 2), "model.layers.", 18},
		"head":    {synth.ReplaceHead(8), "lm_head.weight", 1},
		"reshard": {synth.Reshard(4), "", 0},
		"tune":    {synth.Finetune(8, 0.5), "", 30},
		"no tune": {synth.Finetune(8, 0), "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			names := changed(t, base, tensors(t, write(t, small, tt.change)))
			for _, name := range names {
				if !strings.Contains(name, tt.says) {
					t.Errorf("%s changed", name)
				}
			}
			if len(names) != tt.want {
				t.Errorf("%d tensors changed, want %d: %v", len(names), tt.want, names)
			}
		})
	}
}

func TestExtendVocab(t *testing.T) {
	base := tensors(t, write(t, small))
	more := tensors(t, write(t, small, synth.ExtendVocab(16)))
	for _, name := range changed(t, base, more) {
		if !bytes.HasPrefix(more[name], base[name]) || len(more[name]) != len(base[name])+16*128*2 {
			t.Errorf("%s is not the old rows and 16 new ones", name)
		}
	}
}

func TestFinetuneShare(t *testing.T) {
	for _, dtype := range []chunker.DType{chunker.BF16, chunker.F16, chunker.F32} {
		s := small
		s.DType = dtype
		base := tensors(t, write(t, s))
		for _, fraction := range []float64{0.01, 0.3, 1} {
			moved, values := 0, 0
			for name, b := range tensors(t, write(t, s, synth.Finetune(3, fraction))) {
				for i := 0; i < len(b); i += dtype.Width() {
					if !bytes.Equal(b[i:i+dtype.Width()], base[name][i:i+dtype.Width()]) {
						moved++
					}
					values++
				}
			}
			if share := float64(moved) / float64(values); math.Abs(share-fraction) > fraction/20 {
				t.Errorf("%s: %.4f of the values moved, want %.4f", dtype, share, fraction)
			}
		}
	}
}

func TestReshard(t *testing.T) {
	for _, n := range []int{2, 3, 30} {
		dir := write(t, small, synth.Reshard(n))
		paths, err := filepath.Glob(filepath.Join(dir, "model-*.safetensors"))
		if err != nil || len(paths) != n {
			t.Fatalf("%d shards: %v, %v", n, paths, err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "model.safetensors.index.json"))
		if err != nil {
			t.Fatal(err)
		}
		var index struct {
			Files map[string]string `json:"weight_map"`
		}
		if err := json.Unmarshal(b, &index); err != nil || len(index.Files) != 30 {
			t.Errorf("index of %d tensors, %v", len(index.Files), err)
		}
		tensors(t, dir)
	}
}

// TestStatistics holds the weights to what real ones look like: the entropy of
// the exponent near 2.7 bits, and mantissas that hold no pattern.
func TestStatistics(t *testing.T) {
	var top, low [256]int
	n := 0
	for name, b := range tensors(t, write(t, small)) {
		if strings.Contains(name, "norm") {
			continue
		}
		for i := 0; i < len(b); i += 2 {
			v := binary.LittleEndian.Uint16(b[i:])
			top[v>>7&0xff]++
			low[v&0x7f|v>>15<<7]++
			n++
		}
	}
	if e := entropy(top[:], n); e < 2.5 || e > 3 {
		t.Errorf("exponents hold %.3f bits, want about 2.7", e)
	}
	if e := entropy(low[:], n); e < 7.9 {
		t.Errorf("signs and mantissas hold %.3f bits, want nearly 8", e)
	}
}

func entropy(counts []int, n int) float64 {
	var e float64
	for _, c := range counts {
		if c > 0 {
			p := float64(c) / float64(n)
			e -= p * math.Log2(p)
		}
	}
	return e
}

func TestForSize(t *testing.T) {
	for _, size := range []int64{2 << 20, 5 << 20, 63 << 20, 64 << 20, 100e6, 256 << 20, 1 << 30, 3e9, 16e9, 140e9} {
		s := synth.ForSize(size)
		h, kv, ff := int64(s.Hidden), int64(s.KV), int64(s.FF)
		got := 2 * (2*int64(s.Vocab)*h + h + int64(s.Layers)*(2*h*h+2*h*kv+3*h*ff+2*h))
		if diff := math.Abs(float64(got-size)) / float64(size); diff > 0.05 {
			t.Errorf("%d bytes asked, %d made: %+v", size, got, s)
		}
		if size >= 64<<20 && s.Layers < 12 {
			t.Errorf("%d bytes have %d layers", size, s.Layers)
		}
		for _, d := range []int{s.Hidden, s.KV, s.FF, s.Vocab} {
			if d%128 != 0 {
				t.Errorf("%d bytes: %d is no multiple of 128: %+v", size, d, s)
			}
		}
	}
	s := synth.ForSize(2 << 20)
	info, err := os.Stat(filepath.Join(write(t, s), "model.safetensors"))
	if err != nil || math.Abs(float64(info.Size()-(2<<20))) > 100e3 {
		t.Errorf("2 MiB asked, %v made, %v", info.Size(), err)
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, s := range map[string]synth.Spec{
		"zero":      {},
		"negative":  {Layers: 1, Hidden: -1, KV: 1, FF: 1, Vocab: 1, DType: chunker.BF16},
		"huge":      {Layers: 1, Hidden: 1 << 40, KV: 1, FF: 1, Vocab: 1, DType: chunker.BF16},
		"type":      {Layers: 1, Hidden: 1, KV: 1, FF: 1, Vocab: 1, DType: chunker.I8},
		"too thin":  {Layers: 1, Hidden: 1, KV: 1, FF: 1, Vocab: 1, DType: chunker.BF16, Shards: 13},
		"no shards": {Layers: 1, Hidden: 1, KV: 1, FF: 1, Vocab: 1, DType: chunker.BF16, Shards: -1},
	} {
		if err := synth.Write(context.Background(), t.TempDir(), s); !errors.Is(err, synth.ErrSpec) {
			t.Errorf("%s: %v, want %v", name, err, synth.ErrSpec)
		}
	}
	if err := synth.Write(context.Background(), t.TempDir(), small, synth.ChangeLayers(1, 3)); !errors.Is(err, synth.ErrSpec) {
		t.Errorf("a layer that is not there: %v", err)
	}
}

func TestWriteCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := synth.Write(ctx, t.TempDir(), small); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func BenchmarkWrite(b *testing.B) {
	s := synth.ForSize(128 << 20)
	b.SetBytes(128 << 20)
	dir := b.TempDir()
	for b.Loop() {
		if err := synth.Write(context.Background(), dir, s); err != nil {
			b.Fatal(err)
		}
	}
}
