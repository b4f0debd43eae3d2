package integration_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/integration/needtest"
)

const cache = "../.cache" // filled by "make tools"

// python returns the interpreter that has the safetensors package.
func python(t *testing.T) string {
	t.Helper()
	// The stamp is written when everything is installed.
	if _, err := os.Stat(filepath.Join(cache, "venv", "requirements.sha256")); err != nil {
		needtest.Skip(t, "python", fmt.Errorf("run make tools: %w", err))
	}
	path, err := filepath.Abs(filepath.Join(cache, "venv", "bin", "python"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// weights returns the model folder of that name, such as "minilm-bf16-layer".
// Tests must not write into it.
func weights(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(cache, "weights", "weights.json"))
	if err != nil {
		needtest.Skip(t, "weights", fmt.Errorf("run make tools: %w", err))
	}
	var made struct {
		Models map[string]json.RawMessage `json:"models"`
	}
	if err := json.Unmarshal(raw, &made); err != nil {
		t.Fatalf("read weights.json: %v", err)
	}
	if made.Models[name] == nil {
		t.Fatalf("weights.json lists no model %q", name)
	}
	path, err := filepath.Abs(filepath.Join(cache, "weights", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// checkTensors fails the test unless Python's safetensors reads the same
// tensors, bit for bit, from both folders.
func checkTensors(t *testing.T, pulled, original string) {
	t.Helper()
	out, err := exec.Command(python(t), "env/check.py", pulled, original).CombinedOutput()
	if err != nil {
		t.Errorf("safetensors compares %s with %s: %v\n%s", pulled, original, err, out)
	}
}

// TestWeights holds the variants to what their names promise, as the
// safetensors library sees them.
func TestWeights(t *testing.T) {
	tests := []struct{ name, want string }{
		{"minilm-bf16", "104 of 104 tensors equal, 1 files"},
		{"minilm-bf16-layer", "88 of 104 tensors equal, 1 files"},
		{"minilm-bf16-head", "102 of 104 tensors equal, 1 files"},
		{"minilm-bf16-vocab", "103 of 104 tensors equal, 1 files"},
		{"minilm-bf16-reshard", "104 of 104 tensors equal, 3 files"},
	}
	base := weights(t, "minilm-bf16")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// A variant differs on purpose, and then the exit status is 1.
			out, _ := exec.Command(python(t), "env/check.py", weights(t, tt.name), base).Output()
			if got := strings.TrimSpace(string(out)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	checkTensors(t, weights(t, "minilm-bf16-reshard"), base)
}
