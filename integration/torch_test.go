package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/integration/needtest"
)

// torch returns the interpreter that has PyTorch.
func torch(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(cache, "venv-torch", "bin", "python"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(cache, "venv-torch", "requirements.sha256")); err != nil {
		needtest.Skip(t, "torch", fmt.Errorf("run make test-torch: %w", err))
	}
	return path
}

// TestTorch has PyTorch itself open what was pulled and save it again, and holds
// what that adds to the registry to a header.
func TestTorch(t *testing.T) {
	interpreter := torch(t)
	tests := []struct{ first, model, want string }{
		{"minilm-bf16", "minilm-bf16-torch", "104 tensors, 1 checkpoints, 0 modules"},
		{"minilm-fp16", "minilm-fp16-torch", "104 tensors, 3 checkpoints, 0 modules"},
		{"fcpe", "fcpe", "73 tensors, 1 checkpoints, 0 modules"},
		// PyTorch writes the module's pickle and debugging records anew.
		{"silero", "silero", "0 tensors, 0 checkpoints, 1 modules"},
	}
	r := serve(t)
	for _, tt := range tests {
		ref := "torch/" + tt.model
		first := r.push(weights(t, tt.first), "torch/first-"+tt.model)
		r.push(weights(t, tt.model), ref)
		_, pulled := r.pull(ref, weights(t, tt.model))
		saved := filepath.Join(t.TempDir(), "saved")
		if err := os.Mkdir(saved, 0o755); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(interpreter, "-W", "ignore::FutureWarning", "env/torches.py", pulled, weights(t, tt.first), saved).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != tt.want {
			t.Errorf("torch opens %s: %v, %q, want %q", tt.model, err, got, tt.want)
			continue
		}
		again := r.push(saved, "torch/saved-"+tt.model)
		atMost(t, tt.model+" saved by torch", again.BytesStored, 0.005, first.BytesTotal, 0)
	}
}
