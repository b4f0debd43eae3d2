package layers_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/layers"
	"github.com/ingot-ml/ingot/registry/manifest"
)

var limits = layers.Limits{Layers: 100, Parts: 20, Files: 5, Name: 100}

// tensors makes a file that has these tensors of 100 bytes one behind the other, with
// ten bytes before them, in chunks of 70 bytes.
func tensors(b *manifest.Builder, path string, names ...string) {
	f := manifest.File{Path: path, Format: "safetensors", Size: 10}
	for _, name := range names {
		f.Tensors = append(f.Tensors, manifest.Tensor{Name: name, DType: "F32", Shape: []uint64{5, 5}, Offset: f.Size, Length: 100})
		f.Size += 100
	}
	var refs []chunker.Ref
	for at := uint64(0); at < f.Size; at += 70 {
		n := min(70, f.Size-at)
		refs = append(refs, chunker.Ref{Digest: chunker.Sum(fmt.Appendf(nil, "%s %d", path, at)), Size: uint32(n)})
	}
	b.Add(f, refs)
}

func build(t *testing.T, b *manifest.Builder) *manifest.Manifest {
	t.Helper()
	m, err := b.Build(chunker.Digest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// drawn are the layers with their parts, in words.
func drawn(l *layers.Layout) []string {
	var list []string
	for _, y := range l.Layers {
		line := fmt.Sprintf("%s %s:", y.Kind, y.Name)
		for _, p := range y.Parts {
			line += fmt.Sprintf(" %s×%d", p.Name, p.Tensors)
		}
		list = append(list, line)
	}
	return list
}

func TestOf(t *testing.T) {
	b := manifest.NewBuilder()
	tensors(b, "model.safetensors",
		"lm_head.weight", "model.embed_tokens.weight", "model.layers.0.mlp.up.weight", "model.layers.1.mlp.up.weight",
		"model.layers.10.mlp.up.weight", "model.layers.10.moe.experts.0.w1", "model.layers.10.moe.experts.1.w1",
		"model.layers.2.mlp.up.weight", "model.norm.weight", "model.rotary.inv_freq")
	tensors(b, "config.json")
	got := drawn(layers.Of(build(t, b), limits))
	want := []string{
		"embedding model.embed_tokens: weight×1",
		"layer model.layers.0: mlp.up.weight×1",
		"layer model.layers.1: mlp.up.weight×1",
		"layer model.layers.2: mlp.up.weight×1",
		"layer model.layers.10: mlp.up.weight×1 moe.experts.*.w1×2",
		"other model.rotary: inv_freq×1",
		"norm model.norm: weight×1",
		"head lm_head: weight×1",
		"file config.json:",
		"file model.safetensors:",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestNames has names as other frameworks give them, and as nobody should.
func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"blk.7.attn_q.weight":                    "layer blk.7: attn_q.weight×1",
		"encoder/layer_11/attention/kernel":      "layer encoder/layer_11: attention/kernel×1",
		"transformer.h.3.ln_1.bias":              "layer transformer.h.3: ln_1.bias×1",
		"down_blocks.0.attentions.1.proj.weight": "layer down_blocks.0: attentions.*.proj.weight×1",
		"wte":                                    "embedding wte: wte×1",
		"token_embd.weight":                      "embedding token_embd: weight×1",
		"output_norm.weight":                     "norm output_norm: weight×1",
		"ln_f.weight":                            "norm ln_f: weight×1",
		"output.weight":                          "head output: weight×1",
		"score.weight":                           "head score: weight×1",
		"0":                                      "other 0: 0×1",
		"007.x":                                  "other 007: x×1",
		"99999999999999999999.x":                 "other 99999999999999999999: x×1",
		"a..b":                                   "other a.: b×1",
		".":                                      "other .: .×1",
		"x.3.":                                   "layer x.3: ×1",
		"<script>.1.y":                           "layer <script>.1: y×1",
		"é" + strings.Repeat("日", 60) + ".w":     "other é" + strings.Repeat("日", 32) + "…: w×1",
	} {
		b := manifest.NewBuilder()
		tensors(b, "m", name)
		if got := drawn(layers.Of(build(t, b), limits))[0]; got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

// TestLimits gathers what is beyond each limit.
func TestLimits(t *testing.T) {
	b := manifest.NewBuilder()
	var names []string
	for i := range 7 {
		names = append(names, fmt.Sprintf("layers.%d.w", i))
	}
	for _, part := range []string{"a", "b", "c", "d"} {
		names = append(names, "layers.0."+part)
	}
	tensors(b, "a", names...)
	tensors(b, "b")
	tensors(b, "c")
	tensors(b, "d")
	l := layers.Of(build(t, b), layers.Limits{Layers: 3, Parts: 2, Files: 2, Name: 100})
	want := []string{
		"layer layers.0: w×1 a×1 …×3", "layer layers.1: w×1", "layer layers.2: w×1", "other …: w×4", "file a:", "file b:", "file …:",
	}
	if got := drawn(l); !slices.Equal(got, want) || l.Rest != 4 {
		t.Errorf("got\n%s\nwant\n%s\nand %d left", strings.Join(got, "\n"), strings.Join(want, "\n"), l.Rest)
	}
	checkBytes(t, l, build(t, b))
}

// TestDifferent forgets what the tensors of a part do not have in common.
func TestDifferent(t *testing.T) {
	b := manifest.NewBuilder()
	f := manifest.File{Path: "m", Format: "safetensors", Size: 12, Tensors: []manifest.Tensor{
		{Name: "l.0.e.0", DType: "F32", Shape: []uint64{1}, Length: 4},
		{Name: "l.0.e.1", DType: "I32", Shape: []uint64{1}, Offset: 4, Length: 4},
		{Name: "l.0.s.0", DType: "F32", Shape: []uint64{1}, Offset: 8, Length: 4},
	}}
	b.Add(f, []chunker.Ref{{Digest: chunker.Sum([]byte("x")), Size: 12}})
	parts := layers.Of(build(t, b), limits).Layers[0].Parts
	if p := parts[0]; p.DType != "" || !slices.Equal(p.Shape, []uint64{1}) || p.Tensors != 2 {
		t.Errorf("two types: %+v", p)
	}
	if p := parts[1]; p.DType != "F32" || p.Tensors != 1 {
		t.Errorf("one tensor: %+v", p)
	}
}

// checkBytes fails unless every byte of every chunk is told of once.
func checkBytes(t *testing.T, l *layers.Layout, m *manifest.Manifest) (byPlace map[layers.Place]uint64) {
	t.Helper()
	byPlace = map[layers.Place]uint64{}
	var total uint64
	l.Each(func(at layers.Place, chunk uint32, bytes uint64) {
		if bytes == 0 || bytes > uint64(m.Chunks[chunk].Size) || at.Layer >= len(l.Layers) || at.Part >= len(l.Layers[at.Layer].Parts) {
			t.Fatalf("%d bytes of chunk %d at %v", bytes, chunk, at)
		}
		byPlace[at] += bytes
		total += bytes
	})
	if total != m.Size() {
		t.Errorf("%d bytes are told of, there are %d", total, m.Size())
	}
	return byPlace
}

func TestEach(t *testing.T) {
	b := manifest.NewBuilder()
	tensors(b, "m", "layers.0.w", "layers.1.w")
	m := build(t, b)
	got := checkBytes(t, layers.Of(m, limits), m)
	for at, want := range map[layers.Place]uint64{{0, 0}: 100, {1, 0}: 100, {2, -1}: 10} {
		if got[at] != want {
			t.Errorf("%v: %d bytes, want %d", at, got[at], want)
		}
	}
}

// FuzzEach has tensors lie anywhere, one over the other, with any names.
func FuzzEach(f *testing.F) {
	f.Add(uint64(1), "layers.%d.w")
	f.Add(uint64(7), "\x00.%d")
	f.Add(uint64(9), "%d/%d")
	f.Fuzz(func(t *testing.T, seed uint64, pattern string) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := manifest.NewBuilder()
		file := manifest.File{Path: "m", Format: "safetensors", Size: 1 + r.Uint64N(1000)}
		for i := range r.IntN(20) {
			from := r.Uint64N(file.Size)
			file.Tensors = append(file.Tensors, manifest.Tensor{
				Name: strings.ReplaceAll(pattern, "%d", fmt.Sprint(i)) + fmt.Sprint(".", i), DType: "U8", Offset: from, Length: r.Uint64N(file.Size - from + 1),
			})
		}
		slices.SortFunc(file.Tensors, func(a, b manifest.Tensor) int {
			if a.Offset != b.Offset {
				return int(a.Offset) - int(b.Offset)
			}
			return strings.Compare(a.Name, b.Name)
		})
		var refs []chunker.Ref
		for at := uint64(0); at < file.Size; {
			n := min(1+r.Uint64N(100), file.Size-at)
			refs = append(refs, chunker.Ref{Digest: chunker.Sum(fmt.Append(nil, at)), Size: uint32(n)})
			at += n
		}
		b.Add(file, refs)
		m, err := b.Build(chunker.Digest{}, nil)
		if err != nil {
			t.Skip()
		}
		checkBytes(t, layers.Of(m, layers.Limits{Layers: 4, Parts: 2, Files: 2, Name: 10}), m)
	})
}
