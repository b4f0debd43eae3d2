package synth

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ingot-ml/ingot/chunker"
)

// writeDocuments writes the files beside the weights.
func (m *model) writeDocuments(dir string) error {
	if err := writeJSON(filepath.Join(dir, "config.json"), m.config()); err != nil {
		return err
	}
	if err := m.writeTokenizer(filepath.Join(dir, "tokenizer.json")); err != nil {
		return err
	}
	if shards := m.shards(); len(shards) > 1 {
		return writeJSON(filepath.Join(dir, "model.safetensors.index.json"), m.index(shards))
	}
	return nil
}

func (m *model) config() map[string]any {
	names := map[chunker.DType]string{chunker.BF16: "bfloat16", chunker.F16: "float16", chunker.F32: "float32"}
	const head = 64 // a usual width of an attention head
	return map[string]any{
		"architectures":       []string{"LlamaForCausalLM"},
		"model_type":          "llama",
		"hidden_size":         m.Hidden,
		"intermediate_size":   m.FF,
		"num_hidden_layers":   m.Layers,
		"num_attention_heads": max(1, m.Hidden/head),
		"num_key_value_heads": max(1, m.KV/head),
		"vocab_size":          m.Vocab,
		"tie_word_embeddings": false,
		"torch_dtype":         names[m.DType],
	}
}

// index says which file holds which tensor.
func (m *model) index(shards [][]tensor) map[string]any {
	files := map[string]string{}
	var total int64
	for i, list := range shards {
		for _, t := range list {
			files[t.name] = shardName(i, len(shards))
			total += m.bytes(t)
		}
	}
	return map[string]any{
		"metadata":   map[string]any{"total_size": total},
		"weight_map": files,
	}
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o666)
}

// writeTokenizer writes a vocabulary of made-up words, one a line.
func (m *model) writeTokenizer(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	w := bufio.NewWriter(f) // it keeps its first error for Flush
	fmt.Fprint(w, `{"version":"1.0","model":{"type":"BPE","vocab":{`)
	for i := range m.Vocab {
		if i > 0 {
			fmt.Fprint(w, ",")
		}
		fmt.Fprintf(w, "\n%q:%d", word(i), i)
	}
	fmt.Fprint(w, "\n},\"merges\":[]}}\n")
	return w.Flush()
}

// word returns the i-th word: a number written in syllables.
func word(i int) string {
	const first, second = "bdfgklmnprstvz", "aeiou"
	s := ""
	for n := i; ; n /= len(first) * len(second) {
		s += string(first[n%len(first)]) + string(second[n/len(first)%len(second)])
		if n < len(first)*len(second) {
			return s
		}
	}
}
