package integration_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPythonFiles reads and writes files of models in Python: its file system, and
// its snapshots, with a registry and an agent that have real weights. Of fsspec's own
// tests, which all run over a fake elsewhere, it takes some of each kind.
func TestPythonFiles(t *testing.T) {
	t.Parallel()
	interpreter := python(t)
	r := servePlain(t)
	models := map[string]string{}
	for _, m := range []string{"minilm-bf16", "minilm-bf16-reshard", "silero"} {
		r.push(weights(t, m), "python/"+m+":test")
		models["python/"+m+":test"] = weights(t, m)
	}
	folders, err := json.Marshal(models)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(interpreter, "-m", "pytest", "-q", "--basetemp", filepath.Join(t.TempDir(), "pytest"),
		"-k", "test_files_real or Pipe or Open or (Put and not glob)", "tests/test_files_real.py", "tests/test_fs_spec.py")
	cmd.Dir = "../python"
	cmd.Env = append(os.Environ(), "INGOT_AGENT="+r.agent(), "INGOT_TEST_REGISTRY=http://"+r.addr, "INGOT_TEST_MODELS="+string(folders), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("pytest: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}
