package integration_test

import (
	"os/exec"
	"strings"
	"testing"
)

// readers opens every file of a pulled folder with its format's own reader, and
// fails the test unless it finds the tensors of the original: want is what the
// script prints then.
func readers(t *testing.T, pulled, original, want string) {
	t.Helper()
	cmd := exec.Command(python(t), "env/readers.py", pulled, original)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if got := strings.TrimSpace(string(out)); err != nil || got != want {
		t.Errorf("readers of %s: %v, %q, want %q\n%s", pulled, err, got, want, said.String())
	}
}

// TestContainersShare pushes weights as safetensors and then the same weights in
// other containers, which may add headers and little else.
func TestContainersShare(t *testing.T) {
	t.Parallel()
	python(t)
	tests := []struct{ first, next, want string }{
		{"minilm-bf16", "minilm-bf16-gguf", "104 of 104 tensors equal, 1 files"},
		{"minilm-bf16", "minilm-bf16-torch", "104 of 104 tensors equal, 1 files"},
		{"minilm-fp16", "minilm-fp16-gguf", "104 of 104 tensors equal, 1 files"},
		{"minilm-fp16", "minilm-fp16-torch", "104 of 104 tensors equal, 3 files"},
		{"minilm-fp16", "minilm-fp16-onnx", "104 of 104 tensors equal, 1 files"},
		{"minilm-fp16", "minilm-fp16-onnx-external", "104 of 104 tensors equal, 1 files"},
		{"minilm-fp16", "minilm-fp16-npz", "104 of 104 tensors equal, 1 files"},
		{"minilm-fp16", "minilm-fp16-numpy", "104 of 104 tensors equal, 40 files"},
	}
	r := servePlain(t)
	first := map[string]receipt{}
	for _, tt := range tests {
		if _, pushed := first[tt.first]; !pushed {
			first[tt.first] = r.push(weights(t, tt.first), "share/"+tt.first)
		}
		ref := "share/" + tt.next
		got := r.push(weights(t, tt.next), ref)
		atMost(t, tt.next+" beside "+tt.first, got.BytesStored, 0.005, first[tt.first].BytesTotal, 0)
		_, dir := r.pull(ref, weights(t, tt.next))
		readers(t, dir, weights(t, tt.first), tt.want)
	}
}

// TestRealFormats pushes weights of each format to a registry that has none of
// them, and holds what is stored to a share of what the files take.
func TestRealFormats(t *testing.T) {
	t.Parallel()
	python(t)
	tests := []struct {
		model, original string
		share           float64
		want            string
	}{
		// As packages ship them.
		{"fcpe", "fcpe", 0.86, "73 of 73 tensors equal, 1 files"},
		{"g2p", "g2p", 0.86, "12 of 12 tensors equal, 1 files"},
		{"magika", "magika", 0.86, "36 of 36 tensors equal, 1 files"},
		{"ppocr", "ppocr", 0.86, "1070 of 1070 tensors equal, 3 files"},
		{"silero", "silero", 0.40, "1023 of 1023 tensors equal, 8 files"},
		// As the formats' libraries wrote them.
		{"minilm-bf16-torch", "minilm-bf16", 0.72, "104 of 104 tensors equal, 1 files"},
		{"minilm-q8_0", "minilm", 0.97, "104 of 104 tensors equal, 1 files"},
		{"minilm-q4_0", "minilm", 0.945, "104 of 104 tensors equal, 1 files"},
	}
	r := servePlain(t)
	for _, tt := range tests {
		ref := "formats/" + tt.model
		got := r.push(weights(t, tt.model), ref)
		atMost(t, tt.model, got.BytesStored, tt.share, got.BytesTotal, 0)
		_, dir := r.pull(ref, weights(t, tt.model))
		readers(t, dir, weights(t, tt.original), tt.want)
	}
}
