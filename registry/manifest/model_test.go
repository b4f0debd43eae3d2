package manifest_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// digestOf returns a digest that stands for the content number n.
func digestOf(n uint64) chunker.Digest {
	return chunker.Sum(binary.LittleEndian.AppendUint64(nil, n))
}

// model lays out synthetic files as a tensor-aligned splitter does. Tensors
// with equal seeds have equal bytes, so equal chunks.
type model struct {
	builder *manifest.Builder
	file    manifest.File
	refs    []chunker.Ref
}

func newModel() *model { return &model{builder: manifest.NewBuilder()} }

// header starts a file with a header chunk of its own.
func (m *model) header(path string) {
	m.file = manifest.File{Path: path, Format: "safetensors"}
	m.refs = nil
	own := chunker.Sum([]byte(path))
	m.bytes(binary.LittleEndian.Uint64(own[:]), 4096)
}

// bytes appends n bytes with the content seed, on the 2 MiB grid.
func (m *model) bytes(seed, n uint64) {
	for at := uint64(0); at < n; at += manifest.MaxChunk {
		size := min(n-at, manifest.MaxChunk)
		m.refs = append(m.refs, chunker.Ref{Digest: digestOf(seed + at/manifest.MaxChunk + 1), Size: uint32(size)})
	}
	m.file.Size += n
}

// tensor appends a bf16 tensor of its own chunks.
func (m *model) tensor(name string, seed uint64, shape ...uint64) {
	n := uint64(2)
	for _, dim := range shape {
		n *= dim
	}
	m.file.Tensors = append(m.file.Tensors, manifest.Tensor{Name: name, DType: "BF16", Shape: shape, Offset: m.file.Size, Length: n})
	m.bytes(seed, n)
}

func (m *model) close() { m.builder.Add(m.file, m.refs) }

func (m *model) build(t testing.TB, parent chunker.Digest, annotations map[string]string) *manifest.Manifest {
	t.Helper()
	got, err := m.builder.Build(parent, annotations)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// llama returns a model of the shape of llama-70B in bf16: 80 layers, about 140
// GB, spread over that many shards. changed says which layers differ from the
// base model's.
func llama(t testing.TB, shards int, changed func(layer int) bool) *manifest.Manifest {
	const layers, hidden, ffn, kv, vocab = 80, 8192, 28672, 1024, 32000
	m := newModel()
	open := -1
	for layer := range layers {
		if shard := layer * shards / layers; shard != open {
			if open >= 0 {
				m.close()
			}
			open = shard
			m.header(fmt.Sprintf("model-%05d-of-%05d.safetensors", shard+1, shards))
		}
		seed := uint64(layer+1) << 40
		if changed != nil && changed(layer) {
			seed |= 1 << 39
		}
		for i, p := range []struct {
			name       string
			rows, cols uint64
		}{
			{"input_layernorm", 1, hidden}, {"self_attn.q_proj", hidden, hidden}, {"self_attn.k_proj", kv, hidden},
			{"self_attn.v_proj", kv, hidden}, {"self_attn.o_proj", hidden, hidden}, {"post_attention_layernorm", 1, hidden},
			{"mlp.gate_proj", ffn, hidden}, {"mlp.up_proj", ffn, hidden}, {"mlp.down_proj", hidden, ffn},
		} {
			m.tensor(fmt.Sprintf("model.layers.%d.%s.weight", layer, p.name), seed|uint64(i)<<32, p.rows, p.cols)
		}
	}
	m.tensor("model.norm.weight", 1<<60, hidden)
	m.tensor("model.embed_tokens.weight", 2<<60, vocab, hidden)
	m.tensor("lm_head.weight", 3<<60, vocab, hidden)
	m.tensor("model.rotary.inv_freq", 4<<60, 64)
	m.close()
	return m.build(t, chunker.Digest{}, map[string]string{"base_model": "llama"})
}

// random returns a valid Manifest with odd but legal features.
func random(t testing.TB, r *rand.Rand) *manifest.Manifest {
	b := manifest.NewBuilder()
	for i := range r.IntN(6) {
		f := manifest.File{Path: fmt.Sprintf("%c%d/fil\u00e9-%d.bin", 'a'+r.IntN(26), r.IntN(2), i), Format: []string{"opaque", "safetensors", "x_1"}[r.IntN(3)]}
		var refs []chunker.Ref
		for range r.IntN(9) {
			n := uint64(r.IntN(12))
			refs = append(refs, chunker.Ref{Digest: digestOf(n), Size: uint32(n*n + 1)})
			f.Size += n*n + 1
		}
		for j := range r.IntN(5) {
			tensor := manifest.Tensor{Name: fmt.Sprintf("t.%d\n", j), DType: []string{"F32", "Q4_K"}[r.IntN(2)], Offset: r.Uint64N(f.Size + 1)}
			tensor.Length = r.Uint64N(f.Size - tensor.Offset + 1)
			for range r.IntN(4) {
				tensor.Shape = append(tensor.Shape, r.Uint64())
			}
			f.Tensors = append(f.Tensors, tensor)
		}
		b.Add(f, refs)
	}
	var parent chunker.Digest
	if r.IntN(2) == 0 {
		parent = digestOf(r.Uint64())
	}
	annotations := map[string]string{}
	for range r.IntN(4) {
		annotations[fmt.Sprint("key.", r.IntN(10))] = fmt.Sprint("välue\n", r.IntN(10))
	}
	m, err := b.Build(parent, annotations)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
