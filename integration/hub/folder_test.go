package hub_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/integration/needtest"
)

// The files of the models here that tests ask for by name.
const (
	firstShard = "model-00001-of-00002.safetensors"
	oddPath    = "a folder/ü+%41&b.txt" // every character that a client may escape in its own way
	plainPath  = "a folder/ü+&b.txt"    // what @huggingface/hub can ask for, which escapes nothing
	quant      = "tiny-Q4_K_M.gguf"
)

// writeTiny writes a model of two shards, one that clients send and fetch by Xet if they
// can and one that comes inside a commit, with documents, an empty file and a path that
// is hard to spell.
func writeTiny(t testing.TB, seed uint64) string {
	t.Helper()
	weights := map[string]string{"w1": firstShard, "w2": "model-00002-of-00002.safetensors"}
	index, err := json.Marshal(map[string]any{"metadata": map[string]any{}, "weight_map": weights})
	if err != nil {
		t.Fatal(err)
	}
	return write(t, map[string][]byte{
		"README.md":                            []byte("---\nlicense: mit\n---\n# tiny\n"),
		"config.json":                          []byte(`{"model_type":"llama","architectures":["LlamaForCausalLM"]}` + "\n"),
		"additional_chat_templates/tool.jinja": []byte("{{ x }}\n"),
		"empty.txt":                            {},
		oddPath:                                []byte("odd\n"),
		"model.safetensors.index.json":         index,
		firstShard:                             safetensors("w1", 4_500_000, seed),
		weights["w2"]:                          safetensors("w2", 500_000, seed+1),
	})
}

// writePlain writes a model that has nothing that is hard to spell.
func writePlain(t testing.TB) string {
	t.Helper()
	return write(t, map[string][]byte{"README.md": []byte("# plain\n"), "config.json": []byte("{}\n"), plainPath: []byte("plain\n"),
		firstShard: safetensors("w1", 4_500_000, 31)})
}

// writeGGUF writes a model of one file in two quantisations.
func writeGGUF(t testing.TB) string {
	t.Helper()
	return write(t, map[string][]byte{"config.json": []byte("{}\n"), quant: gguf(300_000, 7), "tiny-Q8_0.gguf": gguf(500_000, 8)})
}

// write makes a folder of these files.
func write(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for path, content := range files {
		path = filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, content, 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// safetensors returns a file of one tensor of n numbers.
func safetensors(tensor string, n int, seed uint64) []byte {
	head := fmt.Appendf(nil, `{"__metadata__":{"format":"pt"},%q:{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}`, tensor, n, 4*n)
	head = append(head, bytes.Repeat([]byte{' '}, -len(head)&7)...)
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head...), noise(4*n, seed)...)
}

// gguf returns a file of version 3 with two strings and one tensor of n numbers.
func gguf(n int, seed uint64) []byte {
	text := func(b []byte, s string) []byte {
		return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
	}
	b := []byte("GGUF\x03\x00\x00\x00")
	b = binary.LittleEndian.AppendUint64(b, 1) // tensors
	b = binary.LittleEndian.AppendUint64(b, 2) // keys
	for _, pair := range [][2]string{{"general.architecture", "llama"}, {"general.name", "tiny"}} {
		b = binary.LittleEndian.AppendUint32(text(b, pair[0]), 8) // a string
		b = text(b, pair[1])
	}
	b = binary.LittleEndian.AppendUint32(text(b, "token_embd.weight"), 1)
	b = binary.LittleEndian.AppendUint64(b, uint64(n))
	b = binary.LittleEndian.AppendUint32(b, 0) // F32
	b = binary.LittleEndian.AppendUint64(b, 0)
	b = append(b, make([]byte, -len(b)&31)...)
	return append(b, noise(4*n, seed)...)
}

func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b) // it does not fail
	return b
}

// weights returns a folder of real weights. Tests must not write into it.
func weights(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(cache, "weights", name))
	if err == nil {
		_, err = os.Stat(filepath.Join(cache, "weights", "weights.json"))
	}
	if err != nil {
		needtest.Skip(t, "weights", fmt.Errorf("run make tools: %w", err))
	}
	return path
}

// tree maps the files below dir to their sha256; links are followed, and what clients
// keep for themselves is left out.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == ".cache" {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err == nil {
			sums[rel], err = sum(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

// sum returns the sha256 of a file in hex digits.
func sum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
}

func sumOf(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// same fails the test unless both folders hold the same files; those of the names
// given may be in got only.
func same(t testing.TB, got, want string, also ...string) {
	t.Helper()
	g, w := tree(t, got), tree(t, want)
	for path, s := range w {
		if g[path] != s {
			t.Errorf("%s: sha256 %q, want %q", path, g[path], s)
		}
	}
	for path := range g {
		if _, ok := w[path]; !ok && !strings.Contains(strings.Join(also, "\n"), path) {
			t.Errorf("%s: not in the original", path)
		}
	}
}

// read returns a file of a folder.
func read(t testing.TB, dir, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
