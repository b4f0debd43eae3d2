package integration_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/cuda/cudatest"
)

// pythonModels are the weights that the Python package reads from an agent.
var pythonModels = []string{"minilm-bf16", "minilm-bf16-reshard", "minilm-fp16", "minilm-bf16-gguf",
	"minilm-fp16-npz", "minilm-fp16-numpy", "minilm-q4_0", "magika", "silero"}

// TestPython runs the tests of the Python package, with a registry and an agent
// that have real weights.
func TestPython(t *testing.T) {
	t.Parallel()
	testPython(t, python(t))
}

// TestPythonTorch runs them where PyTorch is, which adds its own.
func TestPythonTorch(t *testing.T) { testPython(t, torch(t)) }

// testPython runs the tests of the Python package with an interpreter.
func testPython(t *testing.T, interpreter string) {
	r := servePlain(t)
	models := map[string]string{}
	for _, m := range pythonModels {
		r.push(weights(t, m), "python/"+m+":test")
		models["python/"+m+":test"] = weights(t, m)
	}
	folders, err := json.Marshal(models)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(interpreter, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", filepath.Join(t.TempDir(), "pytest"))
	cmd.Dir = "../python"
	cmd.Env = append(os.Environ(), "INGOT_AGENT="+r.agent(), "INGOT_TEST_MODELS="+string(folders), "PYTHONDONTWRITEBYTECODE=1",
		"INGOT_LIBCUDA="+cudatest.Library(t), "INGOT_TEST_PUBLISH=http://"+r.addr, "INGOT_PROGRAM="+r.program())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("pytest: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// agent starts an agent of the registry for the test, and returns its socket.
func (r *registry) agent() string {
	r.t.Helper()
	// The path of a socket is short, and those of tests may be long.
	dir, err := os.MkdirTemp("", "ingot")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = os.RemoveAll(dir) }) // the next start of the machine takes it otherwise
	socket := filepath.Join(dir, "agent.sock")
	cmd := r.command("agent", "--data", filepath.Join(dir, "data"), "--disk", "4GiB", "--ram", "1GiB", "--socket", socket)
	var log strings.Builder
	cmd.Stderr = &log
	said, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatalf("start the agent: %v", err)
	}
	r.t.Cleanup(func() {
		_, _ = cmd.Process.Kill(), cmd.Wait() // it was killed, so it failed
		if r.t.Failed() {
			r.t.Logf("the agent said:\n%s", log.String())
		}
	})
	if err := untilReady(bufio.NewReader(said)); err != nil {
		_, _ = cmd.Process.Kill(), cmd.Wait()
		r.t.Fatalf("the agent is not ready: %v\n%s", err, log.String())
	}
	return socket
}

// untilReady reads the line that an agent prints when it is ready.
func untilReady(said *bufio.Reader) error {
	line, err := said.ReadString('\n')
	if err != nil {
		return fmt.Errorf("it printed %q: %w", line, err)
	}
	return nil
}
