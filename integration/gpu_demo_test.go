package integration_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/integration/needtest"
)

// TestGPUDemoFake runs the demo of two services that share a GPU, small.
func TestGPUDemoFake(t *testing.T) {
	if !large() {
		needtest.Skip(t, "large", "takes minutes: run make large")
	}
	interpreter := python(t)
	cudatest.Library(t)                                 // or there is no compiler
	t.Setenv("INGOT_LIBCUDA", filepath.Join(cache, "")) // there is no GPU: it makes a fake one
	program, err := buildPlain()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "run", "./integration/gpudemo", "-ingot", program, "-python", interpreter, "-turns", "2", "-mib", "16")
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the demo: %v\n%s", err, out)
	}
	for _, part := range []string{"FAKE", "chat     answer 2:", "code     answer 2:", "in_place"} {
		if !strings.Contains(string(out), part) {
			t.Errorf("the demo does not say %q:\n%s", part, out)
		}
	}
}
