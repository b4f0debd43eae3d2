package integration_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestTrainDemo runs the demo of a training that is followed, small.
func TestTrainDemo(t *testing.T) {
	t.Parallel()
	interpreter := python(t)
	program, err := buildPlain()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(interpreter, "traindemo/demo.py", "--ingot", program, "--steps", "3", "--hidden", "256", "--warm", "3").CombinedOutput()
	if err != nil {
		t.Fatalf("the demo: %v\n%s", err, out)
	}
	for _, part := range []string{"\n   2 ", "3 versions of ", "are the same after the last step"} {
		if !strings.Contains(string(out), part) {
			t.Errorf("the demo does not say %q:\n%s", part, out)
		}
	}
}
