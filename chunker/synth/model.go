package synth

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// model is a Spec with its changes applied.
type model struct {
	Spec
	layerSeeds map[int]uint64
	headSeed   uint64
	tuneSeed   uint64
	tuned      float64 // share of values that a fine-tune moved
	stretches  []stretch
}

// Change makes a variant of a model.
type Change func(*model)

// ChangeLayers makes the matrices and norms of these layers, counted from 0,
// anew from another seed.
func ChangeLayers(seed uint64, layers ...int) Change {
	return func(m *model) {
		for _, l := range layers {
			m.layerSeeds[l] = seed
		}
	}
}

// ReplaceHead makes lm_head anew from another seed.
func ReplaceHead(seed uint64) Change { return func(m *model) { m.headSeed = seed } }

// ExtendVocab appends rows to the embedding and the head; the rows before them
// keep their bytes.
func ExtendVocab(rows int) Change { return func(m *model) { m.Vocab += rows } }

// Reshard spreads the same tensors over n files.
func Reshard(n int) Change { return func(m *model) { m.Shards = n } }

// Finetune moves that fraction of all values, 0 to 1, by a little, as training
// at a small rate does.
func Finetune(seed uint64, fraction float64) Change {
	return func(m *model) { m.tuneSeed, m.tuned = seed, min(max(fraction, 0), 1) }
}

func newModel(s Spec, changes []Change) (*model, error) {
	m := &model{Spec: s, layerSeeds: map[int]uint64{}, headSeed: s.Seed}
	for _, change := range changes {
		change(m)
	}
	for l := range m.layerSeeds {
		if l < 0 || l >= m.Layers {
			return nil, fmt.Errorf("change of layer %d of %d: %w", l, m.Layers, ErrSpec)
		}
	}
	return m, m.check()
}

// tensor is one tensor of a model. Norms have one row.
type tensor struct {
	name       string
	rows, cols int
	sigma      float32 // typical size of a value; 0 for a norm
	rowSpread  float64 // deviation of the logarithm of the rows' scales
	seed       uint64
}

// tensors lists the model in the order of its names, as safetensors files have
// it.
func (m *model) tensors() []tensor {
	h, narrow := m.Hidden, float32(0.02/math.Sqrt(2*float64(m.Layers)))
	list := []tensor{
		{"model.embed_tokens.weight", m.Vocab, h, 0.02, 0.35, m.Seed},
		{"model.norm.weight", 1, h, 0, 0, m.Seed},
		{"lm_head.weight", m.Vocab, h, 0.018, 0.35, m.headSeed},
	}
	for l := range m.Layers {
		seed, ok := m.layerSeeds[l]
		if !ok {
			seed = m.Seed
		}
		for _, t := range []tensor{
			{"input_layernorm", 1, h, 0, 0, seed},
			{"mlp.down_proj", h, m.FF, 1.3 * narrow, 0.22, seed},
			{"mlp.gate_proj", m.FF, h, 0.021, 0.22, seed},
			{"mlp.up_proj", m.FF, h, 0.019, 0.22, seed},
			{"post_attention_layernorm", 1, h, 0, 0, seed},
			{"self_attn.k_proj", m.KV, h, 0.03, 0.22, seed},
			{"self_attn.o_proj", h, h, narrow, 0.22, seed},
			{"self_attn.q_proj", h, h, 0.026, 0.22, seed},
			{"self_attn.v_proj", m.KV, h, 0.014, 0.22, seed},
		} {
			t.name = fmt.Sprintf("model.layers.%d.%s.weight", l, t.name)
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b tensor) int { return cmp.Compare(a.name, b.name) })
	return list
}

// shards spreads the tensors over the model's files, evenly by bytes, none
// empty.
func (m *model) shards() [][]tensor {
	list := m.tensors()
	n := max(1, m.Shards)
	var total, done int64
	for _, t := range list {
		total += t.elements()
	}
	shards := make([][]tensor, 1, n)
	for i, t := range list {
		last := len(shards) - 1
		full := done*int64(n) >= total*int64(len(shards))
		needed := len(list)-i == n-len(shards)
		if len(shards) < n && len(shards[last]) > 0 && (full || needed) {
			shards = append(shards, nil)
			last++
		}
		shards[last] = append(shards[last], t)
		done += t.elements()
	}
	return shards
}

func (t tensor) elements() int64 { return int64(t.rows) * int64(t.cols) }

// shape is the tensor's shape in JSON.
func (t tensor) shape() string {
	if t.sigma == 0 {
		return fmt.Sprintf("[%d]", t.cols)
	}
	return fmt.Sprintf("[%d,%d]", t.rows, t.cols)
}
