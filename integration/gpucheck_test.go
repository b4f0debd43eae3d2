package integration_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/integration/needtest"
)

// checked is what the report of make gpu-check says, as far as it matters here.
type checked struct {
	Fake   bool  `json:"fake"`
	Model  int64 `json:"model_bytes"`
	Checks []struct {
		Group  string   `json:"group"`
		Name   string   `json:"name"`
		State  string   `json:"state"`
		Figure *float64 `json:"figure"`
		Reason string   `json:"reason"`
	} `json:"checks"`
}

// TestGPUCheckFake builds the bundle of make gpu-check and runs it over the fake
// driver. What it finds right or wrong is right, and it judges no rate.
func TestGPUCheckFake(t *testing.T) {
	if !large() {
		needtest.Skip(t, "large", "takes minutes: run make large")
	}
	interpreter := python(t)
	c := gpuCheck{bundle: gpuBundle(t), python: interpreter}
	t.Run("sound", func(t *testing.T) { c.sound(t) })
	t.Run("full", func(t *testing.T) { c.full(t) })
}

// gpuCheck is the bundle, unpacked, and the Python that it is run with.
type gpuCheck struct{ bundle, python string }

// run runs the bundle over a driver, and returns its report and what it printed.
func (c gpuCheck) run(t *testing.T, o cudatest.Options) (report string, got checked, out []byte, err error) {
	t.Helper()
	cudatest.Use(t, o)
	work := t.TempDir()
	report = filepath.Join(work, "report.json")
	cmd := exec.Command(filepath.Join(c.bundle, "run.sh"), "-json", report, "-dir", work)
	cmd.Env = append(os.Environ(), "PYTHON="+c.python)
	out, err = cmd.CombinedOutput()
	if e := json.Unmarshal([]byte(readText(t, report)), &got); e != nil {
		t.Fatalf("%v\n%s", e, out)
	}
	left, e := filepath.Glob(filepath.Join(work, "ingot-gpu-check-*"))
	if e != nil || len(left) > 0 {
		t.Errorf("the run has left %v (%v)", left, e)
	}
	return report, got, out, err
}

// sound wants every check to pass that a fake driver can pass.
func (c gpuCheck) sound(t *testing.T) {
	report, got, out, err := c.run(t, cudatest.Options{})
	if err != nil || !got.Fake || got.Model < 64<<20 {
		t.Errorf("fake %v, a model of %d bytes: %v\n%s", got.Fake, got.Model, err, out)
	}
	states := map[string]int{}
	for _, c := range got.Checks {
		states[c.Group+" "+c.State]++
		if c.State == "skip" && c.Group != "python" {
			t.Errorf("%s: %s was skipped: %s", c.Group, c.Name, c.Reason)
		}
	}
	for _, want := range []string{"driver pass", "driver unjudged", "agent pass", "agent unjudged", "python pass", "python skip", "crash pass"} {
		if states[want] == 0 {
			t.Errorf("no check is %s: there are %v\n%s", want, slices.Sorted(maps.Keys(states)), out)
		}
	}
	page := filepath.Join(t.TempDir(), "gpu.md")
	writeText(t, page, readText(t, "../docs/gpu.md"))
	if out, err := exec.Command(filepath.Join(c.bundle, "gpucheck"), "-table", report, "-into", page).CombinedOutput(); err != nil {
		t.Fatalf("make a table: %v\n%s", err, out)
	}
	if table := readText(t, page); !strings.Contains(table, "A run over the fake driver") || strings.Count(table, "\n| agent |") < 10 {
		t.Errorf("the table is\n%s", table)
	}
}

// full wants a GPU that has no memory for the agent to be reported: what can pass
// passes, what cannot fails with the reason, and the agent's log is kept.
func (c gpuCheck) full(t *testing.T) {
	report, got, out, err := c.run(t, cudatest.Options{Fail: "@agent:cuMemCreate:2+=2"})
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("the run ended with %v, want exit code 1\n%s", err, out)
	}
	passed := false
	for _, c := range got.Checks {
		passed = passed || c.Name == "memory is taken, exported and imported without a context" && c.State == "pass"
		if c.Name == "first load" && (c.State != "fail" || !strings.Contains(c.Reason, "too little memory")) {
			t.Errorf("the first load is %s: %s", c.State, c.Reason)
		}
		if c.State == "pass" && strings.Contains(c.Name, "load") {
			t.Errorf("%s has passed", c.Name)
		}
	}
	if !passed {
		t.Errorf("what the driver still could has not passed\n%s", out)
	}
	if log := readText(t, report+".log"); !strings.Contains(log, "too little memory") {
		t.Errorf("the agent's log is\n%s", log)
	}
}

// gpuBundle builds the bundle and returns where it is unpacked: what was packed is
// all that it may need.
func gpuBundle(t *testing.T) string {
	t.Helper()
	dist, there := t.TempDir(), t.TempDir()
	build := exec.Command("gpucheck/bundle.sh", "test")
	build.Env = append(os.Environ(), "DIST="+dist, "WHEELS=no")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the bundle: %v\n%s", err, out)
	}
	if out, err := exec.Command("tar", "-xzf", filepath.Join(dist, "ingot-gpu-check.tar.gz"), "-C", there).CombinedOutput(); err != nil {
		t.Fatalf("unpack the bundle: %v\n%s", err, out)
	}
	return filepath.Join(there, "ingot-gpu-check")
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
